//! The inputs of a caster on air: those of its sources, its standby, and of episodes that play a file from its beginning.
//!
//! Must not know when they are shown. Invariant: an input that nothing names any more is ended.

use super::super::world::From;
use super::super::{resolve, rundown};
use super::OnAir;
use crate::app::frame_thread::Message;
use crate::app::outputs::internal;
use crate::catalog::{
    self, Caster, Episode, EpisodeContent, Play, Refused, Resource, Slot, Source, SwitchType,
};
use crate::engine::{Command, MixSpec, SceneSpec, SyncGroup, SyncMode};
use crate::ids::{Bus, InputKey, ResourceId};
use crate::limits;

impl OnAir {
    /// Starts, or starts anew, the input of a source.
    pub(super) fn start_input(&mut self, caster: &Caster, id: &ResourceId) -> Result<(), Refused> {
        let Some(resource) = caster.resource(id) else { return Ok(()) };
        self.start_resource(caster, resource, from_channel(caster, resource))
    }

    /// Has a file go on from `position_ms`, by an input that begins there.
    pub(super) fn seek(
        &mut self,
        caster: &Caster,
        id: &ResourceId,
        position_ms: u64,
    ) -> Result<(), Refused> {
        let Some(resource) = caster.resource(id) else { return Ok(()) };
        let from = From { seek_ms: Some(position_ms), ..from_channel(caster, resource) };
        self.start_resource(caster, resource, from)
    }

    /// Has a file go on where another input was: at `position_ms`, after so many plays that are over.
    pub(super) fn go_on(
        &mut self,
        caster: &Caster,
        id: &ResourceId,
        (position_ms, passes): (u64, u32),
    ) -> Result<(), Refused> {
        let Some(resource) = caster.resource(id) else { return Ok(()) };
        let from = from_channel(caster, resource);
        let seek_ms = Some(position_ms).filter(|&ms| ms > 0).or(from.seek_ms);
        self.start_resource(caster, resource, From { seek_ms, passes, ..from })
    }

    fn start_resource(
        &mut self,
        caster: &Caster,
        resource: &Resource,
        from: From,
    ) -> Result<(), Refused> {
        let key = self.add_input(caster, (&resource.name, &resource.source), from)?;
        self.inputs.insert(resource.id.clone(), key);
        Ok(())
    }

    fn add_input(
        &mut self,
        caster: &Caster,
        source: (&str, &Source),
        from: From,
    ) -> Result<InputKey, Refused> {
        let input = self.world.start_input(caster, source, from)?;
        let key = input.key();
        self.ends.insert(key, input.end());
        self.messages.send(Message::AddInput(input)).map_err(internal)?;
        Ok(key)
    }

    /// Starts the input of standby as it is configured; the one before goes when nothing shows it any more.
    pub(super) fn start_standby(&mut self, caster: &Caster) -> Result<(), Refused> {
        self.standby = match caster.config.standby.source() {
            // A file stands on its first picture until it is shown.
            Some(source) => {
                let from = From { held: true, ..From::default() };
                Some(self.add_input(caster, ("standby", &source), from)?)
            }
            None => None,
        };
        Ok(())
    }

    /// Runs or pauses the file of a channel.
    pub(super) async fn set_playing(
        &mut self,
        caster: &Caster,
        id: &ResourceId,
    ) -> Result<(), Refused> {
        let plays = |resource: &&Resource| matches!(resource.source, Source::Vod { .. });
        let (Some(&input), Some(resource)) =
            (self.inputs.get(id), caster.resource(id).filter(plays))
        else {
            return Ok(());
        };
        let location = caster.location_of(resource);
        let playing = location.and_then(|l| caster.channel(l)).is_some_and(|c| c.playing);
        self.command(Command::SetPlaying { input, playing }).await.map(drop)
    }

    /// Holds the live sources of the caster's groups to one clock each; as the sources are now, and only if they are others
    /// than before.
    pub(super) async fn follow_sync_groups(&mut self) {
        let groups = self.sync_groups(&self.caster);
        if groups == self.synced {
            return;
        }
        match self.command(Command::SetSyncGroups(groups.clone())).await {
            Ok(_) => self.synced = groups,
            Err(refused) => tracing::error!(caster = %self.caster.id, %refused, "no sync groups"),
        }
    }

    fn sync_groups(&self, caster: &Caster) -> Vec<SyncGroup> {
        let input = |id: &ResourceId| self.inputs.get(id).copied();
        let group = |group: &catalog::SyncGroup| {
            let mode = match &group.mode {
                catalog::SyncMode::Streamer { host } => SyncMode::Host(input(host)?),
                catalog::SyncMode::Conference => SyncMode::Mutual,
            };
            Some(SyncGroup { mode, members: group.resources.iter().filter_map(input).collect() })
        };
        caster.config.sync_groups.iter().filter_map(group).collect()
    }

