//! The queue in front of everybody who receives encoded media: a sink, a player.
//!
//! Owns the policy for a reader that is too slow: what comes is dropped up to a keyframe for which there is room again,
//! and counted. Must not know what is queued. Invariants: [`LiveQueue::offer`] never waits; at most the limits (plus what
//! the queue was primed with) are held; what is read always decodes, because it resumes at a start only.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::{SINK_QUEUE, SINK_QUEUE_BYTES, STOP_POLL};
use crate::time::Clock;
use crate::worker::StopToken;

/// What a unit means to a reader that joins or lags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Decoding can begin here.
    Start,
    /// Decodes only after what was before it.
    Rest,
    /// Codec configuration: a reader that skips gets it again as lead-in.
    Header,
}

/// Where a new reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the next unit, whatever it is.
    Now,
    /// With the next [`Role::Start`].
    AtStart,
}

/// What [`LiveQueue::recv`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Popped<T> {
    /// The oldest unit.
    Unit(T),
    /// All units were read and no more will come.
    Finished,
    /// Nothing came in time, or the reader was told to stop.
    Timeout,
}

/// A bounded queue with one writer and one reader.
#[derive(Debug)]
pub struct LiveQueue<T> {
    state: Mutex<State<T>>,
    readable: Condvar,
    writable: Condvar,
    notify: Notify,
}

#[derive(Debug)]
struct State<T> {
    units: VecDeque<(T, usize)>,
    bytes: usize,
    limit_units: usize,
    limit_bytes: usize,
    skipping: bool,
    dropped: u64,
    finished: bool,
    closed: bool,
}

impl<T> State<T> {
    fn push(&mut self, unit: T, bytes: usize) {
        self.bytes += bytes;
        self.units.push_back((unit, bytes));
    }

    fn pop(&mut self) -> Option<T> {
        let (unit, bytes) = self.units.pop_front()?;
        self.bytes -= bytes;
        Some(unit)
    }

    fn is_full(&self) -> bool {
        self.units.len() >= self.limit_units || self.bytes >= self.limit_bytes
    }

    /// Resuming with the queue all but full would only drop again.
    fn is_half_empty(&self) -> bool {
        self.units.len() <= self.limit_units / 2 && self.bytes <= self.limit_bytes / 2
    }
}

