//! Every kind of source reaches PGM, next to the others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use std::time::Duration;

use onair::api::grpc::pb as v1;

use crate::support::{From, Server, Studio, free_port, run_ffmpeg, spawn_ffmpeg};

const CLIP: &str =
    "-f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=frequency=440:sample_rate=44100";
const H264: &str =
    "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -c:a aac";

/// A web server that gives out one folder, until the test ends.
fn serve_files(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::Builder::new()
        .spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 2048];
                let len = stream.read(&mut request).unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..len]).into_owned();
                let name = text.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
                let reply = match std::fs::read(folder.join(name)) {
                    Ok(body) => {
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                            body.len()
                        );
                        [head.into_bytes(), body].concat()
                    }
                    Err(_) => {
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                            .to_vec()
                    }
                };
                let _ = stream.write_all(&reply);
            }
        })
        .unwrap();
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_flv_hls_srt_file_and_image_all_show() {
    let server = Server::start();
    let media = server.folder.path("media");
    run_ffmpeg(&format!("{CLIP} -t 2 {H264} {}", media.join("clip.mp4").display()));
    run_ffmpeg(&format!(
        "-f lavfi -i color=c=red:s=64x64 -frames:v 1 {}",
        media.join("red.png").display()
    ));
    let pushed = format!("rtmp://{}/live/cam", server.rtmp);
    let _pusher = spawn_ffmpeg(&format!("-re {CLIP} {H264} -f flv {pushed}"));
    let flv = format!("http://127.0.0.1:{}/live.flv", free_port());
    let _flv = spawn_ffmpeg(&format!("-re {CLIP} {H264} -f flv -listen 1 {flv}"));
    let srt = format!("srt://127.0.0.1:{}", free_port());
    let _srt = spawn_ffmpeg(&format!("-re {CLIP} {H264} -f mpegts {srt}?mode=listener"));
    let hls = server.folder.path("hls");
    std::fs::create_dir_all(&hls).unwrap();
    let _hls = spawn_ffmpeg(&format!(
        "-re {CLIP} {H264} -f hls -hls_time 1 -hls_list_size 4 -hls_flags temp_file {}",
        hls.join("live.m3u8").display()
    ));
    let port = serve_files(hls);
    let sources = [
        From::Live(pushed),
        From::Live(flv),
        From::Live(format!("http://127.0.0.1:{port}/live.m3u8")),
        From::Live(srt),
        From::Vod("file:clip.mp4"),
        From::Image("file:red.png"),
        From::Vod("pattern:"),
    ];
    let mut studio = Studio::start(&server, &sources).await;
    for index in 0..sources.len() {
        let location = format!("RV{:02}", index + 1);
        let input = studio
            .input_until(&location, "live with a picture", |input| {
                input.state().as_str_name().ends_with("LIVE") && input.frames > 0
            })
            .await;
        println!("{location}: {input:?}");
        // What is live can be taken: its picture is on air.
        let layout = studio.full(&location).await;
        studio.take(&layout).await;
        assert_eq!(studio.state().await.tally.unwrap().pgm, [location]);
    }
}

/// Has a source tell how far it is.
async fn ask_for_positions(studio: &mut Studio, resource_id: &str, interval_ms: i32) {
    let request = v1::ModifyCasterVideoResourceRequest {
        caster_id: studio.caster.clone(),
        resource_id: resource_id.to_owned(),
        video_resource: Some(v1::VideoResource {
            pts_callback_interval: Some(interval_ms),
            ..Default::default()
        }),
    };
    studio.client.modify_caster_video_resource(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_tell_how_far_they_are_each_time_they_play() {
    let server = Server::start();
    let clip = server.folder.path("media").join("clip.mp4");
    run_ffmpeg(&format!("{CLIP} -t 3.5 {H264} {}", clip.display()));
    let sources = [From::Vod("file:clip.mp4"), From::Vod("file:clip.mp4"), From::Vod("pattern:")];
    let mut studio = Studio::start(&server, &sources).await;
    let request = v1::DescribeCasterVideoResourcesRequest { caster_id: studio.caster.clone() };
    let described = studio.client.describe_caster_video_resources(request).await.unwrap();
    let ids: Vec<String> =
        described.into_inner().video_resources.into_iter().map(|r| r.resource_id).collect();
    // As asked for, and oftener than is possible: every second. The third does not ask.
    ask_for_positions(&mut studio, &ids[0], 1500).await;
    ask_for_positions(&mut studio, &ids[1], 100).await;

    let request = v1::WatchCasterRequest { caster_id: studio.caster.clone(), ..Default::default() };
    let mut states = studio.client.watch_caster(request).await.unwrap().into_inner();
    let mut told = [Vec::new(), Vec::new()];
    let all = async {
        while told.iter().any(|positions| positions.len() < 8) {
            for event in states.message().await.unwrap().unwrap().events {
                if event.event_type == "PtsCallback" {
                    let of = ids.iter().position(|id| *id == event.resource_id).unwrap();
                    told[of].push(event.pts_ms.unwrap());
                    assert_eq!((event.code.as_str(), event.episode_id.as_str()), ("Success", ""));
                }
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(40), all).await;
    assert!(waited.is_ok(), "{told:?}");
    for (positions, cycle) in told.iter().zip([&[1500, 3000][..], &[1000, 2000, 3000]]) {
        let begin = cycle.iter().position(|position| *position == positions[0]).unwrap();
        let expected: Vec<u64> =
            cycle.iter().cycle().skip(begin).take(positions.len()).copied().collect();
        assert_eq!(*positions, expected);
    }
}
