//! One canvas' pictures: a draw list per tick in, a picture per tick out, in order.
//!
//! Two paths give the same pictures. *Shared* (software adapters): the CPU maps the canvas, copies what is opaque and
//! unscaled, lets shaders do the rest, and reads where they drew. *Staged* (hardware): shaders draw everything on one canvas
//! in the GPU's memory, which is copied to a read-back buffer and collected some ticks later; or, where pictures are wanted on
//! the device, to memory that other drivers may open, by software adapters too. Where two pictures become one, or a veil lies
//! over one, each is drawn on a canvas of its own first.
//!
//! Must not know ticks beyond their number. Invariant: `collect` gives exactly one picture for each successful `draw`, in the
//! order of the draws.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::GpuError;
use super::canvas::{CanvasShape, Lease, Ring, Sheet};
use super::device::Gpu;
use super::lent::{self, Delivery};
use super::overlays::Overlays;
use super::pass_times;
use super::sources::Sources;
use crate::device_memory::DeviceUuid;
use crate::frame::{Picture, Size, VideoFrame};
use crate::ids::InputKey;
use crate::luma::LumaGrid;
use crate::picture::DrawList;
use crate::shot::ScaleQuality;

mod passes;
mod shared;
mod staged;
mod steps;

use passes::Painter;
use shared::Shared;
use staged::{GRID_BYTES, GRIDS_BYTES, READINGS_BYTES, Readings, Staged};
use steps::{same_list, shown_pictures, unmeasured};

/// Draws the pictures of one canvas.
#[derive(Debug)]
pub struct Compositor {
    gpu: Arc<Gpu>,
    shape: CanvasShape,
    ring: Ring,
    /// How many of its pictures encoders hold for long.
    held: usize,
    path: Path,
    /// Where pictures are wanted, and where they are delivered.
    wanted: Delivery,
    delivery: Delivery,
    sources: Sources,
    overlays: Overlays,
    quality: ScaleQuality,
    watch: Watch,
    /// Renditions that there is no memory for.
    refused: Option<Vec<CanvasShape>>,
    /// Picture of each shown input that was measured last.
    measured: BTreeMap<InputKey, u64>,
    /// Number of draws so far; what is idle is measured in it.
    draws: u64,
    /// What the newest picture in flight shows.
    newest: Option<Shown>,
    in_flight: VecDeque<(u64, Pending)>,
    /// The picture collected last, for those that only repeat it.
    collected: Option<Composed>,
}

/// A finished picture.
#[derive(Clone, Debug)]
pub struct Composed {
    /// The tick that it was drawn for.
    pub tick: u64,
    /// The canvas.
    pub picture: Arc<Picture>,
    /// The same picture in the sizes that [`Compositor::set_renditions`] asked for when it was drawn.
    pub renditions: Vec<Arc<Picture>>,
    /// How bright the canvas is, unless nothing is measured.
    pub luma: Option<LumaGrid>,
    /// How bright the sources' pictures are that were shown for the first time.
    pub sources: Vec<(InputKey, LumaGrid)>,
}

impl Composed {
    /// With its grids made by the GPU.
    fn read(
        gpu: &Arc<Gpu>,
        (tick, lease): (u64, Lease),
        readings: &Readings,
    ) -> Result<Composed, GpuError> {
        let (pictures, bytes) = if lease.is_lent() {
            let bytes = Bytes::copy_from_slice(lease.bytes()?);
            (lent::pictures(gpu, lease, readings.ready.clone())?, bytes)
        } else {
            lease.into_pictures()?
        };
        let (grids, stamps) = bytes.split_at(GRIDS_BYTES as usize);
        pass_times::count(gpu, &readings.passes, stamps);
        let mut pictures = pictures.into_iter();
        let picture = pictures.next().ok_or(GpuError::NoCanvas)?;
        let mut grids =
            grids.chunks(GRID_BYTES as usize).zip(&readings.grids).map(|(bytes, of)| {
                let words = bytes.as_chunks::<4>().0.iter();
                let sums: Vec<u32> = words.map(|word| u32::from_le_bytes(*word)).collect();
                (of.input, LumaGrid::from_sums(&sums, of.format, of.range))
            });
        let (_, luma) = grids.next().ok_or(GpuError::NoCanvas)?;
        let sources = grids.filter_map(|(input, grid)| Some((input?, grid))).collect();
        Ok(Composed { tick, picture, renditions: pictures.collect(), luma: Some(luma), sources })
    }

