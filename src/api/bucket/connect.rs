//! Carries requests to object storage: one connection each, by the HTTP and TLS that this room has anyway.
//!
//! Must not know what a request is about. Invariant: a connection on which nothing moves ends, so that no request hangs.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::header::HOST;
use axum::http::{HeaderValue, Request, Uri};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};

use crate::limits::{STORAGE_CONNECT_TIMEOUT, STORAGE_IDLE_TIMEOUT};
use crate::trust::Trust;

/// Connects for each request. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(Trust);

impl Connector {
    /// Trusts the certificate authorities of this file, or of the system.
    pub(super) fn new(ca: Option<&Path>) -> Result<Connector, String> {
        ca.map_or_else(Trust::system, Trust::file).map(Connector)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

fn failed(kind: HttpErrorKind) -> impl Fn(io::Error) -> HttpError {
    move |error| HttpError::new(kind, error)
}

#[tonic::async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let uri = request.uri().clone();
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let late = |_elapsed| io::Error::new(io::ErrorKind::TimedOut, "connecting takes too long");
        let reach = async {
            let socket = TcpStream::connect((host.as_str(), port)).await?;
            socket.set_nodelay(true)?;
            let socket = Watched::new(socket);
            if !is_tls {
                return Ok(Line::Plain(socket));
            }
            let tls = self.0.connect(&host, socket).await;
            tls.map(|socket| Line::Tls(Box::new(socket))).map_err(io::Error::other)
        };
        let reached = timeout(STORAGE_CONNECT_TIMEOUT, reach).await.map_err(late);
        match reached.and_then(|line| line).map_err(failed(HttpErrorKind::Connect))? {
            Line::Plain(socket) => send(socket, request, &uri).await,
            Line::Tls(socket) => send(*socket, request, &uri).await,
        }
    }
}

enum Line {
    Plain(Watched),
    Tls(Box<tokio_rustls::client::TlsStream<Watched>>),
}

/// Sends the request and answers as soon as there is a head.
async fn send(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: HttpRequest,
    uri: &Uri,
) -> Result<HttpResponse, HttpError> {
    let interrupted = |error: hyper::Error| HttpError::new(HttpErrorKind::Interrupted, error);
    let (mut parts, body) = request.into_parts();
    let whole = |error: axum::http::Error| HttpError::new(HttpErrorKind::Unknown, error);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    parts.uri = Uri::builder().path_and_query(target).build().map_err(whole)?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority).map_err(|error| whole(error.into()))?;
    parts.headers.insert(HOST, host);
    let handshake = http1::Builder::new().handshake(TokioIo::new(socket)).await;
    let (mut sender, connection) = handshake.map_err(interrupted)?;
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let request = Request::from_parts(parts, body);
    let (head, body) = sender.send_request(request).await.map_err(interrupted)?.into_parts();
    let answer = Answer { body, _driver: driver };
    Ok(HttpResponse::from_parts(head, HttpResponseBody::new(answer)))
}

/// The body of an answer, with what makes it come.
struct Answer {
    body: Incoming,
    _driver: JoinSet<Result<(), hyper::Error>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let interrupted = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Pin::new(&mut self.body)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(interrupted)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that fails when it is waited for and nothing moves in either direction.
struct Watched {
    socket: TcpStream,
    idle: Pin<Box<Sleep>>,
}

impl Watched {
    fn new(socket: TcpStream) -> Watched {
        Watched { socket, idle: Box::pin(sleep(STORAGE_IDLE_TIMEOUT)) }
    }

    /// Begins to wait anew after what moved; fails after too long without.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.idle.set(sleep(STORAGE_IDLE_TIMEOUT));
            return moved;
        }
        let late = || io::Error::new(io::ErrorKind::TimedOut, "nothing moves any more");
        self.idle.as_mut().poll(cx).map(|()| Err(late()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.socket).poll_read(cx, buffer);
        self.watch(cx, moved)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.watch(cx, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
