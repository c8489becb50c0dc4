//! Grids that shaders make against those that the CPU makes; what is measured when.

use super::*;
use crate::luma::LumaGrid;

fn compose(c: &mut Compositor, list: &DrawList, frames: &[(InputKey, VideoFrame)]) -> Composed {
    c.draw(7, list, frames).unwrap();
    c.finish().unwrap().pop().unwrap()
}

#[test]
fn grids_agree_with_their_twin() {
    const SOURCES: u32 = 4;
    let mut noise = Noise(31);
    let size = Size::new(62, 46);
    let mut compositors = compositors(size);
    let ranges = [Range::Limited, Range::Full];
    for case in 0..250 {
        let frames: Vec<_> = (0..SOURCES)
            .map(|key| {
                let format = PixelFormat::ALL[(case + key as usize) % PixelFormat::ALL.len()];
                let color = Color { matrix: Matrix::Bt709, range: ranges[case / 8 % 2] };
                let [w, h] = [0, 1].map(|_| 2 + u32::from(noise.bytes(1)[0]));
                (InputKey(key), frame(&noise.picture(format, Size::new(w, h), color)))
            })
            .collect();
        let at = |key| rect(8 * key as i32, 4 * key as i32, 30, 20);
        let ops = (0..SOURCES).map(|key| DrawOp::layer(InputKey(key), at(key))).collect();
        let list = DrawList::of(size, ops);
        for compositor in &mut compositors {
            let composed = compose(compositor, &list, &frames);
            assert_eq!(composed.luma, Some(LumaGrid::of(&composed.picture)), "case {case}");
            let want: Vec<_> = frames
                .iter()
                .map(|(input, frame)| (*input, LumaGrid::of(&frame.picture)))
                .collect();
            assert!(composed.sources == want, "case {case} on {:?}", compositor.path);
        }
    }
}

#[test]
fn a_picture_is_measured_once_while_it_is_shown() {
    let size = Size::new(64, 48);
    let picture = Noise(32).picture(PixelFormat::I420, size, Color::CANVAS);
    let frames = [(InputKey(1), frame(&picture)), (InputKey(2), frame(&picture))];
    let showing = |inputs: &[u32], x| {
        let layer = |key: &u32| DrawOp::layer(InputKey(*key), rect(x, 0, 64, 48));
        DrawList::of(size, inputs.iter().map(layer).collect())
    };
    for mut compositor in compositors(size) {
        // Shown twice, shown elsewhere, with another, gone, back.
        for (inputs, x, measured) in [
            (&[1, 1][..], 0, &[1][..]),
            (&[1], 2, &[]),
            (&[1, 2], 2, &[2]),
            (&[], 0, &[]),
            (&[1], 0, &[1]),
        ] {
            let composed = compose(&mut compositor, &showing(inputs, x), &frames);
            let got: Vec<u32> = composed.sources.iter().map(|(input, _)| input.0).collect();
            assert_eq!(got, measured, "{inputs:?} at {x} on {:?}", compositor.path);
        }
    }
}
