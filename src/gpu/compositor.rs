//! One canvas' pictures: a draw list per tick in, a picture per tick out, in order.
//!
//! Two paths give the same pictures. *Shared* (software adapters): the CPU maps the canvas, copies what is opaque and
//! unscaled, lets shaders do the rest, and reads where they drew. *Staged* (hardware): shaders draw everything on one canvas
//! in the GPU's memory, which is copied to a read-back buffer and collected some ticks later.
//!
//! Must not know ticks beyond their number. Invariant: `collect` gives exactly one picture for each successful `draw`, in the
//! order of the draws.

use std::collections::VecDeque;
use std::sync::Arc;

use super::GpuError;
use super::canvas::{CanvasShape, Lease, Mapping, Ring, canvas_bind_group, canvas_buffer};
use super::color::{Code, canvas_from, code_of};
use super::copy::{MappedCanvas, uncovered};
use super::device::Gpu;
use super::overlays::{Art, Overlays};
use super::shaders::{Area, Conversion, FillParams, Filter, LayerParams, OverlayParams};
use super::sources::Sources;
use crate::frame::{Color, Picture, Size, VideoFrame};
use crate::ids::InputKey;
use crate::picture::{DrawList, DrawOp, Look, OverlayContent, Rect, cover_rect, overlay_rect};

/// Draws the pictures of one canvas.
#[derive(Debug)]
pub struct Compositor {
    gpu: Arc<Gpu>,
    shape: CanvasShape,
    ring: Ring,
    path: Path,
    sources: Sources,
    overlays: Overlays,
    /// Number of draws so far; what is idle is measured in it.
    draws: u64,
    /// What the newest picture in flight shows.
    newest: Option<Shown>,
    in_flight: VecDeque<(u64, Pending)>,
    /// The picture collected last, for those that only repeat it.
    collected: Option<Arc<Picture>>,
    chroma_row: Vec<u8>,
}

/// How pictures reach the CPU.
#[derive(Debug)]
enum Path {
    Shared,
    Staged { canvas: wgpu::Buffer, bind_group: wgpu::BindGroup },
}

/// A draw that was not collected yet.
#[derive(Debug)]
enum Pending {
    Ready(Arc<Picture>),
    Reading(Lease, Mapping),
    /// The same as the one before.
    Repeat,
}

#[derive(Debug)]
struct Shown {
    list: DrawList,
    pictures: Vec<u64>,
}

/// An operation with all it needs at hand.
enum Step<'a> {
    /// By the CPU.
    Copy { picture: &'a Picture, rect: Rect },
    /// By a shader.
    Layer { input: InputKey, picture: &'a Picture, rect: Rect },
    /// By a shader.
    Overlay { art: Arc<Art>, rect: Rect, opacity: f32 },
}

impl Step<'_> {
    fn is_copy(&self) -> bool {
        matches!(self, Step::Copy { .. })
    }

    /// The rectangle, if nothing under it can be seen.
    fn covers(&self) -> Option<Rect> {
        match self {
            Step::Copy { rect, .. } | Step::Layer { rect, .. } => Some(*rect),
            Step::Overlay { .. } => None,
        }
    }
}

impl Compositor {
    /// A compositor with all its canvases.
    ///
    /// # Errors
    /// A side that is odd or out of range; no memory.
    pub fn new(gpu: Arc<Gpu>, canvas: Size) -> Result<Compositor, GpuError> {
        let shape = CanvasShape::new(canvas)?;
        let path = if gpu.is_software() { Path::Shared } else { Path::staged(&gpu, &shape) };
        Compositor::on(gpu, shape, path)
    }

