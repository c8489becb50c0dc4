//! Memory that is lent to decoders: buffers of the device that other drivers write to, and that sources are copied from.
//!
//! Must not know who writes. Invariant: a buffer is there until whoever it was lent to has let go of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::GpuError;
use super::device::Gpu;
use crate::device_memory::{Exported, Loan};

/// What one device has lent, by the number of the memory.
#[derive(Debug, Default)]
pub(super) struct Loans(Mutex<BTreeMap<u64, Weak<wgpu::Buffer>>>);

impl Loans {
    /// Lends so much memory, with arbitrary content.
    pub(super) fn lend(&self, gpu: &Gpu, bytes: u64) -> Result<Loan, GpuError> {
        let lent = {
            let interop = gpu.interop.as_ref();
            let interop = interop.ok_or_else(|| GpuError::Unfit("it exports no memory".into()))?;
            interop.buffer(&gpu.device, bytes, wgpu::BufferUsages::COPY_SRC)?
        };
        let (buffer, memory) = (Arc::new(lent.buffer), lent.memory);
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lent.retain(|_, buffer| buffer.strong_count() > 0);
        lent.insert(memory.id(), Arc::downgrade(&buffer));
        Ok(Loan::new(memory, buffer))
    }

    /// The buffer on memory that was lent here.
    pub(super) fn buffer(&self, memory: &Exported) -> Option<Arc<wgpu::Buffer>> {
        let lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lent.get(&memory.id()).and_then(Weak::upgrade)
    }
}
