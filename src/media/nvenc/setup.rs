//! What an encoder is asked for, in NVENC's structs.
//!
//! Must not call the driver. Invariants: no B-frame is referred to, and there are none unless they are asked for; keyframes only where
//! they are forced; the stream says what its colours are.

#![expect(unsafe_code, reason = "a union of the driver's interface")]

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use super::{NvencPreset, NvencRate, NvencTuning};
use crate::media::encode::{Profile, VideoSettings};
use crate::media::packet::VideoCodec;

/// Left-sited chroma, as H.264 and HEVC number it, and as AV1 does (`chroma_sample_position`).
const CHROMA_LEFT: u32 = 0;
const AV1_CHROMA_LEFT: u32 = 1;

pub(super) fn codec_guid(codec: VideoCodec) -> nv::GUID {
    match codec {
        VideoCodec::H264 => nv::NV_ENC_CODEC_H264_GUID,
        VideoCodec::Hevc => nv::NV_ENC_CODEC_HEVC_GUID,
        VideoCodec::Av1 => nv::NV_ENC_CODEC_AV1_GUID,
    }
}

pub(super) fn preset_guid(preset: NvencPreset) -> nv::GUID {
    match preset {
        NvencPreset::P1 => nv::NV_ENC_PRESET_P1_GUID,
        NvencPreset::P2 => nv::NV_ENC_PRESET_P2_GUID,
        NvencPreset::P3 => nv::NV_ENC_PRESET_P3_GUID,
        NvencPreset::P4 => nv::NV_ENC_PRESET_P4_GUID,
        NvencPreset::P5 => nv::NV_ENC_PRESET_P5_GUID,
        NvencPreset::P6 => nv::NV_ENC_PRESET_P6_GUID,
        NvencPreset::P7 => nv::NV_ENC_PRESET_P7_GUID,
    }
}

/// What NVENC is tuned for: where nobody said, for low latency, but for quality where pictures are held for that anyway, which is
/// what NVIDIA means look-ahead and B-frames for.
pub(super) fn tuning_info(video: &VideoSettings) -> nv::NV_ENC_TUNING_INFO {
    let by_itself = match video.pictures_held() {
        0 => NvencTuning::LowLatency,
        _ => NvencTuning::HighQuality,
    };
    match video.nvenc.tuning.unwrap_or(by_itself) {
        NvencTuning::HighQuality => nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_HIGH_QUALITY,
        NvencTuning::LowLatency => nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_LOW_LATENCY,
        NvencTuning::UltraLowLatency => {
            nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY
        }
    }
}

/// A preset's configuration, changed to what is asked for.
pub(super) fn configure(config: &mut nv::NV_ENC_CONFIG, video: &VideoSettings) {
    // Keyframes are the output's business, which forces each.
    config.gopLength = gop_length(video);
    config.frameIntervalP = 1 + video.b_frames as i32;
    let rate = &mut config.rcParams;
    rate.rateControlMode = match video.nvenc.rate {
        NvencRate::Constant => nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR,
        NvencRate::Variable => nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR,
    };
    rate.averageBitRate = video.bitrate_bps;
    rate.maxBitRate = video.bitrate_bps;
    // One second, and half of it full at first: a keyframe comes first.
    rate.vbvBufferSize = video.bitrate_bps;
    rate.vbvInitialDelay = video.bitrate_bps / 2;
    // NVENC has no more than the limit, which is far below the end of the type.
    let depth = u16::try_from(video.lookahead_pictures).unwrap_or(u16::MAX);
    rate.set_enableLookahead((depth > 0).into());
    rate.lookaheadDepth = depth;
    // Keyframes are the output's business here too, and B-frames are always as many.
    rate.set_disableIadapt(1);
    rate.set_disableBadapt(1);
    rate.set_zeroReorderDelay((video.b_frames == 0).into());
    let (of_codec, gop_length) = (&mut config.encodeCodecConfig, gop_length(video));
    config.profileGUID = match (video.codec, video.profile) {
        (VideoCodec::H264, profile) => {
            // SAFETY: the codec is H.264, so this is the member that NVENC's preset wrote and that it will read.
            describe_avc(unsafe { &mut of_codec.h264Config }, gop_length);
            match profile {
                Profile::Baseline => nv::NV_ENC_H264_PROFILE_BASELINE_GUID,
                Profile::Main => nv::NV_ENC_H264_PROFILE_MAIN_GUID,
                Profile::High => nv::NV_ENC_H264_PROFILE_HIGH_GUID,
            }
        }
        (VideoCodec::Hevc, _) => {
            // SAFETY: the codec is HEVC; else as above.
            describe_hevc(unsafe { &mut of_codec.hevcConfig }, gop_length);
            nv::NV_ENC_HEVC_PROFILE_MAIN_GUID
        }
        (VideoCodec::Av1, _) => {
            // SAFETY: the codec is AV1; else as above.
            describe_av1(unsafe { &mut of_codec.av1Config }, gop_length);
            nv::NV_ENC_AV1_PROFILE_MAIN_GUID
        }
    };
}

