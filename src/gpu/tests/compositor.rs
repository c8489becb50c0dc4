//! Shaders and copies against their CPU twins, on both paths; canvases that come back; draws that repeat.

use std::sync::OnceLock;

use bytes::Bytes;

use super::*;
use crate::frame::{Color, Matrix, PixelFormat, Plane, Range};
use crate::gpu::AdapterChoice;
use crate::gpu::sources::SourceKey;
use crate::limits::{CANVAS_RING, OVERLAY_CACHE, OVERLAY_IDLE_DRAWS, SOURCE_IDLE_DRAWS};
use crate::media::encode::testing::await_true;
use crate::picture::{
    DrawOp, OverlayContent, OverlaySpec, Placement, Rect, RgbaImage, TextBox, TextSpec,
    overlay_rect,
};
use crate::worker;

#[path = "colors.rs"]
mod colors;
#[path = "layers.rs"]
mod layers;
#[path = "twin.rs"]
mod twin;

#[path = "blend.rs"]
mod blend;
#[path = "lent.rs"]
mod lent;
#[path = "loss.rs"]
mod loss;
#[path = "luma.rs"]
mod luma;
#[path = "renditions.rs"]
mod renditions;

#[path = "overlays.rs"]
mod overlays;

use twin::TwinCanvas;

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Gpu::open(&AdapterChoice::default()).unwrap()))
}

/// Both paths where the adapter has both; hardware has only the staged one.
fn compositors(size: Size) -> Vec<Compositor> {
    let (gpu, shape) = (gpu(), CanvasShape::new(size).unwrap());
    let path = Path::Staged(Staged::new(&gpu, &shape));
    let staged = Compositor::on(Arc::clone(&gpu), shape, path).unwrap();
    let shared = gpu.is_software().then(|| Compositor::new(gpu, size).unwrap());
    shared.into_iter().chain([staged]).collect()
}

impl Compositor {
    /// The picture that is in flight, however long its shaders take to be compiled: for valgrind that is longer than a device may
    /// take on air.
    pub(crate) fn await_picture(&mut self) -> Composed {
        let mut composed = None;
        await_true("a picture", || {
            composed = self.collect().unwrap();
            composed.is_some()
        });
        composed.unwrap()
    }
}

/// Repeatable noise: an xorshift generator.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 32) as u8
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    fn picture(&mut self, format: PixelFormat, size: Size, color: Color) -> Arc<Picture> {
        Arc::new(self.samples(format, size, color))
    }

    fn samples(&mut self, format: PixelFormat, size: Size, color: Color) -> Picture {
        // Strides that are not row lengths, and one that is no whole number of NV12's chroma pairs.
        let shapes = format.plane_shapes(size);
        let planes = shapes.iter().map(|&(row_bytes, rows)| {
            let stride_bytes = row_bytes + 3;
            let mut data = self.bytes(stride_bytes * rows);
            for row in data.chunks_mut(stride_bytes).filter(|_| format.sample_bytes() == 2) {
                for sample in row.as_chunks_mut::<2>().0 {
                    // Ten bits, where the format has them.
                    let bits = u16::from_le_bytes(*sample) >> 6;
                    let shift = if format == PixelFormat::P010 { 6 } else { 0 };
                    *sample = (bits << shift).to_le_bytes();
                }
            }
            Plane { data: Bytes::from(data), stride_bytes }
        });
        Picture::new(format, size, color, planes.collect()).unwrap()
    }

    fn image(&mut self, width_px: u32, height_px: u32) -> RgbaImage {
        let pixels = self.bytes((width_px * height_px * 4) as usize);
        RgbaImage { size: Size::new(width_px, height_px), pixels }
    }
}

fn frame(picture: &Arc<Picture>) -> VideoFrame {
    VideoFrame { pts_ns: 0, picture: Arc::clone(picture), scaled: Vec::new() }
}

fn rect(x_px: i32, y_px: i32, width_px: u32, height_px: u32) -> Rect {
    Rect { x_px, y_px, width_px, height_px }
}

