//! What PGM goes out as besides itself: renditions, recordings, the delay.
//!
//! Must not know scenes or when something changes. Invariant: what cannot be made leaves what is on air as it was.

use std::time::Duration;

use super::uploads::ObjectPlace;
use super::world::World;
use super::{encoders, resolve};
use crate::api::addresses::PLAYBACK_APP;
use crate::catalog::{self, Caster, ErrorCode, RecordKind, Refused, Relay};
use crate::config::{self, Config};
use crate::ids::Bus;
use crate::limits;
use crate::media::encode::{EncodeError, Profile, VideoSettings, default_bitrate_bps};
use crate::media::nvenc::NoNvenc;
use crate::media::pack::fits_ts;
use crate::output::{
    OnRecord, Output, RecordPlan, RenditionSettings, RenditionStats, Sink, SinkId, StartError,
    Timing,
};
use crate::record_name::{BadRecordName, DEFAULT_RECORD_NAME, DEFAULT_SLICE_NAME, RecordName};
use crate::recording::RecordFormat;

/// Name of a scene's stream, or of a rendition's, in the hub.
pub(super) fn stream(name: &str) -> String {
    format!("{PLAYBACK_APP}/{name}")
}

/// How the scenes of a caster are encoded.
///
/// # Errors
/// When its output size is not configured.
pub(super) fn video(world: &World, caster: &Caster) -> Result<VideoSettings, Refused> {
    let template = caster.config.template;
    let size = template
        .map(resolve::canvas_size)
        .ok_or_else(|| Refused::from(ErrorCode::ConfigurationNotFound))?;
    let rate = caster.config.rate;
    let mut video = VideoSettings::for_size(size, rate);
    video.codec = encoders::codec(world.config.video_codec);
    video.preset = resolve::preset(caster.config.encoder.preset, world.config.preset);
    video.bitrate_bps = caster.config.encoder.video_bps.unwrap_or(video.bitrate_bps);
    video.lookahead_pictures = world.config.lookahead;
    video.b_frames = world.config.b_frames;
    video.policy = encoders::policy(world.config.encoder);
    video.nvenc = encoders::nvenc(&world.config.nvenc, world.gpu.exports_as());
    video.gop_ticks = (rate.num() * u32::try_from(world.config.gop.as_secs()).unwrap_or(2)
        + rate.den() / 2)
        / rate.den();
    Ok(video)
}

/// Refuses what would go out in MPEG-TS where that does not carry what this server makes, but for what was there `before`.
///
/// # Errors
/// `InvalidParameter.Malformed`, with what it is.
pub(super) fn check_ways(
    config: &Config,
    caster: &Caster,
    before: Option<&Caster>,
) -> Result<(), Refused> {
    let codec = encoders::codec(config.video_codec);
    if fits_ts(codec) {
        return Ok(());
    }
    let refused = |what: &str| {
        let message = format!("{what} is MPEG-TS, which does not carry {}.", codec.name());
        Err(Refused::new(ErrorCode::ParameterMalformed, message))
    };
    let is_by_srt = |relay: &&Relay| relay.url.starts_with("srt:");
    let srt = |caster: &Caster| -> Vec<String> {
        caster.config.relays.iter().filter(is_by_srt).map(|relay| relay.url.clone()).collect()
    };
    let is_in_segments = |caster: &Caster| {
        let formats = caster.config.record.iter().flat_map(|record| &record.formats);
        formats.into_iter().any(|format| format.kind == RecordKind::M3u8)
    };
    let kept = before.map(srt).unwrap_or_default();
    if srt(caster).iter().any(|url| !kept.contains(url)) {
        return refused("A relay by SRT");
    }
    if is_in_segments(caster) && !before.is_some_and(is_in_segments) {
        return refused("A recording as m3u8");
    }
    Ok(())
}

/// The renditions that a caster asks for.
fn wanted_renditions(
    world: &World,
    caster: &Caster,
    video: &VideoSettings,
) -> Vec<RenditionSettings> {
    let names = caster.config.renditions.iter().map(|rendition| rendition.as_str());
    let named = names.filter_map(|name| RenditionSettings::named(name, video));
    named.map(|rung| shaped(&world.config, rung)).collect()
}

/// How many of an output's pictures its encoders and those of renditions that it may come to have hold at a time: renditions get
/// pictures when PGM's encoder has let go of them.
pub(super) fn pictures_held(world: &World, video: &VideoSettings) -> usize {
    let rungs = possible_renditions(world, video);
    let longest = rungs.map(|rung| rung.pictures_held() * rung.picture_ticks.max(1)).max();
    match video.pictures_held() + longest.unwrap_or(0) {
        0 => 0,
        // Those that are let go of late.
        held => (held + video.b_frames) as usize + limits::RENDITION_PICTURES,
    }
}

