//! Rules of how layers, layouts and texts look, where the cloud API has no word for it.
//!
//! Must not know what they belong to. Invariant: what is drawn later needs no second check; every message names the field.

use super::super::Context;
use super::super::code::Refused;
use super::super::model::{Backdrop, LayerLook, Mirror, TextBackground};
use super::super::{BackdropDraft, LookDraft, TextBackgroundDraft};
use super::check;
use crate::limits;

/// From nothing to all of it.
const FRACTION: (f32, f32) = (0.0, 1.0);

pub(super) fn layer(draft: &LookDraft) -> Result<LayerLook, Refused> {
    let plain = LayerLook::default();
    Ok(LayerLook {
        crop: crop(draft)?,
        mirror: check::word("Look.Mirror", &draft.mirror, Mirror::parse, plain.mirror)?,
        opacity: opacity("Look.Opacity", draft.opacity)?,
        corner_radius: check::number(
            "Look.CornerRadius",
            draft.corner_radius,
            (0.0, limits::MAX_CORNER_RADIUS),
        )?,
        border_width: check::number(
            "Look.BorderWidth",
            draft.border_width,
            (0.0, limits::MAX_BORDER_WIDTH),
        )?,
        border_rgb: color("Look.BorderColor", &draft.border_color)?.unwrap_or(plain.border_rgb),
    })
}

fn crop(draft: &LookDraft) -> Result<[f32; 4], Refused> {
    let side = |field, value| check::number(field, value, (0.0, limits::MAX_CROP));
    let crop @ [left, top, right, bottom] = [
        side("Look.CropLeft", draft.crop_left)?,
        side("Look.CropTop", draft.crop_top)?,
        side("Look.CropRight", draft.crop_right)?,
        side("Look.CropBottom", draft.crop_bottom)?,
    ];
    for (fields, cut) in [
        ("Look.CropLeft and Look.CropRight", left + right),
        ("Look.CropTop and Look.CropBottom", top + bottom),
    ] {
        if cut > limits::MAX_CROP {
            let max = limits::MAX_CROP;
            return Err(check::malformed(format!("{fields} together must be at most {max}.")));
        }
    }
    Ok(crop)
}

pub(super) fn backdrop(draft: &BackdropDraft, ctx: &Context<'_>) -> Result<Backdrop, Refused> {
    let image = |image| check::image("Backdrop.Image", image, ctx);
    Ok(Backdrop {
        rgb: color("Backdrop.Color", &draft.color)?.unwrap_or_default(),
        image: draft.image.as_ref().map(image).transpose()?,
    })
}

pub(super) fn text_background(
    draft: &TextBackgroundDraft,
) -> Result<Option<TextBackground>, Refused> {
    let opacity = opacity("Background.Opacity", draft.opacity)?;
    let padding =
        check::number("Background.Padding", draft.padding, (0.0, limits::MAX_TEXT_PADDING))?;
    let rgb = color("Background.Color", &draft.color)?;
    Ok(rgb.map(|rgb| TextBackground { rgb, opacity, padding }))
}

/// All of it when absent.
fn opacity(field: &str, value: Option<f32>) -> Result<f32, Refused> {
    check::number(field, value.unwrap_or(FRACTION.1), FRACTION)
}

/// A colour, if there is one.
pub(super) fn color(field: &str, text: &str) -> Result<Option<u32>, Refused> {
    if text.is_empty() { Ok(None) } else { check::color(field, text).map(Some) }
}
