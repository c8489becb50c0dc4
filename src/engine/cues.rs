//! The switches of PGM that are planned: which one is due at a tick.
//!
//! Must not know scenes or inputs. Invariant: every cue is told to switch at most once; of several that are due at once
//! only the latest is, the others are passed over for good.

use std::collections::BTreeSet;

use super::{Cue, SceneSpec};
use crate::ids::InputKey;

/// The list of cues and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Cues {
    /// By tick; of those at the same tick the one given last comes last.
    list: Vec<Cue>,
    /// How many of the list are over, whether they switched or were passed over, and which those are.
    passed: usize,
    over: BTreeSet<u64>,
}

impl Cues {
    /// Replaces the list. What is over under the same id and at a tick before `now` stays over.
    pub(super) fn set(&mut self, mut list: Vec<Cue>, now: u64) {
        list.sort_by_key(|cue| cue.tick);
        let before = std::mem::take(&mut self.over);
        self.over = list
            .iter()
            .filter(|cue| cue.tick <= now && before.contains(&cue.id))
            .map(|cue| cue.id)
            .collect();
        (self.list, self.passed) = (list, 0);
    }

    /// The cue that switches at tick `n`, if one does.
    pub(super) fn take_due(&mut self, n: u64) -> Option<Cue> {
        let due = self.list.partition_point(|cue| cue.tick <= n);
        let passed = std::mem::replace(&mut self.passed, due);
        let latest = self.list[passed..due].last()?;
        let cue = (!self.over.contains(&latest.id)).then(|| latest.clone());
        self.over.extend(self.list[passed..due].iter().map(|cue| cue.id));
        cue
    }

    /// No cue shows, sounds or starts the input any more.
    pub(super) fn forget(&mut self, input: InputKey) {
        for cue in &mut self.list {
            cue.starts.retain(|key| *key != input);
            forget(&mut cue.spec, input);
        }
    }
}

/// Takes an input out of what a scene shows and sounds.
pub(super) fn forget(spec: &mut SceneSpec, input: InputKey) {
    spec.picture.layers.retain(|layer| layer.input != input);
    spec.mix.retain(|entry| entry.input != input);
}
