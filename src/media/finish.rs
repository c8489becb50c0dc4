//! What is done to a scaled NV12 picture before a canvas can take it: turned upright, and brought to the canvas' colour.
//!
//! Must not know swscale or sources. Invariant: every sample is written, and none is read but those of the picture.

use super::pool::Draft;
use crate::color::CodeMatrix;
use crate::frame::Size;
use crate::shot::{Shot, Turn};

/// One of the eight ways in which an upright picture can lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pose {
    /// Its rows are columns.
    is_sideways: bool,
    /// What is then left and right has changed places …
    flips_x: bool,
    /// … and so have top and bottom.
    flips_y: bool,
}

/// Samples are moved in squares of this side, so that rows and columns both stay in the cache.
const SQUARE: usize = 32;

impl Pose {
    /// How what a shot shows of a picture that is meant `turn`ed lies in it.
    pub(super) fn of(shot: &Shot, turn: Turn) -> Pose {
        let pixel = Size::new(1, 1);
        let map = Shot { mirror: shot.mirror, ..pixel.into() }.source_from_shot(pixel, turn);
        let runs_back = |row: [f64; 3]| row[0] + row[1] < 0.0;
        Pose {
            is_sideways: turn.is_sideways(),
            flips_x: runs_back(map.row_x),
            flips_y: runs_back(map.row_y),
        }
    }

    pub(super) fn is_upright(self) -> bool {
        self == Pose { is_sideways: false, flips_x: false, flips_y: false }
    }

    /// The size of a picture that is of this size when it is upright.
    pub(super) fn lying(self, upright: Size) -> Size {
        match self.is_sideways {
            true => Size::new(upright.height_px, upright.width_px),
            false => upright,
        }
    }

    /// Where a chroma sample lies that is at `[x, y]` when it is upright; pixels from the first luma sample of its block.
    pub(super) fn lying_chroma(self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [x, y] = if self.is_sideways { [y, x] } else { [x, y] };
        // The first of two luma samples becomes the second.
        [if self.flips_x { 1.0 - x } else { x }, if self.flips_y { 1.0 - y } else { y }]
    }

    /// Puts what lies in `from` upright into `to`; both are NV12.
    pub(super) fn raise(self, from: &Draft, to: &mut Draft) {
        let size = to.size();
        let mut pairs = from.planes().zip(to.planes_mut());
        if let Some(((from, from_stride), (to, stride))) = pairs.next() {
            self.put((from, from_stride), (to, stride), size);
        }
        if let Some(((from, from_stride), (to, stride))) = pairs.next() {
            let (from, to) = (from.as_chunks::<2>().0, to.as_chunks_mut::<2>().0);
            self.put((from, from_stride / 2), (to, stride / 2), size.chroma());
        }
    }

    /// Puts samples upright: each plane with the samples from row to row, and the size of the upright one.
    fn put<T: Copy>(self, from: (&[T], usize), to: (&mut [T], usize), size: Size) {
        let [width, height] = [size.width_px, size.height_px].map(|side| side as usize);
        let back = |flips: bool, at: usize, side: usize| if flips { side - 1 - at } else { at };
        let (from, from_stride) = from;
        let (to, stride) = to;
        if !self.is_sideways {
            for (y, row) in to.chunks_mut(stride).take(height).enumerate() {
                let source = &from[back(self.flips_y, y, height) * from_stride..][..width];
                if self.flips_x {
                    row.iter_mut().zip(source.iter().rev()).for_each(|(to, from)| *to = *from);
                } else {
                    row[..width].copy_from_slice(source);
                }
            }
            return;
        }
        for top in (0..height).step_by(SQUARE) {
            for left in (0..width).step_by(SQUARE) {
                let columns = left..(left + SQUARE).min(width);
                for y in top..(top + SQUARE).min(height) {
                    let column = back(self.flips_x, y, height);
                    let row = &mut to[y * stride..][columns.clone()];
                    for (sample, x) in row.iter_mut().zip(columns.clone()) {
                        *sample = from[back(self.flips_y, x, width) * from_stride + column];
                    }
                }
            }
        }
    }
}

/// Fraction bits of factors of chroma: each is less than 2.
const FACTOR_BITS: u32 = 14;
/// Fraction bits of what chroma adds to luma: that is less than 128, and four times as much fits 16 bits.
const PART_BITS: u32 = 6;

/// Brings NV12 pictures from their own colour to the canvas'. In 16 bits wherever they do, which compilers turn into eight or
/// sixteen samples at a time.
pub(super) struct Recolor {
    /// Of Y in Y; at most 1, in 15 bits.
    luma: i16,
    /// Of U, V and 1 in Y, in U, in V.
    chroma: [[i32; 3]; 3],
    /// What chroma adds to luma: along the row of chroma samples above, this one and the one below.
    rows: [Vec<i16>; 3],
    /// The same along a row of luma samples, first at every other of them.
    sparse: Vec<i16>,
    dense: Vec<i16>,
}

impl Recolor {
    pub(super) fn new([y, u, v]: CodeMatrix) -> Recolor {
        let fixed = |factor: f32| (factor * (1 << FACTOR_BITS) as f32).round() as i32;
        Recolor {
            luma: (y[0] * 32_768.0).min(32_767.0) as i16,
            chroma: [y, u, v].map(|[_, u, v, one]| [u, v, one].map(fixed)),
            rows: Default::default(),
            sparse: vec![],
            dense: vec![],
        }
    }

