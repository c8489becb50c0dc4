//! Rules of casters as such: create, configure, start, stop, delete, list.
//!
//! Must not know sources, layouts or components. Invariant: a caster on air has a domain it was started with and a
//! template that does not change.

use std::cmp::Reverse;
use std::sync::Arc;

use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    Caster, CasterConfig, EpisodeContent, RecordConfig, RecordFormat, RecordKind, Scene, Scenes,
    Status, SyncMode, Tag, TimedEvent, TimedEventKind,
};
use super::super::{
    Answer, Change, CopyCaster, CreateCaster, DescribeCasters, Effect, Prepared, RecordAnswer,
    Subject, TagDraft, Written,
};
use super::super::{Catalog, Context};
use super::{Edit, Edited, check, config};
use crate::ids::{CasterId, ComponentId, EpisodeId, LayoutId, ResourceId, SceneId};
use crate::limits;

/// The API's `NormType` of a caster in general mode, the only one available.
pub(super) const NORM_TYPE_GENERAL: i32 = 1;
/// `PostPaid` as `DescribeCasters` counts it.
const CHARGE_TYPE_POST_PAID: i32 = 1;

pub(super) fn create(
    catalog: &Catalog,
    draft: &CreateCaster,
    ctx: &Context<'_>,
) -> Result<Prepared, Refused> {
    let token = client_token(&draft.client_token)?;
    match draft.norm_type {
        Some(NORM_TYPE_GENERAL) => {}
        Some(other) => {
            let message = format!("NormType {other} is not available, only 1 (general mode) is.");
            return Err(Refused::new(ErrorCode::NormTypeMalformed, message));
        }
        None => check::present("NormType", "").map(|_| ())?,
    }
    if check::present("ChargeType", &draft.charge_type)? != "PostPaid" {
        let message = "Specified parameter ChargeType is invalid, can only be PostPaid.";
        return Err(Refused::new(ErrorCode::ChargeTypeMalformed, message));
    }
    let name = check::name("CasterName", &draft.caster_name)?;
    let resource_group = check::name("ResourceGroupId", &draft.resource_group_id)?;
    let tags = tags(&draft.tags)?;
    make(catalog, token, || {
        let caster = new_caster(token, name.clone(), ctx);
        Caster { resource_group: resource_group.clone(), tags: tags.clone(), ..caster }
    })
}

/// An idle caster with the configuration, sources, layouts and components of another one.
pub(super) fn copy(
    catalog: &Catalog,
    draft: &CopyCaster,
    ctx: &Context<'_>,
) -> Result<Prepared, Refused> {
    let token = client_token(&draft.client_token)?;
    let name = check::name("CasterName", check::present("CasterName", &draft.caster_name)?)?;
    let source = super::find(catalog, &draft.src_caster_id)?;
    let fresh = || (ctx.fresh)().to_string();
    make(catalog, token, || {
        let mut copy = new_caster(token, name.clone(), ctx);
        copy.config = CasterConfig { name: name.clone(), ..source.config.clone() };
        copy.resource_group.clone_from(&source.resource_group);
        copy.tags.clone_from(&source.tags);
        copy.audio_follows_video = source.audio_follows_video;
        copy.resources.clone_from(&source.resources);
        copy.layouts.clone_from(&source.layouts);
        copy.components.clone_from(&source.components);
        copy.channels.clone_from(&source.channels);
        copy.episodes.clone_from(&source.episodes);
        for resource in &mut copy.resources {
            resource.id = ResourceId::parse(&fresh()).expect("a UUID is 36 bytes");
            resource.source = resource.pending.take().unwrap_or(resource.source.clone());
        }
        for layout in &mut copy.layouts {
            layout.id = LayoutId::parse(&fresh()).expect("a UUID is 36 bytes");
        }
        for component in &mut copy.components {
            component.id = ComponentId::parse(&fresh()).expect("a UUID is 36 bytes");
        }
        for episode in &mut copy.episodes {
            episode.id = EpisodeId::parse(&fresh()).expect("a UUID is 36 bytes");
        }
        rename(source, &mut copy);
        copy
    })
}

