//! The affine map from any source's code values to the canvas'.
//!
//! Must not know textures. Invariant: grey maps to grey, so the chroma rows have no luma term. Formulas: ITU-R BT.601,
//! BT.709 and BT.2020 (non-constant luminance). Code values are those of 8 bits; deeper ones are brought to that scale
//! (10 bits: divided by 4), with their fraction. Primaries are left as they are.

use crate::frame::{Color, Matrix, Range};

/// Rows from (Y, U, V, 1) code values of a source to Y, U and V of the canvas.
pub(super) type CodeMatrix = [[f32; 4]; 3];

/// The map from `source`, of this many bits, to [`Color::CANVAS`].
pub(super) fn canvas_from(source: Color, depth_bits: u32) -> CodeMatrix {
    let excursions = excursions(source.range, depth_bits);
    let map = |code: [f64; 3]| encode(Color::CANVAS, decode(source.matrix, excursions, code));
    let zero = map([0.0; 3]);
    let columns = [map([1.0, 0.0, 0.0]), map([0.0, 1.0, 0.0]), map([0.0, 0.0, 1.0])];
    std::array::from_fn(|row| {
        let factor = |column: usize| (columns[column][row] - zero[row]) as f32;
        [factor(0), factor(1), factor(2), zero[row] as f32]
    })
}

/// Code values of the canvas: Y, U, V.
pub(super) type Code = [u8; 3];

/// What a colour (0xRRGGBB) is on the canvas, to the nearest code.
pub(super) fn code_of(rgb: u32) -> Code {
    let [_, r, g, b] = rgb.to_be_bytes();
    encode(Color::CANVAS, [r, g, b].map(|c| f64::from(c) / 255.0)).map(|code| code.round() as u8)
}

/// Weights of red and blue in luma.
fn red_blue_weights(matrix: Matrix) -> (f64, f64) {
    match matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    }
}

/// Luma offset, luma excursion and chroma excursion in code values of 8 bits. The full range of 10 bits ends at 1023, which
/// is a little more than 255.
fn excursions(range: Range, depth_bits: u32) -> (f64, f64, f64) {
    let largest = 256.0 - 256.0 / f64::from(1_u32 << depth_bits);
    match range {
        Range::Limited => (16.0, 219.0, 224.0),
        Range::Full => (0.0, largest, largest),
    }
}

/// Code values → R'G'B' (black 0, white 1).
fn decode(matrix: Matrix, (black, luma, chroma): (f64, f64, f64), [y, u, v]: [f64; 3]) -> [f64; 3] {
    let (kr, kb) = red_blue_weights(matrix);
    let (y, cb, cr) = ((y - black) / luma, (u - 128.0) / chroma, (v - 128.0) / chroma);
    let (r, b) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
    [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
}

/// R'G'B' → code values.
fn encode(color: Color, [r, g, b]: [f64; 3]) -> [f64; 3] {
    let (kr, kb) = red_blue_weights(color.matrix);
    let (black, luma, chroma) = excursions(color.range, 8);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
    [black + luma * y, 128.0 + chroma * cb, 128.0 + chroma * cr]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(m: &CodeMatrix, code: [f32; 3]) -> [i32; 3] {
        m.map(|r| (r[0] * code[0] + r[1] * code[1] + r[2] * code[2] + r[3]).round() as i32)
    }

    #[test]
    fn known_colours_land_where_the_standards_say() {
        use Matrix::{Bt601, Bt709};
        use Range::{Full, Limited};
        for (matrix, range, source, canvas) in [
            (Bt709, Limited, [100.0, 60.0, 200.0], [100, 60, 200]),
            (Bt709, Full, [0.0, 128.0, 128.0], [16, 128, 128]),
            (Bt709, Full, [255.0, 128.0, 128.0], [235, 128, 128]),
            // Pure red and blue of BT.601 are (81, 90, 240) and (41, 240, 110), of BT.709 (63, 102, 240), (32, 240, 118).
            (Bt601, Limited, [81.0, 90.0, 240.0], [63, 102, 240]),
            (Bt601, Limited, [41.0, 240.0, 110.0], [32, 240, 118]),
            (Bt601, Full, [255.0, 128.0, 128.0], [235, 128, 128]),
        ] {
            // The source's codes are rounded themselves.
            let got = apply(&canvas_from(Color { matrix, range }, 8), source);
            let near = got.iter().zip(canvas).all(|(got, want)| got.abs_diff(want) <= 1);
            assert!(near, "{matrix:?} {range:?} {source:?}: {got:?}, not {canvas:?}");
        }
    }

    #[test]
    fn colours_have_the_codes_of_the_standard() {
        for (rgb, code) in [
            (0, [16, 128, 128]),
            (0xff_ffff, [235, 128, 128]),
            (0xff_0000, [63, 102, 240]),
            (0x00_00ff, [32, 240, 118]),
        ] {
            assert_eq!(code_of(rgb), code, "{rgb:06x}");
        }
    }

    #[test]
    fn chroma_has_no_luma_term() {
        for matrix in [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020] {
            for range in [Range::Limited, Range::Full] {
                let m = canvas_from(Color { matrix, range }, 8);
                assert!(m[1][0].abs() < 1e-6 && m[2][0].abs() < 1e-6);
            }
        }
    }
}
