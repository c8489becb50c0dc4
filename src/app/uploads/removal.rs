//! What recordings leave behind: local files of those that are stored, and all that is in object storage of those that go.
//!
//! Must not know who asks. Invariants: a main file goes last, so that what is left can be found again; nothing of somebody
//! else's goes.

use super::{ObjectPlace, Removal, Uploads};
use crate::api::bucket::{Bucket, Failure};
use crate::config::KeepLocal;
use crate::limits;
use crate::output;
use crate::recording::{RecordFormat, Recording, RecordingState};
use crate::store::{Page, Sent};

impl Uploads {
    pub(super) async fn remove_local(&self, stored: &Recording) {
        let (dir, name, format) = (self.dir.clone(), stored.name.clone(), stored.format);
        let removed =
            tokio::task::spawn_blocking(move || output::remove_recording(&dir, &name, format));
        match removed.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, name = stored.name, "stays on the disk too"),
            Err(error) => tracing::error!(%error, "the files of a stored recording"),
        }
    }

    /// Removes files of stored recordings that a process did not come to remove.
    pub(super) async fn let_go_of_local_files(&self) {
        if self.storage.keep_local == KeepLocal::Always {
            return;
        }
        let state = RecordingState::Stored;
        let stored = self.store.read(move |store| store.recordings_in(state, &Page::whole())).await;
        for recording in stored.unwrap_or_default() {
            if self.dir.join(&recording.name).exists() {
                self.remove_local(&recording).await;
            }
        }
    }

    pub(super) async fn answer(&self, Removal { recording, reply }: Removal) {
        let removed = self.clear(&recording).await;
        // Who asked may have left.
        let _ = reply.send(removed);
    }

    /// Removes what there is of a recording in the storage, its main file last.
    pub(super) async fn clear(&self, recording: &Recording) -> Result<(), String> {
        let Some(place) = ObjectPlace::of(recording) else { return Ok(()) };
        let bucket = self.bucket(&place);
        let bucket =
            bucket.ok_or_else(|| format!("bucket {} is not configured any more", place.bucket))?;
        let told = |failure: Failure| format!("bucket {}: {failure}", place.bucket);
        let id = recording.id.clone();
        let read = self.store.read(move |store| store.uploaded(&id)).await;
        let sent = read.map_err(|error| error.to_string())?;
        let names = self.names(recording, bucket).await.map_err(told)?;
        let mut keys = Vec::new();
        for (number, name) in (0..).zip(&names) {
            let key = place.key(name);
            let mut of_file = sent.iter().filter(|sent| sent.file == number).map(|sent| &sent.sent);
            let is_whole = of_file.clone().any(|sent| *sent == Sent::Whole);
            let begun = of_file.find_map(|sent| match sent {
                Sent::Begun(upload) if !is_whole => Some(upload),
                _ => None,
            });
            if let Some(upload) = begun {
                match bucket.abort((&key, upload)).await {
                    Ok(()) | Err(Failure::NotThere) => {}
                    Err(failure) => return Err(told(failure)),
                }
            }
            let is_own = || async {
                let found = bucket.facts(&key).await.map_err(told)?;
                let owner = found.and_then(|found| found.owner);
                Ok::<_, String>(owner.as_deref() == Some(recording.id.as_str()))
            };
            if is_whole || recording.state == RecordingState::Stored || is_own().await? {
                keys.push(key);
            }
        }
        let main = keys.pop_if(|key| names.last().is_some_and(|name| *key == place.key(name)));
        bucket.delete(&keys).await.map_err(told)?;
        bucket.delete(main.as_slice()).await.map_err(told)
    }

    /// The names of all that a recording consists of, its main file last.
    async fn names(&self, recording: &Recording, bucket: &Bucket) -> Result<Vec<String>, Failure> {
        let (dir, name, format) = (self.dir.clone(), recording.name.clone(), recording.format);
        let local =
            tokio::task::spawn_blocking(move || output::recording_files(&dir, &name, format));
        if let Ok(Ok(names)) = local.await {
            return Ok(names);
        }
        match self.stored_names(recording, bucket).await {
            Err(Failure::NotThere) => Ok(vec![recording.name.clone()]),
            names => names,
        }
    }

    /// The same by what is stored.
    pub(in crate::app) async fn stored_names(
        &self,
        recording: &Recording,
        bucket: &Bucket,
    ) -> Result<Vec<String>, Failure> {
        let main = recording.name.clone();
        if recording.format != RecordFormat::Hls {
            return Ok(vec![main]);
        }
        let key = ObjectPlace::of(recording).map(|place| place.key(&main)).unwrap_or_default();
        let text = bucket.text(&key, limits::MAX_STORED_PLAYLIST_BYTES).await?;
        Ok(output::playlist_files(&main, &text))
    }
}
