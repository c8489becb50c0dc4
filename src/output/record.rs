//! The recorder: packets to files of one format, one after the other.
//!
//! Owns where a file ends and what it is called. Must not know encoders or other sinks. Invariants: a file begins with a
//! keyframe; between two files of one recording no packet is lost or doubled; what cannot be gone on with is finished
//! as it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::part_file::{Orphan, PART, PartFile, parts};
use super::playlist::{self, Slice};
use crate::limits::{MIN_RECORD_CYCLE, RECORD_SEGMENT, RECORD_SPLIT_PACKETS};
use crate::media::pack::{Container, Packer};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::record_name::{RecordFacts, RecordName};
use crate::time::unix_ms;

/// What a recording is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    /// FLV files.
    Flv,
    /// MP4 files, in fragments.
    Mp4,
    /// Playlists with MPEG-TS segments.
    Hls,
}

impl RecordFormat {
    /// Extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            RecordFormat::Flv => "flv",
            RecordFormat::Mp4 => "mp4",
            RecordFormat::Hls => "m3u8",
        }
    }
}

/// How an output is recorded in one format.
#[derive(Clone, Debug)]
pub struct RecordPlan {
    /// Format.
    pub format: RecordFormat,
    /// Names of the files, below the sink's directory.
    pub name: RecordName,
    /// Names of the segments of [`RecordFormat::Hls`].
    pub slice_name: RecordName,
    /// A new file begins with the first keyframe after this time, at least [`MIN_RECORD_CYCLE`]; `None`: one file.
    pub cycle: Option<Duration>,
    /// `{AppName}`
    pub app: String,
    /// `{StreamName}`
    pub stream: String,
    /// Who is told of finished files.
    pub finished: OnFinished,
}

/// A finished file of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub format: RecordFormat,
    /// How long it plays, ms.
    pub duration_ms: u64,
    /// Its size; segments included.
    pub bytes: u64,
    /// When it began, ms since 1970.
    pub start_unix_ms: u64,
}

/// Is told of each finished file, on the recorder's thread: must not wait. Cheap to clone.
#[derive(Clone)]
pub struct OnFinished(Arc<dyn Fn(RecordedFile) + Send + Sync>);

impl OnFinished {
    /// Tells this.
    pub fn new(tell: impl Fn(RecordedFile) + Send + Sync + 'static) -> OnFinished {
        OnFinished(Arc::new(tell))
    }
}

impl fmt::Debug for OnFinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnFinished")
    }
}

/// Finishes the recordings below `dir` that a process left behind, with the end of their last write; gives the files. Those
/// that are being written are left alone.
pub fn recover_recordings(dir: &Path) -> Vec<PathBuf> {
    let mut finished = Vec::new();
    let mut all = parts(dir);
    // Playlists know which segments are theirs.
    let list_end = format!(".{}{PART}", RecordFormat::Hls.extension());
    all.sort_by_key(|path| !path.to_string_lossy().ends_with(&list_end));
    for path in all {
        let is_list = path.to_string_lossy().ends_with(&list_end);
        let Some(orphan) = Orphan::take(path.clone()) else { continue };
        let done = if is_list { playlist::recover(&orphan) } else { orphan.finish() };
        match done {
            Ok(path) => finished.extend(path),
            Err(error) => tracing::warn!(%error, "{} stays", path.display()),
        }
    }
    finished
}

