//! Any decoded audio → blocks of 48 kHz stereo with the time of their first sample.
//!
//! Owns the swresample context. Must not know decoders. Invariant: blocks follow each other without gap or
//! overlap for as long as the source's time stamps do (to within [`JUMP_NS`]); a jump is passed on.
#![expect(unsafe_code, reason = "swresample works on raw buffers")]

use std::ffi::c_int;
use std::ptr;
use std::sync::Arc;

use ffmpeg_next::ffi;

use crate::frame::{AudioBlock, StereoSample};
use crate::time::{NS_PER_S, SAMPLE_RATE};

/// A difference between time stamp and sample count that is a jump; less is rounding or drift of the source.
const JUMP_NS: i64 = 20_000_000;
/// Rounding (FLV and MKV count in ms) is smoothed, drift is followed: this part of the difference per block.
const FOLLOW: i64 = 64;

/// Resampler of one stream.
#[derive(Default)]
pub(super) struct Resampler {
    context: Option<Context>,
    next_pts_ns: Option<i64>,
}

struct Context {
    swr: *mut ffi::SwrContext,
    format: c_int,
    rate_hz: c_int,
    channels: c_int,
    order: ffi::AVChannelOrder,
    mask: u64,
}

// SAFETY: used by the one thread that owns the resampler.
unsafe impl Send for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made in `Context::new`, freed once.
        unsafe { ffi::swr_free(&mut self.swr) };
    }
}

impl Context {
    /// # Safety
    /// `frame` must be a decoded audio frame.
    unsafe fn new(frame: *const ffi::AVFrame) -> Option<Context> {
        // SAFETY: the layouts are plain values (native or unspecified order); `swr` is checked.
        unsafe {
            let mut input = (*frame).ch_layout;
            if input.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
                ffi::av_channel_layout_default(&mut input, (*frame).ch_layout.nb_channels);
            }
            let mut output = std::mem::zeroed();
            ffi::av_channel_layout_default(&mut output, 2);
            let mut swr = ptr::null_mut();
            let code = ffi::swr_alloc_set_opts2(
                &mut swr,
                &mut output,
                ffi::AVSampleFormat::AV_SAMPLE_FMT_FLT,
                SAMPLE_RATE.cast_signed(),
                &mut input,
                std::mem::transmute::<c_int, ffi::AVSampleFormat>((*frame).format),
                (*frame).sample_rate,
                0,
                ptr::null_mut(),
            );
            if code >= 0 && (*frame).ch_layout.nb_channels == 1 {
                // One channel is heard on both sides at its own level; FFmpeg would take 3 dB off.
                ffi::swr_set_matrix(swr, [1.0_f64, 1.0].as_ptr(), 1);
            }
            if code < 0 || ffi::swr_init(swr) < 0 {
                ffi::swr_free(&mut swr);
                return None;
            }
            Some(Context {
                swr,
                format: (*frame).format,
                rate_hz: (*frame).sample_rate,
                channels: (*frame).ch_layout.nb_channels,
                order: (*frame).ch_layout.order,
                mask: (*frame).ch_layout.u.mask,
            })
        }
    }

    /// # Safety
    /// `frame` must be a decoded audio frame.
    unsafe fn fits(&self, frame: *const ffi::AVFrame) -> bool {
        // SAFETY: as the caller vouches; `mask` is only a number to compare.
        unsafe {
            let layout = (*frame).ch_layout;
            self.format == (*frame).format
                && self.rate_hz == (*frame).sample_rate
                && self.channels == layout.nb_channels
                && self.order == layout.order
                && self.mask == layout.u.mask
        }
    }

    fn delay_ns(&self) -> i64 {
        // SAFETY: the context is initialised.
        unsafe { ffi::swr_get_delay(self.swr, NS_PER_S.cast_signed()) }
    }

    /// Converts `count` samples at `data`, or what is left inside when `data` is null.
    ///
    /// # Safety
    /// `data` must be null or the planes of a frame that fits, with `count` samples.
    unsafe fn convert(&mut self, data: *mut *const u8, count: c_int) -> Vec<StereoSample> {
        // SAFETY: `out` has room for as many samples as swresample says it may write.
        unsafe {
            let room = ffi::swr_get_out_samples(self.swr, count).max(0);
            let mut out = vec![[0.0_f32; 2]; room as usize];
            let mut planes = [out.as_mut_ptr().cast::<u8>()];
            let written = ffi::swr_convert(self.swr, planes.as_mut_ptr(), room, data, count);
            out.truncate(usize::try_from(written).unwrap_or(0));
            out
        }
    }
}

/// Length of `samples` samples in nanoseconds, rounded to nearest.
pub(super) fn samples_ns(samples: usize) -> i64 {
    let rate = i64::from(SAMPLE_RATE);
    (samples as i64 * NS_PER_S.cast_signed() + rate / 2) / rate
}

impl Resampler {
    /// Converts a decoded frame whose first sample is at `pts_ns` (none: it follows the one before). A change
    /// of rate or layout is taken in. Nothing comes out while the filter fills.
    ///
    /// # Safety
    /// `frame` must point to a decoded audio frame.
    pub(super) unsafe fn convert(
        &mut self,
        frame: *const ffi::AVFrame,
        pts_ns: Option<i64>,
    ) -> Option<AudioBlock> {
        // SAFETY: as the caller vouches.
        unsafe {
            if !self.context.as_ref().is_some_and(|c| c.fits(frame)) {
                self.context = Context::new(frame);
            }
            let context = self.context.as_mut()?;
            let first_ns = pts_ns.map(|pts| pts.saturating_sub(context.delay_ns()));
            let samples = context.convert((*frame).extended_data.cast(), (*frame).nb_samples);
            self.block(samples, first_ns)
        }
    }

    /// What the filter still holds at the end of the stream.
    pub(super) fn flush(&mut self) -> Option<AudioBlock> {
        let mut context = self.context.take()?;
        // SAFETY: null asks for the rest.
        let samples = unsafe { context.convert(ptr::null_mut(), 0) };
        self.block(samples, None)
    }

    fn block(&mut self, samples: Vec<StereoSample>, first_ns: Option<i64>) -> Option<AudioBlock> {
        let pts_ns = match (first_ns, self.next_pts_ns) {
            (Some(stamp), Some(next)) if (stamp - next).abs() < JUMP_NS => {
                next + (stamp - next) / FOLLOW
            }
            (Some(stamp), _) => stamp,
            (None, next) => next.unwrap_or(0),
        };
        if samples.is_empty() {
            return None;
        }
        self.next_pts_ns = Some(pts_ns + samples_ns(samples.len()));
        Some(AudioBlock { pts_ns, samples: Arc::from(samples) })
    }
}
