//! The index of recordings as the edges ask it: who may, and what both of them check.
//!
//! Must not know a wire, or where files are kept. Invariant: nothing is removed but for an admin's key.

use std::fmt;
use std::io;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::control::Control;
use super::media::page;
use crate::catalog::{ErrorCode, Refused};
use crate::ids::{CasterId, RecordingId};
use crate::recording::{RecordFormat, Recording, RecordingFilter, RecordingState};

/// What is asked of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A page of what fits: the latest but `skip`, at most `most`.
    List {
        /// Which.
        filter: RecordingFilter,
        /// So many are on the pages before.
        skip: usize,
        /// So many are wanted.
        most: usize,
    },
    /// One.
    Find(RecordingId),
    /// The content of one.
    Open(RecordingId, Piece),
    /// That one goes, with its files, wherever they are.
    Delete(RecordingId),
}

/// What a recording consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The file, or the playlist.
    Main,
    /// A segment of the playlist, from 0.
    Segment(usize),
}

/// What a client is handed of a piece, bit by bit; the first error is the last.
pub type Chunks = mpsc::Receiver<io::Result<Bytes>>;

/// A piece that is there to be read, wherever it is.
pub struct Content {
    /// Its size.
    pub bytes: u64,
    read: Box<dyn FnOnce(u64, u64) -> Chunks + Send>,
}

impl Content {
    /// One of this size; `read` hands on so many bytes from a first one on, and waits for nobody.
    pub fn new(bytes: u64, read: impl FnOnce(u64, u64) -> Chunks + Send + 'static) -> Content {
        Content { bytes, read: Box::new(read) }
    }

    /// `count` bytes of it from number `first` on.
    pub fn read(self, first: u64, count: u64) -> Chunks {
        (self.read)(first, count)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What the index answers.
#[derive(Debug)]
pub enum Found {
    /// A page, and how many fit on all of them.
    Page(usize, Vec<Recording>),
    /// One.
    One(Box<Recording>),
    /// One, and the piece of it that was asked for.
    Open(Box<Recording>, Content),
    /// It is gone.
    Deleted,
}

/// What a client asks a list for, in its words; empty, 0 and none are "any" and "the usual".
#[derive(Clone, Debug, Default)]
pub(super) struct ListDraft {
    pub(super) caster_id: String,
    pub(super) format: String,
    pub(super) state: String,
    pub(super) from_unix_ms: Option<i64>,
    pub(super) until_unix_ms: Option<i64>,
    pub(super) page_num: i64,
    pub(super) page_size: i64,
}

fn foreign() -> Refused {
    Refused::new(ErrorCode::Internal, "The answer does not belong to the question.")
}

/// The value of a word, unless it is empty.
fn word<T>(
    what: &str,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Refused> {
    let refused = || {
        Refused::new(ErrorCode::ParameterMalformed, format!("{what} {text:?} is not available."))
    };
    if text.is_empty() { Ok(None) } else { parse(text).map(Some).ok_or_else(refused) }
}

fn id(text: &str) -> Result<RecordingId, Refused> {
    RecordingId::parse(text).ok_or_else(not_found)
}

/// There is no recording of this identifier.
pub fn not_found() -> Refused {
    Refused::new(ErrorCode::ResourceNotFound, "There is no such recording.")
}

/// A page, and how many fit.
pub(super) async fn list(
    control: &Control,
    draft: ListDraft,
) -> Result<(usize, Vec<Recording>), Refused> {
    let time = |ms: Option<i64>| ms.map(|ms| u64::try_from(ms).unwrap_or(0));
    let filter = RecordingFilter {
        caster: word("CasterId", &draft.caster_id, CasterId::parse)?,
        format: word("Format", &draft.format.to_ascii_lowercase(), RecordFormat::parse)?,
        state: word("State", &draft.state, RecordingState::parse)?,
        from_unix_ms: time(draft.from_unix_ms),
        until_unix_ms: time(draft.until_unix_ms),
    };
    let (num, most) = page(draft.page_num, draft.page_size)?;
    let skip = (num - 1).saturating_mul(most);
    match control.recordings(Ask::List { filter, skip, most }).await? {
        Found::Page(total, page) => Ok((total, page)),
        Found::One(_) | Found::Open(..) | Found::Deleted => Err(foreign()),
    }
}

/// One.
pub(super) async fn find(control: &Control, text: &str) -> Result<Recording, Refused> {
    match control.recordings(Ask::Find(id(text)?)).await? {
        Found::One(recording) => Ok(*recording),
        Found::Page(..) | Found::Open(..) | Found::Deleted => Err(foreign()),
    }
}

/// One, and a piece of it.
pub(super) async fn open(
    control: &Control,
    text: &str,
    piece: Piece,
) -> Result<(Recording, Content), Refused> {
    match control.recordings(Ask::Open(id(text)?, piece)).await? {
        Found::Open(recording, content) => Ok((*recording, content)),
        Found::Page(..) | Found::One(_) | Found::Deleted => Err(foreign()),
    }
}

/// Removes one.
pub(super) async fn delete(control: &Control, text: &str) -> Result<(), Refused> {
    control.recordings(Ask::Delete(id(text)?)).await.map(drop)
}
