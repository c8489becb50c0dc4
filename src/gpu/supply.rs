//! The graphics device that is in use, and the one after it when that is lost.
//!
//! Must not know who draws. Invariant: all who ask while a device works get that one; a lost one is replaced once, however
//! many ask; what is ready on one is ready on the next.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::GpuError;
use super::adapter::AdapterChoice;
use super::device::{Census, Gpu, Kept};
use super::lent::Traffic;
use super::meter::{BusLoad, CardLoad, Meter};
use super::pass_times::PassTime;
use super::prepared::{Pantry, Prepared};
use crate::device_memory::{DeviceUuid, Exported, Lender, Loan};
use crate::frame::Size;
use crate::picture::OverlayContent;

/// A source of graphics devices; one per process.
#[derive(Debug)]
pub struct Supply {
    choice: AdapterChoice,
    kept: Kept,
    is_software: bool,
    device: Option<DeviceUuid>,
    meter: Meter,
    current: Mutex<Current>,
    pantry: Pantry,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Current {
    gpu: Arc<Gpu>,
    /// Its loss was counted.
    counted: bool,
}

impl Supply {
    /// Opens the first device; compiled pipelines are kept in a directory, if there is one.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    pub fn open(choice: AdapterChoice, cache_dir: Option<PathBuf>) -> Result<Supply, GpuError> {
        let kept = Kept { cache_dir, ..Kept::default() };
        let gpu = ready(&choice, &kept)?;
        let (is_software, device) = (gpu.is_software(), gpu.exports_as());
        let meter = Meter::of(&gpu.info());
        let current = Mutex::new(Current { gpu, counted: false });
        let (pantry, lost) = (Pantry::default(), AtomicU64::new(0));
        Ok(Supply { choice, kept, is_software, device, meter, current, pantry, lost })
    }

    /// Whether the adapter is the CPU; of the first device, by which inputs are set up.
    pub fn is_software(&self) -> bool {
        self.is_software
    }

    /// What other drivers know the device by, if they may open its memory; of the first one, by which encoders and decoders are
    /// chosen.
    pub fn exports_as(&self) -> Option<DeviceUuid> {
        self.device
    }

    /// What the card tells of itself, where it is one that NVML knows.
    pub fn card_load(&self) -> Option<CardLoad> {
        self.meter.load()
    }

    /// How busy the card's decoders are, all programs together, 0 to 1, where NVML tells it.
    pub fn decoder_load(&self) -> Option<f64> {
        self.meter.decoders()
    }

    /// What the card's bus carries now, where NVML tells it. Takes a fiftieth of a second.
    pub fn bus_load(&self) -> Option<BusLoad> {
        self.meter.bus()
    }

    /// Devices lost so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What the device in use holds. Waits while one is being replaced.
    pub fn census(&self) -> Census {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).gpu.census()
    }

    /// Time that the devices have spent in each pass; empty where they cannot tell.
    pub fn pass_times(&self) -> Vec<PassTime> {
        self.kept.pass_times.all()
    }

    /// What went to the devices and came from them.
    pub fn traffic(&self) -> &Traffic {
        &self.kept.traffic
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
        let gpu = ready(&self.choice, &self.kept)?;
        self.pantry.move_to(&gpu);
        *current = Current { gpu: Arc::clone(&gpu), counted: false };
        Ok(gpu)
    }

    /// Rasterises and uploads these overlays, for canvases of this size; on each later device too, as long as what is returned
    /// is kept. Takes its time, and is for any thread but one that draws: that finds them ready then. What cannot be drawn is
    /// left out.
    ///
    /// # Errors
    /// As [`Supply::gpu`].
    pub fn prepare(
        &self,
        contents: Vec<Arc<OverlayContent>>,
        canvas: Size,
    ) -> Result<Prepared, GpuError> {
        let stock = self.pantry.add(contents, canvas);
        loop {
            let gpu = self.gpu()?;
            stock.make(&gpu);
            // Otherwise the next one may have been made meanwhile, and these took the place of its own.
            if !gpu.is_lost() {
                return Ok(Prepared::of(stock));
            }
        }
    }
}

impl Lender for Supply {
    fn lend(&self, bytes: u64) -> Result<Loan, String> {
        let gpu = self.gpu().map_err(|error| error.to_string())?;
        gpu.loans.lend(&gpu, bytes).map_err(|error| error.to_string())
    }

    fn holds(&self, memory: &Exported) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.gpu.loans.buffer(memory).is_some()
    }
}

/// A device with which no tick waits.
fn ready(choice: &AdapterChoice, kept: &Kept) -> Result<Arc<Gpu>, GpuError> {
    let gpu = Gpu::open_with(choice, kept)?;
    gpu.warm_up()?;
    Ok(gpu)
}
