//! `onair.v1.MediaLibrary`: the media library's items over gRPC. Uploads are HTTP.
//!
//! Must not know files. Invariant: what is listed is told as it was found when it came.

use tonic::{Request, Response, Status};

use super::super::keys::Role;
use super::super::media::Media;
use super::pb;
use super::pb::media_library_server::MediaLibrary;
use super::service::bearer;
use super::status::{library_status, status};
use crate::library::{Item, Kind};

pub(super) struct Service {
    media: Media,
}

impl Service {
    pub(super) fn new(media: Media) -> Service {
        Service { media }
    }
}

fn admit<Q>(request: &Request<Q>, least: Role) -> Result<(), Status> {
    let key = bearer(request)?;
    Media::admit(&key, least).map_err(status)
}

#[tonic::async_trait]
impl MediaLibrary for Service {
    async fn list_media(
        &self,
        request: Request<pb::ListMediaRequest>,
    ) -> Result<Response<pb::ListMediaResponse>, Status> {
        admit(&request, Role::Viewer)?;
        let pb::ListMediaRequest { page_num, page_size } = request.into_inner();
        let page = self.media.list(page_num.into(), page_size.into()).map_err(status)?;
        Ok(Response::new(pb::ListMediaResponse {
            total: i32::try_from(page.total).unwrap_or(i32::MAX),
            media: page.items.iter().map(|item| media(item)).collect(),
        }))
    }

    async fn describe_media(
        &self,
        request: Request<pb::DescribeMediaRequest>,
    ) -> Result<Response<pb::DescribeMediaResponse>, Status> {
        admit(&request, Role::Viewer)?;
        let item = self.media.describe(&request.into_inner().media_id).map_err(library_status)?;
        Ok(Response::new(pb::DescribeMediaResponse { media: Some(media(&item)) }))
    }

    async fn delete_media(
        &self,
        request: Request<pb::DeleteMediaRequest>,
    ) -> Result<Response<pb::DeleteMediaResponse>, Status> {
        admit(&request, Role::Admin)?;
        self.media.delete(request.into_inner().media_id).await.map_err(library_status)?;
        Ok(Response::new(pb::DeleteMediaResponse {}))
    }
}

fn media(item: &Item) -> pb::Media {
    let kind = match item.kind {
        Kind::Video => pb::MediaType::Video,
        Kind::Image => pb::MediaType::Image,
    };
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let side = |px: u32| i32::try_from(px).unwrap_or(i32::MAX);
    pb::Media {
        media_id: item.id.clone(),
        r#type: kind.into(),
        name: item.name.clone(),
        bytes: number(item.bytes),
        sha256: item.sha256.clone(),
        width_px: side(item.size.width_px),
        height_px: side(item.size.height_px),
        duration_ms: number(item.duration_ms),
        create_time_unix_ms: number(item.created_unix_ms),
        video: item.video.as_ref().map(|video| pb::VideoFacts {
            container: video.container.clone(),
            video_codec: video.video_codec.clone(),
            audio_codec: video.audio_codec.clone(),
            frames_per_second: video.frames_per_second,
            pictures: number(video.pictures),
            keyframes: number(video.keyframes),
        }),
    }
}

#[cfg(test)]
#[path = "tests/library.rs"]
mod tests;
