//! What every moving input has: a media timeline with the pictures and samples that are not yet due, and the picture
//! that is shown.
//!
//! Must not know programme time: how media time maps to it is the business of `live` and `paced`. Invariant: a picture
//! that was shown is never followed by an older one of the same segment.

use super::audio::{AudioQueue, time_of};
use super::reader::{Beginning, Reader, Span};
use super::unwrap::{Opening, Track, Unwrap};
use super::video::VideoQueue;
use crate::frame::{AudioBlock, StereoSample, VideoFrame};
use crate::time::FrameRate;

/// A tick, as the inputs need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    pub(super) n: u64,
    /// When it is.
    pub(super) now_ns: i64,
    /// How long it lasts.
    pub(super) len_ns: i64,
    /// Its first sample.
    pub(super) sample: i64,
    /// How many samples it has.
    pub(super) samples: usize,
}

impl Tick {
    pub(super) fn new(rate: FrameRate, n: u64) -> Tick {
        let now_ns = rate.tick_ns(n) as i64;
        Tick {
            n,
            now_ns,
            len_ns: rate.tick_ns(n + 1) as i64 - now_ns,
            sample: rate.sample_at(n) as i64,
            samples: rate.samples_in(n),
        }
    }
}

/// The picture that an input shows.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) frame: VideoFrame,
    /// Its media time.
    pub(super) media_ns: i64,
    /// The tick that showed it first.
    pub(super) since: u64,
}

/// Counters of an input since it was added.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct InputStats {
    /// Media ahead of what plays, ms.
    pub buffered_ms: u32,
    /// Frames kept for later (at most `limits::TIMELINE_FRAMES`; in a sync group `limits::SYNC_FRAMES`).
    pub frames: usize,
    /// Samples kept for later (at most `limits::TIMELINE_SAMPLES`; in a sync group `limits::SYNC_SAMPLES`).
    pub samples: usize,
    /// Ticks that showed the picture of the tick before, pauses not counted.
    pub repeated: u64,
    /// Frames and blocks dropped: too late, too many, or with timestamps that step back.
    pub dropped: u64,
    /// Times that the timeline was anchored anew.
    pub reanchors: u64,
    /// How much faster than the programme the source's clock seems to be, parts per million.
    pub drift_ppm: f32,
    /// Times that a picture or samples were due and not there.
    pub underruns: u64,
    /// Ticks since the current picture was first shown.
    pub media_age_ticks: u64,
    /// Paced: time of the file at which the picture that is shown lies, from the file's first picture, ms. In a loop that
    /// of the present pass, in a playlist that of the present item.
    pub position_ms: u64,
    /// Paced: the item of the playlist that plays, from 0; 0 for a single file.
    pub item: u32,
    /// Paced: which play of the file, or pass of the playlist, it is, from 0.
    pub pass: u32,
    /// It runs: it is not held and not paused.
    pub playing: bool,
    /// A file that has played to its end.
    pub ended: bool,
}

/// Timeline, queues and current picture of a moving input.
#[derive(Debug)]
pub(super) struct Media {
    pub(super) unwrap: Unwrap,
    pub(super) video: VideoQueue,
    pub(super) audio: AudioQueue,
    pub(super) reader: Reader,
    pub(super) shown: Option<Shown>,
    /// When something of the track came last, on the programme's clock.
    pub(super) seen_ns: [Option<i64>; 2],
    /// What came since the last tick.
    pub(super) arrived: [bool; 2],
    /// Jumps of the timestamps not yet told.
    pub(super) jumps: Vec<i64>,
    pub(super) stats: InputStats,
    odd_frame: Option<VideoFrame>,
    odd_block: Option<AudioBlock>,
}

/// A jump is proved by two items at most this far apart.
const PROOF_NS: i64 = 1_000_000_000;

impl Media {
    pub(super) fn new(unwrap: Unwrap, beginning: Beginning) -> Media {
        Media {
            unwrap,
            video: VideoQueue::new(),
            audio: AudioQueue::new(),
            reader: Reader::new(beginning),
            shown: None,
            seen_ns: [None; 2],
            arrived: [false; 2],
            jumps: Vec::new(),
            stats: InputStats::default(),
            odd_frame: None,
            odd_block: None,
        }
    }

