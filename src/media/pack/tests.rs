//! Every codec in every container, read back by FFmpeg picture for picture: Debian's, and a newer one for what that does not know.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ffmpeg_next as ffmpeg;
use ffmpeg_next::{codec, format, media};

use super::{Container, Packer};
use crate::frame::Size;
use crate::media::encode::testing::{Dir, await_true, newer_ffmpeg, probe, tool, tool_output};
use crate::media::fast_start;
use crate::media::mux::{Muxer, PushProtocol, PushTo, Target};
use crate::media::packet::{
    BitRate, DecoderConfig, Origin, Packet, StreamHeader, Track, VideoCodec,
};
use crate::media::salvage::whole;
use crate::time::{FrameRate, NS_PER_S};
use crate::worker::StopToken;

const PICTURES: usize = 90;

/// Three seconds of a codec, as another encoder makes them.
struct Clip {
    header: StreamHeader,
    /// In order of decoding time.
    packets: Vec<Packet>,
    /// A hash of each picture.
    pictures: Vec<String>,
}

#[expect(unsafe_code, reason = "FFmpeg's extradata has no safe reader")]
fn extradata(parameters: &codec::Parameters) -> Bytes {
    // SAFETY: the parameters are alive, and their extradata with them.
    unsafe {
        let raw = &*parameters.as_ptr();
        let bytes = std::slice::from_raw_parts(raw.extradata, raw.extradata_size as usize);
        Bytes::copy_from_slice(bytes)
    }
}

impl Clip {
    fn make(dir: &Dir, codec: VideoCodec) -> Clip {
        let path = dir.0.join(format!("{codec:?}.mp4"));
        let file = path.to_str().unwrap();
        let encoder = match codec {
            VideoCodec::H264 => "libx264 -preset ultrafast -bf 2",
            VideoCodec::Hevc => {
                "libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=none:bframes=2"
            }
            VideoCodec::Av1 => "libsvtav1 -preset 12",
        };
        let line = format!(
            "-f lavfi -i testsrc2=size=320x180:rate=30:d=3 -f lavfi -i sine=sample_rate=48000:d=3 -ac 2 \
             -pix_fmt yuv420p -g 30 -c:v {encoder} -c:a aac {file}"
        );
        tool_output("ffmpeg", &line.split_whitespace().collect::<Vec<_>>());
        let mut input = format::input(&path).unwrap();
        let parameters = |kind| input.streams().best(kind).unwrap().parameters();
        let [record, asc] =
            [media::Type::Video, media::Type::Audio].map(|kind| extradata(&parameters(kind)));
        let header = StreamHeader {
            size: Size::new(320, 180),
            rate: FrameRate::FPS_30,
            decoder: DecoderConfig { codec, record },
            asc,
            video_bps: BitRate::new(400_000),
            audio_bps: 96_000,
            gop_ticks: 30,
            picture_ticks: 1,
            origin: Origin::default(),
            shift_ns: 0,
        };
        let mut packets: Vec<Packet> =
            input.packets().map(|(stream, packet)| packet_of(&stream, &packet)).collect();
        // Nothing decodes before 0.
        let first_ns = packets.iter().map(|packet| packet.dts_ns).min().unwrap();
        for packet in &mut packets {
            (packet.dts_ns, packet.pts_ns) = (packet.dts_ns - first_ns, packet.pts_ns - first_ns);
        }
        let pictures = pictures("ffmpeg", &path);
        assert_eq!(pictures.len(), PICTURES);
        Clip { header, packets, pictures }
    }
}

fn packet_of(stream: &format::stream::Stream<'_>, packet: &ffmpeg::Packet) -> Packet {
    let base = stream.time_base();
    let ns = |time: i64| {
        let ns = i128::from(time) * i128::from(base.numerator()) * i128::from(NS_PER_S);
        (ns / i128::from(base.denominator())) as i64
    };
    Packet {
        track: match stream.parameters().medium() {
            media::Type::Video => Track::Video,
            _ => Track::Audio,
        },
        pts_ns: ns(packet.pts().unwrap()),
        dts_ns: ns(packet.dts().unwrap()),
        duration_ns: ns(packet.duration()),
        key: packet.is_key(),
        data: Bytes::copy_from_slice(packet.data().unwrap()),
    }
}

