//! One input of a caster, of any kind, behind one face.
//!
//! Must not know scenes. Invariant: at most one picture and one block of samples per tick.

use super::health::Health;
use super::live::Live;
use super::media::{InputStats, Tick};
use super::paced::Paced;
use super::pause::Motion;
use super::{Detectors, Event, InputKind, InputState, Part, Wants};
use crate::frame::{AudioBlock, StereoSample, VideoFrame};
use crate::ids::InputKey;
use crate::limits;

/// An input and the samples of the current tick.
#[derive(Debug)]
pub(super) struct Input {
    source: Source,
    samples: Vec<StereoSample>,
    sounds: bool,
    /// How it fares, if it is live.
    pub(super) health: Health,
}

#[derive(Debug)]
enum Source {
    Live(Box<Live>),
    Paced(Box<Paced>),
    Still { frame: Option<VideoFrame>, since: u64 },
}

impl Input {
    /// An input that begins at a tick; of a file, `file_ahead` frames are asked for ahead.
    pub(super) fn new(kind: InputKind, at: &Tick, file_ahead: usize) -> Input {
        let source = match kind {
            InputKind::Live { buffer } => {
                let buffer_ns = i64::try_from(buffer.as_nanos()).unwrap_or(i64::MAX);
                Source::Live(Box::new(Live::new(buffer_ns, at)))
            }
            InputKind::Paced => Source::Paced(Box::new(Paced::new(at, file_ahead))),
            InputKind::Still => Source::Still { frame: None, since: at.n },
        };
        Input { source, samples: Vec::new(), sounds: false, health: Health::default() }
    }

    pub(super) fn video(&mut self, frame: VideoFrame) {
        match &mut self.source {
            Source::Live(live) => live.video(frame),
            Source::Paced(paced) => paced.video(frame),
            Source::Still { frame: still, .. } => *still = Some(frame),
        }
    }

    pub(super) fn audio(&mut self, block: AudioBlock) {
        match &mut self.source {
            Source::Live(live) => live.audio(block),
            Source::Paced(paced) => paced.audio(block),
            Source::Still { .. } => {}
        }
    }

    pub(super) fn state(&mut self, state: InputState) {
        self.health.state(state);
        match &mut self.source {
            Source::Live(live) => live.state(state),
            Source::Paced(paced) => paced.state(state),
            Source::Still { .. } => {}
        }
    }

    /// A part of a paced source will begin.
    pub(super) fn part(&mut self, part: Part) {
        if let Source::Paced(paced) = &mut self.source {
            paced.parts.push(part);
        }
    }

