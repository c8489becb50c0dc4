//! Packets of one stream on their way through FFmpeg's decoder, on a card or in software.
//!
//! Must not know pictures or samples. Invariants: a decoder that fails on a packet goes on with the next one; a card that
//! fails costs what it had not shown yet at most up to the next key frame, and nothing if it had shown nothing.
#![expect(unsafe_code, reason = "decoder contexts are set up field by field")]

use std::collections::VecDeque;
use std::ffi::c_int;

use ffmpeg_next::codec::{Context, Id, Parameters, threading};
use ffmpeg_next::decoder::Opened;
use ffmpeg_next::{Packet, decoder, error, ffi, frame};

use super::{Counters, Supply};
use crate::limits;
use crate::media::nvdec::CardStream;
use crate::media::open::{MediaError, NS_BASE, StreamInfo};

/// Above this many pixels one thread may not keep up, and frames are decoded by several threads.
const SINGLE_THREAD_PIXELS: u64 = 1920 * 1088;
/// Threads for pictures above it; each delays a live source by a frame.
const BIG_THREADS: usize = 4;

/// Packets waiting for a decoder, and the decoder.
pub(super) struct Feed {
    decoder: Opened,
    // Given back after the decoder.
    card: Option<OnCard>,
    packets: VecDeque<Packet>,
    bytes: usize,
    /// Packets up to the next key frame are of no use.
    skips: bool,
    draining: bool,
    drained: bool,
    counters: Counters,
    fallen: Option<String>,
}

/// A decoder's place on a card, and what it was given before its first frame: software is given it again if there never is
/// one.
struct OnCard {
    stream: CardStream,
    given: Vec<Packet>,
    has_shown: bool,
}

impl Feed {
    /// A decoder for a stream: that of `spare`, begun anew, if it decodes just this. Its buffers then go round; a new one
    /// would get its own while those of the old one are still on their way to the screen.
    pub(super) fn open(stream: &StreamInfo, spare: Option<Feed>) -> Result<Feed, MediaError> {
        let Some(mut feed) = spare.filter(|feed| feed.fits(stream)) else {
            return Feed::begin(Feed::open_decoder(stream.parameters, None)?, None);
        };
        feed.decoder.flush();
        Feed::begin(feed.decoder, feed.card)
    }

    /// A decoder on a card.
    pub(super) fn open_on(card: CardStream, stream: &StreamInfo) -> Result<Feed, MediaError> {
        let opened = Feed::open_decoder(stream.parameters, Some(&card))?;
        Feed::begin(opened, Some(OnCard { stream: card, given: Vec::new(), has_shown: false }))
    }

    fn begin(decoder: Opened, card: Option<OnCard>) -> Result<Feed, MediaError> {
        Ok(Feed {
            decoder,
            card,
            packets: VecDeque::new(),
            bytes: 0,
            skips: false,
            draining: false,
            drained: false,
            counters: Counters::default(),
            fallen: None,
        })
    }

