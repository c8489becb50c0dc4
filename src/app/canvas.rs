//! A canvas and the encoder behind it: ticks in, pictures out in order, whatever becomes of the graphics device.
//!
//! Must not know how a tick comes about. Invariants: every tick handed in is handed on once, in order, with its picture or
//! without; nothing here waits, but offline. When the device is lost, the ticks repeat the last picture until another
//! compositor was made, off this thread.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::run_tick::{Flow, Pace};
use crate::engine::Plan;
use crate::frame::{StereoSample, VideoFrame};
use crate::gpu::{Composed, Compositor, GpuError, Supply};
use crate::ids::InputKey;
use crate::limits;
use crate::luma::{Lookout, LumaGrid};
use crate::output::{Output, TickMedia};
use crate::picture::DrawList;
use crate::worker::{self, StopToken, Worker};

/// Wait between looks at something that offline rendering waits for.
const OFFLINE_POLL: Duration = Duration::from_millis(1);

/// A canvas and the encoder behind it.
pub(super) struct Canvas {
    drawing: Drawing,
    /// Where the next device comes from; none where a lost one is the end.
    supply: Option<Arc<Supply>>,
    pub(super) output: Arc<Output>,
    /// Ticks whose picture is still on the GPU, in order.
    in_flight: VecDeque<InFlight>,
    /// How bright the scene and its sources are.
    pub(super) lookout: Lookout,
    /// Which picture of each source beneath standby was looked at last.
    beneath: BTreeMap<InputKey, u64>,
}

/// Whether there is something to draw with.
enum Drawing {
    With(Box<Compositor>),
    /// The device was lost, another compositor is on its way.
    Renewing {
        made: Receiver<Compositor>,
        error: GpuError,
        _worker: Worker,
    },
    /// The device was lost for good.
    Lost(GpuError),
}

struct InFlight {
    tick: u64,
    audio: Vec<StereoSample>,
    drawn: bool,
}

impl InFlight {
    /// With the picture that was drawn for it.
    fn show(self, composed: &Composed) -> TickMedia {
        TickMedia {
            picture: Some(composed.picture.clone()),
            renditions: composed.renditions.clone(),
            ..self.repeat()
        }
    }

    /// Without a picture of its own.
    fn repeat(self) -> TickMedia {
        TickMedia { tick: self.tick, picture: None, renditions: Vec::new(), audio: self.audio }
    }
}

impl Canvas {
    pub(super) fn new(
        mut compositor: Compositor,
        output: Arc<Output>,
        supply: Option<Arc<Supply>>,
    ) -> Canvas {
        compositor.deliver_to(output.device());
        Canvas {
            drawing: Drawing::With(Box::new(compositor)),
            supply,
            output,
            in_flight: VecDeque::new(),
            lookout: Lookout::default(),
            beneath: BTreeMap::new(),
        }
    }

    /// Why nothing will be drawn any more, if so.
    pub(super) fn lost(&self) -> Option<&GpuError> {
        match &self.drawing {
            Drawing::Lost(error) => Some(error),
            Drawing::With(_) | Drawing::Renewing { .. } => None,
        }
    }

    /// Ends the device under all who draw with it. For tests.
    pub(super) fn break_device(&self) {
        if let Some(Ok(gpu)) = self.supply.as_ref().map(|supply| supply.gpu()) {
            gpu.destroy();
        }
    }

    /// What there is to draw with.
    fn compositor(&mut self) -> Result<&mut Compositor, GpuError> {
        if let Drawing::Renewing { made, .. } = &self.drawing
            && let Ok(compositor) = made.try_recv()
        {
            tracing::info!("a new graphics device draws");
            self.drawing = Drawing::With(Box::new(compositor));
        }
        match &mut self.drawing {
            Drawing::With(compositor) => Ok(compositor),
            Drawing::Renewing { error, .. } | Drawing::Lost(error) => Err(error.clone()),
        }
    }

    /// Draws `list`, or notes that this tick repeats the last picture.
    pub(super) fn draw(
        &mut self,
        plan: &Plan,
        list: &DrawList,
        (pace, flow, now_ns): (Pace, Flow, u64),
    ) -> Result<(), GpuError> {
        let pause = StopToken::new();
        let mut result = Err(GpuError::NoCanvas);
        let covered = |input| plan.covered.iter().any(|(key, _)| *key == input);
        self.lookout.keep(|input| list.shows(input) || covered(input));
        let sizes = self.output.rendition_sizes();
        while pace == Pace::OnTime && matches!(result, Err(GpuError::NoCanvas)) {
            let device = self.output.device();
            result = self.compositor().and_then(|compositor| {
                compositor.deliver_to(device);
                if let Err(error) = compositor.set_renditions(&sizes) {
                    tracing::warn!(%error, "renditions are scaled by the CPU");
                }
                compositor.draw(plan.tick, list, &plan.frames)
            });
            if flow == Flow::Live {
                break;
            }
            if result.is_err() {
                // On hardware canvases come back only when somebody asks for what was drawn.
                self.hand_off(flow, now_ns)?;
                pause.wait(OFFLINE_POLL);
            }
        }
        if let Err(error) = &result {
            self.follow(error, flow);
        }
        let drawn = result.is_ok();
        self.in_flight.push_back(InFlight { tick: plan.tick, audio: plan.audio.clone(), drawn });
        result
    }

