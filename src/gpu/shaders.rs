//! The compute pipelines and the Rust twins of their parameters.
//!
//! Owns how WGSL files are put together and specialised. Must not know what is drawn. Invariant: each `#[repr(C)]` struct
//! here has the layout that naga gives its WGSL namesake (held by a test).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{OnceLock, PoisonError, RwLock};

use bytemuck::{Pod, Zeroable};

use super::adapter::GpuInfo;
use super::blend::Blending;
use super::canvas::CanvasShape;
use super::color::Code;
use super::layers::{Filter, LayerKind};
use crate::frame::Size;
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
        "blend" => [CANVAS, include_str!("../../shaders/blend.wgsl")].concat(),
        "scale" => [CANVAS, include_str!("../../shaders/scale.wgsl")].concat(),
        "luma_source" | "luma_canvas" => [CANVAS, include_str!("../../shaders/luma.wgsl")].concat(),
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
        shape.clip(rect).map(|(x, y)| Area::within(shape, x, y))
    }

    /// All of the canvas.
    fn whole(shape: &CanvasShape) -> Area {
        Area::within(shape, 0..shape.size.width_px, 0..shape.size.height_px)
    }

    fn within(shape: &CanvasShape, x: Range<u32>, y: Range<u32>) -> Area {
        let first_block = [x.start / 4, y.start / 2];
        Area {
            row_words: shape.row_bytes / 4,
            chroma_word: shape.chroma_offset() / 4,
            first_block,
            block_count: [x.end.div_ceil(4) - first_block[0], y.end.div_ceil(2) - first_block[1]],
            columns_px: [x.start, x.end],
        }
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

/// `BlendParams` of blend.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct BlendParams {
    pub(super) area: Area,
    size_px: [u32; 2],
    first_from: [i32; 2],
    second_from: [i32; 2],
    _pad: [u32; 2],
    weight: [f32; 4],
    gap: [f32; 4],
    veil: [f32; 4],
}

impl BlendParams {
    /// On the whole canvas.
    pub(super) fn new(shape: &CanvasShape, blending: &Blending) -> BlendParams {
        let with = |[a, b, c]: [f32; 3], last: f32| [a, b, c, last];
        BlendParams {
            area: Area::whole(shape),
            size_px: [shape.size.width_px, shape.size.height_px],
            first_from: blending.from[0],
            second_from: blending.from[1],
            _pad: [0; 2],
            weight: with(blending.weight, 0.0),
            gap: with(blending.gap.map(f32::from), 0.0),
            veil: with(blending.veil.map(f32::from), blending.veil_opacity),
        }
    }
}

/// `ScaleParams` of scale.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct ScaleParams {
    pub(super) area: Area,
    whole_size_px: [u32; 2],
    whole_row_words: u32,
    whole_chroma_word: u32,
    whole_per_pixel: [f32; 2],
}

impl ScaleParams {
    /// Onto all of a canvas of this shape, from all of another.
    pub(super) fn new(shape: &CanvasShape, whole: &CanvasShape) -> ScaleParams {
        let (to, from) = (shape.size, whole.size);
        ScaleParams {
            area: Area::whole(shape),
            whole_size_px: [from.width_px, from.height_px],
            whole_row_words: whole.row_bytes / 4,
            whole_chroma_word: whole.chroma_offset() / 4,
            whole_per_pixel: [
                from.width_px as f32 / to.width_px as f32,
                from.height_px as f32 / to.height_px as f32,
            ],
        }
    }
}

/// `LumaParams` of luma.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct LumaParams {
    size_px: [u32; 2],
    first_word: u32,
    row_words: u32,
    /// Of a texture: 255, or 65535 for samples of two bytes.
    pub(super) full: f32,
    _pad: u32,
}

