//! FLV tags: what RTMP and HTTP-FLV carry.
//!
//! Owns tag bodies of our own H.264 + AAC and, by Enhanced RTMP version 1, of HEVC and AV1, the framing of a file, and just
//! enough reading to tell what a pushed tag is. Must not know who sends or plays. Invariant: the body of a pushed tag is
//! passed on untouched.

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::live_queue::Role;
use crate::media::packet::{Packet, StreamHeader, Track, VideoCodec};
use crate::time::SAMPLE_RATE;

/// Which of FLV's three kinds of tag; the value is the tag type, which is also the RTMP message type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// Audio.
    Audio = 8,
    /// Video.
    Video = 9,
    /// AMF0 data, `onMetaData`.
    Script = 18,
}

/// What a tag means to who joins late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagClass {
    /// Configuration of the video decoder.
    VideoHeader,
    /// A picture that decodes alone.
    Keyframe,
    /// A picture that needs others.
    Inter,
    /// Configuration of the audio decoder.
    AudioHeader,
    /// Sound.
    Audio,
    /// `onMetaData`.
    Metadata,
    /// End of sequence, HDR metadata, unknown: passed on, never kept.
    Other,
}

/// A tag of a live stream. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FlvTag {
    /// Kind of tag.
    pub kind: TagKind,
    /// Decoding time in ms; wraps after 49.7 days.
    pub timestamp_ms: u32,
    /// What it is to a late joiner.
    pub class: TagClass,
    /// The body.
    pub body: Bytes,
}

impl FlvTag {
    /// A tag with this body, classified by its first bytes.
    pub fn new(kind: TagKind, timestamp_ms: u32, body: Bytes) -> FlvTag {
        let class = match kind {
            TagKind::Audio => classify_audio(&body),
            TagKind::Video => classify_video(&body),
            TagKind::Script => TagClass::Metadata,
        };
        FlvTag { kind, timestamp_ms, class, body }
    }

    /// How a queue treats it, in a stream with (or without) video.
    pub(crate) fn role(&self, has_video: HasVideo) -> Role {
        match self.class {
            TagClass::VideoHeader | TagClass::AudioHeader | TagClass::Metadata => Role::Header,
            TagClass::Keyframe => Role::Start,
            TagClass::Audio if has_video == HasVideo::No => Role::Start,
            TagClass::Audio | TagClass::Inter | TagClass::Other => Role::Rest,
        }
    }
}

/// Whether a stream has shown a video tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HasVideo {
    Yes,
    No,
}

/// Legacy codec ids with a packet type byte: 7 AVC, 12 HEVC (as used by several encoders before Enhanced RTMP).
const CODECS_WITH_PACKET_TYPE: [u8; 2] = [7, 12];

fn classify_video(body: &[u8]) -> TagClass {
    let Some(&first) = body.first() else { return TagClass::Other };
    let coded = if (first >> 4) & 7 == 1 { TagClass::Keyframe } else { TagClass::Inter };
    if first & 0x80 != 0 {
        // Enhanced RTMP: packet type in the low nibble; 6 is multitrack, whose own type is in the next byte.
        let packet_type = match first & 0x0f {
            6 => body.get(1).map_or(0x0f, |next| next & 0x0f),
            other => other,
        };
        return match packet_type {
            0 | 5 => TagClass::VideoHeader,
            1 | 3 => coded,
            _ => TagClass::Other,
        };
    }
    match (first & 0x0f, body.get(1)) {
        (codec, Some(&packet_type)) if CODECS_WITH_PACKET_TYPE.contains(&codec) => {
            match packet_type {
                0 => TagClass::VideoHeader,
                1 => coded,
                _ => TagClass::Other,
            }
        }
        (_, Some(_)) if first >> 4 != 5 => coded,
        _ => TagClass::Other,
    }
}

