//! Seeks and playlists: which frames come, at which time, and what is told of them.

use std::path::PathBuf;

use super::support::{
    FPS, Played, TempDir, WHOLE, X264, clip, ffmpeg, options, play_file, raw_pattern,
};
use crate::frame::Size;
use crate::input::{Excerpt, Playlist, Plays, SourceSpec, start};
use crate::source::InputState;

const FRAME_NS: i64 = 1_000_000_000 / FPS as i64;

/// The numbers of the frames that were played, and whether each came a frame after the one before.
fn numbers(name: &str, played: &Played) -> Vec<u64> {
    for pair in played.pictures.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!((step - FRAME_NS).abs() <= 1_100_000, "{name}: a step of {step} ns");
    }
    played.numbers().into_iter().map(|number| number.expect("a frame number")).collect()
}

#[test]
fn a_seek_is_exact_and_leads_on_into_the_loop() {
    let dir = TempDir::new("seek");
    let once = Plays::Times(1);
    // (seek, begin, end, plays) → frames of each play, the first with its number
    let table = [
        ((700, 0, None, once), vec![(0, 21..60)]),
        ((701, 0, None, Plays::Times(2)), vec![(0, 22..60), (1, 0..60)]),
        // The position of frame 22, cut to milliseconds, leads to frame 22.
        ((733, 0, None, once), vec![(0, 22..60)]),
        ((1500, 500, None, Plays::Times(2)), vec![(0, 45..60), (1, 15..60)]),
        ((2500, 0, None, Plays::Times(3)), vec![(1, 15..60), (2, 0..60)]),
        ((1200, 0, Some(1000), Plays::Times(2)), vec![(1, 6..30)]),
        ((700, 0, Some(-500), once), vec![(0, 21..45)]),
        ((5000, 0, None, Plays::Times(2)), vec![(1, 0..0)]),
    ];
    for container in ["a.mp4", "b.flv", "c.ts", "d.mkv"] {
        let path = clip(&dir, container, 60, &format!("{X264} -c:a aac"));
        for ((seek_ms, begin_ms, end_ms, plays), expected) in table.clone() {
            let name = format!("{container} {seek_ms} {begin_ms} {end_ms:?} {plays:?}");
            let seek_ms = Some(seek_ms);
            let played = play_file(&path, Excerpt { plays, seek_ms, begin_ms, end_ms });
            let frames: Vec<u64> = expected.iter().flat_map(|(_, frames)| frames.clone()).collect();
            assert_eq!(numbers(&name, &played), frames, "{name}");
            assert_eq!(played.states.last(), Some(&InputState::Ended), "{name}");
            assert!(played.notices.is_empty(), "{name}: {:?}", played.notices);
            let passes: Vec<_> = played.parts.iter().map(|part| part.pass).collect();
            assert_eq!(
                passes,
                expected.iter().map(|(pass, _)| *pass).collect::<Vec<_>>(),
                "{name}"
            );
            // What is told of the first picture is the time it has in the file.
            let Some((first, ..)) = played.pictures.first() else { continue };
            let position_ns = first - played.parts[0].begin_ns + played.parts[0].position_ns;
            let off = position_ns - frames[0] as i64 * FRAME_NS;
            assert!(off.abs() < 1_100_000, "{name}: {off} ns off");
        }
    }
}

/// A clip of the pattern of some size.
fn sized(dir: &TempDir, name: &str, size: Size, frames: u64) -> PathBuf {
    let path = dir.file(name);
    let mut args = raw_pattern(dir, size, frames);
    args.extend(format!("{X264} -c:a aac").split(' ').map(str::to_owned));
    args.push(path.display().to_string());
    ffmpeg(&args);
    path
}

fn play_list(list: Playlist) -> Played {
    let mut input = start(SourceSpec::Playlist(list), options("carousel")).unwrap();
    Played::until(&mut input, |played| played.eof || played.has(InputState::Failed))
}

fn list(paths: &[PathBuf], passes: u32) -> Playlist {
    Playlist {
        locations: paths.iter().map(|path| path.display().to_string()).collect(),
        plays: Plays::Times(passes),
        first_item: 0,
        seek_ms: None,
    }
}

