//! Sync groups: who joins, who cannot, and that equal timestamps appear on the same tick.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Apart, Command, Event, InputKind, Plan, Refusal, SyncGroup, SyncMode};
use super::{Stage, block, frame, shown};
use crate::frame::{Picture, Size, VideoFrame};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::time::FrameRate;

const MS: i64 = 1_000_000;
const S: i64 = 1000 * MS;
const PERIOD: i64 = S / 30;
const BLOCK: i64 = 20 * MS;
const ROUND_NS: i64 = 8 * S;
/// What the timestamps of all cameras are ahead of the programme.
const OFFSET_NS: i64 = 77 * S;
const RATE: FrameRate = FrameRate::FPS_30;

/// Cameras that stamp the same moment with the same time, and whose ways are of different length.
struct Cameras {
    ways: Vec<Way>,
    picture: Option<Arc<Picture>>,
}

struct Way {
    delay_ns: i64,
    frames: i64,
    blocks: i64,
    lost: bool,
}

impl Cameras {
    fn new(delays_ms: &[i64]) -> Cameras {
        let way = |delay: &i64| Way { delay_ns: delay * MS, frames: 0, blocks: 0, lost: false };
        Cameras { ways: delays_ms.iter().map(way).collect(), picture: None }
    }

    fn send(&mut self, stage: &mut Stage) {
        let now_ns = RATE.tick_ns(stage.n) as i64;
        for (way, key) in self.ways.iter_mut().zip(1..) {
            let (key, clock) = (InputKey(key), now_ns - way.delay_ns);
            while way.frames * PERIOD <= clock {
                let frame = frame(way.frames * PERIOD + OFFSET_NS);
                let picture = self.picture.as_ref().unwrap_or(&frame.picture).clone();
                if !way.lost {
                    stage.engine.video(key, VideoFrame { picture, ..frame });
                }
                way.frames += 1;
            }
            while (way.blocks + 1) * BLOCK <= clock {
                let at = way.blocks * BLOCK;
                let samples = (0..960).map(|i| {
                    let t = (at + i * 62_500 / 3) % ROUND_NS;
                    [t as f32 / ROUND_NS as f32 / 2.0, 0.25]
                });
                if !way.lost {
                    stage.engine.audio(key, block(at + OFFSET_NS, samples));
                }
                way.blocks += 1;
            }
        }
    }

    /// Runs for some ticks; all events of groups, with their ticks.
    fn run(
        &mut self,
        stage: &mut Stage,
        ticks: u64,
        mut look: impl FnMut(&Plan),
    ) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for _ in 0..ticks {
            self.send(stage);
            let plan = stage.tick();
            look(&plan);
            let told =
                |event: &&Event| matches!(event, Event::Synced { .. } | Event::Unsynced { .. });
            events.extend(plan.events.iter().filter(told).map(|event| (plan.tick, event.clone())));
        }
        events
    }
}

fn stage(cameras: &Cameras, mode: SyncMode) -> Stage {
    let kind = InputKind::Live { buffer: Duration::from_millis(300) };
    let mut stage = Stage::with(RATE, &vec![kind; cameras.ways.len()]);
    let members = (1..=cameras.ways.len() as u32).map(InputKey).collect();
    stage.command(Command::SetSyncGroups(vec![SyncGroup { mode, members }]));
    stage
}

/// How old the picture of an input is, ms.
fn age_ms(plan: &Plan, input: u32) -> i64 {
    let made = shown(plan, input).unwrap() - OFFSET_NS;
    (RATE.tick_ns(plan.tick) as i64 - made) / MS
}

fn joined(events: &[(u64, Event)]) -> Vec<u32> {
    let mut keys: Vec<_> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Synced { input, .. } => Some(input.0),
            _ => None,
        })
        .collect();
    keys.sort_unstable();
    keys
}

fn left(events: &[(u64, Event)]) -> Vec<(u32, Apart)> {
    let mut apart: Vec<_> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Unsynced { input, cause } => Some((input.0, *cause)),
            _ => None,
        })
        .collect();
    apart.sort_by_key(|(key, _)| *key);
    apart
}

/// Name, delays, mode; the members that join, the others, how old is what the group shows, ms.
type Row<'a> = (&'a str, &'a [i64], SyncMode, &'a [u32], &'a [(u32, Apart)], i64);

