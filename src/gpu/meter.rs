//! How busy the card is, as NVIDIA's management library tells it; found at run time.
//!
//! Must not know what keeps it busy. Invariants: without the library, or for an adapter that it does not know, nothing is told
//! and nothing is asked again; what a card does not tell is left out.

use std::fmt;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::PcieUtilCounter;
use nvml_wrapper::error::NvmlError;

use super::adapter::GpuInfo;

/// The library as drivers install it; the name without a version is a developer's.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// Bytes a second that a lane of PCI Express carries, by generation from the first on, after coding.
const LANE_BYTES: [u64; 6] =
    [250_000_000, 500_000_000, 984_600_000, 1_969_000_000, 3_938_000_000, 7_563_000_000];

/// What a card tells of itself; all programs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardLoad {
    /// Time in which something ran on it, percent.
    pub busy_percent: Option<u32>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// All of its memory, bytes.
    pub memory_total_bytes: Option<u64>,
    /// How busy its encoders are, percent.
    pub encoder_percent: Option<u32>,
    /// How busy its decoders are, percent.
    pub decoder_percent: Option<u32>,
    /// What its bus carries at most, each way, bytes a second.
    pub bus_bytes_per_s: Option<u64>,
}

impl fmt::Display for CardLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let percent = |what: &str, of: Option<u32>| of.map(|percent| format!("{what} {percent} %"));
        let memory = self.memory_used_bytes.zip(self.memory_total_bytes);
        let parts = [
            percent("busy", self.busy_percent),
            memory.map(|(used, all)| format!("{:.1} of {:.1} GiB in use", gib(used), gib(all))),
            percent("encoders", self.encoder_percent),
            percent("decoders", self.decoder_percent),
            self.bus_bytes_per_s.map(|bytes| format!("bus {:.0} GB/s", bytes as f64 / 1e9)),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// What a card's bus carries, all programs together, bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusLoad {
    /// To the host, now.
    pub from_card_bytes_per_s: u64,
    /// At most, each way.
    pub most_bytes_per_s: u64,
}

/// Who asks the library about one card.
pub(super) struct Meter(Option<(Nvml, String)>);

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meter({:?})", self.0.as_ref().map(|(_, uuid)| uuid))
    }
}

impl Meter {
    /// For this adapter.
    pub(super) fn of(info: &GpuInfo) -> Meter {
        let uuid = info.uuid_text().filter(|_| !info.software);
        let found = uuid.and_then(|uuid| {
            let library = Nvml::builder().lib_path(LIBRARY.as_ref()).init();
            let nvml = library.inspect_err(|error| tracing::debug!(%error, "no NVML")).ok()?;
            let is_known = nvml.device_by_uuid(uuid.as_str()).map(drop);
            if let Err(error) = is_known {
                tracing::warn!(%error, "NVML does not know the adapter");
                return None;
            }
            Some((nvml, uuid))
        });
        Meter(found)
    }

    /// What it tells now; none where there is no such library or card.
    pub(super) fn load(&self) -> Option<CardLoad> {
        let (nvml, uuid) = self.0.as_ref()?;
        let card = nvml.device_by_uuid(uuid.as_str()).ok()?;
        let memory = card.memory_info().ok();
        Some(CardLoad {
            busy_percent: card.utilization_rates().ok().map(|rates| rates.gpu),
            memory_used_bytes: memory.as_ref().map(|memory| memory.used),
            memory_total_bytes: memory.as_ref().map(|memory| memory.total),
            encoder_percent: card.encoder_utilization().ok().map(|load| load.utilization),
            decoder_percent: card.decoder_utilization().ok().map(|load| load.utilization),
            bus_bytes_per_s: bus_bytes(card.max_pcie_link_gen(), card.max_pcie_link_width()),
        })
    }
}

impl Meter {
    /// How busy its decoders are, all programs together, 0 to 1.
    pub(super) fn decoders(&self) -> Option<f64> {
        let (nvml, uuid) = self.0.as_ref()?;
        let card = nvml.device_by_uuid(uuid.as_str()).ok()?;
        Some(f64::from(card.decoder_utilization().ok()?.utilization) / 100.0)
    }

    /// What its bus carries now; the card counts for a fiftieth of a second.
    pub(super) fn bus(&self) -> Option<BusLoad> {
        let (nvml, uuid) = self.0.as_ref()?;
        let card = nvml.device_by_uuid(uuid.as_str()).ok()?;
        let most_bytes_per_s = bus_bytes(card.max_pcie_link_gen(), card.max_pcie_link_width())?;
        let kib = card.pcie_throughput(PcieUtilCounter::Send).ok()?;
        Some(BusLoad { from_card_bytes_per_s: u64::from(kib) * 1024, most_bytes_per_s })
    }
}

/// What a link carries each way, bytes a second.
fn bus_bytes(generation: Result<u32, NvmlError>, lanes: Result<u32, NvmlError>) -> Option<u64> {
    let generation = generation.ok()?.checked_sub(1)?;
    let lane = LANE_BYTES.get(generation as usize).or(LANE_BYTES.last())?;
    lanes.ok().map(|lanes| lane * u64::from(lanes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_carries_what_its_lanes_do() {
        for (generation, lanes, bytes) in [
            (Ok(5), Ok(16), Some(63_008_000_000)),
            (Ok(3), Ok(8), Some(7_876_800_000)),
            // A later generation carries what we know at least.
            (Ok(9), Ok(1), Some(7_563_000_000)),
            (Ok(0), Ok(16), None),
            (Err(NvmlError::NotSupported), Ok(16), None),
            (Ok(4), Err(NvmlError::NotSupported), None),
        ] {
            assert_eq!(bus_bytes(generation, lanes), bytes);
        }
    }

    #[test]
    fn what_a_card_does_not_tell_is_left_out() {
        let load = CardLoad {
            busy_percent: Some(7),
            memory_used_bytes: Some(3 << 29),
            memory_total_bytes: Some(80 << 30),
            decoder_percent: Some(0),
            ..CardLoad::default()
        };
        assert_eq!(load.to_string(), "busy 7 %, 1.5 of 80.0 GiB in use, decoders 0 %");
        assert_eq!(CardLoad::default().to_string(), "");
    }

    #[test]
    fn a_software_adapter_is_not_asked_about() {
        let info = GpuInfo {
            name: String::new(),
            driver: String::new(),
            pci: String::new(),
            uuid: Some([1; 16]),
            software: true,
        };
        assert_eq!(Meter::of(&info).load(), None);
    }
}
