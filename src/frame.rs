//! What moves: pictures, video frames and blocks of samples, all cheap to clone.
//!
//! Owns the memory layout of pixels in flight. Must not know where they come from (ffmpeg) or where they go
//! (wgpu): a plane is [`Bytes`], which any room can make from its own buffers without a copy
//! (`Bytes::from_owner`). Invariant: a `Picture` never changes once made, and its planes are as long as its
//! format, size and strides demand ([`Picture::new`] checks).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::device_memory::{DevicePixels, OnDevice};
use crate::shot::{Shot, Turn};

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

/// How samples are laid out. 10-bit samples take two bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three planes: Y, U, V; 4:2:0, 8 bits.
    I420,
    /// Three planes, 4:2:2, 8 bits.
    I422,
    /// Three planes, 4:4:4, 8 bits.
    I444,
    /// Three planes, 4:2:0, 10 bits in the lower part of each sample.
    I420P10,
    /// Three planes, 4:2:2, 10 bits in the lower part of each sample.
    I422P10,
    /// Three planes, 4:4:4, 10 bits in the lower part of each sample.
    I444P10,
    /// Two planes: Y, then U and V interleaved; 4:2:0, 8 bits.
    Nv12,
    /// Two planes like NV12, 10 bits in the upper part of each sample.
    P010,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [PixelFormat; 8] = {
        use PixelFormat::{I420, I420P10, I422, I422P10, I444, I444P10, Nv12, P010};
        [I420, I422, I444, I420P10, I422P10, I444P10, Nv12, P010]
    };

    /// How many luma samples share a chroma sample across and down: 1 or 2 each.
    pub const fn subsampling(self) -> [u32; 2] {
        match self {
            PixelFormat::I420 | PixelFormat::I420P10 | PixelFormat::Nv12 | PixelFormat::P010 => {
                [2, 2]
            }
            PixelFormat::I422 | PixelFormat::I422P10 => [2, 1],
            PixelFormat::I444 | PixelFormat::I444P10 => [1, 1],
        }
    }

    /// Number of planes: 2 where U and V are interleaved, else 3.
    pub const fn plane_count(self) -> usize {
        match self {
            PixelFormat::Nv12 | PixelFormat::P010 => 2,
            _ => 3,
        }
    }

    /// Bits that mean something in a sample: 8 or 10.
    pub const fn depth_bits(self) -> u32 {
        match self {
            PixelFormat::I420 | PixelFormat::I422 | PixelFormat::I444 | PixelFormat::Nv12 => 8,
            _ => 10,
        }
    }

    /// Bytes that a sample takes: 1 or 2.
    pub const fn sample_bytes(self) -> usize {
        self.depth_bits().div_ceil(8) as usize
    }

    /// By how much a sample grows where an 8-bit code value would grow by one.
    pub const fn sample_per_code(self) -> u32 {
        match self {
            PixelFormat::P010 => 256,
            _ => 1 << (self.depth_bits() - 8),
        }
    }

    /// Width and height in samples of the chroma planes, rounded up.
    pub const fn chroma_size(self, size: Size) -> Size {
        let [across, down] = self.subsampling();
        Size { width_px: size.width_px.div_ceil(across), height_px: size.height_px.div_ceil(down) }
    }

    /// Bytes in a row and number of rows of each plane, without padding.
    pub fn plane_shapes(self, size: Size) -> Vec<(usize, usize)> {
        let chroma = self.chroma_size(size);
        let shape = |size: Size, samples: usize| {
            let row_bytes = size.width_px as usize * samples * self.sample_bytes();
            (row_bytes, size.height_px as usize)
        };
        match self.plane_count() {
            2 => vec![shape(size, 1), shape(chroma, 2)],
            _ => vec![shape(size, 1), shape(chroma, 1), shape(chroma, 1)],
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

/// Where the chroma samples of 4:2:0 and 4:2:2 video lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ChromaSite {
    /// On the left luma column of their pair; in 4:2:0 half-way between the two rows (MPEG-2, H.264, the canvas).
    #[default]
    Left,
    /// In the middle of the luma samples that share them (MPEG-1, JPEG).
    Center,
    /// On the upper left luma sample (BT.2020 as broadcast).
    TopLeft,
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
    site: ChromaSite,
    turn: Turn,
    pixel_aspect: (u32, u32),
    pixels: Pixels,
}

#[derive(Debug)]
enum Pixels {
    Host(Vec<Plane>),
    Device(DevicePixels),
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
        Ok(Picture::with((format, size, color), Pixels::Host(planes)))
    }

    /// A picture that lies on a graphics device.
    pub fn on_device(
        format: PixelFormat,
        size: Size,
        color: Color,
        keeper: Arc<dyn OnDevice>,
    ) -> Picture {
        Picture::with((format, size, color), Pixels::Device(DevicePixels::new(keeper)))
    }

    fn with((format, size, color): (PixelFormat, Size, Color), pixels: Pixels) -> Picture {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Picture {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            format,
            size,
            color,
            site: ChromaSite::default(),
            turn: Turn::NONE,
            pixel_aspect: (1, 1),
            pixels,
        }
    }

    /// The same picture with its chroma somewhere else than on the left.
    pub fn with_site(self, site: ChromaSite) -> Picture {
        Picture { site, ..self }
    }

    /// The same picture, meant to be seen turned, with pixels `width / height` as wide as they are high (a ratio with a
    /// zero counts as 1).
    pub fn with_shape(self, turn: Turn, (width, height): (u32, u32)) -> Picture {
        let pixel_aspect = if width == 0 || height == 0 { (1, 1) } else { (width, height) };
        Picture { turn, pixel_aspect, ..self }
    }

    /// A black picture in the canvas' colours.
    pub fn black(format: PixelFormat, size: Size) -> Picture {
        Picture::with((format, size, Color::CANVAS), Pixels::Host(black(format, size)))
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

    /// Where its chroma samples lie.
    pub fn site(&self) -> ChromaSite {
        self.site
    }

    /// Which way up it is meant.
    pub fn turn(&self) -> Turn {
        self.turn
    }

    /// Its size as it is meant to be seen: upright, in square pixels; the side that its pixels are longer along grows.
    pub fn shown_size(&self) -> Size {
        let (wide, high) = self.pixel_aspect;
        let longer = |side: u32, num: u32, den: u32| {
            let length = (u64::from(side) * u64::from(num) + u64::from(den) / 2) / u64::from(den);
            u32::try_from(length).unwrap_or(u32::MAX)
        };
        let Size { width_px, height_px } = self.size;
        let upright = match wide >= high {
            true => Size::new(longer(width_px, wide, high), height_px),
            false => Size::new(width_px, longer(height_px, high, wide)),
        };
        match self.turn.is_sideways() {
            true => Size::new(upright.height_px, upright.width_px),
            false => upright,
        }
    }

    /// Whether the canvas can take its samples as they are, if its size is right.
    pub fn is_like_canvas(&self) -> bool {
        matches!(self.format, PixelFormat::I420 | PixelFormat::Nv12)
            && self.color == Color::CANVAS
            && self.site == ChromaSite::Left
            && self.turn == Turn::NONE
    }

    /// Meaning of the code values.
    pub fn color(&self) -> Color {
        self.color
    }

    /// Who keeps it, if it lies on a graphics device.
    pub fn keeper(&self) -> Option<&Arc<dyn OnDevice>> {
        match &self.pixels {
            Pixels::Host(_) => None,
            Pixels::Device(pixels) => Some(pixels.keeper()),
        }
    }

    /// The planes, as many as the format has. Of a picture on a device they are copied to the host when this is called for the
    /// first time, which waits for the device; they are black when it is lost.
    pub fn planes(&self) -> &[Plane] {
        match &self.pixels {
            Pixels::Host(planes) => planes,
            Pixels::Device(pixels) => pixels.planes(|| black(self.format, self.size)),
        }
    }

    /// How much its planes are, bytes, without padding.
    pub fn bytes(&self) -> usize {
        let shapes = self.format.plane_shapes(self.size);
        shapes.into_iter().map(|(row_bytes, rows)| row_bytes * rows).sum()
    }

    /// Has the planes be on the host.
    ///
    /// # Errors
    /// When they are lost with their device.
    pub fn fetch(&self) -> Result<(), &str> {
        match &self.pixels {
            Pixels::Host(_) => Ok(()),
            Pixels::Device(pixels) => pixels.fetched().map(drop),
        }
    }
}

/// Planes that show nothing, in limited range.
fn black(format: PixelFormat, size: Size) -> Vec<Plane> {
    let plane = |((row_bytes, rows), code): ((usize, usize), u32)| {
        let sample = (code * format.sample_per_code()).to_le_bytes();
        let samples = row_bytes * rows / format.sample_bytes();
        let data = Bytes::from(sample[..format.sample_bytes()].repeat(samples));
        Plane { data, stride_bytes: row_bytes }
    };
    format.plane_shapes(size).into_iter().zip([16, 128, 128]).map(plane).collect()
}

/// Straight (not pre-multiplied) sRGB pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct RgbaImage {
    /// Size in pixels.
    pub size: Size,
    /// Rows of R, G, B, A without padding.
    pub pixels: Vec<u8>,
}

