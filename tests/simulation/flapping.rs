//! A source that comes and goes: standby switches no oftener than its rules say, and to the tick.

use std::time::Duration;

use onair::engine::{
    AutoStandby, Command, CommandId, Engine, EngineConfig, InputKind, InputState, Readiness,
    SceneSpec, StandIn, Vigil, Way,
};
use onair::frame::VideoFrame;
use onair::ids::{Bus, InputKey};
use onair::limits;
use onair::picture::{LayerSpec, Look, Placement, ScenePicture};
use onair::time::FrameRate;

use crate::CANVAS;
use crate::source::{PICTURE, S};

const CAMERA: InputKey = InputKey(1);
const STANDBY: InputKey = InputKey(2);
const RATE: FrameRate = FrameRate::FPS_30;
const GAP_NS: i64 = limits::SOURCE_GAP.as_nanos() as i64;

/// Ticks are rounded to nanoseconds.
const ROUNDED_NS: i64 = 1000;
/// How long the source flaps, and how long it is watched.
const FLAPS_NS: i64 = 600 * S;

fn scene(input: InputKey) -> SceneSpec {
    let (placement, look) = (Placement::default(), Look::default());
    let layers = vec![LayerSpec { input, placement, delay_ms: 0, look }];
    SceneSpec { picture: ScenePicture { layers, ..ScenePicture::default() }, mix: Vec::new() }
}

fn engine(after: Duration, back: Duration) -> Engine {
    let mut engine = Engine::new(EngineConfig { rate: RATE, canvas: CANVAS, file_ahead: 1 });
    let live = InputKind::Live { buffer: Duration::from_millis(300) };
    let vigil = Vigil {
        standby: Some(scene(STANDBY)),
        auto: Some(AutoStandby { after, back: Some(back) }),
        ..Vigil::default()
    };
    let when = Readiness { force: true, wait: Duration::ZERO };
    let commands = [
        Command::AddInput { input: CAMERA, kind: live, held: false },
        Command::AddInput { input: STANDBY, kind: InputKind::Still, held: false },
        Command::SetVigil(Box::new(vigil)),
        Command::SetScene { bus: Bus::Pgm, spec: scene(CAMERA), when, way: Way::CUT },
    ];
    for (id, command) in (0..).zip(commands) {
        engine.command(CommandId(id), command);
    }
    engine.tick(0);
    engine.input_state(CAMERA, InputState::Live);
    engine.video(STANDBY, VideoFrame { pts_ns: 0, picture: PICTURE.clone(), scaled: vec![] });
    engine
}

/// The rules, by what the camera was seen to show: when standby has to be on.
struct Rules {
    after_ns: i64,
    back_ns: i64,
    is_on: bool,
    good_since_ns: Option<i64>,
}

impl Rules {
    /// `still_ns` is how long the camera's last picture has been over at a tick.
    fn expects(&mut self, now_ns: i64, still_ns: i64) -> bool {
        let is_good = still_ns < GAP_NS;
        self.good_since_ns = is_good.then(|| self.good_since_ns.unwrap_or(now_ns));
        let good_ns = self.good_since_ns.map_or(-1, |since| now_ns - since);
        self.is_on = if self.is_on { good_ns < self.back_ns } else { still_ns >= self.after_ns };
        self.is_on
    }
}

/// A camera that is there for half of each period; answers how often standby came.
fn flap(frequency_mhz: i64, after_ms: u64, back_ms: u64) -> u64 {
    let what = format!("{frequency_mhz} mHz, after {after_ms} ms, back after {back_ms} ms");
    let (after, back) = (Duration::from_millis(after_ms), Duration::from_millis(back_ms));
    let mut engine = engine(after, back);
    let (after_ns, back_ns) = (after.as_nanos() as i64, back.as_nanos() as i64);
    let mut rules = Rules { after_ns, back_ns, is_on: false, good_since_ns: None };
    let (half_ns, tick_ns) = (500 * S / frequency_mhz, RATE.frame_ns() as i64);
    let (mut came, mut was_on, mut shown_ns) = (0, false, 0);
    for n in 1..RATE.tick_at((FLAPS_NS + 30 * S) as u64) {
        let now_ns = RATE.tick_ns(n) as i64;
        let begins_ns = 10 * S;
        let flaps = (begins_ns..FLAPS_NS).contains(&now_ns);
        if !flaps || (now_ns - begins_ns) / half_ns % 2 == 1 {
            let (pts_ns, picture) = (now_ns, PICTURE.clone());
            engine.video(CAMERA, VideoFrame { pts_ns, picture, scaled: vec![] });
        }
        let plan = engine.tick(n);
        if engine.input_stats(CAMERA).media_age_ticks == 0 {
            shown_ns = now_ns;
        }
        if now_ns < 5 * S {
            continue;
        }
        let still_ns = now_ns - shown_ns - tick_ns + ROUNDED_NS;
        let is_on = plan.stand_in == StandIn::Standby;
        assert_eq!(is_on, rules.expects(now_ns, still_ns), "{what}: tick {n}, {still_ns} ns");
        came += u64::from(is_on && !was_on);
        was_on = is_on;
    }
    assert!(!was_on, "{what}: the camera has been back for 30 s");
    let most = FLAPS_NS / (after_ns + back_ns) + 1;
    assert!(came as i64 <= most, "{what}: standby came {came} times, at most {most}");
    came
}

#[test]
fn a_source_that_flaps_switches_no_oftener_than_the_rules_say() {
    let mut total = 0;
    for frequency_mhz in [500, 700, 1000, 2000, 3300, 5000] {
        for (after_ms, back_ms) in [(110, 110), (110, 1010), (310, 310), (510, 5010), (910, 210)] {
            let came = flap(frequency_mhz, after_ms, back_ms);
            println!("{frequency_mhz} mHz, {after_ms} ms, {back_ms} ms: {came}");
            // Back is longer than it ever is good: it comes once, and stays for as long as the source flaps.
            let half_ms = 500_000 / frequency_mhz as u64;
            assert!(came <= 1 || back_ms < half_ms + 400, "{frequency_mhz} mHz: {came}");
            total += came;
        }
    }
    assert!(total > 100, "hardly anything was switched: {total}");
}
