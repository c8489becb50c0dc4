//! NVENC over the simulated driver (`tests/nvidia-sim`), in the built binary: what encodes, and what is told of it. What becomes of
//! a show when it breaks is in `nvenc_faults`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::gpu::{AdapterChoice, Gpu};

use crate::faults::metric;
use crate::ladder::{ended, left_out};
use crate::malformed::resident;
use crate::proof::{Proof, check_same, proof, read_all, tap};
use crate::support::{
    Folder, From, PROGRAM, Process, Server, Studio, is_thorough, ticks, wait_for,
};
use crate::through::threads_of;

const LONG: Duration = Duration::from_secs(40);
/// Shows that begin and end: those after which it is looked at what is held, all of them, and all of them with `ONAIR_THOROUGH=1`.
const SHOWS_BEFORE: u64 = 4;
const SHOWS: u64 = 10;
const THOROUGH_SHOWS: u64 = 1000;
/// What the allocator may keep of them, and of what it had when they began.
const KEPT_BYTES: u64 = 24 << 20;
/// PGM is 854×480, so that there is something below it.
pub(crate) const RUNGS: [&str; 3] = ["lld", "daobo-lsd", "daobo-lld"];

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

/// A server with the simulator.
pub(crate) struct Simulated {
    pub(crate) server: Server,
    libraries: Folder,
}

impl Simulated {
    pub(crate) fn start(faults: &str) -> Simulated {
        Simulated::start_as(faults, "h264")
    }

