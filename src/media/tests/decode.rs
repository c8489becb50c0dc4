//! Real media, made by the ffmpeg command line: whatever a source is laid out like, it is seen as it is meant.

use std::path::PathBuf;

use super::*;
use crate::color::code_of;
use crate::frame::{ChromaSite, Color, Matrix, Picture, PixelFormat, Range};
use crate::media::encode::testing::{Dir, tool_output};
use crate::media::file::{Excerpt, FilePlayer, Plays};
use crate::media::reader::{Next, Room};
use crate::media::scale::Prescaler;
use crate::shot::{Shot, Turn};
use crate::worker::StopToken;

const RED: u32 = 0xff_0000;
const GREEN: u32 = 0x00_ff00;
const BLUE: u32 = 0x00_00ff;
const WHITE: u32 = 0xff_ffff;
/// Top left, top right, bottom left, bottom right.
const UPRIGHT: [u32; 4] = [RED, GREEN, BLUE, WHITE];

/// 25 pictures a second of four quarters in RGB.
const QUARTERS: &str = "color=red:s=320x240:r=25,format=rgb24,drawbox=160:0:160:120:lime:fill,\
    drawbox=0:120:160:120:blue:fill,drawbox=160:120:160:120:white:fill";

fn ffmpeg(dir: &Dir, name: &str, (source, args): (&str, &str)) -> PathBuf {
    let path = dir.0.join(name);
    let mut all = vec!["-f", "lavfi", "-i", source];
    all.extend(args.split_whitespace());
    let path_text = path.display().to_string();
    all.push(&path_text);
    tool_output("ffmpeg", &all);
    path
}

/// Every picture of a file.
fn play(path: &std::path::Path) -> Vec<VideoFrame> {
    let url = format!("file:{}", path.display());
    let whole = Excerpt { plays: Plays::Times(1), seek_ms: None, begin_ms: 0, end_ms: None };
    let mut player =
        FilePlayer::open(url, vec![], (whole, &Decoder::Software), &StopToken::new()).unwrap();
    let mut frames = vec![];
    loop {
        match player.next(Room { video: true, audio: true }).unwrap() {
            Next::Video(frame, _) => frames.push(frame),
            Next::End => return frames,
            _ => {}
        }
    }
}

/// The picture as a layer of this size shows it.
fn shown(frame: &VideoFrame, size: Size) -> Arc<Picture> {
    let shot = Shot::from(size);
    let mut frame = frame.clone();
    Prescaler::default().fill(&mut frame, &[shot]);
    Arc::clone(frame.ready(shot).unwrap())
}

/// Y, U and V at a fraction of width and height.
fn codes(picture: &Picture, [x, y]: [f64; 2]) -> [u8; 3] {
    let Size { width_px, height_px } = picture.size();
    let at = |side: u32, part: f64| (f64::from(side) * part) as usize / 2;
    let (x, y) = (at(width_px, x), at(height_px, y));
    let planes = picture.planes();
    let luma = planes[0].data[2 * y * planes[0].stride_bytes + 2 * x];
    let chroma = match planes {
        [_, uv] => [0, 1].map(|lane| uv.data[y * uv.stride_bytes + 2 * x + lane]),
        [_, u, v] => [u, v].map(|plane| plane.data[y * plane.stride_bytes + x]),
        _ => panic!("{:?}", picture.format()),
    };
    [luma, chroma[0], chroma[1]]
}

/// The quarters' colours are the canvas' codes for these, but for two.
#[track_caller]
fn check_quarters(picture: &Picture, want: [u32; 4], case: &str) {
    let middles = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];
    for (middle, rgb) in middles.into_iter().zip(want) {
        let (got, want) = (codes(picture, middle), code_of(rgb));
        let near = got.iter().zip(want).all(|(&got, want)| got.abs_diff(want) <= 2);
        assert!(near, "{case}: {got:?} at {middle:?}, not {want:?}");
    }
}

