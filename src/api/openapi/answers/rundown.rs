//! Answers of channels, the rundown, episode groups and event tokens.
//!
//! Must not know envelopes. Invariant: times are UTC to the second, as they were given.

use serde_json::{Value, json};

use super::{Rendered, foreign, list, present};
use crate::api::addresses::{Addresses, source_url};
use crate::api::openapi::utc;
use crate::catalog::{Answer, Caster, Channel, Episode, EpisodeContent, EpisodeStatus};

/// None as long as channels are not enabled.
pub(crate) fn channels(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Caster(caster) = answer else { return Err(foreign()) };
    let channels: Vec<Value> = match caster.config.channel_enable {
        true => caster.channels.iter().map(|channel| item(&caster, channel)).collect(),
        false => Vec::new(),
    };
    Ok(json!({ "Total": channels.len(), "Channels": list("Channel", channels) }))
}

fn item(caster: &Caster, channel: &Channel) -> Value {
    let source = channel.resource.as_ref().and_then(|id| caster.resource(id));
    let url = |format| source.and_then(|source| source_url(source.configured(), format));
    present(json!({
        "ChannelId": channel.id.to_string(),
        "ResourceId": channel.resource.as_ref().map(|id| id.as_str()),
        "StreamUrl": url("flv"),
        "RtmpUrl": url("rtmp"),
        "FaceBeauty": channel.face_beauty,
    }))
}

pub(crate) fn program(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Program { caster, total, page } = answer else { return Err(foreign()) };
    Ok(present(json!({
        "CasterId": caster.id.as_str(),
        "ProgramName": caster.config.program_name,
        "ProgramEffect": i32::from(caster.config.program_effect),
        "Total": total,
        "Episodes": list("Episode", page.iter().map(|(e, status)| episode(e, *status))),
    })))
}

fn episode(episode: &Episode, status: EpisodeStatus) -> Value {
    let switch = match &episode.content {
        EpisodeContent::Resource { switch, .. } => Some(switch.as_str()),
        EpisodeContent::Component => None,
    };
    let components = episode.components.iter().map(|id| id.as_str().into());
    present(json!({
        "EpisodeId": episode.id.as_str(),
        "EpisodeName": episode.name,
        "EpisodeType": episode.type_name(),
        "ResourceId": episode.resource().map(|id| id.as_str()),
        "ComponentIds": list("ComponentId", components),
        "StartTime": utc::instant(episode.start_unix_ms / 1000),
        "EndTime": utc::instant(episode.end_unix_ms / 1000),
        "SwitchType": switch,
        "Status": status as i32,
    }))
}

pub(crate) fn group_ids(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Group(group) = answer else { return Err(foreign()) };
    let items = group.items.iter().map(|item| item.id.as_str().into());
    Ok(json!({ "ProgramId": group.id.as_str(), "ItemIds": list("ItemId", items) }))
}

pub(crate) fn group_gone(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Group(_) = answer else { return Err(foreign()) };
    Ok(json!({}))
}

pub(crate) fn rtc_info(answer: Answer, addresses: &Addresses) -> Rendered {
    let Answer::Caster(caster) = answer else { return Err(foreign()) };
    let token = addresses.watch_token(&caster.id);
    Ok(json!({ "CasterId": caster.id.as_str(), "AuthToken": token }))
}
