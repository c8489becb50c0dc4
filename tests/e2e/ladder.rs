//! The ladder on air: the same frames, keyframes and sound at every rung and by every way out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onair::api::grpc::pb as v1;

use crate::faults::metric;
use crate::proof::{Player, Proof, check_same, proof, read_all, tap};
use crate::support::{From, Process, Server, Studio, free_port, ticks, wait_for};

/// The programme is 854×480, so that there is something below it.
pub(crate) const RUNGS: [&str; 2] = ["lld", "daobo-lsd"];
/// Frames that everything must have in common.
const COMMON: usize = 6 * 30;

/// Pictures that renditions left out: they were late, or the machine was overloaded.
pub(crate) fn left_out(server: &Server) -> f64 {
    ["dropped", "shed"]
        .map(|why| metric(server, &format!("onair_output_pictures_{why}_total")))
        .iter()
        .sum()
}

pub(crate) fn with_rungs(config: &mut v1::CasterConfig, rungs: &[&str]) {
    let transcode = config.transcode_config.as_mut().unwrap();
    transcode.caster_template = "lp_sd".into();
    transcode.live_templates = rungs.iter().map(|&name| name.into()).collect();
}

/// Records every address of PGM in turn, under names that tell rung and format.
pub(crate) fn tap_all(
    server: &Server,
    scene: &v1::Scene,
    player: Player,
) -> Vec<(String, PathBuf, Process)> {
    let taps = scene.stream_infos.iter().map(|info| {
        let name = format!("{}-{}", info.transcode_config, info.video_format);
        let file = server.folder.path(&format!("{name}.{}", player.extension()));
        let process = player.tap(&info.output_stream_url, &file);
        (name, file, process)
    });
    taps.collect()
}

/// Waits until a recording has so many frames.
pub(crate) fn await_frames(file: &Path, count: usize) {
    // Looked at each second or so of the recording: reading it takes time that the show needs.
    const STEP_BYTES: u64 = 30_000;
    let mut looked_at_bytes = 0;
    let what = format!("{count} frames of {}", file.display());
    wait_for(&what, Duration::from_secs(40), || {
        let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
        if bytes < looked_at_bytes + STEP_BYTES {
            return None;
        }
        looked_at_bytes = bytes;
        (ticks(file).len() >= count).then_some(())
    });
}

/// Ends players, all at once; what they recorded.
pub(crate) fn ended(mut taps: Vec<(String, PathBuf, Process)>) -> Vec<(String, PathBuf)> {
    for (_, _, process) in &taps {
        process.signal("INT");
    }
    for (_, _, process) in &mut taps {
        process.wait(Duration::from_secs(10));
    }
    taps.into_iter().map(|(name, file, _)| (name, file)).collect()
}

/// The finished recordings below a directory.
pub(crate) fn recordings(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                dirs.push(path);
            } else if matches!(extension, Some("flv" | "mp4" | "m3u8")) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rung_and_sink_has_the_same_frames_keyframes_and_sound() {
    prove_every_way(&Server::start(), Player::Debian, &RUNGS).await;
}

/// Kinds of relays and of recordings.
pub(crate) type Ways = (&'static [&'static str], &'static [&'static str]);
pub(crate) const EVERY_WAY: Ways = (&["rtmp", "srt"], &["flv", "mp4", "m3u8"]);

/// Has a show go out by every way, with these rungs, and compares all of it.
pub(crate) async fn prove_every_way(server: &Server, player: Player, rungs: &[&str]) {
    prove_ways(server, player, rungs, EVERY_WAY).await;
}

