//! The recorder: packets to files of one format, one after the other.
//!
//! Owns where a file ends and what it is called. Must not know encoders or other sinks. Invariants: a file begins with a
//! keyframe; between two files of one recording no packet is lost or doubled; what cannot be gone on with is finished
//! as it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::part_file::PartFile;
use super::playlist::{self, Slice};
use super::sink::Timing;
use crate::ids::RecordingId;
use crate::limits::{
    MIN_RECORD_CYCLE, RECORD_ROOM_BYTES, RECORD_ROOM_CHECK_BYTES, RECORD_SEGMENT,
    RECORD_SPLIT_PACKETS,
};
use crate::media::pack::{Container, Packer};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::record_name::{RecordFacts, RecordName};
use crate::recording::RecordFormat;
use crate::time::unix_ms;

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
    /// Bytes that are left free on the disk.
    pub reserve_bytes: u64,
    /// Whether the output's delay is for it too.
    pub timing: Timing,
    /// Who is told of its files.
    pub news: OnRecord,
}

/// A file of a recording, or a playlist with its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFile {
    /// Which.
    pub id: RecordingId,
    /// Its name below the sink's directory; the one that it is written under while that is all there is.
    pub name: String,
    /// The name that it is or was written under, without `.part`.
    pub part: String,
    /// What it is.
    pub format: RecordFormat,
    /// How long it plays, ms.
    pub duration_ms: u64,
    /// Its size; segments included.
    pub bytes: u64,
    /// When it began, ms since 1970.
    pub start_unix_ms: u64,
}

impl RecordedFile {
    /// One that has just begun to be written as `part`.
    pub fn begun(
        id: RecordingId,
        format: RecordFormat,
        (part, start_unix_ms): (&str, u64),
    ) -> RecordedFile {
        let part = part.to_owned();
        let (name, duration_ms, bytes) = (part.clone(), 0, 0);
        RecordedFile { id, name, part, format, duration_ms, bytes, start_unix_ms }
    }
}

/// What happens to the files of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordNews {
    /// One is there, with nothing in it yet.
    Begun(RecordedFile),
    /// All of one is on disk; what comes next is that it gets its name.
    Complete(RecordedFile),
    /// It has its name.
    Named,
    /// Nothing could be written to one, and it is gone.
    Empty(RecordingId),
}

/// Is told what happens, on the recorder's thread: may wait for a moment. Cheap to clone.
#[derive(Clone)]
pub struct OnRecord(Arc<dyn Fn(RecordNews) + Send + Sync>);

impl OnRecord {
    /// Tells this.
    pub fn new(tell: impl Fn(RecordNews) + Send + Sync + 'static) -> OnRecord {
        OnRecord(Arc::new(tell))
    }
}

impl fmt::Debug for OnRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRecord")
    }
}

