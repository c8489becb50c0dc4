//! The operator's books of what PGM shows: its scene, the one that goes out, and how black it is.

use onair::engine::{Black, Plan, Transition, Way};
use onair::ids::InputKey;
use onair::picture::{DrawList, DrawOp, ScenePicture, Veil, blend, compose, progress};

use crate::CANVAS;

/// See the module.
#[derive(Default)]
pub(crate) struct Air {
    pub(crate) scene: ScenePicture,
    leaving: Option<(ScenePicture, Transition, u64)>,
    /// Opacity at the tick before, at the end, the tick that the fade began at and its frames.
    black: (f32, f32, u64, u32),
    full_since: Option<u64>,
}

impl Air {
    /// At tick `n` PGM was switched to a scene; returns the tick that it is alone at.
    pub(crate) fn switch(&mut self, n: u64, scene: ScenePicture, way: Way) -> u64 {
        let old = std::mem::replace(&mut self.scene, scene);
        let Way::Transition(transition) = way else {
            self.leaving = None;
            return n;
        };
        self.leaving = (transition.length() > 0).then_some((old, transition, n));
        n + u64::from(transition.length())
    }

    /// At tick `n` PGM was told to go to this opacity of black; returns the tick that it is there at.
    pub(crate) fn fade(&mut self, n: u64, to: f32, frames: u32) -> u64 {
        let (_, target, since, length) = self.black;
        let there = since + u64::from(length);
        if to == target && there <= n + u64::from(frames) {
            return there;
        }
        self.black = (n.checked_sub(1).map_or(0.0, |n| self.opacity(n)), to, n, frames);
        n + u64::from(frames)
    }

    fn opacity(&self, n: u64) -> f32 {
        let (from, to, since, frames) = self.black;
        match n.checked_sub(since) {
            Some(step) => from + (to - from) * progress(step, frames),
            None => from,
        }
    }

    pub(crate) fn forget(&mut self, input: InputKey) {
        let leaving = self.leaving.as_mut().map(|(scene, ..)| scene);
        for picture in leaving.into_iter().chain([&mut self.scene]) {
            picture.layers.retain(|layer| layer.input != input);
        }
    }

    /// PGM's list, frame by frame, and its tally.
    pub(crate) fn check(&mut self, at: &str, plan: &Plan) {
        let n = plan.tick;
        self.leaving.take_if(|(_, transition, since)| n >= *since + u64::from(transition.length()));
        let size = |key| {
            let frame = plan.frames.iter().find(|(frame, _)| *frame == key);
            frame.map(|(_, frame)| frame.picture.size())
        };
        let list = |picture: &ScenePicture| compose(picture, &size, CANVAS, 0);
        let blended = match &self.leaving {
            Some((old, transition, since)) => {
                blend(list(old), list(&self.scene), *transition, n - since)
            }
            None => list(&self.scene),
        };
        let opacity = self.opacity(n);
        let black = Veil { rgb: 0, opacity };
        assert_eq!(plan.pgm, blended.clone().veiled(black), "{at}");
        let state = match opacity {
            0.0 => Black::Off,
            1.0 => Black::Full,
            _ => Black::Fading,
        };
        assert_eq!(plan.tally.black, state, "{at}: opacity {opacity}");
        self.tally(at, plan, &blended);
        self.silence(at, plan);
    }

    /// What is on air is what is drawn; of a transition both scenes, drawn or not.
    fn tally(&self, at: &str, plan: &Plan, list: &DrawList) {
        let drawn = inputs(list);
        let tally = &plan.tally.pgm;
        if plan.tally.black == Black::Full {
            return assert!(tally.is_empty() && plan.pgm.ops.is_empty(), "{at}: {tally:?}");
        }
        let Some((old, ..)) = &self.leaving else {
            return assert_eq!(*tally, drawn, "{at}");
        };
        assert!(drawn.iter().all(|key| tally.contains(key)), "{at}: {tally:?}, {drawn:?}");
        let named = |key: &InputKey| {
            let mut layers = old.layers.iter().chain(&self.scene.layers);
            layers.any(|layer| layer.input == *key)
        };
        let wanted = |key: &InputKey| plan.wanted.iter().any(|(wanted, _)| wanted == key);
        assert!(tally.iter().all(|key| named(key) && wanted(key)), "{at}: {tally:?}");
        let shown = plan.wanted.iter().map(|(key, _)| key);
        let missing = shown.filter(|key| !tally.contains(key) && !plan.tally.pvw.contains(key));
        assert_eq!(missing.count(), 0, "{at}: {tally:?} of {:?}", plan.wanted);
    }

    /// Black is silent, but for the end of a ramp.
    fn silence(&mut self, at: &str, plan: &Plan) {
        let is_full = plan.tally.black == Black::Full;
        self.full_since = is_full.then(|| self.full_since.unwrap_or(plan.tick));
        let silent = plan.audio.iter().all(|sample| *sample == [0.0; 2]);
        let settled = self.full_since.is_some_and(|since| plan.tick > since + 3);
        assert!(silent || !settled, "{at}: black sounds");
    }
}

/// Inputs of the layers of a list.
pub(crate) fn inputs(list: &DrawList) -> Vec<InputKey> {
    let layers = list.all_ops().filter_map(|op| match op {
        DrawOp::Layer { input, .. } => Some(*input),
        DrawOp::Overlay(_) | DrawOp::Cover(_) => None,
    });
    let mut inputs: Vec<_> = layers.collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}
