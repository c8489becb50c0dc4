//! NVENC over the simulated driver: what comes out, what is refused, and that nothing is left behind.

use super::testing::Simulator;
use super::{NoNvenc, NvencEncoder, NvencPreset, NvencRate, NvencSettings, NvencTuning};
use crate::frame::Size;
use crate::media::encode::testing::{
    Dir, SIZE, bare, check_ahead, check_b_frames, check_b_frames_of, check_rates, decoded,
    elementary, flat, lumas, noise, picture, probe, settings,
};
use crate::media::encode::{
    EncodeError, EncoderPolicy, Idr, Maker, Profile, VideoEncoder, VideoSettings,
};
use crate::media::packet::{Packet, VideoCodec};
use crate::metrics::open_descriptors;
use crate::time::FrameRate;

#[path = "tests/direct.rs"]
mod direct;

fn video(simulator: &Simulator) -> VideoSettings {
    VideoSettings { policy: EncoderPolicy::Nvenc, nvenc: simulator.settings(), ..settings() }
}

/// Encodes 40 ticks with a forced keyframe at 17; what comes out must be what went in.
fn check(video: &VideoSettings) {
    let mut encoder = VideoEncoder::open(video).unwrap();
    assert_eq!((encoder.maker(), encoder.passed_over()), (Maker::Nvenc, None));
    let mut packets = Vec::new();
    for tick in 0..40 {
        let idr = if tick == 17 { Idr::Force } else { Idr::Auto };
        let ready = encoder.encode(tick, &picture(tick), idr).unwrap();
        assert_eq!(ready.len(), 1, "{video:?}: tick {tick}");
        packets.extend(ready);
    }
    let decoder = encoder.decoder();
    assert!(encoder.finish().unwrap().is_empty());
    let times: Vec<_> = packets.iter().map(|packet| (packet.pts_ns, packet.dts_ns)).collect();
    let ticks = (0..40).map(|tick| video.rate.tick_ns(tick) as i64);
    assert_eq!(times, ticks.map(|ns| (ns, ns)).collect::<Vec<_>>(), "{video:?}");
    let keys: Vec<usize> = (0..40).filter(|n| packets[*n].key).collect();
    assert_eq!(keys, [0, 17], "{video:?}");
    let dir = Dir::new();
    // A player that joins at the second keyframe finds the parameter sets there, AV1's too; those of HEVC are in the record alone.
    for (first, name) in [(0, "all"), (17, "late")] {
        let path = dir.0.join(name);
        let stream = match video.codec {
            VideoCodec::H264 => bare(&packets[first..]),
            _ => elementary(&decoder, &packets[first..]),
        };
        std::fs::write(&path, stream).unwrap();
        let path = path.to_str().unwrap();
        probe(path, 10).check_tags();
        let lumas = lumas(path);
        assert_eq!(lumas.len(), 40 - first, "{video:?}");
        for (tick, luma) in (first as u32..).zip(lumas) {
            let wanted = 40 + tick % 64 * 2;
            assert!(luma.abs_diff(wanted) <= 3, "{video:?}: tick {tick}: {luma}, not {wanted}");
        }
    }
}

#[test]
fn pictures_come_out_as_they_went_in() {
    let simulator = Simulator::new("");
    let base = video(&simulator);
    let nvenc = |preset, tuning, rate| NvencSettings {
        preset,
        tuning: Some(tuning),
        rate,
        ..base.nvenc.clone()
    };
    for video in [
        base.clone(),
        VideoSettings { rate: FrameRate::new(60_000, 1001).unwrap(), ..base.clone() },
        VideoSettings {
            profile: Profile::Main,
            nvenc: nvenc(NvencPreset::P1, NvencTuning::UltraLowLatency, NvencRate::Variable),
            ..base.clone()
        },
        VideoSettings {
            profile: Profile::Baseline,
            // Its preset would have B-frames.
            nvenc: nvenc(NvencPreset::P7, NvencTuning::HighQuality, NvencRate::Constant),
            ..base.clone()
        },
    ] {
        check(&video);
    }
    for codec in [VideoCodec::Hevc, VideoCodec::Av1] {
        check(&VideoSettings { codec, ..base.clone() });
        check(&VideoSettings {
            codec,
            rate: FrameRate::new(60_000, 1001).unwrap(),
            nvenc: nvenc(NvencPreset::P7, NvencTuning::HighQuality, NvencRate::Variable),
            ..base.clone()
        });
    }
    simulator.check_empty();
}

#[test]
fn keyframes_come_when_a_group_is_over() {
    let simulator = Simulator::new("");
    let video = VideoSettings { picture_ticks: 2, ..video(&simulator) };
    let mut encoder = VideoEncoder::open(&video).unwrap();
    let mut keys = Vec::new();
    for tick in (0..130).step_by(2) {
        let packets = encoder.encode(tick, &picture(tick), Idr::Auto).unwrap();
        keys.extend(packets.iter().filter(|packet| packet.key).map(|_| tick));
    }
    assert_eq!(keys, [0, 30, 60, 90, 120]);
}

