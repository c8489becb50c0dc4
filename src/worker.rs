//! Workers: the one way a thread begins and ends.
//!
//! Owns naming, stopping, joining and the fate of a panic. Must not know what a worker does.
//! Invariant: a worker that was spawned is joined; a panic inside it stays inside it and is reported.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

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
            match catch_unwind(AssertUnwindSafe(|| body(token))) {
                Ok(()) => Outcome::Returned,
                Err(payload) => {
                    let message = payload
                        .downcast_ref::<&str>()
                        .map(|s| (*s).to_owned())
                        .or_else(|| payload.downcast_ref::<String>().cloned())
                        .unwrap_or_else(|| "no message".to_owned());
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
    fn a_panic_is_reported_and_stays_inside() {
        let worker = spawn("breaks", StopToken::new(), |_| panic!("on purpose")).unwrap();
        assert_eq!(worker.join(), Outcome::Panicked("on purpose".into()));
    }
}
