//! The worked example of the API, call by call.

use onair::api::grpc::pb::{
    AddCasterComponentRequest, AddCasterLayoutRequest, AddCasterVideoResourceRequest, AudioFilter,
    AudioLayer, CasterConfig, CasterStatus, Component, ComponentLayer,
    CopyCasterSceneConfigRequest, CreateCasterRequest, DeleteCasterRequest,
    DescribeCasterComponentsRequest, DescribeCasterConfigRequest, DescribeCasterLayoutsRequest,
    DescribeCasterSceneAudioRequest, DescribeCasterScenesRequest, DescribeCasterStreamUrlRequest,
    DescribeCasterVideoResourcesRequest, DescribeCastersRequest, Episode, Layout, OutputType,
    RecordConfig, RecordFormat, Scene, SceneStatus, SetCasterConfigRequest,
    SetCasterSceneConfigRequest, StartCasterRequest, StopCasterRequest, TextLayerContent,
    TranscodeConfig, UpdateCasterSceneAudioRequest, VideoLayer, VideoResource, WatchCasterRequest,
};
use onair::time;

use super::app::{Client, Server};

/// 2099-01-01, ms since 1970.
pub(crate) const FAR_UNIX_MS: i64 = 4_070_908_800_000;

pub(crate) async fn create(client: &mut Client, token: &str) -> String {
    let request = CreateCasterRequest {
        caster_name: "demo".into(),
        client_token: token.into(),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    client.create_caster(request).await.unwrap().into_inner().caster_id
}

pub(crate) fn config() -> CasterConfig {
    CasterConfig {
        caster_name: "demo".into(),
        domain_name: "live.example.com".into(),
        transcode_config: Some(TranscodeConfig {
            caster_template: "lp_hd".into(),
            x264_preset: "veryfast".into(),
            video_bps: Some(3_000_000),
            live_templates: vec!["lld".into(), "daobo-lsd".into()],
        }),
        side_output_urls: vec!["rtmp://relay.example.com/app/s1".into()],
        frame_rate: "30000/1001".into(),
        record_config: Some(RecordConfig {
            oss_endpoint: "oss.example.com".into(),
            oss_bucket: "shows".into(),
            on_demand: 7,
            record_formats: vec![RecordFormat {
                format: "m3u8".into(),
                cycle_duration: Some(900),
                oss_object_prefix: "record/{StreamName}/{StartTime}".into(),
                slice_oss_object_prefix: "record/{StreamName}/{UnixTimestamp}".into(),
            }],
        }),
        delay: 1.5,
        urgent_live_stream_url: "rtmp://in.example.com/app/standby".into(),
        urgent_image_url: "http://files.example.com/standby.png".into(),
        auto_switch_urgent_on: true,
        auto_switch_after_s: Some(3.0),
        auto_return_after_s: Some(12.5),
        detectors: vec![onair::api::grpc::pb::Detector {
            fault: "frozen".into(),
            after_s: Some(20.0),
            standby: Some(true),
        }],
        callback_url: "http://hook.example.com/cb".into(),
        side_output_url: "rtmp://relay.example.com/app/s2".into(),
        program_name: "evening".into(),
        program_effect: true,
        ..CasterConfig::default()
    }
}

pub(crate) fn camera(location: &str) -> VideoResource {
    VideoResource {
        resource_name: "cam".into(),
        location_id: location.into(),
        live_stream_url: "rtmp://in.example.com/app/cam1".into(),
        fixed_delay_duration: Some(120),
        ..VideoResource::default()
    }
}

pub(crate) fn clip(location: &str) -> VideoResource {
    VideoResource {
        live_stream_url: String::new(),
        vod_url: "http://files.example.com/clip.mp4".into(),
        repeat_num: Some(-1),
        begin_offset: Some(1000),
        end_offset: Some(0),
        pts_callback_interval: Some(1000),
        ..camera(location)
    }
}

/// Full frame, and from the second on small ones in the upper right; the first is heard.
pub(crate) fn layout(locations: &[&str]) -> Layout {
    let layer = |index| VideoLayer {
        fill_mode: "fit".into(),
        width_normalized: if index == 0 { 1.0 } else { 0.3 },
        height_normalized: if index == 0 { 1.0 } else { 0.3 },
        position_refer: "topLeft".into(),
        position_normalized: if index == 0 { vec![0.0, 0.0] } else { vec![0.68, 0.02] },
        fixed_delay_duration: 40,
        look: None,
    };
    Layout {
        layout_id: String::new(),
        blend_list: locations.iter().map(ToString::to_string).collect(),
        video_layers: (0..locations.len()).map(layer).collect(),
        mix_list: vec![locations[0].to_owned()],
        audio_layers: vec![AudioLayer {
            volume_rate: Some(1.0),
            valid_channel: "all".into(),
            fixed_delay_duration: 0,
            filter: Some(AudioFilter { enable_ans: 1, ans_mode: 1, ..AudioFilter::default() }),
        }],
        backdrop: None,
    }
}

pub(crate) fn title(location: &str) -> Component {
    Component {
        component_name: "title".into(),
        location_id: location.into(),
        component_type: "text".into(),
        component_layer: Some(ComponentLayer {
            position_refer: "topLeft".into(),
            position_normalized: vec![0.05, 0.85],
            transparency: Some(200),
            ..ComponentLayer::default()
        }),
        text_layer_content: Some(TextLayerContent {
            text: "hello world!".into(),
            color: "0xffffff".into(),
            font_name: "KaiTi".into(),
            size_normalized: Some(0.08),
            border_width_normalized: 0.05,
            border_color: "0x000000".into(),
            background: None,
        }),
        layer_order: "cover".into(),
        effect: "none".into(),
        ..Component::default()
    }
}

/// An episode far away, of the clip.
pub(crate) fn episode(ids: &Ids) -> Episode {
    Episode {
        episode_name: "later".into(),
        episode_type: "Resource".into(),
        resource_id: ids.resources[1].clone(),
        component_ids: vec![ids.component.clone()],
        start_time_unix_ms: Some(FAR_UNIX_MS),
        end_time_unix_ms: Some(FAR_UNIX_MS + 60_000),
        switch_type: "ContentFirst".into(),
        ..Episode::default()
    }
}

/// Identifiers of what a caster owns.
pub(crate) struct Ids {
    pub(crate) caster: String,
    pub(crate) resources: Vec<String>,
    pub(crate) layout: String,
    pub(crate) component: String,
}

/// Steps 1–5: a caster ready to start.
pub(crate) async fn prepare(client: &mut Client, token: &str) -> Ids {
    let caster_id = create(client, token).await;
    let request = SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config()) };
    assert_eq!(client.set_caster_config(request).await.unwrap().into_inner().revision, 2);
    let mut resources = Vec::new();
    for video_resource in [camera("RV01"), clip("RV02")] {
        let request = AddCasterVideoResourceRequest {
            caster_id: caster_id.clone(),
            video_resource: Some(video_resource),
        };
        let added = client.add_caster_video_resource(request).await.unwrap().into_inner();
        resources.push(added.resource_id);
    }
    let request = AddCasterLayoutRequest {
        caster_id: caster_id.clone(),
        layout: Some(layout(&["RV01", "RV02"])),
        preset: String::new(),
    };
    let layout = client.add_caster_layout(request).await.unwrap().into_inner().layout_id;
    let request =
        AddCasterComponentRequest { caster_id: caster_id.clone(), component: Some(title("RC01")) };
    let added = client.add_caster_component(request).await.unwrap().into_inner();
    assert_eq!(added.revision, 6);
    Ids { caster: caster_id, resources, layout, component: added.component_id }
}

