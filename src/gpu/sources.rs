//! Sources on the GPU: the current picture of each input as textures, as decoded or as scaled ahead; from the host, or from
//! memory of the device that a decoder has written to.
//!
//! Must not know where on the canvas a source is shown. Invariant: a picture is uploaded at most once, and textures are
//! made anew only when an input's size or format changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::device::Gpu;
use crate::device_memory::{OnDevice, Place};
use crate::frame::{Picture, PixelFormat, Plane, Size};
use crate::ids::InputKey;
use crate::limits::SOURCE_IDLE_DRAWS;
use crate::shot::Shot;

/// Which picture of an input: the decoded one, or the one scaled ahead for a shot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourceKey {
    pub(super) input: InputKey,
    pub(super) scaled_for: Option<Shot>,
}

/// The textures of one compositor's inputs.
#[derive(Debug, Default)]
pub(super) struct Sources {
    by_key: BTreeMap<SourceKey, Source>,
    /// Copies out of lent memory that were not submitted yet, and whose they are.
    copies: Option<wgpu::CommandEncoder>,
    copied: Vec<Arc<dyn OnDevice>>,
}

#[derive(Debug)]
struct Source {
    format: PixelFormat,
    size: Size,
    planes: Vec<wgpu::Texture>,
    bind_group: wgpu::BindGroup,
    /// Id of the picture on the textures.
    uploaded: u64,
    /// Draw that last needed it.
    used: u64,
}

impl Sources {
    /// Brings a picture onto its input's textures unless it is there already.
    pub(super) fn upload(&mut self, gpu: &Gpu, key: SourceKey, picture: &Picture, draw: u64) {
        let (format, size) = (picture.format(), picture.size());
        let entry = self.by_key.entry(key).or_insert_with(|| Source::new(gpu, format, size));
        if entry.format != format || entry.size != size {
            *entry = Source::new(gpu, format, size);
        }
        entry.used = draw;
        if entry.uploaded != picture.id() {
            entry.uploaded = picture.id();
            if let Some((keeper, buffer)) = lent(gpu, picture) {
                let new = || gpu.device.create_command_encoder(&Default::default());
                entry.copy(self.copies.get_or_insert_with(new), &buffer, keeper.place());
                self.copied.push(Arc::clone(keeper));
                return;
            }
            let shapes = format.plane_shapes(size);
            for ((texture, plane), (row_bytes, _)) in
                entry.planes.iter().zip(picture.planes()).zip(shapes)
            {
                write(gpu, texture, plane, row_bytes);
            }
        }
    }

    /// Has what lies in lent memory be copied, before anything that is submitted from now on. Its pictures are held until then.
    pub(super) fn flush(&mut self, gpu: &Gpu) {
        let Some(copies) = self.copies.take() else { return };
        let copied = std::mem::take(&mut self.copied);
        gpu.submit(Some(copies.finish()));
        gpu.queue.on_submitted_work_done(move || drop(copied));
    }

    /// What a layer that shows this picture binds.
    pub(super) fn bind_group(&self, key: SourceKey) -> Option<&wgpu::BindGroup> {
        self.by_key.get(&key).map(|source| &source.bind_group)
    }

    /// What shows this very picture, if it was uploaded.
    pub(super) fn showing(&self, key: SourceKey, picture_id: u64) -> Option<&wgpu::BindGroup> {
        let source = self.by_key.get(&key).filter(|source| source.uploaded == picture_id);
        source.map(|source| &source.bind_group)
    }

    /// Lets go of what has not been needed for long.
    pub(super) fn forget_idle(&mut self, draw: u64) {
        self.by_key.retain(|_, source| source.used + SOURCE_IDLE_DRAWS >= draw);
    }
}

/// Who keeps a picture, and where it lies, if that is memory that this device has lent.
fn lent<'a>(gpu: &Gpu, picture: &'a Picture) -> Option<(&'a Arc<dyn OnDevice>, Arc<wgpu::Buffer>)> {
    let keeper = picture.keeper()?;
    Some((keeper, gpu.loans.buffer(&keeper.place().memory)?))
}

impl Source {
    /// Copies each plane from where it lies on the device.
    fn copy(&self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, place: &Place) {
        let mut offset = place.offset_bytes;
        for texture in &self.planes {
            let layout = wgpu::TexelCopyBufferLayout {
                offset,
                bytes_per_row: Some(place.pitch_bytes),
                rows_per_image: None,
            };
            let from = wgpu::TexelCopyBufferInfo { buffer, layout };
            encoder.copy_buffer_to_texture(from, texture.as_image_copy(), texture.size());
            offset += u64::from(place.pitch_bytes) * u64::from(texture.height());
        }
    }

    fn new(gpu: &Gpu, format: PixelFormat, size: Size) -> Source {
        let [luma, chroma] = texels(format);
        let chroma_size = format.chroma_size(size);
        let planes: Vec<_> = (0..format.plane_count())
            .map(|index| match index {
                0 => plane(gpu, size, luma),
                _ => plane(gpu, chroma_size, chroma),
            })
            .collect();
        let views: Vec<_> = planes.iter().map(|t| t.create_view(&Default::default())).collect();
        // Interleaved chroma is bound twice; the shader reads U and V from the first.
        let entries: Vec<_> = (0..3u32)
            .zip(views.iter().chain(views.last()))
            .map(|(binding, view)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::TextureView(view),
            })
            .collect();
        let bind_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("source"),
            layout: &gpu.shaders.source_layout,
            entries: &entries,
        });
        // No picture has the id 0.
        Source { format, size, planes, bind_group, uploaded: 0, used: 0 }
    }
}

/// What a texel of luma and one of chroma are.
fn texels(format: PixelFormat) -> [wgpu::TextureFormat; 2] {
    use wgpu::TextureFormat::{R8Unorm, R16Unorm, Rg8Unorm, Rg16Unorm};
    match (format.sample_bytes(), format.plane_count()) {
        (1, 2) => [R8Unorm, Rg8Unorm],
        (1, _) => [R8Unorm; 2],
        (_, 2) => [R16Unorm, Rg16Unorm],
        (..) => [R16Unorm; 2],
    }
}

fn plane(gpu: &Gpu, size: Size, format: wgpu::TextureFormat) -> wgpu::Texture {
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("source"),
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

pub(super) fn extent(size: Size) -> wgpu::Extent3d {
    wgpu::Extent3d { width: size.width_px, height: size.height_px, depth_or_array_layers: 1 }
}

fn write(gpu: &Gpu, texture: &wgpu::Texture, plane: &Plane, row_bytes: usize) {
    // A stride that is no whole number of texels cannot be named to the driver.
    let texel_bytes = texture.format().block_copy_size(None).unwrap_or(1) as usize;
    let (data, stride) = if plane.stride_bytes.is_multiple_of(texel_bytes) {
        (Cow::Borrowed(&plane.data[..]), plane.stride_bytes)
    } else {
        let rows = plane.data.chunks(plane.stride_bytes).filter(|row| row.len() >= row_bytes);
        (Cow::Owned(rows.flat_map(|row| &row[..row_bytes]).copied().collect()), row_bytes)
    };
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: u32::try_from(stride).ok(),
        rows_per_image: None,
    };
    gpu.write_texture(texture, (&data, layout), texture.size());
}
