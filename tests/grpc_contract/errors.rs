//! Every error code, provoked through the edge; a refused call changes nothing.

use std::collections::BTreeSet;

use onair::api::grpc::IF_REVISION_METADATA;
use onair::api::grpc::pb::{
    AddCasterComponentRequest, AddCasterEpisodeGroupRequest, AddCasterEpisodeRequest,
    AddCasterLayoutRequest, AddCasterProgramRequest, AddCasterVideoResourceRequest, CasterConfig,
    CopyCasterSceneConfigRequest, CreateCasterRequest, DeleteCasterEpisodeGroupRequest,
    DeleteCasterEpisodeRequest, DeleteCasterLayoutRequest, DeleteCasterRequest,
    DeleteCasterVideoResourceRequest, DescribeCasterConfigRequest, DescribeCasterLayoutsRequest,
    DescribeCasterScenesRequest, DescribeCastersRequest, EffectCasterUrgentRequest, Episode,
    Layout, ModifyCasterComponentRequest, RestartCasterRequest, Scene, SetCasterChannelRequest,
    SetCasterConfigRequest, SetCasterSceneConfigRequest, SetCasterTimedEventRequest,
    StartCasterRequest, StopCasterRequest, UpdateCasterResourceGroupRequest,
    UpdateCasterSceneAudioRequest, VideoLayer, VideoResource, WatchCasterRequest,
};
use onair::catalog::ErrorCode::{self, *};
use onair::limits;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::app::{CLIP, CLIP_MS, Client, NEVER_READY, Server};
use super::workflow::{self, Ids};

/// Calls a method, wants this refusal, wants the catalog as it was.
macro_rules! refused {
    ($world:ident, $code:expr, $method:ident($request:expr)) => {{
        let before = $world.server.catalog();
        let status = $world.client.$method($request).await.expect_err(stringify!($request));
        $world.seen(&status, $code);
        assert_eq!($world.server.catalog(), before, "{status:?}");
    }};
}

struct World {
    server: Server,
    client: Client,
    /// On air.
    ids: Ids,
    pvw: Scene,
    pgm: Scene,
    seen: BTreeSet<ErrorCode>,
}

impl World {
    async fn new() -> World {
        let server = Server::start().await;
        let mut client = server.client.clone();
        let ids = workflow::prepare(&mut client, "on-air").await;
        let (pvw, pgm) = workflow::start(&mut client, &ids.caster).await;
        World { server, client, ids, pvw, pgm, seen: BTreeSet::new() }
    }

    fn seen(&mut self, status: &Status, code: ErrorCode) {
        let info = status.get_details_error_info().unwrap_or_else(|| panic!("{status:?}"));
        assert_eq!(info.reason, code.as_str(), "{status:?}");
        assert_eq!(info.domain, "onair");
        assert_eq!(info.metadata["http_status"], code.http_status().to_string());
        assert_ne!(status.code(), Code::Unknown);
        assert!(!status.message().is_empty());
        self.seen.insert(code);
    }

    fn caster(&self) -> String {
        self.ids.caster.clone()
    }

    fn set_pgm(&self, layout_id: &str) -> SetCasterSceneConfigRequest {
        SetCasterSceneConfigRequest {
            caster_id: self.caster(),
            scene_id: self.pgm.scene_id.clone(),
            layout_id: layout_id.into(),
            ..Default::default()
        }
    }

    fn take(&self) -> CopyCasterSceneConfigRequest {
        CopyCasterSceneConfigRequest {
            caster_id: self.caster(),
            from_scene_id: self.pvw.scene_id.clone(),
            to_scene_id: self.pgm.scene_id.clone(),
            ..Default::default()
        }
    }

    fn add(&self, video_resource: VideoResource) -> AddCasterVideoResourceRequest {
        AddCasterVideoResourceRequest {
            caster_id: self.caster(),
            video_resource: Some(video_resource),
        }
    }

    fn add_layout(&self, layout: Layout) -> AddCasterLayoutRequest {
        let caster_id = self.caster();
        AddCasterLayoutRequest { caster_id, layout: Some(layout), preset: String::new() }
    }
}

