//! What the fuzzer runs, on random bytes and on valid requests that were changed: ten thousand each.

use proptest::prelude::*;

use crate::api::openapi::fuzzing::{json, parameters, signature};

const QUERY: &[u8] = b"Format=XML&SignatureMethod=HMAC-SHA1&Action=DescribeLiveSnapshotConfig\
    &AccessKeyId=testid&RegionId=cn-shanghai&ServiceCode=live&DomainName=test.com&AppName=test\
    &SignatureNonce=c2fe8fbb-2977-4414-8d39-348d02419c1c&Version=2016-11-01&SignatureVersion=1.0\
    &Timestamp=2017-06-14T09%3A51%3A14Z&Signature=3I5a3myPjp8FXWT4rvxX5pKb%2Faw%3D\
    \nauthorization: ACS3-HMAC-SHA256 Credential=testid,SignedHeaders=host;x-acs-action;x-acs-version;x-acs-date;\
    x-acs-signature-nonce;x-acs-content-sha256,Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0\
    \nhost: x\nx-acs-action: A\nx-acs-version: 2016-11-01\nx-acs-date: 2017-06-14T09:51:14Z\nx-acs-signature-nonce: n\
    \nx-acs-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\n";
const FORM: &[u8] = b"CasterId=x&BlendList.1=RV01&VideoLayer.1.FillMode=fit&VideoLayer.1.PositionNormalized.1=0.5\
    &VideoLayer.1.PositionNormalized.2=%2B0.5&PageNum=1&StartTime=2026-01-31T12%3A00%3A00Z&Flag=true\
    &Component=%7B%22a%22%3A%5B1%2C%22b%22%5D%7D&Color=16711680";
const JSON: &[u8] = "{\"casterTemplate\":\"lp_ld\",\"LiveTemplate\":[\"lld\",{\"a\":[1,2.5,-3e9,null,true]}],\"导\":\"\\u5bfc\"}"
    .as_bytes();

/// The bytes with some changed, cut out, doubled or put in.
fn changed(valid: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..5_u8, any::<u8>(), 1..20_usize);
    prop::collection::vec(change, 0..6).prop_map(move |changes| {
        let mut bytes = valid.to_vec();
        for (at, kind, byte, length) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..end)),
                2 => {
                    let twice = bytes[at..end].to_vec();
                    bytes.splice(at..at, twice);
                }
                3 => bytes.insert(at, b"&=%.[]{}\",:+\n"[usize::from(byte) % 13]),
                _ => bytes.truncate(at),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn random_bytes(data in prop::collection::vec(any::<u8>(), 0..200)) {
        signature(&data);
        parameters(&data);
        json(&data);
    }

    #[test]
    fn changed_requests(query in changed(QUERY), form in changed(FORM), text in changed(JSON)) {
        signature(&query);
        parameters(&form);
        json(&text);
    }
}

#[test]
fn deep_and_long_values() {
    for unit in ["[", "{\"a\":", "[{\"a\":[", "9", "\"", "&a.1.1=", "a=1&", "%", "\n:"] {
        for count in [1, 100, 127, 128, 129, 5000, 100_000] {
            let data = unit.repeat(count);
            json(data.as_bytes());
            parameters(data.as_bytes());
            signature(data.as_bytes());
        }
    }
}
