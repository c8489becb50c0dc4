//! What a caster shows after its process was killed: the files of its channels where they were, standby where it was on,
//! and nothing black before that.

use std::path::Path;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::frame::Picture;

use crate::support::{
    From, Server, Studio, free_port, pictures, record, run_ffmpeg, spawn_ffmpeg, ticks, wait_for,
};

/// Two seconds of each, in this order; standby is white.
const COLORS: [&str; 3] = ["red", "green", "blue"];

/// The name of the colour in the middle of a picture.
pub(crate) fn color(picture: &Picture) -> &'static str {
    let at = |plane: usize| {
        let plane = &picture.planes()[plane];
        let rows = plane.data.len() / plane.stride_bytes;
        plane.data[rows / 2 * plane.stride_bytes + plane.stride_bytes / 4]
    };
    match (at(0), at(1), at(2)) {
        (0..40, ..) => "black",
        (200.., ..) => "white",
        (_, _, 180..) => "red",
        (_, 180.., _) => "blue",
        _ => "green",
    }
}

/// The colour that PGM comes to show and stays with.
fn shown(url: &str, folder: &Path) -> &'static str {
    let file = folder.join(format!("{}.flv", uuid::Uuid::new_v4()));
    let recorder = record(url, &file);
    wait_for("PGM to be played", Duration::from_secs(20), || {
        (ticks(&file).len() > 90).then_some(())
    });
    drop(recorder);
    let mut last = "nothing";
    pictures(&file, |_, picture| last = color(picture));
    last
}

/// A caster with channels on air: RV01 plays the file, paused in its green part.
async fn start(server: &Server) -> Studio {
    let media = server.folder.path("media");
    let inputs: Vec<_> = COLORS
        .iter()
        .map(|color| format!("-f lavfi -i color={color}:s=640x360:r=30:d=2"))
        .collect();
    run_ffmpeg(&format!(
        "{} -filter_complex concat=n=3 -c:v libx264 -g 30 {}",
        inputs.join(" "),
        media.join("colors.mp4").display()
    ));
    run_ffmpeg(&format!(
        "-f lavfi -i color=white:s=640x360 -frames:v 1 {}",
        media.join("standby.png").display()
    ));
    let mut studio = Studio::start(server, &[From::Vod("file:colors.mp4")]).await;
    let caster_id = studio.caster.clone();
    let request = v1::StopCasterRequest { caster_id: caster_id.clone() };
    studio.client.stop_caster(request).await.unwrap();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let described = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let config = v1::CasterConfig {
        channel_enable: true,
        urgent_image_url: "file:standby.png".into(),
        ..described.config.unwrap()
    };
    let request = v1::SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
    let request = v1::DescribeCasterVideoResourcesRequest { caster_id: caster_id.clone() };
    let found = studio.client.describe_caster_video_resources(request).await.unwrap().into_inner();
    let channel = v1::SetCasterChannelRequest {
        caster_id: caster_id.clone(),
        channel_id: "RV01".into(),
        resource_id: found.video_resources[0].resource_id.clone(),
        seek_offset: Some(3000),
        play_status: Some(0),
        ..Default::default()
    };
    studio.client.set_caster_channel(channel).await.unwrap();
    studio.client.start_caster(v1::StartCasterRequest { caster_id }).await.unwrap();
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    studio
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_and_standby_outlive_a_kill() {
    let server = Server::start();
    let mut studio = start(&server).await;
    let path = studio.flv().split_once("/caster/").unwrap().1.to_owned();
    let url = |server: &Server| format!("http://{}/caster/{path}", server.http);
    let folder = server.folder.path("");
    assert_eq!(shown(&url(&server), &folder), "green", "before the kill");
    let server = server.killed();
    assert_eq!(shown(&url(&server), &folder), "green", "paused where it was");

    studio.client = server.client().await;
    let request = v1::EffectCasterUrgentRequest {
        caster_id: studio.caster.clone(),
        scene_id: studio.pgm.scene_id.clone(),
    };
    studio.client.effect_caster_urgent(request).await.unwrap();
    assert_eq!(shown(&url(&server), &folder), "white", "on standby");
    let server = server.killed();
    assert_eq!(shown(&url(&server), &folder), "white", "still on standby");
    studio.client = server.client().await;
    let request = v1::SetCasterSceneConfigRequest {
        caster_id: studio.caster.clone(),
        scene_id: studio.pgm.scene_id.clone(),
        ..Default::default()
    };
    studio.client.set_caster_scene_config(request).await.unwrap();
    assert_eq!(shown(&url(&server), &folder), "green", "back from standby, paused where it was");
}

/// Whether the left or the right half of a picture is black all over.
fn has_black_half(picture: &Picture) -> bool {
    let luma = &picture.planes()[0];
    let half = |from: usize| {
        let rows = luma.data.chunks(luma.stride_bytes);
        rows.flat_map(|row| &row[from..from + luma.stride_bytes / 2]).all(|&y| y < 40)
    };
    half(0) || half(luma.stride_bytes / 2)
}

/// The first pictures that a player gets, as `of` sees each.
fn first_pictures<T>(url: &str, folder: &Path, of: impl Fn(&Picture) -> T) -> Vec<T> {
    let file = folder.join(format!("{}.flv", uuid::Uuid::new_v4()));
    let recorder = record(url, &file);
    wait_for("PGM to be played", Duration::from_secs(20), || {
        (ticks(&file).len() > 45).then_some(())
    });
    drop(recorder);
    let mut seen = Vec::new();
    pictures(&file, |_, picture| seen.push(of(picture)));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn no_picture_after_a_kill_is_black() {
    let mut server = Server::start();
    let clip = server.folder.path("media").join("clip.mp4");
    run_ffmpeg(&format!(
        "-f lavfi -i color=red:s=1280x720:r=30:d=5 -c:v libx264 -g 150 {}",
        clip.display()
    ));
    let sources = [From::Vod("file:clip.mp4"), From::Vod("pattern:")];
    let mut studio = Studio::start(&server, &sources).await;
    let path = studio.flv().split_once("/caster/").unwrap().1.to_owned();
    let [left, right] = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 0.5, 1.0]];
    let whole = [0.0, 0.0, 1.0, 1.0];
    for layers in [&[("RV01", left), ("RV02", right)][..], &[("RV01", whole)], &[("RV02", whole)]] {
        let layout = studio.layout(layers).await;
        studio.take(&layout).await;
        server = server.killed();
        let url = format!("http://{}/caster/{path}", server.http);
        let black = first_pictures(&url, &server.folder.path(""), has_black_half);
        assert!(!black.contains(&true), "{layers:?}: {black:?}");
        studio.client = server.client().await;
    }
}

