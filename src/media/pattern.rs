//! The test pattern: colour bars, a frame number that machines read, a flash and a beep each second.
//!
//! Owns the drawing and its decoder. Must not know who plays it. Invariant: frame n of a pattern is always the
//! same picture and the same samples.
//!
//! **The code strip.** The picture is a grid of 18 columns × 15 rows. Rows 1–3 of columns 1–16 are 48 cells,
//! each white (luma 235) or black (16) without colour, read row by row: `1010`, the frame number (32 bits, most
//! significant first), its CRC-8 (polynomial 0x07, start 0xFF, over the four bytes), `0101`. Everything round the
//! strip is dark. It survives scaling to cells of ~6 px and H.264 at low bit rates.
//!
//! **Flash and beep.** The first two frames at or after each whole second of the pattern's timeline are white
//! below the strip; 40 ms of a 1 kHz sine at −12 dBFS begin exactly with the first of them.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use super::pool::BufferPool;
use crate::frame::{AudioBlock, Color, Picture, PixelFormat, Plane, Size, VideoFrame};
use crate::limits::MAX_VIDEO_PIXELS;
use crate::time::{FrameRate, NS_PER_S, SAMPLE_RATE};

const COLUMNS: u32 = 18;
const ROWS: u32 = 15;
const CELL_COLUMNS: u32 = 16;
const CELL_ROWS: u32 = 3;
const CELLS: usize = 48;
const WHITE: u8 = 235;
const BLACK: u8 = 16;
const FLASH_FRAMES: u64 = 2;
const BEEP_SAMPLES: u64 = 40 * SAMPLE_RATE as u64 / 1000;
const BEEP_HZ: f64 = 1000.0;
const BEEP_PEAK: f64 = 0.25;
/// BT.709 limited code values of the 75 % bars: white, yellow, cyan, green, magenta, red, blue, black.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [168, 44, 136],
    [145, 147, 44],
    [133, 63, 52],
    [63, 193, 204],
    [51, 109, 212],
    [28, 212, 120],
    [16, 128, 128],
];

/// Size and rate of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternSpec {
    /// Size in pixels; even, 160 × 90 to 4096 × 4096 pixels in all.
    pub size: Size,
    /// Frames per second.
    pub rate: FrameRate,
}

impl FromStr for PatternSpec {
    type Err = String;

    /// Parses `pattern:[WIDTHxHEIGHT][@RATE]`; 1280x720 and 30 are the defaults.
    fn from_str(text: &str) -> Result<PatternSpec, String> {
        let rest = text
            .strip_prefix("pattern:")
            .ok_or_else(|| format!("{text:?} does not begin with \"pattern:\""))?;
        let (size, rate) = match rest.split_once('@') {
            Some((size, rate)) => (size, rate.parse()?),
            None => (rest, FrameRate::FPS_30),
        };
        if size.is_empty() {
            return Ok(PatternSpec { size: Size::new(1280, 720), rate });
        }
        let size = size
            .split_once('x')
            .and_then(|(w, h)| Some(Size::new(w.parse().ok()?, h.parse().ok()?)))
            .ok_or_else(|| format!("{size:?} in {text:?} is not WIDTHxHEIGHT"))?;
        let pixels = u64::from(size.width_px) * u64::from(size.height_px);
        let even = size.width_px % 2 == 0 && size.height_px % 2 == 0;
        if !even || size.width_px < 160 || size.height_px < 90 || pixels > MAX_VIDEO_PIXELS {
            return Err(format!(
                "a pattern of {}x{} is not even, or too small or large",
                size.width_px, size.height_px
            ));
        }
        Ok(PatternSpec { size, rate })
    }
}

/// Draws a pattern frame by frame.
pub struct Pattern {
    spec: PatternSpec,
    bars: Background,
    flash: Background,
    pool: BufferPool,
}

/// What does not change: luma to copy, chroma to share.
struct Background {
    luma: Vec<u8>,
    chroma: [Bytes; 2],
}

