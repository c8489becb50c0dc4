//! A decoder's place on the card: FFmpeg's device on our context, work in an order of its own, memory for its pictures.
//!
//! Must not know packets. Invariants: FFmpeg's device goes before the stream that it works on; a frame of NVDEC's is not kept.
#![expect(unsafe_code, reason = "FFmpeg's devices and frames on them have no safe interface")]

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ffmpeg_next::ffi::{self, AVHWDeviceType, AVPixelFormat};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;

use super::surface::Shelf;
use super::{NoNvdec, Nvdec, done};
use crate::frame::{Color, Picture, PixelFormat, Size};
use crate::media::cuda::{Context, Rows, Stream};
use crate::media::open::MediaError;

/// `AVCUDADeviceContext` of libavutil/hwcontext_cuda.h.
#[repr(C)]
struct CudaDevice {
    context: *mut c_void,
    stream: *mut c_void,
    internal: *mut c_void,
}

/// FFmpeg's device; it does not own the context.
struct FfmpegDevice(*mut ffi::AVBufferRef);

impl FfmpegDevice {
    /// On a context that outlives it; null is CUDA's default stream.
    fn new(context: &Context<'_>, stream: *mut c_void) -> Result<FfmpegDevice, NoNvdec> {
        // SAFETY: plain allocation, checked.
        let device = FfmpegDevice(unsafe {
            ffi::av_hwdevice_ctx_alloc(AVHWDeviceType::AV_HWDEVICE_TYPE_CUDA)
        });
        if device.0.is_null() {
            let reason = "FFmpeg was built without it".into();
            return Err(NoNvdec::Refused { what: "FFmpeg's CUDA", reason });
        }
        // SAFETY: a device of this type has this struct, and is not initialized yet.
        let code = unsafe {
            let whole = (*device.0).data.cast::<ffi::AVHWDeviceContext>();
            let own = (*whole).hwctx.cast::<CudaDevice>();
            ((*own).context, (*own).stream) = (context.as_ptr(), stream);
            ffi::av_hwdevice_ctx_init(device.0)
        };
        done("FFmpeg's CUDA", code)?;
        Ok(device)
    }
}

impl Drop for FfmpegDevice {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, or null; decoders and frames have their own.
        unsafe { ffi::av_buffer_unref(&mut self.0) };
    }
}

/// Whether FFmpeg finds the driver and all it needs of it.
pub(super) fn try_ffmpeg(context: &Context<'_>) -> Result<(), NoNvdec> {
    crate::media::open::prepare_ffmpeg();
    FfmpegDevice::new(context, ptr::null_mut()).map(drop)
}

/// See the module.
pub(in crate::media) struct CardStream {
    // In the order in which they are given back.
    device: FfmpegDevice,
    stream: Stream<'static>,
    shelf: Arc<Shelf>,
    nvdec: Arc<Nvdec>,
}

