//! V1: the parameters sorted and encoded, with the method, under HMAC-SHA1.
//!
//! Must not know keys. Invariant: every parameter but the signature itself is signed.

use super::{Claim, Received, Scheme};
use crate::api::openapi::fault::Fault;
use crate::api::openapi::percent::{encode, encode_pairs};
use crate::catalog::ErrorCode;

/// What the request claims. Its `x-acs-…` headers do not count: they are not signed.
pub(super) fn read(received: &Received<'_>) -> Result<Claim, Fault> {
    let params = received.params;
    let present = |name: &str| match params.get(name) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Fault::missing(name)),
    };
    let claim = Claim {
        scheme: Scheme::V1,
        action: present("Action")?,
        version: present("Version")?,
        key_id: present("AccessKeyId")?,
        date: present("Timestamp")?,
        nonce: present("SignatureNonce")?,
        signature: present("Signature")?,
        string_to_sign: string_to_sign(received),
        is_body_signed: true,
    };
    let is_hmac = present("SignatureMethod")? == "HMAC-SHA1"
        && params.get("SignatureType").unwrap_or_default().is_empty();
    if !is_hmac {
        return Err(ErrorCode::SignatureMethodInvalid.into());
    }
    match present("SignatureVersion")?.as_str() {
        "1.0" => Ok(claim),
        _ => Err(ErrorCode::IncompleteSignature.into()),
    }
}

fn string_to_sign(received: &Received<'_>) -> String {
    let signed = received.params.iter().filter(|(name, _)| *name != "Signature");
    format!("{}&%2F&{}", received.method, encode(&encode_pairs(signed)))
}
