//! Buffers that go round, and pictures being made in them.
//!
//! Must not know who fills them. Invariant: in steady state (same sizes, frame after frame) nothing is allocated but the
//! small [`Picture`] itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::frame::{Color, Picture, PixelFormat, Plane, Size};

/// Plane rows begin at multiples of this, which suits every SIMD width.
const ROW_ALIGN: usize = 64;

/// Buffers kept for reuse per pool; more are freed.
const POOL_BUFFERS: usize = 32;
/// How often it is looked whether fewer would do: after so many were taken.
const TRIM_PERIOD: usize = 256;
/// How many of those that lay idle all the while are kept.
const IDLE_BUFFERS: usize = 2;

#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ROW_ALIGN]);

/// Buffers of one size that come back when the last `Bytes` over them is dropped. What was needed once, but not lately, is
/// freed.
#[derive(Clone, Debug, Default)]
pub(super) struct BufferPool(Arc<Mutex<Shelf>>);

#[derive(Debug, Default)]
struct Shelf {
    buffers: Vec<Vec<Block>>,
    /// Taken since it was last looked whether fewer would do, and the fewest that lay here meanwhile.
    taken: usize,
    idle: usize,
}

impl Shelf {
    fn take(&mut self) -> Option<Vec<Block>> {
        let buffer = self.buffers.pop();
        self.idle = self.idle.min(self.buffers.len());
        self.taken += 1;
        if self.taken == TRIM_PERIOD {
            self.buffers.drain(..self.idle.saturating_sub(IDLE_BUFFERS));
            (self.taken, self.idle) = (0, self.buffers.len());
        }
        buffer
    }
}

/// A buffer on loan.
pub(super) struct PooledBuffer {
    blocks: Vec<Block>,
    pool: BufferPool,
}

impl BufferPool {
    /// A buffer of at least `len` bytes with arbitrary content.
    pub(super) fn take(&self, len: usize) -> PooledBuffer {
        let blocks = len.div_ceil(ROW_ALIGN);
        let buffer = match self.lock().take() {
            Some(buffer) if buffer.len() == blocks => buffer,
            _ => vec![Block([0; ROW_ALIGN]); blocks],
        };
        PooledBuffer { blocks: buffer, pool: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PooledBuffer {
    /// The bytes, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.blocks)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.blocks)
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut shelf = self.pool.lock();
        if shelf.buffers.len() < POOL_BUFFERS {
            shelf.buffers.push(std::mem::take(&mut self.blocks));
        }
    }
}

/// A picture being made: its planes one after the other in a pooled buffer, with arbitrary content at first.
pub(super) struct Draft {
    buffer: PooledBuffer,
    format: PixelFormat,
    size: Size,
    /// Bytes of each plane, and from row to row in it.
    planes: Vec<(usize, usize)>,
}

impl Draft {
    pub(super) fn new(pool: &BufferPool, format: PixelFormat, size: Size) -> Draft {
        let planes: Vec<_> = format
            .plane_shapes(size)
            .into_iter()
            .map(|(row_bytes, rows)| {
                let stride = row_bytes.next_multiple_of(ROW_ALIGN);
                (stride * rows, stride)
            })
            .collect();
        let buffer = pool.take(planes.iter().map(|(len, _)| len).sum());
        Draft { buffer, format, size, planes }
    }

    pub(super) fn format(&self) -> PixelFormat {
        self.format
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The planes and the bytes from row to row in them.
    pub(super) fn planes(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let mut rest = self.buffer.as_ref();
        self.planes.iter().map(move |&(len, stride)| {
            let (plane, tail) = rest.split_at(len);
            rest = tail;
            (plane, stride)
        })
    }

    /// The planes, to write, and the bytes from row to row in them.
    pub(super) fn planes_mut(&mut self) -> impl Iterator<Item = (&mut [u8], usize)> {
        let mut rest = self.buffer.bytes_mut();
        self.planes.iter().map(move |&(len, stride)| {
            let (plane, tail) = std::mem::take(&mut rest).split_at_mut(len);
            rest = tail;
            (plane, stride)
        })
    }

    /// The picture, which changes no more.
    ///
    /// # Errors
    /// When its size is empty.
    pub(super) fn into_picture(self, color: Color) -> Result<Picture, String> {
        let whole = Bytes::from_owner(self.buffer);
        let mut begin = 0;
        let planes = self.planes.iter().map(|&(len, stride_bytes)| {
            let data = whole.slice(begin..begin + len);
            begin += len;
            Plane { data, stride_bytes }
        });
        Picture::new(self.format, self.size, color, planes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_once_is_not_kept() {
        let pool = BufferPool::default();
        let many: Vec<_> = (0..20).map(|_| pool.take(1000)).collect();
        drop(many);
        assert_eq!(pool.lock().buffers.len(), 20);
        // From here on three are on loan at a time.
        let mut held = std::collections::VecDeque::new();
        for _ in 0..3 * TRIM_PERIOD {
            held.push_back(pool.take(1000));
            if held.len() > 3 {
                held.pop_front();
            }
        }
        let kept = pool.lock().buffers.len();
        assert!((1..=IDLE_BUFFERS + 1).contains(&kept), "{kept} are kept");
    }
}
