//! What is done to the sound of one entry of the mix before its gain: noise suppression, then automatic gain.
//!
//! Must not know the entry's gain or the other entries. Invariants: a filter comes and goes in a ramp; as many samples
//! come out as go in; whoever wants no filter pays nothing.

use super::auto_gain::AutoGain;
use super::ramp::fade_out;
use super::suppressor::{LATENCY, Suppressor};
use super::{RAMP_SAMPLES, ValidChannel};
use crate::frame::StereoSample;

/// What is done to the sound of a source; nothing by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AudioFilter {
    /// Automatic gain, to −20 dBFS.
    pub agc: bool,
    /// Noise suppression. It makes the source 20 ms later.
    pub ans: Option<AnsMode>,
}

/// For what noise is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsMode {
    /// Everything but speech goes.
    Speech,
    /// Nothing falls by more than 6 dB.
    Music,
}

/// Beyond this (18 dB above full scale) a sample is cut off: the network remembers, and must not learn infinity.
const LOUDEST: f32 = 8.0;

/// Silence after which nothing of a source is left in the filters.
const DRAINED: usize = RAMP_SAMPLES as usize + LATENCY;

/// The filters of one entry.
#[derive(Debug)]
pub(super) struct Filters {
    wanted: AudioFilter,
    suppressor: Option<Box<Suppressor>>,
    auto_gain: Option<AutoGain>,
    /// The block at work.
    block: Vec<StereoSample>,
    /// The last sample of the source, and for how many samples it has been silent.
    last: StereoSample,
    silent: usize,
}

impl Filters {
    /// No filter.
    pub(super) fn new() -> Filters {
        Filters {
            wanted: AudioFilter::default(),
            suppressor: None,
            auto_gain: None,
            block: Vec::new(),
            last: [0.0; 2],
            silent: DRAINED,
        }
    }

    /// From the next block on these are wanted.
    pub(super) fn set(&mut self, wanted: AudioFilter) {
        self.wanted = wanted;
        if let Some(suppressor) = &mut self.suppressor {
            suppressor.set(wanted.ans);
        }
        if let Some(auto_gain) = &mut self.auto_gain {
            auto_gain.set(if wanted.agc { 1.0 } else { 0.0 });
        }
    }

    /// Whether the source's own samples will do.
    pub(super) fn are_out(&self) -> bool {
        self.wanted == AudioFilter::default()
            && self.suppressor.is_none()
            && self.auto_gain.is_none()
    }

    /// Nobody hears the entry: when somebody does again, nothing of now must be left.
    pub(super) fn unheard(&mut self) {
        (self.suppressor, self.last, self.silent) = (None, [0.0; 2], DRAINED);
    }

    /// A block of `len` samples of the source (`None`: silence) after the filters, on the sides that are heard; `None`
    /// when it is silent throughout.
    pub(super) fn run(
        &mut self,
        source: Option<&[StereoSample]>,
        channel: ValidChannel,
        len: usize,
    ) -> Option<&[StereoSample]> {
        self.block.clear();
        match source {
            Some(source) => {
                let clean = |v: f32| if v.is_nan() { 0.0 } else { v.clamp(-LOUDEST, LOUDEST) };
                let sides = channel.sides();
                self.block.extend(source.iter().map(|s| sides.map(|side| clean(s[side]))));
                self.last = self.block.last().copied().unwrap_or_default();
                self.silent = 0;
            }
            None if self.silent >= DRAINED => return None,
            None => {
                let last = std::mem::take(&mut self.last);
                self.block.extend(fade_out(last, len));
                self.block.resize(len, [0.0; 2]);
                self.silent += len;
            }
        }
        if let Some(mode) = self.wanted.ans {
            self.suppressor.get_or_insert_with(|| Box::new(Suppressor::new(mode)));
        }
        if self.wanted.agc {
            self.auto_gain.get_or_insert_with(AutoGain::new);
        }
        if let Some(suppressor) = &mut self.suppressor {
            suppressor.run(&mut self.block);
        }
        if let Some(auto_gain) = &mut self.auto_gain {
            auto_gain.run(&mut self.block);
        }
        self.suppressor.take_if(|suppressor| suppressor.is_over());
        self.auto_gain.take_if(|auto_gain| auto_gain.is_over());
        Some(&self.block)
    }
}
