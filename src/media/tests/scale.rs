//! The prescaler against a twin that computes each sample by itself, as the shaders do.

use bytes::Bytes;

use super::*;
use crate::frame::{Matrix, Plane, Range};
use crate::shot::{Affine, Crop, Mirror};

/// How samples between samples are found.
#[derive(Clone, Copy, PartialEq)]
enum Kernel {
    Area,
    Bicubic,
}

/// Samples of one channel in code values of 8 bits.
struct Grid {
    width: usize,
    height: usize,
    samples: Vec<f64>,
}

impl Grid {
    /// Plane `index` of a picture; `lane` of interleaved samples.
    fn of(picture: &Picture, index: usize, lane: usize) -> Grid {
        let (format, plane) = (picture.format(), &picture.planes()[index]);
        let size = if index == 0 { picture.size() } else { format.chroma_size(picture.size()) };
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        let step = if index > 0 { 4 - format.plane_count() } else { 1 };
        let sample = |x: usize, y: usize| {
            let at = y * plane.stride_bytes + (x * step + lane) * format.sample_bytes();
            let low = u32::from(plane.data[at]);
            let value = if format.sample_bytes() == 2 {
                low + 256 * u32::from(plane.data[at + 1])
            } else {
                low
            };
            f64::from(value) / f64::from(format.sample_per_code())
        };
        let samples = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Grid { width, height, samples: samples.map(|(x, y)| sample(x, y)).collect() }
    }

    /// Luma, U and V.
    fn all(picture: &Picture) -> [Grid; 3] {
        let interleaved = picture.format().plane_count() == 2;
        let v = if interleaved { (1, 1) } else { (2, 0) };
        [(0, 0), (1, 0), v].map(|(index, lane)| Grid::of(picture, index, lane))
    }

    fn at(&self, x: i64, y: i64) -> f64 {
        let x = x.clamp(0, self.width as i64 - 1) as usize;
        let y = y.clamp(0, self.height as i64 - 1) as usize;
        self.samples[y * self.width + x]
    }

    /// The value at a position (sample i is centred at i + 0.5), where a new sample is as large as `reach`.
    fn read(&self, at: [f64; 2], reach: [f64; 2], kernel: Kernel) -> f64 {
        let taps = |axis: usize| -> Vec<(i64, f64)> {
            let at = at[axis];
            match kernel {
                Kernel::Area => {
                    let reach = reach[axis].max(1.0);
                    let (begin, end) = (at - reach / 2.0, at + reach / 2.0);
                    let covered = |i: f64| ((i + 1.0).min(end) - i.max(begin)) / reach;
                    (begin.floor() as i64..end.ceil() as i64)
                        .map(|i| (i, covered(i as f64)))
                        .collect()
                }
                Kernel::Bicubic => {
                    let low = (at - 0.5).floor();
                    (-1..3).map(|i| (low as i64 + i, cubic(at - 0.5 - low - i as f64))).collect()
                }
            }
        };
        let (across, down) = (taps(0), taps(1));
        let row =
            |y: i64| -> f64 { across.iter().map(|&(x, weight)| weight * self.at(x, y)).sum() };
        down.iter().map(|&(y, weight)| weight * row(y)).sum()
    }
}

fn cubic(distance: f64) -> f64 {
    const C: f64 = 0.6;
    let d = distance.abs();
    match d {
        0.0..1.0 => ((2.0 - C) * d + C - 3.0) * d * d + 1.0,
        1.0..2.0 => -C * (((d - 5.0) * d + 8.0) * d - 4.0),
        _ => 0.0,
    }
}

