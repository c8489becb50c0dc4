//! Which encoder makes an output, how NVENC is used, and which decoder reads sources.
//!
//! Must not know encoders or decoders. Invariant: the words are the same as flags and in files.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

/// What encodes video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderChoice {
    /// NVENC where there is a session of it, else software.
    #[default]
    Auto,
    /// NVENC: a show or rendition without a session is refused.
    Nvenc,
    /// Software: x264 for H.264, x265 for HEVC.
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
}

impl VideoCodec {
    /// All of them.
    pub const ALL: [VideoCodec; 2] = [VideoCodec::H264, VideoCodec::Hevc];
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
