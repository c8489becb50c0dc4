//! Frames like photographs, made from nothing: noise whose detail is the fainter the finer it is, and soft discs.
//!
//! A scene is a continuous function, so that it can be sampled in every format, with its chroma wherever it is sited.

use bytes::Bytes;
use onair::frame::{ChromaSite, Color, Picture, PixelFormat, Plane, Size};

/// Repeatable random numbers: an xorshift generator.
pub(crate) struct Noise(pub u64);

impl Noise {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % end
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }
}

/// What a camera might see.
#[derive(Clone, Copy)]
pub(crate) struct Scene(pub u32);

/// Amplitude (code values of 8 bits) by distance of the noise's lattice in pixels.
const LUMA: [(f32, f32); 5] = [(128.0, 70.0), (48.0, 36.0), (20.0, 18.0), (10.0, 8.0), (5.0, 3.0)];
const CHROMA: [(f32, f32); 3] = [(160.0, 60.0), (60.0, 30.0), (24.0, 12.0)];

impl Scene {
    /// A value of −0.5 … 0.5 at a point of a lattice.
    fn lattice(self, channel: u32, x: i32, y: i32) -> f32 {
        let mut hash = x.cast_unsigned().wrapping_mul(0x85eb_ca6b)
            ^ y.cast_unsigned().wrapping_mul(0xc2b2_ae35)
            ^ (self.0 * 8 + channel).wrapping_mul(0x27d4_eb2f);
        hash ^= hash >> 15;
        hash = hash.wrapping_mul(0x2c1b_3c6d);
        hash ^= hash >> 12;
        hash = hash.wrapping_mul(0x297a_2d39);
        (hash >> 8) as f32 / 16_777_216.0 - 0.5
    }

    fn smooth(self, channel: u32, x: f32, y: f32) -> f32 {
        let ease = |t: f32| t * t * t * (t * (6.0 * t - 15.0) + 10.0);
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (ease(x - left), ease(y - top));
        let at = |dx, dy| self.lattice(channel, left as i32 + dx, top as i32 + dy);
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        mix(mix(at(0, 0), at(1, 0), across), mix(at(0, 1), at(1, 1), across), down)
    }

    /// Code value (8 bits, limited range) at a place in pixels: Y, U or V.
    fn at(self, channel: u32, x: f32, y: f32) -> f32 {
        let octaves: &[(f32, f32)] = if channel == 0 { &LUMA } else { &CHROMA };
        let noise = |&(step, amplitude): &(f32, f32)| {
            // No two lattices have their points on one another.
            amplitude * self.smooth(channel, x / step + 0.37 * step, y / step + 0.71 * step)
        };
        let disc = |center: (f32, f32), radius: f32, height: f32| {
            let inside = radius - f32::hypot(x - center.0, y - center.1);
            height * (0.5 + inside / 3.0).clamp(0.0, 1.0)
        };
        let discs = match channel {
            0 => disc((150.0, 120.0), 60.0, 40.0) + disc((420.0, 260.0), 110.0, -30.0),
            _ => 0.0,
        };
        128.0 + octaves.iter().map(noise).sum::<f32>() + discs
    }

    /// The scene as a camera of this make delivers it. Code values are taken as they are, whatever colour they then mean.
    pub(crate) fn picture(
        self,
        size: Size,
        format: PixelFormat,
        (color, site): (Color, ChromaSite),
    ) -> Picture {
        let [across, down] = format.subsampling().map(|samples| samples as f32);
        // The middle of a chroma sample, from the first of the luma samples that share it.
        let (left, top) = match site {
            ChromaSite::Left => (0.5, 0.5 * down),
            ChromaSite::Center => (0.5 * across, 0.5 * down),
            ChromaSite::TopLeft => (0.5, 0.5),
        };
        let sample = |channel: u32, x: u32, y: u32| {
            let (x, y) = (x as f32, y as f32);
            let code = match channel {
                0 => self.at(0, x + 0.5, y + 0.5),
                _ => self.at(channel, x * across + left, y * down + top),
            };
            let value = (code * format.sample_per_code() as f32).round() as u16;
            let value = if format == PixelFormat::P010 { value & !63 } else { value };
            value.to_le_bytes().into_iter().take(format.sample_bytes())
        };
        let plane = |size: Size, channels: &[u32]| {
            let mut data = Vec::new();
            for y in 0..size.height_px {
                for x in 0..size.width_px {
                    data.extend(channels.iter().flat_map(|&channel| sample(channel, x, y)));
                }
            }
            let stride_bytes = data.len() / size.height_px as usize;
            Plane { data: Bytes::from(data), stride_bytes }
        };
        let chroma = format.chroma_size(size);
        let planes = match format.plane_count() {
            2 => vec![plane(size, &[0]), plane(chroma, &[1, 2])],
            _ => vec![plane(size, &[0]), plane(chroma, &[1]), plane(chroma, &[2])],
        };
        Picture::new(format, size, color, planes).expect("planes made to measure").with_site(site)
    }
}
