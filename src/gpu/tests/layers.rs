//! Layers against their twin, case by case over the whole range of their parameters.

use super::twin::TwinLayer;
use super::*;
use crate::frame::{ChromaSite, Scaled};
use crate::media::scale::Prescaler;
use crate::picture::{Border, Look};
use crate::shot::{Crop, Mirror, ScaleQuality, Turn};

/// How many random layers are drawn.
const CASES: u32 = 1_000;
/// How alike the two paths of a software adapter are at least.
const PATHS_DB: f64 = 40.0;

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

/// A random layer over noise.
struct Case {
    /// Index of the canvas' size in [`SIZES`].
    canvas: usize,
    ground: Arc<Picture>,
    picture: Arc<Picture>,
    rect: Rect,
    look: Look,
    quality: ScaleQuality,
}

const SIZES: [Size; 5] =
    [Size::new(28, 20), Size::new(26, 14), Size::new(14, 30), Size::new(2, 2), Size::new(44, 8)];

impl Case {
    fn random(noise: &mut Noise) -> Case {
        let canvas = noise.below(SIZES.len() as u32) as usize;
        let size = SIZES[canvas];
        let ground = noise.picture(PixelFormat::Nv12, size, Color::CANVAS);
        let picture = Arc::new(noise.source());
        let (rect, look) = (noise.stand(size, &picture), noise.look());
        let quality = noise.one_of(&[ScaleQuality::Bicubic, ScaleQuality::Lanczos]);
        Case { canvas, ground, picture, rect, look, quality }
    }

    fn size(&self) -> Size {
        SIZES[self.canvas]
    }

    fn shot(&self) -> crate::shot::Shot {
        self.look.shot(self.rect)
    }

    fn whole(&self) -> Rect {
        rect(0, 0, self.size().width_px, self.size().height_px)
    }

    /// The layer with `shown` as its frame.
    fn draw(&self, compositor: &mut Compositor, shown: VideoFrame) -> Arc<Picture> {
        let layer = DrawOp::Layer { input: InputKey(2), rect: self.rect, look: self.look };
        let list = DrawList::of(self.size(), vec![DrawOp::layer(InputKey(1), self.whole()), layer]);
        let frames = [(InputKey(1), frame(&self.ground)), (InputKey(2), shown)];
        draw_one(compositor, &list, &frames)
    }

    fn twin(&self, picture: &Picture, shot: crate::shot::Shot) -> TwinCanvas {
        let Case { rect, look, quality, .. } = *self;
        let mut want = TwinCanvas::black(self.size());
        want.plain(&self.ground, self.whole());
        want.layer(&TwinLayer { picture, shot, rect, look, quality });
        want
    }

    fn describe(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?} at {:?} of {:?}, {:?} {:?}",
            self.picture.format(),
            self.picture.size(),
            self.picture.color(),
            self.picture.site(),
            self.picture.turn(),
            self.rect,
            self.size(),
            self.look,
            self.quality
        )
    }
}

#[test]
fn random_layers_agree_with_their_twin() {
    let mut noise = Noise(0x5eed);
    let mut all = SIZES.map(compositors);
    let mut kinds = std::collections::HashSet::new();
    for number in 0..CASES {
        let case = Case::random(&mut noise);
        let shot = case.shot();
        let ahead = noise.picture(PixelFormat::Nv12, shot.size, Color::CANVAS);
        let is_ahead = noise.below(4) == 0;
        let mut shown = frame(&case.picture);
        if is_ahead {
            shown.scaled.push(Scaled { shot, picture: Arc::clone(&ahead) });
        }
        let decoded = case.twin(&case.picture, shot);
        let scaled = is_ahead.then(|| case.twin(&ahead, shot.size.into()));
        for compositor in &mut all[case.canvas] {
            compositor.quality = case.quality;
            let want = match (&compositor.path, &scaled) {
                (Path::Shared(_), Some(scaled)) => scaled,
                _ => &decoded,
            };
            let difference = largest_difference(&case.draw(compositor, shown.clone()), want);
            let path = &compositor.path;
            assert!(difference <= 1, "{number}: {difference} on {path:?}: {}", case.describe());
        }
        kinds.insert((case.picture.format(), case.picture.color(), case.quality));
    }
    assert!(kinds.len() > 60, "{}", kinds.len());
}

