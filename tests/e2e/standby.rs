//! Standby by itself, with a real pusher: on air when the source is gone, off again when it is back, and no frame lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use onair::api::grpc::pb as v1;
use onair::frame::Picture;

use crate::support::{
    From, Process, Server, Studio, is_thorough, pictures, record, run_ffmpeg, spawn_ffmpeg, ticks,
    wait_for,
};

/// A pusher of one colour that begins with a key frame every second.
fn push(to: &str, size: &str) -> Process {
    spawn_ffmpeg(&format!(
        "-re -f lavfi -i color=red:s={size}:r=30,noise=alls=8:allf=t -f lavfi -i sine=frequency=440:sample_rate=48000 \
         -c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -c:a aac -f flv {to}"
    ))
}

/// What a picture shows, by its middle: the source is red, standby is white; anything else is the slate or black.
fn color(picture: &Picture) -> &'static str {
    let [y, u, v] = [0, 1, 2].map(|plane: usize| {
        let (plane, half) = (&picture.planes()[plane], if plane == 0 { 1 } else { 2 });
        plane.data[180 / half * plane.stride_bytes + 320 / half]
    });
    match (y, u, v) {
        (200.., _, _) => "standby",
        (_, _, 200..) => "source",
        (..40, _, _) => "black",
        _ => "other",
    }
}

/// Half a second, and a whole one.
pub(crate) const AFTER_TICKS: u64 = 15;
pub(crate) const BACK_TICKS: u64 = 30;

/// A caster that shows a live source and has a standby, recorded and followed.
pub(crate) struct Watch {
    pub(crate) studio: Studio,
    /// The first tick that shows the source.
    pub(crate) taken: u64,
    file: PathBuf,
    recorder: Process,
    after: u64,
    codes: Vec<String>,
}

impl Watch {
    /// Goes on air with the source at `url`.
    pub(crate) async fn start(server: &Server, url: String) -> Watch {
        run_ffmpeg(&format!(
            "-f lavfi -i color=white:s=640x360 -frames:v 1 {}",
            server.folder.path("media").join("standby.png").display()
        ));
        let mut studio = Studio::start(server, &[From::Live(url)]).await;
        keep_watch(&mut studio).await;
        let layout = studio.full("RV01").await;
        let taken = studio.take(&layout).await;
        let file = server.folder.path("pgm.flv");
        let recorder = record(&studio.flv(), &file);
        let mut watch = Watch { studio, taken, file, recorder, after: 1, codes: Vec::new() };
        // Who follows from here on is told of all that follows.
        watch.listen().await;
        watch.codes.clear();
        wait_for("the recording to grow", Duration::from_secs(10), || {
            std::fs::metadata(&watch.file).ok().filter(|file| file.len() > 1000)
        });
        watch
    }

    /// Waits until PGM shows this, and what it shows has been told if it ever was.
    pub(crate) async fn until(&mut self, shows: v1::StandIn) {
        let clock = onair::time::Clock::real();
        loop {
            let state = self.studio.state().await;
            self.listen().await;
            let is_shown = |code: &&String| ["Own", "Standby", "Slate"].contains(&code.as_str());
            let told = self.codes.iter().rev().find(is_shown).map(|code| code.to_uppercase());
            let is_told = told.is_none_or(|code| shows.as_str_name().ends_with(&code));
            if state.stand_in() == shows && is_told {
                return;
            }
            assert!(clock.now_ns() < 30_000_000_000, "{shows:?} never came: {state:?}");
        }
    }

    /// Takes in what the events of the source and of standby say since.
    pub(crate) async fn listen(&mut self) {
        let request = v1::WatchCasterRequest {
            caster_id: self.studio.caster.clone(),
            events_after_sequence: Some(self.after),
            ..Default::default()
        };
        let mut states = self.studio.client.watch_caster(request).await.unwrap().into_inner();
        let events = states.message().await.unwrap().unwrap().events;
        self.after = events.last().map_or(self.after, |event| event.sequence);
        let wanted = ["SourceCallback", "StandbyCallback"];
        let wanted = |event: &v1::CasterEvent| wanted.contains(&event.event_type.as_str());
        self.codes.extend(events.into_iter().filter(wanted).map(|event| event.code));
    }

