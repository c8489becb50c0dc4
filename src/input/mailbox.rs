//! What lies between an input's worker and the frame thread: frames, blocks, events, and the input's status.
//!
//! Owns the bounds and what happens at them. Must not know sources. Invariant: the lock is held only to move
//! values in and out, never while decoding or waiting; a live input's consumer does not even wait for the lock.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::Delivery;
use crate::frame::{AudioBlock, VideoFrame};
use crate::limits::{
    FILE_VIDEO_QUEUE, INPUT_AUDIO_QUEUE, INPUT_EVENTS, INPUT_HUNG, INPUT_STALE_AFTER,
    INPUT_VIDEO_QUEUE,
};
use crate::media::nvdec::DecodedBy;
use crate::media::reader::{Description, Room};
use crate::shot::Shot;
use crate::source::{InputState, Part};
use crate::time::Clock;
use crate::worker::{Pulse, StopToken};

/// What happens when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    /// The oldest makes room and is counted.
    DropOldest,
    /// The worker waits.
    Wait,
}

/// How much [`super::Input::poll`] may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Video frames.
    pub video: usize,
    /// Audio blocks.
    pub audio: usize,
}

impl Take {
    /// All there is.
    pub const ALL: Take = Take { video: usize::MAX, audio: usize::MAX };
}

/// What [`super::Input::wait_ready`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// A video frame.
    pub video: bool,
    /// An audio block.
    pub audio: bool,
}

/// Why the worker of an input does nothing any more; only another input helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It panicked in the middle of a file, with this message.
    Panicked(String),
    /// It has shown no sign of life for [`INPUT_HUNG`].
    Hung,
}

/// How an input is. Counters only grow.
#[derive(Clone, Debug)]
pub struct InputStatus {
    /// Its state.
    pub state: InputState,
    /// Pictures delivered to the queue.
    pub video_frames: u64,
    /// Audio blocks delivered to the queue.
    pub audio_blocks: u64,
    /// Pictures dropped because nobody took them in time.
    pub dropped_frames: u64,
    /// Audio blocks dropped likewise.
    pub dropped_blocks: u64,
    /// What the decoders could not make sense of.
    pub decode_errors: u64,
    /// Times it was connected again after having delivered.
    pub reconnects: u64,
    /// The last error, until a picture comes.
    pub last_error: Option<String>,
    /// Milliseconds since the last picture (block, if there is no video) arrived.
    pub media_age_ms: Option<u64>,
    /// How unevenly pictures come, ns: the mean deviation from their timestamps, smoothed as RFC 3550 (6.4.1) does. Live only.
    pub jitter_ns: u64,
    /// What the source consists of, once it has been opened.
    pub description: Option<Arc<Description>>,
    /// What decodes its video, and why not the card.
    pub decoded_by: DecodedBy,
    /// Times that its worker panicked and began again.
    pub restarts: u64,
    /// Its worker does nothing any more.
    pub broken: Option<Broken>,
}

struct Inner {
    video: VecDeque<VideoFrame>,
    audio: VecDeque<AudioBlock>,
    events: VecDeque<Delivery>,
    status: InputStatus,
    last_media_ns: Option<u64>,
    /// When the last picture came, and its timestamp, ns.
    last_picture_ns: Option<(u64, i64)>,
    wanted: Arc<[Shot]>,
    /// The worker can do nothing before something is taken.
    is_waiting: bool,
    /// The worker has ended; nothing more will come.
    is_over: bool,
    /// A file has been delivered to its end, which is told when the queues are empty.
    end_to_tell: bool,
    is_closed: bool,
}

/// See the module.
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    taken: Condvar,
    arrived: Condvar,
    overflow: Overflow,
    clock: Clock,
    /// Of the worker.
    pulse: Pulse,
}

/// Upper bound of one wait for the consumer, so that a stop is seen.
const STOP_CHECK: Duration = Duration::from_millis(50);
/// Tries to get the lock before a live input is left for the next tick.
const LOCK_TRIES: usize = 64;

