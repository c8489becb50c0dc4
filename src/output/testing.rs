//! What the tests of this room and of the edges share: ticks with sound, and an output that is fed live.

use std::sync::Arc;

use super::{Output, ProgrammeSettings, Sink, SinkState, TickMedia, start};
use crate::media::encode::testing;
pub(crate) use crate::media::encode::testing::{
    Dir, GOP, Probe, RATE, await_true, flat, picture, probe, tool, tool_output,
};
use crate::time::{Clock, SAMPLE_RATE};
use crate::worker::{self, StopToken, Worker};

pub(crate) fn settings(name: &str) -> ProgrammeSettings {
    ProgrammeSettings {
        name: name.into(),
        video: testing::settings(),
        audio_bps: 96_000,
        renditions: Vec::new(),
        reorder_ticks: 0,
        delay_ticks: 0,
        spool_dir: std::env::temp_dir(),
    }
}

/// A moving picture and a tone.
pub(crate) fn media(tick: u64) -> TickMedia {
    let first = RATE.sample_at(tick);
    let tone =
        |n: u64| ((n as f32) * 440.0 * std::f32::consts::TAU / SAMPLE_RATE as f32).sin() * 0.2;
    let audio = (0..RATE.samples_in(tick) as u64).map(|n| [tone(first + n); 2]).collect();
    TickMedia { tick, picture: Some(picture(tick)), renditions: Vec::new(), audio }
}

/// An output with these sinks that is fed in real time until dropped.
pub(crate) struct Live {
    pub(crate) output: Arc<Output>,
    _feeder: Worker,
}

impl Live {
    pub(crate) fn start(name: &str, sinks: Vec<Sink>) -> Live {
        let output = Arc::new(start(&settings(name)).unwrap());
        for sink in sinks {
            output.add_sink(sink).unwrap();
        }
        let fed = Arc::clone(&output);
        let feeder = worker::spawn("feeds", StopToken::new(), move |stop| {
            let clock = Clock::real();
            for tick in 0.. {
                if !clock.wait_until(RATE.tick_ns(tick), &stop) {
                    return;
                }
                let _ = fed.try_push(media(tick));
            }
        });
        Live { output, _feeder: feeder.unwrap() }
    }

    /// Waits until the sink `index` is in a state that fits, for at most 10 s.
    pub(crate) fn await_sink(&self, index: usize, fits: impl Fn(&SinkState) -> bool) {
        await_true("a sink's state", || fits(&self.output.sinks()[index].state));
    }
}
