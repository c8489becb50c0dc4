//! How a source delivers and how it fares: the words that its worker, the engine and the watchers share.
//!
//! Must not know who says them. Invariant: plain values.

use std::time::Duration;

use crate::limits;

/// How an input delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// In its own time; late is lost. A jitter buffer of this depth is kept and the clock followed (±500 ppm).
    Live {
        /// Target depth of the jitter buffer.
        buffer: Duration,
    },
    /// On demand (file, pattern): plays from its first frame on the tick it is first ready, nothing is dropped.
    Paced,
    /// One picture for ever (image).
    Still,
}

/// What an input's worker says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the design's")]
pub enum InputState {
    Idle,
    Connecting,
    Buffering,
    Live,
    Stale,
    Failed,
    /// A file that has played to its end (its last picture stays).
    Ended,
}

/// A play of a file, or of an item of a playlist, begins on the timeline of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Part {
    /// Index of the item in its playlist; 0 for a single file.
    pub item: u32,
    /// Which play of the file, or pass of the playlist, from 0 on.
    pub pass: u32,
    /// Timestamp of the source at which it begins, ns.
    pub begin_ns: i64,
    /// Time of the file, from its first picture, that this is, ns.
    pub position_ns: i64,
}

/// What can be wrong with a live source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// It is not connected, and no picture has come for so long.
    Lost,
    /// It is connected, and no picture has come for so long.
    Stale,
    /// Pictures come and do not differ.
    Frozen,
    /// Its pictures are black.
    Black,
    /// It is in a mix and not heard.
    Silent,
}

impl Fault {
    /// All of them, in their order.
    pub const ALL: [Fault; 5] =
        [Fault::Lost, Fault::Stale, Fault::Frozen, Fault::Black, Fault::Silent];

    /// Its name in the API, in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Lost => "lost",
            Fault::Stale => "stale",
            Fault::Frozen => "frozen",
            Fault::Black => "black",
            Fault::Silent => "silent",
        }
    }

    /// The fault of this name.
    pub fn parse(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.as_str() == name)
    }
}

/// When something is told of as a fault, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detector {
    /// So long it must be so, 100 ms – 1 h.
    pub after: Duration,
    /// Whether it brings standby, where that may come by itself.
    pub brings_standby: bool,
}

/// A detector for each fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detectors([Detector; Fault::ALL.len()]);

impl Detectors {
    /// That of a fault.
    pub fn of(&self, fault: Fault) -> Detector {
        self.0[fault as usize]
    }

    /// Those that are not as usual.
    pub fn unusual(&self) -> impl Iterator<Item = (Fault, Detector)> {
        let usual = Detectors::default();
        let all = Fault::ALL.map(|fault| (fault, self.of(fault)));
        all.into_iter().filter(move |(fault, detector)| usual.of(*fault) != *detector)
    }

    /// Replaces that of a fault.
    pub fn set(&mut self, fault: Fault, detector: Detector) {
        self.0[fault as usize] = detector;
    }
}

impl Default for Detectors {
    /// Standby is brought by what interrupts a source, not by what it shows.
    fn default() -> Detectors {
        Detectors(Fault::ALL.map(|fault| {
            let (after, brings_standby) = match fault {
                Fault::Lost => (limits::LOST_AFTER, true),
                Fault::Stale => (limits::INPUT_STALE_AFTER, true),
                Fault::Frozen => (limits::FROZEN_AFTER, false),
                Fault::Black => (limits::BLACK_AFTER, false),
                Fault::Silent => (limits::SILENT_AFTER, false),
            };
            Detector { after, brings_standby }
        }))
    }
}
