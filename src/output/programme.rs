//! The programme's encode loop, on a thread that another one follows when it breaks or hangs.
//!
//! Must not know how a tick is encoded. Invariants: whoever goes on does so in the same streams, from the first tick that was
//! not handed on; sinks and renditions end when the ticks do, or when nobody goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::encode_loop::{EncodeLoop, Lines, Progress};
use super::life::{Life, Parted};
use super::steady::SteadyEncoder;
use super::{Job, ProgrammeSettings, StartError, end_worker};
use crate::limits::{OUTPUT_HUNG, PROGRAMME_HUNG};
use crate::media::encode::{AacEncoder, Latency, VideoSettings};
use crate::media::packet::StreamHeader;
use crate::worker::{self, Pulse, StopToken, Worker};

/// The encoders of a programme.
pub(super) type Encoders = (SteadyEncoder, AacEncoder);

/// What the threads, one after the other, work on.
struct Line {
    name: String,
    video: VideoSettings,
    audio_bps: u32,
    header: StreamHeader,
    jobs: Receiver<Job>,
    lines: Lines,
    progress: Mutex<Progress>,
    /// Nobody goes on.
    has_ended: AtomicBool,
}

/// The loop at work.
pub(super) struct Programme {
    line: Arc<Line>,
    life: Mutex<Life>,
}

/// Ends what is behind the loop with it, unless another one takes its place.
struct Ending(Arc<Line>, StopToken);

impl Drop for Ending {
    fn drop(&mut self) {
        let Ending(line, stop) = self;
        let goes_on = std::thread::panicking() && line.is_live();
        if !goes_on && !stop.is_stopped() {
            line.end();
        }
    }
}

impl Line {
    /// Offline nothing may be missing: a failure is final.
    fn is_live(&self) -> bool {
        self.video.latency == Latency::Zero
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.lines.ladder.close();
        self.lines.outlet.fan_out.end();
    }

    fn reopen(&self, pulse: Pulse) -> Result<Encoders, StartError> {
        let samples = self.lock_progress().samples();
        let counters = Arc::clone(&self.lines.outlet.counters);
        let named = (&self.name[..], &self.video);
        let video = SteadyEncoder::resume(named, &self.header, counters, pulse)?;
        Ok((video, AacEncoder::resume(self.audio_bps, samples)?))
    }

    fn lock_progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread, with these encoders or those of its own.
    fn begin(
        self: &Arc<Line>,
        encoders: Option<Encoders>,
        pulse: Pulse,
    ) -> std::io::Result<Worker> {
        let line = Arc::clone(self);
        worker::spawn(&format!("enc-{}", self.name), StopToken::new(), move |stop| {
            let _ending = Ending(Arc::clone(&line), stop.clone());
            let encoders = encoders.map_or_else(|| line.reopen(pulse.clone()), Ok);
            match encoders {
                Ok(encoders) => EncodeLoop::new(encoders, &line.header, &line.progress).run(
                    &line.jobs,
                    &line.lines,
                    (&stop, &pulse),
                ),
                Err(error) => line.lines.outlet.fail(&error),
            }
        })
    }
}

impl Programme {
    /// Starts the loop.
    pub(super) fn start(
        settings: &ProgrammeSettings,
        (encoders, pulse): (Encoders, Pulse),
        header: &StreamHeader,
        (jobs, lines): (Receiver<Job>, Lines),
    ) -> std::io::Result<Programme> {
        let line = Arc::new(Line {
            name: settings.name.clone(),
            video: settings.video.clone(),
            audio_bps: settings.audio_bps,
            header: header.clone(),
            jobs,
            lines,
            progress: Mutex::new(Progress::black(header.size)),
            has_ended: AtomicBool::new(false),
        });
        let worker = line.begin(Some(encoders), pulse.clone())?;
        Ok(Programme { line, life: Mutex::new(Life::new(worker, pulse)) })
    }

    /// What its video was asked for at the beginning.
    pub(super) fn video(&self) -> &VideoSettings {
        &self.line.video
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another thread in the place of one that broke off or hangs.
    pub(super) fn look_after(&self) {
        if self.is_finished() || !self.line.is_live() {
            return;
        }
        let begin = |pulse| self.line.begin(None, pulse);
        let Some(parted) = self.life().look_after(PROGRAMME_HUNG, begin) else { return };
        let Parted { why, rest, is_given_up } = parted;
        tracing::error!(output = self.line.name, ?rest, is_given_up, "{why}");
        self.line.lines.outlet.count(|stats| {
            stats.last_fault = Some(why);
            stats.thread_restarts += u64::from(!is_given_up);
        });
        if is_given_up {
            // What is behind it is ended with the output: who hangs may hold a lock of it.
            self.line.lines.outlet.fail(&"its threads hang again and again");
            self.line.has_ended.store(true, Ordering::Release);
        }
    }

    /// Whether nobody goes on.
    pub(super) fn is_finished(&self) -> bool {
        self.line.has_ended.load(Ordering::Acquire)
    }

    /// Whether it has shown no sign of life for [`OUTPUT_HUNG`], and nobody has put another in its place.
    pub(super) fn is_hung(&self) -> bool {
        self.life().silence() > OUTPUT_HUNG
    }

    /// Lets it finish for as long as is `left`; what is behind it is ended by itself.
    pub(super) fn finish(&self, left: impl Fn() -> Duration) {
        let worker = self.life().take();
        if let Some(worker) = worker {
            end_worker(worker, left);
        }
        self.line.has_ended.store(true, Ordering::Release);
    }
}

impl std::fmt::Debug for Programme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Programme({})", self.line.name)
    }
}
