//! Events: when one happens, whom it is told, and that it survives until its receiver has it.
//!
//! `operation` and `outages` find what happened; `courier` delivers. Must not know wire forms (`api::events`) or SQL
//! (`store`). Invariants: the event of a change is written with the change; events of one caster are told in order, by
//! whoever holds its lane; nothing on the frame's path waits for any of this.

mod courier;
mod operation;
mod outages;
mod tellers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::api::control::Snapshot;
use crate::api::events::{About, Event, EventCode, EventType, Feed};
use crate::catalog::{Answer, Caster, Change, EpisodeGroup, ErrorCode, Refused, Showing};
use crate::engine::{Fault, StandIn};
use crate::ids::{CasterId, EpisodeId, ProgramId, ResourceId};
use crate::limits;
use crate::recording::Recording;
use crate::store::{Entry, Keeper, Letter, StoreError};
use crate::time;

pub(super) use operation::Operation;
pub(super) use tellers::Tellers;

use courier::{Courier, Patience};

use outages::{Outages, Trouble};

/// Event numbers begin at the time times this, so that they grow over a restart too.
const SEQ_PER_MS: u64 = 1024;

/// Where a caster's events are posted.
pub(super) type CallbackUrl = fn(&Caster) -> Option<&str>;

/// The events of the process.
pub(super) struct Events {
    store: Arc<Keeper>,
    callback_url: CallbackUrl,
    last_seq: AtomicU64,
    feeds: Mutex<BTreeMap<CasterId, Arc<Feed>>>,
    outages: Mutex<BTreeMap<CasterId, Outages>>,
    /// The last letter of each source on air that tells how far its file is.
    positions: Mutex<BTreeMap<CasterId, BTreeMap<ResourceId, u64>>>,
    mail: Mail,
    counts: Counts,
}

/// URLs that letters wait for, and what wakes the courier. At most one entry a receiver.
#[derive(Default)]
struct Mail {
    urls: Mutex<BTreeSet<String>>,
    woken: Notify,
}

/// How events fared, since the start.
#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    attempts_failed: AtomicU64,
    dropped: AtomicU64,
}

/// How events fared, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventCounts {
    /// Callbacks that arrived.
    pub(super) delivered: u64,
    /// Attempts that did not.
    pub(super) attempts_failed: u64,
    /// Callbacks that were given up: too old, too many, or the disk did not keep up.
    pub(super) dropped: u64,
}

/// An event that has happened and is not told yet.
pub(super) struct News {
    event: Arc<Event>,
    letter: Option<Letter>,
}

/// Whose event it is.
enum Whose<'a> {
    Caster(&'a CasterId),
    Group(&'a ProgramId),
}

/// A position that the file of a source has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) resource: ResourceId,
    /// The episode that plays it, if the source does not by itself.
    pub(super) episode: Option<EpisodeId>,
    /// From the file's first picture.
    pub(super) position_ms: u64,
}

/// What the engine of a caster on air noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// Something is wrong with a source.
    Began { resource: ResourceId, fault: Fault },
    /// It is no longer.
    Ended { resource: ResourceId, fault: Fault, lasted_ms: u64 },
    /// PGM shows this from now on; what standby came for.
    StoodIn { shows: StandIn, cause: Option<(Option<ResourceId>, Fault)> },
}

/// What is told of one thing that happened.
struct Happened {
    kind: EventType,
    about: About,
    code: EventCode,
    message: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Values behind these locks are whole between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Events {
    /// Events that go on from what the store holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn open(
        store: Arc<Keeper>,
        callback_url: CallbackUrl,
    ) -> Result<Arc<Events>, StoreError> {
        let (last, urls) =
            store.read(|store| Ok((store.last_letter()?, store.receivers()?))).await?;
        let mail = Mail { urls: Mutex::new(urls.into_iter().collect()), woken: Notify::new() };
        Ok(Arc::new(Events {
            store,
            callback_url,
            last_seq: AtomicU64::new(last.max(time::unix_ms() * SEQ_PER_MS)),
            feeds: Mutex::default(),
            outages: Mutex::default(),
            positions: Mutex::default(),
            mail,
            counts: Counts::default(),
        }))
    }

    /// The feed of a caster that there is.
    ///
    /// # Errors
    /// `InternalError` when too many are followed.
    pub(super) fn feed(&self, caster: &CasterId) -> Result<Arc<Feed>, Refused> {
        let mut feeds = lock(&self.feeds);
        if let Some(feed) = feeds.get(caster) {
            return Ok(Arc::clone(feed));
        }
        if feeds.len() >= limits::FEEDS {
            // Whoever follows it, or is about to, holds it too.
            let unused = feeds.iter().find(|(_, feed)| Arc::strong_count(feed) == 1);
            let Some(unused) = unused.map(|(id, _)| id.clone()) else {
                let message = format!("The events of {} casters are followed.", limits::FEEDS);
                return Err(Refused::new(ErrorCode::Internal, message));
            };
            feeds.remove(&unused);
        }
        let feed = Feed::new(self.last_seq.load(Ordering::Relaxed));
        feeds.insert(caster.clone(), Arc::clone(&feed));
        Ok(feed)
    }

