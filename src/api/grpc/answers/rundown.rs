//! Responses of channels, the rundown and episode groups.
//!
//! Must not know how an answer came about. Invariant: what was stored is told in the API's own words.

use super::{Render, applied, count, foreign, pb, time_ms};
use crate::api::addresses::{Addresses, source_url};
use crate::catalog::{Answer, Caster, Channel, Episode, EpisodeContent, EpisodeStatus, Refused};

writes! {
    SetCasterChannelResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    AddCasterEpisodeResponse, w, id => Self { episode_id: id, revision: w.revision };
    ModifyCasterEpisodeResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        episode_id: id,
        revision: w.revision,
    };
    DeleteCasterEpisodeResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        episode_id: id,
        revision: w.revision,
    };
    AddCasterProgramResponse, w, id => Self {
        episode_ids: w.episodes().iter().map(ToString::to_string).collect(),
        revision: w.revision,
    };
    ModifyCasterProgramResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        revision: w.revision,
    };
    DeleteCasterProgramResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        revision: w.revision,
    };
}

reads! {
    DescribeCasterChannelsResponse, Answer::Caster(caster), addresses => {
        let all = Some(&caster.channels).filter(|_| caster.config.channel_enable);
        let channels: Vec<_> = all.into_iter().flatten().map(|c| channel(&caster, c)).collect();
        Self { total: count(channels.len()), channels, revision: caster.revision }
    };
    DescribeCasterProgramResponse, Answer::Program { caster, total, page }, addresses => Self {
        caster_id: caster.id.to_string(),
        program_name: caster.config.program_name.clone(),
        program_effect: caster.config.program_effect,
        total: count(total),
        episodes: page.into_iter().map(episode).collect(),
        revision: caster.revision,
    };
    AddCasterEpisodeGroupResponse, Answer::Group(group), addresses => Self {
        program_id: group.id.to_string(),
        item_ids: group.items.iter().map(|item| item.id.to_string()).collect(),
    };
    AddCasterEpisodeGroupContentResponse, Answer::Group(group), addresses => Self {
        program_id: group.id.to_string(),
        item_ids: group.items.iter().map(|item| item.id.to_string()).collect(),
    };
    DeleteCasterEpisodeGroupResponse, Answer::Group(_), addresses => Self {};
}

fn channel(caster: &Caster, channel: &Channel) -> pb::Channel {
    let source = channel.resource.as_ref().and_then(|id| caster.resource(id));
    let url = |format| {
        let url = source.and_then(|source| source_url(source.configured(), format));
        url.unwrap_or_default().to_owned()
    };
    pb::Channel {
        channel_id: channel.id.to_string(),
        resource_id: channel.resource.as_ref().map(ToString::to_string).unwrap_or_default(),
        stream_url: url("flv"),
        rtmp_url: url("rtmp"),
        face_beauty: channel.face_beauty.clone(),
        play_status: channel.playing.into(),
        position_ms: time_ms(channel.position_ms),
    }
}

fn episode((episode, status): (Episode, EpisodeStatus)) -> pb::Episode {
    let switch = match &episode.content {
        EpisodeContent::Resource { switch, .. } => switch.as_str(),
        EpisodeContent::Component => "",
    };
    pb::Episode {
        episode_id: episode.id.to_string(),
        episode_type: episode.type_name().to_owned(),
        resource_id: episode.resource().map(ToString::to_string).unwrap_or_default(),
        component_ids: episode.components.iter().map(ToString::to_string).collect(),
        start_time_unix_ms: Some(time_ms(episode.start_unix_ms)),
        end_time_unix_ms: Some(time_ms(episode.end_unix_ms)),
        switch_type: switch.to_owned(),
        status: status as i32,
        episode_name: episode.name,
    }
}