/// Pictures from a keyframe to the next that is not forced, which never comes. With B-frames NVENC wants a number: one that it does not
/// get to.
fn gop_length(video: &VideoSettings) -> u32 {
    match video.b_frames {
        0 => nv::NVENC_INFINITE_GOPLENGTH,
        _ => 2 * video.gop_ticks.max(1),
    }
}

fn describe_avc(avc: &mut nv::NV_ENC_CONFIG_H264, gop_length: u32) {
    avc.idrPeriod = gop_length;
    avc.set_repeatSPSPPS(1);
    avc.set_disableSPSPPS(0);
    avc.set_outputAUD(0);
    avc.chromaFormatIDC = 1;
    avc.useBFramesAsRef = nv::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED;
    describe_colours(&mut avc.h264VUIParameters);
}

fn describe_hevc(hevc: &mut nv::NV_ENC_CONFIG_HEVC, gop_length: u32) {
    hevc.idrPeriod = gop_length;
    // The tier Main, as what stands in for it has; High is another level's bit rate.
    hevc.tier = 0;
    // The record has them, and packets do not.
    hevc.set_repeatSPSPPS(0);
    hevc.set_disableSPSPPS(0);
    hevc.set_outputAUD(0);
    hevc.set_chromaFormatIDC(1);
    hevc.set_pixelBitDepthMinus8(0);
    hevc.useBFramesAsRef = nv::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED;
    describe_colours(&mut hevc.hevcVUIParameters);
}

fn describe_av1(av1: &mut nv::NV_ENC_CONFIG_AV1, gop_length: u32) {
    av1.idrPeriod = gop_length;
    // Here 0 is a level of its own, 2.0.
    av1.level = nv::NV_ENC_LEVEL::NV_ENC_LEVEL_AV1_AUTOSELECT as u32;
    av1.tier = 0;
    // In OBUs that have their sizes, and with each keyframe what it is decoded by.
    av1.set_outputAnnexBFormat(0);
    av1.set_repeatSeqHdr(1);
    av1.set_disableSeqHdr(0);
    av1.set_chromaFormatIDC(1);
    av1.set_inputPixelBitDepthMinus8(0);
    av1.set_pixelBitDepthMinus8(0);
    av1.useBFramesAsRef = nv::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED;
    av1.colorPrimaries = nv::NV_ENC_VUI_COLOR_PRIMARIES::NV_ENC_VUI_COLOR_PRIMARIES_BT709;
    av1.transferCharacteristics =
        nv::NV_ENC_VUI_TRANSFER_CHARACTERISTIC::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709;
    av1.matrixCoefficients = nv::NV_ENC_VUI_MATRIX_COEFFS::NV_ENC_VUI_MATRIX_COEFFS_BT709;
    av1.colorRange = 0;
    av1.chromaSamplePosition = AV1_CHROMA_LEFT;
}

/// In a struct that H.264 and HEVC have.
fn describe_colours(vui: &mut nv::NV_ENC_CONFIG_H264_VUI_PARAMETERS) {
    vui.videoSignalTypePresentFlag = 1;
    vui.videoFormat = nv::NV_ENC_VUI_VIDEO_FORMAT::NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED;
    vui.videoFullRangeFlag = 0;
    vui.colourDescriptionPresentFlag = 1;
    vui.colourPrimaries = nv::NV_ENC_VUI_COLOR_PRIMARIES::NV_ENC_VUI_COLOR_PRIMARIES_BT709;
    vui.transferCharacteristics =
        nv::NV_ENC_VUI_TRANSFER_CHARACTERISTIC::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709;
    vui.colourMatrix = nv::NV_ENC_VUI_MATRIX_COEFFS::NV_ENC_VUI_MATRIX_COEFFS_BT709;
    vui.chromaSampleLocationFlag = 1;
    vui.chromaSampleLocationTop = CHROMA_LEFT;
    vui.chromaSampleLocationBot = CHROMA_LEFT;
    // Says what is reordered; decoders that are not told wait for pictures that never come.
    vui.bitstreamRestrictionFlag = 1;
}

