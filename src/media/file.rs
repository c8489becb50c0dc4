//! Playing a file: begin and end, once, n times or for ever, on one timeline that never turns back.
//!
//! Owns trimming and the seams of a loop. Must not know queues or clocks. Invariant: a pass is exactly as long
//! for video as for audio, so lips stay in sync over any number of loops; the begin of the excerpt is at 0 ns.

use std::collections::VecDeque;
use std::sync::Arc;

use super::decode::{Counters, block_end_ns};
use super::open::{HTTP_PROTOCOLS, MediaError, OpenRequest, Probing, Target};
use super::reader::{Description, Next, Reader, Room};
use super::resample::samples_ns;
use crate::frame::{AudioBlock, VideoFrame};
use crate::limits::{INPUT_AUDIO_QUEUE, LOOP_AUDIO_TAIL};
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

/// A file being played.
pub(crate) struct FilePlayer {
    url: String,
    options: Vec<(&'static str, String)>,
    protocols: &'static str,
    excerpt: Excerpt,
    stop: StopToken,
    reader: Reader,
    pass: Pass,
    /// Passes begun, this one included.
    passes: u32,
    /// Time of this pass's begin on the player's timeline.
    offset_ns: i64,
    /// Counters of earlier passes.
    counted: Counters,
}

/// State of one pass. Times are relative to its begin.
struct Pass {
    /// Time of the begin in the container.
    origin_ns: i64,
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
        excerpt: Excerpt,
        stop: &StopToken,
    ) -> Result<FilePlayer, MediaError> {
        let network = url.starts_with("http:") || url.starts_with("https:");
        let protocols = if network { HTTP_PROTOCOLS } else { "file" };
        let (reader, pass) = open_pass(&url, &options, protocols, (excerpt, stop), None)?;
        Ok(FilePlayer {
            url,
            options,
            protocols,
            excerpt,
            stop: stop.clone(),
            reader,
            pass,
            passes: 1,
            offset_ns: 0,
            counted: Counters::default(),
        })
    }

    /// What the file consists of.
    pub(crate) fn description(&self) -> &Description {
        self.reader.description()
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

    fn is_last_pass(&self) -> bool {
        matches!(self.excerpt.plays, Plays::Times(n) if self.passes >= n)
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
        if at_ns < 0 && self.excerpt.begin_ms > 0 {
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
            || self.is_last_pass()
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
        let length_ns = self.length_ns().ok_or_else(|| {
            MediaError::Open("there is nothing to decode between begin and end".into())
        })?;
        self.pass.ended = true;
        if !self.is_last_pass() {
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
        let (how, spare) = ((self.excerpt, &self.stop), Some(&mut self.reader));
        (self.reader, self.pass) = open_pass(&self.url, &self.options, self.protocols, how, spare)?;
        Ok(())
    }
}

fn open_pass(
    url: &str,
    options: &[(&'static str, String)],
    protocols: &'static str,
    (excerpt, stop): (Excerpt, &StopToken),
    spare: Option<&mut Reader>,
) -> Result<(Reader, Pass), MediaError> {
    let open = |spare: Option<&mut Reader>| {
        let target = Target::Url { url: url.to_owned(), options: options.to_vec() };
        Reader::open(OpenRequest { target, protocols, probing: Probing::File }, stop, spare)
    };
    let mut reader = open(spare)?;
    let begin_ms = i64::try_from(excerpt.begin_ms).unwrap_or(MAX_BEGIN_MS).min(MAX_BEGIN_MS);
    let begin_ns = begin_ms * NS_PER_MS;
    let origin_ns = reader.start_ns() + begin_ns;
    // If no margin finds a key frame before the begin, the file is decoded from its start.
    if begin_ns > 0 {
        for margin_ns in SEEK_MARGINS_NS {
            if reader.seek_before(origin_ns, margin_ns)? {
                break;
            }
            reader = open(Some(&mut reader))?;
        }
    }
    let end_ns = match excerpt.end_ms {
        None | Some(0) => None,
        Some(ms @ 1..) => Some(ms.saturating_mul(NS_PER_MS) - begin_ns),
        Some(ms) => {
            let end = open(None)?.into_end_ns()?.ok_or_else(|| {
                MediaError::Open("its length is unknown, so no end can be counted back from".into())
            })?;
            Some(end.saturating_add(ms.saturating_mul(NS_PER_MS)) - origin_ns)
        }
    };
    if end_ns.is_some_and(|end| end <= 0) {
        return Err(MediaError::Open("its end lies before its begin".into()));
    }
    let pass = Pass {
        origin_ns,
        end_ns,
        video_end_ns: None,
        audio_end_ns: None,
        held: VecDeque::new(),
        ended: false,
    };
    Ok((reader, pass))
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
