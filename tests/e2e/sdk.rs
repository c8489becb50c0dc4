//! The cloud API as its own SDKs see it: unmodified packages, pointed at the built binary.

use std::path::Path;
use std::process::Command;

use crate::support::{KEY, SECRET, Server, run_ffmpeg, spawn_ffmpeg};

/// Plays the worked example against a server of its own, to which a camera pushes, and with the pictures that it names in
/// the media directory and the media library.
fn play(script: &str, modes: &[&[&str]]) {
    // The example names a bucket, which is there, and records nothing by itself.
    let server = Server::start_with(&[
        "--playback-auth=public",
        "--ingest-auth=off",
        "--storage-endpoint=https://oss.example.com",
        "--storage-bucket=shows",
        "--storage-key-id=key",
        "--storage-key-secret=secret",
    ]);
    for name in ["standby.png", "logo.png"] {
        let picture = server.folder.path("media").join(name);
        run_ffmpeg(&format!("-f lavfi -i color=teal:size=64x36 -frames:v 1 {}", picture.display()));
    }
    let clip = server.folder.path("clip.mp4");
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=320x180:rate=30:d=3 -c:v libx264 {}",
        clip.display()
    ));
    let still = server.folder.path("media").join("logo.png");
    let [material, image] = [&clip, &still].map(|file| server.upload(file));
    let url = format!("rtmp://{}/app/cam1", server.rtmp);
    let _camera = spawn_ffmpeg(&format!(
        "-re -f lavfi -i testsrc2=size=320x180:rate=15 -f lavfi -i sine=frequency=440 \
         -c:v libx264 -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p -c:a aac -f flv {url}"
    ));
    for mode in modes {
        run_against(&server, script, &[&[&url[..], &material, &image], *mode].concat());
    }
}

/// Runs a script of `tests/sdk` against a server of its own.
fn run(script: &str, mode: &[&str]) {
    run_against(&Server::start(), script, mode);
}

fn run_against(server: &Server, script: &str, mode: &[&str]) {
    let runner = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/run");
    let output = Command::new(runner)
        .args([script, &server.http.to_string(), KEY, SECRET])
        .args(mode)
        .output()
        .unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{script} {mode:?}\n{out}\n{err}");
}

#[test]
fn classic_python_by_v1() {
    play("classic.py", &[&[]]);
}

#[test]
fn typed_python_by_v3() {
    play("tea.py", &[&[]]);
}

#[test]
fn typed_python_by_v1() {
    play("tea.py", &[&["v2"]]);
}

#[test]
fn pop_core_by_get_and_post() {
    play("pop_core.js", &[&["GET"], &["POST"]]);
}

#[test]
fn openapi_core_by_v3() {
    play("openapi_core.js", &[&["query"], &["form"]]);
}

#[test]
fn refusals_as_the_sdks_report_them() {
    run("faults.py", &[]);
}

#[test]
fn a_client_that_calls_too_often_is_told_so() {
    run_against(&Server::start_with(&["--api-rate", "1"]), "throttled.py", &[]);
}
