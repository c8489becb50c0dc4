//! A caster on air: its inputs, its frame thread, its outputs, and the effects that calls have on them.
//!
//! Must not decide what is allowed (catalog) or how a tick works (run_tick). Invariant: an effect that is refused leaves
//! what is on air as it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{oneshot, watch};

use super::frame_thread::{Message, Report};
use super::images::Images;
use super::outputs::{Extras, internal, stream};
use super::run_tick::Curtain;
use super::world::World;
use super::{images, resolve, rundown, shedding, snapshot};
use crate::api::control::Snapshot;
use crate::catalog::{self, Applied, Caster, Effect, ErrorCode, Refused, Showing, When};
use crate::engine::{self, Command, Cue, Refusal, SyncGroup, Vigil};
use crate::ids::{Bus, EpisodeId, InputKey, ResourceId};
use crate::input::InputEnd;
use crate::limits;
use crate::metrics::Timing;
use crate::output::Output;
use crate::time::{self, FrameRate};
use crate::worker::{Pulse, StopToken, Worker};

mod begin;
mod carousel;
mod cues;
mod destinations;
mod mend;
mod prepare;
mod progress;
mod reopen;
mod revive;
mod sources;
mod vigil;

use begin::{Before, begin, make_canvas};
pub(super) use carousel::{Carousel, Step};
use destinations::Destination;
use mend::Mends;
use prepare::Ready;
pub(super) use revive::Fault;

/// Audio bit rate of every output, bit/s.
pub(super) const AUDIO_BPS: u32 = 128_000;
/// Looks at the demand for PVW without a viewer before it is no longer made.
const PVW_LINGER: u32 = 15;

/// Inputs of sources, images, input of standby.
type Content = (BTreeMap<ResourceId, InputKey>, Images, Option<InputKey>);

/// The engine's answer to a command, to come.
type EngineAnswer = oneshot::Receiver<Result<engine::Applied, Refusal>>;

/// A caster on air.
pub(super) struct OnAir {
    world: Arc<World>,
    caster: Arc<Caster>,
    /// As it was when it went on air: output and encoder stay so until it begins again, but for the bit rate.
    started: Arc<Caster>,
    messages: Sender<Message>,
    report: watch::Receiver<Arc<Report>>,
    /// As it was when it went on air.
    rate: FrameRate,
    inputs: BTreeMap<ResourceId, InputKey>,
    /// Inputs of episodes that play a file from its beginning.
    episodes: BTreeMap<EpisodeId, InputKey>,
    standby: Option<InputKey>,
    /// What ends the inputs, should the frame thread that has them hang.
    ends: BTreeMap<InputKey, InputEnd>,
    mends: Mends,
    /// While standby's picture stands in for sources that have not come: the answer to the switch that waits for them.
    stand_in: Option<EngineAnswer>,
    images: Images,
    ready: Ready,
    /// What the engine noticed.
    news: Receiver<engine::Event>,
    /// What the engine was last told to watch.
    vigil: Vigil,
    /// Standby came by itself to stay, which the catalog is to learn.
    due: vigil::Due,
    /// When the positions of files were last asked for, on the process's clock, ns.
    positions_ns: u64,
    /// How far the files that tell it were at the last look.
    marks: BTreeMap<InputKey, progress::Mark>,
    /// What the engine was last told of sync groups.
    synced: Vec<SyncGroup>,
    /// What the engine was last told of the rundown.
    cues: Vec<Cue>,
    /// Cues at and before this time are what the show began with.
    cued_from_unix_ms: u64,
    /// When the engine's tick 0 and the show's began.
    origin_unix_ns: Option<i128>,
    tick0_unix_ns: Option<i128>,
    pgm: Arc<Output>,
    pvw: Option<Arc<Output>>,
    pvw_idle: u32,
    relays: Vec<Destination>,
    extras: Extras,
    frame_thread: Worker,
    /// Joins the threads of what the frame thread let go; ends when the frame thread has.
    bin: Worker,
    pulse: Pulse,
    /// What a frame thread in the place of this one goes on with.
    before: Before,
    /// From a switch of PGM that was asked for to the tick that showed it.
    switches: Timing,
}

