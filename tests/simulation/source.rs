//! Sources of every kind and temper: what a camera, a network and a file do to an engine.
//!
//! A source counts its frames and blocks; the side table `sent` tells which frame a timestamp was. The samples tell their
//! own time: the left side is a slope over [`ROUND_NS`], the right side a constant.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use onair::engine::{Engine, InputKind, InputState};
use onair::frame::{AudioBlock, Picture, Size, StereoSample, VideoFrame};
use onair::ids::InputKey;

use crate::chance::Chance;

pub(crate) const MS: i64 = 1_000_000;
pub(crate) const S: i64 = 1000 * MS;
/// A block is 960 samples.
pub(crate) const BLOCK_NS: i64 = 20 * MS;
/// Time that the slope of the samples takes to begin again.
pub(crate) const ROUND_NS: i64 = 4 * S;
/// The constant on the right side.
pub(crate) const LEVEL: f32 = 0.25;
/// How long a disturbance is felt at most.
const FELT_NS: i64 = 3 * S;

pub(crate) static PICTURE: LazyLock<Arc<Picture>> =
    LazyLock::new(|| Arc::new(Picture::flat(Size::new(2, 2), [81, 90, 240])));

pub(crate) static BLOCKS: LazyLock<Vec<Arc<[StereoSample]>>> = LazyLock::new(|| {
    let samples = ROUND_NS / S * 48_000;
    let code = |i: i64| [i as f32 / samples as f32 / 2.0, LEVEL];
    (0..samples / 960).map(|b| (b * 960..b * 960 + 960).map(code).collect()).collect()
});

/// The source's time (within a round) that a sample tells.
fn time_told(sample: StereoSample) -> i64 {
    (f64::from(sample[0]) * 2.0 * ROUND_NS as f64) as i64
}

/// The source's time (within a round) that the first sample of a tick tells. Where the slope begins again, what lies between
/// two samples is on neither side of it: then a sample further on tells.
pub(crate) fn time_heard(audio: &[StereoSample]) -> i64 {
    const BEYOND: usize = 9;
    let step = audio[1][0] - audio[0][0];
    if (0.0..1e-5).contains(&step) {
        return time_told(audio[0]);
    }
    time_told(audio[BEYOND]) - BEYOND as i64 * S / 48_000
}

/// A frame as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) pts_ns: i64,
    pub(crate) index: i64,
    /// When it was made, programme time; of a file's frame: when it is to be played, time of the file.
    pub(crate) made_ns: i64,
}

enum Item {
    Video(Sent),
    Audio { block: i64, pts_ns: i64 },
}

/// What the way to us does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    Fair,
    /// Nothing comes through; it comes at once later.
    Held,
    /// Everything is lost.
    Lost,
    /// Lost, and a new connection with timestamps from 0 afterwards.
    Reconnecting,
    /// The source itself stands still.
    Stopped,
    /// One track is not made.
    NoVideo,
    NoAudio,
}

/// One source.
pub(crate) struct Source {
    pub(crate) key: InputKey,
    pub(crate) kind: InputKind,
    pub(crate) period_ns: i64,
    pub(crate) rounded: bool,
    pub(crate) delay_ns: i64,
    pub(crate) jitter_ns: i64,
    ppm: i64,
    has_audio: bool,
    has_video: bool,
    weather: Weather,
    until_ns: i64,
    /// Programme time that the source stood still so far.
    stood_ns: i64,
    offset_ns: i64,
    /// A file's timestamps jump at this time of the file, by so much.
    cut: Option<(i64, i64)>,
    /// How early a file is played before and after its last jump: where its timestamps are rounded, each segment goes by
    /// the one that it begins with.
    early_ns: [i64; 2],
    /// No item came after the last jump.
    begins: bool,
    frames: i64,
    blocks: i64,
    wire: VecDeque<(i64, Item)>,
    pub(crate) sent: VecDeque<Sent>,
    /// Disturbed until then, as far as a viewer may notice.
    pub(crate) rough_until_ns: i64,
}

