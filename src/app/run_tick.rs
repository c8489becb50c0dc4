//! The frame's path, on one page: what happens at each tick of one running caster.
//!
//! Owns the order drain → decide → draw → hand off → publish and its timing. Must not know the catalog, the API or
//! the clock's deadlines ([`super::frame_thread`] paces it). Invariant: a tick waits for nobody; every tick hands
//! exactly its samples and one picture (new or repeated) to the output.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;

use super::canvas::Canvas;
use crate::engine::{Applied, CommandId, Engine, InputKind, Plan, Refusal, Sight};
use crate::frame::{Scaled, VideoFrame};
use crate::gpu::GpuError;
use crate::ids::InputKey;
use crate::input::{Delivery, Input, Take, Want};
use crate::limits;
use crate::luma::LumaStatus;
use crate::media::scale::Prescaler;
use crate::metrics::Timing;
use crate::shot::{ScaleQuality, Shot};
use crate::time::Clock;

/// Whether there is time to draw this tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Draw it.
    OnTime,
    /// It is already past its successor: repeat the last picture, count it.
    Late,
}

/// Whether what is made goes out. The first picture that does is the first that the world sees of a show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curtain {
    /// Ticks are decided and not drawn.
    Closed,
    /// The next tick that is drawn goes out.
    Rising,
    /// Every tick goes out.
    Open,
}

impl Curtain {
    /// How it is at a tick that begins so long after the first.
    pub(super) fn at(self, pace: Pace, since_start: Duration) -> Curtain {
        match (self, pace) {
            (Curtain::Rising, Pace::OnTime) => Curtain::Open,
            // A tick that is late would go out without a picture of its own.
            (Curtain::Closed | Curtain::Rising, _) if since_start < limits::REOPEN_LATEST => self,
            _ => Curtain::Open,
        }
    }
}

/// Whether anything may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// On air: nothing.
    Live,
    /// Offline: inputs that have not delivered yet, encoders that have no room. Nothing is dropped.
    Offline,
}

/// Time spent in each stage of a tick.
#[derive(Clone, Debug, Default)]
pub(super) struct Stages {
    pub(super) drain: Timing,
    pub(super) decide: Timing,
    pub(super) draw: Timing,
    pub(super) hand_off: Timing,
    /// How late a tick began.
    pub(super) lateness: Timing,
}

/// What the frame thread counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Ticks so far.
    pub(super) ticks: u64,
    /// Ticks that were not drawn because they came too late.
    pub(super) late: u64,
    /// Ticks whose picture was a repeat because every canvas was still in use or the GPU failed.
    pub(super) repeated: u64,
    /// Ticks that the encoder's queue had no room for.
    pub(super) dropped: u64,
}

/// Pictures scaled on the frame thread because their input has not begun to: the first ones after a change of layout.
/// The same code as on the input's thread, so the same pixels.
pub(super) struct LateScalers {
    pub(super) quality: ScaleQuality,
    each: BTreeMap<InputKey, LateScaler>,
}

impl LateScalers {
    pub(super) fn new(quality: ScaleQuality) -> LateScalers {
        LateScalers { quality, each: BTreeMap::new() }
    }

    fn fill(&mut self, input: InputKey, frame: &mut VideoFrame, wanted: &[Shot]) {
        let prescaler = || LateScaler { prescaler: Prescaler::new(self.quality), last: None };
        self.each.entry(input).or_insert_with(prescaler).fill(frame, wanted);
    }

    /// The input is gone.
    pub(super) fn forget(&mut self, input: InputKey) {
        self.each.remove(&input);
    }
}

struct LateScaler {
    prescaler: Prescaler,
    /// What was scaled last, for sources that show a picture for several ticks.
    last: Option<(u64, Vec<Scaled>)>,
}

impl LateScaler {
    fn fill(&mut self, frame: &mut VideoFrame, wanted: &[Shot]) {
        if wanted.iter().all(|shot| frame.ready(*shot).is_some()) {
            return;
        }
        if let Some((id, scaled)) = &self.last
            && *id == frame.picture.id()
        {
            frame.scaled.clone_from(scaled);
        }
        self.prescaler.fill(frame, wanted);
        self.last = Some((frame.picture.id(), frame.scaled.clone()));
    }
}

