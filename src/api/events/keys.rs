//! The two keys of events: one signs what receivers are sent, one signs the tokens that let browsers follow.
//!
//! Must not know who asks. Invariants: each is made once and kept in its own file (mode 0600); signatures are compared in
//! constant time.

use std::fmt;
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::api::secret;
use crate::ids::CasterId;

const CALLBACK_FILE: &str = "callback-key";
const WATCH_FILE: &str = "watch-key";

/// Signs the events that receivers are sent.
#[derive(Clone)]
pub struct CallbackKey(String);

/// Signs the tokens that let whoever bears one follow a caster's events.
#[derive(Clone)]
pub struct WatchKey(String);

fn load_or_make(path: &Path) -> io::Result<String> {
    let text = secret::load_or_make(path, || secret::random_hex(32))?;
    match text.trim() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, "the key is empty")),
        key => Ok(key.to_owned()),
    }
}

fn mac(key: &str, text: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(text.as_bytes());
    secret::hex(&mac.finalize().into_bytes())
}

impl CallbackKey {
    /// The key kept in the data directory; made there at the first time.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or is empty.
    pub fn load_or_make(data_dir: &Path) -> io::Result<CallbackKey> {
        load_or_make(&data_dir.join(CALLBACK_FILE)).map(CallbackKey)
    }

    /// The signature of a body that is sent at this time: `v1=` and the HMAC-SHA256 of `{unix_s}.{body}` in hex, by
    /// the key's text.
    pub fn signature(&self, unix_s: u64, body: &str) -> String {
        format!("v1={}", mac(&self.0, &format!("{unix_s}.{body}")))
    }

    /// Its text, for the receiver who verifies signatures; never for a log or an answer.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl WatchKey {
    /// A key with this secret.
    pub fn new(secret: impl Into<String>) -> WatchKey {
        WatchKey(secret.into())
    }

    /// The key kept in the data directory; made there at the first time.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or is empty.
    pub fn load_or_make(data_dir: &Path) -> io::Result<WatchKey> {
        load_or_make(&data_dir.join(WATCH_FILE)).map(WatchKey)
    }

    /// A token that lets its bearer follow the events of a caster until `expires_unix_s`: `{expires_unix_s}-{hex}`.
    pub fn watch_token(&self, caster: &CasterId, expires_unix_s: u64) -> String {
        let signature = mac(&self.0, &format!("watch.{expires_unix_s}.{caster}"));
        format!("{expires_unix_s}-{signature}")
    }

    /// Whether a token is good for this caster now.
    pub fn verify(&self, token: &str, caster: &CasterId, now_unix_s: u64) -> bool {
        let Some(expires) = token.split('-').next().and_then(|text| text.parse().ok()) else {
            return false;
        };
        let expected = self.watch_token(caster, expires);
        (now_unix_s <= expires) & bool::from(expected.as_bytes().ct_eq(token.as_bytes()))
    }
}

impl fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallbackKey(…)")
    }
}

impl fmt::Debug for WatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchKey(…)")
    }
}
