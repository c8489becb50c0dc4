//! Automatic gain: brings what is spoken to one loudness, slowly.
//!
//! Must not know what suppresses the noise before it or limits the peaks after it. Invariants: the gain is within
//! ±[`RANGE_DB`], moves without steps, and stands while nothing but background is heard.
//!
//! Every 10 ms the louder side's mean square moves a level: up with 50 ms, down by 3 dB a second, so that pauses between
//! words do not count. The gain goes to where that level meets the target: up by 6 dB a second (as WebRTC's does), down
//! twenty times as fast, since what is too loud hurts and until then the limiter has to hold it.

use super::ramp::Ramp;
use crate::frame::StereoSample;
use crate::time::SAMPLE_RATE;

/// Mean square that is aimed at, dBFS: the quiet end of what the AES recommends for streams (TD1004: −16…−20 LUFS), which
/// leaves room for the other sources of the mix.
pub(super) const TARGET_DB: f32 = -20.0;
/// Largest gain either way, dB.
const RANGE_DB: f32 = 24.0;
/// What is so quiet that not even the largest gain brings it to the target is background.
const GATE_DB: f32 = TARGET_DB - RANGE_DB;
/// Samples of a measurement: 10 ms.
const WINDOW: u32 = SAMPLE_RATE / 100;
const WINDOW_S: f32 = WINDOW as f32 / SAMPLE_RATE as f32;
/// Part of the way to a higher level in a window: time constant 50 ms.
const LEVEL_ATTACK: f32 = WINDOW_S / 0.05;
/// A level falls by no more than this in a window, dB.
const LEVEL_RELEASE_DB: f32 = 3.0 * WINDOW_S;
/// The gain rises by no more than this in a window, dB.
const RISE_DB: f32 = 6.0 * WINDOW_S;
/// And falls by no more than this.
const FALL_DB: f32 = 120.0 * WINDOW_S;

/// The automatic gain of one entry.
#[derive(Debug)]
pub(super) struct AutoGain {
    /// Sums of squares of the window so far, and its samples.
    sums: [f32; 2],
    count: u32,
    /// Level of what is spoken, dBFS; absent until something was.
    level_db: Option<f32>,
    gain_db: f32,
    /// The gain goes from the first to the second in the course of a window.
    gain: [f32; 2],
    /// Part of the gain that is applied.
    presence: Ramp,
}

impl AutoGain {
    /// One that begins with the sound as it is.
    pub(super) fn new() -> AutoGain {
        AutoGain {
            sums: [0.0; 2],
            count: 0,
            level_db: None,
            gain_db: 0.0,
            gain: [1.0; 2],
            presence: Ramp::at(1.0),
        }
    }

    /// Moves in or out.
    pub(super) fn set(&mut self, presence: f32) {
        self.presence.turn(presence, 0);
    }

    /// Whether it is out.
    pub(super) fn is_over(&self) -> bool {
        self.presence.is_zero()
    }

    /// Applies the gain in place.
    pub(super) fn run(&mut self, block: &mut [StereoSample]) {
        for sample in block {
            self.sums = [0, 1].map(|side| self.sums[side] + sample[side] * sample[side]);
            self.count += 1;
            let [from, to] = self.gain;
            let gain = from + (to - from) * (self.count as f32 / WINDOW as f32);
            let applied = 1.0 + (gain - 1.0) * self.presence.step();
            *sample = sample.map(|v| v * applied);
            if self.count == WINDOW {
                self.measure();
            }
        }
    }

    /// A window is over: how loud it was, and where the gain goes in the next one.
    fn measure(&mut self) {
        let power = self.sums[0].max(self.sums[1]) / WINDOW as f32;
        (self.sums, self.count) = ([0.0; 2], 0);
        self.gain[0] = self.gain[1];
        let now_db = 10.0 * power.log10();
        if now_db < GATE_DB {
            return;
        }
        let before_db = self.level_db.unwrap_or(now_db);
        let moved = (now_db - before_db).max(-LEVEL_RELEASE_DB);
        let level_db = before_db + if moved > 0.0 { moved * LEVEL_ATTACK } else { moved };
        self.level_db = Some(level_db);
        let wanted_db = (TARGET_DB - level_db).clamp(-RANGE_DB, RANGE_DB);
        self.gain_db += (wanted_db - self.gain_db).clamp(-FALL_DB, RISE_DB);
        self.gain[1] = 10f32.powf(self.gain_db / 20.0);
    }
}
