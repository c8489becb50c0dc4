//! Adapters: what there is, and which one is meant.
//!
//! Must not know what is drawn. Invariant: a choice is one adapter or a refusal that names all there are.
#![expect(unsafe_code, reason = "the UUID is Vulkan's own to tell, and CUDA and NVML go by it")]

use std::fmt;

use super::GpuError;
use super::device::ready;
use crate::device_memory::DeviceUuid;

/// Which adapter to use: an index of [`Gpu::adapters`](super::Gpu::adapters), a PCI address (`0000:3b:00.0`, leading zeros or
/// the domain may be missing), a UUID as `nvidia-smi -L` has it (`GPU-…`, or as many of its digits as are clear) or a part of a
/// name (any case); `None` is the best one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdapterChoice(pub Option<String>);

/// What an adapter is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// Name of the device.
    pub name: String,
    /// Name and version of its driver.
    pub driver: String,
    /// Where it is on the PCI bus, domain:bus:device.function; empty where it is on none.
    pub pci: String,
    /// What CUDA and NVML know the device by; none where Vulkan is too old to tell.
    pub uuid: Option<DeviceUuid>,
    /// It is the CPU: pictures are copied where they can be and read back for nothing.
    pub software: bool,
}

impl GpuInfo {
    /// The UUID as NVIDIA's tools write it: `GPU-` and five groups of digits.
    pub fn uuid_text(&self) -> Option<String> {
        self.uuid.map(|uuid| format!("GPU-{}", uuid::Uuid::from_bytes(uuid)))
    }
}

impl fmt::Display for GpuInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.software { "software" } else { "hardware" };
        write!(f, "{} ({}, {kind}", self.name, self.driver)?;
        if !self.pci.is_empty() {
            write!(f, ", PCI {}", self.pci)?;
        }
        match self.uuid_text().filter(|_| !self.software) {
            Some(uuid) => write!(f, ", {uuid})"),
            None => write!(f, ")"),
        }
    }
}

pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::VULKAN,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    ready(instance.enumerate_adapters(wgpu::Backends::VULKAN)).unwrap_or_default()
}

/// The chosen adapter; without a choice, the first of the kind that is likely fastest.
pub(super) fn pick(
    mut adapters: Vec<wgpu::Adapter>,
    choice: &AdapterChoice,
) -> Result<wgpu::Adapter, GpuError> {
    let infos: Vec<GpuInfo> = adapters.iter().map(info_of).collect();
    let index = match &choice.0 {
        None => {
            let rank = |i: &usize| rank(adapters[*i].get_info().device_type);
            (0..adapters.len()).min_by_key(rank).ok_or(GpuError::NoAdapter)?
        }
        Some(_) if adapters.is_empty() => return Err(GpuError::NoAdapter),
        Some(wanted) => find(&infos, wanted).ok_or_else(|| {
            let found = infos.into_iter().map(|info| info.name).collect();
            GpuError::NoSuchAdapter { wanted: wanted.clone(), found }
        })?,
    };
    Ok(adapters.swap_remove(index))
}

fn find(infos: &[GpuInfo], wanted: &str) -> Option<usize> {
    let by_index = wanted.parse().ok().filter(|index| *index < infos.len());
    let wanted = wanted.to_lowercase();
    let address = pci_address(&wanted);
    let is_there = |info: &GpuInfo| address.is_some() && pci_address(&info.pci) == address;
    let by_address = || infos.iter().position(is_there);
    let by_name = || infos.iter().position(|info| info.name.to_lowercase().contains(&wanted));
    by_index.or_else(by_address).or_else(|| by_uuid(infos, &wanted)).or_else(by_name)
}

/// The one adapter whose UUID begins like this; without `gpu-` before it, it must be all of it.
fn by_uuid(infos: &[GpuInfo], wanted: &str) -> Option<usize> {
    let all = infos.iter().map(|info| info.uuid_text().unwrap_or_default().to_lowercase());
    let is_meant = |text: &String| match wanted.strip_prefix("gpu-") {
        Some(digits) => !digits.is_empty() && text.starts_with(wanted),
        None => text.strip_prefix("gpu-") == Some(wanted),
    };
    let mut meant = all.enumerate().filter(|(_, text)| is_meant(text));
    let (index, _) = meant.next()?;
    meant.next().is_none().then_some(index)
}

