//! What needs no shader: opaque, unscaled layers are copied into a mapped canvas row by row.
//!
//! Must not know the GPU beyond the mapped bytes. Invariant: only pixels inside the clipped rectangle change.

use std::ops::Range;

use super::canvas::CanvasShape;
use super::color::Code;
use crate::frame::{Picture, Plane};
use crate::picture::Rect;

/// A canvas that the CPU writes to.
pub(super) struct MappedCanvas<'a> {
    pub(super) shape: CanvasShape,
    pub(super) bytes: &'a mut [u8],
    /// A row of chroma being interleaved; kept between frames.
    pub(super) row: &'a mut Vec<u8>,
}

impl MappedCanvas<'_> {
    /// Copies a picture of exactly `rect`'s size, which must be like the canvas.
    pub(super) fn copy(&mut self, picture: &Picture, rect: Rect) {
        let Some((columns, rows)) = self.shape.clip(rect) else { return };
        // What is cut off on the left and at the top; even, as rectangles are.
        let skip_x = (i64::from(columns.start) - i64::from(rect.x_px)) as usize;
        let skip_y = (i64::from(rows.start) - i64::from(rect.y_px)) as usize;
        let [x, width] = [columns.start as usize, columns.len()];
        let planes = picture.planes();
        for (line, y) in rows.clone().enumerate() {
            let source = row_of(&planes[0], skip_y + line, skip_x..skip_x + width);
            self.put(y as usize, x, source);
        }
        let chroma_rows = rows.start / 2..rows.end.div_ceil(2);
        let height = self.shape.size.height_px;
        for (line, y) in chroma_rows.enumerate() {
            let (line, y) = (skip_y / 2 + line, (height + y) as usize);
            match planes {
                [_, uv] => {
                    let source = row_of(uv, line, skip_x..skip_x + width);
                    self.put(y, x, source);
                }
                [_, u, v] => {
                    let samples = skip_x / 2..(skip_x + width) / 2;
                    let u = row_of(u, line, samples.clone());
                    let v = row_of(v, line, samples);
                    let mut row = std::mem::take(self.row);
                    row.resize(width, 0);
                    for (pair, (&u, &v)) in
                        row.as_chunks_mut::<2>().0.iter_mut().zip(u.iter().zip(v))
                    {
                        *pair = [u, v];
                    }
                    self.put(y, x, &row);
                    *self.row = row;
                }
                _ => {}
            }
        }
    }

    /// Fills a rectangle with one colour.
    pub(super) fn fill(&mut self, rect: Rect, [y_code, u, v]: Code) {
        let Some((columns, rows)) = self.shape.clip(rect) else { return };
        let (x, width) = (columns.start as usize, columns.len());
        let height = self.shape.size.height_px;
        for y in rows.clone() {
            let start = self.start(y as usize, x);
            self.bytes[start..start + width].fill(y_code);
        }
        let chroma: Vec<u8> = [u, v].into_iter().cycle().take(width).collect();
        for y in height + rows.start / 2..height + rows.end.div_ceil(2) {
            self.put(y as usize, x, &chroma);
        }
    }

    pub(super) fn put(&mut self, y: usize, x: usize, source: &[u8]) {
        let start = self.start(y, x);
        self.bytes[start..start + source.len()].copy_from_slice(source);
    }

    /// Chroma rows follow luma rows at the same distance, so row `height + n` is chroma row n.
    fn start(&self, y: usize, x: usize) -> usize {
        y * self.shape.row_bytes as usize + x
    }
}

fn row_of(plane: &Plane, y: usize, columns: Range<usize>) -> &[u8] {
    let start = y * plane.stride_bytes;
    &plane.data[start + columns.start..start + columns.end]
}

/// The parts of the canvas that none of these rectangles covers: full-height bands cut at the rectangles' edges.
pub(super) fn uncovered(shape: &CanvasShape, covers: &[Rect]) -> Vec<Rect> {
    let clipped: Vec<_> = covers.iter().filter_map(|rect| shape.clip(*rect)).collect();
    let mut edges = vec![0, shape.size.height_px];
    edges.extend(clipped.iter().flat_map(|(_, y)| [y.start, y.end]));
    edges.sort_unstable();
    edges.dedup();
    let mut bare = Vec::new();
    for band in edges.windows(2) {
        let across = |y: &Range<u32>| y.start <= band[0] && y.end >= band[1];
        let mut spans: Vec<_> = clipped.iter().filter(|(_, y)| across(y)).map(|(x, _)| x).collect();
        spans.sort_unstable_by_key(|x| x.start);
        let mut done = 0;
        let end = shape.size.width_px..shape.size.width_px;
        for span in spans.into_iter().chain([&end]) {
            if span.start > done {
                bare.push(Rect {
                    x_px: done.cast_signed(),
                    y_px: band[0].cast_signed(),
                    width_px: span.start - done,
                    height_px: band[1] - band[0],
                });
            }
            done = done.max(span.end);
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Size;

    #[test]
    fn uncovered_parts() {
        let rect = |x_px, y_px, width_px, height_px| Rect { x_px, y_px, width_px, height_px };
        let shape = CanvasShape::new(Size::new(100, 80)).unwrap();
        let quad = [(0, 0), (50, 0), (0, 40), (50, 40)].map(|(x, y)| rect(x, y, 50, 40));
        for (covers, want) in [
            (vec![], vec![rect(0, 0, 100, 80)]),
            (quad.to_vec(), vec![]),
            (vec![rect(-10, -10, 200, 200)], vec![]),
            (vec![rect(200, 0, 20, 20)], vec![rect(0, 0, 100, 80)]),
            (quad[..3].to_vec(), vec![rect(50, 40, 50, 40)]),
            // A fit picture with strips left and right, one with strips above and below.
            (vec![rect(10, 0, 80, 80)], vec![rect(0, 0, 10, 80), rect(90, 0, 10, 80)]),
            (vec![rect(0, 10, 100, 60)], vec![rect(0, 0, 100, 10), rect(0, 70, 100, 10)]),
            // Overlapping ones count once.
            (vec![rect(0, 0, 60, 80), rect(40, 0, 60, 80)], vec![]),
        ] {
            assert_eq!(uncovered(&shape, &covers), want, "{covers:?}");
        }
    }
}
