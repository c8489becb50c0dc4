//! Encoded media between an encoder and its sinks.
//!
//! Must not know containers. Invariant: times are nanoseconds on the output's timeline (tick 0 = 0); video data is
//! AVCC (4-byte lengths), audio data is raw AAC frames.

use bytes::Bytes;

use crate::frame::Size;
use crate::time::FrameRate;

/// Which elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// H.264.
    Video,
    /// AAC-LC.
    Audio,
}

/// One access unit. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Elementary stream it belongs to.
    pub track: Track,
    /// Presentation time, ns.
    pub pts_ns: i64,
    /// Decoding time, ns.
    pub dts_ns: i64,
    /// Duration, ns.
    pub duration_ns: i64,
    /// Decoding can begin here.
    pub key: bool,
    /// The bytes.
    pub data: Bytes,
}

/// What a sink must know before the first packet.
#[derive(Clone, Debug)]
pub struct StreamHeader {
    /// Picture size.
    pub size: Size,
    /// Frame rate.
    pub rate: FrameRate,
    /// `AVCDecoderConfigurationRecord` (avcC).
    pub avcc: Bytes,
    /// `AudioSpecificConfig`, 48 kHz stereo.
    pub asc: Bytes,
    /// Video bit rate, bit/s.
    pub video_bps: u32,
    /// Audio bit rate, bit/s.
    pub audio_bps: u32,
}
