//! What is pushed, as bytes that FFmpeg reads: FLV as it is, or where FFmpeg 5.1 does not know the codec, HEVC, as MPEG-TS.
//!
//! Must not know who pushes. Invariant: what pictures and sound are and when, is the publisher's own.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::flv::{FlvTag, TagClass, TagKind, file_header, framed};
use super::hub::{Received, Subscriber};
use super::open::ByteSource;
use super::pack::{Container, Packer};
use super::packet::{BitRate, DecoderConfig, Origin, Packet, StreamHeader, Track, VideoCodec};
use crate::frame::Size;
use crate::limits::{INPUT_READ_TIMEOUT, PUSHED_VIDEO_WAIT};
use crate::time::{Clock, FrameRate};
use crate::worker::StopToken;

/// A stream that was joined, for a demuxer. Waits for [`PUSHED_VIDEO_WAIT`] at most for the first video, which says what it is.
///
/// Its bytes end with the stream, or with an error that says why they cannot go on: nothing came for [`INPUT_READ_TIMEOUT`],
/// the codec is not known, the stream became another one.
pub fn byte_source(subscriber: Subscriber, stop: &StopToken) -> ByteSource {
    let (clock, mut first) = (Clock::real(), VecDeque::new());
    let is_video = |tag: &FlvTag| tag.kind == TagKind::Video;
    while !first.back().is_some_and(is_video) {
        let left = PUSHED_VIDEO_WAIT.saturating_sub(Duration::from_nanos(clock.now_ns()));
        match subscriber.recv(stop, left) {
            Received::Tag(tag) => first.push_back(tag),
            Received::Ended | Received::Timeout => break,
        }
    }
    let is_foreign = first.back().is_some_and(|tag| is_video(tag) && Coding::of(tag).is_some());
    let (form, format) = match is_foreign {
        true => (Form::Ts(Box::default()), c"mpegts"),
        false => (Form::Flv, c"flv"),
    };
    ByteSource { read: Box::new(reader(subscriber, first, form)), format }
}

fn reader(
    subscriber: Subscriber,
    mut first: VecDeque<FlvTag>,
    mut form: Form,
) -> impl FnMut(&mut [u8], &StopToken) -> io::Result<usize> + Send + 'static {
    let mut pending = match form {
        Form::Flv => file_header(subscriber.tracks()),
        Form::Ts(_) => Bytes::new(),
    };
    // Demuxers ask on after an error.
    let mut over = None;
    move |buffer, stop| {
        while pending.is_empty() {
            if let Some(why) = &over {
                return Err(io::Error::other(String::clone(why)));
            }
            let tag = match first.pop_front() {
                Some(tag) => tag,
                None => match subscriber.recv(stop, INPUT_READ_TIMEOUT) {
                    Received::Tag(tag) => tag,
                    Received::Ended => return Ok(0),
                    Received::Timeout if stop.is_stopped() => return Ok(0),
                    Received::Timeout => return Err(silent(&subscriber)),
                },
            };
            match form.turn(&tag) {
                Ok(bytes) => pending = bytes,
                Err(why) => over = Some(why),
            }
        }
        let count = pending.len().min(buffer.len());
        pending.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

fn silent(subscriber: &Subscriber) -> io::Error {
    let why = match subscriber.lacks_key() {
        true => "no key frame yet, so there is no picture to show",
        false => "its publisher sends nothing",
    };
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// What is made of tags.
enum Form {
    Flv,
    Ts(Box<Retold>),
}

impl Form {
    fn turn(&mut self, tag: &FlvTag) -> Result<Bytes, String> {
        let is_header = tag.class == TagClass::VideoHeader;
        match (self, Coding::of(tag)) {
            (Form::Flv, None) => Ok(framed(tag)),
            (Form::Ts(retold), Some(Coding::Hevc { offset_ms, data })) => {
                retold.video(tag, offset_ms, data)
            }
            (Form::Ts(retold), None) if tag.kind == TagKind::Audio => retold.audio(tag),
            // Read anew it is known for what it is.
            (Form::Flv, Some(Coding::Hevc { .. })) | (Form::Ts(_), None) if is_header => {
                Err("its video changed to another codec".into())
            }
            (_, Some(Coding::Unknown(codec))) if is_header => {
                Err(format!("its video is {codec} by Enhanced RTMP: H.264 and HEVC are read"))
            }
            _ => Ok(Bytes::new()),
        }
    }
}

/// How a video tag is coded that FFmpeg 5.1 does not read.
#[derive(Debug, PartialEq, Eq)]
enum Coding<'a> {
    /// Enhanced RTMP, or the id 12 that encoders used before that.
    Hevc { offset_ms: i64, data: &'a [u8] },
    /// Something else of Enhanced RTMP, by its FourCC.
    Unknown(String),
}

impl Coding<'_> {
    /// `None` for what FFmpeg reads.
    fn of(tag: &FlvTag) -> Option<Coding<'_>> {
        if tag.kind != TagKind::Video {
            return None;
        }
        let (has_offset, rest) = match *tag.body {
            [first, _, ref rest @ ..] if first & 0x8f == 12 => (true, rest),
            [first, b'h', b'v', b'c', b'1', ref rest @ ..] if first & 0x80 != 0 => {
                (first & 0x0f == 1, rest)
            }
            [first, ref rest @ ..] if first & 0x80 != 0 => {
                let four_cc = &rest[..rest.len().min(4)];
                return Some(Coding::Unknown(four_cc.escape_ascii().to_string()));
            }
            _ => return None,
        };
        Some(match rest {
            // 24 bits with a sign.
            [a, b, c, data @ ..] if has_offset => {
                Coding::Hevc { offset_ms: (i32::from_be_bytes([*a, *b, *c, 0]) >> 8).into(), data }
            }
            data => Coding::Hevc { offset_ms: 0, data },
        })
    }
}

