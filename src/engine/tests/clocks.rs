//! Live inputs: clocks that differ, jumps, stalls, bursts, one track only.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Event, InputKind};
use super::{Stage, block, frame, shown};
use crate::frame::{AudioBlock, StereoSample};
use crate::ids::InputKey;
use crate::time::FrameRate;

const CAM: InputKey = InputKey(1);
const MS: i64 = 1_000_000;
const S: i64 = 1000 * MS;

fn live(buffer_ms: u64) -> InputKind {
    InputKind::Live { buffer: Duration::from_millis(buffer_ms) }
}

/// A camera whose clock runs `1 + ppm / 10^6` times as fast as the show's; its timestamps are what its clock says plus an
/// offset. Audio carries the source's time as a slope (left) and 0.25 (right).
struct Camera {
    ppm: i64,
    offset_ns: i64,
    delay_ns: i64,
    frames: i64,
    blocks: i64,
    /// Frames and blocks are made, but lost.
    lost: [bool; 2],
    /// Blocks are all the same one, which is quicker to make.
    silence: Option<Arc<[StereoSample]>>,
}

const PERIOD: i64 = S / 30;
const BLOCK: i64 = 20 * MS;
/// The slope of the coded samples: a whole round in 8 s, so that a sample tells its time to well under a millisecond.
const ROUND_NS: i64 = 8 * S;

impl Camera {
    fn new(ppm: i64) -> Camera {
        Camera {
            ppm,
            offset_ns: 5 * S,
            delay_ns: 0,
            frames: 0,
            blocks: 0,
            lost: [false; 2],
            silence: None,
        }
    }

    /// Sends what the camera has made by `now`.
    fn send(&mut self, stage: &mut Stage, now_ns: i64) {
        let now = now_ns - self.delay_ns;
        let clock = now + (now as i128 * self.ppm as i128 / 1_000_000) as i64;
        while self.frames * PERIOD <= clock {
            if !self.lost[0] {
                stage.engine.video(CAM, frame(self.frames * PERIOD + self.offset_ns));
            }
            self.frames += 1;
        }
        while (self.blocks + 1) * BLOCK <= clock {
            let at = self.blocks * BLOCK;
            if let Some(samples) = self.silence.clone() {
                let pts_ns = at + self.offset_ns;
                stage.engine.audio(CAM, AudioBlock { pts_ns, samples });
            } else if !self.lost[1] {
                let samples = (0..960).map(|i| {
                    let t = (at + i * 62_500 / 3) % ROUND_NS;
                    [t as f32 / ROUND_NS as f32 / 2.0, 0.25]
                });
                stage.engine.audio(CAM, block(at + self.offset_ns, samples));
            }
            self.blocks += 1;
        }
    }

    /// Sound minus picture at the start of a plan's tick, ns; between frames the picture is up to a period older.
    fn lips_ns(&self, plan: &super::Plan) -> i64 {
        let picture = shown(plan, 1).unwrap() - self.offset_ns;
        let sound = (f64::from(plan.audio[0][0]) * 2.0 * ROUND_NS as f64) as i64;
        (sound - picture + ROUND_NS / 2).rem_euclid(ROUND_NS) - ROUND_NS / 2
    }
}

fn run(
    stage: &mut Stage,
    camera: &mut Camera,
    ticks: u64,
    mut look: impl FnMut(&super::Plan, &Camera),
) {
    for _ in 0..ticks {
        camera.send(stage, FrameRate::FPS_30.tick_ns(stage.n) as i64);
        let plan = stage.tick();
        look(&plan, camera);
    }
}

