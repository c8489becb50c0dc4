//! What other drivers of the same device may open: buffers on exportable memory, and a timeline that work raises.
//!
//! Owns what of Vulkan wgpu keeps to itself. Must not know what is drawn, nor who imports. Invariants: a buffer and its memory go
//! when wgpu says that the device is done with them; a descriptor that was given out stays good; the timeline's value grows
//! with each submission that raises it.

#![expect(unsafe_code, reason = "Vulkan's own interface")]

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::{khr, vk};
use wgpu::hal::api::Vulkan;

use super::GpuError;
use super::block::{Held, Placed, Source, place};
use crate::device_memory::{Allocation, DeviceUuid, Exported, Moment, Timeline};

const OPAQUE: vk::ExternalMemoryHandleTypeFlags = vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD;
/// wgpu does not ask for it.
const SEMAPHORES: &CStr = khr::external_semaphore_fd::NAME;

fn refused(error: vk::Result) -> GpuError {
    GpuError::Device(format!("memory to export: {error}"))
}

/// Opens a device as wgpu does, but with timelines that can be exported, where there are.
pub(super) fn request_device(
    adapter: &wgpu::Adapter,
    descriptor: &wgpu::DeviceDescriptor<'_>,
) -> Option<Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError>> {
    let open = {
        // SAFETY: nothing of it is destroyed.
        let hal = unsafe { adapter.as_hal::<Vulkan>() }?;
        if !hal.physical_device_capabilities().supports_extension(SEMAPHORES) {
            return None;
        }
        let callback: Box<wgpu::hal::vulkan::CreateDeviceCallback<'_>> =
            Box::new(|args| args.extensions.push(SEMAPHORES));
        let (features, limits) = (descriptor.required_features, &descriptor.required_limits);
        // SAFETY: what is added is supported, and it needs no feature.
        unsafe {
            hal.open_with_callback(features, limits, &descriptor.memory_hints, Some(callback))
        }
    };
    // What is refused here is asked for again in the ordinary way, which tells why.
    let open = open.ok()?;
    // SAFETY: the device is the adapter's, opened a moment ago with what the descriptor wants.
    Some(unsafe { adapter.create_device_from_hal::<Vulkan>(open, descriptor) })
}

/// What a device exports.
#[derive(Debug)]
pub(super) struct Interop {
    uuid: DeviceUuid,
    kind: Allocation,
    /// Counts memory, which wgpu does not.
    held: Held,
    /// Held while something is submitted, since what is staged goes with whatever comes next.
    raiser: Mutex<Option<Raiser>>,
}

impl Interop {
    /// Of the device with this UUID; none where memory cannot be exported.
    pub(super) fn of(device: &wgpu::Device, uuid: DeviceUuid, held: &Held) -> Option<Interop> {
        if !device.features().contains(wgpu::Features::VULKAN_EXTERNAL_MEMORY_FD) {
            return None;
        }
        // SAFETY: nothing of it is destroyed.
        let hal = unsafe { device.as_hal::<Vulkan>() }?;
        let instance = hal.shared_instance().raw_instance();
        let physical = hal.raw_physical_device();
        let info = vk::PhysicalDeviceExternalBufferInfo::default()
            .usage(vk_usage(wgpu::BufferUsages::STORAGE))
            .handle_type(OPAQUE);
        let mut answer = vk::ExternalBufferProperties::default();
        // SAFETY: the physical device is the instance's, and external memory came with Vulkan 1.1, which has this.
        unsafe {
            instance.get_physical_device_external_buffer_properties(physical, &info, &mut answer);
        }
        let can = answer.external_memory_properties.external_memory_features;
        if !can.contains(vk::ExternalMemoryFeatureFlags::EXPORTABLE) {
            return None;
        }
        let kind = match can.contains(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY) {
            true => Allocation::Dedicated,
            false => Allocation::Plain,
        };
        let raiser = match hal.enabled_device_extensions().contains(&SEMAPHORES) {
            true => Raiser::new(device, &hal, uuid)
                .inspect_err(|error| tracing::warn!(%error, "no timeline can be exported"))
                .ok(),
            false => None,
        };
        Some(Interop { uuid, kind, held: Arc::clone(held), raiser: Mutex::new(raiser) })
    }

    pub(super) fn uuid(&self) -> DeviceUuid {
        self.uuid
    }

