//! What stands in for PGM, and what is told of sources that something is wrong with: to the tick.

use std::time::Duration;

use super::super::{
    AutoStandby, Command, Cue, Detector, Detectors, Event, Fault, InputKind, InputState, Plan,
    Readiness, Sight, StandIn, Vigil, Way,
};
use super::{Stage, block, frame, scene};
use crate::ids::{Bus, InputKey};
use crate::picture::{Backdrop, DrawOp, ScenePicture};
use crate::time::FrameRate;

const CAMERA: InputKey = InputKey(1);
const STANDBY: InputKey = InputKey(2);
const FILE: InputKey = InputKey(3);
const SLATE_RGB: u32 = 0x12_34_56;
const TICK_NS: i64 = 33_333_333;
const NOW: Readiness = Readiness { force: true, wait: Duration::ZERO };
const BUFFER: Duration = Duration::from_millis(100);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn vigil(after_ms: u64, back_ms: Option<u64>) -> Vigil {
    Vigil {
        standby: Some(scene(&[STANDBY])),
        slate: ScenePicture {
            backdrop: Backdrop { rgb: SLATE_RGB, image: None },
            ..ScenePicture::default()
        },
        auto: Some(AutoStandby { after: ms(after_ms), back: back_ms.map(ms) }),
        detectors: Detectors::default(),
    }
}

/// A camera on PGM, and standby.
struct Show {
    stage: Stage,
    /// Frames that the camera has sent.
    sent: i64,
    sample: f32,
}

/// Whether the camera delivers.
#[derive(Clone, Copy, PartialEq)]
enum Camera {
    Comes,
    Gone,
}

impl Show {
    fn new(vigil: Vigil) -> Show {
        let kinds = [InputKind::Live { buffer: BUFFER }];
        let mut stage = Stage::with(FrameRate::FPS_30, &kinds);
        for (input, kind) in [(STANDBY, InputKind::Still), (FILE, InputKind::Still)] {
            stage.command(Command::AddInput { input, kind, held: false });
        }
        stage.command(Command::SetVigil(Box::new(vigil)));
        stage.tick();
        stage.engine.video(STANDBY, frame(0));
        stage.engine.video(FILE, frame(0));
        stage.engine.input_state(CAMERA, InputState::Live);
        let mut show = Show { stage, sent: 0, sample: 0.5 };
        for _ in 0..60 {
            show.tick(Camera::Comes);
        }
        show
    }

    fn tick(&mut self, camera: Camera) -> Plan {
        if camera == Camera::Comes {
            let pts_ns = self.sent * TICK_NS;
            self.stage.engine.video(CAMERA, frame(pts_ns));
            let samples = std::iter::repeat_n([self.sample; 2], 1600);
            self.stage.engine.audio(CAMERA, block(pts_ns, samples));
        }
        self.sent += 1;
        self.stage.tick()
    }

    /// Ticks until something else stands in, or nothing; the plan of that tick.
    fn until(&mut self, camera: Camera, shows: StandIn) -> (u64, Plan) {
        for ticks in 1..2000 {
            let plan = self.tick(camera);
            if plan.stand_in == shows {
                return (ticks, plan);
            }
        }
        panic!("{shows:?} never came");
    }

    /// Takes nothing in until the last picture is on air, so that the interruption begins.
    fn run_dry(&mut self) {
        for _ in 0..2000 {
            if self.tick(Camera::Gone).frames.is_empty() || self.still() > 0 {
                return;
            }
        }
        panic!("the camera goes on");
    }

    fn still(&self) -> u64 {
        self.stage.engine.input_stats(CAMERA).media_age_ticks
    }

    fn set(&mut self, input: InputKey) {
        let (bus, spec) = (Bus::Pgm, scene(&[input]));
        self.stage.command(Command::SetScene { bus, spec, when: NOW, way: Way::CUT });
    }
}

/// What PGM draws.
fn drawn(plan: &Plan) -> Vec<InputKey> {
    let layers = plan.pgm.all_ops().filter_map(|op| match op {
        DrawOp::Layer { input, .. } => Some(*input),
        DrawOp::Overlay(_) | DrawOp::Cover(_) => None,
    });
    layers.collect()
}

#[test]
fn standby_comes_and_goes_to_the_tick() {
    for (after_ms, back_ms) in [(110, 110), (510, 1010), (3010, 210), (1010, 5010)] {
        let mut show = Show::new(vigil(after_ms, Some(back_ms)));
        show.run_dry();
        // The last picture is on air since `still` ticks; it lasts one.
        let held_since = show.stage.n - 1 - show.still() + 1;
        let (_, plan) = show.until(Camera::Gone, StandIn::Standby);
        let held_ns = (plan.tick - held_since) as i64 * TICK_NS;
        let late_ns = held_ns - after_ms as i64 * 1_000_000;
        assert!((-1000..TICK_NS + 1000).contains(&late_ns), "{after_ms} ms: {late_ns} ns late");
        assert_eq!((drawn(&plan), &plan.tally.pgm[..]), (vec![STANDBY], &[STANDBY][..]));
        let first = (0..2000).find_map(|_| {
            let plan = show.tick(Camera::Comes);
            (show.still() == 0).then_some(plan.tick)
        });
        let (_, plan) = show.until(Camera::Comes, StandIn::Own);
        let good_ns = (plan.tick - first.unwrap()) as i64 * TICK_NS;
        let late_ns = good_ns - back_ms as i64 * 1_000_000;
        assert!((-1000..TICK_NS + 1000).contains(&late_ns), "{back_ms} ms: {late_ns} ns late");
        assert_eq!(drawn(&plan), [CAMERA]);
    }
}

