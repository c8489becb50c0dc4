//! B-frames by every way out: each picture once and in its time, the sound with it, whatever the container and whoever encodes.

use std::path::Path;
use std::sync::Arc;

use super::super::testing::{Dir, await_true, media, probe, settings, tool};
use super::super::{
    HlsSegments, OnRecord, Overflow, ProgrammeSettings, RecordPlan, RenditionSettings, Sink,
    SinkState, StartError, Timing, start,
};
use super::LONG;
use crate::fault;
use crate::frame::Size;
use crate::limits::RENDITION_PICTURES;
use crate::media::encode::VideoSettings;
use crate::media::encode::testing::{SIZE, b_frames};
use crate::media::hls::PLAYLIST;
use crate::media::packet::VideoCodec;
use crate::record_name::{DEFAULT_RECORD_NAME, DEFAULT_SLICE_NAME, RecordName};
use crate::recording::RecordFormat;

const TICKS: u64 = 240;
/// A keyframe that is asked for, in the middle of what would be B-frames.
const FORCED: u64 = 100;

fn video(b_frames: u32) -> VideoSettings {
    VideoSettings { b_frames, ..settings("").video }
}

fn rendition(name: &str, b_frames: u32, picture_ticks: u32) -> RenditionSettings {
    let size = Size::new(160, 90);
    let video = VideoSettings { size, picture_ticks, ..video(b_frames) };
    RenditionSettings { name: name.into(), video }
}

fn file(dir: &Dir, name: &str) -> Sink {
    Sink::File { path: dir.0.join(name), overflow: Overflow::Wait }
}

fn hls(dir: &Dir, name: &str, segments: HlsSegments) -> Sink {
    Sink::Hls { dir: dir.0.join(name), segments }
}

fn recorded(dir: &Dir, format: RecordFormat) -> Sink {
    let dir = dir.0.join(format.extension());
    std::fs::create_dir_all(&dir).unwrap();
    let plan = RecordPlan {
        format,
        name: RecordName::parse(DEFAULT_RECORD_NAME).unwrap(),
        slice_name: RecordName::parse_slice(DEFAULT_SLICE_NAME).unwrap(),
        cycle: None,
        app: "caster".into(),
        stream: "show".into(),
        reserve_bytes: 0,
        timing: Timing::Prompt,
        news: OnRecord::new(drop),
    };
    Sink::Record { dir, plan }
}

/// The recording below a directory.
fn only(dir: &Path, extension: &str) -> String {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => dirs.push(path),
                false => found.push(path),
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_str().unwrap().to_owned()
}

