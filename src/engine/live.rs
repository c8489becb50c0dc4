//! A source that runs in its own time: one anchor between its clock and the programme's, for picture and sound alike.
//!
//! Must not know scenes. Invariants: what came last plays `target` later, whatever happened before (a stall, a burst,
//! a jump); the anchor is slewed by at most 500 ppm and moved at once only for what slewing cannot repair.

use super::InputState;
use super::groups::Joined;
use super::media::{Media, Tick};
use super::reader::{Beginning, Span};
use super::servo::{SLEW_PPM, Servo};
use super::unwrap::{Opening, Track, Unwrap};
use super::video::EARLY_NS;
use crate::frame::{AudioBlock, VideoFrame};
use crate::limits;
use crate::time::{NS_PER_S, SAMPLE_RATE};

const MS: i64 = 1_000_000;
/// More than this above the target is not slewed away but dropped.
const SURPLUS_NS: i64 = 200 * MS;
/// So long everything may come too late before the anchor moves; a burst that catches up is quicker.
const LATE_NS: i64 = 200 * MS;
/// So long less than half of the target may be in store; slewing would take minutes to fill it.
const SCARCE_NS: i64 = 1000 * MS;
/// A frame whose time is over by this is not shown any more.
const OVER_NS: i64 = 50 * MS;
/// A track without arrivals for so long has no say in the anchor.
const ALIVE_NS: i64 = 1000 * MS;
/// Time that the frames of the timeline must span beyond the target: jitter and the spread of the tracks, and three ticks
/// (what comes within one, what its samples need ahead, what the clock follower lets pass).
const SPARE_NS: i64 = 100 * MS;
const SPARE_TICKS: i64 = 3;
/// Deepest buffer: the samples that are kept, less as much again for a track that runs ahead of the other.
const DEEPEST_NS: i64 = limits::TIMELINE_SAMPLES as i64 / 2 * 62_500 / 3;
/// What times may be off by.
const ROUNDED_NS: i64 = 1000;
/// Three samples: anchors move by multiples of it, so that picture and sound move by exactly the same.
const GRID_NS: i64 = 62_500;

/// Programme time = media time + anchor + slew.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ns: i64,
    samples: i64,
}

/// The clock of a sync group: programme time − timestamp, and how far samples are slewed, before and after the tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupClock {
    pub(super) offset_ns: i64,
    slew: [f64; 2],
}

/// How an input stands to the clocks of others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Programme time − timestamp.
    pub(super) offset_ns: i64,
    /// The least offset at which it has its target in store.
    pub(super) natural_ns: i64,
    /// Depth of its own buffer.
    pub(super) target_ns: i64,
    /// What it can hold beyond that.
    pub(super) most_ns: i64,
    /// It comes too late for the clock that it goes by.
    pub(super) strained: bool,
    /// It could not hold what the clock that it goes by demands.
    pub(super) overfull: bool,
}

/// Whose clock an input goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goes {
    ByItself,
    ByGroup { strained: bool, overfull: bool },
}

/// A live input.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) media: Media,
    buffer_ns: i64,
    anchor: Option<Anchor>,
    /// Samples that the anchor was slewed by, before and after this tick.
    slew: [f64; 2],
    trim: [f64; 2],
    servo: Servo,
    /// Per track, since when it is too late, and since when it has little to spare.
    late_since: [Option<i64>; 2],
    scarce_since: [Option<i64>; 2],
    /// The sound lags so far behind the picture that they cannot both be kept in store.
    video_only: bool,
    starving: bool,
    goes: Goes,
    /// Bytes of the newest picture.
    frame_bytes: usize,
    /// When it was added.
    since_ns: i64,
    /// From picture to picture, the last two: the shorter one is how long the one that is shown is meant to be.
    steps_ns: [i64; 2],
    /// When it was shown first.
    shown_ns: i64,
    /// Programme time of the coming tick.
    due_ns: i64,
    len_ns: i64,
}

