//! From what a caster's scene is configured to show to what the engine is told.
//!
//! Must not know how inputs run or images are loaded: both come in as look-ups. Invariant: a scene resolves to the same
//! specification whenever the same inputs and images are there; what is not there is left out.

use std::sync::Arc;
use std::time::Duration;

use super::rundown;
use crate::catalog::{
    self, AnsMode, AudioFilter, AudioLayer, Caster, Component, ComponentContent, ComponentEffect,
    Direction, Episode, FillMode, LayerLook, LayerOrder, LocationId, Place, Placement,
    PositionRefer, Scene, Template, TextBackground, Transition, TransitionKind, ValidChannel,
    VideoLayer, Way, When,
};
use crate::config::Preset;
use crate::engine::{self, MixSpec, Readiness, SceneSpec};
use crate::frame::Size;
use crate::ids::{Bus, ComponentId, EpisodeId, InputKey, ResourceId};
use crate::limits;
use crate::media::encode;
use crate::picture::{
    self, Border, LayerSpec, Look, Motion, OverlayContent, OverlaySpec, ScenePicture, TextBox,
    TextSpec,
};
use crate::shot::{Crop, Mirror};

/// Colour of the slate: dark, and not black, so that it is not taken for a fault.
const SLATE_RGB: u32 = 0x1f_2f_4a;
/// Opacity below which a component is not drawn at all.
const INVISIBLE: u8 = 0;

/// Where what scenes show is found: running inputs and loaded images.
pub struct Found<'a> {
    /// The input of a source.
    pub resource: &'a dyn Fn(&ResourceId) -> Option<InputKey>,
    /// The input that an episode has for itself.
    pub episode: &'a dyn Fn(&EpisodeId) -> Option<InputKey>,
    /// The input of standby.
    pub standby: Option<InputKey>,
    /// The image at a place.
    pub image: &'a dyn Fn(&Place) -> Option<Arc<OverlayContent>>,
}

impl Found<'_> {
    fn at(&self, caster: &Caster, location: LocationId) -> Option<Shown> {
        let resource = caster.resource_at(location)?;
        let input = (self.resource)(&resource.id)?;
        Some(Shown { input, delay_ms: resource.delay_ms })
    }

    fn of(&self, caster: &Caster, episode: &Episode) -> Option<Shown> {
        let id = episode.resource()?;
        let input = (self.episode)(&episode.id).or_else(|| (self.resource)(id))?;
        Some(Shown { input, delay_ms: caster.resource(id).map_or(0, |r| r.delay_ms) })
    }
}

/// An input, and the constant delay of its source, ms.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    pub(super) input: InputKey,
    pub(super) delay_ms: u32,
}

impl Shown {
    /// Its delay and that of a layer together.
    fn delayed_by(self, layer_ms: u32) -> u32 {
        (self.delay_ms + layer_ms).min(limits::MAX_FIXED_DELAY_MS)
    }
}

/// What PVW shows and sounds like. Empty before the caster's first start. Locations without an input and images that
/// are not loaded are left out.
pub fn resolve_pvw(caster: &Caster, found: &Found<'_>) -> SceneSpec {
    caster.scene(Bus::Pvw).map(|scene| resolve_own(caster, scene, found)).unwrap_or_default()
}

/// What PGM shows and sounds like at a time (ms since 1970): standby if that is on, else the episode that is on, if it
/// began after PGM was last set by hand, else what PGM was set to; over it the components of the rundown.
pub fn resolve_pgm(caster: &Caster, unix_ms: u64, found: &Found<'_>) -> SceneSpec {
    let Some(scenes) = &caster.scenes else { return SceneSpec::default() };
    if scenes.on_standby
        && let Some(input) = found.standby
    {
        return whole(Shown { input, delay_ms: 0 }, Vec::new());
    }
    let overlays = |episode: &Episode| resolve_overlays(caster, &episode.components, found);
    let mut spec = match rundown::source_on(caster, unix_ms) {
        Some(slot) => match found.of(caster, slot.episode) {
            Some(shown) => whole(shown, overlays(slot.episode)),
            None => SceneSpec::default(),
        },
        None => resolve_own(caster, &scenes.pgm, found),
    };
    for episode in rundown::components_on(caster, unix_ms) {
        spec.picture.overlays.extend(overlays(episode));
    }
    spec
}

