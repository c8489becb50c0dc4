//! The operator's books of what is planned, what stands still and who is on one clock.

use std::collections::{BTreeMap, BTreeSet};

use onair::engine::{Cue, Event, Plan, SyncGroup, SyncMode};
use onair::ids::InputKey;

/// How an input moves by the books.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moves {
    /// It stands still from the tick after this one on.
    pub(crate) stands_since: Option<u64>,
    /// When it was told to run or stand last.
    pub(crate) told_at: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Books {
    cues: Vec<Cue>,
    over: BTreeSet<u64>,
    pub(crate) moves: BTreeMap<InputKey, Moves>,
    groups: Vec<SyncGroup>,
    /// Members that go by the clock of their group.
    joined: BTreeSet<InputKey>,
    /// When the clock of a member of a group was changed last.
    changed: BTreeMap<InputKey, u64>,
}

impl Books {
    pub(crate) fn set_cues(&mut self, n: u64, mut cues: Vec<Cue>) {
        cues.sort_by_key(|cue| cue.tick);
        self.over.retain(|id| cues.iter().any(|cue| cue.id == *id && cue.tick <= n));
        self.cues = cues;
    }

    /// The cue that has to switch at tick `n`.
    pub(crate) fn due(&mut self, n: u64) -> Option<Cue> {
        let due: Vec<_> = self.cues.iter().filter(|cue| cue.tick <= n).collect();
        let cue = due.last().filter(|cue| !self.over.contains(&cue.id)).map(|cue| (*cue).clone());
        self.over.extend(due.iter().map(|cue| cue.id));
        cue
    }

    /// It was told at tick `n` to stand still.
    pub(crate) fn stand(&mut self, n: u64, input: InputKey) {
        if !self.stood(input) {
            self.moves.insert(input, Moves { stands_since: Some(n), told_at: n });
        }
    }

    /// It was told at tick `n` to run.
    pub(crate) fn run(&mut self, n: u64, input: InputKey) {
        if self.stood(input) {
            self.moves.insert(input, Moves { stands_since: None, told_at: n });
        }
    }

    fn stood(&self, input: InputKey) -> bool {
        self.moves.get(&input).is_some_and(|moves| moves.stands_since.is_some())
    }

    /// Whether the input stands still at tick `n`.
    pub(crate) fn stands(&self, input: InputKey, n: u64) -> bool {
        let since = self.moves.get(&input).and_then(|moves| moves.stands_since);
        since.is_some_and(|since| since < n)
    }

    /// Ticks since the input was told to run or stand.
    pub(crate) fn moving_for(&self, input: InputKey, n: u64) -> u64 {
        self.moves.get(&input).map_or(u64::MAX, |moves| n - moves.told_at)
    }

    pub(crate) fn set_groups(&mut self, n: u64, groups: Vec<SyncGroup>) {
        for key in self.groups.iter().chain(&groups).flat_map(members) {
            self.changed.insert(key, n);
        }
        if self.groups != groups {
            self.joined.clear();
        }
        self.groups = groups;
    }

    pub(crate) fn forget(&mut self, input: InputKey) {
        for cue in &mut self.cues {
            cue.spec.picture.layers.retain(|layer| layer.input != input);
        }
        self.moves.remove(&input);
        self.joined.remove(&input);
    }

    /// Books what a plan tells of groups.
    pub(crate) fn book(&mut self, plan: &Plan) {
        for event in &plan.events {
            let key = match event {
                Event::Synced { input, .. } => {
                    assert!(self.joined.insert(*input), "tick {}: {event:?} twice", plan.tick);
                    input
                }
                Event::Unsynced { input, .. } => {
                    self.joined.remove(input);
                    input
                }
                Event::Reanchored { input, .. } if self.is_member(*input) => input,
                _ => continue,
            };
            // The others of the group may move with it.
            let group = self.groups.iter().find(|group| members(group).contains(key));
            let all = group.map_or_else(|| vec![*key], members);
            self.changed.extend(all.into_iter().map(|key| (key, plan.tick)));
        }
    }

    pub(crate) fn is_member(&self, input: InputKey) -> bool {
        self.groups.iter().any(|group| members(group).contains(&input))
    }

    /// Ticks since the clock of a member, or former member, of a group was changed.
    pub(crate) fn unchanged_for(&self, input: InputKey, n: u64) -> u64 {
        self.changed.get(&input).map_or(u64::MAX, |at| n - at)
    }

    /// Sets of inputs that have to show equal timestamps.
    pub(crate) fn companies(&self) -> impl Iterator<Item = Vec<InputKey>> {
        self.groups.iter().map(|group| {
            members(group).into_iter().filter(|key| self.joined.contains(key)).collect()
        })
    }
}

fn members(group: &SyncGroup) -> Vec<InputKey> {
    let host = match group.mode {
        SyncMode::Host(host) => Some(host),
        SyncMode::Mutual => None,
    };
    host.into_iter().chain(group.members.iter().copied()).collect()
}
