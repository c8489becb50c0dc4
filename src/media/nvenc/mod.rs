//! NVENC, the encoder on NVIDIA's cards: found at run time, by really opening a session.
//!
//! Owns NVIDIA's driver libraries, which are opened here and nowhere else, and what of them is held: sessions, contexts,
//! buffers. Must not know streams' stand-ins or queues. Invariants: without the libraries nothing happens and nothing is
//! missing; what was opened is given back in the opposite order, on every path.
//!
//! `driver` opens the libraries (CUDA's next door), `session` is one encode session as `setup` describes it, `direct` feeds it from the device's memory, `encoder` makes packets of
//! pictures with it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

mod direct;
mod driver;
mod encoder;
mod session;
mod setup;

use driver::Driver;
pub use encoder::NvencEncoder;
use session::Session;

use super::cuda::CudaError;
use super::packet::VideoCodec;
use crate::device_memory::DeviceUuid;

/// Quality per bit against speed: P1 is the fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are NVENC's")]
pub enum NvencPreset {
    P1,
    P2,
    P3,
    #[default]
    P4,
    P5,
    P6,
    P7,
}

/// What NVENC is tuned for; B-frames are asked for by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NvencTuning {
    /// Quality first.
    HighQuality,
    /// Every picture leaves at once.
    LowLatency,
    /// The same, with pictures of sizes as even as can be.
    UltraLowLatency,
}

/// How NVENC keeps the bit rate; either way within a buffer (VBV) of 1 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NvencRate {
    /// The same at every moment, without filling up.
    #[default]
    Constant,
    /// Less where less will do.
    Variable,
}

/// How NVENC is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NvencSettings {
    /// Speed.
    pub preset: NvencPreset,
    /// Tuning; none: low latency, or quality where pictures are held anyway, for look-ahead or B-frames.
    pub tuning: Option<NvencTuning>,
    /// Bit rate.
    pub rate: NvencRate,
    /// Sessions of this process at once; 0: as many as the driver gives.
    pub most_sessions: u32,
    /// Directory of `libcuda.so.1` and `libnvidia-encode.so.1`; none: where the system finds libraries.
    pub libraries: Option<PathBuf>,
    /// The graphics adapter, on which NVENC is used where CUDA knows it; none, or another's: the first device that encodes.
    pub adapter: Option<DeviceUuid>,
}

/// Why there is no NVENC, or no session of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNvenc {
    /// The libraries of NVIDIA's driver are not there.
    #[error("there is no NVIDIA driver")]
    NoDriver,
    /// A library is there, and not as it should be.
    #[error("NVIDIA's driver: {0}")]
    BrokenDriver(String),
    /// The driver's NVENC is older than what is asked of it.
    #[error("the driver speaks NVENC {has}, at least {wants} is needed")]
    OldDriver {
        /// What it speaks.
        has: String,
        /// What it must.
        wants: String,
    },
    /// CUDA finds no device.
    #[error("CUDA finds no device ({0})")]
    NoDevice(String),
    /// The device has no encoder: A100, H100, H200.
    #[error("{0} has no NVENC (NV_ENC_ERR_UNSUPPORTED_DEVICE)")]
    NoEncoder(String),
    /// The device does not encode this codec.
    #[error("this card does not encode {0}")]
    NoCodec(&'static str),
    /// No session is free.
    #[error("no session of NVENC is free: {0}")]
    NoSession(String),
    /// The driver refused something else.
    #[error("NVENC: {what}: {reason}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The driver's words.
        reason: String,
    },
}

impl From<CudaError> for NoNvenc {
    fn from(error: CudaError) -> NoNvenc {
        match error {
            CudaError::NoDriver => NoNvenc::NoDriver,
            CudaError::Broken(why) => NoNvenc::BrokenDriver(why),
            CudaError::NoDevice(why) => NoNvenc::NoDevice(why),
            CudaError::Refused { what, reason } => NoNvenc::Refused { what, reason },
        }
    }
}

impl NoNvenc {
    /// One word for it, as on the metrics page.
    pub fn word(&self) -> &'static str {
        match self {
            NoNvenc::NoDriver => "no_driver",
            NoNvenc::BrokenDriver(_) => "broken_driver",
            NoNvenc::OldDriver { .. } => "old_driver",
            NoNvenc::NoDevice(_) => "no_device",
            NoNvenc::NoEncoder(_) => "no_encoder",
            NoNvenc::NoCodec(_) => "no_codec",
            NoNvenc::NoSession(_) => "no_session",
            NoNvenc::Refused { .. } => "refused",
        }
    }
}

/// How NVENC fares in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvencReport {
    /// The device, or why there is none.
    pub device: Result<String, NoNvenc>,
    /// What it says that it encodes; empty before a session was opened.
    pub codecs: Vec<VideoCodec>,
    /// Sessions open now.
    pub sessions: u64,
    /// Sessions opened since the start, probes included.
    pub opened: u64,
    /// Sessions that were asked for and refused.
    pub refused: u64,
    /// Pictures copied from the host into NVENC's buffers.
    pub host_copies: u64,
}

impl NvencReport {
    /// `ready`, or [`NoNvenc::word`].
    pub fn state(&self) -> &'static str {
        self.device.as_ref().map_or_else(NoNvenc::word, |_| "ready")
    }

    /// Whether there is a device that may encode this codec.
    pub fn may_encode(&self, codec: VideoCodec) -> bool {
        self.device.is_ok() && (self.codecs.is_empty() || self.codecs.contains(&codec))
    }

    /// All that [`NvencReport::state`] may say.
    pub const STATES: [&'static str; 9] = [
        "ready",
        "no_driver",
        "broken_driver",
        "old_driver",
        "no_device",
        "no_encoder",
        "no_codec",
        "no_session",
        "refused",
    ];
}

/// A codec and whether a session of it could be opened.
pub type Tried = (VideoCodec, Result<(), NoNvenc>);

type Found = Result<&'static Driver, NoNvenc>;

/// What a driver is found by.
type Wanted = (Option<PathBuf>, Option<DeviceUuid>);

/// The driver of these libraries, for this adapter. They are opened, and its devices tried, when it is first asked for; a driver
/// stays in the process once it is loaded.
fn driver(settings: &NvencSettings) -> Found {
    static FOUND: Mutex<BTreeMap<Wanted, Found>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (settings.libraries.clone(), settings.adapter);
    let opened = found.entry(key).or_insert_with(|| {
        let opened = Driver::open(settings.libraries.as_deref(), settings.adapter);
        match &opened {
            Ok(driver) => tracing::info!(device = driver.device().name, "NVENC is ready"),
            Err(NoNvenc::NoDriver) => {}
            Err(why) => tracing::warn!(%why, "NVENC is not used"),
        }
        opened.map(|driver| &*Box::leak(Box::new(driver)))
    });
    opened.clone()
}

/// How NVENC fares; opens the libraries if nobody has.
pub fn report(settings: &NvencSettings) -> NvencReport {
    match driver(settings) {
        Ok(driver) => driver.report(),
        Err(why) => {
            let codecs = Vec::new();
            NvencReport {
                device: Err(why),
                codecs,
                sessions: 0,
                opened: 0,
                refused: 0,
                host_copies: 0,
            }
        }
    }
}

/// Opens a session of each codec, and closes it.
///
/// # Errors
/// Why there is no NVENC at all.
pub fn codecs(settings: &NvencSettings) -> Result<Vec<Tried>, NoNvenc> {
    let driver = driver(settings)?;
    let tried = VideoCodec::ALL.map(|codec| (codec, Session::probe(driver, codec)));
    Ok(tried.into())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
