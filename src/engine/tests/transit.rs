//! Transitions, overlays that fade, black: what is seen, heard and on air at every tick.

use std::sync::Arc;
use std::time::Duration;

use super::super::{
    Black, Command, Cue, Direction, InputKind, Plan, Readiness, Refusal, Transition,
    TransitionKind, Way,
};
use super::files::{FILE, File};
use super::{Stage, frame, scene, shown};
use crate::ids::{Bus, InputKey};
use crate::picture::{
    DrawList, DrawOp, OverlayContent, OverlaySpec, Placement, TextSpec, Veil, blend,
};
use crate::time::FrameRate;

const A: InputKey = InputKey(1);
const B: InputKey = InputKey(2);
const C: InputKey = InputKey(3);
const NOW: Readiness = Readiness { force: true, wait: Duration::ZERO };
const KINDS: [TransitionKind; 6] = [
    TransitionKind::Cut,
    TransitionKind::Mix,
    TransitionKind::Dip { rgb: 0xff_00_00 },
    TransitionKind::Wipe(Direction::DownLeft),
    TransitionKind::Slide(Direction::Up),
    TransitionKind::Push(Direction::Right),
];

/// Three stills, the first of them on PGM.
fn stage() -> Stage {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Still; 3]);
    for input in 1..=3 {
        stage.engine.video(InputKey(input), frame(0));
    }
    stage.command(on_pgm(&[A], Way::CUT));
    stage.tick();
    stage
}

fn on_pgm(inputs: &[InputKey], way: Way) -> Command {
    Command::SetScene { bus: Bus::Pgm, spec: scene(inputs), when: NOW, way }
}

fn over(kind: TransitionKind, frames: u32) -> Way {
    Way::Transition(Transition { kind, frames })
}

/// PGM as it is without a transition.
fn alone(inputs: &[InputKey]) -> DrawList {
    let mut stage = stage();
    stage.command(on_pgm(inputs, Way::CUT));
    stage.tick().pgm
}

fn opacity(plan: &Plan) -> f32 {
    plan.pgm.veil.map_or(0.0, |veil| veil.opacity)
}

#[test]
fn every_frame_of_a_transition_is_as_it_should() {
    let (old, new) = (alone(&[A, C]), alone(&[B, C]));
    for kind in KINDS {
        for frames in [0, 1, 7, 30] {
            let transition = Transition { kind, frames };
            let mut stage = stage();
            stage.command(on_pgm(&[A, C], Way::CUT));
            assert_eq!(stage.tick().pgm, old);
            stage.command(Command::SetScene {
                bus: Bus::Pvw,
                spec: scene(&[B, C]),
                when: NOW,
                way: Way::CUT,
            });
            assert_eq!(stage.tick().pgm, old, "{kind:?}: the frame before");
            stage.command(Command::Take { when: NOW, way: Way::Transition(transition) });
            for step in 0..u64::from(transition.length()) {
                let plan = stage.tick();
                let name = format!("{kind:?}, frame {step} of {frames}");
                assert_eq!(plan.replies.len(), usize::from(step == 0), "{name}");
                assert_eq!(plan.pgm, blend(old.clone(), new.clone(), transition, step), "{name}");
                assert_ne!(plan.pgm, old, "{name}");
                assert_ne!(plan.pgm, new, "{name}");
                assert_eq!(plan.tally.pgm, [A, B, C], "{name}: both scenes are on air");
                let wanted: Vec<_> = plan.wanted.iter().map(|(key, _)| *key).collect();
                assert_eq!(wanted, [A, B, C], "{name}: and asked for");
            }
            for _ in 0..3 {
                let plan = stage.tick();
                assert_eq!((&plan.pgm, &plan.tally.pgm[..]), (&new, &[B, C][..]), "{kind:?}");
            }
        }
    }
}

#[test]
fn what_both_scenes_show_goes_on_undisturbed() {
    for kind in KINDS {
        let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced, InputKind::Still]);
        stage.engine.video(B, frame(0));
        let mut file = File::new(30, 1);
        let mut before = None;
        while stage.n < 120 {
            if stage.n == 50 {
                stage.command(on_pgm(&[FILE, B], over(kind, 20)));
            }
            let plan = stage.tick();
            file.feed(&mut stage);
            let mut keys: Vec<_> = plan.frames.iter().map(|(key, _)| *key).collect();
            keys.dedup();
            assert_eq!(keys.len(), plan.frames.len(), "{kind:?}: a source is there twice");
            let number = shown(&plan, FILE.0).map(|pts_ns| file.frame_of(pts_ns));
            // Black or coloured frames show nothing; the count goes on all the same.
            let Some(number) = number else { continue };
            if let Some((tick, earlier)) = before {
                assert_eq!(number - earlier, (plan.tick - tick) as i64, "{kind:?}: {}", plan.tick);
            }
            before = Some((plan.tick, number));
        }
        assert!(before.is_some_and(|(_, number)| number > 100), "{kind:?}");
    }
}

