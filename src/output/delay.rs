//! The delay of the public sinks: packets wait until their tick is so many ticks ago.
//!
//! Owns what is held and the times of what leaves. Must not know sinks or clocks: the output's ticks are all the time there is.
//! Invariants: the packets of tick n leave when tick n + delay is encoded; what leaves has no gap in its times, whatever
//! the delay was changed to.
//!
//! A longer delay holds everything until enough is there: players wait. A shorter one leaves out what is too old, up to the
//! keyframe that is exactly so old, at most one group of pictures later; the times of what follows close the gap.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::fan_out::Batch;
use super::spool::{Place, Spool};
use crate::limits::{ENCODER_QUEUE_TICKS, STOP_POLL};
use crate::media::packet::{Packet, Track};
use crate::time::FrameRate;
use crate::worker::{self, StopToken, Worker};

#[derive(Debug)]
struct Held {
    tick: u64,
    /// Without its bytes.
    packet: Packet,
    place: Place,
}

/// What is held, and when it leaves.
#[derive(Debug)]
pub(super) struct DelayRing {
    spool: Spool,
    rate: FrameRate,
    held: VecDeque<Held>,
    /// The delay that holds now, ticks.
    behind: u64,
    /// What is left out of the times of what leaves.
    shift_ns: i64,
    /// End of the last sound that left, in the times of what leaves.
    sound_end_ns: i64,
    /// The tick that comes next.
    next: Option<u64>,
    skip: Skip,
    lost: Arc<AtomicU64>,
}

/// Whether packets are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skip {
    No,
    /// Some were lost: nothing decodes before the next keyframe.
    ToKey,
}

/// Rounding of times: sound packets follow each other to within this.
const ROUNDING_NS: i64 = 1_000_000;

impl DelayRing {
    pub(super) fn new(spool: Spool, rate: FrameRate, lost: Arc<AtomicU64>) -> DelayRing {
        DelayRing {
            spool,
            rate,
            held: VecDeque::new(),
            behind: 0,
            shift_ns: 0,
            sound_end_ns: i64::MIN,
            next: None,
            skip: Skip::No,
            lost,
        }
    }

    /// Takes the packets of a tick and lets go of those whose time has come.
    pub(super) fn push(&mut self, batch: Batch, mut out: impl FnMut(Packet)) {
        let Batch { tick: now, delay_ticks, packets } = batch;
        if self.next.is_some_and(|next| next != now) {
            self.skip = Skip::ToKey;
        }
        self.next = Some(now + 1);
        for packet in packets {
            self.hold(now, packet);
        }
        if delay_ticks > self.behind {
            self.behind = delay_ticks;
        } else if delay_ticks < self.behind {
            self.jump(now, delay_ticks);
        }
        while self.held.front().is_some_and(|held| held.tick + self.behind <= now) {
            if let Some(packet) = self.held.pop_front().and_then(|held| self.release(held)) {
                out(packet);
            }
        }
    }

    fn hold(&mut self, tick: u64, mut packet: Packet) {
        if self.skip == Skip::ToKey {
            if packet.track == Track::Audio || !packet.key {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.skip = Skip::No;
        }
        match self.spool.keep(std::mem::replace(&mut packet.data, Bytes::new())) {
            Ok(place) => self.held.push_back(Held { tick, packet, place }),
            Err(error) => {
                tracing::warn!(%error, "a delayed packet is lost");
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.skip = Skip::ToKey;
            }
        }
    }

    /// Leaves out what is older than the new delay if there is a keyframe of just that age.
    fn jump(&mut self, now: u64, delay_ticks: u64) {
        let Some(target) = now.checked_sub(delay_ticks) else { return };
        let first = self.held.partition_point(|held| held.tick < target);
        let mut of_target = self.held.iter().skip(first).take_while(|held| held.tick == target);
        let has_key = of_target.any(|held| held.packet.track == Track::Video && held.packet.key);
        let Some(oldest) = self.held.front().map(|held| held.tick) else { return };
        if !has_key {
            return;
        }
        for held in self.held.drain(..first) {
            self.spool.forget(held.place);
        }
        let skipped_ns = self.rate.tick_ns(target) - self.rate.tick_ns(oldest);
        self.shift_ns += i64::try_from(skipped_ns).unwrap_or(0);
        self.behind = delay_ticks;
    }

    fn release(&mut self, held: Held) -> Option<Packet> {
        let Held { mut packet, place, .. } = held;
        packet.pts_ns -= self.shift_ns;
        packet.dts_ns -= self.shift_ns;
        if packet.track == Track::Audio {
            // After a jump: sound that would be heard together with what was heard before it.
            if packet.pts_ns < self.sound_end_ns.saturating_sub(ROUNDING_NS) {
                self.spool.forget(place);
                return None;
            }
            self.sound_end_ns = packet.pts_ns + packet.duration_ns;
        }
        match self.spool.take(place) {
            Ok(data) => {
                packet.data = data;
                Some(packet)
            }
            Err(error) => {
                tracing::warn!(%error, "a delayed packet cannot be read back");
                self.lost.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

/// A ring on a thread of its own, so that no encoder ever waits for the disk.
#[derive(Debug)]
pub(super) struct DelayLine {
    batches: Option<Sender<Batch>>,
    lost: Arc<AtomicU64>,
    worker: Option<Worker>,
}

impl DelayLine {
    /// Starts a line that lets go by `out`.
    pub(super) fn start(
        name: &str,
        (dir, rate): (PathBuf, FrameRate),
        lost: Arc<AtomicU64>,
        out: impl Fn(&Packet, &StopToken) + Send + 'static,
    ) -> std::io::Result<DelayLine> {
        let (sender, receiver): (_, Receiver<Batch>) =
            crossbeam_channel::bounded(ENCODER_QUEUE_TICKS);
        let mut ring = DelayRing::new(Spool::new(dir), rate, Arc::clone(&lost));
        let worker = worker::spawn(&format!("delay-{name}"), StopToken::new(), move |stop| {
            while !stop.is_stopped() {
                match receiver.recv_timeout(STOP_POLL) {
                    Ok(batch) => ring.push(batch, |packet| out(&packet, &stop)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(DelayLine { batches: Some(sender), lost, worker: Some(worker) })
    }

    /// Hands over a tick without waiting; what finds no room is lost and counted.
    pub(super) fn push(&self, batch: Batch) {
        let packets = batch.packets.len() as u64;
        if self.batches.as_ref().is_none_or(|sender| sender.try_send(batch).is_err()) {
            self.lost.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// Lets go what is due; what has to wait is never sent.
    pub(super) fn end(&mut self) {
        self.batches.take();
        if let Some(worker) = self.worker.take() {
            super::await_end(&worker, super::time_left(crate::limits::DRAIN_TIMEOUT));
            worker.join();
        }
    }
}
