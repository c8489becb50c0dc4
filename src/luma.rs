//! How bright a picture is, and since when a source is black or frozen.
//!
//! Owns the grid that pictures are measured by and what is concluded from it. Must not know who measures or shows. Invariant:
//! a grid depends on the picture alone, whether the CPU ([`LumaGrid::of`]) or a shader (luma.wgsl) sums it up.

use std::collections::BTreeMap;

use crate::frame::{Picture, PixelFormat, Range, Size};
use crate::ids::InputKey;
use crate::limits::{BLACK_LUMA, BLACK_SHARE, FROZEN_CHANGE};

/// Cells of a grid, across and down.
pub const CELLS: [u32; 2] = [32, 18];
/// Samples of a cell along each side.
pub const CELL_SIDE: u32 = 4;
/// Cells of a grid.
pub const CELL_COUNT: usize = (CELLS[0] * CELLS[1]) as usize;

/// The luma of a picture, cell by cell.
#[derive(Clone, Debug, PartialEq)]
pub struct LumaGrid {
    /// 0 black – 1 white; outside of it where the picture is blacker or whiter.
    cells: Vec<f32>,
}

impl LumaGrid {
    /// Of sums of samples, row by row, of a picture of this format and range.
    pub fn from_sums(sums: &[u32], format: PixelFormat, range: Range) -> LumaGrid {
        let samples = (CELL_SIDE * CELL_SIDE * format.sample_per_code()) as f32;
        let (black, white) = match range {
            Range::Limited => (16.0, 235.0),
            Range::Full => (0.0, 255.0),
        };
        let level = |sum: &u32| (*sum as f32 / samples - black) / (white - black);
        LumaGrid { cells: sums.iter().map(level).collect() }
    }

    /// Of a picture, measured here: some 9,000 samples of it, whatever its size.
    pub fn of(picture: &Picture) -> LumaGrid {
        LumaGrid::from_sums(&sums(picture), picture.format(), picture.color().range)
    }

    /// Mean luma, 0 black – 1 white.
    pub fn mean(&self) -> f32 {
        self.cells.iter().sum::<f32>() / self.cells.len().max(1) as f32
    }

    fn is_black(&self) -> bool {
        let dark = self.cells.iter().filter(|cell| **cell < BLACK_LUMA).count();
        dark as f32 >= BLACK_SHARE * self.cells.len() as f32
    }

    fn is_like(&self, other: &LumaGrid) -> bool {
        let change = |(a, b): (&f32, &f32)| (a - b).abs() <= FROZEN_CHANGE;
        self.cells.iter().zip(&other.cells).all(change)
    }
}

/// The place of sample `index` of so many along a side.
fn place(index: u32, samples: u32, side_px: u32) -> usize {
    ((2 * index + 1) * side_px / (2 * samples)) as usize
}

fn sums(picture: &Picture) -> [u32; CELL_COUNT] {
    let Size { width_px, height_px } = picture.size();
    let (plane, bytes) = (&picture.planes()[0], picture.format().sample_bytes());
    let [columns, rows] = CELLS.map(|cells| cells * CELL_SIDE);
    let mut sums = [0; CELL_COUNT];
    for y in 0..rows {
        let row = &plane.data[place(y, rows, height_px) * plane.stride_bytes..];
        for x in 0..columns {
            let at = place(x, columns, width_px) * bytes;
            let sample = match bytes {
                1 => u32::from(row[at]),
                _ => u32::from(u16::from_le_bytes([row[at], row[at + 1]])),
            };
            sums[(y / CELL_SIDE * CELLS[0] + x / CELL_SIDE) as usize] += sample;
        }
    }
    sums
}

/// What is told of a source or a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LumaStatus {
    /// Mean luma of the latest picture, 0 black – 1 white.
    pub mean: f32,
    /// How long it has been black, s; 0 when it is not.
    pub black_s: f64,
    /// How long no picture has differed noticeably from what it looked like when it last did, s.
    pub frozen_s: f64,
}

/// Watches one source or scene.
#[derive(Clone, Debug)]
struct Watch {
    /// What it is compared to: what it looked like when it last changed.
    grid: LumaGrid,
    mean: f32,
    black_since_ns: Option<u64>,
    changed_ns: u64,
}

impl Watch {
    fn new(grid: &LumaGrid, now_ns: u64) -> Watch {
        Watch {
            grid: grid.clone(),
            mean: grid.mean(),
            black_since_ns: grid.is_black().then_some(now_ns),
            changed_ns: now_ns,
        }
    }

    fn see(&mut self, grid: &LumaGrid, now_ns: u64) {
        self.mean = grid.mean();
        self.black_since_ns = grid.is_black().then(|| self.black_since_ns.unwrap_or(now_ns));
        if !grid.is_like(&self.grid) {
            self.grid = grid.clone();
            self.changed_ns = now_ns;
        }
    }

