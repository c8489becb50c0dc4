//! What the tests of this room and of those above share: synthetic pictures, and FFmpeg's tools as peers.

use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{EncoderPolicy, Idr, Latency, Profile, VideoEncoder, VideoSettings, X264Preset, sets};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::media::nvenc::NvencSettings;
use crate::media::packet::{DecoderConfig, Packet, VideoCodec};
use crate::time::FrameRate;
use crate::worker::StopToken;

pub(crate) const SIZE: Size = Size::new(320, 180);
pub(crate) const RATE: FrameRate = FrameRate::FPS_30;
pub(crate) const GOP: u32 = 30;

pub(crate) fn settings() -> VideoSettings {
    VideoSettings {
        codec: VideoCodec::H264,
        size: SIZE,
        rate: RATE,
        bitrate_bps: 400_000,
        gop_ticks: GOP,
        picture_ticks: 1,
        preset: X264Preset::Ultrafast,
        profile: Profile::High,
        latency: Latency::Zero,
        lookahead_pictures: 0,
        b_frames: 0,
        threads: 1,
        policy: EncoderPolicy::Software,
        nvenc: NvencSettings::default(),
    }
}

/// A picture of two shades that depend on `tick`.
pub(crate) fn picture(tick: u64) -> Arc<Picture> {
    let luma = 40 + (tick % 64) as u8 * 2;
    flat(luma)
}

pub(crate) fn flat(luma: u8) -> Arc<Picture> {
    let shapes = PixelFormat::Nv12.plane_shapes(SIZE);
    let planes = shapes.into_iter().zip([luma, 128]).map(|((row, rows), value)| Plane {
        data: Bytes::from(vec![value; row * rows]),
        stride_bytes: row,
    });
    Arc::new(Picture::new(PixelFormat::Nv12, SIZE, Color::CANVAS, planes.collect()).unwrap())
}

/// A picture that no encoder can foresee, so that it takes as many bits as it may.
pub(crate) fn noise(tick: u64) -> Arc<Picture> {
    noise_of(SIZE, tick)
}

/// The same, of any size.
pub(crate) fn noise_of(size: Size, tick: u64) -> Arc<Picture> {
    let mut state = tick + 1;
    let mut random = || {
        // Knuth's MMIX.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        112 + (state >> 59) as u8
    };
    let planes = PixelFormat::Nv12.plane_shapes(size).into_iter().map(|(row, rows)| Plane {
        data: (0..row * rows).map(|_| random()).collect::<Vec<u8>>().into(),
        stride_bytes: row,
    });
    Arc::new(Picture::new(PixelFormat::Nv12, size, Color::CANVAS, planes.collect()).unwrap())
}

/// Halves and doubles an encoder's bit rate: the bytes follow, and nothing else changes.
pub(crate) fn check_rates(encoder: &mut VideoEncoder, begun_bps: u32) {
    const SECOND: u64 = 30;
    let decoder = encoder.decoder();
    let mut next = 0;
    for bps in [begun_bps, begun_bps / 2, begun_bps] {
        encoder.set_bitrate(bps).unwrap();
        let mut bytes = 0;
        // What the buffer held before may go on for a second.
        for tick in next..next + 3 * SECOND {
            let packets = encoder.encode(tick, &noise(tick), Idr::Auto).unwrap();
            assert_eq!(packets.len(), 1, "{bps} bit/s: tick {tick}");
            let is_key = tick.is_multiple_of(GOP.into());
            assert_eq!(packets[0].key, is_key, "{bps} bit/s: tick {tick}");
            assert_eq!(packets[0].pts_ns, RATE.tick_ns(tick).cast_signed());
            if tick >= next + SECOND {
                bytes += packets[0].data.len() as u32;
            }
        }
        next += 3 * SECOND;
        let kept_bps = bytes * 8 / 2;
        assert!(kept_bps.abs_diff(bps) < bps / 5, "{kept_bps}, not {bps} bit/s");
    }
    assert_eq!(encoder.decoder(), decoder);
}