    /// Measures sources that are not drawn because something stands in for them.
    pub(super) fn look_beneath(&mut self, covered: &[(InputKey, VideoFrame)], now_ns: u64) {
        self.beneath.retain(|key, _| covered.iter().any(|(covered, _)| covered == key));
        for (key, frame) in covered {
            let id = frame.picture.id();
            if self.beneath.insert(*key, id) != Some(id) {
                self.lookout.see_source(now_ns, *key, &LumaGrid::of(&frame.picture));
            }
        }
    }

    /// Hands finished ticks to the encoder, in order; returns how many it had no room for.
    pub(super) fn hand_off(&mut self, flow: Flow, now_ns: u64) -> Result<u64, GpuError> {
        let mut dropped = 0;
        loop {
            // Ticks that repeat a picture need not wait for the GPU once they are at the front.
            while let Some(front) = self.in_flight.pop_front_if(|front| !front.drawn) {
                dropped += self.push(flow, front.repeat());
            }
            let Drawing::With(compositor) = &mut self.drawing else { return Ok(dropped) };
            let composed = match compositor.collect() {
                Ok(Some(composed)) => composed,
                Ok(None) => return Ok(dropped),
                Err(error) => {
                    self.give_up(flow);
                    self.follow(&error, flow);
                    return Err(error);
                }
            };
            if let Some(luma) = &composed.luma {
                self.lookout.see(now_ns, luma, &composed.sources);
            }
            dropped += self.hand_on(flow, &composed);
        }
    }

    /// Hands a finished picture to the encoder, after the ticks before it that have none; as [`Canvas::hand_off`].
    fn hand_on(&mut self, flow: Flow, composed: &Composed) -> u64 {
        let (tick, mut dropped) = (composed.tick, 0);
        while let Some(front) = self.in_flight.pop_front_if(|front| front.tick <= tick) {
            let media = if front.tick == tick { front.show(composed) } else { front.repeat() };
            dropped += self.push(flow, media);
        }
        dropped
    }

    /// The GPU will not finish what is in flight: those ticks repeat the last picture.
    fn give_up(&mut self, flow: Flow) {
        if let Drawing::With(compositor) = &mut self.drawing {
            compositor.abandon();
        }
        while let Some(front) = self.in_flight.pop_front() {
            self.push(flow, front.repeat());
        }
    }

    /// When an error is the loss of the device, has another compositor made; this one goes there too.
    fn follow(&mut self, error: &GpuError, flow: Flow) {
        if !matches!((error, &self.drawing), (GpuError::Lost(_), Drawing::With(_))) {
            return;
        }
        self.give_up(flow);
        let lost = mem::replace(&mut self.drawing, Drawing::Lost(error.clone()));
        let (Drawing::With(old), Some(supply)) = (lost, self.supply.clone()) else { return };
        let (sender, made) = bounded(1);
        let worker = worker::spawn("gpu-renewal", StopToken::new(), move |stop| {
            let made = loop {
                match supply.gpu().and_then(|gpu| old.renewed(gpu)) {
                    Ok(compositor) => break compositor,
                    Err(error) => tracing::error!(%error, "there is no other graphics device yet"),
                }
                if stop.wait(limits::GPU_RENEWAL_PAUSE) {
                    return;
                }
            };
            // First, for it takes a moment and the frame thread joins this one.
            drop(old);
            // Nobody waits for it when the show has ended meanwhile.
            let _ = sender.try_send(made);
        });
        match worker {
            Ok(worker) => {
                self.drawing = Drawing::Renewing { made, error: error.clone(), _worker: worker };
            }
            Err(error) => tracing::error!(%error, "nobody can make another compositor"),
        }
    }

    fn push(&self, flow: Flow, media: TickMedia) -> u64 {
        let pushed = match flow {
            Flow::Live => self.output.try_push(media),
            Flow::Offline => self.output.push_wait(media),
        };
        u64::from(pushed.is_err())
    }

    /// Waits for the pictures that are still on the GPU and hands them off: the end of an offline render.
    pub(super) fn finish(&mut self) -> Result<(), GpuError> {
        for composed in self.compositor()?.finish()? {
            self.hand_on(Flow::Offline, &composed);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests/device_loss.rs"]
mod tests;
