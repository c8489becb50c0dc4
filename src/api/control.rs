//! How the edges ask the app: calls and watches through one bounded queue.
//!
//! Must not know wire forms or how the app answers. Invariant: every message is answered once, or its sender learns
//! that the app is gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::events::Feed;
use super::recordings::{Ask, Found};
use crate::catalog::{Answer, Call, ErrorCode, LocationId, Refused};
use crate::engine::{Black, Fault, InputState, InputStats, StandIn};
use crate::ids::{CasterId, ResourceId};
use crate::luma::LumaStatus;
use crate::metrics::Timing;

/// The edges' end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control {
    messages: mpsc::Sender<Message>,
}

/// What an edge asks.
#[derive(Debug)]
pub enum Message {
    /// An operation.
    Call(Box<Request>),
    /// To be told what a caster does.
    Watch(WatchRequest),
    /// To be told what happens to a caster.
    Events(EventsRequest),
    /// Something of the index of recordings.
    Recordings(RecordingsRequest),
}

/// An operation and where its answer goes.
#[derive(Debug)]
pub struct Request {
    /// The operation.
    pub call: Call,
    /// The revision that a write expects its caster to have; none = any.
    pub expected_revision: Option<u64>,
    /// What its answer names it, for the event that tells of it.
    pub request_id: Option<String>,
    /// Its answer. Closed when the client has left.
    pub reply: oneshot::Sender<Result<Answer, Refused>>,
}

/// A wish to watch a caster and where the answer goes.
#[derive(Debug)]
pub struct WatchRequest {
    /// Which caster.
    pub caster: CasterId,
    /// Its state, now and whenever it changes; the sender is dropped when the caster is deleted.
    pub reply: oneshot::Sender<Result<watch::Receiver<Arc<Snapshot>>, Refused>>,
}

/// A wish to follow a caster's events and where the answer goes.
#[derive(Debug)]
pub struct EventsRequest {
    /// Which caster.
    pub caster: CasterId,
    /// Its feed, which closes when the caster is deleted or the process ends.
    pub reply: oneshot::Sender<Result<Arc<Feed>, Refused>>,
}

/// A question to the index of recordings and where the answer goes.
#[derive(Debug)]
pub struct RecordingsRequest {
    /// What is asked.
    pub ask: Ask,
    /// The answer.
    pub reply: oneshot::Sender<Result<Found, Refused>>,
}

/// A queue of `capacity` messages from the edges to the app; when it is full the edges wait.
pub fn channel(capacity: usize) -> (Control, mpsc::Receiver<Message>) {
    let (messages, receiver) = mpsc::channel(capacity);
    (Control { messages }, receiver)
}

impl Control {
    /// Asks for an operation and waits for its answer. A write can expect its caster to have a revision.
    ///
    /// # Errors
    /// What the app refuses; `InternalError` when it is gone.
    pub async fn call(&self, call: Call) -> Result<Answer, Refused> {
        self.call_if(call, None).await
    }

    /// The same for a write that expects its caster to have this revision.
    ///
    /// # Errors
    /// What the app refuses; `InternalError` when it is gone.
    pub async fn call_if(
        &self,
        call: Call,
        expected_revision: Option<u64>,
    ) -> Result<Answer, Refused> {
        let request =
            |reply| Box::new(Request { call, request_id: None, expected_revision, reply });
        self.ask(|reply| Message::Call(request(reply))).await
    }

    /// The same for an operation whose answer will name this request.
    ///
    /// # Errors
    /// What the app refuses; `InternalError` when it is gone.
    pub async fn call_as(&self, call: Call, request_id: String) -> Result<Answer, Refused> {
        let request_id = Some(request_id);
        let request =
            |reply| Box::new(Request { call, request_id, expected_revision: None, reply });
        self.ask(|reply| Message::Call(request(reply))).await
    }

    /// Asks to watch a caster.
    ///
    /// # Errors
    /// `InvalidCaster.NotFound`; `InternalError` when the app is gone.
    pub async fn watch(&self, caster: CasterId) -> Result<watch::Receiver<Arc<Snapshot>>, Refused> {
        self.ask(|reply| Message::Watch(WatchRequest { caster, reply })).await
    }

    /// Asks for the events of a caster.
    ///
    /// # Errors
    /// `InvalidCaster.NotFound`; `InternalError` when the app is gone or too many casters are followed.
    pub async fn events(&self, caster: CasterId) -> Result<Arc<Feed>, Refused> {
        self.ask(|reply| Message::Events(EventsRequest { caster, reply })).await
    }