/// Writes the files of one recording.
pub(super) struct Recorder<'a> {
    dir: &'a Path,
    plan: &'a RecordPlan,
    header: &'a StreamHeader,
    /// A time of the output and when that was, ms since 1970.
    origin: Option<(i64, u64)>,
    sequence: u64,
    take: Option<Take>,
    /// The beginning of the next file, while sound still comes that belongs to this one.
    next: Vec<Packet>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(
        dir: &'a Path,
        plan: &'a RecordPlan,
        header: &'a StreamHeader,
    ) -> Recorder<'a> {
        Recorder { dir, plan, header, origin: None, sequence: 0, take: None, next: Vec::new() }
    }

    /// Adds a packet; the first is a keyframe.
    ///
    /// # Errors
    /// When it cannot be written; the file up to there is finished when the recorder is dropped.
    pub(super) fn write(&mut self, packet: &Packet) -> Result<(), String> {
        let starts = packet.track == Track::Video && packet.key;
        if let Some(first) = self.next.first() {
            let early = packet.track == Track::Audio && packet.pts_ns < first.pts_ns;
            if early {
                return self.put(packet);
            }
            self.next.push(packet.clone());
            let settled = packet.track == Track::Audio || self.next.len() >= RECORD_SPLIT_PACKETS;
            return if settled { self.split() } else { Ok(()) };
        }
        let cycle = self.plan.cycle.map(|cycle| cycle.max(MIN_RECORD_CYCLE));
        match (&self.take, cycle) {
            (None, _) => self.begin(packet)?,
            (Some(take), Some(cycle)) if starts && take.lasts(packet.pts_ns) >= cycle => {
                self.next.push(packet.clone());
                return Ok(());
            }
            _ => {}
        }
        self.put(packet)
    }

    fn put(&mut self, packet: &Packet) -> Result<(), String> {
        self.take.as_mut().map_or(Ok(()), |take| take.write(packet, self.plan))
    }

    /// Ends the file and begins the next.
    fn split(&mut self) -> Result<(), String> {
        self.end()?;
        let packets = std::mem::take(&mut self.next);
        if let Some(first) = packets.first() {
            self.begin(first)?;
        }
        packets.iter().try_for_each(|packet| self.put(packet))
    }

    fn begin(&mut self, first: &Packet) -> Result<(), String> {
        let is_first = self.origin.is_none();
        let (origin_ns, origin_ms) = *self.origin.get_or_insert_with(|| (first.pts_ns, unix_ms()));
        // By the output's time, so that files follow each other whatever happens to the clock.
        let since_ms = (first.pts_ns - origin_ns).max(0).unsigned_abs() / 1_000_000;
        self.sequence += 1;
        let place = Place {
            dir: self.dir.to_owned(),
            start_ns: first.pts_ns,
            start_unix_ms: origin_ms + since_ms,
            sequence: self.sequence,
        };
        if is_first {
            // What an earlier process left of this recording.
            let name = self.dir.join(self.plan.name.fill(&place.facts(self.plan)));
            if let Some(dir) = name.parent() {
                recover_recordings(dir);
            }
        }
        let take = Take::open(place, self.plan, self.header);
        self.take = Some(take.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(take) = self.take.take() else { return Ok(()) };
        if let Some(file) = take.finish(self.plan)? {
            (self.plan.finished.0)(file);
        }
        Ok(())
    }

    /// Ends the last file.
    ///
    /// # Errors
    /// When it cannot be finished: it stays under its unfinished name.
    pub(super) fn finish(mut self) -> Result<(), String> {
        if !self.next.is_empty() {
            self.split()?;
        }
        self.end()
    }
}

impl Drop for Recorder<'_> {
    fn drop(&mut self) {
        if let Err(reason) = self.end() {
            tracing::warn!(reason, "a recorded file stays unfinished");
        }
    }
}

/// Where and when a file begins.
struct Place {
    dir: PathBuf,
    start_ns: i64,
    start_unix_ms: u64,
    sequence: u64,
}

/// One file of a recording, or one playlist with its segments.
struct Take {
    place: Place,
    packer: Packer,
    /// The file, or the growing playlist.
    part: PartFile,
    /// End of the last picture or sound, output time.
    end_ns: i64,
    segments: Option<Segments>,
}

/// The segments of a playlist.
#[derive(Default)]
struct Segments {
    done: Vec<Slice>,
    /// The one that is written, and when it began.
    open: Option<(PartFile, i64)>,
    bytes: u64,
}

impl Take {
    fn open(place: Place, plan: &RecordPlan, header: &StreamHeader) -> Result<Take, String> {
        let (container, segments) = match plan.format {
            RecordFormat::Flv => (Container::Flv, None),
            RecordFormat::Mp4 => (Container::FragmentedMp4, None),
            RecordFormat::Hls => (Container::Ts, Some(Segments::default())),
        };
        let packer = Packer::open(container, header).map_err(|error| error.to_string())?;
        let name = plan.name.fill(&place.facts(plan));
        let part = PartFile::create(&place.dir, &name, plan.format.extension());
        let part = part.map_err(|error| error.to_string())?;
        let end_ns = place.start_ns;
        Ok(Take { place, packer, part, end_ns, segments })
    }

    fn lasts(&self, until_ns: i64) -> Duration {
        Duration::from_nanos((until_ns - self.place.start_ns).max(0).unsigned_abs())
    }

    fn write(&mut self, packet: &Packet, plan: &RecordPlan) -> Result<(), String> {
        let mut packet = packet.clone();
        let origin_ns = self.place.start_ns;
        if packet.pts_ns < origin_ns {
            return Ok(()); // It was heard before the first picture ever.
        }
        if packet.track == Track::Video && packet.key {
            self.next_segment(packet.pts_ns, plan).map_err(|error| error.to_string())?;
        }
        self.end_ns = self.end_ns.max(packet.pts_ns + packet.duration_ns);
        packet.pts_ns -= origin_ns;
        packet.dts_ns -= origin_ns;
        self.packer.write(&packet).map_err(|error| error.to_string())?;
        self.flush()
    }

