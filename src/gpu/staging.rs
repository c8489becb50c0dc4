//! The way of a source's pictures from the host to the device: memory that both see, written again and again.
//!
//! A driver's own staging memory is new for each picture, and its pages are touched for the first time each time. Must not know
//! what is done with pictures. Invariant: memory is written to only when no work on the device reads it any more.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::GpuError;
use super::device::Gpu;
use super::host_memory::HostBuffer;
use crate::frame::{Picture, PixelFormat, Size};
use crate::limits::CANVAS_RING;

/// What pictures of one format and size go through.
#[derive(Debug)]
pub(super) struct Staging {
    planes: Vec<Rows>,
    home: Sender<HostBuffer>,
    free: Receiver<HostBuffer>,
}

/// The rows of a plane.
#[derive(Clone, Copy, Debug)]
struct Rows {
    /// Samples of a row.
    bytes: usize,
    /// From row to row.
    pitch_bytes: u32,
    count: usize,
}

/// A picture on its way; its memory is written to again once this is dropped.
#[derive(Debug)]
pub(super) struct Staged {
    // Only `drop` takes it out.
    memory: Option<HostBuffer>,
    home: Sender<HostBuffer>,
}

impl Staging {
    pub(super) fn new(format: PixelFormat, size: Size) -> Staging {
        let planes = format.plane_shapes(size).into_iter().map(|(bytes, count)| {
            let pitch_bytes = (bytes as u32).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
            Rows { bytes, pitch_bytes, count }
        });
        // As many pictures may be on their way as canvases; what is more goes when it was copied.
        let (home, free) = bounded(CANVAS_RING);
        Staging { planes: planes.collect(), home, free }
    }

    /// From row to row of each plane; the planes follow each other.
    pub(super) fn pitches_bytes(&self) -> impl Iterator<Item = u32> {
        self.planes.iter().map(|rows| rows.pitch_bytes)
    }

    /// Puts a picture of the format and size into memory that nobody reads.
    pub(super) fn put(&self, gpu: &Gpu, picture: &Picture) -> Result<Staged, GpuError> {
        let length = |rows: &Rows| rows.pitch_bytes as usize * rows.count;
        let mut memory = match self.free.try_recv() {
            Ok(memory) => memory,
            Err(_) => {
                let bytes: usize = self.planes.iter().map(length).sum();
                HostBuffer::new(gpu, bytes as u64, wgpu::BufferUsages::COPY_SRC)?
            }
        };
        let mut rest = memory.bytes_mut();
        for (rows, plane) in self.planes.iter().zip(picture.planes()) {
            let (there, behind) = rest.split_at_mut(length(rows));
            rest = behind;
            let to = there.chunks_mut(rows.pitch_bytes as usize);
            let from = plane.data.chunks(plane.stride_bytes).filter(|row| row.len() >= rows.bytes);
            for (to, from) in to.zip(from) {
                to[..rows.bytes].copy_from_slice(&from[..rows.bytes]);
            }
        }
        Ok(Staged { memory: Some(memory), home: self.home.clone() })
    }
}

impl Staged {
    /// Where it is, from the first byte on.
    pub(super) fn buffer(&self) -> Option<&wgpu::Buffer> {
        self.memory.as_ref().map(HostBuffer::buffer)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            // Nobody is at home any more when the source is gone, and then so is the memory.
            let _ = self.home.try_send(memory);
        }
    }
}
