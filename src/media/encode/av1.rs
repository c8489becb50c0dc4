//! AV1 as packets have it: a temporal unit of OBUs, each with its size, without the temporal delimiter; with its record (av1C).
//!
//! Must not know encoders. Invariant: no byte of an OBU that stays changes. AV1 has no ids for its sequence headers: one comes with
//! each keyframe and holds from there on, so that an encoder that takes another's place needs no place in the record, as long as a
//! decoder that was told of the record can decode what it makes.

use bytes::{BufMut, Bytes, BytesMut};

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const PADDING: u8 = 15;

/// An open bitstream unit (AV1, 5.3).
struct Obu<'a> {
    kind: u8,
    /// With its header.
    whole: &'a [u8],
    payload: &'a [u8],
}

/// The OBUs of a stream in the low-overhead format, up to one that is cut short or has no size.
fn obus(mut stream: &[u8]) -> Vec<Obu<'_>> {
    let mut obus = Vec::new();
    while let Some(obu) = first(stream) {
        stream = &stream[obu.whole.len()..];
        obus.push(obu);
    }
    obus
}

fn first(stream: &[u8]) -> Option<Obu<'_>> {
    let head = *stream.first()?;
    let (kind, has_extension, has_size) = (head >> 3 & 0x0f, head & 4 != 0, head & 2 != 0);
    let at = 1 + usize::from(has_extension);
    let (size, bytes) = leb128(stream.get(at..)?)?;
    let (from, to) = (at + bytes, at.checked_add(bytes)?.checked_add(size)?);
    let (whole, payload) = (stream.get(..to)?, stream.get(from..to)?);
    has_size.then_some(Obu { kind, whole, payload })
}

/// `leb128()` (4.10.5): its value and how many bytes it has.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_u64;
    for (n, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, n + 1));
        }
    }
    None
}

/// A temporal unit without its delimiter and padding.
pub(super) fn temporal_unit(stream: &[u8]) -> Bytes {
    let mut unit = BytesMut::with_capacity(stream.len());
    let stays = |obu: &Obu<'_>| !matches!(obu.kind, TEMPORAL_DELIMITER | PADDING);
    obus(stream).into_iter().filter(stays).for_each(|obu| unit.put_slice(obu.whole));
    unit.freeze()
}

/// The sequence headers of a stream, as OBUs.
pub(super) fn sequence_headers(stream: &[u8]) -> Vec<u8> {
    let all = obus(stream).into_iter().filter(|obu| obu.kind == SEQUENCE_HEADER);
    all.flat_map(|obu| obu.whole.to_vec()).collect()
}

/// What a sequence header says that a decoder must be fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sequence {
    profile: u8,
    /// `seq_level_idx` and `seq_tier` of the first operating point.
    level: u8,
    tier: u8,
    /// `high_bitdepth`, `twelve_bit`, `mono_chrome`, `subsampling_x`, `subsampling_y` and `chroma_sample_position`, as the record has
    /// them.
    format: u8,
}

/// Of a format, what decoding depends on: not where chroma lies.
const DECODED: u8 = 0x7c;

/// Bits of a sequence header, first bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// `uvlc()` (4.10.3).
    fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros < 32 { self.take(zeros).map(drop) } else { Some(()) }
    }
}

impl Sequence {
    /// `sequence_header_obu()` (5.5.1), of a stream that is no still picture.
    fn of(payload: &[u8]) -> Option<Sequence> {
        let mut bits = Bits { bytes: payload, at: 0 };
        let profile = bits.take(3)? as u8;
        let (_still, is_reduced) = (bits.flag()?, bits.flag()?);
        if is_reduced {
            return None;
        }
        let (level, tier) = points(&mut bits)?;
        let sides = [bits.take(4)? + 1, bits.take(4)? + 1];
        bits.take(sides[0] as usize)?;
        bits.take(sides[1] as usize)?;
        if bits.flag()? {
            bits.take(7)?;
        }
        tools(&mut bits)?;
        let format = format(&mut bits, profile)?;
        Some(Sequence { profile, level, tier, format })
    }
}

