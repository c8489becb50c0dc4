//! Workers: the one way a thread begins and ends, and how often what breaks may begin again.
//!
//! Owns naming, stopping, joining and the fate of a panic. Must not know what a worker does.
//! Invariant: a worker that was spawned is joined, but for one that does not come back, which is left behind on purpose; a
//! panic inside it stays inside it and is reported.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::limits::{RESTART_REST, RESTART_REST_MAX, RESTART_WINDOW, RESTARTS, STOP_POLL};
use crate::time::Clock;

/// See [`left_behind`].
static LEFT_BEHIND: AtomicU64 = AtomicU64::new(0);

/// Threads of this process, since its start, that did not end when they were told to and were left behind.
pub fn left_behind() -> u64 {
    LEFT_BEHIND.load(Ordering::Relaxed)
}

/// Tells a worker to stop; cheap to clone, wakes those who wait on it.
#[derive(Clone, Debug, Default)]
pub struct StopToken(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    stopped: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl StopToken {
    /// A token that is not stopped.
    pub fn new() -> StopToken {
        StopToken::default()
    }

    /// Asks whoever holds a clone to stop. Idempotent.
    pub fn stop(&self) {
        // The lock orders the store before a waiter's check, so no wake-up is lost.
        let _guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.stopped.store(true, Ordering::Release);
        self.0.wake.notify_all();
    }

    /// Whether [`StopToken::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Waits for at most `timeout`; true when stopped. May return early without a stop.
    pub fn wait(&self, timeout: Duration) -> bool {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() {
            return true;
        }
        let _ = self.0.wake.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
        self.is_stopped()
    }
}

/// Has the thread that calls this run only while nobody else wants to.
pub fn give_way() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its function returned.
    Returned,
    /// Its function panicked, with this message.
    Panicked(String),
}

/// A running thread; dropping it stops and joins it.
#[derive(Debug)]
pub struct Worker {
    name: String,
    stop: StopToken,
    thread: Option<JoinHandle<Outcome>>,
}

impl Worker {
    /// The name given at [`spawn`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token that stops it.
    pub fn stop_token(&self) -> &StopToken {
        &self.stop
    }

    /// Whether its function has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops it, waits for its end and tells how it ended.
    pub fn join(mut self) -> Outcome {
        self.stop_and_join()
    }

    /// Stops it and gives it `limit` to end; one that hangs in foreign code is left behind, and `None` says so.
    pub fn end_within(mut self, limit: Duration) -> Option<Outcome> {
        self.stop.stop();
        let (clock, pause) = (Clock::real(), StopToken::new());
        while !self.is_finished() {
            let left = limit.saturating_sub(Duration::from_nanos(clock.now_ns()));
            if left.is_zero() {
                tracing::error!(worker = self.name, "does not end and is left behind");
                LEFT_BEHIND.fetch_add(1, Ordering::Relaxed);
                self.thread = None;
                return None;
            }
            pause.wait(left.min(STOP_POLL / 10));
        }
        Some(self.stop_and_join())
    }

    fn stop_and_join(&mut self) -> Outcome {
        self.stop.stop();
        let Some(thread) = self.thread.take() else { return Outcome::Returned };
        thread.join().unwrap_or_else(|_| Outcome::Panicked("panicked outside its function".into()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop_and_join();
    }
}

/// When something that broke may begin again: at once, until it has broken [`RESTARTS`] times within [`RESTART_WINDOW`]; from
/// then on after a rest that doubles, until it has worked that long.
#[derive(Clone, Debug, Default)]
pub struct Patience {
    /// When it broke, ns.
    recent_ns: VecDeque<u64>,
    rests: u32,
}

impl Patience {
    /// It broke now, by any clock that does not go back; how long it is to rest.
    pub fn broke(&mut self, now_ns: u64) -> Duration {
        let window_ns = u64::try_from(RESTART_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        let is_old = |then_ns: &u64| now_ns.saturating_sub(*then_ns) > window_ns;
        if self.recent_ns.back().is_none_or(is_old) {
            *self = Patience::default();
        }
        self.recent_ns.retain(|then_ns| !is_old(then_ns));
        self.recent_ns.push_back(now_ns);
        if self.rests == 0 && self.recent_ns.len() < RESTARTS {
            return Duration::ZERO;
        }
        self.rests = self.rests.saturating_add(1);
        let rest = RESTART_REST * 2_u32.saturating_pow(self.rests - 1).min(64);
        rest.min(RESTART_REST_MAX)
    }
}

/// How long what broke rests before it begins again, by [`Patience`] and a clock of its own.
#[derive(Debug)]
pub struct Rest {
    clock: Clock,
    patience: Patience,
    until_ns: u64,
}

impl Default for Rest {
    fn default() -> Rest {
        Rest { clock: Clock::real(), patience: Patience::default(), until_ns: 0 }
    }
}

impl Rest {
    /// It broke now; how long it rests.
    pub fn broke(&mut self) -> Duration {
        let now_ns = self.clock.now_ns();
        let rest = self.patience.broke(now_ns);
        self.until_ns = now_ns + u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX);
        rest
    }

    /// Whether it has rested enough.
    pub fn is_over(&self) -> bool {
        self.clock.now_ns() >= self.until_ns
    }
}

/// When a worker was last seen at work. Cheap to clone; begins to count when it is made.
#[derive(Clone, Debug)]
pub struct Pulse {
    clock: Clock,
    beat_ns: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse { clock: Clock::real(), beat_ns: Arc::default() }
    }
}

impl Pulse {
    /// The worker is at work.
    pub fn beat(&self) {
        self.beat_ns.store(self.clock.now_ns(), Ordering::Relaxed);
    }

