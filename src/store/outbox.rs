//! The outbox: events that receivers have not taken yet, in the same file as the changes that caused them.
//!
//! Must not know what an event says, or how it is delivered. Invariants: a letter is there until it is settled,
//! cancelled, or the oldest of too many; letters to one URL are read in the order of their numbers.

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Store, StoreError};
use crate::limits::OUTBOX_PER_OWNER;

/// The tables.
pub(super) const SCHEMA: &str = "
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY, owner TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL,
        made_unix_ms INTEGER NOT NULL) STRICT;
    CREATE INDEX outbox_by_url ON outbox (url, seq);
    CREATE INDEX outbox_by_owner ON outbox (owner, seq);";

/// An event on its way to a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number; letters to one URL arrive in this order. At most `i64::MAX`.
    pub seq: u64,
    /// Whose event it is: a caster's identifier, or an episode group's.
    pub owner: String,
    /// The receiver.
    pub url: String,
    /// What is posted.
    pub body: String,
    /// When it was made.
    pub made_unix_ms: u64,
}

/// SQLite's integers have a sign.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Answers how many older letters had to go.
pub(super) fn insert(to: &Transaction<'_>, letter: &Letter) -> Result<usize, StoreError> {
    let sql =
        "INSERT INTO outbox (seq, owner, url, body, made_unix_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
    let Letter { seq, owner, url, body, made_unix_ms } = letter;
    to.prepare_cached(sql)?.execute(params![
        signed(*seq),
        owner,
        url,
        body,
        signed(*made_unix_ms)
    ])?;
    let sql = "DELETE FROM outbox WHERE owner = ?1 AND seq <=
               (SELECT seq FROM outbox WHERE owner = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
    Ok(to.prepare_cached(sql)?.execute(params![owner, signed(OUTBOX_PER_OWNER as u64)])?)
}

pub(super) fn remove(from: &Transaction<'_>, seq: u64) -> Result<(), StoreError> {
    from.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?.execute([signed(seq)])?;
    Ok(())
}

pub(super) fn cancel(
    from: &Transaction<'_>,
    owner: &str,
    keep_url: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM outbox WHERE owner = ?1 AND url IS NOT ?2";
    from.prepare_cached(sql)?.execute(params![owner, keep_url])?;
    Ok(())
}

impl Store {
    /// The oldest letter to this URL.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_letter(&self, url: &str) -> Result<Option<Letter>, StoreError> {
        let sql = "SELECT seq, owner, body, made_unix_ms FROM outbox
                   WHERE url = ?1 ORDER BY seq LIMIT 1";
        let letter = |row: &rusqlite::Row<'_>| {
            Ok(Letter {
                seq: row.get::<_, i64>(0)?.unsigned_abs(),
                owner: row.get(1)?,
                url: url.to_owned(),
                body: row.get(2)?,
                made_unix_ms: row.get::<_, i64>(3)?.unsigned_abs(),
            })
        };
        Ok(self.connection.prepare_cached(sql)?.query_row([url], letter).optional()?)
    }

    /// Every URL that letters wait for.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn receivers(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT DISTINCT url FROM outbox")?;
        let urls = statement.query_map([], |row| row.get(0))?;
        Ok(urls.collect::<Result<_, _>>()?)
    }

    /// The largest number of a letter that waits; 0 when none does.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_letter(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(seq), 0) FROM outbox";
        let last: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(last.unsigned_abs())
    }
}
