//! Takes noise out of speech: RNNoise (J.-M. Valin, "A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech
//! Enhancement", 2018) in its Rust port.
//!
//! Must not know why it runs; the only file that names `nnnoiseless`. Invariants: as many samples come out as go in,
//! [`LATENCY`] later, and they are the same however they are cut into blocks.
//!
//! The network works on frames of 10 ms whose windows overlap by half: one frame has to fill, and its end is known when
//! the next one is there. Each side has a network of its own. Both hear the same speech, so that their gains agree and
//! the image stays (speech 6 dB to one side, 20 dB above the noise: moved by 0.1 dB); one for the middle and one for the
//! difference does worse, since a difference without speech teaches it nothing. Sides that were the same so far share.

use std::fmt;

use nnnoiseless::DenoiseState;

use super::AnsMode;
use super::ramp::Ramp;
use crate::frame::StereoSample;

/// Samples of a frame: 10 ms.
const FRAME: usize = DenoiseState::FRAME_SIZE;
/// Samples by which the sound comes out later.
pub(super) const LATENCY: usize = 2 * FRAME;
/// The network is trained on the numbers of 16-bit sound.
const FULL_SCALE: f32 = 32_768.0;
/// How much of what comes out is the network's when there is music, which it takes for noise in places: nothing then
/// falls by more than 6 dB (the gentlest of the four levels of WebRTC's suppressor). The rest is the sound as it was.
const SHARE_OF_MUSIC: f32 = 0.5;

/// The noise suppression of one entry.
pub(super) struct Suppressor {
    left: Box<DenoiseState<'static>>,
    /// Absent as long as both sides are the same.
    right: Option<Box<DenoiseState<'static>>>,
    /// The frame that fills, the one before it, and the one that comes out.
    filling: [StereoSample; FRAME],
    before: [StereoSample; FRAME],
    ready: [StereoSample; FRAME],
    at: usize,
    /// Samples until the first frame comes out.
    to_come: u32,
    /// Part of a frame that is the network's.
    share: Ramp,
    /// Part of the sound that goes this way, and not round it without delay.
    presence: Ramp,
}

impl fmt::Debug for Suppressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suppressor").field("presence", &self.presence).finish_non_exhaustive()
    }
}

impl Suppressor {
    /// One that takes over, in a ramp, when its first frame is ready.
    pub(super) fn new(mode: AnsMode) -> Suppressor {
        let mut suppressor = Suppressor {
            left: DenoiseState::new(),
            right: None,
            filling: [[0.0; 2]; FRAME],
            before: [[0.0; 2]; FRAME],
            ready: [[0.0; 2]; FRAME],
            at: 0,
            to_come: LATENCY as u32,
            share: Ramp::at(share(mode)),
            presence: Ramp::at(0.0),
        };
        suppressor.set(Some(mode));
        suppressor
    }

    /// Moves to another mode, or out.
    pub(super) fn set(&mut self, mode: Option<AnsMode>) {
        match mode {
            Some(mode) => {
                self.share.turn(share(mode), 0);
                self.presence.turn(1.0, self.to_come);
            }
            None => self.presence.turn(0.0, 0),
        }
    }

    /// Whether it is out.
    pub(super) fn is_over(&self) -> bool {
        self.presence.is_zero()
    }

    /// Suppresses noise in place.
    pub(super) fn run(&mut self, block: &mut [StereoSample]) {
        self.to_come = self.to_come.saturating_sub(block.len() as u32);
        for sample in block {
            let (now, late) = (*sample, self.ready[self.at]);
            self.filling[self.at] = now;
            self.at += 1;
            if self.at == FRAME {
                self.turn();
                self.at = 0;
            }
            *sample = blend(now, late, self.presence.step());
        }
    }

    /// A frame is full: the one before it is ready.
    fn turn(&mut self) {
        if self.right.is_none() && self.filling.iter().any(|s| s[0] != s[1]) {
            self.right = Some(self.left.clone());
        }
        let left = denoise(&mut self.left, self.filling.map(|s| s[0]));
        let right = match &mut self.right {
            Some(right) => denoise(right, self.filling.map(|s| s[1])),
            None => left,
        };
        for (i, ready) in self.ready.iter_mut().enumerate() {
            *ready = blend(self.before[i], [left[i], right[i]], self.share.step());
        }
        self.before = self.filling;
    }
}

fn share(mode: AnsMode) -> f32 {
    match mode {
        AnsMode::Speech => 1.0,
        AnsMode::Music => SHARE_OF_MUSIC,
    }
}

/// The frame before this one without its noise.
fn denoise(state: &mut DenoiseState<'static>, frame: [f32; FRAME]) -> [f32; FRAME] {
    let mut out = [0.0; FRAME];
    state.process_frame(&mut out, &frame.map(|v| v * FULL_SCALE));
    out.map(|v| v / FULL_SCALE)
}

/// Exactly `a` at 0 and `b` at 1.
fn blend(a: StereoSample, b: StereoSample, part: f32) -> StereoSample {
    [0, 1].map(|side| a[side] * (1.0 - part) + b[side] * part)
}