fn classify_audio(body: &[u8]) -> TagClass {
    match (body.first().map(|first| first >> 4), body.get(1)) {
        (Some(10), Some(0)) => TagClass::AudioHeader,
        // Enhanced RTMP: packet type in the low nibble.
        (Some(9), _) => match body.first().map_or(0x0f, |first| first & 0x0f) {
            0 => TagClass::AudioHeader,
            1 => TagClass::Audio,
            _ => TagClass::Other,
        },
        (Some(_), Some(_)) => TagClass::Audio,
        _ => TagClass::Other,
    }
}

/// Nanoseconds to FLV's milliseconds, to the nearest, so that sound and picture stay within 0.5 ms of where they were.
fn to_ms(ns: i64) -> i64 {
    (ns + 500_000).div_euclid(1_000_000)
}

/// FLV times are 32 bits and wrap.
fn wrap_ms(ms: i64) -> u32 {
    (ms.max(0) & 0xffff_ffff) as u32
}

/// What a video tag of ours holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The decoder's record.
    Record,
    /// A picture.
    Picture {
        is_key: bool,
        /// From its decoding to its presentation, 24 bits.
        offset_ms: u32,
    },
}

/// H.264 as FLV has always had it, the others as Enhanced RTMP has them: a FourCC, and an offset only where it says
/// something, which with AV1 it never does.
fn video_tag(timestamp_ms: u32, codec: VideoCodec, (part, data): (Part, &[u8])) -> FlvTag {
    let (is_key, offset_ms) = match part {
        Part::Record => (true, 0),
        Part::Picture { is_key, offset_ms } => (is_key, offset_ms),
    };
    let frame_type = if is_key { 0x10 } else { 0x20 };
    let offset = &offset_ms.to_be_bytes()[1..];
    let mut body = BytesMut::with_capacity(8 + data.len());
    if codec == VideoCodec::H264 {
        // Codec 7 AVC; packet type 0 sequence header or 1 NALU.
        body.put_slice(&[frame_type | 7, u8::from(part != Part::Record)]);
        body.put_slice(offset);
    } else {
        // Packet type 0 sequence start, 1 coded frames, 3 the same without an offset.
        let packet_type = match (part, codec) {
            (Part::Record, _) => 0,
            (Part::Picture { offset_ms: 0, .. }, VideoCodec::Hevc) => 3,
            (Part::Picture { .. }, _) => 1,
        };
        body.put_u8(0x80 | frame_type | packet_type);
        body.put_slice(codec.four_cc());
        if (packet_type, codec) == (1, VideoCodec::Hevc) {
            body.put_slice(offset);
        }
    }
    body.put_slice(data);
    FlvTag::new(TagKind::Video, timestamp_ms, body.freeze())
}

/// Video tag with the decoder's record: a sequence header.
pub fn video_header(header: &StreamHeader, timestamp_ms: u32) -> FlvTag {
    let decoder = &header.decoder;
    video_tag(timestamp_ms, decoder.codec, (Part::Record, &decoder.record))
}

/// AAC audio tag of type sequence header: `AudioSpecificConfig`.
pub fn audio_header(header: &StreamHeader, timestamp_ms: u32) -> FlvTag {
    let mut body = BytesMut::with_capacity(2 + header.asc.len());
    body.put_slice(&[AAC_44K_16BIT_STEREO, 0]);
    body.put_slice(&header.asc);
    FlvTag::new(TagKind::Audio, timestamp_ms, body.freeze())
}

/// What the format demands for AAC whatever the rate: the true one is in the `AudioSpecificConfig`.
const AAC_44K_16BIT_STEREO: u8 = 0xaf;

/// A packet of a stream whose video is coded so, as a tag: decoding time in the tag, composition offset in the body.
pub fn media(packet: &Packet, codec: VideoCodec) -> FlvTag {
    let (pts_ms, dts_ms) = (to_ms(packet.pts_ns), to_ms(packet.dts_ns));
    match packet.track {
        Track::Video => {
            let offset_ms = (pts_ms - dts_ms).clamp(0, 0x7f_ffff) as u32;
            let part = Part::Picture { is_key: packet.key, offset_ms };
            video_tag(wrap_ms(dts_ms), codec, (part, &packet.data))
        }
        Track::Audio => {
            let mut body = BytesMut::with_capacity(2 + packet.data.len());
            body.put_slice(&[AAC_44K_16BIT_STEREO, 1]);
            body.put_slice(&packet.data);
            FlvTag::new(TagKind::Audio, wrap_ms(pts_ms), body.freeze())
        }
    }
}

