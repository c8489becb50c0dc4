//! Casters as the calls in progress will leave them.
//!
//! Must not know calls. Invariant: what is held while the catalog is locked is here until it is let go, which is after its
//! change was committed or given up; so whoever looks into both, with the catalog locked, misses nothing.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::catalog::{Caster, Change};

/// What is being made. As many as there are calls in progress.
#[derive(Default)]
pub(super) struct Making(Mutex<Vec<Arc<Caster>>>);

/// Something that is being made; dropped when it is committed or given up.
pub(super) struct Made<'a> {
    making: &'a Making,
    caster: Option<Arc<Caster>>,
}

impl Making {
    /// Holds what a change will make.
    pub(super) fn hold(&self, change: Option<&Change>) -> Made<'_> {
        let caster = match change {
            Some(Change::Upsert(caster)) => Some(caster.clone()),
            _ => None,
        };
        lock(&self.0).extend(caster.clone());
        Made { making: self, caster }
    }

    /// Whether something that is being made has an item of the media library.
    pub(super) fn uses_media(&self, id: &str) -> bool {
        lock(&self.0).iter().any(|caster| caster.uses_media(id))
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if let Some(made) = &self.caster {
            lock(&self.making.0).retain(|caster| !Arc::ptr_eq(caster, made));
        }
    }
}