    /// One whose outputs are coded like this.
    pub(crate) fn start_as(faults: &str, video_codec: &str) -> Simulated {
        let libraries = simulator();
        let mut command = Command::new(PROGRAM);
        command.stderr(std::fs::File::create(libraries.path("log")).unwrap());
        let server = Server::start_by(
            command,
            &[],
            &[
                ("ONAIR_NVIDIA_LIBRARIES", libraries.path("").to_str().unwrap()),
                ("ONAIR_NVIDIA_SIM", faults),
                ("ONAIR_VIDEO_CODEC", video_codec),
                ("ONAIR_NVIDIA_SIM_REPORT", libraries.path("report").to_str().unwrap()),
            ],
        );
        Simulated { server, libraries }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.libraries.path("log")).unwrap()
    }

    /// Ends it as an operator does; nothing of the driver's may be left. Gives what the simulator tells of it.
    pub(crate) fn end(mut self) -> String {
        self.server.process.signal("TERM");
        assert!(self.server.process.wait(Duration::from_secs(20)).success());
        let told = std::fs::read_to_string(self.libraries.path("report")).unwrap();
        println!("{told}");
        let empty = "0 contexts, 0 sessions, 0 input buffers, 0 bitstream buffers, 0 memories, 0 timelines, 0 streams, \
                     0 registered held";
        assert!(told.contains(empty) && told.ends_with(" 0 violations"), "{told}");
        told
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
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
pub(crate) async fn show(server: &Server) -> Studio {
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
pub(crate) fn taps(server: &Server, studio: &Studio) -> Vec<(String, PathBuf, Process)> {
    let flv = studio.pgm.stream_infos.iter().filter(|info| info.video_format == "flv");
    let players = flv.map(|info| {
        let file = server.folder.path(&format!("{}.flv", info.transcode_config));
        let process = tap(&info.output_stream_url, &file);
        (info.transcode_config.clone(), file, process)
    });
    players.collect()
}

/// Waits until each of them has so many frames, ends them and reads what they saw.
pub(crate) fn proofs(taps: Vec<(String, PathBuf, Process)>, frames: usize) -> Vec<(String, Proof)> {
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
    read_all(ended(taps), proof)
}

/// What encodes PGM and its rungs, and how often that broke.
pub(crate) fn encoders(state: &v1::WatchCasterResponse) -> Vec<(&str, &str, u64)> {
    let encoded = state.outputs.iter().filter(|output| output.name.starts_with("pgm"));
    encoded.map(|output| (&output.name[..], &output.encoder[..], output.restarts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pgm_and_three_rungs_go_from_the_canvas_to_nvenc_without_the_host() {
    let simulated = Simulated::start(&beside_adapter(""));
    let server = &simulated.server;
    let mut studio = show(server).await;
    let taps = taps(server, &studio);
    let state = studio.state().await;
    let by_nvenc = ["pgm", "pgm_lld", "pgm_daobo-lsd", "pgm_daobo-lld"];
    assert_eq!(encoders(&state), by_nvenc.map(|name| (name, "nvenc", 0)));
    assert!(state.outputs.iter().all(|output| output.nvenc_refused.is_empty()), "{state:?}");
    assert_eq!(metric(server, "onair_nvenc_state{state=\"ready\"}"), 1.0);
    assert_eq!(metric(server, "onair_nvenc_sessions "), 4.0);
    let proofs = proofs(taps, 150);
    check_same(&proofs, 75, left_out(server));
    let request = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    studio.client.stop_caster(request).await.unwrap();
    wait_for("all sessions to end", Duration::from_secs(5), || {
        (metric(server, "onair_nvenc_sessions ") == 0.0).then_some(())
    });
    assert_eq!(metric(server, "onair_nvenc_host_copies_total"), 0.0);
    assert_eq!(metric(server, "onair_gpu_host_copies_total"), 0.0);
    let (pictures, direct) = encoded(&simulated.end());
    // What is encoded before the first picture has come is black, and the host's own.
    assert!(direct > 4 * 150 && pictures - direct < 4 * 30, "{direct} of {pictures}");
}

/// What the process holds while nothing is on air.
fn held(server: &Server) -> (usize, BTreeMap<String, usize>, u64) {
    let pid = server.process.0.id();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    (files, threads_of(pid), resident(server))
}

/// Whether PGM and its rungs show something, by NVENC.
fn has_pictures(state: &v1::WatchCasterResponse) -> bool {
    let encoded = state.outputs.iter().filter(|output| output.encoder == "nvenc");
    encoded.filter(|output| output.frames > 2).count() == 1 + RUNGS.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_that_begin_and_end_leave_nothing() {
    let simulated = Simulated::start(&beside_adapter(""));
    let server = &simulated.server;
    let mut studio = show(server).await;
    let start = v1::StartCasterRequest { caster_id: studio.caster.clone() };
    let stop = v1::StopCasterRequest { caster_id: studio.caster.clone() };
    let clock = onair::time::Clock::real();
    let shows = if is_thorough() { THOROUGH_SHOWS } else { SHOWS };
    let mut before = None;
    for show in 1..=shows {
        if show > 1 {
            studio.client.start_caster(start.clone()).await.unwrap();
        }
        let began_ns = clock.now_ns();
        while !has_pictures(&studio.state().await) {
            assert!(Duration::from_nanos(clock.now_ns() - began_ns) < LONG, "no pictures");
        }
        studio.client.stop_caster(stop.clone()).await.unwrap();
        wait_for("all sessions to end", LONG, || {
            (metric(server, "onair_nvenc_sessions ") == 0.0).then_some(())
        });
        if show == SHOWS_BEFORE {
            before = Some(held(server));
        }
    }
    let before = before.unwrap();
    let after = wait_for("threads and descriptors to be as before", LONG, || {
        let after = held(server);
        (after.0 <= before.0 && after.1 == before.1).then_some(after)
    });
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{shows} shows in {:.1} s; after {SHOWS_BEFORE} of them and after all: {} and {} descriptors, {:.1} and {:.1} MiB",
        clock.now_ns() as f64 / 1e9,
        before.0,
        after.0,
        mib(before.2),
        mib(after.2),
    );
    assert!(after.2 <= before.2 + KEPT_BYTES, "{before:?} {after:?}");
    let (pictures, _) = encoded(&simulated.end());
    assert!(pictures >= 4 * shows, "{pictures} pictures of {shows} shows");
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
        (
            &without,
            "",
            &[
                "nvenc     there is no NVIDIA driver",
                "encoder   H.264: x264",
                "encoder   HEVC: x265",
                "encoder   AV1: libaom",
            ][..],
        ),
        (
            &with,
            "",
            &[
                "nvenc     on NVIDIA Simulator",
                "nvenc     H.264: a session was opened",
                "nvenc     HEVC: a session was opened",
                "nvenc     AV1: a session was opened",
                "encoder   H.264: nvenc, and x264 where it has no session",
                "encoder   HEVC: nvenc, and x265 where it has no session",
                "encoder   AV1: nvenc, and libaom where it has no session",
            ],
        ),
        (
            &with,
            "no-av1",
            &[
                "nvenc     HEVC: a session was opened",
                "nvenc     AV1: this card does not encode AV1",
                "encoder   AV1: libaom",
            ],
        ),
        (
            &with,
            "no-hevc",
            &[
                "nvenc     HEVC: this card does not encode HEVC",
                "encoder   H.264: nvenc, and x264 where it has no session",
                "encoder   HEVC: x265",
            ],
        ),
        (&with, "unsupported", &["NVIDIA Simulator has no NVENC", "encoder   H.264: x264"]),
        (
            &with,
            "old-driver",
            &["speaks NVENC 11.1, at least 12.1 is needed", "encoder   H.264: x264"],
        ),
        (&with, "no-device", &["CUDA finds no device", "encoder   H.264: x264"]),
        (&with, "sessions=0", &["no session of NVENC is free", "encoder   H.264: x264"]),
    ] {
        let text = doctor(libraries, faults);
        for line in told {
            assert!(text.contains(line), "{faults}: {line} is not in\n{text}");
        }
    }
}
