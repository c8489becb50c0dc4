//! The HTTP edge.

pub mod playback;
