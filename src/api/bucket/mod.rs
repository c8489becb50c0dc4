//! Object storage of S3's kind, as a client: what recordings need of it, request by request.
//!
//! The only place that names `object_store`; `connect` carries its requests. Must not know recordings, nor when something
//! is tried again. Invariants: a request is made once, and ends; what goes wrong is told without secrets.

mod connect;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ObjectStore, PutMultipartOptions,
    PutOptions, RetryConfig,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

use crate::config::{BucketStyle, Storage};

/// Metadata of an object: whose it is.
const OWNER: &str = "onair-recording";

/// The buckets of a server.
#[derive(Debug)]
pub struct Buckets(BTreeMap<String, Bucket>);

/// One bucket. Cheap to clone.
#[derive(Clone)]
pub struct Bucket(AmazonS3);

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its own text has the name only, what it is made of the secret.
        write!(f, "{}", self.0)
    }
}

/// Why a request did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody answers, or says that the fault is on that side: it may pass.
    #[error("{0}")]
    Away(String),
    /// The key, the bucket or the request is not accepted: that passes when somebody changes something.
    #[error("{0}")]
    Refused(String),
    /// What the request is about is not there.
    #[error("it is not there")]
    NotThere,
}

/// What an object is, besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    /// Its size.
    pub bytes: u64,
    /// Whose it is, if it says so.
    pub owner: Option<String>,
}

/// What is told of an object when it is made.
#[derive(Clone, Copy, Debug)]
pub struct NewObject<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its MIME type.
    pub kind: &'static str,
    /// Whose it is: visible ASCII characters.
    pub owner: &'a str,
}

impl NewObject<'_> {
    fn attributes(&self) -> Attributes {
        Attributes::from_iter([
            (Attribute::ContentType, self.kind.to_owned()),
            (Attribute::Metadata(OWNER.into()), self.owner.to_owned()),
        ])
    }
}

impl Buckets {
    /// The buckets of this storage. Connects to nothing.
    ///
    /// # Errors
    /// One line that names the setting that is wrong.
    pub fn open(storage: &Storage) -> Result<Buckets, String> {
        let connector = connect::Connector::new(storage.ca.as_deref())?;
        let open = |name: &String| {
            let (scheme, host) = storage.endpoint.split_once("://").unwrap_or(("", ""));
            let (endpoint, is_host_style) = match storage.style {
                BucketStyle::Path => (storage.endpoint.clone(), false),
                BucketStyle::Host => (format!("{scheme}://{name}.{host}"), true),
            };
            let built = AmazonS3Builder::new()
                .with_endpoint(endpoint)
                .with_virtual_hosted_style_request(is_host_style)
                .with_region(&storage.region)
                .with_bucket_name(name)
                .with_access_key_id(&storage.key_id)
                .with_secret_access_key(&storage.key_secret)
                .with_allow_http(true)
                // TLS keeps what it carries whole; signing it once more would only cost time.
                .with_unsigned_payload(scheme == "https")
                // Not every storage can delete many at once.
                .with_disable_bulk_delete(true)
                .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
                .with_http_connector(connector.clone())
                .build();
            let bucket = built.map_err(|error| format!("storage-bucket {name}: {error}"))?;
            Ok((name.clone(), Bucket(bucket)))
        };
        storage.buckets.iter().map(open).collect::<Result<_, String>>().map(Buckets)
    }

    /// The bucket of this name.
    pub fn get(&self, name: &str) -> Option<&Bucket> {
        self.0.get(name)
    }
}

fn path(key: &str) -> Result<Path, Failure> {
    Path::parse(key).map_err(|error| Failure::Refused(error.to_string()))
}

/// What stands between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    text.split_once(begin)?.1.split_once(end).map(|(found, _)| found)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let text = error.to_string();
        let code = between(&text, "<Code>", "</Code>");
        let said = match (code, between(&text, "<Message>", "</Message>")) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            // Before it stands which request it was.
            (None, _) => text.rsplit_once(" - ").map_or(&text[..], |(_, said)| said).to_owned(),
        };
        let is_refused = text.contains("status code: 4");
        let is_denied =
            matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. });
        match (&error, code) {
            // Parts that do not make an upload are as good as none.
            (_, Some("NoSuchUpload" | "NoSuchKey" | "InvalidPart" | "EntityTooSmall")) => {
                Failure::NotThere
            }
            (Error::NotFound { .. }, None) => Failure::NotThere,
            // Those who have too much to do say so by it.
            (_, Some("RequestTimeout" | "SlowDown" | "OperationAborted")) => Failure::Away(said),
            // Who only looks for an object is answered without words.
            (_, None) if is_denied => {
                Failure::Refused("the access key is not accepted, or may not do that".to_owned())
            }
            _ if is_denied || is_refused || code.is_some_and(|code| code.starts_with("NoSuch")) => {
                Failure::Refused(said)
            }
            _ => Failure::Away(said),
        }
    }
}