/// `onMetaData` of one of our own streams.
pub fn metadata(header: &StreamHeader) -> FlvTag {
    let video_codec = match header.decoder.codec {
        VideoCodec::H264 => 7.0,
        codec => f64::from(u32::from_be_bytes(*codec.four_cc())),
    };
    let numbers = [
        ("duration", 0.0),
        ("width", f64::from(header.size.width_px)),
        ("height", f64::from(header.size.height_px)),
        ("framerate", header.pictures_per_s()),
        ("videocodecid", video_codec),
        ("videodatarate", f64::from(header.video_bps.bps()) / 1000.0),
        ("audiocodecid", 10.0),
        ("audiosamplerate", f64::from(SAMPLE_RATE)),
        ("audiosamplesize", 16.0),
        ("audiodatarate", f64::from(header.audio_bps) / 1000.0),
    ];
    let mut body = BytesMut::new();
    body.put_u8(2);
    put_string(&mut body, "onMetaData");
    body.put_u8(8); // ECMA array
    body.put_u32(numbers.len() as u32 + 2);
    for (name, value) in numbers {
        put_string(&mut body, name);
        body.put_u8(0);
        body.put_f64(value);
    }
    put_string(&mut body, "stereo");
    body.put_slice(&[1, 1]);
    put_string(&mut body, "encoder");
    body.put_u8(2);
    put_string(&mut body, concat!("onair ", env!("CARGO_PKG_VERSION")));
    body.put_slice(&[0, 0, 9]);
    FlvTag::new(TagKind::Script, 0, body.freeze())
}

fn put_string(body: &mut BytesMut, text: &str) {
    body.put_u16(text.len() as u16);
    body.put_slice(text.as_bytes());
}

/// Which kinds of tag a file header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracks(u8);

impl Tracks {
    /// Announces these; `(true, true)` when it is not known yet.
    pub(crate) fn announced((video, audio): (bool, bool)) -> Tracks {
        Tracks(u8::from(video) | u8::from(audio) << 2)
    }
}

/// The beginning of an FLV file or HTTP-FLV stream.
pub fn file_header(tracks: Tracks) -> Bytes {
    let mut bytes = BytesMut::with_capacity(13);
    bytes.put_slice(b"FLV\x01");
    bytes.put_u8(tracks.0);
    bytes.put_u32(9);
    bytes.put_u32(0);
    bytes.freeze()
}

