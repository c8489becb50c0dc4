//! Standing still and going on again.
//!
//! Must not know the media. Invariants: the sound fades over `sound::RAMP_SAMPLES` both ways; what sounds while it fades
//! out is heard again when it goes on, so that nothing is lost.

use super::media::Tick;
use crate::frame::StereoSample;
use crate::sound::RAMP_SAMPLES;

/// Whether an input's timeline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    Runs,
    Stands,
}

/// Motion of a paced input, and the volume that follows it.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) motion: Motion,
    /// The last tick that it stood still for.
    stood: Option<u64>,
    /// Samples of the ramp, from 0 (silent) on, at the begin and end of the tick.
    volume: [u32; 2],
    /// Samples read past the place where it stands, before and after this tick.
    past: [i64; 2],
}

impl Pause {
    pub(super) fn new() -> Pause {
        Pause { motion: Motion::Runs, stood: None, volume: [RAMP_SAMPLES; 2], past: [0; 2] }
    }

    /// It runs for this tick.
    pub(super) fn run(&mut self, at: &Tick) {
        self.volume[0] = self.volume[1];
        self.go_on(at);
    }

    /// It stands still for this tick.
    pub(super) fn stand(&mut self, at: &Tick) {
        self.stood = Some(at.n);
        self.volume = [self.volume[1], self.volume[1].saturating_sub(at.samples as u32)];
        self.past = [self.past[1], self.past[1] + at.samples as i64];
    }

    /// It stood still for this tick and runs after all.
    pub(super) fn go_on(&mut self, at: &Tick) {
        self.stood = None;
        self.volume[1] = (self.volume[0] + at.samples as u32).min(RAMP_SAMPLES);
        self.past = [0; 2];
    }

    /// Nothing sounds that could fade, or that has to begin with a fade.
    pub(super) fn set_volume(&mut self, volume: Volume) {
        self.volume = match volume {
            Volume::Full => [RAMP_SAMPLES; 2],
            Volume::Silent => [0; 2],
        };
    }

    /// Whether it stands still at tick `n`.
    pub(super) fn stands(&self, n: u64) -> bool {
        self.stood == Some(n)
    }

    /// Where reading is, past the place where it stands; none when the sound has faded.
    pub(super) fn past(&self) -> Option<i64> {
        (self.volume[0] > 0).then_some(self.past[0])
    }

    /// Fades the samples of this tick.
    pub(super) fn fade(&self, samples: &mut [StereoSample]) {
        let [from, to] = self.volume;
        if from == RAMP_SAMPLES && to == RAMP_SAMPLES {
            return;
        }
        for (sample, k) in samples.iter_mut().zip(1..) {
            let volume =
                if to >= from { (from + k).min(RAMP_SAMPLES) } else { from.saturating_sub(k) };
            *sample = sample.map(|v| v * volume as f32 / RAMP_SAMPLES as f32);
        }
    }
}

/// Where a ramp stands at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Volume {
    Full,
    Silent,
}
