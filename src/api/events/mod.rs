//! Events: what happened to a caster, as callbacks, server-sent events and watching clients are told.
//!
//! Owns the event, its documented JSON (§4.13 of the API), the feed that live clients follow (`feed`), its HTTP edge
//! (`sse`), and what callbacks need of the wire (`keys`, `post`). Must not know when an event happens or where a callback
//! goes. Invariant: every client is told the same JSON of the same event, in the order of the events' numbers.

mod feed;
mod keys;
mod post;
pub mod sse;

use std::fmt;

use serde::Serialize;

use crate::catalog::ErrorCode;
use crate::engine::{Fault, StandIn};
use crate::ids::{CasterId, ComponentId, EpisodeId, LayoutId, ProgramId, ResourceId, SceneId};
use crate::recording::Recording;

pub use feed::{Batch, Feed, Follower};
pub use keys::{CallbackKey, WatchKey};
pub use post::{Poster, SIGNATURE_HEADER};

/// What kind of thing happened, as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum EventType {
    /// An operation was carried out, or refused while on air.
    OperateCallback,
    /// Something on air went wrong.
    RuntimeErrorCallback,
    /// An episode group moved on.
    EpisodeGroupCallback,
    /// A file came to a multiple of its source's `PtsCallbackInterval`.
    PtsCallback,
    /// Something began, or ended, to be wrong with a live source.
    SourceCallback,
    /// Standby came or went.
    StandbyCallback,
    /// A recorded file is finished, or stored.
    RecordCallback,
}

impl EventType {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::OperateCallback => "OperateCallback",
            EventType::RuntimeErrorCallback => "RuntimeErrorCallback",
            EventType::EpisodeGroupCallback => "EpisodeGroupCallback",
            EventType::PtsCallback => "PtsCallback",
            EventType::SourceCallback => "SourceCallback",
            EventType::StandbyCallback => "StandbyCallback",
            EventType::RecordCallback => "RecordCallback",
        }
    }
}

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventCode {
    /// It worked.
    Success,
    /// A live stream was lost, or a file ended abnormally.
    StreamInterrupt,
    /// A relay does not take the stream.
    SideOutputUrlInvalid,
    /// An image cannot be shown.
    ImageOpenFailed,
    /// Something is wrong with a live source.
    Began(Fault),
    /// It is no longer.
    Ended(Fault),
    /// What PGM shows from now on.
    StoodIn(StandIn),
    /// A recording cannot be written: the disk is full, the directory does not let it.
    RecordFailed,
    /// Players get nothing more by HLS, or by HTTP-FLV and RTMP: the directory does not let it be written.
    PlaybackFailed,
    /// All of a recorded file is in object storage.
    Stored,
    /// Object storage does not take recordings: they wait on the disk.
    StorageFailed,
    /// It takes them again.
    StorageRestored,
    /// An encoder failed and was replaced; players and recordings go on from its keyframe.
    EncoderRestarted,
    /// A source was to be decoded by the card and software does it; told again when the reason is another.
    DecoderFellBack,
    /// A thread of an output or a source broke or hung and was replaced; what is beside it goes on undisturbed.
    ThreadRestarted,
    /// What makes the pictures of a show, or all of it, failed and began again.
    CasterRestarted,
    /// A show failed again and again: it shows standby, or a slate, until it is tried again.
    CasterOnSlate,
    /// The machine is overloaded: something is not made until that is over.
    OverloadShed,
    /// It is made again.
    OverloadRestored,
    /// An operation was refused.
    Refused(ErrorCode),
}

impl EventCode {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            EventCode::Success => "Success",
            EventCode::StreamInterrupt => "StreamInterrupt",
            EventCode::SideOutputUrlInvalid => "SideOutputUrlInvalid",
            EventCode::ImageOpenFailed => "ImageOpenFailed",
            EventCode::RecordFailed => "RecordFailed",
            EventCode::PlaybackFailed => "PlaybackFailed",
            EventCode::Stored => "Stored",
            EventCode::StorageFailed => "StorageFailed",
            EventCode::StorageRestored => "StorageRestored",
            EventCode::EncoderRestarted => "EncoderRestarted",
            EventCode::DecoderFellBack => "DecoderFellBack",
            EventCode::ThreadRestarted => "ThreadRestarted",
            EventCode::CasterRestarted => "CasterRestarted",
            EventCode::CasterOnSlate => "CasterOnSlate",
            EventCode::OverloadShed => "OverloadShed",
            EventCode::OverloadRestored => "OverloadRestored",
            EventCode::Refused(code) => code.as_str(),
            EventCode::Began(Fault::Lost) => "LostBegan",
            EventCode::Began(Fault::Stale) => "StaleBegan",
            EventCode::Began(Fault::Frozen) => "FrozenBegan",
            EventCode::Began(Fault::Black) => "BlackBegan",
            EventCode::Began(Fault::Silent) => "SilentBegan",
            EventCode::Ended(Fault::Lost) => "LostEnded",
            EventCode::Ended(Fault::Stale) => "StaleEnded",
            EventCode::Ended(Fault::Frozen) => "FrozenEnded",
            EventCode::Ended(Fault::Black) => "BlackEnded",
            EventCode::Ended(Fault::Silent) => "SilentEnded",
            EventCode::StoodIn(StandIn::Own) => "Own",
            EventCode::StoodIn(StandIn::Standby) => "Standby",
            EventCode::StoodIn(StandIn::Slate) => "Slate",
        }
    }
}

