//! Recordings, read back by FFmpeg.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::testing::{Dir, Live, Probe, await_true, media, probe, settings};
use super::super::{
    OnFinished, Output, Overflow, RecordFormat, RecordPlan, RecordedFile, Sink, SinkState,
    recover_recordings, start,
};
use super::LONG;
use crate::record_name::{DEFAULT_RECORD_NAME, DEFAULT_SLICE_NAME, RecordName};

const FORMATS: [RecordFormat; 3] = [RecordFormat::Flv, RecordFormat::Mp4, RecordFormat::Hls];

type Told = Arc<Mutex<Vec<RecordedFile>>>;

fn record(dir: &Path, format: RecordFormat, cycle: Option<Duration>, told: &Told) -> Sink {
    let told = Arc::clone(told);
    let plan = RecordPlan {
        format,
        name: RecordName::parse(DEFAULT_RECORD_NAME).unwrap(),
        slice_name: RecordName::parse_slice(DEFAULT_SLICE_NAME).unwrap(),
        cycle,
        app: "caster".into(),
        stream: "show".into(),
        finished: OnFinished::new(move |file| told.lock().unwrap().push(file)),
    };
    Sink::Record { dir: dir.to_owned(), plan }
}

fn push(output: &Output, ticks: std::ops::Range<u64>) {
    ticks.for_each(|tick| output.push_wait(media(tick)).unwrap());
}

fn probe_path(path: &Path) -> Probe {
    probe(path.to_str().unwrap(), 60)
}

/// All files below a directory, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn ending<'a>(files: &'a [PathBuf], extension: &str) -> Vec<&'a PathBuf> {
    files.iter().filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

#[test]
fn three_formats_at_once_lose_nothing_where_they_are_split() {
    let dir = Dir::new();
    let told = Told::default();
    let output = start(&settings("records")).unwrap();
    let whole = dir.0.join("whole.mp4");
    output.add_sink(Sink::File { path: whole.clone(), overflow: Overflow::Wait }).unwrap();
    for format in FORMATS {
        // Splits at the first keyframe after it, which is at 5 s.
        let cycle = (format != RecordFormat::Hls).then_some(Duration::from_millis(4500));
        output.add_sink(record(&dir.0, format, cycle, &told)).unwrap();
    }
    push(&output, 0..420);
    for sink in output.finish(LONG) {
        assert_eq!((&sink.state, sink.dropped), (&SinkState::Ended, 0), "{}", sink.label);
    }
    let sound = probe_path(&whole).packets("audio").len();
    for format in FORMATS {
        let told = told.lock().unwrap();
        let files: Vec<_> = told.iter().filter(|file| file.format == format).collect();
        let (mut pictures, mut sounds) = (Vec::new(), 0);
        for file in &files {
            let probed = probe_path(&file.path);
            let video = probed.packets("video");
            pictures.push(video.len());
            sounds += probed.packets("audio").len();
            assert!(video[0].1, "{:?} begins with no keyframe", file.path);
            for pair in video.windows(2) {
                assert!((pair[1].0 - pair[0].0 - 1.0 / 30.0).abs() < 0.002, "{pair:?}");
            }
            let seconds = file.duration_ms as f64 / 1000.0;
            let last = video.last().unwrap().0 - video[0].0;
            assert!((seconds - last - 1.0 / 30.0).abs() < 0.05, "{seconds} s, last at {last}");
            assert!(file.bytes > 10_000, "{file:?}");
        }
        let (split, starts) = match format {
            RecordFormat::Hls => (vec![420], vec![0]),
            _ => (vec![150, 150, 120], vec![0, 5000, 10_000]),
        };
        assert_eq!((pictures, sounds), (split, sound), "{format:?}");
        let since = |file: &&RecordedFile| file.start_unix_ms - files[0].start_unix_ms;
        assert_eq!(files.iter().map(since).collect::<Vec<_>>(), starts, "{format:?}");
    }
    let all = files(&dir.0);
    let segments = ending(&all, "ts");
    let counts: Vec<_> = segments.iter().map(|p| probe_path(p).packets("video").len()).collect();
    assert_eq!(counts, [180, 180, 60]);
    assert_eq!((ending(&all, "part").len(), ending(&all, "new").len()), (0, 0), "{all:?}");
    let list = std::fs::read_to_string(ending(&all, "m3u8")[0]).unwrap();
    assert!(list.contains("#EXTINF:6.000000,\n") && list.ends_with("#EXT-X-ENDLIST\n"), "{list}");
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(path, target).unwrap();
    }
}

#[test]
fn what_a_dead_process_leaves_plays_and_is_finished() {
    let (dir, dead) = (Dir::new(), Dir::new());
    let told = Told::default();
    let output = start(&settings("dies")).unwrap();
    for format in FORMATS {
        output.add_sink(record(&dir.0, format, None, &told)).unwrap();
    }
    push(&output, 0..260);
    await_true("all is encoded", || output.stats().encoded == 260);
    // 260 ticks and all but the last of their sound.
    let written = || output.sinks().iter().all(|sink| sink.packets >= 260 + 400);
    await_true("all is written", written);
    // The disk as a kill would leave it.
    copy(&dir.0, &dead.0);
    assert_eq!(recover_recordings(&dir.0), Vec::<PathBuf>::new(), "somebody still writes these");
    let left = files(&dead.0);
    assert_eq!(ending(&left, "part").len(), 4, "three files and a segment: {left:?}");
    let finished = recover_recordings(&dead.0);
    assert_eq!(finished.len(), 3, "{finished:?}");
    for (extension, least) in [("flv", 260), ("mp4", 230), ("m3u8", 255)] {
        let path = ending(&finished, extension)[0];
        let pictures = probe_path(path).packets("video").len();
        assert!((least..=260).contains(&pictures), "{}: {pictures}", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(name.len() == 39 && !name.contains('{'), "{name}");
    }
    let list = std::fs::read_to_string(ending(&finished, "m3u8")[0]).unwrap();
    assert!(list.contains("#EXTINF:6.000000,\n") && list.contains("#EXTINF:2.6"), "{list}");
    assert_eq!(ending(&files(&dead.0), "part").len(), 0);
    assert_eq!(recover_recordings(&dead.0), Vec::<PathBuf>::new());
    // What is only cut short finishes its files itself.
    drop(output);
    assert_eq!(told.lock().unwrap().len(), 3);
    assert_eq!(ending(&files(&dir.0), "part").len(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_tried_again_and_pgm_does_not_notice() {
    let dir = Dir::new();
    let place = dir.0.join("records");
    std::fs::write(&place, "in the way").unwrap();
    let told = Told::default();
    let live = Live::start("blocked", vec![record(&place, RecordFormat::Flv, None, &told)]);
    live.await_sink(0, |state| matches!(state, SinkState::Failed(_)));
    std::fs::remove_file(&place).unwrap();
    live.await_sink(0, |state| *state == SinkState::Live);
    await_true("it records", || live.output.sinks()[0].packets > 50);
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.repeated, stats.failure), (0, 0, None));
    assert_eq!(live.output.finish(LONG)[0].state, SinkState::Ended);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert!(probe_path(&told[0].path).packets("video")[0].1);
}