/// Of all samples, dB.
fn psnr_db(a: &Picture, b: &Picture) -> f64 {
    let (mut sum, mut count, width) = (0.0, 0.0, a.size().width_px as usize);
    for (a, b) in a.planes().iter().zip(b.planes()) {
        let rows = a.data.chunks(a.stride_bytes).zip(b.data.chunks(b.stride_bytes));
        // Both planes of NV12 have as many bytes a row as there are columns.
        for (a, b) in rows.flat_map(|(a, b)| a[..width].iter().zip(&b[..width])) {
            sum += (f64::from(*a) - f64::from(*b)).powi(2);
            count += 1.0;
        }
    }
    10.0 * (255.0 * 255.0 * count / f64::max(sum, 1e-9)).log10()
}

/// The picture of a case with other content: waves that are at least sixteen pixels long, in the picture and as shown. Of
/// noise, which no lens lets through, each way of finding colours between samples makes something else.
fn smooth(case: &Case, noise: &mut Noise) -> Arc<Picture> {
    let (like, format) = (&case.picture, case.picture.format());
    let reach = case.shot().source_from_shot(like.size(), like.turn()).reach();
    let longest = reach.map(|reach| 16.0 * reach.max(1.0));
    let mut waves = || -> [f64; 3] { std::array::from_fn(|_| f64::from(noise.fraction())) };
    let mut planes = Vec::new();
    for (index, (row_bytes, rows)) in format.plane_shapes(like.size()).into_iter().enumerate() {
        let lanes = if index > 0 { 4 - format.plane_count() } else { 1 };
        let lane_waves = [waves(), waves()];
        let [across, down] = if index > 0 { format.subsampling() } else { [1, 1] };
        let bytes = format.sample_bytes();
        let mut data = vec![0; row_bytes * rows];
        for (y, row) in data.chunks_mut(row_bytes).enumerate() {
            for (at, sample) in row.chunks_mut(bytes).enumerate() {
                let [fx, fy, phase] = lane_waves[at % lanes];
                let (x, y) = ((at / lanes) as f64 * f64::from(across), y as f64 * f64::from(down));
                let angle =
                    std::f64::consts::TAU * (fx * x / longest[0] + fy * y / longest[1] + phase);
                let code = 128.0 + 90.0 * angle.sin();
                if bytes == 1 {
                    sample[0] = code as u8;
                } else {
                    let value = (code * f64::from(format.sample_per_code())) as u16;
                    let value = if format == PixelFormat::P010 { value & !63 } else { value };
                    sample.copy_from_slice(&value.to_le_bytes());
                }
            }
        }
        planes.push(Plane { data: Bytes::from(data), stride_bytes: row_bytes });
    }
    let picture = Picture::new(format, like.size(), like.color(), planes).unwrap();
    Arc::new(picture.with_site(like.site()).with_shape(like.turn(), (1, 1)))
}

#[test]
fn what_is_scaled_ahead_looks_like_what_shaders_draw() {
    if !gpu().is_software() {
        println!("skipped: hardware has no use for what is scaled ahead");
        return;
    }
    let mut noise = Noise(0x5eed);
    let mut all = SIZES.map(compositors);
    let mut least_db = f64::INFINITY;
    for number in 0..CASES {
        let mut case = Case { quality: ScaleQuality::Bicubic, ..Case::random(&mut noise) };
        case.picture = smooth(&case, &mut noise);
        let plain = frame(&case.picture);
        let mut ahead = plain.clone();
        Prescaler::default().fill(&mut ahead, &[case.shot()]);
        let [shared, staged] = &mut all[case.canvas][..] else { panic!("two paths") };
        let by_copy = case.draw(shared, ahead);
        let by_shader = case.draw(staged, plain);
        let db = psnr_db(&by_copy, &by_shader);
        least_db = least_db.min(db);
        assert!(db >= PATHS_DB, "{number}: {db:.1} dB: {}", case.describe());
    }
    println!("at least {least_db:.1} dB between what is scaled ahead and by shaders");
}
