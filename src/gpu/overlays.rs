//! Overlays on the GPU: images and texts as pre-multiplied RGBA, made once per content.
//!
//! Must not know where on the canvas an overlay stands. Invariant: equal contents share their textures, within a compositor
//! and between compositors; overlays have even sides (padded with nothing), so one of native size is never scaled.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::device::Gpu;
use super::sources::extent;
use super::text::Painted;
use crate::frame::Size;
use crate::limits::{OVERLAY_CACHE, OVERLAY_IDLE_DRAWS, OVERLAY_TEXTURE_PX};
use crate::picture::{OverlayContent, Rect, RgbaImage, Window};

/// Texels that a texture has beyond its part of an overlay, so that its last pixels see their neighbours: enough for a
/// pixel of the canvas that covers four of them, and for parts that begin on even pixels.
const MARGIN_PX: u32 = 16;

/// Pixels of an overlay, ready to be drawn.
#[derive(Debug)]
pub(super) struct Art {
    pub(super) size: Size,
    frames: Vec<Vec<Piece>>,
}

/// A texture with a part of an overlay; nearly always all of it.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bind_group: wgpu::BindGroup,
    /// First texel of the texture, in the overlay.
    pub(super) texture_px: [u32; 2],
    /// What it is drawn for, along x and y, in the overlay.
    part_px: [Range<u32>; 2],
}

impl Art {
    /// The textures of a frame; of the last one, if there are fewer.
    pub(super) fn pieces(&self, frame: usize) -> &[Piece] {
        self.frames.get(frame).or(self.frames.last()).map_or(&[], Vec::as_slice)
    }
}

impl Piece {
    /// The part of the window that this piece is drawn on. The pieces share the window among them, on even pixels.
    pub(super) fn rect(&self, window: &Window, whole: Size) -> Option<Rect> {
        let Rect { x_px, y_px, width_px, height_px } = window.rect;
        let seen = [(x_px, width_px), (y_px, height_px)];
        let sides = [whole.width_px, whole.height_px];
        let axis = |axis: usize| {
            let (begin, length) = seen[axis];
            let end = begin + length.cast_signed();
            let edge = |texel: u32| {
                let px = window.origin_px[axis] + f64::from(texel) / window.texels_per_pixel[axis];
                ((px / 2.0).ceil() as i32).saturating_mul(2).clamp(begin, end)
            };
            let part = &self.part_px[axis];
            let first = if part.start == 0 { begin } else { edge(part.start) };
            let last = if part.end == sides[axis] { end } else { edge(part.end) };
            (first < last).then_some((first, (last - first).cast_unsigned()))
        };
        let ((x_px, width_px), (y_px, height_px)) = (axis(0)?, axis(1)?);
        Some(Rect { x_px, y_px, width_px, height_px })
    }
}

/// All that is in use anywhere, so that what one has made the others find.
#[derive(Debug, Default)]
pub(super) struct Gallery(Mutex<Vec<Exhibit>>);

#[derive(Debug)]
struct Exhibit {
    content: Arc<OverlayContent>,
    /// 0 for what is the same on all canvases.
    canvas_height_px: u32,
    art: Weak<Art>,
}

impl Gallery {
    fn exhibits(&self) -> MutexGuard<'_, Vec<Exhibit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gpu {
    /// Rasterises and uploads these overlays, for canvases of this size, as far as nobody has them. What cannot be drawn is
    /// left out.
    pub(super) fn exhibit(&self, contents: &[Arc<OverlayContent>], canvas: Size) -> Vec<Arc<Art>> {
        let art = contents.iter().filter_map(|content| self.art(content, canvas.height_px));
        let art = art.collect();
        // The uploads happen now, not with the next picture.
        self.submit(None);
        art
    }

    /// The pixels of this content, made now if nobody has them; `None` when it has none.
    fn art(&self, content: &Arc<OverlayContent>, canvas_height_px: u32) -> Option<Arc<Art>> {
        let canvas_height_px = match **content {
            OverlayContent::Text(_) => canvas_height_px,
            OverlayContent::Image(_) | OverlayContent::Animation(_) => 0,
        };
        let fits = |e: &&Exhibit| e.canvas_height_px == canvas_height_px;
        let find = |equal: &dyn Fn(&Exhibit) -> bool| {
            let exhibits = self.gallery.exhibits();
            exhibits.iter().filter(fits).find(|e| equal(e)).and_then(|e| e.art.upgrade())
        };
        if let Some(art) = find(&|e| Arc::ptr_eq(&e.content, content))
            .or_else(|| find(&|e| e.art.strong_count() > 0 && e.content == *content))
        {
            return Some(art);
        }
        let art = Arc::new(self.make(content, canvas_height_px)?);
        let mut exhibits = self.gallery.exhibits();
        exhibits.retain(|e| e.art.strong_count() > 0);
        let content = Arc::clone(content);
        exhibits.push(Exhibit { content, canvas_height_px, art: Arc::downgrade(&art) });
        Some(art)
    }

    fn make(&self, content: &OverlayContent, canvas_height_px: u32) -> Option<Art> {
        match content {
            OverlayContent::Image(image) => self.hang(&[image]),
            OverlayContent::Animation(animation) => {
                let images: Vec<_> = animation.frames.iter().map(|frame| &frame.image).collect();
                self.hang(&images)
            }
            OverlayContent::Text(text) => {
                let Painted { size, pixels } = self.painter().paint(text, canvas_height_px)?;
                let frames = vec![self.pieces(size, size, pixels.as_flattened())];
                Some(Art { size, frames })
            }
        }
    }

