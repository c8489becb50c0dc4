//! An operator without a plan, and what the engine owes to each of the commands.

use std::collections::BTreeMap;
use std::time::Duration;

use onair::engine::{
    AnsMode, AudioFilter, Command, CommandId, Cue, Direction, Engine, Event, InputKind, MixSpec,
    Plan, Readiness, Refusal, SceneSpec, SyncGroup, SyncMode, Transition, TransitionKind,
    ValidChannel, Way,
};
use onair::ids::{Bus, InputKey};
use onair::limits;
use onair::picture::{FillMode, LayerSpec, Look, Placement, ScenePicture};
use onair::time::FrameRate;

use crate::air::Air;
use crate::books::Books;
use crate::chance::Chance;

/// A command that is not answered yet.
struct Owed {
    command: Command,
    /// First tick that can answer it, and the last that may.
    from: u64,
    until: u64,
    /// What PGM shows once it is applied, and how it gets there.
    picture: Option<(ScenePicture, Way)>,
}

/// Gives commands and keeps the books.
pub(crate) struct Operator {
    /// Decides on transitions and black, so that the weather of a seed does not depend on them.
    fate: Chance,
    rate: FrameRate,
    next: u64,
    owed: BTreeMap<CommandId, Owed>,
    revision: u64,
    cues: u64,
    pub(crate) books: Books,
    /// What the scenes show by the books.
    pub(crate) air: Air,
    pub(crate) pvw: ScenePicture,
    /// When PGM's mix changed last, or will have.
    pub(crate) mixed_at: u64,
}

impl Operator {
    pub(crate) fn new(rate: FrameRate, seed: u64) -> Operator {
        Operator {
            fate: Chance::new(!seed),
            rate,
            next: 0,
            owed: BTreeMap::new(),
            revision: 0,
            cues: 0,
            books: Books::default(),
            air: Air::default(),
            pvw: ScenePicture::default(),
            mixed_at: 0,
        }
    }

    /// Gives a command that tick `n` will get.
    pub(crate) fn give(&mut self, engine: &mut Engine, n: u64, command: Command) {
        let id = CommandId(self.next);
        self.next += 1;
        let (until, picture) = match &command {
            Command::SetScene { bus: Bus::Pgm, spec, when, way } => {
                (self.deadline(n, *when), Some((spec.picture.clone(), *way)))
            }
            Command::Take { when, way } => {
                (self.deadline(n, *when), Some((self.pvw.clone(), *way)))
            }
            _ => (n, None),
        };
        match &command {
            // These always apply, at once, in order: by the books now.
            Command::SetScene { bus: Bus::Pvw, spec, .. } => self.pvw = spec.picture.clone(),
            Command::RemoveInput { input } => self.forget(*input),
            Command::SetCues(cues) => self.books.set_cues(n, cues.clone()),
            Command::SetPlaying { input, playing: true } => self.books.run(n, *input),
            Command::SetPlaying { input, playing: false }
            | Command::AddInput { input, held: true, .. } => self.books.stand(n, *input),
            Command::SetSyncGroups(groups) => self.books.set_groups(n, groups.clone()),
            _ => {}
        }
        engine.command(id, command.clone());
        self.owed.insert(id, Owed { command, from: n, until, picture });
    }

    fn deadline(&self, n: u64, when: Readiness) -> u64 {
        n + self.rate.tick_at(when.wait.min(limits::TAKE_WAIT_MAX).as_nanos() as u64)
    }

    fn forget(&mut self, input: InputKey) {
        let owed = self.owed.values_mut().filter_map(|owed| owed.picture.as_mut());
        for picture in owed.map(|(picture, _)| picture).chain([&mut self.pvw]) {
            picture.layers.retain(|layer| layer.input != input);
        }
        self.air.forget(input);
        self.books.forget(input);
    }

