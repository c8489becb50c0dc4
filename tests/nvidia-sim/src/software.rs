//! What stands for the encoder on the card: x264, x265 for HEVC, libaom for AV1, by way of FFmpeg.
//!
//! Must not know the driver's interface. Invariant: without B-frames a picture comes out when it goes in.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};

use ffmpeg_next::ffi;

use crate::obus::{self, Parted};

/// What of the card's codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Avc,
    Hevc,
    Av1,
}

impl Codec {
    /// What each picture begins with.
    pub fn delimiter(self) -> &'static [u8] {
        match self {
            Codec::Avc | Codec::Hevc => b"",
            Codec::Av1 => obus::DELIMITER,
        }
    }

    /// FFmpeg's name of what encodes it.
    fn encoder(self) -> &'static CStr {
        match self {
            Codec::Avc => c"libx264",
            Codec::Hevc => c"libx265",
            Codec::Av1 => c"libaom-av1",
        }
    }
}

/// What a picture becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Idr,
    P,
    B,
    /// What the encoder makes of it, no keyframe.
    Any,
}

/// What to encode and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub codec: Codec,
    /// As the codec numbers it; none: the lowest that will do. Of H.264 not looked at, and of AV1 only the lowest can be had.
    pub level: Option<u32>,
    pub width: i32,
    pub height: i32,
    /// Pictures per second, numerator and denominator.
    pub rate: (i32, i32),
    pub bitrate_bps: i64,
    pub vbv_bits: i32,
    pub profile: &'static str,
    /// In a row. With any, the quality is constant and not the bit rate.
    pub b_frames: i32,
    /// Primaries, transfer, matrix as numbers of H.273; whether the range is full; chroma on the left.
    pub colors: Option<[u32; 3]>,
    pub full_range: bool,
    pub chroma_left: bool,
}

/// Of pictures with B-frames among them.
const QUANTIZER: &str = "22";

/// What a keyframe of AV1 may have of the bits of a picture, percent: without it the first has several seconds' of them.
const KEYFRAME_PERCENT: u32 = 300;

/// An open encoder.
#[derive(Debug)]
pub struct Software {
    codec: Codec,
    /// Of another bit rate, with the next keyframe: FFmpeg's x265 and libaom keep the one that they were opened with.
    next: Option<Box<Software>>,
    /// Of AV1.
    sequence_header: Vec<u8>,
    context: NonNull<ffi::AVCodecContext>,
    frame: NonNull<ffi::AVFrame>,
    packet: NonNull<ffi::AVPacket>,
}

// SAFETY: each has one owner and FFmpeg ties none to a thread.
unsafe impl Send for Software {}

impl Software {
    /// Opens it; `None` when FFmpeg refuses.
    pub fn open(wish: &Wish) -> Option<Software> {
        let mut opened = Software::one(wish)?;
        if wish.codec == Codec::Av1 {
            // FFmpeg 5.1 tells no sequence header before there is a picture, so that another one makes one.
            let width = wish.width as usize;
            let black = vec![16; width * wish.height as usize * 3 / 2];
            let first = Software::one(wish)?.encoded(&black, width, (0, Kind::Idr))?;
            opened.sequence_header = obus::parted(&first.first()?.1)?.sequence_header;
        }
        Some(opened)
    }

