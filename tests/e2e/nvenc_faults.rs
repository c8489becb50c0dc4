//! Each fault of the simulated driver, over the path from the canvas to NVENC in the built binary, when a show begins and on air: who
//! encodes then, that no frame is lost anywhere, and what the log, `WatchCaster` and the metrics tell of it.

use onair::api::grpc::pb as v1;

use crate::edges::get;
use crate::faults::metric;
use crate::ladder::left_out;
use crate::nvenc::{RUNGS, Simulated, beside_adapter, encoders, proofs, show, taps};
use crate::proof::{Proof, check_same};

/// A group of pictures is 1 s.
const GOP_TICKS: i64 = 30;
/// Where faults on air strike first; those who watch are there by then.
const FIRST_STRIKE: i64 = 150;

/// Before the first picture has come all show black, which is the host's own: for half a second at most.
const BLACK: f64 = 4.0 * 15.0;

/// A fault, or several that have nothing to do with each other.
struct Row {
    name: &'static str,
    /// As `tests/nvidia-sim` has them. `480` are PGM and one rung, `360` two rungs.
    faults: &'static str,
    /// Of these four, how many NVENC encodes in the end, and how many of those by way of the host.
    by_nvenc: [usize; 2],
    /// How many encoders broke.
    restarts: u64,
    /// What `WatchCaster` gives as the reasons why it is not NVENC, and why by way of the host: all of them, and no others.
    refused: &'static [&'static str],
    copied: &'static [&'static str],
    /// What the metrics say of NVENC.
    state: &'static str,
    logged: &'static [&'static str],
}

const NOT_NVENC: &str = "software encodes, not NVENC";
const INSTEAD: &str = "another one takes its place";
const GOES_ON: &str = "software goes on in the place of NVENC";
const BY_HOST: &str = "pictures are copied by way of the host from now on";

const AT_THE_BEGIN: [Row; 8] = [
    Row {
        name: "no device",
        faults: "no-device",
        by_nvenc: [0, 0],
        restarts: 0,
        refused: &["CUDA finds no device (cuInit: 100)"],
        copied: &[],
        state: "no_device",
        logged: &["NVENC is not used", NOT_NVENC],
    },
    Row {
        name: "a card without NVENC",
        faults: "unsupported",
        by_nvenc: [0, 0],
        restarts: 0,
        refused: &["NVIDIA Simulator has no NVENC (NV_ENC_ERR_UNSUPPORTED_DEVICE)"],
        copied: &[],
        state: "no_encoder",
        logged: &["NVENC is not used", NOT_NVENC],
    },
    Row {
        name: "an old driver",
        faults: "old-driver",
        by_nvenc: [0, 0],
        restarts: 0,
        refused: &["the driver speaks NVENC 11.1, at least 12.1 is needed"],
        copied: &[],
        state: "old_driver",
        logged: &["NVENC is not used", NOT_NVENC],
    },
    Row {
        name: "no free session",
        faults: "sessions=2",
        by_nvenc: [2, 0],
        restarts: 0,
        refused: &["no session of NVENC is free"],
        copied: &[],
        state: "ready",
        logged: &["NVENC is ready", "nvidia simulator: no free session", NOT_NVENC],
    },
    Row {
        name: "no memory",
        faults: "no-memory",
        by_nvenc: [0, 0],
        restarts: 0,
        refused: &["NV_ENC_ERR_OUT_OF_MEMORY"],
        copied: &[],
        state: "ready",
        logged: &["NVENC is ready", NOT_NVENC],
    },
    Row {
        name: "pictures that are held back",
        faults: "hold=2",
        by_nvenc: [4, 0],
        restarts: 0,
        refused: &[],
        copied: &[],
        state: "ready",
        logged: &["NVENC is ready"],
    },
    Row {
        name: "memory that CUDA does not take",
        faults: "no-import",
        by_nvenc: [4, 4],
        restarts: 0,
        refused: &[],
        copied: &["cuImportExternalMemory: 2"],
        state: "ready",
        logged: &["nvidia simulator: no memory is brought in", BY_HOST],
    },
    Row {
        name: "memory that NVENC does not take",
        faults: "no-register",
        by_nvenc: [4, 4],
        restarts: 0,
        refused: &[],
        copied: &["NV_ENC_ERR_RESOURCE_REGISTER_FAILED"],
        state: "ready",
        logged: &["nvidia simulator: nothing is registered", BY_HOST],
    },
];

