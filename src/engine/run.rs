//! The engine itself: what came since the last tick, the commands, and the plan.
//!
//! Must not know how media time maps to ticks (the inputs do) or how the mix is made (`sound` does). Invariant: the same
//! calls in the same order give the same plans.

use std::collections::{BTreeMap, BTreeSet};

use super::cues::Cues;
use super::groups::Groups;
use super::input::{Heard, Input};
use super::lists::{layers, visible, wanted};
use super::media::{InputStats, Tick};
use super::pause::Motion;
use super::scenes::{Reply, Scenes, Waiting, deadline, missing, unknown};
use super::transit::{is_short, samples};
use super::views::Views;
use super::vigil::Watch;
use super::{
    Black, Command, CommandId, EngineConfig, Event, Fault, InputKind, InputState, Meters, Part,
    Plan, Readiness, Refusal, SceneSpec, Sight, StandIn, SyncGroup, Tally, Wants, Way,
};
use crate::frame::{AudioBlock, VideoFrame};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::picture::{DrawList, ScenePicture, compose};
use crate::sound::{Level, MixSpec, Mixer};

/// All inputs of a caster.
pub(super) type Inputs = BTreeMap<InputKey, Input>;

/// Decides, tick by tick, what one running caster shows and sounds.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    inputs: Inputs,
    scenes: Scenes,
    cues: Cues,
    groups: Groups,
    views: Views,
    watch: Watch,
    mixer: Mixer,
    commands: Vec<(CommandId, Command)>,
    replies: Vec<Reply>,
    /// The last tick.
    last: Option<u64>,
    /// What the mixer was last told to sound and to prepare.
    sounding: [Vec<MixSpec>; 2],
}

impl Engine {
    /// An engine without inputs: PGM and PVW are black and silent.
    pub fn new(config: EngineConfig) -> Engine {
        Engine {
            inputs: BTreeMap::new(),
            scenes: Scenes::new(),
            cues: Cues::default(),
            groups: Groups::default(),
            views: Views::new(config.rate),
            watch: Watch::default(),
            config,
            mixer: Mixer::new(),
            commands: Vec::new(),
            replies: Vec::new(),
            last: None,
            sounding: [Vec::new(), Vec::new()],
        }
    }

    /// Has a command carried out at the next tick. More than `limits::ENGINE_COMMANDS` for one tick are refused, with
    /// [`Refusal::TooMany`] in that tick's plan. Adding an input under a key that exists starts that input afresh.
    pub fn command(&mut self, id: CommandId, command: Command) {
        if self.commands.len() < limits::ENGINE_COMMANDS {
            self.commands.push((id, command));
        } else {
            self.replies.push((id, Err(Refusal::TooMany)));
        }
    }

    /// A frame of an input arrived since the last tick. Frames of unknown inputs are ignored.
    pub fn video(&mut self, input: InputKey, frame: VideoFrame) {
        if let Some(input) = self.inputs.get_mut(&input) {
            input.video(frame);
        }
    }

    /// A block of samples of an input arrived since the last tick. Blocks of unknown inputs are ignored.
    pub fn audio(&mut self, input: InputKey, block: AudioBlock) {
        if let Some(input) = self.inputs.get_mut(&input) {
            input.audio(block);
        }
    }

    /// The worker of an input says how it is. `Ended` must come after the last frame and block of the file;
    /// `Connecting` before the first of a new connection.
    pub fn input_state(&mut self, input: InputKey, state: InputState) {
        if let Some(input) = self.inputs.get_mut(&input) {
            input.state(state);
        }
    }

    /// How an input looks now; none while nobody measures it. Unknown inputs are ignored.
    pub fn sight(&mut self, input: InputKey, sight: Option<Sight>) {
        if let Some(input) = self.inputs.get_mut(&input) {
            input.health.sight = sight;
        }
    }

    /// What is wrong with an input and was told of.
    pub fn faults(&self, input: InputKey) -> Vec<Fault> {
        self.inputs.get(&input).map_or_else(Vec::new, |input| input.health.faults())
    }

