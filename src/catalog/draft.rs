//! Parameters of calls, as plain values.
//!
//! Must not know any wire form. Invariant: words and numbers as the API names them, unchecked; empty strings and lists
//! mean absent.

use super::model::RecordKind;

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
    /// `relays`; none: the wire has no word for them, and URLs that are known keep what was set.
    pub relays: Option<Vec<RelayDraft>>,
    pub x264_preset: String,
    pub video_bps: Option<u32>,
    /// Width and height of `CustomParams`, as told by `DescribeCasterConfig`: they must be the template's.
    pub custom_size_px: [Option<u32>; 2],
    /// `LiveTemplate`.
    pub live_templates: Vec<String>,
    pub record: Option<RecordDraft>,
    pub delay_s: Option<f32>,
    pub urgent_material_id: String,
    pub urgent_live_stream_url: String,
    pub urgent_image_id: String,
    pub urgent_image_url: String,
    pub auto_switch_urgent_on: bool,
    /// `eofThres`.
    pub auto_switch_after_s: Option<f32>,
    pub auto_return_after_s: Option<f32>,
    /// Each fault once.
    pub detectors: Vec<DetectorDraft>,
    pub callback_url: String,
    pub side_output_url: String,
    pub channel_enable: Option<i32>,
    pub program_name: String,
    pub program_effect: Option<i32>,
    pub sync_groups: Vec<SyncGroupDraft>,
}

/// When a fault counts.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct DetectorDraft {
    pub fault: String,
    pub after_s: Option<f32>,
    pub standby: Option<bool>,
}

/// An element of `relays`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct RelayDraft {
    pub url: String,
    pub name: String,
    pub rendition: String,
    pub enabled: Option<bool>,
}

/// `RecordConfig`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct RecordDraft {
    pub oss_endpoint: String,
    pub oss_bucket: String,
    pub on_demand: Option<i32>,
    pub formats: Vec<RecordFormatDraft>,
}

/// An element of `RecordFormat`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct RecordFormatDraft {
    pub format: String,
    pub cycle_duration_s: Option<i32>,
    pub oss_object_prefix: String,
    pub slice_oss_object_prefix: String,
}

/// An element of `SyncGroupsConfig` or `SyncGroup`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct SyncGroupDraft {
    pub mode: Option<i32>,
    pub host_resource_id: String,
    pub resource_ids: Vec<String>,
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
    pub pts_callback_interval_ms: Option<i32>,
    pub fixed_delay_duration_ms: Option<i32>,
}

/// Parameters of `AddCasterLayout` and `ModifyCasterLayout`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct LayoutDraft {
    /// Instead of `video_layers`.
    pub preset: String,
    /// None: plain, or as it was.
    pub backdrop: Option<BackdropDraft>,
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
    pub fixed_delay_duration_ms: i32,
    /// None: plain, or as it was.
    pub look: Option<LookDraft>,
}

/// How a layer looks. Replaces what was there as a whole.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "the proto documents the fields")]
pub struct LookDraft {
    pub crop_left: f32,
    pub crop_top: f32,
    pub crop_right: f32,
    pub crop_bottom: f32,
    pub mirror: String,
    pub opacity: Option<f32>,
    pub corner_radius: f32,
    pub border_width: f32,
    pub border_color: String,
}

/// What a layout is drawn on. Replaces what was there as a whole.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "the proto documents the fields")]
pub struct BackdropDraft {
    pub color: String,
    pub image: Option<ImageDraft>,
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
    pub filter: Option<FilterDraft>,
}

/// `Filter` of an element of `AudioLayer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct FilterDraft {
    pub enable_agc: i32,
    pub enable_ans: i32,
    pub ans_mode: i32,
    pub enable_beautify: i32,
    pub voice_beautify_mode: i32,
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
    pub effect: String,
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
    /// None: none, or as it was.
    pub background: Option<TextBackgroundDraft>,
}

/// The box behind a text; without a colour there is none. Replaces what was there as a whole.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "the proto documents the fields")]
pub struct TextBackgroundDraft {
    pub color: String,
    pub opacity: Option<f32>,
    pub padding: f32,
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
    pub way: WayDraft,
}

/// How a switch on PGM is accepted.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct WhenDraft {
    pub force: bool,
    pub wait_ms: Option<i32>,
}

/// How PGM gets from what it shows to something else.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct WayDraft {
    pub transition: Option<TransitionDraft>,
    pub component_fade_frames: Option<i32>,
}

/// `Transition`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct TransitionDraft {
    pub kind: String,
    pub direction: String,
    pub color: String,
    pub duration_frames: i32,
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

/// Parameters of `SetCasterChannel`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ChannelDraft {
    pub caster_id: String,
    pub channel_id: String,
    pub resource_id: String,
    pub seek_offset_ms: Option<i32>,
    pub play_status: Option<i32>,
    pub face_beauty: String,
}

/// An episode, as it is added or changed.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct EpisodeDraft {
    /// Of the one that is changed.
    pub episode_id: String,
    pub episode_type: String,
    pub episode_name: String,
    pub resource_id: String,
    pub component_ids: Vec<String>,
    pub start_time_unix_ms: Option<i64>,
    pub end_time_unix_ms: Option<i64>,
    pub switch_type: String,
}

/// Parameters of `DescribeCasterProgram`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct ProgramFilter {
    pub caster_id: String,
    pub episode_id: String,
    pub episode_type: String,
    pub start_time_unix_ms: Option<i64>,
    pub end_time_unix_ms: Option<i64>,
    pub status: Option<i32>,
    pub page_num: Option<i32>,
    pub page_size: Option<i32>,
}

/// Parameters of `AddCasterEpisodeGroup` and `AddCasterEpisodeGroupContent`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct GroupDraft {
    pub client_token: String,
    pub domain_name: String,
    pub start_time_unix_ms: Option<i64>,
    pub repeat_num: Option<i32>,
    pub side_output_url: String,
    pub callback_url: String,
    pub items: Vec<GroupItemDraft>,
}

/// An element of `Item`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct GroupItemDraft {
    pub item_name: String,
    pub vod_url: String,
}

/// Whether a show is recorded, as the receiver of callbacks says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordAnswer {
    /// Whether.
    pub is_wanted: bool,
    /// In which formats; empty: in those that are configured.
    pub formats: Vec<RecordKind>,
    /// Lengths of files, s, where they are others than configured.
    pub cycles_s: Vec<(RecordKind, u32)>,
}
