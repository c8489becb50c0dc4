//! Draw lists → pixels: the only room that names wgpu and cosmic-text.
//!
//! Reading order: [`adapter`](AdapterChoice) (which one), [`device`](Gpu) (device, faults), [`supply`](Supply) (the next device), `meter` (how busy the card is), `interop` (what other drivers may open), `cache` (pipelines on disk), [`pass_times`](PassTimes), `shaders` (pipelines and their parameters), `block` (allocations that buffers share), `host_memory` (what the CPU and the GPU both see), `canvas` (the ring
//! of NV12 canvases that pictures are handed out of), `lent` (those that stay on the device), `copy` (what a software adapter does by `memcpy`), `blend` (two
//! pictures become one), `sources` and `overlays` (what is on the GPU), `prepared` (overlays that stay ready), `loans` (where decoders write), `layers` (how a source is drawn), `text` and `outline`
//! (texts as pixels), [`compositor`](Compositor) (a tick's picture).
//!
//! Must not know commands, casters or time: a [`DrawList`](crate::picture::DrawList) and frames come in, a
//! [`Picture`](crate::frame::Picture) goes out. Invariant: a picture that was handed out never changes; its canvas is drawn
//! on again only after the last clone of it is gone.

mod adapter;
mod blend;
mod block;
mod cache;
mod canvas;
mod compositor;
mod copy;
mod device;
mod host_memory;
mod interop;
mod layers;
mod lent;
mod loans;
mod meter;
mod outline;
mod overlays;
mod pass_times;
mod prepared;
mod shaders;
mod sources;
mod supply;
mod text;

pub use adapter::{AdapterChoice, GpuInfo};
pub use compositor::{Composed, Compositor};
pub use device::{Census, Gpu, Kept};
pub use lent::{Delivery, Traffic};
pub use meter::{BusLoad, CardLoad};
pub use pass_times::{PassTime, PassTimes};
pub use prepared::Prepared;
pub use supply::Supply;

use crate::color;
use crate::frame::Size;

/// What can go wrong between a draw list and its picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// No Vulkan adapter at all.
    #[error(
        "no Vulkan adapter found; without a GPU install Mesa's software one (Debian: mesa-vulkan-drivers)"
    )]
    NoAdapter,
    /// None that was asked for.
    #[error("no adapter is called {wanted:?}; there are: {}", found.join(", "))]
    NoSuchAdapter {
        /// Index, address, UUID or part of a name.
        wanted: String,
        /// Names of all adapters, in order of their index.
        found: Vec<String>,
    },
    /// The adapter cannot do what the compositor needs.
    #[error("the adapter cannot be used: {0}")]
    Unfit(String),
    /// A canvas must have even sides of 2 to 8192 pixels.
    #[error("{} × {} is no canvas: both sides must be even, 2 to 8192 px", .0.width_px, .0.height_px)]
    BadCanvas(Size),
    /// All canvases are still held by those who got their pictures; draw again when one is free.
    #[error("all canvases are in use downstream")]
    NoCanvas,
    /// The driver refused or failed; the picture is lost, the next may be drawn.
    #[error("graphics device: {0}")]
    Device(String),
    /// The device is gone for good; nothing can be drawn with this `Gpu` any more.
    #[error("graphics device lost: {0}")]
    Lost(String),
}
