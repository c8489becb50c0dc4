//! HLS as it lies in its directories: the rules of RFC 8216, the same cuts in every rendition, and FFmpeg as player.

use std::path::Path;

use super::super::testing::{Dir, GOP, Live, await_true, media, probe, settings};
use super::super::{
    HlsSegments, ProgrammeSettings, RenditionSettings, Sink, SinkState, TickMedia, start,
};
use super::LONG;
use crate::frame::Size;
use crate::media::encode::VideoSettings;
use crate::media::hls::{PLAYLIST, VARIANT};
use crate::media::packet::VideoCodec;

/// A playlist, read and checked.
#[derive(Debug, PartialEq)]
struct Playlist {
    sequence: u64,
    target_s: u64,
    /// Address, duration in s, date.
    segments: Vec<(String, f64, String)>,
    map: Option<String>,
    is_ended: bool,
}

/// Reads what players read and checks what RFC 8216 asks of it.
fn read(dir: &Path) -> Option<Playlist> {
    let text = std::fs::read_to_string(dir.join(PLAYLIST)).ok()?;
    let tag = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let number = |name: &str| tag(name).unwrap_or_else(|| panic!("{name} {text}")).parse().unwrap();
    assert!(text.starts_with("#EXTM3U\n"), "{text}");
    assert!(tag("#EXT-X-INDEPENDENT-SEGMENTS").is_some(), "{text}");
    let map = tag("#EXT-X-MAP:URI=").map(|uri| uri.trim_matches('"').to_owned());
    assert!(number("#EXT-X-VERSION:") >= if map.is_some() { 7 } else { 6 }, "{text}");
    let (mut segments, mut duration_s, mut date) = (Vec::new(), None, None);
    for line in text.lines() {
        if let Some(seconds) = line.strip_prefix("#EXTINF:") {
            duration_s = seconds.trim_end_matches(',').parse::<f64>().ok();
        } else if let Some(text) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            date = Some(text.to_owned());
        } else if !line.starts_with('#') {
            segments.push((line.to_owned(), duration_s.take().unwrap(), date.take().unwrap()));
        }
    }
    let playlist = Playlist {
        sequence: number("#EXT-X-MEDIA-SEQUENCE:"),
        target_s: number("#EXT-X-TARGETDURATION:"),
        segments,
        map,
        is_ended: text.ends_with("#EXT-X-ENDLIST\n"),
    };
    for (n, (uri, duration_s, _)) in playlist.segments.iter().enumerate() {
        assert!(duration_s.round() <= playlist.target_s as f64, "{text}");
        let name = uri.split('.').next().unwrap();
        assert_eq!(name, (playlist.sequence + n as u64).to_string(), "{text}");
        assert!(dir.join(uri).exists(), "{uri}");
    }
    Some(playlist)
}

fn check(segments: HlsSegments, codec: VideoCodec) {
    let mut asked = settings("hls");
    asked.video.codec = codec;
    let lld = || {
        let (size, bitrate_bps) = (Size::new(160, 90), 100_000);
        let video = VideoSettings { size, bitrate_bps, ..asked.video.clone() };
        RenditionSettings { name: "lld".into(), video }
    };
    let (main, rung, late) = (Dir::new(), Dir::new(), Dir::new());
    std::fs::write(main.0.join("7.ts"), "stale").unwrap();
    let hls = |dir: &Dir| Sink::Hls { dir: dir.0.clone(), segments };
    let renditions = vec![lld()];
    let output = start(&ProgrammeSettings { renditions, ..asked.clone() }).unwrap();
    output.add_sink(hls(&main)).unwrap();
    output.add_rendition_sink("lld", hls(&rung)).unwrap();
    let push = |ticks: std::ops::Range<u64>| {
        for tick in ticks {
            output.push_wait(TickMedia { ..media(tick) }).unwrap();
        }
    };
    push(0..400);
    // One more joins in the middle of a segment, which makes a keyframe that is not on the grid.
    let name = "late".to_owned();
    output.set_renditions(&[lld(), RenditionSettings { name, ..lld() }]).unwrap();
    output.add_rendition_sink("late", hls(&late)).unwrap();
    push(400..790);
    // Every segment is whole when it is listed, so players may come at any time.
    await_true("the list is full", || read(&main.0).is_some_and(|list| list.segments.len() == 6));
    push(790..800);
    assert!(output.finish(LONG).iter().all(|sink| sink.state == SinkState::Ended));
    let [main_list, rung_list, late_list] = [&main, &rung, &late].map(|dir| read(&dir.0).unwrap());
    assert_eq!(main_list, rung_list);
    assert_eq!(main_list, late_list, "who joins has the same segments");
    assert!(main_list.is_ended);
    assert_eq!((main_list.target_s, main_list.segments.len()), (2, 6));
    // 800 ticks are thirteen segments of two groups and twenty ticks.
    let durations: Vec<f64> = main_list.segments.iter().map(|(_, seconds, _)| *seconds).collect();
    assert_eq!(durations[..5], [2.0; 5]);
    assert!((durations[5] - 20.0 / 30.0).abs() < 1e-3, "{durations:?}");
    assert_eq!(GOP, 30, "two groups make a segment");
    assert!(!main.0.join("7.ts").exists());
    let left = std::fs::read_dir(&main.0).unwrap().count();
    assert!(left <= 6 + 6 + 4, "{left} files are left");
    for (dir, at_least) in [(&main, 320), (&rung, 320), (&late, 320)] {
        let probed = probe(dir.0.join(PLAYLIST).to_str().unwrap(), 20);
        let pictures = probed.packets("video");
        assert_eq!(pictures.len(), at_least, "five segments and the piece of one");
        assert_eq!(pictures[0], (16.0, true), "the output's own time");
        probed.check_tags();
    }
    let variant = std::fs::read_to_string(main.0.join(VARIANT)).unwrap();
    let four_cc = String::from_utf8_lossy(codec.four_cc());
    let said = format!("RESOLUTION=320x180,FRAME-RATE=30.000,CODECS=\"{four_cc}.");
    assert!(variant.contains(&said), "{variant}");
    let is_mp4 = match segments {
        HlsSegments::Auto => codec != VideoCodec::H264,
        chosen => chosen == HlsSegments::Fmp4,
    };
    assert_eq!(main_list.map.is_some(), is_mp4);
}

#[test]
fn segments_of_ts_follow_the_rules_in_every_rendition() {
    check(HlsSegments::Auto, VideoCodec::H264);
    check(HlsSegments::Ts, VideoCodec::Hevc);
}

#[test]
fn segments_of_fmp4_follow_the_rules_in_every_rendition() {
    check(HlsSegments::Fmp4, VideoCodec::H264);
    check(HlsSegments::Auto, VideoCodec::Hevc);
}

#[test]
fn a_directory_that_cannot_be_made_is_told_until_it_can() {
    let dir = Dir::new();
    let place = dir.0.join("in the way");
    std::fs::write(&place, "").unwrap();
    let hls = Sink::Hls { dir: place.join("hls"), segments: HlsSegments::Ts };
    let label = hls.label();
    let live = Live::start("unwritable", vec![hls]);
    let fault = || live.output.stats().playback_fault;
    await_true("it is told", || fault().is_some_and(|fault| fault.starts_with(&label)));
    std::fs::remove_file(&place).unwrap();
    await_true("it is over", || fault().is_none() && read(&place.join("hls")).is_some());
}
