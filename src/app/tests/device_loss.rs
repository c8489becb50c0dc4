//! A graphics device that is lost in the middle of a show.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::*;
use crate::app::frame_thread::{self, Lines, Message, Report};
use crate::app::run_tick::{Counts, Curtain, FrameLoop, Stages, Trouble};
use crate::engine::{Command, Engine, EngineConfig, Readiness, SceneSpec, Way};
use crate::frame::{Color, Picture, PixelFormat, Plane};
use crate::gpu::AdapterChoice;
use crate::ids::{Bus, InputKey};
use crate::input::{self, AllowList, Input, InputOptions, Pacing, SourceSpec};
use crate::media::encode::VideoSettings;
use crate::media::encode::testing::{Dir, RATE, SIZE, await_true, tool_output};
use crate::media::nvdec::Decoder;
use crate::media::pattern::{Area, read_frame_number};
use crate::output::testing::settings;
use crate::output::{self, Overflow, ProgrammeSettings, Sink};
use crate::picture::{LayerSpec, Look, Placement, ScenePicture};
use crate::shot::ScaleQuality;
use crate::time::Clock;
use crate::worker::Outcome;

const PATTERN: InputKey = InputKey(1);
const LONG: Duration = Duration::from_secs(20);

fn pattern() -> Input {
    let options = InputOptions {
        key: PATTERN,
        name: "pattern".into(),
        retry: false,
        prescale: Some(ScaleQuality::default()),
        decoder: Decoder::default(),
        lossless: true,
        buffer: Duration::ZERO,
        clock: Clock::real(),
        allow: Arc::new(AllowList::default()),
    };
    let spec = "pattern:320x180@30".parse().unwrap();
    input::start(SourceSpec::Pattern { spec, pacing: Pacing::OnDemand }, options).unwrap()
}

/// The pattern over the whole canvas.
fn scene() -> Command {
    let placement = Placement { width: 1.0, height: 1.0, ..Placement::default() };
    let layer = LayerSpec { input: PATTERN, placement, delay_ms: 0, look: Look::default() };
    let picture = ScenePicture { layers: vec![layer], ..ScenePicture::default() };
    let spec = SceneSpec { picture, ..SceneSpec::default() };
    let when = Readiness { force: true, wait: Duration::ZERO };
    Command::SetScene { bus: Bus::Pgm, spec, when, way: Way::CUT }
}

fn frame_loop(pgm: Canvas, flow: Flow) -> FrameLoop {
    FrameLoop {
        engine: Engine::new(EngineConfig { rate: RATE, canvas: SIZE, file_ahead: 3 }),
        inputs: BTreeMap::new(),
        pgm,
        pvw: None,
        waiting: BTreeMap::new(),
        stages: Stages::default(),
        counts: Counts::default(),
        trouble: Trouble::default(),
        clock: Clock::real(),
        flow,
        curtain: Curtain::Open,
        first_tick: None,
        late_scalers: None,
    }
}

fn output() -> ProgrammeSettings {
    let video = VideoSettings { bitrate_bps: 3_000_000, ..settings("").video };
    ProgrammeSettings { video, ..settings("device-loss") }
}

