//! Identity: keys of each role made and revoked beside a running server, and streams that change hands.

use std::process::{Command, Output};
use std::time::Duration;

use onair::api::client::{self, Client};
use onair::api::grpc::pb as v1;
use onair::worker::StopToken;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{From, Server, Studio, probe, spawn_ffmpeg};

/// `onair key …` on the server's data.
fn key_command(server: &Server, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onair"));
    command.arg("key").args(words).arg("--data").arg(server.folder.path("data")).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A client with a new key of this role, and what was printed of it.
async fn client_as(server: &Server, role: &str) -> (Client, [String; 2]) {
    let printed = stdout(&key_command(server, &["make", "--role", role]));
    let line = |name: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().to_owned()
    };
    let key = ["id ", "secret "].map(line);
    let mut client = client::connect(server.grpc, &key[0], &key[1]).await.unwrap();
    let request = v1::DescribeCastersRequest::default;
    until("the key is known", async || client.describe_casters(request()).await.is_ok()).await;
    (client, key)
}

/// Asks until it is so: a second is promised, a slow machine gets some more.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let pause = StopToken::new();
    for _ in 0..100 {
        if is_so().await {
            return;
        }
        pause.wait(Duration::from_millis(50));
    }
    panic!("waited in vain: {what}");
}

fn refused_for(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_its_part_until_it_is_revoked() {
    let server = Server::start();
    let mut admin = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = admin.full("RV01").await;
    admin.prepare(&layout).await;
    let (mut viewer, viewer_key) = client_as(&server, "viewer").await;
    let (operator, operator_key) = client_as(&server, "operator").await;
    let (mut second_admin, _) = client_as(&server, "admin").await;
    let stop = || v1::StopCasterRequest { caster_id: admin.caster.clone() };
    let watch = v1::WatchCasterRequest { caster_id: admin.caster.clone(), ..Default::default() };
    let mut states = viewer.watch_caster(watch).await.unwrap().into_inner();
    let denied = viewer.stop_caster(stop()).await.unwrap_err();
    assert_eq!(
        (denied.code(), &refused_for(&denied)[..]),
        (Code::PermissionDenied, "PermissionDenied")
    );
    let show = |client| Studio {
        client,
        caster: admin.caster.clone(),
        pvw: admin.pvw.clone(),
        pgm: admin.pgm.clone(),
    };
    assert!(show(viewer.clone()).try_take(10_000).await.unwrap_err().contains("Permission"));
    let mut operator = show(operator);
    operator.try_take(10_000).await.unwrap();
    let denied = operator.client.stop_caster(stop()).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    // Who watches sees no more than who calls: the stream ends with its key.
    states.message().await.unwrap().unwrap();
    stdout(&key_command(&server, &["revoke", &viewer_key[0]]));
    let ended = loop {
        match states.message().await {
            Ok(state) => assert!(state.is_some(), "ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(refused_for(&ended), "InvalidAccessKeyId.Inactive");
    second_admin.stop_caster(stop()).await.unwrap();

    stdout(&key_command(&server, &["revoke", &operator_key[0]]));
    let request = v1::DescribeCastersRequest::default;
    until("the key is revoked", async || {
        let answer = operator.client.describe_casters(request()).await;
        answer.is_err_and(|status| refused_for(&status) == "InvalidAccessKeyId.Inactive")
    })
    .await;
    second_admin.describe_casters(request()).await.unwrap();

    let list = stdout(&key_command(&server, &["list"]));
    for line in [
        format!("{} viewer revoked", viewer_key[0]),
        format!("{} operator revoked", operator_key[0]),
    ] {
        assert!(list.lines().any(|listed| listed == line), "{line} is missing in\n{list}");
    }
    assert!(!list.contains(&viewer_key[1]) && !list.contains(&operator_key[1]), "{list}");
    for (words, says) in [
        (&["revoke", "nobody"][..], "nobody"),
        (&["make", "--id", &viewer_key[0]], "already"),
        (&["make", "--id", "two words"], "visible ASCII"),
        (&["make", "--role", "root"], "operator"),
    ] {
        let output = key_command(&server, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{words:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_publisher_takes_over_where_the_settings_say_so() {
    let server = Server::start_with(&[
        "--playback-auth",
        "public",
        "--ingest-auth",
        "off",
        "--second-publisher",
        "take-over",
    ]);
    let url = format!("rtmp://{}/live/cam", server.rtmp);
    let push = |size: &str| {
        let source = format!("-re -f lavfi -i testsrc2=size={size}:rate=30 -t 60");
        spawn_ffmpeg(&format!("{source} -c:v libx264 -preset ultrafast -g 15 -f flv {url}"))
    };
    // Nobody may play what is pushed without a key, whatever PGM is: the server shows it.
    let mut studio = Studio::start(&server, &[From::Live(url.clone())]).await;
    let mut first = push("320x180");
    studio.input_until("RV01", "live", |input| input.frames > 30).await;
    let mut second = push("640x360");
    assert!(!first.wait(Duration::from_secs(20)).success(), "the first one was cut off");
    let reached = studio.input_until("RV01", "connected again", |input| input.reconnects > 0).await;
    studio.input_until("RV01", "live", |input| input.frames > reached.frames + 30).await;
    assert!(second.0.try_wait().unwrap().is_none(), "the second one goes on");
    // PVW is never public.
    let bare = studio.pvw.stream_url.split('?').next().unwrap().to_owned();
    assert_ne!(bare, studio.pvw.stream_url);
    let refused = Command::new("ffprobe").args(["-v", "error", &bare]).status();
    assert!(!refused.unwrap().success(), "{bare} plays without its key");
    assert_eq!(probe(&studio.pvw.stream_url, "v:0", "codec_name"), ["h264"]);
}
