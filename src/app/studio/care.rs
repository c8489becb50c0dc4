//! How shows are kept on air: what broke begins again, the smallest part of it, and not too often.
//!
//! Must not know what a show is made of. Invariants: a show that broke is begun again while the catalog has it on air; one
//! that breaks again and again rests in between, on a slate; looking after one caster waits for no other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Place, Studio, lock};
use crate::api::control::{OutputStatus, Snapshot, TickCounts};
use crate::api::events::EventCode;
use crate::app::admission::Begins;
use crate::app::on_air::{Fault, OnAir};
use crate::app::outputs;
use crate::app::run_tick::Curtain;
use crate::app::shedding::{self, Tally};
use crate::catalog::{Caster, ErrorCode, Refused, Resource};
use crate::ids::CasterId;
use crate::limits;
use crate::worker::Patience;

/// How a caster's show fares.
#[derive(Debug, Default)]
pub(super) struct Care {
    patience: Patience,
    /// How often it began again, in part or whole.
    pub(super) restarts: u64,
    /// It broke and begins again at this time of the process's clock, ns.
    due_ns: Option<u64>,
    /// It shows a slate until this time.
    slate_until_ns: Option<u64>,
}

impl Care {
    /// It is broken now; whether it is time to begin again.
    fn is_due(&mut self, now_ns: u64) -> bool {
        let due_ns = *self.due_ns.get_or_insert_with(|| {
            let rest = u64::try_from(self.patience.broke(now_ns).as_nanos()).unwrap_or(u64::MAX);
            // Who breaks on the slate too has nothing to show until then.
            let due_ns = if self.slate_until_ns.is_some() { now_ns + rest } else { now_ns };
            self.slate_until_ns = (rest > 0).then_some(due_ns + rest);
            due_ns
        });
        let is_due = now_ns >= due_ns;
        if is_due {
            self.due_ns = None;
            self.restarts += 1;
        }
        is_due
    }

    /// Whether what the catalog has may be tried again after a slate; true once.
    fn is_slate_over(&mut self, now_ns: u64) -> bool {
        self.slate_until_ns.take_if(|until_ns| now_ns >= *until_ns).is_some()
    }
}

impl Studio {
    /// Starts and stops what is made only while somebody watches, begins again what broke, and tells the watchers.
    pub(in crate::app) fn follow_demand(self: &Arc<Self>) {
        let on_air: Vec<CasterId> = lock(&self.catalog)
            .casters()
            .filter(|caster| caster.is_on_air())
            .map(|caster| caster.id.clone())
            .collect();
        for id in on_air {
            let studio = self.clone();
            // Side by side: one that begins again takes its time.
            tokio::spawn(async move { studio.follow_one(&id).await });
        }
    }

    async fn follow_one(self: &Arc<Self>, id: &CasterId) {
        let Some(place) = self.place(id) else { return };
        // A caster that is busy with a call is looked at next time.
        let Ok(mut on_air) = place.lane.try_lock() else { return };
        let caster = lock(&self.catalog).caster(id).cloned();
        if let Some(caster) = caster
            && !self.draining.load(Ordering::Acquire)
        {
            self.look_after(&place, &mut on_air, &caster).await;
            if on_air.is_some() {
                self.follow_question(&place, &caster);
            }
        }
    }

    async fn look_after(&self, place: &Place, on_air: &mut Option<OnAir>, caster: &Arc<Caster>) {
        let now_ns = self.world.clock.now_ns();
        let Some(show) = on_air else {
            // It should be on air and could not go back there.
            if caster.is_on_air() && lock(&place.care).due_ns.is_some_and(|due| now_ns >= due) {
                lock(&place.care).is_due(now_ns);
                self.restart(place, on_air, caster).await;
            }
            return;
        };
        if let Some(fault) = show.fault() {
            if lock(&place.care).is_due(now_ns) {
                self.begin_again(place, on_air, (caster, fault)).await;
            }
            return;
        }
        if lock(&place.care).is_slate_over(now_ns) {
            tracing::info!(caster = %caster.id, "its scenes are tried again");
            show.restore_scenes(caster).await;
        }
        show.mend_inputs().await;
        show.follow_demand(self.shed_level()).await;
        let snapshot = show.snapshot();
        let missing_images: Vec<_> = show.missing_images().collect();
        self.events.observe(show.caster(), &snapshot, &missing_images);
        for noticed in show.take_noticed() {
            self.events.noticed(show.caster(), noticed);
        }
        for passed in show.positions_passed() {
            self.events.passed(show.caster(), &passed);
        }
        self.tell(place, snapshot);
    }

    /// Whether the machine can carry a show, or what `caster` has more than it had `before`.
    pub(super) async fn admit(
        &self,
        before: Option<&Arc<Caster>>,
        caster: &Arc<Caster>,
    ) -> Result<(), Refused> {
        let mut more = outputs::encoders(&self.world, caster)?;
        for running in
            before.map_or(Ok(Vec::new()), |before| outputs::encoders(&self.world, before))?
        {
            if let Some(index) = more.iter().position(|wanted| wanted.is_like(&running)) {
                more.remove(index);
            }
        }
        let is_encoder = |output: &&OutputStatus| output.encoder.is_some();
        let of = |snapshot: &Arc<Snapshot>| snapshot.outputs.iter().filter(is_encoder).count();
        let running = self.snapshots().iter().map(of).sum();
        let takes = |resource: &Resource| self.world.decoders.may_take(resource.configured());
        let decodes = caster.resources.iter().any(takes);
        let begins = if before.is_none() { Begins::Show { decodes } } else { Begins::Encoders };
        let world = self.world.clone();
        let admitted =
            tokio::task::spawn_blocking(move || world.admission.admit(running, (begins, &more)));
        admitted
            .await
            .map_err(outputs::internal)?
            .map_err(|why| Refused::new(ErrorCode::ResourceNumberExceed, why))
    }

