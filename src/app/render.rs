//! `onair render`: the same engine, compositor and encoder on a virtual clock.
//!
//! Owns the order of an offline render. Must not look at a clock. Invariant: inputs and outputs wait, nothing is dropped,
//! so the same script gives the same frames.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::canvas::Canvas;
use super::on_air::AUDIO_BPS;
use super::run_tick::{Counts, Curtain, Flow, FrameLoop, LateScalers, Pace, Stages, Trouble};
use super::script::{Heard, Layout, Script, Source, Switch};
use super::{encoders, resolve};
use crate::config::{Preset, RenderArgs};
use crate::engine::{
    AudioFilter, Command, CommandId, Engine, EngineConfig, MixSpec, Readiness, SceneSpec,
    ValidChannel, Way,
};
use crate::frame::Size;
use crate::gpu::{AdapterChoice, Compositor, Gpu, Kept};
use crate::ids::{Bus, InputKey};
use crate::input::{
    self, AllowList, Excerpt, ImageSource, Input, InputOptions, Pacing, Plays, SourceSpec,
};
use crate::limits;
use crate::media::encode::{Latency, VideoSettings};
use crate::media::nvdec::Decoder;
use crate::media::still;
use crate::output::{self, Overflow, ProgrammeSettings, Sink, SinkState};
use crate::picture::{Backdrop, LayerSpec, OverlayContent, OverlaySpec, ScenePicture};
use crate::time::{Clock, FrameRate, NS_PER_S};

/// Renders a script into an MP4.
///
/// # Errors
/// One line that names the script, the source or the file, and what is wrong.
pub fn render(args: &RenderArgs) -> Result<(), String> {
    let script = Script::read(&args.script)?;
    let kept = Kept { cache_dir: cache_dir(), ..Kept::default() };
    let gpu = Gpu::open_with(&AdapterChoice(args.adapter.clone()), &kept)
        .map_err(|error| error.to_string())?;
    let rate = script.rate()?;
    let size = resolve::canvas_size(script.template()?);
    let output =
        output::start(&settings(&script, size, rate)).map_err(|error| error.to_string())?;
    let sink = Sink::File { path: args.output.clone(), overflow: Overflow::Wait };
    output.add_sink(sink).map_err(|error| error.to_string())?;
    let software = gpu.is_software();
    let quality = script.scale_quality.into();
    let compositor = Compositor::new(gpu, size).map_err(|error| error.to_string())?;
    let compositor = compositor.with_quality(quality).unwatched();
    let file_ahead = limits::RENDER_AHEAD_FRAMES;
    let mut frames = FrameLoop {
        engine: Engine::new(EngineConfig { rate, canvas: size, file_ahead }),
        inputs: BTreeMap::new(),
        pgm: Canvas::new(compositor, Arc::new(output), None),
        pvw: None,
        waiting: BTreeMap::new(),
        stages: Stages::default(),
        counts: Counts::default(),
        trouble: Trouble::default(),
        clock: Clock::manual(),
        flow: Flow::Offline,
        curtain: Curtain::Open,
        first_tick: None,
        late_scalers: software.then(|| LateScalers::new(quality)),
    };
    let keys = start_sources(&script, &mut frames)?;
    let mut shows = scenes(&script, &keys)?;
    let ticks = rate.tick_at(seconds_ns(script.seconds));
    // From this tick on the engine knows the sources; their first frames are on the next one, the first that is drawn.
    frames.engine.tick(0);
    for tick in 0..ticks {
        while let Some(show) = shows.pop_front_if(|show| rate.tick_at(show.at_ns) <= tick) {
            switch(&mut frames.engine, tick, show);
        }
        let plan = frames.run_tick(tick + 1, Pace::OnTime);
        if let Some(refusal) = plan.replies.into_iter().find_map(|(_, reply)| reply.err()) {
            return Err(format!("{}: {refusal}", args.script.display()));
        }
        // Pictures that were in flight are gone, and what is left would not be the script's.
        if let Some(error) = frames.pgm.lost() {
            return Err(format!("frame {tick} of {ticks}: {error}; render again"));
        }
    }
    frames.pgm.finish().map_err(|error| error.to_string())?;
    finish(&frames, &args.output, ticks)
}

/// Where renders keep compiled pipelines: the user's cache directory, by the XDG rules.
fn cache_dir() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
    let dir = named.map(PathBuf::from).filter(|dir| dir.is_absolute());
    let dir = dir.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(dir.join("onair"))
}

