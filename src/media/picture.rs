//! Decoded FFmpeg frames → [`Picture`]s: without a copy where the layout is ours, through swscale otherwise.
//!
//! Must not know streams. Invariant: the planes of a picture keep the frame's buffers alive.
#![expect(unsafe_code, reason = "planes are FFmpeg's buffers")]

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::ffi::{
    self, AVChromaLocation, AVColorRange, AVColorSpace, AVColorTransferCharacteristic,
    AVPixFmtDescriptor,
};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;

use super::intent::Intent;
use super::nvdec::CardStream;
use super::open::MediaError;
use super::pool::{BufferPool, Draft};
use super::swscale::{RawPlanes, Scaler, Side, chroma_px, raw_format};
use crate::frame::{ChromaSite, Color, Matrix, Picture, PixelFormat, Plane, Range, Size};
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
    intent: Intent,
    scaler: Option<Scaler>,
    pool: BufferPool,
    /// It was told that bright parts are not shown as meant.
    is_hdr_told: bool,
}

impl PictureMaker {
    /// The same for a stream that is meant to be seen like this, unless its frames say otherwise.
    pub(super) fn of_stream(self, intent: Intent) -> PictureMaker {
        PictureMaker { intent, ..self }
    }

    /// The picture of a decoded frame.
    ///
    /// # Errors
    /// When it is larger than allowed or no conversion exists.
    pub(super) fn make(&mut self, frame: &frame::Video) -> Result<Picture, MediaError> {
        let size = Size::new(frame.width(), frame.height());
        if u64::from(size.width_px) * u64::from(size.height_px) > MAX_VIDEO_PIXELS {
            return Err(MediaError::TooLarge(size));
        }
        self.tell_hdr(frame);
        let (color, site) = (color_of(frame), site_of(frame));
        let shared = format_of(frame.format()).and_then(|format| share(frame, format, color));
        let picture = match shared {
            Some(picture) => picture,
            None => self.convert(frame, color, site)?,
        };
        Ok(self.meant(picture, frame))
    }

    /// The picture of a frame that lies on a card, and stays there if it can.
    ///
    /// # Errors
    /// As [`PictureMaker::make`], and when the card fails.
    pub(super) fn make_on(
        &mut self,
        card: &CardStream,
        frame: &mut frame::Video,
    ) -> Result<Picture, MediaError> {
        let size = Size::new(frame.width(), frame.height());
        if u64::from(size.width_px) * u64::from(size.height_px) > MAX_VIDEO_PIXELS {
            return Err(MediaError::TooLarge(size));
        }
        card.count_picture();
        let Some(picture) = card.picture(frame, color_of(frame))? else {
            card.fetch(frame)?;
            return self.make(frame);
        };
        self.tell_hdr(frame);
        Ok(self.meant(picture, frame))
    }

    /// A picture as its frame is meant to be seen.
    fn meant(&self, picture: Picture, frame: &frame::Video) -> Picture {
        let site = site_of(frame);
        // Only where several luma samples share a chroma sample is there a question.
        let site = if picture.format().subsampling() == [1, 1] { ChromaSite::Left } else { site };
        // SAFETY: a decoded frame is valid.
        let intent = unsafe { Intent::of_frame(frame.as_ptr()) }.or(self.intent);
        intent.shape(picture.with_site(site))
    }

