//! FFmpeg's AAC-LC encoder, fed with the samples of ticks.
//!
//! Owns the cutting of any number of samples into frames of 1024. Must not know ticks. Invariants: the time of a packet is
//! that of the input sample that its first decoded sample stands for, counted in samples, so sound never drifts.
//!
//! An AAC encoder begins with 1024 samples of priming. FFmpeg stamps that first packet −1024; it is left out here, so every
//! container begins at 0 without edit lists and all players agree: decoded sample n is input sample n. The price is
//! that the first 21 ms fade in.

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::codec::{Codec, Encoded, Frame, stereo_layout};
use super::{EncodeError, Options};
use crate::frame::StereoSample;
use crate::media::packet::{Packet, Track};
use crate::time::{NS_PER_S, SAMPLE_RATE};

/// An open AAC encoder, 48 kHz stereo.
#[derive(Debug)]
pub struct AacEncoder {
    codec: Codec,
    /// Samples that do not fill a frame yet.
    pending: Vec<StereoSample>,
    /// Index of the first pending sample.
    next_sample: u64,
}

impl AacEncoder {
    /// Opens an encoder of `bitrate_bps`.
    ///
    /// # Errors
    /// When FFmpeg lacks or refuses it.
    pub fn open(bitrate_bps: u32) -> Result<AacEncoder, EncodeError> {
        let mut options = Options::new(&[]);
        let codec = Codec::open(("aac", c"aac"), &mut options, |context| {
            context.sample_fmt = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP;
            context.sample_rate = SAMPLE_RATE as i32;
            context.ch_layout = stereo_layout();
            context.bit_rate = i64::from(bitrate_bps);
            context.time_base = ffi::AVRational { num: 1, den: SAMPLE_RATE as i32 };
            context.flags |= ffi::AV_CODEC_FLAG_GLOBAL_HEADER as i32;
        })?;
        Ok(AacEncoder { codec, pending: Vec::new(), next_sample: 0 })
    }

    /// Opens one that goes on in the stream of another one, which was given so many samples: its first packet is the one that
    /// the other did not come to give, which is that of the frame before the last that was full. What that held is silence,
    /// 43 ms at most.
    ///
    /// # Errors
    /// When FFmpeg lacks or refuses it.
    pub fn resume(bitrate_bps: u32, samples: u64) -> Result<AacEncoder, EncodeError> {
        let mut encoder = AacEncoder::open(bitrate_bps)?;
        let size = encoder.codec.frame_size() as u64;
        encoder.next_sample = (samples / size).saturating_sub(1) * size;
        let held = samples - encoder.next_sample;
        encoder.pending = vec![[0.0; 2]; usize::try_from(held).unwrap_or(0)];
        Ok(encoder)
    }

    /// `AudioSpecificConfig`.
    pub fn asc(&self) -> Bytes {
        Bytes::copy_from_slice(self.codec.extradata())
    }

    /// Encodes the samples that follow those of the last call; gives what is ready.
    ///
    /// # Errors
    /// When FFmpeg fails.
    pub fn encode(&mut self, samples: &[StereoSample]) -> Result<Vec<Packet>, EncodeError> {
        self.pending.extend_from_slice(samples);
        let mut encoded = Vec::new();
        let size = self.codec.frame_size();
        while self.pending.len() >= size {
            self.push(size, &mut encoded)?;
        }
        Ok(packets(encoded))
    }

    /// Encodes what does not fill a frame and gives what was held back.
    ///
    /// # Errors
    /// When FFmpeg fails.
    pub fn finish(mut self) -> Result<Vec<Packet>, EncodeError> {
        let mut encoded = Vec::new();
        if !self.pending.is_empty() {
            self.push(self.pending.len(), &mut encoded)?;
        }
        self.codec.push(None, &mut encoded)?;
        Ok(packets(encoded))
    }

    fn push(&mut self, count: usize, encoded: &mut Vec<Encoded>) -> Result<(), EncodeError> {
        let mut frame = Frame::stereo(count, SAMPLE_RATE)?;
        for channel in 0..2 {
            let plane = frame.channel(channel);
            for (to, from) in plane.iter_mut().zip(&self.pending) {
                *to = from[channel];
            }
        }
        frame.raw().pts = i64::try_from(self.next_sample).unwrap_or(i64::MAX);
        self.pending.drain(..count);
        self.next_sample += count as u64;
        self.codec.push(Some(&frame), encoded)
    }
}

fn packets(encoded: Vec<Encoded>) -> Vec<Packet> {
    let ns = |sample: i64| {
        let ns = i128::from(sample) * i128::from(NS_PER_S) / i128::from(SAMPLE_RATE);
        i64::try_from(ns).unwrap_or(i64::MAX)
    };
    let heard = encoded.into_iter().filter(|unit| unit.pts >= 0);
    heard
        .map(|unit| Packet {
            track: Track::Audio,
            pts_ns: ns(unit.pts),
            dts_ns: ns(unit.pts),
            duration_ns: ns(unit.duration),
            key: true,
            data: unit.data,
        })
        .collect()
}
