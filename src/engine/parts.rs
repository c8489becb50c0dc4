//! Where in its files a paced source is.
//!
//! Must not know when anything plays. Invariant: parts begin in the order they were told in, each once.

use std::collections::VecDeque;

use crate::limits;
use crate::source::Part;

/// A part without a picture is taken to have begun when its time has been over for so long.
const WITHOUT_PICTURE_NS: i64 = 200_000_000;

/// The parts of one source: the one that plays and those to come.
#[derive(Debug, Default)]
pub(super) struct Parts {
    now: Option<Part>,
    coming: VecDeque<Part>,
    /// Begun and not yet told.
    begun: Vec<Part>,
}

impl Parts {
    /// A part will begin.
    pub(super) fn push(&mut self, part: Part) {
        if self.coming.len() >= limits::INPUT_PARTS {
            self.coming.pop_front();
        }
        self.coming.push_back(part);
    }

    /// The picture at this timestamp of the source is shown, and playing has come to that one.
    pub(super) fn reach(&mut self, shown_ns: Option<i64>, played_ns: i64) {
        let reached = shown_ns.unwrap_or(i64::MIN).max(played_ns - WITHOUT_PICTURE_NS);
        while let Some(part) = self.coming.pop_front_if(|part| part.begin_ns <= reached) {
            self.now = Some(part);
            self.begun.push(part);
        }
    }

    /// Parts that began since this was last asked.
    pub(super) fn take_begun(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.begun)
    }

    /// The part that plays, or will play first.
    pub(super) fn present(&self) -> Part {
        self.now.or(self.coming.front().copied()).unwrap_or_default()
    }

    /// The time of the present file, from its first picture, that a timestamp is; of a source that tells no parts, the
    /// timestamp itself. ms.
    pub(super) fn position_ms(&self, pts_ns: i64) -> u64 {
        let part = self.present();
        let position_ns = (pts_ns - part.begin_ns).max(0) + part.position_ns;
        (position_ns.max(0) / 1_000_000) as u64
    }
}