/// What PGM's mixer is set to, whatever an episode brings instead of it; on standby, what standby sounds like.
pub fn resolve_pgm_mix(caster: &Caster, found: &Found<'_>) -> Vec<MixSpec> {
    let Some(scenes) = &caster.scenes else { return Vec::new() };
    match found.standby.filter(|_| scenes.on_standby) {
        Some(input) => whole(Shown { input, delay_ms: 0 }, Vec::new()).mix,
        None => resolve_mix(&scenes.pgm.mix, &|location| found.at(caster, *location)),
    }
}

/// A source over the whole canvas, with its sound.
pub(super) fn whole(shown: Shown, overlays: Vec<OverlaySpec>) -> SceneSpec {
    let Shown { input, delay_ms } = shown;
    let placement = picture::Placement {
        width: 1.0,
        height: 1.0,
        x: 0.0,
        y: 0.0,
        refer: picture::PositionRefer::TopLeft,
        fill: picture::FillMode::Fit,
    };
    let (channel, filter) = (engine::ValidChannel::All, engine::AudioFilter::default());
    let mix = MixSpec { input, gain: 1.0, channel, delay_ms, filter };
    SceneSpec {
        picture: ScenePicture {
            layers: vec![LayerSpec { input, placement, delay_ms, look: Look::default() }],
            overlays,
            ..ScenePicture::default()
        },
        mix: vec![mix],
    }
}

/// What is shown in standby's place when that has no picture: whose it is, and why nothing else is seen.
pub(super) fn slate(name: &str) -> ScenePicture {
    let line = |text: &str, size_normalized: f32, y: f32| {
        let text = TextSpec {
            text: text.to_owned(),
            color_rgb: 0xff_ff_ff,
            size_normalized,
            ..TextSpec::default()
        };
        let refer = picture::PositionRefer::Center;
        let placement = picture::Placement { y, refer, ..picture::Placement::default() };
        let placement = picture::Placement { width: 0.0, height: 0.0, ..placement };
        OverlaySpec::new(Arc::new(OverlayContent::Text(text)), placement)
    };
    let name = (!name.is_empty()).then(|| line(name, 0.09, -0.06));
    ScenePicture {
        backdrop: picture::Backdrop { rgb: SLATE_RGB, image: None },
        layers: Vec::new(),
        overlays: name.into_iter().chain([line("no signal", 0.05, 0.06)]).collect(),
    }
}

/// What a scene was set to.
fn resolve_own(caster: &Caster, scene: &Scene, found: &Found<'_>) -> SceneSpec {
    let layout = scene.layout.as_ref().and_then(|id| caster.layout(id));
    let layers = layout.map_or(&[][..], |layout| &layout.video);
    let inputs = |location: &LocationId| found.at(caster, *location);
    SceneSpec {
        picture: ScenePicture {
            backdrop: layout.map(|l| resolve_backdrop(&l.backdrop, found)).unwrap_or_default(),
            layers: layers.iter().filter_map(|layer| resolve_layer(layer, &inputs)).collect(),
            overlays: resolve_overlays(caster, &scene.components, found),
        },
        mix: resolve_mix(&scene.mix, &inputs),
    }
}

fn resolve_overlays(
    caster: &Caster,
    components: &[ComponentId],
    found: &Found<'_>,
) -> Vec<OverlaySpec> {
    let shown = components.iter().filter_map(|id| caster.component(id));
    shown.filter_map(|component| resolve_overlay(component, found.image)).collect()
}