    /// Parts that began since this was last asked.
    pub(super) fn take_begun(&mut self) -> Vec<Part> {
        match &mut self.source {
            Source::Paced(paced) => paced.parts.take_begun(),
            _ => Vec::new(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.source, Source::Live(_))
    }

    /// What began and ended to be wrong with it at a tick.
    pub(super) fn look(&mut self, key: InputKey, at: &Tick, detectors: &Detectors) -> Vec<Event> {
        match &self.source {
            Source::Live(live) => self.health.look((key, at), live.still_ns(at), detectors),
            Source::Paced(_) | Source::Still { .. } => Vec::new(),
        }
    }

    pub(super) fn is_paced(&self) -> bool {
        matches!(self.source, Source::Paced(_))
    }

    /// Has a paced input run or stand still; others cannot.
    pub(super) fn set_motion(&mut self, at: &Tick, motion: Motion) {
        if let Source::Paced(paced) = &mut self.source {
            paced.set_motion(at, motion);
        }
    }

    pub(super) fn wants(&self) -> Wants {
        match &self.source {
            Source::Paced(paced) => {
                let (video, audio) = paced.wants();
                Wants { video, audio }
            }
            _ => Wants { video: limits::INPUT_VIDEO_QUEUE, audio: limits::INPUT_AUDIO_QUEUE },
        }
    }

    /// Moves on to a tick, after `late` (ns, samples) that nobody asked for.
    pub(super) fn advance(&mut self, at: &Tick, late: (i64, i64)) {
        match &mut self.source {
            Source::Live(live) => live.steer(at),
            Source::Paced(paced) => paced.advance(at, late),
            Source::Still { .. } => {}
        }
    }

    /// What a live input shows at a tick, once its clock for it is settled.
    pub(super) fn play(&mut self, at: &Tick) {
        if let Source::Live(live) = &mut self.source {
            live.play(at);
        }
    }

    /// The clock of a live input.
    pub(super) fn live(&mut self) -> Option<&mut Live> {
        match &mut self.source {
            Source::Live(live) => Some(live),
            _ => None,
        }
    }

    /// Reads the samples of the tick, if anybody hears them.
    pub(super) fn sound(&mut self, at: &Tick, heard: Heard) {
        let (media, span) = match &mut self.source {
            Source::Live(live) => {
                let span = live.span(at);
                (&mut live.media, span)
            }
            Source::Paced(paced) => {
                let span = paced.span(at);
                (&mut paced.media, span)
            }
            Source::Still { .. } => return,
        };
        if heard == Heard::No {
            self.sounds = false;
            return media.reader.unheard();
        }
        self.samples.resize(at.samples, [0.0; 2]);
        self.sounds = match span {
            Some(span) => media.read(span, &mut self.samples),
            None => media.reader.silence(&mut self.samples),
        };
        if let Source::Paced(paced) = &mut self.source {
            self.sounds &= paced.fade(at, &mut self.samples);
        }
    }

    /// The samples of the tick; `None` is silence.
    pub(super) fn samples(&self) -> Option<&[StereoSample]> {
        self.sounds.then_some(self.samples.as_slice())
    }

    /// The picture of the tick.
    pub(super) fn frame(&self) -> Option<&VideoFrame> {
        match &self.source {
            Source::Live(live) => live.media.shown.as_ref().map(|shown| &shown.frame),
            Source::Paced(paced) => paced.media.shown.as_ref().map(|shown| &shown.frame),
            Source::Still { frame, .. } => frame.as_ref(),
        }
    }

    /// Whether a switch at tick `n` may show it.
    pub(super) fn is_ready(&self, n: u64) -> bool {
        match &self.source {
            Source::Live(live) => live.is_ready(n),
            Source::Paced(paced) => paced.is_ready(n),
            Source::Still { frame, .. } => frame.is_some(),
        }
    }

    /// Whether a switch at the tick after `n` will be able to show it, as far as can be known now.
    pub(super) fn will_be_ready(&self, n: u64) -> bool {
        match &self.source {
            Source::Paced(paced) => paced.is_ready(n) || paced.is_startable(),
            _ => self.is_ready(n),
        }
    }

    pub(super) fn stats(&self, n: u64) -> InputStats {
        match &self.source {
            Source::Live(live) => InputStats {
                drift_ppm: live.drift_ppm() as f32,
                playing: true,
                ..live.media.stats(n, live.ahead_now_ns())
            },
            Source::Paced(paced) => paced.stats(n),
            Source::Still { since, .. } => InputStats {
                media_age_ticks: n.saturating_sub(*since),
                playing: true,
                ..InputStats::default()
            },
        }
    }

    /// Jumps of the anchor since they were last told, ns.
    pub(super) fn take_jumps(&mut self) -> Vec<i64> {
        match &mut self.source {
            Source::Live(live) => live.media.take_jumps(),
            Source::Paced(paced) => paced.media.take_jumps(),
            Source::Still { .. } => Vec::new(),
        }
    }

    /// Frames and blocks dropped since the input began.
    pub(super) fn dropped(&self) -> u64 {
        match &self.source {
            Source::Live(live) => live.media.stats.dropped,
            Source::Paced(paced) => paced.media.stats.dropped,
            Source::Still { .. } => 0,
        }
    }
}

/// Whether somebody hears an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Yes,
    No,
}
