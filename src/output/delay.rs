//! The delay of the public sinks: packets wait until their tick is so many ticks ago.
//!
//! Owns what is held and the times of what leaves. Must not know sinks or clocks: the output's ticks are all the time there is.
//! Invariants: the packets of tick n leave when tick n + delay is encoded, and bear the time of that tick, in all
//! renditions; what leaves has no gap in its times, whatever the delay was changed to.
//!
//! Until the first delay is over the public of an output that began with it sees black, in silence. A longer delay begins at the
//! next keyframe that leaves: its picture is held, sent again twice a second with silence, until
//! enough is there; then everything goes on from that keyframe. A shorter one leaves out what is too old, up to the
//! keyframe that is exactly so old, at most one group of pictures later.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::encode_loop;
use super::fan_out::Batch;
use super::spool::{Place, Spool};
use crate::fault;
use crate::limits::{ENCODER_QUEUE_TICKS, STILL_EVERY, STOP_POLL};
use crate::media::encode::{AacEncoder, Idr, VideoEncoder, VideoSettings};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::time::{FrameRate, NS_PER_S, SAMPLE_RATE};
use crate::worker::{self, StopToken, Worker};

#[derive(Debug)]
struct Held {
    tick: u64,
    /// Without its bytes.
    packet: Packet,
    place: Place,
}

impl Held {
    fn is_key(&self) -> bool {
        self.packet.track == Track::Video && self.packet.key
    }
}

/// What is held, and when it leaves.
#[derive(Debug)]
pub(super) struct DelayRing {
    spool: Spool,
    rate: FrameRate,
    held: VecDeque<Held>,
    /// The delay that holds now, ticks.
    behind: u64,
    /// Whether the public has seen something.
    shown: Shown,
    /// The picture that stands while a longer delay begins.
    still: Option<Still>,
    fillers: Fillers,
    /// End of the last sound that left, in the times of what leaves.
    sound_end_ns: Option<i64>,
    /// The latest time of a picture that left.
    latest_ns: i64,
    /// The tick that comes next.
    next: Option<u64>,
    /// Of what comes, and of what leaves.
    taken: Skip,
    left: Skip,
    lost: Arc<AtomicU64>,
}

/// When a ring begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// Before the public has seen anything.
    WithTheOutput,
    /// The public sees the output already.
    OnAir,
    /// In the place of one that broke, with what it held.
    AfterALoss,
}

/// Whether something has left already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Something,
}

/// A picture that stands.
#[derive(Debug)]
struct Still {
    /// A keyframe, with the time at which it was first sent.
    key: Packet,
    since_tick: u64,
    /// Where the sound ended when it began to stand.
    sound_from_ns: Option<i64>,
}

/// What is seen and heard while a picture stands.
#[derive(Debug, Default)]
pub(super) struct Fillers {
    /// A packet of silence; none: the sound has a gap instead.
    pub(super) silence: Option<Bytes>,
    /// A keyframe of black of time 0, for an output that begins with a delay; none: it begins with nothing.
    pub(super) black: Option<Packet>,
}

impl Fillers {
    /// Made by encoders of the same settings, so that they fit between any packets of those.
    fn of(header: &StreamHeader, black: Option<&VideoSettings>) -> Fillers {
        let black = black.and_then(|video| {
            let mut encoder = VideoEncoder::resume(video, &header.decoder).ok()?;
            let picture = Arc::new(encode_loop::black(video.size));
            let mut packets = encoder.encode(0, &picture, Idr::Force).ok()?;
            packets.extend(encoder.finish().ok()?);
            packets.into_iter().next()
        });
        Fillers { silence: silence(header.audio_bps), black }
    }
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
/// Samples of an AAC packet.
const AAC_SAMPLES: usize = 1024;

impl DelayRing {
    pub(super) fn new(
        spool: Spool,
        rate: FrameRate,
        (begins, fillers): (Begins, Fillers),
        lost: Arc<AtomicU64>,
    ) -> DelayRing {
        DelayRing {
            spool,
            rate,
            held: VecDeque::new(),
            behind: 0,
            shown: match begins {
                Begins::WithTheOutput => Shown::Nothing,
                Begins::OnAir | Begins::AfterALoss => Shown::Something,
            },
            still: None,
            fillers,
            sound_end_ns: None,
            latest_ns: i64::MIN,
            next: None,
            taken: match begins {
                Begins::AfterALoss => Skip::ToKey,
                Begins::WithTheOutput | Begins::OnAir => Skip::No,
            },
            left: Skip::No,
            lost,
        }
    }

