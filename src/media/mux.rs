//! Containers: encoded packets to MP4, RTMP and SRT by FFmpeg's muxers.
//!
//! Must not know encoders, queues or retries. Invariants: no call blocks longer than its deadline where a network is behind it;
//! a destination's key is never part of an error.

use std::any::Any;
use std::ffi::{CStr, CString, c_int, c_void};
use std::fmt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ffmpeg_next::ffi;

use crate::limits::{RELAY_CONNECT_TIMEOUT, RELAY_WRITE_TIMEOUT};
use crate::media::encode::{Options, ffmpeg_reason};
use crate::media::open::prepare_ffmpeg;
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::round_trip::RoundTrip;
use crate::time::{Clock, NS_PER_S, SAMPLE_RATE};
use crate::worker::StopToken;

/// Where packets go.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// An MP4 file, playable from its start once finished.
    Mp4(&'a Path),
    /// A server that takes a push: FLV by RTMP(S), MPEG-TS by SRT.
    Push(&'a PushTo),
}

/// Where to connect to for a push.
pub struct PushTo {
    /// Names a host that was checked, by its address; or a port of this machine that what `keeps` is leads on from.
    pub url: String,
    /// How it is spoken.
    pub protocol: PushProtocol,
    /// Options of FFmpeg's protocols.
    pub options: Vec<(&'static CStr, String)>,
    /// Lives as long as the connection.
    pub keeps: Option<Box<dyn Any + Send + Sync>>,
    /// How far away the server is, where the connection to it is ours and not FFmpeg's.
    pub round_trip: Option<RoundTrip>,
}

impl fmt::Debug for PushTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL has a key in it.
        write!(f, "PushTo {{ {:?} }}", self.protocol)
    }
}

/// How a push is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushProtocol {
    /// `rtmp://`
    Rtmp,
    /// `srt://`
    Srt,
}

/// Why a container could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct MuxError {
    pub(super) what: &'static str,
    pub(super) reason: String,
}

pub(super) fn check(what: &'static str, code: c_int) -> Result<(), MuxError> {
    match code {
        code if code >= 0 => Ok(()),
        code if code == ffi::AVERROR_EXIT => {
            Err(MuxError { what, reason: "no answer within the time limit".into() })
        }
        code => Err(MuxError { what, reason: ffmpeg_reason(code) }),
    }
}

/// What FFmpeg's RTMP makes of an error that the server tells (EPERM).
const REFUSED: c_int = -1;

/// An open container. Lives on one thread.
#[derive(Debug)]
pub struct Muxer {
    context: NonNull<ffi::AVFormatContext>,
    packet: NonNull<ffi::AVPacket>,
    /// FFmpeg keeps its address.
    patience: Arc<Patience>,
    limit: Option<Duration>,
    streaming: Streaming,
    /// See [`StreamHeader::shift_ns`]; 0 in MP4, where an edit list says where it begins.
    shift_ns: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Streaming {
    NotBegun,
    Begun,
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
    // SAFETY: `opaque` is the `Patience` that the muxer shares, which outlives its context.
    let patience = unsafe { &*opaque.cast::<Patience>() };
    let late = patience.clock.now_ns() >= patience.until_ns.load(Ordering::Relaxed);
    c_int::from(late || patience.stop.is_stopped())
}

impl Target<'_> {
    fn format(&self) -> &'static CStr {
        match self {
            Target::Mp4(_) => c"mp4",
            Target::Push(PushTo { protocol: PushProtocol::Srt, .. }) => c"mpegts",
            Target::Push(_) => c"flv",
        }
    }

    fn url(&self) -> Result<CString, MuxError> {
        let text = match self {
            // Whatever the path looks like, it is one.
            Target::Mp4(path) => [b"file:", path.as_os_str().as_encoded_bytes()].concat(),
            Target::Push(to) => to.url.as_bytes().to_vec(),
        };
        CString::new(text)
            .map_err(|error| MuxError { what: "bad destination", reason: error.to_string() })
    }

    fn options(&self) -> Options {
        match self {
            Target::Mp4(_) => Options::new(&[(c"movflags", "+faststart")]),
            Target::Push(PushTo { protocol: PushProtocol::Srt, .. }) => Options::new(&[]),
            Target::Push(_) => Options::new(&[(c"flvflags", "no_duration_filesize")]),
        }
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

    fn limits(&self) -> (Option<Duration>, Option<Duration>) {
        match self {
            Target::Push(_) => (Some(RELAY_CONNECT_TIMEOUT), Some(RELAY_WRITE_TIMEOUT)),
            Target::Mp4(_) => (None, None),
        }
    }
}

