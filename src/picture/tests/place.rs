//! Tables for every origin, fill mode and way to give a size, and the properties that hold for all of them.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::picture::{Backdrop, LayerSpec, Look, RgbaImage, TextSpec};

const HD: Size = Size::new(1920, 1080);

fn at(width: f32, height: f32, x: f32, y: f32) -> Placement {
    Placement { width, height, x, y, ..Placement::default() }
}

#[track_caller]
fn check(got: Rect, want: (i32, i32, u32, u32)) {
    assert_eq!((got.x_px, got.y_px, got.width_px, got.height_px), want);
}

#[test]
fn nine_origins() {
    use PositionRefer as R;
    // A 480 × 270 layer, 0.1 (192 px) and 0.05 (54 px) towards the inside.
    for (refer, x, y) in [
        (R::TopLeft, 192, 54),
        (R::TopCenter, 720 + 192, 54),
        (R::TopRight, 1920 - 480 - 192, 54),
        (R::LeftCenter, 192, 405 + 54 + 1),
        (R::Center, 720 + 192, 405 + 54 + 1),
        (R::RightCenter, 1920 - 480 - 192, 405 + 54 + 1),
        (R::BottomLeft, 192, 1080 - 270 - 54),
        (R::BottomCenter, 720 + 192, 1080 - 270 - 54),
        (R::BottomRight, 1920 - 480 - 192, 1080 - 270 - 54),
    ] {
        let p = Placement { refer, ..at(0.25, 0.25, 0.1, 0.05) };
        check(layer_rect(&p, Size::new(1280, 720), HD), (x, y, 480, 270));
        check(overlay_rect(&p, Size::new(1280, 720), HD), (x, y, 480, 270));
    }
}

#[test]
fn ways_to_give_a_size() {
    let sd = Size::new(640, 480);
    for (width, height, layer, overlay) in [
        (0.0, 0.0, (640, 480), (640, 480)),
        (0.5, 0.0, (960, 720), (960, 720)),
        (0.0, 0.5, (720, 540), (720, 540)),
        (0.5, 0.5, (960, 540), (720, 540)),
    ] {
        let p = at(width, height, 0.0, 0.0);
        check(layer_rect(&p, sd, HD), (0, 0, layer.0, layer.1));
        check(overlay_rect(&p, sd, HD), (0, 0, overlay.0, overlay.1));
        // An overlay knows no boxes.
        let fit = Placement { fill: FillMode::Fit, ..p };
        check(overlay_rect(&fit, sd, HD), (0, 0, overlay.0, overlay.1));
    }
}

#[test]
fn fit_keeps_aspect_and_centres() {
    let fit =
        |p: Placement, native| layer_rect(&Placement { fill: FillMode::Fit, ..p }, native, HD);
    check(fit(at(1.0, 1.0, 0.0, 0.0), Size::new(640, 480)), (240, 0, 1440, 1080));
    check(fit(at(1.0, 1.0, 0.0, 0.0), Size::new(2000, 500)), (0, 300, 1920, 480));
    check(fit(at(0.5, 1.0, 0.5, 0.0), Size::new(1280, 720)), (960, 270, 960, 540));
    check(fit(at(0.0, 0.0, 0.0, 0.0), Size::new(1280, 720)), (0, 0, 1920, 1080));
    check(fit(at(0.25, 0.25, 0.0, 0.0), Size::new(100_000, 1)), (0, 134, 480, 2));
}

#[test]
fn halves_of_an_odd_pair_count_meet() {
    let canvas = Size::new(854, 480);
    let left = layer_rect(&at(0.5, 1.0, 0.0, 0.0), Size::new(640, 360), canvas);
    let right = layer_rect(&at(0.5, 1.0, 0.5, 0.0), Size::new(640, 360), canvas);
    check(left, (0, 0, 428, 480));
    check(right, (428, 0, 426, 480));
}

fn image(width_px: u32, height_px: u32) -> Arc<OverlayContent> {
    let pixels = vec![255; (width_px * height_px * 4) as usize];
    Arc::new(OverlayContent::Image(Arc::new(RgbaImage {
        size: Size::new(width_px, height_px),
        pixels,
    })))
}

fn text(text: &str) -> Arc<OverlayContent> {
    Arc::new(OverlayContent::Text(TextSpec {
        text: text.into(),
        font_name: "KaiTi".into(),
        color_rgb: 0xff_ff_ff,
        size_normalized: 0.1,
        ..TextSpec::default()
    }))
}

fn overlay(content: Arc<OverlayContent>) -> OverlaySpec {
    OverlaySpec::new(content, Placement::default())
}

