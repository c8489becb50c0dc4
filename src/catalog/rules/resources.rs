//! Rules of sources.
//!
//! Must not know how a source is reached. Invariant: one source per location, exactly one kind of source each.

use super::super::Context;
use super::super::code::{ErrorCode, Refused};
use super::super::model::{Caster, Place, Play, Resource, Source, SyncGroup, SyncMode};
use super::super::{ResourceDraft, Subject};
use super::{Edit, Edited, channels, check, rundown, scenes, used_on_air};
use crate::ids::{Bus, ResourceId};
use crate::limits;

/// What a test pattern's URL begins with.
const PATTERN: &str = "pattern:";

pub(super) fn add(caster: &mut Caster, draft: &ResourceDraft, ctx: &Context<'_>) -> Edit {
    let name = check::name("ResourceName", check::present("ResourceName", &draft.resource_name)?)?;
    let location = match &draft.location_id[..] {
        "" if caster.config.channel_enable => None,
        text => Some(check::location("LocationId", text)?),
    };
    let source = parse_source(draft, ctx)?.ok_or_else(no_source)?;
    let delay_ms = delay_ms(draft)?;
    let pts_callback_ms = pts_callback_ms(draft, 0)?;
    if caster.resources.len() >= limits::MAX_RESOURCES {
        return Err(ErrorCode::ResourceNumberExceed.into());
    }
    if location.is_some() && caster.resources.iter().any(|r| r.location == location) {
        return Err(ErrorCode::DuplicateLocationId.into());
    }
    let id = ResourceId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    caster.resources.push(Resource {
        id: id.clone(),
        name,
        location,
        source,
        delay_ms,
        pts_callback_ms,
        pending: None,
    });
    Ok(Edited::of(Subject::Resource(id)))
}

pub(super) fn modify(
    caster: &mut Caster,
    resource_id: &str,
    draft: &ResourceDraft,
    ctx: &Context<'_>,
) -> Edit {
    let index = find(caster, resource_id)?;
    let resource = &mut caster.resources[index];
    let location = resource.location.map(|location| location.to_string()).unwrap_or_default();
    if !draft.location_id.is_empty() && draft.location_id != location {
        return Err(check::malformed("LocationId of a resource cannot change."));
    }
    let is_other = |ms: i32| u32::try_from(ms) != Ok(resource.delay_ms);
    if draft.fixed_delay_duration_ms.is_some_and(is_other) {
        return Err(check::malformed("FixedDelayDuration of a resource cannot change."));
    }
    resource.pts_callback_ms = pts_callback_ms(draft, resource.pts_callback_ms)?;
    if !draft.resource_name.is_empty() {
        resource.name = check::name("ResourceName", &draft.resource_name)?;
    }
    let source = modified(resource.configured(), draft, ctx)?;
    let groups = &caster.config.sync_groups;
    let is_live = matches!(source, Source::Live { .. });
    if !is_live && groups.iter().any(|g| g.resources.contains(&caster.resources[index].id)) {
        return Err(check::malformed(
            "The resource is in a sync group, so it stays a live stream.",
        ));
    }
    // With PVW stopped there is nobody to look at it first.
    let waits = caster.is_scene_on(Bus::Pvw) && is_used(caster, &caster.resources[index]);
    let resource = &mut caster.resources[index];
    if waits {
        resource.pending = Some(source).filter(|source| *source != resource.source);
    } else {
        (resource.source, resource.pending) = (source, None);
    }
    Ok(Edited::of(Subject::Resource(resource.id.clone())))
}

/// What a source becomes by a draft.
fn modified(present: &Source, draft: &ResourceDraft, ctx: &Context<'_>) -> Result<Source, Refused> {
    match (parse_source(draft, ctx)?, present) {
        (Some(Source::Vod { place, .. }), _) => {
            Ok(Source::Vod { place, play: merge_play(present, draft)? })
        }
        (Some(other), _) => Ok(other),
        (None, Source::Vod { place, .. }) if has_play(draft) => {
            Ok(Source::Vod { place: place.clone(), play: merge_play(present, draft)? })
        }
        (None, _) if has_play(draft) => Err(files_only()),
        (None, present) => Ok(present.clone()),
    }
}

/// A source that waits to be what it was changed to is so from now on, in every scene that uses it.
pub(super) fn effect(caster: &mut Caster, scene_id: &str, resource_id: &str) -> Edit {
    let bus = scenes::find_on(caster, scene_id)?;
    let index = find(caster, resource_id)?;
    if !is_used_in(caster, bus, &caster.resources[index]) {
        let message = "The scene does not use the resource.";
        return Err(Refused::new(ErrorCode::ResourceNotFound, message));
    }
    let resource = &mut caster.resources[index];
    if let Some(pending) = resource.pending.take() {
        resource.source = pending;
    }
    Ok(Edited::of(Subject::Resource(resource.id.clone())))
}

pub(super) fn delete(caster: &mut Caster, resource_id: &str, ctx: &Context<'_>) -> Edit {
    let index = find(caster, resource_id)?;
    let resource = caster.resources[index].clone();
    used_on_air(caster, |caster, bus| is_used_in(caster, bus, &resource))?;
    rundown::release(caster, |episode| episode.resource() == Some(&resource.id), ctx)?;
    caster.resources.remove(index);
    caster.channels.retain(|channel| channel.resource.as_ref() != Some(&resource.id));
    for group in &mut caster.config.sync_groups {
        group.resources.retain(|member| *member != resource.id);
    }
    let has_host = |group: &SyncGroup| match &group.mode {
        SyncMode::Streamer { host } => *host != resource.id,
        SyncMode::Conference => true,
    };
    caster.config.sync_groups.retain(|group| group.resources.len() > 1 && has_host(group));
    Ok(Edited::of(Subject::Resource(resource.id)))
}

