//! libx265 by way of FFmpeg.
//!
//! Must not know queues. Invariants: no B-frames but those that are asked for, no scene-cut keyframes, closed groups; the tier is
//! Main, and the level stays that of the beginning whatever the bit rate becomes.

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::codec::{Codec, Encoded, Frame};
use super::sets::SetId;
use super::x264::{configure, live_threads};
use super::{
    EncodeError, Idr, Latency, Options, Timing, VideoSettings, X264Preset, check_picture, hevc,
    second_id,
};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::media::packet::Packet;
use crate::media::pool::BufferPool;

/// Pictures that x265 holds besides those that it looks at, once it looks ahead (measured with 3.5).
const AHEAD_BESIDES: u32 = 3;

/// An open x265.
#[derive(Debug)]
pub(super) struct X265Encoder {
    codec: Codec,
    /// Of another bit rate, from the next picture on.
    next: Option<Codec>,
    settings: VideoSettings,
    timing: Timing,
    id: SetId,
    parameter_sets: Bytes,
    chroma: BufferPool,
}

impl X265Encoder {
    pub(super) fn open(settings: &VideoSettings, id: SetId) -> Result<X265Encoder, EncodeError> {
        let codec = open(settings, None)?;
        let sets = codec.extradata();
        let parameter_sets = match id {
            SetId::First => Some(sets.to_vec()),
            SetId::Second => second_id::moved_sets(sets),
        };
        Ok(X265Encoder {
            parameter_sets: parameter_sets.ok_or(EncodeError::NoParameterSets)?.into(),
            codec,
            next: None,
            settings: settings.clone(),
            timing: Timing::of(settings),
            id,
            chroma: BufferPool::default(),
        })
    }

    /// VPS, SPS and PPS, Annex B.
    pub(super) fn parameter_sets(&self) -> &[u8] {
        &self.parameter_sets
    }

    /// Keeps another bit rate from the next picture on. FFmpeg's libx265 keeps the one that it was opened with, so another x265
    /// begins, with a keyframe.
    pub(super) fn set_bitrate(&mut self, bps: u32) -> Result<(), EncodeError> {
        if bps == self.settings.bitrate_bps {
            return Ok(());
        }
        if self.settings.latency == Latency::Normal {
            return Err(EncodeError::OneRate);
        }
        let settings = VideoSettings { bitrate_bps: bps, ..self.settings.clone() };
        let codec = open(&settings, hevc::level(self.codec.extradata()))?;
        if codec.extradata() != self.codec.extradata() {
            return Err(EncodeError::NoParameterSets);
        }
        (self.next, self.settings) = (Some(codec), settings);
        Ok(())
    }

    pub(super) fn encode(
        &mut self,
        tick: u64,
        picture: &Arc<Picture>,
        idr: Idr,
    ) -> Result<Vec<Packet>, EncodeError> {
        check_picture(picture, self.settings.size)?;
        let mut encoded = Vec::new();
        if let Some(next) = self.next.take() {
            // What the one before looked at comes first.
            std::mem::replace(&mut self.codec, next).push(None, &mut encoded)?;
        }
        let planar = self.planar(picture)?;
        let mut frame = Frame::lend(&planar, ffi::AVPixelFormat::AV_PIX_FMT_YUV420P)?;
        frame.raw().pts = i64::try_from(tick).unwrap_or(i64::MAX);
        frame.raw().pict_type = match idr {
            Idr::Auto => ffi::AVPictureType::AV_PICTURE_TYPE_NONE,
            Idr::Force => ffi::AVPictureType::AV_PICTURE_TYPE_I,
        };
        self.codec.push(Some(&frame), &mut encoded)?;
        self.packets(encoded)
    }

    pub(super) fn finish(mut self) -> Result<Vec<Packet>, EncodeError> {
        let mut encoded = Vec::new();
        self.codec.push(None, &mut encoded)?;
        self.packets(encoded)
    }

    fn packets(&self, encoded: Vec<Encoded>) -> Result<Vec<Packet>, EncodeError> {
        let packet = |mut unit: Encoded| {
            if self.id == SetId::Second {
                let moved = second_id::moved(&unit.data).ok_or(EncodeError::NoParameterSets)?;
                unit.data = moved.into();
            }
            Ok(self.timing.packet(&unit))
        };
        encoded.into_iter().map(packet).collect()
    }

