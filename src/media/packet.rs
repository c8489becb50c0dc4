//! Encoded media between an encoder and its sinks.
//!
//! Must not know containers. Invariant: times are nanoseconds on the output's timeline (tick 0 = 0); video data is NAL units
//! with 4-byte lengths and without parameter sets, of AV1 the OBUs of a temporal unit without delimiters; audio data is raw AAC
//! frames.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::frame::Size;
use crate::time::FrameRate;

/// Which elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// Pictures.
    Video,
    /// AAC-LC.
    Audio,
}

/// How video is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standards'")]
pub enum VideoCodec {
    #[default]
    H264,
    Hevc,
    Av1,
}

impl VideoCodec {
    /// All of them.
    pub const ALL: [VideoCodec; 3] = [VideoCodec::H264, VideoCodec::Hevc, VideoCodec::Av1];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            VideoCodec::H264 => "H.264",
            VideoCodec::Hevc => "HEVC",
            VideoCodec::Av1 => "AV1",
        }
    }

    /// As MP4, Enhanced RTMP and the CODECS of HLS name it. All three take it that parameter sets stand in the record alone.
    pub fn four_cc(self) -> &'static [u8; 4] {
        match self {
            VideoCodec::H264 => b"avc1",
            VideoCodec::Hevc => b"hvc1",
            VideoCodec::Av1 => b"av01",
        }
    }

    /// What makes it in software.
    pub fn software(self) -> &'static str {
        match self {
            VideoCodec::H264 => "x264",
            VideoCodec::Hevc => "x265",
            VideoCodec::Av1 => "libaom",
        }
    }
}

/// What a decoder of a video stream must know first: the same for as long as the stream lasts. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoderConfig {
    /// How it is coded.
    pub codec: VideoCodec,
    /// The codec's record as MP4 has it: avcC, hvcC or av1C.
    pub record: Bytes,
}

/// One access unit. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Elementary stream it belongs to.
    pub track: Track,
    /// Presentation time, ns.
    pub pts_ns: i64,
    /// Decoding time, ns; below 0 at first where there are B-frames.
    pub dts_ns: i64,
    /// Duration, ns.
    pub duration_ns: i64,
    /// Decoding can begin here.
    pub key: bool,
    /// The bytes.
    pub data: Bytes,
}

impl Packet {
    /// The same with times that are later.
    pub fn later(&self, ns: i64) -> Packet {
        Packet { pts_ns: self.pts_ns + ns, dts_ns: self.dts_ns + ns, ..self.clone() }
    }
}

/// What a sink must know before the first packet.
#[derive(Clone, Debug)]
pub struct StreamHeader {
    /// Picture size.
    pub size: Size,
    /// Ticks per second.
    pub rate: FrameRate,
    /// Of the video.
    pub decoder: DecoderConfig,
    /// `AudioSpecificConfig`, 48 kHz stereo.
    pub asc: Bytes,
    /// Video bit rate; it may change.
    pub video_bps: BitRate,
    /// Audio bit rate, bit/s.
    pub audio_bps: u32,
    /// Ticks from keyframe to keyframe: all that are multiples of it have one.
    pub gop_ticks: u32,
    /// Ticks from picture to picture.
    pub picture_ticks: u32,
    /// When the output's time 0 was.
    pub origin: Origin,
    /// By how much all times are later in containers that have none below 0, ns: where there are B-frames, decoding begins before
    /// time 0. The same for all of an output's streams.
    pub shift_ns: i64,
}

impl StreamHeader {
    /// Pictures per second.
    pub fn pictures_per_s(&self) -> f64 {
        let ticks_per_s = f64::from(self.rate.num()) / f64::from(self.rate.den());
        ticks_per_s / f64::from(self.picture_ticks.max(1))
    }
}

/// A bit rate that may change while a stream runs; all clones are that stream's.
#[derive(Clone, Debug, Default)]
pub struct BitRate(Arc<AtomicU32>);

impl BitRate {
    /// One of so many bit/s.
    pub fn new(bps: u32) -> BitRate {
        BitRate(Arc::new(AtomicU32::new(bps)))
    }

    /// As it is now, bit/s.
    pub fn bps(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it another one, bit/s.
    pub fn set(&self, bps: u32) {
        self.0.store(bps, Ordering::Relaxed);
    }
}

/// When an output's time 0 was, the same for all of its streams. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Origin(Arc<OnceLock<u64>>);

impl Origin {
    /// Says that it is at this time, ms since 1970; the first word counts.
    pub fn tell(&self, unix_ms: u64) {
        self.0.get_or_init(|| unix_ms);
    }

    /// The time, ms since 1970; 0 before it was told.
    pub fn unix_ms(&self) -> u64 {
        self.0.get().copied().unwrap_or(0)
    }
}
