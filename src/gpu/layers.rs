//! How a layer is drawn: which pipeline, and with which numbers.
//!
//! Owns the choice of filters and the parameters of layer.wgsl. Must not know textures or passes. Invariant: a layer whose
//! samples fall on the canvas' samples is read one to one, so it is exact.

use bytemuck::{Pod, Zeroable};

use super::canvas::CanvasShape;
use super::color::{canvas_from, code_of};
use super::shaders::Area;
use crate::frame::{ChromaSite, Color, Picture, PixelFormat, Size};
use crate::picture::{Look, Rect};
use crate::shot::{Affine, ScaleQuality, Shot, Window};

/// How texels become pixels: `FILTER` of sample.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Filter {
    Exact,
    Bilinear,
    Area,
    Bicubic,
    Lanczos,
}

/// Positions and ratios that differ by less are the same.
const NEAR: f64 = 1e-6;

impl Filter {
    /// The filter for this many texels per pixel, where magnifying is done by `magnifying`; `middle` is where the middle of
    /// a pixel lies.
    fn of(texels_per_pixel: [f64; 2], middle: [f64; 2], magnifying: Filter) -> Filter {
        let on_texels = |at: f64| (at - at.floor() - 0.5).abs() < NEAR;
        if texels_per_pixel.iter().any(|&texels| texels > 1.0 + NEAR) {
            Filter::Area
        } else if texels_per_pixel.iter().all(|&texels| texels > 1.0 - NEAR)
            && middle.into_iter().all(on_texels)
        {
            Filter::Exact
        } else {
            magnifying
        }
    }

    /// The filter of an overlay.
    pub(super) fn of_overlay([x, y]: [f32; 2]) -> Filter {
        Filter::of([x, y].map(f64::from), [0.5; 2], Filter::Bilinear)
    }
}

impl From<ScaleQuality> for Filter {
    fn from(quality: ScaleQuality) -> Filter {
        match quality {
            ScaleQuality::Bicubic => Filter::Bicubic,
            ScaleQuality::Lanczos => Filter::Lanczos,
        }
    }
}

/// Whether a layer's colour is the canvas'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Conversion {
    Keep,
    Convert,
}

/// Whether what is under a layer, or a border, shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Surface {
    Plain,
    Shaped,
}

/// How the samples of a picture lie in its textures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Samples {
    is_planar: bool,
    bytes: usize,
    per_code: u32,
}

impl From<PixelFormat> for Samples {
    fn from(format: PixelFormat) -> Samples {
        Samples {
            is_planar: format.plane_count() == 3,
            bytes: format.sample_bytes(),
            per_code: format.sample_per_code(),
        }
    }
}

/// What a pipeline of layer.wgsl is specialised to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LayerKind {
    pub(super) luma: Filter,
    pub(super) chroma: Filter,
    pub(super) samples: Samples,
    pub(super) conversion: Conversion,
    pub(super) surface: Surface,
}

impl LayerKind {
    /// What is scaled ahead, with a look: the one layer that a software adapter draws by shader as long as all goes well.
    pub(super) fn scaled_ahead() -> LayerKind {
        LayerKind {
            luma: Filter::Exact,
            chroma: Filter::Exact,
            samples: PixelFormat::Nv12.into(),
            conversion: Conversion::Keep,
            surface: Surface::Shaped,
        }
    }

    /// What layers mostly are: 8 bits, 4:2:0, luma and chroma by the same filter.
    pub(super) fn usual() -> Vec<LayerKind> {
        let mut all = Vec::new();
        for filter in [Filter::Exact, Filter::Area, Filter::Bicubic] {
            for samples in [PixelFormat::I420, PixelFormat::Nv12].map(Samples::from) {
                for conversion in [Conversion::Keep, Conversion::Convert] {
                    for surface in [Surface::Plain, Surface::Shaped] {
                        let (luma, chroma) = (filter, filter);
                        all.push(LayerKind { luma, chroma, samples, conversion, surface });
                    }
                }
            }
        }
        all
    }

