//! What a playlist may have FFmpeg open.
//!
//! Owns the refusal of bare transports. Must not know addresses (the URL guard and its proxy do). Invariant: whatever a
//! playlist names, it is opened by a protocol whose connections are checked.
#![expect(unsafe_code, reason = "FFmpeg calls back through C function pointers")]

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use ffmpeg_next::ffi;

/// Whether FFmpeg would open `url` by a protocol that only carries others. The white-list must hold these for what they
/// carry; named by a playlist they would lead past every check of addresses.
fn is_bare_transport(url: &[u8]) -> bool {
    const CARRIERS: [&[u8]; 3] = [b"tcp", b"tls", b"httpproxy"];
    let scheme = |url: &[u8]| {
        let len = url.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        url[..len].to_ascii_lowercase()
    };
    let mut rest = url;
    while scheme(rest) == b"crypto" {
        rest = rest.get(b"crypto+".len()..).unwrap_or_default();
    }
    CARRIERS.contains(&scheme(rest).as_slice())
}

type OpenNested = unsafe extern "C" fn(
    *mut ffi::AVFormatContext,
    *mut *mut ffi::AVIOContext,
    *const c_char,
    c_int,
    *mut *mut ffi::AVDictionary,
) -> c_int;

/// FFmpeg's own way to open what a playlist names.
static OPEN_BY_DEFAULT: OnceLock<OpenNested> = OnceLock::new();

/// Opens what a container or playlist names, unless it is a bare transport.
unsafe extern "C" fn open_nested(
    context: *mut ffi::AVFormatContext,
    io: *mut *mut ffi::AVIOContext,
    url: *const c_char,
    flags: c_int,
    options: *mut *mut ffi::AVDictionary,
) -> c_int {
    // SAFETY: FFmpeg passes a NUL-terminated URL.
    if is_bare_transport(unsafe { CStr::from_ptr(url) }.to_bytes()) {
        return ffi::AVERROR(ffi::EPERM);
    }
    match OPEN_BY_DEFAULT.get() {
        // SAFETY: the arguments are handed on as they came.
        Some(open) => unsafe { open(context, io, url, flags, options) },
        None => ffi::AVERROR(ffi::EIO),
    }
}

/// Has everything that `context` opens from now on, its own URL included, pass by here.
///
/// # Safety
/// The context must be valid and not open yet.
pub(super) unsafe fn guard(context: *mut ffi::AVFormatContext) {
    // SAFETY: the caller vouches for the context.
    let context = unsafe { &mut *context };
    if let Some(open) = context.io_open {
        OPEN_BY_DEFAULT.get_or_init(|| open);
        context.io_open = Some(open_nested);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_transports_are_known_in_every_spelling() {
        for (url, bare) in [
            ("tcp://10.0.0.1:6379/x.m3u8", true),
            ("TLS://10.0.0.1/x", true),
            ("httpproxy://10.0.0.1:80/x", true),
            ("crypto+tcp://10.0.0.1:1/x", true),
            ("crypto:crypto+tls://10.0.0.1/x", true),
            ("http://example.com/tcp", false),
            ("https://example.com/", false),
            ("crypto+https://example.com/a.ts", false),
            ("rtmp://example.com/a/b", false),
            ("/media/tcp", false),
            ("", false),
        ] {
            assert_eq!(is_bare_transport(url.as_bytes()), bare, "{url}");
        }
    }
}
