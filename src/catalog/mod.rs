//! WHAT is configured: casters with their sources, layouts, components, scenes; the rules of the API over them.
//!
//! Pure: time and fresh identifiers come in through [`Context`]; no I/O, no locks, no wire form (edges translate),
//! no serialisation (the store has its own rows). Must not know how anything is drawn, heard or kept.
//! Invariants: [`Catalog::prepare`] changes nothing, and either refuses or gives the whole change;
//! [`Catalog::commit`] cannot fail.
//!
//! The life of a call: `prepare` → the app carries out [`Prepared::effects`] on the running caster → the store makes
//! [`Prepared::change`] durable → `commit` → [`Prepared::answer`]. What is refused on the way leaves all as it was.

mod answer;
mod call;
mod code;
mod draft;
mod model;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

pub use answer::*;
pub use call::*;
pub use code::{ErrorCode, Refused};
pub use draft::*;
pub use model::*;

use crate::ids::{CasterId, MaterialId, ProgramId};

/// What the rules may know of the world.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time, ms since 1970-01-01 UTC.
    pub now_unix_ms: u64,
    /// Gives a fresh identifier at each call.
    pub fresh: &'a dyn Fn() -> Uuid,
    /// What the media library knows of an item.
    pub media: &'a dyn Fn(&MaterialId) -> Option<MediaFacts>,
    /// The revision that a write expects the caster to have; none = any.
    pub expected_revision: Option<u64>,
}

impl<'a> Context<'a> {
    /// A world without a media library, for callers who expect no revision.
    pub fn new(now_unix_ms: u64, fresh: &'a dyn Fn() -> Uuid) -> Context<'a> {
        Context { now_unix_ms, fresh, media: &|_| None, expected_revision: None }
    }
}

/// What the rules ask of an item of the media library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaFacts {
    /// A file that is played.
    Video {
        /// How long it is, ms.
        duration_ms: u64,
    },
    /// A still picture.
    Image,
}

/// All casters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    casters: BTreeMap<CasterId, Arc<Caster>>,
    /// Which caster was made with which token.
    tokens: BTreeMap<String, CasterId>,
    groups: BTreeMap<ProgramId, Arc<EpisodeGroup>>,
}

impl Catalog {
    /// A catalog of these casters.
    pub fn new(casters: impl IntoIterator<Item = Caster>) -> Catalog {
        let mut catalog = Catalog::default();
        for caster in casters {
            catalog.commit(Change::Upsert(Arc::new(caster)));
        }
        catalog
    }

    /// The same with these episode groups.
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = EpisodeGroup>) -> Catalog {
        for group in groups {
            self.commit(Change::UpsertGroup(Arc::new(group)));
        }
        self
    }

    /// The caster with this identifier.
    pub fn caster(&self, id: &CasterId) -> Option<&Arc<Caster>> {
        self.casters.get(id)
    }

    /// The caster that was made with this `ClientToken`.
    pub fn made_with(&self, token: &str) -> Option<&Arc<Caster>> {
        self.tokens.get(token).and_then(|id| self.casters.get(id))
    }

    /// How many casters there are.
    pub fn len(&self) -> usize {
        self.casters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.casters.is_empty()
    }

    /// All casters, by identifier.
    pub fn casters(&self) -> impl Iterator<Item = &Arc<Caster>> {
        self.casters.values()
    }

    /// The episode group with this identifier.
    pub fn group(&self, id: &ProgramId) -> Option<&Arc<EpisodeGroup>> {
        self.groups.get(id)
    }

    /// All episode groups, by identifier.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<EpisodeGroup>> {
        self.groups.values()
    }

    /// What `call` would change, answer and cause. Changes nothing.
    ///
    /// # Errors
    /// When a rule of the API refuses it.
    pub fn prepare(&self, call: Call, ctx: &Context<'_>) -> Result<Prepared, Refused> {
        rules::prepare(self, call, ctx)
    }

    /// Makes a prepared change the present state.
    pub fn commit(&mut self, change: Change) {
        match change {
            Change::Upsert(caster) => {
                self.tokens.insert(caster.client_token.clone(), caster.id.clone());
                self.casters.insert(caster.id.clone(), caster);
            }
            Change::Delete(id) => {
                if let Some(gone) = self.casters.remove(&id) {
                    self.tokens.remove(&gone.client_token);
                }
            }
            Change::UpsertGroup(group) => {
                self.groups.insert(group.id.clone(), group);
            }
            Change::DeleteGroup(id) => {
                self.groups.remove(&id);
            }
        }
    }
}
