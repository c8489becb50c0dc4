//! Named arrangements of sources, from which ordinary layouts are made.
//!
//! Must not know any caster. Invariant: boxes are fractions of the canvas, so that an arrangement is one on canvases of
//! every shape; each source fits into its box, whatever its own shape.

use super::{Placement, PositionRefer};

words! {
    /// An arrangement of sources (`Preset`).
    LayoutPreset {
        Single "single",
        SideBySide "side_by_side",
        TopBottom "top_bottom",
        Quad "quad",
        PipTopLeft "pip_top_left",
        PipTopRight "pip_top_right",
        PipBottomLeft "pip_bottom_left",
        PipBottomRight "pip_bottom_right",
        OnePlusThree "one_plus_three",
        ThreeByThree "three_by_three",
    }
}

/// Side of the small picture of picture-in-picture / the canvas' side.
const PIP: f32 = 0.3;
/// Its distance from the edges: fractions of the canvas' width and height, about as many pixels at 16:9.
const PIP_MARGIN: (f32, f32) = (0.02, 0.035);
const THIRD: f32 = 1.0 / 3.0;

const WHOLE: Placement = cell((1.0, 1.0), (0.0, 0.0));
const HALF_WIDE: (f32, f32) = (0.5, 1.0);
const HALF_HIGH: (f32, f32) = (1.0, 0.5);
const QUARTER: (f32, f32) = (0.5, 0.5);
/// The large picture and the small ones of 1+3 share edges; all four have the canvas' shape.
const LARGE: (f32, f32) = (0.75, 0.75);
const SMALL: (f32, f32) = (0.25, 0.25);
const NINTH: (f32, f32) = (THIRD, THIRD);

impl LayoutPreset {
    /// The boxes of its sources, bottom to top. Sources are to fit into them.
    pub fn slots(self) -> &'static [Placement] {
        match self {
            LayoutPreset::Single => const { &[WHOLE] },
            LayoutPreset::SideBySide => {
                const { &[cell(HALF_WIDE, (0.0, 0.0)), cell(HALF_WIDE, (0.5, 0.0))] }
            }
            LayoutPreset::TopBottom => {
                const { &[cell(HALF_HIGH, (0.0, 0.0)), cell(HALF_HIGH, (0.0, 0.5))] }
            }
            LayoutPreset::Quad => {
                const {
                    &[
                        cell(QUARTER, (0.0, 0.0)),
                        cell(QUARTER, (0.5, 0.0)),
                        cell(QUARTER, (0.0, 0.5)),
                        cell(QUARTER, (0.5, 0.5)),
                    ]
                }
            }
            LayoutPreset::PipTopLeft => const { &[WHOLE, pip(PositionRefer::TopLeft)] },
            LayoutPreset::PipTopRight => const { &[WHOLE, pip(PositionRefer::TopRight)] },
            LayoutPreset::PipBottomLeft => const { &[WHOLE, pip(PositionRefer::BottomLeft)] },
            LayoutPreset::PipBottomRight => const { &[WHOLE, pip(PositionRefer::BottomRight)] },
            LayoutPreset::OnePlusThree => {
                const {
                    &[
                        cell(LARGE, (0.0, 0.125)),
                        cell(SMALL, (0.75, 0.125)),
                        cell(SMALL, (0.75, 0.375)),
                        cell(SMALL, (0.75, 0.625)),
                    ]
                }
            }
            LayoutPreset::ThreeByThree => {
                const {
                    &[
                        cell(NINTH, (0.0, 0.0)),
                        cell(NINTH, (THIRD, 0.0)),
                        cell(NINTH, (2.0 * THIRD, 0.0)),
                        cell(NINTH, (0.0, THIRD)),
                        cell(NINTH, (THIRD, THIRD)),
                        cell(NINTH, (2.0 * THIRD, THIRD)),
                        cell(NINTH, (0.0, 2.0 * THIRD)),
                        cell(NINTH, (THIRD, 2.0 * THIRD)),
                        cell(NINTH, (2.0 * THIRD, 2.0 * THIRD)),
                    ]
                }
            }
        }
    }

    /// The arrangement of this name.
    ///
    /// # Errors
    /// In words that name all there are.
    pub fn named(name: &str) -> Result<LayoutPreset, String> {
        LayoutPreset::parse(name).ok_or_else(|| {
            let names: Vec<_> = LayoutPreset::ALL.iter().map(|preset| preset.as_str()).collect();
            format!("{name:?} is not one of {}", names.join(", "))
        })
    }
}

const fn cell((width, height): (f32, f32), (x, y): (f32, f32)) -> Placement {
    Placement { width, height, x, y, refer: PositionRefer::TopLeft }
}

/// A small picture at a corner.
const fn pip(refer: PositionRefer) -> Placement {
    Placement { width: PIP, height: PIP, x: PIP_MARGIN.0, y: PIP_MARGIN.1, refer }
}
