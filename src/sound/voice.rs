//! One entry of the mix, its filters and its ramp.
//!
//! Must not know the other entries. Invariant: the gain moves by at most `MAX_GAIN / RAMP_SAMPLES` a sample, and what
//! was sounding never ends in a step, even when its source vanishes.

use super::filters::Filters;
use super::ramp::{Ramp, fade_out};
use super::{AudioFilter, MixSpec, ValidChannel};
use crate::frame::StereoSample;
use crate::ids::InputKey;
use crate::limits;

/// An entry of the mix that sounds, or that sounded and fades out.
#[derive(Debug)]
pub(super) struct Voice {
    input: InputKey,
    channel: ValidChannel,
    delay_ms: u32,
    gain: Ramp,
    filters: Filters,
    leaving: bool,
    /// The last sample sent to the mix, and what of it still fades when the source vanished.
    last: StereoSample,
}

impl Voice {
    /// An entry that fades in from silence, over so many samples.
    pub(super) fn new(spec: &MixSpec, length: u32) -> Voice {
        let mut voice = Voice {
            input: spec.input,
            channel: spec.channel,
            delay_ms: spec.delay_ms,
            gain: Ramp::at(0.0),
            filters: Filters::new(),
            leaving: false,
            last: [0.0; 2],
        };
        voice.fade_to(spec.gain, length);
        voice.filter(spec.filter);
        voice
    }

    /// Whether this voice is that entry, whatever its gain and filter.
    pub(super) fn plays(&self, spec: &MixSpec) -> bool {
        (self.input, self.channel, self.delay_ms) == (spec.input, spec.channel, spec.delay_ms)
    }

    /// Ramps to a gain (0–`limits::MAX_GAIN`; what is not a number is 0) over so many samples.
    pub(super) fn fade_to(&mut self, gain: f32, length: u32) {
        let gain = if gain.is_finite() { gain.clamp(0.0, limits::MAX_GAIN) } else { 0.0 };
        self.leaving = false;
        self.gain.glide(gain, length);
    }

    /// Cross-fades to another filter.
    pub(super) fn filter(&mut self, filter: AudioFilter) {
        self.filters.set(filter);
    }

    /// Ramps to silence over so many samples and is over then.
    pub(super) fn leave(&mut self, length: u32) {
        if !self.leaving {
            self.fade_to(0.0, length);
            self.leaving = true;
        }
    }

    /// The ramp that it is on, to change its pace.
    pub(super) fn ramp(&mut self) -> &mut Ramp {
        &mut self.gain
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(super) fn is_over(&self) -> bool {
        self.leaving && self.gain.is_zero() && self.last == [0.0; 2]
    }

    pub(super) fn is_audible(&self) -> bool {
        !self.gain.is_zero()
    }

    pub(super) fn input(&self) -> InputKey {
        self.input
    }

    pub(super) fn delay_ms(&self) -> u32 {
        self.delay_ms
    }

    /// Adds a block of the source to the mix; false when it is silent throughout.
    pub(super) fn add(
        &mut self,
        source: Option<&[StereoSample]>,
        out: &mut [StereoSample],
    ) -> bool {
        if !self.is_audible() {
            self.filters.unheard();
            self.last = [0.0; 2];
            return false;
        }
        let ([left, right], source) = if self.filters.are_out() {
            (self.channel.sides(), source)
        } else {
            ([0, 1], self.filters.run(source, self.channel, out.len()))
        };
        let Some(source) = source else { return self.add_tail(out) };
        let ramp = self.gain.left().min(out.len());
        for (to, from) in out[..ramp].iter_mut().zip(source) {
            let gain = self.gain.step();
            self.last = [from[left] * gain, from[right] * gain];
            *to = [to[0] + self.last[0], to[1] + self.last[1]];
        }
        let gain = self.gain.target();
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
        let len = out.len();
        self.gain.skip(len);
        let last = std::mem::take(&mut self.last);
        if last == [0.0; 2] {
            return false;
        }
        for (to, fading) in out.iter_mut().zip(fade_out(last, len)) {
            *to = [to[0] + fading[0], to[1] + fading[1]];
        }
        true
    }
}
