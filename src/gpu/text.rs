//! Texts → pre-multiplied RGBA, on the CPU: shaped and rasterised by cosmic-text, composed here.
//!
//! Owns the fonts. Must not know the canvas beyond its height, nor the GPU: a text is painted once, uploaded like an
//! image, and may be painted on any thread. Invariant: the same text at the same canvas height gives the same pixels.

use cosmic_text::{
    Align, Attrs, Buffer, CacheKey, Command, Family, FontSystem, LayoutRun, Metrics, Shaping,
    SwashCache, SwashContent, SwashImage, Weight, fontdb,
};

use super::outline::{Outline, Stroke};
use crate::frame::Size;
use crate::limits::{MAX_FONT_PX, MAX_TEXT_BORDER_PX, MAX_TEXT_PADDING, MAX_TEXT_PIXELS};
use crate::picture::{TextBox, TextSpec};

/// Distance of two lines / font height.
const LINE_HEIGHT: f32 = 1.25;

/// Room left and right for glyphs that hang over their advance / font height.
const OVERHANG: f32 = 1.0 / 16.0;

/// The API's fonts and what stands for them: free fonts with the same reach (Latin and Chinese).
const FONTS: [(&str, &str, Weight); 7] = [
    ("KaiTi", "Noto Sans CJK SC", Weight::NORMAL),
    ("AlibabaPuHuiTi-Regular", "Noto Sans CJK SC", Weight::NORMAL),
    ("AlibabaPuHuiTi-Bold", "Noto Sans CJK SC", Weight::BOLD),
    ("NAlibabaPuHuiTi-Light", "Noto Sans CJK SC", Weight::LIGHT),
    ("NotoSansHans-Regular", "Noto Sans CJK SC", Weight::NORMAL),
    ("NotoSansHans-Bold", "Noto Sans CJK SC", Weight::BOLD),
    ("NotoSansHans-Light", "Noto Sans CJK SC", Weight::LIGHT),
];

/// The font for every other name, and for words that have a character that their font lacks. What it lacks too is taken from
/// others: for each script a list of cosmic-text's, then whatever has it; what no font has is a box.
const FALLBACK: (&str, Weight) = ("Noto Sans", Weight::NORMAL);

type Pixel = [u8; 4];

/// A painted text.
#[derive(Debug, PartialEq)]
pub(super) struct Painted {
    /// Both sides are even.
    pub(super) size: Size,
    /// Pre-multiplied.
    pub(super) pixels: Vec<Pixel>,
}

/// The fonts; one for the device.
#[derive(Debug)]
pub(super) struct TextPainter {
    fonts: FontSystem,
    /// Only its scratch memory is used: a text is painted once, so keeping glyphs would be a leak.
    rasteriser: SwashCache,
}

impl TextPainter {
    pub(super) fn new() -> TextPainter {
        let mut db = fontdb::Database::new();
        db.load_system_fonts();
        db.set_sans_serif_family(FALLBACK.0);
        // The locale picks the shapes of Han characters; fixed, so that every machine paints the same.
        let fonts = FontSystem::new_with_locale_and_db("zh-CN".into(), db);
        TextPainter { fonts, rasteriser: SwashCache::new() }
    }

    /// The text as pixels, or `None` when it has none. What would take more than `limits::MAX_TEXT_PIXELS` is painted
    /// smaller, so that it is whole.
    pub(super) fn paint(&mut self, text: &TextSpec, canvas_height_px: u32) -> Option<Painted> {
        let mut style = Style::of(text, canvas_height_px)?;
        loop {
            let buffer = self.lay_out(text, style.font_px);
            let extent = measure(&buffer);
            let pixels = style.pixels(extent);
            if pixels <= f64::from(MAX_TEXT_PIXELS) {
                return Some(self.compose(&buffer, extent, &style));
            }
            // Glyphs do not shrink quite in proportion: a little more than needed, and look again.
            let factor = (f64::from(MAX_TEXT_PIXELS) / pixels).sqrt() as f32 * 0.99;
            style = Style::at(text, style.font_px * factor);
        }
    }

