//! Rules of channels: which source a location plays, and how far it is.
//!
//! Must not know how a file is played. Invariant: a source is in one channel at most; only files seek and pause.

use super::super::code::{ErrorCode, Refused};
use super::super::model::{Caster, Channel, LocationId, Source, TimedEventKind};
use super::super::{Catalog, Change, ChannelDraft, Effect, Subject, Way, When};
use super::{Edit, Edited, check};
use crate::ids::{Bus, CasterId, ResourceId};
use crate::limits;
use std::sync::Arc;

/// Largest `FaceBeauty`.
const MAX_FACE_BEAUTY: u8 = 4;

pub(super) fn set(caster: &mut Caster, draft: &ChannelDraft) -> Edit {
    if !caster.config.channel_enable {
        return Err(ErrorCode::ChannelDisabled.into());
    }
    let id = channel_id(&draft.channel_id)?;
    let present = caster.channel(id).cloned();
    let bound = match &draft.resource_id[..] {
        "" => present.as_ref().and_then(|channel| channel.resource.clone()),
        text => Some(check::resource_id(text)?),
    };
    let bound = bound.ok_or_else(|| check::missing("ResourceId"))?;
    let resource = caster.resource(&bound).ok_or(ErrorCode::ResourceNotFound)?;
    let begin_ms = file_begin_ms(resource.configured());
    if caster.channels.iter().any(|c| c.id != id && c.resource.as_ref() == Some(&bound)) {
        return Err(ErrorCode::ResourceOfChannelExist.into());
    }
    let playing = check::flag("PlayStatus", draft.play_status)?.unwrap_or(true);
    let seek_ms = match draft.seek_offset_ms {
        None => None,
        Some(ms) => Some(
            u64::try_from(ms)
                .map_err(|_negative| check::malformed("SeekOffset must be 0 or more."))?,
        ),
    };
    if begin_ms.is_none() && (seek_ms.is_some_and(|ms| ms > 0) || !playing) {
        return Err(check::malformed("SeekOffset and PlayStatus 0 are for files only."));
    }
    let is_new = present.as_ref().is_none_or(|c| c.resource.as_ref() != Some(&bound));
    let from = seek_ms.or(begin_ms.filter(|_| is_new));
    let was_playing = present.as_ref().is_none_or(|channel| channel.playing);
    let channel = Channel {
        id,
        resource: Some(bound.clone()),
        playing,
        position_ms: from.or(present.as_ref().map(|c| c.position_ms)).unwrap_or(0),
        face_beauty: face_beauty(&draft.face_beauty, present.as_ref())?,
    };
    caster.channels.retain(|c| c.id != id);
    caster.channels.push(channel);
    caster.channels.sort_by_key(|c| c.id);
    let effects = if caster.is_on_air() {
        effects(
            caster,
            (id, &bound),
            from.filter(|_| begin_ms.is_some()),
            Turned { is_new, paused: was_playing != playing },
        )
    } else {
        Vec::new()
    };
    Ok(Edited { subject: Subject::Caster, effects })
}

/// What is another about a channel.
#[derive(Clone, Copy)]
struct Turned {
    is_new: bool,
    paused: bool,
}

fn effects(
    caster: &Caster,
    (id, resource): (LocationId, &ResourceId),
    from: Option<u64>,
    turned: Turned,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(position_ms) = from {
        effects.push(Effect::Seek { resource: resource.clone(), position_ms });
    }
    if turned.is_new || from.is_some() {
        let when = When { force: false, wait_ms: check::DEFAULT_WAIT_MS };
        let uses = |bus: &Bus| uses(caster, *bus, id);
        let set = |bus| Effect::SceneSet { bus, when, way: Way::Cut };
        effects.extend([Bus::Pgm, Bus::Pvw].into_iter().filter(uses).map(set));
    }
    if turned.paused || turned.is_new || from.is_some() {
        effects.push(Effect::PlayingSet(resource.clone()));
    }
    effects
}

/// Whether a scene shows or sounds what is at a location.
pub(super) fn uses(caster: &Caster, bus: Bus, location: LocationId) -> bool {
    caster.scene(bus).is_some_and(|scene| {
        let shown = scene.layout.as_ref().and_then(|id| caster.layout(id));
        scene.mix.iter().any(|a| a.location == location)
            || shown.is_some_and(|l| l.video.iter().any(|v| v.location == location))
    })
}

fn channel_id(text: &str) -> Result<LocationId, Refused> {
    LocationId::parse(check::present("ChannelId", text)?)
        .filter(|id| id.number() <= limits::MAX_CHANNELS)
        .ok_or_else(|| check::malformed("ChannelId must be RV01 to RV12."))
}

/// Where a file begins, ms; none for what is no file.
fn file_begin_ms(source: &Source) -> Option<u64> {
    match source {
        Source::Vod { play, .. } => Some(u64::try_from(play.begin_offset_ms).unwrap_or(0)),
        Source::Live { .. } | Source::Image { .. } => None,
    }
}

fn face_beauty(text: &str, present: Option<&Channel>) -> Result<String, Refused> {
    let is_known = text.parse().is_ok_and(|kind: u8| kind <= MAX_FACE_BEAUTY);
    match text {
        "" => Ok(present.map(|channel| channel.face_beauty.clone()).unwrap_or_default()),
        text if is_known => Ok(text.to_owned()),
        _ => Err(check::malformed("FaceBeauty must be from 0 to 4.")),
    }
}

impl Catalog {
    /// The caster without the timed events that are due, and what they are. No write of a client's: the revision stays.
    pub fn take_due(&self, id: &CasterId, unix_ms: u64) -> Option<(Vec<TimedEventKind>, Change)> {
        let before = self.caster(id)?;
        before.timed_events.iter().find(|event| event.at_unix_ms <= unix_ms)?;
        let mut after = Caster::clone(before);
        let (due, later): (Vec<_>, Vec<_>) =
            after.timed_events.iter().partition(|event| event.at_unix_ms <= unix_ms);
        after.timed_events = later;
        let due: Vec<_> = due.into_iter().map(|event| event.kind).collect();
        Some((due, Change::Upsert(Arc::new(after))))
    }

    /// The caster with its channels this far, ms; none when nothing is another. No write of a client's: the revision stays.
    pub fn with_positions(&self, id: &CasterId, positions: &[(LocationId, u64)]) -> Option<Change> {
        let before = self.caster(id)?;
        let mut after = Caster::clone(before);
        for channel in &mut after.channels {
            if let Some((_, ms)) = positions.iter().find(|(location, _)| *location == channel.id) {
                channel.position_ms = *ms;
            }
        }
        (after != **before).then(|| Change::Upsert(Arc::new(after)))
    }
}
