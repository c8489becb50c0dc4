//! The edge with a catalog behind it: whatever is asked, the answer has a code, and a refusal changes nothing.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Request as HttpRequest};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use uuid::Uuid;

use crate::api::addresses::{Addresses, PlaybackAuth};
use crate::api::auth_key::StreamKey;
use crate::api::control::{self, Message};
use crate::api::events::WatchKey;
use crate::api::keys::AccessKeys;
use crate::api::openapi::operations::OPERATIONS;
use crate::api::openapi::percent::encode_pairs;
use crate::api::openapi::rate::Rate;
use crate::api::openapi::sign::{Nonces, Scheme};
use crate::api::openapi::{Edge, answer, utc};
use crate::catalog::{Catalog, Context};
use crate::config::RTMP_PORT;
use crate::{limits, time};

pub(super) const KEY: [&str; 2] = ["key", "secret"];

/// An edge, and what is behind it.
pub(super) struct World {
    edge: Arc<Edge>,
    pub(super) catalog: Arc<Mutex<Catalog>>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    pub(super) fn new() -> World {
        World::with_rate(Rate::new(0))
    }

    pub(super) fn with_rate(rate: Rate) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (control, mut messages) = control::channel(1);
        let catalog = Arc::new(Mutex::new(Catalog::default()));
        let behind = catalog.clone();
        runtime.spawn(async move {
            while let Some(message) = messages.recv().await {
                let Message::Call(request) = message else { continue };
                let mut catalog = behind.lock().unwrap();
                let ctx = Context {
                    expected_revision: request.expected_revision,
                    ..Context::new(time::unix_ms(), &Uuid::new_v4)
                };
                let answer = catalog.prepare(request.call, &ctx).map(|prepared| {
                    prepared.change.into_iter().for_each(|change| catalog.commit(change));
                    prepared.answer
                });
                let _ = request.reply.send(answer);
            }
        });
        let addresses = Addresses {
            rtmp_port: RTMP_PORT,
            http_port: 80,
            https: false,
            playback: PlaybackAuth::Signed,
            key: StreamKey::new("k"),
            watch: WatchKey::new("w"),
        };
        let edge = Arc::new(Edge {
            control,
            keys: Arc::new(AccessKeys::new(KEY[0], KEY[1]).unwrap()),
            addresses: Arc::new(addresses),
            nonces: Nonces::default(),
            rate,
        });
        World { edge, catalog, runtime }
    }

    /// Status and body of the answer.
    pub(super) fn send(&self, request: Request) -> (u16, Value) {
        self.runtime.block_on(async {
            let response = answer(State(self.edge.clone()), request).await;
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    /// The answer to a well-signed call.
    pub(super) fn call(&self, action: &str, params: &[(&str, &str)]) -> (u16, Value) {
        self.send(signed(action, params))
    }
}

/// A call by V1, its parameters in a form.
pub(super) fn signed(action: &str, params: &[(&str, &str)]) -> Request {
    let nonce = Uuid::new_v4().to_string();
    let timestamp = utc::instant(time::unix_ms() / 1000);
    let mut all = vec![
        ("AccessKeyId", KEY[0]),
        ("Action", action),
        ("Format", "JSON"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", &nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &timestamp),
        ("Version", "2016-11-01"),
    ];
    all.retain(|(name, _)| params.iter().all(|(given, _)| given != name));
    all.extend(params);
    all.sort_unstable();
    all.dedup_by_key(|pair| pair.0);
    let pairs = encode_pairs(all.iter().copied());
    let to_sign = format!("POST&%2F&{}", crate::api::openapi::percent::encode(&pairs));
    let signature = Scheme::V1.signature(KEY[1], &to_sign);
    let body = format!("{pairs}&{}", encode_pairs([("Signature", &signature[..])].into_iter()));
    post(body)
}

pub(super) fn post(body: impl Into<Body>) -> Request {
    HttpRequest::post("/")
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(body.into())
        .unwrap()
}

#[test]
fn each_operation_names_what_is_missing() {
    let world = World::new();
    for operation in OPERATIONS {
        for (index, missing) in operation.required.iter().enumerate() {
            let given: Vec<_> =
                operation.required[..index].iter().map(|name| (*name, "x")).collect();
            let (status, body) = world.call(operation.name, &given);
            let expected = format!("Missing{missing}");
            assert_eq!((status, &body["Code"]), (400, &expected.into()), "{}", operation.name);
            assert_eq!(body["RequestId"].as_str().map(str::len), Some(36));
        }
        let same = OPERATIONS.iter().filter(|other| other.name == operation.name);
        assert_eq!(same.count(), 1, "{}", operation.name);
    }
    assert_eq!(world.call("MakeCoffee", &[]).1["Code"], "InvalidApi.NotFound");
}

#[test]
fn what_is_no_request_of_the_api() {
    let world = World::new();
    let put = HttpRequest::put("/").header("accept", "application/json").body(Body::empty());
    let json = HttpRequest::post("/")
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .body(Body::from("{}"));
    for (request, status, code) in [
        (put.unwrap(), 400, "UnsupportedHTTPMethod"),
        (json.unwrap(), 400, "InvalidParameter.Malformed"),
        (post(vec![b'a'; limits::API_BODY_BYTES + 1]), 413, "RequestTooLarge"),
        (post("a&".repeat(limits::API_PARAMS + 1)), 400, "InvalidParameter.Malformed"),
        (post("a=%ff"), 400, "InvalidParameter.Malformed"),
        (post("a=1&a=1"), 400, "InvalidParameter.Malformed"),
        (post(""), 400, "MissingAction"),
        (post("Action=x&Version=y"), 400, "MissingAccessKeyId"),
    ] {
        let (answered, body) = world.send(request);
        assert_eq!((answered, &body["Code"]), (status, &code.into()));
    }
    let mut old = signed("DescribeCasters", &[]);
    *old.method_mut() = Method::GET;
    assert_eq!(world.send(old).1["Code"], "SignatureDoesNotMatch");
    let (_, body) = world.call("DescribeCasters", &[("Version", "2014-01-01")]);
    assert_eq!(body["Code"], "InvalidVersion");
}

/// Names that mean something somewhere.
const NAMES: &[&str] = &[
    "CasterId",
    "CasterName",
    "ClientToken",
    "NormType",
    "ChargeType",
    "DomainName",
    "Status",
    "TranscodeConfig",
    "SideOutputUrlList",
    "ResourceId",
    "ResourceName",
    "LocationId",
    "SceneId",
    "VodUrl",
    "RepeatNum",
    "LayoutId",
    "ComponentId",
    "ComponentType",
    "ComponentLayer",
    "PageNum",
    "TextLayerContent",
    "ImageLayerContent",
    "FromSceneId",
    "ToSceneId",
    "FollowEnable",
    "StartTime",
    "BlendList",
    "MixList",
    "VideoLayer",
    "AudioLayer",
    "PageSize",
    "ImageUrl",
    "LiveStreamUrl",
    "Delay",
    "RecordConfig",
    "UrgentImageUrl",
    "AutoSwitchUrgentOn",
    "AutoSwitchUrgentConfig",
    "CallbackUrl",
    "ChannelEnable",
    "ProgramEffect",
    "SyncGroupsConfig",
    "SyncGroup",
    "ChannelId",
    "SeekOffset",
    "PlayStatus",
    "FaceBeauty",
    "EpisodeType",
    "EpisodeId",
    "Episode",
    "EndTime",
    "SwitchType",
    "Item",
    "Content",
    "ProgramId",
    "EventName",
    "StartTimeUTC",
    "FixedDelayDuration",
    "SideOutputUrl",
    "RepeatNum",
];

/// A name, in and out of place.
fn name() -> impl Strategy<Value = String> {
    const TAILS: &[&str] = &[
        "",
        "",
        "",
        ".1",
        ".2",
        ".1.FillMode",
        ".1.PositionNormalized.2",
        ".1.VolumeRate",
        ".1.Filter",
        ".1.EpisodeType",
        ".1.StartTime",
        ".1.EndTime",
        ".1.ComponentId.1",
        ".1.VodUrl",
        ".1.Mode",
        ".1.ResourceIds.1",
        ".",
        "..1",
    ];
    (prop::sample::select(NAMES).prop_map(str::to_owned), prop::sample::select(TAILS))
        .prop_map(|(name, tail)| name + tail)
}

fn value() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "",
        "0",
        "1",
        "-1",
        "true",
        "RV01",
        "RC01",
        "PostPaid",
        "lp_hd",
        "NaN",
        "1e400",
        "text",
        "image",
        "{}",
        "[]",
        "[[[[",
        "{\"CasterTemplate\":\"lp_hd\"}",
        "{\"Text\":\"a\"}",
        "null",
        "[1,\"a\",null]",
        "99999999999999999999",
        "2026-01-01T00:00:00Z",
        "http://127.0.0.1/a",
        "rtmp://a/b/c",
        "pattern:",
        "{\"PositionNormalized\":[1,2,3]}",
        "\u{0}",
        "../../etc/passwd",
        "%00",
        "live.example.com",
        "Resource",
        "Component",
        "TimeFirst",
        "StopCaster",
        "2099-01-01T00:00:00Z",
        "{\"LiveTemplate\":[\"lld\"]}",
        "{\"liveTemplateIds\":{\"locationId\":[null,\"lld\"]}}",
        "{\"VideoFormat\":[{\"Format\":\"flv\",\"OssObjectPrefix\":\"../{x}\"}]}",
        "{\"eofThres\":1e39}",
        "[{\"mode\":1,\"resourceIds\":[\"a\",\"b\"]}]",
        "{\"enableAns\":2}",
        "{\"DomainName\":\"a\",\"Items\":[{\"VodUrl\":\"file:a\"}]}",
    ];
    prop_oneof![prop::sample::select(KNOWN).prop_map(str::to_owned), any::<String>(),]
}

#[test]
fn whatever_is_asked_gets_a_code_and_changes_nothing_if_refused() {
    let world = World::new();
    let token = [("ClientToken", "t"), ("NormType", "1"), ("ChargeType", "PostPaid")];
    let (status, body) = world.call("CreateCaster", &token);
    assert_eq!(status, 200, "{body}");
    let caster = body["CasterId"].as_str().unwrap().to_owned();
    let params = prop::collection::vec((name(), value()), 0..12);
    let asked = (prop::sample::select(OPERATIONS), params, any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 20_000, ..Config::default() });
    let checked = runner.run(&asked, |(operation, params, on_it)| {
        let mut params: Vec<_> = params.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        if on_it {
            params.retain(|(name, _)| *name != "CasterId");
            params.push(("CasterId", &caster));
        }
        // The one that the others are tried on stays.
        prop_assume!(operation.name != "DeleteCaster" || !on_it);
        let before = world.catalog.lock().unwrap().clone();
        let (status, body) = world.call(operation.name, &params);
        let is_refused = (400..500).contains(&status) && body["Code"].is_string();
        prop_assert!(status == 200 || is_refused, "{status} {body}");
        prop_assert!(status == 200 || before == *world.catalog.lock().unwrap(), "{body}");
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn bytes_that_mean_nothing_are_refused() {
    let world = World::new();
    let mut runner = TestRunner::new(Config { cases: 10_000, ..Config::default() });
    let bytes = (prop::collection::vec(any::<u8>(), 0..200), "[ -~]{0,80}");
    let checked = runner.run(&bytes, |(body, header)| {
        let mut request = post(body);
        let header = header.parse().map_err(|_error| TestCaseError::reject("no header"))?;
        request.headers_mut().insert("authorization", header);
        let (status, body) = world.send(request);
        prop_assert!((400..500).contains(&status) && body["Code"].is_string(), "{status} {body}");
        Ok(())
    });
    checked.unwrap();
}
