//! What a rundown has on PGM at a time, and when that changes.
//!
//! Must not know ticks or inputs. Invariant: the same caster and the same time give the same answer, so that a show that
//! begins again in the middle of an episode goes on with it.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::catalog::{Caster, Episode, EpisodeContent, Slot, timeline};

/// The rundown's episodes, if it switches PGM.
fn episodes(caster: &Caster) -> &[Episode] {
    if caster.config.program_effect { &caster.episodes } else { &[] }
}

/// When an operator last took PGM for himself: episodes that had begun by then are passed over.
fn set_by_hand(caster: &Caster) -> u64 {
    caster.scenes.as_ref().map_or(0, |scenes| scenes.pgm_set_unix_ms)
}

/// The slots of the rundown that PGM follows.
pub(super) fn slots(caster: &Caster) -> Vec<Slot<'_>> {
    let by_hand = set_by_hand(caster);
    let mut slots = timeline(episodes(caster));
    slots.retain(|slot| slot.begin_unix_ms > by_hand);
    slots
}

/// The episode with a source that is on.
pub(super) fn source_on(caster: &Caster, unix_ms: u64) -> Option<Slot<'_>> {
    slots(caster).into_iter().find(|slot| slot.is_on(unix_ms))
}

/// The episodes of components alone that are on, in the order they were added.
pub(super) fn components_on(caster: &Caster, unix_ms: u64) -> impl Iterator<Item = &Episode> {
    overlays(caster).filter(move |e| (e.start_unix_ms..e.end_unix_ms).contains(&unix_ms))
}

fn overlays(caster: &Caster) -> impl Iterator<Item = &Episode> {
    episodes(caster).iter().filter(|e| e.content == EpisodeContent::Component)
}

/// Times after `after_unix_ms` at which what PGM shows changes, in order.
pub(super) fn switch_times(caster: &Caster, after_unix_ms: u64) -> BTreeSet<u64> {
    let mut times = BTreeSet::new();
    for slot in slots(caster) {
        times.insert(slot.begin_unix_ms);
        times.extend(slot.end_unix_ms);
    }
    for episode in overlays(caster) {
        times.extend([episode.start_unix_ms, episode.end_unix_ms]);
    }
    times.split_off(&(after_unix_ms + 1))
}

/// Whether what PGM shows changes after the one time, up to and at the other.
pub(super) fn switches_within(caster: &Caster, unix_ms: Range<u64>) -> bool {
    switch_times(caster, unix_ms.start).first().is_some_and(|&at| at <= unix_ms.end)
}
