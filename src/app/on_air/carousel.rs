//! An episode group on air: its files one after the other, over the whole picture.
//!
//! Must not know when it begins or who is told. Invariants: it is a show like any other, without PVW; an input whose worker does
//! nothing any more is replaced by one that goes on from there.

use std::sync::Arc;

use super::super::resolve;
use super::super::run_tick::Curtain;
use super::super::world::World;
use super::OnAir;
use super::mend::{Player, WAIT_MS, broken};
use crate::app::frame_thread::Message;
use crate::catalog::{EpisodeGroup, GroupProgress, Refused, When};
use crate::engine::{Command, Way};
use crate::ids::{Bus, InputKey};

/// A group that plays.
pub(in crate::app) struct Carousel {
    show: OnAir,
    input: InputKey,
    /// How far it was when it began here.
    began: GroupProgress,
    told: Option<GroupProgress>,
}

/// What became of a carousel since the last look.
pub(in crate::app) enum Step {
    /// Nothing new.
    Same,
    /// It is this far.
    At(GroupProgress),
    /// It is over, or broke.
    Ended,
}

impl Carousel {
    /// Begins, or goes on with the file that it was at.
    ///
    /// # Errors
    /// When there is no encoder or no input to be had.
    pub(in crate::app) async fn start(
        world: Arc<World>,
        group: &EpisodeGroup,
    ) -> Result<Carousel, Refused> {
        let mut show =
            OnAir::start(world.clone(), Arc::new(group.as_caster()), Curtain::Open).await?;
        let input = match world.start_group(group, None) {
            Ok(input) => input,
            Err(refused) => {
                show.stop().await;
                return Err(refused);
            }
        };
        let key = input.key();
        let _ = show.messages.send(Message::AddInput(input));
        let spec = resolve::whole(resolve::Shown { input: key, delay_ms: 0 }, Vec::new());
        let when = resolve::readiness(When { force: true, wait_ms: 0 });
        // A show that broke at once is noticed at the next look.
        let _ = show.command(Command::SetScene { bus: Bus::Pgm, spec, when, way: Way::CUT }).await;
        Ok(Carousel { show, input: key, began: group.progress, told: None })
    }

    /// Puts another input in the place of one that is broken, once all that it had decoded was shown.
    pub(in crate::app) async fn mend(&mut self, group: &EpisodeGroup) {
        let report = self.show.report.borrow().clone();
        let Some(found) = broken(&report).into_iter().find(|found| found.key == self.input) else {
            return;
        };
        if !self.show.mends.is_due(&Player::Group, &found, report.tick) {
            return;
        }
        tracing::error!(group = %group.id, "the input of an episode group is replaced");
        let pass = found.pass + self.passes_before();
        let progress = GroupProgress::Playing { item: found.item, pass };
        let at = EpisodeGroup { progress, ..group.clone() };
        let input = match self.show.world.start_group(&at, Some(found.position_ms)) {
            Ok(input) => input,
            Err(refused) => {
                return tracing::error!(group = %group.id, %refused, "it stays broken");
            }
        };
        (self.input, self.began) = (input.key(), progress);
        let _ = self.show.messages.send(Message::AddInput(input));
        let spec = resolve::whole(resolve::Shown { input: self.input, delay_ms: 0 }, Vec::new());
        let when = resolve::readiness(When { force: false, wait_ms: WAIT_MS });
        // What has nothing to show then is shown when it has.
        for when in [when, resolve::readiness(When { force: true, wait_ms: 0 })] {
            let set = Command::SetScene { bus: Bus::Pgm, spec: spec.clone(), when, way: Way::CUT };
            if self.show.command(set).await.is_ok() {
                break;
            }
        }
        let _ = self.show.messages.send(Message::RemoveInput(found.key));
    }

    /// How far it is.
    pub(in crate::app) fn look(&mut self) -> Step {
        let report = self.show.report.borrow().clone();
        let Some(found) = report.inputs.iter().find(|report| report.input == self.input) else {
            return if self.show.fault().is_some() { Step::Ended } else { Step::Same };
        };
        if found.stats.ended || self.show.fault().is_some() {
            return Step::Ended;
        }
        if found.status.video_frames == 0 {
            return Step::Same;
        }
        let (item, pass) = (found.stats.item, found.stats.pass + self.passes_before());
        let now = GroupProgress::Playing { item, pass };
        match self.told.replace(now) {
            Some(told) if told == now => Step::Same,
            _ => Step::At(now),
        }
    }

    /// Rounds that were over when it went on.
    fn passes_before(&self) -> u32 {
        match self.began {
            GroupProgress::Playing { pass, .. } => pass,
            GroupProgress::Waiting | GroupProgress::Ended => 0,
        }
    }

    /// Ends it.
    pub(in crate::app) async fn stop(self) {
        self.show.stop().await;
    }
}
