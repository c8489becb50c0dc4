//! Channels, the rundown, and what happens at set times; what a rundown shows at a given time.
//!
//! Must not know ticks. Invariant: what is on at a time follows from the episodes and the time alone.

use super::{LocationId, SwitchType, TimedEventKind};
use crate::ids::{ComponentId, EpisodeId, ProgramId, ResourceId};

/// A channel: what its location plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name, RV01 – RV12.
    pub id: LocationId,
    /// The source that it plays; a source is in one channel at most.
    pub resource: Option<ResourceId>,
    /// Whether it runs; a file that does not is paused.
    pub playing: bool,
    /// How far its file is, ms from the file's first frame. Kept about once a second, so that a restart goes on there.
    pub position_ms: u64,
    /// `FaceBeauty`, stored and told, nothing more.
    pub face_beauty: String,
}

/// An item of a rundown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Its identifier.
    pub id: EpisodeId,
    /// For people.
    pub name: String,
    /// What it shows.
    pub content: EpisodeContent,
    /// Overlays: with a source, those that come and go with it; else all there is. Bottom to top.
    pub components: Vec<ComponentId>,
    /// When it is to begin, ms since 1970.
    pub start_unix_ms: u64,
    /// When it is to end, ms since 1970; later than it begins.
    pub end_unix_ms: u64,
}

/// What an episode shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EpisodeContent {
    /// A source, over the whole picture, with its sound.
    Resource {
        /// Which.
        resource: ResourceId,
        /// When it begins and ends.
        switch: SwitchType,
    },
    /// Components on top of what is on.
    Component,
}

/// When an episode really is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot<'a> {
    /// Which.
    pub episode: &'a Episode,
    /// First ms of it, since 1970.
    pub begin_unix_ms: u64,
    /// First ms after it; none = until something else is on.
    pub end_unix_ms: Option<u64>,
}

impl Slot<'_> {
    /// Whether it is on at a time.
    pub fn is_on(&self, unix_ms: u64) -> bool {
        self.begin_unix_ms <= unix_ms && self.end_unix_ms.is_none_or(|end| unix_ms < end)
    }
}

/// How far an episode is (`Status` of `DescribeCasterProgram`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpisodeStatus {
    /// To come.
    NotStarted = 0,
    /// On.
    Playing = 1,
    /// Over.
    Finished = 2,
}

/// When the episodes with a source are on, in order, without overlap.
///
/// `ContentFirst` begins and ends at its own times. `TimeFirst` begins when the one before it ends (at its own time if
/// there is none, or if that one has no end of its own) and ends when the next begins, or never. Where two claim a time,
/// the later one has it.
pub fn timeline(episodes: &[Episode]) -> Vec<Slot<'_>> {
    let switch_of = |e: &Episode| match &e.content {
        EpisodeContent::Resource { switch, .. } => Some(*switch),
        EpisodeContent::Component => None,
    };
    let mut slots: Vec<(SwitchType, Slot<'_>)> = episodes
        .iter()
        .filter_map(|episode| {
            let switch = switch_of(episode)?;
            let own_end = (switch == SwitchType::ContentFirst).then_some(episode.end_unix_ms);
            let begin_unix_ms = episode.start_unix_ms;
            Some((switch, Slot { episode, begin_unix_ms, end_unix_ms: own_end }))
        })
        .collect();
    slots.sort_by_key(|(_, slot)| slot.begin_unix_ms);
    for next in 1..slots.len() {
        let before = slots[next - 1].1;
        let (switch, slot) = &mut slots[next];
        if let (SwitchType::TimeFirst, Some(end)) = (*switch, before.end_unix_ms) {
            slot.begin_unix_ms = end.max(before.begin_unix_ms);
        }
        let begin = slot.begin_unix_ms;
        let earlier = &mut slots[next - 1].1;
        earlier.end_unix_ms = Some(earlier.end_unix_ms.map_or(begin, |end| end.min(begin)));
    }
    slots.into_iter().map(|(_, slot)| slot).collect()
}

/// How far an episode is at a time.
pub fn episode_status(episodes: &[Episode], id: &EpisodeId, unix_ms: u64) -> EpisodeStatus {
    let of = |begin: u64, end: Option<u64>| match (begin <= unix_ms, end) {
        (false, _) => EpisodeStatus::NotStarted,
        (true, Some(end)) if end <= unix_ms => EpisodeStatus::Finished,
        (true, _) => EpisodeStatus::Playing,
    };
    if let Some(slot) = timeline(episodes).iter().find(|slot| slot.episode.id == *id) {
        return of(slot.begin_unix_ms, slot.end_unix_ms);
    }
    let own = episodes.iter().find(|e| e.id == *id);
    own.map_or(EpisodeStatus::Finished, |e| of(e.start_unix_ms, Some(e.end_unix_ms)))
}

/// Something that happens to a caster at a set time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedEvent {
    /// What.
    pub kind: TimedEventKind,
    /// When, ms since 1970.
    pub at_unix_ms: u64,
}

/// Files played one after the other and pushed somewhere, without a caster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpisodeGroup {
    /// Its identifier.
    pub id: ProgramId,
    /// The token it was created with.
    pub client_token: String,
    /// Host under which players reach it.
    pub domain: String,
    /// When it begins, ms since 1970.
    pub start_unix_ms: u64,
    /// Further rounds after the first; -1 for ever.
    pub repeat_num: i32,
    /// Where it is pushed to.
    pub side_output: String,
    /// Where its events are posted.
    pub callback_url: Option<String>,
    /// Its stream is `/caster/{stream_name}`.
    pub stream_name: String,
    /// The files, in the order they are played.
    pub items: Vec<GroupItem>,
    /// How far it is.
    pub progress: GroupProgress,
}

/// How far an episode group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GroupProgress {
    /// To come.
    #[default]
    Waiting,
    /// On.
    Playing {
        /// Index of the file.
        item: u32,
        /// Which round, from 0 on.
        pass: u32,
    },
    /// Over.
    Ended,
}

/// A file of an episode group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupItem {
    /// Its identifier.
    pub id: EpisodeId,
    /// For people.
    pub name: String,
    /// http, https or file.
    pub url: String,
}
