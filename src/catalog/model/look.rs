//! How layers, layouts and texts look, where the cloud API has no word for it; and which images a caster shows.
//!
//! Must not know how any of it is drawn. Invariant: the default of each is what a caster of the cloud API looks like.

use std::fmt;

use super::{Caster, Component, ComponentContent, Layout, Mirror, Place};

/// How a layer looks where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerLook {
    /// Cut off from the left, top, right and bottom: fractions of the picture's width or height; opposite sides together at
    /// most [`crate::limits::MAX_CROP`].
    pub crop: [f32; 4],
    /// What changes places.
    pub mirror: Mirror,
    /// 0 invisible – 1 opaque.
    pub opacity: f32,
    /// Radius of the corners / output height, 0–0.5.
    pub corner_radius: f32,
    /// Width of the border / output height, 0–0.5; 0 = none.
    pub border_width: f32,
    /// 0xRRGGBB.
    pub border_rgb: u32,
}

impl Default for LayerLook {
    fn default() -> LayerLook {
        LayerLook {
            crop: [0.0; 4],
            mirror: Mirror::None,
            opacity: 1.0,
            corner_radius: 0.0,
            border_width: 0.0,
            border_rgb: 0x00ff_ffff,
        }
    }
}

/// What a layout is drawn on.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Backdrop {
    /// 0xRRGGBB.
    pub rgb: u32,
    /// Over the colour.
    pub image: Option<Place>,
}

/// The box behind a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextBackground {
    /// 0xRRGGBB.
    pub rgb: u32,
    /// 0 invisible – 1 opaque.
    pub opacity: f32,
    /// How far it reaches beyond the text on each side / font height, 0–4.
    pub padding: f32,
}

/// What shows an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Showing<'a> {
    /// A component is one.
    Component(&'a Component),
    /// A layout has it as its backdrop.
    Layout(&'a Layout),
}

impl Showing<'_> {
    /// Its identifier.
    pub fn id(&self) -> &str {
        match self {
            Showing::Component(component) => component.id.as_str(),
            Showing::Layout(layout) => layout.id.as_str(),
        }
    }
}

impl fmt::Display for Showing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Showing::Component(component) => write!(f, "component {}", component.name),
            Showing::Layout(layout) => write!(f, "layout {}", layout.id),
        }
    }
}

impl Component {
    /// Where its image is, if it is one.
    pub fn image(&self) -> Option<&Place> {
        match &self.content {
            ComponentContent::Image { place } => Some(place),
            ComponentContent::Text(_) => None,
        }
    }
}

impl Caster {
    /// Every image of its components and layouts, and what shows it; one that several show comes as often.
    pub fn images(&self) -> impl Iterator<Item = (Showing<'_>, &Place)> {
        let of_component = |component| Some((Showing::Component(component), component.image()?));
        let of_layout = |layout| Some((Showing::Layout(layout), layout.backdrop.image.as_ref()?));
        let components = self.components.iter().filter_map(of_component);
        components.chain(self.layouts.iter().filter_map(of_layout))
    }
}
