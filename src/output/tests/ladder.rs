//! Renditions beside the programme: the same ticks, keyframes and sound.

use std::sync::Arc;

use super::super::encode_loop::black;
use super::super::testing::{Dir, Live, await_true, media, picture, probe, settings};
use super::super::{Overflow, RenditionSettings, Sink, StartError, TickMedia, start};
use super::LONG;
use crate::fault;
use crate::frame::{Picture, Size};
use crate::media::encode::VideoSettings;
use crate::media::encode::testing::lumas;
use crate::media::hub::{Hub, Received};
use crate::worker::StopToken;

fn rendition(name: &str, size: Size) -> RenditionSettings {
    let video = VideoSettings { size, bitrate_bps: 200_000, ..settings("").video };
    RenditionSettings { name: name.into(), video }
}

fn file(dir: &Dir, name: &str) -> Sink {
    Sink::File { path: dir.0.join(name), overflow: Overflow::Wait }
}

#[test]
fn every_rung_has_the_same_frames_keyframes_and_sound() {
    let dir = Dir::new();
    let sizes =
        [("lsd", Size::new(240, 134)), ("lld", Size::new(160, 90)), ("same", Size::new(320, 180))];
    let renditions: Vec<_> = sizes.iter().map(|(name, size)| rendition(name, *size)).collect();
    let output =
        start(&super::super::ProgrammeSettings { renditions, ..settings("ladder") }).unwrap();
    output.add_sink(file(&dir, "main.mp4")).unwrap();
    for (name, _) in sizes {
        output.add_rendition_sink(name, file(&dir, &format!("{name}.mp4"))).unwrap();
    }
    // One picture is missing, one keyframe is asked for.
    for tick in (500..600).filter(|tick| *tick != 510) {
        if tick == 540 {
            output.request_idr();
        }
        output.push_wait(media(tick)).unwrap();
    }
    output.finish(LONG);
    let main = probe(dir.0.join("main.mp4").to_str().unwrap(), 10);
    let keys: Vec<usize> = (0..100).filter(|n| main.packets("video")[*n].1).collect();
    assert_eq!(keys, [0, 30, 40, 60, 90]);
    for (name, size) in sizes {
        let rung = probe(dir.0.join(format!("{name}.mp4")).to_str().unwrap(), 10);
        assert_eq!(rung.packets("video"), main.packets("video"), "{name}");
        assert_eq!(rung.packets("audio"), main.packets("audio"), "{name}");
        let video = rung.stream("video");
        assert_eq!(video["width"], size.width_px, "{name}");
        assert_eq!(video["height"], size.height_px, "{name}");
    }
    for rung in output.renditions() {
        let stats = rung.stats;
        assert_eq!((stats.encoded, stats.filled, stats.ticks_refused), (100, 0, 0), "{stats:?}");
        assert_eq!((stats.keyframes, stats.failure), (5, None));
    }
}

#[test]
fn a_rung_of_fewer_pictures_has_the_same_keyframes_and_sound() {
    let dir = Dir::new();
    let thirds = VideoSettings { picture_ticks: 3, ..rendition("lld", Size::new(160, 90)).video };
    let renditions = vec![RenditionSettings { name: "lld".into(), video: thirds.clone() }];
    let output =
        start(&super::super::ProgrammeSettings { renditions, ..settings("thirds") }).unwrap();
    output.add_sink(file(&dir, "main.mp4")).unwrap();
    output.add_rendition_sink("lld", file(&dir, "lld.mp4")).unwrap();
    for tick in (0..100).filter(|tick| *tick != 51) {
        if tick == 40 {
            output.request_idr();
        }
        output.push_wait(media(tick)).unwrap();
    }
    output.finish(LONG);
    let [main, rung] =
        ["main.mp4", "lld.mp4"].map(|name| probe(dir.0.join(name).to_str().unwrap(), 10));
    let thirds_of_main: Vec<_> = main.packets("video").into_iter().step_by(3).collect();
    assert_eq!(rung.packets("video"), thirds_of_main);
    let keys: Vec<_> = (0..34).filter(|n| thirds_of_main[*n].1).collect();
    assert_eq!(keys, [0, 10, 14, 20, 30], "the forced one waits for the rung's picture");
    assert_eq!(rung.packets("audio"), main.packets("audio"));
    assert_eq!(rung.stream("video")["avg_frame_rate"], "10/1");
    let uneven = VideoSettings { picture_ticks: 4, ..thirds };
    let uneven = RenditionSettings { name: "lld".into(), video: uneven };
    assert!(matches!(output.set_renditions(&[uneven]), Err(StartError::Renditions)));
}

