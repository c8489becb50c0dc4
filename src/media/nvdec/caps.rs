//! What a card decodes, as `libnvcuvid.so.1` says it, and what a stream declares itself to be.
//!
//! Must not know decoders. Invariant: only what FFmpeg has a hwaccel for, and whose pictures are laid out as sources may be,
//! is asked for.
#![expect(unsafe_code, reason = "the driver's C interface")]

use std::ffi::{c_int, c_uint};
use std::fmt;
use std::path::Path;

use ffmpeg_next::ffi::{AVCodecID, AVCodecParameters, AVPixelFormat, av_pix_fmt_desc_get};

use super::NoNvdec;
use crate::frame::Size;
use crate::media::cuda::{Context, function, open_library};

/// A codec that NVDEC and FFmpeg's hwaccel know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of codecs")]
pub enum NvdecCodec {
    H264,
    Hevc,
    Vp9,
    Av1,
}

impl NvdecCodec {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            NvdecCodec::H264 => "H.264",
            NvdecCodec::Hevc => "HEVC",
            NvdecCodec::Vp9 => "VP9",
            NvdecCodec::Av1 => "AV1",
        }
    }

    /// `cudaVideoCodec`.
    fn number(self) -> c_int {
        match self {
            NvdecCodec::H264 => 4,
            NvdecCodec::Hevc => 8,
            NvdecCodec::Vp9 => 10,
            NvdecCodec::Av1 => 11,
        }
    }

    fn of(id: AVCodecID) -> Option<NvdecCodec> {
        match id {
            AVCodecID::AV_CODEC_ID_H264 => Some(NvdecCodec::H264),
            AVCodecID::AV_CODEC_ID_HEVC => Some(NvdecCodec::Hevc),
            AVCodecID::AV_CODEC_ID_VP9 => Some(NvdecCodec::Vp9),
            AVCodecID::AV_CODEC_ID_AV1 => Some(NvdecCodec::Av1),
            _ => None,
        }
    }
}

/// What is asked for. FFmpeg's hwaccel of H.264 knows 8 bits alone.
const KINDS: [(NvdecCodec, u32); 7] = [
    (NvdecCodec::H264, 8),
    (NvdecCodec::Hevc, 8),
    (NvdecCodec::Hevc, 10),
    (NvdecCodec::Vp9, 8),
    (NvdecCodec::Vp9, 10),
    (NvdecCodec::Av1, 8),
    (NvdecCodec::Av1, 10),
];

/// Something that a card decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decodes {
    /// The codec, in 4:2:0.
    pub codec: NvdecCodec,
    /// Bits of a sample: 8 or 10.
    pub depth_bits: u32,
    /// Sides of the smallest picture.
    pub least: Size,
    /// Sides of the largest.
    pub most: Size,
    /// Decoders of the card that do it, at once.
    pub engines: u32,
}

impl Decodes {
    pub(super) fn is_of(&self, declared: &Declared) -> bool {
        Some(self.codec) == declared.codec
            && declared.is_420
            && self.depth_bits == declared.depth_bits
    }

    pub(super) fn fits(&self, size: Size) -> bool {
        (self.least.width_px..=self.most.width_px).contains(&size.width_px)
            && (self.least.height_px..=self.most.height_px).contains(&size.height_px)
    }
}

impl fmt::Display for Decodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { width_px, height_px } = self.most;
        let (name, bits) = (self.codec.name(), self.depth_bits);
        write!(f, "{name} {bits} bit up to {width_px}x{height_px}, {} decoders", self.engines)
    }
}

/// What a stream says of itself.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    codec: Option<NvdecCodec>,
    name: &'static str,
    is_420: bool,
    depth_bits: u32,
    pub(super) size: Size,
}

impl Declared {
    pub(super) fn of(parameters: &AVCodecParameters) -> Declared {
        let side = |px: c_int| px.max(0).cast_unsigned();
        // What says nothing is most likely what most is. If not, FFmpeg finds out.
        let (mut is_420, mut depth_bits) = (true, 8);
        if parameters.format > AVPixelFormat::AV_PIX_FMT_NONE as c_int {
            // SAFETY: a stream's format is one of FFmpeg's own; the description is static, or null.
            let description = unsafe {
                let format: AVPixelFormat = std::mem::transmute(parameters.format);
                av_pix_fmt_desc_get(format).as_ref()
            };
            if let Some(description) = description {
                is_420 = (description.log2_chroma_w, description.log2_chroma_h) == (1, 1);
                depth_bits = description.comp[0].depth.max(0).cast_unsigned();
            }
        }
        Declared {
            codec: NvdecCodec::of(parameters.codec_id),
            name: ffmpeg_next::codec::Id::from(parameters.codec_id).name(),
            is_420,
            depth_bits,
            size: Size::new(side(parameters.width), side(parameters.height)),
        }
    }
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.codec.map_or(self.name, NvdecCodec::name);
        let chroma = if self.is_420 { "" } else { " other than 4:2:0" };
        write!(f, "{name} {} bit{chroma}", self.depth_bits)
    }
}

/// `CUVIDDECODECAPS`.
#[repr(C)]
#[derive(Default)]
struct Question {
    codec: c_int,
    chroma: c_int,
    depth_minus_8: c_uint,
    reserved: [c_uint; 3],
    is_supported: u8,
    engines: u8,
    output_formats: u16,
    most_width: c_uint,
    most_height: c_uint,
    most_blocks: c_uint,
    least_width: u16,
    least_height: u16,
    histograms: [u8; 4],
    more: [c_uint; 10],
}

/// `cudaVideoChromaFormat_420`.
const CHROMA_420: c_int = 1;

/// What the context's device decodes.
pub(super) fn of(libraries: Option<&Path>, context: &Context<'_>) -> Result<Vec<Decodes>, NoNvdec> {
    // Containers get it only where they ask for it.
    let library = open_library(libraries, "libnvcuvid.so.1").map_err(|error| {
        let hint = "in a container, NVIDIA_DRIVER_CAPABILITIES must name video";
        NoNvdec::BrokenDriver(format!("{error} ({hint})"))
    })?;
    let ask: unsafe extern "C" fn(*mut Question) -> c_int =
        function(&library, c"cuvidGetDecoderCaps")?;
    let _current = context.current()?;
    let mut all = Vec::with_capacity(KINDS.len());
    for (codec, depth_bits) in KINDS {
        let mut question = Question {
            codec: codec.number(),
            chroma: CHROMA_420,
            depth_minus_8: depth_bits - 8,
            ..Question::default()
        };
        // SAFETY: the struct is as the header has it, with what is asked filled in; a context is current.
        let code = unsafe { ask(&mut question) };
        if code == 0 && question.is_supported != 0 {
            all.push(Decodes {
                codec,
                depth_bits,
                least: Size::new(question.least_width.into(), question.least_height.into()),
                most: Size::new(question.most_width, question.most_height),
                engines: u32::from(question.engines).max(1),
            });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_as_long_as_the_headers() {
        assert_eq!(size_of::<Question>(), 88);
    }
}
