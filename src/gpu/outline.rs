//! How far pixels are from the outlines of glyphs: borders of exact width.
//!
//! Pure geometry in pixels, y down. Must not know fonts or colours. Invariant: a pixel's coverage follows from its exact
//! Euclidean distance to the nearest outline, so a border is equally wide everywhere and its corners are round.

use crate::frame::Size;

/// Largest distance of a curve from the chords that stand for it, px.
const FLATNESS_PX: f32 = 0.02;

/// One piece of a path, glyph coordinates already in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stroke {
    Move([f32; 2]),
    Line([f32; 2]),
    Quad([f32; 2], [f32; 2]),
    Cubic([f32; 2], [f32; 2], [f32; 2]),
    Close,
}

/// Outlines as straight pieces.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pieces: Vec<[[f32; 2]; 2]>,
    begin: [f32; 2],
    at: [f32; 2],
}

impl Outline {
    /// Goes on with a path.
    pub(super) fn add(&mut self, stroke: Stroke) {
        let from = self.at;
        match stroke {
            Stroke::Move(to) => (self.begin, self.at) = (to, to),
            Stroke::Line(to) => self.line(to),
            Stroke::Quad(b, c) => {
                // A chord over 1/n of a parabola is off by a quarter of its second difference / n².
                let steps = steps(bend(from, b, c) / 4.0);
                self.curve(steps, |t| mix(mix(from, b, t), mix(b, c, t), t));
            }
            Stroke::Cubic(b, c, d) => {
                let steps = steps(bend(from, b, c).max(bend(b, c, d)) * 0.75);
                self.curve(steps, |t| {
                    let (ab, bc, cd) = (mix(from, b, t), mix(b, c, t), mix(c, d, t));
                    mix(mix(ab, bc, t), mix(bc, cd, t), t)
                });
            }
            Stroke::Close => self.line(self.begin),
        }
    }

    fn line(&mut self, to: [f32; 2]) {
        if to != self.at {
            self.pieces.push([self.at, to]);
        }
        self.at = to;
    }

    fn curve(&mut self, steps: u32, point: impl Fn(f32) -> [f32; 2]) {
        (1..=steps).for_each(|step| self.line(point(step as f32 / steps as f32)));
    }

    /// How much of each pixel lies within `width_px` of an outline: 0–255, row by row.
    pub(super) fn border(&self, width_px: f32, size: Size) -> Vec<u8> {
        let (width, height) = (size.width_px as usize, size.height_px as usize);
        let mut coverage = vec![0; width * height];
        let reach = width_px + 0.5;
        for &[a, b] in &self.pieces {
            let rows = span(a[1], b[1], reach, height);
            let columns = span(a[0], b[0], reach, width);
            let piece = Piece::new(a, b);
            for y in rows {
                let row = &mut coverage[y * width..][..width];
                for x in columns.clone() {
                    let distance = piece.distance([x as f32 + 0.5, y as f32 + 0.5]);
                    // In 0–255 after the cast, which saturates.
                    let covered = ((reach - distance) * 255.0 + 0.5) as u8;
                    row[x] = row[x].max(covered);
                }
            }
        }
        coverage
    }
}

/// Pixels whose centres are within `reach` of a stretch.
fn span(a: f32, b: f32, reach: f32, side: usize) -> std::ops::Range<usize> {
    let clamp = |v: f32| (v.max(0.0) as usize).min(side);
    clamp((a.min(b) - reach - 0.5).ceil())..clamp((a.max(b) + reach + 0.5).floor())
}

struct Piece {
    a: [f32; 2],
    along: [f32; 2],
    per_length2: f32,
}

impl Piece {
    fn new(a: [f32; 2], b: [f32; 2]) -> Piece {
        let along = [b[0] - a[0], b[1] - a[1]];
        Piece { a, along, per_length2: 1.0 / (along[0] * along[0] + along[1] * along[1]) }
    }

    fn distance(&self, p: [f32; 2]) -> f32 {
        let from_a = [p[0] - self.a[0], p[1] - self.a[1]];
        let dot = from_a[0] * self.along[0] + from_a[1] * self.along[1];
        let t = (dot * self.per_length2).clamp(0.0, 1.0);
        let (x, y) = (from_a[0] - t * self.along[0], from_a[1] - t * self.along[1]);
        (x * x + y * y).sqrt()
    }
}

