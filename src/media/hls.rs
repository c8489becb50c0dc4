//! The texts of HLS (RFC 8216): playlists, and what a master playlist says of a stream.
//!
//! Must not know files or addresses. Invariant: what stands in a text is what the streams are, measured or read from their
//! parameter sets.

use super::packet::{DecoderConfig, StreamHeader, VideoCodec};
use crate::record_name::civil;
use crate::time::NS_PER_S;

/// Name of the playlist in the directory of a stream.
pub const PLAYLIST: &str = "index.m3u8";
/// Name of the file beside it that has what a master playlist says of the stream, see [`variant`].
pub const VARIANT: &str = "variant.inf";
/// Name of the file in the programme's directory that names its renditions, a line each. Where it is, the stream's address
/// answers with a master playlist.
pub const RUNGS: &str = "rungs.txt";
/// What a decoder needs before any segment of fMP4.
pub const INIT: &str = "init.mp4";

/// A segment as a playlist names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Address relative to the playlist.
    pub uri: String,
    /// How long it plays, ns.
    pub duration_ns: u64,
    /// When its first picture was made, ms since 1970.
    pub start_unix_ms: u64,
}

/// Whether segments will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They will.
    Open,
    /// The stream is over.
    Ended,
}

/// What holds for a whole media playlist.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Number of the first segment in it.
    pub sequence: u64,
    /// Which life of the stream it is: another one has other times.
    pub life: u64,
    /// How long a segment is meant to be, ns.
    pub segment_ns: u64,
    /// Address of what comes before any segment.
    pub init: Option<&'static str>,
    /// Whether it is whole.
    pub ending: Ending,
}

/// Seconds to the nearest, as they count for the target duration.
fn rounded_s(ns: u64) -> u64 {
    (ns + NS_PER_S / 2) / NS_PER_S
}

/// The playlist of these segments, oldest first.
pub fn media_playlist(facts: &Facts, segments: &[Listed]) -> String {
    let longest_ns = segments.iter().map(|segment| segment.duration_ns).max().unwrap_or(0);
    // Constant but for one segment after a delay was made shorter, which may be longer.
    let target_s = rounded_s(longest_ns.max(facts.segment_ns)).max(1);
    let version = if facts.init.is_some() { 7 } else { 6 };
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target_s}\n\
         #EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n#EXT-X-INDEPENDENT-SEGMENTS\n",
        facts.sequence, facts.life
    );
    if let Some(init) = facts.init {
        text += &format!("#EXT-X-MAP:URI=\"{init}\"\n");
    }
    for segment in segments {
        let (s, us) = (segment.duration_ns / NS_PER_S, segment.duration_ns % NS_PER_S / 1000);
        let date = date_time(segment.start_unix_ms);
        text +=
            &format!("#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:{s}.{us:06},\n{}\n", segment.uri);
    }
    if facts.ending == Ending::Ended {
        text += "#EXT-X-ENDLIST\n";
    }
    text
}

/// ISO 8601, UTC, with milliseconds.
fn date_time(unix_ms: u64) -> String {
    let (unix_s, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (year, month, day) = civil(unix_s / 86_400);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// What was measured of a stream, containers included, bit/s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Of the segment that has most.
    pub peak_bps: u64,
    /// Of all segments together.
    pub average_bps: u64,
}

/// What a master playlist says of a stream: the attributes of `EXT-X-STREAM-INF`.
///
/// The bandwidth is the measured peak, but no less than what the encoder may come to send at any moment.
pub fn variant(header: &StreamHeader, measured: Measured) -> String {
    let granted_bps = u64::from(header.video_bps.bps()) + u64::from(header.audio_bps);
    let bandwidth_bps = measured.peak_bps.max(granted_bps).max(1);
    let average_bps = measured.average_bps.max(1);
    let rate = header.pictures_per_s();
    format!(
        "BANDWIDTH={bandwidth_bps},AVERAGE-BANDWIDTH={average_bps},RESOLUTION={}x{},FRAME-RATE={rate:.3},CODECS=\"{}\"",
        header.size.width_px,
        header.size.height_px,
        codecs(header)
    )
}

/// RFC 6381: what the decoder's record says of the video, object type of the audio.
fn codecs(header: &StreamHeader) -> String {
    let DecoderConfig { codec, record } = &header.decoder;
    let four_cc = String::from_utf8_lossy(codec.four_cc());
    let details = match codec {
        VideoCodec::H264 => avc_details(record),
        VideoCodec::Hevc => hevc_details(record),
        VideoCodec::Av1 => av1_details(record),
    };
    let object_type = header.asc.first().map_or(2, |first| first >> 3);
    format!("{four_cc}.{},mp4a.40.{object_type}", details.unwrap_or_default())
}

/// Profile, constraints and level of the SPS: bytes 1–3 of the avcC.
fn avc_details(record: &[u8]) -> Option<String> {
    let [_, profile, constraints, level] = *record.first_chunk()?;
    Some(format!("{profile:02x}{constraints:02x}{level:02x}"))
}

/// ISO/IEC 14496-15, annex E.3: profile space and number, compatible profiles from the last to the first, tier and level,
/// constraints without the zeros at the end. Bytes 1–12 of the hvcC.
fn hevc_details(record: &[u8]) -> Option<String> {
    let [_, profile, a, b, c, d, constraints @ .., level] = *record.first_chunk::<13>()?;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 != 0 { 'H' } else { 'L' };
    let compatible = u32::from_be_bytes([a, b, c, d]).reverse_bits();
    let mut text = format!("{space}{}.{compatible:X}.{tier}{level}", profile & 0x1f);
    let said = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..said] {
        text += &format!(".{byte:X}");
    }
    Some(text)
}

