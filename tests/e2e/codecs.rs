//! Other codecs than H.264, by every way out and as pushed sources; FFmpeg as player and peer, one that knows Enhanced RTMP.

use std::time::Duration;

use onair::api::grpc::pb as v1;

use crate::ladder::{EVERY_WAY, Ways, await_frames, prove_every_way, prove_ways, variants};
use crate::nvenc::{Simulated, beside_adapter};
use crate::proof::{Player, newer_ffmpeg, proof};
use crate::relays::configure;
use crate::support::{From, Process, Server, Studio, ffmpeg, run_ffmpeg, wait_for};

/// Ways out that carry AV1.
const AV1_WAYS: Ways = (&["rtmp"], &["flv", "mp4"]);

fn server(video_codec: &str) -> Server {
    Server::start_with(&[
        &format!("--video-codec={video_codec}"),
        "--playback-auth=public",
        "--ingest-auth=off",
        "--encoder=software",
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn hevc_goes_out_by_every_way() {
    // Without rungs: in a debug build three encoders of HEVC are more than two cores do. Rungs of HEVC: output/tests/hls.
    prove_every_way(&server("hevc"), Player::Newer, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ways_that_do_not_carry_av1_are_refused_by_name() {
    let server = server("av1");
    let studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let rtmp = v1::Relay { url: "rtmp://127.0.0.1:9/live/a".into(), ..Default::default() };
    let srt = v1::Relay { url: "srt://127.0.0.1:9".into(), ..Default::default() };
    let recorded = |format: &str| v1::RecordFormat { format: format.into(), ..Default::default() };
    for (relays, format, refused) in [
        (
            vec![rtmp.clone(), srt],
            "mp4",
            Some("A relay by SRT is MPEG-TS, which does not carry AV1."),
        ),
        (
            vec![rtmp.clone()],
            "m3u8",
            Some("A recording as m3u8 is MPEG-TS, which does not carry AV1."),
        ),
        (vec![rtmp], "mp4", None),
    ] {
        let mut client = studio.client.clone();
        let caster_id = studio.caster.clone();
        let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
        let told = client.describe_caster_config(request).await.unwrap().into_inner();
        let mut config = told.config.unwrap();
        config.relays = relays;
        let record_formats = vec![recorded(format)];
        config.record_config = Some(v1::RecordConfig { record_formats, ..Default::default() });
        let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
        let answer = client.set_caster_config(request).await;
        let said = answer.as_ref().err().map(tonic::Status::message);
        assert_eq!(said, refused);
    }
}

/// NVENC begins, and software goes on: whoever watches sees every frame.
async fn check_fall_back(video_codec: &str, ways: Ways) {
    let simulated = Simulated::start_as(&beside_adapter("gone=0@150"), video_codec);
    prove_ways(&simulated.server, Player::Newer, &[], ways).await;
    let log = simulated.log();
    for line in ["a session of height 480 is lost", "software goes on in the place of NVENC"] {
        assert!(log.contains(line), "{line} is not in the log");
    }
    simulated.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn hevc_of_an_encoder_that_breaks_goes_out_by_every_way() {
    check_fall_back("hevc", EVERY_WAY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn av1_of_an_encoder_that_breaks_goes_out_by_every_way_that_carries_it() {
    check_fall_back("av1", AV1_WAYS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_is_fragmented_mp4_and_says_what_it_is() {
    for (video_codec, begins) in [("hevc", "hvc1.1.6.L"), ("av1", "av01.0.0")] {
        check_hls(&server(video_codec), begins).await;
    }
}

async fn check_hls(server: &Server, begins: &str) {
    let studio = Studio::start(server, &[From::Vod("pattern:640x360@30")]).await;
    let master = studio.hls();
    let found = wait_for("the playlist", Duration::from_secs(20), || {
        Some(variants(&master)).filter(|found| !found.is_empty())
    });
    let (attributes, _) = &found[0];
    let said = attributes.split("CODECS=\"").nth(1).unwrap();
    assert!(said.starts_with(begins) && said.ends_with(",mp4a.40.2\""), "{attributes}");
    // Debian's FFmpeg does without Enhanced RTMP here.
    let file = server.folder.path("hls.mp4");
    run_ffmpeg(&format!("-i {master} -t 3 -c copy {}", file.display()));
    let frames = proof(&file).frames;
    assert!(frames.len() >= 60, "{} frames", frames.len());
}

/// A server's own relay is Enhanced RTMP, and so is what it takes.
#[tokio::test(flavor = "multi_thread")]
async fn hevc_that_is_pushed_is_a_source() {
    let server = server("hevc");
    let pushed = format!("rtmp://{}/live/back", server.rtmp);
    let mut first = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let full = first.full("RV01").await;
    first.take(&full).await;
    let mut second = Studio::start(&server, &[From::Live(pushed.clone())]).await;
    let relay = v1::Relay { url: pushed, ..Default::default() };
    configure(&mut first, |config| config.relays = vec![relay]).await;
    let live = |input: &v1::InputStatus| input.state().as_str_name().ends_with("LIVE");
    second.input_until("RV01", "live", live).await;
    let full = second.full("RV01").await;
    second.take(&full).await;
    let file = server.folder.path("second.mkv");
    let player = Player::Newer.tap(&second.flv(), &file);
    await_frames(&file, 8 * 30);
    drop(player);
    let proof = proof(&file);
    proof.check("through both");
    let (frames, jumps) = (proof.frames.len(), proof.jumps());
    println!("{frames} frames, jumps {jumps:?}, offset {:?} ms", proof.av_offset_ms);
    let numbered = proof.frames.iter().filter(|frame| frame.number.is_some()).count();
    assert!(numbered + 30 >= frames, "{numbered} of {frames} frames can be read");
}

/// Pushes a clip again and again, in real time.
fn push(clip: &std::path::Path, url: &str) -> Process {
    let line = format!("-re -stream_loop -1 -i {} -c copy -f flv {url}", clip.display());
    let mut newer = std::process::Command::new(newer_ffmpeg());
    newer.args(ffmpeg(&line).get_args()).stdin(std::process::Stdio::null());
    Process(newer.spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_plays_or_says_why_it_does_not() {
    let server = Server::start();
    let rows = [
        ("h264", "libx264 -preset ultrafast -bf 2", ""),
        ("hevc", "libx265 -preset ultrafast -x265-params log-level=none:bframes=2 -tag:v hvc1", ""),
        (
            "av1",
            "libsvtav1 -preset 12",
            "its video is av01 by Enhanced RTMP: H.264 and HEVC are read",
        ),
    ];
    let urls = rows.map(|(name, ..)| format!("rtmp://{}/live/{name}", server.rtmp));
    let sources = urls.clone().map(From::Live);
    let mut studio = Studio::start(&server, &sources).await;
    let mut pushers = Vec::new();
    for ((name, encoder, _), url) in rows.iter().zip(&urls) {
        let clip = server.folder.path(&format!("{name}.mp4"));
        run_ffmpeg(&format!(
            "-f lavfi -i testsrc2=size=320x180:rate=30:d=4 -f lavfi -i sine=sample_rate=48000:d=4 -g 30 \
             -pix_fmt yuv420p -c:v {encoder} -c:a aac {}",
            clip.display()
        ));
        pushers.push(push(&clip, url));
    }
    for (index, (name, _, fault)) in rows.iter().enumerate() {
        let location = format!("RV{:02}", index + 1);
        let fits = |input: &v1::InputStatus| match fault.is_empty() {
            true => input.state().as_str_name().ends_with("LIVE") && input.frames > 90,
            false => input.message.contains(fault),
        };
        let input = studio.input_until(&location, name, fits).await;
        println!("{name}: {input:?}");
    }
}
