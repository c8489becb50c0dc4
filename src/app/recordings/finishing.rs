//! What is still to be done with recorded files: their names, their final form.
//!
//! Must not know who records. Invariants: what cannot be done now is tried again, and said once; a file plays all the while.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Origin, Recordings, file, in_the_background, row};
use crate::app::studio::Studio;
use crate::ids::RecordingId;
use crate::limits;
use crate::output::{self, RecordedFile, Recovered};
use crate::recording::{Recording, RecordingState};
use crate::store::{Entry, Page, Store};

/// Recordings that cannot be finished now, and why; of those beyond [`limits::RECORDINGS_AT_ONCE`] it is not said why.
#[derive(Debug, Default)]
pub(super) struct Stuck(Mutex<BTreeMap<RecordingId, String>>);

impl Stuck {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RecordingId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is one.
    pub(super) fn is_any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// True when that is news.
    fn add(&self, id: &RecordingId, why: &str) -> bool {
        let mut stuck = self.lock();
        if stuck.len() >= limits::RECORDINGS_AT_ONCE && !stuck.contains_key(id) {
            return false;
        }
        stuck.insert(id.clone(), why.to_owned()).as_deref() != Some(why)
    }

    fn remove(&self, id: &RecordingId) {
        self.lock().remove(id);
    }
}

/// What came of a file.
enum Form {
    /// Its final one.
    Final(RecordedFile),
    /// It plays as it was written.
    AsWritten(RecordedFile),
    /// The disk takes no changes, for this reason: what was begun has to be ended later.
    Later(String),
}

/// Gives a file its final form, if it can be had; none when there is no time for that.
async fn shaped(dir: &Path, recording: &Recording) -> Option<Form> {
    let (dir, whole) = (dir.to_owned(), file(recording));
    let shaped =
        in_the_background(move |stop| match output::finish_recording(&dir, &whole, stop) {
            Ok(file) => Some(Form::Final(file)),
            Err(_) if stop.is_stopped() => None,
            Err(reason) if output::is_half_finished(&dir, &whole) => Some(Form::Later(reason)),
            Err(reason) => {
                tracing::warn!(reason, name = whole.name, "a recording stays in fragments");
                Some(Form::AsWritten(output::recording_as_it_is(&dir, whole)))
            }
        });
    shaped.await?
}

/// Tries once more to give one its final form that stayed as it was written; what it is then, if it has it.
pub(in crate::app) async fn shaped_after_all(
    dir: &Path,
    recording: &Recording,
) -> Option<Recording> {
    let Some(Form::Final(file)) = shaped(dir, recording).await else { return None };
    let finished = row(Origin::of(recording), file, recording.state);
    tracing::info!(name = finished.name, "a recording has its final form after all");
    Some(finished)
}

impl Recordings {
    /// Gives a file that was left behind its name; the index knows it before. True when there is no more to be done to that end.
    pub(super) async fn recover(&self, left: Recording) -> bool {
        let (dir, store) = (self.dir.clone(), Arc::clone(&self.store));
        let (found, of) = (file(&left), Origin::of(&left));
        let recovered = in_the_background(move |_| {
            let mut is_known = true;
            let recovered = output::recover_recording(&dir, &found, |file| {
                let row = row(of, file.clone(), RecordingState::Finishing);
                let entry = vec![Entry::Recording(row)];
                is_known = store.write_within(entry, limits::RECORD_INDEX_WAIT);
                if !is_known {
                    tracing::warn!("the index of recordings is late");
                }
            });
            recovered.map(|recovered| (recovered, is_known))
        });
        match recovered.await {
            Some(Ok((Recovered::File(file), is_known))) => {
                tracing::info!(name = file.name, "a recording that was broken off is finished");
                self.stuck.remove(&left.id);
                is_known
            }
            // Its recorder is at it, or was a moment ago.
            Some(Ok((Recovered::Nothing, _))) if self.is_there(&left) => {
                self.stuck.add(&left.id, "somebody has it");
                false
            }
            Some(Ok((Recovered::Empty | Recovered::Nothing, _))) => {
                tracing::warn!(name = left.name, "there is nothing to play of a recording");
                self.stuck.remove(&left.id);
                self.write(Entry::RecordingGone(left.id)).await
            }
            Some(Err(error)) => {
                if self.stuck.add(&left.id, &error.to_string()) {
                    tracing::warn!(%error, name = left.name, "stays unfinished");
                }
                false
            }
            None => false,
        }
    }