/// AV1 in ISO BMFF, section 5: profile, level and tier, bits of a sample. Bytes 1–2 of the av1C. What else could stand here is
/// what ours are: 4:2:0 in BT.709, limited range.
fn av1_details(record: &[u8]) -> Option<String> {
    let [_, profile_and_level, flags] = *record.first_chunk()?;
    let (profile, level) = (profile_and_level >> 5, profile_and_level & 0x1f);
    let tier = if flags & 0x80 != 0 { 'H' } else { 'M' };
    let depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Some(format!("{profile}.{level:02}{tier}.{depth:02}"))
}

/// The master playlist of these variants, the first choice first: attributes and address.
pub fn master_playlist(variants: &[(String, String)]) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for (attributes, uri) in variants {
        text += &format!("#EXT-X-STREAM-INF:{attributes}\n{uri}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::frame::Size;
    use crate::media::packet::{BitRate, Origin};
    use crate::time::FrameRate;

    fn header(codec: VideoCodec, record: &'static [u8]) -> StreamHeader {
        StreamHeader {
            size: Size::new(854, 480),
            rate: FrameRate::FPS_30,
            decoder: DecoderConfig { codec, record: Bytes::from_static(record) },
            asc: Bytes::from_static(b"\x11\x90"),
            video_bps: BitRate::new(1_000_000),
            audio_bps: 96_000,
            gop_ticks: 60,
            picture_ticks: 1,
            origin: Origin::default(),
            shift_ns: 0,
        }
    }

    #[test]
    fn a_variant_says_what_the_parameter_sets_say() {
        let header = header(VideoCodec::H264, b"\x01\x64\x00\x1f\xff");
        let rest = "RESOLUTION=854x480,FRAME-RATE=30.000,CODECS=\"avc1.64001f,mp4a.40.2\"";
        for (peak_bps, bandwidth) in [(900_000, 1_096_000), (1_300_000, 1_300_000)] {
            let text = variant(&header, Measured { peak_bps, average_bps: 800_000 });
            assert_eq!(text, format!("BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH=800000,{rest}"));
        }
    }

    #[test]
    fn codecs_are_named_as_their_records_have_them() {
        use VideoCodec::{Av1, H264, Hevc};
        let check = |codec, record, want: &str| {
            assert_eq!(codecs(&header(codec, record)), format!("{want},mp4a.40.2"));
        };
        check(H264, b"\x01\x42\xc0\x1e\xff", "avc1.42c01e");
        // As x265 and SVT-AV1 make them, through FFmpeg's MP4.
        check(Hevc, b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x3c\xf0\0", "hvc1.1.6.L60.90");
        check(Av1, b"\x81\0\x0c\0\x0a\x0b", "av01.0.00M.08");
        // The standards' own examples.
        check(Hevc, b"\x01\x41\x60\0\0\0\xb0\0\0\0\0\0\x5d", "hvc1.A1.6.L93.B0");
        check(Hevc, b"\x01\x22\x20\0\0\0\xb0\x23\0\0\0\0\x96", "hvc1.2.4.H150.B0.23");
        check(Hevc, b"\x01\x01\x60\0\0\0\0\0\0\0\0\0\x5d", "hvc1.1.6.L93");
        check(Av1, b"\x81\x04\x4c", "av01.0.04M.10");
        check(Av1, b"\x81\x4d\xec", "av01.2.13H.12");
    }

    #[test]
    fn a_playlist_has_what_players_need() {
        let listed = |n: u64| Listed {
            uri: format!("{n}.m4s"),
            duration_ns: 1_968_633_333,
            start_unix_ms: 1_764_147_600_123 + n * 1968,
        };
        let facts = Facts {
            sequence: 7,
            life: 1_764_147_600,
            segment_ns: 1_968_633_333,
            init: Some(INIT),
            ending: Ending::Ended,
        };
        assert_eq!(
            media_playlist(&facts, &[listed(0)]),
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n\
             #EXT-X-DISCONTINUITY-SEQUENCE:1764147600\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-PROGRAM-DATE-TIME:2025-11-26T09:00:00.123Z\n\
             #EXTINF:1.968633,\n0.m4s\n#EXT-X-ENDLIST\n"
        );
    }
}
