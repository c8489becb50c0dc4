//! HEVC in its two dresses: Annex B (start codes, as x265 gives it) and lengths (as FLV and MP4 want it), with its record (hvcC).
//!
//! Must not know encoders. Invariants: no byte of a NAL unit changes; parameter sets are in the record and nowhere else, which is
//! what `hvc1` promises in MP4.

use bytes::{BufMut, Bytes, BytesMut};

use super::annexb::{self, units};

const NAL_VPS: u8 = 32;
const NAL_SPS: u8 = 33;
const NAL_PPS: u8 = 34;
const NAL_AUD: u8 = 35;

/// Parameter sets in the order in which a record has them.
const SETS: [u8; 3] = [NAL_VPS, NAL_SPS, NAL_PPS];

/// `nal_unit_type` (H.265, 7.3.1.2).
pub(super) fn nal_type(unit: &[u8]) -> u8 {
    unit[0] >> 1 & 0x3f
}

/// Bytes of a NAL unit's header.
pub(super) const HEADER_BYTES: usize = 2;

/// Where the general profile, tier and level of an SPS are, which are 12 bytes (7.3.3), behind a byte of ids and layers.
pub(super) const PROFILE_AT: usize = HEADER_BYTES + 1;
pub(super) const PROFILE_BYTES: usize = 12;
/// Where among them the level is.
const LEVEL_AT: usize = PROFILE_BYTES - 1;

/// A NAL unit without its emulation prevention bytes (7.3.1.1).
pub(super) fn plain(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        plain.push(byte);
    }
    plain
}

/// Annex B to 4-byte lengths; parameter sets and access unit delimiters are left out.
pub(super) fn length_prefixed(annex_b: &[u8]) -> Bytes {
    let is_told = |unit: &&[u8]| SETS.contains(&nal_type(unit)) || nal_type(unit) == NAL_AUD;
    annexb::length_prefixed(units(annex_b).into_iter().filter(|unit| !is_told(unit)))
}

/// What an SPS says of profile and level.
struct Profile {
    /// `sps_max_sub_layers_minus1` and `sps_temporal_id_nesting_flag`, the lower four bits.
    layers: u8,
    /// As records have it.
    general: [u8; PROFILE_BYTES],
}

impl Profile {
    /// Of an SPS of the profile Main, the only one that is asked for: 4:2:0 of 8 bits.
    fn of(sps: &[u8]) -> Option<Profile> {
        let sps = plain(sps);
        let general = sps.get(PROFILE_AT..PROFILE_AT + PROFILE_BYTES)?.try_into().ok()?;
        let profile = Profile { layers: sps[HEADER_BYTES] & 0x0f, general };
        (profile.general[0] & 0x1f == 1).then_some(profile)
    }

    fn is_high_tier(&self) -> bool {
        self.general[0] & 0x20 != 0
    }

    fn level(&self) -> u8 {
        self.general[LEVEL_AT]
    }
}

/// The id of a parameter set, as far as it is needed to tell two of one type apart: none where it is not found.
fn id(unit: &[u8]) -> Option<u32> {
    let plain = plain(unit);
    match nal_type(unit) {
        NAL_VPS => plain.get(HEADER_BYTES).map(|byte| u32::from(byte >> 4)),
        NAL_SPS if plain.get(HEADER_BYTES)? & 0x0e == 0 => {
            unsigned(plain.get(PROFILE_AT + PROFILE_BYTES..)?)
        }
        NAL_PPS => unsigned(plain.get(HEADER_BYTES..)?),
        _ => None,
    }
}

/// `ue(v)` at the beginning of bytes (9.2), of at most 15 bits.
fn unsigned(bytes: &[u8]) -> Option<u32> {
    let word = [0, 1].map(|at| u32::from(bytes.get(at).copied().unwrap_or(0)));
    let bits = word[0] << 8 | word[1];
    let zeros = bits.leading_zeros() - 16;
    (zeros < 8).then(|| (bits >> (15 - 2 * zeros)) - 1)
}

