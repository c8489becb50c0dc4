//! Two pictures become one, under a veil: the numbers that blend.wgsl goes by, and the same on the CPU for canvases that
//! it sees.
//!
//! Must not know how either picture was drawn. Invariant: every pixel's weight grows with progress and never shrinks; both ways of drawing go by
//! the same [`Blending`].

use std::mem;
use std::ops::Range;

use super::canvas::CanvasShape;
use super::color::{Code, code_of};
use super::copy::MappedCanvas;
use crate::frame::Size;
use crate::picture::{Blend, Direction, Veil};

/// Width of the edge of a wipe, across which one picture fades into the other, in pixels.
pub(super) const WIPE_SOFT_PX: f32 = 4.0;

/// How each pixel of the output comes about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blending {
    /// Added to an output position: where it lies on the first and on the second picture. Even pixels.
    pub(super) from: [[i32; 2]; 2],
    /// Weight of the second picture at a position: `weight · (x, y, 1)`, limited to 0–1.
    pub(super) weight: [f32; 3],
    /// Where the first picture has moved away and the second is not yet.
    pub(super) gap: Code,
    /// Colour of the veil.
    pub(super) veil: Code,
    /// 0–1.
    pub(super) veil_opacity: f32,
}

impl Blending {
    /// Of canvases of this size; `gap` is the ground of the first.
    pub(super) fn new(size: Size, blend: Option<Blend>, veil: Option<Veil>, gap: Code) -> Blending {
        let (from, weight) = match blend {
            None => ([[0; 2]; 2], [0.0; 3]),
            Some(Blend::Mix { progress }) => ([[0; 2]; 2], [0.0, 0.0, progress]),
            Some(Blend::Wipe { towards, progress }) => {
                ([[0; 2]; 2], wipe_weight(size, towards, progress))
            }
            Some(Blend::Slide { towards, progress }) => {
                ([[0; 2], moved(size, towards, progress)[1]], [0.0, 0.0, 1.0])
            }
            Some(Blend::Push { towards, progress }) => {
                (moved(size, towards, progress), [0.0, 0.0, 1.0])
            }
        };
        let veil = veil.unwrap_or(Veil { rgb: 0, opacity: 0.0 });
        Blending { from, weight, gap, veil: code_of(veil.rgb), veil_opacity: veil.opacity }
    }

    /// Writes the output canvas from two others of the same shape, all mapped.
    ///
    /// A mix of 1080p takes one core 0.8 ms; the shader on Mesa's software Vulkan takes two of the same cores 19 ms.
    pub(super) fn write(&self, out: &mut MappedCanvas<'_>, first: &[u8], second: &[u8]) {
        let shape = out.shape;
        let mut row = mem::take(out.row);
        row.resize(shape.size.width_px as usize, 0);
        for line in Line::all(&shape) {
            self.draw_first(&mut row, first, (&shape, line));
            self.draw_second(&mut row, second, (&shape, line));
            if self.veil_opacity > 0.0 {
                veil(&mut row, line.pair_of(self.veil), self.veil_opacity);
            }
            out.put(line.number, 0, &row);
        }
        *out.row = row;
    }

    fn draw_first(&self, row: &mut [u8], canvas: &[u8], (shape, line): (&CanvasShape, Line)) {
        let seen = line.seen(shape, self.from[0]);
        if seen.as_ref().is_none_or(|(columns, _)| columns.len() < row.len()) {
            let gap = line.pair_of(self.gap);
            row.as_chunks_mut::<2>().0.fill(gap);
        }
        if let Some((columns, start)) = seen {
            let bytes = &canvas[start..start + columns.len()];
            row[columns].copy_from_slice(bytes);
        }
    }

    fn draw_second(&self, row: &mut [u8], canvas: &[u8], (shape, line): (&CanvasShape, Line)) {
        let Some((columns, start)) = line.seen(shape, self.from[1]) else { return };
        let mut draw = |span: Range<usize>, weight: f32| {
            let start = start + span.start - columns.start;
            let bytes = &canvas[start..start + span.len()];
            mix(&mut row[span], bytes, weight);
        };
        let middle = line.step as f32 / 2.0;
        let weight_at = |x: usize| {
            let [wx, wy, w] = self.weight;
            (wx * (x as f32 + middle) + wy * (line.y_px as f32 + middle) + w).clamp(0.0, 1.0)
        };
        let edge = self.edge(&columns, line);
        draw(columns.start..edge.start, weight_at(columns.start));
        for x in edge.clone().step_by(line.step) {
            draw(x..x + line.step, weight_at(x));
        }
        draw(edge.end..columns.end, weight_at(columns.end - line.step));
    }

