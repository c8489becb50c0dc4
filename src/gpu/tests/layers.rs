//! Layers against their twin, case by case over the whole range of their parameters.

use super::twin::TwinLayer;
use super::*;
use crate::frame::{ChromaSite, Scaled};
use crate::picture::{Border, Look};
use crate::shot::{Crop, Mirror, ScaleQuality, Turn};

/// How many random layers are drawn.
const CASES: u32 = 1_000;

impl Noise {
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let bytes = self.bytes(4);
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % end
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u32) as usize]
    }

    /// 0–1.
    pub(super) fn fraction(&mut self) -> f32 {
        self.below(10_001) as f32 / 10_000.0
    }

    fn even(&mut self, least: i32, most: i32) -> i32 {
        least + 2 * self.below(((most - least) / 2 + 1).cast_unsigned()).cast_signed()
    }

    fn color(&mut self) -> Color {
        let matrix = self.one_of(&[Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]);
        let range = self.one_of(&[Range::Limited, Range::Full]);
        self.one_of(&[Color::CANVAS, Color { matrix, range }])
    }

    /// As sources are: mostly a little larger or smaller than shown, some very large, some tiny.
    fn source(&mut self) -> Picture {
        let (format, color) = (self.one_of(&PixelFormat::ALL), self.color());
        let (width, height) = self.one_of(&[(44, 32), (44, 32), (8, 8), (500, 6), (6, 400)]);
        let size = Size::new(1 + self.below(width), 1 + self.below(height));
        let site = self.one_of(&[ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft]);
        let turn = Turn::clockwise(self.one_of(&[0, 0, 1, 2, 3]));
        let turn = if self.below(4) == 0 { turn.of_mirrored() } else { turn };
        self.samples(format, size, color).with_site(site).with_shape(turn, (1, 1))
    }

    fn look(&mut self) -> Look {
        let mirror = Mirror { horizontal: self.below(3) == 0, vertical: self.below(3) == 0 };
        let crop = [(); 4].map(|()| 0.6 * self.fraction());
        let border = Border { width: 0.3 * self.fraction(), rgb: self.below(1 << 24) };
        let (opacity, corner_radius) = (self.fraction(), 0.6 * self.fraction());
        let shaped = Look {
            opacity: self.one_of(&[1.0, opacity]),
            corner_radius: self.one_of(&[0.0, corner_radius]),
            border: self.one_of(&[None, Some(border)]),
            ..Look::default()
        };
        let look = self.one_of(&[Look::default(), shaped]);
        Look { crop: self.one_of(&[Crop::default(), Crop::new(crop)]), mirror, ..look }
    }

    /// Where a layer stands: all sizes, over all edges, and now and then just as large as its picture.
    fn stand(&mut self, canvas: Size, picture: &Picture) -> Rect {
        let even = |side: u32| side.next_multiple_of(2);
        let shown = picture.shown_size();
        let [width_px, height_px] = if self.below(4) == 0 && shown.width_px < 50 {
            [even(shown.width_px), even(shown.height_px.min(50))]
        } else {
            [self.even(2, 50), self.even(2, 40)].map(i32::cast_unsigned)
        };
        let mut begin =
            |side: u32, length: u32| self.even(-(length.cast_signed() & !1), side.cast_signed());
        Rect {
            x_px: begin(canvas.width_px, width_px),
            y_px: begin(canvas.height_px, height_px),
            width_px,
            height_px,
        }
    }
}

#[test]
fn random_layers_agree_with_their_twin() {
    let mut noise = Noise(0x5eed);
    let sizes = [(28, 20), (26, 14), (14, 30), (2, 2), (44, 8)].map(|(w, h)| Size::new(w, h));
    let mut all: Vec<_> = sizes.iter().map(|&size| compositors(size)).collect();
    let mut kinds = std::collections::HashSet::new();
    for case in 0..CASES {
        let canvas = noise.below(sizes.len() as u32) as usize;
        let size = sizes[canvas];
        let ground = noise.picture(PixelFormat::Nv12, size, Color::CANVAS);
        let picture = Arc::new(noise.source());
        let (rect, look) = (noise.stand(size, &picture), noise.look());
        let quality = noise.one_of(&[ScaleQuality::Bicubic, ScaleQuality::Lanczos]);
        let shot = look.shot(rect);
        let ahead = noise.picture(PixelFormat::Nv12, shot.size, Color::CANVAS);
        let is_ahead = noise.below(4) == 0;
        let mut shown = frame(&picture);
        if is_ahead {
            shown.scaled.push(Scaled { shot, picture: Arc::clone(&ahead) });
        }
        let whole = self::rect(0, 0, size.width_px, size.height_px);
        let layer = DrawOp::Layer { input: InputKey(2), rect, look };
        let list = DrawList::of(size, vec![DrawOp::layer(InputKey(1), whole), layer]);
        let frames = [(InputKey(1), frame(&ground)), (InputKey(2), shown)];
        let want = |picture: &Picture, shot| {
            let mut want = TwinCanvas::black(size);
            want.plain(&ground, whole);
            want.layer(&TwinLayer { picture, shot, rect, look, quality });
            want
        };
        let decoded = want(&picture, shot);
        let scaled = is_ahead.then(|| want(&ahead, shot.size.into()));
        for compositor in &mut all[canvas] {
            compositor.quality = quality;
            let want = match (&compositor.path, &scaled) {
                (Path::Shared(_), Some(scaled)) => scaled,
                _ => &decoded,
            };
            let got = draw_one(compositor, &list, &frames);
            let difference = largest_difference(&got, want);
            let (format, color) = (picture.format(), picture.color());
            assert!(
                difference <= 1,
                "case {case}: {difference} on {:?}: {format:?} {:?} {color:?} {:?} {:?} at {rect:?} of {size:?}, {look:?} {quality:?}",
                compositor.path,
                picture.size(),
                picture.site(),
                picture.turn(),
            );
            kinds.insert((format, color, quality));
        }
    }
    assert!(kinds.len() > 60, "{}", kinds.len());
}
