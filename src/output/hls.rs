//! HLS: packets to segments, and the playlist that names the latest of them.
//!
//! Owns the files of one directory. Must not know who plays them, or other renditions. Invariants: where a segment begins
//! and which number it has follow from the output's time alone, so that all renditions agree; a file has its name when it
//! is whole; what was listed is there for one more length of the playlist.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::{HLS_SEGMENT_S, HLS_SEGMENTS};
use crate::media::hls::{self, Ending, Facts, Listed, Measured};
use crate::media::pack::{Container, Packer};
use crate::media::packet::{Packet, StreamHeader, Track, VideoCodec};
use crate::time::NS_PER_S;

/// What segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum HlsSegments {
    /// What players of the codec want: MPEG-TS for H.264, which every player knows, fragmented MP4 for the others.
    #[default]
    Auto,
    /// MPEG-TS.
    Ts,
    /// Fragmented MP4 behind an initialisation file.
    Fmp4,
}

impl HlsSegments {
    fn container(self, codec: VideoCodec) -> Container {
        match (self, codec) {
            (HlsSegments::Ts, _) | (HlsSegments::Auto, VideoCodec::H264) => Container::Ts,
            (HlsSegments::Fmp4 | HlsSegments::Auto, _) => Container::Segments,
        }
    }
}

/// Under which files are written: each writer's own, since one that hangs may come to itself when it has a successor.
fn unfinished() -> String {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    format!("unfinished-{}.tmp", WRITERS.fetch_add(1, Ordering::Relaxed))
}

/// What may be in the directory by an earlier run.
const EXTENSIONS: [&str; 6] = ["ts", "m4s", "mp4", "m3u8", "inf", "tmp"];

/// Writes the segments of a stream.
pub(super) struct HlsWriter<'a> {
    dir: &'a Path,
    container: Container,
    header: &'a StreamHeader,
    packer: Packer,
    unfinished: String,
    slot_ticks: u64,
    /// The slot whose beginning was missed.
    missed: Option<u64>,
    open: Option<Open>,
    /// End of the last picture, ns.
    end_ns: i64,
    listed: VecDeque<(u64, Listed)>,
    unlisted: VecDeque<String>,
    sum: Sum,
}

/// A segment that is written.
struct Open {
    slot: u64,
    start_ns: i64,
    file: File,
    bytes: u64,
}

/// All segments so far.
#[derive(Default)]
struct Sum {
    peak_bps: u64,
    bytes: u64,
    duration_ns: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64, duration_ns: u64) {
        self.peak_bps = self.peak_bps.max(bps(bytes, duration_ns));
        self.bytes += bytes;
        self.duration_ns += duration_ns;
    }

    fn measured(&self) -> Measured {
        Measured { peak_bps: self.peak_bps, average_bps: bps(self.bytes, self.duration_ns) }
    }
}

fn bps(bytes: u64, duration_ns: u64) -> u64 {
    let bits = u128::from(bytes) * 8 * u128::from(NS_PER_S);
    u64::try_from(bits / u128::from(duration_ns.max(1))).unwrap_or(u64::MAX)
}

