//! Golden pictures: whole scenes, composed and drawn, against PNGs kept in `tests/golden/`.
//!
//! A golden that is missing is written, and the test fails saying so: look at it, then commit it. What differs is
//! written beside the build's temporary files.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use onair::frame::{Color, Picture, PixelFormat, Plane, Scaled, Size, VideoFrame};
use onair::gpu::{AdapterChoice, Compositor, Gpu};
use onair::ids::InputKey;
use onair::picture::{
    Blend, Direction, DrawList, DrawOp, FillMode, LayerSpec, Look, Over, OverlayContent,
    OverlaySpec, Placement, PositionRefer, Rect, RgbaImage, ScenePicture, TextSpec, Veil, compose,
};

#[path = "golden/looks.rs"]
mod looks;

const CANVAS: Size = Size::new(640, 360);
const WIDE: InputKey = InputKey(1);
const TALL: InputKey = InputKey(2);

/// Smallest peak signal-to-noise ratio to the golden, dB.
const GOLDEN_DB: f64 = 45.0;

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Gpu::open(&AdapterChoice::default()).unwrap()))
}

type Rgb = [u8; 3];

/// A picture (I420, canvas colour) of what `rgb` says of each pixel.
fn picture(size: Size, rgb: impl Fn(u32, u32) -> Rgb) -> Arc<Picture> {
    let code = |[r, g, b]: Rgb| {
        let [r, g, b] = [r, g, b].map(|c| f64::from(c) / 255.0);
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        let (u, v) = ((b - y) / 1.8556, (r - y) / 1.5748);
        [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v].map(|c| c.round() as u8)
    };
    let plane = |channel: usize, step: u32| {
        let rows = (0..size.height_px).step_by(step as usize);
        let samples =
            rows.flat_map(|y| (0..size.width_px).step_by(step as usize).map(move |x| (x, y)));
        Plane {
            data: Bytes::from_iter(samples.map(|(x, y)| code(rgb(x, y))[channel])),
            stride_bytes: (size.width_px / step) as usize,
        }
    };
    let planes = vec![plane(0, 1), plane(1, 2), plane(2, 2)];
    Arc::new(Picture::new(PixelFormat::I420, size, Color::CANVAS, planes).unwrap())
}

/// Eight bars, white to black, with a white corner at the top left and a ramp at the bottom.
fn bars() -> Arc<Picture> {
    const BARS: [Rgb; 8] = [
        [191, 191, 191],
        [191, 191, 0],
        [0, 191, 191],
        [0, 191, 0],
        [191, 0, 191],
        [191, 0, 0],
        [0, 0, 191],
        [0, 0, 0],
    ];
    picture(Size::new(320, 180), |x, y| match (x, y) {
        _ if x + y < 40 => [255, 255, 255],
        (_, 150..) => [(x * 255 / 319) as u8; 3],
        _ => BARS[(x / 40) as usize],
    })
}

/// A 4:3 picture: orange to blue from left to right, darker downwards, a black frame.
fn sunset() -> Arc<Picture> {
    picture(Size::new(240, 180), |x, y| {
        if x < 6 || y < 6 || x >= 234 || y >= 174 {
            return [0, 0, 0];
        }
        let shade =
            |from: u32, to: u32| ((from * (240 - x) + to * x) / 240 * (260 - y) / 260) as u8;
        [shade(255, 30), shade(150, 60), shade(20, 230)]
    })
}

fn frames() -> Vec<(InputKey, VideoFrame)> {
    static PICTURES: OnceLock<Vec<(InputKey, Arc<Picture>)>> = OnceLock::new();
    let pictures = PICTURES.get_or_init(|| {
        [(WIDE, bars()), (TALL, sunset())].into_iter().chain(looks::pictures()).collect()
    });
    let frame = |picture: &Arc<Picture>| VideoFrame {
        pts_ns: 0,
        picture: Arc::clone(picture),
        scaled: Vec::new(),
    };
    pictures.iter().map(|(key, picture)| (*key, frame(picture))).collect()
}

fn draw(list: &DrawList, frames: &[(InputKey, VideoFrame)]) -> Arc<Picture> {
    let mut compositor = Compositor::new(gpu(), list.canvas).unwrap();
    compositor.draw(0, list, frames).unwrap();
    compositor.finish().unwrap().pop().unwrap().picture
}

/// The canvas as R, G, B bytes.
fn to_rgb(picture: &Picture) -> Vec<u8> {
    let size = picture.size();
    let byte = |plane: usize, x: u32, y: u32| {
        let plane = &picture.planes()[plane];
        f64::from(plane.data[y as usize * plane.stride_bytes + x as usize])
    };
    let pixel = |x: u32, y: u32| {
        let luma = (byte(0, x, y) - 16.0) / 219.0;
        let [u, v] = [0, 1].map(|c| (byte(1, x / 2 * 2 + c, y / 2) - 128.0) / 224.0);
        let (r, b) = (luma + 1.5748 * v, luma + 1.8556 * u);
        let g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152;
        [r, g, b].map(|c| (c * 255.0).round().clamp(0.0, 255.0) as u8)
    };
    (0..size.height_px).flat_map(|y| (0..size.width_px).flat_map(move |x| pixel(x, y))).collect()
}

