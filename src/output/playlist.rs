//! The playlist of a recording in segments: as it grows, and as it is in the end.
//!
//! Must not know how segments are made. Invariant: what was written of a growing playlist is enough to finish it, with the
//! segment that was open.

use std::io;
use std::path::{Path, PathBuf};

use super::part_file::{Orphan, PART, replace};
use crate::limits::{MAX_HLS_FILE_BYTES, RECORD_SEGMENT};
use crate::media::pack::ts_duration_ns;
use crate::time::NS_PER_S;

/// A finished segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) duration_ns: u64,
    /// Address relative to the playlist.
    pub(super) uri: String,
}

/// Comment in a growing playlist: the segment that is open.
const OPEN: &str = "# open: ";

const EXTINF: &str = "#EXTINF:";

/// What a growing playlist gets when a segment begins.
pub(super) fn opened(uri: &str) -> String {
    format!("{OPEN}{uri}\n")
}

/// What it gets when the segment ends.
pub(super) fn closed(slice: &Slice) -> String {
    let (s, us) = (slice.duration_ns / NS_PER_S, slice.duration_ns % NS_PER_S / 1000);
    format!("{EXTINF}{s}.{us:06},\n{}\n", slice.uri)
}

/// The playlist in the end.
pub(super) fn finished(slices: &[Slice]) -> String {
    let longest_ns = slices.iter().map(|slice| slice.duration_ns).max().unwrap_or(0);
    let target_s = ((longest_ns + NS_PER_S / 2) / NS_PER_S).max(1);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target_s}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    );
    slices.iter().for_each(|slice| text += &closed(slice));
    text + "#EXT-X-ENDLIST\n"
}

/// Finishes a playlist that was left behind, and the segment that was open; `None` when there was nothing to play.
pub(super) fn recover(orphan: &Orphan) -> io::Result<Option<PathBuf>> {
    let text = std::fs::read_to_string(&orphan.path)?;
    let dir = orphan.path.parent().unwrap_or(Path::new("."));
    let (mut slices, mut duration_ns, mut open) = (Vec::new(), None, None);
    // The last line may be a piece of one.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    for line in whole.lines() {
        if let Some(uri) = line.strip_prefix(OPEN) {
            open = Some(uri.to_owned());
        } else if let Some(seconds) = line.strip_prefix(EXTINF) {
            duration_ns = parse_ns(seconds.trim_end_matches(','));
        } else if let Some(duration_ns) = duration_ns.take() {
            open = None;
            slices.push(Slice { duration_ns, uri: line.to_owned() });
        }
    }
    let mut end_unix_ms = orphan.end_unix_ms;
    if let Some((slice, slice_end_unix_ms)) =
        open.map_or(Ok(None), |uri| recover_slice(dir, uri))?
    {
        end_unix_ms = end_unix_ms.max(slice_end_unix_ms);
        slices.push(slice);
    }
    if slices.is_empty() {
        std::fs::remove_file(&orphan.path)?;
        return Ok(None);
    }
    replace(&orphan.path, &finished(&slices), end_unix_ms).map(Some)
}

/// The segment, and when it was last written to, ms since 1970 (0 when it was finished already).
fn recover_slice(dir: &Path, uri: String) -> io::Result<Option<(Slice, u64)>> {
    let path = dir.join(&uri);
    let mut end_unix_ms = 0;
    if let Some(orphan) = Orphan::take(dir.join(uri.clone() + PART)) {
        end_unix_ms = orphan.end_unix_ms;
        if orphan.finish()?.is_none() {
            return Ok(None);
        }
    }
    // It may have been finished, and only its line be missing.
    let Ok(metadata) = path.metadata() else { return Ok(None) };
    let estimate_ns = u64::try_from(RECORD_SEGMENT.as_nanos()).unwrap_or(0);
    let duration_ns = match metadata.len() <= MAX_HLS_FILE_BYTES {
        true => ts_duration_ns(&std::fs::read(&path)?).unwrap_or(estimate_ns),
        false => estimate_ns,
    };
    Ok(Some((Slice { duration_ns, uri }, end_unix_ms)))
}

/// Seconds with six decimals, as [`closed`] writes them.
fn parse_ns(seconds: &str) -> Option<u64> {
    let (s, us) = seconds.split_once('.')?;
    Some(s.parse::<u64>().ok()?.checked_mul(NS_PER_S)? + us.parse::<u64>().ok()? * 1000)
}

/// The address of `to` in a playlist that is `from`; both are below the same directory.
pub(super) fn relative(from: &str, to: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.split('/').collect(), to.split('/').collect());
    let dirs = from.len() - 1;
    let shared = from[..dirs].iter().zip(&to[..to.len() - 1]).take_while(|(a, b)| a == b).count();
    "../".repeat(dirs - shared) + &to[shared..].join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_relative_to_the_playlist() {
        for (from, to, uri) in [
            ("a.m3u8", "b.ts", "b.ts"),
            ("x/a.m3u8", "x/b.ts", "b.ts"),
            ("x/a.m3u8", "x/y/b.ts", "y/b.ts"),
            ("x/y/a.m3u8", "x/z/b.ts", "../z/b.ts"),
            ("x/y/a.m3u8", "b.ts", "../../b.ts"),
        ] {
            assert_eq!(relative(from, to), uri, "{from} → {to}");
        }
    }

    #[test]
    fn a_finished_playlist_says_how_long_its_segments_are() {
        let slice = |duration_ns, uri: &str| Slice { duration_ns, uri: uri.into() };
        let text = finished(&[slice(6_006_000_000, "a.ts"), slice(1_500_000, "b.ts")]);
        assert!(text.contains("#EXT-X-TARGETDURATION:6\n"), "{text}");
        assert!(
            text.ends_with("#EXTINF:6.006000,\na.ts\n#EXTINF:0.001500,\nb.ts\n#EXT-X-ENDLIST\n")
        );
        assert_eq!(parse_ns("6.006000"), Some(6_006_000_000));
    }
}
