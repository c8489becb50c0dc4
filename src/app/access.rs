//! Who may push and play: the decision behind the RTMP and HTTP edges.
//!
//! Must not know protocols. Invariant: PVW is never played without a key that fits.

use std::sync::Arc;

use super::studio::Studio;
use crate::api::access::{Access, Gate};
use crate::api::addresses::{Addresses, PLAYBACK_APP, PlaybackAuth};
use crate::config::IngestAuth;
use crate::time;

/// The gate of this server.
pub(super) fn gate(addresses: Arc<Addresses>, studio: Arc<Studio>, ingest: IngestAuth) -> Gate {
    Gate::new(move |access, path, auth_key| {
        let open = match access {
            Access::Publish => ingest == IngestAuth::Off,
            Access::Play => {
                // Streams that are pushed to this server are nobody's programme yet.
                addresses.playback == PlaybackAuth::Public
                    && app_of(path) == PLAYBACK_APP
                    && !studio.is_preview(stream_of(path))
            }
        };
        let signed = |key| addresses.key.verify(path, key, time::unix_ms() / 1000);
        open || auth_key.is_some_and(signed)
    })
}

/// `/APP/NAME.flv` → `APP`.
fn app_of(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// `/APP/NAME.flv` → `NAME`.
fn stream_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}
