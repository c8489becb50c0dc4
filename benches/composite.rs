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
use onair::picture::{
    DrawList, DrawOp, OverlayContent, OverlaySpec, Placement, Rect, RgbaImage, TextSpec,
};
use onair::time::Clock;

const CANVAS: Size = Size::new(1920, 1080);
const FRAMES: u64 = 300;
const WARM_UP: u64 = 10;

fn main() -> Result<(), GpuError> {
    let clock = Clock::real();
    let gpu = Gpu::open(&AdapterChoice::default())?;
    let info = gpu.info();
    println!("adapter: {} ({})", info.name, info.driver);
    println!("opened in {} ms, {} MiB resident", clock.now_ns() / 1_000_000, resident_mib());
    println!(
        "{:<48} {:>8} {:>8} {:>8}",
        "1920×1080 canvas, per frame", "CPU ms", "wall ms", "first ms"
    );
    let title = || vec![title(), logo()];
    for (name, sources, overlays) in [
        ("quad of 1280×720 I420, scaled by swscale", sources(PixelFormat::I420, 1280, 720), vec![]),
        (
            "quad of 1280×720 I420 by swscale + title + logo",
            sources(PixelFormat::I420, 1280, 720),
            title(),
        ),
        ("quad of 960×540 NV12, unscaled", sources(PixelFormat::Nv12, 960, 540), vec![]),
        ("quad of 960×540 I420, unscaled", sources(PixelFormat::I420, 960, 540), vec![]),
        ("quad of 960×540 NV12 + title + logo", sources(PixelFormat::Nv12, 960, 540), title()),
        ("quad of 1280×720 I420, scaled by shader", sources(PixelFormat::I420, 1280, 720), vec![]),
        (
            "quad of 1280×720 I420 by shader + title + logo",
            sources(PixelFormat::I420, 1280, 720),
            title(),
        ),
    ] {
        let [cpu_ms, wall_ms, first_ms] =
            measure(&gpu, &sources, (overlays, name.contains("swscale")))?;
        println!("{name:<48} {cpu_ms:>8.2} {wall_ms:>8.2} {first_ms:>8.2}");
    }
    println!("{} MiB resident at the end", resident_mib());
    Ok(())
}

/// Two sets of four pictures, so that every frame is new to the compositor.
type Sources = [Vec<(InputKey, VideoFrame)>; 2];

fn sources(format: PixelFormat, width_px: u32, height_px: u32) -> Sources {
    let size = Size::new(width_px, height_px);
    let frame = |shift: usize| {
        let planes = format.plane_shapes(size).into_iter().map(|(row_bytes, rows)| {
            let texture = (0..row_bytes * rows).map(|i| ((i / 7 + shift) % 200 + 20) as u8);
            Plane { data: Bytes::from_iter(texture), stride_bytes: row_bytes }
        });
        let picture = Picture::new(format, size, Color::CANVAS, planes.collect());
        let picture = Arc::new(picture.expect("planes made to measure"));
        VideoFrame { pts_ns: 0, picture, scaled: Vec::new() }
    };
    [0, 100].map(|shift| (0..4).map(|i| (InputKey(i), frame(shift + 9 * i as usize))).collect())
}

/// Measures drawing `sources` under `overlays`; the flag says whether swscale scales them first, as an input's thread
/// does on a software adapter.
fn measure(
    gpu: &Arc<Gpu>,
    sources: &Sources,
    (overlays, scale_first): (Vec<DrawOp>, bool),
) -> Result<[f64; 3], GpuError> {
    let mut prescalers: Vec<Prescaler> = (0..4).map(|_| Prescaler::default()).collect();
    let mut compositor = Compositor::new(Arc::clone(gpu), CANVAS)?;
    let quads = (0..4u32).map(|i| {
        let rect = Rect {
            x_px: (i % 2 * 960).cast_signed(),
            y_px: (i / 2 * 540).cast_signed(),
            width_px: 960,
            height_px: 540,
        };
        DrawOp::layer(InputKey(i), rect)
    });
    let list = DrawList::of(CANVAS, quads.chain(overlays).collect());
    let clock = Clock::real();
    let (mut start, mut first_ns) = ((0, 0), 0);
    let mut pictures = 0;
    for tick in 0..WARM_UP + FRAMES {
        if tick == WARM_UP {
            start = (cpu_ms(), clock.now_ns());
            pictures = 0;
        }
        // Hardware may be some pictures behind: take what is there, and all of it when no canvas is free.
        let mut frames = sources[(tick % 2) as usize].clone();
        let before = clock.now_ns();
        for ((_, frame), prescaler) in frames.iter_mut().zip(&mut prescalers) {
            if scale_first {
                prescaler.fill(frame, &[Size::new(960, 540).into()]);
            }
        }
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

/// Resident memory of this process, from the kernel's count of 4 KiB pages.
fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages.unwrap_or(0) * 4 / 1024
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

fn overlay(content: OverlayContent, placement: Placement) -> DrawOp {
    let content = Arc::new(content);
    DrawOp::Overlay(OverlaySpec::new(content, placement).draw_at(CANVAS, 0))
}
