//! A video encoder that goes on: when it panics, fails or hangs, another one takes its place in the same stream, software that of
//! NVENC if need be.
//!
//! Owns the encoder and the thread that it works on. Must not know ticks' sound or sinks. Invariants: every picture handed in
//! comes out as a packet of its tick, of a new encoder as a keyframe; the stream's parameter sets never change; whoever
//! encodes waits for a hung encoder for [`ENCODER_HUNG`] at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::StartError;
use super::encode_loop::black;
use super::stats::Counters;
use crate::fault;
use crate::frame::Picture;
use crate::limits::{
    ENCODE_ATTEMPTS, ENCODER_HUNG, ENCODERS_LEFT_BEHIND, RESTART_WINDOW, STOP_POLL,
};
use crate::media::encode::{EncodeError, Idr, Intake, Latency, Maker, VideoEncoder, VideoSettings};
use crate::media::packet::{BitRate, DecoderConfig, Packet, StreamHeader};
use crate::time::Clock;
use crate::worker::{self, Pulse, Rest, StopToken, Worker};

/// What an encoder is told.
enum Order {
    /// With the bit rate that is kept from it on.
    Picture(u64, Arc<Picture>, Idr, u32),
    /// Give what was held back.
    Finish,
}

type Encoded = Result<Vec<Packet>, EncodeError>;

/// An encoder at work on a thread of its own.
struct Station {
    orders: Sender<Order>,
    encoded: Receiver<Encoded>,
    worker: Worker,
}

/// Why there are no packets.
enum Failure {
    Encoder(EncodeError),
    Panic,
    Hang,
    /// Whoever encodes was told to stop.
    Stopped,
}

impl Failure {
    fn told(&self) -> String {
        match self {
            Failure::Encoder(error) => error.to_string(),
            Failure::Panic => "the encoder's thread panicked".into(),
            Failure::Hang => format!("the encoder took more than {ENCODER_HUNG:?} for a picture"),
            Failure::Stopped => "told to stop".into(),
        }
    }

    fn error(self) -> EncodeError {
        match self {
            Failure::Encoder(error) => error,
            other => EncodeError::Ffmpeg { what: "encoding", reason: other.told() },
        }
    }
}

impl Station {
    fn start(name: &str, mut encoder: VideoEncoder) -> std::io::Result<Station> {
        let (orders, inbox) = bounded::<Order>(1);
        let (outbox, encoded) = bounded(1);
        let place = name.to_owned();
        let worker = worker::spawn(name, StopToken::new(), move |_| {
            while let Ok(order) = inbox.recv() {
                let done = match order {
                    Order::Picture(..) if fault::strikes(&place) => {
                        let reason = "a test asked for it".to_owned();
                        Err(EncodeError::Ffmpeg { what: "encoding", reason })
                    }
                    Order::Picture(tick, picture, idr, bps) => {
                        encoder.set_bitrate(bps).and_then(|()| encoder.encode(tick, &picture, idr))
                    }
                    Order::Finish => {
                        let _ = outbox.send(encoder.finish());
                        return;
                    }
                };
                if outbox.send(done).is_err() {
                    return;
                }
            }
        })?;
        Ok(Station { orders, encoded, worker })
    }

    fn carry_out(
        &self,
        order: Order,
        limit: Option<Duration>,
        (stop, pulse): (&StopToken, &Pulse),
    ) -> Result<Vec<Packet>, Failure> {
        if self.orders.send(order).is_err() {
            return Err(Failure::Panic);
        }
        let clock = Clock::real();
        loop {
            // Who waits for an encoder that hangs does not hang.
            pulse.beat();
            match self.encoded.recv_timeout(STOP_POLL) {
                Ok(encoded) => return encoded.map_err(Failure::Encoder),
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Panic),
                Err(RecvTimeoutError::Timeout) if stop.is_stopped() => {
                    return Err(Failure::Stopped);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if limit.is_some_and(|limit| Duration::from_nanos(clock.now_ns()) > limit) {
                return Err(Failure::Hang);
            }
        }
    }

    /// Ends it; does not wait for one that hangs.
    fn end(self) {
        let Station { orders, worker, .. } = self;
        drop(orders);
        worker.end_within(STOP_POLL);
    }
}

/// See the module.
pub(super) struct SteadyEncoder {
    name: String,
    settings: VideoSettings,
    decoder: DecoderConfig,
    /// What it shall keep, and what it was seen to keep, bit/s.
    bitrate: BitRate,
    kept_bps: u32,
    station: Option<Station>,
    counters: Arc<Counters>,
    maker: Maker,
    intake: Intake,
    /// When NVENC broke last, ns.
    nvenc_broke_ns: Option<u64>,
    clock: Clock,
    rest: Rest,
    /// Of the thread that encodes.
    pulse: Pulse,
    left_behind: u32,
    /// Handed in and not come out; the encoder has had the first `fed` of them. Empty offline.
    given: VecDeque<Given>,
    fed: usize,
}

/// A picture that an encoder may hold.
struct Given {
    tick: u64,
    picture: Arc<Picture>,
    idr: Idr,
}

impl SteadyEncoder {
    /// Opens the first encoder of an output or rendition, on a thread called `encode-{name}`. Whoever encodes beats `pulse` while
    /// it waits.
    pub(super) fn open(
        name: &str,
        settings: &VideoSettings,
        counters: Arc<Counters>,
        pulse: Pulse,
    ) -> Result<SteadyEncoder, StartError> {
        let encoder = VideoEncoder::open(settings)?;
        let bitrate = BitRate::new(settings.bitrate_bps);
        SteadyEncoder::with((encoder, bitrate), (name, settings), counters, pulse)
    }

