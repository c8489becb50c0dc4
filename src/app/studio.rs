//! The command's path: every call on every caster, from "may I" to "it took effect".
//!
//! Owns the order prepare → effects on air → durable → commit → answer. Must not know wire forms or pictures.
//! Invariants: calls on one caster are carried out one after the other; a refused call leaves the catalog, the disk and
//! the running caster as they were.

mod asking;
mod care;
mod groups;
mod housekeeping;
mod making;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use super::events::{EventCounts, Events, News, Operation};
use super::on_air::OnAir;
use super::outputs;
use super::run_tick::Curtain;
use super::shedding::Shedding;
use super::world::World;
use crate::api::control::{Message, RecordingsRequest, Request, Snapshot};
use crate::api::events::{EventCode, Feed};
use crate::catalog::{
    Answer, Applied, Call, Caster, Catalog, Change, Context, Effect, ErrorCode, Prepared,
    RecordConfig, Refused,
};
use crate::ids::CasterId;
use crate::limits;
use crate::recording::Recording;
use crate::store::Keeper;
use crate::time;
use crate::worker::StopToken;
use making::Made;

/// A caster's place in the studio.
struct Place {
    /// Who holds the lock is the only one to change the caster.
    lane: tokio::sync::Mutex<Option<OnAir>>,
    /// Stops the ticks of the show on the lane, also while a call holds it.
    ticks: Mutex<Option<StopToken>>,
    /// How its show fares.
    care: Mutex<care::Care>,
    /// Whether it is recorded, where somebody else is to say so.
    question: Mutex<asking::Question>,
    /// What its watchers are told, on air or not.
    snapshots: watch::Sender<Arc<Snapshot>>,
}

/// All casters of the process.
pub(super) struct Studio {
    world: Arc<World>,
    catalog: Mutex<Catalog>,
    making: making::Making,
    store: Arc<Keeper>,
    events: Arc<Events>,
    places: Mutex<BTreeMap<CasterId, Arc<Place>>>,
    groups: tokio::sync::Mutex<groups::Groups>,
    /// Calls that are about no caster yet go one after the other if they share a `ClientToken` (and a few that do not).
    creating: [tokio::sync::Mutex<()>; limits::CREATING_LANES],
    shedding: Mutex<Shedding>,
    /// The process ends: nothing is changed any more.
    draining: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are replaced whole, so a panic elsewhere cannot leave them half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The caster that a change is of.
fn caster_of(change: &Change) -> Option<CasterId> {
    match change {
        Change::Upsert(caster) => Some(caster.id.clone()),
        Change::Delete(id) => Some(id.clone()),
        Change::UpsertGroup(_) | Change::DeleteGroup(_) => None,
    }
}

/// Where a call that is about no caster yet waits for its turn: with all others of its `ClientToken`.
fn creating_lane(call: &Call) -> usize {
    let token = match call {
        Call::CreateCaster(draft) => draft.client_token.as_str(),
        Call::CopyCaster(draft) => &draft.client_token,
        _ => "",
    };
    let mix = |sum: usize, byte: u8| sum.wrapping_mul(31).wrapping_add(byte.into());
    token.bytes().fold(0, mix) % limits::CREATING_LANES
}

impl Place {
    fn of(caster: &Caster) -> Arc<Place> {
        let idle = Snapshot::idle(caster.id.clone(), caster.revision);
        Arc::new(Place {
            lane: tokio::sync::Mutex::default(),
            ticks: Mutex::default(),
            care: Mutex::default(),
            question: Mutex::default(),
            snapshots: watch::Sender::new(Arc::new(idle)),
        })
    }
}

impl Studio {
    /// A studio with what `store` holds.
    pub(super) fn new(
        world: Arc<World>,
        catalog: Catalog,
        (store, events): (Arc<Keeper>, Arc<Events>),
    ) -> Arc<Studio> {
        let places = catalog.casters().map(|caster| (caster.id.clone(), Place::of(caster)));
        Arc::new(Studio {
            world,
            places: Mutex::new(places.collect()),
            groups: tokio::sync::Mutex::default(),
            catalog: Mutex::new(catalog),
            making: making::Making::default(),
            store,
            events,
            creating: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            shedding: Mutex::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// Puts casters back on air that were when the process ended: side by side, and while others are served, since
    /// publishers are among those who come back.
    pub(super) fn resume(self: &Arc<Self>) {
        let running: Vec<CasterId> = lock(&self.catalog)
            .casters()
            .filter(|caster| caster.is_on_air())
            .map(|caster| caster.id.clone())
            .collect();
        for id in running {
            let studio = self.clone();
            tokio::spawn(async move { studio.resume_one(&id).await });
        }
    }

    async fn resume_one(&self, id: &CasterId) {
        let Some(place) = self.place(id) else { return };
        let mut on_air = place.lane.lock().await;
        // A call may have come first.
        let caster = lock(&self.catalog).caster(id).filter(|caster| caster.is_on_air()).cloned();
        if let Some(caster) = caster
            && on_air.is_none()
            && !self.draining.load(Ordering::Acquire)
        {
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
                        let Request { call, request_id, expected_revision, reply } = *request;
                        let answer = studio.call(call, expected_revision, request_id).await;
                        // A client that went away misses the answer, not the effect.
                        let _ = reply.send(answer);
                    });
                }
                Message::Watch(request) => {
                    tokio::spawn(async move {
                        let _ = request.reply.send(studio.watch(&request.caster).await);
                    });
                }
                Message::Events(request) => {
                    let _ = request.reply.send(self.feed(&request.caster));
                }
                Message::Recordings(RecordingsRequest { ask, reply }) => {
                    tokio::spawn(async move {
                        let _ = reply.send(studio.world.recordings.answer(ask).await);
                    });
                }
            }
        }
    }

