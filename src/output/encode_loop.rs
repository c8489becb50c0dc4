//! The worker between the queue of ticks and the sinks.
//!
//! Owns the encoders and the output's timeline. Must not know sinks. Invariants: ticks go into the encoders without gaps, each
//! with its picture (or the last one) and exactly its samples; each tick that is a multiple of the group of pictures begins one; renditions get each tick as it was encoded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::fan_out::{Batch, FanOut};
use super::rung::Ladder;
use super::rung_job::{RungJob, RungTick, Tail};
use super::stats::{Counters, OutputStats};
use super::steady::SteadyEncoder;
use super::{Job, TickMedia};
use crate::fault;
use crate::frame::{Picture, PixelFormat, Size, StereoSample};
use crate::limits::{RENDITION_PICTURES, STOP_POLL};
use crate::media::encode::{AacEncoder, EncodeError, Idr};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::time::{Clock, FrameRate, NS_PER_S, SAMPLE_RATE, unix_ms};
use crate::worker::{Pulse, StopToken};

/// Where an encoder's packets and counts go.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) fan_out: Arc<FanOut>,
    pub(super) counters: Arc<Counters>,
}

impl Outlet {
    pub(super) fn count(&self, change: impl FnOnce(&mut OutputStats)) {
        self.counters.count(change);
    }

    /// Counts a tick that is encoded by `work`, and the time that takes.
    pub(super) fn timed<T>(
        &self,
        work: impl FnOnce() -> Result<T, EncodeError>,
    ) -> Result<T, EncodeError> {
        let clock = Clock::real();
        let done = work()?;
        self.counters.encoded_in(clock.now_ns() / 1000);
        self.count(|stats| stats.encoded += 1);
        Ok(done)
    }

    pub(super) fn deliver(&self, batch: Batch, stop: &StopToken) {
        self.count(|stats| {
            for packet in &batch.packets {
                let bytes = packet.data.len() as u64;
                match packet.track {
                    Track::Video => {
                        stats.video_bytes += bytes;
                        stats.keyframes += u64::from(packet.key);
                    }
                    Track::Audio => stats.audio_bytes += bytes,
                }
            }
        });
        self.fan_out.deliver(batch, stop);
    }

    pub(super) fn fail(&self, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "the encoder gave up");
        self.count(|stats| stats.failure = Some(error.to_string()));
    }
}

/// Everything behind the programme's encoder.
pub(super) struct Lines {
    pub(super) outlet: Outlet,
    pub(super) ladder: Arc<Ladder>,
    /// What the delay of the public sinks shall be, ticks.
    pub(super) delay_ticks: Arc<AtomicU64>,
    /// Its name where tests cause faults.
    pub(super) place: String,
}

/// Where a loop goes on.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// First tick ever, and the next one to encode.
    ticks: Option<(u64, u64)>,
    /// Samples of the ticks in between.
    samples: u64,
    shown: Arc<Shown>,
    /// A keyframe was asked for and has not come yet.
    is_owed: bool,
}

impl Progress {
    /// Of a loop that has not begun.
    pub(super) fn black(size: Size) -> Progress {
        Progress { ticks: None, samples: 0, shown: Arc::new(Shown::black(size)), is_owed: false }
    }

    /// How many samples have been handed on.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// How much more sound than pictures was handed on, ns, once `ticks` have been.
    fn sound_ahead_ns(&self, rate: FrameRate, ticks: u64) -> Option<i64> {
        let sound_ns = i128::from(self.samples) * i128::from(NS_PER_S) / i128::from(SAMPLE_RATE);
        i64::try_from(sound_ns - i128::from(rate.tick_ns(ticks))).ok()
    }
}

pub(super) struct EncodeLoop<'a> {
    video: SteadyEncoder,
    audio: AacEncoder,
    header: &'a StreamHeader,
    now: Progress,
    /// Ticks whose pictures the encoder holds; the n-th packet that comes out belongs to the n-th of them, wherever it is shown.
    waiting: VecDeque<Waiting>,
    /// What has been handed on: where another loop goes on should this one break.
    kept: &'a Mutex<Progress>,
    /// The last pictures, held for renditions that are a little behind.
    recent: VecDeque<Arc<Shown>>,
}

