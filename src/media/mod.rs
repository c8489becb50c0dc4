//! Codecs, containers and the hub of encoded streams; FFmpeg, NVENC and NVDEC are named here and nowhere else.
//!
//! Coming in: [`open`] → [`reader`] → decoders (`decode`, on a card by [`nvdec`], `deinterlace`, `picture`, `intent`) → frames and samples, [`file`] (excerpts and loops), [`still`] images,
//! the test [`pattern`]; [`scale`] makes pictures as layers show them (by `resize` and `finish`); [`examine`] looks through a file before it is used. Going out: [`encode`] (x264, x265, or [`nvenc`] over `cuda`) →
//! [`packet`]s → [`mux`] (to a destination) or [`pack`] (to bytes), [`hls`] (playlists); recordings are mended by [`salvage`] and finished by [`fast_start`]. In between, encoded: [`flv`] tags in the [`hub`]. Must
//! not know casters, scenes or sockets of ours. Invariant: whatever FFmpeg is fed, what leaves this
//! room is whole: frames that pass [`crate::frame::Picture::new`], packets with times that only grow.

#[allow(dead_code, unused_imports, reason = "memory and timelines are taken up with the next step")]
pub(crate) mod cuda;
mod decode;
mod deinterlace;
mod dictionary;
pub mod encode;
pub mod examine;
pub mod fast_start;
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
pub mod nvdec;
pub mod nvenc;
pub mod open;
pub mod pack;
pub mod packet;
pub mod parts;
pub mod pattern;
mod picture;
mod pool;
pub mod pushed;
pub mod reader;
mod resample;
mod resize;
pub mod salvage;
pub mod scale;
pub mod still;
mod swscale;
mod unwrap;
mod wire;
