//! Where PGM goes: relays, and what else it is configured to go out as.
//!
//! Must not know scenes. Invariants: what cannot be made leaves what is on air as it was; a relay that stays is not
//! touched, whatever happens to the others; no server is pushed to twice at once, for many take one publisher a stream.

use std::sync::Arc;

use super::{OnAir, off_thread};
use crate::api::control::{OutputStatus, RelayState, RelayStatus};
use crate::app::outputs::internal;
use crate::catalog::{Caster, Refused, Relay};
use crate::input::admit_relay;
use crate::limits;
use crate::output::{Admit, Output, Sink, SinkId, SinkState, redacted};

/// A destination as it is on air.
#[derive(Clone)]
pub(super) struct Destination {
    relay: Relay,
    /// None: it is switched off.
    sink: Option<SinkId>,
}

impl Destination {
    /// Whether it is what is wanted, and there: with a rendition that was made anew its sinks have gone.
    fn serves(&self, wanted: &Relay, pgm: &Output) -> bool {
        let is_there = self.sink.is_none_or(|id| pgm.sink(id).is_some());
        let Relay { url, rendition, enabled, name: _ } = &self.relay;
        is_there && (url, rendition, enabled) == (&wanted.url, &wanted.rendition, &wanted.enabled)
    }
}

impl OnAir {
    /// Makes PGM go out as configured.
    pub(super) async fn set_outputs(&mut self, caster: &Arc<Caster>) -> Result<(), Refused> {
        let mut extras = std::mem::take(&mut self.extras);
        let (world, caster, pgm) = (self.world.clone(), caster.clone(), self.pgm.clone());
        let changed = off_thread(move || {
            let done = extras.apply(&world, &caster, &pgm);
            (extras, done, caster)
        });
        let (extras, done, caster) = changed.await?;
        self.extras = extras;
        done?;
        self.follow_bitrate(&caster);
        self.set_relays(&caster).await
    }

    /// PVW has PGM's bit rate, also when it is made later.
    fn follow_bitrate(&mut self, caster: &Caster) {
        if let Some(pvw) = &self.pvw {
            pvw.set_bitrate(self.pgm.video().bitrate_bps);
        }
        Arc::make_mut(&mut self.started).config.encoder.video_bps = caster.config.encoder.video_bps;
    }

    /// Starts the relays that are new and ends those that are gone; if one cannot start, all stays as it was. A server that is
    /// pushed to in another way than before is let go of first, which takes [`limits::DRAIN_TIMEOUT`] at most.
    pub(super) async fn set_relays(&mut self, caster: &Caster) -> Result<(), Refused> {
        let wanted: Vec<Relay> = caster.config.destinations().collect();
        let stays = |known: &Destination| wanted.iter().any(|relay| known.serves(relay, &self.pgm));
        let (mut serving, before): (Vec<_>, Vec<_>) = self.relays.iter().cloned().partition(stays);
        let is_pushed_to = |old: &Destination| wanted.iter().any(|new| new.url == old.relay.url);
        let (moved, gone): (Vec<_>, Vec<_>) = before.into_iter().partition(is_pushed_to);
        self.end_relays(&moved).await?;
        let kept = serving.len();
        for relay in &wanted {
            if serving.iter().any(|known| known.serves(relay, &self.pgm)) {
                continue;
            }
            match self.add_relay(relay.clone()) {
                Ok(added) => serving.push(added),
                Err(refused) => {
                    self.end_relays(&serving[kept..]).await?;
                    self.put_back(&moved);
                    return Err(refused);
                }
            }
        }
        let of = |relay: Relay| {
            let found = serving.iter().find(|known| known.serves(&relay, &self.pgm));
            Destination { sink: found.and_then(|known| known.sink), relay }
        };
        self.relays = wanted.into_iter().map(of).collect();
        self.end_relays(&gone).await
    }