/// What refers to a source or a component of `source` refers in its copy to the one in the same place.
fn rename(source: &Caster, copy: &mut Caster) {
    let (resources, components) = (copy.resources.clone(), copy.components.clone());
    let resource = |id: &mut ResourceId| {
        if let Some(index) = source.resources.iter().position(|r| r.id == *id) {
            id.clone_from(&resources[index].id);
        }
    };
    let component = |id: &mut ComponentId| {
        if let Some(index) = source.components.iter().position(|c| c.id == *id) {
            id.clone_from(&components[index].id);
        }
    };
    copy.channels.iter_mut().filter_map(|channel| channel.resource.as_mut()).for_each(resource);
    for group in &mut copy.config.sync_groups {
        group.resources.iter_mut().for_each(resource);
        if let SyncMode::Streamer { host } = &mut group.mode {
            resource(host);
        }
    }
    for episode in &mut copy.episodes {
        if let EpisodeContent::Resource { resource: id, .. } = &mut episode.content {
            resource(id);
        }
        episode.components.iter_mut().for_each(component);
    }
}

pub(super) fn client_token(text: &str) -> Result<&str, Refused> {
    let token = check::present("ClientToken", text)?;
    if token.len() > limits::MAX_CLIENT_TOKEN_BYTES || !token.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(check::malformed("ClientToken must be at most 64 ASCII characters."));
    }
    Ok(token)
}

/// A new caster, or the one that this token has made already.
fn make(catalog: &Catalog, token: &str, new: impl FnOnce() -> Caster) -> Result<Prepared, Refused> {
    if let Some(caster) = catalog.made_with(token) {
        return Ok(super::read(written(caster)));
    }
    if catalog.len() >= limits::MAX_CASTERS {
        return Err(ErrorCode::CasterNumberExceed.into());
    }
    let caster = Arc::new(new());
    let answer = written(&caster);
    Ok(Prepared { change: Some(Change::Upsert(caster)), answer, effects: Vec::new() })
}

/// At most [`limits::MAX_TAGS`], each key once.
fn tags(drafts: &[TagDraft]) -> Result<Vec<Tag>, Refused> {
    if drafts.len() > limits::MAX_TAGS {
        return Err(check::malformed(format!("There are more than {} tags.", limits::MAX_TAGS)));
    }
    let mut tags: Vec<Tag> = Vec::with_capacity(drafts.len());
    for TagDraft { key, value } in drafts {
        let key = check::name("Tag.Key", check::present("Tag.Key", key)?)?;
        if tags.iter().any(|tag| tag.key == key) {
            return Err(check::malformed(format!("Tag.Key {key:?} is named twice.")));
        }
        tags.push(Tag { key, value: check::name("Tag.Value", value)? });
    }
    Ok(tags)
}

fn new_caster(token: &str, name: String, ctx: &Context<'_>) -> Caster {
    let id = CasterId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    let name = if name.is_empty() { id.to_string() } else { name };
    Caster {
        client_token: token.to_owned(),
        created_unix_ms: ctx.now_unix_ms,
        modified_unix_ms: ctx.now_unix_ms,
        ..blank(id, name)
    }
}

/// An idle caster that nothing was said of but its name.
pub(super) fn blank(id: CasterId, name: String) -> Caster {
    Caster {
        id,
        revision: 1,
        client_token: String::new(),
        created_unix_ms: 0,
        modified_unix_ms: 0,
        status: Status::Idle,
        config: config::unset(name),
        resource_group: String::new(),
        tags: Vec::new(),
        audio_follows_video: true,
        resources: Vec::new(),
        layouts: Vec::new(),
        components: Vec::new(),
        scenes: None,
        channels: Vec::new(),
        episodes: Vec::new(),
        timed_events: Vec::new(),
        record_asked: None,
        record_answered: None,
    }
}

fn written(caster: &Caster) -> Answer {
    Answer::Written(Written {
        caster: caster.id.clone(),
        revision: caster.revision,
        subject: Subject::Caster,
        applied: None,
    })
}

pub(super) fn delete(caster: &Arc<Caster>) -> Result<Prepared, Refused> {
    if caster.is_on_air() {
        return Err(ErrorCode::CasterInUse.into());
    }
    let change = Some(Change::Delete(caster.id.clone()));
    Ok(Prepared { change, answer: written(caster), effects: Vec::new() })
}

