//! The recordings of this server: their index, what is still to be done with their files, and how long they are kept.
//!
//! `content` reads them, `finishing` does what is still to be done. Must not know containers (`output`), SQL (`store`) or object storage (`uploads`). Invariants: a file is in the index from before its first byte until
//! after it is gone; what a killed process left is finished by the next; nothing that is written is removed; none of it is
//! on the path of a frame.

mod content;
mod finishing;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, oneshot};

use self::finishing::Stuck;
pub(super) use self::finishing::shaped_after_all;
use super::studio::Studio;
use super::uploads::{ObjectPlace, Uploads};
use crate::api::recordings::{Ask, Found, not_found};
use crate::catalog::{ErrorCode, RecordConfig, Refused};
use crate::config::Config;
use crate::ids::{CasterId, RecordingId};
use crate::limits;
use crate::output::{self, OnRecord, RecordNews, RecordedFile};
use crate::recording::{Recording, RecordingState};
use crate::store::{Entry, Keeper, Page, Store};
use crate::time;
use crate::worker::{self, StopToken, Worker};

/// The recordings of this server.
pub(super) struct Recordings {
    store: Arc<Keeper>,
    dir: PathBuf,
    keep: Option<Duration>,
    keep_bytes: Option<u64>,
    /// Where there is object storage.
    uploads: Option<Arc<Uploads>>,
    /// There may be something to finish.
    woken: Notify,
    stuck: Stuck,
    /// A finished file is changed or removed.
    changing: Mutex<()>,
}

/// A row of the index as its file's recorder knows it, and back.
fn file(recording: &Recording) -> RecordedFile {
    RecordedFile {
        id: recording.id.clone(),
        name: recording.name.clone(),
        part: recording.part.clone().unwrap_or_else(|| recording.name.clone()),
        format: recording.format,
        duration_ms: recording.duration_ms,
        bytes: recording.bytes,
        start_unix_ms: recording.start_unix_ms,
    }
}

/// Whose a recording is, and where it goes when it is finished, if that is not where it was written.
#[derive(Clone)]
struct Origin {
    caster: CasterId,
    stream: String,
    place: Option<ObjectPlace>,
}

impl Origin {
    fn of(recording: &Recording) -> Origin {
        let place = ObjectPlace::of(recording);
        Origin { caster: recording.caster.clone(), stream: recording.stream.clone(), place }
    }
}

fn row(of: Origin, file: RecordedFile, state: RecordingState) -> Recording {
    Recording {
        id: file.id,
        caster: of.caster,
        stream: of.stream,
        format: file.format,
        state,
        uri: of.place.map(|place| place.uri(&file.name)),
        name: file.name,
        part: (!state.is_final()).then_some(file.part),
        start_unix_ms: file.start_unix_ms,
        duration_ms: file.duration_ms,
        bytes: file.bytes,
    }
}

fn internal(error: impl std::fmt::Display) -> Refused {
    tracing::error!(%error, "the index of recordings");
    Refused::new(ErrorCode::Internal, "The index of recordings cannot be read or written.")
}

/// Runs what waits for the disk at the lowest priority, on a thread of its own, which is stopped when nobody waits any more.
async fn in_the_background<T: Send + 'static>(
    work: impl FnOnce(&StopToken) -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = tokio::sync::oneshot::channel();
    let worker = worker::spawn("recordings", StopToken::new(), move |stop| {
        worker::give_way();
        // Who waits may have left.
        let _ = done.send(work(&stop));
    });
    let worker = worker.inspect_err(|error| tracing::error!(%error, "no thread")).ok()?;
    let result = result.await.ok();
    drop(worker);
    result
}

