//! Encoders alone: what they accept, when packets come and what times they bear.

use std::sync::Arc;

use super::planar::PlanarEncoder;
use super::sets::{self, SetId};
use super::testing::{
    Dir, SIZE, check_ahead, check_b_frames, check_rates, decoded, elementary, lumas, noise,
    noise_of, picture, probe, settings,
};
use super::{
    AacEncoder, EncodeError, Idr, Latency, Maker, VideoEncoder, VideoSettings, X264Preset,
    default_bitrate_bps,
};
use crate::frame::{Picture, Size};
use crate::media::packet::{Packet, VideoCodec};
use crate::time::FrameRate;

/// The codecs that there are encoders of.
const MADE: [VideoCodec; 3] = VideoCodec::ALL;

#[test]
fn packets_bear_the_times_of_their_ticks() {
    for (rate, codec) in
        FrameRate::SUPPORTED.into_iter().flat_map(|rate| MADE.map(|codec| (rate, codec)))
    {
        for latency in [Latency::Zero, Latency::Normal] {
            let settings = VideoSettings { codec, rate, latency, ..settings() };
            let mut encoder = VideoEncoder::open(&settings).unwrap();
            let mut packets: Vec<Packet> = Vec::new();
            for tick in 0..40 {
                let idr = if tick == 17 { Idr::Force } else { Idr::Auto };
                let ready = encoder.encode(tick, &picture(tick), idr).unwrap();
                assert!(latency == Latency::Normal || ready.len() == 1, "{rate} tick {tick}");
                packets.extend(ready);
            }
            packets.extend(encoder.finish().unwrap());
            let times: Vec<i64> = packets.iter().map(|p| p.pts_ns).collect();
            let ticks: Vec<i64> = (0..40).map(|tick| rate.tick_ns(tick) as i64).collect();
            assert_eq!(times, ticks, "{codec:?} {rate}");
            assert!(packets.iter().all(|p| p.dts_ns == p.pts_ns));
            let keys: Vec<usize> = (0..40).filter(|n| packets[*n].key).collect();
            assert_eq!(keys, [0, 17], "{codec:?} {rate}");
        }
    }
}

#[test]
fn a_bit_rate_changes_within_the_stream() {
    for codec in MADE {
        // libaom is a third above 200 kbit/s of noise.
        let bitrate_bps = if codec == VideoCodec::Av1 { 800_000 } else { 400_000 };
        let live = VideoSettings { codec, bitrate_bps, ..settings() };
        check_rates(&mut VideoEncoder::open(&live).unwrap(), live.bitrate_bps);
        let offline = VideoSettings { latency: Latency::Normal, ..live };
        let mut encoder = VideoEncoder::open(&offline).unwrap();
        encoder.set_bitrate(offline.bitrate_bps).unwrap();
        assert_eq!(encoder.set_bitrate(200_000).unwrap_err(), EncodeError::OneRate);
    }
}

#[test]
fn what_is_looked_ahead_comes_so_much_later() {
    for (codec, preset) in [VideoCodec::H264, VideoCodec::Hevc]
        .into_iter()
        .flat_map(|codec| [X264Preset::Ultrafast, X264Preset::Medium].map(|preset| (codec, preset)))
    {
        check_ahead(&VideoSettings { codec, preset, ..settings() });
    }
}

#[test]
fn what_is_made_is_what_it_says() {
    for (codec, name, maker) in [
        (VideoCodec::H264, "h264", "x264"),
        (VideoCodec::Hevc, "hevc", "x265"),
        (VideoCodec::Av1, "av1", "libaom"),
    ] {
        let mut encoder = VideoEncoder::open(&VideoSettings { codec, ..settings() }).unwrap();
        assert_eq!(encoder.maker(), Maker::Software);
        assert_eq!((encoder.maker().name(codec), encoder.decoder().codec), (maker, codec));
        let mut packets = Vec::new();
        for tick in 0..40 {
            packets.extend(encoder.encode(tick, &picture(tick), Idr::Auto).unwrap());
        }
        let dir = Dir::new();
        let path = dir.0.join("stream");
        std::fs::write(&path, elementary(&encoder.decoder(), &packets)).unwrap();
        let path = path.to_str().unwrap();
        let probe = probe(path, 10);
        probe.check_tags();
        let video = probe.stream("video");
        assert_eq!((&video["codec_name"], &video["has_b_frames"]), (&name.into(), &0.into()));
        assert_eq!((&video["width"], &video["height"]), (&320.into(), &180.into()));
        for (tick, luma) in lumas(path).into_iter().enumerate() {
            let wanted = 40 + tick as u32 % 64 * 2;
            assert!(luma.abs_diff(wanted) <= 3, "{codec:?}: tick {tick}: {luma}, not {wanted}");
        }
    }
}