/// Step 6: the scenes, PVW and PGM.
pub(crate) async fn start(client: &mut Client, caster_id: &str) -> (Scene, Scene) {
    let request = StartCasterRequest { caster_id: caster_id.into() };
    let started = client.start_caster(request).await.unwrap().into_inner();
    (started.pvw_scene.unwrap(), started.pgm_scene.unwrap())
}

/// What was written is read back as it was.
async fn read_back(client: &mut Client, ids: &Ids) {
    let caster_id = || ids.caster.clone();
    let request = DescribeCasterConfigRequest { caster_id: caster_id() };
    let read = client.describe_caster_config(request).await.unwrap().into_inner();
    assert_eq!((read.config, read.revision), (Some(config()), 6));
    let request = DescribeCasterVideoResourcesRequest { caster_id: caster_id() };
    let read = client.describe_caster_video_resources(request).await.unwrap().into_inner();
    let with_id = |resource, id: &String| VideoResource { resource_id: id.clone(), ..resource };
    let [first, second] = &ids.resources[..] else { panic!("{:?}", ids.resources) };
    let expected = [with_id(camera("RV01"), first), with_id(clip("RV02"), second)];
    assert_eq!((read.video_resources.as_slice(), read.total), (&expected[..], 2));
    let request =
        DescribeCasterLayoutsRequest { caster_id: caster_id(), layout_id: ids.layout.clone() };
    let read = client.describe_caster_layouts(request).await.unwrap().into_inner();
    let expected = Layout { layout_id: ids.layout.clone(), ..layout(&["RV01", "RV02"]) };
    assert_eq!(read.layouts, [expected]);
    let request =
        DescribeCasterComponentsRequest { caster_id: caster_id(), component_id: String::new() };
    let read = client.describe_caster_components(request).await.unwrap().into_inner();
    let expected = Component { component_id: ids.component.clone(), ..title("RC01") };
    assert_eq!(read.components, [expected]);
}

