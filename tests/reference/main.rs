//! The compositor against others: against FFmpeg's filters, and the path of software adapters against the shaders'.
//!
//! Frames are like photographs; what is compared is the peak signal-to-noise ratio over all samples that a layer covers.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use onair::frame::{ChromaSite, Color, Matrix, Picture, PixelFormat, Range, Size, VideoFrame};
use onair::gpu::{AdapterChoice, Compositor, Gpu};
use onair::ids::InputKey;
use onair::media::scale::Prescaler;
use onair::picture::{DrawList, DrawOp, Look, Rect};
use onair::shot::{Crop, Mirror, ScaleQuality, Turn};

mod ffmpeg;
mod frames;

use frames::{Noise, Scene};

const CANVAS: Size = Size::new(640, 360);

/// Smallest ratio to FFmpeg where layers are made smaller or keep their size, dB.
const SMALLER_DB: f64 = 42.0;
/// … and where some are magnified.
const LARGER_DB: f64 = 38.0;
/// Smallest ratio between what is scaled ahead and what shaders scale, dB.
const PATHS_DB: f64 = 40.0;

/// A picture, and the same as a raw file.
pub struct Source {
    pub picture: Arc<Picture>,
    pub file: PathBuf,
}

/// A layer of a layout.
#[derive(Debug)]
pub struct Piece {
    pub source: usize,
    pub rect: Rect,
    pub look: Look,
    /// What the look cuts off: left, top, right, bottom.
    pub crop_px: [u32; 4],
    pub quality: ScaleQuality,
}

#[derive(Debug)]
pub struct Layout {
    pub pieces: Vec<Piece>,
    pub quality: ScaleQuality,
}

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Gpu::open(&AdapterChoice::default()).unwrap()))
}

/// Pictures of all formats, colours, sites and turns. Sides are multiples of 40, so that a twentieth is an even number.
fn pictures() -> Vec<Picture> {
    use PixelFormat::{I420, I420P10, I422, I422P10, I444, I444P10, Nv12, P010};
    let canvas = Color::CANVAS;
    let sd = Color { matrix: Matrix::Bt601, range: Range::Limited };
    let full = Color { matrix: Matrix::Bt709, range: Range::Full };
    let jpeg = Color { matrix: Matrix::Bt601, range: Range::Full };
    let wide = Color { matrix: Matrix::Bt2020, range: Range::Limited };
    let (left, center, corner) = (ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft);
    let up = Turn::NONE;
    let table = [
        ((640, 360), I420, canvas, left, up),
        ((960, 520), Nv12, canvas, left, up),
        ((320, 200), I420, canvas, left, up),
        ((640, 360), I420, jpeg, center, up),
        ((720, 400), Nv12, sd, left, up),
        ((400, 240), I422, canvas, left, up),
        ((640, 360), I444, full, left, up),
        ((800, 440), P010, wide, corner, up),
        ((320, 200), I420P10, canvas, left, up),
        ((640, 400), I422P10, canvas, left, up),
        ((400, 240), I444P10, sd, left, up),
        ((640, 360), I420, canvas, left, Turn::clockwise(1)),
        ((360, 640), Nv12, canvas, left, Turn::clockwise(3)),
        ((480, 280), I420, canvas, left, Turn::clockwise(2)),
        ((640, 360), I422, canvas, left, Turn::clockwise(1).of_mirrored()),
    ];
    let picture = |(number, ((width, height), format, color, site, turn))| {
        let size = Size::new(width, height);
        Scene(number).picture(size, format, (color, site)).with_shape(turn, (1, 1))
    };
    (0..).zip(table).map(picture).collect()
}

fn sources() -> Vec<Source> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference");
    std::fs::create_dir_all(&directory).unwrap();
    let source = |(index, picture)| Source {
        file: ffmpeg::write(&directory, index, &picture),
        picture: Arc::new(picture),
    };
    pictures().into_iter().enumerate().map(source).collect()
}

/// How the layers of a layout are scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scaling {
    Smaller,
    Larger,
}