    /// Opens an encoder for a stream that was begun by another one of these settings.
    pub(super) fn resume(
        (name, settings): (&str, &VideoSettings),
        stream: &StreamHeader,
        counters: Arc<Counters>,
        pulse: Pulse,
    ) -> Result<SteadyEncoder, StartError> {
        let encoder = VideoEncoder::resume(settings, &stream.decoder)?;
        let bitrate = stream.video_bps.clone();
        SteadyEncoder::with((encoder, bitrate), (name, settings), counters, pulse)
    }

    fn with(
        (encoder, bitrate): (VideoEncoder, BitRate),
        (name, settings): (&str, &VideoSettings),
        counters: Arc<Counters>,
        pulse: Pulse,
    ) -> Result<SteadyEncoder, StartError> {
        let name = format!("encode-{name}");
        let (decoder, maker, intake) = (encoder.decoder(), encoder.maker(), encoder.intake());
        counters.set_intake(intake.clone());
        counters.count(|stats| {
            (stats.maker, stats.codec) = (maker, settings.codec);
            stats.passed_over = encoder.passed_over().map(ToString::to_string);
        });
        if let Some(why) = encoder.passed_over() {
            let by = maker.name(settings.codec);
            tracing::warn!(encoder = name, %why, by, "software encodes, not NVENC");
        }
        let station = Some(Station::start(&name, encoder)?);
        Ok(SteadyEncoder {
            name,
            settings: settings.clone(),
            decoder,
            bitrate,
            kept_bps: 0,
            station,
            counters,
            maker,
            intake,
            nvenc_broke_ns: None,
            clock: Clock::real(),
            rest: Rest::default(),
            pulse,
            left_behind: 0,
            given: VecDeque::new(),
            fed: 0,
        })
    }

    /// What a decoder must know, whichever of its encoders is at work.
    pub(super) fn decoder(&self) -> DecoderConfig {
        self.decoder.clone()
    }

    /// The bit rate that it keeps: what this is set to holds from the next picture on, in the same stream.
    pub(super) fn bitrate(&self) -> BitRate {
        self.bitrate.clone()
    }

    /// Whether it can have a picture: one that lies on its device, or on the host; those on a device are copied there, unless that
    /// is lost.
    pub(super) fn can_have(&self, picture: &Picture) -> bool {
        let place = picture.keeper().map(|keeper| keeper.place().memory.device());
        place.is_some() && place == self.intake.device() || picture.fetch().is_ok()
    }

    /// Encodes the picture of `tick`, which must grow; gives the packets that come out, one for each picture, in order of decoding:
    /// those of all ticks up to some tick. Offline,
    /// where nothing may be missing, a failure is final.
    pub(super) fn encode(
        &mut self,
        tick: u64,
        picture: &Arc<Picture>,
        (idr, stop): (Idr, &StopToken),
    ) -> Result<Vec<Packet>, EncodeError> {
        self.given.push_back(Given { tick, picture: Arc::clone(picture), idr });
        let mut packets = Vec::new();
        let mut attempt = 0;
        loop {
            let failure = match self.feed(attempt, &mut packets, stop) {
                Ok(()) => return Ok(packets),
                Err(failure) => failure,
            };
            if !self.is_live() || matches!(failure, Failure::Stopped) {
                return Err(failure.error());
            }
            let before = self.maker;
            self.replace(failure, stop)?;
            // A picture is not to blame before the encoder that stands in has failed at it too.
            attempt = if self.maker == before { attempt + 1 } else { 0 };
        }
    }

    /// How many packets it gives at once, unless it ends or another encoder goes on.
    pub(super) fn burst_pictures(&self) -> usize {
        self.settings.burst_pictures() as usize
    }

    /// Whether it goes on when an encoder fails.
    pub(super) fn is_live(&self) -> bool {
        self.settings.latency == Latency::Zero
    }