/// Names the level instead of leaving it to the driver, whose numbers of levels are those of the codec.
pub(super) fn keep_level(config: &mut nv::NV_ENC_CONFIG, codec: VideoCodec, level: u8) {
    let of_codec = &mut config.encodeCodecConfig;
    match codec {
        VideoCodec::H264 => of_codec.h264Config.level = level.into(),
        VideoCodec::Hevc => of_codec.hevcConfig.level = level.into(),
        VideoCodec::Av1 => of_codec.av1Config.level = level.into(),
    }
}

/// The parameters of a session; `config` must outlive the call that they are for.
pub(super) fn parameters(
    config: &mut nv::NV_ENC_CONFIG,
    video: &VideoSettings,
) -> nv::NV_ENC_INITIALIZE_PARAMS {
    let (width, height) = (video.size.width_px, video.size.height_px);
    let mut parameters = nv::NV_ENC_INITIALIZE_PARAMS {
        version: nv::NV_ENC_INITIALIZE_PARAMS_VER,
        encodeGUID: codec_guid(video.codec),
        presetGUID: preset_guid(video.nvenc.preset),
        encodeWidth: width,
        encodeHeight: height,
        darWidth: width,
        darHeight: height,
        frameRateNum: video.rate.num(),
        frameRateDen: video.rate.den() * video.picture_ticks.max(1),
        // Linux has no completion events: reading a picture waits for it.
        enableEncodeAsync: 0,
        // NVENC decides on the kinds of pictures, but for those that are forced.
        enablePTD: 1,
        encodeConfig: config,
        maxEncodeWidth: width,
        maxEncodeHeight: height,
        ..Default::default()
    };
    parameters.tuningInfo = tuning_info(video);
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::encode::testing::settings;

    #[test]
    fn what_holds_pictures_is_tuned_for_quality() {
        use NvencTuning::{HighQuality, LowLatency, UltraLowLatency};
        use nv::NV_ENC_TUNING_INFO as Info;
        for (lookahead_pictures, b_frames, tuning, told) in [
            (0, 0, None, Info::NV_ENC_TUNING_INFO_LOW_LATENCY),
            (5, 0, None, Info::NV_ENC_TUNING_INFO_HIGH_QUALITY),
            (0, 2, None, Info::NV_ENC_TUNING_INFO_HIGH_QUALITY),
            (0, 0, Some(HighQuality), Info::NV_ENC_TUNING_INFO_HIGH_QUALITY),
            (5, 0, Some(LowLatency), Info::NV_ENC_TUNING_INFO_LOW_LATENCY),
            (0, 0, Some(UltraLowLatency), Info::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY),
        ] {
            let mut video = VideoSettings { lookahead_pictures, b_frames, ..settings() };
            video.nvenc.tuning = tuning;
            assert_eq!(tuning_info(&video), told, "{lookahead_pictures} {b_frames} {tuning:?}");
        }
    }

    #[test]
    fn a_level_is_the_drivers_until_it_is_named() {
        // As each codec numbers them.
        for (codec, by_itself, named) in
            [(VideoCodec::H264, 0, 31), (VideoCodec::Hevc, 0, 93), (VideoCodec::Av1, 24, 5)]
        {
            let mut config = nv::NV_ENC_CONFIG::default();
            configure(&mut config, &VideoSettings { codec, ..settings() });
            let level = |config: &nv::NV_ENC_CONFIG| {
                let of_codec = &config.encodeCodecConfig;
                // SAFETY: the union holds plain numbers, and this member is the one that was written.
                unsafe {
                    match codec {
                        VideoCodec::H264 => of_codec.h264Config.level,
                        VideoCodec::Hevc => of_codec.hevcConfig.level,
                        VideoCodec::Av1 => of_codec.av1Config.level,
                    }
                }
            };
            assert_eq!(level(&config), by_itself, "{codec:?}");
            keep_level(&mut config, codec, named as u8);
            assert_eq!(level(&config), named, "{codec:?}");
        }
    }
}