/// Timing and operating points; gives level and tier of the first.
fn points(bits: &mut Bits<'_>) -> Option<(u8, u8)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.take(32)?;
        bits.take(32)?;
        if bits.flag()? {
            bits.skip_uvlc()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.take(32 + 5 + 5)?;
        }
    }
    let tells_delay = bits.flag()?;
    let count = bits.take(5)? + 1;
    let mut first = None;
    for _ in 0..count {
        bits.take(12)?;
        let level = bits.take(5)? as u8;
        let tier = if level > 7 { bits.take(1)? as u8 } else { 0 };
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.take(2 * delay_bits + 1)?;
        }
        if tells_delay && bits.flag()? {
            bits.take(4)?;
        }
        first.get_or_insert((level, tier));
    }
    first
}

/// Coding tools, of which a decoder of the profile has all.
fn tools(bits: &mut Bits<'_>) -> Option<()> {
    const CHOSEN: u32 = 2;
    // Superblocks, filter_intra, intra_edge_filter; interintra, masked, warped, dual_filter.
    bits.take(3 + 4)?;
    let has_order_hint = bits.flag()?;
    if has_order_hint {
        // jnt_comp, ref_frame_mvs
        bits.take(2)?;
    }
    let screen = if bits.flag()? { CHOSEN } else { bits.take(1)? };
    if screen > 0 && !bits.flag()? {
        bits.take(1)?;
    }
    if has_order_hint {
        bits.take(3)?;
    }
    // superres, cdef, restoration
    bits.take(3).map(drop)
}

/// `color_config()` (5.5.2).
fn format(bits: &mut Bits<'_>, profile: u8) -> Option<u8> {
    let is_high = bits.flag()?;
    let is_twelve = profile == 2 && is_high && bits.flag()?;
    let is_mono = profile != 1 && bits.flag()?;
    let colors = if bits.flag()? { [bits.take(8)?, bits.take(8)?, bits.take(8)?] } else { [2; 3] };
    if is_mono || profile != 0 || colors == [1, 13, 0] {
        // Nothing that is made here.
        return None;
    }
    let _full_range = bits.flag()?;
    let position = bits.take(2)? as u8;
    Some(u8::from(is_high) << 6 | u8::from(is_twelve) << 5 | 0b1100 | position)
}

/// `AV1CodecConfigurationRecord` of the first sequence header in a stream, at the highest level and tier of all.
pub(super) fn configuration(stream: &[u8]) -> Option<Bytes> {
    let headers: Vec<Obu<'_>> =
        obus(stream).into_iter().filter(|obu| obu.kind == SEQUENCE_HEADER).collect();
    let sequences: Option<Vec<Sequence>> =
        headers.iter().map(|obu| Sequence::of(obu.payload)).collect();
    let sequences = sequences?;
    let first = sequences.first()?;
    let is_like = |other: &Sequence| {
        other.profile == first.profile && (other.format ^ first.format) & DECODED == 0
    };
    if !sequences.iter().all(is_like) {
        return None;
    }
    let level = sequences.iter().map(|sequence| sequence.level).max()?;
    let tier = sequences.iter().map(|sequence| sequence.tier).max()?;
    let mut record = BytesMut::new();
    record.put_slice(&[0x81, first.profile << 5 | level, tier << 7 | first.format, 0]);
    record.put_slice(headers.first()?.whole);
    Some(record.freeze())
}

/// Whether a decoder that was told of the record is fit for each sequence header in a stream.
pub(super) fn holds(record: &[u8], stream: &[u8]) -> bool {
    let [0x81, profile_level, tier_format, _, ..] = *record else { return false };
    let fits = |obu: &Obu<'_>| {
        Sequence::of(obu.payload).is_some_and(|of| {
            of.profile == profile_level >> 5
                && of.level <= profile_level & 0x1f
                && of.tier <= tier_format >> 7
                && (of.format ^ tier_format) & DECODED == 0
        })
    };
    let mut headers = obus(stream);
    headers.retain(|obu| obu.kind == SEQUENCE_HEADER);
    !headers.is_empty() && headers.iter().all(fits)
}

