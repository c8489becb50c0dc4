//! Scaling and converting pictures with swscale, into pooled buffers.
//!
//! Owns scaler contexts and the buffers they write to. Must not know sources or layouts. Invariant: in steady
//! state (same sizes, frame after frame) nothing is allocated but the small `Picture` itself.
#![expect(unsafe_code, reason = "swscale works on raw planes")]

use std::ffi::c_int;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ffmpeg_next::ffi::{self, AVPixelFormat};

use super::open::MediaError;
use crate::frame::{Color, Matrix, Picture, PixelFormat, Plane, Range, Scaled, Size, VideoFrame};
use crate::limits::MAX_PRESCALED_SIZES;
use crate::shot::Shot;

/// Plane rows begin at multiples of this, which suits every SIMD width.
const ROW_ALIGN: usize = 64;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ROW_ALIGN]);

/// Buffers of one size that come back when the last `Bytes` over them is dropped.
#[derive(Clone, Default)]
pub(super) struct BufferPool(Arc<Mutex<Vec<Vec<Block>>>>);

/// Buffers kept for reuse per pool; more are freed.
const POOL_BUFFERS: usize = 32;

/// A buffer on loan.
pub(super) struct PooledBuffer {
    blocks: Vec<Block>,
    pool: BufferPool,
}

impl BufferPool {
    /// A buffer of at least `len` bytes with arbitrary content.
    pub(super) fn take(&self, len: usize) -> PooledBuffer {
        let blocks = len.div_ceil(ROW_ALIGN);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = match kept {
            Some(buffer) if buffer.len() == blocks => buffer,
            _ => vec![Block([0; ROW_ALIGN]); blocks],
        };
        PooledBuffer { blocks: buffer, pool: self.clone() }
    }
}

impl PooledBuffer {
    /// The bytes, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.blocks)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.blocks)
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut pool = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < POOL_BUFFERS {
            pool.push(std::mem::take(&mut self.blocks));
        }
    }
}

/// One side of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) size: Size,
    pub(super) format: AVPixelFormat,
    pub(super) color: Color,
}

/// Planes to read from, as FFmpeg holds them.
pub(super) struct RawPlanes {
    pub(super) data: [*const u8; 4],
    pub(super) strides: [c_int; 4],
}

/// A conversion between two shapes, bilinear, one thread.
pub(super) struct Scaler {
    context: *mut ffi::SwsContext,
    from: Shape,
    to: Shape,
    layout: PixelFormat,
    pool: BufferPool,
}

// SAFETY: the context is used by the one thread that owns the scaler.
unsafe impl Send for Scaler {}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe { ffi::sws_freeContext(self.context) };
    }
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

