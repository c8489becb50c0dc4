//! Placement: fractions of a canvas and native sizes → rectangles on even pixels.
//!
//! Pure geometry. Must not know frames, textures or time. Invariant: both edges of a rectangle are rounded to the
//! nearest even pixel from the same real numbers, so layers that share an edge as fractions share it as pixels, and
//! what has an even native size keeps exactly that size.

use super::{
    DrawList, DrawOp, FillMode, OverlayContent, OverlayDraw, OverlaySpec, Placement, PositionRefer,
    Rect, ScenePicture,
};
use crate::frame::Size;
use crate::ids::InputKey;

/// Coordinates are kept within ± this many pixels, so that no sum of two can overflow.
const REACH_PX: f64 = 1_048_576.0;

/// Where a layer whose source is `native` pixels large stands on a `canvas`.
///
/// `FillMode::None`: both sides given are both taken, one given scales the other in proportion, none is native size.
/// `FillMode::Fit`: the sides describe a box (a side of 0 is the whole canvas side); the picture keeps its aspect,
/// touches the box with its long side and is centred in it.
pub fn layer_rect(p: &Placement, native: Size, canvas: Size) -> Rect {
    let (canvas_w, canvas_h) = sides(canvas);
    match p.fill {
        FillMode::None => {
            let given = (p.width > 0.0 && p.height > 0.0)
                .then(|| (f64::from(p.width) * canvas_w, f64::from(p.height) * canvas_h));
            anchored(p, given.unwrap_or_else(|| proportional(p, native, canvas)), canvas)
        }
        FillMode::Fit => {
            let side = |fraction: f32, whole: f64| {
                if fraction > 0.0 { f64::from(fraction) * whole } else { whole }
            };
            let frame = anchored(p, (side(p.width, canvas_w), side(p.height, canvas_h)), canvas);
            fitted(native, frame)
        }
    }
}

/// Where an overlay that is `native` pixels large stands on a `canvas`. If both sides are given height wins and the
/// width follows in proportion; `fill` is ignored.
pub fn overlay_rect(p: &Placement, native: Size, canvas: Size) -> Rect {
    anchored(p, proportional(p, native, canvas), canvas)
}

/// Where an image `native` pixels large stands that covers a whole `canvas` in its own aspect, centred.
pub fn cover_rect(native: Size, canvas: Size) -> Rect {
    let ((native_w, native_h), (canvas_w, canvas_h)) = (sides(native), sides(canvas));
    let scale = (canvas_w / native_w.max(1.0)).max(canvas_h / native_h.max(1.0));
    let centred = Placement { refer: PositionRefer::Center, ..Placement::default() };
    anchored(&centred, (native_w * scale, native_h * scale), canvas)
}

/// What a scene comes to on a canvas: backdrop, background overlays, then layers, then the other overlays, each bottom to
/// top. Sizes are those of pictures as they are meant to be seen.
///
/// `now_ns` (since tick 0) moves what moves by itself.
///
/// Left out: inputs without a size yet, overlays that are invisible or empty, and what stands wholly outside the
/// canvas as far as its size is known here (a text's is not).
pub fn compose(
    scene: &ScenePicture,
    sizes: &dyn Fn(InputKey) -> Option<Size>,
    canvas: Size,
    now_ns: u64,
) -> DrawList {
    let overlays = |background: bool| {
        let of_these = move |o: &&OverlaySpec| o.background == background;
        let draws = scene.overlays.iter().filter(of_these).map(move |o| o.draw_at(canvas, now_ns));
        draws.filter(move |draw| overlay_shows(draw, canvas)).map(DrawOp::Overlay)
    };
    let layers = scene.layers.iter().filter_map(|layer| {
        let native = layer.look.crop.of(sizes(layer.input)?);
        let rect = layer_rect(&layer.placement, native, canvas);
        let is_seen = layer.look.opacity > 0.0 && touches(rect, canvas);
        is_seen.then_some(DrawOp::Layer { input: layer.input, rect, look: layer.look })
    });
    let backdrop = &scene.backdrop;
    let cover = backdrop.image.clone().map(DrawOp::Cover);
    let under = cover.into_iter().chain(overlays(true));
    let ops = under.chain(layers).chain(overlays(false)).collect();
    DrawList { ground_rgb: backdrop.rgb, ..DrawList::of(canvas, ops) }
}

