//! A thread that another one follows when it breaks or hangs.
//!
//! Must not know what it works on. Invariants: one works at a time, but for those that hang, which are left behind and are
//! few; what breaks again and again rests in between.

use std::io;
use std::time::Duration;

use crate::limits::THREADS_LEFT_BEHIND;
use crate::worker::{Outcome, Pulse, Rest, Worker};

/// The thread at work.
#[derive(Debug)]
pub(super) struct Life {
    /// None while what broke rests.
    worker: Option<Worker>,
    pulse: Pulse,
    rest: Rest,
    left_behind: u32,
    /// It was taken to be ended: nobody follows.
    is_over: bool,
}

/// A thread that broke off or hung.
pub(super) struct Parted {
    pub(super) why: String,
    pub(super) rest: Duration,
    /// No other takes its place.
    pub(super) is_given_up: bool,
}

impl Life {
    pub(super) fn new(worker: Worker, pulse: Pulse) -> Life {
        let (rest, left_behind, is_over) = (Rest::default(), 0, false);
        Life { worker: Some(worker), pulse, rest, left_behind, is_over }
    }

    /// Puts another thread in the place of one that broke off or has shown no sign of life for so long; says what was wrong.
    pub(super) fn look_after(
        &mut self,
        hung: Duration,
        begin: impl FnOnce(Pulse) -> io::Result<Worker>,
    ) -> Option<Parted> {
        if self.is_over {
            return None;
        }
        let silence = self.silence();
        let is_broken = |worker: &mut Worker| worker.is_finished() || silence > hung;
        let broken = self.worker.take_if(is_broken);
        let parted = broken.map(|worker| self.part(worker, hung));
        let begins = self.rest.is_over() && self.left_behind <= THREADS_LEFT_BEHIND;
        if self.worker.is_none() && begins {
            self.pulse = Pulse::default();
            match begin(self.pulse.clone()) {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => {
                    tracing::error!(%error, "no thread in the place of another");
                    self.rest.broke();
                }
            }
        }
        parted
    }

    fn part(&mut self, worker: Worker, hung: Duration) -> Parted {
        let why = match worker.end_within(Duration::ZERO) {
            Some(Outcome::Panicked(why)) => format!("its thread panicked: {why}"),
            Some(Outcome::Returned) => "its encoder was given up".into(),
            None => {
                self.left_behind += 1;
                format!("its thread showed no sign of life for {hung:?}")
            }
        };
        let rest = self.rest.broke();
        Parted { why, rest, is_given_up: self.left_behind > THREADS_LEFT_BEHIND }
    }

    /// Time since the last sign of life; none while it rests.
    pub(super) fn silence(&self) -> Duration {
        if self.worker.is_some() { self.pulse.silence() } else { Duration::ZERO }
    }

    /// The thread, to be ended; no other takes its place any more.
    pub(super) fn take(&mut self) -> Option<Worker> {
        self.is_over = true;
        self.worker.take()
    }
}
