//! Playing over HTTP: FLV straight from the hub, HLS from the files that its sink writes.
//!
//! Must not know casters: a stream is `caster/{stream}` in the hub and a directory of that name under the HLS root. Invariants: no path
//! leads out of the HLS root; a slow player costs others nothing; what a signed playlist leads to is signed too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::api::access::{Access, Gate, auth_key, is_name};
use crate::api::addresses::PLAYBACK_APP;
use crate::limits::{
    MAX_HLS_FILE_BYTES, PLAYER_CHUNKS, PLAYER_WAIT, PLAYER_WRITE_TIMEOUT, STOP_POLL,
};
use crate::media::flv;
use crate::media::hub::{Hub, Subscriber};
use crate::media::mux::HLS_PLAYLIST;

#[derive(Debug)]
struct Playback {
    hub: Hub,
    hls_root: PathBuf,
    gate: Gate,
}

/// `GET /caster/{stream}.flv`, `/caster/{stream}.m3u8` and the segments that it names.
pub fn router(hub: Hub, hls_root: PathBuf, gate: Gate) -> Router {
    Router::new()
        .route(&format!("/{PLAYBACK_APP}/{{file}}"), get(play))
        .route(&format!("/{PLAYBACK_APP}/{{stream}}/{{segment}}"), get(segment))
        .with_state(Arc::new(Playback { hub, hls_root, gate }))
}

/// A refusal: status and one line of text.
type Refusal = (StatusCode, HeaderMap, &'static str);

fn refuse(status: StatusCode, why: &'static str) -> Refusal {
    (status, headers("text/plain; charset=utf-8"), why)
}

/// Every answer may be read by a page from anywhere, and none is kept: a stream's address is the same tomorrow.
fn headers(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store")),
    ])
}

impl Playback {
    fn check(&self, path: &str, key: Option<&str>) -> Result<(), Refusal> {
        match self.gate.allows(Access::Play, path, key) {
            true => Ok(()),
            false => Err(refuse(StatusCode::FORBIDDEN, "auth_key is missing or wrong\n")),
        }
    }
}

async fn play(
    State(playback): State<Arc<Playback>>,
    UrlPath(file): UrlPath<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let not_found = || refuse(StatusCode::NOT_FOUND, "no such stream\n");
    let key = query.as_deref().and_then(auth_key);
    let (stream, kind) = file.rsplit_once('.').ok_or_else(not_found)?;
    if !is_name(stream) {
        return Err(not_found());
    }
    playback.check(&format!("/{PLAYBACK_APP}/{file}"), key.as_deref())?;
    let name = format!("{PLAYBACK_APP}/{stream}");
    match kind {
        "flv" => {
            let joined = playback.hub.subscribe_wait(&name, PLAYER_WAIT).await;
            Ok(stream_flv(joined.ok_or_else(not_found)?))
        }
        "m3u8" => {
            let path = playback.hls_root.join(stream).join(HLS_PLAYLIST);
            let text = await_playlist(&playback.hub, &name, &path).await.ok_or_else(not_found)?;
            let body = sign_playlist(&text, stream, key.as_deref());
            Ok((headers("application/vnd.apple.mpegurl"), body).into_response())
        }
        _ => Err(not_found()),
    }
}

/// A body that goes on as long as the stream and its player do.
fn stream_flv(subscriber: Subscriber) -> Response {
    let (sender, receiver) =
        mpsc::channel::<Result<Bytes, std::convert::Infallible>>(PLAYER_CHUNKS);
    tokio::spawn(async move {
        let mut chunk = flv::file_header(subscriber.tracks());
        loop {
            // When the socket takes nothing for so long, the player is gone or as good as gone.
            if sender.send_timeout(Ok(chunk), PLAYER_WRITE_TIMEOUT).await.is_err() {
                return;
            }
            chunk = tokio::select! {
                tag = subscriber.next() => match tag {
                    Some(tag) => flv::framed(&tag),
                    None => return,
                },
                () = sender.closed() => return,
            };
        }
    });
    (headers("video/x-flv"), Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

/// The playlist, waiting for its first version as long as the stream is there or may be coming.
async fn await_playlist(hub: &Hub, name: &str, path: &Path) -> Option<String> {
    let _want = hub.want(name);
    let wait = async {
        loop {
            if let Ok(bytes) = read(path).await {
                return String::from_utf8(bytes).ok();
            }
            tokio::time::sleep(STOP_POLL).await;
        }
    };
    tokio::time::timeout(PLAYER_WAIT, wait).await.ok().flatten()
}

async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(MAX_HLS_FILE_BYTES).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// The playlist as players see it: segments under `/caster/{stream}/`, each with the key of the playlist.
fn sign_playlist(text: &str, stream: &str, key: Option<&str>) -> String {
    let query = key.map(|key| {
        let encoded = url::form_urlencoded::byte_serialize(key.as_bytes());
        format!("?auth_key={}", encoded.collect::<String>())
    });
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            out.push_str(line);
        } else {
            out.extend([stream, "/", line, query.as_deref().unwrap_or_default()]);
        }
        out.push('\n');
    }
    out
}

async fn segment(
    State(playback): State<Arc<Playback>>,
    UrlPath((stream, segment)): UrlPath<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let not_found = || refuse(StatusCode::NOT_FOUND, "no such segment\n");
    let key = query.as_deref().and_then(auth_key);
    if !is_name(&stream) || !is_name(&segment) || !segment.ends_with(".ts") {
        return Err(not_found());
    }
    // The key is that of the playlist.
    playback.check(&format!("/{PLAYBACK_APP}/{stream}.m3u8"), key.as_deref())?;
    let path = playback.hls_root.join(&stream).join(&segment);
    let bytes = read(&path).await.map_err(|_missing| not_found())?;
    Ok((headers("video/mp2t"), bytes).into_response())
}

#[cfg(test)]
mod tests;
