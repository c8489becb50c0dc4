//! Pictures that stay on the device: where they are, and their way to the host for who needs them there.
//!
//! Must not know who asks. Invariant: a canvas is lent for as long as one of its pictures is held by anybody, and is not drawn on
//! meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::bounded;

use super::GpuError;
use super::canvas::{CanvasShape, Lease, Sheet, buffer, planes};
use super::device::Gpu;
use crate::device_memory::{Exported, Moment, OnDevice, Place};
use crate::frame::{Color, Picture, PixelFormat, Plane};
use crate::limits::GPU_WAIT;

/// Where pictures are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// On the host.
    #[default]
    Host,
    /// On the device, in memory that other drivers of it may open.
    Device,
}

/// Pictures copied from a device to the host, of all devices of a process.
#[derive(Debug, Default)]
pub struct HostCopies(AtomicU64);

impl HostCopies {
    /// So far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, pictures: usize) {
        self.0.fetch_add(pictures as u64, Ordering::Relaxed);
    }
}

/// Memory that a sheet of canvases lies in.
#[derive(Debug)]
pub(super) struct Pixels {
    pub(super) buffer: wgpu::Buffer,
    pub(super) memory: Arc<Exported>,
}

/// What pictures of one ring go to the host through, made when the first does.
pub(super) type Staging = Arc<Mutex<Option<wgpu::Buffer>>>;

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
    shape: CanvasShape,
    place: Place,
}

/// The canvases of a finished sheet, which are there at a moment.
pub(super) fn pictures(
    gpu: &Arc<Gpu>,
    lease: Lease,
    ready: Option<Moment>,
) -> Result<Vec<Arc<Picture>>, GpuError> {
    let (memory, staging) = lease.exported()?;
    let sheet = lease.shared_sheet()?;
    let lent = Arc::new(Lent { gpu: Arc::clone(gpu), lease, staging, sheet });
    let picture = |(offset_bytes, shape): (u64, CanvasShape)| {
        let place = Place {
            memory: Arc::clone(&memory),
            offset_bytes,
            pitch_bytes: shape.row_bytes,
            ready: ready.clone(),
        };
        let part = Part { lent: Arc::clone(&lent), shape, place };
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
        let bytes = self.lent.fetch(self.place.offset_bytes, &self.shape);
        bytes.map(|bytes| planes(&bytes, 0, self.shape).into()).map_err(|error| error.to_string())
    }
}

impl Lent {
    /// Copies a canvas to the host.
    fn fetch(&self, start: u64, shape: &CanvasShape) -> Result<Bytes, GpuError> {
        let gpu = &self.gpu;
        // One after the other, by whoever needs them.
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = self.sheet.parts().map(|(_, shape)| shape.bytes()).max().unwrap_or(0);
        let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
        let to = staging.get_or_insert_with(|| buffer(gpu, largest, usage));
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(self.lease.pixels()?, start, to, 0, Some(shape.bytes()));
        let work = gpu.submit(Some(encoder.finish()));
        let (answer, mapped) = bounded(1);
        to.map_async(wgpu::MapMode::Read, ..shape.bytes(), move |result| {
            let _ = answer.try_send(result);
        });
        let device = |error: &dyn std::fmt::Display| GpuError::Device(error.to_string());
        let there = gpu.wait_for(work).and_then(|()| match mapped.recv_timeout(GPU_WAIT) {
            Ok(result) => result.map_err(|error| device(&error)),
            Err(error) => Err(device(&error)),
        });
        let bytes = there.and_then(|()| {
            let view = to.get_mapped_range(..shape.bytes()).map_err(|error| device(&error))?;
            Ok(Bytes::copy_from_slice(&view))
        });
        to.unmap();
        self.gpu.host_copies.add(usize::from(bytes.is_ok()));
        bytes
    }
}