fn draw_one(
    c: &mut Compositor,
    list: &DrawList,
    frames: &[(InputKey, VideoFrame)],
) -> Arc<Picture> {
    c.draw(7, list, frames).unwrap();
    let finished = c.finish().unwrap();
    assert_eq!((finished.len(), finished[0].tick), (1, 7));
    Arc::clone(&finished[0].picture)
}

/// Largest difference in a sample; padding is not looked at.
fn largest_difference(got: &Picture, want: &TwinCanvas) -> u8 {
    assert_eq!((got.size(), got.format()), (want.size, PixelFormat::Nv12));
    let width = want.size.width_px as usize;
    let [luma, chroma] = [0, 1].map(|plane| {
        let plane = &got.planes()[plane];
        plane.data.chunks(plane.stride_bytes).flat_map(|row| &row[..width])
    });
    let luma = luma.zip(&want.y).map(|(a, b)| a.abs_diff(*b));
    let chroma = chroma.zip(want.uv.as_flattened()).map(|(a, b)| a.abs_diff(*b));
    luma.chain(chroma).max().unwrap()
}

#[track_caller]
fn check(what: &str, list: &DrawList, frames: &[(InputKey, VideoFrame)], want: &TwinCanvas) {
    for mut compositor in compositors(list.canvas) {
        let got = draw_one(&mut compositor, list, frames);
        let difference = largest_difference(&got, want);
        assert!(difference <= 1, "{what}: {difference} on {:?}", compositor.path);
    }
}

#[test]
fn layers_agree_with_their_twin() {
    use PixelFormat::{I420, Nv12};
    let canvas = Color::CANVAS;
    let sd = Color { matrix: Matrix::Bt601, range: Range::Limited };
    let full = Color { matrix: Matrix::Bt709, range: Range::Full };
    let wide = Color { matrix: Matrix::Bt2020, range: Range::Full };
    let mut noise = Noise(1);
    for (canvas_px, source, format, color, at) in [
        // Unscaled: whole, off to each side, on a half block.
        ((64, 48), (64, 48), I420, canvas, rect(0, 0, 64, 48)),
        ((64, 48), (32, 16), Nv12, canvas, rect(2, 6, 32, 16)),
        ((64, 48), (32, 16), I420, canvas, rect(-10, -6, 32, 16)),
        ((64, 48), (32, 16), Nv12, canvas, rect(50, 40, 32, 16)),
        ((64, 48), (32, 16), I420, sd, rect(14, 2, 32, 16)),
        // Up, by whole and broken factors.
        ((64, 48), (32, 24), I420, canvas, rect(0, 0, 64, 48)),
        ((62, 48), (33, 17), Nv12, canvas, rect(-6, 2, 70, 40)),
        ((854, 480), (320, 180), I420, canvas, rect(0, 0, 854, 480)),
        // Down to half, and beyond, where areas are averaged; one axis only; very far.
        ((64, 48), (100, 80), Nv12, canvas, rect(2, 0, 60, 48)),
        ((64, 48), (128, 96), I420, canvas, rect(0, 0, 64, 48)),
        ((64, 48), (200, 150), Nv12, canvas, rect(6, 4, 50, 40)),
        ((64, 48), (200, 40), I420, sd, rect(0, 0, 64, 48)),
        ((64, 48), (1000, 700), I420, canvas, rect(30, 20, 14, 8)),
        // Portrait, conversions, odd sources.
        ((48, 86), (64, 36), I420, full, rect(0, 10, 48, 26)),
        ((64, 48), (31, 23), I420, wide, rect(0, 0, 64, 48)),
        ((64, 48), (64, 48), Nv12, full, rect(0, 0, 64, 48)),
        ((854, 480), (426, 240), Nv12, sd, rect(428, 2, 426, 478)),
    ] {
        let size = Size::new(canvas_px.0, canvas_px.1);
        let picture = noise.picture(format, Size::new(source.0, source.1), color);
        let mut want = TwinCanvas::black(size);
        want.plain(&picture, at);
        let ops = vec![DrawOp::layer(InputKey(1), at)];
        let what = format!("{format:?} {source:?} {color:?} at {at:?} of {canvas_px:?}");
        check(&what, &DrawList::of(size, ops), &[(InputKey(1), frame(&picture))], &want);
    }
}

