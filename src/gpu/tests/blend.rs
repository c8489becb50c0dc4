//! Two pictures that become one, and veils: against their twin, exact at both ends, monotone in between.

use super::*;
use crate::gpu::blend::WIPE_SOFT_PX;
use crate::gpu::color::code_of;
use crate::gpu::sources::SourceKey;
use crate::picture::{Blend, Direction, Over, Veil};

/// A word of noise.
fn random(noise: &mut Noise) -> u32 {
    u32::from_le_bytes(noise.bytes(4).try_into().unwrap())
}

/// 0–1, the ends included.
fn fraction(noise: &mut Noise) -> f32 {
    (random(noise) % 1001) as f32 / 1000.0
}

/// Of the four kinds, in any direction.
fn blend(kind: u32, towards: Direction, progress: f32) -> Blend {
    match kind % 4 {
        0 => Blend::Mix { progress },
        1 => Blend::Wipe { towards, progress },
        2 => Blend::Slide { towards, progress },
        _ => Blend::Push { towards, progress },
    }
}

/// Inputs 1 and 2 over the whole canvas, the second coming in.
fn list(size: Size, ground_rgb: u32, blend: Option<Blend>, veil: Option<Veil>) -> DrawList {
    let whole = rect(0, 0, size.width_px, size.height_px);
    let ops = |key| vec![DrawOp::layer(InputKey(key), whole)];
    let over = blend.map(|blend| Over { ground_rgb: 0, ops: ops(2), blend });
    DrawList { ground_rgb, over, veil, ..DrawList::of(size, ops(1)) }
}

/// What a canvas of code values shows at a pixel, `None` beside it.
type Seen<'a> = dyn Fn(i32, i32) -> Option<[f64; 3]> + 'a;

fn seen_on(canvas: &TwinCanvas) -> impl Fn(i32, i32) -> Option<[f64; 3]> {
    let (w, h) = (canvas.size.width_px.cast_signed(), canvas.size.height_px.cast_signed());
    move |x, y| {
        let inside = (0..w).contains(&x) && (0..h).contains(&y);
        inside.then(|| {
            let [u, v] = canvas.uv[(y / 2 * (w / 2) + x / 2) as usize];
            [canvas.y[(y * w + x) as usize], u, v].map(f64::from)
        })
    }
}

/// A picture between two, pixel by pixel, from what the words of [`Blend`] say.
struct Between<'a> {
    size: Size,
    first: &'a Seen<'a>,
    second: &'a Seen<'a>,
    gap: [f64; 3],
    blend: Option<Blend>,
    veil: Option<Veil>,
}

impl Between<'_> {
    /// How far the edge of a wipe is past a point, in widths of the edge.
    fn past(&self, towards: Direction, progress: f64, [x, y]: [f64; 2]) -> f64 {
        let sides = [f64::from(self.size.width_px), f64::from(self.size.height_px)];
        // The way to go from the side or corner wiped first, as shares of the canvas.
        let ways: Vec<(f64, f64)> = [(x, sides[0]), (y, sides[1])]
            .into_iter()
            .zip(towards.steps())
            .filter(|(_, step)| *step != 0)
            .map(|((at, side), step)| (if step > 0 { at / side } else { 1.0 - at / side }, side))
            .collect();
        // Pixels along the edge's way for one whole share of each.
        let pixels = 1.0 / ways.iter().map(|(_, side)| side.powi(-2)).sum::<f64>().sqrt();
        let soft = f64::from(WIPE_SOFT_PX);
        let (at, length) =
            (ways.iter().map(|w| w.0).sum::<f64>() * pixels, ways.len() as f64 * pixels);
        (progress * (length + soft) - at) / soft
    }

    /// Code values at a pixel whose weight is that of the point `at`.
    fn codes(&self, [x, y]: [i32; 2], at: [f64; 2]) -> [f64; 3] {
        let even = |length: f64| 2 * (length / 2.0).round() as i32;
        let moved = |towards: Direction, progress: f32| {
            let sides = [self.size.width_px, self.size.height_px];
            let gone = sides.map(|side| even((progress * side as f32).into()));
            let [dx, dy] = towards.steps();
            let first = [x - dx * gone[0], y - dy * gone[1]];
            let side = |i: usize| sides[i].cast_signed();
            let second = [x + dx * (side(0) - gone[0]), y + dy * (side(1) - gone[1])];
            [first, second]
        };
        let show = |seen: &Seen, [x, y]: [i32; 2]| seen(x, y);
        let first = |at| show(self.first, at).unwrap_or(self.gap);
        let here = [x, y];
        let (under, over, weight) = match self.blend {
            None => (first(here), None, 0.0),
            Some(Blend::Mix { progress }) => {
                (first(here), show(self.second, here), f64::from(progress))
            }
            Some(Blend::Wipe { towards, progress }) => {
                let weight = self.past(towards, progress.into(), at).clamp(0.0, 1.0);
                (first(here), show(self.second, here), weight)
            }
            Some(Blend::Slide { towards, progress }) => {
                (first(here), show(self.second, moved(towards, progress)[1]), 1.0)
            }
            Some(Blend::Push { towards, progress }) => {
                let [out, into] = moved(towards, progress);
                (first(out), show(self.second, into), 1.0)
            }
        };
        let veil = self.veil.unwrap_or(Veil { rgb: 0, opacity: 0.0 });
        let (colour, opacity) = (code_of(veil.rgb).map(f64::from), f64::from(veil.opacity));
        std::array::from_fn(|i| {
            let mixed = over.map_or(under[i], |over| under[i] + (over[i] - under[i]) * weight);
            mixed + (colour[i] - mixed) * opacity
        })
    }

    fn canvas(&self) -> TwinCanvas {
        let mut canvas = TwinCanvas::black(self.size);
        let (w, h) = (self.size.width_px.cast_signed(), self.size.height_px.cast_signed());
        let code = |value: f64| (value + 0.5).floor() as u8;
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let middle = [f64::from(x) + 0.5, f64::from(y) + 0.5];
            canvas.y[(y * w + x) as usize] = code(self.codes([x, y], middle)[0]);
            if x % 2 == 0 && y % 2 == 0 {
                let middle = [f64::from(x) + 1.0, f64::from(y) + 1.0];
                let [_, u, v] = self.codes([x, y], middle).map(code);
                canvas.uv[(y / 2 * (w / 2) + x / 2) as usize] = [u, v];
            }
        }
        canvas
    }
}

