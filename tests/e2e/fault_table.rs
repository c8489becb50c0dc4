//! The fault table on the built binary, its part of sources and relays: each fault by a real peer, under a show that goes out
//! by every way at once. The rest of it is in `machine_faults`; kills are in `recordings` and `durability`.

use std::path::PathBuf;
use std::process::Command;

use onair::api::grpc::pb as v1;

use crate::peers::{Camera, Flow, Gate, Order, with_hosts};
use crate::support::{
    Folder, From, PROGRAM, Process, Server, free_port, is_thorough, spawn_ffmpeg,
};
use crate::through::{Row, Seen, Show};

/// After so long the timestamps of the SRT source wrap.
const SRT_WRAPS_S: u64 = 20;
/// 2³³ / 90 kHz, s.
const TS_PERIOD_S: f64 = 95_443.717_689;

/// What comes from outside and goes there.
struct Outside {
    camera: Camera,
    _srt: Process,
    killed: Gate,
    wedged: Gate,
    slow: Gate,
    refusing: Gate,
    named: Gate,
    /// Who had come when the name went.
    came: u64,
    hosts: PathBuf,
}

fn nothing<P>(_: &mut P) {}

/// An event that something is wrong with a source.
fn began(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> Option<String> {
    let resource = &now.input(of).resource_id;
    let mut events = now.since(before).iter().filter(|event| event.resource_id == *resource);
    let event = events.find(|event| event.code.ends_with("Began"))?;
    Some(format!("{}: {}", event.code, event.message))
}

fn is_well(input: &v1::InputStatus) -> bool {
    input.state().as_str_name().ends_with("LIVE") && input.faults.is_empty()
}

/// The source has no fault, and its end was told.
fn ended(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> bool {
    let input = now.input(of);
    let mut events = now.since(before).iter().filter(|e| e.resource_id == input.resource_id);
    is_well(input) && events.any(|event| event.code.ends_with("Ended"))
}

/// Nothing has to be told of it, since it makes no difference.
fn untold(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> Option<String> {
    (now.input(of).frames > before.input(of).frames + 30).then(|| "nothing".to_owned())
}

/// It plays on in another size, and nothing has to be told of that either.
fn resized(peers: &Outside, of: &str, seen: [&Seen; 2]) -> Option<String> {
    peers.camera.plays().then(|| untold(peers, of, seen))?
}

/// The same connection goes on, without a fault.
fn goes_on(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> bool {
    let (was, is) = (before.input(of), now.input(of));
    assert_eq!(is.reconnects, was.reconnects, "{is:?}");
    is_well(is) && is.frames > was.frames + 90
}

/// A machine that is slow may find more jumps than there are.
fn jumped(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> Option<String> {
    let label = format!("location=\"{of}\"");
    let jumps = [before, now].map(|seen| seen.metric("onair_input_reanchors_total", &label));
    (jumps[1] > jumps[0]).then(|| format!("onair_input_reanchors +{}", jumps[1] - jumps[0]))
}

/// It jumped to a second before it wraps.
fn wrapped(peers: &Outside, of: &str, [before, now]: [&Seen; 2]) -> bool {
    goes_on(peers, of, [before, now]) && now.input(of).frames > before.input(of).frames + 4 * 30
}

fn srt_wrapped(peers: &Outside, of: &str, [before, now]: [&Seen; 2]) -> bool {
    goes_on(peers, of, [before, now]) && now.input(of).frames > (SRT_WRAPS_S + 2) * 30
}

/// A relay that broke is an event.
fn broke(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> Option<String> {
    let (output, relay) = now.relay(of);
    let about = format!("{}: ", output.name);
    let mut events = now.since(before).iter().filter(|event| event.message.starts_with(&about));
    events.find(|event| event.code == "SideOutputUrlInvalid")?;
    Some(format!("SideOutputUrlInvalid: {}", relay.last_error))
}

fn relay_is_back(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> bool {
    let [was, is] = [before, now].map(|seen| seen.relay(of).1);
    is.state() == v1::RelayState::Live && is.reconnects > was.reconnects
}

/// Nobody comes as long as there is no such name.
fn is_nameless(peers: &Outside, of: &str, seen: [&Seen; 2]) -> Option<String> {
    let told = broke(peers, of, seen)?;
    let taken = peers.named.taken();
    assert_eq!(taken, peers.came, "the name is known still: {told}");
    let [was, is] = seen.map(|seen| seen.relay(of).1);
    (is.reconnects > was.reconnects + 1).then_some(told)
}

/// It stays connected, and gets less than is made; once its queue is full, which takes half a minute, groups of pictures are left
/// out and counted.
fn lags(peers: &Outside, of: &str, [before, now]: [&Seen; 2]) -> Option<String> {
    let (output, relay) = now.relay(of);
    assert_eq!(relay.reconnects, before.relay(of).1.reconnects, "{relay:?}");
    let dropped = output.frames_dropped - before.relay(of).0.frames_dropped;
    let made_bytes = now.output("pgm").bytes - before.output("pgm").bytes;
    let is_slow = peers.slow.passed_since_bytes() * 4 <= made_bytes * 3;
    let is_long = now.after(before).as_secs() >= 8;
    let is_seen = is_slow && is_long && (dropped > 0 || !is_thorough());
    let behind_kib = output.bytes.saturating_sub(peers.slow.passed_bytes()) / 1024;
    is_seen.then(|| format!("it is live; {dropped} packets left out, {behind_kib} KiB in kernels"))
}

fn caught_up(_: &Outside, of: &str, [before, now]: [&Seen; 2]) -> bool {
    let [(then, was), (output, is)] = [before, now].map(|seen| seen.relay(of));
    is.state() == v1::RelayState::Live
        && is.reconnects == was.reconnects
        && output.frames > then.frames + 300
}

const OUTSIDE: [Row<Outside>; 14] = [
    Row {
        name: "source killed",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Gone),
        told: began,
        says: "LostBegan",
        mend: |peers| peers.camera.order(Order::Play),
        is_over: ended,
    },
    Row {
        name: "source frozen, connection up",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Frozen),
        told: began,
        says: "StaleBegan",
        mend: |peers| peers.camera.order(Order::Play),
        is_over: ended,
    },
    Row {
        name: "source sends garbage",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Garbage),
        told: began,
        says: "Began",
        mend: |peers| peers.camera.order(Order::Play),
        is_over: ended,
    },
    Row {
        name: "source changes size",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Resize),
        told: resized,
        says: "nothing",
        mend: nothing,
        is_over: goes_on,
    },
    Row {
        name: "source's timestamps jump by +1 h",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Jump(3_600_000)),
        told: jumped,
        says: "",
        mend: nothing,
        is_over: goes_on,
    },
    Row {
        name: "source's timestamps jump by −1 h",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Jump(-3_600_000)),
        told: jumped,
        says: "",
        mend: nothing,
        is_over: goes_on,
    },
    Row {
        name: "source's timestamps wrap at 24 bits of ms",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Stamp((1 << 24) - 1000, 24)),
        told: jumped,
        says: "",
        mend: nothing,
        is_over: wrapped,
    },
    Row {
        name: "source's timestamps wrap at 32 bits of ms",
        lane: "camera",
        of: "RV02",
        cause: |peers| peers.camera.order(Order::Stamp((1 << 32) - 1000, 32)),
        told: jumped,
        says: "",
        mend: nothing,
        is_over: wrapped,
    },
    Row {
        name: "source's timestamps wrap at 33 bits of 90 kHz",
        lane: "srt",
        of: "RV03",
        cause: nothing,
        told: untold,
        says: "nothing",
        mend: nothing,
        is_over: srt_wrapped,
    },
    Row {
        name: "relay's server killed",
        lane: "killed",
        of: "killed",
        cause: |peers| peers.killed.set(Flow::Cut),
        told: broke,
        says: "",
        mend: |peers| peers.killed.set(Flow::Open),
        is_over: relay_is_back,
    },
    Row {
        name: "relay's server wedged: reads no more",
        lane: "wedged",
        of: "wedged",
        cause: |peers| peers.wedged.set(Flow::Stuck),
        told: broke,
        says: "no answer within the time limit",
        mend: |peers| peers.wedged.set(Flow::Open),
        is_over: relay_is_back,
    },
    Row {
        name: "relay's server takes half the bit rate",
        lane: "slow",
        of: "slow",
        cause: |peers| peers.slow.set(Flow::Narrow(peers.slow.bytes_per_s() / 2)),
        told: lags,
        says: "it is live",
        mend: |peers| peers.slow.set(Flow::Open),
        is_over: caught_up,
    },
    Row {
        name: "relay's server refuses",
        lane: "refusing",
        of: "refusing",
        cause: |peers| peers.refusing.set(Flow::Refusing),
        told: broke,
        says: "Connection refused",
        mend: |peers| peers.refusing.set(Flow::Open),
        is_over: relay_is_back,
    },
    Row {
        name: "relay's name is gone from the DNS",
        lane: "named",
        of: "named",
        cause: |peers| {
            std::fs::write(&peers.hosts, "").unwrap();
            peers.came = peers.named.taken();
            peers.named.set(Flow::Cut);
            peers.named.set(Flow::Open);
        },
        told: is_nameless,
        says: "relay.test",
        mend: |peers| std::fs::write(&peers.hosts, HOSTS).unwrap(),
        is_over: relay_is_back,
    },
];

