//! Texts as pixels: scripts, styles, limits.

use super::*;

const RED: u32 = 0xff_00_00;

fn spec(text: &str, font_px: f32) -> TextSpec {
    TextSpec {
        text: text.into(),
        font_name: "KaiTi".into(),
        color_rgb: RED,
        size_normalized: font_px / 1000.0,
        ..TextSpec::default()
    }
}

/// On a canvas 1000 pixels high.
fn paint(text: &TextSpec) -> Option<Painted> {
    TextPainter::new().paint(text, 1000)
}

/// Identifiers of the glyphs of a text, from left to right.
fn glyph_ids(painter: &mut TextPainter, text: &str) -> Vec<u16> {
    let buffer = painter.lay_out(&spec(text, 40.0), 40.0);
    let mut glyphs = glyphs(&buffer, 0.0, [0.0; 2]);
    glyphs.sort_by_key(|glyph| glyph.x_px);
    glyphs.iter().map(|glyph| glyph.key.glyph_id).collect()
}

#[test]
fn every_font_of_the_api_has_a_stand_in() {
    for (name, family, weight) in [
        ("KaiTi", "Noto Sans CJK SC", Weight::NORMAL),
        ("AlibabaPuHuiTi-Bold", "Noto Sans CJK SC", Weight::BOLD),
        ("NotoSansHans-Light", "Noto Sans CJK SC", Weight::LIGHT),
        ("Comic Sans", "Noto Sans", Weight::NORMAL),
    ] {
        assert_eq!(font(name), (family, weight));
    }
}

#[test]
fn every_script_finds_its_font() {
    let mut painter = TextPainter::new();
    for text in ["News", "新闻", "Новости", "أخبار", "ニュース", "뉴스", "Ειδήσεις", "חדשות"]
    {
        let ids = glyph_ids(&mut painter, text);
        // 0 is the box for what a font lacks.
        assert!(!ids.is_empty() && !ids.contains(&0), "{text}: {ids:?}");
    }
}

#[test]
fn accents_stand_over_their_letters() {
    let mut painter = TextPainter::new();
    // Letters that the stand-ins of the API's fonts lack; one glyph each, not two.
    for (text, letters) in [("ćąś", 3), ("Ελληνικά", 8), ("ё", 1), ("晚间ć", 3)] {
        assert_eq!(glyph_ids(&mut painter, text).len(), letters, "{text}");
    }
    // Put together from two characters, it is the same letter.
    assert_eq!(glyph_ids(&mut painter, "c\u{301}"), glyph_ids(&mut painter, "ć"));
}

#[test]
fn arabic_is_joined_and_runs_from_right_to_left() {
    let mut painter = TextPainter::new();
    let alone: Vec<u16> =
        ["س", "ل", "م"].iter().flat_map(|letter| glyph_ids(&mut painter, letter)).collect();
    let joined = glyph_ids(&mut painter, "سلم");
    assert_eq!(joined.len(), 3);
    assert!(joined.iter().all(|id| !alone.contains(id)), "{joined:?} of {alone:?}");
    let pair = glyph_ids(&mut painter, "دو");
    let [first, second] = ["د", "و"].map(|letter| glyph_ids(&mut painter, letter)[0]);
    assert_eq!(pair, [second, first]);
    // Its shorter line begins at the right edge, that of a Latin text at the left.
    for (text, is_right) in [("سلام عليكم\nلا", true), ("Good evening\nHi", false)] {
        let painted = paint(&spec(text, 60.0)).unwrap();
        let width = painted.size.width_px as usize;
        // Below what hangs down from the first line.
        let low = &painted.pixels[painted.pixels.len() * 2 / 3 / width * width..];
        let inked = low.iter().enumerate().filter(|(_, p)| p[3] > 0).map(|(i, _)| i % width);
        let middle = (inked.clone().min().unwrap() + inked.max().unwrap()) / 2;
        assert_eq!(middle > width / 2, is_right, "{text}");
    }
}

