//! Commands: what applies when, what is refused and why.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Command, InputKind, Plan, Readiness, Refusal, Way};
use super::{Stage, frame, scene, shown};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::picture::{DrawList, DrawOp, Motion, OverlayContent, OverlaySpec, Placement, TextSpec};
use crate::time::FrameRate;

const A: InputKey = InputKey(1);
const B: InputKey = InputKey(2);
const WITHIN_A_SECOND: Readiness = Readiness { force: false, wait: Duration::from_secs(1) };
const NOW: Readiness = Readiness { force: true, wait: Duration::ZERO };

fn stage() -> Stage {
    let mut stage = Stage::new(FrameRate::FPS_30);
    for input in [A, B] {
        stage.command(Command::AddInput { input, kind: InputKind::Still, held: false });
    }
    stage.tick();
    stage
}

fn on(bus: Bus, inputs: &[InputKey], when: Readiness) -> Command {
    Command::SetScene { bus, spec: scene(inputs), when, way: Way::CUT }
}

#[test]
fn a_take_waits_for_its_sources() {
    let mut stage = stage();
    stage.command(on(Bus::Pvw, &[A, B], NOW));
    let take = stage.command(Command::Take { when: WITHIN_A_SECOND, way: Way::CUT });
    stage.engine.video(A, frame(0));
    let plan = stage.tick();
    assert_eq!(plan.replies.len(), 1, "PVW is set, the take waits");
    assert_eq!((plan.tally.pgm.as_slice(), plan.tally.pvw.as_slice()), (&[][..], &[A][..]));
    for _ in 0..10 {
        let plan = stage.tick();
        assert!(plan.replies.is_empty() && plan.pgm.ops.is_empty());
    }
    stage.engine.video(B, frame(0));
    let plan = stage.tick();
    let (id, applied) = plan.replies[0].clone();
    assert_eq!((id, applied.map(|a| a.tick)), (take, Ok(plan.tick)));
    assert_eq!(plan.tally.pgm, [A, B]);
    assert_eq!(plan.pgm, plan.pvw);
    assert_eq!(stage.engine.mix(Bus::Pgm).len(), 2);
}

#[test]
fn what_runs_begins_when_it_comes_into_its_scene() {
    let ticker = || {
        let text = TextSpec { text: "news".into(), size_normalized: 0.1, ..TextSpec::default() };
        let content = Arc::new(OverlayContent::Text(text));
        let motion = Motion::Horizontal;
        OverlaySpec { motion, ..OverlaySpec::new(content, Placement::default()) }
    };
    let set = |bus, inputs: &[InputKey]| {
        let mut spec = scene(inputs);
        spec.picture.overlays.push(ticker());
        Command::SetScene { bus, spec, when: NOW, way: Way::CUT }
    };
    let run = |list: &DrawList| match list.ops.last() {
        Some(DrawOp::Overlay(draw)) => draw.travelled_px,
        other => panic!("{other:?}"),
    };
    let mut stage = stage();
    // 640 px in 10 s.
    let check = |plan: &Plan, ticks: [f64; 2]| {
        let got = [&plan.pgm, &plan.pvw].map(run);
        let want = ticks.map(|ticks| ticks * 64.0 / 30.0);
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?} {want:?}");
    };
    stage.command(set(Bus::Pvw, &[]));
    (0..10).for_each(|_| drop(stage.tick()));
    stage.command(Command::Take { when: NOW, way: Way::CUT });
    check(&stage.tick(), [0.0, 10.0]);
    check(&stage.tick(), [1.0, 11.0]);
    // Something else in the scene changes, the text is an equal one.
    stage.command(set(Bus::Pgm, &[A]));
    check(&stage.tick(), [2.0, 12.0]);
}

#[test]
fn a_take_is_refused_when_the_wait_is_over() {
    for (wait_ms, ticks) in [(0, 0), (1000, 30), (60_000, 300)] {
        let mut stage = stage();
        let wait = Duration::from_millis(wait_ms);
        let id = stage.command(on(Bus::Pgm, &[B, A, B], Readiness { force: false, wait }));
        let asked = stage.n;
        let plan = loop {
            let plan = stage.tick();
            if !plan.replies.is_empty() {
                break plan;
            }
        };
        assert_eq!(plan.replies, [(id, Err(Refusal::NotReady(vec![A, B])))]);
        assert_eq!(plan.tick - asked, ticks);
        assert!(plan.pgm.ops.is_empty() && plan.tally.pgm.is_empty());
    }
}