impl Scaler {
    /// A conversion of pictures shaped `from` to `layout` in `to_size` and `to_color`.
    pub(super) fn new(
        from: Shape,
        layout: PixelFormat,
        to_size: Size,
        to_color: Color,
    ) -> Result<Scaler, MediaError> {
        let to = Shape { size: to_size, format: raw_format(layout), color: to_color };
        let full = |color: Color| c_int::from(color.range == Range::Full);
        // The ranges must be known before `sws_init_context`, which picks its converter by them.
        let options = [
            (c"srcw", i64::from(from.size.width_px)),
            (c"srch", i64::from(from.size.height_px)),
            (c"src_format", from.format as i64),
            (c"src_range", i64::from(full(from.color))),
            (c"dstw", i64::from(to.size.width_px)),
            (c"dsth", i64::from(to.size.height_px)),
            (c"dst_format", to.format as i64),
            (c"dst_range", i64::from(full(to.color))),
            (c"sws_flags", i64::from(ffi::SWS_BILINEAR)),
        ];
        // SAFETY: a fresh context with its own options; no filters; freed by the guard on every way out.
        let context = unsafe { ffi::sws_alloc_context() };
        let scaler = Scaler { context, from, to, layout, pool: BufferPool::default() };
        let refused = || MediaError::Read(format!("no conversion from {:?}", from.format));
        if context.is_null() {
            return Err(refused());
        }
        for (name, value) in options {
            // SAFETY: the context is valid, the name a C string.
            unsafe { ffi::av_opt_set_int(context.cast(), name.as_ptr(), value, 0) };
        }
        // SAFETY: as above.
        if unsafe { ffi::sws_init_context(context, ptr::null_mut(), ptr::null_mut()) } < 0 {
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

    /// Whether it converts just this.
    pub(super) fn fits(&self, from: Shape, to_size: Size) -> bool {
        self.from == from && self.to.size == to_size
    }

    /// Converts one picture.
    ///
    /// # Safety
    /// `planes` must be readable as a picture of the shape `from`.
    pub(super) unsafe fn convert(&mut self, planes: &RawPlanes) -> Result<Picture, MediaError> {
        let shapes = self.layout.plane_shapes(self.to.size);
        let strides: Vec<usize> =
            shapes.iter().map(|(row, _)| row.next_multiple_of(ROW_ALIGN)).collect();
        let lengths = strides.iter().zip(&shapes).map(|(stride, (_, rows))| stride * rows);
        let mut buffer = self.pool.take(lengths.clone().sum());
        let mut out = [ptr::null_mut(); 4];
        let mut out_strides = [0; 4];
        let mut rest = buffer.bytes_mut();
        for (index, length) in lengths.clone().enumerate() {
            let (plane, tail) = rest.split_at_mut(length);
            out[index] = plane.as_mut_ptr();
            out_strides[index] = c_int::try_from(strides[index]).unwrap_or(c_int::MAX);
            rest = tail;
        }
        // SAFETY: the caller vouches for the source; the destination was made to measure above.
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
        let whole = Bytes::from_owner(buffer);
        let mut begin = 0;
        let planes = lengths
            .zip(&strides)
            .map(|(length, &stride_bytes)| {
                let data = whole.slice(begin..begin + length);
                begin += length;
                Plane { data, stride_bytes }
            })
            .collect();
        Picture::new(self.layout, self.to.size, self.to.color, planes).map_err(MediaError::Read)
    }
}

/// Scales an input's pictures as they are shown, on the input's own thread.
#[derive(Default)]
pub struct Prescaler {
    scalers: Vec<Scaler>,
}

impl Prescaler {
    /// Adds to `frame.scaled` an NV12 picture like the canvas for each of `shots` (at most
    /// `limits::MAX_PRESCALED_SIZES`), except where the picture itself is already just that.
    pub fn fill(&mut self, frame: &mut VideoFrame, shots: &[Shot]) {
        let shots = &shots[..shots.len().min(MAX_PRESCALED_SIZES)];
        let picture = Arc::clone(&frame.picture);
        let from = shape_of(&picture);
        self.scalers.retain(|s| s.from == from && shots.iter().any(|shot| shot.size == s.to.size));
        for &shot in shots {
            let size = shot.size;
            if frame.ready(shot).is_some() || size.width_px == 0 || size.height_px == 0 {
                continue;
            }
            if let Some(scaled) = self.scale(&picture, from, size) {
                frame.scaled.push(Scaled { shot, picture: Arc::new(scaled) });
            }
        }
    }

    fn scale(&mut self, picture: &Picture, from: Shape, size: Size) -> Option<Picture> {
        let index = match self.scalers.iter().position(|s| s.fits(from, size)) {
            Some(index) => index,
            None => {
                self.scalers.push(Scaler::new(from, PixelFormat::Nv12, size, Color::CANVAS).ok()?);
                self.scalers.len() - 1
            }
        };
        let mut planes = RawPlanes { data: [ptr::null(); 4], strides: [0; 4] };
        for (index, plane) in picture.planes().iter().enumerate() {
            planes.data[index] = plane.data.as_ptr();
            planes.strides[index] = c_int::try_from(plane.stride_bytes).ok()?;
        }
        // SAFETY: `Picture::new` checked that the planes are as long as format, size and strides demand.
        unsafe { self.scalers[index].convert(&planes) }.ok()
    }
}

fn shape_of(picture: &Picture) -> Shape {
    let format = raw_format(picture.format());
    Shape { size: picture.size(), format, color: picture.color() }
}

/// FFmpeg's name of a layout.
fn raw_format(format: PixelFormat) -> AVPixelFormat {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(picture: Picture) -> VideoFrame {
        VideoFrame { pts_ns: 0, picture: Arc::new(picture), scaled: vec![] }
    }

    fn samples(picture: &Picture) -> [u8; 3] {
        let (w, h) = (picture.size().width_px as usize / 2, picture.size().height_px as usize / 2);
        let [y, uv] = picture.planes() else { panic!("NV12 has two planes") };
        let at = h / 2 * uv.stride_bytes + w / 2 * 2;
        [y.data[h * y.stride_bytes + w], uv.data[at], uv.data[at + 1]]
    }

    #[test]
    fn only_what_differs_is_scaled() {
        let size = Size::new(64, 36);
        let half = Size::new(32, 18);
        let mut prescaler = Prescaler::default();
        let mut native = frame(Picture::flat(size, [100, 90, 200]));
        prescaler.fill(&mut native, &[size, half, half].map(Shot::from));
        assert_eq!(native.scaled.len(), 1);
        assert_eq!(native.scaled[0].picture.size(), half);
        assert_eq!(native.scaled[0].picture.format(), PixelFormat::Nv12);
        assert_eq!(samples(&native.scaled[0].picture), [100, 90, 200]);
    }

    #[test]
    fn colour_is_converted_to_the_canvas() {
        let size = Size::new(64, 36);
        // Pure red: BT.601 limited, BT.601 full → BT.709 limited.
        let table = [
            (Color { matrix: Matrix::Bt601, range: Range::Limited }, [81, 90, 240]),
            (Color { matrix: Matrix::Bt601, range: Range::Full }, [76, 85, 255]),
            (Color { matrix: Matrix::Bt709, range: Range::Full }, [54, 99, 255]),
        ];
        for (color, values) in table {
            let flat = Picture::flat(size, values);
            let picture =
                Picture::new(PixelFormat::I420, size, color, flat.planes().to_vec()).unwrap();
            let mut frame = frame(picture);
            Prescaler::default().fill(&mut frame, &[size.into()]);
            let got = samples(&frame.scaled[0].picture);
            let near = got.iter().zip([63, 102, 240]).all(|(&a, b)| a.abs_diff(b) <= 3);
            assert!(near, "{color:?}: {got:?}");
        }
    }

    #[test]
    fn buffers_return_to_the_pool() {
        let mut prescaler = Prescaler::default();
        let mut address = None;
        for _ in 0..3 {
            let mut frame = frame(Picture::flat(Size::new(64, 36), [16, 128, 128]));
            prescaler.fill(&mut frame, &[Size::new(32, 18).into()]);
            let now = frame.scaled[0].picture.planes()[0].data.as_ptr() as usize;
            assert_eq!(*address.get_or_insert(now), now);
        }
    }
}
