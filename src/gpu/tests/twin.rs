//! CPU twins of the shaders, written per sample in 64-bit floats: what the pixels should be.

use std::f64::consts::PI;
use std::ops::Range;

use crate::frame::{ChromaSite, Color, Picture, PixelFormat, Size};
use crate::gpu::color::{canvas_from, code_of};
use crate::picture::{self, Look, Motion, Rect, RgbaImage};
use crate::shot::{ScaleQuality, Shot, Window};

/// A canvas as three full planes.
#[derive(Clone)]
pub(super) struct TwinCanvas {
    pub(super) size: Size,
    pub(super) y: Vec<u8>,
    pub(super) uv: Vec<[u8; 2]>,
}

/// A layer as it should look.
pub(super) struct TwinLayer<'a> {
    pub(super) picture: &'a Picture,
    pub(super) shot: Shot,
    pub(super) rect: Rect,
    pub(super) look: Look,
    pub(super) quality: ScaleQuality,
}

/// Samples of up to four channels with a size, of which only a window is seen.
struct Samples {
    size: Size,
    window: Window,
    texels: Vec<[f64; 4]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Filter {
    Exact,
    Bilinear,
    Area,
    Bicubic,
    Lanczos,
}

/// Weight of a texel at this distance, of −2 … 2 (B = 0, C = 0.6).
fn cubic(distance: f64) -> f64 {
    let d = distance.abs();
    if d < 1.0 {
        1.4 * d.powi(3) - 2.4 * d.powi(2) + 1.0
    } else {
        -0.6 * (d.powi(3) - 5.0 * d.powi(2) + 8.0 * d - 4.0)
    }
}

/// Weight of a texel at this distance, of −3 … 3, before they are brought to a sum of 1.
fn lanczos(distance: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
    sinc(distance) * sinc(distance / 3.0)
}

fn triangle(distance: f64) -> f64 {
    1.0 - distance.abs()
}

impl Samples {
    fn at(&self, x: f64, y: f64) -> [f64; 4] {
        let clamp = |v: f64, seen: &Range<u32>| {
            v.clamp(f64::from(seen.start), f64::from(seen.end - 1)) as usize
        };
        let (x, y) = (clamp(x, &self.window.columns), clamp(y, &self.window.rows));
        self.texels[y * self.size.width_px as usize + x]
    }

    /// The sum of the `2 × radius` neighbours along each axis by weight.
    fn weighted(&self, at: [f64; 2], radius: i32, weight: fn(f64) -> f64) -> [f64; 4] {
        let axis = |at: f64| -> Vec<(f64, f64)> {
            let low = (at - 0.5).floor();
            let taps = (1 - radius..=radius).map(move |k| low + f64::from(k));
            let taps: Vec<_> = taps.map(|tap| (tap, weight(at - 0.5 - tap))).collect();
            let sum: f64 = taps.iter().map(|tap| tap.1).sum();
            taps.into_iter().map(|(tap, weight)| (tap, weight / sum)).collect()
        };
        self.sum(&axis(at[0]), &axis(at[1]))
    }

    /// Columns and rows with their weights, multiplied out.
    fn sum(&self, columns: &[(f64, f64)], rows: &[(f64, f64)]) -> [f64; 4] {
        let mut sum = [0.0; 4];
        for &(y, weight_y) in rows {
            for &(x, weight_x) in columns {
                let (weight, texel) = (weight_x * weight_y, self.at(x, y));
                for (sum, channel) in sum.iter_mut().zip(texel) {
                    *sum += weight * channel;
                }
            }
        }
        sum
    }

    fn mean(&self, at: [f64; 2], scale: [f64; 2]) -> [f64; 4] {
        let axis = |i: usize| -> Vec<(f64, f64)> {
            // As exact as the shader's parameters: how wide a cell is leaps where this passes a multiple of 16.
            let reach = f64::from(scale[i] as f32).max(1.0);
            let cell = (reach / 16.0).ceil();
            let (begin, end) = ((at[i] - reach / 2.0) / cell, (at[i] + reach / 2.0) / cell);
            let cells = (begin.floor() as i64)..(end.ceil() as i64);
            let covered = |k: f64| (k + 1.0).min(end) - k.max(begin);
            cells
                .map(|k| k as f64)
                .map(|k| (((k + 0.5) * cell).floor(), covered(k) / (end - begin)))
                .collect()
        };
        self.sum(&axis(0), &axis(1))
    }

