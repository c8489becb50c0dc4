//! One media timeline per input out of whatever timestamps it sends.
//!
//! Must not know when anything plays. Owns the answer to "does this timestamp go on from the last one, or did the clock
//! of the source jump?" for the video and the audio of an input, which jump at different moments: the first of the
//! two to jump begins a new segment of the timeline, the other joins it. Invariant: video and audio of the same segment
//! are shifted by the same amount, so a jump never moves the lips.

/// A step back or forth that is still the same timeline.
const JUMP_NS: i64 = 1_000_000_000;
/// A gap within a file that is still the same timeline (slides).
const FILE_GAP_NS: i64 = 10_000_000_000;
/// How far apart video and audio of one segment may begin.
const JOIN_NS: i64 = 5_000_000_000;
/// Timestamps beyond ±36 years are cut there, so that sums never overflow.
const FAR_NS: i64 = 1 << 60;

/// Video or audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    Video,
    Audio,
}

impl Track {
    fn other(self) -> Track {
        match self {
            Track::Video => Track::Audio,
            Track::Audio => Track::Video,
        }
    }
}

/// Where in the timeline an arrival belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Media time = timestamp + this.
    pub(super) shift_ns: i64,
    /// Which segment; grows.
    pub(super) segment: u32,
    /// The jump of the timestamps that began the segment, told once.
    pub(super) jump_ns: Option<i64>,
}

/// Where a new segment begins: the media time that the item which opens it gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Opening {
    /// The newest item known of it (live: what came last is `target` ahead).
    Newest(i64),
    /// The first item of it (file: goes on where the last segment ended).
    First(i64),
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    segment: u32,
    shift_ns: i64,
    /// Largest media time so far in the segment.
    head_ns: Option<i64>,
    /// When the last item of it arrived.
    seen_ns: i64,
    /// A timestamp that fits nowhere yet: the next one like it proves the jump, any other that it was noise.
    odd: Option<(i64, i64)>,
}

impl Position {
    /// Whether media time `t` may come `now` after what came last.
    fn reaches(&self, t: i64, now: i64, forward: i64) -> bool {
        let Some(head) = self.head_ns else { return false };
        t >= head - JUMP_NS && t <= head + forward + (now - self.seen_ns).max(0)
    }
}

/// The timelines of video and audio of one input.
#[derive(Debug)]
pub(super) struct Unwrap {
    positions: [Position; 2],
    forward_ns: i64,
    /// Whether time passes for the source while it sends nothing.
    live: bool,
}

impl Unwrap {
    /// For a source that runs in its own time: a gap as long as the silence before it is no jump.
    pub(super) fn live() -> Unwrap {
        Unwrap { positions: [Position::default(); 2], forward_ns: JUMP_NS, live: true }
    }

    /// For a source that is read on demand.
    pub(super) fn paced() -> Unwrap {
        Unwrap { positions: [Position::default(); 2], forward_ns: FILE_GAP_NS, live: false }
    }

    /// What the timestamps of a track are shifted by at present.
    pub(super) fn shift_ns(&self, track: Track) -> i64 {
        self.positions[track as usize].shift_ns
    }

    /// Timestamp within the range that is calculated with.
    pub(super) fn clamp(pts_ns: i64) -> i64 {
        pts_ns.clamp(-FAR_NS, FAR_NS)
    }

    /// The source begins anew: whatever comes next opens a segment, without proof.
    pub(super) fn restart(&mut self) {
        for position in &mut self.positions {
            (position.head_ns, position.odd) = (None, None);
        }
    }

    /// Places the timestamp of an arrival at `now_ns`; `None` when only the next one can tell.
    pub(super) fn place(
        &mut self,
        track: Track,
        pts_ns: i64,
        now_ns: i64,
        opening: Opening,
    ) -> Option<Place> {
        let now_ns = if self.live { now_ns } else { 0 };
        let (own, other) = (self.positions[track as usize], self.positions[track.other() as usize]);
        let jump_ns = if self.goes_on(own, other, pts_ns, now_ns) {
            None
        } else if joins(own, other, pts_ns, now_ns) {
            let position = &mut self.positions[track as usize];
            (position.segment, position.shift_ns, position.head_ns) =
                (other.segment, other.shift_ns, None);
            None
        } else {
            self.open(track, pts_ns, now_ns, opening)?
        };
        let position = &mut self.positions[track as usize];
        let media_ns = pts_ns + position.shift_ns;
        position.head_ns = Some(position.head_ns.map_or(media_ns, |head| head.max(media_ns)));
        position.seen_ns = now_ns;
        position.odd = None;
        Some(Place { shift_ns: position.shift_ns, segment: position.segment, jump_ns })
    }

    fn goes_on(&self, own: Position, other: Position, pts_ns: i64, now_ns: i64) -> bool {
        let media_ns = pts_ns + own.shift_ns;
        let Some(head) = own.head_ns else { return false };
        let with_other = own.segment == other.segment
            && media_ns >= head - JUMP_NS
            && other.reaches(media_ns, now_ns, self.forward_ns);
        own.reaches(media_ns, now_ns, self.forward_ns) || with_other
    }

