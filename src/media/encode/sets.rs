//! The parameter sets of a stream, whatever its codec: what of them a decoder is told, and what they bound.
//!
//! Must not know encoders. Invariant: one place that tells codecs apart.

use bytes::Bytes;

use super::{avc, hevc};
use crate::media::packet::{DecoderConfig, VideoCodec};

/// Which id an encoder's parameter sets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetId {
    /// 0: of a stream that is its own.
    First,
    /// Another one: beside those of the encoder that began the stream.
    Second,
}

/// What a decoder must know, of all parameter sets found in Annex B, those of several encoders too; `None` when there are none,
/// or two of one id.
pub(super) fn configuration(codec: VideoCodec, annex_b: &[u8]) -> Option<DecoderConfig> {
    let record = match codec {
        VideoCodec::H264 => avc::configuration(annex_b),
        VideoCodec::Hevc => hevc::configuration(annex_b),
        VideoCodec::Av1 => None,
    };
    Some(DecoderConfig { codec, record: record? })
}

/// Whether a decoder was told of each parameter set that is found in Annex B.
pub(super) fn holds(decoder: &DecoderConfig, annex_b: &[u8]) -> bool {
    match decoder.codec {
        VideoCodec::H264 => avc::holds(&decoder.record, annex_b),
        VideoCodec::Hevc => hevc::holds(&decoder.record, annex_b),
        VideoCodec::Av1 => false,
    }
}

/// An access unit as packets have it: each NAL unit behind its length.
pub(super) fn length_prefixed(codec: VideoCodec, annex_b: &[u8]) -> Bytes {
    match codec {
        VideoCodec::H264 => avc::length_prefixed(annex_b),
        VideoCodec::Hevc => hevc::length_prefixed(annex_b),
        VideoCodec::Av1 => Bytes::new(),
    }
}

/// The level in the first SPS, in the codec's own numbers.
pub(in crate::media) fn level(codec: VideoCodec, annex_b: &[u8]) -> Option<u8> {
    match codec {
        VideoCodec::H264 => avc::level(annex_b),
        VideoCodec::Hevc => hevc::level(annex_b),
        VideoCodec::Av1 => None,
    }
}

/// Highest bit rate that the levels of a stream's parameter sets allow, bit/s.
pub fn most_bps(decoder: &DecoderConfig) -> u32 {
    match decoder.codec {
        VideoCodec::H264 => avc::most_bps(&decoder.record),
        VideoCodec::Hevc => hevc::most_bps(&decoder.record),
        VideoCodec::Av1 => 0,
    }
}

/// The parameter sets that a decoder is told of, in Annex B.
#[cfg(test)]
pub(super) fn annex_b(decoder: &DecoderConfig) -> Option<Vec<u8>> {
    let sets = match decoder.codec {
        VideoCodec::H264 => avc::sets(&decoder.record),
        VideoCodec::Hevc => hevc::sets(&decoder.record),
        VideoCodec::Av1 => None,
    };
    Some(sets?.into_iter().flat_map(|set| [b"\0\0\0\x01", set].concat()).collect())
}
