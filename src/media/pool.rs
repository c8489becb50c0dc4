//! Buffers that go round, and pictures being made in them.
//!
//! Must not know who fills them. Invariant: in steady state (same sizes, frame after frame) nothing is allocated but the
//! small [`Picture`] itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::frame::{Color, Picture, PixelFormat, Plane, Size};

/// Plane rows begin at multiples of this, which suits every SIMD width.
const ROW_ALIGN: usize = 64;

/// Buffers kept for reuse per pool; more are freed.
const POOL_BUFFERS: usize = 32;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Block([u8; ROW_ALIGN]);

/// Buffers of one size that come back when the last `Bytes` over them is dropped.
#[derive(Clone, Default)]
pub(super) struct BufferPool(Arc<Mutex<Vec<Vec<Block>>>>);

/// A buffer on loan.
pub(super) struct PooledBuffer {
    blocks: Vec<Block>,
    pool: BufferPool,
}

impl BufferPool {
    /// A buffer of at least `len` bytes with arbitrary content.
    pub(super) fn take(&self, len: usize) -> PooledBuffer {
        let blocks = len.div_ceil(ROW_ALIGN);
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let buffer = match kept {
            Some(buffer) if buffer.len() == blocks => buffer,
            _ => vec![Block([0; ROW_ALIGN]); blocks],
        };
        PooledBuffer { blocks: buffer, pool: self.clone() }
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
        let mut pool = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < POOL_BUFFERS {
            pool.push(std::mem::take(&mut self.blocks));
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
