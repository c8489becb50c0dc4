//! Encoders: pictures of ticks to H.264, HEVC or AV1, samples to AAC.
//!
//! The only place with FFmpeg's encoders; NVENC's is next door. Must not know queues, sinks or containers. Invariants: packet times follow from
//! ticks and sample counts alone; every group of pictures is closed and begins with an IDR; NAL units leave behind their lengths, OBUs as they
//! are.

use std::ffi::{CStr, CString};
use std::fmt;

use ffmpeg_next::ffi;

use crate::frame::{Picture, PixelFormat, Size};
use crate::media::nvenc::{NoNvenc, NvencSettings};
use crate::media::packet::{Packet, Track, VideoCodec};
use crate::time::FrameRate;

mod aac;
mod annexb;
mod aom;
mod av1;
mod avc;
mod codec;
mod hevc;
mod intake;
mod maker;
mod planar;
mod reorder;
mod second_id;
pub(super) mod sets;
mod x264;
mod x265;

pub use aac::AacEncoder;
pub(super) use codec::{Encoded, stereo_layout};
pub use intake::Intake;
pub use maker::{EncoderPolicy, Maker, VideoEncoder};
pub use sets::most_bps;

/// Speed of x264, x265 or libaom, against quality per bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are x264's")]
pub enum X264Preset {
    Ultrafast,
    Superfast,
    Veryfast,
    Faster,
    Fast,
    Medium,
}

impl X264Preset {
    /// All, fastest first.
    pub const ALL: [X264Preset; 6] = [
        X264Preset::Ultrafast,
        X264Preset::Superfast,
        X264Preset::Veryfast,
        X264Preset::Faster,
        X264Preset::Fast,
        X264Preset::Medium,
    ];

    /// x264's name of it.
    pub fn name(self) -> &'static str {
        match self {
            X264Preset::Ultrafast => "ultrafast",
            X264Preset::Superfast => "superfast",
            X264Preset::Veryfast => "veryfast",
            X264Preset::Faster => "faster",
            X264Preset::Fast => "fast",
            X264Preset::Medium => "medium",
        }
    }

    /// The preset of this name.
    pub fn parse(name: &str) -> Option<X264Preset> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }
}

/// How many times the work of H.264 software has with a codec, by the same preset.
pub fn effort(codec: VideoCodec, preset: X264Preset) -> f64 {
    match codec {
        VideoCodec::Hevc => x264::thread_rate(preset) / x265::thread_rate(preset),
        VideoCodec::Av1 => x264::thread_rate(preset) / aom::thread_rate(preset),
        VideoCodec::H264 => 1.0,
    }
}

/// What of H.264 a decoder must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are H.264's")]
pub enum Profile {
    Baseline,
    Main,
    High,
}

impl Profile {
    /// x264's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Baseline => "baseline",
            Profile::Main => "main",
            Profile::High => "high",
        }
    }
}

/// What an encoder may hold back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Every picture leaves at once (x264's `zerolatency`) but for what is looked ahead, and the rate is kept at every moment (VBV of 1 s).
    Zero,
    /// Look-ahead and frame threads, rate kept on average: better, cheaper and repeatable, some frames late.
    Normal,
}

/// What a video encoder is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSettings {
    /// How it is coded.
    pub codec: VideoCodec,
    /// Picture size; both sides even.
    pub size: Size,
    /// Ticks per second.
    pub rate: FrameRate,
    /// Average and highest bit rate over one second, bit/s.
    pub bitrate_bps: u32,
    /// Ticks from keyframe to keyframe.
    pub gop_ticks: u32,
    /// Ticks from picture to picture; a divisor of `gop_ticks`.
    pub picture_ticks: u32,
    /// Speed of x264, x265 or libaom.
    pub preset: X264Preset,
    /// Profile of H.264; HEVC and AV1 have Main.
    pub profile: Profile,
    /// Delay.
    pub latency: Latency,
    /// Pictures that it looks ahead: it holds so many, for a better choice of where bits go. Live only; offline it looks as far as
    /// its preset does. x265 holds three that it does not look at, and none when it is asked for three or fewer;
    /// libaom looks at none.
    pub lookahead_pictures: u32,
    /// B-pictures between those that others refer to, at most: 0 with [`Profile::Baseline`] and AV1, which have none. NVENC makes as many as
    /// its card can.
    pub b_frames: u32,
    /// Threads; 0: live as few as are quick enough, else as the encoder chooses.
    pub threads: u32,
    /// Which encoders may be used.
    pub policy: EncoderPolicy,
    /// How NVENC is used, where it is.
    pub nvenc: NvencSettings,
}

impl VideoSettings {
    /// Whether they differ in the bit rate alone, which may change while an encoder works, or not at all.
    pub fn is_like(&self, other: &VideoSettings) -> bool {
        VideoSettings { bitrate_bps: other.bitrate_bps, ..self.clone() } == *other
    }

    /// Pictures that an encoder of these settings may hold, live: those that it looks at, those that wait for the one that they refer
    /// to, and those that came out and wait for others that go before them.
    pub fn pictures_held(&self) -> u32 {
        match (self.b_frames, self.lookahead_pictures) {
            (0, ahead) => ahead,
            // x265 looks further ahead than there are B-frames, and holds three.
            (b_frames, ahead) if self.codec == VideoCodec::Hevc => 3 * b_frames + ahead.max(4),
            (b_frames, 0) => 2 * b_frames,
            // NVENC does not say whether what it has looked at waits.
            (b_frames, ahead) => 3 * b_frames + ahead,
        }
    }

    /// Pictures that come out at once, live, at most.
    pub fn burst_pictures(&self) -> u32 {
        1 + self.b_frames
    }

