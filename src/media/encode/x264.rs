//! libx264 by way of FFmpeg.
//!
//! Must not know queues. Invariants: packet times are tick times; no scene-cut keyframes, closed groups; B-frames as many as are asked
//! for and referred to by none.

use std::sync::Arc;

use ffmpeg_next::ffi;

use super::codec::{Codec, Frame, keep_rate};
use super::sets::SetId;
use super::{EncodeError, Idr, Latency, Options, Timing, VideoSettings, X264Preset, check_picture};
use crate::frame::{Picture, Size};
use crate::media::packet::Packet;

/// An open x264.
#[derive(Debug)]
pub(super) struct X264Encoder {
    codec: Codec,
    size: Size,
    timing: Timing,
    latency: Latency,
    bitrate_bps: u32,
}

impl X264Encoder {
    pub(super) fn open(settings: &VideoSettings, id: SetId) -> Result<X264Encoder, EncodeError> {
        let threads = match settings.threads {
            0 => {
                let count = live_threads(settings, thread_rate(settings.preset));
                count.map_or_else(|| "auto".to_owned(), |count| count.to_string())
            }
            count => count.to_string(),
        };
        let mut pairs = vec![
            (c"preset", settings.preset.name()),
            (c"profile", settings.profile.name()),
            (c"forced-idr", "1"),
            (c"sc_threshold", "0"),
            (c"threads", threads.as_str()),
        ];
        if settings.latency == Latency::Zero {
            pairs.push((c"tune", "zerolatency"));
        }
        let lookahead = settings.lookahead_pictures.to_string();
        if settings.latency == Latency::Zero && settings.lookahead_pictures > 0 {
            // Both are off by zerolatency: how far it looks, and what it makes of what it sees.
            pairs.extend([(c"rc-lookahead", lookahead.as_str()), (c"mbtree", "1")]);
        }
        if settings.b_frames > 0 {
            // Always as many, so that how late a picture is does not depend on what it shows; one picture is reordered, no more.
            pairs.extend([(c"b_strategy", "0"), (c"b-pyramid", "none")]);
        }
        if id == SetId::Second {
            pairs.push((c"x264-params", "sps-id=1"));
        }
        let mut options = Options::new(&pairs);
        let codec = Codec::open(("libx264", c"libx264"), &mut options, |context| {
            configure(context, settings);
        })?;
        Ok(X264Encoder {
            codec,
            size: settings.size,
            timing: Timing::of(settings),
            latency: settings.latency,
            bitrate_bps: settings.bitrate_bps,
        })
    }

    /// SPS and PPS, Annex B.
    pub(super) fn parameter_sets(&self) -> &[u8] {
        self.codec.extradata()
    }

    /// Keeps another bit rate from the next picture on.
    pub(super) fn set_bitrate(&mut self, bps: u32) -> Result<(), EncodeError> {
        if bps == self.bitrate_bps {
            return Ok(());
        }
        if self.latency == Latency::Normal {
            return Err(EncodeError::OneRate);
        }
        self.codec.set_rate(bps);
        self.bitrate_bps = bps;
        Ok(())
    }