pub(super) fn start(caster: &mut Caster, ctx: &Context<'_>) -> Edit {
    if caster.is_on_air() {
        return Err(ErrorCode::CasterInUse.into());
    }
    if caster.config.domain.is_none() {
        return Err(ErrorCode::DomainNameNotFound.into());
    }
    if caster.config.template.is_none() {
        return Err(ErrorCode::ConfigurationNotFound.into());
    }
    let new_scene = || Scene {
        id: SceneId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes"),
        stream_name: (ctx.fresh)().simple().to_string(),
        layout: None,
        components: Vec::new(),
        mix: Vec::new(),
    };
    caster.scenes.get_or_insert_with(|| Scenes {
        pvw: new_scene(),
        pgm: new_scene(),
        pvw_off: false,
        on_standby: false,
        on_black: false,
        pgm_set_unix_ms: 0,
    });
    caster.status = Status::OnAir { since_unix_ms: ctx.now_unix_ms };
    Ok(Edited { subject: Subject::Caster, effects: vec![Effect::Start] })
}

pub(super) fn stop(caster: &mut Caster) -> Edit {
    let scenes = caster.scenes.as_mut().ok_or(ErrorCode::SceneNotFound)?;
    if caster.status == Status::Idle {
        return Err(ErrorCode::SceneNotStarted.into());
    }
    for scene in [&mut scenes.pvw, &mut scenes.pgm] {
        scene.layout = None;
        scene.components.clear();
        scene.mix.clear();
    }
    (scenes.pvw_off, scenes.on_standby, scenes.on_black) = (false, false, false);
    scenes.pgm_set_unix_ms = 0;
    for channel in &mut caster.channels {
        channel.position_ms = 0;
    }
    caster.status = Status::Idle;
    (caster.record_asked, caster.record_answered) = (None, None);
    settle(caster);
    Ok(Edited { subject: Subject::Caster, effects: vec![Effect::Stop] })
}

/// Ends the show and begins it again with what it showed, and with the sources as they were last changed.
pub(super) fn restart(caster: &mut Caster) -> Edit {
    if caster.scenes.is_none() {
        return Err(ErrorCode::SceneNotFound.into());
    }
    if !caster.is_on_air() {
        return Err(ErrorCode::CasterIdle.into());
    }
    settle(caster);
    Ok(Edited { subject: Subject::Caster, effects: vec![Effect::Restart] })
}

/// Has the show recorded as configured, or not any more, as is asked; either as long as it lasts.
pub(super) fn record(caster: &mut Caster, asked: Option<bool>) -> Edit {
    if !caster.is_on_air() {
        return Err(ErrorCode::CasterIdle.into());
    }
    if caster.config.record.is_none() {
        let message = "RecordConfig is not configured.";
        return Err(Refused::new(ErrorCode::ConfigurationNotFound, message));
    }
    caster.record_asked = asked;
    Ok(Edited::of(Subject::Caster))
}

/// Has the show recorded as its receiver of callbacks says, unless somebody was quicker.
pub(super) fn answer_record(caster: &mut Caster, answer: &RecordAnswer) -> Edit {
    let is_open = caster.record_question().is_some();
    if let Some(record) = caster.config.record.clone().filter(|_| is_open) {
        let configured = |kind: &RecordKind| {
            let found = record.formats.iter().find(|format| format.kind == *kind).cloned();
            found.unwrap_or_else(|| RecordFormat::usual(*kind))
        };
        let kinds: Vec<RecordKind> = match answer.formats.is_empty() {
            true => record.formats.iter().map(|format| format.kind).collect(),
            false => answer.formats.clone(),
        };
        let mut formats: Vec<RecordFormat> = kinds.iter().map(configured).collect();
        for format in &mut formats {
            let cycle = answer.cycles_s.iter().find(|(kind, _)| *kind == format.kind);
            format.cycle_s = cycle.map_or(format.cycle_s, |(_, cycle_s)| *cycle_s);
        }
        caster.record_asked = Some(answer.is_wanted);
        caster.record_answered = Some(RecordConfig { formats, ..record });
    }
    Ok(Edited::of(Subject::Caster))
}

/// No change of a source waits any more.
fn settle(caster: &mut Caster) {
    for resource in &mut caster.resources {
        if let Some(pending) = resource.pending.take() {
            resource.source = pending;
        }
    }
}