    /// Asks the index of recordings.
    ///
    /// # Errors
    /// What the index refuses; `InternalError` when the app is gone.
    pub async fn recordings(&self, ask: Ask) -> Result<Found, Refused> {
        self.ask(|reply| Message::Recordings(RecordingsRequest { ask, reply })).await
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Message,
    ) -> Result<T, Refused> {
        let gone = || Refused::new(ErrorCode::Internal, "The server is stopping.");
        let (reply, answer) = oneshot::channel();
        self.messages.send(message(reply)).await.map_err(|_closed| gone())?;
        answer.await.map_err(|_closed| gone())?
    }
}

/// What a caster does, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Which caster.
    pub caster: CasterId,
    /// Revision of its configuration.
    pub revision: u64,
    /// Whether it is on air; the rest is empty when not.
    pub on_air: bool,
    /// Revision of the last change that was applied on air.
    pub applied_revision: u64,
    /// The last output frame.
    pub tick: u64,
    /// When tick 0 was on air by the wall clock, ns since 1970; none before that is known.
    pub tick0_unix_ns: Option<i128>,
    /// Locations with a visible layer in PGM.
    pub tally_pgm: Vec<LocationId>,
    /// Locations with a visible layer in PVW.
    pub tally_pvw: Vec<LocationId>,
    /// Whether PGM is to be black.
    pub fade_to_black: bool,
    /// How far it is that.
    pub black: Black,
    /// What PGM shows.
    pub stand_in: StandIn,
    /// Its sources.
    pub inputs: Vec<InputStatus>,
    /// How bright PGM is; none before its first picture.
    pub luma: Option<LumaStatus>,
    /// How long each stage of the frame's path takes, in that order.
    pub stages: Vec<StageTiming>,
    /// Where its frames go.
    pub outputs: Vec<OutputStatus>,
    /// How often it began again because something in it broke, since the process began.
    pub restarts: u64,
    /// How its ticks fared.
    pub ticks: TickCounts,
    /// How late ticks began.
    pub lateness: Timing,
    /// From a switch of PGM that was asked for to the tick that showed it.
    pub switches: Timing,
}

/// How ticks fared since the show began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickCounts {
    /// Ticks so far.
    pub ticks: u64,
    /// Not drawn because they came too late.
    pub late: u64,
    /// Not drawn because every canvas was in use or the GPU failed.
    pub repeated: u64,
    /// The encoder's queue had no room for them.
    pub dropped: u64,
}

impl Snapshot {
    /// A caster off air.
    pub fn idle(caster: CasterId, revision: u64) -> Snapshot {
        Snapshot {
            caster,
            revision,
            on_air: false,
            applied_revision: 0,
            tick: 0,
            tick0_unix_ns: None,
            tally_pgm: Vec::new(),
            tally_pvw: Vec::new(),
            fade_to_black: false,
            black: Black::Off,
            stand_in: StandIn::Own,
            inputs: Vec::new(),
            luma: None,
            stages: Vec::new(),
            outputs: Vec::new(),
            restarts: 0,
            ticks: TickCounts::default(),
            lateness: Timing::default(),
            switches: Timing::default(),
        }
    }
}

/// What a source does.
#[derive(Clone, Debug, PartialEq)]
pub struct InputStatus {
    /// Where it stands.
    pub location: Option<LocationId>,
    /// Which it is.
    pub resource: ResourceId,
    /// What its worker says.
    pub state: InputState,
    /// The last error, empty when there was none.
    pub message: String,
    /// Pictures decoded.
    pub frames: u64,
    /// Pictures dropped.
    pub frames_dropped: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// How unevenly its pictures come, ms (RFC 3550's measure); of a live source.
    pub jitter_ms: u64,
    /// Age of what came last, ms; none before anything came, or where it does not matter.
    pub media_age_ms: Option<u64>,
    /// How its timeline fares.
    pub timeline: InputStats,
    /// How bright it is; none while it is not shown.
    pub luma: Option<LumaStatus>,
    /// How often its worker broke or hung and another one took its place.
    pub restarts: u64,
    /// What decodes its video: `nvdec` or `software`; empty before the first picture, and where nothing is decoded.
    pub decoder: &'static str,
    /// Why it is not NVDEC, where there is one; else empty.
    pub nvdec_refused: String,
}

