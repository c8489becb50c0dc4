//! The playlist of a recording in segments: as it grows, and as it is in the end.
//!
//! Must not know how segments are made. Invariant: what was written of a growing playlist is enough to finish it, with the
//! segment that was open.

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

/// What a growing playlist that was left behind knows of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Growing {
    pub(super) done: Vec<Slice>,
    /// Address of the segment that was open.
    pub(super) open: Option<String>,
}

/// Reads a playlist that was left behind.
pub(super) fn read(text: &str) -> Growing {
    let (mut growing, mut duration_ns) = (Growing::default(), None);
    // The last line may be a piece of one.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    for line in whole.lines() {
        if let Some(uri) = line.strip_prefix(OPEN) {
            growing.open = Some(uri.to_owned());
        } else if let Some(seconds) = line.strip_prefix(EXTINF) {
            duration_ns = parse_ns(seconds.trim_end_matches(','));
        } else if let Some(duration_ns) = duration_ns.take() {
            growing.open = None;
            growing.done.push(Slice { duration_ns, uri: line.to_owned() });
        }
    }
    growing
}

/// The name of what a playlist calls `uri`, below the directory that the playlist's name is relative to; none for an address
/// that leads out of it.
pub(super) fn absolute(list: &str, uri: &str) -> Option<String> {
    let mut parts: Vec<&str> = list.split('/').collect();
    parts.pop();
    for part in uri.split('/') {
        match part {
            ".." => drop(parts.pop()?),
            "" | "." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
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
            assert_eq!(absolute(from, uri).as_deref(), Some(to), "{from} + {uri}");
        }
    }

    #[test]
    fn no_address_leads_out() {
        for (list, uri) in [("a.m3u8", "../b.ts"), ("x/a.m3u8", "../../b.ts"), ("a.m3u8", "/b.ts")]
        {
            assert_eq!(absolute(list, uri), None, "{list} + {uri}");
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