#[test]
fn overlays_agree_with_their_twin() {
    let mut noise = Noise(2);
    for (canvas_px, image, placement, opacity) in [
        ((64, 48), (20, 10), (0.25, 0.25, 0.0), 255),
        // On a half block, over each edge, odd sides.
        ((64, 48), (20, 10), (0.03125, 0.0, 0.0), 200),
        ((64, 48), (20, 10), (-0.125, -0.0625, 0.0), 255),
        ((64, 48), (20, 10), (0.9, 0.9, 0.0), 128),
        ((854, 480), (21, 11), (0.5, 0.5, 0.0), 255),
        // Scaled up, down, far down.
        ((64, 48), (20, 10), (0.1, 0.1, 0.5), 255),
        ((64, 48), (40, 60), (0.0, 0.0, 0.8), 90),
        ((64, 48), (400, 300), (0.25, 0.0, 0.75), 255),
    ] {
        let size = Size::new(canvas_px.0, canvas_px.1);
        let image = noise.image(image.0, image.1);
        let under = noise.picture(PixelFormat::Nv12, size, Color::CANVAS);
        let (x, y, height) = placement;
        let placement = Placement { x, y, height, ..Placement::default() };
        let mut want = TwinCanvas::black(size);
        want.plain(&under, rect(0, 0, size.width_px, size.height_px));
        let padded = padded(&image);
        want.overlay(&padded, overlay_rect(&placement, padded.size, size), opacity);
        let ops = vec![
            DrawOp::layer(InputKey(1), rect(0, 0, size.width_px, size.height_px)),
            overlay(image, placement, opacity),
        ];
        let what = format!("{placement:?} {opacity} of {canvas_px:?}");
        check(&what, &DrawList::of(size, ops), &[(InputKey(1), frame(&under))], &want);
    }
}

fn overlay(image: RgbaImage, placement: Placement, opacity: u8) -> DrawOp {
    let content = Arc::new(OverlayContent::Image(Arc::new(image)));
    let spec = OverlaySpec { opacity, ..OverlaySpec::new(content, placement) };
    DrawOp::Overlay(spec.draw_at(Size::new(2, 2), 0))
}

/// To even sides with transparent pixels.
fn padded(image: &RgbaImage) -> RgbaImage {
    let (w, h) = (image.size.width_px as usize, image.size.height_px as usize);
    let (pw, ph) = (w.next_multiple_of(2), h.next_multiple_of(2));
    let mut pixels = vec![0; pw * ph * 4];
    for (to, from) in pixels.chunks_mut(pw * 4).zip(image.pixels.chunks(w * 4)) {
        to[..w * 4].copy_from_slice(from);
    }
    RgbaImage { size: Size::new(pw as u32, ph as u32), pixels }
}

#[test]
fn order_holds_where_copies_and_shaders_take_turns() {
    let size = Size::new(64, 48);
    let mut noise = Noise(3);
    let small = noise.picture(PixelFormat::I420, Size::new(32, 24), Color::CANVAS);
    let large = noise.picture(PixelFormat::Nv12, Size::new(64, 48), Color::CANVAS);
    let image = noise.image(40, 30);
    let mut want = TwinCanvas::black(size);
    let ops = vec![
        overlay(image.clone(), Placement::default(), 255),
        DrawOp::layer(InputKey(1), rect(20, 10, 32, 24)),
        overlay(image.clone(), Placement { x: 0.5, ..Placement::default() }, 180),
        DrawOp::layer(InputKey(2), rect(40, 20, 64, 48)),
        // Scaled, so by shader, and under it an input that has no frame.
        DrawOp::layer(InputKey(9), rect(0, 0, 64, 48)),
        DrawOp::layer(InputKey(1), rect(2, 30, 16, 14)),
    ];
    want.overlay(&image, rect(0, 0, 40, 30), 255);
    want.plain(&small, rect(20, 10, 32, 24));
    want.overlay(&image, rect(32, 0, 40, 30), 180);
    want.plain(&large, rect(40, 20, 64, 48));
    want.plain(&small, rect(2, 30, 16, 14));
    let frames = [(InputKey(1), frame(&small)), (InputKey(2), frame(&large))];
    check("turns", &DrawList::of(size, ops), &frames, &want);
}

