//! A live source that comes and goes for long: standby comes and goes no oftener than its rules say, and no frame is lost.
//!
//! 3 s at each pace; with `ONAIR_THOROUGH=1` 100 s, 10 minutes in all.

use std::path::Path;
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::frame::Picture;
use onair::time::Clock;

use crate::peers::{Camera, Order};
use crate::standby::{AFTER_TICKS, BACK_TICKS, Watch};
use crate::support::{Server, is_thorough, pictures, ticks, wait_for};

const PACES_MHZ: [u64; 6] = [500, 700, 1000, 2000, 3300, 5000];

/// Standby is white all over, the camera is not.
fn is_standby(picture: &Picture) -> bool {
    let luma = &picture.planes()[0];
    let places = [(40, 20), (160, 90), (320, 180), (480, 270), (600, 340)];
    places.into_iter().all(|(x, y): (usize, usize)| luma.data[y * luma.stride_bytes + x] > 200)
}

/// Lengths in ticks of what the camera and standby showed in turn, from the take on; whether standby is on at the end.
fn runs(file: &Path, taken: u64) -> Vec<(bool, u64)> {
    let ticks = ticks(file);
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "PGM missed a frame");
    let mut runs: Vec<(bool, u64)> = Vec::new();
    pictures(file, |index, picture| {
        if ticks[index] < taken {
            return;
        }
        match (runs.last_mut(), is_standby(picture)) {
            (Some((was, length)), is) if *was == is => *length += 1,
            (_, is) => runs.push((is, 1)),
        }
    });
    runs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_flaps_brings_standby_no_oftener_than_the_rules_say() {
    let server = Server::start();
    let camera = Camera::start(&server.folder.path(""));
    let mut watch = Watch::start(&server, camera.url()).await;
    let pace_s = if is_thorough() { 100 } else { 3 };
    let clock = Clock::real();
    for pace_mhz in PACES_MHZ {
        let ends_ns = clock.now_ns() + pace_s * 1_000_000_000;
        while clock.now_ns() < ends_ns {
            for order in [Order::Frozen, Order::Play] {
                camera.order(order);
                // The pace is what is tested.
                tokio::time::sleep(Duration::from_millis(500_000 / pace_mhz)).await;
            }
            watch.listen().await;
        }
    }
    let flapped_ticks = clock.now_ns() * 30 / 1_000_000_000;
    watch.until(v1::StandIn::Own).await;
    let seen = watch.last_tick();
    wait_for("some more", Duration::from_secs(20), || {
        (watch.last_tick() > seen + 60).then_some(())
    });
    let (file, codes) = watch.end().await;
    let runs = runs(&file, watch.taken);
    let came = runs.iter().filter(|(is_standby, _)| *is_standby).count();
    let most = flapped_ticks / (AFTER_TICKS + BACK_TICKS) + 1;
    println!("flapped for {} s: standby came {came} times, at most {most}", flapped_ticks / 30);
    println!(
        "ticks that the camera and standby were on: {:?}",
        runs.iter().map(|r| r.1).collect::<Vec<_>>()
    );
    assert!((1..=most).contains(&(came as u64)), "standby came {came} times: {runs:?}");
    let told = |code: &str| codes.get(code).copied().unwrap_or(0);
    assert_eq!([told("Standby"), told("Own")], [came; 2], "{codes:?}");
    // What is on stays on for as long as it must; the first and the last run are not whole.
    for (is_standby, length) in &runs[1..runs.len() - 1] {
        let least = if *is_standby { BACK_TICKS } else { AFTER_TICKS };
        assert!(*length >= least, "{length} ticks, at least {least}: {runs:?}");
    }
}