#[test]
fn a_border_surrounds_the_fill_by_its_width() {
    let mut painter = TextPainter::new();
    for border_px in [1.0, 2.5, 6.0] {
        // The stem of an l is a plain rectangle.
        let plain = spec("l", 200.0);
        let bordered = TextSpec {
            border_width_normalized: border_px / 200.0,
            border_rgb: Some(0x00_00_ff),
            ..plain.clone()
        };
        let [thin, wide] = [plain, bordered].map(|text| {
            let painted = painter.paint(&text, 1000).unwrap();
            let width = painted.size.width_px as usize;
            // Half way up.
            let row = painted.pixels.chunks(width).nth(painted.size.height_px as usize / 2);
            row.unwrap().iter().map(|p| f32::from(p[3]) / 255.0).sum::<f32>()
        });
        let got = (wide - thin) / 2.0;
        assert!((got - border_px).abs() < 0.1, "{border_px}: {got}");
    }
}

#[test]
fn borders_are_not_wider_than_allowed() {
    let text = TextSpec { border_width_normalized: 1.0, border_rgb: Some(0), ..spec("x", 400.0) };
    let style = Style::of(&text, 1000).unwrap();
    assert_eq!(style.border, Some((MAX_TEXT_BORDER_PX as f32, [0, 0, 0, 255])));
    let without = TextSpec { border_rgb: None, ..text };
    assert_eq!(Style::of(&without, 1000).unwrap().border, None);
    assert_eq!(Style::of(&spec("x", 5000.0), 1000).unwrap().font_px, MAX_FONT_PX as f32);
}

#[test]
fn a_box_is_whole_and_pre_multiplied() {
    let background = Some(TextBox { rgb: 0x00_80_ff, opacity: 0.5, padding: 0.25 });
    let bare = paint(&spec("Box", 80.0)).unwrap();
    let boxed = paint(&TextSpec { background, ..spec("Box", 80.0) }).unwrap();
    let grown =
        [boxed.size.width_px - bare.size.width_px, boxed.size.height_px - bare.size.height_px];
    assert_eq!(grown, [40, 40]);
    let ground = [0, 64, 128, 128];
    let corner = boxed.pixels.len() - 1;
    assert_eq!([boxed.pixels[0], boxed.pixels[corner]], [ground; 2]);
    let inked = boxed.pixels.iter().filter(|p| **p == [255, 0, 0, 255]).count();
    assert_eq!(inked, bare.pixels.iter().filter(|p| **p == [255, 0, 0, 255]).count());
}

#[test]
fn what_has_no_pixels_is_nothing() {
    for (text, font_px) in [("", 50.0), (" \n\t", 50.0), ("x", 0.0), ("x", -5.0), ("x", f32::NAN)] {
        assert_eq!(paint(&spec(text, font_px)), None, "{text:?} {font_px}");
    }
}

#[test]
fn odd_characters_do_no_harm() {
    for text in ["😀👩‍🚀🏳️‍🌈", "a\u{200d}\u{feff}\u{202e}b", "\u{0}\u{1b}[0m", "क्षि ญี่ปุ่น", "\u{10ffff}"]
    {
        let painted = paint(&spec(text, 30.0)).unwrap();
        assert!(painted.pixels.iter().all(|[r, g, b, a]| r.max(g).max(b) <= a), "{text:?}");
    }
}

#[test]
fn a_text_that_is_too_large_is_whole_but_smaller() {
    let long = "W".repeat(1024);
    let painted = paint(&spec(&long, 1000.0)).unwrap();
    let pixels = painted.pixels.len();
    assert!(pixels <= MAX_TEXT_PIXELS as usize, "{pixels}");
    assert!(pixels > MAX_TEXT_PIXELS as usize / 2, "{pixels}");
    // Its last letter is there.
    let width = painted.size.width_px as usize;
    let end = painted
        .pixels
        .chunks(width)
        .any(|row| row[width - width / 1024..].iter().any(|p| p[3] > 0));
    assert!(end);
}
