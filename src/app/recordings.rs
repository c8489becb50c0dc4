//! The recordings of this server: their index, what is still to be done with their files, and how long they are kept.
//!
//! Must not know containers (`output`) or SQL (`store`). Invariants: a file is in the index from before its first byte until
//! after it is gone; what a killed process left is finished by the next; nothing that is written is removed; none of it is
//! on the path of a frame.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::studio::Studio;
use crate::api::recordings::{Ask, Found, not_found};
use crate::catalog::{ErrorCode, Refused};
use crate::config::Config;
use crate::ids::{CasterId, RecordingId};
use crate::limits;
use crate::output::{self, OnRecord, RecordNews, RecordedFile, Recovered};
use crate::recording::{Recording, RecordingState};
use crate::store::{Entry, Keeper, Store};
use crate::time;
use crate::worker::{self, StopToken};

/// The recordings of this server.
pub(super) struct Recordings {
    store: Arc<Keeper>,
    dir: PathBuf,
    keep: Option<Duration>,
    keep_bytes: Option<u64>,
    /// There may be something to finish.
    woken: Notify,
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

fn row(of: (CasterId, String), file: RecordedFile, state: RecordingState) -> Recording {
    let (caster, stream) = of;
    let part = (state != RecordingState::Finished).then_some(file.part);
    Recording {
        id: file.id,
        caster,
        stream,
        format: file.format,
        state,
        name: file.name,
        part,
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
        let left = store.read(move |store| store.recordings_in(state, usize::MAX >> 1)).await;
        let recordings = Recordings {
            store,
            dir: config.record_dir.clone(),
            keep: config.record_keep,
            keep_bytes: config.record_keep_bytes,
            woken: Notify::new(),
        };
        Ok((Arc::new(recordings), left.map_err(|error| error.to_string())?))
    }

    /// Who a recorder of this caster's stream tells of its files.
    pub(super) fn news(self: &Arc<Self>, caster: &CasterId, stream: &str) -> OnRecord {
        let (recordings, of) = (Arc::clone(self), (caster.clone(), stream.to_owned()));
        OnRecord::new(move |news| recordings.hear(&of, news))
    }

    /// On the recorder's thread: the index knows of a file before it is there, and of its name before it has it.
    fn hear(&self, of: &(CasterId, String), news: RecordNews) {
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
    }

    /// Finishes what `left` says, then whatever is complete, and lets go of what is too old, until `stopped`.
    pub(super) async fn run(
        self: Arc<Self>,
        (studio, left): (Arc<Studio>, Vec<Recording>),
        stopped: impl Future<Output = ()> + Send,
    ) {
        let work = async {
            for recording in left {
                self.recover(recording).await;
            }
            self.finish_all(&studio).await;
            let dir = self.dir.clone();
            for path in in_the_background(move |_| output::recover_recordings(&dir))
                .await
                .unwrap_or_default()
            {
                tracing::info!(path = %path.display(), "a recording of unknown origin is finished");
            }
            loop {
                self.finish_all(&studio).await;
                self.sweep().await;
                // Woken or not, what could not be done before is tried again.
                let _ = tokio::time::timeout(limits::RECORDINGS_SWEEP, self.woken.notified()).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = stopped => {}
        }
    }

    /// Gives a file that was left behind its name; the index knows it before.
    async fn recover(&self, left: Recording) {
        let (dir, store) = (self.dir.clone(), Arc::clone(&self.store));
        let (found, of) = (file(&left), (left.caster.clone(), left.stream.clone()));
        let recovered = in_the_background(move |_| {
            output::recover_recording(&dir, &found, |file| {
                let row = row(of, file.clone(), RecordingState::Finishing);
                let entry = vec![Entry::Recording(row)];
                if !store.write_within(entry, limits::RECORD_INDEX_WAIT) {
                    tracing::warn!("the index of recordings is late");
                }
            })
        });
        match recovered.await {
            Some(Ok(Recovered::File(file))) => {
                tracing::info!(name = file.name, "a recording that was broken off is finished");
            }
            // Its recorder is at it, or was a moment ago.
            Some(Ok(Recovered::Nothing)) if self.is_there(&left) => {}
            Some(Ok(Recovered::Empty | Recovered::Nothing)) => {
                tracing::warn!(name = left.name, "there is nothing to play of a recording");
                self.write(Entry::RecordingGone(left.id)).await;
            }
            Some(Err(error)) => tracing::warn!(%error, name = left.name, "stays unfinished"),
            None => {}
        }
    }

    /// Whether there is a file of it, under any of its names.
    fn is_there(&self, recording: &Recording) -> bool {
        let part = recording.part.as_ref().map(|part| self.dir.join(format!("{part}.part")));
        self.dir.join(&recording.name).exists() || part.is_some_and(|part| part.exists())
    }

    /// Gives every complete file its final form, and tells of it.
    async fn finish_all(&self, studio: &Studio) {
        let state = RecordingState::Finishing;
        let most = limits::RECORDINGS_AT_ONCE;
        loop {
            let found = self.store.read(move |store| store.recordings_in(state, most)).await;
            let found =
                found.inspect_err(|error| tracing::error!(%error, "the index")).unwrap_or_default();
            let mut is_stuck = true;
            for recording in found {
                is_stuck &= !self.finish(studio, recording).await;
            }
            if is_stuck {
                return;
            }
        }
    }

    /// True when it is finished.
    async fn finish(&self, studio: &Studio, recording: Recording) -> bool {
        let dir = self.dir.clone();
        if !dir.join(&recording.name).exists() {
            // Its recorder is about to name it, or was killed there.
            self.recover(recording).await;
            return false;
        }
        let whole = file(&recording);
        let finished = in_the_background(move |stop| {
            let finished = output::finish_recording(&dir, &whole, stop);
            if let (Err(reason), false) = (&finished, stop.is_stopped()) {
                tracing::warn!(reason, name = whole.name, "a recording stays in fragments");
            }
            // It plays as it is.
            finished.or_else(|reason| match stop.is_stopped() {
                true => Err(reason),
                false => Ok(output::recording_as_it_is(&dir, whole)),
            })
        });
        let Some(Ok(file)) = finished.await else { return false };
        let of = (recording.caster, recording.stream);
        let recording = row(of, file, RecordingState::Finished);
        if !self.write(Entry::Recording(recording.clone())).await {
            return false;
        }
        let Recording { name, duration_ms, bytes, .. } = &recording;
        tracing::info!(name, duration_ms, bytes, "a recording is finished");
        studio.recorded(recording);
        true
    }

    /// Lets go of what is too old or too much, the oldest first.
    async fn sweep(&self) {
        let keep_ms = |keep: Duration| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let most = limits::RECORDINGS_AT_ONCE;
        loop {
            if self.keep.is_none() && self.keep_bytes.is_none() {
                return;
            }
            let read = move |store: &Store| {
                let finished = store.recordings_in(RecordingState::Finished, most)?;
                Ok((store.recorded_bytes()?, finished))
            };
            let Ok((mut bytes, finished)) = self.store.read(read).await else { return };
            let mut count = 0;
            for recording in finished {
                let ended_ms = recording.end_unix_ms();
                let is_old =
                    self.keep.is_some_and(|keep| ended_ms + keep_ms(keep) < time::unix_ms());
                if !is_old && self.keep_bytes.is_none_or(|most| bytes <= most) {
                    return;
                }
                bytes = bytes.saturating_sub(recording.bytes);
                tracing::info!(name = recording.name, "a recording is kept no longer");
                if self.remove(recording).await.is_err() {
                    return;
                }
                count += 1;
            }
            if count < most {
                return;
            }
        }
    }

    async fn remove(&self, recording: Recording) -> Result<(), Refused> {
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
            Ask::Find(id) => {
                let recording = self.find(id).await?;
                if recording.state == RecordingState::Recording {
                    return Ok(Found::One(Box::new(recording), Vec::new()));
                }
                let (dir, name, format) =
                    (self.dir.clone(), recording.name.clone(), recording.format);
                let names = tokio::task::spawn_blocking(move || {
                    let names = output::recording_files(&dir, &name, format);
                    names.map(|names| names.iter().map(|name| dir.join(name)).collect())
                });
                let files = names.await.map_err(internal)?.map_err(internal)?;
                Ok(Found::One(Box::new(recording), files))
            }
            Ask::Delete(id) => {
                let recording = self.find(id).await?;
                if recording.state != RecordingState::Finished {
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
