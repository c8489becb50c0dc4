//! WHAT happens WHEN in one running caster: commands and input timelines go in, a [`Plan`] per tick comes out.
//!
//! Pure: no I/O, no clock (time is the tick), no locks. Must not know codecs, sockets or GPUs.
//! Invariants: one plan per tick, each with exactly `rate.samples_in(tick)` samples; an input's frames are shown in
//! order; a command is answered exactly once; a take and a cue change the picture on exactly the tick that they name.

use std::time::Duration;

use crate::frame::{Size, StereoSample, VideoFrame};
use crate::ids::{Bus, InputKey};
pub use crate::picture::{Direction, Transition, TransitionKind};
use crate::picture::{DrawList, ScenePicture};
use crate::shot::Shot;
use crate::sound::Level;
pub use crate::sound::{AnsMode, AudioFilter, MixSpec, ValidChannel};
pub use crate::source::{Detector, Detectors, Fault, InputKind, InputState, Part};
use crate::time::FrameRate;

mod audio;
mod cues;
mod fades;
mod groups;
mod health;
mod input;
mod lists;
mod live;
mod media;
mod paced;
mod parts;
mod pause;
mod reader;
mod run;
mod scenes;
mod servo;
mod transit;
mod unwrap;
mod video;
mod views;
mod vigil;

#[cfg(test)]
mod tests;

pub use health::Sight;
pub use media::InputStats;
pub use run::Engine;
pub use transit::Way;
pub use vigil::{AutoStandby, StandIn, Vigil};

/// What the engine of one caster is made for.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Ticks per second.
    pub rate: FrameRate,
    /// Canvas of both scenes.
    pub canvas: Size,
    /// Frames to ask of a file ahead of the one that is due, at least 1 and at most `limits::TIMELINE_FRAMES`.
    pub file_ahead: usize,
}

/// What a scene shows and what its layout would sound like.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SceneSpec {
    /// Picture.
    pub picture: ScenePicture,
    /// Sound of the layout (`MixList`); becomes PGM's mix at a take when audio follows video.
    pub mix: Vec<MixSpec>,
}

/// Ties an answer to its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// A change, applied whole at one tick or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// From now on there is this input.
    AddInput {
        /// Its key, never used before.
        input: InputKey,
        /// How it delivers.
        kind: InputKind,
        /// Whether a paced input stands on its first frame until it is started by [`Command::SetPlaying`] or a cue.
        held: bool,
    },
    /// The input is gone; scenes and cues that show it show nothing there.
    RemoveInput {
        /// Its key.
        input: InputKey,
    },
    /// A scene gets this content. On PGM it is a switch: it waits (at most `wait`) until every source it shows has
    /// a frame ready, unless `force`. On PVW it applies at the next tick.
    SetScene {
        /// Which scene.
        bus: Bus,
        /// Its new content.
        spec: SceneSpec,
        /// How it is accepted.
        when: Readiness,
        /// How PGM gets there; PVW is cut to it.
        way: Way,
    },
    /// PVW's content becomes PGM's, same rule. The mix follows if [`Command::SetFollow`] says so, over the same ticks as the
    /// picture. Whatever switches PGM completes a transition that runs, and begins from its end.
    Take {
        /// How it is accepted.
        when: Readiness,
        /// How PGM gets there.
        way: Way,
    },
    /// Picture and sound of PGM go to black and silence, or come back; a fade that is under way turns round where it is.
    /// Scenes change beneath it.
    FadeToBlack {
        /// To black, or back.
        on: bool,
        /// Frames in between (at most `limits::TRANSITION_MAX`); 0 at once.
        frames: u32,
    },
    /// PGM's content is amended by nobody's choice (what a layout is made of, the rundown): a cut, at once, beneath a standby
    /// that came by itself. [`Command::SetScene`] and [`Command::Take`] are an operator's: they end that standby, and faults
    /// that the new content's sources have by then bring it again only after they were over.
    Amend {
        /// PGM's new content.
        spec: SceneSpec,
    },
    /// What is watched and what stands in for PGM from now on.
    SetVigil(Box<Vigil>),
    /// Replaces PGM's (or PVW's) mix; 30 ms ramps.
    SetMix {
        /// Which scene.
        bus: Bus,
        /// The mix.
        mix: Vec<MixSpec>,
    },
    /// Audio-follows-video at a take and at a switch on PGM; on from the start.
    SetFollow {
        /// On or off.
        follow: bool,
    },
    /// Replaces the list of coming switches of PGM (at most `limits::MAX_CUES`). Of those whose tick is not in the future
    /// the latest happens at once, unless it has happened or been passed over under the same id; the earlier ones never
    /// happen.
    SetCues(Vec<Cue>),
    /// Replaces the sync groups (at most `limits::MAX_SYNC_GROUPS`). A group given again as it was goes on undisturbed.
    SetSyncGroups(Vec<SyncGroup>),
    /// Has a paced input run or pause. The tick that starts it shows its next frame (its first, if it was added held);
    /// the picture of the tick that pauses it is the one that stays. The sound fades in 30 ms; nothing is lost.
    SetPlaying {
        /// Its key.
        input: InputKey,
        /// Run or pause.
        playing: bool,
    },
}

