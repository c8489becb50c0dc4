//! How far the files are whose sources ask to be told (`PtsCallbackInterval`).
//!
//! Must not tell anybody. Invariant: of one play of a file each multiple of the interval is found once at most, in order,
//! and only when the file was seen to come to it: a jump finds nothing.

use std::collections::BTreeMap;

use super::OnAir;
use crate::app::events::Passed;
use crate::catalog::{Resource, Source};
use crate::engine::InputStats;
use crate::ids::{EpisodeId, InputKey, ResourceId};
use crate::limits;

/// How far a file was at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which play of the file.
    pass: u32,
    /// Whole intervals from its first picture.
    intervals: u64,
}

/// What a source asks for.
#[derive(Clone, Copy, Debug)]
struct Ask {
    interval_ms: u64,
    /// Where each play begins.
    begin_ms: u64,
}

impl Ask {
    /// What this source asks for, if it is a file and asks.
    fn of(resource: &Resource) -> Option<Ask> {
        let Source::Vod { play, .. } = &resource.source else { return None };
        let asked_ms = Some(resource.pts_callback_ms).filter(|&ms| ms > 0)?;
        Some(Ask {
            interval_ms: asked_ms.max(limits::MIN_PTS_CALLBACK_MS).into(),
            begin_ms: u64::try_from(play.begin_offset_ms).unwrap_or(0),
        })
    }

    /// The multiple that the file has come to since the look before, if there is a new one; and this look.
    fn look(self, before: Option<Mark>, now: &InputStats) -> (Option<u64>, Option<Mark>) {
        // Before its first picture a file that begins elsewhere says so too.
        if now.position_ms == 0 {
            return (None, before);
        }
        let mark = Mark { pass: now.pass, intervals: now.position_ms / self.interval_ms };
        let from = before.map(|before| match before.pass == now.pass {
            true => before.intervals,
            false => self.begin_ms / self.interval_ms,
        });
        let is_new = from.is_some_and(|from| from < mark.intervals);
        (is_new.then_some(mark.intervals * self.interval_ms), Some(mark))
    }
}

impl OnAir {
    /// Positions that files have come to since this was last asked; of several of one file the last.
    pub(in crate::app) fn positions_passed(&mut self) -> Vec<Passed> {
        let report = self.report.borrow().clone();
        let before = std::mem::take(&mut self.marks);
        let (mut passed, mut marks) = (Vec::new(), BTreeMap::new());
        for (input, resource, episode) in self.playing() {
            let Some(ask) = self.caster.resource(&resource).and_then(Ask::of) else { continue };
            let Some(found) = report.inputs.iter().find(|report| report.input == input) else {
                continue;
            };
            let (position, mark) = ask.look(before.get(&input).copied(), &found.stats);
            marks.extend(mark.map(|mark| (input, mark)));
            passed.extend(position.map(|position_ms| Passed { resource, episode, position_ms }));
        }
        self.marks = marks;
        passed
    }

    /// The inputs of sources, by themselves and in episodes.
    fn playing(&self) -> Vec<(InputKey, ResourceId, Option<EpisodeId>)> {
        let own = self.inputs.iter().map(|(id, input)| (*input, id.clone(), None));
        let of_episodes = self.caster.episodes.iter().filter_map(|episode| {
            let input = self.episodes.get(&episode.id)?;
            Some((*input, episode.resource()?.clone(), Some(episode.id.clone())))
        });
        own.chain(of_episodes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_multiple_that_a_file_comes_to_is_found_once() {
        // (pass, position) of the looks, and what they find; the file begins at 2.5 s and asks for every second.
        for (looks, found) in [
            (
                &[(0, 0), (0, 2500), (0, 2900), (0, 3000), (0, 3200), (0, 4100)][..],
                &[3000, 4000][..],
            ),
            // Held at its first picture, or opened in the middle: it has not come there by itself.
            (&[(0, 7300), (0, 7300), (0, 7900)], &[]),
            (&[(0, 7900), (0, 8000)], &[8000]),
            // Nobody could look for a while: the last is told.
            (&[(0, 2600), (0, 6100), (0, 6200)], &[6000]),
            // Each play anew; the beginning itself is not told.
            (&[(0, 4900), (1, 0), (1, 2600), (1, 3100), (2, 3200), (3, 2700)], &[3000, 3000]),
        ] {
            let ask = Ask { interval_ms: 1000, begin_ms: 2500 };
            let (mut mark, mut seen) = (None, Vec::new());
            for &(pass, position_ms) in looks {
                let stats = InputStats { pass, position_ms, ..InputStats::default() };
                let (position, next) = ask.look(mark, &stats);
                seen.extend(position);
                mark = next;
            }
            assert_eq!(seen, found, "{looks:?}");
        }
    }
}
