//! What a running caster must do for a change of its configuration: found by comparing before and after, so that no
//! rule can forget it.
//!
//! Must not know which call made the change. Invariant: a caster that is not on air is asked for nothing; PGM comes
//! before PVW, so that a refusal on PGM leaves PVW untouched.

use super::super::model::{
    AudioLayer, Backdrop, Caster, Component, ComponentContent, LayerOrder, LocationId, Place,
    Placement, RecordConfig, Rendition, Showing, Source, VideoLayer,
};
use super::super::{Effect, Way, When};
use super::check::DEFAULT_WAIT_MS;
use crate::ids::{Bus, ResourceId};
use crate::limits;

pub(super) fn effects(before: &Caster, after: &Caster) -> Vec<Effect> {
    if !after.is_on_air() {
        return Vec::new();
    }
    let mut effects = Vec::new();
    for resource in &after.resources {
        match before.resource(&resource.id) {
            None => effects.push(Effect::InputAdded(resource.id.clone())),
            Some(old) if old.source != resource.source => {
                effects.push(Effect::InputChanged(resource.id.clone()));
            }
            Some(_) => {}
        }
    }
    if before.config.standby.source() != after.config.standby.source() {
        effects.push(Effect::StandbyChanged);
    }
    for (showing, place) in after.images() {
        if image_of(before, showing) != Some(place) {
            effects.push(Effect::ImageShown(place.clone()));
        }
    }
    for bus in [Bus::Pgm, Bus::Pvw] {
        let Some((old, new)) = View::of(before, bus).zip(View::of(after, bus)) else { continue };
        if old != new {
            let (when, way) = (readiness(&old, &new), Way::Cut);
            effects.push(Effect::SceneSet { bus, when, way });
        }
        // A switch on PGM leaves the mix alone when audio does not follow video.
        if old.mix != new.mix && bus == Bus::Pgm && !after.audio_follows_video {
            effects.push(Effect::MixSet { bus });
        }
    }
    // Relays after the renditions that they are of.
    if outputs(before) != outputs(after) {
        effects.push(Effect::OutputsChanged);
    }
    if before.config.destinations().ne(after.config.destinations()) {
        effects.push(Effect::RelaysChanged);
    }
    for resource in &before.resources {
        if after.resource(&resource.id).is_none() {
            effects.push(Effect::InputRemoved(resource.id.clone()));
        }
    }
    effects
}

/// What image the same thing had in this caster.
fn image_of<'a>(caster: &'a Caster, showing: Showing<'_>) -> Option<&'a Place> {
    match showing {
        Showing::Component(component) => caster.component(&component.id)?.image(),
        Showing::Layout(layout) => caster.layout(&layout.id)?.backdrop.image.as_ref(),
    }
}

/// What PGM goes out as, as far as that may change on air.
fn outputs(caster: &Caster) -> (&[Rendition], Option<u32>, u32, Option<&RecordConfig>) {
    let config = &caster.config;
    (&config.renditions, config.encoder.video_bps, config.delay_ms, caster.recorded())
}

/// How a scene's change from `old` to `new` is accepted.
fn readiness(old: &View<'_>, new: &View<'_>) -> When {
    let max_ms = u32::try_from(limits::TAKE_WAIT_MAX.as_millis()).unwrap_or(u32::MAX);
    // With the same sources as before there is nothing new to wait for. A source that was replaced has to connect
    // first, and gets all the time there is.
    if old.shows == new.shows {
        When { force: true, wait_ms: 0 }
    } else if new.shows.iter().all(|shown| old.shows.contains(shown) || !old.has(shown.0)) {
        When { force: false, wait_ms: DEFAULT_WAIT_MS }
    } else {
        When { force: false, wait_ms: max_ms }
    }
}

/// All that the picture and the sound of a scene depend on.
#[derive(PartialEq)]
struct View<'a> {
    /// What stands in for all of it.
    standby: Option<Source>,
    backdrop: Option<&'a Backdrop>,
    layers: &'a [VideoLayer],
    shows: Vec<(LocationId, Option<(&'a ResourceId, &'a Source)>)>,
    overlays: Vec<(&'a ComponentContent, Placement, u8, LayerOrder)>,
    mix: Vec<(AudioLayer, Option<(&'a ResourceId, &'a Source)>)>,
}

impl<'a> View<'a> {
    fn of(caster: &'a Caster, bus: Bus) -> Option<View<'a>> {
        let scene = caster.scene(bus)?;
        let layout = scene.layout.as_ref().and_then(|id| caster.layout(id));
        let layers = layout.map_or(&[][..], |l| &l.video);
        let source_at = |l| caster.resource_at(l).map(|r| (&r.id, &r.source));
        let overlay = |c: &'a Component| (&c.content, c.placement, c.opacity, c.order);
        let on_standby = caster.scenes.as_ref().is_some_and(|scenes| scenes.on_standby);
        let standby = (bus == Bus::Pgm && on_standby).then(|| caster.config.standby.source());
        Some(View {
            standby: standby.flatten(),
            backdrop: layout.map(|l| &l.backdrop),
            layers,
            shows: layers.iter().map(|v| (v.location, source_at(v.location))).collect(),
            overlays: scene
                .components
                .iter()
                .filter_map(|id| caster.component(id))
                .map(overlay)
                .collect(),
            mix: scene.mix.iter().map(|a| (*a, source_at(a.location))).collect(),
        })
    }

    fn has(&self, location: LocationId) -> bool {
        self.shows.iter().any(|shown| shown.0 == location)
    }
}