/// `seq_level_idx` of the first sequence header in a stream.
pub(super) fn level(stream: &[u8]) -> Option<u8> {
    let header = obus(stream).into_iter().find(|obu| obu.kind == SEQUENCE_HEADER)?;
    Sequence::of(header.payload).map(|sequence| sequence.level)
}

/// MainMbps and HighMbps of levels (AV1, A.3), in units of 100 000 bit/s, by `seq_level_idx`: 2.0 is 0, 3.0 is 4. 0: not defined,
/// and bounded by no more than the highest.
const MAX_BR: [[u32; 2]; 20] = [
    [15, 15],
    [30, 30],
    [0, 0],
    [0, 0],
    [60, 60],
    [100, 100],
    [0, 0],
    [0, 0],
    [120, 300],
    [200, 500],
    [0, 0],
    [0, 0],
    [300, 1000],
    [400, 1600],
    [600, 2400],
    [600, 2400],
    [600, 2400],
    [1000, 4800],
    [1600, 8000],
    [1600, 8000],
];

/// Highest bit rate that a record's level allows, bit/s.
pub(super) fn most_bps(record: &[u8]) -> u32 {
    let [0x81, profile_level, tier_format, ..] = *record else { return 0 };
    let level = MAX_BR.get(usize::from(profile_level & 0x1f)).filter(|rates| rates[0] > 0);
    let rates = level.unwrap_or(&MAX_BR[MAX_BR.len() - 1]);
    rates[usize::from(tier_format >> 7)] * 100_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What FFmpeg's libaom begins a stream of 640x360 with: level 2.1, BT.709, chroma somewhere.
    const HEADER: &[u8] = b"\x0a\x0e\0\0\0\x0c\xc4\xff\x67\x36\xbe\x44\x04\x04\x04\x10";
    const DELIMITER: &[u8] = b"\x12\0";
    const FRAME: &[u8] = b"\x32\x03\x10\0\x9b";

    #[test]
    fn delimiters_go_and_headers_stay() {
        let stream = [DELIMITER, HEADER, FRAME, b"\x7a\x01\x80"].concat();
        assert_eq!(temporal_unit(&stream)[..], [HEADER, FRAME].concat());
        assert_eq!(sequence_headers(&stream), HEADER);
        assert!(temporal_unit(b"\x32\x05\x10").is_empty(), "cut short");
        assert!(temporal_unit(b"\x30\x10").is_empty(), "without a size");
        let long = [&b"\x32\x80\x01"[..], &[7; 128]].concat();
        assert_eq!(temporal_unit(&long)[..], long);
    }

    #[test]
    fn a_record_says_what_the_headers_say() {
        let record = configuration(&[DELIMITER, HEADER, FRAME].concat()).unwrap();
        assert_eq!(record[..], [b"\x81\x01\x0c\0", HEADER].concat());
        assert!(holds(&record, HEADER));
        assert_eq!((level(HEADER), most_bps(&record)), (Some(1), 3_000_000));
        let mut higher = HEADER.to_vec();
        // Level 3.1 in the place of 2.1.
        higher[5] = 0x2c;
        assert!(!holds(&record, &higher));
        let both = configuration(&[HEADER, &higher].concat()).unwrap();
        assert_eq!(both[..], [b"\x81\x05\x0c\0", HEADER].concat());
        assert!(holds(&both, HEADER) && holds(&both, &higher));
        for nothing in [&b""[..], DELIMITER, &HEADER[..8]] {
            assert_eq!(configuration(nothing), None);
            assert!(!holds(&record, nothing));
        }
        assert_eq!(most_bps(b"\x81\x1f\x0c\0"), 160_000_000);
        assert_eq!(most_bps(b"\x81\x88"), 0);
    }
}
