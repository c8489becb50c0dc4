//! Opening and reading containers: a [`Demuxer`] over a URL, a file or a byte source.
//!
//! Owns FFmpeg's format context, its interruption (stop token, deadline) and what protocols and formats it may
//! use. Must not know decoders. Invariant: every call into FFmpeg that may block ends at its deadline or within
//! ~100 ms of the stop; packets leave with time stamps in nanoseconds, unwrapped.
#![expect(unsafe_code, reason = "FFmpeg's demuxers have no safe interface with interruption")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use ffmpeg_next::packet::Mut;
use ffmpeg_next::{Packet, ffi};

use super::dictionary::Dictionary;
use super::intent::Intent;
use super::nvdec::Decoder;
use super::unwrap::Unwrapper;
use crate::frame::Size;
use crate::limits;
use crate::time::Clock;
use crate::worker::StopToken;

/// Why a source does not deliver. The text names the cause, never the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The worker was told to stop.
    #[error("stopped")]
    Stopped,
    /// Nothing came within this time.
    #[error("nothing received for {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// Its address may not be connected to.
    #[error("its address is refused: {0}")]
    Refused(String),
    /// It cannot be opened.
    #[error("cannot be opened: {0}")]
    Open(String),
    /// It has neither video nor audio that can be decoded.
    #[error("has no video or audio that can be decoded")]
    NoMedia,
    /// Its pictures are larger than `limits::MAX_VIDEO_PIXELS` or `MAX_IMAGE_PIXELS`.
    #[error("its pictures of {}x{} px are larger than allowed", .0.width_px, .0.height_px)]
    TooLarge(Size),
    /// Reading failed.
    #[error("reading failed: {0}")]
    Read(String),
    /// It can be opened and is still of no use.
    #[error("{0}")]
    Unfit(String),
    /// An image cannot be decoded.
    #[error("is not an image that can be shown: {0}")]
    Image(String),
}

/// Encoded bytes that arrive by themselves, e.g. FLV from a publisher.
pub struct ByteSource {
    /// Blocks until there are bytes; `Ok(0)` is the end. Must return soon after the token is stopped.
    pub read: ReadBytes,
    /// FFmpeg's name of their container.
    pub format: &'static CStr,
}

/// How a [`ByteSource`] is read.
pub type ReadBytes = Box<dyn FnMut(&mut [u8], &StopToken) -> io::Result<usize> + Send>;