#[tokio::test]
async fn every_code_arises_and_changes_nothing() {
    let mut world = World::new().await;
    casters(&mut world).await;
    configs(&mut world).await;
    resources(&mut world).await;
    layouts_and_components(&mut world).await;
    scenes(&mut world).await;
    standby(&mut world).await;
    channels(&mut world).await;
    rundown(&mut world).await;
    revisions(&mut world).await;
    readiness(&mut world).await;
    numbers(&mut world).await;
    gone(&mut world).await;
    // Those of the access keys are in `edges`.
    world.seen.extend([AccessKeyIdMissing, AccessKeyIdNotFound, AccessKeyIdInactive]);
    world.seen.extend([IllegalOperation, PermissionDenied]);
    let missing: Vec<_> =
        ErrorCode::ALL.iter().filter(|c| !c.is_of_the_wire() && !world.seen.contains(c)).collect();
    assert!(missing.is_empty(), "never provoked: {missing:?}");
}

async fn casters(world: &mut World) {
    let create = || CreateCasterRequest {
        caster_name: String::new(),
        client_token: "another".into(),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    let no_token = CreateCasterRequest { client_token: String::new(), ..create() };
    let carousel = CreateCasterRequest { norm_type: Some(3), ..create() };
    let prepaid = CreateCasterRequest { charge_type: "PrePaid".into(), ..create() };
    refused!(world, MissingParameter, create_caster(no_token));
    refused!(world, NormTypeMalformed, create_caster(carousel));
    refused!(world, ChargeTypeMalformed, create_caster(prepaid));
    let list = DescribeCastersRequest::default;
    let status = DescribeCastersRequest { status: Some(7), ..list() };
    let page_num = DescribeCastersRequest { page_num: Some(0), ..list() };
    let page_size = DescribeCastersRequest { page_size: Some(101), ..list() };
    let start = DescribeCastersRequest { start_time_unix_ms: Some(-1), ..list() };
    let end = DescribeCastersRequest { end_time_unix_ms: Some(-1), ..list() };
    refused!(world, StatusMalformed, describe_casters(status));
    refused!(world, PageNumMalformed, describe_casters(page_num));
    refused!(world, PageSizeMalformed, describe_casters(page_size));
    refused!(world, StartTimeMalformed, describe_casters(start));
    refused!(world, EndTimeMalformed, describe_casters(end));
    let id = |text: &str| DeleteCasterRequest { caster_id: text.into() };
    refused!(world, CasterIdMalformed, delete_caster(id("")));
    refused!(world, CasterIdMalformed, delete_caster(id(&"x".repeat(65))));
    refused!(world, CasterNotFound, delete_caster(id("nobody")));
    refused!(world, CasterInUse, delete_caster(id(&world.caster())));
    let watch = |id: &str, ms| WatchCasterRequest {
        caster_id: id.into(),
        min_interval_ms: Some(ms),
        ..Default::default()
    };
    refused!(world, CasterIdMalformed, watch_caster(watch("", 0)));
    refused!(world, CasterNotFound, watch_caster(watch("nobody", 0)));
    refused!(world, ParameterMalformed, watch_caster(watch(&world.caster(), -1)));
}

async fn configs(world: &mut World) {
    let caster_id = workflow::create(&mut world.client, "unconfigured").await;
    let start = || StartCasterRequest { caster_id: caster_id.clone() };
    let stop = StopCasterRequest { caster_id: caster_id.clone() };
    refused!(world, SceneNotFound, stop_caster(stop));
    refused!(world, DomainNameNotFound, start_caster(start()));
    let scenes =
        DescribeCasterScenesRequest { caster_id: caster_id.clone(), scene_id: String::new() };
    refused!(world, DomainNameNotFound, describe_caster_scenes(scenes));
    let mut config = workflow::config();
    config.transcode_config = None;
    let request = SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
    world.client.set_caster_config(request).await.unwrap();
    refused!(world, ConfigurationNotFound, start_caster(start()));
    let mut config = workflow::config();
    config.domain_name.clear();
    let request = SetCasterConfigRequest { caster_id: world.caster(), config: Some(config) };
    refused!(world, CasterInUse, set_caster_config(request));
    let twice = StartCasterRequest { caster_id: world.caster() };
    refused!(world, CasterInUse, start_caster(twice));
}

async fn resources(world: &mut World) {
    let camera = || workflow::camera("RV09");
    let taken = world.add(workflow::camera("RV01"));
    let no_place = world.add(VideoResource { location_id: String::new(), ..camera() });
    let no_source = world.add(VideoResource { live_stream_url: String::new(), ..camera() });
    let scheme = world.add(VideoResource { live_stream_url: "gopher://a/b".into(), ..camera() });
    let material = VideoResource { live_stream_url: String::new(), ..camera() };
    let material = world.add(VideoResource { material_id: "m".into(), ..material });
    refused!(world, DuplicateLocationId, add_caster_video_resource(taken));
    refused!(world, MissingParameter, add_caster_video_resource(no_place));
    refused!(world, ParameterMalformed, add_caster_video_resource(no_source));
    refused!(world, LiveStreamUrlMalformed, add_caster_video_resource(scheme));
    refused!(world, MaterialIdMalformed, add_caster_video_resource(material));
    let delete = |id: &str| DeleteCasterVideoResourceRequest {
        caster_id: world.caster(),
        resource_id: id.into(),
    };
    let (empty, unknown) = (delete(""), delete("nobody"));
    refused!(world, ResourceIdMalformed, delete_caster_video_resource(empty));
    refused!(world, ResourceNotFound, delete_caster_video_resource(unknown));
}

async fn layouts_and_components(world: &mut World) {
    let layout = || workflow::layout(&["RV01", "RV02"]);
    let mut fewer = layout();
    fewer.video_layers.pop();
    let mut lopsided = layout();
    lopsided.video_layers[0].position_normalized.pop();
    let mut wide = layout();
    wide.video_layers[0] = VideoLayer { width_normalized: 2.0, ..VideoLayer::default() };
    for (layout, code) in [
        (fewer, VideoLayersMismatch),
        (lopsided, PositionMalformed),
        (wide, ParameterMalformed),
        (workflow::layout(&["RV01", "RV55"]), ResourceNotFound),
        (Layout::default(), MissingParameter),
    ] {
        let request = world.add_layout(layout);
        refused!(world, code, add_caster_layout(request));
    }
    let unknown =
        DescribeCasterLayoutsRequest { caster_id: world.caster(), layout_id: "nobody".into() };
    refused!(world, LayoutNotFound, describe_caster_layouts(unknown));
    for kind in ["caption", "html", "video"] {
        let mut component = workflow::title("RC02");
        component.component_type = kind.into();
        let request =
            AddCasterComponentRequest { caster_id: world.caster(), component: Some(component) };
        refused!(world, ParameterMalformed, add_caster_component(request));
    }
    let request = ModifyCasterComponentRequest {
        caster_id: world.caster(),
        component_id: "nobody".into(),
        component: None,
    };
    refused!(world, ComponentNotFound, modify_caster_component(request));
}

async fn scenes(world: &mut World) {
    let layout_id = world.ids.layout.clone();
    let request = || world.set_pgm(&layout_id);
    let no_scene = SetCasterSceneConfigRequest { scene_id: String::new(), ..request() };
    let bad_scene = SetCasterSceneConfigRequest { scene_id: "nobody".into(), ..request() };
    let bad_layout = SetCasterSceneConfigRequest { layout_id: "nobody".into(), ..request() };
    let good = request();
    refused!(world, SceneIdMalformed, set_caster_scene_config(no_scene));
    refused!(world, SceneNotFound, set_caster_scene_config(bad_scene));
    refused!(world, LayoutNotFound, set_caster_scene_config(bad_layout));
    let audio = UpdateCasterSceneAudioRequest {
        caster_id: world.caster(),
        scene_id: world.pgm.scene_id.clone(),
        mix_list: vec!["RV01".into()],
        ..Default::default()
    };
    refused!(world, AudioLayersMismatch, update_caster_scene_audio(audio));
    let nothing_on_pvw = world.take();
    refused!(world, LayoutNotFound, copy_caster_scene_config(nothing_on_pvw));
    world.client.set_caster_scene_config(good.clone()).await.unwrap();
    let on_air = DeleteCasterLayoutRequest { caster_id: world.caster(), layout_id };
    refused!(world, SceneInUse, delete_caster_layout(on_air));
    let stop = || StopCasterRequest { caster_id: good.caster_id.clone() };
    world.client.stop_caster(stop()).await.unwrap();
    let take = world.take();
    refused!(world, SceneNotStarted, set_caster_scene_config(good.clone()));
    refused!(world, SceneNotStarted, copy_caster_scene_config(take));
    refused!(world, SceneNotStarted, stop_caster(stop()));
    let restart = RestartCasterRequest { caster_id: good.caster_id.clone() };
    refused!(world, CasterIdle, restart_caster(restart));
    workflow::start(&mut world.client, &good.caster_id).await;
}

async fn standby(world: &mut World) {
    let effect = |scene: &Scene| EffectCasterUrgentRequest {
        caster_id: world.ids.caster.clone(),
        scene_id: scene.scene_id.clone(),
    };
    let (on_pgm, on_pvw) = (effect(&world.pgm), effect(&world.pvw));
    refused!(world, ParameterMalformed, effect_caster_urgent(on_pvw));
    let none = CasterConfig {
        urgent_live_stream_url: String::new(),
        urgent_image_url: String::new(),
        ..workflow::config()
    };
    let config = |config| SetCasterConfigRequest { caster_id: on_pgm.caster_id.clone(), config };
    world.client.effect_caster_urgent(on_pgm.clone()).await.unwrap();
    refused!(world, SceneInUse, set_caster_config(config(Some(none.clone()))));
    let back = world.set_pgm("");
    world.client.set_caster_scene_config(back).await.unwrap();
    world.client.set_caster_config(config(Some(none))).await.unwrap();
    refused!(world, UrgentMaterialNotFound, effect_caster_urgent(on_pgm.clone()));
}

async fn channels(world: &mut World) {
    let caster_id = workflow::create(&mut world.client, "channels").await;
    let set = |channel: &str, resource_id: &str| SetCasterChannelRequest {
        caster_id: caster_id.clone(),
        channel_id: channel.into(),
        resource_id: resource_id.into(),
        ..Default::default()
    };
    refused!(world, ChannelDisabled, set_caster_channel(set("RV01", "r")));
    let config = |channel_enable| SetCasterConfigRequest {
        caster_id: caster_id.clone(),
        config: Some(CasterConfig { channel_enable, ..workflow::config() }),
    };
    world.client.set_caster_config(config(true)).await.unwrap();
    refused!(world, ChannelDisableUnsupported, set_caster_config(config(false)));
    let add = AddCasterVideoResourceRequest {
        caster_id: caster_id.clone(),
        video_resource: Some(workflow::camera("RV01")),
    };
    let added = world.client.add_caster_video_resource(add).await.unwrap().into_inner();
    let id = &added.resource_id;
    refused!(world, ParameterMalformed, set_caster_channel(set("RV13", id)));
    refused!(world, MissingParameter, set_caster_channel(set("RV01", "")));
    refused!(world, ResourceNotFound, set_caster_channel(set("RV01", "nobody")));
    let seek = SetCasterChannelRequest { seek_offset: Some(1), ..set("RV01", id) };
    refused!(world, ParameterMalformed, set_caster_channel(seek));
    world.client.set_caster_channel(set("RV01", id)).await.unwrap();
    refused!(world, ResourceOfChannelExist, set_caster_channel(set("RV02", id)));
}

async fn rundown(world: &mut World) {
    let clip = VideoResource {
        live_stream_url: String::new(),
        material_id: CLIP.into(),
        ..workflow::camera("RV10")
    };
    let add = world.add(clip);
    let added = world.client.add_caster_video_resource(add).await.unwrap().into_inner();
    let episode = |start, end| Episode {
        episode_type: "Resource".into(),
        resource_id: added.resource_id.clone(),
        start_time_unix_ms: start,
        end_time_unix_ms: end,
        ..Default::default()
    };
    let too_long = i64::try_from(CLIP_MS).unwrap() + 1;
    let of_camera = Episode {
        resource_id: world.ids.resources[0].clone(),
        switch_type: "ContentFirst".into(),
        ..episode(Some(0), Some(1))
    };
    for (episode, code) in [
        (Episode::default(), MissingParameter),
        (episode(None, Some(1)), MissingParameter),
        (episode(Some(-1), Some(1)), StartTimeMalformed),
        (episode(Some(1), Some(1)), EndTimeMalformed),
        (episode(Some(0), Some(too_long)), EpisodeTooLong),
        (of_camera, ParameterMalformed),
        (Episode { resource_id: "nobody".into(), ..episode(Some(0), Some(1)) }, ResourceNotFound),
        (
            Episode { component_ids: vec!["nobody".into()], ..episode(Some(0), Some(1)) },
            ComponentNotFound,
        ),
    ] {
        let caster_id = world.caster();
        let one = AddCasterEpisodeRequest {
            caster_id: caster_id.clone(),
            episode: Some(episode.clone()),
        };
        refused!(world, code, add_caster_episode(one));
        let fine = Episode { start_time_unix_ms: Some(0), ..workflow::episode(&world.ids) };
        let several = AddCasterProgramRequest { caster_id, episodes: vec![fine, episode] };
        refused!(world, code, add_caster_program(several));
    }
    let delete =
        DeleteCasterEpisodeRequest { caster_id: world.caster(), episode_id: "nobody".into() };
    refused!(world, EpisodeNotFound, delete_caster_episode(delete));
    let groups =
        |program_id: &str| DeleteCasterEpisodeGroupRequest { program_id: program_id.into() };
    refused!(world, MissingParameter, delete_caster_episode_group(groups("")));
    refused!(world, ProgramNotFound, delete_caster_episode_group(groups("nobody")));
    let group = AddCasterEpisodeGroupRequest { client_token: "g".into(), episode_group: None };
    refused!(world, MissingParameter, add_caster_episode_group(group));
    let over = SetCasterTimedEventRequest {
        caster_id: world.caster(),
        event_name: "StopCaster".into(),
        start_time_unix_ms: Some(1),
    };
    refused!(world, StartTimeMalformed, set_caster_timed_event(over));
}

/// Who expects another revision changes nothing; reads do not ask.
async fn revisions(world: &mut World) {
    let caster_id = world.caster();
    let expecting = |revision: &str| {
        let mut request = tonic::Request::new(UpdateCasterResourceGroupRequest {
            caster_id: caster_id.clone(),
            new_resource_group_id: "rg".into(),
        });
        request.metadata_mut().insert(IF_REVISION_METADATA, revision.parse().unwrap());
        request
    };
    let mut read =
        tonic::Request::new(DescribeCasterConfigRequest { caster_id: caster_id.clone() });
    read.metadata_mut().insert(IF_REVISION_METADATA, "1".parse().unwrap());
    let now = world.client.describe_caster_config(read).await.unwrap().into_inner().revision;
    refused!(world, RevisionMismatch, update_caster_resource_group(expecting("1")));
    refused!(world, ParameterMalformed, update_caster_resource_group(expecting("one")));
    let request = expecting(&now.to_string());
    let written = world.client.update_caster_resource_group(request).await.unwrap().into_inner();
    assert_eq!(written.revision, now + 1);
    let other = workflow::create(&mut world.client, "revisions").await;
    let mut delete = tonic::Request::new(DeleteCasterRequest { caster_id: other });
    delete.metadata_mut().insert(IF_REVISION_METADATA, "7".parse().unwrap());
    refused!(world, RevisionMismatch, delete_caster(delete));
}

/// A switch on PGM to a source that has no frame ready is refused, unless it is forced.
async fn readiness(world: &mut World) {
    let add = world.add(workflow::camera(NEVER_READY));
    world.client.add_caster_video_resource(add).await.unwrap();
    let add = world.add_layout(workflow::layout(&[NEVER_READY]));
    let layout_id = world.client.add_caster_layout(add).await.unwrap().into_inner().layout_id;
    let mut set = world.set_pgm(&layout_id);
    refused!(world, SceneConfigError, set_caster_scene_config(set.clone()));
    set.scene_id.clone_from(&world.pvw.scene_id);
    world.client.set_caster_scene_config(set).await.unwrap();
    let take = world.take();
    refused!(world, SceneConfigError, copy_caster_scene_config(take.clone()));
    let forced = CopyCasterSceneConfigRequest { force: true, ..take };
    world.client.copy_caster_scene_config(forced).await.unwrap();
}

async fn numbers(world: &mut World) {
    world.server.fill(limits::MAX_CASTERS);
    let request = CreateCasterRequest {
        client_token: "one-too-many".into(),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    refused!(world, CasterNumberExceed, create_caster(request));
    for n in 1..=limits::MAX_RESOURCES {
        let request = world.add(workflow::camera(&format!("RV{n:02}")));
        // Some of the places are taken.
        let _ = world.client.add_caster_video_resource(request).await;
    }
    let request = world.add(workflow::camera("RV01"));
    refused!(world, ResourceNumberExceed, add_caster_video_resource(request));
}

async fn gone(world: &mut World) {
    world.server.kill_app().await;
    let request = StartCasterRequest { caster_id: world.caster() };
    refused!(world, Internal, start_caster(request));
}
