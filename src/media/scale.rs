//! Pictures as layers show them: cut, scaled, upright, in the canvas' colour.
//!
//! Must not know sources or layouts. Invariant: in steady state (same shots, frame after frame) nothing is allocated but
//! the small `Picture` itself.

use std::sync::Arc;

use super::area::AreaScaler;
use super::finish::{Pose, Recolor};
use super::open::MediaError;
use super::pool::{BufferPool, Draft};
use super::swscale::{Kernel, Scaler, Side, chroma_px, raw_format};
use crate::color::canvas_from;
use crate::frame::{ChromaSite, Color, Picture, PixelFormat, Scaled, Size, VideoFrame};
use crate::limits::MAX_PRESCALED_SIZES;
use crate::shot::{Shot, Turn, Window};

/// Scales an input's pictures as they are shown, on the input's own thread.
#[derive(Default)]
pub struct Prescaler {
    ways: Vec<Way>,
}

impl Prescaler {
    /// Adds to `frame.scaled` an NV12 picture like the canvas for each of `shots` (at most
    /// `limits::MAX_PRESCALED_SIZES`), except where the picture itself is already just that.
    pub fn fill(&mut self, frame: &mut VideoFrame, shots: &[Shot]) {
        let shots = &shots[..shots.len().min(MAX_PRESCALED_SIZES)];
        let picture = Arc::clone(&frame.picture);
        let kind = Kind::of(&picture);
        self.ways.retain(|way| way.kind == kind && shots.contains(&way.shot));
        for &shot in shots {
            if frame.ready(shot).is_some() || shot.size.width_px == 0 || shot.size.height_px == 0 {
                continue;
            }
            if let Ok(scaled) = self.way(kind, shot).and_then(|way| way.go(&picture)) {
                frame.scaled.push(Scaled { shot, picture: Arc::new(scaled) });
            }
        }
    }

    fn way(&mut self, kind: Kind, shot: Shot) -> Result<&mut Way, MediaError> {
        let index = match self.ways.iter().position(|way| way.shot == shot) {
            Some(index) => index,
            None => {
                self.ways.push(Way::new(kind, shot)?);
                self.ways.len() - 1
            }
        };
        Ok(&mut self.ways[index])
    }
}

/// All of a picture but its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    format: PixelFormat,
    size: Size,
    color: Color,
    site: ChromaSite,
    turn: Turn,
}

impl Kind {
    fn of(picture: &Picture) -> Kind {
        Kind {
            format: picture.format(),
            size: picture.size(),
            color: picture.color(),
            site: picture.site(),
            turn: picture.turn(),
        }
    }
}

/// Who makes it larger or smaller.
enum Resize {
    Area(Box<AreaScaler>),
    Other(Scaler),
}

impl Resize {
    fn new(from: &Side, to: &Side, kernel: Kernel) -> Result<Resize, MediaError> {
        Ok(match AreaScaler::new(from, to, kernel) {
            Some(scaler) => Resize::Area(Box::new(scaler)),
            None => Resize::Other(Scaler::new(from, to, kernel)?),
        })
    }
}

/// How pictures of one kind become what one shot shows.
struct Way {
    kind: Kind,
    shot: Shot,
    window: Window,
    resize: Resize,
    scaled: BufferPool,
    pose: Pose,
    /// Used when the pose is not upright.
    raised: BufferPool,
    /// If the colour is not the canvas'.
    recolor: Option<Recolor>,
}

impl Way {
    fn new(kind: Kind, shot: Shot) -> Result<Way, MediaError> {
        let pose = Pose::of(&shot, kind.turn);
        let window = shot.window(kind.size, kind.turn);
        let from = Side {
            size: window.size(),
            format: raw_format(kind.format),
            color: kind.color,
            chroma_px: chroma_px(kind.site, kind.format),
        };
        let to = Side {
            size: pose.lying(shot.size),
            format: raw_format(PixelFormat::Nv12),
            color: kind.color,
            chroma_px: pose.lying_chroma(chroma_px(ChromaSite::Left, PixelFormat::Nv12)),
        };
        let recolor = || Recolor::new(canvas_from(kind.color, PixelFormat::Nv12.depth_bits()));
        Ok(Way {
            kind,
            shot,
            resize: Resize::new(&from, &to, kernel(kind.format, from.size, to.size))?,
            window,
            scaled: BufferPool::default(),
            pose,
            raised: BufferPool::default(),
            recolor: (kind.color != Color::CANVAS).then(recolor),
        })
    }

    fn go(&mut self, picture: &Picture) -> Result<Picture, MediaError> {
        let format = PixelFormat::Nv12;
        let mut draft = Draft::new(&self.scaled, format, self.pose.lying(self.shot.size));
        match &mut self.resize {
            Resize::Area(scaler) => scaler.run_window(picture, &self.window, &mut draft)?,
            Resize::Other(scaler) => scaler.run_window(picture, &self.window, &mut draft)?,
        }
        if !self.pose.is_upright() {
            let mut upright = Draft::new(&self.raised, format, self.shot.size);
            self.pose.raise(&draft, &mut upright);
            draft = upright;
        }
        if let Some(recolor) = &mut self.recolor {
            recolor.apply(&mut draft);
        }
        draft.into_picture(Color::CANVAS).map_err(MediaError::Read)
    }
}

/// What is made smaller is averaged, what is made larger interpolated. Where luma stays as it is, chroma decides.
fn kernel(format: PixelFormat, from: Size, to: Size) -> Kernel {
    let sides = |size: Size| [size.width_px, size.height_px];
    let shrinks = |from: Size, to: Size| (0..2).any(|axis| sides(from)[axis] > sides(to)[axis]);
    let chroma_shrinks = shrinks(format.chroma_size(from), to.chroma());
    match shrinks(from, to) || (from == to && chroma_shrinks) {
        true => Kernel::Area,
        false => Kernel::Bicubic,
    }
}

#[cfg(test)]
#[path = "tests/scale.rs"]
mod tests;
