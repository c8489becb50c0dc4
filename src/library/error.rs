//! What the library refuses: one table of errors, their codes and statuses.
//!
//! Must not know the wire. Invariant: the text says what is wrong with what was sent, and names no path.

use std::io;

use crate::limits::{MAX_MEDIA, MAX_NAME_BYTES, UPLOADS_AT_ONCE};
use crate::media::open::MediaError;

/// Why the library did not do it; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// No item has this id.
    #[error("There is nothing of this id in the media library.")]
    NotFound,
    /// It cannot be deleted now.
    #[error("A caster uses it.")]
    InUse,
    /// What it is to be called is no name.
    #[error("The name must have 1 to {} bytes and no control characters.", MAX_NAME_BYTES)]
    NameMalformed,
    /// Too many uploads at once.
    #[error("{} uploads are under way, more are not taken at once. Try again.", UPLOADS_AT_ONCE)]
    Busy,
    /// Too many items.
    #[error("The media library holds {} items, which is as many as it takes.", MAX_MEDIA)]
    Full,
    /// Nothing was sent.
    #[error("The file is empty.")]
    Empty,
    /// More bytes than this.
    #[error("The file is larger than the {0} bytes that are allowed.")]
    TooLarge(u64),
    /// Its first bytes are not those of a format that is taken.
    #[error("The file is none of {}.", super::sniff::KNOWN)]
    Foreign,
    /// It was looked through and found wanting.
    #[error("The file is refused: it {0}.")]
    Unusable(String),
    /// The disk is full, or nearly.
    #[error("There is no room on the disk.")]
    NoRoom,
    /// The server stops, or whoever uploaded has left.
    #[error("The upload was stopped.")]
    Stopped,
    /// The disk failed.
    #[error("The library's disk: {0}")]
    Io(io::Error),
}

impl LibraryError {
    /// Its code, as the API names things.
    pub fn code(&self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that it goes with.
    pub fn http_status(&self) -> u16 {
        self.row().1
    }

    fn row(&self) -> (&'static str, u16) {
        match self {
            LibraryError::NotFound => ("InvalidMedia.NotFound", 404),
            LibraryError::InUse => ("InvalidMedia.InUse", 409),
            LibraryError::NameMalformed => ("InvalidName.Malformed", 400),
            LibraryError::Busy => ("Throttling.Upload", 429),
            LibraryError::Full => ("MediaNumberExceed", 409),
            LibraryError::Empty => ("InvalidMedia.Empty", 400),
            LibraryError::TooLarge(_) => ("InvalidMedia.TooLarge", 413),
            LibraryError::Foreign => ("InvalidMedia.Format", 415),
            LibraryError::Unusable(_) => ("InvalidMedia.Content", 422),
            LibraryError::NoRoom => ("InsufficientStorage", 507),
            LibraryError::Stopped => ("ServiceUnavailable", 503),
            LibraryError::Io(_) => ("InternalError", 500),
        }
    }
}

impl From<io::Error> for LibraryError {
    fn from(error: io::Error) -> LibraryError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LibraryError::NoRoom,
            _ => LibraryError::Io(error),
        }
    }
}

impl From<MediaError> for LibraryError {
    fn from(error: MediaError) -> LibraryError {
        match error {
            MediaError::Stopped => LibraryError::Stopped,
            MediaError::TooLarge(size) => {
                let (width, height) = (size.width_px, size.height_px);
                let text = format!("has pictures of {width}x{height} px, which is too large");
                LibraryError::Unusable(text)
            }
            MediaError::Read(why) => LibraryError::Unusable(format!("cannot be read: {why}")),
            MediaError::TimedOut(_) => LibraryError::Unusable("takes too long to read".into()),
            other => LibraryError::Unusable(other.to_string()),
        }
    }
}
