//! The form of a caster on disk: serde twins of the catalog's values, and both ways between them.
//!
//! Must not know SQL. Invariant: what is decoded is within the catalog's closed sets, or it is refused; fields that are
//! added later have a default, so that older rows stay readable.

use serde::{Deserialize, Serialize};

mod config;
mod groups;
mod layouts;
mod rundown;

pub(super) use groups::{decode_group, encode_group};

use crate::catalog::{
    AnsMode, AudioFilter, AudioLayer, Caster, CasterConfig, Component, ComponentContent,
    ComponentEffect, ComponentLocationId, EncoderConfig, LayerOrder, LocationId, Place, Placement,
    Play, PositionRefer, Resource, Scene, Scenes, Source, Status, Tag, Template, Text,
    ValidChannel, X264Preset,
};
use crate::ids::{CasterId, ComponentId, LayoutId, MaterialId, ResourceId, SceneId};

#[derive(Serialize, Deserialize)]
struct CasterRow {
    revision: u64,
    client_token: String,
    created_unix_ms: u64,
    modified_unix_ms: u64,
    on_air_since_unix_ms: Option<u64>,
    name: String,
    domain: Option<String>,
    template: Option<String>,
    rate: String,
    relays: Vec<String>,
    x264_preset: Option<String>,
    video_bps: Option<u32>,
    #[serde(default)]
    resource_group: String,
    #[serde(default)]
    tags: Vec<TagRow>,
    audio_follows_video: bool,
    resources: Vec<ResourceRow>,
    layouts: Vec<layouts::LayoutRow>,
    components: Vec<ComponentRow>,
    scenes: Option<[SceneRow; 2]>,
    #[serde(default)]
    pvw_off: bool,
    #[serde(default)]
    on_standby: bool,
    #[serde(default)]
    on_black: bool,
    #[serde(default)]
    pgm_set_unix_ms: u64,
    #[serde(default)]
    more: config::ConfigRow,
    #[serde(default)]
    channels: Vec<rundown::ChannelRow>,
    #[serde(default)]
    episodes: Vec<rundown::EpisodeRow>,
    #[serde(default)]
    timed_events: Vec<rundown::TimedEventRow>,
    #[serde(default)]
    record_asked: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_answered: Option<config::RecordRow>,
}

#[derive(Serialize, Deserialize)]
struct TagRow {
    key: String,
    value: String,
}

#[derive(Serialize, Deserialize)]
struct ResourceRow {
    id: String,
    name: String,
    location: Option<String>,
    source: SourceRow,
    #[serde(default)]
    delay_ms: u32,
    #[serde(default)]
    pts_callback_ms: u32,
    #[serde(default)]
    pending: Option<SourceRow>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum SourceRow {
    Live {
        url: String,
    },
    Vod {
        #[serde(flatten)]
        place: PlaceRow,
        repeat_num: i32,
        begin_offset_ms: i32,
        end_offset_ms: i32,
    },
    Image {
        #[serde(flatten)]
        place: PlaceRow,
    },
}

/// One of the two.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlaceRow {
    Url(String),
    Material(String),
}

fn encode_place(place: &Place) -> PlaceRow {
    match place {
        Place::Url(url) => PlaceRow::Url(url.clone()),
        Place::Material(id) => PlaceRow::Material(id.to_string()),
    }
}

fn decode_place(row: PlaceRow) -> Result<Place, String> {
    match row {
        PlaceRow::Url(url) => Ok(Place::Url(url)),
        PlaceRow::Material(id) => parse("material", &id, MaterialId::parse).map(Place::Material),
    }
}

#[derive(Serialize, Deserialize)]
struct PlacementRow {
    width: f32,
    height: f32,
    x: f32,
    y: f32,
    refer: String,
}

