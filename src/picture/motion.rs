//! Overlays that change by themselves: which frame is shown at a time, and how far a running text has come.
//!
//! Pure geometry. Must not know textures or ticks. Invariant: what is shown at a time follows from that time alone, so a
//! tick that was left out does not change the next.

use std::sync::Arc;

use super::place::{anchored, overlay_rect, sides};
use super::{OverlayContent, OverlayDraw, OverlaySpec, Placement, Rect, ScenePicture};
use crate::frame::Size;

/// Time in which a running overlay moves by the width (or height) of the canvas, ns.
const CROSSING_NS: u64 = 10_000_000_000;

/// Whether an overlay runs through its place. It comes in at one edge, leaves by the other when it has passed whole, and
/// comes in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Motion {
    /// It stands.
    #[default]
    Still,
    /// From right to left, through a window as wide as its placement says, or else as the canvas. Its height scales it.
    Horizontal,
    /// From bottom to top, through a window as high as its placement says, or else as the canvas. Its width scales it.
    Vertical,
}

/// What of an overlay is seen, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Nothing is drawn outside.
    pub rect: Rect,
    /// Top left of the overlay on the canvas, px.
    pub origin_px: [f64; 2],
    /// Pixels of the overlay per pixel of the canvas, along x and y.
    pub texels_per_pixel: [f64; 2],
}

impl Window {
    /// All of something `native` pixels large.
    pub fn whole(rect: Rect, native: Size) -> Window {
        let per = |texels: u32, pixels: u32| f64::from(texels) / f64::from(pixels);
        Window {
            rect,
            origin_px: [f64::from(rect.x_px), f64::from(rect.y_px)],
            texels_per_pixel: [
                per(native.width_px, rect.width_px),
                per(native.height_px, rect.height_px),
            ],
        }
    }
}

impl ScenePicture {
    /// Takes the place of another picture at a time, ns since tick 0: overlays that were there go on, the others begin.
    pub fn follow(&mut self, before: &ScenePicture, now_ns: u64) {
        for overlay in &mut self.overlays {
            let was_there = before.overlays.iter().find(|earlier| {
                earlier.motion == overlay.motion && earlier.content.is(&overlay.content)
            });
            overlay.since_ns = was_there.map_or(now_ns, |earlier| earlier.since_ns);
        }
    }
}

impl OverlaySpec {
    /// The overlay at a time, ns since tick 0.
    pub fn draw_at(&self, canvas: Size, now_ns: u64) -> OverlayDraw {
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        let side_px = match self.motion {
            Motion::Still => 0,
            Motion::Horizontal => canvas.width_px,
            Motion::Vertical => canvas.height_px,
        };
        OverlayDraw {
            content: Arc::clone(&self.content),
            placement: self.placement,
            opacity: f32::from(self.opacity) / 255.0,
            frame: match &*self.content {
                OverlayContent::Animation(animation) => animation.frame_at(elapsed_ns),
                OverlayContent::Text(_) | OverlayContent::Image(_) => 0,
            },
            motion: self.motion,
            travelled_px: elapsed_ns as f64 * f64::from(side_px) / CROSSING_NS as f64,
        }
    }
}

impl OverlayDraw {
    /// Where an overlay that is `native` pixels large is seen on a `canvas`.
    pub fn window(&self, native: Size, canvas: Size) -> Window {
        let along = match self.motion {
            Motion::Still => {
                return Window::whole(overlay_rect(&self.placement, native, canvas), native);
            }
            Motion::Horizontal => 0,
            Motion::Vertical => 1,
        };
        let across = 1 - along;
        let pair = |(x, y)| [x, y];
        let (native, canvas_px) = (pair(sides(native)), pair(sides(canvas)));
        let Placement { width, height, .. } = self.placement;
        let given = [f64::from(width), f64::from(height)];
        let mut window = [0.0; 2];
        window[along] = if given[along] > 0.0 { given[along] } else { 1.0 } * canvas_px[along];
        window[across] = native[across];
        if given[across] > 0.0 {
            window[across] = given[across] * canvas_px[across];
        }
        let rect = anchored(&self.placement, (window[0], window[1]), canvas);
        let seen = [f64::from(rect.width_px), f64::from(rect.height_px)];
        let texels_per_pixel = native[across] / seen[across];
        let length = native[along] / texels_per_pixel;
        let mut origin_px = [f64::from(rect.x_px), f64::from(rect.y_px)];
        origin_px[along] += seen[along] - self.travelled_px.rem_euclid(seen[along] + length);
        Window { rect, origin_px, texels_per_pixel: [texels_per_pixel; 2] }
    }
}

#[cfg(test)]
#[path = "tests/motion.rs"]
mod tests;
