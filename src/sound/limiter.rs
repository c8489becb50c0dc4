//! The last thing on the way out: never beyond ±1.
//!
//! Must not know what was mixed. Invariant: every sample is finite and within ±1; below [`KNEE`] nothing is touched.
//!
//! Both sides are turned down together, at once when a peak comes and back over about 200 ms. The curve is straight
//! to the knee (−1 dBFS) and bends from there towards 1, so that a mix that is never loud passes bit for bit.

use crate::frame::StereoSample;
use crate::time::SAMPLE_RATE;

/// Where limiting begins: −1 dBFS.
pub(super) const KNEE: f32 = 0.891_250_9;

/// Part of the missing gain that comes back each sample: time constant 200 ms.
const RELEASE: f32 = 1.0 / (0.2 * SAMPLE_RATE as f32);

/// And a little more, so that the gain arrives at 1 and does not stop where rounding eats the rest.
const HOME: f32 = 1e-6;

/// A soft limiter on stereo.
#[derive(Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Limiter {
        Limiter { gain: 1.0 }
    }
}

impl Limiter {
    /// Whether the next block is not turned down by what came before it.
    pub(super) fn is_open(&self) -> bool {
        self.gain == 1.0
    }

    /// Limits a block in place. What is not a number becomes silence.
    pub fn run(&mut self, block: &mut [StereoSample]) {
        let quiet = |s: &StereoSample| s[0].abs() <= KNEE && s[1].abs() <= KNEE;
        if self.gain == 1.0 && block.iter().all(quiet) {
            return;
        }
        for sample in block {
            let clean = sample.map(|v| if v.is_finite() { v } else { 0.0 });
            let peak = clean[0].abs().max(clean[1].abs());
            self.gain = (self.gain + (1.0 - self.gain) * RELEASE + HOME).min(1.0);
            if peak > KNEE {
                self.gain = self.gain.min(curve(peak) / peak);
            }
            *sample = clean.map(|v| (v * self.gain).clamp(-1.0, 1.0));
        }
    }
}

/// Peak out for peak in, above the knee.
fn curve(peak: f32) -> f32 {
    let room = 1.0 - KNEE;
    KNEE + room * (1.0 - (-(peak - KNEE) / room).exp())
}
