//! The path of hardware: shaders draw on a canvas in the GPU's memory, which is copied out to be read some ticks later.
//!
//! Must not know where steps come from. Invariant: nothing here waits.

use super::passes::{Painter, run};
use super::steps::{Painting, Paintings};
use crate::gpu::GpuError;
use crate::gpu::canvas::{CanvasShape, Lease, Mapping, canvas_bind_group, canvas_buffer};
use crate::gpu::device::Gpu;
use crate::gpu::shaders::BlendParams;

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
}

impl Staged {
    pub(super) fn new(gpu: &Gpu, shape: &CanvasShape) -> Staged {
        use wgpu::BufferUsages as U;
        let canvas = canvas_buffer(gpu, shape, U::STORAGE | U::COPY_SRC);
        let output = canvas_bind_group(gpu, &canvas);
        let pictures = [(); 2].map(|()| canvas_buffer(gpu, shape, U::STORAGE));
        let scratch = [0, 1].map(|i: usize| canvas_bind_group(gpu, &pictures[i]));
        let entries = [0, 1].map(|i: usize| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: pictures[i].as_entire_binding(),
        });
        let pair = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("pair"),
            layout: &gpu.shaders.pair_layout,
            entries: &entries,
        });
        Staged { canvas, output, scratch, pair }
    }

    /// Draws and has the picture copied to `lease`; the answer comes when it can be read there.
    pub(super) fn draw(
        &mut self,
        painter: &Painter<'_>,
        lease: &mut Lease,
        paintings: &Paintings<'_>,
    ) -> Result<Mapping, GpuError> {
        lease.unmap();
        let gpu = painter.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        if let Some(blending) = &paintings.blending {
            let seen = [Some(&paintings.first), paintings.second.as_ref()];
            for (canvas, painting) in self.scratch.iter().zip(seen) {
                if let Some(painting) = painting {
                    paint(painter, &mut encoder, canvas, painting);
                }
            }
            let params = BlendParams::new(&painter.shape, blending);
            let mut pass = painter.begin(&mut encoder, &self.output);
            pass.set_pipeline(gpu.shaders.blend());
            pass.set_bind_group(1, &self.pair, &[]);
            run(&mut pass, &params.area, bytemuck::bytes_of(&params));
        } else {
            paint(painter, &mut encoder, &self.output, &paintings.first);
        }
        encoder.copy_buffer_to_buffer(&self.canvas, 0, lease.buffer()?, 0, None);
        gpu.queue.submit([encoder.finish()]);
        lease.start_mapping(wgpu::MapMode::Read)
    }
}

fn paint(
    painter: &Painter<'_>,
    encoder: &mut wgpu::CommandEncoder,
    canvas: &wgpu::BindGroup,
    Painting { ground, steps }: &Painting<'_>,
) {
    let bare = painter.bare(steps);
    let mut pass = painter.begin(encoder, canvas);
    painter.fill(&mut pass, &bare, *ground);
    painter.dispatch(&mut pass, steps);
}
