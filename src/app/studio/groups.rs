//! Episode groups: each begins at its time, plays by itself, and is told about.
//!
//! Must not know how files are played. Invariant: how far a group is, is on disk, so that one that is over does not begin
//! again and one that was interrupted goes on with the file that it was at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Studio, lock};
use crate::api::events::EventCode;
use crate::app::on_air::{Carousel, Step};
use crate::catalog::{EpisodeGroup, GroupProgress};
use crate::ids::ProgramId;
use crate::time;

/// Groups that play.
pub(super) type Groups = BTreeMap<ProgramId, Carousel>;

impl Studio {
    /// Begins what is due, notes how far what plays is, ends what is over or gone.
    pub(super) async fn follow_groups(&self) {
        // One look at a time, and none after the process has begun to end.
        let Ok(mut groups) = self.groups.try_lock() else { return };
        if self.draining.load(Ordering::Acquire) {
            return;
        }
        let known: Vec<Arc<EpisodeGroup>> = lock(&self.catalog).groups().cloned().collect();
        let is_gone = |id: &ProgramId| known.iter().all(|group| group.id != *id);
        let gone: Vec<ProgramId> = groups.keys().filter(|id| is_gone(id)).cloned().collect();
        for id in gone {
            if let Some(carousel) = groups.remove(&id) {
                carousel.stop().await;
            }
        }
        for group in known.iter().filter(|group| group.progress != GroupProgress::Ended) {
            self.follow_group(&mut groups, group).await;
        }
    }

    async fn follow_group(&self, groups: &mut Groups, group: &EpisodeGroup) {
        let Some(carousel) = groups.get_mut(&group.id) else {
            if group.start_unix_ms <= time::unix_ms() {
                self.begin_group(groups, group).await;
            }
            return;
        };
        carousel.mend(group).await;
        match carousel.look() {
            Step::Same => {}
            Step::At(progress) => {
                self.note(group, progress).await;
                if let GroupProgress::Playing { item, .. } = progress
                    && let Some(item) = group.items.get(item as usize)
                {
                    self.events.episode(group, &item.id, (EventCode::Success, "Success"));
                }
            }
            Step::Ended => {
                if let Some(carousel) = groups.remove(&group.id) {
                    carousel.stop().await;
                }
                self.note(group, GroupProgress::Ended).await;
            }
        }
    }

    async fn begin_group(&self, groups: &mut Groups, group: &EpisodeGroup) {
        match Carousel::start(self.world.clone(), group).await {
            Ok(carousel) => {
                groups.insert(group.id.clone(), carousel);
            }
            Err(refused) => {
                tracing::error!(group = %group.id, %refused, "an episode group cannot begin");
                if let Some(item) = group.items.first() {
                    let code = EventCode::Refused(refused.code);
                    self.events.episode(group, &item.id, (code, &refused.message));
                }
                self.note(group, GroupProgress::Ended).await;
            }
        }
    }

    async fn note(&self, group: &EpisodeGroup, progress: GroupProgress) {
        let change = lock(&self.catalog).with_progress(&group.id, progress);
        if let Some(change) = change {
            // What was not kept is begun once more after a restart.
            let _ = self.make_durable(change, None).await;
        }
    }

    /// Ends all of them; the catalog keeps how far they are.
    pub(super) async fn end_groups(&self) {
        for (_, carousel) in std::mem::take(&mut *self.groups.lock().await) {
            carousel.stop().await;
        }
    }
}
