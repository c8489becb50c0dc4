//! Room `input`: a supervised worker per source that connects, decodes, delivers and tries again.
//!
//! Owns retries, states and the queue between a source and the frame thread. Must not know scenes, canvases or
//! FFmpeg (`media` does). Invariant: nothing that a source does holds up whoever polls it: [`Input::poll`] never
//! waits for a live source, and dropping an [`Input`] ends its worker even while it is blocked.
//!
//! A paced source (file, pattern; in offline rendering every source) waits when its queue is full. A live one
//! drops the oldest and counts it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::frame::{AudioBlock, VideoFrame};
use crate::ids::InputKey;
use crate::limits::{CUT_TIMEOUT, RETRY_FIRST};
use crate::media::nvdec::Decoder;
use crate::media::open::ByteSource;
use crate::shot::{ScaleQuality, Shot};
use crate::source::{InputKind, InputState, Part};
use crate::time::Clock;
use crate::worker::{self, Patience, StopToken, Worker};

mod guard;
mod live;
mod mailbox;
mod play;
mod playlist;
mod proxy;
mod redact;
mod tunnel;

pub use crate::media::file::{Excerpt, Plays};
pub use crate::media::pattern::PatternSpec;
pub use crate::media::reader::Description;
pub use guard::{AllowList, admit_callback, admit_relay};
pub use mailbox::{Broken, InputStatus, Take, Want};
pub use play::{fetch_image, fetch_small};
pub use redact::redact;

use mailbox::{Mailbox, Overflow};

/// Asks for the encoded FLV of a pushed stream; `None` while nobody publishes it. May block for a moment, not
/// past the token's stop.
pub type OpenPushed = Arc<dyn Fn(&StopToken) -> Option<ByteSource> + Send + Sync>;

/// What an input plays.
#[derive(Clone)]
pub enum SourceSpec {
    /// A live stream pulled from a URL: `rtmp`, `http`, `https` (FLV, TS, HLS…) or `srt`.
    Live {
        /// The URL.
        url: String,
    },
    /// A media file (MP4, FLV, TS, MKV…).
    File {
        /// A path, or an `http` or `https` URL.
        location: String,
        /// Which part, and how often.
        excerpt: Excerpt,
    },
    /// Media files one after the other, without a gap, as one source. One that cannot be opened or breaks off is passed
    /// over with a notice.
    Playlist(Playlist),
    /// One picture (PNG or JPEG).
    Image(ImageSource),
    /// The test pattern.
    Pattern {
        /// Size and rate.
        spec: PatternSpec,
        /// How it is delivered.
        pacing: Pacing,
    },
    /// A stream that is pushed to this process.
    Pushed {
        /// Its name, for logs.
        name: String,
        /// How to get it.
        open: OpenPushed,
    },
}

/// Media files that are played one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playlist {
    /// Paths, or `http` or `https` URLs, in order.
    pub locations: Vec<String>,
    /// How often all of it.
    pub plays: Plays,
    /// Index of the item that the first pass begins with; past the last one the first pass is empty.
    pub first_item: usize,
    /// Milliseconds after the first picture of that item at which it begins; past its end the next item begins.
    pub seek_ms: Option<u64>,
}

/// Where an image comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// A file.
    Path(PathBuf),
    /// An `http` or `https` URL.
    Url(String),
    /// The encoded image itself.
    Bytes(Bytes),
}

/// How a source that could deliver at any speed does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pacing {
    /// In real time, late is lost.
    Live,
    /// As fast as it is taken.
    OnDemand,
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Live { url } => write!(f, "live {}", redact(url)),
            SourceSpec::File { location, excerpt } => {
                write!(f, "file {} {excerpt:?}", redact(location))
            }
            SourceSpec::Playlist(list) => {
                write!(f, "playlist of {} files, {:?}", list.locations.len(), list.plays)
            }
            SourceSpec::Image(ImageSource::Path(path)) => {
                write!(f, "image {}", redact(&path.to_string_lossy()))
            }
            SourceSpec::Image(ImageSource::Url(url)) => write!(f, "image {}", redact(url)),
            SourceSpec::Image(ImageSource::Bytes(bytes)) => {
                write!(f, "image of {} bytes", bytes.len())
            }
            SourceSpec::Pattern { spec, pacing } => write!(f, "{spec:?} {pacing:?}"),
            SourceSpec::Pushed { name, .. } => write!(f, "pushed {name}"),
        }
    }
}

