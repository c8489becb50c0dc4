//! # onair
//!
//! A self-hosted, GPU-accelerated live production studio: streams, files and images come in, an operator
//! prepares a picture on preview (PVW) and takes it to programme (PGM), PGM is encoded and played everywhere.
//!
//! ## The map, in reading order
//!
//! Leaves: [`time`] (rational ticks, the clock), [`frame`] (what moves), [`device_memory`] (where a graphics device has it), [`shot`] (how a picture is seen), `color` (code values of one kind → of another), [`source`] (how a source fares), [`luma`] (how bright, black, frozen), [`worker`] (threads, when they may begin again), `fault` (faults that tests cause), [`ids`],
//! [`limits`], [`config`], [`metrics`], `memory` (how large pieces are handed out), `trust` (whom connections over TLS trust), [`round_trip`] (how far away a server is), [`record_name`] (names of recorded files), [`recording`] (what is told of them).
//!
//! Pure rooms: [`catalog`] (what is configured), [`picture`] (what a picture is), [`sound`] (the mix),
//! [`engine`] (what happens when).
//!
//! Hands: [`gpu`] (draw lists → pixels), [`media`] (codecs, containers, the hub of encoded streams),
//! [`input`] (a worker per source), [`output`] (a worker per encoder, sinks), [`store`] (durable catalog),
//! [`library`] (uploaded media).
//!
//! Edges and wiring: [`api`] (gRPC, HTTP, RTMP), [`app`] (`run_tick`, supervisor, offline render).
//!
//! **The frame's path**: `input` → bounded queue → [`app`]'s `run_tick`: drain, decide ([`engine`]), draw
//! ([`gpu`]), hand off → [`output`] → [`media::hub`] → players.
//!
//! **The command's path**: [`api`] → [`catalog`] (valid?) → [`store`] (durable) → [`engine`] at the next tick
//! → `Applied { revision, tick }` → the client.

pub mod api;
pub mod app;
pub mod catalog;
mod color;
pub mod config;
pub mod device_memory;
pub mod engine;
mod fault;
pub mod frame;
pub mod gpu;
pub mod ids;
pub mod input;
pub mod library;
pub mod limits;
pub mod luma;
pub mod media;
mod memory;
pub mod metrics;
pub mod output;
pub mod picture;
pub mod record_name;
pub mod recording;
pub mod round_trip;
pub mod shot;
pub mod sound;
pub mod source;
pub mod store;
pub mod time;
mod trust;
pub mod worker;
