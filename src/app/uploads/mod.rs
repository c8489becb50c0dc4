//! Finished recordings on their way to object storage, and what becomes of them there.
//!
//! `transfer` sends one, `fragments` has some get their final form before, `removal` lets go of one; `place` says where to. What is still to be sent is the rows of the index that say so, not a queue.
//! Must not know wires (`api::bucket`). Invariants: one worker, on a thread of its own at the lowest priority, does all that
//! changes the storage, so that nobody removes what is just being sent; nothing that records or encodes waits for it; it
//! goes on trying for as long as there is something to send.

mod fragments;
mod place;
mod removal;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::studio::Studio;
use crate::api::bucket::{Bucket, Buckets, Failure};
use crate::api::events::EventCode;
use crate::config::{Config, KeepLocal, Storage};
use crate::ids::{CasterId, RecordingId};
use crate::limits;
use crate::output::{self, Backoff};
use crate::recording::{Recording, RecordingFilter, RecordingState};
use crate::store::{Entry, Keeper, Mark, Page, StoreError};
use crate::time::Clock;
use crate::worker;

pub(super) use place::ObjectPlace;
use transfer::{Ended, Transfer};

/// How uploads fare, since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Bytes that have arrived.
    pub(super) bytes: AtomicU64,
    /// Recordings that are stored.
    pub(super) stored: AtomicU64,
    /// Attempts that failed.
    pub(super) failures: AtomicU64,
    /// Recordings that wait, as of the last look.
    pub(super) waiting: AtomicU64,
}

/// Why a recording is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Storage(#[from] Failure),
    /// A file cannot be read, or the index: that is on this side.
    #[error("{0}")]
    Here(String),
}

impl Trouble {
    fn file(path: &Path, error: &std::io::Error) -> Trouble {
        Trouble::Here(format!("{}: {error}", path.display()))
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Here(error.to_string())
    }
}

impl From<tokio::task::JoinError> for Trouble {
    fn from(error: tokio::task::JoinError) -> Trouble {
        Trouble::Here(error.to_string())
    }
}

/// A wish that a recording be removed from the storage.
struct Removal {
    recording: Recording,
    reply: oneshot::Sender<Result<(), String>>,
}

/// The way of finished recordings to object storage.
pub(super) struct Uploads {
    storage: Storage,
    buckets: Buckets,
    store: Arc<Keeper>,
    dir: PathBuf,
    counts: Arc<Counts>,
    permits: Arc<Semaphore>,
    /// There may be something to send.
    woken: Notify,
    /// Files that an earlier process left as they were written: their final form is tried once more before they are sent.
    fragments: std::sync::Mutex<BTreeSet<RecordingId>>,
    removals: mpsc::Sender<Removal>,
    /// Taken by the worker.
    asked: Mutex<mpsc::Receiver<Removal>>,
}

/// A bucket that takes nothing just now.
struct Outage {
    /// Casters that were told.
    told: BTreeSet<CasterId>,
    pause: Backoff,
    /// When it is tried again, on the worker's clock, ns.
    due_ns: u64,
    /// What failed last: those after it have their turn first.
    failed: Option<Mark>,
}

impl Outage {
    /// Whether this one had its turn.
    fn had(&self, recording: &Recording) -> bool {
        self.failed.as_ref().is_some_and(|failed| Mark::of(recording) <= *failed)
    }
}

/// All of them, by bucket.
type Outages = BTreeMap<String, Outage>;

/// What came of a look at all that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Nothing waits any more, but for buckets that take nothing.
    Done,
    /// Something is wrong on this side that somebody has to change.
    Stuck,
}

