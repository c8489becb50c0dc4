//! Threads beside the frame's path that break in the built binary: another one takes the place of each, and what is beside it
//! loses nothing.

use std::path::Path;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::media::pattern::{Area, read_frame_number};

use crate::faults::metric;
use crate::render::render;
use crate::support::{CANVAS, From, Process, Server, Studio, pictures, record, ticks, wait_for};

const FULL: Area = Area { x_px: 0, y_px: 0, size: CANVAS };
const LONG: Duration = Duration::from_secs(60);

/// A file of the numbered pattern.
const CLIP: &str = r#"
template = "lp_ld"
seconds = 60
[encode]
preset = "ultrafast"
[[source]]
location = "RV01"
pattern = "pattern:640x360@30"
[[layout]]
name = "full"
[[layout.layer]]
source = "RV01"
place = { width = 1.0, height = 1.0, fill = "fit" }
[[layout.audio]]
source = "RV01"
[[command]]
at = 0.0
layout = "full"
"#;

/// Ends a recording and checks that it has every tick once.
fn finish(mut recorder: Process, file: &Path) {
    recorder.signal("INT");
    recorder.wait(Duration::from_secs(10));
    let ticks = ticks(file);
    assert!(ticks.len() > 300, "{file:?}: {} frames", ticks.len());
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{file:?}: {ticks:?}");
}

/// Follows the events of a caster until so many threads of outputs and of sources have been replaced.
async fn await_restarts(studio: &mut Studio, [of_outputs, of_sources]: [usize; 2]) -> Vec<String> {
    let request = v1::WatchCasterRequest { caster_id: studio.caster.clone(), ..Default::default() };
    let mut states = studio.client.watch_caster(request).await.unwrap().into_inner();
    let mut told = Vec::new();
    let mut counts = [0, 0];
    while counts != [of_outputs, of_sources] {
        let state = tokio::time::timeout(LONG, states.message()).await;
        let state = state.unwrap_or_else(|_| panic!("no more events: {told:?}")).unwrap().unwrap();
        for event in state.events.into_iter().filter(|event| event.code == "ThreadRestarted") {
            counts[usize::from(!event.resource_id.is_empty())] += 1;
            told.push(event.message);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_programme_a_rendition_a_sink_and_a_source_that_break_begin_again() {
    let server = Server::start_with_faults(
        "lld-pgm-test:panic@300,hls-pgm-test:panic@700,input-source RV01:panic@400,enc-pgm-test:panic@350",
    );
    let script = server.folder.path("clip.toml");
    std::fs::write(&script, CLIP).unwrap();
    let rendered = render(&script, &server.folder.path("media").join("clip.mp4"));
    assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
    let sources = [From::Vod("file:clip.mp4")];
    let mut studio = Studio::start_as(&server, &sources, |config| {
        let transcode = config.transcode_config.as_mut().unwrap();
        transcode.live_templates = vec!["lld".into()];
    })
    .await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    let rung = studio.flv().replace(".flv", "_lld.flv");
    let files = ["pgm.flv", "lld.flv"].map(|name| server.folder.path(name));
    let recorders = [record(&studio.flv(), &files[0]), record(&rung, &files[1])];
    let told = await_restarts(&mut studio, [3, 1]).await;
    println!("{told:#?}");
    let last = ticks(&files[0]).last().copied().unwrap_or(0);
    wait_for("both to go on", LONG, || {
        let is_on =
            |file: &std::path::PathBuf| ticks(file).last().is_some_and(|tick| *tick > last + 90);
        files.iter().all(is_on).then_some(())
    });
    let state = studio.state().await;
    let restarts = |name: &str| {
        state.outputs.iter().find(|output| output.name == name).map(|output| output.restarts)
    };
    assert_eq!((restarts("pgm"), restarts("pgm_lld")), (Some(2), Some(1)), "{state:?}");
    assert_eq!((state.inputs[0].restarts, state.restarts), (1, 0), "{state:?}");
    assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
    assert_eq!(metric(&server, "onair_output_thread_restarts_total"), 3.0);
    assert_eq!(metric(&server, "onair_input_restarts_total"), 1.0);
    for (recorder, file) in recorders.into_iter().zip(&files) {
        finish(recorder, file);
    }
    // The file goes on from where it was.
    let mut numbers = Vec::new();
    pictures(&files[0], |_, picture| numbers.extend(read_frame_number(picture, FULL)));
    assert!(numbers.windows(2).all(|pair| pair[1] >= pair[0]), "{numbers:?}");
    let still = numbers.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or(0);
    println!("{} frames, at most {still} of one picture", numbers.len());
    assert!(still < 60 && numbers.last() > Some(&450), "{still}: {numbers:?}");
}

/// It holds nothing that whoever follows it needs: the show goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_programme_that_hangs_while_it_hands_on_costs_a_tick_and_no_show() {
    let server = Server::start_with_faults("hand-pgm-test:hang@300");
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let layout = studio.full("RV01").await;
    studio.take(&layout).await;
    let file = server.folder.path("pgm.flv");
    let mut recorder = record(&studio.flv(), &file);
    let told = await_restarts(&mut studio, [1, 0]).await;
    println!("{told:#?}");
    let last = ticks(&file).last().copied().unwrap_or(0);
    wait_for("it to go on", LONG, || {
        ticks(&file).last().filter(|tick| **tick > last + 90).map(drop)
    });
    let state = studio.state().await;
    let pgm = state.outputs.iter().find(|output| output.name == "pgm").unwrap();
    assert_eq!((state.restarts, pgm.restarts), (0, 1), "{state:?}");
    recorder.signal("INT");
    recorder.wait(Duration::from_secs(10));
    let ticks = ticks(&file);
    let lost: u64 = ticks.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    assert_eq!(lost, 1, "{ticks:?}");
}