impl Source {
    pub(crate) fn new(key: InputKey, now_ns: i64, chance: &mut Chance) -> Source {
        let buffer = Duration::from_millis(chance.within(150, 800) as u64);
        let live = InputKind::Live { buffer };
        let kind = chance.pick(&[live, live, live, InputKind::Paced, InputKind::Still]);
        let periods = [41_666_666, 40_000_000, 33_333_333, 33_366_666, 20_000_000, 16_683_333];
        Source {
            key,
            kind,
            period_ns: chance.pick(&periods),
            rounded: chance.once_in(2),
            delay_ns: chance.within(0, 80 * MS),
            jitter_ns: chance.within(1, 40 * MS),
            ppm: chance.within(-200, 201),
            has_audio: !chance.once_in(6),
            has_video: kind == InputKind::Paced || !chance.once_in(10),
            weather: Weather::Fair,
            until_ns: now_ns,
            stood_ns: now_ns,
            offset_ns: chance.within(0, 100 * S),
            cut: None,
            early_ns: [0; 2],
            begins: false,
            frames: 0,
            blocks: 0,
            wire: VecDeque::new(),
            sent: VecDeque::new(),
            rough_until_ns: now_ns + FELT_NS,
        }
    }

    /// Another live source that stamps the same moments with the same times, and whose way is longer or shorter.
    pub(crate) fn twin(&self, key: InputKey, now_ns: i64, chance: &mut Chance) -> Source {
        let way = Source::new(key, now_ns, chance);
        let longest = chance.pick(&[100 * MS, S, 4 * S, 8 * S]);
        Source {
            kind: self.kind,
            period_ns: self.period_ns,
            rounded: self.rounded,
            delay_ns: chance.within(0, longest),
            ppm: self.ppm,
            stood_ns: self.stood_ns,
            offset_ns: self.offset_ns,
            frames: self.frames,
            blocks: self.blocks,
            rough_until_ns: now_ns + longest + FELT_NS,
            ..way
        }
    }

    /// Whether nothing has disturbed it for some time, so that it has to play perfectly.
    pub(crate) fn is_steady(&self, now_ns: i64) -> bool {
        now_ns > self.rough_until_ns
    }

    pub(crate) fn has_sound(&self) -> bool {
        self.has_audio
    }

    /// Programme time → the source's clock.
    fn clock(&self, now_ns: i64) -> i64 {
        let t = now_ns - self.stood_ns;
        t + t / 1000 * self.ppm / 1000
    }

    fn pts(&self, at_ns: i64) -> i64 {
        let pts =
            at_ns + self.offset_ns + self.cut.map_or(0, |(cut, by)| by * i64::from(at_ns >= cut));
        if self.rounded { (pts + MS / 2).div_euclid(MS) * MS } else { pts }
    }

    /// Lets the source live up to `now` and hand over what arrives.
    pub(crate) fn step(&mut self, engine: &mut Engine, now_ns: i64, chance: &mut Chance) {
        match self.kind {
            InputKind::Still => {
                if self.frames == 0 && chance.once_in(20) {
                    self.frames = 1;
                    self.send(engine, Sent { pts_ns: 0, index: 0, made_ns: now_ns });
                }
            }
            InputKind::Paced => self.read(engine, now_ns, chance),
            InputKind::Live { .. } => {
                self.change_weather(engine, now_ns, chance);
                self.make(now_ns, chance);
                self.deliver(engine, now_ns, chance);
            }
        }
    }

