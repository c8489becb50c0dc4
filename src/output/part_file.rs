//! Files that are not there before they are whole: written under a name that ends in `.part`, renamed when finished.
//!
//! Owns naming on disk, locking and finishing what a process left behind. Must not know containers. Invariants: a finished
//! file is never overwritten; a part that somebody writes is locked, so that nobody else finishes it; what is in a part is
//! whole up to the last write that succeeded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::fault;
use crate::limits::RECORD_DEPTH;
use crate::record_name::with_end;

/// Its name where tests cause faults: each write is a step.
const PLACE: &str = "part-file";
/// Behind the name of a file that is being written.
pub(super) const PART: &str = ".part";

/// A file that is being written.
#[derive(Debug)]
pub(super) struct PartFile {
    file: File,
    root: PathBuf,
    /// Name below the root; may hold the end's placeholder.
    name: String,
    bytes: u64,
}

impl PartFile {
    /// Makes `name` + `.` + `extension` below `root`, or a name like it that is free.
    pub(super) fn create(root: &Path, name: &str, extension: &str) -> io::Result<PartFile> {
        for attempt in 0..u32::MAX {
            let name = numbered(name, attempt) + "." + extension;
            if root.join(&name).exists() {
                continue;
            }
            if let Some(file) = claim(&root.join(name.clone() + PART))? {
                return Ok(PartFile { file, root: root.to_owned(), name, bytes: 0 });
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Name below the root, without `.part`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes all or nothing.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match fault::strikes(PLACE) {
            false => self.file.write_all(bytes),
            true => Err(io::ErrorKind::StorageFull.into()),
        };
        if let Err(error) = written {
            // A piece of something would be a broken file.
            let _ = self.file.set_len(self.bytes);
            let _ = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.bytes));
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// What was written, to read.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Cuts it off behind its first bytes.
    pub(super) fn cut(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    /// Removes it.
    pub(super) fn discard(self) -> io::Result<()> {
        fs::remove_file(part_path(&self.root, &self.name))
    }

    /// The name that it will have, free now, below the root.
    pub(super) fn final_name(&self, end_unix_ms: u64) -> io::Result<String> {
        free_name(&self.root, &self.name, end_unix_ms)
    }

    /// Makes it the file of this name.
    pub(super) fn finish(self, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        publish(&part_path(&self.root, &self.name), &self.root.join(name))
    }

    /// Has it end as the file of this name with this content, whatever was written.
    pub(super) fn finish_as(self, text: &str, name: &str) -> io::Result<()> {
        replace(&part_path(&self.root, &self.name), text, &self.root.join(name))
    }
}

/// Where the part of a name is.
pub(super) fn part_path(root: &Path, name: &str) -> PathBuf {
    root.join(format!("{name}{PART}"))
}

/// `name-2` for a name that is taken.
fn numbered(name: &str, attempt: u32) -> String {
    if attempt == 0 { name.to_owned() } else { format!("{name}-{}", attempt + 1) }
}

/// Creates and locks a part; `None` when it is there already.
fn claim(path: &Path) -> io::Result<Option<File>> {
    if path.exists() {
        return Ok(None);
    }
    fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    // Locked before it has the name by which it would be taken for one that was left behind.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    fs::rename(&new, path)?;
    Ok(Some(file))
}

/// Gives a part its final name.
fn publish(part: &Path, path: &Path) -> io::Result<()> {
    fs::rename(part, path)?;
    sync_dir(path)
}

/// Puts a file with this content in the place of a part.
fn replace(part: &Path, text: &str, path: &Path) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&new); // Nobody else would.
        return Err(error);
    }
    fs::rename(&new, path)?;
    fs::remove_file(part)?;
    sync_dir(path)
}

/// The name of a part whose file ended then, or one like it that is free.
fn free_name(root: &Path, part: &str, end_unix_ms: u64) -> io::Result<String> {
    let name = with_end(part, end_unix_ms);
    let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
    let mut candidates = (0..u32::MAX).map(|attempt| numbered(stem, attempt) + "." + extension);
    candidates.find(|name| !root.join(name).exists()).ok_or(io::ErrorKind::AlreadyExists.into())
}

/// The new name itself is on disk only when its directory is.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// A part that was left behind, held so that nobody else finishes it.
#[derive(Debug)]
pub(super) struct Orphan {
    /// Locked.
    pub(super) part: PartFile,
    /// When it was last written to, ms since 1970.
    pub(super) end_unix_ms: u64,
}

impl Orphan {
    /// Takes hold of the part of a name; `None` when it is not there or somebody writes it.
    pub(super) fn take(root: &Path, name: &str) -> Option<Orphan> {
        let path = part_path(root, name);
        let file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
        file.try_lock().ok()?;
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        // Its writer may have renamed it between the opening and the lock.
        if !path.exists() {
            return None;
        }
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let end_unix_ms = u64::try_from(modified.as_millis()).unwrap_or(u64::MAX);
        let (root, name, bytes) = (root.to_owned(), name.to_owned(), metadata.len());
        Some(Orphan { part: PartFile { file, root, name, bytes }, end_unix_ms })
    }
}

/// The names of the parts below a directory, in order; links are not followed.
pub(super) fn parts(dir: &Path) -> Vec<String> {
    let (mut found, mut level) = (Vec::new(), vec![dir.to_owned()]);
    for _ in 0..RECORD_DEPTH {
        let mut next = Vec::new();
        for entry in level.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                next.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_string_lossy().ends_with(PART) {
                found.push(entry.path());
            }
        }
        level = next;
    }
    let name = |path: &PathBuf| {
        let name = path.strip_prefix(dir).ok()?.to_str()?;
        name.strip_suffix(PART).map(str::to_owned)
    };
    let mut names: Vec<String> = found.iter().filter_map(name).collect();
    names.sort();
    names
}
