//! Images: PNG, JPEG, WebP and GIF files as video pictures or as overlays, those that move included.
//!
//! Must not know who shows them. Invariants: size and length are checked before anything is decoded, the number of frames
//! while they are; what comes out is sRGB, upright.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::{LoopCount, Orientation};
use image::{
    AnimationDecoder, Delay, DynamicImage, Frames, ImageDecoder, ImageFormat, ImageReader, Limits,
};

use super::icc;
use super::open::MediaError;
use crate::frame::{Animation, AnimationFrame, RgbaImage};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::limits::{
    MAX_ANIMATION_FRAMES, MAX_ANIMATION_PIXELS, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS,
};

/// Frames that claim to be shown for less are shown for [`USUAL_DELAY_NS`], as browsers do: files mean that by it.
const LEAST_DELAY_NS: u64 = 11_000_000;
const USUAL_DELAY_NS: u64 = 100_000_000;

/// Decodes an image for an overlay, with its transparency and all its frames.
///
/// # Errors
/// When it is not of a known kind, is larger than `limits::MAX_IMAGE_BYTES` or `MAX_IMAGE_PIXELS`, has more than
/// `MAX_ANIMATION_FRAMES` or `MAX_ANIMATION_PIXELS` in all, or is broken.
pub fn load_overlay(bytes: &[u8]) -> Result<Animation, MediaError> {
    let mut animation = match open(bytes)? {
        Opened::Still(image, profile) => of_one(image, profile),
        Opened::Moving(moving) => moving.frames()?,
    };
    if animation.frames.is_empty() {
        return Err(refuse("no picture in it"));
    }
    animation.frames.shrink_to_fit();
    Ok(animation)
}

/// Decodes an image for a layer: I420 in canvas colour, transparent parts on black, an odd side made even by
/// repeating its last row or column. Of one that moves, the first frame.
///
/// # Errors
/// As [`load_overlay`].
pub fn load_picture(bytes: &[u8]) -> Result<Picture, MediaError> {
    let animation = match open(bytes)? {
        Opened::Still(image, profile) => of_one(image, profile),
        Opened::Moving(moving) => Moving { most: 1, ..moving }.frames()?,
    };
    match animation.frames.first() {
        Some(frame) => picture_of(&frame.image),
        None => Err(refuse("no picture in it")),
    }
}

fn picture_of(image: &RgbaImage) -> Result<Picture, MediaError> {
    let even = |side: u32| side.next_multiple_of(2);
    let size = Size::new(even(image.size.width_px), even(image.size.height_px));
    let (width, height) = (size.width_px as usize, size.height_px as usize);
    let mut luma = vec![0; width * height];
    let mut chroma = [vec![0; width * height / 4], vec![0; width * height / 4]];
    for row in (0..height).step_by(2) {
        for column in (0..width).step_by(2) {
            let mut sum = [0.0; 3];
            for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let rgb = pixel(image, column + dx, row + dy);
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

/// A file of known kind and allowed size.
enum Opened<'a> {
    Still(DynamicImage, Option<Vec<u8>>),
    Moving(Moving<'a>),
}

/// Frames still to be decoded.
struct Moving<'a> {
    frames: Frames<'a>,
    plays: LoopCount,
    /// ICC.
    profile: Option<Vec<u8>>,
    /// Frames that are taken.
    most: usize,
}

fn open(bytes: &[u8]) -> Result<Opened<'_>, MediaError> {
    if bytes.len() as u64 > MAX_IMAGE_BYTES {
        return Err(refuse(format!(
            "{} bytes, at most {MAX_IMAGE_BYTES} are allowed",
            bytes.len()
        )));
    }
    let reader = || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(refuse);
    let format = reader()?.format();
    if !matches!(
        format,
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Gif)
    ) {
        return Err(refuse("neither PNG nor JPEG, WebP or GIF"));
    }
    let (width, height) = reader()?.into_dimensions().map_err(refuse)?;
    if u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS {
        return Err(MediaError::TooLarge(Size::new(width, height)));
    }
    let limits = || {
        let mut limits = Limits::default();
        // 16-bit RGBA is the largest a pixel can be.
        limits.max_alloc = Some(MAX_IMAGE_PIXELS * 8);
        limits
    };
    let data = Cursor::new(bytes);
    match format {
        Some(ImageFormat::Png) => {
            let mut decoder = PngDecoder::with_limits(data, limits()).map_err(refuse)?;
            if decoder.is_apng().map_err(refuse)? {
                let profile = decoder.icc_profile().ok().flatten();
                return Ok(moving(decoder.apng().map_err(refuse)?, profile));
            }
        }
        Some(ImageFormat::Gif) => {
            let mut decoder = GifDecoder::new(data).map_err(refuse)?;
            decoder.set_limits(limits()).map_err(refuse)?;
            let profile = decoder.icc_profile().ok().flatten();
            return Ok(moving(decoder, profile));
        }
        Some(ImageFormat::WebP) => {
            let mut decoder = WebPDecoder::new(data).map_err(refuse)?;
            decoder.set_limits(limits()).map_err(refuse)?;
            if decoder.has_animation() {
                let profile = decoder.icc_profile().ok().flatten();
                return Ok(moving(decoder, profile));
            }
        }
        _ => {}
    }
    let mut reader = reader()?;
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(refuse)?;
    let profile = decoder.icc_profile().ok().flatten();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(refuse)?;
    image.apply_orientation(orientation);
    Ok(Opened::Still(image, profile))
}

