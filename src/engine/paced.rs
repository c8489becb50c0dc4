//! A source that is read on demand (file, pattern): every frame in its cadence, every sample, nothing dropped.
//!
//! Must not know scenes. Invariant: once it plays, media time and programme time move together exactly; when it has
//! nothing to play, or is told to stand still, it pauses and then goes on where it stopped.

use super::InputState;
use super::audio::index_at;
use super::media::{InputStats, Media, Tick};
use super::parts::Parts;
use super::pause::{Motion, Pause, Volume};
use super::reader::{Beginning, Span};
use super::unwrap::{Opening, Track, Unwrap};
use super::video::EARLY_NS;
use crate::frame::{AudioBlock, StereoSample, VideoFrame};
use crate::limits;

/// How long the first frame waits for the first samples before it is taken that there are none.
const WAIT_FOR_AUDIO_NS: i64 = 250_000_000;
/// How long the first samples wait for the first frame.
const WAIT_FOR_VIDEO_NS: i64 = 500_000_000;
/// Samples before the first frame that are cut rather than heard without a picture (encoder delay).
const LEAD_NS: i64 = 100_000_000;
/// Samples asked for ahead: half of what may be kept.
const AHEAD_SAMPLES: usize = limits::TIMELINE_SAMPLES / 2;

/// A paced input.
#[derive(Debug)]
pub(super) struct Paced {
    pub(super) media: Media,
    pub(super) parts: Parts,
    pub(super) pause: Pause,
    /// Programme time = media time + this (ns, samples), while it plays.
    anchor: Option<(i64, i64)>,
    /// How far samples are read behind their count, at the begin and end of the tick.
    trim: [f64; 2],
    /// When the first media came.
    since_ns: Option<i64>,
    ended: bool,
    /// Nothing to play at this tick, and since which one.
    starved: Option<u64>,
    /// The track is over although the other goes on.
    lapsed: [bool; 2],
    due_ns: i64,
    len_ns: i64,
    /// Frames to ask for ahead.
    ahead: usize,
}

impl Paced {
    pub(super) fn new(at: &Tick, ahead: usize) -> Paced {
        Paced {
            media: Media::new(Unwrap::paced(), Beginning::Exact),
            parts: Parts::default(),
            pause: Pause::new(),
            anchor: None,
            trim: [0.0; 2],
            since_ns: None,
            ended: false,
            starved: None,
            lapsed: [false; 2],
            due_ns: at.now_ns + at.len_ns,
            len_ns: at.len_ns,
            ahead: ahead.clamp(1, limits::TIMELINE_FRAMES),
        }
    }

    pub(super) fn video(&mut self, frame: VideoFrame) {
        self.begin();
        if self.media.room(limits::TIMELINE_FRAMES) == 0 {
            // Whoever gives more than was asked for loses the newest, not the order.
            self.media.stats.dropped += 1;
            return;
        }
        let opening = self.opening(Track::Video);
        self.media.push_video(frame, self.due_ns, opening);
        self.lapsed[Track::Video as usize] = false;
    }

    pub(super) fn audio(&mut self, block: AudioBlock) {
        self.begin();
        let held = self.media.audio.span() as usize;
        if held + block.samples.len() > limits::TIMELINE_SAMPLES {
            self.media.stats.dropped += 1;
            return;
        }
        let opening = self.opening(Track::Audio);
        self.media.push_audio(block, self.due_ns, opening);
        self.lapsed[Track::Audio as usize] = false;
    }

    pub(super) fn state(&mut self, state: InputState) {
        self.ended = state == InputState::Ended;
    }

    /// Media comes: if all that was before is played, it plays as soon as it is ready.
    fn begin(&mut self) {
        if self.since_ns.is_none() {
            self.since_ns = Some(self.due_ns);
            self.anchor = None;
            self.ended = false;
            self.media.reader.restart();
            self.media.unwrap.restart();
        }
    }

    /// A new segment goes on where the last one of the same track ended.
    fn opening(&self, track: Track) -> Opening {
        let video = self.media.video.head_ns().map(|head| head + self.media.video.period_ns());
        let audio = self.media.head_ns(Track::Audio);
        let end = match track {
            Track::Video => video.or(audio),
            Track::Audio => audio.or(video),
        };
        Opening::First(end.unwrap_or(0))
    }

    /// Frames and blocks that it would take now.
    pub(super) fn wants(&self) -> (usize, usize) {
        (self.media.room(self.ahead), self.media.audio.room(AHEAD_SAMPLES))
    }

