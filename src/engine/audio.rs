//! The samples of one input that are not yet due, by their place in the media timeline.
//!
//! Must not know why they are due. Sample `i` of the timeline is at media time `i / 48000` s. Invariant: blocks do not
//! overlap.
//!
//! Blocks that follow each other are joined without a seam although their timestamps are rounded; what the
//! timestamps drift away from the count of samples (sound cards and encoders have clocks of their own) is reported as
//! [`AudioQueue::trim`], so that reading can follow it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::{AudioBlock, StereoSample};
use crate::limits;
use crate::time::{NS_PER_S, SAMPLE_RATE};

/// Drift between timestamps and samples that is left alone: 2 ms.
const SLACK: f64 = 96.0;
/// A timestamp further than this from where the last block ended is a gap: 15 ms, and never a whole block.
const SEAM: i64 = 720;
/// Fastest change of the trim, samples per sample.
const TRIM_RATE: f64 = 500e-6;

/// A stretch of samples.
#[derive(Debug)]
struct Chunk {
    start: i64,
    samples: Arc<[StereoSample]>,
    /// Samples of it that are used.
    len: usize,
    /// What comes before it in the timeline is not what came before it at the source.
    splice: bool,
}

impl Chunk {
    fn end(&self) -> i64 {
        self.start + self.len as i64
    }
}

/// A stretch of the timeline without gap or splice, as copied by [`AudioQueue::gather`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) splice: bool,
}

/// A queue of samples by media time.
#[derive(Debug)]
pub(super) struct AudioQueue {
    chunks: VecDeque<Chunk>,
    segment: u32,
    /// Where the last block ended.
    head: Option<i64>,
    /// How far the timestamps are ahead of the count of samples, smoothed; samples.
    drift: f64,
    trim: f64,
    largest: usize,
}

/// Index of the sample at a media time.
pub(super) fn index_at(media_ns: i64) -> i64 {
    let scaled = i128::from(media_ns) * i128::from(SAMPLE_RATE);
    let half = i128::from(NS_PER_S / 2);
    (scaled + half).div_euclid(i128::from(NS_PER_S)) as i64
}

/// Media time of a sample, rounded down.
pub(super) fn time_of(index: i64) -> i64 {
    (i128::from(index) * i128::from(NS_PER_S)).div_euclid(i128::from(SAMPLE_RATE)) as i64
}

impl AudioQueue {
    pub(super) fn new() -> AudioQueue {
        AudioQueue {
            chunks: VecDeque::new(),
            segment: 0,
            head: None,
            drift: 0.0,
            trim: 0.0,
            largest: 1024,
        }
    }

    /// Appends a block at media time `media_ns`; false when it is old.
    pub(super) fn push(&mut self, media_ns: i64, segment: u32, block: &AudioBlock) -> bool {
        let len = block.samples.len().min(limits::TIMELINE_SAMPLES);
        let at = index_at(media_ns);
        let first = std::mem::replace(&mut self.segment, segment) != segment;
        let mut start = at - self.drift as i64;
        let mut splice = true;
        if first {
            (self.drift, self.trim, start) = (0.0, 0.0, at);
            self.cut_from(start);
        }
        if let Some(head) = self.head {
            let error = at as f64 - self.drift - head as f64;
            let seam = if first { 2 } else { SEAM.min(len as i64 * 3 / 4) };
            if error.abs() <= seam as f64 {
                (start, splice) = (head, false);
                self.drift += error / 64.0;
            } else if start < head && !first {
                return false;
            }
        }
        self.largest = self.largest.max(len);
        self.head = Some(start + len as i64);
        self.chunks.push_back(Chunk { start, samples: Arc::clone(&block.samples), len, splice });
        true
    }

    /// Everything from `index` on yields to a new segment.
    fn cut_from(&mut self, index: i64) {
        while self.chunks.back().is_some_and(|chunk| chunk.start >= index) {
            self.chunks.pop_back();
        }
        if let Some(last) = self.chunks.back_mut().filter(|last| last.end() > index) {
            last.len = (index - last.start) as usize;
            self.head = None;
        }
    }

    /// Drops what lies before `index`, but for the two samples that interpolation looks back on.
    pub(super) fn drop_before(&mut self, index: i64) {
        while self.chunks.front().is_some_and(|chunk| chunk.end() <= index - 2) {
            self.chunks.pop_front();
        }
    }

    /// Drops the oldest blocks until no more than `most` samples are left and says how many blocks.
    pub(super) fn trim_length(&mut self, most: usize) -> u32 {
        let mut dropped = 0;
        while self.span() > most as i64 {
            self.chunks.pop_front();
            dropped += 1;
        }
        dropped
    }

    /// Samples from the first to the last kept.
    pub(super) fn span(&self) -> i64 {
        let front = self.chunks.front().map(|chunk| chunk.start);
        let back = self.chunks.back().map(Chunk::end);
        front.zip(back).map_or(0, |(front, back)| back - front)
    }

    /// Blocks (of the largest size seen) that fit before `samples` are held.
    pub(super) fn room(&self, samples: usize) -> usize {
        let free = samples.saturating_sub(self.span() as usize);
        free.div_ceil(self.largest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Index of the first sample kept.
    pub(super) fn first(&self) -> Option<i64> {
        self.chunks.front().map(|chunk| chunk.start)
    }

    /// Index after the newest sample that ever came.
    pub(super) fn end(&self) -> Option<i64> {
        self.head
    }

    /// The same, on the clock of the timestamps.
    pub(super) fn head(&self) -> Option<i64> {
        self.head.map(|head| head + self.drift as i64)
    }

    /// How far reading has to be behind the count of samples, in samples.
    pub(super) fn trim(&self) -> f64 {
        self.trim
    }

    /// Moves the trim towards the drift, over `samples` samples.
    pub(super) fn follow(&mut self, samples: usize) {
        let excess = self.drift - self.trim;
        let excess = excess - excess.clamp(-SLACK, SLACK);
        let most = TRIM_RATE * samples as f64;
        self.trim += (excess * 0.01).clamp(-most, most);
    }

    /// Copies `from..to` into `out` (what is missing is silence) and lists the stretches that are there.
    pub(super) fn gather(&self, from: i64, to: i64, out: &mut Vec<StereoSample>) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::with_capacity(2);
        out.clear();
        out.resize((to - from).max(0) as usize, [0.0; 2]);
        for chunk in &self.chunks {
            let (start, end) = (chunk.start.max(from), chunk.end().min(to));
            if start >= end {
                continue;
            }
            let source =
                &chunk.samples[(start - chunk.start) as usize..(end - chunk.start) as usize];
            let target = &mut out[(start - from) as usize..(end - from) as usize];
            target.copy_from_slice(source);
            match runs.last_mut() {
                Some(run) if run.end == start && !chunk.splice => run.end = end,
                _ => runs.push(Run { start, end, splice: chunk.splice && start == chunk.start }),
            }
        }
        runs
    }
}
