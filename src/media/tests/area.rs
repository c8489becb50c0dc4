//! Areas against sums in floating point, and with vector instructions against without.

use bytes::Bytes;

use super::*;
use crate::frame::{self, ChromaSite, Color};
use crate::media::pool::BufferPool;
use crate::media::swscale::chroma_px;

/// Samples that follow no pattern.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        // Extremes often: they overflow first.
        match state % 4 {
            0 => 0,
            1 => 255,
            _ => (state >> 24) as u8,
        }
    };
    (0..len).map(|_| next()).collect()
}

fn picture(format: PixelFormat, size: Size) -> Picture {
    let planes = format.plane_shapes(size).into_iter().zip(1..).map(|((row_bytes, rows), seed)| {
        let stride_bytes = row_bytes + 3;
        let data = Bytes::from(noise(stride_bytes * rows, seed * size.width_px));
        frame::Plane { data, stride_bytes }
    });
    Picture::new(format, size, Color::CANVAS, planes.collect()).unwrap()
}

fn side(format: PixelFormat, size: Size, chroma_px: [f64; 2]) -> Side {
    Side { size, format: raw_format(format), color: Color::CANVAS, chroma_px }
}

/// The mean of what each new sample covers, beyond the edges of the samples there.
fn exact(old: &[f64], (count, origin, step): (usize, f64, f64)) -> Vec<f64> {
    let mean = |i: usize| {
        let begin = origin + i as f64 * step - step / 2.0;
        let covered = |j: i64| (begin + step).min((j + 1) as f64) - begin.max(j as f64);
        let at = |j: i64| old[j.clamp(0, old.len() as i64 - 1) as usize];
        let range = begin.floor() as i64..(begin + step).ceil() as i64;
        range.map(|j| covered(j).max(0.0) * at(j)).sum::<f64>() / step
    };
    (0..count).map(mean).collect()
}

/// One component of a plane, scaled exactly.
fn exact_plane(rows: &[Vec<f64>], axes: [(usize, f64, f64); 2]) -> Vec<Vec<f64>> {
    let across: Vec<Vec<f64>> = rows.iter().map(|row| exact(row, axes[0])).collect();
    let column = |x: usize| across.iter().map(|row| row[x]).collect::<Vec<f64>>();
    let columns: Vec<Vec<f64>> = (0..axes[0].0).map(|x| exact(&column(x), axes[1])).collect();
    (0..axes[1].0).map(|y| columns.iter().map(|column| column[y]).collect()).collect()
}

/// Rows of a component.
fn component(plane: (&[u8], usize), size: Size, (lane, of): (usize, usize)) -> Vec<Vec<f64>> {
    let row = |y: usize| {
        (0..size.width_px as usize)
            .map(|x| f64::from(plane.0[y * plane.1 + x * of + lane]))
            .collect()
    };
    (0..size.height_px as usize).map(row).collect()
}

/// Scales, and compares with the exact means.
fn check(format: PixelFormat, (old, new): (Size, Size), site: ChromaSite) {
    let from = side(format, old, chroma_px(site, format));
    let to = side(PixelFormat::Nv12, new, chroma_px(ChromaSite::Left, PixelFormat::Nv12));
    let mut scaler = AreaScaler::new(&from, &to, Kernel::Area).expect("it is near");
    let picture = picture(format, old);
    let window = Window { columns: 0..old.width_px, rows: 0..old.height_px };
    let pool = BufferPool::default();
    let mut draft = Draft::new(&pool, PixelFormat::Nv12, new);
    scaler.run_window(&picture, &window, &mut draft).unwrap();
    let planes: Vec<_> = draft.planes().collect();
    let cut = cut(&picture, &window, &from).unwrap();
    let steps = [
        f64::from(old.width_px) / f64::from(new.width_px),
        f64::from(old.height_px) / f64::from(new.height_px),
    ];
    let counts = |size: Size| [size.width_px as usize, size.height_px as usize];
    let near = |what: &str, got: &[Vec<f64>], want: &[Vec<f64>]| {
        for (y, (got, want)) in got.iter().zip(want).enumerate() {
            for (x, (got, want)) in got.iter().zip(want).enumerate() {
                // Half a code of rounding; 8 bits of a row's share, of up to five rows; 16 bits along it.
                assert!(
                    (got - want).abs() < 1.6,
                    "{what} {old:?} → {new:?} ({x}, {y}): {got}, {want}"
                );
            }
        }
    };
    let axes = |axis: usize| (counts(new)[axis], steps[axis] / 2.0, steps[axis]);
    let want = exact_plane(&component(cut[0], old, (0, 1)), [axes(0), axes(1)]);
    near("luma", &component(planes[0], new, (0, 1)), &want);
    for lane in 0..2 {
        let old_rows = match format {
            PixelFormat::Nv12 => component(cut[1], old.chroma(), (lane, 2)),
            _ => component(cut[1 + lane], old.chroma(), (0, 1)),
        };
        let axes = |axis: usize| {
            let centre = (to.chroma_px[axis] + 0.5) * steps[axis];
            let origin = (centre - 0.5 - from.chroma_px[axis]) / 2.0 + 0.5;
            (counts(new.chroma())[axis], origin, steps[axis])
        };
        let want = exact_plane(&old_rows, [axes(0), axes(1)]);
        near("chroma", &component(planes[1], new.chroma(), (lane, 2)), &want);
    }
}

