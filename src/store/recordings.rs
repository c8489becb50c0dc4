//! The index of recordings: a row for each recorded file, from its first byte on.
//!
//! Must not know files. Invariant: a row is there from before its file is until after its file is gone.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Transaction, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, uploads};
use crate::ids::{CasterId, RecordingId};
use crate::recording::{RecordFormat, Recording, RecordingFilter, RecordingState};

/// The table: columns for what is searched by, the rest as JSON.
pub(super) const SCHEMA: &str = "
    CREATE TABLE recordings (
        id TEXT PRIMARY KEY, caster TEXT NOT NULL, format TEXT NOT NULL, state TEXT NOT NULL,
        start_unix_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE INDEX recordings_by_time ON recordings (start_unix_ms, id);
    CREATE INDEX recordings_by_caster ON recordings (caster, start_unix_ms, id);
    CREATE INDEX recordings_by_state ON recordings (state, start_unix_ms);";

#[derive(Serialize, Deserialize)]
struct Row {
    stream: String,
    name: String,
    part: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    duration_ms: u64,
    bytes: u64,
}

fn encode(recording: &Recording) -> String {
    let row = Row {
        stream: recording.stream.clone(),
        name: recording.name.clone(),
        part: recording.part.clone(),
        uri: recording.uri.clone(),
        duration_ms: recording.duration_ms,
        bytes: recording.bytes,
    };
    serde_json::to_string(&row).expect("rows have string keys and no foreign serializer")
}

/// Rows of files that will not change any more, see [`RecordingState::is_final`].
const IS_FINAL: &str = "state IN ('finished', 'uploading', 'stored')";

/// Columns that [`decode`] reads, in this order.
const COLUMNS: &str = "id, caster, format, state, start_unix_ms, body";

fn decode(row: &rusqlite::Row<'_>) -> Result<Recording, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let id = text(0)?;
    let damaged = |what: &str| StoreError::DamagedRecording { id: id.clone(), what: what.into() };
    let body: Row = serde_json::from_str(&text(5)?).map_err(|error| damaged(&error.to_string()))?;
    Ok(Recording {
        id: RecordingId::parse(&id).ok_or_else(|| damaged("id"))?,
        caster: CasterId::parse(&text(1)?).ok_or_else(|| damaged("caster"))?,
        format: RecordFormat::parse(&text(2)?).ok_or_else(|| damaged("format"))?,
        state: RecordingState::parse(&text(3)?).ok_or_else(|| damaged("state"))?,
        start_unix_ms: row.get::<_, i64>(4)?.unsigned_abs(),
        stream: body.stream,
        name: body.name,
        part: body.part,
        uri: body.uri,
        duration_ms: body.duration_ms,
        bytes: body.bytes,
    })
}

/// A page of the index in the order of beginnings, the earliest first: what follows a place, at most so many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    after: Option<Mark>,
    most: usize,
}

/// A place in that order: where a recording stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64, RecordingId);

impl Mark {
    /// Where this one stands.
    pub fn of(recording: &Recording) -> Mark {
        Mark(recording.start_unix_ms, recording.id.clone())
    }
}

impl Page {
    /// The first page of so many.
    pub fn first(most: usize) -> Page {
        Page { after: None, most }
    }

    /// All there are, on one.
    pub fn whole() -> Page {
        Page::first(usize::MAX >> 1)
    }

    /// The page after this one, on which these were found; none when it was the last. What has changed its state or is gone
    /// meanwhile moves nothing.
    pub fn next(&self, found: &[Recording]) -> Option<Page> {
        let last = found.last().filter(|_| found.len() >= self.most)?;
        Some(Page { after: Some(Mark::of(last)), most: self.most })
    }