    /// The frames of an image, all of one size.
    fn hang(&self, frames: &[&RgbaImage]) -> Option<Art> {
        let size = frames.first()?.size;
        let expected = size.width_px as usize * size.height_px as usize * 4;
        let is_whole = |image: &&RgbaImage| image.size == size && image.pixels.len() == expected;
        if expected == 0 || !frames.iter().all(is_whole) {
            tracing::warn!(?size, "overlay image is incomplete");
            return None;
        }
        let even = |side: u32| side.next_multiple_of(2);
        let padded = Size::new(even(size.width_px), even(size.height_px));
        let pieces = |image: &&RgbaImage| self.pieces(padded, size, &premultiplied(&image.pixels));
        Some(Art { size: padded, frames: frames.iter().map(pieces).collect() })
    }

    /// Pre-multiplied pixels as textures; what is whole but has no pixels is transparent.
    fn pieces(&self, whole: Size, size: Size, pixels: &[u8]) -> Vec<Piece> {
        let most = self.max_side_px().min(OVERLAY_TEXTURE_PX);
        let columns = parts(whole.width_px, most);
        let rows = parts(whole.height_px, most);
        let all = rows.iter().flat_map(|row| columns.iter().map(move |column| (column, row)));
        let piece = |(column, row): (&Part, &Part)| {
            let texture = self.overlay_texture(Size::new(column.length(), row.length()));
            let [x, y] = [column.texture.start, row.texture.start];
            let filled = |texture: &Range<u32>, side: u32| texture.end.min(side) - texture.start;
            let layout = wgpu::TexelCopyBufferLayout {
                offset: (u64::from(y) * u64::from(size.width_px) + u64::from(x)) * 4,
                bytes_per_row: Some(size.width_px * 4),
                rows_per_image: None,
            };
            let part = Size::new(
                filled(&column.texture, size.width_px),
                filled(&row.texture, size.height_px),
            );
            self.write_texture(&texture, (pixels, layout), extent(part));
            let part_px = [column.drawn.clone(), row.drawn.clone()];
            Piece { bind_group: self.overlay_bind_group(&texture), texture_px: [x, y], part_px }
        };
        all.map(piece).collect()
    }

    /// A texture for an overlay; zero, which is transparent, until written.
    fn overlay_texture(&self, size: Size) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("overlay"),
            size: extent(size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        })
    }

    fn overlay_bind_group(&self, texture: &wgpu::Texture) -> wgpu::BindGroup {
        let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("overlay"),
            layout: &self.shaders.overlay_layout,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::TextureView(&view),
            }],
        })
    }
}

/// A stretch of an overlay: what is drawn from a texture, and what the texture holds.
struct Part {
    drawn: Range<u32>,
    texture: Range<u32>,
}

impl Part {
    fn length(&self) -> u32 {
        self.texture.end - self.texture.start
    }
}

/// A side of an overlay in textures of at most `most` texels.
fn parts(side: u32, most: u32) -> Vec<Part> {
    if side <= most {
        return vec![Part { drawn: 0..side, texture: 0..side }];
    }
    let step = most.saturating_sub(2 * MARGIN_PX).max(1);
    let part = |begin: u32| {
        let drawn = begin..(begin + step).min(side);
        let texture = begin.saturating_sub(MARGIN_PX)..(drawn.end + MARGIN_PX).min(side);
        Part { drawn, texture }
    };
    (0..side).step_by(step as usize).map(part).collect()
}

/// Straight RGBA → pre-multiplied, rounded to nearest.
pub(super) fn premultiplied(pixels: &[u8]) -> Vec<u8> {
    let times = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
    let (pixels, _) = pixels.as_chunks::<4>();
    pixels.iter().flat_map(|&[r, g, b, a]| [times(r, a), times(g, a), times(b, a), a]).collect()
}

/// The overlays of one compositor.
#[derive(Debug)]
pub(super) struct Overlays {
    canvas_height_px: u32,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    content: Arc<OverlayContent>,
    /// None for what cannot be drawn; it was said once.
    art: Option<Arc<Art>>,
    used: u64,
}

impl Overlays {
    pub(super) fn new(canvas_height_px: u32) -> Overlays {
        Overlays { canvas_height_px, entries: Vec::new() }
    }

    /// The pixels of this content, rasterised now if they are not there yet; `None` when it has none.
    pub(super) fn art(
        &mut self,
        gpu: &Gpu,
        content: &Arc<OverlayContent>,
        draw: u64,
    ) -> Option<Arc<Art>> {
        let same = |e: &Entry| Arc::ptr_eq(&e.content, content);
        let equal = |e: &Entry| e.content == *content;
        let entries = &mut self.entries;
        // Comparing images is comparing megabytes: only when the cheap test finds nothing.
        if let Some(i) = entries.iter().position(same).or_else(|| entries.iter().position(equal)) {
            entries[i].content = Arc::clone(content);
            entries[i].used = draw;
            return entries[i].art.clone();
        }
        if entries.len() >= OVERLAY_CACHE
            && let Some(oldest) = (0..entries.len()).min_by_key(|&i| entries[i].used)
        {
            entries.swap_remove(oldest);
        }
        let art = gpu.art(content, self.canvas_height_px);
        let content = Arc::clone(content);
        self.entries.push(Entry { content, art: art.clone(), used: draw });
        art
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Lets go of what has not been shown for long.
    pub(super) fn forget_idle(&mut self, draw: u64) {
        self.entries.retain(|entry| entry.used + OVERLAY_IDLE_DRAWS >= draw);
    }
}
