//! How a picture is seen: which way up it is, which part of it is shown, mirrored or not, how large.
//!
//! Pure geometry, shared by those who scale on the CPU and those who draw on the GPU. Must not know pixels. Invariant: a
//! [`Shot`] and the shape of a picture give one affine map ([`Shot::source_from_shot`]), which both sides go by.

use std::ops::Range;

use crate::frame::Size;

/// Which way up a picture is meant: mirrored (left becomes right) first, then turned clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Turn {
    /// Quarter turns clockwise, 0–3.
    quarters: u8,
    mirrored: bool,
}

/// Whether left and right, or top and bottom, change places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mirror {
    /// Left becomes right.
    pub horizontal: bool,
    /// Top becomes bottom.
    pub vertical: bool,
}

/// What is cut off from each side of a picture as it is meant to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Crop {
    left: u16,
    top: u16,
    right: u16,
    bottom: u16,
}

/// What of a picture is shown, and at which size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shot {
    /// Cut off before anything else.
    pub crop: Crop,
    /// What is left is mirrored …
    pub mirror: Mirror,
    /// … and scaled to this size.
    pub size: Size,
}

/// How pictures are magnified. What is made smaller is averaged, whatever this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ScaleQuality {
    /// By 4 × 4 neighbours: the cubic of Mitchell and Netravali with B = 0 and C = 0.6, FFmpeg's `bicubic`.
    #[default]
    Bicubic,
    /// By 6 × 6 neighbours: sharper, with a little more ringing; FFmpeg's `lanczos`.
    Lanczos,
}

/// A part of a picture, in its pixels; begins at even ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From left to right.
    pub columns: Range<u32>,
    /// From top to bottom.
    pub rows: Range<u32>,
}

/// An affine map between pixel positions (pixel i reaches from i to i + 1): `(x, y)` → `(row_x · (x, y, 1), row_y · (x, y, 1))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Gives x.
    pub row_x: [f64; 3],
    /// Gives y.
    pub row_y: [f64; 3],
}

impl Turn {
    /// As it is.
    pub const NONE: Turn = Turn { quarters: 0, mirrored: false };

    /// By quarters clockwise (any number).
    pub fn clockwise(quarters: u32) -> Turn {
        Turn { quarters: (quarters % 4) as u8, mirrored: false }
    }

    /// The same turn, of the picture mirrored first.
    pub fn of_mirrored(self) -> Turn {
        Turn { mirrored: true, ..self }
    }

    /// Quarter turns clockwise, 0–3.
    pub fn quarters(self) -> u8 {
        self.quarters
    }

    /// Whether it is mirrored before it is turned.
    pub fn is_mirrored(self) -> bool {
        self.mirrored
    }

    /// Whether width and height change places.
    pub fn is_sideways(self) -> bool {
        self.quarters % 2 == 1
    }
}

impl Crop {
    /// Steps of a side: a crop of `n` is `n / CROP_STEPS` of the picture's width or height.
    pub const STEPS: u32 = 10_000;

    /// Fractions of width and height, each 0–1; what would leave less than a hundredth of a side is limited to that.
    pub fn new([left, top, right, bottom]: [f32; 4]) -> Crop {
        let steps = |fraction: f32| {
            // NaN becomes 0; at most 9900.
            (fraction.clamp(0.0, 0.99) * Crop::STEPS as f32).round() as u16
        };
        let pair = |a: f32, b: f32| {
            let a = steps(a);
            (a, steps(b).min(9_900 - a))
        };
        let ((left, right), (top, bottom)) = (pair(left, right), pair(top, bottom));
        Crop { left, top, right, bottom }
    }

    /// Fractions of width and height cut off: left, top, right, bottom.
    pub fn fractions(self) -> [f64; 4] {
        [self.left, self.top, self.right, self.bottom]
            .map(|s| f64::from(s) / f64::from(Crop::STEPS))
    }

