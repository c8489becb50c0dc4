//! Pictures made larger or smaller, as the shaders do it.
//!
//! Must not know sources, layouts of a show or where buffers come from. Invariants: the result is the same bit for bit with
//! and without vector instructions, and within 1 code of what the shaders' formulas give.
//!
//! Rows first: those that a new row is made of are added up, with 6 fraction bits. Then along the row, 16 new samples at a
//! time: the first old sample of each is brought in place by byte shuffles, then their right neighbours, and so on. From
//! 1280 × 720 to 960 × 540 this takes half of swscale's time, and chroma of pictures with odd sides lies where it should.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "vector loads and stores"))]

mod axis;

use std::ops::Range;

use super::open::MediaError;
use super::pool::Draft;
use super::swscale::cut;
use crate::frame::{Picture, PixelFormat, Size};
use crate::shot::{ScaleQuality, Window};
use axis::{Axis, Course, Filter};

/// New samples that are made at a time.
const LANES: usize = 16;
/// The same of one half of a vector register, which shuffles do not cross.
const HALF: usize = LANES / 2;
/// Loads that the first samples of half a group may be spread over, for vector instructions.
const MAX_LOADS: usize = 5;
/// What may be read behind the end of a row of sums, in samples: seventeen pairs and the loads.
const SLACK: usize = 2 * 17 + MAX_LOADS * HALF;

/// The product of two fractions of 2¹⁵, rounded.
#[inline(always)]
fn product(a: i16, b: i16) -> i16 {
    ((((i32::from(a) * i32::from(b)) >> 14) + 1) >> 1) as i16
}

/// How rows of sums become rows of new samples.
struct Across {
    taps: usize,
    /// Samples from a tap to the next: 2 where two components take turns.
    stride: usize,
    /// Loads that each half of a group is gathered from.
    loads: usize,
    groups: Vec<Group>,
    /// For each group and tap: the share of each lane.
    shares: Vec<[i16; LANES]>,
    places: Option<Vec<usize>>,
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

impl Group {
    /// The group, and the loads that it needs; its masks are of no use where those are more than [`MAX_LOADS`].
    fn new(firsts: [usize; LANES]) -> (Group, usize) {
        let mut group = Group { bases: [0; 2], masks: [[128; LANES * 2]; MAX_LOADS], firsts };
        let mut loads = 1;
        for half in 0..2 {
            let lanes = &firsts[half * HALF..][..HALF];
            let base = lanes.iter().copied().min().unwrap_or(0);
            group.bases[half] = base;
            for (lane, first) in lanes.iter().enumerate() {
                let (load, at) = ((first - base) / HALF, (first - base) % HALF);
                loads = loads.max(load + 1);
                if let Some(mask) = group.masks.get_mut(load) {
                    let to = (half * HALF + lane) * 2;
                    mask[to..to + 2].copy_from_slice(&[at as u8 * 2, at as u8 * 2 + 1]);
                }
            }
        }
        (group, loads)
    }
}

impl Across {
    fn new(axis: Axis, components: usize) -> Across {
        let samples = axis.firsts.len() * components;
        let of_lane = |lane: usize| lane.min(samples - 1);
        let first = |lane: usize| {
            axis.firsts[of_lane(lane) / components] * components + of_lane(lane) % components
        };
        let (mut groups, mut shares, mut most) = (Vec::new(), Vec::new(), 1);
        for begin in (0..samples).step_by(LANES) {
            let (group, loads) = Group::new(std::array::from_fn(|lane| first(begin + lane)));
            groups.push(group);
            most = most.max(loads);
            let share = |tap: usize, lane: usize| {
                axis.shares[of_lane(begin + lane) / components * axis.taps + tap]
            };
            shares.extend((0..axis.taps).map(|tap| std::array::from_fn(|lane| share(tap, lane))));
        }
        let (taps, places) = (axis.taps, axis.places);
        Across { taps, stride: components, loads: most, groups, shares, places }
    }

