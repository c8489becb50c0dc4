//! What a session is asked for, at first and later.
//!
//! Must not encode. Invariant: whatever the header forbids is refused before the session is touched.

use std::ffi::c_void;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::NVENCSTATUS::{self, *};

use self::of_codec::OfCodec;
use super::{encoded, version, with};
use crate::session::{Fixed, Refusal, Setup, wrong};
use crate::software::Wish;
use crate::world::{say, world};

mod of_codec;

const PRESETS: [nv::GUID; 7] = [
    nv::NV_ENC_PRESET_P1_GUID,
    nv::NV_ENC_PRESET_P2_GUID,
    nv::NV_ENC_PRESET_P3_GUID,
    nv::NV_ENC_PRESET_P4_GUID,
    nv::NV_ENC_PRESET_P5_GUID,
    nv::NV_ENC_PRESET_P6_GUID,
    nv::NV_ENC_PRESET_P7_GUID,
];

/// What the smallest card encodes, px.
const SMALLEST: (u32, u32) = (145, 49);
const LARGEST: u32 = 4096;
/// B-frames in a row, but for AV1.
const MOST_B_FRAMES: u32 = 4;

fn most_b_frames(codec: nv::GUID) -> u32 {
    if codec == nv::NV_ENC_CODEC_AV1_GUID { 0 } else { MOST_B_FRAMES }
}

fn known(codec: nv::GUID, preset: nv::GUID) -> Result<(), Refusal> {
    match encoded().contains(&codec) && PRESETS.contains(&preset) {
        true => Ok(()),
        false => Err(wrong(NV_ENC_ERR_UNSUPPORTED_PARAM, "a codec or preset that is not there")),
    }
}

pub unsafe extern "C" fn preset(
    encoder: *mut c_void,
    codec: nv::GUID,
    preset: nv::GUID,
    tuning: nv::NV_ENC_TUNING_INFO,
    config: *mut nv::NV_ENC_PRESET_CONFIG,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let preset_config = unsafe { &mut *config };
    with(encoder, |_| {
        version(preset_config.version, nv::NV_ENC_PRESET_CONFIG_VER)?;
        version(preset_config.presetCfg.version, nv::NV_ENC_CONFIG_VER)?;
        known(codec, preset)?;
        let config = &mut preset_config.presetCfg;
        // As a card's: B-frames for quality, none for low latency.
        let is_quality = tuning == nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_HIGH_QUALITY;
        config.frameIntervalP = if is_quality { 4 } else { 1 };
        config.gopLength = 250;
        config.rcParams.version = nv::NV_ENC_RC_PARAMS_VER;
        config.rcParams.rateControlMode = nv::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR;
        config.rcParams.averageBitRate = 2_000_000;
        let of_codec = &mut config.encodeCodecConfig;
        match codec {
            // SAFETY: the union holds plain numbers; this is the codec's member.
            nv::NV_ENC_CODEC_AV1_GUID => unsafe {
                of_codec.av1Config.set_chromaFormatIDC(1);
                of_codec.av1Config.level = of_codec::AV1_LEVEL_AUTO;
            },
            // SAFETY: as above.
            nv::NV_ENC_CODEC_HEVC_GUID => unsafe { of_codec.hevcConfig.set_chromaFormatIDC(1) },
            _ => of_codec.h264Config.chromaFormatIDC = 1,
        }
        Ok(())
    })
}

pub unsafe extern "C" fn initialize(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_INITIALIZE_PARAMS,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &*params };
    with(encoder, |session| {
        let setup = checked(params)?;
        let height = params.encodeHeight;
        let gone = world().gone.iter().any(|lost| *lost == 0 || *lost == height);
        if gone {
            return Err((NV_ENC_ERR_DEVICE_NOT_EXIST, None));
        }
        session.initialize(setup)
    })
}

pub unsafe extern "C" fn reconfigure(
    encoder: *mut c_void,
    params: *mut nv::NV_ENC_RECONFIGURE_PARAMS,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &*params };
    with(encoder, |session| {
        version(params.version, nv::NV_ENC_RECONFIGURE_PARAMS_VER)?;
        session.setup()?;
        let setup = checked(&params.reInitEncodeParams)?;
        if world().faults.refusals.no_reconfigure {
            say("nothing is reconfigured");
            return Err((NV_ENC_ERR_UNSUPPORTED_PARAM, None));
        }
        let bps = setup.wish.bitrate_bps;
        // A reset forces a keyframe where the encoder decides on the kinds of pictures.
        session.reconfigure(setup, params.resetEncoder() == 1 || params.forceIDR() == 1)?;
        say(&format!("a session goes on with {bps} bit/s"));
        Ok(())
    })
}

