//! Pictures that stay on the device: the same as those that come to the host, lent for as long as anybody has them, fetched once.

use super::*;
use crate::gpu::{Delivery, Kept};
use crate::media::cuda::ImportedMemory;
use crate::media::nvenc::testing::Simulator;

const SIZE: Size = Size::new(118, 64);
const SMALLER: [Size; 2] = [Size::new(62, 32), Size::new(30, 16)];

/// A compositor whose pictures stay on a device of its own, and what counts their copies.
fn lending() -> (Compositor, Kept) {
    let kept = Kept::default();
    let gpu = Gpu::open_with(&AdapterChoice::default(), &kept).unwrap();
    let mut compositor = Compositor::new(gpu, SIZE).unwrap();
    compositor.set_delivery(Delivery::Device);
    assert_eq!(compositor.delivery(), Delivery::Device);
    (compositor, kept)
}

fn compose(compositor: &mut Compositor, noise: &mut Noise) -> Composed {
    let picture = noise.picture(PixelFormat::Nv12, SIZE, Color::CANVAS);
    let whole = rect(0, 0, SIZE.width_px, SIZE.height_px);
    let list = DrawList::of(SIZE, vec![DrawOp::layer(InputKey(1), whole)]);
    compositor.draw(0, &list, &[(InputKey(1), frame(&picture))]).unwrap();
    compositor.await_picture()
}

fn all(composed: &Composed) -> Vec<Arc<Picture>> {
    std::iter::once(&composed.picture).chain(&composed.renditions).cloned().collect()
}

/// Rows of both planes, without padding.
fn rows(picture: &Picture) -> Vec<Vec<u8>> {
    let shapes = picture.format().plane_shapes(picture.size());
    let planes = picture.planes().iter().zip(shapes);
    let rows = planes.flat_map(|(plane, (row, rows))| {
        plane.data.chunks(plane.stride_bytes).take(rows).map(move |bytes| bytes[..row].to_vec())
    });
    rows.collect()
}

#[test]
fn pictures_on_the_device_are_those_of_the_host() {
    let ((mut lending, kept), simulator) = (lending(), Simulator::new(""));
    let mut ordinary = compositors(SIZE).pop().unwrap();
    let cuda = simulator.cuda();
    let context = cuda.retain(0).unwrap();
    let mut noises = [Noise(77), Noise(77)];
    for sizes in [&[][..], &SMALLER[..], &SMALLER[1..]] {
        let [a, b] = [&mut lending, &mut ordinary].map(|compositor| {
            compositor.set_renditions(sizes).unwrap();
            compositor
        });
        let (a, b) = (compose(a, &mut noises[0]), compose(b, &mut noises[1]));
        assert_eq!(a.luma, b.luma);
        let copies = kept.traffic.host_copies();
        let (here, there) = (all(&a), all(&b));
        assert_eq!((here.len(), there.len()), (1 + sizes.len(), 1 + sizes.len()));
        for (fetched, (a, b)) in (1..).zip(here.iter().zip(&there)) {
            let place = a.keeper().unwrap().place();
            assert_eq!(place.pitch_bytes % 256, 0);
            let mut bytes =
                vec![0; place.pitch_bytes as usize * a.size().height_px as usize * 3 / 2];
            let imported = ImportedMemory::of(&place.memory, &context).unwrap();
            imported.read(place.offset_bytes, &mut bytes).unwrap();
            let width = a.size().width_px as usize;
            let by_cuda = bytes.chunks(place.pitch_bytes as usize).map(|row| row[..width].to_vec());
            let by_cuda: Vec<_> = by_cuda.collect();
            assert_eq!(kept.traffic.host_copies(), copies + fetched - 1, "nobody has asked yet");
            assert!(by_cuda == rows(a) && rows(a) == rows(b), "{:?}", a.size());
            assert!(a.fetch().is_ok());
            assert_eq!(kept.traffic.host_copies(), copies + fetched, "once each");
        }
    }
    drop(context);
    simulator.check_empty();
}

#[test]
fn canvases_come_back_when_nobody_has_their_pictures() {
    let (mut lending, _kept) = lending();
    lending.set_renditions(&SMALLER[..1]).unwrap();
    let mut noise = Noise(3);
    let mut held: Vec<Composed> =
        (0..CANVAS_RING).map(|_| compose(&mut lending, &mut noise)).collect();
    // Where they are, all in one memory.
    let places = |held: &[Composed]| -> std::collections::BTreeSet<u64> {
        let all = || held.iter().map(|of| of.picture.keeper().unwrap().place());
        assert!(all().all(|place| place.memory.id() == all().next().unwrap().memory.id()));
        all().map(|place| place.offset_bytes).collect()
    };
    assert_eq!(places(&held).len(), CANVAS_RING);
    // One more for an encoder that is slow, then there is none.
    held.push(compose(&mut lending, &mut noise));
    let list = DrawList::of(SIZE, Vec::new());
    assert_eq!(lending.draw(1, &list, &[]), Err(GpuError::NoCanvas));
    let before = places(&held);
    // A rendition keeps its canvas.
    let kept = held.remove(0).renditions.remove(0);
    assert_eq!(lending.draw(1, &list, &[]), Err(GpuError::NoCanvas));
    drop(kept);
    held.push(compose(&mut lending, &mut noise));
    assert_eq!(places(&held), before);
}

#[test]
fn delivery_changes_between_draws_and_what_is_in_flight_comes() {
    let (mut compositor, kept) = lending();
    let mut noise = Noise(5);
    let list = DrawList::of(SIZE, vec![DrawOp::layer(InputKey(1), rect(0, 0, 118, 64))]);
    let mut draw = |compositor: &mut Compositor, tick| {
        let picture = noise.picture(PixelFormat::Nv12, SIZE, Color::CANVAS);
        compositor.draw(tick, &list, &[(InputKey(1), frame(&picture))]).unwrap();
    };
    let ways = [Delivery::Device, Delivery::Host, Delivery::Device, Delivery::Host];
    for (tick, way) in (0..).zip(ways) {
        compositor.set_delivery(way);
        draw(&mut compositor, tick);
    }
    let composed = compositor.finish().unwrap();
    let got: Vec<_> = composed.iter().map(|of| (of.tick, of.picture.keeper().is_some())).collect();
    assert_eq!(got, [(0, true), (1, false), (2, true), (3, false)]);
    assert_eq!(kept.traffic.host_copies(), 0);
}

#[test]
fn what_is_lost_with_its_device_is_told_and_black() {
    let (mut compositor, _kept) = lending();
    let mut noise = Noise(9);
    let (fetched, lost) =
        (compose(&mut compositor, &mut noise), compose(&mut compositor, &mut noise));
    let before = rows(&fetched.picture);
    compositor.gpu.destroy();
    assert_eq!(rows(&fetched.picture), before);
    assert!(lost.picture.fetch().is_err());
    assert!(rows(&lost.picture)[0].iter().all(|luma| *luma == 16));
    let other = Gpu::open(&AdapterChoice::default()).unwrap();
    let renewed = compositor.renewed(other).unwrap();
    assert_eq!(renewed.delivery(), Delivery::Device);
}