/// What a shot of a picture should be: Y, U and V.
fn twin(picture: &Picture, shot: Shot) -> [Vec<f64>; 3] {
    let [luma, u, v] = Grid::all(picture);
    let (size, format) = (picture.size(), picture.format());
    let map: Affine = shot.source_from_shot(size, picture.turn());
    let reach = map.reach();
    let shares = format.subsampling().map(f64::from);
    let site = chroma_px(picture.site(), format);
    let to_chroma = |at: [f64; 2]| -> [f64; 2] {
        std::array::from_fn(|axis| (at[axis] - 0.5 - site[axis]) / shares[axis] + 0.5)
    };
    let larger = |reach: [f64; 2]| reach.iter().any(|&r| r > 1.0);
    let kernel = if larger(reach) { Kernel::Area } else { Kernel::Bicubic };
    let chroma_reach: [f64; 2] = std::array::from_fn(|axis| 2.0 * reach[axis] / shares[axis]);
    let chroma_kernel = if larger(chroma_reach) { Kernel::Area } else { Kernel::Bicubic };
    let [to_y, to_u, to_v] =
        canvas_from(picture.color(), format.depth_bits()).map(|row| row.map(f64::from));
    let sum = |row: [f64; 4], [y, u, v]: [f64; 3]| row[0] * y + row[1] * u + row[2] * v + row[3];
    let (width, height) = (shot.size.width_px, shot.size.height_px);
    let positions = |step: u32| {
        (0..height).step_by(step as usize).flat_map(move |y| {
            (0..width).step_by(step as usize).map(move |x| [x, y].map(f64::from))
        })
    };
    let half: [f64; 2] = std::array::from_fn(|axis| chroma_reach[axis] / 2.0);
    let y = positions(1).map(|[x, y]| {
        let at = map.apply([x + 0.5, y + 0.5]);
        let chroma = [&u, &v].map(|grid| grid.read(to_chroma(at), half, Kernel::Area));
        sum(to_y, [luma.read(at, reach, kernel), chroma[0], chroma[1]])
    });
    let chroma = |row: [f64; 4]| {
        let at = positions(2).map(|[x, y]| to_chroma(map.apply([x + 0.5, y + 1.0])));
        let read = |grid: &Grid, at| grid.read(at, chroma_reach, chroma_kernel);
        at.map(|at| sum(row, [0.0, read(&u, at), read(&v, at)])).collect()
    };
    [y.collect(), chroma(to_u), chroma(to_v)]
}

/// A picture as cameras take them: detail down to a few pixels, a little noise, colours that change more slowly.
fn scene(format: PixelFormat, size: Size, color: Color, site: ChromaSite) -> Picture {
    let mut noise = 1_u32;
    let mut value = |channel: usize, x: f64, y: f64| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = f64::from(noise >> 24) / 64.0 - 2.0;
        let wave = |fx: f64, fy: f64| (fx * x + fy * y + channel as f64).sin();
        if channel == 0 {
            125.0 + 35.0 * wave(0.05, 0.02) + 25.0 * wave(0.4, 0.3) + 15.0 * wave(-0.5, 0.9) + grain
        } else {
            128.0 + 50.0 * wave(0.03, 0.05) + 20.0 * wave(0.2, -0.15)
        }
    };
    let shares = format.subsampling().map(f64::from);
    let [site_x, site_y] = chroma_px(site, format);
    let interleaved = format.plane_count() == 2;
    let mut planes = vec![];
    for (index, (row_bytes, rows)) in format.plane_shapes(size).into_iter().enumerate() {
        let lanes = if interleaved && index == 1 { 2 } else { 1 };
        let columns = row_bytes / format.sample_bytes();
        let mut data = vec![];
        for y in 0..rows {
            for i in 0..columns {
                let (x, y, channel) = ((i / lanes) as f64, y as f64, index + i % lanes);
                let (x, y) = match index {
                    0 => (x, y),
                    _ => (x * shares[0] + site_x, y * shares[1] + site_y),
                };
                let sample = value(channel, x, y) * f64::from(format.sample_per_code());
                // P010 keeps its lowest bits empty.
                let step = if format == PixelFormat::P010 { 64.0 } else { 1.0 };
                let sample = ((sample / step).round() * step) as u16;
                data.extend(&sample.to_le_bytes()[..format.sample_bytes()]);
            }
        }
        planes.push(Plane { data: Bytes::from(data), stride_bytes: row_bytes });
    }
    Picture::new(format, size, color, planes).unwrap().with_site(site)
}

fn frame(picture: Picture) -> VideoFrame {
    VideoFrame { pts_ns: 0, picture: Arc::new(picture), scaled: vec![] }
}

