//! Rules of layouts.
//!
//! Must not know how a layout is drawn. Invariant: a layout names each location at most once in each list, and when it
//! is accepted there is a source at each.

use std::sync::Arc;

use super::super::Context;
use super::super::code::{ErrorCode, Refused};
use super::super::model::{AudioLayer, Caster, FillMode, Layout, LocationId, VideoLayer};
use super::super::{Answer, AudioLayerDraft, LayoutDraft, Subject, VideoLayerDraft};
use super::{Edit, Edited, check, used_on_air};
use crate::ids::{Bus, LayoutId};
use crate::limits;

pub(super) fn add(caster: &mut Caster, draft: &LayoutDraft, ctx: &Context<'_>) -> Edit {
    if draft.blend_list.is_empty() {
        check::present("BlendList", "")?;
    }
    let blend = check::locations("BlendList", &draft.blend_list, limits::MAX_LAYERS)?;
    let mix = check::locations("MixList", &draft.mix_list, limits::MAX_MIX)?;
    let video = parse_video(&blend, &draft.video_layers)?;
    let audio = parse_audio(&mix, &draft.audio_layers, layout_mismatch)?;
    if caster.layouts.len() >= limits::MAX_LAYOUTS {
        let message = "Number of layouts exceeded";
        return Err(Refused::new(ErrorCode::ResourceNumberExceed, message));
    }
    let id = LayoutId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    let layout = Layout { id: id.clone(), video, audio };
    has_sources(caster, &layout)?;
    caster.layouts.push(layout);
    Ok(Edited::of(Subject::Layout(id)))
}

pub(super) fn modify(caster: &mut Caster, layout_id: &str, draft: &LayoutDraft) -> Edit {
    let index = find(caster, layout_id)?;
    let mut layout = caster.layouts[index].clone();
    if !draft.blend_list.is_empty() || !draft.video_layers.is_empty() {
        let mut blend = check::locations("BlendList", &draft.blend_list, limits::MAX_LAYERS)?;
        if blend.is_empty() {
            blend = layout.video.iter().map(|v| v.location).collect();
        }
        layout.video = if draft.video_layers.is_empty() && blend.len() == layout.video.len() {
            let moved =
                |(&location, layer): (&LocationId, &VideoLayer)| VideoLayer { location, ..*layer };
            blend.iter().zip(&layout.video).map(moved).collect()
        } else {
            parse_video(&blend, &draft.video_layers)?
        };
    }
    if !draft.mix_list.is_empty() || !draft.audio_layers.is_empty() {
        let mut mix = check::locations("MixList", &draft.mix_list, limits::MAX_MIX)?;
        if mix.is_empty() {
            mix = layout.audio.iter().map(|a| a.location).collect();
        }
        layout.audio = if draft.audio_layers.is_empty() && mix.len() == layout.audio.len() {
            let moved =
                |(&location, layer): (&LocationId, &AudioLayer)| AudioLayer { location, ..*layer };
            mix.iter().zip(&layout.audio).map(moved).collect()
        } else {
            parse_audio(&mix, &draft.audio_layers, layout_mismatch)?
        };
    }
    has_sources(caster, &layout)?;
    let id = layout.id.clone();
    if caster.layouts[index].audio != layout.audio {
        follow(caster, &layout);
    }
    caster.layouts[index] = layout;
    Ok(Edited::of(Subject::Layout(id)))
}

/// The scenes on air that show a layout hear its new sound: PVW always, PGM when audio follows video.
fn follow(caster: &mut Caster, layout: &Layout) {
    let (on_air, follows) = (caster.is_on_air(), caster.audio_follows_video);
    let Some(scenes) = caster.scenes.as_mut().filter(|_| on_air) else { return };
    for bus in [Bus::Pvw, Bus::Pgm] {
        let scene = scenes.get_mut(bus);
        if scene.layout.as_ref() == Some(&layout.id) && (bus == Bus::Pvw || follows) {
            scene.mix.clone_from(&layout.audio);
        }
    }
}

pub(super) fn delete(caster: &mut Caster, layout_id: &str) -> Edit {
    let index = find(caster, layout_id)?;
    let id = caster.layouts[index].id.clone();
    used_on_air(caster, |caster, bus| {
        caster.scene(bus).is_some_and(|scene| scene.layout.as_ref() == Some(&id))
    })?;
    caster.layouts.remove(index);
    Ok(Edited::of(Subject::Layout(id)))
}

pub(super) fn describe(caster: &Arc<Caster>, layout_id: &str) -> Result<Answer, Refused> {
    let layouts = match layout_id {
        "" => caster.layouts.clone(),
        id => vec![caster.layouts[find(caster, id)?].clone()],
    };
    Ok(Answer::Layouts(caster.clone(), layouts))
}

/// Where the layout with this identifier stands in the caster's list.
pub(super) fn find(caster: &Caster, layout_id: &str) -> Result<usize, Refused> {
    check::present("LayoutId", layout_id)?;
    caster
        .layouts
        .iter()
        .position(|l| l.id.as_str() == layout_id)
        .ok_or_else(|| ErrorCode::LayoutNotFound.into())
}

/// Whether there is a source at each location that the layout names.
pub(super) fn has_sources(caster: &Caster, layout: &Layout) -> Result<(), Refused> {
    let video = layout.video.iter().map(|v| v.location);
    let audio = layout.audio.iter().map(|a| a.location);
    has_sources_at(caster, video.chain(audio))
}

pub(super) fn has_sources_at(
    caster: &Caster,
    mut locations: impl Iterator<Item = LocationId>,
) -> Result<(), Refused> {
    locations.find(|&l| caster.resource_at(l).is_none()).map_or(Ok(()), |empty| {
        let message = format!("Reference resource of layout is not found: {empty} is empty.");
        Err(Refused::new(ErrorCode::ResourceNotFound, message))
    })
}

fn parse_video(
    blend: &[LocationId],
    layers: &[VideoLayerDraft],
) -> Result<Vec<VideoLayer>, Refused> {
    if blend.len() != layers.len() {
        return Err(ErrorCode::VideoLayersMismatch.into());
    }
    blend.iter().zip(layers).map(|(&location, draft)| parse_layer(location, draft)).collect()
}

fn parse_layer(location: LocationId, draft: &VideoLayerDraft) -> Result<VideoLayer, Refused> {
    let fill = check::word("FillMode", &draft.fill_mode, FillMode::parse, FillMode::None)?;
    let placement = check::placement(&draft.placement)?;
    if fill == FillMode::Fit && (placement.width <= 0.0 || placement.height <= 0.0) {
        let message = "FillMode fit needs WidthNormalized and HeightNormalized above 0.";
        return Err(check::malformed(message));
    }
    let delay_ms = check::integer(
        "FixedDelayDuration",
        draft.fixed_delay_duration_ms,
        limits::MAX_FIXED_DELAY_MS,
    )?;
    Ok(VideoLayer { location, fill, placement, delay_ms })
}

fn layout_mismatch() -> Refused {
    // The API's own code for both lists of a layout.
    let message = "Specified parameter AudioLayers and MixList size is invalid.";
    Refused::new(ErrorCode::VideoLayersMismatch, message)
}

/// A mix of these locations and layers, one for one; `mismatch` says how a differing count is refused.
pub(super) fn parse_audio(
    mix: &[LocationId],
    layers: &[AudioLayerDraft],
    mismatch: fn() -> Refused,
) -> Result<Vec<AudioLayer>, Refused> {
    if mix.len() != layers.len() {
        return Err(mismatch());
    }
    mix.iter().zip(layers).map(|(&location, draft)| check::audio_layer(location, draft)).collect()
}
