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
use crate::media::hls;
use crate::media::hub::{Hub, Subscriber};

#[derive(Debug)]
struct Playback {
    hub: Hub,
    hls_root: PathBuf,
    gate: Gate,
}

/// `GET /caster/{stream}.flv`, `/caster/{stream}.m3u8` and what it names: below `/caster/{stream}/` the programme's own
/// playlist and segments, below `/caster/{stream}/{rung}/` those of its renditions.
pub fn router(hub: Hub, hls_root: PathBuf, gate: Gate) -> Router {
    Router::new()
        .route(&format!("/{PLAYBACK_APP}/{{file}}"), get(play))
        .route(&format!("/{PLAYBACK_APP}/{{stream}}/{{file}}"), get(own_file))
        .route(&format!("/{PLAYBACK_APP}/{{stream}}/{{rung}}/{{file}}"), get(rung_file))
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
            let dir = playback.hls_root.join(stream);
            let text = await_playlist(&playback.hub, &name, &dir).await.ok_or_else(not_found)?;
            let master = playback.master(stream).await;
            Ok(match master {
                Some(master) => playlist(&master, "", key.as_deref()),
                None => playlist(&text, &format!("{stream}/"), key.as_deref()),
            })
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
async fn await_playlist(hub: &Hub, name: &str, dir: &Path) -> Option<String> {
    let path = dir.join(hls::PLAYLIST);
    let _want = hub.want(name);
    let wait = async {
        loop {
            if let Ok(bytes) = read(&path).await {
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

fn playlist(text: &str, below: &str, key: Option<&str>) -> Response {
    let body = sign_playlist(text, below, key);
    (headers("application/vnd.apple.mpegurl"), body).into_response()
}

/// The playlist as players see it: what it names lies `below` it, each with the key of the playlist.
fn sign_playlist(text: &str, below: &str, key: Option<&str>) -> String {
    const MAP: &str = "#EXT-X-MAP:URI=\"";
    let query = key.map(|key| {
        let encoded = url::form_urlencoded::byte_serialize(key.as_bytes());
        format!("?auth_key={}", encoded.collect::<String>())
    });
    let query = query.as_deref().unwrap_or_default();
    let mut out = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        if let Some(uri) = line.strip_prefix(MAP).and_then(|rest| rest.strip_suffix('"')) {
            out.extend([MAP, below, uri, query, "\""]);
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(line);
        } else {
            out.extend([below, line, query]);
        }
        out.push('\n');
    }
    out
}

impl Playback {
    /// The master playlist of a stream that has one: itself, and those of its renditions that are there.
    async fn master(&self, stream: &str) -> Option<String> {
        let text = |dir: &str, file: &str| {
            let path = self.hls_root.join(dir).join(file);
            async move { String::from_utf8(read(&path).await.ok()?).ok() }
        };
        let rungs = text(stream, hls::RUNGS).await?;
        let mut variants =
            vec![(text(stream, hls::VARIANT).await?, format!("{stream}/{}", hls::PLAYLIST))];
        for rung in rungs.lines().filter(|rung| is_name(rung)) {
            if let Some(attributes) = text(&format!("{stream}_{rung}"), hls::VARIANT).await {
                variants.push((attributes, format!("{stream}/{rung}/{}", hls::PLAYLIST)));
            }
        }
        Some(hls::master_playlist(&variants))
    }

    /// A file of HLS, to who has the key of the stream's playlist.
    async fn file(
        &self,
        (stream, dir, file): (&str, &str, &str),
        query: Option<String>,
    ) -> Result<Response, Refusal> {
        let not_found = || refuse(StatusCode::NOT_FOUND, "no such segment\n");
        let key = query.as_deref().and_then(auth_key);
        let kind = match file.rsplit_once('.') {
            Some((_, "ts")) => "video/mp2t",
            Some((_, "m4s" | "mp4")) => "video/mp4",
            _ if file == hls::PLAYLIST => "",
            _ => return Err(not_found()),
        };
        if ![stream, dir, file].into_iter().all(is_name) {
            return Err(not_found());
        }
        self.check(&format!("/{PLAYBACK_APP}/{stream}.m3u8"), key.as_deref())?;
        let path = self.hls_root.join(dir).join(file);
        let bytes = read(&path).await.map_err(|_missing| not_found())?;
        Ok(match kind {
            "" => playlist(&String::from_utf8_lossy(&bytes), "", key.as_deref()),
            kind => (headers(kind), bytes).into_response(),
        })
    }
}

async fn own_file(
    State(playback): State<Arc<Playback>>,
    UrlPath((stream, file)): UrlPath<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    playback.file((&stream, &stream, &file), query).await
}

async fn rung_file(
    State(playback): State<Arc<Playback>>,
    UrlPath((stream, rung, file)): UrlPath<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    playback.file((&stream, &format!("{stream}_{rung}"), &file), query).await
}

#[cfg(test)]
mod tests;
