//! Outputs with real encoders, files and relays, read back by FFmpeg.

use std::net::TcpListener;
use std::time::Duration;

use super::testing::{Dir, Live, RATE, await_true, flat, media, probe, settings, tool_output};
use super::{Admit, Overflow, Sink, SinkState, TickMedia, start};
use crate::api::rtmp::testing::Server;
use crate::media::hub::{Hub, Received};
use crate::media::mux::{PushProtocol, PushTo};
use crate::time::SAMPLE_RATE;
use crate::worker::StopToken;

mod codecs;
mod delay;
mod hls;
mod ladder;
mod nvenc;
mod record;
mod relays;
mod reorder;
mod steady;
mod threads;

const LONG: Duration = Duration::from_secs(10);

/// Renders ticks to an MP4 file and gives its path.
fn render(
    dir: &Dir,
    ticks: impl IntoIterator<Item = TickMedia>,
    idr_before: Option<u64>,
) -> String {
    let path = dir.0.join("out.mp4");
    let output = start(&settings("render")).unwrap();
    output.add_sink(Sink::File { path: path.clone(), overflow: Overflow::Wait }).unwrap();
    for media in ticks {
        if idr_before == Some(media.tick) {
            output.request_idr();
        }
        output.push_wait(media).unwrap();
    }
    let sinks = output.finish(LONG);
    assert_eq!(sinks[0].state, SinkState::Ended);
    path.to_str().unwrap().to_owned()
}

/// The tests' relays lead to loopback.
fn anywhere() -> Admit {
    Admit::new(|url, _| {
        let protocol = match url.starts_with("srt:") {
            true => PushProtocol::Srt,
            false => PushProtocol::Rtmp,
        };
        Ok(PushTo {
            url: url.to_owned(),
            protocol,
            options: Vec::new(),
            keeps: None,
            round_trip: None,
        })
    })
}

#[test]
fn sound_that_is_missing_is_told() {
    let output = start(&settings("counted")).unwrap();
    for (tick, missing, ahead_ms) in [(0, 0, 0), (1, 480, -10), (2, 0, -10)] {
        let mut media = media(tick);
        media.audio.truncate(media.audio.len() - missing);
        output.push_wait(media).unwrap();
        await_true("it to be counted", || {
            let stats = output.stats();
            stats.encoded == tick + 1 && stats.sound_ahead_ns == Some(ahead_ms * 1_000_000)
        });
    }
}

#[test]
fn a_file_has_every_tick_and_the_forced_keyframe() {
    let dir = Dir::new();
    // The first tick of a show that has been running for a while.
    let path = render(&dir, (1000..1075).map(media), Some(1040));
    let probed = probe(&path, 10);
    let pictures = probed.packets("video");
    assert_eq!(pictures.len(), 75);
    let keys: Vec<usize> = (0..75).filter(|n| pictures[*n].1).collect();
    assert_eq!(keys, [0, 30, 40, 60], "the forced keyframe is one more");
    for (n, (time, _)) in pictures.iter().enumerate() {
        assert!((time - n as f64 / 30.0).abs() < 1e-4, "picture {n} at {time}");
    }
    let duration: f64 = probed.stream("audio")["duration"].as_str().unwrap().parse().unwrap();
    assert!((duration - 2.5).abs() < 0.025, "{duration} s of sound");
    assert_eq!(probed.stream("video")["color_space"], "bt709");
    assert_eq!(probed.stream("video")["color_range"], "tv");
}

#[test]
fn ticks_that_never_came_are_filled() {
    let dir = Dir::new();
    let output = start(&settings("gaps")).unwrap();
    let path = dir.0.join("out.mp4");
    output.add_sink(Sink::File { path: path.clone(), overflow: Overflow::Wait }).unwrap();
    for tick in (0..60).filter(|tick| !(20..30).contains(tick)) {
        let mut media = media(tick);
        if tick >= 50 {
            media.picture = None;
        }
        output.push_wait(media).unwrap();
    }
    output.push_wait(media(10)).unwrap();
    output.finish(LONG);
    let stats = output.stats();
    assert_eq!((stats.encoded, stats.filled, stats.repeated), (60, 10, 10));
    assert_eq!((stats.out_of_order, stats.failure), (1, None));
    let probed = probe(path.to_str().unwrap(), 10);
    assert_eq!(probed.packets("video").len(), 60);
    let duration: f64 = probed.stream("audio")["duration"].as_str().unwrap().parse().unwrap();
    assert!((duration - 2.0).abs() < 0.025, "{duration} s of sound");
}

