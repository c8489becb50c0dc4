//! Overlays against their twin at random and in motion; what is shared and what is made once.

use super::*;
use crate::frame::{Animation, AnimationFrame};
use crate::limits::OVERLAY_TEXTURE_PX;
use crate::picture::{Motion, PositionRefer};

/// Every other number is 0, which has a meaning of its own.
fn random_placement(noise: &mut Noise) -> Placement {
    use PositionRefer as R;
    let mut side = |most: f32| if noise.below(2) == 0 { 0.0 } else { noise.fraction() * most };
    let (width, height) = (side(1.5), side(1.5));
    Placement {
        width,
        height,
        x: noise.fraction() * 1.5 - 0.5,
        y: noise.fraction() * 1.5 - 0.5,
        refer: [R::TopLeft, R::BottomRight, R::Center][noise.below(3) as usize],
        ..Placement::default()
    }
}

#[test]
fn overlays_agree_with_their_twin_at_random() {
    let mut noise = Noise(11);
    let sizes = [(62, 34), (64, 48), (34, 60)].map(|(w, h)| Size::new(w, h));
    let mut all: Vec<_> = sizes.iter().map(|size| (*size, compositors(*size))).collect();
    for case in 0..1000 {
        let (size, compositors) = &mut all[noise.below(3) as usize];
        let under = noise.picture(PixelFormat::Nv12, *size, Color::CANVAS);
        let (width_px, height_px) = (1 + noise.below(150), 1 + noise.below(60));
        let image = noise.image(width_px, height_px);
        let motions = [Motion::Still, Motion::Horizontal, Motion::Vertical];
        let placement = random_placement(&mut noise);
        let opacity = noise.below(256) as u8;
        let motion = motions[noise.below(3) as usize];
        let padded = padded(&image);
        let content = Arc::new(OverlayContent::Image(Arc::new(image)));
        let spec = OverlaySpec { opacity, motion, ..OverlaySpec::new(content, placement) };
        let draw = spec.draw_at(*size, u64::from(noise.below(u32::MAX)) * 1000);
        let window = draw.window(padded.size, *size);
        let whole = rect(0, 0, size.width_px, size.height_px);
        let mut want = TwinCanvas::black(*size);
        want.plain(&under, whole);
        want.overlay_in(&padded, &window, (motion, opacity));
        let ops = vec![DrawOp::layer(InputKey(1), whole), DrawOp::Overlay(draw)];
        let list = DrawList::of(*size, ops);
        for compositor in compositors {
            let got = draw_one(compositor, &list, &[(InputKey(1), frame(&under))]);
            let difference = largest_difference(&got, &want);
            assert!(difference <= 1, "case {case}: {difference}, {window:?}, {motion:?}");
        }
    }
}

#[test]
fn what_is_longer_than_a_texture_has_no_seams() {
    let size = Size::new(64, 48);
    let mut noise = Noise(12);
    let long = noise.image(2 * OVERLAY_TEXTURE_PX + 100, 6);
    let high = noise.image(6, OVERLAY_TEXTURE_PX + 50);
    let seam = f64::from(OVERLAY_TEXTURE_PX - 32);
    for (image, motion, side_px, height) in [
        (&long, Motion::Horizontal, 64.0, 0.0),
        (&long, Motion::Horizontal, 64.0, 0.25),
        (&long, Motion::Horizontal, 64.0, 2.0 / 48.0),
        (&high, Motion::Vertical, 48.0, 0.0),
        (&long, Motion::Still, 0.0, 0.0),
    ] {
        let content = Arc::new(OverlayContent::Image(Arc::new(image.clone())));
        let placement = Placement { height, ..Placement::default() };
        let spec = OverlaySpec { motion, ..OverlaySpec::new(content, placement) };
        let texels_per_pixel = if height > 0.0 { 6.0 / (f64::from(height) * 48.0) } else { 1.0 };
        for past_px in [0.0, 10.25, 30.5, 31.0, 50.9] {
            let mut draw = spec.draw_at(size, 0);
            draw.travelled_px = side_px - 32.0 + seam / texels_per_pixel + past_px;
            let window = draw.window(image.size, size);
            let mut want = TwinCanvas::black(size);
            want.overlay_in(image, &window, (motion, 255));
            let what = format!("{motion:?} {height} {past_px}");
            check(&what, &DrawList::of(size, vec![DrawOp::Overlay(draw)]), &[], &want);
        }
    }
}

