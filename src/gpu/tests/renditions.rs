//! Renditions made on the GPU: against their twin, against those that the CPU makes, and that they come and go between draws.

use super::*;
use crate::gpu::{Kept, PassTimes};
use crate::media::scale::Prescaler;
use crate::shot::Shot;

/// The staged path, whatever the adapter is: the only one that makes renditions.
fn staged(size: Size) -> Compositor {
    compositors(size).pop().unwrap()
}

fn showing(picture: &Arc<Picture>) -> (DrawList, [(InputKey, VideoFrame); 1]) {
    let size = picture.size();
    let whole = rect(0, 0, size.width_px, size.height_px);
    let list = DrawList::of(size, vec![DrawOp::layer(InputKey(1), whole)]);
    (list, [(InputKey(1), frame(picture))])
}

fn compose(compositor: &mut Compositor, picture: &Arc<Picture>) -> Composed {
    let (list, frames) = showing(picture);
    compositor.draw(7, &list, &frames).unwrap();
    compositor.finish().unwrap().pop().unwrap()
}

#[test]
fn renditions_agree_with_their_twin() {
    let mut noise = Noise(21);
    let mut cases = 0;
    for (width, height) in [(64, 48), (62, 46), (30, 86), (160, 90), (118, 14)] {
        let size = Size::new(width, height);
        let mut compositor = staged(size);
        for _ in 0..25 {
            // Down to a sixteenth: past that a mean looks at a part of what it covers.
            let mut side = |whole: u32| {
                let least = whole.div_ceil(16).next_multiple_of(2);
                (least + u32::from(noise.bytes(1)[0]) * (whole - least) / 255) / 2 * 2
            };
            let sizes = [(); 9].map(|()| Size::new(side(width), side(height)));
            compositor.set_renditions(&sizes).unwrap();
            let picture = noise.picture(PixelFormat::Nv12, size, Color::CANVAS);
            let composed = compose(&mut compositor, &picture);
            for got in &composed.renditions {
                let small = got.size();
                let mut want = TwinCanvas::black(small);
                want.plain(&picture, rect(0, 0, small.width_px, small.height_px));
                let difference = largest_difference(got, &want);
                assert!(difference <= 1, "{difference} from {size:?} to {small:?}");
                cases += 1;
            }
        }
    }
    assert!(cases >= 1000, "{cases}");
}

