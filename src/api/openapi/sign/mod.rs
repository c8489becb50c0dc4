//! Who sends a request: the signatures of the API, V1 (HMAC-SHA1 over the parameters) and V3 (ACS3-HMAC-SHA256 over the
//! request), and the checks that they have in common.
//!
//! Must not know operations. Invariants: what decides about a request (its operation, parameters, body) is signed; a
//! signature is compared in constant time; an accepted request is not accepted again while its time lasts.

mod nonces;
mod v1;
mod v3;

use std::sync::Arc;

use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::fault::Fault;
use super::params::Params;
use super::utc;
use crate::api::keys::{AccessKey, AccessKeys};
use crate::api::secret::hex;
use crate::catalog::ErrorCode;
use crate::limits;

pub(super) use nonces::Nonces;

/// A request as it arrived.
pub(super) struct Received<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// Names and values of the query alone.
    pub(super) query: &'a [(String, String)],
    /// Of query and form.
    pub(super) params: &'a Params,
    pub(super) body: &'a [u8],
}

impl Received<'_> {
    /// The one value of a header.
    ///
    /// # Errors
    /// `IncompleteSignature` when it is there twice or is no text.
    pub(super) fn header(&self, name: &str) -> Result<Option<&str>, Fault> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => match value.to_str() {
                Ok(text) => Ok(Some(text.trim())),
                Err(_not_text) => Err(ErrorCode::IncompleteSignature.into()),
            },
            _ => Err(ErrorCode::IncompleteSignature.into()),
        }
    }
}

/// How a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// HMAC-SHA1 over the parameters.
    V1,
    /// ACS3-HMAC-SHA256 over the request.
    V3,
}

impl Scheme {
    /// The one that the request uses, right or wrong.
    pub(super) fn of(headers: &HeaderMap) -> Scheme {
        let authorization = headers.get("authorization").map(|value| value.as_bytes());
        match authorization.is_some_and(|value| value.starts_with(b"ACS3-")) {
            true => Scheme::V3,
            false => Scheme::V1,
        }
    }

    pub(super) fn signature(self, secret: &str, string_to_sign: &str) -> String {
        match self {
            Scheme::V1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes())
                    .expect("HMAC takes keys of every length");
                mac.update(string_to_sign.as_bytes());
                STANDARD.encode(mac.finalize().into_bytes())
            }
            Scheme::V3 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
                    .expect("HMAC takes keys of every length");
                mac.update(string_to_sign.as_bytes());
                hex(&mac.finalize().into_bytes())
            }
        }
    }
}

/// What a signed request says of itself. Nothing of it is proven before [`Claim::prove`].
#[derive(Clone, Debug)]
pub(super) struct Claim {
    scheme: Scheme,
    pub(super) action: String,
    pub(super) version: String,
    pub(super) key_id: String,
    date: String,
    nonce: String,
    signature: String,
    string_to_sign: String,
    /// Whether the body is the one that was signed.
    is_body_signed: bool,
}

impl Claim {
    /// What the request claims.
    ///
    /// # Errors
    /// `Missing…`, `InvalidSignatureMethod` or `IncompleteSignature`.
    pub(super) fn read(scheme: Scheme, received: &Received<'_>) -> Result<Claim, Fault> {
        match scheme {
            Scheme::V1 => v1::read(received),
            Scheme::V3 => v3::read(received),
        }
    }

    /// The key that really signed it, at `now_unix_s`; the nonce is used up.
    ///
    /// # Errors
    /// What is wrong: key, time, signature or nonce, in this order.
    pub(super) fn prove(
        &self,
        keys: &AccessKeys,
        nonces: &Nonces,
        now_unix_s: u64,
    ) -> Result<Arc<AccessKey>, Fault> {
        let key = keys.get(&self.key_id).map_err(ErrorCode::from)?;
        let signed_unix_s = utc::parse(&self.date).ok_or(ErrorCode::TimeStampFormat)?;
        let skew_s = limits::API_CLOCK_SKEW.as_secs();
        if signed_unix_s.abs_diff(now_unix_s) > skew_s {
            return Err(ErrorCode::TimeStampExpired.into());
        }
        if !self.is_signed_with(key.secret()) {
            let message = format!(
                "Specified signature is not matched with our calculation. \
                 server string to sign is:{}",
                self.string_to_sign
            );
            return Err(Fault::new(ErrorCode::SignatureDoesNotMatch, message));
        }
        nonces.take(&self.key_id, &self.nonce, signed_unix_s + skew_s, now_unix_s)?;
        Ok(key)
    }

    fn is_signed_with(&self, secret: &str) -> bool {
        let expected = self.scheme.signature(secret, &self.string_to_sign);
        bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) & self.is_body_signed
    }
}
