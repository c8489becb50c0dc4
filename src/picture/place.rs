//! Placement.
pub fn compose() {}
pub fn layer_rect() {}
pub fn overlay_rect() {}
