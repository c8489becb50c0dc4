//! What goes wrong with the sources themselves, by real pushers: PGM misses nothing, the other source goes on without a trace,
//! and each source is back by itself.

use std::path::Path;
use std::time::Duration;

use onair::media::pattern::{Area, read_frame_number};

use crate::support::{
    CANVAS, From, Server, Studio, free_port, pictures, record, run_ffmpeg, spawn_ffmpeg, ticks,
    wait_for,
};

const CLIP: &str =
    "-f lavfi -i testsrc2=size=160x90:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000";
const H264: &str =
    "-c:v libx264 -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p -c:a aac";
/// Pictures that a source has sent long after its fault, which is 3 to 5 s after its start.
const LONG_AFTER: u64 = 9 * 30;

/// Names of faults, and what a pusher that has them is told after its input. Wraps come 3 s after the start.
const FAULTS: [(&str, &str); 4] = [
    ("timestamps wrap at 24 bits", "-output_ts_offset 16774.2"),
    ("timestamps wrap at 32 bits", "-output_ts_offset 4294964.2"),
    (
        "timestamps jump by an hour",
        "-vf setpts=PTS+gte(T\\,3)*3600/TB -af asetpts=PTS+gte(T\\,3)*3600/TB -vsync passthrough",
    ),
    ("garbage for two seconds", "-bsf:v noise=amount=between(n\\,90\\,150)*20"),
];

/// Two sizes one after the other, in one stream.
fn two_sizes(folder: &Path) -> String {
    let parts = ["160x90", "320x180"].map(|size| {
        let part = folder.join(format!("{size}.ts"));
        run_ffmpeg(&format!(
            "-f lavfi -i testsrc2=size={size}:rate=30 -t {} {H264} -f mpegts {}",
            if size == "160x90" { 4 } else { 30 },
            part.display()
        ));
        part.display().to_string()
    });
    format!("-re -i concat:{} -c copy", parts.join("|"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_a_source_stays_its_own() {
    let server = Server::start();
    let mut sources = vec![("nothing", From::Vod("pattern:640x360@30"))];
    let mut pushers = Vec::new();
    for (index, (name, args)) in FAULTS.iter().enumerate() {
        let to = format!("rtmp://{}/live/cam{index}", server.rtmp);
        pushers.push(spawn_ffmpeg(&format!("-re {CLIP} {H264} {args} -f flv {to}")));
        sources.push((name, From::Live(to)));
    }
    let srt = format!("srt://127.0.0.1:{}", free_port());
    pushers.push(spawn_ffmpeg(&format!(
        "-re {CLIP} {H264} -output_ts_offset 95440 -f mpegts {srt}?mode=listener"
    )));
    sources.push(("timestamps wrap at 33 bits", From::Live(srt)));
    let to = format!("rtmp://{}/live/sizes", server.rtmp);
    let folder = server.folder.path("");
    pushers.push(spawn_ffmpeg(&format!("{} -f flv {to}", two_sizes(&folder))));
    sources.push(("another size", From::Live(to)));
    let (names, sources): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
    let mut studio = Studio::start(&server, &sources).await;
    let place = |index: usize| match index {
        0 => [0.5, 0.5, 0.5, 0.5],
        _ => [0.25 * ((index - 1) % 2) as f32, 0.25 * ((index - 1) / 2) as f32, 0.25, 0.25],
    };
    let locations: Vec<_> = (1..=names.len()).map(|n| format!("RV{n:02}")).collect();
    let boxes: Vec<_> =
        locations.iter().enumerate().map(|(i, location)| (location.as_str(), place(i))).collect();
    let layout = studio.layout(&boxes).await;
    let taken = studio.take(&layout).await;
    let file = server.folder.path("pgm.flv");
    let mut recorder = record(&studio.flv(), &file);
    wait_for("the recording to grow", Duration::from_secs(10), || {
        std::fs::metadata(&file).ok().filter(|file| file.len() > 1000)
    });
    for (location, name) in locations.iter().zip(&names).skip(1) {
        let input = studio
            .input_until(location, "on long after its fault", |input| {
                input.frames > LONG_AFTER && input.state().as_str_name().ends_with("LIVE")
            })
            .await;
        println!("{name}: {input:?}");
        assert_eq!(input.reconnects, 0, "{name}: {input:?}");
        assert!(input.faults.is_empty(), "{name}: {input:?}");
    }
    recorder.signal("INT");
    recorder.wait(Duration::from_secs(10));
    check_air(&file, taken);
    let state = studio.state().await;
    assert_eq!(state.outputs[0].frames_dropped, 0, "{state:?}");
}

/// Every tick is there, and the pattern in its corner goes on one frame a tick.
fn check_air(file: &Path, taken: u64) {
    let corner = Area { x_px: 320, y_px: 180, size: onair::frame::Size::new(320, 180) };
    assert_eq!((CANVAS.width_px, CANVAS.height_px), (640, 360), "the corner is a quarter");
    let ticks = ticks(file);
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "PGM missed a frame");
    let (mut offset, mut seen) = (None, 0);
    pictures(file, |index, picture| {
        if ticks[index] < taken {
            return;
        }
        let number = read_frame_number(picture, corner).expect("the pattern is always there");
        let now = ticks[index] as i64 - number as i64;
        assert_eq!(*offset.get_or_insert(now), now, "tick {}", ticks[index]);
        seen += 1;
    });
    assert!(seen > 5 * 30, "only {seen} pictures were looked at");
}
