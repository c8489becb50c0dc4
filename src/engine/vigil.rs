//! What stands in for PGM's own content: standby when its sources fail, a slate when standby itself is not there.
//!
//! Must not know how faults are found (`health`) or clocks. Invariants: standby comes at the tick at which an interruption
//! is as long as was set, and goes by itself at the tick at which all sources have been good for as long as was set, so that
//! there are never more switches than one for each of these times; what an operator has overruled does not count before it
//! was good again; PGM is never empty while something can stand in.

use std::collections::BTreeSet;
use std::time::Duration;

use super::input::Input;
use super::media::Tick;
use super::run::Inputs;
use super::{Event, SceneSpec};
use crate::ids::InputKey;
use crate::limits;
use crate::picture::ScenePicture;
use crate::source::{Detectors, Fault};

/// What is watched, and what stands in for PGM's own content.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Vigil {
    /// Standby's picture and sound; none when there is no standby. A paced input in it stands still while it is not shown.
    pub standby: Option<SceneSpec>,
    /// What is shown in standby's place while that has no picture.
    pub slate: ScenePicture,
    /// Standby comes by itself.
    pub auto: Option<AutoStandby>,
    /// When something is a fault of a live source.
    pub detectors: Detectors,
}

/// When standby comes and goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoStandby {
    /// So long a live source that PGM shows may have no new picture. The last one is held meanwhile.
    pub after: Duration,
    /// So long all of them must have been good before standby goes; none = it stays until an operator sets or takes PGM.
    pub back: Option<Duration>,
}

/// What PGM shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum StandIn {
    /// Its own content.
    #[default]
    Own,
    /// Standby.
    Standby,
    /// The slate, since standby has no picture.
    Slate,
}

/// Who put standby on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum State {
    /// Nobody; or an operator, by what PGM was set to.
    #[default]
    Own,
    /// It came by itself.
    Came,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) vigil: Vigil,
    state: State,
    pub(super) shows: StandIn,
    /// PGM was set or taken since the last look.
    set_by_hand: bool,
    /// Sources whose trouble an operator knows of.
    overruled: BTreeSet<InputKey>,
}

impl Watch {
    /// An operator has set or taken PGM.
    pub(super) fn set_by_hand(&mut self) {
        self.set_by_hand = true;
    }

    /// What `own`, which PGM is to show, is replaced by at this tick, and what is told of it.
    pub(super) fn look(
        &mut self,
        (at, inputs): (&Tick, &Inputs),
        own: &SceneSpec,
    ) -> (StandIn, Option<Event>) {
        let sources = Sources { at, inputs, own, detectors: self.vigil.detectors };
        if std::mem::take(&mut self.set_by_hand) {
            self.state = State::Own;
            self.overruled = sources.live().filter(|key| !sources.is_well(*key)).collect();
        }
        self.overruled.retain(|key| sources.names(*key) && !sources.is_well(*key));
        let was = (self.state, self.shows);
        let cause = self.follow(&sources);
        self.shows = self.choose(&sources);
        let by_itself = was.0 == State::Came || self.state == State::Came;
        let told =
            (was.1 != self.shows).then_some(Event::StoodIn { shows: self.shows, by_itself, cause });
        (self.shows, told)
    }

    /// Standby comes or goes by itself; what it comes for.
    fn follow(&mut self, sources: &Sources<'_>) -> Option<(InputKey, Fault)> {
        let Some(auto) = self.vigil.auto else {
            self.state = State::Own;
            return None;
        };
        let counts = |key: InputKey| !self.overruled.contains(&key);
        match self.state {
            State::Own => {
                let cause = sources.trouble(auto.after, &counts)?;
                self.state = State::Came;
                Some(cause)
            }
            State::Came => {
                if auto.back.is_some_and(|back| sources.are_good_for(back)) {
                    self.state = State::Own;
                }
                None
            }
        }
    }

    fn choose(&self, sources: &Sources<'_>) -> StandIn {
        let standby = self.vigil.standby.as_ref();
        let is_own = standby.is_some_and(|standby| is_same(standby, sources.own));
        if self.state == State::Own && !is_own {
            return StandIn::Own;
        }
        let hold = if self.shows == StandIn::Slate { limits::SLATE_HOLD } else { Duration::ZERO };
        let is_there = standby.is_some_and(|standby| sources.can_show(standby, hold));
        if is_there { StandIn::Standby } else { StandIn::Slate }
    }

