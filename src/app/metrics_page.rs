//! The metrics page: the snapshots of all casters as OpenMetrics text.
//!
//! Must not measure anything. Invariant: names begin with `onair_` and end in their unit; nothing secret is a label.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::events::EventCounts;
use crate::api::control::{InputStatus, OutputStatus, RelayState, Snapshot, StageTiming};
use crate::gpu::{PassTime, Supply};
use crate::library::LibraryStats;
use crate::luma::LumaStatus;
use crate::metrics::resident_bytes;

type Labels = Vec<(&'static str, String)>;

/// A metric of each output: name, help, value.
type OutputMetric = (&'static str, &'static str, fn(&OutputStatus) -> u64);
/// A metric of each input.
type InputMetric = (&'static str, &'static str, fn(&InputStatus) -> u64);
/// A gauge of each stage.
type StageMetric = (&'static str, &'static str, fn(&StageTiming) -> u64);

const OUTPUT_COUNTERS: [OutputMetric; 4] = [
    ("output_frames", "Frames encoded", |output| output.frames),
    ("output_frames_late", "Ticks that repeat the last picture", |output| output.frames_late),
    ("output_frames_dropped", "Frames an output could not take", |output| output.frames_dropped),
    ("output_bytes", "Encoded bytes", |output| output.bytes),
];

const INPUT_COUNTERS: [InputMetric; 3] = [
    ("input_frames", "Pictures decoded", |input| input.frames),
    ("input_frames_dropped", "Pictures dropped, late or too many", |input| input.frames_dropped),
    ("input_reconnects", "Connections after the first", |input| input.reconnects),
];

const STAGE_GAUGES: [StageMetric; 3] = [
    ("stage_p50_microseconds", "Median time of a stage of the tick", |stage| stage.p50_us),
    ("stage_p99_microseconds", "99th percentile of a stage", |stage| stage.p99_us),
    ("stage_max_microseconds", "Longest time of a stage", |stage| stage.max_us),
];

/// What is told of how bright a source or PGM is: name after `input_` or `pgm_`, help, value.
type LumaMetric = (&'static str, &'static str, fn(&LumaStatus) -> f64);

const LUMA_GAUGES: [LumaMetric; 3] = [
    ("luma_mean", "Mean luma while shown, 0 black to 1 white", |luma| luma.mean.into()),
    ("black_seconds", "How long it has been black, 0 when it is not", |luma| luma.black_s),
    ("frozen_seconds", "How long its picture has not changed", |luma| luma.frozen_s),
];

fn luma_gauges(registry: &mut Registry, prefix: &str, all: &[(Labels, LumaStatus)]) {
    for (name, help, value) in LUMA_GAUGES {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, luma) in all {
            family.get_or_create(labels).set(value(luma));
        }
        registry.register(format!("{prefix}_{name}"), help, family);
    }
}

fn pass_counters(registry: &mut Registry, times: &[PassTime]) {
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

fn counters<T>(
    registry: &mut Registry,
    (name, help, value): (&'static str, &'static str, fn(&T) -> u64),
    all: &[(Labels, &T)],
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, of) in all {
        family.get_or_create(labels).inc_by(value(of));
    }
    registry.register(name, help, family);
}

fn gauges<T>(
    registry: &mut Registry,
    (name, help, value): (&'static str, &'static str, fn(&T) -> u64),
    all: &[(Labels, &T)],
) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, of) in all {
        family.get_or_create(labels).set(i64::try_from(value(of)).unwrap_or(i64::MAX));
    }
    registry.register(name, help, family);
}

/// How relays fare.
fn relay_metrics(registry: &mut Registry, outputs: &[(Labels, &OutputStatus)]) {
    let states = Family::<Labels, Gauge>::default();
    let reconnects = Family::<Labels, Counter>::default();
    for (labels, output) in outputs {
        let Some(relay) = &output.relay else { continue };
        for state in RelayState::ALL {
            let mut labels = labels.clone();
            labels.push(("state", state.as_str().to_owned()));
            states.get_or_create(&labels).set((state == relay.state).into());
        }
        reconnects.get_or_create(labels).inc_by(relay.reconnects);
    }
    registry.register("relay_state", "1 for the state that a relay is in", states);
    registry.register("relay_reconnects", "Attempts to connect after the first", reconnects);
}

