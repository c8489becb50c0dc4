//! Composition on a GPU, beside what its memory and its bus allow: `./dev bench --gpu`. And its way to CUDA without the host,
//! bit for bit: `./dev gpu-check`.
//!
//! Made of the rooms that draw alone, so that the binary needs neither FFmpeg nor the rest of the server: it can be carried
//! to a machine that has only a driver. Prints Markdown: frames per second with upload and read-back, time of the GPU per
//! frame by its own clock, and the floors that the bytes to be moved set.
#![expect(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "rooms of the library as they are, without those who use the rest of them; and a clock of its own"
)]
#![allow(
    unfulfilled_lint_expectations,
    reason = "what the library documents is not asked for here"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

#[path = "gpu_check.rs"]
mod check;
#[path = "../src/color.rs"]
mod color;
#[path = "../src/media/cuda/mod.rs"]
mod cuda;
#[path = "../src/device_memory.rs"]
mod device_memory;
#[path = "../src/frame.rs"]
mod frame;
#[path = "../src/gpu/mod.rs"]
mod gpu;
#[path = "../src/ids.rs"]
mod ids;
#[path = "../src/limits.rs"]
mod limits;
#[path = "../src/luma.rs"]
mod luma;
#[path = "../src/picture/mod.rs"]
mod picture;
#[path = "../src/shot.rs"]
mod shot;

use frame::{Color, Picture, PixelFormat, Plane, Size, VideoFrame};
use gpu::{AdapterChoice, Compositor, Delivery, Gpu, GpuError, Kept};
use ids::InputKey;
use picture::{DrawList, DrawOp, Rect};

const HD: Size = Size::new(1920, 1080);
const UHD: Size = Size::new(3840, 2160);
const RENDITIONS: [Size; 3] = [Size::new(1280, 720), Size::new(854, 480), Size::new(640, 360)];
/// Frames before measuring.
const WARM_UP: u64 = 60;
/// How long a case is measured.
const MEASURED: Duration = Duration::from_secs(4);
const MIB: u64 = 1024 * 1024;

/// So many sources in a square of cells on a canvas, and what else is made of it.
struct Case {
    name: &'static str,
    side: u32,
    source: Size,
    canvas: Size,
    renditions: &'static [Size],
}

const CASES: [Case; 5] = [
    Case { name: "one 1080p, unscaled", side: 1, source: HD, canvas: HD, renditions: &[] },
    Case { name: "4 × 1080p → 1080p", side: 2, source: HD, canvas: HD, renditions: &[] },
    Case {
        name: "4 × 1080p → 1080p + 720p + 480p + 360p",
        side: 2,
        source: HD,
        canvas: HD,
        renditions: &RENDITIONS,
    },
    Case { name: "9 × 1080p → 2160p", side: 3, source: HD, canvas: UHD, renditions: &[] },
    Case { name: "16 × 1080p → 2160p", side: 4, source: HD, canvas: UHD, renditions: &[] },
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    if std::env::args().any(|arg| arg == "--check") {
        return check::run(wanted);
    }
    let kept = Kept::default();
    let gpu = Gpu::open_with(&AdapterChoice(wanted), &kept)?;
    gpu.warm_up()?;
    println!("Adapter: {}\n", gpu.info());
    let bandwidth = Bandwidth::of(&gpu.info().name);
    println!(
        "Measured on it, GB/s: {:.0} from its memory to its memory (read + write), {:.1} up, {:.1} down.\n",
        bandwidth.memory / 1e9,
        bandwidth.up / 1e9,
        bandwidth.down / 1e9
    );
    println!(
        "| what | frames/s | GPU ms | memory floor ms | ratio | bus floor ms | MB up | MB down |\n{}",
        "| --- ".repeat(8) + "|"
    );
    for case in &CASES {
        let (frames_per_s, gpu_ms) = measure(&gpu, &kept, (case, Delivery::Host))?;
        let bytes = case.bytes();
        let memory_ms = bytes.memory as f64 / bandwidth.memory * 1e3;
        let bus_ms = (bytes.up as f64 / bandwidth.up).max(bytes.down as f64 / bandwidth.down) * 1e3;
        let told = |value: Option<f64>| value.map_or("not told".into(), |v| format!("{v:.3}"));
        println!(
            "| {} | {frames_per_s:.0} | {} | {memory_ms:.3} | {} | {bus_ms:.3} | {:.1} | {:.1} |",
            case.name,
            told(gpu_ms),
            told(gpu_ms.map(|ms| ms / memory_ms)),
            bytes.up as f64 / 1e6,
            bytes.down as f64 / 1e6,
        );
    }
    Ok(())
}

/// What a frame has to move, in bytes.
struct Moved {
    /// Sources written and read, canvas written, read for each rendition and for reading back, renditions likewise.
    memory: u64,
    up: u64,
    down: u64,
}

fn nv12(size: Size) -> u64 {
    u64::from(size.width_px) * u64::from(size.height_px) * 3 / 2
}

impl Case {
    fn count(&self) -> u32 {
        self.side * self.side
    }

    fn bytes(&self) -> Moved {
        let (up, canvas) = (nv12(self.source) * u64::from(self.count()), nv12(self.canvas));
        let smaller: u64 = self.renditions.iter().copied().map(nv12).sum();
        let down = canvas + smaller;
        let memory = 2 * up + canvas * (1 + self.renditions.len() as u64) + smaller + down;
        Moved { memory, up, down }
    }

