//! The upload of one recording: what has not arrived is sent, its main file last.
//!
//! Must not know when it is tried again. Invariants: what has arrived is known on disk before the next part of it counts on
//! it, and is not sent again; nothing of somebody else's is overwritten; so many parts as [`PARTS_AT_ONCE`] are in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::place::ObjectPlace;
use super::{Counts, Trouble};
use crate::api::bucket::{Bucket, Failure, NewObject, ObjectFacts};
use crate::ids::RecordingId;
use crate::limits::{PARTS_AT_ONCE, UPLOAD_PART_BYTES, UPLOAD_PARTS};
use crate::recording::RecordFormat;
use crate::store::{Entry, Keeper, Sent, Uploaded};

/// MIME type of a segment of a playlist.
const SEGMENT_KIND: &str = "video/mp2t";

/// How a transfer ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All of it has arrived.
    Arrived,
    /// There is something of that name that is not its own.
    Taken,
}

/// The upload of one recording.
pub(super) struct Transfer {
    pub(super) id: RecordingId,
    pub(super) format: RecordFormat,
    pub(super) place: ObjectPlace,
    pub(super) bucket: Bucket,
    pub(super) dir: PathBuf,
    pub(super) store: Arc<Keeper>,
    pub(super) counts: Arc<Counts>,
    /// One for each part in memory.
    pub(super) permits: Arc<Semaphore>,
}

/// What is known of a file of it.
#[derive(Default)]
struct Known {
    is_whole: bool,
    upload: Option<String>,
    tags: BTreeMap<u32, String>,
}

fn known(all: Vec<Uploaded>) -> BTreeMap<u32, Known> {
    let mut files = BTreeMap::<u32, Known>::new();
    for Uploaded { file, sent } in all {
        let known = files.entry(file).or_default();
        match sent {
            Sent::Whole => known.is_whole = true,
            Sent::Begun(upload) => known.upload = Some(upload),
            Sent::Part(number, tag) => drop(known.tags.insert(number, tag)),
        }
    }
    files
}

/// Bytes of the parts of a file of this length: the same whenever it is asked.
fn part_bytes(length: u64) -> u64 {
    UPLOAD_PART_BYTES.max(length.div_ceil(UPLOAD_PARTS))
}

/// One file of it.
#[derive(Clone)]
struct File {
    number: u32,
    key: String,
    kind: &'static str,
    path: PathBuf,
    length: u64,
}

impl Transfer {
    /// Sends what has not arrived of these files, whose last is the main one.
    pub(super) async fn run(self: Arc<Self>, mut names: Vec<String>) -> Result<Ended, Trouble> {
        let id = self.id.clone();
        let all = self.store.read(move |store| store.uploaded(&id)).await?;
        let mut known = known(all);
        let Some(main) = names.pop() else { return Ok(Ended::Arrived) };
        let segments = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let mut sending = JoinSet::new();
        for (number, name) in (0..).zip(names) {
            let known = known.remove(&number).unwrap_or_default();
            if known.is_whole {
                continue;
            }
            if sending.len() >= PARTS_AT_ONCE
                && let Some(sent) = sending.join_next().await
                && sent?? == Ended::Taken
            {
                return Ok(Ended::Taken);
            }
            let file = self.file(number, &name, SEGMENT_KIND).await?;
            sending.spawn(Arc::clone(&self).send(file, known));
        }
        while let Some(sent) = sending.join_next().await {
            if sent?? == Ended::Taken {
                return Ok(Ended::Taken);
            }
        }
        let known = known.remove(&segments).unwrap_or_default();
        if known.is_whole {
            return Ok(Ended::Arrived);
        }
        let file = self.file(segments, &main, self.format.mime()).await?;
        self.send(file, known).await
    }

    async fn file(&self, number: u32, name: &str, kind: &'static str) -> Result<File, Trouble> {
        let path = self.dir.join(name);
        let found = tokio::fs::metadata(&path).await;
        let length = found.map_err(|error| Trouble::file(&path, &error))?.len();
        Ok(File { number, key: self.place.key(name), kind, path, length })
    }

