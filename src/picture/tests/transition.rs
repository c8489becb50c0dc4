//! Every transition, frame by frame.

use super::super::{Blend, Direction, DrawList, DrawOp, Rect, Veil};
use super::{Transition, TransitionKind, blend};
use crate::frame::Size;
use crate::ids::InputKey;

const CANVAS: Size = Size::new(64, 36);

/// A picture of one source on a ground of its own.
fn picture(input: u32) -> DrawList {
    let rect = Rect { x_px: 0, y_px: 0, width_px: 64, height_px: 36 };
    let ops = vec![DrawOp::layer(InputKey(input), rect)];
    DrawList { ground_rgb: input, ..DrawList::of(CANVAS, ops) }
}

/// How far a list is from picture 1 to picture 2, going by what it shows of which.
fn seen(list: &DrawList, kind: TransitionKind) -> f32 {
    let (old, new) = (picture(1), picture(2));
    match (kind, &list.over, list.veil) {
        (_, None, None) if *list == old => 0.0,
        (_, None, None) if *list == new => 1.0,
        (TransitionKind::Dip { rgb }, None, None) => {
            assert!(list.ops.is_empty() && list.ground_rgb == rgb, "{list:?}");
            0.5
        }
        (TransitionKind::Dip { rgb }, None, Some(veil)) => {
            assert_eq!(veil.rgb, rgb);
            let shown = DrawList { veil: None, ..list.clone() };
            let is_old = shown == old;
            assert!(is_old || shown == new, "neither picture: {list:?}");
            if is_old { veil.opacity / 2.0 } else { 1.0 - veil.opacity / 2.0 }
        }
        (_, Some(over), None) => {
            assert_eq!((&list.ops, list.ground_rgb), (&old.ops, 1));
            assert_eq!((&over.ops, over.ground_rgb), (&new.ops, 2));
            let (made, progress) = match over.blend {
                Blend::Mix { progress } => (TransitionKind::Mix, progress),
                Blend::Wipe { towards, progress } => (TransitionKind::Wipe(towards), progress),
                Blend::Slide { towards, progress } => (TransitionKind::Slide(towards), progress),
                Blend::Push { towards, progress } => (TransitionKind::Push(towards), progress),
            };
            assert_eq!(made, kind);
            progress
        }
        _ => panic!("{kind:?} made {list:?}"),
    }
}

#[test]
fn every_transition_goes_from_one_picture_to_the_other() {
    let moves = [TransitionKind::Wipe, TransitionKind::Slide, TransitionKind::Push];
    let moving = moves.iter().flat_map(|kind| Direction::ALL.map(kind));
    let still = [TransitionKind::Cut, TransitionKind::Mix, TransitionKind::Dip { rgb: 0x12_34_56 }];
    let mut checked = 0;
    for kind in still.into_iter().chain(moving) {
        for frames in [0, 1, 2, 3, 15, 16, 3600] {
            let transition = Transition { kind, frames };
            let length = if kind == TransitionKind::Cut { 0 } else { frames };
            assert_eq!(transition.length(), length);
            let mut before = 0.0;
            for step in 0..u64::from(length) {
                let now = seen(&blend(picture(1), picture(2), transition, step), kind);
                let name = format!("{kind:?}, frame {step} of {frames}");
                assert!(before < now && now < 1.0, "{name}: {before} then {now}");
                let even = (step + 1) as f32 / (frames + 1) as f32;
                assert!((now - even).abs() < 1e-6, "{name}: {now} instead of {even}");
                before = now;
            }
            for step in [u64::from(length), u64::from(length) + 1, u64::MAX] {
                assert_eq!(blend(picture(1), picture(2), transition, step), picture(2), "{kind:?}");
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 27 * 7);
}

#[test]
fn a_veil_over_a_veil_is_one() {
    let veil = |rgb, opacity| Veil { rgb, opacity };
    let both = |under, above| picture(1).veiled(under).veiled(above).veil;
    for (under, above, expected) in [
        (veil(0xff_00_00, 0.5), veil(0, 0.0), Some(veil(0xff_00_00, 0.5))),
        (veil(0xff_00_00, 0.0), veil(0, 0.25), Some(veil(0, 0.25))),
        // A half of red, a half of which is seen through black: a quarter of red in three quarters.
        (veil(0xff_00_00, 0.5), veil(0, 0.5), Some(veil(0x55_00_00, 0.75))),
        (veil(0xff_ff_ff, 0.5), veil(0xff_ff_ff, 0.5), Some(veil(0xff_ff_ff, 0.75))),
        (veil(0xff_ff_ff, 0.0), veil(0, 0.0), None),
    ] {
        assert_eq!(both(under, above), expected, "{above:?} over {under:?}");
    }
    let black = picture(1).veiled(veil(0xff_00_00, 0.5)).veiled(veil(0, 1.0));
    assert_eq!(black, DrawList::of(CANVAS, Vec::new()), "what is not seen is not drawn");
}
