//! Following the clock of a live source.
//!
//! Must not know what it steers. Watches, over windows of 8 s, how far ahead of the playhead the promptest arrivals
//! were (delay on the way only ever makes arrivals later, so the promptest tell the clock best), and steers that
//! towards the target. Invariant: never more than [`SLEW_PPM`], and exactly 0 while all is well.

use super::media::Tick;
use super::unwrap::Track;

/// Fastest change of the anchor, parts per million; inaudible.
pub(super) const SLEW_PPM: f64 = 500.0;
/// Parts per million for each millisecond off target: a time constant of 40 s, slow against the window.
const PPM_PER_MS: f64 = 25.0;
/// How fast the read position is brought back to whole samples when there is nothing to follow.
const HOME_PPM: f64 = 20.0;
const WINDOW_NS: i64 = 8_000_000_000;

/// One input's clock follower.
#[derive(Debug)]
pub(super) struct Servo {
    best_ns: [Option<i64>; 2],
    left_ns: i64,
    ppm: f64,
    /// The same, smoothed over some minutes.
    drift_ppm: f64,
}

impl Servo {
    pub(super) fn new() -> Servo {
        Servo { best_ns: [None; 2], left_ns: WINDOW_NS, ppm: 0.0, drift_ppm: 0.0 }
    }

    /// What was observed is void: the anchor was moved.
    pub(super) fn restart(&mut self) {
        (self.best_ns, self.left_ns) = ([None; 2], WINDOW_NS);
    }

    /// Something of a track came and is that far ahead.
    pub(super) fn observe(&mut self, track: Track, ahead_ns: i64) {
        let best = &mut self.best_ns[track as usize];
        *best = Some(best.map_or(ahead_ns, |best| best.max(ahead_ns)));
    }

    /// A tick passes; at the end of a window the pace is set anew.
    pub(super) fn tick(&mut self, at: &Tick, target_ns: i64) {
        self.left_ns -= at.len_ns;
        if self.left_ns > 0 {
            return;
        }
        let best = self.best_ns.into_iter().flatten().min();
        self.restart();
        let Some(best) = best else { return };
        // Arrivals are only known by tick, so within a tick there is nothing to correct.
        let dead = (target_ns / 4).min(at.len_ns.max(20_000_000));
        let error = best - target_ns;
        let error_ms = (error - error.clamp(-dead, dead)) as f64 / 1e6;
        self.ppm = (error_ms * PPM_PER_MS).clamp(-SLEW_PPM, SLEW_PPM);
        self.drift_ppm += (self.ppm - self.drift_ppm) / 32.0;
    }

    /// How much to move the anchor in a tick of `samples`, in samples, given how much it was moved so far.
    pub(super) fn slew(&self, so_far: f64, samples: usize) -> f64 {
        let samples = samples as f64;
        if self.ppm != 0.0 {
            return -self.ppm * 1e-6 * samples;
        }
        let most = HOME_PPM * 1e-6 * samples;
        (so_far.round() - so_far).clamp(-most, most)
    }

    /// How much faster than the programme the source seems to run.
    pub(super) fn drift_ppm(&self) -> f64 {
        self.drift_ppm
    }
}