    /// As x265 takes pictures: it knows no interleaved chroma.
    fn planar(&self, picture: &Picture) -> Result<Picture, EncodeError> {
        let broken = |reason: String| EncodeError::Ffmpeg { what: "planes", reason };
        let [luma, chroma] = picture.planes() else { return Err(broken("not two".into())) };
        let Size { width_px, height_px } = PixelFormat::I420.chroma_size(picture.size());
        let (row, plane) = (width_px as usize, (width_px * height_px) as usize);
        let mut buffer = self.chroma.take(2 * plane);
        let (u, v) = buffer.bytes_mut()[..2 * plane].split_at_mut(plane);
        let rows = chroma.data.chunks(chroma.stride_bytes);
        for ((pairs, u), v) in rows.zip(u.chunks_exact_mut(row)).zip(v.chunks_exact_mut(row)) {
            for ((pair, u), v) in pairs.chunks_exact(2).zip(u).zip(v) {
                (*u, *v) = (pair[0], pair[1]);
            }
        }
        let both = Bytes::from_owner(buffer);
        let of = |data| Plane { data, stride_bytes: row };
        let planes = vec![luma.clone(), of(both.slice(..plane)), of(both.slice(plane..2 * plane))];
        Picture::new(PixelFormat::I420, picture.size(), Color::CANVAS, planes).map_err(broken)
    }
}

/// Opens it; at this level, or at the lowest that will do.
fn open(settings: &VideoSettings, level: Option<u8>) -> Result<Codec, EncodeError> {
    let is_live = settings.latency == Latency::Zero;
    let mut parameters = "annexb=1:repeat-headers=0:info=0:log-level=none:high-tier=0:\
                          b-adapt=0:b-pyramid=0:scenecut=0:open-gop=0"
        .to_owned();
    let mut add = |text: String| {
        parameters.push(':');
        parameters.push_str(&text);
    };
    match threads(settings) {
        Some(1) => add("pools=none:wpp=0".into()),
        Some(count) => add(format!("pools={count}")),
        None => {}
    }
    if is_live || settings.threads == 1 {
        // Of its threads each has rows of the same picture, so that that leaves at once.
        add("frame-threads=1".into());
    }
    let ahead = ahead(settings);
    if is_live && ahead > 0 {
        // Both are off by zerolatency: how far it looks, and what it makes of what it sees.
        add(format!("rc-lookahead={ahead}:cutree={}", u32::from(settings.lookahead_pictures > 0)));
    }
    if let Some(level) = level {
        add(format!("level-idc={}.{}", level / 30, level % 30 / 3));
    }
    let mut pairs = vec![
        (c"preset", settings.preset.name()),
        (c"profile", "main"),
        (c"forced-idr", "1"),
        (c"x265-params", parameters.as_str()),
    ];
    if is_live {
        pairs.push((c"tune", "zerolatency"));
    }
    let mut options = Options::new(&pairs);
    Codec::open(("libx265", c"libx265"), &mut options, |context| {
        configure(context, settings);
        context.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
    })
}

/// How far it looks ahead: further than there are B-frames, without which it does not open.
fn ahead(settings: &VideoSettings) -> u32 {
    let VideoSettings { lookahead_pictures, b_frames, .. } = *settings;
    let least = if b_frames > 0 { b_frames + 1 } else { 0 };
    lookahead_pictures.saturating_sub(AHEAD_BESIDES + b_frames).max(least)
}

/// Threads, where x265 does not choose.
fn threads(settings: &VideoSettings) -> Option<u32> {
    match settings.threads {
        0 => live_threads(settings, thread_rate(settings.preset)),
        count => Some(count),
    }
}

/// Pixels a second that one thread encodes of hard pictures, about half of what was measured (as for x264: 51, 32, 26, 26, 19 and
/// 18 million).
pub(super) fn thread_rate(preset: X264Preset) -> f64 {
    match preset {
        X264Preset::Ultrafast => 25e6,
        X264Preset::Superfast => 16e6,
        X264Preset::Veryfast | X264Preset::Faster => 13e6,
        X264Preset::Fast | X264Preset::Medium => 9e6,
    }
}
