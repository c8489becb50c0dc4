//! `onair render`: the same engine, compositor and encoder on a virtual clock.
//!
//! Owns the order of an offline render. Must not look at a clock. Invariant: inputs and outputs wait, nothing is dropped,
//! so the same script gives the same frames.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::on_air::AUDIO_BPS;
use super::resolve;
use super::run_tick::{Canvas, Counts, Curtain, Flow, FrameLoop, Pace, Stages, Trouble};
use super::script::{Script, Source, Switch};
use crate::config::{Preset, RenderArgs};
use crate::engine::{
    Command, CommandId, Engine, EngineConfig, MixSpec, Readiness, SceneSpec, ValidChannel,
};
use crate::frame::Size;
use crate::gpu::{AdapterChoice, Compositor, Gpu};
use crate::ids::{Bus, InputKey};
use crate::input::{
    self, AllowList, Excerpt, ImageSource, Input, InputOptions, Pacing, Plays, SourceSpec,
};
use crate::limits;
use crate::media::encode::{Latency, VideoSettings};
use crate::media::still;
use crate::output::{self, Overflow, ProgrammeSettings, Sink, SinkState};
use crate::picture::{LayerSpec, OverlayContent, OverlaySpec, ScenePicture};
use crate::time::{Clock, FrameRate, NS_PER_S};

/// Renders a script into an MP4.
///
/// # Errors
/// One line that names the script, the source or the file, and what is wrong.
pub fn render(args: &RenderArgs) -> Result<(), String> {
    let script = Script::read(&args.script)?;
    let gpu = Gpu::open(&AdapterChoice(args.adapter.clone())).map_err(|error| error.to_string())?;
    let rate = script.rate()?;
    let size = resolve::canvas_size(script.template()?);
    let output =
        output::start(&settings(&script, size, rate)).map_err(|error| error.to_string())?;
    let sink = Sink::File { path: args.output.clone(), overflow: Overflow::Wait };
    output.add_sink(sink).map_err(|error| error.to_string())?;
    let software = gpu.is_software();
    let compositor = Compositor::new(gpu, size).map_err(|error| error.to_string())?;
    let file_ahead = limits::RENDER_AHEAD_FRAMES;
    let mut frames = FrameLoop {
        engine: Engine::new(EngineConfig { rate, canvas: size, file_ahead }),
        inputs: BTreeMap::new(),
        pgm: Canvas::new(compositor, Arc::new(output)),
        pvw: None,
        waiting: BTreeMap::new(),
        stages: Stages::default(),
        counts: Counts::default(),
        trouble: Trouble::default(),
        clock: Clock::manual(),
        flow: Flow::Offline,
        curtain: Curtain::Open,
        first_tick: 0,
        late_scalers: software.then(BTreeMap::new),
    };
    let keys = start_sources(&script, &mut frames)?;
    let mut shows = scenes(&script, &keys)?;
    let ticks = rate.tick_at(seconds_ns(script.seconds));
    // From this tick on the engine knows the sources; their first frames are on the next one, the first that is drawn.
    frames.engine.tick(0);
    for tick in 0..ticks {
        while let Some((_, spec)) = shows.first().filter(|(at, _)| rate.tick_at(*at) <= tick) {
            switch(&mut frames.engine, tick, spec.clone());
            shows.remove(0);
        }
        frames.run_tick(tick + 1, Pace::OnTime);
    }
    frames.pgm.finish().map_err(|error| error.to_string())?;
    finish(&frames, &args.output, ticks)
}

fn seconds_ns(seconds: f64) -> u64 {
    (seconds * NS_PER_S as f64).round() as u64
}

fn settings(script: &Script, size: Size, rate: FrameRate) -> ProgrammeSettings {
    let mut video = VideoSettings::for_size(size, rate);
    video.preset = resolve::preset(None, script.encode.preset.unwrap_or(Preset::Veryfast));
    video.bitrate_bps = script.encode.bitrate_bps.unwrap_or(video.bitrate_bps);
    // Better and cheaper, and repeatable.
    video.latency = Latency::Normal;
    if let Some(seconds) = script.encode.gop_seconds {
        video.gop_ticks = (rate.num() * seconds / rate.den()).max(1);
    }
    let audio_bps = script.encode.audio_bps.unwrap_or(AUDIO_BPS);
    ProgrammeSettings {
        name: "render".into(),
        video,
        audio_bps,
        renditions: Vec::new(),
        delay_ticks: 0,
        spool_dir: std::env::temp_dir(),
    }
}

