//! Decoders: packets of one stream in, frames or blocks of samples out.
//!
//! Must not know containers. Invariant: a decoder that fails on a packet goes on with the next one; nothing is
//! shown before the first key frame, nor what the decoder itself calls corrupt.
#![expect(unsafe_code, reason = "decoder contexts are set up field by field")]

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::Arc;

use ffmpeg_next::codec::{Context, threading};
use ffmpeg_next::decoder::Opened;
use ffmpeg_next::{Packet, decoder, ffi, frame};

use super::deinterlace::Deinterlacer;
use super::open::{MediaError, NS_BASE, StreamInfo};
use super::picture::PictureMaker;
use super::resample::{Resampler, samples_ns};
use crate::frame::{AudioBlock, Size, VideoFrame};
use crate::limits;

/// Above this many pixels one thread may not keep up, and frames are decoded by several threads.
const SINGLE_THREAD_PIXELS: u64 = 1920 * 1088;
/// Threads for pictures above it; each delays a live source by a frame.
const BIG_THREADS: usize = 4;

/// What a track has seen; all grow only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Pictures and blocks decoded.
    pub(crate) decoded: u64,
    /// Packets or frames that the decoder could not make sense of.
    pub(crate) decode_errors: u64,
    /// Packets thrown away because the other stream was too far behind in the container.
    pub(crate) packets_dropped: u64,
}

/// Whether more packets of a stream can still come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    More,
    Ended,
}

/// Packets waiting for a decoder, and the decoder.
struct Feed {
    decoder: Opened,
    packets: VecDeque<Packet>,
    bytes: usize,
    draining: bool,
    drained: bool,
    counters: Counters,
}

impl Feed {
    /// A decoder for a stream: that of `spare`, begun anew, if it decodes just this. Its buffers then go round; a new one
    /// would get its own while those of the old one are still on their way to the screen.
    fn open(stream: &StreamInfo, spare: Option<Feed>) -> Result<Feed, MediaError> {
        let opened = match spare {
            Some(mut feed) if feed.fits(stream) => {
                feed.decoder.flush();
                feed.decoder
            }
            _ => Feed::open_decoder(stream)?,
        };
        Ok(Feed {
            decoder: opened,
            packets: VecDeque::new(),
            bytes: 0,
            draining: false,
            drained: false,
            counters: Counters::default(),
        })
    }

    /// Whether the decoder was opened for a stream like this one.
    fn fits(&self, stream: &StreamInfo) -> bool {
        let bytes = |data: *const u8, len: c_int| match usize::try_from(len) {
            // SAFETY: FFmpeg keeps so many bytes there.
            Ok(len) if !data.is_null() => unsafe { std::slice::from_raw_parts(data, len) },
            _ => &[],
        };
        // SAFETY: decoder and parameters are alive and only read.
        let (own, new) = unsafe { (&*self.decoder.as_ptr(), &*stream.parameters) };
        own.codec_id == new.codec_id
            && (own.width, own.height) == (new.width, new.height)
            && own.sample_rate == new.sample_rate
            && bytes(own.extradata, own.extradata_size) == bytes(new.extradata, new.extradata_size)
    }

    fn open_decoder(stream: &StreamInfo) -> Result<Opened, MediaError> {
        // SAFETY: the parameters belong to the open container that `stream` was taken from.
        let (context, pixels) = unsafe {
            let parameters = stream.parameters;
            let codec = decoder::find((*parameters).codec_id.into()).ok_or(MediaError::NoMedia)?;
            let mut context = Context::new_with_codec(codec);
            let raw = context.as_mut_ptr();
            if ffi::avcodec_parameters_to_context(raw, parameters) < 0 {
                return Err(MediaError::NoMedia);
            }
            (*raw).pkt_timebase = NS_BASE;
            let size = ((*parameters).width.max(0), (*parameters).height.max(0));
            (context, u64::from(size.0.cast_unsigned()) * u64::from(size.1.cast_unsigned()))
        };
        let mut context = context;
        let threads = if pixels > SINGLE_THREAD_PIXELS { BIG_THREADS } else { 1 };
        context.set_threading(threading::Config {
            kind: threading::Type::Frame,
            count: threads,
            ..Default::default()
        });
        let codec = context.codec().ok_or(MediaError::NoMedia)?;
        context.decoder().open_as(codec).map_err(|e| MediaError::Open(e.to_string()))
    }