/// Looks ahead by five pictures: so many are held, and nothing else changes.
pub(crate) fn check_ahead(video: &VideoSettings) {
    const AHEAD: u64 = 5;
    let ahead = VideoSettings { lookahead_pictures: AHEAD as u32, ..video.clone() };
    let mut encoder = VideoEncoder::open(&ahead).unwrap();
    let mut packets = Vec::new();
    for tick in 0..60 {
        let idr = if tick == 17 { Idr::Force } else { Idr::Auto };
        let ready = encoder.encode(tick, &picture(tick), idr).unwrap();
        assert_eq!(ready.len(), usize::from(tick >= AHEAD), "tick {tick}");
        packets.extend(ready);
    }
    packets.extend(encoder.finish().unwrap());
    let told = packets.iter().map(|packet| (packet.pts_ns, packet.dts_ns));
    let ticks = (0..60).map(|tick| video.rate.tick_ns(tick).cast_signed());
    assert!(told.eq(ticks.map(|ns| (ns, ns))), "{packets:?}");
    let keys: Vec<usize> = (0..60).filter(|n| packets[*n].key).collect();
    assert_eq!(keys, [0, 17, 47]);
}

/// The packets as a file of their elementary stream, begun with the parameter sets of H.264's or HEVC's record.
pub(crate) fn elementary(decoder: &DecoderConfig, packets: &[Packet]) -> Vec<u8> {
    const DELIMITER: &[u8] = b"\x12\0";
    if decoder.codec == VideoCodec::Av1 {
        return packets.iter().flat_map(|unit| [DELIMITER, &unit.data].concat()).collect();
    }
    let mut stream = sets::annex_b(decoder).unwrap();
    stream.extend(bare(packets));
    stream
}

/// The packets alone as a file of their elementary stream.
pub(crate) fn bare(packets: &[Packet]) -> Vec<u8> {
    let mut stream = Vec::new();
    for packet in packets {
        let mut rest = &packet.data[..];
        while let Some((len, units)) = rest.split_first_chunk::<4>() {
            let (unit, after) = units.split_at(u32::from_be_bytes(*len) as usize);
            stream.extend([0, 0, 0, 1]);
            stream.extend(unit);
            rest = after;
        }
    }
    stream
}

/// Mean luma of each picture of a file, of [`SIZE`].
pub(crate) fn lumas(path: &str) -> Vec<u32> {
    let raw = tool_output("ffmpeg", &["-i", path, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]);
    let pixels = (SIZE.width_px * SIZE.height_px) as usize;
    let sum = |picture: &[u8]| picture[..pixels].iter().map(|luma| u32::from(*luma)).sum::<u32>();
    raw.chunks(pixels * 3 / 2).map(|picture| sum(picture).div_ceil(pixels as u32)).collect()
}