impl Live {
    pub(super) fn new(buffer_ns: i64, at: &Tick) -> Live {
        Live {
            media: Media::new(Unwrap::live(), Beginning::Soft),
            buffer_ns,
            anchor: None,
            slew: [0.0; 2],
            trim: [0.0; 2],
            servo: Servo::new(),
            late_since: [None; 2],
            scarce_since: [None; 2],
            video_only: false,
            starving: false,
            goes: Goes::ByItself,
            frame_bytes: 0,
            since_ns: at.now_ns,
            steps_ns: [0; 2],
            shown_ns: at.now_ns,
            due_ns: at.now_ns + at.len_ns,
            len_ns: at.len_ns,
        }
    }

    pub(super) fn video(&mut self, frame: VideoFrame) {
        let opening = self.opening(frame.pts_ns);
        self.frame_bytes = super::views::bytes(&frame);
        self.media.push_video(frame, self.due_ns, opening);
        let most = match self.goes {
            Goes::ByItself => limits::TIMELINE_FRAMES,
            Goes::ByGroup { .. } => self.most_frames(),
        };
        let overflow = self.media.video.trim(most);
        if overflow > 0 {
            self.media.stats.dropped += u64::from(overflow);
            self.overflow();
        }
    }

    pub(super) fn audio(&mut self, block: AudioBlock) {
        let opening = self.opening(block.pts_ns);
        self.media.push_audio(block, self.due_ns, opening);
        let most = match self.goes {
            Goes::ByItself => limits::TIMELINE_SAMPLES,
            Goes::ByGroup { .. } => limits::SYNC_SAMPLES,
        };
        self.media.stats.dropped += u64::from(self.media.audio.trim_length(most));
    }

    pub(super) fn state(&mut self, state: InputState) {
        if state == InputState::Connecting {
            self.media.unwrap.restart();
        }
    }

    /// What comes first of a new segment plays as late as everything else; on the clock of a group it plays when its
    /// timestamp says, if that makes sense.
    fn opening(&self, pts_ns: i64) -> Opening {
        let Some(anchor) = self.anchor else { return Opening::Newest(0) };
        let playing_ns = self.due_ns - anchor.ns - self.slew_ns();
        let newest_ns = playing_ns + self.target_ns();
        let same_ns = Unwrap::clamp(pts_ns) + self.media.unwrap.shift_ns(Track::Video);
        let most_ns = newest_ns + limits::SYNC_MAX.as_nanos() as i64;
        let goes_on = self.goes != Goes::ByItself && (playing_ns..=most_ns).contains(&same_ns);
        Opening::Newest(if goes_on { same_ns } else { newest_ns })
    }

    /// Depth of the jitter buffer: as configured, within what the timeline can hold at this frame rate, and at least what
    /// reading a tick of samples takes.
    fn target_ns(&self) -> i64 {
        let spare = SPARE_NS + SPARE_TICKS * self.len_ns;
        let span = limits::TIMELINE_FRAMES as i64 * self.media.video.period_ns();
        let video = self.media.video.head_ns().map(|_| span - spare);
        self.buffer_ns.min(video.unwrap_or(DEEPEST_NS)).min(DEEPEST_NS).max(2 * self.len_ns)
    }

    fn slew_ns(&self) -> i64 {
        (self.slew[1] * NS_PER_S as f64 / f64::from(SAMPLE_RATE)) as i64
    }

    /// How far the newest of a track is ahead of what it must deliver for the tick at `now_ns`; `None` without
    /// arrivals of late.
    fn ahead_ns(&self, track: Track, now_ns: i64) -> Option<i64> {
        let alive = self.media.seen_ns[track as usize]? >= now_ns - ALIVE_NS;
        let muted = track == Track::Audio && self.video_only;
        let head = self.media.head_ns(track).filter(|_| alive && !muted)?;
        let anchor = self.anchor.map_or(0, |anchor| anchor.ns);
        let needed = if track == Track::Audio { self.len_ns } else { 0 };
        Some(head + anchor + self.slew_ns() - now_ns - needed)
    }