/// The same by these ways, and those of playback.
pub(crate) async fn prove_ways(
    server: &Server,
    player: Player,
    rungs: &[&str],
    (schemes, formats): Ways,
) {
    // ffmpeg is the servers that the relays push to.
    let relays = schemes.iter().map(|&scheme| {
        let way = if scheme == "rtmp" { "/live/away" } else { "" };
        let url = format!("{scheme}://127.0.0.1:{}{way}", free_port());
        let file = server.folder.path(&format!("relay-{scheme}.{}", player.extension()));
        let listener = player.listen(&url, &file);
        (url, (format!("relay-{scheme}"), file, listener))
    });
    let (relayed, listeners): (Vec<_>, Vec<_>) = relays.unzip();
    let sources = [From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start_as(server, &sources, |config| {
        with_rungs(config, rungs);
        let relay = |url| v1::Relay { url, ..Default::default() };
        config.relays = relayed.into_iter().map(relay).collect();
        let format =
            |&format| v1::RecordFormat { format: String::from(format), ..Default::default() };
        config.record_config = Some(v1::RecordConfig {
            record_formats: formats.iter().map(format).collect(),
            ..Default::default()
        });
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let mut taps = tap_all(server, &studio.pgm, player);
    assert_eq!(taps.len(), 3 * (1 + rungs.len()), "three formats of PGM and of each rung");
    taps.extend(listeners);
    for (_, file, _) in &taps {
        await_frames(file, COMMON + 60);
    }
    // Until the end no more is left out than is counted now.
    wait_for("renditions to be whole", Duration::from_secs(90), || {
        (metric(server, "onair_overload_level") < 2.0).then_some(())
    });
    let counted = left_out(server);
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await.unwrap();
    // They end with the stream; what they wrote by then counts.
    let mut proofs = read_all(ended(taps), proof);
    check_times(&proofs);
    let recorded = recordings(&server.folder.path("data/record")).into_iter();
    let recorded = recorded.map(|file| (file.display().to_string(), file)).collect();
    proofs.extend(read_all(recorded, |file| player.proof(file)));
    assert_eq!(proofs.len(), 3 * (1 + rungs.len()) + schemes.len() + formats.len());
    for (name, proof) in &proofs {
        let (frames, late) = (proof.frames.len(), proof.jumps().len());
        println!("{name}: {frames} frames, {late} jumps, offset {:?} ms", proof.av_offset_ms);
    }
    check_same(&proofs, COMMON, counted);
}

/// What players get has the output's own times: a keyframe has the same one at every rung and by every way.
fn check_times(proofs: &[(String, Proof)]) {
    let keys = |proof: &Proof| -> Vec<_> {
        let keys = proof.frames.iter().filter(|frame| frame.key && frame.number.is_some());
        keys.map(|frame| (frame.number, frame.tick)).collect()
    };
    let expected = keys(&proofs[0].1);
    for (name, proof) in proofs.iter().filter(|(name, _)| !name.starts_with("relay")) {
        let same = keys(proof).into_iter().filter(|key| expected.contains(key)).count();
        assert!(same >= COMMON / 30 - 1, "{name} from {}: {:?}", proof.first_tick(), keys(proof));
    }
}

/// The body of an answer of the server's.
fn get(url: &str) -> String {
    let (host, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Attributes and absolute address of what a master playlist names.
pub(crate) fn variants(master_url: &str) -> Vec<(String, String)> {
    let text = get(master_url);
    let base = master_url.split_once("caster/").unwrap().0;
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(attributes) = line.strip_prefix("#EXT-X-STREAM-INF:") {
            found.push((attributes.to_owned(), format!("{base}caster/{}", lines.next().unwrap())));
        }
    }
    found
}

/// Changes the rungs of a caster on air.
async fn set_rungs(studio: &mut Studio, rungs: &[&str]) {
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let told = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let mut config = told.config.unwrap();
    with_rungs(&mut config, rungs);
    let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_master_playlist_leads_to_every_rung_while_rungs_come_and_go() {
    let server = Server::start_with(&["--hls-segments", "fmp4", "--ingest-auth", "off"]);
    let sources = [From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start_as(&server, &sources, |config| with_rungs(config, &RUNGS)).await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let master = studio.hls();
    let found = wait_for("three variants", Duration::from_secs(20), || {
        Some(variants(&master)).filter(|found| found.len() == 3)
    });
    for ((attributes, _), size) in found.iter().zip(["854x480", "640x360", "854x480"]) {
        let wanted = format!("RESOLUTION={size},FRAME-RATE=30.000,CODECS=\"avc1.");
        assert!(
            attributes.contains(&wanted) && attributes.ends_with(",mp4a.40.2\""),
            "{attributes}"
        );
    }
    assert!(get(master.split_once('?').unwrap().0).starts_with("auth_key"), "without its key");
    let mut taps = Vec::new();
    let ways = [studio.flv(), master.clone()].into_iter().chain(found.iter().map(|v| v.1.clone()));
    for (n, url) in ways.enumerate() {
        let file = server.folder.path(&format!("way{n}.flv"));
        let process = tap(&url, &file);
        await_frames(&file, 30);
        taps.push((url, file, process));
    }
    set_rungs(&mut studio, &["lld", "daobo-lsd", "daobo-lld"]).await;
    wait_for("the fourth variant", Duration::from_secs(20), || {
        (variants(&master).len() == 4).then_some(())
    });
    set_rungs(&mut studio, &["lld", "daobo-lsd"]).await;
    assert_eq!(variants(&master).len(), 3);
    let seen = ticks(&taps[4].1).len();
    for (_, file, _) in &taps {
        await_frames(file, seen + 60);
    }
    let proofs = read_all(ended(taps), proof);
    check_times(&proofs);
    check_same(&proofs, COMMON, left_out(&server));
}
