//! Encoders that take planar chroma and keep the bit rate that they were opened with, as FFmpeg has libx265 and libaom.
//!
//! Must not know queues. Invariant: what a decoder was told at the beginning holds for all that comes, whatever the bit rate becomes.

use std::sync::Arc;

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::codec::{Codec, Encoded, Frame};
use super::sets::{self, SetId};
use super::{EncodeError, Idr, Latency, Timing, VideoSettings, aom, check_picture, x265};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::media::packet::{Packet, VideoCodec};
use crate::media::pool::BufferPool;

/// One of them, opened.
pub(super) struct Opened {
    pub(super) codec: Codec,
    /// Its parameter sets.
    pub(super) sets: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(super) struct PlanarEncoder {
    codec: Codec,
    /// Of another bit rate, from the next picture on.
    next: Option<Codec>,
    settings: VideoSettings,
    timing: Timing,
    id: SetId,
    /// Pictures since the last keyframe, that one too.
    group: u32,
    /// With their own id.
    sets: Bytes,
    /// As they are told.
    parameter_sets: Bytes,
    chroma: BufferPool,
}

impl PlanarEncoder {
    pub(super) fn open(settings: &VideoSettings, id: SetId) -> Result<PlanarEncoder, EncodeError> {
        let Opened { codec, sets } = open(settings, None)?;
        let told = sets::told(settings.codec, id, &sets);
        Ok(PlanarEncoder {
            codec,
            next: None,
            settings: settings.clone(),
            timing: Timing::of(settings),
            id,
            group: 0,
            parameter_sets: told.ok_or(EncodeError::NoParameterSets)?,
            sets,
            chroma: BufferPool::default(),
        })
    }

    /// Its parameter sets as a decoder is told them.
    pub(super) fn parameter_sets(&self) -> &[u8] {
        &self.parameter_sets
    }

    /// Keeps another bit rate from the next picture on: another encoder begins, with a keyframe.
    pub(super) fn set_bitrate(&mut self, bps: u32) -> Result<(), EncodeError> {
        if bps == self.settings.bitrate_bps {
            return Ok(());
        }
        if self.settings.latency == Latency::Normal {
            return Err(EncodeError::OneRate);
        }
        let settings = VideoSettings { bitrate_bps: bps, ..self.settings.clone() };
        let Opened { codec, sets } = open(&settings, sets::level(settings.codec, &self.sets))?;
        if sets != self.sets {
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
            self.group = 0;
        }
        let idr = self.in_group(idr);
        let planar = self.planar(picture)?;
        let frame = Frame::of_tick(tick, idr, &planar, ffi::AVPixelFormat::AV_PIX_FMT_YUV420P)?;
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
            let told = sets::told(self.settings.codec, self.id, &unit.data);
            unit.data = told.ok_or(EncodeError::NoParameterSets)?;
            Ok(self.timing.packet(&unit))
        };
        encoded.into_iter().map(packet).collect()
    }

    /// What becomes of the next picture: a group is over so long after it began, where libaom would count from the beginning of all.
    fn in_group(&mut self, idr: Idr) -> Idr {
        let VideoSettings { gop_ticks, picture_ticks, .. } = self.settings;
        let is_over = self.group == 0 || self.group >= gop_ticks / picture_ticks.max(1);
        let idr = if is_over { Idr::Force } else { idr };
        self.group = if idr == Idr::Force { 1 } else { self.group + 1 };
        idr
    }

    /// The picture with its chroma apart.
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

/// Opens one; at this level where it can be told, or at the lowest that will do.
fn open(settings: &VideoSettings, level: Option<u8>) -> Result<Opened, EncodeError> {
    match settings.codec {
        VideoCodec::Hevc => x265::open(settings, level),
        VideoCodec::Av1 => aom::open(settings),
        VideoCodec::H264 => Err(EncodeError::NoEncoder("of H.264 for planar chroma")),
    }
}