#[test]
fn an_empty_list_is_black_whatever_was_there() {
    let size = Size::new(854, 480);
    let picture = Noise(4).picture(PixelFormat::Nv12, size, Color::CANVAS);
    let whole = rect(0, 0, 854, 480);
    let full = DrawList::of(size, vec![DrawOp::layer(InputKey(1), whole)]);
    let empty = DrawList::of(size, Vec::new());
    for mut compositor in compositors(size) {
        for _ in 0..CANVAS_RING {
            draw_one(&mut compositor, &full, &[(InputKey(1), frame(&picture))]);
        }
        let got = draw_one(&mut compositor, &empty, &[]);
        assert_eq!(largest_difference(&got, &TwinCanvas::black(size)), 0);
    }
}

#[test]
fn canvases_come_back_and_handed_out_pictures_stay() {
    let size = Size::new(64, 48);
    let list = DrawList::of(size, vec![DrawOp::layer(InputKey(1), rect(0, 0, 64, 48))]);
    let flat = |y| [(InputKey(1), frame(&Arc::new(Picture::flat(size, [y, 128, 128]))))];
    for mut compositor in compositors(size) {
        let mut held: Vec<Arc<Picture>> =
            (0..CANVAS_RING as u8).map(|y| draw_one(&mut compositor, &list, &flat(y))).collect();
        assert_eq!(compositor.draw(8, &list, &flat(200)), Err(GpuError::NoCanvas));
        // A plane alone keeps its canvas; the last clone to go frees it.
        let plane = held.remove(0).planes()[0].clone();
        assert_eq!(compositor.draw(8, &list, &flat(200)), Err(GpuError::NoCanvas));
        drop(plane);
        let got = draw_one(&mut compositor, &list, &flat(200));
        assert_eq!(got.planes()[0].data[0], 200);
        for (y, picture) in (1..).zip(&held) {
            assert_eq!(picture.planes()[0].data[0], y);
        }
        // Pictures outlive their compositor.
        drop(compositor);
        assert_eq!(held[0].planes()[0].data[0], 1);
    }
}

