//! A show that goes out by every way at once, and faults that come over it: what is told of each, how long it lasts, and what
//! it costs the others.
//!
//! Must not know what the faults are: a row of the table says how to cause one, what has to be told of it, how to mend it and
//! when it is over. Rows of a lane follow each other. Lanes, which have nothing to do with each other, go side by side, to
//! save time; with `ONAIR_THOROUGH=1` there is one lane.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::time::Clock;

use crate::ladder::{RUNGS, recordings, tap_all, with_rungs};
use crate::proof::{Player, Proof, proof, read_all};
use crate::support::{
    From, Process, Server, Studio, free_port, is_thorough, spawn_ffmpeg, ticks, wait_for,
};

/// More open files than before, as those who watch open and close.
const OPENED: f64 = 2.0;
/// Threads that a graphics driver does not name bear the name of who opened the device: at first this, then [`RENEWAL`].
const MAIN: &str = "onair";
const RENEWAL: &str = "gpu-renewal";
/// Threads of sources, which are numbered.
const INPUTS: &str = "input#";
/// What a fault may take to be told, and to be over.
const LONG: Duration = Duration::from_secs(120);
/// Frames that everything shows after the last fault.
const AFTER: i64 = 45;
/// What is called so has times of its own.
const RELAY: &str = "relay";
/// A recording of so many frames has more flashes than a fault can hold, even on a machine that is slow.
const FLASHES: usize = 300;

/// A fault. `P` is what stands round the server and goes wrong.
pub(crate) struct Row<P> {
    pub(crate) name: &'static str,
    pub(crate) lane: &'static str,
    /// What it befalls: the place of a source, the name of a relay.
    pub(crate) of: &'static str,
    pub(crate) cause: fn(&mut P),
    /// What is told of it, once it is.
    pub(crate) told: fn(&P, &str, [&Seen; 2]) -> Option<String>,
    /// A part of that, which is waited for.
    pub(crate) says: &'static str,
    pub(crate) mend: fn(&mut P),
    /// Whether all is as it was: then and now.
    pub(crate) is_over: fn(&P, &str, [&Seen; 2]) -> bool,
}

/// What the server tells of itself.
#[derive(Clone)]
pub(crate) struct Seen {
    at_ns: u64,
    pub(crate) state: v1::WatchCasterResponse,
    /// All there were.
    events: Vec<v1::CasterEvent>,
    page: String,
}

impl Seen {
    /// Events that came after `before`.
    pub(crate) fn since(&self, before: &Seen) -> &[v1::CasterEvent] {
        &self.events[before.events.len()..]
    }

    pub(crate) fn after(&self, before: &Seen) -> Duration {
        Duration::from_nanos(self.at_ns - before.at_ns)
    }

    pub(crate) fn input(&self, location: &str) -> &v1::InputStatus {
        self.state.inputs.iter().find(|input| input.location_id == location).unwrap()
    }

    pub(crate) fn output(&self, name: &str) -> &v1::OutputStatus {
        self.state.outputs.iter().find(|output| output.name == name).unwrap()
    }

    pub(crate) fn relay(&self, name: &str) -> (&v1::OutputStatus, &v1::RelayStatus) {
        let relays = self.state.outputs.iter().filter_map(|o| Some((o, o.relay.as_ref()?)));
        relays.into_iter().find(|(_, relay)| relay.name == name).unwrap()
    }

    /// The sum of what the metrics page says under this name with this label.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        let lines = self.page.lines().filter(|line| line.starts_with(name) && line.contains(label));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }
}

/// A fault that is over.
#[derive(Debug)]
pub(crate) struct Outcome {
    name: &'static str,
    ticks: RangeInclusive<i64>,
    told: String,
    told_after: Duration,
    over_after: Duration,
}

struct Running<'r, P> {
    row: &'r Row<P>,
    before: Seen,
    /// What was told of it, and when it was mended.
    told: Option<(String, u64)>,
}

struct Lane<'r, P> {
    left: VecDeque<&'r Row<P>>,
    running: Option<Running<'r, P>>,
}

