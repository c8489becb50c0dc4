//! The bit rate of an output that runs.
//!
//! Must not know who changes it. Invariant: a stream's parameter sets hold for whatever bit rate it comes to have.

use super::Output;
use crate::media::encode::{VideoSettings, most_bps};

impl Output {
    /// What its video was asked for, at the bit rate that holds now.
    pub fn video(&self) -> VideoSettings {
        let bitrate_bps = self.header.video_bps.bps();
        VideoSettings { bitrate_bps, ..self.programme.video().clone() }
    }

    /// Highest video bit rate that [`Output::set_bitrate`] can be asked for, bit/s: what its streams' parameter sets allow.
    pub fn most_bps(&self) -> u32 {
        most_bps(&self.header.decoder).max(self.header.video_bps.bps())
    }

    /// Encodes with this video bit rate from the next picture on, bit/s, [`Output::most_bps`] at most: in the same streams,
    /// without a keyframe. Live outputs only.
    pub fn set_bitrate(&self, bps: u32) {
        self.header.video_bps.set(bps.min(self.most_bps()));
    }
}