    /// Whether the decoder was opened for a stream like this one.
    pub(super) fn fits(&self, stream: &StreamInfo) -> bool {
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

    fn open_decoder(
        parameters: *const ffi::AVCodecParameters,
        card: Option<&CardStream>,
    ) -> Result<Opened, MediaError> {
        // SAFETY: the parameters are those of an open container or decoder.
        let (context, pixels) = unsafe {
            let id = Id::from((*parameters).codec_id);
            // FFmpeg's own decoder of AV1 works on cards alone, and software has another.
            let own = card.filter(|_| id == Id::AV1).and_then(|_| decoder::find_by_name("av1"));
            let codec = own.or_else(|| decoder::find(id)).ok_or(MediaError::NoMedia)?;
            let mut context = Context::new_with_codec(codec);
            let raw = context.as_mut_ptr();
            if ffi::avcodec_parameters_to_context(raw, parameters) < 0 {
                return Err(MediaError::NoMedia);
            }
            (*raw).pkt_timebase = NS_BASE;
            if let Some(card) = card {
                // FFmpeg then decodes there what it can, and the rest in software.
                (*raw).hw_device_ctx = card.device();
            }
            let size = ((*parameters).width.max(0), (*parameters).height.max(0));
            (context, u64::from(size.0.cast_unsigned()) * u64::from(size.1.cast_unsigned()))
        };
        let mut context = context;
        let is_big = pixels > SINGLE_THREAD_PIXELS && card.is_none();
        context.set_threading(threading::Config {
            kind: threading::Type::Frame,
            count: if is_big { BIG_THREADS } else { 1 },
            ..Default::default()
        });
        let codec = context.codec().ok_or(MediaError::NoMedia)?;
        context.decoder().open_as(codec).map_err(|e| MediaError::Open(e.to_string()))
    }

    pub(super) fn push(&mut self, packet: Packet) {
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
    pub(super) fn pull(&mut self, frame: &mut frame::Frame, supply: Supply) -> bool {
        while !self.drained {
            match self.decoder.receive_frame(frame) {
                Ok(()) => {
                    if let Some(card) = self.card.as_mut().filter(|card| !card.has_shown) {
                        card.has_shown = true;
                        card.given.clear();
                    }
                    return true;
                }
                Err(ffmpeg_next::Error::Eof) => self.drained = !self.was_in_vain(),
                Err(ffmpeg_next::Error::Other { errno: error::EAGAIN }) => {
                    if !self.send(supply) {
                        return false;
                    }
                }
                // An error belongs to one frame; the decoder itself goes on.
                Err(error) => {
                    if !self.fails(error) && !self.send(supply) {
                        return false;
                    }
                }
            }
        }
        false
    }

    fn send(&mut self, supply: Supply) -> bool {
        if let Some(packet) = self.next_packet() {
            let taken = self.decoder.send_packet(&packet);
            if let Some(card) = self.card.as_mut().filter(|card| !card.has_shown) {
                card.given.push(packet);
            }
            match taken {
                Err(error) => _ = self.fails(error),
                Ok(()) => self.look_for_silence(),
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

    /// The next packet that is of use.
    fn next_packet(&mut self) -> Option<Packet> {
        loop {
            let packet = self.packets.pop_front()?;
            self.bytes -= packet.size();
            if self.skips && !packet.is_key() {
                self.counters.packets_dropped += 1;
                continue;
            }
            self.skips = false;
            return Some(packet);
        }
    }

    /// Counts an error; true if it was the card's, which is not used any more.
    fn fails(&mut self, error: ffmpeg_next::Error) -> bool {
        self.counters.decode_errors += 1;
        // What is wrong with the packet is wrong in software too.
        error != ffmpeg_next::Error::InvalidData && self.leave_card(&format!("it failed: {error}"))
    }

    /// A card that takes and takes, and shows nothing, is not used any more.
    fn look_for_silence(&mut self) {
        let given = self.card.as_ref().map_or(0, |card| card.given.len());
        if given > limits::CARD_SILENCE_PACKETS {
            self.leave_card(&format!("it showed nothing of {given} packets"));
        }
    }

    /// Whether all was given to a card that showed nothing; software then begins with it.
    fn was_in_vain(&mut self) -> bool {
        let is_in_vain = |card: &OnCard| !card.has_shown && !card.given.is_empty();
        self.card.as_ref().is_some_and(is_in_vain) && self.leave_card("it showed nothing")
    }

    /// Goes on in software; false when there is no card to leave, or no decoder but the card's.
    pub(super) fn leave_card(&mut self, why: &str) -> bool {
        if self.card.is_none() {
            return false;
        }
        let mut parameters = Parameters::new();
        // SAFETY: both are alive; what the stream declared is copied, extradata included.
        let copied = unsafe {
            let raw = parameters.as_mut_ptr();
            let copied = ffi::avcodec_parameters_from_context(raw, self.decoder.as_ptr());
            // The layout was the card's.
            (*raw).format = ffi::AVPixelFormat::AV_PIX_FMT_NONE as c_int;
            copied
        };
        // SAFETY: the parameters live as long as the call.
        let opened = unsafe { Feed::open_decoder(parameters.as_ptr(), None) };
        let Some(decoder) = opened.ok().filter(|_| copied >= 0) else { return false };
        self.decoder = decoder;
        let Some(card) = self.card.take() else { return false };
        self.skips = card.has_shown;
        for packet in card.given.into_iter().rev() {
            self.bytes += packet.size();
            self.packets.push_front(packet);
        }
        self.draining = false;
        self.fallen = Some(why.to_owned());
        true
    }

    /// Why the card is not used any more, the first time that this is asked.
    pub(super) fn take_fallen(&mut self) -> Option<String> {
        self.fallen.take()
    }

    /// Where its frames are, if on a card.
    pub(super) fn card(&self) -> Option<&CardStream> {
        self.card.as_ref().map(|card| &card.stream)
    }

    /// Throws away what waits and takes no more.
    pub(super) fn finish(&mut self) {
        self.packets.clear();
        self.drained = true;
    }

    pub(super) fn is_drained(&self) -> bool {
        self.drained
    }

    /// Packets waiting to be decoded.
    pub(super) fn backlog(&self) -> usize {
        self.packets.len()
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }
}

#[cfg(test)]
#[path = "../tests/feed.rs"]
mod tests;