/// Each loss befalls another encoder, half a second at least after the one before, so that it is that one who finds what comes then.
const ON_AIR: [Row; 3] = [
    Row {
        name: "the card, its encoder, its driver or its sessions go",
        faults: "lost=480@150+no-device,lost=360@180+unsupported,lost=480@195+old-driver,lost=360@240+sessions=0",
        by_nvenc: [0, 0],
        restarts: 4,
        refused: &[
            "CUDA finds no device (cuDevicePrimaryCtxRetain: 100)",
            "NVIDIA Simulator has no NVENC (NV_ENC_ERR_UNSUPPORTED_DEVICE)",
            "NV_ENC_ERR_INVALID_VERSION",
            "no session of NVENC is free",
        ],
        copied: &[],
        state: "ready",
        logged: &["nvidia simulator: a session of height 480 is lost", INSTEAD, GOES_ON],
    },
    Row {
        name: "a session is lost, and its memory cannot be had again",
        faults: "lost=480@150,lost=360@180+no-memory,lost=480@195+no-import,lost=360@240+no-register",
        by_nvenc: [3, 2],
        restarts: 4,
        refused: &["NV_ENC_ERR_OUT_OF_MEMORY"],
        copied: &["cuImportExternalMemory: 2", "NV_ENC_ERR_RESOURCE_REGISTER_FAILED"],
        state: "ready",
        logged: &["nvidia simulator: a session of height 360 is lost", INSTEAD, GOES_ON, BY_HOST],
    },
    Row {
        name: "pictures cannot be mapped, a session is gone, others hold pictures back",
        faults: "unmappable=480@150,unmappable=480@165,gone=360@195,hold=2@240",
        by_nvenc: [3, 2],
        restarts: 1,
        refused: &["NV_ENC_ERR_DEVICE_NOT_EXIST"],
        copied: &["NV_ENC_ERR_MAP_FAILED"],
        state: "ready",
        logged: &[
            "nvidia simulator: a picture of height 480 is not mapped",
            BY_HOST,
            INSTEAD,
            GOES_ON,
        ],
    },
];

/// The reasons that are told are these.
fn check_reasons(what: &str, told: &[&str], reasons: &[&str]) {
    for told in told {
        assert!(reasons.iter().any(|reason| told.contains(reason)), "{what}: {told}");
    }
    for reason in reasons {
        assert!(told.iter().any(|told| told.contains(reason)), "{what}: {reason} not in {told:?}");
    }
}

/// What is told of encoders.
fn check_told(simulated: &Simulated, row: &Row, state: &v1::WatchCasterResponse) {
    let Row { name, by_nvenc: [by_nvenc, by_host], .. } = *row;
    let (server, encoders) = (&simulated.server, encoders(state));
    let count = |maker: &str| encoders.iter().filter(|encoder| encoder.1 == maker).count();
    assert_eq!([count("nvenc"), count("x264")], [by_nvenc, 4 - by_nvenc], "{name}: {state:?}");
    let restarts: u64 = encoders.iter().map(|encoder| encoder.2).sum();
    assert_eq!(restarts, row.restarts, "{name}: {state:?}");
    let told = |of: fn(&v1::OutputStatus) -> &str| -> Vec<_> {
        state.outputs.iter().map(of).filter(|told| !told.is_empty()).collect()
    };
    let (refused, copied) = (told(|of| &of.nvenc_refused), told(|of| &of.nvenc_copies));
    assert_eq!([refused.len(), copied.len()], [4 - by_nvenc, by_host], "{name}: {state:?}");
    check_reasons(name, &refused, row.refused);
    check_reasons(name, &copied, row.copied);

    let page = get(server.http, "/metrics").1;
    let lines = page.lines().filter(|line| line.starts_with("onair_output_encoder{"));
    let by_x264 = lines.filter(|line| line.contains("encoder=\"x264\"")).count();
    assert_eq!(by_x264, 4 - by_nvenc, "{name}: {page}");
    for (metric_name, value) in [
        (format!("onair_nvenc_state{{state=\"{}\"}}", row.state), 1.0),
        ("onair_nvenc_sessions ".into(), by_nvenc as f64),
        ("onair_output_encoder_restarts_total".into(), row.restarts as f64),
    ] {
        assert_eq!(metric(server, &metric_name), value, "{name}: {metric_name}");
    }
    let copies = metric(server, "onair_nvenc_host_copies_total");
    assert_eq!(copies > BLACK, by_host > 0, "{name}: {copies} copies");

    let log = simulated.log();
    for line in row.logged {
        assert!(log.contains(line), "{name}: {line} is not in the log");
    }
}

/// Keyframes are where groups of pictures begin and, as often as encoders broke, at one more place each.
fn check_groups(name: &str, proofs: &mut [(String, Proof)], restarts: u64) {
    for (output, proof) in proofs {
        let mut more = 0;
        for frame in &mut proof.frames {
            let begins = frame.tick % GOP_TICKS == 0;
            assert!(frame.key || !begins, "{name}: {output}: {frame:?} is no keyframe");
            more += u64::from(frame.key && !begins);
            frame.key = begins;
        }
        assert!(more <= restarts, "{name}: {output}: {more} more keyframes");
    }
}

async fn check(row: &Row, frames: usize) {
    let simulated = Simulated::start(&beside_adapter(row.faults));
    let server = &simulated.server;
    let mut studio = show(server).await;
    let taps = taps(server, &studio);
    let mut proofs = proofs(taps, frames);
    check_told(&simulated, row, &studio.state().await);
    check_groups(row.name, &mut proofs, row.restarts);
    assert_eq!(proofs.len(), 1 + RUNGS.len());
    for (output, proof) in &proofs {
        assert!(proof.first_tick() < FIRST_STRIKE, "{}: {output} has not seen it", row.name);
    }
    check_same(&proofs, frames / 2, left_out(server));
    println!("{}: {frames} frames of each", row.name);
    simulated.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_refuses_when_a_show_begins_costs_no_frame() {
    for row in &AT_THE_BEGIN {
        check(row, 75).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_breaks_on_air_costs_no_frame_anywhere() {
    for row in &ON_AIR {
        check(row, 270).await;
    }
}
