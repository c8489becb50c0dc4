//! WHAT a picture is: scene contents → placement → [`DrawList`].
//!
//! Pure: no GPU, no I/O, no clock. Must not know when things happen (engine) or how they are drawn (gpu).
//! Invariant: the same scene and sizes always give the same `DrawList`; every rectangle in it is on even pixels.

use std::sync::Arc;

use crate::frame::Size;
pub use crate::frame::{Animation, RgbaImage};
use crate::ids::InputKey;
use crate::shot::{Crop, Mirror, Shot};

mod motion;
mod place;
mod transition;

pub use motion::{Motion, Window};
pub use place::{compose, cover_rect, layer_rect, overlay_rect};
pub use transition::{Transition, TransitionKind, blend, progress};

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
    /// How it looks there.
    pub look: Look,
}

/// How a layer looks where it stands. The default is the whole picture, opaque, with square corners and no border.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Cut off from the picture; the rest is placed as if it were the whole.
    pub crop: Crop,
    /// Left and right, top and bottom change places.
    pub mirror: Mirror,
    /// 0 invisible – 1 opaque, border included.
    pub opacity: f32,
    /// Radius of the corners / canvas height; at most half the shorter side counts.
    pub corner_radius: f32,
    /// Drawn inside the edge.
    pub border: Option<Border>,
}

/// A line along the inside of an edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Border {
    /// Width / canvas height.
    pub width: f32,
    /// 0xRRGGBB.
    pub rgb: u32,
}

impl Default for Look {
    fn default() -> Look {
        Look {
            crop: Crop::default(),
            mirror: Mirror::default(),
            opacity: 1.0,
            corner_radius: 0.0,
            border: None,
        }
    }
}

impl Look {
    /// Whether every pixel of the layer's rectangle is one of the picture, opaque.
    pub fn is_plain(&self) -> bool {
        self.opacity >= 1.0 && self.corner_radius <= 0.0 && self.border.is_none()
    }

    /// What of the picture fills a rectangle of this size.
    pub fn shot(&self, rect: Rect) -> Shot {
        let size = Size::new(rect.width_px, rect.height_px);
        Shot { crop: self.crop, mirror: self.mirror, size }
    }
}

/// What an overlay shows. Compared by content: equal content is rasterised once.
#[derive(Clone, Debug, PartialEq)]
pub enum OverlayContent {
    /// A text, rasterised by the compositor.
    Text(TextSpec),
    /// A decoded image.
    Image(Arc<RgbaImage>),
    /// A decoded image of several frames.
    Animation(Arc<Animation>),
}

impl OverlayContent {
    /// Whether it is the same thing. Images, which are large, are compared by address: an equal one elsewhere is another.
    pub fn is(&self, other: &OverlayContent) -> bool {
        match (self, other) {
            (OverlayContent::Text(a), OverlayContent::Text(b)) => a == b,
            (OverlayContent::Image(a), OverlayContent::Image(b)) => Arc::ptr_eq(a, b),
            (OverlayContent::Animation(a), OverlayContent::Animation(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl From<Animation> for OverlayContent {
    /// What has one frame does not move.
    fn from(mut animation: Animation) -> OverlayContent {
        match animation.frames.pop() {
            Some(only) if animation.frames.is_empty() => {
                OverlayContent::Image(Arc::new(only.image))
            }
            last => {
                animation.frames.extend(last);
                OverlayContent::Animation(Arc::new(animation))
            }
        }
    }
}

/// A text and its style. Sizes relative, so that one text serves canvases of every size.
#[derive(Clone, Debug, PartialEq, Default)]
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
    /// Behind the text.
    pub background: Option<TextBox>,
}

/// A box behind a text, as large as all its lines together.
#[derive(Clone, Debug, PartialEq)]
pub struct TextBox {
    /// 0xRRGGBB.
    pub rgb: u32,
    /// 0 invisible – 1 opaque.
    pub opacity: f32,
    /// How far it reaches beyond the text on all sides / font height, 0–`limits::MAX_TEXT_PADDING`.
    pub padding: f32,
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
    /// Whether it runs through its place.
    pub motion: Motion,
    /// When it came into its scene, ns since tick 0: motions and animations begin then. The engine sets it.
    pub since_ns: u64,
}

impl OverlaySpec {
    /// An opaque overlay over the layers that stands still.
    pub fn new(content: Arc<OverlayContent>, placement: Placement) -> OverlaySpec {
        let (opacity, background) = (u8::MAX, false);
        OverlaySpec { content, placement, opacity, background, motion: Motion::Still, since_ns: 0 }
    }
}

/// What a scene is drawn on.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Backdrop {
    /// 0xRRGGBB; black by default.
    pub rgb: u32,
    /// Over the colour: covers the canvas in its own aspect, centred; what sticks out is cut off.
    pub image: Option<Arc<OverlayContent>>,
}

/// Everything that a scene shows.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ScenePicture {
    /// Under everything.
    pub backdrop: Backdrop,
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
    /// The current frame of an input, as its look says, scaled to `rect`.
    Layer {
        /// Whose frame.
        input: InputKey,
        /// Where on the canvas.
        rect: Rect,
        /// What of it, and how.
        look: Look,
    },
    /// An overlay; where it stands follows from its native size by [`OverlayDraw::window`].
    Overlay(OverlayDraw),
    /// An image over the whole canvas, by [`cover_rect`].
    Cover(Arc<OverlayContent>),
}

impl DrawOp {
    /// The whole picture of an input, plain.
    pub fn layer(input: InputKey, rect: Rect) -> DrawOp {
        DrawOp::Layer { input, rect, look: Look::default() }
    }
}

/// An overlay at one tick.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayDraw {
    /// What it shows.
    pub content: Arc<OverlayContent>,
    /// Where.
    pub placement: Placement,
    /// 0 invisible – 1 opaque.
    pub opacity: f32,
    /// Which frame of an animation; 0 for everything else.
    pub frame: usize,
    /// Whether it runs through its place …
    pub motion: Motion,
    /// … and how far it has come, in pixels of the canvas.
    pub travelled_px: f64,
}

/// A picture, described: `ops` in order on the ground, then `over`, then `veil`.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawList {
    /// Size of the canvas.
    pub canvas: Size,
    /// Colour where nothing is drawn, 0xRRGGBB.
    pub ground_rgb: u32,
    /// Bottom to top.
    pub ops: Vec<DrawOp>,
    /// A second picture that is about to take the place of the first.
    pub over: Option<Over>,
    /// One colour over everything.
    pub veil: Option<Veil>,
}

