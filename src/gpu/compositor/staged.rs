//! The path of hardware: shaders draw on a canvas in the GPU's memory, which is copied to where it is wanted: out, to be
//! read some ticks later, or to memory that other drivers may open.
//!
//! Must not know where steps come from. Invariant: nothing here waits.

use super::passes::{Painter, run};
use super::steps::{Painting, Paintings};
use crate::device_memory::Moment;
use crate::frame::{Color, Picture, PixelFormat, Range};
use crate::gpu::GpuError;
use crate::gpu::canvas::{CanvasShape, Lease, buffer, canvas_bind_group, canvas_buffer};
use crate::gpu::device::Gpu;
use crate::gpu::pass_times::{Pass, STAMP_BYTES, Stamps};
use crate::gpu::shaders::{BlendParams, LumaParams, ScaleParams};
use crate::gpu::sources::SourceKey;
use crate::ids::InputKey;
use crate::limits::MAX_MEASURED;
use crate::luma::{CELL_COUNT, CELLS};

/// What the path keeps between draws.
#[derive(Debug)]
pub(super) struct Staged {
    canvas: wgpu::Buffer,
    /// To draw on the canvas.
    output: wgpu::BindGroup,
    /// To draw two pictures that become one.
    scratch: [wgpu::BindGroup; 2],
    /// To read both of them.
    pair: wgpu::BindGroup,
    /// To read the canvas.
    whole: wgpu::BindGroup,
    renditions: Vec<Rendition>,
    /// How bright the canvas is, and new sources.
    grids: wgpu::Buffer,
    /// To write that.
    grids_output: wgpu::BindGroup,
    stamps: Option<Stamps>,
}

/// What is read back behind the pictures.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) grids: Vec<Measured>,
    pub(super) passes: Vec<Pass>,
    /// When other drivers may look at what stays on the device.
    pub(super) ready: Option<Moment>,
}

/// What a grid was measured of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// None for the canvas.
    pub(super) input: Option<InputKey>,
    pub(super) picture_id: u64,
    pub(super) format: PixelFormat,
    pub(super) range: Range,
}

/// Bytes of a grid, and of all that a draw may need.
pub(super) const GRID_BYTES: u64 = 4 * CELL_COUNT as u64;
pub(super) const GRIDS_BYTES: u64 = GRID_BYTES * (1 + MAX_MEASURED as u64);
/// Bytes behind the pictures: grids, then timestamps.
pub(super) const READINGS_BYTES: u64 = GRIDS_BYTES + STAMP_BYTES;

/// A smaller version of the canvas.
#[derive(Debug)]
struct Rendition {
    shape: CanvasShape,
    canvas: wgpu::Buffer,
    output: wgpu::BindGroup,
}

impl Staged {
    pub(super) fn new(gpu: &Gpu, shape: &CanvasShape) -> Staged {
        use wgpu::BufferUsages as U;
        let canvas = canvas_buffer(gpu, shape, U::STORAGE | U::COPY_SRC);
        let output = canvas_bind_group(gpu, &canvas);
        let pictures = [(); 2].map(|()| canvas_buffer(gpu, shape, U::STORAGE));
        let scratch = [0, 1].map(|i: usize| canvas_bind_group(gpu, &pictures[i]));
        let pair = reading(gpu, &gpu.shaders.pair_layout, &[&pictures[0], &pictures[1]]);
        let whole = reading(gpu, &gpu.shaders.whole_layout, &[&canvas]);
        let grids = buffer(gpu, GRIDS_BYTES, U::STORAGE | U::COPY_SRC);
        let grids_output = canvas_bind_group(gpu, &grids);
        let renditions = Vec::new();
        let stamps = Stamps::new(gpu);
        Staged { canvas, output, scratch, pair, whole, renditions, grids, grids_output, stamps }
    }

    /// Whether it makes just these renditions.
    pub(super) fn has_renditions(&self, shapes: &[CanvasShape]) -> bool {
        self.renditions.iter().map(|rendition| rendition.shape).eq(shapes.iter().copied())
    }

    /// Makes the canvases for these renditions.
    pub(super) fn set_renditions(&mut self, gpu: &Gpu, shapes: &[CanvasShape]) {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let rendition = |&shape: &CanvasShape| {
            let canvas = canvas_buffer(gpu, &shape, usage);
            let output = canvas_bind_group(gpu, &canvas);
            Rendition { shape, canvas, output }
        };
        self.renditions = shapes.iter().map(rendition).collect();
    }

