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
    for name in ["one.mp4", "two.mp4"] {
        let out = folder.path(name);
        let done = render(&script, &out);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(ticks(&out), (0..120).collect::<Vec<_>>());
        assert_eq!(
            probe(out.to_str().unwrap(), "v:0", "codec_name,width,height"),
            ["h264", "640", "360"]
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
    let mut numbers = Vec::new();
    pictures(&folder.path("one.mp4"), |_, picture| {
        let whole = onair::media::pattern::Area::whole(picture);
        numbers.push(onair::media::pattern::read_frame_number(picture, whole));
    });
    // The switch at 2 s is on frame 60, and the pattern has been playing since frame 0.
    let expected: Vec<_> = (0..120).map(|tick| (tick >= 60).then_some(tick)).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_wrong_script_gives_one_clear_line() {
    let folder = Folder::new();
    let script = folder.path("show.toml");
    for (text, names) in [
        ("template = \"lp_ld\"\nseconds = 1\nsize = 3", "size"),
        ("template = \"big\"\nseconds = 1", "big"),
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