/// ffmpeg's filter and tags for a colour.
fn colour_args(matrix: &str, range: &str, pixels: &str) -> String {
    let tag = match matrix {
        "bt601" => "smpte170m",
        "bt2020" => "bt2020nc",
        other => other,
    };
    format!(
        "-vf scale=out_color_matrix={matrix}:out_range={range}:flags=accurate_rnd+full_chroma_inp,format={pixels} \
         -colorspace {tag} -color_range {range}"
    )
}

#[test]
fn every_pixel_format_is_shown_in_its_colours() {
    use PixelFormat::{I420, I420P10, I422, I422P10, I444, I444P10, Nv12};
    let dir = Dir::new();
    let tv = |pixels: &str| colour_args("bt709", "tv", pixels);
    let sd = |range: &str, pixels: &str| colour_args("bt601", range, pixels);
    let ffv1 = |pixels: &str| format!("{} -c:v ffv1", tv(pixels));
    for (name, args, format, site) in [
        ("a.mkv", ffv1("yuv420p"), I420, ChromaSite::Left),
        ("b.mkv", ffv1("yuv422p"), I422, ChromaSite::Left),
        ("c.mkv", ffv1("yuv444p"), I444, ChromaSite::Left),
        ("d.mkv", ffv1("yuv420p10le"), I420P10, ChromaSite::Left),
        ("e.mkv", ffv1("yuv422p10le"), I422P10, ChromaSite::Left),
        ("f.mkv", ffv1("yuv444p10le"), I444P10, ChromaSite::Left),
        // What is converted on the way: to what loses least.
        ("g.mkv", ffv1("yuv411p"), I422, ChromaSite::Left),
        ("h.mkv", ffv1("yuva420p"), I420, ChromaSite::Left),
        ("i.mkv", ffv1("yuv420p12le"), I420P10, ChromaSite::Left),
        ("j.mkv", ffv1("bgr0"), I444, ChromaSite::Left),
        ("k.mkv", ffv1("yuv440p10le"), I444P10, ChromaSite::Left),
        ("l.mov", "-c:v qtrle".to_owned(), I444, ChromaSite::Left),
        ("m.gif", String::new(), I444, ChromaSite::Left),
        // Untagged and less than 720 lines: BT.601.
        ("n.avi", format!("{} -c:v rawvideo", sd("tv", "nv12")), Nv12, ChromaSite::Left),
        ("o.mp4", format!("{} -c:v libx264 -qp 1", tv("yuv420p10le")), I420P10, ChromaSite::Left),
        // What codecs say of their chroma.
        ("p.avi", format!("{} -c:v mjpeg -q:v 1", sd("pc", "yuvj420p")), I420, ChromaSite::Center),
        ("q.avi", format!("{} -c:v mjpeg -q:v 1", sd("pc", "yuvj422p")), I422, ChromaSite::Center),
        (
            "r.mpg",
            format!("{} -c:v mpeg1video -q:v 1", sd("tv", "yuv420p")),
            I420,
            ChromaSite::Center,
        ),
        ("s.ts", format!("{} -c:v mpeg2video -q:v 1", sd("tv", "yuv420p")), I420, ChromaSite::Left),
    ] {
        let path = ffmpeg(&dir, name, (QUARTERS, &format!("-frames:v 2 {args}")));
        let frames = play(&path);
        assert!(!frames.is_empty(), "{name}");
        let case = format!("{name} {args}");
        assert_eq!(frames[0].picture.format(), format, "{case}");
        assert_eq!(frames[0].picture.site(), site, "{case}");
        for size in [Size::new(320, 240), Size::new(160, 90), Size::new(640, 480)] {
            check_quarters(&shown(&frames[0], size), UPRIGHT, &case);
        }
    }
}

