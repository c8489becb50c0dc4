//! The edges as others see them: who is let in, what the pages say, what survives a restart.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use onair::api::client;
use onair::api::grpc::pb as v1;

use crate::support::{
    From, KEY, SECRET, Server, Studio, probe, run_ffmpeg, spawn_ffmpeg, wait_for,
};

/// Status line and body of a page.
pub(crate) fn get(http: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(http).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_tell_health_and_metrics() {
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    for page in ["/healthz", "/readyz"] {
        assert!(get(server.http, page).0.ends_with("200 OK"), "{page}");
    }
    let page = wait_for("frames in the metrics", Duration::from_secs(10), || {
        let (_, page) = get(server.http, "/metrics");
        let told = ["onair_output_frames_total{", "onair_input_luma_mean{"];
        told.iter().all(|metric| page.contains(metric)).then_some(page)
    });
    for metric in [
        "onair_caster_on_air",
        "onair_input_frames_total",
        "onair_stage_p99_microseconds",
        "onair_input_black_seconds{",
        "onair_pgm_luma_mean{",
        "onair_pgm_frozen_seconds{",
        "onair_gpu_device_lost_total 0",
    ] {
        assert!(page.contains(metric), "{metric} is missing in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_the_key() {
    let server = Server::start_with(&["--playback-auth", "signed", "--ingest-auth", "key"]);
    let wrong = client::connect(server.grpc, KEY, "not the secret").await;
    let refused = wrong.unwrap().describe_casters(v1::DescribeCastersRequest::default()).await;
    assert_eq!(refused.unwrap_err().code(), tonic::Code::Unauthenticated);
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    // Signed addresses play, PVW (made only while it is watched) too.
    for url in [studio.flv(), studio.pvw.stream_url.clone()] {
        assert_eq!(probe(&url, "v:0", "codec_name"), ["h264"], "{url}");
        let bare = url.split('?').next().unwrap().to_owned();
        let refused = std::process::Command::new("ffprobe").args(["-v", "error", &bare]).status();
        assert!(!refused.unwrap().success(), "{bare} plays without its key");
    }
    // A push without its key is refused, one with it is taken.
    let bare = format!("rtmp://{}/live/cam", server.rtmp);
    let source =
        "-re -f lavfi -i testsrc2=size=320x180:rate=30 -c:v libx264 -preset ultrafast -g 30 -f flv";
    let mut refused = spawn_ffmpeg(&format!("{source} {bare}"));
    assert!(!refused.wait(Duration::from_secs(20)).success());
    let printed = std::process::Command::new(env!("CARGO_BIN_EXE_onair"))
        .args(["push-url", "live/cam", "--rtmp", &server.rtmp.to_string(), "--data"])
        .arg(server.folder.path("data"))
        .output()
        .unwrap();
    let signed = String::from_utf8(printed.stdout).unwrap();
    run_ffmpeg(&format!("-t 1 {source} {}", signed.trim()).replace("-t 1 -re", "-re -t 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_the_show_comes_back_by_itself() {
    let mut server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    server.process.signal("KILL");
    server.process.wait(Duration::from_secs(5));
    let server = server.again();
    let mut client = client::connect(server.grpc, KEY, SECRET).await.unwrap();
    let request = v1::WatchCasterRequest { caster_id: studio.caster, ..Default::default() };
    let mut states = client.watch_caster(request).await.unwrap().into_inner();
    loop {
        let state = states.message().await.unwrap().unwrap();
        if state.tally.is_some_and(|tally| tally.pgm == ["RV01"]) {
            break;
        }
    }
}
