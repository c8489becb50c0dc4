//! Sources whose worker broke off or hangs: another input takes the place of theirs.
//!
//! Must not know what a worker does. Invariants: a file goes on from where it was; what breaks again and again rests in
//! between; PGM shows the last picture until the other input has one.

use std::collections::BTreeMap;

use super::OnAir;
use crate::app::frame_thread::Report;
use crate::catalog::{self, Caster, Effect, Source, When};
use crate::engine::{InputStats, SceneSpec};
use crate::ids::{Bus, EpisodeId, InputKey, ResourceId};
use crate::input::Broken;
use crate::limits;
use crate::time;
use crate::worker::Rest;

/// Ticks without a new picture after which a file has shown all that its worker had decoded.
const STILL_TICKS: u64 = 15;
/// How long PGM waits for the first picture, as a take does, ms.
pub(super) const WAIT_MS: u32 = 3000;

/// Who plays an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Player {
    Resource(ResourceId),
    Episode(EpisodeId),
    Standby,
    /// The show itself, of an episode group.
    Group,
}

/// How often something was mended.
#[derive(Debug, Default)]
struct Mended {
    rest: Rest,
    /// What is broken and rests.
    broken: Option<InputKey>,
    count: u64,
    /// Workers that hang and were left behind.
    left_behind: u32,
    /// How far it is, ms, and since which tick.
    position_ms: u64,
    since_tick: u64,
    /// The input that took the place of one that was broken, and the plays of its file that were over by then.
    went_on: Option<(InputKey, u32)>,
}

/// All that was mended.
#[derive(Debug, Default)]
pub(super) struct Mends(BTreeMap<Player, Mended>);

impl Mends {
    /// How often the input of a source was replaced.
    pub(super) fn count(&self, id: &ResourceId) -> u64 {
        self.0.get(&Player::Resource(id.clone())).map_or(0, |mended| mended.count)
    }

    /// Whether it is time to replace what is broken: what had been decoded is still shown.
    pub(super) fn is_due(&mut self, player: &Player, found: &Found, tick: u64) -> bool {
        let &Found { key, ref broken, position_ms, .. } = found;
        let mended = self.0.entry(player.clone()).or_default();
        if mended.broken != Some(key) || mended.position_ms != position_ms {
            (mended.position_ms, mended.since_tick) = (position_ms, tick);
        }
        if mended.broken != Some(key) {
            mended.broken = Some(key);
            mended.count += 1;
            mended.left_behind += u32::from(*broken == Broken::Hung);
            mended.rest.broke();
        }
        let stands = tick >= mended.since_tick + STILL_TICKS;
        stands && mended.rest.is_over() && mended.left_behind <= limits::THREADS_LEFT_BEHIND
    }

    /// Plays of a file that are over: those of the input that is broken, and those before it if that took the place of another.
    fn passes(&self, player: &Player, found: &Found) -> u32 {
        let before = self.0.get(player).and_then(|mended| mended.went_on);
        found.pass + before.filter(|(key, _)| *key == found.key).map_or(0, |(_, passes)| passes)
    }
}

fn shows(spec: &SceneSpec, key: InputKey) -> bool {
    spec.picture.layers.iter().any(|layer| layer.input == key)
        || spec.mix.iter().any(|mix| mix.input == key)
}

impl OnAir {
    /// Gives those whose input is broken another one.
    pub(in crate::app) async fn mend_inputs(&mut self) {
        let report = self.report.borrow().clone();
        for found in broken(&report) {
            let Some(player) = self.player_of(found.key) else { continue };
            if self.mends.is_due(&player, &found, report.tick) {
                let broken = &found.broken;
                tracing::error!(caster = %self.caster.id, ?player, ?broken, "an input is replaced");
                self.mend(player, &found).await;
            }
        }
    }

    fn player_of(&self, key: InputKey) -> Option<Player> {
        if self.standby == Some(key) {
            return Some(Player::Standby);
        }
        let episode = self.episodes.iter().find(|(_, used)| **used == key);
        let episode = episode.map(|(id, _)| Player::Episode(id.clone()));
        episode.or_else(|| self.resource_of(key).map(Player::Resource))
    }

