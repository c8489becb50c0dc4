//! Looking through a recorded file before it is used: all of its packets, and pictures from its begin and its end.
//!
//! Owns what makes a file fit for the air. Must not know where it came from. Invariant: a file that passes plays: its
//! pictures are decoded here by the very player that plays it later.

use std::collections::BTreeMap;
use std::path::Path;

use ffmpeg_next::Packet;
use ffmpeg_next::ffi::{self, AVMediaType};

use super::file::{Excerpt, FilePlayer, Plays};
use super::nvdec::Decoder;
use super::open::{Demuxer, MediaError, OpenRequest, Probing, ReadOutcome, StreamInfo, Target};
use super::reader::{Description, Next, Room};
use crate::frame::Size;
use crate::limits::{LOOP_AUDIO_TAIL, MAX_MEDIA_DURATION, MEDIA_DAMAGED_PERCENT};
use crate::worker::StopToken;

const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;
/// How far a stream's timestamps may turn back: interleaved fields and bad muxers do so by a frame or two.
const TURN_BACK_NS: i64 = NS_PER_S;
/// What a whole file may lack of the length that it declares: a fiftieth, and this.
const MISSING_NS: i64 = NS_PER_S / 2;
const MISSING_PART: i64 = 50;
/// How long before its last picture the end is looked at.
const LATE_NS: i64 = NS_PER_S;
/// Most that is decoded to get there; with key frames farther apart, what follows the last one is looked at.
const LATE_DECODE_NS: i64 = 30 * NS_PER_S;

/// What a file was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Examined {
    /// Container and codecs.
    pub description: Description,
    /// Size of its first picture, px.
    pub size: Size,
    /// How long one play of it takes, ms.
    pub duration_ms: u64,
    /// Its pictures.
    pub pictures: u64,
    /// Those at which decoding can begin.
    pub keyframes: u64,
}

/// Looks through a local file. Takes as long as reading all of it; ends soon after `stop`.
///
/// # Errors
/// What is wrong with it, in words that continue "it …"; `Stopped`.
pub fn examine(path: &Path, stop: &StopToken) -> Result<Examined, MediaError> {
    let url = format!("file:{}", path.display());
    let index = Index::read(&url, stop)?;
    let duration_ns = index.check()?;
    let (description, size) = decode_at(&url, 0, stop)?;
    decode_at(&url, index.late_ns(), stop)?;
    Ok(Examined {
        description,
        size,
        duration_ms: u64::try_from(duration_ns / NS_PER_MS).unwrap_or(0),
        pictures: index.pictures,
        keyframes: index.keyframes,
    })
}

/// The first picture at or after `begin_ns`, as it would be played.
fn decode_at(
    url: &str,
    begin_ns: i64,
    stop: &StopToken,
) -> Result<(Description, Size), MediaError> {
    let begin_ms = u64::try_from(begin_ns / NS_PER_MS).unwrap_or(0);
    let excerpt = Excerpt { plays: Plays::Times(1), begin_ms, end_ms: None, seek_ms: None };
    let mut player = FilePlayer::open(url.to_owned(), vec![], (excerpt, &Decoder::Software), stop)?;
    loop {
        match player.next(Room { video: true, audio: true }) {
            Ok(Next::Video(frame, _)) => {
                return Ok((player.description().clone(), frame.picture.size()));
            }
            Ok(Next::Audio(_) | Next::BeforeKey) => {}
            Err(error @ (MediaError::Stopped | MediaError::TooLarge(_))) => return Err(error),
            Ok(Next::End | Next::Wait) | Err(_) => {
                let at = format!("has no picture after {begin_ms} ms that can be decoded");
                return Err(MediaError::Unfit(at));
            }
        }
        if stop.is_stopped() {
            return Err(MediaError::Stopped);
        }
    }
}

/// What the packets of a stream say.
#[derive(Debug, Default)]
struct Span {
    first_ns: Option<i64>,
    last_ns: i64,
    end_ns: i64,
    last_dts_ns: i64,
}

impl Span {
    /// Takes a packet; true when time turned back.
    fn take(&mut self, pts_ns: i64, dts_ns: i64, duration_ns: i64) -> bool {
        let Some(first_ns) = self.first_ns else {
            *self = Span {
                first_ns: Some(pts_ns),
                last_ns: pts_ns,
                end_ns: pts_ns.saturating_add(duration_ns.max(0)),
                last_dts_ns: dts_ns,
            };
            return false;
        };
        let step_ns = dts_ns.saturating_sub(self.last_dts_ns);
        // Without a length of its own a packet is as long as the one before it was.
        let length_ns = if duration_ns > 0 { duration_ns } else { step_ns.max(0) };
        self.first_ns = Some(first_ns.min(pts_ns));
        self.last_ns = self.last_ns.max(pts_ns);
        self.end_ns = self.end_ns.max(pts_ns.saturating_add(length_ns));
        self.last_dts_ns = self.last_dts_ns.max(dts_ns);
        step_ns < -TURN_BACK_NS
    }
}

