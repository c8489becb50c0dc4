//! Files that an earlier process left as they were written, perhaps on a disk that was full: their final form is tried once more
//! before they are sent.
//!
//! Must not know containers. Invariant: a file of which something was sent does not change any more.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use super::{Trouble, Uploads};
use crate::app::recordings::shaped_after_all;
use crate::ids::RecordingId;
use crate::recording::{Recording, RecordingState};
use crate::store::Entry;

impl Uploads {
    fn fragments(&self) -> MutexGuard<'_, BTreeSet<RecordingId>> {
        self.fragments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks which there are; those that this process leaves so have their turn with the next.
    pub(super) async fn look_for_fragments(&self) {
        let state = RecordingState::Uploading;
        let left = self.store.read(move |store| store.recordings_as_written(state)).await;
        let left = left.inspect_err(|error| tracing::error!(%error, "the index"));
        *self.fragments() = left.unwrap_or_default().into_iter().map(|left| left.id).collect();
    }

    /// The recording as it is to be sent: in its final form, if it is one of these and can have it.
    pub(super) async fn shaped(&self, recording: Recording) -> Result<Recording, Trouble> {
        if !self.fragments().remove(&recording.id) {
            return Ok(recording);
        }
        let id = recording.id.clone();
        if !self.store.read(move |store| store.uploaded(&id)).await?.is_empty() {
            return Ok(recording);
        }
        let Some(shaped) = shaped_after_all(&self.dir, &recording).await else {
            return Ok(recording);
        };
        self.store.write(vec![Entry::Recording(shaped.clone())]).await?;
        Ok(shaped)
    }
}