#[test]
fn composes_in_order_and_leaves_out_what_does_not_show() {
    let layer = |key, placement| LayerSpec {
        input: InputKey(key),
        placement,
        delay_ms: 0,
        look: Look::default(),
    };
    let scene = ScenePicture {
        layers: vec![
            layer(1, at(1.0, 1.0, 0.0, 0.0)),
            layer(2, at(1.0, 1.0, 0.0, 0.0)), // no size yet
            layer(3, at(0.5, 0.5, 1.0, 0.0)), // outside
        ],
        overlays: vec![
            overlay(text("title")),
            OverlaySpec { background: true, ..overlay(image(64, 64)) },
            OverlaySpec { opacity: 0, ..overlay(image(64, 64)) },
            OverlaySpec { placement: at(0.0, 0.0, 0.0, -0.5), ..overlay(image(64, 64)) },
            overlay(text(" \n")),
            overlay(image(8, 8)),
        ],
        ..ScenePicture::default()
    };
    let sizes = |key: InputKey| (key != InputKey(2)).then_some(Size::new(1280, 720));
    let list = compose(&scene, &sizes, HD, 0);
    let want = [
        DrawOp::Overlay(scene.overlays[1].draw_at(HD, 0)),
        DrawOp::layer(InputKey(1), Rect { x_px: 0, y_px: 0, width_px: 1920, height_px: 1080 }),
        DrawOp::Overlay(scene.overlays[0].draw_at(HD, 0)),
        DrawOp::Overlay(scene.overlays[5].draw_at(HD, 0)),
    ];
    assert_eq!((list.canvas, list.ops.as_slice()), (HD, want.as_slice()));
}

fn refers() -> impl Strategy<Value = PositionRefer> {
    use PositionRefer as R;
    prop::sample::select(vec![
        R::TopLeft,
        R::TopRight,
        R::BottomLeft,
        R::BottomRight,
        R::Center,
        R::TopCenter,
        R::BottomCenter,
        R::LeftCenter,
        R::RightCenter,
    ])
}

prop_compose! {
    fn placements()(
        width in prop_oneof![Just(0f32), 0f32..=1.0],
        height in prop_oneof![Just(0f32), 0f32..=1.0],
        x in -1f32..=1.0,
        y in -1f32..=1.0,
        refer in refers(),
    ) -> Placement {
        Placement { width, height, x, y, refer, fill: FillMode::None }
    }
}

fn canvases() -> impl Strategy<Value = Size> {
    let all = [(640, 360), (854, 480), (1280, 720), (1920, 1080), (480, 854), (1080, 1920)];
    prop::sample::select(all.map(|(w, h)| Size::new(w, h)).to_vec())
}

fn assert_even(r: Rect) {
    assert!(r.x_px % 2 == 0 && r.y_px % 2 == 0);
    assert!(r.width_px.is_multiple_of(2) && r.height_px.is_multiple_of(2));
    assert!(r.width_px >= 2 && r.height_px >= 2);
}

proptest! {
    #[test]
    fn always_even(p in placements(), w in 1u32..5000, h in 1u32..5000, canvas in canvases()) {
        assert_even(layer_rect(&p, Size::new(w, h), canvas));
        assert_even(overlay_rect(&p, Size::new(w, h), canvas));
        assert_even(layer_rect(&Placement { fill: FillMode::Fit, ..p }, Size::new(w, h), canvas));
    }

    #[test]
    fn fit_stays_in_its_box(
        p in placements(), w in 16u32..5000, h in 16u32..5000, canvas in canvases(),
    ) {
        prop_assume!(p.width > 0.01 && p.height > 0.01);
        let frame = layer_rect(&p, Size::new(w, h), canvas);
        let r = layer_rect(&Placement { fill: FillMode::Fit, ..p }, Size::new(w, h), canvas);
        assert!(r.x_px >= frame.x_px && r.y_px >= frame.y_px);
        let end = |start: i32, length: u32| start + length.cast_signed();
        assert!(end(r.x_px, r.width_px) <= end(frame.x_px, frame.width_px));
        assert!(end(r.y_px, r.height_px) <= end(frame.y_px, frame.height_px));
        assert!(r.width_px == frame.width_px || r.height_px == frame.height_px);
        // Aspect: the short side is within a pixel pair of what the long side asks for.
        let (rw, rh, nw, nh) = (r.width_px as f64, r.height_px as f64, w as f64, h as f64);
        assert!((rw * nh / nw - rh).abs() <= 2.0 || (rh * nw / nh - rw).abs() <= 2.0, "{r:?}");
    }

    #[test]
    fn hostile_fractions_do_no_harm(
        bits in prop::array::uniform4(any::<u32>()), refer in refers(),
    ) {
        let [width, height, x, y] = bits.map(f32::from_bits);
        for fill in [FillMode::None, FillMode::Fit] {
            let p = Placement { width, height, x, y, refer, fill };
            assert_even(layer_rect(&p, Size::new(1, u32::MAX), HD));
            assert_even(overlay_rect(&p, Size::new(u32::MAX, 1), HD));
        }
    }
}

#[test]
fn a_backdrop_is_under_everything_and_covers_the_canvas() {
    let image = image(64, 64);
    let backdrop = Backdrop { rgb: 0x10_20_30, image: Some(Arc::clone(&image)) };
    let scene = ScenePicture {
        backdrop,
        overlays: vec![OverlaySpec { background: true, ..overlay(text("under")) }],
        ..ScenePicture::default()
    };
    let list = compose(&scene, &|_| None, HD, 0);
    assert_eq!(list.ground_rgb, 0x10_20_30);
    assert_eq!(list.ops, [DrawOp::Cover(image), DrawOp::Overlay(scene.overlays[0].draw_at(HD, 0))]);
    for (native, want) in [
        (Size::new(1280, 720), (0, 0, 1920, 1080)),
        (Size::new(100, 100), (0, -420, 1920, 1920)),
        (Size::new(400, 100), (-1200, 0, 4320, 1080)),
    ] {
        let rect = cover_rect(native, HD);
        assert_eq!((rect.x_px, rect.y_px, rect.width_px, rect.height_px), want, "{native:?}");
    }
}
