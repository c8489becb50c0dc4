//! Files: every container and codec, excerpts, loops, and what is wrong with broken ones.

use std::time::Duration;

use super::support::{
    FPS, Played, TempDir, WHOLE, X264, clip, ffmpeg, options, play_file, raw_pattern,
};
use crate::frame::Size;
use crate::input::{
    Delivery, Excerpt, ImageSource, InputOptions, Pacing, Plays, SourceSpec, Take, Want, start,
};
use crate::shot::ScaleQuality;
use crate::source::{InputKind, InputState};
use crate::worker::StopToken;

const FRAME_NS: i64 = 1_000_000_000 / FPS as i64;

/// Every frame is there, at its time; flash and beep agree; sound has no holes.
fn check(name: &str, played: &Played, numbers: &[u64]) {
    let want: Vec<Option<u64>> = numbers.iter().copied().map(Some).collect();
    assert_eq!(played.numbers(), want, "{name}");
    for (n, &(pts_ns, ..)) in (0_i64..).zip(&played.pictures) {
        let at = n * 1_000_000_000 / FPS as i64;
        assert!((pts_ns - at).abs() <= 1_000_000, "{name}: frame {n} at {pts_ns}");
    }
    if !played.blocks.is_empty() {
        assert!(played.worst_seam_ns() < 1_000_000, "{name}: seam {}", played.worst_seam_ns());
        let (flashes, beeps) = (played.flashes(), played.beeps());
        let loudest = played.blocks.iter().flat_map(|b| &b.1).fold(0.0_f32, |m, s| m.max(s[1]));
        assert!((0.2..0.32).contains(&loudest), "{name}: peak {loudest}");
        assert_eq!(flashes.len(), beeps.len(), "{name}: {flashes:?} {beeps:?}");
        for (flash, beep) in flashes.iter().zip(&beeps) {
            assert!((flash - beep).abs() < 8_000_000, "{name}: flash {flash} beep {beep}");
        }
    }
    assert!(played.notices.is_empty(), "{name}: {:?}", played.notices);
}

#[test]
fn every_container_and_codec_plays_frame_by_frame() {
    let dir = TempDir::new("formats");
    let x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=15";
    let vpx = "-deadline realtime -cpu-used 8 -b:v 1M -g 15";
    let table = [
        ("a.mp4", format!("{X264} -c:a aac")),
        ("b.flv", format!("{X264} -c:a aac")),
        ("c.ts", format!("{X264} -c:a aac")),
        ("d.mkv", format!("{x265} -c:a libopus")),
        ("e.webm", format!("-c:v libvpx-vp9 {vpx} -c:a libopus")),
        ("e.mkv", format!("-c:v libvpx {vpx} -c:a libopus")),
        ("e.mp4", "-c:v libsvtav1 -preset 12 -g 15 -c:a libopus".to_owned()),
        ("f.mkv", format!("{X264} -c:a libmp3lame")),
        ("g.mov", format!("{X264} -pix_fmt yuv444p -c:a pcm_s16le -ar 44100 -ac 1")),
        ("h.mp4", format!("{X264} -an")),
    ];
    for (name, args) in table {
        let played = play_file(&clip(&dir, name, 45, &args), WHOLE);
        check(name, &played, &(0..45).collect::<Vec<_>>());
        assert_eq!(played.blocks.is_empty(), args.contains("-an"), "{name}");
        let states =
            [InputState::Connecting, InputState::Buffering, InputState::Live, InputState::Ended];
        assert_eq!(played.states, states, "{name}");
    }
}

#[test]
fn a_file_without_video_plays_its_sound() {
    let dir = TempDir::new("novideo");
    let played = play_file(&clip(&dir, "a.mp4", 45, "-vn -c:a aac"), WHOLE);
    assert!(played.eof && played.pictures.is_empty());
    assert_eq!(played.beeps().len(), 2);
    assert!(played.states.contains(&InputState::Live));
}

