//! Overlays that stay ready, whatever device is in use.
//!
//! Must not know who shows them. Invariant: what is kept is ready on the device in use, and nothing of a lost one is kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::device::Gpu;
use super::overlays::Art;
use crate::frame::Size;
use crate::picture::OverlayContent;

/// What is ready to be drawn stays so as long as this is kept; see [`Supply::prepare`](super::Supply::prepare).
#[derive(Debug, Default)]
pub struct Prepared {
    _stock: Option<Arc<Stock>>,
}

impl Prepared {
    pub(super) fn of(stock: Arc<Stock>) -> Prepared {
        Prepared { _stock: Some(stock) }
    }
}

/// Overlays for canvases of one size.
#[derive(Debug)]
pub(super) struct Stock {
    contents: Vec<Arc<OverlayContent>>,
    canvas: Size,
    /// Of the device in use.
    art: Mutex<Vec<Arc<Art>>>,
}

impl Stock {
    /// Makes them on this device, in the place of those of another one.
    pub(super) fn make(&self, gpu: &Gpu) {
        let art = gpu.exhibit(&self.contents, self.canvas);
        *lock(&self.art) = art;
    }
}

/// All that is kept by anybody.
#[derive(Debug, Default)]
pub(super) struct Pantry(Mutex<Vec<Weak<Stock>>>);

impl Pantry {
    /// From now on these are made anew with each device.
    pub(super) fn add(&self, contents: Vec<Arc<OverlayContent>>, canvas: Size) -> Arc<Stock> {
        let stock = Arc::new(Stock { contents, canvas, art: Mutex::default() });
        let mut all = lock(&self.0);
        all.retain(|other| other.strong_count() > 0);
        all.push(Arc::downgrade(&stock));
        stock
    }

    /// Makes all of it on this device.
    pub(super) fn move_to(&self, gpu: &Gpu) {
        let all = lock(&self.0).clone();
        all.iter().filter_map(Weak::upgrade).for_each(|stock| stock.make(gpu));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