/// What an image file shows: one picture for good, or several in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Animation {
    /// At least one; all of one size.
    pub frames: Vec<AnimationFrame>,
    /// How often it is shown from its first frame to its last, where it then stays; none is for ever.
    pub plays: Option<NonZeroU32>,
}

/// A picture of an animation.
#[derive(Clone, Debug, PartialEq)]
pub struct AnimationFrame {
    /// The whole picture.
    pub image: RgbaImage,
    /// How long it is shown, nanoseconds.
    pub shown_ns: u64,
}

impl Animation {
    /// Size of each frame.
    pub fn size(&self) -> Size {
        self.frames.first().map_or(Size::new(0, 0), |frame| frame.image.size)
    }

    /// Which frame is shown this long after the first.
    pub fn frame_at(&self, elapsed_ns: u64) -> usize {
        let pass_ns: u64 = self.frames.iter().map(|frame| frame.shown_ns).sum();
        let last = self.frames.len().saturating_sub(1);
        let is_over = |plays: NonZeroU32| elapsed_ns / pass_ns >= u64::from(plays.get());
        if pass_ns == 0 || self.plays.is_some_and(is_over) {
            return last;
        }
        let mut left_ns = elapsed_ns % pass_ns;
        let shown = self.frames.iter().position(|frame| {
            let is_shown = left_ns < frame.shown_ns;
            left_ns = left_ns.saturating_sub(frame.shown_ns);
            is_shown
        });
        shown.unwrap_or(last)
    }
}

/// A picture of a source at its time.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Presentation time in the source's own (unwrapped) timeline, nanoseconds.
    pub pts_ns: i64,
    /// The picture as decoded.
    pub picture: Arc<Picture>,
    /// The same picture as layers show it (NV12, like the canvas); made on the input's own thread when the adapter is
    /// software, empty otherwise.
    pub scaled: Vec<Scaled>,
}

/// A picture as it is shown.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// Which part of the frame, how large.
    pub shot: Shot,
    /// Upright, of the shot's size.
    pub picture: Arc<Picture>,
}

impl VideoFrame {
    /// The picture of this frame that needs only be copied to show a shot of it, if there is one.
    pub fn ready(&self, shot: Shot) -> Option<&Arc<Picture>> {
        let picture = &self.picture;
        let as_it_is = shot.is_whole() && picture.size() == shot.size && picture.is_like_canvas();
        let scaled = || self.scaled.iter().find(|s| s.shot == shot).map(|s| &s.picture);
        if as_it_is { Some(picture) } else { scaled() }
    }
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
#[path = "frame/tests.rs"]
mod tests;
