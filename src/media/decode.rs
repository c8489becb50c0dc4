//! Decoders: packets of one stream in, frames or blocks of samples out.
//!
//! Must not know containers. Invariant: a decoder that fails on a packet goes on with the next one; nothing is
//! shown before the first key frame, nor what the decoder itself calls corrupt.
#![expect(unsafe_code, reason = "frames and parameters are handed over by pointer")]

use std::sync::Arc;

use ffmpeg_next::{Packet, frame};

use super::deinterlace::Deinterlacer;
use super::nvdec::{DecodedBy, Decoder, is_on_card};
use super::open::{MediaError, StreamInfo};
use super::picture::PictureMaker;
use super::resample::{Resampler, samples_ns};
use crate::frame::{AudioBlock, Picture, Size, VideoFrame};
use crate::limits;

mod feed;

use feed::Feed;

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
    decoded_by: DecodedBy,
}

impl VideoTrack {
    /// Begins to decode a stream, with the decoder of `spare` if that fits.
    pub(super) fn open(
        stream: &StreamInfo,
        decoder: &Decoder,
        spare: Option<VideoTrack>,
    ) -> Result<VideoTrack, MediaError> {
        let spare = spare.filter(|track| track.feed.fits(stream));
        let (feed, maker, decoded_by) = match spare {
            Some(VideoTrack { feed, maker, decoded_by, .. }) => {
                (Feed::open(stream, Some(feed))?, maker, decoded_by)
            }
            None => {
                let (feed, decoded_by) = open_feed(stream, decoder)?;
                (feed, PictureMaker::default(), decoded_by)
            }
        };
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
            maker: maker.of_stream(stream.intent),
            frame_ns,
            last_pts_ns: None,
            first_key_ns: None,
            decoded_by,
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
            match self.make_picture() {
                Ok(picture) => {
                    self.feed.counters_mut().decoded += 1;
                    let picture = Arc::new(picture);
                    return Ok(Some((VideoFrame { pts_ns, picture, scaled: vec![] }, duration_ns)));
                }
                Err(error @ MediaError::TooLarge(_)) => return Err(error),
                Err(_) => self.feed.counters_mut().decode_errors += 1,
            }
        }
        Ok(None)
    }

    /// The picture of the frame at hand. A frame on a card is let go of: the decoder has few of them.
    fn make_picture(&mut self) -> Result<Picture, MediaError> {
        if !is_on_card(&self.frame) {
            return self.maker.make(&self.frame);
        }
        let made = match self.feed.card() {
            Some(card) => self.maker.make_on(card, &mut self.frame),
            // Of a card that was left since.
            None => Err(MediaError::Read("its card is not used any more".into())),
        };
        self.frame = frame::Video::empty();
        made.inspect_err(|error| _ = self.feed.leave_card(&error.to_string()))
    }

    /// Decodes until there is a whole frame with its time; false when it needs packets or is drained.
    fn pull_frame(&mut self, supply: Supply) -> bool {
        while !self.deinterlacer.pull(&mut self.frame) {
            if self.feed.pull(&mut self.frame, supply) {
                if self.frame.is_corrupt() {
                    self.feed.counters_mut().decode_errors += 1;
                    continue;
                }
                let follows = self.last_pts_ns.map_or(0, |last| last + self.duration_ns());
                let pts_ns = self.frame.timestamp().unwrap_or(follows);
                self.last_pts_ns = Some(pts_ns);
                self.frame.set_pts(Some(pts_ns));
                self.note_decoder();
                if !self.is_ready_to_filter() {
                    continue;
                }
                self.deinterlacer.push(&mut self.frame);
            } else if self.feed.is_drained() && !self.deinterlacer.is_empty() {
                self.deinterlacer.end();
            } else {
                return false;
            }
        }
        true
    }

    /// Brings a frame that the filter needs to the host, if it is not there; false if that fails.
    fn is_ready_to_filter(&mut self) -> bool {
        let is_filtered = self.frame.is_interlaced() || !self.deinterlacer.is_empty();
        let Some(card) = self.feed.card().filter(|_| is_filtered && is_on_card(&self.frame)) else {
            return true;
        };
        let Err(error) = card.fetch(&mut self.frame) else { return true };
        self.feed.counters_mut().decode_errors += 1;
        self.feed.leave_card(&error.to_string());
        false
    }

    /// Notes what decoded the frame at hand, and why not the card, if it is not.
    fn note_decoder(&mut self) {
        if is_on_card(&self.frame) {
            if self.decoded_by.name != "nvdec" {
                self.decoded_by = DecodedBy { name: "nvdec", refused: None };
            }
            return;
        }
        if let Some(why) = self.feed.take_fallen() {
            self.decoded_by = DecodedBy { name: "software", refused: Some(why) };
        } else if self.decoded_by.name != "software" {
            let refused = self.feed.card().map(|card| {
                card.count_refused();
                "FFmpeg's hwaccel does not take this stream".to_owned()
            });
            let refused = refused.or(self.decoded_by.refused.take());
            self.decoded_by = DecodedBy { name: "software", refused };
        }
    }

    /// What decodes it, as of the last frame.
    pub(super) fn decoded_by(&self) -> &DecodedBy {
        &self.decoded_by
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
        self.feed.finish();
        self.deinterlacer = Deinterlacer::default();
    }

    /// Nothing more will come out.
    pub(super) fn is_drained(&self) -> bool {
        self.feed.is_drained() && self.deinterlacer.is_empty()
    }

    pub(super) fn counters(&self) -> Counters {
        self.feed.counters()
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
        self.feed.backlog()
    }

    /// The next block.
    pub(super) fn pull(&mut self, supply: Supply) -> Option<AudioBlock> {
        while self.feed.pull(&mut self.frame, supply) {
            let pts_ns = self.frame.timestamp();
            // SAFETY: an audio decoder just filled the frame.
            let block = unsafe { self.resampler.convert(self.frame.as_ptr(), pts_ns) };
            if let Some(block) = block {
                self.feed.counters_mut().decoded += 1;
                return Some(block);
            }
        }
        if self.feed.is_drained() && !self.flushed {
            self.flushed = true;
            return self.resampler.flush();
        }
        None
    }

    /// Throws away what waits and takes no more.
    pub(super) fn finish(&mut self) {
        self.feed.finish();
        self.flushed = true;
    }

    /// Nothing more will come out.
    pub(super) fn is_drained(&self) -> bool {
        self.feed.is_drained()
    }

    pub(super) fn counters(&self) -> Counters {
        self.feed.counters()
    }
}

/// A feed on the card, if there is one and it takes the stream.
fn open_feed(stream: &StreamInfo, decoder: &Decoder) -> Result<(Feed, DecodedBy), MediaError> {
    let Decoder::Nvdec(nvdec) = decoder else {
        return Ok((Feed::open(stream, None)?, DecodedBy::default()));
    };
    let refused = match nvdec.place(stream) {
        Ok(card) => match Feed::open_on(card, stream) {
            Ok(feed) => return Ok((feed, DecodedBy::default())),
            Err(error) => error.to_string(),
        },
        Err(why) => why,
    };
    Ok((Feed::open(stream, None)?, DecodedBy { name: "", refused: Some(refused) }))
}

/// Where a block ends.
pub(super) fn block_end_ns(block: &AudioBlock) -> i64 {
    block.pts_ns + samples_ns(block.samples.len())
}

#[cfg(test)]
#[path = "tests/decode.rs"]
mod tests;
