//! The edges: what the world may ask of this process, and how it is told.
//!
//! Each edge parses its wire form once, asks the app through [`control::Control`], and renders the answer. Must not see
//! a frame. Invariant: every edge asks who is there before it does anything.

pub mod access;
pub mod addresses;
pub mod auth_key;
pub mod bucket;
pub mod client;
pub mod control;
pub mod door;
pub mod events;
pub mod grpc;
pub mod http;
pub mod keys;
pub mod media;
pub mod openapi;
pub mod record_answer;
pub mod recordings;
pub mod rtmp;
mod secret;
pub mod tls;
