//! Images of components and layouts, those that move included: read and decoded when they are configured, never on a tick.
//!
//! Must not know placement. Invariant: an image that several show is loaded once; what cannot be shown is refused with a
//! word that names what shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::World;
use crate::catalog::{Caster, ErrorCode, Place, Refused, Showing};
use crate::media::still;
use crate::picture::OverlayContent;
use crate::worker::StopToken;

/// Loaded images, by where they are.
pub(super) type Images = BTreeMap<Place, Arc<OverlayContent>>;

/// The image at a place that a caster names.
///
/// # Errors
/// When it cannot be read or is no image; names what shows it.
pub(super) async fn load(
    world: &Arc<World>,
    caster: &Caster,
    place: &Place,
) -> Result<Arc<OverlayContent>, Refused> {
    let named = |error: String| {
        let shown_by = caster.images().find(|(_, known)| *known == place);
        let shown_by = shown_by.map(|(showing, _)| showing.to_string()).unwrap_or_default();
        Refused::new(ErrorCode::ParameterMalformed, format!("{shown_by}: {error}"))
    };
    let path = world.location(place)?;
    let world = world.clone();
    tokio::task::spawn_blocking(move || {
        let bytes = world.read_image(&path, &StopToken::new())?;
        still::load_overlay(&bytes).map_err(|error| error.to_string())
    })
    .await
    .map_err(|error| named(error.to_string()))?
    .map(|animation| Arc::new(animation.into()))
    .map_err(named)
}

/// All images of a caster. One that is broken is left out with a word in the log: it must not keep a show off the air.
pub(super) async fn load_all(world: &Arc<World>, caster: &Caster) -> Images {
    let mut images = Images::new();
    let places: BTreeSet<&Place> = caster.images().map(|(_, place)| place).collect();
    for place in places {
        match load(world, caster, place).await {
            Ok(image) => {
                images.insert(place.clone(), image);
            }
            Err(refused) => tracing::warn!(caster = %caster.id, %refused, "an image is left out"),
        }
    }
    images
}

/// Lets go what a caster shows no more.
pub(super) fn keep_shown(images: &mut Images, caster: &Caster) {
    let shown: BTreeSet<&Place> = caster.images().map(|(_, place)| place).collect();
    images.retain(|place, _| shown.contains(place));
}

/// What has an image that could not be loaded.
pub(super) fn missing<'a>(
    caster: &'a Caster,
    images: &Images,
) -> impl Iterator<Item = Showing<'a>> {
    let missing = caster.images().filter(|(_, place)| !images.contains_key(place));
    missing.map(|(showing, _)| showing)
}
