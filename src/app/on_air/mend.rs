//! Sources whose worker broke off or hangs: another input takes the place of theirs.
//!
//! Must not know what a worker does. Invariants: a file goes on from where it was; what breaks again and again rests in
//! between; PGM shows the last picture until the other input has one.

use std::collections::BTreeMap;

use super::OnAir;
use crate::app::frame_thread::Report;
use crate::catalog::{self, Effect, Source, When};
use crate::engine::SceneSpec;
use crate::ids::{Bus, EpisodeId, InputKey, ResourceId};
use crate::time;
use crate::worker::Rest;

/// How long PGM waits for the first picture, as a take does, ms.
const WAIT_MS: u32 = 3000;

/// Who plays an input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Player {
    Resource(ResourceId),
    Episode(EpisodeId),
    Standby,
}

/// How often something was mended.
#[derive(Debug, Default)]
struct Mended {
    rest: Rest,
    /// What is broken and rests.
    broken: Option<InputKey>,
    count: u64,
}

/// All that was mended.
#[derive(Debug, Default)]
pub(super) struct Mends(BTreeMap<Player, Mended>);

impl Mends {
    /// How often the input of a source was replaced.
    pub(super) fn count(&self, id: &ResourceId) -> u64 {
        self.0.get(&Player::Resource(id.clone())).map_or(0, |mended| mended.count)
    }

    /// Whether it is time to replace what is broken.
    fn is_due(&mut self, player: &Player, key: InputKey) -> bool {
        let mended = self.0.entry(player.clone()).or_default();
        if mended.broken != Some(key) {
            mended.broken = Some(key);
            mended.count += 1;
            mended.rest.broke();
        }
        mended.rest.is_over()
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
        for (key, position_ms, why) in broken(&report) {
            let Some(player) = self.player_of(key) else { continue };
            if self.mends.is_due(&player, key) {
                tracing::error!(caster = %self.caster.id, ?player, %key, "{why}: it is replaced");
                self.mend(player, (key, position_ms)).await;
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

    async fn mend(&mut self, player: Player, (key, position_ms): (InputKey, u64)) {
        let (caster, before) = (self.caster.clone(), self.keys());
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
            Player::Resource(id) => {
                let is_file = caster
                    .resource(id)
                    .is_some_and(|resource| matches!(resource.source, Source::Vod { .. }));
                vec![match is_file {
                    true => Effect::Seek { resource: id.clone(), position_ms },
                    false => Effect::InputChanged(id.clone()),
                }]
            }
        };
        effects.extend(shown.into_iter().map(|bus| {
            let when = When { force: bus == Bus::Pvw, wait_ms: WAIT_MS };
            Effect::SceneSet { bus, when, way: catalog::Way::Cut }
        }));
        if let Err(refused) = self.carry_out(&caster, &effects).await {
            tracing::error!(caster = %caster.id, %refused, "it stays broken for now");
            if let Some(mended) = self.mends.0.get_mut(&player) {
                mended.broken = None;
            }
        }
        self.remove_unused(before);
    }
}

/// The inputs that are broken: how far each was, and why.
fn broken(report: &Report) -> Vec<(InputKey, u64, String)> {
    let inputs = report.inputs.iter();
    let broken = inputs.filter_map(|input| {
        let why = input.status.broken.clone()?;
        Some((input.input, input.stats.position_ms, why))
    });
    broken.collect()
}
