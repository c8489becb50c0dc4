//! Layers with a look, and pictures of every kind.

use onair::frame::{ChromaSite, Matrix, Range};
use onair::picture::{Backdrop, Border};
use onair::shot::{Crop, Mirror, Turn};

use super::*;

/// The first of the pictures that are meant turned; eight of them.
const TURNED: u32 = 10;
/// The first of the pictures of all formats and colours.
const FORMATS: u32 = 20;

/// An arrow to the upper right on a coloured ground: shows every turn, mirror and cut.
fn arrow_rgb(x: u32, y: u32) -> Rgb {
    let (right, up) = (x as f32 / 160.0, 1.0 - y as f32 / 90.0);
    let is_head = right > 0.55 && up > 0.45 && right + up > 1.45 && right < 0.95 && up < 0.9;
    let is_shaft = (0.1..0.75).contains(&right) && (right * 0.8 - up).abs() < 0.09;
    if is_head || is_shaft {
        return [250, 240, 200];
    }
    match (right < 0.5, up < 0.5) {
        (true, false) => [0, 150, 170],
        (false, false) => [60, 120, 50],
        (true, true) => [20, 50, 160],
        (false, true) => [170, 60, 30],
    }
}

/// An upright picture that is kept turned: what players see is always the same.
fn turned(number: u32) -> Picture {
    let turn = Turn::clockwise(number % 4);
    let turn = if number < 4 { turn } else { turn.of_mirrored() };
    let (wide, high) = (160, 90);
    let coded = if turn.is_sideways() { Size::new(high, wide) } else { Size::new(wide, high) };
    // The same map the other way: a pixel of the kept picture, looked for upright.
    let map = onair::shot::Shot::from(Size::new(wide, high)).source_from_shot(coded, turn);
    let back = move |x: u32, y: u32| {
        let (dx, dy) = (f64::from(x) + 0.5 - map.row_x[2], f64::from(y) + 0.5 - map.row_y[2]);
        let upright =
            [map.row_x[0] * dx + map.row_y[0] * dy, map.row_x[1] * dx + map.row_y[1] * dy];
        arrow_rgb(upright[0] as u32, upright[1] as u32)
    };
    Arc::into_inner(picture(coded, back)).unwrap().with_shape(turn, (1, 1))
}

/// A picture of this format and colour: the arrow, always looking the same.
fn of_format(format: PixelFormat, color: Color, site: ChromaSite) -> Picture {
    let size = Size::new(160, 90);
    let (red, blue) = match color.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
        Matrix::Bt2020 => (0.2627, 0.0593),
    };
    let top = f64::from((1_u32 << format.depth_bits()) - 1);
    let scale = f64::from(1_u32 << (format.depth_bits() - 8));
    let (black, luma, chroma) = match color.range {
        Range::Limited => (16.0 * scale, 219.0 * scale, 224.0 * scale),
        Range::Full => (0.0, top, top),
    };
    let shift = if format == PixelFormat::P010 { 64.0 } else { 1.0 };
    let sample = |channel: usize, x: u32, y: u32| {
        let [r, g, b] = arrow_rgb(x.min(159), y.min(89)).map(|c| f64::from(c) / 255.0);
        let y = red * r + (1.0 - red - blue) * g + blue * b;
        let value = match channel {
            0 => black + luma * y,
            1 => 128.0 * scale + chroma * (b - y) / (2.0 - 2.0 * blue),
            _ => 128.0 * scale + chroma * (r - y) / (2.0 - 2.0 * red),
        };
        let value = value.round().clamp(0.0, top) * shift;
        (value as u16).to_le_bytes().into_iter().take(format.sample_bytes())
    };
    let [across, down] = format.subsampling();
    let plane = |channels: &[usize]| {
        let (across, down) = if channels == [0] { (1, 1) } else { (across, down) };
        let mut data = Vec::new();
        for y in (0..size.height_px).step_by(down as usize) {
            for x in (0..size.width_px).step_by(across as usize) {
                data.extend(channels.iter().flat_map(|&channel| sample(channel, x, y)));
            }
        }
        let rows = size.height_px.div_ceil(down) as usize;
        Plane { stride_bytes: data.len() / rows, data: Bytes::from(data) }
    };
    let planes = match format.plane_count() {
        2 => vec![plane(&[0]), plane(&[1, 2])],
        _ => vec![plane(&[0]), plane(&[1]), plane(&[2])],
    };
    Picture::new(format, size, color, planes).unwrap().with_site(site)
}

