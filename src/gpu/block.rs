//! Blocks of Vulkan's memory that buffers lie in, one behind the other.
//!
//! An allocation takes a driver long, and some have room for a few thousand only, so that buffers of one kind share one. Must not
//! know what they are for. Invariant: a block goes with the last of its buffers, and before the device.

#![expect(unsafe_code, reason = "Vulkan's own memory, which wgpu has no safe word for")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use ash::vk;

/// Buffers begin at multiples of it: what CUDA's own allocations are aligned to at least (CUDA C++ Programming Guide, "Device
/// Memory Accesses"), which is what encoders and decoders there are used to.
const ALIGNMENT_BYTES: u64 = 256;

/// Bytes of such memory on a device.
pub(super) type Held = Arc<AtomicIsize>;

/// An allocation.
struct Block {
    /// Vulkan's functions of the device.
    raw: ash::Device,
    memory: vk::DeviceMemory,
    bytes: u64,
    held: Held,
    /// Keeps the device that the memory is of; goes after it.
    _device: wgpu::Device,
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: its buffers are gone, each of which held a share of it, and the device is alive.
        unsafe { self.raw.free_memory(self.memory, None) };
        self.held.fetch_sub(self.bytes as isize, Ordering::Relaxed);
    }
}

/// A buffer in a block.
pub(super) struct Placed {
    raw: ash::Device,
    buffer: vk::Buffer,
    offset_bytes: u64,
    // Behind the buffer, which goes first. None until the buffer is in it.
    block: Option<Arc<Block>>,
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placed").field("offset_bytes", &self.offset_bytes).finish_non_exhaustive()
    }
}

impl Placed {
    pub(super) fn buffer(&self) -> vk::Buffer {
        self.buffer
    }

    /// Where in the block it begins.
    pub(super) fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// Bytes of the whole block.
    pub(super) fn block_bytes(&self) -> u64 {
        self.block.as_ref().map_or(0, |block| block.bytes)
    }

    pub(super) fn memory(&self) -> vk::DeviceMemory {
        self.block.as_ref().map_or(vk::DeviceMemory::null(), |block| block.memory)
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // SAFETY: whoever dropped it says that nobody uses the buffer any more; the device is alive, since the block is, or the
        // caller of `place`.
        unsafe { self.raw.destroy_buffer(self.buffer, None) };
    }
}

/// Where blocks come from.
pub(super) struct Source<'a> {
    pub(super) device: &'a wgpu::Device,
    pub(super) raw: &'a ash::Device,
    /// Counts what is held.
    pub(super) held: &'a Held,
}

/// Makes `count` buffers of a kind in one block, whose memory is allocated by `allocate`: it is told what they need together, and
/// one of them.
pub(super) fn place(
    source: &Source<'_>,
    (count, kind): (usize, &vk::BufferCreateInfo<'_>),
    allocate: impl FnOnce(&vk::MemoryRequirements, vk::Buffer) -> Result<vk::DeviceMemory, vk::Result>,
) -> Result<Vec<Placed>, vk::Result> {
    let raw = source.raw;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        // SAFETY: the device is alive, the description is complete.
        let buffer = unsafe { raw.create_buffer(kind, None) }?;
        all.push(Placed { raw: raw.clone(), buffer, offset_bytes: 0, block: None });
    }
    let Some(first) = all.first() else { return Ok(all) };
    // SAFETY: the buffer is of this device. The others are like it, and need the same.
    let mut needs = unsafe { raw.get_buffer_memory_requirements(first.buffer) };
    let stride = needs.size.next_multiple_of(needs.alignment.max(ALIGNMENT_BYTES));
    needs.size = stride * count as u64;
    let memory = allocate(&needs, first.buffer)?;
    let held = Arc::clone(source.held);
    held.fetch_add(needs.size as isize, Ordering::Relaxed);
    let (raw, device, bytes) = (raw.clone(), source.device.clone(), needs.size);
    let block = Arc::new(Block { raw, memory, bytes, held, _device: device });
    for (index, placed) in (0..).zip(&mut all) {
        placed.offset_bytes = index * stride;
        // SAFETY: buffer and memory are of this device, the buffer has none yet, and the memory is for all of them.
        unsafe { source.raw.bind_buffer_memory(placed.buffer, memory, placed.offset_bytes) }?;
        placed.block = Some(Arc::clone(&block));
    }
    Ok(all)
}
