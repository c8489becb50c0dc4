//! The mix: n inputs with channel, delay, filter and gain → one stereo programme, limited and metered.
//!
//! Pure, on blocks of samples at 48 kHz. Must not know ticks, scenes or commands. Invariants: every change of
//! gain, route or filter is a linear ramp of `limits::GAIN_RAMP_MS` (of a whole mix and of the master of what it is given,
//! no shorter), sample-exact across blocks; what comes out is finite and within ±1.

use crate::frame::StereoSample;
use crate::ids::InputKey;
use crate::limits;
use crate::time::SAMPLE_RATE;

mod auto_gain;
mod delay;
mod filters;
mod limiter;
mod ramp;
mod suppressor;
mod voice;

#[cfg(test)]
mod tests;

use delay::DelayLine;
pub use filters::{AnsMode, AudioFilter};
pub use limiter::Limiter;
use ramp::Ramp;
use voice::Voice;

/// Samples of a gain ramp.
pub const RAMP_SAMPLES: u32 = SAMPLE_RATE / 1000 * limits::GAIN_RAMP_MS;

/// One source of a mix.
#[derive(Clone, Debug, PartialEq)]
pub struct MixSpec {
    /// The input heard.
    pub input: InputKey,
    /// Linear gain, 0–10.
    pub gain: f32,
    /// Which of its channels.
    pub channel: ValidChannel,
    /// Constant delay, ms.
    pub delay_ms: u32,
    /// What is done to its sound before the gain.
    pub filter: AudioFilter,
}

/// Channels of a source that are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ValidChannel {
    /// Both, as they are.
    #[default]
    All,
    /// The left one on both sides.
    Left,
    /// The right one on both sides.
    Right,
}

impl ValidChannel {
    /// Which side of the source each side of the mix hears.
    fn sides(self) -> [usize; 2] {
        match self {
            ValidChannel::All => [0, 1],
            ValidChannel::Left => [0, 0],
            ValidChannel::Right => [1, 1],
        }
    }
}

/// Loudness of a block, linear (1 = full scale), the louder of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Level {
    /// Largest absolute sample.
    pub peak: f32,
    /// Root of the mean square.
    pub rms: f32,
}

impl Level {
    /// The level of these samples.
    pub fn of(samples: &[StereoSample]) -> Level {
        let (mut peak, mut sums) = (0.0f32, [0.0f32; 2]);
        for s in samples {
            peak = peak.max(s[0].abs()).max(s[1].abs());
            sums = [sums[0] + s[0] * s[0], sums[1] + s[1] * s[1]];
        }
        let mean = sums[0].max(sums[1]) / samples.len().max(1) as f32;
        Level { peak, rms: mean.sqrt() }
    }
}

/// The samples of an input for the block being mixed; `None` is silence.
pub type Source<'a> = &'a dyn Fn(InputKey) -> Option<&'a [StereoSample]>;

/// The programme's mix.
#[derive(Debug)]
pub struct Mixer {
    /// What sounds, and what is still fading out.
    voices: Vec<Voice>,
    /// The past of each input that an entry on PGM or PVW delays.
    delays: Vec<DelayLine>,
    /// Gain of all together, 0–1.
    master: Ramp,
    limiter: Limiter,
}

impl Default for Mixer {
    fn default() -> Mixer {
        Mixer::new()
    }
}

impl Mixer {
    /// A mixer that sounds nothing.
    pub fn new() -> Mixer {
        let (voices, delays) = (Vec::new(), Vec::new());
        Mixer { voices, delays, master: Ramp::at(1.0), limiter: Limiter::default() }
    }

