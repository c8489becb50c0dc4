//! The ladder on air: the same frames, keyframes and sound at every rung and by every way out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use onair::api::grpc::pb as v1;

use crate::proof::{Proof, check_same, proof, tap};
use crate::support::{From, Process, Server, Studio, free_port, spawn_ffmpeg, ticks, wait_for};

/// The programme is 854×480, so that there is something below it.
const RUNGS: [&str; 2] = ["lld", "daobo-lsd"];
/// Frames that everything must have in common.
const COMMON: u64 = 6 * 30;

fn with_rungs(config: &mut v1::CasterConfig, rungs: &[&str]) {
    let transcode = config.transcode_config.as_mut().unwrap();
    transcode.caster_template = "lp_sd".into();
    transcode.live_templates = rungs.iter().map(|&name| name.into()).collect();
}

/// Records every address of PGM in turn, under names that tell rung and format.
fn tap_all(server: &Server, scene: &v1::Scene) -> Vec<(String, PathBuf, Process)> {
    let taps = scene.stream_infos.iter().map(|info| {
        let name = format!("{}-{}", info.transcode_config, info.video_format);
        let file = server.folder.path(&format!("{name}.flv"));
        let process = tap(&info.output_stream_url, &file);
        (name, file, process)
    });
    taps.collect()
}

/// Waits until a recording has so many frames.
fn await_frames(file: &Path, count: u64) {
    let what = format!("{count} frames of {}", file.display());
    wait_for(&what, Duration::from_secs(40), || (ticks(file).len() as u64 >= count).then_some(()));
}

/// The finished recordings below a directory.
fn recordings(dir: &Path) -> Vec<PathBuf> {
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
    let server = Server::start();
    // ffmpeg is the server that the relay pushes to.
    let relayed = format!("rtmp://127.0.0.1:{}/live/away", free_port());
    let relay_file = server.folder.path("relay.flv");
    let listener = spawn_ffmpeg(&format!(
        "-f flv -listen 1 -i {relayed} -c copy -copyts -flush_packets 1 -f flv {}",
        relay_file.display()
    ));
    let sources = [From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start_as(&server, &sources, |config| {
        with_rungs(config, &RUNGS);
        config.side_output_urls = vec![relayed.clone()];
        let formats = ["flv", "mp4", "m3u8"];
        config.record_config = Some(v1::RecordConfig {
            record_formats: formats
                .map(|format| v1::RecordFormat { format: format.into(), ..Default::default() })
                .into(),
            ..Default::default()
        });
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let mut taps = tap_all(&server, &studio.pgm);
    assert_eq!(taps.len(), 9, "three formats of PGM and of two rungs");
    taps.push(("relay".into(), relay_file, listener));
    for (_, file, _) in &taps {
        await_frames(file, COMMON + 60);
    }
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await.unwrap();
    let mut proofs = Vec::new();
    for (name, file, mut process) in taps {
        // They end with the stream; what they wrote by then counts.
        process.signal("INT");
        process.wait(Duration::from_secs(10));
        proofs.push((name, proof(&file)));
    }
    check_times(&proofs);
    for file in recordings(&server.folder.path("data/record")) {
        proofs.push((file.display().to_string(), proof(&file)));
    }
    assert_eq!(proofs.len(), 13);
    check_same(&proofs, COMMON);
    for (name, proof) in &proofs {
        println!("{name}: {:?}, offset {:?} ms", proof.span(), proof.av_offset_ms);
    }
}

/// What players get has the output's own times: a frame has the same one at every rung and by every way.
fn check_times(proofs: &[(String, Proof)]) {
    let of_output = proofs.iter().filter(|(name, _)| name != "relay");
    let offsets = of_output.map(|(name, proof)| {
        let frame = proof.frames.iter().find(|frame| frame.number.is_some()).expect("a number");
        (name, proof.first_tick(), frame.tick - frame.number.unwrap().cast_signed())
    });
    let offsets: Vec<_> = offsets.collect();
    assert!(offsets.iter().all(|(_, _, offset)| *offset == offsets[0].2), "{offsets:?}");
}