fn piece(noise: &mut Noise, sources: &[Source], scaling: Scaling) -> Piece {
    let source = noise.below(sources.len() as u32) as usize;
    let upright = sources[source].picture.shown_size();
    let twentieths = match noise.below(2) {
        0 => [0; 4],
        _ => [(); 4].map(|()| noise.below(6)),
    };
    let [left, top, right, bottom] = twentieths;
    let parts = [upright.width_px / 20, upright.height_px / 20];
    let crop_px = [left * parts[0], top * parts[1], right * parts[0], bottom * parts[1]];
    let shown = Size::new(
        upright.width_px - crop_px[0] - crop_px[2],
        upright.height_px - crop_px[1] - crop_px[3],
    );
    let percent = match (scaling, noise.below(3)) {
        (Scaling::Smaller, 0) => [100, 100],
        (Scaling::Smaller, _) => [(); 2].map(|()| 25 + noise.below(75)),
        (Scaling::Larger, _) => [(); 2].map(|()| 105 + noise.below(150)),
    };
    let even = |length: u32, percent: u32| (length * percent / 200 * 2).max(16);
    let (width_px, height_px) =
        (even(shown.width_px, percent[0]), even(shown.height_px, percent[1]));
    let mut place = |side: u32, length: u32| {
        let (side, length) = (side.cast_signed(), length.cast_signed());
        // At least a quarter of it is on the canvas.
        let least = -(length * 3 / 4);
        let most = side - length / 4;
        (least + noise.below((most - least).cast_unsigned()).cast_signed()) & !1
    };
    let (x_px, y_px) = (place(CANVAS.width_px, width_px), place(CANVAS.height_px, height_px));
    let mirror = Mirror { horizontal: noise.below(3) == 0, vertical: noise.below(3) == 0 };
    let look = Look {
        crop: Crop::new(twentieths.map(|part| part as f32 / 20.0)),
        mirror,
        opacity: noise.one_of(&[1.0, 1.0, 0.6]),
        ..Look::default()
    };
    let rect = Rect { x_px, y_px, width_px, height_px };
    Piece { source, rect, look, crop_px, quality: ScaleQuality::default() }
}

fn layout(noise: &mut Noise, sources: &[Source], scaling: Scaling) -> Layout {
    let quality = match scaling {
        Scaling::Smaller => ScaleQuality::default(),
        Scaling::Larger => noise.one_of(&[ScaleQuality::Bicubic, ScaleQuality::Lanczos]),
    };
    let count = 1 + noise.below(4);
    let pieces = (0..count).map(|_| Piece { quality, ..piece(noise, sources, scaling) }).collect();
    Layout { pieces, quality }
}

fn ops(layout: &Layout) -> Vec<DrawOp> {
    let op = |piece: &Piece| DrawOp::Layer {
        input: InputKey(piece.source as u32),
        rect: piece.rect,
        look: piece.look,
    };
    layout.pieces.iter().map(op).collect()
}

fn draw(layout: &Layout, frames: &[(InputKey, VideoFrame)]) -> Arc<Picture> {
    let mut compositor = Compositor::new(gpu(), CANVAS).unwrap().with_quality(layout.quality);
    compositor.draw(0, &DrawList::of(CANVAS, ops(layout)), frames).unwrap();
    compositor.finish().unwrap().pop().unwrap().picture
}

fn frames(sources: &[Source]) -> Vec<(InputKey, VideoFrame)> {
    let frame = |source: &Source| VideoFrame {
        pts_ns: 0,
        picture: Arc::clone(&source.picture),
        scaled: Vec::new(),
    };
    (0..).map(InputKey).zip(sources.iter().map(frame)).collect()
}

/// Y, U and V.
type Planes = [Vec<f64>; 3];

/// A canvas without padding.
fn planes(picture: &Picture) -> Planes {
    let rows = |plane: usize| {
        let plane = &picture.planes()[plane];
        let rows = plane.data.chunks(plane.stride_bytes);
        rows.flat_map(|row| &row[..CANVAS.width_px as usize]).map(|&code| f64::from(code))
    };
    [rows(0).collect(), rows(1).step_by(2).collect(), rows(1).skip(1).step_by(2).collect()]
}

/// 4:4:4 as 4:2:0 with chroma on the left: each sample the mean of what it stands for, two pixels wide and high.
fn planes_of_444(bytes: &[u8]) -> Planes {
    let (width, height) = (CANVAS.width_px as usize, CANVAS.height_px as usize);
    let code =
        |plane: usize, x: usize, y: usize| f64::from(bytes[(plane * height + y) * width + x]);
    let chroma = |plane: usize| {
        let row = |x: usize, y: usize| {
            0.25 * code(plane, x.saturating_sub(1), y)
                + 0.5 * code(plane, x, y)
                + 0.25 * code(plane, x + 1, y)
        };
        let mut all = Vec::new();
        for y in (0..height).step_by(2) {
            all.extend((0..width).step_by(2).map(|x| 0.5 * (row(x, y) + row(x, y + 1))));
        }
        all
    };
    let luma = bytes[..width * height].iter().map(|&code| f64::from(code)).collect();
    [luma, chroma(1), chroma(2)]
}