    /// The track that has less in store rules.
    fn least_ahead_ns(&self, now_ns: i64) -> Option<i64> {
        let tracks = [Track::Video, Track::Audio];
        tracks.into_iter().filter_map(|track| self.ahead_ns(track, now_ns)).min()
    }

    /// Moves on to a tick and sets the clock for it: its own is mended and slewed, that of a group is only watched.
    pub(super) fn steer(&mut self, at: &Tick) {
        (self.due_ns, self.len_ns) = (at.now_ns, at.len_ns);
        if let Goes::ByGroup { overfull, .. } = self.goes {
            let strained = self.is_late(at);
            self.goes = Goes::ByGroup { strained, overfull };
            self.slew[0] = self.slew[1];
        } else {
            if let Some(ahead) = self.least_ahead_ns(at.now_ns) {
                self.mend(at, ahead);
            }
            self.pursue(at);
        }
        self.trim[0] = self.trim[1];
        self.media.audio.follow(at.samples);
        self.trim[1] = self.media.audio.trim();
    }

    /// Shows what is due.
    pub(super) fn play(&mut self, at: &Tick) {
        self.show(at);
        if let Some(anchor) = self.anchor {
            let place = (at.sample - anchor.samples) as f64 - self.slew[0] - self.trim[0];
            self.media.audio.drop_before(place as i64 - 2);
        }
        self.media.arrived = [false; 2];
        self.due_ns = at.now_ns + at.len_ns;
    }

    /// Anchors what has no anchor, or whose anchor slewing cannot repair.
    fn mend(&mut self, at: &Tick, ahead_ns: i64) {
        if self.anchor.is_none() {
            self.anchor = Some(Anchor { ns: 0, samples: 0 });
            return self.move_anchor(self.target_ns() - ahead_ns);
        }
        if !self.media.jumps.is_empty() {
            self.video_only = false;
        }
        // After a silence a whole burst may have come with the first item of a new segment.
        let settle = !self.media.jumps.is_empty() && self.starving;
        let surplus = ahead_ns > self.target_ns() + SURPLUS_NS;
        if settle || surplus || self.is_late(at) {
            self.re_anchor(at.now_ns);
        }
    }

    /// Whether a track came too late, or with little to spare, some time ago and has not caught up since.
    fn is_late(&mut self, at: &Tick) -> bool {
        let target = self.target_ns();
        let mut late = false;
        for track in [Track::Video, Track::Audio] {
            let arrived = self.media.arrived[track as usize];
            let Some(ahead) = self.ahead_ns(track, at.now_ns).filter(|_| arrived) else { continue };
            for (limit, patience, since) in [
                (0, LATE_NS, &mut self.late_since[track as usize]),
                (target / 2, SCARCE_NS, &mut self.scarce_since[track as usize]),
            ] {
                if ahead > target / 2 {
                    *since = None;
                } else if ahead <= limit {
                    since.get_or_insert(at.now_ns);
                }
                late |= since.is_some_and(|since| at.now_ns - since >= patience);
            }
        }
        late
    }

    /// More frames than fit: whoever made them wait gives way.
    fn overflow(&mut self) {
        let heads = (self.media.head_ns(Track::Video), self.media.head_ns(Track::Audio));
        if let (Some(video), Some(audio)) = heads {
            self.video_only |= video - audio > SURPLUS_NS;
        }
        if let Goes::ByGroup { overfull, .. } = &mut self.goes {
            *overfull = true;
        } else if self.anchor.is_some() {
            self.re_anchor(self.due_ns);
        }
    }

    /// From now on what came last plays `target` later.
    fn re_anchor(&mut self, now_ns: i64) {
        let Some(ahead) = self.least_ahead_ns(now_ns) else { return };
        let by_ns = self.target_ns() - ahead;
        self.move_anchor(by_ns);
        if by_ns.abs() > GRID_NS {
            self.media.jumps.push(by_ns);
        }
    }