    async fn send(self: Arc<Self>, file: File, known: Known) -> Result<Ended, Trouble> {
        if known.upload.is_none() {
            // It may have arrived just before the process was killed, or somebody else's may be there.
            match self.bucket.facts(&file.key).await? {
                None => {}
                Some(found) if self.is_own(&found, file.length) => {
                    self.note(file.number, Sent::Whole).await?;
                    return Ok(Ended::Arrived);
                }
                Some(found) if found.owner.as_deref() == Some(self.id.as_str()) => {}
                Some(_) => return Ok(Ended::Taken),
            }
        }
        if file.length <= UPLOAD_PART_BYTES {
            let _permit = self.permits.acquire().await;
            let content = read(&file.path, (0, file.length)).await?;
            self.bucket.put(self.object(&file), content).await?;
            self.counts.bytes.fetch_add(file.length, Ordering::Relaxed);
        } else if let Err(trouble) = Arc::clone(&self).send_parts(&file, known).await {
            if trouble != Trouble::Storage(Failure::NotThere) {
                return Err(trouble);
            }
            // The storage has forgotten the upload, perhaps because it is complete.
            let found = self.bucket.facts(&file.key).await?;
            if !found.is_some_and(|found| self.is_own(&found, file.length)) {
                let lost = Entry::UploadLost(self.id.clone(), file.number);
                self.store.write(vec![lost]).await?;
                let message = "the upload is not known any more, it begins anew".to_owned();
                return Err(Trouble::Storage(Failure::Away(message)));
            }
        }
        self.note(file.number, Sent::Whole).await?;
        Ok(Ended::Arrived)
    }

    fn object<'a>(&'a self, file: &'a File) -> NewObject<'a> {
        NewObject { key: &file.key, kind: file.kind, owner: self.id.as_str() }
    }

    fn is_own(&self, found: &ObjectFacts, length: u64) -> bool {
        found.owner.as_deref() == Some(self.id.as_str()) && found.bytes == length
    }

    async fn note(&self, file: u32, sent: Sent) -> Result<(), Trouble> {
        let entry = Entry::Uploaded(self.id.clone(), Uploaded { file, sent });
        Ok(self.store.write(vec![entry]).await?)
    }

    async fn send_parts(self: Arc<Self>, file: &File, known: Known) -> Result<(), Trouble> {
        let Known { upload, mut tags, .. } = known;
        let upload = match upload {
            Some(upload) => upload,
            None => {
                let upload = self.bucket.begin(self.object(file)).await?;
                self.note(file.number, Sent::Begun(upload.clone())).await?;
                upload
            }
        };
        let bytes = part_bytes(file.length);
        let count = u32::try_from(file.length.div_ceil(bytes)).unwrap_or(u32::MAX);
        let mut sending = JoinSet::new();
        for number in 1..=count {
            if tags.contains_key(&number) {
                continue;
            }
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            while let Some(sent) = sending.try_join_next() {
                let (number, tag) = sent??;
                tags.insert(number, tag);
            }
            let (transfer, file, upload) = (Arc::clone(&self), file.clone(), upload.clone());
            sending.spawn(async move {
                let _permit = permit;
                let tag = transfer.send_part(&file, &upload, number).await?;
                Ok::<_, Trouble>((number, tag))
            });
        }
        while let Some(sent) = sending.join_next().await {
            let (number, tag) = sent??;
            tags.insert(number, tag);
        }
        let tags = tags.into_values().collect();
        Ok(self.bucket.complete((&file.key, &upload), tags).await?)
    }

    async fn send_part(&self, file: &File, upload: &str, number: u32) -> Result<String, Trouble> {
        let bytes = part_bytes(file.length);
        let first = bytes * u64::from(number - 1);
        let count = bytes.min(file.length - first);
        let content = read(&file.path, (first, count)).await?;
        let tag = self.bucket.put_part((&file.key, upload), number, content).await?;
        self.note(file.number, Sent::Part(number, tag.clone())).await?;
        self.counts.bytes.fetch_add(count, Ordering::Relaxed);
        Ok(tag)
    }
}

/// So many bytes of a file from a first one on.
async fn read(path: &Path, (first, count): (u64, u64)) -> Result<Bytes, Trouble> {
    use std::io::{Read, Seek, SeekFrom};
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let read = || {
            let mut file = std::fs::File::open(&path)?;
            file.seek(SeekFrom::Start(first))?;
            let mut content = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
            file.read_exact(&mut content)?;
            Ok(Bytes::from(content))
        };
        read().map_err(|error| Trouble::file(&path, &error))
    });
    reading.await?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_fits_into_the_parts_that_there_may_be() {
        for (length, bytes, parts) in [
            (UPLOAD_PART_BYTES + 1, UPLOAD_PART_BYTES, 2),
            (UPLOAD_PART_BYTES * UPLOAD_PARTS, UPLOAD_PART_BYTES, UPLOAD_PARTS),
            (UPLOAD_PART_BYTES * UPLOAD_PARTS + 1, UPLOAD_PART_BYTES + 1, UPLOAD_PARTS),
            (5 << 40, (5_u64 << 40).div_ceil(10_000), UPLOAD_PARTS),
        ] {
            assert_eq!(part_bytes(length), bytes);
            assert!(length.div_ceil(bytes) <= parts, "{length}");
        }
    }
}