impl LumaParams {
    /// Of a picture of this size (a canvas has rows of so many words) into a grid that begins at a word.
    pub(super) fn new(size: Size, first_word: usize, row_words: u32) -> LumaParams {
        LumaParams {
            size_px: [size.width_px, size.height_px],
            first_word: first_word as u32,
            row_words,
            full: 255.0,
            _pad: 0,
        }
    }
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

/// How texels of an overlay become pixels, and whether it may end between pixels: `FILTER` and `SOFT` of overlay.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverlayKind {
    Exact,
    Bilinear,
    Area,
    SoftBilinear,
    SoftArea,
}

impl OverlayKind {
    const ALL: [OverlayKind; 5] =
        [Self::Exact, Self::Bilinear, Self::Area, Self::SoftBilinear, Self::SoftArea];

    /// What stands, stands on whole pixels; what runs is mostly between them.
    pub(super) fn of(texels_per_pixel: [f32; 2], motion: Motion) -> OverlayKind {
        match (Filter::of_overlay(texels_per_pixel), motion) {
            (Filter::Exact, Motion::Still) => OverlayKind::Exact,
            (Filter::Area, Motion::Still) => OverlayKind::Area,
            (_, Motion::Still) => OverlayKind::Bilinear,
            (Filter::Area, _) => OverlayKind::SoftArea,
            _ => OverlayKind::SoftBilinear,
        }
    }

    fn constants(self) -> [(&'static str, f64); 2] {
        let (filter, soft) = match self {
            OverlayKind::Exact => (Filter::Exact, 0.0),
            OverlayKind::Bilinear => (Filter::Bilinear, 0.0),
            OverlayKind::Area => (Filter::Area, 0.0),
            OverlayKind::SoftBilinear => (Filter::Bilinear, 1.0),
            OverlayKind::SoftArea => (Filter::Area, 1.0),
        };
        [("FILTER", f64::from(filter as u8)), ("SOFT", soft)]
    }
}

/// All pipelines and the layouts of what is bound to them.
#[derive(Debug)]
pub(super) struct Shaders {
    pub(super) canvas_layout: wgpu::BindGroupLayout,
    pub(super) source_layout: wgpu::BindGroupLayout,
    pub(super) overlay_layout: wgpu::BindGroupLayout,
    /// Two canvases to read.
    pub(super) pair_layout: wgpu::BindGroupLayout,
    /// One canvas to read.
    pub(super) whole_layout: wgpu::BindGroupLayout,
    fill_program: Program,
    fill: OnceLock<wgpu::ComputePipeline>,
    layer_program: Program,
    layers: RwLock<HashMap<LayerKind, wgpu::ComputePipeline>>,
    overlay_program: Program,
    /// By kind.
    overlays: [OnceLock<wgpu::ComputePipeline>; OverlayKind::ALL.len()],
    blend_program: Program,
    blend: OnceLock<wgpu::ComputePipeline>,
    scale_program: Program,
    scale: OnceLock<wgpu::ComputePipeline>,
    luma_programs: [Program; 2],
    luma: OnceLock<[wgpu::ComputePipeline; 2]>,
}

impl Shaders {
    /// The programs and layouts. Pipelines follow by [`Shaders::make`] or, each, when it is first used.
    pub(super) fn new(device: &wgpu::Device, cache: Option<&wgpu::PipelineCache>) -> Shaders {
        let storage = |read_only| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let canvas_layout = bind_layout(device, "canvas", &[storage(false)]);
        let source_layout = bind_layout(device, "source", &[texture; 3]);
        let overlay_layout = bind_layout(device, "overlay", &[texture]);
        let pair_layout = bind_layout(device, "pair", &[storage(true); 2]);
        let whole_layout = bind_layout(device, "whole", &[storage(true)]);
        let program =
            |name, layouts: &[&wgpu::BindGroupLayout]| Program::new((device, cache), name, layouts);
        let fill_program = program("fill", &[&canvas_layout]);
        let layer_program = program("layer", &[&canvas_layout, &source_layout]);
        let overlay_program = program("overlay", &[&canvas_layout, &overlay_layout]);
        let blend_program = program("blend", &[&canvas_layout, &pair_layout]);
        let scale_program = program("scale", &[&canvas_layout, &whole_layout]);
        let luma_programs = [
            program("luma_source", &[&canvas_layout, &source_layout]),
            program("luma_canvas", &[&canvas_layout, &whole_layout]),
        ];
        Shaders {
            canvas_layout,
            source_layout,
            overlay_layout,
            pair_layout,
            whole_layout,
            fill_program,
            fill: OnceLock::new(),
            layer_program,
            layers: RwLock::default(),
            overlay_program,
            overlays: Default::default(),
            blend_program,
            blend: OnceLock::new(),
            scale_program,
            scale: OnceLock::new(),
            luma_programs,
            luma: OnceLock::new(),
        }
    }

