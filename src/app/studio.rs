//! The command's path: every call on every caster, from "may I" to "it took effect".
//!
//! Owns the order prepare → effects on air → durable → commit → answer. Must not know wire forms or pictures.
//! Invariants: calls on one caster are carried out one after the other; a refused call leaves the catalog, the disk and
//! the running caster as they were.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::on_air::OnAir;
use super::world::World;
use crate::api::control::{Message, Snapshot};
use crate::catalog::{
    Answer, Applied, Call, Caster, Catalog, Change, Context, Effect, ErrorCode, Prepared, Refused,
};
use crate::ids::CasterId;
use crate::store::Store;
use crate::time;
use crate::worker::StopToken;

/// A caster's place in the studio.
struct Place {
    /// Who holds the lock is the only one to change the caster.
    lane: tokio::sync::Mutex<Option<OnAir>>,
    /// Stops the ticks of the show on the lane, also while a call holds it.
    ticks: Mutex<Option<StopToken>>,
    /// What its watchers are told, on air or not.
    snapshots: watch::Sender<Arc<Snapshot>>,
}

/// All casters of the process.
pub(super) struct Studio {
    world: Arc<World>,
    catalog: Mutex<Catalog>,
    store: Arc<Mutex<Store>>,
    places: Mutex<BTreeMap<CasterId, Arc<Place>>>,
    /// Calls that are about no caster yet go one after the other too.
    creating: tokio::sync::Mutex<()>,
    /// The process ends: nothing is changed any more.
    draining: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are replaced whole, so a panic elsewhere cannot leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Place {
    fn of(caster: &Caster) -> Arc<Place> {
        let idle = Snapshot::idle(caster.id.clone(), caster.revision);
        Arc::new(Place {
            lane: tokio::sync::Mutex::default(),
            ticks: Mutex::default(),
            snapshots: watch::Sender::new(Arc::new(idle)),
        })
    }
}

impl Studio {
    /// A studio with what `store` holds.
    pub(super) fn new(world: Arc<World>, catalog: Catalog, store: Store) -> Arc<Studio> {
        let places = catalog.casters().map(|caster| (caster.id.clone(), Place::of(caster)));
        Arc::new(Studio {
            world,
            places: Mutex::new(places.collect()),
            catalog: Mutex::new(catalog),
            store: Arc::new(Mutex::new(store)),
            creating: tokio::sync::Mutex::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// Puts casters back on air that were when the process ended.
    pub(super) async fn resume(self: &Arc<Self>) {
        let running: Vec<_> =
            lock(&self.catalog).casters().filter(|caster| caster.is_on_air()).cloned().collect();
        for caster in running {
            let Some(place) = self.place(&caster.id) else { continue };
            let mut on_air = place.lane.lock().await;
            self.restart(&place, &mut on_air, &caster).await;
        }
    }

    /// Answers calls until every sender is gone.
    pub(super) async fn run(self: Arc<Self>, mut calls: mpsc::Receiver<Message>) {
        while let Some(message) = calls.recv().await {
            let studio = self.clone();
            match message {
                Message::Call(request) => {
                    tokio::spawn(async move {
                        let answer = studio.call(request.call, request.expected_revision).await;
                        // A client that went away misses the answer, not the effect.
                        let _ = request.reply.send(answer);
                    });
                }
                Message::Watch(request) => {
                    tokio::spawn(async move {
                        let _ = request.reply.send(studio.watch(&request.caster).await);
                    });
                }
            }
        }
    }

    /// Ends every running caster: files finished, players told. The catalog keeps them as running.
    pub(super) async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        // A take that waits for its source is answered now, so that no lane is held.
        for place in self.all_places() {
            if let Some(ticks) = &*lock(&place.ticks) {
                ticks.stop();
            }
        }
        let ends = self.all_places().into_iter().map(|place| async move {
            if let Some(on_air) = place.lane.lock().await.take() {
                on_air.stop().await;
            }
        });
        for end in ends.map(tokio::spawn).collect::<Vec<_>>() {
            if let Err(error) = end.await {
                tracing::error!(%error, "a caster did not end in order");
            }
        }
    }

    /// The latest snapshot of every caster.
    pub(super) fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.all_places().iter().map(|place| place.snapshots.borrow().clone()).collect()
    }

    /// Whether a stream name is that of a PVW.
    pub(super) fn is_preview(&self, stream_name: &str) -> bool {
        let is_pvw = |caster: &Arc<Caster>| {
            caster.scenes.as_ref().is_some_and(|scenes| scenes.pvw.stream_name == stream_name)
        };
        lock(&self.catalog).casters().any(is_pvw)
    }

    /// Starts and stops what is made only while somebody watches, and tells the watchers.
    pub(super) async fn follow_demand(&self) {
        for place in self.all_places() {
            // A caster that is busy with a call is looked at next time.
            if let Ok(mut on_air) = place.lane.try_lock()
                && !self.draining.load(Ordering::Acquire)
            {
                self.look_after(&place, &mut on_air).await;
            }
        }
    }

    /// A show whose frame thread or encoder broke begins again with what it showed; PVW follows its viewers.
    async fn look_after(&self, place: &Place, on_air: &mut Option<OnAir>) {
        let Some(show) = on_air else { return };
        if show.is_dead() {
            let caster = show.caster().clone();
            tracing::error!(caster = %caster.id, "the show broke, it begins again");
            if let Some(broken) = on_air.take() {
                broken.stop().await;
            }
            self.restart(place, on_air, &caster).await;
        } else {
            show.follow_demand().await;
            place.snapshots.send_replace(Arc::new(show.snapshot()));
        }
    }

    /// Puts a caster on air with the scenes that the catalog has for it.
    async fn restart(&self, place: &Place, on_air: &mut Option<OnAir>, caster: &Arc<Caster>) {
        match self.begin(place, caster).await {
            Ok(mut started) => {
                started.restore_scenes(caster).await;
                *on_air = Some(started);
                tracing::info!(caster = %caster.id, "back on air");
            }
            Err(refused) => {
                tracing::error!(caster = %caster.id, %refused, "could not go back on air");
            }
        }
    }

    async fn begin(&self, place: &Place, caster: &Arc<Caster>) -> Result<OnAir, Refused> {
        let started = OnAir::start(self.world.clone(), caster.clone()).await?;
        *lock(&place.ticks) = Some(started.stop_token());
        Ok(started)
    }

    async fn watch(&self, id: &CasterId) -> Result<watch::Receiver<Arc<Snapshot>>, Refused> {
        let place = self.place(id).ok_or_else(|| Refused::from(ErrorCode::CasterNotFound))?;
        // A call in progress publishes by itself when it is done.
        if let Ok(on_air) = place.lane.try_lock() {
            self.publish(&place, id, on_air.as_ref());
        }
        Ok(place.snapshots.subscribe())
    }

    fn publish(&self, place: &Place, id: &CasterId, on_air: Option<&OnAir>) {
        let revision = lock(&self.catalog).caster(id).map_or(0, |caster| caster.revision);
        let idle = || Snapshot::idle(id.clone(), revision);
        place.snapshots.send_replace(Arc::new(on_air.map_or_else(idle, OnAir::snapshot)));
    }

    /// One call, from "may I" to "it took effect".
    async fn call(&self, call: Call, expected_revision: Option<u64>) -> Result<Answer, Refused> {
        let caster_id = call.caster_id().to_owned();
        let place = CasterId::parse(&caster_id).and_then(|id| self.place(&id));
        // Reads never wait behind a take that waits for its sources.
        if call.is_read() {
            return Ok(self.prepare(call, expected_revision)?.answer);
        }
        if self.draining.load(Ordering::Acquire) {
            return Err(Refused::new(ErrorCode::Internal, "The server is stopping."));
        }
        let Some(place) = place else {
            let _one_at_a_time = self.creating.lock().await;
            let Prepared { change, answer, .. } = self.prepare(call, expected_revision)?;
            self.make_durable(change).await?;
            return Ok(answer);
        };
        let mut on_air = place.lane.lock().await;
        let Prepared { change, answer, effects } = self.prepare(call, expected_revision)?;
        let Some(change) = change else { return Ok(answer) };
        let applied = match &change {
            Change::Upsert(caster) => {
                self.carry_out((&place, &mut on_air), caster, &effects).await?
            }
            // Groups have no place and so do not come here.
            Change::Delete(_) | Change::UpsertGroup(_) | Change::DeleteGroup(_) => None,
        };
        let Some(id) = CasterId::parse(&caster_id) else { return Ok(answer) };
        if let Err(refused) = self.make_durable(Some(change)).await {
            self.take_back(&place, &mut on_air, &id).await;
            return Err(refused);
        }
        self.publish(&place, &id, on_air.as_ref());
        Ok(match applied {
            Some(applied) => answer.with_applied(applied),
            None => answer,
        })
    }

    /// What is on air becomes again what the catalog says, because a change of it could not be made durable.
    async fn take_back(&self, place: &Place, on_air: &mut Option<OnAir>, id: &CasterId) {
        let before = lock(&self.catalog).caster(id).cloned();
        let Some(before) = before else { return };
        match on_air {
            Some(_) if !before.is_on_air() => {
                if let Some(started) = on_air.take() {
                    started.stop().await;
                }
            }
            Some(show) => show.restore_scenes(&before).await,
            None if before.is_on_air() => self.restart(place, on_air, &before).await,
            None => {}
        }
    }

    /// Stores and commits a change, and makes or clears the caster's place.
    async fn make_durable(&self, change: Option<Change>) -> Result<(), Refused> {
        let Some(change) = change else { return Ok(()) };
        self.save(change.clone()).await?;
        match &change {
            Change::UpsertGroup(_) | Change::DeleteGroup(_) => {}
            Change::Upsert(caster) => {
                lock(&self.places).entry(caster.id.clone()).or_insert_with(|| Place::of(caster));
            }
            Change::Delete(id) => {
                lock(&self.places).remove(id);
                let scenes = lock(&self.catalog).caster(id).and_then(|c| c.scenes.clone());
                if let Some(scenes) = scenes {
                    self.world.remove_hls(&scenes.pgm.stream_name);
                }
            }
        }
        lock(&self.catalog).commit(change);
        Ok(())
    }

    fn prepare(&self, call: Call, expected_revision: Option<u64>) -> Result<Prepared, Refused> {
        let context = Context {
            now_unix_ms: time::unix_ms(),
            fresh: &uuid::Uuid::new_v4,
            media: &|_| None,
            expected_revision,
        };
        lock(&self.catalog).prepare(call, &context)
    }

    async fn carry_out(
        &self,
        (place, on_air): (&Place, &mut Option<OnAir>),
        caster: &Arc<Caster>,
        effects: &[Effect],
    ) -> Result<Option<Applied>, Refused> {
        match effects {
            [Effect::Start] => {
                *on_air = Some(self.begin(place, caster).await?);
                Ok(None)
            }
            [Effect::Stop] => {
                if let Some(on_air) = on_air.take() {
                    on_air.stop().await;
                }
                Ok(None)
            }
            [Effect::Restart] => {
                if let Some(show) = on_air.take() {
                    show.stop().await;
                }
                self.restart(place, on_air, caster).await;
                match on_air {
                    Some(_) => Ok(None),
                    None => {
                        let message = "The caster ended and could not begin again; it is tried again with the next call.";
                        Err(Refused::new(ErrorCode::Internal, message))
                    }
                }
            }
            effects => match on_air {
                Some(on_air) => on_air.carry_out(caster, effects).await,
                None => {
                    // It should be on air but could not go back there: perhaps it can now.
                    if caster.is_on_air() {
                        self.restart(place, on_air, caster).await;
                    }
                    Ok(None)
                }
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
        Err(Refused::new(ErrorCode::Internal, "The change could not be stored."))
    }

    fn place(&self, id: &CasterId) -> Option<Arc<Place>> {
        lock(&self.places).get(id).cloned()
    }

    fn all_places(&self) -> Vec<Arc<Place>> {
        lock(&self.places).values().cloned().collect()
    }
}
