//! What a session is asked for in the struct of its codec.
//!
//! Must not know the rest of it. Invariant: of the union only the member is read that belongs to the codec.

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS::*;

use crate::session::{Refusal, wrong};
use crate::software::Codec;

/// The driver chooses the level of AV1, where 0 is one.
pub const AV1_LEVEL_AUTO: u32 = nv::NV_ENC_LEVEL::NV_ENC_LEVEL_AV1_AUTOSELECT as u32;

/// Chroma between two rows, on the left, as AV1 numbers it.
const AV1_CHROMA_LEFT: u32 = 1;

/// See the module.
pub struct OfCodec {
    pub codec: Codec,
    pub profile: &'static str,
    /// None: the driver chooses.
    pub level: Option<u32>,
    pub idr_period: u32,
    pub repeats_sets: bool,
    /// Primaries, transfer and matrix, where they are to be told.
    pub colors: Option<[u32; 3]>,
    pub full_range: bool,
    pub chroma_left: bool,
}

/// Of a codec that is there, checked.
pub fn checked(codec: nv::GUID, config: &nv::NV_ENC_CONFIG) -> Result<OfCodec, Refusal> {
    let profile = profile(codec, config.profileGUID);
    let profile = profile
        .ok_or(wrong(NV_ENC_ERR_UNSUPPORTED_PARAM, "a profile that this codec does not have"))?;
    let of_codec = &config.encodeCodecConfig;
    let (of_codec, chroma_format) = match codec {
        // SAFETY: the union holds plain numbers; the caller wrote the codec's member.
        nv::NV_ENC_CODEC_AV1_GUID => unsafe { of_av1(&of_codec.av1Config, profile) }?,
        // SAFETY: as above.
        nv::NV_ENC_CODEC_HEVC_GUID => unsafe { of_hevc(&of_codec.hevcConfig, profile) },
        // SAFETY: as above.
        _ => unsafe { of_avc(&of_codec.h264Config, profile) },
    };
    match chroma_format {
        1 => Ok(of_codec),
        _ => Err(wrong(NV_ENC_ERR_INVALID_PARAM, "NV12 that is not 4:2:0")),
    }
}

fn profile(codec: nv::GUID, profile: nv::GUID) -> Option<&'static str> {
    match (codec, profile) {
        (nv::NV_ENC_CODEC_H264_GUID, nv::NV_ENC_H264_PROFILE_BASELINE_GUID) => Some("baseline"),
        (nv::NV_ENC_CODEC_H264_GUID, nv::NV_ENC_H264_PROFILE_MAIN_GUID) => Some("main"),
        (nv::NV_ENC_CODEC_H264_GUID, nv::NV_ENC_H264_PROFILE_HIGH_GUID) => Some("high"),
        (nv::NV_ENC_CODEC_HEVC_GUID, nv::NV_ENC_HEVC_PROFILE_MAIN_GUID) => Some("main"),
        (nv::NV_ENC_CODEC_AV1_GUID, nv::NV_ENC_AV1_PROFILE_MAIN_GUID) => Some("main"),
        _ => None,
    }
}

/// And its chroma format, as the SDK numbers it: 1 is 4:2:0.
fn of_avc(avc: &nv::NV_ENC_CONFIG_H264, profile: &'static str) -> (OfCodec, u32) {
    let of_codec = OfCodec {
        codec: Codec::Avc,
        profile,
        level: Some(avc.level).filter(|level| *level > 0),
        idr_period: avc.idrPeriod,
        repeats_sets: avc.repeatSPSPPS() == 1,
        ..described(&avc.h264VUIParameters)
    };
    (of_codec, avc.chromaFormatIDC)
}

fn of_hevc(hevc: &nv::NV_ENC_CONFIG_HEVC, profile: &'static str) -> (OfCodec, u32) {
    let of_codec = OfCodec {
        codec: Codec::Hevc,
        profile,
        level: Some(hevc.level).filter(|level| *level > 0),
        idr_period: hevc.idrPeriod,
        repeats_sets: hevc.repeatSPSPPS() == 1,
        ..described(&hevc.hevcVUIParameters)
    };
    (of_codec, hevc.chromaFormatIDC())
}

/// What the struct says that both have; all else is the codec's.
fn described(vui: &nv::NV_ENC_CONFIG_H264_VUI_PARAMETERS) -> OfCodec {
    let is_described = vui.videoSignalTypePresentFlag == 1 && vui.colourDescriptionPresentFlag == 1;
    let colors =
        [vui.colourPrimaries as u32, vui.transferCharacteristics as u32, vui.colourMatrix as u32];
    OfCodec {
        codec: Codec::Avc,
        profile: "",
        level: None,
        idr_period: 0,
        repeats_sets: false,
        colors: is_described.then_some(colors),
        full_range: vui.videoFullRangeFlag == 1,
        chroma_left: vui.chromaSampleLocationFlag == 1 && vui.chromaSampleLocationTop == 0,
    }
}

fn of_av1(av1: &nv::NV_ENC_CONFIG_AV1, profile: &'static str) -> Result<(OfCodec, u32), Refusal> {
    if av1.level > AV1_LEVEL_AUTO || av1.tier > 1 {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a level or tier that AV1 does not have"));
    }
    if av1.repeatSeqHdr() == 1 && av1.disableSeqHdr() == 1 {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "sequence headers that are repeated and not"));
    }
    if av1.inputPixelBitDepthMinus8() != 0 {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "NV12 that is not 8 bit"));
    }
    if av1.reserved() != 0 {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "reserved bits that are not 0"));
    }
    // A card could.
    let others = [
        av1.tier,
        av1.outputAnnexBFormat(),
        av1.enableTimingInfo(),
        av1.enableDecoderModelInfo(),
        av1.enableFrameIdNumbers(),
        av1.disableSeqHdr(),
        av1.enableIntraRefresh(),
        av1.enableCustomTileConfig(),
        av1.enableFilmGrainParams(),
        av1.pixelBitDepthMinus8(),
        av1.numTileColumns,
        av1.numTileRows,
    ];
    if others != [0; 12] {
        return Err((NV_ENC_ERR_UNIMPLEMENTED, None));
    }
    let colors = [
        av1.colorPrimaries as u32,
        av1.transferCharacteristics as u32,
        av1.matrixCoefficients as u32,
    ];
    let of_codec = OfCodec {
        codec: Codec::Av1,
        profile,
        level: Some(av1.level).filter(|level| *level < AV1_LEVEL_AUTO),
        idr_period: av1.idrPeriod,
        repeats_sets: av1.repeatSeqHdr() == 1,
        colors: Some(colors),
        full_range: av1.colorRange == 1,
        chroma_left: av1.chromaSamplePosition == AV1_CHROMA_LEFT,
    };
    Ok((of_codec, av1.chromaFormatIDC()))
}