    fn on(gpu: Arc<Gpu>, shape: CanvasShape, path: Path) -> Result<Compositor, GpuError> {
        let ring = match path {
            Path::Shared => Ring::shared(&gpu, shape),
            Path::Staged { .. } => Ring::readback(&gpu, shape),
        };
        gpu.check()?;
        Ok(Compositor {
            shape,
            ring,
            path,
            sources: Sources::default(),
            overlays: Overlays::new(shape.size.height_px),
            draws: 0,
            newest: None,
            in_flight: VecDeque::new(),
            collected: None,
            chroma_row: Vec::new(),
            gpu,
        })
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
        let lease = self.ring.take()?;
        let steps = self.resolve(list, frames);
        let drawn = (code_of(list.ground_rgb), &steps[..]);
        let pending = match self.path {
            Path::Shared => Pending::Ready(self.draw_shared(lease, drawn)?),
            Path::Staged { .. } => self.draw_staged(lease, drawn)?,
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
    pub fn collect(&mut self) -> Result<Option<(u64, Arc<Picture>)>, GpuError> {
        if let Some((_, Pending::Reading(_, mapping))) = self.in_flight.front() {
            if mapping.is_empty() {
                self.gpu.turn()?;
            }
            if mapping.is_empty() {
                return Ok(None);
            }
        }
        let Some((tick, pending)) = self.in_flight.pop_front() else { return Ok(None) };
        let picture = match pending {
            Pending::Ready(picture) => picture,
            Pending::Repeat => match &self.collected {
                Some(picture) => Arc::clone(picture),
                None => return Err(GpuError::Device("the picture to repeat was lost".into())),
            },
            Pending::Reading(lease, mapping) => {
                self.collected = None;
                match mapping.try_recv() {
                    Ok(Ok(())) => self.ring.picture(lease)?,
                    Ok(Err(e)) => return Err(GpuError::Device(e.to_string())),
                    Err(e) => return Err(GpuError::Device(e.to_string())),
                }
            }
        };
        self.collected = Some(Arc::clone(&picture));
        Ok(Some((tick, picture)))
    }

    /// Waits for all that is in flight and gives it out, in order.
    ///
    /// # Errors
    /// What the driver says; nothing is in flight afterwards.
    pub fn finish(&mut self) -> Result<Vec<(u64, Arc<Picture>)>, GpuError> {
        let mut finished = Vec::with_capacity(self.in_flight.len());
        while !self.in_flight.is_empty() {
            let next = self.gpu.wait().and_then(|()| self.collect());
            match next {
                Ok(next) => finished.extend(next),
                Err(e) => {
                    self.in_flight.clear();
                    self.newest = None;
                    return Err(e);
                }
            }
        }
        Ok(finished)
    }

    /// Finds frames and overlay pixels for the operations, uploading what is not on the GPU yet.
    fn resolve<'a>(
        &mut self,
        list: &DrawList,
        frames: &'a [(InputKey, VideoFrame)],
    ) -> Vec<Step<'a>> {
        let mut steps = Vec::with_capacity(list.ops.len());
        for op in &list.ops {
            match op {
                DrawOp::Layer { input, rect, look } => {
                    if self.shape.clip(*rect).is_some()
                        && let Some(frame) = frame_of(frames, *input)
                    {
                        steps.push(self.layer_step(*input, frame, (*rect, look)));
                    }
                }
                DrawOp::Overlay(overlay) => {
                    let rect = |native| overlay_rect(&overlay.placement, native, list.canvas);
                    steps.extend(self.overlay_step(&overlay.content, &rect, overlay.opacity));
                }
                DrawOp::Cover(content) => {
                    let rect = |native| cover_rect(native, list.canvas);
                    steps.extend(self.overlay_step(content, &rect, 1.0));
                }
            }
        }
        steps
    }

