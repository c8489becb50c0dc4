//! One entry of the mix and its ramp.
//!
//! Must not know the other entries. Invariant: the gain moves by at most `MAX_GAIN / RAMP_SAMPLES` a sample, and what
//! was sounding never ends in a step, even when its source vanishes.

use super::{MixSpec, RAMP_SAMPLES, ValidChannel};
use crate::frame::StereoSample;
use crate::ids::InputKey;
use crate::limits;

/// An entry of the mix that sounds, or that sounded and fades out.
#[derive(Debug)]
pub(super) struct Voice {
    input: InputKey,
    channel: ValidChannel,
    delay_ms: u32,
    from: f32,
    to: f32,
    /// Samples of the ramp still to come.
    left: u32,
    leaving: bool,
    /// The last sample sent to the mix, and what of it still fades when the source vanished.
    last: StereoSample,
}

impl Voice {
    /// An entry that fades in from silence.
    pub(super) fn new(spec: &MixSpec) -> Voice {
        let mut voice = Voice {
            input: spec.input,
            channel: spec.channel,
            delay_ms: spec.delay_ms,
            from: 0.0,
            to: 0.0,
            left: 0,
            leaving: false,
            last: [0.0; 2],
        };
        voice.fade_to(spec.gain);
        voice
    }

    /// Whether this voice is that entry, whatever its gain.
    pub(super) fn plays(&self, spec: &MixSpec) -> bool {
        (self.input, self.channel, self.delay_ms) == (spec.input, spec.channel, spec.delay_ms)
    }

    /// Ramps to a gain (0–`limits::MAX_GAIN`; what is not a number is 0).
    pub(super) fn fade_to(&mut self, gain: f32) {
        let gain = if gain.is_finite() { gain.clamp(0.0, limits::MAX_GAIN) } else { 0.0 };
        self.leaving = false;
        if gain != self.to {
            self.from = self.gain();
            self.to = gain;
            self.left = RAMP_SAMPLES;
        }
    }

    /// Ramps to silence and is over then.
    pub(super) fn leave(&mut self) {
        if !self.leaving {
            self.fade_to(0.0);
            self.leaving = true;
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(super) fn is_over(&self) -> bool {
        self.leaving && self.left == 0 && self.last == [0.0; 2]
    }

    pub(super) fn is_audible(&self) -> bool {
        self.left > 0 || self.to > 0.0
    }

    pub(super) fn input(&self) -> InputKey {
        self.input
    }

    pub(super) fn delay_ms(&self) -> u32 {
        self.delay_ms
    }

    fn gain(&self) -> f32 {
        if self.left == 0 {
            return self.to;
        }
        let done = (RAMP_SAMPLES - self.left) as f32 / RAMP_SAMPLES as f32;
        self.from + (self.to - self.from) * done
    }

    /// Adds a block of the source to the mix; false when it is silent throughout.
    pub(super) fn add(
        &mut self,
        source: Option<&[StereoSample]>,
        out: &mut [StereoSample],
    ) -> bool {
        let Some(source) = source else { return self.add_tail(out) };
        if !self.is_audible() {
            self.last = [0.0; 2];
            return false;
        }
        let (left, right) = match self.channel {
            ValidChannel::All => (0, 1),
            ValidChannel::Left => (0, 0),
            ValidChannel::Right => (1, 1),
        };
        let ramp = (self.left as usize).min(out.len());
        for (to, from) in out[..ramp].iter_mut().zip(source) {
            self.left -= 1;
            let gain = self.gain();
            self.last = [from[left] * gain, from[right] * gain];
            *to = [to[0] + self.last[0], to[1] + self.last[1]];
        }
        let gain = self.to;
        if gain == 0.0 || ramp == out.len() {
            return true;
        }
        for (to, from) in out[ramp..].iter_mut().zip(&source[ramp..]) {
            *to = [to[0] + from[left] * gain, to[1] + from[right] * gain];
        }
        self.last = source.last().map_or([0.0; 2], |s| [s[left] * gain, s[right] * gain]);
        true
    }

    /// The source is gone: what sounded last fades instead of stopping.
    fn add_tail(&mut self, out: &mut [StereoSample]) -> bool {
        self.left = self.left.saturating_sub(out.len() as u32);
        if self.last == [0.0; 2] {
            return false;
        }
        // A ramp within this block, or as long as a gain ramp where the block is longer.
        let length = out.len().min(RAMP_SAMPLES as usize);
        for (k, to) in out[..length].iter_mut().enumerate() {
            let gain = (length - 1 - k) as f32 / length as f32;
            *to = [to[0] + self.last[0] * gain, to[1] + self.last[1] * gain];
        }
        self.last = [0.0; 2];
        true
    }
}