    /// The pipeline's constants.
    pub(super) fn constants(self) -> [(&'static str, f64); 6] {
        let largest = if self.samples.bytes == 1 { 255.0 } else { 65_535.0 };
        [
            ("FILTER", f64::from(self.luma as u8)),
            ("CHROMA_FILTER", f64::from(self.chroma as u8)),
            ("PLANAR", f64::from(u8::from(self.samples.is_planar))),
            ("CODES", largest / f64::from(self.samples.per_code)),
            ("CONVERT", f64::from(self.conversion as u8)),
            ("SHAPED", f64::from(self.surface as u8)),
        ]
    }
}

/// `LayerParams` of layer.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub(super) struct LayerParams {
    pub(super) area: Area,
    pub(super) source_from_x: [f32; 2],
    pub(super) source_from_y: [f32; 2],
    pub(super) source_origin: [f32; 2],
    pub(super) chroma_origin: [f32; 2],
    pub(super) to_y: [f32; 4],
    pub(super) uv_from_u: [f32; 2],
    pub(super) uv_from_v: [f32; 2],
    pub(super) window_begin: [f32; 2],
    pub(super) window_end: [f32; 2],
    pub(super) corner_radius_px: f32,
    pub(super) border_px: f32,
    pub(super) opacity: f32,
    pub(super) border_code: u32,
}

/// A picture as it is to be seen on a canvas.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerDraw<'a> {
    pub(super) picture: &'a Picture,
    /// What of the picture fills the rectangle.
    pub(super) shot: Shot,
    pub(super) rect: Rect,
    /// Its crop and mirror are the shot's.
    pub(super) look: Look,
}

impl LayerDraw<'_> {
    /// Pipeline and parameters, if any of it is on the canvas.
    pub(super) fn on(
        &self,
        canvas: &CanvasShape,
        quality: ScaleQuality,
    ) -> Option<(LayerKind, LayerParams)> {
        let area = Area::of(canvas, self.rect)?;
        let map = self.shot.source_from_shot(self.picture.size(), self.picture.turn());
        Some((self.kind(&map, quality), self.params(area, &map, canvas.size)))
    }

    fn kind(&self, map: &Affine, quality: ScaleQuality) -> LayerKind {
        let (format, magnifying) = (self.picture.format(), quality.into());
        let chroma = Chroma::of(format, self.picture.site());
        let reach = map.reach();
        let is_like_canvas = self.picture.color() == Color::CANVAS;
        LayerKind {
            luma: Filter::of(reach, map.apply([0.5, 0.5]), magnifying),
            chroma: Filter::of(
                std::array::from_fn(|axis| 2.0 * reach[axis] * chroma.per_luma[axis]),
                chroma.of_luma(map.apply([0.5, 1.0])),
                magnifying,
            ),
            samples: format.into(),
            conversion: if is_like_canvas { Conversion::Keep } else { Conversion::Convert },
            surface: if self.look.is_plain() { Surface::Plain } else { Surface::Shaped },
        }
    }

    fn params(&self, area: Area, map: &Affine, canvas: Size) -> LayerParams {
        let (rect, picture) = (self.rect, self.picture);
        let [left, top] = [rect.x_px, rect.y_px].map(f64::from);
        let Window { columns, rows } = self.shot.window(picture.size(), picture.turn());
        let [to_y, to_u, to_v] = canvas_from(picture.color(), picture.format().depth_bits());
        let canvas_height_px = canvas.height_px as f32;
        let round_px = self.look.corner_radius * canvas_height_px;
        let shorter_half = rect.width_px.min(rect.height_px) as f32 / 2.0;
        let border = self.look.border.filter(|border| border.width > 0.0);
        let [y, u, v] = border.map_or([0; 3], |border| code_of(border.rgb));
        let narrow = |pair: [f64; 2]| pair.map(|value| value as f32);
        LayerParams {
            area,
            source_from_x: narrow([map.row_x[0], map.row_y[0]]),
            source_from_y: narrow([map.row_x[1], map.row_y[1]]),
            source_origin: narrow(map.apply([-left, -top])),
            chroma_origin: narrow(Chroma::of(picture.format(), picture.site()).origin),
            to_y,
            uv_from_u: [to_u[1], to_v[1]],
            uv_from_v: [to_u[2], to_v[2]],
            window_begin: [columns.start as f32, rows.start as f32],
            window_end: [columns.end as f32, rows.end as f32],
            corner_radius_px: round_px.max(0.0).min(shorter_half),
            border_px: border.map_or(0.0, |border| border.width * canvas_height_px),
            opacity: self.look.opacity.clamp(0.0, 1.0),
            border_code: u32::from_le_bytes([y, u, v, 0]),
        }
    }
}

