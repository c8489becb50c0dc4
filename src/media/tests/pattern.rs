//! Tests of the test pattern: what is drawn is read back, also small and out of place.

use super::*;
use crate::media::scale::Prescaler;

fn spec(text: &str) -> PatternSpec {
    text.parse().unwrap()
}

#[test]
fn urls_parse() {
    let table = [
        ("pattern:", Some((1280, 720, "30"))),
        ("pattern:@25", Some((1280, 720, "25"))),
        ("pattern:640x360", Some((640, 360, "30"))),
        ("pattern:640x360@30000/1001", Some((640, 360, "30000/1001"))),
        ("pattern:641x360", None),
        ("pattern:64x36", None),
        ("pattern:640", None),
        ("pattern:640x360@24", None),
        ("pattern:99999x99998", None),
        ("patern:", None),
    ];
    for (text, want) in table {
        let got = text.parse::<PatternSpec>();
        let got = got.ok().map(|s| (s.size.width_px, s.size.height_px, s.rate.to_string()));
        let want = want.map(|(w, h, rate)| (w, h, rate.to_owned()));
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn numbers_are_read_back_at_any_size_and_place() {
    for size in ["160x90", "320x180", "640x360", "1280x720", "854x480", "1080x1920"] {
        let pattern = Pattern::new(spec(&format!("pattern:{size}")));
        for n in [0, 1, 2, 29, 30, 255, 65_535, 108_000, 0xFFFF_FFFF] {
            let (frame, _) = pattern.frame(n);
            let area = Area::whole(&frame.picture);
            assert_eq!(read_frame_number(&frame.picture, area), Some(n), "{size} {n}");
            let mut scaled = frame.clone();
            Prescaler::default().fill(&mut scaled, &[Size::new(322, 182).into()]);
            let small = &scaled.scaled[0].picture;
            assert_eq!(read_frame_number(small, Area::whole(small)), Some(n), "{size} {n} scaled");
            let off = Area { x_px: 20, y_px: 10, size: Size::new(140, 80) };
            assert_eq!(read_frame_number(&frame.picture, off), None, "{size} {n} off");
        }
    }
}

#[test]
fn a_mix_of_two_frames_is_not_read() {
    let pattern = Pattern::new(spec("pattern:320x180"));
    let (a, b) = (pattern.frame(1000).0.picture, pattern.frame(1007).0.picture);
    let mixed: Vec<u8> =
        a.planes()[0].data.iter().zip(&b.planes()[0].data).map(|(&a, &b)| a.midpoint(b)).collect();
    let mut planes = a.planes().to_vec();
    planes[0].data = Bytes::from(mixed);
    let mixed = Picture::new(PixelFormat::I420, a.size(), Color::CANVAS, planes).unwrap();
    assert!(!matches!(read_frame_number(&mixed, Area::whole(&mixed)), Some(1000 | 1007)));
}

/// A quarter of a canvas holds the pattern, the rest is noise-like.
fn in_a_corner(picture: &Picture) -> (Picture, Area) {
    let area = Area { x_px: 200, y_px: 100, size: picture.size() };
    let canvas = Size::new(640, 360);
    let mut luma: Vec<u8> =
        (0..640 * 360_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let plane = &picture.planes()[0];
    for y in 0..picture.size().height_px as usize {
        let width = picture.size().width_px as usize;
        let from = &plane.data[y * plane.stride_bytes..][..width];
        luma[(y + 100) * 640 + 200..][..width].copy_from_slice(from);
    }
    let mut planes = Picture::flat(canvas, [0, 128, 128]).planes().to_vec();
    planes[0].data = Bytes::from(luma);
    let whole = Picture::new(PixelFormat::I420, canvas, Color::CANVAS, planes).unwrap();
    (whole, area)
}

#[test]
fn numbers_are_read_in_a_corner_of_a_canvas() {
    let pattern = Pattern::new(spec("pattern:1280x720"));
    for n in [7, 30, 31, 4_000_000_000] {
        let (mut frame, _) = pattern.frame(n);
        Prescaler::default().fill(&mut frame, &[Size::new(320, 180).into()]);
        let (canvas, area) = in_a_corner(&frame.scaled[0].picture);
        assert_eq!(read_frame_number(&canvas, area), Some(n));
        assert_eq!(is_flash(&canvas, area), n == 30 || n == 31, "{n}");
        // A rectangle that is off by a fraction of a cell still reads.
        let near = Area { x_px: area.x_px + 2, y_px: area.y_px - 2, ..area };
        assert_eq!(read_frame_number(&canvas, near), Some(n));
        let outside = Area { x_px: 400, ..area };
        assert_eq!(read_frame_number(&canvas, outside), None);
    }
}

#[test]
fn flash_and_beep_begin_together() {
    for rate in FrameRate::SUPPORTED {
        let pattern = Pattern::new(PatternSpec { size: Size::new(160, 90), rate });
        let mut beeps = vec![];
        let mut flashes = vec![];
        let mut sample_count = 0;
        let mut quiet = u64::MAX;
        for n in 0..u64::from(rate.num()) * 4 / u64::from(rate.den()) {
            let (frame, block) = pattern.frame(n);
            assert_eq!(sample_count, rate.sample_at(n), "{rate}");
            if is_flash(&frame.picture, Area::whole(&frame.picture)) {
                flashes.push(n);
            }
            for (i, sample) in (0_u64..).zip(block.samples.iter()) {
                match sample[0].abs() < 1e-6 {
                    true => quiet = quiet.saturating_add(1),
                    // The first sample of a beep is zero itself.
                    false if quiet > 100 => beeps.push(sample_count + i - 1),
                    false => quiet = 0,
                }
                if sample[0].abs() >= 1e-6 {
                    quiet = 0;
                }
            }
            sample_count += block.samples.len() as u64;
        }
        let begins: Vec<u64> = flashes.chunks(2).map(|pair| pair[0]).collect();
        assert!(flashes.chunks(2).all(|pair| pair.len() == 2 && pair[1] == pair[0] + 1), "{rate}");
        let want: Vec<u64> = begins.iter().map(|&n| rate.sample_at(n)).collect();
        assert_eq!(beeps, want, "{rate}");
        assert!(begins.len() >= 4, "{rate}: {begins:?}");
    }
}
