//! `SetCasterConfig`: a parameter for each part of the studio, the larger ones as JSON in all the shapes that the API's
//! documents have shown over the years.
//!
//! Must not judge values. Invariant: a shape that is not known is refused by name, or by the catalog as incomplete.

use super::Read;
use crate::api::openapi::params::Params;
use crate::catalog::{Call, ConfigDraft, RecordDraft, RecordFormatDraft, SyncGroupDraft};

pub(crate) fn set_config(p: &Params) -> Read {
    let transcode = p.json("TranscodeConfig")?.unwrap_or_default();
    let auto_switch = p.json("AutoSwitchUrgentConfig")?.unwrap_or_default();
    Ok(Call::SetCasterConfig {
        caster_id: p.text("CasterId"),
        config: ConfigDraft {
            caster_name: p.text("CasterName"),
            domain_name: p.text("DomainName"),
            caster_template: transcode.text("CasterTemplate"),
            frame_rate: either(&transcode, ["FrameRate", "CustomParams.Video.Fps"]),
            side_output_urls: p.json_texts("SideOutputUrlList")?,
            // It has no word for the rest of a relay.
            relays: None,
            x264_preset: transcode.text("X264Preset"),
            video_bps: video_bps(&transcode)?,
            custom_size_px: [
                transcode.number("CustomParams.Video.Width")?,
                transcode.number("CustomParams.Video.Height")?,
            ],
            live_templates: live_templates(&transcode)?,
            record: p.json("RecordConfig")?.map(record).transpose()?.flatten(),
            delay_s: p.number("Delay")?,
            urgent_material_id: p.text("UrgentMaterialId"),
            urgent_live_stream_url: p.text("UrgentLiveStreamUrl"),
            urgent_image_id: p.text("UrgentImageId"),
            urgent_image_url: p.text("UrgentImageUrl"),
            auto_switch_urgent_on: p.flag("AutoSwitchUrgentOn")?.unwrap_or(false),
            auto_switch_after_s: auto_switch.number("EofThres")?,
            callback_url: p.text("CallbackUrl"),
            side_output_url: p.text("SideOutputUrl"),
            channel_enable: p.number("ChannelEnable")?,
            program_name: p.text("ProgramName"),
            program_effect: p.number("ProgramEffect")?,
            sync_groups: sync_groups_config(p)?,
        },
    })
}

/// `"LiveTemplate":["lld"]`, `"LiveTemplateIds":{"LocationId":["lld"]}`, or one alone without its brackets.
fn live_templates(transcode: &Params) -> Read<Vec<String>> {
    const SPELLINGS: [&str; 3] = ["LiveTemplate", "LiveTemplateIds.LocationId", "LiveTemplateIds"];
    match SPELLINGS.iter().find_map(|name| transcode.get(name)) {
        Some("") => Ok(Vec::new()),
        Some(alone) => Ok(vec![alone.to_owned()]),
        None => transcode.texts(transcode.list_name(&SPELLINGS)),
    }
}

/// In bit/s, or as `CustomParams` have it, in kbit/s.
fn video_bps(transcode: &Params) -> Read<Option<u32>> {
    let kbps: Option<u32> = transcode.number("CustomParams.Video.Bitrate")?;
    Ok(transcode.number("VideoBps")?.or(kbps.map(|kbps| kbps.saturating_mul(1000))))
}

/// The one under the first name, or else that under the second.
fn either(p: &Params, names: [&str; 2]) -> String {
    match p.text(names[0]) {
        text if text.is_empty() => p.text(names[1]),
        text => text,
    }
}

/// None when it is empty: nothing is recorded. An `interval` beside the formats is of no known unit and not read; one
/// inside a format is its `CycleDuration`.
fn record(p: Params) -> Read<Option<RecordDraft>> {
    if p.iter().next().is_none() {
        return Ok(None);
    }
    let format = |format: Params| -> Read<RecordFormatDraft> {
        let cycle_duration_s = format.number("CycleDuration")?;
        Ok(RecordFormatDraft {
            format: format.text("Format"),
            cycle_duration_s: cycle_duration_s.or(format.number("Interval")?),
            oss_object_prefix: either(&format, ["OssObjectPrefix", "Prefix"]),
            slice_oss_object_prefix: either(&format, ["SliceOssObjectPrefix", "SlicePrefix"]),
        })
    };
    let formats = p.list_name(&["VideoFormat", "RecordFormat.RecordFormat", "RecordFormat"]);
    Ok(Some(RecordDraft {
        oss_endpoint: either(&p, ["OssEndpoint", "Endpoint"]),
        oss_bucket: p.text("OssBucket"),
        on_demand: p.number("OnDemand")?,
        formats: p.items(formats)?.into_iter().map(format).collect::<Read<_>>()?,
    }))
}

/// A list, or what `DescribeCasterConfig` answers.
fn sync_groups_config(p: &Params) -> Read<Vec<SyncGroupDraft>> {
    let Some(config) = p.json("SyncGroupsConfig")? else { return Ok(Vec::new()) };
    sync_groups(config.items(config.list_name(&["", "SyncGroup"]))?)
}

fn sync_groups(items: Vec<Params>) -> Read<Vec<SyncGroupDraft>> {
    let group = |group: Params| -> Read<SyncGroupDraft> {
        Ok(SyncGroupDraft {
            mode: group.number("Mode")?,
            host_resource_id: group.text("HostResourceId"),
            resource_ids: group
                .texts(group.list_name(&["ResourceIds", "ResourceIds.ResourceId"]))?,
        })
    };
    items.into_iter().map(group).collect()
}

pub(crate) fn set_sync_group(p: &Params) -> Read {
    Ok(Call::SetCasterSyncGroup {
        caster_id: p.text("CasterId"),
        sync_groups: sync_groups(p.items("SyncGroup")?)?,
    })
}
