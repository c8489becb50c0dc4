//! One caster, paced: a picture decoded, composed and read back each tick.
//!
//! Must not know how many there are. Invariant: a tick that is late or has no picture is counted.

use std::fmt;
use std::time::{Duration, Instant};

use onair::gpu::Compositor;
use onair::input::{Delivery, Input, Take};
use onair::picture::{DrawList, DrawOp, Rect};

use crate::{HD, KEY};

/// 30 a second.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// What came of a run.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) ticks: u64,
    /// Ticks whose canvas was not there two ticks later.
    pub(crate) late: u64,
    /// Ticks without a new picture.
    pub(crate) missed: u64,
    /// Cores in use meanwhile.
    pub(crate) cores: f64,
}

impl Run {
    /// More than one of a hundred.
    pub(crate) fn is_late(&self) -> bool {
        (self.late + self.missed) * 100 > self.ticks
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Run { ticks, late, missed, cores } = self;
        write!(f, "{ticks} ticks, {late} late, {missed} missed; {cores:.2} cores")
    }
}

/// Decodes, composes and reads back.
pub(crate) fn caster(
    input: &Input,
    mut compositor: Compositor,
    (begin, time): (Instant, Duration),
) -> Result<Run, String> {
    let whole = Rect { x_px: 0, y_px: 0, width_px: HD.width_px, height_px: HD.height_px };
    let list = DrawList::of(HD, vec![DrawOp::layer(KEY, whole)]);
    let mut run = Run::default();
    let mut done = 0;
    while begin.elapsed() < time {
        let tick = u32::try_from(run.ticks).unwrap_or(u32::MAX);
        std::thread::sleep((begin + PERIOD * tick).saturating_duration_since(Instant::now()));
        let mut taken = None;
        input.poll(Take { video: 1, audio: usize::MAX }, &mut |delivery| {
            if let Delivery::Video(frame) = delivery {
                taken = Some(frame);
            }
        });
        run.ticks += 1;
        let Some(frame) = taken else {
            run.missed += 1;
            continue;
        };
        compositor.draw(tick.into(), &list, &[(KEY, frame)]).map_err(|error| error.to_string())?;
        // Two may be on their way.
        while run.ticks - run.missed > done + 2 {
            match compositor.collect().map_err(|error| error.to_string())? {
                Some(_) => done += 1,
                None => std::thread::sleep(Duration::from_micros(200)),
            }
        }
        run.late += u64::from(begin.elapsed() > PERIOD * (tick + 2));
    }
    compositor.finish().map_err(|error| error.to_string())?;
    Ok(run)
}