    /// The columns between which the weight is the same on each side: empty where it does not change along the line.
    fn edge(&self, columns: &Range<usize>, line: Line) -> Range<usize> {
        let [wx, wy, w] = self.weight;
        if wx == 0.0 {
            return columns.start..columns.start;
        }
        let middle = line.step as f32 / 2.0;
        let rest = wx * middle + wy * (line.y_px as f32 + middle) + w;
        let ends = [-rest / wx, (1.0 - rest) / wx];
        // A column more on each side for what floats round off, on even columns. Casts saturate.
        let even = |x: f32| ((x / 2.0) as usize * 2).clamp(columns.start, columns.end);
        even(ends[0].min(ends[1]) - 1.0)..even(ends[0].max(ends[1]) + 3.0)
    }
}

/// A row of samples in a canvas: luma, or interleaved chroma.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// Counted through both planes.
    number: usize,
    /// The luma row it begins at.
    y_px: u32,
    /// Bytes that have a weight of their own: 1, or U and V together.
    step: usize,
}

impl Line {
    fn all(shape: &CanvasShape) -> impl Iterator<Item = Line> + use<> {
        let height = shape.size.height_px;
        let luma = (0..height).map(|y_px| Line { number: y_px as usize, y_px, step: 1 });
        let chroma = (0..height / 2).map(move |y| Line {
            number: (height + y) as usize,
            y_px: 2 * y,
            step: 2,
        });
        luma.chain(chroma)
    }

    /// Two neighbouring samples of a colour.
    fn pair_of(self, [y, u, v]: Code) -> [u8; 2] {
        if self.step == 1 { [y; 2] } else { [u, v] }
    }

    /// The columns that show a canvas whose pixels lie at `from` from here, and the byte that the first of them shows.
    fn seen(self, shape: &CanvasShape, [dx, dy]: [i32; 2]) -> Option<(Range<usize>, usize)> {
        let Size { width_px, height_px } = shape.size;
        let y = self.y_px.checked_add_signed(dy).filter(|y| *y < height_px)?;
        let row = if self.step == 1 { y } else { height_px + y / 2 };
        let columns = 0i32.saturating_sub(dx).max(0).cast_unsigned()
            ..width_px.saturating_add_signed(-dx).min(width_px);
        let start = row * shape.row_bytes + columns.start.checked_add_signed(dx)?;
        let columns = columns.start as usize..columns.end as usize;
        (!columns.is_empty()).then_some((columns, start as usize))
    }
}

/// The whole of a weight on the CPU; 16 bits times 8 are what the smallest vector units multiply fast.
const WHOLE: u32 = 1 << 15;

fn mix(row: &mut [u8], other: &[u8], weight: f32) {
    if weight >= 1.0 {
        row.copy_from_slice(other);
    } else if weight > 0.0 {
        let [rest, weight] = shares(weight);
        for (under, &over) in row.iter_mut().zip(other) {
            *under = share(*under, rest, over, weight);
        }
    }
}

fn veil(row: &mut [u8], colour: [u8; 2], opacity: f32) {
    let [rest, weight] = shares(opacity);
    for pair in row.as_chunks_mut::<2>().0 {
        *pair = [0, 1].map(|i| share(pair[i], rest, colour[i], weight));
    }
}

fn shares(weight: f32) -> [u16; 2] {
    let weight = (weight * WHOLE as f32).round() as u16;
    [WHOLE as u16 - weight, weight]
}

fn share(under: u8, rest: u16, over: u8, weight: u16) -> u8 {
    let sum = u32::from(under) * u32::from(rest) + u32::from(over) * u32::from(weight);
    ((sum + WHOLE / 2) / WHOLE) as u8
}

/// The weight of what is behind the edge of a wipe. The edge is square to its direction, or for diagonals along the
/// canvas' other diagonal, and passes the whole canvas and its own width.
fn wipe_weight(size: Size, towards: Direction, progress: f32) -> [f32; 3] {
    let sides = [size.width_px as f32, size.height_px as f32];
    let [dx, dy] = towards.steps().map(|step| step as f32);
    let slope = [dx / sides[0], dy / sides[1]];
    let length = slope[0].hypot(slope[1]);
    let normal = slope.map(|s| s / length);
    // From the corner that is wiped first, how far along the edge's way the last one is.
    let way = normal[0].abs() * sides[0] + normal[1].abs() * sides[1];
    let corner = |n: f32, side: f32| if n < 0.0 { n * side } else { 0.0 };
    let begin = corner(normal[0], sides[0]) + corner(normal[1], sides[1]);
    let edge = begin + progress * (way + WIPE_SOFT_PX);
    [-normal[0] / WIPE_SOFT_PX, -normal[1] / WIPE_SOFT_PX, edge / WIPE_SOFT_PX]
}

/// Where output positions lie on a first picture that moves out and on a second that moves in.
fn moved(size: Size, towards: Direction, progress: f32) -> [[i32; 2]; 2] {
    let steps = towards.steps();
    let axis = |step: i32, side: u32| {
        let gone = 2 * (progress * side as f32 / 2.0).round() as i32;
        [-step * gone, step * (side.cast_signed() - gone)]
    };
    let [x, y] = [axis(steps[0], size.width_px), axis(steps[1], size.height_px)];
    [[x[0], y[0]], [x[1], y[1]]]
}
