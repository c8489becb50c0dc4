//! `onair.v1.Recordings`: the index of recordings over gRPC.
//!
//! Must not know files. Invariant: a question is asked only for a key whose role may.

use tonic::{Request, Response, Status};

use super::super::control::Control;
use super::super::keys::Role;
use super::super::media::Media;
use super::super::recordings::{self, ListDraft};
use super::pb;
use super::pb::recordings_server::Recordings;
use super::service::bearer;
use super::status::status;
use crate::recording::Recording;

pub(super) struct Service {
    control: Control,
}

impl Service {
    pub(super) fn new(control: Control) -> Service {
        Service { control }
    }
}

fn admit<Q>(request: &Request<Q>, least: Role) -> Result<(), Status> {
    Media::admit(&*bearer(request)?, least).map_err(status)
}

#[tonic::async_trait]
impl Recordings for Service {
    async fn list_recordings(
        &self,
        request: Request<pb::ListRecordingsRequest>,
    ) -> Result<Response<pb::ListRecordingsResponse>, Status> {
        admit(&request, Role::Viewer)?;
        let r = request.into_inner();
        let draft = ListDraft {
            caster_id: r.caster_id,
            format: r.format,
            state: r.state,
            from_unix_ms: r.start_time_unix_ms,
            until_unix_ms: r.end_time_unix_ms,
            page_num: r.page_num.into(),
            page_size: r.page_size.into(),
        };
        let (total, page) = recordings::list(&self.control, draft).await.map_err(status)?;
        Ok(Response::new(pb::ListRecordingsResponse {
            total: i32::try_from(total).unwrap_or(i32::MAX),
            recordings: page.iter().map(told).collect(),
        }))
    }

    async fn describe_recording(
        &self,
        request: Request<pb::DescribeRecordingRequest>,
    ) -> Result<Response<pb::DescribeRecordingResponse>, Status> {
        admit(&request, Role::Viewer)?;
        let found = recordings::find(&self.control, &request.into_inner().recording_id).await;
        let recording = Some(told(&found.map_err(status)?));
        Ok(Response::new(pb::DescribeRecordingResponse { recording }))
    }

    async fn delete_recording(
        &self,
        request: Request<pb::DeleteRecordingRequest>,
    ) -> Result<Response<pb::DeleteRecordingResponse>, Status> {
        admit(&request, Role::Admin)?;
        let id = request.into_inner().recording_id;
        recordings::delete(&self.control, &id).await.map_err(status)?;
        Ok(Response::new(pb::DeleteRecordingResponse {}))
    }
}

fn told(recording: &Recording) -> pb::Recording {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    pb::Recording {
        recording_id: recording.id.to_string(),
        caster_id: recording.caster.to_string(),
        stream_name: recording.stream.clone(),
        format: recording.format.extension().to_owned(),
        state: recording.state.as_str().to_owned(),
        name: recording.name.clone(),
        start_time_unix_ms: number(recording.start_unix_ms),
        duration_ms: number(recording.duration_ms),
        bytes: number(recording.bytes),
        object_uri: recording.uri.clone().unwrap_or_default(),
    }
}
