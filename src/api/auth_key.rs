//! The `auth_key` of stream addresses ("type A"): `{unix s}-{rand}-{uid}-{md5(path-unix-rand-uid-secret)}`.
//!
//! Must not know streams or players. Invariant: a key opens one path until one time; it is compared in constant time.

use std::fmt;
use std::io;
use std::path::Path;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use super::secret;

/// File of the data directory that keeps the secret.
const FILE_NAME: &str = "stream-key";

/// The secret that stream addresses are signed with.
#[derive(Clone)]
pub struct StreamKey {
    secret: String,
}

impl StreamKey {
    /// A key with this secret.
    pub fn new(secret: impl Into<String>) -> StreamKey {
        StreamKey { secret: secret.into() }
    }

    /// The key kept in the data directory; made there (mode 0600) at the first start.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or is empty.
    pub fn load_or_make(data_dir: &Path) -> io::Result<StreamKey> {
        let text = secret::load_or_make(&data_dir.join(FILE_NAME), || secret::random_hex(32))?;
        let secret = text.trim();
        if secret.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the stream key is empty"));
        }
        Ok(StreamKey::new(secret))
    }

    /// The `auth_key` that opens `path` (from its leading slash on, without query) until `expires_unix_s`.
    pub fn sign(&self, path: &str, expires_unix_s: u64) -> String {
        self.key(path, &expires_unix_s.to_string(), "0", "0")
    }

    /// Whether `auth_key` opens `path` at `now_unix_s`.
    pub fn verify(&self, path: &str, auth_key: &str, now_unix_s: u64) -> bool {
        let parts: Vec<&str> = auth_key.splitn(5, '-').collect();
        let [expires, rand, uid, _] = parts[..] else { return false };
        let is_in_time = expires.parse::<u64>().is_ok_and(|expires| expires >= now_unix_s);
        let expected = self.key(path, expires, rand, uid);
        is_in_time & bool::from(expected.as_bytes().ct_eq(auth_key.as_bytes()))
    }

    fn key(&self, path: &str, expires: &str, rand: &str, uid: &str) -> String {
        let signed = format!("{path}-{expires}-{rand}-{uid}-{}", self.secret);
        let digest = Md5::digest(signed.as_bytes());
        format!("{expires}-{rand}-{uid}-{}", secret::hex(digest.as_slice()))
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_form() {
        // md5("/video/standard/1K.html-1444435200-0-0-aliyuncdnexp1234"), the vendor's published example.
        let key = StreamKey::new("aliyuncdnexp1234").sign("/video/standard/1K.html", 1_444_435_200);
        assert_eq!(key, "1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f");
    }

    #[test]
    fn a_key_opens_one_path_until_one_time() {
        let key = StreamKey::new("s3cret");
        let good = key.sign("/caster/a", 1000);
        let flipped = format!("{}0", &good[..good.len() - 1]);
        let later = good.replacen("1000", "2000", 1);
        for (path, auth_key, now, opens) in [
            ("/caster/a", &good[..], 1000, true),
            ("/caster/a", &good, 0, true),
            ("/caster/a", &good, 1001, false),
            ("/caster/b", &good, 1000, false),
            ("/caster/a", &flipped, 1000, flipped == good),
            ("/caster/a", &later, 1000, false),
            ("/caster/a", "", 1000, false),
            ("/caster/a", "---", 1000, false),
            ("/caster/a", "1000-0-0", 1000, false),
            ("/caster/a", &format!("{good}-"), 1000, false),
            ("/caster/a", &good.to_uppercase(), 1000, good == good.to_uppercase()),
        ] {
            assert_eq!(key.verify(path, auth_key, now), opens, "{path} {auth_key} {now}");
        }
        assert!(!StreamKey::new("other").verify("/caster/a", &good, 1000));
    }
}
