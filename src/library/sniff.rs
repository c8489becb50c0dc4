//! What a file is, by its first bytes.
//!
//! Must not know names or what a client claims. Invariant: one table; what is not in it is not taken.

use super::Kind;

/// Formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Mp4,
    Flv,
    MpegTs,
    MpegPs,
    Matroska,
    Avi,
    Asf,
    Mxf,
    Png,
    Jpeg,
}

/// The formats in words.
pub(super) const KNOWN: &str =
    "MP4, MOV, FLV, MPEG-TS, MPEG-PS, Matroska, WebM, AVI, ASF, MXF, PNG, JPEG";

/// Bytes from which a format is known: five packets of a transport stream.
pub(super) const HEAD_BYTES: usize = 1024;

/// Bytes at a place by which a format is known.
const MARKS: &[(Format, usize, &[u8])] = &[
    (Format::Mp4, 4, b"ftyp"),
    // QuickTime of the time before `ftyp`.
    (Format::Mp4, 4, b"moov"),
    (Format::Mp4, 4, b"mdat"),
    (Format::Mp4, 4, b"wide"),
    (Format::Flv, 0, b"FLV\x01"),
    (Format::Matroska, 0, b"\x1a\x45\xdf\xa3"),
    (Format::MpegPs, 0, b"\0\0\x01\xba"),
    (Format::Avi, 8, b"AVI "),
    (Format::Asf, 0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    (Format::Mxf, 0, b"\x06\x0e\x2b\x34\x02\x05\x01\x01"),
    (Format::Png, 0, b"\x89PNG\r\n\x1a\n"),
    (Format::Jpeg, 0, b"\xff\xd8\xff"),
];

/// Sync byte of a transport stream's packets, and how far from the start and from one another they can be: plain, with a
/// time code before each (M2TS), with parity behind.
const TS_SYNC: u8 = 0x47;
const TS_PACKETS: [(usize, usize); 3] = [(0, 188), (4, 192), (0, 204)];

/// The format of a file that begins with `head`: [`HEAD_BYTES`] of it, or all.
pub(super) fn sniff(head: &[u8]) -> Option<Format> {
    let at = |place: usize, mark: &[u8]| head.get(place..).is_some_and(|h| h.starts_with(mark));
    let marked = MARKS.iter().find(|(_, place, mark)| at(*place, mark)).map(|&(format, ..)| format);
    marked.or_else(|| is_transport_stream(head).then_some(Format::MpegTs))
}

fn is_transport_stream(head: &[u8]) -> bool {
    TS_PACKETS.iter().any(|&(first, every)| {
        let syncs: Vec<bool> =
            head.iter().skip(first).step_by(every).map(|&byte| byte == TS_SYNC).collect();
        syncs.len() >= 2 && syncs.iter().all(|&sync| sync)
    })
}

impl Format {
    /// What it holds.
    pub(super) fn kind(self) -> Kind {
        match self {
            Format::Png | Format::Jpeg => Kind::Image,
            _ => Kind::Video,
        }
    }

    /// The end of the content file's name.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Format::Mp4 => "mp4",
            Format::Flv => "flv",
            Format::MpegTs => "ts",
            Format::MpegPs => "mpg",
            Format::Matroska => "mkv",
            Format::Avi => "avi",
            Format::Asf => "asf",
            Format::Mxf => "mxf",
            Format::Png => "png",
            Format::Jpeg => "jpg",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let packets = |first: usize, every: usize, count: usize| {
            let mut bytes = vec![0; first + every * count];
            (0..count).for_each(|n| bytes[first + every * n] = TS_SYNC);
            bytes
        };
        let mut once = packets(0, 188, 5);
        once[188] = 0;
        let table: [(&[u8], Option<Format>); 17] = [
            (b"\0\0\0\x20ftypisom\0\0\x02\0", Some(Format::Mp4)),
            (b"\0\0\0\x08wide\0\0\0\0mdat", Some(Format::Mp4)),
            (b"FLV\x01\x05\0\0\0\x09", Some(Format::Flv)),
            (b"\x1a\x45\xdf\xa3\x01\0", Some(Format::Matroska)),
            (b"RIFF\0\0\0\0AVI LIST", Some(Format::Avi)),
            (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", Some(Format::Png)),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Some(Format::Jpeg)),
            (&packets(0, 188, 5), Some(Format::MpegTs)),
            (&packets(4, 192, 5), Some(Format::MpegTs)),
            (&packets(0, 204, 2), Some(Format::MpegTs)),
            (&once, None),
            (b"RIFF\0\0\0\0WAVEfmt ", None),
            (b"G", None),
            (b"#EXTM3U\n", None),
            (b"GIF89a", None),
            (b"<svg xmlns", None),
            (b"", None),
        ];
        for (head, format) in table {
            assert_eq!(sniff(head), format, "{:?}", &head[..head.len().min(16)]);
        }
    }
}
