//! Requests that must be refused, by a seed.
//!
//! Invariant: none of them could be accepted, whatever the server holds but for the caster that is named.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use onair::api::grpc::pb as v1;
use onair::time::unix_ms;
use prost::Message as _;
use sha1::Sha1;

use crate::chance::Chance;
use crate::support::{KEY, SECRET};

pub(crate) const OPERATIONS: &[&str] = &[
    "CreateCaster",
    "CopyCaster",
    "DeleteCaster",
    "SetCasterConfig",
    "DescribeCasterConfig",
    "StartCaster",
    "StopCaster",
    "RestartCaster",
    "UpdateCasterResourceGroup",
    "DescribeCasterStreamUrl",
    "AddCasterVideoResource",
    "ModifyCasterVideoResource",
    "EffectCasterVideoResource",
    "DeleteCasterVideoResource",
    "DescribeCasterVideoResources",
    "AddCasterLayout",
    "ModifyCasterLayout",
    "DeleteCasterLayout",
    "DescribeCasterLayouts",
    "AddCasterComponent",
    "ModifyCasterComponent",
    "DeleteCasterComponent",
    "DescribeCasterComponents",
    "DescribeCasterScenes",
    "SetCasterSceneConfig",
    "UpdateCasterSceneConfig",
    "CopyCasterSceneConfig",
    "DeleteCasterSceneConfig",
    "StartCasterScene",
    "StopCasterScene",
    "DescribeCasterSceneAudio",
    "UpdateCasterSceneAudio",
    "SetCasterChannel",
    "DescribeCasterChannels",
    "EffectCasterUrgent",
    "AddCasterEpisode",
    "ModifyCasterEpisode",
    "DeleteCasterEpisode",
    "AddCasterProgram",
    "ModifyCasterProgram",
    "DeleteCasterProgram",
    "DescribeCasterProgram",
    "AddCasterEpisodeGroup",
    "AddCasterEpisodeGroupContent",
    "DeleteCasterEpisodeGroup",
    "SetCasterSyncGroup",
    "DescribeCasterSyncGroup",
    "DescribeCasterRtcInfo",
    "SetCasterTimedEvent",
];

/// Operations with a parameter of theirs that is no text: what stands there below can never be read.
const TYPED: &[(&str, &str)] = &[
    ("SetCasterConfig", "TranscodeConfig"),
    ("SetCasterConfig", "RecordConfig"),
    ("SetCasterConfig", "SyncGroupsConfig"),
    ("SetCasterConfig", "ChannelEnable"),
    ("SetCasterConfig", "Delay"),
    ("DescribeCasters", "PageNum"),
    ("DescribeCasters", "Status"),
    ("DescribeCasters", "StartTime"),
    ("DescribeCasters", "OrderByModifyAsc"),
    ("AddCasterVideoResource", "RepeatNum"),
    ("AddCasterVideoResource", "BeginOffset"),
    ("AddCasterLayout", "VideoLayer.1.PositionNormalized.1"),
    ("AddCasterLayout", "VideoLayer.1.WidthNormalized"),
    ("AddCasterLayout", "AudioLayer.1.VolumeRate"),
    ("AddCasterComponent", "ComponentLayer"),
    ("AddCasterComponent", "TextLayerContent"),
    ("UpdateCasterSceneAudio", "FollowEnable"),
    ("AddCasterEpisode", "StartTime"),
];

const UNREADABLE: &[&str] = &[
    "1e999x",
    "--1",
    "0x",
    "{",
    "[1,",
    "{\"a\":}",
    "{\"a\":1}}",
    "'",
    "\u{0}",
    "true false",
    "nul",
    "99999999999999999999999999999999999z",
    "NaN!",
    "2026-13-41T99:99:99Z",
    "\"\\ud800\"",
    "导播",
];

/// What the parameters of operations are called.
const NAMES: &[&str] = &[
    "ResourceId",
    "LayoutId",
    "ComponentId",
    "SceneId",
    "FromSceneId",
    "ToSceneId",
    "Type",
    "ResourceName",
    "LocationId",
    "BlendList.1",
    "BlendList.3",
    "MixList.1",
    "VideoLayer.1.FillMode",
    "AudioLayer.1.VolumeRate",
    "ComponentType",
    "ComponentLayer",
    "NewResourceGroupId",
    "CasterName",
    "EpisodeId",
    "ChannelId",
    "ProgramId",
    "EventName",
    "StartTime",
    "Tag.1.Key",
    "SideOutputUrlList",
    "ComponentId.1",
    "",
    ".",
    "a.b.c.d",
];