#[derive(Serialize, Deserialize)]
struct AudioLayerRow {
    location: String,
    volume_rate: f32,
    channel: String,
    delay_ms: u32,
    #[serde(default)]
    filter: FilterRow,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct FilterRow {
    agc: bool,
    /// Whether it may take music for noise.
    ans_music: Option<bool>,
    beautify: Option<u8>,
}

fn encode_filter(filter: AudioFilter) -> FilterRow {
    FilterRow {
        agc: filter.agc,
        ans_music: filter.ans.map(|mode| mode == AnsMode::Music),
        beautify: filter.beautify,
    }
}

fn decode_filter(row: &FilterRow) -> AudioFilter {
    let ans = |music| if music { AnsMode::Music } else { AnsMode::Speech };
    AudioFilter { agc: row.agc, ans: row.ans_music.map(ans), beautify: row.beautify }
}

#[derive(Serialize, Deserialize)]
struct ComponentRow {
    id: String,
    name: String,
    location: String,
    placement: PlacementRow,
    opacity: u8,
    order: String,
    #[serde(default)]
    effect: Option<String>,
    content: ContentRow,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ContentRow {
    Text {
        text: String,
        color_rgb: u32,
        font_name: String,
        size_normalized: f32,
        border_width_normalized: f32,
        border_rgb: Option<u32>,
        #[serde(default)]
        background: Option<layouts::TextBackgroundRow>,
    },
    Image {
        #[serde(flatten)]
        place: PlaceRow,
    },
}

#[derive(Serialize, Deserialize)]
struct SceneRow {
    id: String,
    stream_name: String,
    layout: Option<String>,
    components: Vec<String>,
    mix: Vec<AudioLayerRow>,
}

/// The row's body.
pub(super) fn encode(caster: &Caster) -> String {
    let Caster { config, .. } = caster;
    let row = CasterRow {
        revision: caster.revision,
        client_token: caster.client_token.clone(),
        created_unix_ms: caster.created_unix_ms,
        modified_unix_ms: caster.modified_unix_ms,
        on_air_since_unix_ms: match caster.status {
            Status::Idle => None,
            Status::OnAir { since_unix_ms } => Some(since_unix_ms),
        },
        name: config.name.clone(),
        domain: config.domain.clone(),
        template: config.template.map(|t| t.as_str().to_owned()),
        rate: config.rate.to_string(),
        relays: config.relays.iter().map(|relay| relay.url.clone()).collect(),
        x264_preset: config.encoder.preset.map(|p| p.as_str().to_owned()),
        video_bps: config.encoder.video_bps,
        resource_group: caster.resource_group.clone(),
        tags: caster
            .tags
            .iter()
            .map(|tag| TagRow { key: tag.key.clone(), value: tag.value.clone() })
            .collect(),
        audio_follows_video: caster.audio_follows_video,
        resources: caster.resources.iter().map(encode_resource).collect(),
        layouts: caster.layouts.iter().map(layouts::encode_layout).collect(),
        components: caster.components.iter().map(encode_component).collect(),
        scenes: caster.scenes.as_ref().map(|s| [encode_scene(&s.pvw), encode_scene(&s.pgm)]),
        pvw_off: caster.scenes.as_ref().is_some_and(|s| s.pvw_off),
        on_standby: caster.scenes.as_ref().is_some_and(|s| s.on_standby),
        on_black: caster.scenes.as_ref().is_some_and(|s| s.on_black),
        pgm_set_unix_ms: caster.scenes.as_ref().map_or(0, |s| s.pgm_set_unix_ms),
        more: config::encode(config),
        channels: caster.channels.iter().map(rundown::encode_channel).collect(),
        episodes: caster.episodes.iter().map(rundown::encode_episode).collect(),
        timed_events: caster.timed_events.iter().map(rundown::encode_event).collect(),
        record_asked: caster.record_asked,
        record_answered: caster.record_answered.as_ref().map(config::encode_record),
    };
    serde_json::to_string(&row).expect("rows have string keys and no foreign serializer")
}

fn encode_resource(resource: &Resource) -> ResourceRow {
    ResourceRow {
        id: resource.id.to_string(),
        name: resource.name.clone(),
        location: resource.location.map(|location| location.to_string()),
        delay_ms: resource.delay_ms,
        pts_callback_ms: resource.pts_callback_ms,
        source: encode_source(&resource.source),
        pending: resource.pending.as_ref().map(encode_source),
    }
}

fn encode_source(source: &Source) -> SourceRow {
    match source {
        Source::Live { url } => SourceRow::Live { url: url.clone() },
        Source::Vod { place, play } => SourceRow::Vod {
            place: encode_place(place),
            repeat_num: play.repeat_num,
            begin_offset_ms: play.begin_offset_ms,
            end_offset_ms: play.end_offset_ms,
        },
        Source::Image { place } => SourceRow::Image { place: encode_place(place) },
    }
}

fn encode_placement(p: &Placement) -> PlacementRow {
    PlacementRow {
        width: p.width,
        height: p.height,
        x: p.x,
        y: p.y,
        refer: p.refer.as_str().to_owned(),
    }
}

fn encode_audio(layer: &AudioLayer) -> AudioLayerRow {
    AudioLayerRow {
        location: layer.location.to_string(),
        volume_rate: layer.volume_rate,
        channel: layer.channel.as_str().to_owned(),
        delay_ms: layer.delay_ms,
        filter: encode_filter(layer.filter),
    }
}

fn encode_component(component: &Component) -> ComponentRow {
    let content = match &component.content {
        ComponentContent::Image { place } => ContentRow::Image { place: encode_place(place) },
        ComponentContent::Text(text) => ContentRow::Text {
            text: text.text.clone(),
            color_rgb: text.color_rgb,
            font_name: text.font_name.clone(),
            size_normalized: text.size_normalized,
            border_width_normalized: text.border_width_normalized,
            border_rgb: text.border_rgb,
            background: text.background.map(layouts::encode_background),
        },
    };
    ComponentRow {
        id: component.id.to_string(),
        name: component.name.clone(),
        location: component.location.to_string(),
        placement: encode_placement(&component.placement),
        opacity: component.opacity,
        order: component.order.as_str().to_owned(),
        effect: Some(component.effect.as_str().to_owned()),
        content,
    }
}

fn encode_scene(scene: &Scene) -> SceneRow {
    SceneRow {
        id: scene.id.to_string(),
        stream_name: scene.stream_name.clone(),
        layout: scene.layout.as_ref().map(ToString::to_string),
        components: scene.components.iter().map(ToString::to_string).collect(),
        mix: scene.mix.iter().map(encode_audio).collect(),
    }
}

/// The caster of this row.
///
/// # Errors
/// What is wrong with the row, in words.
pub(super) fn decode(id: &str, body: &str) -> Result<Caster, String> {
    let row: CasterRow = serde_json::from_str(body).map_err(|e| e.to_string())?;
    let more = config::decode(row.more)?;
    let config = CasterConfig {
        name: row.name,
        domain: row.domain,
        template: row.template.map(|t| parse("template", &t, Template::parse)).transpose()?,
        rate: row.rate.parse()?,
        relays: config::relays(row.relays, &more.relays),
        encoder: EncoderConfig {
            preset: row.x264_preset.map(|p| parse("preset", &p, X264Preset::parse)).transpose()?,
            video_bps: row.video_bps,
        },
        ..more
    };
    let scenes = row.scenes.map(|[pvw, pgm]| {
        let (pvw, pgm) = (decode_scene(pvw)?, decode_scene(pgm)?);
        let (pvw_off, on_standby, on_black) = (row.pvw_off, row.on_standby, row.on_black);
        let pgm_set_unix_ms = row.pgm_set_unix_ms;
        Ok::<Scenes, String>(Scenes { pvw, pgm, pvw_off, on_standby, on_black, pgm_set_unix_ms })
    });
    Ok(Caster {
        id: parse("id", id, CasterId::parse)?,
        revision: row.revision,
        client_token: row.client_token,
        created_unix_ms: row.created_unix_ms,
        modified_unix_ms: row.modified_unix_ms,
        status: row
            .on_air_since_unix_ms
            .map_or(Status::Idle, |since_unix_ms| Status::OnAir { since_unix_ms }),
        config,
        resource_group: row.resource_group,
        tags: row.tags.into_iter().map(|TagRow { key, value }| Tag { key, value }).collect(),
        audio_follows_video: row.audio_follows_video,
        resources: all(row.resources, decode_resource)?,
        layouts: all(row.layouts, layouts::decode_layout)?,
        components: all(row.components, decode_component)?,
        scenes: scenes.transpose()?,
        channels: all(row.channels, rundown::decode_channel)?,
        episodes: all(row.episodes, rundown::decode_episode)?,
        timed_events: all(row.timed_events, |row| rundown::decode_event(&row))?,
        record_asked: row.record_asked,
        record_answered: row.record_answered.map(config::decode_record).transpose()?,
    })
}

fn parse<T>(what: &str, text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    parse(text).ok_or_else(|| format!("{what} {text:?} is unknown"))
}

fn all<R, T>(rows: Vec<R>, decode: impl Fn(R) -> Result<T, String>) -> Result<Vec<T>, String> {
    rows.into_iter().map(decode).collect()
}

fn decode_resource(row: ResourceRow) -> Result<Resource, String> {
    Ok(Resource {
        id: parse("resource", &row.id, ResourceId::parse)?,
        name: row.name,
        location: row.location.map(|l| parse("location", &l, LocationId::parse)).transpose()?,
        source: decode_source(row.source)?,
        delay_ms: row.delay_ms,
        pts_callback_ms: row.pts_callback_ms,
        pending: row.pending.map(decode_source).transpose()?,
    })
}

fn decode_source(row: SourceRow) -> Result<Source, String> {
    Ok(match row {
        SourceRow::Live { url } => Source::Live { url },
        SourceRow::Vod { place, repeat_num, begin_offset_ms, end_offset_ms } => Source::Vod {
            place: decode_place(place)?,
            play: Play { repeat_num, begin_offset_ms, end_offset_ms },
        },
        SourceRow::Image { place } => Source::Image { place: decode_place(place)? },
    })
}

fn decode_placement(row: PlacementRow) -> Result<Placement, String> {
    let PlacementRow { width, height, x, y, refer } = row;
    let refer = parse("position", &refer, PositionRefer::parse)?;
    Ok(Placement { width, height, x, y, refer })
}

fn decode_audio(row: AudioLayerRow) -> Result<AudioLayer, String> {
    Ok(AudioLayer {
        location: parse("location", &row.location, LocationId::parse)?,
        volume_rate: row.volume_rate,
        channel: parse("channel", &row.channel, ValidChannel::parse)?,
        delay_ms: row.delay_ms,
        filter: decode_filter(&row.filter),
    })
}

fn decode_component(row: ComponentRow) -> Result<Component, String> {
    let content = match row.content {
        ContentRow::Image { place } => ComponentContent::Image { place: decode_place(place)? },
        ContentRow::Text {
            text,
            color_rgb,
            font_name,
            size_normalized,
            border_width_normalized,
            border_rgb,
            background,
        } => ComponentContent::Text(Text {
            text,
            color_rgb,
            font_name,
            size_normalized,
            border_width_normalized,
            border_rgb,
            background: background.map(layouts::decode_background),
        }),
    };
    Ok(Component {
        id: parse("component", &row.id, ComponentId::parse)?,
        name: row.name,
        location: parse("location", &row.location, ComponentLocationId::parse)?,
        placement: decode_placement(row.placement)?,
        opacity: row.opacity,
        order: parse("order", &row.order, LayerOrder::parse)?,
        effect: row
            .effect
            .map_or(Ok(ComponentEffect::None), |e| parse("effect", &e, ComponentEffect::parse))?,
        content,
    })
}

fn decode_scene(row: SceneRow) -> Result<Scene, String> {
    Ok(Scene {
        id: parse("scene", &row.id, SceneId::parse)?,
        stream_name: row.stream_name,
        layout: row.layout.map(|id| parse("layout", &id, LayoutId::parse)).transpose()?,
        components: all(row.components, |id| parse("component", &id, ComponentId::parse))?,
        mix: all(row.mix, decode_audio)?,
    })
}
