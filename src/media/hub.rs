//! The hub: every live stream of FLV tags of this process by name, with whoever sends and whoever plays it.
//!
//! Owns late joining (metadata, headers and the current group of pictures are kept) and the isolation of players (each
//! behind a [`LiveQueue`]). Must not know protocols or who may do what. Invariants: sending never waits; a subscriber's
//! first picture is a keyframe; timestamps are the publisher's own, for every subscriber.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::{GOP_CACHE_BYTES, GOP_CACHE_TAGS, MAX_STREAMS, MAX_SUBSCRIBERS, STOP_POLL};
use crate::media::flv::{FlvTag, HasVideo, TagClass, Tracks};
use crate::media::live_queue::{Begin, LiveQueue, Popped};
use crate::time::Clock;
use crate::worker::StopToken;

/// The registry of live streams; clones are the same hub.
#[derive(Clone, Debug, Default)]
pub struct Hub(Arc<Registry>);

#[derive(Debug, Default)]
struct Registry {
    entries: Mutex<BTreeMap<String, Entry>>,
    appeared: Notify,
    appeared_for_threads: Condvar,
}

/// Stays while somebody publishes or wants the stream.
#[derive(Debug, Default)]
struct Entry {
    stream: Option<Arc<Stream>>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Stream {
    state: Mutex<StreamState>,
    /// Told once, when another publisher has taken the name over.
    replaced: Notify,
}

#[derive(Debug, Default)]
struct StreamState {
    metadata: Option<FlvTag>,
    video_header: Option<FlvTag>,
    audio_header: Option<FlvTag>,
    /// From the last keyframe on; empty when it outgrew its limits.
    group: VecDeque<FlvTag>,
    group_bytes: usize,
    tags_sent: u64,
    /// Pictures came before the first key frame.
    keyless_seen: bool,
    video_seen: bool,
    audio_seen: bool,
    subscribers: Vec<Arc<LiveQueue<FlvTag>>>,
    /// Nobody joins any more.
    ended: bool,
}

/// Why a stream cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Somebody else publishes under that name.
    #[error("this stream name is already being published")]
    Taken,
    /// [`MAX_STREAMS`] are there.
    #[error("the server has no room for another stream")]
    Full,
}