    /// A buffer in the device's memory, which is its alone. What is in it at first is arbitrary.
    pub(super) fn buffer(
        &self,
        device: &wgpu::Device,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Shared, GpuError> {
        let made = self.several(device, 1, (size, usage))?.pop();
        made.ok_or_else(|| refused(vk::Result::ERROR_UNKNOWN))
    }

    /// As many of them, of one size, one behind the other in one allocation where the driver permits that.
    pub(super) fn several(
        &self,
        device: &wgpu::Device,
        count: usize,
        (size, usage): (u64, wgpu::BufferUsages),
    ) -> Result<Vec<Shared>, GpuError> {
        let at_once = match self.kind {
            Allocation::Plain => count,
            Allocation::Dedicated => 1,
        };
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            all.extend(self.block(device, at_once, (size, usage))?);
        }
        Ok(all)
    }

    fn block(
        &self,
        device: &wgpu::Device,
        count: usize,
        (size, usage): (u64, wgpu::BufferUsages),
    ) -> Result<Vec<Shared>, GpuError> {
        // SAFETY: nothing of it is destroyed.
        let hal = unsafe { device.as_hal::<Vulkan>() };
        let hal = hal.ok_or_else(|| GpuError::Lost("the device is gone".into()))?;
        let mut external = vk::ExternalMemoryBufferCreateInfo::default().handle_types(OPAQUE);
        let info = vk::BufferCreateInfo::default()
            .size(size)
            .usage(vk_usage(usage))
            .sharing_mode(vk::SharingMode::EXCLUSIVE)
            .push_next(&mut external);
        let instance = hal.shared_instance().raw_instance();
        // SAFETY: the physical device is the instance's.
        let memories =
            unsafe { instance.get_physical_device_memory_properties(hal.raw_physical_device()) };
        let raw = hal.raw_device();
        let source = Source { device, raw, held: &self.held };
        let placed = place(&source, (count, &info), |needs, first| {
            allocate(raw, (needs, first), (&memories, self.kind))
        });
        let placed = placed.map_err(refused)?;
        let Some(first) = placed.first() else { return Ok(Vec::new()) };
        let opener = khr::external_memory_fd::Device::new(instance, raw);
        let wanted = vk::MemoryGetFdInfoKHR::default().memory(first.memory()).handle_type(OPAQUE);
        // SAFETY: the memory was allocated to be exported like this.
        let descriptor = unsafe { opener.get_memory_fd(&wanted) }.map_err(refused)?;
        // SAFETY: Vulkan has given the descriptor away.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let memory =
            Arc::new(Exported::new(self.uuid, (first.block_bytes(), self.kind), descriptor));
        drop(hal);
        let wrap = |placed: Placed| {
            let (offset_bytes, raw) = (placed.offset_bytes(), placed.buffer());
            // SAFETY: the buffer has its memory, and both live until wgpu drops what is given to it here, after the last work on
            // them and before the device.
            let buffer = unsafe {
                let gone = Box::new(move || drop(placed));
                let hal = wgpu::hal::vulkan::Buffer::from_raw_externally_owned(raw, gone);
                let descriptor = wgpu::BufferDescriptor {
                    label: Some("exported"),
                    size,
                    usage,
                    mapped_at_creation: false,
                };
                device.create_buffer_from_hal::<Vulkan>(hal, &descriptor)
            };
            Shared { buffer, memory: Arc::clone(&memory), offset_bytes }
        };
        Ok(placed.into_iter().map(wrap).collect())
    }

    /// The turn to submit.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn(self.raiser.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The turn to submit; nobody else does meanwhile.
pub(super) struct Turn<'a>(MutexGuard<'a, Option<Raiser>>);

impl Turn<'_> {
    /// Has the submission that comes next raise the timeline; tells to what, where there is one.
    pub(super) fn raise(&mut self, queue: &wgpu::Queue) -> Option<Moment> {
        self.0.as_mut()?.raise(queue)
    }
}

/// The usages of buffers that are made without wgpu.
pub(super) fn vk_usage(usage: wgpu::BufferUsages) -> vk::BufferUsageFlags {
    use wgpu::BufferUsages as U;
    let pairs = [
        (U::STORAGE, vk::BufferUsageFlags::STORAGE_BUFFER),
        (U::COPY_SRC, vk::BufferUsageFlags::TRANSFER_SRC),
        (U::COPY_DST, vk::BufferUsageFlags::TRANSFER_DST),
    ];
    pairs
        .into_iter()
        .filter(|(ours, _)| usage.contains(*ours))
        .fold(vk::BufferUsageFlags::empty(), |all, (_, theirs)| all | theirs)
}