#[test]
fn what_comes_in_between_completes_a_transition() {
    let mix = |frames| over(TransitionKind::Mix, frames);
    let cue = Cue { id: 1, tick: 10, spec: scene(&[C]), starts: Vec::new() };
    let waits = Readiness { force: false, wait: Duration::from_secs(1) };
    let waited = Command::SetScene { bus: Bus::Pgm, spec: scene(&[C]), when: waits, way: mix(6) };
    for (name, command, frames) in [
        ("a cut", on_pgm(&[C], Way::CUT), 0),
        ("a cut to the same", on_pgm(&[B], Way::CUT), 0),
        ("a transition", on_pgm(&[C], mix(6)), 6),
        ("one that is accepted later", waited, 6),
        ("a cue", Command::SetCues(vec![cue]), 0),
    ] {
        let mut stage = stage();
        stage.command(on_pgm(&[B], mix(100)));
        while stage.n < 10 {
            assert_eq!(stage.tick().tally.pgm, [A, B], "{name}");
        }
        let to = if name == "a cut to the same" { B } else { C };
        let transition = Transition { kind: TransitionKind::Mix, frames };
        stage.command(command);
        for step in 0..12 {
            let plan = stage.tick();
            let expected = blend(alone(&[B]), alone(&[to]), transition, step);
            assert_eq!(plan.pgm, expected, "{name}, frame {step}");
            assert!(!plan.tally.pgm.contains(&A), "{name}: gone");
        }
    }
}

#[test]
fn progress_follows_the_tick() {
    let mut stage = stage();
    let transition = Transition { kind: TransitionKind::Mix, frames: 10 };
    stage.command(on_pgm(&[B], Way::Transition(transition)));
    let first = stage.tick().tick;
    stage.n = first + 7;
    let late = stage.tick().pgm;
    assert_eq!(late, blend(alone(&[A]), alone(&[B]), transition, 7));
    stage.n = first + 11;
    assert_eq!(stage.tick().pgm, alone(&[B]));
}

#[test]
fn an_input_of_the_scene_that_goes_out_is_on_air_until_it_is_gone() {
    let mut stage = stage();
    stage.command(on_pgm(&[B], over(TransitionKind::Mix, 5)));
    for _ in 0..5 {
        assert!(!stage.engine.is_leaving(C));
        assert_eq!(stage.tick().tally.pgm, [A, B]);
        assert!(stage.engine.is_leaving(A));
    }
    stage.tick();
    assert!(!stage.engine.is_leaving(A));
    // Who removes it all the same gets the transition without it.
    stage.command(on_pgm(&[A], over(TransitionKind::Mix, 5)));
    stage.tick();
    stage.command(Command::RemoveInput { input: B });
    let plan = stage.tick();
    assert_eq!((&plan.tally.pgm[..], shown(&plan, 2)), (&[A][..], None));
    assert!(plan.pgm.over.is_some() && plan.pgm.ops.is_empty(), "the transition goes on");
}

#[test]
fn black_is_over_everything_and_survives_takes() {
    let mut stage = stage();
    let black = |on, frames| Command::FadeToBlack { on, frames };
    stage.command(black(true, 3));
    for (opaque, state) in [(0.25, Black::Fading), (0.5, Black::Fading), (0.75, Black::Fading)] {
        let plan = stage.tick();
        assert_eq!((opacity(&plan), plan.tally.black), (opaque, state));
        assert_eq!(plan.tally.pgm, [A]);
    }
    for way in [Way::CUT, over(TransitionKind::Mix, 2), over(TransitionKind::Dip { rgb: 7 }, 2)] {
        stage.command(on_pgm(&[B], way));
        for _ in 0..3 {
            let plan = stage.tick();
            assert_eq!(plan.pgm, DrawList::of(plan.pgm.canvas, Vec::new()), "nothing but black");
            assert_eq!((plan.tally.pgm.len(), plan.tally.black), (0, Black::Full));
            assert!(plan.wanted.iter().any(|(key, _)| *key == B), "ready to come back");
        }
    }
    // Turned round where it is: from a half in three frames.
    stage.command(black(false, 3));
    stage.tick();
    assert_eq!(opacity(&stage.tick()), 0.5);
    stage.command(black(true, 1));
    assert_eq!(opacity(&stage.tick()), 0.75);
    assert_eq!(stage.tick().tally.black, Black::Full);
    stage.command(black(true, 100));
    assert_eq!(stage.tick().tally.black, Black::Full, "as it is");
    stage.command(black(false, 0));
    let plan = stage.tick();
    assert_eq!((plan.pgm, plan.tally.black), (alone(&[B]), Black::Off));
}

