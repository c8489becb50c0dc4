//! A broadcast as it is made every day, beside `ffmpeg` making the same outputs in one command.
//!
//! `cargo bench --bench broadcast -- [SECONDS]`, 600 by default: one 1280×720p30 file that repeats, PGM and three renditions
//! (x264 ultrafast, no look-ahead), live HLS of each, an MP4 recording, two RTMP relays to real receivers. Each of both
//! programs has the machine for itself, the receivers aside, which do the same work for both. CPU is user + system time of
//! the program's process between the end of its first ten seconds and the end of the run, by the kernel's account. Prints
//! Markdown; ends with 1 when a hundredth of the frames was late, frames were dropped, or a relay broke.

use std::path::Path;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::frame::Size;
use onair::media::encode::default_bitrate_bps;
use onair::time::Clock;
use onair::worker::StopToken;

#[path = "../tests/e2e/support.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use more of it, and a test that cannot go on panics"
)]
mod support;

use support::{From, Process, Server, Studio, free_port, run_ffmpeg, spawn_ffmpeg};

/// Until all of it runs; not counted.
const RUN_UP: Duration = Duration::from_secs(10);
/// ffmpeg's CPU per second is the same from minute to minute: longer than this it is not run.
const PEER_LENGTH: Duration = Duration::from_secs(120);
/// The programme and what is made of it, by the names that the API has for them.
const RUNGS: [(&str, Size); 3] =
    [("lld", Size::new(640, 360)), ("lsd", Size::new(854, 480)), ("lhd", Size::new(1280, 720))];
const CANVAS: Size = Size::new(1280, 720);
/// As the program's own default.
const AUDIO_BPS: u32 = 128_000;

type Failed = Box<dyn std::error::Error>;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let seconds = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(600);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run(Duration::from_secs(seconds))) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            println!("failed: {error}");
            std::process::exit(2);
        }
    }
}

async fn run(length: Duration) -> Result<bool, Failed> {
    let server = Server::start();
    let clip = server.folder.path("media").join("clip.mp4");
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 20 -pix_fmt yuv420p \
         -c:v libx264 -preset veryfast -g 60 -b:v 2500k -c:a aac -b:a 128k -ac 2 {}",
        clip.display()
    ));
    let (ours, states) = measure_onair(&server, length).await?;
    let theirs = measure_ffmpeg(&clip, &server.folder.path("peer"), length.min(PEER_LENGTH))?;
    println!("| what | CPU s per programme s | ratio |\n| --- | --- | --- |");
    println!("| ffmpeg, one command | {theirs:.3} | 1.00 |");
    println!("| onair | {ours:.3} | {:.2} |\n", ours / theirs);
    Ok(told(&states))
}

/// Prints how it went; whether it went well from the end of the run-up on, in which relays may find nobody listening yet.
fn told([before, state]: &[v1::WatchCasterResponse; 2]) -> bool {
    println!("| output | frames | late | dropped | restarts | relay |\n{}|", "| --- ".repeat(6));
    let mut is_well = true;
    for (output, before) in state.outputs.iter().zip(&before.outputs) {
        let relay = output.relay.as_ref();
        let reconnects_before = before.relay.as_ref().map_or(0, |relay| relay.reconnects);
        let told = relay.map_or_else(String::new, |relay| {
            is_well &= relay.state() == v1::RelayState::Live;
            is_well &= relay.reconnects == reconnects_before;
            format!("{:?}, {} reconnects", relay.state(), relay.reconnects)
        });
        let v1::OutputStatus { name, frames, frames_late, frames_dropped, restarts, .. } = output;
        println!("| {name} | {frames} | {frames_late} | {frames_dropped} | {restarts} | {told} |");
        is_well &= frames_late * 100 <= *frames;
        is_well &= *frames_dropped == before.frames_dropped && *restarts == 0;
    }
    println!("\n| stage | p50 µs | p99 µs | max µs |\n| --- | --- | --- | --- |");
    for stage in &state.stages {
        println!("| {} | {} | {} | {} |", stage.stage, stage.p50_us, stage.p99_us, stage.max_us);
    }
    is_well
}

