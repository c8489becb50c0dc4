//! Paced inputs: cadence, sample-exactness, pauses, ends, repeats.

use super::super::{AudioFilter, Command, InputKind, InputState, MixSpec};
use super::{Stage, block, frame, scene, shown};
use crate::ids::{Bus, InputKey};
use crate::time::FrameRate;

pub(super) const FILE: InputKey = InputKey(1);

/// A file of even cadence, `per_s = num / den` frames a second, with sample `i` worth `i / 2^17` (left).
pub(super) struct File {
    num: i64,
    den: i64,
    /// Rounds timestamps to milliseconds, as Matroska does.
    rounded: bool,
    frames: i64,
    blocks: i64,
    pub(super) end_s: i64,
    /// Seconds, from and to, without pictures and without sound: items of a playlist may lack either.
    dumb_s: [(i64, i64); 2],
}

impl File {
    pub(super) fn new(num: i64, den: i64) -> File {
        File {
            num,
            den,
            rounded: false,
            frames: 0,
            blocks: 0,
            end_s: i64::MAX,
            dumb_s: [(0, 0); 2],
        }
    }

    fn pts(&self, frame: i64) -> i64 {
        let ns = frame * self.den * 1_000_000_000 / self.num;
        if self.rounded { (ns + 500_000) / 1_000_000 * 1_000_000 } else { ns }
    }

    pub(super) fn frame_of(&self, pts_ns: i64) -> i64 {
        (pts_ns as i128 * self.num as i128 / self.den as i128 + 500_000_000) as i64 / 1_000_000_000
    }

    /// Gives what the engine wants, or the end.
    pub(super) fn feed(&mut self, stage: &mut Stage) {
        let end_ns = self.end_s.saturating_mul(1_000_000_000);
        loop {
            let wants = stage.engine.wants(FILE);
            let (pts, at) = (self.pts(self.frames), self.blocks * 1024 * 62_500 / 3);
            let lacks = |track: usize, ns: i64| {
                let (from, to) = self.dumb_s[track];
                (from * 1_000_000_000..to * 1_000_000_000).contains(&ns)
            };
            if lacks(0, pts) {
                self.frames += 1;
            } else if lacks(1, at) && at < pts {
                self.blocks += 1;
            } else if wants.video > 0 && pts < end_ns {
                stage.engine.video(FILE, frame(pts));
                self.frames += 1;
            } else if wants.audio > 0 && at < end_ns && !lacks(1, at) {
                let from = self.blocks * 1024;
                stage.engine.audio(FILE, block(at, (from..from + 1024).map(coded)));
                self.blocks += 1;
            } else {
                if pts >= end_ns && at >= end_ns {
                    stage.engine.input_state(FILE, InputState::Ended);
                }
                return;
            }
        }
    }
}

pub(super) fn coded(sample: i64) -> [f32; 2] {
    [(sample % 65_536) as f32 / 131_072.0, 0.25]
}

#[test]
fn cadence_is_exact() {
    // Show, file: every frame of the file once where the rates are equal, else the frame whose time has come.
    let (fps, ntsc) = (|n| FrameRate::new(n, 1), FrameRate::new(30_000, 1001));
    let table = [
        (fps(30), 30, 1),
        (fps(30), 25, 1),
        (fps(30), 60, 1),
        (fps(30), 24, 1),
        (fps(30), 30_000, 1001),
        (fps(30), 24_000, 1001),
        (fps(60), 25, 1),
        (fps(60), 30, 1),
        (fps(50), 25, 1),
        (fps(25), 30, 1),
        (fps(25), 50, 1),
        (ntsc, 30_000, 1001),
        (ntsc, 30, 1),
        (FrameRate::new(60_000, 1001), 24_000, 1001),
    ];
    for (rate, num, den) in table {
        for rounded in [false, true] {
            let rate = rate.expect("a supported rate");
            let mut stage = Stage::with(rate, &[InputKind::Paced]);
            let mut file = File { rounded, ..File::new(num, den) };
            let name = format!("{num}/{den} on {rate}, rounded: {rounded}");
            file.feed(&mut stage);
            let start = stage.n;
            let mut before = -1;
            for _ in 0..1200 {
                let n = (stage.n - start) as i64;
                let plan = stage.tick();
                let got = file.frame_of(shown(&plan, 1).expect("a frame"));
                // Early by what rounding can have moved it, no more.
                let at = |slack_ns: i64| {
                    let ns = i128::from(rate.tick_ns(n as u64)) + i128::from(slack_ns);
                    (ns * num as i128).div_euclid(den as i128 * 1_000_000_000) as i64
                };
                let late = if rounded { -2_000_000 } else { -100 };
                assert!((at(late)..=at(2_000_000)).contains(&got), "{name}: tick {n} shows {got}");
                if i64::from(rate.num()) * den == num * i64::from(rate.den()) {
                    assert_eq!(got, before + 1, "{name}: each frame once");
                }
                assert!(got >= before, "{name}: back from {before} to {got}");
                before = got;
                file.feed(&mut stage);
            }
            let stats = stage.engine.input_stats(FILE);
            assert_eq!((stats.dropped, stats.underruns), (0, 0), "{name}");
        }
    }
}

