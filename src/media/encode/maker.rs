//! Which encoder makes a stream, and which goes on with it when that one breaks.
//!
//! Must not know threads or sinks. Invariant: a stream's parameter sets are told once, at its beginning, and hold for whatever
//! encoder comes later: a stream that NVENC begins also has those of the software that may take its place, under another id. AV1
//! tells them again with each keyframe: what may take a place must only ask no more of a decoder than the record says.

use std::sync::Arc;

use super::planar::PlanarEncoder;
use super::reorder::Reorder;
use super::sets::{self, SetId};
use super::x264::X264Encoder;
use super::{EncodeError, Idr, Intake, VideoSettings};
use crate::frame::Picture;
use crate::media::nvenc::{NoNvenc, NvencEncoder};
use crate::media::packet::{DecoderConfig, Packet, VideoCodec};

/// Which encoders may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncoderPolicy {
    /// NVENC where there is a session of it, else software.
    Auto,
    /// NVENC; without a session nothing begins. What is on air goes on by software when NVENC breaks.
    Nvenc,
    /// Software: x264 for H.264, x265 for HEVC, libaom for AV1.
    #[default]
    Software,
}

/// What makes a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maker {
    /// Software, from the beginning.
    #[default]
    Software,
    /// NVENC.
    Nvenc,
    /// Software, in the place of NVENC that broke.
    StandIn,
}

impl Maker {
    /// Its name in the API and in metrics, where it makes this codec.
    pub fn name(self, codec: VideoCodec) -> &'static str {
        match self {
            Maker::Software | Maker::StandIn => codec.software(),
            Maker::Nvenc => "nvenc",
        }
    }
}

/// A video encoder.
#[derive(Debug)]
pub struct VideoEncoder {
    encoder: Encoder,
    reorder: Reorder,
    maker: Maker,
    decoder: DecoderConfig,
    passed_over: Option<NoNvenc>,
}

#[derive(Debug)]
enum Encoder {
    X264(X264Encoder),
    Planar(PlanarEncoder),
    Nvenc(Box<NvencEncoder>),
}

impl Encoder {
    fn open(settings: &VideoSettings, maker: Maker) -> Result<Encoder, EncodeError> {
        let id = match maker {
            Maker::Software => SetId::First,
            Maker::StandIn => SetId::Second,
            Maker::Nvenc => return Ok(Encoder::Nvenc(Box::new(NvencEncoder::open(settings)?))),
        };
        match settings.codec {
            VideoCodec::H264 => Ok(Encoder::X264(X264Encoder::open(settings, id)?)),
            VideoCodec::Hevc | VideoCodec::Av1 => {
                Ok(Encoder::Planar(PlanarEncoder::open(settings, id)?))
            }
        }
    }

    fn parameter_sets(&self) -> &[u8] {
        match self {
            Encoder::X264(encoder) => encoder.parameter_sets(),
            Encoder::Planar(encoder) => encoder.parameter_sets(),
            Encoder::Nvenc(encoder) => encoder.parameter_sets(),
        }
    }
}

impl VideoEncoder {
    /// Opens the encoder of a new stream, by the policy of its settings.
    ///
    /// # Errors
    /// When none can be had.
    pub fn open(settings: &VideoSettings) -> Result<VideoEncoder, EncodeError> {
        let mut passed_over = None;
        if settings.policy != EncoderPolicy::Software {
            match Encoder::open(settings, Maker::Nvenc) {
                Ok(encoder) => {
                    let stand_in = Encoder::open(settings, Maker::StandIn)?;
                    let sets = [encoder.parameter_sets(), stand_in.parameter_sets()].concat();
                    return VideoEncoder::of(encoder, settings, (Maker::Nvenc, &sets));
                }
                Err(EncodeError::Nvenc(why)) if settings.policy == EncoderPolicy::Auto => {
                    // A machine without an NVIDIA driver is no news.
                    passed_over = Some(why).filter(|why| *why != NoNvenc::NoDriver);
                }
                Err(error) => return Err(error),
            }
        }
        let encoder = Encoder::open(settings, Maker::Software)?;
        let sets = encoder.parameter_sets().to_vec();
        let opened = VideoEncoder::of(encoder, settings, (Maker::Software, &sets))?;
        Ok(VideoEncoder { passed_over, ..opened })
    }

