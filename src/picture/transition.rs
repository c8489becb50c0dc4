//! How one picture takes the place of another: two draw lists and a moment between them → one.
//!
//! Pure. Must not know what the pictures show, or how pixels are blended (gpu). Invariants: the frame before a transition is
//! the old picture and the frame after it the new one, exactly; in between the progress grows with every frame and is
//! neither 0 nor 1.
//!
//! A transition of N frames begins at the tick that the take applies at, and is N frames that show neither picture alone:
//! frame k of them (0 – N−1) is at progress (k + 1) / (N + 1). The tick of the take plus N is the first that shows the
//! new picture and nothing else. With N = 0 that is the tick of the take itself: a cut.

use super::{Blend, Direction, DrawList, Over, Veil};

/// A way from one picture to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it looks like.
    pub kind: TransitionKind,
    /// Frames in between (at most `limits::TRANSITION_MAX`); of a cut it does not matter.
    pub frames: u32,
}

/// What a transition looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionKind {
    /// At once.
    Cut,
    /// One shines through the other.
    Mix,
    /// The old picture becomes a colour, then the colour becomes the new picture.
    Dip {
        /// 0xRRGGBB.
        rgb: u32,
    },
    /// An edge moves over the canvas; behind it is the new picture.
    Wipe(Direction),
    /// The new picture moves in over the old one.
    Slide(Direction),
    /// The new picture moves in and pushes the old one out.
    Push(Direction),
}

impl Transition {
    /// At once.
    pub const CUT: Transition = Transition { kind: TransitionKind::Cut, frames: 0 };

    /// Frames that show neither picture alone.
    pub fn length(self) -> u32 {
        if self.kind == TransitionKind::Cut { 0 } else { self.frames }
    }
}

/// How far something that takes `frames` frames is at frame `step` (from 0): in equal steps from above 0 to below 1, and 1
/// from frame `frames` on.
pub fn progress(step: u64, frames: u32) -> f32 {
    if step >= u64::from(frames) {
        return 1.0;
    }
    // Exact: a transition has far fewer frames than a float has integers.
    (step + 1) as f32 / (frames + 1) as f32
}

/// The picture of frame `step` (from 0) of a transition between two plain lists: such as have neither `over` nor `veil`.
/// Of a dip one of the two is drawn at a time.
pub fn blend(from: DrawList, to: DrawList, transition: Transition, step: u64) -> DrawList {
    let progress = progress(step, transition.length());
    if progress >= 1.0 {
        return to;
    }
    let blend = match transition.kind {
        TransitionKind::Cut => return to,
        TransitionKind::Dip { rgb } => {
            let shown = if progress < 0.5 { from } else { to };
            return shown.veiled(Veil { rgb, opacity: 1.0 - (2.0 * progress - 1.0).abs() });
        }
        TransitionKind::Mix => Blend::Mix { progress },
        TransitionKind::Wipe(towards) => Blend::Wipe { towards, progress },
        TransitionKind::Slide(towards) => Blend::Slide { towards, progress },
        TransitionKind::Push(towards) => Blend::Push { towards, progress },
    };
    DrawList { over: Some(Over { ground_rgb: to.ground_rgb, ops: to.ops, blend }), ..from }
}

impl DrawList {
    /// The same behind one more veil. What nothing can be seen of any more is not drawn.
    pub fn veiled(self, veil: Veil) -> DrawList {
        let veil = self.veil.map_or(veil, |under| veil.upon(under));
        if veil.opacity <= 0.0 {
            return self;
        }
        if veil.opacity >= 1.0 {
            return DrawList { ground_rgb: veil.rgb, ..DrawList::of(self.canvas, Vec::new()) };
        }
        DrawList { veil: Some(veil), ..self }
    }
}

impl Veil {
    /// The one veil that looks like this one over another.
    fn upon(self, under: Veil) -> Veil {
        let through = under.opacity * (1.0 - self.opacity);
        let opacity = self.opacity + through;
        if opacity <= 0.0 {
            return self;
        }
        let channel = |shift: u32| {
            let of = |rgb: u32| (rgb >> shift & 0xff) as f32;
            let mixed = (of(self.rgb) * self.opacity + of(under.rgb) * through) / opacity;
            (mixed.round() as u32) << shift
        };
        Veil { rgb: channel(16) | channel(8) | channel(0), opacity }
    }
}

#[cfg(test)]
#[path = "tests/transition.rs"]
mod tests;
