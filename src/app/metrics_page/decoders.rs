//! What decodes, on the metrics page.
//!
//! Must not know how it is chosen. Invariant: as of the page.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, flags};
use crate::api::control::InputStatus;
use crate::media::nvdec::NvdecReport;

/// What decodes each source.
pub(super) fn input_decoders(registry: &mut Registry, inputs: &[(Labels, &InputStatus)]) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, input) in inputs.iter().filter(|(_, input)| !input.decoder.is_empty()) {
        let mut labels = labels.clone();
        labels.push(("decoder", input.decoder.to_owned()));
        family.get_or_create(&labels).set(1);
    }
    registry.register("input_decoder", "1 for what decodes the video of a source", family);
}

/// How NVDEC fares in this process.
pub(super) fn nvdec(registry: &mut Registry, report: &NvdecReport) {
    let states = NvdecReport::STATES.map(|state| (Vec::new(), state, state == report.state()));
    let help = "1 for what NVDEC is found to be";
    flags(registry, ("nvdec_state", help), "state", states.into_iter());
    let streams = Gauge::<i64>::default();
    streams.set(i64::try_from(report.streams).unwrap_or(i64::MAX));
    registry.register("nvdec_streams", "Streams that NVDEC decodes", streams);
    for (name, help, value) in [
        ("nvdec_streams_refused", "Streams that NVDEC was to decode and did not", report.refused),
        ("nvdec_pictures", "Pictures that NVDEC decoded", report.pictures),
        (
            "nvdec_host_copies",
            "Pictures of NVDEC's that were copied to the host",
            report.host_copies,
        ),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
}
