//! CPU twins of the shaders, written per sample in 64-bit floats: what the pixels should be.

use crate::frame::{Color, Picture, PixelFormat, Size};
use crate::gpu::color::canvas_from;
use crate::picture::{Motion, Rect, RgbaImage, Window};

/// A canvas as three full planes.
pub(super) struct TwinCanvas {
    pub(super) size: Size,
    pub(super) y: Vec<u8>,
    pub(super) uv: Vec<[u8; 2]>,
}

/// Samples of up to four channels with a size.
struct Samples {
    size: Size,
    texels: Vec<[f64; 4]>,
}

#[derive(Clone, Copy, PartialEq)]
enum Filter {
    Exact,
    Bilinear,
    Area,
}

impl Samples {
    fn at(&self, x: f64, y: f64) -> [f64; 4] {
        let clamp = |v: f64, side: u32| v.clamp(0.0, f64::from(side - 1)) as usize;
        let (x, y) = (clamp(x, self.size.width_px), clamp(y, self.size.height_px));
        self.texels[y * self.size.width_px as usize + x]
    }

    fn bilinear(&self, [x, y]: [f64; 2]) -> [f64; 4] {
        let (x, y) = (x - 0.5, y - 0.5);
        let (x0, y0) = (x.floor(), y.floor());
        let mut sum = [0.0; 4];
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            let weight = (1.0 - (x - x0 - dx).abs()) * (1.0 - (y - y0 - dy).abs());
            let texel = self.at(x0 + dx, y0 + dy);
            (0..4).for_each(|c| sum[c] += weight * texel[c]);
        }
        sum
    }

    fn mean(&self, at: [f64; 2], scale: [f64; 2]) -> [f64; 4] {
        let axis = |i: usize| {
            let reach = scale[i].max(1.0);
            let cell = (reach / 16.0).ceil();
            let (begin, end) = ((at[i] - reach / 2.0) / cell, (at[i] + reach / 2.0) / cell);
            let cells = (begin.floor() as i64)..(end.ceil() as i64);
            cells.map(move |k| {
                let k = k as f64;
                let covered = (k + 1.0).min(end) - k.max(begin);
                (((k + 0.5) * cell).floor(), covered / (end - begin))
            })
        };
        let mut sum = [0.0; 4];
        for (y, weight_y) in axis(1) {
            for (x, weight_x) in axis(0) {
                let texel = self.at(x, y);
                (0..4).for_each(|c| sum[c] += weight_x * weight_y * texel[c]);
            }
        }
        sum
    }

    /// As if there were nothing beyond the edges: linear up to two texels a pixel; beyond, the mean of what is there,
    /// by how much of a pixel that is.
    fn sample_ending(&self, at: [f64; 2], scale: [f64; 2]) -> [f64; 4] {
        let sides = [f64::from(self.size.width_px), f64::from(self.size.height_px)];
        if filter_of(scale) == Filter::Area {
            let covered = |i: usize| {
                let half = scale[i].max(1.0) / 2.0;
                let inside = (at[i] + half).min(sides[i]) - (at[i] - half).max(0.0);
                (inside / (2.0 * half)).max(0.0)
            };
            return self.mean(at, scale).map(|c| c * covered(0) * covered(1));
        }
        let (x, y) = (at[0] - 0.5, at[1] - 0.5);
        let mut sum = [0.0; 4];
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            let (tx, ty) = (x.floor() + dx, y.floor() + dy);
            let is_there = (0.0..sides[0]).contains(&tx) && (0.0..sides[1]).contains(&ty);
            let weight = (1.0 - (x - tx).abs()) * (1.0 - (y - ty).abs());
            if is_there {
                (0..4).for_each(|c| sum[c] += weight * self.at(tx, ty)[c]);
            }
        }
        sum
    }

    fn sample(&self, at: [f64; 2], scale: [f64; 2], filter: Filter) -> [f64; 4] {
        match filter {
            Filter::Exact => self.at(at[0].floor(), at[1].floor()),
            Filter::Bilinear => self.bilinear(at),
            Filter::Area => self.mean(at, scale),
        }
    }
}

fn scale_and_filter(source: Size, rect: Rect) -> ([f64; 2], Filter) {
    let scale = [
        f64::from(source.width_px) / f64::from(rect.width_px),
        f64::from(source.height_px) / f64::from(rect.height_px),
    ];
    (scale, filter_of(scale))
}

fn filter_of(scale: [f64; 2]) -> Filter {
    match scale {
        [1.0, 1.0] => Filter::Exact,
        [x, y] if x > 2.0 || y > 2.0 => Filter::Area,
        _ => Filter::Bilinear,
    }
}

fn code(value: f64) -> u8 {
    (value + 0.5).clamp(0.0, 255.0) as u8
}

fn planes(picture: &Picture) -> (Samples, Samples) {
    let byte = |plane: usize, x: usize, y: usize| {
        let plane = &picture.planes()[plane];
        f64::from(plane.data[y * plane.stride_bytes + x])
    };
    let (size, chroma) = (picture.size(), picture.size().chroma());
    let all = |size: Size, f: &dyn Fn(usize, usize) -> [f64; 4]| {
        let rows = 0..size.height_px as usize;
        let texels = rows
            .flat_map(|y| (0..size.width_px as usize).map(move |x| (x, y)))
            .map(|(x, y)| f(x, y));
        Samples { size, texels: texels.collect() }
    };
    let luma = all(size, &|x, y| [byte(0, x, y), 0.0, 0.0, 0.0]);
    let chroma = match picture.format() {
        PixelFormat::I420 => all(chroma, &|x, y| [byte(1, x, y), byte(2, x, y), 0.0, 0.0]),
        PixelFormat::Nv12 => {
            all(chroma, &|x, y| [byte(1, 2 * x, y), byte(1, 2 * x + 1, y), 0.0, 0.0])
        }
    };
    (luma, chroma)
}