impl<'r, P> Lane<'r, P> {
    fn all(rows: &'r [Row<P>]) -> Vec<Lane<'r, P>> {
        let mut lanes = BTreeMap::<&str, VecDeque<_>>::new();
        for row in rows {
            lanes.entry(if is_thorough() { "" } else { row.lane }).or_default().push_back(row);
        }
        lanes.into_values().map(|left| Lane { left, running: None }).collect()
    }

    /// Goes on by what is seen now; an outcome when a fault is over.
    fn step(&mut self, peers: &mut P, now: &Seen) -> Option<Outcome> {
        let Some(Running { row, before, told }) = &mut self.running else {
            let row = self.left.pop_front()?;
            (row.cause)(peers);
            self.running = Some(Running { row, before: now.clone(), told: None });
            return None;
        };
        let name = row.name;
        assert!(now.after(before) < LONG, "{name}: {told:?} {:#?}", now.state);
        let Some((text, mended_ns)) = told else {
            let text = (row.told)(peers, row.of, [before, now]);
            if let Some(text) = text.filter(|text| text.contains(row.says)) {
                (row.mend)(peers);
                *told = Some((text, now.at_ns));
            }
            return None;
        };
        if !(row.is_over)(peers, row.of, [before, now]) {
            return None;
        }
        let outcome = Outcome {
            name,
            ticks: before.state.tick as i64..=now.state.tick as i64,
            told: std::mem::take(text),
            told_after: Duration::from_nanos(*mended_ns - before.at_ns),
            over_after: Duration::from_nanos(now.at_ns - *mended_ns),
        };
        self.running = None;
        Some(outcome)
    }

    fn is_done(&self) -> bool {
        self.left.is_empty() && self.running.is_none()
    }
}

/// A caster on air that goes out by every way, with a player or peer for each.
pub(crate) struct Show<P> {
    pub(crate) server: Server,
    pub(crate) studio: Studio,
    pub(crate) peers: P,
    record_dir: PathBuf,
    players: Vec<(String, PathBuf, Process)>,
    relay: (PathBuf, Process),
    events: Vec<v1::CasterEvent>,
    clock: Clock,
    counted: Counted,
}

/// The last tick that everything was seen to show, and how many pictures each rendition was counted to have held by then.
#[derive(Default)]
struct Counted {
    tick: i64,
    held: BTreeMap<&'static str, u64>,
}

impl Counted {
    fn of(tick: i64, seen: &Seen) -> Counted {
        let of_rung =
            |rung: &&'static str| (*rung, seen.output(&format!("pgm_{rung}")).frames_late);
        Counted { tick, held: RUNGS.iter().map(of_rung).collect() }
    }

