//! The media library: videos and images that were uploaded, checked when they came, and can be shown by id.
//!
//! Owns the files under its directory and the index of them. Must not know casters, the wire or who may upload.
//! The index is no database: one small JSON file lies beside each content file and all are read at the start, so that
//! what is listed and what is there cannot fall apart, and a directory can be copied as it is.
//!
//! Invariants: an item that is listed was looked through whole when it came and lies on disk unchanged; the same content
//! is kept once, under one id; an upload that does not end well leaves nothing behind.

mod error;
mod shelf;
mod sniff;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use error::LibraryError;
pub use upload::Upload;

use crate::frame::Size;
use crate::limits;
use shelf::Shelf;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A recorded file: `MaterialId`.
    Video,
    /// A still picture: `ImageId`.
    Image,
}

impl Kind {
    /// Its name on the wire and on disk.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Video => "video",
            Kind::Image => "image",
        }
    }
}

/// Something that can be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// `MaterialId` or `ImageId`: 32 hexadecimal digits, of one space.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What its owner calls it; a label, never a path.
    pub name: String,
    /// The content.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
    /// Size of its (first) picture, px.
    pub size: Size,
    /// How long it plays, ms; 0 for images.
    pub duration_ms: u64,
    /// When it came.
    pub created_unix_ms: u64,
    /// What a video consists of; none for images.
    pub video: Option<VideoFacts>,
}

/// What a video was found to consist of.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFacts {
    /// Container, FFmpeg's short name.
    pub container: String,
    /// Codec of its pictures, FFmpeg's short name.
    pub video_codec: String,
    /// Codec of its sound; none: it is silent.
    pub audio_codec: Option<String>,
    /// Declared rate of its pictures, 1/s.
    pub frames_per_second: Option<f64>,
    /// Its pictures.
    pub pictures: u64,
    /// Those at which decoding can begin.
    pub keyframes: u64,
}

/// How much the library takes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Largest video, bytes; images have `limits::MAX_IMAGE_BYTES`.
    pub upload_bytes: u64,
    /// What an upload must leave free on the disk, bytes.
    pub reserve_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { upload_bytes: limits::MAX_UPLOAD_BYTES, reserve_bytes: limits::DISK_RESERVE_BYTES }
    }
}

/// What the library holds, and what became of uploads since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LibraryStats {
    /// Items.
    pub items: u64,
    /// Bytes of their contents.
    pub bytes: u64,
    /// Uploads that ended with an item, one that was there already counted too.
    pub uploads: u64,
    /// Uploads that were refused or broke off.
    pub uploads_failed: u64,
}

/// The library.
#[derive(Debug)]
pub struct Library {
    shelf: Shelf,
    bounds: Bounds,
    index: RwLock<Index>,
    /// Held by whoever adds or removes: one at a time.
    writing: Mutex<()>,
    /// Under way.
    uploads: Arc<AtomicUsize>,
    ended_well: AtomicU64,
    ended_badly: AtomicU64,
}

#[derive(Debug, Default)]
struct Index {
    items: BTreeMap<String, Entry>,
    id_by_sha256: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Entry {
    item: Arc<Item>,
    /// Being deleted, if nobody uses it: not to be found, but still there for who found it before.
    leaving: bool,
}

impl Index {
    fn insert(&mut self, item: Arc<Item>) {
        self.id_by_sha256.insert(item.sha256.clone(), item.id.clone());
        self.items.insert(item.id.clone(), Entry { item, leaving: false });
    }

    fn find(&self, id: &str) -> Option<Arc<Item>> {
        self.items.get(id).filter(|entry| !entry.leaving).map(|entry| Arc::clone(&entry.item))
    }
}

impl Library {
    /// Opens the library of a directory, which is made if there is none. What uploads left there when the process was
    /// cut off is removed; an item that is not whole is left out, with a warning.
    ///
    /// # Errors
    /// When the directory cannot be made, read or cleaned.
    pub fn open(dir: PathBuf, bounds: Bounds) -> io::Result<Library> {
        let shelf = Shelf::open(dir)?;
        let mut index = Index::default();
        for item in shelf.load()? {
            index.insert(Arc::new(item));
        }
        tracing::info!(items = index.items.len(), "media library");
        Ok(Library {
            shelf,
            bounds,
            index: RwLock::new(index),
            writing: Mutex::new(()),
            uploads: Arc::default(),
            ended_well: AtomicU64::new(0),
            ended_badly: AtomicU64::new(0),
        })
    }

    /// The item of this id. Never waits for a disk.
    pub fn find(&self, id: &str) -> Option<Arc<Item>> {
        self.read().find(id)
    }

    /// The content of the item of this id, for who plays it; also while a deletion is asking whether it is used.
    pub fn path(&self, id: &str) -> Option<PathBuf> {
        self.read().items.get(id).map(|entry| entry.item.path.clone())
    }

