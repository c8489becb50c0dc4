//! What tells the world of events, opened once for a server: the outbox, the courier, the keys.
//!
//! Must not know what happens. Invariant: it is opened before the first event and after the store.

use std::sync::Arc;

use super::{Courier, Events, Patience};
use crate::api::events::{CallbackKey, Poster, WatchKey};
use crate::catalog::Caster;
use crate::config::Config;
use crate::input::AllowList;
use crate::store::Keeper;

/// What tells the world of events.
pub(in crate::app) struct Tellers {
    /// To be run for as long as the server is.
    pub(in crate::app) courier: Courier,
    /// Signs what lets browsers follow.
    pub(in crate::app) watch_key: WatchKey,
}

impl Tellers {
    /// Those of a server with this store.
    ///
    /// # Errors
    /// One line that says what could not be read or made.
    pub(in crate::app) async fn open(
        config: &Config,
        allow: &Arc<AllowList>,
        store: &Arc<Keeper>,
    ) -> Result<Tellers, String> {
        let callback_key = CallbackKey::load_or_make(&config.data)
            .map_err(|error| format!("the callback key: {error}"))?;
        let watch_key = WatchKey::load_or_make(&config.data)
            .map_err(|error| format!("the watch key: {error}"))?;
        let events = Events::open(Arc::clone(store), callback_url).await;
        let courier = Courier {
            events: events.map_err(|error| error.to_string())?,
            poster: Poster::new(callback_key)?,
            allow: Arc::clone(allow),
            patience: Patience::default(),
        };
        Ok(Tellers { courier, watch_key })
    }

    /// The events that it tells.
    pub(in crate::app) fn events(&self) -> Arc<Events> {
        Arc::clone(&self.courier.events)
    }
}

/// Where a caster's events are posted.
fn callback_url(caster: &Caster) -> Option<&str> {
    caster.config.callback_url.as_deref()
}
