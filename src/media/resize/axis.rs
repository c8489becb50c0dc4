//! What the new samples of one axis are made of.
//!
//! Must not know planes or how sums are made. Invariant: the shares of a new sample are together exactly 1, and all that they
//! are of lies in what is seen.

use std::f64::consts::PI;
use std::ops::Range;

/// How samples between samples are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// The mean of what a new sample covers, of one old sample at least.
    Area,
    /// By 4 neighbours: the cubic with B = 0, C = 0.6.
    Bicubic,
    /// By 6 neighbours.
    Lanczos,
}

/// Where new samples lie among old ones, of which number i reaches from i to i + 1.
#[derive(Clone, Debug)]
pub(super) struct Course {
    /// New samples.
    pub(super) count: usize,
    /// Where the middle of the first one lies.
    pub(super) origin: f64,
    /// From one middle to the next.
    pub(super) step: f64,
    /// Old samples that may be read; beyond them the outermost goes on.
    pub(super) seen: Range<usize>,
}

/// Old samples that a mean is taken of at most: of more, one of each cell stands for the cell.
const MAX_CELLS: f64 = 16.0;
/// What shares are whole numbers of.
pub(super) const WHOLE: i32 = 1 << 14;

/// What each new sample is made of: `taps` old ones from its first on.
pub(super) struct Axis {
    pub(super) taps: usize,
    pub(super) firsts: Vec<usize>,
    /// In [`WHOLE`]ths, `taps` for each new sample.
    pub(super) shares: Vec<i16>,
    /// Where cells stand for their samples: of which old one each cell is, counted from the first that is seen.
    pub(super) places: Option<Vec<usize>>,
}

impl Axis {
    pub(super) fn new(course: &Course, filter: Filter) -> Axis {
        let Course { count, origin, step, ref seen } = *course;
        // As exact as the shaders' parameters: how wide a cell is leaps where this passes a multiple of 16.
        let reach = f64::from(step as f32).max(1.0);
        let cell = if filter == Filter::Area { (reach / MAX_CELLS).ceil() } else { 1.0 };
        let first_cell = (seen.start as f64 / cell).floor();
        let cells = ((seen.end - 1) as f64 / cell).floor() - first_cell + 1.0;
        let place = |k: f64| {
            let place = ((first_cell + k + 0.5) * cell).floor() as usize;
            place.clamp(seen.start, seen.end - 1) - seen.start
        };
        let widest = match filter {
            Filter::Area => (reach / cell).ceil() as usize + 1,
            Filter::Bicubic => 4,
            Filter::Lanczos => 6,
        };
        let taps = widest.min(cells as usize);
        let mut axis = Axis { taps, firsts: Vec::new(), shares: Vec::new(), places: None };
        for i in 0..count {
            let middle = origin + i as f64 * step;
            let weights = weights(middle, filter, (reach, cell));
            let low = weights[0].0 - first_cell;
            let first = low.clamp(0.0, cells - taps as f64) as usize;
            let mut shares = vec![0.0; taps];
            for (k, weight) in weights {
                let at = (k - first_cell).clamp(first as f64, (first + taps - 1) as f64);
                shares[at as usize - first] += weight;
            }
            axis.firsts.push(first);
            axis.shares.extend(whole_shares(&shares));
        }
        axis.places = (cell > 1.0).then(|| (0..cells as usize).map(|k| place(k as f64)).collect());
        axis
    }
}

/// Cells that a new sample is made of and their weights, which are together 1.
fn weights(middle: f64, filter: Filter, (reach, cell): (f64, f64)) -> Vec<(f64, f64)> {
    let near = |radius: i32, weight: fn(f64) -> f64| {
        let low = (middle - 0.5).floor();
        let cells = (1 - radius..=radius).map(|k| low + f64::from(k));
        cells.map(|k| (k, weight((middle - 0.5 - k).abs()))).collect()
    };
    let mut weights: Vec<(f64, f64)> = match filter {
        Filter::Area => {
            let (begin, end) = ((middle - reach / 2.0) / cell, (middle + reach / 2.0) / cell);
            let cells = (begin.floor() as i64..end.ceil() as i64).map(|k| k as f64);
            cells.map(|k| (k, (k + 1.0).min(end) - k.max(begin))).collect()
        }
        Filter::Bicubic => near(2, cubic),
        Filter::Lanczos => near(3, lanczos),
    };
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= sum);
    weights
}

/// Mitchell and Netravali's cubic, B = 0, C = 0.6, at a distance.
fn cubic(d: f64) -> f64 {
    match d {
        0.0..1.0 => (1.4 * d - 2.4) * d * d + 1.0,
        1.0..2.0 => -0.6 * (((d - 5.0) * d + 8.0) * d - 4.0),
        _ => 0.0,
    }
}

/// Lanczos' window of radius 3 at a distance.
fn lanczos(d: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    if d < 3.0 { sinc(d) * sinc(d / 3.0) } else { 0.0 }
}

/// Shares as whole numbers, together just [`WHOLE`]; what rounding leaves goes to the largest.
fn whole_shares(shares: &[f64]) -> Vec<i16> {
    let mut whole: Vec<i32> =
        shares.iter().map(|share| (share * f64::from(WHOLE)).round() as i32).collect();
    let left = WHOLE - whole.iter().sum::<i32>();
    if let Some(largest) = whole.iter_mut().max() {
        *largest += left;
    }
    whole.into_iter().map(|share| share as i16).collect()
}