#[test]
fn blends_and_veils_agree_with_their_twin() {
    let mut noise = Noise(11);
    for (width, height) in [(64, 48), (62, 46), (30, 86), (2, 2), (118, 14)] {
        let size = Size::new(width, height);
        let pictures = [0, 1].map(|_| noise.picture(PixelFormat::Nv12, size, Color::CANVAS));
        let canvases = pictures.each_ref().map(|picture| {
            let mut canvas = TwinCanvas::black(size);
            canvas.plain(picture, rect(0, 0, width, height));
            canvas
        });
        let seen = canvases.each_ref().map(seen_on);
        let frames = [(InputKey(1), frame(&pictures[0])), (InputKey(2), frame(&pictures[1]))];
        let mut compositors = compositors(size);
        for case in 0..200 {
            let towards = Direction::ALL[case % 8];
            let (kind, progress) = (random(&mut noise), fraction(&mut noise));
            let blend = (case % 10 > 0).then(|| blend(kind, towards, progress));
            let veil = Veil { rgb: random(&mut noise) >> 8, opacity: fraction(&mut noise) };
            let veil = (case % 3 == 0).then_some(veil);
            let ground_rgb = random(&mut noise) >> 8;
            let gap = code_of(ground_rgb).map(f64::from);
            let [first, second] = [&seen[0] as &Seen, &seen[1]];
            let want = Between { size, first, second, gap, blend, veil }.canvas();
            let list = list(size, ground_rgb, blend, veil);
            for compositor in &mut compositors {
                let got = draw_one(compositor, &list, &frames);
                let difference = largest_difference(&got, &want);
                let what = format!("{blend:?} {veil:?} of {size:?}");
                assert!(difference <= 1, "{what}: {difference} on {:?}", compositor.path);
            }
        }
    }
}

/// All samples, without padding.
fn samples(picture: &Picture) -> Vec<u8> {
    let width = picture.size().width_px as usize;
    let rows = picture.planes().iter().flat_map(|p| p.data.chunks(p.stride_bytes));
    rows.flat_map(|row| row[..width].to_vec()).collect()
}

#[test]
fn blends_begin_and_end_exactly_and_never_turn_back() {
    const TICKS: u8 = 25;
    let size = Size::new(62, 46);
    let mut noise = Noise(12);
    let pictures = [0, 1].map(|_| noise.picture(PixelFormat::I420, size, Color::CANVAS));
    let frames = [(InputKey(1), frame(&pictures[0])), (InputKey(2), frame(&pictures[1]))];
    let cases = (0..4).flat_map(|kind| Direction::ALL.map(|towards| (kind, towards)));
    for mut compositor in compositors(size) {
        let mut shown = |key| {
            let whole = rect(0, 0, size.width_px, size.height_px);
            let list = DrawList::of(size, vec![DrawOp::layer(InputKey(key), whole)]);
            samples(&draw_one(&mut compositor, &list, &frames))
        };
        let [first, second] = [shown(1), shown(2)];
        for (kind, towards) in cases.clone() {
            let mut before = first.clone();
            for tick in 0..=TICKS {
                let blend = blend(kind, towards, f32::from(tick) / f32::from(TICKS));
                let list = list(size, 0xff_0000, Some(blend), None);
                let now = samples(&draw_one(&mut compositor, &list, &frames));
                if tick == 0 || tick == TICKS {
                    let want = if tick == 0 { &first } else { &second };
                    assert!(now == *want, "{blend:?} is exact on {:?}", compositor.path);
                }
                // Where pictures do not move, each sample goes from one to the other without turning back.
                let on_its_way = |i: usize| {
                    let [low, high] = [before[i].min(second[i]), before[i].max(second[i])];
                    (low..=high).contains(&now[i])
                };
                assert!(kind > 1 || (0..now.len()).all(on_its_way), "{blend:?} turns back");
                before = now;
            }
        }
    }
}

#[test]
fn a_veil_ends_in_its_colour_and_hides_what_is_not_even_uploaded() {
    let size = Size::new(64, 48);
    let picture = Noise(13).picture(PixelFormat::I420, Size::new(32, 24), Color::CANVAS);
    let frames = [(InputKey(1), frame(&picture)), (InputKey(2), frame(&picture))];
    let veiled = |opacity| {
        let veil = Veil { rgb: 0x12_3456, opacity };
        list(size, 0, Some(Blend::Mix { progress: 0.5 }), Some(veil))
    };
    let decoded = |key| SourceKey { input: InputKey(key), scaled_for: None };
    let colour = Picture::flat(size, code_of(0x12_3456));
    let mut want = TwinCanvas::black(size);
    want.plain(&colour, rect(0, 0, 64, 48));
    for mut compositor in compositors(size) {
        let got = draw_one(&mut compositor, &veiled(1.0), &frames);
        assert_eq!(largest_difference(&got, &want), 0);
        assert!(compositor.sources.bind_group(decoded(1)).is_none());
        draw_one(&mut compositor, &veiled(0.5), &frames);
        assert!(compositor.sources.bind_group(decoded(2)).is_some());
    }
}