#[test]
fn a_later_switch_overtakes() {
    let mut stage = stage();
    let first = stage.command(on(Bus::Pgm, &[A], WITHIN_A_SECOND));
    stage.tick();
    let second = stage.command(on(Bus::Pgm, &[B], WITHIN_A_SECOND));
    let third = stage.command(on(Bus::Pgm, &[], WITHIN_A_SECOND));
    let plan = stage.tick();
    assert_eq!(plan.replies[0], (first, Err(Refusal::Overtaken)));
    assert_eq!(plan.replies[1], (second, Err(Refusal::Overtaken)));
    assert_eq!((plan.replies[2].0, plan.replies.len()), (third, 3));
    assert!(plan.replies[2].1.is_ok(), "an empty scene is ready");
}

#[test]
fn unknown_inputs_are_refused_and_change_nothing() {
    let ghost = InputKey(9);
    let mut stage = stage();
    stage.command(on(Bus::Pgm, &[A], WITHIN_A_SECOND));
    let before = stage.engine.revision();
    let table = [
        on(Bus::Pgm, &[A, ghost], NOW),
        on(Bus::Pvw, &[ghost], NOW),
        Command::SetMix { bus: Bus::Pgm, mix: scene(&[ghost]).mix },
        Command::RemoveInput { input: ghost },
    ];
    let ids: Vec<_> = table.into_iter().map(|command| stage.command(command)).collect();
    let plan = stage.tick();
    let refused = Err(Refusal::UnknownInput(ghost));
    assert_eq!(plan.replies, ids.into_iter().map(|id| (id, refused.clone())).collect::<Vec<_>>());
    assert_eq!(stage.engine.revision(), before);
    stage.engine.video(A, frame(0));
    assert_eq!(stage.tick().replies.len(), 1, "what waited still happens");
}

#[test]
fn a_removed_input_is_gone_from_everywhere() {
    let mut stage = stage();
    for input in [A, B] {
        stage.engine.video(input, frame(0));
    }
    stage.command(on(Bus::Pgm, &[A, B], NOW));
    stage.command(on(Bus::Pvw, &[A], NOW));
    assert_eq!(stage.tick().tally.pgm, [A, B]);
    stage.command(Command::RemoveInput { input: A });
    let plan = stage.tick();
    assert_eq!((plan.tally.pgm.as_slice(), plan.tally.pvw.as_slice()), (&[B][..], &[][..]));
    assert_eq!((plan.wanted.len(), shown(&plan, 1)), (1, None));
    assert_eq!(stage.engine.mix(Bus::Pgm).len(), 1);
    assert!(stage.engine.scene(Bus::Pvw).picture.layers.is_empty());
}

#[test]
fn the_mix_follows_only_if_told() {
    let mut stage = stage();
    for (follow, expected) in [(true, vec![A]), (false, vec![A]), (true, vec![B])] {
        let input = if expected == [A] && follow { A } else { B };
        stage.command(Command::SetFollow { follow });
        stage.command(on(Bus::Pgm, &[input], NOW));
        stage.tick();
        let heard: Vec<_> = stage.engine.mix(Bus::Pgm).iter().map(|entry| entry.input).collect();
        assert_eq!((heard, stage.engine.follow()), (expected, follow));
    }
}

#[test]
fn too_many_commands_are_refused() {
    let mut stage = stage();
    for _ in 0..limits::ENGINE_COMMANDS + 3 {
        stage.command(Command::SetFollow { follow: true });
    }
    let plan = stage.tick();
    let refused = plan.replies.iter().filter(|(_, r)| *r == Err(Refusal::TooMany)).count();
    assert_eq!((plan.replies.len(), refused), (limits::ENGINE_COMMANDS + 3, 3));
}

#[test]
fn a_wrong_tick_is_answered_as_documented() {
    let mut stage = stage();
    assert_eq!(stage.engine.tick(0).tick, 1);
    assert_eq!(stage.engine.tick(10).tick, 10);
    assert_eq!(stage.engine.tick(3).tick, 11);
}