/// A live stream and its audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Name, `{app}/{name}`.
    pub name: String,
    /// Subscribers.
    pub viewers: usize,
    /// Tags sent since it began.
    pub tags: u64,
    /// Tags dropped for present subscribers that were too slow.
    pub dropped: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// An empty hub.
    pub fn new() -> Hub {
        Hub::default()
    }

    /// Begins a stream; it lasts until the publisher is dropped.
    ///
    /// # Errors
    /// When the name is taken or the hub is full.
    pub fn publish(&self, name: &str) -> Result<Publisher, Busy> {
        let entries = lock(&self.0.entries);
        if entries.get(name).is_some_and(|entry| entry.stream.is_some()) {
            return Err(Busy::Taken);
        }
        self.begin(entries, name)
    }

    /// The same, in the place of whoever publishes under that name: their stream ends, for its subscribers too, who find
    /// this one when they look again.
    ///
    /// # Errors
    /// When the hub is full.
    pub fn take_over(&self, name: &str) -> Result<Publisher, Busy> {
        let mut entries = lock(&self.0.entries);
        let replaced = entries.get_mut(name).and_then(|entry| entry.stream.take());
        let publisher = self.begin(entries, name);
        if let Some(stream) = replaced {
            stream.end();
            stream.replaced.notify_one();
        }
        publisher
    }

    fn begin(
        &self,
        mut entries: MutexGuard<'_, BTreeMap<String, Entry>>,
        name: &str,
    ) -> Result<Publisher, Busy> {
        if entries.values().filter(|entry| entry.stream.is_some()).count() >= MAX_STREAMS {
            return Err(Busy::Full);
        }
        let stream = Arc::new(Stream::default());
        entries.entry(name.to_owned()).or_default().stream = Some(Arc::clone(&stream));
        drop(entries);
        self.0.appeared.notify_waiters();
        self.0.appeared_for_threads.notify_all();
        Ok(Publisher { hub: self.clone(), name: name.to_owned(), stream })
    }

    /// Joins a stream: metadata, headers and the current group of pictures are there at once. `None` when nobody
    /// publishes it or it has [`MAX_SUBSCRIBERS`].
    pub fn subscribe(&self, name: &str) -> Option<Subscriber> {
        let stream = lock(&self.0.entries).get(name)?.stream.clone()?;
        stream.join()
    }

    /// Joins a stream that may have to appear first, within `timeout`. Counts as demand meanwhile.
    pub async fn subscribe_wait(&self, name: &str, timeout: Duration) -> Option<Subscriber> {
        let _want = self.want(name);
        let joined = async {
            loop {
                let mut appeared = std::pin::pin!(self.0.appeared.notified());
                // Registered before looking, so that a publisher in between is not missed.
                appeared.as_mut().enable();
                if let Some(subscriber) = self.subscribe(name) {
                    return subscriber;
                }
                appeared.await;
            }
        };
        tokio::time::timeout(timeout, joined).await.ok()
    }

    /// [`Hub::subscribe_wait`] for a thread.
    pub fn subscribe_wait_blocking(
        &self,
        name: &str,
        stop: &StopToken,
        timeout: Duration,
    ) -> Option<Subscriber> {
        let _want = self.want(name);
        let clock = Clock::real();
        loop {
            if let Some(subscriber) = self.subscribe(name) {
                return Some(subscriber);
            }
            let left = timeout.saturating_sub(Duration::from_nanos(clock.now_ns()));
            if left.is_zero() || stop.is_stopped() {
                return None;
            }
            // A publisher that comes between the look and this wait is seen a poll later.
            let entries = lock(&self.0.entries);
            drop(self.0.appeared_for_threads.wait_timeout(entries, left.min(STOP_POLL)));
        }
    }

    /// Says that somebody wants this stream, until the guard is dropped.
    pub fn want(&self, name: &str) -> Want {
        lock(&self.0.entries).entry(name.to_owned()).or_default().waiting += 1;
        Want { hub: self.clone(), name: name.to_owned() }
    }

    /// Whether somebody plays the stream or waits for it.
    pub fn demanded(&self, name: &str) -> bool {
        let entries = lock(&self.0.entries);
        let Some(entry) = entries.get(name) else { return false };
        entry.waiting > 0 || entry.stream.as_ref().is_some_and(|s| s.viewers() > 0)
    }

    /// Number of subscribers of a stream.
    pub fn viewers(&self, name: &str) -> usize {
        let stream = lock(&self.0.entries).get(name).and_then(|entry| entry.stream.clone());
        stream.map_or(0, |s| s.viewers())
    }

    /// Whether somebody publishes the stream.
    pub fn is_live(&self, name: &str) -> bool {
        lock(&self.0.entries).get(name).is_some_and(|entry| entry.stream.is_some())
    }

    /// The live streams in order of their names.
    pub fn streams(&self) -> Vec<StreamInfo> {
        let entries = lock(&self.0.entries);
        let live = entries.iter().filter_map(|(name, entry)| Some((name, entry.stream.as_ref()?)));
        live.map(|(name, stream)| {
            let state = lock(&stream.state);
            StreamInfo {
                name: name.clone(),
                viewers: state.subscribers.len(),
                tags: state.tags_sent,
                dropped: state.subscribers.iter().map(|s| s.dropped()).sum(),
            }
        })
        .collect()
    }

    /// Changes an entry and forgets it when nobody is left.
    fn leave(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        let mut entries = lock(&self.0.entries);
        if let Some(entry) = entries.get_mut(name) {
            change(entry);
            if entry.stream.is_none() && entry.waiting == 0 {
                entries.remove(name);
            }
        }
    }
}

/// Somebody wants a stream, see [`Hub::want`].
#[derive(Debug)]
pub struct Want {
    hub: Hub,
    name: String,
}

impl Drop for Want {
    fn drop(&mut self) {
        self.hub.leave(&self.name, |entry| entry.waiting -= 1);
    }
}

impl Stream {
    fn viewers(&self) -> usize {
        lock(&self.state).subscribers.len()
    }

    /// Lets the subscribers go, after what is queued for them.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        for subscriber in state.subscribers.drain(..) {
            subscriber.finish();
        }
    }

    fn join(self: &Arc<Stream>) -> Option<Subscriber> {
        let mut state = lock(&self.state);
        if state.ended || state.subscribers.len() >= MAX_SUBSCRIBERS {
            return None;
        }
        let mut primed = state.lead_in();
        primed.extend(state.group.iter().map(|tag| (tag.clone(), tag.body.len())));
        let begin = match state.video_seen && state.group.is_empty() {
            true => Begin::AtStart,
            false => Begin::Now,
        };
        let queue = Arc::new(LiveQueue::new(primed, begin));
        state.subscribers.push(Arc::clone(&queue));
        Some(Subscriber { queue, stream: Arc::clone(self), tracks: state.tracks() })
    }
}

/// Tags after which a kind of tag that has not come is taken not to exist.
const TAGS_THAT_TELL: u64 = 50;