/// When an operator chose what PGM shows, or put standby on it.
fn hand(caster: &Caster) -> Option<(u64, bool)> {
    caster.scenes.as_ref().map(|scenes| (scenes.pgm_set_unix_ms, scenes.on_standby))
}

/// Runs what may block (opening encoders, joining threads) off the async threads.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(internal)
}

impl OnAir {
    /// Connects the sources, opens the encoder and begins to tick, with both scenes empty. With the curtain closed nothing
    /// goes out before [`OnAir::reopen`].
    pub(super) async fn start(
        world: Arc<World>,
        caster: Arc<Caster>,
        curtain: Curtain,
    ) -> Result<OnAir, Refused> {
        let images = images::load_all(&world, &caster).await;
        off_thread(move || begin(world, caster, images, curtain)).await?
    }

    /// Carries out effects in order; `caster` is the catalog's state with the change.
    ///
    /// # Errors
    /// The first refusal; inputs that were replaced for nothing are put back.
    pub(super) async fn carry_out(
        &mut self,
        caster: &Arc<Caster>,
        effects: &[Effect],
    ) -> Result<Option<Applied>, Refused> {
        let (keys, before) = (self.keys(), self.content());
        let mut applied = None;
        for effect in effects {
            match self.apply(caster, effect).await {
                Ok(None) => {}
                Ok(some) => applied = some,
                Err(refused) => {
                    let new = self.keys();
                    (self.inputs, self.images, self.standby) = before;
                    self.remove_unused(new);
                    return Err(refused);
                }
            }
        }
        let earlier = std::mem::replace(&mut self.caster, caster.clone());
        // Inputs that were replaced went on delivering until their successors were on air, and stood in.
        self.follow_vigil().await;
        self.remove_unused(keys);
        images::keep_shown(&mut self.images, caster);
        self.follow_change(&earlier).await;
        self.follow_sync_groups().await;
        Ok(applied)
    }

    /// What an effect that is refused leaves as it was.
    fn content(&self) -> Content {
        (self.inputs.clone(), self.images.clone(), self.standby)
    }

    /// The rundown after a change: what it has on PGM at this moment, and what is to come.
    async fn follow_change(&mut self, earlier: &Caster) {
        let (caster, unix_ms) = (self.caster.clone(), time::unix_ms());
        self.follow_episodes(&caster, unix_ms);
        let on = |caster: &Caster| {
            let source = rundown::source_on(caster, unix_ms).map(|slot| slot.episode.clone());
            let overlays: Vec<_> = rundown::components_on(caster, unix_ms).cloned().collect();
            (source, overlays)
        };
        if on(earlier) != on(&caster) && hand(earlier) == hand(&caster) {
            let spec = self.scene(&caster, Bus::Pgm, unix_ms);
            if let Err(refused) = self.command(Command::Amend { spec }).await {
                tracing::error!(caster = %caster.id, %refused, "the rundown's change is not shown");
            }
        }
        self.follow_cues().await;
    }

