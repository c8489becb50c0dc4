//! Parameters of the rundown, of episode groups and of timed events.
//!
//! Must not judge values. Invariant: an episode is read the same wherever it stands.

use super::Read;
use crate::api::openapi::params::Params;
use crate::catalog::{Call, EpisodeDraft, GroupDraft, GroupItemDraft, ProgramFilter};

pub(crate) fn add_episode(p: &Params) -> Read {
    Ok(Call::AddCasterEpisode { caster_id: p.text("CasterId"), episode: episode(p)? })
}

pub(crate) fn modify_episode(p: &Params) -> Read {
    Ok(Call::ModifyCasterEpisode { caster_id: p.text("CasterId"), episode: episode(p)? })
}

pub(crate) fn add_program(p: &Params) -> Read {
    Ok(Call::AddCasterProgram { caster_id: p.text("CasterId"), episodes: episodes(p)? })
}

pub(crate) fn modify_program(p: &Params) -> Read {
    Ok(Call::ModifyCasterProgram { caster_id: p.text("CasterId"), episodes: episodes(p)? })
}

fn episodes(p: &Params) -> Read<Vec<EpisodeDraft>> {
    p.items("Episode")?.iter().map(episode).collect()
}

fn episode(p: &Params) -> Read<EpisodeDraft> {
    Ok(EpisodeDraft {
        episode_id: p.text("EpisodeId"),
        episode_type: p.text("EpisodeType"),
        episode_name: p.text("EpisodeName"),
        resource_id: p.text("ResourceId"),
        component_ids: p.texts("ComponentId")?,
        start_time_unix_ms: p.time_ms("StartTime")?,
        end_time_unix_ms: p.time_ms("EndTime")?,
        switch_type: p.text("SwitchType"),
    })
}

pub(crate) fn describe_program(p: &Params) -> Read {
    Ok(Call::DescribeCasterProgram(ProgramFilter {
        caster_id: p.text("CasterId"),
        episode_id: p.text("EpisodeId"),
        episode_type: p.text("EpisodeType"),
        start_time_unix_ms: p.time_ms("StartTime")?,
        end_time_unix_ms: p.time_ms("EndTime")?,
        status: p.number("Status")?,
        page_num: p.number("PageNum")?,
        page_size: p.number("PageSize")?,
    }))
}

pub(crate) fn add_group(p: &Params) -> Read {
    group(p.text("ClientToken"), p).map(Call::AddCasterEpisodeGroup)
}

pub(crate) fn add_group_content(p: &Params) -> Read {
    let content = p.json("Content")?.unwrap_or_default();
    group(p.text("ClientToken"), &content).map(Call::AddCasterEpisodeGroup)
}

fn group(client_token: String, p: &Params) -> Read<GroupDraft> {
    let item = |item: Params| GroupItemDraft {
        item_name: item.text("ItemName"),
        vod_url: item.text("VodUrl"),
    };
    Ok(GroupDraft {
        client_token,
        domain_name: p.text("DomainName"),
        start_time_unix_ms: p.time_ms("StartTime")?,
        repeat_num: p.number("RepeatNum")?,
        side_output_url: p.text("SideOutputUrl"),
        callback_url: p.text("CallbackUrl"),
        items: p.items(p.list_name(&["Item", "Items"]))?.into_iter().map(item).collect(),
    })
}

pub(crate) fn set_timed_event(p: &Params) -> Read {
    Ok(Call::SetCasterTimedEvent {
        caster_id: p.text("CasterId"),
        event_name: p.text("EventName"),
        start_time_unix_ms: p.time_ms("StartTimeUTC")?,
    })
}
