//! A long day: sources whose clocks are off by up to 200 ppm and that fail now and then, looked at every minute of it.
//!
//! An hour; with `ONAIR_THOROUGH=1` a whole day.

use std::time::Duration;

use onair::engine::{AudioFilter, ValidChannel};
use onair::engine::{
    Command, CommandId, Engine, EngineConfig, InputKind, InputState, MixSpec, Plan, Readiness,
    SceneSpec, Way,
};
use onair::frame::{AudioBlock, VideoFrame};
use onair::ids::{Bus, InputKey};
use onair::limits;
use onair::metrics::resident_bytes;
use onair::picture::{LayerSpec, Look, Placement, ScenePicture};
use onair::time::FrameRate;

use crate::CANVAS;
use crate::chance::Chance;
use crate::source::{BLOCK_NS, BLOCKS, LEVEL, MS, PICTURE, ROUND_NS, S, time_heard};

const RATE: FrameRate = FrameRate::FPS_30;
const PERIOD_NS: i64 = 33_333_333;
/// Largest distance of sound and picture.
const LIPS_NS: i64 = 20 * MS;
/// How long a gap is felt.
const FELT_NS: i64 = 4 * S;
const PPM: [i64; 4] = [-200, 200, -83, 117];

#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
fn is_thorough() -> bool {
    std::env::var("ONAIR_THOROUGH").is_ok_and(|text| text == "1")
}

/// A camera with its own clock.
struct Camera {
    key: InputKey,
    ppm: i64,
    frames: i64,
    blocks: i64,
    /// Nothing of it comes until then.
    gone_until_ns: i64,
    connects_anew: bool,
    /// Its timestamps begin at this time of its clock.
    zero_ns: i64,
}

impl Camera {
    fn clock(&self, now_ns: i64) -> i64 {
        now_ns + now_ns / 1000 * self.ppm / 1000
    }

    /// What it makes up to now comes, unless it is gone.
    fn step(&mut self, engine: &mut Engine, now_ns: i64) {
        let clock = self.clock(now_ns);
        let is_gone = now_ns < self.gone_until_ns;
        if !is_gone && std::mem::take(&mut self.connects_anew) {
            engine.input_state(self.key, InputState::Connecting);
            engine.input_state(self.key, InputState::Live);
            self.zero_ns = clock;
        }
        while self.frames * PERIOD_NS <= clock {
            let pts_ns = self.frames * PERIOD_NS - self.zero_ns;
            let frame = VideoFrame { pts_ns, picture: PICTURE.clone(), scaled: vec![] };
            if !is_gone {
                engine.video(self.key, frame);
            }
            self.frames += 1;
        }
        while (self.blocks + 1) * BLOCK_NS <= clock {
            let pts_ns = self.blocks * BLOCK_NS - self.zero_ns;
            let samples = BLOCKS[self.blocks as usize % BLOCKS.len()].clone();
            if !is_gone {
                engine.audio(self.key, AudioBlock { pts_ns, samples });
            }
            self.blocks += 1;
        }
    }

    /// Sound − picture of a plan that sounds this camera alone; none where it is silent.
    fn lips_ns(&self, plan: &Plan) -> Option<i64> {
        let sample = *plan.audio.first()?;
        let (_, frame) = plan.frames.iter().find(|(key, _)| *key == self.key)?;
        let picture_ns = frame.pts_ns + self.zero_ns;
        let apart = time_heard(&plan.audio) - picture_ns;
        (sample[1] == LEVEL).then(|| (apart + ROUND_NS / 2).rem_euclid(ROUND_NS) - ROUND_NS / 2)
    }
}

fn scene(key: InputKey) -> SceneSpec {
    let layer = |input| LayerSpec {
        input,
        placement: Placement::default(),
        delay_ms: 0,
        look: Look::default(),
    };
    let (channel, filter) = (ValidChannel::All, AudioFilter::default());
    SceneSpec {
        picture: ScenePicture { layers: vec![layer(key)], ..ScenePicture::default() },
        mix: vec![MixSpec { input: key, gain: 1.0, channel, delay_ms: 0, filter }],
    }
}