/// A stream that is told again.
#[derive(Default)]
struct Retold {
    record: Bytes,
    asc: Bytes,
    packer: Option<Packer>,
}

impl Retold {
    fn video(&mut self, tag: &FlvTag, offset_ms: i64, data: &[u8]) -> Result<Bytes, String> {
        let data = tag.body.slice_ref(data);
        match tag.class {
            TagClass::VideoHeader => self.begin(|retold| &mut retold.record, data),
            TagClass::Keyframe | TagClass::Inter => self.tell(Track::Video, tag, (offset_ms, data)),
            _ => Ok(Bytes::new()),
        }
    }

    fn audio(&mut self, tag: &FlvTag) -> Result<Bytes, String> {
        // Two bytes before AAC; FFmpeg 5.1 knows nothing else that HEVC comes with.
        let data = match tag.body.first() {
            Some(first) if first >> 4 == 10 && tag.body.len() > 2 => tag.body.slice(2..),
            _ => return Ok(Bytes::new()),
        };
        match tag.class {
            TagClass::AudioHeader => self.begin(|retold| &mut retold.asc, data),
            _ if self.asc.is_empty() => Ok(Bytes::new()),
            _ => self.tell(Track::Audio, tag, (0, data)),
        }
    }

    /// Takes a header; another one than before makes another stream.
    fn begin(
        &mut self,
        which: fn(&mut Retold) -> &mut Bytes,
        data: Bytes,
    ) -> Result<Bytes, String> {
        let is_another = *which(self) != data;
        *which(self) = data;
        match self.packer.is_some() && is_another {
            true => Err("its video or sound is coded in another way now".into()),
            false => Ok(Bytes::new()),
        }
    }

    fn tell(
        &mut self,
        track: Track,
        tag: &FlvTag,
        (offset_ms, data): (i64, Bytes),
    ) -> Result<Bytes, String> {
        if self.record.is_empty() {
            return Ok(Bytes::new());
        }
        let dts_ns = i64::from(tag.timestamp_ms) * 1_000_000;
        let pts_ns = dts_ns + offset_ms * 1_000_000;
        let key = tag.class != TagClass::Inter;
        let packet = Packet { track, pts_ns, dts_ns, duration_ns: 0, key, data };
        let told = |error: super::mux::MuxError| error.to_string();
        if self.packer.is_none() {
            self.packer = Some(Packer::open(Container::Ts, &self.header()).map_err(told)?);
        }
        let Some(packer) = &mut self.packer else { return Ok(Bytes::new()) };
        packer.write(&packet).map_err(told)?;
        // Sound would be gathered for some time.
        packer.cut().map_err(told)?;
        Ok(packer.take().into())
    }

    /// What is not in the parameter sets is not told in MPEG-TS.
    fn header(&self) -> StreamHeader {
        StreamHeader {
            size: Size::new(16, 16),
            rate: FrameRate::FPS_30,
            decoder: DecoderConfig { codec: VideoCodec::Hevc, record: self.record.clone() },
            asc: self.asc.clone(),
            video_bps: BitRate::default(),
            audio_bps: 0,
            gop_ticks: 1,
            picture_ticks: 1,
            origin: Origin::default(),
            shift_ns: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_told_apart() {
        let check = |body: &'static [u8], want: Option<Coding<'_>>| {
            let tag = FlvTag::new(TagKind::Video, 0, Bytes::from_static(body));
            assert_eq!(Coding::of(&tag), want, "{body:x?}");
        };
        let hevc = |offset_ms, data| Some(Coding::Hevc { offset_ms, data });
        check(b"\x17\x01\0\0\0x", None);
        check(b"\x22\x00", None);
        check(b"\x1c\x00\0\0\0record", hevc(0, b"record"));
        check(b"\x2c\x01\0\0\x21x", hevc(33, b"x"));
        check(b"\x90hvc1record", hevc(0, b"record"));
        check(b"\xa1hvc1\xff\xff\xdfx", hevc(-33, b"x"));
        check(b"\xa3hvc1\xff\xff\xdfx", hevc(0, b"\xff\xff\xdfx"));
        check(b"\x90av01record", Some(Coding::Unknown("av01".into())));
        check(b"\x96\x00", Some(Coding::Unknown("\\x00".into())));
        check(b"", None);
    }
}