impl Background {
    fn new(size: Size, flash: Flash) -> Background {
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        let strip_end = cell_edge(size.height_px, ROWS, CELL_ROWS + 2) as usize;
        let at = |x: usize, y: usize, width: usize, strip_end: usize| match flash {
            _ if y < strip_end => [BLACK, 128, 128],
            Flash::On => [WHITE, 128, 128],
            Flash::Off => BARS[x * BARS.len() / width],
        };
        let mut luma = Vec::with_capacity(width * height);
        for y in 0..height {
            luma.extend((0..width).map(|x| at(x, y, width, strip_end)[0]));
        }
        let plane = |component: usize| {
            let mut plane = Vec::with_capacity(width * height / 4);
            for y in 0..height / 2 {
                let row = (0..width / 2).map(|x| at(x, y, width / 2, strip_end.div_ceil(2)));
                plane.extend(row.map(|yuv| yuv[component]));
            }
            Bytes::from(plane)
        };
        Background { luma, chroma: [plane(1), plane(2)] }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flash {
    On,
    Off,
}

impl Pattern {
    /// A pattern ready to draw.
    pub fn new(spec: PatternSpec) -> Pattern {
        Pattern {
            spec,
            bars: Background::new(spec.size, Flash::Off),
            flash: Background::new(spec.size, Flash::On),
            pool: BufferPool::default(),
        }
    }

    /// Picture and samples of frame `n`; its time is `n / rate`.
    pub fn frame(&self, n: u64) -> (VideoFrame, AudioBlock) {
        let pts_ns = self.spec.rate.tick_ns(n).cast_signed();
        let picture = Arc::new(self.picture(n));
        (VideoFrame { pts_ns, picture, scaled: vec![] }, self.sound(n))
    }

    /// The frame in which second `n`'s flash begins, and how far into it frame `n` is.
    fn flash_begin(&self, n: u64) -> u64 {
        let rate = self.spec.rate;
        let first = |second: u64| {
            let at = second * NS_PER_S;
            let tick = rate.tick_at(at);
            if rate.tick_ns(tick) < at { tick + 1 } else { tick }
        };
        let second = rate.tick_ns(n) / NS_PER_S;
        // Rounding down may put the first frame of a second a nanosecond before it.
        [second + 1, second].map(first).into_iter().find(|&begin| begin <= n).unwrap_or(0)
    }

    fn picture(&self, n: u64) -> Picture {
        let size = self.spec.size;
        let flash = n - self.flash_begin(n) < FLASH_FRAMES;
        let background = if flash { &self.flash } else { &self.bars };
        let mut buffer = self.pool.take(background.luma.len());
        let width = size.width_px as usize;
        let luma = &mut buffer.bytes_mut()[..background.luma.len()];
        luma.copy_from_slice(&background.luma);
        for (cell, white) in cells_of(n as u32).into_iter().enumerate() {
            let (column, row) = place_of(cell);
            let x = cell_edge(size.width_px, COLUMNS, column) as usize;
            let x_end = cell_edge(size.width_px, COLUMNS, column + 1) as usize;
            let y = cell_edge(size.height_px, ROWS, row) as usize;
            let y_end = cell_edge(size.height_px, ROWS, row + 1) as usize;
            for line in luma.chunks_exact_mut(width).take(y_end).skip(y) {
                line[x..x_end].fill(if white { WHITE } else { BLACK });
            }
        }
        let len = background.luma.len();
        let [u, v] = background.chroma.clone();
        let planes =
            [(Bytes::from_owner(buffer).slice(..len), width), (u, width / 2), (v, width / 2)]
                .map(|(data, stride_bytes)| Plane { data, stride_bytes });
        Picture::new(PixelFormat::I420, size, Color::CANVAS, planes.into())
            .expect("planes made to measure")
    }

    fn sound(&self, n: u64) -> AudioBlock {
        let rate = self.spec.rate;
        let first = rate.sample_at(n);
        let beep = rate.sample_at(self.flash_begin(n));
        let sample = |i: u64| {
            let into = first + i - beep;
            if into >= BEEP_SAMPLES {
                return [0.0; 2];
            }
            let phase = std::f64::consts::TAU * BEEP_HZ * into as f64 / f64::from(SAMPLE_RATE);
            [(phase.sin() * BEEP_PEAK) as f32; 2]
        };
        let samples = (0..rate.samples_in(n) as u64).map(sample).collect();
        let pts_ns = u128::from(first) * u128::from(NS_PER_S) / u128::from(SAMPLE_RATE);
        AudioBlock { pts_ns: pts_ns as i64, samples }
    }
}

/// Left (top) edge of column (row) `index` of `count` over `length` pixels.
fn cell_edge(length: u32, count: u32, index: u32) -> u32 {
    length * index / count
}

/// Grid column and row of a cell.
fn place_of(cell: usize) -> (u32, u32) {
    let cell = cell as u32;
    (1 + cell % CELL_COLUMNS, 1 + cell / CELL_COLUMNS)
}

fn crc8(bytes: [u8; 4]) -> u8 {
    bytes.iter().fold(0xFF, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { (crc << 1) ^ 0x07 } else { crc << 1 })
    })
}