    /// A part of a paced input will begin at a timestamp that is still to come. Parts of unknown inputs are ignored.
    pub fn input_part(&mut self, input: InputKey, part: Part) {
        if let Some(input) = self.inputs.get_mut(&input) {
            input.part(part);
        }
    }

    /// Whether the input has been added, so that what it delivers is heard: an input that is added is there after the next
    /// tick.
    pub fn has(&self, input: InputKey) -> bool {
        self.inputs.contains_key(&input)
    }

    /// How much of an input can be handed over now; nothing for unknown inputs.
    pub fn wants(&self, input: InputKey) -> Wants {
        self.inputs.get(&input).map_or(Wants { video: 0, audio: 0 }, Input::wants)
    }

    /// Whether a take at the next tick would find a current picture of the input: it has one that is not stale, or it is a
    /// file that will start then.
    pub fn ready(&self, input: InputKey) -> bool {
        let n = self.last.unwrap_or(0);
        self.inputs.get(&input).is_some_and(|input| input.will_be_ready(n))
    }

    /// Counters of an input; all zero for unknown ones.
    pub fn input_stats(&self, input: InputKey) -> InputStats {
        let n = self.last.unwrap_or(0);
        self.inputs.get(&input).map_or_else(InputStats::default, |input| input.stats(n))
    }

    /// The mix of a scene: what sounds on PGM, what would sound of PVW.
    pub fn mix(&self, bus: Bus) -> &[MixSpec] {
        &self.scenes.get(bus).mix
    }

    /// Whether the mix follows the picture at a switch.
    pub fn follow(&self) -> bool {
        self.scenes.follow
    }

    /// A scene as it is.
    pub fn scene(&self, bus: Bus) -> &SceneSpec {
        self.scenes.get(bus)
    }

    /// Whether the scene that goes out in a transition shows or sounds the input: it is on air until that is over, though
    /// no scene has it any more.
    pub fn is_leaving(&self, input: InputKey) -> bool {
        self.scenes.transit.needs(input)
    }

    /// Number of commands applied so far.
    pub fn revision(&self) -> u64 {
        self.scenes.revision
    }

    /// Decides tick `n`, which is the one after the last (the first may be any). A later `n` leaves the ticks between out:
    /// files go on where they were, live sources lose what was due. An `n` that is not later is answered as the one
    /// after the last.
    pub fn tick(&mut self, n: u64) -> Plan {
        let next = self.last.map_or(n, |last| last + 1);
        let n = n.max(next);
        self.last = Some(n);
        let (at, expected) = (Tick::new(self.config.rate, n), Tick::new(self.config.rate, next));
        let late = (at.now_ns - expected.now_ns, at.sample - expected.sample);
        self.mixer.catch_up(u32::try_from(late.1).unwrap_or(u32::MAX));
        self.scenes.transit.settle(n);
        let dropped: Vec<u64> = self.inputs.values().map(Input::dropped).collect();
        for input in self.inputs.values_mut() {
            input.advance(&at, late);
        }
        let synced = self.groups.align(&mut self.inputs, &at);
        for input in self.inputs.values_mut() {
            input.play(&at);
        }
        let mut events = self.events(&dropped);
        events.extend(synced);
        self.settle_waiting(n);
        for (id, command) in std::mem::take(&mut self.commands) {
            self.apply(&at, id, command);
        }
        events.extend(self.cue(&at));
        events.extend(self.keep_watch(&at));
        // Last, as what the commands and the cue started begins with this tick.
        for (&key, input) in &mut self.inputs {
            let begun = input.take_begun().into_iter();
            events.extend(begun.map(|part| Event::Began { input: key, part }));
        }
        self.plan(&at, events)
    }

    /// When tick `n` is, ns since tick 0.
    fn programme_ns(&self, n: u64) -> u64 {
        self.config.rate.tick_ns(n)
    }

    /// The switch of PGM that is planned for this tick.
    fn cue(&mut self, at: &Tick) -> Option<Event> {
        let cue = self.cues.take_due(at.n)?;
        self.overtake();
        self.scenes.amend((at.n, self.programme_ns(at.n)), cue.spec);
        for key in cue.starts {
            if let Some(input) = self.inputs.get_mut(&key) {
                input.set_motion(at, Motion::Runs);
            }
        }
        Some(Event::Cued { id: cue.id, tick: at.n })
    }

