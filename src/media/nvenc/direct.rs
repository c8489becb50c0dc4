//! Pictures that lie on the session's device, encoded from where they are: brought into CUDA once, registered once, mapped for as
//! long as a picture is encoded.
//!
//! Must not know ticks. Invariants: only memory of the session's own device is brought in; it is let go of when those who made it
//! have; nothing is registered that is not unregistered before the session ends.

#![expect(unsafe_code, reason = "handles of the driver may move between threads")]

use std::sync::{Arc, Weak};

use super::NoNvenc;
use super::session::{Input, Registered, Session};
use crate::device_memory::{Exported, Moment, Place, Timeline};
use crate::frame::Size;
use crate::media::cuda::{ImportedMemory, ImportedTimeline, Stream};

/// See the module.
#[derive(Debug)]
pub(super) struct Direct {
    memories: Vec<Known>,
    timeline: Option<(Weak<Timeline>, ImportedTimeline<'static>)>,
    stream: Option<Stream<'static>>,
}

// SAFETY: what is registered belongs to the session, which NVENC ties to no thread.
unsafe impl Send for Direct {}

/// Memory that was brought in, and the places in it that are registered.
#[derive(Debug)]
struct Known {
    whose: Weak<Exported>,
    imported: ImportedMemory<'static>,
    places: Vec<(u64, Registered)>,
}

impl Direct {
    pub(super) fn new() -> Direct {
        Direct { memories: Vec::new(), timeline: None, stream: None }
    }

    /// Maps a picture, once the device is done with it; waits for that.
    pub(super) fn map(
        &mut self,
        session: &Session<'static>,
        place: &Place,
        size: Size,
    ) -> Result<Input, NoNvenc> {
        self.forget_gone(session)?;
        if let Some(moment) = &place.ready {
            self.wait_for(session, moment)?;
        }
        let registered = self.registered(session, place, size)?;
        session.map(registered)
    }

    /// What is registered of a place.
    fn registered(
        &mut self,
        session: &Session<'static>,
        place: &Place,
        size: Size,
    ) -> Result<Registered, NoNvenc> {
        let is_it = |known: &Known| known.whose.as_ptr() == Arc::as_ptr(&place.memory);
        let index = match self.memories.iter().position(is_it) {
            Some(index) => index,
            None => {
                let imported = ImportedMemory::of(&place.memory, session.context())?;
                let whose = Arc::downgrade(&place.memory);
                self.memories.push(Known { whose, imported, places: Vec::new() });
                self.memories.len() - 1
            }
        };
        let known = &mut self.memories[index];
        let there = known.places.iter().find(|(offset, _)| *offset == place.offset_bytes);
        if let Some((_, registered)) = there {
            return Ok(*registered);
        }
        let address = known.imported.address() + place.offset_bytes;
        let registered = session.register(address, place.pitch_bytes, size)?;
        known.places.push((place.offset_bytes, registered));
        Ok(registered)
    }

    fn wait_for(&mut self, session: &Session<'static>, moment: &Moment) -> Result<(), NoNvenc> {
        let context = session.context();
        if !matches!(&self.timeline, Some((whose, _)) if whose.as_ptr() == Arc::as_ptr(&moment.timeline))
        {
            let imported = ImportedTimeline::of(&moment.timeline, context)?;
            self.timeline = Some((Arc::downgrade(&moment.timeline), imported));
        }
        let stream = match &self.stream {
            Some(stream) => stream,
            None => self.stream.insert(Stream::new(context)?),
        };
        match &self.timeline {
            Some((_, timeline)) => Ok(stream.wait_for(timeline, moment.value)?),
            None => Ok(()),
        }
    }

    /// Lets go of memory whose makers have: another device, another size.
    fn forget_gone(&mut self, session: &Session<'static>) -> Result<(), NoNvenc> {
        let mut first = Ok(());
        self.memories.retain(|known| {
            let is_gone = known.whose.strong_count() == 0;
            if is_gone {
                let unregistered = known.unregister(session);
                first = std::mem::replace(&mut first, Ok(())).and(unregistered);
            }
            !is_gone
        });
        first
    }

    /// Lets go of all.
    pub(super) fn close(&mut self, session: &Session<'static>) {
        for known in std::mem::take(&mut self.memories) {
            if let Err(error) = known.unregister(session) {
                tracing::warn!(%error, "memory stays registered with NVENC");
            }
        }
        (self.timeline, self.stream) = (None, None);
    }
}

impl Known {
    fn unregister(&self, session: &Session<'static>) -> Result<(), NoNvenc> {
        self.places.iter().try_for_each(|(_, registered)| session.unregister(*registered))
    }
}
