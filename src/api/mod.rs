//! Room `api`.

pub mod access;
pub mod http;
pub mod rtmp;
