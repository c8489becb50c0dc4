//! Held and paused files: what is seen and heard while they stand, and that nothing is lost.

use super::super::{Command, InputKind, Part, Refusal, Way};
use super::files::{FILE, File, coded};
use super::{Stage, shown};
use crate::engine::Event;
use crate::ids::InputKey;
use crate::limits;
use crate::sound::RAMP_SAMPLES;
use crate::time::FrameRate;

const RUN: Command = Command::SetPlaying { input: FILE, playing: true };
const PAUSE: Command = Command::SetPlaying { input: FILE, playing: false };

/// Which sample of the file this is, in a round of 65536.
fn told(sample: [f32; 2]) -> i64 {
    (sample[0] * 131_072.0) as i64
}

#[test]
fn a_pause_freezes_and_goes_on_with_the_next_frame() {
    for rate in FrameRate::SUPPORTED {
        let mut stage = Stage::with(rate, &[InputKind::Paced]);
        let mut file = File::new(i64::from(rate.num()), i64::from(rate.den()));
        file.feed(&mut stage);
        // Pauses of several lengths, some shorter than the fade.
        let (mut stands, mut next) = (false, 0);
        for n in 0..600_u64 {
            let (pauses, goes_on) = (n % 100 == 50, n % 100 == 50 + n / 100 * 9 + 1);
            if pauses || goes_on {
                stage.command(if goes_on { RUN } else { PAUSE });
            }
            stands &= !goes_on;
            let plan = stage.tick();
            next += i64::from(!stands);
            stands |= pauses;
            let number = file.frame_of(shown(&plan, 1).unwrap());
            assert_eq!(number, next - 1, "{rate}: tick {n}");
            if n % 100 > 40 && n % 100 < 50 || n % 100 > 97 {
                // Running for long: sample for sample.
                let first = rate.sample_at(next as u64 - 1) as i64;
                // Ticks of different length make it a sample more or less a pause.
                let off = told(plan.audio[7]) - (first + 7) % 65_536;
                let most = if rate.den() == 1 { 0 } else { 1 + n as i64 / 100 };
                assert!(off.abs() <= most && plan.audio[7][1] == 0.25, "{rate}: tick {n}: {off}");
            }
            file.feed(&mut stage);
            let stats = stage.engine.input_stats(FILE);
            assert_eq!(stats.playing, !stands, "{rate}: tick {n}");
            assert_eq!(stats.frames, limits::FILE_AHEAD_FRAMES, "{rate}: look-ahead at tick {n}");
            assert_eq!((stats.dropped, stats.underruns), (0, 0), "{rate}: {stats:?}");
        }
    }
}

#[test]
fn the_sound_of_a_pause_fades_both_ways() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File::new(30, 1);
    let mut heard = Vec::new();
    for n in 0..120 {
        match n {
            30 => _ = stage.command(PAUSE),
            90 => _ = stage.command(RUN),
            _ => {}
        }
        file.feed(&mut stage);
        heard.extend(stage.tick().audio);
    }
    // The right side stands at 0.25: it shows the volume alone.
    let step = 0.25 / RAMP_SAMPLES as f32 + 1e-6;
    assert!(heard.windows(2).all(|pair| (pair[1][1] - pair[0][1]).abs() <= step), "a click");
    let [stop, go, ramp] = [31 * 1600, 90 * 1600, RAMP_SAMPLES as usize];
    assert_eq!(heard[stop - 1][1], 0.25);
    assert!(heard[stop + ramp..go].iter().all(|s| *s == [0.0; 2]), "silence");
    assert_eq!(heard[go + ramp][1], 0.25);
    // On with the sample after the last that was heard in full.
    let before = told(heard[stop - 1]);
    assert_eq!(told(heard[go + ramp]), (before + 1 + ramp as i64) % 65_536);
}

#[test]
fn a_held_file_shows_its_first_frame_and_is_ready() {
    let mut stage = Stage::new(FrameRate::FPS_30);
    stage.command(Command::AddInput { input: FILE, kind: InputKind::Paced, held: true });
    let scene = super::scene(&[FILE]);
    let when = super::super::Readiness { force: true, wait: std::time::Duration::ZERO };
    stage.command(Command::SetScene {
        bus: crate::ids::Bus::Pgm,
        spec: scene,
        when,
        way: Way::CUT,
    });
    stage.tick();
    let mut file = File::new(30, 1);
    for n in 0..100 {
        file.feed(&mut stage);
        let plan = stage.tick();
        assert_eq!(shown(&plan, 1), Some(0), "tick {n}");
        assert!(plan.audio.iter().all(|s| *s == [0.0; 2]) && stage.engine.ready(FILE));
        assert!(plan.events.is_empty(), "{:?}", plan.events);
    }
    // On and off and on within a tick is on.
    for command in [RUN, PAUSE, RUN] {
        stage.command(command);
    }
    for n in 0..100 {
        let plan = stage.tick();
        assert_eq!(file.frame_of(shown(&plan, 1).unwrap()), n);
        // What begins is not faded.
        assert_eq!(plan.audio[3], coded(n * 1600 + 3));
        file.feed(&mut stage);
    }
}

#[test]
fn only_paced_inputs_pause() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Still]);
    let buffer = std::time::Duration::from_millis(300);
    let (still, live, ghost) = (InputKey(1), InputKey(2), InputKey(9));
    let kind = InputKind::Live { buffer };
    stage.command(Command::AddInput { input: live, kind, held: false });
    stage.tick();
    let table = [
        (Command::SetPlaying { input: still, playing: true }, Refusal::NotPaced(still)),
        (Command::SetPlaying { input: live, playing: false }, Refusal::NotPaced(live)),
        (Command::SetPlaying { input: ghost, playing: false }, Refusal::UnknownInput(ghost)),
        (Command::AddInput { input: ghost, kind, held: true }, Refusal::NotPaced(ghost)),
    ];
    for (command, refusal) in table {
        let id = stage.command(command);
        assert_eq!(stage.tick().replies, [(id, Err(refusal))]);
    }
    assert!(stage.engine.input_stats(live).playing);
}

#[test]
fn the_position_is_that_of_the_picture_in_its_pass() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File::new(30, 1);
    file.end_s = 4;
    // The first play begins at 9 s of the file, the others at 8 s; each is a second long.
    let begin_ns = |pass: i64| pass * 1_000_000_000;
    for pass in 0..4 {
        let position_ns = if pass == 0 { 9_000_000_000 } else { 8_000_000_000 };
        let part = Part { item: 0, pass, begin_ns: begin_ns(i64::from(pass)), position_ns };
        stage.engine.input_part(FILE, part);
    }
    for n in 0..150_i64 {
        file.feed(&mut stage);
        let plan = stage.tick();
        let told = plan.events.iter().filter_map(|event| match event {
            Event::Began { input: FILE, part } => Some(i64::from(part.pass)),
            _ => None,
        });
        let began = (n % 30 == 0 && n < 120).then_some(n / 30);
        assert_eq!(told.collect::<Vec<_>>(), began.into_iter().collect::<Vec<_>>(), "tick {n}");
        let stats = stage.engine.input_stats(FILE);
        let shown = n.min(119);
        let from = if shown < 30 { 9000 } else { 8000 };
        let off = stats.position_ms as i64 - (from + shown % 30 * 1000 / 30);
        assert!((-1..=0).contains(&off), "tick {n}: {stats:?}");
        assert_eq!((stats.item, i64::from(stats.pass)), (0, shown / 30), "tick {n}");
        // Its sound ends some milliseconds after its picture.
        assert_eq!(stats.ended, n >= 121, "tick {n}");
    }
}
