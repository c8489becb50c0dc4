//! The command's path: every call on every caster, from "may I" to "it took effect".
//!
//! Owns the order prepare → effects on air → durable → commit → answer. Must not know wire forms or pictures.
//! Invariants: calls on one caster are carried out one after the other; a refused call leaves the catalog, the disk and
//! the running caster as they were.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::on_air::OnAir;
use super::world::World;
use crate::api::control::{Message, Snapshot};
use crate::catalog::{
    Answer, Call, Caster, Catalog, Change, Context, ErrorCode, Prepared, Refused,
};
use crate::ids::CasterId;
use crate::store::Store;
use crate::time;

/// A caster's place: who holds the lock is the only one to change the caster.
type Lane = Arc<tokio::sync::Mutex<Option<OnAir>>>;

/// All casters of the process.
pub(super) struct Studio {
    world: Arc<World>,
    catalog: Mutex<Catalog>,
    store: Arc<Mutex<Store>>,
    lanes: Mutex<BTreeMap<String, Lane>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are replaced whole, so a panic elsewhere cannot leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Studio {
    /// A studio with what `store` holds.
    pub(super) fn new(world: Arc<World>, catalog: Catalog, store: Store) -> Arc<Studio> {
        Arc::new(Studio {
            world,
            catalog: Mutex::new(catalog),
            store: Arc::new(Mutex::new(store)),
            lanes: Mutex::default(),
        })
    }

    /// Puts casters back on air that were when the process ended.
    pub(super) async fn resume(self: &Arc<Self>) {
        let running: Vec<_> =
            lock(&self.catalog).casters().filter(|caster| caster.is_on_air()).cloned().collect();
        for caster in running {
            let lane = self.lane(caster.id.as_str());
            let mut on_air = lane.lock().await;
            match OnAir::start(self.world.clone(), caster.clone()).await {
                Ok(mut started) => {
                    started.restore_scenes(&caster).await;
                    *on_air = Some(started);
                    tracing::info!(caster = %caster.id, "back on air");
                }
                Err(refused) => {
                    tracing::error!(caster = %caster.id, %refused, "could not go back on air");
                }
            }
        }
    }

    /// Answers calls until every sender is gone.
    pub(super) async fn run(self: Arc<Self>, mut calls: mpsc::Receiver<Message>) {
        while let Some(message) = calls.recv().await {
            let studio = self.clone();
            match message {
                Message::Call(request) => {
                    tokio::spawn(async move {
                        let answer = studio.call(request.call).await;
                        // A client that went away misses the answer, not the effect.
                        let _ = request.reply.send(answer);
                    });
                }
                Message::Watch(request) => {
                    tokio::spawn(async move {
                        let _ = request.reply.send(studio.watch(request.caster_id.as_str()).await);
                    });
                }
            }
        }
    }

    /// Ends every running caster: files finished, players told. The catalog keeps them as running.
    pub(super) async fn drain(&self) {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        let ends = lanes.into_iter().map(|lane| async move {
            if let Some(on_air) = lane.lock().await.take() {
                on_air.stop().await;
            }
        });
        for end in ends.map(tokio::spawn).collect::<Vec<_>>() {
            if let Err(error) = end.await {
                tracing::error!(%error, "a caster did not end in order");
            }
        }
    }

    /// The latest snapshot of every running caster.
    pub(super) async fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        let mut all = Vec::new();
        for lane in lanes {
            if let Some(on_air) = &*lane.lock().await {
                all.push(on_air.snapshot());
            }
        }
        all
    }

    /// Starts and stops what is made only while somebody watches.
    pub(super) async fn follow_demand(&self) {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        for lane in lanes {
            // A caster that is busy with a call is looked at next time.
            if let Ok(mut on_air) = lane.try_lock()
                && let Some(on_air) = &mut *on_air
            {
                on_air.follow_demand().await;
            }
        }
    }

    async fn watch(
        &self,
        caster_id: &str,
    ) -> Result<tokio::sync::watch::Receiver<Arc<Snapshot>>, Refused> {
        let id = CasterId::parse(caster_id).filter(|id| lock(&self.catalog).caster(id).is_some());
        if id.is_none() {
            return Err(Refused::new(ErrorCode::InvalidCasterNotFound, "Caster is not found."));
        }
        match &*self.lane(caster_id).lock().await {
            Some(on_air) => Ok(on_air.watch()),
            None => Err(Refused::new(ErrorCode::IncorrectCasterStatusIdle, "Caster is not started.")),
        }
    }

    /// One call, from "may I" to "it took effect".
    async fn call(&self, call: Call) -> Result<Answer, Refused> {
        let lane = self.lane(call.caster_id());
        // Reads never wait behind a take that waits for its sources.
        if call.is_read() {
            return Ok(self.prepare(call)?.answer);
        }
        let mut on_air = lane.lock().await;
        let Prepared { change, answer, effects } = self.prepare(call)?;
        let Some(change) = change else { return Ok(answer) };
        let applied = match &change {
            Change::Upsert(caster) => self.carry_out(&mut on_air, caster, &effects).await?,
            Change::Delete(id) => {
                lock(&self.lanes).remove(id.as_str());
                None
            }
        };
        self.save(change.clone()).await?;
        lock(&self.catalog).commit(change);
        Ok(match applied {
            Some(applied) => answer.with_applied(applied),
            None => answer,
        })
    }

    fn prepare(&self, call: Call) -> Result<Prepared, Refused> {
        let context =
            Context { now_unix_ms: time::unix_ms(), fresh: &uuid::Uuid::new_v4 };
        lock(&self.catalog).prepare(call, &context)
    }

    async fn carry_out(
        &self,
        on_air: &mut Option<OnAir>,
        caster: &Arc<Caster>,
        effects: &[crate::catalog::Effect],
    ) -> Result<Option<crate::catalog::Applied>, Refused> {
        use crate::catalog::Effect;
        match effects {
            [Effect::Start] => {
                *on_air = Some(OnAir::start(self.world.clone(), caster.clone()).await?);
                Ok(None)
            }
            [Effect::Stop] => {
                if let Some(on_air) = on_air.take() {
                    on_air.stop().await;
                }
                Ok(None)
            }
            effects => match on_air {
                Some(on_air) => on_air.carry_out(caster, effects).await,
                None => Ok(None),
            },
        }
    }

    async fn save(&self, change: Change) -> Result<(), Refused> {
        let store = self.store.clone();
        let saved = tokio::task::spawn_blocking(move || lock(&store).save(&change)).await;
        let problem = match saved {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::error!(problem, "a change could not be made durable");
        Err(Refused::new(ErrorCode::InternalError, "The change could not be stored."))
    }

    fn lane(&self, caster_id: &str) -> Lane {
        lock(&self.lanes).entry(caster_id.to_owned()).or_default().clone()
    }
}