/// A buffer that other drivers may open.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) buffer: wgpu::Buffer,
    pub(super) memory: Arc<Exported>,
    /// Where in the memory it begins.
    pub(super) offset_bytes: u64,
}

/// Memory of the device that can be exported, for buffers of which `first` is one.
fn allocate(
    device: &ash::Device,
    (needs, first): (&vk::MemoryRequirements, vk::Buffer),
    (memories, kind): (&vk::PhysicalDeviceMemoryProperties, Allocation),
) -> Result<vk::DeviceMemory, vk::Result> {
    let kinds = memories.memory_types_as_slice();
    let is_there = |index: &u32| needs.memory_type_bits & (1 << index) != 0;
    let is_local = |index: &u32| {
        let flags = kinds[*index as usize].property_flags;
        flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
    };
    let index = (0..memories.memory_type_count).filter(is_there).find(is_local);
    let index = index.ok_or(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)?;
    let mut export = vk::ExportMemoryAllocateInfo::default().handle_types(OPAQUE);
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(first);
    let mut info = vk::MemoryAllocateInfo::default()
        .allocation_size(needs.size)
        .memory_type_index(index)
        .push_next(&mut export);
    if kind == Allocation::Dedicated {
        info = info.push_next(&mut dedicated);
    }
    // SAFETY: the memory is of a kind that the buffers may have; one that is dedicated is for `first` alone.
    unsafe { device.allocate_memory(&info, None) }
}

/// A timeline semaphore that submissions raise.
#[derive(Debug)]
struct Raiser {
    semaphore: vk::Semaphore,
    timeline: Arc<Timeline>,
    value: u64,
    /// Lives as long.
    device: wgpu::Device,
}

impl Raiser {
    fn new(
        device: &wgpu::Device,
        hal: &wgpu::hal::vulkan::Device,
        uuid: DeviceUuid,
    ) -> Result<Raiser, vk::Result> {
        let mut kind =
            vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let opaque = vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD;
        let mut export = vk::ExportSemaphoreCreateInfo::default().handle_types(opaque);
        let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind).push_next(&mut export);
        let raw = hal.raw_device();
        let opener =
            khr::external_semaphore_fd::Device::new(hal.shared_instance().raw_instance(), raw);
        // SAFETY: the device was opened with the extension, and wgpu has timelines of its own.
        let semaphore = unsafe { raw.create_semaphore(&info, None) }?;
        let wanted = vk::SemaphoreGetFdInfoKHR::default().semaphore(semaphore).handle_type(opaque);
        // SAFETY: it was made to be exported like this.
        let descriptor = unsafe { opener.get_semaphore_fd(&wanted) }.inspect_err(|_| {
            // SAFETY: nobody has it.
            unsafe { raw.destroy_semaphore(semaphore, None) };
        })?;
        // SAFETY: Vulkan has given the descriptor away.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let timeline = Arc::new(Timeline::new(uuid, descriptor));
        Ok(Raiser { semaphore, timeline, value: 0, device: device.clone() })
    }

    fn raise(&mut self, queue: &wgpu::Queue) -> Option<Moment> {
        // SAFETY: nothing of it is destroyed.
        let hal = unsafe { queue.as_hal::<Vulkan>() }?;
        self.value += 1;
        hal.add_signal_semaphore(self.semaphore, Some(self.value));
        Some(Moment { timeline: Arc::clone(&self.timeline), value: self.value })
    }
}

impl Drop for Raiser {
    fn drop(&mut self) {
        // Work that raises it may still be on its way; an error says that none is.
        let _ = self.device.poll(wgpu::PollType::wait_indefinitely());
        // SAFETY: nothing of it is destroyed but our own.
        if let Some(hal) = unsafe { self.device.as_hal::<Vulkan>() } {
            // SAFETY: no work uses it any more. Whoever imported it has a reference of his own.
            unsafe { hal.raw_device().destroy_semaphore(self.semaphore, None) };
        }
    }
}

#[cfg(test)]
#[path = "tests/interop.rs"]
mod tests;