    /// Gives the encoder what it has not had yet: the last picture; when it is a new one, also those that the one before held.
    fn feed(
        &mut self,
        attempt: u32,
        packets: &mut Vec<Packet>,
        stop: &StopToken,
    ) -> Result<(), Failure> {
        let limit = self.is_live().then_some(ENCODER_HUNG);
        while let Some(Given { tick, picture, idr }) = self.given.get(self.fed) {
            let shown = match attempt < ENCODE_ATTEMPTS {
                true => Arc::clone(picture),
                false => Arc::new(black(self.settings.size)),
            };
            let bps = self.bitrate.bps();
            let order = Order::Picture(*tick, shown, *idr, bps);
            let station = self.station.as_ref().ok_or(Failure::Stopped)?;
            let out = station.carry_out(order, limit, (stop, &self.pulse))?;
            self.fed += 1;
            // Offline nothing is given twice.
            let gone = if self.is_live() { out.len().min(self.fed) } else { self.fed };
            self.given.drain(..gone);
            self.fed -= gone;
            self.told_bitrate(bps);
            packets.extend(out);
            let held = self.fed;
            self.counters.count(|stats| stats.held = held);
        }
        Ok(())
    }

    /// Notes the bit rate that a picture was encoded at.
    fn told_bitrate(&mut self, bps: u32) {
        let before = std::mem::replace(&mut self.kept_bps, bps);
        if before == bps {
            return;
        }
        self.counters.count(|stats| stats.bitrate_bps = bps);
        if before != 0 {
            tracing::info!(encoder = self.name, before, bps, "another bit rate");
        }
    }

    /// Puts another encoder in the place of one that failed.
    fn replace(&mut self, failure: Failure, stop: &StopToken) -> Result<(), EncodeError> {
        let told = failure.told();
        let rest = self.rest.broke();
        tracing::error!(encoder = self.name, ?rest, "{told}: another one takes its place");
        if matches!(failure, Failure::Hang) {
            self.left_behind += 1;
        }
        if let Some(station) = self.station.take() {
            station.end();
        }
        if self.left_behind > ENCODERS_LEFT_BEHIND {
            return Err(failure.error());
        }
        self.counters.count(|stats| {
            stats.restarts += 1;
            stats.last_fault = Some(match rest.is_zero() {
                true => told,
                false => format!("{told}; it fails again and again and rests for {rest:?}"),
            });
        });
        while !self.rest.is_over() {
            self.pulse.beat();
            if stop.wait(STOP_POLL) {
                return Err(Failure::Stopped.error());
            }
        }
        let encoder = self.another(&failure)?;
        self.intake = encoder.intake();
        self.counters.set_intake(self.intake.clone());
        let reason = |error: std::io::Error| error.to_string();
        let started = Station::start(&self.name, encoder).map_err(reason);
        let started = started.map_err(|reason| EncodeError::Ffmpeg { what: "a thread", reason })?;
        self.station = Some(started);
        self.fed = 0;
        if let Some(first) = self.given.front_mut() {
            first.idr = Idr::Force;
        }
        Ok(())
    }

    /// Opens another encoder of the stream: NVENC once more, but software when that hangs, broke a moment ago too or cannot be had.
    fn another(&mut self, failure: &Failure) -> Result<VideoEncoder, EncodeError> {
        let open = |maker| VideoEncoder::again(&self.settings, maker, &self.decoder);
        if self.maker != Maker::Nvenc {
            return open(self.maker);
        }
        let now_ns = self.clock.now_ns();
        let broke_ns = self.nvenc_broke_ns.replace(now_ns);
        let is_new =
            |broke_ns: u64| Duration::from_nanos(now_ns.saturating_sub(broke_ns)) < RESTART_WINDOW;
        let why = match broke_ns.is_some_and(is_new) {
            // Who hangs may hang again while it is opened, where nobody watches it.
            _ if matches!(failure, Failure::Hang) => "NVENC hangs".to_owned(),
            true => "NVENC broke twice within a minute".to_owned(),
            false => match open(Maker::Nvenc) {
                Ok(encoder) => return Ok(encoder),
                Err(error) => error.to_string(),
            },
        };
        let encoder = open(Maker::StandIn)?;
        let by = Maker::StandIn.name(self.settings.codec);
        tracing::warn!(encoder = self.name, why, by, "software goes on in the place of NVENC");
        self.maker = Maker::StandIn;
        self.counters.count(|stats| {
            stats.maker = Maker::StandIn;
            stats.passed_over = Some(why);
        });
        Ok(encoder)
    }

    /// Gives what was held back.
    pub(super) fn finish(&mut self, stop: &StopToken) -> Result<Vec<Packet>, EncodeError> {
        let mut packets = Vec::new();
        let mut is_again = false;
        while let Some(station) = self.station.take() {
            let finished = station.carry_out(Order::Finish, None, (stop, &self.pulse));
            station.end();
            match finished {
                Ok(last) => packets.extend(last),
                // Another one may give what this one held.
                Err(failure) if self.is_live() && !self.given.is_empty() && !is_again => {
                    is_again = true;
                    self.replace(failure, stop)?;
                    self.feed(0, &mut packets, stop).map_err(Failure::error)?;
                }
                Err(failure) => return Err(failure.error()),
            }
        }
        Ok(packets)
    }
}

impl Drop for SteadyEncoder {
    fn drop(&mut self) {
        if let Some(station) = self.station.take() {
            station.end();
        }
    }
}
