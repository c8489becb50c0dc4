//! The HTTP proxy that every HTTP source connects through, so that each connection is checked where it is made.
//!
//! FFmpeg follows redirects and playlists by itself; through this, whatever it asks for is resolved once, checked,
//! and connected to at the address that was checked. One proxy per open source, on loopback, for as long as the
//! source is open. Must not know media. Invariant: no connection leaves to an address that the list does not permit.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::guard::AllowList;
use crate::limits::{INPUT_CONNECT_TIMEOUT, REQUEST_HEAD_BYTES, SOURCE_CONNECTIONS};
use crate::worker::{self, StopToken, Worker};

/// A running proxy; dropping it cuts its connections.
pub(super) struct Proxy {
    address: SocketAddr,
    refusal: Arc<Mutex<Option<String>>>,
    _worker: Worker,
}

struct Shared {
    allow: AllowList,
    refusal: Arc<Mutex<Option<String>>>,
    slots: Semaphore,
}

impl Shared {
    fn note(&self, refusal: String) {
        let mut first = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(refusal);
    }
}

impl Proxy {
    /// Starts a proxy on a free loopback port.
    pub(super) fn start(allow: AllowList) -> io::Result<Proxy> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let refusal = Arc::new(Mutex::new(None));
        let slots = Semaphore::new(SOURCE_CONNECTIONS);
        let shared = Arc::new(Shared { allow, refusal: Arc::clone(&refusal), slots });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let worker = worker::spawn("source-proxy", StopToken::new(), move |stop| {
            runtime.block_on(serve(listener, shared, &stop));
            runtime.shutdown_background();
        })?;
        Ok(Proxy { address, refusal, _worker: worker })
    }

    /// Its address, as FFmpeg's `http_proxy` option wants it.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first thing it refused, if any.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>, stop: &StopToken) {
    const STOP_CHECK: Duration = Duration::from_millis(20);
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while !stop.is_stopped() {
        // The time-out is how a stop is seen; connections are served in between.
        if let Ok(Ok((client, _))) = timeout(STOP_CHECK, listener.accept()).await {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                let Ok(_slot) = shared.slots.try_acquire() else { return };
                // An error ends this connection only, and FFmpeg sees it end.
                let _ = relay(client, &shared).await;
            });
        }
    }
}

async fn relay(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let head = timeout(INPUT_CONNECT_TIMEOUT, read_head(&mut client)).await??;
    let Some(request) = Request::parse(&head) else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    };
    let mut server = match connect(&request, shared).await {
        Ok(server) => server,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            shared.note(error.to_string());
            return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
        }
        Err(_) => return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await,
    };
    match &request.forward {
        Some(head) => server.write_all(head).await?,
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?,
    }
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

async fn connect(request: &Request, shared: &Shared) -> io::Result<TcpStream> {
    let attempt = async {
        let target = (request.host.as_str(), request.port);
        let addresses: Vec<SocketAddr> = lookup_host(target).await?.collect();
        shared
            .allow
            .check(&request.host, &addresses)
            .map_err(|text| io::Error::new(io::ErrorKind::PermissionDenied, text))?;
        TcpStream::connect(&addresses[..]).await
    };
    timeout(INPUT_CONNECT_TIMEOUT, attempt).await?
}

/// Reads a request up to its blank line, byte-exactly: a client of ours sends nothing beyond it.
async fn read_head(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= REQUEST_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut chunk = [0; 1024];
        match client.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&chunk[..count]),
        }
    }
    Ok(head)
}

/// Where a request goes, and what is sent there.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    host: String,
    port: u16,
    /// The head with the target's path for a request line; none: a tunnel (`CONNECT`).
    forward: Option<Vec<u8>>,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Request> {
        let text = std::str::from_utf8(head).ok()?;
        let (line, rest) = text.split_once("\r\n")?;
        let [method, target, version] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        if method == "CONNECT" {
            let (host, port) = split_authority(target, None)?;
            return Some(Request { host, port, forward: None });
        }
        let target = target.strip_prefix("http://")?;
        let at = target.find(['/', '?']).unwrap_or(target.len());
        let (authority, path) = target.split_at(at);
        let (host, port) = split_authority(authority, Some(80))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        let forward = format!("{method} {slash}{path} {version}\r\n{rest}").into_bytes();
        Some(Request { host, port, forward: Some(forward) })
    }
}

fn split_authority(authority: &str, default_port: Option<u16>) -> Option<(String, u16)> {
    let is_bare = authority.ends_with(']') || !authority.contains(':');
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !is_bare => (host, port.parse().ok()?),
        _ => (authority, default_port?),
    };
    let host = host.trim_matches(['[', ']']);
    (!host.is_empty() && !host.contains('@')).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_apart() {
        type Parts = (&'static str, u16, Option<&'static str>);
        let table: [(&str, Option<Parts>); 9] = [
            ("CONNECT a.b:443 HTTP/1.1\r\n\r\n", Some(("a.b", 443, None))),
            ("CONNECT [::1]:443 HTTP/1.1\r\n\r\n", Some(("::1", 443, None))),
            ("CONNECT a.b HTTP/1.1\r\n\r\n", None),
            (
                "GET http://a.b/x?y HTTP/1.1\r\nHost: a.b\r\n\r\n",
                Some(("a.b", 80, Some("GET /x?y HTTP/1.1\r\nHost: a.b\r\n\r\n"))),
            ),
            (
                "GET http://[fe80::1]:8080 HTTP/1.0\r\n\r\n",
                Some(("fe80::1", 8080, Some("GET / HTTP/1.0\r\n\r\n"))),
            ),
            (
                "GET http://a.b?y HTTP/1.1\r\n\r\n",
                Some(("a.b", 80, Some("GET /?y HTTP/1.1\r\n\r\n"))),
            ),
            ("GET /x HTTP/1.1\r\n\r\n", None),
            ("GET http://u:p@a.b/ HTTP/1.1\r\n\r\n", None),
            ("GET http:///x HTTP/1.1\r\n\r\n", None),
        ];
        for (head, want) in table {
            let want = want.map(|(host, port, forward)| Request {
                host: host.to_owned(),
                port,
                forward: forward.map(|text| text.as_bytes().to_vec()),
            });
            assert_eq!(Request::parse(head.as_bytes()), want, "{head}");
        }
    }
}