/// How an input works.
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// Its key.
    pub key: InputKey,
    /// Its name in logs, notices and errors.
    pub name: String,
    /// Whether a source that cannot be opened, or ends, is tried again. Local files never are.
    pub retry: bool,
    /// How pictures are scaled here to the shots given to [`Input::set_wanted`], where they are (software adapter).
    pub prescale: Option<ScaleQuality>,
    /// What decodes its video.
    pub decoder: Decoder,
    /// Whether every source waits instead of dropping (offline rendering).
    pub lossless: bool,
    /// Depth of a live source's jitter buffer, told to the engine.
    pub buffer: Duration,
    /// Addresses that URLs may lead to besides public ones.
    pub allow: Arc<AllowList>,
    /// The clock that states and live pacing go by.
    pub clock: Clock,
}

/// What an input delivers.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A picture.
    Video(VideoFrame),
    /// Samples.
    Audio(AudioBlock),
    /// Its state changed.
    State(InputState),
    /// A play of a file, or of an item of a playlist, will begin; comes before its first picture and samples.
    Part(Part),
    /// A file has been delivered to its end; `State(Ended)` follows.
    Eof,
    /// Something an operator should read; names the source.
    Notice(String),
}

/// A running input. Dropping it stops its worker and waits for the worker's end (~200 ms); one that hangs is left behind.
pub struct Input {
    key: InputKey,
    kind: InputKind,
    held: bool,
    mailbox: Arc<Mailbox>,
    stop: StopToken,
    /// There until it is dropped.
    worker: Option<Worker>,
}

/// What ends an input whose owner hangs. Cheap to clone.
#[derive(Clone)]
pub struct InputEnd {
    mailbox: Arc<Mailbox>,
    stop: StopToken,
}

impl InputEnd {
    /// Tells the worker to end, and to let go of its source, without waiting for it.
    pub fn end(&self) {
        self.stop.stop();
        self.mailbox.close();
    }
}

/// What every kind of worker is given.
struct Context {
    name: String,
    options: InputOptions,
    mailbox: Arc<Mailbox>,
}

impl Context {
    /// Records an error and tells it once, until another error or a picture comes.
    fn fail(&self, error: &dyn fmt::Display) {
        let text = format!("{}: {error}", self.name);
        if self.mailbox.set_error(&text) {
            tracing::warn!(input = %self.options.key, "{text}");
        }
    }
}

/// A context whose worker runs; when it ends, whoever waits for the input learns it.
struct Running(Context);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.mailbox.set_over();
    }
}

/// Starts the worker of a source.
///
/// # Errors
/// When the operating system refuses a new thread. Whatever is wrong with the source is reported by the input.
pub fn start(spec: SourceSpec, options: InputOptions) -> io::Result<Input> {
    let live = matches!(
        spec,
        SourceSpec::Live { .. }
            | SourceSpec::Pushed { .. }
            | SourceSpec::Pattern { pacing: Pacing::Live, .. }
    );
    let kind = match &spec {
        SourceSpec::Image(_) => InputKind::Still,
        _ if live && !options.lossless => InputKind::Live { buffer: options.buffer },
        _ => InputKind::Paced,
    };
    let overflow = match kind {
        InputKind::Live { .. } => Overflow::DropOldest,
        InputKind::Paced | InputKind::Still => Overflow::Wait,
    };
    let mailbox = Arc::new(Mailbox::new(overflow, options.clock.clone()));
    let key = options.key;
    let name = format!("{} ({spec:?})", options.name);
    tracing::info!(input = %key, "starting {name}");
    let context = Context { name, options, mailbox: Arc::clone(&mailbox) };
    let stop = StopToken::new();
    let worker = worker::spawn(&key.to_string(), stop.clone(), move |stop| {
        let context = Running(context);
        keep_running(&spec, (kind, &context.0), &stop);
    })?;
    Ok(Input { key, kind, held: false, mailbox, stop, worker: Some(worker) })
}