#[tokio::test]
async fn the_worked_example() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = prepare(client, "53200b81-b761-4c10-842a-a0726d970001").await;
    let caster_id = || ids.caster.clone();
    assert_eq!(create(client, "53200b81-b761-4c10-842a-a0726d970001").await, ids.caster);
    read_back(client, &ids).await;
    let (pvw, pgm) = start(client, &ids.caster).await;
    assert_eq!((pvw.status(), pgm.output_type()), (SceneStatus::On, OutputType::Pgm));
    let request = SetCasterSceneConfigRequest {
        caster_id: caster_id(),
        scene_id: pvw.scene_id.clone(),
        layout_id: ids.layout.clone(),
        component_ids: vec![ids.component.clone()],
        ..Default::default()
    };
    let set = client.set_caster_scene_config(request).await.unwrap().into_inner();
    assert_eq!((set.revision, set.applied.unwrap().tick), (8, 10));
    let request = CopyCasterSceneConfigRequest {
        caster_id: caster_id(),
        from_scene_id: pvw.scene_id.clone(),
        to_scene_id: pgm.scene_id.clone(),
        ..Default::default()
    };
    let taken = client.copy_caster_scene_config(request).await.unwrap().into_inner();
    assert_eq!((taken.revision, taken.applied.unwrap().tick), (9, 20));
    let request =
        DescribeCasterScenesRequest { caster_id: caster_id(), scene_id: pgm.scene_id.clone() };
    let read = client.describe_caster_scenes(request).await.unwrap().into_inner();
    assert_eq!((&read.scenes[0].layout_id, read.total), (&ids.layout, 1));
    assert_eq!(read.scenes[0].component_ids, std::slice::from_ref(&ids.component));
    let request = StopCasterRequest { caster_id: caster_id() };
    assert_eq!(client.stop_caster(request).await.unwrap().into_inner().revision, 10);
    let before = server.catalog();
    assert_eq!(server.stop().await, before, "every accepted write is on disk");
}

