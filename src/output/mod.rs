//! Outputs: a worker per encoder, and the sinks behind it.
//!
//! Owns the queue in front of the encoder, the filling of ticks that never came, and the fan-out. Must not know scenes
//! or commands; gets pictures and samples, tick by tick. Invariants: what is encoded has one picture per tick and the samples of each tick, whatever
//! was dropped before; a picture is encoded once for all sinks; a sink that blocks, fails or panics hurts nobody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use crate::frame::{Picture, StereoSample};
use crate::limits::{ENCODER_QUEUE, ENCODER_QUEUE_TICKS, STOP_POLL};
use crate::media::encode::{AacEncoder, EncodeError, Idr, VideoEncoder, VideoSettings};
use crate::media::packet::StreamHeader;
use crate::time::Clock;
use crate::worker::{self, StopToken, Worker};

mod encode_loop;
mod fan_out;
mod sink;
mod stats;

pub use sink::{Admit, Overflow, Sink, SinkId, SinkState, SinkStats};
pub use stats::{EncodeTimes, OutputStats};

use encode_loop::EncodeLoop;
use fan_out::FanOut;
use stats::Counters;

/// What an output is asked for.
#[derive(Clone, Debug)]
pub struct ProgrammeSettings {
    /// Name in logs and of its threads.
    pub name: String,
    /// Video.
    pub video: VideoSettings,
    /// Audio bit rate, bit/s.
    pub audio_bps: u32,
}

/// All of one tick.
#[derive(Clone, Debug)]
pub struct TickMedia {
    /// Which tick. The first one pushed is time 0 of the output.
    pub tick: u64,
    /// NV12 picture of the output's size; `None` repeats the last one.
    pub picture: Option<Arc<Picture>>,
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
    encoder: Mutex<Option<Worker>>,
}

/// Starts an output: its encoders are open when this returns.
///
/// # Errors
/// When an encoder or a thread is refused.
pub fn start(settings: &ProgrammeSettings) -> Result<Output, StartError> {
    let video = VideoEncoder::open(&settings.video)?;
    let audio = AacEncoder::open(settings.audio_bps)?;
    let header = StreamHeader {
        size: settings.video.size,
        rate: settings.video.rate,
        avcc: video.avcc(),
        asc: audio.asc(),
        video_bps: settings.video.bitrate_bps,
        audio_bps: settings.audio_bps,
    };
    let (sender, receiver) = crossbeam_channel::bounded(ENCODER_QUEUE_TICKS);
    let fan_out = Arc::new(FanOut::new(settings.name.clone(), header.clone()));
    let counters = Arc::new(Counters::default());
    let encode_loop = EncodeLoop::new(video, audio, &settings.video);
    let parts = (Arc::clone(&fan_out), Arc::clone(&counters));
    let name = format!("enc-{}", settings.name);
    let encoder = worker::spawn(&name, StopToken::new(), move |stop| {
        let (fan_out, counters) = parts;
        // Told also when the loop panics, so that no sink waits for ever.
        let _end = EndOfPackets(Arc::clone(&fan_out));
        encode_loop.run(&receiver, &fan_out, &counters, &stop);
    })?;
    Ok(Output {
        name: settings.name.clone(),
        header,
        jobs: Mutex::new(Some(sender)),
        idr_wanted: AtomicBool::new(false),
        pictures_dropped: AtomicU64::new(0),
        ticks_refused: AtomicU64::new(0),
        counters,
        fan_out,
        encoder: Mutex::new(Some(encoder)),
    })
}

struct EndOfPackets(Arc<FanOut>);

impl Drop for EndOfPackets {
    fn drop(&mut self) {
        self.0.end();
    }
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
        let queued = self.sender().map_or(0, |sender| sender.len());
        OutputStats {
            queued,
            pictures_dropped: self.pictures_dropped.load(Ordering::Relaxed),
            ticks_refused: self.ticks_refused.load(Ordering::Relaxed),
            ..self.counters.snapshot()
        }
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
        let encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        encoder.as_ref().is_none_or(Worker::is_finished)
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

    /// Ends a sink properly, giving it `deadline`; false when there is no such sink.
    pub fn remove_sink(&self, id: SinkId, deadline: Duration) -> bool {
        self.fan_out.remove(id, deadline)
    }

    /// Every sink and how it fares.
    pub fn sinks(&self) -> Vec<SinkStats> {
        self.fan_out.stats()
    }

    /// Encodes what is queued, lets the sinks finish their files and ends everything within about `deadline`; what is
    /// not done by then is cut. Returns the last word on each sink.
    pub fn finish(&self, deadline: Duration) -> Vec<SinkStats> {
        let clock = Clock::real();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(encoder) = encoder {
            let left = || deadline.saturating_sub(Duration::from_nanos(clock.now_ns()));
            await_end(&encoder, left);
            // Joining stops it; by then it has ended or is out of time.
            encoder.join();
        }
        self.fan_out.finish(deadline.saturating_sub(Duration::from_nanos(clock.now_ns())));
        self.fan_out.stats()
    }
}

/// Waits until a worker has ended or no time is `left`.
fn await_end(worker: &Worker, left: impl Fn() -> Duration) {
    let pause = StopToken::new();
    while !worker.is_finished() && !left().is_zero() {
        pause.wait(left().min(STOP_POLL / 10));
    }
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
