//! Offline rendering: exact and repeatable.

use std::process::Command;

use crate::support::{Folder, pictures, probe, run_ffmpeg, ticks};

pub(crate) fn render(script: &std::path::Path, output: &std::path::Path) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onair"));
    command.arg("render").arg(script).arg("-o").arg(output).output().unwrap()
}

/// Two layouts of a file and a pattern, a title, a switch after two seconds.
const SHOW: &str = r#"
template = "lp_ld"
seconds = 4
[encode]
preset = "ultrafast"
[[source]]
location = "RV01"
file = "clip.mp4"
repeat = -1
[[source]]
location = "RV02"
pattern = "pattern:640x360@30"
[[layout]]
name = "side by side"
[[layout.layer]]
source = "RV01"
place = { width = 0.5, height = 1.0, fill = "fit" }
[[layout.layer]]
source = "RV02"
place = { x = 0.5, width = 0.5, height = 1.0, fill = "fit" }
[[layout.audio]]
source = "RV01"
agc = true
ans = "speech"
[[layout]]
name = "full"
[[layout.layer]]
source = "RV02"
place = { width = 1.0, height = 1.0, fill = "fit" }
[[layout.audio]]
source = "RV02"
[[component]]
name = "title"
text = "rendered"
size = 0.1
place = { x = 0.1, y = 0.8 }
[[command]]
at = 0.0
layout = "side by side"
components = ["title"]
[[command]]
at = 2.0
layout = "full"
"#;

#[test]
fn the_same_script_gives_the_same_frames() {
    let folder = Folder::new();
    run_ffmpeg(&format!(
        "-f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=frequency=300 -t 3 -pix_fmt yuv420p {}",
        folder.path("clip.mp4").display()
    ));
    let script = folder.path("show.toml");
    std::fs::write(&script, SHOW).unwrap();
    let mut hashes = Vec::new();
    for (name, encode, codec, reordered) in [
        ("one.mp4", "", "h264", "0"),
        ("two.mp4", "", "h264", "0"),
        ("reordered.mp4", "b_frames = 3", "h264", "1"),
        ("hevc.mp4", "codec = \"hevc\"", "hevc", "0"),
        ("av1.mp4", "codec = \"av1\"", "av1", "0"),
    ] {
        std::fs::write(&script, SHOW.replace("[encode]", &format!("[encode]\n{encode}"))).unwrap();
        let out = folder.path(name);
        let done = render(&script, &out);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let mut shown = ticks(&out);
        shown.sort_unstable();
        assert_eq!(shown, (0..120).collect::<Vec<_>>());
        assert_eq!(
            probe(out.to_str().unwrap(), "v:0", "codec_name,width,height,has_b_frames"),
            [codec, "640", "360", reordered]
        );
        let md5 = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(&out)
            .args(["-f", "framemd5", "-"])
            .output()
            .unwrap();
        hashes.push(String::from_utf8(md5.stdout).unwrap());
    }
    let [one, two] = [&hashes[0], &hashes[1]];
    let differ = one.lines().zip(two.lines()).find(|(a, b)| a != b);
    assert_eq!(differ, None, "two renders of one script differ");
    assert_eq!(one.lines().count(), two.lines().count());
    let numbers = ["one.mp4", "reordered.mp4", "hevc.mp4", "av1.mp4"].map(|name| {
        let mut numbers = Vec::new();
        pictures(&folder.path(name), |_, picture| {
            let whole = onair::media::pattern::Area::whole(picture);
            numbers.push(onair::media::pattern::read_frame_number(picture, whole));
        });
        numbers
    });
    // The switch at 2 s is on frame 60, and the pattern has been playing since frame 0.
    let expected: Vec<_> = (0..120).map(|tick| (tick >= 60).then_some(tick)).collect();
    assert!(numbers.iter().all(|shown| *shown == expected), "{numbers:?}");
}

