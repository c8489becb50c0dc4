//! How long the way to a server and back takes, as the kernel finds it on a connection over TCP.
//!
//! Must not know what is sent. Invariant: what is told was measured on that very connection.
#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "a socket option that no safe word names")
)]

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The round-trip time of a connection, kept up to date by whoever has it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct RoundTrip(Arc<AtomicU64>);

impl RoundTrip {
    /// As it was measured last; none before the first time.
    pub fn last(&self) -> Option<Duration> {
        let us = self.0.load(Ordering::Relaxed);
        (us > 0).then(|| Duration::from_micros(us))
    }

    /// Asks the kernel. Where it does not tell, all stays as it was.
    pub(crate) fn measure(&self, socket: BorrowedFd<'_>) {
        if let Some(us) = smoothed_us(socket).filter(|us| *us > 0) {
            self.0.store(us.into(), Ordering::Relaxed);
        }
    }
}

/// The kernel's smoothed round-trip time, µs.
#[cfg(target_os = "linux")]
fn smoothed_us(socket: BorrowedFd<'_>) -> Option<u32> {
    use std::mem::{MaybeUninit, size_of};
    use std::os::fd::AsRawFd;

    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the descriptor is open for as long as it is borrowed, and the kernel writes no more than `length` bytes.
    let code = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // SAFETY: it is numbers only, and what the kernel did not write is zero.
    (code == 0).then(|| unsafe { info.assume_init() }.tcpi_rtt)
}

#[cfg(not(target_os = "linux"))]
fn smoothed_us(_socket: BorrowedFd<'_>) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_connection_over_loopback_is_short_and_a_file_has_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        for _ in 0..3 {
            here.write_all(b"ping").unwrap();
            there.read_exact(&mut [0; 4]).unwrap();
            there.write_all(b"pong").unwrap();
            here.read_exact(&mut [0; 4]).unwrap();
        }
        let (connected, file) = (RoundTrip::default(), RoundTrip::default());
        connected.measure(here.as_fd());
        let last = connected.last();
        assert!(last.is_some_and(|last| last < Duration::from_secs(1)), "{last:?}");
        file.measure(std::fs::File::open("/dev/null").unwrap().as_fd());
        assert_eq!(file.last(), None);
    }
}
