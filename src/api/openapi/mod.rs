//! The cloud API on its own wire: `/` of the HTTP server, for clients that were written for it.
//!
//! Owns signatures, parameters, envelopes and rate limits. Must not know rules: calls and answers are the catalog's.
//! Invariants: nothing but a request that a known key signed, in time and for the first time, becomes a call; every
//! request is answered with a code of the API and never holds up others.

mod answers;
mod calls;
mod envelope;
mod facts;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod operations;
mod outside;
mod params;
mod percent;
mod rate;
mod sign;
#[cfg(test)]
mod tests;
pub(super) mod utc;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::routing::any;
use uuid::Uuid;

use super::addresses::Addresses;
use super::control::Control;
use super::keys::{AccessKeys, Role};
use crate::catalog::ErrorCode;
use crate::{limits, time};
use envelope::{Envelope, Format};
pub use facts::{OperationFacts, OutsideFacts, operation_facts, outside_facts};
use fault::Fault;
use params::Params;
use percent::decode_pairs;
pub use rate::Rate;
use sign::{Claim, Nonces, Received, Scheme};

struct Edge {
    control: Control,
    keys: Arc<AccessKeys>,
    addresses: Arc<Addresses>,
    nonces: Nonces,
    rate: Rate,
}

/// The API at `/`.
pub fn router(
    control: Control,
    keys: Arc<AccessKeys>,
    addresses: Arc<Addresses>,
    rate: Rate,
) -> Router {
    let edge = Edge { control, keys, addresses, nonces: Nonces::default(), rate };
    Router::new().route("/", any(answer)).with_state(Arc::new(edge))
}

async fn answer(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let scheme = Scheme::of(&parts.headers);
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut envelope = Envelope {
        // Until the parameters are read: they may ask for another.
        format: Format::asked(None, scheme, &parts.headers).unwrap_or(Format::Json),
        request_id: Uuid::new_v4().to_string().to_uppercase(),
        host: host.to_owned(),
    };
    let answered = match Arrived::read(&parts, body).await {
        Ok(arrived) => match Format::asked(arrived.params.get("Format"), scheme, &parts.headers) {
            Ok(format) => {
                envelope.format = format;
                edge.call(scheme, &parts, arrived, &envelope).await
            }
            Err(fault) => Err(fault),
        },
        Err(fault) => Err(fault),
    };
    answered.unwrap_or_else(|fault| {
        tracing::debug!(code = %fault.code, request = %envelope.request_id, "refused");
        envelope.fault(&fault)
    })
}

/// A request, read whole.
struct Arrived {
    query: Vec<(String, String)>,
    params: Params,
    body: Bytes,
}

impl Arrived {
    async fn read(parts: &Parts, body: Body) -> Result<Arrived, Fault> {
        if ![Method::GET, Method::POST].contains(&parts.method) {
            return Err(ErrorCode::HttpMethodUnsupported.into());
        }
        let whole =
            tokio::time::timeout(limits::API_BODY_WAIT, to_bytes(body, limits::API_BODY_BYTES));
        let body = match whole.await {
            Ok(Ok(body)) => body,
            Ok(Err(_too_large)) => return Err(ErrorCode::RequestTooLarge.into()),
            Err(_elapsed) => return Err(ErrorCode::RequestTimeout.into()),
        };
        let query = decode_pairs(parts.uri.query().unwrap_or_default().as_bytes())?;
        let form = match body.is_empty() || is_form(&parts.headers) {
            true => decode_pairs(&body)?,
            // Else what was signed would be dropped.
            false => {
                let message = "The body must be application/x-www-form-urlencoded.";
                return Err(Fault::new(ErrorCode::ParameterMalformed, message));
            }
        };
        let params = Params::merge(query.iter().cloned().chain(form))?;
        Ok(Arrived { query, params, body })
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Edge {
    async fn call(
        &self,
        scheme: Scheme,
        parts: &Parts,
        arrived: Arrived,
        envelope: &Envelope,
    ) -> Result<Response, Fault> {
        let received = Received {
            method: &parts.method,
            path: parts.uri.path(),
            headers: &parts.headers,
            query: &arrived.query,
            params: &arrived.params,
            body: &arrived.body,
        };
        let claim = Claim::read(scheme, &received)?;
        let operation = operations::find(&claim.action, &claim.version)?;
        let now_unix_ms = time::unix_ms();
        let key = claim.prove(&self.keys, &self.nonces, now_unix_ms / 1000)?;
        self.rate.take(&claim.key_id, operation.name, operation.qps, now_unix_ms)?;
        arrived.params.require(operation.required)?;
        let call = (operation.call)(&arrived.params)?;
        if !key.role().may(&call) {
            return Err(Role::refusal(&call).into());
        }
        let answer = self.control.call_as(call, envelope.request_id.clone()).await?;
        let answer = (operation.render)(answer, &self.addresses)?;
        Ok(envelope.success(operation.name, answer))
    }
}