    fn layer_step<'a>(
        &mut self,
        input: InputKey,
        frame: &'a VideoFrame,
        (rect, look): (Rect, &Look),
    ) -> Step<'a> {
        if matches!(self.path, Path::Shared)
            && let Some(picture) = frame.ready(look.shot(rect))
        {
            return Step::Copy { picture, rect };
        }
        self.sources.upload(&self.gpu, input, &frame.picture, self.draws);
        Step::Layer { input, picture: &frame.picture, rect }
    }

    fn overlay_step<'a>(
        &mut self,
        content: &Arc<OverlayContent>,
        rect: &dyn Fn(Size) -> Rect,
        opacity: f32,
    ) -> Option<Step<'a>> {
        if opacity <= 0.0 {
            return None;
        }
        let art = self.overlays.art(&self.gpu, content, self.draws)?;
        let rect = rect(art.size);
        self.shape.clip(rect)?;
        Some(Step::Overlay { art, rect, opacity })
    }

    /// The CPU and the shaders take turns on a shared canvas, as the order of the steps demands.
    fn draw_shared(
        &mut self,
        mut lease: Lease,
        (ground, steps): (Code, &[Step]),
    ) -> Result<Arc<Picture>, GpuError> {
        let bare = self.bare(steps);
        if !bare.is_empty() {
            let mut canvas = self.mapped(&mut lease)?;
            bare.into_iter().for_each(|rect| canvas.fill(rect, ground));
        }
        for turn in steps.chunk_by(|a, b| a.is_copy() == b.is_copy()) {
            if turn[0].is_copy() {
                let mut canvas = self.mapped(&mut lease)?;
                for step in turn {
                    if let Step::Copy { picture, rect } = step {
                        canvas.copy(picture, *rect);
                    }
                }
            } else {
                lease.unmap();
                let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                if let Some(canvas) = lease.bind_group()? {
                    let mut pass = self.begin(&mut encoder, canvas);
                    self.dispatch(&mut pass, turn);
                }
                lease.submitted(self.gpu.queue.submit([encoder.finish()]));
            }
        }
        lease.map(&self.gpu)?;
        self.ring.picture(lease)
    }

    fn mapped(&mut self, lease: &mut Lease) -> Result<MappedCanvas<'_>, GpuError> {
        lease.map(&self.gpu)?;
        let bytes = lease.buffer()?.get_mapped_range_mut(..);
        let bytes = bytes.map_err(|e| GpuError::Device(e.to_string()))?;
        Ok(MappedCanvas { shape: self.shape, bytes, row: &mut self.chroma_row })
    }

    fn draw_staged(
        &mut self,
        mut lease: Lease,
        (ground, steps): (Code, &[Step]),
    ) -> Result<Pending, GpuError> {
        lease.unmap();
        let bare = self.bare(steps);
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        if let Path::Staged { canvas, bind_group } = &self.path {
            let mut pass = self.begin(&mut encoder, bind_group);
            self.fill(&mut pass, &bare, ground);
            self.dispatch(&mut pass, steps);
            drop(pass);
            encoder.copy_buffer_to_buffer(canvas, 0, lease.buffer()?, 0, None);
        }
        self.gpu.queue.submit([encoder.finish()]);
        let mapping = lease.start_mapping(wgpu::MapMode::Read)?;
        Ok(Pending::Reading(lease, mapping))
    }

    /// Where the ground must be filled in because nothing opaque is drawn there.
    fn bare(&self, steps: &[Step]) -> Vec<Rect> {
        let covers: Vec<Rect> = steps.iter().filter_map(Step::covers).collect();
        uncovered(&self.shape, &covers)
    }

    fn begin<'e>(
        &self,
        encoder: &'e mut wgpu::CommandEncoder,
        canvas: &wgpu::BindGroup,
    ) -> wgpu::ComputePass<'e> {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_bind_group(0, canvas, &[]);
        pass
    }

    fn fill(&self, pass: &mut wgpu::ComputePass<'_>, bare: &[Rect], ground: Code) {
        for area in bare.iter().filter_map(|rect| Area::of(&self.shape, *rect)) {
            pass.set_pipeline(&self.gpu.shaders.fill);
            let params = FillParams::new(area, ground);
            run(pass, &area, bytemuck::bytes_of(&params));
        }
    }

    fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Copy { .. } => {}
                Step::Layer { input, picture, rect } => {
                    self.dispatch_layer(pass, *input, picture, *rect);
                }
                Step::Overlay { art, rect, opacity } => {
                    self.dispatch_overlay(pass, art, *rect, *opacity);
                }
            }
        }
    }

    fn dispatch_layer(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        input: InputKey,
        picture: &Picture,
        rect: Rect,
    ) {
        let Some(area) = Area::of(&self.shape, rect) else { return };
        let Some(source) = self.sources.bind_group(input) else { return };
        let source_per_canvas = ratio(picture.size(), rect);
        let conversion =
            if picture.color() == Color::CANVAS { Conversion::Keep } else { Conversion::Convert };
        let filter = Filter::of(source_per_canvas);
        pass.set_pipeline(self.gpu.shaders.layer(filter, picture.format(), conversion));
        pass.set_bind_group(1, source, &[]);
        let params = LayerParams {
            area,
            rect_origin_px: [rect.x_px, rect.y_px],
            source_per_canvas,
            canvas_from_source: canvas_from(picture.color()),
        };
        run(pass, &area, bytemuck::bytes_of(&params));
    }

    fn dispatch_overlay(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        art: &Art,
        rect: Rect,
        opacity: f32,
    ) {
        let Some(area) = Area::of(&self.shape, rect) else { return };
        let texels_per_pixel = ratio(art.size, rect);
        pass.set_pipeline(self.gpu.shaders.overlay(Filter::of(texels_per_pixel)));
        pass.set_bind_group(1, &art.bind_group, &[]);
        let params = OverlayParams {
            area,
            rect_origin_px: [rect.x_px, rect.y_px],
            texels_per_pixel,
            opacity,
            _pad: 0.0,
        };
        run(pass, &area, bytemuck::bytes_of(&params));
    }
}

