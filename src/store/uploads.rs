//! How much of a recording has arrived in object storage, so that an upload goes on where it was after a restart.
//!
//! Must not know files or requests. Invariant: a row is there only after what it tells of has arrived.

use rusqlite::{Transaction, params};

use super::{Store, StoreError};
use crate::ids::RecordingId;

/// Rows of a file: its upload at part 0, what the storage calls each part that has arrived at that part's number, and at
/// part −1 that all of it is there.
pub(super) const SCHEMA: &str = "
    CREATE TABLE uploads (
        recording TEXT NOT NULL, file INTEGER NOT NULL, part INTEGER NOT NULL, tag TEXT NOT NULL,
        PRIMARY KEY (recording, file, part)) STRICT, WITHOUT ROWID;";

const WHOLE: i64 = -1;
const UPLOAD: i64 = 0;

/// Something of a recording that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Which of its files, in the order in which they are sent, from 0.
    pub file: u32,
    /// What of it.
    pub sent: Sent,
}

/// What of a file has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// That it comes in parts: the storage's name of the upload.
    Begun(String),
    /// One of them: its number from 1, and the storage's tag of it.
    Part(u32, String),
    /// All of it.
    Whole,
}

pub(super) fn insert(
    to: &Transaction<'_>,
    id: &RecordingId,
    Uploaded { file, sent }: &Uploaded,
) -> Result<(), StoreError> {
    let (part, tag) = match sent {
        Sent::Begun(upload) => (UPLOAD, upload.as_str()),
        Sent::Part(number, tag) => (i64::from(*number), tag.as_str()),
        Sent::Whole => (WHOLE, ""),
    };
    let sql = "INSERT INTO uploads (recording, file, part, tag) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (recording, file, part) DO UPDATE SET tag = excluded.tag";
    to.prepare_cached(sql)?.execute(params![id.as_str(), file, part, tag])?;
    Ok(())
}

/// Forgets what is known of one of its files, or of all.
pub(super) fn forget(
    from: &Transaction<'_>,
    id: &RecordingId,
    file: Option<u32>,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM uploads WHERE recording = ?1 AND file = coalesce(?2, file)";
    from.prepare_cached(sql)?.execute(params![id.as_str(), file])?;
    Ok(())
}

impl Store {
    /// What has arrived of a recording that is not all there, file by file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn uploaded(&self, id: &RecordingId) -> Result<Vec<Uploaded>, StoreError> {
        let sql = "SELECT file, part, tag FROM uploads WHERE recording = ?1 ORDER BY file, part";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([id.as_str()], |row| {
            let (part, tag): (i64, String) = (row.get(1)?, row.get(2)?);
            let sent = match u32::try_from(part) {
                Err(_) => Sent::Whole,
                Ok(0) => Sent::Begun(tag),
                Ok(number) => Sent::Part(number, tag),
            };
            Ok(Uploaded { file: row.get(0)?, sent })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
