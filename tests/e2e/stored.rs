//! Recordings that go to object storage: that they arrive whole, whatever happens on the way, and that nothing waits for it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::ids::{CasterId, RecordingId};
use onair::recording::{RecordFormat, Recording, RecordingState};
use onair::store::{Entry, Store};
use serde_json::Value;

use crate::edges::get;
use crate::recordings::{FORMATS, LONG, await_list, list, outputs, receiver, record_dir, text};
use crate::s3::{BUCKET, Keys, Rule, Storage, curl, with_tls};
use crate::support::{Folder, From, KEY, SECRET, Server, Studio, is_thorough, media, wait_for};
use crate::tls::Pki;

pub(crate) const PREFIX: &str = "Sendung ü/on air";

/// Variables of a server whose recordings go to this endpoint.
pub(crate) fn variables<'a>(endpoint: &'a str, keep_local: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("ONAIR_STORAGE_ENDPOINT", endpoint),
        ("ONAIR_STORAGE_BUCKET", BUCKET),
        ("ONAIR_STORAGE_PREFIX", PREFIX),
        ("ONAIR_STORAGE_KEY_ID", "key"),
        ("ONAIR_STORAGE_KEY_SECRET", "secret"),
        ("ONAIR_STORAGE_KEEP_LOCAL", keep_local),
    ]
}

pub(crate) fn endpoint(storage: &Storage) -> String {
    format!("http://{}", storage.address)
}

pub(crate) fn start(folder: Folder, storage: &Storage, keep_local: &str) -> Server {
    std::fs::create_dir_all(folder.path("media")).unwrap();
    Server::run_in(folder, &[], &variables(&endpoint(storage), keep_local))
}

