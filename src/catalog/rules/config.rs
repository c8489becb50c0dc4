//! Rules of a caster's configuration.
//!
//! Must not know scenes. Invariant: what is configured can be carried out, or the whole configuration is refused.

use std::time::Duration;

use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    Caster, CasterConfig, EncoderConfig, RecordConfig, RecordFormat, RecordKind, Relay, Rendition,
    Source, Standby, SyncGroup, SyncMode, Template, X264Preset,
};
use super::super::{
    ConfigDraft, Context, DetectorDraft, RecordDraft, RecordFormatDraft, Subject, SyncGroupDraft,
};
use super::{Edit, Edited, check};
use crate::ids::ResourceId;
use crate::limits;
use crate::record_name::{BadRecordName, RecordName};
use crate::source::{Detectors, Fault};
use crate::time::FrameRate;

/// `OnDemand` of what is recorded from start to stop, when `CallbackUrl` says so, and when it is asked for.
const ON_DEMAND: [i32; 3] = [0, 1, 7];
/// Interruption after which standby is shown by itself unless the call says otherwise, s.
const DEFAULT_EOF_THRES_S: f32 = 3.0;

/// Nothing but a name.
pub(super) fn unset(name: String) -> CasterConfig {
    CasterConfig {
        name,
        domain: None,
        template: None,
        rate: FrameRate::FPS_30,
        relays: Vec::new(),
        encoder: EncoderConfig::default(),
        renditions: Vec::new(),
        record: None,
        delay_ms: 0,
        standby: Standby::default(),
        auto_standby_ms: None,
        auto_return_ms: None,
        detectors: Detectors::default(),
        callback_url: None,
        side_output: None,
        channel_enable: false,
        program_name: String::new(),
        program_effect: false,
        sync_groups: Vec::new(),
    }
}

pub(super) fn set(caster: &mut Caster, draft: &ConfigDraft, ctx: &Context<'_>) -> Edit {
    let mut config = parse(draft, ctx)?;
    config.relays = relays(draft, &caster.config.relays, &config.renditions)?;
    if config.name.is_empty() {
        config.name.clone_from(&caster.config.name);
    }
    config.sync_groups = sync_groups(caster, &draft.sync_groups)?;
    let asks = |record: &RecordConfig| record.on_demand == RecordConfig::BY_CALLBACK;
    if config.record.as_ref().is_some_and(asks) && config.callback_url.is_none() {
        let message = "OnDemand 1 needs a CallbackUrl, which is asked whether to record.";
        return Err(check::malformed(message));
    }
    let before = &caster.config;
    if before.channel_enable && !config.channel_enable {
        return Err(ErrorCode::ChannelDisableUnsupported.into());
    }
    if caster.is_on_air() {
        let kept = config.domain.is_some() && config.template.is_some();
        if !kept || config.channel_enable != before.channel_enable {
            let message = "Caster is in use: DomainName and CasterTemplate cannot be cleared, and \
                           channels not enabled, before it is stopped.";
            return Err(Refused::new(ErrorCode::CasterInUse, message));
        }
        let on_standby = caster.scenes.as_ref().is_some_and(|scenes| scenes.on_standby);
        if on_standby && config.standby.source().is_none() {
            return Err(Refused::new(ErrorCode::SceneInUse, "PGM shows standby."));
        }
    }
    if config.channel_enable && !before.channel_enable {
        // They named locations; from now on layouts name channels.
        caster.layouts.clear();
    }
    if config.record != before.record {
        caster.record_answered = None;
    }
    caster.config = config;
    Ok(Edited::of(Subject::Caster))
}

