//! The path of hardware: shaders draw on a canvas in the GPU's memory, which is copied out to be read some ticks later.
//!
//! Must not know where steps come from. Invariant: nothing here waits.

use super::steps::Step;
use super::{Compositor, Path, Pending};
use crate::gpu::GpuError;
use crate::gpu::canvas::{CanvasShape, Lease, canvas_bind_group, canvas_buffer};
use crate::gpu::color::Code;
use crate::gpu::device::Gpu;

impl Compositor {
    pub(super) fn draw_staged(
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
}

impl Path {
    pub(super) fn staged(gpu: &Gpu, shape: &CanvasShape) -> Path {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let canvas = canvas_buffer(gpu, shape, usage);
        let bind_group = canvas_bind_group(gpu, &canvas);
        Path::Staged { canvas, bind_group }
    }
}
