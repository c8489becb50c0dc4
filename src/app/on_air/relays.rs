//! The destinations that PGM is pushed to.
//!
//! Must not know the rest of a show. Invariant: a list that cannot be had whole changes nothing.

use super::{OnAir, internal};
use crate::catalog::Refused;
use crate::input::admit_relay;
use crate::limits;
use crate::output::{Admit, Sink, SinkId};

impl OnAir {
    /// Starts the relays that are new and ends those that are gone; if one cannot start, all stays as it was.
    pub(super) async fn set_relays(&mut self, urls: &[String]) -> Result<(), Refused> {
        let mut added = Vec::new();
        let mut refused = None;
        for url in urls {
            if self.relays.iter().any(|(known, _)| known == url) {
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
            let (kept, gone) = all.partition(|(url, _)| urls.contains(url));
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