    fn move_anchor(&mut self, by_ns: i64) {
        let steps = by_ns.div_euclid(GRID_NS);
        if let Some(anchor) = &mut self.anchor {
            anchor.ns += steps * GRID_NS;
            anchor.samples += steps * 3;
        }
        (self.late_since, self.scarce_since) = ([None; 2], [None; 2]);
        self.servo.restart();
    }

    /// Follows the clock of the source.
    fn pursue(&mut self, at: &Tick) {
        for track in [Track::Video, Track::Audio] {
            if let Some(ahead) = self.ahead_ns(track, at.now_ns)
                && self.media.arrived[track as usize]
            {
                self.servo.observe(track, ahead);
            }
        }
        self.servo.tick(at, self.target_ns());
        self.slew[0] = self.slew[1];
        let most = SLEW_PPM * 1e-6 * at.samples as f64;
        self.slew[1] = self.servo.slew(self.slew[0], at.samples).clamp(-most, most) + self.slew[0];
    }

    /// Frames that may be kept while it goes by the clock of a group.
    fn most_frames(&self) -> usize {
        let fit = limits::SYNC_BYTES / self.frame_bytes.max(1);
        fit.clamp(limits::TIMELINE_FRAMES, limits::SYNC_FRAMES)
    }

    /// Programme time − timestamp, as of its newest picture; none before it has a clock.
    fn offset_ns(&self) -> Option<i64> {
        let shift_ns = self.media.unwrap.shift_ns(Track::Video);
        Some(shift_ns + self.anchor?.ns + self.slew_ns())
    }

    /// How it stands to the clocks of others; none while it has no clock or no pictures.
    pub(super) fn standing(&self, at: &Tick) -> Option<Standing> {
        let lost_ns = limits::SYNC_LOST.as_nanos() as i64;
        self.media.seen_ns[Track::Video as usize].filter(|seen| at.now_ns - seen < lost_ns)?;
        let (offset_ns, target_ns) = (self.offset_ns()?, self.target_ns());
        let spare_ns = target_ns + SPARE_NS + SPARE_TICKS * self.len_ns;
        let most_ns = self.most_frames() as i64 * self.media.video.period_ns() - spare_ns;
        let mut standing = Standing {
            offset_ns,
            natural_ns: offset_ns,
            target_ns,
            most_ns,
            strained: false,
            overfull: false,
        };
        if let Goes::ByGroup { strained, overfull } = self.goes {
            let ahead_ns = self.least_ahead_ns(at.now_ns).unwrap_or(target_ns);
            standing.natural_ns += target_ns - ahead_ns;
            (standing.strained, standing.overfull) = (strained, overfull);
        }
        Some(standing)
    }

    /// It goes by its own clock, which is its group's, and begins at this offset. By how much it was moved, ns.
    pub(super) fn lead(&mut self, offset_ns: i64) -> i64 {
        self.release();
        let by_ns = self.move_to(offset_ns);
        if by_ns != 0 {
            self.media.jumps.push(by_ns);
        }
        by_ns
    }

    /// The clock that it leads by.
    pub(super) fn clock(&self) -> Option<GroupClock> {
        Some(GroupClock { offset_ns: self.offset_ns()?, slew: self.slew })
    }

    /// It goes by this clock at this tick. By how much it was moved, ns.
    pub(super) fn follow(&mut self, clock: GroupClock, joined: Joined) -> i64 {
        let slew_ns = self.slew_ns();
        self.slew = clock.slew;
        let by_ns = self.move_to(clock.offset_ns);
        if by_ns != 0 && joined == Joined::Yes {
            self.media.jumps.push(by_ns);
        }
        if self.goes == Goes::ByItself {
            self.goes = Goes::ByGroup { strained: false, overfull: false };
            (self.late_since, self.scarce_since) = ([None; 2], [None; 2]);
        }
        by_ns + self.slew_ns() - slew_ns
    }