    /// Changes a picture in place.
    pub(super) fn apply(&mut self, draft: &mut Draft) {
        let size = draft.size();
        let [width, rows] = [size.chroma().width_px, size.chroma().height_px].map(|n| n as usize);
        let mut planes = draft.planes_mut();
        let (Some((luma, luma_stride)), Some((chroma, stride))) = (planes.next(), planes.next())
        else {
            return;
        };
        self.look_at(1, &chroma[..2 * width]);
        self.look_at(0, &chroma[..2 * width]);
        for (row, lines) in luma.chunks_mut(2 * luma_stride).take(rows).enumerate() {
            let below = (row + 1).min(rows - 1) * stride;
            self.look_at(2, &chroma[below..][..2 * width]);
            for (line, far) in lines.chunks_mut(luma_stride).zip([0, 2]) {
                self.spread(far);
                self.change_luma(&mut line[..size.width_px as usize]);
            }
            self.change_chroma(&mut chroma[row * stride..][..2 * width]);
            self.rows.rotate_left(1);
        }
    }

    /// Notes what a row of chroma samples adds to luma.
    fn look_at(&mut self, row: usize, samples: &[u8]) {
        let factors = self.chroma[0];
        let pairs = samples.as_chunks::<2>().0;
        self.rows[row].resize(pairs.len(), 0);
        for (part, pair) in self.rows[row].iter_mut().zip(pairs) {
            *part = (weighed(*pair, factors) >> (FACTOR_BITS - PART_BITS)) as i16;
        }
    }

    /// A row of luma samples is a quarter of the way from a row of chroma samples to the next one. Along it, chroma samples
    /// lie on every other luma sample.
    fn spread(&mut self, far: usize) {
        let (near, far) = (&self.rows[1], &self.rows[far]);
        self.sparse.resize(near.len() + 1, 0);
        for (part, (near, far)) in self.sparse.iter_mut().zip(near.iter().zip(far)) {
            *part = (3 * near + far) >> 2;
        }
        self.sparse[near.len()] = self.sparse[near.len() - 1];
        self.dense.resize(2 * near.len(), 0);
        let (on, next) = (&self.sparse, &self.sparse[1..]);
        for (parts, (on, next)) in
            self.dense.as_chunks_mut::<2>().0.iter_mut().zip(on.iter().zip(next))
        {
            *parts = [*on, (on + next) >> 1];
        }
    }

    fn change_luma(&self, line: &mut [u8]) {
        let factor = i32::from(self.luma);
        for (y, part) in line.iter_mut().zip(&self.dense) {
            // The upper half of the product has as many fraction bits as the part.
            let own = ((i32::from(i16::from(*y) << 7) * factor) >> 16) as i16;
            *y = code(i32::from(own + part), PART_BITS);
        }
    }

    fn change_chroma(&self, samples: &mut [u8]) {
        let [_, to_u, to_v] = self.chroma;
        for pair in samples.as_chunks_mut::<2>().0 {
            *pair = [to_u, to_v].map(|factors| code(weighed(*pair, factors), FACTOR_BITS));
        }
    }
}

fn weighed([u, v]: [u8; 2], [from_u, from_v, one]: [i32; 3]) -> i32 {
    from_u * i32::from(u) + from_v * i32::from(v) + one
}

/// The nearest code.
fn code(sum: i32, fraction_bits: u32) -> u8 {
    ((sum + (1 << (fraction_bits - 1))) >> fraction_bits).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use crate::media::pool::BufferPool;
    use crate::shot::Mirror;

    #[test]
    fn a_picture_is_raised_as_the_map_says() {
        // Odd sides, larger than a square.
        let upright = Size::new(71, 37);
        let pool = BufferPool::default();
        for quarters in 0..4 {
            for (horizontal, vertical) in [(false, false), (true, false), (false, true)] {
                let turn = Turn::clockwise(quarters);
                let mirror = Mirror { horizontal, vertical };
                let shot = Shot { mirror, ..upright.into() };
                let pose = Pose::of(&shot, turn);
                let lying = pose.lying(upright);
                let mut from = Draft::new(&pool, PixelFormat::Nv12, lying);
                for (plane, _) in from.planes_mut() {
                    plane.iter_mut().zip(0_u32..).for_each(|(b, i)| *b = (i * 7 % 251) as u8);
                }
                let mut to = Draft::new(&pool, PixelFormat::Nv12, upright);
                pose.raise(&from, &mut to);
                let map = shot.source_from_shot(lying, turn);
                let sample = |draft: &Draft, x: usize, y: usize| {
                    let (plane, stride) = draft.planes().next().unwrap();
                    plane[y * stride + x]
                };
                for y in 0..37 {
                    for x in 0..71 {
                        let [sx, sy] = map.apply([f64::from(x) + 0.5, f64::from(y) + 0.5]);
                        let want = sample(&from, sx as usize, sy as usize);
                        let got = sample(&to, x as usize, y as usize);
                        assert_eq!(got, want, "{turn:?} {mirror:?} {x} {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn chroma_lies_where_it_comes_to_be_left_in_the_end() {
        for (quarters, mirror, want) in [
            (0, false, [0.0, 0.5]),
            (0, true, [1.0, 0.5]),
            (1, false, [0.5, 1.0]),
            (2, false, [1.0, 0.5]),
            (3, false, [0.5, 0.0]),
        ] {
            let mirror = Mirror { horizontal: mirror, vertical: false };
            let shot = Shot { mirror, ..Size::new(2, 2).into() };
            let turn = Turn::clockwise(quarters);
            assert_eq!(
                Pose::of(&shot, turn).lying_chroma([0.0, 0.5]),
                want,
                "{quarters} {mirror:?}"
            );
            // The same by the map: the sample is half a pixel right of the block's edge, a whole one below.
            let [x, y] = shot.source_from_shot(Size::new(2, 2), turn).apply([0.5, 1.0]);
            assert_eq!([x - 0.5, y - 0.5], want, "{quarters} {mirror:?}");
        }
    }
}
