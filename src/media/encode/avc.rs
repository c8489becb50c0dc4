//! H.264 in its two dresses: Annex B (start codes, as x264 gives it) and AVCC (lengths, as FLV and MP4 want it).
//!
//! Must not know encoders. Invariant: no byte of a NAL unit changes.

use bytes::{BufMut, Bytes, BytesMut};

const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_AUD: u8 = 9;

/// The NAL units between start codes (`00 00 01`, with zeros before it).
fn units(annex_b: &[u8]) -> Vec<&[u8]> {
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

/// Annex B to AVCC with 4-byte lengths; access unit delimiters are left out.
pub(super) fn length_prefixed(annex_b: &[u8]) -> Bytes {
    let mut avcc = BytesMut::with_capacity(annex_b.len() + 16);
    for unit in units(annex_b).into_iter().filter(|unit| unit[0] & 0x1f != NAL_AUD) {
        avcc.put_u32(unit.len() as u32);
        avcc.put_slice(unit);
    }
    avcc.freeze()
}

/// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1) of the parameter sets found in Annex B extradata.
pub(super) fn configuration(annex_b: &[u8]) -> Option<Bytes> {
    let units = units(annex_b);
    let of_type = |wanted: u8| units.iter().find(|unit| unit[0] & 0x1f == wanted);
    let (sps, pps) = (of_type(NAL_SPS)?, of_type(NAL_PPS)?);
    let [_, profile, compatibility, level, ..] = **sps else { return None };
    let mut record = BytesMut::new();
    // Version 1; lengths of 4 bytes; one SPS; one PPS.
    record.put_slice(&[1, profile, compatibility, level, 0xff, 0xe1]);
    record.put_u16(sps.len() as u16);
    record.put_slice(sps);
    record.put_u8(1);
    record.put_u16(pps.len() as u16);
    record.put_slice(pps);
    if matches!(profile, 100 | 110 | 122 | 144) {
        // 4:2:0, 8 bit luma and chroma, no SPS extensions.
        record.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
    }
    Some(record.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_become_lengths() {
        let annex_b = b"\0\0\0\x01\x67\x64\x00\x1f\xaa\0\0\x01\x68\xee\0\0\0\x01\x09\xf0\0\0\x01\x65\x88\0\x03";
        assert_eq!(
            &length_prefixed(annex_b)[..],
            b"\0\0\0\x05\x67\x64\x00\x1f\xaa\0\0\0\x02\x68\xee\0\0\0\x04\x65\x88\0\x03"
        );
        let record = configuration(annex_b).unwrap();
        assert_eq!(
            &record[..],
            b"\x01\x64\0\x1f\xff\xe1\0\x05\x67\x64\0\x1f\xaa\x01\0\x02\x68\xee\xfd\xf8\xf8\0"
        );
        assert_eq!(configuration(b"\0\0\x01\x67\x64\0\x1f"), None);
        assert!(length_prefixed(b"garbage").is_empty());
    }
}