/// A caster on air that records all formats, by hand or from the start, a file every so often.
async fn studio(server: &Server, on_demand: i32, cycle_s: i32, callback_url: &str) -> Studio {
    let format = |format: &str| v1::RecordFormat {
        format: format.into(),
        cycle_duration: Some(cycle_s),
        oss_object_prefix: "show é/{StreamName}/{StartTime} {Sequence}".into(),
        ..Default::default()
    };
    let mut studio = Studio::start_as(server, &[From::Vod("pattern:640x360@30")], |config| {
        config.callback_url = callback_url.into();
        config.record_config = Some(v1::RecordConfig {
            on_demand,
            record_formats: FORMATS.into_iter().map(format).collect(),
            ..Default::default()
        });
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    studio
}

/// The codes of events of these that came, until `accept` says that it is enough.
fn await_codes(bodies: &Receiver<String>, accept: impl Fn(&[String]) -> bool) -> Vec<String> {
    let mut codes = Vec::new();
    while !accept(&codes) {
        let body = bodies.recv_timeout(LONG);
        let body = body.unwrap_or_else(|_| panic!("no more events after {codes:?}"));
        let event: Value = serde_json::from_str(&body).unwrap();
        let kind = text(&event, "EventType").to_owned();
        let code = text(&event["EventMessage"], "Code").to_owned();
        if kind == "RecordCallback" || code.starts_with("Storage") {
            codes.push(code);
        }
    }
    codes
}

fn count(codes: &[String], code: &str) -> usize {
    codes.iter().filter(|other| *other == code).count()
}

pub(crate) fn metric(http: SocketAddr, name: &str) -> u64 {
    let page = get(http, "/metrics").1;
    let line = page.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().unwrap()
}

/// The key of a recording, or of a file beside it.
fn key(recording: &Value) -> String {
    let uri = text(recording, "ObjectUri");
    uri.strip_prefix(&format!("s3://{BUCKET}/")).expect(uri).to_owned()
}

/// A file of a recording by HTTP, or a part of it: status and content.
fn fetch(http: SocketAddr, id: &str, file: &str, range: &str) -> (u16, Vec<u8>) {
    use std::io::{Read, Write};
    let mut stream = TcpStream::connect(http).unwrap();
    let head = format!(
        "GET /recordings/{id}/{file} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n{range}\
         x-onair-access-key-id: {KEY}\r\nx-onair-access-key-secret: {SECRET}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer[end + 4..].to_vec())
}

/// Every file of a recording below the directory of recordings, the main one last.
fn names(dir: &Path, recording: &Value) -> Vec<String> {
    let main = text(recording, "Name");
    let mut names = Vec::new();
    if recording["Format"] == "m3u8" {
        let playlist = std::fs::read_to_string(dir.join(main)).unwrap();
        let below = Path::new(main).parent().unwrap();
        for line in playlist.lines().filter(|line| !line.starts_with('#')) {
            let mut path = below.to_owned();
            for part in line.split('/') {
                let is_up = part == "..";
                if !is_up {
                    path.push(part);
                } else if !path.pop() {
                    panic!("{line} leads out of it");
                }
            }
            names.push(path.to_str().unwrap().to_owned());
        }
        assert!(!names.is_empty(), "{playlist}");
    }
    names.push(main.to_owned());
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_arrives_whole_comes_back_and_goes() {
    let storage = Storage::start(Keys::Any);
    let (callback, bodies, _receiver) = receiver();
    let server = start(Folder::new(), &storage, "always");
    let mut studio = studio(&server, 7, 900, &format!("http://{callback}/")).await;
    let caster_id = studio.caster.clone();
    let request = v1::StartCasterRecordingRequest { caster_id: caster_id.clone() };
    studio.client.start_caster_recording(request).await.unwrap();
    wait_for("something to play", LONG, || {
        let running = list(server.http, "recording");
        let is_long = |recording: &Value| {
            let part = record_dir(&server).join(text(recording, "Name").to_owned() + ".part");
            recording["Format"] != "mp4" || part.metadata().is_ok_and(|file| file.len() > 50_000)
        };
        (running.len() == 3 && running.iter().all(is_long)).then_some(())
    });
    let request = v1::StopCasterRequest { caster_id };
    studio.client.stop_caster(request).await.unwrap();
    let stored = await_list(server.http, "stored", |all| all.len() == 3);
    let codes = await_codes(&bodies, |codes| codes.len() == 6);
    assert_eq!((count(&codes, "Success"), count(&codes, "Stored")), (3, 3), "{codes:?}");
    assert_eq!(metric(server.http, "onair_recordings_stored_total"), 3);
    assert_eq!(metric(server.http, "onair_upload_failures_total"), 0);
    let dir = record_dir(&server);
    let mut kept = Vec::new();
    for recording in &stored {
        let base = key(recording);
        let base = base.strip_suffix(text(recording, "Name")).unwrap();
        assert_eq!(base, format!("{PREFIX}/"));
        for name in names(&dir, recording) {
            let content = std::fs::read(dir.join(&name)).unwrap();
            assert!(storage.object(&format!("{base}{name}")) == content, "{name} differs");
            kept.push((recording.clone(), name, content));
        }
    }
    // Without their local files they come from there.
    let mut server = server;
    server.process.0.kill().unwrap();
    server.process.wait(LONG);
    let Server { process, folder, .. } = server;
    drop(process);
    let server = start(folder, &storage, "until-uploaded");
    wait_for("the local files to go", LONG, || {
        kept.iter().all(|(_, name, _)| !record_dir(&server).join(name).exists()).then_some(())
    });
    for (recording, name, content) in &kept {
        let id = text(recording, "RecordingId");
        let is_segment = name.ends_with(".ts");
        if recording["Format"] == "m3u8" && !is_segment {
            let (status, playlist) = fetch(server.http, id, "file", "");
            let playlist = String::from_utf8(playlist).unwrap();
            assert!(status == 200 && playlist.contains("\n0.ts\n"), "{status} {playlist}");
            continue;
        }
        let file = if is_segment { "0.ts" } else { "file" };
        if is_segment && name != &kept.iter().find(|(_, name, _)| name.ends_with(".ts")).unwrap().1
        {
            continue;
        }
        let (status, came) = fetch(server.http, id, file, "");
        assert!(status == 200 && came == *content, "{status} {name}");
        let (status, came) = fetch(server.http, id, file, "Range: bytes=1000-1999\r\n");
        assert!(status == 206 && came == content[1000..2000], "{status} {name}");
    }
    for recording in &stored {
        let id = text(recording, "RecordingId");
        assert_eq!(media(server.http, &format!("DELETE /recordings/{id}"), b"").0, 200);
    }
    assert_eq!(list(server.http, "").len(), 0);
    for (_, name, _) in &kept {
        assert_eq!(storage.request("GET", &format!("{PREFIX}/{name}"), b"").0, 404, "{name}");
    }
}

/// A finished file of so many bytes, which is not compressible, whose upload a process did not come to.
pub(crate) fn plant(folder: &Folder, name: &str, bytes: usize) -> (RecordingId, Vec<u8>) {
    plant_for(folder, (BUCKET, name), bytes)
}

/// The same for a bucket.
fn plant_for(
    folder: &Folder,
    (bucket, name): (&str, &str),
    bytes: usize,
) -> (RecordingId, Vec<u8>) {
    let mut state = 0x9E37_79B9_u32;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(bytes)
    .collect();
    let data = folder.path("data");
    let path = data.join("record").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &content).unwrap();
    let recording = Recording { bytes: bytes as u64, ..recording((bucket, name)) };
    let id = recording.id.clone();
    Store::open(&data).unwrap().write([&Entry::Recording(recording)]).unwrap();
    (id, content)
}

/// The row of one that waits for its upload to a bucket.
pub(crate) fn recording((bucket, name): (&str, &str)) -> Recording {
    Recording {
        id: RecordingId::random(),
        caster: CasterId::random(),
        stream: "pgm".into(),
        format: RecordFormat::Flv,
        state: RecordingState::Uploading,
        uri: Some(format!("s3://{bucket}/{PREFIX}/{name}")),
        name: name.to_owned(),
        part: None,
        start_unix_ms: 1_000_000,
        duration_ms: 1000,
        bytes: 0,
    }
}

#[test]
fn an_upload_goes_on_after_a_kill_where_it_was_and_overwrites_nothing() {
    const PART: usize = onair::limits::UPLOAD_PART_BYTES as usize;
    let storage = Storage::start(Keys::Any);
    let folder = Folder::new();
    let (_, large) = plant(&folder, "a b/large é.flv", 4 * PART + 1000);
    let (small_id, small) = plant(&folder, "taken.flv", 1000);
    assert_eq!(storage.request("PUT", &format!("{PREFIX}/taken.flv"), b"somebody else's").0, 200);
    storage.set(Rule::HoldAfter(2));
    let mut server = start(folder, &storage, "until-uploaded");
    wait_for("two parts", LONG, || {
        (metric(server.http, "onair_upload_bytes_total") >= 2 * PART as u64).then_some(())
    });
    server.process.0.kill().unwrap();
    server.process.wait(LONG);
    storage.set(Rule::Open);
    let Server { process, folder, .. } = server;
    drop(process);
    let server = start(folder, &storage, "until-uploaded");
    let stored = await_list(server.http, "stored", |all| all.len() == 2);
    assert_eq!(storage.seen(&["POST", "uploads"]).len(), 1, "one upload");
    for part in 1..=5 {
        let sent = storage.seen(&["PUT", &format!("partNumber={part}&")]);
        assert_eq!(sent.len(), 1, "part {part}: {sent:?}");
    }
    assert!(storage.object(&format!("{PREFIX}/a b/large é.flv")) == large, "it differs");
    assert_eq!(storage.object(&format!("{PREFIX}/taken.flv")), b"somebody else's");
    assert!(storage.object(&format!("{PREFIX}/{small_id}/taken.flv")) == small, "it differs");
    for recording in &stored {
        assert!(!record_dir(&server).join(text(recording, "Name")).exists(), "{recording}");
        let (status, came) = fetch(server.http, text(recording, "RecordingId"), "file", "");
        assert!(status == 200 && (came == large || came == small), "{recording}");
    }
}

#[test]
fn what_is_being_sent_can_be_deleted() {
    const PART: usize = onair::limits::UPLOAD_PART_BYTES as usize;
    let storage = Storage::start(Keys::Any);
    let folder = Folder::new();
    let (id, _) = plant(&folder, "large.flv", 3 * PART);
    storage.set(Rule::HoldAfter(1));
    let server = start(folder, &storage, "until-uploaded");
    wait_for("a part", LONG, || {
        (metric(server.http, "onair_upload_bytes_total") >= PART as u64).then_some(())
    });
    assert_eq!(media(server.http, &format!("DELETE /recordings/{id}"), b"").0, 200);
    assert_eq!(storage.seen(&["DELETE", "uploadId="]).len(), 1, "the upload is given up");
    assert_eq!(list(server.http, "").len(), 0);
    assert!(!record_dir(&server).join("large.flv").exists());
    assert_eq!(storage.request("GET", &format!("{PREFIX}/large.flv"), b"").0, 404);
}

/// Out for 3 s of the programme, or 60 s with `ONAIR_THOROUGH=1`.
#[tokio::test(flavor = "multi_thread")]
async fn storage_that_is_down_costs_nothing_but_time() {
    let outage_frames = if is_thorough() { 60 * 30 } else { 3 * 30 };
    let storage = Storage::start(Keys::Any);
    let (callback, bodies, _receiver) = receiver();
    let server = start(Folder::new(), &storage, "until-uploaded");
    storage.set(Rule::Closed);
    let mut studio = studio(&server, 0, 2, &format!("http://{callback}/")).await;
    let codes = await_codes(&bodies, |codes| count(codes, "StorageFailed") > 0);
    assert_eq!(count(&codes, "Stored"), 0, "{codes:?}");
    let limit = onair::time::Clock::real();
    let frames = |pgm: &[v1::OutputStatus]| pgm[0].frames;
    let before = frames(&outputs(&mut studio, "pgm").await);
    loop {
        let now = frames(&outputs(&mut studio, "pgm").await);
        if now >= before + outage_frames {
            break;
        }
        assert!(Duration::from_nanos(limit.now_ns()) < LONG * 3, "{now} after {before}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(metric(server.http, "onair_recordings_stored_total"), 0);
    assert!(metric(server.http, "onair_recordings_waiting") >= 3);
    storage.set(Rule::Open);
    let waited = list(server.http, "uploading");
    let codes = await_codes(&bodies, |codes| {
        count(codes, "StorageRestored") > 0 && count(codes, "Stored") >= waited.len()
    });
    assert_eq!(count(&codes, "StorageFailed"), 0, "told once: {codes:?}");
    assert_eq!(count(&codes, "StorageRestored"), 1, "{codes:?}");
    let all = outputs(&mut studio, "").await;
    let told = all.iter().filter(|output| output.name != "pvw");
    for output in told {
        let is_well = output.frames_dropped == 0 && output.message.is_empty();
        assert!(is_well && output.restarts == 0, "{output:?}");
    }
    for recording in waited {
        let what = format!("GET /recordings/{}", text(&recording, "RecordingId"));
        wait_for("it to be stored", LONG, || {
            (media(server.http, &what, b"").1["State"] == "stored").then_some(())
        });
        let stored = storage.object(&key(&recording));
        assert!(!stored.is_empty(), "{recording}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_accepted_is_told_once_and_not_tried_again_and_again() {
    let storage = Storage::start(Keys::None);
    let (callback, bodies, _receiver) = receiver();
    let server = start(Folder::new(), &storage, "until-uploaded");
    let _studio = studio(&server, 0, 1, &format!("http://{callback}/")).await;
    // Each finished file is a reason to look whether there is something to send.
    let codes = await_codes(&bodies, |codes| count(codes, "Success") >= 12);
    assert_eq!(count(&codes, "StorageFailed"), 1, "{codes:?}");
    assert_eq!(metric(server.http, "onair_upload_failures_total"), 1);
    assert_eq!(storage.seen(&[""]).len(), 1, "{:?}", storage.seen(&[""]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_keeps_no_other_waiting_and_what_was_for_it_can_be_deleted() {
    let storage = Storage::start(Keys::Any);
    let folder = Folder::new();
    let (id, _) = plant_for(&folder, ("gone", "clip.flv"), 1000);
    std::fs::create_dir_all(folder.path("media")).unwrap();
    let endpoint = endpoint(&storage);
    let mut variables = variables(&endpoint, "until-uploaded");
    variables.push(("ONAIR_STORAGE_BUCKETS", "gone"));
    let server = Server::run_in(folder, &[], &variables);
    wait_for("a failure", LONG, || {
        (metric(server.http, "onair_upload_failures_total") > 0).then_some(())
    });
    // What is finished from now on is for another one. The one that failed rests for a minute.
    let _studio = studio(&server, 0, 1, "").await;
    await_list(server.http, "stored", |all| all.len() >= 3);
    assert_eq!(metric(server.http, "onair_upload_failures_total"), 1);
    let delete = format!("DELETE /recordings/{id}");
    variables.pop();
    let Server { process, folder, .. } = server;
    drop(process);
    let server = Server::run_in(folder, &[], &variables);
    let path = record_dir(&server).join("clip.flv");
    assert!(path.exists(), "it is on the disk");
    assert_eq!(media(server.http, &delete, b"").0, 200, "its bucket is not configured any more");
    assert!(!path.exists(), "it is gone");
}

#[test]
fn storage_behind_tls_is_asked_who_it_is() {
    let pki = Pki::new();
    let [cert, tls_key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| pki.path(name));
    let (_process, address) = with_tls((&cert, &tls_key), &ca);
    let endpoint = format!("https://{address}");
    let folder = Folder::new();
    let (_, content) = plant(&folder, "clip.flv", 100_000);
    std::fs::create_dir_all(folder.path("media")).unwrap();
    let stranger = Server::run_in(folder, &[], &variables(&endpoint, "always"));
    wait_for("a failure", LONG, || {
        (metric(stranger.http, "onair_upload_failures_total") > 0).then_some(())
    });
    let Server { process, folder, .. } = stranger;
    drop(process);
    let mut trusting = variables(&endpoint, "always");
    trusting.push(("ONAIR_STORAGE_CA", &ca));
    let server = Server::run_in(folder, &[], &trusting);
    await_list(server.http, "stored", |all| all.len() == 1);
    let key = "Sendung%20%C3%BC/on%20air/clip.flv";
    assert!(curl(&["--cacert", &ca], address, key).unwrap() == content, "it differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_of_this_server_is_refused_by_name() {
    let configured = variables("http://127.0.0.1:9", "always");
    for (variables, endpoint, bucket, refused) in [
        (&configured[..], "", "private", Some("private")),
        (&configured[..], "elsewhere.example", "", Some("elsewhere.example")),
        (&configured[..], "127.0.0.1:9", BUCKET, None),
        (&[][..], "elsewhere.example", BUCKET, None),
        (&[][..], "", "", None),
    ] {
        let server = Server::start_in(variables);
        let mut client = server.client().await;
        let request = v1::CreateCasterRequest {
            caster_name: "test".into(),
            client_token: "1".into(),
            norm_type: Some(1),
            charge_type: "PostPaid".into(),
            ..Default::default()
        };
        let caster_id = client.create_caster(request).await.unwrap().into_inner().caster_id;
        let format = v1::RecordFormat { format: "mp4".into(), ..Default::default() };
        let config = Some(v1::CasterConfig {
            record_config: Some(v1::RecordConfig {
                oss_endpoint: endpoint.into(),
                oss_bucket: bucket.into(),
                record_formats: vec![format],
                ..Default::default()
            }),
            ..Default::default()
        });
        let request = v1::SetCasterConfigRequest { caster_id, config };
        match (client.set_caster_config(request).await, refused) {
            (Ok(_), None) => {}
            (Err(status), Some(named)) => assert!(status.message().contains(named), "{status}"),
            (answer, _) => panic!("{endpoint} {bucket}: {answer:?}"),
        }
    }
}