#[test]
fn excerpts_are_exact_to_the_frame() {
    let dir = TempDir::new("excerpt");
    // (begin ms, end ms) → frames
    let table = [
        ((0, Some(500)), 0..15),
        ((700, None), 21..60),
        ((701, Some(1500)), 22..45),
        ((1000, Some(-500)), 30..45),
        ((0, Some(-1000)), 0..30),
    ];
    for container in ["a.mp4", "b.flv", "c.ts", "d.mkv"] {
        let path = clip(&dir, container, 60, &format!("{X264} -c:a aac"));
        for ((begin_ms, end_ms), frames) in table.clone() {
            let played = play_file(&path, Excerpt { begin_ms, end_ms, ..WHOLE });
            let name = format!("{container} {begin_ms} {end_ms:?}");
            let want: Vec<Option<u64>> = frames.map(Some).collect();
            assert_eq!(played.numbers(), want, "{name}");
            let first = played.pictures[0].0;
            assert!((-1_000_000..FRAME_NS).contains(&first), "{name}: {first}");
        }
    }
}

#[test]
fn loops_have_no_seam_and_keep_lips_in_sync() {
    let dir = TempDir::new("loop");
    for container in ["a.mp4", "b.flv", "c.ts"] {
        let path = clip(&dir, container, 30, &format!("{X264} -c:a aac"));
        let plays = Plays::Times(10);
        let played = play_file(&path, Excerpt { plays, ..WHOLE });
        let numbers: Vec<Option<u64>> = (0..10).flat_map(|_| (0..30).map(Some)).collect();
        assert_eq!(played.numbers(), numbers, "{container}");
        let (flashes, beeps) = (played.flashes(), played.beeps());
        assert_eq!((flashes.len(), beeps.len()), (10, 10), "{container}");
        for pass in 0..10 {
            let offset = flashes[pass] - beeps[pass];
            assert!(offset.abs() < 10_000_000, "{container}: pass {pass} off by {offset}");
            // FLV counts in whole milliseconds, so its passes are a third of one longer.
            let late = flashes[pass] - pass as i64 * 1_000_000_000;
            assert!((-1000..4_000_000).contains(&late), "{container}: pass {pass} late by {late}");
        }
        assert!(played.pictures.windows(2).all(|p| p[0].0 < p[1].0), "{container}");
    }
}

#[test]
fn a_size_change_in_the_stream_is_followed() {
    let dir = TempDir::new("resize");
    let mut whole = vec![];
    for (index, size) in [(0, Size::new(320, 180)), (1, Size::new(480, 270))] {
        let mut args = raw_pattern(&dir, size, 30);
        let path = dir.file(&format!("{index}.ts"));
        args.extend(
            format!("{X264} -c:a aac -output_ts_offset {index}").split(' ').map(str::to_owned),
        );
        args.push(path.display().to_string());
        ffmpeg(&args);
        whole.extend(std::fs::read(&path).unwrap());
    }
    let path = dir.file("both.ts");
    std::fs::write(&path, whole).unwrap();
    let played = play_file(&path, WHOLE);
    assert!(played.eof);
    let numbers: Vec<Option<u64>> = (0..30).chain(0..30).map(Some).collect();
    assert_eq!(played.numbers(), numbers);
    assert_eq!(played.sizes[0], Size::new(320, 180));
    assert_eq!(played.sizes[59], Size::new(480, 270));
}

