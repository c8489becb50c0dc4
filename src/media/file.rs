//! Playing a file: begin and end, once, n times or for ever, on one timeline that never turns back.
//!
//! Owns trimming and the seams of a loop. Must not know queues or clocks. Invariant: a pass is exactly as long
//! for video as for audio, so lips stay in sync over any number of loops; the begin of the excerpt is at 0 ns.

use std::collections::VecDeque;
use std::sync::Arc;

use super::decode::{Counters, block_end_ns};
use super::nvdec::{DecodedBy, Decoder};
use super::open::{HTTP_PROTOCOLS, MediaError, OpenRequest, Probing, Target};
use super::reader::{Description, Next, Reader, Room};
use super::resample::samples_ns;
use crate::frame::{AudioBlock, VideoFrame};
use crate::limits::{INPUT_AUDIO_QUEUE, LOOP_AUDIO_TAIL};
use crate::source::Part;
use crate::time::SAMPLE_RATE;
use crate::worker::StopToken;

/// How often a file is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plays {
    /// This often, at least once.
    Times(u32),
    /// Until it is stopped.
    Forever,
}

impl Plays {
    /// From the API's `RepeatNum`: further plays after the first, negative for ever.
    pub fn from_repeat(repeat_num: i32) -> Plays {
        match u32::try_from(repeat_num) {
            Ok(repeats) => Plays::Times(repeats.saturating_add(1)),
            Err(_) => Plays::Forever,
        }
    }
}

/// Which part of a file, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// How often.
    pub plays: Plays,
    /// Milliseconds after the first picture at which the first play begins instead of at `begin_ms`; past the end of
    /// the excerpt it counts into the plays that follow, and if there is none, the file ends without a picture.
    pub seek_ms: Option<u64>,
    /// Milliseconds after the first picture at which it begins; the first picture at or after that is shown.
    pub begin_ms: u64,
    /// Where it ends, exclusive: > 0 milliseconds after the first picture, < 0 before the end; none or 0: at
    /// the end.
    pub end_ms: Option<i64>,
}

/// Audio packets read ahead of the next picture at which the video is taken to pause.
const VIDEO_PAUSE_PACKETS: usize = 1024;

/// How far ahead of the begin a key frame is looked for, one after the other.
const SEEK_MARGINS_NS: [i64; 3] = [0, 3_000_000_000, 12_000_000_000];

const NS_PER_MS: i64 = 1_000_000;
/// 24 years: more is no begin, and would overflow.
const MAX_BEGIN_MS: i64 = i64::MAX / 12 / NS_PER_MS;

/// What plays after a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing: its sound may outlast its pictures.
    Nothing,
    /// Something at once: it ends as a pass of a loop does.
    More,
}

/// A file being played.
pub(crate) struct FilePlayer {
    file: File,
    excerpt: Excerpt,
    then: Then,
    reader: Reader,
    pass: Pass,
    /// Passes begun, this one and those that were sought over included.
    passes: u32,
    /// A pass began and was not yet told.
    begins: bool,
    /// Time of this pass's begin on the player's timeline.
    offset_ns: i64,
    /// Counters of earlier passes.
    counted: Counters,
}