/// What the GPU last complained of: told once, not at every tick.
#[derive(Default)]
pub(super) struct Trouble(Option<GpuError>);

impl Trouble {
    fn tell(&mut self, error: &GpuError) {
        // A canvas that is missing is counted; it is the encoder that is slow.
        if !matches!(error, GpuError::NoCanvas) && self.0.as_ref() != Some(error) {
            tracing::error!(%error, "a picture was not drawn, the last one is repeated");
            self.0 = Some(error.clone());
        }
    }
}

/// Everything that a tick of one caster touches; owned by its frame thread.
pub(super) struct FrameLoop {
    pub(super) engine: Engine,
    pub(super) inputs: BTreeMap<InputKey, Input>,
    pub(super) pgm: Canvas,
    /// Drawn only while somebody watches it.
    pub(super) pvw: Option<Canvas>,
    /// Who waits for the answer to a command.
    pub(super) waiting: BTreeMap<CommandId, oneshot::Sender<Result<Applied, Refusal>>>,
    pub(super) stages: Stages,
    pub(super) counts: Counts,
    pub(super) trouble: Trouble,
    pub(super) clock: Clock,
    pub(super) flow: Flow,
    pub(super) curtain: Curtain,
    /// The engine's tick that is tick 0 of the show: the first that goes out; none before it did.
    pub(super) first_tick: Option<u64>,
    /// On a software adapter: where pictures are scaled that come without their shown size.
    pub(super) late_scalers: Option<LateScalers>,
}

impl FrameLoop {
    /// One tick. The returned plan is what was drawn and heard.
    pub(super) fn run_tick(&mut self, tick: u64, pace: Pace) -> Plan {
        let start_ns = self.clock.now_ns();
        self.drain();
        self.tell_sights();
        let drained_ns = self.clock.now_ns();
        let mut plan = self.engine.tick(tick);
        self.spread_wanted(&plan);
        self.pgm.look_beneath(&plan.covered, self.clock.now_ns());
        if self.curtain != Curtain::Open {
            return plan;
        }
        self.first_tick.get_or_insert(tick);
        self.scale_late(&mut plan);
        let decided_ns = self.clock.now_ns();
        self.draw(&plan, pace);
        let drawn_ns = self.clock.now_ns();
        self.hand_off();
        let end_ns = self.clock.now_ns();
        self.stages.drain.record_between(start_ns, drained_ns);
        self.stages.decide.record_between(drained_ns, decided_ns);
        self.stages.draw.record_between(decided_ns, drawn_ns);
        self.stages.hand_off.record_between(drawn_ns, end_ns);
        self.counts.ticks += 1;
        plan
    }

    /// Moves what has arrived from the inputs to the engine, as much as it wants.
    fn drain(&mut self) {
        for (&key, input) in &self.inputs {
            // What came before the engine knows it (its state, what it plays) waits until it does.
            if !self.engine.has(key) {
                continue;
            }
            loop {
                let wants = self.engine.wants(key);
                let want = Want { video: wants.video > 0, audio: wants.audio > 0 };
                let is_full = !want.video && !want.audio;
                if self.flow == Flow::Offline
                    && !is_full
                    && !input.wait_ready(want, limits::OFFLINE_INPUT_TIMEOUT)
                {
                    tracing::warn!(input = %key, "nothing came for long, rendering goes on without");
                }
                let (engine, mut count) = (&mut self.engine, 0);
                input.poll(Take { video: wants.video, audio: wants.audio }, &mut |delivery| {
                    count += 1;
                    match delivery {
                        Delivery::Video(frame) => engine.video(key, frame),
                        Delivery::Audio(block) => engine.audio(key, block),
                        Delivery::State(state) => engine.input_state(key, state),
                        Delivery::Part(part) => engine.input_part(key, part),
                        // Notices are logged where they are found.
                        Delivery::Notice(_) | Delivery::Eof => {}
                    }
                });
                if count == 0 || is_full || self.flow == Flow::Live {
                    break;
                }
            }
        }
    }

