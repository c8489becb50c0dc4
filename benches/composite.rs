//! CPU time of compositing alone, upload and read-back included, on whatever adapter is best.
//!
//! Prints milliseconds of CPU (user + system, all threads of the process) and of wall-clock per frame, and how long the
//! first frame took, on which texts are rasterised and pipelines made.

use std::sync::Arc;

use bytes::Bytes;
use onair::frame::{Color, Picture, PixelFormat, Plane, Size, VideoFrame};
use onair::gpu::{AdapterChoice, Compositor, Gpu, GpuError};
use onair::ids::InputKey;
use onair::media::scale::Prescaler;
use onair::metrics::resident_bytes;
use onair::picture::{
    DrawList, DrawOp, OverlayContent, OverlaySpec, Placement, Rect, RgbaImage, TextSpec,
};
use onair::time::Clock;

const HD: Size = Size::new(1920, 1080);
const UHD: Size = Size::new(3840, 2160);
const FRAMES: u64 = 300;
const WARM_UP: u64 = 10;

/// How the pictures of sources come.
#[derive(Clone, Copy, PartialEq)]
enum Ahead {
    /// Scaled by the CPU first, as an input's thread does on a software adapter.
    Scaled,
    /// As they are.
    AsDecoded,
    /// As they are, and always the same ones: nothing changes.
    Still,
}

/// What is drawn: so many sources of a format and a size, side by side in a square of cells on a canvas.
struct Case {
    name: &'static str,
    canvas: Size,
    side: u32,
    format: PixelFormat,
    source: Size,
    ahead: Ahead,
    overlays: Vec<DrawOp>,
}

fn cases() -> Vec<Case> {
    use Ahead::{AsDecoded, Scaled, Still};
    use PixelFormat::{I420, Nv12};
    let case = |name, (canvas, side): (Size, u32), (format, w, h), ahead, overlays| Case {
        name,
        canvas,
        side,
        format,
        source: Size::new(w, h),
        ahead,
        overlays,
    };
    let title = || vec![title(), logo()];
    let quad = (HD, 2);
    vec![
        case("quad of 1280×720 I420, scaled by the CPU", quad, (I420, 1280, 720), Scaled, vec![]),
        case(
            "quad of 1280×720 I420 by the CPU + title + logo",
            quad,
            (I420, 1280, 720),
            Scaled,
            title(),
        ),
        case("quad of 960×540 NV12, unscaled", quad, (Nv12, 960, 540), AsDecoded, vec![]),
        case("quad of 960×540 I420, unscaled", quad, (I420, 960, 540), AsDecoded, vec![]),
        case("quad of 960×540 NV12 + title + logo", quad, (Nv12, 960, 540), AsDecoded, title()),
        case("quad of 960×540 NV12, nothing changes", quad, (Nv12, 960, 540), Still, title()),
        case(
            "one 1920×1080 I420 + lower third over a fifth",
            (HD, 1),
            (I420, 1920, 1080),
            AsDecoded,
            vec![lower_third()],
        ),
        case("16 of 1280×720 I420 by the CPU", (HD, 4), (I420, 1280, 720), Scaled, vec![]),
        case(
            "16 of 1280×720 I420 by the CPU on 3840×2160",
            (UHD, 4),
            (I420, 1280, 720),
            Scaled,
            vec![],
        ),
        case("quad of 1280×720 I420, scaled by shader", quad, (I420, 1280, 720), AsDecoded, vec![]),
        case(
            "quad of 1280×720 I420 by shader + title + logo",
            quad,
            (I420, 1280, 720),
            AsDecoded,
            title(),
        ),
    ]
}

fn main() -> Result<(), GpuError> {
    let clock = Clock::real();
    let gpu = Gpu::open(&AdapterChoice::default())?;
    let info = gpu.info();
    println!("adapter: {} ({})", info.name, info.driver);
    println!("opened in {} ms, {} MiB resident", clock.now_ns() / 1_000_000, resident_mib());
    println!(
        "{:<48} {:>8} {:>8} {:>8}",
        "1920×1080 canvas (or as said), per frame", "CPU ms", "wall ms", "first ms"
    );
    for case in cases() {
        let [cpu_ms, wall_ms, first_ms] = measure(&gpu, &case)?;
        println!("{:<48} {cpu_ms:>8.2} {wall_ms:>8.2} {first_ms:>8.2}", case.name);
    }
    println!("{} MiB resident at the end", resident_mib());
    Ok(())
}

/// Two sets of pictures, so that every frame is new to the compositor.
type Sources = [Vec<(InputKey, VideoFrame)>; 2];