/// How a file is opened, each time.
struct File {
    url: String,
    options: Vec<(&'static str, String)>,
    protocols: &'static str,
    stop: StopToken,
    decoder: Decoder,
}

/// State of one pass. Times are relative to its begin.
struct Pass {
    /// Time of the begin in the container.
    origin_ns: i64,
    /// The same from the first picture on.
    begin_ns: i64,
    /// It begins where a seek leads, where nothing need be left.
    is_sought: bool,
    end_ns: Option<i64>,
    video_end_ns: Option<i64>,
    audio_end_ns: Option<i64>,
    /// Audio that is not yet known to lie before the end of the video.
    held: VecDeque<AudioBlock>,
    ended: bool,
}

impl FilePlayer {
    /// Opens the file and goes to the begin.
    ///
    /// # Errors
    /// When it cannot be opened, holds nothing that can be decoded, or the excerpt is empty.
    pub(crate) fn open(
        url: String,
        options: Vec<(&'static str, String)>,
        (excerpt, decoder): (Excerpt, &Decoder),
        stop: &StopToken,
    ) -> Result<FilePlayer, MediaError> {
        let network = url.starts_with("http:") || url.starts_with("https:");
        let protocols = if network { HTTP_PROTOCOLS } else { "file" };
        let file = File { url, options, protocols, stop: stop.clone(), decoder: decoder.clone() };
        let (begin_ms, over) = file.sought(excerpt)?;
        let (reader, mut pass) = file.open_pass(excerpt, begin_ms, None)?;
        pass.is_sought = excerpt.seek_ms.is_some();
        Ok(FilePlayer {
            file,
            excerpt,
            then: Then::Nothing,
            reader,
            pass,
            passes: over.saturating_add(1),
            begins: true,
            offset_ns: 0,
            counted: Counters::default(),
        })
    }

    /// What the file consists of.
    pub(crate) fn description(&self) -> &Description {
        self.reader.description()
    }

    /// What decodes its video, as of the last picture.
    pub(crate) fn decoded_by(&self) -> DecodedBy {
        self.reader.decoded_by()
    }

    /// Counters over all passes.
    pub(crate) fn counters(&self) -> Counters {
        let now = self.reader.counters();
        Counters {
            decoded: self.counted.decoded + now.decoded,
            decode_errors: self.counted.decode_errors + now.decode_errors,
            packets_dropped: self.counted.packets_dropped + now.packets_dropped,
        }
    }

    /// Says what plays after it.
    pub(crate) fn set_then(&mut self, then: Then) {
        self.then = then;
    }

    /// The pass that began since this was last asked: which one, from 0 on, when on the player's timeline, and at
    /// what time of the file; ns.
    pub(crate) fn take_begun(&mut self) -> Option<Part> {
        std::mem::take(&mut self.begins).then_some(Part {
            item: 0,
            pass: self.passes - 1,
            begin_ns: self.offset_ns,
            position_ns: self.pass.begin_ns,
        })
    }

    /// Where, on the player's timeline, what has been delivered ends.
    pub(crate) fn end_ns(&self) -> i64 {
        self.offset_ns + self.length_ns().unwrap_or(0)
    }

    fn is_last_pass(&self) -> bool {
        matches!(self.excerpt.plays, Plays::Times(n) if self.passes >= n)
    }

    /// Whether nothing follows this pass that its sound could run into.
    fn is_final(&self) -> bool {
        self.is_last_pass() && self.then == Then::Nothing
    }

    /// Delivers something there is room for.
    pub(crate) fn next(&mut self, room: Room) -> Result<Next, MediaError> {
        loop {
            if room.audio
                && let Some(block) = self.release()
            {
                return Ok(Next::Audio(block));
            }
            if self.pass.ended {
                if !self.pass.held.is_empty() {
                    return Ok(Next::Wait);
                }
                if self.is_last_pass() {
                    return Ok(Next::End);
                }
                self.begin_next_pass()?;
                return Ok(Next::BeforeKey);
            }
            let hold = Room { audio: self.pass.held.len() < INPUT_AUDIO_QUEUE, ..room };
            match self.reader.next(hold)? {
                Next::Video(frame, duration_ns) => {
                    if let Some(frame) = self.take_video(frame, duration_ns) {
                        return Ok(Next::Video(frame, duration_ns));
                    }
                }
                Next::Audio(block) => self.take_audio(block),
                Next::Wait => return Ok(Next::Wait),
                Next::BeforeKey => {}
                Next::End => self.end_pass()?,
            }
        }
    }

    fn take_video(&mut self, mut frame: VideoFrame, duration_ns: i64) -> Option<VideoFrame> {
        let at_ns = frame.pts_ns - self.pass.origin_ns;
        if at_ns < 0 && self.pass.begin_ns > 0 {
            return None;
        }
        if self.pass.end_ns.is_some_and(|end| at_ns >= end) {
            self.reader.finish_video();
            return None;
        }
        let end_ns = at_ns + duration_ns;
        self.pass.video_end_ns = Some(self.pass.video_end_ns.map_or(end_ns, |e| e.max(end_ns)));
        frame.pts_ns = self.offset_ns + at_ns;
        Some(frame)
    }

    fn take_audio(&mut self, mut block: AudioBlock) {
        block.pts_ns -= self.pass.origin_ns;
        if self.pass.end_ns.is_some_and(|end| block.pts_ns >= end) {
            self.reader.finish_audio();
        }
        if let Some(block) = trim(block, 0, self.pass.end_ns) {
            let end_ns = block_end_ns(&block);
            self.pass.audio_end_ns = Some(self.pass.audio_end_ns.map_or(end_ns, |e| e.max(end_ns)));
            self.pass.held.push_back(block);
        }
    }

    /// The next audio block that surely belongs to this pass. In the last pass that is all of it; before, only
    /// what lies within the video, as the pass ends with it.
    fn release(&mut self) -> Option<AudioBlock> {
        let end_ns = block_end_ns(self.pass.held.front()?);
        let sure = self.pass.ended
            || self.is_final()
            || !self.reader.has_video()
            || self.reader.audio_backlog() > VIDEO_PAUSE_PACKETS
            || self.pass.video_end_ns.is_some_and(|video_end| end_ns <= video_end);
        if !sure {
            return None;
        }
        let mut block = self.pass.held.pop_front()?;
        block.pts_ns += self.offset_ns;
        Some(block)
    }

    fn end_pass(&mut self) -> Result<(), MediaError> {
        let length_ns = self.length_ns().or(self.pass.is_sought.then_some(0)).ok_or_else(|| {
            MediaError::Open("there is nothing to decode between begin and end".into())
        })?;
        self.pass.ended = true;
        if !self.is_final() {
            let held = std::mem::take(&mut self.pass.held);
            let trimmed = held.into_iter().filter_map(|block| trim(block, 0, Some(length_ns)));
            self.pass.held = trimmed.collect();
        }
        Ok(())
    }

    /// Length of the pass: the video's, unless the audio goes on for longer than `LOOP_AUDIO_TAIL`.
    fn length_ns(&self) -> Option<i64> {
        let tail_ns = LOOP_AUDIO_TAIL.as_nanos() as i64;
        match (self.pass.video_end_ns, self.pass.audio_end_ns) {
            (Some(video), Some(audio)) if audio > video + tail_ns => Some(audio),
            (Some(video), _) => Some(video),
            (None, audio) => audio,
        }
    }

    fn begin_next_pass(&mut self) -> Result<(), MediaError> {
        self.counted = self.counters();
        self.offset_ns += self.length_ns().unwrap_or(0).max(NS_PER_MS);
        self.passes = self.passes.saturating_add(1);
        // Opened anew rather than sought: every pass then decodes to the same pictures in every container.
        let (begin_ms, spare) = (self.excerpt.begin_ms, Some(&mut self.reader));
        (self.reader, self.pass) = self.file.open_pass(self.excerpt, begin_ms, spare)?;
        self.begins = true;
        Ok(())
    }
}

impl File {
    fn open(&self, spare: Option<&mut Reader>) -> Result<Reader, MediaError> {
        let target = Target::Url { url: self.url.clone(), options: self.options.clone() };
        let decoder = self.decoder.clone();
        let request =
            OpenRequest { target, protocols: self.protocols, probing: Probing::File, decoder };
        Reader::open(request, &self.stop, spare)
    }