/// A hash of each picture of a file.
fn pictures(player: &str, path: &Path) -> Vec<String> {
    let file = path.to_str().unwrap();
    let line =
        ["-xerror", "-i", file, "-map", "0:v", "-vsync", "passthrough", "-f", "framemd5", "-"];
    let text = String::from_utf8(tool_output(player, &line)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

fn tag(path: &Path) -> String {
    let probed = probe(path.to_str().unwrap(), 10);
    probed.stream("video")["codec_tag_string"].as_str().unwrap().to_owned()
}

/// Packs a clip, plays it, cuts it short and plays what is whole of it.
fn check_packed(dir: &Dir, clip: &Clip, container: Container) {
    let codec = clip.header.decoder.codec;
    let path = dir.0.join(format!("{codec:?}-{container:?}"));
    let mut packer = Packer::open(container, &clip.header).unwrap();
    let mut bytes = packer.take();
    for packet in &clip.packets {
        packer.write(packet).unwrap();
        bytes.append(&mut packer.take());
    }
    packer.cut().unwrap();
    bytes.append(&mut packer.take());
    fs::write(&path, &bytes).unwrap();
    let player = match (container, codec) {
        (Container::Flv, VideoCodec::Hevc | VideoCodec::Av1) => newer_ffmpeg(),
        _ => "ffmpeg".into(),
    };
    assert_eq!(pictures(&player, &path), clip.pictures, "{codec:?} {container:?}");
    if matches!(container, Container::FragmentedMp4 | Container::Segments) {
        assert_eq!(tag(&path).as_bytes(), codec.four_cc());
    }
    if container == Container::FragmentedMp4 {
        let done = dir.0.join("done.mp4");
        fast_start::rewrite(&path, &done, &StopToken::new()).unwrap();
        assert_eq!(pictures("ffmpeg", &done), clip.pictures, "{codec:?} with its index in front");
        assert_eq!(tag(&done).as_bytes(), codec.four_cc());
    }
    if container == Container::Segments {
        return; // Nobody mends those.
    }
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.set_len(bytes.len() as u64 - 10).unwrap();
    let left = whole(container, &file).unwrap();
    file.set_len(left.bytes).unwrap();
    let kept = pictures(&player, &path);
    // All but a fragment at the end, whose pictures are not the last to be shown where they are reordered.
    let mut all = clip.pictures.iter();
    let are_in_order = kept.iter().all(|kept| all.any(|picture| picture == kept));
    let what = format!("{codec:?} {container:?}: {} pictures", kept.len());
    assert!(are_in_order && (PICTURES - 30..=PICTURES).contains(&kept.len()), "{what}");
}

#[test]
fn every_codec_plays_from_every_container() {
    use Container::{Flv, FragmentedMp4, Segments, Ts};
    let dir = Dir::new();
    for codec in VideoCodec::ALL {
        let clip = Clip::make(&dir, codec);
        for container in [Flv, FragmentedMp4, Segments, Ts] {
            if (codec, container) == (VideoCodec::Av1, Ts) {
                let refused = Packer::open(Ts, &clip.header).unwrap_err().to_string();
                assert!(refused.ends_with("MPEG-TS does not carry AV1"), "{refused}");
                continue;
            }
            check_packed(&dir, &clip, container);
        }
    }
}

/// Writes a clip to a destination; false when that cannot be opened.
fn send(clip: &Clip, target: Target<'_>) -> bool {
    let Ok(mut muxer) = Muxer::open(target, &clip.header, StopToken::new()) else { return false };
    clip.packets.iter().for_each(|packet| muxer.write(packet).unwrap());
    muxer.finish().unwrap();
    true
}

/// Pushes a clip by RTMP to an FFmpeg that listens and gives what arrived.
fn push(dir: &Dir, clip: &Clip) -> PathBuf {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("rtmp://{}/live/clip", socket.local_addr().unwrap());
    drop(socket);
    let got = dir.0.join("pushed.nut");
    let line = format!("-y -listen 1 -f flv -i {url} -map 0:v -c copy {}", got.display());
    let line: Vec<_> = line.split_whitespace().collect();
    let mut listener = tool(&newer_ffmpeg(), &line).spawn().unwrap();
    let (protocol, options) = (PushProtocol::Rtmp, Vec::new());
    let to = PushTo { url, protocol, options, keeps: None, round_trip: None };
    await_true("somebody listens", || send(clip, Target::Push(&to)));
    assert!(listener.wait().unwrap().success());
    got
}

#[test]
fn every_codec_arrives_where_it_is_sent() {
    let dir = Dir::new();
    for codec in VideoCodec::ALL {
        let clip = Clip::make(&dir, codec);
        let file = dir.0.join("file.mp4");
        assert!(send(&clip, Target::Mp4(&file)));
        assert_eq!(pictures("ffmpeg", &file), clip.pictures, "{codec:?} as a file");
        assert_eq!(tag(&file).as_bytes(), codec.four_cc());
        let pushed = push(&dir, &clip);
        assert_eq!(pictures(&newer_ffmpeg(), &pushed), clip.pictures, "{codec:?} by RTMP");
    }
}