impl StreamState {
    fn lead_in(&self) -> Vec<(FlvTag, usize)> {
        let headers = [&self.metadata, &self.video_header, &self.audio_header];
        headers.into_iter().flatten().map(|tag| (tag.clone(), tag.body.len())).collect()
    }

    fn tracks(&self) -> Tracks {
        let early = self.tags_sent < TAGS_THAT_TELL;
        Tracks::announced((early || self.video_seen, early || self.audio_seen))
    }

    /// Keeps what a late joiner will need.
    fn keep(&mut self, tag: &FlvTag) {
        self.tags_sent += 1;
        match tag.class {
            TagClass::Metadata => self.metadata = Some(tag.clone()),
            TagClass::VideoHeader => self.video_header = Some(tag.clone()),
            TagClass::AudioHeader => self.audio_header = Some(tag.clone()),
            TagClass::Keyframe => self.video_seen = true,
            TagClass::Audio => self.audio_seen = true,
            TagClass::Inter | TagClass::Other => {}
        }
        match tag.class {
            TagClass::Keyframe => self.clear_group(),
            TagClass::Inter | TagClass::Audio if !self.group.is_empty() => {}
            _ => return,
        }
        self.group_bytes += tag.body.len();
        self.group.push_back(tag.clone());
        if self.group.len() > GOP_CACHE_TAGS || self.group_bytes > GOP_CACHE_BYTES {
            self.clear_group();
        }
    }

    fn clear_group(&mut self) {
        self.group.clear();
        self.group_bytes = 0;
    }
}

/// Sends one stream; dropping it ends the stream for its subscribers.
#[derive(Debug)]
pub struct Publisher {
    hub: Hub,
    name: String,
    stream: Arc<Stream>,
}

impl Publisher {
    /// Hands a tag to every subscriber, without waiting for any.
    pub fn send(&self, tag: FlvTag) {
        let mut state = lock(&self.stream.state);
        if tag.class == TagClass::Inter && !state.video_seen {
            state.keyless_seen = true;
            return; // Nobody could decode it.
        }
        // A changed configuration makes the kept pictures undecodable for who joins now.
        if tag.class == TagClass::VideoHeader
            && state.video_header.as_ref().is_some_and(|old| old.body != tag.body)
        {
            state.clear_group();
        }
        state.keep(&tag);
        let has_video = if state.video_seen { HasVideo::Yes } else { HasVideo::No };
        let role = tag.role(has_video);
        for subscriber in &state.subscribers {
            subscriber.offer(tag.clone(), tag.body.len(), role, || state.lead_in());
        }
    }

    /// Name of the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ready when another publisher has taken the name over: what is sent from then on reaches nobody.
    pub async fn replaced(&self) {
        self.stream.replaced.notified().await;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.hub.leave(&self.name, |entry| {
            // Another publisher's stream may stand there by now.
            entry.stream.take_if(|stream| Arc::ptr_eq(stream, &self.stream));
        });
        self.stream.end();
    }
}

/// What [`Subscriber::recv`] found.
#[derive(Clone, Debug)]
pub enum Received {
    /// The next tag.
    Tag(FlvTag),
    /// The publisher has gone and every tag was read.
    Ended,
    /// Nothing came in time, or the thread was told to stop.
    Timeout,
}

/// Plays one stream. Timestamps are the publisher's own: they begin wherever the stream is.
#[derive(Debug)]
pub struct Subscriber {
    queue: Arc<LiveQueue<FlvTag>>,
    stream: Arc<Stream>,
    tracks: Tracks,
}

impl Subscriber {
    /// The next tag; waits for at most `timeout` and not after `stop`. For threads.
    pub fn recv(&self, stop: &StopToken, timeout: Duration) -> Received {
        match self.queue.recv(stop, timeout) {
            Popped::Unit(tag) => Received::Tag(tag),
            Popped::Finished => Received::Ended,
            Popped::Timeout => Received::Timeout,
        }
    }

    /// The next tag, or `None` at the end. For tasks; safe to cancel.
    pub async fn next(&self) -> Option<FlvTag> {
        self.queue.next().await
    }

    /// Tags dropped because this subscriber was too slow, or had no key frame to begin with.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Whether there are pictures, but no key frame to begin with.
    pub(super) fn lacks_key(&self) -> bool {
        let state = lock(&self.stream.state);
        let keyless = state.keyless_seen && !state.video_seen;
        keyless || (self.queue.is_skipping() && self.queue.dropped() > 0)
    }

    /// What an FLV header for this subscriber announces.
    pub fn tracks(&self) -> Tracks {
        self.tracks
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.queue.close();
        lock(&self.stream.state).subscribers.retain(|other| !Arc::ptr_eq(other, &self.queue));
    }
}

#[cfg(test)]
mod tests;