pub(super) fn move_to_group(caster: &mut Caster, group: &str) -> Edit {
    let group = check::present("NewResourceGroupId", group)?;
    caster.resource_group = check::name("NewResourceGroupId", group)?;
    Ok(Edited::of(Subject::Caster))
}

/// Sets when the caster starts or stops by itself; an earlier setting of the same kind is replaced.
pub(super) fn set_timed_event(
    caster: &mut Caster,
    (name, at_unix_ms): (&str, Option<i64>),
    ctx: &Context<'_>,
) -> Edit {
    let name = check::present("EventName", name)?;
    let kind = TimedEventKind::ALL.iter().copied().find(|kind| {
        let word = kind.as_str();
        name.eq_ignore_ascii_case(word)
            || word.strip_suffix("Caster").is_some_and(|w| name.eq_ignore_ascii_case(w))
    });
    let kind =
        kind.ok_or_else(|| check::malformed("EventName must be StartCaster or StopCaster."))?;
    let at_unix_ms = check::unix_ms("StartTimeUTC", at_unix_ms, ErrorCode::StartTimeMalformed)?;
    if at_unix_ms <= ctx.now_unix_ms {
        return Err(Refused::new(ErrorCode::StartTimeMalformed, "StartTimeUTC is over."));
    }
    caster.timed_events.retain(|event| event.kind != kind);
    caster.timed_events.push(TimedEvent { kind, at_unix_ms });
    Ok(Edited::of(Subject::Caster))
}

pub(super) fn describe_all(catalog: &Catalog, filter: &DescribeCasters) -> Result<Answer, Refused> {
    let on_air = match filter.status {
        None => None,
        Some(0) => Some(false),
        Some(1) => Some(true),
        Some(_) => return Err(ErrorCode::StatusMalformed.into()),
    };
    let from = u64::try_from(filter.start_time_unix_ms.unwrap_or(0))
        .map_err(|_negative| ErrorCode::StartTimeMalformed)?;
    let to = match filter.end_time_unix_ms {
        None => u64::MAX,
        Some(ms) => {
            u64::try_from(ms).ok().filter(|&to| to >= from).ok_or(ErrorCode::EndTimeMalformed)?
        }
    };
    let page_num = page(filter.page_num, 1, usize::MAX).ok_or(ErrorCode::PageNumMalformed)?;
    let page_size = page(filter.page_size, limits::MAX_PAGE_SIZE, limits::MAX_PAGE_SIZE)
        .ok_or(ErrorCode::PageSizeMalformed)?;
    let mut found: Vec<&Arc<Caster>> = catalog
        .casters()
        .filter(|c| filter.caster_id.is_empty() || c.id.as_str() == filter.caster_id)
        .filter(|c| c.config.name.contains(&filter.caster_name))
        .filter(|c| on_air.is_none_or(|on_air| c.is_on_air() == on_air))
        .filter(|c| (from..=to).contains(&c.created_unix_ms))
        .filter(|_| filter.norm_type.is_none_or(|norm| norm == NORM_TYPE_GENERAL))
        .filter(|_| filter.charge_type.is_none_or(|charge| charge == CHARGE_TYPE_POST_PAID))
        .filter(|c| [&c.resource_group, ""].contains(&filter.resource_group_id.as_str()))
        .filter(|c| filter.tags.iter().all(|tag| has_tag(c, tag)))
        .collect();
    found.sort_by_key(|c| Reverse(c.modified_unix_ms));
    if filter.order_by_modify_asc {
        found.reverse();
    }
    let skip = (page_num - 1).saturating_mul(page_size);
    Ok(Answer::Casters {
        total: found.len(),
        page: found.into_iter().skip(skip).take(page_size).cloned().collect(),
    })
}

/// Whether a caster has a tag of this key and, if the filter names one, this value.
fn has_tag(caster: &Caster, wanted: &TagDraft) -> bool {
    let fits =
        |tag: &Tag| tag.key == wanted.key && [&tag.value, ""].contains(&wanted.value.as_str());
    caster.tags.iter().any(fits)
}

pub(super) fn page(value: Option<i32>, default: usize, max: usize) -> Option<usize> {
    let value = value.map_or(Some(default), |v| usize::try_from(v).ok())?;
    (1..=max).contains(&value).then_some(value)
}
