//! How a show that was on air comes back: not before there is a picture to see.
//!
//! Must not know calls. Invariant: it goes out [`limits::REOPEN_LATEST`] after it began at the latest, whatever its sources
//! do.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;

use super::super::{resolve, rundown};
use super::OnAir;
use crate::app::frame_thread::Message;
use crate::catalog::{self, Caster, Effect, Refused, When};
use crate::engine::{Command, Readiness, Refusal, SceneSpec, Way};
use crate::ids::Bus;
use crate::limits;
use crate::time;

const FORCED: When = When { force: true, wait_ms: 0 };

impl OnAir {
    /// Gives a show whose curtain is closed its scenes, and opens it when PGM's sources are ready. For those that do not
    /// come in time standby stands in; without one they are left out until they come.
    pub(in crate::app) async fn reopen(&mut self, caster: &Arc<Caster>) {
        self.cued_from_unix_ms = time::unix_ms();
        self.follow_episodes(caster, self.cued_from_unix_ms);
        self.cue_before_opening().await;
        let wait_ms = u32::try_from(limits::REOPEN_SOURCES_WAIT.as_millis()).unwrap_or(0);
        let restored = self.restore(caster, When { force: false, wait_ms }).await;
        // A cue that came due meanwhile has put on PGM what belongs there.
        if let Err(refused) = restored
            && !rundown::switches_within(caster, self.cued_from_unix_ms..time::unix_ms())
        {
            tracing::warn!(caster = %caster.id, %refused, "back on air without its picture");
            if !self.stand_in(caster).await {
                self.restore_scenes(caster).await;
            }
        }
        // A frame thread that is gone is noticed at the next look.
        let _ = self.messages.send(Message::Open);
    }

    /// Gives both scenes the content that the catalog has for them, ready or not.
    pub(in crate::app) async fn restore_scenes(&mut self, caster: &Arc<Caster>) {
        if let Err(refused) = self.restore(caster, FORCED).await {
            tracing::error!(caster = %caster.id, %refused, "its scenes could not be restored");
        }
    }

    /// Gives the scenes their content, PGM's picture as soon as `pgm` says.
    async fn restore(&mut self, caster: &Arc<Caster>, pgm: When) -> Result<(), Refused> {
        self.follow_episodes(caster, time::unix_ms());
        let set = |bus, when| Effect::SceneSet { bus, when, way: catalog::Way::Cut };
        let mut effects = vec![
            Effect::FollowSet,
            Effect::FadeToBlack { frames: 0 },
            set(Bus::Pvw, FORCED),
            set(Bus::Pgm, pgm),
        ];
        // An episode that is on has brought its own mix.
        if rundown::source_on(caster, time::unix_ms()).is_none() {
            effects.push(Effect::MixSet { bus: Bus::Pgm });
        }
        self.carry_out(caster, &effects).await.map(drop)
    }

    /// Shows standby on PGM and has PGM's own picture follow when its sources have come; false when standby cannot be shown
    /// either.
    async fn stand_in(&mut self, caster: &Arc<Caster>) -> bool {
        let is_on = caster.scenes.as_ref().is_some_and(|scenes| scenes.on_standby);
        let Some(input) = self.standby.filter(|_| !is_on) else { return false };
        let now = Readiness { force: false, wait: Duration::ZERO };
        let spec = resolve::whole(resolve::Shown { input, delay_ms: 0 }, Vec::new());
        if self
            .command(Command::SetScene { bus: Bus::Pgm, spec, when: now, way: Way::CUT })
            .await
            .is_err()
        {
            return false;
        }
        if !caster.audio_follows_video {
            let mix = self.mix(caster, Bus::Pgm);
            // What is not there is silent.
            let _ = self.command(Command::SetMix { bus: Bus::Pgm, mix }).await;
        }
        self.stand_in_for(self.scene(caster, Bus::Pgm, time::unix_ms()));
        true
    }

    /// PGM shows `spec` when its sources have come.
    fn stand_in_for(&mut self, spec: SceneSpec) {
        let auto = self.caster.config.auto_standby_ms.map(|ms| Duration::from_millis(ms.into()));
        let when = Readiness { force: false, wait: auto.unwrap_or(limits::TAKE_WAIT_MAX) };
        self.stand_in =
            self.ask(Command::SetScene { bus: Bus::Pgm, spec, when, way: Way::CUT }).ok();
    }

    /// When the sources that standby stands in for have not come: it goes on air for good where it may by itself. Else what
    /// has come is shown, if anything has.
    pub(super) async fn follow_stand_in(&mut self) {
        let Some(answer) = &mut self.stand_in else { return };
        let answered = match answer.try_recv() {
            Err(TryRecvError::Empty) => return,
            answered => answered,
        };
        self.stand_in = None;
        // Else it was applied, or overtaken by what an operator or the rundown wanted.
        let Ok(Err(Refusal::NotReady(missing))) = answered else { return };
        let caster = self.caster.clone();
        let spec = self.scene(&caster, Bus::Pgm, time::unix_ms());
        if caster.config.auto_standby_ms.is_some() {
            // The engine puts standby back over it in the same tick.
            let _ = self.command(Command::Amend { spec }).await;
        } else if spec.picture.layers.iter().all(|layer| missing.contains(&layer.input)) {
            self.stand_in_for(spec);
        } else {
            self.restore_scenes(&caster).await;
        }
    }
}