fn moving<'a>(decoder: impl AnimationDecoder<'a>, profile: Option<Vec<u8>>) -> Opened<'a> {
    let plays = decoder.loop_count();
    Opened::Moving(Moving {
        plays,
        frames: decoder.into_frames(),
        profile,
        most: MAX_ANIMATION_FRAMES + 1,
    })
}

fn of_one(image: DynamicImage, profile: Option<Vec<u8>>) -> Animation {
    let mut image = rgba(image.into_rgba8());
    icc::to_srgb(profile.as_deref(), [&mut image]);
    Animation { frames: vec![AnimationFrame { image, shown_ns: 0 }], plays: None }
}

impl Moving<'_> {
    fn frames(self) -> Result<Animation, MediaError> {
        let mut frames: Vec<AnimationFrame> = Vec::new();
        let mut pixels = 0;
        for frame in self.frames.take(self.most) {
            let frame = frame.map_err(refuse)?;
            let shown_ns = shown_ns(frame.delay());
            let image = rgba(frame.into_buffer());
            pixels += u64::from(image.size.width_px) * u64::from(image.size.height_px);
            if pixels > MAX_ANIMATION_PIXELS || frames.len() == MAX_ANIMATION_FRAMES {
                return Err(refuse(format!(
                    "more than {MAX_ANIMATION_FRAMES} frames or {MAX_ANIMATION_PIXELS} pixels in all"
                )));
            }
            frames.push(AnimationFrame { image, shown_ns });
        }
        icc::to_srgb(self.profile.as_deref(), frames.iter_mut().map(|frame| &mut frame.image));
        let plays = match self.plays {
            LoopCount::Finite(plays) => Some(plays),
            LoopCount::Infinite => None,
        };
        Ok(Animation { frames, plays })
    }
}

fn rgba(image: image::RgbaImage) -> RgbaImage {
    let size = Size::new(image.width(), image.height());
    RgbaImage { size, pixels: image.into_raw() }
}

fn shown_ns(delay: Delay) -> u64 {
    let (numerator, denominator) = delay.numer_denom_ms();
    let ns = u64::from(numerator) * 1_000_000 / u64::from(denominator.max(1));
    if ns < LEAST_DELAY_NS { USUAL_DELAY_NS } else { ns }
}

