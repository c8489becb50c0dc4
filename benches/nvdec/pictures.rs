//! Pictures, sample by sample.
//!
//! Must not know where they come from. Invariant: layouts of the same samples compare as equal.

use std::sync::Arc;

use onair::frame::{Picture, PixelFormat, Plane, VideoFrame};

/// The picture as one whose planes came from the host.
pub(crate) fn on_host(frame: &VideoFrame) -> Result<VideoFrame, String> {
    let picture = &frame.picture;
    let planes = picture.planes().iter().map(|plane| Plane {
        data: bytes::Bytes::copy_from_slice(&plane.data),
        stride_bytes: plane.stride_bytes,
    });
    let host = Picture::new(picture.format(), picture.size(), picture.color(), planes.collect())?;
    let host = host.with_site(picture.site());
    Ok(VideoFrame { pts_ns: frame.pts_ns, picture: Arc::new(host), scaled: Vec::new() })
}

/// Y, U and V, each sample at its own depth, without padding.
pub(crate) fn samples(picture: &Picture) -> [Vec<u16>; 3] {
    let (format, planes) = (picture.format(), picture.planes());
    let bytes = format.sample_bytes();
    let plane = |index: usize| -> Vec<u16> {
        let (row_bytes, rows) = format.plane_shapes(picture.size())[index];
        let plane = &planes[index];
        let row = |row: usize| &plane.data[row * plane.stride_bytes..][..row_bytes];
        let all = (0..rows).flat_map(row).copied().collect::<Vec<u8>>();
        let sample = |bytes: &[u8]| match *bytes {
            [low, high] => u16::from_le_bytes([low, high]),
            _ => bytes[0].into(),
        };
        let shift = if format == PixelFormat::P010 { 6 } else { 0 };
        all.chunks(bytes).map(|bytes| sample(bytes) >> shift).collect()
    };
    if format.plane_count() == 3 {
        return [plane(0), plane(1), plane(2)];
    }
    let chroma = plane(1);
    let lane = |lane: usize| chroma.iter().skip(lane).step_by(2).copied().collect();
    [plane(0), lane(0), lane(1)]
}

/// Largest difference of two samples.
pub(crate) fn largest_difference(a: &[Vec<u16>; 3], b: &[Vec<u16>; 3]) -> u16 {
    let planes = a.iter().zip(b);
    let of_plane = |(a, b): (&Vec<u16>, &Vec<u16>)| match a.len() == b.len() {
        true => a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0),
        false => u16::MAX,
    };
    planes.map(of_plane).max().unwrap_or(0)
}
