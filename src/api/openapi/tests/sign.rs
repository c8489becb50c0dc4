//! Signatures: the official vectors and ours; what is changed in the least is refused.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use crate::api::keys::AccessKeys;
use crate::api::openapi::fault::Fault;
use crate::api::openapi::params::Params;
use crate::api::openapi::percent::decode_pairs;
use crate::api::openapi::sign::{Claim, Nonces, Received, Scheme};
use crate::api::openapi::utc;

/// A request as bytes on the wire.
#[derive(Clone)]
struct Wire {
    method: Method,
    query: String,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
    key: (&'static str, &'static str),
    now: &'static str,
}

fn prove_with(wire: &Wire, nonces: &Nonces, now_unix_s: u64) -> Result<(), Fault> {
    let mut headers = HeaderMap::new();
    for (name, value) in &wire.headers {
        let value = HeaderValue::from_str(value).expect("a header");
        headers.append(HeaderName::from_static(name), value);
    }
    let query = decode_pairs(wire.query.as_bytes())?;
    let form = decode_pairs(wire.body.as_bytes())?;
    let params = Params::merge(query.iter().cloned().chain(form))?;
    let received = Received {
        method: &wire.method,
        path: "/",
        headers: &headers,
        query: &query,
        params: &params,
        body: wire.body.as_bytes(),
    };
    let keys = AccessKeys::new(wire.key.0, wire.key.1).unwrap();
    Claim::read(Scheme::of(&headers), &received)?.prove(&keys, nonces, now_unix_s).map(|_| ())
}

fn prove(wire: &Wire) -> Result<(), Fault> {
    prove_with(wire, &Nonces::default(), utc::parse(wire.now).unwrap())
}

/// The vendor's example of V1.
fn official_v1() -> Wire {
    Wire {
        method: Method::GET,
        query: "Format=XML&SignatureMethod=HMAC-SHA1&Action=DescribeLiveSnapshotConfig\
                &AccessKeyId=testid&RegionId=cn-shanghai&ServiceCode=live&DomainName=test.com\
                &AppName=test&SignatureNonce=c2fe8fbb-2977-4414-8d39-348d02419c1c\
                &Version=2016-11-01&SignatureVersion=1.0&Timestamp=2017-06-14T09%3A51%3A14Z\
                &Signature=3I5a3myPjp8FXWT4rvxX5pKb%2Faw%3D"
            .into(),
        headers: Vec::new(),
        body: "",
        key: ("testid", "testsecret"),
        now: "2017-06-14T10:00:00Z",
    }
}

/// A call of this API by V1, half in the query and half in a form.
fn layout_v1() -> Wire {
    Wire {
        method: Method::POST,
        query: "AccessKeyId=testid&Action=AddCasterLayout&AudioLayer.1.ValidChannel=all\
                &AudioLayer.1.VolumeRate=1.0&BlendList.1=RV01\
                &CasterId=a2b8e671-2fe5-4642-a2ec-bf93880e0001&Format=JSON&MixList.1=RV01\
                &RegionId=cn-shanghai&SignatureMethod=HMAC-SHA1&SignatureType="
            .into(),
        headers: Vec::new(),
        body: "SignatureNonce=9e030f6b-03a2-40f0-a6ba-157d44532fd0&SignatureVersion=1.0\
               &Timestamp=2024-01-01T00%3A00%3A00Z&Version=2016-11-01&VideoLayer.1.FillMode=fit\
               &VideoLayer.1.HeightNormalized=1.0&VideoLayer.1.PositionNormalized.1=0\
               &VideoLayer.1.PositionNormalized.2=0&VideoLayer.1.PositionRefer=topLeft\
               &VideoLayer.1.WidthNormalized=1.0&Signature=1BI2uLwmwSnQIazQ15AdDySZpwk%3D",
        key: ("testid", "testsecret"),
        now: "2024-01-01T00:00:00Z",
    }
}

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// V3 with these particulars.
fn v3(query: &str, fixed: [&'static str; 4], key: [&'static str; 2], signature: &str) -> Wire {
    let [host, action, version, date] = fixed;
    let authorization = format!(
        "ACS3-HMAC-SHA256 Credential={},SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
         x-acs-date;x-acs-signature-nonce;x-acs-version,Signature={signature}",
        key[0]
    );
    Wire {
        method: Method::POST,
        query: query.into(),
        headers: vec![
            ("host", host.into()),
            ("x-acs-action", action.into()),
            ("x-acs-version", version.into()),
            ("x-acs-date", date.into()),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d".into()),
            ("x-acs-content-sha256", EMPTY_SHA256.into()),
            ("authorization", authorization),
        ],
        body: "",
        key: (key[0], key[1]),
        now: date,
    }
}