/// A live source that comes back later than the process: what stands in for it, then itself.
#[tokio::test(flavor = "multi_thread")]
async fn standby_stands_in_until_a_source_has_come() {
    let server = Server::start();
    run_ffmpeg(&format!(
        "-f lavfi -i color=white:s=640x360 -frames:v 1 {}",
        server.folder.path("media").join("standby.png").display()
    ));
    let live = format!("http://127.0.0.1:{}/live.flv", free_port());
    let publish = || {
        spawn_ffmpeg(&format!(
            "-re -f lavfi -i color=green:s=640x360:r=30 -c:v libx264 -preset ultrafast \
             -tune zerolatency -g 30 -f flv -listen 1 {live}"
        ))
    };
    let publisher = publish();
    let mut studio = Studio::start(&server, &[From::Live(live.clone())]).await;
    let path = studio.flv().split_once("/caster/").unwrap().1.to_owned();
    let url = |server: &Server| format!("http://{}/caster/{path}", server.http);
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    let server = server.killed();
    drop(publisher);
    // Without a standby there is nothing to show, and it is on air all the same.
    let folder = server.folder.path("");
    assert!(first_pictures(&url(&server), &folder, color).contains(&"black"), "no standby");

    studio.client = server.client().await;
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let described = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let config = v1::CasterConfig {
        urgent_image_url: "file:standby.png".into(),
        ..described.config.unwrap()
    };
    let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
    let server = server.killed();
    let seen = first_pictures(&url(&server), &folder, color);
    assert!(seen.iter().all(|color| *color == "white"), "{seen:?}");
    let _publisher = publish();
    wait_for("PGM's own picture", Duration::from_secs(40), || {
        let seen = first_pictures(&url(&server), &folder, color);
        assert!(!seen.contains(&"black"), "{seen:?}");
        (seen.last() == Some(&"green")).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn black_outlives_a_kill() {
    let server = Server::start();
    let mut studio = start(&server).await;
    let path = studio.flv().split_once("/caster/").unwrap().1.to_owned();
    let url = |server: &Server| format!("http://{}/caster/{path}", server.http);
    let folder = server.folder.path("");
    let fade = |studio: &Studio, on| v1::FadeCasterToBlackRequest {
        caster_id: studio.caster.clone(),
        on,
        duration_frames: 10,
    };
    let request = fade(&studio, true);
    studio.client.fade_caster_to_black(request).await.unwrap();
    let server = server.killed();
    assert_eq!(shown(&url(&server), &folder), "black");
    studio.client = server.client().await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    assert_eq!(shown(&url(&server), &folder), "black", "a take stays beneath it");
    let request = fade(&studio, false);
    studio.client.fade_caster_to_black(request).await.unwrap();
    assert_eq!(shown(&url(&server), &folder), "green");
}
