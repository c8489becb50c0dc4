//! How a source delivers and how it fares: the words that its worker, the engine and the watchers share.
//!
//! Must not know who says them. Invariant: plain values.

use std::time::Duration;

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