    /// A frame arrived, to be seen by the tick at `now_ns`.
    pub(super) fn push_video(&mut self, frame: VideoFrame, now_ns: i64, opening: Opening) {
        self.mark(Track::Video, now_ns);
        let pts_ns = Unwrap::clamp(frame.pts_ns);
        let Some(place) = self.unwrap.place(Track::Video, pts_ns, now_ns, opening) else {
            self.stats.dropped += u64::from(self.odd_frame.replace(frame).is_some());
            return;
        };
        self.jumps.extend(place.jump_ns);
        if let Some(odd) = self.odd_frame.take() {
            let at = Unwrap::clamp(odd.pts_ns);
            let fits = (1..PROOF_NS).contains(&(pts_ns - at));
            let kept = fits && self.video.push(at + place.shift_ns, place.segment, odd);
            self.stats.dropped += u64::from(!kept);
        }
        let kept = self.video.push(pts_ns + place.shift_ns, place.segment, frame);
        self.stats.dropped += u64::from(!kept);
    }

    /// A block of samples arrived, to be heard by the tick at `now_ns`.
    pub(super) fn push_audio(&mut self, block: AudioBlock, now_ns: i64, opening: Opening) {
        if block.samples.is_empty() {
            return;
        }
        self.mark(Track::Audio, now_ns);
        let pts_ns = Unwrap::clamp(block.pts_ns);
        let Some(place) = self.unwrap.place(Track::Audio, pts_ns, now_ns, opening) else {
            self.stats.dropped += u64::from(self.odd_block.replace(block).is_some());
            return;
        };
        self.jumps.extend(place.jump_ns);
        if let Some(odd) = self.odd_block.take() {
            let at = Unwrap::clamp(odd.pts_ns);
            let fits = (1..PROOF_NS).contains(&(pts_ns - at));
            let kept = fits && self.audio.push(at + place.shift_ns, place.segment, &odd);
            self.stats.dropped += u64::from(!kept);
        }
        let kept = self.audio.push(pts_ns + place.shift_ns, place.segment, &block);
        self.stats.dropped += u64::from(!kept);
    }

    /// How many more frames there may be up to `frames`, with the one that waits for the next to tell where it belongs.
    pub(super) fn room(&self, frames: usize) -> usize {
        frames
            .saturating_sub(self.video.len())
            .saturating_sub(usize::from(self.odd_frame.is_some()))
    }

    fn mark(&mut self, track: Track, now_ns: i64) {
        self.seen_ns[track as usize] = Some(now_ns);
        self.arrived[track as usize] = true;
    }

    /// Newest media time of a track: start of its last frame, end of its last block.
    pub(super) fn head_ns(&self, track: Track) -> Option<i64> {
        match track {
            Track::Video => self.video.head_ns(),
            Track::Audio => self.audio.head().map(time_of),
        }
    }

    /// This frame is shown from tick `n` on.
    pub(super) fn show(&mut self, n: u64, (media_ns, frame): (i64, VideoFrame)) {
        self.shown = Some(Shown { frame, media_ns, since: n });
    }

    /// The jumps since they were last told.
    pub(super) fn take_jumps(&mut self) -> Vec<i64> {
        self.stats.reanchors += self.jumps.len() as u64;
        std::mem::take(&mut self.jumps)
    }

    /// Reads a span of samples into `out`; false when it is silent throughout.
    pub(super) fn read(&mut self, span: Span, out: &mut [StereoSample]) -> bool {
        self.reader.read(&self.audio, span, out)
    }

    /// The counters as of tick `n`, with `ahead_ns` of media ahead.
    pub(super) fn stats(&self, n: u64, ahead_ns: i64) -> InputStats {
        InputStats {
            buffered_ms: (ahead_ns.max(0) / 1_000_000) as u32,
            frames: self.video.len(),
            samples: self.audio.span() as usize,
            media_age_ticks: self.shown.as_ref().map_or(0, |s| n.saturating_sub(s.since)),
            ..self.stats
        }
    }
}