#[test]
fn what_stands_in_shows_the_same_pictures_under_another_id() {
    let small = Size::new(146, 50);
    let all = X264Preset::ALL.map(|preset| (small, preset)).into_iter();
    let larger = [(SIZE, X264Preset::Medium), (Size::new(640, 360), X264Preset::Ultrafast)];
    for (size, preset) in all.chain(larger) {
        // On several threads a picture's rows have entry points.
        for (threads, lookahead_pictures, b_frames) in [(1, 0, 0), (2, 0, 0), (1, 6, 2)] {
            let hevc = VideoSettings {
                codec: VideoCodec::Hevc,
                size,
                preset,
                threads,
                lookahead_pictures,
                b_frames,
                bitrate_bps: 10 * size.width_px * size.height_px,
                ..settings()
            };
            let streams = [SetId::First, SetId::Second].map(|id| {
                let mut encoder = PlanarEncoder::open(&hevc, id).unwrap();
                let decoder = sets::configuration(hevc.codec, encoder.parameter_sets()).unwrap();
                let mut packets = Vec::new();
                for tick in 0..9 {
                    let idr = if tick == 6 { Idr::Force } else { Idr::Auto };
                    packets.extend(encoder.encode(tick, &noise_of(size, tick), idr).unwrap());
                }
                packets.extend(encoder.finish().unwrap());
                elementary(&decoder, &packets)
            });
            assert!(streams[0] != streams[1]);
            let [first, second] = streams.map(|stream| decoded(&stream));
            let pixels = (size.width_px * size.height_px) as usize;
            assert_eq!(first.len(), 9 * pixels * 3 / 2);
            assert!(first == second, "{hevc:?}");
        }
    }
}

#[test]
fn offline_the_same_pictures_give_the_same_stream() {
    for codec in MADE {
        let offline = VideoSettings { codec, latency: Latency::Normal, threads: 0, ..settings() };
        let encoded = || {
            let mut encoder = VideoEncoder::open(&offline).unwrap();
            let mut packets = Vec::new();
            for tick in 0..40 {
                packets.extend(encoder.encode(tick, &noise(tick), Idr::Auto).unwrap());
            }
            packets.extend(encoder.finish().unwrap());
            packets.into_iter().map(|packet| packet.data).collect::<Vec<_>>()
        };
        assert!(encoded() == encoded(), "{codec:?}");
    }
}

#[test]
fn b_frames_come_behind_what_they_wait_for() {
    for (b_frames, lookahead_pictures, picture_ticks) in
        [(1, 0, 1), (2, 0, 1), (3, 0, 2), (2, 1, 1), (2, 5, 1), (3, 8, 2), (4, 31, 1)]
    {
        let asked = VideoSettings { b_frames, lookahead_pictures, picture_ticks, ..settings() };
        for preset in [X264Preset::Ultrafast, X264Preset::Medium] {
            let shown = check_b_frames(&VideoSettings { preset, ..asked.clone() });
            assert_eq!(shown, b_frames as usize, "{asked:?}");
        }
        // Offline an encoder may hold any number.
        let offline = VideoSettings { latency: Latency::Normal, lookahead_pictures: 60, ..asked };
        assert_eq!(check_b_frames(&offline), b_frames as usize);
    }
    assert_eq!(check_b_frames(&VideoSettings { b_frames: 1, threads: 3, ..settings() }), 1);
    for (b_frames, lookahead_pictures, picture_ticks) in
        [(1, 0, 1), (2, 0, 2), (3, 0, 1), (4, 2, 1), (2, 8, 1)]
    {
        let codec = VideoCodec::Hevc;
        let asked =
            VideoSettings { codec, b_frames, lookahead_pictures, picture_ticks, ..settings() };
        assert_eq!(check_b_frames(&asked), b_frames as usize, "{asked:?}");
        let offline = VideoSettings { latency: Latency::Normal, lookahead_pictures: 60, ..asked };
        assert_eq!(check_b_frames(&offline), b_frames as usize);
    }
}

