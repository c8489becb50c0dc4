//! Requests of channels, the rundown and episode groups.
//!
//! Must not judge values. Invariant: no field is dropped.

use super::pb;
use crate::catalog::{Call, ChannelDraft, EpisodeDraft, GroupDraft, GroupItemDraft, ProgramFilter};

calls! {
    SetCasterChannelRequest as r => Call::SetCasterChannel(ChannelDraft {
        caster_id: r.caster_id,
        channel_id: r.channel_id,
        resource_id: r.resource_id,
        seek_offset_ms: r.seek_offset,
        play_status: r.play_status,
        face_beauty: r.face_beauty,
    });
    DescribeCasterChannelsRequest as r => Call::DescribeCasterChannels { caster_id: r.caster_id };
    AddCasterEpisodeRequest as r => Call::AddCasterEpisode {
        caster_id: r.caster_id,
        episode: episode(r.episode.unwrap_or_default()),
    };
    ModifyCasterEpisodeRequest as r => Call::ModifyCasterEpisode {
        caster_id: r.caster_id,
        episode: EpisodeDraft {
            episode_id: r.episode_id,
            ..episode(r.episode.unwrap_or_default())
        },
    };
    DeleteCasterEpisodeRequest as r => Call::DeleteCasterEpisode {
        caster_id: r.caster_id,
        episode_id: r.episode_id,
    };
    AddCasterProgramRequest as r => Call::AddCasterProgram {
        caster_id: r.caster_id,
        episodes: r.episodes.into_iter().map(episode).collect(),
    };
    ModifyCasterProgramRequest as r => Call::ModifyCasterProgram {
        caster_id: r.caster_id,
        episodes: r.episodes.into_iter().map(episode).collect(),
    };
    DeleteCasterProgramRequest as r => Call::DeleteCasterProgram { caster_id: r.caster_id };
    DescribeCasterProgramRequest as r => Call::DescribeCasterProgram(ProgramFilter {
        caster_id: r.caster_id,
        episode_id: r.episode_id,
        episode_type: r.episode_type,
        start_time_unix_ms: r.start_time_unix_ms,
        end_time_unix_ms: r.end_time_unix_ms,
        status: r.status,
        page_num: r.page_num,
        page_size: r.page_size,
    });
    AddCasterEpisodeGroupRequest as r => {
        Call::AddCasterEpisodeGroup(group(r.client_token, r.episode_group.unwrap_or_default()))
    };
    AddCasterEpisodeGroupContentRequest as r => {
        Call::AddCasterEpisodeGroup(group(r.client_token, r.content.unwrap_or_default()))
    };
    DeleteCasterEpisodeGroupRequest as r => Call::DeleteCasterEpisodeGroup {
        program_id: r.program_id,
    };
}

fn episode(m: pb::Episode) -> EpisodeDraft {
    EpisodeDraft {
        episode_id: m.episode_id,
        episode_type: m.episode_type,
        episode_name: m.episode_name,
        resource_id: m.resource_id,
        component_ids: m.component_ids,
        start_time_unix_ms: m.start_time_unix_ms,
        end_time_unix_ms: m.end_time_unix_ms,
        switch_type: m.switch_type,
    }
}

fn group(client_token: String, m: pb::EpisodeGroup) -> GroupDraft {
    let item = |item: pb::EpisodeGroupItem| GroupItemDraft {
        item_name: item.item_name,
        vod_url: item.vod_url,
    };
    GroupDraft {
        client_token,
        domain_name: m.domain_name,
        start_time_unix_ms: m.start_time_unix_ms,
        repeat_num: Some(m.repeat_num),
        side_output_url: m.side_output_url,
        callback_url: m.callback_url,
        items: m.items.into_iter().map(item).collect(),
    }
}