    /// The news that an operation changes a caster; none when nobody wants to know.
    pub(super) fn operated(
        &self,
        operation: &Operation,
        change: &Change,
        before: Option<&Caster>,
        answer: &Answer,
    ) -> Option<News> {
        let caster = match change {
            Change::Upsert(caster) => caster,
            Change::Delete(_) => before?,
            Change::UpsertGroup(_) | Change::DeleteGroup(_) => return None,
        };
        self.news(caster, || Happened {
            kind: EventType::OperateCallback,
            about: operation.about(answer),
            code: EventCode::Success,
            message: "Success".to_owned(),
        })
    }

    /// What is written of a change: it, the news of it, and that letters to a receiver of before go nowhere.
    pub(super) fn entries(
        &self,
        change: Change,
        before: Option<&Caster>,
        news: Option<&News>,
    ) -> Vec<Entry> {
        let mut entries = Vec::new();
        if let (Change::Upsert(after), Some(before)) = (&change, before) {
            let (was, is) = ((self.callback_url)(before), (self.callback_url)(after));
            if was.is_some() && was != is {
                let (owner, keep_url) = (after.id.to_string(), is.map(str::to_owned));
                entries.push(Entry::Cancelled { owner, keep_url });
            }
        }
        entries.push(Entry::Change(change));
        entries.extend(news.and_then(|news| news.letter.clone()).map(Entry::Letter));
        entries
    }

    /// Tells of an operation that was refused while its caster is on air.
    pub(super) fn refused(&self, operation: &Operation, caster: &Caster, refused: &Refused) {
        if !caster.is_on_air() {
            return;
        }
        let news = self.news(caster, || Happened {
            kind: EventType::OperateCallback,
            about: operation.asked().clone(),
            code: EventCode::Refused(refused.code),
            message: refused.message.clone(),
        });
        if let Some(news) = news {
            self.report(news, None);
        }
    }