    /// Draws and has the picture copied to `lease`, with grids of it and of what is new (as far as it was uploaded) behind.
    pub(super) fn draw(
        &mut self,
        painter: &Painter<'_>,
        lease: &mut Lease,
        (paintings, new): (&Paintings<'_>, &[(InputKey, &Picture)]),
    ) -> Result<Readings, GpuError> {
        let gpu = painter.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut passes = Vec::new();
        if let Some(blending) = &paintings.blending {
            let [first, second] = &self.scratch;
            self.paint(painter, &mut encoder, (Pass::First, first), &paintings.first);
            passes.push(Pass::First);
            if let Some(painting) = &paintings.second {
                self.paint(painter, &mut encoder, (Pass::Second, second), painting);
                passes.push(Pass::Second);
            }
            let params = BlendParams::new(&painter.shape, blending);
            let mut pass = painter.begin(&mut encoder, &self.output, self.around(Pass::Blend));
            passes.push(Pass::Blend);
            pass.set_pipeline(gpu.shaders.blend());
            pass.set_bind_group(1, &self.pair, &[]);
            run(&mut pass, &params.area, bytemuck::bytes_of(&params));
        } else {
            self.paint(painter, &mut encoder, (Pass::First, &self.output), &paintings.first);
            passes.push(Pass::First);
        }
        if !self.renditions.is_empty() {
            self.scale(painter, &mut encoder);
            passes.push(Pass::Scale);
        }
        let canvases = self.renditions.iter().map(|rendition| &rendition.canvas);
        let parts = lease.sheet()?.parts();
        for ((start, shape), canvas) in parts.zip(std::iter::once(&self.canvas).chain(canvases)) {
            let bytes = Some(shape.bytes().next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT));
            encoder.copy_buffer_to_buffer(canvas, 0, lease.pixels()?, start, bytes);
        }
        let grids = self.measure(painter, &mut encoder, new);
        passes.push(Pass::Measure);
        let (buffer, start) = lease.readings()?;
        let bytes = Some(grids.len() as u64 * GRID_BYTES);
        encoder.copy_buffer_to_buffer(&self.grids, 0, buffer, start, bytes);
        if let Some(stamps) = &self.stamps {
            stamps.copy(&mut encoder, &passes, (buffer, start + GRIDS_BYTES));
        } else {
            passes.clear();
        }
        let ready = lease.submit(gpu, encoder)?;
        let sheet = lease.sheet()?;
        match lease.is_lent() {
            true => gpu.traffic.read(0, READINGS_BYTES),
            false => gpu.traffic.read(sheet.count(), sheet.bytes()),
        }
        Ok(Readings { grids, passes, ready })
    }

    fn around(&self, pass: Pass) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        self.stamps.as_ref().map(|stamps| stamps.around(pass))
    }

    fn paint(
        &self,
        painter: &Painter<'_>,
        encoder: &mut wgpu::CommandEncoder,
        (pass, canvas): (Pass, &wgpu::BindGroup),
        Painting { ground, steps }: &Painting<'_>,
    ) {
        let bare = painter.bare(steps);
        let mut pass = painter.begin(encoder, canvas, self.around(pass));
        painter.fill(&mut pass, &bare, *ground);
        painter.dispatch(&mut pass, steps);
    }

    /// Measures the finished canvas, then these sources.
    fn measure(
        &self,
        painter: &Painter<'_>,
        encoder: &mut wgpu::CommandEncoder,
        new: &[(InputKey, &Picture)],
    ) -> Vec<Measured> {
        let [by_source, by_canvas] = painter.gpu.shaders.luma();
        let mut pass = painter.begin(encoder, &self.grids_output, self.around(Pass::Measure));
        let (format, range) = (PixelFormat::Nv12, Color::CANVAS.range);
        let mut measured = vec![Measured { input: None, picture_id: 0, format, range }];
        pass.set_pipeline(by_canvas);
        pass.set_bind_group(1, &self.whole, &[]);
        measure(&mut pass, LumaParams::new(painter.shape.size, 0, painter.shape.row_bytes / 4));
        pass.set_pipeline(by_source);
        for (input, picture) in new {
            let (format, range) = (picture.format(), picture.color().range);
            let (input, picture_id) = (*input, picture.id());
            let key = SourceKey { input, scaled_for: None };
            let Some(source) = painter.sources.showing(key, picture_id) else { continue };
            pass.set_bind_group(1, source, &[]);
            let full = if format.sample_bytes() == 1 { 255.0 } else { 65535.0 };
            let mut params = LumaParams::new(picture.size(), measured.len() * CELL_COUNT, 0);
            params.full = full;
            measure(&mut pass, params);
            measured.push(Measured { input: Some(input), picture_id, format, range });
        }
        measured
    }

    /// Makes the renditions of the finished canvas.
    fn scale(&self, painter: &Painter<'_>, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = painter.begin(encoder, &self.output, self.around(Pass::Scale));
        pass.set_pipeline(painter.gpu.shaders.scale());
        pass.set_bind_group(1, &self.whole, &[]);
        for rendition in &self.renditions {
            let params = ScaleParams::new(&rendition.shape, &painter.shape);
            pass.set_bind_group(0, &rendition.output, &[]);
            run(&mut pass, &params.area, bytemuck::bytes_of(&params));
        }
    }
}

fn measure(pass: &mut wgpu::ComputePass<'_>, params: LumaParams) {
    pass.set_immediates(0, bytemuck::bytes_of(&params));
    pass.dispatch_workgroups(CELLS[0], CELLS[1], 1);
}

/// Lets shaders read canvases.
fn reading(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    canvases: &[&wgpu::Buffer],
) -> wgpu::BindGroup {
    let entries: Vec<_> = (0..)
        .zip(canvases)
        .map(|(binding, canvas)| wgpu::BindGroupEntry {
            binding,
            resource: canvas.as_entire_binding(),
        })
        .collect();
    let label = Some("canvases to read");
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor { label, layout, entries: &entries })
}