    fn one(wish: &Wish) -> Option<Software> {
        // SAFETY: no preconditions; null is turned away.
        let opened = unsafe {
            let codec = ffi::avcodec_find_encoder_by_name(wish.codec.encoder().as_ptr());
            if codec.is_null() {
                return None;
            }
            Software {
                codec: wish.codec,
                next: None,
                sequence_header: Vec::new(),
                context: NonNull::new(ffi::avcodec_alloc_context3(codec))?,
                frame: NonNull::new(ffi::av_frame_alloc())?,
                packet: NonNull::new(ffi::av_packet_alloc())?,
            }
        };
        // SAFETY: the context and the frame are ours and nobody else refers to them.
        let (context, frame) =
            unsafe { (&mut *opened.context.as_ptr(), &mut *opened.frame.as_ptr()) };
        configure(context, wish);
        let mut dictionary = ptr::null_mut();
        for (key, value) in options(wish) {
            let (key, value) = (CString::new(key).ok()?, CString::new(value).ok()?);
            // SAFETY: both strings are NUL-terminated and copied.
            unsafe { ffi::av_dict_set(&mut dictionary, key.as_ptr(), value.as_ptr(), 0) };
        }
        // SAFETY: the context was made for its codec; the dictionary is ours and freed once.
        let code = unsafe {
            let code = ffi::avcodec_open2(context, ptr::null(), &mut dictionary);
            ffi::av_dict_free(&mut dictionary);
            code
        };
        if code < 0 {
            return None;
        }
        frame.width = wish.width;
        frame.height = wish.height;
        frame.format = context.pix_fmt as i32;
        // SAFETY: format and size are set.
        (unsafe { ffi::av_frame_get_buffer(frame, 0) } >= 0).then_some(opened)
    }

    /// SPS and PPS, of HEVC also VPS, with their start codes; of AV1 the sequence header.
    pub fn sets(&self) -> Vec<u8> {
        let latest = self.next.as_deref().unwrap_or(self);
        if self.codec == Codec::Av1 {
            return latest.sequence_header.clone();
        }
        // SAFETY: FFmpeg keeps `extradata_size` bytes there as long as the context lives.
        let extradata = unsafe {
            let context = latest.context.as_ref();
            std::slice::from_raw_parts(context.extradata, context.extradata_size as usize)
        };
        let mut sets = Vec::new();
        for unit in units(extradata) {
            let is_set = match self.codec {
                Codec::Avc => matches!(unit[0] & 0x1f, 7 | 8),
                Codec::Hevc => matches!(unit[0] >> 1 & 0x3f, 32..=34),
                Codec::Av1 => false,
            };
            if is_set {
                sets.extend([0, 0, 0, 1]);
                sets.extend(unit);
            }
        }
        sets
    }

    /// The level that the stream says, where it cannot be told one.
    pub fn level(&self) -> Option<u32> {
        obus::level(&self.sequence_header)
    }

    /// Keeps another bit rate from the next picture on: x264 looks at these fields before each. Of HEVC and AV1 from the next
    /// keyframe on; `None` when that cannot be had.
    pub fn set_rate(&mut self, wish: &Wish) -> Option<()> {
        if self.codec != Codec::Avc {
            self.next = Some(Box::new(Software::open(wish)?));
            return Some(());
        }
        // SAFETY: the context is open and ours.
        let context = unsafe { self.context.as_mut() };
        context.bit_rate = wish.bitrate_bps;
        context.rc_max_rate = wish.bitrate_bps;
        context.rc_buffer_size = wish.vbv_bits;
        Some(())
    }

    /// Encodes NV12 with rows `pitch` bytes apart, the chroma right behind; gives what comes out: its time and Annex B, of AV1 OBUs,
    /// without [`Software::sets`] and [`Codec::delimiter`].
    pub fn push(
        &mut self,
        nv12: &[u8],
        pitch: usize,
        time: (i64, Kind),
    ) -> Option<Vec<(i64, Vec<u8>)>> {
        if let Some(next) = self.next.take_if(|_| time.1 == Kind::Idr) {
            *self = *next;
        }
        let mut out = self.encoded(nv12, pitch, time)?;
        if self.codec == Codec::Av1 {
            for (_, bytes) in &mut out {
                let Parted { sequence_header, frames } = obus::parted(bytes)?;
                // Told beforehand, it holds for all that comes.
                if !sequence_header.is_empty() && sequence_header != self.sequence_header {
                    return None;
                }
                *bytes = frames;
            }
        }
        Some(out)
    }

