//! Where the catalog is kept: SQLite in the data directory, the only room with SQL.
//!
//! Owns the file, its schema, the form of its rows (`rows`) and the thread that writes (`keeper`). Must not know calls or
//! rules. Invariants: what is written is on disk, whole, when [`Store::write`] returns (WAL, `synchronous=FULL`, one
//! transaction); a file of a newer schema is refused, never changed.

mod keeper;
mod outbox;
mod recordings;
mod rows;
#[cfg(test)]
mod tests;
mod uploads;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};

use crate::catalog::{Caster, Catalog, Change, EpisodeGroup};
use crate::ids::RecordingId;
use crate::recording::Recording;

pub use keeper::Keeper;
pub use outbox::Letter;
pub use recordings::{Mark, Page};
pub use uploads::{Sent, Uploaded};

/// File of the data directory.
const FILE_NAME: &str = "onair.db";

/// Schema changes, oldest first: number n leads from version n to n + 1. Append only.
const MIGRATIONS: &[&str] = &[
    // 1: a row per caster, its body as JSON (see `rows`), so that a change of a caster is one row and atomic.
    "CREATE TABLE casters (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    // 2: a row per episode group, in the same way.
    "CREATE TABLE episode_groups (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    // 3: events on their way to receivers, in order for each URL.
    outbox::SCHEMA,
    // 4: the same tables. Bodies may say how layers, layouts and texts look, which earlier programs would lose.
    "",
    // 5: a row per recorded file.
    recordings::SCHEMA,
    // 6: how much of a recorded file has arrived in object storage.
    uploads::SCHEMA,
];

/// The version that the migrations lead to; a handful, so it fits.
const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// The open store.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

/// Why the store failed. Always fatal for the change at hand; what was saved before stays saved.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be made.
    #[error("cannot make the data directory: {0}")]
    Directory(#[from] std::io::Error),
    /// The database failed (disk full, damaged, locked…).
    #[error("database: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file was written by a later version of this program.
    #[error("{path} has schema version {found}, this program knows up to {known}")]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The latest version known here.
        known: u32,
    },
    /// Another process has it open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// A row says what no caster can be.
    #[error("caster {id} in the database is damaged: {reason}")]
    Damaged {
        /// Whose row.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// A row says what no recording can be.
    #[error("recording {id} in the database is damaged: {what}")]
    DamagedRecording {
        /// Whose row.
        id: String,
        /// What is wrong.
        what: String,
    },
    /// The thread that writes has ended.
    #[error("the store is closed")]
    Closed,
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A change of the catalog.
    Change(Change),
    /// An event for a receiver. Its owner's oldest beyond [`crate::limits::OUTBOX_PER_OWNER`] goes.
    Letter(Letter),
    /// A letter has arrived, or is given up: it goes.
    Settled {
        /// Which.
        seq: u64,
    },
    /// This owner's letters to other receivers than this one go: nobody wants them any more.
    Cancelled {
        /// Whose.
        owner: String,
        /// The one that stays; none when no letter stays.
        keep_url: Option<String>,
    },
    /// What is known of a recorded file from now on.
    Recording(Recording),
    /// A recorded file is gone.
    RecordingGone(RecordingId),
    /// More of a recording has arrived in object storage. What is known of that goes with its recording, or when it is stored.
    Uploaded(RecordingId, Uploaded),
    /// What had arrived of one of its files is not there any more.
    UploadLost(RecordingId, u32),
}

