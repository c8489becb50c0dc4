//! The recent past of one input, so that an entry of the mix can sound later than its picture.
//!
//! Must not know gains. Invariant: at most `limits::MAX_FIXED_DELAY_MS` plus one block is kept; what was never
//! there is silence.

use crate::frame::StereoSample;
use crate::ids::InputKey;
use crate::limits;
use crate::time::SAMPLE_RATE;

const LONGEST: usize = (SAMPLE_RATE / 1000 * limits::MAX_FIXED_DELAY_MS) as usize;

/// Past samples of an input, oldest first.
#[derive(Debug)]
pub(super) struct DelayLine {
    input: InputKey,
    samples: Vec<StereoSample>,
}

impl DelayLine {
    /// An empty past.
    pub(super) fn new(input: InputKey) -> DelayLine {
        DelayLine { input, samples: vec![[0.0; 2]; LONGEST] }
    }

    /// Whose past.
    pub(super) fn input(&self) -> InputKey {
        self.input
    }

    /// The block of now joins the past.
    pub(super) fn push(&mut self, block: Option<&[StereoSample]>, len: usize) {
        // The past slides to the front only once a second, not with each block.
        if self.samples.len() + len > LONGEST + SAMPLE_RATE as usize {
            let surplus = self.samples.len() - LONGEST;
            self.samples.drain(..surplus);
        }
        match block {
            Some(block) => self.samples.extend_from_slice(block),
            None => self.samples.extend(std::iter::repeat_n([0.0; 2], len)),
        }
    }

    /// The block of `len` samples that ended `delay_ms` ago.
    pub(super) fn block(&self, delay_ms: u32, len: usize) -> &[StereoSample] {
        let delay = (SAMPLE_RATE / 1000 * delay_ms.min(limits::MAX_FIXED_DELAY_MS)) as usize;
        let end = self.samples.len() - delay;
        &self.samples[end - len..end]
    }
}