/// CPU seconds of the server per second of its programme, and the state at the end.
async fn measure_onair(
    server: &Server,
    length: Duration,
) -> Result<(f64, [v1::WatchCasterResponse; 2]), Failed> {
    let receivers = [free_port(), free_port()].map(Receiver::start);
    let mut studio = Studio::start_as(server, &[From::Vod("file:clip.mp4")], |config| {
        config.transcode_config = Some(v1::TranscodeConfig {
            caster_template: "lp_hd".into(),
            live_templates: RUNGS.map(|(name, _)| name.into()).into(),
            ..Default::default()
        });
        config.side_output_urls = receivers.each_ref().map(|receiver| receiver.url.clone()).into();
        config.record_config = Some(v1::RecordConfig {
            record_formats: vec![v1::RecordFormat { format: "mp4".into(), ..Default::default() }],
            ..Default::default()
        });
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    StopToken::new().wait(RUN_UP);
    let before = studio.state().await;
    let used = used_over(server.process.0.id(), length)?;
    let state = studio.state().await;
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await?;
    Ok((used, [before, state]))
}

/// The same of ffmpeg.
fn measure_ffmpeg(clip: &Path, folder: &Path, length: Duration) -> Result<f64, Failed> {
    std::fs::create_dir_all(folder)?;
    let receivers = [free_port(), free_port()].map(Receiver::start);
    let peer = spawn_ffmpeg(&peer_command(clip, folder, &receivers));
    StopToken::new().wait(RUN_UP);
    used_over(peer.0.id(), length)
}

/// One command for all outputs: sound is encoded once, and each picture once.
fn peer_command(clip: &Path, folder: &Path, receivers: &[Receiver; 2]) -> String {
    let sizes = [CANVAS].into_iter().chain(RUNGS.map(|(_, size)| size));
    let mut filter = format!("[0:v]split={}[v0]", RUNGS.len() + 1);
    let (mut scales, mut maps) = (String::new(), String::from(" -map [v0]"));
    let mut encoders = String::new();
    let mut outputs = Vec::new();
    for (index, size) in sizes.enumerate() {
        if index > 0 {
            filter.push_str(&format!("[s{index}]"));
            let Size { width_px, height_px } = size;
            scales.push_str(&format!(
                ";[s{index}]scale={width_px}:{height_px}:flags=bilinear[v{index}]"
            ));
            maps.push_str(&format!(" -map [v{index}]"));
        }
        let bps = default_bitrate_bps(size);
        encoders.push_str(&format!(
            " -b:v:{index} {bps} -maxrate:v:{index} {bps} -bufsize:v:{index} {bps}"
        ));
        outputs.push(format!(
            "[select=\\'v:{index},a\\':f=hls:hls_time=2:hls_list_size=6:hls_flags=delete_segments]{}/{index}.m3u8",
            folder.display()
        ));
    }
    outputs.push(format!(
        "[select=\\'v:0,a\\':f=mp4:movflags=frag_keyframe+empty_moov]{}/record.mp4",
        folder.display()
    ));
    outputs.extend(receivers.iter().map(|to| format!("[select=\\'v:0,a\\':f=flv]{}", to.url)));
    format!(
        "-re -stream_loop -1 -i {} -filter_complex {filter}{scales}{maps} -map 0:a -c:v libx264 -preset ultrafast -tune zerolatency \
         -profile:v high -g 30 -keyint_min 30 -sc_threshold 0{encoders} -c:a aac -b:a {AUDIO_BPS} -flags +global_header -f tee {}",
        clip.display(),
        outputs.join("|")
    )
}

/// An RTMP server that takes one stream and throws it away.
struct Receiver {
    url: String,
    _process: Process,
}

impl Receiver {
    fn start(port: u16) -> Receiver {
        let url = format!("rtmp://127.0.0.1:{port}/live/show");
        let process = spawn_ffmpeg(&format!("-f flv -listen 1 -i {url} -c copy -f null -"));
        Receiver { url, _process: process }
    }
}

/// CPU seconds that a process uses per second, for so long.
fn used_over(process: u32, length: Duration) -> Result<f64, Failed> {
    let (pause, clock) = (StopToken::new(), Clock::real());
    let (cpu_before_s, begin_ns) = (cpu_s(process)?, clock.now_ns());
    pause.wait(length);
    let used_s = cpu_s(process)? - cpu_before_s;
    Ok(used_s / ((clock.now_ns() - begin_ns) as f64 / 1e9))
}

/// User and system time of a process so far.
fn cpu_s(process: u32) -> Result<f64, Failed> {
    /// `USER_HZ`, which Linux fixed for what `/proc` tells.
    const TICKS_PER_S: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, in brackets, may hold spaces. Fields 14 and 15 of proc(5) are utime and stime.
    let (_, rest) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let fields = rest.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_S)
}
