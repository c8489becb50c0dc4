//! The mean over areas: how 8-bit 4:2:0 pictures are made smaller, up to [`LARGEST_STEP`] times each way.
//!
//! Must not know sources, layouts of a show or where buffers come from. Invariant: the result is the same bit for bit with and
//! without vector instructions, and within half a code (and the 1/256 by which factors are rounded) of the exact mean.
//!
//! Rows first: those that a new row covers are added up, with 8 fraction bits. Then along the row, 16 new samples at a time:
//! the samples that they begin at are brought together by byte shuffles, then their right neighbours, and so on. Where a
//! picture is scaled from 1280 × 720 to 960 × 540 this takes a third of swscale's time.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "vector loads and stores"))]

use super::open::MediaError;
use super::pool::Draft;
use super::swscale::{Kernel, Side, cut, raw_format};
use crate::frame::{Picture, PixelFormat, Size};
use crate::shot::Window;

/// By how much a side may shrink here: 16 new samples then begin at samples that fit [`MAX_LOADS`] loads.
const LARGEST_STEP: f64 = 4.0;
/// New samples that are made at a time.
const LANES: usize = 16;
/// The same of one half of a vector register, which shuffles do not cross.
const HALF: usize = LANES / 2;
/// Loads that the first samples of half a group may be spread over.
const MAX_LOADS: usize = 5;
/// What may be read behind the end of a row of sums, in samples.
const SLACK: usize = MAX_LOADS * HALF + 32;

/// What the new samples of one axis are made of: of the same number of old ones each.
struct Axis {
    /// Old samples of each.
    taps: usize,
    /// The first of them.
    firsts: Vec<usize>,
    /// Their shares, `taps` for each new sample; together exactly 1.
    shares: Vec<f64>,
}

impl Axis {
    /// `count` new samples of which number i has its centre at `origin + i * step` and covers `step`, where the old ones
    /// cover 1 each and begin at 0; beyond the edges the last one goes on.
    fn new((count, origin, step): (usize, f64, f64), old: usize) -> Axis {
        let taps = (step.ceil() as usize + 1).min(old);
        let last_first = old - taps;
        let mut axis = Axis { taps, firsts: Vec::new(), shares: vec![0.0; taps * count] };
        for (i, shares) in axis.shares.chunks_mut(taps).enumerate() {
            let begin = origin + i as f64 * step - step / 2.0;
            let end = begin + step;
            let first = (begin.floor().max(0.0) as usize).min(last_first);
            for sample in begin.floor() as i64..end.ceil() as i64 {
                let covered = end.min((sample + 1) as f64) - begin.max(sample as f64);
                let at = usize::try_from(sample).unwrap_or(0).clamp(first, first + taps - 1);
                shares[at - first] += (covered / step).max(0.0);
            }
            axis.firsts.push(first);
        }
        axis
    }

    /// The shares of sample `i` in parts of `whole`, together just that; what rounding leaves goes to the largest.
    fn parts(&self, i: usize, whole: u32) -> Vec<u32> {
        let shares = &self.shares[i * self.taps..][..self.taps];
        let mut parts: Vec<u32> =
            shares.iter().map(|share| (share * f64::from(whole)).round() as u32).collect();
        let (sum, largest) = (parts.iter().sum::<u32>(), parts.iter_mut().max());
        if let Some(largest) = largest {
            *largest = (*largest + whole).saturating_sub(sum);
        }
        parts
    }
}

/// How rows of sums become rows of new samples.
struct Across {
    taps: usize,
    /// Samples from a tap to the next: 2 where two components take turns.
    stride: usize,
    /// Loads that each half of a group is gathered from.
    loads: usize,
    groups: Vec<Group>,
    /// For each group and tap: the factor of each lane, in 65,536ths.
    factors: Vec<[u16; LANES]>,
}

/// Sixteen new samples.
struct Group {
    /// Where the samples are looked for, for each half.
    bases: [usize; 2],
    /// For each load: which of its bytes go where, for both halves; 128 and more leave a zero.
    masks: [[u8; LANES * 2]; MAX_LOADS],
    /// The first old sample of each new one.
    firsts: [usize; LANES],
}