    async fn apply(
        &mut self,
        caster: &Arc<Caster>,
        effect: &Effect,
    ) -> Result<Option<Applied>, Refused> {
        match effect {
            Effect::Start | Effect::Stop | Effect::Restart => Ok(None),
            Effect::InputAdded(id) | Effect::InputChanged(id) => {
                self.start_input(caster, id)?;
                Ok(None)
            }
            Effect::InputRemoved(id) => {
                self.inputs.remove(id);
                Ok(None)
            }
            Effect::ImageShown(place) => {
                if !self.images.contains_key(place) {
                    let image = images::load(&self.world, caster, place).await?;
                    self.images.insert(place.clone(), image);
                }
                Ok(None)
            }
            Effect::SceneSet { bus, when, way } => {
                self.set_scene(caster, *bus, (*when, *way)).await.map(Some)
            }
            Effect::Take { when, way }
                if rundown::components_on(caster, time::unix_ms()).next().is_some() =>
            {
                let spec = self.scene(caster, Bus::Pgm, time::unix_ms());
                let (when, way) = (resolve::readiness(*when), resolve::way(*way));
                let set = Command::SetScene { bus: Bus::Pgm, spec, when, way };
                self.command(set).await.map(Some)
            }
            Effect::Take { when, way } => {
                let (when, way) = (resolve::readiness(*when), resolve::way(*way));
                self.command(Command::Take { when, way }).await.map(Some)
            }
            Effect::FadeToBlack { frames } => {
                let on = caster.scenes.as_ref().is_some_and(|scenes| scenes.on_black);
                self.command(Command::FadeToBlack { on, frames: *frames }).await.map(Some)
            }
            Effect::MixSet { bus } => {
                let mix = self.mix(caster, *bus);
                self.command(Command::SetMix { bus: *bus, mix }).await.map(Some)
            }
            Effect::FollowSet => {
                let follow = caster.audio_follows_video;
                self.command(Command::SetFollow { follow }).await.map(Some)
            }
            Effect::StandbyChanged => {
                self.start_standby(caster)?;
                Ok(None)
            }
            Effect::Seek { resource, position_ms } => {
                self.seek(caster, resource, *position_ms)?;
                Ok(None)
            }
            Effect::PlayingSet(id) => {
                self.set_playing(caster, id).await?;
                Ok(None)
            }
            Effect::OutputsChanged => self.set_outputs(caster).await.map(|()| None),
            Effect::RelaysChanged => self.set_relays(caster).await.map(|()| None),
        }
    }

    /// A scene gets what the catalog has for it.
    async fn set_scene(
        &mut self,
        caster: &Caster,
        bus: Bus,
        (when, way): (When, catalog::Way),
    ) -> Result<Applied, Refused> {
        let spec = self.scene(caster, bus, time::unix_ms());
        let mix = spec.mix.clone();
        let is_by_hand = hand(&self.caster) != hand(caster);
        let is_amended = bus == Bus::Pgm && !is_by_hand && (when.force || self.stands_in());
        let set = match is_amended {
            true => Command::Amend { spec },
            false => {
                let (when, way) = (resolve::readiness(when), resolve::way(way));
                Command::SetScene { bus, spec, when, way }
            }
        };
        let applied = self.command(set).await?;
        // Where the mix does not follow the picture, standby still brings its own and takes it away again.
        if bus == Bus::Pgm && !caster.audio_follows_video {
            self.command(Command::SetMix { bus, mix }).await?;
        }
        Ok(applied)
    }

    /// Has the engine apply a command and waits until it took effect.
    async fn command(&mut self, command: Command) -> Result<Applied, Refused> {
        let clock = time::Clock::real();
        let is_switch =
            matches!(command, Command::Take { .. } | Command::SetScene { bus: Bus::Pgm, .. });
        let _prepared = self.prepare(&command).await?;
        let answer = self.ask(command)?;
        let answer = self.answered(answer).await?;
        if is_switch && answer.is_ok() {
            self.switches.record_us(clock.now_ns() / 1000);
        }
        match answer {
            Ok(applied) => Ok(Applied { revision: applied.revision, tick: applied.tick }),
            Err(refusal) => Err(self.explain(&refusal)),
        }
    }

    /// Gives the engine a command; where its answer will come.
    fn ask(&self, command: Command) -> Result<EngineAnswer, Refused> {
        let (reply, answer) = oneshot::channel();
        self.messages.send(Message::Command(command, reply)).map_err(internal)?;
        Ok(answer)
    }

    fn explain(&self, refusal: &Refusal) -> Refused {
        let Refusal::NotReady(keys) = refusal else {
            return Refused::new(ErrorCode::SceneConfigError, refusal.to_string());
        };
        let name = |key: &InputKey| {
            let (id, _) = self.inputs.iter().find(|(_, used)| *used == key)?;
            let resource = self.caster.resource(id)?;
            let location = self.caster.location_of(resource).map(|location| location.to_string());
            Some(location.unwrap_or_else(|| resource.name.clone()))
        };
        let names: Vec<_> = keys.iter().filter_map(name).collect();
        Refused::new(
            ErrorCode::SceneConfigError,
            format!("no picture from {} yet; wait longer (wait_ms) or use force", names.join(", ")),
        )
    }