    /// The end of a statement whose first `count` values are its own, and the values that this adds.
    fn tail(&self, count: usize) -> (String, [Value; 2]) {
        let (start_unix_ms, id) = match &self.after {
            Some(Mark(start_unix_ms, id)) => (signed(*start_unix_ms), id.as_str()),
            None => (-1, ""),
        };
        let (time, id_number, most) = (count + 1, count + 2, self.most);
        let sql = format!(
            " AND (start_unix_ms, id) > (?{time}, ?{id_number}) ORDER BY start_unix_ms, id LIMIT {most}"
        );
        (sql, [Value::Integer(start_unix_ms), Value::Text(id.into())])
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn upsert(to: &Transaction<'_>, recording: &Recording) -> Result<(), StoreError> {
    let sql = "INSERT INTO recordings (id, caster, format, state, start_unix_ms, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT (id) DO UPDATE SET
                   state = excluded.state, body = excluded.body";
    to.prepare_cached(sql)?.execute(params![
        recording.id.as_str(),
        recording.caster.as_str(),
        recording.format.extension(),
        recording.state.as_str(),
        signed(recording.start_unix_ms),
        encode(recording),
    ])?;
    if recording.state == RecordingState::Stored {
        uploads::forget(to, &recording.id, None)?;
    }
    Ok(())
}

pub(super) fn remove(from: &Transaction<'_>, id: &RecordingId) -> Result<(), StoreError> {
    from.prepare_cached("DELETE FROM recordings WHERE id = ?1")?.execute([id.as_str()])?;
    uploads::forget(from, id, None)
}

/// The conditions of a filter and what they compare with.
fn conditions(filter: &RecordingFilter) -> (String, Vec<Value>) {
    let time = |ms: u64| Value::Integer(signed(ms));
    let text = |text: &str| Value::Text(text.to_owned());
    let all = [
        ("caster =", filter.caster.as_ref().map(|caster| text(caster.as_str()))),
        ("format =", filter.format.map(|format| text(format.extension()))),
        ("state =", filter.state.map(|state| text(state.as_str()))),
        ("start_unix_ms >=", filter.from_unix_ms.map(time)),
        ("start_unix_ms <=", filter.until_unix_ms.map(time)),
    ];
    let (mut sql, mut values) = ("1".to_owned(), Vec::new());
    for (condition, value) in all {
        if let Some(value) = value {
            values.push(value);
            sql += &format!(" AND {condition} ?{}", values.len());
        }
    }
    (sql, values)
}

impl Store {
    /// How many recordings fit, and those of them from number `skip` on, at most `most`, the latest first.
    ///
    /// # Errors
    /// When the file cannot be read or a row is damaged.
    pub fn recordings(
        &self,
        filter: &RecordingFilter,
        (skip, most): (usize, usize),
    ) -> Result<(usize, Vec<Recording>), StoreError> {
        let (conditions, values) = conditions(filter);
        let sql = format!("SELECT count(*) FROM recordings WHERE {conditions}");
        let total: i64 = (self.connection.prepare_cached(&sql)?)
            .query_row(params_from_iter(&values), |row| row.get(0))?;
        let sql = format!(
            "SELECT {COLUMNS} FROM recordings WHERE {conditions}
             ORDER BY start_unix_ms DESC, id LIMIT {most} OFFSET {skip}"
        );
        let page = self.read_recordings(&sql, &values)?;
        Ok((usize::try_from(total).unwrap_or(0), page))
    }

    /// One recording.
    ///
    /// # Errors
    /// As [`Store::recordings`].
    pub fn recording(&self, id: &RecordingId) -> Result<Option<Recording>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM recordings WHERE id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let found = statement.query_row([id.as_str()], |row| Ok(decode(row))).optional()?;
        found.transpose()
    }

    /// Recordings in this state.
    ///
    /// # Errors
    /// As [`Store::recordings`].
    pub fn recordings_in(
        &self,
        state: RecordingState,
        page: &Page,
    ) -> Result<Vec<Recording>, StoreError> {
        let is_in = vec![Value::Text(state.as_str().into())];
        self.read_page("state = ?1", is_in, page)
    }

    /// Recordings on their way to object storage, but for those to these buckets.
    ///
    /// # Errors
    /// As [`Store::recordings`].
    pub fn uploading(&self, but_to: &[String], page: &Page) -> Result<Vec<Recording>, StoreError> {
        let begins = |number| format!("substr(body ->> 'uri', 1, length(?{number})) <> ?{number}");
        let others: String = (1..=but_to.len()).map(|n| " AND ".to_owned() + &begins(n)).collect();
        let uri = |bucket: &String| Value::Text(format!("s3://{bucket}/"));
        let values = but_to.iter().map(uri).collect();
        self.read_page(&format!("state = 'uploading'{others}"), values, page)
    }

    /// Recordings that will not change any more, wherever they are.
    ///
    /// # Errors
    /// As [`Store::recordings`].
    pub fn final_recordings(&self, page: &Page) -> Result<Vec<Recording>, StoreError> {
        self.read_page(IS_FINAL, Vec::new(), page)
    }

    /// Those in this state, which is a final one, that did not get their final form.
    ///
    /// # Errors
    /// As [`Store::recordings`].
    pub fn recordings_as_written(
        &self,
        state: RecordingState,
    ) -> Result<Vec<Recording>, StoreError> {
        let is_in = vec![Value::Text(state.as_str().into())];
        self.read_page("state = ?1 AND body ->> 'part' IS NOT NULL", is_in, &Page::whole())
    }

    /// Bytes of [`Store::final_recordings`], all of them together.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn recorded_bytes(&self) -> Result<u64, StoreError> {
        let sql =
            format!("SELECT coalesce(sum(body ->> 'bytes'), 0) FROM recordings WHERE {IS_FINAL}");
        let bytes: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(bytes.unsigned_abs())
    }

    fn read_page(
        &self,
        condition: &str,
        mut values: Vec<Value>,
        page: &Page,
    ) -> Result<Vec<Recording>, StoreError> {
        let (tail, more) = page.tail(values.len());
        values.extend(more);
        let sql = format!("SELECT {COLUMNS} FROM recordings WHERE {condition}{tail}");
        self.read_recordings(&sql, &values)
    }

    fn read_recordings(&self, sql: &str, values: &[Value]) -> Result<Vec<Recording>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(decode(row)?);
        }
        Ok(found)
    }
}
