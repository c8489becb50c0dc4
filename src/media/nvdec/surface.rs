//! Memory that decoded pictures lie in: the graphics device's own, written to by CUDA, going round within one stream.
//!
//! Must not know decoders. Invariants: a surface is in exactly one place, on its shelf or in a picture; in steady state nothing
//! is allocated; there are never more than [`limits::CARD_SURFACES`] of a stream.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Nvdec;
use crate::device_memory::{Loan, OnDevice, Place};
use crate::frame::{PixelFormat, Plane, Size};
use crate::limits;
use crate::media::cuda::{CudaError, ImportedMemory, Rows};

/// Rows begin at multiples of this, which a copy from a buffer to a texture needs.
const ROW_ALIGN: usize = 256;

/// The surfaces of one stream.
pub(super) struct Shelf {
    nvdec: Arc<Nvdec>,
    free: Mutex<Vec<Memory>>,
    made: AtomicUsize,
    /// Why there was no memory, told once.
    is_told: Mutex<bool>,
}

/// Memory as both drivers see it.
struct Memory {
    // In the order in which they are given back.
    imported: ImportedMemory<'static>,
    loan: Loan,
}

/// A picture's place.
pub(super) struct Surface {
    // Only `drop` takes it out.
    memory: Option<Memory>,
    place: Place,
    /// Bytes in a row and number of rows of each plane.
    shapes: Vec<(usize, usize)>,
    home: Arc<Shelf>,
}

impl fmt::Debug for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.place)
    }
}

impl Shelf {
    pub(super) fn new(nvdec: Arc<Nvdec>) -> Shelf {
        let (free, made) = (Mutex::default(), AtomicUsize::new(0));
        Shelf { nvdec, free, made, is_told: Mutex::new(false) }
    }

    /// A surface for a picture; none when as many as there may be are in use, or none can be had.
    pub(super) fn take(self: &Arc<Shelf>, format: PixelFormat, size: Size) -> Option<Surface> {
        let shapes = format.plane_shapes(size);
        let pitch = shapes.iter().map(|(row_bytes, _)| *row_bytes).max()?;
        let pitch = pitch.next_multiple_of(ROW_ALIGN);
        let rows: usize = shapes.iter().map(|(_, rows)| rows).sum();
        let memory = self.memory((pitch * rows) as u64)?;
        let place = Place {
            memory: Arc::clone(memory.loan.memory()),
            offset_bytes: 0,
            pitch_bytes: u32::try_from(pitch).ok()?,
            ready: None,
        };
        Some(Surface { memory: Some(memory), place, shapes, home: Arc::clone(self) })
    }

    fn memory(&self, bytes: u64) -> Option<Memory> {
        let fits = |memory: &Memory| {
            let has = memory.loan.memory();
            (bytes..2 * bytes.max(1 << 20)).contains(&has.bytes()) && self.nvdec.lender.holds(has)
        };
        loop {
            let Some(memory) = self.free().pop() else { break };
            if fits(&memory) {
                return Some(memory);
            }
            // Of another size, or of a device that is gone.
            self.made.fetch_sub(1, Ordering::Relaxed);
        }
        if self.made.load(Ordering::Relaxed) >= limits::CARD_SURFACES {
            return None;
        }
        match self.make(bytes) {
            Ok(memory) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                Some(memory)
            }
            Err(why) => {
                let mut is_told = self.is_told.lock().unwrap_or_else(PoisonError::into_inner);
                if !std::mem::replace(&mut *is_told, true) {
                    tracing::warn!(why, "pictures of NVDEC go through the host");
                }
                None
            }
        }
    }

    fn make(&self, bytes: u64) -> Result<Memory, String> {
        let loan = self.nvdec.lender.lend(bytes)?;
        let imported = ImportedMemory::of(loan.memory(), &self.nvdec.context)
            .map_err(|error: CudaError| error.to_string())?;
        Ok(Memory { imported, loan })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Surface {
    pub(super) fn id(&self) -> u64 {
        self.place.memory.id()
    }

    pub(super) fn memory(&self) -> &crate::device_memory::Exported {
        &self.place.memory
    }
}

impl Surface {
    /// Each plane, as CUDA sees it.
    pub(super) fn rows(&self) -> Vec<Rows> {
        let begin = self.memory.as_ref().map_or(0, |memory| memory.imported.address());
        let pitch = self.place.pitch_bytes as usize;
        let plane = |end: &mut usize, (width, rows): (usize, usize)| {
            let address = begin + *end as u64;
            *end += rows * pitch;
            Some(Rows { address, pitch, width, rows })
        };
        self.shapes.iter().copied().scan(0, plane).collect()
    }
}

impl OnDevice for Surface {
    fn place(&self) -> &Place {
        &self.place
    }

    fn fetch(&self) -> Result<Vec<Plane>, String> {
        let memory = self.memory.as_ref().ok_or("its memory is gone")?;
        let stride_bytes = self.place.pitch_bytes as usize;
        let rows: usize = self.shapes.iter().map(|(_, rows)| rows).sum();
        let mut all = vec![0; rows * stride_bytes];
        memory.imported.read(0, &mut all).map_err(|error| error.to_string())?;
        self.home.nvdec.count_host_copy();
        let mut rest = Bytes::from(all);
        let planes = self.shapes.iter().map(|(_, rows)| {
            let data = rest.split_to(rows * stride_bytes);
            Plane { data, stride_bytes }
        });
        Ok(planes.collect())
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.free().push(memory);
        }
    }
}