/// The vendor's example of V3.
fn official_v3() -> Wire {
    v3(
        "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
        ["ecs.cn-shanghai.aliyuncs.com", "RunInstances", "2014-05-26", "2023-10-26T10:22:32Z"],
        ["YourAccessKeyId", "YourAccessKeySecret"],
        "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
    )
}

/// A call of this API by V3, with a query in another spelling than the canonical one.
fn config_v3() -> Wire {
    v3(
        "CasterName=demo+studio*~&CasterId=a2b8e671-2fe5-4642-a2ec-bf93880e0001",
        ["127.0.0.1:8080", "SetCasterConfig", "2016-11-01", "2024-01-01T00:00:00Z"],
        ["testid", "testsecret"],
        "bcab6109bf3bcd61abad5ace68c18fa2cf09bc74662faecbc531bf5a7aad8ae1",
    )
}

fn vectors() -> [Wire; 4] {
    [official_v1(), layout_v1(), official_v3(), config_v3()]
}

#[test]
fn the_vectors_pass() {
    for wire in vectors() {
        assert_eq!(prove(&wire), Ok(()), "{}", wire.query);
    }
}

#[test]
fn key_time_and_nonce() {
    for wire in vectors() {
        let signed = utc::parse(wire.now).unwrap();
        let signed = if wire.now.ends_with("10:00:00Z") { signed - 526 } else { signed };
        let at = |now_unix_s| prove_with(&wire, &Nonces::default(), now_unix_s);
        let code = |result: Result<(), Fault>| result.map_err(|fault| fault.code.into_owned());
        assert_eq!(code(at(signed + 900)), Ok(()));
        assert_eq!(code(at(signed - 900)), Ok(()));
        for now in [signed + 901, signed - 901, 0] {
            assert_eq!(code(at(now)).unwrap_err(), "InvalidTimeStamp.Expired");
        }
        let nonces = Nonces::default();
        assert_eq!(code(prove_with(&wire, &nonces, signed)), Ok(()));
        assert_eq!(code(prove_with(&wire, &nonces, signed + 9)).unwrap_err(), "SignatureNonceUsed");
        // Until the very last second that it could be accepted in.
        assert_eq!(
            code(prove_with(&wire, &nonces, signed + 900)).unwrap_err(),
            "SignatureNonceUsed"
        );
        let foreign = Wire { key: ("other", wire.key.1), ..wire.clone() };
        assert_eq!(code(prove(&foreign)).unwrap_err(), "InvalidAccessKeyId.NotFound");
        let wrong = Wire { key: (wire.key.0, "wrong"), ..wire.clone() };
        let fault = prove_with(&wrong, &nonces, signed + 1).unwrap_err();
        assert_eq!(fault.code, "SignatureDoesNotMatch");
        assert!(fault.message.split_once("server string to sign is:").is_some());
    }
}

