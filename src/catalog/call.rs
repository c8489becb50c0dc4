//! Calls, answers and what follows from a call, as plain values.
//!
//! Must not know any wire form. Invariant: the calls carry words and numbers as the API names them, unchecked; the
//! rules check them once, for every edge alike. Empty strings and lists mean absent.

use std::sync::Arc;

use super::model::{Caster, Component, Layout, Resource};
use crate::ids::{Bus, CasterId, ComponentId, LayoutId, ResourceId};

/// An operation on the catalog.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "operations and parameters bear the API's names; the proto documents them"
)]
pub enum Call {
    CreateCaster(CreateCaster),
    DeleteCaster {
        caster_id: String,
    },
    DescribeCasters(DescribeCasters),
    SetCasterConfig {
        caster_id: String,
        config: ConfigDraft,
    },
    DescribeCasterConfig {
        caster_id: String,
    },
    StartCaster {
        caster_id: String,
    },
    StopCaster {
        caster_id: String,
    },
    DescribeCasterStreamUrl {
        caster_id: String,
    },
    AddCasterVideoResource {
        caster_id: String,
        draft: ResourceDraft,
    },
    ModifyCasterVideoResource {
        caster_id: String,
        resource_id: String,
        draft: ResourceDraft,
    },
    DeleteCasterVideoResource {
        caster_id: String,
        resource_id: String,
    },
    DescribeCasterVideoResources {
        caster_id: String,
    },
    AddCasterLayout {
        caster_id: String,
        draft: LayoutDraft,
    },
    ModifyCasterLayout {
        caster_id: String,
        layout_id: String,
        draft: LayoutDraft,
    },
    DeleteCasterLayout {
        caster_id: String,
        layout_id: String,
    },
    DescribeCasterLayouts {
        caster_id: String,
        layout_id: String,
    },
    AddCasterComponent {
        caster_id: String,
        draft: ComponentDraft,
    },
    ModifyCasterComponent {
        caster_id: String,
        component_id: String,
        draft: ComponentDraft,
    },
    DeleteCasterComponent {
        caster_id: String,
        component_id: String,
    },
    DescribeCasterComponents {
        caster_id: String,
        component_id: String,
    },
    DescribeCasterScenes {
        caster_id: String,
        scene_id: String,
    },
    SetCasterSceneConfig(SceneDraft),
    UpdateCasterSceneConfig(SceneDraft),
    CopyCasterSceneConfig {
        caster_id: String,
        from_scene_id: String,
        to_scene_id: String,
        when: WhenDraft,
    },
    DescribeCasterSceneAudio {
        caster_id: String,
        scene_id: String,
    },
    UpdateCasterSceneAudio(AudioDraft),
}

impl Call {
    /// The caster that it is about, as the client wrote it; empty when it is about none or makes one.
    pub fn caster_id(&self) -> &str {
        match self {
            Call::CreateCaster(_) | Call::DescribeCasters(_) => "",
            Call::SetCasterSceneConfig(draft) | Call::UpdateCasterSceneConfig(draft) => {
                &draft.caster_id
            }
            Call::UpdateCasterSceneAudio(draft) => &draft.caster_id,
            Call::DeleteCaster { caster_id }
            | Call::SetCasterConfig { caster_id, .. }
            | Call::DescribeCasterConfig { caster_id }
            | Call::StartCaster { caster_id }
            | Call::StopCaster { caster_id }
            | Call::DescribeCasterStreamUrl { caster_id }
            | Call::AddCasterVideoResource { caster_id, .. }
            | Call::ModifyCasterVideoResource { caster_id, .. }
            | Call::DeleteCasterVideoResource { caster_id, .. }
            | Call::DescribeCasterVideoResources { caster_id }
            | Call::AddCasterLayout { caster_id, .. }
            | Call::ModifyCasterLayout { caster_id, .. }
            | Call::DeleteCasterLayout { caster_id, .. }
            | Call::DescribeCasterLayouts { caster_id, .. }
            | Call::AddCasterComponent { caster_id, .. }
            | Call::ModifyCasterComponent { caster_id, .. }
            | Call::DeleteCasterComponent { caster_id, .. }
            | Call::DescribeCasterComponents { caster_id, .. }
            | Call::DescribeCasterScenes { caster_id, .. }
            | Call::CopyCasterSceneConfig { caster_id, .. }
            | Call::DescribeCasterSceneAudio { caster_id, .. } => caster_id,
        }
    }

    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Call::DescribeCasters(_)
                | Call::DescribeCasterConfig { .. }
                | Call::DescribeCasterStreamUrl { .. }
                | Call::DescribeCasterVideoResources { .. }
                | Call::DescribeCasterLayouts { .. }
                | Call::DescribeCasterComponents { .. }
                | Call::DescribeCasterScenes { .. }
                | Call::DescribeCasterSceneAudio { .. }
        )
    }
}