fn refuse(error: impl ToString) -> MediaError {
    MediaError::Image(error.to_string())
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
            (b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0", "neither PNG nor JPEG"),
            (&png(8, 8, [1; 4])[..60], "not an image"),
        ];
        for (bytes, text) in table {
            let message = load_picture(bytes).unwrap_err().to_string();
            assert!(message.contains(text), "{message}");
        }
    }

    /// Chunks of a PNG of one kind.
    fn chunks<'a>(png: &'a [u8], kind: &[u8; 4]) -> Vec<&'a [u8]> {
        let (mut rest, mut found) = (&png[8..], Vec::new());
        while rest.len() >= 12 {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            found.extend((rest[4..8] == *kind).then_some(&rest[8..8 + length]));
            rest = &rest[12 + length..];
        }
        found
    }

    /// An APNG of whole frames, each shown for so many ms, all of it twice.
    fn apng(frames: &[Vec<u8>], delays_ms: &[u16]) -> Vec<u8> {
        let mut out = frames[0][..8].to_vec();
        let mut chunk = |kind: &[u8; 4], data: &[u8]| {
            out.extend((data.len() as u32).to_be_bytes());
            let begin = out.len();
            out.extend(kind);
            out.extend(data);
            let crc = crc32(&out[begin..]);
            out.extend(crc.to_be_bytes());
        };
        let header = chunks(&frames[0], b"IHDR")[0];
        chunk(b"IHDR", header);
        chunk(b"acTL", &[(frames.len() as u32).to_be_bytes(), 2u32.to_be_bytes()].concat());
        let mut sequence = 0..;
        let mut next = || u32::to_be_bytes(sequence.next().unwrap());
        for (index, (frame, delay_ms)) in frames.iter().zip(delays_ms).enumerate() {
            let mut control = [&next()[..], &header[..8], &[0; 8]].concat();
            control.extend([&delay_ms.to_be_bytes()[..], &1000u16.to_be_bytes(), &[0, 0]].concat());
            chunk(b"fcTL", &control);
            let data = chunks(frame, b"IDAT").concat();
            match index {
                0 => chunk(b"IDAT", &data),
                _ => chunk(b"fdAT", &[&next()[..], &data].concat()),
            }
        }
        chunk(b"IEND", &[]);
        out
    }

    fn gif(size: u32, frames: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let frame = || image::RgbaImage::from_pixel(size, size, image::Rgba([9, 9, 9, 255]));
        let mut encoder = image::codecs::gif::GifEncoder::new_with_speed(&mut bytes, 30);
        encoder.set_repeat(image::codecs::gif::Repeat::Infinite).unwrap();
        (0..frames).for_each(|_| encoder.encode_frame(image::Frame::new(frame())).unwrap());
        drop(encoder);
        bytes
    }

    #[test]
    fn animations_keep_their_frames_and_times() {
        let moving = load_overlay(&gif(4, 3)).unwrap();
        // No time is given: the usual one.
        let shown: Vec<u64> = moving.frames.iter().map(|frame| frame.shown_ns).collect();
        assert_eq!((shown, moving.plays), (vec![100_000_000; 3], None));
        let colours = [[255, 0, 0, 255], [0, 255, 0, 128]];
        let bytes = apng(&colours.map(|rgba| png(3, 2, rgba)), &[40, 250]);
        let moving = load_overlay(&bytes).unwrap();
        let frames = moving.frames.iter().map(|f| (f.shown_ns / 1_000_000, f.image.pixels.clone()));
        let want = [(40, colours[0].repeat(6)), (250, colours[1].repeat(6))];
        assert_eq!(frames.collect::<Vec<_>>(), want);
        assert_eq!(moving.plays.map(std::num::NonZeroU32::get), Some(2));
        // A layer shows the first.
        assert_eq!(load_picture(&bytes).unwrap().planes()[0].data[0], 63);
    }

    #[test]
    fn animations_are_limited_while_they_are_decoded() {
        let pixels_a_frame = 2048 * 2048;
        let most = (MAX_ANIMATION_PIXELS / pixels_a_frame) as usize;
        for (size, frames, is_taken) in [
            (1, MAX_ANIMATION_FRAMES, true),
            (1, MAX_ANIMATION_FRAMES + 1, false),
            (2048, most, true),
            (2048, most + 1, false),
        ] {
            let result = load_overlay(&gif(size, frames));
            assert_eq!(result.is_ok(), is_taken, "{frames} of {size}");
        }
    }

    #[test]
    fn every_kind_is_decoded_with_its_transparency() {
        let half = image::RgbaImage::from_pixel(6, 4, image::Rgba([10, 200, 30, 0]));
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
            let mut bytes = Cursor::new(vec![]);
            half.write_to(&mut bytes, format).unwrap();
            let animation = load_overlay(&bytes.into_inner()).unwrap();
            assert_eq!(animation.size(), Size::new(6, 4), "{format:?}");
            let pixels = &animation.frames[0].image.pixels;
            assert!(pixels.iter().skip(3).step_by(4).all(|alpha| *alpha == 0), "{format:?}");
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
