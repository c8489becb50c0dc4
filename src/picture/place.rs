//! Placement: fractions of a canvas and native sizes → rectangles on even pixels.
//!
//! Must not know when things happen. Invariant: every rectangle is on even pixels.
use super::{DrawList, DrawOp, FillMode, Placement, PositionRefer, Rect, ScenePicture};
use crate::frame::Size;
use crate::ids::InputKey;

/// The draw list of a scene; inputs without a size are left out.
pub fn compose(
    scene: &ScenePicture,
    sizes: &dyn Fn(InputKey) -> Option<Size>,
    canvas: Size,
) -> DrawList {
    let overlays = |background| {
        scene.overlays.iter().filter(move |o| o.background == background).cloned()
    };
    let layers = scene.layers.iter().filter_map(|layer| {
        let rect = layer_rect(&layer.placement, sizes(layer.input)?, canvas);
        Some(DrawOp::Layer { input: layer.input, rect })
    });
    let ops = overlays(true)
        .map(DrawOp::Overlay)
        .chain(layers)
        .chain(overlays(false).map(DrawOp::Overlay))
        .collect();
    DrawList { canvas, ops }
}

/// Where a layer of this native size stands.
pub fn layer_rect(placement: &Placement, native: Size, canvas: Size) -> Rect {
    let (cw, ch) = (canvas.width_px as f32, canvas.height_px as f32);
    let (nw, nh) = (native.width_px as f32, native.height_px as f32);
    let (bw, bh) = (placement.width * cw, placement.height * ch);
    let (w, h) = match placement.fill {
        FillMode::Fit => {
            let scale = (bw / nw).min(bh / nh);
            (nw * scale, nh * scale)
        }
        FillMode::None if bw > 0.0 && bh > 0.0 => (bw, bh),
        FillMode::None if bw > 0.0 => (bw, bw * nh / nw),
        FillMode::None if bh > 0.0 => (bh * nw / nh, bh),
        FillMode::None => (nw, nh),
    };
    let (x, y) = (placement.x * cw, placement.y * ch);
    let (x, y) = match placement.refer {
        PositionRefer::Center => (x + (cw - w) / 2.0, y + (ch - h) / 2.0),
        _ => (x, y),
    };
    let even = |v: f32| (v / 2.0).round() as i32 * 2;
    Rect {
        x_px: even(x),
        y_px: even(y),
        width_px: even(w).max(2) as u32,
        height_px: even(h).max(2) as u32,
    }
}

/// Where an overlay of this native size stands.
pub fn overlay_rect(placement: &Placement, native: Size, canvas: Size) -> Rect {
    layer_rect(placement, native, canvas)
}