/// As many whole groups of pictures as come nearest to [`HLS_SEGMENT_S`], in ticks.
fn slot_ticks(header: &StreamHeader) -> u64 {
    let gop = u64::from(header.gop_ticks.max(1));
    let wanted = header.rate.tick_at(u64::from(HLS_SEGMENT_S) * NS_PER_S);
    (wanted + gop / 2) / gop.max(1) * gop.max(1)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl<'a> HlsWriter<'a> {
    /// Makes the directory and removes what an earlier run left in it.
    pub(super) fn open(
        dir: &'a Path,
        segments: HlsSegments,
        header: &'a StreamHeader,
    ) -> Result<HlsWriter<'a>, String> {
        empty(dir).map_err(told)?;
        let container = segments.container(header.decoder.codec);
        let mut packer = Packer::open(container, header).map_err(told)?;
        if container == Container::Segments {
            put(dir, hls::INIT, &packer.take()).map_err(told)?;
        }
        let slot_ticks = slot_ticks(header).max(header.gop_ticks.max(1).into());
        Ok(HlsWriter {
            dir,
            container,
            header,
            packer,
            unfinished: unfinished(),
            slot_ticks,
            missed: None,
            open: None,
            end_ns: 0,
            listed: VecDeque::new(),
            unlisted: VecDeque::new(),
            sum: Sum::default(),
        })
    }

    /// Adds a packet; what comes before the first beginning of a segment is left out.
    pub(super) fn write(&mut self, packet: &Packet) -> Result<(), String> {
        if packet.track == Track::Video && packet.key {
            self.turn(packet.pts_ns)?;
        }
        if self.open.is_none() || packet.pts_ns < 0 {
            return Ok(());
        }
        if packet.track == Track::Video {
            self.end_ns = self.end_ns.max(packet.pts_ns + packet.duration_ns);
        }
        self.packer.write(packet).map_err(told)?;
        self.flush()
    }

    /// Begins a segment where it is time to: at the first keyframe of each slot. Groups of pictures are no longer than a
    /// slot, so that none is without.
    fn turn(&mut self, pts_ns: i64) -> Result<(), String> {
        // Times are rounded down, and so are differences of them.
        const ROUNDING_NS: u64 = 1000;
        let tick = self.header.rate.tick_at(pts_ns.max(0).unsigned_abs() + ROUNDING_NS);
        let slot = tick / self.slot_ticks;
        match &self.open {
            Some(open) if open.slot == slot => return Ok(()),
            // The others have it from its beginning.
            None if !tick.is_multiple_of(self.slot_ticks)
                && *self.missed.get_or_insert(slot) == slot =>
            {
                return Ok(());
            }
            _ => {}
        }
        self.close(pts_ns, Ending::Open)?;
        let file = File::create(self.dir.join(&self.unfinished)).map_err(told)?;
        self.open = Some(Open { slot, start_ns: pts_ns, file, bytes: 0 });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), String> {
        let bytes = self.packer.take();
        let Some(open) = &mut self.open else { return Ok(()) };
        open.bytes += bytes.len() as u64;
        open.file.write_all(&bytes).map_err(told)
    }

    fn close(&mut self, end_ns: i64, ending: Ending) -> Result<(), String> {
        if self.open.is_none() {
            return Ok(());
        }
        self.packer.cut().map_err(told)?;
        self.flush()?;
        let Some(Open { slot, start_ns, bytes, .. }) = self.open.take() else { return Ok(()) };
        // Seconds since 1970 at the beginning, so that numbers go on growing when the output starts again.
        let number = self.life() + slot;
        let extension = if self.has_init() { "m4s" } else { "ts" };
        let uri = format!("{number}.{extension}");
        fs::rename(self.dir.join(&self.unfinished), self.dir.join(&uri)).map_err(told)?;
        let duration_ns = (end_ns - start_ns).max(0).unsigned_abs();
        self.sum.add(bytes, duration_ns);
        if self.listed.back().is_some_and(|(last, _)| last + 1 != number) {
            // Some were lost; a playlist has no holes.
            self.retire(0);
        }
        let since_ms = start_ns.max(0).unsigned_abs() / 1_000_000;
        let start_unix_ms = self.header.origin.unix_ms() + since_ms;
        self.listed.push_back((number, Listed { uri, duration_ns, start_unix_ms }));
        self.retire(HLS_SEGMENTS as usize);
        self.publish(ending).map_err(told)
    }

    fn has_init(&self) -> bool {
        self.container == Container::Segments
    }

    /// Which life of the output this is, by when it began.
    fn life(&self) -> u64 {
        self.header.origin.unix_ms() / 1000
    }

    /// Names no more than so many segments; those that were named before stay for as long again.
    fn retire(&mut self, most: usize) {
        while self.listed.len() > most {
            self.unlisted.extend(self.listed.pop_front().map(|(_, listed)| listed.uri));
        }
        while self.unlisted.len() > HLS_SEGMENTS as usize {
            let gone = self.unlisted.pop_front().map(|uri| fs::remove_file(self.dir.join(uri)));
            if let Some(Err(error)) = gone {
                tracing::warn!(%error, "an old segment stays");
            }
        }
    }

    fn publish(&mut self, ending: Ending) -> io::Result<()> {
        let variant = hls::variant(self.header, self.sum.measured());
        put(self.dir, hls::VARIANT, variant.as_bytes())?;
        let facts = Facts {
            sequence: self.listed.front().map_or(0, |(number, _)| *number),
            life: self.life(),
            segment_ns: self.header.rate.tick_ns(self.slot_ticks),
            init: self.has_init().then_some(hls::INIT),
            ending,
        };
        let segments: Vec<Listed> = self.listed.iter().map(|(_, listed)| listed.clone()).collect();
        put(self.dir, hls::PLAYLIST, hls::media_playlist(&facts, &segments).as_bytes())
    }

    /// Ends the last segment and the playlist.
    pub(super) fn finish(mut self) -> Result<(), String> {
        self.close(self.end_ns, Ending::Ended)
    }
}

fn empty(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Writes a file whole.
fn put(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(format!("{name}.tmp"));
    fs::write(&new, bytes)?;
    fs::rename(new, dir.join(name))
}