/// The frame numbers of the pattern in a recorded file.
fn numbers(path: &str) -> Vec<Option<u64>> {
    let args = ["-i", path, "-an", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"];
    let bytes = Bytes::from(tool_output("ffmpeg", &args));
    let shapes = PixelFormat::I420.plane_shapes(SIZE);
    let frame_bytes: usize = shapes.iter().map(|(row, rows)| row * rows).sum();
    (0..bytes.len() / frame_bytes)
        .map(|frame| {
            let mut start = frame * frame_bytes;
            let planes = shapes.iter().map(|&(row, rows)| {
                let data = bytes.slice(start..start + row * rows);
                start += row * rows;
                Plane { data, stride_bytes: row }
            });
            let planes = planes.collect();
            let picture = Picture::new(PixelFormat::I420, SIZE, Color::CANVAS, planes).unwrap();
            read_frame_number(&picture, Area::whole(&picture))
        })
        .collect()
}

#[test]
fn a_live_show_goes_on() {
    let dir = Dir::new();
    let path = dir.0.join("show.mp4");
    let output = Arc::new(output::start(&output()).unwrap());
    output.add_sink(Sink::File { path: path.clone(), overflow: Overflow::Wait }).unwrap();
    let supply = Arc::new(Supply::open(AdapterChoice::default(), None).unwrap());
    let gpu = supply.gpu().unwrap();
    let compositor = Compositor::new(gpu.clone(), SIZE).unwrap();
    let canvas = Canvas::new(compositor, output.clone(), Some(supply.clone()));
    let frames = frame_loop(canvas, Flow::Live);
    let clock = frames.clock.clone();
    let (messages, inbox) = bounded(8);
    let (bin, _discarded) = bounded(8);
    let (sender, report) = watch::channel(Arc::new(Report::default()));
    let thread = worker::spawn("frames", StopToken::new(), move |stop| {
        let (news, _) = crossbeam_channel::bounded(1);
        let pulse = worker::Pulse::default();
        let lines = Lines { inbox, report: sender, news, bin, pulse, origin_ns: None };
        frame_thread::run(frames, RATE, &lines, &stop);
    });
    let (reply, _answer) = oneshot::channel();
    messages.send(Message::AddInput(pattern())).unwrap();
    messages.send(Message::Command(scene(), reply)).unwrap();
    let tick = || report.borrow().tick;
    await_true("the show began", || tick() > 30);
    gpu.destroy();
    let lost_at = tick();
    await_true("the loss was noticed", || supply.lost() == 1);
    await_true("the show went on", || tick() > lost_at + 90);
    assert!(!supply.gpu().unwrap().is_lost());
    assert_eq!(thread.unwrap().join(), Outcome::Returned);
    let elapsed_ns = clock.now_ns() - report.borrow().started_ns.unwrap();
    let counts = report.borrow().counts;
    output.finish(LONG);
    let stats = output.stats();
    let shown = numbers(path.to_str().unwrap());
    assert_eq!(shown.len() as u64, stats.encoded);
    // One is made at the begin of its time, so they may be one ahead; the end of the show takes a moment.
    let due = RATE.tick_at(elapsed_ns);
    assert!((due - 10..=due + 1).contains(&stats.encoded), "{} of {due}", stats.encoded);
    // Nobody waited for the driver.
    assert!(counts.late < 60, "{counts:?}");
    assert!(counts.repeated > 0 && counts.dropped == 0, "{counts:?}");
    // Never back, and at the end as far on as if nothing had been.
    let known: Vec<u64> = shown.iter().copied().flatten().collect();
    assert!(known.is_sorted(), "{known:?}");
    let [first, last] = [known[0], known[known.len() - 1]];
    assert!(last - first >= 90, "{first} to {last} in {} frames", shown.len());
    let still = known.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    assert!(still >= counts.repeated.min(5), "{still} repeats, {counts:?}");
}

#[test]
fn a_render_says_so_and_ends() {
    let supply = Supply::open(AdapterChoice::default(), None).unwrap();
    let gpu = supply.gpu().unwrap();
    let compositor = Compositor::new(gpu.clone(), SIZE).unwrap();
    let output = Arc::new(output::start(&output()).unwrap());
    let mut frames = frame_loop(Canvas::new(compositor, output.clone(), None), Flow::Offline);
    for tick in 0..5 {
        frames.run_tick(tick, Pace::OnTime);
    }
    assert!(frames.pgm.lost().is_none());
    gpu.destroy();
    // An empty scene that does not change is not drawn again.
    let add = Command::AddInput { input: PATTERN, kind: pattern().kind(), held: false };
    frames.engine.command(crate::engine::CommandId(1), add);
    frames.engine.command(crate::engine::CommandId(2), scene());
    for tick in 5..8 {
        frames.run_tick(tick, Pace::OnTime);
    }
    assert!(matches!(frames.pgm.lost(), Some(GpuError::Lost(_))));
    output.finish(LONG);
    assert_eq!(output.stats().encoded, 8);
}
