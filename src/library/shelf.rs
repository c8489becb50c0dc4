//! The library's directory: `{sha256}/content.{ext}` beside `{sha256}/item.json`, and `incoming/` for what is not yet, or
//! no longer, in it.
//!
//! Must not know uploads or who asks. Invariants: an item comes and goes by one rename of its directory, so that it is
//! whole or not there, also after a power loss; nothing in `incoming/` outlives a start.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Item, Kind, VideoFacts};
use crate::frame::Size;

const INCOMING: &str = "incoming";
const SIDECAR: &str = "item.json";

#[derive(Debug)]
pub(super) struct Shelf {
    root: PathBuf,
}

/// An item as its sidecar says it.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    kind: String,
    name: String,
    file: String,
    bytes: u64,
    width_px: u32,
    height_px: u32,
    duration_ms: u64,
    created_unix_ms: u64,
    video: Option<KeptVideo>,
}

#[derive(Serialize, Deserialize)]
struct KeptVideo {
    container: String,
    video_codec: String,
    audio_codec: Option<String>,
    frames_per_second: Option<f64>,
    pictures: u64,
    keyframes: u64,
}

impl Shelf {
    /// Makes the directories and removes what lies in `incoming/`.
    pub(super) fn open(root: PathBuf) -> io::Result<Shelf> {
        // FFmpeg and whoever else opens the files may not be told from where.
        fs::create_dir_all(&root)?;
        let shelf = Shelf { root: root.canonicalize()? };
        let incoming = shelf.incoming();
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir(&incoming)?;
        sync_dir(&shelf.root)?;
        Ok(shelf)
    }

    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join(INCOMING)
    }

    /// Where the content of an item lies, or will.
    pub(super) fn content(&self, sha256: &str, file: &str) -> PathBuf {
        self.root.join(sha256).join(file)
    }

    /// Every item that is whole.
    pub(super) fn load(&self) -> io::Result<Vec<Item>> {
        let mut items = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name == INCOMING {
                continue;
            }
            match self.load_item(&name) {
                Ok(item) => items.push(item),
                Err(error) => {
                    tracing::warn!(item = name, %error, "left out of the media library");
                }
            }
        }
        Ok(items)
    }

    fn load_item(&self, sha256: &str) -> io::Result<Item> {
        let text = fs::read(self.root.join(sha256).join(SIDECAR))?;
        let kept: Kept = serde_json::from_slice(&text)?;
        let item = kept.into_item(self, sha256)?;
        match fs::metadata(&item.path)?.len() == item.bytes {
            true => Ok(item),
            false => Err(invalid("the content does not have the length that it came with")),
        }
    }

    /// Makes an item's directory of `dir`, in which its content lies and is on disk: writes the sidecar beside it and
    /// renames.
    pub(super) fn put(&self, dir: &Path, item: &Item) -> io::Result<()> {
        let mut sidecar = File::create_new(dir.join(SIDECAR))?;
        sidecar.write_all(&serde_json::to_vec_pretty(&Kept::of(item))?)?;
        sidecar.sync_all()?;
        sync_dir(dir)?;
        let place = self.root.join(&item.sha256);
        // Something that was left out of the index; what came now is whole.
        if place.exists() {
            discard(&self.set_aside(&place)?);
        }
        fs::rename(dir, &place)?;
        sync_dir(&self.root)
    }

    /// Takes an item off the shelf. Gives what to [`discard`].
    pub(super) fn take_away(&self, item: &Item) -> io::Result<PathBuf> {
        self.set_aside(&self.root.join(&item.sha256))
    }

    fn set_aside(&self, place: &Path) -> io::Result<PathBuf> {
        let aside = self.incoming().join(format!("{}.gone", uuid::Uuid::new_v4().simple()));
        fs::rename(place, &aside)?;
        sync_dir(&self.root)?;
        Ok(aside)
    }

    /// What is left on the disk for us, bytes.
    pub(super) fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// Removes a directory that is no longer of any use; if that fails the next start does it.
pub(super) fn discard(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "{} stays until the next start", dir.display());
        }
        _ => {}
    }
}

/// What was made, renamed or removed in a directory is so on disk.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Kept {
    fn of(item: &Item) -> Kept {
        let file = item.path.file_name().unwrap_or_default();
        Kept {
            id: item.id.clone(),
            kind: item.kind.as_str().to_owned(),
            name: item.name.clone(),
            file: file.to_string_lossy().into_owned(),
            bytes: item.bytes,
            width_px: item.size.width_px,
            height_px: item.size.height_px,
            duration_ms: item.duration_ms,
            created_unix_ms: item.created_unix_ms,
            video: item.video.as_ref().map(|video| KeptVideo {
                container: video.container.clone(),
                video_codec: video.video_codec.clone(),
                audio_codec: video.audio_codec.clone(),
                frames_per_second: video.frames_per_second,
                pictures: video.pictures,
                keyframes: video.keyframes,
            }),
        }
    }

    fn into_item(self, shelf: &Shelf, sha256: &str) -> io::Result<Item> {
        let kinds = [Kind::Video, Kind::Image];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == self.kind);
        let is_digits = |text: &str, count: usize| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        // A sidecar that somebody wrote must not lead elsewhere.
        if !is_digits(&self.id, 32) || !is_digits(sha256, 64) || self.file.contains('/') {
            return Err(invalid("its id, directory or file has a strange name"));
        }
        Ok(Item {
            kind: kind.ok_or_else(|| invalid("it is neither video nor image"))?,
            path: shelf.content(sha256, &self.file),
            id: self.id,
            name: self.name,
            bytes: self.bytes,
            sha256: sha256.to_owned(),
            size: Size::new(self.width_px, self.height_px),
            duration_ms: self.duration_ms,
            created_unix_ms: self.created_unix_ms,
            video: self.video.map(|video| VideoFacts {
                container: video.container,
                video_codec: video.video_codec,
                audio_codec: video.audio_codec,
                frames_per_second: video.frames_per_second,
                pictures: video.pictures,
                keyframes: video.keyframes,
            }),
        })
    }
}