impl Store {
    /// Opens the store in this directory, makes both if there is none, and brings its schema up to date. The file
    /// belongs to this process until the store is dropped.
    ///
    /// # Errors
    /// When the directory or file cannot be made or read, is of a later version, or is in use.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(FILE_NAME);
        let mut connection = Connection::open(&path)?;
        let in_use = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy) => StoreError::InUse(path.clone()),
            _ => StoreError::Database(error),
        };
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(in_use)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(in_use)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(in_use)?;
        migrate(&mut connection, &path)?;
        Ok(Store { connection, path })
    }

    /// Everything that was saved.
    ///
    /// # Errors
    /// When the file cannot be read or a row is damaged.
    pub fn load(&self) -> Result<Catalog, StoreError> {
        let mut statement = self.connection.prepare("SELECT id, body FROM casters ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut casters: Vec<Caster> = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, body): (String, String) = (row.get(0)?, row.get(1)?);
            let caster =
                rows::decode(&id, &body).map_err(|reason| StoreError::Damaged { id, reason })?;
            casters.push(caster);
        }
        Ok(Catalog::new(casters).with_groups(self.load_groups()?))
    }

    fn load_groups(&self) -> Result<Vec<EpisodeGroup>, StoreError> {
        let mut statement =
            self.connection.prepare("SELECT id, body FROM episode_groups ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut groups = Vec::new();
        while let Some(row) = rows.next()? {
            let (id, body): (String, String) = (row.get(0)?, row.get(1)?);
            let group = rows::decode_group(&id, &body);
            groups.push(group.map_err(|reason| StoreError::Damaged { id, reason })?);
        }
        Ok(groups)
    }

    /// Makes a change durable: when this returns it is on disk.
    ///
    /// # Errors
    /// When it could not be written; then nothing of it was.
    pub fn save(&mut self, change: &Change) -> Result<(), StoreError> {
        self.write([&Entry::Change(change.clone())]).map(drop)
    }

    /// Makes all entries durable together: when this returns they are on disk. Answers how many letters had to go
    /// because their owner had too many.
    ///
    /// # Errors
    /// When one of them could not be written; then none was.
    pub fn write<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<usize, StoreError> {
        let transaction = self.connection.transaction()?;
        let mut dropped = 0;
        for entry in entries {
            dropped += write_entry(&transaction, entry)?;
        }
        transaction.commit()?;
        Ok(dropped)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Answers how many letters had to go.
fn write_entry(transaction: &Transaction<'_>, entry: &Entry) -> Result<usize, StoreError> {
    match entry {
        Entry::Change(change) => write_change(transaction, change)?,
        Entry::Letter(letter) => return outbox::insert(transaction, letter),
        Entry::Settled { seq } => outbox::remove(transaction, *seq)?,
        Entry::Cancelled { owner, keep_url } => {
            outbox::cancel(transaction, owner, keep_url.as_deref())?;
        }
        Entry::Recording(recording) => recordings::upsert(transaction, recording)?,
        Entry::RecordingGone(id) => recordings::remove(transaction, id)?,
        Entry::Uploaded(id, uploaded) => uploads::insert(transaction, id, uploaded)?,
        Entry::UploadLost(id, file) => uploads::forget(transaction, id, Some(*file))?,
    }
    Ok(0)
}

fn write_change(transaction: &Transaction<'_>, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Upsert(caster) => {
            let row = (caster.id.as_str(), rows::encode(caster));
            upsert(transaction, "casters", row)
        }
        Change::Delete(id) => remove(transaction, "casters", id.as_str()),
        Change::UpsertGroup(group) => {
            let row = (group.id.as_str(), rows::encode_group(group));
            upsert(transaction, "episode_groups", row)
        }
        Change::DeleteGroup(id) => remove(transaction, "episode_groups", id.as_str()),
    }
}

/// Writes a row of one of the tables of this module.
fn upsert(
    transaction: &Transaction<'_>,
    table: &'static str,
    (id, body): (&str, String),
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO {table} (id, body) VALUES (?1, ?2)
         ON CONFLICT (id) DO UPDATE SET body = excluded.body"
    );
    transaction.prepare_cached(&sql)?.execute(params![id, body])?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, table: &'static str, id: &str) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {table} WHERE id = ?1");
    transaction.prepare_cached(&sql)?.execute(params![id])?;
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let Some(missing) = MIGRATIONS.get(found as usize..) else {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known: SCHEMA_VERSION });
    };
    for sql in missing {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}