/// What to open.
pub(crate) enum Target {
    /// A URL of FFmpeg's, with options of its protocol.
    Url { url: String, options: Vec<(&'static str, String)> },
    /// Bytes of a container.
    Bytes(ByteSource),
}

/// How patiently the streams are examined before the first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probing {
    /// Quickly: a live source shall show at once.
    Live,
    /// Thoroughly: a file may declare its streams late.
    File,
}

/// All that [`Demuxer::open`] needs.
pub(crate) struct OpenRequest {
    /// What.
    pub(crate) target: Target,
    /// FFmpeg's protocol white-list, comma separated.
    pub(crate) protocols: &'static str,
    /// How thoroughly.
    pub(crate) probing: Probing,
    /// What decodes its video.
    pub(crate) decoder: Decoder,
}

/// Containers that may be opened: no playlists or scripts that could name further files, except HLS, whose
/// protocols the white-list of a local file does not hold.
const LIVE_FORMATS: &CStr = c"flv,live_flv,hls,mpegts,mov,matroska,webm,aac,mp3,ogg";
const FILE_FORMATS: &CStr =
    c"mov,flv,mpegts,mpeg,matroska,webm,avi,asf,mp3,aac,ac3,eac3,flac,ogg,wav,aiff,ivf,h264,hevc,m4v,mpegvideo,mxf,gif";

/// What HTTP needs, directly and by way of a proxy, for HLS with encrypted segments as well.
pub(crate) const HTTP_PROTOCOLS: &str = "http,https,tls,tcp,httpproxy,crypto";

/// Nanoseconds as FFmpeg's time base.
pub(super) const NS_BASE: ffi::AVRational = ffi::AVRational { num: 1, den: 1_000_000_000 };

/// What the interrupt callback looks at.
pub(super) struct Watch {
    stop: StopToken,
    clock: Clock,
    deadline_ns: AtomicU64,
    /// Why a [`ByteSource`] gave no more.
    failure: Mutex<Option<io::Error>>,
}

impl Watch {
    /// Without a deadline until one is set.
    pub(super) fn new(stop: &StopToken) -> Watch {
        Watch {
            stop: stop.clone(),
            clock: Clock::real(),
            deadline_ns: AtomicU64::new(u64::MAX),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn allow(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.deadline_ns.store(self.clock.now_ns().saturating_add(ns), Ordering::Release);
    }

    fn is_over(&self) -> bool {
        self.stop.is_stopped() || self.clock.now_ns() >= self.deadline_ns.load(Ordering::Acquire)
    }

    /// What FFmpeg's `code` means, given that we may have interrupted it ourselves.
    pub(super) fn error(
        &self,
        code: c_int,
        limit: Duration,
        otherwise: fn(String) -> MediaError,
    ) -> MediaError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.stop.is_stopped() {
            MediaError::Stopped
        } else if let Some(failure) = failure {
            otherwise(failure.to_string())
        } else if code == ffi::AVERROR_EXIT || self.is_over() {
            MediaError::TimedOut(limit)
        } else if code == ffi::AVERROR_INVALIDDATA {
            otherwise(
                "it is no audio or video in a known format, or it is cut off or damaged".into(),
            )
        } else {
            otherwise(ffmpeg_next::Error::from(code).to_string())
        }
    }
}

pub(super) unsafe extern "C" fn is_interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: `opaque` is the `Watch` that the demuxer keeps alive longer than its context.
    let watch = unsafe { &*opaque.cast::<Watch>() };
    c_int::from(watch.is_over())
}

struct BytesIo {
    source: ByteSource,
    watch: Arc<Watch>,
}

unsafe extern "C" fn read_bytes(opaque: *mut c_void, buf: *mut u8, len: c_int) -> c_int {
    // SAFETY: `opaque` is the box that the demuxer owns; FFmpeg calls from the one thread that reads.
    let io = unsafe { &mut *opaque.cast::<BytesIo>() };
    let Ok(len) = usize::try_from(len) else { return ffi::AVERROR(ffi::EINVAL) };
    // SAFETY: FFmpeg passes a buffer of `len` bytes; it is zeroed first, as it may be uninitialised.
    let buf = unsafe {
        ptr::write_bytes(buf, 0, len);
        std::slice::from_raw_parts_mut(buf, len)
    };
    // A panic must not unwind into C; here it ends this one stream.
    match catch_unwind(AssertUnwindSafe(|| (io.source.read)(buf, &io.watch.stop))) {
        _ if io.watch.stop.is_stopped() => ffi::AVERROR_EXIT,
        Ok(Ok(0)) => ffi::AVERROR_EOF,
        Ok(Ok(n)) => c_int::try_from(n.min(len)).unwrap_or(c_int::MAX),
        Ok(Err(error)) => {
            *io.watch.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            ffi::AVERROR(ffi::EIO)
        }
        Err(_) => ffi::AVERROR(ffi::EIO),
    }
}

/// Makes FFmpeg silent, because its messages hold whole URLs; its errors come back as values and get their words.
pub(super) fn prepare_ffmpeg() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ffmpeg_next::util::error::register_all();
        // SAFETY: sets one integer.
        unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
    });
}

/// An open container.
pub(super) struct Demuxer {
    context: *mut ffi::AVFormatContext,
    watch: Arc<Watch>,
    bytes: Option<(*mut ffi::AVIOContext, *mut BytesIo)>,
    unwrapper: Unwrapper,
}

// SAFETY: the context is used by one thread at a time, the one that owns the demuxer.
unsafe impl Send for Demuxer {}

impl Drop for Demuxer {
    fn drop(&mut self) {
        // SAFETY: made in `open`, freed once; custom I/O is not touched by `avformat_close_input`.
        unsafe {
            ffi::avformat_close_input(&mut self.context);
            if let Some((mut io, boxed)) = self.bytes.take() {
                ffi::av_freep((&raw mut (*io).buffer).cast());
                ffi::avio_context_free(&mut io);
                drop(Box::from_raw(boxed));
            }
        }
    }
}

/// One elementary stream.
#[derive(Clone, Copy)]
pub(super) struct StreamInfo {
    pub(super) index: usize,
    pub(super) parameters: *const ffi::AVCodecParameters,
    pub(super) intent: Intent,
    pub(super) frame_rate: ffi::AVRational,
    pub(super) start_ns: Option<i64>,
    pub(super) duration_ns: Option<i64>,
}

/// What became of a read.
pub(super) enum ReadOutcome {
    Packet,
    /// A packet that is broken; the next one may not be.
    Damaged,
    End,
}

