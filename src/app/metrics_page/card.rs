//! What the card spends its time on, by its own clock and by NVIDIA's management library, on the metrics page.
//!
//! Must not know how it is asked. Invariant: what a card does not tell is not on the page.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;
use crate::gpu::{CardLoad, PassTime};

/// What is told: name, help, value.
type CardMetric = (&'static str, &'static str, fn(&CardLoad) -> Option<u64>);

const METRICS: [CardMetric; 6] = [
    ("card_busy_percent", "Time in which something ran on the card", |card| {
        card.busy_percent.map(u64::from)
    }),
    ("card_memory_used_bytes", "Memory of the card in use, by all programs", |card| {
        card.memory_used_bytes
    }),
    ("card_memory_total_bytes", "All memory of the card", |card| card.memory_total_bytes),
    ("card_encoder_percent", "How busy the card's encoders are", |card| {
        card.encoder_percent.map(u64::from)
    }),
    ("card_decoder_percent", "How busy the card's decoders are", |card| {
        card.decoder_percent.map(u64::from)
    }),
    ("card_bus_bytes_per_second", "What the card's bus carries at most, each way", |card| {
        card.bus_bytes_per_s
    }),
];

pub(super) fn card(registry: &mut Registry, load: Option<CardLoad>) {
    let Some(load) = load else { return };
    for (name, help, value) in METRICS {
        let Some(value) = value(&load) else { continue };
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
}

pub(super) fn pass_counters(registry: &mut Registry, times: &[PassTime]) {
    let seconds = Family::<Labels, Counter<f64, AtomicU64>>::default();
    let passes = Family::<Labels, Counter>::default();
    for time in times {
        let labels = vec![("pass", time.pass.to_owned())];
        seconds.get_or_create(&labels).inc_by(time.seconds);
        passes.get_or_create(&labels).inc_by(time.count);
    }
    registry.register("gpu_pass_seconds", "Time of the GPU in each pass", seconds);
    registry.register("gpu_passes", "How often each pass ran", passes);
}
