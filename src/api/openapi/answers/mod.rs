//! Answers → response objects, field by field, as §3.2 of the API's reference has them.
//!
//! Must not know envelopes. Invariants: each value has the type that the typed SDKs expect; a list stands in an object
//! under the name of its items; what is absent is left out.

use serde_json::{Map, Value, json};

use super::utc;
use crate::api::addresses::{Addresses, SceneUrls, StreamInfo, source_url};
use crate::catalog::{
    AnsMode, Answer, AudioFilter, AudioLayer, Caster, Component, ComponentContent, ErrorCode,
    Layout, Place, Placement, Play, Refused, Resource, Source, Status, Tag, Text,
};
use crate::ids::Bus;
use crate::time;

mod config;
mod rundown;

pub(super) use config::{config, sync_groups};
pub(super) use rundown::{channels, group_gone, group_ids, program, rtc_info};

/// A response, or why there is none.
type Rendered = Result<Value, Refused>;

fn foreign() -> Refused {
    Refused::new(ErrorCode::Internal, "The answer does not belong to the call.")
}

/// The object without its empty texts and nulls.
fn present(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields.into_iter().filter(|(_, v)| !v.is_null() && v.as_str() != Some("")).collect(),
        ),
        other => other,
    }
}

/// A list of plain values or objects in its object.
fn list(item: &str, values: impl IntoIterator<Item = Value>) -> Value {
    Value::Object(Map::from_iter([(item.to_owned(), values.into_iter().collect())]))
}

