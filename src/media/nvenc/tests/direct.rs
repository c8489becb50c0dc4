//! Pictures that lie on NVENC's device: encoded from there, without the host; by way of it when that fails.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::*;
use crate::device_memory::{Moment, OnDevice, Place, Timeline};
use crate::frame::{Color, Picture, PixelFormat, Plane, VideoFrame};
use crate::gpu::{AdapterChoice, Composed, Compositor, Gpu, Kept};
use crate::ids::InputKey;
use crate::media::encode::testing::{RATE, await_true};
use crate::media::nvenc::NvencReport;
use crate::media::packet::DecoderConfig;
use crate::picture::{DrawList, DrawOp, Rect};
use crate::worker::{self, Outcome, StopToken};

const SMALL: Size = Size::new(160, 90);

/// A graphics device of its own with a driver beside it, and a compositor before both.
struct Path {
    kept: Kept,
    gpu: Arc<Gpu>,
    simulator: Simulator,
    compositor: Compositor,
}

impl Path {
    fn new(faults: &str) -> Path {
        let kept = Kept::default();
        let gpu = Gpu::open_with(&AdapterChoice::default(), &kept).unwrap();
        let device = gpu.exports_as().expect("software Vulkan exports memory");
        let simulator = Simulator::beside(device, faults);
        let mut compositor = Compositor::new(Arc::clone(&gpu), SIZE).unwrap();
        compositor.deliver_to(Some(device));
        compositor.set_renditions(&[SMALL]).unwrap();
        let mut path = Path { kept, gpu, simulator, compositor };
        // Shaders are compiled for it.
        path.draw(0);
        path.compositor.await_picture();
        path
    }

    fn encoder(&self, size: Size) -> VideoEncoder {
        self.encoder_of(VideoCodec::H264, size)
    }

    fn encoder_of(&self, codec: VideoCodec, size: Size) -> VideoEncoder {
        let adapter = self.gpu.exports_as();
        let nvenc = NvencSettings { adapter, ..self.simulator.settings() };
        let asked = VideoSettings { codec, size, nvenc, ..video(&self.simulator) };
        VideoEncoder::open(&asked).unwrap()
    }

    /// What [`picture`] shows, composed.
    fn compose(&mut self, tick: u64) -> Composed {
        self.draw(tick);
        self.compositor.finish().unwrap().pop().unwrap()
    }

    fn draw(&mut self, tick: u64) {
        let Size { width_px, height_px } = SIZE;
        let whole = Rect { x_px: 0, y_px: 0, width_px, height_px };
        let list = DrawList::of(SIZE, vec![DrawOp::layer(InputKey(1), whole)]);
        let frame = VideoFrame { pts_ns: 0, picture: picture(tick), scaled: Vec::new() };
        self.compositor.draw(tick, &list, &[(InputKey(1), frame)]).unwrap();
    }

    fn report(&self) -> NvencReport {
        let adapter = self.gpu.exports_as();
        super::super::report(&NvencSettings { adapter, ..self.simulator.settings() })
    }
}

/// Mean luma of each picture of a stream of [`SIZE`].
fn shown(decoder: &DecoderConfig, packets: &[Packet]) -> Vec<u32> {
    let dir = Dir::new();
    let path = dir.0.join("shown");
    std::fs::write(&path, elementary(decoder, packets)).unwrap();
    lumas(path.to_str().unwrap())
}

fn check_shown(decoder: &DecoderConfig, packets: &[Packet], what: &str) {
    let times: Vec<i64> = packets.iter().map(|packet| packet.pts_ns).collect();
    let ticks: Vec<i64> = (0..40).map(|tick| RATE.tick_ns(tick) as i64).collect();
    assert_eq!(times, ticks, "{what}");
    let lumas = shown(decoder, packets);
    assert_eq!(lumas.len(), 40, "{what}");
    for (tick, luma) in (0_u32..).zip(lumas) {
        let wanted = 40 + tick * 2;
        assert!(luma.abs_diff(wanted) <= 3, "{what}: tick {tick}: {luma}, not {wanted}");
    }
}