impl Across {
    /// `None` if the samples of a group lie too far from each other.
    fn new(axis: &Axis, components: usize) -> Option<Across> {
        let samples = axis.firsts.len() * components;
        let first = |lane: usize| {
            let lane = lane.min(samples - 1);
            axis.firsts[lane / components] * components + lane % components
        };
        let (mut groups, mut factors, mut loads) = (Vec::new(), Vec::new(), 1);
        for begin in (0..samples).step_by(LANES) {
            let firsts: [usize; LANES] = std::array::from_fn(|lane| first(begin + lane));
            let mut group = Group { bases: [0; 2], masks: [[128; LANES * 2]; MAX_LOADS], firsts };
            for half in 0..2 {
                let lanes = &firsts[half * HALF..][..HALF];
                let base = lanes.iter().copied().min().unwrap_or(0);
                group.bases[half] = base;
                for (lane, first) in lanes.iter().enumerate() {
                    let (load, at) = ((first - base) / HALF, (first - base) % HALF);
                    loads = loads.max(load + 1);
                    let mask = group.masks.get_mut(load)?;
                    let to = (half * HALF + lane) * 2;
                    mask[to..to + 2].copy_from_slice(&[at as u8 * 2, at as u8 * 2 + 1]);
                }
            }
            groups.push(group);
            let parts: [Vec<u32>; LANES] = std::array::from_fn(|lane| {
                axis.parts((begin + lane).min(samples - 1) / components, 1 << 16)
            });
            let of_tap = |tap: usize| parts.each_ref().map(|parts| parts[tap].min(65_535) as u16);
            factors.extend((0..axis.taps).map(of_tap));
        }
        Some(Across { taps: axis.taps, stride: components, loads, groups, factors })
    }

    fn run(&self, sums: &[u16], to: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if vector::is_there() {
            // SAFETY: the instructions are there.
            return unsafe { vector::across(self, sums, to) };
        }
        self.run_plainly(sums, to);
    }

    fn run_plainly(&self, sums: &[u16], to: &mut [u8]) {
        let factors = self.factors.chunks(self.taps);
        for ((group, factors), to) in self.groups.iter().zip(factors).zip(to.chunks_mut(LANES)) {
            for (lane, to) in to.iter_mut().enumerate() {
                let part = |(tap, factors): (usize, &[u16; LANES])| {
                    let sum = sums[group.firsts[lane] + tap * self.stride];
                    (u32::from(sum) * u32::from(factors[lane])) >> 16
                };
                *to = code(factors.iter().enumerate().map(part).sum());
            }
        }
    }
}

/// The nearest code to a sum with 8 fraction bits.
fn code(sum: u32) -> u8 {
    ((sum + 128) >> 8).min(255) as u8
}

/// How rows are added up.
struct Down {
    taps: usize,
    firsts: Vec<usize>,
    /// In 256ths, `taps` for each new row.
    factors: Vec<u16>,
}

impl Down {
    fn new(axis: &Axis) -> Down {
        let parts = |i| axis.parts(i, 256).into_iter().map(|part| part as u16);
        let factors = (0..axis.firsts.len()).flat_map(parts).collect();
        Down { taps: axis.taps, firsts: axis.firsts.clone(), factors }
    }

    /// Adds up what new row `row` covers of a plane.
    fn run(&self, row: usize, plane: (&[u8], usize), sums: &mut [u16]) {
        #[cfg(target_arch = "x86_64")]
        if vector::is_there() {
            // SAFETY: the instructions are there.
            return unsafe { vector::down(self, row, plane, sums) };
        }
        self.run_plainly(row, plane, sums);
    }

    #[inline(always)]
    fn run_plainly(&self, row: usize, (plane, stride): (&[u8], usize), sums: &mut [u16]) {
        let width = sums.len();
        let line = |tap: usize| &plane[(self.firsts[row] + tap) * stride..][..width];
        let factors = &self.factors[row * self.taps..][..self.taps];
        // Where a new row begins or ends with an old one, an outer share is none.
        let begin = factors.iter().take_while(|factor| **factor == 0).count();
        let end = factors.iter().rposition(|factor| *factor > 0).map_or(0, |last| last + 1);
        let mut into = Into::Fresh;
        for (pair, factors) in factors[begin..end].chunks(2).enumerate() {
            let tap = begin + 2 * pair;
            match factors {
                &[a, b] => add([line(tap), line(tap + 1)], [a, b], (sums, into)),
                _ => add([line(tap)], [factors[0]], (sums, into)),
            }
            into = Into::Sums;
        }
    }
}

