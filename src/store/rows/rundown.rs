//! The form of channels, episodes and timed events on disk.
//!
//! Must not know SQL. Invariant: as of its parent.

use serde::{Deserialize, Serialize};

use super::{all, parse};
use crate::catalog::{
    Channel, Episode, EpisodeContent, LocationId, SwitchType, TimedEvent, TimedEventKind,
};
use crate::ids::{ComponentId, EpisodeId, ResourceId};

#[derive(Serialize, Deserialize)]
pub(super) struct ChannelRow {
    id: String,
    resource: Option<String>,
    playing: bool,
    position_ms: u64,
    face_beauty: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EpisodeRow {
    id: String,
    name: String,
    /// None: components alone.
    resource: Option<String>,
    switch: Option<String>,
    components: Vec<String>,
    start_unix_ms: u64,
    end_unix_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TimedEventRow {
    kind: String,
    at_unix_ms: u64,
}

pub(super) fn encode_channel(channel: &Channel) -> ChannelRow {
    ChannelRow {
        id: channel.id.to_string(),
        resource: channel.resource.as_ref().map(ToString::to_string),
        playing: channel.playing,
        position_ms: channel.position_ms,
        face_beauty: channel.face_beauty.clone(),
    }
}

pub(super) fn decode_channel(row: ChannelRow) -> Result<Channel, String> {
    Ok(Channel {
        id: parse("channel", &row.id, LocationId::parse)?,
        resource: row.resource.map(|id| parse("resource", &id, ResourceId::parse)).transpose()?,
        playing: row.playing,
        position_ms: row.position_ms,
        face_beauty: row.face_beauty,
    })
}

pub(super) fn encode_episode(episode: &Episode) -> EpisodeRow {
    let (resource, switch) = match &episode.content {
        EpisodeContent::Component => (None, None),
        EpisodeContent::Resource { resource, switch } => {
            (Some(resource.to_string()), Some(switch.as_str().to_owned()))
        }
    };
    EpisodeRow {
        id: episode.id.to_string(),
        name: episode.name.clone(),
        resource,
        switch,
        components: episode.components.iter().map(ToString::to_string).collect(),
        start_unix_ms: episode.start_unix_ms,
        end_unix_ms: episode.end_unix_ms,
    }
}

pub(super) fn decode_episode(row: EpisodeRow) -> Result<Episode, String> {
    let content = match row.resource {
        None => EpisodeContent::Component,
        Some(id) => EpisodeContent::Resource {
            resource: parse("resource", &id, ResourceId::parse)?,
            switch: parse("switch", &row.switch.unwrap_or_default(), SwitchType::parse)?,
        },
    };
    Ok(Episode {
        id: parse("episode", &row.id, EpisodeId::parse)?,
        name: row.name,
        content,
        components: all(row.components, |id| parse("component", &id, ComponentId::parse))?,
        start_unix_ms: row.start_unix_ms,
        end_unix_ms: row.end_unix_ms,
    })
}

pub(super) fn encode_event(event: &TimedEvent) -> TimedEventRow {
    TimedEventRow { kind: event.kind.as_str().to_owned(), at_unix_ms: event.at_unix_ms }
}

pub(super) fn decode_event(row: &TimedEventRow) -> Result<TimedEvent, String> {
    let kind = parse("event", &row.kind, TimedEventKind::parse)?;
    Ok(TimedEvent { kind, at_unix_ms: row.at_unix_ms })
}