    fn push(&mut self, packet: Packet) {
        self.bytes += packet.size();
        self.packets.push_back(packet);
        while self.packets.len() > limits::INPUT_PACKETS || self.bytes > limits::INPUT_PACKET_BYTES
        {
            let Some(dropped) = self.packets.pop_front() else { break };
            self.bytes -= dropped.size();
            self.counters.packets_dropped += 1;
        }
    }

    /// Decodes until there is a frame; false when it needs packets or is drained.
    fn pull(&mut self, frame: &mut frame::Frame, supply: Supply) -> bool {
        while !self.drained {
            match self.decoder.receive_frame(frame) {
                Ok(()) => return true,
                Err(ffmpeg_next::Error::Eof) => self.drained = true,
                Err(ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EAGAIN }) => {
                    if !self.send(supply) {
                        return false;
                    }
                }
                // An error belongs to one frame; the decoder itself goes on.
                Err(_) => {
                    self.counters.decode_errors += 1;
                    if !self.send(supply) {
                        return false;
                    }
                }
            }
        }
        false
    }

    fn send(&mut self, supply: Supply) -> bool {
        if let Some(packet) = self.packets.pop_front() {
            self.bytes -= packet.size();
            if self.decoder.send_packet(&packet).is_err() {
                self.counters.decode_errors += 1;
            }
            return true;
        }
        if supply == Supply::Ended && self.draining {
            self.drained = true;
        }
        if supply == Supply::Ended && !self.draining {
            self.draining = true;
            self.drained = self.decoder.send_eof().is_err();
            return true;
        }
        false
    }
}

/// A video stream being decoded.
pub(super) struct VideoTrack {
    pub(super) stream: usize,
    feed: Feed,
    frame: frame::Video,
    deinterlacer: Deinterlacer,
    maker: PictureMaker,
    frame_ns: i64,
    last_pts_ns: Option<i64>,
    first_key_ns: Option<i64>,
}

impl VideoTrack {
    /// Begins to decode a stream, with the decoder of `spare` if that fits.
    pub(super) fn open(
        stream: &StreamInfo,
        spare: Option<VideoTrack>,
    ) -> Result<VideoTrack, MediaError> {
        let (feed, maker) = spare.map(|track| (track.feed, track.maker)).unzip();
        let feed = Feed::open(stream, feed)?;
        // SAFETY: reads two numbers of the open container's parameters.
        let size = unsafe {
            Size::new(
                (*stream.parameters).width.max(0).cast_unsigned(),
                (*stream.parameters).height.max(0).cast_unsigned(),
            )
        };
        if u64::from(size.width_px) * u64::from(size.height_px) > limits::MAX_VIDEO_PIXELS {
            return Err(MediaError::TooLarge(size));
        }
        let rate = stream.frame_rate;
        let frame_ns = if rate.num > 0 && rate.den > 0 {
            1_000_000_000 * i64::from(rate.den) / i64::from(rate.num)
        } else {
            0
        };
        Ok(VideoTrack {
            stream: stream.index,
            feed,
            frame: frame::Video::empty(),
            deinterlacer: Deinterlacer::default(),
            maker: maker.unwrap_or_default().of_stream(stream.intent),
            frame_ns,
            last_pts_ns: None,
            first_key_ns: None,
        })
    }

    /// Takes a packet; false if it comes before the first key frame and is thrown away.
    pub(super) fn push(&mut self, packet: Packet) -> bool {
        if self.first_key_ns.is_none() && packet.is_key() {
            self.first_key_ns = Some(packet.pts().or(packet.dts()).unwrap_or(0));
        }
        if self.first_key_ns.is_some() {
            self.feed.push(packet);
        }
        self.first_key_ns.is_some()
    }

    /// Time of the key frame that decoding began with.
    pub(super) fn first_key_ns(&self) -> Option<i64> {
        self.first_key_ns
    }

