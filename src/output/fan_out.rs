//! The sinks of one rendition: added, fed at once or delayed, replaced when they hang, ended.
//!
//! Must not know encoders or what a sink does with packets. Invariants: feeding waits for no sink but one that was added to be
//! waited for ([`Overflow::Wait`]); ending waits for no sink that hangs; who feeds holds no lock while it hands on, so that another
//! can go on in its place.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backoff::Backoff;
use super::delay::{Begins, DelayLine, Inlet};
use super::sink::{self, Overflow, Sink, SinkId, SinkState, SinkStats, Status, Timing};
use super::stats::OutputStats;
use super::{StartError, await_end, end_worker, time_left};
use crate::fault;
use crate::limits::{
    CUT_TIMEOUT, MAX_SINKS, RETRY_FIRST, RETRY_MAX, SINK_HUNG, THREADS_LEFT_BEHIND,
};
use crate::media::encode::VideoSettings;
use crate::media::live_queue::{Begin, LiveQueue, Role};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::worker::{self, Rest, StopToken, Worker};

/// Attempts that have to fail one after the other before a sink without a status of its own counts as broken: what breaks once
/// goes on at its next attempt.
const FAILURES_TOLD: u32 = 2;

/// The packets of a tick.
#[derive(Debug)]
pub(super) struct Batch {
    /// Counted from the output's first.
    pub(super) tick: u64,
    /// What the delay of the public sinks shall be from this tick on.
    pub(super) delay_ticks: u64,
    pub(super) packets: Vec<Packet>,
}

/// What all fan-outs of an output share.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// Gives out the identifiers of all sinks.
    pub(super) ids: Arc<AtomicU64>,
    /// Where delayed packets wait that are too many for the memory.
    pub(super) spool_dir: PathBuf,
}

#[derive(Debug)]
pub(super) struct FanOut {
    output: String,
    /// Its name where tests cause faults.
    place: String,
    header: StreamHeader,
    video: VideoSettings,
    common: Common,
    sinks: Arc<Mutex<Sinks>>,
    delay: Mutex<Delay>,
    /// How often that broke and another one took its place.
    delay_restarts: AtomicU64,
    /// Whether anything was delivered.
    has_begun: AtomicBool,
    delay_lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Delay {
    /// There since the first time that there was a delay.
    line: Option<DelayLine>,
    rest: Rest,
}

#[derive(Debug, Default)]
struct Sinks {
    ended: bool,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    id: SinkId,
    sink: Arc<Sink>,
    label: String,
    overflow: Overflow,
    timing: Timing,
    queue: Arc<LiveQueue<Packet>>,
    status: Arc<Status>,
    worker: Option<Worker>,
    left_behind: u32,
}

impl Running {
    fn stats(&self) -> SinkStats {
        let status = self.status.get();
        SinkStats {
            id: self.id,
            label: self.label.clone(),
            state: status.state,
            since_unix_ms: status.since_unix_ms,
            last_error: status.last_error,
            failures: status.failures,
            packets: status.packets,
            bytes: status.bytes,
            attempts: status.attempts,
            dropped: self.queue.dropped(),
            queued: self.queue.len(),
            round_trip: status.round_trip.and_then(|round_trip| round_trip.last()),
            restarts: status.restarts,
        }
    }