impl Demuxer {
    /// Connects and learns what streams there are, within `limits::INPUT_CONNECT_TIMEOUT`.
    pub(super) fn open(request: OpenRequest, stop: &StopToken) -> Result<Demuxer, MediaError> {
        prepare_ffmpeg();
        let watch = Arc::new(Watch::new(stop));
        watch.allow(limits::INPUT_CONNECT_TIMEOUT);
        // SAFETY: plain allocation, checked.
        let context = unsafe { ffi::avformat_alloc_context() };
        if context.is_null() {
            return Err(MediaError::Open("out of memory".into()));
        }
        let mut demuxer = Demuxer { context, watch, bytes: None, unwrapper: Unwrapper::default() };
        // SAFETY: the context is valid; the watch lives as long as the demuxer.
        unsafe {
            (*context).interrupt_callback = ffi::AVIOInterruptCB {
                callback: Some(is_interrupted),
                opaque: Arc::as_ptr(&demuxer.watch).cast_mut().cast(),
            };
        }
        // SAFETY: as above.
        unsafe { super::nested::guard(context) };
        demuxer.connect(request)?;
        demuxer.find_streams()?;
        Ok(demuxer)
    }

    fn connect(&mut self, request: OpenRequest) -> Result<(), MediaError> {
        let mut options = BTreeMap::new();
        options.insert("protocol_whitelist", request.protocols.to_owned());
        let formats = match request.probing {
            Probing::Live => LIVE_FORMATS,
            Probing::File => FILE_FORMATS,
        };
        options.insert("format_whitelist", formats.to_string_lossy().into_owned());
        if request.probing == Probing::Live {
            // Not `nobuffer`: that throws the probed packets away, and with them the first key frame.
            options.insert("probesize", "1000000".into());
            options.insert("analyzeduration", "1000000".into());
            // The frame rate is not worth waiting for.
            options.insert("fpsprobesize", "0".into());
            // HLS: a connection per segment, so that each is checked where it leads.
            options.insert("http_persistent", "0".into());
        }
        let (url, format) = match request.target {
            Target::Url { url, options: more } => {
                options.extend(more);
                (url, ptr::null())
            }
            Target::Bytes(source) => {
                let format = source.format;
                self.attach(source)?;
                // SAFETY: the name is a C string.
                (String::new(), unsafe { ffi::av_find_input_format(format.as_ptr()) })
            }
        };
        let url = CString::new(url).map_err(|e| MediaError::Open(e.to_string()))?;
        let mut dict = Dictionary::of(&options);
        // SAFETY: the context is valid, unopened and ours. On failure FFmpeg frees it and nulls the pointer.
        let code = unsafe {
            ffi::avformat_open_input(&mut self.context, url.as_ptr(), format, dict.as_mut())
        };
        if code < 0 {
            return Err(self.watch.error(code, limits::INPUT_CONNECT_TIMEOUT, MediaError::Open));
        }
        Ok(())
    }

