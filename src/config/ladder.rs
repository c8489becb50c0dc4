//! How renditions are made: the tables `[ladder.…]` of the configuration.
//!
//! Must not know encoders. Invariant: what leaves here is within its limits.

use serde::Deserialize;

use super::{Preset, VideoCodec, in_range};
use crate::limits;

/// What of H.264 a decoder must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "H.264's own names")]
pub enum Profile {
    Baseline,
    Main,
    High,
}

/// How a rendition is made; what is not given is as PGM is made, the bit rate by size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rung {
    /// Video bit rate, 100000–100000000 bit/s.
    pub video_bps: Option<u32>,
    /// Pictures per second at most, 1–60: PGM's rate by the smallest whole number with which each keyframe keeps its picture.
    pub fps: Option<u32>,
    /// Preset of x264, x265 or libaom.
    pub preset: Option<Preset>,
    /// Pictures that its encoder looks ahead, 0–31; PGM's if it is not given.
    pub lookahead_frames: Option<u32>,
    /// B-frames of its encoder, 0–4; PGM's if it is not given, none with baseline profile.
    pub b_frames: Option<u32>,
    /// H.264 profile; PGM's is high.
    pub profile: Option<Profile>,
}

/// How renditions are made: TOML tables `[ladder.lld]` to `[ladder.lud]`; `daobo-lld` is made like `lld`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the renditions' own names")]
pub struct LadderSettings {
    pub lld: Rung,
    pub lsd: Rung,
    pub lhd: Rung,
    pub lud: Rung,
}

impl LadderSettings {
    /// How the rendition of this name is made.
    pub fn rung(&self, name: &str) -> Rung {
        match name.strip_prefix("daobo-").unwrap_or(name) {
            "lld" => self.lld,
            "lsd" => self.lsd,
            "lhd" => self.lhd,
            "lud" => self.lud,
            _ => Rung::default(),
        }
    }

    pub(super) fn checked(self, codec: VideoCodec) -> Result<LadderSettings, String> {
        for rung in [self.lld, self.lsd, self.lhd, self.lud] {
            if rung.profile.is_some() && codec != VideoCodec::H264 {
                return Err("ladder profile is of H.264, and video-codec is another".into());
            }
            let (min, max) = (limits::MIN_VIDEO_BPS, limits::MAX_VIDEO_BPS);
            in_range("ladder video-bps", rung.video_bps.unwrap_or(min), min, max)?;
            in_range("ladder fps", rung.fps.unwrap_or(1), 1, 60)?;
            let most = limits::MAX_LOOKAHEAD_PICTURES;
            in_range("ladder lookahead-frames", rung.lookahead_frames.unwrap_or(0), 0, most)?;
            codec.check_b_frames("ladder b-frames", rung.b_frames.unwrap_or(0))?;
        }
        Ok(self)
    }
}
