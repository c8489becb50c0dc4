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

fn task(format: PixelFormat, old: Size, new: Size) -> Task {
    Task {
        format,
        window: Window { columns: 0..old.width_px, rows: 0..old.height_px },
        chroma_px: chroma_px(ChromaSite::Left, format),
        size: new,
        new_chroma_px: chroma_px(ChromaSite::Left, PixelFormat::Nv12),
        quality: ScaleQuality::Bicubic,
    }
}

fn resize(task: &Task, picture: &Picture) -> Draft {
    let mut draft = Draft::new(&BufferPool::default(), PixelFormat::Nv12, task.size);
    Resizer::new(task.clone()).run(picture, &mut draft).unwrap();
    draft
}

/// One component of a plane by floating point, with what each new sample is made of written out.
fn exact(old: &[Vec<f64>], courses: [&Course; 2], filter: Filter) -> Vec<Vec<f64>> {
    let [along, down] = courses.map(|course| Axis::new(course, filter));
    let sum = |axis: &Axis, i: usize, at: &dyn Fn(usize) -> f64| -> f64 {
        let shares = &axis.shares[i * axis.taps..][..axis.taps];
        let part = |(tap, share): (usize, &i16)| {
            let cell = axis.firsts[i] + tap;
            let place = axis.places.as_ref().map_or(cell, |places| places[cell]);
            f64::from(*share) / f64::from(axis::WHOLE) * at(place)
        };
        shares.iter().enumerate().map(part).sum()
    };
    let row = |y: usize| -> Vec<f64> {
        (0..along.firsts.len())
            .map(|x| sum(&along, x, &|at_x| sum(&down, y, &|at_y| old[at_y][at_x])))
            .collect()
    };
    (0..down.firsts.len()).map(row).collect()
}

/// Rows of a component, in codes of 8 bits.
fn component(
    (plane, stride): (&[u8], usize),
    (size, format): (Size, PixelFormat),
    (lane, of): (usize, usize),
) -> Vec<Vec<f64>> {
    let bytes = format.sample_bytes();
    let sample = |y: usize, x: usize| {
        let at = y * stride + (x * of + lane) * bytes;
        let value = match bytes {
            1 => u16::from(plane[at]),
            _ => u16::from_le_bytes([plane[at], plane[at + 1]]),
        };
        f64::from(value) / f64::from(format.sample_per_code())
    };
    let row = |y: usize| (0..size.width_px as usize).map(|x| sample(y, x)).collect();
    (0..size.height_px as usize).map(row).collect()
}

/// Scales luma, and compares with what it is made of.
fn check(format: PixelFormat, (old, new): (Size, Size), quality: ScaleQuality) {
    let task = Task { quality, ..task(format, old, new) };
    let picture = picture(format, old);
    let draft = resize(&task, &picture);
    let planes: Vec<_> = draft.planes().collect();
    let cut = cut(&picture, &task.window).unwrap();
    let steps = task.steps();
    let course = |count: u32, step: f64, seen: u32| Course {
        count: count as usize,
        origin: step / 2.0,
        step,
        seen: 0..seen as usize,
    };
    let courses = [
        course(new.width_px, steps[0], old.width_px),
        course(new.height_px, steps[1], old.height_px),
    ];
    let filter = task.filter(steps);
    let want = exact(&component(cut[0], (old, format), (0, 1)), [&courses[0], &courses[1]], filter);
    let got = component(planes[0], (new, PixelFormat::Nv12), (0, 1));
    for (y, (got, want)) in got.iter().zip(&want).enumerate() {
        for (x, (got, want)) in got.iter().zip(want).enumerate() {
            let error = (got - want.clamp(0.0, 255.0)).abs();
            // Half a code, and what sixty-fourths and thirty-seconds of some taps come to.
            assert!(error < 0.75, "{format:?} {old:?} → {new:?} ({x}, {y}): {got}, {want}");
        }
    }
}

