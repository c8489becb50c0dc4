//! Every code that only this wire gives, provoked; a refused request changes nothing.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, Request as HttpRequest};

use super::edge::{World, post, signed};
use crate::api::openapi::rate::Rate;
use crate::api::openapi::{outside, utc};
use crate::catalog::ErrorCode::{self, *};
use crate::{limits, time};

/// A well-signed call that would be fine but for these parameters.
fn call(params: &[(&str, &str)]) -> Request {
    signed("DescribeCasters", params)
}

fn method(mut request: Request, method: Method) -> Request {
    *request.method_mut() = method;
    request
}

/// A form that never ends.
fn stalled() -> Request {
    let nothing = tokio_stream::pending::<Result<Bytes, Infallible>>();
    HttpRequest::post("/")
        .header("accept", "application/json")
        .body(Body::from_stream(nothing))
        .unwrap()
}

#[test]
fn every_code_of_the_wire_arises_and_changes_nothing() {
    let skew_s = limits::API_CLOCK_SKEW.as_secs() + 60;
    let early = utc::instant(time::unix_ms() / 1000 - skew_s);
    let late = utc::instant(time::unix_ms() / 1000 + skew_s);
    let too_large = post(vec![b'a'; limits::API_BODY_BYTES + 1]);
    let world = World::with_rate(Rate::new(1));
    let once = [("SignatureNonce", "once")];
    assert_eq!(world.send(call(&once)).0, 200);
    let code_of_many = |_| world.call("DescribeCasterProgram", &[("CasterId", "nobody")]).1;
    let throttled =
        (0..1000).map(code_of_many).find(|body| body["Code"] != CasterNotFound.as_str());
    assert_eq!(throttled.unwrap()["Code"], ThrottlingUser.as_str());
    let mut seen = BTreeSet::from([ThrottlingUser]);
    for (request, code) in [
        (signed("MakeCoffee", &[]), ApiNotFound),
        (signed("TagLiveResources", &[]), ApiNotFound),
        (signed("DescribeShowList", &[("CasterId", "a")]), ShowListNotFound),
        (call(&[("Version", "2014-11-11")]), VersionInvalid),
        (method(call(&[]), Method::PUT), HttpMethodUnsupported),
        (call(&[("Format", "yaml")]), FormatInvalid),
        (call(&[("Timestamp", "yesterday")]), TimeStampFormat),
        (call(&[("Timestamp", &early)]), TimeStampExpired),
        (call(&[("Timestamp", &late)]), TimeStampExpired),
        (call(&once), SignatureNonceUsed),
        (method(call(&[]), Method::GET), SignatureDoesNotMatch),
        (call(&[("SignatureMethod", "HMAC-MD5")]), SignatureMethodInvalid),
        (call(&[("SignatureVersion", "2.0")]), IncompleteSignature),
        (call(&[("AccessKeyId", "nobody")]), AccessKeyIdNotFound),
        (stalled(), RequestTimeout),
        (too_large, RequestTooLarge),
    ] {
        let before = world.catalog.lock().unwrap().clone();
        let (status, body) = world.send(request);
        assert_eq!((status, &body["Code"]), (code.http_status(), &code.as_str().into()), "{body}");
        assert!(body["Message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        assert_eq!(*world.catalog.lock().unwrap(), before, "{body}");
        seen.insert(code);
    }
    let missing: Vec<&ErrorCode> = ErrorCode::ALL
        .iter()
        .filter(|code| code.is_of_the_wire() && !seen.contains(code))
        .collect();
    assert!(missing.is_empty(), "never provoked: {missing:?}");
}

#[test]
fn operations_of_other_modes_say_so_to_those_who_have_a_key() {
    let world = World::new();
    for operation in outside::OPERATIONS {
        let (status, body) = world.call(operation.name, &[]);
        let message = body["Message"].as_str().unwrap();
        assert!(message.contains("general mode"), "{message}");
        assert!((400..500).contains(&status));
        let forged = method(signed(operation.name, &[]), Method::GET);
        assert_eq!(world.send(forged).1["Code"], "SignatureDoesNotMatch");
    }
    for (name, code) in [
        ("PlayChoosenShow", "InvalidShowList.NotFound"),
        ("StartPlaylist", "InvalidNormType.Malformed"),
        ("AddStudioLayout", "InvalidCaster.NotFound"),
        ("TagLiveResources", "InvalidApi.NotFound"),
    ] {
        assert_eq!(world.call(name, &[]).1["Code"], code, "{name}");
    }
}
