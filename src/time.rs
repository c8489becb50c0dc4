//! Time: exact rational ticks, the one clock, and the pacer that waits for a deadline.
//!
//! Owns every look at the wall clock and the monotonic clock (nothing else may call `Instant::now`).
//! Must not know what happens at a tick. Invariant: tick `n` is at exactly `n / frame rate` seconds,
//! computed from integers, so nothing drifts however long the show runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::worker::StopToken;

/// Audio sample rate of every mix and every output, in Hz.
pub const SAMPLE_RATE: u32 = 48_000;

/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// Output frame rate as an exact fraction, frames per second = `num / den`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: u32,
    den: u32,
}

impl FrameRate {
    /// The rates a programme can run at: 25, 30, 50, 60, 30000/1001 and 60000/1001.
    pub const SUPPORTED: [FrameRate; 6] = [
        FrameRate { num: 25, den: 1 },
        FrameRate { num: 30, den: 1 },
        FrameRate { num: 50, den: 1 },
        FrameRate { num: 60, den: 1 },
        FrameRate { num: 30_000, den: 1001 },
        FrameRate { num: 60_000, den: 1001 },
    ];

    /// 30 frames per second, the default.
    pub const FPS_30: FrameRate = FrameRate { num: 30, den: 1 };

    /// The supported rate `num / den`, or `None`.
    pub fn new(num: u32, den: u32) -> Option<FrameRate> {
        Self::SUPPORTED.into_iter().find(|r| r.num == num && r.den == den)
    }

    /// Numerator, in frames.
    pub fn num(self) -> u32 {
        self.num
    }

    /// Denominator, in seconds.
    pub fn den(self) -> u32 {
        self.den
    }

    /// Time of tick `n` in nanoseconds since tick 0, rounded down.
    pub fn tick_ns(self, n: u64) -> u64 {
        scale(n, u128::from(self.den) * u128::from(NS_PER_S), u128::from(self.num))
    }

    /// The last tick at or before `ns` nanoseconds.
    pub fn tick_at(self, ns: u64) -> u64 {
        // tick_ns rounds down, so the tick whose rounded time equals `ns` is the next one up.
        let n = scale(ns, u128::from(self.num), u128::from(self.den) * u128::from(NS_PER_S));
        if self.tick_ns(n + 1) <= ns { n + 1 } else { n }
    }

    /// The tick that is on air `offset_ns` nanoseconds after tick 0 began, 0 for offsets before it: tick `n` is on air
    /// from [`FrameRate::tick_ns`] of `n` until that of `n + 1`. With the wall-clock time of tick 0 this maps any
    /// wall-clock time to its tick.
    pub fn tick_at_offset(self, offset_ns: i128) -> u64 {
        self.tick_at(u64::try_from(offset_ns.max(0)).unwrap_or(u64::MAX))
    }

    /// Index of the first audio sample (48 kHz) of tick `n`; samples of tick `n` end where tick `n + 1` begins.
    pub fn sample_at(self, n: u64) -> u64 {
        scale(n, u128::from(self.den) * u128::from(SAMPLE_RATE), u128::from(self.num))
    }

    /// Number of samples that belong to tick `n`.
    pub fn samples_in(self, n: u64) -> usize {
        // At most 1920 at 25 fps, so it fits any usize.
        (self.sample_at(n + 1) - self.sample_at(n)) as usize
    }

    /// Length of a frame in nanoseconds, rounded down.
    pub fn frame_ns(self) -> u64 {
        self.tick_ns(1)
    }
}

fn scale(n: u64, mul: u128, div: u128) -> u64 {
    // 2^64 ns is 584 years: a result that does not fit would be a bug upstream.
    u64::try_from(u128::from(n) * mul / div).unwrap_or(u64::MAX)
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}

impl FromStr for FrameRate {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (num, den) = s.split_once('/').unwrap_or((s, "1"));
        num.trim()
            .parse()
            .ok()
            .zip(den.trim().parse().ok())
            .and_then(|(num, den)| FrameRate::new(num, den))
            .ok_or_else(|| {
                format!("frame rate {s:?} is not one of 25, 30, 50, 60, 30000/1001, 60000/1001")
            })
    }
}