/// What no single caster has.
fn server_metrics(
    registry: &mut Registry,
    (events, library): (EventCounts, LibraryStats),
    gpus: &Supply,
) {
    for (name, help, value) in [
        ("callbacks_delivered", "Events that their receiver took", events.delivered),
        (
            "callback_attempts_failed",
            "Attempts to post an event that failed",
            events.attempts_failed,
        ),
        ("callbacks_dropped", "Events given up: too old or too many", events.dropped),
        ("gpu_device_lost", "Graphics devices lost and replaced", gpus.lost()),
        ("library_uploads", "Uploads that the media library took", library.uploads),
        ("library_uploads_failed", "Uploads refused or broken off", library.uploads_failed),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    pass_counters(registry, &gpus.pass_times());
    let census = gpus.census();
    for (name, help, value) in [
        ("library_items", "Items of the media library", library.items),
        ("library_bytes", "Bytes of their contents", library.bytes),
        ("gpu_objects", "Buffers, textures, bind groups, pipelines", saturated(census.objects)),
        ("gpu_memory_bytes", "Memory of buffers and textures", saturated(census.bytes)),
        ("process_resident_bytes", "Resident memory of the process", resident_bytes()),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
}

fn saturated(count: isize) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// The page.
pub(super) fn text(
    snapshots: &[Arc<Snapshot>],
    (events, library): (EventCounts, LibraryStats),
    gpus: &Supply,
) -> String {
    let mut registry = Registry::with_prefix("onair");
    let caster = |snapshot: &Snapshot| ("caster", snapshot.caster.to_string());
    let (mut inputs, mut outputs, mut stages, mut casters) = (vec![], vec![], vec![], vec![]);
    for snapshot in snapshots {
        casters.push((vec![caster(snapshot)], snapshot.as_ref()));
        for input in &snapshot.inputs {
            inputs.push((
                vec![
                    caster(snapshot),
                    (
                        "location",
                        input.location.map(|location| location.to_string()).unwrap_or_default(),
                    ),
                ],
                input,
            ));
        }
        for output in &snapshot.outputs {
            outputs.push((vec![caster(snapshot), ("output", output.name.clone())], output));
        }
        for stage in &snapshot.stages {
            stages.push((vec![caster(snapshot), ("stage", stage.stage.to_owned())], stage));
        }
    }
    let on_air = |snapshot: &Snapshot| u64::from(snapshot.on_air);
    gauges(&mut registry, ("caster_on_air", "1 while a caster is on air", on_air), &casters);
    for metric in OUTPUT_COUNTERS {
        counters(&mut registry, metric, &outputs);
    }
    for metric in INPUT_COUNTERS {
        counters(&mut registry, metric, &inputs);
    }
    relay_metrics(&mut registry, &outputs);
    let of_input = |(labels, input): &(Labels, &InputStatus)| Some((labels.clone(), input.luma?));
    luma_gauges(&mut registry, "input", &inputs.iter().filter_map(of_input).collect::<Vec<_>>());
    let of_pgm = |(labels, caster): &(Labels, &Snapshot)| Some((labels.clone(), caster.luma?));
    luma_gauges(&mut registry, "pgm", &casters.iter().filter_map(of_pgm).collect::<Vec<_>>());
    for metric in STAGE_GAUGES {
        gauges(&mut registry, metric, &stages);
    }
    server_metrics(&mut registry, (events, library), gpus);
    let mut page = String::new();
    if encode(&mut page, &registry).is_err() {
        // Writing to a String does not fail; an empty page is what a scraper understands.
        page.clear();
    }
    page
}
