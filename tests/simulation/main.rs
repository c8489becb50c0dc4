//! The engine under weather: seeded sources and an operator without a plan, 10⁵ ticks for each of 100 seeds, every
//! invariant checked at every tick. A failure names its seed and tick; `seed(N)` runs one alone.

mod air;
mod books;
mod chance;
mod day;
mod flapping;
mod operator;
mod source;
mod watch;

use chance::Chance;
use onair::engine::{Command, Engine, EngineConfig, InputKind, Plan};
use onair::frame::{Size, VideoFrame};
use onair::ids::InputKey;
use onair::limits;
use onair::time::FrameRate;
use operator::Operator;
use source::Source;
use watch::Watch;

const TICKS: u64 = 100_000;
const SEEDS_PER_TEST: u64 = 25;
const CANVAS: Size = Size::new(64, 36);

/// Everything of one run.
struct World {
    engine: Engine,
    operator: Operator,
    sources: Vec<Source>,
    watch: Watch,
    chance: Chance,
    rate: FrameRate,
    keys: u32,
}

impl World {
    fn new(seed: u64) -> World {
        let rate = FrameRate::SUPPORTED[seed as usize % FrameRate::SUPPORTED.len()];
        let aheads = [limits::FILE_AHEAD_FRAMES, limits::RENDER_AHEAD_FRAMES];
        let file_ahead = aheads[seed as usize / FrameRate::SUPPORTED.len() % 2];
        World {
            engine: Engine::new(EngineConfig { rate, canvas: CANVAS, file_ahead }),
            operator: Operator::new(rate, seed),
            sources: Vec::new(),
            watch: Watch::new(rate, seed),
            chance: Chance::new(seed),
            rate,
            keys: 0,
        }
    }

    fn add(&mut self, n: u64) {
        self.keys += 1;
        let (key, now_ns) = (InputKey(self.keys), self.rate.tick_ns(n) as i64);
        let twin = self.sources.iter().find(|source| matches!(source.kind, InputKind::Live { .. }));
        let source = match twin.filter(|_| self.chance.once_in(2)) {
            Some(other) => other.twin(key, now_ns, &mut self.chance),
            None => Source::new(key, now_ns, &mut self.chance),
        };
        let held = source.kind == InputKind::Paced && self.chance.once_in(2);
        let command = Command::AddInput { input: source.key, kind: source.kind, held };
        self.operator.give(&mut self.engine, n, command);
        self.sources.push(source);
    }

    fn remove(&mut self, n: u64) {
        let at = self.chance.within(0, self.sources.len() as i64) as usize;
        let input = self.sources.remove(at).key;
        self.operator.give(&mut self.engine, n, Command::RemoveInput { input });
    }

    fn tick(&mut self, n: u64) -> Plan {
        let now_ns = self.rate.tick_ns(n) as i64;
        for source in &mut self.sources {
            source.step(&mut self.engine, now_ns, &mut self.chance);
        }
        if self.sources.len() < 2 || (self.sources.len() < 6 && self.chance.once_in(3000)) {
            self.add(n);
        } else if self.sources.len() > 2 && self.chance.once_in(4000) {
            self.remove(n);
        }
        let inputs: Vec<_> = self.sources.iter().map(|s| (s.key, s.kind)).collect();
        while self.chance.once_in(60) {
            self.operator.act(&mut self.engine, n, &inputs, &mut self.chance);
        }
        let plan = self.engine.tick(n);
        self.operator.book(&plan);
        self.watch.look(&plan, &self.engine, &self.operator, &self.sources);
        let at = format!("seed {} tick {n}", self.watch.seed);
        self.operator.air.check(&at, &plan);
        plan
    }
}

fn seed(seed: u64) {
    let mut world = World::new(seed);
    for n in 0..TICKS {
        world.tick(n);
    }
    world.watch.report();
}

fn seeds(group: u64) {
    for number in group * SEEDS_PER_TEST..(group + 1) * SEEDS_PER_TEST {
        seed(number);
    }
}

#[test]
fn the_same_calls_give_the_same_plans() {
    let mut worlds = [World::new(7), World::new(7)];
    for n in 0..5000 {
        let [a, b] = worlds.each_mut().map(|world| world.tick(n));
        assert_eq!((a.pgm, a.pvw, a.tally), (b.pgm, b.pvw, b.tally), "tick {n}");
        assert_eq!((a.audio, a.meters, a.replies), (b.audio, b.meters, b.replies), "tick {n}");
        assert_eq!((a.wanted, a.events), (b.wanted, b.events), "tick {n}");
        let pts = |frames: Vec<(InputKey, VideoFrame)>| {
            frames.into_iter().map(|(key, frame)| (key, frame.pts_ns)).collect::<Vec<_>>()
        };
        assert_eq!(pts(a.frames), pts(b.frames), "tick {n}");
    }
}

#[test]
fn seeds_0_to_24() {
    seeds(0);
}

#[test]
fn seeds_25_to_49() {
    seeds(1);
}

#[test]
fn seeds_50_to_74() {
    seeds(2);
}

#[test]
fn seeds_75_to_99() {
    seeds(3);
}
