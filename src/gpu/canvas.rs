//! Canvases: NV12 in linear buffers, lent from a ring and handed out as pictures without a copy. What is read back from
//! a GPU carries the renditions of a canvas behind it, in one piece.
//!
//! Must not know what is drawn. Invariant: a canvas is in exactly one place: in the ring, being drawn, or inside a
//! picture; when the picture's last clone is dropped it goes back to the ring.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::GpuError;
use super::device::Gpu;
use super::host_memory::HostBuffer;
use super::interop::Shared;
use super::lent::{Delivery, Staging};
use crate::device_memory::{Exported, Moment};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::limits::CANVAS_RING;
use crate::picture::Rect;

/// Largest side of a canvas.
const MAX_SIDE_PX: u32 = 8192;

/// Rows that NVIDIA's engines read begin at multiples of this. NVENC's header asks for a multiple of 4 (`NV_ENC_REGISTER_RESOURCE`,
/// `pitch`); 256 is what FFmpeg's own pictures for CUDA have, which it hands to NVENC (`CUDA_FRAME_ALIGNMENT` in hwcontext_cuda.c).
const DEVICE_PITCH_BYTES: u32 = 256;

/// How a canvas lies in memory: rows of luma, then rows of interleaved chroma, each row a whole number of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CanvasShape {
    pub(super) size: Size,
    pub(super) row_bytes: u32,
}

impl CanvasShape {
    pub(super) fn new(size: Size) -> Result<CanvasShape, GpuError> {
        let fits = |side: u32| side.is_multiple_of(2) && (2..=MAX_SIDE_PX).contains(&side);
        if !fits(size.width_px) || !fits(size.height_px) {
            return Err(GpuError::BadCanvas(size));
        }
        Ok(CanvasShape { size, row_bytes: size.width_px.next_multiple_of(4) })
    }

    /// One with rows as a video engine likes them, where that is to read it.
    pub(super) fn of(size: Size, delivery: Delivery) -> Result<CanvasShape, GpuError> {
        let shape = CanvasShape::new(size)?;
        let row_bytes = match delivery {
            Delivery::Host => shape.row_bytes,
            Delivery::Device => shape.row_bytes.next_multiple_of(DEVICE_PITCH_BYTES),
        };
        Ok(CanvasShape { row_bytes, ..shape })
    }

    /// Where chroma begins, in bytes.
    pub(super) fn chroma_offset(&self) -> u32 {
        self.row_bytes * self.size.height_px
    }

    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.chroma_offset()) * 3 / 2
    }

    /// Columns and rows of a rectangle that are on the canvas, or `None`.
    pub(super) fn clip(&self, rect: Rect) -> Option<(Range<u32>, Range<u32>)> {
        let axis = |start: i32, length: u32, side: u32| {
            let end = i64::from(start) + i64::from(length);
            let begin = u32::try_from(start.max(0)).unwrap_or(0);
            let end = u32::try_from(end.clamp(0, i64::from(side))).unwrap_or(0);
            (begin < end).then_some(begin..end)
        };
        let columns = axis(rect.x_px, rect.width_px, self.size.width_px)?;
        Some((columns, axis(rect.y_px, rect.height_px, self.size.height_px)?))
    }
}

/// How the canvas and its renditions lie in a buffer: one after the other, then what else is read back with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sheet {
    canvases: Vec<CanvasShape>,
    readings_bytes: u64,
    /// Pictures that encoders hold for long.
    held: usize,
}

impl Sheet {
    pub(super) fn new(
        canvas: CanvasShape,
        renditions: &[CanvasShape],
        readings_bytes: u64,
    ) -> Sheet {
        let canvases = std::iter::once(canvas).chain(renditions.iter().copied()).collect();
        Sheet { canvases, readings_bytes, held: 0 }
    }

    /// The same of a compositor whose pictures are held so many at a time.
    pub(super) fn holding(self, held: usize) -> Sheet {
        Sheet { held, ..self }
    }

