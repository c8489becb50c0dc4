//! The feed of one caster: its latest events, and those who follow it.
//!
//! Must not know wire forms. Invariants: telling never waits for a follower; a follower is told every event once and in
//! order, or that some were missed; who is behind is told the latest position of a file only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Event;
use crate::limits::FEED_EVENTS;

/// The latest events of a caster.
#[derive(Debug)]
pub struct Feed {
    kept: Mutex<Kept>,
    news: watch::Sender<News>,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<Arc<Event>>,
    /// Events up to this number are not here.
    gone_seq: u64,
}

#[derive(Clone, Copy, Debug)]
struct News {
    last_seq: u64,
    is_over: bool,
}

/// What a follower has not been told before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whether events before these were missed: they are no longer kept.
    pub missed: bool,
    /// The events, in order.
    pub events: Vec<Arc<Event>>,
}

/// Somebody who follows a feed.
#[derive(Debug)]
pub struct Follower {
    feed: Arc<Feed>,
    told_seq: u64,
    news: watch::Receiver<News>,
}

impl Feed {
    /// A feed of the events after number `seq`.
    pub fn new(seq: u64) -> Arc<Feed> {
        let kept = Mutex::new(Kept { events: VecDeque::new(), gone_seq: seq });
        let news = watch::Sender::new(News { last_seq: seq, is_over: false });
        Arc::new(Feed { kept, news })
    }

    /// Tells everybody of an event that has a larger number than those before; past [`FEED_EVENTS`] the oldest goes.
    pub fn tell(&self, event: &Arc<Event>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Positions come again and again: they must not push out what happens once.
        kept.events.retain(|earlier| !event.replaces(earlier));
        kept.events.push_back(Arc::clone(event));
        if kept.events.len() > FEED_EVENTS
            && let Some(oldest) = kept.events.pop_front()
        {
            kept.gone_seq = oldest.seq;
        }
        drop(kept);
        self.news.send_modify(|news| news.last_seq = event.seq);
    }

    /// Nothing more will happen.
    pub fn close(&self) {
        self.news.send_modify(|news| news.is_over = true);
    }

    /// Follows the feed after the event of this number; none: from now on.
    pub fn follow(self: &Arc<Self>, after_seq: Option<u64>) -> Follower {
        let news = self.news.subscribe();
        let told_seq = after_seq.unwrap_or(news.borrow().last_seq);
        Follower { feed: Arc::clone(self), told_seq, news }
    }
}

impl Follower {
    /// What there is to tell now. Does not wait.
    pub fn take(&mut self) -> Batch {
        self.news.mark_unchanged();
        let kept = self.feed.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = self.told_seq < kept.gone_seq;
        let from = kept.events.partition_point(|event| event.seq <= self.told_seq);
        let events: Vec<_> = kept.events.range(from..).cloned().collect();
        let last = events.last().map_or(kept.gone_seq, |event| event.seq);
        self.told_seq = self.told_seq.max(last);
        Batch { missed, events }
    }

    /// Ready when there may be something to tell that was not there at the last [`Follower::take`]; false when nothing
    /// more will happen.
    pub async fn changed(&mut self) -> bool {
        let told_seq = self.told_seq;
        let waited = self.news.wait_for(|news| news.is_over || news.last_seq > told_seq).await;
        waited.is_ok_and(|news| news.last_seq > told_seq)
    }
}
