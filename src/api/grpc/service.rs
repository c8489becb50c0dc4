//! The methods of `CasterService`: each is a call, its answer rendered.
//!
//! Must not know rules or fields. Invariants: one line per method; a call is made only for a key whose role may.

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::super::addresses::Addresses;
use super::super::control::Control;
use super::super::keys::{AccessKey, AccessKeys, Role};
use super::answers::Render;
use super::pb::caster_service_server::CasterService;
use super::status::{bad_key, missing_key, status};
use super::{IF_REVISION_METADATA, pb, watch};
use crate::catalog::{Call, ErrorCode, Refused};

pub(super) struct Service {
    control: Control,
    keys: Arc<AccessKeys>,
    addresses: Arc<Addresses>,
    closed: tokio::sync::watch::Receiver<bool>,
}

impl Service {
    /// `closed` turns true when the server is told to stop.
    pub(super) fn new(
        control: Control,
        keys: Arc<AccessKeys>,
        addresses: Arc<Addresses>,
        closed: tokio::sync::watch::Receiver<bool>,
    ) -> Service {
        Service { control, keys, addresses, closed }
    }

    async fn call<Q: Into<Call>, A: Render>(
        &self,
        request: Request<Q>,
    ) -> Result<Response<A>, Status> {
        let key = bearer(&request)?;
        let expected_revision = expected_revision(&request).map_err(status)?;
        let call: Call = request.into_inner().into();
        if !key.role().may(&call) {
            return Err(status(Role::refusal(&call).into()));
        }
        let answer = self.control.call_if(call, expected_revision).await.map_err(status)?;
        A::render(answer, &self.addresses).map(Response::new).map_err(status)
    }
}

/// The key that the call was let in with.
pub(super) fn bearer<Q>(request: &Request<Q>) -> Result<Arc<AccessKey>, Status> {
    request.extensions().get().cloned().ok_or_else(missing_key)
}

/// The revision that the call expects its caster to have, if it says so.
fn expected_revision<Q>(request: &Request<Q>) -> Result<Option<u64>, Refused> {
    let Some(value) = request.metadata().get(IF_REVISION_METADATA) else { return Ok(None) };
    let revision = value.to_str().ok().and_then(|text| text.parse().ok());
    revision.map(Some).ok_or_else(|| {
        let message = format!("{IF_REVISION_METADATA} must be a revision of a caster.");
        Refused::new(ErrorCode::ParameterMalformed, message)
    })
}

macro_rules! caster_service {
    ($($method:ident $request:ident $response:ident)*) => {
        #[tonic::async_trait]
        impl CasterService for Service {
            $(
                async fn $method(
                    &self,
                    request: Request<pb::$request>,
                ) -> Result<Response<pb::$response>, Status> {
                    self.call(request).await
                }
            )*

            type WatchCasterStream = ReceiverStream<Result<pb::WatchCasterResponse, Status>>;

            async fn watch_caster(
                &self,
                request: Request<pb::WatchCasterRequest>,
            ) -> Result<Response<Self::WatchCasterStream>, Status> {
                // Every role may watch, for as long as the key is good.
                let (key, keys) = (bearer(&request)?, Arc::clone(&self.keys));
                let admitted = move || keys.get(key.id()).map(drop).map_err(bad_key);
                let closed = self.closed.clone();
                let states =
                    watch::start(&self.control, request.into_inner(), admitted, closed).await;
                states.map(Response::new).map_err(status)
            }
        }
    };
}