/// A mix; locations without an input are left out.
fn resolve_mix(mix: &[AudioLayer], inputs: &dyn Fn(&LocationId) -> Option<Shown>) -> Vec<MixSpec> {
    let resolve = |layer: &AudioLayer| {
        let shown = inputs(&layer.location)?;
        Some(MixSpec {
            input: shown.input,
            gain: layer.volume_rate,
            channel: match layer.channel {
                ValidChannel::All => engine::ValidChannel::All,
                ValidChannel::Left => engine::ValidChannel::Left,
                ValidChannel::Right => engine::ValidChannel::Right,
            },
            delay_ms: shown.delayed_by(layer.delay_ms),
            filter: resolve_filter(layer.filter),
        })
    };
    mix.iter().filter_map(resolve).collect()
}

/// What the engine does to a sound; it knows no beautified voices.
fn resolve_filter(filter: AudioFilter) -> engine::AudioFilter {
    let mode = |mode| match mode {
        AnsMode::Speech => engine::AnsMode::Speech,
        AnsMode::Music => engine::AnsMode::Music,
    };
    engine::AudioFilter { agc: filter.agc, ans: filter.ans.map(mode) }
}

/// The canvas of a template.
pub fn canvas_size(template: Template) -> Size {
    let (width_px, height_px) = template.size_px();
    Size::new(width_px, height_px)
}

/// How the engine is to accept a switch.
pub fn readiness(when: When) -> Readiness {
    Readiness { force: when.force, wait: Duration::from_millis(when.wait_ms.into()) }
}

/// How PGM gets to another scene.
pub fn way(way: Way) -> engine::Way {
    let transition = match way {
        Way::Cut => engine::Transition::CUT,
        Way::FadeComponents { frames } => return engine::Way::Overlays { frames },
        Way::Transition(transition) => resolve_transition(transition),
    };
    engine::Way::Transition(transition)
}

/// A transition as the engine knows it.
pub(super) fn resolve_transition(transition: Transition) -> engine::Transition {
    let towards = match transition.towards {
        Direction::Left => engine::Direction::Left,
        Direction::Right => engine::Direction::Right,
        Direction::Up => engine::Direction::Up,
        Direction::Down => engine::Direction::Down,
        Direction::UpLeft => engine::Direction::UpLeft,
        Direction::UpRight => engine::Direction::UpRight,
        Direction::DownLeft => engine::Direction::DownLeft,
        Direction::DownRight => engine::Direction::DownRight,
    };
    let kind = match transition.kind {
        TransitionKind::Cut => engine::TransitionKind::Cut,
        TransitionKind::Mix => engine::TransitionKind::Mix,
        TransitionKind::Dip => engine::TransitionKind::Dip { rgb: transition.rgb },
        TransitionKind::Wipe => engine::TransitionKind::Wipe(towards),
        TransitionKind::Slide => engine::TransitionKind::Slide(towards),
        TransitionKind::Push => engine::TransitionKind::Push(towards),
    };
    engine::Transition { kind, frames: transition.frames }
}

/// The encoder preset: what the caster asks for, else what the server is set to.
pub fn preset(asked: Option<catalog::X264Preset>, default: Preset) -> encode::X264Preset {
    let name = match (asked, default) {
        (Some(asked), _) => asked.as_str(),
        (None, Preset::Ultrafast) => "ultrafast",
        (None, Preset::Superfast) => "superfast",
        (None, Preset::Veryfast) => "veryfast",
        (None, Preset::Faster) => "faster",
        (None, Preset::Fast) => "fast",
        (None, Preset::Medium) => "medium",
    };
    // The catalog knows slower ones, which no live show can use.
    encode::X264Preset::parse(name).unwrap_or(encode::X264Preset::Medium)
}

