//! The keeper: the one thread that writes to the store, many writes to a transaction.
//!
//! A write to disk costs the same however much is in it, so everything that waits goes into one transaction and all
//! who wait for it are answered after it. Must not know what is written. Invariants: a write is on disk when it is
//! answered; writes and reads happen in the order in which they came; a write that fails fails alone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::{Entry, Store, StoreError};
use crate::limits::{STORE_BATCH, STORE_QUEUE};
use crate::time::Clock;
use crate::worker::{self, StopToken, Worker};

/// How often a thread that waits for a write looks whether it is done.
const WRITE_POLL: Duration = Duration::from_millis(2);

type Reply = oneshot::Sender<Result<(), StoreError>>;

enum Job {
    Write(Waiting),
    Read(Box<dyn FnOnce(&Store) + Send>),
}

/// A write and who waits for it, if somebody does.
struct Waiting {
    entries: Vec<Entry>,
    reply: Option<Reply>,
}

impl Waiting {
    fn answer(self, result: Result<(), StoreError>) {
        match (self.reply, result) {
            // Who no longer listens has left; what was written stays written.
            (Some(reply), result) => drop(reply.send(result)),
            (None, Err(error)) => tracing::error!(%error, "what nobody waits for was not written"),
            (None, Ok(())) => {}
        }
    }
}

/// The way to the open store. Dropping it finishes what waits and closes the store.
#[derive(Debug)]
pub struct Keeper {
    // Before the worker: it ends when nobody can ask any more.
    jobs: mpsc::Sender<Job>,
    letters_dropped: Arc<AtomicU64>,
    _worker: Worker,
}

impl Keeper {
    /// Starts the thread that the store is left to.
    ///
    /// # Errors
    /// When the operating system refuses a new thread.
    pub fn start(store: Store) -> io::Result<Keeper> {
        let (jobs, inbox) = mpsc::channel(STORE_QUEUE);
        let letters_dropped = Arc::<AtomicU64>::default();
        let dropped = Arc::clone(&letters_dropped);
        let worker =
            worker::spawn("store", StopToken::new(), move |_| Desk { store, dropped }.run(inbox))?;
        Ok(Keeper { jobs, letters_dropped, _worker: worker })
    }

    /// Writes the entries, all or none; on disk when this is ready. Once asked, it is written whether or not somebody
    /// waits.
    ///
    /// # Errors
    /// When they could not be written.
    pub async fn write(&self, entries: Vec<Entry>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Write(Waiting { entries, reply: Some(reply) });
        self.jobs.send(job).await.map_err(|_closed| StoreError::Closed)?;
        answer.await.map_err(|_closed| StoreError::Closed)?
    }

    /// Has the entries written without waiting for it; false when the queue is full and they are not.
    #[must_use]
    pub fn offer(&self, entries: Vec<Entry>) -> bool {
        self.jobs.try_send(Job::Write(Waiting { entries, reply: None })).is_ok()
    }

    /// Writes the entries from a thread that may wait, for at most about `limit`; false when they were not on disk by then.
    #[must_use]
    pub fn write_within(&self, entries: Vec<Entry>, limit: Duration) -> bool {
        let (reply, mut answer) = oneshot::channel();
        if self.jobs.try_send(Job::Write(Waiting { entries, reply: Some(reply) })).is_err() {
            return false;
        }
        let (clock, pause) = (Clock::real(), StopToken::new());
        while Duration::from_nanos(clock.now_ns()) < limit {
            match answer.try_recv() {
                Ok(written) => return written.is_ok(),
                Err(TryRecvError::Closed) => return false,
                Err(TryRecvError::Empty) => drop(pause.wait(WRITE_POLL)),
            }
        }
        false
    }

    /// Reads; what was asked to be written before is there.
    ///
    /// # Errors
    /// What the reading says.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Read(Box::new(move |store| drop(reply.send(read(store)))));
        self.jobs.send(job).await.map_err(|_closed| StoreError::Closed)?;
        answer.await.map_err(|_closed| StoreError::Closed)?
    }

    /// Letters that had to go because their owner had too many.
    pub fn letters_dropped(&self) -> u64 {
        self.letters_dropped.load(Ordering::Relaxed)
    }
}

/// What the thread works with.
struct Desk {
    store: Store,
    dropped: Arc<AtomicU64>,
}

impl Desk {
    fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(STORE_BATCH);
        while let Some(first) = inbox.blocking_recv() {
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(write) => batch.push(write),
                    Job::Read(read) => {
                        self.flush(&mut batch);
                        read(&self.store);
                    }
                }
                next = if batch.len() < STORE_BATCH { inbox.try_recv().ok() } else { None };
            }
            self.flush(&mut batch);
        }
    }

    /// One transaction; when it fails, one for each, so that who is not to blame is not refused.
    fn flush(&mut self, batch: &mut Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let together = self.write(batch.iter().flat_map(|waiting| &waiting.entries));
        match together {
            Err(error) if batch.len() > 1 => {
                tracing::warn!(%error, writes = batch.len(), "writing one by one");
                for waiting in batch.drain(..) {
                    let alone = self.write(&waiting.entries);
                    waiting.answer(alone);
                }
            }
            // Here an error is that of the only one.
            result => {
                let mut result = Some(result);
                for waiting in batch.drain(..) {
                    waiting.answer(result.take().unwrap_or(Ok(())));
                }
            }
        }
    }

    fn write<'a>(
        &mut self,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<(), StoreError> {
        let dropped = self.store.write(entries)?;
        self.dropped.fetch_add(dropped as u64, Ordering::Relaxed);
        Ok(())
    }
}