#[test]
fn what_is_not_there_is_named_and_software_takes_its_place() {
    for (faults, most_sessions, word, told) in [
        ("no-device", 0, "no_device", "CUDA finds no device"),
        ("unsupported", 0, "no_encoder", "NVIDIA Simulator has no NVENC"),
        ("old-driver", 0, "old_driver", "speaks NVENC 11.1, at least 12.1"),
        ("sessions=0", 0, "no_session", "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY"),
        ("sessions=1", 0, "no_session", "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY"),
        ("", 1, "no_session", "1 are open (nvenc-sessions)"),
        ("no-memory", 0, "refused", "NV_ENC_ERR_OUT_OF_MEMORY"),
        ("gone=0@0", 0, "refused", "NV_ENC_ERR_DEVICE_NOT_EXIST"),
        ("no-hevc", 0, "no_codec", "this card does not encode HEVC"),
        ("no-av1", 0, "no_codec", "this card does not encode AV1"),
    ] {
        let simulator = Simulator::new(faults);
        let mut video = video(&simulator);
        video.codec = match faults {
            "no-hevc" => VideoCodec::Hevc,
            "no-av1" => VideoCodec::Av1,
            _ => VideoCodec::H264,
        };
        video.nvenc.most_sessions = most_sessions;
        // Whoever is first takes the only session, or loses the card.
        let mut first = NvencEncoder::open(&video);
        if let Ok(first) = &mut first {
            let _ = first.encode(0, &picture(0), Idr::Auto);
        }
        let EncodeError::Nvenc(why) = VideoEncoder::open(&video).unwrap_err() else {
            panic!("{faults}: refused for another reason")
        };
        assert_eq!((why.word(), super::NvencReport::STATES.contains(&word)), (word, true));
        assert!(why.to_string().contains(told), "{faults}: {why}");
        let auto = VideoSettings { policy: EncoderPolicy::Auto, ..video.clone() };
        let mut encoder = VideoEncoder::open(&auto).unwrap();
        assert_eq!((encoder.maker(), encoder.passed_over()), (Maker::Software, Some(&why)));
        assert_eq!(encoder.encode(0, &picture(0), Idr::Auto).unwrap().len(), 1);
        drop(first);
        simulator.check_empty();
    }
}

#[test]
fn without_a_driver_all_is_as_if_nobody_had_asked() {
    let dir = Dir::new();
    let nvenc = NvencSettings { libraries: Some(dir.0.clone()), ..NvencSettings::default() };
    let auto = VideoSettings { policy: EncoderPolicy::Auto, nvenc, ..settings() };
    let (asked, plain) = (VideoEncoder::open(&auto).unwrap(), VideoEncoder::open(&settings()));
    assert_eq!((asked.maker(), asked.passed_over()), (Maker::Software, None));
    assert_eq!(asked.decoder(), plain.unwrap().decoder());
    assert_eq!(super::codecs(&auto.nvenc).unwrap_err(), NoNvenc::NoDriver);
    assert_eq!(super::report(&auto.nvenc).state(), "no_driver");
}

#[test]
fn a_stream_is_gone_on_with_by_who_fits_it() {
    // AV1 has no ids, so that whoever comes first takes a stream up.
    for (codec, in_place, of_software) in [
        (VideoCodec::H264, Maker::StandIn, Maker::Software),
        (VideoCodec::Hevc, Maker::StandIn, Maker::Software),
        (VideoCodec::Av1, Maker::Software, Maker::Nvenc),
    ] {
        let simulator = Simulator::new("sessions=1");
        let auto = VideoSettings { codec, policy: EncoderPolicy::Auto, ..video(&simulator) };
        let by_nvenc = VideoEncoder::open(&auto).unwrap();
        let by_software = VideoEncoder::open(&auto).unwrap();
        assert_eq!((by_nvenc.maker(), by_software.maker()), (Maker::Nvenc, Maker::Software));
        let (nvenc, software) = (by_nvenc.decoder(), by_software.decoder());
        let resumed = VideoEncoder::resume(&auto, &nvenc).unwrap();
        assert_eq!((resumed.maker(), resumed.decoder()), (in_place, nvenc.clone()));
        assert!(matches!(resumed.passed_over(), Some(NoNvenc::NoSession(_))));
        drop(by_nvenc);
        for (stream, maker) in [(&nvenc, Maker::Nvenc), (&software, of_software)] {
            let resumed = VideoEncoder::resume(&auto, stream).unwrap();
            assert_eq!((resumed.maker(), &resumed.decoder()), (maker, stream));
        }
        let other = VideoSettings { policy: EncoderPolicy::Software, ..auto };
        let resumed = VideoEncoder::resume(&other, &nvenc).map(|encoder| encoder.maker());
        let told = match in_place {
            Maker::StandIn => Err(EncodeError::NoParameterSets),
            maker => Ok(maker),
        };
        assert_eq!(resumed, told);
        simulator.check_empty();
    }
}