/// Runs the worker of a source, and again when it panics: what is live or stands still connects anew, as after any fault of
/// its own. In the middle of a file there is no way back; whoever owns the input starts another one from there.
fn keep_running(spec: &SourceSpec, (kind, context): (InputKind, &Context), stop: &StopToken) {
    let (clock, mut patience) = (Clock::real(), Patience::default());
    while let Err(why) = worker::caught(|| run(spec.clone(), context, stop)) {
        let why = format!("its worker broke off because of a bug: {why}");
        tracing::error!(input = %context.options.key, "{why}");
        context.fail(&why);
        match kind {
            InputKind::Paced => context.mailbox.set_broken(why),
            InputKind::Live { .. } | InputKind::Still => context.mailbox.count_restart(),
        }
        context.mailbox.set_state(InputState::Failed);
        if kind == InputKind::Paced {
            return;
        }
        let rest = patience.broke(clock.now_ns()).max(RETRY_FIRST);
        if !clock.wait_until(clock.now_ns() + rest.as_nanos() as u64, stop) {
            return;
        }
    }
}

fn run(spec: SourceSpec, context: &Context, stop: &StopToken) {
    match spec {
        SourceSpec::Live { url } => live::run(&live::Origin::Url(url), context, stop),
        SourceSpec::Pushed { open, .. } => live::run(&live::Origin::Pushed(open), context, stop),
        SourceSpec::File { location, excerpt } => play::file(&location, excerpt, context, stop),
        SourceSpec::Playlist(list) => playlist::run(&list, context, stop),
        SourceSpec::Image(source) => play::image(&source, context, stop),
        SourceSpec::Pattern { spec, pacing } => play::pattern(spec, pacing, context, stop),
    }
}

impl Input {
    /// The key it was started with.
    pub fn key(&self) -> InputKey {
        self.key
    }

    /// How it delivers.
    pub fn kind(&self) -> InputKind {
        self.kind
    }

    /// The same input, to be added to an engine standing on its first frame (`Command::AddInput`); only paced sources can.
    #[must_use]
    pub fn held(mut self) -> Input {
        self.held = self.kind == InputKind::Paced;
        self
    }

    /// Whether it is to be added standing on its first frame.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Hands over what has arrived, at most as much as `take` says; the rest stays in the queue, which makes a
    /// paced source wait. Never waits for a live source.
    pub fn poll(&self, take: Take, sink: &mut impl FnMut(Delivery)) {
        self.mailbox.poll(take, sink);
    }

    /// Waits until everything in `want` is in the queue, or cannot come before something is taken out of it
    /// (the source has ended or failed, has no such stream, or waits for room). False after `timeout`.
    pub fn wait_ready(&self, want: Want, timeout: Duration) -> bool {
        self.mailbox.wait_ready(want, timeout)
    }

    /// The sizes it is shown at; from the next picture on they are in `VideoFrame::scaled`, if the input
    /// scales at all. A still image is delivered again.
    pub fn set_wanted(&self, shots: &[Shot]) {
        self.mailbox.set_wanted(shots);
    }

    /// How it is.
    pub fn status(&self) -> InputStatus {
        self.mailbox.status()
    }

    /// Tells the worker to end without waiting for it; dropping the input waits. For ending many at once.
    pub fn begin_end(&self) {
        self.end().end();
    }

    /// What ends it, should whoever owns it hang.
    pub fn end(&self) -> InputEnd {
        InputEnd { mailbox: Arc::clone(&self.mailbox), stop: self.stop.clone() }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // The worker may be waiting for room.
        self.begin_end();
        if let Some(worker) = self.worker.take() {
            worker.end_within(CUT_TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests;