    /// What is wrong with the sources, and what stands in for PGM because of it.
    fn keep_watch(&mut self, at: &Tick) -> Vec<Event> {
        let detectors = self.watch.vigil.detectors;
        let looked = self.inputs.iter_mut().flat_map(|(key, i)| i.look(*key, at, &detectors));
        let mut events: Vec<_> = looked.collect();
        let before = self.watch.shows;
        let (shows, told) = self.watch.look((at, &self.inputs), &self.scenes.pgm);
        events.extend(told);
        let over = self.watch.scene(&self.scenes.pgm);
        self.scenes.stand_in((at.n, self.programme_ns(at.n)), over);
        if shows != before {
            let motion = if shows == StandIn::Standby { Motion::Runs } else { Motion::Stands };
            for key in self.watch.standby_inputs() {
                if let Some(input) = self.inputs.get_mut(&key) {
                    input.set_motion(at, motion);
                }
            }
        }
        events
    }

    /// Something else takes the place of the switch that waits.
    fn overtake(&mut self) {
        if let Some(earlier) = self.scenes.waiting.take() {
            self.replies.push((earlier.id, Err(Refusal::Overtaken)));
        }
    }

    fn events(&mut self, dropped: &[u64]) -> Vec<Event> {
        let mut events = Vec::new();
        for ((&key, input), before) in self.inputs.iter_mut().zip(dropped) {
            let jumps = input.take_jumps().into_iter();
            events.extend(jumps.map(|jump_ns| Event::Reanchored { input: key, jump_ns }));
            let count = u32::try_from(input.dropped() - before).unwrap_or(u32::MAX);
            if count > 0 {
                events.push(Event::DroppedFrames { input: key, count });
            }
        }
        events
    }

    /// The switch that waits: now, never, or still not.
    fn settle_waiting(&mut self, n: u64) {
        let Some(waiting) = self.scenes.waiting.take() else { return };
        let missing = missing(&waiting.spec, &|key| self.is_ready(key, n));
        if missing.is_empty() {
            self.switch_by_hand(n, waiting.spec, waiting.way);
            let applied = self.scenes.applied(n);
            self.replies.push((waiting.id, Ok(applied)));
        } else if n >= waiting.until {
            self.replies.push((waiting.id, Err(Refusal::NotReady(missing))));
        } else {
            self.scenes.waiting = Some(waiting);
        }
    }

    fn is_ready(&self, key: InputKey, n: u64) -> bool {
        self.inputs.get(&key).is_some_and(|input| input.is_ready(n))
    }

    fn apply(&mut self, at: &Tick, id: CommandId, command: Command) {
        if let Some(refusal) = self.refuses(&command) {
            return self.replies.push((id, Err(refusal)));
        }
        match command {
            Command::AddInput { input, kind, held } => {
                let mut added = Input::new(kind, at, self.config.file_ahead);
                added.set_motion(at, if held { Motion::Stands } else { Motion::Runs });
                self.inputs.insert(input, added);
            }
            Command::RemoveInput { input } => {
                self.inputs.remove(&input);
                self.scenes.forget(input);
                self.cues.forget(input);
                self.groups.forget(input);
                self.watch.forget(input);
            }
            Command::SetScene { bus: Bus::Pvw, spec, .. } => {
                self.scenes.preview(spec, self.programme_ns(at.n));
            }
            Command::SetScene { bus: Bus::Pgm, spec, when, way } => {
                return self.switch(at.n, (id, when), spec, way);
            }
            Command::Take { when, way } => {
                let spec = self.scenes.pvw.clone();
                return self.switch(at.n, (id, when), spec, way);
            }
            Command::FadeToBlack { on, frames } => {
                let opacity = if on { 1.0 } else { 0.0 };
                self.scenes.transit.fade_black(at.n, opacity, frames);
                self.mixer.fade(1.0 - opacity, samples(self.config.rate, at.n, frames));
            }
            Command::Amend { spec } => self.scenes.amend((at.n, self.programme_ns(at.n)), spec),
            Command::SetVigil(vigil) => self.watch.vigil = *vigil,
            Command::SetMix { bus, mix } => self.scenes.set_mix(bus, mix),
            Command::SetFollow { follow } => self.scenes.follow = follow,
            Command::SetCues(cues) => self.cues.set(cues, at.n),
            Command::SetSyncGroups(groups) => self.groups.set(groups, &mut self.inputs),
            Command::SetPlaying { input, playing } => {
                if let Some(input) = self.inputs.get_mut(&input) {
                    input.set_motion(at, if playing { Motion::Runs } else { Motion::Stands });
                }
            }
        }
        let applied = self.scenes.applied(at.n);
        self.replies.push((id, Ok(applied)));
    }