    /// Where what is behind the pictures begins, in bytes.
    pub(super) fn readings_start(&self) -> u64 {
        self.canvases.iter().map(buffer_bytes).sum()
    }

    /// Each with the byte that it begins at, the canvas first.
    pub(super) fn parts(&self) -> impl Iterator<Item = (u64, CanvasShape)> {
        self.canvases.iter().scan(0, |end, shape| {
            let start = *end;
            *end += buffer_bytes(shape);
            Some((start, *shape))
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.readings_start() + self.readings_bytes
    }

    /// How many of them a ring has: an encoder that is slow holds a picture, and with it the sheet.
    fn slots(&self) -> usize {
        CANVAS_RING + self.canvases.len() - 1 + self.held
    }

    /// How many canvases there are.
    pub(super) fn count(&self) -> usize {
        self.canvases.len()
    }
}

/// The canvases of one compositor.
#[derive(Debug)]
pub(super) struct Ring {
    home: Sender<Slot>,
    free: Receiver<Slot>,
}

/// One canvas, or what a canvas is read back into.
#[derive(Debug)]
struct Slot {
    sheet: Arc<Sheet>,
    memory: HostBuffer,
    /// None when shaders do not draw on it.
    bind_group: Option<wgpu::BindGroup>,
    /// The last work that writes to it, until it was waited for: then the CPU may look.
    work: Option<(wgpu::SubmissionIndex, Arc<AtomicBool>)>,
    /// Where the pictures are when they stay on the device; only what is behind them is in the memory then.
    lent: Option<(Shared, Staging)>,
}

impl Slot {
    fn new(gpu: &Gpu, sheet: &Arc<Sheet>, memory: HostBuffer) -> Slot {
        let drawn_on = memory.buffer().usage().contains(wgpu::BufferUsages::STORAGE);
        let bind_group = drawn_on.then(|| canvas_bind_group(gpu, memory.buffer()));
        Slot { sheet: Arc::clone(sheet), memory, bind_group, work: None, lent: None }
    }
}

/// A canvas taken from the ring; goes back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    // Only `drop` takes it out.
    slot: Option<Slot>,
    home: Sender<Slot>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            // The ring has room for all of them; it is gone when the compositor is, and then so is the canvas.
            let _ = self.home.try_send(slot);
        }
    }
}

impl Ring {
    /// Canvases that the CPU and shaders share (software adapters).
    pub(super) fn shared(gpu: &Gpu, shape: CanvasShape, held: usize) -> Result<Ring, GpuError> {
        Ring::of(gpu, Sheet::new(shape, &[], 0).holding(held), wgpu::BufferUsages::STORAGE)
    }

    /// Buffers that a canvas and its renditions are copied to for the CPU to read.
    pub(super) fn readback(gpu: &Gpu, sheet: Sheet) -> Result<Ring, GpuError> {
        Ring::of(gpu, sheet, wgpu::BufferUsages::COPY_DST)
    }

    /// Memory that a canvas and its renditions are copied to for other drivers to read; the CPU reads what is behind them.
    pub(super) fn lent(gpu: &Gpu, sheet: Sheet) -> Result<Ring, GpuError> {
        use wgpu::BufferUsages as U;
        let none = || GpuError::Unfit("its memory cannot be exported".into());
        let interop = gpu.interop.as_ref().ok_or_else(none)?;
        let (count, staging) = (sheet.slots(), Staging::default());
        let pixels = (sheet.readings_start(), U::COPY_DST | U::COPY_SRC);
        let pixels = interop.several(&gpu.device, count, pixels)?;
        let readings = HostBuffer::several(gpu, count, (sheet.readings_bytes, U::COPY_DST))?;
        let sheet = Arc::new(sheet);
        let slot = |(pixels, readings)| {
            let lent = Some((pixels, Arc::clone(&staging)));
            Slot { lent, ..Slot::new(gpu, &sheet, readings) }
        };
        Ok(Ring::with(pixels.into_iter().zip(readings).map(slot).collect()))
    }

