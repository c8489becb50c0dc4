//! Nonces that were used, so that a request that was listened to cannot be sent again.
//!
//! Must not know signatures: who comes here has proven them. Invariant: a nonce is remembered for as long as a request
//! that bears it could be accepted; when that would take more memory than allowed, new requests are refused.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use crate::api::openapi::fault::Fault;
use crate::catalog::ErrorCode;
use crate::limits;

/// Seconds that are forgotten together.
const SLOT_S: u64 = 60;

/// The first half of a digest: as good as the nonce itself, and small whatever the client sends.
type Mark = [u8; 16];

/// The nonces of all keys.
#[derive(Debug, Default)]
pub(in crate::api::openapi) struct Nonces {
    keys: Mutex<BTreeMap<String, BTreeMap<u64, HashSet<Mark>>>>,
}

impl Nonces {
    /// Uses up the nonce of a key until `until_unix_s`.
    ///
    /// # Errors
    /// `SignatureNonceUsed`; `Throttling.User` when the key has used [`limits::API_NONCES_PER_KEY`].
    pub(super) fn take(
        &self,
        key_id: &str,
        nonce: &str,
        until_unix_s: u64,
        now_unix_s: u64,
    ) -> Result<(), Fault> {
        let mut mark = Mark::default();
        mark.copy_from_slice(&Sha256::digest(nonce.as_bytes())[..16]);
        let mut keys = self.keys.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let slots = keys.entry(key_id.to_owned()).or_default();
        // A slot ends after the last second that it holds.
        *slots = slots.split_off(&(now_unix_s / SLOT_S));
        if slots.values().any(|used| used.contains(&mark)) {
            return Err(ErrorCode::SignatureNonceUsed.into());
        }
        if slots.values().map(HashSet::len).sum::<usize>() >= limits::API_NONCES_PER_KEY {
            let first = slots.keys().next().copied().unwrap_or(until_unix_s / SLOT_S);
            return Err(Fault::throttled(((first + 1) * SLOT_S - now_unix_s) * 1000));
        }
        slots.entry(until_unix_s / SLOT_S).or_default().insert(mark);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_per_key_while_it_lasts() {
        let nonces = Nonces::default();
        for (key, nonce, until_s, now_s, is_fresh) in [
            ("a", "1", 1900, 1000, true),
            ("a", "1", 1900, 1000, false),
            ("a", "2", 1900, 1000, true),
            ("b", "1", 1900, 1000, true),
            ("a", "1", 2800, 1900, false),
            ("a", "3", 2800, 1970, true),
            ("a", "1", 2800, 1980, true),
        ] {
            let taken = nonces.take(key, nonce, until_s, now_s);
            assert_eq!(taken.is_ok(), is_fresh, "{key} {nonce} at {now_s}");
        }
    }

    #[test]
    fn full_is_refused_not_forgotten() {
        let nonces = Nonces::default();
        for n in 0..limits::API_NONCES_PER_KEY {
            let mark = Mark::try_from(&(n as u128).to_le_bytes()[..]).unwrap();
            let mut keys = nonces.keys.lock().unwrap();
            keys.entry("a".into()).or_default().entry(9).or_default().insert(mark);
        }
        let refused = nonces.take("a", "new", 600, 0).unwrap_err();
        assert_eq!((&*refused.code, refused.retry_after_ms), ("Throttling.User", Some(600_000)));
        assert!(nonces.take("b", "new", 600, 0).is_ok());
        assert!(nonces.take("a", "new", 1200, 599).is_err());
        assert!(nonces.take("a", "new", 1200, 600).is_ok());
    }
}