fn resolve_layer(
    layer: &VideoLayer,
    inputs: &dyn Fn(&LocationId) -> Option<Shown>,
) -> Option<LayerSpec> {
    let fill = match layer.fill {
        FillMode::None => picture::FillMode::None,
        FillMode::Fit => picture::FillMode::Fit,
    };
    let shown = inputs(&layer.location)?;
    Some(LayerSpec {
        input: shown.input,
        placement: resolve_placement(&layer.placement, fill),
        delay_ms: shown.delayed_by(layer.delay_ms),
        look: resolve_look(&layer.look),
    })
}

/// A look, as the compositor understands it.
pub(super) fn resolve_look(look: &LayerLook) -> Look {
    let LayerLook { opacity, corner_radius, border_width: width, border_rgb: rgb, .. } = *look;
    Look {
        crop: Crop::new(look.crop),
        mirror: Mirror {
            horizontal: matches!(look.mirror, catalog::Mirror::Horizontal | catalog::Mirror::Both),
            vertical: matches!(look.mirror, catalog::Mirror::Vertical | catalog::Mirror::Both),
        },
        opacity,
        corner_radius,
        border: (width > 0.0).then_some(Border { width, rgb }),
    }
}

fn resolve_backdrop(backdrop: &catalog::Backdrop, found: &Found<'_>) -> picture::Backdrop {
    picture::Backdrop { rgb: backdrop.rgb, image: backdrop.image.as_ref().and_then(found.image) }
}

fn resolve_overlay(
    component: &Component,
    images: &dyn Fn(&Place) -> Option<Arc<OverlayContent>>,
) -> Option<OverlaySpec> {
    if component.opacity == INVISIBLE {
        return None;
    }
    let content = match &component.content {
        ComponentContent::Image { place } => images(place)?,
        ComponentContent::Text(text) => Arc::new(OverlayContent::Text(TextSpec {
            text: text.text.clone(),
            font_name: text.font_name.clone(),
            color_rgb: text.color_rgb,
            size_normalized: text.size_normalized,
            border_width_normalized: text.border_width_normalized,
            border_rgb: text.border_rgb,
            background: text.background.map(|background| {
                let TextBackground { rgb, opacity, padding } = background;
                TextBox { rgb, opacity, padding }
            }),
        })),
    };
    Some(OverlaySpec {
        content,
        placement: resolve_placement(&component.placement, picture::FillMode::None),
        opacity: component.opacity,
        background: component.order == LayerOrder::Background,
        motion: resolve_effect(component.effect),
        since_ns: 0,
    })
}

/// A motion, as the compositor understands it.
pub(super) fn resolve_effect(effect: ComponentEffect) -> Motion {
    match effect {
        ComponentEffect::None => Motion::Still,
        ComponentEffect::AnimateH => Motion::Horizontal,
        ComponentEffect::AnimateV => Motion::Vertical,
    }
}

/// A place, as the compositor understands it.
pub(super) fn resolve_placement(
    placement: &Placement,
    fill: picture::FillMode,
) -> picture::Placement {
    let refer = match placement.refer {
        PositionRefer::TopLeft => picture::PositionRefer::TopLeft,
        PositionRefer::TopRight => picture::PositionRefer::TopRight,
        PositionRefer::BottomLeft => picture::PositionRefer::BottomLeft,
        PositionRefer::BottomRight => picture::PositionRefer::BottomRight,
        PositionRefer::Center => picture::PositionRefer::Center,
        PositionRefer::TopCenter => picture::PositionRefer::TopCenter,
        PositionRefer::BottomCenter => picture::PositionRefer::BottomCenter,
        PositionRefer::LeftCenter => picture::PositionRefer::LeftCenter,
        PositionRefer::RightCenter => picture::PositionRefer::RightCenter,
    };
    picture::Placement {
        width: placement.width,
        height: placement.height,
        x: placement.x,
        y: placement.y,
        refer,
        fill,
    }
}

#[cfg(test)]
#[path = "tests/resolve.rs"]
mod tests;
