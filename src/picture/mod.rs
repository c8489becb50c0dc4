//! WHAT a picture is: scene contents → placement → [`DrawList`].
//!
//! Pure: no GPU, no I/O, no clock. Must not know when things happen (engine) or how they are drawn (gpu).
//! Invariant: the same scene and sizes always give the same `DrawList`; every rectangle in it is on even pixels.

use std::sync::Arc;

pub use crate::frame::RgbaImage;
use crate::frame::Size;
use crate::ids::InputKey;

mod place;

pub use place::{compose, layer_rect, overlay_rect};

/// The origin that a position refers to: the same-named point of the layer is put at that point of the canvas,
/// plus the offset towards the inside (right and down from left and top edges and centres, left and up from right and bottom edges).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say all")]
pub enum PositionRefer {
    #[default]
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
    Center,
    TopCenter,
    BottomCenter,
    LeftCenter,
    RightCenter,
}

/// How the picture meets its box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FillMode {
    /// The picture itself is placed and scaled; one side given scales the other in proportion, none means native size.
    #[default]
    None,
    /// The fields describe a box; the picture keeps its aspect, touches the box with its long side and is centred.
    Fit,
}

/// Where something stands on the canvas. Fractions of the canvas' width and height.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Placement {
    /// Fraction of canvas width, 0 = from the other side's scale or native.
    pub width: f32,
    /// Fraction of canvas height, 0 = from the other side's scale or native.
    pub height: f32,
    /// Offset from the origin, fraction of canvas width.
    pub x: f32,
    /// Offset from the origin, fraction of canvas height.
    pub y: f32,
    /// The origin.
    pub refer: PositionRefer,
    /// Box or picture.
    pub fill: FillMode,
}

/// A source in a scene. Order in the scene: bottom to top.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// The input shown.
    pub input: InputKey,
    /// Where.
    pub placement: Placement,
    /// How much later than the input itself plays, ms: 0–`limits::MAX_FIXED_DELAY_MS`. The sound has its own delay.
    pub delay_ms: u32,
}

/// What an overlay shows. Compared by content: equal content is rasterised once.
#[derive(Clone, Debug, PartialEq)]
pub enum OverlayContent {
    /// A text, rasterised by the compositor.
    Text(TextSpec),
    /// A decoded image.
    Image(Arc<RgbaImage>),
}

/// A text and its style. Sizes relative, so that one text serves canvases of every size.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSpec {
    /// The text; line feeds begin lines.
    pub text: String,
    /// Font name of the API (`KaiTi`, …); unknown names fall back to the sans-serif default.
    pub font_name: String,
    /// 0xRRGGBB.
    pub color_rgb: u32,
    /// Font height / canvas height, 0–1.
    pub size_normalized: f32,
    /// Border width / font height, 0–1; 0 = none.
    pub border_width_normalized: f32,
    /// 0xRRGGBB, or none.
    pub border_rgb: Option<u32>,
}

/// An overlay in a scene. Order in the scene: bottom to top.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlaySpec {
    /// What it shows.
    pub content: Arc<OverlayContent>,
    /// Where. `fill` is ignored; if both sides are given height wins (§4.3 of the API).
    pub placement: Placement,
    /// 0 invisible – 255 opaque.
    pub opacity: u8,
    /// Under the layers instead of over them.
    pub background: bool,
}

/// Everything that a scene shows.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ScenePicture {
    /// Sources, bottom to top.
    pub layers: Vec<LayerSpec>,
    /// Overlays, bottom to top.
    pub overlays: Vec<OverlaySpec>,
}

/// A rectangle of canvas pixels; may reach outside the canvas. All four numbers are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// Left edge.
    pub x_px: i32,
    /// Top edge.
    pub y_px: i32,
    /// Width.
    pub width_px: u32,
    /// Height.
    pub height_px: u32,
}

/// One thing to draw, over what was drawn before.
#[derive(Clone, Debug, PartialEq)]
pub enum DrawOp {
    /// The current frame of an input, whole, scaled to `rect`.
    Layer {
        /// Whose frame.
        input: InputKey,
        /// Where on the canvas.
        rect: Rect,
    },
    /// An overlay; its rectangle follows from its native size by [`overlay_rect`].
    Overlay(OverlaySpec),
}

/// A picture, described. Drawn on black, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawList {
    /// Size of the canvas.
    pub canvas: Size,
    /// Bottom to top.
    pub ops: Vec<DrawOp>,
}
