//! The HTTP edge: one listener, the routers of its parts merged.
//!
//! Must not know what the parts do. Invariant: when told to end it takes no new connection and gives those that are
//! open the time that its caller grants.

use axum::Router;
use tokio::net::TcpListener;

pub mod pages;
pub mod playback;

/// Serves `router` until `shutdown` is ready and the open answers have ended.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}