impl Recordings {
    /// The recordings of a server, and those that no recorder writes any more: the first has not begun.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(super) async fn open(
        store: Arc<Keeper>,
        config: &Config,
    ) -> Result<(Arc<Recordings>, Vec<Recording>), String> {
        let state = RecordingState::Recording;
        let left = store.read(move |store| store.recordings_in(state, &Page::whole())).await;
        let uploads = Uploads::open(config, &store)?;
        let recordings = Recordings {
            store,
            dir: config.record_dir.clone(),
            keep: config.record_keep,
            keep_bytes: config.record_keep_bytes,
            uploads,
            woken: Notify::new(),
            stuck: Stuck::default(),
            changing: Mutex::default(),
        };
        Ok((Arc::new(recordings), left.map_err(|error| error.to_string())?))
    }

    /// Refuses what names other object storage than this server's. Where there is none, a name is only kept and told, so that
    /// a program of the cloud's, which always gives one, runs as it is; its recordings stay on the disk.
    ///
    /// # Errors
    /// `InvalidParameter.Malformed`, with the name that is wrong.
    pub(super) fn check(&self, record: &RecordConfig) -> Result<(), Refused> {
        let RecordConfig { endpoint, bucket, .. } = record;
        let refused = |message| Refused::new(ErrorCode::ParameterMalformed, message);
        match &self.uploads {
            Some(uploads) => uploads.place(endpoint, bucket).map(drop).map_err(refused),
            None => Ok(()),
        }
    }

    /// Where recordings of these settings go when they are finished; `None` when they stay where they are written.
    pub(super) fn place(&self, record: &RecordConfig) -> Option<ObjectPlace> {
        let placed = self.uploads.as_ref()?.place(&record.endpoint, &record.bucket);
        // It was allowed once. Another bucket than was asked for may be read by others.
        placed.inspect_err(|error| tracing::warn!(error, "a recording stays on the disk")).ok()
    }

    /// How uploads fare, where there are any.
    pub(super) fn uploads(&self) -> Option<&Uploads> {
        self.uploads.as_deref()
    }

    /// Who a recorder of this caster's stream tells of its files, which go to `place` when they are finished.
    pub(super) fn news(
        self: &Arc<Self>,
        (caster, stream): (&CasterId, &str),
        place: Option<ObjectPlace>,
    ) -> OnRecord {
        let of = Origin { caster: caster.clone(), stream: stream.to_owned(), place };
        let recordings = Arc::clone(self);
        OnRecord::new(move |news| recordings.hear(&of, news))
    }

    /// On the recorder's thread: the index knows of a file before it is there, and of its name before it has it.
    fn hear(&self, of: &Origin, news: RecordNews) {
        let is_begun = matches!(news, RecordNews::Begun(_));
        let entry = match news {
            RecordNews::Begun(file) => {
                Entry::Recording(row(of.clone(), file, RecordingState::Recording))
            }
            RecordNews::Complete(file) => {
                Entry::Recording(row(of.clone(), file, RecordingState::Finishing))
            }
            RecordNews::Empty(id) => Entry::RecordingGone(id),
            RecordNews::Named => return self.woken.notify_one(),
        };
        if !self.store.write_within(vec![entry], limits::RECORD_INDEX_WAIT) {
            tracing::warn!("the index of recordings is late");
        }
        // Where there is room to begin there is room to finish.
        if is_begun && self.stuck.is_any() {
            self.woken.notify_one();
        }
    }

    /// Finishes what `left` says, then whatever is complete, and lets go of what is too old, until `stopped`.
    pub(super) async fn run(
        self: Arc<Self>,
        (studio, left): (Arc<Studio>, Vec<Recording>),
        stopped: impl Future<Output = ()> + Send,
    ) {
        let _uploading = self.start_uploads(&studio).await;
        let work = async {
            for recording in left {
                self.recover(recording).await;
            }
            self.finish_all(&studio).await;
            self.finish_fragments().await;
            let dir = self.dir.clone();
            for path in in_the_background(move |_| output::recover_recordings(&dir))
                .await
                .unwrap_or_default()
            {
                tracing::info!(path = %path.display(), "a recording of unknown origin is finished");
            }
            let finished = Notify::new();
            let finishing = async {
                loop {
                    self.finish_all(&studio).await;
                    finished.notify_one();
                    // Woken or not, what could not be done before is tried again.
                    let woken = self.woken.notified();
                    let _ = tokio::time::timeout(limits::RECORDINGS_SWEEP, woken).await;
                }
            };
            // Which may have to wait for object storage.
            let sweeping = async {
                loop {
                    finished.notified().await;
                    self.sweep().await;
                }
            };
            tokio::join!(finishing, sweeping);
        };
        tokio::select! {
            () = work => {}
            () = stopped => {}
        }
    }

    /// Has finished recordings uploaded until the second value is dropped, and then the first.
    async fn start_uploads(&self, studio: &Arc<Studio>) -> Option<(oneshot::Sender<()>, Worker)> {
        let Some(uploads) = self.uploads.clone() else {
            let state = RecordingState::Uploading;
            let first = Page::first(1);
            let waiting = self.store.read(move |store| store.recordings_in(state, &first)).await;
            if waiting.is_ok_and(|waiting| !waiting.is_empty()) {
                tracing::warn!("recordings wait for object storage, which is not configured");
            }
            return None;
        };
        let (quit, quitting) = oneshot::channel();
        let (studio, given_up) = (Arc::clone(studio), Arc::clone(&uploads));
        let worker = worker::spawn("uploads", StopToken::new(), move |_| {
            uploads.run(&studio, quitting);
        });
        match worker {
            Ok(worker) => Some((quit, worker)),
            Err(error) => {
                tracing::error!(%error, "nothing is uploaded without a thread");
                given_up.give_up().await;
                None
            }
        }
    }

    /// Lets go of what is too old or too much, the oldest first, wherever it is.
    async fn sweep(&self) {
        if self.keep.is_none() && self.keep_bytes.is_none() {
            return;
        }
        let Ok(mut bytes) = self.store.read(Store::recorded_bytes).await else { return };
        let keep_ms = |keep: Duration| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let mut is_storage_away = false;
        let mut page = Some(Page::first(limits::RECORDINGS_AT_ONCE));
        while let Some(here) = page {
            let of = here.clone();
            let read = move |store: &Store| store.final_recordings(&of);
            let Ok(finished) = self.store.read(read).await else { return };
            page = here.next(&finished);
            for recording in finished {
                let ended_ms = recording.end_unix_ms();
                let is_old =
                    self.keep.is_some_and(|keep| ended_ms + keep_ms(keep) < time::unix_ms());
                if !is_old && self.keep_bytes.is_none_or(|most| bytes <= most) {
                    return;
                }
                bytes = bytes.saturating_sub(recording.bytes);
                // Those that are in object storage too wait until it answers again, the others do not wait for them.
                let is_stored = recording.uri.is_some();
                if is_stored && is_storage_away {
                    continue;
                }
                let name = recording.name.clone();
                match self.remove(recording).await {
                    Ok(()) => tracing::info!(name, "a recording is kept no longer"),
                    Err(_) if is_stored => is_storage_away = true,
                    Err(_) => return,
                }
            }
        }
    }

    async fn remove(&self, recording: Recording) -> Result<(), Refused> {
        let _one_at_a_time = self.changing.lock().await;
        if recording.uri.is_some() && !self.is_out_of_reach(&recording) {
            let gone = match &self.uploads {
                Some(uploads) => uploads.remove(recording.clone()).await,
                None => Err("it is not configured any more".into()),
            };
            gone.map_err(|reason| {
                tracing::warn!(reason, name = recording.name, "stays in object storage");
                let message = format!("The object storage does not remove it: {reason}");
                Refused::new(ErrorCode::Internal, message)
            })?;
        }
        let dir = self.dir.clone();
        let Recording { id, name, format, .. } = recording;
        let removed = in_the_background(move |_| output::remove_recording(&dir, &name, format));
        match removed.await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(internal(error)),
            None => return Err(internal("no thread")),
        }
        match self.write(Entry::RecordingGone(id)).await {
            true => Ok(()),
            false => Err(internal("the row stays")),
        }
    }

    /// Whether a recording that has not all arrived in object storage goes where this server cannot go any more: what it is,
    /// is on the disk.
    fn is_out_of_reach(&self, recording: &Recording) -> bool {
        let Some(place) = ObjectPlace::of(recording) else { return false };
        let bucket = self.uploads.as_ref().and_then(|uploads| uploads.bucket(&place));
        let is_out = recording.state == RecordingState::Uploading && bucket.is_none();
        if is_out {
            let (name, bucket) = (&recording.name, place.bucket);
            tracing::warn!(name, bucket, "what was sent of it stays, its bucket is not configured");
        }
        is_out
    }

    async fn write(&self, entry: Entry) -> bool {
        let written = self.store.write(vec![entry]).await;
        written.inspect_err(|error| tracing::error!(%error, "the index of recordings")).is_ok()
    }

    /// Answers an edge.
    pub(super) async fn answer(&self, ask: Ask) -> Result<Found, Refused> {
        match ask {
            Ask::List { filter, skip, most } => {
                let read = move |store: &Store| store.recordings(&filter, (skip, most));
                let (total, page) = self.store.read(read).await.map_err(internal)?;
                Ok(Found::Page(total, page))
            }
            Ask::Find(id) => self.find(id).await.map(|found| Found::One(Box::new(found))),
            Ask::Open(id, piece) => {
                let recording = self.find(id).await?;
                let content = self.open_piece(&recording, piece).await?;
                Ok(Found::Open(Box::new(recording), content))
            }
            Ask::Delete(id) => {
                let recording = self.find(id).await?;
                if !recording.state.is_final() {
                    let message = "The recording is not finished yet.";
                    return Err(Refused::new(ErrorCode::CasterInUse, message));
                }
                self.remove(recording).await.map(|()| Found::Deleted)
            }
        }
    }

    async fn find(&self, id: RecordingId) -> Result<Recording, Refused> {
        let found = self.store.read(move |store| store.recording(&id)).await.map_err(internal)?;
        found.ok_or_else(not_found)
    }
}
