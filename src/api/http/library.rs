//! The media library over HTTP: upload, list, facts, delete.
//!
//! Must not know what makes a file fit. Invariants: who has no key that may is answered before a byte of a body is kept; a
//! body of any size takes the memory of a few chunks, and no async thread ever waits for the disk; a client that leaves
//! leaves nothing behind.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};
use uuid::Uuid;

use crate::api::grpc::{KEY_ID_METADATA, KEY_SECRET_METADATA};
use crate::api::keys::{AccessKeys, KeyProblem, Role};
use crate::api::media::Media;
use crate::api::openapi::utc;
use crate::catalog::{ErrorCode, Refused};
use crate::library::{Item, Kind, LibraryError, Upload};
use crate::limits::{
    MEDIA_CHECK_TIMEOUT, REFUSED_UPLOAD_BYTES, REFUSED_UPLOAD_WAIT, UPLOAD_IDLE, UPLOAD_WRITE_BYTES,
};
use crate::worker::StopToken;

/// Seconds after which a client that found too many uploads under way may try again.
const RETRY_AFTER_S: &str = "10";

struct Edge {
    media: Media,
    keys: Arc<AccessKeys>,
}

/// `POST` (or `PUT`) `/media?name=NAME`, `GET /media?PageNum=N&PageSize=N`, `GET` and `DELETE` `/media/{id}`. Requests carry
/// the access key in the headers that gRPC calls have as metadata.
pub fn router(media: Media, keys: Arc<AccessKeys>) -> Router {
    Router::new()
        .route("/media", post(upload).put(upload).get(list))
        .route("/media/{id}", get(describe).delete(delete))
        .with_state(Arc::new(Edge { media, keys }))
}

/// A refusal: status, code and words.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Fault {
    fn of(status: StatusCode, code: ErrorCode) -> Fault {
        Fault { status, code: code.as_str(), message: code.message().to_owned() }
    }

    fn late() -> Fault {
        Fault::of(StatusCode::REQUEST_TIMEOUT, ErrorCode::RequestTimeout)
    }
}

impl From<LibraryError> for Fault {
    fn from(error: LibraryError) -> Fault {
        let status = StatusCode::from_u16(error.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::warn!(%error, "media library");
        }
        Fault { status, code: error.code(), message: error.to_string() }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        let status = match refused.code {
            ErrorCode::IllegalOperation => Ok(StatusCode::FORBIDDEN),
            code => StatusCode::from_u16(code.http_status()),
        };
        Fault {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code: refused.code.as_str(),
            message: refused.message,
        }
    }
}

/// Work that broke off because of a bug.
impl From<tokio::task::JoinError> for Fault {
    fn from(error: tokio::task::JoinError) -> Fault {
        tracing::error!(%error, "media library");
        Fault::of(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal)
    }
}

pub(super) fn answer(status: StatusCode, mut body: Value) -> Response {
    body["RequestId"] = Uuid::new_v4().to_string().to_uppercase().into();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    (status, [(CONTENT_TYPE, json)], body.to_string()).into_response()
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        tracing::debug!(code = self.code, "refused");
        let body = json!({ "Code": self.code, "Message": self.message });
        let mut response = answer(self.status, body);
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            let wait = HeaderValue::from_static(RETRY_AFTER_S);
            response.headers_mut().insert(RETRY_AFTER, wait);
        }
        response
    }
}

fn render(item: &Item) -> Value {
    let id = match item.kind {
        Kind::Video => "MaterialId",
        Kind::Image => "ImageId",
    };
    let mut value = json!({
        id: item.id,
        "Type": item.kind.as_str(),
        "Name": item.name,
        "Bytes": item.bytes,
        "Sha256": item.sha256,
        "DurationMs": item.duration_ms,
        "Width": item.size.width_px,
        "Height": item.size.height_px,
        "Created": utc::instant(item.created_unix_ms / 1000),
    });
    if let Some(video) = &item.video {
        value["Video"] = json!({
            "Container": video.container,
            "VideoCodec": video.video_codec,
            "AudioCodec": video.audio_codec,
            "FramesPerSecond": video.frames_per_second,
            "Pictures": video.pictures,
            "Keyframes": video.keyframes,
        });
    }
    value
}

/// Values of a query string, by name.
pub(super) fn from_query(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Lets those pass whose key, in the headers, is of this role at least.
pub(super) fn admit(keys: &AccessKeys, headers: &HeaderMap, least: Role) -> Result<(), Fault> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let unknown = |code| Fault::of(StatusCode::UNAUTHORIZED, code);
    let (Some(id), Some(secret)) = (text(KEY_ID_METADATA), text(KEY_SECRET_METADATA)) else {
        let message = format!("{KEY_ID_METADATA} and {KEY_SECRET_METADATA} are mandatory.");
        return Err(Fault { message, ..unknown(ErrorCode::AccessKeyIdMissing) });
    };
    let key = keys.admit(id, secret).map_err(|problem| match problem {
        KeyProblem::Unknown => unknown(ErrorCode::AccessKeyIdNotFound),
        KeyProblem::Revoked => unknown(ErrorCode::AccessKeyIdInactive),
    })?;
    Ok(Media::admit(&key, least)?)
}