    /// Why a command cannot be carried out, if so.
    fn refuses(&self, command: &Command) -> Option<Refusal> {
        let exists = |key| self.inputs.contains_key(&key);
        let one = |key: InputKey| Some(key).filter(|key| !exists(*key));
        let unknown = match command {
            Command::SetScene { spec, .. } | Command::Amend { spec } => unknown(spec, &exists),
            Command::SetVigil(vigil) => {
                vigil.standby.as_ref().and_then(|standby| unknown(standby, &exists))
            }
            Command::SetMix { mix, .. } => mix.iter().map(|e| e.input).find(|key| !exists(*key)),
            Command::RemoveInput { input } | Command::SetPlaying { input, .. } => one(*input),
            Command::SetSyncGroups(groups) => {
                groups.iter().flat_map(SyncGroup::inputs).find(|key| !exists(*key))
            }
            Command::AddInput { .. }
            | Command::Take { .. }
            | Command::FadeToBlack { .. }
            | Command::SetFollow { .. }
            | Command::SetCues(_) => None,
        };
        if let Some(input) = unknown {
            return Some(Refusal::UnknownInput(input));
        }
        let is_paced = |key| self.inputs.get(key).is_some_and(Input::is_paced);
        match command {
            Command::AddInput { input, kind, held: true } if *kind != InputKind::Paced => {
                Some(Refusal::NotPaced(*input))
            }
            Command::SetPlaying { input, .. } if !is_paced(input) => {
                Some(Refusal::NotPaced(*input))
            }
            Command::SetCues(cues) if cues.len() > limits::MAX_CUES => Some(Refusal::TooManyCues),
            Command::SetSyncGroups(groups) if groups.len() > limits::MAX_SYNC_GROUPS => {
                Some(Refusal::TooManyGroups)
            }
            Command::SetScene { way, .. } | Command::Take { way, .. } => {
                is_short(self.config.rate, way.frames()).err()
            }
            Command::FadeToBlack { frames, .. } => is_short(self.config.rate, *frames).err(),
            _ => None,
        }
    }

    /// A switch on PGM: at once, or as soon as its sources are ready.
    fn switch(&mut self, n: u64, (id, when): (CommandId, Readiness), spec: SceneSpec, way: Way) {
        self.overtake();
        if when.force {
            self.switch_by_hand(n, spec, way);
            let applied = self.scenes.applied(n);
            return self.replies.push((id, Ok(applied)));
        }
        let until = deadline(self.config.rate, n, when);
        self.scenes.waiting = Some(Waiting { id, spec, way, until });
        self.settle_waiting(n);
    }

    fn switch_by_hand(&mut self, n: u64, spec: SceneSpec, way: Way) {
        self.scenes.switch((n, self.programme_ns(n)), spec, way);
        self.watch.set_by_hand();
    }