#[test]
fn clocks_200_ppm_off_hold_for_a_day() {
    for ppm in [-200, 200] {
        let mut stage = Stage::with(FrameRate::FPS_30, &[live(500)]);
        let mut camera = Camera::new(ppm);
        let mut worst = [0i64, 0];
        for hour in 0..24 {
            // Unheard for most of the hour (which costs nothing), listened to at its end.
            for entry in [false, true] {
                let keys = if entry { vec![CAM] } else { vec![] };
                let mix = super::scene(&keys).mix;
                let bus = crate::ids::Bus::Pgm;
                stage.command(super::Command::SetMix { bus, mix });
                camera.silence = (!entry).then(|| vec![[0.0; 2]; 960].into());
                let ticks = if entry { 30 * 20 } else { 30 * 3580 };
                run(&mut stage, &mut camera, ticks, |plan, camera| {
                    assert!(hour == 0 || plan.events.is_empty(), "{:?}", plan.events);
                    if entry && plan.audio[0][1] == 0.25 {
                        let lips = camera.lips_ns(plan);
                        worst = [worst[0].min(lips), worst[1].max(lips)];
                    }
                });
            }
        }
        let stats = stage.engine.input_stats(CAM);
        assert_eq!((stats.reanchors, stats.underruns), (0, 0), "{ppm} ppm: {stats:?}");
        assert!((400..=560).contains(&stats.buffered_ms), "{ppm} ppm: {stats:?}");
        assert!((stats.drift_ppm - ppm as f32).abs() < 30.0, "{ppm} ppm: {stats:?}");
        // The picture is of the last 33 ms; the sound of this moment.
        assert!(worst[0] >= -2 * MS && worst[1] <= PERIOD + 2 * MS, "{ppm} ppm: {worst:?} ns");
    }
}

#[test]
fn jumps_are_seamless() {
    let wrap = |bits: u32, ns: i64| -(1i64 << bits) * ns;
    let table = [
        ("an hour on", 3600 * S),
        ("an hour back", -3600 * S),
        ("24 bits of ms", wrap(24, MS)),
        ("31 bits of ms", wrap(31, MS)),
        ("32 bits of ms", wrap(32, MS)),
        ("33 bits at 90 kHz", wrap(33, 100_000) / 9),
    ];
    for (name, by) in table {
        let mut stage = Stage::with(FrameRate::FPS_30, &[live(300)]);
        let mut camera = Camera::new(0);
        run(&mut stage, &mut camera, 100, |_, _| {});
        camera.offset_ns += by;
        let mut still = 0;
        let mut told = 0;
        let mut last = i64::MIN;
        run(&mut stage, &mut camera, 100, |plan, camera| {
            told += plan.events.iter().filter(|e| matches!(e, Event::Reanchored { .. })).count();
            let pts = shown(plan, 1).unwrap();
            let old = (pts - camera.offset_ns).abs() > 1000 * S;
            let pts = if old { pts + by } else { pts };
            assert!(pts >= last, "{name}: {last} then {pts}");
            still += u32::from(pts == last);
            last = pts;
            assert!(plan.audio.iter().all(|s| s[1] > 0.0), "{name}: silence");
            if !old && plan.audio[0][1] == 0.25 {
                let lips = camera.lips_ns(plan);
                assert!((-12 * MS..=PERIOD + 12 * MS).contains(&lips), "{name}: {lips}");
            }
        });
        assert!(still <= 2 && told == 1, "{name}: {still} repeats, told {told} times");
    }
}

#[test]
fn a_restart_of_the_source_plays_with_the_same_depth() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[live(300)]);
    let mut camera = Camera::new(0);
    run(&mut stage, &mut camera, 300, |_, _| {});
    camera.lost = [true; 2];
    run(&mut stage, &mut camera, 300, |_, _| {});
    assert!(!stage.engine.ready(CAM), "a picture of ten seconds ago");
    // Timestamps begin at zero again.
    camera.lost = [false; 2];
    camera.offset_ns = -camera.frames * PERIOD;
    run(&mut stage, &mut camera, 15, |_, _| {});
    assert!(stage.engine.ready(CAM));
    let now = |stage: &Stage| FrameRate::FPS_30.tick_ns(stage.n) as i64;
    run(&mut stage, &mut camera, 1, |_, _| {});
    let due = now(&stage);
    run(&mut stage, &mut camera, 1, |plan, camera| {
        let age = due - (shown(plan, 1).unwrap() - camera.offset_ns);
        assert!((290 * MS..=370 * MS).contains(&age), "{} ms old", age / MS);
    });
}