    /// The size of what is left of `whole`, at least one pixel each way.
    pub fn of(self, whole: Size) -> Size {
        let [left, top, right, bottom] = self.fractions();
        let side =
            |length: u32, cut: f64| ((f64::from(length) * (1.0 - cut)).round() as u32).max(1);
        Size::new(side(whole.width_px, left + right), side(whole.height_px, top + bottom))
    }
}

impl From<Size> for Shot {
    /// The whole picture.
    fn from(size: Size) -> Shot {
        Shot { crop: Crop::default(), mirror: Mirror::default(), size }
    }
}

impl Shot {
    /// Whether it is the whole picture, unmirrored.
    pub fn is_whole(&self) -> bool {
        self.crop == Crop::default() && self.mirror == Mirror::default()
    }

    /// What of a picture of `coded` pixels that is meant `turn`ed it shows. The crop is rounded so that it cuts between
    /// pairs of pixels, where chroma samples are cut too; something is always left.
    pub fn window(&self, coded: Size, turn: Turn) -> Window {
        let [left, top, right, bottom] = self.crop.fractions();
        let pairs = |length: u32, cut: f64| (f64::from(length) * cut / 2.0).round() as u32 * 2;
        let span = |length: u32, low: f64, high: f64| {
            let begin = pairs(length, low).min(length.saturating_sub(1) / 2 * 2);
            let end = if high > 0.0 { pairs(length, 1.0 - high) } else { length };
            begin..end.max(begin + 2).min(length)
        };
        // Sides of the crop as they lie on the coded picture.
        let [left, top, right, bottom] = match turn.quarters {
            0 => [left, top, right, bottom],
            1 => [top, right, bottom, left],
            2 => [right, bottom, left, top],
            _ => [bottom, left, top, right],
        };
        let (left, right) = if turn.mirrored { (right, left) } else { (left, right) };
        Window {
            columns: span(coded.width_px, left, right),
            rows: span(coded.height_px, top, bottom),
        }
    }

    /// Where in a picture of `coded` pixels that is meant `turn`ed the positions of this shot lie.
    pub fn source_from_shot(&self, coded: Size, turn: Turn) -> Affine {
        // Along each axis of the shot: where it begins on what the window shows, upright (0–1), and how far a pixel goes.
        let axis = |pixels: u32, is_mirrored: bool| {
            let step = 1.0 / f64::from(pixels.max(1));
            if is_mirrored { (1.0, -step) } else { (0.0, step) }
        };
        let (u0, u) = axis(self.size.width_px, self.mirror.horizontal);
        let (v0, v) = axis(self.size.height_px, self.mirror.vertical);
        let (across, down) = ([u, 0.0, u0], [0.0, v, v0]);
        let back = |row: [f64; 3]| [-row[0], -row[1], 1.0 - row[2]];
        // A quarter turn clockwise puts the left edge on top: what was at (x, y) is then at (1 − y, x).
        let (x, y) = match turn.quarters {
            0 => (across, down),
            1 => (down, back(across)),
            2 => (back(across), back(down)),
            _ => (back(down), across),
        };
        let x = if turn.mirrored { back(x) } else { x };
        let Window { columns, rows } = self.window(coded, turn);
        let onto = |[a, b, c]: [f64; 3], span: Range<u32>| {
            let [begin, end] = [span.start, span.end].map(f64::from);
            let length = end - begin;
            [a * length, b * length, c * length + begin]
        };
        Affine { row_x: onto(x, columns), row_y: onto(y, rows) }
    }
}

impl Window {
    /// Its sides.
    pub fn size(&self) -> Size {
        Size::new(self.columns.end - self.columns.start, self.rows.end - self.rows.start)
    }
}

