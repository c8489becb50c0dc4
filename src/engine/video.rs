//! The pictures of one input that are not yet due.
//!
//! Must not know why they are due, or how many may be kept. Invariant: media times grow strictly within the queue.

use std::collections::VecDeque;

use crate::frame::VideoFrame;

/// Timestamps within this of an even cadence are taken to be rounded (RTMP and Matroska count milliseconds).
const ROUNDING_NS: i64 = 2_000_000;
/// How much early a frame may be shown: what rounding can have moved it. Less than the 1.67 ms that the phases of 24, 25,
/// 30, 50 and 60 fps lie apart.
pub(super) const EARLY_NS: i64 = 1_000_000;
/// How many frames the cadence is fitted to.
const FITTED_FRAMES: i64 = 32;
/// Frame period assumed before two frames are known.
const PERIOD_NS: i64 = 40_000_000;
/// Longest frame period that is taken for a cadence.
const PERIOD_MAX_NS: i64 = 2_000_000_000;

/// A queue of frames by media time.
#[derive(Debug)]
pub(super) struct VideoQueue {
    frames: VecDeque<(i64, VideoFrame)>,
    head: Option<Head>,
    period_ns: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    segment: u32,
    /// As it came.
    raw_ns: i64,
    /// On the even cadence.
    even_ns: i64,
    /// Frames that the cadence is known from, less one; at most as many as it is fitted to.
    known: i64,
}

impl VideoQueue {
    pub(super) fn new() -> VideoQueue {
        VideoQueue { frames: VecDeque::new(), head: None, period_ns: None }
    }

    /// Appends a frame at media time `media_ns`; false when it is a duplicate or a step back.
    pub(super) fn push(&mut self, media_ns: i64, segment: u32, frame: VideoFrame) -> bool {
        let (even_ns, known) = match self.head {
            Some(head) if head.segment == segment => {
                if media_ns <= head.raw_ns {
                    return false;
                }
                self.even(head, media_ns)
            }
            Some(head) => (media_ns, head.known),
            None => (media_ns, 0),
        };
        self.head = Some(Head { segment, raw_ns: media_ns, even_ns, known });
        // A new segment may begin before the old one would have ended: the old one yields.
        while self.frames.back().is_some_and(|(last, _)| *last >= even_ns) {
            self.frames.pop_back();
        }
        self.frames.push_back((even_ns, frame));
        true
    }

    /// The media time with the rounding of timestamps taken out, so that 33, 67, 100 ms is as even as it was meant, and
    /// for how many frames the cadence is known; let go where the source is not even.
    ///
    /// A line is fitted to the timestamps by least squares, one after the other: the expanding-memory filter of order
    /// one, with the gains 2(2n−1)/(n(n+1)) for the place and 6/(n(n+1)) for the period at the n-th. Its gains stand
    /// still at [`FITTED_FRAMES`], so that it forgets.
    fn even(&mut self, head: Head, media_ns: i64) -> (i64, i64) {
        let step = media_ns - head.raw_ns;
        let Some(period) = self.period_ns else {
            self.period_ns = (step <= PERIOD_MAX_NS).then_some(step);
            return (media_ns, 1);
        };
        // Some frames may have been lost on the way.
        let frames = ((step + period / 2) / period).clamp(1, 8);
        let expected = head.even_ns + frames * period;
        let error = media_ns - expected;
        if error.abs() <= ROUNDING_NS.min(period / 4) {
            let n = (head.known + 2).min(FITTED_FRAMES);
            let all = n * (n + 1);
            self.period_ns = Some((period + error * 6 / all / frames).max(1));
            return (expected + error * (4 * n - 2) / all, n - 1);
        }
        if step <= PERIOD_MAX_NS {
            self.period_ns = Some(step);
        }
        (media_ns.max(head.even_ns + 1), 1)
    }

    /// Takes the newest frame at or before `now_ns` out, with its media time, and says how many older ones were passed
    /// over.
    pub(super) fn take_due(&mut self, now_ns: i64) -> (Option<(i64, VideoFrame)>, u32) {
        let (mut due, mut passed) = (None, 0);
        while self.frames.front().is_some_and(|(at, _)| *at <= now_ns) {
            passed += u32::from(due.is_some());
            due = self.frames.pop_front();
        }
        (due, passed)
    }

    /// Drops the oldest frames down to `most` and says how many.
    pub(super) fn trim(&mut self, most: usize) -> u32 {
        let surplus = self.frames.len().saturating_sub(most);
        self.frames.drain(..surplus);
        surplus as u32
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame that is due first, with its media time.
    pub(super) fn first(&self) -> Option<&(i64, VideoFrame)> {
        self.frames.front()
    }

    pub(super) fn first_ns(&self) -> Option<i64> {
        self.frames.front().map(|(at, _)| *at)
    }

    /// Media time of the newest frame that ever came.
    pub(super) fn head_ns(&self) -> Option<i64> {
        self.head.map(|head| head.even_ns)
    }

    /// Time from frame to frame.
    pub(super) fn period_ns(&self) -> i64 {
        self.period_ns.unwrap_or(PERIOD_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Picture, Size};
    use std::sync::Arc;

    fn queue(times: impl Iterator<Item = i64>) -> VideoQueue {
        let picture = Arc::new(Picture::flat(Size::new(2, 2), [16, 128, 128]));
        let mut queue = VideoQueue::new();
        for pts_ns in times {
            queue.push(pts_ns, 1, VideoFrame { pts_ns, picture: picture.clone(), scaled: vec![] });
        }
        queue
    }

    #[test]
    fn rounded_timestamps_become_even() {
        for period_us in [41_708, 41_667, 40_000, 33_367, 33_333, 20_000, 16_683, 16_667, 8_333] {
            let times = (0..300).map(|k| (k * period_us + 500) / 1000 * 1_000_000);
            let queue = queue(times);
            for (k, (even_ns, _)) in queue.frames.iter().enumerate() {
                // Never further off than the timestamps themselves, and soon less than half of it.
                let limit = if k < 12 { 500_000 } else { 300_000 };
                let off = even_ns - k as i64 * period_us * 1000;
                assert!(off.abs() <= limit, "{period_us} µs, frame {k}: {off} ns off");
            }
            // Exact timestamps stay exact, to the nanosecond that they were rounded to.
            let exact = self::queue((0..300).map(|k| k * period_us * 1000 + k % 2));
            for (k, (even_ns, _)) in exact.frames.iter().enumerate() {
                assert!((even_ns - k as i64 * period_us * 1000).abs() < 64, "{period_us} µs, {k}");
            }
        }
    }

    #[test]
    fn uneven_timestamps_stay() {
        let times = [0, 33, 50, 128, 129, 300, 1300, 1333, 5000].map(|ms| ms * 1_000_000);
        let queue = queue(times.into_iter());
        let kept: Vec<_> = queue.frames.iter().map(|(at, _)| *at).collect();
        assert_eq!(kept, times);
    }

    #[test]
    fn duplicates_and_steps_back_are_dropped() {
        let queue = queue([0, 33, 33, 20, 66].into_iter().map(|ms| ms * 1_000_000));
        assert_eq!(queue.frames.len(), 3);
    }
}
