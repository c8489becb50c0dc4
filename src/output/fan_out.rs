//! The sinks of one rendition: added, fed at once or delayed, ended.
//!
//! Must not know encoders or what a sink does with packets. Invariant: feeding waits for no sink but one that was added to be
//! waited for ([`Overflow::Wait`]).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backoff::Backoff;
use super::delay::{DelayLine, Shown};
use super::sink::{self, Overflow, Sink, SinkId, SinkState, SinkStats, Status, Timing};
use super::{StartError, await_end, time_left};
use crate::limits::{MAX_SINKS, RETRY_FIRST, RETRY_MAX};
use crate::media::live_queue::{Begin, LiveQueue, Role};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::worker::{self, StopToken, Worker};

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
    header: StreamHeader,
    common: Common,
    sinks: Arc<Mutex<Sinks>>,
    /// There since the first time that there was a delay.
    line: Mutex<Option<DelayLine>>,
    /// Whether anything was delivered.
    has_begun: AtomicBool,
    delay_lost: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Sinks {
    ended: bool,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    id: SinkId,
    label: String,
    overflow: Overflow,
    timing: Timing,
    queue: Arc<LiveQueue<Packet>>,
    status: Arc<Status>,
    worker: Option<Worker>,
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
        }
    }
}

/// Closes the queue when a sink's worker ends, however it ends.
struct Leaving(Arc<LiveQueue<Packet>>, Arc<Status>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.close();
        if !self.1.get().state.is_over() {
            self.1.set(SinkState::Failed("ended unexpectedly".into()));
        }
    }
}

impl FanOut {
    pub(super) fn new(output: String, header: StreamHeader, common: Common) -> FanOut {
        FanOut {
            output,
            header,
            common,
            sinks: Arc::default(),
            line: Mutex::default(),
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
        let queue = Arc::new(LiveQueue::new(Vec::new(), Begin::AtStart));
        let status = Arc::new(Status::default());
        let (feed, told) = (Arc::clone(&queue), Arc::clone(&status));
        let header = self.header.clone();
        let name = format!("sink{}-{}", id.0, self.output);
        let worker = worker::spawn(&name, StopToken::new(), move |stop| {
            let _leaving = Leaving(Arc::clone(&feed), Arc::clone(&told));
            let feed = sink::Feed { queue: &feed, header: &header, status: &told };
            sink::run(&sink, &feed, Backoff::new(RETRY_FIRST, RETRY_MAX), &stop);
        })?;
        let worker = Some(worker);
        sinks.running.push(Running { id, label, overflow, timing, queue, status, worker });
        Ok(id)
    }

    /// Hands the packets of a tick to the sinks, to the public ones when their time has come.
    pub(super) fn deliver(&self, batch: Batch, stop: &StopToken) {
        let mut line = lock(&self.line);
        if line.is_none() && batch.delay_ticks > 0 {
            *line = self.start_line();
        }
        self.has_begun.store(true, Ordering::Relaxed);
        let timings = match &*line {
            Some(_) => &[Timing::Prompt][..],
            None => &[Timing::Prompt, Timing::Delayed],
        };
        for packet in &batch.packets {
            send(&self.sinks, packet, timings, stop);
        }
        if let Some(line) = &*line {
            line.push(batch);
        }
    }

    fn start_line(&self) -> Option<DelayLine> {
        let sinks = Arc::clone(&self.sinks);
        let out = move |packet: &Packet, stop: &StopToken| {
            send(&sinks, packet, &[Timing::Delayed], stop);
        };
        let shown = match self.has_begun.load(Ordering::Relaxed) {
            true => Shown::Something,
            false => Shown::Nothing,
        };
        let place = (self.common.spool_dir.clone(), &self.header, shown);
        match DelayLine::start(&self.output, place, Arc::clone(&self.delay_lost), out) {
            Ok(line) => Some(line),
            Err(error) => {
                tracing::error!(%error, "no delay without a thread");
                None
            }
        }
    }

    /// Packets that were lost where they are delayed.
    pub(super) fn delay_lost(&self) -> u64 {
        self.delay_lost.load(Ordering::Relaxed)
    }

    /// No more packets will come.
    pub(super) fn end(&self) {
        let line = lock(&self.line).take();
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
            await_end(&worker, time_left(deadline));
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
}