    fn of(gpu: &Gpu, sheet: Sheet, usage: wgpu::BufferUsages) -> Result<Ring, GpuError> {
        let memories = HostBuffer::several(gpu, sheet.slots(), (sheet.bytes(), usage))?;
        let sheet = Arc::new(sheet);
        Ok(Ring::with(memories.into_iter().map(|memory| Slot::new(gpu, &sheet, memory)).collect()))
    }

    fn with(slots: Vec<Slot>) -> Ring {
        let (home, free) = bounded(slots.len());
        for slot in slots {
            let _ = home.try_send(slot);
        }
        Ring { home, free }
    }

    /// A canvas that nobody looks at any more.
    pub(super) fn take(&self) -> Result<Lease, GpuError> {
        let slot = self.free.try_recv().map_err(|e| match e {
            TryRecvError::Empty | TryRecvError::Disconnected => GpuError::NoCanvas,
        })?;
        Ok(Lease { slot: Some(slot), home: self.home.clone() })
    }
}

/// The planes of a canvas in finished bytes.
pub(super) fn planes(bytes: &Bytes, start: u64, shape: CanvasShape) -> Vec<Plane> {
    let start = start as usize;
    let chroma = start + shape.chroma_offset() as usize;
    let plane = |data| Plane { data, stride_bytes: shape.row_bytes as usize };
    let end = start + shape.bytes() as usize;
    vec![plane(bytes.slice(start..chroma)), plane(bytes.slice(chroma..end))]
}

/// A canvas in finished bytes as a picture.
fn picture(bytes: &Bytes, start: u64, shape: CanvasShape) -> Result<Arc<Picture>, GpuError> {
    let planes = planes(bytes, start, shape);
    Picture::new(PixelFormat::Nv12, shape.size, Color::CANVAS, planes)
        .map(Arc::new)
        .map_err(GpuError::Device)
}

/// A canvas that is handed out; it comes home when nobody looks any more.
struct Finished(Lease);

impl AsRef<[u8]> for Finished {
    fn as_ref(&self) -> &[u8] {
        self.0.slot.as_ref().map_or(&[], |slot| slot.memory.bytes())
    }
}

impl Lease {
    /// A canvas like those of [`Ring::shared`] that belongs to no ring.
    pub(super) fn scratch(gpu: &Gpu, shape: CanvasShape) -> Result<Lease, GpuError> {
        let sheet = Arc::new(Sheet::new(shape, &[], 0));
        let memory = HostBuffer::new(gpu, sheet.bytes(), wgpu::BufferUsages::STORAGE)?;
        let slot = Slot::new(gpu, &sheet, memory);
        // Nobody listens at its home, so it ends with its lease.
        Ok(Lease { slot: Some(slot), home: bounded(0).0 })
    }

    fn slot(&self) -> Result<&Slot, GpuError> {
        self.slot.as_ref().ok_or(GpuError::NoCanvas)
    }

    /// The finished canvas and its renditions as pictures, the canvas first; and the bytes behind them.
    pub(super) fn into_pictures(self) -> Result<(Vec<Arc<Picture>>, Bytes), GpuError> {
        self.bytes()?;
        let sheet = Arc::clone(&self.slot()?.sheet);
        let bytes = Bytes::from_owner(Finished(self));
        let pictures = sheet.parts().map(|(start, shape)| picture(&bytes, start, shape));
        let readings = bytes.slice(sheet.readings_start() as usize..);
        Ok((pictures.collect::<Result<_, _>>()?, readings))
    }

    /// How the canvas and its renditions lie in it.
    pub(super) fn sheet(&self) -> Result<&Sheet, GpuError> {
        Ok(&self.slot()?.sheet)
    }

    /// The same, to keep.
    pub(super) fn shared_sheet(&self) -> Result<Arc<Sheet>, GpuError> {
        Ok(Arc::clone(&self.slot()?.sheet))
    }

