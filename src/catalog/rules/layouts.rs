//! Rules of layouts.
//!
//! Must not know how a layout is drawn. Invariant: a layout names each location at most once in each list, and when it
//! is accepted there is a source at each.

use std::sync::Arc;

use super::super::Context;
use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    AudioLayer, Caster, FillMode, LayerLook, Layout, LayoutPreset, LocationId, Placement,
    VideoLayer,
};
use super::super::{Answer, AudioLayerDraft, LayoutDraft, Subject, VideoLayerDraft};
use super::{Edit, Edited, check, look, used_on_air};
use crate::ids::{Bus, LayoutId};
use crate::limits;

pub(super) fn add(caster: &mut Caster, draft: &LayoutDraft, ctx: &Context<'_>) -> Edit {
    if draft.blend_list.is_empty() {
        check::present("BlendList", "")?;
    }
    let blend = check::locations("BlendList", &draft.blend_list, limits::MAX_LAYERS)?;
    let video = parse_video(&blend, draft, &[])?;
    let audio = parse_heard(&blend, draft)?;
    let backdrop = draft.backdrop.as_ref().map(|backdrop| look::backdrop(backdrop, ctx));
    let backdrop = backdrop.transpose()?.unwrap_or_default();
    if caster.layouts.len() >= limits::MAX_LAYOUTS {
        let message = "Number of layouts exceeded";
        return Err(Refused::new(ErrorCode::ResourceNumberExceed, message));
    }
    let id = LayoutId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    let layout = Layout { id: id.clone(), backdrop, video, audio };
    has_sources(caster, &layout)?;
    caster.layouts.push(layout);
    has_room_for_backdrops(caster)?;
    Ok(Edited::of(Subject::Layout(id)))
}

/// Every image of a caster is kept decoded while it is on air.
fn has_room_for_backdrops(caster: &Caster) -> Result<(), Refused> {
    let images = caster.layouts.iter().filter(|layout| layout.backdrop.image.is_some()).count();
    if images > limits::MAX_BACKDROP_IMAGES {
        let message = "Number of images behind layouts exceeded";
        return Err(Refused::new(ErrorCode::ResourceNumberExceed, message));
    }
    Ok(())
}

pub(super) fn modify(
    caster: &mut Caster,
    layout_id: &str,
    draft: &LayoutDraft,
    ctx: &Context<'_>,
) -> Edit {
    let index = find(caster, layout_id)?;
    let mut layout = caster.layouts[index].clone();
    if let Some(backdrop) = &draft.backdrop {
        layout.backdrop = look::backdrop(backdrop, ctx)?;
    }
    let has_layers = !draft.video_layers.is_empty() || !draft.preset.is_empty();
    if !draft.blend_list.is_empty() || has_layers {
        let mut blend = check::locations("BlendList", &draft.blend_list, limits::MAX_LAYERS)?;
        if blend.is_empty() {
            blend = layout.video.iter().map(|v| v.location).collect();
        }
        layout.video = if !has_layers && blend.len() == layout.video.len() {
            let moved =
                |(&location, layer): (&LocationId, &VideoLayer)| VideoLayer { location, ..*layer };
            blend.iter().zip(&layout.video).map(moved).collect()
        } else {
            parse_video(&blend, draft, &layout.video)?
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
    has_room_for_backdrops(caster)?;
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

/// The layers of these locations: those of the draft, or of the preset that it names. What neither says stays as `known` has
/// it for the location.
fn parse_video(
    blend: &[LocationId],
    draft: &LayoutDraft,
    known: &[VideoLayer],
) -> Result<Vec<VideoLayer>, Refused> {
    let known_at = |location| known.iter().find(|layer| layer.location == location);
    if !draft.preset.is_empty() {
        let slots = parse_preset(draft, blend.len())?;
        let layer = |(&location, &placement): (&LocationId, &Placement)| VideoLayer {
            location,
            fill: FillMode::Fit,
            placement,
            delay_ms: known_at(location).map_or(0, |layer| layer.delay_ms),
            look: known_at(location).map(|layer| layer.look).unwrap_or_default(),
        };
        return Ok(blend.iter().zip(slots).map(layer).collect());
    }
    let layers = &draft.video_layers;
    if blend.len() != layers.len() {
        return Err(ErrorCode::VideoLayersMismatch.into());
    }
    let layer = |(&location, draft): (&LocationId, &VideoLayerDraft)| {
        let look = known_at(location).map(|layer| layer.look).unwrap_or_default();
        parse_layer(location, draft, look)
    };
    blend.iter().zip(layers).map(layer).collect()
}

/// The boxes of the preset that a draft names, for so many sources.
fn parse_preset(draft: &LayoutDraft, sources: usize) -> Result<&'static [Placement], Refused> {
    if !draft.video_layers.is_empty() {
        return Err(check::malformed("Only one of Preset and VideoLayer is allowed."));
    }
    let preset = LayoutPreset::named(&draft.preset)
        .map_err(|unknown| check::malformed(format!("Preset {unknown}.")))?;
    let slots = preset.slots();
    if slots.len() != sources {
        let (name, shown) = (preset.as_str(), slots.len());
        let message = format!("Preset {name} shows {shown} sources, BlendList has {sources}.");
        return Err(check::malformed(message));
    }
    Ok(slots)
}

fn parse_layer(
    location: LocationId,
    draft: &VideoLayerDraft,
    kept: LayerLook,
) -> Result<VideoLayer, Refused> {
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
    let look = draft.look.as_ref().map_or(Ok(kept), look::layer)?;
    Ok(VideoLayer { location, fill, placement, delay_ms, look })
}

/// What a new layout sounds like: what the draft says. Of one that is made by a preset, the first source is heard when it
/// says nothing, and each as it is when it names them only.
fn parse_heard(blend: &[LocationId], draft: &LayoutDraft) -> Result<Vec<AudioLayer>, Refused> {
    let mut mix = check::locations("MixList", &draft.mix_list, limits::MAX_MIX)?;
    if draft.preset.is_empty() || !draft.audio_layers.is_empty() {
        return parse_audio(&mix, &draft.audio_layers, layout_mismatch);
    }
    if mix.is_empty() {
        mix.extend(blend.first());
    }
    parse_audio(&mix, &vec![AudioLayerDraft::default(); mix.len()], layout_mismatch)
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
