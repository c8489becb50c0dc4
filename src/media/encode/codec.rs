//! An open FFmpeg encoder, safe to hold: contexts, frames and packets are freed with their owners.
//!
//! Must not know which codec it is. Invariant: memory of a [`Picture`] lent to FFmpeg lives until FFmpeg lets go of it.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::{EncodeError, Idr, Options, check};
use crate::frame::Picture;
use crate::media::open::prepare_ffmpeg;

/// An `AVCodecContext` of an encoder, with a packet to receive into.
#[derive(Debug)]
pub(super) struct Codec {
    context: NonNull<ffi::AVCodecContext>,
    packet: NonNull<ffi::AVPacket>,
}

// SAFETY: the context and packet have one owner and FFmpeg ties neither to a thread.
#[expect(unsafe_code, reason = "FFmpeg's encoder may move between threads")]
unsafe impl Send for Codec {}

/// What came out of an encoder: times in its time base.
pub(in crate::media) struct Encoded {
    pub(in crate::media) pts: i64,
    pub(in crate::media) dts: i64,
    pub(in crate::media) duration: i64,
    pub(in crate::media) key: bool,
    pub(in crate::media) data: Bytes,
}

#[expect(unsafe_code, reason = "FFmpeg's encoder API")]
impl Codec {
    /// Opens the encoder `name` as `configure` sets it up.
    pub(super) fn open(
        name: (&'static str, &CStr),
        options: &mut Options,
        configure: impl FnOnce(&mut ffi::AVCodecContext),
    ) -> Result<Codec, EncodeError> {
        prepare_ffmpeg();
        // SAFETY: the name is NUL-terminated; the result is null or static.
        let codec = unsafe { ffi::avcodec_find_encoder_by_name(name.1.as_ptr()) };
        if codec.is_null() {
            return Err(EncodeError::NoEncoder(name.0));
        }
        // SAFETY: `codec` is valid; null results are turned away before use.
        let (context, packet) =
            unsafe { (ffi::avcodec_alloc_context3(codec), ffi::av_packet_alloc()) };
        let mut opened = Codec {
            context: NonNull::new(context).ok_or(EncodeError::NoEncoder(name.0))?,
            packet: NonNull::new(packet).ok_or(EncodeError::NoEncoder(name.0))?,
        };
        // SAFETY: the context is ours and nobody else refers to it.
        configure(unsafe { opened.context.as_mut() });
        // SAFETY: context and codec belong together; the dictionary is valid and stays ours.
        let code = unsafe { ffi::avcodec_open2(opened.context.as_ptr(), codec, &mut options.0) };
        check("cannot open the encoder", code)?;
        Ok(opened)
    }

    /// Codec configuration.
    pub(super) fn extradata(&self) -> &[u8] {
        // SAFETY: the context is open and ours.
        let context = unsafe { self.context.as_ref() };
        match context.extradata.is_null() {
            true => &[],
            // SAFETY: FFmpeg keeps `extradata_size` bytes there as long as the context lives.
            false => unsafe {
                std::slice::from_raw_parts(context.extradata, context.extradata_size as usize)
            },
        }
    }

    /// Keeps another bit rate from the next frame on, within a buffer of 1 s as before. FFmpeg's libx264 looks at these fields
    /// before each frame; x264 takes them where it keeps the rate by such a buffer, without a keyframe or other parameter sets.
    pub(super) fn set_rate(&mut self, bps: u32) {
        // SAFETY: the context is open, ours, and nobody else refers to it.
        keep_rate(unsafe { self.context.as_mut() }, bps);
    }

    /// Samples per frame, for audio.
    pub(super) fn frame_size(&self) -> usize {
        // SAFETY: the context is open and ours.
        unsafe { self.context.as_ref() }.frame_size as usize
    }

    /// Encodes a frame, or with `None` what is held back; appends what came out.
    pub(super) fn push(
        &mut self,
        frame: Option<&Frame>,
        out: &mut Vec<Encoded>,
    ) -> Result<(), EncodeError> {
        let frame = frame.map_or(std::ptr::null(), |f| f.0.as_ptr().cast_const());
        // SAFETY: the context is open; the frame is valid or null (flush); FFmpeg takes its own references.
        check("cannot encode", unsafe { ffi::avcodec_send_frame(self.context.as_ptr(), frame) })?;
        loop {
            // SAFETY: both are ours and valid.
            let code =
                unsafe { ffi::avcodec_receive_packet(self.context.as_ptr(), self.packet.as_ptr()) };
            if code == ffi::AVERROR(ffi::EAGAIN) || code == ffi::AVERROR_EOF {
                return Ok(());
            }
            check("cannot encode", code)?;
            // SAFETY: a received packet is valid until the next call.
            let packet = unsafe { self.packet.as_ref() };
            // SAFETY: FFmpeg gave `size` bytes at `data`.
            let data =
                unsafe { std::slice::from_raw_parts(packet.data, packet.size.max(0) as usize) };
            out.push(Encoded {
                pts: packet.pts,
                dts: packet.dts,
                duration: packet.duration,
                key: packet.flags & ffi::AV_PKT_FLAG_KEY != 0,
                data: Bytes::copy_from_slice(data),
            });
        }
    }
}

#[expect(unsafe_code, reason = "FFmpeg's encoder API")]
impl Drop for Codec {
    fn drop(&mut self) {
        let (mut context, mut packet) = (self.context.as_ptr(), self.packet.as_ptr());
        // SAFETY: both are ours and freed once.
        unsafe {
            ffi::avcodec_free_context(&mut context);
            ffi::av_packet_free(&mut packet);
        }
    }
}

/// Has an encoder keep a bit rate within a buffer of 1 s.
pub(super) fn keep_rate(context: &mut ffi::AVCodecContext, bps: u32) {
    context.bit_rate = i64::from(bps);
    context.rc_max_rate = i64::from(bps);
    context.rc_buffer_size = i32::try_from(bps).unwrap_or(i32::MAX);
}

/// An `AVFrame`.
#[derive(Debug)]
pub(super) struct Frame(NonNull<ffi::AVFrame>);

// SAFETY: a frame has one owner and FFmpeg ties it to no thread.
#[expect(unsafe_code, reason = "FFmpeg's frame may move between threads")]
unsafe impl Send for Frame {}

const OUT_OF_MEMORY: &str = "cannot allocate";

fn no_memory() -> EncodeError {
    EncodeError::Ffmpeg { what: OUT_OF_MEMORY, reason: "out of memory".into() }
}

#[expect(unsafe_code, reason = "FFmpeg's frame API")]
impl Frame {
    fn new() -> Result<Frame, EncodeError> {
        // SAFETY: no preconditions; null is turned away.
        NonNull::new(unsafe { ffi::av_frame_alloc() }).map(Frame).ok_or_else(no_memory)
    }