/// What all packets of a file say.
struct Index {
    declared_ns: Option<i64>,
    video: Option<StreamInfo>,
    audio: Option<StreamInfo>,
    spans: BTreeMap<usize, Span>,
    packets: u64,
    damaged: u64,
    is_last_damaged: bool,
    is_encrypted: bool,
    turns_back_at_ns: Option<i64>,
    pictures: u64,
    keyframes: u64,
    first_key_ns: Option<i64>,
    last_key_ns: i64,
    begins_with_key: bool,
}

impl Index {
    fn read(url: &str, stop: &StopToken) -> Result<Index, MediaError> {
        let target = Target::Url { url: url.to_owned(), options: vec![] };
        let decoder = Decoder::Software;
        let request = OpenRequest { target, protocols: "file", probing: Probing::File, decoder };
        let mut demuxer = Demuxer::open(request, stop)?;
        let mut index = Index {
            declared_ns: demuxer.declared_ns(),
            video: demuxer.best(AVMediaType::AVMEDIA_TYPE_VIDEO),
            audio: demuxer.best(AVMediaType::AVMEDIA_TYPE_AUDIO),
            spans: BTreeMap::new(),
            packets: 0,
            damaged: 0,
            is_last_damaged: false,
            is_encrypted: false,
            turns_back_at_ns: None,
            pictures: 0,
            keyframes: 0,
            first_key_ns: None,
            last_key_ns: 0,
            begins_with_key: false,
        };
        loop {
            let mut packet = Packet::empty();
            match demuxer.read(&mut packet)? {
                ReadOutcome::End => return Ok(index),
                ReadOutcome::Damaged => {
                    index.damage();
                    // Some demuxers say so for ever.
                    if index.damaged > 1000 && index.is_damaged() {
                        return Ok(index);
                    }
                }
                ReadOutcome::Packet => index.take(&packet),
            }
        }
    }

    fn damage(&mut self) {
        self.packets += 1;
        self.damaged += 1;
        self.is_last_damaged = true;
    }

    fn take(&mut self, packet: &Packet) {
        let dts_ns = packet.dts().or(packet.pts());
        let Some((dts_ns, false)) = dts_ns.map(|dts| (dts, packet.is_corrupt())) else {
            return self.damage();
        };
        self.packets += 1;
        self.is_last_damaged = false;
        self.is_encrypted |= is_encrypted(packet);
        let pts_ns = packet.pts().unwrap_or(dts_ns);
        let stream = packet.stream();
        let span = self.spans.entry(stream).or_default();
        let turned = span.take(pts_ns, dts_ns, packet.duration());
        let is_one = |kept: Option<StreamInfo>| kept.is_some_and(|kept| kept.index == stream);
        if turned && (is_one(self.video) || is_one(self.audio)) {
            self.turns_back_at_ns.get_or_insert(dts_ns);
        }
        if is_one(self.video) {
            self.take_picture(packet, pts_ns);
        }
    }

    fn take_picture(&mut self, packet: &Packet, pts_ns: i64) {
        self.begins_with_key |= self.pictures == 0 && packet.is_key();
        self.pictures += 1;
        if packet.is_key() {
            self.keyframes += 1;
            self.first_key_ns.get_or_insert(pts_ns);
            self.last_key_ns = pts_ns;
        }
    }

    fn is_damaged(&self) -> bool {
        self.damaged * 100 > self.packets * MEDIA_DAMAGED_PERCENT
    }

    /// Length of one play, ns.
    fn check(&self) -> Result<i64, MediaError> {
        let unfit = |text: String| Err(MediaError::Unfit(text));
        if self.is_encrypted {
            return unfit("is encrypted".into());
        }
        let Some(video) = self.video.as_ref() else { return unfit("has no video".into()) };
        let Some(span) = self.spans.get(&video.index).filter(|_| self.pictures > 0) else {
            return unfit("has a video stream without pictures".into());
        };
        if self.is_last_damaged || self.is_damaged() {
            return unfit(format!(
                "is cut off or damaged: {} of its {} packets",
                self.damaged, self.packets
            ));
        }
        if let Some((declared_ns, found_ns)) = self.missing() {
            return unfit(format!(
                "is cut off: it says that it is {} ms long, and ends after {} ms",
                declared_ns / NS_PER_MS,
                found_ns / NS_PER_MS
            ));
        }
        if let Some(at_ns) = self.turns_back_at_ns {
            return unfit(format!("has timestamps that turn back at {} ms", at_ns / NS_PER_MS));
        }
        let start_ns = self.start_ns();
        if !self.begins_with_key {
            return unfit(match self.first_key_ns {
                Some(key_ns) => format!(
                    "does not begin with a key frame: the first comes after {} ms",
                    (key_ns - start_ns) / NS_PER_MS
                ),
                None => "has no key frame".into(),
            });
        }
        let length_ns = self.length_ns(span, start_ns);
        match length_ns {
            ..NS_PER_MS => unfit("has no length: its timestamps stand still".into()),
            _ if length_ns as u128 > MAX_MEDIA_DURATION.as_nanos() => {
                unfit(format!("is {} hours long by its timestamps", length_ns / (3600 * NS_PER_S)))
            }
            _ => Ok(length_ns),
        }
    }

