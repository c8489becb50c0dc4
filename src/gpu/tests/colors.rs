//! Colour bars through every matrix and range, as the standards give their code values: 100 % bars of 8 bits.

use super::*;

/// White, yellow, cyan, green, magenta, red, blue, black.
type Bars = [[u8; 3]; 8];

const BT601: Bars = [
    [235, 128, 128],
    [210, 16, 146],
    [170, 166, 16],
    [145, 54, 34],
    [106, 202, 222],
    [81, 90, 240],
    [41, 240, 110],
    [16, 128, 128],
];
const BT601_FULL: Bars = [
    [255, 128, 128],
    [226, 0, 149],
    [179, 171, 0],
    [150, 44, 21],
    [105, 212, 235],
    [76, 85, 255],
    [29, 255, 107],
    [0, 128, 128],
];
const BT709: Bars = [
    [235, 128, 128],
    [219, 16, 138],
    [188, 154, 16],
    [173, 42, 26],
    [78, 214, 230],
    [63, 102, 240],
    [32, 240, 118],
    [16, 128, 128],
];
const BT709_FULL: Bars = [
    [255, 128, 128],
    [237, 0, 140],
    [201, 157, 0],
    [182, 30, 12],
    [73, 226, 244],
    [54, 99, 255],
    [18, 255, 116],
    [0, 128, 128],
];
const BT2020: Bars = [
    [235, 128, 128],
    [222, 16, 137],
    [177, 159, 16],
    [164, 47, 25],
    [87, 209, 231],
    [74, 97, 240],
    [29, 240, 119],
    [16, 128, 128],
];
const BT2020_FULL: Bars = [
    [255, 128, 128],
    [240, 0, 138],
    [188, 164, 0],
    [173, 36, 11],
    [82, 220, 245],
    [67, 92, 255],
    [15, 255, 118],
    [0, 128, 128],
];

/// Width of a bar and height of all, px.
const BAR_PX: u32 = 8;
const SIZE: Size = Size::new(8 * BAR_PX, BAR_PX);

/// Bars of 4:2:0, of 8 or 10 bits.
fn picture(format: PixelFormat, color: Color, bars: &Bars) -> Picture {
    let plane = |channel: usize, width: u32, height: u32| {
        let sample = |x: u32| {
            let code = f64::from(bars[(x * 8 / width) as usize][channel]);
            let zero = if channel == 0 { 0.0 } else { 128.0 };
            let steps = f64::from(format.sample_per_code());
            // The full range of 10 bits is 1023 steps wide, a little more than 4 × 255.
            let stretch = match (color.range, format.depth_bits()) {
                (Range::Full, 10) => 1023.0 / (4.0 * 255.0),
                _ => 1.0,
            };
            let value = (((code - zero) * stretch + zero) * steps).round() as u16;
            value.to_le_bytes().into_iter().take(format.sample_bytes())
        };
        let data: Vec<u8> = (0..height).flat_map(|_| (0..width).flat_map(sample)).collect();
        Plane { stride_bytes: data.len() / height as usize, data: Bytes::from(data) }
    };
    let (width, height) = (SIZE.width_px, SIZE.height_px);
    let chroma = |channel| plane(channel, width / 2, height / 2);
    let planes = vec![plane(0, width, height), chroma(1), chroma(2)];
    Picture::new(format, SIZE, color, planes).unwrap()
}

/// The code values in the middle of each bar.
fn middles(picture: &Picture) -> Bars {
    std::array::from_fn(|bar| {
        let x = (bar as u32 * BAR_PX + BAR_PX / 2) as usize;
        let y = (BAR_PX / 2) as usize;
        let [luma, chroma] = picture.planes() else { panic!("NV12 has two planes") };
        let at = y / 2 * chroma.stride_bytes + x;
        [luma.data[y * luma.stride_bytes + x], chroma.data[at], chroma.data[at + 1]]
    })
}

#[track_caller]
fn check_bars(what: &str, op: DrawOp, frames: &[(InputKey, VideoFrame)]) {
    for mut compositor in compositors(SIZE) {
        let list = DrawList::of(SIZE, vec![op.clone()]);
        let got = middles(&draw_one(&mut compositor, &list, frames));
        let off = |(got, want): (&u8, &u8)| got.abs_diff(*want);
        let most = got.as_flattened().iter().zip(BT709.as_flattened()).map(off).max().unwrap();
        assert!(most <= 2, "{what} on {:?}: {most} off: {got:?}", compositor.path);
    }
}

#[test]
fn colour_bars_are_those_of_the_standards() {
    let whole = rect(0, 0, SIZE.width_px, SIZE.height_px);
    for (matrix, range, bars) in [
        (Matrix::Bt601, Range::Limited, BT601),
        (Matrix::Bt601, Range::Full, BT601_FULL),
        (Matrix::Bt709, Range::Limited, BT709),
        (Matrix::Bt709, Range::Full, BT709_FULL),
        (Matrix::Bt2020, Range::Limited, BT2020),
        (Matrix::Bt2020, Range::Full, BT2020_FULL),
    ] {
        for format in [PixelFormat::I420, PixelFormat::I420P10] {
            let picture = Arc::new(picture(format, Color { matrix, range }, &bars));
            let what = format!("{matrix:?} {range:?} {format:?}");
            let frames = [(InputKey(1), frame(&picture))];
            check_bars(&what, DrawOp::layer(InputKey(1), whole), &frames);
        }
    }
    let rgb = [0xff_ffff, 0xff_ff00, 0x00_ffff, 0x00_ff00, 0xff_00ff, 0xff_0000, 0x00_00ff, 0];
    let pixels = (0..SIZE.height_px).flat_map(|_| 0..SIZE.width_px).flat_map(|x| {
        let [_, r, g, b] = u32::to_be_bytes(rgb[(x / BAR_PX) as usize]);
        [r, g, b, 255]
    });
    let image = RgbaImage { size: SIZE, pixels: pixels.collect() };
    check_bars("an image", overlay(image, Placement::default(), 255), &[]);
}