#[test]
fn a_playlist_has_no_gaps_and_passes_over_what_is_broken() {
    let dir = TempDir::new("playlist");
    let text = dir.file("text.mp4");
    std::fs::write(&text, "just some words\n".repeat(500)).unwrap();
    let paths = [
        sized(&dir, "a.mp4", Size::new(320, 180), 30),
        text,
        sized(&dir, "b.flv", Size::new(480, 270), 20),
        dir.file("missing.mp4"),
        sized(&dir, "c.ts", Size::new(320, 180), 50),
    ];
    let played = play_list(list(&paths, 2));
    let pass = || (0..30).chain(0..20).chain(0..50);
    assert_eq!(numbers("playlist", &played), pass().chain(pass()).collect::<Vec<_>>());
    let parts: Vec<_> = played.parts.iter().map(|part| (part.item, part.pass)).collect();
    assert_eq!(parts, [(0, 0), (2, 0), (4, 0), (0, 1), (2, 1), (4, 1)]);
    for (part, frame) in played.parts.iter().zip([0, 30, 50, 100, 130, 150]) {
        assert!((part.begin_ns - played.pictures[frame].0).abs() < 1_100_000, "{part:?}");
    }
    assert_eq!((played.sizes[29], played.sizes[30]), (Size::new(320, 180), Size::new(480, 270)));
    assert_eq!(played.notices.len(), 4, "{:?}", played.notices);
    for (notice, name) in played.notices.iter().zip(["text.mp4", "missing.mp4"].iter().cycle()) {
        assert!(notice.contains(name), "{notice}");
    }
    // Lips hold through all of it, and the sound has no hole.
    let (flashes, beeps) = (played.flashes(), played.beeps());
    assert_eq!(flashes.len(), 8, "{flashes:?}");
    for flash in &flashes {
        let nearest = beeps.iter().map(|beep| (beep - flash).abs()).min().unwrap();
        assert!(nearest < 10_000_000, "flash {flash} beeps {beeps:?}");
    }
    assert!(played.worst_seam_ns() < 30_000_000, "{}", played.worst_seam_ns());
}

#[test]
fn a_playlist_begins_where_it_is_told_to() {
    let dir = TempDir::new("resume");
    let paths = [
        clip(&dir, "a.mp4", 30, &format!("{X264} -c:a aac")),
        clip(&dir, "b.mp4", 30, &format!("{X264} -c:a aac")),
    ];
    // (item, seek) → frames, parts
    let table = [
        ((1, None), vec![0..30, 0..30, 0..30], vec![(1, 0), (0, 1), (1, 1)]),
        ((1, Some(500)), vec![15..30, 0..30, 0..30], vec![(1, 0), (0, 1), (1, 1)]),
        ((0, Some(5000)), vec![0..30, 0..30, 0..30], vec![(0, 0), (1, 0), (0, 1), (1, 1)]),
        ((2, None), vec![0..30, 0..30], vec![(0, 1), (1, 1)]),
    ];
    for ((first_item, seek_ms), frames, parts) in table {
        let name = format!("item {first_item} at {seek_ms:?}");
        let played = play_list(Playlist { first_item, seek_ms, ..list(&paths, 2) });
        let frames: Vec<u64> = frames.into_iter().flatten().collect();
        assert_eq!(numbers(&name, &played), frames, "{name}");
        let told: Vec<_> = played.parts.iter().map(|part| (part.item, part.pass)).collect();
        assert_eq!(told, parts, "{name}");
    }
}

#[test]
fn a_playlist_of_nothing_fails() {
    let dir = TempDir::new("nothing");
    for paths in [vec![], vec![dir.file("missing.mp4")]] {
        let played = play_list(list(&paths, 1));
        assert_eq!(played.states.last(), Some(&InputState::Failed));
        assert!(!played.notices.is_empty() && played.pictures.is_empty());
    }
    let one = clip(&dir, "a.mp4", 10, &format!("{X264} -an"));
    let played = play_file(&one, Excerpt { seek_ms: Some(9000), ..WHOLE });
    assert!(played.eof && played.pictures.is_empty());
}
