//! Answers → responses, field by field.
//!
//! Must not know how an answer came about. Invariant: what was stored is told in the API's own words.

use super::pb;
use crate::api::addresses::{Addresses, StreamInfo};
use crate::catalog::{
    AnsMode, Answer, AudioFilter, AudioLayer, Backdrop, Caster, Component, ComponentContent,
    ErrorCode, FillMode, LayerLook, Layout, LayoutPreset, Place, Placement, Play, Refused,
    Resource, Source, Status, Text, VideoLayer, Written,
};
use crate::ids::Bus;

/// A response that can be made from an answer.
pub(super) trait Render: Sized {
    /// The response.
    ///
    /// # Errors
    /// `InternalError` when the answer is another call's; `InvalidDomainName.NotFound` when addresses are asked for
    /// and there is no domain.
    fn render(answer: Answer, addresses: &Addresses) -> Result<Self, Refused>;
}

fn foreign() -> Refused {
    Refused::new(ErrorCode::Internal, "The answer does not belong to the call.")
}

/// `Response, written as w, id => response`: responses to writes.
macro_rules! writes {
    ($($response:ident, $w:ident, $id:ident => $value:expr;)*) => {
        $(
            impl Render for pb::$response {
                fn render(answer: Answer, _: &Addresses) -> Result<Self, Refused> {
                    let Answer::Written($w) = answer else { return Err(foreign()) };
                    let $id = $w.subject_id().to_owned();
                    let _ = &$id;
                    Ok($value)
                }
            }
        )*
    };
}

/// `Response, pattern of its answer, addresses => response`: responses to reads.
macro_rules! reads {
    ($($response:ident, $pattern:pat, $addresses:ident => $value:expr;)*) => {
        $(
            impl Render for pb::$response {
                fn render(answer: Answer, $addresses: &Addresses) -> Result<Self, Refused> {
                    let $pattern = answer else { return Err(foreign()) };
                    let _ = $addresses;
                    Ok($value)
                }
            }
        )*
    };
}

mod config;
mod rundown;

writes! {
    CreateCasterResponse, w, id => Self { caster_id: w.caster.to_string(), revision: w.revision };
    CopyCasterResponse, w, id => Self { caster_id: w.caster.to_string(), revision: w.revision };
    DeleteCasterResponse, w, id => Self { caster_id: w.caster.to_string(), revision: w.revision };
    SetCasterConfigResponse, w, id => Self { caster_id: w.caster.to_string(), revision: w.revision };
    StopCasterResponse, w, id => Self { revision: w.revision };
    RestartCasterResponse, w, id => Self { revision: w.revision };
    StartCasterRecordingResponse, w, id => Self { revision: w.revision };
    StopCasterRecordingResponse, w, id => Self { revision: w.revision };
    UpdateCasterResourceGroupResponse, w, id => Self { revision: w.revision };
    AddCasterVideoResourceResponse, w, id => Self { resource_id: id, revision: w.revision };
    ModifyCasterVideoResourceResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        resource_id: id,
        revision: w.revision,
        applied: applied(&w),
    };
    EffectCasterVideoResourceResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    DeleteCasterVideoResourceResponse, w, id => Self { revision: w.revision };
    AddCasterLayoutResponse, w, id => Self { layout_id: id, revision: w.revision };
    ModifyCasterLayoutResponse, w, id => Self {
        layout_id: id,
        revision: w.revision,
        applied: applied(&w),
    };
    DeleteCasterLayoutResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        layout_id: id,
        revision: w.revision,
    };
    AddCasterComponentResponse, w, id => Self { component_id: id, revision: w.revision };
    ModifyCasterComponentResponse, w, id => Self {
        component_id: id,
        revision: w.revision,
        applied: applied(&w),
    };
    DeleteCasterComponentResponse, w, id => Self {
        caster_id: w.caster.to_string(),
        component_id: id,
        revision: w.revision,
    };
    SetCasterSceneConfigResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    UpdateCasterSceneConfigResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    CopyCasterSceneConfigResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    DeleteCasterSceneConfigResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    StopCasterSceneResponse, w, id => Self { revision: w.revision };
    UpdateCasterSceneAudioResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    FadeCasterToBlackResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
    EffectCasterUrgentResponse, w, id => Self { revision: w.revision, applied: applied(&w) };
}

