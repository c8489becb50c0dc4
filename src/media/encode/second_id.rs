//! A stream of HEVC under other ids: x265 gives its parameter sets the id 0 and has no option for another, and an encoder that
//! stands in for another one needs ids of its own.
//!
//! Must not know encoders. Invariants: what is decoded is the same, bit for bit; what is not understood is refused when an
//! encoder is opened, since pictures have nothing before the id but two flags.
//!
//! Ids are Exp-Golomb codes (H.265, 9.2): 0 is one bit, 15 is nine. So each id makes its unit longer by exactly a byte, and what
//! comes behind it keeps its place within bytes: alignment, trailing bits, entry points. No header need be read any further.

use super::annexb::units;
use super::hevc::{HEADER_BYTES, PROFILE_AT, PROFILE_BYTES, nal_type, plain};

/// The id of VPS, SPS and PPS; the highest that a VPS or SPS can have.
pub(super) const SECOND_ID: u8 = 15;

/// Bits of a NAL unit's header.
const HEADER_BITS: usize = 8 * HEADER_BYTES;

/// The parameter sets of an encoder under [`SECOND_ID`]; `None` when their ids are not 0 or there are sub-layers, whose SPS is of
/// another form.
fn moved_sets(annex_b: &[u8]) -> Option<Vec<u8>> {
    units(annex_b).into_iter().try_fold(Vec::new(), |mut moved, unit| {
        let mut bytes = plain(unit);
        match nal_type(unit) {
            32 if bytes.get(HEADER_BYTES)? >> 4 == 0 => name_vps(&mut bytes),
            33 if bytes.get(HEADER_BYTES)? >> 1 == 0 => {
                name_vps(&mut bytes);
                move_id(&mut bytes, 8 * (PROFILE_AT + PROFILE_BYTES))?;
            }
            34 => {
                move_id(&mut bytes, HEADER_BITS)?;
                // The SPS's, which was the next bit.
                move_id(&mut bytes, HEADER_BITS + 9)?;
            }
            _ => return None,
        }
        put(&mut moved, &bytes);
        Some(moved)
    })
}

/// An access unit of that encoder under [`SECOND_ID`]; `None` when a picture's id is not 0.
pub(super) fn moved(annex_b: &[u8]) -> Option<Vec<u8>> {
    let moved = Vec::with_capacity(annex_b.len() + 16);
    units(annex_b).into_iter().try_fold(moved, |mut moved, unit| {
        match nal_type(unit) {
            32..=34 => moved.extend(moved_sets(&[&[0, 0, 1], unit].concat())?),
            kind @ 0..=31 => {
                let mut bytes = plain(unit);
                // `first_slice_segment_in_pic_flag`; where decoding can begin also `no_output_of_prior_pics_flag` (7.3.6.1).
                let flags = if (16..=23).contains(&kind) { 2 } else { 1 };
                move_id(&mut bytes, HEADER_BITS + flags)?;
                put(&mut moved, &bytes);
            }
            // Nothing else names a parameter set: x265 is not asked for buffering periods.
            _ => {
                moved.extend([0, 0, 0, 1]);
                moved.extend(unit);
            }
        }
        Some(moved)
    })
}

fn name_vps(bytes: &mut [u8]) {
    bytes[HEADER_BYTES] = bytes[HEADER_BYTES] & 0x0f | SECOND_ID << 4;
}

/// Makes `ue(v)` of 0 at a bit, "1", that of 15: "000010000".
fn move_id(bytes: &mut Vec<u8>, bit: usize) -> Option<()> {
    let (at, bit) = (bit / 8, bit % 8);
    let byte = *bytes.get(at)?;
    let mask = 0x80 >> bit;
    if byte & mask == 0 {
        return None;
    }
    let (before, after) = (byte & !(mask | (mask - 1)), byte & (mask - 1));
    let moved = u16::from(before) << 8 | 1 << (11 - bit) | u16::from(after);
    bytes.splice(at..=at, moved.to_be_bytes());
    Some(())
}

/// Appends a unit with its start code and emulation prevention bytes (7.4.1.1).
fn put(annex_b: &mut Vec<u8>, plain: &[u8]) {
    annex_b.extend([0, 0, 0, 1]);
    let mut zeros = 0;
    for &byte in plain {
        if zeros == 2 && byte <= 3 {
            annex_b.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        annex_b.push(byte);
    }
    // As behind the zero words that fill a picture up.
    if zeros > 0 {
        annex_b.push(3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_move_and_nothing_else_does() {
        for (of, unit, moved_unit) in [
            ("VPS", &b"\x40\x01\x0c\x01\xff"[..], Some(&b"\x40\x01\xfc\x01\xff"[..])),
            ("PPS", b"\x44\x01\xc0\x73\xc1\x89", Some(b"\x44\x01\x08\x04\0\x73\xc1\x89")),
            ("PPS of another id", b"\x44\x01\x40\x73", None),
            ("PPS of another SPS", b"\x44\x01\xa0\x73", None),
            ("VPS of another id", b"\x40\x01\x1c\x01", None),
            ("IDR", b"\x28\x01\xac\xf3\x0c", Some(b"\x28\x01\x82\x0c\xf3\x0c")),
            ("P", b"\x02\x01\xd0\x12", Some(b"\x02\x01\x84\x10\x12")),
            ("P of another id", b"\x02\x01\x90\x12", None),
            ("a second slice", b"\x02\x01\x60\x12", Some(b"\x02\x01\x04\x20\x12")),
            // New emulation, and what was escaped before.
            ("zeros", b"\x02\x01\xc0\0\x01\x80", Some(b"\x02\x01\x84\0\0\x03\x01\x80")),
            ("zeros", b"\x02\x01\xe0\0\0\x03\x01\x80", Some(b"\x02\x01\x84\x20\0\0\x03\x01\x80")),
            (
                "zeros at the end",
                b"\x02\x01\xe0\x80\0\0\x03",
                Some(b"\x02\x01\x84\x20\x80\0\0\x03"),
            ),
            ("SEI", b"\x4e\x01\x05\x01\x80", Some(b"\x4e\x01\x05\x01\x80")),
            ("nothing", b"\x02\x01", None),
        ] {
            let annex_b = [b"\0\0\x01", unit].concat();
            let wanted = moved_unit.map(|unit| [b"\0\0\0\x01", unit].concat());
            assert_eq!(moved(&annex_b), wanted, "{of}");
        }
        let sps = b"\0\0\x01\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x3c\xa0\x0a\x08";
        let there =
            b"\0\0\0\x01\x42\x01\xf1\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x3c\x08\x20\x0a\x08";
        assert_eq!(moved_sets(sps).unwrap(), there);
        let mut layers = *sps;
        layers[5] = 0x03;
        assert_eq!(moved_sets(&layers), None, "sub-layers");
        assert_eq!(moved_sets(b"\0\0\x01\x4e\x01\x05"), None, "no parameter set");
    }
}
