//! Recordings that nobody writes any more: finishing what a process left behind, in its final form, and letting go.
//!
//! Must not know what is recorded or who asks. Invariants: a file that somebody writes is left alone; what is told of a
//! file before it gets its name is enough to go on from there after a kill.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::part_file::{Orphan, parts};
use super::playlist::{self, Growing, Slice};
use super::record::RecordedFile;
use crate::ids::RecordingId;
use crate::limits::RECORD_SEGMENT;
use crate::media::fast_start;
use crate::media::pack::Container;
use crate::media::salvage::{ts_duration_ns, whole};
use crate::recording::RecordFormat;
use crate::worker::StopToken;

const NS_PER_MS: u64 = 1_000_000;

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nobody left it there: it is written, or gone.
    Nothing,
    /// There was nothing to play in it, and it is gone.
    Empty,
    /// It is this file now.
    File(RecordedFile),
}

/// Finishes the file that was written below `dir` as `left`, whose name is without `.part`, with the end of its last
/// write. `tell` hears of the file before it gets its name.
///
/// # Errors
/// When it cannot be read, cut or renamed.
pub fn recover_recording(
    dir: &Path,
    left: &RecordedFile,
    tell: impl FnOnce(&RecordedFile),
) -> io::Result<Recovered> {
    let Some(orphan) = Orphan::take(dir, &left.part) else { return Ok(Recovered::Nothing) };
    let mut file = left.clone();
    let container = match left.format {
        RecordFormat::Hls => return recover_playlist(dir, orphan, file, tell),
        RecordFormat::Flv => Container::Flv,
        RecordFormat::Mp4 => Container::FragmentedMp4,
    };
    let found = whole(container, orphan.part.file())?;
    if found.bytes == 0 {
        orphan.part.discard()?;
        return Ok(Recovered::Empty);
    }
    orphan.part.cut(found.bytes)?;
    (file.bytes, file.duration_ms) = (found.bytes, found.duration_ns / NS_PER_MS);
    file.name = orphan.part.final_name(orphan.end_unix_ms)?;
    tell(&file);
    orphan.part.finish(&file.name)?;
    Ok(Recovered::File(file))
}

fn recover_playlist(
    dir: &Path,
    orphan: Orphan,
    mut file: RecordedFile,
    tell: impl FnOnce(&RecordedFile),
) -> io::Result<Recovered> {
    let text = io::read_to_string(orphan.part.file())?;
    let Growing { mut done, open } = playlist::read(&text);
    if let Some(uri) = open
        && let Some(name) = playlist::absolute(orphan.part.name(), &uri)
        && let Some(duration_ns) = recover_segment(dir, &name)?
    {
        done.push(Slice { duration_ns, uri });
    }
    if done.is_empty() {
        orphan.part.discard()?;
        return Ok(Recovered::Empty);
    }
    let text = playlist::finished(&done);
    let duration_ns: u64 = done.iter().map(|slice| slice.duration_ns).sum();
    file.duration_ms = duration_ns / NS_PER_MS;
    file.bytes = text.len() as u64 + segments_bytes(dir, orphan.part.name(), &done);
    let end_unix_ms = orphan.end_unix_ms.max(file.start_unix_ms + file.duration_ms);
    file.name = orphan.part.final_name(end_unix_ms)?;
    tell(&file);
    orphan.part.finish_as(&text, &file.name)?;
    Ok(Recovered::File(file))
}

