//! What is wrong with a show, and how it gets another frame thread under the outputs that it has.
//!
//! Must not know how often it may begin again. Invariant: players, recordings and relays of a show that is revived go on in
//! the same stream: the output fills in the ticks that nobody made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::resolve;
use super::begin::{Before, begin_ticking, canvas_before, connect};
use super::prepare::Ready;
use super::{EngineAnswer, OnAir, off_thread};
use crate::app::frame_thread::{Message, Report};
use crate::app::outputs::{self, internal};
use crate::app::run_tick::Curtain;
use crate::catalog::{Caster, Refused};
use crate::engine::{self, Command, Readiness, Refusal, SceneSpec, Vigil, Way};
use crate::ids::Bus;
use crate::input::InputEnd;
use crate::limits;

/// How often a command that is not answered looks whether there is still somebody to answer it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is wrong with a show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Fault {
    /// Its frame thread ended by itself: it panicked.
    NoTicks,
    /// Its frame thread has not begun a tick for [`limits::FRAMES_HUNG`].
    Hung,
    /// Its encoder was given up.
    NoOutput,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoTicks => write!(f, "the frame thread panicked"),
            Fault::Hung => write!(f, "the frame thread hangs"),
            Fault::NoOutput => write!(f, "the encoder was given up"),
        }
    }
}

impl OnAir {
    /// What is wrong, if anything.
    pub(in crate::app) fn fault(&self) -> Option<Fault> {
        match self {
            show if show.pgm.is_finished() || show.pgm.is_hung() => Some(Fault::NoOutput),
            show if show.frame_thread.is_finished() => Some(Fault::NoTicks),
            show if show.is_hung() => Some(Fault::Hung),
            _ => None,
        }
    }

    fn is_hung(&self) -> bool {
        self.pulse.silence() > limits::FRAMES_HUNG
    }

    /// Waits for the engine's answer for as long as there is a frame thread to give it.
    pub(super) async fn answered(
        &self,
        mut answer: EngineAnswer,
    ) -> Result<Result<engine::Applied, Refusal>, Refused> {
        loop {
            tokio::select! {
                done = &mut answer => return done.map_err(internal),
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if self.is_hung() {
                        return Err(internal(Fault::Hung));
                    }
                }
            }
        }
    }

    /// Gives the show another frame thread, with nothing on its scenes and its curtain closed.
    ///
    /// # Errors
    /// When there is none to be had, or the show was never on air: it must begin anew.
    pub(in crate::app) async fn revive(&mut self, caster: &Arc<Caster>) -> Result<(), Refused> {
        // One that broke at once has told nothing yet.
        if self.report.borrow().first_tick.is_some() {
            let report = self.report.borrow();
            let Report { engine_started_ns, first_tick, counts, .. } = **report;
            self.before = Before { origin_ns: engine_started_ns, first_tick, counts };
        }
        let before = self.before;
        if before.first_tick.is_none() {
            return Err(internal("it has not been on air yet"));
        }
        // PVW is made anew when somebody watches it; its old encoder goes with the frame thread.
        let (world, pgm, rate, pvw) =
            (self.world.clone(), self.pgm.clone(), self.rate, self.pvw.take());
        let ticking = off_thread(move || {
            if let Some(pvw) = pvw {
                pvw.finish(Duration::ZERO);
            }
            let held = outputs::pictures_held(&world, &pgm.video());
            let canvas = canvas_before(&world, pgm, held)?;
            begin_ticking(&world, (canvas, rate), Curtain::Closed, before)
        });
        let ticking = ticking.await??;
        self.messages = ticking.messages;
        self.report = ticking.report;
        self.news = ticking.news;
        self.pulse = ticking.pulse;
        let broken = std::mem::replace(&mut self.frame_thread, ticking.frame_thread);
        let bin = std::mem::replace(&mut self.bin, ticking.bin);
        off_thread(move || {
            // One that hangs keeps what it has, but for its sources; the process may live with that.
            broken.end_within(limits::STOP_POLL);
            bin.end_within(limits::STOP_POLL);
        })
        .await?;
        std::mem::take(&mut self.ends).values().for_each(InputEnd::end);
        self.inputs.clear();
        self.episodes.clear();
        self.marks.clear();
        self.synced.clear();
        self.cues.clear();
        (self.standby, self.stand_in) = (None, None);
        (self.vigil, self.due) = (Vigil::default(), Default::default());
        self.ready = Ready::default();
        connect(self, caster)
    }

    /// Opens the curtain on standby, or on a plain slate if there is none: what a show that breaks again and again shows.
    pub(in crate::app) async fn open_on_slate(&mut self) {
        let wait = limits::REOPEN_SOURCES_WAIT;
        let (spec, when) = match self.standby {
            Some(input) => {
                let shown = resolve::Shown { input, delay_ms: 0 };
                (resolve::whole(shown, Vec::new()), Readiness { force: false, wait })
            }
            None => {
                let picture = resolve::slate(&self.caster.config.name);
                let spec = SceneSpec { picture, ..SceneSpec::default() };
                (spec, Readiness { force: true, wait: Duration::ZERO })
            }
        };
        let set = Command::SetScene { bus: Bus::Pgm, spec, when, way: Way::CUT };
        if let Err(refused) = self.command(set).await {
            tracing::error!(caster = %self.caster.id, %refused, "no slate");
        }
        // A frame thread that is gone is noticed at the next look.
        let _ = self.messages.send(Message::Open);
    }
}