    fn run(&self, sums: &[i16], picked: &mut [i16], to: &mut [u8]) {
        let sums = match &self.places {
            Some(places) => {
                let places = places.iter().map(|place| &sums[place * self.stride..][..self.stride]);
                picked
                    .chunks_mut(self.stride)
                    .zip(places)
                    .for_each(|(to, of)| to.copy_from_slice(of));
                picked
            }
            None => sums,
        };
        #[cfg(target_arch = "x86_64")]
        if vector::is_there() && self.loads <= MAX_LOADS {
            // SAFETY: the instructions are there.
            return unsafe { vector::across(self, sums, to) };
        }
        self.run_plainly(sums, to);
    }

    fn run_plainly(&self, sums: &[i16], to: &mut [u8]) {
        let shares = self.shares.chunks(self.taps);
        for ((group, shares), to) in self.groups.iter().zip(shares).zip(to.chunks_mut(LANES)) {
            for (lane, to) in to.iter_mut().enumerate() {
                let part = |(tap, shares): (usize, &[i16; LANES])| {
                    i32::from(product(sums[group.firsts[lane] + tap * self.stride], shares[lane]))
                };
                let sum: i32 = shares.iter().enumerate().map(part).sum();
                // Of six fraction bits one is lost in the product with a share of 14 bits.
                *to = ((sum + 16) >> 5).clamp(0, 255) as u8;
            }
        }
    }
}

/// How old samples are written.
#[derive(Clone, Copy, Debug)]
enum Depth {
    Eight,
    /// Ten bits, in the lower or the upper ones of sixteen.
    Low,
    High,
}

/// How rows are added up.
struct Down {
    depth: Depth,
    axis: Axis,
}

impl Down {
    /// Adds up what new row `row` is made of.
    fn run(&self, row: usize, plane: (&[u8], usize), sums: &mut [i16]) {
        #[cfg(target_arch = "x86_64")]
        if vector::is_there() {
            // SAFETY: the instructions are there.
            return unsafe { vector::down(self, row, plane, sums) };
        }
        self.run_plainly(row, plane, sums);
    }

    #[inline(always)]
    fn run_plainly(&self, row: usize, plane: (&[u8], usize), sums: &mut [i16]) {
        // As fractions of 2¹⁵: codes and seven bits.
        match self.depth {
            Depth::Eight => self.add_up(row, plane, sums, |sample: u8| i16::from(sample) << 7),
            Depth::Low => self.add_up(row, plane, sums, |sample: [u8; 2]| {
                (u16::from_le_bytes(sample) << 5) as i16
            }),
            Depth::High => self.add_up(row, plane, sums, |sample: [u8; 2]| {
                (u16::from_le_bytes(sample) >> 1) as i16
            }),
        }
    }