    /// Without grids.
    fn bare(tick: u64, lease: Lease) -> Result<Composed, GpuError> {
        let picture = lease.into_pictures()?.0.pop().ok_or(GpuError::NoCanvas)?;
        let (renditions, sources) = (Vec::new(), Vec::new());
        Ok(Composed { tick, picture, renditions, luma: None, sources })
    }

    /// With its grids made here.
    fn measured(self, new: &[(InputKey, &Picture)]) -> Composed {
        let luma = Some(LumaGrid::of(&self.picture));
        let sources = new.iter().map(|(input, new)| (*input, LumaGrid::of(new))).collect();
        Composed { luma, sources, ..self }
    }
}

/// Whether anybody asks how bright pictures are.
#[derive(Clone, Copy, Debug)]
enum Watch {
    Somebody,
    Nobody,
}

/// How pictures reach the CPU.
#[derive(Debug)]
enum Path {
    Shared(Shared),
    Staged(Staged),
}

impl Path {
    fn of(gpu: &Gpu, shape: &CanvasShape, delivery: Delivery) -> Result<Path, GpuError> {
        Ok(match (gpu.is_software(), delivery) {
            (true, Delivery::Host) => Path::Shared(Shared::new(gpu, *shape)?),
            (true, Delivery::Device) => {
                // Where canvases are shared nobody else needs these.
                gpu.shaders.make_staged();
                Path::Staged(Staged::new(gpu, shape))
            }
            (false, _) => Path::Staged(Staged::new(gpu, shape)),
        })
    }
}

/// What finished pictures are copied to.
fn ring(gpu: &Gpu, sheet: Sheet, delivery: Delivery) -> Result<Ring, GpuError> {
    match delivery {
        Delivery::Host => Ring::readback(gpu, sheet),
        Delivery::Device => Ring::lent(gpu, sheet),
    }
}

/// A draw that was not collected yet.
#[derive(Debug)]
enum Pending {
    Ready(Composed),
    Reading(Lease, Readings),
    /// The same as the one before.
    Repeat,
}

#[derive(Debug)]
struct Shown {
    list: DrawList,
    pictures: Vec<u64>,
}

impl Compositor {
    /// A compositor with all its canvases.
    ///
    /// # Errors
    /// A side that is odd or out of range; no memory.
    pub fn new(gpu: Arc<Gpu>, canvas: Size) -> Result<Compositor, GpuError> {
        let shape = CanvasShape::new(canvas)?;
        let path = Path::of(&gpu, &shape, Delivery::Host)?;
        Compositor::on(gpu, shape, path)
    }

    /// The same compositor, magnifying like this.
    pub fn with_quality(self, quality: ScaleQuality) -> Compositor {
        Compositor { quality, ..self }
    }

    /// The same compositor, which measures no picture that the CPU would have to: nobody watches a render.
    pub fn unwatched(self) -> Compositor {
        Compositor { watch: Watch::Nobody, ..self }
    }

    /// The same compositor, whose pictures are held so many at a time, by encoders.
    ///
    /// # Errors
    /// No memory for so many.
    pub fn with_held(mut self, held: usize) -> Result<Compositor, GpuError> {
        self.held = held;
        self.ring = self.rings(self.shape, &self.path, self.delivery)?;
        Ok(self)
    }

    /// What pictures are drawn on and left in, without renditions.
    fn rings(&self, shape: CanvasShape, path: &Path, delivery: Delivery) -> Result<Ring, GpuError> {
        let sheet = Sheet::new(shape, &[], READINGS_BYTES).holding(self.held);
        match path {
            Path::Shared(_) => Ring::shared(&self.gpu, shape, self.held),
            Path::Staged(_) => ring(&self.gpu, sheet, delivery),
        }
    }