impl Edge {
    fn admit(&self, headers: &HeaderMap, least: Role) -> Result<(), Fault> {
        admit(&self.keys, headers, least)
    }

    async fn begin(&self, parts: &Parts) -> Result<Held, Fault> {
        self.admit(&parts.headers, Role::Admin)?;
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let declared_bytes = length.and_then(|length| length.parse().ok());
        let name = from_query(parts.uri.query(), "name");
        let library = Arc::clone(&self.media.library);
        let begun = spawn_blocking(move || library.begin(name.as_deref(), declared_bytes)).await?;
        Ok(Held(Some(begun?)))
    }
}

async fn upload(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let mut chunks = body.into_data_stream();
    let held = match edge.begin(&parts).await {
        Ok(held) => held,
        Err(fault) => {
            // Who asked first has sent nothing, and will not.
            if !parts.headers.contains_key(EXPECT) {
                read_on(&mut chunks).await;
            }
            return fault.into_response();
        }
    };
    match held.receive(&mut chunks).await {
        Ok(item) => answer(StatusCode::OK, render(&item)),
        Err(fault) => {
            read_on(&mut chunks).await;
            fault.into_response()
        }
    }
}

/// Reads some more of a body that is refused: a client that is cut off while it sends may not see the answer.
async fn read_on(chunks: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin)) {
    let mut left = REFUSED_UPLOAD_BYTES;
    let read = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    // Whether all of it came makes no difference.
    let _ = timeout(REFUSED_UPLOAD_WAIT, read).await;
}

/// An upload while it is received; dropped, on a thread that may wait for the disk, when the client leaves.
struct Held(Option<Upload>);

impl Drop for Held {
    fn drop(&mut self) {
        let Some(upload) = self.0.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(upload))),
            Err(_no_runtime) => drop(upload),
        }
    }
}

/// Stops work when nobody waits for it any more.
struct StopOnDrop(StopToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Held {
    async fn receive(
        mut self,
        chunks: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
    ) -> Result<Arc<Item>, Fault> {
        while let Some(batch) = gather(chunks).await? {
            self.write(batch).await?;
        }
        let Some(upload) = self.0.take() else { return Err(LibraryError::Stopped.into()) };
        let stop = StopOnDrop(StopToken::new());
        let token = stop.0.clone();
        let finishing = spawn_blocking(move || upload.finish(&token));
        match timeout(MEDIA_CHECK_TIMEOUT, finishing).await {
            Ok(finished) => Ok(finished??),
            Err(_elapsed) => {
                let text = format!("could not be read in {} s", MEDIA_CHECK_TIMEOUT.as_secs());
                Err(LibraryError::Unusable(text).into())
            }
        }
    }

    async fn write(&mut self, batch: Vec<Bytes>) -> Result<(), Fault> {
        let Some(mut upload) = self.0.take() else { return Err(LibraryError::Stopped.into()) };
        let (upload, written) = spawn_blocking(move || {
            let written = batch.iter().try_for_each(|bytes| upload.write(bytes));
            (upload, written)
        })
        .await?;
        self.0 = Some(upload);
        Ok(written?)
    }
}

/// The next [`UPLOAD_WRITE_BYTES`] of a body, or all that is left; `None` at its end.
async fn gather(
    chunks: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
) -> Result<Option<Vec<Bytes>>, Fault> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while bytes < UPLOAD_WRITE_BYTES {
        match timeout(UPLOAD_IDLE, chunks.next()).await {
            Err(_elapsed) => return Err(Fault::late()),
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "an upload broke off");
                return Err(LibraryError::Stopped.into());
            }
            Ok(Some(Ok(chunk))) => {
                bytes += chunk.len();
                batch.push(chunk);
            }
        }
    }
    Ok((!batch.is_empty()).then_some(batch))
}

async fn list(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    edge.admit(&headers, Role::Viewer)?;
    let number = |name, code: ErrorCode| match from_query(query.as_deref(), name) {
        None => Ok(0),
        Some(text) => text.parse::<u32>().map_err(|_invalid| Fault::from(Refused::from(code))),
    };
    let num = number("PageNum", ErrorCode::PageNumMalformed)?;
    let size = number("PageSize", ErrorCode::PageSizeMalformed)?;
    let page = edge.media.list(num.into(), size.into())?;
    let items: Vec<Value> = page.items.iter().map(|item| render(item)).collect();
    let body = json!({
        "Total": page.total, "PageNum": page.num, "PageSize": page.size, "Items": items,
    });
    Ok(answer(StatusCode::OK, body))
}

async fn describe(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    edge.admit(&headers, Role::Viewer)?;
    Ok(answer(StatusCode::OK, render(&*edge.media.describe(&id)?)))
}

async fn delete(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    edge.admit(&headers, Role::Admin)?;
    edge.media.delete(id).await?;
    Ok(answer(StatusCode::OK, json!({})))
}

#[cfg(test)]
mod tests;