#[test]
fn what_is_wrong_with_a_file_is_said_once_by_name() {
    let dir = TempDir::new("broken");
    let good = clip(&dir, "good.mp4", 30, &format!("{X264} -c:a aac"));
    let bytes = std::fs::read(good).unwrap();
    std::fs::write(dir.file("truncated.mp4"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(dir.file("text.mp4"), "just some words\n".repeat(500)).unwrap();
    std::fs::write(dir.file("list.mp4"), "#EXTM3U\n#EXT-X-TARGETDURATION:1\n/etc/passwd\n")
        .unwrap();
    std::fs::write(dir.file("empty.mp4"), "").unwrap();
    for name in ["truncated.mp4", "text.mp4", "list.mp4", "empty.mp4", "missing.mp4"] {
        let played = play_file(&dir.file(name), WHOLE);
        assert_eq!(played.states.last(), Some(&InputState::Failed), "{name}");
        assert_eq!(played.notices.len(), 1, "{name}: {:?}", played.notices);
        assert!(played.notices[0].contains(name), "{:?}", played.notices);
        assert!(played.pictures.is_empty(), "{name}");
    }
}

#[test]
fn frame_numbers_survive_a_low_bit_rate() {
    let dir = TempDir::new("lowrate");
    let path = clip(
        &dir,
        "a.mp4",
        60,
        "-c:v libx264 -preset veryfast -b:v 60k -maxrate 60k -bufsize 60k -an",
    );
    assert!(std::fs::metadata(&path).unwrap().len() < 60_000);
    let played = play_file(&path, WHOLE);
    assert_eq!(played.numbers(), (0..60).map(Some).collect::<Vec<_>>());
    assert_eq!(played.flashes().len(), 2);
}

#[test]
fn a_file_cut_short_plays_as_far_as_it_goes_and_says_so() {
    let dir = TempDir::new("cut");
    let good = clip(&dir, "good.mp4", 60, &format!("{X264} -c:a aac -movflags +faststart"));
    let bytes = std::fs::read(good).unwrap();
    std::fs::write(dir.file("cut.mp4"), &bytes[..bytes.len() * 7 / 10]).unwrap();
    let played = play_file(&dir.file("cut.mp4"), WHOLE);
    let numbers: Vec<u64> = played.numbers().into_iter().flatten().collect();
    assert!(numbers.len() > 30, "{numbers:?} {:?}", played.notices);
    assert!(numbers[..28].iter().copied().eq(0..28) && numbers.is_sorted(), "{numbers:?}");
    assert_eq!(played.notices.len(), 1, "{:?}", played.notices);
    assert!(played.notices[0].contains("cut.mp4"), "{:?}", played.notices);
}

#[test]
fn pictures_are_scaled_ahead_to_the_sizes_wanted() {
    let dir = TempDir::new("ahead");
    let image = dir.file("a.png");
    ffmpeg(&["-f", "lavfi", "-i", "color=red:s=64x36", "-frames:v", "1", image.to_str().unwrap()]);
    let pattern = "pattern:320x180".parse().unwrap();
    let specs = [
        SourceSpec::Image(ImageSource::Path(image)),
        SourceSpec::Pattern { spec: pattern, pacing: Pacing::OnDemand },
    ];
    for spec in specs {
        let name = format!("{spec:?}");
        let prescale = InputOptions { prescale: Some(ScaleQuality::default()), ..options("pip") };
        let input = start(spec, prescale).unwrap();
        for wanted in [Size::new(160, 90), Size::new(240, 136)] {
            input.set_wanted(&[wanted.into()]);
            let mut found = false;
            for _ in 0..1000 {
                StopToken::new().wait(Duration::from_millis(2));
                input.poll(Take::ALL, &mut |delivery| {
                    if let Delivery::Video(frame) = delivery {
                        found = frame.scaled.iter().any(|scaled| scaled.picture.size() == wanted);
                    }
                });
                if found {
                    break;
                }
            }
            assert!(found, "{name}: {wanted:?}");
        }
    }
}

#[test]
fn waiting_ends_when_nothing_more_can_come() {
    let dir = TempDir::new("ready");
    let silent = clip(&dir, "a.mp4", 45, &format!("{X264} -an"));
    let location = silent.display().to_string();
    let input = start(SourceSpec::File { location, excerpt: WHOLE }, options("clip")).unwrap();
    let long = Duration::from_secs(20);
    // It has no sound; then its queue is full; then it has ended.
    assert!(input.wait_ready(Want { video: true, audio: true }, long));
    let mut pictures = 0;
    for _ in 0..45 {
        assert!(input.wait_ready(Want { video: true, audio: true }, long));
        let one = Take { video: 1, audio: 0 };
        input.poll(one, &mut |d| pictures += usize::from(matches!(d, Delivery::Video(_))));
    }
    assert_eq!(pictures, 45);
    assert!(input.wait_ready(Want { video: true, audio: false }, long));
}

#[test]
fn the_pattern_plays_on_demand_and_says_so() {
    let spec = "pattern:320x180@25".parse().unwrap();
    let pacing = Pacing::OnDemand;
    let mut input = start(SourceSpec::Pattern { spec, pacing }, options("bars")).unwrap();
    assert_eq!(input.kind(), InputKind::Paced);
    let played = Played::until(&mut input, |played| played.pictures.len() >= 60);
    assert_eq!(played.numbers(), (0..60).map(Some).collect::<Vec<_>>());
    assert_eq!(input.status().dropped_frames, 0);
}
