//! Standby, channels, the rundown, episode groups and what else is not in the worked example: written, and read as it was.

use onair::api::grpc::pb::{
    AddCasterEpisodeGroupContentRequest, AddCasterEpisodeGroupRequest, AddCasterEpisodeRequest,
    AddCasterProgramRequest, CasterConfig, Channel, CopyCasterRequest,
    CopyCasterSceneConfigRequest, DeleteCasterEpisodeGroupRequest, DeleteCasterEpisodeRequest,
    DeleteCasterProgramRequest, DeleteCasterSceneConfigRequest, DescribeCasterChannelsRequest,
    DescribeCasterProgramRequest, DescribeCasterRtcInfoRequest, DescribeCasterSyncGroupRequest,
    DescribeCasterVideoResourcesRequest, EffectCasterUrgentRequest,
    EffectCasterVideoResourceRequest, Episode, EpisodeGroup, EpisodeGroupItem, EpisodeStatus,
    FadeCasterToBlackRequest, ModifyCasterEpisodeRequest, ModifyCasterProgramRequest,
    ModifyCasterVideoResourceRequest, RestartCasterRequest, SetCasterChannelRequest,
    SetCasterConfigRequest, SetCasterSceneConfigRequest, SetCasterSyncGroupRequest,
    SetCasterTimedEventRequest, StartCasterSceneRequest, StopCasterSceneRequest, SyncGroup,
    Transition, UpdateCasterSceneConfigRequest, VideoResource, WatchCasterRequest,
};
use onair::ids::CasterId;
use onair::time;

use super::app::{Client, Server};
use super::workflow::{self, FAR_UNIX_MS};

#[tokio::test]
async fn a_rundown_is_read_as_it_was_written() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    let caster_id = || ids.caster.clone();
    let first = workflow::episode(&ids);
    let overlay = Episode {
        episode_type: "Component".into(),
        resource_id: String::new(),
        switch_type: String::new(),
        ..first.clone()
    };
    let request = AddCasterEpisodeRequest { caster_id: caster_id(), episode: Some(first.clone()) };
    let id = client.add_caster_episode(request).await.unwrap().into_inner().episode_id;
    let request = AddCasterProgramRequest {
        caster_id: caster_id(),
        episodes: vec![overlay.clone(), first.clone()],
    };
    let added = client.add_caster_program(request).await.unwrap().into_inner().episode_ids;
    let [second, third] = &added[..] else { panic!("{added:?}") };
    let renamed = Episode { episode_name: "opening".into(), ..Episode::default() };
    let request = ModifyCasterEpisodeRequest {
        caster_id: caster_id(),
        episode_id: id.clone(),
        episode: Some(renamed),
    };
    let modified = client.modify_caster_episode(request).await.unwrap().into_inner();
    assert_eq!((modified.caster_id, &modified.episode_id), (caster_id(), &id));
    let longer = Episode {
        episode_id: third.clone(),
        end_time_unix_ms: Some(FAR_UNIX_MS + 90_000),
        ..Episode::default()
    };
    let request = ModifyCasterProgramRequest { caster_id: caster_id(), episodes: vec![longer] };
    client.modify_caster_program(request).await.unwrap();
    let all = || DescribeCasterProgramRequest { caster_id: caster_id(), ..Default::default() };
    let read = client.describe_caster_program(all()).await.unwrap().into_inner();
    assert_eq!((&read.program_name[..], read.program_effect, read.total), ("evening", true, 3));
    let not_started = EpisodeStatus::NotStarted.into();
    let expected = [
        Episode { episode_id: id.clone(), episode_name: "opening".into(), ..first.clone() },
        Episode { episode_id: second.clone(), status: not_started, ..overlay },
        Episode {
            episode_id: third.clone(),
            end_time_unix_ms: Some(FAR_UNIX_MS + 90_000),
            ..first
        },
    ];
    assert_eq!(read.episodes, expected);
    let request = DescribeCasterProgramRequest { episode_type: "Component".into(), ..all() };
    let read = client.describe_caster_program(request).await.unwrap().into_inner();
    assert_eq!((read.total, &read.episodes[0].episode_id), (1, second));
    let request = DeleteCasterEpisodeRequest { caster_id: caster_id(), episode_id: id.clone() };
    let deleted = client.delete_caster_episode(request).await.unwrap().into_inner();
    assert_eq!(deleted.episode_id, id);
    let request = DeleteCasterProgramRequest { caster_id: caster_id() };
    client.delete_caster_program(request).await.unwrap();
    assert_eq!(client.describe_caster_program(all()).await.unwrap().into_inner().total, 0);
    let before = server.catalog();
    assert_eq!(server.stop().await, before, "every accepted write is on disk");
}

