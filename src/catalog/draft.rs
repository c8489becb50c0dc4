//! Parameters of calls, as plain values.
//!
//! Must not know any wire form. Invariant: words and numbers as the API names them, unchecked; empty strings and lists
//! mean absent.

/// Parameters of `CreateCaster`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct CreateCaster {
    pub caster_name: String,
    pub client_token: String,
    pub norm_type: Option<i32>,
    pub charge_type: String,
    pub resource_group_id: String,
    pub tags: Vec<TagDraft>,
}

/// An element of `Tag`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct TagDraft {
    pub key: String,
    pub value: String,
}

/// Parameters of `CopyCaster`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct CopyCaster {
    pub src_caster_id: String,
    pub caster_name: String,
    pub client_token: String,
}

/// Parameters of `DescribeCasters`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct DescribeCasters {
    pub caster_id: String,
    pub caster_name: String,
    pub status: Option<i32>,
    pub start_time_unix_ms: Option<i64>,
    pub end_time_unix_ms: Option<i64>,
    pub order_by_modify_asc: bool,
    pub page_num: Option<i32>,
    pub page_size: Option<i32>,
    pub norm_type: Option<i32>,
    pub charge_type: Option<i32>,
    pub resource_group_id: String,
    pub tags: Vec<TagDraft>,
}

/// Parameters of `SetCasterConfig`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ConfigDraft {
    pub caster_name: String,
    pub domain_name: String,
    pub caster_template: String,
    pub frame_rate: String,
    pub side_output_urls: Vec<String>,
    pub x264_preset: String,
    pub video_bps: Option<u32>,
}

/// Parameters of `AddCasterVideoResource` and `ModifyCasterVideoResource`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ResourceDraft {
    pub resource_name: String,
    pub location_id: String,
    pub live_stream_url: String,
    pub vod_url: String,
    pub material_id: String,
    pub image_id: String,
    pub image_url: String,
    pub repeat_num: Option<i32>,
    pub begin_offset_ms: Option<i32>,
    pub end_offset_ms: Option<i32>,
}

/// Parameters of `AddCasterLayout` and `ModifyCasterLayout`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct LayoutDraft {
    pub blend_list: Vec<String>,
    pub video_layers: Vec<VideoLayerDraft>,
    pub mix_list: Vec<String>,
    pub audio_layers: Vec<AudioLayerDraft>,
}

/// An element of `VideoLayer`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct VideoLayerDraft {
    pub fill_mode: String,
    pub placement: PlacementDraft,
}

/// Size and position of a layer or component.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct PlacementDraft {
    pub width_normalized: f32,
    pub height_normalized: f32,
    pub position_normalized: Vec<f32>,
    pub position_refer: String,
}

/// An element of `AudioLayer`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct AudioLayerDraft {
    pub volume_rate: Option<f32>,
    pub valid_channel: String,
    pub fixed_delay_duration_ms: i32,
}

/// Parameters of `AddCasterComponent` and `ModifyCasterComponent`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ComponentDraft {
    pub component_name: String,
    pub location_id: String,
    pub component_type: String,
    pub layer: Option<ComponentLayerDraft>,
    pub text: Option<TextDraft>,
    pub image: Option<ImageDraft>,
    pub layer_order: String,
}

/// `ComponentLayer`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ComponentLayerDraft {
    pub placement: PlacementDraft,
    pub transparency: Option<i32>,
}

/// `TextLayerContent`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct TextDraft {
    pub text: String,
    pub color: String,
    pub font_name: String,
    pub size_normalized: Option<f32>,
    pub border_width_normalized: f32,
    pub border_color: String,
}

/// `ImageLayerContent`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ImageDraft {
    pub material_id: String,
    pub image_url: String,
}

/// Parameters of `SetCasterSceneConfig` and `UpdateCasterSceneConfig`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct SceneDraft {
    pub caster_id: String,
    pub scene_id: String,
    pub layout_id: String,
    pub component_ids: Vec<String>,
    pub when: WhenDraft,
}

/// How a switch on PGM is accepted.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct WhenDraft {
    pub force: bool,
    pub wait_ms: Option<i32>,
}

/// Parameters of `UpdateCasterSceneAudio`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct AudioDraft {
    pub caster_id: String,
    pub scene_id: String,
    pub follow_enable: Option<i32>,
    pub audio_layers: Vec<AudioLayerDraft>,
    pub mix_list: Vec<String>,
}
