//! Decoded FFmpeg frames → [`Picture`]s: without a copy where the layout is ours, through swscale otherwise.
//!
//! Must not know streams. Invariant: the planes of a picture keep the frame's buffers alive.
#![expect(unsafe_code, reason = "planes are FFmpeg's buffers")]

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::ffi::{self, AVColorRange, AVColorSpace, AVPixelFormat};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;

use super::open::MediaError;
use super::scale::{RawPlanes, Scaler, Shape};
use crate::frame::{Color, Matrix, Picture, PixelFormat, Plane, Range, Size};
use crate::limits::MAX_VIDEO_PIXELS;

/// Pictures lower than this that do not say their matrix are BT.601, others BT.709 (as players assume).
const HD_HEIGHT_PX: u32 = 720;

/// A reference to a decoded frame, kept by the planes made of it.
struct FrameRef(*mut ffi::AVFrame);

// SAFETY: FFmpeg's buffers are reference counted atomically, and nobody writes to a decoded frame.
unsafe impl Send for FrameRef {}
// SAFETY: as above.
unsafe impl Sync for FrameRef {}

impl Drop for FrameRef {
    fn drop(&mut self) {
        // SAFETY: made by `av_frame_clone`, freed once.
        unsafe { ffi::av_frame_free(&mut self.0) };
    }
}

/// One plane of a [`FrameRef`].
struct FramePlane {
    frame: Arc<FrameRef>,
    index: usize,
    len: usize,
}

impl AsRef<[u8]> for FramePlane {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the frame has `len` bytes in this plane (stride × rows as FFmpeg allocated it) and lives.
        unsafe { std::slice::from_raw_parts((*self.frame.0).data[self.index], self.len) }
    }
}

/// Makes pictures of one stream's frames.
#[derive(Default)]
pub(super) struct PictureMaker {
    scaler: Option<Scaler>,
}

impl PictureMaker {
    /// The picture of a decoded frame.
    ///
    /// # Errors
    /// When it is larger than allowed or no conversion exists.
    pub(super) fn make(&mut self, frame: &frame::Video) -> Result<Picture, MediaError> {
        let size = Size::new(frame.width(), frame.height());
        if u64::from(size.width_px) * u64::from(size.height_px) > MAX_VIDEO_PIXELS {
            return Err(MediaError::TooLarge(size));
        }
        let color = color_of(frame);
        let format = match frame.format() {
            Pixel::YUV420P | Pixel::YUVJ420P => Some(PixelFormat::I420),
            Pixel::NV12 => Some(PixelFormat::Nv12),
            _ => None,
        };
        match format.and_then(|format| share(frame, format, color)) {
            Some(picture) => Ok(picture),
            None => self.convert(frame, color),
        }
    }

    fn convert(&mut self, frame: &frame::Video, color: Color) -> Result<Picture, MediaError> {
        let size = Size::new(frame.width(), frame.height());
        let format: AVPixelFormat = frame.format().into();
        let from = Shape { size, format, color };
        // RGB has no matrix of its own: it becomes canvas colour. The rest keeps its own.
        let to_color = if is_rgb(format) { Color::CANVAS } else { color };
        if !self.scaler.as_ref().is_some_and(|s| s.fits(from, size)) {
            self.scaler = Some(Scaler::new(from, PixelFormat::I420, size, to_color)?);
        }
        let Some(scaler) = self.scaler.as_mut() else { return Err(MediaError::NoMedia) };
        let mut planes = RawPlanes { data: [std::ptr::null(); 4], strides: [0; 4] };
        // SAFETY: a decoded frame holds the planes that its format and size demand.
        unsafe {
            let raw = frame.as_ptr();
            for index in 0..4 {
                planes.data[index] = (*raw).data[index];
                planes.strides[index] = (*raw).linesize[index];
            }
            scaler.convert(&planes)
        }
    }
}

fn is_rgb(format: AVPixelFormat) -> bool {
    // SAFETY: returns a static description or null.
    unsafe {
        let description = ffi::av_pix_fmt_desc_get(format);
        !description.is_null()
            && (*description).flags & u64::from(ffi::AV_PIX_FMT_FLAG_RGB.cast_unsigned()) != 0
    }
}

/// The frame's own planes as a picture; none when its rows run upwards.
fn share(frame: &frame::Video, format: PixelFormat, color: Color) -> Option<Picture> {
    let size = Size::new(frame.width(), frame.height());
    // SAFETY: clones references, not pixels; null is checked.
    let raw = unsafe { ffi::av_frame_clone(frame.as_ptr()) };
    if raw.is_null() {
        return None;
    }
    let owner = Arc::new(FrameRef(raw));
    let mut planes = Vec::with_capacity(3);
    for (index, (row_bytes, rows)) in format.plane_shapes(size).into_iter().enumerate() {
        // SAFETY: the clone is valid.
        let stride_bytes = usize::try_from(unsafe { (*raw).linesize[index] }).ok()?;
        let len = stride_bytes * (rows - 1) + row_bytes;
        let plane = FramePlane { frame: Arc::clone(&owner), index, len };
        planes.push(Plane { data: Bytes::from_owner(plane), stride_bytes });
    }
    Picture::new(format, size, color, planes).ok()
}

fn color_of(frame: &frame::Video) -> Color {
    // SAFETY: reads two enums of a valid frame.
    let (space, range) = unsafe { ((*frame.as_ptr()).colorspace, (*frame.as_ptr()).color_range) };
    let matrix = match space {
        AVColorSpace::AVCOL_SPC_BT709 => Matrix::Bt709,
        AVColorSpace::AVCOL_SPC_BT2020_NCL | AVColorSpace::AVCOL_SPC_BT2020_CL => Matrix::Bt2020,
        AVColorSpace::AVCOL_SPC_BT470BG
        | AVColorSpace::AVCOL_SPC_SMPTE170M
        | AVColorSpace::AVCOL_SPC_SMPTE240M
        | AVColorSpace::AVCOL_SPC_FCC => Matrix::Bt601,
        _ if frame.height() < HD_HEIGHT_PX => Matrix::Bt601,
        _ => Matrix::Bt709,
    };
    let full = range == AVColorRange::AVCOL_RANGE_JPEG
        || matches!(frame.format(), Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P);
    Color { matrix, range: if full { Range::Full } else { Range::Limited } }
}
