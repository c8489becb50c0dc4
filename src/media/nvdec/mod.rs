//! NVDEC, the decoder on NVIDIA's cards, by FFmpeg's CUDA hwaccel: found at run time, on the very card that composes.
//!
//! Owns what of the card decoders hold: a stream of CUDA's work each, and the memory that their pictures go round in. Must not
//! know containers. Invariants: without the driver's libraries nothing happens and nothing is missing; a decoded frame of
//! NVDEC's is held for as long as it takes to copy it into memory that the graphics device reads.
//!
//! `caps` is what the card decodes, `stream` a decoder's place on it, `surface` the memory of its pictures.
#![expect(unsafe_code, reason = "what a stream declares is FFmpeg's, by pointer")]

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ffmpeg_next::ffi;

mod caps;
mod stream;
mod surface;

pub use caps::{Decodes, NvdecCodec};
pub(super) use stream::{CardStream, is_on_card};

use super::cuda::{Context, Cuda, CudaError};
use super::open::StreamInfo;
use crate::device_memory::{DeviceUuid, Lender};
use crate::frame::Size;

/// Why there is no NVDEC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNvdec {
    /// Pictures are composed by the CPU, which decodes them too.
    #[error("pictures are composed by the CPU, which decodes them too")]
    SoftwareAdapter,
    /// The libraries of NVIDIA's driver are not there.
    #[error("there is no NVIDIA driver")]
    NoDriver,
    /// A library is not there, or not as it should be.
    #[error("NVIDIA's driver: {0}")]
    BrokenDriver(String),
    /// CUDA finds no device at all.
    #[error("CUDA finds no device ({0})")]
    NoDevice(String),
    /// None of CUDA's devices is the one that composes.
    #[error("CUDA does not see the adapter that composes")]
    OtherDevice,
    /// The device decodes none of what sources come in.
    #[error("{0} decodes nothing")]
    NoDecoder(String),
    /// The driver or FFmpeg refused something else.
    #[error("NVDEC: {what}: {reason}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// Their words.
        reason: String,
    },
}

impl NoNvdec {
    /// One word for it, as on the metrics page.
    pub fn word(&self) -> &'static str {
        match self {
            NoNvdec::SoftwareAdapter => "software_adapter",
            NoNvdec::NoDriver => "no_driver",
            NoNvdec::BrokenDriver(_) => "broken_driver",
            NoNvdec::NoDevice(_) => "no_device",
            NoNvdec::OtherDevice => "other_device",
            NoNvdec::NoDecoder(_) => "no_decoder",
            NoNvdec::Refused { .. } => "refused",
        }
    }
}

impl From<CudaError> for NoNvdec {
    fn from(error: CudaError) -> NoNvdec {
        match error {
            CudaError::NoDriver => NoNvdec::NoDriver,
            CudaError::Broken(why) => NoNvdec::BrokenDriver(why),
            CudaError::NoDevice(why) => NoNvdec::NoDevice(why),
            CudaError::Refused { what, reason } => NoNvdec::Refused { what, reason },
        }
    }
}

/// What decodes the video of sources.
#[derive(Clone, Debug, Default)]
pub enum Decoder {
    /// The CPU.
    #[default]
    Software,
    /// The card, and the CPU what the card does not.
    Nvdec(Arc<Nvdec>),
}

/// What decodes a stream's video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodedBy {
    /// `nvdec` or `software`; empty before the first picture, and where there is no video.
    pub name: &'static str,
    /// Why not NVDEC, where there is one.
    pub refused: Option<String>,
}

/// How NVDEC fares in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NvdecReport {
    /// The device, or why there is none.
    pub device: Result<String, NoNvdec>,
    /// Streams that are decoded on it now.
    pub streams: u64,
    /// Streams that were to be decoded on it since the start, and that software took.
    pub refused: u64,
    /// Pictures decoded.
    pub pictures: u64,
    /// Pictures copied to the host, because somebody asked for them there or there was no memory that the compositor reads.
    pub host_copies: u64,
}

impl NvdecReport {
    /// That of a process without NVDEC.
    pub fn none(why: NoNvdec) -> NvdecReport {
        NvdecReport { device: Err(why), streams: 0, refused: 0, pictures: 0, host_copies: 0 }
    }

