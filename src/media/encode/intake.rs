//! Where an encoder takes pictures from.
//!
//! Must not know how. Invariant: what was refused once stays refused for as long as the encoder lives.

use std::sync::{Arc, OnceLock};

use crate::device_memory::DeviceUuid;

/// The host's memory, and perhaps a device's. All clones tell of the same encoder.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    device: Option<DeviceUuid>,
    refused: Arc<OnceLock<String>>,
}

impl Intake {
    /// Of an encoder on this device.
    pub fn of(device: DeviceUuid) -> Intake {
        Intake { device: Some(device), refused: Arc::default() }
    }

    /// The device whose memory it takes pictures from, without the host.
    pub fn device(&self) -> Option<DeviceUuid> {
        self.device.filter(|_| self.refused.get().is_none())
    }

    /// Why it takes them from the host after all.
    pub fn refused(&self) -> Option<&str> {
        self.refused.get().map(String::as_str)
    }

    pub(in crate::media) fn refuse(&self, why: String) {
        // The first reason is the one that is told.
        let _ = self.refused.set(why);
    }
}
