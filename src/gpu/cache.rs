//! Compiled pipelines, kept on disk from one start to the next.
//!
//! Owns the file. Must not know what is compiled. Invariants: a file is whole or not there; one that is broken, or another
//! adapter's, is as good as none.
#![expect(unsafe_code, reason = "the driver trusts what it is given")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Bytes of the check sum that a file begins with.
const SUM_BYTES: usize = 32;

/// A cache of pipelines and where it is kept.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) pipelines: wgpu::PipelineCache,
    path: PathBuf,
    /// What is in the file.
    kept: Option<Vec<u8>>,
}

impl Cache {
    /// The cache of this adapter in a directory, filled with what was kept there; none where the adapter has no caches.
    pub(super) fn open(
        device: &wgpu::Device,
        info: &wgpu::AdapterInfo,
        dir: &Path,
    ) -> Option<Cache> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = dir.join(wgpu::util::pipeline_cache_key(info)?);
        let kept = fs::read(&path).ok().and_then(|bytes| checked(&bytes).map(<[u8]>::to_vec));
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: Some("pipelines"),
            data: kept.as_deref(),
            fallback: true,
        };
        // SAFETY: the data is what `get_data` gave, which its check sum vouches for; wgpu and the driver look at whose
        // it is.
        let pipelines = unsafe { device.create_pipeline_cache(&descriptor) };
        Some(Cache { pipelines, path, kept })
    }

    /// Keeps what was compiled since, if anything.
    pub(super) fn keep(&mut self) {
        let Some(data) = self.pipelines.get_data() else { return };
        if self.kept.as_ref() == Some(&data) {
            return;
        }
        match write(&self.path, &data) {
            Ok(()) => self.kept = Some(data),
            Err(error) => {
                tracing::warn!(%error, "{}: pipelines are not kept", self.path.display());
            }
        }
    }
}

/// The data of a file, if it is whole.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (sum, data) = bytes.split_at_checked(SUM_BYTES)?;
    (Sha256::digest(data).as_slice() == sum).then_some(data)
}

fn write(path: &Path, data: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // A name of our own: another process may be writing too.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&part, [Sha256::digest(data).as_slice(), data].concat())?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counts_only_when_it_is_whole() {
        let dir = std::env::temp_dir().join(format!("onair-cache-{}", std::process::id()));
        let path = dir.join("cache");
        write(&path, b"pipelines").unwrap();
        write(&path, b"more pipelines").unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(checked(&bytes), Some(&b"more pipelines"[..]));
        for broken in [0, 10, SUM_BYTES, bytes.len() - 1].map(|len| &bytes[..len]) {
            assert_eq!(checked(broken), None, "{broken:?}");
        }
        let mut flipped = bytes.clone();
        flipped[SUM_BYTES + 3] ^= 1;
        assert_eq!(checked(&flipped), None);
    }
}