/// Refuses a disk with less room than this besides what is left free.
fn has_room(dir: &Path, plan: &RecordPlan, wanted_bytes: u64) -> Result<(), String> {
    let disk = rustix::fs::statvfs(dir).map_err(|error| error.to_string())?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes >= plan.reserve_bytes.saturating_add(wanted_bytes) {
        return Ok(());
    }
    let reserve_bytes = plan.reserve_bytes;
    Err(format!("the disk is full: {free_bytes} bytes are free, {reserve_bytes} are to be left"))
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
        has_room(self.dir, self.plan, RECORD_ROOM_BYTES)?;
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
        let take = Take::open(place, self.plan, self.header);
        self.take = Some(take.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(take) = self.take.take() else { return Ok(()) };
        take.finish(self.plan)
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
    id: RecordingId,
    place: Place,
    packer: Packer,
    /// The file, or the growing playlist.
    part: PartFile,
    /// End of the last picture or sound, output time.
    end_ns: i64,
    segments: Option<Segments>,
    /// What the disk did not take. It goes before all that follows, or nothing does: a file has no hole.
    unwritten: Vec<u8>,
    /// Bytes written since the last look at the disk's room.
    unchecked_bytes: u64,
}

/// The segments of a playlist.
#[derive(Default)]
struct Segments {
    done: Vec<Slice>,
    /// The one that is written, and when it began.
    open: Option<(PartFile, i64)>,
    bytes: u64,
    /// One could not be given its name. The playlist then stays as it grew, which is enough to finish both later.
    is_left: bool,
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
        let (id, end_ns) = (RecordingId::random(), place.start_ns);
        let begun = (part.name(), place.start_unix_ms);
        let begun = RecordedFile::begun(id.clone(), plan.format, begun);
        (plan.news.0)(RecordNews::Begun(begun));
        let unwritten = Vec::new();
        Ok(Take { id, place, packer, part, end_ns, segments, unwritten, unchecked_bytes: 0 })
    }

    fn lasts(&self, until_ns: i64) -> Duration {
        Duration::from_nanos((until_ns - self.place.start_ns).max(0).unsigned_abs())
    }

    fn write(&mut self, packet: &Packet, plan: &RecordPlan) -> Result<(), String> {
        let origin_ns = self.place.start_ns;
        if packet.pts_ns < origin_ns {
            return Ok(()); // It was heard before the first picture ever.
        }
        if packet.track == Track::Video && packet.key {
            self.next_segment(packet.pts_ns, plan).map_err(|error| error.to_string())?;
        }
        self.end_ns = self.end_ns.max(packet.pts_ns + packet.duration_ns);
        self.packer.write(&packet.later(-origin_ns)).map_err(|error| error.to_string())?;
        self.flush()?;
        self.unchecked_bytes += packet.data.len() as u64;
        if self.unchecked_bytes >= RECORD_ROOM_CHECK_BYTES {
            self.unchecked_bytes = 0;
            has_room(&self.place.dir, plan, 0)?;
        }
        Ok(())
    }

    /// Writes what is ready.
    fn flush(&mut self) -> Result<(), String> {
        self.unwritten.append(&mut self.packer.take());
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let written = match &mut self.segments {
            None => self.part.write(&self.unwritten),
            Some(Segments { open: Some((segment, _)), .. }) => segment.write(&self.unwritten),
            Some(_) => Ok(()),
        };
        written.map_err(|error| error.to_string())?;
        self.unwritten.clear();
        Ok(())
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
            let _ = segment.discard(); // What stays is removed when it is found by a later run.
            return flushed;
        }
        let uri = playlist::relative(self.part.name(), segment.name());
        segments.bytes += segment.bytes();
        let name = segment.name().to_owned(); // Without the end: it is not known when a segment begins.
        if let Err(error) = segment.finish(&name) {
            segments.is_left = true;
            return Err(error.to_string());
        }
        let slice = Slice { duration_ns: (end_ns - began_ns).max(0).unsigned_abs(), uri };
        let line = playlist::closed(&slice);
        segments.done.push(slice);
        self.part.write(line.as_bytes()).map_err(|error| error.to_string())?;
        flushed
    }

    /// Ends it.
    fn finish(mut self, plan: &RecordPlan) -> Result<(), String> {
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
        let text = self.segments.as_ref().map(|segments| playlist::finished(&segments.done));
        let is_empty = match &self.segments {
            None => self.part.bytes() == 0,
            Some(segments) => segments.done.is_empty() && !segments.is_left,
        };
        let is_left = self.segments.as_ref().is_some_and(|segments| segments.is_left);
        if is_empty {
            let _ = self.part.discard();
            (plan.news.0)(RecordNews::Empty(self.id));
            return Ok(());
        }
        let place = &self.place;
        let duration_ms = u64::try_from(self.lasts(self.end_ns).as_millis()).unwrap_or(u64::MAX);
        let name = self.part.final_name(place.start_unix_ms + duration_ms);
        let name = name.map_err(|error| error.to_string())?;
        let begun = (self.part.name(), place.start_unix_ms);
        let bytes = match (&self.segments, &text) {
            (Some(segments), Some(text)) => segments.bytes + text.len() as u64,
            _ => self.part.bytes(),
        };
        let file = RecordedFile::begun(self.id.clone(), plan.format, begun);
        let file = RecordedFile { name: name.clone(), duration_ms, bytes, ..file };
        (plan.news.0)(RecordNews::Complete(file));
        let named = match text {
            None => self.part.finish(&name),
            Some(_) if is_left => {
                // Whoever finishes it can have it.
                drop(self.part);
                Err(std::io::Error::other("a segment has no name yet"))
            }
            Some(text) => self.part.finish_as(&text, &name),
        };
        (plan.news.0)(RecordNews::Named);
        named.map_err(|error| error.to_string())
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
