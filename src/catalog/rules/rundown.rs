//! Rules of the rundown.
//!
//! Must not know ticks. Invariant: what an episode names exists, and it ends after it begins.

use std::sync::Arc;

use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    Caster, Episode, EpisodeContent, Place, Source, SwitchType, episode_status,
};
use super::super::{Answer, Context, EpisodeDraft, MediaFacts, ProgramFilter, Subject};
use super::{Edit, Edited, check, components, studio};
use crate::ids::{EpisodeId, ResourceId};
use crate::limits;

/// `EpisodeType` of a source.
const RESOURCE: &str = "Resource";
/// `EpisodeType` of components.
const COMPONENT: &str = "Component";

pub(super) fn add(caster: &mut Caster, drafts: &[EpisodeDraft], ctx: &Context<'_>) -> Edit {
    if drafts.is_empty() {
        return Err(check::missing("Episode"));
    }
    let mut ids = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if caster.episodes.len() >= limits::MAX_EPISODES {
            let message = "Number of episodes exceeded";
            return Err(Refused::new(ErrorCode::ResourceNumberExceed, message));
        }
        let episode = new(caster, draft, ctx)?;
        ids.push(episode.id.clone());
        caster.episodes.push(episode);
    }
    Ok(Edited::of(Subject::Episodes(ids)))
}

fn new(caster: &Caster, draft: &EpisodeDraft, ctx: &Context<'_>) -> Result<Episode, Refused> {
    let content = match check::present("EpisodeType", &draft.episode_type)? {
        RESOURCE => EpisodeContent::Resource {
            resource: resource(caster, check::present("ResourceId", &draft.resource_id)?)?,
            switch: check::word(
                "SwitchType",
                &draft.switch_type,
                SwitchType::parse,
                SwitchType::TimeFirst,
            )?,
        },
        COMPONENT => EpisodeContent::Component,
        _ => return Err(check::malformed("EpisodeType must be Resource or Component.")),
    };
    let id = EpisodeId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    let name = check::name("EpisodeName", &draft.episode_name)?;
    let (start, end) = (draft.start_time_unix_ms, draft.end_time_unix_ms);
    let episode = Episode {
        name: if name.is_empty() { id.to_string() } else { name },
        id,
        content,
        components: components::ids(caster, &draft.component_ids)?,
        start_unix_ms: check::unix_ms("StartTime", start, ErrorCode::StartTimeMalformed)?,
        end_unix_ms: check::unix_ms("EndTime", end, ErrorCode::EndTimeMalformed)?,
    };
    check_whole(caster, &episode, ctx)?;
    Ok(episode)
}

pub(super) fn modify(caster: &mut Caster, drafts: &[EpisodeDraft], ctx: &Context<'_>) -> Edit {
    if drafts.is_empty() {
        return Err(check::missing("Episode"));
    }
    let mut ids = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let index = find(caster, &draft.episode_id)?;
        let episode = modified(caster, &caster.episodes[index], draft)?;
        check_whole(caster, &episode, ctx)?;
        ids.push(episode.id.clone());
        caster.episodes[index] = episode;
    }
    Ok(Edited::of(Subject::Episodes(ids)))
}

fn modified(caster: &Caster, before: &Episode, draft: &EpisodeDraft) -> Result<Episode, Refused> {
    let mut episode = before.clone();
    let kind = episode.type_name();
    if ![kind, ""].contains(&&draft.episode_type[..]) {
        return Err(check::malformed("EpisodeType of an episode cannot change."));
    }
    if let EpisodeContent::Resource { resource: id, switch } = &mut episode.content {
        if !draft.resource_id.is_empty() {
            *id = resource(caster, &draft.resource_id)?;
        }
        *switch = check::word("SwitchType", &draft.switch_type, SwitchType::parse, *switch)?;
    }
    if !draft.episode_name.is_empty() {
        episode.name = check::name("EpisodeName", &draft.episode_name)?;
    }
    if !draft.component_ids.is_empty() {
        episode.components = components::ids(caster, &draft.component_ids)?;
    }
    if let Some(start) = draft.start_time_unix_ms {
        episode.start_unix_ms =
            check::unix_ms("StartTime", Some(start), ErrorCode::StartTimeMalformed)?;
    }
    if let Some(end) = draft.end_time_unix_ms {
        episode.end_unix_ms = check::unix_ms("EndTime", Some(end), ErrorCode::EndTimeMalformed)?;
    }
    Ok(episode)
}

/// What must fit together.
fn check_whole(caster: &Caster, episode: &Episode, ctx: &Context<'_>) -> Result<(), Refused> {
    if episode.end_unix_ms <= episode.start_unix_ms {
        let message = "EndTime must be after StartTime.";
        return Err(Refused::new(ErrorCode::EndTimeMalformed, message));
    }
    match &episode.content {
        EpisodeContent::Component if episode.components.is_empty() => {
            Err(check::missing("ComponentId"))
        }
        EpisodeContent::Component => Ok(()),
        EpisodeContent::Resource { resource, switch } => {
            let source = caster.resource(resource).ok_or(ErrorCode::ResourceNotFound)?;
            let source = source.configured();
            if matches!(source, Source::Live { .. }) && *switch == SwitchType::ContentFirst {
                return Err(check::malformed("SwitchType of a live source is TimeFirst."));
            }
            let is_short = file_ms(source, ctx)
                .is_some_and(|file_ms| episode.end_unix_ms - episode.start_unix_ms > file_ms);
            if is_short { Err(ErrorCode::EpisodeTooLong.into()) } else { Ok(()) }
        }
    }
}