    /// Writes what is ready.
    fn flush(&mut self) -> Result<(), String> {
        let bytes = self.packer.take();
        if bytes.is_empty() {
            return Ok(());
        }
        let written = match &mut self.segments {
            None => self.part.write(&bytes),
            Some(Segments { open: Some((segment, _)), .. }) => segment.write(&bytes),
            Some(_) => Ok(()),
        };
        written.map_err(|error| error.to_string())
    }

    /// Begins a segment where there are segments and the last one is long enough.
    fn next_segment(&mut self, start_ns: i64, plan: &RecordPlan) -> Result<(), String> {
        let segment_ns = i64::try_from(RECORD_SEGMENT.as_nanos()).unwrap_or(i64::MAX);
        match &self.segments {
            None => return Ok(()),
            Some(Segments { open: Some((_, began_ns)), .. })
                if start_ns - began_ns < segment_ns =>
            {
                return Ok(());
            }
            Some(_) => {}
        }
        self.close_segment(start_ns)?;
        let Some(segments) = &mut self.segments else { return Ok(()) };
        let since_ms = (start_ns - self.place.start_ns).max(0).unsigned_abs() / 1_000_000;
        let facts = RecordFacts {
            start_unix_ms: self.place.start_unix_ms + since_ms,
            sequence: segments.done.len() as u64 + 1,
            ..self.place.facts(plan)
        };
        let name = plan.slice_name.fill(&facts);
        let segment = PartFile::create(&self.place.dir, &name, "ts");
        let segment = segment.map_err(|error| error.to_string())?;
        let uri = playlist::relative(self.part.name(), segment.name());
        segments.open = Some((segment, start_ns));
        self.part.write(playlist::opened(&uri).as_bytes()).map_err(|error| error.to_string())
    }

    fn close_segment(&mut self, end_ns: i64) -> Result<(), String> {
        let cut = self.packer.cut().map_err(|error| error.to_string());
        // Even when the last bytes find no room, what is there is worth a name.
        let flushed = self.flush().and(cut);
        let Some(segments) = &mut self.segments else { return Ok(()) };
        let Some((segment, began_ns)) = segments.open.take() else { return Ok(()) };
        if segment.bytes() == 0 {
            segment.discard();
            return flushed;
        }
        let uri = playlist::relative(self.part.name(), segment.name());
        segments.bytes += segment.bytes();
        let end_unix_ms = self.place.start_unix_ms
            + (end_ns - self.place.start_ns).max(0).unsigned_abs() / 1_000_000;
        segment.finish(end_unix_ms).map_err(|error| error.to_string())?;
        let slice = Slice { duration_ns: (end_ns - began_ns).max(0).unsigned_abs(), uri };
        let line = playlist::closed(&slice);
        segments.done.push(slice);
        self.part.write(line.as_bytes()).map_err(|error| error.to_string())?;
        flushed
    }

    /// Ends it; `None` when nothing could be written to it.
    fn finish(mut self, plan: &RecordPlan) -> Result<Option<RecordedFile>, String> {
        let last = match self.segments {
            Some(_) => self.close_segment(self.end_ns),
            None => {
                let cut = self.packer.cut().map_err(|error| error.to_string());
                self.flush().and(cut)
            }
        };
        if let Err(reason) = last {
            tracing::warn!(reason, "a recorded file ends early");
        }
        let is_empty = match &self.segments {
            None => self.part.bytes() == 0,
            Some(segments) => segments.done.is_empty(),
        };
        if is_empty {
            self.part.discard();
            return Ok(None);
        }
        let duration_ms = u64::try_from(self.lasts(self.end_ns).as_millis()).unwrap_or(u64::MAX);
        let start_unix_ms = self.place.start_unix_ms;
        let end_unix_ms = start_unix_ms + duration_ms;
        let (bytes, path) = match self.segments {
            None => (self.part.bytes(), self.part.finish(end_unix_ms)),
            Some(Segments { done, bytes, .. }) => {
                let text = playlist::finished(&done);
                (bytes + text.len() as u64, self.part.finish_as(&text, end_unix_ms))
            }
        };
        let path = path.map_err(|error| error.to_string())?;
        let format = plan.format;
        Ok(Some(RecordedFile { path, format, duration_ms, bytes, start_unix_ms }))
    }
}

impl Place {
    fn facts<'a>(&self, plan: &'a RecordPlan) -> RecordFacts<'a> {
        RecordFacts {
            app: &plan.app,
            stream: &plan.stream,
            start_unix_ms: self.start_unix_ms,
            sequence: self.sequence,
        }
    }
}