fn text(chance: &mut Chance) -> String {
    let mut long = |unit: &str, to: i64| unit.repeat(chance.within(1, to) as usize);
    let choices =
        [long("x", 300), long("[", 5000), long("{\"a\":", 2000), long("9", 400), long("导", 200)];
    match chance.within(0, 8) {
        0 => chance.pick(UNREADABLE).to_owned(),
        1 => chance.next().to_string(),
        2 => format!("-{}.{}", chance.next(), chance.next()),
        3 => String::from_utf8_lossy(&bytes(chance, 40)).into_owned(),
        n => choices[n as usize - 4 + usize::from(chance.once_in(5))].clone(),
    }
}

fn bytes(chance: &mut Chance, most: i64) -> Vec<u8> {
    (0..chance.within(0, most)).map(|_| chance.next() as u8).collect()
}

fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The parameters in the form that V1 signs, with the signature.
fn signed(method: &str, mut params: Vec<(String, String)>, chance: &mut Chance) -> String {
    let now = utc(unix_ms() / 1000);
    for (name, value) in [
        ("AccessKeyId", KEY),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &now),
        ("SignatureNonce", &format!("{:016x}{:016x}", chance.next(), chance.next())),
        ("Version", "2016-11-01"),
    ] {
        params.push((name.to_owned(), value.to_owned()));
    }
    params.sort();
    params.dedup_by(|a, b| a.0 == b.0);
    let pairs: Vec<_> =
        params.iter().map(|(n, v)| format!("{}={}", encode(n), encode(v))).collect();
    let pairs = pairs.join("&");
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{SECRET}&").as_bytes()).unwrap();
    mac.update(format!("{method}&%2F&{}", encode(&pairs)).as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("{pairs}&Signature={}", encode(&signature))
}

/// `2026-01-31T12:00:00Z`.
fn utc(unix_s: u64) -> String {
    let days = (unix_s / 86_400) as i64 + 719_468;
    let era_day = days.rem_euclid(146_097);
    let year_of_era = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
    let day_of_year = era_day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
    let s = unix_s % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", s / 3600, s / 60 % 60, s % 60)
}

/// An HTTP/1.1 request, and whether the transport itself may refuse it (then without a code, or by closing).
pub(crate) struct Sent {
    pub(crate) bytes: Vec<u8>,
    pub(crate) may_be_no_request: bool,
}

