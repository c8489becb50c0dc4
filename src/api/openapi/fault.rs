//! Refusals of this edge: the catalog's own, and the gateway's that name a parameter in their code.
//!
//! Must not know envelopes. Invariant: a fault never holds a secret.

use std::borrow::Cow;

use crate::catalog::{ErrorCode, Refused};

/// Why a request was refused, as its answer tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The API's code.
    pub(super) code: Cow<'static, str>,
    /// HTTP status.
    pub(super) status: u16,
    /// In words.
    pub(super) message: String,
    /// When it is worth another try, ms from now.
    pub(super) retry_after_ms: Option<u64>,
}

impl Fault {
    /// A mandatory parameter is absent: `Missing{Param}`.
    pub(super) fn missing(param: &str) -> Fault {
        Fault {
            code: format!("Missing{param}").into(),
            status: 400,
            message: format!("{param} is mandatory for this action."),
            retry_after_ms: None,
        }
    }

    /// A value cannot be read: `Invalid{Param}.Malformed`, where `Param` is the last name of a nested one
    /// (`VideoLayer.1.FillMode` → `FillMode`).
    pub(super) fn malformed(param: &str, why: &str) -> Fault {
        let is_index = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
        let name = param.rsplit('.').find(|part| !is_index(part)).unwrap_or("Parameter");
        Fault {
            code: format!("Invalid{name}.Malformed").into(),
            status: 400,
            message: format!("Specified parameter {param} is not valid: {why}."),
            retry_after_ms: None,
        }
    }

    /// The key has had its share for the next `retry_after_ms`: `Throttling.User`.
    pub(super) fn throttled(retry_after_ms: u64) -> Fault {
        Fault { retry_after_ms: Some(retry_after_ms), ..ErrorCode::ThrottlingUser.into() }
    }

    /// Refused for `code`, told as `message`.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Fault {
        Refused::new(code, message).into()
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Fault {
        Fault {
            code: refused.code.as_str().into(),
            status: refused.code.http_status(),
            message: refused.message,
            retry_after_ms: None,
        }
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Fault {
        Refused::from(code).into()
    }
}
