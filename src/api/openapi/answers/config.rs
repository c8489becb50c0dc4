//! `DescribeCasterConfig`: the studio as it was set.
//!
//! Must not know envelopes. Invariant: what `SetCasterConfig` reads and is configured stands here.

use serde_json::{Value, json};

use super::{Rendered, foreign, list, present};
use crate::api::addresses::Addresses;
use crate::catalog::{Answer, CasterConfig, RecordConfig, RecordFormat, SyncGroup, SyncMode};

pub(crate) fn config(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Caster(caster) = answer else { return Err(foreign()) };
    let config = &caster.config;
    let standby = &config.standby;
    let urls: Vec<&str> = config.relays.iter().map(|relay| relay.url.as_str()).collect();
    let relays = if urls.is_empty() { Value::Null } else { json!(json!(urls).to_string()) };
    let auto_switch =
        config.auto_standby_ms.map(|ms| json!({ "eofThres": seconds(ms) }).to_string());
    Ok(present(json!({
        "CasterId": caster.id.as_str(),
        "CasterName": config.name,
        "DomainName": config.domain,
        "TranscodeConfig": transcode(config),
        "RecordConfig": config.record.as_ref().map(record),
        "Delay": seconds(config.delay_ms),
        "UrgentLiveStreamUrl": standby.live_url,
        "UrgentMaterialId": standby.material.as_ref().map(|id| id.as_str()),
        "UrgentImageId": standby.image.as_ref().map(|id| id.as_str()),
        "UrgentImageUrl": standby.image_url,
        // The typed SDKs expect a text.
        "AutoSwitchUrgentOn": config.auto_standby_ms.is_some().to_string(),
        "AutoSwitchUrgentConfig": auto_switch,
        "SideOutputUrl": config.side_output,
        "SideOutputUrlList": relays,
        "CallbackUrl": config.callback_url,
        "ChannelEnable": i32::from(config.channel_enable),
        "ProgramName": config.program_name,
        "ProgramEffect": i32::from(config.program_effect),
        "SyncGroupsConfig": match &config.sync_groups[..] {
            [] => Value::Null,
            groups => list("SyncGroup", groups.iter().map(sync_group)),
        },
    })))
}

/// A number with a fraction, as the typed SDKs expect it.
fn seconds(ms: u32) -> Value {
    (f64::from(ms) / 1000.0).into()
}

fn transcode(config: &CasterConfig) -> Value {
    let templates = config.renditions.iter().map(|rendition| rendition.as_str().into());
    let (width, height) = config.template.map(|template| template.size_px()).unzip();
    let video = present(json!({
        "width": width,
        "height": height,
        "fps": (config.rate.num() + config.rate.den() / 2) / config.rate.den(),
        "bitrate": config.encoder.video_bps.map(|bps| bps / 1000),
    }));
    present(json!({
        "CasterTemplate": config.template.map(|t| t.as_str()),
        "LiveTemplateIds": match config.renditions.is_empty() {
            true => Value::Null,
            false => list("LocationId", templates),
        },
        "CustomParams": config.template.map(|_| json!({ "video": video })),
        "FrameRate": config.rate.to_string(),
        "X264Preset": config.encoder.preset.map(|p| p.as_str()),
        "VideoBps": config.encoder.video_bps,
    }))
}

fn record(record: &RecordConfig) -> Value {
    let format = |format: &RecordFormat| {
        present(json!({
            "Format": format.kind.as_str(),
            "CycleDuration": format.cycle_s,
            "OssObjectPrefix": format.prefix,
            "SliceOssObjectPrefix": format.slice_prefix,
        }))
    };
    present(json!({
        "OnDemand": record.on_demand,
        "OssEndpoint": record.endpoint,
        "OssBucket": record.bucket,
        "RecordFormat": list("RecordFormat", record.formats.iter().map(format)),
    }))
}

fn sync_group(group: &SyncGroup) -> Value {
    let (mode, host) = match &group.mode {
        SyncMode::Streamer { host } => (0, Some(host.as_str())),
        SyncMode::Conference => (1, None),
    };
    let members = group.resources.iter().map(|id| id.as_str().into());
    present(json!({
        "Mode": mode,
        "HostResourceId": host,
        "ResourceIds": list("ResourceId", members),
    }))
}

pub(crate) fn sync_groups(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Caster(caster) = answer else { return Err(foreign()) };
    let groups = caster.config.sync_groups.iter().map(sync_group);
    Ok(json!({ "CasterId": caster.id.as_str(), "SyncGroups": list("SyncGroup", groups) }))
}
