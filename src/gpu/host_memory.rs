//! Buffers that the GPU writes and the CPU reads, in memory of our own.
//!
//! wgpu frees the buffers of a device that is lost, mapped or not, while encoders may still read pictures in them. So this memory is
//! not wgpu's. Must not know what lies in it. Invariant: it is there as long as the GPU or anybody on the CPU may look at it, whatever
//! becomes of the device.

#![expect(unsafe_code, reason = "Vulkan's own memory, which wgpu has no safe word for")]

use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use ash::vk;
use wgpu::hal::api::Vulkan;
use wgpu::hal::vulkan;

use super::GpuError;
use super::block::{Placed, Source, place};
use super::device::Gpu;
use super::interop::vk_usage;

/// A buffer that the CPU sees all the time.
#[derive(Debug)]
pub(super) struct HostBuffer {
    buffer: wgpu::Buffer,
    // Behind the buffer: wgpu lets go of it first.
    memory: Arc<HostMemory>,
}

impl HostBuffer {
    /// A buffer of zeros for the GPU to use like this; it needs no usage for mapping.
    ///
    /// # Errors
    /// No memory, or a device that is lost.
    pub(super) fn new(
        gpu: &Gpu,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<HostBuffer, GpuError> {
        let made = HostBuffer::several(gpu, 1, (size, usage))?.pop();
        made.ok_or_else(|| GpuError::Device("no buffer".into()))
    }

    /// As many of them, of one size, in one allocation, which goes with the last of them.
    ///
    /// # Errors
    /// As [`HostBuffer::new`].
    pub(super) fn several(
        gpu: &Gpu,
        count: usize,
        (size, usage): (u64, wgpu::BufferUsages),
    ) -> Result<Vec<HostBuffer>, GpuError> {
        let wrap = |memory: HostMemory| {
            let memory = Arc::new(memory);
            let theirs = Arc::clone(&memory);
            let gone = Box::new(move || drop(theirs));
            // SAFETY: the handle lives as long as `memory`, of which wgpu holds a share until its own buffer is destroyed.
            let raw =
                unsafe { vulkan::Buffer::from_raw_externally_owned(memory.placed.buffer(), gone) };
            let label = Some("host memory");
            let descriptor =
                wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false };
            // SAFETY: it was made on this device with this size, for this usage, and was filled with zeros.
            let buffer = unsafe { gpu.device.create_buffer_from_hal::<Vulkan>(raw, &descriptor) };
            HostBuffer { buffer, memory }
        };
        let memories = HostMemory::several(gpu, count, (size, usage))?;
        Ok(memories.into_iter().map(wrap).collect())
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }

    /// What is in it. Whoever looks has waited for the GPU's work on it, which ended with [`HostBuffer::hand_to_cpu`].
    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// The same, to write to. What is written is seen by work that is submitted later.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let HostMemory { start, len, .. } = *self.memory;
        // SAFETY: the memory is mapped for `len` bytes until it is freed, all of them initialized. Only this value gives out
        // references to it, so this one is alone.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) }
    }

    /// Makes what the work before wrote visible to the CPU, once that work is done.
    pub(super) fn hand_to_cpu(&self, encoder: &mut wgpu::CommandEncoder) {
        let state = wgpu::BufferUses::MAP_READ;
        let transition = wgpu::BufferTransition { buffer: &self.buffer, state };
        encoder.transition_resources([transition].into_iter(), std::iter::empty());
    }
}

/// A buffer in memory that is mapped.
#[derive(Debug)]
struct HostMemory {
    placed: Placed,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: handles and mapped memory belong to no thread; who may look at the bytes and when is the owner's matter.
unsafe impl Send for HostMemory {}
// SAFETY: as above; there is nothing to change through a shared reference.
unsafe impl Sync for HostMemory {}

impl HostMemory {
    fn several(
        gpu: &Gpu,
        count: usize,
        (size, usage): (u64, wgpu::BufferUsages),
    ) -> Result<Vec<HostMemory>, GpuError> {
        let error = |code: vk::Result| GpuError::Device(format!("host memory: {code}"));
        let len = usize::try_from(size).map_err(|e| GpuError::Device(e.to_string()))?;
        // SAFETY: nothing is destroyed through it.
        let device = unsafe { gpu.device.as_hal::<Vulkan>() };
        let device = device.ok_or_else(|| GpuError::Device("it is not Vulkan's".into()))?;
        let raw = device.raw_device();
        let info = vk::BufferCreateInfo::default().size(size).usage(vk_usage(usage));
        let source = Source { device: &gpu.device, raw, held: &gpu.held };
        let placed = place(&source, (count, &info), |needs, _| allocate(&device, needs));
        let placed = placed.map_err(error)?;
        let Some(first) = placed.first() else { return Ok(Vec::new()) };
        // SAFETY: the memory is of this device, can be mapped, and is mapped here once; it is unmapped when it is freed.
        let mapped = unsafe {
            raw.map_memory(first.memory(), 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty())
        };
        let base = NonNull::new(mapped.map_err(error)?.cast::<u8>());
        let base = base.ok_or_else(|| error(vk::Result::ERROR_MEMORY_MAP_FAILED))?;
        let part = |placed: Placed| {
            // SAFETY: the memory is mapped from its first byte on for all of its buffers, each of which has `len` bytes at least.
            let start = unsafe {
                let start = base.add(placed.offset_bytes() as usize);
                start.write_bytes(0, len);
                start
            };
            HostMemory { placed, start, len }
        };
        Ok(placed.into_iter().map(part).collect())
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is mapped for `len` bytes until it is freed, all of them initialized. The GPU writes to it only
        // while its owner holds no reference.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

/// Memory that needs no flushing; cached, where there is such: it is mostly read.
fn allocate(
    device: &vulkan::Device,
    needs: &vk::MemoryRequirements,
) -> Result<vk::DeviceMemory, vk::Result> {
    use vk::MemoryPropertyFlags as Flags;
    let (instance, physical) = (device.shared_instance(), device.raw_physical_device());
    // SAFETY: the adapter is of this instance.
    let all = unsafe { instance.raw_instance().get_physical_device_memory_properties(physical) };
    let seen = Flags::HOST_VISIBLE | Flags::HOST_COHERENT;
    let fits = |(index, kind): &(u32, &vk::MemoryType)| {
        needs.memory_type_bits & (1 << index) != 0 && kind.property_flags.contains(seen)
    };
    // Of equals, the driver's first.
    let kinds = (0..).zip(all.memory_types_as_slice()).filter(fits);
    let best = kinds.min_by_key(|(_, kind)| !kind.property_flags.contains(Flags::HOST_CACHED));
    let (index, _) = best.ok_or(vk::Result::ERROR_FEATURE_NOT_PRESENT)?;
    let info =
        vk::MemoryAllocateInfo::default().allocation_size(needs.size).memory_type_index(index);
    // SAFETY: the device lives, the description is complete.
    unsafe { device.raw_device().allocate_memory(&info, None) }
}

#[cfg(test)]
#[path = "tests/host_memory.rs"]
mod tests;