    /// Whether there is a file of it, under any of its names.
    fn is_there(&self, recording: &Recording) -> bool {
        let part = recording.part.as_ref().map(|part| self.dir.join(format!("{part}.part")));
        self.dir.join(&recording.name).exists() || part.is_some_and(|part| part.exists())
    }

    /// Gives every complete file its final form, and tells of it. Those that cannot have it now keep no other from it.
    pub(super) async fn finish_all(&self, studio: &Studio) {
        let mut is_stuck = false;
        while !is_stuck {
            is_stuck = true;
            let mut page = Some(Page::first(limits::RECORDINGS_AT_ONCE));
            while let Some(here) = page {
                let of = here.clone();
                let read = move |store: &Store| store.recordings_in(RecordingState::Finishing, &of);
                let found = self.store.read(read).await;
                let found = found.inspect_err(|error| tracing::error!(%error, "the index"));
                let found = found.unwrap_or_default();
                page = here.next(&found);
                for recording in found {
                    is_stuck &= !self.finish(studio, recording).await;
                }
            }
        }
    }

    /// True when that brought it further.
    async fn finish(&self, studio: &Studio, recording: Recording) -> bool {
        if !self.dir.join(&recording.name).exists() {
            // Its recorder is about to name it, or was killed there, or could not.
            return self.recover(recording).await;
        }
        let (part, file) = match shaped(&self.dir, &recording).await {
            Some(Form::Final(file)) => (None, file),
            Some(Form::AsWritten(file)) => (recording.part.clone(), file),
            Some(Form::Later(reason)) => {
                if self.stuck.add(&recording.id, &reason) {
                    tracing::warn!(reason, name = recording.name, "stays unfinished");
                }
                return false;
            }
            None => return false,
        };
        let of = Origin::of(&recording);
        let state = match of.place {
            Some(_) => RecordingState::Uploading,
            None => RecordingState::Finished,
        };
        let recording = Recording { part, ..row(of, file, state) };
        if !self.write(Entry::Recording(recording.clone())).await {
            return false;
        }
        self.stuck.remove(&recording.id);
        let Recording { name, duration_ms, bytes, .. } = &recording;
        tracing::info!(name, duration_ms, bytes, "a recording is finished");
        studio.recorded(recording);
        if let Some(uploads) = &self.uploads {
            uploads.wake();
        }
        true
    }

    /// Tries once more to give those on the disk alone their final form that stayed as they were written, perhaps on a disk that
    /// was full. Whoever uploads the others tries it too.
    pub(super) async fn finish_fragments(&self) {
        let read = |store: &Store| store.recordings_as_written(RecordingState::Finished);
        for left in self.store.read(read).await.unwrap_or_default() {
            let _one_at_a_time = self.changing.lock().await;
            // It may be gone meanwhile.
            let id = left.id.clone();
            let found = self.store.read(move |store| store.recording(&id)).await;
            let Ok(Some(recording)) = found else { continue };
            if let Some(finished) = shaped_after_all(&self.dir, &recording).await {
                self.write(Entry::Recording(finished)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_unfinished_is_said_once_for_each_reason() {
        let (stuck, ids) = (Stuck::default(), [(); 2].map(|()| RecordingId::random()));
        for (index, why, is_news) in
            [(0, "full", true), (0, "full", false), (1, "full", true), (0, "read only", true)]
        {
            assert_eq!(stuck.add(&ids[index], why), is_news, "{index} {why}");
        }
        ids.iter().for_each(|id| stuck.remove(id));
        assert!(!stuck.is_any());
        let many = [(); limits::RECORDINGS_AT_ONCE].map(|()| RecordingId::random());
        assert!(many.iter().all(|id| stuck.add(id, "full")));
        // There are more than are told of: nothing is said over and over.
        assert!(!stuck.add(&ids[0], "full") && many.iter().all(|id| !stuck.add(id, "full")));
    }
}
