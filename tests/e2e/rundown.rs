//! A rundown: its episodes switch PGM on the frame that their UTC time falls on, also after the process was killed.

use std::path::Path;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::media::pattern::{Area, read_frame_number};
use onair::time::{FrameRate, unix_ms, unix_ns};

use crate::support::{CANVAS, From, Server, Studio, pictures, record, ticks, wait_for};

const EPISODES: u64 = 20;
const FULL: Area = Area { x_px: 0, y_px: 0, size: CANVAS };

/// Waits for a moment of the wall clock.
fn wait_until(moment_unix_ms: u64) {
    let left = Duration::from_millis(moment_unix_ms.saturating_sub(unix_ms()));
    wait_for("a moment to come", left + Duration::from_secs(1), || {
        (unix_ms() >= moment_unix_ms).then_some(())
    });
}

/// The caster with a rundown of a second an episode, alternating two files, and when the first one begins.
async fn with_rundown(server: &Server) -> (Studio, u64) {
    let sources = [From::Vod("pattern:640x360@30"), From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start(server, &sources).await;
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let described = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let config = described.config.unwrap();
    let config = v1::CasterConfig { program_effect: true, ..config };
    let request = v1::SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
    let request = v1::DescribeCasterVideoResourcesRequest { caster_id: caster_id.clone() };
    let found = studio.client.describe_caster_video_resources(request).await.unwrap().into_inner();
    let begin_ms = (unix_ms() / 1000 + 6) * 1000;
    let episode = |index: u64| v1::Episode {
        episode_type: "Resource".into(),
        resource_id: found.video_resources[index as usize % 2].resource_id.clone(),
        start_time_unix_ms: i64::try_from(begin_ms + index * 1000).ok(),
        end_time_unix_ms: i64::try_from(begin_ms + index * 1000 + 1000).ok(),
        switch_type: "ContentFirst".into(),
        ..Default::default()
    };
    let request =
        v1::AddCasterProgramRequest { caster_id, episodes: (0..EPISODES).map(episode).collect() };
    studio.client.add_caster_program(request).await.unwrap();
    (studio, begin_ms)
}

/// When frame 0 of the running caster was on air, as the server tells it; compared with this clock.
async fn tick0_unix_ns(studio: &mut Studio) -> i128 {
    let request = v1::WatchCasterRequest { caster_id: studio.caster.clone(), ..Default::default() };
    let mut states = studio.client.watch_caster(request).await.unwrap().into_inner();
    // A show that comes back does not tell before it is on air.
    for _ in 0..100 {
        let state = states.message().await.unwrap().unwrap();
        let Some(tick0) = state.tick0_unix_ns.map(i128::from) else { continue };
        let now = tick0 + i128::from(FrameRate::FPS_30.tick_ns(state.tick));
        assert!((now - unix_ns()).abs() < 1_000_000_000, "{state:?}");
        return tick0;
    }
    panic!("the server does not tell when frame 0 was on air");
}

/// How many episodes began within a recording; each on its frame, with the first frame of its file. A machine that is
/// late repeats pictures, so what is compared is the frame that each picture's tick should show: frame n of the file n ticks
/// after the episode's own.
fn check(recording: &Path, begin_ms: u64, tick0_unix_ns: i128) -> usize {
    let ticks = ticks(recording);
    let mut shown = std::collections::BTreeMap::new();
    pictures(recording, |index, picture| {
        shown.insert(ticks[index], read_frame_number(picture, FULL));
    });
    let mut checked = 0;
    for index in 0..EPISODES {
        let start_ns = i128::from(begin_ms + index * 1000) * 1_000_000;
        if start_ns < tick0_unix_ns {
            continue;
        }
        let tick = FrameRate::FPS_30.tick_at_offset(start_ns - tick0_unix_ns);
        // What begins with tick 0 has nothing before it to be told from.
        let before = tick.checked_sub(1).and_then(|before| shown.get(&before));
        let (Some(before), Some(_)) = (before, shown.get(&(tick + 20))) else { continue };
        let seen: Vec<_> = (tick..tick + 20).filter_map(|tick| shown.get(&tick).copied()).collect();
        // What is late is the last picture once more.
        let is_late =
            |at: usize| if at == 0 { seen[at] == *before } else { seen[at] == seen[at - 1] };
        let due = |at: usize| seen[at] == u64::try_from(at).ok();
        let exact = (0..seen.len()).filter(|&at| due(at)).count();
        let explained = (0..seen.len()).all(|at| due(at) || is_late(at));
        assert!(explained && exact >= 10, "episode {index}, tick {tick}, {before:?}: {seen:?}");
        checked += 1;
    }
    checked
}

#[tokio::test(flavor = "multi_thread")]
async fn episodes_switch_on_the_frame_of_their_time_also_after_a_kill() {
    let server = Server::start();
    let (mut studio, begin_ms) = with_rundown(&server).await;
    let path = studio.flv().split_once("/caster/").unwrap().1.to_owned();
    let before = server.folder.path("before.flv");
    let tick0 = tick0_unix_ns(&mut studio).await;
    let recorder = record(&studio.flv(), &before);
    wait_until(begin_ms + 10_400);
    let server = server.killed();
    drop(recorder);
    let checked = check(&before, begin_ms, tick0);
    assert!(checked >= 9, "{checked} episodes were seen to begin before the kill");

    studio.client = server.client().await;
    let after = server.folder.path("after.flv");
    let tick0 = tick0_unix_ns(&mut studio).await;
    let recorder = record(&format!("http://{}/caster/{path}", server.http), &after);
    wait_until(begin_ms + EPISODES * 1000 + 1000);
    drop(recorder);
    let checked = check(&after, begin_ms, tick0);
    assert!(checked >= 5, "{checked} episodes were seen to begin after the kill");
}
