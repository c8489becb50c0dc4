//! What decodes the video of sources: found once at start, told to whoever asks.
//!
//! Must not know streams. Invariant: without a card, or where software is asked for, nothing of a driver is opened.

use std::sync::Arc;

use crate::catalog::Source;
use crate::config::{Config, DecoderChoice};
use crate::device_memory::Lender;
use crate::gpu::Supply;
use crate::media::nvdec::{Decoder, NoNvdec, Nvdec, NvdecReport};

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Decoders {
    found: Option<Result<Arc<Nvdec>, NoNvdec>>,
}

impl Decoders {
    /// Tries NVDEC on the device in use, unless software is to decode. Blocks while the driver wakes up, a second perhaps.
    pub(super) fn look(config: &Config, gpu: &Arc<Supply>) -> Decoders {
        let found = match config.decoder {
            DecoderChoice::Software => None,
            // Decoded pictures would have to come to the host, one by one.
            DecoderChoice::Auto if gpu.is_software() => Some(Err(NoNvdec::SoftwareAdapter)),
            DecoderChoice::Auto | DecoderChoice::Nvdec => Some(try_nvdec(config, gpu)),
        };
        match (&found, config.decoder) {
            (Some(Ok(nvdec)), _) => {
                let decodes = nvdec.decodes().iter().map(ToString::to_string);
                tracing::info!(
                    decodes = decodes.collect::<Vec<_>>().join("; "),
                    "{nvdec:?} is ready"
                );
            }
            (Some(Err(why)), DecoderChoice::Nvdec) => {
                tracing::error!(%why, "the decoder is to be NVDEC: software decodes");
            }
            (Some(Err(NoNvdec::SoftwareAdapter | NoNvdec::NoDriver)) | None, _) => {}
            (Some(Err(why)), _) => tracing::warn!(%why, "NVDEC is not used"),
        }
        Decoders { found }
    }

    /// What decodes.
    pub(super) fn decoder(&self) -> Decoder {
        match &self.found {
            Some(Ok(nvdec)) => Decoder::Nvdec(Arc::clone(nvdec)),
            Some(Err(_)) | None => Decoder::Software,
        }
    }

    /// Whether the card may have to decode this source; what its codec is, nobody knows before it is opened.
    pub(super) fn may_take(&self, source: &Source) -> bool {
        let is_video = match source {
            Source::Live { .. } => true,
            Source::Vod { place, .. } => !place.url().starts_with("pattern:"),
            Source::Image { .. } => false,
        };
        is_video && matches!(self.found, Some(Ok(_)))
    }

    /// How NVDEC fares, where it is looked for.
    pub(super) fn report(&self) -> Option<NvdecReport> {
        Some(match self.found.as_ref()? {
            Ok(nvdec) => nvdec.report(),
            Err(why) => NvdecReport::none(why.clone()),
        })
    }
}

/// NVDEC on the device in use.
pub(super) fn try_nvdec(config: &Config, gpu: &Arc<Supply>) -> Result<Arc<Nvdec>, NoNvdec> {
    let uuid = gpu.exports_as().ok_or(NoNvdec::OtherDevice)?;
    let lender: Arc<dyn Lender> = Arc::<Supply>::clone(gpu);
    Nvdec::open(config.nvenc.libraries.as_deref(), uuid, lender)
}
