//! What becomes of recordings that wait to be finished or sent, and of those that are kept no longer.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use onair::limits::RECORDINGS_AT_ONCE;
use onair::recording::{RecordFormat, Recording, RecordingState};
use onair::store::{Entry, Store};

use crate::peers::{Disk, with_hosts};
use crate::recordings::{LONG, await_list, list, record_dir, text};
use crate::s3::{BUCKET, Keys, Storage};
use crate::stored::{PREFIX, endpoint, metric, plant, recording, start, variables};
use crate::support::{Folder, PROGRAM, Server, run_ffmpeg, wait_for};

/// More than are looked at at once.
const MANY: usize = RECORDINGS_AT_ONCE + 44;
const OPEN: [&str; 4] = ["--playback-auth", "public", "--ingest-auth", "off"];

fn index(folder: &Folder, all: Vec<Recording>) {
    let rows: Vec<_> = all.into_iter().map(Entry::Recording).collect();
    Store::open(&folder.path("data")).unwrap().write(&rows).unwrap();
}

/// Types of the boxes of an MP4.
fn boxes(bytes: &[u8]) -> Vec<String> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        found.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    found
}

/// Three seconds of an MP4 in fragments.
fn make_fragments(path: &Path) {
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=160x90:rate=30 -t 3 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 15 \
         -movflags +frag_keyframe+delay_moov+default_base_moof+skip_trailer {}",
        path.display()
    ));
}

#[test]
fn however_many_cannot_be_finished_or_sent_one_behind_them_is() {
    let storage = Storage::start(Keys::Any);
    let folder = Folder::new();
    let (id, content) = plant(&folder, "behind.flv", 1000);
    let dir = folder.path("data").join("record");
    // Somebody writes the files of the first, those of others are gone.
    let held = File::create(dir.join("held.flv.part")).unwrap();
    held.lock().unwrap();
    let row = |name: &str| recording((BUCKET, name));
    let held_row = Recording {
        state: RecordingState::Finishing,
        part: Some("held.flv".into()),
        ..row("named.flv")
    };
    let mut all = Vec::new();
    for begins in 0..MANY as u64 {
        for of in [&held_row, &row("gone.flv")] {
            let id = row("").id;
            all.push(Recording { id, start_unix_ms: begins, ..of.clone() });
        }
    }
    let behind = row("behind.flv");
    all.push(Recording { id: id.clone(), state: RecordingState::Finishing, bytes: 1000, ..behind });
    index(&folder, all);
    let server = start(folder, &storage, "always");
    let stored = await_list(server.http, "stored", |all| all.len() == 1);
    assert_eq!(text(&stored[0], "RecordingId"), id.as_str());
    assert!(storage.object(&format!("{PREFIX}/behind.flv")) == content, "it differs");
    assert!(metric(server.http, "onair_upload_failures_total") >= MANY as u64);
    wait_for("nothing else to wait", LONG, || {
        (metric(server.http, "onair_recordings_waiting") == MANY as u64).then_some(())
    });
    drop(held);
}

#[test]
fn what_waits_in_fragments_for_object_storage_is_sent_in_its_final_form_after_a_restart() {
    let storage = Storage::start(Keys::Any);
    let folder = Folder::new();
    let path = folder.path("data").join("record").join("clip.mp4");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    make_fragments(&path);
    let written = std::fs::read(&path).unwrap();
    assert!(boxes(&written).contains(&"moof".to_owned()), "it is in fragments");
    let waits = Recording {
        format: RecordFormat::Mp4,
        part: Some("clip.mp4".into()),
        bytes: written.len() as u64,
        ..recording((BUCKET, "clip.mp4"))
    };
    index(&folder, vec![waits]);
    let server = start(folder, &storage, "always");
    let stored = await_list(server.http, "stored", |all| all.len() == 1);
    let sent = storage.object(&format!("{PREFIX}/clip.mp4"));
    assert!(sent == std::fs::read(&path).unwrap(), "it differs");
    let boxes = boxes(&sent);
    assert!(boxes[..2] == ["ftyp", "moov"] && !boxes.contains(&"moof".to_owned()), "{boxes:?}");
    assert_eq!(stored[0]["Bytes"], sent.len() as u64, "{}", stored[0]);
    assert!(stored[0]["DurationMs"].as_u64().unwrap().abs_diff(3000) < 60, "{}", stored[0]);
}