#[tokio::test]
async fn addresses_open_what_they_name() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = prepare(client, "t").await;
    let (pvw, pgm) = start(client, &ids.caster).await;
    let request = DescribeCasterStreamUrlRequest { caster_id: ids.caster };
    let read = client.describe_caster_stream_url(request).await.unwrap().into_inner();
    assert_eq!(read.caster_streams.len(), 2);
    let now_unix_s = time::unix_ms() / 1000;
    for scene in [pvw, pgm] {
        let formats: Vec<&str> =
            scene.stream_infos.iter().map(|i| i.video_format.as_str()).collect();
        let versions: Vec<&str> =
            scene.stream_infos.iter().map(|i| i.transcode_config.as_str()).collect();
        let expected: &[&str] = match scene.output_type() {
            OutputType::Pvw => &[""],
            OutputType::Pgm => &["", "lld", "daobo-lsd"],
        };
        assert_eq!(formats, ["flv", "rtmp", "m3u8"].repeat(expected.len()));
        assert_eq!(versions, expected.iter().flat_map(|v| [*v; 3]).collect::<Vec<_>>());
        let urls = scene.stream_infos.iter().map(|i| &i.output_stream_url);
        for url in urls.chain([&scene.stream_url]) {
            let (address, auth_key) = url.split_once("?auth_key=").unwrap();
            let rest = address.split_once("://live.example.com").unwrap().1;
            let path = rest.strip_prefix(":8080").unwrap_or(rest);
            assert!(path.starts_with("/caster/"), "{url}");
            assert!(server.key.verify(path, auth_key, now_unix_s), "{url}");
        }
        let streams = &read.caster_streams;
        let stream = streams.iter().find(|s| s.scene_id == scene.scene_id).unwrap();
        assert_eq!(stream.output_type, scene.output_type);
    }
}

#[tokio::test]
async fn the_mixer_is_read_as_it_was_set() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = prepare(client, "t").await;
    let (_, pgm) = start(client, &ids.caster).await;
    let audio_layers = vec![AudioLayer {
        volume_rate: Some(0.5),
        valid_channel: "leftChannel".into(),
        fixed_delay_duration: 40,
        filter: Some(AudioFilter {
            enable_agc: 1,
            enable_beautify: 1,
            voice_beautify_mode: 1,
            ..AudioFilter::default()
        }),
    }];
    let request = UpdateCasterSceneAudioRequest {
        caster_id: ids.caster.clone(),
        scene_id: pgm.scene_id.clone(),
        follow_enable: Some(0),
        audio_layers: audio_layers.clone(),
        mix_list: vec!["RV02".into()],
    };
    let set = client.update_caster_scene_audio(request).await.unwrap().into_inner();
    assert!(set.applied.is_some());
    let request = DescribeCasterSceneAudioRequest { caster_id: ids.caster, scene_id: pgm.scene_id };
    let read = client.describe_caster_scene_audio(request).await.unwrap().into_inner();
    assert_eq!((read.follow_enable, read.audio_layers), (0, audio_layers));
    assert_eq!(read.mix_list, ["RV02"]);
}

#[tokio::test]
async fn a_watch_tells_of_every_state_until_the_caster_is_gone() {
    let server = Server::start().await;
    let client = &mut server.client.clone();
    let ids = prepare(client, "t").await;
    let request = WatchCasterRequest {
        caster_id: ids.caster.clone(),
        min_interval_ms: Some(0),
        ..Default::default()
    };
    let mut states = client.watch_caster(request).await.unwrap().into_inner();
    let first = states.message().await.unwrap().unwrap();
    assert_eq!((first.status(), first.revision), (CasterStatus::Idle, 6));
    start(client, &ids.caster).await;
    let second = states.message().await.unwrap().unwrap();
    assert_eq!((second.status(), second.revision), (CasterStatus::Streaming, 7));
    let request = DescribeCastersRequest { status: Some(1), ..Default::default() };
    let read = client.describe_casters(request).await.unwrap().into_inner();
    assert_eq!((read.total, read.casters[0].revision), (1, 7));
    assert!(read.casters[0].start_time_unix_ms.is_some());
    let caster_id = || ids.caster.clone();
    client.stop_caster(StopCasterRequest { caster_id: caster_id() }).await.unwrap();
    client.delete_caster(DeleteCasterRequest { caster_id: caster_id() }).await.unwrap();
    while let Some(state) = states.message().await.unwrap() {
        assert_eq!(state.status(), CasterStatus::Idle);
    }
}