    /// From the next block on this is the mix: entries that are new fade in, entries that are gone fade out, others
    /// move to their new gain and filter. A change of channel or delay is a cross-fade. Entries beyond `limits::MAX_MIX` are
    /// not heard. Gains move for `length` samples, at least [`RAMP_SAMPLES`].
    pub fn set(&mut self, mix: &[MixSpec], length: u32) {
        let length = length.max(RAMP_SAMPLES);
        let mut kept = vec![false; self.voices.len()];
        for spec in mix.iter().take(limits::MAX_MIX) {
            let same = (0..kept.len()).find(|&i| !kept[i] && self.voices[i].plays(spec));
            match same {
                Some(index) => {
                    kept[index] = true;
                    self.voices[index].fade_to(spec.gain, length);
                    self.voices[index].filter(spec.filter);
                }
                None => self.voices.push(Voice::new(spec, length)),
            }
        }
        for (voice, _) in self.voices.iter_mut().zip(&kept).filter(|(_, kept)| !**kept) {
            voice.leave(length);
        }
        // Someone who changes the mix faster than it ramps loses the end of the oldest ramps.
        while self.voices.len() > 2 * limits::MAX_MIX {
            let oldest = self.voices.iter().position(Voice::is_leaving).unwrap_or(0);
            self.voices.remove(oldest);
        }
    }

    /// Moves the gain of all together to `to` (0–1) in `length` samples, at least [`RAMP_SAMPLES`]; goes on if it would be
    /// there sooner.
    pub fn fade(&mut self, to: f32, length: u32) {
        let length = length.max(RAMP_SAMPLES);
        self.master.glide(to, length);
        self.master.hurry(length);
    }

    /// What moves slower than usual is there as soon as anything else would be.
    pub fn hurry(&mut self) {
        self.voices.iter_mut().for_each(|voice| voice.ramp().hurry(RAMP_SAMPLES));
    }

    /// Samples were left out: what is under way still ends when it would have, if it can within a usual ramp.
    pub fn catch_up(&mut self, samples: u32) {
        self.voices.iter_mut().for_each(|voice| voice.ramp().catch_up(samples));
        self.master.catch_up(samples);
    }

    /// Keeps the past of every input that `on_air` or `prepared` delays, so that a delayed entry sounds from its
    /// first sample on; forgets the others'.
    pub fn prepare(&mut self, on_air: &[MixSpec], prepared: &[MixSpec]) {
        let delayed = |input| {
            let specs = on_air.iter().chain(prepared);
            let ours = specs.filter(|s| s.input == input).map(|s| s.delay_ms);
            ours.chain(self.voices.iter().filter(|v| v.input() == input).map(Voice::delay_ms)).max()
        };
        let mut lines = std::mem::take(&mut self.delays);
        lines.retain(|line| delayed(line.input()).is_some_and(|ms| ms > 0));
        for spec in on_air.iter().chain(prepared).filter(|s| s.delay_ms > 0) {
            if !lines.iter().any(|line| line.input() == spec.input) {
                lines.push(DelayLine::new(spec.input));
            }
        }
        self.delays = lines;
    }

    /// Inputs whose samples the next block needs.
    pub fn needs(&self, input: InputKey) -> bool {
        self.voices.iter().any(|v| v.input() == input && v.is_audible())
            || self.delays.iter().any(|line| line.input() == input)
    }

    /// Mixes a block of `len` samples and says how loud it became.
    pub fn mix<'a>(&mut self, source: Source<'a>, len: usize) -> (Vec<StereoSample>, Level) {
        let mut out = vec![[0.0; 2]; len];
        for line in &mut self.delays {
            line.push(source(line.input()), len);
        }
        let mut sounds = !self.limiter.is_open();
        for voice in &mut self.voices {
            let line = match voice.delay_ms() {
                0 => None,
                _ => self.delays.iter().find(|line| line.input() == voice.input()),
            };
            let block = match line {
                Some(line) => Some(line.block(voice.delay_ms(), len)),
                None => source(voice.input()),
            };
            sounds |= voice.add(block, &mut out);
        }
        self.voices.retain(|voice| !voice.is_over());
        self.apply_master(&mut out);
        if !sounds {
            return (out, Level::default());
        }
        self.limiter.run(&mut out);
        let level = Level::of(&out);
        (out, level)
    }

    fn apply_master(&mut self, out: &mut [StereoSample]) {
        if self.master.is_at(1.0) {
            return;
        }
        for sample in out {
            let gain = self.master.step();
            *sample = sample.map(|v| v * gain);
        }
    }
}
