//! The courier: posts what waits in the outbox, each receiver's letters one after the other, until they arrive.
//!
//! Must not know what letters say. Invariants: a letter leaves the store only after its receiver took it or it is too
//! old; a receiver that is down costs others nothing; of one receiver there is one attempt at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::{Events, lock};
use crate::api::events::Poster;
use crate::input::{AllowList, admit_callback, redact};
use crate::limits;
use crate::store::{Entry, Letter, StoreError};
use crate::time;
use crate::worker::StopToken;

/// How long letters are tried.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct Patience {
    /// First wait after an attempt that failed; it doubles with each.
    pub(in crate::app) first: Duration,
    /// Longest wait.
    pub(in crate::app) most: Duration,
    /// Age at which a letter is given up.
    pub(in crate::app) give_up: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            first: limits::CALLBACK_RETRY_FIRST,
            most: limits::CALLBACK_RETRY_MAX,
            give_up: limits::CALLBACK_GIVE_UP,
        }
    }
}

impl Patience {
    /// The wait after this many attempts in a row that failed. The same for everybody: what keeps receivers from being
    /// asked at the same moment is that each has its own failures.
    pub(super) fn wait(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.most)
    }
}

/// What delivers.
pub(in crate::app) struct Courier {
    pub(in crate::app) events: Arc<Events>,
    pub(in crate::app) poster: Poster,
    pub(in crate::app) allow: Arc<AllowList>,
    pub(in crate::app) patience: Patience,
}

/// A receiver that letters wait for.
struct Round {
    failed: u32,
    due: Instant,
    is_under_way: bool,
    /// Letters came while it was under way.
    has_more: bool,
}

/// How a round to a receiver ended.
enum Ended {
    /// Nothing waits for it any more.
    Empty,
    /// Others have their turn.
    Paused,
    /// A letter did not arrive, or the store could not be asked.
    Failed {
        /// Letters that arrived before it.
        arrived: usize,
    },
}

impl Courier {
    /// Delivers until `stop` is ready; what has not arrived then stays in the store.
    pub(in crate::app) async fn run(self, stop: impl Future<Output = ()>) {
        let courier = Arc::new(self);
        tokio::select! {
            () = Arc::clone(&courier).deliver() => {}
            () = stop => {}
        }
    }

    async fn deliver(self: Arc<Self>) {
        let mut rounds: BTreeMap<String, Round> = BTreeMap::new();
        let mut under_way = JoinSet::new();
        loop {
            let now = Instant::now();
            for url in std::mem::take(&mut *lock(&self.events.mail.urls)) {
                let fresh = Round { failed: 0, due: now, is_under_way: false, has_more: false };
                let round = rounds.entry(url).or_insert(fresh);
                round.has_more = round.is_under_way;
            }
            let mut due: Vec<_> = rounds
                .iter_mut()
                .filter(|(_, round)| !round.is_under_way && round.due <= now)
                .collect();
            // Who has waited longest goes first, so that many that are down do not starve one that is up.
            due.sort_by_key(|(_, round)| round.due);
            for (url, round) in due.into_iter().take(limits::CALLBACK_RECEIVERS - under_way.len()) {
                round.is_under_way = true;
                under_way.spawn(Arc::clone(&self).round(url.clone()));
            }
            let has_place = under_way.len() < limits::CALLBACK_RECEIVERS;
            let waiting = rounds.values().filter(|round| has_place && !round.is_under_way);
            let due = waiting.map(|round| round.due).min();
            let next = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.events.mail.woken.notified() => {}
                () = next => {}
                Some(ended) = under_way.join_next() => match ended {
                    Ok((url, ended)) => self.settle(&mut rounds, url, ended),
                    // A bug: what waited for that receiver goes on at the next start.
                    Err(error) => tracing::error!(%error, "a delivery broke off"),
                },
            }
        }
    }

    fn settle(&self, rounds: &mut BTreeMap<String, Round>, url: String, ended: Ended) {
        let Some(round) = rounds.get_mut(&url) else { return };
        round.is_under_way = false;
        match ended {
            Ended::Empty if !round.has_more => drop(rounds.remove(&url)),
            Ended::Empty | Ended::Paused => {
                let due = Instant::now();
                *round = Round { failed: 0, due, is_under_way: false, has_more: false };
            }
            Ended::Failed { arrived } => {
                round.failed = if arrived > 0 { 1 } else { round.failed.saturating_add(1) };
                round.due = Instant::now() + self.patience.wait(round.failed);
            }
        }
    }

    /// Posts what waits for a receiver, one after the other, up to the first that does not arrive.
    async fn round(self: Arc<Self>, url: String) -> (String, Ended) {
        for arrived in 0..limits::CALLBACK_ROUND {
            match self.next(&url).await {
                Ok(Some(true)) => {}
                Ok(Some(false)) => return (url, Ended::Failed { arrived }),
                Ok(None) => return (url, Ended::Empty),
                Err(error) => {
                    tracing::error!(%error, "the outbox");
                    return (url, Ended::Failed { arrived });
                }
            }
        }
        (url, Ended::Paused)
    }

    /// One attempt to post what is first; whether it is settled. None when nothing waits.
    async fn next(&self, url: &str) -> Result<Option<bool>, StoreError> {
        let receiver = url.to_owned();
        let next = self.events.store.read(move |store| store.next_letter(&receiver)).await?;
        match next {
            Some(letter) => self.carry(&letter).await.map(Some),
            None => Ok(None),
        }
    }

    /// One attempt; whether the letter is settled.
    async fn carry(&self, letter: &Letter) -> Result<bool, StoreError> {
        let counts = &self.events.counts;
        let Err(why) = self.post(letter).await else {
            counts.delivered.fetch_add(1, Ordering::Relaxed);
            self.events.store.write(vec![Entry::Settled { seq: letter.seq }]).await?;
            return Ok(true);
        };
        counts.attempts_failed.fetch_add(1, Ordering::Relaxed);
        let (url, event) = (redact(&letter.url), letter.seq);
        let age_ms = u128::from(time::unix_ms().saturating_sub(letter.made_unix_ms));
        if age_ms < self.patience.give_up.as_millis() {
            tracing::debug!(url, event, why, "a callback did not arrive");
            return Ok(false);
        }
        tracing::warn!(url, event, why, "a callback is given up");
        counts.dropped.fetch_add(1, Ordering::Relaxed);
        self.events.store.write(vec![Entry::Settled { seq: letter.seq }]).await?;
        Ok(true)
    }

    async fn post(&self, letter: &Letter) -> Result<(), String> {
        let url = Url::parse(&letter.url).map_err(|error| error.to_string())?;
        let stop = StopToken::new();
        let admitted = {
            let (url, allow, stop) = (url.clone(), Arc::clone(&self.allow), stop.clone());
            tokio::task::spawn_blocking(move || admit_callback(&url, &allow, &stop))
        };
        // When nobody waits any more, the look-up ends too.
        let _end = StopOnDrop(stop);
        let addresses = admitted.await.map_err(|error| error.to_string())??;
        let letter = (letter.seq, letter.body.as_str());
        self.poster.post(&url, &addresses, letter, time::unix_ms() / 1000).await
    }
}

struct StopOnDrop(StopToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}
