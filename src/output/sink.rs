//! What receives encoded packets: the hub, HLS, a file, a relay, a recording.
//!
//! Owns opening, writing and trying again, after a panic too. Must not know encoders or other sinks. Invariants: a destination's
//! stream key is in no label, state or log; every (re)connection begins with a keyframe.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::backoff::Backoff;
use super::hls::{HlsSegments, HlsWriter};
use super::record::{RecordPlan, Recorder};
use crate::fault;
use crate::limits::SINK_HUNG;
use crate::media::flv;
use crate::media::hub::Hub;
use crate::media::live_queue::{LiveQueue, Popped};
use crate::media::mux::{Muxer, PushTo, Target};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::round_trip::RoundTrip;
use crate::time::{Clock, unix_ms};
use crate::worker::{self, Patience, Pulse, StopToken};

/// A destination of encoded packets.
#[derive(Clone, Debug)]
pub enum Sink {
    /// A stream of the hub, for HTTP-FLV and RTMP players.
    Hub {
        /// The hub.
        hub: Hub,
        /// Stream name, `caster/{stream}`.
        name: String,
    },
    /// HLS files in a directory of their own, which is made and emptied of earlier segments.
    Hls {
        /// The directory; the playlist in it is [`crate::media::hls::PLAYLIST`].
        dir: PathBuf,
        /// What its segments are.
        segments: HlsSegments,
    },
    /// An MP4 file.
    File {
        /// Its path; overwritten.
        path: PathBuf,
        /// What a slow disk leads to.
        overflow: Overflow,
    },
    /// A push to a server.
    Relay {
        /// `rtmp://`, `rtmps://` or `srt://`, key included.
        url: String,
        /// Who says where that may lead.
        admit: Admit,
    },
    /// Files of a recording.
    Record {
        /// Nothing is written outside of it; made when it is not there.
        dir: PathBuf,
        /// Format, names, lengths.
        plan: RecordPlan,
    },
}

/// Looks up where a relay's URL leads and whether it may; asked at each attempt, so a name that moves is checked again.
type Lookup = dyn Fn(&str, &StopToken) -> Result<PushTo, String> + Send + Sync;

/// Decides where a relay connects to. Cheap to clone.
#[derive(Clone)]
pub struct Admit(Arc<Lookup>);

impl Admit {
    /// Decides like this; may block until the token is stopped.
    pub fn new(
        lookup: impl Fn(&str, &StopToken) -> Result<PushTo, String> + Send + Sync + 'static,
    ) -> Admit {
        Admit(Arc::new(lookup))
    }
}

impl fmt::Debug for Admit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admit")
    }
}

/// What happens when a sink is slower than the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Packets are dropped up to a keyframe (live).
    Drop,
    /// The encoder waits (offline).
    Wait,
}

/// When a sink gets its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// As they are encoded.
    Prompt,
    /// When the output's delay is over.
    Delayed,
}

impl Sink {
    /// What the public sees is delayed, what is kept is as it is asked for.
    pub(super) fn timing(&self) -> Timing {
        match self {
            Sink::Hub { .. } | Sink::Hls { .. } | Sink::Relay { .. } => Timing::Delayed,
            Sink::File { .. } => Timing::Prompt,
            Sink::Record { plan, .. } => plan.timing,
        }
    }

    pub(super) fn overflow(&self) -> Overflow {
        match self {
            Sink::File { overflow, .. } => *overflow,
            Sink::Hub { .. } | Sink::Hls { .. } | Sink::Relay { .. } | Sink::Record { .. } => {
                Overflow::Drop
            }
        }
    }

    /// What it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Sink::Hub { .. } => "hub",
            Sink::Hls { .. } => "hls",
            Sink::File { .. } => "file",
            Sink::Relay { .. } => "relay",
            Sink::Record { .. } => "record",
        }
    }

    /// Whether clients are told of it by itself, and not as a part of its output.
    pub(super) fn has_status(&self) -> bool {
        matches!(self, Sink::Relay { .. } | Sink::Record { .. })
    }

    /// Kind and destination, fit for logs and metrics.
    pub fn label(&self) -> String {
        let kind = self.kind();
        match self {
            Sink::Hub { name, .. } => format!("{kind} {name}"),
            Sink::Hls { dir, .. } => format!("{kind} {}", dir.display()),
            Sink::File { path, .. } => format!("{kind} {}", path.display()),
            Sink::Relay { url, .. } => format!("{kind} {}", redacted(url)),
            Sink::Record { dir, plan } => {
                format!("{kind} {} {}", plan.format.extension(), dir.join(&plan.stream).display())
            }
        }
    }

    /// A file that was broken off cannot be gone on with; the others can.
    pub(super) fn tries_again(&self) -> bool {
        !matches!(self, Sink::File { .. })
    }
}

