//! A rendition at work: scales the programme's pictures and encodes them, on a thread of its own.
//!
//! Owns its thread, its encoder and its timeline. Must not know the programme's encoder or what a sink does. Invariants: it
//! encodes the programme's ticks (or each second, third… of them) without gaps, with keyframes at the same ticks; when it is
//! slow it repeats its last picture, and nobody else notices; when its thread breaks or hangs, another one goes on in the same
//! stream.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::encode_loop::{Outlet, Shown, black};
use super::fan_out::{Batch, Common, FanOut};
use super::life::{Life, Parted};
use super::rendition::RenditionSettings;
use super::rung_job::{RungJob, RungTick};
use super::stats::{Counters, OutputStats};
use super::steady::SteadyEncoder;
use super::{StartError, end_worker};
use crate::device_memory::DeviceUuid;
use crate::fault;
use crate::frame::{Picture, VideoFrame};
use crate::limits::{ENCODER_QUEUE_TICKS, RENDITION_HUNG, STOP_POLL};
use crate::media::encode::{EncodeError, Idr, Latency, VideoSettings, most_bps};
use crate::media::packet::{Packet, StreamHeader};
use crate::media::scale::Prescaler;
use crate::worker::{self, Pulse, StopToken, Worker};

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

    /// A device whose memory one of them takes pictures from.
    pub(super) fn device(&self) -> Option<DeviceUuid> {
        let shown = self.lock();
        shown
            .iter()
            .filter(|rung| !rung.is_shed())
            .find_map(|rung| rung.line.outlet.counters.device())
    }

    /// Hands a tick to all, without waiting.
    pub(super) fn offer(&self, job: &RungJob) {
        // Not under the lock: who offers may have to begin a thread.
        for rung in self.rungs() {
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
    /// As it was begun.
    pub(super) settings: RenditionSettings,
    pub(super) header: StreamHeader,
    pub(super) fan_out: Arc<FanOut>,
    jobs: Mutex<Option<Sender<RungJob>>>,
    ticks_refused: AtomicU64,
    has_begun: AtomicBool,
    line: Arc<Line>,
    life: Mutex<Life>,
}

/// What the threads of a rendition, one after the other, work on.
#[derive(Debug)]
struct Line {
    /// `{rendition}-{output}`
    name: String,
    settings: RenditionSettings,
    header: StreamHeader,
    jobs: Receiver<RungJob>,
    outlet: Outlet,
    /// Overload: it changes its picture at keyframes only.
    is_shed: AtomicBool,
    progress: Mutex<Progress>,
}

/// Where a thread goes on.
#[derive(Debug)]
struct Progress {
    /// The tick that comes next; none: it has not begun.
    next: Option<u64>,
    picture: Arc<Picture>,
    /// Sound of ticks that were taken and not handed on, with their ticks.
    sound: VecDeque<(u64, Packet)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    fn open(&self, pulse: Pulse) -> Result<SteadyEncoder, StartError> {
        let counters = Arc::clone(&self.outlet.counters);
        let video = &self.settings.video;
        SteadyEncoder::resume((&self.name, video), &self.header, counters, pulse)
    }

    /// Starts a thread, with this encoder or one of its own.
    fn begin(
        self: &Arc<Line>,
        encoder: Option<SteadyEncoder>,
        pulse: Pulse,
    ) -> std::io::Result<Worker> {
        let line = Arc::clone(self);
        worker::spawn(&format!("enc-{}", self.name), StopToken::new(), move |stop| {
            let encoder = encoder.map_or_else(|| line.open(pulse.clone()), Ok);
            let ended = encoder.and_then(|encoder| {
                RungLoop::new(&line, encoder, pulse).run(&stop).map_err(StartError::from)
            });
            match ended {
                // Its sinks need not wait until it is joined.
                Ok(()) if !stop.is_stopped() => line.outlet.fan_out.end(),
                Ok(()) => {}
                Err(error) => line.outlet.fail(&error),
            }
        })
    }
}

impl Rung {
    /// Opens its encoder; it begins with the first keyframe that the programme makes.
    pub(super) fn start(
        output: &str,
        settings: &RenditionSettings,
        (main, common): (&StreamHeader, &Common),
    ) -> Result<Rung, StartError> {
        let name = format!("{}-{output}", settings.name);
        let (counters, pulse) = (Arc::new(Counters::default()), Pulse::default());
        let encoder =
            SteadyEncoder::open(&name, &settings.video, Arc::clone(&counters), pulse.clone())?;
        let header = StreamHeader {
            size: settings.video.size,
            decoder: encoder.decoder(),
            video_bps: encoder.bitrate(),
            picture_ticks: settings.video.picture_ticks.max(1),
            ..main.clone()
        };
        let (sender, jobs) = crossbeam_channel::bounded(ENCODER_QUEUE_TICKS);
        let fan_out =
            Arc::new(FanOut::new(name.clone(), (header.clone(), &settings.video), common.clone()));
        let line = Arc::new(Line {
            name,
            settings: settings.clone(),
            header: header.clone(),
            jobs,
            outlet: Outlet { fan_out: Arc::clone(&fan_out), counters },
            is_shed: AtomicBool::new(false),
            progress: Mutex::new(Progress {
                next: None,
                picture: Arc::new(black(settings.video.size)),
                sound: VecDeque::new(),
            }),
        });
        let worker = line.begin(Some(encoder), pulse.clone())?;
        Ok(Rung {
            settings: settings.clone(),
            header,
            fan_out,
            jobs: Mutex::new(Some(sender)),
            ticks_refused: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            line,
            life: Mutex::new(Life::new(worker, pulse)),
        })
    }

    fn offer(&self, mut job: RungJob) {
        if let RungJob::Tick(tick) = &mut job {
            self.keep_first(tick);
        }
        let sent = lock(&self.jobs).as_ref().map(|sender| sender.try_send(job));
        let Some(sent) = sent else { return };
        if sent.is_err() {
            self.ticks_refused.fetch_add(1, Ordering::Relaxed);
        }
        // Offline nothing may be missing: a failure is final.
        if self.settings.video.latency == Latency::Zero {
            self.look_after();
        }
    }

    /// Its first picture waits for it: without one it has nothing to show but black.
    fn keep_first(&self, tick: &mut RungTick) {
        let begins = tick.idr == Idr::Force
            && tick.tick.is_multiple_of(self.header.picture_ticks.into())
            && !self.has_begun.swap(true, Ordering::Relaxed);
        if begins {
            tick.held = tick.shown.upgrade();
        }
    }

    /// Puts another thread in the place of one that broke off or hangs.
    fn look_after(&self) {
        let begin = |pulse| self.line.begin(None, pulse);
        let Some(parted) = lock(&self.life).look_after(RENDITION_HUNG, begin) else { return };
        let Parted { why, rest, is_given_up } = parted;
        tracing::error!(rendition = self.line.name, ?rest, is_given_up, "{why}");
        self.line.outlet.count(|stats| {
            stats.failure = is_given_up.then(|| format!("{why}, again and again: given up"));
            stats.last_fault = Some(why);
            stats.thread_restarts += u64::from(!is_given_up);
        });
    }

    /// What it was asked for last.
    pub(super) fn asked(&self) -> RenditionSettings {
        let RenditionSettings { name, video } = self.settings.clone();
        let video = VideoSettings { bitrate_bps: self.header.video_bps.bps(), ..video };
        RenditionSettings { name, video }
    }

    /// Whether it can come to be what is wanted without beginning anew: by another bit rate, as far as its parameter sets
    /// allow that.
    pub(super) fn can_be(&self, wanted: &RenditionSettings) -> bool {
        let RenditionSettings { name, video } = &self.settings;
        *name == wanted.name
            && video.is_like(&wanted.video)
            && (wanted.video.bitrate_bps == self.header.video_bps.bps()
                || wanted.video.bitrate_bps <= most_bps(&self.header.decoder))
    }

    pub(super) fn close(&self) {
        lock(&self.jobs).take();
    }

    /// Says which pictures it shows.
    pub(super) fn show(&self, pictures: Pictures) {
        self.line.is_shed.store(pictures == Pictures::OfKeyframes, Ordering::Relaxed);
    }

    pub(super) fn is_shed(&self) -> bool {
        self.line.is_shed.load(Ordering::Relaxed)
    }

    pub(super) fn stats(&self) -> OutputStats {
        let mut stats = self.line.outlet.counters.snapshot();
        stats.queued = lock(&self.jobs).as_ref().map_or(0, Sender::len);
        stats.ticks_refused = self.ticks_refused.load(Ordering::Relaxed);
        self.fan_out.add_to(&mut stats);
        stats
    }

    /// Lets the encoder finish for as long as is `left`; its sinks are ended by themselves.
    pub(super) fn finish(&self, left: impl Fn() -> Duration) {
        self.close();
        let worker = lock(&self.life).take();
        if let Some(worker) = worker {
            end_worker(worker, left);
        }
    }
}

struct RungLoop<'a> {
    line: &'a Line,
    encoder: SteadyEncoder,
    pulse: Pulse,
    scaler: Prescaler,
    /// The picture that was scaled last.
    source_id: Option<u64>,
    picture: Arc<Picture>,
    /// The tick that is taken next.
    next: Option<u64>,
    /// Ticks that are not handed on, in order.
    waiting: VecDeque<Waiting>,
}

