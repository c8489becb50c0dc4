//! What draw lists show: which inputs, and what of them.
//!
//! Must not know why. Invariant: a layer beside the canvas is not shown.

use std::collections::BTreeMap;

use crate::frame::Size;
use crate::ids::InputKey;
use crate::picture::{DrawList, DrawOp, Rect};
use crate::shot::Shot;

/// The layers of a draw list that meet the canvas.
pub(super) fn layers(list: &DrawList) -> impl Iterator<Item = (InputKey, Shot)> {
    list.all_ops().filter_map(|op| match op {
        DrawOp::Layer { input, rect, look } => {
            meets(*rect, list.canvas).then(|| (*input, look.shot(*rect)))
        }
        DrawOp::Overlay(_) | DrawOp::Cover(_) => None,
    })
}

fn meets(rect: Rect, canvas: Size) -> bool {
    let inside = |at: i32, length: u32, of: u32| {
        i64::from(at) < i64::from(of) && i64::from(at) + i64::from(length) > 0
    };
    inside(rect.x_px, rect.width_px, canvas.width_px)
        && inside(rect.y_px, rect.height_px, canvas.height_px)
}

/// The inputs of these lists, views being the inputs that they show, by key.
pub(super) fn visible(
    lists: &[&DrawList],
    input_of: &dyn Fn(InputKey) -> InputKey,
) -> Vec<InputKey> {
    let layers = lists.iter().flat_map(|list| layers(list));
    let mut inputs: Vec<_> = layers.map(|(input, _)| input_of(input)).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}

/// The shots that these lists show of everything, by key: views and the inputs that they show alike.
pub(super) fn wanted<'a>(
    lists: impl Iterator<Item = &'a DrawList>,
    input_of: &dyn Fn(InputKey) -> InputKey,
) -> Vec<(InputKey, Vec<Shot>)> {
    let mut shots: BTreeMap<InputKey, Vec<Shot>> = BTreeMap::new();
    for (input, shot) in lists.flat_map(layers) {
        for key in [input, input_of(input)] {
            shots.entry(key).or_default().push(shot);
        }
    }
    for shots in shots.values_mut() {
        shots.sort_unstable();
        shots.dedup();
    }
    shots.into_iter().collect()
}
