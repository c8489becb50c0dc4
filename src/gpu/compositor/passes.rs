//! Steps as dispatches of compute shaders.
//!
//! Must not know which path draws. Invariant: nothing outside a step's rectangle changes.

use super::steps::{OverlayStep, Step};
use crate::gpu::canvas::CanvasShape;
use crate::gpu::color::Code;
use crate::gpu::copy::uncovered;
use crate::gpu::device::Gpu;
use crate::gpu::layers::LayerDraw;
use crate::gpu::shaders::{Area, FillParams, OverlayKind, OverlayParams};
use crate::gpu::sources::{SourceKey, Sources};
use crate::picture::Rect;
use crate::shot::ScaleQuality;

/// What dispatches need, whatever is drawn.
pub(super) struct Painter<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) shape: CanvasShape,
    pub(super) sources: &'a Sources,
    pub(super) quality: ScaleQuality,
}

impl Painter<'_> {
    /// Where the ground must be filled in because nothing opaque is drawn there.
    pub(super) fn bare(&self, steps: &[Step]) -> Vec<Rect> {
        let covers: Vec<Rect> = steps.iter().filter_map(Step::covers).collect();
        uncovered(&self.shape, &covers)
    }

    pub(super) fn begin<'e>(
        &self,
        encoder: &'e mut wgpu::CommandEncoder,
        canvas: &wgpu::BindGroup,
        timestamp_writes: Option<wgpu::ComputePassTimestampWrites<'_>>,
    ) -> wgpu::ComputePass<'e> {
        let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_bind_group(0, canvas, &[]);
        pass
    }

    pub(super) fn fill(&self, pass: &mut wgpu::ComputePass<'_>, bare: &[Rect], ground: Code) {
        for area in bare.iter().filter_map(|rect| Area::of(&self.shape, *rect)) {
            pass.set_pipeline(self.gpu.shaders.fill());
            let params = FillParams::new(area, ground);
            run(pass, &area, bytemuck::bytes_of(&params));
        }
    }

    pub(super) fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Copy { .. } => {}
                Step::Layer { source, draw } => self.dispatch_layer(pass, *source, draw),
                Step::Overlay(overlay) => self.dispatch_overlay(pass, overlay),
            }
        }
    }

    fn dispatch_layer(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        source: SourceKey,
        draw: &LayerDraw<'_>,
    ) {
        let Some((kind, params)) = draw.on(&self.shape, self.quality) else { return };
        let Some(source) = self.sources.bind_group(source) else { return };
        pass.set_pipeline(&self.gpu.shaders.layer(kind));
        pass.set_bind_group(1, source, &[]);
        run(pass, &params.area, bytemuck::bytes_of(&params));
    }

    fn dispatch_overlay(&self, pass: &mut wgpu::ComputePass<'_>, overlay: &OverlayStep) {
        let OverlayStep { art, window, .. } = overlay;
        let per_pixel = window.texels_per_pixel;
        let texels_per_pixel = per_pixel.map(|texels| texels as f32);
        let kind = OverlayKind::of(texels_per_pixel, overlay.motion);
        pass.set_pipeline(self.gpu.shaders.overlay(kind));
        let whole = [art.size.width_px, art.size.height_px];
        for piece in art.pieces(overlay.frame) {
            let Some(area) =
                piece.rect(window, art.size).and_then(|rect| Area::of(&self.shape, rect))
            else {
                continue;
            };
            let begin = piece.texture_px;
            let axes = [0, 1];
            let params = OverlayParams {
                area,
                origin_px: axes
                    .map(|i| (window.origin_px[i] + f64::from(begin[i]) / per_pixel[i]) as f32),
                texels_per_pixel,
                first_texel: begin.map(|texel| -(texel as f32)),
                past_texel: axes.map(|i| (whole[i] - begin[i]) as f32),
                opacity: overlay.opacity,
                _pad: 0.0,
            };
            pass.set_bind_group(1, &piece.bind_group, &[]);
            run(pass, &area, bytemuck::bytes_of(&params));
        }
    }
}

pub(super) fn run(pass: &mut wgpu::ComputePass<'_>, area: &Area, params: &[u8]) {
    let [x, y] = area.groups();
    pass.set_immediates(0, params);
    pass.dispatch_workgroups(x, y, 1);
}