fn parse(draft: &ConfigDraft, ctx: &Context<'_>) -> Result<CasterConfig, Refused> {
    let template = Template::parse(&draft.caster_template);
    if template.is_none() && !draft.caster_template.is_empty() {
        let text = &draft.caster_template;
        return Err(check::malformed(format!("CasterTemplate {text:?} is not available.")));
    }
    let size_px = template.map(|template| <[u32; 2]>::from(template.size_px()));
    let differs = |size_px: [u32; 2]| {
        let mut asked = draft.custom_size_px.iter().zip(size_px);
        asked.any(|(asked, px)| asked.is_some_and(|asked| asked != px))
    };
    if size_px.is_some_and(differs) {
        return Err(check::malformed(
            "CustomParams cannot ask for another size than CasterTemplate.",
        ));
    }
    let rate = match &draft.frame_rate[..] {
        "" => FrameRate::FPS_30,
        text => text.parse().map_err(check::malformed)?,
    };
    Ok(CasterConfig {
        name: check::name("CasterName", &draft.caster_name)?,
        domain: domain(&draft.domain_name)?,
        template,
        rate,
        relays: Vec::new(),
        encoder: encoder(draft)?,
        renditions: renditions(&draft.live_templates, template)?,
        record: draft.record.as_ref().map(record).transpose()?,
        delay_ms: delay_ms(draft.delay_s)?,
        standby: standby(draft, ctx)?,
        auto_standby_ms: auto_standby_ms(draft)?,
        auto_return_ms: auto_return_ms(draft)?,
        detectors: detectors(&draft.detectors)?,
        callback_url: optional_url("CallbackUrl", &draft.callback_url, &["http", "https"])?,
        side_output: optional_url("SideOutputUrl", &draft.side_output_url, check::RELAY_SCHEMES)?,
        channel_enable: check::flag("ChannelEnable", draft.channel_enable)? == Some(true),
        program_name: check::name("ProgramName", &draft.program_name)?,
        program_effect: check::flag("ProgramEffect", draft.program_effect)? == Some(true),
        sync_groups: Vec::new(),
    })
}

fn optional_url(field: &str, text: &str, schemes: &[&str]) -> Result<Option<String>, Refused> {
    if text.is_empty() { Ok(None) } else { check::url(field, text, schemes).map(Some) }
}

/// The destinations of a call; `before` are those that there were.
fn relays(
    draft: &ConfigDraft,
    before: &[Relay],
    renditions: &[Rendition],
) -> Result<Vec<Relay>, Refused> {
    let mut relays: Vec<Relay> = Vec::new();
    for url in &draft.side_output_urls {
        let url = check::url("SideOutputUrlList", url, check::RELAY_SCHEMES)?;
        let known = before.iter().find(|relay| relay.url == url && draft.relays.is_none());
        let mut relay = known.cloned().unwrap_or_else(|| Relay::plain(url));
        // The call may have taken its rendition away.
        relay.rendition = relay.rendition.filter(|rendition| renditions.contains(rendition));
        relays.push(relay);
    }
    for draft in draft.relays.iter().flatten() {
        let rendition = match &draft.rendition[..] {
            "" => None,
            text => {
                Some(Rendition::parse(text).filter(|found| renditions.contains(found)).ok_or_else(
                    || {
                        check::malformed(format!(
                            "The caster has no rendition {text:?} for a relay."
                        ))
                    },
                )?)
            }
        };
        relays.push(Relay {
            url: check::url("Relays.Url", &draft.url, check::RELAY_SCHEMES)?,
            name: check::name("Relays.Name", &draft.name)?,
            rendition,
            enabled: draft.enabled.unwrap_or(true),
        });
    }
    if relays.len() > limits::MAX_RELAYS {
        let max = limits::MAX_RELAYS;
        return Err(check::malformed(format!("SideOutputUrlList has more than {max} elements.")));
    }
    let repeated = |(index, relay): (usize, &Relay)| {
        relays[..index].iter().any(|other| other.url == relay.url)
    };
    if relays.iter().enumerate().any(repeated) {
        return Err(check::malformed("SideOutputUrlList names a URL twice."));
    }
    Ok(relays)
}

fn encoder(draft: &ConfigDraft) -> Result<EncoderConfig, Refused> {
    let preset = match &draft.x264_preset[..] {
        "" => None,
        text => Some(check::word("X264Preset", text, X264Preset::parse, X264Preset::Medium)?),
    };
    let bps = limits::MIN_VIDEO_BPS..=limits::MAX_VIDEO_BPS;
    if draft.video_bps.is_some_and(|v| !bps.contains(&v)) {
        let (min, max) = bps.into_inner();
        return Err(check::malformed(format!("VideoBps must be from {min} to {max}.")));
    }
    Ok(EncoderConfig { preset, video_bps: draft.video_bps })
}