#[test]
fn a_picture_that_comes_in_a_rungs_size_is_not_scaled_again() {
    let size = Size::new(160, 90);
    // Black is told from the moving picture by how little it takes.
    let other = Arc::new(black(Size::new(162, 90)));
    let black = Arc::new(black(size));
    let encoded = |ready: Vec<Arc<Picture>>| {
        let renditions = vec![rendition("lld", size)];
        let output =
            start(&super::super::ProgrammeSettings { renditions, ..settings("ready") }).unwrap();
        for tick in 0..60 {
            let media = TickMedia { renditions: ready.clone(), ..media(tick) };
            output.push_wait(media).unwrap();
            // One that comes late finds its picture gone.
            await_true("the rung is there too", || output.renditions()[0].stats.encoded > tick);
        }
        output.finish(LONG);
        output.renditions()[0].stats.video_bytes
    };
    let [taken, scaled] = [vec![black], vec![other]].map(encoded);
    assert!(taken > 0 && taken < scaled / 2, "{taken} of {scaled} bytes");
}

#[test]
fn what_an_encoder_gives_at_once_in_the_end_is_missed_by_no_rung() {
    for (lookahead_pictures, b_frames) in [(20, 0), (1, 0), (0, 1), (0, 2)] {
        let video = VideoSettings { lookahead_pictures, b_frames, ..settings("").video };
        let held = u64::from(video.pictures_held());
        let name = format!("drained-{lookahead_pictures}-{b_frames}");
        // By then the programme's thread has ended.
        fault::arm(&format!("lld-{name}:slow@{}-59", 60 - held));
        let renditions = vec![rendition("lld", Size::new(160, 90))];
        let asked = super::super::ProgrammeSettings { video, renditions, ..settings(&name) };
        let output = start(&asked).unwrap();
        let rung = || output.renditions().remove(0).stats;
        for tick in 0..60 {
            output.push_wait(media(tick)).unwrap();
            await_true("the rung is there too", || rung().encoded + held > tick);
        }
        output.finish(LONG);
        let (main, rung) = (output.stats(), rung());
        let counts = [main.encoded, rung.encoded, rung.pictures_dropped, rung.repeated];
        assert_eq!(counts, [60, 60, 0, 0], "{name}");
    }
}

#[test]
fn a_rung_that_is_late_at_once_does_not_begin_in_black() {
    let dir = Dir::new();
    fault::arm("lld-late:slow@0");
    let renditions = vec![rendition("lld", Size::new(320, 180))];
    let output =
        start(&super::super::ProgrammeSettings { renditions, ..settings("late") }).unwrap();
    output.add_rendition_sink("lld", file(&dir, "lld.mp4")).unwrap();
    for tick in 0..60 {
        output.push_wait(media(tick)).unwrap();
    }
    output.finish(LONG);
    let stats = output.renditions().remove(0).stats;
    assert!(stats.pictures_dropped > 0, "it was not late: {stats:?}");
    let shown = lumas(dir.0.join("lld.mp4").to_str().unwrap());
    assert_eq!((shown.len(), shown[0]), (60, 40), "{shown:?}");
}

