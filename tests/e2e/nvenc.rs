//! NVENC over the simulated driver (`tests/nvidia-sim`), in the built binary: what encodes, what is told of it, and what becomes of
//! a show when it breaks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::gpu::{AdapterChoice, Gpu};

use crate::edges::get;
use crate::faults::metric;
use crate::ladder::DROPPED;
use crate::proof::{Proof, check_same, proof, tap};
use crate::support::{Folder, From, Process, Server, Studio, ticks, wait_for};

const LONG: Duration = Duration::from_secs(40);
/// A group of pictures is 1 s.
const GOP_TICKS: i64 = 30;
/// PGM is 854×480, so that there is something below it.
const RUNGS: [&str; 3] = ["lld", "daobo-lsd", "daobo-lld"];

/// A directory with the simulator under the names of NVIDIA's libraries.
pub(crate) fn simulator() -> Folder {
    let folder = Folder::new();
    let built = std::env::current_exe().unwrap().with_file_name("libnvidia_sim.so");
    for name in ["libcuda.so.1", "libnvidia-encode.so.1"] {
        std::os::unix::fs::symlink(&built, folder.path(name)).unwrap();
    }
    folder
}

/// Faults of a simulator that has the UUID of the graphics device, so that memory goes from one to the other.
pub(crate) fn beside_adapter(faults: &str) -> String {
    let gpu = Gpu::open(&AdapterChoice::default()).unwrap();
    let uuid = gpu.exports_as().expect("software Vulkan exports memory");
    format!("uuid={:032x},{faults}", u128::from_be_bytes(uuid))
}

/// What the doctor says with these libraries; all is good.
pub(crate) fn doctor(libraries: &Folder, faults: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_onair"))
        .arg("doctor")
        .env("ONAIR_NVIDIA_LIBRARIES", libraries.path(""))
        .env("ONAIR_NVIDIA_SIM", faults)
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{faults}: {text}");
    text
}

/// A server with the simulator, whose report comes to be at the path when it ends.
fn start(libraries: &Folder, faults: &str) -> (Server, PathBuf) {
    let report = libraries.path("report");
    let server = Server::start_in(&[
        ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
        ("ONAIR_NVIDIA_SIM", faults),
        ("ONAIR_NVIDIA_SIM_REPORT", report.to_str().unwrap()),
    ]);
    (server, report)
}

/// Ends the server as an operator does; nothing of the driver's may be left.
fn check_end(server: &mut Server, report: &Path) -> String {
    server.process.signal("TERM");
    assert!(server.process.wait(Duration::from_secs(20)).success());
    let told = std::fs::read_to_string(report).unwrap();
    println!("{told}");
    let empty = "0 contexts, 0 sessions, 0 input buffers, 0 bitstream buffers, 0 memories, 0 timelines, 0 streams, \
                 0 registered held";
    assert!(told.contains(empty) && told.ends_with(" 0 violations"), "{told}");
    told
}

/// Pictures that the simulator encoded, and those of them that lay in the graphics device's memory.
fn encoded(told: &str) -> (u64, u64) {
    let before = |word: &str| {
        let (head, _) = told.split_once(word).unwrap();
        head.rsplit(' ').next().unwrap().parse().unwrap()
    };
    (before(" pictures,"), before(" of them direct"))
}

