//! What watchers are told of a caster: the reports of its frame thread, inputs and outputs in the catalog's terms.
//!
//! Must not keep anything. Invariant: what it says was measured, not configured.

use std::sync::Arc;

use super::frame_thread::{InputReport, Report};
use crate::api::control::{
    EncoderStatus, InputStatus, OutputStatus, Snapshot, StageTiming, TickCounts,
};
use crate::catalog::{Caster, LocationId, Resource};
use crate::ids::InputKey;
use crate::media::hub::Hub;
use crate::metrics::Timing;
use crate::output::{Output, OutputStats, SinkState};

/// An output by its name in the API.
pub(super) struct Named<'a> {
    pub(super) name: &'static str,
    /// Its stream in the hub.
    pub(super) stream: String,
    pub(super) output: &'a Output,
}

/// A snapshot of a caster on air.
pub(super) fn of<'a>(
    caster: &Caster,
    report: &Arc<Report>,
    resource: &dyn Fn(InputKey) -> Option<&'a Resource>,
) -> Snapshot {
    let locations = |keys: &[InputKey]| -> Vec<LocationId> {
        let found = keys.iter().filter_map(|key| resource(*key));
        found.filter_map(|resource| caster.location_of(resource)).collect()
    };
    let stages = &report.stages;
    let named = [
        ("lateness", &stages.lateness),
        ("drain", &stages.drain),
        ("decide", &stages.decide),
        ("draw", &stages.draw),
        ("hand_off", &stages.hand_off),
    ];
    Snapshot {
        on_air: true,
        applied_revision: report.applied_revision,
        tick: report.tick,
        tally_pgm: locations(&report.tally.pgm),
        tally_pvw: locations(&report.tally.pvw),
        fade_to_black: caster.scenes.as_ref().is_some_and(|scenes| scenes.on_black),
        black: report.tally.black,
        inputs: report
            .inputs
            .iter()
            .filter_map(|input| {
                let resource = resource(input.input)?;
                Some(input_status(input, resource, caster.location_of(resource)))
            })
            .collect(),
        luma: report.luma,
        stand_in: report.stand_in,
        ticks: TickCounts {
            ticks: report.counts.ticks,
            late: report.counts.late,
            repeated: report.counts.repeated,
            dropped: report.counts.dropped,
        },
        lateness: stages.lateness.clone(),
        stages: named.into_iter().map(|(name, timing)| stage(name, timing)).collect(),
        ..Snapshot::idle(caster.id.clone(), caster.revision)
    }
}

fn input_status(
    report: &InputReport,
    resource: &Resource,
    location: Option<LocationId>,
) -> InputStatus {
    InputStatus {
        location,
        resource: resource.id.clone(),
        state: report.status.state,
        message: report.status.last_error.clone().unwrap_or_default(),
        frames: report.status.video_frames,
        frames_dropped: report.status.dropped_frames + report.stats.dropped,
        reconnects: report.status.reconnects,
        faults: report.faults.clone(),
        luma: report.luma,
        restarts: report.status.restarts,
        decoder: report.status.decoded_by.name,
        nvdec_refused: report.status.decoded_by.refused.clone().unwrap_or_default(),
        jitter_ms: report.status.jitter_ns / 1_000_000,
        media_age_ms: report.status.media_age_ms,
        timeline: report.stats,
    }
}

fn stage(stage: &'static str, timing: &Timing) -> StageTiming {
    let quantiles = timing.quantiles();
    StageTiming {
        stage,
        p50_us: quantiles.p50_us,
        p99_us: quantiles.p99_us,
        max_us: quantiles.max_us,
    }
}

fn encoder(stats: &OutputStats) -> EncoderStatus {
    EncoderStatus {
        queued: stats.queued as u64,
        p50_us: stats.encode.p50_us,
        p99_us: stats.encode.p99_us,
        sum_us: stats.encode.sum_us,
        keyframes: stats.keyframes,
        keyframes_forced: stats.keyframes_forced,
        delay_lost: stats.delay_lost,
        sound_ahead_ns: stats.sound_ahead_ns,
        pictures_dropped: stats.pictures_dropped,
        pictures_shed: stats.pictures_shed,
        restarts: stats.restarts,
        name: stats.maker.name(stats.codec),
        video_bps: stats.bitrate_bps,
        held: stats.held as u64,
        nvenc_refused: stats.passed_over.clone().unwrap_or_default(),
        nvenc_copies: stats.copied_because.clone().unwrap_or_default(),
    }
}

/// The status of an output, of its renditions and recordings.
pub(super) fn outputs(named: &Named<'_>, report: &Report, hub: &Hub) -> Vec<OutputStatus> {
    let viewers = |stream: &str| u32::try_from(hub.viewers(stream)).unwrap_or(u32::MAX);
    let encoded = |name: String, stream: &str, stats: OutputStats| OutputStatus {
        name,
        frames: stats.encoded,
        frames_late: stats.repeated + stats.filled,
        frames_dropped: stats.pictures_dropped + stats.ticks_refused,
        bytes: stats.video_bytes + stats.audio_bytes,
        subscribers: viewers(stream),
        queued_packets: 0,
        encoder: Some(encoder(&stats)),
        thread_restarts: stats.thread_restarts,
        last_fault: stats.last_fault.clone().unwrap_or_default(),
        playback_fault: stats.playback_fault.clone().unwrap_or_default(),
        message: stats.failure.or(stats.playback_fault).or(stats.last_fault).unwrap_or_default(),
        relay: None,
    };
    let main = OutputStatus {
        frames_late: report.counts.late + report.counts.repeated,
        ..encoded(named.name.to_owned(), &named.stream, named.output.stats())
    };
    let renditions = named.output.renditions().into_iter().map(|running| {
        let name = running.settings.name;
        let stream = format!("{}_{name}", named.stream);
        encoded(format!("{}_{name}", named.name), &stream, running.stats)
    });
    let of_kind = |kind: &'static str| {
        let sinks = named.output.sinks().into_iter();
        sinks.filter(move |sink| sink.label.starts_with(kind)).enumerate().map(
            move |(index, sink)| OutputStatus {
                name: format!("{}-{}", kind.trim(), index + 1),
                frames: sink.packets,
                frames_late: 0,
                frames_dropped: sink.dropped,
                bytes: sink.bytes,
                subscribers: u32::from(sink.state == SinkState::Live),
                queued_packets: sink.queued as u64,
                message: match sink.state {
                    SinkState::Failed(why) => format!("{}: {why}", sink.label),
                    _ => String::new(),
                },
                encoder: None,
                thread_restarts: sink.restarts,
                last_fault: sink.last_error,
                playback_fault: String::new(),
                relay: None,
            },
        )
    };
    std::iter::once(main).chain(renditions).chain(of_kind("record ")).collect()
}