/// By how many ticks decoding may go ahead of showing in whatever an output may come to have.
pub(super) fn reorder_ticks(world: &World, video: &VideoSettings) -> u32 {
    possible_renditions(world, video).map(|rung| rung.reorder_ticks()).max().unwrap_or(0)
}

/// Every rendition that an output may come to have.
fn possible_renditions<'a>(
    world: &'a World,
    video: &'a VideoSettings,
) -> impl Iterator<Item = VideoSettings> + 'a {
    let named = |name: &&str| RenditionSettings::named(name, video);
    let rungs = ["lld", "lsd", "lhd", "lud"].iter().filter_map(named);
    rungs.map(|rung| shaped(&world.config, rung).video)
}

/// The encoders that PGM of a caster needs, itself first.
///
/// # Errors
/// When its output size is not configured.
pub(super) fn encoders(world: &World, caster: &Caster) -> Result<Vec<VideoSettings>, Refused> {
    let video = video(world, caster)?;
    let renditions = wanted_renditions(world, caster, &video);
    Ok(std::iter::once(video).chain(renditions.into_iter().map(|wanted| wanted.video)).collect())
}

/// What runs besides PGM itself.
#[derive(Debug, Default)]
pub(super) struct Extras {
    recordings: Vec<((catalog::RecordFormat, Option<ObjectPlace>), SinkId)>,
}

impl Extras {
    /// Makes `pgm` carry what the caster is configured for; blocks while what is gone is finished.
    ///
    /// # Errors
    /// When something cannot be made. Renditions are then as they were.
    pub(super) fn apply(
        &mut self,
        world: &World,
        caster: &Caster,
        pgm: &Output,
    ) -> Result<(), Refused> {
        let stream = match caster.scene(Bus::Pgm) {
            Some(scene) => scene.stream_name.as_str(),
            None => return Ok(()),
        };
        let mut plans = Vec::new();
        let place = caster.recorded().and_then(|record| world.recordings.place(record));
        for format in caster.recorded().into_iter().flat_map(|record| &record.formats) {
            let news = world.recordings.news((&caster.id, stream), place.clone());
            let plan = plan(&world.config, format, (stream, news)).map_err(refused)?;
            plans.push(((format.clone(), place.clone()), plan));
        }
        let video = video_on_air(caster, pgm)?;
        set_renditions(world, &wanted_renditions(world, caster, &video), (stream, pgm))?;
        pgm.set_bitrate(video.bitrate_bps);
        for (format, sink) in std::mem::take(&mut self.recordings) {
            if plans.iter().any(|(wanted, _)| *wanted == format) {
                self.recordings.push((format, sink));
            } else {
                pgm.remove_sink(sink, limits::DRAIN_TIMEOUT);
            }
        }
        for (format, plan) in plans {
            if !self.recordings.iter().any(|(running, _)| *running == format) {
                let sink = Sink::Record { dir: world.config.record_dir.clone(), plan };
                let id = pgm.add_sink(sink).map_err(internal)?;
                self.recordings.push((format, id));
            }
        }
        let delay = Duration::from_millis(caster.config.delay_ms.into());
        let delay_ns = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        pgm.set_delay(video.rate.tick_at(delay_ns));
        Ok(())
    }
}

/// What PGM is asked for from now on: what it was begun with, but for the bit rate, which alone may change on air.
///
/// # Errors
/// When its streams' parameter sets do not allow the bit rate.
fn video_on_air(caster: &Caster, pgm: &Output) -> Result<VideoSettings, Refused> {
    let video = pgm.video();
    let asked = caster.config.encoder.video_bps;
    let bitrate_bps = asked.unwrap_or_else(|| default_bitrate_bps(video.size));
    let most_bps = pgm.most_bps();
    if bitrate_bps > most_bps {
        let message = format!(
            "Caster is in use: what is on air may have {most_bps} bit/s by the {} level that it was begun with; {bitrate_bps} \
             can be set when the caster is stopped.",
            video.codec.name()
        );
        return Err(Refused::new(ErrorCode::CasterInUse, message));
    }
    Ok(VideoSettings { bitrate_bps, ..video })
}

fn set_renditions(
    world: &World,
    wanted: &[RenditionSettings],
    (name, pgm): (&str, &Output),
) -> Result<(), Refused> {
    let before = pgm.renditions();
    pgm.set_renditions(wanted).map_err(no_encoder)?;
    let running = pgm.renditions();
    // One that was begun has no sinks yet.
    let (new, stays): (Vec<_>, Vec<_>) = running.iter().partition(|rung| rung.sinks.is_empty());
    let is_kept =
        |rung: &&RenditionStats| stays.iter().any(|kept| kept.settings.name == rung.settings.name);
    let of_rendition = |rendition: &str| format!("{name}_{rendition}");
    for gone in before.iter().filter(|rung| !is_kept(rung)) {
        world.remove_hls(&of_rendition(&gone.settings.name));
    }
    for RenditionStats { settings, .. } in new {
        let name = of_rendition(&settings.name);
        let hub = Sink::Hub { hub: world.hub.clone(), name: stream(&name) };
        for sink in [hub, world.hls(&name)] {
            pgm.add_rendition_sink(&settings.name, sink).map_err(internal)?;
        }
    }
    world.name_rungs(name, wanted.iter().map(|rung| rung.name.as_str()));
    Ok(())
}