fn segments_bytes(dir: &Path, list: &str, slices: &[Slice]) -> u64 {
    let names = slices.iter().filter_map(|slice| playlist::absolute(list, &slice.uri));
    names.filter_map(|name| dir.join(name).metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// How long the segment that was open plays, ns; `None` when there is nothing in it.
fn recover_segment(dir: &Path, name: &str) -> io::Result<Option<u64>> {
    if let Some(orphan) = Orphan::take(dir, name) {
        let found = whole(Container::Ts, orphan.part.file())?;
        if found.bytes == 0 {
            orphan.part.discard()?;
            return Ok(None);
        }
        orphan.part.cut(found.bytes)?;
        orphan.part.finish(name)?;
        return Ok(Some(found.duration_ns));
    }
    // It may have been finished, and only its line be missing.
    let Ok(file) = File::open(dir.join(name)) else { return Ok(None) };
    let estimate_ns = u64::try_from(RECORD_SEGMENT.as_nanos()).unwrap_or(0);
    Ok(Some(ts_duration_ns(&file)?.unwrap_or(estimate_ns)))
}

/// Finishes all recordings below `dir` that a process left behind; gives the files. Those that are being written are left
/// alone.
pub fn recover_recordings(dir: &Path) -> Vec<PathBuf> {
    let mut finished = Vec::new();
    let mut names = parts(dir);
    let format = |name: &str| {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension);
        extension.and_then(RecordFormat::parse)
    };
    // Playlists know which segments are theirs.
    names.sort_by_key(|name| format(name) != Some(RecordFormat::Hls));
    for name in names {
        let done = match format(&name) {
            Some(format) => {
                let left = RecordedFile::begun(RecordingId::random(), format, (&name, 0));
                recover_recording(dir, &left, |_| ())
            }
            None => recover_segment(dir, &name).map(|_| Recovered::Nothing),
        };
        match done {
            Ok(Recovered::File(file)) => finished.push(dir.join(file.name)),
            Ok(Recovered::Nothing | Recovered::Empty) => {}
            Err(error) => tracing::warn!(%error, "{name} stays unfinished"),
        }
    }
    finished
}

/// Where the final form of a file is while it is made.
fn half(path: &Path) -> PathBuf {
    let mut new = path.to_owned().into_os_string();
    new.push(".new");
    PathBuf::from(new)
}

/// Whether an attempt at its final form left something behind, since the disk took no change any more.
pub fn is_half_finished(dir: &Path, file: &RecordedFile) -> bool {
    half(&dir.join(&file.name)).exists()
}

/// Gives a finished file its final form: an MP4 its index in front, the others are in theirs. Takes as long as copying
/// it; the file is there under its name all the while.
///
/// # Errors
/// Why an MP4 stays in fragments.
pub fn finish_recording(
    dir: &Path,
    file: &RecordedFile,
    stop: &StopToken,
) -> Result<RecordedFile, String> {
    let mut file = file.clone();
    // A kill between the playlist's two names leaves both.
    if file.format == RecordFormat::Hls
        && let Some(orphan) = Orphan::take(dir, &file.part)
    {
        orphan.part.discard().map_err(|error| error.to_string())?;
    }
    if file.format != RecordFormat::Mp4 {
        return Ok(file);
    }
    let path = dir.join(&file.name);
    let new = half(&path);
    let written = fast_start::rewrite(&path, &new, stop).map_err(|error| error.to_string());
    let placed = written.and_then(|duration_ns| {
        let mut place = || {
            let copy = File::open(&new)?;
            copy.sync_all()?;
            file.bytes = copy.metadata()?.len();
            fs::rename(&new, &path)?;
            File::open(path.parent().unwrap_or(dir))?.sync_all()
        };
        place().map_err(|error: io::Error| error.to_string())?;
        file.duration_ms = duration_ns / NS_PER_MS;
        Ok(())
    });
    if placed.is_err() {
        let _ = fs::remove_file(&new); // It may not be there.
    }
    placed.map(|()| file)
}

/// A file that stays as it was written, with how long it plays, which may be less than was given to it.
pub fn recording_as_it_is(dir: &Path, file: RecordedFile) -> RecordedFile {
    match fast_start::length_ns(&dir.join(&file.name)) {
        Ok(length_ns) if file.format == RecordFormat::Mp4 => {
            RecordedFile { duration_ms: length_ns / NS_PER_MS, ..file }
        }
        _ => file,
    }
}

/// The names below `dir` of all that a finished recording consists of, what it is told by last.
///
/// # Errors
/// When a playlist cannot be read.
pub fn recording_files(dir: &Path, name: &str, format: RecordFormat) -> io::Result<Vec<String>> {
    match format {
        RecordFormat::Hls => Ok(playlist_files(name, &fs::read_to_string(dir.join(name))?)),
        RecordFormat::Flv | RecordFormat::Mp4 => Ok(vec![name.to_owned()]),
    }
}

/// The same of a playlist of this name and text.
pub fn playlist_files(name: &str, text: &str) -> Vec<String> {
    let done = playlist::read(text).done;
    let segments = done.iter().filter_map(|slice| playlist::absolute(name, &slice.uri));
    segments.chain([name.to_owned()]).collect()
}

/// Removes a finished recording with all that belongs to it, and the directories that it leaves empty below `dir`. What is
/// gone already is no fault.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_recording(dir: &Path, name: &str, format: RecordFormat) -> io::Result<()> {
    let gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    };
    let names = match recording_files(dir, name, format) {
        Ok(names) => names,
        Err(error) => return gone(error),
    };
    for name in names {
        let path = dir.join(name);
        fs::remove_file(&path).or_else(gone)?;
        let above = path.ancestors().skip(1).take_while(|above| *above != dir);
        for above in above {
            // One that is not empty stays, with those above it.
            if !above.starts_with(dir) || fs::remove_dir(above).is_err() {
                break;
            }
        }
    }
    Ok(())
}
