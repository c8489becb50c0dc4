//! A way to an RTMPS server: FFmpeg speaks RTMP to a port of this machine, and what it says goes on within TLS.
//!
//! FFmpeg's own TLS is not used: behind a proxy (only so it sends the host's name while the address is one that was checked)
//! its RTMP waits, every few packets, for an answer that need not come. Must not know what is pushed. Invariants: nothing is
//! sent before the server has proved who it is; one connection is let in, and the port is closed behind it; what FFmpeg has
//! written before it closed arrives.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::limits::{CUT_TIMEOUT, RELAY_CONNECT_TIMEOUT, ROUND_TRIP_EVERY, STOP_POLL};
use crate::round_trip::RoundTrip;
use crate::trust::Trust;
use crate::worker::{self, StopToken, Worker};

/// An open way. Dropping it cuts it, after what is on its way has had [`CUT_TIMEOUT`].
pub(super) struct Tunnel {
    address: SocketAddr,
    round_trip: RoundTrip,
    _worker: Worker,
}

impl Tunnel {
    /// Connects to one of these addresses, which must be `host`'s, and waits for one connection from this machine.
    ///
    /// # Errors
    /// When there is no connection within [`RELAY_CONNECT_TIMEOUT`], or the server is not who it should be.
    pub(super) fn open(
        (host, addresses): (&str, &[SocketAddr]),
        trust: &Trust,
        stop: &StopToken,
    ) -> Result<Tunnel, String> {
        let told = |error: std::io::Error| error.to_string();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
        let connected = runtime.block_on(async {
            let connect = async {
                let socket = TcpStream::connect(addresses).await.map_err(told)?;
                let _ = socket.set_nodelay(true); // Only slower without.
                let seen = socket.as_fd().try_clone_to_owned().map_err(told)?;
                Ok::<_, String>((trust.connect(host, socket).await?, seen))
            };
            tokio::select! {
                connected = timeout(RELAY_CONNECT_TIMEOUT, connect) => {
                    connected.unwrap_or_else(|_| Err("no answer within the time limit".into()))
                }
                () = stopped(stop) => Err("cut short".into()),
            }
        });
        let (server, seen) = connected?;
        let bound = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = bound.map_err(told)?;
        let address = listener.local_addr().map_err(told)?;
        let round_trip = RoundTrip::default();
        let measured = round_trip.clone();
        let worker = worker::spawn("rtmps", StopToken::new(), move |stop| {
            runtime.block_on(async {
                tokio::select! {
                    () = carry(listener, server) => {}
                    () = measure(&measured, seen) => {}
                    () = stopped_for_long(&stop) => {}
                }
            });
            runtime.shutdown_background();
        });
        Ok(Tunnel { address, round_trip, _worker: worker.map_err(told)? })
    }

    /// Where FFmpeg connects to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How far away the server is.
    pub(super) fn round_trip(&self) -> RoundTrip {
        self.round_trip.clone()
    }
}

/// Measures for as long as it is waited for.
async fn measure(round_trip: &RoundTrip, socket: OwnedFd) {
    loop {
        round_trip.measure(socket.as_fd());
        sleep(ROUND_TRIP_EVERY).await;
    }
}

async fn stopped(stop: &StopToken) {
    while !stop.is_stopped() {
        sleep(STOP_POLL).await;
    }
}

async fn stopped_for_long(stop: &StopToken) {
    stopped(stop).await;
    sleep(CUT_TIMEOUT).await;
}

/// Carries until FFmpeg has closed, or the server takes no more.
async fn carry(listener: TcpListener, server: impl AsyncRead + AsyncWrite) {
    let Ok((client, _)) = listener.accept().await else { return };
    drop(listener);
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = split(server);
    let there = async {
        if copy(&mut from_client, &mut to_server).await.is_ok() {
            // TLS has a goodbye of its own.
            let _ = to_server.shutdown().await;
        }
    };
    let back = async {
        let _ = copy(&mut from_server, &mut to_client).await;
        // FFmpeg finds it closed when it writes next.
        let _ = to_client.shutdown().await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
