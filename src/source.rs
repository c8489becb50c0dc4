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