    fn lay_out(&mut self, text: &TextSpec, font_px: f32) -> Buffer {
        let (family, weight) = font(&text.font_name);
        let named = Attrs::new().family(Family::Name(family)).weight(weight);
        let fallback = named.clone().family(Family::Name(FALLBACK.0));
        let words = text.text.split_inclusive(char::is_whitespace).map(|word| {
            let is_whole = self.has_all(family, weight, word);
            (word, if is_whole { named.clone() } else { fallback.clone() })
        });
        let spans: Vec<_> = words.collect();
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(font_px, font_px * LINE_HEIGHT));
        buffer.set_size(None, None);
        buffer.set_rich_text(spans, &named, Shaping::Advanced, Some(Align::Left));
        buffer.shape_until_scroll(&mut self.fonts, false);
        buffer
    }

    /// Whether a font has every character of a word as one glyph. Where it has not, shaping would put letters and accents
    /// together, which fonts for Chinese cannot place.
    fn has_all(&mut self, family: &str, weight: Weight, word: &str) -> bool {
        let query = fontdb::Query {
            families: &[fontdb::Family::Name(family)],
            weight,
            ..Default::default()
        };
        let id = self.fonts.db().query(&query);
        let Some(font) = id.and_then(|id| self.fonts.get_font(id, weight)) else { return false };
        let glyphs = font.as_swash().charmap();
        let has = |c: char| glyphs.map(c) != 0 && !('\u{300}'..='\u{36f}').contains(&c);
        word.chars().all(|c| c.is_whitespace() || has(c))
    }

    fn compose(&mut self, buffer: &Buffer, extent: [f32; 2], style: &Style) -> Painted {
        let size = style.size(extent);
        let mut fill = vec![0; (size.width_px * size.height_px) as usize];
        let mut outline = Outline::default();
        let mut coloured = Vec::new();
        for glyph in glyphs(buffer, extent[0], style.margins()) {
            if style.border.is_some() {
                let commands =
                    self.rasteriser.get_outline_commands_uncached(&mut self.fonts, glyph.key);
                trace(&mut outline, &commands.unwrap_or_default(), &glyph);
            }
            if let Some(image) = self.rasteriser.get_image_uncached(&mut self.fonts, glyph.key) {
                match image.content {
                    SwashContent::Mask => add_coverage(&mut fill, size, (&image, &glyph)),
                    SwashContent::Color | SwashContent::SubpixelMask => {
                        coloured.push((image, glyph));
                    }
                }
            }
        }
        let mut pixels = vec![style.ground(); fill.len()];
        if let Some((width_px, rgb)) = style.border {
            let border = outline.border(width_px, size);
            for ((pixel, border), fill) in pixels.iter_mut().zip(border).zip(&fill) {
                // The inside of a glyph is inside of its border, however thin that is.
                let border = if *fill >= 128 { 255 } else { border };
                *pixel = over(*pixel, rgb, border);
            }
        }
        for (pixel, fill) in pixels.iter_mut().zip(fill) {
            *pixel = over(*pixel, style.fill, fill);
        }
        for (image, glyph) in &coloured {
            add_colours(&mut pixels, size, (image, glyph));
        }
        Painted { size, pixels }
    }
}

fn font(name: &str) -> (&'static str, Weight) {
    let known = FONTS.iter().find(|(known, ..)| *known == name);
    known.map_or(FALLBACK, |&(_, family, weight)| (family, weight))
}

/// Width of the widest line and height of all lines, in pixels.
fn measure(buffer: &Buffer) -> [f32; 2] {
    buffer.layout_runs().fold([0.0, 0.0], |[width, height], run| {
        [f32::max(width, run.line_w), f32::max(height, run.line_top + run.line_height)]
    })
}

/// A glyph and the pixel that its origin is at.
struct Glyph {
    key: CacheKey,
    x_px: i32,
    y_px: i32,
}

/// All glyphs of a text whose widest line is `width_px`. Lines begin where their script begins: on the left, or on the right.
fn glyphs(buffer: &Buffer, width_px: f32, [left, top]: [f32; 2]) -> Vec<Glyph> {
    let line = |run: LayoutRun<'_>| {
        let begin = if run.rtl { width_px - run.line_w } else { 0.0 };
        let offset = (left + begin, top + run.line_y.round());
        let place = move |glyph: &cosmic_text::LayoutGlyph| {
            let placed = glyph.physical(offset, 1.0);
            Glyph { key: placed.cache_key, x_px: placed.x, y_px: placed.y }
        };
        run.glyphs.iter().map(place).collect::<Vec<_>>()
    };
    buffer.layout_runs().flat_map(line).collect()
}

/// Adds a glyph's outline where its image will be.
fn trace(outline: &mut Outline, commands: &[Command], glyph: &Glyph) {
    let left = glyph.x_px as f32 + glyph.key.x_bin.as_float();
    let baseline = glyph.y_px as f32 - glyph.key.y_bin.as_float();
    // Fonts count upwards.
    let point = |x: f32, y: f32| [left + x, baseline - y];
    for command in commands {
        outline.add(match command {
            Command::MoveTo(a) => Stroke::Move(point(a.x, a.y)),
            Command::LineTo(a) => Stroke::Line(point(a.x, a.y)),
            Command::QuadTo(a, b) => Stroke::Quad(point(a.x, a.y), point(b.x, b.y)),
            Command::CurveTo(a, b, c) => {
                Stroke::Cubic(point(a.x, a.y), point(b.x, b.y), point(c.x, c.y))
            }
            Command::Close => Stroke::Close,
        });
    }
}