    /// The picture of a tick, its planes lent without a copy.
    pub(super) fn of_tick(
        tick: u64,
        idr: Idr,
        picture: &Picture,
        format: ffi::AVPixelFormat,
    ) -> Result<Frame, EncodeError> {
        let mut frame = Frame::new()?;
        let raw = frame.raw();
        raw.pts = i64::try_from(tick).unwrap_or(i64::MAX);
        raw.pict_type = match idr {
            Idr::Auto => ffi::AVPictureType::AV_PICTURE_TYPE_NONE,
            Idr::Force => ffi::AVPictureType::AV_PICTURE_TYPE_I,
        };
        raw.width = picture.size().width_px as i32;
        raw.height = picture.size().height_px as i32;
        raw.format = format as i32;
        raw.color_range = ffi::AVColorRange::AVCOL_RANGE_MPEG;
        raw.colorspace = ffi::AVColorSpace::AVCOL_SPC_BT709;
        for (index, plane) in picture.planes().iter().enumerate() {
            raw.data[index] = plane.data.as_ptr().cast_mut();
            raw.linesize[index] = plane.stride_bytes as i32;
            raw.buf[index] = lend_bytes(plane.data.clone())?;
        }
        Ok(frame)
    }

    /// Two planes of `f32` samples.
    pub(super) fn stereo(samples: usize, rate: u32) -> Result<Frame, EncodeError> {
        let mut frame = Frame::new()?;
        let raw = frame.raw();
        raw.nb_samples = samples as i32;
        raw.format = ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        raw.sample_rate = rate as i32;
        raw.ch_layout = stereo_layout();
        // SAFETY: format, count and layout are set.
        check(OUT_OF_MEMORY, unsafe { ffi::av_frame_get_buffer(raw, 0) })?;
        Ok(frame)
    }

    /// One of the planes of [`Frame::stereo`], to be filled.
    pub(super) fn channel(&mut self, index: usize) -> &mut [f32] {
        let raw = self.raw();
        let planes = [raw.data[0], raw.data[1]];
        // SAFETY: av_frame_get_buffer made two planes of `nb_samples` aligned floats, and the frame was not yet given to
        // FFmpeg, so nobody else refers to them.
        unsafe { std::slice::from_raw_parts_mut(planes[index].cast(), raw.nb_samples as usize) }
    }

    pub(super) fn raw(&mut self) -> &mut ffi::AVFrame {
        // SAFETY: the frame is ours and valid.
        unsafe { self.0.as_mut() }
    }
}

#[expect(unsafe_code, reason = "FFmpeg's frame API")]
impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: the frame is ours and freed once; its buffers are counted.
        unsafe { ffi::av_frame_free(&mut frame) };
    }
}

/// Bytes as an FFmpeg buffer that holds on to them.
#[expect(unsafe_code, reason = "FFmpeg's buffer API")]
fn lend_bytes(bytes: Bytes) -> Result<*mut ffi::AVBufferRef, EncodeError> {
    unsafe extern "C" fn let_go(opaque: *mut c_void, _data: *mut u8) {
        // SAFETY: `opaque` is the box made below and FFmpeg calls this once.
        drop(unsafe { Box::from_raw(opaque.cast::<Bytes>()) });
    }
    let (data, len) = (bytes.as_ptr().cast_mut(), bytes.len());
    let owner = Box::into_raw(Box::new(bytes));
    // SAFETY: `data` stays valid until `let_go`; the buffer is marked read-only, so nobody writes to it.
    let buffer = unsafe {
        ffi::av_buffer_create(data, len, Some(let_go), owner.cast(), ffi::AV_BUFFER_FLAG_READONLY)
    };
    if buffer.is_null() {
        // SAFETY: FFmpeg took nothing.
        drop(unsafe { Box::from_raw(owner) });
        return Err(no_memory());
    }
    Ok(buffer)
}

/// Left and right, as FFmpeg says it; holds no memory.
#[expect(unsafe_code, reason = "FFmpeg's channel layout")]
pub(in crate::media) fn stereo_layout() -> ffi::AVChannelLayout {
    // SAFETY: an all-zero layout is FFmpeg's own "unset" value.
    let mut layout: ffi::AVChannelLayout = unsafe { std::mem::zeroed() };
    // SAFETY: the layout is ours.
    unsafe { ffi::av_channel_layout_default(&mut layout, 2) };
    layout
}