/// Live inputs that are shown on one clock: frames with equal timestamps appear on the same tick, and the sound goes with
/// them. Other inputs that are named are ignored, and so is one that an earlier group has.
///
/// A member whose delay differs by more than `limits::SYNC_MAX`, or that is without a picture for `limits::SYNC_LOST`, goes
/// by its own clock until that is over; [`Event::Synced`] and [`Event::Unsynced`] tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Whose clock.
    pub mode: SyncMode,
    /// Who goes by it, the host included or not.
    pub members: Vec<InputKey>,
}

/// Whose clock a sync group goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// This input's, which is not changed by the others: who comes much later than it cannot follow.
    Host(InputKey),
    /// The most delayed member's.
    Mutual,
}

/// Why a member does not go by the clock of its sync group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// It has no picture.
    NoVideo,
    /// Its delay differs by more than `limits::SYNC_MAX`, or there is nobody to follow.
    TooFar,
    /// It comes later than the host's clock allows.
    TooLate,
    /// Its buffer cannot hold (`limits::SYNC_FRAMES`, `limits::SYNC_BYTES`) what the clock demands.
    TooLarge,
}

/// A switch of PGM at a tick: a cut, forced, ready or not. The mix follows as at a take. A switch that waits is overtaken by
/// it, and a transition that runs is cut short.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// Tells it from the others of the list, and across lists that replace each other.
    pub id: u64,
    /// First tick with the new content.
    pub tick: u64,
    /// PGM's new content. An input that does not exist by then is not shown.
    pub spec: SceneSpec,
    /// Paced inputs that begin to run at the tick, if they stand still; what else is named is ignored.
    pub starts: Vec<InputKey>,
}

/// How a switch on PGM is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// At the next tick, ready or not.
    pub force: bool,
    /// How long it may wait for its sources (at most `limits::TAKE_WAIT_MAX`).
    pub wait: Duration,
}

/// A command took effect: the picture (or sound) of `tick` is the first with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Grows by one with each applied command.
    pub revision: u64,
    /// First tick with the change.
    pub tick: u64,
}

/// Why a command was not applied; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// These inputs had no frame ready within the wait.
    #[error("no frame ready from {0:?}")]
    NotReady(Vec<InputKey>),
    /// A later switch on the same scene took its place.
    #[error("overtaken by a later command")]
    Overtaken,
    /// No such input.
    #[error("{0} is not an input of this caster")]
    UnknownInput(InputKey),
    /// More commands than `limits::ENGINE_COMMANDS` were waiting for the tick.
    #[error("too many commands at once")]
    TooMany,
    /// More cues than `limits::MAX_CUES`.
    #[error("too many cues")]
    TooManyCues,
    /// More sync groups than `limits::MAX_SYNC_GROUPS`.
    #[error("too many sync groups")]
    TooManyGroups,
    /// A transition or fade of more than `limits::TRANSITION_MAX`.
    #[error("a transition or fade of more than {} s", crate::limits::TRANSITION_MAX.as_secs())]
    TooLong,
    /// Only paced inputs can be held and paused.
    #[error("{0} runs in its own time and cannot be held or paused")]
    NotPaced(InputKey),
}