    fn is_full(&self, track: Track) -> bool {
        let (video, audio) = self.wants();
        0 == if track == Track::Video { video } else { audio }
    }

    /// Whether it may start to play at a tick.
    fn can_start(&self, now_ns: i64) -> bool {
        let has_video = !self.media.video.is_empty();
        let has_audio = !self.media.audio.is_empty();
        let waited_ns = self.since_ns.map_or(0, |since| now_ns - since);
        match (has_video, has_audio) {
            (true, true) => true,
            (true, false) => {
                self.ended || self.is_full(Track::Video) || waited_ns >= WAIT_FOR_AUDIO_NS
            }
            (false, true) => {
                self.ended || self.is_full(Track::Audio) || waited_ns >= WAIT_FOR_VIDEO_NS
            }
            (false, false) => false,
        }
    }

    /// Moves on to a tick. `late` is how much time and how many samples were skipped before it.
    pub(super) fn advance(&mut self, at: &Tick, late: (i64, i64)) {
        self.due_ns = at.now_ns + at.len_ns;
        self.len_ns = at.len_ns;
        self.media.arrived = [false; 2];
        self.shift(late);
        match self.pause.motion {
            Motion::Runs => {
                self.pause.run(at);
                self.run(at);
            }
            Motion::Stands => self.stand(at),
        }
    }

    /// Runs or stands still from now on: to run begins with this tick, to stand still with the next.
    pub(super) fn set_motion(&mut self, at: &Tick, motion: Motion) {
        self.pause.motion = motion;
        if motion == Motion::Runs && self.pause.stands(at.n) {
            self.shift((-at.len_ns, -(at.samples as i64)));
            self.pause.go_on(at);
            self.run(at);
        }
    }

    /// Everything plays that much later.
    fn shift(&mut self, (ns, samples): (i64, i64)) {
        if let Some(anchor) = &mut self.anchor {
            *anchor = (anchor.0 + ns, anchor.1 + samples);
        }
    }

    /// Time passes without it. What has not begun shows its first frame.
    fn stand(&mut self, at: &Tick) {
        if self.starved.take().is_some() {
            self.pause.set_volume(Volume::Silent);
        }
        self.pause.stand(at);
        self.trim[0] = self.trim[1];
        self.shift((at.len_ns, at.samples as i64));
        if self.anchor.is_some() {
            return;
        }
        self.pause.set_volume(Volume::Full);
        if self.media.shown.is_none() && self.can_start(at.now_ns) {
            let first = self.media.video.first().cloned();
            first.into_iter().for_each(|first| self.media.show(at.n, first));
        }
    }

    fn run(&mut self, at: &Tick) {
        if self.anchor.is_none() && self.can_start(at.now_ns) {
            self.start(at);
        }
        let Some(anchor) = self.anchor else { return };
        if self.starves(at, anchor) {
            self.shift((at.len_ns, at.samples as i64));
            self.media.stats.underruns += u64::from(self.starved.is_none());
            self.media.stats.repeated += 1;
            self.starved.get_or_insert(at.n);
            return;
        }
        self.starved = None;
        let (due, _) = self.media.video.take_due(at.now_ns + EARLY_NS - anchor.0);
        match due {
            Some(due) => self.media.show(at.n, due),
            None => self.media.stats.repeated += 1,
        }
        self.tell_parts(at.now_ns - anchor.0);
        self.trim[0] = self.trim[1];
        self.media.audio.follow(at.samples);
        self.trim[1] = self.media.audio.trim();
        let place = (at.sample - anchor.1) as f64 - self.trim[0];
        self.media.audio.drop_before(place as i64 - 2);
        if self.ended && self.media.video.is_empty() && !self.has_samples(at, anchor, 0) {
            self.since_ns = None;
        }
    }

    /// Playing has come to this media time.
    fn tell_parts(&mut self, media_ns: i64) {
        let has_video = self.media.video.head_ns().is_some();
        let track = if has_video { Track::Video } else { Track::Audio };
        let played_ns = media_ns - self.media.unwrap.shift_ns(track);
        let shown_ns = self.media.shown.as_ref().map(|shown| shown.frame.pts_ns);
        self.parts.reach(shown_ns, played_ns);
    }

