//! Rules of sources.
//!
//! Must not know how a source is reached. Invariant: one source per location, exactly one kind of source each.

use super::super::Context;
use super::super::code::{ErrorCode, Refused};
use super::super::model::{Caster, LocationId, Play, Resource, Source};
use super::super::{ResourceDraft, Subject};
use super::{Edit, Edited, check, scenes, used_on_air};
use crate::ids::{Bus, ResourceId};
use crate::limits;

/// Schemes of a live stream's URL.
const LIVE_SCHEMES: &[&str] = &["rtmp", "http", "https", "srt"];

/// What a test pattern's URL begins with.
const PATTERN: &str = "pattern:";

pub(super) fn add(caster: &mut Caster, draft: &ResourceDraft, ctx: &Context<'_>) -> Edit {
    let name = check::name("ResourceName", check::present("ResourceName", &draft.resource_name)?)?;
    let location = check::location("LocationId", &draft.location_id)?;
    let source = parse_source(draft)?.ok_or_else(no_source)?;
    if caster.resources.len() >= limits::MAX_RESOURCES {
        return Err(ErrorCode::ResourceNumberExceed.into());
    }
    if caster.resource_at(location).is_some() {
        return Err(ErrorCode::DuplicateLocationId.into());
    }
    let id = ResourceId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    caster.resources.push(Resource { id: id.clone(), name, location, source, pending: None });
    Ok(Edited::of(Subject::Resource(id)))
}

pub(super) fn modify(caster: &mut Caster, resource_id: &str, draft: &ResourceDraft) -> Edit {
    let index = find(caster, resource_id)?;
    let resource = &mut caster.resources[index];
    if !draft.location_id.is_empty() && draft.location_id != resource.location.to_string() {
        return Err(check::malformed("LocationId of a resource cannot change."));
    }
    if !draft.resource_name.is_empty() {
        resource.name = check::name("ResourceName", &draft.resource_name)?;
    }
    let source = modified(resource.configured(), draft)?;
    // With PVW stopped there is nobody to look at it first.
    let waits = caster.is_scene_on(Bus::Pvw) && is_used(caster, caster.resources[index].location);
    let resource = &mut caster.resources[index];
    if waits {
        resource.pending = Some(source).filter(|source| *source != resource.source);
    } else {
        (resource.source, resource.pending) = (source, None);
    }
    Ok(Edited::of(Subject::Resource(resource.id.clone())))
}

/// What a source becomes by a draft.
fn modified(present: &Source, draft: &ResourceDraft) -> Result<Source, Refused> {
    match (parse_source(draft)?, present) {
        (Some(Source::Vod { url, .. }), _) => {
            Ok(Source::Vod { url, play: merge_play(present, draft)? })
        }
        (Some(other), _) => Ok(other),
        (None, Source::Vod { url, .. }) if has_play(draft) => {
            Ok(Source::Vod { url: url.clone(), play: merge_play(present, draft)? })
        }
        (None, _) if has_play(draft) => Err(files_only()),
        (None, present) => Ok(present.clone()),
    }
}

/// A source that waits to be what it was changed to is so from now on, in every scene that uses it.
pub(super) fn effect(caster: &mut Caster, scene_id: &str, resource_id: &str) -> Edit {
    let bus = scenes::find_on(caster, scene_id)?;
    let index = find(caster, resource_id)?;
    if !uses(caster, bus, caster.resources[index].location) {
        let message = "The scene does not use the resource.";
        return Err(Refused::new(ErrorCode::ResourceNotFound, message));
    }
    let resource = &mut caster.resources[index];
    if let Some(pending) = resource.pending.take() {
        resource.source = pending;
    }
    Ok(Edited::of(Subject::Resource(resource.id.clone())))
}

pub(super) fn delete(caster: &mut Caster, resource_id: &str) -> Edit {
    let index = find(caster, resource_id)?;
    let location = caster.resources[index].location;
    used_on_air(caster, |caster, bus| uses(caster, bus, location))?;
    let resource = caster.resources.remove(index);
    Ok(Edited::of(Subject::Resource(resource.id)))
}

/// Whether a scene shows or sounds what is at a location.
fn uses(caster: &Caster, bus: Bus, location: LocationId) -> bool {
    caster.scene(bus).is_some_and(|scene| {
        let shown = scene.layout.as_ref().and_then(|id| caster.layout(id));
        scene.mix.iter().any(|a| a.location == location)
            || shown.is_some_and(|l| l.video.iter().any(|v| v.location == location))
    })
}

fn is_used(caster: &Caster, location: LocationId) -> bool {
    [Bus::Pgm, Bus::Pvw].into_iter().any(|bus| uses(caster, bus, location))
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
    check::malformed("Specified parameter LiveStreamUrl, VodUrl, ImageUrl can't be all empty.")
}

fn files_only() -> Refused {
    check::malformed("RepeatNum, BeginOffset and EndOffset are for VodUrl only.")
}

fn has_play(draft: &ResourceDraft) -> bool {
    [draft.repeat_num, draft.begin_offset_ms, draft.end_offset_ms].iter().any(Option::is_some)
}

/// The source that a draft names, if any; a file's play settings are those of the draft over the defaults.
fn parse_source(draft: &ResourceDraft) -> Result<Option<Source>, Refused> {
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
    if !draft.material_id.is_empty() || !draft.image_id.is_empty() {
        let message = "MaterialId is not found: there is no media library yet.";
        return Err(Refused::new(ErrorCode::MaterialIdMalformed, message));
    }
    let source = if !draft.live_stream_url.is_empty() {
        let url = check::url("LiveStreamUrl", &draft.live_stream_url, LIVE_SCHEMES)
            .map_err(|r| Refused::new(ErrorCode::LiveStreamUrlMalformed, r.message))?;
        Source::Live { url }
    } else if !draft.image_url.is_empty() {
        Source::Image { url: check::url("ImageUrl", &draft.image_url, check::IMAGE_SCHEMES)? }
    } else if !draft.vod_url.is_empty() {
        let url = match draft.vod_url.strip_prefix(PATTERN) {
            Some(rest) if rest.len() <= 64 && rest.bytes().all(|b| b.is_ascii_graphic()) => {
                draft.vod_url.clone()
            }
            _ => check::url("VodUrl", &draft.vod_url, check::FILE_SCHEMES)?,
        };
        return Ok(Some(Source::Vod { url, play: parse_play(Play::default(), draft)? }));
    } else {
        return Ok(None);
    };
    if has_play(draft) { Err(files_only()) } else { Ok(Some(source)) }
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