/// `HEVCDecoderConfigurationRecord` (ISO/IEC 14496-15, 8.3.3.1) of all parameter sets found in Annex B, those of several encoders
/// too; `None` unless all are there, of the profile Main, and no two of a type have one id.
pub(super) fn configuration(annex_b: &[u8]) -> Option<Bytes> {
    let units = units(annex_b);
    let of_type = |wanted: u8| units.iter().copied().filter(move |unit| nal_type(unit) == wanted);
    let profiles: Option<Vec<Profile>> = of_type(NAL_SPS).map(Profile::of).collect();
    let profiles = profiles?;
    // What all of them conform to: the richest tier and level, and the promises that each keeps.
    let mut general = profiles.first()?.general;
    for profile in &profiles {
        for (at, (all, its)) in general.iter_mut().zip(profile.general).enumerate() {
            *all = match at {
                0 => *all | its,
                LEVEL_AT => its.max(*all),
                _ => *all & its,
            };
        }
    }
    let layers = profiles.iter().map(|profile| profile.layers >> 1).max()? + 1;
    let is_nested = profiles.iter().all(|profile| profile.layers & 1 == 1);
    let mut record = BytesMut::new();
    record.put_u8(1);
    record.put_slice(&general);
    // Segments of any size, whatever can be decoded at once; 4:2:0, 8 bit luma and chroma; any frame rate.
    record.put_slice(&[0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0]);
    // Lengths of 4 bytes.
    record.put_u8(layers << 3 | u8::from(is_nested) << 2 | 3);
    record.put_u8(SETS.len() as u8);
    for kind in SETS {
        let ids: Option<Vec<u32>> = of_type(kind).map(id).collect();
        let (mut ids, count) = (ids?, of_type(kind).count());
        ids.sort_unstable();
        ids.dedup();
        if count == 0 || ids.len() != count {
            return None;
        }
        // All of them are here.
        record.put_u8(0x80 | kind);
        record.put_u16(u16::try_from(count).ok()?);
        for set in of_type(kind) {
            record.put_u16(u16::try_from(set.len()).ok()?);
            record.put_slice(set);
        }
    }
    Some(record.freeze())
}

/// Parameter sets of a record; none when it is cut short.
pub(super) fn sets(record: &[u8]) -> Option<Vec<&[u8]>> {
    let (arrays, mut rest) = record.get(22..)?.split_first()?;
    let mut sets = Vec::new();
    for _ in 0..*arrays {
        let ([_, high, low], after) = rest.split_first_chunk::<3>()?;
        rest = after;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let (len, after) = rest.split_first_chunk::<2>()?;
            let (set, after) = after.split_at_checked(u16::from_be_bytes(*len).into())?;
            sets.push(set);
            rest = after;
        }
    }
    sets.retain(|set| !set.is_empty());
    Some(sets)
}

/// Whether a record has each parameter set that is found in Annex B.
pub(super) fn holds(record: &[u8], annex_b: &[u8]) -> bool {
    let Some(known) = sets(record) else { return false };
    let mut sets = units(annex_b);
    sets.retain(|unit| SETS.contains(&nal_type(unit)));
    !sets.is_empty() && sets.iter().all(|set| known.contains(set))
}

/// `general_level_idc` of the first SPS in Annex B: 30 times the level.
pub(super) fn level(annex_b: &[u8]) -> Option<u8> {
    let sps = units(annex_b).into_iter().find(|unit| nal_type(unit) == NAL_SPS)?;
    Profile::of(sps).map(|profile| profile.level())
}

/// MaxBR of levels in the Main and the High tier, in units of 1000 bit/s (H.265, tables A.8 and A.9), by `general_level_idc`;
/// levels below 4 have no High tier; those that are not here have the most.
const MAX_BR: [(u8, [u32; 2]); 13] = [
    (30, [128, 128]),
    (60, [1500, 1500]),
    (63, [3000, 3000]),
    (90, [6000, 6000]),
    (93, [10_000, 10_000]),
    (120, [12_000, 30_000]),
    (123, [20_000, 50_000]),
    (150, [25_000, 100_000]),
    (153, [40_000, 160_000]),
    (156, [60_000, 240_000]),
    (180, [60_000, 240_000]),
    (183, [120_000, 480_000]),
    (186, [240_000, 800_000]),
];

