//! Planes as they must be.

use super::*;

#[test]
fn planes_of_odd_sizes_are_rounded_up() {
    use PixelFormat::{I420, I420P10, I422, I422P10, I444, I444P10, Nv12, P010};
    let all = [
        (I420, &[(5, 3), (3, 2), (3, 2)][..]),
        (I422, &[(5, 3), (3, 3), (3, 3)]),
        (I444, &[(5, 3), (5, 3), (5, 3)]),
        (I420P10, &[(10, 3), (6, 2), (6, 2)]),
        (I422P10, &[(10, 3), (6, 3), (6, 3)]),
        (I444P10, &[(10, 3), (10, 3), (10, 3)]),
        (Nv12, &[(5, 3), (6, 2)]),
        (P010, &[(10, 3), (12, 2)]),
    ];
    assert_eq!(all.map(|(format, _)| format), PixelFormat::ALL);
    for (format, shapes) in all {
        assert_eq!(format.plane_shapes(Size::new(5, 3)), shapes, "{format:?}");
    }
}

#[test]
fn a_short_plane_is_refused() {
    let size = Size::new(3, 3);
    let plane = |len: usize, stride_bytes| Plane { data: Bytes::from(vec![0; len]), stride_bytes };
    let make = |planes| Picture::new(PixelFormat::Nv12, size, Color::CANVAS, planes);
    assert!(make(vec![plane(9, 3), plane(8, 4)]).is_ok());
    assert!(make(vec![plane(8, 3), plane(8, 4)]).is_err());
    assert!(make(vec![plane(9, 2), plane(8, 4)]).is_err());
    assert!(make(vec![plane(9, 3)]).is_err());
    let turned = Picture::flat(Size::new(720, 576), [16, 128, 128]);
    assert_eq!(turned.shown_size(), turned.size());
    let turned = turned.with_shape(Turn::clockwise(1), (16, 11));
    assert_eq!(turned.shown_size(), Size::new(576, 1047));
    let flat = Picture::flat(size, [16, 128, 128]);
    assert_eq!(flat.planes()[1].data.len(), 4);
    assert_ne!(flat.id(), Picture::flat(size, [16, 128, 128]).id());
}