#[test]
fn stalls_end_without_old_material() {
    // What the network does for 3 s: hold everything back and then deliver it at once, deliver later from then on, or lose.
    for (name, delay_after, lost) in
        [("burst", 0, false), ("later", 3 * S, false), ("lost", 0, true)]
    {
        let mut stage = Stage::with(FrameRate::FPS_30, &[live(500)]);
        let mut camera = Camera::new(0);
        run(&mut stage, &mut camera, 300, |_, _| {});
        camera.lost = [lost; 2];
        for _ in 0..90 {
            camera.delay_ns += if lost { 0 } else { PERIOD };
            run(&mut stage, &mut camera, 1, |_, _| {});
        }
        camera.delay_ns = delay_after;
        camera.lost = [false; 2];
        let (mut last, mut jumps) = (i64::MAX, Vec::new());
        let mut ages = Vec::new();
        for _ in 0..60 {
            let now = FrameRate::FPS_30.tick_ns(stage.n) as i64;
            run(&mut stage, &mut camera, 1, |plan, camera| {
                let pts = shown(plan, 1).unwrap();
                jumps.push(pts.saturating_sub(last) / PERIOD);
                last = pts;
                ages.push((now - camera.delay_ns - (pts - camera.offset_ns)) / MS);
            });
        }
        let long = jumps.iter().filter(|by| **by > 3).count();
        assert!(long <= 1, "{name}: fast forward {jumps:?}");
        assert!((460..=570).contains(&ages[59]), "{name}: {ages:?} ms old");
        let first = ages.iter().position(|age| *age <= 570).unwrap();
        assert!(first <= 25, "{name}: back after {first} ticks");
    }
}

#[test]
fn a_burst_at_the_start_costs_no_latency() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[live(300)]);
    let mut camera = Camera::new(0);
    // Two seconds of the past, eight frames a tick: what an RTMP server sends to begin with.
    for k in 0..8 {
        camera.delay_ns = 2 * S - k * 8 * PERIOD;
        run(&mut stage, &mut camera, 1, |_, _| {});
    }
    camera.delay_ns = 0;
    run(&mut stage, &mut camera, 30, |_, _| {});
    let now = FrameRate::FPS_30.tick_ns(stage.n) as i64;
    run(&mut stage, &mut camera, 1, |plan, camera| {
        let age = now - (shown(plan, 1).unwrap() - camera.offset_ns);
        assert!((250 * MS..=550 * MS).contains(&age), "{} ms old", age / MS);
    });
}

#[test]
fn either_track_may_be_missing_or_late() {
    for lost in [[true, false], [false, true]] {
        let mut stage = Stage::with(FrameRate::FPS_30, &[live(200)]);
        let mut camera = Camera { lost, ..Camera::new(0) };
        let (mut pictures, mut sounds) = (0, 0);
        run(&mut stage, &mut camera, 100, |plan, _| {
            pictures += u32::from(shown(plan, 1).is_some());
            sounds += u32::from(plan.meters.master.peak > 0.2);
        });
        assert_eq!((pictures > 80, sounds > 80), (!lost[0], !lost[1]));
        // The other begins: both in step.
        camera.lost = [false; 2];
        run(&mut stage, &mut camera, 60, |_, _| {});
        run(&mut stage, &mut camera, 60, |plan, camera| {
            let lips = camera.lips_ns(plan);
            assert!((-2 * MS..=PERIOD + 2 * MS).contains(&lips), "{lost:?}: {lips}");
        });
    }
}

#[test]
fn underruns_do_not_click() {
    let mut stage = Stage::with(FrameRate::FPS_30, &[live(100)]);
    let mut camera = Camera::new(50);
    let mut last = 0.0;
    for round in 0..6 {
        camera.lost = [false, round % 2 == 1];
        run(&mut stage, &mut camera, 60, |plan, _| {
            for sample in &plan.audio {
                // 0.25 over 240 samples, while another 0.25 may fade the other way, and over the gain's ramp.
                assert!((sample[1] - last).abs() < 0.0025, "a step from {last} to {}", sample[1]);
                last = sample[1];
            }
        });
    }
}
