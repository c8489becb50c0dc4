//! An upload: bytes as they come, hashed and counted on their way to the disk, then looked through.
//!
//! Must not know where the bytes come from. Blocks in the disk: not for an async thread. Invariant: until it is an item, an
//! upload is a directory in `incoming/` that goes with it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sha2::{Digest, Sha256};

use super::sniff::{Format, HEAD_BYTES, sniff};
use super::{Item, Kind, Library, LibraryError, Place, VideoFacts, shelf};
use crate::frame::Size;
use crate::limits::{MAX_IMAGE_BYTES, UPLOAD_ROOM_CHECK_BYTES};
use crate::media::{examine, still};
use crate::time;
use crate::worker::StopToken;

/// Name of the content while it comes.
const PART: &str = "content.part";

/// A file on its way into the library. Dropped before [`Upload::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct Upload {
    library: Arc<Library>,
    id: String,
    name: String,
    dir: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    /// The first bytes, until the format is known.
    head: Vec<u8>,
    format: Option<Format>,
    is_kept: bool,
    _place: Place,
}

/// What was found out about a file.
struct Found {
    size: Size,
    duration_ms: u64,
    video: Option<VideoFacts>,
}

impl Upload {
    pub(super) fn open(
        library: Arc<Library>,
        name: Option<&str>,
        place: Place,
    ) -> Result<Upload, LibraryError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let dir = library.shelf.incoming().join(&id);
        fs::create_dir(&dir)?;
        let file = match File::create_new(dir.join(PART)) {
            Ok(file) => file,
            Err(error) => {
                shelf::discard(&dir);
                return Err(error.into());
            }
        };
        Ok(Upload {
            name: name.unwrap_or(&id).to_owned(),
            library,
            id,
            dir,
            file,
            hash: Sha256::new(),
            bytes: 0,
            head: Vec::new(),
            format: None,
            is_kept: false,
            _place: place,
        })
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// `Foreign` as soon as the format is known not to be one that is taken, `TooLarge`, `NoRoom`, or `Io`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), LibraryError> {
        if self.format.is_none() {
            let missing = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..missing]);
            if self.head.len() >= HEAD_BYTES {
                self.know_format()?;
            }
        }
        let before = self.bytes / UPLOAD_ROOM_CHECK_BYTES;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let most = match self.format.map(Format::kind) {
            Some(Kind::Image) => MAX_IMAGE_BYTES.min(self.library.bounds.upload_bytes),
            Some(Kind::Video) | None => self.library.bounds.upload_bytes,
        };
        if self.bytes > most {
            return Err(LibraryError::TooLarge(most));
        }
        if self.bytes / UPLOAD_ROOM_CHECK_BYTES != before {
            self.library.check_room(0)?;
        }
        self.hash.update(bytes);
        Ok(self.file.write_all(bytes)?)
    }

    fn know_format(&mut self) -> Result<Format, LibraryError> {
        let format = sniff(&self.head).ok_or(LibraryError::Foreign)?;
        self.head = Vec::new();
        self.format = Some(format);
        Ok(format)
    }

    /// All bytes have come: looks through them and puts the item into the library. Content that is there already is not
    /// kept twice: the answer is the item that has it.
    ///
    /// # Errors
    /// `Empty`, `Foreign`, `Unusable` with what is wrong, `Full`, `Stopped`, or `Io`.
    pub fn finish(mut self, stop: &StopToken) -> Result<Arc<Item>, LibraryError> {
        let item = self.check_in(stop)?;
        self.is_kept = true;
        Ok(item)
    }

    fn check_in(&mut self, stop: &StopToken) -> Result<Arc<Item>, LibraryError> {
        if self.bytes == 0 {
            return Err(LibraryError::Empty);
        }
        let format = match self.format {
            Some(format) => format,
            None => self.know_format()?,
        };
        let digest = std::mem::take(&mut self.hash).finalize();
        let sha256 = digest.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // a String takes everything
            text
        });
        if let Some(there) = self.library.find_content(&sha256) {
            return Ok(there);
        }
        self.file.sync_all()?;
        let file_name = format!("content.{}", format.extension());
        let content = self.dir.join(&file_name);
        fs::rename(self.dir.join(PART), &content)?;
        let found = match format.kind() {
            Kind::Image => look_at_image(&content)?,
            Kind::Video => look_through_video(&content, stop)?,
        };
        if stop.is_stopped() {
            return Err(LibraryError::Stopped);
        }
        let item = Item {
            id: self.id.clone(),
            kind: format.kind(),
            name: self.name.clone(),
            path: self.library.shelf.content(&sha256, &file_name),
            bytes: self.bytes,
            sha256,
            size: found.size,
            duration_ms: found.duration_ms,
            created_unix_ms: time::unix_ms(),
            video: found.video,
        };
        let item = self.library.add(&self.dir, item)?;
        tracing::info!(id = item.id, name = item.name, bytes = item.bytes, "uploaded");
        Ok(item)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let ended = match self.is_kept {
            true => &self.library.ended_well,
            false => &self.library.ended_badly,
        };
        ended.fetch_add(1, Ordering::Relaxed);
        // When it became an item, its directory has another name.
        shelf::discard(&self.dir);
    }
}

fn look_at_image(path: &std::path::Path) -> Result<Found, LibraryError> {
    // Its length was checked as it came.
    let image = still::load_overlay(&fs::read(path)?)?;
    Ok(Found { size: image.size(), duration_ms: 0, video: None })
}

fn look_through_video(path: &std::path::Path, stop: &StopToken) -> Result<Found, LibraryError> {
    let seen = examine::examine(path, stop)?;
    let description = seen.description;
    let video = VideoFacts {
        container: description.container,
        video_codec: description.video_codec.unwrap_or_default(),
        audio_codec: description.audio_codec,
        frames_per_second: description.frames_per_second,
        pictures: seen.pictures,
        keyframes: seen.keyframes,
    };
    Ok(Found { size: seen.size, duration_ms: seen.duration_ms, video: Some(video) })
}