impl Uploads {
    /// The uploads of a server that has object storage.
    ///
    /// # Errors
    /// One line that names the setting that is wrong.
    pub(super) fn open(
        config: &Config,
        store: &Arc<Keeper>,
    ) -> Result<Option<Arc<Uploads>>, String> {
        let Some(storage) = &config.storage else { return Ok(None) };
        let (removals, asked) = mpsc::channel(limits::STORAGE_REMOVALS);
        Ok(Some(Arc::new(Uploads {
            buckets: Buckets::open(storage)?,
            storage: storage.clone(),
            store: Arc::clone(store),
            dir: config.record_dir.clone(),
            counts: Arc::default(),
            permits: Arc::new(Semaphore::new(limits::PARTS_AT_ONCE)),
            woken: Notify::new(),
            fragments: std::sync::Mutex::default(),
            removals,
            asked: Mutex::new(asked),
        })))
    }

    /// How uploads fare.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The bucket of a recording, where that is configured.
    pub(super) fn bucket(&self, place: &ObjectPlace) -> Option<&Bucket> {
        self.buckets.get(&place.bucket)
    }

    /// Where the recordings go whose caster names these, which may be empty.
    ///
    /// # Errors
    /// One sentence that names which of them is not of this server.
    pub(super) fn place(&self, endpoint: &str, bucket: &str) -> Result<ObjectPlace, String> {
        let bucket = self.storage.bucket(endpoint, bucket)?.to_owned();
        Ok(ObjectPlace { bucket, base: self.storage.prefix.clone() })
    }

    /// There is something to send.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Removes a recording from the storage, what has arrived of it and what is under way.
    ///
    /// # Errors
    /// Why something of it may still be there.
    pub(super) async fn remove(&self, recording: Recording) -> Result<(), String> {
        let gone = || "nobody removes it".to_owned();
        let (reply, removed) = oneshot::channel();
        let removal = Removal { recording, reply };
        self.removals.send(removal).await.map_err(|_closed| gone())?;
        removed.await.map_err(|_closed| gone())?
    }

    /// Nobody works: what is asked for is refused.
    pub(super) async fn give_up(&self) {
        self.asked.lock().await.close();
    }