fn seconds_ns(seconds: f64) -> u64 {
    (seconds * NS_PER_S as f64).round() as u64
}

fn settings(script: &Script, size: Size, rate: FrameRate) -> ProgrammeSettings {
    let mut video = VideoSettings::for_size(size, rate);
    video.codec = encoders::codec(script.encode.codec.unwrap_or_default());
    video.preset = resolve::preset(None, script.encode.preset.unwrap_or(Preset::Veryfast));
    video.bitrate_bps = script.encode.bitrate_bps.unwrap_or(video.bitrate_bps);
    // Better and cheaper, and repeatable.
    video.latency = Latency::Normal;
    video.b_frames = script.encode.b_frames;
    if let Some(seconds) = script.encode.gop_seconds {
        video.gop_ticks = (rate.num() * seconds / rate.den()).max(1);
    }
    let audio_bps = script.encode.audio_bps.unwrap_or(AUDIO_BPS);
    ProgrammeSettings {
        name: "render".into(),
        video,
        audio_bps,
        renditions: Vec::new(),
        reorder_ticks: 0,
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
            prescale: frames.late_scalers.as_ref().map(|scalers| scalers.quality),
            decoder: Decoder::default(),
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

/// What PGM shows from which time on, and how it gets there.
struct Show {
    at_ns: u64,
    spec: SceneSpec,
    way: Way,
}

fn scenes(script: &Script, keys: &BTreeMap<String, InputKey>) -> Result<VecDeque<Show>, String> {
    let overlays = overlays(script)?;
    let layouts = script.layouts.iter().map(|layout| Ok((&layout.name, arranged(layout, keys)?)));
    let layouts: BTreeMap<_, _> = layouts.collect::<Result<_, String>>()?;
    let scene = |switch: &Switch| {
        let mut spec: SceneSpec = layouts.get(&switch.layout).cloned().unwrap_or_default();
        let shown = switch.components.iter().filter_map(|name| overlays.get(name.as_str()));
        spec.picture.overlays = shown.cloned().collect();
        let way = resolve::way(switch.way()?);
        Ok(Show { at_ns: seconds_ns(switch.at), spec, way })
    };
    script.commands.iter().map(scene).collect()
}

/// The components of a script, by name.
fn overlays(script: &Script) -> Result<BTreeMap<&str, OverlaySpec>, String> {
    let mut overlays = BTreeMap::new();
    for component in &script.components {
        let content = match (component.text_spec()?, &component.image) {
            (Some(text), _) => OverlayContent::Text(text),
            (None, Some(path)) => load_image(path)?,
            (None, None) => continue,
        };
        let placement = component.place.placement()?;
        let overlay = OverlaySpec {
            motion: component.motion()?,
            ..OverlaySpec::new(Arc::new(content), placement)
        };
        overlays.insert(component.name.as_str(), overlay);
    }
    Ok(overlays)
}

/// A layout, without overlays.
fn arranged(layout: &Layout, keys: &BTreeMap<String, InputKey>) -> Result<SceneSpec, String> {
    let layer = |(source, placement, look)| {
        let input = keys[source];
        LayerSpec { input, placement, delay_ms: 0, look }
    };
    let heard = |heard: &Heard| MixSpec {
        input: keys[&heard.source],
        gain: heard.gain,
        channel: ValidChannel::All,
        delay_ms: 0,
        filter: AudioFilter { agc: heard.agc, ans: heard.ans.map(Into::into) },
    };
    let image = layout.backdrop.image.as_ref().map(|path| load_image(path)).transpose()?;
    Ok(SceneSpec {
        picture: ScenePicture {
            backdrop: Backdrop { rgb: layout.backdrop.color, image: image.map(Arc::new) },
            layers: layout.placed()?.into_iter().map(layer).collect(),
            overlays: Vec::new(),
        },
        mix: layout.mix.iter().map(heard).collect(),
    })
}

fn load_image(path: &Path) -> Result<OverlayContent, String> {
    let named = |error: String| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(error.to_string()))?;
    still::load_overlay(&bytes).map(OverlayContent::from).map_err(|error| named(error.to_string()))
}

fn switch(engine: &mut Engine, tick: u64, Show { spec, way, .. }: Show) {
    let when = Readiness { force: true, wait: Duration::ZERO };
    engine.command(CommandId(tick), Command::SetScene { bus: Bus::Pgm, spec, when, way });
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