/// What rows are added to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    Fresh,
    Sums,
}

/// Adds rows to sums, which never exceed 255 in all.
#[inline(always)]
fn add<const N: usize>(lines: [&[u8]; N], factors: [u16; N], (sums, into): (&mut [u16], Into)) {
    let lines = lines.map(|line| &line[..sums.len()]);
    let part = |at: usize| (0..N).map(|n| u16::from(lines[n][at]) * factors[n]).sum::<u16>();
    match into {
        Into::Fresh => (0..sums.len()).for_each(|at| sums[at] = part(at)),
        Into::Sums => (0..sums.len()).for_each(|at| sums[at] += part(at)),
    }
}

/// The same by AVX2.
#[cfg(target_arch = "x86_64")]
mod vector {
    use std::arch::x86_64::{
        _mm_storeu_si128, _mm256_add_epi16, _mm256_castsi256_si128, _mm256_loadu_si256,
        _mm256_loadu2_m128i, _mm256_mulhi_epu16, _mm256_or_si256, _mm256_packus_epi16,
        _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8,
        _mm256_srli_epi16,
    };

    use super::{Across, Down, HALF, LANES};

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2")
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn down(down: &Down, row: usize, plane: (&[u8], usize), sums: &mut [u16]) {
        down.run_plainly(row, plane, sums);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn across(across: &Across, sums: &[u16], to: &mut [u8]) {
        match across.loads {
            1 => of_loads::<1>(across, sums, to),
            2 => of_loads::<2>(across, sums, to),
            3 => of_loads::<3>(across, sums, to),
            4 => of_loads::<4>(across, sums, to),
            _ => of_loads::<{ super::MAX_LOADS }>(across, sums, to),
        }
    }

    #[target_feature(enable = "avx2")]
    fn of_loads<const LOADS: usize>(across: &Across, sums: &[u16], to: &mut [u8]) {
        let factors = across.factors.chunks_exact(across.taps);
        let groups = across.groups.iter().zip(factors).zip(to.as_chunks_mut::<LANES>().0);
        for ((group, factors), to) in groups {
            let [low, high] = group.bases;
            // All that is read of the row lies between its ends.
            let reach = (across.taps - 1) * across.stride + LOADS * HALF;
            let (low, high) = (&sums[low..low + reach], &sums[high..high + reach]);
            let mut sum = _mm256_setzero_si256();
            for (tap, factors) in factors.iter().enumerate() {
                let mut samples = _mm256_setzero_si256();
                for load in 0..LOADS {
                    let at = tap * across.stride + load * HALF;
                    // SAFETY: eight samples from `at` on are within `reach`; masks are as long as a register.
                    let (loaded, mask) = unsafe {
                        let halves = (high.as_ptr().add(at).cast(), low.as_ptr().add(at).cast());
                        let mask = group.masks[load].as_ptr().cast();
                        (_mm256_loadu2_m128i(halves.0, halves.1), _mm256_loadu_si256(mask))
                    };
                    samples = _mm256_or_si256(samples, _mm256_shuffle_epi8(loaded, mask));
                }
                // SAFETY: factors are as long as a register.
                let factors = unsafe { _mm256_loadu_si256(factors.as_ptr().cast()) };
                sum = _mm256_add_epi16(sum, _mm256_mulhi_epu16(samples, factors));
            }
            let codes = _mm256_srli_epi16::<8>(_mm256_add_epi16(sum, _mm256_set1_epi16(128)));
            // Packed within each half: the first and the third quarter are the sixteen codes.
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi16(codes, codes));
            // SAFETY: `to` is sixteen bytes.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm256_castsi256_si128(packed)) };
        }
    }
}

/// One plane of the result.
struct PlanePlan {
    down: Down,
    across: Across,
    /// What a row is summed up from, in samples.
    samples: usize,
}

impl PlanePlan {
    /// Of the axes along and down, and how many components take turns in a row.
    fn new([along, down]: [Axis; 2], old_width: usize, components: usize) -> Option<PlanePlan> {
        let across = Across::new(&along, components)?;
        Some(PlanePlan { down: Down::new(&down), across, samples: old_width * components })
    }
}