    /// Works until `quit` is dropped, on a thread that only runs when nobody else wants to.
    pub(super) fn run(self: Arc<Self>, studio: &Arc<Studio>, quit: oneshot::Receiver<()>) {
        worker::give_way();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "no recording is uploaded"),
        };
        runtime.block_on(async {
            tokio::select! {
                () = self.keep_working(studio) => {}
                _ = quit => {}
            }
        });
        runtime.shutdown_background();
    }

    async fn keep_working(self: &Arc<Self>, studio: &Arc<Studio>) {
        loop {
            let work = tokio::spawn(Arc::clone(self).work(Arc::clone(studio)));
            if let Err(error) = work.await {
                tracing::error!(%error, "uploads begin again");
            }
            tokio::time::sleep(limits::UPLOAD_RETRY_MAX).await;
        }
    }

    async fn work(self: Arc<Self>, studio: Arc<Studio>) {
        let mut asked = self.asked.lock().await;
        self.let_go_of_local_files().await;
        self.look_for_fragments().await;
        let (clock, mut outages) = (Clock::real(), Outages::new());
        loop {
            let all = (&mut outages, &clock);
            let usual = match self.round((&studio, all), &mut asked).await {
                Round::Done => limits::RECORDINGS_SWEEP,
                Round::Stuck => limits::UPLOAD_RETRY_MAX,
            };
            let now_ns = clock.now_ns();
            let due = outages.values().map(|outage| outage.due_ns.saturating_sub(now_ns)).min();
            let wait = due.map_or(usual, |due_ns| usual.min(Duration::from_nanos(due_ns)));
            self.rest(wait, &mut asked).await;
        }
    }

    /// Waits until there may be something to send.
    async fn rest(&self, wait: Duration, asked: &mut mpsc::Receiver<Removal>) {
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.woken.notified() => return,
                Some(removal) = asked.recv() => self.answer(removal).await,
            }
        }
    }

    async fn count_waiting(&self) {
        let filter = RecordingFilter {
            state: Some(RecordingState::Uploading),
            ..RecordingFilter::default()
        };
        if let Ok((waiting, _)) = self.store.read(move |s| s.recordings(&filter, (0, 0))).await {
            self.counts.waiting.store(waiting as u64, Ordering::Relaxed);
        }
    }

    /// Tries to send all that waits; what is for a bucket that fails is left for the next time, and does not keep what is for
    /// others from it.
    async fn round(
        self: &Arc<Self>,
        (studio, (outages, clock)): (&Studio, (&mut Outages, &Clock)),
        asked: &mut mpsc::Receiver<Removal>,
    ) -> Round {
        let began_ns = clock.now_ns();
        let rests = |outage: &Outage| outage.due_ns > began_ns;
        let mut came = Round::Done;
        let mut page = Some(Page::first(limits::RECORDINGS_AT_ONCE));
        while let Some(here) = page {
            let resting = outages.iter().filter(|(_, outage)| rests(outage));
            let resting: Vec<String> = resting.map(|(bucket, _)| bucket.clone()).collect();
            let of = here.clone();
            let read = self.store.read(move |store| store.uploading(&resting, &of)).await;
            let waiting = read.inspect_err(|error| tracing::error!(%error, "the index"));
            let waiting = waiting.unwrap_or_default();
            self.count_waiting().await;
            page = here.next(&waiting);
            for recording in &waiting {
                let Some((place, bucket)) = self.destination(recording) else { continue };
                let is_passed = |outage: &Outage| rests(outage) || outage.had(recording);
                if outages.get(&place.bucket).is_some_and(is_passed) {
                    continue;
                }
                let id = recording.id.clone();
                let upload = tokio::spawn(Arc::clone(self).upload(recording.clone(), bucket));
                let Some(ended) = self.attend((&id, upload), asked).await else { continue };
                match ended.and_then(|ended| ended) {
                    Ok(stored) => self.succeed(studio, (&place.bucket, stored), outages),
                    Err(Trouble::Storage(failure)) => {
                        let all = (&waiting[..], recording);
                        self.fail(studio, (&place.bucket, &failure), all, (outages, clock));
                    }
                    Err(trouble) => {
                        self.counts.failures.fetch_add(1, Ordering::Relaxed);
                        came = Round::Stuck;
                        tracing::warn!(%trouble, name = recording.name, "cannot be uploaded");
                    }
                }
            }
        }
        // All that come after what failed have had their turn. Of a bucket that nothing waits for nothing more is known.
        outages.retain(|_, outage| rests(outage) || outage.failed.take().is_some());
        self.count_waiting().await;
        came
    }

    /// Tells of what was stored, if all of it was, and that its bucket takes recordings.
    fn succeed(
        &self,
        studio: &Studio,
        (bucket, stored): (&str, Option<Recording>),
        outages: &mut Outages,
    ) {
        if let Some(stored) = stored {
            studio.stored(stored);
        }
        let restored = outages.remove(bucket).into_iter();
        for caster in restored.flat_map(|outage| outage.told) {
            let told = format!("Bucket {bucket} takes recordings again.");
            studio.storage_changed(&caster, EventCode::StorageRestored, told);
        }
    }

    fn destination(&self, recording: &Recording) -> Option<(ObjectPlace, Bucket)> {
        let place = ObjectPlace::of(recording)?;
        let bucket = self.buckets.get(&place.bucket)?.clone();
        Some((place, bucket))
    }

    /// Leaves a bucket alone for a while that does not take recordings, and tells casters of those that wait of it, each once an
    /// outage.
    fn fail(
        &self,
        studio: &Studio,
        (bucket, failure): (&str, &Failure),
        (waiting, failed): (&[Recording], &Recording),
        (outages, clock): (&mut Outages, &Clock),
    ) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        let host = self.storage.host();
        if !outages.contains_key(bucket) {
            tracing::warn!(%failure, bucket, host, "object storage does not take recordings");
        }
        let outage = outages.entry(bucket.to_owned()).or_insert_with(|| Outage {
            told: BTreeSet::new(),
            pause: Backoff::new(limits::UPLOAD_RETRY_FIRST, limits::UPLOAD_RETRY_MAX),
            due_ns: 0,
            failed: None,
        });
        let rest = match failure {
            Failure::Away(_) => outage.pause.next_wait(),
            _ => limits::UPLOAD_RETRY_MAX,
        };
        outage.due_ns = clock.now_ns() + u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX);
        outage.failed = Some(Mark::of(failed));
        let is_of_bucket = |other: &&Recording| {
            self.destination(other).is_some_and(|(other, _)| other.bucket == bucket)
        };
        for other in waiting.iter().filter(is_of_bucket) {
            if outage.told.insert(other.caster.clone()) {
                let message =
                    format!("Bucket {bucket} at {host} does not take recordings: {failure}");
                studio.storage_changed(&other.caster, EventCode::StorageFailed, message);
            }
        }
    }

    /// Waits for an upload and does meanwhile what is asked for; `None` when that was to remove what is sent.
    async fn attend<T>(
        &self,
        (id, mut upload): (&RecordingId, JoinHandle<T>),
        asked: &mut mpsc::Receiver<Removal>,
    ) -> Option<Result<T, Trouble>> {
        loop {
            tokio::select! {
                ended = &mut upload => return Some(ended.map_err(Trouble::from)),
                Some(removal) = asked.recv() => {
                    let is_this = removal.recording.id == *id;
                    if is_this {
                        upload.abort();
                        let _ = (&mut upload).await; // It was told to end.
                    }
                    self.answer(removal).await;
                    if is_this {
                        return None;
                    }
                }
            }
        }
    }

    /// Sends what is left of a recording and says in the index that it is stored; `None` when it must go elsewhere first.
    async fn upload(
        self: Arc<Self>,
        recording: Recording,
        bucket: Bucket,
    ) -> Result<Option<Recording>, Trouble> {
        let Some(place) = ObjectPlace::of(&recording) else { return Ok(None) };
        let recording = self.shaped(recording).await?;
        let (dir, name, format) = (self.dir.clone(), recording.name.clone(), recording.format);
        let names = tokio::task::spawn_blocking(move || {
            output::recording_files(&dir, &name, format)
                .map_err(|error| Trouble::file(&dir.join(&name), &error))
        });
        let transfer = Arc::new(Transfer {
            id: recording.id.clone(),
            format,
            place: place.clone(),
            bucket,
            dir: self.dir.clone(),
            store: Arc::clone(&self.store),
            counts: Arc::clone(&self.counts),
            permits: Arc::clone(&self.permits),
        });
        let names = names.await??;
        if transfer.run(names).await? == Ended::Taken {
            // Nothing of it may stay where it was begun.
            let trouble = |reason| Trouble::Storage(Failure::Away(reason));
            self.clear(&recording).await.map_err(trouble)?;
            let id = recording.id.clone();
            let lost = self.store.read(move |store| store.uploaded(&id)).await?;
            let mut entries: Vec<Entry> = lost
                .iter()
                .map(|uploaded| Entry::UploadLost(recording.id.clone(), uploaded.file))
                .collect();
            let uri = Some(place.beside(&recording).uri(&recording.name));
            entries.push(Entry::Recording(Recording { uri, ..recording }));
            self.store.write(entries).await?;
            self.wake();
            return Ok(None);
        }
        let stored = Recording { state: RecordingState::Stored, ..recording };
        self.store.write(vec![Entry::Recording(stored.clone())]).await?;
        self.counts.stored.fetch_add(1, Ordering::Relaxed);
        tracing::info!(uri = stored.uri, bytes = stored.bytes, "a recording is stored");
        if self.storage.keep_local == KeepLocal::UntilUploaded {
            self.remove_local(&stored).await;
        }
        Ok(Some(stored))
    }
}
