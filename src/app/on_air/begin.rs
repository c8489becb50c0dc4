//! How a caster goes on air: encoder, frame thread, inputs, destinations.
//!
//! Must not know calls. Invariant: what broke on the way is ended again; one source that cannot be started keeps no show
//! off the air.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{oneshot, watch};

use super::super::canvas::Canvas;
use super::super::frame_thread::{self, Discarded, Lines, Message, Report};
use super::super::images::Images;
use super::super::outputs::{self, Extras, internal, stream};
use super::super::run_tick::{Counts, Curtain, Flow, FrameLoop, LateScalers, Stages, Trouble};
use super::super::world::World;
use super::mend::Mends;
use super::prepare::Ready;
use super::{AUDIO_BPS, OnAir};
use crate::catalog::{Caster, Refused};
use crate::engine::{self, Command, Engine, EngineConfig, Vigil};
use crate::gpu::Compositor;
use crate::ids::Bus;
use crate::limits;
use crate::metrics::Timing;
use crate::output::{self, Output, ProgrammeSettings, Sink};
use crate::time::{self, FrameRate};
use crate::worker::{self, Pulse, StopToken, Worker};

/// A compositor and an encoder with its sinks, for one scene.
pub(super) fn make_canvas(world: &World, caster: &Caster, bus: Bus) -> Result<Canvas, Refused> {
    let scene = caster.scene(bus).ok_or_else(|| internal("the caster has no scenes"))?;
    let mut video = outputs::video(world, caster)?;
    if bus == Bus::Pvw {
        // An operator wants to see it now.
        video.lookahead_pictures = 0;
        video.b_frames = 0;
    }
    // PVW has no renditions.
    let reorder_ticks = if bus == Bus::Pvw { 0 } else { outputs::reorder_ticks(world, &video) };
    let name = format!("{}-{}", if bus == Bus::Pgm { "pgm" } else { "pvw" }, caster.config.name);
    let settings = ProgrammeSettings {
        name,
        video,
        audio_bps: AUDIO_BPS,
        renditions: Vec::new(),
        reorder_ticks,
        delay_ticks: 0,
        spool_dir: world.config.data.join("spool"),
    };
    let output = output::start(&settings).map_err(outputs::no_encoder)?;
    let hub = Sink::Hub { hub: world.hub.clone(), name: stream(&scene.stream_name) };
    output.add_sink(hub).map_err(internal)?;
    if bus == Bus::Pgm {
        output.add_sink(world.hls(&scene.stream_name)).map_err(internal)?;
    }
    // PVW has neither.
    let held = if bus == Bus::Pvw { 0 } else { outputs::pictures_held(world, &output.video()) };
    canvas_before(world, Arc::new(output), held)
}

/// A compositor before an encoder that is there, with canvases for so many pictures that encoders hold.
pub(super) fn canvas_before(
    world: &World,
    output: Arc<Output>,
    held: usize,
) -> Result<Canvas, Refused> {
    let gpu = world.gpu.gpu().map_err(internal)?;
    let compositor = Compositor::new(gpu, output.header().size).map_err(internal)?;
    let compositor = compositor.with_quality(world.config.scale_quality);
    let compositor = compositor.with_held(held).map_err(internal)?;
    Ok(Canvas::new(compositor, output, Some(world.gpu.clone())))
}

/// A frame thread and the ends of the lines to it.
pub(super) struct Ticking {
    pub(super) messages: Sender<Message>,
    pub(super) report: watch::Receiver<Arc<Report>>,
    pub(super) news: Receiver<engine::Event>,
    pub(super) frame_thread: Worker,
    pub(super) bin: Worker,
    pub(super) pulse: Pulse,
}

/// What a frame thread goes on with in the place of one that broke.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// When the engine's tick 0 began, on the process's clock.
    pub(super) origin_ns: Option<u64>,
    /// The engine's tick that was the show's first.
    pub(super) first_tick: Option<u64>,
    pub(super) counts: Counts,
}