/// What FFmpeg makes of an elementary stream, which it must decode without a word: its pictures, one after the other.
pub(crate) fn decoded(stream: &[u8]) -> Vec<u8> {
    let dir = Dir::new();
    let path = dir.0.join("stream");
    std::fs::write(&path, stream).unwrap();
    let args =
        ["-xerror", "-i", path.to_str().unwrap(), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"];
    let output = tool("ffmpeg", &args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output.stdout
}

/// Makes B-frames, with keyframes asked for in between: each picture comes out once, in an order that decodes, with all before it.
/// Gives how many B-frames there are in a row.
pub(crate) fn check_b_frames(video: &VideoSettings) -> usize {
    check_b_frames_of(VideoEncoder::open(video).unwrap(), video)
}

/// The same of an encoder of these settings.
pub(crate) fn check_b_frames_of(mut encoder: VideoEncoder, video: &VideoSettings) -> usize {
    const PICTURES: u64 = 64;
    const FORCED: [u64; 3] = [17, 20, 22];
    let step = u64::from(video.picture_ticks);
    let ns = |n: i64| video.rate.tick_ns(n.unsigned_abs() * step).cast_signed() * n.signum();
    let mut packets = Vec::new();
    for n in 0..PICTURES {
        let idr = if FORCED.contains(&n) { Idr::Force } else { Idr::Auto };
        packets.extend(encoder.encode(n * step, &picture(n), idr).unwrap());
        let mut times: Vec<i64> = packets.iter().map(|packet| packet.pts_ns).collect();
        times.sort_unstable();
        assert!(times.into_iter().eq((0..packets.len() as i64).map(ns)), "{video:?}: {n}");
        let held = n + 1 - packets.len() as u64;
        assert!(held <= video.pictures_held().into(), "{video:?}: {n}: {held} are held");
    }
    let decoder = encoder.decoder();
    packets.extend(encoder.finish().unwrap());
    let slots: Vec<i64> = packets.iter().map(|packet| packet.dts_ns).collect();
    assert!(slots.into_iter().eq((0..PICTURES as i64).map(|n| ns(n - 1))), "{video:?}");
    assert!(packets.iter().all(|packet| packet.pts_ns >= packet.dts_ns), "{video:?}");
    // One that is a keyframe has its own place.
    let gop = u64::from(video.gop_ticks) / step;
    let mut keys = Vec::<i64>::new();
    for n in 0..PICTURES as i64 {
        let is_due = keys.last().is_none_or(|last| n - last == gop as i64);
        keys.extend((is_due || FORCED.contains(&n.unsigned_abs())).then_some(n));
    }
    let found = (0..).zip(&packets).filter(|(_, packet)| packet.key);
    assert!(
        found.map(|(n, packet)| (n, packet.pts_ns)).eq(keys.iter().map(|n| (*n, ns(*n)))),
        "{video:?}"
    );
    let dir = Dir::new();
    let path = dir.0.join("reordered");
    std::fs::write(&path, elementary(&decoder, &packets)).unwrap();
    let path = path.to_str().unwrap();
    let lumas = lumas(path);
    assert_eq!(lumas.len() as u64, PICTURES, "{video:?}");
    for (n, luma) in (0_u32..).zip(lumas) {
        let wanted = 40 + n % 64 * 2;
        assert!(luma.abs_diff(wanted) <= 3, "{video:?}: picture {n}: {luma}, not {wanted}");
    }
    b_frames(path)
}

/// How many B-frames a file has in a row, at most.
pub(crate) fn b_frames(path: &str) -> usize {
    let types = tool_output(
        "ffprobe",
        &["-select_streams", "v:0", "-show_entries", "frame=pict_type", "-of", "csv=p=0", path],
    );
    let types = String::from_utf8(types).unwrap();
    let types = types.lines().map(|line| line.trim_end_matches(',')).collect::<String>();
    types.split(['I', 'P']).map(str::len).max().unwrap_or(0)
}

/// Waits until `is_so`, looking every 20 ms for at most 10 s.
pub(crate) fn await_true(what: &str, mut is_so: impl FnMut() -> bool) {
    let pause = StopToken::new();
    for _ in 0..500 {
        if is_so() {
            return;
        }
        pause.wait(std::time::Duration::from_millis(20));
    }
    panic!("{what} did not come true within 10 s");
}

/// A tool of FFmpeg's, quiet and killed after 20 s.
pub(crate) fn tool(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["20", program, "-hide_banner", "-loglevel", "error"]).args(args);
    command.stdin(Stdio::null());
    command
}

/// An FFmpeg that knows Enhanced RTMP, which Debian's does not.
pub(crate) fn newer_ffmpeg() -> String {
    let install = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ffmpeg/install");
    let output = Command::new(install).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Standard output of a tool that must succeed.
pub(crate) fn tool_output(program: &str, args: &[&str]) -> Vec<u8> {
    let output = tool(program, args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {errors}");
    output.stdout
}

/// What ffprobe says of the streams and packets of a file or URL; of a live one for `seconds`.
pub(crate) fn probe(url: &str, seconds: u32) -> Probe {
    let interval = format!("%+{seconds}");
    let json = tool_output(
        "ffprobe",
        &["-show_streams", "-show_packets", "-read_intervals", &interval, "-of", "json", url],
    );
    Probe(serde_json::from_slice(&json).unwrap())
}

pub(crate) struct Probe(Value);

impl Probe {
    pub(crate) fn stream(&self, kind: &str) -> &Value {
        let streams = self.0["streams"].as_array().unwrap();
        streams.iter().find(|s| s["codec_type"] == kind).unwrap_or_else(|| panic!("no {kind}"))
    }

    /// Time in s and whether it is a keyframe, of each packet, in order of those times. Packets must come in order of decoding.
    pub(crate) fn packets(&self, kind: &str) -> Vec<(f64, bool)> {
        let packets = self.0["packets"].as_array().unwrap();
        let of_kind = packets.iter().filter(|packet| packet["codec_type"] == kind);
        let time = |packet: &Value, of: &str| packet[of].as_str()?.parse::<f64>().ok();
        let decoded: Vec<f64> = of_kind.clone().filter_map(|p| time(p, "dts_time")).collect();
        assert!(decoded.is_sorted(), "{kind}: {decoded:?}");
        let mut shown: Vec<(f64, bool)> = of_kind
            .map(|packet| {
                let is_key = packet["flags"].as_str().unwrap().contains('K');
                (time(packet, "pts_time").unwrap(), is_key)
            })
            .collect();
        shown.sort_by(|a, b| a.0.total_cmp(&b.0));
        shown
    }

    /// Checks that what our own encoder made says what its colours are.
    pub(crate) fn check_tags(&self) {
        let video = self.stream("video");
        for tag in ["color_space", "color_transfer", "color_primaries"] {
            assert_eq!(video[tag], "bt709", "{tag}");
        }
        assert_eq!(
            (&video["color_range"], &video["chroma_location"]),
            (&"tv".into(), &"left".into())
        );
    }

    /// Checks what every way of playing an output must show: codecs, size, 30 fps, a keyframe first and every second.
    pub(crate) fn check_programme(&self, at_least: usize) {
        let (video, audio) = (self.stream("video"), self.stream("audio"));
        assert_eq!((&video["codec_name"], &audio["codec_name"]), (&"h264".into(), &"aac".into()));
        assert_eq!((&video["width"], &video["height"]), (&320.into(), &180.into()));
        assert_eq!((&audio["sample_rate"], &audio["channels"]), (&"48000".into(), &2.into()));
        let packets = self.packets("video");
        assert!(packets.len() >= at_least, "{} pictures", packets.len());
        assert!(packets[0].1, "the first picture is no keyframe");
        let keys: Vec<f64> = packets.iter().filter(|(_, key)| *key).map(|(t, _)| *t).collect();
        for pair in keys.windows(2) {
            assert!((pair[1] - pair[0] - 1.0).abs() < 0.002, "keyframes at {keys:?}");
        }
        for pair in packets.windows(2) {
            let step = pair[1].0 - pair[0].0;
            assert!((step - 1.0 / 30.0).abs() < 0.002, "{pair:?}");
        }
        let sound = self.packets("audio");
        assert!(sound.len() >= at_least, "{} audio packets", sound.len());
        for pair in sound.windows(2) {
            let step = pair[1].0 - pair[0].0;
            assert!((step - 1024.0 / 48_000.0).abs() < 0.002, "{pair:?}");
        }
    }
}

/// A directory of its own that is removed in the end.
pub(crate) struct Dir(pub(crate) std::path::PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        let path = std::env::temp_dir().join(format!("onair-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
