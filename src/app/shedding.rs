//! What is not made while the machine is overloaded: PVW first, then the renditions, the smallest first; never PGM.
//!
//! Owns when there is too much and when it is over. Must not know how less is made. Invariants: it goes one level at a time,
//! each time long enough to see what came of it; a level that had to be taken again soon is kept twice as long, so that
//! nothing flaps.

use std::time::Duration;

use crate::limits::{
    MAX_RENDITIONS, OVERLOAD_PERCENT, SHED_CALM, SHED_CALM_MAX, SHED_LOOK, SHED_OVERLOADS,
    SHED_TICKS,
};

/// How much is not made: 0 nothing, 1 PVW, n + 1 the n smallest renditions of each caster too.
pub(super) type Level = usize;

/// The highest level.
const MAX_LEVEL: Level = 1 + MAX_RENDITIONS;

/// How the ticks of all shows fared so far, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Ticks that were due.
    pub(super) ticks: u64,
    /// Of those the ones without a picture of their own because there was no time for it.
    pub(super) missed: u64,
}

/// When less is made.
#[derive(Debug)]
pub(super) struct Shedding {
    level: Level,
    /// At the last look.
    seen: Tally,
    seen_ns: u64,
    /// Since when nothing was missed.
    calm_since_ns: u64,
    /// How long that must be.
    calm: Duration,
    /// Looks in a row that found too much.
    overloads: u32,
    /// When the level last went down.
    lowered_ns: Option<u64>,
}

impl Default for Shedding {
    fn default() -> Self {
        Shedding {
            level: 0,
            seen: Tally::default(),
            seen_ns: 0,
            calm_since_ns: 0,
            calm: SHED_CALM,
            overloads: 0,
            lowered_ns: None,
        }
    }
}

impl Shedding {
    /// The level now.
    pub(super) fn level(&self) -> Level {
        self.level
    }

    /// Takes in how all ticks fared until now, by a clock that does not go back; the new level, if it changes.
    pub(super) fn look(&mut self, now_ns: u64, now: Tally) -> Option<Level> {
        if since(self.seen_ns, now_ns) < SHED_LOOK {
            return None;
        }
        // Fewer than before: shows have ended, and are not counted any more.
        let ticks = now.ticks.saturating_sub(self.seen.ticks);
        let missed = now.missed.saturating_sub(self.seen.missed);
        (self.seen, self.seen_ns) = (now, now_ns);
        if ticks >= SHED_TICKS && missed * 100 > ticks * OVERLOAD_PERCENT {
            self.calm_since_ns = now_ns;
            self.overloads += 1;
            // Something that broke and began again costs a look.
            if self.overloads < SHED_OVERLOADS || self.level == MAX_LEVEL {
                return None;
            }
            self.overloads = 0;
            let is_again = self.lowered_ns.is_some_and(|ns| since(ns, now_ns) < self.calm);
            self.calm = if is_again { (self.calm * 2).min(SHED_CALM_MAX) } else { SHED_CALM };
            self.level += 1;
            return Some(self.level);
        }
        self.overloads = 0;
        if self.level == 0 || since(self.calm_since_ns, now_ns) < self.calm {
            return None;
        }
        self.level -= 1;
        (self.calm_since_ns, self.lowered_ns) = (now_ns, Some(now_ns));
        Some(self.level)
    }
}

fn since(then_ns: u64, now_ns: u64) -> Duration {
    Duration::from_nanos(now_ns.saturating_sub(then_ns))
}

/// What a level leaves out, in words.
pub(super) fn told(level: Level) -> String {
    match level {
        0 => "everything is made".to_owned(),
        1 => "PVW is not made".to_owned(),
        more => format!(
            "PVW is not made, and the smallest renditions ({}) change their picture at keyframes only",
            more - 1
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_made_step_by_step_and_comes_back_in_calm() {
        let mut shedding = Shedding::default();
        let mut tally = Tally::default();
        // Until which second, ticks missed of the 30 of each second, and the level at the end.
        for (until_s, missed, level) in [
            (10, 0, 0),
            // Once is not enough.
            (12, 15, 0),
            (14, 15, 1),
            (18, 15, 2),
            // Little is missed.
            (32, 1, 2),
            (34, 1, 1),
            // At once again: that level is kept twice as long.
            (38, 15, 2),
            (66, 0, 2),
            (68, 0, 1),
            (96, 0, 1),
            (98, 0, 0),
            (200, 0, 0),
            (204, 15, 1),
            (218, 0, 1),
            (220, 0, 0),
        ] {
            while tally.ticks < until_s * 30 {
                tally.ticks += 30;
                tally.missed += missed;
                shedding.look(tally.ticks / 30 * 1_000_000_000, tally);
            }
            assert_eq!(shedding.level(), level, "at {until_s} s");
        }
        for _ in 0..100 {
            tally.ticks += 90;
            tally.missed += 90;
            shedding.look(tally.ticks / 30 * 1_000_000_000, tally);
        }
        assert_eq!(shedding.level(), MAX_LEVEL);
    }

    #[test]
    fn shows_that_end_are_no_overload() {
        let mut shedding = Shedding::default();
        let busy = Tally { ticks: 90_000, missed: 100 };
        assert_eq!(shedding.look(3_000_000_000, busy), None);
        assert_eq!(shedding.look(6_000_000_000, Tally { ticks: 60, missed: 0 }), None);
        assert_eq!(shedding.look(9_000_000_000, Tally { ticks: 150, missed: 50 }), None);
        assert_eq!(shedding.look(12_000_000_000, Tally { ticks: 240, missed: 100 }), Some(1));
    }
}
