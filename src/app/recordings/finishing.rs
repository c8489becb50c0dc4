//! What is still to be done with recorded files: their names, their final form.
//!
//! Must not know who records. Invariants: what cannot be done now is tried again, and said once; a file plays all the while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Origin, Recordings, file, in_the_background, row};
use crate::app::studio::Studio;
use crate::ids::RecordingId;
use crate::limits;
use crate::output::{self, RecordedFile, Recovered};
use crate::recording::{Recording, RecordingState};
use crate::store::Entry;

/// Recordings that cannot be finished now, and why: as many as are looked at at once.
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
        if stuck.len() >= limits::RECORDINGS_AT_ONCE {
            stuck.pop_first();
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

    /// Gives every complete file its final form, and tells of it.
    pub(super) async fn finish_all(&self, studio: &Studio) {
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

    /// True when that brought it further.
    async fn finish(&self, studio: &Studio, recording: Recording) -> bool {
        if !self.dir.join(&recording.name).exists() {
            // Its recorder is about to name it, or was killed there, or could not.
            return self.recover(recording).await;
        }
        let (part, file) = match self.shaped(&recording).await {
            Some(Form::Final(file)) => (None, file),
            Some(Form::AsWritten(file)) => (recording.part.clone(), file),
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

    /// Gives a file its final form, if it can be had; none when there is no time for that.
    async fn shaped(&self, recording: &Recording) -> Option<Form> {
        let (dir, whole) = (self.dir.clone(), file(recording));
        let shaped =
            in_the_background(move |stop| match output::finish_recording(&dir, &whole, stop) {
                Ok(file) => Some(Form::Final(file)),
                Err(_) if stop.is_stopped() => None,
                Err(reason) => {
                    tracing::warn!(reason, name = whole.name, "a recording stays in fragments");
                    Some(Form::AsWritten(output::recording_as_it_is(&dir, whole)))
                }
            });
        shaped.await?
    }

    /// Tries once more to give those their final form that stayed as they were written, perhaps on a disk that was full.
    pub(super) async fn finish_fragments(&self) {
        let found = self.store.read(|store| store.recordings_as_written()).await;
        for left in found.unwrap_or_default() {
            let _one_at_a_time = self.changing.lock().await;
            // It may be gone meanwhile.
            let id = left.id.clone();
            let found = self.store.read(move |store| store.recording(&id)).await;
            let Ok(Some(recording)) = found else { continue };
            if let Some(Form::Final(file)) = self.shaped(&recording).await {
                let finished = row(Origin::of(&recording), file, recording.state);
                tracing::info!(name = finished.name, "a recording has its final form after all");
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
    }
}