    /// Every input that is in use.
    pub(super) fn keys(&self) -> Vec<InputKey> {
        let inputs = self.inputs.values().chain(self.episodes.values());
        inputs.copied().chain(self.standby).collect()
    }

    /// Ends those of `keys` that are not in use any more.
    pub(super) fn remove_unused(&mut self, keys: Vec<InputKey>) {
        let used = self.keys();
        for key in keys.into_iter().filter(|key| !used.contains(key)) {
            self.ends.remove(&key);
            // A frame thread that is gone has no inputs either.
            let _ = self.messages.send(Message::RemoveInput(key));
        }
    }

    /// What a scene shows at a time, ms since 1970.
    pub(super) fn scene(&self, caster: &Caster, bus: Bus, unix_ms: u64) -> SceneSpec {
        self.with_found(|found| match bus {
            Bus::Pvw => resolve::resolve_pvw(caster, found),
            Bus::Pgm => resolve::resolve_pgm(caster, unix_ms, found),
        })
    }

    /// What the mixer of a scene is set to.
    pub(super) fn mix(&self, caster: &Caster, bus: Bus) -> Vec<MixSpec> {
        self.with_found(|found| match bus {
            Bus::Pvw => resolve::resolve_pvw(caster, found).mix,
            Bus::Pgm => resolve::resolve_pgm_mix(caster, found),
        })
    }

    fn with_found<T>(&self, resolve: impl FnOnce(&resolve::Found<'_>) -> T) -> T {
        resolve(&resolve::Found {
            resource: &|id| self.inputs.get(id).copied(),
            episode: &|id| self.episodes.get(id).copied(),
            standby: self.standby,
            image: &|place| self.images.get(place).cloned(),
        })
    }

    /// Gives the files of episodes that are on or soon will be an input each, and ends those of episodes that are over.
    pub(super) fn follow_episodes(&mut self, caster: &Caster, unix_ms: u64) {
        let lead_ms = u64::try_from(limits::EPISODE_LEAD.as_millis()).unwrap_or(u64::MAX);
        let near = |slot: &Slot<'_>| {
            let end = slot.end_unix_ms.map_or(u64::MAX, |end| end.saturating_add(lead_ms));
            slot.begin_unix_ms <= unix_ms + lead_ms && unix_ms < end
        };
        let slots: Vec<Slot<'_>> = rundown::slots(caster).into_iter().filter(near).collect();
        let before = self.keys();
        self.episodes.retain(|id, _| slots.iter().any(|slot| slot.episode.id == *id));
        for slot in &slots {
            if !self.episodes.contains_key(&slot.episode.id)
                && let Err(refused) = self.start_episode(caster, slot, unix_ms)
            {
                tracing::error!(episode = slot.episode.name, %refused, "its file is left out");
            }
        }
        self.remove_unused(before);
    }

    fn start_episode(
        &mut self,
        caster: &Caster,
        slot: &Slot<'_>,
        unix_ms: u64,
    ) -> Result<(), Refused> {
        let Some((source, begin_ms)) = file_of(caster, slot.episode) else { return Ok(()) };
        let elapsed_ms = unix_ms.checked_sub(slot.begin_unix_ms).filter(|&ms| ms > 0);
        let from = match elapsed_ms {
            Some(ms) => From { seek_ms: Some(begin_ms + ms), ..From::default() },
            None => From { held: true, ..From::default() },
        };
        let key = self.add_input(caster, (&slot.episode.name, &source), from)?;
        self.episodes.insert(slot.episode.id.clone(), key);
        Ok(())
    }
}

/// Where the file of a channel goes on; a source that is in no channel waits to be put into one.
fn from_channel(caster: &Caster, resource: &Resource) -> From {
    if !caster.config.channel_enable {
        return From::default();
    }
    let channel = caster.location_of(resource).and_then(|location| caster.channel(location));
    let seek_ms = channel.map(|channel| channel.position_ms).filter(|&ms| ms > 0);
    From { seek_ms, held: channel.is_none_or(|channel| !channel.playing), passes: 0 }
}

/// The file that an episode plays, if it is one, and where in it it begins, ms.
fn file_of(caster: &Caster, episode: &Episode) -> Option<(Source, u64)> {
    let EpisodeContent::Resource { resource, switch } = &episode.content else { return None };
    let Source::Vod { place, play } = &caster.resource(resource)?.source else { return None };
    let begin_ms = u64::try_from(play.begin_offset_ms).unwrap_or(0);
    // It has no end of its own, so it is repeated until something follows.
    let repeat_num = if *switch == SwitchType::TimeFirst { -1 } else { play.repeat_num };
    let play = Play { repeat_num, ..*play };
    Some((Source::Vod { place: place.clone(), play }, begin_ms))
}