#[test]
fn flash_and_beep_stay_together() {
    const FLASH: u64 = 37;
    let ticks = (0..75).map(|tick| {
        let on = tick == FLASH || tick == FLASH + 1;
        let samples = RATE.samples_in(tick) as u32;
        let beep = |n: u32| if on { (n as f32 * 0.13).sin() * 0.8 } else { 0.0 };
        TickMedia {
            tick,
            picture: Some(flat(if on { 235 } else { 16 })),
            renditions: Vec::new(),
            audio: (0..samples).map(|n| [beep(n); 2]).collect(),
        }
    });
    let dir = Dir::new();
    let path = render(&dir, ticks, None);
    let luma = tool_output(
        "ffmpeg",
        &["-i", &path, "-an", "-vf", "scale=2:2", "-f", "rawvideo", "-pix_fmt", "gray", "-"],
    );
    let flash = luma.chunks(4).position(|frame| frame[0] > 120).unwrap();
    assert_eq!(flash as u64, FLASH);
    let pcm = tool_output("ffmpeg", &["-i", &path, "-vn", "-ac", "1", "-f", "s16le", "-"]);
    let loud = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]).unsigned_abs() > 4000;
    let beep = pcm.chunks_exact(2).position(loud).unwrap();
    let offset_ms =
        beep as f64 / f64::from(SAMPLE_RATE) * 1000.0 - RATE.tick_ns(FLASH) as f64 / 1e6;
    assert!(offset_ms.abs() < 2.0, "the beep is {offset_ms} ms off the flash");
}

#[test]
fn an_encoder_that_lags_drops_pictures_but_keeps_ticks_and_sound() {
    let output = start(&settings("lags")).unwrap();
    let hub = Hub::new();
    output.add_sink(Sink::Hub { hub: hub.clone(), name: "caster/lags".into() }).unwrap();
    // Faster than any encoder.
    let accepted = (0..3000).filter(|tick| output.try_push(media(*tick)).is_ok()).count();
    output.push_wait(media(3000)).unwrap();
    output.finish(LONG);
    let stats = output.stats();
    assert_eq!(stats.encoded, 3001);
    assert_eq!(stats.filled, 3000 - accepted as u64);
    assert_eq!(stats.ticks_refused, stats.filled);
    assert_eq!(stats.pictures_dropped, stats.repeated);
    assert!(stats.pictures_dropped > 0, "{stats:?}");
}

#[test]
fn a_wedged_relay_and_a_broken_file_hurt_nobody() {
    let wedged = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://{}/live/s3cret", wedged.local_addr().unwrap());
    let hub = Hub::new();
    let name = "caster/isolated";
    let live = Live::start(
        "isolated",
        vec![
            Sink::Relay { url, admit: anywhere() },
            Sink::File { path: "/nowhere/at/all.mp4".into(), overflow: Overflow::Drop },
            Sink::Hub { hub: hub.clone(), name: name.into() },
        ],
    );
    live.await_sink(1, |state| matches!(state, SinkState::Failed(_)));
    live.await_sink(0, |state| *state == SinkState::Connecting);
    await_true("on air", || hub.is_live(name));
    let player = hub.subscribe(name).unwrap();
    let mut tags = 0;
    while tags < 100 {
        assert!(matches!(player.recv(&StopToken::new(), LONG), Received::Tag(_)));
        tags += 1;
    }
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.repeated, player.dropped()), (0, 0, 0));
    let sinks = live.output.sinks();
    assert!(sinks.iter().all(|sink| !format!("{sink:?}").contains("s3cret")), "{sinks:?}");
    // Nor does it hold up the end.
    let clock = crate::time::Clock::real();
    live.output.finish(Duration::from_millis(500));
    assert!(clock.now_ns() < 5_000_000_000);
}

#[test]
fn a_relay_leads_to_rtmp_and_nowhere_else() {
    let dir = Dir::new();
    let path = dir.0.join("relay.flv");
    let url = format!("file:{}", path.display());
    let live = Live::start("file-relay", vec![Sink::Relay { url, admit: anywhere() }]);
    live.await_sink(0, |state| matches!(state, SinkState::Failed(_)));
    assert!(!path.exists());
}

#[test]
fn a_relay_is_live_and_comes_back_when_its_server_does() {
    let server = Server::start();
    let url = server.rtmp_url("live/away?auth_key=s3cret");
    let live = Live::start("relay", vec![Sink::Relay { url, admit: anywhere() }]);
    live.await_sink(0, |state| *state == SinkState::Live);
    // Its time begins at 0 and with a keyframe.
    let probed = probe(&server.rtmp_url("live/away"), 1);
    probed.check_programme(20);
    probed.check_tags();
    let address = server.rtmp;
    drop(server);
    live.await_sink(0, |state| matches!(state, SinkState::Failed(_)));
    let server = Server::start_at(address);
    live.await_sink(0, |state| *state == SinkState::Live);
    await_true("the relay is back", || server.hub.is_live("live/away"));
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.repeated, stats.failure), (0, 0, None));
    assert!(live.output.sinks()[0].attempts > 1);
    assert_eq!(live.output.finish(LONG)[0].state, SinkState::Ended);
}