/// The clock that the live frame loop and the workers read; offline rendering reads none.
#[derive(Clone, Debug)]
pub enum Clock {
    /// Monotonic time since the clock was made.
    Real(Instant),
    /// Time that a test sets.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A monotonic clock that reads zero now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the monotonic clock"
    )]
    pub fn real() -> Clock {
        Clock::Real(Instant::now())
    }

    /// A clock that stands still until [`Clock::advance`].
    pub fn manual() -> Clock {
        Clock::Manual(Arc::default())
    }

    /// Nanoseconds since the clock was made.
    pub fn now_ns(&self) -> u64 {
        match self {
            Clock::Real(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Clock::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// Moves a manual clock on by `ns`; a real clock cannot be moved.
    pub fn advance(&self, ns: u64) {
        if let Clock::Manual(now) = self {
            now.fetch_add(ns, Ordering::AcqRel);
        }
    }

    /// Waits until the clock reads `deadline_ns` or `stop` is set; returns false when stopped.
    /// A manual clock never waits.
    pub fn wait_until(&self, deadline_ns: u64, stop: &StopToken) -> bool {
        if matches!(self, Clock::Manual(_)) {
            return !stop.is_stopped();
        }
        loop {
            let left_ns = deadline_ns.saturating_sub(self.now_ns());
            if left_ns == 0 {
                return !stop.is_stopped();
            }
            if stop.wait(Duration::from_nanos(left_ns)) {
                return false;
            }
        }
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC.
pub fn unix_ms() -> u64 {
    u64::try_from(unix_ns() / 1_000_000).unwrap_or(u64::MAX)
}

/// The same in nanoseconds.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the wall clock")]
pub fn unix_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_exact_for_days() {
        for rate in FrameRate::SUPPORTED {
            let per_day = rate.tick_at(86_400 * NS_PER_S);
            for n in [0, 1, 2, 1000, per_day, per_day * 30] {
                let ns = rate.tick_ns(n);
                assert_eq!(rate.tick_at(ns), n, "{rate} tick {n}");
                if ns > 0 {
                    assert_eq!(rate.tick_at(ns - 1), n - 1, "{rate} just before tick {n}");
                }
            }
            // 1001 seconds are a whole number of frames and samples at every supported rate.
            let whole = rate.num() as u64 * 1001 / rate.den() as u64;
            assert_eq!(rate.tick_ns(whole), 1001 * NS_PER_S, "{rate}");
            assert_eq!(rate.sample_at(whole), 1001 * u64::from(SAMPLE_RATE), "{rate}");
            let sum: usize = (0..whole).map(|n| rate.samples_in(n)).sum();
            assert_eq!(sum as u64, 1001 * u64::from(SAMPLE_RATE), "{rate}");
        }
    }

    #[test]
    fn an_offset_belongs_to_the_tick_on_air() {
        let ntsc = FrameRate::new(30_000, 1001).unwrap();
        let day = i128::from(86_400 * NS_PER_S);
        // 30000/1001: tick 1 at 33 366 666.67 ns, tick 2 at 66 733 333.33, tick 30000 at 1001 s.
        let table = [
            (FrameRate::FPS_30, i128::MIN, 0),
            (FrameRate::FPS_30, -1, 0),
            (FrameRate::FPS_30, 0, 0),
            (FrameRate::FPS_30, 33_333_332, 0),
            (FrameRate::FPS_30, 33_333_333, 1),
            (FrameRate::FPS_30, day - 1, 2_591_999),
            (FrameRate::FPS_30, day, 2_592_000),
            (ntsc, 33_366_665, 0),
            (ntsc, 33_366_666, 1),
            (ntsc, 66_733_332, 1),
            (ntsc, 66_733_333, 2),
            (ntsc, 1001 * i128::from(NS_PER_S) - 1, 29_999),
            (ntsc, 1001 * i128::from(NS_PER_S), 30_000),
        ];
        for (rate, offset_ns, tick) in table {
            assert_eq!(rate.tick_at_offset(offset_ns), tick, "{rate} at {offset_ns} ns");
        }
        // No wall-clock time is out of range.
        assert!(ntsc.tick_at_offset(i128::MAX) >= ntsc.tick_at_offset(day * 365 * 100));
    }

    #[test]
    fn rates_parse_and_print() {
        for (text, ok) in
            [("25", true), ("30000/1001", true), ("24", false), ("30/0", false), ("x", false)]
        {
            match text.parse::<FrameRate>() {
                Ok(rate) => assert!(ok && rate.to_string() == text, "{text}"),
                Err(message) => assert!(!ok && message.contains(text), "{text}: {message}"),
            }
        }
    }
}
