//! How often a key may call an operation: a token bucket for each pair.
//!
//! Must not read a clock. Invariant: there are no more buckets than keys times operations, so only keys that were proven
//! may come here.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::fault::Fault;

/// Thousandths of a call: what a bucket counts in.
const CALL: u64 = 1000;

/// The limit of every operation, and how far it is used up.
#[derive(Debug)]
pub struct Rate {
    /// The documented calls per second, times this; 0 = no limit.
    scale: u32,
    buckets: Mutex<BTreeMap<(String, &'static str), Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a call that are left.
    left: u64,
    filled_unix_ms: u64,
}

impl Rate {
    /// A limit of `scale` times what the documentation grants; 0 = none.
    pub fn new(scale: u32) -> Rate {
        Rate { scale, buckets: Mutex::default() }
    }

    /// Takes a call of an operation that is granted `qps` calls per second. A second's worth may come at once.
    ///
    /// # Errors
    /// `Throttling.User`, with the time until there is a call again.
    pub(super) fn take(
        &self,
        key_id: &str,
        operation: &'static str,
        qps: u32,
        now_unix_ms: u64,
    ) -> Result<(), Fault> {
        if self.scale == 0 {
            return Ok(());
        }
        let per_s = u64::from(qps) * u64::from(self.scale);
        let mut buckets = self.buckets.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let bucket = buckets
            .entry((key_id.to_owned(), operation))
            .or_insert(Bucket { left: per_s * CALL, filled_unix_ms: now_unix_ms });
        // calls per s × ms = thousandths of a call
        let passed_ms = now_unix_ms.saturating_sub(bucket.filled_unix_ms);
        bucket.left = (bucket.left + per_s.saturating_mul(passed_ms)).min(per_s * CALL);
        bucket.filled_unix_ms = now_unix_ms;
        match bucket.left.checked_sub(CALL) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(Fault::throttled((CALL - bucket.left).div_ceil(per_s))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_at_once_then_as_granted() {
        let rate = Rate::new(2);
        let accepted = |key: &str, operation, at_ms| {
            (0..100).filter(|_| rate.take(key, operation, 4, at_ms).is_ok()).count()
        };
        for (key, operation, at_ms, expected) in [
            ("a", "X", 1000, 8),
            ("a", "X", 1124, 0),
            ("a", "X", 1125, 1),
            ("a", "Y", 1125, 8),
            ("b", "X", 1125, 8),
            ("a", "X", 500, 0),
            ("a", "X", 900_000, 8),
        ] {
            assert_eq!(accepted(key, operation, at_ms), expected, "{key} {operation} at {at_ms}");
        }
        let refused = rate.take("a", "X", 4, 900_100).unwrap_err();
        let wait_ms = refused.retry_after_ms.unwrap();
        assert!(rate.take("a", "X", 4, 900_100 + wait_ms - 1).is_err(), "before {wait_ms} ms");
        assert!(rate.take("a", "X", 4, 900_100 + wait_ms).is_ok(), "after {wait_ms} ms");
        let off = Rate::new(0);
        assert!((0..1000).all(|_| off.take("a", "X", 4, 0).is_ok()));
    }
}
