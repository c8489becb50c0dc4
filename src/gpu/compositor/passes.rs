//! Steps as dispatches of compute shaders.
//!
//! Must not know which path draws. Invariant: nothing outside a step's rectangle changes.

use super::steps::Step;
use crate::frame::Size;
use crate::gpu::canvas::CanvasShape;
use crate::gpu::color::Code;
use crate::gpu::copy::uncovered;
use crate::gpu::device::Gpu;
use crate::gpu::layers::{Filter, LayerDraw};
use crate::gpu::overlays::Art;
use crate::gpu::shaders::{Area, FillParams, OverlayParams};
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
            pass.set_pipeline(&self.gpu.shaders.fill);
            let params = FillParams::new(area, ground);
            run(pass, &area, bytemuck::bytes_of(&params));
        }
    }

    pub(super) fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Copy { .. } => {}
                Step::Layer { source, draw } => self.dispatch_layer(pass, *source, draw),
                Step::Overlay { art, rect, opacity } => {
                    self.dispatch_overlay(pass, art, *rect, *opacity);
                }
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

    fn dispatch_overlay(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        art: &Art,
        rect: Rect,
        opacity: f32,
    ) {
        let Some(area) = Area::of(&self.shape, rect) else { return };
        let texels_per_pixel = ratio(art.size, rect);
        pass.set_pipeline(self.gpu.shaders.overlay(Filter::of_overlay(texels_per_pixel)));
        pass.set_bind_group(1, &art.bind_group, &[]);
        let params = OverlayParams {
            area,
            rect_origin_px: [rect.x_px, rect.y_px],
            texels_per_pixel,
            opacity,
            _pad: 0.0,
        };
        run(pass, &area, bytemuck::bytes_of(&params));
    }
}

pub(super) fn run(pass: &mut wgpu::ComputePass<'_>, area: &Area, params: &[u8]) {
    let [x, y] = area.groups();
    pass.set_immediates(0, params);
    pass.dispatch_workgroups(x, y, 1);
}

/// Source pixels per canvas pixel.
fn ratio(source: Size, rect: Rect) -> [f32; 2] {
    let axis = |source: u32, canvas: u32| source as f32 / canvas as f32;
    [axis(source.width_px, rect.width_px), axis(source.height_px, rect.height_px)]
}
