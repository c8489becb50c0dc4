//! Posting an event to its receiver: one HTTP request over a connection of its own.
//!
//! Must not know which addresses are allowed: it connects to those it is given, whatever the URL's name would resolve
//! to, and follows no redirect. Invariant: an attempt ends within [`CALLBACK_TIMEOUT`] and reads no more than a head.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::{Method, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::CallbackKey;
use crate::limits::{CALLBACK_TIMEOUT, HTTP_HEAD_BYTES};
use crate::trust::Trust;

/// Names the event; the same at each attempt.
const ID_HEADER: &str = "x-onair-event-id";
/// When the attempt was made, s since 1970-01-01 UTC.
const TIMESTAMP_HEADER: &str = "x-onair-timestamp";
/// Proves both and the body, see [`CallbackKey::signature`].
pub const SIGNATURE_HEADER: &str = "x-onair-signature";

/// Posts events, signed.
pub struct Poster {
    key: CallbackKey,
    pub(super) trust: Trust,
}

impl Poster {
    /// A poster that signs with this key and trusts the certificate authorities of the system.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(key: CallbackKey) -> Result<Poster, String> {
        Trust::system().map(|trust| Poster { key, trust })
    }

    /// Posts the body of event `seq` to the URL at one of these addresses.
    ///
    /// # Errors
    /// Why it did not arrive, in words: not reached, no answer in time, or an answer that is not of the 200s.
    pub async fn post(
        &self,
        url: &Url,
        addresses: &[SocketAddr],
        (seq, body): (u64, &str),
        unix_s: u64,
    ) -> Result<(), String> {
        let request = self.request(url, (seq, body), unix_s)?;
        let attempt = async {
            let socket = TcpStream::connect(addresses).await.map_err(|error| error.to_string())?;
            if url.scheme() == "http" {
                return send(socket, request).await;
            }
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
            send(self.trust.connect(host, socket).await?, request).await
        };
        let late = |_elapsed| format!("no answer within {} s", CALLBACK_TIMEOUT.as_secs());
        let status = timeout(CALLBACK_TIMEOUT, attempt).await.map_err(late)??;
        if (200..300).contains(&status) { Ok(()) } else { Err(format!("answered {status}")) }
    }

    fn request(
        &self,
        url: &Url,
        (seq, body): (u64, &str),
        unix_s: u64,
    ) -> Result<Request<Body>, String> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}{query}", url.path()))
            .header(HOST, format!("{host}{port}"))
            .header(USER_AGENT, concat!("onair/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, body.len())
            .header(ID_HEADER, seq)
            .header(TIMESTAMP_HEADER, unix_s)
            .header(SIGNATURE_HEADER, self.key.signature(unix_s, body))
            .body(Body::from(body.to_owned()))
            .map_err(|error| error.to_string())
    }
}

async fn send(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<u16, String> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HTTP_HEAD_BYTES);
    let handshake = builder.handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    // Dropped with this attempt, and the connection with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    Ok(response.status().as_u16())
}