#[test]
fn pictures_and_renditions_never_see_the_host() {
    VideoCodec::ALL.into_iter().for_each(check_direct);
}

fn check_direct(codec: VideoCodec) {
    let mut path = Path::new("");
    let (mut pgm, mut rung) = (path.encoder_of(codec, SIZE), path.encoder_of(codec, SMALL));
    let (mut packets, mut small) = (Vec::new(), Vec::new());
    for tick in 0..40 {
        let composed = path.compose(tick);
        packets.extend(pgm.encode(tick, &composed.picture, Idr::Auto).unwrap());
        small.extend(rung.encode(tick, &composed.renditions[0], Idr::Auto).unwrap());
    }
    let held = path.simulator.held();
    assert_eq!((held.pictures, held.direct), (80, 80));
    // Each session has the ring, once, and of it what it uses; the stream and the timeline only where there is one.
    assert_eq!(held.brought_in[..3], [2, 0, 0]);
    assert!((2..=14).contains(&held.brought_in[3]), "{held:?}");
    assert_eq!((path.kept.traffic.host_copies(), path.report().host_copies), (0, 0));
    check_shown(&pgm.decoder(), &packets, codec.name());
    assert_eq!(small.len(), 40);
    assert_eq!(pgm.intake().device(), path.gpu.exports_as());
    drop((pgm, rung));
    path.simulator.check_empty();
}

#[test]
fn what_is_held_stays_on_the_device_and_may_be_shown_again() {
    for [lookahead_pictures, b_frames] in [[8, 0], [0, 2], [6, 2]] {
        check_held(lookahead_pictures, b_frames);
    }
}

fn check_held(lookahead_pictures: u32, b_frames: u32) {
    let mut path = Path::new("");
    // Fewer canvases than are held without it.
    path.compositor =
        path.compositor.with_held((lookahead_pictures + 2 * b_frames) as usize).unwrap();
    let nvenc = NvencSettings { adapter: path.gpu.exports_as(), ..path.simulator.settings() };
    let base = video(&path.simulator);
    let ahead = VideoSettings { nvenc, lookahead_pictures, b_frames, ..base };
    let mut encoder = VideoEncoder::open(&ahead).unwrap();
    // One that ends with what it holds.
    let mut short = VideoEncoder::open(&ahead).unwrap();
    for tick in 0..3 {
        let held = path.compose(tick).picture;
        let out = short.encode(tick, &held, Idr::Auto).unwrap().len();
        assert_eq!(out, usize::from(lookahead_pictures + tick as u32 == 0));
    }
    drop(short);
    let (mut packets, mut composed) = (Vec::new(), path.compose(0));
    for tick in 0..40 {
        // Each fourth shows once more what the encoder holds.
        if tick % 4 != 3 {
            composed = path.compose(tick);
        }
        packets.extend(encoder.encode(tick, &composed.picture, Idr::Auto).unwrap());
    }
    let decoder = encoder.decoder();
    packets.extend(encoder.finish().unwrap());
    let lumas = shown(&decoder, &packets);
    assert_eq!(lumas.len(), 40);
    for (tick, luma) in (0_u32..).zip(lumas) {
        let wanted = 40 + (tick - u32::from(tick % 4 == 3)) * 2;
        assert!(luma.abs_diff(wanted) <= 3, "tick {tick}: {luma}, not {wanted}");
    }
    let held = path.simulator.held();
    assert_eq!((held.pictures, held.direct), (43, 43));
    assert_eq!((path.kept.traffic.host_copies(), path.report().host_copies), (0, 0));
    path.simulator.check_empty();
}