    /// The caster as it is on air.
    pub(super) fn caster(&self) -> &Arc<Caster> {
        &self.caster
    }

    /// What has an image that could not be loaded and is left out.
    pub(super) fn missing_images(&self) -> impl Iterator<Item = Showing<'_>> {
        images::missing(&self.caster, &self.images)
    }

    /// What stops its ticks; everything that waits for one is answered then.
    pub(super) fn stop_token(&self) -> StopToken {
        self.frame_thread.stop_token().clone()
    }

    /// Makes PVW while somebody watches it and the machine is not overloaded, and renditions as far as it is not
    /// ([`shedding`](super::shedding)).
    pub(super) async fn follow_demand(&mut self, shed: shedding::Level) {
        self.pgm.shed_renditions(shed.saturating_sub(1));
        self.follow_stand_in().await;
        self.follow_vigil().await;
        self.follow_rundown().await;
        self.follow_sync_groups().await;
        let Some(scenes) = &self.caster.scenes else { return };
        let name = stream(&scenes.pvw.stream_name);
        let demanded = self.world.hub.demanded(&name) || self.world.hub.viewers(&name) > 0;
        let wanted = demanded && shed == 0 && self.caster.is_scene_on(Bus::Pvw);
        self.pvw_idle = if wanted { 0 } else { self.pvw_idle + 1 };
        if wanted && self.pvw.is_none() {
            let (world, started) = (self.world.clone(), self.started.clone());
            let made = off_thread(move || make_canvas(&world, &started, Bus::Pvw)).await;
            match made.and_then(|made| made) {
                Ok(canvas) => {
                    self.pvw = Some(canvas.output.clone());
                    let _ = self.messages.send(Message::ShowPvw(Some(Box::new(canvas))));
                }
                Err(refused) => tracing::error!(%refused, "PVW cannot be shown"),
            }
        } else if self.pvw_idle > PVW_LINGER && self.pvw.take().is_some() {
            let _ = self.messages.send(Message::ShowPvw(None));
        }
    }

    /// What watchers are told now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let location = |key: InputKey| {
            let (id, _) = self.inputs.iter().find(|(_, used)| **used == key)?;
            self.caster.resource(id)
        };
        let report = self.report.borrow().clone();
        let mut snapshot = snapshot::of(&self.caster, &report, &location);
        snapshot.tick0_unix_ns = self.tick0_unix_ns;
        snapshot.switches.clone_from(&self.switches);
        for input in &mut snapshot.inputs {
            input.restarts += self.mends.count(&input.resource);
        }
        let scenes = self.caster.scenes.as_ref();
        for (name, bus, output) in
            [("pgm", Bus::Pgm, Some(&self.pgm)), ("pvw", Bus::Pvw, self.pvw.as_ref())]
        {
            if let (Some(output), Some(scenes)) = (output, scenes) {
                let stream = stream(&scenes.get(bus).stream_name);
                let named = snapshot::Named { name, stream, output };
                snapshot.outputs.extend(snapshot::outputs(&named, &report, &self.world.hub));
            }
            if bus == Bus::Pgm {
                snapshot.outputs.extend(self.relay_statuses());
            }
        }
        snapshot
    }

    /// Ends it: no more ticks, files finished, everything joined.
    pub(super) async fn stop(self) {
        let ended = off_thread(move || {
            let OnAir { frame_thread, bin, pgm, pvw, messages, .. } = self;
            drop(messages);
            frame_thread.end_within(limits::FRAMES_HUNG);
            // PVW has no file to finish.
            if let Some(pvw) = pvw {
                pvw.finish(Duration::ZERO);
            }
            pgm.finish(limits::DRAIN_TIMEOUT);
            bin.end_within(limits::FRAMES_HUNG);
        });
        if let Err(refused) = ended.await {
            tracing::error!(%refused, "a caster did not end in order");
        }
    }
}
