//! The fault table on the built binary, its part of the machine: disks, an encoder, the graphics device, the clock, the end,
//! under a show that goes out by every way at once, HLS in fragmented MP4.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use onair::time::Clock;

use crate::faults::FAKETIME;
use crate::peers::Disk;
use crate::recordings::await_list;
use crate::support::{Folder, From, PROGRAM, Server, is_thorough, run_ffmpeg};
use crate::through::{Row, Seen, Show};

const RECORDINGS: usize = 3;

struct Machine {
    disk: Disk,
    folder: Folder,
}

impl Machine {
    /// Has the fault strike that waits for this file.
    fn strike(&self, fault: &str) {
        std::fs::write(self.folder.path(fault), "").unwrap();
    }

    fn set_clock(&self, offset: &str) {
        std::fs::write(self.folder.path("clock"), offset).unwrap();
    }
}

fn nothing(_: &mut Machine) {}

/// So many recordings that failed are events.
fn failed(count: usize, [before, now]: [&Seen; 2]) -> Option<String> {
    let failed = now.since(before).iter().filter(|event| event.code == "RecordFailed");
    let failed: Vec<_> = failed.collect();
    let why = failed.last()?.message.rsplit_once(": ")?.1;
    (failed.len() >= count).then(|| format!("{} × RecordFailed: {why}", failed.len()))
}

fn all_record(_: &Machine, _: &str, [_, now]: [&Seen; 2]) -> bool {
    let outputs = now.state.outputs.iter().filter(|output| output.name.starts_with("record-"));
    let good = outputs.filter(|output| output.message.is_empty() && output.subscribers == 1);
    good.count() == RECORDINGS
}

/// Ticks went on for a second since.
fn ticks_go_on(_: &Machine, _: &str, [before, now]: [&Seen; 2]) -> bool {
    now.state.tick > before.state.tick + 30
}

/// By how much tick 0 moved on the wall clock, s.
fn stepped_s([before, now]: [&Seen; 2]) -> Option<i64> {
    let [before, now] = [before, now].map(|seen| seen.state.tick0_unix_ns);
    Some((now? - before? + 500_000_000).div_euclid(1_000_000_000))
}

/// It takes a minute and a half to be noticed: [`onair::limits::INPUT_HUNG`].
const HANGS: Row<Machine> = Row {
    name: "a file's worker hangs",
    lane: "source",
    of: "RV02",
    cause: |machine| machine.strike("input"),
    told: |_, of, [before, now]| {
        let input = now.input(of);
        let mut events = now.since(before).iter().filter(|e| e.resource_id == input.resource_id);
        let event = events.find(|event| event.code == "ThreadRestarted")?;
        Some(format!("ThreadRestarted: {}", event.message))
    },
    says: "",
    mend: nothing,
    is_over: |_, of, [before, now]| {
        let (was, is) = (before.input(of), now.input(of));
        is.restarts > was.restarts && is.message.is_empty() && is.frames > 60
    },
};

