//! An operator without a plan, and what the engine owes to each of the commands.

use std::collections::BTreeMap;
use std::time::Duration;

use onair::engine::{
    Command, CommandId, Engine, MixSpec, Plan, Readiness, Refusal, SceneSpec, ValidChannel,
};
use onair::ids::{Bus, InputKey};
use onair::limits;
use onair::picture::{FillMode, LayerSpec, Placement, ScenePicture};
use onair::time::FrameRate;

use crate::chance::Chance;

/// A command that is not answered yet.
struct Owed {
    command: Command,
    /// First tick that can answer it, and the last that may.
    from: u64,
    until: u64,
    /// What PGM shows once it is applied.
    picture: Option<ScenePicture>,
}

/// Gives commands and keeps the books.
pub(crate) struct Operator {
    rate: FrameRate,
    next: u64,
    owed: BTreeMap<CommandId, Owed>,
    revision: u64,
    /// What the scenes show by the books.
    pub(crate) pgm: ScenePicture,
    pub(crate) pvw: ScenePicture,
    /// When PGM's mix changed last.
    pub(crate) mixed_at: u64,
}

impl Operator {
    pub(crate) fn new(rate: FrameRate) -> Operator {
        Operator {
            rate,
            next: 0,
            owed: BTreeMap::new(),
            revision: 0,
            pgm: ScenePicture::default(),
            pvw: ScenePicture::default(),
            mixed_at: 0,
        }
    }

    /// Gives a command that tick `n` will get.
    pub(crate) fn give(&mut self, engine: &mut Engine, n: u64, command: Command) {
        let id = CommandId(self.next);
        self.next += 1;
        let (until, picture) = match &command {
            Command::SetScene { bus: Bus::Pgm, spec, when } => {
                (self.deadline(n, *when), Some(spec.picture.clone()))
            }
            Command::Take { when } => (self.deadline(n, *when), Some(self.pvw.clone())),
            _ => (n, None),
        };
        match &command {
            // These always apply, at once, in order: by the books now.
            Command::SetScene { bus: Bus::Pvw, spec, .. } => self.pvw = spec.picture.clone(),
            Command::RemoveInput { input } => self.forget(*input),
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
        for picture in owed.chain([&mut self.pgm, &mut self.pvw]) {
            picture.layers.retain(|layer| layer.input != input);
        }
    }

    /// Something at random. Adding and removing inputs is the world's.
    pub(crate) fn act(
        &mut self,
        engine: &mut Engine,
        n: u64,
        inputs: &[InputKey],
        chance: &mut Chance,
    ) {
        let wait = Duration::from_millis(chance.within(0, 3000) as u64);
        let when = Readiness { force: chance.once_in(4), wait };
        let command = match chance.within(0, 10) {
            0..=2 => Command::SetScene { bus: Bus::Pvw, spec: scene(inputs, chance), when },
            3..=5 => Command::Take { when },
            6 => Command::SetScene { bus: Bus::Pgm, spec: scene(inputs, chance), when },
            7 => Command::SetMix { bus: Bus::Pgm, mix: mix(inputs, chance) },
            8 => Command::SetMix { bus: Bus::Pvw, mix: mix(inputs, chance) },
            _ => Command::SetFollow { follow: !chance.once_in(3) },
        };
        self.give(engine, n, command);
    }

    /// Books the answers of a plan and checks them.
    pub(crate) fn book(&mut self, plan: &Plan) {
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
        if let Some(picture) = owed.picture {
            let forced = match owed.command {
                Command::SetScene { when, .. } | Command::Take { when } => when.force,
                _ => false,
            };
            let shown = |key| plan.frames.iter().any(|(frame, _)| *frame == key);
            // A later command of the same tick may have put something else on air; some layers are beside the canvas.
            let inside = |x: f32| (0.0..1.0).contains(&x);
            let on_canvas = |p: &Placement| inside(p.x) && inside(p.y);
            let mut layers = picture.layers.iter().filter(|layer| on_canvas(&layer.placement));
            let missing = layers.find(|layer| !forced && !shown(layer.input));
            assert!(missing.is_none() || plan.replies.len() > 1, "black on air at {}", plan.tick);
            self.pgm = picture;
            self.mixed_at = plan.tick;
        }
        if matches!(
            owed.command,
            Command::SetMix { bus: Bus::Pgm, .. } | Command::RemoveInput { .. }
        ) {
            self.mixed_at = plan.tick;
        }
    }
}

fn scene(inputs: &[InputKey], chance: &mut Chance) -> SceneSpec {
    let layers = (0..chance.within(0, 4)).map(|_| LayerSpec {
        input: chance.pick(inputs),
        placement: Placement {
            width: 0.5,
            height: 0.5,
            x: chance.within(-1, 3) as f32 / 2.0,
            y: chance.within(-1, 3) as f32 / 2.0,
            fill: FillMode::Fit,
            ..Placement::default()
        },
    });
    let picture = ScenePicture { layers: layers.collect(), overlays: Vec::new() };
    SceneSpec { picture, mix: mix(inputs, chance) }
}

/// Often one input as it is (which can be checked to the sample), else up to two of all sorts.
fn mix(inputs: &[InputKey], chance: &mut Chance) -> Vec<MixSpec> {
    if chance.once_in(2) {
        let input = chance.pick(inputs);
        return vec![MixSpec { input, gain: 1.0, channel: ValidChannel::All, delay_ms: 0 }];
    }
    let entry = |_| MixSpec {
        input: chance.pick(inputs),
        gain: chance.within(0, 40) as f32 / 10.0,
        channel: chance.pick(&[ValidChannel::All, ValidChannel::Left, ValidChannel::Right]),
        delay_ms: if chance.once_in(8) { chance.within(0, 300) as u32 } else { 0 },
    };
    (0..inputs.len() as i64 % 3).map(entry).collect()
}
