//! Where containers go: FFmpeg's I/O to a file or a server.
//!
//! Must not know containers. Invariants: no call blocks longer than its deadline where a network is behind it; nothing is
//! spoken but what the destination asks for; a destination's key is never part of an error.

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ffmpeg_next::ffi;

use super::encode::Options;
use super::mux::{MuxError, PushProtocol, Target, check};
use crate::limits::{RELAY_CONNECT_TIMEOUT, RELAY_WRITE_TIMEOUT};
use crate::time::Clock;
use crate::worker::StopToken;

/// What FFmpeg's RTMP makes of an error that the server tells (EPERM).
const REFUSED: c_int = -1;

/// An open destination; closed when it is dropped. Lives on one thread.
#[derive(Debug)]
pub(super) struct Wire {
    io: NonNull<ffi::AVIOContext>,
    /// FFmpeg keeps its address.
    patience: Arc<Patience>,
    limit: Option<Duration>,
}

/// When FFmpeg must give up what it is doing.
#[derive(Debug)]
struct Patience {
    clock: Clock,
    until_ns: AtomicU64,
    stop: StopToken,
}

impl Patience {
    fn allow(&self, limit: Option<Duration>) {
        let until = limit.map_or(u64::MAX, |limit| self.clock.now_ns() + limit.as_nanos() as u64);
        self.until_ns.store(until, Ordering::Relaxed);
    }
}

#[expect(unsafe_code, reason = "called by FFmpeg")]
unsafe extern "C" fn is_over(opaque: *mut c_void) -> c_int {
    // SAFETY: `opaque` is the `Patience` that the wire shares, which outlives its I/O.
    let patience = unsafe { &*opaque.cast::<Patience>() };
    let late = patience.clock.now_ns() >= patience.until_ns.load(Ordering::Relaxed);
    c_int::from(late || patience.stop.is_stopped())
}

impl Target<'_> {
    pub(super) fn url(&self) -> Result<CString, MuxError> {
        let text = match self {
            // Whatever the path looks like, it is one.
            Target::Mp4(path) => [b"file:", path.as_os_str().as_encoded_bytes()].concat(),
            Target::Push(to) => to.url.as_bytes().to_vec(),
        };
        CString::new(text)
            .map_err(|error| MuxError { what: "bad destination", reason: error.to_string() })
    }

    /// All that FFmpeg may speak to get there, whatever the URL says.
    fn protocols(&self) -> &'static str {
        match self {
            Target::Mp4(_) => "file",
            Target::Push(to) => match to.protocol {
                PushProtocol::Rtmp => "rtmp,tcp",
                PushProtocol::Srt => "srt",
            },
        }
    }

    /// RTMP makes messages of whole tags; nothing may stay in a buffer behind them.
    fn flags(&self) -> c_int {
        match self {
            Target::Push(to) if to.protocol == PushProtocol::Rtmp => {
                ffi::AVIO_FLAG_WRITE | ffi::AVIO_FLAG_DIRECT
            }
            Target::Mp4(_) | Target::Push(_) => ffi::AVIO_FLAG_WRITE,
        }
    }

    fn limits(&self) -> (Option<Duration>, Option<Duration>) {
        match self {
            Target::Push(_) => (Some(RELAY_CONNECT_TIMEOUT), Some(RELAY_WRITE_TIMEOUT)),
            Target::Mp4(_) => (None, None),
        }
    }
}

#[expect(unsafe_code, reason = "FFmpeg's I/O")]
impl Wire {
    /// Connects or creates the destination. What is left of the time for that counts on until [`Wire::allow`]. `stop` cuts
    /// whatever is going on, short of a disk.
    ///
    /// # Errors
    /// When the destination cannot be opened within [`RELAY_CONNECT_TIMEOUT`] or refuses.
    pub(super) fn open(target: Target<'_>, stop: StopToken) -> Result<Wire, MuxError> {
        let (connect_limit, limit) = target.limits();
        let patience =
            Arc::new(Patience { clock: Clock::real(), until_ns: AtomicU64::new(u64::MAX), stop });
        patience.allow(connect_limit);
        let url = target.url()?;
        let mut pairs: Vec<(&CStr, &str)> = vec![(c"protocol_whitelist", target.protocols())];
        if let Target::Push(to) = target {
            pairs.extend(to.options.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let mut options = Options::new(&pairs);
        let mut io = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call; `patience` outlives the opened I/O.
        let opened = unsafe {
            let interrupt = interrupt(&patience);
            ffi::avio_open2(&mut io, url.as_ptr(), target.flags(), &interrupt, &mut options.0)
        };
        const WHAT: &str = "cannot open the destination";
        if opened == REFUSED && matches!(target, Target::Push(_)) {
            return Err(MuxError { what: WHAT, reason: "the server refuses the stream".into() });
        }
        check(WHAT, opened)?;
        let io = NonNull::new(io).ok_or(MuxError { what: WHAT, reason: "memory".into() })?;
        Ok(Wire { io, patience, limit })
    }

    /// For a container that writes by itself, which must be gone before the wire is.
    pub(super) fn lend(&self) -> (*mut ffi::AVIOContext, ffi::AVIOInterruptCB) {
        (self.io.as_ptr(), interrupt(&self.patience))
    }

    /// Whether a network is behind it.
    pub(super) fn is_network(&self) -> bool {
        self.limit.is_some()
    }

    /// From now on it may take the time of one write, [`RELAY_WRITE_TIMEOUT`].
    pub(super) fn allow(&self) {
        self.patience.allow(self.limit);
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the destination does not take them in the time that it has, is gone or full; then for ever.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), MuxError> {
        let len = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
        // SAFETY: the I/O is ours and the bytes are there for the call.
        check("cannot write", unsafe {
            ffi::avio_write(self.io.as_ptr(), bytes.as_ptr(), len);
            self.io.as_ref().error
        })
    }
}

fn interrupt(patience: &Arc<Patience>) -> ffi::AVIOInterruptCB {
    let opaque = Arc::as_ptr(patience).cast_mut().cast();
    ffi::AVIOInterruptCB { callback: Some(is_over), opaque }
}

#[expect(unsafe_code, reason = "FFmpeg's I/O")]
impl Drop for Wire {
    fn drop(&mut self) {
        // SAFETY: the I/O is ours and closed once.
        unsafe { ffi::avio_close(self.io.as_ptr()) };
    }
}
