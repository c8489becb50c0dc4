//! The sound of transitions and of black: the same ticks as the picture, sample by sample.

use std::time::Duration;

use super::super::{Command, InputKind, Readiness, Transition, TransitionKind, Way};
use super::{Stage, block, frame, scene};
use crate::frame::StereoSample;
use crate::ids::{Bus, InputKey};
use crate::sound::RAMP_SAMPLES;
use crate::time::FrameRate;

const NOW: Readiness = Readiness { force: true, wait: Duration::ZERO };
/// Input 1 sounds on the left, input 2 on the right, both for ever the same.
const LEVEL: f32 = 0.5;

/// Two files that sound, the first of them on PGM.
struct Two {
    stage: Stage,
    sent: [i64; 2],
}

impl Two {
    fn new(rate: FrameRate) -> Two {
        let stage = Stage::with(rate, &[InputKind::Paced; 2]);
        let mut two = Two { stage, sent: [0; 2] };
        // What is on PVW is read, so that it need not be faded in from nothing.
        let spec = scene(&[InputKey(1), InputKey(2)]);
        let on_pvw = Command::SetScene { bus: Bus::Pvw, spec, when: NOW, way: Way::CUT };
        two.stage.command(on_pvw);
        two.switch(1, Way::CUT);
        for _ in 0..10 {
            two.tick();
        }
        two
    }

    fn switch(&mut self, input: u32, way: Way) {
        let spec = scene(&[InputKey(input)]);
        self.stage.command(Command::SetScene { bus: Bus::Pgm, spec, when: NOW, way });
    }

    fn tick(&mut self) -> Vec<StereoSample> {
        for (side, sent) in self.sent.iter_mut().enumerate() {
            let input = InputKey(side as u32 + 1);
            let mut sample = [0.0; 2];
            sample[side] = LEVEL;
            loop {
                let (wants, at) = (self.stage.engine.wants(input), *sent * 1024 * 62_500 / 3);
                if wants.audio == 0 && wants.video == 0 {
                    break;
                }
                // More pictures than any rate needs.
                self.stage.engine.video(input, frame(at));
                self.stage.engine.audio(input, block(at, std::iter::repeat_n(sample, 1024)));
                *sent += 1;
            }
        }
        self.stage.tick().audio
    }

    /// The samples of so many ticks.
    fn ticks(&mut self, ticks: u64) -> Vec<StereoSample> {
        (0..ticks).flat_map(|_| self.tick()).collect()
    }
}

fn mix(frames: u32) -> Way {
    Way::Transition(Transition { kind: TransitionKind::Mix, frames })
}

/// Samples are those of a line from `from` to `to`, `length` long, and of `to` after it.
fn check_line(
    name: &str,
    samples: &[StereoSample],
    (from, to): (StereoSample, StereoSample),
    length: usize,
) {
    assert!(samples.len() > length, "{name}: too few to tell");
    for (i, sample) in samples.iter().enumerate() {
        let done = ((i + 1) as f32 / length as f32).min(1.0);
        for side in 0..2 {
            let expected = LEVEL * (from[side] + (to[side] - from[side]) * done);
            let off = (sample[side] - expected).abs();
            assert!(off < 1e-5, "{name}: {sample:?} instead of {expected} at {i} of {length}");
        }
    }
}

#[test]
fn sound_moves_over_the_ticks_of_the_transition() {
    for rate in FrameRate::SUPPORTED {
        for frames in [0, 1, 2, 10, 75] {
            let mut two = Two::new(rate);
            assert!(two.tick().iter().all(|s| *s == [LEVEL, 0.0]), "exact before");
            two.switch(2, mix(frames));
            let first = two.stage.n;
            let length = rate.sample_at(first + u64::from(frames)) - rate.sample_at(first);
            let samples = two.ticks(u64::from(frames) + 4);
            let length = (length as usize).max(RAMP_SAMPLES as usize);
            check_line(&format!("{rate}, {frames}"), &samples, ([1.0, 0.0], [0.0, 1.0]), length);
        }
    }
}

#[test]
fn sound_stays_when_it_does_not_follow() {
    let mut two = Two::new(FrameRate::FPS_30);
    two.stage.command(Command::SetFollow { follow: false });
    two.switch(2, mix(10));
    assert!(two.ticks(15).iter().all(|s| *s == [LEVEL, 0.0]));
}

#[test]
fn what_cuts_a_transition_short_ends_its_sound_in_30_ms() {
    for (name, to, frames) in [("to the same", 2, 0), ("back", 1, 0), ("back slowly", 1, 20)] {
        let mut two = Two::new(FrameRate::FPS_30);
        two.switch(2, mix(100));
        two.ticks(50);
        two.switch(to, mix(frames));
        let samples = two.ticks(25);
        let length = (frames as usize * 1600).max(RAMP_SAMPLES as usize);
        let end = if to == 1 { [1.0, 0.0] } else { [0.0, 1.0] };
        check_line(name, &samples, ([0.5, 0.5], end), length);
    }
}

#[test]
fn sound_catches_up_with_late_ticks() {
    let mut two = Two::new(FrameRate::FPS_30);
    two.switch(2, mix(20));
    two.ticks(5);
    two.stage.n += 10;
    // A quarter was heard; the rest goes by in the five ticks that are left.
    let samples = two.ticks(10);
    check_line("late", &samples, ([0.75, 0.25], [0.0, 1.0]), 5 * 1600);
}

#[test]
fn black_is_silent_and_comes_back_as_it_went() {
    for rate in FrameRate::SUPPORTED {
        let mut two = Two::new(rate);
        for (on, frames) in [(true, 20), (false, 9), (true, 0), (false, 0)] {
            two.stage.command(Command::FadeToBlack { on, frames });
            let first = two.stage.n;
            let length = rate.sample_at(first + u64::from(frames)) - rate.sample_at(first);
            let samples = two.ticks(u64::from(frames) + 4);
            let length = (length as usize).max(RAMP_SAMPLES as usize);
            let (sounds, silent) = ([1.0, 0.0], [0.0, 0.0]);
            let line = if on { (sounds, silent) } else { (silent, sounds) };
            check_line(&format!("{rate}: {on} in {frames}"), &samples, line, length);
        }
        // A take under black stays unheard.
        two.stage.command(Command::FadeToBlack { on: true, frames: 0 });
        two.ticks(3);
        two.switch(2, mix(5));
        assert!(two.ticks(10).iter().all(|s| *s == [0.0; 2]), "{rate}");
    }
}
