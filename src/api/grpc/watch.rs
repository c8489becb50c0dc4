//! `WatchCaster`: states and events of a caster as a stream.
//!
//! Must not know how a state is made. Invariant: a client that reads slowly skips states, and is told when it missed
//! events; it never holds up the app.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::super::control::{
    Control, InputStatus, OutputStatus, RelayState, RelayStatus, Snapshot, StageTiming,
};
use super::super::events::{Batch, Event, Follower};
use super::pb;
use crate::catalog::{ErrorCode, LocationId, Refused};
use crate::engine::{Black, InputState, StandIn};
use crate::ids::CasterId;
use crate::limits;

/// Least time between two answers unless the client says otherwise, ms.
const DEFAULT_INTERVAL_MS: u32 = 200;

type States = ReceiverStream<Result<pb::WatchCasterResponse, Status>>;

/// Begins to watch; the stream ends when `closed` turns true, the client is no longer `admitted`, the caster is deleted or
/// the client leaves.
pub(super) async fn start(
    control: &Control,
    request: pb::WatchCasterRequest,
    admitted: impl Fn() -> Result<(), Status> + Send + 'static,
    mut closed: watch::Receiver<bool>,
) -> Result<States, Refused> {
    let caster = CasterId::parse(&request.caster_id).ok_or(ErrorCode::CasterIdMalformed)?;
    let interval_ms = request.min_interval_ms.map_or(Some(DEFAULT_INTERVAL_MS), |ms| {
        u32::try_from(ms).ok().filter(|&ms| ms <= limits::WATCH_INTERVAL_MAX_MS)
    });
    let Some(interval_ms) = interval_ms else {
        let message = format!("MinIntervalMs must be from 0 to {}.", limits::WATCH_INTERVAL_MAX_MS);
        return Err(Refused::new(ErrorCode::ParameterMalformed, message));
    };
    let snapshots = control.watch(caster.clone()).await?;
    let follower = control.events(caster).await?.follow(request.events_after_sequence);
    // One state waits at most: the newest is taken when the client has room again.
    let (states, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let interval = Duration::from_millis(interval_ms.into());
        tokio::select! {
            () = forward((snapshots, follower), &states, admitted, interval) => {}
            () = states.closed() => {}
            _ = closed.wait_for(|&closed| closed) => {}
        }
    });
    Ok(ReceiverStream::new(receiver))
}

async fn forward(
    (mut snapshots, mut follower): (watch::Receiver<Arc<Snapshot>>, Follower),
    states: &mpsc::Sender<Result<pb::WatchCasterResponse, Status>>,
    admitted: impl Fn() -> Result<(), Status>,
    interval: Duration,
) {
    loop {
        let Ok(room) = states.reserve().await else { return };
        if let Err(status) = admitted() {
            room.send(Err(status));
            return;
        }
        let snapshot = snapshots.borrow_and_update().clone();
        room.send(Ok(render(&snapshot, follower.take())));
        tokio::time::sleep(interval).await;
        // The last event of a caster that is deleted is told still.
        let goes_on = tokio::select! {
            biased;
            more = follower.changed() => more,
            changed = snapshots.changed() => changed.is_ok(),
        };
        if !goes_on {
            return;
        }
    }
}

fn render(snapshot: &Snapshot, batch: Batch) -> pb::WatchCasterResponse {
    let names = |list: &[LocationId]| list.iter().map(ToString::to_string).collect();
    let status = match snapshot.on_air {
        true => pb::CasterStatus::Streaming,
        false => pb::CasterStatus::Idle,
    };
    pb::WatchCasterResponse {
        caster_id: snapshot.caster.to_string(),
        status: status.into(),
        revision: snapshot.revision,
        applied_revision: snapshot.applied_revision,
        tick: snapshot.tick,
        tick0_unix_ns: snapshot.tick0_unix_ns.and_then(|ns| i64::try_from(ns).ok()),
        tally: Some(pb::Tally {
            pgm: names(&snapshot.tally_pgm),
            pvw: names(&snapshot.tally_pvw),
            black: black(snapshot.black).into(),
        }),
        inputs: snapshot.inputs.iter().map(input).collect(),
        stages: snapshot.stages.iter().map(stage).collect(),
        outputs: snapshot.outputs.iter().map(output).collect(),
        events: batch.events.iter().map(|happened| event(happened)).collect(),
        events_missed: batch.missed,
        fade_to_black: snapshot.fade_to_black,
        stand_in: match snapshot.stand_in {
            StandIn::Own => pb::StandIn::Own,
            StandIn::Standby => pb::StandIn::Standby,
            StandIn::Slate => pb::StandIn::Slate,
        }
        .into(),
        restarts: snapshot.restarts,
    }
}

