//! The thread that gives a running caster its ticks: absolute deadlines, messages between ticks, what is published.
//!
//! Must not know what a tick does ([`super::run_tick`] does). Invariants: tick n begins at n / rate after the start or
//! as soon after as possible; ticks are never skipped, so output frames = elapsed × rate. A frame thread in the place of one
//! that broke goes on with the tick that is due; what was due before is filled in by the output. The world counts ticks from the
//! first that goes out: here the engine's are turned into those. Cues alone come in the engine's, since they may be set before.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{oneshot, watch};

use super::canvas::Canvas;
use super::run_tick::{Counts, Curtain, FrameLoop, Pace, Stages};
use crate::engine::{
    self, Applied, Command, CommandId, Event, Fault, Plan, Refusal, StandIn, Tally,
};
use crate::fault;
use crate::ids::InputKey;
use crate::input::Input;
use crate::limits;
use crate::luma::LumaStatus;
use crate::time::FrameRate;
use crate::worker::{Pulse, StopToken};

/// What the studio tells a frame thread.
pub(super) enum Message {
    /// A command for the engine, answered when it took effect or was refused.
    Command(Command, oneshot::Sender<Result<Applied, Refusal>>),
    /// A new input; its frames reach the engine from the next tick on.
    AddInput(Input),
    /// The input is gone, as soon as a transition no longer shows it.
    RemoveInput(InputKey),
    /// PVW is drawn for this canvas from now on, or no longer.
    ShowPvw(Option<Box<Canvas>>),
    /// What is made goes out from now on.
    Open,
}

/// What a frame thread tells the world, at most [`PUBLISH_PER_SECOND`] times a second and at every change of tally.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) tick: u64,
    /// When the engine's tick 0 began, on the process's clock, ns.
    pub(super) engine_started_ns: Option<u64>,
    /// When tick 0 began, on the same clock; none before it went out.
    pub(super) started_ns: Option<u64>,
    /// Which of the engine's ticks that is.
    pub(super) first_tick: Option<u64>,
    pub(super) applied_revision: u64,
    pub(super) tally: Tally,
    /// What PGM shows.
    pub(super) stand_in: StandIn,
    pub(super) stages: Stages,
    pub(super) counts: Counts,
    pub(super) inputs: Vec<InputReport>,
    /// How bright PGM is.
    pub(super) luma: Option<LumaStatus>,
}

/// An input as the engine and its worker see it.
#[derive(Clone, Debug)]
pub(super) struct InputReport {
    pub(super) input: InputKey,
    pub(super) status: crate::input::InputStatus,
    pub(super) stats: crate::engine::InputStats,
    /// What is wrong with it.
    pub(super) faults: Vec<Fault>,
    /// None while it is not shown.
    pub(super) luma: Option<LumaStatus>,
}

/// Reports a second.
const PUBLISH_PER_SECOND: u64 = 5;

/// Ends of the channels between the studio and a frame thread.
pub(super) struct Lines {
    pub(super) inbox: Receiver<Message>,
    pub(super) report: watch::Sender<Arc<Report>>,
    /// What the engine noticed that the studio does something about.
    pub(super) news: Sender<engine::Event>,
    /// Dropped inputs and canvases are sent here, so that joining their threads never costs a tick.
    pub(super) bin: Sender<Discarded>,
    /// Beats with each tick.
    pub(super) pulse: Pulse,
    /// When the engine's tick 0 began, on the process's clock, in the place of a frame thread that broke; else it begins now.
    pub(super) origin_ns: Option<u64>,
}

/// What a frame thread no longer needs.
#[expect(dead_code, reason = "held only to be dropped elsewhere")]
pub(super) enum Discarded {
    Input(Input),
    Canvas(Box<Canvas>),
}