/// What an event is about; what does not apply is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The API call, as its answer named it.
    pub request_id: Option<String>,
    /// A scene.
    pub scene: Option<SceneId>,
    /// A layout.
    pub layout: Option<LayoutId>,
    /// A source.
    pub resource: Option<ResourceId>,
    /// A component.
    pub component: Option<ComponentId>,
    /// An episode group.
    pub program: Option<ProgramId>,
    /// An episode.
    pub episode: Option<EpisodeId>,
    /// A position in a file, ms from its first picture.
    pub pts_ms: Option<u64>,
    /// A recorded file.
    pub recording: Option<Box<Recording>>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number: later events have larger ones, also over a restart of the process. Below 2^53.
    pub seq: u64,
    /// When it happened.
    pub unix_ms: u64,
    /// To which caster; none for an episode group.
    pub caster: Option<CasterId>,
    /// What kind of thing.
    pub kind: EventType,
    /// To which part of it.
    pub about: About,
    /// What happened.
    pub code: EventCode,
    /// The same in words. Holds no secret.
    pub message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    caster_id: Option<&'a str>,
    event_type: EventType,
    event_message: WireMessage<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WireMessage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    episode_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pts: Option<String>,
    #[serde(flatten)]
    recording: Option<WireRecording<'a>>,
    code: &'a str,
    message: &'a str,
}

/// In the words of the cloud's own callback for recorded files, where it has some.
#[derive(Serialize)]
struct WireRecording<'a> {
    #[serde(rename = "RecordingId")]
    id: &'a str,
    #[serde(rename = "Stream")]
    stream: &'a str,
    #[serde(rename = "Format")]
    format: &'a str,
    #[serde(rename = "Uri")]
    uri: &'a str,
    #[serde(rename = "ObjectUri", skip_serializing_if = "Option::is_none")]
    object_uri: Option<&'a str>,
    /// s
    #[serde(rename = "Duration")]
    duration_s: f64,
    /// s since 1970
    #[serde(rename = "StartTime")]
    start_unix_s: u64,
    #[serde(rename = "StopTime")]
    stop_unix_s: u64,
    #[serde(rename = "Bytes")]
    bytes: u64,
}

impl<'a> WireRecording<'a> {
    fn of(recording: &'a Recording) -> WireRecording<'a> {
        WireRecording {
            id: recording.id.as_str(),
            stream: &recording.stream,
            format: recording.format.extension(),
            uri: &recording.name,
            object_uri: recording.uri.as_deref(),
            duration_s: recording.duration_ms as f64 / 1000.0,
            start_unix_s: recording.start_unix_ms / 1000,
            stop_unix_s: recording.end_unix_ms() / 1000,
            bytes: recording.bytes,
        }
    }
}

impl Event {
    /// The documented JSON, on one line.
    pub fn to_json(&self) -> String {
        let about = &self.about;
        let wire = Wire {
            caster_id: self.caster.as_ref().map(CasterId::as_str),
            event_type: self.kind,
            event_message: WireMessage {
                request_id: about.request_id.as_deref(),
                scene_id: about.scene.as_ref().map(SceneId::as_str),
                layout_id: about.layout.as_ref().map(LayoutId::as_str),
                resource_id: about.resource.as_ref().map(ResourceId::as_str),
                component_id: about.component.as_ref().map(ComponentId::as_str),
                program_id: about.program.as_ref().map(ProgramId::as_str),
                episode_id: about.episode.as_ref().map(EpisodeId::as_str),
                pts: about.pts_ms.map(|ms| ms.to_string()),
                recording: about.recording.as_deref().map(WireRecording::of),
                code: self.code.as_str(),
                message: &self.message,
            },
        };
        serde_json::to_string(&wire).expect("strings have no foreign serializer")
    }

    /// Whether who has not been told of an earlier event of the same caster need not be any more.
    fn replaces(&self, earlier: &Event) -> bool {
        self.kind == EventType::PtsCallback
            && earlier.kind == self.kind
            && earlier.about.resource == self.about.resource
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