impl Bucket {
    /// Makes an object of these bytes.
    ///
    /// # Errors
    /// When it is not there afterwards.
    pub async fn put(&self, object: NewObject<'_>, content: Bytes) -> Result<(), Failure> {
        let options = PutOptions { attributes: object.attributes(), ..PutOptions::default() };
        self.0.put_opts(&path(object.key)?, content.into(), options).await?;
        Ok(())
    }

    /// Begins an object that comes in parts; answers the name of the upload.
    ///
    /// # Errors
    /// When it has not begun.
    pub async fn begin(&self, object: NewObject<'_>) -> Result<String, Failure> {
        let attributes = object.attributes();
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        Ok(self.0.create_multipart_opts(&path(object.key)?, options).await?)
    }

    /// Sends a part, counted from 1; answers its tag.
    ///
    /// # Errors
    /// When it has not arrived; [`Failure::NotThere`] when the upload is not known any more.
    pub async fn put_part(
        &self,
        (key, upload): (&str, &str),
        number: u32,
        content: Bytes,
    ) -> Result<String, Failure> {
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let (key, upload) = (path(key)?, upload.to_owned());
        let part = self.0.put_part(&key, &upload, index, content.into()).await?;
        Ok(part.content_id)
    }

    /// Makes the object of its parts, whose tags are in order.
    ///
    /// # Errors
    /// When it is not there; [`Failure::NotThere`] when the upload or a part is not known any more.
    pub async fn complete(
        &self,
        (key, upload): (&str, &str),
        tags: Vec<String>,
    ) -> Result<(), Failure> {
        let parts = tags.into_iter().map(|content_id| PartId { content_id }).collect();
        self.0.complete_multipart(&path(key)?, &upload.to_owned(), parts).await?;
        Ok(())
    }

    /// Gives up an upload: its parts go.
    ///
    /// # Errors
    /// When they may still be there.
    pub async fn abort(&self, (key, upload): (&str, &str)) -> Result<(), Failure> {
        Ok(self.0.abort_multipart(&path(key)?, &upload.to_owned()).await?)
    }

    /// What is there under this key, if anything is.
    ///
    /// # Errors
    /// When that cannot be learned.
    pub async fn facts(&self, key: &str) -> Result<Option<ObjectFacts>, Failure> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.0.get_opts(&path(key)?, options).await.map_err(Failure::from) {
            Ok(found) => {
                let owner = found.attributes.get(&Attribute::Metadata(OWNER.into()));
                let owner = owner.map(|value| value.to_string());
                Ok(Some(ObjectFacts { bytes: found.meta.size, owner }))
            }
            Err(Failure::NotThere) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Hands on these bytes of an object, piece by piece, until they end or nobody takes them.
    ///
    /// # Errors
    /// When they are not all there; what came was handed on.
    pub async fn read(
        &self,
        key: &str,
        bytes: Range<u64>,
        to: &mpsc::Sender<io::Result<Bytes>>,
    ) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(bytes)), ..GetOptions::default() };
        let mut pieces = self.0.get_opts(&path(key)?, options).await?.into_stream();
        while let Some(piece) = pieces.next().await {
            if to.send(Ok(piece?)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The text of an object.
    ///
    /// # Errors
    /// When it is larger than this, or cannot be had.
    pub async fn text(&self, key: &str, most_bytes: u64) -> Result<String, Failure> {
        let bytes = self.facts(key).await?.ok_or(Failure::NotThere)?.bytes;
        if bytes > most_bytes {
            return Err(Failure::Refused(format!("{key} has {bytes} bytes, at most {most_bytes}")));
        }
        let (pieces, mut came) = mpsc::channel::<io::Result<Bytes>>(1);
        let mut text = Vec::new();
        let gather = async {
            while let Some(Ok(piece)) = came.recv().await {
                text.extend_from_slice(&piece);
            }
        };
        let read = async {
            let pieces = pieces;
            self.read(key, 0..bytes, &pieces).await
        };
        let (read, ()) = tokio::join!(read, gather);
        read?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Removes objects, side by side. What is gone already is no fault.
    ///
    /// # Errors
    /// When one of them may still be there.
    pub async fn delete(&self, keys: &[String]) -> Result<(), Failure> {
        let paths: Vec<Path> = keys.iter().map(|key| path(key)).collect::<Result<_, _>>()?;
        let paths = tokio_stream::iter(paths.into_iter().map(Ok));
        let mut deleted = self.0.delete_stream(Box::pin(paths));
        while let Some(one) = deleted.next().await {
            match one.map_err(Failure::from) {
                Ok(_) | Err(Failure::NotThere) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }
}