    /// From now on it goes by its own clock, which begins as it stands.
    pub(super) fn release(&mut self) {
        if std::mem::replace(&mut self.goes, Goes::ByItself) != Goes::ByItself {
            (self.late_since, self.scarce_since) = ([None; 2], [None; 2]);
            self.servo.restart();
        }
    }

    /// Moves the anchor to this offset, unless that is as near as its grid allows; by how much, ns.
    fn move_to(&mut self, offset_ns: i64) -> i64 {
        let by_ns = self.offset_ns().map_or(0, |now_ns| offset_ns - now_ns);
        if by_ns.abs() <= GRID_NS {
            return 0;
        }
        // To the nearest.
        self.move_anchor(by_ns + GRID_NS / 2);
        by_ns
    }

    fn show(&mut self, at: &Tick) {
        let Some(anchor) = self.anchor else { return };
        let media_now = at.now_ns - anchor.ns - self.slew_ns();
        let period = self.media.video.period_ns();
        let (due, passed) = self.media.video.take_due(media_now + EARLY_NS);
        let usual = (at.len_ns / period.max(1)) as u32 + 1;
        self.media.stats.dropped += u64::from(passed.saturating_sub(usual));
        match due {
            Some(due) if due.0 + period + OVER_NS >= media_now => {
                let before = self.media.shown.as_ref().map(|shown| due.0 - shown.media_ns);
                self.steps_ns = [self.steps_ns[1], before.unwrap_or(period)];
                self.shown_ns = at.now_ns;
                self.media.show(at.n, due);
                self.starving = false;
            }
            over => {
                self.media.stats.dropped += u64::from(over.is_some());
                self.media.stats.repeated += 1;
                self.notice_underrun(media_now - period);
            }
        }
    }

    fn notice_underrun(&mut self, overdue_ns: i64) {
        let last = self.media.shown.as_ref().map(|shown| shown.media_ns);
        let waits = self.media.video.is_empty() && last.is_some_and(|last| last < overdue_ns);
        let silent = last.is_none()
            && self.media.audio.head().is_some_and(|head| super::audio::time_of(head) < overdue_ns);
        if (waits || silent) && !self.starving {
            self.starving = true;
            self.media.stats.underruns += 1;
        }
    }

    /// The samples of this tick.
    pub(super) fn span(&self, at: &Tick) -> Option<Span> {
        let anchor = self.anchor?;
        let place = (at.sample - anchor.samples) as f64;
        let moved = |k: usize| self.slew[k] + self.trim[k];
        let to = place + at.samples as f64;
        Some(Span { from: place - moved(0), to: to - moved(1) })
    }

    /// Whether a take could show it at this tick.
    pub(super) fn is_ready(&self, n: u64) -> bool {
        let stale = limits::INPUT_STALE_AFTER.as_nanos() as i64;
        let fresh = |since: u64| (n.saturating_sub(since) as i64) * self.len_ns <= stale;
        self.media.shown.as_ref().is_some_and(|shown| fresh(shown.since))
    }

    /// How long it has had no new picture at a tick beyond the time of the last; if it has none at all, how long nothing has
    /// come.
    pub(super) fn still_ns(&self, at: &Tick) -> i64 {
        let last_ns = match (self.media.shown.is_some(), self.media.seen_ns[Track::Audio as usize])
        {
            (true, _) => {
                // Ticks are rounded to nanoseconds.
                let until_ns =
                    self.shown_ns + self.steps_ns[0].min(self.steps_ns[1]).max(self.len_ns);
                return at.now_ns - until_ns + ROUNDED_NS;
            }
            (false, Some(seen_ns)) => seen_ns,
            (false, None) => self.since_ns,
        };
        at.now_ns - last_ns
    }

    pub(super) fn ahead_now_ns(&self) -> i64 {
        self.least_ahead_ns(self.due_ns - self.len_ns).unwrap_or(0)
    }

    pub(super) fn drift_ppm(&self) -> f64 {
        self.servo.drift_ppm()
    }
}
