//! The form of a caster's configuration on disk, as far as it came later.
//!
//! Must not know SQL. Invariant: a row without these fields is a caster without these settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{all, parse};
use crate::catalog::{
    CasterConfig, EncoderConfig, RecordConfig, RecordFormat, RecordKind, Relay, Rendition, Standby,
    SyncGroup, SyncMode,
};
use crate::ids::{MaterialId, ResourceId};
use crate::source::{Detector, Detectors, Fault};
use crate::time::FrameRate;

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct ConfigRow {
    renditions: Vec<String>,
    record: Option<RecordRow>,
    delay_ms: u32,
    standby: StandbyRow,
    auto_standby_ms: Option<u32>,
    auto_return_ms: Option<u32>,
    /// What is not as usual.
    detectors: Vec<DetectorRow>,
    callback_url: Option<String>,
    side_output: Option<String>,
    channel_enable: bool,
    program_name: String,
    program_effect: bool,
    sync_groups: Vec<SyncGroupRow>,
    relays: Vec<RelayRow>,
}

/// What a destination has besides its URL, which stands in the caster's row.
#[derive(Serialize, Deserialize)]
struct RelayRow {
    url: String,
    name: String,
    rendition: Option<String>,
    enabled: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RecordRow {
    endpoint: String,
    bucket: String,
    on_demand: u8,
    formats: Vec<RecordFormatRow>,
}

#[derive(Serialize, Deserialize)]
struct RecordFormatRow {
    kind: String,
    cycle_s: u32,
    prefix: String,
    slice_prefix: String,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct StandbyRow {
    live_url: Option<String>,
    material: Option<String>,
    image: Option<String>,
    image_url: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct DetectorRow {
    fault: String,
    after_ms: u64,
    standby: bool,
}

#[derive(Serialize, Deserialize)]
struct SyncGroupRow {
    /// None in conference mode.
    host: Option<String>,
    resources: Vec<String>,
}

pub(super) fn encode(config: &CasterConfig) -> ConfigRow {
    let standby = &config.standby;
    ConfigRow {
        renditions: config.renditions.iter().map(|r| r.as_str().to_owned()).collect(),
        record: config.record.as_ref().map(encode_record),
        delay_ms: config.delay_ms,
        standby: StandbyRow {
            live_url: standby.live_url.clone(),
            material: standby.material.as_ref().map(ToString::to_string),
            image: standby.image.as_ref().map(ToString::to_string),
            image_url: standby.image_url.clone(),
        },
        auto_standby_ms: config.auto_standby_ms,
        auto_return_ms: config.auto_return_ms,
        detectors: encode_detectors(&config.detectors),
        callback_url: config.callback_url.clone(),
        side_output: config.side_output.clone(),
        channel_enable: config.channel_enable,
        program_name: config.program_name.clone(),
        program_effect: config.program_effect,
        sync_groups: config.sync_groups.iter().map(encode_sync_group).collect(),
        relays: config.relays.iter().filter(|relay| !relay.is_plain()).map(encode_relay).collect(),
    }
}

fn encode_detectors(detectors: &Detectors) -> Vec<DetectorRow> {
    let row = |(fault, detector): (Fault, Detector)| DetectorRow {
        fault: fault.as_str().to_owned(),
        after_ms: u64::try_from(detector.after.as_millis()).unwrap_or(u64::MAX),
        standby: detector.brings_standby,
    };
    detectors.unusual().map(row).collect()
}

fn decode_detectors(rows: Vec<DetectorRow>) -> Result<Detectors, String> {
    let mut detectors = Detectors::default();
    for row in rows {
        let fault = parse("fault", &row.fault, Fault::parse)?;
        let after = Duration::from_millis(row.after_ms);
        detectors.set(fault, Detector { after, brings_standby: row.standby });
    }
    Ok(detectors)
}

fn encode_relay(relay: &Relay) -> RelayRow {
    RelayRow {
        url: relay.url.clone(),
        name: relay.name.clone(),
        rendition: relay.rendition.map(|rendition| rendition.as_str().to_owned()),
        enabled: relay.enabled,
    }
}

fn decode_relay(row: RelayRow) -> Result<Relay, String> {
    let rendition = row.rendition.map(|text| parse("rendition", &text, Rendition::parse));
    Ok(Relay {
        url: row.url,
        name: row.name,
        rendition: rendition.transpose()?,
        enabled: row.enabled,
    })
}

/// Destinations in order; those with more than a URL stand in `known`.
pub(super) fn relays(urls: Vec<String>, known: &[Relay]) -> Vec<Relay> {
    let relay = |url: String| {
        let known = known.iter().find(|relay| relay.url == url);
        known.cloned().unwrap_or_else(|| Relay::plain(url))
    };
    urls.into_iter().map(relay).collect()
}

pub(super) fn encode_record(record: &RecordConfig) -> RecordRow {
    let format = |format: &RecordFormat| RecordFormatRow {
        kind: format.kind.as_str().to_owned(),
        cycle_s: format.cycle_s,
        prefix: format.prefix.clone(),
        slice_prefix: format.slice_prefix.clone(),
    };
    RecordRow {
        endpoint: record.endpoint.clone(),
        bucket: record.bucket.clone(),
        on_demand: record.on_demand,
        formats: record.formats.iter().map(format).collect(),
    }
}

fn encode_sync_group(group: &SyncGroup) -> SyncGroupRow {
    SyncGroupRow {
        host: match &group.mode {
            SyncMode::Streamer { host } => Some(host.to_string()),
            SyncMode::Conference => None,
        },
        resources: group.resources.iter().map(ToString::to_string).collect(),
    }
}

/// A configuration with these settings; name, output and the plain destinations are set by the caller.
pub(super) fn decode(row: ConfigRow) -> Result<CasterConfig, String> {
    let material =
        |id: Option<String>| id.map(|id| parse("material", &id, MaterialId::parse)).transpose();
    Ok(CasterConfig {
        name: String::new(),
        domain: None,
        template: None,
        rate: FrameRate::FPS_30,
        relays: all(row.relays, decode_relay)?,
        encoder: EncoderConfig::default(),
        renditions: all(row.renditions, |text| parse("rendition", &text, Rendition::parse))?,
        record: row.record.map(decode_record).transpose()?,
        delay_ms: row.delay_ms,
        standby: Standby {
            live_url: row.standby.live_url,
            material: material(row.standby.material)?,
            image: material(row.standby.image)?,
            image_url: row.standby.image_url,
        },
        auto_standby_ms: row.auto_standby_ms,
        auto_return_ms: row.auto_return_ms,
        detectors: decode_detectors(row.detectors)?,
        callback_url: row.callback_url,
        side_output: row.side_output,
        channel_enable: row.channel_enable,
        program_name: row.program_name,
        program_effect: row.program_effect,
        sync_groups: all(row.sync_groups, decode_sync_group)?,
    })
}

pub(super) fn decode_record(row: RecordRow) -> Result<RecordConfig, String> {
    let format = |row: RecordFormatRow| {
        Ok::<RecordFormat, String>(RecordFormat {
            kind: parse("format", &row.kind, RecordKind::parse)?,
            cycle_s: row.cycle_s,
            prefix: row.prefix,
            slice_prefix: row.slice_prefix,
        })
    };
    Ok(RecordConfig {
        endpoint: row.endpoint,
        bucket: row.bucket,
        on_demand: row.on_demand,
        formats: all(row.formats, format)?,
    })
}

fn decode_sync_group(row: SyncGroupRow) -> Result<SyncGroup, String> {
    let id = |text: String| parse("resource", &text, ResourceId::parse);
    Ok(SyncGroup {
        mode: match row.host {
            Some(host) => SyncMode::Streamer { host: id(host)? },
            None => SyncMode::Conference,
        },
        resources: all(row.resources, id)?,
    })
}
