//! Pictures that stay on the card, over the simulated driver: it knows memory and copies, and has no `libnvcuvid.so.1`.

use super::surface::{Shelf, Surface};
use super::testing::{nvdec, own_device, supply};
use super::*;
use crate::frame::{Color, Picture, PixelFormat, Plane, VideoFrame};
use crate::gpu::{Compositor, Supply};
use crate::ids::InputKey;
use crate::limits;
use crate::media::cuda::{Rows, Stream};
use crate::media::nvenc::testing::Simulator;
use crate::picture::{DrawList, DrawOp, Rect};

const KEY: InputKey = InputKey(1);

/// Planes as a decoder leaves them: rows further apart than they are long.
fn decoded(format: PixelFormat, size: Size, seed: usize) -> Vec<(Vec<u8>, usize)> {
    let plane = |(row_bytes, rows): (usize, usize)| {
        let pitch = row_bytes + 40;
        let byte = |at: usize| ((at * (seed + 7) / 3 + at / pitch * 5) % 251) as u8;
        let mut data: Vec<u8> = (0..pitch * rows).map(byte).collect();
        if format == PixelFormat::P010 {
            data.chunks_mut(2).for_each(|sample| sample[0] &= 0xc0);
        }
        (data, pitch)
    };
    format.plane_shapes(size).into_iter().map(plane).collect()
}

/// What [`CardStream::picture`] does with a decoder's planes.
fn put(
    surface: Surface,
    stream: &Stream<'_>,
    planes: &[(Vec<u8>, usize)],
) -> Arc<dyn crate::device_memory::OnDevice> {
    for ((data, pitch), to) in planes.iter().zip(surface.rows()) {
        let from = Rows { address: data.as_ptr() as u64, pitch: *pitch, width: 0, rows: 0 };
        stream.copy(&from, &to).unwrap();
    }
    stream.finish().unwrap();
    Arc::new(surface)
}

fn canvas(supply: &Supply, picture: &Arc<Picture>, rect: Rect) -> Vec<u8> {
    let size = Size::new(160, 90);
    let mut compositor = Compositor::new(supply.gpu().unwrap(), size).unwrap();
    let list = DrawList::of(size, vec![DrawOp::layer(KEY, rect)]);
    let frame = VideoFrame { pts_ns: 0, picture: Arc::clone(picture), scaled: Vec::new() };
    compositor.draw(0, &list, &[(KEY, frame)]).unwrap();
    let composed = compositor.await_picture();
    composed.picture.planes().iter().flat_map(|plane| plane.data.to_vec()).collect()
}

#[test]
fn what_a_decoder_leaves_on_the_card_is_composed_there() {
    let supply = supply();
    let simulator = Simulator::new(&own_device(&supply));
    let nvdec = nvdec(&simulator, &supply);
    let shelf = Arc::new(Shelf::new(Arc::clone(&nvdec)));
    let stream = Stream::new(&nvdec.context).unwrap();
    let scaled = Rect { x_px: 10, y_px: 6, width_px: 120, height_px: 70 };
    for (seed, (format, size)) in [
        (PixelFormat::Nv12, Size::new(320, 180)),
        (PixelFormat::P010, Size::new(320, 180)),
        (PixelFormat::Nv12, Size::new(322, 182)),
        (PixelFormat::Nv12, Size::new(161, 91)),
        // What was freed goes round.
        (PixelFormat::Nv12, Size::new(161, 91)),
    ]
    .into_iter()
    .enumerate()
    {
        let planes = decoded(format, size, seed);
        let surface = shelf.take(format, size).unwrap();
        let keeper = put(surface, &stream, &planes);
        let on_card = Arc::new(Picture::on_device(format, size, Color::CANVAS, keeper));
        let host = planes
            .iter()
            .map(|(data, pitch)| Plane { data: data.clone().into(), stride_bytes: *pitch });
        let host = Arc::new(Picture::new(format, size, Color::CANVAS, host.collect()).unwrap());
        let before = nvdec.report().host_copies;
        let (ours, theirs) = (canvas(&supply, &on_card, scaled), canvas(&supply, &host, scaled));
        assert!(ours == theirs, "{format:?} {size:?}");
        // The software adapter measures sources on the host, which makes it one copy, whoever asks.
        let _ = on_card.planes();
        assert_eq!(nvdec.report().host_copies, before + 1);
        for ((ours, theirs), (row_bytes, _)) in
            on_card.planes().iter().zip(host.planes()).zip(format.plane_shapes(size))
        {
            let rows =
                ours.data.chunks(ours.stride_bytes).zip(theirs.data.chunks(theirs.stride_bytes));
            assert!(rows.clone().count() > 0);
            for (ours, theirs) in rows {
                assert_eq!(ours[..row_bytes], theirs[..row_bytes], "{format:?} {size:?}");
            }
        }
    }
    drop((stream, shelf));
    drop(nvdec);
    simulator.check_empty();
}

#[test]
fn surfaces_are_bounded_and_go_round() {
    let supply = supply();
    let simulator = Simulator::new(&own_device(&supply));
    let nvdec = nvdec(&simulator, &supply);
    let shelf = Arc::new(Shelf::new(Arc::clone(&nvdec)));
    let take = |side| shelf.take(PixelFormat::Nv12, Size::new(side, side));
    let mut held: Vec<Surface> = (0..limits::CARD_SURFACES).map(|_| take(64).unwrap()).collect();
    assert!(take(64).is_none(), "more than there may be");
    let ids = |held: &[Surface]| {
        let mut ids: Vec<u64> = held.iter().map(|surface| surface.id()).collect();
        ids.sort_unstable();
        ids
    };
    let before = ids(&held);
    held.clear();
    held.extend((0..limits::CARD_SURFACES).map(|_| take(64).unwrap()));
    assert_eq!(ids(&held), before, "nothing is allocated anew");
    held.clear();
    // Pictures of another size: the old ones are given back as they come home.
    held.push(take(2000).unwrap());
    assert_eq!(simulator.held().brought_in[0], 1);
    // The device is lost: what it lent is of no use.
    supply.gpu().unwrap().destroy();
    drop(held);
    let again = take(2000).unwrap();
    assert!(!before.contains(&again.id()) && supply.holds(again.memory()));
    drop((again, shelf, nvdec));
    simulator.check_empty();
}

#[test]
fn without_all_of_the_driver_it_is_refused_by_name() {
    let supply = supply();
    let uuid = supply.exports_as().unwrap();
    let open = |faults: &str| {
        let simulator = Simulator::new(faults);
        let lender: Arc<dyn Lender> = Arc::<Supply>::clone(&supply);
        let refused = Nvdec::open(simulator.settings().libraries.as_deref(), uuid, lender);
        let refused = refused.unwrap_err();
        simulator.check_empty();
        refused
    };
    let own = own_device(&supply);
    for (faults, word, told) in [
        (own.clone(), "broken_driver", "libnvcuvid.so.1"),
        (String::new(), "other_device", "does not see the adapter"),
        (format!("{own},no-device"), "no_device", "no device"),
    ] {
        let refused = open(&faults);
        assert_eq!(refused.word(), word);
        assert!(refused.to_string().contains(told), "{refused}");
        assert!(NvdecReport::STATES.contains(&NvdecReport::none(refused).state()));
    }
    let nowhere = std::env::temp_dir().join("onair-no-driver");
    let lender: Arc<dyn Lender> = supply;
    assert_eq!(Nvdec::open(Some(&nowhere), uuid, lender).unwrap_err(), NoNvdec::NoDriver);
}