    fn on(gpu: Arc<Gpu>, shape: CanvasShape, path: Path) -> Result<Compositor, GpuError> {
        let ring = match path {
            Path::Shared(_) => Ring::shared(&gpu, shape, 0)?,
            Path::Staged(_) => Ring::readback(&gpu, Sheet::new(shape, &[], READINGS_BYTES))?,
        };
        gpu.check()?;
        Ok(Compositor {
            shape,
            ring,
            held: 0,
            path,
            wanted: Delivery::Host,
            delivery: Delivery::Host,
            sources: Sources::default(),
            overlays: Overlays::new(shape.size.height_px),
            quality: ScaleQuality::default(),
            watch: Watch::Somebody,
            refused: None,
            measured: BTreeMap::new(),
            draws: 0,
            newest: None,
            in_flight: VecDeque::new(),
            collected: None,
            gpu,
        })
    }

    /// Has pictures from the next draw on be where they are wanted, if that can be. Cheap when nothing changes.
    pub fn set_delivery(&mut self, wanted: Delivery) {
        if std::mem::replace(&mut self.wanted, wanted) == wanted {
            return;
        }
        if let Err(error) = self.deliver(wanted) {
            tracing::warn!(%error, "pictures are not left on the device");
        }
    }

    /// Has them be on this device, if it is the compositor's own, else on the host.
    pub fn deliver_to(&mut self, device: Option<DeviceUuid>) {
        let is_own = device.is_some() && device == self.gpu.exports_as();
        self.set_delivery(if is_own { Delivery::Device } else { Delivery::Host });
    }

    /// Where pictures are delivered; on the host where the device does not export its memory.
    pub fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// Makes what pictures are drawn on and left in, without renditions.
    fn deliver(&mut self, delivery: Delivery) -> Result<(), GpuError> {
        if delivery == self.delivery {
            return Ok(());
        }
        let shape = CanvasShape::of(self.shape.size, delivery)?;
        let path = Path::of(&self.gpu, &shape, delivery)?;
        self.ring = self.rings(shape, &path, delivery)?;
        (self.shape, self.path, self.delivery) = (shape, path, delivery);
        (self.newest, self.refused) = (None, None);
        Ok(())
    }