/// The pattern on air, with every rung.
async fn show(server: &Server) -> Studio {
    let sources = [From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start_as(server, &sources, |config| {
        let transcode = config.transcode_config.as_mut().unwrap();
        transcode.caster_template = "lp_sd".into();
        transcode.live_templates = RUNGS.map(Into::into).into();
    })
    .await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    studio
}

/// Players of PGM and of each rung.
fn taps(server: &Server, studio: &Studio) -> Vec<(String, PathBuf, Process)> {
    let flv = studio.pgm.stream_infos.iter().filter(|info| info.video_format == "flv");
    let players = flv.map(|info| {
        let file = server.folder.path(&format!("{}.flv", info.transcode_config));
        let process = tap(&info.output_stream_url, &file);
        (info.transcode_config.clone(), file, process)
    });
    players.collect()
}

/// Waits until each of them has so many frames, ends them and reads what they saw.
fn proofs(taps: Vec<(String, PathBuf, Process)>, frames: usize) -> Vec<(String, Proof)> {
    assert_eq!(taps.len(), 1 + RUNGS.len());
    for (name, file, _) in &taps {
        let mut seen_bytes = 0;
        wait_for(&format!("{frames} frames of {name}"), LONG, || {
            // Reading takes time that the show needs: only when there is another second or so.
            let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
            if bytes < seen_bytes + 30_000 {
                return None;
            }
            seen_bytes = bytes;
            (ticks(file).len() >= frames).then_some(())
        });
    }
    let mut proofs = Vec::new();
    for (name, file, mut process) in taps {
        process.signal("INT");
        process.wait(Duration::from_secs(10));
        proofs.push((name, proof(&file)));
    }
    proofs
}

/// Nothing is missing anywhere, the same frames are shown at the same times, and keyframes are on one grid; besides it one that broke
/// has one more.
fn check_broken(proofs: &[(String, Proof)]) {
    let numbers: BTreeMap<i64, u64> =
        proofs[0].1.frames.iter().filter_map(|frame| Some((frame.tick, frame.number?))).collect();
    for (name, proof) in proofs {
        proof.check(name);
        for frame in &proof.frames {
            assert!(frame.key || frame.tick % GOP_TICKS != 0, "{name}: {frame:?} is no keyframe");
            let (Some(number), Some(shown)) = (numbers.get(&frame.tick), frame.number) else {
                continue;
            };
            // Pictures that a rung has no time for are repeated, not lost.
            assert!(number.abs_diff(shown) <= 3, "{name}: {frame:?} beside {number}");
        }
    }
}

/// What encodes PGM and its rungs, and how often that broke.
fn encoders(state: &v1::WatchCasterResponse) -> Vec<(&str, &str, u64)> {
    let encoded = state.outputs.iter().filter(|output| output.name.starts_with("pgm"));
    encoded.map(|output| (&output.name[..], &output.encoder[..], output.restarts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pgm_and_three_rungs_go_from_the_canvas_to_nvenc_without_the_host() {
    let libraries = simulator();
    let (mut server, report) = start(&libraries, &beside_adapter(""));
    let mut studio = show(&server).await;
    let taps = taps(&server, &studio);
    let state = studio.state().await;
    let by_nvenc = ["pgm", "pgm_lld", "pgm_daobo-lsd", "pgm_daobo-lld"];
    assert_eq!(encoders(&state), by_nvenc.map(|name| (name, "nvenc", 0)));
    assert!(state.outputs.iter().all(|output| output.nvenc_refused.is_empty()), "{state:?}");
    assert_eq!(metric(&server, "onair_nvenc_state{state=\"ready\"}"), 1.0);
    assert_eq!(metric(&server, "onair_nvenc_sessions "), 4.0);
    let proofs = proofs(taps, 150);
    check_same(&proofs, 75, metric(&server, DROPPED));
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await.unwrap();
    wait_for("all sessions to end", Duration::from_secs(5), || {
        (metric(&server, "onair_nvenc_sessions ") == 0.0).then_some(())
    });
    assert_eq!(metric(&server, "onair_nvenc_host_copies_total"), 0.0);
    assert_eq!(metric(&server, "onair_gpu_host_copies_total"), 0.0);
    let (pictures, direct) = encoded(&check_end(&mut server, &report));
    // What is encoded before the first picture has come is black, and the host's own.
    assert!(direct > 4 * 150 && pictures - direct < 4 * 30, "{direct} of {pictures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cuda_or_nvenc_refuses_goes_by_way_of_the_host() {
    let libraries = simulator();
    // On air: PGM at one tick, the smallest rung later.
    let faults = beside_adapter("unmappable=480@120,unmappable=360@200");
    let (mut server, report) = start(&libraries, &faults);
    let mut studio = show(&server).await;
    let taps = taps(&server, &studio);
    let proofs = proofs(taps, 300);
    check_same(&proofs, 75, metric(&server, DROPPED));
    let state = studio.state().await;
    assert_eq!(encoders(&state).iter().filter(|of| of.1 == "nvenc" && of.2 == 0).count(), 4);
    let copied =
        state.outputs.iter().filter(|of| of.nvenc_copies.contains("NV_ENC_ERR_MAP_FAILED"));
    assert_eq!(copied.count(), 2, "{state:?}");
    assert!(metric(&server, "onair_gpu_host_copies_total") > 100.0);
    check_end(&mut server, &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn nvenc_that_breaks_on_air_costs_no_frame_anywhere() {
    let libraries = simulator();
    // PGM's session is lost for good, later the smallest picture's once. Two rungs have PGM's height or the other's.
    let (mut server, report) = start(&libraries, &beside_adapter("gone=480@200,lost=360@260"));
    let mut studio = show(&server).await;
    let taps = taps(&server, &studio);
    let clock = onair::time::Clock::real();
    let state = loop {
        let state = studio.state().await;
        if state.outputs.iter().map(|output| output.restarts).sum::<u64>() >= 2 {
            break state;
        }
        assert!(clock.now_ns() < 40_000_000_000, "{state:?}");
    };
    let of = |name: &str| encoders(&state).into_iter().filter(|of| of.1 == name).count();
    assert_eq!((of("x264"), of("nvenc")), (1, 3), "{state:?}");
    let stood_in = state.outputs.iter().find(|output| output.encoder == "x264").unwrap();
    assert!(stood_in.nvenc_refused.contains("NV_ENC_ERR_DEVICE_NOT_EXIST"), "{stood_in:?}");
    assert!(stood_in.message.contains("lost at picture 200"), "{stood_in:?}");
    check_broken(&proofs(taps, 360));
    check_end(&mut server, &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_without_nvenc_is_told_and_x264_encodes() {
    let libraries = simulator();
    let (mut server, report) = start(&libraries, "unsupported");
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let state = studio.state().await;
    assert_eq!(encoders(&state), [("pgm", "x264", 0)]);
    let refused = &state.outputs[0].nvenc_refused;
    assert_eq!(refused, "NVIDIA Simulator has no NVENC (NV_ENC_ERR_UNSUPPORTED_DEVICE)");
    assert_eq!(metric(&server, "onair_nvenc_state{state=\"no_encoder\"}"), 1.0);
    let page = get(server.http, "/metrics").1;
    let encoded = page.lines().find(|line| line.starts_with("onair_output_encoder{"));
    assert!(encoded.is_some_and(|line| line.contains("encoder=\"x264\"")), "{encoded:?}");
    check_end(&mut server, &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_nvenc_will_do_a_rendition_too_many_is_refused() {
    let libraries = simulator();
    let server = Server::start_in(&[
        ("ONAIR_ENCODER", "nvenc"),
        ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
        ("ONAIR_NVIDIA_SIM", "sessions=1"),
    ]);
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let before = studio.client.describe_caster_config(request.clone()).await.unwrap().into_inner();
    let mut config = before.config.clone().unwrap();
    config.transcode_config.as_mut().unwrap().live_templates = vec!["lld".into()];
    let set = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
    let refused = studio.client.set_caster_config(set).await.unwrap_err();
    assert!(refused.message().contains("no session of NVENC is free"), "{refused:?}");
    let after = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    assert_eq!(after.config, before.config);
    assert_eq!(encoders(&studio.state().await), [("pgm", "nvenc", 0)]);
    assert!(metric(&server, "onair_nvenc_sessions_refused_total") >= 1.0);
}

#[test]
fn the_doctor_tells_what_it_tried() {
    let (with, without) = (simulator(), Folder::new());
    for (libraries, faults, told) in [
        (&without, "", &["nvenc     there is no NVIDIA driver", "encoder   x264"][..]),
        (
            &with,
            "",
            &[
                "nvenc     on NVIDIA Simulator",
                "nvenc     H.264: a session was opened",
                "nvenc     HEVC: a session was opened; not used",
                "nvenc     AV1: this card does not encode AV1",
                "encoder   nvenc, and x264 where it has no session",
            ],
        ),
        (&with, "unsupported", &["NVIDIA Simulator has no NVENC", "encoder   x264"]),
        (&with, "old-driver", &["speaks NVENC 11.1, at least 12.1 is needed", "encoder   x264"]),
        (&with, "no-device", &["CUDA finds no device", "encoder   x264"]),
        (&with, "sessions=0", &["no session of NVENC is free", "encoder   x264"]),
    ] {
        let text = doctor(libraries, faults);
        for line in told {
            assert!(text.contains(line), "{faults}: {line} is not in\n{text}");
        }
    }
}
