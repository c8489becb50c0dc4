//! NVDEC over the simulated driver, for tests of this room: memory and copies, and no decoder.

use super::*;
use crate::gpu::{AdapterChoice, Supply};
use crate::media::nvenc::testing::Simulator;

pub(in crate::media) fn supply() -> Arc<Supply> {
    Arc::new(Supply::open(AdapterChoice::default(), None).unwrap())
}

/// What has a simulated device say that it is the adapter.
pub(in crate::media) fn own_device(supply: &Supply) -> String {
    let digits = supply.exports_as().unwrap().map(|byte| format!("{byte:02x}"));
    format!("uuid={}", digits.concat())
}

/// NVDEC without what decodes, on a simulated device that says it is the adapter.
pub(in crate::media) fn nvdec(simulator: &Simulator, supply: &Arc<Supply>) -> Arc<Nvdec> {
    let cuda = Cuda::resident(simulator.settings().libraries.as_deref()).unwrap();
    let device = cuda.devices().remove(0);
    assert_eq!(Some(device.uuid), supply.exports_as());
    let lender: Arc<dyn Lender> = Arc::<Supply>::clone(supply);
    Arc::new(Nvdec {
        context: cuda.retain(device.id).unwrap(),
        name: device.name,
        decodes: Vec::new(),
        lender,
        streams: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        pictures: AtomicU64::new(0),
        host_copies: AtomicU64::new(0),
    })
}
