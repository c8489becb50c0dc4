//! A device that is lost: it is told, nobody waits, what was handed out stays, and another one draws the same.

use std::sync::atomic::Ordering;

use super::*;
use crate::gpu::Supply;
use crate::limits::GPU_WAIT;
use crate::time::Clock;

#[test]
fn a_lost_device_is_told_and_another_one_draws_the_same() {
    // So large that a driver gives its memory back at once.
    let size = Size::new(640, 360);
    let mut noise = Noise(41);
    let pictures = [0, 1].map(|_| noise.picture(PixelFormat::I420, size, Color::CANVAS));
    let frames = pictures.each_ref().map(|picture| [(InputKey(1), frame(picture))]);
    let list = DrawList::of(size, vec![DrawOp::layer(InputKey(1), rect(0, 0, 640, 360))]);
    for is_staged in [true, false] {
        let gpu = Gpu::open(&AdapterChoice::default()).unwrap();
        let mut compositor = match is_staged {
            true => {
                let shape = CanvasShape::new(size).unwrap();
                let path = Path::Staged(Staged::new(&gpu, &shape));
                Compositor::on(Arc::clone(&gpu), shape, path).unwrap()
            }
            false => Compositor::new(Arc::clone(&gpu), size).unwrap(),
        };
        let before = draw_one(&mut compositor, &list, &frames[0]);
        let bytes = before.planes()[0].data.to_vec();
        // One is still in flight.
        compositor.draw(1, &list, &frames[1]).unwrap();
        let clock = Clock::real();
        gpu.destroy();
        // It is known once what was submitted before is done; until then canvases may run out.
        let in_time = || clock.now_ns() < GPU_WAIT.as_nanos() as u64;
        let error = (2..).take_while(|_| in_time()).find_map(|tick| {
            let drawn = compositor.draw(tick, &list, &frames[tick as usize % 2]);
            let results = [drawn, compositor.collect().map(drop)];
            results.into_iter().filter_map(Result::err).find(|error| *error != GpuError::NoCanvas)
        });
        assert!(matches!(error, Some(GpuError::Lost(_))), "{error:?}");
        compositor.abandon();
        assert!(gpu.is_lost() && in_time());
        assert_eq!(bytes, before.planes()[0].data);
        let other = Gpu::open(&AdapterChoice::default()).unwrap();
        let mut compositor = compositor.renewed(other).unwrap();
        let after = draw_one(&mut compositor, &list, &frames[0]);
        for (a, b) in before.planes().iter().zip(after.planes()) {
            assert_eq!(a.data, b.data);
        }
    }
}

/// Threads of the software driver.
fn driver_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("llvmpipe")).count()
}

#[test]
fn a_lost_device_goes_with_the_last_who_draws_on_it() {
    let size = Size::new(64, 48);
    let frame = [(InputKey(1), frame(&Noise(41).picture(PixelFormat::I420, size, Color::CANVAS)))];
    let list = DrawList::of(size, vec![DrawOp::layer(InputKey(1), rect(0, 0, 32, 24))]);
    for is_lost in [false, true] {
        let gpu = Gpu::open(&AdapterChoice::default()).unwrap();
        let mut compositor = Compositor::new(Arc::clone(&gpu), size).unwrap();
        draw_one(&mut compositor, &list, &frame);
        assert!(driver_threads() > 0 || !gpu.is_software());
        if is_lost {
            gpu.destroy();
            assert!(compositor.draw(1, &list, &frame).is_err());
        }
        let held = Arc::clone(&gpu.held);
        drop((gpu, compositor));
        assert_eq!(driver_threads(), 0, "lost: {is_lost}");
        assert_eq!(held.load(Ordering::Relaxed), 0, "bytes, lost: {is_lost}");
    }
}

#[test]
fn what_was_ready_is_ready_on_the_next_device_and_holds_no_lost_one() {
    let size = Size::new(64, 48);
    let text = TextSpec { text: "ready".into(), size_normalized: 0.4, ..TextSpec::default() };
    let content = Arc::new(OverlayContent::Text(text));
    let supply = Supply::open(AdapterChoice::default(), None).unwrap();
    let threads = driver_threads();
    let prepared = supply.prepare(vec![Arc::clone(&content)], size).unwrap();
    let art = |gpu: &Gpu| gpu.exhibit(&[Arc::clone(&content)], size).remove(0);
    for lost in 1..=3 {
        let gpu = supply.gpu().unwrap();
        // What is kept, and we.
        assert_eq!(Arc::strong_count(&art(&gpu)), 2, "ready on device {lost}");
        gpu.destroy();
        // It is known once what was submitted before is done.
        assert!((0..1000).any(|_| gpu.settle().is_err()), "{lost} is lost");
        drop(gpu);
        supply.gpu().unwrap();
        assert_eq!((supply.lost(), driver_threads()), (lost, threads));
    }
    drop(prepared);
    assert_eq!(Arc::strong_count(&art(&supply.gpu().unwrap())), 1);
}
