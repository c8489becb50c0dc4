//! The HTTP edge: one listener, the routers of its parts merged.
//!
//! Must not know what the parts do. Invariants: when told to end it takes no new connection and gives those that are
//! open the time that its caller grants; who does not finish the head of a request is cut off.

use std::pin::pin;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::door::{Connection, Door};
use crate::limits::{HTTP_HEAD_BYTES, HTTP_HEAD_TIMEOUT};

pub mod library;
pub mod pages;
pub mod playback;
pub mod recordings;

/// Serves `router` until `shutdown` is ready and the open answers have ended. A plain listener is a door without TLS.
pub async fn serve(
    door: impl Into<Door>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let mut connections = door.into().open();
    let closing = watch::Sender::new(false);
    let mut talks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let connection = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = talks.join_next() => continue,
            connection = connections.next() => connection,
        };
        let Some(connection) = connection else { break };
        talks.spawn(talk(connection, router.clone(), closing.subscribe()));
    }
    drop(connections);
    closing.send_replace(true);
    while talks.join_next().await.is_some() {}
}

async fn talk(connection: Connection, router: Router, mut closing: watch::Receiver<bool>) {
    let mut talk = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HTTP_HEAD_TIMEOUT)
            .max_buf_size(HTTP_HEAD_BYTES)
            .serve_connection(TokioIo::new(connection), TowerToHyperService::new(router))
    );
    let told = async {
        // An error means that the server is gone, which is an end too.
        let _ = closing.wait_for(|&closing| closing).await;
    };
    let ended = tokio::select! {
        ended = talk.as_mut() => ended,
        () = told => {
            talk.as_mut().graceful_shutdown();
            talk.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended");
    }
}
