//! From operations to steps: what each needs, found and uploaded; whether anything changed at all.
//!
//! Must not know how a step is drawn. Invariant: steps are in the order of their operations; one without its picture is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Compositor, Path};
use crate::frame::{Picture, VideoFrame};
use crate::gpu::blend::Blending;
use crate::gpu::color::{Code, code_of};
use crate::gpu::layers::LayerDraw;
use crate::gpu::overlays::Art;
use crate::gpu::sources::SourceKey;
use crate::ids::InputKey;
use crate::limits::MAX_MEASURED;
use crate::picture::{
    DrawList, DrawOp, Look, Motion, OverlayContent, OverlayDraw, Rect, Window, cover_rect,
};

/// What a draw list comes down to.
pub(super) struct Paintings<'a> {
    pub(super) first: Painting<'a>,
    /// None where only the first is seen, or nothing of it any more.
    pub(super) second: Option<Painting<'a>>,
    /// None where the first is all there is to see.
    pub(super) blending: Option<Blending>,
}

/// What is drawn on one canvas: steps on a ground.
pub(super) struct Painting<'a> {
    pub(super) ground: Code,
    pub(super) steps: Vec<Step<'a>>,
}

/// An operation with all it needs at hand.
pub(super) enum Step<'a> {
    /// By the CPU.
    Copy { picture: &'a Picture, rect: Rect },
    /// By a shader.
    Layer { source: SourceKey, draw: LayerDraw<'a> },
    /// By a shader.
    Overlay(OverlayStep),
}

/// An overlay with its pixels.
pub(super) struct OverlayStep {
    pub(super) art: Arc<Art>,
    pub(super) frame: usize,
    pub(super) window: Window,
    pub(super) motion: Motion,
    pub(super) opacity: f32,
}

impl Step<'_> {
    pub(super) fn is_copy(&self) -> bool {
        matches!(self, Step::Copy { .. })
    }

    /// The rectangle, if nothing under it can be seen.
    pub(super) fn covers(&self) -> Option<Rect> {
        match self {
            Step::Copy { rect, .. } => Some(*rect),
            Step::Layer { draw, .. } => draw.look.is_plain().then_some(draw.rect),
            Step::Overlay(_) => None,
        }
    }
}

impl Compositor {
    /// What of a list is seen, with all it needs. What a blend or a veil hides whole is not even uploaded.
    pub(super) fn paintings<'a>(
        &mut self,
        list: &DrawList,
        frames: &'a [(InputKey, VideoFrame)],
    ) -> Paintings<'a> {
        let veil = list.veil.filter(|veil| veil.opacity > 0.0);
        if let Some(veil) = veil.filter(|veil| veil.opacity >= 1.0) {
            let first = Painting { ground: code_of(veil.rgb), steps: Vec::new() };
            return Paintings { first, second: None, blending: None };
        }
        let progress = list.over.as_ref().map_or(0.0, |over| over.blend.progress());
        let incoming = list.over.as_ref().filter(|_| progress > 0.0);
        let mut painting = |(ground_rgb, ops): (u32, &[DrawOp])| Painting {
            ground: code_of(ground_rgb),
            steps: self.resolve(ops, frames),
        };
        let (first, second) = match incoming {
            Some(over) if progress >= 1.0 => (painting((over.ground_rgb, &over.ops)), None),
            _ => (
                painting((list.ground_rgb, &list.ops)),
                incoming.map(|over| painting((over.ground_rgb, &over.ops))),
            ),
        };
        let blend = incoming.filter(|_| second.is_some()).map(|over| over.blend);
        let blending = (blend.is_some() || veil.is_some())
            .then(|| Blending::new(self.shape.size, blend, veil, first.ground));
        Paintings { first, second, blending }
    }

    /// Finds frames and overlay pixels for the operations, uploading what is not on the GPU yet.
    fn resolve<'a>(
        &mut self,
        ops: &[DrawOp],
        frames: &'a [(InputKey, VideoFrame)],
    ) -> Vec<Step<'a>> {
        let mut steps = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                DrawOp::Layer { input, rect, look } => {
                    if self.shape.clip(*rect).is_some()
                        && look.opacity > 0.0
                        && let Some(frame) = frame_of(frames, *input)
                    {
                        steps.push(self.layer_step(*input, frame, (*rect, look)));
                    }
                }
                DrawOp::Overlay(overlay) => steps.extend(self.overlay_step(overlay)),
                DrawOp::Cover(content) => steps.extend(self.cover_step(content)),
            }
        }
        steps
    }

    fn layer_step<'a>(
        &mut self,
        input: InputKey,
        frame: &'a VideoFrame,
        (rect, look): (Rect, &Look),
    ) -> Step<'a> {
        let shot = look.shot(rect);
        let ready = match self.path {
            Path::Shared(_) => frame.ready(shot),
            Path::Staged { .. } => None,
        };
        let decoded = &frame.picture;
        let (scaled_for, picture, shot) = match ready {
            Some(picture) if look.is_plain() => return Step::Copy { picture, rect },
            Some(picture) if picture.id() != decoded.id() => {
                (Some(shot), picture, shot.size.into())
            }
            _ => (None, decoded, shot),
        };
        let source = SourceKey { input, scaled_for };
        self.sources.upload(&self.gpu, source, picture, self.draws);
        Step::Layer { source, draw: LayerDraw { picture, shot, rect, look: *look } }
    }

    fn overlay_step<'a>(&mut self, overlay: &OverlayDraw) -> Option<Step<'a>> {
        let &OverlayDraw { frame, motion, opacity, .. } = overlay;
        if opacity <= 0.0 {
            return None;
        }
        let art = self.overlays.art(&self.gpu, &overlay.content, self.draws)?;
        let window = overlay.window(art.size, self.shape.size);
        self.shape.clip(window.rect)?;
        Some(Step::Overlay(OverlayStep { art, frame, window, motion, opacity }))
    }

    fn cover_step<'a>(&mut self, content: &Arc<OverlayContent>) -> Option<Step<'a>> {
        let art = self.overlays.art(&self.gpu, content, self.draws)?;
        let window = Window::whole(cover_rect(art.size, self.shape.size), art.size);
        let (frame, motion, opacity) = (0, Motion::Still, 1.0);
        Some(Step::Overlay(OverlayStep { art, frame, window, motion, opacity }))
    }
}

