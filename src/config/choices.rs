//! What settings choose from.
//!
//! Must not know what is done with a choice. Invariant: the words are the same as flags, in files and in scripts.

use clap::ValueEnum;
use serde::Deserialize;

use crate::shot::ScaleQuality;

/// Who may push or play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestAuth {
    /// A push needs the `auth_key` of its stream.
    Key,
    /// Anyone who reaches the port may push.
    Off,
}

/// Who may play PGM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaybackAuth {
    /// A player needs the `auth_key` of its address.
    Signed,
    /// PGM plays for everyone who reaches the port (PVW never does).
    Public,
}

/// What happens when a stream is pushed that is on air already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondPublisher {
    /// The new publisher is refused.
    Refuse,
    /// The new publisher takes the stream over, the old one is cut off.
    TakeOver,
}

/// Whether the stream delay is for recordings too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordTiming {
    /// A recording has everything, when it is encoded.
    Prompt,
    /// A recording has what goes out, when it goes out.
    Delayed,
}

/// What HLS is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HlsSegments {
    /// MPEG-TS for H.264, fragmented MP4 for HEVC and AV1.
    #[default]
    Auto,
    /// MPEG-TS, which every player knows; not for AV1.
    Ts,
    /// Fragmented MP4.
    Fmp4,
}

/// How pictures are magnified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Magnify {
    /// By 4 × 4 neighbours.
    #[default]
    Bicubic,
    /// By 6 × 6: sharper, with a little ringing, at half as much time again.
    Lanczos,
}

impl From<Magnify> for ScaleQuality {
    fn from(magnify: Magnify) -> ScaleQuality {
        match magnify {
            Magnify::Bicubic => ScaleQuality::Bicubic,
            Magnify::Lanczos => ScaleQuality::Lanczos,
        }
    }
}

/// x264 presets that make sense live: faster costs quality, slower costs CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "x264's own names")]
pub enum Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
}
