//! The path of software adapters: the CPU and the shaders take turns on a canvas that both see.
//!
//! Must not know where steps come from. Invariant: a canvas is handed out mapped.

use std::sync::Arc;

use super::Compositor;
use super::steps::Step;
use crate::frame::Picture;
use crate::gpu::GpuError;
use crate::gpu::canvas::Lease;
use crate::gpu::color::Code;
use crate::gpu::copy::MappedCanvas;

impl Compositor {
    /// The CPU and the shaders take turns on a shared canvas, as the order of the steps demands.
    pub(super) fn draw_shared(
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
}
