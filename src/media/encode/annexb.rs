//! NAL units, in H.264 and HEVC alike: found between start codes (Annex B), written behind their lengths.
//!
//! Must not know what is in them. Invariant: no byte of a NAL unit changes.

use bytes::{BufMut, Bytes, BytesMut};

/// The NAL units between start codes (`00 00 01`, with zeros before it).
pub(super) fn units(annex_b: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while let Some(offset) = find_start_code(&annex_b[at..]) {
        if let Some(start) = start {
            units.push(trim_zeros(&annex_b[start..at + offset]));
        }
        at += offset + 3;
        start = Some(at);
    }
    if let Some(start) = start {
        units.push(trim_zeros(&annex_b[start..]));
    }
    units.retain(|unit| !unit.is_empty());
    units
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

/// A NAL unit never ends in a zero byte; those belong to the next start code.
fn trim_zeros(unit: &[u8]) -> &[u8] {
    let end = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &unit[..end]
}

/// The units, each behind its length of 4 bytes.
pub(super) fn length_prefixed<'a>(units: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let len = units.clone().map(|unit| unit.len() + 4).sum();
    let mut prefixed = BytesMut::with_capacity(len);
    for unit in units {
        prefixed.put_u32(unit.len() as u32);
        prefixed.put_slice(unit);
    }
    prefixed.freeze()
}
