//! Room `app`.

pub mod resolve;
