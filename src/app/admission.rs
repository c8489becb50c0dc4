//! Whether this machine can carry another show, or another rendition of one.
//!
//! Owns what is known of the machine: its cores, what the process uses of them, what an encoder costs, what the card does (`card`). Must not know how a
//! show is made. Invariant: a refusal rests on a lower bound: what the process uses now, as the kernel counts it, and of what is
//! asked for the encoding alone, as it was measured on easy pictures. What is admitted may still be too much (then
//! [`super::shedding`] makes less); what is refused would have been.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::config::Config;
use crate::frame::{Color, Picture, PixelFormat, Plane, Size};
use crate::gpu::Supply;
use crate::limits::{CANVAS_RING, ENCODER_PICTURES, LOAD_WINDOW, SPEED_PICTURES};
use crate::media::encode::{
    EncodeError, EncoderPolicy, Idr, Latency, VideoEncoder, VideoSettings, effort,
};
use crate::media::nvenc;
use crate::metrics::{available_bytes, cpu_seconds, thread_cpu_seconds};
use crate::time::FrameRate;

/// The size that encoders are measured at.
const PROBE: Size = Size::new(640, 360);

mod card;

use card::{Asked, Card};

/// What is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// A show: a canvas is composed that was not before.
    Show {
        /// Whether it has sources that the card may decode.
        decodes: bool,
    },
    /// Further encoders of one that runs.
    Encoders,
}

/// What is asked for, or runs: a video encoder each.
pub(super) type Encoders = [VideoSettings];

/// See the module.
#[derive(Debug)]
pub(super) struct Admission {
    cores: f64,
    /// Part of all cores that may be used; none: no limit.
    max_load: Option<f64>,
    max_encoders: Option<usize>,
    /// Core seconds a pixel of H.264, by preset.
    costs: Mutex<BTreeMap<&'static str, f64>>,
    /// Time of the process's clock, s, and core seconds that the process had used.
    used: Mutex<VecDeque<(f64, f64)>>,
    /// What composes, if that is no processor.
    card: Option<Card>,
}

impl Admission {
    pub(super) fn new(config: &Config, gpu: &Arc<Supply>) -> Admission {
        let percent = config.max_load_percent;
        Admission {
            cores: std::thread::available_parallelism().map_or(1, usize::from) as f64,
            max_load: (percent > 0).then(|| f64::from(percent) / 100.0),
            max_encoders: Some(config.max_encoders as usize).filter(|&most| most > 0),
            costs: Mutex::default(),
            used: Mutex::default(),
            card: Card::of(gpu),
        }
    }

