//! What a caster on air is watched for: sources that stop, files that go on.
//!
//! Must not do anything about it. Invariant: an interruption is told once, and again only after it was over.

use super::OnAir;
use crate::app::frame_thread::InputReport;
use crate::catalog::{Channel, LocationId, Source};
use crate::ids::InputKey;
use crate::limits;

impl OnAir {
    /// How far the files of channels are, ms; once every [`limits::POSITIONS_EVERY`].
    pub(in crate::app) fn positions_due(&mut self) -> Option<Vec<(LocationId, u64)>> {
        let now_ns = self.world.clock.now_ns();
        let every_ns = u64::try_from(limits::POSITIONS_EVERY.as_nanos()).unwrap_or(u64::MAX);
        if self.caster.channels.is_empty() || now_ns < self.positions_ns.saturating_add(every_ns) {
            return None;
        }
        self.positions_ns = now_ns;
        let report = self.report.borrow().clone();
        let position = |channel: &Channel| {
            let input = self.inputs.get(channel.resource.as_ref()?)?;
            let found = report.inputs.iter().find(|report| report.input == *input)?;
            Some((channel.id, found.stats.position_ms))
        };
        Some(self.caster.channels.iter().filter_map(position).collect())
    }

    /// Whether standby is due by itself from now on.
    pub(in crate::app) fn begins_interruption(&mut self) -> bool {
        let now = self.is_interrupted() || std::mem::take(&mut self.is_given_up);
        let before = std::mem::replace(&mut self.interrupted, now);
        now && !before
    }

    /// Whether a live source that PGM shows has sent nothing for as long as the caster puts up with.
    fn is_interrupted(&self) -> bool {
        let (Some(limit_ms), Some(scenes)) =
            (self.caster.config.auto_standby_ms, &self.caster.scenes)
        else {
            return false;
        };
        if scenes.on_standby || self.standby.is_none() {
            return false;
        }
        let report = self.report.borrow().clone();
        let is_silent = |input: &&InputReport| {
            input.status.media_age_ms.is_some_and(|age_ms| age_ms >= u64::from(limit_ms))
        };
        let shown = report.inputs.iter().filter(|input| report.tally.pgm.contains(&input.input));
        shown.filter(is_silent).any(|input| self.is_live(input.input))
    }

    fn is_live(&self, key: InputKey) -> bool {
        let found = self.inputs.iter().find(|(_, used)| **used == key);
        found
            .and_then(|(id, _)| self.caster.resource(id))
            .is_some_and(|resource| matches!(resource.source, Source::Live { .. }))
    }
}
