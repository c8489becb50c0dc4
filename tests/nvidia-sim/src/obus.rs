//! Streams of AV1: open bitstream units, each with its size.
//!
//! Must not know encoders. Invariant: what cannot be told apart is no stream.

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// What every picture's units begin with.
pub const DELIMITER: &[u8] = b"\x12\0";

/// A picture's units, told apart.
#[derive(Debug, Default)]
pub struct Parted {
    /// What it is decoded by.
    pub sequence_header: Vec<u8>,
    /// All else, but for the delimiter.
    pub frames: Vec<u8>,
}

/// Tells the units of a picture apart; `None` when one is cut short or does not say its size.
pub fn parted(mut stream: &[u8]) -> Option<Parted> {
    let mut parted = Parted::default();
    while let Some(head) = stream.first() {
        let (has_extension, has_size) = (head & 4 != 0, head & 2 != 0);
        let mut at = 1 + usize::from(has_extension);
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = *stream.get(at).filter(|_| has_size && shift < 28)?;
            size |= usize::from(byte & 0x7f) << shift;
            (at, shift) = (at + 1, shift + 7);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (unit, rest) = stream.split_at_checked(at + size)?;
        match head >> 3 & 0xf {
            SEQUENCE_HEADER => parted.sequence_header.extend(unit),
            TEMPORAL_DELIMITER => {}
            _ => parted.frames.extend(unit),
        }
        stream = rest;
    }
    Some(parted)
}

/// `seq_level_idx` of a sequence header of one operating point, without timing.
pub fn level(sequence_header: &[u8]) -> Option<u32> {
    // Behind the unit's header and its size: 24 bits, then five of it.
    sequence_header.get(2 + 3).map(|byte| u32::from(byte >> 3))
}
