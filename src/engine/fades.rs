//! What comes and goes by itself on PGM: a value that moves from tick to tick, and overlays whose opacity does.
//!
//! Must not know transitions or sound. Invariants: a fade that turns round goes on from where it is; it follows the tick, not
//! how often it is asked; overlays that stay keep their opacity and their order.

use std::borrow::Cow;
use std::sync::Arc;

use crate::picture::{OverlaySpec, ScenePicture, progress};

/// A value on its way. It begins as a transition does: the tick that it sets out at is the first that shows it moved.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Fade {
    from: f32,
    to: f32,
    since: u64,
    frames: u32,
}

impl Fade {
    /// A value that stands.
    fn standing(at: f32) -> Fade {
        Fade { from: at, to: at, ..Fade::default() }
    }

    /// The same on its way to `to`, from tick `n` on and for so many ticks; as it is if it would be there sooner.
    pub(super) fn turn(self, n: u64, to: f32, frames: u32) -> Fade {
        if to == self.to && self.since + u64::from(self.frames) <= n + u64::from(frames) {
            return self;
        }
        let from = n.checked_sub(1).map_or(self.from, |before| self.at(before));
        Fade { from, to, since: n, frames }
    }

    /// Its value at tick `n`.
    pub(super) fn at(self, n: u64) -> f32 {
        match n.checked_sub(self.since) {
            None => self.from,
            Some(step) => self.from + (self.to - self.from) * progress(step, self.frames),
        }
    }

    /// Whether it has arrived at tick `n`.
    pub(super) fn is_over(self, n: u64) -> bool {
        self.from == self.to || n >= self.since + u64::from(self.frames)
    }
}

/// The overlays of PGM while some of them come or go; empty when none does.
#[derive(Debug, Default)]
pub(super) struct Overlays {
    /// Bottom to top.
    shown: Vec<(OverlaySpec, Fade)>,
}

impl Overlays {
    /// From tick `n` on those that are not in `old` come, and those that are not in `new` go.
    pub(super) fn change(
        &mut self,
        n: u64,
        (old, new): (&[OverlaySpec], &[OverlaySpec]),
        frames: u32,
    ) {
        let mut before = std::mem::take(&mut self.shown);
        if before.is_empty() {
            before.extend(old.iter().map(|overlay| (overlay.clone(), Fade::standing(1.0))));
        }
        let mut stays = vec![false; before.len()];
        for overlay in new {
            let same = |i: &usize| !stays[*i] && is_same(&before[*i].0, overlay);
            let fade = match (0..before.len()).find(same) {
                Some(i) => {
                    stays[i] = true;
                    before[i].1
                }
                None => Fade::default(),
            };
            let comes = fade.to < 1.0;
            let fade = if comes { fade.turn(n, 1.0, frames) } else { fade };
            self.shown.push((overlay.clone(), fade));
        }
        // What goes stays over what was right below it.
        let mut below: Option<usize> = None;
        for ((overlay, fade), stays) in before.into_iter().zip(stays) {
            let at = self.shown.iter().position(|(shown, _)| is_same(shown, &overlay));
            if stays {
                below = at;
                continue;
            }
            let goes = if fade.to > 0.0 { fade.turn(n, 0.0, frames) } else { fade };
            let at = below.map_or(0, |below| below + 1);
            self.shown.insert(at, (overlay, goes));
            below = Some(at);
        }
    }

    /// Everything is where it goes to.
    pub(super) fn clear(&mut self) {
        self.shown.clear();
    }

    /// Forgets what has arrived by tick `n`.
    pub(super) fn settle(&mut self, n: u64) {
        self.shown.retain(|(_, fade)| fade.to > 0.0 || !fade.is_over(n));
        if self.shown.iter().all(|(_, fade)| fade.is_over(n)) {
            self.shown.clear();
        }
    }

    /// The picture with its overlays as they are at tick `n`.
    pub(super) fn place<'a>(&self, n: u64, picture: &'a ScenePicture) -> Cow<'a, ScenePicture> {
        if self.shown.is_empty() {
            return Cow::Borrowed(picture);
        }
        let faded = |(overlay, fade): &(OverlaySpec, Fade)| {
            let opacity = (f32::from(overlay.opacity) * fade.at(n)).round() as u8;
            OverlaySpec { opacity, ..overlay.clone() }
        };
        let overlays = self.shown.iter().map(faded).collect();
        Cow::Owned(ScenePicture { overlays, ..picture.clone() })
    }
}

/// Whether it is the same overlay, whenever it began.
fn is_same(a: &OverlaySpec, b: &OverlaySpec) -> bool {
    let (content, since_ns) = (Arc::clone(&a.content), a.since_ns);
    a.content.is(&b.content) && *a == OverlaySpec { content, since_ns, ..b.clone() }
}