    /// A new segment: at once for the first item ever, else when two items in a row agree. The answer is `None` when it
    /// has to wait for the second, else the jump, if there was something to jump from.
    #[expect(
        clippy::option_option,
        reason = "wait, opened, opened by a jump: no more than used here"
    )]
    fn open(
        &mut self,
        track: Track,
        pts_ns: i64,
        now_ns: i64,
        opening: Opening,
    ) -> Option<Option<i64>> {
        let segment = self.positions.iter().map(|p| p.segment).max().unwrap_or(0) + 1;
        let position = &mut self.positions[track as usize];
        let mut first = pts_ns;
        if position.head_ns.is_some() {
            let odd = position.odd.replace((pts_ns, now_ns));
            let (odd_pts, odd_seen) = odd?;
            if (pts_ns - odd_pts).abs() > JUMP_NS + (now_ns - odd_seen).max(0) {
                return None;
            }
            first = odd_pts.min(pts_ns);
        }
        let shift_ns = match opening {
            Opening::Newest(media_ns) => media_ns - pts_ns,
            Opening::First(media_ns) => media_ns - first,
        };
        let jump_ns = (position.segment > 0).then(|| position.shift_ns - shift_ns);
        *position = Position { segment, shift_ns, head_ns: None, seen_ns: now_ns, odd: None };
        Some(jump_ns)
    }
}

/// Whether an item belongs to the newer segment that the other track has begun.
fn joins(own: Position, other: Position, pts_ns: i64, now_ns: i64) -> bool {
    let newer = own.head_ns.is_none() || other.segment > own.segment;
    let Some(head) = other.head_ns.filter(|_| newer) else { return false };
    let distance = pts_ns + other.shift_ns - head;
    (-JOIN_NS..=JOIN_NS + (now_ns - other.seen_ns).max(0)).contains(&distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;
    const MS: i64 = 1_000_000;

    /// Sends both tracks through a jump of `by`, after which they are in segment `expected`.
    fn check(name: &str, by: i64, expected: u32) {
        let mut unwrap = Unwrap::live();
        let place = |unwrap: &mut Unwrap, track, pts, now: i64| {
            unwrap.place(track, Unwrap::clamp(pts), now, Opening::Newest(now + S / 2))
        };
        for k in 0..100 {
            for track in [Track::Video, Track::Audio] {
                assert!(place(&mut unwrap, track, 7 * S + k * 20 * MS, k * 20 * MS).is_some());
            }
        }
        let mut seen = [Vec::new(), Vec::new()];
        for k in 100..110 {
            // Audio jumps three items after video.
            for (track, jump_at) in [(Track::Video, 100), (Track::Audio, 103)] {
                let pts = 7 * S + k * 20 * MS + if k >= jump_at { by } else { 0 };
                if let Some(place) = place(&mut unwrap, track, pts, k * 20 * MS) {
                    seen[track as usize].push((place.segment, pts + place.shift_ns));
                }
            }
        }
        let segment = |track: Track| seen[track as usize].last().map(|s| s.0);
        assert_eq!(segment(Track::Video), segment(Track::Audio), "{name}");
        assert_eq!(segment(Track::Video), Some(expected), "{name}");
        // The same moment of the source has the same media time on both tracks.
        assert_eq!(seen[0].last(), seen[1].last(), "{name}");
    }

    #[test]
    fn jumps_and_wraps() {
        let table = [
            ("none", 0, 1),
            ("half a second on", S / 2, 1),
            ("half a second back", -S / 2, 1),
            ("an hour on", 3600 * S, 2),
            ("an hour back", -3600 * S, 2),
            ("24 bits of ms", -(1 << 24) * MS, 2),
            ("31 bits of ms", -(1 << 31) * MS, 2),
            ("32 bits of ms", -(1 << 32) * MS, 2),
            ("33 bits at 90 kHz", -((1 << 33) * 100_000 / 9), 2),
            ("restart", -7 * S, 2),
            ("nonsense", i64::MAX / 2, 2),
        ];
        for (name, by, expected) in table {
            check(name, by, expected);
        }
    }

    #[test]
    fn one_odd_timestamp_is_noise() {
        let mut unwrap = Unwrap::live();
        let mut place = |pts: i64, now| unwrap.place(Track::Video, pts, now, Opening::Newest(now));
        assert!(place(0, 0).is_some());
        assert!(place(900 * S, 20 * MS).is_none());
        assert!(place(40 * MS, 40 * MS).is_some());
        assert!(place(900 * S, 60 * MS).is_none());
        assert!(place(80 * MS, 80 * MS).is_some_and(|p| p.segment == 1));
        // A silence of 10 s and as much less time on the clock is no jump.
        assert!(place(10 * S, 10 * S).is_some_and(|p| p.segment == 1));
    }
}