    /// A file's worker: gives what is wanted, unless it is slow for a while.
    fn read(&mut self, engine: &mut Engine, now_ns: i64, chance: &mut Chance) {
        if now_ns < self.until_ns {
            return;
        }
        if chance.once_in(2000) {
            self.until_ns = now_ns + chance.within(10 * MS, 4 * S);
            self.rough_until_ns = self.until_ns + FELT_NS;
        }
        let (frames_ns, blocks_ns) = (self.frames * self.period_ns, self.blocks * BLOCK_NS);
        // While it is paused nothing comes after a cut that could be cut again.
        let last = self.cut.map_or(i64::MIN, |(cut, _)| cut);
        let is_whole = frames_ns > last && (blocks_ns > last || !self.has_audio) && !self.begins;
        if is_whole && chance.once_in(4000) {
            let before = self.cut.take().map_or(0, |(_, by)| by);
            self.offset_ns += before;
            let by = if self.offset_ns > 0 { -3600 * S } else { 3600 * S };
            self.cut = Some((frames_ns.max(blocks_ns), by));
            self.early_ns[0] = self.early_ns[1];
            self.begins = true;
        }
        for _ in 0..12 {
            let wants = engine.wants(self.key);
            let (video_ns, audio_ns) = (self.frames * self.period_ns, self.blocks * BLOCK_NS);
            let audio_first = !self.has_audio || video_ns <= audio_ns;
            if wants.video > 0 && (audio_first || wants.audio == 0) {
                let (pts_ns, made_ns) =
                    (self.pts(video_ns), self.played_at(video_ns, self.period_ns));
                self.send(engine, Sent { pts_ns, index: self.frames, made_ns });
                self.frames += 1;
            } else if wants.audio > 0 && self.has_audio {
                self.played_at(audio_ns, BLOCK_NS);
                self.sound(engine, self.blocks, self.pts(audio_ns));
                self.blocks += 1;
            }
        }
    }

    /// When the item at this time of a file is to be played, after all the segments before it. A cadence is even where
    /// its timestamps, rounded, are on average.
    fn played_at(&mut self, at_ns: i64, period_ns: i64) -> i64 {
        let rounding = |at_ns: i64| match self.rounded {
            true => MS / 2 - (at_ns + self.offset_ns + MS / 2).rem_euclid(MS),
            false => 0,
        };
        let mean = (0..60).map(|k| rounding(at_ns + k * period_ns)).sum::<i64>() / 60;
        let first = rounding(at_ns);
        let after = self.cut.is_some_and(|(cut, _)| at_ns >= cut);
        if self.frames == 0 {
            self.early_ns = [first; 2];
        } else if after && std::mem::take(&mut self.begins) {
            self.early_ns[1] += first - mean;
        }
        at_ns + mean - self.early_ns[usize::from(after)]
    }

    /// How long a disturbance is felt, which takes the long way, too.
    fn felt_ns(&self) -> i64 {
        FELT_NS + self.delay_ns
    }

    fn change_weather(&mut self, engine: &mut Engine, now_ns: i64, chance: &mut Chance) {
        if now_ns < self.until_ns {
            return;
        }
        if self.weather == Weather::Fair {
            if chance.once_in(600) {
                let kinds = [
                    Weather::Held,
                    Weather::Lost,
                    Weather::Reconnecting,
                    Weather::Stopped,
                    Weather::NoVideo,
                    Weather::NoAudio,
                ];
                self.weather = chance.pick(&kinds);
                let longest = chance.pick(&[200 * MS, 2 * S, 12 * S]);
                self.until_ns = now_ns + chance.within(10 * MS, longest);
                self.rough_until_ns = self.until_ns + self.felt_ns();
            } else if chance.once_in(900) {
                self.jump(chance);
                self.rough_until_ns = now_ns + self.felt_ns();
            }
            return;
        }
        if self.weather == Weather::Reconnecting {
            self.wire.clear();
            self.offset_ns = -self.clock(now_ns);
            if chance.once_in(2) {
                engine.input_state(self.key, InputState::Connecting);
            }
        }
        self.weather = Weather::Fair;
        self.rough_until_ns = now_ns + self.felt_ns();
    }

    fn jump(&mut self, chance: &mut Chance) {
        let wraps = [1i64 << 24, 1 << 31, 1 << 32, (1 << 33) / 90];
        let by = match chance.within(0, 4) {
            0 => 3600 * S,
            1 => -3600 * S,
            2 => -chance.pick(&wraps) * MS,
            _ => chance.within(-10 * S, 10 * S),
        };
        self.offset_ns = (self.offset_ns + by).clamp(-(1 << 55), 1 << 55);
    }

