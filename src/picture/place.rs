//! Placement: fractions of a canvas and native sizes → rectangles on even pixels.
use super::{DrawList, Placement, Rect, ScenePicture};
use crate::frame::Size;
use crate::ids::InputKey;