impl Affine {
    /// Where a position goes.
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.row_x, self.row_y].map(|row| row[0] * x + row[1] * y + row[2])
    }

    /// How far one pixel reaches along each axis of where it goes.
    pub fn reach(&self) -> [f64; 2] {
        [self.row_x, self.row_y].map(|row| row[0].abs() + row[1].abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_go_where_the_turn_says() {
        // The shot's top left and top right corners on a picture of 40 × 20, for each way up.
        for (quarters, mirrored, top_left, top_right) in [
            (0, false, [0.0, 0.0], [40.0, 0.0]),
            (1, false, [0.0, 20.0], [0.0, 0.0]),
            (2, false, [40.0, 20.0], [0.0, 20.0]),
            (3, false, [40.0, 0.0], [40.0, 20.0]),
            (0, true, [40.0, 0.0], [0.0, 0.0]),
            (1, true, [40.0, 20.0], [40.0, 0.0]),
            (5, false, [0.0, 20.0], [0.0, 0.0]),
        ] {
            let turn = Turn::clockwise(quarters);
            let turn = if mirrored { turn.of_mirrored() } else { turn };
            let size = if turn.is_sideways() { Size::new(20, 40) } else { Size::new(40, 20) };
            let map = Shot::from(size).source_from_shot(Size::new(40, 20), turn);
            let got = [map.apply([0.0, 0.0]), map.apply([f64::from(size.width_px), 0.0])];
            assert_eq!(got, [top_left, top_right], "{turn:?}");
            assert_eq!(map.reach(), [1.0, 1.0], "{turn:?}");
        }
    }

    #[test]
    fn a_crop_is_of_the_upright_picture_and_a_mirror_of_what_is_left() {
        let crop = Crop::new([0.25, 0.0, 0.0, 0.5]);
        assert_eq!(crop.of(Size::new(40, 20)), Size::new(30, 10));
        let mirror = Mirror { horizontal: true, vertical: false };
        let shot = Shot { crop, mirror, size: Size::new(60, 10) };
        let map = shot.source_from_shot(Size::new(40, 20), Turn::NONE);
        assert_eq!(map.apply([0.0, 0.0]), [40.0, 0.0]);
        assert_eq!(map.apply([60.0, 10.0]), [10.0, 10.0]);
        assert_eq!(map.reach(), [0.5, 1.0]);
    }

    #[test]
    fn a_crop_cuts_between_pairs_of_coded_pixels() {
        let crop = Crop::new([0.1, 0.2, 0.3, 0.4]);
        let shot = Shot { crop, ..Size::new(8, 8).into() };
        let coded = Size::new(101, 51);
        // (quarters, mirrored) → what is left of 101 × 51.
        for (quarters, mirrored, columns, rows) in [
            (0, false, 10..70, 10..30),
            (0, true, 30..90, 10..30),
            (1, false, 20..60, 16..46),
            (2, false, 30..90, 20..40),
            (3, false, 40..80, 6..36),
            (3, true, 20..60, 6..36),
        ] {
            let turn = Turn::clockwise(quarters);
            let turn = if mirrored { turn.of_mirrored() } else { turn };
            let window = shot.window(coded, turn);
            assert_eq!(window, Window { columns, rows }, "{turn:?}");
            let map = shot.source_from_shot(coded, turn);
            let corners = [map.apply([0.0, 0.0]), map.apply([8.0, 8.0])];
            let span = |axis: usize| {
                let [a, b] = corners.map(|corner| corner[axis].round() as u32);
                a.min(b)..a.max(b)
            };
            assert_eq!(Window { columns: span(0), rows: span(1) }, window, "{turn:?}");
        }
    }

    #[test]
    fn something_is_always_left() {
        let crop = Crop::new([0.5, 0.0, 0.49, 0.99]);
        for side in 1..9 {
            let window =
                Shot { crop, ..Size::new(8, 8).into() }.window(Size::new(side, side), Turn::NONE);
            for span in [window.columns, window.rows] {
                assert!(span.start % 2 == 0 && !span.is_empty(), "{side}: {span:?}");
                assert!(span.end <= side, "{side}: {span:?}");
            }
        }
        for fractions in [[1.0; 4], [0.9, 0.9, 0.9, 0.9], [f32::NAN, -1.0, 5.0, 0.995]] {
            let left = Crop::new(fractions).of(Size::new(1000, 1000));
            assert!(left.width_px >= 10 && left.height_px >= 10, "{fractions:?} {left:?}");
        }
    }
}
