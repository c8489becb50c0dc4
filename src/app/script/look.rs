//! How layers, layouts and texts look, in the words of a script.
//!
//! Must not know what else a script says. Invariant: what is made of these words is within the limits of the API.

use std::path::PathBuf;

use serde::Deserialize;

use super::super::resolve;
use crate::catalog::{LayerLook, Mirror};
use crate::limits;
use crate::picture::{self, TextBox};

/// What a layout is drawn on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in super::super) struct Backdrop {
    /// 0xRRGGBB.
    pub(in super::super) color: u32,
    /// Over the colour.
    pub(in super::super) image: Option<PathBuf>,
}

/// How a layer looks, as the API's `LayerLook`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Look {
    /// Left, top, right, bottom.
    crop: [f32; 4],
    mirror: String,
    opacity: f32,
    corner_radius: f32,
    border_width: f32,
    /// 0xRRGGBB.
    border_color: u32,
}

impl Default for Look {
    fn default() -> Look {
        let LayerLook { crop, mirror, opacity, corner_radius, border_width, border_rgb } =
            LayerLook::default();
        let mirror = mirror.as_str().to_owned();
        Look { crop, mirror, opacity, corner_radius, border_width, border_color: border_rgb }
    }
}

/// The box behind a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Background {
    /// 0xRRGGBB.
    color: u32,
    #[serde(default = "opaque")]
    opacity: f32,
    /// How far it reaches beyond the text / font height.
    #[serde(default)]
    padding: f32,
}

fn opaque() -> f32 {
    1.0
}

impl Background {
    /// As the compositor understands it.
    pub(super) fn text_box(&self) -> Result<TextBox, String> {
        within("background opacity", self.opacity, 1.0)?;
        within("background padding", self.padding, limits::MAX_TEXT_PADDING)?;
        Ok(TextBox { rgb: self.color, opacity: self.opacity, padding: self.padding })
    }
}

impl Look {
    /// As the compositor understands it.
    pub(super) fn look(&self) -> Result<picture::Look, String> {
        let [left, top, right, bottom] = self.crop;
        for (name, value, max) in [
            ("crop left", left, limits::MAX_CROP),
            ("crop top", top, limits::MAX_CROP),
            ("crop right", right, limits::MAX_CROP - left),
            ("crop bottom", bottom, limits::MAX_CROP - top),
            ("opacity", self.opacity, 1.0),
            ("corner_radius", self.corner_radius, limits::MAX_CORNER_RADIUS),
            ("border_width", self.border_width, limits::MAX_BORDER_WIDTH),
        ] {
            within(name, value, max)?;
        }
        let mirror = Mirror::parse(&self.mirror).ok_or_else(|| {
            format!("mirror {:?} is not none, horizontal, vertical or both", self.mirror)
        })?;
        Ok(resolve::resolve_look(&LayerLook {
            crop: self.crop,
            mirror,
            opacity: self.opacity,
            corner_radius: self.corner_radius,
            border_width: self.border_width,
            border_rgb: self.border_color,
        }))
    }
}

fn within(name: &str, value: f32, max: f32) -> Result<(), String> {
    if (0.0..=max).contains(&value) {
        return Ok(());
    }
    Err(format!("{name} is {value}, it can be 0 to {max}"))
}