/// Peak signal-to-noise ratio of two equally long runs of samples, dB.
fn psnr_db(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let mean = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

fn save(path: &Path, size: Size, rgb: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive)
        .write_image(rgb, size.width_px, size.height_px, ExtendedColorType::Rgb8)
        .unwrap();
}

#[path = "golden/overlays.rs"]
mod overlays;

#[track_caller]
fn check(name: &str, scene: &ScenePicture) {
    check_at(name, scene, 0);
}

/// A scene at a time, ns since tick 0.
#[track_caller]
fn check_at(name: &str, scene: &ScenePicture, now_ns: u64) {
    check_list(name, &listed(scene, now_ns));
}

fn listed(scene: &ScenePicture, now_ns: u64) -> DrawList {
    let frames = frames();
    let sizes = |input| frames.iter().find(|f| f.0 == input).map(|f| f.1.picture.shown_size());
    compose(scene, &sizes, CANVAS, now_ns)
}

#[track_caller]
fn check_list(name: &str, list: &DrawList) {
    let rgb = to_rgb(&draw(list, &frames()));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.png"));
    if !golden.exists() {
        save(&golden, CANVAS, &rgb);
        panic!("{} was missing and has been written; look at it", golden.display());
    }
    let want = image::open(&golden).unwrap().into_rgb8().into_raw();
    let db = psnr_db(&rgb, &want);
    if db < GOLDEN_DB {
        let got = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        save(&got, CANVAS, &rgb);
        panic!("{name}: {db:.1} dB to the golden; what was drawn is in {}", got.display());
    }
}

fn at(x: f32, y: f32, width: f32, height: f32) -> Placement {
    Placement { x, y, width, height, ..Placement::default() }
}

fn layer(input: InputKey, placement: Placement) -> LayerSpec {
    LayerSpec { input, placement, delay_ms: 0, look: Look::default() }
}

fn overlay(content: OverlayContent, placement: Placement) -> OverlaySpec {
    OverlaySpec::new(Arc::new(content), placement)
}

/// A disc that fades to its rim, red above and blue below.
fn logo() -> OverlayContent {
    let size = Size::new(120, 120);
    let pixel = |i: u32| {
        let (x, y) = ((i % 120) as f32 - 59.5, (i / 120) as f32 - 59.5);
        let alpha = (60.0 - x.hypot(y)).clamp(0.0, 30.0) * 8.5;
        if y < 0.0 { [230, 30, 30, alpha as u8] } else { [30, 60, 230, alpha as u8] }
    };
    let pixels = (0..size.width_px * size.height_px).flat_map(pixel).collect();
    OverlayContent::Image(Arc::new(RgbaImage { size, pixels }))
}

fn title(text: &str, font_name: &str, border: f32) -> OverlayContent {
    OverlayContent::Text(TextSpec {
        text: text.into(),
        font_name: font_name.into(),
        color_rgb: 0xff_e0_40,
        size_normalized: 0.09,
        border_width_normalized: border,
        border_rgb: Some(0x10_10_60),
        ..TextSpec::default()
    })
}

#[test]
fn side_by_side_with_pip_logo_and_title() {
    let fit = |p| Placement { fill: FillMode::Fit, ..p };
    check(
        "side_by_side",
        &ScenePicture {
            layers: vec![
                layer(WIDE, fit(at(0.0, 0.0, 0.5, 1.0))),
                layer(TALL, fit(at(0.5, 0.0, 0.5, 1.0))),
                layer(
                    WIDE,
                    Placement { refer: PositionRefer::BottomRight, ..at(0.03, 0.05, 0.2, 0.0) },
                ),
            ],
            overlays: vec![
                overlay(
                    logo(),
                    Placement { refer: PositionRefer::TopRight, ..at(0.02, 0.03, 0.0, 0.25) },
                ),
                overlay(
                    title("Evening news\n晚间新闻 Ågjy", "KaiTi", 0.08),
                    at(0.04, 0.66, 0.0, 0.0),
                ),
            ],
            ..ScenePicture::default()
        },
    );
}

#[test]
fn fit_letterbox_over_a_background() {
    let mut faint = overlay(title("faint", "AlibabaPuHuiTi-Bold", 0.0), at(0.0, 0.4, 0.0, 0.0));
    faint.opacity = 128;
    let mut behind = overlay(logo(), at(0.0, 0.0, 0.0, 1.0));
    behind.background = true;
    let placement = Placement { fill: FillMode::Fit, ..at(0.0, 0.0, 1.0, 1.0) };
    check(
        "letterbox",
        &ScenePicture {
            layers: vec![layer(TALL, placement)],
            overlays: vec![behind, faint],
            ..ScenePicture::default()
        },
    );
}

