//! Access keys: who may call the API.
//!
//! Must not know calls. Invariant: a secret is compared in constant time and never printed.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};

use super::secret;

/// File of the data directory that keeps the keys when the configuration names none: a line `ID SECRET` each.
const FILE_NAME: &str = "access-keys";
/// Longest key id or secret, bytes.
const MAX_BYTES: usize = 128;

/// The access keys of this server.
pub struct AccessKeys {
    keys: Vec<Arc<AccessKey>>,
}

/// An access key.
pub struct AccessKey {
    id: String,
    secret: String,
}

/// Why there is no key to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProblem {
    /// There never was one of this id.
    Unknown,
    /// It was revoked.
    Revoked,
}

impl AccessKeys {
    /// The one key that the configuration names.
    ///
    /// # Errors
    /// When the id or the secret is empty, longer than 128 bytes or not of visible ASCII characters.
    pub fn new(id: &str, secret: &str) -> io::Result<AccessKeys> {
        Ok(AccessKeys { keys: vec![Arc::new(AccessKey::parse(id, secret)?)] })
    }

    /// The keys kept in the data directory; at the first start one is made there (mode 0600).
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or holds no valid key.
    pub fn load_or_make(data_dir: &Path) -> io::Result<AccessKeys> {
        let text = secret::load_or_make(&data_dir.join(FILE_NAME), || {
            Ok(format!("onair-{} {}\n", secret::random_hex(8)?, secret::random_hex(24)?))
        })?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let keys: Vec<Arc<AccessKey>> = lines
            .map(|line| {
                let (id, secret) = line.trim().split_once(' ').unwrap_or((line, ""));
                AccessKey::parse(id, secret.trim()).map(Arc::new)
            })
            .collect::<io::Result<_>>()?;
        if keys.is_empty() {
            return Err(invalid("the file of access keys is empty"));
        }
        Ok(AccessKeys { keys })
    }

    /// Whether there is a key of this id and secret. Takes the same time for each wrong answer of the same length.
    pub fn admits(&self, id: &str, secret: &str) -> bool {
        let known = self.keys.iter().fold(Choice::from(0), |known, key| {
            known
                | (key.id.as_bytes().ct_eq(id.as_bytes())
                    & key.secret.as_bytes().ct_eq(secret.as_bytes()))
        });
        known.into()
    }

    /// The key of this id, for edges that prove it by a signature.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, id: &str) -> Result<Arc<AccessKey>, KeyProblem> {
        self.keys.iter().find(|key| key.id == id).cloned().ok_or(KeyProblem::Unknown)
    }

    /// Id and secret of the first key, for a client in the same process and for naming the id in the log.
    pub fn first(&self) -> (&str, &str) {
        // There is at least one: both constructors see to it.
        self.keys.first().map_or(("", ""), |key| (&key.id, &key.secret))
    }
}

impl AccessKey {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its secret, to compute a signature with.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    fn parse(id: &str, secret: &str) -> io::Result<AccessKey> {
        let is_valid = |text: &str| {
            (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if !is_valid(id) || !is_valid(secret) {
            return Err(invalid(
                "an access key is an id and a secret of 1 to 128 visible ASCII characters each",
            ));
        }
        Ok(AccessKey { id: id.to_owned(), secret: secret.to_owned() })
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_pair_is_admitted() {
        let keys = AccessKeys::new("id", "secret").unwrap();
        for (id, secret, admitted) in [
            ("id", "secret", true),
            ("id", "secreT", false),
            ("iD", "secret", false),
            ("id", "", false),
            ("", "", false),
            ("id", "secret ", false),
        ] {
            assert_eq!(keys.admits(id, secret), admitted, "{id:?} {secret:?}");
        }
        assert!(!format!("{keys:?}").contains("secret"));
        for (id, secret) in [("", "s"), ("i", ""), ("i d", "s"), ("i", "s\n")] {
            assert!(AccessKeys::new(id, secret).is_err(), "{id:?} {secret:?}");
        }
    }

    #[test]
    fn a_made_key_is_kept_and_private() {
        let dir = std::env::temp_dir().join(format!("onair-keys-{}", uuid::Uuid::new_v4()));
        let made = AccessKeys::load_or_make(&dir).unwrap();
        let again = AccessKeys::load_or_make(&dir).unwrap();
        assert_eq!(made.first(), again.first());
        assert!(again.admits(made.first().0, made.first().1));
        let file = dir.join(FILE_NAME);
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(AccessKeys::load_or_make(&dir).is_err(), "others may read it");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
