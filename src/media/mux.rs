//! Containers: encoded packets to MP4, RTMP and SRT.
//!
//! Must not know encoders, queues or retries. Invariants: no call blocks longer than its deadline where a network is behind it;
//! a destination's key is never part of an error; what RTMP gets is in order of time.

use std::any::Any;
use std::collections::VecDeque;
use std::ffi::{CStr, c_int};
use std::fmt;
use std::path::Path;
use std::ptr::NonNull;

use ffmpeg_next::ffi;

use super::encode::{Options, ffmpeg_reason};
use super::open::prepare_ffmpeg;
use super::pack::{Container, Packer, carried_by_ts};
use super::packet::{Packet, StreamHeader, Track, VideoCodec};
use super::wire::Wire;
use crate::limits::RELAY_INTERLEAVE_PACKETS;
use crate::round_trip::RoundTrip;
use crate::time::{NS_PER_S, SAMPLE_RATE};
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

/// An open container. Lives on one thread.
#[derive(Debug)]
pub struct Muxer {
    // Dropped in this order.
    form: Form,
    wire: Wire,
}

#[derive(Debug)]
enum Form {
    /// FLV, ours: FFmpeg 5.1's has H.264 alone.
    Flv(Interleaved),
    /// FFmpeg's.
    Ffmpeg(Ffmpeg),
}

impl Muxer {
    /// Connects or creates the destination and writes the header. `stop` cuts whatever is going on, short of a disk.
    ///
    /// # Errors
    /// When the destination cannot be opened within [`RELAY_CONNECT_TIMEOUT`](crate::limits::RELAY_CONNECT_TIMEOUT) or
    /// refuses, or the container does not take the codec.
    pub fn open(
        target: Target<'_>,
        header: &StreamHeader,
        stop: StopToken,
    ) -> Result<Muxer, MuxError> {
        prepare_ffmpeg();
        let format = match target {
            Target::Mp4(_) => Some((c"mp4", Options::new(&[(c"movflags", "+faststart")]))),
            Target::Push(PushTo { protocol: PushProtocol::Srt, .. }) => {
                carried_by_ts(header.decoder.codec)?;
                Some((c"mpegts", Options::new(&[])))
            }
            Target::Push(PushTo { protocol: PushProtocol::Rtmp, .. }) => None,
        };
        let mut wire = Wire::open(target, stop)?;
        let form = match format {
            Some((format, options)) => {
                let mut container = Ffmpeg::new(format, target)?;
                container.begin(header, &wire, options)?;
                Form::Ffmpeg(container)
            }
            None => {
                let mut packer = Packer::open(Container::Flv, header)?;
                wire.write(&packer.take())?;
                Form::Flv(Interleaved { packer, pictures: VecDeque::new() })
            }
        };
        Ok(Muxer { form, wire })
    }

    /// Writes a packet. Those of one track come in order of decoding time.
    ///
    /// # Errors
    /// When the destination takes nothing for [`RELAY_WRITE_TIMEOUT`](crate::limits::RELAY_WRITE_TIMEOUT), is gone or full.
    pub fn write(&mut self, packet: &Packet) -> Result<(), MuxError> {
        self.wire.allow();
        match &mut self.form {
            Form::Flv(flv) => flv.write(packet, &mut self.wire),
            Form::Ffmpeg(container) => container.write(packet),
        }
    }

    /// Writes what is due at the end (index, what waits for its turn) and closes.
    ///
    /// # Errors
    /// As [`Muxer::write`].
    pub fn finish(mut self) -> Result<(), MuxError> {
        self.wire.allow();
        match &mut self.form {
            Form::Flv(flv) => flv.send_until(i64::MAX, &mut self.wire),
            Form::Ffmpeg(container) => container.finish(),
        }
    }
}

/// Tags in order of time. Sound comes a frame or two behind the pictures that it belongs to, and some servers take it amiss.
#[derive(Debug)]
struct Interleaved {
    packer: Packer,
    /// Those that wait for the sound before them: [`RELAY_INTERLEAVE_PACKETS`] at most, then the first goes without.
    pictures: VecDeque<Packet>,
}

impl Interleaved {
    fn write(&mut self, packet: &Packet, wire: &mut Wire) -> Result<(), MuxError> {
        match packet.track {
            Track::Video => {
                self.pictures.push_back(packet.clone());
                match self.pictures.len() > RELAY_INTERLEAVE_PACKETS {
                    true => self.send_next(wire),
                    false => Ok(()),
                }
            }
            Track::Audio => {
                self.send_until(packet.pts_ns, wire)?;
                self.send(packet, wire)
            }
        }
    }

    /// Sends the pictures that are due no later than this.
    fn send_until(&mut self, until_ns: i64, wire: &mut Wire) -> Result<(), MuxError> {
        while self.pictures.front().is_some_and(|picture| picture.dts_ns <= until_ns) {
            self.send_next(wire)?;
        }
        Ok(())
    }

