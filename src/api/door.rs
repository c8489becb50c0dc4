//! The door of the gRPC and HTTP edges: connections let in, counted, and put behind TLS.
//!
//! Must not know what is said over a connection. Invariants: no more are open than there is room for, the next is closed at
//! once; a handshake that takes its time holds up nobody else.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::tls::Tls;
use crate::limits::{ACCEPT_QUEUE, HTTP_CONNECTIONS, STOP_POLL, TLS_HANDSHAKE_TIMEOUT};

/// A listener, how many may come in at once, and how.
pub struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    room: usize,
}

impl Door {
    /// A door for at most `room` connections at once.
    pub fn new(listener: TcpListener, room: usize) -> Door {
        Door { listener, tls: None, room }
    }

    /// The same behind TLS, if there is any, for one protocol (its ALPN name).
    pub fn behind(self, tls: Option<&Tls>, protocol: &[u8]) -> Door {
        Door { tls: tls.map(|tls| tls.acceptor(protocol)), ..self }
    }

    /// Lets in; must be called in a runtime. Closed when the connections are dropped; those that were taken stay.
    pub(super) fn open(self) -> Connections {
        let (guests, receiver) = mpsc::channel(ACCEPT_QUEUE);
        tokio::spawn(self.let_in(guests));
        Connections(receiver)
    }

    async fn let_in(self, guests: mpsc::Sender<Connection>) {
        let room = Arc::new(Semaphore::new(self.room));
        let mut handshakes = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = guests.closed() => return,
                Some(_) = handshakes.join_next() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "listener");
                    // Out of descriptors, most likely: others must end first.
                    tokio::time::sleep(STOP_POLL).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                tracing::warn!(%peer, "connection refused: {} are open", self.room);
                continue;
            };
            let (guests, tls) = (guests.clone(), self.tls.clone());
            handshakes.spawn(async move {
                match shake(socket, tls).await {
                    // An error means that the door was closed meanwhile.
                    Ok(io) => drop(guests.send(Connection { io, _place: place }).await),
                    Err(error) => tracing::debug!(%peer, %error, "no TLS handshake"),
                }
            });
        }
    }
}

impl From<TcpListener> for Door {
    /// Without TLS, room for [`HTTP_CONNECTIONS`].
    fn from(listener: TcpListener) -> Door {
        Door::new(listener, HTTP_CONNECTIONS)
    }
}

async fn shake(socket: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<Io> {
    socket.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Io::Plain(socket)) };
    let shaken = timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(socket)).await;
    Ok(Io::Tls(Box::new(shaken.map_err(|_elapsed| io::ErrorKind::TimedOut)??)))
}

/// Who came in, in order.
pub(super) struct Connections(mpsc::Receiver<Connection>);

impl Connections {
    /// The next one; `None` when the door is gone.
    pub(super) async fn next(&mut self) -> Option<Connection> {
        self.0.recv().await
    }
}

impl Stream for Connections {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|next| next.map(Ok))
    }
}

/// A connection; its place is free again when it is dropped.
pub(super) struct Connection {
    io: Io,
    _place: OwnedSemaphorePermit,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Does the same to either kind.
macro_rules! either {
    ($connection:expr, $io:ident => $done:expr) => {
        match &mut $connection.get_mut().io {
            Io::Plain($io) => {
                let $io = Pin::new($io);
                $done
            }
            Io::Tls($io) => {
                let $io = Pin::new($io);
                $done
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, io => io.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Option<SocketAddr>;

    fn connect_info(&self) -> Option<SocketAddr> {
        let socket = match &self.io {
            Io::Plain(io) => io,
            Io::Tls(io) => io.get_ref().0,
        };
        socket.peer_addr().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::*;
    use crate::api::http;
    use crate::worker::StopToken;

    const LONG: Duration = Duration::from_secs(10);

    fn ask(address: SocketAddr) -> Option<(TcpStream, String)> {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
        let mut answer = [0; 4096];
        // Closed, or reset because what was asked was never read.
        let count = socket.read(&mut answer).ok().filter(|&count| count > 0)?;
        Some((socket, String::from_utf8_lossy(&answer[..count]).into_owned()))
    }

    #[test]
    fn who_finds_no_room_is_closed_at_once_and_places_come_back() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let pages = http::pages::router(Arc::new(String::new));
        runtime.spawn(http::serve(Door::new(listener, 2), pages, std::future::pending()));
        let guests = [ask(address).unwrap(), ask(address).unwrap()];
        assert!(guests.iter().all(|(_, answer)| answer.contains("200 OK")), "{guests:?}");
        assert!(ask(address).is_none(), "a third one came in");
        drop(guests);
        let pause = StopToken::new();
        let again = (0..200).find_map(|_| {
            pause.wait(Duration::from_millis(20));
            ask(address)
        });
        assert!(again.unwrap().1.contains("200 OK"));
    }
}
