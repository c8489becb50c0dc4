//! Texts → pre-multiplied RGBA textures, by glyphon.
//!
//! Owns the fonts. Must not know the canvas beyond its height. Invariant: the same text at the same canvas height gives the
//! same pixels; a text is painted when it changes, never per frame.

use std::f32::consts::TAU;

use glyphon::cosmic_text::Align;
use glyphon::{
    Attrs, Buffer, Cache, Color, ColorMode, Family, FontSystem, Metrics, Resolution, Shaping,
    SwashCache, TextArea, TextAtlas, TextBounds, TextRenderer, Viewport, Weight, fontdb,
};

use super::device::Gpu;
use super::overlays::overlay_texture;
use crate::frame::Size;
use crate::limits::{MAX_FONT_PX, MAX_TEXT_BORDER_PX, MAX_TEXT_SIDE_PX};
use crate::picture::TextSpec;

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

/// The font for every other name.
const FALLBACK: (&str, Weight) = ("Noto Sans", Weight::NORMAL);

/// Fonts and glyphs; one for the device.
#[derive(Debug)]
pub(super) struct TextPainter {
    fonts: FontSystem,
    glyphs: SwashCache,
    atlas: Atlas,
}

/// glyphon's side; not `Debug` there.
struct Atlas {
    atlas: TextAtlas,
    viewport: Viewport,
    renderer: TextRenderer,
}

impl std::fmt::Debug for Atlas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Atlas")
    }
}

impl Atlas {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Atlas {
        let cache = Cache::new(device);
        let format = wgpu::TextureFormat::Rgba8Unorm;
        // Web: colours are blended as they are encoded, like everything on the canvas.
        let mut atlas = TextAtlas::with_color_mode(device, queue, &cache, format, ColorMode::Web);
        let viewport = Viewport::new(device, &cache);
        let samples = wgpu::MultisampleState::default();
        let renderer = TextRenderer::new(&mut atlas, device, samples, None);
        Atlas { atlas, viewport, renderer }
    }
}

impl TextPainter {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> TextPainter {
        let mut db = fontdb::Database::new();
        db.load_system_fonts();
        db.set_sans_serif_family(FALLBACK.0);
        // The locale picks the shapes of Han characters; fixed, so that every machine paints the same.
        let fonts = FontSystem::new_with_locale_and_db("zh-CN".into(), db);
        TextPainter { fonts, glyphs: SwashCache::new(), atlas: Atlas::new(device, queue) }
    }

    /// The text as a texture of even size, or `None` when it has no pixels or cannot be painted (which is logged).
    pub(super) fn paint(
        &mut self,
        gpu: &Gpu,
        text: &TextSpec,
        canvas_height_px: u32,
    ) -> Option<wgpu::Texture> {
        let style = Style::of(text, canvas_height_px)?;
        let buffer = self.lay_out(text, style.font_px);
        let size = style.texture_size(measure(&buffer));
        let areas = style.areas(&buffer, size);
        let (width, height) = (size.width_px, size.height_px);
        let Atlas { atlas, viewport, renderer } = &mut self.atlas;
        viewport.update(&gpu.queue, Resolution { width, height });
        let prepared = renderer.prepare(
            &gpu.device,
            &gpu.queue,
            &mut self.fonts,
            atlas,
            viewport,
            areas,
            &mut self.glyphs,
        );
        let texture = overlay_texture(gpu, size, wgpu::TextureUsages::RENDER_ATTACHMENT);
        let painted = prepared
            .map_err(|e| e.to_string())
            .and_then(|()| render(gpu, &texture, |pass| renderer.render(atlas, viewport, pass)));
        // Glyphs of this text may make room for the next one's.
        atlas.trim();
        painted
            .inspect_err(|error| tracing::warn!(error, "a text could not be painted"))
            .is_ok()
            .then_some(texture)
    }

    fn lay_out(&mut self, text: &TextSpec, font_px: f32) -> Buffer {
        let (family, weight) = font(&text.font_name);
        let attrs = Attrs::new().family(Family::Name(family)).weight(weight);
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(font_px, font_px * LINE_HEIGHT));
        buffer.set_size(None, None);
        buffer.set_text(&text.text, &attrs, Shaping::Advanced, Some(Align::Left));
        buffer.shape_until_scroll(&mut self.fonts, false);
        buffer
    }
}

fn font(name: &str) -> (&'static str, Weight) {
    let known = FONTS.iter().find(|(known, ..)| *known == name);
    known.map_or(FALLBACK, |&(_, family, weight)| (family, weight))
}