    async fn mend(&mut self, player: Player, found: &Found) {
        let (caster, before, content) = (self.caster.clone(), self.keys(), self.content());
        let key = found.key;
        let shown: Vec<Bus> = [Bus::Pvw, Bus::Pgm]
            .into_iter()
            .filter(|bus| shows(&self.scene(&caster, *bus, time::unix_ms()), key))
            .collect();
        let mut effects = match &player {
            Player::Standby => vec![Effect::StandbyChanged],
            // The rundown opens its file anew, where it would be.
            Player::Episode(id) => {
                self.episodes.remove(id);
                self.follow_episodes(&caster, time::unix_ms());
                Vec::new()
            }
            Player::Resource(id) if is_file(&caster, id) => {
                let passes = self.mends.passes(&player, found);
                match self.go_on(&caster, id, (found.position_ms, passes)) {
                    Ok(()) => self.note(&player, (id, passes)),
                    Err(refused) => tracing::error!(%refused, "a file does not go on"),
                }
                Vec::new()
            }
            Player::Resource(id) => vec![Effect::InputChanged(id.clone())],
            // Its carousel looks after it.
            Player::Group => return,
        };
        effects.extend(shown.into_iter().map(|bus| {
            let when = When { force: bus == Bus::Pvw, wait_ms: WAIT_MS };
            Effect::SceneSet { bus, when, way: catalog::Way::Cut }
        }));
        if let Err(refused) = self.carry_out(&caster, &effects).await {
            tracing::error!(caster = %caster.id, %refused, "it stays broken for now");
            let new = self.keys();
            (self.inputs, self.images, self.standby) = content;
            self.remove_unused(new);
            if let Some(mended) = self.mends.0.get_mut(&player) {
                mended.broken = None;
            }
        }
        self.remove_unused(before);
    }

    /// Which input goes on, after so many plays.
    fn note(&mut self, player: &Player, (id, passes): (&ResourceId, u32)) {
        let went_on = self.inputs.get(id).map(|key| (*key, passes));
        if let Some(mended) = self.mends.0.get_mut(player) {
            mended.went_on = went_on;
        }
    }
}

fn is_file(caster: &Caster, id: &ResourceId) -> bool {
    caster.resource(id).is_some_and(|resource| matches!(resource.source, Source::Vod { .. }))
}

/// An input that is broken.
pub(super) struct Found {
    pub(super) key: InputKey,
    broken: Broken,
    /// How far its file is, ms, in which item of a playlist and in which play.
    pub(super) position_ms: u64,
    pub(super) item: u32,
    pub(super) pass: u32,
}

pub(super) fn broken(report: &Report) -> Vec<Found> {
    let inputs = report.inputs.iter();
    let broken = inputs.filter_map(|input| {
        let broken = input.status.broken.clone()?;
        let InputStats { position_ms, item, pass, .. } = input.stats;
        Some(Found { key: input.input, broken, position_ms, item, pass })
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is replaced at the tick after which nothing moves any more.
    fn is_replaced(mends: &mut Mends, player: &Player, (key, broken): (u32, &Broken)) -> bool {
        let mut due = (0..=STILL_TICKS + 5).map(|tick| {
            let position_ms = tick.min(5) * 40;
            let (key, broken) = (InputKey(key), broken.clone());
            let found = Found { key, broken, position_ms, item: 0, pass: 0 };
            mends.is_due(player, &found, tick)
        });
        assert!(due.by_ref().take(STILL_TICKS as usize + 5).all(|due| !due), "it still plays");
        due.next() == Some(true)
    }

    #[test]
    fn plays_are_counted_over_all_inputs_that_took_the_place_of_each_other() {
        let (player, mut mends) = (Player::Standby, Mends::default());
        // Of an input that an operator began by a seek the plays before do not count.
        for (key, pass, passes, next) in [(1, 2, 2, 2), (2, 3, 5, 3), (4, 1, 1, 5), (5, 0, 1, 6)] {
            let broken = Broken::Hung;
            let found = Found { key: InputKey(key), broken, position_ms: 0, item: 0, pass };
            assert_eq!(mends.passes(&player, &found), passes, "{key}");
            mends.0.entry(player.clone()).or_default().went_on = Some((InputKey(next), passes));
        }
    }

    #[test]
    fn what_is_broken_is_replaced_at_once_then_rests_and_hung_ones_are_few() {
        let panicked = Broken::Panicked("a bug".into());
        for (broken, replaced) in [(&panicked, 4), (&Broken::Hung, 3)] {
            let mut mends = Mends::default();
            for key in 0..10 {
                let is_replaced = is_replaced(&mut mends, &Player::Standby, (key, broken));
                assert_eq!(is_replaced, key < replaced, "{broken:?} {key}");
            }
            assert!(is_replaced(
                &mut mends,
                &Player::Episode(EpisodeId::random()),
                (11, &panicked)
            ));
        }
    }
}
