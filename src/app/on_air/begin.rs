//! How a caster goes on air: encoder, frame thread, inputs, destinations.
//!
//! Must not know calls. Invariant: what broke on the way is ended again; one source that cannot be started keeps no show
//! off the air.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::super::canvas::Canvas;
use super::super::frame_thread::{self, Discarded, Lines, Message, Report};
use super::super::images::Images;
use super::super::outputs::{self, Extras, internal, stream};
use super::super::run_tick::{Counts, Curtain, Flow, FrameLoop, LateScalers, Stages, Trouble};
use super::super::world::World;
use super::prepare::Ready;
use super::{AUDIO_BPS, OnAir};
use crate::catalog::{Caster, Refused};
use crate::engine::{Command, Engine, EngineConfig, Vigil};
use crate::gpu::Compositor;
use crate::ids::Bus;
use crate::limits;
use crate::output::{self, ProgrammeSettings, Sink};
use crate::time;
use crate::worker::{self, StopToken};

/// A compositor and an encoder with its sinks, for one scene.
pub(super) fn make_canvas(world: &World, caster: &Caster, bus: Bus) -> Result<Canvas, Refused> {
    let scene = caster.scene(bus).ok_or_else(|| internal("the caster has no scenes"))?;
    let video = outputs::video(world, caster)?;
    let size = video.size;
    let name = format!("{}-{}", if bus == Bus::Pgm { "pgm" } else { "pvw" }, caster.config.name);
    let settings = ProgrammeSettings {
        name,
        video,
        audio_bps: AUDIO_BPS,
        renditions: Vec::new(),
        delay_ticks: 0,
        spool_dir: world.config.data.join("spool"),
    };
    let output = output::start(&settings).map_err(internal)?;
    let hub = Sink::Hub { hub: world.hub.clone(), name: stream(&scene.stream_name) };
    output.add_sink(hub).map_err(internal)?;
    if bus == Bus::Pgm {
        output.add_sink(world.hls(&scene.stream_name)).map_err(internal)?;
    }
    let gpu = world.gpu.gpu().map_err(internal)?;
    let compositor = Compositor::new(gpu, size).map_err(internal)?;
    let compositor = compositor.with_quality(world.config.scale_quality);
    Ok(Canvas::new(compositor, Arc::new(output), Some(world.gpu.clone())))
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
    let (canvas, file_ahead) = (output.header().size, limits::FILE_AHEAD_FRAMES);
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
        counts: Counts::default(),
        trouble: Trouble::default(),
        clock: world.clock.clone(),
        flow: Flow::Live,
        curtain,
        first_tick: 0,
        late_scalers: world.gpu.is_software().then(|| LateScalers::new(world.config.scale_quality)),
    };
    let frame_thread = worker::spawn("frames", StopToken::new(), move |stop| {
        let lines = Lines { inbox, report: report_sender, news: news_sender, bin: bin_sender };
        frame_thread::run(frames, rate, &lines, &stop);
    })
    .map_err(internal)?;
    let mut on_air = OnAir {
        world,
        caster: caster.clone(),
        started: caster.clone(),
        messages,
        report,
        rate,
        inputs: BTreeMap::new(),
        episodes: BTreeMap::new(),
        standby: None,
        stand_in: None,
        images,
        ready: Ready::default(),
        news,
        vigil: Vigil::default(),
        is_due: false,
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
        frame_thread,
        bin,
    };
    connect(&mut on_air, &caster)?;
    Ok(on_air)
}

/// Starts what the caster plays and is pushed to.
fn connect(on_air: &mut OnAir, caster: &Caster) -> Result<(), Refused> {
    for resource in &caster.resources {
        // One source that cannot be started must not keep the show off the air.
        if let Err(refused) = on_air.start_input(caster, &resource.id) {
            tracing::error!(name = resource.name, %refused, "a source is left out");
        }
    }
    if let Err(refused) = on_air.start_standby(caster) {
        tracing::error!(%refused, "standby is left out");
    }
    for relay in caster.config.destinations() {
        let destination = on_air.add_relay(relay)?;
        on_air.relays.push(destination);
    }
    let follow = Command::SetFollow { follow: caster.audio_follows_video };
    let (reply, _) = oneshot::channel();
    on_air.messages.send(Message::Command(follow, reply)).map_err(internal)
}