    /// Notes what the process has used until now.
    pub(super) fn look(&self, now: Duration) {
        let now_s = now.as_secs_f64();
        if let Some(card) = &self.card {
            card.look(now_s);
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.back().is_some_and(|(then_s, _)| now_s - then_s < 1.0) {
            return;
        }
        while used.front().is_some_and(|(then_s, _)| now_s - then_s > LOAD_WINDOW.as_secs_f64()) {
            used.pop_front();
        }
        used.push_back((now_s, cpu_seconds()));
    }

    /// Cores that the process has used on average over the last [`LOAD_WINDOW`].
    pub(super) fn load(&self) -> f64 {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        match (used.front(), used.back()) {
            (Some((from_s, before)), Some((to_s, after))) if to_s > from_s => {
                (after - before) / (to_s - from_s)
            }
            _ => 0.0,
        }
    }

    /// How many encoders may run; none: as many as the machine carries.
    pub(super) fn max_encoders(&self) -> Option<usize> {
        self.max_encoders
    }

    /// Says why `more` encoders, PGM's first if it is to begin, beside `running` ones are too much, with the numbers. Blocks while a
    /// preset is measured for the first time (a tenth of a second for most).
    ///
    /// # Errors
    /// The reason.
    pub(super) fn admit(
        &self,
        running: usize,
        (begins, more): (Begins, &Encoders),
    ) -> Result<(), String> {
        if let Some(most) = self.max_encoders
            && running + more.len() > most
        {
            let wanted = more.len();
            return Err(format!(
                "{running} encoders run and {wanted} more are asked for; at most {most} may (max-encoders)"
            ));
        }
        let needed_bytes: u64 = more.iter().map(memory_bytes).sum();
        if let Some(free_bytes) = available_bytes().filter(|free_bytes| *free_bytes < needed_bytes)
        {
            let mib = |bytes: u64| bytes >> 20;
            return Err(format!(
                "it takes {} MiB of memory at least, {} MiB are available",
                mib(needed_bytes),
                mib(free_bytes)
            ));
        }
        let Some(max_load) = self.max_load else { return Ok(()) };
        if let (Begins::Show { decodes }, Some(card), Some(pgm)) =
            (begins, &self.card, more.first())
        {
            let rate = f64::from(pgm.rate.num()) / f64::from(pgm.rate.den());
            let bytes = if on_card(more) > 0 { 0.0 } else { pixels(pgm.size) as f64 * 1.5 };
            card.admit(Asked { rate, bytes, decodes }, max_load)?;
        }
        let (mut needed, mut rate) = (0.0, 0.0);
        for encoder in more.iter().skip(on_card(more)) {
            // What cannot be measured is not held against it.
            needed += pixel_rate(encoder) * self.cost(encoder).unwrap_or(0.0);
            rate += pixel_rate(encoder);
        }
        let (load, most) = (self.load(), self.cores * max_load);
        if load + needed <= most {
            return Ok(());
        }
        Err(format!(
            "{load:.2} cores are in use; to encode {:.1} million pixels a second takes {needed:.2} more at least; \
             {most:.2} of {} may be used (max-load-percent)",
            rate / 1e6,
            self.cores,
        ))
    }

    /// Core seconds a pixel of an encoder's preset, on easy pictures.
    fn cost(&self, encoder: &VideoSettings) -> Result<f64, EncodeError> {
        let preset = encoder.preset.name();
        let known = self.costs.lock().unwrap_or_else(PoisonError::into_inner).get(preset).copied();
        let cost = match known {
            Some(cost) => cost,
            None => {
                let cost = measure(encoder)?;
                tracing::info!(preset, ns_a_pixel = cost * 1e9, "an encoder was measured");
                self.costs.lock().unwrap_or_else(PoisonError::into_inner).insert(preset, cost);
                cost
            }
        };
        Ok(cost * effort(encoder.codec, encoder.preset))
    }
}

/// How many of these, the first ones, NVENC may take: they are not held against the processor.
fn on_card(more: &Encoders) -> usize {
    let Some(first) = more.first().filter(|first| first.policy != EncoderPolicy::Software) else {
        return 0;
    };
    let report = nvenc::report(&first.nvenc);
    match (report.may_encode(first.codec), u64::from(first.nvenc.most_sessions)) {
        (false, _) => 0,
        (true, 0) => more.len(),
        (true, most) => usize::try_from(most.saturating_sub(report.sessions)).unwrap_or(0),
    }
}

fn pixels(size: Size) -> u64 {
    u64::from(size.width_px) * u64::from(size.height_px)
}

/// Pixels a second.
fn pixel_rate(encoder: &VideoSettings) -> f64 {
    let rate = f64::from(encoder.rate.num()) / f64::from(encoder.rate.den());
    pixels(encoder.size) as f64 * rate / f64::from(encoder.picture_ticks.max(1))
}

/// What its canvases, or scaled pictures, and its encoder hold at least.
fn memory_bytes(encoder: &VideoSettings) -> u64 {
    let held = u64::from(encoder.pictures_held() * encoder.picture_ticks.max(1));
    let pictures = (CANVAS_RING + ENCODER_PICTURES) as u64 + held;
    pixels(encoder.size) * 3 / 2 * pictures
}

/// Core seconds a pixel, of one thread that encodes a gradient that moves as H.264: x264 works on the thread that calls it.
fn measure(like: &VideoSettings) -> Result<f64, EncodeError> {
    let settings = VideoSettings {
        preset: like.preset,
        threads: 1,
        latency: Latency::Zero,
        ..VideoSettings::for_size(PROBE, FrameRate::FPS_30)
    };
    let mut encoder = VideoEncoder::open(&settings)?;
    // The first picture is a keyframe, which costs less than the others.
    encoder.encode(0, &gradient(0), Idr::Force)?;
    let pictures: Vec<_> = (1..=SPEED_PICTURES).map(gradient).collect();
    let before_s = thread_cpu_seconds();
    for (tick, picture) in (1..).zip(&pictures) {
        encoder.encode(tick, picture, Idr::Auto)?;
    }
    let spent_s = thread_cpu_seconds() - before_s;
    Ok(spent_s / (SPEED_PICTURES * pixels(PROBE)) as f64)
}

fn gradient(tick: u64) -> Arc<Picture> {
    let shapes = PixelFormat::Nv12.plane_shapes(PROBE);
    let at = |row: usize, byte: usize| 32 + ((row + byte + 3 * tick as usize) / 4 % 192) as u8;
    let planes = shapes.into_iter().map(|(row_bytes, rows)| Plane {
        data: Bytes::from_iter(
            (0..rows).flat_map(|row| (0..row_bytes).map(move |byte| at(row, byte))),
        ),
        stride_bytes: row_bytes,
    });
    let picture = Picture::new(PixelFormat::Nv12, PROBE, Color::CANVAS, planes.collect());
    Arc::new(picture.expect("planes made to measure"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::nvenc::NvencSettings;
    use crate::media::nvenc::testing::Simulator;
    use crate::media::packet::VideoCodec;

    const SHOW: Begins = Begins::Show { decodes: false };

    fn admission(cores: f64, max_load: Option<f64>, max_encoders: Option<usize>) -> Admission {
        let costs = Mutex::new(BTreeMap::from([("veryfast", 10e-9)]));
        Admission { cores, max_load, max_encoders, costs, used: Mutex::default(), card: None }
    }

    #[test]
    fn what_cannot_be_carried_is_refused_with_the_numbers() {
        // 1080p30 is 62.2 million pixels a second: 0.62 cores at 10 ns each.
        let full = VideoSettings::for_size(Size::new(1920, 1080), FrameRate::FPS_30);
        let small = VideoSettings::for_size(Size::new(640, 360), FrameRate::FPS_30);
        for (cores, max_load, max_encoders, used_cores, more, told) in [
            (2.0, Some(1.0), None, 0.0, vec![full.clone(); 3], None),
            (2.0, Some(1.0), None, 0.0, vec![full.clone(); 4], Some("2.49 more")),
            (2.0, Some(1.0), None, 1.5, vec![full.clone()], Some("1.50 cores are in use")),
            (2.0, Some(1.0), None, 1.5, vec![small.clone()], None),
            (2.0, Some(1.5), None, 1.5, vec![full.clone()], None),
            (2.0, None, None, 9.0, vec![full.clone(); 9], None),
            (2.0, None, Some(4), 0.0, vec![small.clone(); 2], None),
            (2.0, None, Some(4), 0.0, vec![small.clone(); 3], Some("2 encoders run and 3 more")),
        ] {
            let admission = admission(cores, max_load, max_encoders);
            admission.used.lock().unwrap().extend([(100.0, 5.0), (110.0, 5.0 + 10.0 * used_cores)]);
            match (admission.admit(2, (SHOW, &more)), told) {
                (Ok(()), None) => {}
                (Err(why), Some(told)) => assert!(why.contains(told), "{why}"),
                (got, told) => panic!("{got:?}, not {told:?}"),
            }
        }
    }

    #[test]
    fn what_nvenc_takes_is_not_held_against_the_processor() {
        use VideoCodec::{Av1, H264, Hevc};
        // Three of x264's fit, see above, one of libaom's and none of x265's.
        for (faults, codec, most_sessions, encoders, fits) in [
            ("", H264, 0, 9, true),
            ("", H264, 2, 5, true),
            ("", H264, 2, 6, false),
            ("", H264, 9, 9, true),
            ("", Hevc, 0, 9, true),
            ("", Hevc, 2, 3, false),
            ("no-hevc", Hevc, 0, 1, false),
            ("no-hevc", H264, 0, 9, true),
            ("no-av1", Hevc, 0, 9, true),
            ("no-av1", Av1, 0, 1, true),
            ("no-av1", Av1, 0, 2, false),
            ("", Av1, 2, 4, false),
        ] {
            let simulator = Simulator::new(faults);
            let nvenc = NvencSettings { most_sessions, ..simulator.settings() };
            let full = VideoSettings::for_size(Size::new(1920, 1080), FrameRate::FPS_30);
            let full = VideoSettings { codec, policy: EncoderPolicy::Auto, nvenc, ..full };
            let admitted = admission(2.0, Some(1.0), None).admit(0, (SHOW, &vec![full; encoders]));
            let asked = format!("{faults} {codec:?} {most_sessions} {encoders}");
            assert_eq!(admitted.is_ok(), fits, "{asked}: {admitted:?}");
        }
    }

    #[test]
    fn the_machine_is_measured() {
        let small = VideoSettings::for_size(Size::new(640, 360), FrameRate::FPS_30);
        let cost = measure(&small).unwrap();
        // Of any machine that this century's software runs on.
        assert!((0.05e-9..1000e-9).contains(&cost), "{cost} s a pixel");
        assert!(cpu_seconds() > 0.0 && available_bytes().is_some_and(|bytes| bytes > 0));
    }
}