impl Case {
    fn sources(&self) -> Sources {
        let frame = |shift: usize| {
            let planes = self.format.plane_shapes(self.source).into_iter().map(|(row, rows)| {
                let texture = (0..row * rows).map(|i| ((i / 7 + shift) % 200 + 20) as u8);
                Plane { data: Bytes::from_iter(texture), stride_bytes: row }
            });
            let picture = Picture::new(self.format, self.source, Color::CANVAS, planes.collect());
            let picture = Arc::new(picture.expect("planes made to measure"));
            VideoFrame { pts_ns: 0, picture, scaled: Vec::new() }
        };
        let all = |shift| {
            (0..self.side * self.side)
                .map(|i| (InputKey(i), frame(shift + 9 * i as usize)))
                .collect()
        };
        [0, 100].map(all)
    }

    fn cell(&self) -> Size {
        Size::new(self.canvas.width_px / self.side, self.canvas.height_px / self.side)
    }

    fn list(&self) -> DrawList {
        let Size { width_px, height_px } = self.cell();
        let layers = (0..self.side * self.side).map(|i| {
            let rect = Rect {
                x_px: (i % self.side * width_px).cast_signed(),
                y_px: (i / self.side * height_px).cast_signed(),
                width_px,
                height_px,
            };
            DrawOp::layer(InputKey(i), rect)
        });
        DrawList::of(self.canvas, layers.chain(self.overlays.iter().cloned()).collect())
    }
}

/// Milliseconds of CPU and of wall-clock per frame, and those of the first.
fn measure(gpu: &Arc<Gpu>, case: &Case) -> Result<[f64; 3], GpuError> {
    let (sources, list) = (case.sources(), case.list());
    let mut prescalers: Vec<Prescaler> = sources[0].iter().map(|_| Prescaler::default()).collect();
    let mut compositor = Compositor::new(Arc::clone(gpu), case.canvas)?;
    let clock = Clock::real();
    let (mut start, mut first_ns) = ((0, 0), 0);
    let mut pictures = 0;
    for tick in 0..WARM_UP + FRAMES {
        if tick == WARM_UP {
            start = (cpu_ms(), clock.now_ns());
            pictures = 0;
        }
        let set = if case.ahead == Ahead::Still { 0 } else { tick % 2 };
        let mut frames = sources[set as usize].clone();
        let before = clock.now_ns();
        if case.ahead == Ahead::Scaled {
            for ((_, frame), prescaler) in frames.iter_mut().zip(&mut prescalers) {
                prescaler.fill(frame, &[case.cell().into()]);
            }
        }
        // Hardware may be some pictures behind: take what is there, and all of it when no canvas is free.
        if compositor.draw(tick, &list, &frames) == Err(GpuError::NoCanvas) {
            pictures += compositor.finish()?.len();
            compositor.draw(tick, &list, &frames)?;
        }
        pictures += usize::from(compositor.collect()?.is_some());
        if tick == 0 {
            first_ns = clock.now_ns() - before;
        }
    }
    pictures += compositor.finish()?.len();
    let frames = pictures as f64;
    let (cpu_ms, wall_ns) = (cpu_ms() - start.0, clock.now_ns() - start.1);
    Ok([cpu_ms as f64 / frames, wall_ns as f64 / 1e6 / frames, first_ns as f64 / 1e6])
}

/// CPU time of this process so far, from the kernel's accounting in ticks of 10 ms.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the name in parentheses and may hold anything; utime and stime are the 14th and 15th.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10
}

fn resident_mib() -> u64 {
    resident_bytes() / (1024 * 1024)
}

fn title() -> DrawOp {
    overlay(
        OverlayContent::Text(TextSpec {
            text: "Evening news 晚间新闻".into(),
            font_name: "KaiTi".into(),
            color_rgb: 0xff_ff_ff,
            size_normalized: 0.08,
            border_width_normalized: 0.05,
            border_rgb: Some(0),
            background: None,
        }),
        Placement { x: 0.05, y: 0.85, ..Placement::default() },
    )
}

fn logo() -> DrawOp {
    let size = Size::new(256, 128);
    let pixels = (0..size.width_px * size.height_px).flat_map(|i| [200, (i % 256) as u8, 40, 220]);
    overlay(
        OverlayContent::Image(Arc::new(RgbaImage { size, pixels: pixels.collect() })),
        Placement { x: 0.82, y: 0.05, height: 0.12, ..Placement::default() },
    )
}

/// A half-transparent band over a fifth of the picture.
fn lower_third() -> DrawOp {
    let size = Size::new(1920, 216);
    let pixels = (0..size.width_px * size.height_px).flat_map(|i| [20, (i % 200) as u8, 90, 180]);
    overlay(
        OverlayContent::Image(Arc::new(RgbaImage { size, pixels: pixels.collect() })),
        Placement { y: 0.75, ..Placement::default() },
    )
}

fn overlay(content: OverlayContent, placement: Placement) -> DrawOp {
    let content = Arc::new(content);
    DrawOp::Overlay(OverlaySpec::new(content, placement).draw_at(HD, 0))
}