#[test]
fn new_samples_are_means_of_what_they_cover() {
    for format in [PixelFormat::I420, PixelFormat::Nv12] {
        for site in [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft] {
            for (old, new) in [
                ((128, 72), (96, 54)),
                ((128, 72), (64, 36)),
                ((192, 108), (48, 27)),
                ((128, 72), (127, 71)),
                ((131, 77), (66, 50)),
                ((128, 72), (128, 36)),
                ((128, 72), (64, 72)),
                ((90, 30), (71, 29)),
                ((8, 8), (2, 2)),
                ((3, 3), (1, 1)),
            ] {
                check(format, (Size::new(old.0, old.1), Size::new(new.0, new.1)), site);
            }
        }
    }
}

#[test]
fn vector_instructions_change_nothing() {
    let row = noise(4 * 1000, 7);
    for (old, new) in [(1000, 750), (1000, 999), (1000, 251), (1000, 500), (333, 130), (20, 9)] {
        for components in [1, 2] {
            let step = old as f64 / new as f64;
            let axis = Axis::new((new, step / 2.0 + 0.1, step), old);
            let across = Across::new(&axis, components).unwrap();
            let mut sums = vec![0; old * components + SLACK];
            let down = Down { taps: 2, firsts: vec![0], factors: vec![100, 156] };
            let len = old * components;
            let mut plain = sums.clone();
            down.run(0, (&row, 2000), &mut sums[..len]);
            down.run_plainly(0, (&row, 2000), &mut plain[..len]);
            assert_eq!(sums, plain);
            let mut rows = [0, 1].map(|_| vec![0; (new * components).next_multiple_of(LANES)]);
            across.run(&sums, &mut rows[0]);
            across.run_plainly(&sums, &mut rows[1]);
            assert_eq!(rows[0], rows[1], "{old} → {new}, {components}");
        }
    }
}

#[test]
fn white_stays_white_and_black_black() {
    for value in [0, 16, 235, 255] {
        let (old, new) = (Size::new(1280, 720), Size::new(426, 240));
        let sides = [old, new].map(|size| side(PixelFormat::Nv12, size, [0.0, 0.5]));
        let mut scaler = AreaScaler::new(&sides[0], &sides[1], Kernel::Area).unwrap();
        let plane = |(stride_bytes, rows): (usize, usize)| frame::Plane {
            data: Bytes::from(vec![value; stride_bytes * rows]),
            stride_bytes,
        };
        let planes = PixelFormat::Nv12.plane_shapes(old).into_iter().map(plane).collect();
        let picture = Picture::new(PixelFormat::Nv12, old, Color::CANVAS, planes).unwrap();
        let pool = BufferPool::default();
        let mut draft = Draft::new(&pool, PixelFormat::Nv12, new);
        let window = Window { columns: 0..1280, rows: 0..720 };
        scaler.run_window(&picture, &window, &mut draft).unwrap();
        for ((plane, stride), width) in draft.planes().zip([426, 426]) {
            assert!(plane.chunks(stride).all(|row| row[..width].iter().all(|&b| b == value)));
        }
    }
}

#[test]
fn what_is_not_for_it_is_left_to_swscale() {
    let nv12 = PixelFormat::Nv12;
    for (format, old, new, kernel) in [
        (PixelFormat::I422, (128, 72), (64, 36), Kernel::Area),
        (PixelFormat::P010, (128, 72), (64, 36), Kernel::Area),
        (nv12, (128, 72), (64, 80), Kernel::Area),
        (nv12, (128, 72), (31, 36), Kernel::Area),
        (nv12, (128, 72), (256, 144), Kernel::Bicubic),
    ] {
        let [from, to] = [(format, old), (nv12, new)]
            .map(|(format, (width, height))| side(format, Size::new(width, height), [0.0, 0.5]));
        assert!(AreaScaler::new(&from, &to, kernel).is_none(), "{format:?} {old:?} → {new:?}");
    }
}
