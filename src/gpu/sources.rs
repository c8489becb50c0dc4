//! Sources on the GPU: the current picture of each input as textures, as decoded or as scaled ahead; from the host, or from
//! memory of the device that a decoder has written to.
//!
//! Must not know where on the canvas a source is shown. Invariant: a picture is uploaded at most once, and textures are
//! made anew only when an input's size or format changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::GpuError;
use super::device::Gpu;
use super::staging::{Staged, Staging};
use crate::device_memory::{OnDevice, Place};
use crate::frame::{Picture, PixelFormat, Size};
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
    /// Copies onto textures that were not submitted yet, and what they are made from.
    copies: Option<wgpu::CommandEncoder>,
    copied: Vec<Copied>,
    /// What the first that could not be copied came to grief by.
    failed: Option<GpuError>,
}

/// What must stay as it is until it was copied.
#[derive(Debug)]
#[expect(dead_code, reason = "it is held")]
enum Copied {
    Lent(Arc<dyn OnDevice>),
    Staged(Staged),
}

#[derive(Debug)]
struct Source {
    format: PixelFormat,
    size: Size,
    planes: Vec<wgpu::Texture>,
    /// What pictures of the host come through.
    staging: Staging,
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
        if entry.uploaded == picture.id() {
            return;
        }
        let new = || gpu.device.create_command_encoder(&Default::default());
        let copies = self.copies.get_or_insert_with(new);
        if let Some((keeper, buffer)) = lent(gpu, picture) {
            let Place { offset_bytes, pitch_bytes, .. } = *keeper.place();
            let pitches = entry.planes.iter().map(|_| pitch_bytes);
            entry.copy(copies, &buffer, (offset_bytes, pitches));
            self.copied.push(Copied::Lent(Arc::clone(keeper)));
        } else {
            match entry.staging.put(gpu, picture) {
                Ok(staged) => {
                    if let Some(buffer) = staged.buffer() {
                        entry.copy(copies, buffer, (0, entry.staging.pitches_bytes()));
                    }
                    self.copied.push(Copied::Staged(staged));
                }
                Err(error) => {
                    self.failed.get_or_insert(error);
                    return;
                }
            }
        }
        entry.uploaded = picture.id();
    }

    /// Has what was uploaded be copied before anything that is submitted from now on. Pictures of the device are held until then.
    ///
    /// # Errors
    /// When something was not uploaded, for want of memory.
    pub(super) fn flush(&mut self, gpu: &Gpu) -> Result<(), GpuError> {
        if let Some(copies) = self.copies.take() {
            let copied = std::mem::take(&mut self.copied);
            gpu.submit(Some(copies.finish()));
            gpu.queue.on_submitted_work_done(move || drop(copied));
        }
        self.failed.take().map_or(Ok(()), Err)
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
    /// Copies each plane from where it lies in a buffer: from a byte on, rows of each plane at such distances.
    fn copy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &wgpu::Buffer,
        (mut offset, pitches_bytes): (u64, impl Iterator<Item = u32>),
    ) {
        for (texture, pitch_bytes) in self.planes.iter().zip(pitches_bytes) {
            let layout = wgpu::TexelCopyBufferLayout {
                offset,
                bytes_per_row: Some(pitch_bytes),
                rows_per_image: None,
            };
            let from = wgpu::TexelCopyBufferInfo { buffer, layout };
            encoder.copy_buffer_to_texture(from, texture.as_image_copy(), texture.size());
            offset += u64::from(pitch_bytes) * u64::from(texture.height());
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
        let staging = Staging::new(format, size);
        Source { format, size, planes, staging, bind_group, uploaded: 0, used: 0 }
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