#[test]
fn what_an_overloaded_machine_leaves_out_is_counted() {
    let dir = Dir::new();
    // In PGM's size, so that each picture can be told by its luma.
    let renditions = vec![rendition("lld", Size::new(320, 180))];
    let output =
        start(&super::super::ProgrammeSettings { renditions, ..settings("shed") }).unwrap();
    output.add_rendition_sink("lld", file(&dir, "lld.mp4")).unwrap();
    let stats = || output.renditions().remove(0).stats;
    let still = picture(30);
    for tick in 0..75 {
        match tick {
            10 => output.shed_renditions(1),
            50 => output.shed_renditions(0),
            _ => {}
        }
        // From the keyframe on PGM itself stands still: nothing is left out.
        let shown = if (30..40).contains(&tick) { Arc::clone(&still) } else { picture(tick) };
        output.push_wait(TickMedia { picture: Some(shown), ..media(tick) }).unwrap();
        await_true("the rung is there too", || stats().encoded > tick);
    }
    output.finish(LONG);
    let shown = lumas(dir.0.join("lld.mp4").to_str().unwrap());
    let left_out = (1..75).filter(|n| shown[*n] == shown[n - 1] && !(31..40).contains(n)).count();
    let stats = stats();
    let counts = [stats.encoded, stats.pictures_shed, stats.repeated, stats.pictures_dropped];
    assert_eq!((counts, left_out), ([75, 30, 30, 0], 30), "{shown:?}");
}

#[test]
fn rungs_come_and_go_while_the_output_runs() {
    let hub = Hub::new();
    let publish = |name: &str| Sink::Hub { hub: hub.clone(), name: name.into() };
    let live = Live::start("comes", vec![publish("caster/comes")]);
    await_true("on air", || hub.is_live("caster/comes"));
    let lld = rendition("lld", Size::new(160, 90));
    for _ in 0..2 {
        live.output.set_renditions(std::slice::from_ref(&lld)).unwrap();
        live.output.add_rendition_sink("lld", publish("caster/comes_lld")).unwrap();
        await_true("the rung is on air", || hub.is_live("caster/comes_lld"));
        let player = hub.subscribe("caster/comes_lld").unwrap();
        for _ in 0..30 {
            assert!(matches!(player.recv(&StopToken::new(), LONG), Received::Tag(_)));
        }
        // The same again changes nothing.
        live.output.set_renditions(std::slice::from_ref(&lld)).unwrap();
        assert!(hub.is_live("caster/comes_lld"));
        live.output.set_renditions(&[]).unwrap();
        assert!(!hub.is_live("caster/comes_lld"));
    }
    // More than its H.264 level allows: another one in its place, whose sets are others.
    live.output.set_renditions(std::slice::from_ref(&lld)).unwrap();
    live.output.add_rendition_sink("lld", publish("caster/comes_lld")).unwrap();
    for (bitrate_bps, sinks) in [(150_000, 1), (60_000_000, 0)] {
        let video = VideoSettings { bitrate_bps, ..lld.video.clone() };
        live.output.set_renditions(&[RenditionSettings { video, ..lld.clone() }]).unwrap();
        let rung = live.output.renditions().remove(0);
        assert_eq!((rung.settings.video.bitrate_bps, rung.sinks.len()), (bitrate_bps, sinks));
    }
    live.output.set_renditions(&[]).unwrap();
    live.output.set_bitrate(u32::MAX);
    assert_eq!(live.output.video().bitrate_bps, live.output.most_bps(), "no more than its level");
    let other_rate =
        VideoSettings { rate: crate::time::FrameRate::SUPPORTED[0], ..lld.video.clone() };
    for bad in [
        vec![lld.clone(), lld.clone()],
        vec![RenditionSettings { video: other_rate, ..lld.clone() }],
        (0..=crate::limits::MAX_RENDITIONS)
            .map(|n| RenditionSettings { name: n.to_string(), ..lld.clone() })
            .collect(),
    ] {
        assert!(matches!(live.output.set_renditions(&bad), Err(StartError::Renditions)));
    }
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.ticks_refused, stats.failure), (0, 0, None));
    let nowhere = live.output.add_rendition_sink("lld", publish("x"));
    assert!(matches!(nowhere, Err(StartError::NoRendition(_))));
}