    fn attach(&mut self, source: ByteSource) -> Result<(), MediaError> {
        const BUFFER_BYTES: usize = 32 << 10;
        let boxed = Box::into_raw(Box::new(BytesIo { source, watch: Arc::clone(&self.watch) }));
        // SAFETY: buffer, opaque and callback are handed over and freed in `drop`.
        let io = unsafe {
            ffi::avio_alloc_context(
                ffi::av_malloc(BUFFER_BYTES).cast(),
                BUFFER_BYTES as c_int,
                0,
                boxed.cast(),
                Some(read_bytes),
                None,
                None,
            )
        };
        if io.is_null() {
            // SAFETY: nobody else has it.
            drop(unsafe { Box::from_raw(boxed) });
            return Err(MediaError::Open("out of memory".into()));
        }
        self.bytes = Some((io, boxed));
        // SAFETY: both are valid.
        unsafe {
            (*self.context).pb = io;
            (*self.context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        }
        Ok(())
    }

    fn find_streams(&mut self) -> Result<(), MediaError> {
        // SAFETY: the context is open.
        let code = unsafe { ffi::avformat_find_stream_info(self.context, ptr::null_mut()) };
        if code < 0 {
            return Err(self.watch.error(code, limits::INPUT_CONNECT_TIMEOUT, MediaError::Open));
        }
        if self.watch.stop.is_stopped() {
            return Err(MediaError::Stopped);
        }
        Ok(())
    }

    /// The stream of this kind that a player would choose, if a decoder for it exists. A cover picture is none.
    pub(super) fn best(&self, kind: ffi::AVMediaType) -> Option<StreamInfo> {
        // SAFETY: the context is open; an index that FFmpeg returns is valid.
        unsafe {
            let mut codec = ptr::null();
            let index = ffi::av_find_best_stream(self.context, kind, -1, -1, &mut codec, 0);
            let index = usize::try_from(index).ok()?;
            let stream = *(*self.context).streams.add(index);
            if (*stream).disposition & ffi::AV_DISPOSITION_ATTACHED_PIC != 0 {
                return None;
            }
            let to_ns = |value: i64| {
                (value != ffi::AV_NOPTS_VALUE)
                    .then(|| ffi::av_rescale_q(value, (*stream).time_base, NS_BASE))
            };
            Some(StreamInfo {
                index,
                parameters: (*stream).codecpar,
                intent: Intent::of_stream(stream),
                frame_rate: (*stream).avg_frame_rate,
                start_ns: to_ns((*stream).start_time),
                duration_ns: to_ns((*stream).duration),
            })
        }
    }

    /// Asks the container to leave out every stream but these.
    pub(super) fn keep_only(&mut self, wanted: &[usize]) {
        // SAFETY: the context is open; indices below `nb_streams` are valid.
        unsafe {
            for index in 0..(*self.context).nb_streams as usize {
                if !wanted.contains(&index) {
                    (**(*self.context).streams.add(index)).discard = ffi::AVDiscard::AVDISCARD_ALL;
                }
            }
        }
    }

    /// Short name of the container format.
    pub(super) fn format_name(&self) -> String {
        // SAFETY: an open context has a format, whose name is a static C string.
        unsafe { CStr::from_ptr((*(*self.context).iformat).name) }.to_string_lossy().into_owned()
    }

    /// Length of the whole, as the container says or FFmpeg estimates.
    pub(super) fn duration_ns(&self) -> Option<i64> {
        // SAFETY: the context is open.
        let us = unsafe { (*self.context).duration };
        (us != ffi::AV_NOPTS_VALUE && us > 0).then(|| us.saturating_mul(1000))
    }

    /// Length of the whole as the container says it, if it does.
    pub(super) fn declared_ns(&self) -> Option<i64> {
        // SAFETY: the context is open.
        let method = unsafe { (*self.context).duration_estimation_method };
        let says = method == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM;
        self.duration_ns().filter(|_| says)
    }

    /// Goes to the last key frame at or before `ns`.
    pub(super) fn seek_before(&mut self, ns: i64) -> Result<(), MediaError> {
        self.watch.allow(limits::INPUT_READ_TIMEOUT);
        let us = ns / 1000;
        // SAFETY: the context is open.
        let code = unsafe { ffi::avformat_seek_file(self.context, -1, i64::MIN, us, us, 0) };
        if code < 0 {
            return Err(self.watch.error(code, limits::INPUT_READ_TIMEOUT, MediaError::Read));
        }
        Ok(())
    }

    /// Reads the next packet, within `limits::INPUT_READ_TIMEOUT`.
    pub(super) fn read(&mut self, packet: &mut Packet) -> Result<ReadOutcome, MediaError> {
        self.watch.allow(limits::INPUT_READ_TIMEOUT);
        // SAFETY: context and packet are valid.
        let code = unsafe { ffi::av_read_frame(self.context, packet.as_mut_ptr()) };
        if self.watch.stop.is_stopped() {
            return Err(MediaError::Stopped);
        }
        match code {
            0.. => {
                self.stamp(packet);
                Ok(ReadOutcome::Packet)
            }
            ffi::AVERROR_EOF => Ok(ReadOutcome::End),
            ffi::AVERROR_INVALIDDATA => Ok(ReadOutcome::Damaged),
            code => Err(self.watch.error(code, limits::INPUT_READ_TIMEOUT, MediaError::Read)),
        }
    }

    /// Rewrites the packet's times to unwrapped nanoseconds.
    fn stamp(&mut self, packet: &mut Packet) {
        // SAFETY: the packet's stream index is one of the context's.
        let (base, wrap_bits) = unsafe {
            let stream = *(*self.context).streams.add(packet.stream());
            ((*stream).time_base, (*stream).pts_wrap_bits)
        };
        let period = (1..63).contains(&wrap_bits).then(|| 1_i64 << wrap_bits);
        // SAFETY: plain arithmetic.
        let to_ns = |value: i64| unsafe { ffi::av_rescale_q(value, base, NS_BASE) };
        let period_ns = period.map(to_ns);
        let (pts, dts) = (packet.pts().map(to_ns), packet.dts().map(to_ns));
        let reference = dts.or(pts);
        let shift = reference.map_or(0, |ns| self.unwrapper.shift(ns, period_ns));
        packet.set_dts(dts.map(|ns| ns.saturating_add(shift)));
        // A wrap may fall between dts and pts.
        let pts = pts.map(|pts| {
            let pts = pts.saturating_add(shift);
            match (reference, period_ns) {
                (Some(near), Some(period)) => {
                    super::unwrap::nearest(pts, near.saturating_add(shift), period)
                }
                _ => pts,
            }
        });
        packet.set_pts(pts);
        packet.set_duration(to_ns(packet.duration()));
    }
}