    /// Opens it for a pass that begins `begin_ms` after the first picture.
    fn open_pass(
        &self,
        excerpt: Excerpt,
        begin_ms: u64,
        spare: Option<&mut Reader>,
    ) -> Result<(Reader, Pass), MediaError> {
        let mut reader = self.open(spare)?;
        let begin_ns = ns(begin_ms);
        let origin_ns = reader.start_ns() + begin_ns;
        // If no margin finds a key frame before the begin, the file is decoded from its start.
        if begin_ns > 0 {
            for margin_ns in SEEK_MARGINS_NS {
                if reader.seek_before(origin_ns, margin_ns)? {
                    break;
                }
                reader = self.open(Some(&mut reader))?;
            }
        }
        let end_ns = match excerpt.end_ms {
            None | Some(0) => None,
            Some(ms @ 1..) => Some(ms.saturating_mul(NS_PER_MS) - begin_ns),
            Some(ms) => {
                let end = self.end_ns()?.ok_or_else(|| {
                    let why = "its length is unknown, so no end can be counted back from";
                    MediaError::Open(why.into())
                })?;
                Some(end.saturating_add(ms.saturating_mul(NS_PER_MS)) - begin_ns)
            }
        };
        if end_ns.is_some_and(|end| end <= 0) && excerpt.seek_ms.is_none() {
            return Err(MediaError::Open("its end lies before its begin".into()));
        }
        let pass = Pass {
            origin_ns,
            begin_ns,
            is_sought: false,
            end_ns,
            video_end_ns: None,
            audio_end_ns: None,
            held: VecDeque::new(),
            ended: false,
        };
        Ok((reader, pass))
    }

    /// Where it really ends, from its first picture on, if that can be known.
    fn end_ns(&self) -> Result<Option<i64>, MediaError> {
        let reader = self.open(None)?;
        let start_ns = reader.start_ns();
        Ok(reader.into_end_ns()?.map(|end| end - start_ns))
    }

