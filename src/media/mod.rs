//! Room `media`.

mod decode;
pub mod file;
pub mod open;
pub mod pattern;
mod picture;
pub mod reader;
mod resample;
pub mod scale;
pub mod still;
mod unwrap;