    fn encoded(
        &mut self,
        nv12: &[u8],
        pitch: usize,
        (pts, kind): (i64, Kind),
    ) -> Option<Vec<(i64, Vec<u8>)>> {
        // SAFETY: the frame is ours; FFmpeg may hold a reference to its buffer, which is then made anew.
        let frame = unsafe { &mut *self.frame.as_ptr() };
        // SAFETY: the frame has a buffer.
        if unsafe { ffi::av_frame_make_writable(frame) } < 0 {
            return None;
        }
        let (width, height) = (frame.width as usize, frame.height as usize);
        let rows = [(0, height), (height, height / 2)];
        for (plane, (first, rows)) in rows.into_iter().enumerate() {
            for row in 0..rows {
                let from = &nv12[(first + row) * pitch..][..width];
                let stride = frame.linesize[plane] as usize;
                if plane == 1 && self.codec != Codec::Avc {
                    part(from, frame, row);
                    continue;
                }
                // SAFETY: the plane has `rows` rows of at least `width` bytes, `stride` apart.
                unsafe {
                    ptr::copy_nonoverlapping(
                        from.as_ptr(),
                        frame.data[plane].add(row * stride),
                        width,
                    )
                };
            }
        }
        frame.pts = pts;
        frame.pict_type = match kind {
            Kind::Idr => ffi::AVPictureType::AV_PICTURE_TYPE_I,
            Kind::P => ffi::AVPictureType::AV_PICTURE_TYPE_P,
            Kind::B => ffi::AVPictureType::AV_PICTURE_TYPE_B,
            Kind::Any => ffi::AVPictureType::AV_PICTURE_TYPE_NONE,
        };
        self.send(frame)
    }

    /// Gives what was held back.
    pub fn finish(mut self) -> Option<Vec<(i64, Vec<u8>)>> {
        self.send(ptr::null())
    }

    fn send(&mut self, frame: *const ffi::AVFrame) -> Option<Vec<(i64, Vec<u8>)>> {
        let mut out = Vec::new();
        // SAFETY: all three are ours and valid; a received packet holds `size` bytes at `data` until it is unreferenced.
        unsafe {
            if ffi::avcodec_send_frame(self.context.as_ptr(), frame) < 0 {
                return None;
            }
            while ffi::avcodec_receive_packet(self.context.as_ptr(), self.packet.as_ptr()) >= 0 {
                let packet = self.packet.as_ref();
                let bytes = std::slice::from_raw_parts(packet.data, packet.size as usize).to_vec();
                out.push((packet.pts, bytes));
                ffi::av_packet_unref(self.packet.as_ptr());
            }
        }
        Some(out)
    }
}

impl Drop for Software {
    fn drop(&mut self) {
        let (mut context, mut frame, mut packet) =
            (self.context.as_ptr(), self.frame.as_ptr(), self.packet.as_ptr());
        // SAFETY: all are ours and freed once.
        unsafe {
            ffi::avcodec_free_context(&mut context);
            ffi::av_frame_free(&mut frame);
            ffi::av_packet_free(&mut packet);
        }
    }
}

/// The units of Annex B, without start codes; none is empty.
pub fn units(bytes: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(3).position(|bytes| bytes == [0, 0, 1]) {
        let unit = &rest[at + 3..];
        let next = unit.windows(3).position(|bytes| bytes == [0, 0, 1]);
        let mut end = next.unwrap_or(unit.len());
        while end > 0 && unit[end - 1] == 0 {
            end -= 1;
        }
        units.extend((end > 0).then(|| &unit[..end]));
        rest = &unit[next.unwrap_or(unit.len())..];
    }
    units
}