/// What is there: the ticks of pictures and which are keyframes, counted from the one that is shown at `from_s`; how late the first sound
/// is after the first picture, s. It decodes without a word.
fn seen(path: &str, from_s: f64) -> (Vec<(u64, bool)>, f64) {
    let probed = probe(path, 60);
    let pictures = probed.packets("video");
    let tick = |time: f64| {
        let ticks = (time - from_s) * 30.0;
        assert!((ticks - ticks.round()).abs() < 0.04, "{path}: a picture at {time}");
        ticks.round() as u64
    };
    let decoded = tool("ffmpeg", &["-xerror", "-i", path, "-f", "null", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && said.is_empty(), "{path}: {said}");
    let sound_s = probed.packets("audio")[0].0 - pictures[0].0;
    (pictures.into_iter().map(|(time, key)| (tick(time), key)).collect(), sound_s)
}

fn keys(pictures: &[(u64, bool)]) -> Vec<u64> {
    pictures.iter().filter(|(_, key)| *key).map(|(tick, _)| *tick).collect()
}

/// Each picture of a file is its tick's.
fn check_pictures(path: &str) {
    let raw =
        super::tool_output("ffmpeg", &["-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
    let pixels = (SIZE.width_px * SIZE.height_px) as usize;
    assert_eq!(raw.len(), pixels * 3 / 2 * TICKS as usize, "{path}");
    for (tick, picture) in (0_u32..).zip(raw.chunks(pixels * 3 / 2)) {
        let (luma, wanted) = (picture[pixels / 2], 40 + (tick % 64) as u8 * 2);
        assert!(luma.abs_diff(wanted) <= 4, "{path}: tick {tick}: {luma}, not {wanted}");
    }
}

#[test]
fn every_way_out_has_every_picture_in_its_time() {
    for codec in [VideoCodec::H264, VideoCodec::Hevc] {
        check_ways(codec);
    }
}

fn check_ways(codec: VideoCodec) {
    let dir = Dir::new();
    let mut renditions = vec![rendition("few", 1, 5), rendition("none", 0, 1)];
    renditions.iter_mut().for_each(|rendition| rendition.video.codec = codec);
    let video = VideoSettings { codec, ..video(2) };
    let asked = ProgrammeSettings { video, renditions, ..settings("ways") };
    let output = start(&asked).unwrap();
    let formats = [RecordFormat::Flv, RecordFormat::Mp4, RecordFormat::Hls];
    let ways = [file(&dir, "main.mp4"), hls(&dir, "ts", HlsSegments::Ts)];
    let fmp4 = hls(&dir, "fmp4", HlsSegments::Fmp4);
    for sink in ways.into_iter().chain([fmp4]).chain(formats.map(|format| recorded(&dir, format))) {
        output.add_sink(sink).unwrap();
    }
    for name in ["few", "none"] {
        output.add_rendition_sink(name, hls(&dir, name, HlsSegments::Ts)).unwrap();
        output.add_rendition_sink(name, file(&dir, &format!("{name}.mp4"))).unwrap();
    }
    for tick in 0..TICKS {
        if tick == FORCED {
            output.request_idr();
        }
        output.push_wait(media(tick)).unwrap();
    }
    assert!(output.finish(LONG).iter().all(|sink| sink.state == SinkState::Ended));
    let path = |name: &str| dir.0.join(name).to_str().unwrap().to_owned();
    let main = path("main.mp4");
    let (pictures, sound_s) = seen(&main, 0.0);
    assert!(pictures.iter().map(|(tick, _)| *tick).eq(0..TICKS));
    assert_eq!(keys(&pictures), [0, 30, 60, 90, FORCED, 120, 150, 180, 210]);
    check_pictures(&main);
    // What lets the rendition that has fewest pictures begin to decode.
    const SHIFT_S: f64 = 5.0 / 30.0;
    let playlist = |name: &str| path(&format!("{name}/{PLAYLIST}"));
    for (path, from_s) in [
        (only(&dir.0.join("mp4"), "mp4"), 0.0),
        (only(&dir.0.join("flv"), "flv"), SHIFT_S),
        (only(&dir.0.join("m3u8"), "m3u8"), SHIFT_S),
        (playlist("ts"), SHIFT_S),
        (playlist("fmp4"), SHIFT_S),
    ] {
        if codec == VideoCodec::Hevc && path.ends_with(".flv") {
            continue; // This FFmpeg does not read it.
        }
        let (found, found_sound_s) = seen(&path, from_s);
        assert_eq!(found, pictures, "{path}");
        assert!((found_sound_s - sound_s).abs() < 0.0015, "{path}: {found_sound_s}, {sound_s}");
        assert_eq!(b_frames(&path), 2, "{path}");
        check_pictures(&path);
    }
    let fifths: Vec<(u64, bool)> = pictures.iter().copied().step_by(5).collect();
    for (name, wanted, in_a_row) in [("few", &fifths, 1), ("none", &pictures, 0)] {
        for (path, from_s) in [(playlist(name), SHIFT_S), (path(&format!("{name}.mp4")), 0.0)] {
            let (found, found_sound_s) = seen(&path, from_s);
            assert_eq!(&found, wanted, "{path}");
            assert!((found_sound_s - sound_s).abs() < 0.0015, "{path}: {found_sound_s}, {sound_s}");
            assert_eq!(b_frames(&path), in_a_row, "{path}");
        }
    }
    let stats = output.stats();
    assert_eq!((stats.encoded, stats.filled, stats.repeated), (TICKS, 0, 0));
}

#[test]
fn an_encoder_that_breaks_among_b_frames_is_replaced_without_a_picture_less() {
    for kind in ["panic", "fail"] {
        let (dir, name) = (Dir::new(), format!("among-{kind}"));
        // The second one at what the first one held.
        for fault in [format!("encode-{name}:{kind}@41"), format!("encode-few-{name}:{kind}@25")] {
            fault::arm(&fault);
        }
        let renditions = vec![rendition("few", 2, 1)];
        let asked = ProgrammeSettings { video: video(3), renditions, ..settings(&name) };
        let output = start(&asked).unwrap();
        output.add_sink(file(&dir, "main.mp4")).unwrap();
        output.add_rendition_sink("few", file(&dir, "few.mp4")).unwrap();
        (0..TICKS).for_each(|tick| output.push_wait(media(tick)).unwrap());
        output.finish(LONG);
        let restarts = [output.stats().restarts, output.renditions()[0].stats.restarts];
        assert_eq!(restarts, [1, 1], "{kind}");
        let main = dir.0.join("main.mp4");
        check_pictures(main.to_str().unwrap());
        for name in ["main.mp4", "few.mp4"] {
            let (pictures, _) = seen(dir.0.join(name).to_str().unwrap(), 0.0);
            assert!(pictures.iter().map(|(tick, _)| *tick).eq(0..TICKS), "{kind}: {name}");
        }
    }
}

#[test]
fn what_is_delayed_begins_with_black_and_goes_on_without_a_gap() {
    let dir = Dir::new();
    let asked = ProgrammeSettings { video: video(2), delay_ticks: 45, ..settings("later") };
    let output = start(&asked).unwrap();
    output.add_sink(hls(&dir, "main", HlsSegments::Ts)).unwrap();
    (0..100).for_each(|tick| output.push_wait(media(tick)).unwrap());
    await_true("all of it to be encoded", || output.stats().encoded == 100);
    // At the keyframe of tick 90, which is then as old.
    output.set_delay(30);
    // To the end of a group of them.
    (100..201).for_each(|tick| output.push_wait(media(tick)).unwrap());
    output.finish(LONG);
    let (pictures, _) = seen(dir.0.join("main").join(PLAYLIST).to_str().unwrap(), 1.0 / 30.0);
    let ticks: Vec<u64> = pictures.iter().map(|(tick, _)| *tick).collect();
    assert_eq!(ticks[..4], [0, 15, 30, 45]);
    // What came after the picture that others waited for is left out with them.
    let gap = ticks[3..].windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 1);
    assert!(gap.eq([3]), "{ticks:?}");
    assert_eq!(ticks.last(), Some(&201), "{ticks:?}");
}

#[test]
fn an_output_takes_no_rendition_that_would_decode_before_its_time() {
    let asked = ProgrammeSettings { reorder_ticks: 2, ..settings("early") };
    let output = start(&asked).unwrap();
    for (b_frames, picture_ticks, fits) in [(2, 1, true), (1, 2, true), (0, 3, true), (1, 3, false)]
    {
        let made = output.set_renditions(&[rendition("few", b_frames, picture_ticks)]);
        assert_eq!(made.is_ok(), fits, "{b_frames} {picture_ticks}");
        assert!(made.is_ok() || matches!(made, Err(StartError::Renditions)));
    }
}

#[test]
fn a_rendition_gets_every_picture_and_no_canvas_is_kept_for_it() {
    const B_FRAMES: u32 = 3;
    let renditions = vec![rendition("few", B_FRAMES, 1)];
    let asked = ProgrammeSettings { video: video(B_FRAMES), renditions, ..settings("kept") };
    let output = start(&asked).unwrap();
    let held = u64::from(video(B_FRAMES).pictures_held());
    let mut pictures = Vec::new();
    for tick in 0..60 {
        let media = media(tick);
        pictures.extend(media.picture.clone());
        output.push_wait(media).unwrap();
        let taken = || output.renditions()[0].stats.encoded + held > tick;
        await_true("the rung is there too", taken);
        let kept = pictures.iter().filter(|picture| Arc::strong_count(picture) > 1).count();
        let most = held + u64::from(B_FRAMES) + 1 + RENDITION_PICTURES as u64;
        assert!(kept as u64 <= most, "tick {tick}: {kept} are kept");
    }
    output.finish(LONG);
    let stats = output.renditions().remove(0).stats;
    assert_eq!((stats.encoded, stats.pictures_dropped, stats.repeated), (60, 0, 0));
}