/// A tick whose picture has not come out.
struct Waiting {
    tick: u64,
    /// It begins a group of pictures, or was asked to be a keyframe.
    is_due: bool,
    samples: usize,
    audio: Vec<Packet>,
    shown: Weak<Shown>,
    /// For renditions, which get the tick when it comes out. Offline there are none, and canvases are few.
    held: Option<Arc<Shown>>,
}

/// What a tick shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) picture: Arc<Picture>,
    /// The same in other sizes.
    pub(super) renditions: Vec<Arc<Picture>>,
}

impl Shown {
    fn black(size: Size) -> Shown {
        Shown { picture: Arc::new(black(size)), renditions: Vec::new() }
    }
}

/// Whether the loop goes on.
enum Flow {
    Go,
    End,
}

impl<'a> EncodeLoop<'a> {
    /// One that goes on where `kept` says.
    pub(super) fn new(
        (video, audio): (SteadyEncoder, AacEncoder),
        header: &'a StreamHeader,
        kept: &'a Mutex<Progress>,
    ) -> EncodeLoop<'a> {
        let now = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (waiting, recent) = (VecDeque::new(), VecDeque::new());
        EncodeLoop { video, audio, header, now, waiting, kept, recent }
    }

    /// Encodes until the queue is closed and empty, or `stop`.
    pub(super) fn run(
        mut self,
        jobs: &Receiver<Job>,
        lines: &Lines,
        (stop, pulse): (&StopToken, &Pulse),
    ) {
        loop {
            if stop.is_stopped() {
                return;
            }
            pulse.beat();
            let result = match jobs.recv_timeout(STOP_POLL) {
                Ok(job) => self.take(job, lines, stop),
                Err(RecvTimeoutError::Timeout) => Ok(Flow::Go),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match result {
                Ok(Flow::Go) => {}
                Ok(Flow::End) => return,
                // One that is told to stop is not to blame.
                Err(_) if stop.is_stopped() => return,
                Err(error) => return lines.outlet.fail(&error),
            }
        }
        if let Err(error) = self.finish(lines, stop) {
            lines.outlet.fail(&error);
        }
    }

    /// Gives what the encoders held back.
    fn finish(mut self, lines: &Lines, stop: &StopToken) -> Result<(), EncodeError> {
        let tick = self.now.ticks.map_or(0, |(first, next)| next - first);
        let last = self.video.finish(stop)?;
        self.hand_on(last, lines, stop);
        let packets = self.audio.finish()?;
        let delay_ticks = lines.delay_ticks.load(Ordering::Relaxed);
        let _held = self.recent.into();
        lines.ladder.offer(&RungJob::Tail(Tail { audio: packets.clone(), _held }));
        lines.outlet.deliver(Batch { tick, delay_ticks, packets }, stop);
        Ok(())
    }

    /// Encodes a tick and whatever is missing before it.
    fn take(&mut self, job: Job, lines: &Lines, stop: &StopToken) -> Result<Flow, EncodeError> {
        let Job { media: TickMedia { tick, picture, renditions, audio }, idr } = job;
        fault::strikes(&lines.place);
        let (first, next) = *self.now.ticks.get_or_insert_with(|| {
            self.header.origin.tell(unix_ms());
            (tick, tick)
        });
        if tick < next {
            lines.outlet.count(|stats| stats.out_of_order += 1);
            return Ok(Flow::Go);
        }
        for missing in next..tick {
            if stop.is_stopped() {
                return Ok(Flow::End);
            }
            let silence = vec![[0.0; 2]; self.header.rate.samples_in(missing)];
            lines.outlet.count(|stats| stats.filled += 1);
            self.encode((missing - first, Idr::Auto), &silence, lines, stop)?;
        }
        match picture {
            Some(picture) if self.video.can_have(&picture) => {
                self.show(Shown { picture, renditions });
            }
            Some(_) | None => lines.outlet.count(|stats| stats.repeated += 1),
        }
        self.encode((tick - first, idr), &audio, lines, stop)?;
        Ok(Flow::Go)
    }

    fn show(&mut self, shown: Shown) {
        self.now.shown = Arc::new(shown);
    }

    /// Holds what was handed on last.
    fn hold(&mut self, shown: &Weak<Shown>) {
        let is_held = self.recent.back().is_some_and(|last| Arc::as_ptr(last) == shown.as_ptr());
        let Some(shown) = shown.upgrade().filter(|_| !is_held) else { return };
        if self.recent.len() + 1 >= RENDITION_PICTURES + self.video.burst_pictures() {
            self.recent.pop_front();
        }
        self.recent.push_back(shown);
    }

    /// Encodes a tick (counted from the first) and sends it on its ways.
    fn encode(
        &mut self,
        (tick, asked): (u64, Idr),
        samples: &[StereoSample],
        lines: &Lines,
        stop: &StopToken,
    ) -> Result<(), EncodeError> {
        // One that is asked for in between changes nothing about the others: segments are cut at these. It comes when all
        // renditions have a picture.
        self.now.is_owed |= asked == Idr::Force;
        let is_due = tick.is_multiple_of(self.header.gop_ticks.into())
            || (self.now.is_owed && tick.is_multiple_of(lines.ladder.common_ticks()));
        self.now.is_owed &= !is_due;
        if is_due && !tick.is_multiple_of(self.header.gop_ticks.into()) {
            lines.outlet.count(|stats| stats.keyframes_forced += 1);
        }
        let idr = if is_due { Idr::Force } else { Idr::Auto };
        let (packets, audio) = lines.outlet.timed(|| {
            let packets = self.video.encode(tick, &self.now.shown.picture, (idr, stop))?;
            Ok((packets, self.audio.encode(samples)?))
        })?;
        self.now.ticks = self.now.ticks.map(|(first, _)| (first, first + tick + 1));
        self.waiting.push_back(Waiting {
            tick,
            is_due,
            samples: samples.len(),
            audio,
            shown: Arc::downgrade(&self.now.shown),
            held: self.video.is_live().then(|| Arc::clone(&self.now.shown)),
        });
        self.hand_on(packets, lines, stop);
        Ok(())
    }

    /// Hands on the ticks whose pictures came out, a packet each: a keyframe with its own, B-frames a tick later.
    fn hand_on(&mut self, packets: Vec<Packet>, lines: &Lines, stop: &StopToken) {
        let are_several = packets.len() > self.video.burst_pictures();
        for packet in packets {
            // One that hung and comes to itself again has a successor.
            if stop.is_stopped() {
                return;
            }
            let Some(waiting) = self.waiting.pop_front() else { return };
            let Waiting { tick, is_due, samples, audio, shown, held } = waiting;
            self.now.samples += samples as u64;
            let ahead_ns = self.now.sound_ahead_ns(self.header.rate, tick + 1);
            lines.outlet.count(|stats| stats.sound_ahead_ns = ahead_ns);
            self.hold(&shown);
            // Before it is handed on, so that nobody gets a tick twice.
            let ticks = self.now.ticks.map(|(first, _)| (first, first + tick + 1));
            let handed_on = Progress { ticks, ..self.now.clone() };
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = handed_on;
            // An encoder that took the place of another begins with one.
            let idr = if is_due || packet.key { Idr::Force } else { Idr::Auto };
            let delay_ticks = lines.delay_ticks.load(Ordering::Relaxed);
            let held = held.filter(|_| are_several);
            let job = RungTick { tick, delay_ticks, idr, shown, held, audio: audio.clone() };
            lines.ladder.offer(&RungJob::Tick(job));
            let packets = std::iter::once(packet).chain(audio).collect();
            lines.outlet.deliver(Batch { tick, delay_ticks, packets }, stop);
        }
    }
}

/// What is repeated before the first picture has come.
pub(super) fn black(size: Size) -> Picture {
    Picture::black(PixelFormat::Nv12, size)
}
