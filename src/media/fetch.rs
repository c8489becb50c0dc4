//! Small files from the network, whole: images.
//!
//! Owns FFmpeg's byte streams for as long as a fetch takes. Must not know what the bytes are. Invariant: a fetch ends
//! within its time, when it is stopped, or with more bytes than asked for refused.

use std::ffi::CString;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use ffmpeg_next::ffi;

use super::dictionary::Dictionary;
use super::open::{MediaError, Watch, is_interrupted, prepare_ffmpeg};
use crate::worker::StopToken;

/// What is read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// What is fetched, from where, and how much patience there is for it.
pub(crate) struct Fetch {
    /// Where it is, with FFmpeg's options for its protocol.
    pub(crate) url: String,
    pub(crate) options: Vec<(&'static str, String)>,
    /// FFmpeg's white-list.
    pub(crate) protocols: &'static str,
    /// More is refused.
    pub(crate) max_bytes: u64,
    /// All of it takes no longer.
    pub(crate) limit: Duration,
}

/// All bytes of what is there.
///
/// # Errors
/// When it cannot be opened or read, takes too long, or is larger than allowed.
#[expect(unsafe_code, reason = "FFmpeg's byte streams")]
pub(crate) fn fetch(what: Fetch, stop: &StopToken) -> Result<Vec<u8>, MediaError> {
    prepare_ffmpeg();
    let watch = Arc::new(Watch::new(stop));
    watch.allow(what.limit);
    let interrupt = ffi::AVIOInterruptCB {
        callback: Some(is_interrupted),
        opaque: Arc::as_ptr(&watch).cast_mut().cast(),
    };
    let mut options: std::collections::BTreeMap<_, _> = what.options.into_iter().collect();
    options.insert("protocol_whitelist", what.protocols.to_owned());
    let mut dictionary = Dictionary::of(&options);
    let url = CString::new(what.url).map_err(|error| MediaError::Open(error.to_string()))?;
    let mut io = ptr::null_mut();
    // SAFETY: all pointers are valid for the call; the watch outlives the stream, which is closed below.
    let code = unsafe {
        ffi::avio_open2(&mut io, url.as_ptr(), ffi::AVIO_FLAG_READ, &interrupt, dictionary.as_mut())
    };
    if code < 0 {
        return Err(watch.error(code, what.limit, MediaError::Open));
    }
    let mut bytes = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let result = loop {
        // SAFETY: the stream is open and the buffer as long as is said.
        let read = unsafe { ffi::avio_read_partial(io, chunk.as_mut_ptr(), CHUNK_BYTES as i32) };
        match usize::try_from(read) {
            Ok(0) => break Ok(()),
            Ok(len) => bytes.extend_from_slice(&chunk[..len]),
            Err(_) if read == ffi::AVERROR_EOF => break Ok(()),
            Err(_) => break Err(watch.error(read, what.limit, MediaError::Open)),
        }
        if bytes.len() as u64 > what.max_bytes {
            break Err(MediaError::Open(format!("it is larger than {} bytes", what.max_bytes)));
        }
    };
    // SAFETY: opened above and closed once.
    unsafe { ffi::avio_closep(&mut io) };
    result.map(|()| bytes)
}
