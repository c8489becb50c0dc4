//! Threads of renditions, sinks and the delay that panic or hang: others take their place, and what is beside them goes on.

use super::super::testing::{Dir, Live, await_true, probe};
use super::super::{HlsSegments, Overflow, Sink, SinkState};
use super::steady::{check, live};
use super::{LONG, anywhere};
use crate::api::rtmp::testing::Server;
use crate::fault;
use crate::limits::{RESTART_REST, SINK_HUNG};
use crate::media::hls::PLAYLIST;
use crate::media::hub::Hub;
use crate::time::Clock;
use crate::worker::StopToken;

/// Waits for longer than [`await_true`] does.
fn await_long(what: &str, is_so: impl Fn() -> bool) {
    let (clock, limit) = (Clock::real(), SINK_HUNG * 2);
    while !is_so() {
        assert!(u128::from(clock.now_ns()) < limit.as_nanos(), "{what}");
        StopToken::new().wait(std::time::Duration::from_millis(20));
    }
}

/// The sound of a file has no hole.
fn check_sound(dir: &Dir, name: &str) {
    let sounds = probe(dir.0.join(name).to_str().unwrap(), 60).packets("audio");
    assert!(sounds.len() > 60, "{name}: {} packets of sound", sounds.len());
    for pair in sounds.windows(2) {
        let step_s = pair[1].0 - pair[0].0;
        assert!((step_s - 1024.0 / 48_000.0).abs() < 0.002, "{name}: {pair:?}");
    }
}

#[test]
fn a_rendition_whose_thread_breaks_goes_on_in_the_same_stream() {
    for (kind, steps, restarts) in [("panic", "40", 1), ("hang", "40", 1), ("panic", "40-44", 5)] {
        let (dir, name) = (Dir::new(), format!("rung-{kind}-{restarts}"));
        let clock = Clock::real();
        let live = live(&name, &dir, &[&format!("lld-{name}:{kind}@{steps}")]);
        let rung = || live.output.renditions().remove(0).stats;
        await_long("other threads", || rung().thread_restarts == restarts);
        let encoded = rung().encoded;
        await_long("it goes on", || rung().encoded > encoded + 40);
        // Five times within a minute: it rests.
        let rested = u128::from(clock.now_ns()) > RESTART_REST.as_nanos();
        assert!(rested || restarts < 5, "{} ns", clock.now_ns());
        let (main, rung) = (live.output.stats(), rung());
        assert_eq!((main.filled, main.thread_restarts, main.failure), (0, 0, None), "{kind}");
        assert_eq!((rung.thread_restarts, &rung.failure), (restarts, &None), "{rung:?}");
        assert!(rung.last_fault.is_some_and(|fault| fault.contains("thread")), "{kind}");
        live.output.finish(LONG);
        check(&dir, "main.mp4");
        check(&dir, "lld.mp4");
        check_sound(&dir, "lld.mp4");
    }
}

#[test]
fn a_programme_whose_thread_breaks_goes_on_in_the_same_streams() {
    for (kind, steps, restarts) in [("panic", "40", 1), ("hang", "40", 1), ("panic", "40-42", 3)] {
        let (dir, name) = (Dir::new(), format!("whole-{kind}-{restarts}"));
        let live = live(&name, &dir, &[&format!("enc-{name}:{kind}@{steps}")]);
        let main = || live.output.stats();
        await_long("other threads", || main().thread_restarts == restarts);
        let encoded = main().encoded;
        await_long("it goes on", || main().encoded > encoded + 60);
        let (main, rung) = (main(), live.output.renditions().remove(0).stats);
        // The tick that it broke at is filled in.
        assert_eq!((main.filled, &main.failure), (restarts, &None), "{kind}");
        assert_eq!((rung.thread_restarts, &rung.failure), (0, &None), "{rung:?}");
        assert!(main.last_fault.is_some_and(|fault| fault.contains("thread")), "{kind}");
        assert!(!live.output.is_finished() && !live.output.is_hung(), "{kind}");
        assert!(live.output.finish(LONG).iter().all(|sink| sink.state == SinkState::Ended));
        for file in ["main.mp4", "lld.mp4"] {
            check(&dir, file);
            check_sound(&dir, file);
        }
    }
}

