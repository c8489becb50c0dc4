//! How a live source fares: since when what is wrong with it, and since when nothing is.
//!
//! Must not know scenes, or who measures pictures. Invariant: a fault begins once and ends once before it begins again.

use super::Event;
use super::media::Tick;
use crate::ids::InputKey;
use crate::limits;
use crate::source::{Detectors, Fault, InputState};

const GAP_NS: i64 = limits::SOURCE_GAP.as_nanos() as i64;

/// How a source looks: measured where its pictures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sight {
    /// How long it has been black, ns.
    pub black_ns: u64,
    /// How long its picture has not changed, ns.
    pub frozen_ns: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Health {
    is_connected: bool,
    /// What was measured last; none while nobody measures it.
    pub(super) sight: Option<Sight>,
    /// Since when it has been heard and silent.
    quiet_since_ns: Option<i64>,
    /// For how long each fault has been there at the last tick, ns.
    lasting_ns: [i64; Fault::ALL.len()],
    /// Since when what was told of.
    began_ns: [Option<i64>; Fault::ALL.len()],
    /// Since when it has been good.
    good_since_ns: Option<i64>,
}

impl Health {
    pub(super) fn state(&mut self, state: InputState) {
        self.is_connected = match state {
            InputState::Idle | InputState::Connecting | InputState::Failed => false,
            InputState::Buffering | InputState::Live | InputState::Stale | InputState::Ended => {
                true
            }
        };
    }

    /// How loud it was at a tick; none when nobody listened.
    pub(super) fn heard(&mut self, at: &Tick, rms: Option<f32>) {
        let silent = rms.is_some_and(|rms| rms < limits::SILENT_LEVEL);
        self.quiet_since_ns = silent.then(|| self.quiet_since_ns.unwrap_or(at.now_ns));
    }

    /// A tick without a new picture for `still_ns` beyond its time; answers what began and what ended.
    pub(super) fn look(
        &mut self,
        (key, at): (InputKey, &Tick),
        still_ns: i64,
        detectors: &Detectors,
    ) -> Vec<Event> {
        // What is not there is neither black nor frozen.
        let sight = self.sight.filter(|_| still_ns < GAP_NS).unwrap_or_default();
        let ns = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
        let (lost, stale) = if self.is_connected { (0, still_ns) } else { (still_ns, 0) };
        let quiet = self.quiet_since_ns.map_or(0, |since| at.now_ns - since);
        self.lasting_ns = [lost, stale, ns(sight.frozen_ns), ns(sight.black_ns), quiet];
        let triggered =
            |fault: &Fault| detectors.of(*fault).brings_standby && self.is_on(*fault, detectors);
        let good = still_ns < GAP_NS && !Fault::ALL.iter().any(triggered);
        self.good_since_ns = good.then(|| self.good_since_ns.unwrap_or(at.now_ns));
        let mut events = Vec::new();
        for fault in Fault::ALL {
            let (is_on, began) = (self.is_on(fault, detectors), self.began_ns[fault as usize]);
            match began {
                None if is_on => events.push(Event::FaultBegan { input: key, fault }),
                Some(since_ns) if !is_on => {
                    let lasted_ns = (at.now_ns - since_ns).unsigned_abs();
                    events.push(Event::FaultEnded { input: key, fault, lasted_ns });
                }
                _ => continue,
            }
            self.began_ns[fault as usize] = is_on.then_some(at.now_ns);
        }
        events
    }

    fn is_on(&self, fault: Fault, detectors: &Detectors) -> bool {
        self.lasting_ns[fault as usize] >= detectors.of(fault).after.as_nanos() as i64
    }

    /// What of `faults` brings standby, if pictures may be missing for `interruption_ns`.
    pub(super) fn trouble(
        &self,
        faults: &[Fault],
        (detectors, interruption_ns): (&Detectors, i64),
    ) -> Option<Fault> {
        let brings = |fault: &Fault| {
            detectors.of(*fault).brings_standby
                && match fault {
                    Fault::Lost | Fault::Stale => {
                        self.lasting_ns[*fault as usize] >= interruption_ns
                    }
                    Fault::Frozen | Fault::Black | Fault::Silent => self.is_on(*fault, detectors),
                }
        };
        faults.iter().copied().find(brings)
    }

    /// For how long it has been good, ns; none when it is not.
    pub(super) fn good_ns(&self, at: &Tick) -> Option<i64> {
        self.good_since_ns.map(|since| at.now_ns - since)
    }

    /// What is wrong with it and was told of.
    pub(super) fn faults(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| self.began_ns[*fault as usize].is_some()).collect()
    }
}