#[test]
fn what_is_missing_or_foreign_is_named() {
    let without = |name: &str| {
        let wire = official_v1();
        let kept: Vec<_> = wire.query.split('&').filter(|p| !p.starts_with(name)).collect();
        Wire { query: kept.join("&"), ..wire.clone() }
    };
    let with = |from: &str, to: &str| {
        let wire = official_v1();
        Wire { query: wire.query.replace(from, to), ..wire }
    };
    let header = |name: &str, value: Option<&str>| {
        let mut wire = config_v3();
        wire.headers.retain(|(n, _)| *n != name);
        let name = config_v3().headers.into_iter().find(|(n, _)| *n == name).unwrap().0;
        wire.headers.extend(value.map(|value| (name, value.to_owned())));
        wire
    };
    let authorization = |from: &str, to: &str| {
        let (_, text) = config_v3().headers.pop().unwrap();
        header("authorization", Some(&text.replace(from, to)))
    };
    let mut twice = config_v3();
    twice.headers.push(("x-acs-action", "DeleteCaster".into()));
    for (wire, code) in [
        (without("AccessKeyId"), "MissingAccessKeyId"),
        (without("Action"), "MissingAction"),
        (without("Version"), "MissingVersion"),
        (without("Timestamp"), "MissingTimestamp"),
        (without("SignatureNonce"), "MissingSignatureNonce"),
        (without("SignatureMethod"), "MissingSignatureMethod"),
        (without("SignatureVersion"), "MissingSignatureVersion"),
        (without("Signature="), "MissingSignature"),
        (with("HMAC-SHA1", "HMAC-SHA256"), "InvalidSignatureMethod"),
        (with("SignatureVersion=1.0", "SignatureVersion=2.0"), "IncompleteSignature"),
        (with("ServiceCode=live", "SignatureType=BEARERTOKEN"), "InvalidSignatureMethod"),
        (with("2017-06-14T", "2017-06-14t"), "InvalidTimeStamp.Format"),
        (with("ServiceCode", "AppName"), "InvalidParameter.Malformed"),
        (header("x-acs-action", None), "MissingAction"),
        (header("x-acs-version", None), "MissingVersion"),
        (header("x-acs-date", None), "MissingTimestamp"),
        (header("x-acs-date", Some("now")), "InvalidTimeStamp.Format"),
        (header("x-acs-signature-nonce", None), "MissingSignatureNonce"),
        (header("x-acs-content-sha256", None), "MissingContentSha256"),
        (authorization("ACS3-HMAC-SHA256", "ACS3-RSA-SHA256"), "InvalidSignatureMethod"),
        (authorization("host;", ""), "IncompleteSignature"),
        (authorization("x-acs-date;", ""), "IncompleteSignature"),
        (authorization(",Signature", ",Signatur"), "IncompleteSignature"),
        (authorization("Credential=testid", "Credential="), "IncompleteSignature"),
        (twice, "IncompleteSignature"),
        (Wire { body: "a=b", ..config_v3() }, "SignatureDoesNotMatch"),
        (Wire { method: Method::GET, ..config_v3() }, "SignatureDoesNotMatch"),
        (Wire { method: Method::POST, ..official_v1() }, "SignatureDoesNotMatch"),
    ] {
        assert_eq!(prove(&wire).unwrap_err().code, code, "{}", wire.query);
    }
}

/// Another spelling of the same parameters is the same request.
fn is_same(a: &Wire, b: &Wire) -> bool {
    let params = |wire: &Wire| {
        let mut pairs = decode_pairs(wire.query.as_bytes()).unwrap_or_default();
        pairs.sort();
        pairs
    };
    params(a) == params(b) && a.headers == b.headers
}

proptest! {
    #[test]
    fn one_flipped_bit_is_refused(which in 0usize..4, place in any::<prop::sample::Index>(), bit in 0u8..7) {
        let wire = vectors()[which].clone();
        let mut flipped = wire.clone();
        let headers: usize = wire.headers.iter().map(|(_, value)| value.len()).sum();
        let mut at = place.index(wire.query.len() + headers);
        let flip = |text: &mut String, at: usize| {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            *text = String::from_utf8(bytes).unwrap();
        };
        if at < wire.query.len() {
            flip(&mut flipped.query, at);
        } else {
            at -= wire.query.len();
            for (_, value) in &mut flipped.headers {
                if at < value.len() {
                    flip(value, at);
                    break;
                }
                at -= value.len();
            }
        }
        prop_assume!(flipped.headers.iter().all(|(_, value)| HeaderValue::from_str(value).is_ok()));
        // Blanks around a header's value are not part of it.
        prop_assume!(flipped.headers.iter().zip(&wire.headers).all(|(f, w)| f.1.trim().len() == w.1.len()));
        if !is_same(&wire, &flipped) {
            prop_assert!(prove(&flipped).is_err(), "{}", flipped.query);
        }
    }
}