/// Begins to tick.
pub(super) fn begin_ticking(
    world: &World,
    (pgm, rate): (Canvas, FrameRate),
    curtain: Curtain,
    before: Before,
) -> Result<Ticking, Refused> {
    let (canvas, file_ahead) = (pgm.output.header().size, limits::FILE_AHEAD_FRAMES);
    let engine = Engine::new(EngineConfig { rate, canvas, file_ahead });
    let (messages, inbox) = crossbeam_channel::bounded(limits::ENGINE_COMMANDS);
    let (bin_sender, bin_receiver) =
        crossbeam_channel::bounded::<Discarded>(limits::ENGINE_COMMANDS);
    let (news_sender, news) = crossbeam_channel::bounded(limits::ENGINE_NEWS);
    let (report_sender, report) = watch::channel(Arc::new(Report::default()));
    let bin = worker::spawn("bin", StopToken::new(), move |_| bin_receiver.iter().for_each(drop))
        .map_err(internal)?;
    let frames = FrameLoop {
        engine,
        inputs: BTreeMap::new(),
        pgm,
        pvw: None,
        waiting: BTreeMap::new(),
        stages: Stages::default(),
        counts: before.counts,
        trouble: Trouble::default(),
        clock: world.clock.clone(),
        flow: Flow::Live,
        curtain,
        first_tick: before.first_tick,
        late_scalers: world.gpu.is_software().then(|| LateScalers::new(world.config.scale_quality)),
    };
    let pulse = Pulse::default();
    let (beats, origin_ns) = (pulse.clone(), before.origin_ns);
    let frame_thread = worker::spawn("frames", StopToken::new(), move |stop| {
        let (report, bin, news) = (report_sender, bin_sender, news_sender);
        let lines = Lines { inbox, report, news, bin, pulse: beats, origin_ns };
        frame_thread::run(frames, rate, &lines, &stop);
    })
    .map_err(internal)?;
    Ok(Ticking { messages, report, news, frame_thread, bin, pulse })
}

/// Connects the sources, opens the encoder and begins to tick.
pub(super) fn begin(
    world: Arc<World>,
    caster: Arc<Caster>,
    images: Images,
    curtain: Curtain,
) -> Result<OnAir, Refused> {
    let pgm = make_canvas(&world, &caster, Bus::Pgm)?;
    let output = pgm.output.clone();
    let mut extras = Extras::default();
    extras.apply(&world, &caster, &output)?;
    let rate = caster.config.rate;
    let ticking = begin_ticking(&world, (pgm, rate), curtain, Before::default())?;
    let mut on_air = OnAir {
        world,
        caster: caster.clone(),
        started: caster.clone(),
        messages: ticking.messages,
        report: ticking.report,
        rate,
        inputs: BTreeMap::new(),
        episodes: BTreeMap::new(),
        standby: None,
        ends: BTreeMap::new(),
        mends: Mends::default(),
        stand_in: None,
        images,
        ready: Ready::default(),
        news: ticking.news,
        vigil: Vigil::default(),
        due: Default::default(),
        positions_ns: 0,
        marks: BTreeMap::new(),
        synced: Vec::new(),
        cues: Vec::new(),
        cued_from_unix_ms: time::unix_ms(),
        origin_unix_ns: None,
        tick0_unix_ns: None,
        pgm: output,
        pvw: None,
        pvw_idle: 0,
        relays: Vec::new(),
        extras,
        frame_thread: ticking.frame_thread,
        bin: ticking.bin,
        pulse: ticking.pulse,
        before: Before::default(),
        switches: Timing::default(),
    };
    connect(&mut on_air, &caster)?;
    for relay in caster.config.destinations() {
        let destination = on_air.add_relay(relay)?;
        on_air.relays.push(destination);
    }
    Ok(on_air)
}

/// Starts what the caster plays.
pub(super) fn connect(on_air: &mut OnAir, caster: &Caster) -> Result<(), Refused> {
    for resource in &caster.resources {
        // One source that cannot be started must not keep the show off the air.
        if let Err(refused) = on_air.start_input(caster, &resource.id) {
            tracing::error!(name = resource.name, %refused, "a source is left out");
        }
    }
    if let Err(refused) = on_air.start_standby(caster) {
        tracing::error!(%refused, "standby is left out");
    }
    let follow = Command::SetFollow { follow: caster.audio_follows_video };
    let (reply, _) = oneshot::channel();
    on_air.messages.send(Message::Command(follow, reply)).map_err(internal)
}