/// Indices of an image's pixels that are on the whole, each with its index there.
fn onto(size: Size, image: &SwashImage, glyph: &Glyph) -> impl Iterator<Item = (usize, usize)> {
    let (width, height) = (i64::from(size.width_px), i64::from(size.height_px));
    let placement = image.placement;
    let left = i64::from(glyph.x_px) + i64::from(placement.left);
    let top = i64::from(glyph.y_px) - i64::from(placement.top);
    let (columns, rows) = (i64::from(placement.width), i64::from(placement.height));
    let rows = (0..rows).filter(move |row| (0..height).contains(&(top + row)));
    rows.flat_map(move |row| {
        let columns_on = (0..columns).filter(move |column| (0..width).contains(&(left + column)));
        // Not negative, both: filtered.
        columns_on.map(move |column| {
            ((row * columns + column) as usize, ((top + row) * width + left + column) as usize)
        })
    })
}

/// Coverages add up as if what is not covered were independent, so that edges that overlap stay smooth.
fn add_coverage(fill: &mut [u8], size: Size, (image, glyph): (&SwashImage, &Glyph)) {
    for (from, to) in onto(size, image, glyph) {
        let bare = u16::from(255 - fill[to]) * u16::from(255 - image.data[from]);
        fill[to] = 255 - ((bare + 127) / 255) as u8;
    }
}

/// Glyphs that bring their own colours (straight RGBA).
fn add_colours(pixels: &mut [Pixel], size: Size, (image, glyph): (&SwashImage, &Glyph)) {
    let (colours, _) = image.data.as_chunks::<4>();
    for (from, to) in onto(size, image, glyph) {
        if let Some(&[r, g, b, a]) = colours.get(from) {
            pixels[to] = over(pixels[to], [r, g, b, 255], a);
        }
    }
}

/// A colour that covers this much of a pixel.
fn over(under: Pixel, colour: Pixel, coverage: u8) -> Pixel {
    let part = |colour: u8, under: u8| {
        let sum =
            u32::from(colour) * u32::from(coverage) + u32::from(under) * u32::from(255 - coverage);
        ((sum + 127) / 255) as u8
    };
    match coverage {
        0 => under,
        255 => colour,
        _ => std::array::from_fn(|i| part(colour[i], under[i])),
    }
}

/// A text's style in pixels.
#[derive(Clone, Copy, Debug)]
struct Style {
    font_px: f32,
    fill: Pixel,
    /// Width and colour.
    border: Option<(f32, Pixel)>,
    /// Padding and colour, pre-multiplied.
    ground: Option<(f32, Pixel)>,
}

impl Style {
    fn of(text: &TextSpec, canvas_height_px: u32) -> Option<Style> {
        let font_px = text.size_normalized * canvas_height_px as f32;
        let visible = font_px >= 1.0 && !text.text.trim().is_empty();
        visible.then(|| Style::at(text, font_px.min(MAX_FONT_PX as f32)))
    }

    fn at(text: &TextSpec, font_px: f32) -> Style {
        let border_px = text.border_width_normalized * font_px;
        let border_px = border_px.clamp(0.0, MAX_TEXT_BORDER_PX as f32);
        let border = text.border_rgb.map(|rgb| (border_px, opaque(rgb)));
        let ground = |text_box: &TextBox| {
            // In 0–255 after the cast, which saturates.
            let opacity = (text_box.opacity * 255.0).round() as u8;
            let padding = text_box.padding;
            let padding = if padding.is_nan() { 0.0 } else { padding.clamp(0.0, MAX_TEXT_PADDING) };
            let padding_px = padding * font_px;
            (padding_px, over([0; 4], opaque(text_box.rgb), opacity))
        };
        Style {
            font_px,
            fill: opaque(text.color_rgb),
            border: border.filter(|(width_px, _)| *width_px > 0.0),
            ground: text.background.as_ref().map(ground),
        }
    }

    fn ground(&self) -> Pixel {
        self.ground.map_or([0; 4], |(_, pixel)| pixel)
    }

    /// Around the lines: left and right, top and bottom. Whole pixels, so that they do not move the glyphs.
    fn margins(&self) -> [f32; 2] {
        let border = self.border.map_or(0.0, |(width_px, _)| width_px.ceil());
        let around = border + self.ground.map_or(0.0, |(padding_px, _)| padding_px.round());
        [around + (self.font_px * OVERHANG).ceil(), around]
    }

    fn sides(&self, extent: [f32; 2]) -> [f64; 2] {
        let margins = self.margins();
        [0, 1].map(|axis| f64::from(extent[axis].ceil()) + 2.0 * f64::from(margins[axis]))
    }

    fn pixels(&self, extent: [f32; 2]) -> f64 {
        let [width, height] = self.sides(extent);
        width * height
    }

    fn size(&self, extent: [f32; 2]) -> Size {
        let [width_px, height_px] =
            self.sides(extent).map(|side| (side as u32).next_multiple_of(2).max(2));
        Size::new(width_px, height_px)
    }
}

fn opaque(rgb: u32) -> Pixel {
    let [_, r, g, b] = rgb.to_be_bytes();
    [r, g, b, 255]
}

#[cfg(test)]
#[path = "tests/text.rs"]
mod tests;
