//! A rendition at work: scales the programme's pictures and encodes them, on a thread of its own.
//!
//! Owns its encoder and its timeline. Must not know the programme's encoder or what a sink does. Invariants: it encodes the
//! programme's ticks (or each second, third… of them) without gaps, with keyframes at the same ticks; when it is slow it repeats its last picture, and
//! nobody else notices.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::encode_loop::{Outlet, Shown, black};
use super::fan_out::{Batch, Common, FanOut};
use super::rendition::RenditionSettings;
use super::stats::{Counters, OutputStats};
use super::steady::SteadyEncoder;
use super::{EndOfPackets, StartError, await_end};
use crate::frame::{Picture, Size, VideoFrame};
use crate::limits::{ENCODER_QUEUE_TICKS, STOP_POLL};
use crate::media::encode::{EncodeError, Idr};
use crate::media::packet::{Packet, StreamHeader};
use crate::media::scale::Prescaler;
use crate::worker::{self, StopToken, Worker};

/// What the programme hands to a rendition.
#[derive(Clone)]
pub(super) enum RungJob {
    /// The next tick.
    Tick(RungTick),
    /// Sound that the encoder still held at the end.
    Tail(Vec<Packet>),
}

/// A tick as the programme encoded it.
#[derive(Clone)]
pub(super) struct RungTick {
    /// Counted from the output's first.
    pub(super) tick: u64,
    pub(super) delay_ticks: u64,
    pub(super) idr: Idr,
    /// Gone when the rendition is late: canvases are few, and PGM needs them.
    pub(super) shown: Weak<Shown>,
    pub(super) audio: Vec<Packet>,
}

/// The renditions of one output.
#[derive(Debug, Default)]
pub(super) struct Ladder(Mutex<Vec<Arc<Rung>>>);

impl Ladder {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Rung>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rungs(&self) -> Vec<Arc<Rung>> {
        self.lock().clone()
    }

    /// Puts these in the place of those that are there, and gives them back.
    pub(super) fn replace(&self, rungs: Vec<Arc<Rung>>) -> Vec<Arc<Rung>> {
        std::mem::replace(&mut *self.lock(), rungs)
    }

    /// How many ticks lie between those at which all of them have a picture.
    pub(super) fn common_ticks(&self) -> u64 {
        let all = self.lock();
        let each = all.iter().map(|rung| u64::from(rung.header.picture_ticks));
        each.fold(1, |common, ticks| {
            (1..=ticks).map(|n| n * common).find(|n| n.is_multiple_of(ticks)).unwrap_or(common)
        })
    }

    /// Hands a tick to all, without waiting.
    pub(super) fn offer(&self, job: &RungJob) {
        for rung in self.lock().iter() {
            rung.offer(job.clone());
        }
    }

    /// No more ticks will come.
    pub(super) fn close(&self) {
        for rung in self.lock().iter() {
            rung.close();
        }
    }
}

/// Which pictures a rendition shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pictures {
    All,
    /// Overload: those of keyframes only.
    OfKeyframes,
}

/// A running rendition.
#[derive(Debug)]
pub(super) struct Rung {
    pub(super) settings: RenditionSettings,
    pub(super) header: StreamHeader,
    pub(super) fan_out: Arc<FanOut>,
    counters: Arc<Counters>,
    jobs: Mutex<Option<Sender<RungJob>>>,
    ticks_refused: AtomicU64,
    /// Overload: it changes its picture at keyframes only.
    is_shed: Arc<AtomicBool>,
    worker: Mutex<Option<Worker>>,
}

impl Rung {
    /// Opens its encoder; it begins with the first keyframe that the programme makes.
    pub(super) fn start(
        output: &str,
        settings: &RenditionSettings,
        (main, common): (&StreamHeader, &Common),
    ) -> Result<Rung, StartError> {
        let name = format!("{}-{output}", settings.name);
        let counters = Arc::new(Counters::default());
        let encoder =
            SteadyEncoder::open(format!("x264-{name}"), &settings.video, Arc::clone(&counters))?;
        let header = StreamHeader {
            size: settings.video.size,
            avcc: encoder.avcc(),
            video_bps: settings.video.bitrate_bps,
            picture_ticks: settings.video.picture_ticks.max(1),
            ..main.clone()
        };
        let (sender, receiver) = crossbeam_channel::bounded(ENCODER_QUEUE_TICKS);
        let fan_out = Arc::new(FanOut::new(name.clone(), header.clone(), common.clone()));
        let is_shed = Arc::new(AtomicBool::new(false));
        let rung_loop = RungLoop {
            encoder,
            size: settings.video.size,
            picture_ticks: header.picture_ticks.into(),
            scaler: Prescaler::default(),
            source_id: None,
            picture: Arc::new(black(settings.video.size)),
            next: None,
            is_shed: Arc::clone(&is_shed),
        };
        let outlet = Outlet { fan_out: Arc::clone(&fan_out), counters: Arc::clone(&counters) };
        let worker = worker::spawn(&format!("enc-{name}"), StopToken::new(), move |stop| {
            // Told also when the loop panics, so that no sink waits for ever.
            let _end = EndOfPackets(Arc::clone(&outlet.fan_out));
            if let Err(error) = rung_loop.run(&receiver, &outlet, &stop) {
                outlet.fail(&error);
            }
        })?;
        Ok(Rung {
            settings: settings.clone(),
            header,
            fan_out,
            counters,
            jobs: Mutex::new(Some(sender)),
            ticks_refused: AtomicU64::new(0),
            is_shed,
            worker: Mutex::new(Some(worker)),
        })
    }

