//! How relays fare, on the metrics page.
//!
//! Must not know what they are pushed by. Invariant: a relay whose way cannot be measured has no round-trip time, rather than a
//! wrong one.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, flags};
use crate::api::control::{OutputStatus, RelayState};

pub(super) fn relays(registry: &mut Registry, outputs: &[(Labels, &OutputStatus)]) {
    let reconnects = Family::<Labels, Counter>::default();
    let relays =
        outputs.iter().filter_map(|(labels, output)| Some((labels, output.relay.as_ref()?)));
    let away = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (labels, relay) in relays.clone() {
        reconnects.get_or_create(labels).inc_by(relay.reconnects);
        if let Some(round_trip) = relay.round_trip {
            away.get_or_create(labels).set(round_trip.as_secs_f64());
        }
    }
    let states = relays.flat_map(|(labels, relay)| {
        RelayState::ALL.map(|state| (labels.clone(), state.as_str(), state == relay.state))
    });
    flags(registry, ("relay_state", "1 for the state that a relay is in"), "state", states);
    registry.register("relay_reconnects", "Attempts to connect after the first", reconnects);
    let help = "There and back to the server of a relay, where that can be known";
    registry.register("relay_round_trip_seconds", help, away);
}