#[test]
fn black_and_a_dip_are_one_veil() {
    let mut stage = stage();
    stage.command(Command::FadeToBlack { on: true, frames: 1 });
    stage.command(on_pgm(&[B], over(TransitionKind::Dip { rgb: 0xff_00_00 }, 3)));
    let dipped = stage.tick().pgm;
    assert_eq!(dipped.veil, Some(Veil { rgb: 0x55_00_00, opacity: 0.75 }));
}

#[test]
fn what_takes_too_long_is_refused() {
    for rate in FrameRate::SUPPORTED {
        let most = rate.tick_at(60_000_000_000) as u32;
        for (frames, fits) in [(most, true), (most + 1, false), (u32::MAX, false)] {
            for command in [
                on_pgm(&[], over(TransitionKind::Mix, frames)),
                on_pgm(&[], Way::Overlays { frames }),
                Command::Take { when: NOW, way: over(TransitionKind::Dip { rgb: 0 }, frames) },
                Command::FadeToBlack { on: true, frames },
            ] {
                let mut stage = Stage::with(rate, &[]);
                stage.command(command);
                let reply = stage.tick().replies.remove(0).1;
                let expected = if fits { None } else { Some(Refusal::TooLong) };
                assert_eq!(reply.err(), expected, "{rate}: {frames}");
            }
        }
    }
}

fn text(text: &str, opacity: u8) -> OverlaySpec {
    let content = Arc::new(OverlayContent::Text(TextSpec {
        text: text.into(),
        font_name: String::new(),
        color_rgb: 0,
        size_normalized: 0.1,
        border_width_normalized: 0.0,
        border_rgb: None,
        background: None,
    }));
    OverlaySpec { opacity, ..OverlaySpec::new(content, Placement::default()) }
}

/// The overlays of a plan, bottom to top: what they say and how opaque they are, of 255.
fn overlays(plan: &Plan) -> Vec<(String, u8)> {
    let overlay = |op: &DrawOp| match op {
        DrawOp::Overlay(draw) => match &*draw.content {
            OverlayContent::Text(text) => {
                Some((text.text.clone(), (draw.opacity * 255.0).round() as u8))
            }
            OverlayContent::Image(_) | OverlayContent::Animation(_) => None,
        },
        _ => None,
    };
    plan.pgm.ops.iter().filter_map(overlay).collect()
}

#[test]
fn overlays_fade_in_and_out_and_others_stay() {
    let mut stage = stage();
    let show = |names: &[&str], frames| {
        let mut spec = scene(&[A]);
        spec.picture.overlays = names.iter().map(|name| text(name, 200)).collect();
        Command::SetScene { bus: Bus::Pgm, spec, when: NOW, way: Way::Overlays { frames } }
    };
    let expect = |stage: &mut Stage, expected: &[(&str, u8)]| {
        let plan = stage.tick();
        let expected: Vec<_> = expected.iter().map(|(n, o)| ((*n).to_owned(), *o)).collect();
        assert_eq!(overlays(&plan), expected, "tick {}", plan.tick);
    };
    stage.command(show(&["logo", "old", "clock"], 0));
    expect(&mut stage, &[("logo", 200), ("old", 200), ("clock", 200)]);
    stage.command(show(&["logo", "clock", "new"], 3));
    expect(&mut stage, &[("logo", 200), ("old", 150), ("clock", 200), ("new", 50)]);
    expect(&mut stage, &[("logo", 200), ("old", 100), ("clock", 200), ("new", 100)]);
    // Those on their way turn round where they are; another goes.
    stage.command(show(&["logo", "old"], 1));
    expect(&mut stage, &[("logo", 200), ("old", 150), ("clock", 100), ("new", 50)]);
    expect(&mut stage, &[("logo", 200), ("old", 200)]);
    stage.command(show(&[], 1));
    expect(&mut stage, &[("logo", 100), ("old", 100)]);
    // A cut completes what is under way.
    stage.command(on_pgm(&[A], Way::CUT));
    expect(&mut stage, &[]);
    stage.command(show(&["logo"], 5));
    stage.tick();
    stage.command(on_pgm(&[B], over(TransitionKind::Mix, 2)));
    expect(&mut stage, &[("logo", 200)]);
}