    /// Looks at how the machine fares: what the process uses, and whether less must be made.
    pub(in crate::app) fn follow_load(&self) {
        let now_ns = self.world.clock.now_ns();
        self.world.admission.look(Duration::from_nanos(now_ns));
        let snapshots = self.snapshots();
        let all = snapshots.iter().fold(Tally::default(), |sum, snapshot| {
            let pgm = snapshot.outputs.iter().find(|output| output.name == "pgm");
            let encoder = pgm.and_then(|output| output.encoder.as_ref());
            let dropped = encoder.map_or(0, |encoder| encoder.pictures_dropped);
            let TickCounts { ticks, late, repeated, .. } = snapshot.ticks;
            Tally { ticks: sum.ticks + ticks, missed: sum.missed + late + repeated + dropped }
        });
        let mut shedding = lock(&self.shedding);
        let before = shedding.level();
        let Some(level) = shedding.look(now_ns, all) else { return };
        drop(shedding);
        let told = shedding::told(level);
        tracing::warn!(before, level, "the load has changed: {told}");
        let code = match level > before {
            true => EventCode::OverloadShed,
            false => EventCode::OverloadRestored,
        };
        for snapshot in snapshots.iter().filter(|snapshot| snapshot.on_air) {
            let caster = lock(&self.catalog).caster(&snapshot.caster).cloned();
            if let Some(caster) = caster {
                self.events.trouble(&caster, code, told.clone());
            }
        }
    }

    /// How much is not made because the machine is overloaded.
    pub(in crate::app) fn shed_level(&self) -> usize {
        lock(&self.shedding).level()
    }

    /// A show that broke begins again with what the catalog has for it (the files of its channels go on from where they
    /// were): its frame thread alone, if its outputs are whole.
    async fn begin_again(
        &self,
        place: &Place,
        on_air: &mut Option<OnAir>,
        (caster, fault): (&Arc<Caster>, Fault),
    ) {
        let on_slate = lock(&place.care).slate_until_ns.is_some();
        tracing::error!(caster = %caster.id, %fault, on_slate, "the show broke, it begins again");
        let (code, told) = match on_slate {
            true => {
                (EventCode::CasterOnSlate, format!("{fault}, again and again: it is on a slate"))
            }
            false => (EventCode::CasterRestarted, format!("{fault}: it begins again")),
        };
        self.events.trouble(caster, code, told);
        if let Some(show) = on_air
            && fault != Fault::NoOutput
        {
            match show.revive(caster).await {
                Ok(()) => {
                    *lock(&place.ticks) = Some(show.stop_token());
                    match on_slate {
                        true => show.open_on_slate().await,
                        false => show.reopen(caster).await,
                    }
                    return;
                }
                Err(refused) => tracing::error!(caster = %caster.id, %refused, "not by itself"),
            }
        }
        self.events.forget_show(&caster.id);
        if let Some(broken) = on_air.take() {
            broken.stop().await;
        }
        self.restart(place, on_air, caster).await;
    }

    /// Puts a caster on air with the scenes that the catalog has for it; when that fails, it is tried again later.
    pub(super) async fn restart(
        &self,
        place: &Place,
        on_air: &mut Option<OnAir>,
        caster: &Arc<Caster>,
    ) {
        match self.begin(place, caster, Curtain::Closed).await {
            Ok(mut started) => {
                started.reopen(caster).await;
                *on_air = Some(started);
                lock(&place.care).due_ns = None;
                tracing::info!(caster = %caster.id, "back on air");
            }
            Err(refused) => {
                let now_ns = self.world.clock.now_ns();
                let mut care = lock(&place.care);
                let rest = care.patience.broke(now_ns).max(limits::RETRY_START);
                care.due_ns = Some(now_ns + u64::try_from(rest.as_nanos()).unwrap_or(u64::MAX));
                tracing::error!(caster = %caster.id, %refused, ?rest, "could not go back on air");
            }
        }
    }

    pub(super) async fn begin(
        &self,
        place: &Place,
        caster: &Arc<Caster>,
        curtain: Curtain,
    ) -> Result<OnAir, Refused> {
        let started = OnAir::start(self.world.clone(), caster.clone(), curtain).await?;
        *lock(&place.ticks) = Some(started.stop_token());
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_show_that_breaks_again_and_again_goes_on_a_slate() {
        let mut care = Care::default();
        // Second of the look, whether it begins again, whether on a slate.
        for (now_s, begins, on_slate) in [
            (0, true, false),
            (1, true, false),
            (2, true, false),
            (3, true, false),
            (4, true, true),
            // Broken on the slate too: it rests first, for 20 s.
            (5, false, true),
            (24, false, true),
            (25, true, true),
        ] {
            assert_eq!(care.is_due(now_s * S), begins, "at {now_s} s");
            assert_eq!(care.slate_until_ns.is_some(), on_slate, "at {now_s} s");
        }
        assert!(!care.is_slate_over(44 * S));
        assert!(care.is_slate_over(45 * S));
        assert!(!care.is_slate_over(46 * S));
        assert_eq!(care.restarts, 6);
        // What has worked for a minute is as good as new.
        assert!(care.is_due(120 * S) && care.slate_until_ns.is_none());
    }
}
