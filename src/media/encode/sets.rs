//! The parameter sets of a stream, whatever its codec: what of them a decoder is told, and what they bound. Streams are in Annex B,
//! AV1's in OBUs, of which the sequence header is the parameter set.
//!
//! Must not know encoders. Invariant: one place that tells codecs apart.

use bytes::Bytes;

use super::{av1, avc, hevc, second_id};
use crate::media::packet::{DecoderConfig, VideoCodec};

/// Which id an encoder's parameter sets have; AV1's sequence header has none, see [`av1`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetId {
    /// 0: of a stream that is its own.
    First,
    /// Another one: beside those of the encoder that began the stream.
    Second,
}

/// Part of a stream as it is told, by an encoder that knows the first id alone. `None` when that cannot be.
pub(super) fn told(codec: VideoCodec, id: SetId, stream: &Bytes) -> Option<Bytes> {
    match (codec, id) {
        (VideoCodec::Hevc, SetId::Second) => second_id::moved(stream).map(Bytes::from),
        // x264 has it by itself.
        _ => Some(stream.clone()),
    }
}

/// What a decoder must know, of all parameter sets found in a stream, those of several encoders too; `None` when there are none,
/// or they cannot stand beside each other.
pub(super) fn configuration(codec: VideoCodec, stream: &[u8]) -> Option<DecoderConfig> {
    let record = match codec {
        VideoCodec::H264 => avc::configuration(stream),
        VideoCodec::Hevc => hevc::configuration(stream),
        VideoCodec::Av1 => av1::configuration(stream),
    };
    Some(DecoderConfig { codec, record: record? })
}

/// Whether a decoder was told of each parameter set that is found in a stream.
pub(super) fn holds(decoder: &DecoderConfig, stream: &[u8]) -> bool {
    match decoder.codec {
        VideoCodec::H264 => avc::holds(&decoder.record, stream),
        VideoCodec::Hevc => hevc::holds(&decoder.record, stream),
        VideoCodec::Av1 => av1::holds(&decoder.record, stream),
    }
}

/// An access unit as packets have it: each NAL unit behind its length, or OBUs.
pub(super) fn unit(codec: VideoCodec, stream: &[u8]) -> Bytes {
    match codec {
        VideoCodec::H264 => avc::length_prefixed(stream),
        VideoCodec::Hevc => hevc::length_prefixed(stream),
        VideoCodec::Av1 => av1::temporal_unit(stream),
    }
}

/// The level in the first SPS, in the codec's own numbers.
pub(in crate::media) fn level(codec: VideoCodec, stream: &[u8]) -> Option<u8> {
    match codec {
        VideoCodec::H264 => avc::level(stream),
        VideoCodec::Hevc => hevc::level(stream),
        VideoCodec::Av1 => av1::level(stream),
    }
}

/// Highest bit rate that the levels of a stream's parameter sets allow, bit/s.
pub fn most_bps(decoder: &DecoderConfig) -> u32 {
    match decoder.codec {
        VideoCodec::H264 => avc::most_bps(&decoder.record),
        VideoCodec::Hevc => hevc::most_bps(&decoder.record),
        VideoCodec::Av1 => av1::most_bps(&decoder.record),
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
