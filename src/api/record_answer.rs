//! The question whether a show is recorded (`OnDemand` 1), as the cloud asks it, and the answer to it.
//!
//! Must not know who is asked. Invariant: an answer that cannot be carried out is none.

use std::collections::BTreeMap;

use serde::Deserialize;
use url::Url;

use super::addresses::PLAYBACK_APP;
use crate::catalog::{RecordAnswer, RecordKind};
use crate::limits::{MAX_RECORD_CYCLE_S, MIN_ANSWERED_CYCLE_S};
use crate::media::packet::VideoCodec;

/// What is asked, as a GET request of the callback's address.
///
/// # Errors
/// When that is no address.
pub fn question(
    callback: &str,
    stream: (&str, &str),
    (video_bps, codec): (u32, VideoCodec),
) -> Result<String, String> {
    let (domain, name) = stream;
    let mut url = Url::parse(callback).map_err(|error| error.to_string())?;
    url.query_pairs_mut()
        .append_pair("app", PLAYBACK_APP)
        .append_pair("domain", domain)
        .append_pair("stream", name)
        .append_pair("vbitrate", &(video_bps / 1000).to_string())
        .append_pair("codec", word(codec));
    Ok(url.into())
}

/// The cloud's words; it has no AV1.
fn word(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::Hevc => "h265",
        VideoCodec::Av1 => "av1",
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "NeedRecord")]
    need: bool,
    #[serde(rename = "Interval", default)]
    intervals: BTreeMap<String, u32>,
    #[serde(rename = "Format", default)]
    formats: Vec<String>,
}

fn kind(name: &str) -> Result<RecordKind, String> {
    let found = RecordKind::parse(&name.to_ascii_lowercase());
    found.ok_or_else(|| format!("format {name:?} is not flv, mp4 or m3u8"))
}

/// What the body of an answer says.
///
/// # Errors
/// What is wrong with it.
pub fn parse(body: &[u8]) -> Result<RecordAnswer, String> {
    let wire: Wire = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut answer = RecordAnswer { is_wanted: wire.need, ..RecordAnswer::default() };
    for name in &wire.formats {
        let kind = kind(name)?;
        if !answer.formats.contains(&kind) {
            answer.formats.push(kind);
        }
    }
    for (name, cycle_s) in wire.intervals {
        if !(MIN_ANSWERED_CYCLE_S..=MAX_RECORD_CYCLE_S).contains(&cycle_s) {
            return Err(format!("an interval of {cycle_s} s"));
        }
        answer.cycles_s.push((kind(&name)?, cycle_s));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use RecordKind::{Flv, M3u8, Mp4};

    #[test]
    fn what_is_asked_joins_what_the_address_has() {
        for (callback, codec, asked) in [
            (
                "http://h:8/cb",
                VideoCodec::H264,
                "http://h:8/cb?app=caster&domain=d.example&stream=pgm&vbitrate=900&codec=h264",
            ),
            (
                "https://h/?k=1",
                VideoCodec::Hevc,
                "https://h/?k=1&app=caster&domain=d.example&stream=pgm&vbitrate=900&codec=h265",
            ),
        ] {
            let told = question(callback, ("d.example", "pgm"), (900_999, codec));
            assert_eq!(told.as_deref(), Ok(asked));
        }
    }

    #[test]
    fn answers_are_those_of_the_cloud() {
        let wants = |formats: &[RecordKind], cycles_s: &[(RecordKind, u32)]| {
            let (formats, cycles_s) = (formats.to_vec(), cycles_s.to_vec());
            Some(RecordAnswer { is_wanted: true, formats, cycles_s })
        };
        for (body, told) in [
            (r#"{"NeedRecord":false}"#, Some(RecordAnswer::default())),
            (r#"{"ApiVersion":"1.0","NeedRecord":true}"#, wants(&[], &[])),
            (
                r#"{"NeedRecord":true,"Interval":{"Mp4":300,"M3U8":5},"Format":["mp4","FLV","mp4"]}"#,
                wants(&[Mp4, Flv], &[(M3u8, 5), (Mp4, 300)]),
            ),
            (r#"{"NeedRecord":true,"Format":["mkv"]}"#, None),
            (r#"{"NeedRecord":true,"Interval":{"Mp4":4}}"#, None),
            (r#"{"NeedRecord":true,"Interval":{"Mp4":21601}}"#, None),
            (r#"{"NeedRecord":"yes"}"#, None),
            ("{}", None),
            ("", None),
        ] {
            assert_eq!(parse(body.as_bytes()).ok(), told, "{body}");
        }
    }
}
