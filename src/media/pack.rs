//! Containers as bytes: packets in, the bytes of a file out, which whoever asks for them writes.
//!
//! Must not know files. Invariant: what was given out until a cut plays by itself (FLV and TS at any point), whatever
//! happens after it.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::NonNull;

use ffmpeg_next::ffi;

use super::encode::Options;
use super::flv;
use super::mux::{MuxError, add_streams, check, lend};
use super::open::prepare_ffmpeg;
use super::packet::{Packet, StreamHeader};

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// FLV.
    Flv,
    /// MP4 in fragments, one a group of pictures.
    FragmentedMp4,
    /// MPEG-TS.
    Ts,
    /// MP4 in fragments, each from one cut to the next; what comes before the first packet is the initialisation.
    Segments,
}

/// An open container. Lives on one thread.
#[derive(Debug)]
pub enum Packer {
    /// Ours.
    Flv {
        /// The bytes that were not taken yet.
        ready: Vec<u8>,
    },
    /// FFmpeg's.
    Ffmpeg(FfmpegPacker),
}

impl Packer {
    /// Begins a container.
    ///
    /// # Errors
    /// When FFmpeg refuses.
    pub fn open(container: Container, header: &StreamHeader) -> Result<Packer, MuxError> {
        match container {
            Container::Flv => {
                let mut ready = flv::file_header(flv::Tracks::announced((true, true))).to_vec();
                let lead_in = [
                    flv::metadata(header),
                    flv::video_header(header, 0),
                    flv::audio_header(header, 0),
                ];
                for tag in lead_in {
                    ready.extend_from_slice(&flv::framed(&tag));
                }
                Ok(Packer::Flv { ready })
            }
            Container::FragmentedMp4 => {
                let options = Options::new(&[(
                    c"movflags",
                    "+frag_keyframe+delay_moov+default_base_moof+skip_trailer",
                )]);
                FfmpegPacker::open(c"mp4", options, header).map(Packer::Ffmpeg)
            }
            Container::Segments => {
                // The last flag also keeps the muxer from moving times to 0.
                let flags = "+frag_custom+empty_moov+default_base_moof+frag_discont\
                             +skip_trailer+negative_cts_offsets";
                let options = [(c"movflags", flags), (c"use_editlist", "0")];
                FfmpegPacker::open(c"mp4", Options::new(&options), header).map(Packer::Ffmpeg)
            }
            Container::Ts => {
                FfmpegPacker::open(c"mpegts", Options::new(&[]), header).map(Packer::Ffmpeg)
            }
        }
    }

    /// Adds a packet; its time must not be negative, those of one track come in order.
    ///
    /// # Errors
    /// When FFmpeg refuses it.
    pub fn write(&mut self, packet: &Packet) -> Result<(), MuxError> {
        match self {
            Packer::Flv { ready } => {
                ready.extend_from_slice(&flv::framed(&flv::media(packet)));
                Ok(())
            }
            Packer::Ffmpeg(packer) => packer.write(packet),
        }
    }

    /// Puts out what is held back; what follows begins with what a decoder needs first.
    ///
    /// # Errors
    /// When FFmpeg fails.
    pub fn cut(&mut self) -> Result<(), MuxError> {
        match self {
            Packer::Flv { .. } => Ok(()),
            Packer::Ffmpeg(packer) => packer.cut(),
        }
    }

    /// The bytes that are ready.
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Packer::Flv { ready } => std::mem::take(ready),
            Packer::Ffmpeg(packer) => packer.take(),
        }
    }
}

/// A muxer of FFmpeg's that writes into memory.
#[derive(Debug)]
pub struct FfmpegPacker {
    context: NonNull<ffi::AVFormatContext>,
    packet: NonNull<ffi::AVPacket>,
    /// FFmpeg keeps its address.
    ready: NonNull<Vec<u8>>,
}

/// Bytes that FFmpeg gathers before it hands them over.
const BUFFER_BYTES: usize = 32 << 10;

#[expect(unsafe_code, reason = "called by FFmpeg")]
unsafe extern "C" fn keep(opaque: *mut c_void, data: *mut u8, len: c_int) -> c_int {
    let count = usize::try_from(len).unwrap_or(0);
    // SAFETY: `opaque` is the packer's vector, which nobody else touches during a call; FFmpeg vouches for the data.
    unsafe {
        let ready = &mut *opaque.cast::<Vec<u8>>();
        ready.extend_from_slice(std::slice::from_raw_parts(data, count));
    }
    len
}

fn no_memory() -> MuxError {
    MuxError { what: "cannot create the container", reason: "memory".into() }
}