impl<T> LiveQueue<T> {
    /// A queue that already holds `primed` units with their sizes in bytes.
    pub fn new(primed: Vec<(T, usize)>, begin: Begin) -> LiveQueue<T> {
        let bytes: usize = primed.iter().map(|(_, bytes)| bytes).sum();
        LiveQueue {
            state: Mutex::new(State {
                limit_units: SINK_QUEUE + primed.len(),
                limit_bytes: SINK_QUEUE_BYTES + bytes,
                units: primed.into(),
                bytes,
                skipping: begin == Begin::AtStart,
                dropped: 0,
                finished: false,
                closed: false,
            }),
            readable: Condvar::new(),
            writable: Condvar::new(),
            notify: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_reader(&self) {
        self.readable.notify_one();
        self.notify.notify_one();
    }

    /// Adds a unit of `bytes` or drops it, without waiting. `lead_in` gives the headers (and their sizes) that a reader
    /// needs again when it resumes after a gap.
    pub fn offer(
        &self,
        unit: T,
        bytes: usize,
        role: Role,
        lead_in: impl FnOnce() -> Vec<(T, usize)>,
    ) {
        let mut state = self.lock();
        if state.finished || state.closed {
            return;
        }
        if state.skipping {
            if role != Role::Start || !state.is_half_empty() {
                state.dropped += u64::from(role != Role::Header);
                return;
            }
            state.skipping = false;
            for (header, header_bytes) in lead_in() {
                state.push(header, header_bytes);
            }
        } else if state.is_full() {
            state.skipping = true;
            state.dropped += u64::from(role != Role::Header);
            return;
        }
        state.push(unit, bytes);
        drop(state);
        self.wake_reader();
    }

    /// Adds a unit of `bytes`, waiting for room; false when the reader is gone or `stop` was set.
    /// What comes before the first start is dropped as [`LiveQueue::offer`] does.
    pub fn push_wait(&self, unit: T, bytes: usize, role: Role, stop: &StopToken) -> bool {
        let mut state = self.lock();
        while state.is_full() && !state.closed && !stop.is_stopped() {
            state = self
                .writable
                .wait_timeout(state, STOP_POLL)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if state.closed || stop.is_stopped() {
            return false;
        }
        drop(state);
        self.offer(unit, bytes, role, Vec::new);
        true
    }

    /// No more units will come; the reader gets what is queued, then the end.
    pub fn finish(&self) {
        self.lock().finished = true;
        self.wake_reader();
    }

    /// The reader is gone: what is queued is let go, and offers are ignored.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.units.clear();
        state.bytes = 0;
        drop(state);
        self.writable.notify_one();
    }

    /// From here on only a start is taken; what is queued is let go. For a reader that lost its connection.
    pub fn skip_to_start(&self) {
        let mut state = self.lock();
        state.skipping = true;
        state.dropped += state.units.len() as u64;
        state.units.clear();
        state.bytes = 0;
        drop(state);
        self.writable.notify_one();
    }

    /// Whether what comes is dropped until a [`Role::Start`].
    pub fn is_skipping(&self) -> bool {
        self.lock().skipping
    }

    /// Units that were dropped because the reader was too slow (or not there yet).
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Units that wait for the reader.
    pub fn len(&self) -> usize {
        self.lock().units.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(state: &mut State<T>) -> Option<Popped<T>> {
        match state.pop() {
            Some(unit) => Some(Popped::Unit(unit)),
            None => state.finished.then_some(Popped::Finished),
        }
    }

    /// The oldest unit; waits for at most `timeout` and not after `stop`. For threads.
    pub fn recv(&self, stop: &StopToken, timeout: Duration) -> Popped<T> {
        let clock = Clock::real();
        let mut state = self.lock();
        loop {
            if let Some(popped) = Self::take(&mut state) {
                self.writable.notify_one();
                return popped;
            }
            let left = timeout.saturating_sub(Duration::from_nanos(clock.now_ns()));
            if left.is_zero() || stop.is_stopped() {
                return Popped::Timeout;
            }
            state = self
                .readable
                .wait_timeout(state, left.min(STOP_POLL))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The oldest unit, or `None` at the end. For tasks; safe to cancel.
    pub async fn next(&self) -> Option<T> {
        loop {
            match Self::take(&mut self.lock()) {
                Some(Popped::Unit(unit)) => {
                    self.writable.notify_one();
                    return Some(unit);
                }
                Some(_) => return None,
                None => {}
            }
            // A permit is kept when the writer comes between the look above and this wait.
            self.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_loses_whole_groups_and_resumes_with_its_headers() {
        let queue = LiveQueue::new(Vec::new(), Begin::AtStart);
        let stop = StopToken::new();
        let offer = |n: usize| {
            let role = if n.is_multiple_of(100) { Role::Start } else { Role::Rest };
            queue.offer(n, 1, role, || vec![(usize::MAX, 1)]);
        };
        (50..SINK_QUEUE + 500).for_each(offer);
        // Before the first start 50 units, after it the header and SINK_QUEUE - 1 units fit.
        assert_eq!(queue.dropped(), 500 - 100 + 50 + 1);
        for expected in std::iter::once(usize::MAX).chain(100..100 + SINK_QUEUE - 1) {
            assert_eq!(queue.recv(&stop, Duration::ZERO), Popped::Unit(expected));
        }
        assert_eq!(queue.recv(&stop, Duration::ZERO), Popped::Timeout);
        (2050..2150).for_each(offer);
        assert_eq!(queue.recv(&stop, Duration::ZERO), Popped::Unit(usize::MAX));
        assert_eq!(queue.recv(&stop, Duration::ZERO), Popped::Unit(2100));
        queue.finish();
        let rest = std::iter::from_fn(|| match queue.recv(&stop, Duration::ZERO) {
            Popped::Unit(n) => Some(n),
            _ => None,
        });
        assert_eq!(rest.last(), Some(2149));
        assert_eq!(queue.recv(&stop, Duration::ZERO), Popped::Finished);
    }

    #[test]
    fn the_limit_in_bytes_holds_too() {
        let queue = LiveQueue::new(Vec::new(), Begin::Now);
        for n in 0..10 {
            queue.offer(n, SINK_QUEUE_BYTES / 4, Role::Rest, Vec::new);
        }
        assert_eq!(queue.dropped(), 6);
    }

    #[test]
    fn a_waiting_writer_is_let_go_by_its_reader() {
        let queue = std::sync::Arc::new(LiveQueue::new(Vec::new(), Begin::Now));
        let writer = std::sync::Arc::clone(&queue);
        let worker = crate::worker::spawn("writes", StopToken::new(), move |stop| {
            for n in 0..3 * SINK_QUEUE {
                assert!(writer.push_wait(n, 1, Role::Start, &stop));
            }
            writer.finish();
        })
        .unwrap();
        let stop = StopToken::new();
        let mut read = 0;
        while let Popped::Unit(n) = queue.recv(&stop, Duration::from_secs(10)) {
            assert_eq!(n, read);
            read += 1;
        }
        assert_eq!((read, queue.dropped()), (3 * SINK_QUEUE, 0));
        assert_eq!(worker.join(), crate::worker::Outcome::Returned);
    }
}
