//! H.264 in its two dresses: Annex B (start codes, as x264 gives it) and AVCC (lengths, as FLV and MP4 want it).
//!
//! Must not know encoders. Invariant: no byte of a NAL unit changes.

use bytes::{BufMut, Bytes, BytesMut};

use super::annexb::{self, units};

const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_AUD: u8 = 9;

/// SPS that a record has room to count.
const MOST_SPS: usize = 31;

/// Annex B to AVCC with 4-byte lengths; access unit delimiters are left out.
pub(super) fn length_prefixed(annex_b: &[u8]) -> Bytes {
    let kept = units(annex_b).into_iter().filter(|unit| unit[0] & 0x1f != NAL_AUD);
    annexb::length_prefixed(kept)
}

/// `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 5.3.3.1) of all parameter sets found in Annex B, those of several encoders
/// too, which must have ids of their own.
pub(super) fn configuration(annex_b: &[u8]) -> Option<Bytes> {
    let units = units(annex_b);
    let of_type = |wanted: u8| -> Vec<&[u8]> {
        units.iter().copied().filter(|unit| unit[0] & 0x1f == wanted).collect()
    };
    let (all_sps, all_pps) = (of_type(NAL_SPS), of_type(NAL_PPS));
    if all_pps.is_empty() || all_sps.is_empty() || all_sps.len() > MOST_SPS {
        return None;
    }
    // What all of them conform to: the richest profile and level, and the constraints that each keeps.
    let (mut profile, mut compatibility, mut level) = (0, 0xff, 0);
    for sps in &all_sps {
        let [_, its_profile, its_compatibility, its_level, ..] = **sps else { return None };
        profile = profile.max(its_profile);
        compatibility &= its_compatibility;
        level = level.max(its_level);
    }
    let mut record = BytesMut::new();
    // Version 1; lengths of 4 bytes; how many SPS, then each, and the same of PPS.
    record.put_slice(&[1, profile, compatibility, level, 0xff, 0xe0 | all_sps.len() as u8]);
    let put = |record: &mut BytesMut, set: &[u8]| {
        record.put_u16(set.len() as u16);
        record.put_slice(set);
    };
    all_sps.iter().for_each(|sps| put(&mut record, sps));
    record.put_u8(u8::try_from(all_pps.len()).ok()?);
    all_pps.iter().for_each(|pps| put(&mut record, pps));
    if matches!(profile, 100 | 110 | 122 | 144) {
        // 4:2:0, 8 bit luma and chroma, no SPS extensions.
        record.put_slice(&[0xfd, 0xf8, 0xf8, 0]);
    }
    Some(record.freeze())
}

/// Parameter sets of a record, SPS first; none when it is cut short.
pub(super) fn sets(record: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = record.get(5..)?;
    let mut sets = Vec::new();
    for mask in [0x1f, 0xff] {
        let (count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & mask {
            let (len, after) = rest.split_first_chunk::<2>()?;
            let (set, after) = after.split_at_checked(u16::from_be_bytes(*len).into())?;
            sets.push(set);
            rest = after;
        }
    }
    Some(sets)
}

/// Whether a record has each parameter set that is found in Annex B.
pub(super) fn holds(record: &[u8], annex_b: &[u8]) -> bool {
    let Some(known) = sets(record) else { return false };
    let mut sets = units(annex_b);
    sets.retain(|unit| matches!(unit[0] & 0x1f, NAL_SPS | NAL_PPS));
    !sets.is_empty() && sets.iter().all(|set| known.contains(set))
}

/// `level_idc` of the first SPS in Annex B; 1b is 9.
pub(super) fn level(annex_b: &[u8]) -> Option<u8> {
    units(annex_b).into_iter().find(|unit| unit[0] & 0x1f == NAL_SPS)?.get(3).copied()
}

/// MaxBR of levels, in units of 1000 bit/s (H.264, table A-1), by `level_idc`; those that are not here have the most.
const MAX_BR: [(u8, u32); 19] = [
    (9, 128),
    (10, 64),
    (11, 192),
    (12, 384),
    (13, 768),
    (20, 2000),
    (21, 4000),
    (22, 4000),
    (30, 10_000),
    (31, 14_000),
    (32, 20_000),
    (40, 20_000),
    (41, 50_000),
    (42, 50_000),
    (50, 135_000),
    (51, 240_000),
    (52, 240_000),
    (60, 240_000),
    (61, 480_000),
];

/// Highest bit rate that the levels of all SPS of a record allow, bit/s.
pub(super) fn most_bps(record: &[u8]) -> u32 {
    let of = |sps: &[u8]| {
        let [_, profile, _, level, ..] = *sps else { return 0 };
        let known = MAX_BR.iter().find(|(known, _)| *known == level);
        // High may have a quarter more (cpbBrVclFactor).
        let factor = if profile == 100 { 1250 } else { 1000 };
        known.map_or(800_000, |(_, kbps)| *kbps) * factor
    };
    let sets = sets(record).unwrap_or_default();
    let sps = sets.into_iter().filter(|set| set.first().is_some_and(|kind| kind & 0x1f == NAL_SPS));
    sps.map(of).min().unwrap_or(0)
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

    #[test]
    fn a_record_holds_the_sets_of_several_encoders() {
        let first = b"\0\0\x01\x67\x42\xc0\x1e\xaa\0\0\x01\x68\xee";
        let second = b"\0\0\x01\x67\x4d\x40\x1f\xbb\0\0\x01\x68\x4e";
        let record = configuration(&[&first[..], second].concat()).unwrap();
        assert_eq!(
            &record[..],
            b"\x01\x4d\x40\x1f\xff\xe2\0\x05\x67\x42\xc0\x1e\xaa\0\x05\x67\x4d\x40\x1f\xbb\
              \x02\0\x02\x68\xee\0\x02\x68\x4e"
        );
        let other = b"\0\0\x01\x67\x42\xc0\x1e\xab\0\0\x01\x68\xee";
        for (sets, held) in [(&first[..], true), (second, true), (other, false), (b"", false)] {
            assert_eq!(holds(&record, sets), held, "{sets:?}");
        }
        assert!((0..record.len()).all(|len| !holds(&record[..len], second)), "cut short");
    }

    #[test]
    fn levels_bound_the_bit_rate() {
        let sps = |profile, level| [0, 0, 1, 0x67, profile, 0, level, 0xaa];
        let pps = b"\0\0\x01\x68\xee";
        for (of, bps) in [
            (vec![sps(100, 30)], 12_500_000),
            (vec![sps(77, 30)], 10_000_000),
            (vec![sps(100, 31), sps(100, 30)], 12_500_000),
            (vec![sps(66, 9)], 128_000),
            (vec![sps(100, 62)], 1_000_000_000),
        ] {
            let record = configuration(&[&of.concat()[..], pps].concat()).unwrap();
            assert_eq!(most_bps(&record), bps, "{of:?}");
            assert_eq!(level(&of.concat()), Some(of[0][6]));
        }
        assert_eq!(most_bps(b"\x01\x64\0"), 0);
    }
}