/// A tick that the encoder holds the picture of, or that comes after one.
struct Waiting {
    tick: u64,
    delay_ticks: u64,
    has_picture: bool,
}

impl<'a> RungLoop<'a> {
    fn new(line: &'a Line, encoder: SteadyEncoder, pulse: Pulse) -> RungLoop<'a> {
        let (next, picture) = {
            let progress = line.progress();
            (progress.next, Arc::clone(&progress.picture))
        };
        let scaler = Prescaler::default();
        let waiting = VecDeque::new();
        RungLoop { line, encoder, pulse, scaler, source_id: None, picture, next, waiting }
    }

    fn run(mut self, stop: &StopToken) -> Result<(), EncodeError> {
        let mut delay_ticks = 0;
        while !stop.is_stopped() {
            self.pulse.beat();
            match self.line.jobs.recv_timeout(STOP_POLL) {
                Ok(RungJob::Tick(tick)) => {
                    delay_ticks = tick.delay_ticks;
                    self.take(tick, stop)?;
                }
                Ok(RungJob::Tail(tail)) => self.hear(u64::MAX, tail.audio),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let Some(tick) = self.next else { return Ok(()) };
        let last = self.encoder.finish(stop)?;
        self.hand_on(last, stop);
        let packets = self.line.progress().sound.drain(..).map(|(_, packet)| packet).collect();
        self.deliver(Batch { tick, delay_ticks, packets }, stop);
        Ok(())
    }

    /// Keeps the sound of a tick until that is handed on.
    fn hear(&self, tick: u64, audio: Vec<Packet>) {
        self.line.progress().sound.extend(audio.into_iter().map(|packet| (tick, packet)));
    }

    fn take(&mut self, job: RungTick, stop: &StopToken) -> Result<(), EncodeError> {
        // Its groups of pictures are the programme's from the first one on.
        if self.next.is_none() && (job.idr == Idr::Auto || !self.is_due(job.tick)) {
            return Ok(());
        }
        let RungTick { tick, delay_ticks, idr, shown, held: _held, audio } = job;
        self.hear(tick, audio);
        fault::strikes(&self.line.name);
        for missing in self.next.unwrap_or(tick)..tick {
            if stop.is_stopped() {
                return Ok(());
            }
            if !self.is_due(missing) {
                continue;
            }
            self.line.outlet.count(|stats| stats.filled += 1);
            let begins = missing.is_multiple_of(self.line.header.gop_ticks.into());
            let idr = if begins { Idr::Force } else { Idr::Auto };
            let packets = self.encode((missing, idr), stop)?;
            self.taken(Waiting { tick: missing, delay_ticks, has_picture: true }, packets, stop);
        }
        let (mut packets, has_picture) = (Vec::new(), self.is_due(tick));
        if has_picture {
            // What costs is a new picture; one that stands still is next to nothing.
            let stands_still = self.line.is_shed.load(Ordering::Relaxed) && idr == Idr::Auto;
            match shown.upgrade() {
                Some(shown) if stands_still && !self.shows(&shown) => {
                    self.line.outlet.count(|stats| {
                        stats.repeated += 1;
                        stats.pictures_shed += 1;
                    });
                }
                Some(shown) => self.show(&shown),
                None => self.line.outlet.count(|stats| {
                    stats.repeated += 1;
                    stats.pictures_dropped += 1;
                }),
            }
            if idr == Idr::Force && !tick.is_multiple_of(self.line.header.gop_ticks.into()) {
                self.line.outlet.count(|stats| stats.keyframes_forced += 1);
            }
            packets = self.encode((tick, idr), stop)?;
        }
        self.taken(Waiting { tick, delay_ticks, has_picture }, packets, stop);
        Ok(())
    }

    /// Notes a tick, and hands on those whose pictures came out.
    fn taken(&mut self, waiting: Waiting, packets: Vec<Packet>, stop: &StopToken) {
        self.next = Some(waiting.tick + 1);
        self.waiting.push_back(waiting);
        self.hand_on(packets, stop);
    }

    /// Hands on the ticks whose pictures came out, one each, and those without one.
    fn hand_on(&mut self, packets: Vec<Packet>, stop: &StopToken) {
        let mut pictures = packets.into_iter();
        while let Some(&Waiting { tick, delay_ticks, has_picture }) = self.waiting.front() {
            let picture = if has_picture { pictures.next() } else { None };
            if has_picture && picture.is_none() {
                return;
            }
            self.waiting.pop_front();
            let mut packets = Vec::from_iter(picture);
            let mut progress = self.line.progress();
            let sounds = progress.sound.partition_point(|(of, _)| *of <= tick);
            packets.extend(progress.sound.drain(..sounds).map(|(_, packet)| packet));
            drop(progress);
            self.deliver(Batch { tick, delay_ticks, packets }, stop);
        }
    }

    /// Hands on what belongs to a tick, once: whoever goes on here begins with the next.
    fn deliver(&mut self, batch: Batch, stop: &StopToken) {
        // A thread that hung and comes to itself again has a successor.
        if stop.is_stopped() {
            return;
        }
        self.line.progress().next = Some(batch.tick + 1);
        self.line.outlet.deliver(batch, stop);
    }

    /// Whether a tick has a picture here.
    fn is_due(&self, tick: u64) -> bool {
        tick.is_multiple_of(self.line.header.picture_ticks.into())
    }

    /// Whether this is the picture that it shows already.
    fn shows(&self, shown: &Shown) -> bool {
        self.source_id == Some(shown.picture.id())
    }

    /// Takes the picture in its own size, scaling it if there is none, unless it is the one that is shown already.
    fn show(&mut self, shown: &Shown) {
        if self.shows(shown) {
            return;
        }
        self.source_id = Some(shown.picture.id());
        let size = self.line.header.size;
        let mut all = std::iter::once(&shown.picture).chain(&shown.renditions);
        let found = all.find(|picture| picture.size() == size);
        let can_have = match found {
            Some(picture) => self.encoder.can_have(picture),
            None => shown.picture.fetch().is_ok(),
        };
        if !can_have {
            return self.line.outlet.count(|stats| stats.repeated += 1);
        }
        if let Some(picture) = found {
            self.picture = Arc::clone(picture);
        } else {
            let picture = Arc::clone(&shown.picture);
            let mut frame = VideoFrame { pts_ns: 0, picture, scaled: Vec::new() };
            self.scaler.fill(&mut frame, &[size.into()]);
            if let Some(scaled) = frame.scaled.pop() {
                self.picture = scaled.picture;
            }
        }
        self.line.progress().picture = Arc::clone(&self.picture);
    }

    fn encode(
        &mut self,
        (tick, idr): (u64, Idr),
        stop: &StopToken,
    ) -> Result<Vec<Packet>, EncodeError> {
        self.line.outlet.timed(|| self.encoder.encode(tick, &self.picture, (idr, stop)))
    }
}