/// A picture that comes in over another.
#[derive(Clone, Debug, PartialEq)]
pub struct Over {
    /// Colour where nothing is drawn, 0xRRGGBB.
    pub ground_rgb: u32,
    /// Drawn on a canvas of its own, bottom to top.
    pub ops: Vec<DrawOp>,
    /// How the two become one.
    pub blend: Blend,
}

/// How two pictures become one. `progress` runs from 0 (only the first) to 1 (only the second).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Blend {
    /// Every pixel is `first · (1 − progress) + second · progress`.
    Mix {
        /// 0–1.
        progress: f32,
    },
    /// A straight edge moves over the canvas; the second picture is behind it.
    Wipe {
        /// Where the edge moves to.
        towards: Direction,
        /// 0–1.
        progress: f32,
    },
    /// The second picture moves in over the first.
    Slide {
        /// Where it moves to.
        towards: Direction,
        /// 0–1.
        progress: f32,
    },
    /// The second picture moves in and the first out before it; the ground of the first fills what a diagonal leaves bare.
    Push {
        /// Where both move to.
        towards: Direction,
        /// 0–1.
        progress: f32,
    },
}

impl Blend {
    /// How far it is, 0–1 whatever it was given.
    pub fn progress(&self) -> f32 {
        let (Blend::Mix { progress }
        | Blend::Wipe { progress, .. }
        | Blend::Slide { progress, .. }
        | Blend::Push { progress, .. }) = *self;
        if progress.is_nan() { 0.0 } else { progress.clamp(0.0, 1.0) }
    }
}

/// A direction on the canvas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say all")]
pub enum Direction {
    Left,
    Right,
    Up,
    Down,
    UpLeft,
    UpRight,
    DownLeft,
    DownRight,
}

impl Direction {
    /// Each of them.
    pub const ALL: [Direction; 8] = [
        Direction::Left,
        Direction::Right,
        Direction::Up,
        Direction::Down,
        Direction::UpLeft,
        Direction::UpRight,
        Direction::DownLeft,
        Direction::DownRight,
    ];

    /// Its steps along x (right) and y (down): −1, 0 or 1 each.
    pub fn steps(self) -> [i32; 2] {
        match self {
            Direction::Left => [-1, 0],
            Direction::Right => [1, 0],
            Direction::Up => [0, -1],
            Direction::Down => [0, 1],
            Direction::UpLeft => [-1, -1],
            Direction::UpRight => [1, -1],
            Direction::DownLeft => [-1, 1],
            Direction::DownRight => [1, 1],
        }
    }
}

/// One colour over everything, half-transparent: fades to a colour and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Veil {
    /// 0xRRGGBB.
    pub rgb: u32,
    /// 0 (not there) – 1 (nothing else is seen).
    pub opacity: f32,
}

impl DrawList {
    /// A list of these operations on black and nothing else.
    pub fn of(canvas: Size, ops: Vec<DrawOp>) -> DrawList {
        DrawList { canvas, ground_rgb: 0, ops, over: None, veil: None }
    }

    /// Whether it shows an input.
    pub fn shows(&self, input: InputKey) -> bool {
        self.all_ops().any(|op| matches!(op, DrawOp::Layer { input: shown, .. } if *shown == input))
    }

    /// All operations, those of the picture that comes in last.
    pub fn all_ops(&self) -> impl Iterator<Item = &DrawOp> {
        self.ops.iter().chain(self.over.iter().flat_map(|over| &over.ops))
    }
}
