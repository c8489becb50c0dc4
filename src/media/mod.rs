//! Codecs, containers and the hub of encoded streams; FFmpeg is named here and nowhere else.
//!
//! Coming in: [`open`] → [`reader`] → decoders (`decode`, `deinterlace`, `picture`, `intent`) → frames and samples, [`file`] (excerpts and loops), [`still`] images,
//! the test [`pattern`]; [`scale`] makes pictures as layers show them (by `area`, `swscale` and `finish`); [`examine`] looks through a file before it is used. Going out: [`encode`] →
//! [`packet`]s → [`mux`] (to a destination) or [`pack`] (to bytes), [`hls`] (playlists). In between, encoded: [`flv`] tags in the [`hub`]. Must
//! not know casters, scenes or sockets of ours. Invariant: whatever FFmpeg is fed, what leaves this
//! room is whole: frames that pass [`crate::frame::Picture::new`], packets with times that only grow.

mod area;
mod decode;
mod deinterlace;
pub mod encode;
pub mod examine;
pub(crate) mod fetch;
pub mod file;
mod finish;
pub mod flv;
pub mod hls;
pub mod hub;
mod icc;
mod intent;
pub mod live_queue;
pub mod mux;
mod nested;
pub mod open;
pub mod pack;
pub mod packet;
pub mod parts;
pub mod pattern;
mod picture;
mod pool;
pub mod reader;
mod resample;
pub mod scale;
pub mod still;
mod swscale;
mod unwrap;