#[test]
fn nine_origins() {
    use PositionRefer as R;
    let origins = [
        R::TopLeft,
        R::TopCenter,
        R::TopRight,
        R::LeftCenter,
        R::Center,
        R::RightCenter,
        R::BottomLeft,
        R::BottomCenter,
        R::BottomRight,
    ];
    let placed = |refer| Placement { refer, ..at(0.02, 0.04, 0.2, 0.0) };
    let names = ["TL", "TC", "TR", "LC", "C", "RC", "BL", "BC", "BR"];
    check(
        "nine_origins",
        &ScenePicture {
            layers: origins.map(|refer| layer(WIDE, placed(refer))).to_vec(),
            overlays: origins
                .iter()
                .zip(names)
                .map(|(&refer, name)| {
                    let p = Placement { refer, ..at(0.02, 0.04, 0.0, 0.0) };
                    overlay(title(name, "NotoSansHans-Bold", 0.1), p)
                })
                .collect(),
            ..ScenePicture::default()
        },
    );
}

#[test]
fn blends_and_veils() {
    let progress = 0.4;
    let half = |input, x| layer(input, at(x, 0.0, 0.5, 1.0));
    let first =
        ScenePicture { layers: vec![half(WIDE, 0.0), half(TALL, 0.5)], ..ScenePicture::default() };
    let second = ScenePicture {
        layers: vec![layer(WIDE, at(0.0, 0.0, 1.0, 1.0))],
        overlays: vec![overlay(title("second", "KaiTi", 0.0), at(0.1, 0.4, 0.0, 0.0))],
        ..ScenePicture::default()
    };
    let [first, second] = [first, second].map(|scene| listed(&scene, 0));
    for (name, blend) in [
        ("mix", Blend::Mix { progress }),
        ("wipe_right", Blend::Wipe { towards: Direction::Right, progress }),
        ("wipe_down_left", Blend::Wipe { towards: Direction::DownLeft, progress }),
        ("slide_left", Blend::Slide { towards: Direction::Left, progress }),
        ("push_up", Blend::Push { towards: Direction::Up, progress }),
        ("push_down_right", Blend::Push { towards: Direction::DownRight, progress }),
    ] {
        let over = Over { ground_rgb: 0, ops: second.ops.clone(), blend };
        check_list(name, &DrawList { ground_rgb: 0x20_4060, over: Some(over), ..first.clone() });
    }
    let veil = Some(Veil { rgb: 0xc0_2020, opacity: progress });
    check_list("veil", &DrawList { veil, ..first });
}

/// One frame of FFmpeg's own, as NV12 of this size.
fn ffmpeg_frame(source: &str, size: Size, scale: &str) -> Arc<Picture> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "1"])
        .args(["-vf", &format!("format=yuv420p,{scale}format=nv12"), "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = Bytes::from(output.stdout);
    let stride_bytes = size.width_px as usize;
    let luma = stride_bytes * size.height_px as usize;
    let plane = |data| Plane { data, stride_bytes };
    let planes = vec![plane(bytes.slice(..luma)), plane(bytes.slice(luma..))];
    Arc::new(Picture::new(PixelFormat::Nv12, size, Color::CANVAS, planes).unwrap())
}

#[test]
fn scaled_ahead_looks_like_scaled_by_shader() {
    let (source, shown) = (Size::new(1280, 720), Size::new(960, 540));
    let lavfi = "testsrc2=size=1280x720,gblur=sigma=2";
    let picture = ffmpeg_frame(lavfi, source, "");
    let scaled = ffmpeg_frame(lavfi, shown, "scale=960:540:flags=bilinear,");
    let rect = Rect { x_px: 0, y_px: 0, width_px: shown.width_px, height_px: shown.height_px };
    let list = DrawList::of(shown, vec![DrawOp::layer(WIDE, rect)]);
    let plain = VideoFrame { pts_ns: 0, picture, scaled: Vec::new() };
    let ahead = VideoFrame {
        scaled: vec![Scaled { shot: shown.into(), picture: Arc::clone(&scaled) }],
        ..plain.clone()
    };
    let [by_shader, by_copy] = [plain, ahead].map(|frame| draw(&list, &[(WIDE, frame)]));
    for plane in 0..2 {
        let [a, b] = [&by_shader, &by_copy].map(|p| &p.planes()[plane].data[..]);
        let db = psnr_db(a, b);
        assert!(db >= 40.0, "plane {plane}: {db:.1} dB");
        // Hardware has no use for what was scaled ahead; a software adapter takes it as it is.
        assert!(!gpu().is_software() || *b == scaled.planes()[plane].data[..]);
    }
}
