//! What can be chosen about encoders on air, by x264 and by NVENC over the simulated driver.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use onair::api::grpc::pb as v1;

use crate::edges::get;
use crate::faults::metric;
use crate::ladder::{RUNGS, prove_every_way, recordings};
use crate::nvenc::{beside_adapter, simulator};
use crate::proof::{Player, tap};
use crate::support::{From, Process, Server, Studio, probe, run_ffmpeg, ticks, wait_for};

const LONG: Duration = Duration::from_secs(40);
/// A group of pictures is 1 s.
const GOP_TICKS: usize = 30;
const BEGUN_BPS: u32 = 1_000_000;

/// Sizes of the pictures of a recording, and which are keyframes.
fn pictures(recording: &Path) -> Vec<(u32, bool)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size,flags"])
        .args(["-of", "csv=p=0"])
        .arg(recording)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let picture = |line: &str| {
        let (bytes, flags) = line.split_once(',').unwrap();
        (bytes.parse().unwrap(), flags.contains('K'))
    };
    text.lines().map(picture).collect()
}

/// Waits until a recording has so many frames more than it had.
fn await_more(file: &Path, frames: usize) {
    let before = ticks(file).len();
    wait_for("more frames", LONG, || (ticks(file).len() >= before + frames).then_some(()));
}

/// Players of PGM and of its rendition.
fn taps(server: &Server, studio: &Studio) -> Vec<(PathBuf, Process)> {
    let flv = studio.pgm.stream_infos.iter().filter(|info| info.video_format == "flv");
    let players = flv.map(|info| {
        let file = server.folder.path(&format!("{}.flv", info.transcode_config));
        let process = tap(&info.output_stream_url, &file);
        (file, process)
    });
    players.collect()
}

/// Asks for another bit rate; answers the refusal.
async fn set_bps(studio: &mut Studio, bps: u32) -> Result<(), tonic::Status> {
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let mut config = studio.client.describe_caster_config(request).await?.into_inner().config;
    let transcode = config.as_mut().and_then(|config| config.transcode_config.as_mut());
    transcode.unwrap().video_bps = Some(bps);
    let set = v1::SetCasterConfigRequest { caster_id, config };
    studio.client.set_caster_config(set).await.map(|_| ())
}

/// What PGM and its rendition were last encoded at, bit/s.
async fn kept(studio: &mut Studio) -> Vec<u32> {
    let state = studio.state().await;
    let encoded = state.outputs.iter().filter(|output| output.name.starts_with("pgm"));
    encoded.map(|output| output.video_bps).collect()
}