fn cells_of(number: u32) -> [bool; CELLS] {
    let word = 0b1010_u64 << 44
        | u64::from(number) << 12
        | u64::from(crc8(number.to_be_bytes())) << 4
        | 0b0101;
    std::array::from_fn(|cell| word >> (CELLS - 1 - cell) & 1 == 1)
}

/// A rectangle of a picture in which a pattern is shown whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left edge, pixels.
    pub x_px: u32,
    /// Top edge, pixels.
    pub y_px: u32,
    /// Extent.
    pub size: Size,
}

impl Area {
    /// All of a picture.
    pub fn whole(picture: &Picture) -> Area {
        Area { x_px: 0, y_px: 0, size: picture.size() }
    }

    fn is_inside(&self, size: Size) -> bool {
        self.size.width_px >= COLUMNS
            && self.size.height_px >= ROWS
            && u64::from(self.x_px) + u64::from(self.size.width_px) <= u64::from(size.width_px)
            && u64::from(self.y_px) + u64::from(self.size.height_px) <= u64::from(size.height_px)
    }
}

/// Mean luma of the middle half of the pattern's rectangle between these grid lines.
fn mean_luma(
    picture: &Picture,
    area: Area,
    [left, right]: [u32; 2],
    [top, bottom]: [u32; 2],
) -> f32 {
    let middle = |length: u32, count: u32, from: u32, to: u32| {
        let (begin, end) = (cell_edge(length, count, from), cell_edge(length, count, to));
        let margin = (end - begin) / 4;
        (begin + margin) as usize..(end - margin).max(begin + margin + 1) as usize
    };
    let columns = middle(area.size.width_px, COLUMNS, left, right);
    let rows = middle(area.size.height_px, ROWS, top, bottom);
    let plane = &picture.planes()[0];
    let mut sum = 0_u64;
    for row in rows.clone() {
        let begin = (area.y_px as usize + row) * plane.stride_bytes + area.x_px as usize;
        let line = &plane.data[begin + columns.start..begin + columns.end];
        sum += line.iter().map(|&value| u64::from(value)).sum::<u64>();
    }
    sum as f32 / (rows.len() * columns.len()) as f32
}

/// Reads the frame number of a pattern shown in `area`; `None` when there is none, or it is not certain (sync
/// cells, contrast or check sum do not agree, e.g. in a mix of two frames).
pub fn read_frame_number(picture: &Picture, area: Area) -> Option<u64> {
    const CONTRAST: f32 = 60.0;
    if !area.is_inside(picture.size()) {
        return None;
    }
    let levels: [f32; CELLS] = std::array::from_fn(|cell| {
        let (column, row) = place_of(cell);
        mean_luma(picture, area, [column, column + 1], [row, row + 1])
    });
    let sync: [usize; 8] = [0, 1, 2, 3, 44, 45, 46, 47];
    let expected = cells_of(0);
    let (mut darkest_white, mut lightest_black) = (255.0_f32, 0.0_f32);
    for cell in sync {
        match expected[cell] {
            true => darkest_white = darkest_white.min(levels[cell]),
            false => lightest_black = lightest_black.max(levels[cell]),
        }
    }
    if darkest_white - lightest_black < CONTRAST {
        return None;
    }
    let threshold = (darkest_white + lightest_black) / 2.0;
    let bits = |range: std::ops::Range<usize>| {
        levels[range].iter().fold(0_u32, |bits, &level| bits << 1 | u32::from(level > threshold))
    };
    let number = bits(4..36);
    (bits(36..44) == u32::from(crc8(number.to_be_bytes()))).then_some(u64::from(number))
}

/// Whether a pattern shown in `area` is in its flash.
pub fn is_flash(picture: &Picture, area: Area) -> bool {
    // Between the bars' brightest mix and white.
    const LIT: f32 = 185.0;
    area.is_inside(picture.size()) && mean_luma(picture, area, [2, 16], [6, 14]) > LIT
}

#[cfg(test)]
#[path = "tests/pattern.rs"]
mod tests;