#[test]
fn what_is_the_same_is_not_drawn_again() {
    let size = Size::new(64, 48);
    let picture = Noise(5).picture(PixelFormat::I420, size, Color::CANVAS);
    let frames = [(InputKey(1), frame(&picture))];
    let at = |x| DrawList::of(size, vec![DrawOp::layer(InputKey(1), rect(x, 0, 64, 48))]);
    for mut compositor in compositors(size) {
        for tick in 0..4 {
            compositor.draw(tick, &at(0), &frames).unwrap();
        }
        compositor.draw(4, &at(2), &frames).unwrap();
        let finished = compositor.finish().unwrap();
        assert_eq!(finished.iter().map(|f| f.tick).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let ids: Vec<_> = finished.iter().map(|f| f.picture.id()).collect();
        assert!(ids[..4].iter().all(|id| *id == ids[0]) && ids[4] != ids[0], "{ids:?}");
        assert_eq!(compositor.draws, 2);
    }
}

#[test]
fn canvases_that_cannot_be_are_refused() {
    for (width, height) in [(0, 2), (2, 0), (63, 48), (64, 47), (8194, 2)] {
        let size = Size::new(width, height);
        assert_eq!(Compositor::new(gpu(), size).unwrap_err(), GpuError::BadCanvas(size));
    }
}

#[test]
fn textures_are_shared_by_content_bounded_and_let_go_of() {
    let size = Size::new(64, 48);
    let mut compositor = Compositor::new(gpu(), size).unwrap();
    let mut noise = Noise(6);
    let image = noise.image(4, 4);
    let showing = |ops| DrawList::of(size, ops);
    let twice = [
        overlay(image.clone(), Placement::default(), 255),
        overlay(image, Placement::default(), 9),
    ];
    draw_one(&mut compositor, &showing(twice.to_vec()), &[]);
    assert_eq!(compositor.overlays.len(), 1);
    for _ in 0..2 * OVERLAY_CACHE {
        let other = overlay(noise.image(4, 4), Placement::default(), 255);
        draw_one(&mut compositor, &showing(vec![other]), &[]);
    }
    assert_eq!(compositor.overlays.len(), OVERLAY_CACHE);

    // A source that is scaled by a shader, then not shown for long: black, moved back and forth by an empty list.
    let layer = DrawOp::layer(InputKey(1), rect(0, 0, 64, 48));
    let source = SourceKey { input: InputKey(1), scaled_for: None };
    let picture = noise.picture(PixelFormat::I420, Size::new(32, 24), Color::CANVAS);
    draw_one(&mut compositor, &showing(vec![layer]), &[(InputKey(1), frame(&picture))]);
    assert!(compositor.sources.bind_group(source).is_some());
    let absent = |key| DrawOp::layer(InputKey(key), rect(0, 0, 2, 2));
    for draw in 0..=OVERLAY_IDLE_DRAWS.max(SOURCE_IDLE_DRAWS) as u32 {
        draw_one(&mut compositor, &showing(vec![absent(2 + draw % 2)]), &[]);
    }
    assert!(compositor.sources.bind_group(source).is_none());
    assert_eq!(compositor.overlays.len(), 0);
}

#[test]
fn a_text_that_cannot_be_painted_does_no_harm() {
    let size = Size::new(64, 48);
    let black = TwinCanvas::black(size);
    for (text, size_normalized) in [("", 0.5), ("x", 0.0), ("x", -1.0), ("x", f32::NAN)] {
        let content = Arc::new(OverlayContent::Text(TextSpec {
            text: text.into(),
            font_name: String::new(),
            color_rgb: 0xff_ff_ff,
            size_normalized,
            border_width_normalized: f32::INFINITY,
            border_rgb: Some(0),
            background: Some(TextBox { rgb: 0, opacity: f32::NAN, padding: f32::NAN }),
        }));
        let spec = OverlaySpec::new(content, Placement::default());
        let list = DrawList::of(size, vec![DrawOp::Overlay(spec.draw_at(size, 0))]);
        for mut compositor in compositors(size) {
            assert_eq!(largest_difference(&draw_one(&mut compositor, &list, &[]), &black), 0);
        }
    }
}

#[test]
fn compositors_on_several_threads_share_one_device() {
    let gpu = gpu();
    let size = Size::new(64, 48);
    let workers = (0..4u8).map(|number| {
        let gpu = Arc::clone(&gpu);
        worker::spawn("draws", worker::StopToken::new(), move |_| {
            let mut compositor = Compositor::new(gpu, size).unwrap();
            // Scaled, so that shaders draw and every picture is waited for among the others' work.
            let layer = DrawOp::layer(InputKey(1), rect(0, 0, 64, 48));
            let list = DrawList::of(size, vec![layer]);
            for draw in 0..50 {
                let luma = 16 + number * 50 + draw;
                let picture = Arc::new(Picture::flat(Size::new(32, 24), [luma, 128, 128]));
                let got = draw_one(&mut compositor, &list, &[(InputKey(1), frame(&picture))]);
                assert!(got.planes()[0].data.iter().all(|y| *y == luma));
            }
        })
    });
    let workers: Vec<_> = workers.map(Result::unwrap).collect();
    for worker in workers {
        assert_eq!(worker.join(), worker::Outcome::Returned);
    }
}