/// A tag as it stands in an FLV file, with the size of itself behind it. Bodies over 16 MiB do not fit the format
/// and come out empty.
pub fn framed(tag: &FlvTag) -> Bytes {
    let body: &[u8] = if tag.body.len() < 1 << 24 { &tag.body } else { &[] };
    let mut bytes = BytesMut::with_capacity(15 + body.len());
    bytes.put_u8(tag.kind as u8);
    bytes.put_slice(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.put_slice(&tag.timestamp_ms.to_be_bytes()[1..]);
    bytes.put_u8((tag.timestamp_ms >> 24) as u8);
    bytes.put_slice(&[0, 0, 0]);
    bytes.put_slice(body);
    bytes.put_u32(11 + body.len() as u32);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_tags_are_told_apart() {
        use TagClass::{Audio, AudioHeader, Inter, Keyframe, Other, VideoHeader};
        let check = |kind, body: &'static [u8], class| {
            let tag = FlvTag::new(kind, 7, Bytes::from_static(body));
            assert_eq!(tag.class, class, "{kind:?} {body:x?}");
        };
        for (body, class) in [
            (&b"\x17\x00\0\0\0"[..], VideoHeader),
            (b"\x17\x01\0\0\0x", Keyframe),
            (b"\x27\x01\0\0\0x", Inter),
            (b"\x17\x02\0\0\0", Other),
            (b"\x1c\x00\0\0\0", VideoHeader),
            (b"\x1c\x01\0\0\0", Keyframe),
            (b"\x12\x00", Keyframe),
            (b"\x22\x00", Inter),
            (b"\x57\x00", VideoHeader),
            (b"\x90hvc1", VideoHeader),
            (b"\x91hvc1\0\0\0x", Keyframe),
            (b"\xa3av01x", Inter),
            (b"\x93vp09x", Keyframe),
            (b"\x94hvc1x", Other),
            (b"\x96\x00avc1", VideoHeader),
            (b"\x17", Other),
            (b"", Other),
        ] {
            check(TagKind::Video, body, class);
        }
        for (body, class) in [
            (&b"\xaf\x00\x11\x90"[..], AudioHeader),
            (b"\xaf\x01x", Audio),
            (b"\x2fx", Audio),
            (b"\x90Opus", AudioHeader),
            (b"\x91Opusx", Audio),
            (b"\x94Opus", Other),
            (b"", Other),
        ] {
            check(TagKind::Audio, body, class);
        }
    }

    #[test]
    fn times_round_to_the_nearest_millisecond_and_wrap() {
        let packet = |ns: i64| Packet {
            track: Track::Video,
            pts_ns: ns + 66_666_666,
            dts_ns: ns,
            duration_ns: 0,
            key: true,
            data: Bytes::from_static(b"\0\0\0\x01x"),
        };
        let media = |packet: &Packet| media(packet, VideoCodec::H264);
        let tag = media(&packet(33_366_666));
        assert_eq!((tag.timestamp_ms, &tag.body[..5]), (33, &[0x17, 1, 0, 0, 67][..]));
        assert_eq!(media(&packet((1_i64 << 32) * 1_000_000)).timestamp_ms, 0);
        let bytes = framed(&FlvTag { timestamp_ms: 0x0102_0304, ..tag });
        assert_eq!(&bytes[..11], &[9, 0, 0, 10, 2, 3, 4, 1, 0, 0, 0]);
        assert_eq!(&bytes[21..], &[0, 0, 0, 21]);
    }

    #[test]
    fn codecs_go_out_as_enhanced_rtmp_has_them() {
        use VideoCodec::{Av1, H264, Hevc};
        // Codec, offset in ms (none: the record), the body before the data.
        let table: [(VideoCodec, Option<i64>, &[u8]); 9] = [
            (H264, None, b"\x17\0\0\0\0"),
            (H264, Some(0), b"\x27\x01\0\0\0"),
            (H264, Some(67), b"\x27\x01\0\0\x43"),
            (Hevc, None, b"\x90hvc1"),
            (Hevc, Some(0), b"\xa3hvc1"),
            (Hevc, Some(67), b"\xa1hvc1\0\0\x43"),
            (Av1, None, b"\x90av01"),
            (Av1, Some(0), b"\xa1av01"),
            (Av1, Some(67), b"\xa1av01"),
        ];
        let data = Bytes::from_static(b"data");
        for (codec, offset_ms, head) in table {
            let packet = |offset_ms: i64| Packet {
                track: Track::Video,
                pts_ns: (40 + offset_ms) * 1_000_000,
                dts_ns: 40_000_000,
                duration_ns: 0,
                key: false,
                data: data.clone(),
            };
            let tag = match offset_ms {
                None => video_tag(40, codec, (Part::Record, &data)),
                Some(offset_ms) => media(&packet(offset_ms), codec),
            };
            let class = if offset_ms.is_none() { TagClass::VideoHeader } else { TagClass::Inter };
            assert_eq!((tag.timestamp_ms, tag.class), (40, class), "{codec:?} {offset_ms:?}");
            assert_eq!(tag.body, [head, &data].concat(), "{codec:?} {offset_ms:?}");
        }
    }
}