fn http(method: &str, query: &str, headers: &str, body: &[u8]) -> Sent {
    let length = body.len();
    let head = format!(
        "{method} /?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    Sent { bytes: [head.as_bytes(), body].concat(), may_be_no_request: false }
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A well-signed call that must be refused: of a caster that is not there, or of one that is with an unreadable value.
fn call(chance: &mut Chance, caster: &str) -> Vec<(String, String)> {
    let mut params = Vec::new();
    let mut put = |name: &str, value: String| params.push((name.to_owned(), value));
    if chance.once_in(2) {
        let (operation, name) = chance.pick(TYPED);
        put("Action", operation.to_owned());
        put(name, chance.pick(UNREADABLE).to_owned());
        put("CasterId", caster.to_owned());
        for (name, value) in [
            ("LocationId", "RV09"),
            ("ResourceName", "x"),
            ("VodUrl", "pattern:"),
            ("BlendList.1", "RV01"),
            ("MixList.1", "RV01"),
            ("VideoLayer.1.FillMode", "fit"),
            ("AudioLayer.1.ValidChannel", "all"),
            ("ComponentType", "text"),
            ("EpisodeType", "Resource"),
            ("EndTime", "2040-01-01T00:00:00Z"),
            ("SwitchType", "TimeFirst"),
            ("ResourceId", "x"),
            ("SceneId", "x"),
        ] {
            if name != params.last().map_or("", |(name, _)| name) && chance.within(0, 20) > 0 {
                params.push((name.to_owned(), value.to_owned()));
            }
        }
        // A component needs its layer before its text is looked at.
        if name != "ComponentLayer" {
            params.push(("ComponentLayer".into(), "{}".into()));
        }
        return params;
    }
    put("Action", chance.pick(OPERATIONS).to_owned());
    put("CasterId", format!("no-{}", text(chance)));
    for _ in 0..chance.within(0, 10) {
        put(chance.pick(NAMES), text(chance));
    }
    params.sort();
    params.dedup_by(|a, b| a.0 == b.0);
    params
}

pub(crate) fn request(chance: &mut Chance, caster: &str) -> Sent {
    let method = chance.pick(&["GET", "POST"]);
    let params = call(chance, caster);
    let good = signed(method, params, chance);
    let form = |body: &[u8]| http("POST", "", FORM, body);
    match chance.within(0, 100) {
        0..40 if method == "GET" && good.len() < 8000 => http("GET", &good, "", b""),
        0..40 => http("POST", "", FORM, signed("POST", call(chance, caster), chance).as_bytes()),
        // One byte is another one; what is left of the call is refused anyhow.
        40..55 => {
            let mut bytes = good.into_bytes();
            let at = chance.within(0, bytes.len() as i64) as usize;
            bytes[at] = chance.next() as u8;
            form(&bytes)
        }
        55..60 => form(format!("{good}&{good}").as_bytes()),
        60..70 => form(&bytes(chance, 3000)),
        70..75 => {
            let ends: [&[u8]; 6] =
                [b"&a=%", b"&a=%f", b"&a=%ff", b"&%00=%00", b"&a=b=c&a=d", b"&=&="];
            form(&[good.as_bytes(), chance.pick(&ends), b"&Format=yaml"].concat())
        }
        75..80 => {
            let method = chance.pick(&["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]);
            http(method, "", "", good.as_bytes())
        }
        80..85 => {
            let kind =
                chance.pick(&["application/json", "multipart/form-data", "text/plain", "/", ""]);
            let header = format!("Content-Type: {kind}\r\n");
            http("POST", "", &header, &[b"{\"a\":[".as_slice(), &bytes(chance, 200)].concat())
        }
        85..97 => v3(chance),
        97 => form(&b"a=1&".repeat(chance.within(4097, 20_000) as usize)),
        98 if chance.once_in(5) => {
            form(&vec![b'a'; (1 << 20) + chance.within(1, 1 << 16) as usize])
        }
        98 => form(&[b"SideOutputUrl=".as_slice(), "[".repeat(100_000).as_bytes()].concat()),
        _ => no_request(chance, &good),
    }
}

/// Headers of V3 that say nothing true.
fn v3(chance: &mut Chance) -> Sent {
    let values = [
        "ACS3-HMAC-SHA256 Credential=,SignedHeaders=,Signature=",
        "ACS3-HMAC-SHA256",
        "ACS3-RSA x=y",
        "ACS3-HMAC-SHA256 Credential=test-key,SignedHeaders=host;x-acs-action;x-acs-version;x-acs-date;\
         x-acs-signature-nonce;x-acs-content-sha256,Signature=00",
    ];
    let mut headers = format!("Authorization: {}\r\n", chance.pick(&values));
    for name in ["action", "version", "date", "signature-nonce", "content-sha256"] {
        for _ in 0..chance.pick(&[0, 1, 1, 1, 2]) {
            let value: String = bytes(chance, 60).iter().map(|b| char::from(b % 94 + 33)).collect();
            headers.push_str(&format!("x-acs-{name}: {value}\r\n"));
        }
    }
    http("POST", "a=b", &headers, b"")
}

/// What is no request, or ends before its end.
fn no_request(chance: &mut Chance, good: &str) -> Sent {
    let bytes = match chance.within(0, 6) {
        0 => format!("POST / HTTP/1.1\r\nContent-Length: 99999\r\n{FORM}\r\n{good}").into_bytes(),
        1 => b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        2 => format!("GET /?{} HTTP/1.1\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        3 => [b"GET / HTTP/1.1\r\nx: ", &bytes(chance, 200)[..], b"\r\n\r\n"].concat(),
        4 => b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
        _ => bytes(chance, 500),
    };
    Sent { bytes, may_be_no_request: true }
}

/// Bytes that are no message, or one that names a caster that is not there.
pub(crate) fn message(chance: &mut Chance) -> Vec<u8> {
    let request = v1::StopCasterRequest { caster_id: format!("no-{}", chance.next()) };
    let mut message = request.encode_to_vec();
    match chance.within(0, 20) {
        0..8 => bytes(chance, 200),
        8..12 => {
            let at = chance.within(0, message.len() as i64) as usize;
            message[at] = chance.next() as u8;
            message
        }
        12..19 => [message, bytes(chance, 100)].concat(),
        _ if chance.once_in(10) => vec![b'a'; 1 << 20 | 1],
        // A structure in a structure in a structure …
        _ => [message, b"\x12\x7f".repeat(chance.within(1, 200) as usize)].concat(),
    }
}