    /// Ends every running caster: files finished, players told. The catalog keeps them as running.
    pub(super) async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.events.close();
        self.end_groups().await;
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

    /// Whether a caster has an item of the media library among its sources, images or standby, or is about to.
    pub(super) fn uses_media(&self, id: &str) -> bool {
        // The catalog stays locked, so that nothing moves from the one to the other meanwhile.
        let catalog = lock(&self.catalog);
        catalog.casters().any(|caster| caster.uses_media(id)) || self.making.uses_media(id)
    }

    /// Tells the receiver of its caster, if there is one still, that a recorded file is finished.
    pub(super) fn recorded(&self, recording: Recording) {
        let caster = lock(&self.catalog).caster(&recording.caster).cloned();
        if let Some(caster) = caster {
            self.events.recorded(&caster, recording);
        }
    }

    /// Tells the receiver of its caster, if there is one still, that all of a recording is in object storage.
    pub(super) fn stored(&self, recording: Recording) {
        let caster = lock(&self.catalog).caster(&recording.caster).cloned();
        if let Some(caster) = caster {
            self.events.stored(&caster, recording);
        }
    }

    /// Tells the receiver of a caster, if there is one still, that object storage began or ceased to take its recordings.
    pub(super) fn storage_changed(&self, caster: &CasterId, code: EventCode, message: String) {
        let caster = lock(&self.catalog).caster(caster).cloned();
        if let Some(caster) = caster {
            self.events.trouble(&caster, code, message);
        }
    }

    /// How events fared.
    pub(super) fn event_counts(&self) -> EventCounts {
        self.events.counts()
    }

    /// Whether a stream name is that of a PVW.
    pub(super) fn is_preview(&self, stream_name: &str) -> bool {
        let is_pvw = |caster: &Arc<Caster>| {
            caster.scenes.as_ref().is_some_and(|scenes| scenes.pvw.stream_name == stream_name)
        };
        lock(&self.catalog).casters().any(is_pvw)
    }

    async fn watch(&self, id: &CasterId) -> Result<watch::Receiver<Arc<Snapshot>>, Refused> {
        let place = self.place(id).ok_or_else(|| Refused::from(ErrorCode::CasterNotFound))?;
        // A call in progress publishes by itself when it is done.
        if let Ok(on_air) = place.lane.try_lock() {
            self.publish(&place, id, on_air.as_ref());
        }
        Ok(place.snapshots.subscribe())
    }

    fn feed(&self, id: &CasterId) -> Result<Arc<Feed>, Refused> {
        // The catalog's lock is held, so that the caster is not deleted in between.
        let catalog = lock(&self.catalog);
        catalog.caster(id).ok_or(ErrorCode::CasterNotFound)?;
        self.events.feed(id)
    }

    fn publish(&self, place: &Place, id: &CasterId, on_air: Option<&OnAir>) {
        let revision = lock(&self.catalog).caster(id).map_or(0, |caster| caster.revision);
        let idle = || Snapshot::idle(id.clone(), revision);
        self.tell(place, on_air.map_or_else(idle, OnAir::snapshot));
    }

    fn tell(&self, place: &Place, mut snapshot: Snapshot) {
        snapshot.restarts = lock(&place.care).restarts;
        place.snapshots.send_replace(Arc::new(snapshot));
    }

    /// One call, from "may I" to "it took effect".
    async fn call(
        &self,
        call: Call,
        expected_revision: Option<u64>,
        request_id: Option<String>,
    ) -> Result<Answer, Refused> {
        let place = CasterId::parse(call.caster_id()).and_then(|id| Some((self.place(&id)?, id)));
        // Reads never wait behind a take that waits for its sources.
        if call.is_read() {
            return Ok(self.prepare(call, expected_revision)?.0.answer);
        }
        if self.draining.load(Ordering::Acquire) {
            return Err(Refused::new(ErrorCode::Internal, "The server is stopping."));
        }
        let Some((place, id)) = place else {
            let _one_at_a_time = self.creating[creating_lane(&call)].lock().await;
            let (Prepared { change, answer, .. }, _made) = self.prepare(call, expected_revision)?;
            if let Some(change) = change {
                self.make_durable(change, None).await?;
            }
            return Ok(answer);
        };
        let mut on_air = place.lane.lock().await;
        let operation = Operation::new(&call, request_id);
        let answered =
            self.operate((&place, &mut on_air), (call, expected_revision), &operation).await;
        let caster = lock(&self.catalog).caster(&id).cloned();
        if let (Err(refused), Some(caster)) = (&answered, caster) {
            self.events.refused(&operation, &caster, refused);
        }
        answered
    }

