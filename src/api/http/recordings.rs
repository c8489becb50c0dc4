//! Recordings over HTTP: list, facts, the files themselves, delete.
//!
//! Must not know where files are kept. Invariants: who has no key that may gets nothing; a file of any size takes the memory of
//! a few chunks.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio_stream::wrappers::ReceiverStream;

use super::library::{Fault, admit, answer, from_query};
use crate::api::control::Control;
use crate::api::keys::{AccessKeys, Role};
use crate::api::openapi::utc;
use crate::api::recordings::{self, Chunks, Content, ListDraft, Piece, not_found};
use crate::catalog::{ErrorCode, Refused};
use crate::limits::MAX_STORED_PLAYLIST_BYTES;
use crate::recording::{RecordFormat, Recording};

struct Edge {
    control: Control,
    keys: Arc<AccessKeys>,
}

/// `GET /recordings?CasterId=…&Format=…&State=…&PageNum=N&PageSize=N`, `GET` and `DELETE` `/recordings/{id}`,
/// `GET /recordings/{id}/file`, and `GET /recordings/{id}/{n}.ts` for the segments of a playlist. Requests carry the access
/// key in the headers that gRPC calls have as metadata.
pub fn router(control: Control, keys: Arc<AccessKeys>) -> Router {
    Router::new()
        .route("/recordings", get(list))
        .route("/recordings/{id}", get(describe).delete(delete))
        .route("/recordings/{id}/{file}", get(download))
        .with_state(Arc::new(Edge { control, keys }))
}

fn render(recording: &Recording) -> Value {
    json!({
        "RecordingId": recording.id.as_str(),
        "CasterId": recording.caster.as_str(),
        "StreamName": recording.stream,
        "Format": recording.format.extension(),
        "State": recording.state.as_str(),
        "Name": recording.name,
        "StartTime": utc::instant(recording.start_unix_ms / 1000),
        "DurationMs": recording.duration_ms,
        "Bytes": recording.bytes,
        "ObjectUri": recording.uri,
    })
}

async fn list(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    admit(&edge.keys, &headers, Role::Viewer)?;
    let text = |name| from_query(query.as_deref(), name).unwrap_or_default();
    let number = |name, code: ErrorCode| match &text(name)[..] {
        "" => Ok(0),
        text => text.parse::<u32>().map(i64::from).map_err(|_invalid| Refused::from(code)),
    };
    let draft = ListDraft {
        caster_id: text("CasterId"),
        format: text("Format"),
        state: text("State"),
        page_num: number("PageNum", ErrorCode::PageNumMalformed)?,
        page_size: number("PageSize", ErrorCode::PageSizeMalformed)?,
        ..ListDraft::default()
    };
    let (total, page) = recordings::list(&edge.control, draft).await?;
    let items: Vec<Value> = page.iter().map(render).collect();
    Ok(answer(StatusCode::OK, json!({ "Total": total, "Items": items })))
}

async fn describe(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    admit(&edge.keys, &headers, Role::Viewer)?;
    let recording = recordings::find(&edge.control, &id).await?;
    Ok(answer(StatusCode::OK, render(&recording)))
}

async fn delete(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Fault> {
    admit(&edge.keys, &headers, Role::Admin)?;
    recordings::delete(&edge.control, &id).await?;
    Ok(answer(StatusCode::OK, json!({})))
}

async fn download(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Fault> {
    admit(&edge.keys, &headers, Role::Viewer)?;
    let number = name.strip_suffix(".ts").and_then(|text| text.parse::<usize>().ok());
    let piece = match number {
        Some(number) => Piece::Segment(number),
        None if name == "file" => Piece::Main,
        None => return Err(not_found().into()),
    };
    let (recording, content) = recordings::open(&edge.control, &id, piece).await?;
    match (piece, recording.format) {
        (Piece::Segment(_), _) => Ok(send(content, "video/mp2t", &headers)),
        (Piece::Main, RecordFormat::Hls) => {
            let length = content.bytes.min(MAX_STORED_PLAYLIST_BYTES);
            let text = numbered(&whole(content.read(0, length)).await?);
            Ok(([(CONTENT_TYPE, recording.format.mime())], text).into_response())
        }
        (Piece::Main, format) => Ok(send(content, format.mime(), &headers)),
    }
}

/// All that comes, as text.
async fn whole(mut chunks: Chunks) -> Result<String, Fault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        bytes.extend_from_slice(&chunk.map_err(|_gone| Fault::from(not_found()))?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The playlist with its segments by their numbers, which lead back here wherever they lie.
fn numbered(text: &str) -> String {
    let mut number = 0;
    let mut numbered = String::new();
    for line in text.lines() {
        if line.starts_with('#') {
            numbered += line;
        } else {
            numbered += &format!("{number}.ts");
            number += 1;
        }
        numbered.push('\n');
    }
    numbered
}

/// First byte and length of what `bytes=A-B` or `bytes=A-` asks for.
fn range(text: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last = if last.is_empty() { length.checked_sub(1)? } else { last.parse().ok()? };
    let last = last.min(length.checked_sub(1)?);
    (first <= last).then(|| (first, last - first + 1))
}

/// A piece, or the part of it that is asked for.
fn send(content: Content, kind: &'static str, headers: &HeaderMap) -> Response {
    let length = content.bytes;
    let asked = headers.get(RANGE).and_then(|value| value.to_str().ok());
    let part = asked.and_then(|text| range(text, length));
    let (first, count) = part.unwrap_or((0, length));
    let body = content.read(first, count);
    let mut response = Body::from_stream(ReceiverStream::new(body)).into_response();
    let told = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind.to_owned()),
        (ACCEPT_RANGES, "bytes".to_owned()),
        (CONTENT_LENGTH, count.to_string()),
    ] {
        if let Ok(value) = value.parse() {
            told.insert(name, value);
        }
    }
    if part.is_some() {
        let last = first + count - 1;
        if let Ok(value) = format!("bytes {first}-{last}/{length}").parse() {
            told.insert(CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}
