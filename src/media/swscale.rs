//! One conversion of samples by swscale: another size, layout or chroma site; matrix and range only where RGB becomes
//! Y'CbCr.
//!
//! Must not know sources, layouts of a show or where buffers come from. Invariant: a conversion reads and writes nothing but
//! the planes that it is given.
#![expect(unsafe_code, reason = "swscale works on raw planes")]

use std::ffi::c_int;
use std::ptr;

use ffmpeg_next::ffi::{self, AVPixelFormat};

use super::open::MediaError;
use super::pool::Draft;
use crate::frame::{ChromaSite, Color, Matrix, Picture, PixelFormat, Range, Size};
use crate::shot::Window;

/// One side of a conversion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Side {
    pub(super) size: Size,
    pub(super) format: AVPixelFormat,
    pub(super) color: Color,
    /// Where the first chroma sample lies, in pixels from the first luma sample, to the right and down.
    pub(super) chroma_px: [f64; 2],
}

/// How samples between samples are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// The mean of what a new sample covers.
    Area,
    /// By 4 × 4 neighbours, B = 0, C = 0.6.
    Bicubic,
}

/// Planes to read from, as FFmpeg holds them.
pub(super) struct RawPlanes {
    pub(super) data: [*const u8; 4],
    pub(super) strides: [c_int; 4],
}

/// A conversion, on the caller's thread.
pub(super) struct Scaler {
    context: *mut ffi::SwsContext,
    from: Side,
    to: Side,
}

// SAFETY: the context is used by the one thread that owns the scaler.
unsafe impl Send for Scaler {}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe { ffi::sws_freeContext(self.context) };
    }
}

/// FFmpeg's name of a layout.
pub(super) fn raw_format(format: PixelFormat) -> AVPixelFormat {
    match format {
        PixelFormat::I420 => AVPixelFormat::AV_PIX_FMT_YUV420P,
        PixelFormat::I422 => AVPixelFormat::AV_PIX_FMT_YUV422P,
        PixelFormat::I444 => AVPixelFormat::AV_PIX_FMT_YUV444P,
        PixelFormat::I420P10 => AVPixelFormat::AV_PIX_FMT_YUV420P10LE,
        PixelFormat::I422P10 => AVPixelFormat::AV_PIX_FMT_YUV422P10LE,
        PixelFormat::I444P10 => AVPixelFormat::AV_PIX_FMT_YUV444P10LE,
        PixelFormat::Nv12 => AVPixelFormat::AV_PIX_FMT_NV12,
        PixelFormat::P010 => AVPixelFormat::AV_PIX_FMT_P010LE,
    }
}

/// What a site means for [`Side::chroma_px`].
pub(super) fn chroma_px(site: ChromaSite, format: PixelFormat) -> [f64; 2] {
    let [x, y] = match site {
        ChromaSite::Left => [0.0, 0.5],
        ChromaSite::Center => [0.5, 0.5],
        ChromaSite::TopLeft => [0.0, 0.0],
    };
    let [across, down] = format.subsampling();
    [if across == 2 { x } else { 0.0 }, if down == 2 { y } else { 0.0 }]
}

fn coefficients(matrix: Matrix) -> *const c_int {
    let id = match matrix {
        Matrix::Bt601 => ffi::SWS_CS_ITU601,
        Matrix::Bt709 => ffi::SWS_CS_ITU709,
        Matrix::Bt2020 => ffi::SWS_CS_BT2020,
    };
    // SAFETY: returns a static table for every id.
    unsafe { ffi::sws_getCoefficients(id) }
}

/// A filter that changes nothing. With one, swscale does not take samples as they are where the size stays: it would do that
/// wherever chroma lies, and of NV12 it would forget the chroma.
struct Identity(*mut ffi::SwsVector);

impl Identity {
    fn new() -> Identity {
        // SAFETY: allocates or gives null; three numbers fit where three were asked for.
        unsafe {
            let vector = ffi::sws_allocVec(3);
            if !vector.is_null() {
                std::slice::from_raw_parts_mut((*vector).coeff, 3)
                    .copy_from_slice(&[0.0, 1.0, 0.0]);
            }
            Identity(vector)
        }
    }

    fn filter(&self) -> ffi::SwsFilter {
        let none = ptr::null_mut();
        ffi::SwsFilter { lumH: none, lumV: none, chrH: self.0, chrV: none }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // SAFETY: made by `sws_allocVec`; null is fine.
        unsafe { ffi::sws_freeVec(self.0) };
    }
}

