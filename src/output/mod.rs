//! Outputs: a worker per encoder, and the sinks behind it.
//!
//! Owns the queue in front of the encoder, the filling of ticks that never came, and the fan-out. Must not know scenes
//! or commands; gets pictures and samples, tick by tick. Invariants: what is encoded has one picture per tick and the samples of each tick, whatever
//! was dropped before; a picture is encoded once for all sinks; a sink that blocks, fails or panics hurts nobody.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use crate::frame::{Picture, Size, StereoSample};
use crate::limits::{
    CUT_TIMEOUT, DRAIN_TIMEOUT, ENCODER_QUEUE, ENCODER_QUEUE_TICKS, MAX_DELAY_S, MAX_RENDITIONS,
    STOP_POLL,
};
use crate::media::encode::{AacEncoder, EncodeError, Idr, VideoSettings};
use crate::media::packet::{Origin, StreamHeader};
use crate::time::Clock;
use crate::worker::{Pulse, StopToken, Worker};

mod backoff;
mod bitrate;
mod delay;
mod encode_loop;
mod fan_out;
mod hls;
mod life;
mod part_file;
mod playlist;
mod programme;
mod record;
mod recover;
mod rendition;
mod rung;
mod rung_job;
mod sink;
mod spool;
mod stats;
mod steady;

pub use backoff::Backoff;
pub use hls::HlsSegments;
pub use record::{OnRecord, RecordNews, RecordPlan, RecordedFile};
pub use recover::{
    Recovered, finish_recording, is_half_finished, playlist_files, recording_as_it_is,
    recording_files, recover_recording, recover_recordings, remove_recording,
};
pub use rendition::RenditionSettings;
pub use sink::{Admit, Overflow, Sink, SinkId, SinkState, SinkStats, Timing, redacted};
pub use stats::{EncodeTimes, OutputStats};

use encode_loop::{Lines, Outlet};
use fan_out::{Common, FanOut, finish_all};
use programme::Programme;
use rung::{Ladder, Pictures, Rung};
use stats::Counters;
use steady::SteadyEncoder;

/// What an output is asked for.
#[derive(Clone, Debug)]
pub struct ProgrammeSettings {
    /// Name in logs and of its threads.
    pub name: String,
    /// Video.
    pub video: VideoSettings,
    /// Audio bit rate, bit/s.
    pub audio_bps: u32,
    /// Further versions of the picture.
    pub renditions: Vec<RenditionSettings>,
    /// Ticks by which decoding may go ahead of showing in renditions that come later, see [`VideoSettings::reorder_ticks`]: times in
    /// streams leave room for it.
    pub reorder_ticks: u32,
    /// By how much players and relays are behind, see [`Output::set_delay`].
    pub delay_ticks: u64,
    /// Where what is delayed waits when it is too much for the memory; made when needed.
    pub spool_dir: PathBuf,
}

/// All of one tick.
#[derive(Clone, Debug)]
pub struct TickMedia {
    /// Which tick. The first one pushed is time 0 of the output.
    pub tick: u64,
    /// NV12 picture of the output's size; `None` repeats the last one.
    pub picture: Option<Arc<Picture>>,
    /// The same picture in sizes of renditions, where somebody made them already; the others are scaled here.
    pub renditions: Vec<Arc<Picture>>,
    /// The samples of the tick.
    pub audio: Vec<StereoSample>,
}

/// The encoder is so far behind that a tick was refused; it will be filled in with the last picture and silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the encoder is {ENCODER_QUEUE_TICKS} ticks behind")]
pub struct Full;

/// Why an output cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No encoder.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// [`MAX_SINKS`](crate::limits::MAX_SINKS) are there, or the output has ended.
    #[error("the output takes no more sinks")]
    NoSink,
    /// More than [`MAX_RENDITIONS`], two of one name, or one whose pictures do not come on the output's ticks and keyframes, or are
    /// decoded earlier than the output was told.
    #[error("the output cannot have these renditions")]
    Renditions,
    /// The output has no rendition of this name.
    #[error("the output has no rendition {0}")]
    NoRendition(String),
}