    /// Something at random. Adding and removing inputs is the world's.
    pub(crate) fn act(
        &mut self,
        engine: &mut Engine,
        n: u64,
        inputs: &[(InputKey, InputKind)],
        chance: &mut Chance,
    ) {
        let of = |wanted: fn(&InputKind) -> bool| -> Vec<InputKey> {
            inputs.iter().filter(|(_, kind)| wanted(kind)).map(|(key, _)| *key).collect()
        };
        let files = of(|kind| *kind == InputKind::Paced);
        let cameras = of(|kind| matches!(kind, InputKind::Live { .. }));
        let inputs = &of(|_| true);
        let wait = Duration::from_millis(chance.within(0, 3000) as u64);
        let when = Readiness { force: chance.once_in(4), wait };
        let bus = Bus::Pgm;
        let command = match chance.within(0, 15) {
            0..=2 => {
                let spec = scene(inputs, chance);
                Command::SetScene { bus: Bus::Pvw, spec, when, way: Way::CUT }
            }
            3..=5 => Command::Take { when, way: way(&mut self.fate) },
            6 => {
                let (spec, way) = (scene(inputs, chance), way(&mut self.fate));
                Command::SetScene { bus, spec, when, way }
            }
            7 => Command::SetMix { bus, mix: mix(inputs, chance) },
            8 => Command::SetMix { bus: Bus::Pvw, mix: mix(inputs, chance) },
            9 | 10 => Command::SetCues(self.cues(n, (inputs, &files), chance)),
            11 | 12 if !files.is_empty() => {
                Command::SetPlaying { input: chance.pick(&files), playing: !chance.once_in(3) }
            }
            13 if cameras.len() > 1 && chance.once_in(6) => {
                Command::SetSyncGroups(groups(&cameras, chance))
            }
            _ => Command::SetFollow { follow: !chance.once_in(3) },
        };
        self.give(engine, n, command);
        if self.fate.once_in(15) {
            let (on, frames) = (self.fate.once_in(3), self.fate.within(0, 60) as u32);
            self.give(engine, n, Command::FadeToBlack { on, frames });
        }
    }

    /// A few switches soon, now, or a moment ago; some of them known already.
    fn cues(
        &mut self,
        n: u64,
        (inputs, files): (&[InputKey], &[InputKey]),
        chance: &mut Chance,
    ) -> Vec<Cue> {
        let cue = |chance: &mut Chance, id: u64| Cue {
            id,
            tick: n.saturating_add_signed(chance.within(-20, 200)),
            spec: scene(inputs, chance),
            starts: files.iter().copied().filter(|_| chance.once_in(2)).collect(),
        };
        let count = chance.within(0, 4) as u64;
        let first = self.cues - chance.within(0, 2) as u64 * self.cues.min(1);
        self.cues = first + count;
        (first..first + count).map(|id| cue(chance, id)).collect()
    }

    /// Books what a plan tells and checks it.
    pub(crate) fn book(&mut self, plan: &Plan) {
        self.book_answers(plan);
        let cued = plan.events.iter().find_map(|event| match event {
            Event::Cued { id, tick } => Some((*id, *tick)),
            _ => None,
        });
        let due = self.books.due(plan.tick);
        assert_eq!(cued, due.as_ref().map(|cue| (cue.id, plan.tick)), "tick {}", plan.tick);
        if let Some(cue) = due {
            self.mixed_at = self.air.switch(plan.tick, cue.spec.picture, Way::CUT);
            for input in cue.starts {
                self.books.run(plan.tick, input);
            }
        }
        self.books.book(plan);
    }

    fn book_answers(&mut self, plan: &Plan) {
        for (id, answer) in &plan.replies {
            let owed = self.owed.remove(id).unwrap_or_else(|| panic!("{id:?} answered twice"));
            let name = format!("tick {}: {:?} → {answer:?}", plan.tick, owed.command);
            assert!((owed.from..=owed.until).contains(&plan.tick), "{name}: not in time");
            match answer {
                Ok(applied) => {
                    self.revision += 1;
                    assert_eq!((applied.revision, applied.tick), (self.revision, plan.tick));
                    self.applied(plan, owed);
                }
                Err(Refusal::NotReady(inputs)) => {
                    assert!(plan.tick == owed.until && !inputs.is_empty(), "{name}");
                }
                Err(Refusal::Overtaken) => assert!(owed.picture.is_some(), "{name}"),
                Err(other) => panic!("{name}: {other}"),
            }
        }
        let late = self.owed.values().find(|owed| owed.until <= plan.tick);
        assert!(late.is_none(), "never answered: {:?}", late.map(|owed| &owed.command));
    }

