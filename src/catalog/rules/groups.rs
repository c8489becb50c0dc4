//! Rules of episode groups.
//!
//! Must not know casters. Invariant: a group has a file, a time to begin and a place to go.

use std::sync::Arc;

use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    Caster, EpisodeGroup, GroupItem, GroupProgress, Relay, Scene, Scenes, Status, Template,
};
use super::super::{Answer, Catalog, Change, Context, GroupDraft, GroupItemDraft, Prepared};
use super::{check, config, studio};
use crate::ids::{CasterId, EpisodeId, ProgramId, SceneId};
use crate::limits;

/// What a group goes out as.
const TEMPLATE: Template = Template::Hd;

pub(super) fn add(
    catalog: &Catalog,
    draft: &GroupDraft,
    ctx: &Context<'_>,
) -> Result<Prepared, Refused> {
    let token = studio::client_token(&draft.client_token)?;
    let present = catalog.groups().find(|group| group.client_token == token);
    if let Some(group) = present {
        return Ok(super::read(Answer::Group(group.clone())));
    }
    if catalog.groups().count() >= limits::MAX_EPISODE_GROUPS {
        let message = "Number of episode groups exceeded";
        return Err(Refused::new(ErrorCode::ResourceNumberExceed, message));
    }
    let group = Arc::new(parse(token, draft, ctx)?);
    Ok(Prepared {
        change: Some(Change::UpsertGroup(group.clone())),
        answer: Answer::Group(group),
        effects: Vec::new(),
    })
}

fn parse(token: &str, draft: &GroupDraft, ctx: &Context<'_>) -> Result<EpisodeGroup, Refused> {
    let domain = config::domain(check::present("DomainName", &draft.domain_name)?)?;
    let start = draft.start_time_unix_ms;
    let start_unix_ms = check::unix_ms("StartTime", start, ErrorCode::StartTimeMalformed)?;
    let repeat_num = draft.repeat_num.unwrap_or(0);
    if repeat_num < -1 {
        return Err(check::malformed("RepeatNum must be -1 or more."));
    }
    let side_output = check::present("SideOutputUrl", &draft.side_output_url)?;
    let callback_url = match &draft.callback_url[..] {
        "" => None,
        url => Some(check::url("CallbackUrl", url, &["http", "https"])?),
    };
    if draft.items.is_empty() {
        return Err(check::missing("Item"));
    }
    if draft.items.len() > limits::MAX_GROUP_ITEMS {
        let max = limits::MAX_GROUP_ITEMS;
        return Err(check::malformed(format!("There are more than {max} items.")));
    }
    Ok(EpisodeGroup {
        id: ProgramId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes"),
        client_token: token.to_owned(),
        domain: domain.unwrap_or_default(),
        start_unix_ms,
        repeat_num,
        side_output: check::url("SideOutputUrl", side_output, check::RELAY_SCHEMES)?,
        callback_url,
        stream_name: (ctx.fresh)().simple().to_string(),
        progress: GroupProgress::Waiting,
        items: draft.items.iter().map(|item| parse_item(item, ctx)).collect::<Result<_, _>>()?,
    })
}

fn parse_item(draft: &GroupItemDraft, ctx: &Context<'_>) -> Result<GroupItem, Refused> {
    let url = check::present("Item.VodUrl", &draft.vod_url)?;
    Ok(GroupItem {
        id: EpisodeId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes"),
        name: check::name("Item.ItemName", &draft.item_name)?,
        url: check::url("Item.VodUrl", url, check::FILE_SCHEMES)?,
    })
}

impl Catalog {
    /// The group, this far.
    pub fn with_progress(&self, id: &ProgramId, progress: GroupProgress) -> Option<Change> {
        let before = self.group(id).filter(|group| group.progress != progress)?;
        let after = EpisodeGroup { progress, ..EpisodeGroup::clone(before) };
        Some(Change::UpsertGroup(Arc::new(after)))
    }
}

impl EpisodeGroup {
    /// The caster whose show plays it: on air, with scenes that nothing is set on.
    pub fn as_caster(&self) -> Caster {
        let scene = |name: &str| Scene {
            id: SceneId::parse(&format!("{}-{name}", self.id)).expect("a UUID and five bytes"),
            stream_name: format!("{}{name}", self.stream_name),
            layout: None,
            components: Vec::new(),
            mix: Vec::new(),
        };
        let id = CasterId::parse(self.id.as_str()).expect("as long as it");
        let mut caster = studio::blank(id, self.id.to_string());
        caster.config.domain = Some(self.domain.clone());
        caster.config.template = Some(TEMPLATE);
        caster.config.relays = vec![Relay::plain(self.side_output.clone())];
        caster.status = Status::OnAir { since_unix_ms: self.start_unix_ms };
        caster.scenes = Some(Scenes {
            pvw: scene("-pvw"),
            pgm: scene(""),
            pvw_off: true,
            on_standby: false,
            on_black: false,
            pgm_set_unix_ms: 0,
        });
        caster
    }
}

pub(super) fn delete(catalog: &Catalog, program_id: &str) -> Result<Prepared, Refused> {
    let id = ProgramId::parse(program_id).ok_or_else(|| check::missing("ProgramId"))?;
    let group = catalog.group(&id).ok_or(ErrorCode::ProgramNotFound)?;
    Ok(Prepared {
        change: Some(Change::DeleteGroup(id)),
        answer: Answer::Group(group.clone()),
        effects: Vec::new(),
    })
}