const MACHINE: [Row<Machine>; 6] = [
    Row {
        name: "disk full",
        lane: "disk",
        of: "",
        cause: |machine| machine.disk.fill(),
        told: |_, _, seen| failed(RECORDINGS, seen),
        says: "",
        mend: |machine| machine.disk.empty(),
        is_over: all_record,
    },
    // MP4 and FLV are open and go on; the next segment of HLS cannot be made.
    Row {
        name: "record directory unwritable",
        lane: "disk",
        of: "",
        cause: |machine| machine.disk.lock(),
        told: |_, _, seen| failed(1, seen),
        says: "Read-only file system",
        mend: |machine| machine.disk.unlock(),
        is_over: all_record,
    },
    Row {
        name: "PGM's encoder panics",
        lane: "process",
        of: "",
        cause: |machine| machine.strike("encoder"),
        told: |_, _, [before, now]| {
            let mut events = now.since(before).iter();
            let event = events.find(|event| event.code == "EncoderRestarted")?;
            Some(format!("EncoderRestarted: {}", event.message))
        },
        says: "pgm: ",
        mend: nothing,
        is_over: ticks_go_on,
    },
    Row {
        name: "graphics device destroyed",
        lane: "process",
        of: "",
        cause: |machine| machine.strike("device"),
        told: |_, _, [_, now]| {
            let lost = now.metric("onair_gpu_device_lost_total", "");
            (lost == 1.0).then(|| "onair_gpu_device_lost 1".to_owned())
        },
        says: "",
        mend: nothing,
        is_over: ticks_go_on,
    },
    Row {
        name: "clock stepped by +1 h",
        lane: "process",
        of: "",
        cause: |machine| machine.set_clock("+3600"),
        told: |_, _, seen| {
            let stepped = stepped_s(seen).filter(|step| (3599..=3601).contains(step));
            stepped.map(|step| format!("tick0_unix_ns {step:+} s"))
        },
        says: "",
        mend: nothing,
        is_over: ticks_go_on,
    },
    Row {
        name: "clock stepped by −1 h",
        lane: "process",
        of: "",
        cause: |machine| machine.set_clock("+0"),
        told: |_, _, seen| {
            let stepped = stepped_s(seen).filter(|step| (-3601..=-3599).contains(step));
            stepped.map(|step| format!("tick0_unix_ns {step:+} s"))
        },
        says: "",
        mend: nothing,
        is_over: ticks_go_on,
    },
];

/// What is below a directory, but for directories.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_machine_cost_no_output_a_frame_and_its_end_no_recording() {
    let Some(disk) = Disk::new(48) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let folder = Folder::new();
    let [clock, encoder, device, input] =
        ["clock", "encoder", "device", "input"].map(|name| folder.path(name).display().to_string());
    let faults = format!(
        "encode-pgm-test:panic@{encoder},tick-pgm-test:fail@{device},input-source RV02:hang@{input}"
    );
    let mut variables = vec![("ONAIR_FAULTS", faults.as_str())];
    let mut rows = Vec::from(MACHINE);
    if Path::new(FAKETIME).exists() {
        variables.extend([
            ("LD_PRELOAD", FAKETIME),
            ("FAKETIME_TIMESTAMP_FILE", &clock),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
    } else {
        println!("skipped: the clock's rows, since libfaketime is not installed");
        rows.truncate(MACHINE.len() - 2);
    }
    let record_dir = disk.path();
    let place = record_dir.display().to_string();
    let open = ["--playback-auth", "public", "--ingest-auth", "off", "--hls-segments", "fmp4"];
    let flags = [&open[..], &["--record-dir", &place, "--record-reserve-bytes", "0"]].concat();
    let machine = Machine { disk, folder };
    machine.set_clock("+0");
    let server = Server::start_by(Command::new(PROGRAM), &flags, &variables);
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=160x90:rate=30 -t 4 -pix_fmt yuv420p -c:v libx264 -preset ultrafast -g 30 {}",
        server.folder.path("media").join("clip.mp4").display()
    ));
    let sources = vec![From::Vod("file:clip.mp4")];
    let mut show = Show::start(server, (sources, vec![]), record_dir.clone(), machine).await;
    show.until("it to record", |seen| {
        let outputs = seen.state.outputs.iter().filter(|o| o.name.starts_with("record-"));
        outputs.filter(|output| output.frames > 60).count() == RECORDINGS
    })
    .await;
    match is_thorough() {
        true => rows.push(HANGS),
        false => println!("skipped: {}, which takes a minute and a half", HANGS.name),
    }
    let outcomes = show.apply(&rows).await;
    await_list(show.server.http, "finishing", <[_]>::is_empty);
    let seen = show.look().await;
    assert_eq!(seen.state.restarts, 0, "{:?}", seen.state);
    let clock = Clock::real();
    show.server.process.signal("TERM");
    let status = show.server.process.wait(Duration::from_secs(6));
    println!("SIGTERM under load: ended after {} ms: {status}", clock.now_ns() / 1_000_000);
    assert!(status.success(), "{status}");
    let unfinished: Vec<_> = files(&record_dir)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "part" || end == "new"))
        .collect();
    assert!(unfinished.is_empty(), "nothing recorded is lost: {unfinished:?}");
    show.prove(&outcomes).await;
}