/// A tick on its way to the encoder.
struct Job {
    media: TickMedia,
    idr: Idr,
}

/// A running encoder and its sinks. Dropping it cuts everything short; [`Output::finish`] ends it properly.
#[derive(Debug)]
pub struct Output {
    name: String,
    header: StreamHeader,
    jobs: Mutex<Option<Sender<Job>>>,
    idr_wanted: AtomicBool,
    pictures_dropped: AtomicU64,
    ticks_refused: AtomicU64,
    counters: Arc<Counters>,
    fan_out: Arc<FanOut>,
    common: Common,
    ladder: Arc<Ladder>,
    /// Renditions are changed by one at a time.
    changing: Mutex<()>,
    delay_ticks: Arc<AtomicU64>,
    programme: Programme,
}

/// A rendition and how it fares.
#[derive(Clone, Debug)]
pub struct RenditionStats {
    /// As it was asked for.
    pub settings: RenditionSettings,
    /// What it encoded.
    pub stats: OutputStats,
    /// It changes its picture at keyframes only, see [`Output::shed_renditions`].
    pub is_shed: bool,
    /// Its sinks.
    pub sinks: Vec<SinkStats>,
}

/// Starts an output: its encoders are open when this returns.
///
/// # Errors
/// When an encoder or a thread is refused.
pub fn start(settings: &ProgrammeSettings) -> Result<Output, StartError> {
    let (counters, pulse) = (Arc::new(Counters::default()), Pulse::default());
    let counts = Arc::clone(&counters);
    let video = SteadyEncoder::open(&settings.name, &settings.video, counts, pulse.clone())?;
    let audio = AacEncoder::open(settings.audio_bps)?;
    let header = StreamHeader {
        size: settings.video.size,
        rate: settings.video.rate,
        decoder: video.decoder(),
        asc: audio.asc(),
        video_bps: video.bitrate(),
        audio_bps: settings.audio_bps,
        gop_ticks: settings.video.gop_ticks.max(1),
        picture_ticks: 1,
        origin: Origin::default(),
        shift_ns: shift_ns(settings),
    };
    let (sender, receiver) = crossbeam_channel::bounded(ENCODER_QUEUE_TICKS);
    let common = Common { ids: Arc::new(AtomicU64::new(0)), spool_dir: settings.spool_dir.clone() };
    let stream = (header.clone(), &settings.video);
    let fan_out = Arc::new(FanOut::new(settings.name.clone(), stream, common.clone()));
    let ladder = Arc::new(Ladder::default());
    let delay_ticks = Arc::new(AtomicU64::new(0));
    let lines = Lines {
        outlet: Outlet { fan_out: Arc::clone(&fan_out), counters: Arc::clone(&counters) },
        ladder: Arc::clone(&ladder),
        delay_ticks: Arc::clone(&delay_ticks),
        place: format!("enc-{}", settings.name),
    };
    let encoders = ((video, audio), pulse);
    let programme = Programme::start(settings, encoders, &header, (receiver, lines))?;
    let output = Output {
        name: settings.name.clone(),
        header,
        jobs: Mutex::new(Some(sender)),
        idr_wanted: AtomicBool::new(false),
        pictures_dropped: AtomicU64::new(0),
        ticks_refused: AtomicU64::new(0),
        counters,
        fan_out,
        common,
        ladder,
        changing: Mutex::default(),
        delay_ticks,
        programme,
    };
    output.set_delay(settings.delay_ticks);
    output.set_renditions(&settings.renditions)?;
    Ok(output)
}

/// What lets no encoder of an output begin to decode before 0.
fn shift_ns(settings: &ProgrammeSettings) -> i64 {
    let renditions = settings.renditions.iter().map(|rendition| &rendition.video);
    let all = std::iter::once(&settings.video).chain(renditions).map(VideoSettings::reorder_ticks);
    let ticks = all.fold(settings.reorder_ticks, u32::max);
    i64::try_from(settings.video.rate.tick_ns(ticks.into())).unwrap_or(i64::MAX)
}