/// Peak signal to noise, dB.
fn psnr(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let squares: f64 = got.iter().zip(want).map(|(a, b)| (a - b.clamp(0.0, 255.0)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * want.len() as f64 / squares.max(1e-9)).log10()
}

#[track_caller]
fn check(picture: Picture, shot: Shot, case: &str) {
    let mut frame = frame(picture);
    let mut prescaler = Prescaler::default();
    prescaler.fill(&mut frame, &[shot]);
    let scaled = frame.ready(shot).unwrap_or_else(|| panic!("{case}: not scaled"));
    assert_eq!(scaled.size(), shot.size, "{case}");
    assert!(scaled.is_like_canvas(), "{case}");
    let want = twin(&frame.picture, shot);
    for ((channel, got), want) in ["Y", "U", "V"].iter().zip(Grid::all(scaled)).zip(&want) {
        let db = psnr(&got.samples, want);
        assert!(db >= 40.0, "{case}: {channel} is {db:.1} dB near");
    }
}

const SOURCE: Size = Size::new(320, 180);
const LARGER: Size = Size::new(426, 240);
const SMALLER: Size = Size::new(146, 98);

#[test]
fn every_format_is_scaled_as_by_the_shaders() {
    for format in PixelFormat::ALL {
        for site in [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft] {
            for size in [SOURCE, SMALLER, LARGER] {
                let picture = scene(format, SOURCE, Color::CANVAS, site);
                check(picture, size.into(), &format!("{format:?} {site:?} {size:?}"));
            }
        }
    }
}

#[test]
fn every_way_up_is_scaled_as_by_the_shaders() {
    let crop = Crop::new([0.11, 0.0, 0.23, 0.4]);
    for quarters in 0..4 {
        for mirrored in [false, true] {
            for (horizontal, crop) in
                [(false, Crop::default()), (true, crop), (false, crop), (true, Crop::default())]
            {
                let turn = Turn::clockwise(quarters);
                let turn = if mirrored { turn.of_mirrored() } else { turn };
                let mirror = Mirror { horizontal, vertical: quarters == 1 };
                for size in [SMALLER, LARGER] {
                    let picture = scene(PixelFormat::I420, SOURCE, Color::CANVAS, ChromaSite::Left);
                    let shot = Shot { crop, mirror, size };
                    check(picture.with_shape(turn, (1, 1)), shot, &format!("{turn:?} {shot:?}"));
                }
            }
        }
    }
}

#[test]
fn every_colour_becomes_the_canvas_colour_as_by_the_shaders() {
    for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
        for range in [Range::Limited, Range::Full] {
            for size in [SOURCE, SMALLER, LARGER] {
                let color = Color { matrix, range };
                for format in [PixelFormat::Nv12, PixelFormat::I444P10] {
                    let picture = scene(format, SOURCE, color, ChromaSite::Left);
                    check(picture, size.into(), &format!("{color:?} {format:?} {size:?}"));
                }
            }
        }
    }
}

#[test]
fn pure_colours_have_the_codes_of_the_standards() {
    let size = Size::new(64, 36);
    // Pure red of each matrix and range is BT.709's.
    let table = [
        (Color { matrix: Matrix::Bt601, range: Range::Limited }, [81, 90, 240]),
        (Color { matrix: Matrix::Bt601, range: Range::Full }, [76, 85, 255]),
        (Color { matrix: Matrix::Bt709, range: Range::Full }, [54, 99, 255]),
        (Color { matrix: Matrix::Bt2020, range: Range::Limited }, [74, 97, 240]),
    ];
    for (color, values) in table {
        let flat = Picture::flat(size, values);
        let picture = Picture::new(PixelFormat::I420, size, color, flat.planes().to_vec()).unwrap();
        let mut frame = frame(picture);
        Prescaler::default().fill(&mut frame, &[size.into()]);
        for (got, want) in Grid::all(&frame.scaled[0].picture).iter().zip([63.0, 102.0, 240.0]) {
            let worst = got.samples.iter().map(|code| (code - want).abs()).fold(0.0, f64::max);
            assert!(worst <= 1.0, "{color:?}: {worst} off {want}");
        }
    }
}

#[test]
fn only_what_differs_is_scaled() {
    let size = Size::new(64, 36);
    let half = Size::new(32, 18);
    let mut prescaler = Prescaler::default();
    let mut native = frame(Picture::flat(size, [100, 90, 200]));
    prescaler.fill(&mut native, &[size, half, half].map(Shot::from));
    assert_eq!(native.scaled.len(), 1);
    assert_eq!(native.scaled[0].picture.size(), half);
    assert_eq!(native.scaled[0].picture.format(), PixelFormat::Nv12);
    let codes = Grid::all(&native.scaled[0].picture).map(|grid| grid.at(16, 9));
    assert_eq!(codes, [100.0, 90.0, 200.0]);
}

#[test]
fn buffers_return_to_the_pool() {
    let shots = [Shot::from(Size::new(32, 18)), {
        let mirror = Mirror { horizontal: true, vertical: false };
        Shot { mirror, ..Size::new(32, 18).into() }
    }];
    let mut prescaler = Prescaler::default();
    let mut addresses = None;
    for _ in 0..3 {
        let color = Color { matrix: Matrix::Bt601, range: Range::Full };
        let mut frame = frame(scene(PixelFormat::I420, SOURCE, color, ChromaSite::Left));
        prescaler.fill(&mut frame, &shots);
        let now: Vec<_> =
            frame.scaled.iter().map(|s| s.picture.planes()[0].data.as_ptr() as usize).collect();
        assert_eq!(now.len(), 2);
        assert_eq!(addresses.get_or_insert_with(|| now.clone()), &now);
    }
}
