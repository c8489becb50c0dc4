//! The RTMP server: publishers push into the hub, players take out of it.
//!
//! Owns the listener and its connections. Must not know casters: names are `{app}/{name}`, and who may do what is asked at the
//! gate. Invariants: a connection that misbehaves ends alone, with one log line; a slow player costs others nothing.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::api::access::Gate;
use crate::config::SecondPublisher;
use crate::limits::RTMP_CONNECTIONS;
use crate::media::hub::Hub;

mod amf;
mod chunks;
mod connection;

/// Serves publishers and players until `shutdown`; then every connection is cut. `second` says what happens when a stream
/// is pushed that is on air.
pub async fn serve(
    listener: TcpListener,
    hub: Hub,
    gate: Gate,
    second: SecondPublisher,
    shutdown: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(RTMP_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "RTMP listener");
                // Out of descriptors, most likely: others must end first.
                tokio::time::sleep(crate::limits::STOP_POLL).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!(%peer, "RTMP connection refused: {RTMP_CONNECTIONS} are open");
            continue;
        };
        let (hub, gate) = (hub.clone(), gate.clone());
        connections.spawn(async move {
            let _place = place;
            match connection::run(socket, hub, gate, second).await {
                Ok(()) => tracing::debug!(%peer, "RTMP connection ended"),
                Err(error) => tracing::info!(%peer, %error, "RTMP connection closed"),
            }
        });
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
