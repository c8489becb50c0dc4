//! Which encoder outputs are made by, in the words of the configuration and of the encoders.
//!
//! Must not open any. Invariant: what is configured is what is asked for.

use crate::config::{self, Config, EncoderChoice};
use crate::device_memory::DeviceUuid;
use crate::media::encode::EncoderPolicy;
use crate::media::nvenc::{self, NvencPreset, NvencRate, NvencReport, NvencSettings, NvencTuning};
use crate::media::packet::VideoCodec;

/// Which encoders may be used.
pub(super) fn policy(choice: EncoderChoice) -> EncoderPolicy {
    match choice {
        EncoderChoice::Auto => EncoderPolicy::Auto,
        EncoderChoice::Nvenc => EncoderPolicy::Nvenc,
        EncoderChoice::Software => EncoderPolicy::Software,
    }
}

/// How video is coded.
pub(super) fn codec(codec: config::VideoCodec) -> VideoCodec {
    match codec {
        config::VideoCodec::H264 => VideoCodec::H264,
        config::VideoCodec::Hevc => VideoCodec::Hevc,
        config::VideoCodec::Av1 => VideoCodec::Av1,
    }
}

/// How NVENC fares, where it is looked for; the driver is tried when it is first asked for.
pub(super) fn report(config: &Config, adapter: Option<DeviceUuid>) -> Option<NvencReport> {
    let is_wanted = config.encoder != EncoderChoice::Software;
    is_wanted.then(|| nvenc::report(&nvenc(&config.nvenc, adapter)))
}

/// How NVENC is used, beside this graphics adapter.
pub(super) fn nvenc(nvenc: &config::Nvenc, adapter: Option<DeviceUuid>) -> NvencSettings {
    NvencSettings {
        preset: match nvenc.preset {
            config::NvencPreset::P1 => NvencPreset::P1,
            config::NvencPreset::P2 => NvencPreset::P2,
            config::NvencPreset::P3 => NvencPreset::P3,
            config::NvencPreset::P4 => NvencPreset::P4,
            config::NvencPreset::P5 => NvencPreset::P5,
            config::NvencPreset::P6 => NvencPreset::P6,
            config::NvencPreset::P7 => NvencPreset::P7,
        },
        tuning: nvenc.tuning.map(|tuning| match tuning {
            config::NvencTuning::HighQuality => NvencTuning::HighQuality,
            config::NvencTuning::LowLatency => NvencTuning::LowLatency,
            config::NvencTuning::UltraLowLatency => NvencTuning::UltraLowLatency,
        }),
        rate: match nvenc.rate {
            config::NvencRate::Cbr => NvencRate::Constant,
            config::NvencRate::Vbr => NvencRate::Variable,
        },
        most_sessions: nvenc.most_sessions,
        libraries: nvenc.libraries.clone(),
        adapter,
    }
}