/// Parameters of `CreateCaster`.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(missing_docs, reason = "fields bear the API's names; the proto documents them")]
pub struct CreateCaster {
    pub caster_name: String,
    pub client_token: String,
    pub norm_type: Option<i32>,
    pub charge_type: String,
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

/// What an accepted call answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A write was accepted.
    Written(Written),
    /// A caster, read whole (configuration, audio) or just put on air.
    Caster(Arc<Caster>),
    /// A page of the casters that match.
    Casters {
        /// Casters that match, on all pages.
        total: usize,
        /// This page.
        page: Vec<Arc<Caster>>,
    },
    /// Sources.
    Resources(Arc<Caster>, Vec<Resource>),
    /// Layouts.
    Layouts(Arc<Caster>, Vec<Layout>),
    /// Components.
    Components(Arc<Caster>, Vec<Component>),
    /// Scenes.
    Scenes(Arc<Caster>, Vec<Bus>),
}

impl Answer {
    /// The same answer, telling when the change took effect on air. Answers to reads stay as they are.
    pub fn with_applied(self, applied: Applied) -> Answer {
        match self {
            Answer::Written(written) => {
                Answer::Written(Written { applied: Some(applied), ..written })
            }
            read => read,
        }
    }
}

/// A write was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// On which caster.
    pub caster: CasterId,
    /// The caster's revision after it.
    pub revision: u64,
    /// What was made, changed or deleted.
    pub subject: Subject,
    /// When it took effect, if the caster is on air and shows or sounds it.
    pub applied: Option<Applied>,
}

/// What a write was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The caster itself or a scene.
    Caster,
    /// A source.
    Resource(ResourceId),
    /// A layout.
    Layout(LayoutId),
    /// A component.
    Component(ComponentId),
}

/// When a change took effect on air: `tick` is the first output frame with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Grows by one with each change that the running caster applied.
    pub revision: u64,
    /// First frame with the change.
    pub tick: u64,
}

/// A call that was found valid, not yet durable or in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What becomes durable; none for reads.
    pub change: Option<Change>,
    /// What is answered.
    pub answer: Answer,
    /// What the running caster must do, in this order; the catalog after `change` says with what. Empty when the
    /// caster is not on air. The first that is refused refuses the call.
    pub effects: Vec<Effect>,
}

/// A change of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// This caster is new or replaces its earlier self.
    Upsert(Arc<Caster>),
    /// This caster is gone.
    Delete(CasterId),
}

/// What a running caster must do for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Begin.
    Start,
    /// End.
    Stop,
    /// A source is new: start its input.
    InputAdded(ResourceId),
    /// A source delivers something else: replace its input.
    InputChanged(ResourceId),
    /// A source is gone: stop its input. No scene uses it.
    InputRemoved(ResourceId),
    /// An image component is new or shows another image: load it.
    ImageChanged(ComponentId),
    /// A scene gets its present content (`app::resolve`): `engine::Command::SetScene`.
    SceneSet {
        /// Which scene.
        bus: Bus,
        /// How it is accepted.
        when: When,
    },
    /// PVW becomes PGM: `engine::Command::Take`.
    Take {
        /// How it is accepted.
        when: When,
    },
    /// A scene gets its present mix: `engine::Command::SetMix`.
    MixSet {
        /// Which scene.
        bus: Bus,
    },
    /// Audio-follows-video gets its present setting: `engine::Command::SetFollow`.
    FollowSet,
    /// The list of relays is another.
    RelaysChanged,
}

/// How a switch on PGM is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Ready or not.
    pub force: bool,
    /// How long it may wait for its sources, ms.
    pub wait_ms: u32,
}
