//! libaom by way of FFmpeg.
//!
//! Must not know queues. Invariants: every picture comes out as it goes in; each keyframe has the sequence header before it.

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::codec::{Codec, Frame};
use super::planar::Opened;
use super::x264::{configure, live_threads};
use super::{EncodeError, Idr, Latency, Options, VideoSettings, X264Preset, av1};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};

/// What a keyframe may have of the bits of a picture, percent. Without it the first ones take several seconds' of them.
const KEYFRAME_PERCENT: u32 = 300;

/// Opens it, and another one before it that makes its first picture: FFmpeg 5.1 tells no sequence header before there is one.
pub(super) fn open(settings: &VideoSettings) -> Result<Opened, EncodeError> {
    let Size { width_px, height_px } = settings.size;
    if !width_px.is_multiple_of(2) || !height_px.is_multiple_of(2) {
        let reason = format!("{width_px}x{height_px}: both sides must be even");
        return Err(EncodeError::Ffmpeg { what: "cannot open the encoder", reason });
    }
    let black = black(settings)?;
    let frame = Frame::of_tick(0, Idr::Force, &black, ffi::AVPixelFormat::AV_PIX_FMT_YUV420P)?;
    let mut encoded = Vec::new();
    codec(settings)?.push(Some(&frame), &mut encoded)?;
    let first = encoded.first().ok_or(EncodeError::NoParameterSets)?;
    Ok(Opened { codec: codec(settings)?, sets: av1::sequence_headers(&first.data).into() })
}

fn codec(settings: &VideoSettings) -> Result<Codec, EncodeError> {
    let threads = match settings.threads {
        0 => live_threads(settings, thread_rate(settings.preset)).unwrap_or(0),
        count => count,
    };
    // FFmpeg's own name for the speed ends at 8, and it does not tell where chroma lies.
    let parameters = format!(
        "cpu-used={}:max-intra-rate={KEYFRAME_PERCENT}:chroma-sample-position=vertical",
        speed(settings.preset)
    );
    let mut options = Options::new(&[
        (c"usage", "realtime"),
        (c"lag-in-frames", "0"),
        (c"aq-mode", "cyclic"),
        (c"row-mt", "1"),
        (c"aom-params", parameters.as_str()),
    ]);
    Codec::open(("libaom-av1", c"libaom-av1"), &mut options, |context| {
        configure(context, settings);
        context.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
        context.thread_count = threads as i32;
        // Keyframes are those that are asked for, and have the sequence header.
        (context.gop_size, context.keyint_min) = (i32::MAX, 0);
        context.flags &= !(ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32);
        if settings.latency == Latency::Zero {
            // A constant rate, its buffer half full at first (libaom would take four seconds' for the beginning).
            context.rc_min_rate = context.rc_max_rate;
            context.rc_initial_buffer_occupancy = context.rc_buffer_size / 2;
        }
    })
}

fn black(settings: &VideoSettings) -> Result<Picture, EncodeError> {
    let shapes = PixelFormat::I420.plane_shapes(settings.size).into_iter().zip([16, 128, 128]);
    let planes = shapes.map(|((row, rows), value)| Plane {
        data: Bytes::from(vec![value; row * rows]),
        stride_bytes: row,
    });
    let picture = Picture::new(PixelFormat::I420, settings.size, Color::CANVAS, planes.collect());
    picture.map_err(|reason| EncodeError::Ffmpeg { what: "planes", reason })
}

/// libaom's speed in real time, 5 to 10, by the names of x264.
fn speed(preset: X264Preset) -> u32 {
    match preset {
        X264Preset::Ultrafast => 10,
        X264Preset::Superfast => 9,
        X264Preset::Veryfast => 8,
        X264Preset::Faster => 7,
        X264Preset::Fast => 6,
        X264Preset::Medium => 5,
    }
}

/// Pixels a second that one thread encodes of hard pictures, about half of what was measured (as for x264: 44, 43, 41, 37, 14 and 7
/// million).
pub(super) fn thread_rate(preset: X264Preset) -> f64 {
    match preset {
        X264Preset::Ultrafast | X264Preset::Superfast => 21e6,
        X264Preset::Veryfast => 20e6,
        X264Preset::Faster => 18e6,
        X264Preset::Fast => 7e6,
        X264Preset::Medium => 4e6,
    }
}
