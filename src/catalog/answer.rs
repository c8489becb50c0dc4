//! Answers, and what follows from a call, as plain values.
//!
//! Must not know any wire form. Invariant: a change and its effects stand side by side, so that neither is forgotten.

use std::sync::Arc;

use super::model::{
    Caster, Component, Direction, Episode, EpisodeGroup, EpisodeStatus, Layout, LayoutPreset,
    Place, Resource, TransitionKind,
};
use crate::ids::{Bus, CasterId, ComponentId, EpisodeId, LayoutId, ProgramId, ResourceId};

/// What an accepted call answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A write was accepted.
    Written(Written),
    /// A caster, read whole (configuration, audio) or just put on air.
    Caster(Arc<Caster>),
    /// A page of the casters that match.
    Casters {
        /// Casters that match, on all pages.
        total: usize,
        /// This page.
        page: Vec<Arc<Caster>>,
    },
    /// Sources.
    Resources(Arc<Caster>, Vec<Resource>),
    /// Arrangements that layouts can be made by.
    LayoutPresets(&'static [LayoutPreset]),
    /// Layouts.
    Layouts(Arc<Caster>, Vec<Layout>),
    /// Components.
    Components(Arc<Caster>, Vec<Component>),
    /// Scenes.
    Scenes(Arc<Caster>, Vec<Bus>),
    /// A page of a rundown.
    Program {
        /// Whose.
        caster: Arc<Caster>,
        /// Episodes that match, on all pages.
        total: usize,
        /// This page.
        page: Vec<(Episode, EpisodeStatus)>,
    },
    /// An episode group, made or gone.
    Group(Arc<EpisodeGroup>),
}

impl Answer {
    /// The same answer, telling when the change took effect on air. Answers to reads stay as they are.
    pub fn with_applied(self, applied: Applied) -> Answer {
        match self {
            Answer::Written(written) => {
                Answer::Written(Written { applied: Some(applied), ..written })
            }
            read => read,
        }
    }
}

/// A write was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// On which caster.
    pub caster: CasterId,
    /// The caster's revision after it.
    pub revision: u64,
    /// What was made, changed or deleted.
    pub subject: Subject,
    /// When it took effect, if the caster is on air and shows or sounds it.
    pub applied: Option<Applied>,
}

impl Written {
    /// The identifier of what was made, changed or deleted; of several the first.
    pub fn subject_id(&self) -> &str {
        match &self.subject {
            Subject::Caster => self.caster.as_str(),
            Subject::Resource(id) => id.as_str(),
            Subject::Layout(id) => id.as_str(),
            Subject::Component(id) => id.as_str(),
            Subject::Episodes(ids) => ids.first().map_or("", EpisodeId::as_str),
        }
    }

    /// The episodes that were made or changed, in the order of the call.
    pub fn episodes(&self) -> &[EpisodeId] {
        match &self.subject {
            Subject::Episodes(ids) => ids,
            _ => &[],
        }
    }
}

/// What a write was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The caster itself or a scene.
    Caster,
    /// A source.
    Resource(ResourceId),
    /// A layout.
    Layout(LayoutId),
    /// A component.
    Component(ComponentId),
    /// Episodes, in the order of the call.
    Episodes(Vec<EpisodeId>),
}

/// When a change took effect on air: `tick` is the first output frame with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Grows by one with each change that the running caster applied.
    pub revision: u64,
    /// First frame with the change.
    pub tick: u64,
}

/// A call that was found valid, not yet durable or in effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// What becomes durable; none for reads.
    pub change: Option<Change>,
    /// What is answered.
    pub answer: Answer,
    /// What the running caster must do, in this order; the catalog after `change` says with what. Empty when the
    /// caster is not on air. The first that is refused refuses the call.
    pub effects: Vec<Effect>,
}

/// A change of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// This caster is new or replaces its earlier self.
    Upsert(Arc<Caster>),
    /// This caster is gone.
    Delete(CasterId),
    /// This episode group is new.
    UpsertGroup(Arc<EpisodeGroup>),
    /// This episode group is gone.
    DeleteGroup(ProgramId),
}

/// What a running caster must do for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Begin.
    Start,
    /// End.
    Stop,
    /// End and begin again with what it showed.
    Restart,
    /// A source is new: start its input.
    InputAdded(ResourceId),
    /// A source delivers something else: replace its input.
    InputChanged(ResourceId),
    /// A source is gone: stop its input. No scene uses it.
    InputRemoved(ResourceId),
    /// A component or a layout shows this image from now on: load it, unless another one has.
    ImageShown(Place),
    /// A scene gets its present content (`app::resolve`): `engine::Command::SetScene`.
    SceneSet {
        /// Which scene.
        bus: Bus,
        /// How it is accepted.
        when: When,
        /// How PGM gets there.
        way: Way,
    },
    /// PVW becomes PGM: `engine::Command::Take`.
    Take {
        /// How it is accepted.
        when: When,
        /// How PGM gets there.
        way: Way,
    },
    /// PGM goes to black, or comes back, as the catalog says by then: `engine::Command::FadeToBlack`.
    FadeToBlack {
        /// Frames in between.
        frames: u32,
    },
    /// A scene gets its present mix: `engine::Command::SetMix`.
    MixSet {
        /// Which scene.
        bus: Bus,
    },
    /// Audio-follows-video gets its present setting: `engine::Command::SetFollow`.
    FollowSet,
    /// The list of destinations is another.
    RelaysChanged,
    /// Bit rate, renditions, delay or recordings are others.
    OutputsChanged,
    /// The source of standby is another: start its input, or end it.
    StandbyChanged,
    /// A file goes on from here, ms from its first frame.
    Seek {
        /// Which.
        resource: ResourceId,
        /// Where to.
        position_ms: u64,
    },
    /// A file runs or is paused, as its channel says.
    PlayingSet(ResourceId),
}

/// How a switch on PGM is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Ready or not.
    pub force: bool,
    /// How long it may wait for its sources, ms.
    pub wait_ms: u32,
}

/// How PGM gets from what it shows to something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// At once.
    Cut,
    /// All of it in so many frames.
    Transition(Transition),
    /// A cut, but components that are new fade in and those that go fade out.
    FadeComponents {
        /// Frames in between.
        frames: u32,
    },
}

/// How one scene takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it looks like.
    pub kind: TransitionKind,
    /// Where what moves, moves to.
    pub towards: Direction,
    /// The colour of a dip, 0xRRGGBB.
    pub rgb: u32,
    /// Frames in between.
    pub frames: u32,
}