/// What it hung over is one tick of the programme; whoever goes on needs no lock that it holds.
#[test]
fn a_programme_that_hangs_while_it_hands_on_is_followed_by_another() {
    for delay_ticks in [0, 30] {
        let (dir, name) = (Dir::new(), format!("hands-{delay_ticks}"));
        let live = live(&name, &dir, &[&format!("hand-{name}:hang@60")]);
        live.output.set_delay(delay_ticks);
        let hub = Hub::new();
        live.output.add_sink(Sink::Hub { hub: hub.clone(), name: name.clone() }).unwrap();
        let main = || live.output.stats();
        await_long("another thread", || main().thread_restarts == 1);
        let encoded = main().encoded;
        await_long("it goes on", || main().encoded > encoded + 60);
        let (main, rung) = (main(), live.output.renditions().remove(0).stats);
        assert_eq!((main.thread_restarts, &main.failure), (1, &None), "{main:?}");
        assert_eq!((rung.thread_restarts, &rung.failure), (0, &None), "{rung:?}");
        assert!(!live.output.is_finished() && !live.output.is_hung(), "{name}");
        assert!(hub.is_live(&name), "{name}");
        assert!(live.output.finish(LONG).iter().all(|sink| sink.state == SinkState::Ended));
        check(&dir, "lld.mp4");
        let pictures = probe(dir.0.join("main.mp4").to_str().unwrap(), 60).packets("video");
        let ticks: Vec<u64> =
            pictures.iter().map(|(time, _)| (time * 30.0).round() as u64).collect();
        let lost: u64 = ticks.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
        assert_eq!(lost, 1, "{name}: {ticks:?}");
    }
}

#[test]
fn a_sink_that_panics_begins_again_and_no_other_notices() {
    let (dir, hub, server, name) = (Dir::new(), Hub::new(), Server::start(), "sinks");
    for kind in ["hub", "hls", "relay"] {
        fault::arm(&format!("{kind}-{name}:panic@60"));
    }
    let stream = "caster/sinks";
    let live = Live::start(
        name,
        vec![
            Sink::File { path: dir.0.join("main.mp4"), overflow: Overflow::Drop },
            Sink::Hub { hub: hub.clone(), name: stream.into() },
            Sink::Hls { dir: dir.0.join("hls"), segments: HlsSegments::Ts },
            Sink::Relay { url: format!("rtmp://{}/live/sinks", server.rtmp), admit: anywhere() },
        ],
    );
    let relay = || live.output.sinks().remove(3);
    await_true("all three began again", || {
        live.output.stats().thread_restarts == 2 && relay().restarts == 1
    });
    await_true("they work", || {
        live.output.sinks().iter().all(|sink| sink.state == SinkState::Live) && hub.is_live(stream)
    });
    let before = live.output.sinks();
    await_true("they go on", || {
        let now = live.output.sinks();
        now.iter().zip(&before).all(|(now, before)| now.packets > before.packets + 60)
    });
    await_true("segments", || dir.0.join("hls").join(PLAYLIST).exists());
    assert!(relay().last_error.contains("panicked"), "{:?}", relay());
    assert_eq!((relay().attempts, relay().restarts), (2, 1));
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.ticks_refused, &stats.failure), (0, 0, &None));
    assert!(stats.last_fault.is_some_and(|fault| fault.contains("panicked")));
    live.output.finish(LONG);
    check(&dir, "main.mp4");
}

#[test]
fn a_sink_that_hangs_is_left_behind_and_ends_with_its_output() {
    let (dir, hub, name) = (Dir::new(), Hub::new(), "hung");
    fault::arm(&format!("hub-{name}:hang@60"));
    fault::arm(&format!("hls-{name}:hang@60"));
    let stream = "caster/hung";
    let live = Live::start(
        name,
        vec![
            Sink::File { path: dir.0.join("main.mp4"), overflow: Overflow::Drop },
            Sink::Hub { hub: hub.clone(), name: stream.into() },
            Sink::Hls { dir: dir.0.join("hls"), segments: HlsSegments::Ts },
        ],
    );
    let packets = || -> Vec<u64> { live.output.sinks().iter().map(|sink| sink.packets).collect() };
    await_true("both hang", || packets()[1] == 60 && packets()[2] == 60);
    await_long("others take their place", || live.output.stats().thread_restarts == 2);
    await_long("they go on", || packets().iter().all(|packets| *packets > 120));
    assert!(live.output.sinks().iter().all(|sink| sink.state == SinkState::Live));
    let clock = Clock::real();
    live.output.finish(LONG);
    assert!(u128::from(clock.now_ns()) < LONG.as_nanos(), "the end waits for nobody who hangs");
    check(&dir, "main.mp4");
}

#[test]
fn a_delay_that_breaks_begins_again_at_a_keyframe() {
    let (dir, hub, name) = (Dir::new(), Hub::new(), "delays");
    fault::arm(&format!("delay-{name}:panic@90"));
    let live = Live::start(
        name,
        vec![
            Sink::File { path: dir.0.join("main.mp4"), overflow: Overflow::Drop },
            Sink::Hub { hub: hub.clone(), name: "caster/delays".into() },
        ],
    );
    live.output.set_delay(30);
    await_true("another delay", || live.output.stats().thread_restarts == 1);
    let packets = live.output.sinks()[1].packets;
    await_true("it goes on", || live.output.sinks()[1].packets > packets + 60);
    let player = hub.subscribe("caster/delays").unwrap();
    assert!(matches!(player.recv(&StopToken::new(), LONG), crate::media::hub::Received::Tag(_)));
    live.output.finish(LONG);
    check(&dir, "main.mp4");
}