    /// Tells the engine how its live sources look, as far as that is measured.
    fn tell_sights(&mut self) {
        let ns = |seconds: f64| (seconds * 1e9) as u64;
        for (&key, input) in &self.inputs {
            if matches!(input.kind(), InputKind::Live { .. }) {
                let sight = self
                    .luma(key)
                    .map(|luma| Sight { black_ns: ns(luma.black_s), frozen_ns: ns(luma.frozen_s) });
                self.engine.sight(key, sight);
            }
        }
    }

    fn scale_late(&mut self, plan: &mut Plan) {
        let Some(scalers) = &mut self.late_scalers else { return };
        for (key, frame) in &mut plan.frames {
            if let Some((_, shots)) = plan.wanted.iter().find(|(wanted, _)| wanted == key) {
                scalers.fill(*key, frame, shots);
            }
        }
    }

    /// Tells the inputs what is shown of them.
    fn spread_wanted(&self, plan: &Plan) {
        for (key, shots) in &plan.wanted {
            if let Some(input) = self.inputs.get(key) {
                input.set_wanted(shots);
            }
        }
    }

    /// Answers the commands that a tick settled.
    pub(super) fn answer(&mut self, replies: Vec<(CommandId, Result<Applied, Refusal>)>) {
        for (id, result) in replies {
            if let Some(reply) = self.waiting.remove(&id) {
                let tick = |engine: u64| {
                    self.first_tick.map_or(0, |first_tick| engine.saturating_sub(first_tick))
                };
                let result = result.map(|done| Applied { tick: tick(done.tick), ..done });
                // The caller may have gone away; the command took effect all the same.
                let _ = reply.send(result);
            }
        }
    }

    fn draw(&mut self, plan: &Plan, pace: Pace) {
        if pace == Pace::Late {
            self.counts.late += 1;
        }
        let how = (pace, self.flow, self.clock.now_ns());
        if let Err(error) = self.pgm.draw(plan, &plan.pgm, how)
            && pace == Pace::OnTime
        {
            self.counts.repeated += 1;
            self.trouble.tell(&error);
        }
        if let Some(pvw) = &mut self.pvw
            && let Err(error) = pvw.draw(plan, &plan.pvw, how)
        {
            self.trouble.tell(&error);
        }
    }

    /// How bright an input is, where it is shown.
    pub(super) fn luma(&self, input: InputKey) -> Option<LumaStatus> {
        let now_ns = self.clock.now_ns();
        let on = |canvas: &Canvas| canvas.lookout.source(input, now_ns);
        on(&self.pgm).or_else(|| self.pvw.as_ref().and_then(on))
    }

    fn hand_off(&mut self) {
        let now_ns = self.clock.now_ns();
        match self.pgm.hand_off(self.flow, now_ns) {
            Ok(dropped) => self.counts.dropped += dropped,
            Err(error) => self.trouble.tell(&error),
        }
        if let Some(pvw) = &mut self.pvw
            && let Err(error) = pvw.hand_off(self.flow, now_ns)
        {
            self.trouble.tell(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curtain_opens_with_a_picture_or_when_it_is_time() {
        use Curtain::{Closed, Open, Rising};
        use Pace::{Late, OnTime};
        let latest_ms = limits::REOPEN_LATEST.as_millis() as u64;
        for (curtain, pace, since_start_ms, then) in [
            (Open, Late, 0, Open),
            (Closed, OnTime, latest_ms - 1, Closed),
            (Closed, Late, latest_ms, Open),
            (Rising, Late, latest_ms - 1, Rising),
            (Rising, OnTime, 0, Open),
            (Rising, Late, latest_ms, Open),
        ] {
            let at = curtain.at(pace, Duration::from_millis(since_start_ms));
            assert_eq!(at, then, "{curtain:?} {pace:?} after {since_start_ms} ms");
        }
        assert!(limits::REOPEN_SOURCES_WAIT < limits::REOPEN_LATEST);
    }
}
