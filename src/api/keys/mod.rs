//! Access keys: who may call the API, and as what.
//!
//! Owns the keys that the running server knows. Must not know calls but in [`Role`]. Invariants: a secret is compared in
//! constant time and never printed; a revoked key opens nothing a moment after it was revoked.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use subtle::ConstantTimeEq;

use crate::catalog::ErrorCode;
use crate::limits::KEYS_REFRESH;

mod file;
mod role;

pub use file::{KeptKey, KeyFile, KeyState};
pub use role::Role;

use file::Stamp;

/// Longest key id or secret, bytes.
const MAX_BYTES: usize = 128;

/// Id, secret and role.
pub struct AccessKey {
    id: String,
    secret: String,
    role: Role,
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// There is none of this id, or the secret is not its.
    #[error("the access key is not known")]
    Unknown,
    /// It was revoked.
    #[error("the access key was revoked")]
    Revoked,
}

impl From<KeyProblem> for ErrorCode {
    fn from(problem: KeyProblem) -> ErrorCode {
        match problem {
            KeyProblem::Unknown => ErrorCode::AccessKeyIdNotFound,
            KeyProblem::Revoked => ErrorCode::AccessKeyIdInactive,
        }
    }
}

/// The access keys of this server: one that the configuration may name, and those of the data directory.
pub struct AccessKeys {
    configured: Option<Arc<AccessKey>>,
    file: Option<KeyFile>,
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    keys: BTreeMap<String, KeptKey>,
    stamp: Option<Stamp>,
}

impl Kept {
    fn new(keys: Vec<KeptKey>, stamp: Option<Stamp>) -> Kept {
        let keys = keys.into_iter().map(|kept| (kept.key.id.clone(), kept)).collect();
        Kept { keys, stamp }
    }
}

impl AccessKeys {
    /// One admin's key and no other, whatever is kept anywhere.
    ///
    /// # Errors
    /// When the id or the secret is empty, longer than 128 bytes or not of visible ASCII characters.
    pub fn new(id: &str, secret: &str) -> io::Result<AccessKeys> {
        let configured = Some(Arc::new(AccessKey::new(id, secret, Role::Admin)?));
        Ok(AccessKeys { configured, file: None, kept: RwLock::default() })
    }

    /// The keys kept in the data directory (mode 0600), and the `configured` id and secret, which are an admin's. When
    /// there are neither, an admin's key is made and kept.
    ///
    /// # Errors
    /// When the file cannot be read or written, is readable by others, or holds what is no key.
    pub fn open(data_dir: &Path, configured: Option<(&str, &str)>) -> io::Result<AccessKeys> {
        let configured = configured
            .map(|(id, secret)| AccessKey::new(id, secret, Role::Admin).map(Arc::new))
            .transpose()?;
        let file = KeyFile::of(data_dir);
        if configured.is_none() && file.keys()?.is_empty() {
            file.make(Role::Admin, None)?;
        }
        let stamp = file.stamp();
        let kept = RwLock::new(Kept::new(file.keys()?, stamp));
        Ok(AccessKeys { configured, file: Some(file), kept })
    }

    /// The key of this id. Says nothing of whoever names it: see [`AccessKeys::admit`], or verify a signature.
    ///
    /// # Errors
    /// When there is none, or it was revoked. The configured key cannot be revoked but by the configuration.
    pub fn get(&self, id: &str) -> Result<Arc<AccessKey>, KeyProblem> {
        if let Some(key) = self.configured.as_ref().filter(|key| key.id == id) {
            return Ok(Arc::clone(key));
        }
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        match kept.keys.get(id) {
            None => Err(KeyProblem::Unknown),
            Some(KeptKey { state: KeyState::Revoked, .. }) => Err(KeyProblem::Revoked),
            Some(KeptKey { state: KeyState::Active, key }) => Ok(Arc::clone(key)),
        }
    }

    /// The key of this id, for who knows its secret.
    ///
    /// # Errors
    /// When there is no such pair, or the key was revoked.
    pub fn admit(&self, id: &str, secret: &str) -> Result<Arc<AccessKey>, KeyProblem> {
        let key = self.get(id)?;
        let known = key.secret.as_bytes().ct_eq(secret.as_bytes());
        if known.into() { Ok(key) } else { Err(KeyProblem::Unknown) }
    }

    /// A key that may everything: the configured one, or the first of the kept ones. For a client in the same process
    /// and for naming its id in the log.
    pub fn admin(&self) -> Option<Arc<AccessKey>> {
        let is_admin = |kept: &&KeptKey| {
            kept.key.role == Role::Admin && matches!(kept.state, KeyState::Active)
        };
        self.configured.clone().or_else(|| {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            kept.keys.values().find(is_admin).map(|kept| Arc::clone(&kept.key))
        })
    }

    /// Follows the file for as long as it is polled: what `onair key` changes holds within [`KEYS_REFRESH`].
    pub async fn follow(&self) {
        let mut every = tokio::time::interval(KEYS_REFRESH);
        loop {
            every.tick().await;
            self.refresh();
        }
    }

    /// Takes over what the file says when it has changed. A file that is gone or cannot be read leaves the keys as they
    /// were, with a warning.
    fn refresh(&self) {
        let Some(file) = &self.file else { return };
        // Taken before the file is read: what changes in between is seen at the next look.
        let stamp = file.stamp();
        if self.kept.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return;
        }
        let read = match stamp {
            Some(_) => file.keys(),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "access keys changed");
                *kept = Kept::new(keys, stamp);
            }
            Err(error) => {
                tracing::warn!(%error, "access keys stay as they were");
                kept.stamp = stamp;
            }
        }
    }
}

impl AccessKey {
    fn new(id: &str, secret: &str, role: Role) -> io::Result<AccessKey> {
        let is_valid = |text: &str| {
            (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if !is_valid(id) || !is_valid(secret) {
            return Err(invalid(
                "an access key is an id and a secret of 1 to 128 visible ASCII characters each",
            ));
        }
        Ok(AccessKey { id: id.to_owned(), secret: secret.to_owned(), role })
    }

    /// Names it; not secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Proves it. For comparing and signing; never for a log or an answer.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// What its bearer may.
    pub fn role(&self) -> Role {
        self.role
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessKey({}, {})", self.id, self.role)
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKeys").field("configured", &self.configured).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