impl Output {
    fn sender(&self) -> Option<Sender<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn job(&self, media: TickMedia) -> Job {
        let forced = self.idr_wanted.swap(false, Ordering::AcqRel);
        Job { media, idr: if forced { Idr::Force } else { Idr::Auto } }
    }

    /// Hands a tick to the encoder without waiting. When [`ENCODER_QUEUE`] ticks are waiting the picture is dropped
    /// (the last one is repeated) and the sound kept.
    ///
    /// # Errors
    /// [`Full`] when even [`ENCODER_QUEUE_TICKS`] are waiting, or the encoder has failed: the whole tick is lost and counted.
    pub fn try_push(&self, mut media: TickMedia) -> Result<(), Full> {
        let Some(sender) = self.sender() else { return Err(Full) };
        self.programme.look_after();
        let dropped = sender.len() >= ENCODER_QUEUE && media.picture.take().is_some();
        match sender.try_send(self.job(media)) {
            Ok(()) => {
                self.pictures_dropped.fetch_add(u64::from(dropped), Ordering::Relaxed);
                Ok(())
            }
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                // The keyframe is still owed.
                self.idr_wanted.fetch_or(job.idr == Idr::Force, Ordering::AcqRel);
                self.ticks_refused.fetch_add(1, Ordering::Relaxed);
                Err(Full)
            }
        }
    }

    /// Hands a tick to the encoder, waiting for room. For offline rendering.
    ///
    /// # Errors
    /// [`Full`] when the encoder has failed.
    pub fn push_wait(&self, media: TickMedia) -> Result<(), Full> {
        let Some(sender) = self.sender() else { return Err(Full) };
        // Waiting at the shorter queue bounds the pictures that are held.
        let stop = StopToken::new();
        while sender.len() >= ENCODER_QUEUE {
            if self.is_finished() || stop.wait(Duration::from_millis(1)) {
                return Err(Full);
            }
        }
        sender.send(self.job(media)).map_err(|_ended| Full)
    }

    /// Makes the next tick that is pushed a keyframe.
    pub fn request_idr(&self) {
        self.idr_wanted.store(true, Ordering::Release);
    }

    /// What was encoded, repeated, dropped, and how fast.
    pub fn stats(&self) -> OutputStats {
        let mut stats = self.counters.snapshot();
        stats.queued = self.sender().map_or(0, |sender| sender.len());
        stats.pictures_dropped = self.pictures_dropped.load(Ordering::Relaxed);
        stats.ticks_refused = self.ticks_refused.load(Ordering::Relaxed);
        self.fan_out.add_to(&mut stats);
        stats
    }

    /// Name given in its settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its streams are.
    pub fn header(&self) -> &StreamHeader {
        &self.header
    }

    /// Whether the encoder has ended (by itself only when it failed).
    pub fn is_finished(&self) -> bool {
        self.programme.is_finished()
    }

    /// Whether the thread before the encoder has shown no sign of life for [`crate::limits::OUTPUT_HUNG`].
    pub fn is_hung(&self) -> bool {
        self.programme.is_hung()
    }

    /// Adds a sink; it begins with a keyframe, which is asked for.
    ///
    /// # Errors
    /// When there are too many, the output has ended, or a thread is refused.
    pub fn add_sink(&self, sink: Sink) -> Result<SinkId, StartError> {
        let id = self.fan_out.add(sink)?;
        self.request_idr();
        Ok(id)
    }

    /// Adds a sink to a rendition instead of the programme itself.
    ///
    /// # Errors
    /// As [`Output::add_sink`], and when there is no such rendition.
    pub fn add_rendition_sink(&self, rendition: &str, sink: Sink) -> Result<SinkId, StartError> {
        let rungs = self.ladder.rungs();
        let rung = rungs.iter().find(|rung| rung.settings.name == rendition);
        let rung = rung.ok_or_else(|| StartError::NoRendition(rendition.to_owned()))?;
        let id = rung.fan_out.add(sink)?;
        self.request_idr();
        Ok(id)
    }

    /// Ends a sink properly, giving it `deadline`; false when there is no such sink.
    pub fn remove_sink(&self, id: SinkId, deadline: Duration) -> bool {
        self.fan_outs().iter().any(|fan_out| fan_out.remove(id, deadline))
    }

    /// Every sink of the programme itself and how it fares; those of renditions are in [`Output::renditions`].
    pub fn sinks(&self) -> Vec<SinkStats> {
        self.fan_out.stats()
    }

    /// A sink of the programme or of a rendition and how it fares; none when it is not there (any more).
    pub fn sink(&self, id: SinkId) -> Option<SinkStats> {
        self.fan_outs().iter().find_map(|fan_out| fan_out.stats_of(id))
    }

    /// Every rendition and how it fares.
    pub fn renditions(&self) -> Vec<RenditionStats> {
        let stats = |rung: &Arc<Rung>| RenditionStats {
            settings: rung.asked(),
            stats: rung.stats(),
            is_shed: rung.is_shed(),
            sinks: rung.fan_out.stats(),
        };
        self.ladder.rungs().iter().map(stats).collect()
    }

    /// Has the `count` smallest renditions change their picture at keyframes only, to spare a machine that is overloaded; the
    /// others, and all of them at 0, at every tick. No stream is interrupted.
    pub fn shed_renditions(&self, count: usize) {
        let mut rungs = self.ladder.rungs();
        let pixels = |rung: &Arc<Rung>| {
            let Size { width_px, height_px } = rung.settings.video.size;
            u64::from(width_px) * u64::from(height_px)
        };
        rungs.sort_by_key(pixels);
        for (index, rung) in rungs.iter().enumerate() {
            rung.show(if index < count { Pictures::OfKeyframes } else { Pictures::All });
        }
    }

    /// The sizes that renditions need pictures in.
    pub fn rendition_sizes(&self) -> Vec<Size> {
        let rungs = self.ladder.rungs();
        let made = rungs.iter().filter(|rung| !rung.is_shed());
        made.map(|rung| rung.settings.video.size).collect()
    }

    /// What a rendition's streams are.
    pub fn rendition_header(&self, rendition: &str) -> Option<StreamHeader> {
        let rungs = self.ladder.rungs();
        rungs.iter().find(|rung| rung.settings.name == rendition).map(|rung| rung.header.clone())
    }

    /// Makes these the renditions. Those that stay go on undisturbed with their sinks, at another bit rate if that is all that
    /// changes; the others end with their sinks,
    /// finished as far as [`DRAIN_TIMEOUT`] allows; new ones have no sinks and begin with a keyframe of all.
    ///
    /// # Errors
    /// When there are too many or an encoder is refused; then all is as it was.
    pub fn set_renditions(&self, wanted: &[RenditionSettings]) -> Result<(), StartError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_shifted = |rendition: &RenditionSettings| {
            let ahead_ns = self.header.rate.tick_ns(rendition.video.reorder_ticks().into());
            i64::try_from(ahead_ns).is_ok_and(|ns| ns <= self.header.shift_ns)
        };
        let fits = |(index, rendition): (usize, &RenditionSettings)| {
            rendition.video.rate == self.header.rate
                && self.header.gop_ticks.is_multiple_of(rendition.video.picture_ticks.max(1))
                && is_shifted(rendition)
                && wanted[..index].iter().all(|other| other.name != rendition.name)
        };
        if wanted.len() > MAX_RENDITIONS || !wanted.iter().enumerate().all(fits) {
            return Err(StartError::Renditions);
        }
        let old = self.ladder.rungs();
        let rungs: Result<Vec<Arc<Rung>>, StartError> = wanted
            .iter()
            .map(|settings| match old.iter().find(|rung| rung.can_be(settings)) {
                Some(rung) => Ok(Arc::clone(rung)),
                None => self.start_rung(settings),
            })
            .collect();
        let rungs = rungs?;
        let mut gone = self.ladder.replace(rungs.clone());
        gone.retain(|rung| !rungs.iter().any(|kept| Arc::ptr_eq(kept, rung)));
        if rungs.iter().any(|rung| !old.iter().any(|other| Arc::ptr_eq(other, rung))) {
            self.request_idr();
        }
        for (rung, settings) in rungs.iter().zip(wanted) {
            rung.header.video_bps.set(settings.video.bitrate_bps);
        }
        end_rungs(&gone, DRAIN_TIMEOUT);
        let fan_outs: Vec<_> = gone.iter().map(|rung| Arc::clone(&rung.fan_out)).collect();
        finish_all(&fan_outs, DRAIN_TIMEOUT);
        Ok(())
    }

    /// Delays what the public sees (players of the hub, HLS, relays) by so many ticks, at most [`MAX_DELAY_S`], in all renditions
    /// at the same tick. Files and recordings are not delayed.
    ///
    /// More than before: the next keyframe's picture stands, in silence, until enough is held; then it goes on from there.
    /// Less: they go on as they are until a keyframe is just as old as the new delay, and from it on; what was in between
    /// is left out. Times have no gap either way: what leaves bears the time of the tick at which it leaves. Black is sent
    /// until the delay that an output began with is over, and what is held when it ends is never sent.
    pub fn set_delay(&self, ticks: u64) {
        let longest = self.header.rate.tick_at((f64::from(MAX_DELAY_S) * 1e9) as u64);
        self.delay_ticks.store(ticks.min(longest), Ordering::Relaxed);
    }

    fn start_rung(&self, settings: &RenditionSettings) -> Result<Arc<Rung>, StartError> {
        Rung::start(&self.name, settings, (&self.header, &self.common)).map(Arc::new)
    }

    /// The programme's sinks, then those of the renditions.
    fn fan_outs(&self) -> Vec<Arc<FanOut>> {
        let rungs = self.ladder.rungs();
        let of_rungs = rungs.iter().map(|rung| Arc::clone(&rung.fan_out));
        std::iter::once(Arc::clone(&self.fan_out)).chain(of_rungs).collect()
    }

    /// Encodes what is queued, lets the sinks finish their files and ends everything within about `deadline`; what is
    /// not done by then is cut. Returns the last word on each sink of the programme itself.
    pub fn finish(&self, deadline: Duration) -> Vec<SinkStats> {
        let left = time_left(deadline);
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.programme.finish(&left);
        end_rungs(&self.ladder.rungs(), left());
        finish_all(&self.fan_outs(), left());
        self.fan_out.stats()
    }
}

/// Lets the encoders of renditions finish for `deadline` in all.
fn end_rungs(rungs: &[Arc<Rung>], deadline: Duration) {
    let left = time_left(deadline);
    rungs.iter().for_each(|rung| rung.close());
    rungs.iter().for_each(|rung| rung.finish(&left));
}

/// How much of a time is left, counted from now.
fn time_left(deadline: Duration) -> impl Fn() -> Duration {
    let clock = Clock::real();
    move || deadline.saturating_sub(Duration::from_nanos(clock.now_ns()))
}

/// Waits until a worker has ended or no time is `left`.
fn await_end(worker: &Worker, left: impl Fn() -> Duration) {
    let pause = StopToken::new();
    while !worker.is_finished() && !left().is_zero() {
        pause.wait(left().min(STOP_POLL / 10));
    }
}

/// Lets a worker end by itself while time is `left`; one that does not stop then either is left behind.
fn end_worker(worker: Worker, left: impl Fn() -> Duration) {
    await_end(&worker, left);
    worker.end_within(CUT_TIMEOUT);
}

impl Drop for Output {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