/// What a window shows of each plane of a picture, with the bytes from row to row; `side` is what it must be like.
pub(super) fn cut<'a>(
    picture: &'a Picture,
    window: &Window,
    side: &Side,
) -> Result<[(&'a [u8], usize); 3], MediaError> {
    let (size, format) = (window.size(), picture.format());
    let is_inside = window.columns.end <= picture.size().width_px
        && window.rows.end <= picture.size().height_px;
    if !is_inside || size != side.size || raw_format(format) != side.format {
        return Err(MediaError::Read("it is not the picture that was to be scaled".into()));
    }
    let [across, down] = format.subsampling();
    // Interleaved samples come in pairs, which makes up for their subsampling.
    let across = if format.plane_count() == 2 { 1 } else { across };
    let mut planes: [(&[u8], usize); 3] = [(&[], 0); 3];
    for (index, (cut, plane)) in planes.iter_mut().zip(picture.planes()).enumerate() {
        let [across, down] = if index == 0 { [1, 1] } else { [across, down] };
        let column = (window.columns.start / across) as usize * format.sample_bytes();
        let row = (window.rows.start / down) as usize;
        *cut = (&plane.data[row * plane.stride_bytes + column..], plane.stride_bytes);
    }
    Ok(planes)
}

impl Scaler {
    /// A conversion between two sides, which have the same colour unless `from` is RGB.
    pub(super) fn new(from: &Side, to: &Side, kernel: Kernel) -> Result<Scaler, MediaError> {
        let full = |color: Color| c_int::from(color.range == Range::Full);
        let kernel = match kernel {
            Kernel::Area => ffi::SWS_AREA,
            Kernel::Bicubic => ffi::SWS_BICUBIC,
        };
        let flags = kernel | ffi::SWS_FULL_CHR_H_INP;
        // In 256ths of a luma pixel.
        let chroma = |px: f64| (px * 256.0).round() as i64;
        // All must be known before `sws_init_context`, which picks its converter by them.
        let options = [
            (c"srcw", i64::from(from.size.width_px)),
            (c"srch", i64::from(from.size.height_px)),
            (c"src_format", from.format as i64),
            (c"src_range", i64::from(full(from.color))),
            (c"src_h_chr_pos", chroma(from.chroma_px[0])),
            (c"src_v_chr_pos", chroma(from.chroma_px[1])),
            (c"dstw", i64::from(to.size.width_px)),
            (c"dsth", i64::from(to.size.height_px)),
            (c"dst_format", to.format as i64),
            (c"dst_range", i64::from(full(to.color))),
            (c"dst_h_chr_pos", chroma(to.chroma_px[0])),
            (c"dst_v_chr_pos", chroma(to.chroma_px[1])),
            (c"sws_flags", i64::from(flags)),
        ];
        // SAFETY: a fresh context with its own options; freed by the guard on every way out.
        let context = unsafe { ffi::sws_alloc_context() };
        let scaler = Scaler { context, from: *from, to: *to };
        let refused = || MediaError::Read(format!("no conversion from {:?}", from.format));
        if context.is_null() {
            return Err(refused());
        }
        for (name, value) in options {
            // SAFETY: the context is valid, the name a C string.
            unsafe { ffi::av_opt_set_int(context.cast(), name.as_ptr(), value, 0) };
        }
        let identity = Identity::new();
        let mut filter = identity.filter();
        let is_tricky = from.chroma_px != to.chroma_px || from.format == to.format;
        let filter = match from.size == to.size && is_tricky {
            true => &raw mut filter,
            false => ptr::null_mut(),
        };
        // SAFETY: the context is valid; the filter, if any, is read until this returns.
        if unsafe { ffi::sws_init_context(context, filter, ptr::null_mut()) } < 0 {
            return Err(refused());
        }
        // SAFETY: the context is valid, the tables are static; neutral brightness, contrast, saturation.
        unsafe {
            ffi::sws_setColorspaceDetails(
                context,
                coefficients(from.color.matrix),
                full(from.color),
                coefficients(to.color.matrix),
                full(to.color),
                0,
                1 << 16,
                1 << 16,
            );
        }
        Ok(scaler)
    }

    /// Whether it converts from just this.
    pub(super) fn is_from(&self, side: &Side) -> bool {
        self.from == *side
    }

    /// Converts a part of a picture, which must have the size converted from, into `draft`.
    pub(super) fn run_window(
        &self,
        picture: &Picture,
        window: &Window,
        draft: &mut Draft,
    ) -> Result<(), MediaError> {
        let mut planes = RawPlanes { data: [ptr::null(); 4], strides: [0; 4] };
        for (index, (plane, stride)) in cut(picture, window, &self.from)?.into_iter().enumerate() {
            planes.data[index] = plane.as_ptr();
            planes.strides[index] =
                c_int::try_from(stride).map_err(|error| MediaError::Read(error.to_string()))?;
        }
        // SAFETY: `Picture::new` checked that the planes are as long as format, size and strides demand, and the window,
        // which begins at an even pixel, is inside.
        unsafe { self.run(&planes, draft) }
    }

    /// Converts one picture into `draft`.
    ///
    /// # Safety
    /// `planes` must be readable as a picture of the side converted from.
    pub(super) unsafe fn run(
        &self,
        planes: &RawPlanes,
        draft: &mut Draft,
    ) -> Result<(), MediaError> {
        if draft.size() != self.to.size || raw_format(draft.format()) != self.to.format {
            return Err(MediaError::Read("there is no room for what is converted".into()));
        }
        let mut out = [ptr::null_mut(); 4];
        let mut out_strides = [0; 4];
        for (index, (plane, stride)) in draft.planes_mut().enumerate() {
            out[index] = plane.as_mut_ptr();
            out_strides[index] = c_int::try_from(stride).unwrap_or(c_int::MAX);
        }
        // SAFETY: the caller vouches for the source, and the destination is as large as was just checked.
        let rows = unsafe {
            ffi::sws_scale(
                self.context,
                planes.data.as_ptr(),
                planes.strides.as_ptr(),
                0,
                self.from.size.height_px.cast_signed(),
                out.as_ptr(),
                out_strides.as_ptr(),
            )
        };
        if rows < 0 {
            return Err(MediaError::Read(ffmpeg_next::Error::from(rows).to_string()));
        }
        Ok(())
    }
}