/// A push URL without its stream key, user and query: scheme, host, port and application.
pub fn redacted(url: &str) -> String {
    let Ok(url) = url::Url::parse(url) else { return "(not a URL)".into() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    if url.scheme() == "srt" {
        return format!("srt://{}{port}", url.host_str().unwrap_or_default());
    }
    let app = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    format!("{}://{}{port}/{app}/***", url.scheme(), url.host_str().unwrap_or_default())
}

/// Names a sink of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SinkId(pub(super) u64);

/// How a sink fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SinkState {
    /// Waits for a keyframe.
    #[default]
    Starting,
    /// Opens its destination.
    Connecting,
    /// Writes.
    Live,
    /// Broke for this reason. All but files try again.
    Failed(String),
    /// Finished properly.
    Ended,
}

impl SinkState {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, SinkState::Failed(_) | SinkState::Ended)
    }
}

/// A sink and how it fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStats {
    /// Its name in the output.
    pub id: SinkId,
    /// Kind and destination, without secrets.
    pub label: String,
    /// How it fares.
    pub state: SinkState,
    /// When it came to be so, ms since 1970-01-01 UTC.
    pub since_unix_ms: u64,
    /// Why it broke the last time; empty when it never did.
    pub last_error: String,
    /// Attempts that failed since one was good.
    pub failures: u32,
    /// Packets written.
    pub packets: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Times its destination was opened.
    pub attempts: u64,
    /// Packets dropped because it was too slow, waiting for a keyframe or not connected.
    pub dropped: u64,
    /// Packets that wait for it.
    pub queued: usize,
    /// How far away its server is, where that can be known: over RTMPS.
    pub round_trip: Option<Duration>,
    /// Times that its worker panicked or hung and began again.
    pub restarts: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) state: SinkState,
    pub(super) since_unix_ms: u64,
    pub(super) last_error: String,
    pub(super) failures: u32,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) attempts: u64,
    pub(super) restarts: u64,
    /// How far away the server is that it is connected to.
    pub(super) round_trip: Option<RoundTrip>,
    /// Its worker is in the place of one that hung and holds what it had.
    takes_over: bool,
}

/// How a sink's worker fares; each worker has its own.
#[derive(Debug, Default)]
pub(super) struct Status {
    progress: Mutex<Progress>,
    pub(super) pulse: Pulse,
}

impl Status {
    pub(super) fn get(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// For the worker that takes the place of one that hangs, for this reason.
    pub(super) fn successor(&self, why: String) -> Status {
        let status = Status { progress: Mutex::new(self.get()), pulse: Pulse::default() };
        status.set(SinkState::Failed(why));
        status.change(|progress| {
            progress.failures += 1;
            progress.restarts += 1;
            progress.takes_over = true;
        });
        status
    }

    pub(super) fn set(&self, state: SinkState) {
        self.change(|progress| {
            if let SinkState::Failed(reason) = &state {
                progress.last_error.clone_from(reason);
            }
            progress.state = state;
            progress.since_unix_ms = unix_ms();
        });
    }
}

/// What a sink's worker lives on.
#[derive(Clone, Copy)]
pub(super) struct Feed<'a> {
    pub(super) queue: &'a LiveQueue<Packet>,
    pub(super) header: &'a StreamHeader,
    pub(super) status: &'a Status,
    /// Its name where tests cause faults.
    pub(super) place: &'a str,
}

/// How often a worker that waits for packets shows that it is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Packets after which a connection counts as good, so that the next failure is tried again at once.
const GOOD_AFTER_PACKETS: u64 = 300;

/// Feeds a sink until there are no more packets or `stop`; between attempts it waits as `backoff` says.
pub(super) fn run(sink: &Sink, feed: &Feed<'_>, mut backoff: Backoff, stop: &StopToken) {
    // A successor tells of what it follows until it works itself.
    if feed.status.get().restarts == 0 {
        feed.status.set(SinkState::Starting);
    }
    let (clock, mut patience) = (Clock::real(), Patience::default());
    loop {
        let before = feed.status.get().packets;
        let mut rest = Duration::ZERO;
        let done = worker::caught(|| attempt(sink, feed, stop)).unwrap_or_else(|panic| {
            rest = patience.broke(clock.now_ns());
            feed.status.change(|progress| progress.restarts += 1);
            Err(format!("its worker panicked: {panic}"))
        });
        feed.status.change(|progress| progress.round_trip = None);
        let Err(reason) = done else { return feed.status.set(SinkState::Ended) };
        if stop.is_stopped() {
            return feed.status.set(SinkState::Failed("cut short".into()));
        }
        tracing::warn!(sink = sink.label(), reason, "sink failed");
        if feed.status.get().packets - before >= GOOD_AFTER_PACKETS {
            backoff.reset();
            feed.status.change(|progress| progress.failures = 0);
        }
        feed.status.set(SinkState::Failed(reason));
        feed.status.change(|progress| progress.failures += 1);
        if !sink.tries_again() || !discard_for(backoff.next_wait().max(rest), feed, stop) {
            return;
        }
    }
}

