//! `GET /casters/{CasterId}/events`: a caster's events as a stream of server-sent events (`text/event-stream`).
//!
//! `id` is the event's number, `event` its type, `data` the documented JSON. Who comes back with `Last-Event-ID` is told
//! what happened since, or, in a comment, that some events were missed. Must not know when events happen. Invariants:
//! nobody is told anything without a key of the API or a token of this caster that is good now; a slow client costs
//! others nothing.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Batch, Follower, WatchKey};
use crate::api::control::Control;
use crate::api::grpc::{KEY_ID_METADATA, KEY_SECRET_METADATA};
use crate::api::keys::AccessKeys;
use crate::ids::CasterId;
use crate::limits::{EVENT_HEARTBEAT, PLAYER_WRITE_TIMEOUT};
use crate::time;

struct Edge {
    control: Control,
    keys: Arc<AccessKeys>,
    watch_key: WatchKey,
}

/// The route. Every role may follow.
pub fn router(control: Control, keys: Arc<AccessKeys>, watch_key: WatchKey) -> Router {
    Router::new().route("/casters/{caster}/events", get(follow)).with_state(Arc::new(Edge {
        control,
        keys,
        watch_key,
    }))
}

/// What lets a client in, for as long as it is good.
enum Pass {
    /// The key of this id.
    Key(String),
    /// A token, until it expires.
    Token(String),
}

impl Edge {
    fn pass(&self, caster: &CasterId, headers: &HeaderMap, query: Option<&str>) -> Option<Pass> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = header(AUTHORIZATION.as_str()).and_then(|text| text.strip_prefix("Bearer "));
        let pair = header(KEY_ID_METADATA)
            .zip(header(KEY_SECRET_METADATA))
            .or_else(|| bearer.and_then(|text| text.trim().split_once(':')));
        if let Some((id, secret)) = pair {
            let key = self.keys.admit(id, secret).ok()?;
            return Some(Pass::Key(key.id().to_owned()));
        }
        let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let (_, token) = pairs.find(|(name, _)| name == "token")?;
        let pass = Pass::Token(token.into_owned());
        self.is_good(&pass, caster).then_some(pass)
    }

    fn is_good(&self, pass: &Pass, caster: &CasterId) -> bool {
        match pass {
            Pass::Key(id) => self.keys.get(id).is_ok(),
            Pass::Token(token) => self.watch_key.verify(token, caster, time::unix_ms() / 1000),
        }
    }
}

async fn follow(
    State(edge): State<Arc<Edge>>,
    Path(caster): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let refuse = |status: StatusCode, why: &'static str| {
        let open = [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
        (status, open, why).into_response()
    };
    let Some(caster) = CasterId::parse(&caster) else {
        return refuse(StatusCode::NOT_FOUND, "no such caster\n");
    };
    let Some(pass) = edge.pass(&caster, &headers, query.as_deref()) else {
        return refuse(StatusCode::UNAUTHORIZED, "an access key or a token is needed\n");
    };
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = last.and_then(|text| text.trim().parse().ok());
    let feed = match edge.control.events(caster.clone()).await {
        Ok(feed) => feed,
        Err(refused) => {
            let status = StatusCode::from_u16(refused.code.http_status());
            return refuse(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "refused\n");
        }
    };
    let (sender, receiver) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    let follower = feed.follow(last);
    // The follower keeps what it needs.
    drop(feed);
    tokio::spawn(async move {
        tokio::select! {
            () = forward(follower, &sender, || edge.is_good(&pass, &caster)) => {}
            () = sender.closed() => {}
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-store"),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    (headers, Body::from_stream(ReceiverStream::new(receiver))).into_response()
}

async fn forward(
    mut follower: Follower,
    sender: &mpsc::Sender<Result<Bytes, Infallible>>,
    is_good: impl Fn() -> bool,
) {
    // The first line goes out at once, so that the client knows that it is connected.
    let mut text = ": following\n\n".to_owned();
    while is_good() {
        write(&mut text, &follower.take());
        // When the socket takes nothing for so long, the client is gone or as good as gone.
        let sent = sender.send_timeout(Ok(text.into()), PLAYER_WRITE_TIMEOUT).await;
        if sent.is_err() {
            return;
        }
        text = String::new();
        match tokio::time::timeout(EVENT_HEARTBEAT, follower.changed()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_elapsed) => text.push_str(": \n\n"),
        }
    }
}

fn write(text: &mut String, batch: &Batch) {
    if batch.missed {
        text.push_str(": events were missed\n\n");
    }
    for event in &batch.events {
        // A String takes everything.
        let _ =
            write!(text, "id: {}\nevent: {}\ndata: {}\n\n", event.seq, event.kind, event.to_json());
    }
}