#[test]
fn tags_of_colour_are_believed() {
    let dir = Dir::new();
    for (index, (matrix, range, color)) in [
        ("bt601", "tv", Color { matrix: Matrix::Bt601, range: Range::Limited }),
        ("bt601", "pc", Color { matrix: Matrix::Bt601, range: Range::Full }),
        ("bt709", "tv", Color { matrix: Matrix::Bt709, range: Range::Limited }),
        ("bt709", "pc", Color { matrix: Matrix::Bt709, range: Range::Full }),
        ("bt2020", "tv", Color { matrix: Matrix::Bt2020, range: Range::Limited }),
        ("bt2020", "pc", Color { matrix: Matrix::Bt2020, range: Range::Full }),
    ]
    .into_iter()
    .enumerate()
    {
        for pixels in ["yuv420p", "yuv444p10le"] {
            let args = colour_args(matrix, range, pixels);
            let args = format!("-frames:v 2 {args} -c:v libx264 -qp 1");
            let path = ffmpeg(&dir, &format!("{index}{pixels}.mp4"), (QUARTERS, &args));
            let frame = &play(&path)[0];
            assert_eq!(frame.picture.color(), color, "{args}");
            check_quarters(&shown(frame, Size::new(200, 150)), UPRIGHT, &args);
        }
    }
}

#[test]
fn chroma_is_where_the_stream_says() {
    // Blue waves, 16 pixels long.
    let waves =
        "nullsrc=s=320x64:r=25,format=yuv444p,geq=lum=128:cb='128+80*sin(2*PI*X/16)':cr=128";
    let dir = Dir::new();
    for (location, site, position) in [
        ("left", ChromaSite::Left, 0),
        ("center", ChromaSite::Center, 128),
        ("topleft", ChromaSite::TopLeft, 0),
    ] {
        let down = if location == "topleft" { 0 } else { 128 };
        let args = format!(
            "-frames:v 2 -vf scale=out_h_chr_pos={position}:out_v_chr_pos={down}:flags=area,format=yuv420p \
             -colorspace bt709 -color_range tv -c:v libx264 -qp 1 -chroma_sample_location {location}"
        );
        let frame = &play(&ffmpeg(&dir, &format!("{location}.mp4"), (waves, &args)))[0];
        assert_eq!(frame.picture.site(), site);
        let picture = shown(frame, Size::new(320, 64));
        for column in 4..156 {
            // On the canvas it is on the left pixel of its pair.
            let x = f64::from(2 * column);
            let want = 128.0 + 80.0 * (std::f64::consts::TAU * x / 16.0).sin();
            let [_, got, _] = codes(&picture, [x / 320.0, 0.5]);
            let off = (f64::from(got) - want).abs();
            assert!(off <= 9.0, "{location}: {got} at {x}, not {want}");
        }
    }
}

#[test]
fn pictures_are_seen_the_way_up_that_they_are_meant() {
    let dir = Dir::new();
    let args = format!("-frames:v 2 {} -c:v libx264 -qp 1", colour_args("bt709", "tv", "yuv420p"));
    let lying = ffmpeg(&dir, "lying.mp4", (QUARTERS, &args)).display().to_string();
    // This tool counts counter-clockwise.
    for (degrees, turn, corners) in [
        ("0", Turn::NONE, UPRIGHT),
        ("-90", Turn::clockwise(1), [BLUE, RED, WHITE, GREEN]),
        ("180", Turn::clockwise(2), [WHITE, BLUE, GREEN, RED]),
        ("90", Turn::clockwise(3), [GREEN, WHITE, RED, BLUE]),
    ] {
        let path = dir.0.join(format!("{degrees}.mp4"));
        let (rotate, to) = (format!("rotate={degrees}"), path.display().to_string());
        tool_output("ffmpeg", &["-i", &lying, "-c", "copy", "-metadata:s:v", &rotate, &to]);
        let frame = &play(&path)[0];
        assert_eq!(frame.picture.turn(), turn, "{degrees}");
        let size = frame.picture.shown_size();
        let upright = if turn.is_sideways() { Size::new(240, 320) } else { Size::new(320, 240) };
        assert_eq!(size, upright, "{degrees}");
        for size in [size, Size::new(120, 100)] {
            check_quarters(&shown(frame, size), corners, &format!("{degrees}, {size:?}"));
        }
        // A player sees the same.
        let seen = tool_output(
            "ffmpeg",
            &[
                "-i",
                &to,
                "-frames:v",
                "1",
                "-vf",
                "format=gbrp,scale=2:2:flags=area",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-",
            ],
        );
        for (pixel, rgb) in seen.chunks(3).zip(corners) {
            let want = &rgb.to_be_bytes()[1..];
            let near = pixel.iter().zip(want).all(|(a, b)| a.abs_diff(*b) <= 24);
            assert!(near, "{degrees}: a player sees {seen:?}");
        }
    }
}

