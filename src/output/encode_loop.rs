//! The worker between the queue of ticks and the sinks.
//!
//! Owns the encoders and the output's timeline. Must not know sinks. Invariant: ticks go into the encoders without gaps, each
//! with its picture (or the last one) and exactly its samples.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::fan_out::FanOut;
use super::stats::Counters;
use super::{Job, TickMedia};
use crate::frame::{Color, Picture, PixelFormat, Plane, Size, StereoSample};
use crate::limits::STOP_POLL;
use crate::media::encode::{AacEncoder, EncodeError, Idr, VideoEncoder, VideoSettings};
use crate::media::packet::{Packet, Track};
use crate::time::{Clock, FrameRate};
use crate::worker::StopToken;

pub(super) struct EncodeLoop {
    video: VideoEncoder,
    audio: AacEncoder,
    rate: FrameRate,
    clock: Clock,
    picture: Arc<Picture>,
    /// First tick ever, and the next one to encode.
    ticks: Option<(u64, u64)>,
}

/// Whether the loop goes on.
enum Flow {
    Go,
    End,
}

impl EncodeLoop {
    pub(super) fn new(
        video: VideoEncoder,
        audio: AacEncoder,
        settings: &VideoSettings,
    ) -> EncodeLoop {
        EncodeLoop {
            video,
            audio,
            rate: settings.rate,
            clock: Clock::real(),
            picture: Arc::new(black(settings.size)),
            ticks: None,
        }
    }

    /// Encodes until the queue is closed and empty, or `stop`.
    pub(super) fn run(
        mut self,
        jobs: &Receiver<Job>,
        fan_out: &FanOut,
        counters: &Counters,
        stop: &StopToken,
    ) {
        loop {
            if stop.is_stopped() {
                return;
            }
            let result = match jobs.recv_timeout(STOP_POLL) {
                Ok(job) => self.take(job, fan_out, counters, stop),
                Err(RecvTimeoutError::Timeout) => Ok(Flow::Go),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match result {
                Ok(Flow::Go) => {}
                Ok(Flow::End) => return,
                Err(error) => return fail(&error, counters),
            }
        }
        let EncodeLoop { video, audio, .. } = self;
        match (video.finish(), audio.finish()) {
            (Ok(video), Ok(audio)) => {
                deliver(video.into_iter().chain(audio), fan_out, counters, stop);
            }
            (Err(error), _) | (_, Err(error)) => fail(&error, counters),
        }
    }

    /// Encodes a tick and whatever is missing before it.
    fn take(
        &mut self,
        job: Job,
        fan_out: &FanOut,
        counters: &Counters,
        stop: &StopToken,
    ) -> Result<Flow, EncodeError> {
        let Job { media: TickMedia { tick, picture, audio }, mut idr } = job;
        let (first, next) = *self.ticks.get_or_insert((tick, tick));
        if tick < next {
            counters.count(|stats| stats.out_of_order += 1);
            return Ok(Flow::Go);
        }
        for missing in next..tick {
            if stop.is_stopped() {
                return Ok(Flow::End);
            }
            let silence = vec![[0.0; 2]; self.rate.samples_in(missing)];
            counters.count(|stats| stats.filled += 1);
            let packets = self.encode((missing - first, Idr::Auto), &silence, counters)?;
            deliver(packets.into_iter(), fan_out, counters, stop);
        }
        match picture {
            Some(picture) => self.picture = picture,
            None => counters.count(|stats| stats.repeated += 1),
        }
        if tick == first {
            idr = Idr::Force;
        }
        let packets = self.encode((tick - first, idr), &audio, counters)?;
        self.ticks = Some((first, tick + 1));
        deliver(packets.into_iter(), fan_out, counters, stop);
        Ok(Flow::Go)
    }

    fn encode(
        &mut self,
        (tick, idr): (u64, Idr),
        samples: &[StereoSample],
        counters: &Counters,
    ) -> Result<Vec<Packet>, EncodeError> {
        let began_ns = self.clock.now_ns();
        let mut packets = self.video.encode(tick, &self.picture, idr)?;
        packets.extend(self.audio.encode(samples)?);
        counters.encoded_in((self.clock.now_ns() - began_ns) / 1000);
        counters.count(|stats| stats.encoded += 1);
        Ok(packets)
    }
}

fn deliver(
    packets: impl Iterator<Item = Packet>,
    fan_out: &FanOut,
    counters: &Counters,
    stop: &StopToken,
) {
    for packet in packets {
        let bytes = packet.data.len() as u64;
        counters.count(|stats| match packet.track {
            Track::Video => {
                stats.video_bytes += bytes;
                stats.keyframes += u64::from(packet.key);
            }
            Track::Audio => stats.audio_bytes += bytes,
        });
        fan_out.send(&packet, stop);
    }
}

fn fail(error: &EncodeError, counters: &Counters) {
    tracing::error!(%error, "the encoder gave up");
    counters.count(|stats| stats.failure = Some(error.to_string()));
}

/// What is repeated before the first picture has come.
fn black(size: Size) -> Picture {
    let shapes = PixelFormat::Nv12.plane_shapes(size);
    let planes = shapes.into_iter().zip([16, 128]).map(|((row_bytes, rows), value)| Plane {
        data: Bytes::from(vec![value; row_bytes * rows]),
        stride_bytes: row_bytes,
    });
    Picture::new(PixelFormat::Nv12, size, Color::CANVAS, planes.collect())
        .expect("planes made to measure")
}