/// Packets of noise, from this tick on.
fn encode(encoder: &mut VideoEncoder, ticks: std::ops::Range<u64>) -> Vec<Packet> {
    ticks.flat_map(|tick| encoder.encode(tick, &noise(tick), Idr::Auto).unwrap()).collect()
}

#[test]
fn a_stream_that_is_gone_on_with_shows_what_each_encoder_shows_alone() {
    for codec in [VideoCodec::Hevc, VideoCodec::Av1] {
        check_gone_on_with(codec);
    }
}

fn check_gone_on_with(codec: VideoCodec) {
    let simulator = Simulator::new("");
    let asked = VideoSettings { codec, ..video(&simulator) };
    let mut first = VideoEncoder::open(&asked).unwrap();
    let stream = first.decoder();
    let mut begun = encode(&mut first, 0..20);
    let shown = decoded(&elementary(&stream, &begun));
    let software = VideoSettings { policy: EncoderPolicy::Software, ..asked.clone() };
    let mut alone = VideoEncoder::open(&software).unwrap();
    let as_alone = encode(&mut alone, 20..70);
    let then = decoded(&elementary(&alone.decoder(), &as_alone));
    let mut stand_in = VideoEncoder::again(&asked, Maker::StandIn, &stream).unwrap();
    let gone_on = encode(&mut stand_in, 20..70);
    let has_ids = codec == VideoCodec::Hevc;
    assert!(gone_on.iter().zip(&as_alone).all(|(a, b)| (a.data != b.data) == has_ids), "{codec:?}");
    begun.extend(gone_on);
    // And NVENC takes it up again.
    let mut again = VideoEncoder::again(&asked, Maker::Nvenc, &stream).unwrap();
    let last = encode(&mut again, 70..90);
    let ending = decoded(&elementary(&stream, &last));
    begun.extend(last);
    assert!(decoded(&elementary(&stream, &begun)) == [shown, then, ending].concat());
    drop((first, again));
    simulator.check_empty();
}

#[test]
fn a_driver_without_its_encoder_is_told() {
    let simulator = Simulator::new("");
    let dir = Dir::new();
    let from = simulator.settings().libraries.unwrap().join("libcuda.so.1");
    std::fs::hard_link(from, dir.0.join("libcuda.so.1")).unwrap();
    let nvenc = NvencSettings { libraries: Some(dir.0.clone()), ..NvencSettings::default() };
    let told = super::report(&nvenc).device.unwrap_err().to_string();
    assert!(told.contains("libnvidia-encode.so.1") && told.contains("CAPABILITIES"), "{told}");
}

#[test]
fn pictures_that_are_held_back_come_later() {
    let simulator = Simulator::new("hold=2");
    let mut encoder = VideoEncoder::open(&video(&simulator)).unwrap();
    let mut counts = Vec::new();
    let mut times = Vec::new();
    let mut take = |packets: Vec<Packet>| {
        counts.push(packets.len());
        times.extend(packets.iter().map(|packet| packet.pts_ns));
    };
    for tick in 0..7 {
        take(encoder.encode(tick, &picture(tick), Idr::Auto).unwrap());
    }
    take(encoder.finish().unwrap());
    assert_eq!(counts, [0, 0, 3, 0, 0, 3, 0, 1]);
    assert_eq!(times, Vec::from_iter((0..7).map(|tick| settings().rate.tick_ns(tick) as i64)));
    simulator.check_empty();
    // More than there are buffers for is an error, not a hang.
    let simulator = Simulator::new("hold=9");
    let mut encoder = VideoEncoder::open(&video(&simulator)).unwrap();
    let mut encode =
        |tick| encoder.encode(tick, &picture(tick), Idr::Auto).map(|ready| ready.len());
    assert_eq!([0, 1, 2, 3].map(&mut encode), [const { Ok(0) }; 4]);
    let error = encode(4).unwrap_err().to_string();
    assert!(error.contains("4 pictures are held back"), "{error}");
    drop(encoder);
    simulator.check_empty();
}