    /// How many pictures who has this name may have held.
    fn by(&self, name: &str) -> u64 {
        let rung = self.held.iter().find(|(rung, _)| name.starts_with(**rung));
        rung.map_or(0, |(_, held)| *held)
    }
}

impl<P> Show<P> {
    /// Goes on air with the pattern as RV01 all over the picture and with the other sources in its corners, where nothing is
    /// read of it; `relays` besides one that nothing happens to.
    pub(crate) async fn start(
        server: Server,
        (others, relays): (Vec<From<'_>>, Vec<v1::Relay>),
        record_dir: PathBuf,
        peers: P,
    ) -> Show<P> {
        let to = format!("rtmp://127.0.0.1:{}/live/steady", free_port());
        let file = server.folder.path("relay.flv");
        let peer = spawn_ffmpeg(&format!(
            "-f flv -listen 1 -i {to} -c copy -copyts -flush_packets 1 -f flv {}",
            file.display()
        ));
        let places = [[0.0, 0.4], [0.75, 0.4]].map(|[x, y]| [x, y, 0.25, 0.25]);
        let locations = ["RV02", "RV03"].into_iter().zip(places).take(others.len());
        let sources: Vec<_> = [From::Vod("pattern:640x360@30")].into_iter().chain(others).collect();
        let mut studio = Studio::start_as(&server, &sources, |config| {
            with_rungs(config, &RUNGS);
            let steady = v1::Relay { url: to, name: "steady".into(), ..Default::default() };
            config.relays = [steady].into_iter().chain(relays).collect();
            let format =
                |format: &str| v1::RecordFormat { format: format.into(), ..Default::default() };
            config.record_config = Some(v1::RecordConfig {
                record_formats: ["flv", "mp4", "m3u8"].map(format).into(),
                ..Default::default()
            });
        })
        .await;
        let layers: Vec<_> =
            [("RV01", [0.0, 0.0, 1.0, 1.0])].into_iter().chain(locations).collect();
        let layout = studio.layout(&layers).await;
        studio.take(&layout).await;
        let players = tap_all(&server, &studio.pgm, Player::Debian);
        let (relay, clock) = ((file, peer), Clock::real());
        let (events, counted) = (Vec::new(), Counted::default());
        Show { server, studio, peers, record_dir, players, relay, events, clock, counted }
    }

    pub(crate) async fn look(&mut self) -> Seen {
        let request = v1::WatchCasterRequest {
            caster_id: self.studio.caster.clone(),
            events_after_sequence: Some(self.events.last().map_or(0, |event| event.sequence)),
            ..Default::default()
        };
        let mut states = self.studio.client.watch_caster(request).await.unwrap().into_inner();
        let mut state = states.message().await.unwrap().unwrap();
        self.events.append(&mut state.events);
        let page = crate::edges::get(self.server.http, "/metrics").1;
        Seen { at_ns: self.clock.now_ns(), state, events: self.events.clone(), page }
    }

    /// Waits until it looks like this.
    pub(crate) async fn until(&mut self, what: &str, accept: impl Fn(&Seen) -> bool) {
        let clock = Clock::real();
        loop {
            let seen = self.look().await;
            if accept(&seen) {
                return;
            }
            let waited = Duration::from_nanos(clock.now_ns());
            assert!(waited < LONG, "{what} never came: {:#?}", seen.state);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn await_players(&self, tick: i64) {
        for (name, file, _) in &self.players {
            wait_for(&format!("{name} to show tick {tick}"), LONG, || {
                ticks(file).last().filter(|last| **last as i64 >= tick).map(drop)
            });
        }
    }

    /// Applies the faults, once everybody watches, and waits until everybody has seen the last of them.
    pub(crate) async fn apply(&mut self, rows: &[Row<P>]) -> Vec<Outcome> {
        let is_live = |seen: &Seen| seen.relay("steady").1.state() == v1::RelayState::Live;
        self.until("the relay to be live", is_live).await;
        self.await_players(0);
        let before = self.look().await;
        let still = self.look().await;
        let threads = threads_of(self.server.process.0.id());
        check_idle(rows, &self.peers, [&before, &still]);
        let mut lanes = Lane::all(rows);
        let mut outcomes = Vec::new();
        while !lanes.is_empty() {
            let now = self.look().await;
            for lane in &mut lanes {
                outcomes.extend(lane.step(&mut self.peers, &now));
            }
            lanes.retain(|lane| !lane.is_done());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let last = outcomes.iter().map(|outcome| *outcome.ticks.end()).max().unwrap();
        self.await_players(last + AFTER);
        let now = self.look().await;
        self.counted = Counted::of(last + AFTER, &now);
        let reconnects = [&before, &now].map(|seen| seen.relay("steady").1.reconnects);
        assert_eq!(reconnects[0], reconnects[1], "one relay was left alone: {:?}", now.state);
        self.await_rest(&before, &threads).await;
        outcomes
    }

    /// Nothing is left behind: no thread but those that hang, no open file but those that players open and close again.
    async fn await_rest(&mut self, before: &Seen, threads: &BTreeMap<String, usize>) {
        const FILES: &str = "onair_process_open_fds";
        const HUNG: &str = "onair_process_threads_hung";
        let now = self.look().await;
        let hung = (now.metric(HUNG, HUNG) - before.metric(HUNG, HUNG)) as usize;
        let then = before.metric(FILES, FILES);
        self.until(FILES, |seen| seen.metric(FILES, FILES) <= then + OPENED).await;
        let (pid, clock) = (self.server.process.0.id(), Clock::real());
        loop {
            let more = |(name, count): &(String, usize)| {
                let may = if name == INPUTS { hung } else { 0 };
                *count > threads.get(name).copied().unwrap_or(0) + may
            };
            let more: Vec<_> = threads_of(pid).into_iter().filter(more).collect();
            if more.is_empty() {
                return;
            }
            let waited = Duration::from_nanos(clock.now_ns());
            assert!(waited < LONG, "more threads than before: {more:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// After its end: everything shows the same frames and keyframes with their sound, and nothing is missing; says what each
    /// fault came to.
    pub(crate) async fn prove(self, outcomes: &[Outcome]) {
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        let (relay_file, relay) = self.relay;
        let relay = (RELAY.to_owned(), relay_file, relay);
        for (name, file, mut process) in self.players.into_iter().chain([relay]) {
            // They end with the stream; what they wrote by then counts.
            if process.0.try_wait().unwrap().is_none() {
                process.signal("INT");
            }
            process.wait(Duration::from_secs(20));
            files.push((name, file));
        }
        let live = files.len();
        let recorded = recordings(&self.record_dir);
        files.extend(recorded.into_iter().map(|file| (file.display().to_string(), file)));
        assert!(files.len() >= live + 3, "three recordings at least: {files:?}");
        let proofs = read_all(files, proof);
        check((&proofs, live), &self.counted, outcomes);
    }
}

/// How many threads of each name a process has, but for the runtime's, which come and go with what there is to do.
pub(crate) fn threads_of(pid: u32) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        // It may have ended meanwhile.
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        if !name.is_empty() && !name.starts_with("tokio") {
            let name = match name.trim() {
                name if name.starts_with(INPUTS) => INPUTS,
                RENEWAL => MAIN,
                name => name,
            };
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// What is told of a fault is not told of a show that has none, however long it goes on: a row that never strikes fails.
fn check_idle<P>(rows: &[Row<P>], peers: &P, [before, now]: [&Seen; 2]) {
    let later = Seen { at_ns: now.at_ns + LONG.as_nanos() as u64, ..now.clone() };
    for row in rows.iter().filter(|row| row.says != "nothing") {
        let told = (row.told)(peers, row.of, [before, &later]);
        assert_eq!(told, None, "{} is told of itself", row.name);
    }
}

/// No gap, and sound with its picture. What held pictures has PGM's wherever it did not.
fn check_lips(name: &str, proof: &Proof, held: usize) {
    let is_few = proof.frames.len() < FLASHES;
    if held == 0 && (proof.av_offset_ms.is_some() || !is_few) {
        return proof.check(name);
    }
    assert!(proof.gaps.is_empty(), "{name}: {:#?}", proof.gaps);
}

/// See [`Show::prove`]. The first `live` are those who watched, the first of them by HTTP-FLV.
fn check((proofs, live): (&[(String, Proof)], usize), counted: &Counted, outcomes: &[Outcome]) {
    let (first_name, first) = &proofs[0];
    let mut beside = Vec::new();
    for (index, (name, proof)) in proofs.iter().enumerate() {
        let is_live = index < live;
        // Players have the output's own times.
        let later = match is_live && name != RELAY {
            true => 0,
            false => proof.later(name, (first_name, first)),
        };
        let held = proof.check_beside((name, later), (first_name, first));
        check_lips(name, proof, held.len());
        let held = held.iter().filter(|tick| **tick <= counted.tick).count() as u64;
        let may = counted.by(name);
        assert!(held <= may, "{name} held {held} pictures, {may} were counted");
        for outcome in outcomes.iter().filter(|_| is_live) {
            assert!(proof.covers(later, &outcome.ticks), "{name}: {outcome:?}");
        }
        println!(
            "{name}: {} frames from {}, {held} held of {may}, offset {:?} ms",
            proof.frames.len(),
            proof.frames[0].tick + later,
            proof.av_offset_ms
        );
        beside.push((proof, later));
    }
    println!(
        "| fault | told | after s | over after s | frames lost by the others | pictures shown twice |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for Outcome { name, ticks, told, told_after, over_after } in outcomes {
        let lost: usize = beside.iter().map(|(proof, later)| proof.lost(*later, ticks).0).sum();
        let twice = first.lost(0, ticks).1;
        let [told_s, over_s] = [told_after, over_after].map(Duration::as_secs_f32);
        println!("| {name} | {told} | {told_s:.1} | {over_s:.1} | {lost} | {twice} |");
        assert_eq!(lost, 0, "{name}");
    }
}