#[test]
fn the_pattern_of_25_on_30_is_regular() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File::new(25, 1);
    let mut numbers = Vec::new();
    for _ in 0..12 {
        file.feed(&mut stage);
        numbers.push(file.frame_of(shown(&stage.tick(), 1).unwrap()));
    }
    assert_eq!(numbers, [0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9]);
}

#[test]
fn samples_are_exact() {
    for rate in FrameRate::SUPPORTED {
        let mut stage = Stage::with(rate, &[InputKind::Paced]);
        let mut file = File::new(30, 1);
        let mut heard = Vec::new();
        for _ in 0..400 {
            file.feed(&mut stage);
            heard.extend(stage.tick().audio);
        }
        // The mix ramps since tick 0; after that every sample is the file's, bit for bit, from its start on.
        let silent = rate.samples_in(0) as i64;
        assert_eq!(stage.engine.input_stats(FILE).underruns, 0, "{rate}");
        for (k, sample) in heard.iter().enumerate().skip(1440) {
            let expected = coded(k as i64);
            assert_eq!(*sample, expected, "{rate}: sample {k} after {silent} of silence");
        }
    }
}

#[test]
fn a_file_that_runs_dry_pauses_and_goes_on() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File::new(30, 1);
    let mut numbers = Vec::new();
    for n in 0..400 {
        if !(100..250).contains(&n) {
            file.feed(&mut stage);
        }
        numbers.push(file.frame_of(shown(&stage.tick(), 1).unwrap()));
    }
    let repeats = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1));
    assert!((100..150).contains(&repeats), "{repeats} repeats");
    assert_eq!(stage.engine.input_stats(FILE).underruns, 1);
}

#[test]
fn the_last_picture_stays_and_a_new_start_plays_from_its_start() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File { end_s: 1, ..File::new(30, 1) };
    for n in 0..100 {
        file.feed(&mut stage);
        let plan = stage.tick();
        assert_eq!(file.frame_of(shown(&plan, 1).unwrap()), n.min(29));
        assert_eq!(plan.audio.iter().all(|s| s[1] == 0.0), n > 30, "tick {n}");
    }
    assert!(stage.engine.ready(FILE));
    let mut file = File { end_s: 1, ..File::new(30, 1) };
    for n in 0..40 {
        file.feed(&mut stage);
        assert_eq!(file.frame_of(shown(&stage.tick(), 1).unwrap()), n.min(29));
    }
    assert_eq!(stage.engine.input_stats(FILE).underruns, 0);
}

#[test]
fn a_stretch_without_sound_does_not_stop_the_picture() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let mut file = File::new(30, 1);
    file.dumb_s[1] = (2, 15);
    for n in 0..600 {
        file.feed(&mut stage);
        let plan = stage.tick();
        assert_eq!(file.frame_of(shown(&plan, 1).unwrap()), n, "tick {n}");
        let silent = plan.audio.iter().all(|s| s[1] == 0.0);
        // Blocks begin and end within some ticks of it.
        let edge = (60..64).contains(&n) || (449..453).contains(&n);
        assert!(edge || silent == (62..450).contains(&n), "tick {n}");
        if n > 460 {
            assert_eq!(plan.audio[5], coded(n * 1600 + 5), "tick {n}: together again");
        }
    }
    assert_eq!(stage.engine.input_stats(FILE).underruns, 0);
}

#[test]
fn a_filter_is_heard_and_not_metered() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
    let filter = AudioFilter { agc: true, ans: None };
    let mix = vec![MixSpec { filter, ..scene(&[FILE]).mix[0].clone() }];
    stage.command(Command::SetMix { bus: Bus::Pgm, mix });
    let mut plan = stage.tick();
    for k in 0..60 {
        stage.engine.audio(FILE, block(k * 33_333_333, (0..1600).map(|_| [0.5; 2])));
        plan = stage.tick();
    }
    // −6 dBFS came to −20.
    assert!((plan.audio[1599][0] - 0.1).abs() < 0.01, "{}", plan.audio[1599][0]);
    assert!((plan.meters.inputs[0].1.rms - 0.5).abs() < 0.01, "{:?}", plan.meters);
}

#[test]
fn one_track_is_enough() {
    for (video, audio) in [(true, false), (false, true)] {
        let mut stage = Stage::with(FrameRate::FPS_30, &[InputKind::Paced]);
        let (mut pictures, mut sounds) = (0, 0);
        for k in 0..60 {
            if video {
                stage.engine.video(FILE, frame(k * 33_333_333));
            }
            if audio {
                stage.engine.audio(FILE, block(k * 33_333_333, (0..1600).map(|_| [0.5; 2])));
            }
            let plan = stage.tick();
            pictures += u32::from(shown(&plan, 1).is_some());
            sounds += u32::from(plan.meters.master.peak > 0.1);
        }
        assert_eq!((pictures > 40, sounds > 40), (video, audio));
    }
}