impl TwinCanvas {
    pub(super) fn black(size: Size) -> TwinCanvas {
        let pixels = (size.width_px * size.height_px) as usize;
        TwinCanvas { size, y: vec![16; pixels], uv: vec![[128; 2]; pixels / 4] }
    }

    /// Positions of a rectangle that are on the canvas, `step` pixels apart, relative to the rectangle.
    fn positions(&self, rect: Rect, step: usize) -> Vec<(f64, f64, usize)> {
        let width = self.size.width_px as usize / step;
        let mut all = Vec::new();
        for y in (0..rect.height_px.cast_signed()).step_by(step) {
            for x in (0..rect.width_px.cast_signed()).step_by(step) {
                let (cx, cy) = (rect.x_px + x, rect.y_px + y);
                let inside = (0..self.size.width_px.cast_signed()).contains(&cx)
                    && (0..self.size.height_px.cast_signed()).contains(&cy);
                if inside {
                    let index = cy as usize / step * width + cx as usize / step;
                    all.push((f64::from(x), f64::from(y), index));
                }
            }
        }
        all
    }

    pub(super) fn layer(&mut self, picture: &Picture, rect: Rect) {
        let (luma, chroma) = planes(picture);
        let (scale, filter) = scale_and_filter(picture.size(), rect);
        let convert = (picture.color() != Color::CANVAS).then(|| canvas_from(picture.color()));
        let row = |m: [f32; 4], y: f64, [u, v, ..]: [f64; 4]| {
            let m = m.map(f64::from);
            m[0] * y + m[1] * u + m[2] * v + m[3]
        };
        // Left-sited chroma: sample i is on luma column 2 i, between luma rows 2 i and 2 i + 1.
        let to_chroma = |[x, y]: [f64; 2]| [(x - 0.5) / 2.0 + 0.5, y / 2.0];
        for (x, y, index) in self.positions(rect, 1) {
            let at = [(x + 0.5) * scale[0], (y + 0.5) * scale[1]];
            let value = luma.sample(at, scale, filter)[0];
            self.y[index] = code(convert.map_or(value, |m| {
                let filter = if filter == Filter::Area { filter } else { Filter::Bilinear };
                row(m[0], value, chroma.sample(to_chroma(at), scale, filter))
            }));
        }
        for (x, y, index) in self.positions(rect, 2) {
            let at = to_chroma([(x + 0.5) * scale[0], (y + 1.0) * scale[1]]);
            let uv = chroma.sample(at, scale, filter);
            let [u, v] =
                convert.map_or([uv[0], uv[1]], |m| [row(m[1], 0.0, uv), row(m[2], 0.0, uv)]);
            self.uv[index] = [code(u), code(v)];
        }
    }

    /// `image` has even sides already.
    pub(super) fn overlay(&mut self, image: &RgbaImage, rect: Rect, opacity: u8) {
        let window = Window::whole(rect, image.size);
        self.overlay_in(image, &window, (Motion::Still, opacity));
    }

    /// What of an overlay is seen in a window. One in motion ends where it ends, between pixels too.
    pub(super) fn overlay_in(
        &mut self,
        image: &RgbaImage,
        window: &Window,
        (motion, opacity): (Motion, u8),
    ) {
        let texels = image.pixels.chunks(4).map(|p| {
            let a = f64::from(p[3]) / 255.0;
            // Pre-multiplied pixels are kept in 8 bits.
            let of = |c: u8| (f64::from(c) * a).round() / 255.0;
            [of(p[0]), of(p[1]), of(p[2]), a]
        });
        let source = Samples { size: image.size, texels: texels.collect() };
        let rect = window.rect;
        let scale = window.texels_per_pixel;
        let origin = [
            window.origin_px[0] - f64::from(rect.x_px),
            window.origin_px[1] - f64::from(rect.y_px),
        ];
        let at = |x: f64, y: f64| {
            let at = [(x + 0.5 - origin[0]) * scale[0], (y + 0.5 - origin[1]) * scale[1]];
            let texel = match motion {
                Motion::Still => source.sample(at, scale, filter_of(scale)),
                _ => source.sample_ending(at, scale),
            };
            texel.map(|c| c * f64::from(opacity) / 255.0)
        };
        let (kr, kb) = (0.2126, 0.0722);
        let luma = |[r, g, b, _]: [f64; 4]| kr * r + (1.0 - kr - kb) * g + kb * b;
        for (x, y, index) in self.positions(rect, 1) {
            let p = at(x, y);
            let under = f64::from(self.y[index]) * (1.0 - p[3]);
            self.y[index] = code(under + 16.0 * p[3] + 219.0 * luma(p));
        }
        for (x, y, index) in self.positions(rect, 2) {
            let four = [at(x, y), at(x + 1.0, y), at(x, y + 1.0), at(x + 1.0, y + 1.0)];
            let p: [f64; 4] = std::array::from_fn(|c| four.iter().map(|p| p[c]).sum::<f64>() / 4.0);
            let cb = (p[2] - luma(p)) / (2.0 * (1.0 - kb));
            let cr = (p[0] - luma(p)) / (2.0 * (1.0 - kr));
            let over = [cb, cr].map(|c| 128.0 * p[3] + 224.0 * c);
            for (under, over) in self.uv[index].iter_mut().zip(over) {
                *under = code(f64::from(*under) * (1.0 - p[3]) + over);
            }
        }
    }
}
