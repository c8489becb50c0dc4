//! The demo's show: a caster made, started and switched through the gRPC API, as a user's program would.
//!
//! Must not touch the server in any other way. Invariant: what it reports is what the API said.

use super::server::Server;
use crate::api::client::{self, Client};
use crate::api::grpc::pb as v1;

/// A caster on air with its two layouts.
pub(super) struct Show {
    client: Client,
    caster_id: String,
    pvw: v1::Scene,
    pgm: v1::Scene,
    /// Name and identifier, in the order they are taken.
    layouts: Vec<(&'static str, String)>,
    components: Vec<String>,
    taken: usize,
}

fn layer(width: f32, height: f32, x: f32, y: f32) -> v1::VideoLayer {
    v1::VideoLayer {
        fill_mode: "fit".into(),
        width_normalized: width,
        height_normalized: height,
        position_normalized: vec![x, y],
        position_refer: "topLeft".into(),
        ..Default::default()
    }
}

fn refused(error: impl std::fmt::Display) -> String {
    format!("the API refused: {error}")
}

impl Show {
    /// Makes the caster, starts it and takes the first layout.
    pub(super) async fn build(server: &Server, template: &str) -> Result<Show, String> {
        let key =
            server.access_key().ok_or("no access key of this data directory is an admin's")?;
        let mut client = client::connect(server.grpc_address(), key.id(), key.secret()).await?;
        let request = v1::CreateCasterRequest {
            caster_name: "demo".into(),
            client_token: format!("demo-{}", uuid::Uuid::new_v4()),
            norm_type: Some(1),
            charge_type: "PostPaid".into(),
            ..Default::default()
        };
        let created = client.create_caster(request).await.map_err(refused)?;
        let caster_id = created.into_inner().caster_id;
        let config = v1::CasterConfig {
            caster_name: "demo".into(),
            domain_name: "127.0.0.1".into(),
            transcode_config: Some(v1::TranscodeConfig {
                caster_template: template.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let request =
            v1::SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
        client.set_caster_config(request).await.map_err(refused)?;
        add_resources(&mut client, &caster_id, server).await?;
        let layouts = add_layouts(&mut client, &caster_id).await?;
        let components = add_components(&mut client, &caster_id).await?;
        let request = v1::StartCasterRequest { caster_id: caster_id.clone() };
        let started = client.start_caster(request).await.map_err(refused)?.into_inner();
        let (Some(pvw), Some(pgm)) = (started.pvw_scene, started.pgm_scene) else {
            return Err("StartCaster answered without scenes".into());
        };
        let mut show = Show { client, caster_id, pvw, pgm, layouts, components, taken: 0 };
        show.take_next().await?;
        Ok(show)
    }

    /// Puts the next layout on PVW and takes it to PGM; answers its name and the first frame with it.
    pub(super) async fn take_next(&mut self) -> Result<(&'static str, u64), String> {
        let (name, layout_id) = self.layouts[self.taken % self.layouts.len()].clone();
        self.taken += 1;
        let request = v1::SetCasterSceneConfigRequest {
            caster_id: self.caster_id.clone(),
            scene_id: self.pvw.scene_id.clone(),
            layout_id,
            component_ids: self.components.clone(),
            ..Default::default()
        };
        self.client.set_caster_scene_config(request).await.map_err(refused)?;
        let request = v1::CopyCasterSceneConfigRequest {
            caster_id: self.caster_id.clone(),
            from_scene_id: self.pvw.scene_id.clone(),
            to_scene_id: self.pgm.scene_id.clone(),
            // The first take waits for the pushed stream to arrive.
            wait_ms: Some(10_000),
            ..Default::default()
        };
        let taken = self.client.copy_caster_scene_config(request).await.map_err(refused)?;
        let applied = taken.into_inner().applied.ok_or("the take was not applied")?;
        Ok((name, applied.tick))
    }

    /// Every address of PGM.
    pub(super) fn pgm_urls(&self) -> Vec<String> {
        let streams = self.pgm.stream_infos.iter().map(|info| info.output_stream_url.clone());
        streams.collect()
    }

    /// PGM's address in a format: `flv`, `m3u8`.
    pub(super) fn pgm_url(&self, format: &str) -> String {
        let found = self.pgm.stream_infos.iter().find(|info| info.video_format == format);
        found.map_or_else(|| self.pgm.stream_url.clone(), |info| info.output_stream_url.clone())
    }

    /// PVW's address.
    pub(super) fn pvw_url(&self) -> &str {
        &self.pvw.stream_url
    }

    /// What the server says of the show, a screen full.
    pub(super) async fn report(&mut self) -> Result<String, String> {
        let request =
            v1::WatchCasterRequest { caster_id: self.caster_id.clone(), ..Default::default() };
        let mut states = self.client.watch_caster(request).await.map_err(refused)?.into_inner();
        let state = states.message().await.map_err(refused)?.ok_or("no state was reported")?;
        let mut text = String::from("\n");
        for output in &state.outputs {
            text += &format!(
                "{:<9} frames {} late {} dropped {} bytes {}\n",
                output.name, output.frames, output.frames_late, output.frames_dropped, output.bytes
            );
        }
        for input in &state.inputs {
            text += &format!(
                "{:<9} {} frames {} dropped {} reconnects {} {}\n",
                input.location_id,
                input.state().as_str_name().trim_start_matches("INPUT_STATE_").to_lowercase(),
                input.frames,
                input.frames_dropped,
                input.reconnects,
                input.message
            );
        }
        for stage in &state.stages {
            text += &format!(
                "{:<9} p50 {} µs, p99 {} µs, max {} µs\n",
                stage.stage, stage.p50_us, stage.p99_us, stage.max_us
            );
        }
        Ok(text)
    }

    /// Stops and deletes the caster.
    pub(super) async fn stop(&mut self) -> Result<(), String> {
        let request = v1::StopCasterRequest { caster_id: self.caster_id.clone() };
        self.client.stop_caster(request).await.map_err(refused)?;
        let request = v1::DeleteCasterRequest { caster_id: self.caster_id.clone() };
        self.client.delete_caster(request).await.map_err(refused)?;
        Ok(())
    }
}

async fn add_resources(client: &mut Client, caster: &str, server: &Server) -> Result<(), String> {
    let cam = v1::VideoResource {
        resource_name: "cam, pushed by ffmpeg".into(),
        location_id: "RV01".into(),
        live_stream_url: format!("rtmp://{}/live/cam", server.rtmp_address()),
        ..Default::default()
    };
    let clip = v1::VideoResource {
        resource_name: "clip, a looped file".into(),
        location_id: "RV02".into(),
        vod_url: "file:clip.mp4".into(),
        repeat_num: Some(-1),
        ..Default::default()
    };
    for resource in [cam, clip] {
        let request = v1::AddCasterVideoResourceRequest {
            caster_id: caster.into(),
            video_resource: Some(resource),
        };
        client.add_caster_video_resource(request).await.map_err(refused)?;
    }
    Ok(())
}

async fn add_layouts(
    client: &mut Client,
    caster: &str,
) -> Result<Vec<(&'static str, String)>, String> {
    let side_by_side = vec![layer(0.5, 1.0, 0.0, 0.0), layer(0.5, 1.0, 0.5, 0.0)];
    let picture_in_picture = vec![layer(1.0, 1.0, 0.0, 0.0), layer(0.3, 0.3, 0.66, 0.06)];
    let mut layouts = Vec::new();
    for (name, video_layers) in
        [("side by side", side_by_side), ("picture in picture", picture_in_picture)]
    {
        let layout = v1::Layout {
            blend_list: vec!["RV01".into(), "RV02".into()],
            video_layers,
            mix_list: vec!["RV01".into()],
            audio_layers: vec![v1::AudioLayer::default()],
            ..Default::default()
        };
        let request = v1::AddCasterLayoutRequest {
            caster_id: caster.into(),
            layout: Some(layout),
            ..v1::AddCasterLayoutRequest::default()
        };
        let added = client.add_caster_layout(request).await.map_err(refused)?;
        layouts.push((name, added.into_inner().layout_id));
    }
    Ok(layouts)
}

async fn add_components(client: &mut Client, caster: &str) -> Result<Vec<String>, String> {
    let at = |x, y| v1::ComponentLayer { position_normalized: vec![x, y], ..Default::default() };
    let logo = v1::Component {
        component_name: "logo".into(),
        location_id: "RC01".into(),
        component_type: "image".into(),
        component_layer: Some(v1::ComponentLayer { height_normalized: 0.12, ..at(0.03, 0.05) }),
        image_layer_content: Some(v1::ImageLayerContent {
            image_url: "file:logo.png".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let title = v1::Component {
        component_name: "title".into(),
        location_id: "RC02".into(),
        component_type: "text".into(),
        component_layer: Some(at(0.05, 0.85)),
        text_layer_content: Some(v1::TextLayerContent {
            text: "onair · live".into(),
            color: "0xffffff".into(),
            font_name: "NotoSansHans-Bold".into(),
            size_normalized: Some(0.08),
            border_width_normalized: 0.05,
            border_color: "0x000000".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut ids = Vec::new();
    for component in [logo, title] {
        let request =
            v1::AddCasterComponentRequest { caster_id: caster.into(), component: Some(component) };
        let added = client.add_caster_component(request).await.map_err(refused)?;
        ids.push(added.into_inner().component_id);
    }
    Ok(ids)
}
