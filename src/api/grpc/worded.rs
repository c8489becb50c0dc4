//! Refusals that come about before a call is read, in the words of the API.
//!
//! Must not know calls. Invariant: a request that cannot be read is its sender's fault, never an internal error; it is
//! told by a code of the API like every other refusal.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::status::status;
use crate::catalog::{ErrorCode, Refused};

/// A service whose transport's own refusals bear a code.
#[derive(Clone, Debug)]
pub(super) struct Worded<S>(pub(super) S);

impl<S: NamedService> NamedService for Worded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<http::Request<B>> for Worded<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let answered = self.0.call(request);
        Box::pin(async move {
            let response = answered.await?;
            let wordless = Status::from_header_map(response.headers()).and_then(worded);
            Ok(wordless.map_or(response, Status::into_http))
        })
    }
}

/// The same with a code; none when it has one, or is no refusal of a request.
fn worded(bare: Status) -> Option<Status> {
    let code = match bare.code() {
        _ if !bare.details().is_empty() => return None,
        // What tonic says of bytes that are no message, and of frames that are none.
        Code::Internal => ErrorCode::ParameterMalformed,
        Code::OutOfRange | Code::ResourceExhausted => ErrorCode::RequestTooLarge,
        Code::Unimplemented => ErrorCode::ApiNotFound,
        _ => return None,
    };
    Some(status(Refused::new(code, bare.message())))
}
