//! Recordings, end to end: asked for, indexed, fetched, let go; and what they survive: kills, a full disk.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use onair::api::client;
use onair::api::grpc::pb as v1;
use onair::time::unix_ms;
use onair::worker::{self, StopToken, Worker};
use serde_json::Value;

use crate::chance::Chance;
use crate::peers::Disk;
use crate::support::{From, KEY, SECRET, Server, Studio, is_thorough, media, wait_for};

pub(crate) const LONG: Duration = Duration::from_secs(40);
pub(crate) const FORMATS: [&str; 3] = ["flv", "m3u8", "mp4"];
/// What a kill may cost.
const MAY_LACK_MS: u64 = 2000;
/// Settings of a server that records somewhere else: what others have by default, and the place.
const OPEN: [&str; 4] = ["--playback-auth", "public", "--ingest-auth", "off"];

/// A caster that shows the test pattern and records all formats at once.
async fn studio(server: &Server, on_demand: i32, callback_url: &str) -> Studio {
    let mut studio = Studio::start(server, &[From::Vod("pattern:640x360@30")]).await;
    let format = |format: &str| v1::RecordFormat { format: format.into(), ..Default::default() };
    let config = v1::CasterConfig {
        domain_name: "127.0.0.1".into(),
        transcode_config: Some(v1::TranscodeConfig {
            caster_template: "lp_ld".into(),
            ..Default::default()
        }),
        record_config: Some(v1::RecordConfig {
            on_demand,
            record_formats: FORMATS.into_iter().map(format).collect(),
            ..Default::default()
        }),
        callback_url: callback_url.into(),
        ..Default::default()
    };
    let request =
        v1::SetCasterConfigRequest { caster_id: studio.caster.clone(), config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    studio
}

/// The recordings in a state.
pub(crate) fn list(http: SocketAddr, state: &str) -> Vec<Value> {
    let (status, told) = media(http, &format!("GET /recordings?State={state}&PageSize=100"), b"");
    assert_eq!(status, 200, "{told}");
    told["Items"].as_array().unwrap().clone()
}

pub(crate) fn await_list(
    http: SocketAddr,
    state: &str,
    accept: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    wait_for(&format!("recordings that are {state}"), LONG, || {
        Some(list(http, state)).filter(|all| accept(all))
    })
}

pub(crate) fn text<'a>(recording: &'a Value, name: &str) -> &'a str {
    recording[name].as_str().unwrap()
}

/// What FFmpeg complains of while it decodes all of it, and how long it plays, ms.
fn play(path: &Path) -> (String, u64) {
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(["-v", "error"]).args(args).arg(path).output();
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&decoded.stderr).into_owned();
    let (times, errors) = run(
        "ffprobe",
        &["-select_streams", "v:0", "-show_entries", "packet=pts_time", "-of", "csv=p=0"],
    );
    let times: Vec<f64> =
        times.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    let first = times.iter().copied().fold(f64::MAX, f64::min);
    let last = times.iter().copied().fold(0.0, f64::max);
    (complaints + &errors, ((last - first).max(0.0) * 1000.0) as u64)
}

pub(crate) fn record_dir(server: &Server) -> PathBuf {
    server.folder.path("data").join("record")
}

/// Answers 200 to everything until it is dropped; the bodies that come.
pub(crate) fn receiver() -> (SocketAddr, Receiver<String>, Worker) {
    receiver_saying("")
}

/// The same, with this answer to what is asked, which comes as its path.
fn receiver_saying(answer: &'static str) -> (SocketAddr, Receiver<String>, Worker) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let (sender, bodies) = sync_channel(1000);
    let worker = worker::spawn("receiver", StopToken::new(), move |stop| {
        while !stop.wait(Duration::from_millis(10)) {
            let Ok((mut stream, _)) = listener.accept() else { continue };
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (mut got, mut chunk) = (String::new(), [0; 4096]);
            let is_whole = |got: &str| {
                got.ends_with("}}") || (got.starts_with("GET ") && got.ends_with("\r\n\r\n"))
            };
            while !is_whole(&got) {
                let count = stream.read(&mut chunk).unwrap_or(0);
                got += &String::from_utf8_lossy(&chunk[..count]);
                if count == 0 {
                    break;
                }
            }
            let question = got.strip_prefix("GET ").and_then(|got| got.split(' ').next());
            let answer = if question.is_some() { answer } else { "" };
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all((head + answer).as_bytes());
            let body = question.or(got.split_once("\r\n\r\n").map(|(_, body)| body));
            let _ = sender.try_send(body.unwrap_or_default().to_owned());
        }
    });
    (address, bodies, worker.unwrap())
}