const HOSTS: &str = "127.0.0.1 relay.test\n";

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_sources_and_relays_cost_no_output_a_frame() {
    let folder = Folder::new();
    let hosts = folder.path("hosts");
    std::fs::write(&hosts, HOSTS).unwrap();
    let rows = &OUTSIDE[..];
    let (command, rows) = match with_hosts(&hosts, PROGRAM) {
        Some(command) => (command, rows),
        None => {
            println!("skipped: names of hosts cannot be changed here");
            (Command::new(PROGRAM), &rows[..rows.len() - 1])
        }
    };
    let server = Server::start_by(command, &[], &[]);
    let srt = format!("srt://127.0.0.1:{}", free_port());
    let offset_s = TS_PERIOD_S - SRT_WRAPS_S as f64;
    let gate = || Gate::to(server.rtmp);
    let peers = Outside {
        camera: Camera::start(&folder.path("")),
        _srt: spawn_ffmpeg(&format!(
            "-re -f lavfi -i testsrc2=size=160x90:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
             -c:v libx264 -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p -c:a aac \
             -output_ts_offset {offset_s} -f mpegts {srt}?mode=listener"
        )),
        killed: gate(),
        wedged: gate(),
        slow: gate(),
        refusing: gate(),
        named: gate(),
        came: 0,
        hosts,
    };
    let gates = [
        ("killed", &peers.killed),
        ("wedged", &peers.wedged),
        ("slow", &peers.slow),
        ("refusing", &peers.refusing),
        ("named", &peers.named),
    ];
    let mut relays = gates.map(|(name, gate)| v1::Relay {
        url: gate.url(name),
        name: name.into(),
        ..Default::default()
    });
    if rows.len() == OUTSIDE.len() {
        relays[4].url = relays[4].url.replace("127.0.0.1", "relay.test");
    }
    let sources = vec![From::Live(peers.camera.url()), From::Live(srt)];
    let record_dir = server.folder.path("data/record");
    let mut show = Show::start(server, (sources, relays.into()), record_dir, peers).await;
    show.until("every relay to be live", |seen| {
        let relays: Vec<_> =
            seen.state.outputs.iter().filter_map(|output| output.relay.as_ref()).collect();
        relays.len() == 6 && relays.iter().all(|relay| relay.state() == v1::RelayState::Live)
    })
    .await;
    let outcomes = show.apply(rows).await;
    let request = v1::StopCasterRequest { caster_id: show.studio.caster.clone() };
    show.studio.client.stop_caster(request).await.unwrap();
    show.prove(&outcomes).await;
}
