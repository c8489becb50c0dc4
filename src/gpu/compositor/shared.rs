//! The path of software adapters: the CPU and the shaders take turns on a canvas that both see.
//!
//! Must not know where steps come from. Invariant: a canvas is handed out when its work is done.

use super::passes::Painter;
use super::steps::{Painting, Paintings, Step};
use crate::gpu::GpuError;
use crate::gpu::canvas::{CanvasShape, Lease};
use crate::gpu::copy::MappedCanvas;
use crate::gpu::device::Gpu;

/// What the path keeps between draws.
#[derive(Debug)]
pub(super) struct Shared {
    /// Where two pictures are drawn that become one. Their memory is not touched before.
    scratch: [Lease; 2],
    /// A row of samples on its way.
    row: Vec<u8>,
}

impl Shared {
    pub(super) fn new(gpu: &Gpu, shape: CanvasShape) -> Result<Shared, GpuError> {
        let scratch = [Lease::scratch(gpu, shape)?, Lease::scratch(gpu, shape)?];
        Ok(Shared { scratch, row: Vec::new() })
    }

    /// Leaves the finished picture on the canvas, waited for.
    pub(super) fn draw(
        &mut self,
        painter: &Painter<'_>,
        lease: &mut Lease,
        paintings: &Paintings<'_>,
    ) -> Result<(), GpuError> {
        let row = &mut self.row;
        let Some(blending) = &paintings.blending else {
            return paint(painter, lease, row, &paintings.first);
        };
        let [first, second] = &mut self.scratch;
        paint(painter, first, row, &paintings.first)?;
        if let Some(painting) = &paintings.second {
            paint(painter, second, row, painting)?;
        } else {
            // Nothing of it is seen, but it is asked for all the same.
            second.wait(painter.gpu)?;
        }
        let mut canvas = mapped(painter, lease, row)?;
        blending.write(&mut canvas, first.bytes()?, second.bytes()?);
        Ok(())
    }
}

/// The CPU and the shaders take turns, as the order of the steps demands.
fn paint(
    painter: &Painter<'_>,
    lease: &mut Lease,
    row: &mut Vec<u8>,
    Painting { ground, steps }: &Painting<'_>,
) -> Result<(), GpuError> {
    let bare = painter.bare(steps);
    if !bare.is_empty() {
        let mut canvas = mapped(painter, lease, row)?;
        bare.into_iter().for_each(|rect| canvas.fill(rect, *ground));
    }
    for turn in steps.chunk_by(|a, b| a.is_copy() == b.is_copy()) {
        if turn[0].is_copy() {
            let mut canvas = mapped(painter, lease, row)?;
            for step in turn {
                if let Step::Copy { picture, rect } = step {
                    canvas.copy(picture, *rect);
                }
            }
        } else {
            let mut encoder = painter.gpu.device.create_command_encoder(&Default::default());
            if let Some(canvas) = lease.bind_group()? {
                let mut pass = painter.begin(&mut encoder, canvas, None);
                painter.dispatch(&mut pass, turn);
            }
            lease.submit(painter.gpu, encoder)?;
        }
    }
    lease.wait(painter.gpu)
}

fn mapped<'a>(
    painter: &Painter<'_>,
    lease: &'a mut Lease,
    row: &'a mut Vec<u8>,
) -> Result<MappedCanvas<'a>, GpuError> {
    Ok(MappedCanvas { shape: painter.shape, bytes: lease.bytes_mut(painter.gpu)?, row })
}