#[test]
fn standby_without_a_return_stays_until_it_is_taken_off_by_hand() {
    let mut show = Show::new(vigil(500, None));
    show.until(Camera::Gone, StandIn::Standby);
    for _ in 0..300 {
        assert_eq!(show.tick(Camera::Comes).stand_in, StandIn::Standby);
    }
    show.set(CAMERA);
    assert_eq!(show.tick(Camera::Comes).stand_in, StandIn::Own);
    // What an operator shows although it is broken stays, until it was whole once.
    show.until(Camera::Gone, StandIn::Standby);
    show.set(CAMERA);
    for _ in 0..300 {
        assert_eq!(show.tick(Camera::Gone).stand_in, StandIn::Own);
    }
    for _ in 0..60 {
        assert_eq!(show.tick(Camera::Comes).stand_in, StandIn::Own);
    }
    show.until(Camera::Gone, StandIn::Standby);
}

#[test]
fn what_is_amended_and_cued_stays_beneath() {
    let mut show = Show::new(vigil(500, Some(1000)));
    show.until(Camera::Gone, StandIn::Standby);
    show.stage.command(Command::Amend { spec: scene(&[CAMERA, FILE]) });
    assert_eq!(drawn(&show.tick(Camera::Gone)), [STANDBY]);
    let at = show.stage.n + 5;
    let cue = |tick, input| Cue { id: tick, tick, spec: scene(&[input]), starts: Vec::new() };
    show.stage.command(Command::SetCues(vec![cue(at, FILE), cue(at + 5, CAMERA)]));
    // A cue to what is whole ends standby at its tick, one to what is broken brings it back at its own.
    for _ in 0..15 {
        let plan = show.tick(Camera::Gone);
        let expected = if (at..at + 5).contains(&plan.tick) { FILE } else { STANDBY };
        assert_eq!(drawn(&plan), [expected], "tick {}", plan.tick - at);
    }
}

#[test]
fn a_slate_stands_in_for_a_standby_that_is_not_there() {
    let backdrop = |plan: &Plan| plan.pgm.ground_rgb;
    let mut show = Show::new(vigil(500, Some(1000)));
    show.stage.command(Command::RemoveInput { input: STANDBY });
    let (_, plan) = show.until(Camera::Gone, StandIn::Slate);
    assert_eq!((backdrop(&plan), drawn(&plan)), (SLATE_RGB, vec![]));
    show.until(Camera::Comes, StandIn::Own);
    // By hand too: standby that has no picture.
    let kind = InputKind::Still;
    show.stage.command(Command::AddInput { input: STANDBY, kind, held: false });
    show.stage.command(Command::SetVigil(Box::new(vigil(500, Some(1000)))));
    show.set(STANDBY);
    assert_eq!(show.tick(Camera::Comes).stand_in, StandIn::Slate);
    show.stage.engine.video(STANDBY, frame(0));
    let (_, plan) = show.until(Camera::Comes, StandIn::Standby);
    assert_eq!(drawn(&plan), [STANDBY]);
}

#[test]
fn every_fault_is_told_when_it_begins_and_when_it_ends() {
    for fault in Fault::ALL {
        let mut vigil = vigil(60_000, Some(1000));
        vigil.detectors.set(fault, Detector { after: ms(700), brings_standby: true });
        let mut show = Show::new(vigil);
        let is_gone = matches!(fault, Fault::Lost | Fault::Stale);
        if fault == Fault::Lost {
            show.stage.engine.input_state(CAMERA, InputState::Connecting);
        }
        show.sample = if fault == Fault::Silent { 0.001 } else { 0.5 };
        let mut told = Vec::new();
        let mut lasting_ns = 0;
        let mut see = |show: &mut Show, is_wrong: bool| {
            lasting_ns = if is_wrong { lasting_ns + TICK_NS as u64 } else { 0 };
            let of = |this: Fault| if this == fault { lasting_ns } else { 0 };
            let sight = Sight { black_ns: of(Fault::Black), frozen_ns: of(Fault::Frozen) };
            show.stage.engine.sight(CAMERA, Some(sight));
            let plan = show.tick(if is_wrong && is_gone { Camera::Gone } else { Camera::Comes });
            told.extend(plan.events);
            plan.stand_in
        };
        let brings = !is_gone;
        for _ in 0..30 {
            see(&mut show, true);
        }
        assert_eq!(show.stage.engine.faults(CAMERA), [fault]);
        let expected = if brings { StandIn::Standby } else { StandIn::Own };
        assert_eq!(see(&mut show, true), expected, "{fault:?}");
        show.sample = 0.5;
        show.stage.engine.input_state(CAMERA, InputState::Live);
        for _ in 0..60 {
            see(&mut show, false);
        }
        assert_eq!(see(&mut show, false), StandIn::Own, "{fault:?}");
        let told = told.iter().filter(|event| match event {
            Event::FaultBegan { fault: told, .. } | Event::FaultEnded { fault: told, .. } => {
                assert_eq!(*told, fault);
                true
            }
            _ => false,
        });
        assert_eq!(told.count(), 2, "{fault:?}");
    }
}
