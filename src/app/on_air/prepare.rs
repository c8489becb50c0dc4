//! Overlays made ready before a tick needs them.
//!
//! Must not know how they are drawn. Invariant: a scene reaches the engine with its overlays rasterised and uploaded, so that
//! no tick waits for it. What is not ready all the same is made by the tick that draws it, and looks the same.

use std::sync::Arc;

use super::{OnAir, off_thread};
use crate::catalog::Refused;
use crate::engine::{Command, SceneSpec};
use crate::gpu::Prepared;
use crate::ids::Bus;
use crate::picture::OverlayContent;

/// Overlays that wait to be shown.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// What PVW shows: a take needs them, whether anybody watches PVW or not.
    pvw: Prepared,
    cues: Prepared,
    slate: Prepared,
}

impl OnAir {
    /// Makes ready what a command will show. What is returned must be kept until the command took effect.
    pub(super) async fn prepare(&mut self, command: &Command) -> Result<Prepared, Refused> {
        let (contents, kept) = match command {
            Command::SetScene { bus: Bus::Pgm, spec, .. } => (overlays([spec]), None),
            Command::SetScene { bus: Bus::Pvw, spec, .. } => {
                (overlays([spec]), Some(&mut self.ready.pvw))
            }
            Command::SetCues(cues) => {
                (overlays(cues.iter().map(|cue| &cue.spec)), Some(&mut self.ready.cues))
            }
            Command::Amend { spec } => (overlays([spec]), None),
            Command::SetVigil(vigil) => {
                let slate = SceneSpec { picture: vigil.slate.clone(), mix: Vec::new() };
                (overlays([&slate]), Some(&mut self.ready.slate))
            }
            _ => return Ok(Prepared::default()),
        };
        let mut prepared = Prepared::default();
        if !contents.is_empty() {
            let (gpus, canvas) = (Arc::clone(&self.world.gpu), self.pgm.header().size);
            // Without a device nothing is drawn either.
            let prepare = move || gpus.prepare(contents, canvas);
            prepared = off_thread(prepare).await?.unwrap_or_default();
        }
        Ok(match kept {
            // What was kept before goes when the command took effect.
            Some(kept) => std::mem::replace(kept, prepared),
            None => prepared,
        })
    }
}

fn overlays<'a>(specs: impl IntoIterator<Item = &'a SceneSpec>) -> Vec<Arc<OverlayContent>> {
    let shown = |spec: &'a SceneSpec| {
        let overlays = spec.picture.overlays.iter().map(|overlay| &overlay.content);
        overlays.chain(&spec.picture.backdrop.image)
    };
    specs.into_iter().flat_map(shown).cloned().collect()
}