    #[inline(always)]
    fn add_up<T: Copy + bytemuck::Pod>(
        &self,
        row: usize,
        (plane, stride): (&[u8], usize),
        sums: &mut [i16],
        wide: impl Fn(T) -> i16 + Copy,
    ) {
        let (axis, bytes) = (&self.axis, size_of_val(sums) / 2 * size_of::<T>());
        let line = |tap: usize| {
            let cell = axis.firsts[row] + tap;
            let place = axis.places.as_ref().map_or(cell, |places| places[cell]);
            bytemuck::cast_slice::<u8, T>(&plane[place * stride..][..bytes])
        };
        let shares = &axis.shares[row * axis.taps..][..axis.taps];
        // Where new rows begin or end with old ones, outer shares are none.
        let begin = shares.iter().take_while(|share| **share == 0).count();
        let end = shares.iter().rposition(|share| *share != 0).map_or(0, |last| last + 1);
        let mut into = Into::Fresh;
        for (pair, shares) in shares[begin..end].chunks(2).enumerate() {
            let tap = begin + 2 * pair;
            match shares {
                &[a, b] => add([line(tap), line(tap + 1)], [a, b], (sums, into), wide),
                _ => add([line(tap)], [shares[0]], (sums, into), wide),
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

/// Adds rows to sums, which keep six fraction bits.
#[inline(always)]
fn add<T: Copy, const N: usize>(
    lines: [&[T]; N],
    shares: [i16; N],
    (sums, into): (&mut [i16], Into),
    wide: impl Fn(T) -> i16 + Copy,
) {
    let lines = lines.map(|line| &line[..sums.len()]);
    let part = |at: usize| (0..N).map(|n| product(wide(lines[n][at]), shares[n])).sum::<i16>();
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
        _mm256_loadu2_m128i, _mm256_mulhrs_epi16, _mm256_or_si256, _mm256_packus_epi16,
        _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_setzero_si256, _mm256_shuffle_epi8,
        _mm256_srai_epi16,
    };

    use super::{Across, Down, HALF, LANES};

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2")
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn down(down: &Down, row: usize, plane: (&[u8], usize), sums: &mut [i16]) {
        down.run_plainly(row, plane, sums);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn across(across: &Across, sums: &[i16], to: &mut [u8]) {
        match across.loads {
            1 => of_loads::<1>(across, sums, to),
            2 => of_loads::<2>(across, sums, to),
            3 => of_loads::<3>(across, sums, to),
            4 => of_loads::<4>(across, sums, to),
            _ => of_loads::<{ super::MAX_LOADS }>(across, sums, to),
        }
    }

    #[target_feature(enable = "avx2")]
    fn of_loads<const LOADS: usize>(across: &Across, sums: &[i16], to: &mut [u8]) {
        let shares = across.shares.chunks_exact(across.taps);
        let groups = across.groups.iter().zip(shares).zip(to.as_chunks_mut::<LANES>().0);
        for ((group, shares), to) in groups {
            let [low, high] = group.bases;
            // All that is read of the row lies between its ends.
            let reach = (across.taps - 1) * across.stride + LOADS * HALF;
            let (low, high) = (&sums[low..low + reach], &sums[high..high + reach]);
            let mut sum = _mm256_setzero_si256();
            for (tap, shares) in shares.iter().enumerate() {
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
                // SAFETY: shares are as long as a register.
                let shares = unsafe { _mm256_loadu_si256(shares.as_ptr().cast()) };
                sum = _mm256_add_epi16(sum, _mm256_mulhrs_epi16(samples, shares));
            }
            let codes = _mm256_srai_epi16::<5>(_mm256_add_epi16(sum, _mm256_set1_epi16(16)));
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

/// What is to be made of what.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) format: PixelFormat,
    /// Of the old picture.
    pub(super) window: Window,
    /// Where the first chroma sample lies, in pixels from the first luma sample, to the right and down.
    pub(super) chroma_px: [f64; 2],
    /// The size of the NV12 picture that is made …
    pub(super) size: Size,
    /// … and where its chroma lies.
    pub(super) new_chroma_px: [f64; 2],
    pub(super) quality: ScaleQuality,
}

impl Task {
    /// Old pixels to a new one, along and down.
    fn steps(&self) -> [f64; 2] {
        let (old, new) = (self.window.size(), self.size);
        [
            f64::from(old.width_px) / f64::from(new.width_px),
            f64::from(old.height_px) / f64::from(new.height_px),
        ]
    }

    /// The mean where anything is made smaller, as the shaders do.
    fn filter(&self, steps: [f64; 2]) -> Filter {
        match self.quality {
            _ if steps.iter().any(|&step| step > 1.0 + 1e-6) => Filter::Area,
            ScaleQuality::Bicubic => Filter::Bicubic,
            ScaleQuality::Lanczos => Filter::Lanczos,
        }
    }

    fn plan(&self, axes: [Axis; 2], samples: usize, components: usize) -> PlanePlan {
        let depth = match (self.format.sample_bytes(), self.format) {
            (1, _) => Depth::Eight,
            (_, PixelFormat::P010) => Depth::High,
            _ => Depth::Low,
        };
        let [along, down] = axes;
        let across = Across::new(along, components);
        PlanePlan { down: Down { depth, axis: down }, across, samples: samples * components }
    }

    fn luma(&self) -> PlanePlan {
        let (steps, window) = (self.steps(), &self.window);
        let filter = self.filter(steps);
        let course = |count: u32, step: f64, seen: &Range<u32>| {
            let origin = f64::from(seen.start) + step / 2.0;
            let seen = seen.start as usize..seen.end as usize;
            Axis::new(&Course { count: count as usize, origin, step, seen }, filter)
        };
        let along = course(self.size.width_px, steps[0], &window.columns);
        let down = course(self.size.height_px, steps[1], &window.rows);
        self.plan([along, down], window.size().width_px as usize, 1)
    }

    fn chroma(&self) -> PlanePlan {
        let (luma_steps, shares) = (self.steps(), self.format.subsampling());
        let steps: [f64; 2] =
            std::array::from_fn(|axis| luma_steps[axis] * 2.0 / f64::from(shares[axis]));
        let filter = self.filter(steps);
        let axis = |axis: usize, count: u32, seen: &Range<u32>| {
            // Where the first new sample lies on the old picture's luma, and so between its chroma samples.
            let on_luma =
                f64::from(seen.start) + (self.new_chroma_px[axis] + 0.5) * luma_steps[axis];
            let share = f64::from(shares[axis]);
            let origin = (on_luma - self.chroma_px[axis] - 0.5) / share + 0.5;
            let seen =
                (seen.start / shares[axis]) as usize..seen.end.div_ceil(shares[axis]) as usize;
            Axis::new(&Course { count: count as usize, origin, step: steps[axis], seen }, filter)
        };
        let (new, window) = (self.size.chroma(), &self.window);
        let axes = [axis(0, new.width_px, &window.columns), axis(1, new.height_px, &window.rows)];
        let width = self.format.chroma_size(window.size()).width_px;
        self.plan(axes, width as usize, 2)
    }
}

/// Makes pictures larger or smaller, on the caller's thread.
pub(super) struct Resizer {
    task: Task,
    luma: PlanePlan,
    chroma: PlanePlan,
    /// A row of sums, what is picked of it, and of each component where they come apart.
    sums: Vec<i16>,
    picked: Vec<i16>,
    apart: [Vec<i16>; 2],
}

impl Resizer {
    pub(super) fn new(task: Task) -> Resizer {
        let (luma, chroma) = (task.luma(), task.chroma());
        let longest = luma.samples.max(chroma.samples) + SLACK;
        let apart = [(); 2].map(|()| vec![0; chroma.samples / 2]);
        let [sums, picked] = [(); 2].map(|()| vec![0; longest]);
        Resizer { task, luma, chroma, sums, picked, apart }
    }

    /// Scales the window of a picture, which must have the layout scaled from, into `draft`, which must be NV12 of the size
    /// asked for.
    pub(super) fn run(&mut self, picture: &Picture, draft: &mut Draft) -> Result<(), MediaError> {
        let Resizer { task, luma, chroma, sums, picked, apart: [u, v] } = self;
        if draft.size() != task.size || draft.format() != PixelFormat::Nv12 {
            return Err(MediaError::Read("there is no room for what is scaled".into()));
        }
        if picture.format() != task.format {
            return Err(MediaError::Read("it is not the picture that was to be scaled".into()));
        }
        let planes = cut(picture, &task.window)?;
        let mut drafts = draft.planes_mut();
        for (row, to) in rows(drafts.next(), task.size.height_px) {
            luma.down.run(row, planes[0], &mut sums[..luma.samples]);
            luma.across.run(sums, picked, to);
        }
        for (row, to) in rows(drafts.next(), task.size.chroma().height_px) {
            if task.format.plane_count() == 2 {
                chroma.down.run(row, planes[1], &mut sums[..chroma.samples]);
            } else {
                chroma.down.run(row, planes[1], u);
                chroma.down.run(row, planes[2], v);
                interleave(u, v, sums);
            }
            chroma.across.run(sums, picked, to);
        }
        Ok(())
    }
}

/// The rows of a plane that is made.
fn rows(plane: Option<(&mut [u8], usize)>, count: u32) -> impl Iterator<Item = (usize, &mut [u8])> {
    let (plane, stride) = plane.unwrap_or((&mut [], 1));
    plane.chunks_mut(stride).take(count as usize).enumerate()
}

fn interleave(u: &[i16], v: &[i16], to: &mut [i16]) {
    for (pair, (u, v)) in to.as_chunks_mut::<2>().0.iter_mut().zip(u.iter().zip(v)) {
        *pair = [*u, *v];
    }
}

#[cfg(test)]
#[path = "../tests/resize.rs"]
mod tests;