    /// Has each picture from the next draw on come with smaller versions of itself, as far as the GPU makes them in the same
    /// go: a software adapter has none to offer on the host, and sizes that are no smaller canvas are left out. Cheap when
    /// nothing changes.
    ///
    /// # Errors
    /// No memory for them. It is told once; pictures come as before, and these are not tried again before others were.
    pub fn set_renditions(&mut self, sizes: &[Size]) -> Result<(), GpuError> {
        let Path::Staged(staged) = &mut self.path else { return Ok(()) };
        let (whole, delivery) = (self.shape.size, self.delivery);
        let smaller = |size: &&Size| {
            (size.width_px <= whole.width_px && size.height_px <= whole.height_px)
                && **size != whole
        };
        let mut shapes = Vec::with_capacity(sizes.len());
        let shape = |size: &Size| CanvasShape::of(*size, delivery).ok();
        for shape in sizes.iter().filter(smaller).filter_map(shape) {
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        if !staged.has_renditions(&shapes) && self.refused.as_ref() != Some(&shapes) {
            let sheet = Sheet::new(self.shape, &shapes, READINGS_BYTES).holding(self.held);
            self.refused = Some(shapes.clone());
            self.ring = ring(&self.gpu, sheet, delivery)?;
            self.refused = None;
            staged.set_renditions(&self.gpu, &shapes);
            // What is drawn next comes with them, even if it shows the same.
            self.newest = None;
        }
        Ok(())
    }

    /// Draws the picture of `tick`. An input without a frame is left out. What is the same as in the draw before is not
    /// drawn again. Does not wait for anybody downstream.
    ///
    /// # Errors
    /// [`GpuError::NoCanvas`] when all canvases are still held downstream, [`GpuError::BadCanvas`] when the list is for
    /// another canvas, else what the driver says. Nothing is in flight for this tick then.
    pub fn draw(
        &mut self,
        tick: u64,
        list: &DrawList,
        frames: &[(InputKey, VideoFrame)],
    ) -> Result<(), GpuError> {
        self.gpu.check()?;
        if list.canvas != self.shape.size {
            return Err(GpuError::BadCanvas(list.canvas));
        }
        let pictures: Vec<u64> = shown_pictures(list, frames);
        if let Some(newest) = self.newest.as_ref()
            && newest.pictures == pictures
            && same_list(&newest.list, list)
        {
            self.in_flight.push_back((tick, Pending::Repeat));
            return Ok(());
        }
        // Until this draw succeeds there is nothing to repeat; and a picture that nobody else holds gives its canvas back.
        self.newest = None;
        if self.in_flight.is_empty() {
            self.collected = None;
        }
        self.draws += 1;
        self.sources.forget_idle(self.draws);
        self.overlays.forget_idle(self.draws);
        let mut lease = self.ring.take()?;
        let paintings = self.paintings(list, frames);
        self.sources.flush(&self.gpu);
        self.measured.retain(|input, _| list.shows(*input));
        let new = unmeasured(list, frames, &self.measured);
        let painter = Painter {
            gpu: &self.gpu,
            shape: self.shape,
            sources: &self.sources,
            quality: self.quality,
        };
        let pending = match &mut self.path {
            Path::Shared(shared) => {
                shared.draw(&painter, &mut lease, &paintings)?;
                let composed = Composed::bare(tick, lease)?;
                self.measured.extend(new.iter().map(|(input, picture)| (*input, picture.id())));
                Pending::Ready(match self.watch {
                    Watch::Somebody => composed.measured(&new),
                    Watch::Nobody => composed,
                })
            }
            Path::Staged(staged) => {
                let readings = staged.draw(&painter, &mut lease, (&paintings, &new))?;
                let ids = readings.grids.iter().filter_map(|of| Some((of.input?, of.picture_id)));
                self.measured.extend(ids);
                Pending::Reading(lease, readings)
            }
        };
        self.gpu.check()?;
        self.in_flight.push_back((tick, pending));
        self.newest = Some(Shown { list: list.clone(), pictures });
        Ok(())
    }

    /// The next finished picture with its tick, if it is there; does not wait. On a software adapter that is the one just
    /// drawn, on hardware one of some ticks ago.
    ///
    /// # Errors
    /// What the driver says; the picture asked for is lost, the next call gives the one after it.
    pub fn collect(&mut self) -> Result<Option<Composed>, GpuError> {
        if let Some((_, Pending::Reading(lease, _))) = self.in_flight.front_mut()
            && !lease.is_done(&self.gpu)?
        {
            return Ok(None);
        }
        let Some((tick, pending)) = self.in_flight.pop_front() else { return Ok(None) };
        let composed = match pending {
            Pending::Ready(composed) => composed,
            Pending::Repeat => match &self.collected {
                Some(composed) => Composed { tick, ..composed.clone() },
                None => return Err(GpuError::Device("the picture to repeat was lost".into())),
            },
            Pending::Reading(lease, readings) => {
                self.collected = None;
                Composed::read(&self.gpu, (tick, lease), &readings)?
            }
        };
        self.collected = Some(composed.clone());
        Ok(Some(composed))
    }

    /// An empty compositor like this one on another device.
    ///
    /// # Errors
    /// As [`Compositor::new`].
    pub fn renewed(&self, gpu: Arc<Gpu>) -> Result<Compositor, GpuError> {
        let compositor = Compositor::new(gpu, self.shape.size)?.with_quality(self.quality);
        let mut compositor = compositor.with_held(self.held)?;
        compositor.set_delivery(self.wanted);
        Ok(compositor)
    }

    /// Lets go of all that is in flight.
    pub fn abandon(&mut self) {
        self.in_flight.clear();
        self.newest = None;
    }

    /// Waits for all that is in flight and gives it out, in order.
    ///
    /// # Errors
    /// What the driver says; nothing is in flight afterwards.
    pub fn finish(&mut self) -> Result<Vec<Composed>, GpuError> {
        let mut finished = Vec::with_capacity(self.in_flight.len());
        while !self.in_flight.is_empty() {
            let next = self.gpu.wait().and_then(|()| self.collect());
            match next {
                Ok(next) => finished.extend(next),
                Err(e) => {
                    self.abandon();
                    return Err(e);
                }
            }
        }
        Ok(finished)
    }
}

#[cfg(test)]
#[path = "../tests/compositor.rs"]
mod tests;