    /// Ends relays side by side: each may take its time to say goodbye.
    async fn end_relays(&self, relays: &[Destination]) -> Result<(), Refused> {
        let end = |id: SinkId| {
            let pgm = self.pgm.clone();
            tokio::task::spawn_blocking(move || pgm.remove_sink(id, limits::DRAIN_TIMEOUT))
        };
        let ends: Vec<_> = relays.iter().filter_map(|relay| relay.sink).map(end).collect();
        for end in ends {
            end.await.map_err(internal)?;
        }
        Ok(())
    }

    /// Starts relays again that were ended for nothing.
    fn put_back(&mut self, ended: &[Destination]) {
        for old in ended {
            match self.add_relay(old.relay.clone()) {
                Ok(again) => {
                    let same = self.relays.iter_mut().filter(|relay| relay.sink == old.sink);
                    same.for_each(|relay| relay.sink = again.sink);
                }
                Err(refused) => tracing::error!(%refused, "a relay does not come back"),
            }
        }
    }

    pub(super) fn add_relay(&self, relay: Relay) -> Result<Destination, Refused> {
        if !relay.enabled {
            return Ok(Destination { relay, sink: None });
        }
        let (allow, authorities) = (self.world.allow.clone(), self.world.config.relay_ca.clone());
        let admit =
            Admit::new(move |url, stop| admit_relay(url, (&allow, authorities.as_deref()), stop));
        let sink = Sink::Relay { url: relay.url.clone(), admit };
        let id = match relay.rendition {
            Some(rendition) => self.pgm.add_rendition_sink(rendition.as_str(), sink),
            None => self.pgm.add_sink(sink),
        };
        Ok(Destination { relay, sink: Some(id.map_err(internal)?) })
    }

    /// How the relays fare, in the order in which they are configured.
    pub(super) fn relay_statuses(&self) -> impl Iterator<Item = OutputStatus> {
        self.relays
            .iter()
            .enumerate()
            .map(|(index, destination)| status(index, destination, &self.pgm))
    }
}

fn status(index: usize, destination: &Destination, pgm: &Output) -> OutputStatus {
    let Relay { url, name, rendition, .. } = &destination.relay;
    let sink = destination.sink.and_then(|id| pgm.sink(id));
    let mut told = RelayStatus {
        name: name.clone(),
        url: redacted(url),
        rendition: rendition.map_or("", |rendition| rendition.as_str()).to_owned(),
        state: RelayState::Disabled,
        since_unix_ms: 0,
        last_error: String::new(),
        reconnects: 0,
        round_trip: None,
    };
    let mut output = OutputStatus {
        name: format!("relay-{}", index + 1),
        frames: 0,
        frames_late: 0,
        frames_dropped: 0,
        bytes: 0,
        subscribers: 0,
        queued_packets: 0,
        message: String::new(),
        encoder: None,
        thread_restarts: 0,
        last_fault: String::new(),
        playback_fault: String::new(),
        relay: None,
    };
    if let Some(sink) = sink {
        told.state = match &sink.state {
            SinkState::Starting => RelayState::Starting,
            SinkState::Connecting => RelayState::Connecting,
            SinkState::Live => RelayState::Live,
            SinkState::Failed(_) if sink.failures < limits::RETRY_FAILED_AFTER => {
                RelayState::BackingOff
            }
            SinkState::Failed(_) | SinkState::Ended => RelayState::Failed,
        };
        told.since_unix_ms = sink.since_unix_ms;
        told.last_error.clone_from(&sink.last_error);
        told.reconnects = sink.attempts.saturating_sub(1);
        told.round_trip = sink.round_trip;
        output.frames = sink.packets;
        output.frames_dropped = sink.dropped;
        output.bytes = sink.bytes;
        output.queued_packets = sink.queued as u64;
        output.thread_restarts = sink.restarts;
        output.last_fault.clone_from(&sink.last_error);
        output.subscribers = u32::from(sink.state == SinkState::Live);
        if let SinkState::Failed(why) = &sink.state {
            output.message = format!("{}: {why}", sink.label);
        }
    }
    output.relay = Some(told);
    output
}