#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
impl FfmpegPacker {
    fn open(
        format: &CStr,
        mut options: Options,
        header: &StreamHeader,
    ) -> Result<FfmpegPacker, MuxError> {
        prepare_ffmpeg();
        let mut context = std::ptr::null_mut();
        // SAFETY: out-pointer and NUL-terminated strings are valid.
        check("cannot create the container", unsafe {
            ffi::avformat_alloc_output_context2(
                &mut context,
                std::ptr::null(),
                format.as_ptr(),
                std::ptr::null(),
            )
        })?;
        // SAFETY: no preconditions.
        let packet = NonNull::new(unsafe { ffi::av_packet_alloc() });
        let ready = NonNull::from(Box::leak(Box::default()));
        let (Some(context), Some(packet)) = (NonNull::new(context), packet) else {
            return Err(no_memory());
        };
        // From here on dropped as a whole.
        let mut packer = FfmpegPacker { context, packet, ready };
        // SAFETY: FFmpeg owns the buffer from here on, and the vector lives as long as the context.
        let io = unsafe {
            ffi::avio_alloc_context(
                ffi::av_malloc(BUFFER_BYTES).cast(),
                BUFFER_BYTES as c_int,
                1,
                packer.ready.as_ptr().cast(),
                None,
                Some(keep),
                None,
            )
        };
        if io.is_null() {
            return Err(no_memory());
        }
        packer.context().pb = io;
        add_streams(packer.context(), header)?;
        // SAFETY: streams and I/O are set up; the dictionary stays ours.
        check("cannot begin", unsafe {
            ffi::avformat_write_header(packer.context.as_ptr(), &mut options.0)
        })?;
        Ok(packer)
    }

    fn context(&mut self) -> &mut ffi::AVFormatContext {
        // SAFETY: the context is ours until drop.
        unsafe { self.context.as_mut() }
    }

    fn write(&mut self, packet: &Packet) -> Result<(), MuxError> {
        // SAFETY: packet and context are ours; the packet is blanked below, before `packet` can go.
        let raw = unsafe { lend(packet, self.packet.as_mut(), self.context.as_ref()) };
        // SAFETY: both are valid; FFmpeg copies what it keeps.
        let code = unsafe { ffi::av_write_frame(self.context.as_ptr(), raw) };
        // SAFETY: the packet is ours; it holds no reference of its own.
        unsafe { ffi::av_packet_unref(self.packet.as_ptr()) };
        check("cannot write", code)
    }

    fn cut(&mut self) -> Result<(), MuxError> {
        // SAFETY: a null packet asks the muxer to put out what it holds.
        check("cannot write", unsafe {
            ffi::av_write_frame(self.context.as_ptr(), std::ptr::null_mut())
        })?;
        // SAFETY: the muxer's own options; others than TS do not know this one and say so.
        unsafe {
            ffi::av_opt_set(
                self.context().priv_data,
                c"mpegts_flags".as_ptr(),
                c"+resend_headers".as_ptr(),
                0,
            );
        }
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        // SAFETY: the I/O is ours; it calls `keep`, which is over when this returns.
        unsafe { ffi::avio_flush(self.context().pb) };
        // SAFETY: nobody else touches the vector between calls of FFmpeg.
        std::mem::take(unsafe { self.ready.as_mut() })
    }
}

#[expect(unsafe_code, reason = "FFmpeg's muxing API")]
impl Drop for FfmpegPacker {
    fn drop(&mut self) {
        let mut packet = self.packet.as_ptr();
        let mut io = self.context().pb;
        // SAFETY: all are ours and freed once; without a trailer the muxer frees what it holds with its context.
        unsafe {
            if !io.is_null() {
                ffi::av_freep((&raw mut (*io).buffer).cast());
                ffi::avio_context_free(&mut io);
                self.context().pb = std::ptr::null_mut();
            }
            ffi::avformat_free_context(self.context.as_ptr());
            ffi::av_packet_free(&mut packet);
            drop(Box::from_raw(self.ready.as_ptr()));
        }
    }
}

/// Bytes of a TS packet.
const TS_PACKET: usize = 188;
/// Where FFmpeg's muxer puts the first stream, which is the video.
const VIDEO_PID: u16 = 0x100;

/// How long the pictures of a transport stream of ours are shown, ns; `None` for less than two of them.
pub fn ts_duration_ns(bytes: &[u8]) -> Option<u64> {
    let times: Vec<u64> = bytes.chunks_exact(TS_PACKET).filter_map(picture_time).collect();
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    let steps = u64::try_from(times.len()).ok()?.checked_sub(1).filter(|steps| *steps > 0)?;
    // 33 bits of 90 kHz: a segment over the wrap would come out absurd, and is then not told.
    let span_ns = (last - first) * 100_000 / 9;
    (span_ns < 3600 * 1_000_000_000).then(|| span_ns + span_ns / steps)
}

/// PTS, 90 kHz, of the picture that begins in this packet.
fn picture_time(packet: &[u8]) -> Option<u64> {
    let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let begins = packet[1] & 0x40 != 0;
    if packet[0] != 0x47 || pid != VIDEO_PID || !begins {
        return None;
    }
    let adaptation = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
    let pes = packet.get(4 + adaptation..)?;
    if pes.len() < 14 || pes[..3] != [0, 0, 1] || pes[7] & 0x80 == 0 {
        return None;
    }
    let bits = |byte: u8, shift: u32| u64::from(byte) << shift;
    Some(
        bits(pes[9] >> 1 & 7, 30)
            | bits(pes[10], 22)
            | bits(pes[11] >> 1, 15)
            | bits(pes[12], 7)
            | bits(pes[13] >> 1, 0),
    )
}
