//! The frame's path, on one page: what happens at each tick of one running caster.
//!
//! Owns the order drain → decide → draw → hand off → publish and its timing. Must not know the catalog, the API or
//! the clock's deadlines ([`super::frame_thread`] paces it). Invariant: a tick waits for nobody; every tick hands
//! exactly its samples and one picture (new or repeated) to the output.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::engine::{Applied, CommandId, Engine, Plan, Refusal};
use crate::frame::StereoSample;
use crate::gpu::{Compositor, GpuError};
use crate::ids::InputKey;
use crate::input::{Delivery, Input};
use crate::metrics::Timing;
use crate::output::{Output, TickMedia};
use crate::picture::DrawList;
use crate::time::Clock;

/// Whether there is time to draw this tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Draw it.
    OnTime,
    /// It is already past its successor: repeat the last picture, count it.
    Late,
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

/// A canvas and the encoder behind it.
pub(super) struct Canvas {
    pub(super) compositor: Compositor,
    pub(super) output: Arc<Output>,
    /// Ticks whose picture is still on the GPU, in order.
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    tick: u64,
    audio: Vec<StereoSample>,
    drawn: bool,
}

impl Canvas {
    pub(super) fn new(compositor: Compositor, output: Arc<Output>) -> Canvas {
        Canvas { compositor, output, in_flight: VecDeque::new() }
    }

    /// Draws `list`, or notes that this tick repeats the last picture. Returns whether it was drawn.
    fn draw(&mut self, plan: &Plan, list: &DrawList, pace: Pace) -> Result<(), GpuError> {
        let result = match pace {
            Pace::OnTime => self.compositor.draw(plan.tick, list, &plan.frames),
            Pace::Late => Err(GpuError::NoCanvas),
        };
        let drawn = result.is_ok();
        self.in_flight.push_back(InFlight { tick: plan.tick, audio: plan.audio.clone(), drawn });
        result
    }

    /// Hands finished ticks to the encoder, in order; returns how many it had no room for.
    fn hand_off(&mut self) -> Result<u64, GpuError> {
        let mut dropped = 0;
        loop {
            // Ticks that repeat a picture need not wait for the GPU once they are at the front.
            while let Some(front) = self.in_flight.pop_front_if(|front| !front.drawn) {
                dropped += self.push(front.tick, None, front.audio);
            }
            let Some((tick, picture)) = self.compositor.collect()? else { return Ok(dropped) };
            while let Some(front) = self.in_flight.pop_front_if(|front| front.tick <= tick) {
                let picture = (front.tick == tick).then(|| picture.clone());
                dropped += self.push(front.tick, picture, front.audio);
            }
        }
    }

    fn push(
        &self,
        tick: u64,
        picture: Option<Arc<crate::frame::Picture>>,
        audio: Vec<StereoSample>,
    ) -> u64 {
        u64::from(self.output.try_push(TickMedia { tick, picture, audio }).is_err())
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
    pub(super) clock: Clock,
}

impl FrameLoop {
    /// One tick. The returned plan is what was drawn and heard.
    pub(super) fn run_tick(&mut self, tick: u64, pace: Pace) -> Plan {
        let start_ns = self.clock.now_ns();
        self.drain();
        let drained_ns = self.clock.now_ns();
        let plan = self.engine.tick(tick);
        self.answer(&plan);
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
            let wants = self.engine.wants(key);
            let engine = &mut self.engine;
            input.poll(wants.video, wants.audio, &mut |delivery| match delivery {
                Delivery::Video(frame) => engine.video(key, frame),
                Delivery::Audio(block) => engine.audio(key, block),
                Delivery::State(state) => engine.input_state(key, state),
            });
        }
    }

    /// Answers the commands that this tick settled, and tells the inputs which sizes they are shown at.
    fn answer(&mut self, plan: &Plan) {
        for (id, result) in &plan.replies {
            if let Some(reply) = self.waiting.remove(id) {
                // The caller may have gone away; the command took effect all the same.
                let _ = reply.send(result.clone());
            }
        }
        for (key, sizes) in &plan.wanted {
            if let Some(input) = self.inputs.get(key) {
                input.set_wanted(sizes);
            }
        }
    }

    fn draw(&mut self, plan: &Plan, pace: Pace) {
        if pace == Pace::Late {
            self.counts.late += 1;
        }
        if let Err(error) = self.pgm.draw(plan, &plan.pgm, pace)
            && pace == Pace::OnTime
        {
            self.counts.repeated += 1;
            if !matches!(error, GpuError::NoCanvas) {
                tracing::error!(%error, tick = plan.tick, "PGM was not drawn, its last picture is repeated");
            }
        }
        if let Some(pvw) = &mut self.pvw
            && let Err(error) = pvw.draw(plan, &plan.pvw, pace)
            && !matches!(error, GpuError::NoCanvas)
        {
            tracing::error!(%error, tick = plan.tick, "PVW was not drawn");
        }
    }

    fn hand_off(&mut self) {
        match self.pgm.hand_off() {
            Ok(dropped) => self.counts.dropped += dropped,
            Err(error) => tracing::error!(%error, "PGM's picture was lost on the GPU"),
        }
        if let Some(pvw) = &mut self.pvw
            && let Err(error) = pvw.hand_off()
        {
            tracing::error!(%error, "PVW's picture was lost on the GPU");
        }
    }
}