impl Mailbox {
    pub(super) fn new(overflow: Overflow, clock: Clock) -> Mailbox {
        let status = InputStatus {
            state: InputState::Idle,
            video_frames: 0,
            audio_blocks: 0,
            dropped_frames: 0,
            dropped_blocks: 0,
            decode_errors: 0,
            reconnects: 0,
            last_error: None,
            media_age_ms: None,
            jitter_ns: 0,
            description: None,
            decoded_by: DecodedBy::default(),
            restarts: 0,
            broken: None,
        };
        let inner = Inner {
            video: VecDeque::with_capacity(INPUT_VIDEO_QUEUE),
            audio: VecDeque::with_capacity(INPUT_AUDIO_QUEUE),
            events: VecDeque::new(),
            status,
            last_media_ns: None,
            last_picture_ns: None,
            wanted: Arc::from([]),
            is_waiting: false,
            is_over: false,
            end_to_tell: false,
            is_closed: false,
        };
        Mailbox {
            inner: Mutex::new(inner),
            taken: Condvar::new(),
            arrived: Condvar::new(),
            overflow,
            clock,
            pulse: Pulse::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- the worker's side ---

    /// Where there is room; everywhere, if the oldest makes room.
    pub(super) fn room(&self) -> Room {
        self.pulse.beat();
        match self.overflow {
            Overflow::DropOldest => Room { video: true, audio: true },
            Overflow::Wait => self.lock().room(),
        }
    }

    /// Waits until there is room where `had` had none; false when stopped.
    pub(super) fn wait_room(&self, had: Room, stop: &StopToken) -> bool {
        let mut inner = self.lock();
        loop {
            self.pulse.beat();
            let room = inner.room();
            if stop.is_stopped() || inner.is_closed {
                return false;
            }
            if (room.video && !had.video) || (room.audio && !had.audio) {
                inner.is_waiting = false;
                return true;
            }
            inner.is_waiting = true;
            self.arrived.notify_all();
            inner = self.wait(&self.taken, inner, STOP_CHECK);
        }
    }

    fn wait<'a>(
        &self,
        on: &Condvar,
        inner: MutexGuard<'a, Inner>,
        timeout: Duration,
    ) -> MutexGuard<'a, Inner> {
        on.wait_timeout(inner, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Delivers a picture and makes the input Live. Whoever waits must have asked for room before.
    pub(super) fn push_video(&self, frame: VideoFrame) {
        let mut inner = self.lock();
        if self.overflow == Overflow::DropOldest {
            inner.follow_jitter(self.clock.now_ns(), frame.pts_ns);
        }
        inner.video.push_back(frame);
        inner.status.video_frames += 1;
        if self.overflow == Overflow::DropOldest && inner.video.len() > INPUT_VIDEO_QUEUE {
            inner.video.pop_front();
            inner.status.dropped_frames += 1;
        }
        self.arrive(&mut inner);
    }

    /// Delivers samples; an input without video becomes Live by them.
    pub(super) fn push_audio(&self, block: AudioBlock) {
        let mut inner = self.lock();
        inner.audio.push_back(block);
        inner.status.audio_blocks += 1;
        if self.overflow == Overflow::DropOldest && inner.audio.len() > INPUT_AUDIO_QUEUE {
            inner.audio.pop_front();
            inner.status.dropped_blocks += 1;
        }
        match inner.has_video() {
            true => self.arrived.notify_all(),
            false => self.arrive(&mut inner),
        }
    }

    fn arrive(&self, inner: &mut Inner) {
        inner.last_media_ns = Some(self.clock.now_ns());
        inner.status.last_error = None;
        inner.set_state(InputState::Live);
        self.arrived.notify_all();
    }

    pub(super) fn set_state(&self, state: InputState) {
        self.pulse.beat();
        self.lock().set_state(state);
        self.arrived.notify_all();
    }

    pub(super) fn state(&self) -> InputState {
        self.pulse.beat();
        self.lock().status.state
    }

    /// Records an error; true and told as a notice if it is a new one.
    pub(super) fn set_error(&self, text: &str) -> bool {
        let mut inner = self.lock();
        if inner.status.last_error.as_deref() == Some(text) {
            return false;
        }
        inner.status.last_error = Some(text.to_owned());
        inner.event(Delivery::Notice(text.to_owned()));
        true
    }

    pub(super) fn set_description(&self, description: &Description) {
        self.lock().status.description = Some(Arc::new(description.clone()));
    }

    pub(super) fn set_decoded_by(&self, decoded_by: DecodedBy) {
        self.lock().status.decoded_by = decoded_by;
    }

    /// Something an operator should read, which is no error.
    pub(super) fn push_notice(&self, text: String) {
        self.lock().event(Delivery::Notice(text));
    }

    pub(super) fn count_reconnect(&self) {
        self.lock().status.reconnects += 1;
    }

    /// The worker panicked and begins again.
    pub(super) fn count_restart(&self) {
        self.lock().status.restarts += 1;
    }

    /// The worker panicked and cannot go on.
    pub(super) fn set_broken(&self, why: String) {
        self.lock().status.broken = Some(Broken::Panicked(why));
    }

    pub(super) fn set_decode_errors(&self, count: u64) {
        self.lock().status.decode_errors = count;
    }

    /// A part of the source will begin with what is delivered next.
    pub(super) fn push_part(&self, part: Part) {
        self.lock().event(Delivery::Part(part));
    }

    /// The file has been delivered to its end.
    pub(super) fn set_end(&self) {
        self.lock().end_to_tell = true;
    }

    /// The worker has ended.
    pub(super) fn set_over(&self) {
        self.lock().is_over = true;
        self.arrived.notify_all();
    }

    pub(super) fn wanted(&self) -> Arc<[Shot]> {
        Arc::clone(&self.lock().wanted)
    }

    /// Waits for wanted shots that differ from `known`; none when stopped.
    pub(super) fn wait_wanted(&self, known: &[Shot], stop: &StopToken) -> Option<Arc<[Shot]>> {
        let mut inner = self.lock();
        loop {
            self.pulse.beat();
            if stop.is_stopped() || inner.is_closed {
                return None;
            }
            if inner.wanted[..] != *known {
                return Some(Arc::clone(&inner.wanted));
            }
            inner = self.wait(&self.taken, inner, STOP_CHECK);
        }
    }

    // --- the consumer's side ---

    pub(super) fn poll(&self, take: Take, sink: &mut impl FnMut(Delivery)) {
        let Some(mut inner) = self.lock_to_poll() else { return };
        if self.overflow == Overflow::DropOldest && inner.status.state == InputState::Live {
            let age_ns = self.clock.now_ns().saturating_sub(inner.last_media_ns.unwrap_or(0));
            if u128::from(age_ns) > INPUT_STALE_AFTER.as_nanos() {
                inner.set_state(InputState::Stale);
            }
        }
        let events = std::mem::take(&mut inner.events);
        let video_count = take.video.min(inner.video.len());
        let video: Vec<VideoFrame> = inner.video.drain(..video_count).collect();
        let audio_count = take.audio.min(inner.audio.len());
        let audio: Vec<AudioBlock> = inner.audio.drain(..audio_count).collect();
        let at_end = inner.end_to_tell && inner.video.is_empty() && inner.audio.is_empty();
        if at_end {
            inner.end_to_tell = false;
            inner.status.state = InputState::Ended;
        }
        if video_count + audio_count > 0 {
            inner.is_waiting = false;
            self.taken.notify_all();
        }
        drop(inner);
        events.into_iter().for_each(&mut *sink);
        video.into_iter().map(Delivery::Video).for_each(&mut *sink);
        audio.into_iter().map(Delivery::Audio).for_each(&mut *sink);
        if at_end {
            sink(Delivery::Eof);
            sink(Delivery::State(InputState::Ended));
        }
    }

    fn lock_to_poll(&self) -> Option<MutexGuard<'_, Inner>> {
        if self.overflow == Overflow::Wait {
            return Some(self.lock());
        }
        for _ in 0..LOCK_TRIES {
            match self.inner.try_lock() {
                Ok(inner) => return Some(inner),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }

    pub(super) fn wait_ready(&self, want: Want, timeout: Duration) -> bool {
        let deadline = Clock::real();
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let mut inner = self.lock();
        loop {
            if inner.is_ready(want) {
                return true;
            }
            let left_ns = timeout_ns.saturating_sub(deadline.now_ns());
            if left_ns == 0 {
                return false;
            }
            inner = self.wait(&self.arrived, inner, Duration::from_nanos(left_ns));
        }
    }

    pub(super) fn set_wanted(&self, shots: &[Shot]) {
        let mut inner = self.lock();
        if inner.wanted[..] != *shots {
            inner.wanted = Arc::from(shots);
            self.taken.notify_all();
        }
    }

    pub(super) fn status(&self) -> InputStatus {
        let inner = self.lock();
        let mut status = inner.status.clone();
        let now_ns = self.clock.now_ns();
        if !inner.is_over && self.pulse.silence() > INPUT_HUNG {
            status.broken = Some(Broken::Hung);
        }
        status.media_age_ms = inner.last_media_ns.map(|at| now_ns.saturating_sub(at) / 1_000_000);
        status
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.taken.notify_all();
    }
}

impl Inner {
    /// Whether what is wanted is here, or nothing more comes unless something is taken.
    fn is_ready(&self, want: Want) -> bool {
        let (has_video, has_audio) = match &self.status.description {
            Some(d) => (d.video_codec.is_some(), d.audio_codec.is_some()),
            None => (true, true),
        };
        let video = !want.video || !has_video || !self.video.is_empty();
        let audio = !want.audio || !has_audio || !self.audio.is_empty();
        let at_rest = self.is_waiting || self.is_over || self.end_to_tell;
        (video && audio) || at_rest || self.status.state == InputState::Failed
    }

    fn follow_jitter(&mut self, now_ns: u64, pts_ns: i64) {
        // Further apart than this, timestamps have jumped or the source was gone.
        const JUMP_NS: u64 = 10_000_000_000;
        let Some((then_ns, before_ns)) = self.last_picture_ns.replace((now_ns, pts_ns)) else {
            return;
        };
        let came_ns = i64::try_from(now_ns.saturating_sub(then_ns)).unwrap_or(i64::MAX);
        let off_ns = came_ns.saturating_sub(pts_ns.saturating_sub(before_ns)).unsigned_abs();
        if off_ns < JUMP_NS {
            let jitter_ns = self.status.jitter_ns;
            self.status.jitter_ns = jitter_ns - jitter_ns / 16 + off_ns / 16;
        }
    }

    fn room(&self) -> Room {
        Room {
            video: self.video.len() < FILE_VIDEO_QUEUE,
            audio: self.audio.len() < INPUT_AUDIO_QUEUE,
        }
    }

    fn has_video(&self) -> bool {
        self.status.description.as_ref().is_none_or(|d| d.video_codec.is_some())
    }

    fn set_state(&mut self, state: InputState) {
        if self.status.state != state {
            self.status.state = state;
            self.event(Delivery::State(state));
        }
    }

    fn event(&mut self, event: Delivery) {
        if self.events.len() >= INPUT_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
