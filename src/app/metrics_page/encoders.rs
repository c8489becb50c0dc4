//! What encodes, on the metrics page.
//!
//! Must not know how it is chosen. Invariant: as of the page.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Labels;
use crate::api::control::OutputStatus;
use crate::media::nvenc::NvencReport;

/// What encodes each output.
pub(super) fn output_encoders(registry: &mut Registry, outputs: &[(Labels, &OutputStatus)]) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, output) in outputs {
        let Some(encoder) = &output.encoder else { continue };
        let mut labels = labels.clone();
        labels.push(("encoder", encoder.name.to_owned()));
        family.get_or_create(&labels).set(1);
    }
    registry.register("output_encoder", "1 for what encodes an output", family);
}

/// By how much pictures and sound of an output came apart.
pub(super) fn sound_ahead(registry: &mut Registry, outputs: &[(Labels, &OutputStatus)]) {
    let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (labels, output) in outputs {
        if let Some(ns) = output.encoder.as_ref().and_then(|encoder| encoder.sound_ahead_ns) {
            family.get_or_create(labels).set(ns as f64 / 1e9);
        }
    }
    let help = "How much more sound than pictures an output was given, by their counts";
    registry.register("output_sound_ahead_seconds", help, family);
}

/// What encoding takes.
pub(super) fn encode_seconds(registry: &mut Registry, outputs: &[(Labels, &OutputStatus)]) {
    let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
    for (labels, output) in outputs {
        if let Some(encoder) = &output.encoder {
            family.get_or_create(labels).inc_by(encoder.sum_us as f64 / 1e6);
        }
    }
    registry.register("output_encode_seconds", "Time spent to encode, waits included", family);
}

/// How NVENC fares in this process.
pub(super) fn nvenc(registry: &mut Registry, report: &NvencReport) {
    let states = Family::<Labels, Gauge>::default();
    for state in NvencReport::STATES {
        let labels = vec![("state", state.to_owned())];
        states.get_or_create(&labels).set((state == report.state()).into());
    }
    registry.register("nvenc_state", "1 for what NVENC is found to be", states);
    let sessions = Gauge::<i64>::default();
    sessions.set(i64::try_from(report.sessions).unwrap_or(i64::MAX));
    registry.register("nvenc_sessions", "Sessions of NVENC that are open", sessions);
    for (name, help, value) in [
        ("nvenc_sessions_opened", "Sessions opened, trials included", report.opened),
        ("nvenc_sessions_refused", "Sessions that were not to be had", report.refused),
        (
            "nvenc_host_copies",
            "Pictures copied from the host into NVENC's buffers",
            report.host_copies,
        ),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
}
