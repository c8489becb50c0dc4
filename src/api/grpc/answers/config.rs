//! Responses of the whole configuration, of sync groups and of timed events.
//!
//! Must not know how an answer came about. Invariant: what was stored is told in the API's own words.

use super::{Render, foreign, pb, small};
use crate::api::addresses::Addresses;
use crate::catalog::{
    Answer, Caster, RecordConfig, RecordFormat, Refused, Relay, SyncGroup, SyncMode,
};

writes! {
    SetCasterSyncGroupResponse, w, id => Self { revision: w.revision };
    SetCasterTimedEventResponse, w, id => Self { revision: w.revision };
}

reads! {
    DescribeCasterSyncGroupResponse, Answer::Caster(caster), addresses => Self {
        caster_id: caster.id.to_string(),
        sync_groups: caster.config.sync_groups.iter().map(sync_group).collect(),
        revision: caster.revision,
    };
    DescribeCasterRtcInfoResponse, Answer::Caster(caster), addresses => Self {
        caster_id: caster.id.to_string(),
        auth_token: addresses.watch_token(&caster.id),
        revision: caster.revision,
    };
}

#[expect(clippy::cast_precision_loss, reason = "at most 300 000 ms, see limits")]
fn seconds(ms: u32) -> f32 {
    ms as f32 / 1000.0
}

pub(super) fn config(caster: &Caster) -> pb::CasterConfig {
    let config = &caster.config;
    let standby = &config.standby;
    let (plain, others): (Vec<&Relay>, Vec<&Relay>) =
        config.relays.iter().partition(|relay| relay.is_plain());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let transcode = pb::TranscodeConfig {
        caster_template: config.template.map_or("", |t| t.as_str()).to_owned(),
        x264_preset: config.encoder.preset.map_or("", |p| p.as_str()).to_owned(),
        video_bps: config.encoder.video_bps,
        live_templates: config.renditions.iter().map(|r| r.as_str().to_owned()).collect(),
    };
    pb::CasterConfig {
        caster_name: config.name.clone(),
        domain_name: text(&config.domain),
        transcode_config: Some(transcode),
        side_output_urls: plain.iter().map(|relay| relay.url.clone()).collect(),
        relays: others.into_iter().map(relay).collect(),
        frame_rate: config.rate.to_string(),
        record_config: config.record.as_ref().map(record),
        delay: seconds(config.delay_ms),
        urgent_live_stream_url: text(&standby.live_url),
        urgent_material_id: standby.material.as_ref().map(ToString::to_string).unwrap_or_default(),
        urgent_image_id: standby.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        urgent_image_url: text(&standby.image_url),
        auto_switch_urgent_on: config.auto_standby_ms.is_some(),
        auto_switch_after_s: config.auto_standby_ms.map(seconds),
        callback_url: text(&config.callback_url),
        side_output_url: text(&config.side_output),
        channel_enable: config.channel_enable,
        program_name: config.program_name.clone(),
        program_effect: config.program_effect,
        sync_groups: config.sync_groups.iter().map(sync_group).collect(),
    }
}

fn relay(relay: &Relay) -> pb::Relay {
    pb::Relay {
        url: relay.url.clone(),
        name: relay.name.clone(),
        rendition: relay.rendition.map_or("", |rendition| rendition.as_str()).to_owned(),
        enabled: Some(relay.enabled),
    }
}

fn record(record: &RecordConfig) -> pb::RecordConfig {
    let format = |format: &RecordFormat| pb::RecordFormat {
        format: format.kind.as_str().to_owned(),
        cycle_duration: Some(small(format.cycle_s)),
        oss_object_prefix: format.prefix.clone(),
        slice_oss_object_prefix: format.slice_prefix.clone(),
    };
    pb::RecordConfig {
        oss_endpoint: record.endpoint.clone(),
        oss_bucket: record.bucket.clone(),
        on_demand: record.on_demand.into(),
        record_formats: record.formats.iter().map(format).collect(),
    }
}

fn sync_group(group: &SyncGroup) -> pb::SyncGroup {
    let (mode, host_resource_id) = match &group.mode {
        SyncMode::Streamer { host } => (0, host.to_string()),
        SyncMode::Conference => (1, String::new()),
    };
    pb::SyncGroup {
        mode,
        host_resource_id,
        resource_ids: group.resources.iter().map(ToString::to_string).collect(),
    }
}
