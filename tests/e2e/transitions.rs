//! Transitions, fades and what both scenes share, in the frames of an offline render.

use std::fmt::Write as _;

use onair::frame::{Picture, Size};
use onair::media::pattern::{Area, read_frame_number};

use crate::support::{Folder, pictures, run_ffmpeg};

/// Frames of every transition, and from the beginning of one to that of the next.
const FRAMES: usize = 5;
const SPACING: usize = 9;
/// How far the encoder may put a flat area off, code values.
const CODING: f32 = 5.0;
/// The corner in which both scenes show the same numbered pattern.
const CORNER: Area = Area { x_px: 320, y_px: 180, size: Size::new(320, 180) };

/// Where a picture is looked at: middles of blocks of 16 pixels, outside the corner.
fn places() -> impl Iterator<Item = (u32, u32)> {
    let all = (0..40).flat_map(|x| (0..22).map(move |y| (x * 16, y * 16)));
    all.filter(|(x, y)| *x + 16 <= CORNER.x_px || *y + 16 <= CORNER.y_px)
}

/// Whether the corner of a scene that moves never comes to this place: it stays in the lower or in the right half.
fn is_free(kind: &str, (x, y): (u32, u32)) -> bool {
    let moves = kind.starts_with("slide") || kind.starts_with("push");
    let is_upright = kind.ends_with("\"up") || kind.ends_with("\"down");
    !moves || if is_upright { x + 16 <= CORNER.x_px } else { y + 16 <= CORNER.y_px }
}

/// Mean luma of the middle of a block.
fn luma(picture: &Picture, (x, y): (u32, u32)) -> f32 {
    let plane = &picture.planes()[0];
    let at = |row: u32| (row as usize) * plane.stride_bytes + x as usize + 4;
    let rows = (y + 4..y + 12).map(|row| &plane.data[at(row)..at(row) + 8]);
    rows.flatten().map(|&value| f32::from(value)).sum::<f32>() / 64.0
}

/// A look at a frame: the luma of every place, and the number in the corner.
struct Seen {
    lumas: Vec<f32>,
    number: Option<u64>,
}

impl Seen {
    fn mean(&self) -> f32 {
        self.lumas.iter().sum::<f32>() / self.lumas.len() as f32
    }

    /// Whether every place has this luma.
    fn is_flat(&self, luma: f32) -> bool {
        self.lumas.iter().all(|seen| (seen - luma).abs() < CODING)
    }
}

/// Renders PGM going back and forth between a dark and a light scene: at frame 1 + k · SPACING the transition of line k
/// begins. The first goes to light.
fn render(folder: &Folder, lines: &[String]) -> Vec<Seen> {
    for (name, color) in [("dark", "0x303030"), ("light", "0xd0d0d0")] {
        let path = folder.path(&format!("{name}.png"));
        let source = format!("color=c={color}:size=640x360");
        run_ffmpeg(&format!("-f lavfi -i {source} -frames:v 1 {}", path.display()));
    }
    let seconds = (1 + lines.len() * SPACING) as f64 / 30.0;
    let mut script = format!("template = \"lp_ld\"\nseconds = {seconds:.9}\n");
    script += "[encode]\npreset = \"ultrafast\"\nbitrate_bps = 20000000\n";
    for (location, source) in [
        ("RV01", "image = \"dark.png\""),
        ("RV02", "image = \"light.png\""),
        ("RV03", "pattern = \"pattern:320x180@30\""),
    ] {
        write!(script, "[[source]]\nlocation = \"{location}\"\n{source}\n").unwrap();
    }
    for (name, source) in [("dark", "RV01"), ("light", "RV02")] {
        write!(script, "[[layout]]\nname = \"{name}\"\n").unwrap();
        for (source, place) in [
            (source, "width = 1.0, height = 1.0"),
            ("RV03", "x = 0.5, y = 0.5, width = 0.5, height = 0.5"),
        ] {
            let layer = format!("source = \"{source}\"\nplace = {{ {place} }}");
            write!(script, "[[layout.layer]]\n{layer}\n").unwrap();
        }
    }
    script += "[[command]]\nat = 0.0\nlayout = \"dark\"\n";
    for (k, line) in lines.iter().enumerate() {
        let (at, layout) = ((1 + k * SPACING) as f64 / 30.0, ["light", "dark"][k % 2]);
        write!(script, "[[command]]\nat = {at:.9}\nlayout = \"{layout}\"\n{line}\n").unwrap();
    }
    let (path, output) = (folder.path("show.toml"), folder.path("show.mp4"));
    std::fs::write(&path, script).unwrap();
    let done = crate::render::render(&path, &output);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut seen = Vec::new();
    pictures(&output, |_, picture| {
        let lumas = places().map(|place| luma(picture, place)).collect();
        seen.push(Seen { lumas, number: read_frame_number(picture, CORNER) });
    });
    assert_eq!(seen.len(), 1 + lines.len() * SPACING);
    seen
}

