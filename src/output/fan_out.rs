//! The sinks of an output: added, fed, ended.
//!
//! Must not know encoders or what a sink does with packets. Invariant: feeding waits for no sink but one that was added to be
//! waited for ([`Overflow::Wait`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sink::{self, Overflow, Sink, SinkId, SinkState, SinkStats, Status};
use super::{StartError, await_end};
use crate::limits::MAX_SINKS;
use crate::media::live_queue::{Begin, LiveQueue, Role};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::time::Clock;
use crate::worker::{self, StopToken, Worker};

#[derive(Debug)]
pub(super) struct FanOut {
    output: String,
    header: StreamHeader,
    sinks: Mutex<Sinks>,
}

#[derive(Debug, Default)]
struct Sinks {
    next_id: u64,
    ended: bool,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    id: SinkId,
    label: String,
    overflow: Overflow,
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
    pub(super) fn new(output: String, header: StreamHeader) -> FanOut {
        FanOut { output, header, sinks: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, sink: Sink) -> Result<SinkId, StartError> {
        let mut sinks = self.lock();
        if sinks.ended || sinks.running.len() >= MAX_SINKS {
            return Err(StartError::NoSink);
        }
        sinks.next_id += 1;
        let id = SinkId(sinks.next_id);
        let (label, overflow) = (sink.label(), sink.overflow());
        let queue = Arc::new(LiveQueue::new(Vec::new(), Begin::AtStart));
        let status = Arc::new(Status::default());
        let (feed, told) = (Arc::clone(&queue), Arc::clone(&status));
        let header = self.header.clone();
        let name = format!("sink{}-{}", id.0, self.output);
        let worker = worker::spawn(&name, StopToken::new(), move |stop| {
            let _leaving = Leaving(Arc::clone(&feed), Arc::clone(&told));
            sink::run(&sink, &sink::Feed { queue: &feed, header: &header, status: &told }, &stop);
        })?;
        let worker = Some(worker);
        sinks.running.push(Running { id, label, overflow, queue, status, worker });
        Ok(id)
    }

    pub(super) fn send(&self, packet: &Packet, stop: &StopToken) {
        let role = match packet.track {
            Track::Video if packet.key => Role::Start,
            Track::Video | Track::Audio => Role::Rest,
        };
        let bytes = packet.data.len();
        // Not under the lock: one of them may have to be waited for.
        let queues: Vec<_> =
            self.lock().running.iter().map(|s| (Arc::clone(&s.queue), s.overflow)).collect();
        for (queue, overflow) in queues {
            match overflow {
                Overflow::Drop => queue.offer(packet.clone(), bytes, role, Vec::new),
                Overflow::Wait => {
                    queue.push_wait(packet.clone(), bytes, role, stop);
                }
            }
        }
    }

    /// No more packets will come.
    pub(super) fn end(&self) {
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
        let clock = Clock::real();
        if let Some(worker) = sink.worker {
            await_end(&worker, || deadline.saturating_sub(Duration::from_nanos(clock.now_ns())));
        }
        true
    }

    /// Lets every sink finish for `deadline` in all, then cuts the rest.
    pub(super) fn finish(&self, deadline: Duration) {
        self.end();
        let workers: Vec<Worker> =
            self.lock().running.iter_mut().filter_map(|sink| sink.worker.take()).collect();
        let clock = Clock::real();
        for worker in &workers {
            await_end(worker, || deadline.saturating_sub(Duration::from_nanos(clock.now_ns())));
        }
        // All told before any is joined, so that they end side by side.
        for worker in &workers {
            worker.stop_token().stop();
        }
    }

    pub(super) fn stats(&self) -> Vec<SinkStats> {
        self.lock().running.iter().map(Running::stats).collect()
    }
}