/// Runs ticks until `stop`. Returns when the last tick was handed off.
pub(super) fn run(mut frames: FrameLoop, rate: FrameRate, lines: &Lines, stop: &StopToken) {
    let begun_ns = frames.clock.now_ns();
    let start_ns = lines.origin_ns.unwrap_or(begun_ns);
    let first = lines.origin_ns.map_or(0, |origin_ns| rate.tick_at(begun_ns - origin_ns) + 1);
    let place = format!("tick-{}", frames.pgm.output.name());
    let mut desk = Desk::default();
    let mut last_tally = Tally::default();
    let mut spell = Spell::default();
    for tick in first.. {
        let deadline_ns = start_ns + rate.tick_ns(tick);
        if !frames.clock.wait_until(deadline_ns, stop) {
            // All at once: they are joined one by one when they are dropped.
            frames.inputs.values().for_each(Input::begin_end);
            return;
        }
        for message in lines.inbox.try_iter() {
            desk.take_message(&mut frames, message, &lines.bin);
        }
        desk.remove_inputs(&mut frames, &lines.bin);
        let now_ns = frames.clock.now_ns();
        lines.pulse.beat();
        if fault::strikes(&place) {
            frames.pgm.break_device();
        }
        frames.stages.lateness.record_between(deadline_ns, now_ns);
        // One frame late is caught up by drawing; later than that the pictures would only pile up.
        let late = now_ns > start_ns + rate.tick_ns(tick + 2);
        let pace = spell.pace(if late { Pace::Late } else { Pace::OnTime });
        frames.curtain = frames.curtain.at(pace, Duration::from_nanos(now_ns - begun_ns));
        let mut plan = frames.run_tick(tick, pace);
        log_events(&plan);
        tell_news(&plan, lines);
        let period = u64::from(rate.num() / rate.den()).div_ceil(PUBLISH_PER_SECOND);
        let replies = std::mem::take(&mut plan.replies);
        // Who is answered finds in the report what the answer is about.
        if tick % period == 0 || plan.tally != last_tally || !replies.is_empty() {
            last_tally.clone_from(&plan.tally);
            let started_ns = frames.first_tick.map(|first| start_ns + rate.tick_ns(first));
            let engine_started_ns = Some(start_ns);
            let report = Report { engine_started_ns, started_ns, ..report(&frames, plan) };
            lines.report.send_replace(Arc::new(report));
        }
        frames.answer(replies);
    }
}

/// Ticks that are late in a row.
#[derive(Default)]
struct Spell(u32);

impl Spell {
    /// Late ones repeat the last picture, but never so many that it looks frozen.
    fn pace(&mut self, by_clock: Pace) -> Pace {
        let repeats = by_clock == Pace::Late && self.0 < limits::LATE_REPEATS;
        self.0 = if repeats { self.0 + 1 } else { 0 };
        if repeats { Pace::Late } else { Pace::OnTime }
    }
}

/// Carries out what the studio tells a frame thread.
#[derive(Default)]
struct Desk {
    /// Number of the next command.
    next: u64,
    /// Inputs that are to be removed.
    leaving: Vec<InputKey>,
}

impl Desk {
    fn command(&mut self, frames: &mut FrameLoop, command: Command) -> CommandId {
        let id = CommandId(self.next);
        self.next += 1;
        frames.engine.command(id, command);
        id
    }

    fn take_message(&mut self, frames: &mut FrameLoop, message: Message, bin: &Sender<Discarded>) {
        match message {
            Message::Command(command, reply) => {
                let id = self.command(frames, command);
                frames.waiting.insert(id, reply);
            }
            Message::AddInput(input) => {
                let (kind, held) = (input.kind(), input.is_held());
                self.command(frames, Command::AddInput { input: input.key(), kind, held });
                frames.inputs.insert(input.key(), input);
            }
            Message::RemoveInput(key) => self.leaving.push(key),
            Message::Open => frames.curtain = Curtain::Rising,
            Message::ShowPvw(canvas) => {
                let old = std::mem::replace(&mut frames.pvw, canvas.map(|canvas| *canvas));
                if let Some(old) = old {
                    let _ = bin.send(Discarded::Canvas(Box::new(old)));
                }
            }
        }
    }

