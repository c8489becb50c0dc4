//! A show that is edited at random for a long time: does anything grow, is anything late?
//!
//! `cargo bench --bench soak -- SECONDS [SEED]` runs the built server at 1280×720p30 with four sources, PVW watched, and
//! changes scenes, layouts, components, sound and PGM several times a second. Prints a Markdown row a minute and a verdict.
//! How much a show needs depends on what it shows. So after the first minute of edits, and again at the end, both scenes
//! show the same plain layout for longer than anything idle is kept, and that is compared: ends with 1 if memory or GPU
//! objects grew between, or if the 99th percentile of lateness is a frame or more.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::time::Clock;

mod show;
#[path = "../../tests/e2e/support.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "the tests use more of it, and a test that cannot go on panics"
)]
mod support;

use show::{Chance, Show};
use support::{Server, record, run_ffmpeg};

/// Growth of resident memory after the first minute that counts as none: what the allocators of the media libraries round.
const RSS_SLACK: f64 = 0.03;
const FRAME_US: u64 = 33_333;
/// Edits before the first look.
const WARM_UP: Duration = Duration::from_secs(60);

type Failed = Box<dyn std::error::Error>;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let seconds = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(3600);
    let seed = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(run(seconds, Chance(seed))) {
        Ok(true) => {}
        Ok(false) => std::process::exit(1),
        Err(error) => {
            println!("failed: {error}");
            std::process::exit(2);
        }
    }
}

/// What is looked at once a minute.
struct Sample {
    rss_mib: f64,
    gpu_objects: f64,
}

async fn run(seconds: u64, mut chance: Chance) -> Result<bool, Failed> {
    let server = Server::start();
    let clip = server.folder.path("media").join("clip.mp4");
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 10 -pix_fmt yuv420p \
         -c:v libx264 -preset veryfast -g 60 -c:a aac {}",
        clip.display()
    ));
    let mut show = Show::start(&server).await?;
    // Somebody watches both, so that both are drawn.
    let folder = std::env::temp_dir().join(format!("onair-soak-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let _viewers = [show.pvw.stream_url.clone(), show.flv()]
        .map(|url| (record(&url, std::path::Path::new("/dev/null")), url));
    println!(
        "| minute | edits | refused | RSS MiB | GPU objects |\n| --- | --- | --- | --- | --- |"
    );
    let clock = Clock::real();
    show.edit_for(WARM_UP, &mut chance, &server, &clock).await?;
    let first = show.still(&server).await?;
    show.edit_for(Duration::from_secs(seconds), &mut chance, &server, &clock).await?;
    let last = show.still(&server).await?;
    let state = show.state().await?;
    std::fs::remove_dir_all(folder)?;
    Ok(verdict([first, last], &state))
}

fn verdict([first, last]: [Sample; 2], state: &v1::WatchCasterResponse) -> bool {
    let growth = last.rss_mib / first.rss_mib - 1.0;
    let lateness = state.stages.iter().find(|stage| stage.stage == "lateness");
    let p99_us = lateness.map_or(u64::MAX, |stage| stage.p99_us);
    println!(
        "\nSame picture after the first minute and at the end: RSS {:.1} → {:.1} MiB ({:+.1} %), GPU objects {} → {}; lateness \
         p50 {} µs, p99 {p99_us} µs",
        first.rss_mib,
        last.rss_mib,
        growth * 100.0,
        first.gpu_objects,
        last.gpu_objects,
        lateness.map_or(0, |stage| stage.p50_us),
    );
    for output in &state.outputs {
        println!(
            "{}: {} frames, {} late, {} dropped",
            output.name, output.frames, output.frames_late, output.frames_dropped
        );
    }
    growth <= RSS_SLACK && last.gpu_objects <= first.gpu_objects && p99_us < FRAME_US
}

fn sample(server: &Server) -> Result<Sample, Failed> {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.process.0.id()))?;
    let pages: f64 = statm.split_whitespace().nth(1).ok_or("no resident size")?.parse()?;
    let mut connection = TcpStream::connect(server.http)?;
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: onair\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    connection.read_to_string(&mut page)?;
    let objects = page.lines().find_map(|line| line.strip_prefix("onair_gpu_objects "));
    let gpu_objects = objects.ok_or("no count of GPU objects on the metrics page")?.parse()?;
    Ok(Sample { rss_mib: pages * 4.0 / 1024.0, gpu_objects })
}
