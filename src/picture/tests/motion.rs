//! Running overlays: where they are at a time, and when they begin.

use super::*;
use crate::picture::{Placement, PositionRefer, TextSpec};
use crate::time::FrameRate;

const HD: Size = Size::new(1920, 1080);
const TEXT: Size = Size::new(700, 90);

fn text(text: &str, motion: Motion) -> OverlaySpec {
    let text = TextSpec { text: text.into(), size_normalized: 0.1, ..TextSpec::default() };
    let content = Arc::new(OverlayContent::Text(text));
    OverlaySpec { motion, ..OverlaySpec::new(content, Placement::default()) }
}

fn placed(motion: Motion, placement: Placement) -> OverlaySpec {
    OverlaySpec { placement, ..text("x", motion) }
}

#[test]
fn windows_are_where_the_placement_says() {
    use Motion::{Horizontal, Vertical};
    let at = |x: f32, y: f32, width: f32, height: f32| Placement {
        x,
        y,
        width,
        height,
        refer: PositionRefer::BottomLeft,
        ..Placement::default()
    };
    for (motion, placement, rect, texels_per_pixel) in [
        (Horizontal, at(0.0, 0.0, 0.0, 0.0), (0, 990, 1920, 90), 1.0),
        (Horizontal, at(0.25, 0.0, 0.5, 0.0), (480, 990, 960, 90), 1.0),
        (Horizontal, at(0.0, 0.0, 0.0, 1.0 / 6.0), (0, 900, 1920, 180), 0.5),
        (Vertical, at(0.0, 0.0, 0.0, 0.0), (0, 0, 700, 1080), 1.0),
        (Vertical, at(0.0, 0.5, 0.0, 0.5), (0, 0, 700, 540), 1.0),
        (Vertical, at(0.0, 0.0, 350.0 / 1920.0, 0.5), (0, 540, 350, 540), 2.0),
    ] {
        let window = placed(motion, placement).draw_at(HD, 0).window(TEXT, HD);
        let Rect { x_px, y_px, width_px, height_px } = window.rect;
        assert_eq!((x_px, y_px, width_px, height_px), rect, "{motion:?} {placement:?}");
        assert_eq!(window.texels_per_pixel, [texels_per_pixel; 2]);
        // At first it is just out of sight, beyond the right or lower edge.
        let begin = match motion {
            Vertical => [f64::from(x_px), f64::from(y_px) + f64::from(height_px)],
            _ => [f64::from(x_px) + f64::from(width_px), f64::from(y_px)],
        };
        assert_eq!(window.origin_px, begin);
    }
}

/// However late, at whatever rate, tick by tick; from one pass to the next it jumps by the whole way.
#[test]
fn every_tick_moves_by_the_same_distance() {
    for (motion, along, way_px) in
        [(Motion::Horizontal, 0, 1920.0 + 700.0), (Motion::Vertical, 1, 1080.0 + 90.0)]
    {
        let overlay = text("x", motion);
        for rate in [FrameRate::new(30, 1), FrameRate::new(30_000, 1001), FrameRate::new(50, 1)] {
            let rate = rate.unwrap();
            let step_px = [192.0, 108.0][along] * rate.tick_ns(1) as f64 / 1e9;
            for first in [0, 3_000_000] {
                let place =
                    |n: u64| overlay.draw_at(HD, rate.tick_ns(n)).window(TEXT, HD).origin_px[along];
                for n in first..first + 1000 {
                    let moved = (place(n) - place(n + 1)).rem_euclid(way_px);
                    assert!((moved - step_px).abs() < 1.0 / 64.0, "{motion:?} {rate} {n}: {moved}");
                }
            }
        }
    }
}

#[test]
fn what_was_there_goes_on_and_the_rest_begins() {
    let scene = |overlays: &[OverlaySpec]| ScenePicture {
        overlays: overlays.to_vec(),
        ..ScenePicture::default()
    };
    let [a, b] = ["a", "b"].map(|name| text(name, Motion::Horizontal));
    let mut first = scene(std::slice::from_ref(&a));
    first.follow(&ScenePicture::default(), 5);
    let faint = OverlaySpec { opacity: 9, ..text("a", Motion::Horizontal) };
    let mut second = scene(&[b, faint, text("a", Motion::Vertical)]);
    second.follow(&first, 8);
    let since: Vec<u64> = second.overlays.iter().map(|overlay| overlay.since_ns).collect();
    assert_eq!(since, [8, 5, 8]);
    // Away for a moment: it begins again.
    let mut third = scene(&[a]);
    third.follow(&scene(&[]), 11);
    assert_eq!(third.overlays[0].since_ns, 11);
}
