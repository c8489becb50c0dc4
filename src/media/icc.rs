//! Colour profiles of images.
//!
//! The only file that names moxcms. Invariant: a profile never keeps an image from being shown; one that cannot be used
//! leaves it as it is.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use crate::frame::RgbaImage;

/// Makes sRGB of pixels that are meant by an ICC profile; without one they are sRGB already.
pub(super) fn to_srgb<'a>(
    profile: Option<&[u8]>,
    images: impl IntoIterator<Item = &'a mut RgbaImage>,
) {
    let Some(profile) = profile else { return };
    let converted = ColorProfile::new_from_slice(profile)
        .map_err(|error| error.to_string())
        .and_then(|profile| images.into_iter().try_for_each(|image| convert(&profile, image)));
    if let Err(error) = converted {
        tracing::warn!(error, "the colour profile of an image is ignored");
    }
}

fn convert(profile: &ColorProfile, image: &mut RgbaImage) -> Result<(), String> {
    let (pixels, _) = image.pixels.as_chunks::<4>();
    let grey = || pixels.iter().flat_map(|&[grey, _, _, alpha]| [grey, alpha]).collect::<Vec<_>>();
    let grey = match profile.color_space {
        DataColorSpace::Rgb => None,
        DataColorSpace::Gray => Some(grey()),
        other => return Err(format!("it is for {other:?}")),
    };
    let layout = if grey.is_some() { Layout::GrayAlpha } else { Layout::Rgba };
    let srgb = ColorProfile::new_srgb();
    let transform = profile
        .create_transform_8bit(layout, &srgb, Layout::Rgba, TransformOptions::default())
        .map_err(|error| error.to_string())?;
    let mut converted = vec![0; image.pixels.len()];
    transform
        .transform(grey.as_deref().unwrap_or(&image.pixels), &mut converted)
        .map_err(|error| error.to_string())?;
    image.pixels = converted;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    fn convert(profile: &[u8], pixel: [u8; 4]) -> [u8; 4] {
        let mut image = RgbaImage { size: Size::new(1, 1), pixels: pixel.to_vec() };
        to_srgb(Some(profile), [&mut image]);
        image.pixels.try_into().unwrap()
    }

    #[test]
    fn profiles_are_followed_and_broken_ones_ignored() {
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        let grey = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let table: [(&[u8], [u8; 4], [u8; 4]); 6] = [
            // Greys are the same in every RGB space with sRGB's curve.
            (&p3, [128, 128, 128, 77], [128, 128, 128, 77]),
            // Linear light by the matrix from P3 to sRGB, whose first row is 1.2249, −0.2249, 0.
            (&p3, [128, 102, 77, 255], [133, 101, 73, 255]),
            (&srgb, [10, 200, 90, 3], [10, 200, 90, 3]),
            // Linear light 0.5 is 188 in sRGB.
            (&grey, [128, 128, 128, 255], [188, 188, 188, 255]),
            (&p3[..60], [1, 2, 3, 4], [1, 2, 3, 4]),
            (b"no profile", [1, 2, 3, 4], [1, 2, 3, 4]),
        ];
        for (profile, pixel, want) in table {
            let got = convert(profile, pixel);
            let off = got.iter().zip(want).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 1, "{pixel:?}: {got:?} for {want:?}");
        }
    }
}
