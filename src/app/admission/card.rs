//! Whether the card can carry another show: the time that its pictures take there and its sources take its decoders, and the bytes
//! that they take its bus.
//!
//! Must not know encoders. Invariant: as in the room above, a refusal rests on what was measured: what the card does for this
//! process now, by its own clock, and that another show's pictures are like those of the shows that run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::gpu::{BusLoad, Supply};
use crate::limits::LOAD_WINDOW;

/// What the card had done for this process at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Done {
    /// The process's clock, s.
    at_s: f64,
    /// Time spent in passes, s.
    busy_s: f64,
    /// Pictures composed.
    pictures: f64,
    /// How busy its decoders were just then, 0 to 1; none: nobody tells.
    decoding: Option<f64>,
}

/// What is asked of the card besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    /// Pictures a second.
    pub(super) rate: f64,
    /// Bytes of each that go to the host.
    pub(super) bytes: f64,
    /// Whether there are sources that the card may decode.
    pub(super) decodes: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Card {
    gpu: Arc<Supply>,
    done: Mutex<VecDeque<Done>>,
}

impl Card {
    /// None of an adapter that is the processor, which is looked at anyway.
    pub(super) fn of(gpu: &Arc<Supply>) -> Option<Card> {
        (!gpu.is_software()).then(|| Card { gpu: Arc::clone(gpu), done: Mutex::default() })
    }

    /// Notes what it has done until now; cheap, a few times a second.
    pub(super) fn look(&self, now_s: f64) {
        let passes = self.gpu.pass_times();
        let pictures = passes.iter().find(|pass| pass.pass == "first").map_or(0, |pass| pass.count);
        let busy_s = passes.iter().map(|pass| pass.seconds).sum();
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        note(&mut done, now_s, || Done {
            at_s: now_s,
            busy_s,
            pictures: pictures as f64,
            decoding: self.gpu.decoder_load(),
        });
    }

    /// Says why it cannot carry this too, with the numbers. Takes a twentieth of a second where the bus is looked at.
    pub(super) fn admit(&self, asked: Asked, max_load: f64) -> Result<(), String> {
        {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            let [from, to] = [done.front(), done.back()].map(|at| at.copied().unwrap_or_default());
            has_time(from, to, asked, max_load)?;
            has_decoders(&done, asked, max_load)?;
        }
        self.gpu.bus_load().map_or(Ok(()), |bus| has_room(bus, asked, max_load))
    }
}

/// Keeps what is not older than [`LOAD_WINDOW`], a look a second.
fn note(done: &mut VecDeque<Done>, now_s: f64, look: impl FnOnce() -> Done) {
    if done.back().is_some_and(|last| now_s - last.at_s < 1.0) {
        return;
    }
    while done.front().is_some_and(|first| now_s - first.at_s > LOAD_WINDOW.as_secs_f64()) {
        done.pop_front();
    }
    done.push_back(look());
}

/// Whether the card has the time.
fn has_time(from: Done, to: Done, asked: Asked, max_load: f64) -> Result<(), String> {
    let (span_s, pictures) = (to.at_s - from.at_s, to.pictures - from.pictures);
    if span_s <= 0.0 || pictures <= 0.0 {
        return Ok(());
    }
    let busy_s = to.busy_s - from.busy_s;
    let (load, picture_s) = (busy_s / span_s, busy_s / pictures);
    let needed = picture_s * asked.rate;
    if load + needed <= max_load {
        return Ok(());
    }
    Err(format!(
        "the GPU spends {load:.2} of its time on pictures, {:.2} ms each; {:.0} more a second take {needed:.2} more; \
         {max_load:.2} may be used (max-load-percent)",
        picture_s * 1e3,
        asked.rate,
    ))
}

/// Whether its decoders have the time. What they are busy with at least counts: files are decoded ahead when they begin.
fn has_decoders(done: &VecDeque<Done>, asked: Asked, max_load: f64) -> Result<(), String> {
    let (Some(from), Some(to)) = (done.front(), done.back()) else { return Ok(()) };
    let (span_s, pictures) = (to.at_s - from.at_s, to.pictures - from.pictures);
    let least = done.iter().map(|at| at.decoding).reduce(|a, b| Some(a?.min(b?))).flatten();
    let Some(load) = least.filter(|_| asked.decodes && span_s > 0.0 && pictures > 0.0) else {
        return Ok(());
    };
    let needed = load / (pictures / span_s) * asked.rate;
    if load + needed <= max_load {
        return Ok(());
    }
    Err(format!(
        "the GPU's decoders are busy for {load:.2} of the time, another show's sources take {needed:.2} more; {max_load:.2} may \
         be used (max-load-percent)",
    ))
}

