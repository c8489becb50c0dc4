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
    /// What PGM shows instead of its own content.
    over: Option<SceneSpec>,
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
            over: None,
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

    /// What PGM really shows and sounds.
    pub(super) fn on_air(&self) -> &SceneSpec {
        self.over.as_ref().unwrap_or(&self.pgm)
    }

    /// PGM's own content, while something stands in for it.
    pub(super) fn covered(&self) -> Option<&SceneSpec> {
        self.over.as_ref().map(|_| &self.pgm)
    }

    /// At tick `n`, which is at `now_ns`, PGM becomes this, whatever stood in for it; its mix only when audio follows video.
    pub(super) fn switch(&mut self, (n, now_ns): (u64, u64), mut spec: SceneSpec, way: Way) {
        // What is on its way out is still there: if it comes back, it goes on.
        spec.picture.follow(&self.transit.coming(n, &self.on_air().picture), now_ns);
        let own = self.own(spec);
        let old = std::mem::replace(&mut self.pgm, own);
        let old = self.over.take().unwrap_or(old);
        self.transit.begin(n, (old, &self.pgm), way);
    }

    /// PGM's own content becomes this, beneath what stands in for it if anything does; else by a cut.
    pub(super) fn amend(&mut self, (n, now_ns): (u64, u64), mut spec: SceneSpec) {
        if self.over.is_none() {
            return self.switch((n, now_ns), spec, Way::CUT);
        }
        spec.picture.follow(&self.pgm.picture, now_ns);
        self.pgm = self.own(spec);
    }

    fn own(&self, spec: SceneSpec) -> SceneSpec {
        let mix = if self.follow { spec.mix } else { self.pgm.mix.clone() };
        SceneSpec { picture: spec.picture, mix }
    }

    /// From tick `n` on this stands in for PGM's own content, or nothing does.
    pub(super) fn stand_in(&mut self, (n, now_ns): (u64, u64), mut over: Option<SceneSpec>) {
        if let Some(over) = &mut over {
            over.picture.follow(&self.on_air().picture, now_ns);
        }
        if self.over == over {
            return;
        }
        let old = self.on_air().clone();
        self.over = over;
        let new = self.over.as_ref().unwrap_or(&self.pgm);
        self.transit.begin(n, (old, new), Way::CUT);
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
        for spec in [&mut self.pgm, &mut self.pvw].into_iter().chain(waiting).chain(&mut self.over)
        {
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