    fn of(
        encoder: Encoder,
        settings: &VideoSettings,
        (maker, sets): (Maker, &[u8]),
    ) -> Result<VideoEncoder, EncodeError> {
        let decoder =
            sets::configuration(settings.codec, sets).ok_or(EncodeError::NoParameterSets)?;
        let reorder = Reorder::of(settings);
        Ok(VideoEncoder { encoder, reorder, maker, decoder, passed_over: None })
    }

    /// Opens another encoder for a stream that was begun with these settings and this configuration.
    ///
    /// # Errors
    /// When it cannot be had, or its parameter sets are not the stream's.
    pub fn again(
        settings: &VideoSettings,
        maker: Maker,
        decoder: &DecoderConfig,
    ) -> Result<VideoEncoder, EncodeError> {
        let encoder = Encoder::open(settings, maker)?;
        match sets::holds(decoder, encoder.parameter_sets()) {
            true => {
                let (reorder, decoder) = (Reorder::of(settings), decoder.clone());
                Ok(VideoEncoder { encoder, reorder, maker, decoder, passed_over: None })
            }
            false => Err(EncodeError::NoParameterSets),
        }
    }

    /// Opens an encoder for a stream that was begun with these settings, by whatever encoder that was.
    ///
    /// # Errors
    /// When none can be had whose parameter sets are the stream's.
    pub fn resume(
        settings: &VideoSettings,
        decoder: &DecoderConfig,
    ) -> Result<VideoEncoder, EncodeError> {
        let again = |maker| VideoEncoder::again(settings, maker, decoder);
        if settings.policy == EncoderPolicy::Software {
            return again(Maker::Software);
        }
        let passed_over = match again(Maker::Nvenc) {
            Err(EncodeError::Nvenc(why)) => Some(why).filter(|why| *why != NoNvenc::NoDriver),
            Err(EncodeError::NoParameterSets) => None,
            opened => return opened,
        };
        // Under whichever of the two ids the stream knows it.
        let software = match again(Maker::Software) {
            Err(EncodeError::NoParameterSets) => again(Maker::StandIn),
            opened => opened,
        };
        Ok(VideoEncoder { passed_over, ..software? })
    }

    /// What it is.
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// Why it is not NVENC, where that was looked for and an NVIDIA driver is there.
    pub fn passed_over(&self) -> Option<&NoNvenc> {
        self.passed_over.as_ref()
    }

    /// Where it takes pictures from.
    pub fn intake(&self) -> Intake {
        match &self.encoder {
            Encoder::X264(_) | Encoder::Planar(_) => Intake::default(),
            Encoder::Nvenc(encoder) => encoder.intake(),
        }
    }

    /// What a decoder of the stream must know.
    pub fn decoder(&self) -> DecoderConfig {
        self.decoder.clone()
    }

    /// Keeps another bit rate from the next picture on: in the same stream, without a keyframe, but for x265 and libaom, which
    /// begin anew with one.
    ///
    /// # Errors
    /// When the encoder will not, or works offline.
    pub fn set_bitrate(&mut self, bps: u32) -> Result<(), EncodeError> {
        match &mut self.encoder {
            Encoder::X264(encoder) => encoder.set_bitrate(bps),
            Encoder::Planar(encoder) => encoder.set_bitrate(bps),
            Encoder::Nvenc(encoder) => encoder.set_bitrate(bps).map_err(EncodeError::from),
        }
    }

    /// Encodes the picture of `tick`, which must grow; gives what is ready, in order of decoding: at any time all pictures up to
    /// some tick.
    ///
    /// # Errors
    /// When the picture does not fit, or the encoder fails.
    pub fn encode(
        &mut self,
        tick: u64,
        picture: &Arc<Picture>,
        idr: Idr,
    ) -> Result<Vec<Packet>, EncodeError> {
        let packets = match &mut self.encoder {
            Encoder::X264(encoder) => encoder.encode(tick, picture, idr),
            Encoder::Planar(encoder) => encoder.encode(tick, picture, idr),
            Encoder::Nvenc(encoder) => encoder.encode(tick, picture, idr),
        };
        Ok(self.reorder.taken(tick, packets?))
    }

    /// Gives what was held back.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn finish(self) -> Result<Vec<Packet>, EncodeError> {
        let packets = match self.encoder {
            Encoder::X264(encoder) => encoder.finish(),
            Encoder::Planar(encoder) => encoder.finish(),
            Encoder::Nvenc(encoder) => encoder.finish(),
        };
        Ok(self.reorder.finished(packets?))
    }
}