#[test]
fn pixels_are_as_wide_as_the_stream_says() {
    let dir = Dir::new();
    for (name, aspect, size) in [
        ("a.ts", "16/11", Size::new(465, 240)),
        ("b.mp4", "16/11", Size::new(465, 240)),
        ("c.mkv", "4/3", Size::new(427, 240)),
        ("d.flv", "1/1", Size::new(320, 240)),
        ("e.ts", "1/2", Size::new(320, 480)),
    ] {
        let args = format!("-frames:v 25 -vf setsar={aspect},format=yuv420p -c:v libx264 -qp 20");
        let frame = &play(&ffmpeg(&dir, name, (QUARTERS, &args)))[0];
        assert_eq!(frame.picture.shown_size(), size, "{name} {aspect}");
    }
}

/// Luma of every picture, row by row.
fn lumas(frames: &[VideoFrame]) -> Vec<Vec<Vec<u8>>> {
    let rows = |picture: &Picture| {
        let (plane, size) = (&picture.planes()[0], picture.size());
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        plane.data.chunks(plane.stride_bytes).take(height).map(|r| r[..width].to_vec()).collect()
    };
    frames.iter().map(|frame| rows(&frame.picture)).collect()
}

/// Samples that differ much from those above and below, in the same direction.
fn combs(rows: &[Vec<u8>]) -> usize {
    let combed = |[a, b, c]: [u8; 3]| {
        let (up, down) = (i32::from(b) - i32::from(a), i32::from(b) - i32::from(c));
        up * down > 0 && up.abs().min(down.abs()) > 60
    };
    let triples = rows
        .windows(3)
        .flat_map(|rows| (0..rows[0].len()).map(|x| [rows[0][x], rows[1][x], rows[2][x]]));
    triples.filter(|&samples| combed(samples)).count()
}

/// Where the middle of what is bright lies across.
fn middle(rows: &[Vec<u8>]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for row in rows {
        for (x, &luma) in row.iter().enumerate() {
            let weight = f64::from(u8::from(luma > 125));
            sum += weight * (x as f64 + 0.5);
            weights += weight;
        }
    }
    sum / weights
}