#[test]
fn what_a_read_only_disk_left_half_finished_is_finished_when_it_takes_changes_again() {
    let Some(disk) = Disk::new(16) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let folder = Folder::new();
    for name in ["media", "data"] {
        std::fs::create_dir_all(folder.path(name)).unwrap();
    }
    let [clip, half, behind] =
        ["clip.mp4", "clip.mp4.new", "behind.flv"].map(|name| disk.path().join(name));
    make_fragments(&clip);
    std::fs::write(&half, "half of it").unwrap();
    std::fs::write(&behind, "any content").unwrap();
    let row = |name: &str| Recording {
        state: RecordingState::Finishing,
        uri: None,
        part: Some(name.into()),
        ..recording((BUCKET, name))
    };
    let first = Recording { format: RecordFormat::Mp4, start_unix_ms: 1, ..row("clip.mp4") };
    index(&folder, vec![first, row("behind.flv")]);
    disk.lock();
    let place = disk.path().display().to_string();
    let flags = [&OPEN[..], &["--record-dir", &place]].concat();
    let server = Server::run_in(folder, &flags, &[]);
    // It comes after the other, which was tried by then.
    let finished = await_list(server.http, "finished", |all| !all.is_empty());
    assert_eq!(text(&finished[0], "Name"), "behind.flv");
    assert_eq!(list(server.http, "finishing").len(), 1);
    disk.unlock();
    await_list(server.http, "finished", |all| all.len() == 2);
    let boxes = boxes(&std::fs::read(&clip).unwrap());
    assert!(boxes[..2] == ["ftyp", "moov"] && !boxes.contains(&"moof".to_owned()), "{boxes:?}");
    assert!(!half.exists(), "nothing is left");
}

#[test]
fn what_is_stored_goes_when_it_is_too_old_or_too_much() {
    for flag in ["--record-keep-days", "--record-keep-bytes"] {
        let storage = Storage::start(Keys::Any);
        let folder = Folder::new();
        for name in ["one.flv", "other.flv"] {
            plant(&folder, name, 1000);
        }
        let endpoint = endpoint(&storage);
        let server = start(folder, &storage, "until-uploaded");
        await_list(server.http, "stored", |all| all.len() == 2);
        let Server { process, folder, .. } = server;
        drop(process);
        let flags = [&OPEN[..], &[flag, "1"]].concat();
        let server = Server::run_in(folder, &flags, &variables(&endpoint, "until-uploaded"));
        wait_for("both to go", LONG, || list(server.http, "").is_empty().then_some(()));
        for name in ["one.flv", "other.flv"] {
            let (status, _) = storage.request("GET", &format!("{PREFIX}/{name}"), b"");
            assert_eq!(status, 404, "{flag}: {name}");
        }
    }
}

#[test]
fn a_bucket_may_stand_before_the_name_of_the_host() {
    const PART: usize = onair::limits::UPLOAD_PART_BYTES as usize;
    let storage = Storage::start(Keys::Any);
    let (folder, names) = (Folder::new(), Folder::new());
    let hosts = names.path("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost {BUCKET}.storage.test\n")).unwrap();
    let Some(command) = with_hosts(&hosts, PROGRAM) else {
        println!("skipped: names of hosts cannot be changed here");
        return;
    };
    let (_, content) = plant(&folder, "a b/large é.flv", PART + 1000);
    std::fs::create_dir_all(folder.path("media")).unwrap();
    let endpoint = format!("http://storage.test:{}", storage.address.port());
    let mut variables = variables(&endpoint, "until-uploaded");
    variables.push(("ONAIR_STORAGE_STYLE", "host"));
    let server = Server::run_by(command, folder, &[], &variables);
    let stored = await_list(server.http, "stored", |all| all.len() == 1);
    assert!(storage.object(&format!("{PREFIX}/a b/large é.flv")) == content, "it differs");
    assert_eq!(storage.seen(&[&format!(" /{BUCKET}")]), Vec::<String>::new(), "not in the path");
    assert_eq!(storage.seen(&["PUT", "partNumber="]).len(), 2);
    assert!(!record_dir(&server).join(text(&stored[0], "Name")).exists());
    let fetched = fetch(&server, text(&stored[0], "RecordingId"), &names.path("fetched"));
    assert!(fetched == content, "it comes back");
}

/// A recording by HTTP.
fn fetch(server: &Server, id: &str, to: &Path) -> Vec<u8> {
    let header = |name: &str, value: &str| format!("x-onair-access-key-{name}: {value}");
    let status = Command::new("curl")
        .args(["-s", "-f", "-H", &header("id", crate::support::KEY)])
        .args(["-H", &header("secret", crate::support::SECRET), "-o"])
        .arg(to)
        .arg(format!("http://{}/recordings/{id}/file", server.http))
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read(to).unwrap()
}
