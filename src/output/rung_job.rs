//! What the programme's encoder hands to its renditions.
//!
//! Must not know what they make of it. Invariant: a rendition that is late keeps no picture from the programme, but for its first and
//! last ones.

use std::sync::{Arc, Weak};

use super::encode_loop::Shown;
use crate::media::encode::Idr;
use crate::media::packet::Packet;

/// What the programme hands to a rendition.
#[derive(Clone)]
pub(super) enum RungJob {
    /// The next tick.
    Tick(RungTick),
    /// No more ticks come.
    Tail(Tail),
}

/// What is left at the end.
#[derive(Clone)]
pub(super) struct Tail {
    /// Sound that the encoder still held.
    pub(super) audio: Vec<Packet>,
    /// The last pictures, which nobody else holds by then for a rendition that is a little behind.
    pub(super) _held: Vec<Arc<Shown>>,
}

/// A tick as the programme encoded it.
#[derive(Clone)]
pub(super) struct RungTick {
    /// Counted from the output's first.
    pub(super) tick: u64,
    pub(super) delay_ticks: u64,
    pub(super) idr: Idr,
    /// Gone when the rendition is late: canvases are few, and PGM needs them.
    pub(super) shown: Weak<Shown>,
    /// Of ticks that come several at once, at the end for instance, and of a rendition's first: nobody is late then.
    pub(super) held: Option<Arc<Shown>>,
    pub(super) audio: Vec<Packet>,
}
