//! Recordings, read back by FFmpeg.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::testing::{Dir, Live, Probe, await_true, media, probe, settings, tool};
use super::super::{
    OnRecord, Output, Overflow, ProgrammeSettings, RecordNews, RecordPlan, RecordedFile, Recovered,
    Sink, SinkState, Timing, finish_recording, recover_recording, recover_recordings,
    remove_recording, start,
};
use super::LONG;
use crate::fault;
use crate::record_name::{DEFAULT_RECORD_NAME, DEFAULT_SLICE_NAME, RecordName};
use crate::recording::RecordFormat;
use crate::worker::StopToken;

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
        reserve_bytes: 0,
        timing: Timing::Prompt,
        news: OnRecord::new(move |news| {
            if let RecordNews::Complete(file) = news {
                told.lock().unwrap().push(file);
            }
        }),
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
fn a_recording_has_what_is_encoded_or_what_goes_out() {
    let dir = Dir::new();
    let output = start(&ProgrammeSettings { delay_ticks: 45, ..settings("held") }).unwrap();
    // What goes out begins with black, twice a second, until the delay is over.
    let all = [(Timing::Prompt, 90..=90), (Timing::Delayed, 48..=50)].map(|(timing, pictures)| {
        let (told, place) = (Told::default(), dir.0.join(format!("{timing:?}")));
        std::fs::create_dir_all(&place).unwrap();
        let Sink::Record { dir, plan } = record(&place, RecordFormat::Flv, None, &told) else {
            unreachable!()
        };
        output.add_sink(Sink::Record { dir, plan: RecordPlan { timing, ..plan } }).unwrap();
        (told, place, pictures)
    });
    push(&output, 0..90);
    output.finish(LONG);
    for (told, place, pictures) in all {
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 1, "{told:?}");
        let found = probe_path(&place.join(&told[0].name)).packets("video").len();
        assert!(pictures.contains(&found), "{found} pictures of {pictures:?}");
    }
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
            let probed = probe_path(&dir.0.join(&file.name));
            let video = probed.packets("video");
            pictures.push(video.len());
            sounds += probed.packets("audio").len();
            assert!(video[0].1, "{:?} begins with no keyframe", file.name);
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

fn is_list(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".m3u8.part")
}

