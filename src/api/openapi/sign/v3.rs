//! V3: the request in canonical form under ACS3-HMAC-SHA256.
//!
//! Must not know keys. Invariant: operation, time, nonce, host and body are signed, or the request is refused.

use sha2::{Digest, Sha256};

use super::{Claim, Received, Scheme};
use crate::api::openapi::fault::Fault;
use crate::api::openapi::percent::encode_pairs;
use crate::api::secret::hex;
use crate::catalog::ErrorCode;

const ALGORITHM: &str = "ACS3-HMAC-SHA256";
/// Headers that must be signed.
const SIGNED: [&str; 6] = [
    "host",
    "x-acs-action",
    "x-acs-version",
    "x-acs-date",
    "x-acs-signature-nonce",
    "x-acs-content-sha256",
];

/// What the request claims. Its `Action` and `Version` parameters do not count.
pub(super) fn read(received: &Received<'_>) -> Result<Claim, Fault> {
    let incomplete = || Fault::from(ErrorCode::IncompleteSignature);
    let authorization = received.header("authorization")?.unwrap_or_default();
    let (algorithm, fields) = authorization.split_once(' ').ok_or_else(incomplete)?;
    if algorithm != ALGORITHM {
        return Err(ErrorCode::SignatureMethodInvalid.into());
    }
    let field = |name: &str| {
        let values = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let value = values.into_iter().find_map(|(n, value)| (n == name).then_some(value));
        value.filter(|value| !value.is_empty()).ok_or_else(incomplete)
    };
    let signed_headers = field("SignedHeaders")?;
    if !SIGNED.iter().all(|name| signed_headers.split(';').any(|signed| signed == *name)) {
        return Err(incomplete());
    }
    let present = |header: &str, param: &str| match received.header(header)? {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(Fault::missing(param)),
    };
    let body_hash = present("x-acs-content-sha256", "ContentSha256")?;
    Ok(Claim {
        scheme: Scheme::V3,
        action: present("x-acs-action", "Action")?,
        version: present("x-acs-version", "Version")?,
        key_id: field("Credential")?.to_owned(),
        date: present("x-acs-date", "Timestamp")?,
        nonce: present("x-acs-signature-nonce", "SignatureNonce")?,
        signature: field("Signature")?.to_owned(),
        string_to_sign: string_to_sign(received, signed_headers, &body_hash)?,
        is_body_signed: hex(&Sha256::digest(received.body)) == body_hash,
    })
}

fn string_to_sign(
    received: &Received<'_>,
    signed_headers: &str,
    body_hash: &str,
) -> Result<String, Fault> {
    let mut query: Vec<(&str, &str)> =
        received.query.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    query.sort_unstable();
    let mut headers = String::new();
    for name in signed_headers.split(';') {
        let value = received.header(name)?.unwrap_or_default();
        headers.push_str(&format!("{name}:{value}\n"));
    }
    let (method, path) = (received.method, received.path);
    let query = encode_pairs(query.into_iter());
    let request = format!("{method}\n{path}\n{query}\n{headers}\n{signed_headers}\n{body_hash}");
    Ok(format!("{ALGORITHM}\n{}", hex(&Sha256::digest(request.as_bytes()))))
}
