//! Texts of every script and style, what runs and what moves, images of every kind.

use std::io::Cursor;

use image::{DynamicImage, Frame, ImageFormat};
use onair::media::still;
use onair::picture::{Backdrop, Motion, TextBox};

use super::*;

/// Of 30 frames a second, ns.
const TICK_NS: u64 = 33_333_333;

fn on_slate(overlays: Vec<OverlaySpec>) -> ScenePicture {
    let backdrop = Backdrop { rgb: 0x30_48_60, image: None };
    ScenePicture { backdrop, overlays, ..ScenePicture::default() }
}

fn plain(text: &str, size_normalized: f32) -> TextSpec {
    let color_rgb = 0xff_ff_ff;
    TextSpec {
        text: text.into(),
        font_name: "KaiTi".into(),
        color_rgb,
        size_normalized,
        ..TextSpec::default()
    }
}

fn bordered(text: &str, size_normalized: f32, border_width_normalized: f32) -> TextSpec {
    let border_rgb = Some(0xb0_10_20);
    TextSpec { border_width_normalized, border_rgb, ..plain(text, size_normalized) }
}

fn boxed(text: TextSpec, opacity: f32, padding: f32) -> TextSpec {
    TextSpec { background: Some(TextBox { rgb: 0x10_20_80, opacity, padding }), ..text }
}

fn show(text: TextSpec, placement: Placement) -> OverlaySpec {
    overlay(OverlayContent::Text(text), placement)
}

#[test]
fn scripts() {
    let lines = [
        "Zażółć gęślą jaźń, Ågjy!",
        "Съешь ещё этих булок",
        "أهلا وسهلا بكم في نشرة الأخبار",
        "晚间新闻 · ニュース · 뉴스",
        "Ελληνικά · עברית · ไทย · हिन्दी",
    ];
    let line = |(row, text): (usize, &&str)| {
        show(bordered(text, 0.11, 0.06), at(0.04, 0.02 + 0.19 * row as f32, 0.0, 0.0))
    };
    for (name, lines) in [("text_scripts", &lines[..3]), ("text_scripts_more", &lines[3..])] {
        check(name, &on_slate(lines.iter().enumerate().map(line).collect()));
    }
}

#[test]
fn styles() {
    let right = |x, y| Placement { refer: PositionRefer::TopRight, ..at(x, y, 0.0, 0.0) };
    check(
        "text_styles",
        &on_slate(vec![
            show(boxed(plain("Lower third\ntwo lines", 0.08), 0.6, 0.4), at(0.03, 0.04, 0.0, 0.0)),
            show(boxed(bordered("سلام عليكم\nمرحبا", 0.08, 0.05), 1.0, 0.0), right(0.03, 0.04)),
            show(bordered("Wide", 0.3, 0.13), at(0.03, 0.42, 0.0, 0.0)),
            show(bordered("thin", 0.3, 0.008), right(0.03, 0.42)),
            show(plain("scaled", 0.05), at(0.03, 0.85, 0.0, 0.13)),
        ]),
    );
}

/// Two pictures, one tick apart, in which everything has come in.
#[test]
fn running_texts() {
    let runs = |text, motion, placement| OverlaySpec { motion, ..show(text, placement) };
    let credits = "Camera\nAnna Ågren\n\nSound\nБорис\n\nLight\n林";
    let scene = on_slate(vec![
        runs(
            boxed(plain("Breaking: a ticker runs along — 新闻 — новости", 0.09), 0.8, 0.2),
            Motion::Horizontal,
            Placement { refer: PositionRefer::BottomLeft, ..at(0.0, 0.05, 0.0, 0.0) },
        ),
        runs(bordered("in a window", 0.08, 0.05), Motion::Horizontal, at(0.05, 0.1, 0.3, 0.0)),
        runs(plain(credits, 0.07), Motion::Vertical, at(0.6, 0.1, 0.0, 0.6)),
    ]);
    check_at("running_texts", &scene, 190 * TICK_NS);
    check_at("running_texts_next", &scene, 191 * TICK_NS);
}

/// A ring on nothing; without transparency a square.
fn ring(rgb: Rgb) -> image::RgbaImage {
    image::RgbaImage::from_fn(96, 96, |x, y| {
        let distance = (x as f32 - 47.5).hypot(y as f32 - 47.5);
        let alpha = if (28.0..46.0).contains(&distance) { 255 } else { 0 };
        image::Rgba([rgb[0], rgb[1], rgb[2], alpha])
    })
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn moving_gif() -> Vec<u8> {
    let mut bytes = Vec::new();
    let frames = [[240, 200, 0], [0, 200, 240]]
        .map(|rgb| Frame::from_parts(ring(rgb), 0, 0, image::Delay::from_numer_denom_ms(100, 1)));
    image::codecs::gif::GifEncoder::new(&mut bytes).encode_frames(frames).unwrap();
    bytes
}

#[test]
fn images() {
    let opaque = DynamicImage::from(ring([40, 160, 60])).into_rgb8();
    let files = [
        encoded(ring([230, 40, 40]), ImageFormat::Png),
        encoded(opaque, ImageFormat::Jpeg),
        encoded(ring([200, 60, 220]), ImageFormat::WebP),
        moving_gif(),
    ];
    let shown = |(column, bytes): (usize, &Vec<u8>)| {
        let content = still::load_overlay(bytes).unwrap().into();
        overlay(content, at(0.02 + 0.25 * column as f32, 0.1, 0.0, 0.0))
    };
    let whole: Vec<_> = files.iter().enumerate().map(shown).collect();
    let faint = whole.iter().map(|spec| OverlaySpec {
        opacity: 90,
        placement: Placement { y: 0.55, height: 0.35, ..spec.placement },
        ..spec.clone()
    });
    let scene = on_slate(whole.iter().cloned().chain(faint).collect());
    check_at("images", &scene, 3 * TICK_NS - 1);
    check_at("images_next", &scene, 3 * TICK_NS + 1_000_000);
}