#[test]
fn what_fails_goes_by_way_of_the_host_without_a_frame_less() {
    for (faults, direct, told) in [
        ("no-import", 0, "cuImportExternalMemory: 2"),
        ("no-register", 0, "NV_ENC_ERR_RESOURCE_REGISTER_FAILED"),
        ("unmappable=180@17", 17, "NV_ENC_ERR_MAP_FAILED"),
    ] {
        let mut path = Path::new(faults);
        let mut encoder = path.encoder(SIZE);
        let mut packets = Vec::new();
        for tick in 0..40 {
            let picture = path.compose(tick).picture;
            packets.extend(encoder.encode(tick, &picture, Idr::Auto).unwrap());
        }
        check_shown(&encoder.decoder(), &packets, faults);
        let held = path.simulator.held();
        assert_eq!((held.pictures, held.direct), (40, direct), "{faults}");
        let copied = 40 - direct;
        assert_eq!((path.kept.traffic.host_copies(), path.report().host_copies), (copied, copied));
        let intake = encoder.intake();
        assert_eq!(intake.device(), None, "{faults}");
        let refused = intake.refused().unwrap_or_default();
        assert!(refused.contains(told), "{faults}: {refused}");
        drop(encoder);
        path.simulator.check_empty();
    }
}

#[test]
fn memory_of_another_device_is_not_brought_in() {
    let mut path = Path::new("");
    let other = Simulator::new("uuid=000102030405060708090a0b0c0d0e0f");
    let mut encoder = VideoEncoder::open(&video(&other)).unwrap();
    let picture = path.compose(0).picture;
    assert_eq!(encoder.encode(0, &picture, Idr::Auto).unwrap().len(), 1);
    assert_eq!((other.held().brought_in, other.held().direct), ([0; 4], 0));
    assert_eq!(path.kept.traffic.host_copies(), 1);
    assert_eq!(encoder.intake().refused(), None);
    drop(encoder);
    other.check_empty();
}

#[test]
fn a_canvas_is_kept_until_nvenc_is_done_with_it() {
    let mut path = Path::new("hold=2");
    let mut encoder = path.encoder(SIZE);
    let pictures: Vec<_> = (0..3).map(|tick| path.compose(tick).picture).collect();
    let held = |picture: &Arc<Picture>| Arc::strong_count(picture) - 1;
    // The compositor has the last one, to repeat it.
    for (tick, picture) in (0..2).zip(&pictures) {
        assert!(encoder.encode(tick, picture, Idr::Auto).unwrap().is_empty());
        assert_eq!(held(picture), 1);
    }
    assert_eq!(encoder.encode(2, &pictures[2], Idr::Auto).unwrap().len(), 3);
    assert_eq!(pictures[..2].iter().map(held).collect::<Vec<_>>(), [0, 0]);
    drop(encoder);
    path.simulator.check_empty();
}

#[test]
fn what_a_lost_session_had_is_given_back() {
    let mut path = Path::new("lost=180@3");
    let mut encoder = path.encoder(SIZE);
    for tick in 0..3 {
        let picture = path.compose(tick).picture;
        encoder.encode(tick, &picture, Idr::Auto).unwrap();
    }
    let picture = path.compose(3).picture;
    assert!(encoder.encode(3, &picture, Idr::Auto).is_err());
    drop(encoder);
    path.simulator.check_empty();
    assert_eq!(picture.planes()[0].data[0], 46);
}