impl Path {
    fn staged(gpu: &Gpu, shape: &CanvasShape) -> Path {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let canvas = canvas_buffer(gpu, shape, usage);
        let bind_group = canvas_bind_group(gpu, &canvas);
        Path::Staged { canvas, bind_group }
    }
}

fn run(pass: &mut wgpu::ComputePass<'_>, area: &Area, params: &[u8]) {
    let [x, y] = area.groups();
    pass.set_immediates(0, params);
    pass.dispatch_workgroups(x, y, 1);
}

/// Source pixels per canvas pixel.
fn ratio(source: Size, rect: Rect) -> [f32; 2] {
    let axis = |source: u32, canvas: u32| source as f32 / canvas as f32;
    [axis(source.width_px, rect.width_px), axis(source.height_px, rect.height_px)]
}

fn frame_of(frames: &[(InputKey, VideoFrame)], input: InputKey) -> Option<&VideoFrame> {
    frames.iter().find(|(key, _)| *key == input).map(|(_, frame)| frame)
}

/// Ids of the pictures that a list shows, in its order; 0 where there is none.
fn shown_pictures(list: &DrawList, frames: &[(InputKey, VideoFrame)]) -> Vec<u64> {
    let id = |input| frame_of(frames, input).map_or(0, |frame| frame.picture.id());
    let layers = list.all_ops().filter_map(|op| match op {
        DrawOp::Layer { input, .. } => Some(*input),
        DrawOp::Overlay(_) | DrawOp::Cover(_) => None,
    });
    layers.map(id).collect()
}

/// Whether two lists show the same. Contents are compared by address: equal ones elsewhere are drawn again, no harm.
fn same_list(a: &DrawList, b: &DrawList) -> bool {
    let frame = |list: &DrawList| {
        let over = list.over.as_ref().map(|over| (over.ground_rgb, over.blend, over.ops.len()));
        (list.canvas, list.ground_rgb, list.ops.len(), over, list.veil)
    };
    frame(a) == frame(b) && a.all_ops().zip(b.all_ops()).all(same_op)
}

fn same_op((a, b): (&DrawOp, &DrawOp)) -> bool {
    match (a, b) {
        (DrawOp::Overlay(a), DrawOp::Overlay(b)) => {
            Arc::ptr_eq(&a.content, &b.content)
                && (a.placement, a.opacity) == (b.placement, b.opacity)
        }
        (DrawOp::Cover(a), DrawOp::Cover(b)) => Arc::ptr_eq(a, b),
        (a, b) => a == b,
    }
}

#[cfg(test)]
#[path = "tests/compositor.rs"]
mod tests;