/// Makes pictures smaller, on the caller's thread.
pub(super) struct AreaScaler {
    from: Side,
    to: Side,
    luma: PlanePlan,
    chroma: PlanePlan,
    /// A row of sums, and of each component where they come apart.
    sums: Vec<u16>,
    apart: [Vec<u16>; 2],
}

impl AreaScaler {
    /// `None` for what swscale must do: other layouts and depths, what is made larger or far smaller.
    pub(super) fn new(from: &Side, to: &Side, kernel: Kernel) -> Option<AreaScaler> {
        let from_420 = [PixelFormat::I420, PixelFormat::Nv12].map(raw_format);
        let sides = |size: Size| [size.width_px, size.height_px].map(f64::from);
        let (old, new) = (sides(from.size), sides(to.size));
        let steps: [f64; 2] = std::array::from_fn(|axis| old[axis] / new[axis]);
        let is_near = steps.iter().all(|step| (1.0..=LARGEST_STEP).contains(step));
        let is_420 = from_420.contains(&from.format) && to.format == raw_format(PixelFormat::Nv12);
        if kernel != Kernel::Area || !is_near || !is_420 || from.color != to.color {
            return None;
        }
        let count = |length: f64| length as usize;
        let luma = |axis: usize| {
            Axis::new((count(new[axis]), steps[axis] / 2.0, steps[axis]), count(old[axis]))
        };
        let (old_chroma, new_chroma) = (sides(from.size.chroma()), sides(to.size.chroma()));
        let chroma = |axis: usize| {
            // Where the first sample lies on the old picture's luma, and so between its chroma samples.
            let on_luma = (to.chroma_px[axis] + 0.5) * steps[axis];
            let origin = (on_luma - from.chroma_px[axis] - 0.5) / 2.0 + 0.5;
            Axis::new((count(new_chroma[axis]), origin, steps[axis]), count(old_chroma[axis]))
        };
        let luma = PlanePlan::new([luma(0), luma(1)], count(old[0]), 1)?;
        let chroma = PlanePlan::new([chroma(0), chroma(1)], count(old_chroma[0]), 2)?;
        let longest = luma.samples.max(chroma.samples) + SLACK;
        let apart = || vec![0; chroma.samples / 2];
        let (sums, apart) = (vec![0; longest], [apart(), apart()]);
        Some(AreaScaler { from: *from, to: *to, luma, chroma, sums, apart })
    }

    /// Scales a part of a picture, which must have the size and layout scaled from, into `draft`.
    pub(super) fn run_window(
        &mut self,
        picture: &Picture,
        window: &Window,
        draft: &mut Draft,
    ) -> Result<(), MediaError> {
        let planes = cut(picture, window, &self.from)?;
        if draft.size() != self.to.size || raw_format(draft.format()) != self.to.format {
            return Err(MediaError::Read("there is no room for what is scaled".into()));
        }
        let mut drafts = draft.planes_mut();
        if let Some((to, stride)) = drafts.next() {
            let sums = &mut self.sums;
            rows(to, stride, &self.luma, |row, to| {
                self.luma.down.run(row, planes[0], &mut sums[..self.luma.samples]);
                self.luma.across.run(sums, to);
            });
        }
        if let Some((to, stride)) = drafts.next() {
            let (sums, [u, v]) = (&mut self.sums, &mut self.apart);
            rows(to, stride, &self.chroma, |row, to| {
                if picture.format() == PixelFormat::Nv12 {
                    self.chroma.down.run(row, planes[1], &mut sums[..self.chroma.samples]);
                } else {
                    self.chroma.down.run(row, planes[1], u);
                    self.chroma.down.run(row, planes[2], v);
                    interleave(u, v, sums);
                }
                self.chroma.across.run(sums, to);
            });
        }
        Ok(())
    }
}

/// Makes the new rows of a plane one after the other.
fn rows(to: &mut [u8], stride: usize, plane: &PlanePlan, mut make: impl FnMut(usize, &mut [u8])) {
    for (row, to) in to.chunks_mut(stride).take(plane.down.firsts.len()).enumerate() {
        make(row, to);
    }
}

fn interleave(u: &[u16], v: &[u16], to: &mut [u16]) {
    for (pair, (u, v)) in to.as_chunks_mut::<2>().0.iter_mut().zip(u.iter().zip(v)) {
        *pair = [*u, *v];
    }
}

#[cfg(test)]
#[path = "tests/area.rs"]
mod tests;