/// Each once; none that would be larger than the output.
fn renditions(texts: &[String], template: Option<Template>) -> Result<Vec<Rendition>, Refused> {
    let mut renditions: Vec<Rendition> = Vec::new();
    for text in texts {
        let rendition = Rendition::parse(text)
            .ok_or_else(|| check::malformed(format!("LiveTemplate {text:?} is not available.")))?;
        let too_large = rendition
            .fixed_short_side_px()
            .zip(template)
            .is_some_and(|(px, template)| px > template.size_px().0.min(template.size_px().1));
        if too_large {
            return Err(check::malformed(format!(
                "LiveTemplate {text} is larger than the output."
            )));
        }
        if !renditions.contains(&rendition) {
            renditions.push(rendition);
        }
    }
    Ok(renditions)
}

fn delay_ms(delay_s: Option<f32>) -> Result<u32, Refused> {
    let delay_s = check::number("Delay", delay_s.unwrap_or(0.0), (0.0, limits::MAX_DELAY_S))?;
    Ok(ms(delay_s))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "callers have checked the range"
)]
fn ms(seconds: f32) -> u32 {
    (seconds * 1000.0).round() as u32
}

fn auto_standby_ms(draft: &ConfigDraft) -> Result<Option<u32>, Refused> {
    let after_s = draft.auto_switch_after_s.unwrap_or(DEFAULT_EOF_THRES_S);
    let after_s = check::number("eofThres", after_s, limits::AUTO_STANDBY_S)?;
    Ok(draft.auto_switch_urgent_on.then(|| ms(after_s)))
}

fn auto_return_ms(draft: &ConfigDraft) -> Result<Option<u32>, Refused> {
    let check = |after_s| check::number("AutoReturnAfterS", after_s, limits::AUTO_RETURN_S);
    Ok(draft.auto_return_after_s.map(check).transpose()?.map(ms))
}

fn detectors(drafts: &[DetectorDraft]) -> Result<Detectors, Refused> {
    let mut detectors = Detectors::default();
    let mut given = Vec::new();
    for draft in drafts {
        let Some(fault) = Fault::parse(&draft.fault).filter(|fault| !given.contains(fault)) else {
            let message =
                format!("Detectors name {:?}, which is unknown or named twice.", draft.fault);
            return Err(check::malformed(message));
        };
        given.push(fault);
        let mut detector = detectors.of(fault);
        if let Some(after_s) = draft.after_s {
            let after_s = check::number("AfterS", after_s, limits::DETECTOR_S)?;
            detector.after = Duration::from_millis(ms(after_s).into());
        }
        detector.brings_standby = draft.standby.unwrap_or(detector.brings_standby);
        detectors.set(fault, detector);
    }
    Ok(detectors)
}

fn standby(draft: &ConfigDraft, ctx: &Context<'_>) -> Result<Standby, Refused> {
    let material = |field, text: &str, is_kind| match text {
        "" => Ok(None),
        text => check::material(field, text, is_kind, ctx).map(Some),
    };
    Ok(Standby {
        live_url: optional_url(
            "UrgentLiveStreamUrl",
            &draft.urgent_live_stream_url,
            check::LIVE_SCHEMES,
        )?,
        material: material("UrgentMaterialId", &draft.urgent_material_id, check::is_video)?,
        image: material("UrgentImageId", &draft.urgent_image_id, check::is_image)?,
        image_url: optional_url("UrgentImageUrl", &draft.urgent_image_url, check::IMAGE_SCHEMES)?,
    })
}

fn record(draft: &RecordDraft) -> Result<RecordConfig, Refused> {
    if draft.formats.is_empty() {
        return Err(check::malformed("RecordConfig names no format: flv, mp4 or m3u8."));
    }
    let on_demand = draft.on_demand.unwrap_or(0);
    if !ON_DEMAND.contains(&on_demand) {
        let why = match on_demand {
            2 => ": PGM is not pushed, so that no parameters of a push could say it",
            _ => "",
        };
        let message = format!("OnDemand {on_demand} is not available{why}; only 0, 1 and 7 are.");
        return Err(check::malformed(message));
    }
    let mut formats: Vec<RecordFormat> = Vec::new();
    for format in draft.formats.iter().map(record_format) {
        let format = format?;
        if formats.iter().any(|other| other.kind == format.kind) {
            return Err(check::malformed("RecordConfig names a format twice."));
        }
        formats.push(format);
    }
    Ok(RecordConfig {
        endpoint: check::name("OssEndpoint", &draft.oss_endpoint)?,
        bucket: check::name("OssBucket", &draft.oss_bucket)?,
        on_demand: u8::try_from(on_demand).unwrap_or_default(),
        formats,
    })
}

