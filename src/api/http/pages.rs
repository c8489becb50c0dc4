//! Health and metrics: `/healthz`, `/readyz`, `/metrics`.
//!
//! Must not know what is measured. Invariant: the pages need no key and tell nothing secret.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

/// Writes the metrics page, OpenMetrics text.
pub type WriteMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// The pages.
pub fn router(metrics: WriteMetrics) -> Router {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        // Listening begins when everything is there, so who is answered finds a ready server.
        .route("/readyz", get(|| async { "ready\n" }))
        .route(
            "/metrics",
            get(move || async move { ([(CONTENT_TYPE, OPEN_METRICS)], metrics()).into_response() }),
        )
}