fn event(event: &Event) -> pb::CasterEvent {
    fn text(id: Option<&impl ToString>) -> String {
        id.map(ToString::to_string).unwrap_or_default()
    }
    let about = &event.about;
    pb::CasterEvent {
        sequence: event.seq,
        time_unix_ms: i64::try_from(event.unix_ms).unwrap_or(i64::MAX),
        event_type: event.kind.to_string(),
        request_id: text(about.request_id.as_ref()),
        scene_id: text(about.scene.as_ref()),
        layout_id: text(about.layout.as_ref()),
        resource_id: text(about.resource.as_ref()),
        component_id: text(about.component.as_ref()),
        program_id: text(about.program.as_ref()),
        episode_id: text(about.episode.as_ref()),
        pts_ms: about.pts_ms,
        recording_id: text(about.recording.as_ref().map(|recording| &recording.id)),
        code: event.code.as_str().to_owned(),
        message: event.message.clone(),
    }
}

fn black(black: Black) -> pb::BlackState {
    match black {
        Black::Off => pb::BlackState::Off,
        Black::Fading => pb::BlackState::Fading,
        Black::Full => pb::BlackState::Full,
    }
}

fn input(input: &InputStatus) -> pb::InputStatus {
    let state = match input.state {
        InputState::Idle => pb::InputState::Idle,
        InputState::Connecting => pb::InputState::Connecting,
        InputState::Buffering => pb::InputState::Buffering,
        InputState::Live => pb::InputState::Live,
        InputState::Stale => pb::InputState::Stale,
        InputState::Failed => pb::InputState::Failed,
        InputState::Ended => pb::InputState::Ended,
    };
    pb::InputStatus {
        location_id: input.location.map(|location| location.to_string()).unwrap_or_default(),
        resource_id: input.resource.to_string(),
        state: state.into(),
        message: input.message.clone(),
        frames: input.frames,
        frames_dropped: input.frames_dropped,
        reconnects: input.reconnects,
        faults: input.faults.iter().map(|fault| fault.as_str().to_owned()).collect(),
        restarts: input.restarts,
        decoder: input.decoder.to_owned(),
        nvdec_refused: input.nvdec_refused.clone(),
    }
}

fn stage(timing: &StageTiming) -> pb::StageTiming {
    pb::StageTiming {
        stage: timing.stage.to_owned(),
        p50_us: timing.p50_us,
        p99_us: timing.p99_us,
        max_us: timing.max_us,
    }
}

fn relay(relay: &RelayStatus) -> pb::RelayStatus {
    let state = match relay.state {
        RelayState::Disabled => pb::RelayState::Disabled,
        RelayState::Starting => pb::RelayState::Starting,
        RelayState::Connecting => pb::RelayState::Connecting,
        RelayState::Live => pb::RelayState::Live,
        RelayState::BackingOff => pb::RelayState::BackingOff,
        RelayState::Failed => pb::RelayState::Failed,
    };
    pb::RelayStatus {
        name: relay.name.clone(),
        url: relay.url.clone(),
        rendition: relay.rendition.clone(),
        state: state.into(),
        since_unix_ms: relay.since_unix_ms,
        last_error: relay.last_error.clone(),
        reconnects: relay.reconnects,
    }
}

fn output(output: &OutputStatus) -> pb::OutputStatus {
    let encoder = output.encoder.as_ref();
    pb::OutputStatus {
        name: output.name.clone(),
        frames: output.frames,
        frames_late: output.frames_late,
        frames_dropped: output.frames_dropped,
        bytes: output.bytes,
        subscribers: output.subscribers,
        message: output.message.clone(),
        restarts: encoder.map_or(0, |encoder| encoder.restarts) + output.thread_restarts,
        relay: output.relay.as_ref().map(relay),
        encoder: encoder.map_or("", |encoder| encoder.name).to_owned(),
        video_bps: encoder.map_or(0, |encoder| encoder.video_bps),
        encoder_held: encoder.map_or(0, |encoder| encoder.held),
        nvenc_refused: encoder.map_or_else(String::new, |encoder| encoder.nvenc_refused.clone()),
        nvenc_copies: encoder.map_or_else(String::new, |encoder| encoder.nvenc_copies.clone()),
    }
}
