//! Still images: PNG and JPEG files as video pictures or as overlays.
//!
//! Must not know who shows them. Invariant: size and length are checked before anything is decoded.

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use super::open::MediaError;
use crate::frame::RgbaImage;
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::limits::{MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS};

/// Decodes an image for an overlay, with its transparency.
///
/// # Errors
/// When it is neither PNG nor JPEG, is larger than `limits::MAX_IMAGE_BYTES` or `MAX_IMAGE_PIXELS`, or is broken.
pub fn load_overlay_image(bytes: &[u8]) -> Result<RgbaImage, MediaError> {
    let rgba = decode(bytes)?.into_rgba8();
    let size = Size::new(rgba.width(), rgba.height());
    Ok(RgbaImage { size, pixels: rgba.into_raw() })
}

/// Decodes an image for a layer: I420 in canvas colour, transparent parts on black, an odd side made even by
/// repeating its last row or column.
///
/// # Errors
/// As [`load_overlay_image`].
pub fn load_picture(bytes: &[u8]) -> Result<Picture, MediaError> {
    let image = load_overlay_image(bytes)?;
    let even = |side: u32| side.next_multiple_of(2);
    let size = Size::new(even(image.size.width_px), even(image.size.height_px));
    let (width, height) = (size.width_px as usize, size.height_px as usize);
    let mut luma = vec![0; width * height];
    let mut chroma = [vec![0; width * height / 4], vec![0; width * height / 4]];
    for row in (0..height).step_by(2) {
        for column in (0..width).step_by(2) {
            let mut sum = [0.0; 3];
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let rgb = pixel(&image, column + dx, row + dy);
                luma[(row + dy) * width + column + dx] = luma_of(rgb);
                for (total, value) in sum.iter_mut().zip(rgb) {
                    *total += value;
                }
            }
            let at = row / 2 * (width / 2) + column / 2;
            [chroma[0][at], chroma[1][at]] = chroma_of(sum.map(|total| total / 4.0));
        }
    }
    let [u, v] = chroma;
    let planes = [(luma, width), (u, width / 2), (v, width / 2)]
        .map(|(data, stride_bytes)| Plane { data: Bytes::from(data), stride_bytes });
    Picture::new(PixelFormat::I420, size, Color::CANVAS, planes.into()).map_err(MediaError::Image)
}

fn decode(bytes: &[u8]) -> Result<DynamicImage, MediaError> {
    let refuse = |text: String| MediaError::Image(text);
    if bytes.len() as u64 > MAX_IMAGE_BYTES {
        return Err(refuse(format!(
            "{} bytes, at most {MAX_IMAGE_BYTES} are allowed",
            bytes.len()
        )));
    }
    let reader = || {
        ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|error| refuse(error.to_string()))
    };
    if !matches!(reader()?.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(refuse("neither PNG nor JPEG".into()));
    }
    let (width, height) = reader()?.into_dimensions().map_err(|error| refuse(error.to_string()))?;
    if u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS {
        return Err(MediaError::TooLarge(Size::new(width, height)));
    }
    let mut reader = reader()?;
    let mut limits = Limits::default();
    // 16-bit RGBA is the largest a pixel can be.
    limits.max_alloc = Some(MAX_IMAGE_PIXELS * 8);
    reader.limits(limits);
    reader.decode().map_err(|error| refuse(error.to_string()))
}

/// R, G, B on black, 0–255; coordinates past the edge repeat it.
fn pixel(image: &RgbaImage, x: usize, y: usize) -> [f32; 3] {
    let x = x.min(image.size.width_px as usize - 1);
    let y = y.min(image.size.height_px as usize - 1);
    let at = (y * image.size.width_px as usize + x) * 4;
    let [r, g, b, a] = [0, 1, 2, 3].map(|i| f32::from(image.pixels[at + i]));
    [r, g, b].map(|value| value * a / 255.0)
}

// ITU-R BT.709-6 §3, limited range.
fn luma_of([r, g, b]: [f32; 3]) -> u8 {
    code(16.0 + (0.2126 * r + 0.7152 * g + 0.0722 * b) * 219.0 / 255.0)
}

fn chroma_of([r, g, b]: [f32; 3]) -> [u8; 2] {
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    [(b - y) / 1.8556, (r - y) / 1.5748].map(|value| code(128.0 + value * 224.0 / 255.0))
}

fn code(value: f32) -> u8 {
    // In 0–255 by construction; `as` saturates.
    value.round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32, rgba: [u8; 4]) -> Vec<u8> {
        let mut bytes = Cursor::new(vec![]);
        image::RgbaImage::from_pixel(width, height, image::Rgba(rgba))
            .write_to(&mut bytes, ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn images_become_even_pictures_in_canvas_colour() {
        let table = [
            ((1, 1), [255, 0, 0, 255], (2, 2), [63, 102, 240]),
            ((3, 5), [0, 0, 0, 255], (4, 6), [16, 128, 128]),
            ((4, 2), [255, 255, 255, 255], (4, 2), [235, 128, 128]),
            ((4, 2), [255, 255, 255, 0], (4, 2), [16, 128, 128]),
        ];
        for ((w, h), rgba, (even_w, even_h), yuv) in table {
            let picture = load_picture(&png(w, h, rgba)).unwrap();
            assert_eq!(picture.size(), Size::new(even_w, even_h));
            let got: Vec<u8> = picture.planes().iter().map(|p| *p.data.last().unwrap()).collect();
            assert_eq!(got, yuv, "{rgba:?}");
        }
    }

    #[test]
    fn what_is_no_image_or_too_large_is_refused_by_name() {
        // A PNG header that claims 8192 × 8192; were it decoded, its missing data would be the error.
        let mut huge =
            b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x20\0\0\0\x20\0\x08\x06\0\0\0".to_vec();
        huge.extend(crc32(&huge[12..29]).to_be_bytes());
        huge.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
        let mut long = png(1, 1, [0; 4]);
        long.resize(MAX_IMAGE_BYTES as usize + 1, 0);
        let table: [(&[u8], &str); 5] = [
            (&huge, "8192x8192"),
            (&long, "allowed"),
            (b"hello", "neither PNG nor JPEG"),
            (b"GIF89a\x01\0\x01\0\0\0\0", "neither PNG nor JPEG"),
            (&png(8, 8, [1; 4])[..60], "not an image"),
        ];
        for (bytes, text) in table {
            let message = load_picture(bytes).unwrap_err().to_string();
            assert!(message.contains(text), "{message}");
        }
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step =
            |crc: u32, bit: u32| (crc >> 1) ^ if (crc ^ bit) & 1 == 1 { 0xedb8_8320 } else { 0 };
        !bytes
            .iter()
            .fold(!0, |crc, &byte| (0..8).fold(crc, |crc, bit| step(crc, u32::from(byte >> bit))))
    }
}