/// What drew and sounded at a tick: true to the rendered frame.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// Inputs with a visible layer in PGM; while a transition runs, in either of its scenes, though a dip draws one at a
    /// time. None while PGM is faded to black.
    pub pgm: Vec<InputKey>,
    /// Inputs with a visible layer in PVW.
    pub pvw: Vec<InputKey>,
    /// How far PGM is faded to black.
    pub black: Black,
}

/// How black PGM is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Black {
    /// Not at all.
    #[default]
    Off,
    /// On the way there or back.
    Fading,
    /// Nothing else is seen or heard.
    Full,
}

/// What the engine noticed; told once each.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The timestamps of an input jumped; its timeline was anchored anew.
    Reanchored {
        /// Whose.
        input: InputKey,
        /// By how much, ns.
        jump_ns: i64,
    },
    /// A live input delivered more than fits; the oldest frames were dropped.
    DroppedFrames {
        /// Whose.
        input: InputKey,
        /// How many.
        count: u32,
    },
    /// This tick is the first that plays a part of a paced input: a further play of a file, an item of a playlist.
    Began {
        /// Whose.
        input: InputKey,
        /// What.
        part: Part,
    },
    /// From this tick on an input goes by the clock of its sync group.
    Synced {
        /// Who.
        input: InputKey,
        /// By how much later it plays than before, ns.
        by_ns: i64,
    },
    /// An input does not, or no longer, go by the clock of its sync group.
    Unsynced {
        /// Who.
        input: InputKey,
        /// Why not.
        cause: Apart,
    },
    /// The pictures of a delayed layer take more than `limits::VIEW_BYTES`: it is shown less late than it should be.
    DelayCut {
        /// The input that it shows.
        input: InputKey,
    },
    /// This tick is the first at which something is wrong with a live source.
    FaultBegan {
        /// Whose.
        input: InputKey,
        /// What.
        fault: Fault,
    },
    /// It is no longer.
    FaultEnded {
        /// Whose.
        input: InputKey,
        /// What.
        fault: Fault,
        /// Since it was told of, ns.
        lasted_ns: u64,
    },
    /// This tick is the first at which something else stands in for PGM's own content, or nothing does any more.
    StoodIn {
        /// What PGM shows.
        shows: StandIn,
        /// Standby came, or goes, by itself.
        by_itself: bool,
        /// What it comes for, if it comes by itself.
        cause: Option<(InputKey, Fault)>,
    },
    /// A cue switched PGM.
    Cued {
        /// Which.
        id: u64,
        /// First tick with its content: its own, or a later one if it came late.
        tick: u64,
    },
}

/// What an input could take now without dropping anything. Live inputs and images take what comes; what a paced
/// input cannot take stays where it is (and so holds up its source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Frames.
    pub video: usize,
    /// Blocks of samples, of the largest size seen so far.
    pub audio: usize,
}

/// How loud the tick was.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Meters {
    /// PGM's mix, after the limiter.
    pub master: Level,
    /// Inputs in PGM's or PVW's mix, before their gain, by key.
    pub inputs: Vec<(InputKey, Level)>,
}

/// All of one tick.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which tick.
    pub tick: u64,
    /// PGM's picture.
    pub pgm: DrawList,
    /// PVW's picture.
    pub pvw: DrawList,
    /// Current frame of each input that a list above shows, once however often it is shown. Layers with a delay are inputs of their own here and in the
    /// lists, under keys that count down from the largest.
    pub frames: Vec<(InputKey, VideoFrame)>,
    /// PGM's sound: exactly the samples of this tick.
    pub audio: Vec<StereoSample>,
    /// Levels of it and of what went into it.
    pub meters: Meters,
    /// What is shown of each input (PGM, a scene that goes out of it, and PVW), for workers that scale ahead; that of a layer with a delay under its own
    /// key and under that of its input.
    pub wanted: Vec<(InputKey, Vec<Shot>)>,
    /// Answers to commands, in order.
    pub replies: Vec<(CommandId, Result<Applied, Refusal>)>,
    /// What is on air and on preview.
    pub tally: Tally,
    /// Live inputs that PGM would show if nothing stood in for them, with their current frame: how they look is to be measured
    /// all the same.
    pub covered: Vec<(InputKey, VideoFrame)>,
    /// What PGM shows.
    pub stand_in: StandIn,
    /// What was noticed.
    pub events: Vec<Event>,
}