#[test]
fn lent_pictures_are_let_go() {
    for codec in MADE {
        let mut encoder = VideoEncoder::open(&VideoSettings { codec, ..settings() }).unwrap();
        let pictures: Vec<Arc<Picture>> = (0..10).map(picture).collect();
        for (tick, picture) in (0..).zip(&pictures) {
            encoder.encode(tick, picture, Idr::Auto).unwrap();
        }
        encoder.finish().unwrap();
        for picture in pictures {
            assert_eq!(Arc::strong_count(&picture), 1);
            assert!(picture.planes().iter().all(|plane| plane.data.is_unique()));
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_in_words() {
    for codec in MADE {
        let settings = VideoSettings { codec, ..settings() };
        let mut encoder = VideoEncoder::open(&settings).unwrap();
        let planar = Arc::new(Picture::flat(SIZE, [16, 128, 128]));
        let error = encoder.encode(0, &planar, Idr::Auto).unwrap_err();
        assert!(matches!(error, EncodeError::WrongPicture { .. }), "{error}");
        let odd = VideoSettings { size: Size::new(33, 17), ..settings };
        assert!(VideoEncoder::open(&odd).is_err(), "{codec:?}");
    }
}

#[test]
fn samples_of_any_count_become_frames_counted_in_samples() {
    for counts in [vec![1600; 50], vec![1, 2047, 0, 5000, 333], vec![48_000], vec![7]] {
        let mut encoder = AacEncoder::open(96_000).unwrap();
        assert_eq!(&encoder.asc()[..2], [0x11, 0x90], "AAC-LC, 48 kHz, 2 channels");
        let mut packets = Vec::new();
        for count in &counts {
            packets.extend(encoder.encode(&vec![[0.1, -0.1]; *count]).unwrap());
        }
        packets.extend(encoder.finish().unwrap());
        for (n, packet) in packets.iter().enumerate() {
            assert_eq!(packet.pts_ns, n as i64 * 1024 * 1_000_000_000 / 48_000);
        }
        let total: usize = counts.iter().sum();
        assert_eq!(packets.len(), total.div_ceil(1024), "{counts:?}");
    }
}

#[test]
fn settings_have_names_and_defaults() {
    for (width, height, bps) in [
        (640, 360, 800_000),
        (854, 480, 1_200_000),
        (1280, 720, 2_500_000),
        (1920, 1080, 4_500_000),
        (1080, 1920, 4_500_000),
        (480, 854, 1_200_000),
        (3840, 2160, 4_500_000),
        (320, 180, 800_000),
    ] {
        assert_eq!(default_bitrate_bps(Size::new(width, height)), bps, "{width}x{height}");
    }
    for preset in X264Preset::ALL {
        assert_eq!(X264Preset::parse(preset.name()), Some(preset));
    }
    assert_eq!(X264Preset::parse("placebo"), None);
    let defaults =
        VideoSettings::for_size(Size::new(1280, 720), FrameRate::new(30_000, 1001).unwrap());
    assert_eq!(defaults.gop_ticks, 59);
}

#[test]
fn sound_goes_on_in_another_encoder_without_a_packet_missing() {
    const TICK: u64 = 1600;
    for ticks in [0, 1, 2, 3, 16, 40, 41] {
        let samples = vec![[0.1; 2]; TICK as usize];
        let mut packets = Vec::new();
        let mut one = AacEncoder::open(96_000).unwrap();
        for _ in 0..ticks {
            packets.extend(one.encode(&samples).unwrap());
        }
        let mut other = AacEncoder::resume(96_000, ticks * TICK).unwrap();
        for _ in 0..10 {
            packets.extend(other.encode(&samples).unwrap());
        }
        packets.extend(other.finish().unwrap());
        let frames: Vec<i64> = packets
            .iter()
            .map(|packet| (packet.pts_ns * 48 + 24_000_000) / 1_024_000_000)
            .collect();
        assert!(frames.iter().copied().eq(0..frames.len() as i64), "{ticks}: {frames:?}");
        assert!(frames.len() as u64 >= (ticks + 10) * TICK / 1024, "{ticks}: {frames:?}");
    }
}