fn overlay_shows(overlay: &OverlayDraw, canvas: Size) -> bool {
    let of_size = |size: Size| {
        size.width_px > 0
            && size.height_px > 0
            && touches(overlay.window(size, canvas).rect, canvas)
    };
    let something = match &*overlay.content {
        OverlayContent::Text(text) => !text.text.trim().is_empty() && text.size_normalized > 0.0,
        OverlayContent::Image(image) => of_size(image.size),
        OverlayContent::Animation(animation) => of_size(animation.size()),
    };
    overlay.opacity > 0.0 && something
}

fn touches(rect: Rect, canvas: Size) -> bool {
    let (right, bottom) =
        (rect.x_px + rect.width_px.cast_signed(), rect.y_px + rect.height_px.cast_signed());
    right > 0
        && bottom > 0
        && rect.x_px < canvas.width_px.cast_signed()
        && rect.y_px < canvas.height_px.cast_signed()
}

pub(super) fn sides(size: Size) -> (f64, f64) {
    (f64::from(size.width_px), f64::from(size.height_px))
}

/// Sides in pixels from at most one given fraction: height first, else width, else native.
fn proportional(p: &Placement, native: Size, canvas: Size) -> (f64, f64) {
    let ((native_w, native_h), (canvas_w, canvas_h)) = (sides(native), sides(canvas));
    if p.height > 0.0 {
        let height = f64::from(p.height) * canvas_h;
        (height * native_w / native_h.max(1.0), height)
    } else if p.width > 0.0 {
        let width = f64::from(p.width) * canvas_w;
        (width, width * native_h / native_w.max(1.0))
    } else {
        (native_w, native_h)
    }
}

/// Puts something `(width, height)` pixels large at the placement's origin and offset.
pub(super) fn anchored(p: &Placement, (width, height): (f64, f64), canvas: Size) -> Rect {
    use PositionRefer as R;
    let (canvas_w, canvas_h) = sides(canvas);
    let (x, y) = (f64::from(p.x) * canvas_w, f64::from(p.y) * canvas_h);
    let left = match p.refer {
        R::TopLeft | R::LeftCenter | R::BottomLeft => x,
        R::TopCenter | R::Center | R::BottomCenter => (canvas_w - width) / 2.0 + x,
        R::TopRight | R::RightCenter | R::BottomRight => canvas_w - width - x,
    };
    let top = match p.refer {
        R::TopLeft | R::TopCenter | R::TopRight => y,
        R::LeftCenter | R::Center | R::RightCenter => (canvas_h - height) / 2.0 + y,
        R::BottomLeft | R::BottomCenter | R::BottomRight => canvas_h - height - y,
    };
    let (x_px, width_px) = edges(left, width);
    let (y_px, height_px) = edges(top, height);
    Rect { x_px, y_px, width_px, height_px }
}

/// First even pixel and even length (at least 2) of the stretch that begins at `start`.
fn edges(start: f64, length: f64) -> (i32, u32) {
    let (begin, end) = (even(start), even(start + length));
    (begin, (end - begin).max(2).cast_unsigned())
}

/// The nearest even pixel; what is not a number counts as 0.
fn even(px: f64) -> i32 {
    // The cast is exact: an integer within ± REACH_PX / 2 (and NaN becomes 0).
    (px.clamp(-REACH_PX, REACH_PX) / 2.0).round() as i32 * 2
}

/// The largest picture of `native`'s aspect inside `frame`, centred, on even pixels.
fn fitted(native: Size, frame: Rect) -> Rect {
    let (native_w, native_h) =
        (u64::from(native.width_px.max(1)), u64::from(native.height_px.max(1)));
    let (frame_w, frame_h) = (u64::from(frame.width_px), u64::from(frame.height_px));
    let (width_px, height_px) = if frame_w * native_h <= frame_h * native_w {
        (frame.width_px, short_side(frame_w * native_h, native_w, frame.height_px))
    } else {
        (short_side(frame_h * native_w, native_h, frame.width_px), frame.height_px)
    };
    let middle = |outer: u32, inner: u32| ((outer - inner) / 4 * 2).cast_signed();
    Rect {
        x_px: frame.x_px + middle(frame.width_px, width_px),
        y_px: frame.y_px + middle(frame.height_px, height_px),
        width_px,
        height_px,
    }
}

/// `num / den` to the nearest even number, from 2 to `most`.
fn short_side(num: u64, den: u64, most: u32) -> u32 {
    let pairs = (num + den) / (2 * den);
    u32::try_from(pairs * 2).unwrap_or(most).clamp(2, most)
}

#[cfg(test)]
#[path = "tests/place.rs"]
mod tests;
