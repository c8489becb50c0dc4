//! The operations of the API: what each is called, asks for, becomes and answers.
//!
//! Must not know signatures or envelopes. Invariant: an operation is one entry of the table.

use serde_json::Value;

use super::fault::Fault;
use super::params::Params;
use super::{answers, calls, outside};
use crate::api::addresses::Addresses;
use crate::catalog::{Answer, Call, ErrorCode, Refused};

/// The one version of the API.
const VERSION: &str = "2016-11-01";

/// An operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// Its name, `Action` on the wire.
    pub(super) name: &'static str,
    /// Calls per second that the API's documentation grants an account.
    pub(super) qps: u32,
    /// Parameters whose absence the gateway refuses (`Missing{Param}`).
    pub(super) required: &'static [&'static str],
    /// Its parameters as a call.
    pub(super) call: fn(&Params) -> Result<Call, Fault>,
    /// Its answer, without `RequestId`.
    pub(super) render: fn(Answer, &Addresses) -> Result<Value, Refused>,
}

/// `Name qps [required…] params → answer`
macro_rules! operations {
    ($($name:ident $qps:literal [$($required:ident)*] $call:ident $render:ident)*) => {
        /// Every operation.
        pub(super) const OPERATIONS: &[Operation] = &[
            $(Operation {
                name: stringify!($name),
                qps: $qps,
                required: &[$(stringify!($required)),*],
                call: calls::$call,
                render: answers::$render,
            },)*
        ];
    };
}

operations! {
    CreateCaster 10 [ClientToken NormType ChargeType] create_caster caster_id
    CopyCaster 10 [SrcCasterId CasterName ClientToken] copy_caster caster_id
    DeleteCaster 10 [CasterId] delete_caster caster_id
    DescribeCasters 15 [] describe_casters casters
    SetCasterConfig 10 [CasterId] set_config caster_id
    DescribeCasterConfig 15 [CasterId] describe_caster_config config
    StartCaster 10 [CasterId] start_caster started
    StopCaster 10 [CasterId] stop_caster nothing
    RestartCaster 10 [CasterId] restart_caster nothing
    UpdateCasterResourceGroup 10 [CasterId NewResourceGroupId] update_resource_group nothing
    DescribeCasterStreamUrl 15 [CasterId] describe_stream_url streams
    AddCasterVideoResource 10 [CasterId ResourceName] add_resource resource_id
    ModifyCasterVideoResource 10 [CasterId ResourceId] modify_resource caster_and_resource_id
    EffectCasterVideoResource 10 [CasterId SceneId ResourceId] effect_resource nothing
    DeleteCasterVideoResource 10 [CasterId ResourceId] delete_resource nothing
    DescribeCasterVideoResources 15 [CasterId] describe_resources resources
    AddCasterLayout 10 [CasterId BlendList VideoLayer MixList AudioLayer] add_layout layout_id
    ModifyCasterLayout 10 [CasterId LayoutId] modify_layout layout_id
    DeleteCasterLayout 10 [CasterId LayoutId] delete_layout caster_and_layout_id
    DescribeCasterLayouts 15 [CasterId] describe_layouts layouts
    AddCasterComponent 10 [CasterId LocationId ComponentType ComponentLayer] add_component component_id
    ModifyCasterComponent 10 [CasterId ComponentId] modify_component component_id
    DeleteCasterComponent 10 [CasterId ComponentId] delete_component caster_and_component_id
    DescribeCasterComponents 15 [CasterId] describe_components components
    DescribeCasterScenes 15 [CasterId] describe_scenes scenes
    SetCasterSceneConfig 10 [CasterId SceneId] set_scene nothing
    UpdateCasterSceneConfig 10 [CasterId SceneId] update_scene nothing
    CopyCasterSceneConfig 10 [CasterId FromSceneId ToSceneId] copy_scene nothing
    DeleteCasterSceneConfig 10 [CasterId SceneId Type] delete_scene_config nothing
    StartCasterScene 10 [CasterId SceneId] start_scene scene_url
    StopCasterScene 10 [CasterId SceneId] stop_scene nothing
    DescribeCasterSceneAudio 15 [CasterId SceneId] describe_scene_audio scene_audio
    UpdateCasterSceneAudio 10 [CasterId SceneId] update_scene_audio nothing
    SetCasterChannel 10 [CasterId ChannelId] set_channel nothing
    DescribeCasterChannels 15 [CasterId] describe_channels channels
    EffectCasterUrgent 10 [CasterId SceneId] effect_urgent nothing
    // SwitchType means nothing for components, and the first clients left it out.
    AddCasterEpisode 4 [CasterId EpisodeType StartTime EndTime] add_episode episode_id
    ModifyCasterEpisode 4 [CasterId EpisodeId] modify_episode caster_and_episode_id
    DeleteCasterEpisode 4 [CasterId EpisodeId] delete_episode caster_and_episode_id
    AddCasterProgram 10 [CasterId Episode] add_program episode_ids
    ModifyCasterProgram 4 [CasterId Episode] modify_program caster_id
    DeleteCasterProgram 4 [CasterId] delete_program caster_id
    DescribeCasterProgram 4 [CasterId] describe_program program
    AddCasterEpisodeGroup 4 [ClientToken DomainName StartTime RepeatNum SideOutputUrl CallbackUrl Item]
        add_group group_ids
    AddCasterEpisodeGroupContent 4 [ClientToken Content] add_group_content group_ids
    DeleteCasterEpisodeGroup 4 [ProgramId] delete_group group_gone
    // Of older clients; their limits are not documented.
    SetCasterSyncGroup 10 [CasterId SyncGroup] set_sync_group nothing
    DescribeCasterSyncGroup 15 [CasterId] describe_sync_group sync_groups
    DescribeCasterRtcInfo 15 [CasterId] describe_rtc_info rtc_info
    SetCasterTimedEvent 10 [CasterId EventName StartTimeUTC] set_timed_event nothing
}

/// The operation of this name and version.
///
/// # Errors
/// `InvalidApi.NotFound`, `InvalidVersion`.
pub(super) fn find(action: &str, version: &str) -> Result<&'static Operation, Fault> {
    let mut all = OPERATIONS.iter().chain(outside::OPERATIONS);
    let operation = all.find(|operation| operation.name == action);
    let operation = operation.ok_or(ErrorCode::ApiNotFound)?;
    if version != VERSION {
        return Err(ErrorCode::VersionInvalid.into());
    }
    Ok(operation)
}