    /// Makes the pipelines that a show mostly needs; others follow when they are first needed. On a software adapter those
    /// of overlays and of layers that were scaled ahead: each takes 30 ms and 4 MiB, and hardly any other is needed there.
    pub(super) fn make(&self, adapter: &GpuInfo) {
        self.fill();
        for kind in OverlayKind::ALL {
            self.overlay(kind);
        }
        match adapter.software {
            true => drop(self.layer(LayerKind::scaled_ahead())),
            false => self.make_staged(),
        }
    }

    /// Those by which shaders alone draw a picture.
    pub(super) fn make_staged(&self) {
        self.blend();
        self.scale();
        self.luma();
        LayerKind::usual().into_iter().for_each(|kind| drop(self.layer(kind)));
    }

    /// The pipeline that fills with one colour.
    pub(super) fn fill(&self) -> &wgpu::ComputePipeline {
        self.fill.get_or_init(|| self.fill_program.pipeline(&[]))
    }

    /// The pipeline that draws such a layer.
    pub(super) fn layer(&self, kind: LayerKind) -> wgpu::ComputePipeline {
        let made = self.layers.read().unwrap_or_else(PoisonError::into_inner).get(&kind).cloned();
        made.unwrap_or_else(|| {
            // Made without the lock, so that nobody waits who does not need it; two may make the same one, once.
            let pipeline = self.layer_program.pipeline(&kind.constants());
            let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
            layers.entry(kind).or_insert(pipeline).clone()
        })
    }

    /// The pipeline that makes one picture of two.
    pub(super) fn blend(&self) -> &wgpu::ComputePipeline {
        self.blend.get_or_init(|| self.blend_program.pipeline(&[]))
    }

    /// The pipeline that makes a rendition of a canvas.
    pub(super) fn scale(&self) -> &wgpu::ComputePipeline {
        self.scale.get_or_init(|| self.scale_program.pipeline(&[]))
    }

    /// The pipelines that measure an uploaded source and a finished canvas.
    pub(super) fn luma(&self) -> &[wgpu::ComputePipeline; 2] {
        self.luma.get_or_init(|| self.luma_programs.each_ref().map(|program| program.pipeline(&[])))
    }

    /// The pipeline that draws such an overlay.
    pub(super) fn overlay(&self, kind: OverlayKind) -> &wgpu::ComputePipeline {
        let made = &self.overlays[kind as usize];
        made.get_or_init(|| self.overlay_program.pipeline(&kind.constants()))
    }
}

/// A compiled program, ready to be specialised.
#[derive(Debug)]
struct Program {
    device: wgpu::Device,
    cache: Option<wgpu::PipelineCache>,
    name: &'static str,
    module: wgpu::ShaderModule,
    layout: wgpu::PipelineLayout,
}

impl Program {
    fn new(
        (device, cache): (&wgpu::Device, Option<&wgpu::PipelineCache>),
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
        Program { device: device.clone(), cache: cache.cloned(), name, module, layout }
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
            cache: self.cache.as_ref(),
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