    /// Time since the last beat.
    pub fn silence(&self) -> Duration {
        let now_ns = self.clock.now_ns();
        Duration::from_nanos(now_ns.saturating_sub(self.beat_ns.load(Ordering::Relaxed)))
    }
}

/// Runs `body`; when it panics, answers the message.
///
/// # Errors
/// The panic's message.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        text.unwrap_or_else(|| "no message".to_owned())
    })
}

/// Starts a named thread that runs `body` with a clone of `stop`. A panic is caught, logged with the
/// worker's name and reported by [`Worker::join`].
///
/// # Errors
/// When the operating system refuses a new thread.
pub fn spawn<F>(name: &str, stop: StopToken, body: F) -> io::Result<Worker>
where
    F: FnOnce(StopToken) + Send + 'static,
{
    let token = stop.clone();
    let log_name = name.to_owned();
    // Linux cuts thread names at 15 bytes; the whole one is kept beside it.
    let thread =
        std::thread::Builder::new().name(name.chars().take(15).collect()).spawn(move || {
            match caught(|| body(token)) {
                Ok(()) => Outcome::Returned,
                Err(message) => {
                    tracing::error!(worker = log_name, message, "worker panicked");
                    Outcome::Panicked(message)
                }
            }
        })?;
    Ok(Worker { name: name.to_owned(), stop, thread: Some(thread) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_worker_wakes_and_returns() {
        let worker =
            spawn("waits", StopToken::new(), |stop| while !stop.wait(Duration::from_secs(60)) {})
                .unwrap();
        assert_eq!(worker.join(), Outcome::Returned);
    }

    #[test]
    fn what_breaks_again_and_again_rests() {
        let mut patience = Patience::default();
        for (now_s, rest_s) in [
            (0, 0),
            (1, 0),
            (2, 0),
            // An hour later all is forgotten.
            (3600, 0),
            (3601, 0),
            (3602, 0),
            (3603, 0),
            (3604, 10),
            (3614, 20),
            (3634, 40),
            (3680, 50),
            (3735, 50),
            (3796, 0),
        ] {
            let rest = patience.broke(now_s * 1_000_000_000);
            assert_eq!(rest, Duration::from_secs(rest_s), "at {now_s} s");
        }
    }

    #[test]
    fn a_worker_that_hangs_is_left_behind() {
        let (begin, begun) = crossbeam_channel::bounded::<()>(0);
        let worker = spawn("hangs", StopToken::new(), move |_| {
            let _ = begun.recv();
        })
        .unwrap();
        assert_eq!(worker.end_within(Duration::from_millis(10)), None);
        drop(begin);
        let worker = spawn("ends", StopToken::new(), |_| {}).unwrap();
        assert_eq!(worker.end_within(Duration::from_secs(10)), Some(Outcome::Returned));
    }

    #[test]
    fn a_panic_is_reported_and_stays_inside() {
        let worker = spawn("breaks", StopToken::new(), |_| panic!("on purpose")).unwrap();
        assert_eq!(worker.join(), Outcome::Panicked("on purpose".into()));
    }
}