fn applied(written: &Written) -> Option<pb::Applied> {
    written.applied.map(|a| pb::Applied { revision: a.revision, tick: a.tick })
}

reads! {
    DescribeCastersResponse, Answer::Casters { total, page }, addresses => Self {
        total: count(total),
        casters: page.iter().map(|c| caster_item(c)).collect(),
    };
    DescribeCasterConfigResponse, Answer::Caster(caster), addresses => Self {
        caster_id: caster.id.to_string(),
        config: Some(config::config(&caster)),
        status: status(&caster).into(),
        revision: caster.revision,
    };
    StartCasterResponse, Answer::Caster(caster), addresses => Self {
        pvw_scene: scene(&caster, Bus::Pvw, addresses)?,
        pgm_scene: scene(&caster, Bus::Pgm, addresses)?,
        revision: caster.revision,
    };
    DescribeCasterStreamUrlResponse, Answer::Scenes(caster, buses), addresses => Self {
        caster_id: caster.id.to_string(),
        caster_streams: scenes(&caster, &buses, addresses)?
            .into_iter()
            .map(|s| pb::CasterStream {
                scene_id: s.scene_id,
                output_type: s.output_type,
                stream_url: s.stream_url,
                stream_infos: s.stream_infos,
            })
            .collect(),
        revision: caster.revision,
    };
    DescribeCasterVideoResourcesResponse, Answer::Resources(caster, list), addresses => Self {
        total: count(list.len()),
        video_resources: list.iter().map(resource).collect(),
        revision: caster.revision,
    };
    DescribeCasterLayoutsResponse, Answer::Layouts(caster, list), addresses => Self {
        total: count(list.len()),
        layouts: list.iter().map(layout).collect(),
        revision: caster.revision,
    };
    DescribeLayoutPresetsResponse, Answer::LayoutPresets(list), addresses => Self {
        presets: list.iter().copied().map(preset).collect(),
    };
    DescribeCasterComponentsResponse, Answer::Components(caster, list), addresses => Self {
        total: count(list.len()),
        components: list.into_iter().map(component).collect(),
        revision: caster.revision,
    };
    DescribeCasterScenesResponse, Answer::Scenes(caster, buses), addresses => Self {
        total: count(buses.len()),
        scenes: scenes(&caster, &buses, addresses)?,
        revision: caster.revision,
    };
    StartCasterSceneResponse, Answer::Scenes(caster, buses), addresses => Self {
        stream_url: scenes(&caster, &buses, addresses)?
            .into_iter()
            .next()
            .ok_or_else(foreign)?
            .stream_url,
        revision: caster.revision,
    };
    DescribeCasterSceneAudioResponse, Answer::Scenes(caster, buses), addresses => {
        let scene = buses.first().and_then(|&bus| caster.scene(bus)).ok_or_else(foreign)?;
        Self {
            caster_id: caster.id.to_string(),
            follow_enable: i32::from(caster.audio_follows_video),
            audio_layers: scene.mix.iter().map(audio_layer).collect(),
            mix_list: scene.mix.iter().map(|a| a.location.to_string()).collect(),
            revision: caster.revision,
        }
    };
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn time_ms(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

fn status(caster: &Caster) -> pb::CasterStatus {
    match caster.status {
        Status::Idle => pb::CasterStatus::Idle,
        Status::OnAir { .. } => pb::CasterStatus::Streaming,
    }
}

fn caster_item(caster: &Caster) -> pb::Caster {
    pb::Caster {
        caster_id: caster.id.to_string(),
        caster_name: caster.config.name.clone(),
        caster_template: caster.config.template.map_or("", |t| t.as_str()).to_owned(),
        // The only ones there are, see the rules of CreateCaster.
        charge_type: "PostPaid".to_owned(),
        norm_type: 1,
        client_token_id: caster.client_token.clone(),
        status: status(caster).into(),
        create_time_unix_ms: time_ms(caster.created_unix_ms),
        last_modified_unix_ms: time_ms(caster.modified_unix_ms),
        start_time_unix_ms: match caster.status {
            Status::Idle => None,
            Status::OnAir { since_unix_ms } => Some(time_ms(since_unix_ms)),
        },
        revision: caster.revision,
        resource_group_id: caster.resource_group.clone(),
        tags: caster
            .tags
            .iter()
            .map(|tag| pb::Tag { key: tag.key.clone(), value: tag.value.clone() })
            .collect(),
        channel_enable: caster.config.channel_enable,
    }
}

fn resource(resource: &Resource) -> pb::VideoResource {
    let mut message = pb::VideoResource {
        resource_id: resource.id.to_string(),
        resource_name: resource.name.clone(),
        location_id: resource.location.map(|location| location.to_string()).unwrap_or_default(),
        fixed_delay_duration: Some(small(resource.delay_ms)),
        ..Default::default()
    };
    match resource.configured() {
        Source::Live { url } => message.live_stream_url.clone_from(url),
        Source::Image { place } => {
            message.image_url = place.url().to_owned();
            message.image_id = place.material().to_owned();
        }
        Source::Vod { place, play: Play { repeat_num, begin_offset_ms, end_offset_ms } } => {
            message.vod_url = place.url().to_owned();
            message.material_id = place.material().to_owned();
            message.repeat_num = Some(*repeat_num);
            message.begin_offset = Some(*begin_offset_ms);
            message.end_offset = Some(*end_offset_ms);
            message.pts_callback_interval = Some(small(resource.pts_callback_ms));
        }
    }
    message
}

fn layout(layout: &Layout) -> pb::Layout {
    pb::Layout {
        layout_id: layout.id.to_string(),
        backdrop: Some(&layout.backdrop).filter(|b| **b != Backdrop::default()).map(backdrop),
        blend_list: layout.video.iter().map(|v| v.location.to_string()).collect(),
        video_layers: layout.video.iter().map(video_layer).collect(),
        mix_list: layout.audio.iter().map(|a| a.location.to_string()).collect(),
        audio_layers: layout.audio.iter().map(audio_layer).collect(),
    }
}

fn video_layer(layer: &VideoLayer) -> pb::VideoLayer {
    pb::VideoLayer {
        fixed_delay_duration: small(layer.delay_ms),
        look: Some(&layer.look).filter(|look| **look != LayerLook::default()).map(look),
        ..placed(layer.fill, layer.placement)
    }
}

fn placed(fill: FillMode, placement: Placement) -> pb::VideoLayer {
    let Placement { width, height, x, y, refer } = placement;
    pb::VideoLayer {
        fill_mode: fill.as_str().to_owned(),
        height_normalized: height,
        width_normalized: width,
        position_normalized: vec![x, y],
        position_refer: refer.as_str().to_owned(),
        ..pb::VideoLayer::default()
    }
}

fn look(look: &LayerLook) -> pb::LayerLook {
    let [crop_left, crop_top, crop_right, crop_bottom] = look.crop;
    pb::LayerLook {
        crop_left,
        crop_top,
        crop_right,
        crop_bottom,
        mirror: look.mirror.as_str().to_owned(),
        opacity: Some(look.opacity),
        corner_radius: look.corner_radius,
        border_width: look.border_width,
        border_color: color(look.border_rgb),
    }
}

fn backdrop(backdrop: &Backdrop) -> pb::Backdrop {
    pb::Backdrop { color: color(backdrop.rgb), image: backdrop.image.as_ref().map(image) }
}

fn preset(preset: LayoutPreset) -> pb::LayoutPreset {
    let slot = |&placement: &Placement| placed(FillMode::Fit, placement);
    pb::LayoutPreset {
        name: preset.as_str().to_owned(),
        slots: preset.slots().iter().map(slot).collect(),
    }
}

fn color(rgb: u32) -> String {
    format!("0x{rgb:06x}")
}

fn audio_layer(layer: &AudioLayer) -> pb::AudioLayer {
    pb::AudioLayer {
        volume_rate: Some(layer.volume_rate),
        valid_channel: layer.channel.as_str().to_owned(),
        fixed_delay_duration: small(layer.delay_ms),
        filter: Some(layer.filter).filter(|f| *f != AudioFilter::default()).map(filter),
    }
}

fn filter(AudioFilter { agc, ans, beautify }: AudioFilter) -> pb::AudioFilter {
    pb::AudioFilter {
        enable_agc: agc.into(),
        enable_ans: ans.is_some().into(),
        ans_mode: (ans == Some(AnsMode::Music)).into(),
        enable_beautify: beautify.is_some().into(),
        voice_beautify_mode: beautify.unwrap_or_default().into(),
    }
}

/// A number that the limits keep far below the largest.
fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn component(component: Component) -> pb::Component {
    let Placement { width, height, x, y, refer } = component.placement;
    let component_type = component.content.type_name().to_owned();
    let (text, image) = match component.content {
        ComponentContent::Text(text) => (Some(text_content(text)), None),
        ComponentContent::Image { place } => (None, Some(image(&place))),
    };
    pb::Component {
        component_id: component.id.to_string(),
        component_name: component.name,
        location_id: component.location.to_string(),
        component_type,
        component_layer: Some(pb::ComponentLayer {
            height_normalized: height,
            width_normalized: width,
            position_normalized: vec![x, y],
            position_refer: refer.as_str().to_owned(),
            transparency: Some(component.opacity.into()),
        }),
        text_layer_content: text,
        image_layer_content: image,
        layer_order: component.order.as_str().to_owned(),
        effect: component.effect.as_str().to_owned(),
    }
}

fn image(place: &Place) -> pb::ImageLayerContent {
    let (material_id, image_url) = (place.material().to_owned(), place.url().to_owned());
    pb::ImageLayerContent { material_id, image_url }
}

fn text_content(text: Text) -> pb::TextLayerContent {
    pb::TextLayerContent {
        text: text.text,
        color: color(text.color_rgb),
        font_name: text.font_name,
        size_normalized: Some(text.size_normalized),
        border_width_normalized: text.border_width_normalized,
        border_color: text.border_rgb.map(color).unwrap_or_default(),
        background: text.background.map(|background| pb::TextBackground {
            color: color(background.rgb),
            opacity: Some(background.opacity),
            padding: background.padding,
        }),
    }
}

fn scenes(
    caster: &Caster,
    buses: &[Bus],
    addresses: &Addresses,
) -> Result<Vec<pb::Scene>, Refused> {
    buses.iter().filter_map(|&bus| scene(caster, bus, addresses).transpose()).collect()
}

fn scene(caster: &Caster, bus: Bus, addresses: &Addresses) -> Result<Option<pb::Scene>, Refused> {
    let streams = addresses.of_scene(caster, bus)?;
    let Some((scene, (urls, infos))) = caster.scene(bus).zip(streams) else { return Ok(None) };
    let info = |info: StreamInfo| pb::StreamInfo {
        video_format: info.format.to_owned(),
        output_stream_url: info.url,
        transcode_config: info.rendition.map_or("", |rendition| rendition.as_str()).to_owned(),
    };
    let (name, output_type) = match bus {
        Bus::Pvw => ("PVW", pb::OutputType::Pvw),
        Bus::Pgm => ("PGM", pb::OutputType::Pgm),
    };
    let status = if caster.is_scene_on(bus) { pb::SceneStatus::On } else { pb::SceneStatus::Off };
    Ok(Some(pb::Scene {
        scene_id: scene.id.to_string(),
        scene_name: name.to_owned(),
        output_type: output_type.into(),
        status: status.into(),
        layout_id: scene.layout.as_ref().map(ToString::to_string).unwrap_or_default(),
        component_ids: scene.components.iter().map(ToString::to_string).collect(),
        stream_infos: infos.into_iter().map(info).collect(),
        stream_url: urls.rtmp,
    }))
}