    pub(super) fn encode(
        &mut self,
        tick: u64,
        picture: &Arc<Picture>,
        idr: Idr,
    ) -> Result<Vec<Packet>, EncodeError> {
        check_picture(picture, self.size)?;
        let frame = Frame::of_tick(tick, idr, picture, ffi::AVPixelFormat::AV_PIX_FMT_NV12)?;
        let mut encoded = Vec::new();
        self.codec.push(Some(&frame), &mut encoded)?;
        Ok(encoded.iter().map(|unit| self.timing.packet(unit)).collect())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Packet>, EncodeError> {
        let mut encoded = Vec::new();
        self.codec.push(None, &mut encoded)?;
        Ok(encoded.iter().map(|unit| self.timing.packet(unit)).collect())
    }
}

/// Threads with which a live picture takes no more than half of its time, each encoding so many pixels a second; `None` where the
/// encoder does best by its own rule. Each thread of x264's has a slice of its own, which costs bits, and waits for the others,
/// which costs time: a ladder of four small pictures takes 4 % less on one thread each.
pub(super) fn live_threads(settings: &VideoSettings, thread_rate: f64) -> Option<u32> {
    let VideoSettings { size, rate, .. } = settings;
    let pixels = f64::from(size.width_px) * f64::from(size.height_px);
    let tick_s = f64::from(rate.den()) / f64::from(rate.num());
    let picture_s = f64::from(settings.picture_ticks.max(1)) * tick_s;
    let threads = (2.0 * pixels / picture_s / thread_rate).ceil() as u32;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (settings.latency == Latency::Zero && threads as usize <= cores).then_some(threads)
}

/// Pixels a second that one thread encodes of hard pictures, about half of what was measured (a fractal at 720p and 2.5 Mbit/s
/// on a core of an AMD EPYC: 247, 157, 108, 66, 42 and 35 million).
pub(super) fn thread_rate(preset: X264Preset) -> f64 {
    match preset {
        X264Preset::Ultrafast => 130e6,
        X264Preset::Superfast => 80e6,
        X264Preset::Veryfast => 56e6,
        X264Preset::Faster => 33e6,
        X264Preset::Fast => 21e6,
        X264Preset::Medium => 18e6,
    }
}

pub(super) fn configure(context: &mut ffi::AVCodecContext, settings: &VideoSettings) {
    let (num, den) = (settings.rate.num() as i32, settings.rate.den() as i32);
    context.width = settings.size.width_px as i32;
    context.height = settings.size.height_px as i32;
    context.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_NV12;
    context.time_base = ffi::AVRational { num: den, den: num };
    let picture_ticks = settings.picture_ticks.max(1) as i32;
    context.framerate = ffi::AVRational { num, den: den * picture_ticks };
    context.sample_aspect_ratio = ffi::AVRational { num: 1, den: 1 };
    context.gop_size = (settings.gop_ticks as i32 / picture_ticks).max(1);
    context.keyint_min = context.gop_size;
    context.max_b_frames = settings.b_frames as i32;
    // A line carries no more than its rate; a file has no such buffer, and with one x264's threads look at each other's
    // unfinished frames, so that the same pictures would not always give the same stream.
    match settings.latency {
        Latency::Zero => keep_rate(context, settings.bitrate_bps),
        Latency::Normal => context.bit_rate = i64::from(settings.bitrate_bps),
    }
    context.color_primaries = ffi::AVColorPrimaries::AVCOL_PRI_BT709;
    context.color_trc = ffi::AVColorTransferCharacteristic::AVCOL_TRC_BT709;
    context.colorspace = ffi::AVColorSpace::AVCOL_SPC_BT709;
    context.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
    context.chroma_sample_location = ffi::AVChromaLocation::AVCHROMA_LOC_LEFT;
    context.flags |= (ffi::AV_CODEC_FLAG_GLOBAL_HEADER | ffi::AV_CODEC_FLAG_CLOSED_GOP) as i32;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::FrameRate;

    #[test]
    fn a_live_picture_has_the_threads_that_it_needs() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        for (size, fps, preset, threads) in [
            ((640, 360), 30, X264Preset::Medium, 1),
            ((1280, 720), 30, X264Preset::Ultrafast, 1),
            ((1280, 720), 30, X264Preset::Veryfast, 1),
            ((1280, 720), 60, X264Preset::Veryfast, 2),
            ((1920, 1080), 30, X264Preset::Ultrafast, 1),
            ((1920, 1080), 30, X264Preset::Veryfast, 3),
            ((1920, 1080), 60, X264Preset::Medium, 14),
        ] {
            let size = Size::new(size.0, size.1);
            let live = VideoSettings::for_size(size, FrameRate::new(fps, 1).unwrap());
            let live = VideoSettings { preset, ..live };
            let expected = (threads <= cores).then_some(threads);
            let count = |of: &VideoSettings| live_threads(of, thread_rate(preset));
            assert_eq!(count(&live), expected, "{size:?} at {fps} by {preset:?}");
            let offline = VideoSettings { latency: Latency::Normal, ..live };
            assert_eq!(count(&offline), None);
        }
    }
}