/// Waves of several lengths and directions, none so short that filters must differ.
fn waves(size: Size) -> Arc<Picture> {
    let value = |x: f64, y: f64| {
        let wave = |dx: f64, dy: f64| (x * dx + y * dy).sin();
        128.0 + 35.0 * wave(0.21, 0.07) + 30.0 * wave(-0.05, 0.3) + 30.0 * wave(0.02, 0.015)
    };
    let plane = |width: u32, height: u32, step: f64| {
        let rows = (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
        let data = rows.map(|(x, y)| value(f64::from(x) * step, f64::from(y) * step) as u8);
        Plane { data: Bytes::from_iter(data), stride_bytes: width as usize }
    };
    let (w, h) = (size.width_px, size.height_px);
    let planes = vec![plane(w, h, 1.0), plane(w / 2, h / 2, 2.0), plane(w / 2, h / 2, 1.0)];
    Arc::new(Picture::new(PixelFormat::I420, size, Color::CANVAS, planes).unwrap())
}

#[test]
fn renditions_look_like_those_of_the_cpu() {
    // Down to a third, as from 1080p to the smallest rung.
    let size = Size::new(960, 540);
    let sizes =
        [Size::new(854, 480), Size::new(640, 360), Size::new(480, 270), Size::new(320, 180)];
    let mut compositor = staged(size);
    compositor.set_renditions(&sizes).unwrap();
    let composed = compose(&mut compositor, &waves(size));
    assert_eq!(composed.renditions.len(), sizes.len());
    for rendition in &composed.renditions {
        let mut ahead = frame(&composed.picture);
        Prescaler::default().fill(&mut ahead, &[Shot::from(rendition.size())]);
        let width = rendition.size().width_px as usize;
        for plane in 0..2 {
            let rows = |picture: &Picture| -> Vec<u8> {
                let plane = &picture.planes()[plane];
                let rows = plane.data.chunks(plane.stride_bytes);
                rows.flat_map(|row| row[..width].to_vec()).collect()
            };
            let [a, b] = [rows(rendition), rows(&ahead.scaled[0].picture)];
            let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
            let mean = a.iter().zip(&b).map(square).sum::<f64>() / a.len() as f64;
            let db = 10.0 * (255.0 * 255.0 / mean).log10();
            assert!(db >= 40.0, "plane {plane} of {:?}: {db:.1} dB", rendition.size());
        }
    }
}

#[test]
fn passes_are_timed_where_the_adapter_can() {
    let size = Size::new(64, 48);
    let pass_times = Arc::new(PassTimes::default());
    let kept = Kept { pass_times: Arc::clone(&pass_times), ..Kept::default() };
    let gpu = Gpu::open_with(&AdapterChoice::default(), &kept).unwrap();
    let can = gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
    let shape = CanvasShape::new(size).unwrap();
    let path = Path::Staged(Staged::new(&gpu, &shape));
    let mut compositor = Compositor::on(gpu, shape, path).unwrap();
    let mut noise = Noise(23);
    for sizes in [&[][..], &[Size::new(32, 24)]] {
        compositor.set_renditions(sizes).unwrap();
        let picture = noise.picture(PixelFormat::Nv12, size, Color::CANVAS);
        compose(&mut compositor, &picture);
    }
    let times = pass_times.all();
    let ran: Vec<_> = times.iter().map(|time| (time.pass, time.count)).collect();
    let want = [("first", 2), ("scale", 1), ("measure", 2)];
    assert_eq!(ran, if can { &want[..] } else { &[] });
    assert!(times.iter().all(|time| (0.0..5.0).contains(&time.seconds)), "{times:?}");
}

#[test]
fn renditions_come_and_go_between_draws() {
    let size = Size::new(64, 48);
    let [half, third] = [Size::new(32, 24), Size::new(22, 16)];
    let picture = Noise(22).picture(PixelFormat::Nv12, size, Color::CANVAS);
    let (list, frames) = showing(&picture);
    let mut compositor = staged(size);
    // Not smaller, no canvas, twice the same.
    let odd = [size, Size::new(66, 20), Size::new(31, 24), half, half];
    for (tick, sizes) in [(0, &[][..]), (1, &odd), (2, &odd), (3, &[half, third]), (4, &[])] {
        compositor.set_renditions(sizes).unwrap();
        compositor.draw(tick, &list, &frames).unwrap();
    }
    let finished = compositor.finish().unwrap();
    let sizes = |composed: &Composed| -> Vec<Size> {
        composed.renditions.iter().map(|picture| picture.size()).collect()
    };
    let got: Vec<_> = finished.iter().map(sizes).collect();
    assert_eq!(got, [vec![], vec![half], vec![half], vec![half, third], vec![]]);
    // What did not change was drawn once, renditions included.
    assert_eq!(compositor.draws, 4);
    let [a, b] = [1, 2].map(|i: usize| finished[i].renditions[0].id());
    assert_eq!(a, b);
    if let Some(mut shared) = compositors(size).into_iter().rev().nth(1) {
        shared.set_renditions(&[half]).unwrap();
        assert!(compose(&mut shared, &picture).renditions.is_empty());
    }
}

#[test]
fn what_goes_to_the_device_and_comes_from_it_is_counted() {
    let (size, kept) = (Size::new(64, 48), Kept::default());
    let gpu = Gpu::open_with(&AdapterChoice::default(), &kept).unwrap();
    let shape = CanvasShape::new(size).unwrap();
    let path = Path::Staged(Staged::new(&gpu, &shape));
    let mut compositor = Compositor::on(gpu, shape, path).unwrap();
    let list = DrawList::of(size, vec![DrawOp::layer(InputKey(1), rect(0, 0, 64, 48))]);
    let mut noise = Noise(43);
    let (uploaded, read) = (64 * 48 * 3 / 2, shape.bytes() + READINGS_BYTES);
    for pictures in 1..=3 {
        let frame = [(InputKey(1), frame(&noise.picture(PixelFormat::I420, size, Color::CANVAS)))];
        // The second time it is the same, and nothing goes either way.
        for _ in 0..2 {
            draw_one(&mut compositor, &list, &frame);
            let traffic = &kept.traffic;
            let went = [traffic.host_copies(), traffic.uploaded_bytes(), traffic.read_bytes()];
            assert_eq!(went, [pictures, pictures * uploaded, pictures * read]);
        }
    }
}