    /// The first frame plays now; with it, or before it where they begin much earlier, the samples.
    fn start(&mut self, at: &Tick) {
        let audio = self.media.audio.first().map(super::audio::time_of);
        let first = match (self.media.video.first_ns(), audio) {
            (Some(video), Some(audio)) if audio < video - LEAD_NS => audio,
            (Some(video), _) => video,
            (None, audio) => audio.unwrap_or(0),
        };
        self.anchor = Some((at.now_ns - first, at.sample - index_at(first)));
        self.starved = None;
        // The source's own beginning is no place for a fade.
        self.pause.set_volume(Volume::Full);
    }

    fn has_samples(&self, at: &Tick, anchor: (i64, i64), samples: usize) -> bool {
        let trim = self.trim[1];
        // A place between two samples needs those around it.
        let margin = if trim == 0.0 { 0 } else { 3 };
        let needed = at.sample + samples as i64 - anchor.1 - trim.floor() as i64 + margin;
        self.media.audio.end().is_some_and(|end| end >= needed)
    }

    /// Whether something is due and not there, but will come.
    fn starves(&mut self, at: &Tick, anchor: (i64, i64)) -> bool {
        if self.ended {
            return false;
        }
        let media_now = at.now_ns + EARLY_NS - anchor.0;
        let next = self.media.video.head_ns().map(|head| head + self.media.video.period_ns());
        let no_video = next.is_some_and(|next| next <= media_now);
        let has_audio = self.media.audio.head().is_some();
        let no_audio = has_audio && !self.has_samples(at, anchor, at.samples);
        // A source that has no room to deliver one track, and nothing of the other, has come to the other's end.
        self.lapsed[Track::Video as usize] |= no_video && self.is_full(Track::Audio);
        self.lapsed[Track::Audio as usize] |= no_audio && self.is_full(Track::Video);
        let [video_lapsed, audio_lapsed] = self.lapsed;
        (no_video && !video_lapsed) || (no_audio && !audio_lapsed)
    }

    /// The samples of this tick; none while it does not play.
    pub(super) fn span(&self, at: &Tick) -> Option<Span> {
        let (_, samples) = self.anchor.filter(|_| self.starved.is_none())?;
        let mut from = at.sample - samples;
        if self.pause.stands(at.n) {
            // The anchor has moved on already; while it fades, what would come next is heard.
            from += at.samples as i64 + self.pause.past()?;
        }
        let from = from as f64;
        Some(Span { from: from - self.trim[0], to: from + at.samples as f64 - self.trim[1] })
    }

    /// Fades the samples of this tick where it stops or goes on; false when nothing is left of them.
    pub(super) fn fade(&mut self, at: &Tick, samples: &mut [StereoSample]) -> bool {
        if self.pause.stands(at.n) && self.anchor.is_some() && self.pause.past().is_none() {
            // The fade was the end of it: there is nothing that could still die away, and nothing else to fade in.
            self.media.reader.unheard();
            self.media.reader.restart();
            return false;
        }
        self.pause.fade(samples);
        true
    }

    /// Whether a take could show it at this tick.
    pub(super) fn is_ready(&self, n: u64) -> bool {
        let stale = limits::INPUT_STALE_AFTER.as_nanos() as i64;
        let moves = |since: u64| n.saturating_sub(since) as i64 * self.len_ns <= stale;
        self.media.shown.is_some() && (self.ended || self.starved.is_none_or(moves))
    }

    /// Whether the next tick would start it.
    pub(super) fn is_startable(&self) -> bool {
        self.anchor.is_none() && self.can_start(self.due_ns)
    }

    pub(super) fn stats(&self, n: u64) -> InputStats {
        let shown_ns = self.media.shown.as_ref().map(|shown| shown.frame.pts_ns);
        let part = self.parts.present();
        InputStats {
            item: part.item,
            pass: part.pass,
            position_ms: shown_ns.map_or(0, |pts_ns| self.parts.position_ms(pts_ns)),
            playing: self.pause.motion == Motion::Runs,
            ended: self.ended && self.since_ns.is_none(),
            ..self.media.stats(n, self.ahead_now_ns())
        }
    }

    fn ahead_now_ns(&self) -> i64 {
        let head = self.media.head_ns(Track::Video).or(self.media.head_ns(Track::Audio));
        let played = match self.anchor {
            Some(anchor) => self.due_ns - self.len_ns - anchor.0,
            None => self.media.video.first_ns().or(head).unwrap_or(0),
        };
        head.map_or(0, |head| head - played)
    }
}