    fn plan(&mut self, at: &Tick, mut events: Vec<Event>) -> Plan {
        let Scenes { pvw, transit, waiting, .. } = &self.scenes;
        let (pgm, covered) = (self.scenes.on_air(), self.scenes.covered());
        let others = waiting.as_ref().map(|waiting| &waiting.spec).into_iter();
        let pictures: Vec<_> = [pgm, pvw]
            .into_iter()
            .chain(others)
            .chain(covered)
            .chain(transit.leaving())
            .map(|s| &s.picture)
            .collect();
        let inputs = &self.inputs;
        let shown = |key| inputs.get(&key).and_then(Input::frame);
        events.extend(self.views.feed(at.n, &pictures, &shown));
        let leaving = transit.leaving().map(|scene| self.draw(at, &scene.picture));
        let coming = self.draw(at, &transit.coming(at.n, &pgm.picture));
        // What will be shown again is made ready for it.
        let beneath = covered.map(|own| self.draw(at, &own.picture));
        let on_air: Vec<_> = leaving.iter().chain([&coming]).collect();
        let pvw = self.draw(at, &pvw.picture);
        let (pgm, black) = (transit.draw(at.n, leaving.as_ref(), &coming), transit.black(at.n));
        let input_of = |key| self.views.input(key);
        let seen = if black == Black::Full { &[][..] } else { &on_air };
        let drawn: BTreeSet<_> = layers(&pgm).chain(layers(&pvw)).map(|(key, _)| key).collect();
        let frame = |key| Some((key, self.shown(key)?.clone()));
        let mut plan = Plan {
            tick: at.n,
            frames: drawn.into_iter().filter_map(frame).collect(),
            audio: Vec::new(),
            meters: Meters::default(),
            wanted: wanted(on_air.iter().copied().chain([&pvw]).chain(&beneath), &input_of),
            replies: std::mem::take(&mut self.replies),
            tally: Tally { pgm: visible(seen, &input_of), pvw: visible(&[&pvw], &input_of), black },
            covered: beneath.iter().flat_map(|list| self.live_frames(list)).collect(),
            stand_in: self.watch.shows,
            events,
            pgm,
            pvw,
        };
        self.sound(at, &mut plan);
        plan
    }

    /// The live inputs of a list, with their frames.
    fn live_frames(&self, list: &DrawList) -> Vec<(InputKey, VideoFrame)> {
        let frame = |key: InputKey| {
            let input = self.inputs.get(&key).filter(|input| input.is_live())?;
            Some((key, input.frame()?.clone()))
        };
        visible(&[list], &|key| self.views.input(key)).into_iter().filter_map(frame).collect()
    }

    /// What an input or a view shows.
    fn shown(&self, key: InputKey) -> Option<&VideoFrame> {
        self.views.frame(key).or_else(|| self.inputs.get(&key)?.frame())
    }

    fn draw(&self, at: &Tick, picture: &ScenePicture) -> DrawList {
        let size = |key| Some(self.shown(key)?.picture.shown_size());
        let now_ns = self.programme_ns(at.n);
        compose(&self.views.place(picture), &size, self.config.canvas, now_ns)
    }

    fn sound(&mut self, at: &Tick, plan: &mut Plan) {
        if self.scenes.transit.take_cut_short() {
            self.mixer.hurry();
        }
        let now = [&self.scenes.on_air().mix, &self.scenes.pvw.mix];
        let covered = self.scenes.covered().map_or(&[][..], |own| &own.mix[..]);
        if self.sounding[0] != *now[0] {
            self.mixer.set(now[0], self.scenes.transit.ramp(self.config.rate, at.n));
        }
        if self.sounding[0] != *now[0] || self.sounding[1] != *now[1] {
            self.mixer.prepare(now[0], now[1]);
            self.sounding = now.map(Clone::clone);
        }
        for (key, input) in &mut self.inputs {
            let metered = now.iter().any(|mix| mix.iter().any(|entry| entry.input == *key));
            let watched = metered || covered.iter().any(|entry| entry.input == *key);
            let heard = watched || self.mixer.needs(*key);
            input.sound(at, if heard { Heard::Yes } else { Heard::No });
            let level = watched.then(|| input.samples().map_or_else(Level::default, Level::of));
            input.health.heard(at, level.map(|level| level.rms));
            if metered {
                plan.meters.inputs.extend(level.map(|level| (*key, level)));
            }
        }
        let inputs = &self.inputs;
        let source = |key| inputs.get(&key).and_then(Input::samples);
        (plan.audio, plan.meters.master) = self.mixer.mix(&source, at.samples);
    }
}
