//! What an output counts.
//!
//! Must not know what is done with it. Invariant: counting never waits for a reader for longer than a copy takes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Output;
use crate::device_memory::DeviceUuid;
use crate::limits::ENCODE_TIMES;
use crate::media::encode::{Intake, Maker};
use crate::media::packet::VideoCodec;

/// Times to encode a tick (video and audio), of the last [`ENCODE_TIMES`] ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeTimes {
    /// Median, µs.
    pub p50_us: u64,
    /// 99th percentile, µs.
    pub p99_us: u64,
    /// Longest since the start, µs.
    pub max_us: u64,
    /// Sum since the start, µs.
    pub sum_us: u64,
}

/// What an output has done since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Ticks encoded, repeated and filled ones included.
    pub encoded: u64,
    /// Ticks that repeated the last picture because they came with none.
    pub repeated: u64,
    /// Ticks that never came and were filled with the last picture and silence.
    pub filled: u64,
    /// Ticks that came twice or too late and were left out.
    pub out_of_order: u64,
    /// Pictures dropped because the encoder was behind; part of `repeated`.
    pub pictures_dropped: u64,
    /// Pictures that a rendition left out because the machine was overloaded, see [`Output::shed_renditions`]; part of `repeated`.
    pub pictures_shed: u64,
    /// Ticks refused because the encoder was far behind; part of `filled`.
    pub ticks_refused: u64,
    /// Packets lost where they waited for their delay to be over: the disk was full or too slow.
    pub delay_lost: u64,
    /// How much more sound than pictures was encoded, by their counts, ns: less than a sample. Of a rendition, which has the
    /// programme's sound, none.
    pub sound_ahead_ns: Option<i64>,
    /// Ticks waiting for the encoder.
    pub queued: usize,
    /// Bytes of video encoded.
    pub video_bytes: u64,
    /// Bytes of audio encoded.
    pub audio_bytes: u64,
    /// Keyframes encoded.
    pub keyframes: u64,
    /// Those of them that were asked for between two groups of pictures: something joined.
    pub keyframes_forced: u64,
    /// Times.
    pub encode: EncodeTimes,
    /// Video bit rate that the last picture was encoded at, bit/s.
    pub bitrate_bps: u32,
    /// Pictures that the encoder holds, to look ahead or to reorder.
    pub held: usize,
    /// What encodes.
    pub maker: Maker,
    /// How.
    pub codec: VideoCodec,
    /// Why NVENC does not, where it was looked for and an NVIDIA driver is there.
    pub passed_over: Option<String>,
    /// Why NVENC takes pictures by way of the host, though they lay on its device.
    pub copied_because: Option<String>,
    /// Encoders that failed and were replaced within the stream.
    pub restarts: u64,
    /// Threads of the output that broke or hung and were replaced: of a rendition, of the delay, of sinks for the hub and HLS.
    pub thread_restarts: u64,
    /// What was wrong with the last of either.
    pub last_fault: Option<String>,
    /// Why HLS or the hub takes nothing, as long as that is so.
    pub playback_fault: Option<String>,
    /// Why the encoder gave up, if it did.
    pub failure: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stats: OutputStats,
    recent_us: VecDeque<u64>,
    intake: Intake,
}

impl Counters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut OutputStats)) {
        change(&mut self.lock().stats);
    }

    /// Where the encoder that is at work now takes pictures from.
    pub(super) fn set_intake(&self, intake: Intake) {
        self.lock().intake = intake;
    }

    /// The device that the encoder takes pictures from, without the host.
    pub(super) fn device(&self) -> Option<DeviceUuid> {
        self.lock().intake.device()
    }

    pub(super) fn encoded_in(&self, us: u64) {
        let mut inner = self.lock();
        if inner.recent_us.len() >= ENCODE_TIMES {
            inner.recent_us.pop_front();
        }
        inner.recent_us.push_back(us);
        let times = &mut inner.stats.encode;
        times.max_us = times.max_us.max(us);
        times.sum_us += us;
    }

    pub(super) fn snapshot(&self) -> OutputStats {
        let (mut stats, mut recent) = {
            let inner = self.lock();
            let copied_because = inner.intake.refused().map(ToOwned::to_owned);
            let stats = OutputStats { copied_because, ..inner.stats.clone() };
            (stats, Vec::from_iter(inner.recent_us.iter().copied()))
        };
        recent.sort_unstable();
        let at = |percent: usize| {
            let index = (recent.len() * percent / 100).min(recent.len().saturating_sub(1));
            recent.get(index).copied().unwrap_or(0)
        };
        (stats.encode.p50_us, stats.encode.p99_us) = (at(50), at(99));
        stats
    }
}

impl Output {
    /// A device whose memory one of its encoders takes pictures from, without the host, if there is any.
    pub fn device(&self) -> Option<DeviceUuid> {
        self.counters.device().or_else(|| self.ladder.device())
    }
}