fn mix(a: [f32; 2], b: [f32; 2], t: f32) -> [f32; 2] {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
}

/// Length of the second difference of three points.
fn bend(a: [f32; 2], b: [f32; 2], c: [f32; 2]) -> f32 {
    (a[0] - 2.0 * b[0] + c[0]).hypot(a[1] - 2.0 * b[1] + c[1])
}

/// Chords that keep a curve within [`FLATNESS_PX`] whose single chord is off by `error_px`.
fn steps(error_px: f32) -> u32 {
    ((error_px / FLATNESS_PX).sqrt().ceil() as u32).clamp(1, 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(160, 160);

    fn polygon(points: &[[f32; 2]]) -> Outline {
        let mut outline = Outline::default();
        outline.add(Stroke::Move(points[0]));
        points[1..].iter().for_each(|&p| outline.add(Stroke::Line(p)));
        outline.add(Stroke::Close);
        outline
    }

    /// A circle of four cubics.
    fn circle(centre: [f32; 2], radius: f32) -> Outline {
        let k = radius * 0.552_284_8;
        let p = |x: f32, y: f32| [centre[0] + x, centre[1] + y];
        let mut outline = Outline::default();
        outline.add(Stroke::Move(p(radius, 0.0)));
        let corners = [
            [1.0, 0.0, 0.0, 1.0],
            [0.0, 1.0, -1.0, 0.0],
            [-1.0, 0.0, 0.0, -1.0],
            [0.0, -1.0, 1.0, 0.0],
        ];
        for [ax, ay, bx, by] in corners {
            let near = p(ax * radius + bx * k, ay * radius + by * k);
            let far = p(bx * radius + ax * k, by * radius + ay * k);
            outline.add(Stroke::Cubic(near, far, p(bx * radius, by * radius)));
        }
        outline
    }

    #[test]
    fn borders_are_as_wide_as_asked_on_edges_corners_and_curves() {
        let square = polygon(&[[50.3, 50.3], [110.3, 50.3], [110.3, 110.3], [50.3, 110.3]]);
        let round = circle([80.2, 79.6], 30.0);
        // How far a point outside is from the shape; inside, anything below 0.
        let from_square = |x: f32, y: f32| {
            let [dx, dy] = [x, y].map(|v| (v - 80.3).abs() - 30.0);
            if dx.max(dy) < 0.0 { -1.0 } else { dx.max(0.0).hypot(dy.max(0.0)) }
        };
        let from_round = |x: f32, y: f32| (x - 80.2).hypot(y - 79.6) - 30.0;
        type Distance<'a> = &'a dyn Fn(f32, f32) -> f32;
        for (outline, distance) in
            [(&square, &from_square as Distance<'_>), (&round, &from_round as Distance<'_>)]
        {
            for width in [0.75, 1.0, 2.5, 4.0, 7.3, 16.0] {
                let mask = outline.border(width, SIZE);
                let mut edges = 0;
                for (i, covered) in mask.iter().enumerate() {
                    let (x, y) = ((i % 160) as f32 + 0.5, (i / 160) as f32 + 0.5);
                    let distance = distance(x, y);
                    if distance < 0.0 {
                        continue;
                    }
                    let covered = f32::from(*covered) / 255.0;
                    // Where the edge of the border is, by how much of this pixel it covers.
                    let got = distance - 0.5 + covered;
                    let is_near = match covered {
                        0.0 => got >= width - 0.1,
                        1.0 => got <= width + 0.1,
                        _ => (got - width).abs() < 0.1,
                    };
                    assert!(is_near, "{x} {y}, {distance} away: {got} for {width}");
                    edges += u32::from(covered > 0.0 && covered < 1.0);
                }
                assert!(edges > 100, "{edges}");
            }
        }
    }

    #[test]
    fn what_is_off_the_mask_does_no_harm() {
        let far = polygon(&[[-900.0, -5.0], [900.0, -5.0], [900.0, f32::MAX], [-900.0, 900.0]]);
        let mask = far.border(3.0, Size::new(20, 10));
        assert!(mask.iter().all(|covered| *covered == 0));
        assert!(
            Outline::default().border(3.0, Size::new(2, 2)).iter().all(|covered| *covered == 0)
        );
    }
}
