//! Refusals as `google.rpc.Status` with `ErrorInfo`.
//!
//! Must not know calls. Invariant: every refusal carries the API's error code.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{KEY_ID_METADATA, KEY_SECRET_METADATA};
use crate::api::keys::KeyProblem;
use crate::catalog::{ErrorCode, Refused};
use crate::library::LibraryError;

/// `ErrorInfo.domain` of every error.
const DOMAIN: &str = "onair";

/// The refusal on the wire.
pub(super) fn status(refused: Refused) -> Status {
    let Refused { code, message } = refused;
    with_reason(grpc_code(code), code.as_str(), code.http_status(), message)
}

/// What the media library refuses.
pub(super) fn library_status(error: LibraryError) -> Status {
    let code = match &error {
        LibraryError::NotFound => Code::NotFound,
        LibraryError::InUse => Code::FailedPrecondition,
        LibraryError::Io(_) => Code::Internal,
        _ => Code::InvalidArgument,
    };
    with_reason(code, error.code(), error.http_status(), error.to_string())
}

fn with_reason(code: Code, reason: &str, http_status: u16, message: String) -> Status {
    let metadata = HashMap::from([("http_status".to_owned(), http_status.to_string())]);
    let details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

pub(super) fn missing_key() -> Status {
    let message = format!("{KEY_ID_METADATA} and {KEY_SECRET_METADATA} are mandatory.");
    status(Refused::new(ErrorCode::AccessKeyIdMissing, message))
}

pub(super) fn bad_key(problem: KeyProblem) -> Status {
    status(ErrorCode::from(problem).into())
}

/// The status that an error code goes with.
pub fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::AccessKeyIdMissing
        | ErrorCode::AccessKeyIdNotFound
        | ErrorCode::AccessKeyIdInactive => Code::Unauthenticated,
        ErrorCode::IllegalOperation | ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::SceneNotStarted
        | ErrorCode::SceneInUse
        | ErrorCode::SceneConfigError
        | ErrorCode::CasterInUse
        | ErrorCode::CasterIdle
        | ErrorCode::ChannelDisabled
        | ErrorCode::ChannelDisableUnsupported
        | ErrorCode::UrgentMaterialNotFound
        | ErrorCode::DomainNameNotFound
        | ErrorCode::ConfigurationNotFound => Code::FailedPrecondition,
        ErrorCode::CasterNumberExceed | ErrorCode::ResourceNumberExceed => Code::ResourceExhausted,
        ErrorCode::DuplicateLocationId | ErrorCode::ResourceOfChannelExist => Code::AlreadyExists,
        ErrorCode::RevisionMismatch => Code::Aborted,
        _ => match code.http_status() {
            404 => Code::NotFound,
            500.. => Code::Internal,
            _ => Code::InvalidArgument,
        },
    }
}