/// How long a stage takes, over the last seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageTiming {
    /// Its name.
    pub stage: &'static str,
    /// Half of the ticks are faster, µs.
    pub p50_us: u64,
    /// 99 of 100 ticks are faster, µs.
    pub p99_us: u64,
    /// The slowest, µs.
    pub max_us: u64,
}

/// What an output does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputStatus {
    /// `pgm`, `pvw`, or a relay's number (`relay-1`).
    pub name: String,
    /// Frames handed to it.
    pub frames: u64,
    /// Ticks that came late.
    pub frames_late: u64,
    /// Frames that it could not take.
    pub frames_dropped: u64,
    /// Encoded bytes that it gave out.
    pub bytes: u64,
    /// Who receives now.
    pub subscribers: u32,
    /// Packets that wait for a relay or a recording.
    pub queued_packets: u64,
    /// The last error, empty when there was none.
    pub message: String,
    /// What its encoder does; none of what only passes packets on.
    pub encoder: Option<EncoderStatus>,
    /// How often a thread of it besides its encoder broke or hung and another one took its place.
    pub thread_restarts: u64,
    /// What was wrong when its encoder or a thread was replaced the last time; empty when none ever was.
    pub last_fault: String,
    /// Why its players get nothing more by HLS, or by HTTP-FLV and RTMP; empty as long as they do.
    pub playback_fault: String,
    /// Of a relay only.
    pub relay: Option<RelayStatus>,
}

/// What an encoder does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncoderStatus {
    /// Ticks that wait for it.
    pub queued: u64,
    /// Time for a tick, over the last ones, µs.
    pub p50_us: u64,
    /// The same of the slowest of a hundred.
    pub p99_us: u64,
    /// The same since the start, in all.
    pub sum_us: u64,
    /// Keyframes.
    pub keyframes: u64,
    /// Those of them that were asked for between two groups of pictures.
    pub keyframes_forced: u64,
    /// Pictures that were not encoded because it was behind.
    pub pictures_dropped: u64,
    /// Pictures that a rendition left out because the machine was overloaded.
    pub pictures_shed: u64,
    /// Packets lost where they waited for the output's delay to be over.
    pub delay_lost: u64,
    /// How much more sound than pictures it was given, by their counts, ns; of renditions, whose sound is PGM's, none.
    pub sound_ahead_ns: Option<i64>,
    /// How often it failed and was replaced.
    pub restarts: u64,
    /// Video bit rate that the last picture was encoded at, bit/s.
    pub video_bps: u32,
    /// Pictures that it holds, to look ahead or to reorder.
    pub held: u64,
    /// Its name: `nvenc`, `x264`, `x265` or `libaom`.
    pub name: &'static str,
    /// Why it is not NVENC, where that was looked for and an NVIDIA driver is there; else empty.
    pub nvenc_refused: String,
    /// Why it takes pictures by way of the host, though they lay on its device; empty where it does not.
    pub nvenc_copies: String,
}

/// What a relay does besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayStatus {
    /// As configured.
    pub name: String,
    /// Where it leads, without its key.
    pub url: String,
    /// Name of its rendition; empty: PGM itself.
    pub rendition: String,
    /// How it fares.
    pub state: RelayState,
    /// When it came to be so, ms since 1970-01-01 UTC.
    pub since_unix_ms: u64,
    /// Why it broke the last time; empty when it never did.
    pub last_error: String,
    /// Attempts to connect after the first.
    pub reconnects: u64,
    /// How far away the server is, where that can be known.
    pub round_trip: Option<Duration>,
}

/// How a relay fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayState {
    /// Switched off.
    Disabled,
    /// Waits for a keyframe.
    Starting,
    /// Opens its destination.
    Connecting,
    /// Is pushed to.
    Live,
    /// Broke; tries again in a moment.
    BackingOff,
    /// Broke [`RETRY_FAILED_AFTER`](crate::limits::RETRY_FAILED_AFTER) times in a row; goes on trying.
    Failed,
}

impl RelayState {
    /// All of them.
    pub const ALL: [RelayState; 6] = [
        RelayState::Disabled,
        RelayState::Starting,
        RelayState::Connecting,
        RelayState::Live,
        RelayState::BackingOff,
        RelayState::Failed,
    ];

    /// Its name on the metrics page.
    pub fn as_str(self) -> &'static str {
        match self {
            RelayState::Disabled => "disabled",
            RelayState::Starting => "starting",
            RelayState::Connecting => "connecting",
            RelayState::Live => "live",
            RelayState::BackingOff => "backing_off",
            RelayState::Failed => "failed",
        }
    }
}