#[test]
fn every_transition_is_even_and_exact_at_both_ends() {
    let mut kinds = vec!["mix".to_owned(), "dip".to_owned()];
    let all = ["left", "right", "up", "down", "upLeft", "upRight", "downLeft", "downRight"];
    for (kind, directions) in [
        ("wipe", &all[..]),
        ("slide", &["left", "down", "upRight"]),
        ("push", &["right", "up", "left"]),
    ] {
        kinds.extend(directions.iter().map(|d| format!("{kind}\"\ndirection = \"{d}")));
    }
    let lines: Vec<_> =
        kinds.iter().map(|kind| format!("frames = {FRAMES}\ntransition = \"{kind}\"")).collect();
    let seen = render(&Folder::new(), &lines);
    let (dark, light) = (seen[0].mean(), seen[SPACING].mean());
    assert!(light - dark > 100.0 && seen[0].is_flat(dark), "{dark} {light}");
    for (k, kind) in kinds.iter().enumerate() {
        let begin = 1 + k * SPACING;
        let (old, new) = if k % 2 == 0 { (dark, light) } else { (light, dark) };
        let frames = &seen[begin - 1..begin + SPACING];
        assert!(frames[0].is_flat(old), "{kind}: the frame before is the old scene");
        // Two wipes begin or end in the corner, where nothing is looked at.
        let (first, last) = (&frames[1], &frames[FRAMES]);
        let (begins, ends) = (kind.ends_with("\"upLeft"), kind.ends_with("\"downRight"));
        assert!(begins || !first.is_flat(old), "{kind}: the first frame is under way");
        assert!(ends || !last.is_flat(new), "{kind}: the last frame still is");
        let after = &frames[FRAMES + 1..];
        assert!(after.iter().all(|frame| frame.is_flat(new)), "{kind}: the new scene after it");
        check_places(kind, frames, (old, new));
        check_means(kind, frames, (old, new));
        check_numbers(kind, &seen, begin);
    }
}

/// Every place goes from the old luma to the new one and never back; in a dip by way of black.
fn check_places(kind: &str, frames: &[Seen], (old, new): (f32, f32)) {
    const BLACK: f32 = 16.0;
    let lumas = |place: usize| frames.iter().map(move |frame| frame.lumas[place]);
    for (place, at) in places().enumerate().filter(|(_, at)| is_free(kind, *at)) {
        // 0 is the old scene, 1 the new one.
        let progress: Vec<f32> = match kind {
            "dip" => {
                let half = FRAMES / 2 + 1;
                let way = |(k, luma): (usize, f32)| match k <= half {
                    true => (luma - old) / (BLACK - old) / 2.0,
                    false => 0.5 + (luma - BLACK) / (new - BLACK) / 2.0,
                };
                lumas(place).enumerate().map(way).collect()
            }
            _ => lumas(place).map(|luma| (luma - old) / (new - old)).collect(),
        };
        // A dip of the dark scene has little way to go.
        let slack = if kind == "dip" { CODING / 40.0 } else { CODING / 100.0 };
        let is_even = progress.windows(2).all(|pair| pair[1] >= pair[0] - slack);
        let inside = progress.iter().all(|p| (-slack..=1.0 + slack).contains(p));
        assert!(is_even && inside, "{kind}: {at:?} goes {progress:?}");
    }
}

