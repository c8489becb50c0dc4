//! Requests of the whole configuration, of sync groups and of timed events.
//!
//! Must not judge values. Invariant: no field is dropped.

use super::pb;
use crate::catalog::{
    Call, ConfigDraft, RecordDraft, RecordFormatDraft, RelayDraft, SyncGroupDraft,
};

calls! {
    SetCasterSyncGroupRequest as r => Call::SetCasterSyncGroup {
        caster_id: r.caster_id,
        sync_groups: r.sync_groups.into_iter().map(sync_group).collect(),
    };
    DescribeCasterSyncGroupRequest as r => Call::DescribeCasterSyncGroup { caster_id: r.caster_id };
    DescribeCasterRtcInfoRequest as r => Call::DescribeCasterRtcInfo { caster_id: r.caster_id };
    SetCasterTimedEventRequest as r => Call::SetCasterTimedEvent {
        caster_id: r.caster_id,
        event_name: r.event_name,
        start_time_unix_ms: r.start_time_unix_ms,
    };
}

pub(super) fn config(m: pb::CasterConfig) -> ConfigDraft {
    let transcode = m.transcode_config.unwrap_or_default();
    ConfigDraft {
        caster_name: m.caster_name,
        domain_name: m.domain_name,
        caster_template: transcode.caster_template,
        frame_rate: m.frame_rate,
        side_output_urls: m.side_output_urls,
        relays: Some(m.relays.into_iter().map(relay).collect()),
        x264_preset: transcode.x264_preset,
        video_bps: transcode.video_bps,
        custom_size_px: [None; 2],
        live_templates: transcode.live_templates,
        record: m.record_config.map(record),
        delay_s: Some(m.delay),
        urgent_material_id: m.urgent_material_id,
        urgent_live_stream_url: m.urgent_live_stream_url,
        urgent_image_id: m.urgent_image_id,
        urgent_image_url: m.urgent_image_url,
        auto_switch_urgent_on: m.auto_switch_urgent_on,
        auto_switch_after_s: m.auto_switch_after_s,
        callback_url: m.callback_url,
        side_output_url: m.side_output_url,
        channel_enable: Some(m.channel_enable.into()),
        program_name: m.program_name,
        program_effect: Some(m.program_effect.into()),
        sync_groups: m.sync_groups.into_iter().map(sync_group).collect(),
    }
}

fn relay(m: pb::Relay) -> RelayDraft {
    RelayDraft { url: m.url, name: m.name, rendition: m.rendition, enabled: m.enabled }
}

fn record(m: pb::RecordConfig) -> RecordDraft {
    let format = |format: pb::RecordFormat| RecordFormatDraft {
        format: format.format,
        cycle_duration_s: format.cycle_duration,
        oss_object_prefix: format.oss_object_prefix,
        slice_oss_object_prefix: format.slice_oss_object_prefix,
    };
    RecordDraft {
        oss_endpoint: m.oss_endpoint,
        oss_bucket: m.oss_bucket,
        on_demand: Some(m.on_demand),
        formats: m.record_formats.into_iter().map(format).collect(),
    }
}

fn sync_group(m: pb::SyncGroup) -> SyncGroupDraft {
    SyncGroupDraft {
        mode: Some(m.mode),
        host_resource_id: m.host_resource_id,
        resource_ids: m.resource_ids,
    }
}