    /// Removes the inputs that are to go and that no transition shows.
    fn remove_inputs(&mut self, frames: &mut FrameLoop, bin: &Sender<Discarded>) {
        let goes = |key: &mut InputKey| !frames.engine.is_leaving(*key);
        for key in self.leaving.extract_if(.., goes).collect::<Vec<_>>() {
            self.command(frames, Command::RemoveInput { input: key });
            if let Some(scalers) = &mut frames.late_scalers {
                scalers.forget(key);
            }
            if let Some(input) = frames.inputs.remove(&key) {
                // The bin outlives every frame thread.
                let _ = bin.send(Discarded::Input(input));
            }
        }
    }
}

fn report(frames: &FrameLoop, plan: Plan) -> Report {
    let inputs = frames
        .inputs
        .iter()
        .map(|(&key, input)| InputReport {
            input: key,
            status: input.status(),
            stats: frames.engine.input_stats(key),
            faults: frames.engine.faults(key),
            luma: frames.luma(key),
        })
        .collect();
    Report {
        tick: frames.first_tick.map_or(0, |first| plan.tick.saturating_sub(first)),
        engine_started_ns: None,
        started_ns: None,
        first_tick: frames.first_tick,
        applied_revision: frames.engine.revision(),
        tally: plan.tally,
        stand_in: plan.stand_in,
        stages: frames.stages.clone(),
        counts: frames.counts,
        inputs,
        luma: frames.pgm.lookout.scene(frames.clock.now_ns()),
    }
}

/// Hands on what the studio does something about. When it does not listen for long, news is lost.
fn tell_news(plan: &Plan, lines: &Lines) {
    for event in &plan.events {
        let is_news = matches!(
            event,
            Event::FaultBegan { .. } | Event::FaultEnded { .. } | Event::StoodIn { .. }
        );
        if is_news && lines.news.try_send(event.clone()).is_err() {
            tracing::warn!(?event, "the studio is busy and is not told");
        }
    }
}

fn log_events(plan: &Plan) {
    for event in &plan.events {
        match event {
            Event::Reanchored { input, jump_ns } => {
                tracing::info!(%input, jump_ms = jump_ns / 1_000_000, "timestamps jumped, timeline anchored anew");
            }
            Event::DroppedFrames { input, count } => {
                tracing::debug!(%input, count, "more frames than the buffer holds, oldest dropped");
            }
            Event::Began { input, part } => {
                tracing::debug!(%input, item = part.item, pass = part.pass, "play began");
            }
            Event::Synced { input, by_ns } => {
                tracing::info!(%input, by_ms = by_ns / 1_000_000, "joined the clock of its sync group");
            }
            Event::Unsynced { input, cause } => {
                tracing::warn!(%input, ?cause, "not on the clock of its sync group");
            }
            Event::DelayCut { input } => {
                tracing::warn!(%input, "the delay of its layer takes too much memory and is cut short");
            }
            Event::FaultBegan { input, fault } => {
                tracing::warn!(%input, fault = fault.as_str(), "something is wrong with a source");
            }
            Event::FaultEnded { input, fault, lasted_ns } => {
                let lasted_ms = lasted_ns / 1_000_000;
                tracing::info!(%input, fault = fault.as_str(), lasted_ms, "it is over");
            }
            Event::StoodIn { shows, by_itself, cause } => {
                tracing::info!(
                    ?shows,
                    by_itself,
                    ?cause,
                    tick = plan.tick,
                    "what stands in for PGM changed"
                );
            }
            Event::Cued { id, tick } => tracing::info!(id, tick, "cue switched PGM"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_stays_late_shows_a_picture_now_and_then() {
        let mut spell = Spell::default();
        let drawn = (0..60).filter(|_| spell.pace(Pace::Late) == Pace::OnTime).count();
        assert_eq!(drawn, 60 / (limits::LATE_REPEATS as usize + 1));
        assert!((0..60).all(|_| spell.pace(Pace::OnTime) == Pace::OnTime));
    }
}