fn start_sources(
    script: &Script,
    frames: &mut FrameLoop,
) -> Result<BTreeMap<String, InputKey>, String> {
    let mut keys = BTreeMap::new();
    for (index, source) in script.sources.iter().enumerate() {
        let key = InputKey(u32::try_from(index).map_err(|error| error.to_string())?);
        let options = InputOptions {
            key,
            name: source.location.clone(),
            retry: false,
            prescale: frames.late_scalers.is_some(),
            lossless: true,
            buffer: Duration::ZERO,
            clock: Clock::real(),
            allow: Arc::new(AllowList::default()),
        };
        let started = input::start(spec(source)?, options).map_err(|error| error.to_string())?;
        let add = Command::AddInput { input: key, kind: started.kind(), held: false };
        frames.engine.command(CommandId(u64::MAX - u64::from(key.0)), add);
        check_opens(&started)?;
        frames.inputs.insert(key, started);
        keys.insert(source.location.clone(), key);
    }
    Ok(keys)
}

/// A source that cannot be shown ends a render before it begins.
fn check_opens(input: &Input) -> Result<(), String> {
    let first = input::Want { video: true, audio: false };
    input.wait_ready(first, limits::OFFLINE_INPUT_TIMEOUT);
    let status = input.status();
    match status.last_error {
        Some(error) if status.video_frames + status.audio_blocks == 0 => Err(error),
        _ => Ok(()),
    }
}

fn spec(source: &Source) -> Result<SourceSpec, String> {
    if let Some(pattern) = &source.pattern {
        let spec = pattern.parse()?;
        return Ok(SourceSpec::Pattern { spec, pacing: Pacing::OnDemand });
    }
    if let Some(image) = &source.image {
        return Ok(SourceSpec::Image(ImageSource::Path(image.clone())));
    }
    let location = source.file.as_ref().map(|file| file.to_string_lossy().into_owned());
    Ok(SourceSpec::File {
        location: location.ok_or_else(|| format!("source {} has no file", source.location))?,
        excerpt: Excerpt {
            plays: Plays::from_repeat(source.repeat),
            seek_ms: None,
            begin_ms: source.begin_ms,
            end_ms: source.end_ms,
        },
    })
}

/// What PGM shows from which time on, ns.
fn scenes(
    script: &Script,
    keys: &BTreeMap<String, InputKey>,
) -> Result<Vec<(u64, SceneSpec)>, String> {
    let mut overlays = BTreeMap::new();
    for component in &script.components {
        let content = match (component.text_spec(), &component.image) {
            (Some(text), _) => OverlayContent::Text(text),
            (None, Some(path)) => OverlayContent::Image(Arc::new(load_image(path)?)),
            (None, None) => continue,
        };
        let placement = component.place.placement()?;
        let content = Arc::new(content);
        let overlay = OverlaySpec { content, placement, opacity: u8::MAX, background: false };
        overlays.insert(component.name.as_str(), overlay);
    }
    let scene = |switch: &Switch| {
        let mut spec = SceneSpec::default();
        let layout = script.layouts.iter().find(|layout| layout.name == switch.layout);
        for layer in layout.iter().flat_map(|layout| &layout.layers) {
            let placement = layer.place.placement()?;
            spec.picture.layers.push(LayerSpec {
                input: keys[&layer.source],
                placement,
                delay_ms: 0,
            });
        }
        for heard in layout.iter().flat_map(|layout| &layout.mix) {
            spec.mix.push(MixSpec {
                input: keys[&heard.source],
                gain: heard.gain,
                channel: ValidChannel::All,
                delay_ms: 0,
            });
        }
        let shown = switch.components.iter().filter_map(|name| overlays.get(name.as_str()));
        spec.picture = ScenePicture { overlays: shown.cloned().collect(), ..spec.picture };
        Ok((seconds_ns(switch.at), spec))
    };
    script.commands.iter().map(scene).collect()
}

fn load_image(path: &Path) -> Result<crate::picture::RgbaImage, String> {
    let named = |error: String| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(error.to_string()))?;
    still::load_overlay_image(&bytes).map_err(|error| named(error.to_string()))
}

fn switch(engine: &mut Engine, tick: u64, spec: SceneSpec) {
    let when = Readiness { force: true, wait: Duration::ZERO };
    engine.command(CommandId(tick), Command::SetScene { bus: Bus::Pgm, spec, when });
}

fn finish(frames: &FrameLoop, path: &Path, ticks: u64) -> Result<(), String> {
    let output = &frames.pgm.output;
    let sinks = output.finish(limits::RENDER_FINISH);
    let stats = output.stats();
    let failed = sinks.iter().find_map(|sink| match &sink.state {
        SinkState::Failed(why) => Some(why.clone()),
        _ => None,
    });
    match stats.failure.or(failed) {
        Some(why) => Err(format!("{}: {why}", path.display())),
        None if stats.encoded != ticks => {
            Err(format!("{} of {ticks} frames were encoded", stats.encoded))
        }
        None => {
            tracing::info!(frames = stats.encoded, file = %path.display(), "rendered");
            Ok(())
        }
    }
}