/// Where chroma lies: from luma texels to chroma texels, along each axis.
struct Chroma {
    per_luma: [f64; 2],
    origin: [f64; 2],
}

impl Chroma {
    fn of(format: PixelFormat, site: ChromaSite) -> Chroma {
        // Where two luma samples share one of chroma, that one lies on the first of them or between both.
        let on_first = match site {
            ChromaSite::Left => [true, false],
            ChromaSite::Center => [false, false],
            ChromaSite::TopLeft => [true, true],
        };
        let shared = format.subsampling().map(|samples| samples == 2);
        Chroma {
            per_luma: shared.map(|shared| if shared { 0.5 } else { 1.0 }),
            origin: std::array::from_fn(|axis| match (shared[axis], on_first[axis]) {
                (true, true) => 0.25,
                (true, false) | (false, _) => 0.0,
            }),
        }
    }

    fn of_luma(self, at: [f64; 2]) -> [f64; 2] {
        std::array::from_fn(|axis| at[axis] * self.per_luma[axis] + self.origin[axis])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_go_by_reach_and_place() {
        use Filter::{Area, Exact, Lanczos};
        for (texels, middle, filter) in [
            ([1.0, 1.0], [0.5, 7.5], Exact),
            // Whole pixels, but between them.
            ([1.0, 1.0], [0.75, 0.5], Lanczos),
            ([0.5, 1.0], [0.25, 0.5], Lanczos),
            ([0.5, 0.5], [0.25, 0.25], Lanczos),
            ([1.01, 1.0], [0.505, 0.5], Area),
            ([0.5, 3.0], [0.25, 1.5], Area),
        ] {
            assert_eq!(Filter::of(texels, middle, Lanczos), filter, "{texels:?} {middle:?}");
        }
    }

    #[test]
    fn what_lies_like_the_canvas_is_exact() {
        use crate::shot::Turn;
        use PixelFormat::{I420, I422, I444, Nv12, P010};
        let size = Size::new(8, 8);
        let canvas = CanvasShape::new(size).unwrap();
        let whole = Rect { x_px: 0, y_px: 0, width_px: 8, height_px: 8 };
        for (format, site, turn, luma, chroma) in [
            (I420, ChromaSite::Left, Turn::NONE, Filter::Exact, Filter::Exact),
            (Nv12, ChromaSite::Left, Turn::NONE, Filter::Exact, Filter::Exact),
            (P010, ChromaSite::Left, Turn::NONE, Filter::Exact, Filter::Exact),
            (I420, ChromaSite::Center, Turn::NONE, Filter::Exact, Filter::Bicubic),
            (I420, ChromaSite::TopLeft, Turn::NONE, Filter::Exact, Filter::Bicubic),
            (I422, ChromaSite::Left, Turn::NONE, Filter::Exact, Filter::Area),
            (I444, ChromaSite::Left, Turn::NONE, Filter::Exact, Filter::Area),
            // Chroma on the left is then on top or on the right.
            (I420, ChromaSite::Left, Turn::clockwise(1), Filter::Exact, Filter::Bicubic),
            (I420, ChromaSite::Left, Turn::NONE.of_mirrored(), Filter::Exact, Filter::Bicubic),
        ] {
            let shapes = format.plane_shapes(size);
            let planes = shapes.iter().map(|&(row_bytes, rows)| crate::frame::Plane {
                data: vec![0; row_bytes * rows].into(),
                stride_bytes: row_bytes,
            });
            let picture = Picture::new(format, size, Color::CANVAS, planes.collect()).unwrap();
            let picture = picture.with_site(site).with_shape(turn, (1, 1));
            let look = Look::default();
            let draw = LayerDraw { picture: &picture, shot: size.into(), rect: whole, look };
            let (kind, _) = draw.on(&canvas, ScaleQuality::Bicubic).unwrap();
            assert_eq!((kind.luma, kind.chroma), (luma, chroma), "{format:?} {site:?} {turn:?}");
        }
    }
}
