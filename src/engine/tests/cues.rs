//! Cues: which one switches PGM, and exactly when.

use std::time::Duration;

use super::super::{Command, Cue, Event, InputKind, Readiness, Refusal, Way};
use super::files::{FILE, File};
use super::{Stage, frame, scene, shown};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::time::FrameRate;

const NOW: Readiness = Readiness { force: true, wait: Duration::ZERO };

/// A cue that shows the input with its own number.
fn cue(id: u32, tick: u64) -> Cue {
    Cue { id: u64::from(id), tick, spec: scene(&[InputKey(id)]), starts: Vec::new() }
}

/// Five pictures to switch between.
fn stage() -> Stage {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Still; 5]);
    for input in 1..=5 {
        stage.engine.video(InputKey(input), frame(0));
    }
    stage.command(Command::SetScene { bus: Bus::Pgm, spec: scene(&[]), when: NOW, way: Way::CUT });
    stage.tick();
    stage
}

/// Gives lists of (id, tick) at ticks and compares all switches, (id, tick), with what is expected until tick 100.
fn check(name: &str, lists: &[(u64, &[(u32, u64)])], expected: &[(u64, u64)]) {
    let mut stage = stage();
    let mut switches = Vec::new();
    while stage.n < 100 {
        let n = stage.n;
        for (_, list) in lists.iter().filter(|(at, _)| *at == n) {
            stage.command(Command::SetCues(list.iter().map(|(id, t)| cue(*id, *t)).collect()));
        }
        let plan = stage.tick();
        for event in &plan.events {
            let Event::Cued { id, tick } = event else { continue };
            assert_eq!(*tick, plan.tick, "{name}");
            switches.push((*id, *tick));
        }
        let on_air = switches.last().map(|(id, _)| InputKey(*id as u32));
        assert_eq!(plan.tally.pgm, on_air.into_iter().collect::<Vec<_>>(), "{name}: {}", plan.tick);
    }
    assert_eq!(switches, expected, "{name}");
}

#[test]
fn a_cue_switches_at_its_tick() {
    check("in order", &[(5, &[(1, 10), (2, 11), (3, 90)])], &[(1, 10), (2, 11), (3, 90)]);
    check("any order", &[(5, &[(3, 90), (1, 10), (2, 11)])], &[(1, 10), (2, 11), (3, 90)]);
    check("the tick it comes at", &[(10, &[(1, 10)])], &[(1, 10)]);
    check("the last of a tick", &[(5, &[(1, 10), (2, 10)])], &[(2, 10)]);
    check("the latest past one", &[(30, &[(1, 10), (2, 20), (3, 40)])], &[(2, 30), (3, 40)]);
    check("not twice", &[(5, &[(1, 10), (2, 60)]), (20, &[(1, 10), (2, 50)])], &[(1, 10), (2, 50)]);
    check("passed over for good", &[(30, &[(1, 10), (2, 20)]), (40, &[(1, 10)])], &[(2, 30)]);
    check("put off", &[(5, &[(1, 10)]), (20, &[(1, 50)])], &[(1, 10), (1, 50)]);
    check("a newer past one", &[(5, &[(1, 10)]), (20, &[(1, 10), (2, 15)])], &[(1, 10), (2, 20)]);
    check("an older past one", &[(5, &[(2, 15)]), (20, &[(1, 10), (2, 15)])], &[(2, 15)]);
    check("taken back", &[(5, &[(1, 10), (2, 50)]), (20, &[])], &[(1, 10)]);
}