#[test]
fn new_samples_are_what_they_are_made_of() {
    for format in [PixelFormat::I420, PixelFormat::Nv12] {
        for quality in [ScaleQuality::Bicubic, ScaleQuality::Lanczos] {
            for (old, new) in [
                ((128, 72), (96, 54)),
                ((128, 72), (64, 36)),
                ((192, 108), (48, 27)),
                ((128, 72), (192, 108)),
                ((128, 72), (127, 80)),
                ((131, 77), (66, 50)),
                ((1000, 72), (20, 72)),
                ((64, 300), (64, 9)),
                ((90, 30), (71, 29)),
                ((8, 8), (2, 2)),
                ((3, 3), (1, 1)),
                ((1, 1), (40, 30)),
            ] {
                let sizes = (Size::new(old.0, old.1), Size::new(new.0, new.1));
                check(format, sizes, quality);
            }
        }
    }
}

#[test]
fn shares_are_one_and_of_what_is_seen() {
    for filter in [Filter::Area, Filter::Bicubic, Filter::Lanczos] {
        for (count, old, offset) in [(7, 100, 0), (100, 7, 3), (1, 1, 0), (5, 400, 6), (9, 9, 2)] {
            let step = old as f64 / count as f64;
            let origin = offset as f64 + step / 2.0 - 0.25;
            let axis =
                Axis::new(&Course { count, origin, step, seen: offset..offset + old }, filter);
            assert_eq!((axis.firsts.len(), axis.shares.len()), (count, count * axis.taps));
            for shares in axis.shares.chunks(axis.taps) {
                assert_eq!(shares.iter().map(|&share| i32::from(share)).sum::<i32>(), axis::WHOLE);
            }
            let cells = axis.places.as_ref().map_or(old, Vec::len);
            assert!(axis.firsts.iter().all(|first| first + axis.taps <= cells));
            assert!(axis.places.iter().flatten().all(|&place| place < old));
        }
    }
}

#[test]
fn vector_instructions_change_nothing() {
    let row = noise(8 * 1000, 7);
    for (old, new) in [(1000, 750), (1000, 251), (1000, 1999), (333, 130), (20, 9), (1000, 12)] {
        for (components, filter) in
            [(1, Filter::Area), (2, Filter::Area), (1, Filter::Lanczos), (2, Filter::Bicubic)]
        {
            let step = old as f64 / new as f64;
            let course = Course { count: new, origin: step / 2.0 + 0.1, step, seen: 0..old };
            let across = Across::new(Axis::new(&course, filter), components);
            let len = old * components;
            let pair = Course { count: 1, origin: 1.0, step: 2.0, seen: 0..2 };
            for depth in [Depth::Eight, Depth::Low, Depth::High] {
                let down = Down { depth, axis: Axis::new(&pair, filter) };
                let [mut sums, mut plain, mut picked] = [(); 3].map(|()| vec![0; len + SLACK]);
                down.run(0, (&row, 4000), &mut sums[..len]);
                down.run_plainly(0, (&row, 4000), &mut plain[..len]);
                assert_eq!(sums, plain);
                let mut rows = [0, 1].map(|_| vec![0; (new * components).next_multiple_of(LANES)]);
                across.run(&sums, &mut picked, &mut rows[0]);
                let of = if across.places.is_some() { &picked } else { &sums };
                across.run_plainly(of, &mut rows[1]);
                assert_eq!(rows[0], rows[1], "{old} → {new}, {components} {filter:?} {depth:?}");
            }
        }
    }
}

#[test]
fn white_stays_white_and_black_black() {
    let old = Size::new(320, 180);
    for new in [Size::new(107, 60), Size::new(640, 360), Size::new(318, 190), Size::new(9, 4)] {
        for value in [0, 16, 235, 255] {
            let plane = |(stride_bytes, rows): (usize, usize)| frame::Plane {
                data: Bytes::from(vec![value; stride_bytes * rows]),
                stride_bytes,
            };
            let planes = PixelFormat::Nv12.plane_shapes(old).into_iter().map(plane).collect();
            let picture = Picture::new(PixelFormat::Nv12, old, Color::CANVAS, planes).unwrap();
            let draft = resize(&task(PixelFormat::Nv12, old, new), &picture);
            let widths = [new.width_px, 2 * new.chroma().width_px].map(|width| width as usize);
            for ((plane, stride), width) in draft.planes().zip(widths) {
                let is_even = |row: &[u8]| row[..width].iter().all(|&code| code == value);
                assert!(plane.chunks(stride).all(is_even), "{new:?} {value}");
            }
        }
    }
}
