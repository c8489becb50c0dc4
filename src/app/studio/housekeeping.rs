//! What casters do by themselves: start and stop at set times, remember how
//! far their files are. That standby came by itself to stay is told the catalog as an operator's call.
//!
//! Must not decide what is allowed: it makes calls like any client. Invariant: looking never waits for a call in
//! progress, and nothing here makes a client's call fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Place, Studio, lock};
use crate::catalog::{Call, Caster, TimedEventKind};
use crate::ids::CasterId;
use crate::time;

impl Studio {
    /// Looks at every caster once.
    pub(in crate::app) async fn keep_house(self: &Arc<Self>) {
        if self.draining.load(Ordering::Acquire) {
            return;
        }
        // Beside the rest: a group that ends takes its time.
        let studio = self.clone();
        tokio::spawn(async move { studio.follow_groups().await });
        let casters: Vec<Arc<Caster>> = lock(&self.catalog)
            .casters()
            .filter(|caster| caster.is_on_air() || !caster.timed_events.is_empty())
            .cloned()
            .collect();
        for caster in casters {
            let Some(place) = self.place(&caster.id) else { continue };
            for call in self.due_calls(&place, &caster.id).await {
                self.make(call);
            }
        }
    }

    /// Carries out a call beside whatever else goes on.
    fn make(self: &Arc<Self>, call: Call) {
        let studio = self.clone();
        tokio::spawn(async move {
            let told = format!("{call:?}");
            match studio.call(call, None, None).await {
                Ok(_) => tracing::info!(call = told, "done by itself"),
                Err(refused) => {
                    tracing::warn!(call = told, %refused, "could not be done by itself")
                }
            }
        });
    }

    async fn due_calls(&self, place: &Place, id: &CasterId) -> Vec<Call> {
        // A caster that is busy with a call is looked at next time.
        let Ok(mut on_air) = place.lane.try_lock() else { return Vec::new() };
        let mut calls = Vec::new();
        let due = lock(&self.catalog).take_due(id, time::unix_ms());
        if let Some((kinds, change)) = due
            && self.make_durable(change, None).await.is_ok()
        {
            let caster_id = id.to_string();
            calls.extend(kinds.into_iter().map(|kind| match kind {
                TimedEventKind::Start => Call::StartCaster { caster_id: caster_id.clone() },
                TimedEventKind::Stop => Call::StopCaster { caster_id: caster_id.clone() },
            }));
        }
        let Some(show) = on_air.as_mut() else { return calls };
        if show.is_standby_due()
            && let Some(scenes) = &show.caster().scenes
        {
            let scene_id = scenes.pgm.id.to_string();
            calls.push(Call::EffectCasterUrgent { caster_id: id.to_string(), scene_id });
        }
        if let Some(positions) = show.positions_due() {
            let change = lock(&self.catalog).with_positions(id, &positions);
            if let Some(change) = change {
                // A position that was not kept is kept a second later.
                let _ = self.make_durable(change, None).await;
            }
        }
        calls
    }
}
