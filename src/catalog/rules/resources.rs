//! Rules of sources.
//!
//! Must not know how a source is reached. Invariant: one source per location, exactly one kind of source each.

use super::super::Context;
use super::super::call::{ResourceDraft, Subject};
use super::super::code::{ErrorCode, Refused};
use super::super::model::{Caster, Play, Resource, Source};
use super::{Edit, Edited, check, used_on_air};
use crate::ids::ResourceId;
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
    caster.resources.push(Resource { id: id.clone(), name, location, source });
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
    match parse_source(draft)? {
        Some(Source::Vod { url, .. }) => {
            let play = merge_play(&resource.source, draft)?;
            resource.source = Source::Vod { url, play };
        }
        Some(other) => resource.source = other,
        None if has_play(draft) => {
            let play = merge_play(&resource.source, draft)?;
            let Source::Vod { play: present, .. } = &mut resource.source else {
                return Err(files_only());
            };
            *present = play;
        }
        None => {}
    }
    Ok(Edited::of(Subject::Resource(resource.id.clone())))
}

pub(super) fn delete(caster: &mut Caster, resource_id: &str) -> Edit {
    let index = find(caster, resource_id)?;
    let location = caster.resources[index].location;
    used_on_air(caster, |caster, bus| {
        caster.scene(bus).is_some_and(|scene| {
            let shown = scene.layout.as_ref().and_then(|id| caster.layout(id));
            scene.mix.iter().any(|a| a.location == location)
                || shown.is_some_and(|l| l.video.iter().any(|v| v.location == location))
        })
    })?;
    let resource = caster.resources.remove(index);
    Ok(Edited::of(Subject::Resource(resource.id)))
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