/// Highest bit rate that the levels of all SPS of a record allow, bit/s.
pub(super) fn most_bps(record: &[u8]) -> u32 {
    let of = |sps: &[u8]| {
        let Some(profile) = Profile::of(sps) else { return 0 };
        let known = MAX_BR.iter().find(|(known, _)| *known == profile.level());
        let (_, kbps) = known.unwrap_or(&MAX_BR[MAX_BR.len() - 1]);
        kbps[usize::from(profile.is_high_tier())] * 1000
    };
    let sets = sets(record).unwrap_or_default();
    sets.into_iter().filter(|set| nal_type(set) == NAL_SPS).map(of).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What x265 begins a stream of 320x180 with, at level 2.
    const VPS: &[u8] =
        b"\x40\x01\x0c\x01\xff\xff\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x3c\xba\x02\x40";
    const SPS: &[u8] =
        b"\x42\x01\x01\x01\x60\0\0\x03\0\x90\0\0\x03\0\0\x03\0\x3c\xa0\x0a\x08\x0c\x1f\x3e";
    const PPS: &[u8] = b"\x44\x01\xc0\x73\xc1\x89";

    fn annex_b(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [b"\0\0\0\x01", *unit].concat()).collect()
    }

    #[test]
    fn sets_go_to_the_record_and_pictures_to_lengths() {
        let stream = annex_b(&[b"\x46\x01\x50", VPS, SPS, PPS, b"\x28\x01\xac\x11"]);
        assert_eq!(&length_prefixed(&stream)[..], b"\0\0\0\x04\x28\x01\xac\x11");
        let record = configuration(&stream).unwrap();
        assert_eq!(
            &record[..23],
            b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x3c\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\x03"
        );
        let arrays =
            [&b"\xa0\0\x01\0\x18"[..], VPS, b"\xa1\0\x01\0\x18", SPS, b"\xa2\0\x01\0\x06", PPS];
        assert_eq!(record[23..], arrays.concat());
        assert!(length_prefixed(b"garbage").is_empty());
        for missing in [[VPS, SPS], [VPS, PPS], [SPS, PPS]] {
            assert_eq!(configuration(&annex_b(&missing)), None);
        }
    }

    #[test]
    fn a_record_holds_the_sets_of_several_encoders_if_their_ids_differ() {
        let first = annex_b(&[VPS, SPS, PPS]);
        // Ids 1, High tier, level 3.
        let vps = [&b"\x40\x01\x1c"[..], &VPS[3..]].concat();
        let sps = b"\x42\x01\x11\x21\x60\0\0\x03\0\xb0\0\0\x03\0\0\x03\0\x5a\x50\x0a\x08";
        let second = annex_b(&[&vps, sps, b"\x44\x01\x4a\x73\xc1\x89"]);
        let record = configuration(&[&first[..], &second].concat()).unwrap();
        assert_eq!(&record[1..13], b"\x21\x60\0\0\0\x90\0\0\0\0\0\x5a");
        let other = annex_b(&[VPS, SPS, b"\x44\x01\xc0\x73\xc1\x8a"]);
        for (sets, held) in [(&first, true), (&second, true), (&other, false), (&vec![], false)] {
            assert_eq!(holds(&record, sets), held, "{sets:?}");
        }
        assert!((0..record.len()).all(|len| !holds(&record[..len], &second)), "cut short");
        assert_eq!(configuration(&[&first[..], &other].concat()), None, "two of one id");
    }

    #[test]
    fn levels_bound_the_bit_rate() {
        for (tier, levels, bps) in [
            (0, vec![60], 1_500_000),
            (0, vec![93, 120], 10_000_000),
            (0, vec![123], 20_000_000),
            (1, vec![123], 50_000_000),
            (0, vec![200], 240_000_000),
        ] {
            let id_bytes: [u8; 2] = [0xa0, 0x50];
            let sps = levels.iter().zip(id_bytes).map(|(level, id)| {
                let general = 0x01 | tier << 5;
                [
                    &[0x42, 1, 1, general, 0x60, 0, 0, 3, 0],
                    &[0x90, 0, 0, 3, 0, 0, 3, 0][..],
                    &[*level, id],
                ]
                .concat()
            });
            let sps: Vec<Vec<u8>> = sps.collect();
            let mut stream = annex_b(&[VPS, PPS]);
            sps.iter().for_each(|sps| stream.extend(annex_b(&[sps])));
            assert_eq!(most_bps(&configuration(&stream).unwrap()), bps, "{tier} {levels:?}");
            assert_eq!(level(&stream), Some(levels[0]));
        }
        assert_eq!(most_bps(b"\x01\x01\x60"), 0);
    }

    #[test]
    fn numbers_of_any_length_are_read() {
        for (bytes, number) in [
            (&[0x80][..], Some(0)),
            (&[0x5f], Some(1)),
            (&[0x7f], Some(2)),
            (&[0x08, 0x7f], Some(15)),
            (&[0x01, 0xff], Some(254)),
            (&[0], None),
            (&[], None),
        ] {
            assert_eq!(unsigned(bytes), number, "{bytes:?}");
        }
    }
}