    /// The next picture and its length in nanoseconds.
    pub(super) fn pull(&mut self, supply: Supply) -> Result<Option<(VideoFrame, i64)>, MediaError> {
        while self.pull_frame(supply) {
            let duration_ns = self.duration_ns();
            let pts_ns = self.frame.pts().unwrap_or(0);
            match self.maker.make(&self.frame) {
                Ok(picture) => {
                    self.feed.counters.decoded += 1;
                    let picture = Arc::new(picture);
                    return Ok(Some((VideoFrame { pts_ns, picture, scaled: vec![] }, duration_ns)));
                }
                Err(error @ MediaError::TooLarge(_)) => return Err(error),
                Err(_) => self.feed.counters.decode_errors += 1,
            }
        }
        Ok(None)
    }

    /// Decodes until there is a whole frame with its time; false when it needs packets or is drained.
    fn pull_frame(&mut self, supply: Supply) -> bool {
        while !self.deinterlacer.pull(&mut self.frame) {
            if self.feed.pull(&mut self.frame, supply) {
                if self.frame.is_corrupt() {
                    self.feed.counters.decode_errors += 1;
                    continue;
                }
                let follows = self.last_pts_ns.map_or(0, |last| last + self.duration_ns());
                let pts_ns = self.frame.timestamp().unwrap_or(follows);
                self.last_pts_ns = Some(pts_ns);
                self.frame.set_pts(Some(pts_ns));
                self.deinterlacer.push(&mut self.frame);
            } else if self.feed.drained && !self.deinterlacer.is_empty() {
                self.deinterlacer.end();
            } else {
                return false;
            }
        }
        true
    }

    /// How long the frame at hand is shown.
    fn duration_ns(&self) -> i64 {
        match (self.frame_ns, self.frame.packet().duration) {
            (0, duration) if duration > 0 => duration,
            (0, _) => 40_000_000,
            (frame_ns, _) => frame_ns,
        }
    }

    /// Throws away what waits and takes no more.
    pub(super) fn finish(&mut self) {
        self.feed.packets.clear();
        self.feed.drained = true;
        self.deinterlacer = Deinterlacer::default();
    }

    /// Nothing more will come out.
    pub(super) fn is_drained(&self) -> bool {
        self.feed.drained && self.deinterlacer.is_empty()
    }

    pub(super) fn counters(&self) -> Counters {
        self.feed.counters
    }
}

/// An audio stream being decoded.
pub(super) struct AudioTrack {
    pub(super) stream: usize,
    feed: Feed,
    frame: frame::Audio,
    resampler: Resampler,
    flushed: bool,
}

impl AudioTrack {
    /// Begins to decode a stream, with the decoder of `spare` if that fits.
    pub(super) fn open(
        stream: &StreamInfo,
        spare: Option<AudioTrack>,
    ) -> Result<AudioTrack, MediaError> {
        Ok(AudioTrack {
            stream: stream.index,
            feed: Feed::open(stream, spare.map(|track| track.feed))?,
            frame: frame::Audio::empty(),
            resampler: Resampler::default(),
            flushed: false,
        })
    }

    pub(super) fn push(&mut self, packet: Packet) {
        self.feed.push(packet);
    }

    /// Packets waiting to be decoded.
    pub(super) fn backlog(&self) -> usize {
        self.feed.packets.len()
    }

    /// The next block.
    pub(super) fn pull(&mut self, supply: Supply) -> Option<AudioBlock> {
        while self.feed.pull(&mut self.frame, supply) {
            let pts_ns = self.frame.timestamp();
            // SAFETY: an audio decoder just filled the frame.
            let block = unsafe { self.resampler.convert(self.frame.as_ptr(), pts_ns) };
            if let Some(block) = block {
                self.feed.counters.decoded += 1;
                return Some(block);
            }
        }
        if self.feed.drained && !self.flushed {
            self.flushed = true;
            return self.resampler.flush();
        }
        None
    }

    /// Throws away what waits and takes no more.
    pub(super) fn finish(&mut self) {
        self.feed.packets.clear();
        self.feed.drained = true;
        self.flushed = true;
    }

    /// Nothing more will come out.
    pub(super) fn is_drained(&self) -> bool {
        self.feed.drained
    }

    pub(super) fn counters(&self) -> Counters {
        self.feed.counters
    }
}

/// Where a block ends.
pub(super) fn block_end_ns(block: &AudioBlock) -> i64 {
    block.pts_ns + samples_ns(block.samples.len())
}

#[cfg(test)]
#[path = "tests/decode.rs"]
mod tests;
