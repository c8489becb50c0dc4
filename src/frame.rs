//! What moves: pictures, video frames and blocks of samples, all cheap to clone.
//!
//! Owns the memory layout of pixels in flight. Must not know where they come from (ffmpeg) or where they go
//! (wgpu): a plane is [`Bytes`], which any room can make from its own buffers without a copy
//! (`Bytes::from_owner`). Invariant: a `Picture` never changes once made, and its planes are as long as its
//! format, size and strides demand ([`Picture::new`] checks).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
}

impl Size {
    /// A size of `width_px` × `height_px`.
    pub const fn new(width_px: u32, height_px: u32) -> Size {
        Size { width_px, height_px }
    }

    /// Width and height of the chroma planes of 4:2:0 video: half, rounded up.
    pub const fn chroma(self) -> Size {
        Size { width_px: self.width_px.div_ceil(2), height_px: self.height_px.div_ceil(2) }
    }
}

/// How the 8-bit 4:2:0 samples are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three planes: Y, U, V.
    I420,
    /// Two planes: Y, then U and V interleaved.
    Nv12,
}

impl PixelFormat {
    /// Bytes in a row and number of rows of each plane, without padding.
    pub fn plane_shapes(self, size: Size) -> Vec<(usize, usize)> {
        let (w, h) = (size.width_px as usize, size.height_px as usize);
        let (cw, ch) = (size.chroma().width_px as usize, size.chroma().height_px as usize);
        match self {
            PixelFormat::I420 => vec![(w, h), (cw, ch), (cw, ch)],
            PixelFormat::Nv12 => vec![(w, h), (2 * cw, ch)],
        }
    }
}

/// Coefficients between R'G'B' and Y'CbCr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601 (SD).
    Bt601,
    /// ITU-R BT.709 (HD, the canvas).
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
}

/// What code values mean black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16–235, chroma 16–240 (the canvas).
    Limited,
    /// 0–255.
    Full,
}

/// How to read the code values of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    /// Y'CbCr matrix.
    pub matrix: Matrix,
    /// Code value range.
    pub range: Range,
}

impl Color {
    /// What every canvas is: BT.709, limited range.
    pub const CANVAS: Color = Color { matrix: Matrix::Bt709, range: Range::Limited };
}

/// One plane of samples.
#[derive(Clone, Debug)]
pub struct Plane {
    /// The rows, `stride_bytes` apart.
    pub data: Bytes,
    /// Distance between the starts of two rows, in bytes.
    pub stride_bytes: usize,
}

/// A picture that never changes. Clone the `Arc` around it, not the picture.
#[derive(Debug)]
pub struct Picture {
    id: u64,
    format: PixelFormat,
    size: Size,
    color: Color,
    planes: Vec<Plane>,
}

impl Picture {
    /// A picture of these planes.
    ///
    /// # Errors
    /// When the size is empty, the number of planes is not the format's, or a plane is shorter than it must be.
    pub fn new(
        format: PixelFormat,
        size: Size,
        color: Color,
        planes: Vec<Plane>,
    ) -> Result<Picture, String> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let shapes = format.plane_shapes(size);
        if size.width_px == 0 || size.height_px == 0 || shapes.len() != planes.len() {
            return Err(format!(
                "a {format:?} picture of {size:?} cannot have {} planes",
                planes.len()
            ));
        }
        for (index, (plane, (row_bytes, rows))) in planes.iter().zip(&shapes).enumerate() {
            let needed = plane.stride_bytes * (rows - 1) + row_bytes;
            if plane.stride_bytes < *row_bytes || plane.data.len() < needed {
                return Err(format!(
                    "plane {index} of a {format:?} picture of {size:?} has {} bytes at stride {}, needs {needed}",
                    plane.data.len(),
                    plane.stride_bytes
                ));
            }
        }
        Ok(Picture { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), format, size, color, planes })
    }

    /// A picture of one colour (limited-range code values).
    pub fn flat(size: Size, [y, u, v]: [u8; 3]) -> Picture {
        let shapes = PixelFormat::I420.plane_shapes(size);
        let planes = shapes
            .iter()
            .zip([y, u, v])
            .map(|(&(row_bytes, rows), value)| Plane {
                data: Bytes::from(vec![value; row_bytes * rows]),
                stride_bytes: row_bytes,
            })
            .collect();
        Picture::new(PixelFormat::I420, size, Color::CANVAS, planes)
            .expect("planes made to measure")
    }

    /// Unique within the process: two pictures with the same id are the same picture.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Layout of the samples.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Meaning of the code values.
    pub fn color(&self) -> Color {
        self.color
    }

    /// The planes, as many as the format has.
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }
}

/// Straight (not pre-multiplied) sRGB pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct RgbaImage {
    /// Size in pixels.
    pub size: Size,
    /// Rows of R, G, B, A without padding.
    pub pixels: Vec<u8>,
}

/// A picture of a source at its time.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Presentation time in the source's own (unwrapped) timeline, nanoseconds.
    pub pts_ns: i64,
    /// The picture as decoded.
    pub picture: Arc<Picture>,
    /// The same picture already scaled (NV12, canvas colour) to sizes it is shown at; made on the input's own
    /// thread when the adapter is software, empty otherwise.
    pub scaled: Vec<Arc<Picture>>,
}

/// One stereo sample, left and right, nominally −1…1.
pub type StereoSample = [f32; 2];

/// Consecutive samples of a source at 48 kHz stereo.
#[derive(Clone, Debug)]
pub struct AudioBlock {
    /// Time of the first sample in the source's own (unwrapped) timeline, nanoseconds; same timeline as the video.
    pub pts_ns: i64,
    /// The samples.
    pub samples: Arc<[StereoSample]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_plane_is_refused() {
        let size = Size::new(3, 3);
        let plane =
            |len: usize, stride_bytes| Plane { data: Bytes::from(vec![0; len]), stride_bytes };
        let make = |planes| Picture::new(PixelFormat::Nv12, size, Color::CANVAS, planes);
        assert!(make(vec![plane(9, 3), plane(8, 4)]).is_ok());
        assert!(make(vec![plane(8, 3), plane(8, 4)]).is_err());
        assert!(make(vec![plane(9, 2), plane(8, 4)]).is_err());
        assert!(make(vec![plane(9, 3)]).is_err());
        let flat = Picture::flat(size, [16, 128, 128]);
        assert_eq!(flat.planes()[1].data.len(), 4);
        assert_ne!(flat.id(), Picture::flat(size, [16, 128, 128]).id());
    }
}