#[test]
fn members_show_equal_timestamps_at_the_same_tick() {
    let host = |key| SyncMode::Host(InputKey(key));
    let table: [Row; 6] = [
        ("mutual", &[0, 300, 1200], SyncMode::Mutual, &[1, 2, 3], &[], 1500),
        ("mutual, far", &[0, 7000, 300], SyncMode::Mutual, &[1, 3], &[(2, Apart::TooFar)], 600),
        ("at the limit", &[0, 4800], SyncMode::Mutual, &[1, 2], &[], 5100),
        ("host", &[0, 700, 100], host(2), &[1, 2, 3], &[], 1000),
        ("a little later", &[330, 300], host(2), &[1, 2], &[], 600),
        ("too late", &[900, 300, 0], host(2), &[2, 3], &[(1, Apart::TooLate)], 600),
    ];
    for (name, delays, mode, inside, outside, age) in table {
        let mut cameras = Cameras::new(delays);
        let mut stage = stage(&cameras, mode);
        let events = cameras.run(&mut stage, 400, |_| {});
        assert_eq!((joined(&events), left(&events)), (inside.to_vec(), outside.to_vec()), "{name}");
        for &listened in inside {
            // Moves with the picture: the sound of each, one after the other.
            let mix = super::scene(&[InputKey(listened)]).mix;
            stage.command(Command::SetMix { bus: Bus::Pgm, mix });
            cameras.run(&mut stage, 10, |_| {});
            let events = cameras.run(&mut stage, 60, |plan| {
                let pictures: Vec<_> = inside.iter().map(|key| shown(plan, *key)).collect();
                assert!(pictures.windows(2).all(|pair| pair[0] == pair[1]), "{name}: {pictures:?}");
                let told = (f64::from(plan.audio[0][0]) * 2.0 * ROUND_NS as f64) as i64;
                let picture = pictures[0].unwrap() - OFFSET_NS;
                let lips = (told - picture + ROUND_NS / 2).rem_euclid(ROUND_NS) - ROUND_NS / 2;
                assert!((-2 * MS..=PERIOD + 2 * MS).contains(&lips), "{name}: {lips}");
            });
            assert!(events.is_empty(), "{name}: {events:?}");
        }
        let mut oldest = 0;
        cameras.run(&mut stage, 1, |plan| oldest = age_ms(plan, inside[0]));
        assert!((age - 40..=age + 80).contains(&oldest), "{name}: {oldest} ms old");
        let dropped: u64 =
            (1..=delays.len() as u32).map(|k| stage.engine.input_stats(InputKey(k)).dropped).sum();
        assert_eq!(dropped, 0, "{name}");
    }
}

#[test]
fn a_member_without_pictures_leaves_and_comes_back() {
    let mut cameras = Cameras::new(&[0, 800]);
    let mut stage = stage(&cameras, SyncMode::Mutual);
    cameras.run(&mut stage, 200, |_| {});
    cameras.ways[0].lost = true;
    let lost_at = stage.n;
    let events = cameras.run(&mut stage, 120, |_| {});
    assert!(left(&events).contains(&(1, Apart::NoVideo)), "{events:?}");
    let at = events
        .iter()
        .find(|(_, event)| matches!(event, Event::Unsynced { input: InputKey(1), .. }));
    let after = at.unwrap().0 - lost_at;
    assert!((59..=62).contains(&after), "left after {after} ticks");
    cameras.ways[0].lost = false;
    let events = cameras.run(&mut stage, 120, |_| {});
    assert!(joined(&events).contains(&1), "{events:?}");
    cameras.run(&mut stage, 60, |plan| assert_eq!(shown(plan, 1), shown(plan, 2)));
}

#[test]
fn a_member_that_comes_later_takes_the_others_along() {
    let mut cameras = Cameras::new(&[0, 500]);
    let mut stage = stage(&cameras, SyncMode::Mutual);
    cameras.run(&mut stage, 200, |_| {});
    // Its way becomes a second longer.
    for _ in 0..30 {
        cameras.ways[0].delay_ns += 60 * MS;
        cameras.run(&mut stage, 1, |_| {});
    }
    let mut before = i64::MIN;
    let events = cameras.run(&mut stage, 300, |plan| {
        let now = shown(plan, 1).unwrap();
        assert!(now >= before, "back from {before} to {now}");
        before = now;
    });
    assert_eq!(events, [], "nobody leaves");
    cameras.run(&mut stage, 60, |plan| assert_eq!(shown(plan, 1), shown(plan, 2)));
    // Without the group the prompt one goes by its own clock again.
    stage.command(Command::SetSyncGroups(Vec::new()));
    let mut ages = [0; 2];
    cameras.run(&mut stage, 60, |plan| ages = [1, 2].map(|key| age_ms(plan, key)));
    assert!((2050..2250).contains(&ages[0]) && (750..900).contains(&ages[1]), "{ages:?}");
}

#[test]
fn what_does_not_fit_stays_outside() {
    let mut cameras = Cameras::new(&[0, 4000]);
    // 8 MB each: 64 of them may be kept.
    cameras.picture = Some(Arc::new(Picture::flat(Size::new(2366, 2366), [16, 128, 128])));
    let mut stage = stage(&cameras, SyncMode::Mutual);
    let events = cameras.run(&mut stage, 300, |_| {});
    assert_eq!(left(&events), [(1, Apart::TooLarge)], "{events:?}");
    let stats = stage.engine.input_stats(InputKey(1));
    assert!(stats.frames <= limits::TIMELINE_FRAMES && stats.dropped == 0, "{stats:?}");
}

#[test]
fn groups_that_name_nobody_are_refused() {
    let mut stage = Stage::with(RATE, &[InputKind::Still, InputKind::Paced]);
    let group = |mode, key| SyncGroup { mode, members: vec![InputKey(key)] };
    let ghost = InputKey(9);
    let many = vec![group(SyncMode::Mutual, 1); limits::MAX_SYNC_GROUPS + 1];
    let table = [
        (vec![group(SyncMode::Mutual, 9)], Some(Refusal::UnknownInput(ghost))),
        (vec![group(SyncMode::Host(ghost), 1)], Some(Refusal::UnknownInput(ghost))),
        (many, Some(Refusal::TooManyGroups)),
        // Inputs without a clock of their own are no members, and an input has one group.
        (vec![group(SyncMode::Host(InputKey(2)), 1), group(SyncMode::Mutual, 1)], None),
    ];
    for (groups, refusal) in table {
        stage.command(Command::SetSyncGroups(groups));
        let plan = stage.tick();
        assert_eq!(plan.replies[0].1.clone().err(), refusal);
    }
    assert!((0..60).all(|_| stage.tick().events.is_empty()));
}
