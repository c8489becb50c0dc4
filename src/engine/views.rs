//! Layers that show their input later than it plays.
//!
//! Must not know scenes or timelines: a view is fed with what an input shows, tick by tick, and gives it back so many ticks
//! later. To the picture it is an input of its own, under a key that no input has. Invariants: a view shows only what
//! its input has shown, in order; until it has been fed for as long as its delay it stands on the first of it.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};

use super::Event;
use crate::frame::{Picture, VideoFrame};
use crate::ids::InputKey;
use crate::limits;
use crate::picture::ScenePicture;
use crate::time::FrameRate;

/// What an input shows, as a view needs it.
type Source<'a> = &'a dyn Fn(InputKey) -> Option<&'a VideoFrame>;

/// An input and a delay, in ticks.
type Wish = (InputKey, u64);

/// All views of a caster.
#[derive(Debug)]
pub(super) struct Views {
    rate: FrameRate,
    views: Vec<View>,
}

#[derive(Debug)]
struct View {
    wish: Wish,
    /// Counts down from the largest key there is; inputs count up from the least.
    key: InputKey,
    /// Frames, since when its input shows them, and their bytes; the first of them is shown.
    frames: VecDeque<(u64, VideoFrame, usize)>,
    bytes: usize,
    /// It could not keep as much as its delay demands, which has been told.
    is_cut: bool,
}

impl Views {
    pub(super) fn new(rate: FrameRate) -> Views {
        Views { rate, views: Vec::new() }
    }

    fn ticks(&self, delay_ms: u32) -> u64 {
        self.rate.tick_at(u64::from(delay_ms.min(limits::MAX_FIXED_DELAY_MS)) * 1_000_000)
    }

    fn find(&self, key: InputKey) -> Option<&View> {
        self.views.iter().find(|view| view.key == key)
    }

    /// Begins the views that these pictures need, ends the others, and feeds all with what is shown at tick `n`. Pictures
    /// that need more than `limits::MAX_VIEWS` show the rest without delay.
    pub(super) fn feed(
        &mut self,
        n: u64,
        pictures: &[&ScenePicture],
        source: Source<'_>,
    ) -> Vec<Event> {
        let layers = pictures.iter().flat_map(|picture| &picture.layers);
        let wishes: BTreeSet<Wish> = layers
            .map(|layer| (layer.input, self.ticks(layer.delay_ms)))
            .filter(|(_, ticks)| *ticks > 0)
            .collect();
        self.views.retain(|view| wishes.contains(&view.wish));
        for wish in wishes {
            let known = self.views.iter().any(|view| view.wish == wish);
            if !known && self.views.len() < limits::MAX_VIEWS {
                let key = self.free_key();
                let frames = VecDeque::new();
                self.views.push(View { wish, key, frames, bytes: 0, is_cut: false });
            }
        }
        let mut events = Vec::new();
        for view in &mut self.views {
            if let Some(frame) = source(view.wish.0) {
                events.extend(view.feed(n, frame));
            }
        }
        events
    }

    fn free_key(&self) -> InputKey {
        let keys = (0..=u32::MAX).rev().map(InputKey);
        keys.into_iter().find(|key| self.find(*key).is_none()).unwrap_or(InputKey(u32::MAX))
    }

    /// The picture with views in the place of delayed inputs.
    pub(super) fn place<'a>(&self, picture: &'a ScenePicture) -> Cow<'a, ScenePicture> {
        if self.views.is_empty() || picture.layers.iter().all(|layer| layer.delay_ms == 0) {
            return Cow::Borrowed(picture);
        }
        let mut placed = picture.clone();
        for layer in &mut placed.layers {
            let wish = (layer.input, self.ticks(layer.delay_ms));
            if let Some(view) = self.views.iter().find(|view| view.wish == wish) {
                layer.input = view.key;
            }
        }
        Cow::Owned(placed)
    }

    /// What a view shows; none if this is no view.
    pub(super) fn frame(&self, key: InputKey) -> Option<&VideoFrame> {
        self.find(key)?.frames.front().map(|(_, frame, _)| frame)
    }

    /// The input that a view shows; an input itself.
    pub(super) fn input(&self, key: InputKey) -> InputKey {
        self.find(key).map_or(key, |view| view.wish.0)
    }
}

impl View {
    fn feed(&mut self, n: u64, frame: &VideoFrame) -> Option<Event> {
        let bytes = bytes(frame);
        match self.frames.back_mut() {
            // The same, perhaps scaled to other sizes by now.
            Some((_, last, old)) if is_same(last, frame) => {
                self.bytes = self.bytes - *old + bytes;
                (*last, *old) = (frame.clone(), bytes);
            }
            _ => {
                self.frames.push_back((n, frame.clone(), bytes));
                self.bytes += bytes;
            }
        }
        let (input, ticks) = self.wish;
        while self.frames.get(1).is_some_and(|(since, ..)| since + ticks <= n) {
            self.drop_first();
        }
        let mut is_cut = false;
        while self.bytes > limits::VIEW_BYTES && self.frames.len() > 1 {
            self.drop_first();
            is_cut = true;
        }
        let news = is_cut && !self.is_cut;
        self.is_cut |= is_cut;
        news.then_some(Event::DelayCut { input })
    }

    fn drop_first(&mut self) {
        if let Some((.., bytes)) = self.frames.pop_front() {
            self.bytes -= bytes;
        }
    }
}

fn is_same(a: &VideoFrame, b: &VideoFrame) -> bool {
    (a.picture.id(), a.pts_ns) == (b.picture.id(), b.pts_ns)
}

/// Bytes of a frame as decoded and scaled.
pub(super) fn bytes(frame: &VideoFrame) -> usize {
    let of = |picture: &Picture| picture.bytes();
    of(&frame.picture) + frame.scaled.iter().map(|scaled| of(&scaled.picture)).sum::<usize>()
}