/// Where the new scene comes in at an even pace, it has as much of the canvas as it should.
fn check_means(kind: &str, frames: &[Seen], (old, new): (f32, f32)) {
    for (step, frame) in frames[1..=FRAMES].iter().enumerate() {
        let progress = (step + 1) as f32 / (FRAMES + 1) as f32;
        let expected = old + (new - old) * progress;
        assert_eq!(frame.is_flat(expected), kind == "mix", "{kind}: frame {step}");
        let straight = ["left", "right", "up", "down"];
        if straight.iter().any(|direction| kind.ends_with(&format!("\"{direction}"))) {
            let upright = kind.ends_with("\"up") || kind.ends_with("\"down");
            let half = places().zip(&frame.lumas).filter(|((x, y), _)| match upright {
                true => x + 16 <= CORNER.x_px,
                false => y + 16 <= CORNER.y_px,
            });
            let lumas: Vec<f32> = half.map(|(_, luma)| *luma).collect();
            let mean = lumas.iter().sum::<f32>() / lumas.len() as f32;
            // A block is up to a twenty-second of a side.
            let off = (mean - expected).abs() / (new - old).abs();
            assert!(off < 0.05, "{kind}: frame {step} is {mean} instead of {expected}");
        }
        if kind == "dip" {
            // Half way it is black; before and after equally far from it.
            let from = if progress < 0.5 { old } else { new };
            let expected = 16.0 + (from - 16.0) * (2.0 * progress - 1.0).abs();
            assert!(frame.is_flat(expected), "dip: frame {step} is {}", frame.mean());
        }
    }
}

/// What both scenes show at the same place goes on by one with every frame, as far as it stands still and is not covered.
fn check_numbers(kind: &str, seen: &[Seen], begin: usize) {
    let stands = kind == "mix" || kind.starts_with("wipe");
    for (n, frame) in seen.iter().enumerate().skip(begin - 1).take(SPACING) {
        let under_way = (begin..begin + FRAMES).contains(&n);
        if stands || !under_way {
            assert_eq!(frame.number, Some(n as u64), "{kind}: frame {n}");
        }
    }
}

#[test]
fn components_fade_over_a_cut() {
    let folder = Folder::new();
    let box_png = folder.path("box.png");
    run_ffmpeg(&format!(
        "-f lavfi -i color=c=white:size=320x180 -frames:v 1 {}",
        box_png.display()
    ));
    let script = r#"
template = "lp_ld"
seconds = 1.0
[encode]
preset = "ultrafast"
bitrate_bps = 20000000
[[source]]
location = "RV01"
pattern = "pattern:640x360@30"
[[layout]]
name = "empty"
[[component]]
name = "box"
image = "box.png"
place = { height = 0.5 }
[[command]]
at = 0.0
layout = "empty"
[[command]]
at = 0.166667
layout = "empty"
components = ["box"]
component_fade_frames = 4
[[command]]
at = 0.5
layout = "empty"
component_fade_frames = 3
"#;
    let path = folder.path("show.toml");
    std::fs::write(&path, script).unwrap();
    let output = folder.path("show.mp4");
    let done = crate::render::render(&path, &output);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut lumas = Vec::new();
    pictures(&output, |_, picture| lumas.push(luma(picture, (160, 80))));
    let opacity = |n: usize| match n {
        0..5 => 0.0,
        5..9 => (n - 4) as f32 / 5.0,
        9..15 => 1.0,
        15..18 => 1.0 - (n - 14) as f32 / 4.0,
        _ => 0.0,
    };
    assert_eq!(lumas.len(), 30);
    for (n, luma) in lumas.into_iter().enumerate() {
        let expected = 16.0 + (235.0 - 16.0) * opacity(n);
        assert!((luma - expected).abs() < CODING, "frame {n}: {luma} instead of {expected}");
    }
}