    /// As if there were nothing beyond the edges: linear where it is not made smaller; else the mean of what is there,
    /// by how much of a pixel that is.
    fn sample_ending(&self, at: [f64; 2], scale: [f64; 2]) -> [f64; 4] {
        let sides = [f64::from(self.size.width_px), f64::from(self.size.height_px)];
        if overlay_filter(scale) == Filter::Area {
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
            Filter::Bilinear => self.weighted(at, 1, triangle),
            Filter::Bicubic => self.weighted(at, 2, cubic),
            Filter::Lanczos => self.weighted(at, 3, lanczos),
            Filter::Area => self.mean(at, scale),
        }
    }
}

/// Averaged where anything is made smaller; one to one where texels fall on pixels; else as said.
fn filter_of(scale: [f64; 2], middle: [f64; 2], magnifying: Filter) -> Filter {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    if scale.iter().any(|&s| s > 1.0 && !near(s, 1.0)) {
        Filter::Area
    } else if scale.iter().all(|&s| near(s, 1.0))
        && middle.iter().all(|&at| near(at.rem_euclid(1.0), 0.5))
    {
        Filter::Exact
    } else {
        magnifying
    }
}

fn overlay_filter(scale: [f64; 2]) -> Filter {
    filter_of(scale, [0.5; 2], Filter::Bilinear)
}

fn code(value: f64) -> u8 {
    (value + 0.5).clamp(0.0, 255.0) as u8
}

/// Luma and chroma in code values of 8 bits, with the fraction that deeper samples have.
fn planes(picture: &Picture, shot: &Shot) -> (Samples, Samples) {
    let format = picture.format();
    let seen = shot.window(picture.size(), picture.turn());
    let [across, down] = format.subsampling();
    let per = |seen: &Range<u32>, luma: u32| seen.start / luma..seen.end.div_ceil(luma);
    let seen_chroma = Window { columns: per(&seen.columns, across), rows: per(&seen.rows, down) };
    let sample = |plane: usize, x: usize, y: usize| {
        let plane = &picture.planes()[plane];
        let at = y * plane.stride_bytes + x * format.sample_bytes();
        let value = match format.sample_bytes() {
            1 => u16::from(plane.data[at]),
            _ => u16::from_le_bytes([plane.data[at], plane.data[at + 1]]),
        };
        f64::from(value) / f64::from(format.sample_per_code())
    };
    let all = |size: Size, window: Window, f: &dyn Fn(usize, usize) -> [f64; 4]| {
        let rows = 0..size.height_px as usize;
        let texels = rows
            .flat_map(|y| (0..size.width_px as usize).map(move |x| (x, y)))
            .map(|(x, y)| f(x, y));
        Samples { size, window, texels: texels.collect() }
    };
    let luma = all(picture.size(), seen, &|x, y| [sample(0, x, y), 0.0, 0.0, 0.0]);
    let chroma = all(format.chroma_size(picture.size()), seen_chroma, &|x, y| match format {
        PixelFormat::Nv12 | PixelFormat::P010 => {
            [sample(1, 2 * x, y), sample(1, 2 * x + 1, y), 0.0, 0.0]
        }
        _ => [sample(1, x, y), sample(2, x, y), 0.0, 0.0],
    });
    (luma, chroma)
}

/// From a place among luma samples to the same among chroma samples (sample i is centred at i + 0.5).
fn chroma_from_luma(picture: &Picture, [x, y]: [f64; 2]) -> [f64; 2] {
    let (left, top) = match picture.site() {
        ChromaSite::Left => (true, false),
        ChromaSite::Center => (false, false),
        ChromaSite::TopLeft => (true, true),
    };
    let axis = |at: f64, subsampling: u32, on_first: bool| match (subsampling, on_first) {
        (1, _) => at,
        // Sample i is on luma sample 2 i, whose middle is at 2 i + 0.5 …
        (_, true) => (at - 0.5) / 2.0 + 0.5,
        // … or between that and the next.
        (_, false) => at / 2.0,
    };
    let [across, down] = picture.format().subsampling();
    [axis(x, across, left), axis(y, down, top)]
}

/// How much of a pixel is the layer, and how much is its picture, by its middle on the layer's rectangle.
fn shares(layer: &TwinLayer, canvas: Size, [x, y]: [f64; 2]) -> [f64; 2] {
    let (look, rect) = (&layer.look, layer.rect);
    let height = f64::from(canvas.height_px);
    let half = [rect.width_px, rect.height_px].map(|side| f64::from(side) / 2.0);
    let radius = (f64::from(look.corner_radius) * height).clamp(0.0, half[0].min(half[1]));
    let border = look.border.map_or(0.0, |border| f64::from(border.width) * height).max(0.0);
    // How far the pixel is outside the rectangle that the corners' circles have their middles on.
    let beyond = [(x - half[0]).abs() - half[0] + radius, (y - half[1]).abs() - half[1] + radius];
    let distance = match beyond {
        [dx, dy] if dx > 0.0 && dy > 0.0 => dx.hypot(dy) - radius,
        [dx, dy] => dx.max(dy) - radius,
    };
    let opacity = f64::from(look.opacity).clamp(0.0, 1.0);
    [distance, distance + border].map(|distance| (0.5 - distance).clamp(0.0, 1.0) * opacity)
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

    /// The whole picture, plain.
    pub(super) fn plain(&mut self, picture: &Picture, rect: Rect) {
        let look = Look::default();
        let quality = ScaleQuality::default();
        self.layer(&TwinLayer { picture, shot: look.shot(rect), rect, look, quality });
    }

    pub(super) fn layer(&mut self, layer: &TwinLayer) {
        let (picture, rect) = (layer.picture, layer.rect);
        let (luma, chroma) = planes(picture, &layer.shot);
        let map = layer.shot.source_from_shot(picture.size(), picture.turn());
        let to_chroma = |at: [f64; 2]| chroma_from_luma(picture, map.apply(at));
        let magnifying = match layer.quality {
            ScaleQuality::Bicubic => Filter::Bicubic,
            ScaleQuality::Lanczos => Filter::Lanczos,
        };
        let scale = map.reach();
        let [across, down] = picture.format().subsampling().map(f64::from);
        // Per pixel, and per chroma sample of the canvas.
        let under_scale = [scale[0] / across, scale[1] / down];
        let chroma_scale = under_scale.map(|texels| 2.0 * texels);
        let luma_filter = filter_of(scale, map.apply([0.5, 0.5]), magnifying);
        let chroma_filter = filter_of(chroma_scale, to_chroma([0.5, 1.0]), magnifying);
        let under_filter =
            if chroma_filter == Filter::Area { Filter::Area } else { Filter::Bilinear };
        let convert = (picture.color() != Color::CANVAS)
            .then(|| canvas_from(picture.color(), picture.format().depth_bits()));
        let row = |m: [f32; 4], y: f64, [u, v, ..]: [f64; 4]| {
            let m = m.map(f64::from);
            m[0] * y + m[1] * u + m[2] * v + m[3]
        };
        let border = code_of(layer.look.border.map_or(0, |border| border.rgb)).map(f64::from);
        let over = |value: f64, border: f64, [layer, inside]: [f64; 2], under: u8| {
            let value = value.clamp(0.0, 255.0);
            code(inside * value + (layer - inside) * border + (1.0 - layer) * f64::from(under))
        };
        for (x, y, index) in self.positions(rect, 1) {
            let middle = [x + 0.5, y + 0.5];
            let value = luma.sample(map.apply(middle), scale, luma_filter)[0];
            let value = convert.map_or(value, |m| {
                row(m[0], value, chroma.sample(to_chroma(middle), under_scale, under_filter))
            });
            let shares = shares(layer, self.size, middle);
            self.y[index] = over(value, border[0], shares, self.y[index]);
        }
        for (x, y, index) in self.positions(rect, 2) {
            let uv = chroma.sample(to_chroma([x + 0.5, y + 1.0]), chroma_scale, chroma_filter);
            let values =
                convert.map_or([uv[0], uv[1]], |m| [row(m[1], 0.0, uv), row(m[2], 0.0, uv)]);
            let four = [(0.5, 0.5), (1.5, 0.5), (0.5, 1.5), (1.5, 1.5)]
                .map(|(dx, dy)| shares(layer, self.size, [x + dx, y + dy]));
            let mean = [0, 1].map(|part| four.iter().map(|s| s[part]).sum::<f64>() / 4.0);
            self.uv[index] =
                [0, 1].map(|c| over(values[c], border[1 + c], mean, self.uv[index][c]));
        }
    }

    /// `image` has even sides already.
    pub(super) fn overlay(&mut self, image: &RgbaImage, rect: Rect, opacity: u8) {
        let window = picture::Window::whole(rect, image.size);
        self.overlay_in(image, &window, (Motion::Still, opacity));
    }

    /// What of an overlay is seen in a window. One in motion ends where it ends, between pixels too.
    pub(super) fn overlay_in(
        &mut self,
        image: &RgbaImage,
        window: &picture::Window,
        (motion, opacity): (Motion, u8),
    ) {
        let texels = image.pixels.chunks(4).map(|p| {
            let a = f64::from(p[3]) / 255.0;
            // Pre-multiplied pixels are kept in 8 bits.
            let of = |c: u8| (f64::from(c) * a).round() / 255.0;
            [of(p[0]), of(p[1]), of(p[2]), a]
        });
        let texels_of = Window { columns: 0..image.size.width_px, rows: 0..image.size.height_px };
        let source = Samples { size: image.size, window: texels_of, texels: texels.collect() };
        let rect = window.rect;
        let scale = window.texels_per_pixel;
        let origin = [
            window.origin_px[0] - f64::from(rect.x_px),
            window.origin_px[1] - f64::from(rect.y_px),
        ];
        let at = |x: f64, y: f64| {
            let at = [(x + 0.5 - origin[0]) * scale[0], (y + 0.5 - origin[1]) * scale[1]];
            let texel = match motion {
                Motion::Still => source.sample(at, scale, overlay_filter(scale)),
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
