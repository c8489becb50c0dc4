//! Lateness of a live show: four files as a 2×2 quad at 1920×1080p30, on air for a while.
//!
//! `cargo bench --bench live -- SECONDS FILE FILE FILE FILE` (files in one folder); prints a Markdown table.

use std::path::Path;

use onair::api::client;
use onair::api::grpc::pb as v1;
use onair::app::server::Server;
use onair::config::Settings;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let Some((seconds, files)) = args.split_first().filter(|(_, files)| files.len() == 4) else {
        println!("usage: live SECONDS FILE FILE FILE FILE");
        return;
    };
    let seconds: u64 = seconds.parse().unwrap_or(60);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Err(error) = runtime.block_on(run(seconds, files)) {
        println!("failed: {error}");
        std::process::exit(1);
    }
}

async fn run(seconds: u64, files: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let data = std::env::temp_dir().join(format!("onair-live-{}", std::process::id()));
    let settings = Settings {
        // What it measures is how much is too much.
        max_load_percent: Some(0),
        data: Some(data.clone()),
        media_dir: Path::new(&files[0]).parent().map(Path::to_owned),
        http: Some("127.0.0.1:0".parse()?),
        grpc: Some("127.0.0.1:0".parse()?),
        rtmp: Some("127.0.0.1:0".parse()?),
        preset: Some(onair::config::Preset::Ultrafast),
        ..Default::default()
    };
    let server = Server::start(settings.resolve()?).await?;
    let key = server.access_key().ok_or("no access key is an admin's")?;
    let mut client = client::connect(server.grpc_address(), key.id(), key.secret()).await?;
    let scene = start_quad(&mut client, files).await?;
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    let request = v1::WatchCasterRequest { caster_id: scene, ..Default::default() };
    let mut states = client.watch_caster(request).await?.into_inner();
    let state = states.message().await?.ok_or("no state")?;
    println!("| stage | p50 µs | p99 µs | max µs |\n| --- | --- | --- | --- |");
    for stage in state.stages {
        println!("| {} | {} | {} | {} |", stage.stage, stage.p50_us, stage.p99_us, stage.max_us);
    }
    for output in state.outputs {
        println!(
            "\n{}: {} frames, {} late, {} dropped",
            output.name, output.frames, output.frames_late, output.frames_dropped
        );
    }
    server.drain().await;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

async fn start_quad(
    client: &mut client::Client,
    files: &[String],
) -> Result<String, Box<dyn std::error::Error>> {
    let request = v1::CreateCasterRequest {
        caster_name: "quad".into(),
        client_token: "quad".into(),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    let caster_id = client.create_caster(request).await?.into_inner().caster_id;
    let config = v1::CasterConfig {
        domain_name: "127.0.0.1".into(),
        transcode_config: Some(v1::TranscodeConfig {
            caster_template: "lp_ud".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = v1::SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
    client.set_caster_config(request).await?;
    let mut layout = v1::Layout::default();
    for (index, file) in files.iter().enumerate() {
        let name = Path::new(file).file_name().ok_or("a file has a name")?.to_string_lossy();
        let location_id = format!("RV{:02}", index + 1);
        let resource = v1::VideoResource {
            resource_name: name.to_string(),
            location_id: location_id.clone(),
            vod_url: format!("file:{name}"),
            repeat_num: Some(-1),
            ..Default::default()
        };
        let request = v1::AddCasterVideoResourceRequest {
            caster_id: caster_id.clone(),
            video_resource: Some(resource),
        };
        client.add_caster_video_resource(request).await?;
        layout.blend_list.push(location_id.clone());
        layout.mix_list.push(location_id);
        layout.audio_layers.push(v1::AudioLayer { volume_rate: Some(0.25), ..Default::default() });
        layout.video_layers.push(v1::VideoLayer {
            fill_mode: "fit".into(),
            width_normalized: 0.5,
            height_normalized: 0.5,
            position_normalized: vec![(index % 2) as f32 / 2.0, (index / 2) as f32 / 2.0],
            position_refer: "topLeft".into(),
            ..Default::default()
        });
    }
    let request = v1::AddCasterLayoutRequest {
        caster_id: caster_id.clone(),
        layout: Some(layout),
        ..v1::AddCasterLayoutRequest::default()
    };
    let layout_id = client.add_caster_layout(request).await?.into_inner().layout_id;
    let request = v1::StartCasterRequest { caster_id: caster_id.clone() };
    let started = client.start_caster(request).await?.into_inner();
    let request = v1::SetCasterSceneConfigRequest {
        caster_id: caster_id.clone(),
        scene_id: started.pgm_scene.ok_or("no PGM")?.scene_id,
        layout_id,
        ..Default::default()
    };
    client.set_caster_scene_config(request).await?;
    Ok(caster_id)
}