#[tokio::test]
async fn channels_are_read_as_they_were_set() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    let request = CopyCasterRequest {
        src_caster_id: ids.caster,
        caster_name: "copy".into(),
        client_token: "copy".into(),
    };
    let caster_id = client.copy_caster(request).await.unwrap().into_inner().caster_id;
    let config = CasterConfig { channel_enable: true, ..workflow::config() };
    let request = SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
    client.set_caster_config(request).await.unwrap();
    let request = DescribeCasterVideoResourcesRequest { caster_id: caster_id.clone() };
    let read = client.describe_caster_video_resources(request).await.unwrap().into_inner();
    let resource = |n: usize| read.video_resources[n].resource_id.clone();
    let camera = SetCasterChannelRequest {
        caster_id: caster_id.clone(),
        channel_id: "RV02".into(),
        resource_id: resource(0),
        face_beauty: "3".into(),
        ..Default::default()
    };
    let clip = SetCasterChannelRequest {
        channel_id: "RV01".into(),
        resource_id: resource(1),
        seek_offset: Some(2500),
        play_status: Some(0),
        face_beauty: String::new(),
        ..camera.clone()
    };
    for request in [camera, clip] {
        client.set_caster_channel(request).await.unwrap();
    }
    let request = DescribeCasterChannelsRequest { caster_id };
    let read = client.describe_caster_channels(request).await.unwrap().into_inner();
    let expected = [
        Channel {
            channel_id: "RV01".into(),
            resource_id: resource(1),
            position_ms: 2500,
            ..Channel::default()
        },
        Channel {
            channel_id: "RV02".into(),
            resource_id: resource(0),
            rtmp_url: "rtmp://in.example.com/app/cam1".into(),
            face_beauty: "3".into(),
            play_status: 1,
            ..Channel::default()
        },
    ];
    assert_eq!((read.total, &read.channels[..]), (2, &expected[..]));
}

#[tokio::test]
async fn groups_events_and_tokens() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    let caster_id = || ids.caster.clone();
    let carousel = EpisodeGroup {
        domain_name: "live.example.com".into(),
        start_time_unix_ms: Some(FAR_UNIX_MS),
        repeat_num: -1,
        side_output_url: "rtmp://relay.example.com/app/c".into(),
        callback_url: "http://hook.example.com/cb".into(),
        items: vec![
            EpisodeGroupItem { item_name: "one".into(), vod_url: "http://a/1.mp4".into() };
            2
        ],
    };
    let request = AddCasterEpisodeGroupRequest {
        client_token: "g".into(),
        episode_group: Some(carousel.clone()),
    };
    let group = client.add_caster_episode_group(request).await.unwrap().into_inner();
    assert_eq!(group.item_ids.len(), 2);
    let request =
        AddCasterEpisodeGroupContentRequest { client_token: "g".into(), content: Some(carousel) };
    let again = client.add_caster_episode_group_content(request).await.unwrap().into_inner();
    assert_eq!((again.program_id, again.item_ids), (group.program_id.clone(), group.item_ids));
    let request = DeleteCasterEpisodeGroupRequest { program_id: group.program_id };
    client.delete_caster_episode_group(request).await.unwrap();

    let second = workflow::camera("RV03");
    let request = onair::api::grpc::pb::AddCasterVideoResourceRequest {
        caster_id: caster_id(),
        video_resource: Some(second),
    };
    let second = client.add_caster_video_resource(request).await.unwrap().into_inner().resource_id;
    let groups = vec![SyncGroup {
        mode: 0,
        host_resource_id: ids.resources[0].clone(),
        resource_ids: vec![ids.resources[0].clone(), second],
    }];
    let request = SetCasterSyncGroupRequest { caster_id: caster_id(), sync_groups: groups.clone() };
    client.set_caster_sync_group(request).await.unwrap();
    let request = DescribeCasterSyncGroupRequest { caster_id: caster_id() };
    let read = client.describe_caster_sync_group(request).await.unwrap().into_inner();
    assert_eq!(read.sync_groups, groups);

    let request = SetCasterTimedEventRequest {
        caster_id: caster_id(),
        event_name: "StartCaster".into(),
        start_time_unix_ms: Some(FAR_UNIX_MS),
    };
    client.set_caster_timed_event(request).await.unwrap();
    let request = DescribeCasterRtcInfoRequest { caster_id: caster_id() };
    let read = client.describe_caster_rtc_info(request).await.unwrap().into_inner();
    let id = CasterId::parse(&ids.caster).unwrap();
    let now_unix_s = time::unix_ms() / 1000;
    assert!(server.watch.verify(&read.auth_token, &id, now_unix_s));
    assert!(!server.watch.verify(&read.auth_token, &id, now_unix_s + 3700));
}