    /// A page of all items, the newest first, and how many there are. Pages count from 1.
    pub fn list(&self, page_num: usize, page_size: usize) -> (usize, Vec<Arc<Item>>) {
        let index = self.read();
        let present = index.items.values().filter(|entry| !entry.leaving);
        let mut all: Vec<&Arc<Item>> = present.map(|entry| &entry.item).collect();
        all.sort_by(|a, b| (b.created_unix_ms, &b.id).cmp(&(a.created_unix_ms, &a.id)));
        let skipped = page_num.saturating_sub(1).saturating_mul(page_size);
        let page = all.iter().skip(skipped).take(page_size).map(|&item| Arc::clone(item));
        (all.len(), page.collect())
    }

    /// Removes an item for good, unless it is used. `in_use` is asked when the item can no longer be found, so that
    /// nobody begins to use it meanwhile; it must not call [`Library::delete`] or [`Upload::finish`].
    ///
    /// # Errors
    /// `NotFound`, `InUse`, or `Io` when it cannot be removed; it is there still.
    pub fn delete(&self, id: &str, in_use: &dyn Fn(&str) -> bool) -> Result<(), LibraryError> {
        let writing = lock(&self.writing);
        let item = {
            let mut index = self.write();
            let entry = index.items.get_mut(id).ok_or(LibraryError::NotFound)?;
            entry.leaving = true;
            Arc::clone(&entry.item)
        };
        let removed = match in_use(id) {
            true => Err(LibraryError::InUse),
            false => self.shelf.take_away(&item).map_err(LibraryError::from),
        };
        let mut index = self.write();
        match &removed {
            Err(_) => {
                if let Some(entry) = index.items.get_mut(id) {
                    entry.leaving = false;
                }
            }
            Ok(_) => {
                index.items.remove(id);
                index.id_by_sha256.remove(&item.sha256);
            }
        }
        drop((index, writing));
        shelf::discard(&removed?);
        tracing::info!(id, name = item.name, "deleted from the media library");
        Ok(())
    }

    /// Begins an upload of `declared_bytes`, if the client says how many. Without a name the item is called by its id.
    ///
    /// # Errors
    /// `NameMalformed`, `Busy`, `Full`, `TooLarge`, `NoRoom`, or `Io`.
    pub fn begin(
        self: &Arc<Self>,
        name: Option<&str>,
        declared_bytes: Option<u64>,
    ) -> Result<Upload, LibraryError> {
        let place = self.check_begin(name, declared_bytes);
        // Once begun the upload counts itself.
        let begun = place.and_then(|place| Upload::open(Arc::clone(self), name, place));
        if begun.is_err() {
            self.ended_badly.fetch_add(1, Ordering::Relaxed);
        }
        begun
    }

    fn check_begin(
        &self,
        name: Option<&str>,
        declared_bytes: Option<u64>,
    ) -> Result<Place, LibraryError> {
        let is_name = |name: &str| {
            (1..=limits::MAX_NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control)
        };
        if name.is_some_and(|name| !is_name(name)) {
            return Err(LibraryError::NameMalformed);
        }
        if declared_bytes == Some(0) {
            return Err(LibraryError::Empty);
        }
        if declared_bytes.is_some_and(|bytes| bytes > self.bounds.upload_bytes) {
            return Err(LibraryError::TooLarge(self.bounds.upload_bytes));
        }
        if self.read().items.len() >= limits::MAX_MEDIA {
            return Err(LibraryError::Full);
        }
        let place = Place::take(&self.uploads).ok_or(LibraryError::Busy)?;
        self.check_room(declared_bytes.unwrap_or(0))?;
        Ok(place)
    }

    /// What it holds and what became of uploads.
    pub fn stats(&self) -> LibraryStats {
        let index = self.read();
        LibraryStats {
            items: index.items.len() as u64,
            bytes: index.items.values().map(|entry| entry.item.bytes).sum(),
            uploads: self.ended_well.load(Ordering::Relaxed),
            uploads_failed: self.ended_badly.load(Ordering::Relaxed),
        }
    }

    /// Room on its disk, bytes; 0 when that cannot be asked.
    pub fn free_bytes(&self) -> u64 {
        self.shelf.free_bytes().unwrap_or(0)
    }

    fn check_room(&self, wanted_bytes: u64) -> Result<(), LibraryError> {
        let needed = wanted_bytes.saturating_add(self.bounds.reserve_bytes);
        if self.shelf.free_bytes()? < needed { Err(LibraryError::NoRoom) } else { Ok(()) }
    }

    fn find_content(&self, sha256: &str) -> Option<Arc<Item>> {
        let index = self.read();
        index.id_by_sha256.get(sha256).and_then(|id| index.find(id))
    }

    /// Puts a whole upload on its shelf, or answers the item that has the same content.
    fn add(&self, dir: &std::path::Path, item: Item) -> Result<Arc<Item>, LibraryError> {
        let _writing = lock(&self.writing);
        if let Some(there) = self.find_content(&item.sha256) {
            return Ok(there);
        }
        if self.read().items.len() >= limits::MAX_MEDIA {
            return Err(LibraryError::Full);
        }
        self.shelf.put(dir, &item)?;
        let item = Arc::new(item);
        self.write().insert(Arc::clone(&item));
        Ok(item)
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the uploads that may be under way at once; free again when dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Place> {
        let one_more = |count| (count < limits::UPLOADS_AT_ONCE).then_some(count + 1);
        let added = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        added.ok().map(|_| Place(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
