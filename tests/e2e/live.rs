//! The programme itself: every frame the right one, lips in sync, every way to play, faults that stay where they are.

use std::time::Duration;

use onair::frame::{Picture, Size};
use onair::media::pattern::{Area, read_frame_number};

use crate::proof::proof;
use crate::support::{
    CANVAS, From, Process, Server, Studio, pictures, probe, record, run_ffmpeg, spawn_ffmpeg,
    ticks, wait_for,
};

const FULL: Area = Area { x_px: 0, y_px: 0, size: CANVAS };
const CORNER: Area = Area { x_px: 320, y_px: 180, size: Size::new(320, 180) };

fn finish(mut recorder: Process) {
    recorder.signal("INT");
    recorder.wait(Duration::from_secs(10));
}

fn grows(path: &std::path::Path) {
    wait_for("the recording to grow", Duration::from_secs(10), || {
        std::fs::metadata(path).ok().filter(|file| file.len() > 1000)
    });
}

/// Which of the two layouts a picture shows, and the frame number in it; a mixed or black one shows none or both.
fn read(picture: &Picture) -> Option<(char, u64)> {
    match (read_frame_number(picture, FULL), read_frame_number(picture, CORNER)) {
        (Some(number), None) => Some(('A', number)),
        (None, Some(number)) => Some(('B', number)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_takes_change_the_picture_on_exactly_their_ticks() {
    let server = Server::start();
    let sources = [From::Vod("pattern:640x360@30"), From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start(&server, &sources).await;
    let a = studio.full("RV01").await;
    let b = studio.layout(&[("RV02", [0.5, 0.5, 0.5, 0.5])]).await;
    let mut taken = vec![('A', studio.take(&a).await)];
    let file = server.folder.path("pgm.flv");
    let recorder = record(&studio.flv(), &file);
    grows(&file);
    for turn in 0..100 {
        let (name, layout) = if turn % 2 == 0 { ('B', &b) } else { ('A', &a) };
        taken.push((name, studio.take(layout).await));
    }
    let last = taken.last().unwrap().1;
    wait_for("the last take to be played", Duration::from_secs(10), || {
        ticks(&file).last().filter(|tick| **tick > last + 5).map(drop)
    });
    finish(recorder);
    check_cadence(&file, &taken);
    let state = studio.state().await;
    assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
}

/// Every recorded tick shows the layout that was on air, with the frame number that its source had reached.
fn check_cadence(file: &std::path::Path, taken: &[(char, u64)]) {
    let ticks = ticks(file);
    assert!(
        ticks.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "a tick is missing or out of order"
    );
    let mut offsets = std::collections::BTreeMap::new();
    let mut problems = Vec::new();
    let mut count = 0;
    pictures(file, |index, picture| {
        count += 1;
        let tick = ticks[index];
        let expected = taken.iter().rev().find(|(_, from)| *from <= tick).map(|(name, _)| *name);
        match read(picture) {
            Some((shown, number)) if Some(shown) == expected => {
                // Sources of the pattern's own rate advance one frame a tick, for ever; a late tick repeats one.
                let offset = tick as i64 - number as i64;
                let known = *offsets.entry(shown).or_insert(offset);
                if known != offset {
                    problems
                        .push(format!("tick {tick}: frame {number} of {shown}, offset {known}"));
                }
            }
            // What a late joiner gets of the group of pictures before the first take.
            None if expected.is_none() => {}
            shown => {
                problems.push(format!("tick {tick}: {shown:?}, {expected:?} should be on air"))
            }
        }
    });
    assert_eq!(count, ticks.len(), "frames decoded");
    assert!(problems.is_empty(), "{} of {count}:\n{}", problems.len(), problems.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn flash_and_beep_stay_together() {
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let a = studio.full("RV01").await;
    studio.take(&a).await;
    let file = server.folder.path("pgm.flv");
    let recorder = record(&studio.flv(), &file);
    wait_for("twelve seconds", Duration::from_secs(40), || {
        (ticks(&file).len() > 12 * 30).then_some(())
    });
    finish(recorder);
    let proof = proof(&file);
    proof.check("pgm");
    println!("A/V offset {:?} ms over {} frames", proof.av_offset_ms, proof.frames.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn pgm_plays_everywhere_at_once_and_late_joiners_begin_with_a_picture() {
    let server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let a = studio.full("RV01").await;
    studio.take(&a).await;
    let addresses = [studio.flv(), studio.hls(), studio.pgm.stream_url.clone()];
    let probes = addresses.map(|url| {
        std::thread::Builder::new()
            .spawn(move || {
                let video = probe(&url, "v:0", "codec_name,width,height,avg_frame_rate");
                let audio = probe(&url, "a:0", "codec_name,sample_rate,channels");
                (url, video, audio)
            })
            .unwrap()
    });
    for thread in probes {
        let (url, video, audio) = thread.join().unwrap();
        assert_eq!(video, ["h264", "640", "360", "30/1"], "{url}");
        assert_eq!(audio, ["aac", "48000", "2"], "{url}");
    }
    // A late joiner: its first packet is a keyframe, whatever the moment.
    for url in [studio.flv(), studio.pgm.stream_url.clone()] {
        let file = server.folder.path("late.flv");
        run_ffmpeg(&format!("-i {url} -t 1 -c copy -f flv {}", file.display()));
        let flags = std::process::Command::new("ffprobe")
            .args([
                "-v",
                "error",
                "-select_streams",
                "v",
                "-show_entries",
                "packet=flags",
                "-of",
                "csv=p=0",
            ])
            .arg(&file)
            .output()
            .unwrap();
        let first = String::from_utf8_lossy(&flags.stdout).lines().next().unwrap().to_owned();
        assert!(first.starts_with('K'), "{url}: {first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pusher_that_dies_comes_back_and_nobody_else_notices() {
    let server = Server::start();
    let pushed = format!("rtmp://{}/live/cam", server.rtmp);
    let push = || {
        spawn_ffmpeg(&format!(
            "-re -f lavfi -i testsrc2=size=640x360:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
             -c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -c:a aac -f flv {pushed}"
        ))
    };
    let mut pusher = push();
    let sources = [From::Vod("pattern:640x360@30"), From::Live(pushed.clone())];
    let mut studio = Studio::start(&server, &sources).await;
    let both = [("RV01", [0.5, 0.5, 0.5, 0.5]), ("RV02", [0.0, 0.0, 0.5, 0.5])];
    let layout = studio.layout(&both).await;
    let taken = studio.take(&layout).await;
    let file = server.folder.path("pgm.flv");
    let recorder = record(&studio.flv(), &file);
    grows(&file);
    studio.input_until("RV02", "live", |input| input.state().as_str_name().ends_with("LIVE")).await;
    pusher.0.kill().unwrap();
    pusher.wait(Duration::from_secs(5));
    let lost = studio
        .input_until("RV02", "lost", |input| !input.state().as_str_name().ends_with("LIVE"))
        .await;
    let at_loss = ticks(&file).len();
    wait_for("ten seconds without the pusher", Duration::from_secs(40), || {
        (ticks(&file).len() > at_loss + 10 * 30).then_some(())
    });
    pusher = push();
    let back = studio
        .input_until("RV02", "back", |input| {
            input.state().as_str_name().ends_with("LIVE") && input.frames > lost.frames
        })
        .await;
    assert!(back.reconnects > lost.reconnects || back.reconnects > 0, "{back:?}");
    finish(recorder);
    drop(pusher);
    let recorded = ticks(&file);
    assert!(recorded.windows(2).all(|pair| pair[1] == pair[0] + 1), "PGM missed a frame");
    // The other source went on without a trace.
    let mut offset = None;
    pictures(&file, |index, picture| {
        if recorded[index] < taken {
            return;
        }
        let number = read_frame_number(picture, CORNER).expect("the pattern is always there");
        let now = recorded[index] as i64 - number as i64;
        assert_eq!(*offset.get_or_insert(now), now, "tick {}", recorded[index]);
    });
    let state = studio.state().await;
    assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_everything_properly() {
    let mut server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let a = studio.full("RV01").await;
    studio.take(&a).await;
    let file = server.folder.path("pgm.flv");
    let mut recorder = record(&studio.flv(), &file);
    grows(&file);
    let playlist = wait_for("the playlist", Duration::from_secs(10), || {
        let hls = server.folder.path("data/hls");
        let stream = std::fs::read_dir(hls).ok()?.next()?.ok()?.path();
        Some(stream.join("index.m3u8")).filter(|path| path.exists())
    });
    server.process.signal("TERM");
    let status = server.process.wait(Duration::from_secs(5));
    assert!(status.success(), "{status}");
    // The player saw the end of the stream, not a hang.
    assert!(recorder.wait(Duration::from_secs(5)).success());
    let text = std::fs::read_to_string(playlist).unwrap();
    assert!(text.trim_end().ends_with("#EXT-X-ENDLIST"), "{text}");
}
