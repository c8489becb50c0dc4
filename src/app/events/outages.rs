//! What has gone wrong on air: found by comparing how sources, relays and images are with how they were.
//!
//! Must not tell anybody. Invariant: an outage is found once; it is over when the thing works again.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::control::{InputStatus, Snapshot};
use crate::api::events::{About, EventCode};
use crate::catalog::{Caster, Place, Showing, Source};
use crate::engine::InputState;
use crate::ids::ResourceId;
use crate::input::redact;

/// What output names of relays and recordings begin with, and what is told when one does not work.
const SINKS: [(&str, EventCode); 2] =
    [("relay-", EventCode::SideOutputUrlInvalid), ("record-", EventCode::RecordFailed)];

/// Something that has gone wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) about: About,
    pub(super) code: EventCode,
    pub(super) message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Nothing has come from it yet, or all there was.
    Fresh,
    Live,
    /// It was told that it does not work.
    Lost,
}

/// What of one caster on air does not work.
#[derive(Default)]
pub(super) struct Outages {
    inputs: BTreeMap<ResourceId, Health>,
    /// Names of relays and recordings.
    sinks: BTreeSet<String>,
    /// Names of outputs whose players get nothing.
    playback: BTreeSet<String>,
    /// How often the encoder of an output, and another thread of it, were replaced.
    restarts: BTreeMap<String, (u64, u64)>,
    /// The same of the worker of a source.
    input_restarts: BTreeMap<ResourceId, u64>,
    /// Why the card does not decode a source.
    refused: BTreeMap<ResourceId, String>,
    /// Identifiers of what has an image that does not open.
    images: BTreeSet<String>,
}

impl Outages {
    /// Takes in how things are now; answers what does not work any more.
    pub(super) fn update(
        &mut self,
        caster: &Caster,
        now: &Snapshot,
        missing_images: &[Showing<'_>],
    ) -> Vec<Trouble> {
        let mut troubles = self.update_inputs(caster, &now.inputs);
        let before = std::mem::take(&mut self.sinks);
        let code = |name: &str| {
            SINKS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, code)| *code)
        };
        for sink in &now.outputs {
            let Some(code) = code(&sink.name) else { continue };
            let (was_out, has_failed) = (before.contains(&sink.name), !sink.message.is_empty());
            if has_failed && !was_out {
                let message = format!("{}: {}", sink.name, sink.message);
                troubles.push(Trouble { about: About::default(), code, message });
            }
            // Between two attempts it has neither failed nor does it work.
            let works = sink.subscribers > 0;
            if has_failed || (was_out && !works) {
                self.sinks.insert(sink.name.clone());
            }
        }
        for output in &now.outputs {
            let encoder = output.encoder.as_ref().map_or(0, |encoder| encoder.restarts);
            let count = (encoder, output.thread_restarts);
            let before = self.restarts.insert(output.name.clone(), count).unwrap_or_default();
            for (code, is_more) in [
                (EventCode::EncoderRestarted, count.0 > before.0),
                (EventCode::ThreadRestarted, count.1 > before.1),
            ] {
                if is_more {
                    let message = format!("{}: {}", output.name, output.last_fault);
                    troubles.push(Trouble { about: About::default(), code, message });
                }
            }
        }
        let before = std::mem::take(&mut self.playback);
        for output in now.outputs.iter().filter(|output| !output.playback_fault.is_empty()) {
            if !before.contains(&output.name) {
                let message = format!("{}: {}", output.name, output.playback_fault);
                let (about, code) = (About::default(), EventCode::PlaybackFailed);
                troubles.push(Trouble { about, code, message });
            }
            self.playback.insert(output.name.clone());
        }
        let before = std::mem::take(&mut self.images);
        self.images = missing_images.iter().map(|showing| showing.id().to_owned()).collect();
        for showing in missing_images.iter().filter(|showing| !before.contains(showing.id())) {
            let message = format!("Fail to open image: {showing}");
            let mut about = About::default();
            match showing {
                Showing::Component(component) => about.component = Some(component.id.clone()),
                Showing::Layout(layout) => about.layout = Some(layout.id.clone()),
            }
            troubles.push(Trouble { about, code: EventCode::ImageOpenFailed, message });
        }
        troubles
    }

    fn update_inputs(&mut self, caster: &Caster, now: &[InputStatus]) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let before = std::mem::take(&mut self.inputs);
        for input in now {
            let was = before.get(&input.resource).copied().unwrap_or(Health::Fresh);
            let is = follow(was, input.state);
            if is == Health::Lost && was != Health::Lost {
                troubles.extend(lost(caster, &input.resource));
            }
            self.inputs.insert(input.resource.clone(), is);
            troubles.extend(self.update_decoder(input));
            let restarts = &mut self.input_restarts;
            let restarted = restarts.insert(input.resource.clone(), input.restarts).unwrap_or(0);
            if input.restarts > restarted {
                let about = About { resource: Some(input.resource.clone()), ..About::default() };
                let message = format!("A source's worker failed {} times so far", input.restarts);
                troubles.push(Trouble { about, code: EventCode::ThreadRestarted, message });
            }
        }
        troubles
    }
}

impl Outages {
    /// Whether software decodes a source that the card was to decode, if that is news.
    fn update_decoder(&mut self, input: &InputStatus) -> Option<Trouble> {
        let why = &input.nvdec_refused;
        let before = self.refused.insert(input.resource.clone(), why.clone()).unwrap_or_default();
        let is_news = !why.is_empty() && *why != before;
        is_news.then(|| Trouble {
            about: About { resource: Some(input.resource.clone()), ..About::default() },
            code: EventCode::DecoderFellBack,
            message: format!("Software decodes a source: {why}"),
        })
    }
}

fn follow(was: Health, state: InputState) -> Health {
    match (was, state) {
        (_, InputState::Live) => Health::Live,
        // A file that has played to its end may be played again.
        (_, InputState::Ended) => Health::Fresh,
        (_, InputState::Failed | InputState::Stale) => Health::Lost,
        // It connects anew: what it had is lost.
        (Health::Live, InputState::Connecting) => Health::Lost,
        (was, InputState::Idle | InputState::Connecting | InputState::Buffering) => was,
    }
}

/// A place as it may be told.
fn named(place: &Place) -> String {
    match place {
        Place::Url(url) => redact(url),
        Place::Material(id) => id.to_string(),
    }
}

fn lost(caster: &Caster, id: &ResourceId) -> Option<Trouble> {
    let source = &caster.resource(id)?.source;
    const STREAM: (EventCode, &str) = (EventCode::StreamInterrupt, "Failed to open stream");
    let (code, failed, url) = match source {
        Source::Image { place } => (EventCode::ImageOpenFailed, "Fail to open image", named(place)),
        Source::Vod { place, .. } => (STREAM.0, STREAM.1, named(place)),
        Source::Live { url } => (STREAM.0, STREAM.1, redact(url)),
    };
    let about = About { resource: Some(id.clone()), ..About::default() };
    Some(Trouble { about, code, message: format!("{failed}: {url}") })
}