#[tokio::test]
async fn a_show_goes_to_standby_and_back() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = workflow::prepare(client, "t").await;
    let (pvw, pgm) = workflow::start(client, &ids.caster).await;
    let caster_id = || ids.caster.clone();
    let (on_pvw, on_pgm) = (|| pvw.scene_id.clone(), || pgm.scene_id.clone());
    let set = SetCasterSceneConfigRequest {
        caster_id: caster_id(),
        scene_id: on_pvw(),
        layout_id: ids.layout.clone(),
        ..Default::default()
    };
    client.set_caster_scene_config(set.clone()).await.unwrap();
    let take = CopyCasterSceneConfigRequest {
        caster_id: caster_id(),
        from_scene_id: on_pvw(),
        to_scene_id: on_pgm(),
        transition: Some(Transition {
            kind: "mix".into(),
            duration_frames: 15,
            ..Default::default()
        }),
        ..Default::default()
    };
    client.copy_caster_scene_config(take).await.unwrap();
    fade_to_black(client, &ids.caster).await;
    let request = EffectCasterUrgentRequest { caster_id: caster_id(), scene_id: on_pgm() };
    let effect = client.effect_caster_urgent(request).await.unwrap().into_inner();
    assert!(effect.applied.is_some());
    let back = SetCasterSceneConfigRequest { scene_id: on_pgm(), layout_id: String::new(), ..set };
    client.set_caster_scene_config(back).await.unwrap();
    let request = UpdateCasterSceneConfigRequest {
        caster_id: caster_id(),
        scene_id: on_pgm(),
        layout_id: ids.layout.clone(),
        component_ids: vec![ids.component.clone()],
        ..Default::default()
    };
    client.update_caster_scene_config(request).await.unwrap();
    // What was read can be written, and a change waits until it is asked for.
    let request = DescribeCasterVideoResourcesRequest { caster_id: caster_id() };
    let read = client.describe_caster_video_resources(request).await.unwrap().into_inner();
    let moved = VideoResource {
        live_stream_url: "rtmp://in.example.com/app/cam9".into(),
        ..read.video_resources[0].clone()
    };
    let request = ModifyCasterVideoResourceRequest {
        caster_id: caster_id(),
        resource_id: moved.resource_id.clone(),
        video_resource: Some(moved.clone()),
    };
    client.modify_caster_video_resource(request).await.unwrap();
    let request = EffectCasterVideoResourceRequest {
        caster_id: caster_id(),
        scene_id: on_pgm(),
        resource_id: moved.resource_id,
    };
    client.effect_caster_video_resource(request).await.unwrap();
    let request = DeleteCasterSceneConfigRequest {
        caster_id: caster_id(),
        scene_id: on_pvw(),
        r#type: "All".into(),
    };
    client.delete_caster_scene_config(request).await.unwrap();
    let request = StopCasterSceneRequest { caster_id: caster_id(), scene_id: on_pvw() };
    client.stop_caster_scene(request).await.unwrap();
    let request = StartCasterSceneRequest { caster_id: caster_id(), scene_id: on_pvw() };
    let started = client.start_caster_scene(request).await.unwrap().into_inner();
    assert!(started.stream_url.starts_with("rtmp://"));
    client.restart_caster(RestartCasterRequest { caster_id: caster_id() }).await.unwrap();
}

async fn fade_to_black(client: &mut Client, caster: &str) {
    for on in [true, false] {
        let request =
            FadeCasterToBlackRequest { caster_id: caster.into(), on, duration_frames: 15 };
        let faded = client.fade_caster_to_black(request).await.unwrap().into_inner();
        assert!(faded.applied.is_some());
        let request = WatchCasterRequest { caster_id: caster.into(), ..Default::default() };
        let mut states = client.watch_caster(request).await.unwrap().into_inner();
        assert_eq!(states.message().await.unwrap().unwrap().fade_to_black, on);
    }
}
