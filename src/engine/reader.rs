//! Reading samples at a place and pace, without clicks.
//!
//! Must not know where the place comes from. Invariants: at pace 1 and a whole place the samples are copied bit for
//! bit; where sound stops, starts or is spliced, what sounded last fades out over 5 ms while what comes fades in.

use super::audio::{AudioQueue, Run};
use crate::frame::StereoSample;

/// Samples of the fade at a seam: 5 ms.
const FADE: u32 = 240;

/// The stretch of the timeline that is one block of the programme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Where the block begins, in samples of the timeline.
    pub(super) from: f64,
    /// Where it ends.
    pub(super) to: f64,
}

/// Whether a beginning is faded in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Faded: we come into the middle of something.
    Soft,
    /// As it is: this is where the source itself begins.
    Exact,
}

/// Reads one input's queue block by block.
#[derive(Debug)]
pub(super) struct Reader {
    /// Where the next block begins if all goes on.
    next: f64,
    playing: bool,
    beginning: Beginning,
    /// Samples that the fade-in has still to go.
    fade_left: u32,
    /// What sounded last, and how much of its fade-out is left.
    tail: StereoSample,
    tail_left: u32,
    last: StereoSample,
    scratch: Vec<StereoSample>,
}

impl Reader {
    pub(super) fn new(beginning: Beginning) -> Reader {
        Reader {
            next: 0.0,
            playing: false,
            beginning,
            fade_left: 0,
            tail: [0.0; 2],
            tail_left: 0,
            last: [0.0; 2],
            scratch: Vec::new(),
        }
    }

    /// The source begins anew: what comes next is its beginning.
    pub(super) fn restart(&mut self) {
        self.beginning = Beginning::Exact;
    }

    /// Nobody listens: when somebody does again, it will fade in.
    pub(super) fn unheard(&mut self) {
        (self.playing, self.last, self.tail_left) = (false, [0.0; 2], 0);
    }

    /// Silence; what sounded fades. False when it is silence throughout.
    pub(super) fn silence(&mut self, out: &mut [StereoSample]) -> bool {
        self.stop();
        let sounds = self.tail_left > 0;
        self.fade(out);
        self.last = [0.0; 2];
        sounds
    }

    /// Fills `out` with the span. False when it is silence throughout.
    pub(super) fn read(
        &mut self,
        queue: &AudioQueue,
        span: Span,
        out: &mut [StereoSample],
    ) -> bool {
        if (span.from - self.next).abs() > 0.5 {
            self.stop();
        }
        self.next = span.to;
        let pace = (span.to - span.from) / out.len() as f64;
        let exact = span.from.fract() == 0.0 && span.to - span.from == out.len() as f64;
        let from = span.from.floor() as i64 - 1;
        let mut scratch = std::mem::take(&mut self.scratch);
        let runs = queue.gather(from, span.to.ceil() as i64 + 3, &mut scratch);
        let mut done = 0;
        let mut sounds = self.tail_left > 0;
        for run in runs {
            // A place between two samples needs both.
            let last = if exact { run.end } else { run.end - 1 };
            let at = |index: i64| ((index as f64 - span.from) / pace).ceil().max(0.0) as usize;
            let (start, end) = (at(run.start).clamp(done, out.len()), at(last).min(out.len()));
            if start >= end {
                continue;
            }
            if start > done {
                self.stop();
                self.fade_gap(&mut out[done..start]);
            }
            self.enter(run, span, start);
            sounds = true;
            let place = span.from + start as f64 * pace - from as f64;
            let target = &mut out[start..end];
            if exact {
                let place = place as usize;
                target.copy_from_slice(&scratch[place..place + target.len()]);
            } else {
                interpolate(&scratch, (place, pace), (run.start - from, run.end - from), target);
            }
            self.last = out[end - 1];
            self.fade(&mut out[start..end]);
            done = end;
        }
        self.scratch = scratch;
        if done < out.len() {
            self.stop();
            sounds |= self.tail_left > 0;
            self.fade_gap(&mut out[done..]);
        }
        sounds
    }

    /// A stretch begins to sound at `start` of the block: on from before, or with a seam.
    fn enter(&mut self, run: Run, span: Span, start: usize) {
        let seam = run.splice && run.start as f64 > span.from - 1.0;
        if self.playing && start == 0 && !seam {
            return;
        }
        self.stop();
        self.playing = true;
        if self.beginning == Beginning::Soft {
            self.fade_left = FADE;
        }
        self.beginning = Beginning::Soft;
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.playing) && self.last != [0.0; 2] {
            (self.tail, self.tail_left) = (self.last, FADE);
        }
        self.fade_left = 0;
    }

    fn fade_gap(&mut self, out: &mut [StereoSample]) {
        self.fade(out);
        self.last = out.last().copied().unwrap_or_default();
    }

    /// Applies what is left of the fades; without sound (`playing` is false) only the tail is heard.
    fn fade(&mut self, out: &mut [StereoSample]) {
        if !self.playing {
            out.fill([0.0; 2]);
        }
        if self.fade_left == 0 && self.tail_left == 0 {
            return;
        }
        for sample in out.iter_mut().take(self.fade_left.max(self.tail_left) as usize) {
            if self.fade_left > 0 {
                self.fade_left -= 1;
                *sample = sample.map(|v| v * (FADE - self.fade_left) as f32 / FADE as f32);
            }
            if self.tail_left > 0 {
                self.tail_left -= 1;
                let gain = self.tail_left as f32 / FADE as f32;
                *sample = [sample[0] + self.tail[0] * gain, sample[1] + self.tail[1] * gain];
            }
        }
        if let Some(last) = out.last() {
            self.last = *last;
        }
    }
}

/// Catmull-Rom splines through the samples at `place`, `place + pace`…; beyond the ends of the stretch the outermost
/// sample stands.
fn interpolate(
    samples: &[StereoSample],
    (place, pace): (f64, f64),
    (first, end): (i64, i64),
    out: &mut [StereoSample],
) {
    let (first, last) = (first as usize, end as usize - 1);
    let mut place = place;
    for sample in out {
        let index = place as usize;
        let t = (place - index as f64) as f32;
        let before = samples[index.saturating_sub(1).max(first)];
        let (a, b) = (samples[index.max(first)], samples[(index + 1).min(last)]);
        let after = samples[(index + 2).min(last)];
        for side in 0..2 {
            let (p, a, b, n) = (before[side], a[side], b[side], after[side]);
            let c1 = 0.5 * (b - p);
            let c2 = p - 2.5 * a + 2.0 * b - 0.5 * n;
            let c3 = 0.5 * (n - p) + 1.5 * (a - b);
            sample[side] = ((c3 * t + c2) * t + c1) * t + a;
        }
        place += pace;
    }
}
