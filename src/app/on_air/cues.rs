//! From the rundown's times to cues at ticks.
//!
//! Must not know what an episode shows. Invariant: a cue's tick is the one on air at its time, by a wall clock that is
//! looked at again and again; a clock that is set moves the cues that are still to come.

use std::ops::Range;

use super::super::rundown;
use super::OnAir;
use crate::catalog::Caster;
use crate::engine::{Command, Cue};
use crate::ids::{Bus, InputKey};
use crate::limits;
use crate::time;

/// How far back cues are told again, ms: the engine knows which of them have happened.
const LOOK_BACK_MS: u64 = 1000;
/// How far ahead cues are told, ms: longer than any call holds a caster, so that no switch waits for one.
const LOOK_AHEAD_MS: u64 = 60_000;

impl OnAir {
    /// The time at which the engine's tick 0 began, ns since 1970; none before its first tick was reported. Tick 0 of the show
    /// is told by it.
    fn follow_wall_clock(&mut self) -> Option<i128> {
        let (engine_started_ns, started_ns) = {
            let report = self.report.borrow();
            (report.engine_started_ns?, report.started_ns)
        };
        let since_start_ns = self.world.clock.now_ns().saturating_sub(engine_started_ns);
        let origin = time::unix_ns() - i128::from(since_start_ns);
        let half_tick = i128::from(self.rate.tick_ns(1) / 2);
        // Reading two clocks one after the other is not exact: only a clock that was set counts.
        let known = self.origin_unix_ns.filter(|known| (known - origin).abs() < half_tick);
        let origin = known.unwrap_or(origin);
        self.origin_unix_ns = Some(origin);
        self.tick0_unix_ns = started_ns.map(|ns| origin + i128::from(ns - engine_started_ns));
        Some(origin)
    }

    /// Has the engine know the switches to come before anything goes out, so that the first of them is not late.
    pub(super) async fn cue_before_opening(&mut self) {
        // A frame thread that is gone is noticed at the next look.
        let _ = self.report.wait_for(|report| report.engine_started_ns.is_some()).await;
        self.follow_cues().await;
    }

    /// The rundown as it is now: inputs for the files of episodes, and the switches to come.
    pub(super) async fn follow_rundown(&mut self) {
        self.follow_episodes(&self.caster.clone(), time::unix_ms());
        self.follow_cues().await;
    }

    /// Tells the engine the switches to come, if they are others than before.
    pub(super) async fn follow_cues(&mut self) {
        let caster = self.caster.clone();
        let Some(origin_unix_ns) = self.follow_wall_clock() else { return };
        if caster.episodes.is_empty() && self.cues.is_empty() {
            return;
        }
        let unix_ms = time::unix_ms();
        // What was on PGM when the show began was put there by other means.
        let begun_ms = self.cued_from_unix_ms.min(unix_ms);
        let near = unix_ms.saturating_sub(LOOK_BACK_MS).max(begun_ms)..unix_ms + LOOK_AHEAD_MS;
        let cues = self.cues_within(&caster, near, origin_unix_ns);
        if cues != self.cues {
            match self.command(Command::SetCues(cues.clone())).await {
                Ok(_) => self.cues = cues,
                Err(refused) => tracing::error!(caster = %caster.id, %refused, "no rundown"),
            }
        }
    }

    fn cues_within(&self, caster: &Caster, near: Range<u64>, origin_unix_ns: i128) -> Vec<Cue> {
        let on_standby = caster.scenes.as_ref().is_some_and(|scenes| scenes.on_standby);
        if on_standby {
            return Vec::new();
        }
        let cue = |unix_ms: u64| Cue {
            id: unix_ms,
            tick: self.rate.tick_at_offset(i128::from(unix_ms) * 1_000_000 - origin_unix_ns),
            spec: self.scene(caster, Bus::Pgm, unix_ms),
            starts: self.starting(caster, unix_ms),
        };
        rundown::switch_times(caster, near.start)
            .range(..near.end)
            .copied()
            .take(limits::MAX_CUES)
            .map(cue)
            .collect()
    }

    /// The input of the episode that begins at this very time.
    fn starting(&self, caster: &Caster, unix_ms: u64) -> Vec<InputKey> {
        rundown::source_on(caster, unix_ms)
            .filter(|slot| slot.begin_unix_ms == unix_ms)
            .and_then(|slot| self.episodes.get(&slot.episode.id).copied())
            .into_iter()
            .collect()
    }
}
