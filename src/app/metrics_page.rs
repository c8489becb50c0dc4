//! The metrics page: the snapshots of all casters as OpenMetrics text.
//!
//! Must not measure anything. Invariant: names begin with `onair_` and end in their unit; nothing secret is a label.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::events::EventCounts;
use super::uploads::Counts;
use crate::api::control::{EncoderStatus, InputStatus, OutputStatus, Snapshot, StageTiming};
use crate::engine::{Fault, InputState, StandIn};
use crate::gpu::Supply;
use crate::library::LibraryStats;
use crate::luma::LumaStatus;
use crate::media::nvdec::NvdecReport;
use crate::media::nvenc::NvencReport;
use crate::metrics::{Timing, open_descriptors, resident_bytes, threads};
use crate::worker::left_behind;

mod card;
mod decoders;
mod encoders;
mod relays;

type Labels = Vec<(&'static str, String)>;

/// A metric of each output: name, help, value.
type OutputMetric = (&'static str, &'static str, fn(&OutputStatus) -> u64);
/// A metric of each input.
type InputMetric = (&'static str, &'static str, fn(&InputStatus) -> u64);
/// A gauge of each stage.
type StageMetric = (&'static str, &'static str, fn(&StageTiming) -> u64);

const OUTPUT_COUNTERS: [OutputMetric; 11] = [
    ("output_frames", "Frames encoded", |output| output.frames),
    ("output_frames_late", "Ticks that repeat the last picture", |output| output.frames_late),
    ("output_frames_dropped", "Frames an output could not take", |output| output.frames_dropped),
    ("output_bytes", "Encoded bytes", |output| output.bytes),
    ("output_keyframes", "Keyframes encoded", |output| of_encoder(output, |e| e.keyframes)),
    ("output_keyframes_forced", "Keyframes asked for between two groups of pictures", |output| {
        of_encoder(output, |e| e.keyframes_forced)
    }),
    ("output_pictures_dropped", "Pictures dropped because the encoder was behind", |output| {
        of_encoder(output, |e| e.pictures_dropped)
    }),
    ("output_pictures_shed", "Pictures left out because the machine was overloaded", |output| {
        of_encoder(output, |e| e.pictures_shed)
    }),
    ("output_encoder_restarts", "Encoders that failed and were replaced", |output| {
        of_encoder(output, |e| e.restarts)
    }),
    ("output_thread_restarts", "Other threads that broke or hung and were replaced", |output| {
        output.thread_restarts
    }),
    ("output_delay_lost", "Packets lost where they waited for the delay to be over", |output| {
        of_encoder(output, |e| e.delay_lost)
    }),
];

const OUTPUT_GAUGES: [OutputMetric; 7] = [
    ("output_subscribers", "Players, or 1 for a relay or recording that works", |output| {
        output.subscribers.into()
    }),
    ("output_queue_ticks", "Ticks that wait for the encoder", |output| {
        of_encoder(output, |e| e.queued)
    }),
    ("output_queue_packets", "Packets that wait for a relay or recording", |output| {
        output.queued_packets
    }),
    ("output_video_bps", "Video bit rate that the last picture was encoded at", |output| {
        of_encoder(output, |e| e.video_bps.into())
    }),
    (
        "output_encoder_held",
        "Pictures that the encoder holds, to look ahead or to reorder",
        |output| of_encoder(output, |e| e.held),
    ),
    (
        "output_encode_p50_microseconds",
        "Median time to encode a tick, of the last ones",
        |output| of_encoder(output, |e| e.p50_us),
    ),
    ("output_encode_p99_microseconds", "The slowest of a hundred", |output| {
        of_encoder(output, |e| e.p99_us)
    }),
];

/// A count of an output's encoder; 0 of what only passes packets on.
fn of_encoder(output: &OutputStatus, count: fn(&EncoderStatus) -> u64) -> u64 {
    output.encoder.as_ref().map_or(0, count)
}

const INPUT_COUNTERS: [InputMetric; 7] = [
    ("input_frames", "Pictures decoded", |input| input.frames),
    ("input_frames_dropped", "Pictures dropped, late or too many", |input| input.frames_dropped),
    ("input_reconnects", "Connections after the first", |input| input.reconnects),
    ("input_frames_repeated", "Ticks that showed a picture once more", |input| {
        input.timeline.repeated
    }),
    ("input_underruns", "Times that a picture or sound was due and not there", |input| {
        input.timeline.underruns
    }),
    ("input_reanchors", "Jumps of the timestamps", |input| input.timeline.reanchors),
    ("input_restarts", "Workers that broke or hung and were replaced", |input| input.restarts),
];

const INPUT_GAUGES: [InputMetric; 5] = [
    ("input_state", "0 idle, 1 connecting, 2 buffering, 3 live, 4 stale, 5 failed, 6 ended", state),
    ("input_media_age_milliseconds", "Since something came last, where that matters", |input| {
        input.media_age_ms.unwrap_or(0)
    }),
    ("input_jitter_milliseconds", "How unevenly pictures of a live source come", |input| {
        input.jitter_ms
    }),
    ("input_buffered_milliseconds", "Media ahead of what plays", |input| {
        input.timeline.buffered_ms.into()
    }),
    ("input_queued_frames", "Decoded pictures that wait for their tick", |input| {
        input.timeline.frames as u64
    }),
];

fn state(input: &InputStatus) -> u64 {
    match input.state {
        InputState::Idle => 0,
        InputState::Connecting => 1,
        InputState::Buffering => 2,
        InputState::Live => 3,
        InputState::Stale => 4,
        InputState::Failed => 5,
        InputState::Ended => 6,
    }
}

/// A count of each caster.
type CasterMetric = (&'static str, &'static str, fn(&Snapshot) -> u64);

const CASTER_COUNTERS: [CasterMetric; 5] = [
    ("caster_ticks", "Ticks", |caster| caster.ticks.ticks),
    ("caster_ticks_late", "Ticks not drawn because they came too late", |caster| caster.ticks.late),
    ("caster_ticks_repeated", "Ticks without a canvas or a GPU", |caster| caster.ticks.repeated),
    ("caster_ticks_dropped", "Ticks that the encoder had no room for", |caster| {
        caster.ticks.dropped
    }),
    ("caster_restarts", "Times that the show began again because something broke", |caster| {
        caster.restarts
    }),
];

/// Upper edges of the buckets of lateness, µs: a tenth of a frame to seconds.
const LATENESS_EDGES_US: [u64; 8] =
    [1_000, 3_000, 10_000, 20_000, 33_000, 66_000, 250_000, 1_000_000];
/// Of switches of PGM.
const SWITCH_EDGES_US: [u64; 8] =
    [20_000, 40_000, 66_000, 100_000, 250_000, 1_000_000, 3_000_000, 10_000_000];

/// A timing as a histogram, in seconds.
#[derive(Clone, Debug, Default)]
struct Histogram {
    sum_s: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

impl Histogram {
    fn of(timing: &Timing, edges_us: &[u64]) -> Histogram {
        let edges_s = edges_us.iter().map(|us| *us as f64 / 1e6).chain([f64::MAX]);
        let buckets = edges_s.zip(timing.counts_up_to(edges_us)).collect();
        let quantiles = timing.quantiles();
        Histogram { sum_s: quantiles.total_us as f64 / 1e6, count: quantiles.count, buckets }
    }
}

/// A timing of each caster as histograms.
#[derive(Debug)]
struct Histograms(Vec<(Labels, Histogram)>);

impl EncodeMetric for Histograms {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (labels, Histogram { sum_s, count, buckets }) in &self.0 {
            let mut of_caster = encoder.encode_family(labels)?;
            of_caster.encode_histogram::<NoLabelSet>(*sum_s, *count, buckets, None)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// The histograms of casters: name, help, edges of the buckets, which timing.
type HistogramMetric = (&'static str, &'static str, [u64; 8], fn(&Snapshot) -> &Timing);

const HISTOGRAMS: [HistogramMetric; 2] = [
    ("tick_lateness_seconds", "How late ticks began", LATENESS_EDGES_US, |caster| &caster.lateness),
    (
        "switch_seconds",
        "From a switch of PGM that was asked for to the tick that showed it",
        SWITCH_EDGES_US,
        |caster| &caster.switches,
    ),
];

fn histograms(registry: &mut Registry, casters: &[(Labels, &Snapshot)]) {
    for (name, help, edges_us, timing) in HISTOGRAMS {
        let of = |(labels, caster): &(Labels, &Snapshot)| {
            (labels.clone(), Histogram::of(timing(caster), &edges_us))
        };
        registry.register(name, help, Histograms(casters.iter().map(of).collect()));
    }
}

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

fn drifts(registry: &mut Registry, inputs: &[(Labels, &InputStatus)]) {
    let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (labels, input) in inputs {
        family.get_or_create(labels).set(input.timeline.drift_ppm.into());
    }
    let help = "How much faster than the programme a source's clock is, parts per million";
    registry.register("input_drift_ppm", help, family);
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

/// How the machine fares.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) disk_free_bytes: u64,
    /// See [`super::shedding`].
    pub(super) shed_level: u64,
    /// Cores that the process uses.
    pub(super) load: f64,
    /// Where NVENC is looked for.
    pub(super) nvenc: Option<NvencReport>,
    /// Where NVDEC is looked for.
    pub(super) nvdec: Option<NvdecReport>,
    /// How many encoders may run; 0: no limit.
    pub(super) max_encoders: u64,
}

/// 1 for the states that something is in, 0 for the others.
fn flags(
    registry: &mut Registry,
    (name, help): (&'static str, &'static str),
    label: &'static str,
    all: impl Iterator<Item = (Labels, &'static str, bool)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (mut labels, state, is_so) in all {
        labels.push((label, state.to_owned()));
        family.get_or_create(&labels).set(is_so.into());
    }
    registry.register(name, help, family);
}

/// What is wrong with sources, and what stands in for PGM.
fn watch_metrics(
    registry: &mut Registry,
    inputs: &[(Labels, &InputStatus)],
    casters: &[(Labels, &Snapshot)],
) {
    let faults = inputs.iter().flat_map(|(labels, input)| {
        Fault::ALL.map(|fault| (labels.clone(), fault.as_str(), input.faults.contains(&fault)))
    });
    let help = "1 for what is wrong with a source, by the detectors";
    flags(registry, ("input_fault", help), "fault", faults);
    let shown = casters.iter().flat_map(|(labels, caster)| {
        [(StandIn::Own, "own"), (StandIn::Standby, "standby"), (StandIn::Slate, "slate")]
            .map(|(shows, name)| (labels.clone(), name, caster.stand_in == shows))
    });
    let help = "1 for what PGM shows: its own content, standby or the slate";
    flags(registry, ("caster_shows", help), "shows", shown);
}

/// How uploads of recordings fare.
fn upload_metrics(registry: &mut Registry, counts: &Counts) {
    for (name, help, value) in [
        ("upload_bytes", "Bytes of recordings that object storage took", &counts.bytes),
        ("recordings_stored", "Recordings that are in object storage", &counts.stored),
        ("upload_failures", "Attempts to upload a recording that failed", &counts.failures),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value.load(Ordering::Relaxed));
        registry.register(name, help, counter);
    }
    let waiting = Gauge::<i64>::default();
    waiting.set(i64::try_from(counts.waiting.load(Ordering::Relaxed)).unwrap_or(i64::MAX));
    registry.register("recordings_waiting", "Recordings that wait for object storage", waiting);
}

/// What no single caster has.
fn server_metrics(
    registry: &mut Registry,
    (events, library): (EventCounts, LibraryStats),
    (gpus, machine): (&Supply, &Machine),
) {
    let traffic = gpus.traffic();
    for (name, help, value) in [
        ("callbacks_delivered", "Events that their receiver took", events.delivered),
        (
            "callback_attempts_failed",
            "Attempts to post an event that failed",
            events.attempts_failed,
        ),
        ("callbacks_dropped", "Events given up: too old or too many", events.dropped),
        ("gpu_device_lost", "Graphics devices lost and replaced", gpus.lost()),
        ("gpu_host_copies", "Pictures copied from the device to the host", traffic.host_copies()),
        ("gpu_read_bytes", "Bytes copied from the device to the host", traffic.read_bytes()),
        ("gpu_upload_bytes", "Bytes of sources and overlays uploaded", traffic.uploaded_bytes()),
        ("library_uploads", "Uploads that the media library took", library.uploads),
        ("library_uploads_failed", "Uploads refused or broken off", library.uploads_failed),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    card::pass_counters(registry, &gpus.pass_times());
    card::card(registry, gpus.card_load());
    if let Some(report) = &machine.nvenc {
        encoders::nvenc(registry, report);
    }
    if let Some(report) = &machine.nvdec {
        decoders::nvdec(registry, report);
    }
    let load = Gauge::<f64, AtomicU64>::default();
    load.set(machine.load);
    registry.register("process_load_cores", "Cores that the process uses, over 10 s", load);
    let census = gpus.census();
    for (name, help, value) in [
        ("library_items", "Items of the media library", library.items),
        ("library_bytes", "Bytes of their contents", library.bytes),
        ("gpu_objects", "Buffers, textures, bind groups, pipelines", saturated(census.objects)),
        ("gpu_memory_bytes", "Memory of buffers and textures", saturated(census.bytes)),
        ("process_resident_bytes", "Resident memory of the process", resident_bytes()),
        ("process_open_fds", "Open file descriptors of the process", open_descriptors()),
        ("process_threads", "Threads of the process", threads()),
        ("process_threads_hung", "Threads that did not end and were left behind", left_behind()),
        ("disk_free_bytes", "Room on the disk of the data directory", machine.disk_free_bytes),
        ("overload_level", "0, or how much is not made for lack of time", machine.shed_level),
        ("encoders_max", "How many video encoders may run; 0: no limit", machine.max_encoders),
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
    (events, library, uploads): (EventCounts, LibraryStats, &Counts),
    (gpus, machine): (&Supply, &Machine),
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
    for metric in CASTER_COUNTERS {
        counters(&mut registry, metric, &casters);
    }
    histograms(&mut registry, &casters);
    for metric in OUTPUT_GAUGES {
        gauges(&mut registry, metric, &outputs);
    }
    for metric in INPUT_GAUGES {
        gauges(&mut registry, metric, &inputs);
    }
    drifts(&mut registry, &inputs);
    encoders::encode_seconds(&mut registry, &outputs);
    encoders::sound_ahead(&mut registry, &outputs);
    for metric in OUTPUT_COUNTERS {
        counters(&mut registry, metric, &outputs);
    }
    for metric in INPUT_COUNTERS {
        counters(&mut registry, metric, &inputs);
    }
    relays::relays(&mut registry, &outputs);
    encoders::output_encoders(&mut registry, &outputs);
    decoders::input_decoders(&mut registry, &inputs);
    watch_metrics(&mut registry, &inputs, &casters);
    let encoders = outputs.iter().filter(|(_, output)| output.encoder.is_some()).count();
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(encoders).unwrap_or(i64::MAX));
    registry.register("encoders", "Video encoders that run", gauge);
    let of_input = |(labels, input): &(Labels, &InputStatus)| Some((labels.clone(), input.luma?));
    luma_gauges(&mut registry, "input", &inputs.iter().filter_map(of_input).collect::<Vec<_>>());
    let of_pgm = |(labels, caster): &(Labels, &Snapshot)| Some((labels.clone(), caster.luma?));
    luma_gauges(&mut registry, "pgm", &casters.iter().filter_map(of_pgm).collect::<Vec<_>>());
    for metric in STAGE_GAUGES {
        gauges(&mut registry, metric, &stages);
    }
    server_metrics(&mut registry, (events, library), (gpus, machine));
    upload_metrics(&mut registry, uploads);
    let mut page = String::new();
    if encode(&mut page, &registry).is_err() {
        // Writing to a String does not fail; an empty page is what a scraper understands.
        page.clear();
    }
    page
}