    /// Two sets of pictures, so that every frame is new.
    fn frames(&self) -> [Vec<(InputKey, VideoFrame)>; 2] {
        let frame = |shift: u32| {
            let format = PixelFormat::Nv12;
            let planes = format.plane_shapes(self.source).into_iter().map(|(row, rows)| {
                let texture = (0..row * rows).map(|i| ((i / 7 + shift as usize) % 200 + 20) as u8);
                Plane { data: Bytes::from_iter(texture), stride_bytes: row }
            });
            let picture = Picture::new(format, self.source, Color::CANVAS, planes.collect());
            let picture = Arc::new(picture.expect("planes made to measure"));
            VideoFrame { pts_ns: 0, picture, scaled: Vec::new() }
        };
        [0, 100]
            .map(|shift| (0..self.count()).map(|i| (InputKey(i), frame(shift + 9 * i))).collect())
    }

    fn list(&self) -> DrawList {
        let even = |side: u32| side / self.side / 2 * 2;
        let (width_px, height_px) = (even(self.canvas.width_px), even(self.canvas.height_px));
        let layer = |i: u32| {
            let x_px = (i % self.side * width_px).cast_signed();
            let y_px = (i / self.side * height_px).cast_signed();
            DrawOp::layer(InputKey(i), Rect { x_px, y_px, width_px, height_px })
        };
        DrawList::of(self.canvas, (0..self.count()).map(layer).collect())
    }
}

/// Frames per second from upload to read-back, and ms of the GPU per frame where it can tell.
fn measure(
    gpu: &Arc<Gpu>,
    kept: &Kept,
    (case, delivery): (&Case, Delivery),
) -> Result<(f64, Option<f64>), GpuError> {
    let (frames, list) = (case.frames(), case.list());
    let mut compositor = Compositor::new(Arc::clone(gpu), case.canvas)?;
    compositor.set_delivery(delivery);
    compositor.set_renditions(case.renditions)?;
    let seconds = || kept.pass_times.all().iter().map(|pass| pass.seconds).sum::<f64>();
    let (mut collected, mut start, mut gpu_start) = (0u64, Instant::now(), 0.0);
    for tick in 0.. {
        if tick == WARM_UP {
            compositor.finish()?;
            (collected, start, gpu_start) = (0, Instant::now(), seconds());
        }
        // What is ahead of the GPU waits for it, as a render does.
        while compositor.draw(tick, &list, &frames[(tick % 2) as usize]) == Err(GpuError::NoCanvas)
        {
            while compositor.collect()?.is_some() {
                collected += 1;
            }
        }
        while compositor.collect()?.is_some() {
            collected += 1;
        }
        if tick > WARM_UP && start.elapsed() > MEASURED {
            break;
        }
    }
    collected += compositor.finish()?.len() as u64;
    let elapsed = start.elapsed().as_secs_f64();
    let gpu_s = seconds() - gpu_start;
    let gpu_ms = (gpu_s > 0.0).then(|| gpu_s * 1e3 / collected as f64);
    Ok((collected as f64 / elapsed, gpu_ms))
}

/// Bytes per second, measured.
struct Bandwidth {
    memory: f64,
    up: f64,
    down: f64,
}

impl Bandwidth {
    /// Of the adapter of this name, on a device of its own.
    fn of(name: &str) -> Bandwidth {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::VULKAN,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapters = now(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name);
        let adapter = adapter.expect("the adapter was opened a moment ago");
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) =
            now(adapter.request_device(&descriptor)).expect("a device of this adapter works");
        let buffer = |bytes: u64, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: bytes,
                usage,
                mapped_at_creation: false,
            })
        };
        use wgpu::BufferUsages as U;
        let [a, b] = [0, 1].map(|_| buffer(256 * MIB, U::COPY_SRC | U::COPY_DST));
        let down = buffer(64 * MIB, U::MAP_READ | U::COPY_DST);
        let source = vec![7u8; 64 * MIB as usize];
        let wait = || drop(device.poll(wgpu::PollType::wait_indefinitely()));
        let copy = |from: &wgpu::Buffer, to: &wgpu::Buffer, bytes: u64| {
            let mut encoder = device.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(from, 0, to, 0, bytes);
            queue.submit([encoder.finish()]);
        };
        let rate = |bytes: u64, times: u32, once: &dyn Fn()| {
            once();
            wait();
            let start = Instant::now();
            (0..times).for_each(|_| once());
            wait();
            (bytes * u64::from(times)) as f64 / start.elapsed().as_secs_f64()
        };
        Bandwidth {
            memory: rate(512 * MIB, 20, &|| copy(&a, &b, 256 * MIB)),
            // As pictures go: a driver may give memory of the card to write to, so the bus is the CPU's to cross.
            up: rate(64 * MIB, 10, &|| {
                queue.write_buffer(&a, 0, &source);
                queue.submit([]);
            }),
            down: rate(64 * MIB, 10, &|| copy(&a, &down, 64 * MIB)),
        }
    }
}

/// The value of a future that is ready at once, as all of wgpu's are on native backends.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a native backend answers at once"),
    }
}