fn begin() -> (Engine, Vec<Camera>) {
    let mut engine = Engine::new(EngineConfig { rate: RATE, canvas: CANVAS, file_ahead: 1 });
    let cameras: Vec<_> = (1..)
        .zip(PPM)
        .map(|(key, ppm)| Camera {
            key: InputKey(key),
            ppm,
            frames: 0,
            blocks: 0,
            gone_until_ns: 0,
            connects_anew: false,
            zero_ns: 0,
        })
        .collect();
    let live = InputKind::Live { buffer: Duration::from_millis(300) };
    for camera in &cameras {
        let add = Command::AddInput { input: camera.key, kind: live, held: false };
        engine.command(CommandId(camera.key.0.into()), add);
    }
    (engine, cameras)
}

#[test]
fn lips_samples_and_queues_hold_for_a_day() {
    let hours = if is_thorough() { 24 } else { 1 };
    let (mut engine, mut cameras) = begin();
    let (mut chance, mut samples, mut checked, mut gaps) = (Chance::new(1), 0_u64, 0, 0);
    let minute = RATE.tick_at(60 * S as u64);
    let (mut longest, mut settled_bytes) = ([0; 2], 0);
    for n in 0..hours * 60 * minute {
        let now_ns = RATE.tick_ns(n) as i64;
        for camera in &mut cameras {
            // Once in ten minutes, and felt for less than a minute.
            if now_ns > camera.gone_until_ns + FELT_NS && chance.once_in(18_000) {
                camera.gone_until_ns = now_ns + chance.within(50 * MS, 20 * S);
                camera.connects_anew = chance.once_in(2);
                gaps += 1;
            }
            camera.step(&mut engine, now_ns);
        }
        let on = (n / minute) as usize % cameras.len();
        if n % minute == 0 {
            let (bus, spec) = (Bus::Pgm, scene(cameras[on].key));
            let when = Readiness { force: true, wait: Duration::ZERO };
            let set = Command::SetScene { bus, spec, when, way: Way::CUT };
            engine.command(CommandId(100 + n), set);
        }
        if n == 10 * minute {
            settled_bytes = resident_bytes();
        }
        let plan = engine.tick(n);
        samples += plan.audio.len() as u64;
        for camera in &cameras {
            let stats = engine.input_stats(camera.key);
            longest = [longest[0].max(stats.frames), longest[1].max(stats.samples)];
        }
        let camera = &cameras[on];
        let is_steady = now_ns > camera.gone_until_ns + FELT_NS && n % minute > 3 * 30;
        if is_steady {
            let lips_ns = camera.lips_ns(&plan);
            // The picture is that of the last period.
            let fine = lips_ns.is_some_and(|ns| (-LIPS_NS..=PERIOD_NS + LIPS_NS).contains(&ns));
            assert!(fine, "tick {n}, {} ppm: sound − picture is {lips_ns:?} ns", camera.ppm);
            checked += u64::from(n % minute == minute - 1);
        }
    }
    assert_eq!(samples, hours * 3600 * 48_000, "samples");
    assert!(checked > hours * 50 && gaps > hours * 10, "{checked} minutes checked, {gaps} gaps");
    let grown_kib = resident_bytes().saturating_sub(settled_bytes) / 1024;
    println!(
        "{hours} h: {checked} minutes, {gaps} gaps, at most {longest:?} frames and samples kept, {grown_kib} KiB more than \
         after 10 minutes"
    );
    assert!(settled_bytes > 0 && grown_kib < 4 * 1024, "{grown_kib} KiB");
    assert!(longest[0] <= limits::TIMELINE_FRAMES && longest[1] <= 2 * 48_000, "{longest:?}");
}
