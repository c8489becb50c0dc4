//! The parsers of this edge as a fuzzer calls them: whatever the bytes, they answer or refuse by the API's rules.
//!
//! Built for fuzzers and tests only. Must not know the network. Invariant: what breaks a promise of a parser panics.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::fault::Fault;
use super::params::Params;
use super::percent::{decode_pairs, encode_pairs};
use super::sign::{Claim, Nonces, Received, Scheme};
use crate::api::keys::AccessKeys;

/// 2017-06-14T09:51:14Z, the time of the vendor's example of V1.
const NOW_UNIX_S: u64 = 1_497_433_874;

/// Refusals are the sender's fault and have a code.
fn judge<T>(read: Result<T, Fault>) -> Option<T> {
    read.map_err(|fault| {
        assert!((400..500).contains(&fault.status), "{fault:?}");
        assert!(!fault.code.is_empty() && !fault.message.is_empty(), "{fault:?}");
    })
    .ok()
}

/// A query or form: decoding is stable under encoding, and every way to read a parameter answers.
pub fn parameters(data: &[u8]) {
    let Some(pairs) = judge(decode_pairs(data)) else { return };
    let encoded = encode_pairs(pairs.iter().map(|(name, value)| (&name[..], &value[..])));
    let again = judge(decode_pairs(encoded.as_bytes())).expect("what was decoded can be encoded");
    assert_eq!(pairs, again);
    let Some(params) = judge(Params::merge(pairs.into_iter())) else { return };
    let names: Vec<String> = params.iter().map(|(name, _)| name.to_owned()).take(32).collect();
    for name in &names {
        read_all(&params, name);
        if let Some((list, _)) = name.split_once('.') {
            read_all(&params, list);
        }
    }
}

/// JSON in a string: the value of one parameter.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pair = ("Json".to_owned(), text.to_owned());
    let params = judge(Params::merge([pair].into_iter())).expect("one name is given once");
    judge(params.json_texts("Json"));
    let Some(flat) = judge(params.json("Json")).flatten() else { return };
    let names: Vec<String> = flat.iter().map(|(name, _)| name.to_owned()).take(32).collect();
    for name in &names {
        read_all(&flat, name);
    }
    judge(flat.items(""));
    judge(flat.texts(""));
}

fn read_all(params: &Params, name: &str) {
    judge(params.number::<i32>(name));
    judge(params.number::<f32>(name));
    judge(params.flag(name));
    judge(params.time_ms(name));
    judge(params.json(name));
    judge(params.json_texts(name));
    judge(params.texts(name));
    judge(params.numbers::<f32>(name));
    judge(params.items(name));
    params.color(name);
}

/// A request: a line `METHOD query`, lines `header: value`, an empty line, the body. Whatever it claims, a key that is not
/// known proves nothing.
pub fn signature(data: &[u8]) {
    let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &data[..0]),
    };
    let mut lines = head.split(|&byte| byte == b'\n');
    let (method, query) = match lines.next().unwrap_or_default() {
        [b'P', b' ', query @ ..] => (Method::POST, query),
        [b'G', b' ', query @ ..] => (Method::GET, query),
        query => (Method::GET, query),
    };
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let read = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = read {
            headers.append(name, value);
        }
    }
    let (Some(query), Some(form)) = (judge(decode_pairs(query)), judge(decode_pairs(body))) else {
        return;
    };
    let Some(params) = judge(Params::merge(query.iter().cloned().chain(form))) else { return };
    let received = Received {
        method: &method,
        path: "/",
        headers: &headers,
        query: &query,
        params: &params,
        body,
    };
    let keys = [("testid", "testsecret"), ("other", "othersecret")]
        .map(|(id, secret)| AccessKeys::new(id, secret).expect("a key"));
    for scheme in [Scheme::V1, Scheme::V3, Scheme::of(&headers)] {
        let Some(claim) = judge(Claim::read(scheme, &received)) else { continue };
        let nonces = Nonces::default();
        if judge(claim.prove(&keys[0], &nonces, NOW_UNIX_S)).is_some() {
            // Proven once is not proven twice.
            assert!(judge(claim.prove(&keys[0], &nonces, NOW_UNIX_S)).is_none());
            assert!(judge(claim.prove(&keys[1], &nonces, NOW_UNIX_S)).is_none());
        }
    }
}