    fn applied(&mut self, plan: &Plan, owed: Owed) {
        if let Some((picture, way)) = owed.picture {
            let forced = match owed.command {
                Command::SetScene { when, .. } | Command::Take { when, .. } => when.force,
                _ => false,
            };
            let shown = |key| plan.wanted.iter().any(|(wanted, _)| *wanted == key);
            // A later command of the same tick may have put something else on air; some layers are beside the canvas.
            let inside = |x: f32| (0.0..1.0).contains(&x);
            let on_canvas = |p: &Placement| inside(p.x) && inside(p.y);
            let mut layers = picture.layers.iter().filter(|layer| on_canvas(&layer.placement));
            let missing = layers.find(|layer| !forced && !shown(layer.input));
            let cued = plan.events.iter().any(|event| matches!(event, Event::Cued { .. }));
            let other = cued || plan.replies.len() > 1;
            assert!(missing.is_none() || other, "black on air at {}", plan.tick);
            self.mixed_at = self.air.switch(plan.tick, picture, way);
        }
        let mixed_at = match owed.command {
            Command::SetMix { bus: Bus::Pgm, .. } | Command::RemoveInput { .. } => plan.tick,
            Command::FadeToBlack { on, frames } => {
                self.air.fade(plan.tick, if on { 1.0 } else { 0.0 }, frames)
            }
            _ => return,
        };
        self.mixed_at = self.mixed_at.max(mixed_at);
    }
}

fn scene(inputs: &[InputKey], chance: &mut Chance) -> SceneSpec {
    let layers = (0..chance.within(0, 4)).map(|_| LayerSpec {
        input: chance.pick(inputs),
        delay_ms: 0,
        look: Look::default(),
        placement: Placement {
            width: 0.5,
            height: 0.5,
            x: chance.within(-1, 3) as f32 / 2.0,
            y: chance.within(-1, 3) as f32 / 2.0,
            fill: FillMode::Fit,
            ..Placement::default()
        },
    });
    let picture = ScenePicture { layers: layers.collect(), ..ScenePicture::default() };
    SceneSpec { picture, mix: mix(inputs, chance) }
}

/// A cut or something that takes up to 40 frames.
fn way(chance: &mut Chance) -> Way {
    use Direction as D;
    let directions = [D::Left, D::Right, D::Up, D::Down, D::UpLeft, D::UpRight, D::DownLeft];
    let (towards, frames) = (chance.pick(&directions), chance.within(0, 40) as u32);
    let kind = match chance.within(0, 9) {
        0 | 1 => TransitionKind::Mix,
        2 | 3 => TransitionKind::Dip { rgb: 0xff_80_00 },
        4 => TransitionKind::Wipe(towards),
        5 => TransitionKind::Slide(towards),
        6 => TransitionKind::Push(towards),
        7 => return Way::Overlays { frames },
        _ => TransitionKind::Cut,
    };
    Way::Transition(Transition { kind, frames })
}

/// One group of some of the cameras, or none.
fn groups(cameras: &[InputKey], chance: &mut Chance) -> Vec<SyncGroup> {
    let host = chance.pick(cameras);
    let mode = if chance.once_in(3) { SyncMode::Host(host) } else { SyncMode::Mutual };
    let members = cameras.iter().copied().filter(|_| !chance.once_in(4)).collect();
    let group = SyncGroup { mode, members };
    if chance.once_in(2) { Vec::new() } else { vec![group] }
}

/// Often one input as it is (which can be checked to the sample), else up to two of all sorts.
fn mix(inputs: &[InputKey], chance: &mut Chance) -> Vec<MixSpec> {
    if chance.once_in(2) {
        let input = chance.pick(inputs);
        let (channel, filter) = (ValidChannel::All, AudioFilter::default());
        return vec![MixSpec { input, gain: 1.0, channel, delay_ms: 0, filter }];
    }
    let entry = |_| MixSpec {
        input: chance.pick(inputs),
        gain: chance.within(0, 40) as f32 / 10.0,
        channel: chance.pick(&[ValidChannel::All, ValidChannel::Left, ValidChannel::Right]),
        delay_ms: if chance.once_in(8) { chance.within(0, 300) as u32 } else { 0 },
        filter: AudioFilter {
            agc: chance.once_in(4),
            ans: chance.once_in(8).then(|| chance.pick(&[AnsMode::Speech, AnsMode::Music])),
        },
    };
    (0..inputs.len() as i64 % 3).map(entry).collect()
}