caster_service! {
    create_caster CreateCasterRequest CreateCasterResponse
    copy_caster CopyCasterRequest CopyCasterResponse
    delete_caster DeleteCasterRequest DeleteCasterResponse
    describe_casters DescribeCastersRequest DescribeCastersResponse
    set_caster_config SetCasterConfigRequest SetCasterConfigResponse
    describe_caster_config DescribeCasterConfigRequest DescribeCasterConfigResponse
    start_caster StartCasterRequest StartCasterResponse
    stop_caster StopCasterRequest StopCasterResponse
    restart_caster RestartCasterRequest RestartCasterResponse
    start_caster_recording StartCasterRecordingRequest StartCasterRecordingResponse
    stop_caster_recording StopCasterRecordingRequest StopCasterRecordingResponse
    update_caster_resource_group UpdateCasterResourceGroupRequest UpdateCasterResourceGroupResponse
    describe_caster_stream_url DescribeCasterStreamUrlRequest DescribeCasterStreamUrlResponse
    add_caster_video_resource AddCasterVideoResourceRequest AddCasterVideoResourceResponse
    modify_caster_video_resource ModifyCasterVideoResourceRequest ModifyCasterVideoResourceResponse
    effect_caster_video_resource EffectCasterVideoResourceRequest EffectCasterVideoResourceResponse
    delete_caster_video_resource DeleteCasterVideoResourceRequest DeleteCasterVideoResourceResponse
    describe_caster_video_resources DescribeCasterVideoResourcesRequest DescribeCasterVideoResourcesResponse
    add_caster_layout AddCasterLayoutRequest AddCasterLayoutResponse
    modify_caster_layout ModifyCasterLayoutRequest ModifyCasterLayoutResponse
    delete_caster_layout DeleteCasterLayoutRequest DeleteCasterLayoutResponse
    describe_caster_layouts DescribeCasterLayoutsRequest DescribeCasterLayoutsResponse
    describe_layout_presets DescribeLayoutPresetsRequest DescribeLayoutPresetsResponse
    add_caster_component AddCasterComponentRequest AddCasterComponentResponse
    modify_caster_component ModifyCasterComponentRequest ModifyCasterComponentResponse
    delete_caster_component DeleteCasterComponentRequest DeleteCasterComponentResponse
    describe_caster_components DescribeCasterComponentsRequest DescribeCasterComponentsResponse
    describe_caster_scenes DescribeCasterScenesRequest DescribeCasterScenesResponse
    set_caster_scene_config SetCasterSceneConfigRequest SetCasterSceneConfigResponse
    update_caster_scene_config UpdateCasterSceneConfigRequest UpdateCasterSceneConfigResponse
    copy_caster_scene_config CopyCasterSceneConfigRequest CopyCasterSceneConfigResponse
    delete_caster_scene_config DeleteCasterSceneConfigRequest DeleteCasterSceneConfigResponse
    start_caster_scene StartCasterSceneRequest StartCasterSceneResponse
    stop_caster_scene StopCasterSceneRequest StopCasterSceneResponse
    describe_caster_scene_audio DescribeCasterSceneAudioRequest DescribeCasterSceneAudioResponse
    update_caster_scene_audio UpdateCasterSceneAudioRequest UpdateCasterSceneAudioResponse
    effect_caster_urgent EffectCasterUrgentRequest EffectCasterUrgentResponse
    fade_caster_to_black FadeCasterToBlackRequest FadeCasterToBlackResponse
    set_caster_channel SetCasterChannelRequest SetCasterChannelResponse
    describe_caster_channels DescribeCasterChannelsRequest DescribeCasterChannelsResponse
    add_caster_episode AddCasterEpisodeRequest AddCasterEpisodeResponse
    modify_caster_episode ModifyCasterEpisodeRequest ModifyCasterEpisodeResponse
    delete_caster_episode DeleteCasterEpisodeRequest DeleteCasterEpisodeResponse
    add_caster_program AddCasterProgramRequest AddCasterProgramResponse
    modify_caster_program ModifyCasterProgramRequest ModifyCasterProgramResponse
    delete_caster_program DeleteCasterProgramRequest DeleteCasterProgramResponse
    describe_caster_program DescribeCasterProgramRequest DescribeCasterProgramResponse
    add_caster_episode_group AddCasterEpisodeGroupRequest AddCasterEpisodeGroupResponse
    add_caster_episode_group_content AddCasterEpisodeGroupContentRequest AddCasterEpisodeGroupContentResponse
    delete_caster_episode_group DeleteCasterEpisodeGroupRequest DeleteCasterEpisodeGroupResponse
    set_caster_sync_group SetCasterSyncGroupRequest SetCasterSyncGroupResponse
    describe_caster_sync_group DescribeCasterSyncGroupRequest DescribeCasterSyncGroupResponse
    describe_caster_rtc_info DescribeCasterRtcInfoRequest DescribeCasterRtcInfoResponse
    set_caster_timed_event SetCasterTimedEventRequest SetCasterTimedEventResponse
}
