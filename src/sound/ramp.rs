//! Straight lines, sample by sample: a value that moves, and the end of a sound that has none.
//!
//! Must not know what they are for. Invariant of a value: however often it turns around it goes on from where it is, and is
//! there `RAMP_SAMPLES` after it set out, or as many as it was given.

use super::RAMP_SAMPLES;
use crate::frame::StereoSample;

/// A value on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ramp {
    from: f32,
    to: f32,
    /// Samples of the whole way.
    length: u32,
    /// Samples still to come; more than `length` while it waits.
    left: u32,
}

impl Ramp {
    /// A value that stands.
    pub(super) fn at(value: f32) -> Ramp {
        Ramp { from: value, to: value, length: 0, left: 0 }
    }

    /// Sets out for `to` after `wait` samples; goes on if that is where it goes.
    pub(super) fn turn(&mut self, to: f32, wait: u32) {
        if to != self.to {
            let (length, left) = (RAMP_SAMPLES, wait + RAMP_SAMPLES);
            *self = Ramp { from: self.value(), to, length, left };
        }
    }

    /// Sets out for `to` and is there after `length` samples; goes on if that is where it goes.
    pub(super) fn glide(&mut self, to: f32, length: u32) {
        if to != self.to {
            *self = Ramp { from: self.value(), to, length, left: length };
        }
    }

    /// Is there after at most so many samples.
    pub(super) fn hurry(&mut self, most: u32) {
        if self.left > most {
            *self = Ramp { from: self.value(), to: self.to, length: most, left: most };
        }
    }

    /// Makes up for samples that nobody asked for, in no steeper a way than any other.
    pub(super) fn catch_up(&mut self, samples: u32) {
        self.hurry(self.left.saturating_sub(samples).max(RAMP_SAMPLES));
    }

    /// Moves on by a sample.
    pub(super) fn step(&mut self) -> f32 {
        self.skip(1);
        self.value()
    }

    /// Moves on by many.
    pub(super) fn skip(&mut self, samples: usize) {
        self.left = self.left.saturating_sub(samples as u32);
    }

    /// Samples until it stands.
    pub(super) fn left(&self) -> usize {
        self.left as usize
    }

    /// Where it goes.
    pub(super) fn target(&self) -> f32 {
        self.to
    }

    /// Whether it stands at a value.
    pub(super) fn is_at(&self, value: f32) -> bool {
        self.left == 0 && self.to == value
    }

    /// Whether it stands at zero.
    pub(super) fn is_zero(&self) -> bool {
        self.is_at(0.0)
    }

    fn value(&self) -> f32 {
        if self.left == 0 {
            return self.to;
        }
        let done = self.length.saturating_sub(self.left) as f32 / self.length.max(1) as f32;
        self.from + (self.to - self.from) * done
    }
}

/// What follows the last sample of a source that vanished: a line to silence within a block of `len` samples, or as long
/// as a ramp where the block is longer.
pub(super) fn fade_out(last: StereoSample, len: usize) -> impl Iterator<Item = StereoSample> {
    let length = len.min(RAMP_SAMPLES as usize);
    (0..length).map(move |k| last.map(|v| v * ((length - 1 - k) as f32 / length as f32)))
}