    /// Tells of whatever has gone wrong on air since the last look.
    pub(super) fn observe(
        &self,
        caster: &Caster,
        snapshot: &Snapshot,
        missing_images: &[Showing<'_>],
    ) {
        let troubles = {
            let mut outages = lock(&self.outages);
            let known = outages.entry(caster.id.clone()).or_default();
            known.update(caster, snapshot, missing_images)
        };
        for Trouble { about, code, message } in troubles {
            let kind = EventType::RuntimeErrorCallback;
            if let Some(news) = self.news(caster, || Happened { kind, about, code, message }) {
                self.report(news, None);
            }
        }
    }

    /// Tells what the engine noticed.
    pub(super) fn noticed(&self, caster: &Caster, noticed: Noticed) {
        let of = |resource: Option<ResourceId>| About { resource, ..About::default() };
        let (kind, about, code, message) = match noticed {
            Noticed::Began { resource, fault } => {
                let message = format!("The source is {}.", fault.as_str());
                (EventType::SourceCallback, of(Some(resource)), EventCode::Began(fault), message)
            }
            Noticed::Ended { resource, fault, lasted_ms } => {
                let message =
                    format!("The source is no longer {}, after {lasted_ms} ms.", fault.as_str());
                (EventType::SourceCallback, of(Some(resource)), EventCode::Ended(fault), message)
            }
            Noticed::StoodIn { shows, cause } => {
                let message = match &cause {
                    Some((_, fault)) => format!("A source of PGM is {}.", fault.as_str()),
                    None => "Success".to_owned(),
                };
                let about = of(cause.and_then(|(resource, _)| resource));
                (EventType::StandbyCallback, about, EventCode::StoodIn(shows), message)
            }
        };
        if let Some(news) = self.news(caster, || Happened { kind, about, code, message }) {
            self.report(news, None);
        }
    }

    /// Tells what became of a show.
    pub(super) fn trouble(&self, caster: &Caster, code: EventCode, message: String) {
        let (kind, about) = (EventType::RuntimeErrorCallback, About::default());
        if let Some(news) = self.news(caster, || Happened { kind, about, code, message }) {
            self.report(news, None);
        }
    }

    /// Tells how far a file is. What was told of the same source before and has not been delivered never will be, so that
    /// a receiver that is down finds one position of each.
    pub(super) fn passed(&self, caster: &Caster, passed: &Passed) {
        let news = self.news(caster, || Happened {
            kind: EventType::PtsCallback,
            about: About {
                resource: Some(passed.resource.clone()),
                episode: passed.episode.clone(),
                pts_ms: Some(passed.position_ms),
                ..About::default()
            },
            code: EventCode::Success,
            message: "Success".to_owned(),
        });
        let Some(news) = news else { return };
        let earlier = news.letter.as_ref().and_then(|letter| {
            let mut positions = lock(&self.positions);
            positions
                .entry(caster.id.clone())
                .or_default()
                .insert(passed.resource.clone(), letter.seq)
        });
        self.report(news, earlier);
    }

    /// Tells that a recorded file is finished.
    pub(super) fn recorded(&self, caster: &Caster, recording: Recording) {
        self.of_recording(caster, recording, (EventCode::Success, "Success"));
    }

    /// Tells that all of a recorded file is in object storage.
    pub(super) fn stored(&self, caster: &Caster, recording: Recording) {
        self.of_recording(caster, recording, (EventCode::Stored, "The recording is stored."));
    }

    fn of_recording(
        &self,
        caster: &Caster,
        recording: Recording,
        (code, message): (EventCode, &str),
    ) {
        let about = About { recording: Some(Box::new(recording)), ..About::default() };
        let (kind, message) = (EventType::RecordCallback, message.to_owned());
        if let Some(news) = self.news(caster, || Happened { kind, about, code, message }) {
            self.report(news, None);
        }
    }

    /// Tells the receiver of an episode group that it moved on to an episode, or what is wrong with it.
    pub(super) fn episode(
        &self,
        group: &EpisodeGroup,
        episode: &EpisodeId,
        (code, message): (EventCode, &str),
    ) {
        let about = About {
            program: Some(group.id.clone()),
            episode: Some(episode.clone()),
            ..About::default()
        };
        let kind = EventType::EpisodeGroupCallback;
        let happened = Happened { kind, about, code, message: message.to_owned() };
        if let Some(url) = &group.callback_url {
            self.report(self.news_of(Whose::Group(&group.id), Some(url), happened), None);
        }
    }

    /// What was told of a show is forgotten: the caster is off air, or begins again.
    pub(super) fn forget_show(&self, caster: &CasterId) {
        lock(&self.outages).remove(caster);
        lock(&self.positions).remove(caster);
    }

    /// The caster is deleted.
    pub(super) fn forget(&self, caster: &CasterId) {
        self.forget_show(caster);
        if let Some(feed) = lock(&self.feeds).remove(caster) {
            feed.close();
        }
    }

    /// Lets go of all followers: the process ends.
    pub(super) fn close(&self) {
        for feed in std::mem::take(&mut *lock(&self.feeds)).values() {
            feed.close();
        }
    }

    /// Tells news whose letter, if it has one, was given to the store.
    pub(super) fn tell(&self, news: News) {
        let News { event, letter } = news;
        let feed = event.caster.as_ref().and_then(|id| lock(&self.feeds).get(id).cloned());
        if let Some(feed) = feed {
            feed.tell(&event);
        }
        if let Some(letter) = letter {
            lock(&self.mail.urls).insert(letter.url);
            self.mail.woken.notify_one();
        }
    }

    /// How events fared.
    pub(super) fn counts(&self) -> EventCounts {
        let Counts { delivered, attempts_failed, dropped } = &self.counts;
        EventCounts {
            delivered: delivered.load(Ordering::Relaxed),
            attempts_failed: attempts_failed.load(Ordering::Relaxed),
            dropped: dropped.load(Ordering::Relaxed) + self.store.letters_dropped(),
        }
    }

    /// Writes and tells what came with no change, in the place of an earlier letter if one is named. Does not wait: a disk
    /// that does not keep up costs the letter.
    fn report(&self, mut news: News, replaced_seq: Option<u64>) {
        let replaced = replaced_seq.map(|seq| Entry::Settled { seq }).into_iter();
        if let Some(letter) = &news.letter
            && !self.store.offer(replaced.chain([Entry::Letter(letter.clone())]).collect())
        {
            tracing::warn!(of = letter.owner, "a callback is dropped: the store is busy");
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            news.letter = None;
        }
        self.tell(news);
    }

    /// None when nobody wants to know.
    fn news(&self, caster: &Caster, happened: impl FnOnce() -> Happened) -> Option<News> {
        let url = (self.callback_url)(caster);
        let is_wanted = url.is_some() || lock(&self.feeds).contains_key(&caster.id);
        is_wanted.then(|| self.news_of(Whose::Caster(&caster.id), url, happened()))
    }

    fn news_of(&self, whose: Whose<'_>, url: Option<&str>, happened: Happened) -> News {
        let Happened { kind, about, code, message } = happened;
        let (caster, owner) = match whose {
            Whose::Caster(id) => (Some(id.clone()), id.as_str()),
            Whose::Group(id) => (None, id.as_str()),
        };
        let event = Event {
            seq: self.last_seq.fetch_add(1, Ordering::Relaxed) + 1,
            unix_ms: time::unix_ms(),
            caster,
            kind,
            about,
            code,
            message: message.chars().take(limits::EVENT_MESSAGE_CHARS).collect(),
        };
        let letter = url.map(|url| Letter {
            seq: event.seq,
            owner: owner.to_owned(),
            url: url.to_owned(),
            body: event.to_json(),
            made_unix_ms: event.unix_ms,
        });
        News { event: Arc::new(event), letter }
    }
}