/// What FFmpeg has to say while it decodes all of it.
fn complaints(path: &Path) -> String {
    let path = path.to_str().unwrap();
    let output = tool("ffmpeg", &["-v", "error", "-i", path, "-f", "null", "-"]).output().unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Types of the boxes of an MP4.
fn boxes(path: &Path) -> Vec<String> {
    let (bytes, mut at, mut found) = (std::fs::read(path).unwrap(), 0, Vec::new());
    while at < bytes.len() {
        found.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    found
}

#[test]
fn a_finished_mp4_has_its_index_in_front_and_every_file_goes_with_its_directory() {
    let dir = Dir::new();
    let told = Told::default();
    let output = start(&settings("finishes")).unwrap();
    for format in FORMATS {
        output.add_sink(record(&dir.0, format, None, &told)).unwrap();
    }
    push(&output, 0..300);
    output.finish(LONG);
    let told = told.lock().unwrap();
    for file in told.iter() {
        let path = dir.0.join(&file.name);
        let before = probe_path(&path).packets("video").len();
        let finished = finish_recording(&dir.0, file, &StopToken::new()).unwrap();
        assert_eq!(
            (&finished.name, probe_path(&path).packets("video").len()),
            (&file.name, before)
        );
        assert_eq!(complaints(&path), "", "{}", path.display());
        assert!(finished.duration_ms.abs_diff(10_000) < 60, "{finished:?}");
        if file.format == RecordFormat::Mp4 {
            assert!(
                boxes(&path)[..2] == ["ftyp", "moov"] && !boxes(&path).contains(&"moof".into())
            );
            assert_eq!(finished.bytes, path.metadata().unwrap().len());
        }
    }
    for file in told.iter() {
        remove_recording(&dir.0, &file.name, file.format).unwrap();
        remove_recording(&dir.0, &file.name, file.format).unwrap();
    }
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 0, "{:?}", files(&dir.0));
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
    for path in ending(&left, "part").into_iter().filter(|path| !is_list(path)) {
        // A kill can come in the middle of a write.
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() - 77).unwrap();
    }
    assert_eq!(ending(&left, "part").len(), 4, "three files and a segment: {left:?}");
    let finished = recover_recordings(&dead.0);
    assert_eq!(finished.len(), 3, "{finished:?}");
    for (extension, least) in [("flv", 258), ("mp4", 230), ("m3u8", 255)] {
        let path = ending(&finished, extension)[0];
        let pictures = probe_path(path).packets("video").len();
        assert_eq!(complaints(path), "", "{}", path.display());
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
    assert!(probe_path(&place.join(&told[0].name)).packets("video")[0].1);
}

#[test]
fn a_segment_that_cannot_get_its_name_is_finished_later() {
    let dir = Dir::new();
    let told = Told::default();
    let output = start(&settings("nameless")).unwrap();
    output.add_sink(record(&dir.0, RecordFormat::Hls, None, &told)).unwrap();
    push(&output, 0..100);
    let segment =
        || files(&dir.0).into_iter().find(|path| path.to_string_lossy().ends_with(".ts.part"));
    await_true("a segment", || segment().is_some());
    // Somebody else has its name, whose file cannot be replaced.
    let in_the_way = segment().unwrap().with_extension("");
    std::fs::create_dir(&in_the_way).unwrap();
    push(&output, 100..260);
    await_true("the playlist's end to be told", || told.lock().unwrap().len() == 1);
    let left = told.lock().unwrap()[0].clone();
    std::fs::remove_dir(&in_the_way).unwrap();
    let mut recovered = Recovered::Nothing;
    // Its recorder lets go of it in a moment.
    await_true("it to be finished", || {
        recovered = recover_recording(&dir.0, &left, |_| ()).unwrap();
        recovered != Recovered::Nothing
    });
    let Recovered::File(file) = recovered else { panic!("{recovered:?}") };
    let pictures = probe_path(&dir.0.join(&file.name)).packets("video").len();
    assert_eq!(file.id, left.id);
    // Of the last one it cannot be known whether it is whole.
    assert!((179..=180).contains(&pictures), "{pictures} pictures of six seconds");
    output.finish(LONG);
}

/// The disk refuses one write and takes the next, which is smaller or comes when there is room again.
#[test]
fn a_file_whose_disk_refused_a_write_has_no_hole() {
    for (format, refused) in FORMATS.into_iter().flat_map(|format| [(format, 2), (format, 5)]) {
        let (dir, told) = (Dir::new(), Told::default());
        let name = format!("refused-{}-{refused}", format.extension());
        let output = start(&settings(&name)).unwrap();
        fault::arm(&format!("part-file:fail@{refused}"));
        output.add_sink(record(&dir.0, format, None, &told)).unwrap();
        push(&output, 0..200);
        await_true("the file's end to be told", || told.lock().unwrap().len() == 1);
        let file = told.lock().unwrap()[0].clone();
        await_true("its name", || dir.0.join(&file.name).exists());
        let path = dir.0.join(&file.name);
        let video = probe_path(&path).packets("video");
        for pair in video.windows(2) {
            assert!((pair[1].0 - pair[0].0 - 1.0 / 30.0).abs() < 0.002, "{name}: {pair:?}");
        }
        assert_eq!(complaints(&path), "", "{name}");
        // All that it was given: what was refused was taken in the end.
        let lasts_ms = video.len() as f64 * 1000.0 / 30.0;
        let said_ms = file.duration_ms as f64;
        assert!((lasts_ms - said_ms).abs() < 50.0, "{name}: {lasts_ms} of {said_ms} ms");
        output.finish(LONG);
    }
}