#[test]
fn interlaced_streams_are_made_whole() {
    // A white bar that moves by 6 pixels a field.
    let bar = "nullsrc=s=320x240:r=50,format=gray,geq=lum='if(between(X-6*N,20,60),235,16)'";
    let dir = Dir::new();
    for (name, first, codec) in [
        ("tff.ts", "top", "-c:v mpeg2video -q:v 2 -flags +ildct+ilme -top 1"),
        ("bff.ts", "bottom", "-c:v mpeg2video -q:v 2 -flags +ildct+ilme -top 0"),
        ("tff.mp4", "top", "-c:v libx264 -qp 4 -flags +ildct+ilme -x264-params tff=1"),
        ("bff.mp4", "bottom", "-c:v libx264 -qp 4 -flags +ildct+ilme -x264-params bff=1"),
        (
            "tff.mkv",
            "top",
            "-c:v libx264 -pix_fmt yuv422p10le -qp 4 -flags +ildct+ilme -x264-params tff=1",
        ),
    ] {
        let args = format!(
            "-frames:v 12 -vf tinterlace=interleave_{first},scale=interl=1,format=yuv420p -r 25 {codec}"
        );
        let path = ffmpeg(&dir, name, (bar, &args));
        let frames = play(&path);
        assert_eq!(frames.len(), 12, "{name}");
        for (n, frame) in (0..).zip(&frames) {
            let at = n * 40_000_000;
            assert!((frame.pts_ns - at).abs() < 1_000_000, "{name}: {n} at {}", frame.pts_ns);
        }
        let is_deep = name.ends_with("mkv");
        let pixels = if is_deep { PixelFormat::I422P10 } else { PixelFormat::I420 };
        assert_eq!(frames[0].picture.format(), pixels, "{name}");
        // A player that leaves it as it is sees combs.
        let url = path.display().to_string();
        let raw = tool_output("ffmpeg", &["-i", &url, "-f", "rawvideo", "-pix_fmt", "gray", "-"]);
        let woven: Vec<Vec<u8>> = raw.chunks(320).take(240).map(<[u8]>::to_vec).collect();
        assert!(combs(&woven) > 1000, "{name}: {} combs", combs(&woven));
        let scaled: Vec<VideoFrame> = frames
            .iter()
            .map(|frame| VideoFrame { picture: shown(frame, Size::new(320, 240)), ..frame.clone() })
            .collect();
        for (n, rows) in lumas(&scaled).iter().enumerate() {
            assert!(combs(rows) < 20, "{name}: {n} has {} combs", combs(rows));
            // It is where its first field has it: the second would be 6 pixels on.
            let want = 40.5 + 12.0 * n as f64;
            assert!(
                (middle(rows) - want).abs() < 1.5,
                "{name}: {n} at {}, not {want}",
                middle(rows)
            );
        }
    }
}

#[test]
fn whole_frames_pass_the_deinterlacer_untouched() {
    let make = |size: (u32, u32), interlaced: bool, number: i64| {
        let mut frame = frame::Video::new(ffmpeg_next::format::Pixel::YUV420P, size.0, size.1);
        (0..3).for_each(|plane| frame.data_mut(plane).fill(100));
        frame.set_pts(Some(number * 40_000_000));
        // SAFETY: sets a number of a frame of our own.
        unsafe { (*frame.as_mut_ptr()).interlaced_frame = interlaced.into() };
        frame
    };
    let (large, small) = ((64, 48), (32, 24));
    let stream = [
        (large, false),
        (large, false),
        (large, true),
        (large, true),
        (large, false),
        (large, false),
        (small, false),
        (small, true),
        (large, true),
    ];
    let mut deinterlacer = Deinterlacer::default();
    let mut out = frame::Video::empty();
    let (mut given, mut got, mut kept) = (vec![], vec![], vec![]);
    for (number, (size, interlaced)) in (0..).zip(stream) {
        let mut frame = make(size, interlaced, number);
        given.push((number * 40_000_000, size, frame.data(0).as_ptr()));
        deinterlacer.push(&mut frame);
        while deinterlacer.pull(&mut out) {
            got.push((out.pts().unwrap(), (out.width(), out.height()), out.data(0).as_ptr()));
            // Kept, so that no buffer comes twice.
            kept.push(std::mem::replace(&mut out, frame::Video::empty()));
        }
        let held = usize::from((2..=5).contains(&number) || number >= 7);
        assert_eq!(given.len() - got.len(), held, "after {number}");
    }
    deinterlacer.end();
    while deinterlacer.pull(&mut out) {
        got.push((out.pts().unwrap(), (out.width(), out.height()), out.data(0).as_ptr()));
    }
    assert!(deinterlacer.is_empty());
    for ((given, got), (_, interlaced)) in given.iter().zip(&got).zip(stream) {
        assert_eq!((given.0, given.1), (got.0, got.1));
        assert_eq!(given.2 == got.2, !interlaced, "at {}", given.0);
    }
    assert_eq!(given.len(), got.len());
}