fn record_format(draft: &RecordFormatDraft) -> Result<RecordFormat, Refused> {
    let format = draft.format.to_ascii_lowercase();
    let cycle_s = draft.cycle_duration_s.unwrap_or(RecordFormat::CYCLE_S.cast_signed());
    if cycle_s < 1 {
        return Err(check::malformed("CycleDuration must be 1 s or more."));
    }
    let Some(kind) = RecordKind::parse(&format) else {
        return Err(check::malformed(format!("Format {format:?} is not flv, mp4 or m3u8.")));
    };
    Ok(RecordFormat {
        kind,
        cycle_s: check::integer("CycleDuration", cycle_s, limits::MAX_RECORD_CYCLE_S)?,
        prefix: file_name("OssObjectPrefix", &draft.oss_object_prefix, RecordName::parse)?,
        slice_prefix: file_name(
            "SliceOssObjectPrefix",
            &draft.slice_oss_object_prefix,
            RecordName::parse_slice,
        )?,
    })
}

/// The template of a name that stays in its directory; empty for the usual one.
fn file_name(
    field: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<RecordName, BadRecordName>,
) -> Result<String, Refused> {
    if !text.is_empty() {
        parse(text).map_err(|error| check::malformed(format!("{field} {text:?}: {error}.")))?;
    }
    Ok(text.to_owned())
}

/// The groups of a call, whose members are live sources of the caster, in one group each.
pub(super) fn sync_groups(
    caster: &Caster,
    drafts: &[SyncGroupDraft],
) -> Result<Vec<SyncGroup>, Refused> {
    if drafts.len() > limits::MAX_SYNC_GROUPS {
        let max = limits::MAX_SYNC_GROUPS;
        return Err(check::malformed(format!("There are more than {max} sync groups.")));
    }
    let mut taken: Vec<ResourceId> = Vec::new();
    let mut groups = Vec::new();
    for draft in drafts {
        let host = match (draft.mode.unwrap_or(0), &draft.host_resource_id[..]) {
            (0, "") => return Err(check::missing("HostResourceId")),
            (0, host) => Some(host),
            (1, "") => None,
            (1, _) => return Err(check::malformed("HostResourceId is for mode 0 only.")),
            _ => return Err(check::malformed("The mode of a sync group can only be 0 or 1.")),
        };
        let mut resources: Vec<ResourceId> = Vec::new();
        for id in host.into_iter().chain(draft.resource_ids.iter().map(String::as_str)) {
            let id = live_resource(caster, id)?;
            if !resources.contains(&id) {
                resources.push(id);
            }
        }
        if resources.len() < 2 || resources.iter().any(|id| taken.contains(id)) {
            let message =
                "A sync group has two members or more, and a source is in one group only.";
            return Err(check::malformed(message));
        }
        taken.extend(resources.iter().cloned());
        let mode = match host {
            Some(_) => SyncMode::Streamer { host: resources[0].clone() },
            None => SyncMode::Conference,
        };
        groups.push(SyncGroup { mode, resources });
    }
    Ok(groups)
}

fn live_resource(caster: &Caster, text: &str) -> Result<ResourceId, Refused> {
    let id = check::resource_id(text)?;
    let resource = caster.resource(&id).ok_or(ErrorCode::ResourceNotFound)?;
    match resource.configured() {
        Source::Live { .. } => Ok(id),
        _ => Err(check::malformed("The members of a sync group are live sources.")),
    }
}

pub(super) fn set_sync_groups(caster: &mut Caster, drafts: &[SyncGroupDraft]) -> Edit {
    caster.config.sync_groups = sync_groups(caster, drafts)?;
    Ok(Edited::of(Subject::Caster))
}

/// A host name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn domain(text: &str) -> Result<Option<String>, Refused> {
    let is_label =
        |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_name = text.len() <= 253 && text.split('.').all(is_label);
    let is_ipv6 = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .is_some_and(|t| t.parse::<std::net::Ipv6Addr>().is_ok());
    match text {
        "" => Ok(None),
        _ if is_name || is_ipv6 => Ok(Some(text.to_owned())),
        _ => Err(check::malformed("DomainName must be a host name or an IP address.")),
    }
}