/// How long a file of the media library plays, ms; none if it is not known or has no end.
fn file_ms(source: &Source, ctx: &Context<'_>) -> Option<u64> {
    let Source::Vod { place: Place::Material(id), play } = source else { return None };
    let Some(MediaFacts::Video { duration_ms }) = (ctx.media)(id) else { return None };
    let plays = u64::try_from(play.repeat_num).ok()? + 1;
    Some(play.length_ms(duration_ms).saturating_mul(plays))
}

fn resource(caster: &Caster, text: &str) -> Result<ResourceId, Refused> {
    let id = check::resource_id(text)?;
    match caster.resource(&id) {
        Some(_) => Ok(id),
        None => Err(ErrorCode::ResourceNotFound.into()),
    }
}

fn find(caster: &Caster, episode_id: &str) -> Result<usize, Refused> {
    check::present("EpisodeId", episode_id)?;
    caster
        .episodes
        .iter()
        .position(|e| e.id.as_str() == episode_id)
        .ok_or_else(|| ErrorCode::EpisodeNotFound.into())
}

pub(super) fn delete(caster: &mut Caster, episode_id: &str) -> Edit {
    let index = find(caster, episode_id)?;
    let gone = caster.episodes.remove(index);
    Ok(Edited::of(Subject::Episodes(vec![gone.id])))
}

pub(super) fn delete_all(caster: &mut Caster) -> Edit {
    caster.episodes.clear();
    Ok(Edited::of(Subject::Caster))
}

impl Episode {
    /// The API's `EpisodeType`.
    pub fn type_name(&self) -> &'static str {
        match self.content {
            EpisodeContent::Resource { .. } => RESOURCE,
            EpisodeContent::Component => COMPONENT,
        }
    }

    /// The source that it shows, if any.
    pub fn resource(&self) -> Option<&ResourceId> {
        match &self.content {
            EpisodeContent::Resource { resource, .. } => Some(resource),
            EpisodeContent::Component => None,
        }
    }
}

pub(super) fn describe(
    caster: &Arc<Caster>,
    filter: &ProgramFilter,
    ctx: &Context<'_>,
) -> Result<Answer, Refused> {
    if filter.status.is_some_and(|status| !(0..=2).contains(&status)) {
        return Err(check::malformed("Status can only be 0, 1 or 2."));
    }
    let after =
        |ms: Option<i64>, code| ms.map(|ms| check::unix_ms("Time", Some(ms), code)).transpose();
    let from = after(filter.start_time_unix_ms, ErrorCode::StartTimeMalformed)?;
    let to = after(filter.end_time_unix_ms, ErrorCode::EndTimeMalformed)?;
    let page_num =
        studio::page(filter.page_num, 1, usize::MAX).ok_or(ErrorCode::PageNumMalformed)?;
    let page_size = studio::page(filter.page_size, limits::MAX_PAGE_SIZE, limits::MAX_PAGE_SIZE)
        .ok_or(ErrorCode::PageSizeMalformed)?;
    let found: Vec<_> = caster
        .episodes
        .iter()
        .filter(|e| ["", e.id.as_str()].contains(&filter.episode_id.as_str()))
        .filter(|e| ["", e.type_name()].contains(&filter.episode_type.as_str()))
        .filter(|e| from.is_none_or(|from| e.start_unix_ms > from))
        .filter(|e| to.is_none_or(|to| e.start_unix_ms < to))
        .map(|e| (e.clone(), episode_status(&caster.episodes, &e.id, ctx.now_unix_ms)))
        .filter(|(_, status)| filter.status.is_none_or(|wanted| wanted == *status as i32))
        .collect();
    let skip = (page_num - 1).saturating_mul(page_size);
    Ok(Answer::Program {
        caster: caster.clone(),
        total: found.len(),
        page: found.into_iter().skip(skip).take(page_size).collect(),
    })
}

/// Refuses to take away what an episode that is not over needs, and forgets those that are over and need it.
pub(super) fn release(
    caster: &mut Caster,
    needs: impl Fn(&Episode) -> bool,
    ctx: &Context<'_>,
) -> Result<(), Refused> {
    let is_over = |e: &Episode| e.end_unix_ms <= ctx.now_unix_ms;
    if caster.episodes.iter().any(|e| needs(e) && !is_over(e)) {
        let message = "An episode of the rundown needs it: delete that first.";
        return Err(Refused::new(ErrorCode::SceneInUse, message));
    }
    caster.episodes.retain(|e| !needs(e));
    Ok(())
}
