//! How PGM gets from one scene to the next: transitions, overlays that come and go, black.
//!
//! Must not know inputs, or how pictures are blended (picture) and voices faded (sound). Invariants: progress follows the
//! tick; at most one transition runs, and whatever PGM is switched to next begins from its end: the one that runs is then
//! complete. Black is over everything and belongs to no scene.

use std::borrow::Cow;

use super::fades::{Fade, Overlays};
use super::{Black, Refusal, SceneSpec};
use crate::ids::InputKey;
use crate::limits;
use crate::picture::{DrawList, ScenePicture, Transition, Veil, blend};
use crate::time::FrameRate;

/// How PGM gets from what it shows to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All of it at once or by a transition, and the sound with it.
    Transition(Transition),
    /// A cut, but overlays that are new fade in and those that go fade out; those that stay are untouched.
    Overlays {
        /// Frames in between (at most `limits::TRANSITION_MAX`).
        frames: u32,
    },
}

impl Way {
    /// At once.
    pub const CUT: Way = Way::Transition(Transition::CUT);

    /// How many frames it takes.
    pub fn frames(self) -> u32 {
        match self {
            Way::Transition(transition) => transition.length(),
            Way::Overlays { frames } => frames,
        }
    }
}

/// Refuses what would take longer than `limits::TRANSITION_MAX`.
pub(super) fn is_short(rate: FrameRate, frames: u32) -> Result<(), Refusal> {
    let most = rate.tick_at(limits::TRANSITION_MAX.as_nanos() as u64);
    if u64::from(frames) <= most { Ok(()) } else { Err(Refusal::TooLong) }
}

/// Samples of the ticks from `n` on.
pub(super) fn samples(rate: FrameRate, n: u64, frames: u32) -> u32 {
    let samples = rate.sample_at(n + u64::from(frames)) - rate.sample_at(n);
    u32::try_from(samples).unwrap_or(u32::MAX)
}

/// The scene that goes out.
#[derive(Debug)]
struct Leaving {
    scene: SceneSpec,
    transition: Transition,
    since: u64,
}

/// What is under way on PGM.
#[derive(Debug, Default)]
pub(super) struct Transit {
    leaving: Option<Leaving>,
    overlays: Overlays,
    black: Fade,
    /// A transition was cut short since this was last asked.
    cut_short: bool,
}

impl Transit {
    /// At tick `n` PGM, which was `old`, has become `new`.
    pub(super) fn begin(&mut self, n: u64, (old, new): (SceneSpec, &SceneSpec), way: Way) {
        self.cut_short |= self.leaving.take().is_some();
        match way {
            Way::Overlays { frames } => {
                let overlays = (&old.picture.overlays[..], &new.picture.overlays[..]);
                self.overlays.change(n, overlays, frames);
            }
            Way::Transition(transition) => {
                self.overlays.clear();
                if transition.length() > 0 {
                    self.leaving = Some(Leaving { scene: old, transition, since: n });
                }
            }
        }
    }

    /// Forgets what is over at tick `n`.
    pub(super) fn settle(&mut self, n: u64) {
        let goes_on =
            |leaving: &mut Leaving| n < leaving.since + u64::from(leaving.transition.length());
        self.leaving.take_if(|leaving| !goes_on(leaving));
        self.overlays.settle(n);
    }

    /// From tick `n` on black goes to this opacity.
    pub(super) fn fade_black(&mut self, n: u64, opacity: f32, frames: u32) {
        self.black = self.black.turn(n, opacity, frames);
    }

    /// The scene that goes out, while a transition runs.
    pub(super) fn leaving(&self) -> Option<&SceneSpec> {
        self.leaving.as_ref().map(|leaving| &leaving.scene)
    }

    /// Whether the scene that goes out shows or sounds the input.
    pub(super) fn needs(&self, input: InputKey) -> bool {
        self.leaving().is_some_and(|scene| {
            scene.picture.layers.iter().any(|layer| layer.input == input)
                || scene.mix.iter().any(|entry| entry.input == input)
        })
    }

    /// The scene that goes out neither shows nor sounds the input any more.
    pub(super) fn forget(&mut self, input: InputKey) {
        if let Some(leaving) = &mut self.leaving {
            super::cues::forget(&mut leaving.scene, input);
        }
    }

    /// The scene that comes in, with its overlays as they are at tick `n`.
    pub(super) fn coming<'a>(&self, n: u64, picture: &'a ScenePicture) -> Cow<'a, ScenePicture> {
        self.overlays.place(n, picture)
    }

    /// What is seen at tick `n` of the scene that goes out, if one does, and of the one that comes in.
    pub(super) fn draw(&self, n: u64, leaving: Option<&DrawList>, coming: &DrawList) -> DrawList {
        let list = match (&self.leaving, leaving) {
            (Some(Leaving { transition, since, .. }), Some(from)) => {
                blend(from.clone(), coming.clone(), *transition, n - since)
            }
            _ => coming.clone(),
        };
        list.veiled(Veil { rgb: 0, opacity: self.black.at(n) })
    }

    /// How black it is at tick `n`.
    pub(super) fn black(&self, n: u64) -> Black {
        match self.black.at(n) {
            opacity if opacity >= 1.0 => Black::Full,
            opacity if opacity <= 0.0 => Black::Off,
            _ => Black::Fading,
        }
    }

    /// Samples that a mix which changes at tick `n` takes: as long as the transition that begins then.
    pub(super) fn ramp(&self, rate: FrameRate, n: u64) -> u32 {
        let begun = self.leaving.as_ref().filter(|leaving| leaving.since == n);
        begun.map_or(0, |leaving| samples(rate, n, leaving.transition.length()))
    }

    /// Whether a transition was cut short since this was last asked.
    pub(super) fn take_cut_short(&mut self) -> bool {
        std::mem::take(&mut self.cut_short)
    }
}