    fn is_hung(&self) -> bool {
        let is_at_work = self.worker.as_ref().is_some_and(|worker| !worker.is_finished());
        is_at_work
            && self.sink.tries_again()
            && self.left_behind < THREADS_LEFT_BEHIND
            && self.status.pulse.silence() > SINK_HUNG
    }
}

/// Closes the queue when a sink's worker ends, however it ends, unless another one has its place.
struct Leaving(Arc<LiveQueue<Packet>>, Arc<Status>, StopToken);

impl Drop for Leaving {
    fn drop(&mut self) {
        if !self.2.is_stopped() {
            self.0.close();
        }
        if !self.1.get().state.is_over() {
            self.1.set(SinkState::Failed("ended unexpectedly".into()));
        }
    }
}

impl FanOut {
    pub(super) fn new(
        output: String,
        (header, video): (StreamHeader, &VideoSettings),
        common: Common,
    ) -> FanOut {
        FanOut {
            place: format!("hand-{output}"),
            output,
            header,
            video: video.clone(),
            common,
            sinks: Arc::default(),
            delay: Mutex::default(),
            delay_restarts: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            delay_lost: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sinks> {
        lock(&self.sinks)
    }

    pub(super) fn add(&self, sink: Sink) -> Result<SinkId, StartError> {
        let mut sinks = self.lock();
        if sinks.ended || sinks.running.len() >= MAX_SINKS {
            return Err(StartError::NoSink);
        }
        let id = SinkId(self.common.ids.fetch_add(1, Ordering::Relaxed) + 1);
        let (label, overflow, timing) = (sink.label(), sink.overflow(), sink.timing());
        let mut running = Running {
            id,
            sink: Arc::new(sink),
            label,
            overflow,
            timing,
            queue: Arc::new(LiveQueue::new(Vec::new(), Begin::AtStart)),
            status: Arc::default(),
            worker: None,
            left_behind: 0,
        };
        running.worker = Some(self.start_worker(&running)?);
        sinks.running.push(running);
        Ok(id)
    }

    fn start_worker(&self, running: &Running) -> std::io::Result<Worker> {
        let (sink, header) = (Arc::clone(&running.sink), self.header.clone());
        let (queue, status) = (Arc::clone(&running.queue), Arc::clone(&running.status));
        let place = format!("{}-{}", running.sink.kind(), self.output);
        let name = format!("sink{}-{}", running.id.0, self.output);
        worker::spawn(&name, StopToken::new(), move |stop| {
            let _leaving = Leaving(Arc::clone(&queue), Arc::clone(&status), stop.clone());
            let feed =
                sink::Feed { queue: &queue, header: &header, status: &status, place: &place };
            sink::run(&sink, &feed, Backoff::new(RETRY_FIRST, RETRY_MAX), &stop);
        })
    }

    /// Puts other workers in the place of those that hang; these are left behind.
    fn look_after_sinks(&self) {
        let why = || format!("its thread showed no sign of life for {SINK_HUNG:?}");
        let mut parted = Vec::new();
        for running in self.lock().running.iter_mut().filter(|running| running.is_hung()) {
            if let Some(hung) = running.worker.take() {
                hung.stop_token().stop();
                parted.push((running.label.clone(), hung));
            }
            running.left_behind += 1;
            running.status = Arc::new(running.status.successor(why()));
            match self.start_worker(running) {
                Ok(worker) => running.worker = Some(worker),
                Err(error) => running.status.set(SinkState::Failed(error.to_string())),
            }
        }
        for (sink, hung) in parted {
            tracing::error!(sink, "{}", why());
            hung.end_within(Duration::ZERO);
        }
    }

    /// Hands the packets of a tick to the sinks, to the public ones when their time has come.
    pub(super) fn deliver(&self, batch: Batch, stop: &StopToken) {
        if batch.packets.iter().any(|packet| packet.track == Track::Video && packet.key) {
            self.look_after_sinks();
        }
        let (timings, inlet) = self.ways(&batch);
        fault::strikes(&self.place);
        for packet in &batch.packets {
            // One that hung here and comes to itself again has a successor.
            if stop.is_stopped() {
                return;
            }
            send(&self.sinks, packet, timings, stop);
        }
        if let Some(inlet) = inlet {
            inlet.push(batch);
        }
    }

    /// Which sinks get the packets of a tick now, and where the others get them from.
    fn ways(&self, batch: &Batch) -> (&'static [Timing], Option<Inlet>) {
        let mut delay = lock(&self.delay);
        self.look_after_delay(&mut delay, batch);
        self.has_begun.store(true, Ordering::Relaxed);
        let timings = match delay.line.is_some() || self.wants_line(batch) {
            true => &[Timing::Prompt][..],
            false => &[Timing::Prompt, Timing::Delayed],
        };
        (timings, delay.line.as_ref().and_then(DelayLine::inlet))
    }

    /// Whether what comes passes a delay: one that broke lost what it held, and who goes on after it knows where to.
    fn wants_line(&self, batch: &Batch) -> bool {
        batch.delay_ticks > 0 || self.delay_restarts.load(Ordering::Relaxed) > 0
    }

    /// Starts the delay when there is one for the first time, and another one in the place of one that broke: what that held
    /// is lost.
    fn look_after_delay(&self, delay: &mut Delay, batch: &Batch) {
        if delay.line.as_ref().is_some_and(DelayLine::is_broken) {
            delay.line = None;
            self.delay_restarts.fetch_add(1, Ordering::Relaxed);
            let rest = delay.rest.broke();
            tracing::error!(output = self.output, ?rest, "the delay broke off: it begins again");
        }
        if delay.line.is_some() || !self.wants_line(batch) || !delay.rest.is_over() {
            return;
        }
        let begins = match self.has_begun.load(Ordering::Relaxed) {
            _ if self.delay_restarts.load(Ordering::Relaxed) > 0 => Begins::AfterALoss,
            true => Begins::OnAir,
            false => Begins::WithTheOutput,
        };
        let sinks = Arc::clone(&self.sinks);
        let out = move |packet: &Packet, stop: &StopToken| {
            send(&sinks, packet, &[Timing::Delayed], stop);
        };
        // A rendition that joins later is not chosen by players before it has something to show.
        let black = (batch.tick == 0).then(|| self.video.clone());
        let (place, stream) = ((self.common.spool_dir.clone(), begins), (&self.header, black));
        match DelayLine::start(&self.output, place, stream, Arc::clone(&self.delay_lost), out) {
            Ok(line) => delay.line = Some(line),
            Err(error) => {
                tracing::error!(%error, "no delay without a thread");
                delay.rest.broke();
            }
        }
    }

    /// Adds what befell the delay and the sinks that have no status of their own.
    pub(super) fn add_to(&self, stats: &mut OutputStats) {
        stats.delay_lost = self.delay_lost.load(Ordering::Relaxed);
        stats.thread_restarts += self.delay_restarts.load(Ordering::Relaxed);
        for running in &self.lock().running {
            if !running.sink.has_status() {
                let status = running.status.get();
                stats.thread_restarts += status.restarts;
                if status.failures >= FAILURES_TOLD {
                    let why = format!("{}: {}", running.label, status.last_error);
                    stats.playback_fault.get_or_insert(why);
                }
                if status.restarts > 0 {
                    stats.last_fault = Some(format!("{}: {}", running.label, status.last_error));
                }
            }
        }
    }

    /// No more packets will come.
    pub(super) fn end(&self) {
        let line = lock(&self.delay).line.take();
        if let Some(mut line) = line {
            line.end();
        }
        let mut sinks = self.lock();
        sinks.ended = true;
        for sink in &sinks.running {
            sink.queue.finish();
        }
    }

    pub(super) fn remove(&self, id: SinkId, deadline: Duration) -> bool {
        let mut sinks = self.lock();
        let Some(index) = sinks.running.iter().position(|sink| sink.id == id) else { return false };
        let sink = sinks.running.remove(index);
        drop(sinks);
        sink.queue.finish();
        if let Some(worker) = sink.worker {
            end_worker(worker, time_left(deadline));
        }
        true
    }

    /// Ends every sink; gives the workers that are to be waited for, see [`finish_all`].
    fn end_workers(&self) -> Vec<Worker> {
        self.end();
        self.lock().running.iter_mut().filter_map(|sink| sink.worker.take()).collect()
    }

    pub(super) fn stats_of(&self, id: SinkId) -> Option<SinkStats> {
        self.lock().running.iter().find(|sink| sink.id == id).map(Running::stats)
    }

    pub(super) fn stats(&self) -> Vec<SinkStats> {
        self.lock().running.iter().map(Running::stats).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn send(sinks: &Mutex<Sinks>, packet: &Packet, timings: &[Timing], stop: &StopToken) {
    let role = match packet.track {
        Track::Video if packet.key => Role::Start,
        Track::Video | Track::Audio => Role::Rest,
    };
    let bytes = packet.data.len();
    // Not under the lock: one of them may have to be waited for.
    let queues: Vec<_> = {
        let sinks = lock(sinks);
        let chosen = sinks.running.iter().filter(|sink| timings.contains(&sink.timing));
        chosen.map(|sink| (Arc::clone(&sink.queue), sink.overflow)).collect()
    };
    for (queue, overflow) in queues {
        match overflow {
            Overflow::Drop => queue.offer(packet.clone(), bytes, role, Vec::new),
            Overflow::Wait => {
                queue.push_wait(packet.clone(), bytes, role, stop);
            }
        }
    }
}

/// Lets the sinks of all finish for `deadline` together, then cuts the rest.
pub(super) fn finish_all(fan_outs: &[Arc<FanOut>], deadline: Duration) {
    let workers: Vec<Worker> = fan_outs.iter().flat_map(|fan_out| fan_out.end_workers()).collect();
    let left = time_left(deadline);
    for worker in &workers {
        await_end(worker, &left);
    }
    // All told before any is joined, so that they end side by side.
    for worker in &workers {
        worker.stop_token().stop();
    }
    for worker in workers {
        worker.end_within(CUT_TIMEOUT);
    }
}
