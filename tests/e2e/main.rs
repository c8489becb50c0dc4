//! End to end: the built binary, real ffmpeg as publisher and player, loopback only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod bad_input;
mod edges;
mod keys;
mod live;
mod render;
mod rundown;
mod sdk;
mod sources;
mod support;
mod tls;
