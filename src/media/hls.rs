//! The texts of HLS (RFC 8216): playlists, and what a master playlist says of a stream.
//!
//! Must not know files or addresses. Invariant: what stands in a text is what the streams are, measured or read from their
//! parameter sets.

use super::packet::StreamHeader;
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

/// RFC 6381: profile, constraints and level of the SPS (bytes 1–3 of the avcC), object type of the audio.
fn codecs(header: &StreamHeader) -> String {
    let [profile, constraints, level] = match header.decoder.record[..] {
        [_, profile, constraints, level, ..] => [profile, constraints, level],
        _ => [0; 3],
    };
    let object_type = header.asc.first().map_or(2, |first| first >> 3);
    format!("avc1.{profile:02x}{constraints:02x}{level:02x},mp4a.40.{object_type}")
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
    use crate::media::packet::{BitRate, DecoderConfig, Origin, VideoCodec};
    use crate::time::FrameRate;

    #[test]
    fn a_variant_says_what_the_parameter_sets_say() {
        let header = StreamHeader {
            size: Size::new(854, 480),
            rate: FrameRate::FPS_30,
            decoder: DecoderConfig {
                codec: VideoCodec::H264,
                record: Bytes::from_static(b"\x01\x64\x00\x1f\xff"),
            },
            asc: Bytes::from_static(b"\x11\x90"),
            video_bps: BitRate::new(1_000_000),
            audio_bps: 96_000,
            gop_ticks: 60,
            picture_ticks: 1,
            origin: Origin::default(),
            shift_ns: 0,
        };
        let rest = "RESOLUTION=854x480,FRAME-RATE=30.000,CODECS=\"avc1.64001f,mp4a.40.2\"";
        for (peak_bps, bandwidth) in [(900_000, 1_096_000), (1_300_000, 1_300_000)] {
            let text = variant(&header, Measured { peak_bps, average_bps: 800_000 });
            assert_eq!(text, format!("BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH=800000,{rest}"));
        }
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
