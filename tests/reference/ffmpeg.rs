//! FFmpeg as the one who knows: layouts as filter graphs over raw files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use onair::frame::{ChromaSite, Color, Matrix, Picture, PixelFormat, Range, Size};
use onair::shot::ScaleQuality;

use crate::{Layout, Piece, Source};

/// FFmpeg's name of a format.
fn name(format: PixelFormat) -> &'static str {
    match format {
        PixelFormat::I420 => "yuv420p",
        PixelFormat::I422 => "yuv422p",
        PixelFormat::I444 => "yuv444p",
        PixelFormat::I420P10 => "yuv420p10le",
        PixelFormat::I422P10 => "yuv422p10le",
        PixelFormat::I444P10 => "yuv444p10le",
        PixelFormat::Nv12 => "nv12",
        PixelFormat::P010 => "p010le",
    }
}

/// Writes a picture (without padding) as a raw file.
pub(crate) fn write(directory: &Path, index: usize, picture: &Picture) -> PathBuf {
    let path = directory.join(format!("{index}.yuv"));
    let mut file = std::fs::File::create(&path).unwrap();
    for plane in picture.planes() {
        file.write_all(&plane.data).unwrap();
    }
    path
}

/// Where chroma lies on the luma samples that share it, from the middle of the first: right and down, in luma samples.
struct Site {
    offset: [f64; 2],
    is_shared: [bool; 2],
}

impl Site {
    fn of(picture: &Picture) -> Site {
        let offset = match picture.site() {
            ChromaSite::Left => [0.0, 0.5],
            ChromaSite::Center => [0.5, 0.5],
            ChromaSite::TopLeft => [0.0, 0.0],
        };
        Site { offset, is_shared: picture.format().subsampling().map(|samples| samples == 2) }
    }

    fn flip(&mut self, axis: usize) {
        self.offset[axis] = 1.0 - self.offset[axis];
    }

    fn transpose(&mut self) {
        self.offset.swap(0, 1);
        self.is_shared.swap(0, 1);
    }

    /// As `scale` takes it, in 256ths.
    fn options(&self) -> String {
        let [h, v] = [0, 1].map(|axis| match self.is_shared[axis] {
            true => (256.0 * self.offset[axis]) as i32,
            false => 0,
        });
        format!("in_h_chr_pos={h}:in_v_chr_pos={v}")
    }
}

/// The filters that bring a source into a piece's rectangle.
fn chain(source: &Source, piece: &Piece) -> String {
    let picture = &source.picture;
    let mut site = Site::of(picture);
    let mut filters = Vec::new();
    let flip = |filters: &mut Vec<String>, site: &mut Site, axis: usize| {
        filters.push(["hflip", "vflip"][axis].into());
        site.flip(axis);
    };
    let turn = picture.turn();
    if turn.is_mirrored() {
        flip(&mut filters, &mut site, 0);
    }
    match turn.quarters() {
        0 => {}
        1 => {
            filters.push("transpose=clock".into());
            site.transpose();
            site.flip(0);
        }
        2 => (0..2).for_each(|axis| flip(&mut filters, &mut site, axis)),
        _ => {
            filters.push("transpose=cclock".into());
            site.transpose();
            site.flip(1);
        }
    }
    let upright = picture.shown_size();
    let [left, top, right, bottom] = piece.crop_px;
    let (width, height) = (upright.width_px - left - right, upright.height_px - top - bottom);
    filters.push(format!("crop={width}:{height}:{left}:{top}"));
    if piece.look.mirror.horizontal {
        flip(&mut filters, &mut site, 0);
    }
    if piece.look.mirror.vertical {
        flip(&mut filters, &mut site, 1);
    }
    let (to_width, to_height) = (piece.rect.width_px, piece.rect.height_px);
    let flags = match piece.quality {
        _ if to_width < width || to_height < height => "area",
        ScaleQuality::Bicubic => "bicubic",
        ScaleQuality::Lanczos => "lanczos",
    };
    filters.push(format!(
        "scale={to_width}:{to_height}:flags={flags}+accurate_rnd+full_chroma_int+full_chroma_inp:sws_dither=none:{}:in_range={range}:out_range={range}",
        site.options(),
        range = range(picture.color()),
    ));
    filters.push("format=yuv444p".into());
    if picture.color() != Color::CANVAS {
        filters.push(format!(
            "colorspace=iall={}:irange={}:all=bt709:range=tv:fast=1:format=yuv444p",
            match picture.color().matrix {
                Matrix::Bt601 => "bt601-6-625",
                Matrix::Bt709 => "bt709",
                Matrix::Bt2020 => "bt2020",
            },
            range(picture.color()),
        ));
    }
    if piece.look.opacity < 1.0 {
        let alpha = (255.0 * piece.look.opacity).round();
        filters.push(format!("format=yuva444p,lutyuv=y=val:u=val:v=val:a={alpha}"));
    }
    filters.join(",")
}

fn range(color: Color) -> &'static str {
    match color.range {
        Range::Limited => "tv",
        Range::Full => "pc",
    }
}

/// The layout as FFmpeg draws it: three planes of 4:4:4.
pub(crate) fn draw(layout: &Layout, sources: &[Source], canvas: Size) -> Vec<u8> {
    let Size { width_px, height_px } = canvas;
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]);
    let mut graph = format!("color=c=black:s={width_px}x{height_px},format=yuv444p[b0]");
    for (index, piece) in layout.pieces.iter().enumerate() {
        let source = &sources[piece.source];
        let size = source.picture.size();
        command
            .args(["-f", "rawvideo", "-pixel_format", name(source.picture.format())])
            .args(["-video_size", &format!("{}x{}", size.width_px, size.height_px), "-i"])
            .arg(&source.file);
        let (x, y) = (piece.rect.x_px, piece.rect.y_px);
        let filters = chain(source, piece);
        graph += &format!(
            ";[{index}]{filters}[l{index}];[b{index}][l{index}]overlay={x}:{y}:format=yuv444[b{}]",
            index + 1
        );
    }
    let last = format!("[b{}]", layout.pieces.len());
    let output = command
        .args(["-filter_complex", &graph, "-map", &last, "-frames:v", "1"])
        .args(["-pix_fmt", "yuv444p", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{graph}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len() as u32, 3 * width_px * height_px, "{graph}");
    output.stdout
}
