//! Images of components, those that move included: read and decoded when they are configured, never on a tick.
//!
//! Must not know placement. Invariant: what cannot be shown is refused with a word that names the component.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::World;
use crate::catalog::{Caster, Component, ComponentContent, ErrorCode, Refused};
use crate::ids::ComponentId;
use crate::media::still;
use crate::picture::OverlayContent;
use crate::worker::StopToken;

/// The image of an image component; `None` for other kinds.
pub(super) async fn load(
    world: &Arc<World>,
    component: &Component,
) -> Result<Option<Arc<OverlayContent>>, Refused> {
    let ComponentContent::Image { place } = &component.content else { return Ok(None) };
    let path = world.location(place)?;
    let named = {
        let name = component.name.clone();
        move |error: String| {
            let message = format!("component {name}: {error}");
            Refused::new(ErrorCode::ParameterMalformed, message)
        }
    };
    let world = world.clone();
    tokio::task::spawn_blocking(move || {
        let bytes = world.read_image(&path, &StopToken::new())?;
        still::load_overlay(&bytes).map_err(|error| error.to_string())
    })
    .await
    .map_err(|error| named(error.to_string()))?
    .map(|animation| Some(Arc::new(animation.into())))
    .map_err(named)
}

/// The images of all image components of a caster. One that is broken is left out with a word in the log: it must not
/// keep a show off the air.
pub(super) async fn load_all(
    world: &Arc<World>,
    caster: &Caster,
) -> BTreeMap<ComponentId, Arc<OverlayContent>> {
    let mut images = BTreeMap::new();
    for component in &caster.components {
        match load(world, component).await {
            Ok(Some(image)) => {
                images.insert(component.id.clone(), image);
            }
            Ok(None) => {}
            Err(refused) => tracing::warn!(caster = %caster.id, %refused, "an image is left out"),
        }
    }
    images
}

/// The image components that have no image.
pub(super) fn missing(
    caster: &Caster,
    images: &BTreeMap<ComponentId, Arc<OverlayContent>>,
) -> Vec<ComponentId> {
    let is_missing = |component: &&Component| {
        matches!(component.content, ComponentContent::Image { .. })
            && !images.contains_key(&component.id)
    };
    caster.components.iter().filter(is_missing).map(|missing| missing.id.clone()).collect()
}
