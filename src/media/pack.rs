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
use super::packet::{Packet, StreamHeader, VideoCodec};
use crate::limits::RECORD_FRAGMENT;

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// FLV.
    Flv,
    /// MP4 in fragments of [`RECORD_FRAGMENT`] or a group of pictures, whichever is shorter.
    FragmentedMp4,
    /// MPEG-TS.
    Ts,
    /// MP4 in fragments, each from one cut to the next; what comes before the first packet is the initialisation.
    Segments,
}

/// Whether MPEG-TS has a place for the codec. For AV1 it is a draft that FFmpeg does not follow: it writes data that nobody
/// takes for a picture.
pub(crate) fn fits_ts(codec: VideoCodec) -> bool {
    codec != VideoCodec::Av1
}

pub(super) fn carried_by_ts(codec: VideoCodec) -> Result<(), MuxError> {
    match fits_ts(codec) {
        true => Ok(()),
        false => Err(MuxError {
            what: "cannot create the container",
            reason: format!("MPEG-TS does not carry {}", codec.name()),
        }),
    }
}

/// An open container.
#[derive(Debug)]
pub enum Packer {
    /// Ours.
    Flv {
        /// How its video is coded.
        codec: VideoCodec,
        /// The bytes that were not taken yet.
        ready: Vec<u8>,
        /// [`StreamHeader::shift_ns`]
        shift_ns: i64,
    },
    /// FFmpeg's.
    Ffmpeg(FfmpegPacker),
}

impl Packer {
    /// Begins a container.
    ///
    /// # Errors
    /// When FFmpeg refuses, or the container does not take the codec.
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
                let (codec, shift_ns) = (header.decoder.codec, header.shift_ns);
                Ok(Packer::Flv { codec, ready, shift_ns })
            }
            Container::FragmentedMp4 => {
                let fragment_us = RECORD_FRAGMENT.as_micros().to_string();
                let options = Options::new(&[
                    (c"movflags", "+frag_keyframe+delay_moov+default_base_moof+skip_trailer"),
                    (c"frag_duration", &fragment_us),
                ]);
                // An edit list says where it begins.
                let header = StreamHeader { shift_ns: 0, ..header.clone() };
                FfmpegPacker::open(c"mp4", options, &header).map(Packer::Ffmpeg)
            }
            Container::Segments => {
                let flags = "+frag_custom+empty_moov+default_base_moof+frag_discont+skip_trailer";
                // Otherwise the muxer would move times to 0.
                let times = (c"avoid_negative_ts", "disabled");
                let options = [(c"movflags", flags), (c"use_editlist", "0"), times];
                FfmpegPacker::open(c"mp4", Options::new(&options), header).map(Packer::Ffmpeg)
            }
            Container::Ts => {
                carried_by_ts(header.decoder.codec)?;
                FfmpegPacker::open(c"mpegts", Options::new(&[]), header).map(Packer::Ffmpeg)
            }
        }
    }

    /// Adds a packet; it is shown no earlier than at 0, and those of one track come in order of decoding.
    ///
    /// # Errors
    /// When FFmpeg refuses it.
    pub fn write(&mut self, packet: &Packet) -> Result<(), MuxError> {
        match self {
            Packer::Flv { codec, ready, shift_ns } => {
                let tag = flv::media(&packet.later(*shift_ns), *codec);
                ready.extend_from_slice(&flv::framed(&tag));
                Ok(())
            }
            Packer::Ffmpeg(packer) => packer.write(&packet.later(packer.shift_ns)),
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
            Packer::Flv { ready, .. } => std::mem::take(ready),
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
    shift_ns: i64,
}

// SAFETY: context, packet and vector have one owner, and FFmpeg ties none of them to a thread.
#[expect(unsafe_code, reason = "a source's bytes are made on the thread that reads them")]
unsafe impl Send for FfmpegPacker {}

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
        let mut packer = FfmpegPacker { context, packet, ready, shift_ns: header.shift_ns };
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

#[cfg(test)]
mod tests;