/// Whether a scene shows or sounds a source.
fn is_used_in(caster: &Caster, bus: Bus, resource: &Resource) -> bool {
    caster.location_of(resource).is_some_and(|location| channels::uses(caster, bus, location))
}

fn is_used(caster: &Caster, resource: &Resource) -> bool {
    [Bus::Pgm, Bus::Pvw].into_iter().any(|bus| is_used_in(caster, bus, resource))
}

fn delay_ms(draft: &ResourceDraft) -> Result<u32, Refused> {
    let delay_ms = draft.fixed_delay_duration_ms.unwrap_or(0);
    check::integer("FixedDelayDuration", delay_ms, limits::MAX_FIXED_DELAY_MS)
}

fn pts_callback_ms(draft: &ResourceDraft, present: u32) -> Result<u32, Refused> {
    let Some(interval_ms) = draft.pts_callback_interval_ms else { return Ok(present) };
    check::integer("PtsCallbackInterval", interval_ms, limits::MAX_PTS_CALLBACK_MS)
}

fn find(caster: &Caster, resource_id: &str) -> Result<usize, Refused> {
    let id = check::resource_id(resource_id)?;
    caster
        .resources
        .iter()
        .position(|r| r.id == id)
        .ok_or_else(|| ErrorCode::ResourceNotFound.into())
}

fn no_source() -> Refused {
    check::malformed(
        "Specified parameter LiveStreamUrl, VodUrl, MaterialId, ImageUrl, ImageId can't be all empty.",
    )
}

fn files_only() -> Refused {
    check::malformed("RepeatNum, BeginOffset and EndOffset are for VodUrl only.")
}

fn has_play(draft: &ResourceDraft) -> bool {
    [draft.repeat_num, draft.begin_offset_ms, draft.end_offset_ms].iter().any(Option::is_some)
}

/// The source that a draft names, if any; a file's play settings are those of the draft over the defaults.
fn parse_source(draft: &ResourceDraft, ctx: &Context<'_>) -> Result<Option<Source>, Refused> {
    let fields = [
        &draft.live_stream_url,
        &draft.vod_url,
        &draft.material_id,
        &draft.image_id,
        &draft.image_url,
    ];
    if fields.iter().filter(|f| !f.is_empty()).count() > 1 {
        let message =
            "Only one of LiveStreamUrl, VodUrl, MaterialId, ImageId, ImageUrl is allowed.";
        return Err(check::malformed(message));
    }
    let source = if !draft.live_stream_url.is_empty() {
        let url = check::url("LiveStreamUrl", &draft.live_stream_url, check::LIVE_SCHEMES)
            .map_err(|r| Refused::new(ErrorCode::LiveStreamUrlMalformed, r.message))?;
        Source::Live { url }
    } else if !draft.image_url.is_empty() {
        let url = check::url("ImageUrl", &draft.image_url, check::IMAGE_SCHEMES)?;
        Source::Image { place: Place::Url(url) }
    } else if !draft.image_id.is_empty() {
        let id = check::material("ImageId", &draft.image_id, check::is_image, ctx)?;
        Source::Image { place: Place::Material(id) }
    } else if let Some(place) = parse_file(draft, ctx)? {
        return Ok(Some(Source::Vod { place, play: parse_play(Play::default(), draft)? }));
    } else {
        return Ok(None);
    };
    if has_play(draft) { Err(files_only()) } else { Ok(Some(source)) }
}

/// The file that a draft names, if any.
fn parse_file(draft: &ResourceDraft, ctx: &Context<'_>) -> Result<Option<Place>, Refused> {
    if !draft.material_id.is_empty() {
        let id = check::material("MaterialId", &draft.material_id, check::is_video, ctx)?;
        return Ok(Some(Place::Material(id)));
    }
    let url = match draft.vod_url.strip_prefix(PATTERN) {
        _ if draft.vod_url.is_empty() => return Ok(None),
        Some(rest) if rest.len() <= 64 && rest.bytes().all(|b| b.is_ascii_graphic()) => {
            draft.vod_url.clone()
        }
        _ => check::url("VodUrl", &draft.vod_url, check::FILE_SCHEMES)?,
    };
    Ok(Some(Place::Url(url)))
}

/// The draft's play settings over those of the present source, if that is a file.
fn merge_play(present: &Source, draft: &ResourceDraft) -> Result<Play, Refused> {
    let base = match present {
        Source::Vod { play, .. } => *play,
        Source::Live { .. } | Source::Image { .. } => Play::default(),
    };
    parse_play(base, draft)
}

fn parse_play(base: Play, draft: &ResourceDraft) -> Result<Play, Refused> {
    let play = Play {
        repeat_num: draft.repeat_num.unwrap_or(base.repeat_num),
        begin_offset_ms: draft.begin_offset_ms.unwrap_or(base.begin_offset_ms),
        end_offset_ms: draft.end_offset_ms.unwrap_or(base.end_offset_ms),
    };
    if play.repeat_num < -1 {
        return Err(check::malformed("RepeatNum must be -1 or more."));
    }
    if play.begin_offset_ms < 0 {
        return Err(check::malformed("BeginOffset must be 0 or more."));
    }
    if play.end_offset_ms > 0 && play.end_offset_ms <= play.begin_offset_ms {
        return Err(check::malformed("EndOffset must be after BeginOffset."));
    }
    Ok(play)
}