    /// The last tick that is recorded.
    pub(crate) fn last_tick(&self) -> u64 {
        ticks(&self.file).last().copied().unwrap_or(0)
    }

    /// Ends the recording; gives it, and how often each code was told.
    pub(crate) async fn end(&mut self) -> (PathBuf, BTreeMap<String, usize>) {
        self.recorder.signal("INT");
        self.recorder.wait(Duration::from_secs(10));
        self.listen().await;
        let mut counts = BTreeMap::new();
        for code in self.codes.drain(..) {
            *counts.entry(code).or_default() += 1;
        }
        let state = self.studio.state().await;
        assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
        (self.file.clone(), counts)
    }
}

/// The configuration of a caster with a standby that comes after 0.5 s and goes after 1 s.
async fn keep_watch(studio: &mut Studio) {
    let caster_id = studio.caster.clone();
    let request = v1::DescribeCasterConfigRequest { caster_id: caster_id.clone() };
    let described = studio.client.describe_caster_config(request).await.unwrap().into_inner();
    let config = v1::CasterConfig {
        urgent_image_url: "file:standby.png".into(),
        auto_switch_urgent_on: true,
        auto_switch_after_s: Some(AFTER_TICKS as f32 / 30.0),
        auto_return_after_s: Some(BACK_TICKS as f32 / 30.0),
        ..described.config.unwrap()
    };
    let request = v1::SetCasterConfigRequest { caster_id, config: Some(config) };
    studio.client.set_caster_config(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_comes_and_goes_with_the_source() {
    let server = Server::start();
    let url = format!("rtmp://{}/live/cam", server.rtmp);
    let mut pusher = push(&url, "640x360");
    let mut watch = Watch::start(&server, url.clone()).await;
    // The source is killed; it goes silent with its connection up; it comes back in another size.
    let rounds = if is_thorough() { 100 } else { 2 };
    for round in 0..rounds {
        pusher.signal(if round % 2 == 0 { "KILL" } else { "STOP" });
        watch.until(v1::StandIn::Standby).await;
        let size = if round % 2 == 0 { "320x180" } else { "640x360" };
        if round % 2 == 0 {
            pusher.wait(Duration::from_secs(5));
            pusher = push(&url, size);
        } else {
            pusher.signal("CONT");
        }
        watch.until(v1::StandIn::Own).await;
        watch.listen().await;
    }
    let (file, codes) = watch.end().await;
    check_air(&file, watch.taken, rounds);
    let count = |code: &str| codes.get(code).copied().unwrap_or(0);
    assert_eq!([count("Standby"), count("Own")], [rounds; 2], "{codes:?}");
    let begun = count("LostBegan") + count("StaleBegan");
    assert_eq!(begun, count("LostEnded") + count("StaleEnded"), "{codes:?}");
}

/// Every tick is there, and after the take each shows the source or standby; standby as often as it was called for.
fn check_air(file: &Path, taken: u64, rounds: usize) {
    let ticks = ticks(file);
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "PGM missed a frame");
    let mut runs: Vec<(&str, u64)> = Vec::new();
    pictures(file, |index, picture| {
        if ticks[index] < taken {
            return;
        }
        match (runs.last_mut(), color(picture)) {
            (Some((last, length)), color) if *last == color => *length += 1,
            (_, color) => runs.push((color, 1)),
        }
    });
    let names: Vec<_> = runs.iter().map(|(name, _)| *name).collect();
    let expected: Vec<_> = ["source", "standby"].into_iter().cycle().take(2 * rounds + 1).collect();
    assert_eq!(names, expected, "{runs:?}");
}