#[test]
fn a_manual_switch_stays_until_the_next_cue() {
    let mut stage = stage();
    stage.command(Command::SetCues(vec![cue(1, 10), cue(2, 30)]));
    while stage.n < 20 {
        stage.tick();
    }
    stage.command(Command::SetScene {
        bus: Bus::Pgm,
        spec: scene(&[InputKey(3)]),
        when: NOW,
        way: Way::CUT,
    });
    while stage.n < 30 {
        assert_eq!(stage.tick().tally.pgm, [InputKey(3)]);
    }
    // A switch that waits is overtaken, and one of the same tick is too late.
    let ghost = InputKey(6);
    stage.command(Command::AddInput { input: ghost, kind: InputKind::Still, held: false });
    let wait = Readiness { force: false, wait: Duration::from_secs(1) };
    let spec = scene(&[ghost]);
    let waiting =
        stage.command(Command::SetScene { bus: Bus::Pgm, spec, when: wait, way: Way::CUT });
    let plan = stage.tick();
    assert_eq!(plan.tally.pgm, [InputKey(2)]);
    assert_eq!(plan.replies[1], (waiting, Err(Refusal::Overtaken)));
}

#[test]
fn the_mix_follows_a_cue_only_if_told() {
    for follow in [true, false] {
        let mut stage = stage();
        stage.command(Command::SetFollow { follow });
        stage.command(Command::SetCues(vec![cue(1, stage.n)]));
        stage.tick();
        assert_eq!(stage.engine.mix(Bus::Pgm).len(), usize::from(follow));
    }
}

#[test]
fn a_cue_may_name_what_comes_and_goes() {
    let mut stage = stage();
    let late = InputKey(6);
    let both = Cue { spec: scene(&[InputKey(1), late]), ..cue(6, 20) };
    stage.command(Command::SetCues(vec![both, cue(2, 40)]));
    stage.command(Command::RemoveInput { input: InputKey(2) });
    while stage.n < 30 {
        let plan = stage.tick();
        assert_eq!(plan.tally.pgm.len(), usize::from(plan.tick >= 20));
    }
    stage.command(Command::AddInput { input: late, kind: InputKind::Still, held: false });
    stage.tick();
    stage.engine.video(late, frame(0));
    assert_eq!(stage.tick().tally.pgm, [InputKey(1), late]);
    while stage.n < 40 {
        stage.tick();
    }
    assert!(stage.tick().tally.pgm.is_empty(), "what was removed is not shown");
}

#[test]
fn too_many_cues_are_refused() {
    let mut stage = stage();
    let list = |n: usize| (0..n).map(|k| cue(1, 1000 + k as u64)).collect();
    for (n, fine) in [(limits::MAX_CUES, true), (limits::MAX_CUES + 1, false)] {
        let id = stage.command(Command::SetCues(list(n)));
        let plan = stage.tick();
        assert_eq!(plan.replies[0].0, id);
        assert_eq!(plan.replies[0].1.is_ok(), fine, "{n}");
    }
}

#[test]
fn a_cue_starts_a_held_file_on_its_frame() {
    for rate in FrameRate::SUPPORTED {
        let mut stage = Stage::with(rate, &[InputKind::Still]);
        stage.command(Command::AddInput {
            input: InputKey(9),
            kind: InputKind::Still,
            held: false,
        });
        stage.command(Command::RemoveInput { input: FILE });
        stage.tick();
        let kind = InputKind::Paced;
        stage.command(Command::AddInput { input: FILE, kind, held: true });
        let start = 40;
        let starts = vec![FILE, InputKey(9), InputKey(77)];
        stage.command(Command::SetCues(vec![Cue { starts, ..cue(1, start) }]));
        let mut file = File::new(i64::from(rate.num()), i64::from(rate.den()));
        while stage.n < start + 60 {
            let plan = stage.tick();
            file.feed(&mut stage);
            let stats = stage.engine.input_stats(FILE);
            if plan.tick < start {
                assert!(plan.tick < 10 || stage.engine.ready(FILE), "{rate}: not ready");
                assert!(plan.pgm.ops.is_empty() && !stats.playing, "{rate}: too early");
                continue;
            }
            let number = file.frame_of(shown(&plan, 1).unwrap());
            assert_eq!(number, (plan.tick - start) as i64, "{rate}");
            assert!(stats.playing && stats.underruns == 0, "{rate}: {stats:?}");
            // The first tick sounds as the file does, but for the ramp of the mix.
            assert!(plan.audio.iter().skip(1440).all(|s| s[1] == 0.25), "{rate}");
        }
    }
}
