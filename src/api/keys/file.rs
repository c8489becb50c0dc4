//! The file that keeps the access keys: a line `ID SECRET ROLE STATE` each.
//!
//! Must not know who calls. Invariants: the file is whole at every moment and read by its owner only; of two changes
//! at once none is lost; no error tells a secret.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AccessKey, Role, invalid};
use crate::api::secret;
use crate::limits::MAX_ACCESS_KEYS;

const FILE_NAME: &str = "access-keys";
/// Held while the file is changed. Another file, because the file itself is replaced by each change.
const LOCK_NAME: &str = "access-keys.lock";

/// Whether a key opens anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It does.
    Active,
    /// Never again.
    Revoked,
}

impl KeyState {
    /// Its name in files and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyState::Active => "active",
            KeyState::Revoked => "revoked",
        }
    }
}

/// A key as it is kept.
#[derive(Clone, Debug)]
pub struct KeptKey {
    /// The key.
    pub key: Arc<AccessKey>,
    /// Whether it opens anything.
    pub state: KeyState,
}

impl KeptKey {
    /// Keys kept before there were roles have two fields and are admins.
    fn parse(line: &str) -> Option<io::Result<KeptKey>> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (id, secret, role, state) = match fields[..] {
            [id, secret] => (id, secret, Role::Admin, KeyState::Active),
            [id, secret, role, state] => {
                let states = [KeyState::Active, KeyState::Revoked];
                let state = states.into_iter().find(|known| known.as_str() == state)?;
                (id, secret, role.parse().ok()?, state)
            }
            _ => return None,
        };
        let key = AccessKey::new(id, secret, role);
        Some(key.map(|key| KeptKey { key: Arc::new(key), state }))
    }

    fn line(&self) -> String {
        let AccessKey { id, secret, role } = &*self.key;
        format!("{id} {secret} {role} {}\n", self.state.as_str())
    }
}

/// Tells whether a file is still the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// The file of one data directory.
#[derive(Debug)]
pub struct KeyFile {
    dir: PathBuf,
    path: PathBuf,
}

impl KeyFile {
    /// That of `data_dir`; it need not exist yet.
    pub fn of(data_dir: &Path) -> KeyFile {
        KeyFile { dir: data_dir.to_owned(), path: data_dir.join(FILE_NAME) }
    }

    /// Makes a key of random secret, and of random id if none is given.
    ///
    /// # Errors
    /// When the id is in use or not of 1 to 128 visible ASCII characters, there are [`MAX_ACCESS_KEYS`], or the file
    /// cannot be read or written.
    pub fn make(&self, role: Role, id: Option<&str>) -> io::Result<Arc<AccessKey>> {
        self.change(|keys| {
            let random = || Ok::<_, io::Error>(format!("onair-{}", secret::random_hex(8)?));
            let id = id.map_or_else(random, |id| Ok(id.to_owned()))?;
            if keys.iter().any(|kept| kept.key.id == id) {
                return Err(invalid(format!("there is a key {id:?} already, choose another id")));
            }
            if keys.len() >= MAX_ACCESS_KEYS {
                return Err(invalid(format!("there are {MAX_ACCESS_KEYS} keys, no more fit")));
            }
            let key = Arc::new(AccessKey::new(&id, &secret::random_hex(24)?, role)?);
            keys.push(KeptKey { key: Arc::clone(&key), state: KeyState::Active });
            Ok(key)
        })
    }

    /// Revokes a key, for good. A key that is revoked already stays so.
    ///
    /// # Errors
    /// When there is no key of this id, or the file cannot be read or written.
    pub fn revoke(&self, id: &str) -> io::Result<()> {
        self.change(|keys| {
            let kept = keys.iter_mut().find(|kept| kept.key.id == id);
            let kept = kept.ok_or_else(|| invalid(format!("there is no key {id:?}")))?;
            kept.state = KeyState::Revoked;
            Ok(())
        })
    }

    /// The keys in the order in which they were made; none when there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or a line of it is no key.
    pub fn keys(&self) -> io::Result<Vec<KeptKey>> {
        let Some(text) = secret::read(&self.path)? else { return Ok(Vec::new()) };
        let mut keys: Vec<KeptKey> = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at = || format!("line {} of {}", index + 1, self.path.display());
            let form = || invalid(format!("{} is not ID SECRET ROLE STATE", at()));
            let kept = KeptKey::parse(line).ok_or_else(form)?;
            let kept = kept.map_err(|error| invalid(format!("{}: {error}", at())))?;
            if keys.iter().any(|other| other.key.id == kept.key.id) {
                return Err(invalid(format!("{} has an id that is in use", at())));
            }
            keys.push(kept);
        }
        Ok(keys)
    }

    /// What the file is now; `None` when there is none.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let meta = fs::metadata(&self.path).ok()?;
        let modified = (meta.mtime(), meta.mtime_nsec());
        Some(Stamp { inode: meta.ino(), bytes: meta.len(), modified })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<KeptKey>) -> io::Result<T>) -> io::Result<T> {
        fs::create_dir_all(&self.dir)?;
        let _held = self.lock()?;
        let mut keys = self.keys()?;
        let changed = change(&mut keys)?;
        let text: String = keys.iter().map(KeptKey::line).collect();
        secret::write_whole(&self.path, &text)?;
        Ok(changed)
    }

    /// Waits until nobody else changes the file; the lock ends with the value.
    fn lock(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.dir.join(LOCK_NAME))?;
        file.lock()?;
        Ok(file)
    }
}
