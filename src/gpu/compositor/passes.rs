//! Steps as dispatches of compute shaders.
//!
//! Must not know which path draws. Invariant: nothing outside a step's rectangle changes.

use super::Compositor;
use super::steps::{OverlayStep, Step};
use crate::frame::{Color, Picture, Size};
use crate::gpu::color::{Code, canvas_from};
use crate::gpu::copy::uncovered;
use crate::gpu::shaders::{Area, Conversion, Edge, FillParams, Filter, LayerParams, OverlayParams};
use crate::ids::InputKey;
use crate::picture::Rect;

impl Compositor {
    /// Where the ground must be filled in because nothing opaque is drawn there.
    pub(super) fn bare(&self, steps: &[Step]) -> Vec<Rect> {
        let covers: Vec<Rect> = steps.iter().filter_map(Step::covers).collect();
        uncovered(&self.shape, &covers)
    }

    pub(super) fn begin<'e>(
        &self,
        encoder: &'e mut wgpu::CommandEncoder,
        canvas: &wgpu::BindGroup,
    ) -> wgpu::ComputePass<'e> {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
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
                Step::Layer { input, picture, rect } => {
                    self.dispatch_layer(pass, *input, picture, *rect);
                }
                Step::Overlay(overlay) => self.dispatch_overlay(pass, overlay),
            }
        }
    }

    fn dispatch_layer(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        input: InputKey,
        picture: &Picture,
        rect: Rect,
    ) {
        let Some(area) = Area::of(&self.shape, rect) else { return };
        let Some(source) = self.sources.bind_group(input) else { return };
        let source_per_canvas = ratio(picture.size(), rect);
        let conversion =
            if picture.color() == Color::CANVAS { Conversion::Keep } else { Conversion::Convert };
        let filter = Filter::of(source_per_canvas);
        pass.set_pipeline(self.gpu.shaders.layer(filter, picture.format(), conversion));
        pass.set_bind_group(1, source, &[]);
        let params = LayerParams {
            area,
            rect_origin_px: [rect.x_px, rect.y_px],
            source_per_canvas,
            canvas_from_source: canvas_from(picture.color()),
        };
        run(pass, &area, bytemuck::bytes_of(&params));
    }

    fn dispatch_overlay(&self, pass: &mut wgpu::ComputePass<'_>, overlay: &OverlayStep) {
        let OverlayStep { art, window, .. } = overlay;
        let per_pixel = window.texels_per_pixel;
        let texels_per_pixel = per_pixel.map(|texels| texels as f32);
        let edge = Edge::of(overlay.motion);
        pass.set_pipeline(self.gpu.shaders.overlay(Filter::of(texels_per_pixel), edge));
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

fn run(pass: &mut wgpu::ComputePass<'_>, area: &Area, params: &[u8]) {
    let [x, y] = area.groups();
    pass.set_immediates(0, params);
    pass.dispatch_workgroups(x, y, 1);
}

/// Source pixels per canvas pixel.
fn ratio(source: Size, rect: Rect) -> [f32; 2] {
    let axis = |source: u32, canvas: u32| source as f32 / canvas as f32;
    [axis(source.width_px, rect.width_px), axis(source.height_px, rect.height_px)]
}