fn frame_of(frames: &[(InputKey, VideoFrame)], input: InputKey) -> Option<&VideoFrame> {
    frames.iter().find(|(key, _)| *key == input).map(|(_, frame)| frame)
}

/// Ids of the pictures that a list shows, in its order; 0 where there is none.
pub(super) fn shown_pictures(list: &DrawList, frames: &[(InputKey, VideoFrame)]) -> Vec<u64> {
    let id = |input| frame_of(frames, input).map_or(0, |frame| frame.picture.id());
    let layers = list.all_ops().filter_map(|op| match op {
        DrawOp::Layer { input, .. } => Some(*input),
        DrawOp::Overlay(_) | DrawOp::Cover(_) => None,
    });
    layers.map(id).collect()
}

/// The decoded pictures that a list shows, each input once, but for those that were measured already; as many as fit.
pub(super) fn unmeasured<'a>(
    list: &DrawList,
    frames: &'a [(InputKey, VideoFrame)],
    measured: &BTreeMap<InputKey, u64>,
) -> Vec<(InputKey, &'a Picture)> {
    let is_new = |input: &InputKey, picture: &Picture| measured.get(input) != Some(&picture.id());
    frames
        .iter()
        .map(|(input, frame)| (*input, &*frame.picture))
        .filter(|(input, picture)| is_new(input, picture) && list.shows(*input))
        .take(MAX_MEASURED)
        .collect()
}

/// Whether two lists show the same. Contents are compared by address: equal ones elsewhere are drawn again, no harm.
pub(super) fn same_list(a: &DrawList, b: &DrawList) -> bool {
    let frame = |list: &DrawList| {
        let over = list.over.as_ref().map(|over| (over.ground_rgb, over.blend, over.ops.len()));
        (list.canvas, list.ground_rgb, list.ops.len(), over, list.veil)
    };
    frame(a) == frame(b) && a.all_ops().zip(b.all_ops()).all(same_op)
}

fn same_op((a, b): (&DrawOp, &DrawOp)) -> bool {
    match (a, b) {
        (DrawOp::Overlay(a), DrawOp::Overlay(b)) => {
            let shown = |o: &OverlayDraw| (o.placement, o.opacity, o.frame, o.travelled_px);
            Arc::ptr_eq(&a.content, &b.content) && a.motion == b.motion && shown(a) == shown(b)
        }
        (DrawOp::Cover(a), DrawOp::Cover(b)) => Arc::ptr_eq(a, b),
        (a, b) => a == b,
    }
}