    /// Declared and found length, ns, if what was found falls short.
    fn missing(&self) -> Option<(i64, i64)> {
        let declared_ns = self.declared_ns?;
        let first_ns = self.spans.values().filter_map(|span| span.first_ns).min()?;
        let end_ns = self.spans.values().map(|span| span.end_ns).max()?;
        let found_ns = end_ns.saturating_sub(first_ns);
        let tolerated_ns = MISSING_NS + declared_ns / MISSING_PART;
        (found_ns < declared_ns.saturating_sub(tolerated_ns)).then_some((declared_ns, found_ns))
    }

    /// Time of the first picture.
    fn start_ns(&self) -> i64 {
        let Some(video) = self.video.as_ref() else { return 0 };
        let first_ns = self.spans.get(&video.index).and_then(|span| span.first_ns);
        video.start_ns.or(first_ns).unwrap_or(0)
    }

    /// The video's length, unless the sound goes on for longer than a player cuts off.
    fn length_ns(&self, video: &Span, start_ns: i64) -> i64 {
        let audio = self.audio.as_ref().and_then(|audio| self.spans.get(&audio.index));
        let tail_ns = LOOP_AUDIO_TAIL.as_nanos() as i64;
        let end_ns = match audio {
            Some(audio) if audio.end_ns > video.end_ns.saturating_add(tail_ns) => audio.end_ns,
            _ => video.end_ns,
        };
        end_ns.saturating_sub(start_ns)
    }

    /// Where to look at the end, counted from the first picture, ns.
    fn late_ns(&self) -> i64 {
        let span = self.video.as_ref().and_then(|video| self.spans.get(&video.index));
        let last_ns = span.map_or(0, |span| span.last_ns);
        let late_ns = last_ns.saturating_sub(LATE_NS);
        let at_ns = match late_ns.saturating_sub(self.last_key_ns) > LATE_DECODE_NS {
            true => self.last_key_ns,
            false => late_ns,
        };
        at_ns.saturating_sub(self.start_ns()).max(0)
    }
}

#[expect(unsafe_code, reason = "FFmpeg's side data has no safe look-up by kind")]
fn is_encrypted(packet: &Packet) -> bool {
    use ffmpeg_next::packet::Ref;
    let kind = ffi::AVPacketSideDataType::AV_PKT_DATA_ENCRYPTION_INFO;
    // SAFETY: the packet is alive and only looked at.
    let data = unsafe { ffi::av_packet_get_side_data(packet.as_ptr(), kind, std::ptr::null_mut()) };
    !data.is_null()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = NS_PER_MS;

    #[test]
    fn spans_tell_length_and_turns() {
        // (pts, dts, duration) in ms → first, last, end, turns
        type Packets = &'static [(i64, i64, i64)];
        let table: [(Packets, (i64, i64, i64), usize); 5] = [
            (&[(0, 0, 40), (40, 40, 40)], (0, 40, 80), 0),
            // B-frames: decoded in another order.
            (&[(80, 0, 40), (160, 40, 40), (120, 80, 40)], (80, 160, 200), 0),
            // No lengths: as long as the step before.
            (&[(0, 0, 0), (5000, 5000, 0)], (0, 5000, 10_000), 0),
            (&[(0, 0, 40), (9000, 9000, 40), (100, 100, 40)], (0, 9000, 9040), 1),
            (&[(900, 900, 40), (100, 100, 40)], (100, 900, 940), 0),
        ];
        for (packets, (first, last, end), turns) in table {
            let mut span = Span::default();
            let turned = packets
                .iter()
                .filter(|&&(pts, dts, length)| span.take(pts * MS, dts * MS, length * MS))
                .count();
            let got = (span.first_ns.unwrap() / MS, span.last_ns / MS, span.end_ns / MS);
            assert_eq!((got, turned), ((first, last, end), turns), "{packets:?}");
        }
    }
}