    fn convert(
        &mut self,
        frame: &frame::Video,
        color: Color,
        site: ChromaSite,
    ) -> Result<Picture, MediaError> {
        let size = Size::new(frame.width(), frame.height());
        let raw = frame.format().into();
        // SAFETY: returns a static description or null.
        let description = unsafe { ffi::av_pix_fmt_desc_get(raw).as_ref() };
        let description = description.ok_or(MediaError::NoMedia)?;
        let format = nearest(description);
        // RGB has no matrix of its own: it becomes canvas colour. The rest keeps its own.
        let to_color = if is_rgb(description) { Color::CANVAS } else { color };
        let chroma_px = chroma_px(site, format);
        let from = Side { size, format: raw, color, chroma_px };
        if !self.scaler.as_ref().is_some_and(|scaler| scaler.is_from(&from)) {
            let to = Side { format: raw_format(format), color: to_color, ..from };
            self.scaler = Some(Scaler::new(&from, &to)?);
        }
        let Some(scaler) = &self.scaler else { return Err(MediaError::NoMedia) };
        let mut draft = Draft::new(&self.pool, format, size);
        let mut planes = RawPlanes { data: [std::ptr::null(); 4], strides: [0; 4] };
        // SAFETY: a decoded frame holds the planes that its format and size demand.
        unsafe {
            let raw = frame.as_ptr();
            for index in 0..4 {
                planes.data[index] = (*raw).data[index];
                planes.strides[index] = (*raw).linesize[index];
            }
            scaler.run(&planes, &mut draft)?;
        }
        draft.into_picture(to_color).map_err(MediaError::Read)
    }

    /// Says once that a stream is HDR.
    fn tell_hdr(&mut self, frame: &frame::Video) {
        // SAFETY: reads an enum of a valid frame.
        let transfer = match unsafe { (*frame.as_ptr()).color_trc } {
            AVColorTransferCharacteristic::AVCOL_TRC_SMPTE2084 => "PQ",
            AVColorTransferCharacteristic::AVCOL_TRC_ARIB_STD_B67 => "HLG",
            _ => return,
        };
        if !std::mem::replace(&mut self.is_hdr_told, true) {
            tracing::warn!("a source is HDR ({transfer}); it is shown without tone mapping");
        }
    }
}

/// The layout of ours that a format of FFmpeg is.
fn format_of(pixel: Pixel) -> Option<PixelFormat> {
    let format = match pixel {
        Pixel::YUV420P | Pixel::YUVJ420P => PixelFormat::I420,
        Pixel::YUV422P | Pixel::YUVJ422P => PixelFormat::I422,
        Pixel::YUV444P | Pixel::YUVJ444P => PixelFormat::I444,
        Pixel::YUV420P10LE => PixelFormat::I420P10,
        Pixel::YUV422P10LE => PixelFormat::I422P10,
        Pixel::YUV444P10LE => PixelFormat::I444P10,
        Pixel::NV12 => PixelFormat::Nv12,
        Pixel::P010LE => PixelFormat::P010,
        _ => return None,
    };
    Some(format)
}

/// The layout of ours that loses least of a format; of more than 10 bits, 10 stay.
fn nearest(description: &AVPixFmtDescriptor) -> PixelFormat {
    let subsampling = match (description.log2_chroma_w, description.log2_chroma_h) {
        // Grey is all luma.
        _ if description.nb_components < 3 && !is_rgb(description) => [2, 2],
        (0, _) => [1, 1],
        (_, 0) => [2, 1],
        _ => [2, 2],
    };
    match (subsampling, description.comp[0].depth > 8) {
        ([1, _], false) => PixelFormat::I444,
        ([1, _], true) => PixelFormat::I444P10,
        ([_, 1], false) => PixelFormat::I422,
        ([_, 1], true) => PixelFormat::I422P10,
        (_, false) => PixelFormat::I420,
        (_, true) => PixelFormat::I420P10,
    }
}

/// Whether samples are red, green and blue, or the numbers of such.
fn is_rgb(description: &AVPixFmtDescriptor) -> bool {
    let flags = ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL;
    description.flags & u64::from(flags.cast_unsigned()) != 0
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

/// Decoders know where their codec has its chroma samples; what says nothing has them on the left.
fn site_of(frame: &frame::Video) -> ChromaSite {
    // SAFETY: reads an enum of a valid frame.
    match unsafe { (*frame.as_ptr()).chroma_location } {
        AVChromaLocation::AVCHROMA_LOC_CENTER
        | AVChromaLocation::AVCHROMA_LOC_TOP
        | AVChromaLocation::AVCHROMA_LOC_BOTTOM => ChromaSite::Center,
        AVChromaLocation::AVCHROMA_LOC_TOPLEFT => ChromaSite::TopLeft,
        _ => ChromaSite::Left,
    }
}
