//! Where finished recordings are sent: the table `[storage]` of the configuration.
//!
//! Must not know requests or files. Invariants: what leaves here has an endpoint, a bucket and a key; the secret is in no
//! `Debug` text.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use url::Url;

/// Longest name of a bucket (S3's rules for names).
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;

/// Object storage that recordings go to; nothing of it is given, or at least endpoint, bucket and key.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StorageSettings {
    /// S3-compatible object storage that finished recordings go to: its URL, http or https [default: none].
    #[arg(id = "storage_endpoint", long = "storage-endpoint", env = "ONAIR_STORAGE_ENDPOINT")]
    pub endpoint: Option<String>,
    /// Region that requests are signed for [default: us-east-1].
    #[arg(id = "storage_region", long = "storage-region", env = "ONAIR_STORAGE_REGION")]
    pub region: Option<String>,
    /// Bucket of recordings whose caster names none.
    #[arg(id = "storage_bucket", long = "storage-bucket", env = "ONAIR_STORAGE_BUCKET")]
    pub bucket: Option<String>,
    /// Further buckets that OssBucket may name: NAME,… [default: none].
    #[arg(id = "storage_buckets", long = "storage-buckets", env = "ONAIR_STORAGE_BUCKETS")]
    pub buckets: Option<String>,
    /// What keys of objects begin with, before the name of the recording [default: nothing].
    #[arg(id = "storage_prefix", long = "storage-prefix", env = "ONAIR_STORAGE_PREFIX")]
    pub prefix: Option<String>,
    /// Access key id of the object storage.
    #[arg(id = "storage_key_id", long = "storage-key-id", env = "ONAIR_STORAGE_KEY_ID")]
    pub key_id: Option<String>,
    /// Its secret; better given by variable or file than by flag.
    #[arg(
        id = "storage_key_secret",
        long = "storage-key-secret",
        env = "ONAIR_STORAGE_KEY_SECRET",
        hide_env_values = true
    )]
    pub key_secret: Option<String>,
    /// Where requests name the bucket: in the path, or before the host's name [default: path].
    #[arg(id = "storage_style", long = "storage-style", env = "ONAIR_STORAGE_STYLE")]
    pub style: Option<BucketStyle>,
    /// How long a recording stays on the disk too [default: until-uploaded].
    #[arg(
        id = "storage_keep_local",
        long = "storage-keep-local",
        env = "ONAIR_STORAGE_KEEP_LOCAL"
    )]
    pub keep_local: Option<KeepLocal>,
    /// Certificate authorities (PEM) that vouch for the object storage, in the place of the system's.
    #[arg(id = "storage_ca", long = "storage-ca", env = "ONAIR_STORAGE_CA")]
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for StorageSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageSettings").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Where requests name the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketStyle {
    /// `https://HOST/BUCKET/KEY`
    Path,
    /// `https://BUCKET.HOST/KEY`
    Host,
}

/// How long a recording that goes to object storage stays on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepLocal {
    /// It is removed when it is stored.
    UntilUploaded,
    /// As long as the recording is kept at all.
    Always,
}

/// Object storage that recordings go to.
#[derive(Clone, PartialEq, Eq)]
pub struct Storage {
    /// URL without a path: scheme, host, port.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Every bucket, the one of recordings whose caster names none first.
    pub buckets: Vec<String>,
    /// What keys begin with: empty, or ends in a slash.
    pub prefix: String,
    /// Access key id.
    pub key_id: String,
    /// Its secret.
    pub key_secret: String,
    /// Where requests name the bucket.
    pub style: BucketStyle,
    /// How long files stay on the disk too.
    pub keep_local: KeepLocal,
    /// Certificate authorities in the place of the system's.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = (&self.endpoint, &self.buckets, &self.prefix, &self.key_id);
        f.debug_tuple("Storage").field(&shown).finish()
    }
}

impl StorageSettings {
    /// These, and those of `file` for what is not given.
    pub(super) fn or(self, file: StorageSettings) -> StorageSettings {
        StorageSettings {
            endpoint: self.endpoint.or(file.endpoint),
            region: self.region.or(file.region),
            bucket: self.bucket.or(file.bucket),
            buckets: self.buckets.or(file.buckets),
            prefix: self.prefix.or(file.prefix),
            key_id: self.key_id.or(file.key_id),
            key_secret: self.key_secret.or(file.key_secret),
            style: self.style.or(file.style),
            keep_local: self.keep_local.or(file.keep_local),
            ca: self.ca.or(file.ca),
        }
    }