    /// Whether the pictures stay on the device.
    pub(super) fn is_lent(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| slot.lent.is_some())
    }

    /// Where the pictures are.
    pub(super) fn pixels(&self) -> Result<&wgpu::Buffer, GpuError> {
        let slot = self.slot()?;
        Ok(slot.lent.as_ref().map_or(slot.memory.buffer(), |(pixels, _)| &pixels.buffer))
    }

    /// Where what is behind them is, and from which byte on.
    pub(super) fn readings(&self) -> Result<(&wgpu::Buffer, u64), GpuError> {
        let slot = self.slot()?;
        let start = if slot.lent.is_some() { 0 } else { slot.sheet.readings_start() };
        Ok((slot.memory.buffer(), start))
    }

    /// The memory of pictures that stay on the device, where in it they begin, and what they go to the host through.
    pub(super) fn exported(&self) -> Result<(Arc<Exported>, u64, Staging), GpuError> {
        let (pixels, staging) = self.slot()?.lent.as_ref().ok_or(GpuError::NoCanvas)?;
        Ok((Arc::clone(&pixels.memory), pixels.offset_bytes, Arc::clone(staging)))
    }

    /// What is on the canvas, which was waited for.
    pub(super) fn bytes(&self) -> Result<&[u8], GpuError> {
        let slot = self.slot()?;
        match slot.work {
            Some(_) => Err(GpuError::Device("the canvas is still drawn on".into())),
            None => Ok(slot.memory.bytes()),
        }
    }

    pub(super) fn bind_group(&self) -> Result<Option<&wgpu::BindGroup>, GpuError> {
        Ok(self.slot()?.bind_group.as_ref())
    }

    /// Submits the work that writes to the canvas, which the CPU may see once it was waited for; tells when other drivers may.
    pub(super) fn submit(
        &mut self,
        gpu: &Gpu,
        mut encoder: wgpu::CommandEncoder,
    ) -> Result<Option<Moment>, GpuError> {
        let slot = self.slot.as_mut().ok_or(GpuError::NoCanvas)?;
        slot.memory.hand_to_cpu(&mut encoder);
        let (work, moment) = match slot.lent {
            Some(_) => gpu.submit_raising(encoder.finish()),
            None => (gpu.submit(Some(encoder.finish())), None),
        };
        slot.work = Some((work, gpu.when_done()));
        Ok(moment)
    }

    /// Whether the CPU may see what was submitted; does not wait.
    pub(super) fn is_done(&mut self, gpu: &Gpu) -> Result<bool, GpuError> {
        let slot = self.slot.as_mut().ok_or(GpuError::NoCanvas)?;
        if let Some((_, done)) = &slot.work
            && gpu.is_done(done)?
        {
            slot.work = None;
        }
        Ok(slot.work.is_none())
    }

    /// The canvas for the CPU to write to, once the shaders that draw on it are done.
    pub(super) fn bytes_mut(&mut self, gpu: &Gpu) -> Result<&mut [u8], GpuError> {
        self.wait(gpu)?;
        Ok(self.slot.as_mut().ok_or(GpuError::NoCanvas)?.memory.bytes_mut())
    }

    /// Waits for the shaders that draw on the canvas.
    pub(super) fn wait(&mut self, gpu: &Gpu) -> Result<(), GpuError> {
        let slot = self.slot.as_mut().ok_or(GpuError::NoCanvas)?;
        if let Some((work, _)) = &slot.work {
            gpu.wait_for(work.clone())?;
            slot.work = None;
        }
        Ok(())
    }
}

/// A buffer as large as a canvas.
pub(super) fn canvas_buffer(
    gpu: &Gpu,
    shape: &CanvasShape,
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    buffer(gpu, buffer_bytes(shape), usage)
}

/// Bytes of a canvas, up to where something else may begin.
fn buffer_bytes(shape: &CanvasShape) -> u64 {
    shape.bytes().next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT)
}

pub(super) fn buffer(gpu: &Gpu, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("canvas"),
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// Lets shaders draw on a canvas.
pub(super) fn canvas_bind_group(gpu: &Gpu, buffer: &wgpu::Buffer) -> wgpu::BindGroup {
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("canvas"),
        layout: &gpu.shaders.canvas_layout,
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: buffer.as_entire_binding() }],
    })
}
