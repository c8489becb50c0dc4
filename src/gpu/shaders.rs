//! The compute pipelines and the Rust twins of their parameters.
//!
//! Owns how WGSL files are put together and specialised. Must not know what is drawn. Invariant: each `#[repr(C)]` struct
//! here has the layout that naga gives its WGSL namesake (held by a test).

use std::sync::OnceLock;

use bytemuck::{Pod, Zeroable};

use super::canvas::CanvasShape;
use super::color::{Code, CodeMatrix};
use crate::frame::PixelFormat;
use crate::picture::{Motion, Rect};

const CANVAS: &str = include_str!("../../shaders/canvas.wgsl");
const SAMPLE: &str = include_str!("../../shaders/sample.wgsl");

/// Bytes of parameters that a dispatch may have: what every Vulkan driver allows.
pub(super) const IMMEDIATE_BYTES: u32 = 128;

/// Side of a work group, in blocks.
const GROUP: u32 = 8;

/// A program, whole: the files it is made of, one after the other.
pub(super) fn program(name: &str) -> Option<String> {
    Some(match name {
        "fill" => [CANVAS, include_str!("../../shaders/fill.wgsl")].concat(),
        "layer" => [CANVAS, SAMPLE, include_str!("../../shaders/layer.wgsl")].concat(),
        "overlay" => [CANVAS, SAMPLE, include_str!("../../shaders/overlay.wgsl")].concat(),
        _ => return None,
    })
}

/// `Area` of canvas.wgsl: the part of the canvas that a dispatch draws on.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct Area {
    row_words: u32,
    chroma_word: u32,
    first_block: [u32; 2],
    block_count: [u32; 2],
    columns_px: [u32; 2],
}

impl Area {
    /// The part of `rect` that is on the canvas, or `None`.
    pub(super) fn of(shape: &CanvasShape, rect: Rect) -> Option<Area> {
        let (x, y) = shape.clip(rect)?;
        let first_block = [x.start / 4, y.start / 2];
        Some(Area {
            row_words: shape.row_bytes / 4,
            chroma_word: shape.chroma_offset() / 4,
            first_block,
            block_count: [x.end.div_ceil(4) - first_block[0], y.end.div_ceil(2) - first_block[1]],
            columns_px: [x.start, x.end],
        })
    }

    /// Work groups that cover it.
    pub(super) fn groups(&self) -> [u32; 2] {
        self.block_count.map(|blocks| blocks.div_ceil(GROUP))
    }
}

/// `FillParams` of fill.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct FillParams {
    area: Area,
    luma_word: u32,
    chroma_word: u32,
}

impl FillParams {
    pub(super) fn new(area: Area, [y, u, v]: Code) -> FillParams {
        let word = u32::from_le_bytes;
        FillParams { area, luma_word: word([y; 4]), chroma_word: word([u, v, u, v]) }
    }
}

/// `LayerParams` of layer.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct LayerParams {
    pub(super) area: Area,
    pub(super) rect_origin_px: [i32; 2],
    pub(super) source_per_canvas: [f32; 2],
    pub(super) canvas_from_source: CodeMatrix,
}

/// `OverlayParams` of overlay.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct OverlayParams {
    pub(super) area: Area,
    pub(super) origin_px: [f32; 2],
    pub(super) texels_per_pixel: [f32; 2],
    pub(super) first_texel: [f32; 2],
    pub(super) past_texel: [f32; 2],
    pub(super) opacity: f32,
    pub(super) _pad: f32,
}

/// How texels become pixels: `FILTER` of sample.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Exact,
    Bilinear,
    Area,
}

impl Filter {
    const ALL: [Filter; 3] = [Filter::Exact, Filter::Bilinear, Filter::Area];

    /// The filter for this many texels per pixel.
    pub(super) fn of([x, y]: [f32; 2]) -> Filter {
        if x > 2.0 || y > 2.0 {
            Filter::Area
        } else if x == 1.0 && y == 1.0 {
            Filter::Exact
        } else {
            Filter::Bilinear
        }
    }
}

/// How an overlay ends: `SOFT` of overlay.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// On a whole pixel.
    Hard,
    /// Anywhere.
    Soft,
}

impl Edge {
    /// What stands, stands on whole pixels.
    pub(super) fn of(motion: Motion) -> Edge {
        match motion {
            Motion::Still => Edge::Hard,
            Motion::Horizontal | Motion::Vertical => Edge::Soft,
        }
    }
}

/// Whether a layer's colour is the canvas'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    Keep,
    Convert,
}