/// Width of the widest line and height of all lines, in pixels.
fn measure(buffer: &Buffer) -> (f32, f32) {
    buffer.layout_runs().fold((0.0, 0.0), |(width, height), run| {
        (f32::max(width, run.line_w), f32::max(height, run.line_top + run.line_height))
    })
}

/// A text's style in pixels.
#[derive(Clone, Copy, Debug)]
struct Style {
    font_px: f32,
    /// 0 = none.
    border_px: i32,
    fill: Color,
    border: Color,
}

impl Style {
    fn of(text: &TextSpec, canvas_height_px: u32) -> Option<Style> {
        let font_px = text.size_normalized * canvas_height_px as f32;
        if font_px.is_nan() || font_px < 1.0 {
            return None;
        }
        let font_px = font_px.min(MAX_FONT_PX as f32);
        let border_px = (text.border_width_normalized * font_px).round();
        let border_px = border_px.clamp(0.0, MAX_TEXT_BORDER_PX as f32) as i32;
        Some(Style {
            font_px,
            border_px: if text.border_rgb.is_some() { border_px } else { 0 },
            fill: opaque(text.color_rgb),
            border: opaque(text.border_rgb.unwrap_or(0)),
        })
    }

    fn overhang_px(&self) -> f32 {
        (self.font_px * OVERHANG).ceil()
    }

    fn texture_size(&self, (width, height): (f32, f32)) -> Size {
        let border = 2.0 * self.border_px as f32;
        let side =
            |length: f32| (length.ceil() as u32).next_multiple_of(2).clamp(2, MAX_TEXT_SIDE_PX);
        Size::new(side(width + border + 2.0 * self.overhang_px()), side(height + border))
    }

    /// The text once per offset in the border's colour, then once in its own over them.
    fn areas<'a>(&self, buffer: &'a Buffer, size: Size) -> Vec<TextArea<'a>> {
        let offsets = border_offsets(self.border_px, self.font_px);
        let border = offsets.into_iter().map(|offset| (offset, self.border));
        let (left, top) = (self.border_px as f32 + self.overhang_px(), self.border_px as f32);
        let bounds = TextBounds {
            left: 0,
            top: 0,
            right: size.width_px.cast_signed(),
            bottom: size.height_px.cast_signed(),
        };
        border
            .chain([((0, 0), self.fill)])
            .map(|((x, y), default_color)| TextArea {
                buffer,
                left: left + x as f32,
                top: top + y as f32,
                scale: 1.0,
                bounds,
                default_color,
                custom_glyphs: &[],
            })
            .collect()
    }
}

/// Where a text is repeated to get a border: on a circle of its width and, for borders wider than a stroke, on smaller
/// circles inside it. Whole pixels, so that all repetitions share their glyphs; without doubles.
fn border_offsets(border_px: i32, font_px: f32) -> Vec<(i32, i32)> {
    let stroke_px = (font_px / 16.0).max(1.0);
    let mut offsets = Vec::new();
    let mut radius = border_px as f32;
    while radius > 0.5 {
        let points = (TAU * radius).ceil().max(8.0);
        offsets.extend((0..points as u32).map(|point| {
            let (sin, cos) = (TAU * point as f32 / points).sin_cos();
            ((radius * cos).round() as i32, (radius * sin).round() as i32)
        }));
        radius -= stroke_px;
    }
    offsets.sort_unstable();
    offsets.dedup();
    offsets
}

fn opaque(rgb: u32) -> Color {
    let [_, r, g, b] = rgb.to_be_bytes();
    Color::rgb(r, g, b)
}

fn render(
    gpu: &Gpu,
    texture: &wgpu::Texture,
    draw: impl FnOnce(&mut wgpu::RenderPass<'_>) -> Result<(), glyphon::RenderError>,
) -> Result<(), String> {
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: Some("text"),
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &view,
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations {
                load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
                store: wgpu::StoreOp::Store,
            },
        })],
        ..wgpu::RenderPassDescriptor::default()
    });
    draw(&mut pass).map_err(|e| e.to_string())?;
    drop(pass);
    gpu.queue.submit([encoder.finish()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_border_is_closed_and_as_wide_as_asked() {
        for (border_px, font_px) in [(0, 40.0), (1, 20.0), (4, 80.0), (16, 48.0), (16, 1024.0)] {
            let offsets = border_offsets(border_px, font_px);
            let far =
                offsets.iter().map(|&(x, y)| f32::hypot(x as f32, y as f32)).fold(0.0, f32::max);
            assert!((far - border_px as f32).abs() < 1.0, "{border_px} {far}");
            assert!(offsets.len() <= 512, "{}", offsets.len());
        }
    }
}
