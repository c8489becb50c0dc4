//! What the FFmpeg that is linked can do.
//!
//! Must not open anything but registries. Invariant: it asks FFmpeg, it does not assume.

use ffmpeg_next::codec::{decoder, encoder};
use ffmpeg_next::{filter, util};

/// FFmpeg's version as it calls itself.
pub fn version() -> String {
    let version = util::version();
    format!("libavutil {}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

/// The codecs and filters that onair relies on, and whether each was found.
pub fn parts() -> Vec<(&'static str, bool)> {
    let decoders = ["h264", "hevc", "vp9", "libdav1d", "aac", "mp3", "opus"];
    let encoders = ["libx264", "libx265", "libaom-av1", "aac"];
    let found_decoders = decoders.map(|name| (name, decoder::find_by_name(name).is_some()));
    let found_encoders = encoders.map(|name| (name, encoder::find_by_name(name).is_some()));
    let found_filters = ["bwdif"].map(|name| (name, filter::find(name).is_some()));
    found_decoders.into_iter().chain(found_encoders).chain(found_filters).collect()
}
