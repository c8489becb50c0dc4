//! Waits between attempts.
//!
//! Must not know what is attempted. Invariant: a wait is between half of its step and the whole; steps double up to the
//! longest.

use std::time::Duration;

/// How long to wait before the next attempt. Part of a wait is left to chance, so that those who lost the same server do not
/// come back to it at the same moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    step: Duration,
}

impl Backoff {
    /// Waits of `first`, twice that, and so on up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, step: first }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(self.longest);
        // Without a source of chance the whole step is as good.
        let share = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
        step.mul_f64(0.5 + share / 2.0)
    }

    /// The attempt was a good one.
    pub fn reset(&mut self) {
        self.step = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_are_bounded_and_differ() {
        let ms = Duration::from_millis;
        let mut waits = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let mut backoff = Backoff::new(ms(250), ms(10_000));
            for step in [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000].map(ms) {
                let wait = backoff.next_wait();
                assert!((step / 2..=step).contains(&wait), "{wait:?} of {step:?}");
                waits.insert(wait);
            }
            backoff.reset();
            assert!(backoff.next_wait() <= ms(250));
        }
        assert!(waits.len() > 20, "{waits:?}");
    }
}