#[test]
fn a_bit_rate_changes_within_the_session() {
    for codec in VideoCodec::ALL {
        let simulator = Simulator::new("");
        // libaom is a third above 200 kbit/s of noise.
        let bitrate_bps = if codec == VideoCodec::Av1 { 800_000 } else { 400_000 };
        let video = VideoSettings { codec, bitrate_bps, ..video(&simulator) };
        let mut encoder = VideoEncoder::open(&video).unwrap();
        let opened = simulator.held().opened;
        check_rates(&mut encoder, video.bitrate_bps);
        assert_eq!(simulator.held().opened, opened);
        drop(encoder);
        simulator.check_empty();
    }
    let simulator = Simulator::new("no-reconfigure");
    let mut encoder = VideoEncoder::open(&self::video(&simulator)).unwrap();
    let error = encoder.set_bitrate(200_000).unwrap_err().to_string();
    assert!(error.contains("another bit rate: NV_ENC_ERR_UNSUPPORTED_PARAM"), "{error}");
    drop(encoder);
    simulator.check_empty();
}

#[test]
fn what_is_looked_ahead_comes_so_much_later() {
    for codec in VideoCodec::ALL {
        let simulator = Simulator::new("");
        check_ahead(&VideoSettings { codec, ..video(&simulator) });
        simulator.check_empty();
    }
    let simulator = Simulator::new("no-lookahead");
    let video = VideoSettings { lookahead_pictures: 1, ..video(&simulator) };
    let error = VideoEncoder::open(&video).unwrap_err().to_string();
    assert!(error.contains("look-ahead: this card has none"), "{error}");
    simulator.check_empty();
}

#[test]
fn b_frames_come_behind_what_they_wait_for() {
    let simulator = Simulator::new("");
    let base = VideoSettings { nvenc: video(&simulator).nvenc, ..video(&simulator) };
    for (b_frames, lookahead_pictures, picture_ticks) in
        [(1, 0, 1), (2, 0, 1), (3, 0, 2), (2, 5, 1), (4, 31, 1)]
    {
        check_b_frames(&VideoSettings {
            b_frames,
            lookahead_pictures,
            picture_ticks,
            ..base.clone()
        });
    }
    let hevc = VideoSettings { codec: VideoCodec::Hevc, b_frames: 2, ..base };
    assert_eq!(check_b_frames(&hevc), 2);
    let stream = VideoEncoder::open(&hevc).unwrap().decoder();
    let stand_in = VideoEncoder::again(&hevc, Maker::StandIn, &stream).unwrap();
    assert_eq!(check_b_frames_of(stand_in, &hevc), 2, "under other ids");
    simulator.check_empty();
    // A card makes as many as it can.
    for (faults, shown) in [("b-frames=1", 1), ("b-frames=0", 0)] {
        let simulator = Simulator::new(faults);
        let video = VideoSettings { b_frames: 3, ..video(&simulator) };
        assert_eq!(check_b_frames(&video), shown, "{faults}");
        simulator.check_empty();
    }
}

#[test]
fn what_is_lost_says_so_and_is_given_back() {
    let simulator = Simulator::new("lost=180@3");
    let mut encoder = VideoEncoder::open(&video(&simulator)).unwrap();
    for tick in 0..3 {
        encoder.encode(tick, &picture(tick), Idr::Auto).unwrap();
    }
    let error = encoder.encode(3, &picture(3), Idr::Auto).unwrap_err().to_string();
    assert!(error.contains("NV_ENC_ERR_DEVICE_NOT_EXIST: lost at picture 3"), "{error}");
    drop(encoder);
    simulator.check_empty();
}

#[test]
fn pictures_and_sizes_that_do_not_fit_are_refused() {
    let simulator = Simulator::new("");
    let small = VideoSettings { size: Size::new(96, 48), ..video(&simulator) };
    let error = VideoEncoder::open(&small).unwrap_err().to_string();
    assert!(error.contains("NV_ENC_ERR_INVALID_PARAM"), "{error}");
    let other = VideoSettings { size: Size::new(640, 360), ..video(&simulator) };
    let mut encoder = VideoEncoder::open(&other).unwrap();
    let error = encoder.encode(0, &flat(16), Idr::Auto).unwrap_err();
    assert!(matches!(error, EncodeError::WrongPicture { .. }), "{error}");
    drop(encoder);
    simulator.check_empty();
}

#[test]
fn a_thousand_sessions_leave_nothing() {
    let simulator = Simulator::new("");
    let video = video(&simulator);
    let one = |tick| {
        let mut encoder = NvencEncoder::open(&video).unwrap();
        assert_eq!(encoder.encode(tick, &picture(tick), Idr::Auto).unwrap().len(), 1);
    };
    one(0);
    let files = open_descriptors();
    (1..=1000).for_each(one);
    assert_eq!(open_descriptors(), files);
    simulator.check_empty();
    // One more is that of the trial when the driver was loaded.
    assert_eq!((simulator.held().opened, simulator.held().pictures), (1002, 1001));
    let report = super::report(&video.nvenc);
    assert_eq!((report.sessions, report.opened, report.host_copies), (0, 1002, 1001));
}
