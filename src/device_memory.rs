//! Memory of a graphics device that other drivers may open: what rooms tell each other of it.
//!
//! Owns descriptors. Must not know Vulkan or CUDA. Invariants: a descriptor is closed with the last who holds its memory;
//! pixels are copied to the host when somebody asks for them, once per picture, and only then.

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::frame::Plane;

/// A device, as Vulkan (`deviceUUID`), CUDA (`cuDeviceGetUuid`) and NVML know it.
pub type DeviceUuid = [u8; 16];

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An allocation of Vulkan's and an opaque descriptor (`VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT`) of it.
#[derive(Debug)]
pub struct Exported {
    id: u64,
    device: DeviceUuid,
    bytes: u64,
    kind: Allocation,
    descriptor: OwnedFd,
}

/// What an allocation was made for; whoever imports it must say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Whatever is put there.
    Plain,
    /// One buffer (`VkMemoryDedicatedAllocateInfo`).
    Dedicated,
}

impl Exported {
    /// An allocation of `bytes` on `device`.
    pub fn new(
        device: DeviceUuid,
        (bytes, kind): (u64, Allocation),
        descriptor: OwnedFd,
    ) -> Exported {
        Exported { id: next_id(), device, bytes, kind, descriptor }
    }

    /// Unique within the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it lies.
    pub fn device(&self) -> DeviceUuid {
        self.device
    }

    /// Length of the whole allocation, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it was made for.
    pub fn kind(&self) -> Allocation {
        self.kind
    }

    /// A descriptor to give away: importing takes it.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.try_clone()
    }
}

/// A timeline semaphore and an opaque descriptor of it.
#[derive(Debug)]
pub struct Timeline {
    id: u64,
    device: DeviceUuid,
    descriptor: OwnedFd,
}

impl Timeline {
    /// A timeline of `device`.
    pub fn new(device: DeviceUuid, descriptor: OwnedFd) -> Timeline {
        Timeline { id: next_id(), device, descriptor }
    }

    /// Unique within the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whose it is.
    pub fn device(&self) -> DeviceUuid {
        self.device
    }

    /// As [`Exported::descriptor`].
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.descriptor.try_clone()
    }
}

/// A point on a timeline, reached when the device has done its work.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Of which timeline.
    pub timeline: Arc<Timeline>,
    /// The value that it reaches.
    pub value: u64,
}

/// Where the pixels of a picture lie: rows of each plane at one distance, the planes one after the other without a gap.
#[derive(Clone, Debug)]
pub struct Place {
    /// In which memory.
    pub memory: Arc<Exported>,
    /// From which byte on.
    pub offset_bytes: u64,
    /// From row to row, of all planes.
    pub pitch_bytes: u32,
    /// When they are there for other drivers of the device; none: since before the picture was handed out.
    pub ready: Option<Moment>,
}

/// Who keeps a picture on a device. It stays as it is until this is dropped.
pub trait OnDevice: fmt::Debug + Send + Sync {
    /// Where it is.
    fn place(&self) -> &Place;

    /// Copies it to the host; waits for the device. Who calls this counts on being called once.
    ///
    /// # Errors
    /// When the device is lost.
    fn fetch(&self) -> Result<Vec<Plane>, String>;
}

/// Memory that is lent until this is dropped.
#[derive(Debug)]
pub struct Loan {
    memory: Arc<Exported>,
    /// The device's own handle of it.
    _buffer: Arc<dyn Any + Send + Sync>,
}

impl Loan {
    /// A loan of `memory`, which `buffer` keeps.
    pub fn new(memory: Arc<Exported>, buffer: Arc<dyn Any + Send + Sync>) -> Loan {
        Loan { memory, _buffer: buffer }
    }

    /// What is lent.
    pub fn memory(&self) -> &Arc<Exported> {
        &self.memory
    }
}

/// Who lends memory of the graphics device that others write pictures to, which it then reads as sources.
pub trait Lender: fmt::Debug + Send + Sync {
    /// So many bytes, with arbitrary content. What is in it counts as read when whoever keeps a picture there is let go of.
    ///
    /// # Errors
    /// When there is no memory, or it cannot be exported.
    fn lend(&self, bytes: u64) -> Result<Loan, String>;

    /// Whether the device in use is the one that lent this.
    fn holds(&self, memory: &Exported) -> bool;
}

/// Pixels on a device, and on the host once somebody has asked for them there.
#[derive(Debug)]
pub struct DevicePixels {
    keeper: Arc<dyn OnDevice>,
    host: OnceLock<Result<Vec<Plane>, String>>,
    /// What is shown in the place of pixels that are lost.
    lost: OnceLock<Vec<Plane>>,
}

impl DevicePixels {
    pub(crate) fn new(keeper: Arc<dyn OnDevice>) -> DevicePixels {
        DevicePixels { keeper, host: OnceLock::new(), lost: OnceLock::new() }
    }

    pub(crate) fn keeper(&self) -> &Arc<dyn OnDevice> {
        &self.keeper
    }

    /// On the host.
    pub(crate) fn fetched(&self) -> Result<&[Plane], &str> {
        let host = self.host.get_or_init(|| self.keeper.fetch());
        host.as_deref().map_err(String::as_str)
    }

    /// On the host; `or` in their place when they are lost.
    pub(crate) fn planes(&self, or: impl FnOnce() -> Vec<Plane>) -> &[Plane] {
        self.fetched().unwrap_or_else(|error| {
            self.lost.get_or_init(|| {
                tracing::error!(error, "a picture was lost with its device");
                or()
            })
        })
    }
}