#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
impl Muxer {
    /// Connects or creates the destination and writes the header. `stop` cuts whatever is going on, short of a disk.
    ///
    /// # Errors
    /// When the destination cannot be opened within [`RELAY_CONNECT_TIMEOUT`] or refuses.
    pub fn open(
        target: Target<'_>,
        header: &StreamHeader,
        stop: StopToken,
    ) -> Result<Muxer, MuxError> {
        prepare_ffmpeg();
        let url = target.url()?;
        let (connect_limit, limit) = target.limits();
        let mut context = std::ptr::null_mut();
        // SAFETY: out-pointer and NUL-terminated strings are valid; FFmpeg copies the strings.
        check("cannot create the container", unsafe {
            ffi::avformat_alloc_output_context2(
                &mut context,
                std::ptr::null(),
                target.format().as_ptr(),
                url.as_ptr(),
            )
        })?;
        // SAFETY: no preconditions.
        let packet = NonNull::new(unsafe { ffi::av_packet_alloc() });
        let (Some(context), Some(packet)) = (NonNull::new(context), packet) else {
            return Err(MuxError { what: "cannot create the container", reason: "memory".into() });
        };
        let patience =
            Arc::new(Patience { clock: Clock::real(), until_ns: AtomicU64::new(u64::MAX), stop });
        let streaming = Streaming::NotBegun;
        let shift_ns = match target {
            Target::Mp4(_) => 0,
            Target::Push(_) => header.shift_ns,
        };
        let mut muxer = Muxer { context, packet, patience, limit, streaming, shift_ns };
        muxer.patience.allow(connect_limit);
        add_streams(muxer.context(), header)?;
        muxer.begin(target, &url)?;
        Ok(muxer)
    }

    fn context(&mut self) -> &mut ffi::AVFormatContext {
        // SAFETY: the context is ours until drop.
        unsafe { self.context.as_mut() }
    }

    fn begin(&mut self, target: Target<'_>, url: &CStr) -> Result<(), MuxError> {
        let interrupt = ffi::AVIOInterruptCB {
            callback: Some(is_over),
            opaque: Arc::as_ptr(&self.patience).cast_mut().cast(),
        };
        self.context().interrupt_callback = interrupt;
        let mut options = target.options();
        let mut pb = std::ptr::null_mut();
        let mut pairs = vec![(c"protocol_whitelist", target.protocols())];
        if let Target::Push(to) = target {
            pairs.extend(to.options.iter().map(|(name, value)| (*name, value.as_str())));
        }
        let mut protocols = Options::new(&pairs);
        // SAFETY: all pointers are valid for the call; `patience` outlives the opened I/O.
        let opened = unsafe {
            ffi::avio_open2(
                &mut pb,
                url.as_ptr(),
                ffi::AVIO_FLAG_WRITE,
                &interrupt,
                &mut protocols.0,
            )
        };
        if opened == REFUSED && matches!(target, Target::Push(_)) {
            let reason = "the server refuses the stream".into();
            return Err(MuxError { what: "cannot open the destination", reason });
        }
        check("cannot open the destination", opened)?;
        self.context().pb = pb;
        // SAFETY: streams and I/O are set up; the dictionary stays ours.
        check("cannot begin", unsafe {
            ffi::avformat_write_header(self.context.as_ptr(), &mut options.0)
        })?;
        self.streaming = Streaming::Begun;
        Ok(())
    }

    /// Writes a packet. Those of one track come in order of decoding time.
    ///
    /// # Errors
    /// When the destination takes nothing for [`RELAY_WRITE_TIMEOUT`], is gone or full.
    pub fn write(&mut self, packet: &Packet) -> Result<(), MuxError> {
        self.patience.allow(self.limit);
        let packet = packet.later(self.shift_ns);
        // SAFETY: the packet is ours and blank, the context is ours.
        let raw = unsafe { lend(&packet, self.packet.as_mut(), self.context.as_ref()) };
        // SAFETY: without a buffer of its own FFmpeg copies the data before it returns, and blanks the packet.
        check("cannot write", unsafe {
            ffi::av_interleaved_write_frame(self.context.as_ptr(), raw)
        })
    }

    /// Writes what is due at the end (index, last segment, end of stream) and closes.
    ///
    /// # Errors
    /// As [`Muxer::write`].
    pub fn finish(mut self) -> Result<(), MuxError> {
        self.patience.allow(self.limit);
        self.streaming = Streaming::NotBegun;
        // SAFETY: the header was written and this is called once.
        check("cannot finish", unsafe { ffi::av_write_trailer(self.context.as_ptr()) })
    }
}

#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
impl Drop for Muxer {
    fn drop(&mut self) {
        if self.streaming == Streaming::Begun && self.limit.is_none() {
            // A file that is cut short plays up to there. A network is not bothered again.
            // SAFETY: the header was written and the trailer was not.
            unsafe { ffi::av_write_trailer(self.context.as_ptr()) };
        }
        let mut packet = self.packet.as_ptr();
        let context = self.context();
        // SAFETY: the I/O is null or was opened by us; packet and context are ours and freed once.
        unsafe {
            if (*context.oformat).flags & ffi::AVFMT_NOFILE == 0 {
                ffi::avio_closep(&mut context.pb);
            }
            ffi::avformat_free_context(context);
            ffi::av_packet_free(&mut packet);
        }
    }
}