    fn send_next(&mut self, wire: &mut Wire) -> Result<(), MuxError> {
        self.pictures.pop_front().map_or(Ok(()), |picture| self.send(&picture, wire))
    }

    fn send(&mut self, packet: &Packet, wire: &mut Wire) -> Result<(), MuxError> {
        self.packer.write(packet)?;
        wire.write(&self.packer.take())
    }
}

/// A muxer of FFmpeg's that writes by itself.
#[derive(Debug)]
struct Ffmpeg {
    context: NonNull<ffi::AVFormatContext>,
    packet: NonNull<ffi::AVPacket>,
    trailer: Trailer,
    /// See [`StreamHeader::shift_ns`]; 0 in MP4, where an edit list says where it begins.
    shift_ns: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailer {
    /// Not begun, or ended.
    None,
    /// When all went well.
    Due,
    /// Whatever happens: a file that is cut short plays up to there.
    Certain,
}

#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
impl Ffmpeg {
    fn new(format: &CStr, target: Target<'_>) -> Result<Ffmpeg, MuxError> {
        const WHAT: &str = "cannot create the container";
        let url = target.url()?;
        let mut context = std::ptr::null_mut();
        // SAFETY: out-pointer and NUL-terminated strings are valid; FFmpeg copies the strings.
        check(WHAT, unsafe {
            ffi::avformat_alloc_output_context2(
                &mut context,
                std::ptr::null(),
                format.as_ptr(),
                url.as_ptr(),
            )
        })?;
        // SAFETY: no preconditions.
        let packet = NonNull::new(unsafe { ffi::av_packet_alloc() });
        let (Some(context), Some(packet)) = (NonNull::new(context), packet) else {
            return Err(MuxError { what: WHAT, reason: "memory".into() });
        };
        Ok(Ffmpeg { context, packet, trailer: Trailer::None, shift_ns: 0 })
    }

    fn begin(
        &mut self,
        header: &StreamHeader,
        wire: &Wire,
        mut options: Options,
    ) -> Result<(), MuxError> {
        // SAFETY: the context is ours until drop.
        let context = unsafe { self.context.as_mut() };
        (context.pb, context.interrupt_callback) = wire.lend();
        add_streams(context, header)?;
        // SAFETY: streams and I/O are set up; the dictionary stays ours.
        check("cannot begin", unsafe { ffi::avformat_write_header(context, &mut options.0) })?;
        (self.trailer, self.shift_ns) = match wire.is_network() {
            true => (Trailer::Due, header.shift_ns),
            false => (Trailer::Certain, 0),
        };
        Ok(())
    }

    fn write(&mut self, packet: &Packet) -> Result<(), MuxError> {
        let packet = packet.later(self.shift_ns);
        // SAFETY: the packet is ours and blank, the context is ours.
        let raw = unsafe { lend(&packet, self.packet.as_mut(), self.context.as_ref()) };
        // SAFETY: without a buffer of its own FFmpeg copies the data before it returns, and blanks the packet.
        check("cannot write", unsafe {
            ffi::av_interleaved_write_frame(self.context.as_ptr(), raw)
        })
    }

    fn finish(&mut self) -> Result<(), MuxError> {
        self.trailer = Trailer::None;
        // SAFETY: the header was written and this is called once.
        check("cannot finish", unsafe { ffi::av_write_trailer(self.context.as_ptr()) })
    }
}

#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // A network is not bothered again.
        if self.trailer == Trailer::Certain {
            // SAFETY: the header was written and the trailer was not.
            unsafe { ffi::av_write_trailer(self.context.as_ptr()) };
        }
        let mut packet = self.packet.as_ptr();
        // SAFETY: packet and context are ours and freed once; the I/O is the wire's.
        unsafe {
            ffi::avformat_free_context(self.context.as_ptr());
            ffi::av_packet_free(&mut packet);
        }
    }
}

/// Adds the video and, if there is any, the audio stream, in this order.
#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
pub(super) fn add_streams(
    context: &mut ffi::AVFormatContext,
    header: &StreamHeader,
) -> Result<(), MuxError> {
    for track in [Track::Video, Track::Audio] {
        if track == Track::Audio && header.asc.is_empty() {
            continue;
        }
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
    parameters.codec_id = match header.decoder.codec {
        VideoCodec::H264 => ffi::AVCodecID::AV_CODEC_ID_H264,
        VideoCodec::Hevc => ffi::AVCodecID::AV_CODEC_ID_HEVC,
        VideoCodec::Av1 => ffi::AVCodecID::AV_CODEC_ID_AV1,
    };
    // Of MP4, whose muxer would have HEVC with parameter sets in the stream; TS has none.
    parameters.codec_tag = u32::from_le_bytes(*header.decoder.codec.four_cc());
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