    fn jobs(&self) -> MutexGuard<'_, Option<Sender<RungJob>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, job: RungJob) {
        if let Some(sender) = &*self.jobs()
            && sender.try_send(job).is_err()
        {
            self.ticks_refused.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn close(&self) {
        self.jobs().take();
    }

    /// Says which pictures it shows.
    pub(super) fn show(&self, pictures: Pictures) {
        self.is_shed.store(pictures == Pictures::OfKeyframes, Ordering::Relaxed);
    }

    pub(super) fn is_shed(&self) -> bool {
        self.is_shed.load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> OutputStats {
        let mut stats = self.counters.snapshot();
        stats.queued = self.jobs().as_ref().map_or(0, Sender::len);
        stats.ticks_refused = self.ticks_refused.load(Ordering::Relaxed);
        stats.delay_lost = self.fan_out.delay_lost();
        stats
    }

    /// Lets the encoder finish for as long as is `left`; its sinks are ended by themselves.
    pub(super) fn finish(&self, left: impl Fn() -> Duration) {
        self.close();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            await_end(&worker, left);
            worker.join();
        }
    }
}

struct RungLoop {
    encoder: SteadyEncoder,
    size: Size,
    picture_ticks: u64,
    scaler: Prescaler,
    /// The picture that was scaled last.
    source_id: Option<u64>,
    picture: Arc<Picture>,
    next: Option<u64>,
    is_shed: Arc<AtomicBool>,
}

impl RungLoop {
    fn run(
        mut self,
        jobs: &Receiver<RungJob>,
        outlet: &Outlet,
        stop: &StopToken,
    ) -> Result<(), EncodeError> {
        let (mut delay_ticks, mut tail) = (0, Vec::new());
        while !stop.is_stopped() {
            match jobs.recv_timeout(STOP_POLL) {
                Ok(RungJob::Tick(tick)) => {
                    delay_ticks = tick.delay_ticks;
                    self.take(tick, outlet, stop)?;
                }
                Ok(RungJob::Tail(audio)) => tail = audio,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let Some(tick) = self.next else { return Ok(()) };
        let mut packets = self.encoder.finish(stop)?;
        packets.extend(tail);
        outlet.deliver(Batch { tick, delay_ticks, packets }, stop);
        Ok(())
    }

    fn take(
        &mut self,
        job: RungTick,
        outlet: &Outlet,
        stop: &StopToken,
    ) -> Result<(), EncodeError> {
        // Its groups of pictures are the programme's from the first one on.
        if self.next.is_none() && (job.idr == Idr::Auto || !self.is_due(job.tick)) {
            return Ok(());
        }
        let RungTick { tick, delay_ticks, idr, shown, audio } = job;
        for missing in self.next.unwrap_or(tick)..tick {
            if stop.is_stopped() {
                return Ok(());
            }
            if !self.is_due(missing) {
                continue;
            }
            outlet.count(|stats| stats.filled += 1);
            let packets = self.encode((missing, Idr::Auto), outlet, stop)?;
            outlet.deliver(Batch { tick: missing, delay_ticks, packets }, stop);
        }
        let mut packets = Vec::new();
        if self.is_due(tick) {
            // What costs is a new picture; one that stands still is next to nothing.
            let stands_still = self.is_shed.load(Ordering::Relaxed) && idr == Idr::Auto;
            match shown.upgrade() {
                Some(_) if stands_still => outlet.count(|stats| stats.repeated += 1),
                Some(shown) => self.show(&shown),
                None => outlet.count(|stats| {
                    stats.repeated += 1;
                    stats.pictures_dropped += 1;
                }),
            }
            packets = self.encode((tick, idr), outlet, stop)?;
        }
        packets.extend(audio);
        self.next = Some(tick + 1);
        outlet.deliver(Batch { tick, delay_ticks, packets }, stop);
        Ok(())
    }

    /// Whether a tick has a picture here.
    fn is_due(&self, tick: u64) -> bool {
        tick.is_multiple_of(self.picture_ticks)
    }

    /// Takes the picture in its own size, scaling it if there is none, unless it is the one that is shown already.
    fn show(&mut self, shown: &Shown) {
        let id = shown.picture.id();
        if self.source_id.replace(id) == Some(id) {
            return;
        }
        let mut all = std::iter::once(&shown.picture).chain(&shown.renditions);
        if let Some(picture) = all.find(|picture| picture.size() == self.size) {
            self.picture = Arc::clone(picture);
            return;
        }
        let picture = Arc::clone(&shown.picture);
        let mut frame = VideoFrame { pts_ns: 0, picture, scaled: Vec::new() };
        self.scaler.fill(&mut frame, &[self.size.into()]);
        if let Some(scaled) = frame.scaled.pop() {
            self.picture = scaled.picture;
        }
    }

    fn encode(
        &mut self,
        (tick, idr): (u64, Idr),
        outlet: &Outlet,
        stop: &StopToken,
    ) -> Result<Vec<Packet>, EncodeError> {
        outlet.timed(|| self.encoder.encode(tick, &self.picture, (idr, stop)))
    }
}
