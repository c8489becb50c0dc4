//! Pictures as layers show them: cut, scaled, upright, in the canvas' colour.
//!
//! Must not know sources or layouts. Invariant: in steady state (same shots, frame after frame) nothing is allocated but
//! the small `Picture` itself.

use std::sync::Arc;

use super::finish::{Pose, Recolor};
use super::open::MediaError;
use super::pool::{BufferPool, Draft};
use super::resize::{Resizer, Task};
use super::swscale::chroma_px;
use crate::color::canvas_from;
use crate::frame::{ChromaSite, Color, Picture, PixelFormat, Scaled, Size, VideoFrame};
use crate::limits::MAX_PRESCALED_SIZES;
use crate::shot::{ScaleQuality, Shot, Turn};

/// Scales an input's pictures as they are shown, on the input's own thread.
#[derive(Default)]
pub struct Prescaler {
    quality: ScaleQuality,
    ways: Vec<Way>,
}

impl Prescaler {
    /// One that magnifies like this.
    pub fn new(quality: ScaleQuality) -> Prescaler {
        Prescaler { quality, ways: Vec::new() }
    }

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
            if let Ok(scaled) = self.way(kind, shot).go(&picture) {
                frame.scaled.push(Scaled { shot, picture: Arc::new(scaled) });
            }
        }
    }

    fn way(&mut self, kind: Kind, shot: Shot) -> &mut Way {
        let known = self.ways.iter().position(|way| way.shot == shot);
        let index = known.unwrap_or_else(|| {
            self.ways.push(Way::new(kind, shot, self.quality));
            self.ways.len() - 1
        });
        &mut self.ways[index]
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

/// How pictures of one kind become what one shot shows.
struct Way {
    kind: Kind,
    shot: Shot,
    resizer: Resizer,
    scaled: BufferPool,
    pose: Pose,
    /// Used when the pose is not upright.
    raised: BufferPool,
    /// If the colour is not the canvas'.
    recolor: Option<Recolor>,
}

impl Way {
    fn new(kind: Kind, shot: Shot, quality: ScaleQuality) -> Way {
        let pose = Pose::of(&shot, kind.turn);
        let task = Task {
            format: kind.format,
            window: shot.window(kind.size, kind.turn),
            chroma_px: chroma_px(kind.site, kind.format),
            size: pose.lying(shot.size),
            new_chroma_px: pose.lying_chroma(chroma_px(ChromaSite::Left, PixelFormat::Nv12)),
            quality,
        };
        let recolor = || Recolor::new(canvas_from(kind.color, PixelFormat::Nv12.depth_bits()));
        Way {
            kind,
            shot,
            resizer: Resizer::new(task),
            scaled: BufferPool::default(),
            pose,
            raised: BufferPool::default(),
            recolor: (kind.color != Color::CANVAS).then(recolor),
        }
    }

    fn go(&mut self, picture: &Picture) -> Result<Picture, MediaError> {
        let format = PixelFormat::Nv12;
        let mut draft = Draft::new(&self.scaled, format, self.pose.lying(self.shot.size));
        self.resizer.run(picture, &mut draft)?;
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

#[cfg(test)]
#[path = "tests/scale.rs"]
mod tests;
