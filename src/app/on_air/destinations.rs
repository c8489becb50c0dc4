//! Where PGM goes: relays, and what else it is configured to go out as.
//!
//! Must not know scenes. Invariant: what cannot be made leaves what is on air as it was.

use std::sync::Arc;

use super::{OnAir, off_thread};
use crate::app::outputs::internal;
use crate::catalog::{Caster, Refused};
use crate::input::admit_relay;
use crate::limits;
use crate::output::{Admit, Sink, SinkId};

impl OnAir {
    /// Makes PGM go out as configured.
    pub(super) async fn set_outputs(&mut self, caster: &Arc<Caster>) -> Result<(), Refused> {
        let mut extras = std::mem::take(&mut self.extras);
        let (world, caster, pgm) = (self.world.clone(), caster.clone(), self.pgm.clone());
        let changed = off_thread(move || {
            let done = extras.apply(&world, &caster, &pgm);
            (extras, done)
        });
        let (extras, done) = changed.await?;
        self.extras = extras;
        done
    }

    /// Starts the relays that are new and ends those that are gone; if one cannot start, all stays as it was.
    pub(super) async fn set_relays(&mut self, caster: &Caster) -> Result<(), Refused> {
        let urls: Vec<&String> = caster.config.destinations().collect();
        let mut added = Vec::new();
        let mut refused = None;
        for url in &urls {
            if self.relays.iter().any(|(known, _)| known == *url) {
                continue;
            }
            match self.add_relay(url) {
                Ok(relay) => added.push(relay),
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        let gone = if refused.is_some() {
            added
        } else {
            let all = self.relays.drain(..).chain(added);
            let (kept, gone) = all.partition(|(url, _)| urls.contains(&url));
            self.relays = kept;
            gone
        };
        // Side by side: each may take its time to say goodbye.
        let ends: Vec<_> = gone
            .into_iter()
            .map(|(_, id)| {
                let pgm = self.pgm.clone();
                tokio::task::spawn_blocking(move || pgm.remove_sink(id, limits::DRAIN_TIMEOUT))
            })
            .collect();
        for end in ends {
            end.await.map_err(internal)?;
        }
        refused.map_or(Ok(()), Err)
    }

    pub(super) fn add_relay(&self, url: &str) -> Result<(String, SinkId), Refused> {
        let allow = self.world.allow.clone();
        let admit = Admit::new(move |url, stop| admit_relay(url, &allow, stop));
        let sink = Sink::Relay { url: url.to_owned(), admit };
        Ok((url.to_owned(), self.pgm.add_sink(sink).map_err(internal)?))
    }
}
