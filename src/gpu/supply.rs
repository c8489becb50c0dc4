//! The graphics device that is in use, and the one after it when that is lost.
//!
//! Must not know who draws. Invariant: all who ask while a device works get that one; a lost one is replaced once, however
//! many ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::GpuError;
use super::device::{AdapterChoice, Gpu};

/// A source of graphics devices; one per process.
#[derive(Debug)]
pub struct Supply {
    choice: AdapterChoice,
    is_software: bool,
    current: Mutex<Current>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Current {
    gpu: Arc<Gpu>,
    /// Its loss was counted.
    counted: bool,
}

impl Supply {
    /// Opens the first device.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open(choice: AdapterChoice) -> Result<Supply, GpuError> {
        let gpu = Gpu::open(&choice)?;
        let is_software = gpu.is_software();
        let current = Mutex::new(Current { gpu, counted: false });
        Ok(Supply { choice, is_software, current, lost: AtomicU64::new(0) })
    }

    /// Whether the adapter is the CPU; of the first device, by which inputs are set up.
    pub fn is_software(&self) -> bool {
        self.is_software
    }

    /// Devices lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A device that works: a new one, after a second perhaps, if the last was lost.
    ///
    /// # Errors
    /// As [`Gpu::open`]; the next who asks tries again.
    pub fn gpu(&self) -> Result<Arc<Gpu>, GpuError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.gpu.is_lost() {
            return Ok(Arc::clone(&current.gpu));
        }
        if !current.counted {
            current.counted = true;
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        let gpu = Gpu::open(&self.choice)?;
        *current = Current { gpu: Arc::clone(&gpu), counted: false };
        Ok(gpu)
    }
}