/// Adds the video and the audio stream, in this order.
#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
pub(super) fn add_streams(
    context: &mut ffi::AVFormatContext,
    header: &StreamHeader,
) -> Result<(), MuxError> {
    for track in [Track::Video, Track::Audio] {
        // SAFETY: the context is valid.
        let stream = unsafe { ffi::avformat_new_stream(context, std::ptr::null()) };
        // SAFETY: null or a stream that the context owns; nobody else refers to it.
        let stream = unsafe { stream.as_mut() }
            .ok_or_else(|| MuxError { what: "cannot add a stream", reason: "memory".into() })?;
        // SAFETY: FFmpeg allocates the parameters with the stream.
        let parameters = unsafe { &mut *stream.codecpar };
        match track {
            Track::Video => {
                let (num, den) = (header.rate.num() as i32, header.rate.den() as i32);
                stream.time_base = ffi::AVRational { num: den, den: num };
                let den = den * header.picture_ticks.max(1) as i32;
                stream.avg_frame_rate = ffi::AVRational { num, den };
                describe_video(parameters, header)?;
            }
            Track::Audio => {
                stream.time_base = ffi::AVRational { num: 1, den: SAMPLE_RATE as i32 };
                describe_audio(parameters, header)?;
            }
        }
    }
    Ok(())
}

/// Makes `raw` stand for the packet, whose bytes are lent.
///
/// # Safety
/// `raw` must be blank and not be used for longer than `packet` lives; the streams are those of [`add_streams`].
#[expect(unsafe_code, reason = "FFmpeg's packets are raw")]
pub(super) unsafe fn lend<'a>(
    packet: &Packet,
    raw: &'a mut ffi::AVPacket,
    context: &ffi::AVFormatContext,
) -> &'a mut ffi::AVPacket {
    let index = match packet.track {
        Track::Video => 0,
        Track::Audio => 1,
    };
    // SAFETY: the caller vouches for both streams.
    let base = unsafe { (**context.streams.add(index)).time_base };
    let ticks = |ns: i64| rescale(ns, base);
    raw.stream_index = index as c_int;
    raw.pts = ticks(packet.pts_ns);
    raw.dts = ticks(packet.dts_ns);
    raw.duration = ticks(packet.pts_ns + packet.duration_ns) - raw.pts;
    raw.flags = if packet.key { ffi::AV_PKT_FLAG_KEY } else { 0 };
    raw.data = packet.data.as_ptr().cast_mut();
    raw.size = packet.data.len() as c_int;
    raw
}

/// Nanoseconds to a time base, to the nearest, which undoes the rounding of tick times.
fn rescale(ns: i64, base: ffi::AVRational) -> i64 {
    let divisor = i128::from(base.num) * i128::from(NS_PER_S);
    let scaled = (i128::from(ns) * i128::from(base.den) + divisor / 2).div_euclid(divisor);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

fn describe_video(
    parameters: &mut ffi::AVCodecParameters,
    header: &StreamHeader,
) -> Result<(), MuxError> {
    parameters.codec_type = ffi::AVMediaType::AVMEDIA_TYPE_VIDEO;
    parameters.codec_id = ffi::AVCodecID::AV_CODEC_ID_H264;
    parameters.format = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P as c_int;
    parameters.width = header.size.width_px as c_int;
    parameters.height = header.size.height_px as c_int;
    parameters.sample_aspect_ratio = ffi::AVRational { num: 1, den: 1 };
    parameters.bit_rate = i64::from(header.video_bps.bps());
    parameters.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
    parameters.color_primaries = ffi::AVColorPrimaries::AVCOL_PRI_BT709;
    parameters.color_trc = ffi::AVColorTransferCharacteristic::AVCOL_TRC_BT709;
    parameters.color_space = ffi::AVColorSpace::AVCOL_SPC_BT709;
    parameters.chroma_location = ffi::AVChromaLocation::AVCHROMA_LOC_LEFT;
    set_extradata(parameters, &header.decoder.record)
}

fn describe_audio(
    parameters: &mut ffi::AVCodecParameters,
    header: &StreamHeader,
) -> Result<(), MuxError> {
    parameters.codec_type = ffi::AVMediaType::AVMEDIA_TYPE_AUDIO;
    parameters.codec_id = ffi::AVCodecID::AV_CODEC_ID_AAC;
    parameters.format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as c_int;
    parameters.sample_rate = SAMPLE_RATE as c_int;
    parameters.frame_size = 1024;
    parameters.bit_rate = i64::from(header.audio_bps);
    parameters.ch_layout = crate::media::encode::stereo_layout();
    set_extradata(parameters, &header.asc)
}

#[expect(unsafe_code, reason = "FFmpeg owns the extradata")]
fn set_extradata(parameters: &mut ffi::AVCodecParameters, data: &[u8]) -> Result<(), MuxError> {
    let size = data.len() + ffi::AV_INPUT_BUFFER_PADDING_SIZE as usize;
    // SAFETY: no preconditions; null is turned away.
    let memory: *mut u8 = unsafe { ffi::av_mallocz(size) }.cast();
    if memory.is_null() {
        return Err(MuxError { what: "cannot describe a stream", reason: "memory".into() });
    }
    // SAFETY: `memory` has room for the data and its zeroed padding; FFmpeg frees it with the parameters.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), memory, data.len()) };
    parameters.extradata = memory;
    parameters.extradata_size = data.len() as c_int;
    Ok(())
}