    /// `ready`, or [`NoNvdec::word`].
    pub fn state(&self) -> &'static str {
        self.device.as_ref().map_or_else(NoNvdec::word, |_| "ready")
    }

    /// All that [`NvdecReport::state`] may say.
    pub const STATES: [&'static str; 8] = [
        "ready",
        "software_adapter",
        "no_driver",
        "broken_driver",
        "no_device",
        "other_device",
        "no_decoder",
        "refused",
    ];
}

/// NVDEC on one device.
pub struct Nvdec {
    context: Context<'static>,
    name: String,
    decodes: Vec<Decodes>,
    lender: Arc<dyn Lender>,
    streams: AtomicU64,
    refused: AtomicU64,
    pictures: AtomicU64,
    host_copies: AtomicU64,
}

impl fmt::Debug for Nvdec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NVDEC on {}", self.name)
    }
}

impl Nvdec {
    /// Opens the libraries, of a directory or where the system finds them, and tries the device that `lender` lends memory of.
    /// The libraries stay in the process.
    ///
    /// # Errors
    /// Why there is no NVDEC.
    pub fn open(
        libraries: Option<&Path>,
        uuid: DeviceUuid,
        lender: Arc<dyn Lender>,
    ) -> Result<Arc<Nvdec>, NoNvdec> {
        let cuda = Cuda::resident(libraries)?;
        let devices = cuda.devices();
        let device = devices.into_iter().find(|device| device.uuid == uuid);
        let device = device.ok_or(NoNvdec::OtherDevice)?;
        let context = cuda.retain(device.id)?;
        let decodes = caps::of(libraries, &context)?;
        if decodes.is_empty() {
            return Err(NoNvdec::NoDecoder(device.name));
        }
        // FFmpeg looks for the driver by itself, and wants more of it.
        stream::try_ffmpeg(&context)?;
        let count = AtomicU64::default;
        Ok(Arc::new(Nvdec {
            context,
            name: device.name,
            decodes,
            lender,
            streams: count(),
            refused: count(),
            pictures: count(),
            host_copies: count(),
        }))
    }

    /// What it decodes, of what sources come in.
    pub fn decodes(&self) -> &[Decodes] {
        &self.decodes
    }

    /// How it fares.
    pub fn report(&self) -> NvdecReport {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        NvdecReport {
            device: Ok(self.name.clone()),
            streams: count(&self.streams),
            refused: count(&self.refused),
            pictures: count(&self.pictures),
            host_copies: count(&self.host_copies),
        }
    }

    /// A place for the decoder of a stream.
    ///
    /// # Errors
    /// Why the card does not decode this one.
    pub(super) fn place(self: &Arc<Nvdec>, stream: &StreamInfo) -> Result<CardStream, String> {
        // SAFETY: the parameters belong to an open container.
        let declared = unsafe { caps::Declared::of(&*stream.parameters) };
        let taken = self
            .takes(&declared)
            .and_then(|()| CardStream::open(self).map_err(|why: NoNvdec| why.to_string()));
        taken.inspect_err(|_| self.count_refused())
    }

    fn takes(&self, declared: &caps::Declared) -> Result<(), String> {
        let Size { width_px, height_px } = declared.size;
        let of_kind = self.decodes.iter().find(|decodes| decodes.is_of(declared));
        match of_kind {
            None => Err(format!("{} does not decode {declared}", self.name)),
            Some(decodes) if !decodes.fits(declared.size) => {
                Err(format!("{} does not decode {declared} of {width_px}x{height_px}", self.name))
            }
            Some(_) => Ok(()),
        }
    }

    pub(super) fn count_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    fn count_host_copy(&self) {
        self.host_copies.fetch_add(1, Ordering::Relaxed);
    }
}

/// What FFmpeg says of a code.
fn words(code: i32) -> String {
    ffmpeg_next::Error::from(code).to_string()
}

/// A refusal of FFmpeg's, if the code is one.
fn done(what: &'static str, code: i32) -> Result<(), NoNvdec> {
    match code {
        0.. => Ok(()),
        ffi::AVERROR_EXTERNAL | ffi::AVERROR_UNKNOWN => {
            Err(NoNvdec::Refused { what, reason: "FFmpeg's loader of the driver gave up".into() })
        }
        code => Err(NoNvdec::Refused { what, reason: words(code) }),
    }
}

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