    pub(super) fn checked(self) -> Result<Option<Storage>, String> {
        let Some(endpoint) = self.endpoint else {
            let others = [&self.bucket, &self.buckets, &self.key_id, &self.key_secret];
            if others.iter().any(|other| other.is_some()) {
                return Err("storage-bucket and storage-key-… need storage-endpoint".into());
            }
            return Ok(None);
        };
        let needs = |what: &str| format!("storage-endpoint needs storage-{what} too");
        let first = self.bucket.ok_or_else(|| needs("bucket"))?;
        let further = self.buckets.unwrap_or_default();
        let further = further.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut buckets: Vec<String> = Vec::new();
        for name in std::iter::once(first.as_str()).chain(further) {
            let is_word =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
            if !BUCKET_CHARS.contains(&name.len()) || !name.chars().all(is_word) {
                return Err(format!("storage-bucket {name:?} is no name of a bucket"));
            }
            if !buckets.iter().any(|other| other == name) {
                buckets.push(name.to_owned());
            }
        }
        let prefix = self.prefix.unwrap_or_default();
        let prefix = prefix.trim_matches('/');
        if prefix.chars().any(char::is_control)
            || prefix.split('/').any(|part| matches!(part, "." | ".."))
            || prefix.contains("//")
        {
            return Err(format!("storage-prefix {prefix:?} cannot begin the key of an object"));
        }
        Ok(Some(Storage {
            endpoint: base(&endpoint)?,
            region: self.region.unwrap_or_else(|| "us-east-1".into()),
            buckets,
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            key_id: self.key_id.filter(|id| !id.is_empty()).ok_or_else(|| needs("key-id"))?,
            key_secret: (self.key_secret.filter(|secret| !secret.is_empty()))
                .ok_or_else(|| needs("key-secret"))?,
            style: self.style.unwrap_or(BucketStyle::Path),
            keep_local: self.keep_local.unwrap_or(KeepLocal::UntilUploaded),
            ca: self.ca,
        }))
    }
}

/// Scheme, host and port of a URL that has nothing else; a port that the scheme means anyway is left out.
fn base(text: &str) -> Result<String, String> {
    let wrong = || format!("storage-endpoint {text:?} is not http://HOST[:PORT] or https://…");
    let url = Url::parse(text).map_err(|_invalid| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_open = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_bare || !is_open {
        return Err(wrong());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl Storage {
    /// Host and port of the endpoint.
    pub fn host(&self) -> &str {
        self.endpoint.split_once("://").map_or(&self.endpoint, |(_, host)| host)
    }

    /// The bucket that a call means by `OssEndpoint` and `OssBucket`, which may be empty.
    ///
    /// # Errors
    /// One sentence that names which of them is not of this server.
    pub fn bucket(&self, endpoint: &str, bucket: &str) -> Result<&str, String> {
        let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
        if !host.is_empty() && !host.trim_end_matches('/').eq_ignore_ascii_case(self.host()) {
            let known = self.host();
            return Err(format!(
                "OssEndpoint {endpoint:?} is not the object storage of this server, which is {known:?}."
            ));
        }
        let found = match bucket {
            "" => self.buckets.first(),
            name => self.buckets.iter().find(|known| *known == name),
        };
        found.map(String::as_str).ok_or_else(|| {
            let known = self.buckets.join(", ");
            format!("OssBucket {bucket:?} is not a bucket of this server: {known}.")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Option<Storage>, String> {
        let settings: StorageSettings = toml::from_str(text).unwrap();
        settings.checked()
    }

    const WHOLE: &str = "bucket = 'shows'\nbuckets = 'archive, shows'\nkey-id = 'i'\n\
                         key-secret = 'hush'\nprefix = '/a b/ü/'\n";

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (text, names) in [
            ("bucket = 'shows'", "storage-endpoint"),
            ("endpoint = 'http://h'", "storage-bucket"),
            ("endpoint = 'http://h'\nbucket = 'shows'", "storage-key-id"),
            ("endpoint = 'http://h'\nbucket = 'Shows'\nkey-id = 'i'", "\"Shows\""),
            ("endpoint = 'http://h'\nbucket = 'shows'\nkey-id = 'i'", "storage-key-secret"),
            (&format!("{WHOLE}endpoint = 'ftp://h'"), "ftp://h"),
            (&format!("{WHOLE}endpoint = 'http://h/path'"), "http://h/path"),
            ("endpoint = 'http://h'\nbucket = 'shows'\nprefix = 'a/../b'", "a/../b"),
        ] {
            let error = settings(text).unwrap_err();
            assert!(error.contains(names), "{text}: {error}");
        }
        assert_eq!(settings(""), Ok(None));
    }

    #[test]
    fn a_call_may_name_what_the_configuration_names() {
        let storage = settings(&format!("{WHOLE}endpoint = 'https://S3.example:443/'"));
        let storage = storage.unwrap().unwrap();
        assert_eq!(storage.endpoint, "https://s3.example");
        assert_eq!(storage.prefix, "a b/ü/");
        assert!(!format!("{storage:?}").contains("hush"));
        for (endpoint, bucket, found) in [
            ("", "", Ok("shows")),
            ("", "archive", Ok("archive")),
            ("s3.example", "shows", Ok("shows")),
            ("https://S3.Example/", "", Ok("shows")),
            ("other.example", "shows", Err("other.example")),
            ("", "private", Err("private")),
        ] {
            match (storage.bucket(endpoint, bucket), found) {
                (Ok(is), Ok(should)) => assert_eq!(is, should),
                (Err(error), Err(names)) => assert!(error.contains(names), "{error}"),
                (is, _) => panic!("{endpoint} {bucket}: {is:?}"),
            }
        }
    }
}