#[test]
fn another_compositor_takes_over_and_the_old_memory_goes() {
    let mut path = Path::new("");
    let mut encoder = path.encoder(SIZE);
    let mut last = None;
    for tick in 0..12 {
        let picture = path.compose(tick).picture;
        encoder.encode(tick, &picture, Idr::Auto).unwrap();
        last = Some(picture);
    }
    let ring = |path: &Path| {
        let [memories, _, _, registered] = path.simulator.held().brought_in;
        (memories, registered)
    };
    let before = ring(&path);
    assert!(before.0 == 1 && before.1 > 1, "{before:?}");
    path.gpu.destroy();
    // What is on the lost device is still there for CUDA.
    let last = last.unwrap();
    for tick in 12..15 {
        assert_eq!(encoder.encode(tick, &last, Idr::Auto).unwrap().len(), 1);
    }
    drop(last);
    path.gpu = Gpu::open_with(&AdapterChoice::default(), &path.kept).unwrap();
    path.compositor = path.compositor.renewed(Arc::clone(&path.gpu)).unwrap();
    let picture = path.compose(15).picture;
    assert_eq!(encoder.encode(15, &picture, Idr::Auto).unwrap().len(), 1);
    assert_eq!(ring(&path), (1, 1));
    assert_eq!((path.simulator.held().direct, path.kept.traffic.host_copies()), (16, 0));
    drop(encoder);
    path.simulator.check_empty();
}

/// A picture that is there at a moment.
#[derive(Debug)]
struct Later {
    keeper: Arc<dyn OnDevice>,
    place: Place,
}

impl OnDevice for Later {
    fn place(&self) -> &Place {
        &self.place
    }

    fn fetch(&self) -> Result<Vec<Plane>, String> {
        self.keeper.fetch()
    }
}

#[test]
#[expect(unsafe_code, reason = "a timeline of the test's own, which software Vulkan cannot export")]
fn nvenc_waits_until_a_picture_is_there() {
    let mut path = Path::new("");
    let mut encoder = path.encoder(SIZE);
    // SAFETY: the name is a string, and the descriptor that comes back is nobody else's.
    let mut file = unsafe {
        use std::os::fd::FromRawFd;
        std::fs::File::from_raw_fd(libc::memfd_create(c"timeline".as_ptr(), 0))
    };
    file.set_len(16).unwrap();
    let device = path.gpu.exports_as().unwrap();
    let timeline = Arc::new(Timeline::new(device, OwnedFd::from(file.try_clone().unwrap())));
    let keeper = Arc::clone(path.compose(0).picture.keeper().unwrap());
    let ready = Some(Moment { timeline, value: 1 });
    let place = Place { ready, ..keeper.place().clone() };
    let later = Arc::new(Later { keeper, place });
    let picture = Arc::new(Picture::on_device(PixelFormat::Nv12, SIZE, Color::CANVAS, later));
    let encoding = worker::spawn("encodes", StopToken::new(), move |_| {
        assert_eq!(encoder.encode(0, &picture, Idr::Auto).unwrap().len(), 1);
    })
    .unwrap();
    await_true("the wait", || path.simulator.held().brought_in[1] == 1);
    assert_eq!(path.simulator.held().pictures, 0);
    file.write_all(&1_u64.to_le_bytes()).unwrap();
    assert_eq!(encoding.join(), Outcome::Returned);
    assert_eq!(path.simulator.held().direct, 1);
    path.simulator.check_empty();
}

#[test]
fn a_thousand_paths_leave_nothing() {
    let mut path = Path::new("");
    let once = |path: &mut Path, tick| {
        path.compositor = Compositor::new(Arc::clone(&path.gpu), SIZE).unwrap();
        path.compositor.deliver_to(path.gpu.exports_as());
        let mut encoder = path.encoder(SIZE);
        let picture = path.compose(tick).picture;
        assert_eq!(encoder.encode(tick, &picture, Idr::Auto).unwrap().len(), 1);
    };
    (0..2).for_each(|tick| once(&mut path, tick));
    path.gpu.settle().unwrap();
    let before = (open_descriptors(), path.gpu.census());
    (0..1000).for_each(|tick| once(&mut path, tick));
    path.gpu.settle().unwrap();
    assert_eq!((open_descriptors(), path.gpu.census()), before);
    assert_eq!((path.simulator.held().direct, path.kept.traffic.host_copies()), (1002, 0));
    path.simulator.check_empty();
}
