//! The delay as a viewer sees it: by the frame numbers in the picture against the times of the stream.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::media::pattern::{Area, read_frame_number};

use crate::relays::configure;
use crate::support::{
    CANVAS, From, Server, Studio, is_thorough, pictures, record, ticks, wait_for,
};

const FULL: Area = Area { x_px: 0, y_px: 0, size: CANVAS };
/// Frames in a row that make a state of the stream.
const STEADY: usize = 20;

/// How many ticks behind the stream is in each of its states, one after the other. A picture that stands is in none.
fn states(recording: &Path) -> Vec<i64> {
    let times = ticks(recording);
    let mut seen: Vec<(i64, usize)> = Vec::new();
    pictures(recording, |index, picture| {
        let Some(number) = read_frame_number(picture, FULL) else { return };
        let behind = times[index] as i64 - number as i64;
        match seen.last_mut() {
            Some((last, frames)) if *last == behind => *frames += 1,
            _ => seen.push((behind, 1)),
        }
    });
    let steady = seen.into_iter().filter(|(_, frames)| *frames >= STEADY);
    steady.map(|(behind, _)| behind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_as_far_behind_as_was_asked_and_never_sees_a_broken_stream() {
    let delays_s: &[u64] = if is_thorough() { &[0, 20, 60, 15, 0] } else { &[0, 3, 6, 2, 0] };
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let full = studio.full("RV01").await;
    let taken = studio.take(&full).await;
    let to = format!("rtmp://{}/live/delayed", server.rtmp);
    configure(&mut studio, |config| config.side_output_urls = vec![to]).await;
    let file = server.folder.path("viewer.flv");
    let mut viewer = record(&studio.flv(), &file);
    let limit = Duration::from_secs(120);
    let last = || ticks(&file).last().copied().unwrap_or(0);
    wait_for("the take", limit, || (last() > taken + 60).then_some(()));
    for pair in delays_s.windows(2) {
        configure(&mut studio, |config| config.delay = pair[1] as f32).await;
        // A group of pictures until it begins, what it grows by, and a while to look at.
        let from = last();
        let enough = from + 30 * (pair[1].saturating_sub(pair[0]) + 4);
        wait_for("a new delay", limit, || (last() > enough).then_some(()));
    }
    let state = studio.state().await;
    viewer.signal("INT");
    viewer.wait(Duration::from_secs(10));
    let times = ticks(&file);
    // At most half a second between two pictures, and none out of order.
    assert!(times.windows(2).all(|pair| (1..=15).contains(&(pair[1] - pair[0]))), "{times:?}");
    let check = ["-v", "error", "-xerror", "-i", file.to_str().unwrap(), "-f", "null", "-"];
    let decoded = Command::new("ffmpeg").args(check).output().unwrap();
    let complaints = String::from_utf8_lossy(&decoded.stderr).into_owned();
    assert!(decoded.status.success() && complaints.is_empty(), "{complaints}");
    let states = states(&file);
    let measured: Vec<i64> = states.iter().map(|behind| behind - states[0]).collect();
    println!("asked for {delays_s:?} s, a viewer measures {measured:?} ticks of 1/30 s");
    assert_eq!(measured.len(), delays_s.len(), "{measured:?}");
    for (measured, asked_s) in measured.iter().zip(delays_s) {
        assert!((measured - 30 * *asked_s as i64).abs() <= 1, "{measured} for {asked_s} s");
    }
    // The relay stayed as well.
    let relay = state.outputs.iter().find_map(|output| output.relay.clone()).unwrap();
    assert_eq!((relay.state(), relay.reconnects), (v1::RelayState::Live, 0), "{relay:?}");
    assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
}