/// All pipelines and the layouts of what is bound to them.
#[derive(Debug)]
pub(super) struct Shaders {
    pub(super) canvas_layout: wgpu::BindGroupLayout,
    pub(super) source_layout: wgpu::BindGroupLayout,
    pub(super) overlay_layout: wgpu::BindGroupLayout,
    pub(super) fill: wgpu::ComputePipeline,
    layer_program: Program,
    /// By filter, then planar or not, then converting or not.
    layer: [[[OnceLock<wgpu::ComputePipeline>; 2]; 2]; 3],
    /// By filter, then edge.
    overlay: [[wgpu::ComputePipeline; 2]; 3],
}

impl Shaders {
    /// Everything that overlays need, and the layouts. The pipelines of layers follow by [`Shaders::make_layers`] or,
    /// each, when it is first used.
    pub(super) fn new(device: &wgpu::Device) -> Shaders {
        let storage = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: false },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let canvas_layout = bind_layout(device, "canvas", &[storage]);
        let source_layout = bind_layout(device, "source", &[texture; 3]);
        let overlay_layout = bind_layout(device, "overlay", &[texture]);
        let program =
            |name, layouts: &[&wgpu::BindGroupLayout]| Program::new(device, name, layouts);
        let fill = program("fill", &[&canvas_layout]).pipeline(&[]);
        let layer_program = program("layer", &[&canvas_layout, &source_layout]);
        let overlay = program("overlay", &[&canvas_layout, &overlay_layout]);
        let overlay = Filter::ALL.map(|filter| {
            [Edge::Hard, Edge::Soft].map(|edge| {
                // What does not stand on whole pixels lies between them.
                let filter = match (filter, edge) {
                    (Filter::Exact, Edge::Soft) => Filter::Bilinear,
                    (filter, _) => filter,
                };
                let constants = [("FILTER", filter as u8), ("SOFT", edge as u8)];
                overlay.pipeline(&constants.map(|(name, value)| (name, f64::from(value))))
            })
        });
        let layer = Default::default();
        Shaders {
            canvas_layout,
            source_layout,
            overlay_layout,
            fill,
            layer_program,
            layer,
            overlay,
        }
    }

    /// Makes the pipelines of all layers. Not for software adapters: there they take a third of a second and 50 MiB, and
    /// are not needed as long as layers are scaled ahead.
    pub(super) fn make_layers(&self) {
        for filter in Filter::ALL {
            for format in [PixelFormat::I420, PixelFormat::Nv12] {
                for conversion in [Conversion::Keep, Conversion::Convert] {
                    self.layer(filter, format, conversion);
                }
            }
        }
    }

    /// The pipeline that draws such a layer.
    pub(super) fn layer(
        &self,
        filter: Filter,
        format: PixelFormat,
        conversion: Conversion,
    ) -> &wgpu::ComputePipeline {
        let planar = u8::from(format == PixelFormat::I420);
        let [f, p, c] = [filter as u8, planar, conversion as u8];
        self.layer[usize::from(f)][usize::from(p)][usize::from(c)].get_or_init(|| {
            let constants = [("FILTER", f), ("PLANAR", p), ("CONVERT", c)];
            self.layer_program.pipeline(&constants.map(|(name, value)| (name, f64::from(value))))
        })
    }

    /// The pipeline that draws such an overlay.
    pub(super) fn overlay(&self, filter: Filter, edge: Edge) -> &wgpu::ComputePipeline {
        &self.overlay[filter as usize][edge as usize]
    }
}

/// A compiled program, ready to be specialised.
#[derive(Debug)]
struct Program {
    device: wgpu::Device,
    name: &'static str,
    module: wgpu::ShaderModule,
    layout: wgpu::PipelineLayout,
}

impl Program {
    fn new(
        device: &wgpu::Device,
        name: &'static str,
        layouts: &[&wgpu::BindGroupLayout],
    ) -> Program {
        let source = program(name).unwrap_or_default();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let layouts: Vec<Option<&wgpu::BindGroupLayout>> =
            layouts.iter().copied().map(Some).collect();
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &layouts,
            immediate_size: IMMEDIATE_BYTES,
        });
        Program { device: device.clone(), name, module, layout }
    }

    fn pipeline(&self, constants: &[(&str, f64)]) -> wgpu::ComputePipeline {
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(self.name),
            layout: Some(&self.layout),
            module: &self.module,
            entry_point: Some(self.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    }
}

fn bind_layout(
    device: &wgpu::Device,
    label: &str,
    types: &[wgpu::BindingType],
) -> wgpu::BindGroupLayout {
    let entries: Vec<_> = (0..)
        .zip(types)
        .map(|(binding, &ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        })
        .collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    })
}

#[cfg(test)]
#[path = "tests/shaders.rs"]
mod tests;
