//! What a caster on air is watched for: sources that something is wrong with, standby that came, files that go on.
//!
//! Must not decide any of it: the engine does. Invariant: the engine watches what the catalog says; what it notices is told once.

use std::time::Duration;

use super::OnAir;
use crate::app::events::Noticed;
use crate::app::resolve;
use crate::catalog::{Channel, LocationId};
use crate::engine::{self, AutoStandby, Command, StandIn, Vigil};
use crate::ids::{InputKey, ResourceId};
use crate::limits;

/// Standby that came by itself to stay: the catalog is to learn of it, and is told again when it refuses.
#[derive(Debug, Default)]
pub(super) struct Due {
    is_due: bool,
    /// Not before this time of the process's clock, ns.
    again_ns: u64,
}

impl Due {
    /// The catalog knows.
    fn settle(&mut self) {
        self.is_due = false;
    }

    /// Whether the catalog is to be told now.
    fn is_now(&mut self, now_ns: u64) -> bool {
        let is_now = self.is_due && now_ns >= self.again_ns;
        if is_now {
            self.again_ns = now_ns + limits::RETRY_START.as_nanos() as u64;
        }
        is_now
    }
}

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

    /// Tells the engine what to watch and what may stand in for PGM, if it is something else than before.
    pub(super) async fn follow_vigil(&mut self) {
        let (caster, ms) = (self.caster.clone(), |ms: u32| Duration::from_millis(ms.into()));
        let standby = self
            .standby
            .map(|input| resolve::whole(resolve::Shown { input, delay_ms: 0 }, Vec::new()));
        let auto = caster.config.auto_standby_ms.map(|after_ms| AutoStandby {
            after: ms(after_ms),
            back: caster.config.auto_return_ms.map(ms),
        });
        let vigil = Vigil {
            standby,
            slate: resolve::slate(&caster.config.name),
            auto,
            detectors: caster.config.detectors,
        };
        if vigil == self.vigil {
            return;
        }
        match self.command(Command::SetVigil(Box::new(vigil.clone()))).await {
            Ok(_) => self.vigil = vigil,
            Err(refused) => tracing::error!(caster = %caster.id, %refused, "nothing is watched"),
        }
    }

    /// Whether something stands in for PGM's own content.
    pub(super) fn stands_in(&self) -> bool {
        self.report.borrow().stand_in != StandIn::Own
    }

    /// What the engine has noticed since the last look.
    pub(in crate::app) fn take_noticed(&mut self) -> Vec<Noticed> {
        let news: Vec<engine::Event> = self.news.try_iter().collect();
        news.into_iter().filter_map(|event| self.tell(event)).collect()
    }

    fn tell(&mut self, event: engine::Event) -> Option<Noticed> {
        match event {
            engine::Event::FaultBegan { input, fault } => {
                Some(Noticed::Began { resource: self.resource_of(input)?, fault })
            }
            engine::Event::FaultEnded { input, fault, lasted_ns } => {
                let lasted_ms = lasted_ns / 1_000_000;
                Some(Noticed::Ended { resource: self.resource_of(input)?, fault, lasted_ms })
            }
            engine::Event::StoodIn { shows, by_itself, cause } => {
                let stays = self.caster.config.auto_return_ms.is_none() && self.standby.is_some();
                self.due.is_due = by_itself && shows != StandIn::Own && stays;
                let cause = cause.map(|(input, fault)| (self.resource_of(input), fault));
                Some(Noticed::StoodIn { shows, cause })
            }
            _ => None,
        }
    }

    /// Whether standby has come by itself, to stay until an operator sets or takes PGM.
    pub(in crate::app) fn is_standby_due(&mut self) -> bool {
        let is_on = self.caster.scenes.as_ref().is_some_and(|scenes| scenes.on_standby);
        if is_on {
            self.due.settle();
        }
        self.due.is_now(self.world.clock.now_ns())
    }

    pub(super) fn resource_of(&self, key: InputKey) -> Option<ResourceId> {
        let found = self.inputs.iter().find(|(_, used)| **used == key);
        found.map(|(id, _)| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standby_that_stays_is_told_until_it_is_known() {
        let mut due = Due { is_due: true, again_ns: 0 };
        const MS: u64 = 1_000_000;
        // Time, whether the catalog knows, whether it is told.
        for (now_ms, is_known, is_told) in [
            (0, false, true),
            (200, false, false),
            (999, false, false),
            (1000, false, true),
            (1200, true, false),
            (9000, false, false),
        ] {
            if is_known {
                due.settle();
            }
            assert_eq!(due.is_now(now_ms * MS), is_told, "at {now_ms} ms");
        }
    }
}