/// The decimal number that was meant: 0.3, not the nearest double of the nearest float.
fn float(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

fn position(placement: &Placement) -> Value {
    list("Position", [float(placement.x), float(placement.y)])
}

/// Responses to writes: `function: w => response`.
macro_rules! writes {
    ($($function:ident: $w:ident => $value:expr;)*) => {
        $(
            pub(super) fn $function(answer: Answer, _: &Addresses) -> Rendered {
                let Answer::Written($w) = answer else { return Err(foreign()) };
                let _ = &$w;
                Ok($value)
            }
        )*
    };
}

writes! {
    nothing: w => json!({});
    caster_id: w => json!({ "CasterId": w.caster.as_str() });
    resource_id: w => json!({ "ResourceId": w.subject_id() });
    caster_and_resource_id: w => json!({ "CasterId": w.caster.as_str(), "ResourceId": w.subject_id() });
    layout_id: w => json!({ "LayoutId": w.subject_id() });
    caster_and_layout_id: w => json!({ "CasterId": w.caster.as_str(), "LayoutId": w.subject_id() });
    component_id: w => json!({ "ComponentId": w.subject_id() });
    caster_and_component_id: w => json!({
        "CasterId": w.caster.as_str(),
        "ComponentId": w.subject_id(),
    });
    episode_id: w => json!({ "EpisodeId": w.subject_id() });
    caster_and_episode_id: w => json!({ "CasterId": w.caster.as_str(), "EpisodeId": w.subject_id() });
    episode_ids: w => {
        let ids = w.episodes().iter().map(|id| json!({ "EpisodeId": id.as_str() }));
        json!({ "EpisodeIds": list("EpisodeId", ids) })
    };
}

pub(super) fn casters(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Casters { total, page } = answer else { return Err(foreign()) };
    let now_unix_ms = time::unix_ms();
    let list = list("Caster", page.iter().map(|caster| caster_item(caster, now_unix_ms)));
    Ok(json!({ "Total": total, "CasterList": list }))
}

fn caster_item(caster: &Caster, now_unix_ms: u64) -> Value {
    let since_unix_ms = match caster.status {
        Status::Idle => None,
        Status::OnAir { since_unix_ms } => Some(since_unix_ms),
    };
    let on_air_s = |since| utc::duration(now_unix_ms.saturating_sub(since) / 1000);
    present(json!({
        "CasterId": caster.id.as_str(),
        "CasterName": caster.config.name,
        "CasterTemplate": caster.config.template.map(|t| t.as_str()),
        "ChannelEnable": i32::from(caster.config.channel_enable),
        // The only ones there are, see the rules of CreateCaster.
        "ChargeType": "PostPaid",
        "NormType": 1,
        "ClientTokenId": caster.client_token,
        "CreateTime": utc::plain(caster.created_unix_ms / 1000),
        "LastModified": utc::instant(caster.modified_unix_ms / 1000),
        "ResourceGroupId": Some(&caster.resource_group).filter(|group| !group.is_empty()),
        "Tags": list("tag", caster.tags.iter().map(tag)),
        "StartTime": since_unix_ms.map(|ms| utc::plain(ms / 1000)),
        "Duration": since_unix_ms.map(on_air_s),
        "Status": i32::from(caster.is_on_air()),
    }))
}

fn tag(tag: &Tag) -> Value {
    json!({ "TagKey": tag.key, "TagValue": tag.value })
}

pub(super) fn resources(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Resources(_, found) = answer else { return Err(foreign()) };
    let total = found.len();
    let list = list("VideoResource", found.iter().map(resource));
    Ok(json!({ "Total": total, "VideoResources": list }))
}

fn resource(resource: &Resource) -> Value {
    let mut item = json!({
        "ResourceId": resource.id.as_str(),
        "ResourceName": resource.name,
        "FixedDelayDuration": resource.delay_ms,
    });
    if let Some(location) = resource.location {
        item["LocationId"] = location.to_string().into();
    }
    match resource.configured() {
        source @ Source::Live { url } => {
            item["LiveStreamUrl"] = url.as_str().into();
            if let Some(url) = source_url(source, "flv") {
                item["FlvUrl"] = url.into();
            }
        }
        Source::Image { place: Place::Url(url) } => item["ImageUrl"] = url.as_str().into(),
        Source::Image { place: Place::Material(id) } => item["ImageId"] = id.as_str().into(),
        Source::Vod { place, play: Play { repeat_num, begin_offset_ms, end_offset_ms } } => {
            match place {
                Place::Url(url) => item["VodUrl"] = url.as_str().into(),
                Place::Material(id) => item["MaterialId"] = id.as_str().into(),
            }
            item["RepeatNum"] = (*repeat_num).into();
            item["BeginOffset"] = (*begin_offset_ms).into();
            item["EndOffset"] = (*end_offset_ms).into();
            item["PtsCallbackInterval"] = resource.pts_callback_ms.into();
        }
    }
    item
}

pub(super) fn layouts(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Layouts(_, found) = answer else { return Err(foreign()) };
    Ok(json!({ "Total": found.len(), "Layouts": list("Layout", found.iter().map(layout)) }))
}

fn layout(layout: &Layout) -> Value {
    let video = layout.video.iter().map(|layer| {
        json!({
            "FillMode": layer.fill.as_str(),
            "HeightNormalized": float(layer.placement.height),
            "WidthNormalized": float(layer.placement.width),
            "PositionNormalizeds": position(&layer.placement),
            "PositionRefer": layer.placement.refer.as_str(),
            "FixedDelayDuration": layer.delay_ms,
        })
    });
    let blend = layout.video.iter().map(|layer| layer.location.to_string().into());
    json!({
        "LayoutId": layout.id.as_str(),
        "BlendList": list("LocationId", blend),
        "VideoLayers": list("VideoLayer", video),
        "MixList": mix_list(&layout.audio),
        "AudioLayers": audio_layers(&layout.audio),
    })
}

fn mix_list(mix: &[AudioLayer]) -> Value {
    list("LocationId", mix.iter().map(|layer| layer.location.to_string().into()))
}

fn audio_layers(mix: &[AudioLayer]) -> Value {
    let layer = |layer: &AudioLayer| {
        let mut item = json!({
            "VolumeRate": float(layer.volume_rate),
            "ValidChannel": layer.channel.as_str(),
            "FixedDelayDuration": layer.delay_ms,
        });
        if layer.filter != AudioFilter::default() {
            item["Filter"] = filter(layer.filter).into();
        }
        item
    };
    list("AudioLayer", mix.iter().map(layer))
}

/// As it was given: JSON in a string.
fn filter(filter: AudioFilter) -> String {
    let AudioFilter { agc, ans, beautify } = filter;
    let filter = json!({
        "enableAgc": i32::from(agc),
        "enableAns": i32::from(ans.is_some()),
        "ansMode": i32::from(ans == Some(AnsMode::Music)),
        "enableBeautify": i32::from(beautify.is_some()),
        "voiceBeautifyMode": beautify.unwrap_or_default(),
    });
    filter.to_string()
}

pub(super) fn components(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Components(_, found) = answer else { return Err(foreign()) };
    let total = found.len();
    let list = list("Component", found.into_iter().map(component));
    Ok(json!({ "Total": total, "Components": list }))
}

fn component(component: Component) -> Value {
    let placement = &component.placement;
    let mut item = json!({
        "ComponentId": component.id.as_str(),
        "ComponentName": component.name,
        "LocationId": component.location.to_string(),
        "ComponentType": component.content.type_name(),
        "Effect": component.effect.as_str(),
        "LayerOrder": component.order.as_str(),
        "ComponentLayer": {
            "HeightNormalized": float(placement.height),
            "WidthNormalized": float(placement.width),
            "PositionNormalizeds": position(placement),
            "PositionRefer": placement.refer.as_str(),
            "Transparency": component.opacity,
        },
    });
    match component.content {
        ComponentContent::Text(text) => item["TextLayerContent"] = text_content(text),
        ComponentContent::Image { place } => {
            item["ImageLayerContent"] = match place {
                Place::Url(url) => json!({ "ImageUrl": url }),
                Place::Material(id) => json!({ "MaterialId": id.as_str() }),
            };
        }
    }
    item
}

fn text_content(text: Text) -> Value {
    let color = |rgb: u32| format!("0x{rgb:06x}");
    json!({
        "Text": text.text,
        "Color": color(text.color_rgb),
        "FontName": text.font_name,
        "SizeNormalized": float(text.size_normalized),
        "BorderWidthNormalized": float(text.border_width_normalized),
        "BorderColor": text.border_rgb.map(color).unwrap_or_default(),
    })
}

/// The streams that players are meant to have: of PGM alone.
fn stream_infos(bus: Bus, infos: &[StreamInfo]) -> Value {
    let info = |info: &StreamInfo| {
        present(json!({
            "VideoFormat": info.format,
            "TranscodeConfig": info.rendition.map(|rendition| rendition.as_str()),
            "OutputStreamUrl": info.url,
        }))
    };
    match bus {
        Bus::Pvw => Value::Null,
        Bus::Pgm => list("StreamInfo", infos.iter().map(info)),
    }
}

/// `Item` of each of these scenes that exists.
fn each_scene(
    caster: &Caster,
    buses: &[Bus],
    addresses: &Addresses,
    item: impl Fn(Bus, SceneUrls, &[StreamInfo]) -> Value,
) -> Result<Vec<Value>, Refused> {
    let each = buses.iter().map(|&bus| {
        let streams = addresses.of_scene(caster, bus)?;
        Ok(streams.map(|(urls, infos)| present(item(bus, urls, &infos))))
    });
    Ok(each.collect::<Result<Vec<_>, Refused>>()?.into_iter().flatten().collect())
}

fn scene_id(caster: &Caster, bus: Bus) -> &str {
    caster.scene(bus).map_or("", |scene| scene.id.as_str())
}

pub(super) fn started(answer: Answer, addresses: &Addresses) -> Rendered {
    let Answer::Caster(caster) = answer else { return Err(foreign()) };
    let infos = |bus| -> Rendered {
        let info = each_scene(&caster, &[bus], addresses, |bus, urls, infos| {
            json!({
                "SceneId": scene_id(&caster, bus),
                "StreamInfos": stream_infos(bus, infos),
                "StreamUrl": urls.rtmp,
            })
        })?;
        Ok(list("SceneInfo", info))
    };
    Ok(json!({ "PvwSceneInfos": infos(Bus::Pvw)?, "PgmSceneInfos": infos(Bus::Pgm)? }))
}

pub(super) fn scene_url(answer: Answer, addresses: &Addresses) -> Rendered {
    let Answer::Scenes(caster, buses) = answer else { return Err(foreign()) };
    let urls =
        each_scene(&caster, &buses, addresses, |_, urls, _| json!({ "StreamUrl": urls.rtmp }))?;
    urls.into_iter().next().ok_or_else(foreign)
}

pub(super) fn streams(answer: Answer, addresses: &Addresses) -> Rendered {
    let Answer::Scenes(caster, buses) = answer else { return Err(foreign()) };
    let streams = each_scene(&caster, &buses, addresses, |bus, urls, infos| {
        json!({
            "SceneId": scene_id(&caster, bus),
            "OutputType": bus.output_type(),
            "StreamInfos": stream_infos(bus, infos),
            "StreamUrl": urls.flv,
            "RtmpUrl": urls.rtmp,
        })
    })?;
    Ok(json!({
        "CasterId": caster.id.as_str(),
        "Total": streams.len(),
        "CasterStreams": list("CasterStream", streams),
    }))
}

pub(super) fn scenes(answer: Answer, addresses: &Addresses) -> Rendered {
    let Answer::Scenes(caster, buses) = answer else { return Err(foreign()) };
    let scenes = each_scene(&caster, &buses, addresses, |bus, urls, infos| {
        let scene = caster.scene(bus);
        let components = scene.into_iter().flat_map(|scene| &scene.components);
        json!({
            "SceneId": scene_id(&caster, bus),
            "SceneName": if bus == Bus::Pvw { "PVW" } else { "PGM" },
            "OutputType": bus.output_type().to_string(),
            "LayoutId": scene.and_then(|scene| scene.layout.as_ref()).map(|id| id.as_str()),
            "ComponentIds": list("componentId", components.map(|id| id.as_str().into())),
            "Status": i32::from(caster.is_scene_on(bus)),
            "StreamInfos": stream_infos(bus, infos),
            "StreamUrl": urls.rtmp,
        })
    })?;
    Ok(json!({ "Total": scenes.len(), "SceneList": list("Scene", scenes) }))
}

pub(super) fn scene_audio(answer: Answer, _: &Addresses) -> Rendered {
    let Answer::Scenes(caster, buses) = answer else { return Err(foreign()) };
    let scene = buses.first().and_then(|&bus| caster.scene(bus)).ok_or_else(foreign)?;
    Ok(json!({
        "CasterId": caster.id.as_str(),
        "FollowEnable": i32::from(caster.audio_follows_video),
        "AudioLayers": audio_layers(&scene.mix),
        "MixList": mix_list(&scene.mix),
    }))
}