    /// Where the first pass begins, ms, and how many passes a seek leads over.
    fn sought(&self, excerpt: Excerpt) -> Result<(u64, u32), MediaError> {
        let Some(seek_ms) = excerpt.seek_ms else { return Ok((excerpt.begin_ms, 0)) };
        if matches!(excerpt.plays, Plays::Times(0 | 1)) {
            // No play follows that it could lead into: the end need not be known.
            return Ok((seek_ms, 0));
        }
        let whole_ns = match self.end_ns() {
            Err(MediaError::Stopped) => return Err(MediaError::Stopped),
            end => end.ok().flatten(),
        };
        let end_ns = match excerpt.end_ms {
            Some(ms @ 1..) => Some(whole_ns.unwrap_or(i64::MAX).min(ns(ms.unsigned_abs()))),
            ms => whole_ns.map(|end| end.saturating_add(ms.unwrap_or(0).saturating_mul(NS_PER_MS))),
        };
        // Of a file whose end is unknown the plays that follow begin when this one has found it.
        Ok(wrap(seek_ms, excerpt, end_ns.map(to_ms)))
    }
}

/// The place in its pass that a seek leads to, ms, and the passes before it, where passes end at `end_ms`.
fn wrap(seek_ms: u64, excerpt: Excerpt, end_ms: Option<u64>) -> (u64, u32) {
    let length_ms = end_ms.map_or(0, |end| end.saturating_sub(excerpt.begin_ms));
    let over = seek_ms.saturating_sub(excerpt.begin_ms).checked_div(length_ms).unwrap_or(0);
    let over = u32::try_from(over).unwrap_or(u32::MAX);
    let over = match excerpt.plays {
        // What leads past the last play ends in it.
        Plays::Times(n) => over.min(n.saturating_sub(1)),
        Plays::Forever => over,
    };
    (seek_ms.saturating_sub(u64::from(over).saturating_mul(length_ms)), over)
}

/// To the nearest: containers round the times of their frames.
fn to_ms(ns: i64) -> u64 {
    (ns.max(0) as u64 + 500_000) / NS_PER_MS as u64
}

fn ns(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(MAX_BEGIN_MS).min(MAX_BEGIN_MS) * NS_PER_MS
}

/// The part of a block between `begin_ns` and `end_ns`, to the sample.
fn trim(block: AudioBlock, begin_ns: i64, end_ns: Option<i64>) -> Option<AudioBlock> {
    let count_until = |ns: i64| -> usize {
        // To the nearest sample: times of samples are rounded.
        let scaled = i128::from(ns - block.pts_ns) * i128::from(SAMPLE_RATE) + 500_000_000;
        let samples = scaled / 1_000_000_000;
        usize::try_from(samples.max(0)).unwrap_or(usize::MAX).min(block.samples.len())
    };
    let first = count_until(begin_ns);
    let last = end_ns.map_or(block.samples.len(), count_until);
    if first == 0 && last == block.samples.len() {
        return (last > 0).then_some(block);
    }
    (first < last).then(|| AudioBlock {
        pts_ns: block.pts_ns + samples_ns(first),
        samples: Arc::from(&block.samples[first..last]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seek_past_the_end_counts_into_the_plays_that_follow() {
        // (seek, begin, plays, end) → (begin of the first play, plays before it)
        let table = [
            ((700, 0, Plays::Times(1), Some(2000)), (700, 0)),
            ((2500, 0, Plays::Times(1), Some(2000)), (2500, 0)),
            ((2500, 0, Plays::Times(3), Some(2000)), (500, 1)),
            ((6500, 0, Plays::Times(3), Some(2000)), (2500, 2)),
            ((6500, 0, Plays::Forever, Some(2000)), (500, 3)),
            ((2000, 0, Plays::Forever, Some(2000)), (0, 1)),
            ((1999, 500, Plays::Forever, Some(2000)), (1999, 0)),
            ((2000, 500, Plays::Forever, Some(2000)), (500, 1)),
            ((300, 500, Plays::Forever, Some(2000)), (300, 0)),
            ((9000, 500, Plays::Forever, None), (9000, 0)),
            ((9000, 500, Plays::Forever, Some(0)), (9000, 0)),
        ];
        for ((seek_ms, begin_ms, plays, end_ms), want) in table {
            let excerpt = Excerpt { plays, seek_ms: Some(seek_ms), begin_ms, end_ms: None };
            assert_eq!(wrap(seek_ms, excerpt, end_ms), want, "{seek_ms} {begin_ms} {plays:?}");
        }
    }

    #[test]
    fn trimming_is_exact_to_the_sample() {
        let block = |pts_ns| AudioBlock {
            pts_ns,
            samples: (0..480_u16).map(|i| [f32::from(i); 2]).collect(),
        };
        // (pts, begin, end) → (pts, first sample, count)
        let ms = NS_PER_MS;
        let table = [
            ((0, 0, None), Some((0, 0.0, 480))),
            ((0, 0, Some(5 * ms)), Some((0, 0.0, 240))),
            ((-5 * ms, 0, None), Some((0, 240.0, 240))),
            ((-5 * ms, 0, Some(ms)), Some((0, 240.0, 48))),
            ((-10 * ms, 0, None), None),
            ((10 * ms, 0, Some(10 * ms)), None),
        ];
        for ((pts, begin, end), want) in table {
            let got =
                trim(block(pts), begin, end).map(|b| (b.pts_ns, b.samples[0][0], b.samples.len()));
            assert_eq!(got, want, "{pts} {begin} {end:?}");
        }
    }
}