/// Where a picture's light is along a row of luma, px.
fn centre(picture: &Picture) -> f64 {
    let plane = &picture.planes()[0];
    let light = |x: usize| {
        let column = plane.data.iter().skip(x).step_by(plane.stride_bytes);
        column.map(|y| f64::from(*y) - 16.0).sum::<f64>()
    };
    let columns = || (0..plane.stride_bytes).map(|x| (x as f64, light(x)));
    let all: f64 = columns().map(|(_, light)| light).sum();
    columns().map(|(x, light)| x * light).sum::<f64>() / all
}

#[test]
fn what_runs_moves_by_the_same_distance_from_picture_to_picture() {
    // Bright enough and large enough that roundings of single pixels do not count.
    let image = RgbaImage { size: Size::new(40, 40), pixels: vec![255; 40 * 40 * 4] };
    let size = Size::new(160, 40);
    let content = Arc::new(OverlayContent::Image(Arc::new(image)));
    let spec = OverlaySpec {
        motion: Motion::Horizontal,
        ..OverlaySpec::new(content, Placement::default())
    };
    let rate = crate::time::FrameRate::new(30, 1).unwrap();
    for mut compositor in compositors(size) {
        let mut place = |n: u64| {
            let draw = spec.draw_at(size, rate.tick_ns(n));
            centre(&draw_one(
                &mut compositor,
                &DrawList::of(size, vec![DrawOp::Overlay(draw)]),
                &[],
            ))
        };
        // From when all of it is in sight until before it leaves: 16 px a second.
        let places: Vec<f64> = (90..270).map(&mut place).collect();
        for (n, pair) in places.windows(2).enumerate() {
            let moved = pair[0] - pair[1];
            assert!((moved - 16.0 / 30.0).abs() < 1.0 / 64.0, "{n}: {moved}");
        }
    }
}

#[test]
fn frames_of_an_animation_are_shown_in_their_time() {
    let size = Size::new(16, 8);
    let greys = [40u8, 120, 250];
    let frames = greys.map(|grey| AnimationFrame {
        image: RgbaImage { size, pixels: [grey, grey, grey, 255].repeat(16 * 8) },
        shown_ns: u64::from(grey) * 1_000_000,
    });
    let animation = Animation { frames: frames.into(), plays: std::num::NonZeroU32::new(2) };
    let content = Arc::new(OverlayContent::Animation(Arc::new(animation)));
    let spec =
        OverlaySpec { since_ns: 5_000_000, ..OverlaySpec::new(content, Placement::default()) };
    for mut compositor in compositors(size) {
        for (at_ms, frame) in [
            (0, 0),
            (44, 0),
            (45, 1),
            (164, 1),
            (165, 2),
            (414, 2),
            (415, 0),
            (455, 1),
            (825, 2),
            (9999, 2),
        ] {
            let draw = spec.draw_at(size, at_ms * 1_000_000);
            let list = DrawList::of(size, vec![DrawOp::Overlay(draw)]);
            let got = draw_one(&mut compositor, &list, &[]).planes()[0].data[0];
            let want = 16.0 + f64::from(greys[frame]) * 219.0 / 255.0;
            assert!((f64::from(got) - want).abs() <= 1.0, "{at_ms} ms: {got} for {want}");
        }
        assert_eq!(compositor.overlays.len(), 1);
    }
}

#[test]
fn what_one_has_made_the_others_find() {
    let size = Size::new(64, 48);
    let mut all = [Compositor::new(gpu(), size).unwrap(), Compositor::new(gpu(), size).unwrap()];
    let text = TextSpec { text: "once".into(), size_normalized: 0.4, ..TextSpec::default() };
    let content = || Arc::new(OverlayContent::Text(text.clone()));
    let art = |compositor: &mut Compositor| {
        compositor.overlays.art(&compositor.gpu, &content(), 1).unwrap()
    };
    let ready = gpu().exhibit(&[content()], size);
    let [first, second] = all.each_mut().map(art);
    assert!(Arc::ptr_eq(&first, &second));
    // What was made ready, two compositors and we.
    assert_eq!(Arc::strong_count(&first), 5);
    drop((ready, second));
    // The same text for another canvas is another.
    let mut larger = Compositor::new(gpu(), Size::new(128, 96)).unwrap();
    assert!(!Arc::ptr_eq(&first, &art(&mut larger)));
}
