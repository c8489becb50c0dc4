//! Calls, as plain values.
//!
//! Must not know any wire form. Invariant: the calls carry words and numbers as the API names them, unchecked; the
//! rules check them once, for every edge alike. Empty strings and lists mean absent.

use super::draft::{
    AudioDraft, ChannelDraft, ComponentDraft, ConfigDraft, CopyCaster, CreateCaster,
    DescribeCasters, EpisodeDraft, GroupDraft, LayoutDraft, ProgramFilter, RecordAnswer,
    ResourceDraft, SceneDraft, SyncGroupDraft, WayDraft, WhenDraft,
};

/// An operation on the catalog.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "operations and parameters bear the API's names; the proto documents them"
)]
pub enum Call {
    CreateCaster(CreateCaster),
    CopyCaster(CopyCaster),
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
    RestartCaster {
        caster_id: String,
    },
    StartCasterRecording {
        caster_id: String,
    },
    StopCasterRecording {
        caster_id: String,
    },
    /// No client's: what the receiver of callbacks said.
    AnswerCasterRecording {
        caster_id: String,
        answer: RecordAnswer,
    },
    UpdateCasterResourceGroup {
        caster_id: String,
        new_resource_group_id: String,
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
    EffectCasterVideoResource {
        caster_id: String,
        scene_id: String,
        resource_id: String,
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
    DescribeLayoutPresets,
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
        way: WayDraft,
    },
    FadeCasterToBlack {
        caster_id: String,
        on: bool,
        duration_frames: i32,
    },
    DeleteCasterSceneConfig {
        caster_id: String,
        scene_id: String,
        kind: String,
    },
    StartCasterScene {
        caster_id: String,
        scene_id: String,
    },
    StopCasterScene {
        caster_id: String,
        scene_id: String,
    },
    DescribeCasterSceneAudio {
        caster_id: String,
        scene_id: String,
    },
    UpdateCasterSceneAudio(AudioDraft),
    SetCasterChannel(ChannelDraft),
    DescribeCasterChannels {
        caster_id: String,
    },
    EffectCasterUrgent {
        caster_id: String,
        scene_id: String,
    },
    AddCasterEpisode {
        caster_id: String,
        episode: EpisodeDraft,
    },
    ModifyCasterEpisode {
        caster_id: String,
        episode: EpisodeDraft,
    },
    DeleteCasterEpisode {
        caster_id: String,
        episode_id: String,
    },
    AddCasterProgram {
        caster_id: String,
        episodes: Vec<EpisodeDraft>,
    },
    ModifyCasterProgram {
        caster_id: String,
        episodes: Vec<EpisodeDraft>,
    },
    DeleteCasterProgram {
        caster_id: String,
    },
    DescribeCasterProgram(ProgramFilter),
    AddCasterEpisodeGroup(GroupDraft),
    DeleteCasterEpisodeGroup {
        program_id: String,
    },
    SetCasterSyncGroup {
        caster_id: String,
        sync_groups: Vec<SyncGroupDraft>,
    },
    DescribeCasterSyncGroup {
        caster_id: String,
    },
    DescribeCasterRtcInfo {
        caster_id: String,
    },
    SetCasterTimedEvent {
        caster_id: String,
        event_name: String,
        start_time_unix_ms: Option<i64>,
    },
}

impl Call {
    /// The caster that it is about, as the client wrote it; empty when it is about none or makes one.
    pub fn caster_id(&self) -> &str {
        match self {
            Call::CreateCaster(_)
            | Call::CopyCaster(_)
            | Call::DescribeCasters(_)
            | Call::DescribeLayoutPresets
            | Call::AddCasterEpisodeGroup(_)
            | Call::DeleteCasterEpisodeGroup { .. } => "",
            Call::SetCasterChannel(draft) => &draft.caster_id,
            Call::DescribeCasterProgram(filter) => &filter.caster_id,
            Call::SetCasterSceneConfig(draft) | Call::UpdateCasterSceneConfig(draft) => {
                &draft.caster_id
            }
            Call::UpdateCasterSceneAudio(draft) => &draft.caster_id,
            Call::DeleteCaster { caster_id }
            | Call::SetCasterConfig { caster_id, .. }
            | Call::DescribeCasterConfig { caster_id }
            | Call::StartCaster { caster_id }
            | Call::StopCaster { caster_id }
            | Call::RestartCaster { caster_id }
            | Call::StartCasterRecording { caster_id }
            | Call::StopCasterRecording { caster_id }
            | Call::AnswerCasterRecording { caster_id, .. }
            | Call::UpdateCasterResourceGroup { caster_id, .. }
            | Call::EffectCasterVideoResource { caster_id, .. }
            | Call::DeleteCasterSceneConfig { caster_id, .. }
            | Call::StartCasterScene { caster_id, .. }
            | Call::StopCasterScene { caster_id, .. }
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
            | Call::FadeCasterToBlack { caster_id, .. }
            | Call::DescribeCasterSceneAudio { caster_id, .. }
            | Call::DescribeCasterChannels { caster_id }
            | Call::EffectCasterUrgent { caster_id, .. }
            | Call::AddCasterEpisode { caster_id, .. }
            | Call::ModifyCasterEpisode { caster_id, .. }
            | Call::DeleteCasterEpisode { caster_id, .. }
            | Call::AddCasterProgram { caster_id, .. }
            | Call::ModifyCasterProgram { caster_id, .. }
            | Call::DeleteCasterProgram { caster_id }
            | Call::SetCasterSyncGroup { caster_id, .. }
            | Call::DescribeCasterSyncGroup { caster_id }
            | Call::DescribeCasterRtcInfo { caster_id }
            | Call::SetCasterTimedEvent { caster_id, .. } => caster_id,
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
                | Call::DescribeLayoutPresets
                | Call::DescribeCasterComponents { .. }
                | Call::DescribeCasterScenes { .. }
                | Call::DescribeCasterSceneAudio { .. }
                | Call::DescribeCasterChannels { .. }
                | Call::DescribeCasterProgram(_)
                | Call::DescribeCasterSyncGroup { .. }
                | Call::DescribeCasterRtcInfo { .. }
        )
    }
}