#[test]
fn a_wrong_script_gives_one_clear_line() {
    let folder = Folder::new();
    let script = folder.path("show.toml");
    for (text, names) in [
        ("template = \"lp_ld\"\nseconds = 1\nsize = 3", "size"),
        ("template = \"big\"\nseconds = 1", "big"),
        ("template = \"lp_ld\"\nseconds = 1\n[encode]\nb_frames = 5", "b_frames"),
        (
            "template = \"lp_ld\"\nseconds = 1\n[encode]\ncodec = \"av1\"\nb_frames = 1",
            "AV1 has none",
        ),
        ("template = \"lp_ld\"\nseconds = 1\n[[command]]\nat = 0\nlayout = \"x\"", "layout x"),
        (
            "template = \"lp_ld\"\nseconds = 1\n[[source]]\nlocation = \"RV01\"\nfile = \"no.mp4\"\n\
             [[layout]]\nname = \"a\"\n[[layout.layer]]\nsource = \"RV01\"\n[[command]]\nat = 0.0\nlayout = \"a\"",
            "RV01",
        ),
    ] {
        std::fs::write(&script, text).unwrap();
        let done = render(&script, &folder.path("out.mp4"));
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && error.contains(names), "{text}:\n{error}");
    }
}

/// A red picture, one that is blue on its left and white on its right; side by side on green, then alone with a frame.
const LOOKS: &str = r#"
template = "lp_ld"
seconds = 2
[encode]
preset = "ultrafast"
[[source]]
location = "RV01"
image = "red.png"
[[source]]
location = "RV02"
image = "halves.png"
[[layout]]
name = "pair"
preset = "side_by_side"
backdrop = { color = 0x00ff00 }
[[layout.layer]]
source = "RV01"
[[layout.layer]]
source = "RV02"
look = { crop = [0.5, 0, 0, 0] }
[[layout]]
name = "framed"
preset = "single"
backdrop = { color = 0x0000ff, image = "green.png" }
[[layout.layer]]
source = "RV02"
look = { mirror = "horizontal", corner_radius = 0.25, border_width = 0.05, border_color = 0xff0000 }
[[command]]
at = 0
layout = "pair"
[[command]]
at = 1
layout = "framed"
"#;

/// Column, row and the colour that is expected there.
type Point = (usize, usize, [u8; 3]);

#[test]
fn presets_looks_and_backdrops_are_rendered() {
    // BT.709, limited range.
    const RED: [u8; 3] = [63, 102, 240];
    const GREEN: [u8; 3] = [173, 42, 26];
    const BLUE: [u8; 3] = [32, 240, 118];
    const WHITE: [u8; 3] = [235, 128, 128];
    let folder = Folder::new();
    for (name, graph) in [
        ("red.png", "color=red:s=640x360"),
        ("green.png", "color=0x00ff00:s=64x64"),
        ("halves.png", "color=blue:s=640x360,drawbox=x=320:w=320:color=white:t=fill"),
    ] {
        let to = folder.path(name);
        run_ffmpeg(&format!("-f lavfi -i {graph},format=rgb24 -frames:v 1 {}", to.display()));
    }
    let (script, out) = (folder.path("show.toml"), folder.path("out.mp4"));
    std::fs::write(&script, LOOKS).unwrap();
    let done = render(&script, &out);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let points: [(usize, &[Point]); 2] = [
        (15, &[(160, 180, RED), (160, 40, GREEN), (480, 40, WHITE), (330, 350, WHITE)]),
        (
            45,
            &[
                (4, 4, GREEN),
                (636, 356, GREEN),
                (320, 6, RED),
                (6, 180, RED),
                (160, 180, WHITE),
                (480, 180, BLUE),
            ],
        ),
    ];
    let mut looked_at = 0;
    pictures(&out, |index, picture| {
        let Some((_, points)) = points.iter().find(|(at, _)| *at == index) else { return };
        for &(x, y, expected) in *points {
            let sample = |plane: usize, x: usize, y: usize| {
                let plane = &picture.planes()[plane];
                plane.data[y * plane.stride_bytes + x]
            };
            let is = [sample(0, x, y), sample(1, x / 2, y / 2), sample(2, x / 2, y / 2)];
            let far = is.iter().zip(expected).any(|(&is, expected)| is.abs_diff(expected) > 10);
            assert!(!far, "frame {index} at {x}, {y}: {is:?} instead of {expected:?}");
            looked_at += 1;
        }
    });
    assert_eq!(looked_at, 10);
}