/// A rendition as this server is configured to make it.
fn shaped(config: &Config, mut rung: RenditionSettings) -> RenditionSettings {
    let asked = config.ladder.rung(&rung.name);
    let video = &mut rung.video;
    video.bitrate_bps = asked.video_bps.unwrap_or(video.bitrate_bps);
    video.preset = asked.preset.map_or(video.preset, |preset| resolve::preset(None, preset));
    video.lookahead_pictures = asked.lookahead_frames.unwrap_or(video.lookahead_pictures);
    video.profile = match asked.profile {
        None => video.profile,
        Some(config::Profile::Baseline) => Profile::Baseline,
        Some(config::Profile::Main) => Profile::Main,
        Some(config::Profile::High) => Profile::High,
    };
    video.b_frames = match video.profile {
        // Has none.
        Profile::Baseline => 0,
        Profile::Main | Profile::High => asked.b_frames.unwrap_or(video.b_frames),
    };
    if let Some(fps) = asked.fps {
        video.picture_ticks = picture_ticks(video, fps);
    }
    rung
}

/// Ticks from picture to picture so that there are at most `fps` a second, and one on each keyframe's tick.
fn picture_ticks(video: &VideoSettings, fps: u32) -> u32 {
    let fits = |ticks: &u32| {
        let is_slow = video.rate.num() <= fps * video.rate.den() * ticks;
        is_slow && video.gop_ticks.is_multiple_of(*ticks)
    };
    (1..=video.gop_ticks).find(fits).unwrap_or(video.gop_ticks.max(1))
}

fn plan(
    config: &Config,
    format: &catalog::RecordFormat,
    (stream, news): (&str, OnRecord),
) -> Result<RecordPlan, BadRecordName> {
    let or = |given: &str, usual: &str| if given.is_empty() { usual.into() } else { given.into() };
    let name: String = or(&format.prefix, DEFAULT_RECORD_NAME);
    let slice_name: String = or(&format.slice_prefix, DEFAULT_SLICE_NAME);
    Ok(RecordPlan {
        format: match format.kind {
            RecordKind::Flv => RecordFormat::Flv,
            RecordKind::Mp4 => RecordFormat::Mp4,
            RecordKind::M3u8 => RecordFormat::Hls,
        },
        name: RecordName::parse(&name)?,
        slice_name: RecordName::parse_slice(&slice_name)?,
        cycle: Some(Duration::from_secs(format.cycle_s.into())),
        app: PLAYBACK_APP.into(),
        stream: stream.into(),
        reserve_bytes: config.record_reserve_bytes,
        timing: match config.record_timing {
            config::RecordTiming::Prompt => Timing::Prompt,
            config::RecordTiming::Delayed => Timing::Delayed,
        },
        news,
    })
}

fn refused(error: BadRecordName) -> Refused {
    Refused::new(ErrorCode::ParameterMalformed, error.to_string())
}

/// An encoder that cannot be had, as it is told to a client: too many of NVENC's are a matter of number.
pub(super) fn no_encoder(error: StartError) -> Refused {
    match error {
        StartError::Encode(EncodeError::Nvenc(NoNvenc::NoSession(_))) => {
            Refused::new(ErrorCode::ResourceNumberExceed, error.to_string())
        }
        error => internal(error),
    }
}

/// A fault of the server's own, as it is told to a client.
pub(super) fn internal(error: impl std::fmt::Display) -> Refused {
    Refused::new(ErrorCode::Internal, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    #[test]
    fn fewer_pictures_than_ticks_still_meet_every_keyframe() {
        for (rate, gop_ticks, fps, ticks) in [
            ("30", 60, 30, 1),
            ("30", 60, 60, 1),
            ("30", 60, 15, 2),
            ("30", 60, 14, 3),
            ("30000/1001", 60, 15, 2),
            ("60", 120, 24, 3),
            ("25", 25, 15, 5),
            ("25", 50, 15, 2),
            ("30", 30, 1, 30),
        ] {
            let rate = rate.parse().unwrap();
            let size = Size::new(640, 360);
            let video = VideoSettings { gop_ticks, ..VideoSettings::for_size(size, rate) };
            assert_eq!(picture_ticks(&video, fps), ticks, "{rate} {gop_ticks} {fps}");
        }
    }
}