    /// A call that writes a caster whose lane is held.
    async fn operate(
        &self,
        (place, on_air): (&Place, &mut Option<OnAir>),
        (call, expected_revision): (Call, Option<u64>),
        operation: &Operation,
    ) -> Result<Answer, Refused> {
        let (Prepared { change, answer, effects }, _made) =
            self.prepare(call, expected_revision)?;
        let Some(change) = change else { return Ok(answer) };
        let applied = match &change {
            Change::Upsert(caster) => {
                self.carry_out((place, &mut *on_air), caster, &effects).await?
            }
            // Groups have no place and so do not come here.
            Change::Delete(_) | Change::UpsertGroup(_) | Change::DeleteGroup(_) => None,
        };
        let Some(id) = caster_of(&change) else { return Ok(answer) };
        let before = lock(&self.catalog).caster(&id).cloned();
        let news = self.events.operated(operation, &change, before.as_deref(), &answer);
        if let Err(refused) = self.make_durable(change, news).await {
            self.take_back(place, on_air, &id).await;
            return Err(refused);
        }
        if on_air.is_none() {
            self.events.forget_show(&id);
        }
        self.publish(place, &id, on_air.as_ref());
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

    /// Stores and commits a change with the news of it, tells the news, and makes or clears the caster's place.
    async fn make_durable(&self, change: Change, news: Option<News>) -> Result<(), Refused> {
        let id = caster_of(&change);
        let before = id.as_ref().and_then(|id| lock(&self.catalog).caster(id).cloned());
        let entries = self.events.entries(change.clone(), before.as_deref(), news.as_ref());
        if let Err(problem) = self.store.write(entries).await {
            tracing::error!(%problem, "a change could not be made durable");
            return Err(Refused::new(ErrorCode::Internal, "The change could not be stored."));
        }
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
        let is_gone = matches!(change, Change::Delete(_));
        lock(&self.catalog).commit(change);
        if let Some(news) = news {
            self.events.tell(news);
        }
        if let Some(id) = id.filter(|_| is_gone) {
            self.events.forget(&id);
        }
        Ok(())
    }

    /// Asks the catalog. What a call is about to make counts as made until the second value is dropped.
    fn prepare(
        &self,
        call: Call,
        expected_revision: Option<u64>,
    ) -> Result<(Prepared, Made<'_>), Refused> {
        let context = Context {
            now_unix_ms: time::unix_ms(),
            fresh: &uuid::Uuid::new_v4,
            media: &|id| self.world.media_facts(id),
            expected_revision,
        };
        let catalog = lock(&self.catalog);
        let prepared = catalog.prepare(call, &context)?;
        self.check_settings(&catalog, prepared.change.as_ref())?;
        let made = self.making.hold(prepared.change.as_ref());
        Ok((prepared, made))
    }

    /// Refuses settings that ask for what this server cannot do: ways out that do not carry its codec, object storage that it does
    /// not have. What was kept before is let be.
    fn check_settings(&self, catalog: &Catalog, change: Option<&Change>) -> Result<(), Refused> {
        let Some(Change::Upsert(caster)) = change else { return Ok(()) };
        let before = catalog.caster(&caster.id).map(Arc::as_ref);
        outputs::check_ways(&self.world.config, caster, before)?;
        let Some(record) = &caster.config.record else { return Ok(()) };
        let before = before.and_then(|before| before.config.record.as_ref());
        let is_kept = |before: &RecordConfig| {
            (&before.endpoint, &before.bucket) == (&record.endpoint, &record.bucket)
        };
        if before.is_some_and(is_kept) { Ok(()) } else { self.world.recordings.check(record) }
    }

    async fn carry_out(
        &self,
        (place, on_air): (&Place, &mut Option<OnAir>),
        caster: &Arc<Caster>,
        effects: &[Effect],
    ) -> Result<Option<Applied>, Refused> {
        match effects {
            [Effect::Start] => {
                self.admit(None, caster).await?;
                *on_air = Some(self.begin(place, caster, Curtain::Open).await?);
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
                Some(on_air) => {
                    if effects.contains(&Effect::OutputsChanged) {
                        self.admit(Some(on_air.caster()), caster).await?;
                    }
                    on_air.carry_out(caster, effects).await
                }
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

    fn place(&self, id: &CasterId) -> Option<Arc<Place>> {
        lock(&self.places).get(id).cloned()
    }

    fn all_places(&self) -> Vec<Arc<Place>> {
        lock(&self.places).values().cloned().collect()
    }
}