    /// Ticks by which decoding goes ahead of showing, so that it begins so much before tick 0.
    pub fn reorder_ticks(&self) -> u32 {
        if self.b_frames > 0 { self.picture_ticks.max(1) } else { 0 }
    }

    /// The defaults for a size: bit rate from [`default_bitrate_bps`], a keyframe every 2 s, a picture
    /// every tick, veryfast, high profile, no delay, H.264 by x264.
    pub fn for_size(size: Size, rate: FrameRate) -> VideoSettings {
        VideoSettings {
            codec: VideoCodec::H264,
            size,
            rate,
            bitrate_bps: default_bitrate_bps(size),
            gop_ticks: u32::try_from(rate.tick_at(2_000_000_000)).unwrap_or(60),
            picture_ticks: 1,
            preset: X264Preset::Veryfast,
            profile: Profile::High,
            latency: Latency::Zero,
            lookahead_pictures: 0,
            b_frames: 0,
            threads: 0,
            policy: EncoderPolicy::Software,
            nvenc: NvencSettings::default(),
        }
    }
}

/// Bit rates of the output sizes (the cloud product's own ladder is of this order), by pixels: portrait is the same.
const BITRATES: [(u32, u32); 4] = [
    (640 * 360, 800_000),
    (854 * 480, 1_200_000),
    (1280 * 720, 2_500_000),
    (1920 * 1080, 4_500_000),
];

/// Video bit rate of a size when none is given, bit/s: that of the smallest output size that is no smaller.
pub fn default_bitrate_bps(size: Size) -> u32 {
    let pixels = size.width_px * size.height_px;
    let fitting = BITRATES.iter().find(|(most, _)| pixels <= *most);
    fitting.unwrap_or(&BITRATES[BITRATES.len() - 1]).1
}

/// Whether a picture must be a keyframe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Idr {
    /// When the group of pictures is over.
    #[default]
    Auto,
    /// This one.
    Force,
}

/// Why something was not encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// This FFmpeg lacks the encoder.
    #[error("FFmpeg has no encoder {0}")]
    NoEncoder(&'static str),
    /// FFmpeg refused.
    #[error("{what}: {reason}")]
    Ffmpeg {
        /// What was tried.
        what: &'static str,
        /// FFmpeg's words.
        reason: String,
    },
    /// A picture that is not what the encoder was opened for.
    #[error("the encoder takes NV12 of {wanted:?}, not {got}")]
    WrongPicture {
        /// Size it was opened for.
        wanted: Size,
        /// What came.
        got: String,
    },
    /// NVENC.
    #[error(transparent)]
    Nvenc(#[from] NoNvenc),
    /// Offline the rate is kept on average over all of the stream.
    #[error("an offline encoder keeps one bit rate")]
    OneRate,
    /// Made no parameter sets.
    #[error("the encoder gave no usable parameter sets")]
    NoParameterSets,
}

/// How ticks become the times of packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    codec: VideoCodec,
    rate: FrameRate,
    picture_ticks: i64,
}

impl Timing {
    pub(super) fn of(settings: &VideoSettings) -> Timing {
        let VideoSettings { codec, rate, picture_ticks, .. } = *settings;
        Timing { codec, rate, picture_ticks: picture_ticks.max(1).into() }
    }

    /// The time of a tick.
    fn ns(&self, tick: i64) -> i64 {
        let ns = self.rate.tick_ns(tick.unsigned_abs());
        i64::try_from(ns).unwrap_or(i64::MAX) * tick.signum()
    }

    /// The packet of what an encoder gave, its times in ticks.
    pub(super) fn packet(&self, unit: &Encoded) -> Packet {
        Packet {
            track: Track::Video,
            pts_ns: self.ns(unit.pts),
            dts_ns: self.ns(unit.dts),
            duration_ns: self.ns(unit.pts + self.picture_ticks) - self.ns(unit.pts),
            key: unit.key,
            data: sets::unit(self.codec, &unit.data),
        }
    }
}

/// Refuses a picture that an encoder was not opened for.
pub(super) fn check_picture(picture: &Picture, wanted: Size) -> Result<(), EncodeError> {
    if picture.format() != PixelFormat::Nv12 || picture.size() != wanted {
        let got = format!("{:?} of {:?}", picture.format(), picture.size());
        return Err(EncodeError::WrongPicture { wanted, got });
    }
    Ok(())
}

/// FFmpeg's words for one of its codes.
pub(super) fn ffmpeg_reason(code: i32) -> String {
    ffmpeg_next::Error::from(code).to_string()
}

fn check(what: &'static str, code: i32) -> Result<i32, EncodeError> {
    if code < 0 {
        return Err(EncodeError::Ffmpeg { what, reason: ffmpeg_reason(code) });
    }
    Ok(code)
}

/// Options for FFmpeg; freed when dropped.
pub(super) struct Options(pub(super) *mut ffi::AVDictionary);

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Options")
    }
}

#[expect(unsafe_code, reason = "FFmpeg's dictionary")]
impl Options {
    pub(super) fn new(pairs: &[(&CStr, &str)]) -> Options {
        let mut options = Options(std::ptr::null_mut());
        for (key, value) in pairs {
            let value = CString::new(*value).unwrap_or_default();
            // SAFETY: both strings are NUL-terminated and copied by FFmpeg; the dictionary is ours.
            unsafe { ffi::av_dict_set(&mut options.0, key.as_ptr(), value.as_ptr(), 0) };
        }
        options
    }
}

#[expect(unsafe_code, reason = "FFmpeg's dictionary")]
impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the dictionary is ours, or null, which is allowed.
        unsafe { ffi::av_dict_free(&mut self.0) };
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