/// Lowers and raises the bit rate on air: nothing is seen of it but by who counts bytes.
async fn check(server: Server, encoder: &str) {
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=640x360:rate=30,noise=alls=60:allf=t -t 4 -c:v libx264 -preset ultrafast -crf 18 -pix_fmt \
         yuv420p {}",
        server.folder.path("media/noise.mp4").display()
    ));
    let mut studio = Studio::start_as(&server, &[From::Vod("file:noise.mp4")], |config| {
        let transcode = config.transcode_config.as_mut().unwrap();
        transcode.video_bps = Some(BEGUN_BPS);
        // As large as PGM, so that its bit rate is PGM's.
        transcode.live_templates = vec!["lld".into()];
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let taps = taps(&server, &studio);
    let opened = metric(&server, "onair_nvenc_sessions_opened_total");
    await_more(&taps[0].0, 4 * GOP_TICKS);
    for bps in [BEGUN_BPS / 2, BEGUN_BPS] {
        set_bps(&mut studio, bps).await.unwrap();
        let clock = onair::time::Clock::real();
        while kept(&mut studio).await != [bps; 2] {
            assert!(clock.now_ns() < 5_000_000_000, "{encoder}: not at {bps} bit/s");
        }
        await_more(&taps[0].0, 4 * GOP_TICKS);
        for (file, _) in &taps {
            // Whole groups, begun since.
            let pictures = pictures(file);
            let last = &pictures[pictures.len() - 2 * GOP_TICKS..];
            let kept_bps = last.iter().map(|(bytes, _)| bytes * 8).sum::<u32>() / 2;
            assert!(kept_bps.abs_diff(bps) < bps / 4, "{encoder}: {kept_bps}, not {bps} bit/s");
        }
    }
    let refused = set_bps(&mut studio, 90_000_000).await.unwrap_err();
    assert!(refused.message().contains("by the H.264 level"), "{refused:?}");
    assert_eq!(kept(&mut studio).await, [BEGUN_BPS; 2]);
    set_bps(&mut studio, 2 * BEGUN_BPS).await.unwrap();
    let master = studio.hls();
    wait_for("HLS to tell of it", LONG, || {
        let path = master.splitn(4, '/').nth(3).unwrap();
        let text = get(server.http, &format!("/{path}")).1;
        let told = text.split("BANDWIDTH=").skip(1).filter_map(|rest| rest.split(',').next());
        let mut told = told.filter_map(|bps| bps.parse::<u32>().ok());
        told.any(|bps| bps > 2 * BEGUN_BPS).then_some(())
    });
    assert_eq!(metric(&server, "onair_nvenc_sessions_opened_total"), opened);
    assert_eq!(metric(&server, "onair_output_encoder_restarts_total"), 0.0);
    let state = studio.state().await;
    let encoded = state.outputs.iter().filter(|output| output.name.starts_with("pgm"));
    assert!(encoded.into_iter().all(|output| output.encoder == encoder), "{state:?}");
    for (file, mut process) in taps {
        process.signal("INT");
        process.wait(Duration::from_secs(10));
        let ticks = ticks(&file);
        assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{encoder}: {ticks:?}");
        let on_grid = |(tick, (_, key)): (&u64, &(u32, bool))| {
            !key || tick.is_multiple_of(GOP_TICKS as u64) || *tick == ticks[0]
        };
        assert!(ticks.iter().zip(&pictures(&file)).all(on_grid), "{encoder}: other keyframes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_rate_changes_on_air_in_the_streams_of_x264() {
    check(Server::start_in(&[("ONAIR_ENCODER", "x264")]), "x264").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_rate_changes_on_air_in_the_streams_of_nvenc() {
    let libraries = simulator();
    let server = Server::start_in(&[
        ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
        ("ONAIR_NVIDIA_SIM", ""),
    ]);
    check(server, "nvenc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_x264_looks_ahead_is_missing_nowhere() {
    let server = Server::start_in(&[("ONAIR_ENCODER", "x264"), ("ONAIR_LOOKAHEAD_FRAMES", "8")]);
    prove_every_way(&server, Player::Debian, &RUNGS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nvenc_looks_ahead_is_missing_nowhere() {
    let libraries = simulator();
    let server = Server::start_in(&[
        ("ONAIR_LOOKAHEAD_FRAMES", "8"),
        ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
        ("ONAIR_NVIDIA_SIM", &beside_adapter("")),
    ]);
    prove_every_way(&server, Player::Debian, &RUNGS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_of_x264_are_in_their_place_everywhere() {
    let server = Server::start_in(&[("ONAIR_ENCODER", "x264"), ("ONAIR_B_FRAMES", "2")]);
    prove_every_way(&server, Player::Debian, &RUNGS).await;
    check_reordered(&server);
}

#[tokio::test(flavor = "multi_thread")]
async fn b_frames_of_nvenc_are_in_their_place_everywhere() {
    let libraries = simulator();
    let server = Server::start_in(&[
        ("ONAIR_B_FRAMES", "2"),
        ("ONAIR_HLS_SEGMENTS", "fmp4"),
        ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
        ("ONAIR_NVIDIA_SIM", &beside_adapter("")),
    ]);
    prove_every_way(&server, Player::Debian, &RUNGS).await;
    check_reordered(&server);
    for copies in ["onair_nvenc_host_copies_total", "onair_gpu_host_copies_total"] {
        assert_eq!(metric(&server, copies), 0.0, "{copies}");
    }
}

/// What was recorded has B-frames.
fn check_reordered(server: &Server) {
    for recording in recordings(&server.folder.path("data/record")) {
        let told = probe(recording.to_str().unwrap(), "v:0", "has_b_frames");
        assert_eq!(told, ["1"], "{}", recording.display());
    }
}