fn kinds() -> Vec<Picture> {
    let colors = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020]
        .into_iter()
        .flat_map(|matrix| [Range::Limited, Range::Full].map(|range| Color { matrix, range }));
    let formats = PixelFormat::ALL.map(|format| (format, Color::CANVAS, ChromaSite::Left));
    let colors = colors.map(|color| (PixelFormat::I444P10, color, ChromaSite::Left));
    let sites = [ChromaSite::Left, ChromaSite::Center, ChromaSite::TopLeft]
        .map(|site| (PixelFormat::I420, Color::CANVAS, site));
    let all = formats.into_iter().chain(colors).chain(sites);
    all.map(|(format, color, site)| of_format(format, color, site)).collect()
}

/// More pictures than the plain two.
pub(super) fn pictures() -> Vec<(InputKey, Arc<Picture>)> {
    let turned = (0..8).map(|number| (InputKey(TURNED + number), turned(number)));
    let kinds = (FORMATS..).map(InputKey).zip(kinds());
    turned.chain(kinds).map(|(key, picture)| (key, Arc::new(picture))).collect()
}

/// A cell of a grid of four columns.
fn cell(input: u32, number: usize, rows: usize) -> LayerSpec {
    let (column, row) = (number % 4, number / 4);
    let height = 1.0 / rows as f32;
    let placement = Placement {
        fill: FillMode::Fit,
        ..at(0.25 * column as f32 + 0.01, height * row as f32 + 0.01, 0.23, height - 0.02)
    };
    layer(InputKey(input), placement)
}

fn grid(cells: Vec<LayerSpec>) -> ScenePicture {
    let backdrop = Backdrop { rgb: 0x30_38_48, image: None };
    ScenePicture { backdrop, layers: cells, ..ScenePicture::default() }
}

#[test]
fn pictures_are_seen_the_way_up_they_are_meant() {
    check("turns", &grid((0..8).map(|number| cell(TURNED + number as u32, number, 2)).collect()));
}

#[test]
fn every_format_colour_and_site_looks_the_same() {
    let cells = (0..17).map(|number| cell(FORMATS + number as u32, number, 5));
    check("formats", &grid(cells.collect()));
}

#[test]
fn every_look() {
    let crop = Crop::new([0.25, 0.2, 0.1, 0.0]);
    let mirror = |horizontal, vertical| Mirror { horizontal, vertical };
    let border = Some(Border { width: 0.02, rgb: 0xff_c0_20 });
    let plain = Look::default();
    let looks = [
        Look { crop, ..plain },
        Look { mirror: mirror(true, false), ..plain },
        Look { mirror: mirror(false, true), ..plain },
        Look { crop, mirror: mirror(true, true), ..plain },
        Look { corner_radius: 0.06, ..plain },
        Look { corner_radius: 1.0, ..plain },
        Look { border, ..plain },
        Look { border, corner_radius: 0.06, ..plain },
        Look { opacity: 0.5, ..plain },
        Look { opacity: 0.5, border, corner_radius: 0.1, ..plain },
        Look { border: Some(Border { width: 0.007, rgb: 0xff_ffff }), ..plain },
        Look { crop, mirror: mirror(true, false), opacity: 0.8, corner_radius: 0.06, border },
    ];
    let cells = looks.into_iter().enumerate();
    let cells = cells.map(|(number, look)| LayerSpec { look, ..cell(TURNED, number, 3) });
    // Something under them, so that what is half transparent shows it.
    let under = layer(WIDE, at(0.0, 0.3, 1.0, 0.5));
    check("looks", &grid(std::iter::once(under).chain(cells).collect()));
}
