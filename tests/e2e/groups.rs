//! An episode group reaches whom it is pushed to.

use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::time::unix_ms;

use crate::resume::color;
use crate::support::{Server, free_port, pictures, run_ffmpeg, spawn_ffmpeg};

const COLORS: [&str; 2] = ["red", "green"];

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_pushed_item_after_item() {
    check(Server::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_worker_breaks_goes_on_from_there() {
    check(Server::start_with_faults("input-episode group:panic@45")).await;
}

/// It plays all of both files, and then ends.
async fn check(server: Server) {
    for color in COLORS {
        run_ffmpeg(&format!(
            "-f lavfi -i color={color}:s=320x180:r=30:d=3 -c:v libx264 -g 30 {}",
            server.folder.path("media").join(format!("{color}.mp4")).display()
        ));
    }
    let url = format!("rtmp://127.0.0.1:{}/live/group", free_port());
    let received = server.folder.path("received.mkv");
    // It decodes what it is sent, and ends with the group.
    let mut listener = spawn_ffmpeg(&format!(
        "-listen 1 -f flv -i {url} -an -vf scale=640:360 -c:v libx264 -preset ultrafast {}",
        received.display()
    ));
    let item = |color: &str| v1::EpisodeGroupItem {
        item_name: color.into(),
        vod_url: format!("file:{color}.mp4"),
    };
    let group = v1::EpisodeGroup {
        domain_name: "127.0.0.1".into(),
        start_time_unix_ms: i64::try_from(unix_ms() + 2000).ok(),
        side_output_url: url,
        callback_url: "http://hook.example.com/cb".into(),
        items: COLORS.map(item).into(),
        ..Default::default()
    };
    let request = v1::AddCasterEpisodeGroupRequest {
        client_token: uuid::Uuid::new_v4().to_string(),
        episode_group: Some(group),
    };
    let added = server.client().await.add_caster_episode_group(request).await.unwrap();
    assert_eq!(added.into_inner().item_ids.len(), COLORS.len());
    assert!(listener.wait(Duration::from_secs(40)).success(), "what was pushed is decoded");
    let mut seen = Vec::new();
    pictures(&received, |_, picture| seen.push(color(picture)));
    let frames = COLORS.map(|color| seen.iter().filter(|seen| **seen == color).count());
    assert!(frames.iter().all(|frames| *frames >= 30), "{seen:?}");
    seen.dedup();
    seen.retain(|color| *color != "black");
    assert_eq!(seen, COLORS);
}
