//! What of a recorded file is whole, when whoever wrote it was killed in the middle of a write.
//!
//! Must not know who wrote it or where it goes. Invariant: a file that ends at [`Whole::bytes`] decodes to its last
//! byte without an error; what is cut off is less than a fragment, a tag or a picture.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::flv::{FlvTag, TagClass, TagKind};
use super::pack::Container;

/// What of a file can be played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// It is this long; 0 when there is nothing to play.
    pub bytes: u64,
    /// It plays for so long, ns; 0 when that stands in no single place (fragmented MP4).
    pub duration_ns: u64,
}

/// Finds the whole part of a file of ours.
///
/// # Errors
/// When it cannot be read.
pub fn whole(container: Container, file: &File) -> io::Result<Whole> {
    let mut reader = BufReader::new(file);
    reader.rewind()?;
    match container {
        Container::Flv => flv(&mut reader),
        Container::FragmentedMp4 | Container::Segments => mp4(&mut reader),
        Container::Ts => Ok(last_picture_off(&pictures(&mut reader)?)),
    }
}

/// Fills the buffer; false when the file ends before.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Signature, version, flags, length of the header, and the first tag's "previous tag size".
const FLV_HEADER: u64 = 13;
const FLV_TAG_HEADER: u64 = 11;
const FLV_AUDIO: u8 = TagKind::Audio as u8;
const FLV_VIDEO: u8 = TagKind::Video as u8;

fn flv(reader: &mut BufReader<&File>) -> io::Result<Whole> {
    use TagClass::{AudioHeader, Metadata, VideoHeader};
    let length = reader.get_ref().metadata()?.len();
    let (mut whole, mut at) = (Whole::default(), FLV_HEADER);
    let (mut first_ms, mut last_ms, mut step_ms, mut end_ms, mut media) = (0, 0, 0, 0, 0_u32);
    loop {
        reader.seek(SeekFrom::Start(at))?;
        let mut head = [0; FLV_TAG_HEADER as usize + 2];
        if !fill(reader, &mut head)? {
            break;
        }
        let size = u64::from(u32::from_be_bytes([0, head[1], head[2], head[3]]));
        let end = at + FLV_TAG_HEADER + size + 4;
        // 9: its body is not empty; the size is told once more behind it.
        if end > length || size == 0 || !ends_with_size(reader, end, FLV_TAG_HEADER + size)? {
            break;
        }
        at = end;
        let kind = match head[0] & 0x1f {
            FLV_VIDEO => TagKind::Video,
            FLV_AUDIO => TagKind::Audio,
            _ => TagKind::Script,
        };
        let class = FlvTag::new(kind, 0, Bytes::copy_from_slice(&head[11..])).class;
        // Decoder configurations and metadata are nothing to play.
        if matches!(class, VideoHeader | AudioHeader | Metadata) {
            continue;
        }
        let time_ms = u64::from(u32::from_be_bytes([head[7], head[4], head[5], head[6]]));
        if kind == TagKind::Video {
            match media {
                0 => first_ms = time_ms,
                _ => step_ms = time_ms.saturating_sub(last_ms),
            }
            last_ms = time_ms;
            media += 1;
        }
        end_ms = end_ms.max(time_ms);
        if media > 0 {
            whole.bytes = end;
        }
    }
    whole.duration_ns = end_ms.max(last_ms + step_ms).saturating_sub(first_ms) * 1_000_000;
    Ok(if whole.bytes == 0 { Whole::default() } else { whole })
}

fn ends_with_size(reader: &mut BufReader<&File>, end: u64, size: u64) -> io::Result<bool> {
    let mut told = [0; 4];
    reader.seek(SeekFrom::Start(end - 4))?;
    Ok(fill(reader, &mut told)? && u64::from(u32::from_be_bytes(told)) == size)
}

fn mp4(reader: &mut BufReader<&File>) -> io::Result<Whole> {
    let length = reader.get_ref().metadata()?.len();
    let (mut whole, mut at, mut has_fragment) = (Whole::default(), 0, false);
    loop {
        reader.seek(SeekFrom::Start(at))?;
        let (mut head, mut large) = ([0; 8], [0; 8]);
        if !fill(reader, &mut head)? {
            break;
        }
        let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            1 if fill(reader, &mut large)? => u64::from_be_bytes(large),
            size => u64::from(size),
        };
        let end = at.saturating_add(size);
        if size < 8 || end > length {
            break;
        }
        at = end;
        match &head[4..] {
            b"moof" => has_fragment = true,
            b"mdat" if has_fragment => whole.bytes = end,
            _ => {}
        }
    }
    Ok(whole)
}

/// Bytes of a TS packet.
const TS_PACKET: usize = 188;
/// Where FFmpeg's muxer puts the first stream, which is the video.
const VIDEO_PID: u16 = 0x100;

/// A picture of a transport stream.
#[derive(Clone, Copy, Debug)]
struct Begin {
    /// Where it begins.
    at: u64,
    /// PTS, 90 kHz.
    pts: u64,
}

fn pictures(reader: &mut impl Read) -> io::Result<Vec<Begin>> {
    let (mut found, mut at, mut packet) = (Vec::new(), 0, [0; TS_PACKET]);
    while fill(reader, &mut packet)? {
        found.extend(picture_time(&packet).map(|pts| Begin { at, pts }));
        at += TS_PACKET as u64;
    }
    Ok(found)
}

/// Nothing says whether the last picture is all there, so it goes.
fn last_picture_off(all: &[Begin]) -> Whole {
    match all {
        [kept @ .., last] if !kept.is_empty() => {
            Whole { bytes: last.at, duration_ns: span_ns(kept).unwrap_or(0) }
        }
        _ => Whole::default(),
    }
}

/// How long the pictures of a finished transport stream of ours are shown, ns; `None` for less than two of them.
///
/// # Errors
/// When it cannot be read.
pub fn ts_duration_ns(file: &File) -> io::Result<Option<u64>> {
    let mut reader = BufReader::new(file);
    reader.rewind()?;
    Ok(span_ns(&pictures(&mut reader)?))
}

fn span_ns(all: &[Begin]) -> Option<u64> {
    let times = all.iter().map(|begin| begin.pts);
    let (first, last) = (times.clone().min()?, times.max()?);
    let steps = u64::try_from(all.len()).ok()?.checked_sub(1).filter(|steps| *steps > 0)?;
    // 33 bits of 90 kHz: a segment over the wrap would come out absurd, and is then not told.
    let span_ns = (last - first) * 100_000 / 9;
    (span_ns < 3600 * 1_000_000_000).then(|| span_ns + span_ns / steps)
}

/// PTS, 90 kHz, of the picture that begins in this packet.
fn picture_time(packet: &[u8]) -> Option<u64> {
    let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let begins = packet[1] & 0x40 != 0;
    if packet[0] != 0x47 || pid != VIDEO_PID || !begins {
        return None;
    }
    let adaptation = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
    let pes = packet.get(4 + adaptation..)?;
    if pes.len() < 14 || pes[..3] != [0, 0, 1] || pes[7] & 0x80 == 0 {
        return None;
    }
    let bits = |byte: u8, shift: u32| u64::from(byte) << shift;
    Some(
        bits(pes[9] >> 1 & 7, 30)
            | bits(pes[10], 22)
            | bits(pes[11] >> 1, 15)
            | bits(pes[12], 7)
            | bits(pes[13] >> 1, 0),
    )
}
