//! Faults inside the process, in the built binary: what breaks begins again, and the stream that is played has every frame.
//!
//! Faults are asked for by `ONAIR_FAULTS` (`src/fault.rs`); the wall clock is stepped by libfaketime, where it is installed.

use std::path::Path;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::media::pattern::{Area, read_frame_number};

use crate::support::{CANVAS, From, Process, Server, Studio, pictures, record, ticks, wait_for};

const FULL: Area = Area { x_px: 0, y_px: 0, size: CANVAS };
const LONG: Duration = Duration::from_secs(40);

/// What the metrics page says of `name`, summed over its labels.
pub(crate) fn metric(server: &Server, name: &str) -> f64 {
    let page = crate::edges::get(server.http, "/metrics").1;
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// A caster on air with the pattern, and a player that records it.
struct Show {
    server: Server,
    studio: Studio,
    recorder: Process,
    file: std::path::PathBuf,
}

impl Show {
    async fn start(server: Server) -> Show {
        let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
        let layout = studio.full("RV01").await;
        studio.take(&layout).await;
        let file = server.folder.path("pgm.flv");
        let recorder = record(&studio.flv(), &file);
        Show { server, studio, recorder, file }
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&v1::WatchCasterResponse) -> bool) {
        for _ in 0..2000 {
            if is_so(&self.studio.state().await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: {:?}", self.studio.state().await);
    }

    /// Waits until the player has `count` frames more.
    fn play_on(&self, count: u64) {
        let last = ticks(&self.file).last().copied().unwrap_or(0);
        wait_for("the player to go on", LONG, || {
            ticks(&self.file).last().filter(|tick| **tick > last + count).map(drop)
        });
    }

    /// The player saw every tick once, without another connection, and at the end the pattern goes on. Answers the longest time without
    /// a new picture, frames.
    fn check(mut self, what: &str) -> usize {
        self.recorder.signal("INT");
        self.recorder.wait(Duration::from_secs(10));
        let ticks = ticks(&self.file);
        assert!(
            ticks.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{what}: a tick is missing or out of order: {ticks:?}"
        );
        let numbers = numbers(&self.file);
        assert_eq!(numbers.len(), ticks.len(), "{what}: frames decoded");
        let end = &numbers[numbers.len() - 20..];
        assert!(end.iter().all(Option::is_some) && end[0] != end[19], "{what}: {end:?}");
        let still = numbers.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or(0);
        println!(
            "{what}: {} frames, none missing, at most {still} without a new picture",
            ticks.len()
        );
        still
    }
}

/// The frame number in each picture of a recording.
fn numbers(file: &Path) -> Vec<Option<u64>> {
    let mut numbers = Vec::new();
    pictures(file, |_, picture| numbers.push(read_frame_number(picture, FULL)));
    numbers
}

/// Small shows, each with its own server: what they wait for takes longer than what they do.
async fn side_by_side<F: Future<Output = ()> + Send + 'static>(shows: [F; 2]) {
    for show in shows.map(tokio::spawn) {
        show.await.unwrap();
    }
}

/// An encoder breaks; fewer than `most_still` frames pass without a new picture.
async fn break_encoder(kind: &str, most_still: usize) {
    let server = Server::start_with_faults(&format!("encode-pgm-test:{kind}@200"));
    let mut show = Show::start(server).await;
    show.until("another encoder", |state| state.outputs[0].restarts == 1).await;
    show.play_on(60);
    let state = show.studio.state().await;
    assert_eq!(state.restarts, 0, "{state:?}");
    assert!(!state.outputs[0].message.is_empty(), "what was wrong is told");
    assert_eq!(metric(&show.server, "onair_output_encoder_restarts_total"), 1.0);
    let still = show.check(kind);
    assert!(still < most_still, "{kind}: {still}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_that_breaks_costs_no_frame() {
    side_by_side([("panic", 15), ("hang", 150)].map(|(kind, most)| break_encoder(kind, most)))
        .await;
}

async fn break_frame_thread(kind: &str) {
    let server = Server::start_with_faults(&format!("tick-pgm-test:{kind}@200"));
    let mut show = Show::start(server).await;
    await_events(&mut show.studio, &["CasterRestarted"]).await;
    show.play_on(90);
    let state = show.studio.state().await;
    assert_eq!(state.restarts, 1, "{state:?}");
    // Ticks are counted from the same beginning.
    let now_ns =
        state.tick0_unix_ns.unwrap() + i64::try_from(state.tick).unwrap() * 100_000_000 / 3;
    let off_ns = i128::from(now_ns) - onair::time::unix_ns();
    assert!(off_ns.abs() < 2_000_000_000, "{off_ns} ns off, {state:?}");
    // A take works as before.
    let layout = show.studio.full("RV01").await;
    show.studio.take(&layout).await;
    show.play_on(30);
    show.check(kind);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_thread_that_breaks_is_replaced_within_the_stream() {
    side_by_side(["panic", "hang"].map(break_frame_thread)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_show_that_breaks_again_and_again_goes_on_a_slate_and_comes_back() {
    let server = Server::start_with_faults("tick-pgm-test:panic@200-204");
    let mut show = Show::start(server).await;
    show.until("five beginnings", |state| state.restarts == 5).await;
    show.play_on(30);
    let numbers_on_slate = numbers(&show.file);
    assert_eq!(numbers_on_slate.last(), Some(&None), "a slate");
    wait_for("the show itself", LONG, || {
        let last = *numbers(&show.file).last().unwrap();
        last.is_some().then_some(())
    });
    show.play_on(30);
    assert_eq!(show.studio.state().await.restarts, 5);
    show.check("five in a row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graphics_device_that_is_destroyed_costs_no_frame() {
    let server = Server::start_with_faults("tick-pgm-test:fail@200");
    let show = Show::start(server).await;
    wait_for("another device", LONG, || {
        (metric(&show.server, "onair_gpu_device_lost_total") == 1.0).then_some(())
    });
    show.play_on(90);
    show.check("device destroyed");
}

/// Follows a caster's events until one of each of these codes has come, in this order.
async fn await_events(studio: &mut Studio, codes: &[&str]) {
    let request = v1::WatchCasterRequest { caster_id: studio.caster.clone(), ..Default::default() };
    let mut states = studio.client.watch_caster(request).await.unwrap().into_inner();
    let mut left = codes.iter();
    let mut next = left.next();
    while next.is_some() {
        let state = tokio::time::timeout(Duration::from_secs(90), states.message()).await;
        let state = state.expect("an answer").unwrap().unwrap();
        for event in state.events {
            println!("{}: {}", event.code, event.message);
            if next.is_some_and(|code| event.code == *code) {
                next = left.next();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_costs_pvw_first_and_no_tick() {
    let server = Server::start_with_faults("tick-pgm-test:slow@200-330");
    let mut show = Show::start(server).await;
    await_events(&mut show.studio, &["OverloadShed", "OverloadRestored"]).await;
    wait_for("everything to be made again", Duration::from_secs(90), || {
        (metric(&show.server, "onair_overload_level") == 0.0).then_some(())
    });
    show.play_on(30);
    show.check("overload");
}

/// Changes the caster's configuration.
async fn configure(studio: &mut Studio, change: impl FnOnce(&mut v1::CasterConfig)) {
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let described = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let mut config = described.config.unwrap();
    change(&mut config);
    let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
}

/// The files below a folder with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_finishes_every_file_in_time() {
    let mut server = Server::start();
    let mut shows = Vec::new();
    for _ in 0..2 {
        let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
        configure(&mut studio, |config| {
            let format =
                |format: &str| v1::RecordFormat { format: format.into(), ..Default::default() };
            config.record_config = Some(v1::RecordConfig {
                oss_endpoint: "local".into(),
                oss_bucket: "local".into(),
                record_formats: ["mp4", "flv", "m3u8"].map(format).into(),
                ..Default::default()
            });
        })
        .await;
        let layout = studio.full("RV01").await;
        studio.take(&layout).await;
        let file = server.folder.path(&format!("player{}.flv", shows.len()));
        let player = record(&studio.flv(), &file);
        shows.push((studio, file, player));
    }
    for (_, file, _) in &shows {
        wait_for("three seconds of playing", LONG, || (ticks(file).len() > 90).then_some(()));
    }
    let clock = onair::time::Clock::real();
    server.process.signal("TERM");
    let status = server.process.wait(Duration::from_secs(6));
    println!("ended after {} ms: {status}", clock.now_ns() / 1_000_000);
    assert!(status.success(), "{status}");
    let record_dir = server.folder.path("data/record");
    let recordings = files(&record_dir, &["mp4", "flv", "m3u8"]);
    assert_eq!(recordings.len(), 6, "{recordings:?}");
    for path in recordings {
        let decoded = std::process::Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&path)
            .args(["-f", "null", "-"])
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&decoded.stderr).into_owned();
        assert!(decoded.status.success() && complaints.is_empty(), "{path:?}: {complaints}");
        let frames = ticks(&path);
        assert!(frames.len() > 90, "{path:?}: {} frames", frames.len());
    }
    for (_, file, mut player) in shows {
        assert!(player.wait(Duration::from_secs(5)).success());
        let ticks = ticks(&file);
        assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ticks:?}");
    }
}

/// Debian's libfaketime.
pub(crate) const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// A server whose wall clock is ahead by what the file `offset` in the folder says, and a file that is white.
fn with_faketime() -> (crate::support::Folder, Server) {
    let folder = crate::support::Folder::new();
    let offset = folder.path("offset");
    std::fs::write(&offset, "+0").unwrap();
    let server = Server::start_in(&[
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    crate::support::run_ffmpeg(&format!(
        "-f lavfi -i color=white:s=640x360:r=30:d=60 -c:v libx264 -preset ultrafast -g 30 {}",
        server.folder.path("media").join("white.mp4").display()
    ));
    (folder, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_stepped_moves_the_rundown_and_costs_no_frame() {
    if !Path::new(FAKETIME).exists() {
        println!("skipped: libfaketime is not installed");
        return;
    }
    let (folder, server) = with_faketime();
    let offset = folder.path("offset");
    let mut show = Show::start(server).await;
    let caster_id = show.studio.caster.clone();
    crate::support::add_source(
        &mut show.studio.client,
        &caster_id,
        "RV02",
        &From::Vod("file:white.mp4"),
    )
    .await;
    configure(&mut show.studio, |config| config.program_effect = true).await;
    let request = v1::DescribeCasterVideoResourcesRequest { caster_id: caster_id.clone() };
    let found = show.studio.client.describe_caster_video_resources(request).await.unwrap();
    let resources = found.into_inner().video_resources;
    // Eight seconds from now by a clock that is an hour ahead.
    let begin_ms = i64::try_from(onair::time::unix_ms()).unwrap() + 3_600_000 + 8_000;
    let episode = v1::Episode {
        episode_type: "Resource".into(),
        resource_id: resources
            .iter()
            .find(|r| r.location_id == "RV02")
            .unwrap()
            .resource_id
            .clone(),
        start_time_unix_ms: Some(begin_ms),
        end_time_unix_ms: Some(begin_ms + 30_000),
        switch_type: "ContentFirst".into(),
        ..Default::default()
    };
    let request = v1::AddCasterProgramRequest { caster_id, episodes: vec![episode] };
    show.studio.client.add_caster_program(request).await.unwrap();
    show.play_on(30);
    let before = show.studio.state().await.tick0_unix_ns.unwrap();
    std::fs::write(&offset, "+3600").unwrap();
    show.until("the clock's step", |state| {
        let tick0 = state.tick0_unix_ns.unwrap_or(0);
        (tick0 - before - 3_600_000_000_000).abs() < 1_000_000_000
    })
    .await;
    let tick0 = i128::from(show.studio.state().await.tick0_unix_ns.unwrap());
    let due =
        onair::time::FrameRate::FPS_30.tick_at_offset(i128::from(begin_ms) * 1_000_000 - tick0);
    wait_for("the episode", LONG, || {
        ticks(&show.file).last().filter(|tick| **tick > due + 30).map(drop)
    });
    std::fs::write(&offset, "+0").unwrap();
    show.play_on(60);
    show.recorder.signal("INT");
    show.recorder.wait(Duration::from_secs(10));
    let ticks = ticks(&show.file);
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ticks:?}");
    let numbers = numbers(&show.file);
    let began = ticks.iter().zip(&numbers).skip(60).find(|(_, number)| number.is_none());
    let (began, _) = began.expect("the episode is seen");
    println!(
        "clock stepped: {} frames, none missing; episode at {began}, due at {due}",
        ticks.len()
    );
    assert!(began.abs_diff(due) <= 1, "began at {began}, due at {due}");
}

/// Makes another caster and starts it.
async fn start_another(studio: &Studio) -> Result<(), String> {
    let mut client = studio.client.clone();
    let request = v1::CreateCasterRequest {
        caster_name: "another".into(),
        client_token: uuid::Uuid::new_v4().to_string(),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    let caster_id = client.create_caster(request).await.unwrap().into_inner().caster_id;
    let config = v1::CasterConfig {
        caster_name: "another".into(),
        domain_name: "127.0.0.1".into(),
        transcode_config: Some(v1::TranscodeConfig {
            caster_template: "lp_ud".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = v1::SetCasterConfigRequest { caster_id: caster_id.clone(), config: Some(config) };
    client.set_caster_config(request).await.unwrap();
    let started = client.start_caster(v1::StartCasterRequest { caster_id }).await;
    started.map(drop).map_err(|status| status.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_machine_cannot_carry_is_refused_with_the_numbers() {
    let server = Server::start_in(&[("ONAIR_MAX_ENCODERS", "1")]);
    let mut studio = Studio::start(&server, &[]).await;
    let refused = start_another(&studio).await.unwrap_err();
    println!("{refused}");
    assert!(refused.contains("1 encoders run and 1 more are asked for"), "{refused}");
    // A rendition of what runs is one too many as well, and leaves it as it was.
    let request = v1::DescribeCasterConfigRequest { caster_id: studio.caster.clone() };
    let described = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let mut config = described.config.unwrap();
    config.transcode_config.as_mut().unwrap().live_templates = vec!["lld".into()];
    let request =
        v1::SetCasterConfigRequest { caster_id: studio.caster.clone(), config: Some(config) };
    let refused = studio.client.set_caster_config(request).await.unwrap_err();
    assert!(refused.message().contains("1 encoders run and 1 more"), "{refused:?}");
    assert_eq!(studio.state().await.outputs.len(), 1);
    drop(server);
    // A hundredth of the cores is not enough for 1080p; the first show has none to spare.
    let server = Server::start_in(&[("ONAIR_MAX_LOAD_PERCENT", "1")]);
    let studio = Studio {
        client: server.client().await,
        caster: String::new(),
        pvw: v1::Scene::default(),
        pgm: v1::Scene::default(),
    };
    let refused = start_another(&studio).await.unwrap_err();
    println!("{refused}");
    assert!(refused.contains("cores are in use") && refused.contains("62.2 million"), "{refused}");
}
