//! PVW and PGM, and the switch that waits.
//!
//! Must not know timelines. Invariants: PGM changes only by a switch, a mix or the end of an input; at most one switch
//! waits, and each is answered once.

use super::transit::Transit;
use super::{Applied, CommandId, Readiness, Refusal, SceneSpec, Way};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::sound::MixSpec;
use crate::time::FrameRate;

/// A switch on PGM that waits for its sources.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: CommandId,
    pub(super) spec: SceneSpec,
    pub(super) way: Way,
    /// Last tick that it may happen at.
    pub(super) until: u64,
}

/// Both scenes of a caster.
#[derive(Debug)]
pub(super) struct Scenes {
    pub(super) pgm: SceneSpec,
    pub(super) pvw: SceneSpec,
    /// How PGM gets there.
    pub(super) transit: Transit,
    pub(super) follow: bool,
    pub(super) revision: u64,
    pub(super) waiting: Option<Waiting>,
}

/// An answer and whose it is.
pub(super) type Reply = (CommandId, Result<Applied, Refusal>);

impl Scenes {
    pub(super) fn new() -> Scenes {
        Scenes {
            pgm: SceneSpec::default(),
            pvw: SceneSpec::default(),
            transit: Transit::default(),
            follow: true,
            revision: 0,
            waiting: None,
        }
    }

    pub(super) fn get(&self, bus: Bus) -> &SceneSpec {
        match bus {
            Bus::Pvw => &self.pvw,
            Bus::Pgm => &self.pgm,
        }
    }

    /// One more change took effect at `tick`.
    pub(super) fn applied(&mut self, tick: u64) -> Applied {
        self.revision += 1;
        Applied { revision: self.revision, tick }
    }

    /// At tick `n`, which is at `now_ns`, PGM becomes this; its mix only when audio follows video.
    pub(super) fn switch(&mut self, (n, now_ns): (u64, u64), mut spec: SceneSpec, way: Way) {
        // What is on its way out is still there: if it comes back, it goes on.
        spec.picture.follow(&self.transit.coming(n, &self.pgm.picture), now_ns);
        let mix = if self.follow { spec.mix } else { self.pgm.mix.clone() };
        let old = std::mem::replace(&mut self.pgm, SceneSpec { picture: spec.picture, mix });
        self.transit.begin(n, (old, &self.pgm), way);
    }

    /// PVW becomes this at a time.
    pub(super) fn preview(&mut self, mut spec: SceneSpec, now_ns: u64) {
        spec.picture.follow(&self.pvw.picture, now_ns);
        self.pvw = spec;
    }

    pub(super) fn set_mix(&mut self, bus: Bus, mix: Vec<MixSpec>) {
        match bus {
            Bus::Pvw => self.pvw.mix = mix,
            Bus::Pgm => self.pgm.mix = mix,
        }
    }

    /// No scene shows or sounds the input any more.
    pub(super) fn forget(&mut self, input: InputKey) {
        let waiting = self.waiting.as_mut().map(|waiting| &mut waiting.spec);
        for spec in [&mut self.pgm, &mut self.pvw].into_iter().chain(waiting) {
            super::cues::forget(spec, input);
        }
        self.transit.forget(input);
    }
}

/// Inputs that a scene names and that do not exist.
pub(super) fn unknown(spec: &SceneSpec, exists: &dyn Fn(InputKey) -> bool) -> Option<InputKey> {
    let layers = spec.picture.layers.iter().map(|layer| layer.input);
    layers.chain(spec.mix.iter().map(|entry| entry.input)).find(|input| !exists(*input))
}

/// Inputs that a scene shows and that are not ready, by key.
pub(super) fn missing(spec: &SceneSpec, ready: &dyn Fn(InputKey) -> bool) -> Vec<InputKey> {
    let layers = spec.picture.layers.iter().map(|layer| layer.input);
    let mut inputs: Vec<_> = layers.filter(|input| !ready(*input)).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}

/// Last tick that a switch asked for at `tick` may happen at.
pub(super) fn deadline(rate: FrameRate, tick: u64, when: Readiness) -> u64 {
    let wait = when.wait.min(limits::TAKE_WAIT_MAX);
    tick + rate.tick_at(wait.as_nanos() as u64)
}