    /// The scene that is drawn in the place of `own`; none when that is.
    pub(super) fn scene(&self, own: &SceneSpec) -> Option<SceneSpec> {
        match self.shows {
            StandIn::Own => None,
            StandIn::Standby => self.vigil.standby.clone().filter(|standby| !is_same(standby, own)),
            StandIn::Slate => {
                Some(SceneSpec { picture: self.vigil.slate.clone(), mix: Vec::new() })
            }
        }
    }

    /// The inputs of standby.
    pub(super) fn standby_inputs(&self) -> impl Iterator<Item = InputKey> {
        let layers = self.vigil.standby.iter().flat_map(|standby| &standby.picture.layers);
        layers.map(|layer| layer.input)
    }

    /// The input is gone.
    pub(super) fn forget(&mut self, input: InputKey) {
        if let Some(standby) = &mut self.vigil.standby {
            super::cues::forget(standby, input);
            if standby.picture.layers.is_empty() {
                self.vigil.standby = None;
            }
        }
    }
}

fn is_same(standby: &SceneSpec, own: &SceneSpec) -> bool {
    !standby.picture.layers.is_empty() && standby.picture.layers == own.picture.layers
}

/// The sources of PGM's own content, as they are at a tick.
struct Sources<'a> {
    at: &'a Tick,
    inputs: &'a Inputs,
    own: &'a SceneSpec,
    detectors: Detectors,
}

impl Sources<'_> {
    fn layers(&self) -> impl Iterator<Item = InputKey> {
        self.own.picture.layers.iter().map(|layer| layer.input)
    }

    fn mix(&self) -> impl Iterator<Item = InputKey> {
        self.own.mix.iter().map(|entry| entry.input)
    }

    fn names(&self, key: InputKey) -> bool {
        self.layers().chain(self.mix()).any(|named| named == key)
    }

    fn input(&self, key: InputKey) -> Option<&Input> {
        self.inputs.get(&key).filter(|input| input.is_live())
    }

    /// The live sources among them.
    fn live(&self) -> impl Iterator<Item = InputKey> {
        self.layers().chain(self.mix()).filter(|key| self.input(*key).is_some())
    }

    /// Whether a source could be shown and nothing is wrong with it that brings standby.
    fn is_well(&self, key: InputKey) -> bool {
        let shown = self.layers().any(|layer| layer == key);
        self.input(key).is_none_or(|input| {
            input.health.good_ns(self.at).is_some() && (!shown || input.is_ready(self.at.n))
        })
    }

    /// What of a source that counts brings standby.
    fn trouble(
        &self,
        after: Duration,
        counts: &dyn Fn(InputKey) -> bool,
    ) -> Option<(InputKey, Fault)> {
        const SEEN: [Fault; 4] = [Fault::Lost, Fault::Stale, Fault::Frozen, Fault::Black];
        let rule = (&self.detectors, after.as_nanos() as i64);
        let find = |key: InputKey, faults: &[Fault]| {
            let input = self.input(key).filter(|_| counts(key))?;
            Some((key, input.health.trouble(faults, rule)?))
        };
        let seen = self.layers().find_map(|key| find(key, &SEEN));
        seen.or_else(|| self.mix().find_map(|key| find(key, &[Fault::Silent])))
    }

    /// Whether all have been good for so long, and have a picture where they need one.
    fn are_good_for(&self, back: Duration) -> bool {
        let has_picture = |key| self.inputs.get(&key).is_none_or(|input| input.is_ready(self.at.n));
        let is_good = |key| {
            let good_ns = self.input(key).map(|input| input.health.good_ns(self.at));
            good_ns.is_none_or(|ns| ns.is_some_and(|ns| ns >= back.as_nanos() as i64))
        };
        self.layers().all(|key| has_picture(key) && is_good(key)) && self.mix().all(is_good)
    }

    /// Whether all of a scene has a picture, and what of it is live has been good for so long.
    fn can_show(&self, scene: &SceneSpec, hold: Duration) -> bool {
        scene.picture.layers.iter().all(|layer| {
            self.inputs.get(&layer.input).is_some_and(|input| {
                let is_good = |ns: i64| ns >= hold.as_nanos() as i64;
                let is_held = hold == Duration::ZERO || !input.is_live();
                input.is_ready(self.at.n)
                    && (is_held || input.health.good_ns(self.at).is_some_and(is_good))
            })
        })
    }
}