/// What a session is asked for, checked as far as the session itself does not matter.
fn checked(params: &nv::NV_ENC_INITIALIZE_PARAMS) -> Result<Setup, Refusal> {
    version(params.version, nv::NV_ENC_INITIALIZE_PARAMS_VER)?;
    known(params.encodeGUID, params.presetGUID)?;
    // SAFETY: the interface wants it null or valid.
    let config = unsafe { params.encodeConfig.as_ref() };
    let config = config.ok_or(wrong(NV_ENC_ERR_INVALID_PARAM, "asked for without a config"))?;
    version(config.version, nv::NV_ENC_CONFIG_VER)?;
    version(config.rcParams.version, nv::NV_ENC_RC_PARAMS_VER)?;
    let (width, height) = (params.encodeWidth, params.encodeHeight);
    if width < SMALLEST.0 || height < SMALLEST.1 || width > LARGEST || height > LARGEST {
        return Err((NV_ENC_ERR_INVALID_PARAM, None));
    }
    if params.enableEncodeAsync != 0 || params.enablePTD != 1 {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a mode that Linux does not have"));
    }
    if params.tuningInfo == nv::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_UNDEFINED {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a preset without tuning"));
    }
    let b_frames = config.frameIntervalP.max(1) as u32 - 1;
    let most = most_b_frames(params.encodeGUID);
    if b_frames > most || b_frames > 0 && config.gopLength == nv::NVENC_INFINITE_GOPLENGTH {
        return Err(wrong(
            NV_ENC_ERR_INVALID_PARAM,
            "B-frames too many, or without a GOP's length",
        ));
    }
    if b_frames > 0 && config.rcParams.zeroReorderDelay() == 1 {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "B-frames without reordering"));
    }
    // The range of `lookaheadDepth`.
    if u32::from(config.rcParams.lookaheadDepth) > 31 - b_frames {
        return Err(wrong(NV_ENC_ERR_INVALID_PARAM, "a look-ahead that is too long"));
    }
    let of_codec = of_codec::checked(params.encodeGUID, config)?;
    Ok(setup(params, config, of_codec))
}

pub unsafe extern "C" fn caps(
    encoder: *mut c_void,
    codec: nv::GUID,
    params: *mut nv::NV_ENC_CAPS_PARAM,
    value: *mut i32,
) -> NVENCSTATUS {
    // SAFETY: the interface wants a valid pointer.
    let params = unsafe { &*params };
    with(encoder, |_| {
        version(params.version, nv::NV_ENC_CAPS_PARAM_VER)?;
        let missing = wrong(NV_ENC_ERR_UNSUPPORTED_PARAM, "a codec that is not there");
        encoded().contains(&codec).then_some(()).ok_or(missing)?;
        let refusals = world().faults.refusals;
        let answer = match params.capsToQuery {
            nv::NV_ENC_CAPS::NV_ENC_CAPS_SUPPORT_LOOKAHEAD => i32::from(!refusals.no_lookahead),
            nv::NV_ENC_CAPS::NV_ENC_CAPS_NUM_MAX_BFRAMES => {
                refusals.b_frames.unwrap_or(MOST_B_FRAMES).min(most_b_frames(codec)) as i32
            }
            _ => return Err((NV_ENC_ERR_UNIMPLEMENTED, None)),
        };
        // SAFETY: the interface wants a valid pointer.
        unsafe { *value = answer };
        Ok(())
    })
}

fn setup(
    params: &nv::NV_ENC_INITIALIZE_PARAMS,
    config: &nv::NV_ENC_CONFIG,
    of_codec: OfCodec,
) -> Setup {
    Setup {
        wish: Wish {
            codec: of_codec.codec,
            level: of_codec.level,
            width: params.encodeWidth as i32,
            height: params.encodeHeight as i32,
            rate: (params.frameRateNum as i32, params.frameRateDen as i32),
            bitrate_bps: config.rcParams.averageBitRate.into(),
            vbv_bits: config.rcParams.vbvBufferSize as i32,
            profile: of_codec.profile,
            b_frames: config.frameIntervalP.max(1) - 1,
            colors: of_codec.colors,
            full_range: of_codec.full_range,
            chroma_left: of_codec.chroma_left,
        },
        gop_pictures: config.gopLength,
        repeats_sets: of_codec.repeats_sets,
        ahead: u64::from(config.rcParams.enableLookahead())
            * u64::from(config.rcParams.lookaheadDepth),
        fixed: Fixed {
            codec: params.encodeGUID,
            gop_length: config.gopLength,
            interval_p: config.frameIntervalP,
            idr_period: of_codec.idr_period,
            look_ahead: (config.rcParams.enableLookahead(), config.rcParams.lookaheadDepth.into()),
            mode: (params.enableEncodeAsync, params.enablePTD),
            largest: (params.maxEncodeWidth, params.maxEncodeHeight),
        },
    }
}