impl Drop for CardStream {
    fn drop(&mut self) {
        self.nvdec.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

// SAFETY: FFmpeg's references are counted atomically, and its device belongs to no thread.
unsafe impl Send for CardStream {}

impl CardStream {
    pub(super) fn open(nvdec: &Arc<Nvdec>) -> Result<CardStream, NoNvdec> {
        let stream = Stream::new(&nvdec.context)?;
        let device = FfmpegDevice::new(&nvdec.context, stream.as_ptr())?;
        nvdec.streams.fetch_add(1, Ordering::Relaxed);
        let shelf = Arc::new(Shelf::new(Arc::clone(nvdec)));
        Ok(CardStream { device, stream, shelf, nvdec: Arc::clone(nvdec) })
    }

    /// A place that FFmpeg knows nothing of, so that software decodes there.
    #[cfg(test)]
    pub(in crate::media) fn unknown(nvdec: &Arc<Nvdec>) -> CardStream {
        let (device, stream) = (FfmpegDevice(ptr::null_mut()), Stream::new(&nvdec.context));
        let shelf = Arc::new(Shelf::new(Arc::clone(nvdec)));
        nvdec.streams.fetch_add(1, Ordering::Relaxed);
        let stream = stream.expect("the simulator has streams");
        CardStream { device, stream, shelf, nvdec: Arc::clone(nvdec) }
    }

    /// The device for a decoder; the reference is the caller's. Null where there is none.
    pub(in crate::media) fn device(&self) -> *mut ffi::AVBufferRef {
        if self.device.0.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the reference is valid; null, for lack of memory, is no device.
        unsafe { ffi::av_buffer_ref(self.device.0) }
    }

    /// What is on the card becomes what is not.
    pub(in crate::media) fn fetch(&self, frame: &mut frame::Video) -> Result<(), MediaError> {
        let mut host = frame::Video::empty();
        // SAFETY: both frames are valid, the first with memory on a device, the other empty.
        let code = unsafe {
            let code = ffi::av_hwframe_transfer_data(host.as_mut_ptr(), frame.as_ptr(), 0);
            if code < 0 {
                code
            } else {
                ffi::av_frame_copy_props(host.as_mut_ptr(), frame.as_ptr())
            }
        };
        // SAFETY: as above. What lies left of and above the picture is on no card cut off by FFmpeg.
        let code = if code < 0 { code } else { unsafe { crop(host.as_mut_ptr()) } };
        if code < 0 {
            return Err(MediaError::Read(format!(
                "NVDEC: a copy to the host: {}",
                super::words(code)
            )));
        }
        self.nvdec.count_host_copy();
        *frame = host;
        Ok(())
    }

    /// A frame on the card as a picture that the graphics device reads; none where there is no memory for it just now.
    pub(in crate::media) fn picture(
        &self,
        frame: &frame::Video,
        color: Color,
    ) -> Result<Option<Picture>, MediaError> {
        let size = Size::new(frame.width(), frame.height());
        let Some((format, planes)) = on_card(frame) else { return Ok(None) };
        let Some(surface) = self.shelf.take(format, size) else { return Ok(None) };
        let failed = |why: String| MediaError::Read(format!("NVDEC: {why}"));
        for (plane, to) in planes.into_iter().zip(surface.rows()) {
            self.stream.copy(&plane, &to).map_err(|error| failed(error.to_string()))?;
        }
        self.stream.finish().map_err(|error| failed(error.to_string()))?;
        Ok(Some(Picture::on_device(format, size, color, Arc::new(surface))))
    }

    pub(in crate::media) fn count_picture(&self) {
        self.nvdec.pictures.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::media) fn count_refused(&self) {
        self.nvdec.count_refused();
    }
}

/// Whether a frame lies on the card.
pub(in crate::media) fn is_on_card(frame: &frame::Video) -> bool {
    frame.format() == Pixel::CUDA
}

unsafe fn crop(frame: *mut ffi::AVFrame) -> i32 {
    // SAFETY: the caller's.
    unsafe { ffi::av_frame_apply_cropping(frame, ffi::AV_FRAME_CROP_UNALIGNED as i32) }
}

/// Layout and planes of a frame on the card, without what it is cropped by.
fn on_card(frame: &frame::Video) -> Option<(PixelFormat, [Rows; 2])> {
    // SAFETY: a frame on a device refers to what its frames have in common.
    let (raw, common) = unsafe {
        let raw = frame.as_ptr().as_ref()?;
        let common = raw.hw_frames_ctx.as_ref()?.data.cast::<ffi::AVHWFramesContext>();
        (raw, common.as_ref()?)
    };
    let format = match common.sw_format {
        AVPixelFormat::AV_PIX_FMT_NV12 => PixelFormat::Nv12,
        AVPixelFormat::AV_PIX_FMT_P010LE => PixelFormat::P010,
        _ => return None,
    };
    // Chroma has half of the rows, and as many bytes in each.
    let (left, top) = (raw.crop_left & !1, raw.crop_top & !1);
    let plane = |index: usize| {
        let pitch = raw.linesize[index].max(0).cast_unsigned() as usize;
        let skipped = (top >> index) * pitch + left * format.sample_bytes();
        Rows { address: raw.data[index] as u64 + skipped as u64, pitch, width: 0, rows: 0 }
    };
    Some((format, [plane(0), plane(1)]))
}