/// Whether a layer covers a pixel of the canvas.
fn is_covered(layout: &Layout, x: u32, y: u32) -> bool {
    let (x, y) = (x.cast_signed(), y.cast_signed());
    layout.pieces.iter().any(|Piece { rect, .. }| {
        (rect.x_px..rect.x_px + rect.width_px.cast_signed()).contains(&x)
            && (rect.y_px..rect.y_px + rect.height_px.cast_signed()).contains(&y)
    })
}

/// Peak signal-to-noise ratio over the covered samples of all planes, and of each plane, dB.
fn psnr_db(layout: &Layout, a: &Planes, b: &Planes) -> (f64, [f64; 3]) {
    let sums = [(0, 1), (1, 2), (2, 2)].map(|(plane, step): (usize, u32)| {
        let (mut square, mut count) = (0.0, 0.0);
        let columns = CANVAS.width_px / step;
        for (index, (a, b)) in (0..).zip(a[plane].iter().zip(&b[plane])) {
            if is_covered(layout, index % columns * step, index / columns * step) {
                square += (a - b).powi(2);
                count += 1.0;
            }
        }
        (square, count)
    });
    let db = |square: f64, count: f64| 10.0 * (255.0 * 255.0 * count / square.max(1e-9)).log10();
    let all = sums.iter().fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
    (db(all.0, all.1), sums.map(|(square, count)| db(square, count)))
}

#[test]
fn layouts_look_as_ffmpeg_draws_them() {
    let (sources, mut noise) = (sources(), Noise(0xf1f0));
    let frames = frames(&sources);
    let mut missed = Vec::new();
    for (scaling, count, bound) in
        [(Scaling::Smaller, 30, SMALLER_DB), (Scaling::Larger, 20, LARGER_DB)]
    {
        let mut least = f64::INFINITY;
        for number in 0..count {
            let layout = layout(&mut noise, &sources, scaling);
            let got = planes(&draw(&layout, &frames));
            let want = planes_of_444(&ffmpeg::draw(&layout, &sources, CANVAS));
            let (db, each) = psnr_db(&layout, &got, &want);
            least = least.min(db);
            if db < bound {
                missed.push(format!("{scaling:?} {number}: {db:.1} dB, {each:.1?}: {layout:#?}"));
            }
        }
        println!("{scaling:?}: at least {least:.1} dB to FFmpeg over {count} layouts");
    }
    assert!(missed.is_empty(), "{} missed: {}", missed.len(), missed.join("\n"));
}

#[test]
fn scaled_ahead_looks_like_scaled_by_shader() {
    if !gpu().is_software() {
        println!("skipped: hardware has no use for what is scaled ahead");
        return;
    }
    let (sources, mut noise) = (sources(), Noise(0xc0de));
    let plain = frames(&sources);
    let (mut missed, mut least) = (Vec::new(), f64::INFINITY);
    for number in 0..40 {
        let scaling = noise.one_of(&[Scaling::Smaller, Scaling::Larger]);
        let pieces = vec![piece(&mut noise, &sources, scaling)];
        let layout = Layout { pieces, quality: ScaleQuality::default() };
        let piece = &layout.pieces[0];
        let mut ahead = plain.clone();
        let shot = piece.look.shot(piece.rect);
        Prescaler::default().fill(&mut ahead[piece.source].1, &[shot]);
        assert!(ahead[piece.source].1.ready(shot).is_some());
        let [by_shader, by_copy] = [&plain, &ahead].map(|frames| planes(&draw(&layout, frames)));
        let (db, each) = psnr_db(&layout, &by_shader, &by_copy);
        least = least.min(db);
        if db < PATHS_DB {
            missed.push(format!("{number}: {db:.1} dB, {each:.1?}: {layout:#?}"));
        }
    }
    println!("at least {least:.1} dB between what is scaled ahead and by shader");
    assert!(missed.is_empty(), "{} missed: {}", missed.len(), missed.join("\n"));
}