/// Lets packets go for a while; false when there will be no more.
fn discard_for(wait: Duration, feed: &Feed<'_>, stop: &StopToken) -> bool {
    let clock = Clock::real();
    loop {
        feed.status.pulse.beat();
        feed.queue.skip_to_start();
        let left = wait.saturating_sub(Duration::from_nanos(clock.now_ns()));
        if left.is_zero() || stop.is_stopped() {
            return !stop.is_stopped();
        }
        if matches!(feed.queue.recv(stop, left.min(LOOK_EVERY)), Popped::Finished) {
            return false;
        }
    }
}

/// One life of a destination: opened at a keyframe, written to until the packets end.
fn attempt(sink: &Sink, feed: &Feed<'_>, stop: &StopToken) -> Result<(), String> {
    let Some(first) = next(feed, stop)? else { return Ok(()) };
    feed.status.set(SinkState::Connecting);
    feed.status.change(|progress| progress.attempts += 1);
    match sink {
        Sink::Hub { hub, name } => {
            let published = match feed.status.get().takes_over {
                true => hub.take_over(name),
                false => hub.publish(name),
            };
            let publisher = published.map_err(|busy| busy.to_string())?;
            let (codec, shift_ns) = (feed.header.decoder.codec, feed.header.shift_ns);
            let tag = |packet: &Packet| flv::media(&packet.later(shift_ns), codec);
            let start_ms = tag(&first).timestamp_ms;
            publisher.send(flv::metadata(feed.header));
            publisher.send(flv::video_header(feed.header, start_ms));
            publisher.send(flv::audio_header(feed.header, start_ms));
            write_all(first, feed, stop, |packet| {
                publisher.send(tag(packet));
                Ok(())
            })
        }
        Sink::Hls { dir, segments } => {
            let mut writer = HlsWriter::open(dir, *segments, feed.header)?;
            write_all(first, feed, stop, |packet| writer.write(packet))?;
            writer.finish()
        }
        Sink::File { path, .. } => mux(Target::Mp4(path), (first, feed), stop),
        Sink::Relay { url, admit } => {
            let to = (admit.0)(url, stop)?;
            feed.status.change(|progress| progress.round_trip.clone_from(&to.round_trip));
            mux(Target::Push(&to), (first, feed), stop)
        }
        Sink::Record { dir, plan } => {
            std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
            let mut recorder = Recorder::new(dir, plan, feed.header);
            write_all(first, feed, stop, |packet| recorder.write(packet))?;
            recorder.finish()
        }
    }
}

/// A file or a connection of its own begins at 0; HLS and the hub keep the output's time.
fn mux(
    target: Target<'_>,
    (first, feed): (Packet, &Feed<'_>),
    stop: &StopToken,
) -> Result<(), String> {
    let mut muxer =
        Muxer::open(target, feed.header, stop.clone()).map_err(|error| error.to_string())?;
    let origin_ns = first.pts_ns;
    write_all(first, feed, stop, |packet| {
        let packet = packet.later(-origin_ns);
        if packet.track == Track::Audio && packet.pts_ns < 0 {
            return Ok(()); // It was heard before the first picture.
        }
        muxer.write(&packet).map_err(|error| error.to_string())
    })?;
    muxer.finish().map_err(|error| error.to_string())
}

/// Writes `first` and all that follow.
fn write_all(
    first: Packet,
    feed: &Feed<'_>,
    stop: &StopToken,
    mut write: impl FnMut(&Packet) -> Result<(), String>,
) -> Result<(), String> {
    feed.status.set(SinkState::Live);
    let (mut packet, mut written) = (Some(first), 0);
    while let Some(current) = packet {
        fault::strikes(feed.place);
        write(&current)?;
        feed.status.change(|progress| {
            progress.packets += 1;
            progress.bytes += current.data.len() as u64;
            written += 1;
            if written == GOOD_AFTER_PACKETS {
                progress.failures = 0;
            }
        });
        packet = next(feed, stop)?;
    }
    Ok(())
}

/// The next packet, `None` at the end.
fn next(feed: &Feed<'_>, stop: &StopToken) -> Result<Option<Packet>, String> {
    loop {
        // One that hung has a successor, to whom the queue belongs.
        if stop.is_stopped() && feed.status.pulse.silence() > SINK_HUNG {
            return Err("cut short".into());
        }
        feed.status.pulse.beat();
        match feed.queue.recv(stop, LOOK_EVERY) {
            Popped::Unit(packet) => return Ok(Some(packet)),
            Popped::Finished => return Ok(None),
            Popped::Timeout if stop.is_stopped() => return Err("cut short".into()),
            Popped::Timeout => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_never_shows_a_key() {
        let admit = Admit::new(|_, _| Err("nowhere".into()));
        for (url, label) in [
            (
                "rtmp://u:pw@host:1936/live/s3cret?auth_key=s3cret",
                "relay rtmp://host:1936/live/***",
            ),
            ("rtmps://host/app/inst/s3cret", "relay rtmps://host/app/***"),
            ("srt://u@host:9/s3cret?streamid=s3cret&passphrase=s3cret", "relay srt://host:9"),
            ("s3cret", "relay (not a URL)"),
        ] {
            assert_eq!(Sink::Relay { url: url.into(), admit: admit.clone() }.label(), label);
        }
    }
}