/// A finished file plays, on the disk and by HTTP, as its index says.
async fn check_file(server: &Server, client: &mut client::Recordings, recording: &Value) {
    let id = text(recording, "RecordingId").to_owned();
    let path = record_dir(server).join(text(recording, "Name"));
    let (complaints, plays_ms) = play(&path);
    assert_eq!(complaints, "", "{recording}");
    let said_ms = recording["DurationMs"].as_u64().unwrap();
    assert!(plays_ms > 500 && said_ms.abs_diff(plays_ms) < 200, "{plays_ms} {recording}");
    // By HTTP FFmpeg finds what it finds on the disk.
    let url = format!("http://{}/recordings/{id}/file", server.http);
    let headers =
        format!("x-onair-access-key-id: {KEY}\r\nx-onair-access-key-secret: {SECRET}\r\n");
    let fetched = Command::new("ffmpeg")
        .args(["-v", "error", "-headers", &headers, "-i", &url, "-f", "null", "-"])
        .output()
        .unwrap();
    assert!(fetched.status.success() && fetched.stderr.is_empty(), "{fetched:?}");
    let request = v1::DescribeRecordingRequest { recording_id: id.clone() };
    let described = client.describe_recording(request).await.unwrap().into_inner();
    let described = described.recording.unwrap();
    assert_eq!(
        (described.name.as_str(), described.state.as_str()),
        (text(recording, "Name"), "finished")
    );
    if described.format == "mp4" {
        let bytes = std::fs::read(&path).unwrap();
        let at = |kind: &[u8]| bytes.windows(4).position(|window| window == kind);
        assert!(at(b"moov") < at(b"mdat") && at(b"moof").is_none(), "the index is in front");
        assert_eq!(described.bytes, bytes.len() as i64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_made_when_it_is_asked_for_and_told_fetched_and_let_go() {
    let (callback, bodies, _receiver) = receiver();
    let server = Server::start();
    let mut studio = studio(&server, 7, &format!("http://{callback}/")).await;
    let caster_id = studio.caster.clone();
    assert_eq!(list(server.http, "").len(), 0, "nobody has asked");
    let request = v1::StartCasterRecordingRequest { caster_id: caster_id.clone() };
    studio.client.start_caster_recording(request).await.unwrap();
    let running = await_list(server.http, "recording", |all| all.len() == 3);
    let (status, _) = media(
        server.http,
        &format!("DELETE /recordings/{}", text(&running[0], "RecordingId")),
        b"",
    );
    assert_eq!(status, 400, "it is written");
    let written = || {
        let state = running.iter().find(|recording| recording["Format"] == "mp4").unwrap();
        let path = record_dir(&server).join(text(state, "Name").to_owned() + ".part");
        path.metadata().ok().filter(|metadata| metadata.len() > 50_000)
    };
    wait_for("something to play", LONG, written);
    let request = v1::StopCasterRecordingRequest { caster_id: caster_id.clone() };
    studio.client.stop_caster_recording(request).await.unwrap();
    let finished = await_list(server.http, "finished", |all| all.len() == 3);
    let mut told = Vec::new();
    while told.len() < 3 {
        let body = bodies.recv_timeout(LONG).expect("a callback");
        let event: Value = serde_json::from_str(&body).unwrap();
        if event["EventType"] == "RecordCallback" {
            told.push(text(&event["EventMessage"], "RecordingId").to_owned());
        }
    }
    let mut client = client::connect_recordings(server.grpc, KEY, SECRET).await.unwrap();
    for recording in &finished {
        let id = text(recording, "RecordingId");
        assert!(told.iter().any(|told| told == id), "{recording}");
        assert_eq!(text(recording, "CasterId"), caster_id);
        check_file(&server, &mut client, recording).await;
    }
    let mp4 = v1::ListRecordingsRequest { format: "mp4".into(), ..Default::default() };
    let page = client.list_recordings(mp4).await.unwrap().into_inner();
    assert_eq!((page.total, page.recordings.len()), (1, 1));
    for recording in finished {
        let recording_id = text(&recording, "RecordingId").to_owned();
        client.delete_recording(v1::DeleteRecordingRequest { recording_id }).await.unwrap();
    }
    assert_eq!(list(server.http, "").len(), 0);
    assert_eq!(std::fs::read_dir(record_dir(&server)).unwrap().count(), 0, "the files are gone");
    let request = v1::StopCasterRequest { caster_id: caster_id.clone() };
    studio.client.stop_caster(request).await.unwrap();
    let request = v1::StartCasterRecordingRequest { caster_id };
    let refused = studio.client.start_caster_recording(request).await.unwrap_err();
    assert!(refused.message().contains("not started"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_called_back_says_whether_to_record_and_how() {
    const ANSWER: &str = r#"{"NeedRecord":true,"Interval":{"Mp4":5},"Format":["mp4"]}"#;
    let (callback, bodies, _receiver) = receiver_saying(ANSWER);
    let server = Server::start();
    let mut studio = studio(&server, 1, &format!("http://{callback}/ask?k=1")).await;
    // Events come to the same address.
    let asked = std::iter::from_fn(|| bodies.recv_timeout(LONG).ok());
    let asked = asked.into_iter().find(|body| body.starts_with("/ask")).expect("it is asked");
    let stream = studio.pgm.stream_infos[0].output_stream_url.rsplit_once("/caster/").unwrap().1;
    let stream = stream.split(['.', '?']).next().unwrap();
    let wanted = format!("/ask?k=1&app=caster&domain=127.0.0.1&stream={stream}&vbitrate=");
    assert!(asked.starts_with(&wanted) && asked.ends_with("&codec=h264"), "{asked}");
    let running = await_list(server.http, "recording", |all| !all.is_empty());
    assert_eq!(running.iter().map(|all| text(all, "Format")).collect::<Vec<_>>(), ["mp4"]);
    // The first file ends after the length that the answer says.
    let finished = await_list(server.http, "finished", |all| !all.is_empty());
    let lasts_ms = finished[0]["DurationMs"].as_u64().unwrap();
    assert!((5000..9000).contains(&lasts_ms), "{finished:?}");
    let request = v1::StopCasterRecordingRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster_recording(request).await.unwrap();
    assert_eq!(await_list(server.http, "recording", <[Value]>::is_empty).len(), 0);
}

/// 4 kills, or 100 with `ONAIR_THOROUGH=1`.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_before_a_kill_plays_and_is_indexed_after_it() {
    let kills = if is_thorough() { 100 } else { 4 };
    let mut moments = Chance::new(0xC0DE);
    let mut server = Server::start();
    let _studio = studio(&server, 0, "").await;
    let mut lacking_ms = Vec::new();
    for round in 0..kills {
        let running = await_list(server.http, "recording", |all| all.len() == 3);
        // The random moment is what is tested: nothing is waited for.
        let moment = Duration::from_millis(moments.within(0, 5000) as u64);
        tokio::task::block_in_place(|| StopToken::new().wait(moment));
        let running =
            Some(list(server.http, "recording")).filter(|r| r.len() == 3).unwrap_or(running);
        server.process.0.kill().unwrap();
        server.process.wait(LONG);
        let killed_ms = unix_ms();
        server = server.killed();
        for recording in running {
            let id = text(&recording, "RecordingId");
            let settled = wait_for("the file to be finished", LONG, || {
                let (status, told) = media(server.http, &format!("GET /recordings/{id}"), b"");
                (status == 404 || told["State"] == "finished").then_some(told)
            });
            // Names say when it began, to the second.
            let Some(name) = settled["Name"].as_str() else {
                println!("round {round}: {} had nothing yet after {moment:?}", recording["Format"]);
                assert!(moment < Duration::from_millis(MAY_LACK_MS), "{recording}");
                continue;
            };
            let path = record_dir(&server).join(name);
            let (complaints, plays_ms) = play(&path);
            assert_eq!(complaints, "", "round {round}: {settled}");
            let said_ms = settled["DurationMs"].as_u64().unwrap();
            assert!(said_ms.abs_diff(plays_ms) < 200, "round {round}: {plays_ms} {settled}");
            let request = v1::DescribeRecordingRequest { recording_id: id.to_owned() };
            let mut client = client::connect_recordings(server.grpc, KEY, SECRET).await.unwrap();
            let told = client.describe_recording(request).await.unwrap().into_inner();
            let start_ms = told.recording.unwrap().start_time_unix_ms as u64;
            let lacks_ms = killed_ms.saturating_sub(start_ms + plays_ms);
            assert!(lacks_ms <= MAY_LACK_MS, "round {round}: lacks {lacks_ms} ms: {settled}");
            lacking_ms.push(lacks_ms);
        }
    }
    let left: Vec<_> = list(server.http, "recording").iter().map(ToString::to_string).collect();
    assert!(left.len() <= 3, "only what is written is not finished: {left:?}");
    lacking_ms.sort_unstable();
    println!("{kills} kills, {} files; they lack, ms: {lacking_ms:?}", lacking_ms.len());
}

/// Outputs of a caster by what their names begin with.
pub(crate) async fn outputs(studio: &mut Studio, prefix: &str) -> Vec<v1::OutputStatus> {
    let outputs = studio.state().await.outputs;
    outputs.into_iter().filter(|output| output.name.starts_with(prefix)).collect()
}

async fn await_outputs(
    studio: &mut Studio,
    what: &str,
    accept: impl Fn(&v1::OutputStatus) -> bool,
) {
    let clock = onair::time::Clock::real();
    loop {
        let records = outputs(studio, "record-").await;
        if records.len() == 3 && records.iter().all(&accept) {
            return;
        }
        assert!(Duration::from_nanos(clock.now_ns()) < LONG, "{what}: {records:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_ends_recordings_until_there_is_room_and_nothing_else() {
    let Some(disk) = Disk::new(24) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let (callback, bodies, _receiver) = receiver();
    let place = disk.path().display().to_string();
    let flags = ["--record-dir", &place, "--record-reserve-bytes", "0"];
    let server = Server::start_with(&[&OPEN[..], &flags].concat());
    let mut studio = studio(&server, 0, &format!("http://{callback}/")).await;
    await_outputs(&mut studio, "they record", |output| output.frames > 200).await;
    disk.fill();
    await_outputs(&mut studio, "they fail", |output| !output.message.is_empty()).await;
    let mut told = 0;
    while told < 3 {
        let event: Value =
            serde_json::from_str(&bodies.recv_timeout(LONG).expect("a callback")).unwrap();
        told += u32::from(event["EventMessage"]["Code"] == "RecordFailed");
    }
    disk.empty();
    let before = outputs(&mut studio, "record-").await;
    await_outputs(&mut studio, "they record again", |output| {
        let was = before.iter().find(|was| was.name == output.name).unwrap();
        output.message.is_empty() && output.frames > was.frames + 200
    })
    .await;
    let pgm = outputs(&mut studio, "pgm").await;
    assert_eq!(pgm[0].frames_dropped, 0, "{pgm:?}");
    assert!(pgm[0].frames > 30 && pgm[0].message.is_empty(), "{pgm:?}");
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await.unwrap();
    assert_eq!(await_list(server.http, "recording", <[Value]>::is_empty).len(), 0);
    let finished = await_list(server.http, "finished", |all| all.len() >= 6);
    for recording in &finished {
        let (complaints, plays_ms) = play(&disk.path().join(text(recording, "Name")));
        assert_eq!(complaints, "", "{recording}");
        let said_ms = recording["DurationMs"].as_u64().unwrap();
        assert!(said_ms.abs_diff(plays_ms) < 200, "{plays_ms} {recording}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_recordings_go_when_there_are_too_many_bytes() {
    let flags = ["--record-keep-bytes", "1"];
    let server = Server::start_with(&[&OPEN[..], &flags].concat());
    let mut studio = studio(&server, 0, "").await;
    await_outputs(&mut studio, "they record", |output| output.frames > 60).await;
    let running = await_list(server.http, "recording", |all| all.len() == 3);
    let caster_id = studio.caster.clone();
    let request = v1::StopCasterRecordingRequest { caster_id: caster_id.clone() };
    studio.client.stop_caster_recording(request).await.unwrap();
    wait_for("the old ones to go", LONG, || list(server.http, "").is_empty().then_some(()));
    let request = v1::StartCasterRecordingRequest { caster_id };
    studio.client.start_caster_recording(request).await.unwrap();
    let again = await_list(server.http, "recording", |all| all.len() == 3);
    assert!(again.iter().all(|recording| !running.contains(recording)));
    await_outputs(&mut studio, "what is written stays", |output| output.frames > 30).await;
    assert_eq!(list(server.http, "recording").len(), 3);
}
