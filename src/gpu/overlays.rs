//! Overlays on the GPU: images and texts as pre-multiplied RGBA, made once per content.
//!
//! Must not know where on the canvas an overlay stands. Invariant: equal contents share one texture; textures have even
//! sides (padded with nothing), so an overlay of native size is never scaled.

use std::sync::Arc;

use super::device::Gpu;
use super::sources::extent;
use crate::frame::Size;
use crate::limits::{OVERLAY_CACHE, OVERLAY_IDLE_DRAWS};
use crate::picture::{OverlayContent, RgbaImage};

/// Pixels of an overlay, ready to be drawn.
#[derive(Debug)]
pub(super) struct Art {
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) size: Size,
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
        let art = match &**content {
            OverlayContent::Image(image) => image_art(gpu, image),
            OverlayContent::Text(text) => {
                gpu.painter().paint(gpu, text, self.canvas_height_px).map(|t| art(gpu, &t))
            }
        };
        let art = art.map(Arc::new);
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

/// A texture for an overlay; zero, which is transparent, until written.
pub(super) fn overlay_texture(gpu: &Gpu, size: Size, also: wgpu::TextureUsages) -> wgpu::Texture {
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("overlay"),
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba8Unorm,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | also,
        view_formats: &[],
    })
}

fn art(gpu: &Gpu, texture: &wgpu::Texture) -> Art {
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("overlay"),
        layout: &gpu.shaders.overlay_layout,
        entries: &[wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::TextureView(&view),
        }],
    });
    Art { bind_group, size: Size::new(texture.width(), texture.height()) }
}

fn image_art(gpu: &Gpu, image: &RgbaImage) -> Option<Art> {
    let Size { width_px, height_px } = image.size;
    let expected = width_px as usize * height_px as usize * 4;
    let padded = Size::new(width_px.next_multiple_of(2), height_px.next_multiple_of(2));
    let most = gpu.max_side_px();
    if image.pixels.len() != expected || expected == 0 {
        tracing::warn!(?image.size, bytes = image.pixels.len(), "overlay image is incomplete");
        return None;
    }
    if padded.width_px > most || padded.height_px > most {
        tracing::warn!(?image.size, most, "overlay image is longer than the adapter allows");
        return None;
    }
    let texture = overlay_texture(gpu, padded, wgpu::TextureUsages::COPY_DST);
    gpu.queue.write_texture(
        texture.as_image_copy(),
        &premultiplied(&image.pixels),
        wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(width_px * 4),
            rows_per_image: None,
        },
        extent(image.size),
    );
    Some(art(gpu, &texture))
}

/// Straight RGBA → pre-multiplied, rounded to nearest.
pub(super) fn premultiplied(pixels: &[u8]) -> Vec<u8> {
    let times = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
    let (pixels, _) = pixels.as_chunks::<4>();
    pixels.iter().flat_map(|&[r, g, b, a]| [times(r, a), times(g, a), times(b, a), a]).collect()
}