    /// What the source makes up to now goes on the wire.
    fn make(&mut self, now_ns: i64, chance: &mut Chance) {
        if self.weather == Weather::Stopped {
            // Its clock stands: everything that follows is later by as much.
            let ahead = self.clock(now_ns) - self.frames * self.period_ns;
            self.stood_ns += ahead.max(0);
            return;
        }
        let lost = matches!(self.weather, Weather::Lost | Weather::Reconnecting);
        let clock = self.clock(now_ns);
        let due = |source: &Source, chance: &mut Chance| {
            now_ns + source.delay_ns + chance.within(0, source.jitter_ns)
        };
        while self.frames * self.period_ns <= clock {
            let made_ns = now_ns - (clock - self.frames * self.period_ns);
            let pts_ns = self.pts(self.frames * self.period_ns);
            if self.has_video && !lost && self.weather != Weather::NoVideo {
                let sent = Sent { pts_ns, index: self.frames, made_ns };
                self.wire.push_back((due(self, chance), Item::Video(sent)));
            }
            self.frames += 1;
        }
        while (self.blocks + 1) * BLOCK_NS <= clock {
            let pts_ns = self.pts(self.blocks * BLOCK_NS);
            if self.has_audio && !lost && self.weather != Weather::NoAudio {
                let item = Item::Audio { block: self.blocks, pts_ns };
                self.wire.push_back((due(self, chance), item));
            }
            self.blocks += 1;
        }
    }

    fn deliver(&mut self, engine: &mut Engine, now_ns: i64, chance: &mut Chance) {
        if self.weather == Weather::Held {
            return;
        }
        // The queue between worker and engine holds a few; its oldest would be lost, here they come next time.
        let mut room = 40;
        while room > 0 && self.wire.front().is_some_and(|(at, _)| *at <= now_ns) {
            room -= 1;
            if self.wire.len() > 1 && chance.once_in(3000) {
                self.wire.swap(0, 1);
                self.rough_until_ns = self.rough_until_ns.max(now_ns + S);
            }
            let Some((at, item)) = self.wire.pop_front() else { break };
            if chance.once_in(3000) {
                let again = match &item {
                    Item::Video(sent) => Item::Video(*sent),
                    Item::Audio { block, pts_ns } => Item::Audio { block: *block, pts_ns: *pts_ns },
                };
                self.wire.push_front((at, again));
            }
            match item {
                Item::Video(sent) => self.send(engine, sent),
                Item::Audio { block, pts_ns } => self.sound(engine, block, pts_ns),
            }
        }
    }

    fn send(&mut self, engine: &mut Engine, mut sent: Sent) {
        // So that no two frames have the same timestamp, whatever jumps: that is how they are told apart.
        sent.pts_ns += sent.index % 1000;
        self.sent.push_back(sent);
        // A burst after a long stall is all sent before the first of it is shown.
        if self.sent.len() > 1024 {
            self.sent.pop_front();
        }
        let pts_ns = sent.pts_ns;
        engine.video(self.key, VideoFrame { pts_ns, picture: PICTURE.clone(), scaled: vec![] });
    }

    fn sound(&mut self, engine: &mut Engine, block: i64, pts_ns: i64) {
        let samples = BLOCKS[block as usize % BLOCKS.len()].clone();
        engine.audio(self.key, AudioBlock { pts_ns, samples });
    }

    /// Which frame this timestamp is; of several the newest. `from` is the one shown last.
    pub(crate) fn find(&self, pts_ns: i64, from: Option<Sent>) -> Option<Sent> {
        let same = from.filter(|from| from.pts_ns == pts_ns);
        same.or_else(|| self.sent.iter().rev().find(|sent| sent.pts_ns == pts_ns).copied())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("kind", &self.kind)
            .field("period_ns", &self.period_ns)
            .field("rounded", &self.rounded)
            .field("delay_ns", &self.delay_ns)
            .field("jitter_ns", &self.jitter_ns)
            .field("ppm", &self.ppm)
            .field("tracks", &[self.has_video, self.has_audio])
            .field("rough_until_ns", &self.rough_until_ns)
            .finish_non_exhaustive()
    }
}
