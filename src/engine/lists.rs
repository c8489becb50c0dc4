//! What draw lists show: which inputs, at which sizes.
//!
//! Must not know why. Invariant: a layer beside the canvas is not shown.

use std::collections::BTreeMap;

use crate::frame::Size;
use crate::ids::InputKey;
use crate::picture::{DrawList, DrawOp, Rect};

/// The layers of a draw list that meet the canvas.
pub(super) fn layers(list: &DrawList) -> impl Iterator<Item = (InputKey, Rect)> {
    list.ops.iter().filter_map(|op| match op {
        DrawOp::Layer { input, rect } => meets(*rect, list.canvas).then_some((*input, *rect)),
        DrawOp::Overlay(_) => None,
    })
}

fn meets(rect: Rect, canvas: Size) -> bool {
    let inside = |at: i32, length: u32, of: u32| {
        i64::from(at) < i64::from(of) && i64::from(at) + i64::from(length) > 0
    };
    inside(rect.x_px, rect.width_px, canvas.width_px)
        && inside(rect.y_px, rect.height_px, canvas.height_px)
}

/// The inputs of a list, views being the inputs that they show, by key.
pub(super) fn visible(list: &DrawList, input_of: &dyn Fn(InputKey) -> InputKey) -> Vec<InputKey> {
    let mut inputs: Vec<_> = layers(list).map(|(input, _)| input_of(input)).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}

/// The sizes that everything in these lists is shown at, by key: views and the inputs that they show alike.
pub(super) fn wanted(
    lists: &[&DrawList],
    input_of: &dyn Fn(InputKey) -> InputKey,
) -> Vec<(InputKey, Vec<Size>)> {
    let mut sizes: BTreeMap<InputKey, Vec<Size>> = BTreeMap::new();
    for (input, rect) in lists.iter().flat_map(|list| layers(list)) {
        for key in [input, input_of(input)] {
            sizes.entry(key).or_default().push(Size::new(rect.width_px, rect.height_px));
        }
    }
    for sizes in sizes.values_mut() {
        sizes.sort_unstable();
        sizes.dedup();
    }
    sizes.into_iter().collect()
}
