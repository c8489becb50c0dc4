//! Where a recording is in object storage.
//!
//! Must not know requests. Invariant: the key of the main file ends in its name, and those of its segments begin alike.

use crate::recording::Recording;

/// The bucket of a recording, and what the keys of all its files begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) struct ObjectPlace {
    pub(in crate::app) bucket: String,
    /// Ends in a slash, or is empty.
    pub(in crate::app) base: String,
}

impl ObjectPlace {
    /// Where this one is, or goes; `None` when it stays on the disk.
    pub(in crate::app) fn of(recording: &Recording) -> Option<ObjectPlace> {
        let (bucket, key) = recording.uri.as_ref()?.strip_prefix("s3://")?.split_once('/')?;
        let base = key.strip_suffix(&recording.name)?;
        Some(ObjectPlace { bucket: bucket.to_owned(), base: base.to_owned() })
    }

    /// Of a file of this name.
    pub(in crate::app) fn uri(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.base)
    }

    /// Of a file of this name.
    pub(in crate::app) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// Beside what is there already under the same names.
    pub(in crate::app) fn beside(&self, recording: &Recording) -> ObjectPlace {
        let base = format!("{}{}/", self.base, recording.id);
        ObjectPlace { bucket: self.bucket.clone(), base }
    }
}
