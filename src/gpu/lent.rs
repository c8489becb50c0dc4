//! Pictures that stay on the device: where they are, and their way to the host for who needs them there.
//!
//! Must not know who asks. Invariant: a canvas is lent for as long as one of its pictures is held by anybody, and is not drawn on
//! meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::GpuError;
use super::canvas::{CanvasShape, Lease, Sheet, planes};
use super::device::Gpu;
use super::host_memory::HostBuffer;
use crate::device_memory::{Moment, OnDevice, Place};
use crate::frame::{Color, Picture, PixelFormat, Plane};

/// Where pictures are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// On the host.
    #[default]
    Host,
    /// On the device, in memory that other drivers of it may open.
    Device,
}

/// What goes between the host and the devices of a process, since its start.
#[derive(Debug, Default)]
pub struct Traffic {
    host_copies: AtomicU64,
    read_bytes: AtomicU64,
    uploaded_bytes: AtomicU64,
}

impl Traffic {
    /// Pictures copied from a device to the host.
    pub fn host_copies(&self) -> u64 {
        self.host_copies.load(Ordering::Relaxed)
    }

    /// Bytes of those, and of what was measured on the device.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of sources and overlays that went to a device.
    pub fn uploaded_bytes(&self) -> u64 {
        self.uploaded_bytes.load(Ordering::Relaxed)
    }

    /// So many pictures came to the host, in so many bytes.
    pub(super) fn read(&self, pictures: usize, bytes: u64) {
        self.host_copies.fetch_add(pictures as u64, Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn upload(&self, bytes: u64) {
        self.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What pictures of one ring go to the host through, made when the first does.
pub(super) type Staging = Arc<Mutex<Option<HostBuffer>>>;

/// A finished sheet.
#[derive(Debug)]
struct Lent {
    gpu: Arc<Gpu>,
    lease: Lease,
    staging: Staging,
    sheet: Arc<Sheet>,
}

/// One canvas of it.
#[derive(Debug)]
struct Part {
    lent: Arc<Lent>,
    /// From which byte of the sheet on.
    start: u64,
    shape: CanvasShape,
    place: Place,
}

/// The canvases of a finished sheet, which are there at a moment.
pub(super) fn pictures(
    gpu: &Arc<Gpu>,
    lease: Lease,
    ready: Option<Moment>,
) -> Result<Vec<Arc<Picture>>, GpuError> {
    let (memory, offset, staging) = lease.exported()?;
    let sheet = lease.shared_sheet()?;
    let lent = Arc::new(Lent { gpu: Arc::clone(gpu), lease, staging, sheet });
    let picture = |(start, shape): (u64, CanvasShape)| {
        let place = Place {
            memory: Arc::clone(&memory),
            offset_bytes: offset + start,
            pitch_bytes: shape.row_bytes,
            ready: ready.clone(),
        };
        let part = Part { lent: Arc::clone(&lent), start, shape, place };
        let part = Arc::new(part);
        Arc::new(Picture::on_device(PixelFormat::Nv12, shape.size, Color::CANVAS, part))
    };
    Ok(lent.sheet.parts().map(picture).collect())
}

impl OnDevice for Part {
    fn place(&self) -> &Place {
        &self.place
    }

    fn fetch(&self) -> Result<Vec<Plane>, String> {
        let bytes = self.lent.fetch(self.start, &self.shape);
        bytes.map(|bytes| planes(&bytes, 0, self.shape)).map_err(|error| error.to_string())
    }
}

impl Lent {
    /// Copies a canvas to the host.
    fn fetch(&self, start: u64, shape: &CanvasShape) -> Result<Bytes, GpuError> {
        let gpu = &self.gpu;
        // One after the other, by whoever needs them.
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let to = match &*staging {
            Some(to) => to,
            None => {
                let largest = self.sheet.parts().map(|(_, shape)| shape.bytes()).max().unwrap_or(0);
                staging.insert(HostBuffer::new(gpu, largest, wgpu::BufferUsages::COPY_DST)?)
            }
        };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let bytes = Some(shape.bytes());
        encoder.copy_buffer_to_buffer(self.lease.pixels()?, start, to.buffer(), 0, bytes);
        to.hand_to_cpu(&mut encoder);
        gpu.wait_for(gpu.submit(Some(encoder.finish())))?;
        gpu.traffic.read(1, shape.bytes());
        Ok(Bytes::copy_from_slice(&to.bytes()[..shape.bytes() as usize]))
    }
}