    fn status(&self, now_ns: u64) -> LumaStatus {
        let seconds = |since_ns: u64| now_ns.saturating_sub(since_ns) as f64 / 1e9;
        LumaStatus {
            mean: self.mean,
            black_s: self.black_since_ns.map_or(0.0, seconds),
            frozen_s: seconds(self.changed_ns),
        }
    }
}

/// Watches a scene and the sources that it shows.
#[derive(Clone, Debug, Default)]
pub struct Lookout {
    scene: Option<Watch>,
    sources: BTreeMap<InputKey, Watch>,
}

impl Lookout {
    /// Takes in a picture of the scene and what is new of its sources.
    pub fn see(&mut self, now_ns: u64, scene: &LumaGrid, sources: &[(InputKey, LumaGrid)]) {
        match &mut self.scene {
            Some(watch) => watch.see(scene, now_ns),
            None => self.scene = Some(Watch::new(scene, now_ns)),
        }
        for (input, grid) in sources {
            self.see_source(now_ns, *input, grid);
        }
    }

    /// Takes in a picture of a source.
    pub fn see_source(&mut self, now_ns: u64, input: InputKey, grid: &LumaGrid) {
        self.sources
            .entry(input)
            .and_modify(|watch| watch.see(grid, now_ns))
            .or_insert_with(|| Watch::new(grid, now_ns));
    }

    /// Forgets the sources that are no longer shown: nobody looks at their pictures.
    pub fn keep(&mut self, is_shown: impl Fn(InputKey) -> bool) {
        self.sources.retain(|input, _| is_shown(*input));
    }

    /// How the scene fares; none before its first picture.
    pub fn scene(&self, now_ns: u64) -> Option<LumaStatus> {
        self.scene.as_ref().map(|watch| watch.status(now_ns))
    }

    /// How a source fares; none when it is not shown.
    pub fn source(&self, input: InputKey, now_ns: u64) -> Option<LumaStatus> {
        self.sources.get(&input).map(|watch| watch.status(now_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(640, 360);
    const S: u64 = 1_000_000_000;

    fn flat(y: u8) -> LumaGrid {
        LumaGrid::of(&Picture::flat(SIZE, [y, 128, 128]))
    }

    /// A flat grid but for one cell.
    fn spotted(y: u8, spot: f32) -> LumaGrid {
        let mut grid = flat(y);
        grid.cells[77] = spot;
        grid
    }

    #[test]
    fn flat_pictures_have_the_luma_of_their_code() {
        for (y, mean) in [(16, 0.0), (235, 1.0), (126, 110.0 / 219.0), (0, -16.0 / 219.0)] {
            assert!((flat(y).mean() - mean).abs() < 1e-4, "{y}: {}", flat(y).mean());
        }
        let sums = [1023 * 16; CELL_COUNT];
        let full = LumaGrid::from_sums(&sums, PixelFormat::I420P10, Range::Full);
        assert!((full.mean() - 1023.0 / 4.0 / 255.0).abs() < 1e-4);
    }

    #[test]
    fn black_and_frozen_are_counted_from_when_they_began() {
        // What is seen at each second, and what is told two seconds after the last: black and frozen for so long.
        for (grids, black_s, frozen_s) in [
            (vec![flat(16)], 2.0, 2.0),
            (vec![flat(100), flat(100), flat(16), flat(16)], 3.0, 3.0),
            (vec![flat(16), flat(16), flat(100)], 0.0, 2.0),
            // A cell in 576 that is lit leaves a picture black, and is a change.
            (vec![flat(16), spotted(16, 0.9)], 3.0, 2.0),
            // Less than is noticed, once; and many times until it is.
            (vec![spotted(60, 0.5), spotted(60, 0.5005)], 0.0, 3.0),
            (vec![spotted(60, 0.5), spotted(60, 0.5008), spotted(60, 0.5016)], 0.0, 2.0),
        ] {
            let mut lookout = Lookout::default();
            for (second, grid) in (0..).zip(&grids) {
                lookout.see(second * S, grid, &[(InputKey(3), grid.clone())]);
            }
            let now_ns = (grids.len() as u64 + 1) * S;
            let scene = lookout.scene(now_ns).unwrap();
            assert_eq!((scene.black_s, scene.frozen_s), (black_s, frozen_s), "{grids:?}");
            assert_eq!(lookout.source(InputKey(3), now_ns), Some(scene));
            lookout.keep(|input| input != InputKey(3));
            assert_eq!(lookout.source(InputKey(3), now_ns), None);
        }
    }
}
