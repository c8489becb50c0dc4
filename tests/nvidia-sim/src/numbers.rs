//! The numbers of pictures in headers of H.264's slices.
//!
//! Must not know why they change. Invariant: nothing else of a slice does; its fields keep their lengths.

use crate::software::units;

/// How long they are, by the sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    frame_num_bits: usize,
    order_bits: usize,
}

impl Numbers {
    /// As the first SPS among these units says; `None` where pictures have no order of their own there.
    pub fn of(sets: &[u8]) -> Option<Numbers> {
        let sps = without_escapes(units(sets).into_iter().find(|unit| unit[0] & 0x1f == 7)?);
        // Behind the kind of unit, profile, constraints and level.
        let mut bits = Bits { bytes: &sps, at: 32 };
        bits.golomb();
        if sps[1] >= 100 {
            // Chroma, depths of both, and whether there are ways and matrices of its own.
            (0..3).for_each(|_| _ = bits.golomb());
            bits.take(2);
        }
        let frame_num_bits = bits.golomb() + 4;
        if bits.golomb() != 0 {
            return None;
        }
        Some(Numbers { frame_num_bits, order_bits: bits.golomb() + 4 })
    }

    /// A picture, Annex B, with other numbers; that of a keyframe has none that could be others.
    pub fn put(self, picture: &[u8], (frame_num, order): (usize, usize)) -> Vec<u8> {
        let mut renumbered = Vec::new();
        for unit in units(picture) {
            renumbered.extend([0, 0, 0, 1]);
            if unit[0] & 0x1f != 1 {
                renumbered.extend(unit);
                continue;
            }
            let mut slice = without_escapes(unit);
            let mut bits = Bits { bytes: &slice, at: 8 };
            // The first macroblock, the kind of slice, the picture parameter set.
            (0..3).for_each(|_| _ = bits.golomb());
            let at = bits.at;
            put(&mut slice, (at, self.frame_num_bits), frame_num);
            put(&mut slice, (at + self.frame_num_bits, self.order_bits), order);
            renumbered.extend(with_escapes(&slice));
        }
        renumbered
    }
}

/// Bits that are read one after the other; behind the end all are 1.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> usize {
        (0..count).fold(0, |number, _| {
            let byte = self.bytes.get(self.at / 8).copied().unwrap_or(0xff);
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            number << 1 | usize::from(bit)
        })
    }

    /// A number of Exp-Golomb's code.
    fn golomb(&mut self) -> usize {
        let mut zeros = 0;
        while self.take(1) == 0 {
            zeros += 1;
        }
        (1 << zeros) - 1 + self.take(zeros)
    }
}

/// Writes the lowest bits of a number.
fn put(bytes: &mut [u8], (at, count): (usize, usize), number: usize) {
    for index in 0..count {
        let (byte, mask) = ((at + index) / 8, 0x80_u8 >> ((at + index) % 8));
        match number >> (count - 1 - index) & 1 {
            0 => bytes[byte] &= !mask,
            _ => bytes[byte] |= mask,
        }
    }
}

fn without_escapes(unit: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        plain.push(*byte);
    }
    plain
}

fn with_escapes(plain: &[u8]) -> Vec<u8> {
    let mut unit = Vec::with_capacity(plain.len());
    let mut zeros = 0;
    for byte in plain {
        if zeros >= 2 && *byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        unit.push(*byte);
    }
    unit
}
