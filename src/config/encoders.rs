//! Which encoder makes an output, how NVENC is used, and which decoder reads sources.
//!
//! Must not know encoders or decoders. Invariant: the words are the same as flags and in files.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use super::{HlsSegments, in_range};
use crate::limits;

/// What encodes video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderChoice {
    /// NVENC where there is a session of it, else software.
    #[default]
    Auto,
    /// NVENC: a show or rendition without a session is refused.
    Nvenc,
    /// Software: x264 for H.264, x265 for HEVC, libaom for AV1.
    #[value(alias = "x264")]
    #[serde(alias = "x264")]
    Software,
}

/// How outputs are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// H.264: every player has it.
    #[default]
    H264,
    /// HEVC: as good for fewer bits, for several times the work in software.
    Hevc,
    /// AV1: the same, and free; not by SRT, nor in MPEG-TS.
    Av1,
}

impl VideoCodec {
    /// All of them.
    pub const ALL: [VideoCodec; 3] = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1];

    /// Refuses B-frames of a codec that has none; `name` is the setting's.
    pub(crate) fn check_b_frames(self, name: &str, b_frames: u32) -> Result<u32, String> {
        match (self, in_range(name, b_frames, 0, limits::MAX_B_FRAMES)?) {
            (VideoCodec::Av1, 1..) => {
                Err(format!("{name} is {b_frames}, and AV1 has none: leave it out"))
            }
            (_, b_frames) => Ok(b_frames),
        }
    }

    /// Refuses segments that the codec does not fit.
    pub(super) fn check_segments(self, segments: HlsSegments) -> Result<HlsSegments, String> {
        match (self, segments) {
            (VideoCodec::Av1, HlsSegments::Ts) => Err(
                "hls-segments is ts, and MPEG-TS does not carry AV1: leave it out, or make it fmp4"
                    .into(),
            ),
            (_, segments) => Ok(segments),
        }
    }
}

/// What decodes the video of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecoderChoice {
    /// NVDEC where the adapter that composes has it, and software what it does not decode.
    #[default]
    Auto,
    /// The same, and an error in the log where there is none.
    Nvdec,
    /// Software.
    Software,
}

/// NVENC's presets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "NVENC's own names")]
pub enum NvencPreset {
    P1,
    P2,
    P3,
    #[default]
    P4,
    P5,
    P6,
    P7,
}

/// What NVENC is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NvencTuning {
    /// Quality first.
    HighQuality,
    /// Every picture leaves at once.
    LowLatency,
    /// The same, with pictures of sizes as even as can be.
    UltraLowLatency,
}

/// How NVENC keeps the bit rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NvencRate {
    /// Constant.
    #[default]
    Cbr,
    /// Less where less will do.
    Vbr,
}

/// How NVENC is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nvenc {
    /// Speed.
    pub preset: NvencPreset,
    /// Tuning; none: low latency, or quality with look-ahead or B-frames.
    pub tuning: Option<NvencTuning>,
    /// Bit rate.
    pub rate: NvencRate,
    /// Sessions at once; 0 = as many as the driver gives.
    pub most_sessions: u32,
    /// Directory of the driver's libraries; none: where the system finds libraries.
    pub libraries: Option<PathBuf>,
}