/// Whether its bus has the room.
fn has_room(bus: BusLoad, asked: Asked, max_load: f64) -> Result<(), String> {
    let (now, most) = (bus.from_card_bytes_per_s as f64, bus.most_bytes_per_s as f64 * max_load);
    let needed = asked.rate * asked.bytes;
    if now + needed <= most {
        return Ok(());
    }
    let gb = |bytes: f64| bytes / 1e9;
    Err(format!(
        "the GPU's bus carries {:.2} GB a second to the host, another show's pictures take {:.2} more; {:.2} may be used \
         (max-load-percent)",
        gb(now),
        gb(needed),
        gb(most),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Asked = Asked { rate: 30.0, bytes: 3_110_400.0, decodes: true };

    fn check(result: Result<(), String>, told: Option<&str>) {
        match (result, told) {
            (Ok(()), None) => {}
            (Err(why), Some(told)) => assert!(why.contains(told), "{why}"),
            (got, told) => panic!("{got:?}, not {told:?}"),
        }
    }

    #[test]
    fn a_show_needs_the_time_that_others_take() {
        // Over 10 s: time of the card spent, pictures composed.
        for (busy_s, pictures, max_load, told) in [
            // Nothing runs: nothing is known.
            (0.0, 0.0, 1.0, None),
            // Two shows of 3 ms a picture: 0.18, a third one 0.09 more.
            (1.8, 600.0, 1.0, None),
            (1.8, 600.0, 0.2701, None),
            (1.8, 600.0, 0.26, Some("0.18 of its time on pictures, 3.00 ms each")),
            // Ten of them.
            (9.0, 3000.0, 1.0, None),
            (9.2, 3000.0, 1.0, Some("take 0.09 more; 1.00 may be used")),
        ] {
            let from = Done { at_s: 100.0, busy_s: 7.0, pictures: 50.0, decoding: None };
            let (busy_s, pictures) = (7.0 + busy_s, 50.0 + pictures);
            let to = Done { at_s: 110.0, busy_s, pictures, decoding: None };
            check(has_time(from, to, HD, max_load), told);
        }
    }

    #[test]
    fn a_show_needs_the_decoders_that_others_take() {
        // Over 10 s: how busy the decoders were, and pictures composed.
        for (decoding, pictures, decodes, told) in [
            (vec![], 0.0, true, None),
            // NVML tells nothing.
            (vec![None, None], 600.0, true, None),
            (vec![Some(0.9), None], 600.0, true, None),
            // Nothing is composed.
            (vec![Some(1.0), Some(1.0)], 0.0, true, None),
            // An H100 with 54 shows of 1080p30: 1658 pictures a second are all it decodes.
            (vec![Some(0.98), Some(0.98)], 54.0 * 300.0, true, None),
            (vec![Some(0.99), Some(0.99)], 54.0 * 300.0, true, Some("for 0.99 of the time")),
            (vec![Some(0.99), Some(0.99)], 54.0 * 300.0, false, None),
            (vec![Some(0.7), Some(0.7)], 600.0, true, Some("take 0.35 more; 1.00 may be used")),
            // A file was decoded ahead when it began.
            (vec![Some(0.04), Some(1.0), Some(0.04)], 300.0, true, None),
        ] {
            let last = decoding.len().saturating_sub(1).max(1) as f64;
            let at = |(index, decoding): (usize, &Option<f64>)| {
                let part = index as f64 / last;
                let (at_s, pictures) = (100.0 + 10.0 * part, pictures * part);
                Done { at_s, busy_s: 0.0, pictures, decoding: *decoding }
            };
            let done: VecDeque<_> = decoding.iter().enumerate().map(at).collect();
            check(has_decoders(&done, Asked { decodes, ..HD }, 1.0), told);
        }
    }

    #[test]
    fn a_show_needs_room_on_the_bus() {
        for (now, most, max_load, told) in [
            (0, 63_000_000_000, 1.0, None),
            (300_000_000, 500_000_000, 1.0, None),
            (450_000_000, 500_000_000, 1.0, Some("carries 0.45 GB")),
            (0, 100_000_000, 0.5, Some("0.05 may be used")),
        ] {
            let bus = BusLoad { from_card_bytes_per_s: now, most_bytes_per_s: most };
            check(has_room(bus, HD, max_load), told);
        }
    }

    #[test]
    fn looks_are_kept_for_a_while() {
        let mut done = VecDeque::new();
        for tenth in 0..300 {
            let at_s = f64::from(tenth) / 10.0;
            note(&mut done, at_s, || Done { at_s, ..Done::default() });
        }
        let span = done.back().unwrap().at_s - done.front().unwrap().at_s;
        assert!(span <= LOAD_WINDOW.as_secs_f64() && done.len() <= 11, "{span} {}", done.len());
    }
}