/// An encoder's own: the fastest that it is, without a thread of its own.
fn options(wish: &Wish) -> Vec<(&'static str, String)> {
    let mut options = vec![("threads", "1".into())];
    if wish.codec == Codec::Av1 {
        let chroma = if wish.chroma_left { "vertical" } else { "unknown" };
        options.extend([
            ("usage", "realtime".into()),
            ("lag-in-frames", "0".into()),
            ("aq-mode", "cyclic".into()),
            // FFmpeg's own name for the speed ends at 8, and it has none for where chroma lies.
            (
                "aom-params",
                format!(
                    "cpu-used=10:max-intra-rate={KEYFRAME_PERCENT}:chroma-sample-position={chroma}"
                ),
            ),
        ]);
        return options;
    }
    options.extend([
        ("preset", "ultrafast".into()),
        ("tune", "zerolatency".into()),
        ("profile", wish.profile.into()),
        ("forced-idr", "1".into()),
        ("sc_threshold", "0".into()),
        ("x265-params", hevc_options(wish)),
        ("b_strategy", "0".into()),
        ("b-pyramid", "none".into()),
    ]);
    options.extend((wish.b_frames > 0).then(|| ("qp", QUANTIZER.into())));
    options
}

/// x265's own; x264 does not look at them.
fn hevc_options(wish: &Wish) -> String {
    let level = match wish.level {
        None => String::new(),
        Some(level) => format!(":level-idc={}.{}", level / 30, level % 30 / 3),
    };
    format!(
        "pools=none:wpp=0:frame-threads=1:bframes={}:b-adapt=0:b-pyramid=0:scenecut=0:open-gop=0:\
         rc-lookahead={}:high-tier=0:info=0:log-level=none{level}",
        wish.b_frames,
        // It wants to look farther than there are.
        if wish.b_frames > 0 { wish.b_frames + 1 } else { 0 },
    )
}

/// A row of interleaved chroma to the planes of U and V.
fn part(pairs: &[u8], frame: &mut ffi::AVFrame, row: usize) {
    for (plane, lane) in [(1, 0), (2, 1)] {
        let samples = pairs.iter().skip(lane).step_by(2);
        let offset = row * frame.linesize[plane] as usize;
        for (index, sample) in samples.enumerate() {
            // SAFETY: the plane has a row of half as many samples as there are bytes.
            unsafe { *frame.data[plane].add(offset + index) = *sample };
        }
    }
}

fn configure(context: &mut ffi::AVCodecContext, wish: &Wish) {
    let (num, den) = wish.rate;
    context.width = wish.width;
    context.height = wish.height;
    context.pix_fmt = match wish.codec {
        Codec::Avc => ffi::AVPixelFormat::AV_PIX_FMT_NV12,
        Codec::Hevc | Codec::Av1 => ffi::AVPixelFormat::AV_PIX_FMT_YUV420P,
    };
    context.time_base = ffi::AVRational { num: den, den: num };
    context.framerate = ffi::AVRational { num, den };
    context.gop_size = i32::MAX;
    context.max_b_frames = wish.b_frames;
    if wish.b_frames == 0 {
        context.bit_rate = wish.bitrate_bps;
        context.rc_max_rate = wish.bitrate_bps;
        context.rc_buffer_size = wish.vbv_bits;
    }
    // Only what was asked for is in the stream.
    if let Some(colors) = wish.colors
        && colors == [1; 3]
    {
        context.color_primaries = ffi::AVColorPrimaries::AVCOL_PRI_BT709;
        context.color_trc = ffi::AVColorTransferCharacteristic::AVCOL_TRC_BT709;
        context.colorspace = ffi::AVColorSpace::AVCOL_SPC_BT709;
        context.color_range = match wish.full_range {
            true => ffi::AVColorRange::AVCOL_RANGE_JPEG,
            false => ffi::AVColorRange::AVCOL_RANGE_MPEG,
        };
    }
    if wish.chroma_left {
        context.chroma_sample_location = ffi::AVChromaLocation::AVCHROMA_LOC_LEFT;
    }
    if wish.codec == Codec::Av1 {
        // Keyframes are those that are asked for, and the rate is constant, its buffer half full at first.
        context.keyint_min = 0;
        context.rc_min_rate = wish.bitrate_bps;
        context.rc_initial_buffer_occupancy = wish.vbv_bits / 2;
        return;
    }
    context.flags |= (ffi::AV_CODEC_FLAG_GLOBAL_HEADER | ffi::AV_CODEC_FLAG_CLOSED_GOP) as i32;
}