/// Domain, bus, and device with function. Tools write the domain with four digits, with eight, or not at all.
fn pci_address(text: &str) -> Option<(u32, u32, &str)> {
    let (bus, device) = text.rsplit_once(':')?;
    let (domain, bus) = bus.rsplit_once(':').unwrap_or(("0", bus));
    let hex = |digits| u32::from_str_radix(digits, 16).ok();
    Some((hex(domain)?, hex(bus)?, device))
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

pub(super) fn info_of(adapter: &wgpu::Adapter) -> GpuInfo {
    let info = adapter.get_info();
    GpuInfo {
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        pci: info.device_pci_bus_id.to_lowercase(),
        uuid: uuid_of(adapter),
        software: info.device_type == wgpu::DeviceType::Cpu,
        name: info.name,
    }
}

/// What Vulkan 1.1 says; wgpu keeps it to itself.
fn uuid_of(adapter: &wgpu::Adapter) -> Option<DeviceUuid> {
    // SAFETY: nothing of it is destroyed.
    let adapter = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let shared = adapter.shared_instance();
    let (instance, device) = (shared.raw_instance(), adapter.raw_physical_device());
    // SAFETY: the physical device is the instance's.
    let plain = unsafe { instance.get_physical_device_properties(device) };
    if shared.instance_api_version().min(plain.api_version) < ash::vk::API_VERSION_1_1 {
        return None;
    }
    let mut ids = ash::vk::PhysicalDeviceIDProperties::default();
    let mut properties = ash::vk::PhysicalDeviceProperties2::default().push_next(&mut ids);
    // SAFETY: as above, and both structs are what Vulkan 1.1 fills in.
    unsafe { instance.get_physical_device_properties2(device, &mut properties) };
    Some(ids.device_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_found_by_index_address_uuid_or_part_of_a_name() {
        let info = |name: &str, pci: &str, first: u8| GpuInfo {
            name: name.into(),
            driver: String::new(),
            pci: pci.into(),
            uuid: (first > 0).then(|| std::array::from_fn(|i| first + i as u8)),
            software: pci.is_empty(),
        };
        let infos = [
            info("NVIDIA H200", "0000:3b:00.0", 0x1a),
            info("llvmpipe (LLVM 15)", "", 0),
            info("NVIDIA H200", "0000:5e:00.0", 0x1b),
        ];
        let whole = infos[2].uuid_text().unwrap();
        assert_eq!(whole, "GPU-1b1c1d1e-1f20-2122-2324-25262728292a");
        for (wanted, index) in [
            ("0", Some(0)),
            ("2", Some(2)),
            ("LLVM", Some(1)),
            ("h200", Some(0)),
            ("0000:5e:00.0", Some(2)),
            ("00000000:5E:00.0", Some(2)),
            ("5e:00.0", Some(2)),
            ("e:00.0", None),
            ("0000:5f:00.0", None),
            ("1:5e:00.0", None),
            ("intel", None),
            // Beyond the last index, digits are a part of a name.
            ("15", Some(1)),
            (&whole, Some(2)),
            (&whole.to_uppercase(), Some(2)),
            (&whole[4..], Some(2)),
            ("GPU-1b1c", Some(2)),
            // Not clear, not there, no UUID without all of it.
            ("GPU-1", None),
            ("GPU-", None),
            ("GPU-1c", None),
            ("1b1c1d1e", None),
        ] {
            assert_eq!(find(&infos, wanted), index, "{wanted}");
        }
    }

    #[test]
    fn every_adapter_of_this_machine_has_an_uuid_of_its_own() {
        let adapters = enumerate();
        let infos: Vec<GpuInfo> = adapters.iter().map(info_of).collect();
        for (index, info) in infos.iter().enumerate() {
            let uuid = info.uuid_text().expect("Vulkan 1.1 is what wgpu needs");
            assert_eq!(find(&infos, &uuid), Some(index), "{info}");
        }
        assert!(!infos.is_empty());
    }
}