    /// Takes the packets of a tick and lets go of those whose time has come.
    pub(super) fn push(&mut self, batch: Batch, mut out: impl FnMut(Packet)) {
        let Batch { tick: now, delay_ticks, packets } = batch;
        if self.next.is_some_and(|next| next != now) {
            self.taken = Skip::ToKey;
        }
        self.next = Some(now + 1);
        if self.shown == Shown::Nothing && delay_ticks > 0 {
            self.begin_black(now, &mut out);
        }
        for packet in packets {
            self.hold(now, packet);
        }
        if delay_ticks < self.behind {
            self.jump(now, delay_ticks);
        } else if self.shown == Shown::Nothing || self.still.is_some() {
            // Nobody sees anything move.
            self.behind = delay_ticks;
        }
        while let Some(first) = self.held.front()
            && self.is_due(now, delay_ticks)
        {
            let stands = delay_ticks > self.behind && first.is_key();
            let Some(held) = self.held.pop_front() else { break };
            if stands {
                self.stand_still(held, now, &mut out);
                self.behind = delay_ticks;
            } else if let Some(packet) = self.release(held) {
                self.shown = Shown::Something;
                self.still = None;
                out(packet);
            }
        }
        self.fill(now, &mut out);
    }

    fn hold(&mut self, tick: u64, mut packet: Packet) {
        if self.taken == Skip::ToKey {
            if packet.track == Track::Audio || !packet.key {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.taken = Skip::No;
        }
        match self.spool.keep(std::mem::replace(&mut packet.data, Bytes::new())) {
            Ok(place) => self.held.push_back(Held { tick, packet, place }),
            Err(error) => {
                tracing::warn!(%error, "a delayed packet is lost");
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.taken = Skip::ToKey;
            }
        }
    }

    /// Whether the first that is held leaves. Where there are B-frames, pictures leave before others that are shown before them; not so
    /// while a shorter delay is to begin, which would leave those out and show others in their time: then all leave together.
    fn is_due(&self, now: u64, delay_ticks: u64) -> bool {
        let mut due = self.held.iter().take_while(|held| held.tick + self.behind <= now);
        if delay_ticks >= self.behind {
            return due.next().is_some();
        }
        let mut latest_ns = self.latest_ns.saturating_sub(self.shift_ns());
        due.any(|held| {
            if held.packet.track == Track::Video {
                latest_ns = latest_ns.max(held.packet.pts_ns);
            }
            latest_ns <= self.ns(held.tick)
        })
    }

    /// Leaves out what is older than the new delay if there is a keyframe of just that age.
    fn jump(&mut self, now: u64, delay_ticks: u64) {
        if self.latest_ns >= self.ns(now) {
            return; // Something left that is shown later.
        }
        let Some(target) = now.checked_sub(delay_ticks) else { return };
        let first = self.held.partition_point(|held| held.tick < target);
        let mut of_target = self.held.iter().skip(first).take_while(|held| held.tick == target);
        if !of_target.any(Held::is_key) {
            return;
        }
        for held in self.held.drain(..first) {
            self.spool.forget(held.place);
        }
        self.behind = delay_ticks;
        self.still = None;
    }

    /// Sends a keyframe, and keeps it for when the longer delay is over.
    fn stand_still(&mut self, held: Held, now: u64, out: &mut impl FnMut(Packet)) {
        let (tick, packet) = (held.tick, held.packet.clone());
        let Some(mut key) = self.release(held) else { return };
        // So long it is shown, should a segment end with it.
        key.duration_ns = self.ns(self.still_ticks());
        let sounds = self.held.iter().filter(|held| held.packet.track == Track::Audio);
        let next_ns = sounds.map(|held| held.packet.pts_ns).next();
        let sound_from_ns = self.sound_end_ns.or(next_ns.map(|ns| ns + self.shift_ns()));
        self.sound_end_ns = sound_from_ns;
        let place = self.spool.put_back(key.data.clone());
        self.held.push_front(Held { tick, packet, place });
        self.still = Some(Still { key: key.clone(), since_tick: now, sound_from_ns });
        self.shown = Shown::Something;
        out(key);
    }

    /// Shows black, until something leaves.
    fn begin_black(&mut self, now: u64, out: &mut impl FnMut(Packet)) {
        let Some(black) = self.fillers.black.take() else { return };
        let (pts_ns, duration_ns) = (self.ns(now), self.ns(self.still_ticks()));
        let key = Packet { duration_ns, ..black.later(pts_ns) };
        out(key.clone());
        self.still = Some(Still { key, since_tick: now, sound_from_ns: Some(pts_ns) });
    }

    /// While a picture stands: the picture again, and silence up to the end of this tick.
    fn fill(&mut self, now: u64, out: &mut impl FnMut(Packet)) {
        let Some(still) = &self.still else { return };
        let since = still.since_tick;
        self.latest_ns = self.latest_ns.max(still.key.pts_ns);
        if now > since && (now - since).is_multiple_of(self.still_ticks()) {
            let key = still.key.later(self.ns(now) - self.ns(since));
            self.latest_ns = key.pts_ns;
            out(key);
        }
        let (Some(data), Some(from_ns)) = (&self.fillers.silence, still.sound_from_ns) else {
            return;
        };
        let until_ns = from_ns + self.ns(now + 1) - self.ns(since);
        let duration_ns = (AAC_SAMPLES as u64 * NS_PER_S / u64::from(SAMPLE_RATE)) as i64;
        let mut end_ns = self.sound_end_ns.unwrap_or(from_ns);
        while end_ns + duration_ns <= until_ns {
            out(Packet {
                track: Track::Audio,
                pts_ns: end_ns,
                dts_ns: end_ns,
                duration_ns,
                key: true,
                data: data.clone(),
            });
            end_ns += duration_ns;
        }
        self.sound_end_ns = Some(end_ns);
    }

    /// Ticks from one sending of a picture that stands to the next.
    fn still_ticks(&self) -> u64 {
        self.rate.tick_at(STILL_EVERY.as_nanos() as u64).max(1)
    }

    /// How much later than it was made something leaves.
    fn shift_ns(&self) -> i64 {
        self.ns(self.behind)
    }

    fn ns(&self, tick: u64) -> i64 {
        i64::try_from(self.rate.tick_ns(tick)).unwrap_or(i64::MAX)
    }

    fn release(&mut self, held: Held) -> Option<Packet> {
        let is_key = held.is_key();
        let Held { packet, place, .. } = held;
        let mut packet = packet.later(self.shift_ns());
        let overlaps = |end_ns: i64| packet.pts_ns < end_ns - ROUNDING_NS;
        if packet.track == Track::Audio && self.sound_end_ns.is_some_and(overlaps) {
            // It would be heard together with what was heard before a change of the delay.
            self.spool.forget(place);
            return None;
        }
        if self.left == Skip::ToKey && !is_key {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.spool.forget(place);
            return None;
        }
        match self.spool.take(place) {
            Ok(data) => {
                self.left = Skip::No;
                match packet.track {
                    Track::Audio => self.sound_end_ns = Some(packet.pts_ns + packet.duration_ns),
                    Track::Video => self.latest_ns = self.latest_ns.max(packet.pts_ns),
                }
                packet.data = data;
                Some(packet)
            }
            Err(error) => {
                tracing::warn!(%error, "a delayed packet cannot be read back");
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.left = Skip::ToKey;
                None
            }
        }
    }
}

/// A packet of silence, which fits between any others of the same encoder settings.
fn silence(audio_bps: u32) -> Option<Bytes> {
    let mut encoder = AacEncoder::open(audio_bps).ok()?;
    let mut packets = encoder.encode(&[[0.0; 2]; 4 * AAC_SAMPLES]).ok()?;
    packets.extend(encoder.finish().ok()?);
    // The first ones hold what the encoder begins with.
    packets.into_iter().nth(2).map(|packet| packet.data)
}

/// The beginning of a line.
#[derive(Debug)]
pub(super) struct Inlet {
    batches: Sender<Batch>,
    lost: Arc<AtomicU64>,
}

impl Inlet {
    /// Hands over a tick without waiting; what finds no room is lost and counted.
    pub(super) fn push(&self, batch: Batch) {
        let packets = batch.packets.len() as u64;
        if self.batches.try_send(batch).is_err() {
            self.lost.fetch_add(packets, Ordering::Relaxed);
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
        (dir, begins): (PathBuf, Begins),
        (header, black): (&StreamHeader, Option<VideoSettings>),
        lost: Arc<AtomicU64>,
        out: impl Fn(&Packet, &StopToken) + Send + 'static,
    ) -> std::io::Result<DelayLine> {
        let (sender, receiver): (_, Receiver<Batch>) =
            crossbeam_channel::bounded(ENCODER_QUEUE_TICKS);
        let (header, counted) = (header.clone(), Arc::clone(&lost));
        let place = format!("delay-{name}");
        let worker = worker::spawn(&place.clone(), StopToken::new(), move |stop| {
            let fillers = Fillers::of(&header, black.as_ref());
            let spool = Spool::new(dir);
            let mut ring = DelayRing::new(spool, header.rate, (begins, fillers), counted);
            while !stop.is_stopped() {
                match receiver.recv_timeout(STOP_POLL) {
                    Ok(batch) => {
                        fault::strikes(&place);
                        ring.push(batch, |packet| out(&packet, &stop));
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(DelayLine { batches: Some(sender), lost, worker: Some(worker) })
    }

    /// Where ticks are handed over.
    pub(super) fn inlet(&self) -> Option<Inlet> {
        let lost = Arc::clone(&self.lost);
        self.batches.clone().map(|batches| Inlet { batches, lost })
    }

    /// Whether it has broken off.
    pub(super) fn is_broken(&self) -> bool {
        self.worker.as_ref().is_none_or(Worker::is_finished)
    }

    /// Lets go what is due; what has to wait is never sent.
    pub(super) fn end(&mut self) {
        self.batches.take();
        if let Some(worker) = self.worker.take() {
            super::end_worker(worker, super::time_left(crate::limits::DRAIN_TIMEOUT));
        }
    }
}
