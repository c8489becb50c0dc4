//! B-frames: pictures that come out in another order than they went in, behind the one that they waited for.
//!
//! Must not know buffers. Invariant: a picture that others refer to comes out as soon as it goes in, and with it those that waited for
//! it, as the header says.
//!
//! x264 gives a picture out only when it has seen those that follow it. So a group of pictures is encoded from its beginning each time
//! that one of them must come out, and ends there: with a constant quantizer what came out before comes out again as it was.

use crate::software::{Software, Wish};

/// A picture as it came out.
pub struct Coded {
    /// Which it is, counted from the session's first.
    pub picture: u64,
    /// Annex B.
    pub bytes: Vec<u8>,
}

/// The group of pictures that is encoded.
pub struct Groups {
    wish: Wish,
    /// Its pictures, NV12 without gaps.
    pictures: Vec<Vec<u8>>,
    /// Which its first one is.
    first: u64,
    /// So many of them came out.
    given: usize,
}

impl Groups {
    pub fn new(wish: &Wish) -> Groups {
        Groups { wish: wish.clone(), pictures: Vec::new(), first: 0, given: 0 }
    }

    /// Takes the next picture; gives what comes out, in order of decoding. `None` when x264 fails.
    pub fn push(&mut self, nv12: Vec<u8>, is_idr: bool) -> Option<Vec<Coded>> {
        let mut coded = Vec::new();
        if is_idr {
            // What waits does so no longer: nothing refers across a keyframe.
            coded = self.flush()?;
            self.first += self.pictures.len() as u64;
            (self.pictures, self.given) = (Vec::new(), 0);
        }
        self.pictures.push(nv12);
        let each = self.wish.b_frames as usize + 1;
        let is_referred_to = (self.pictures.len() - 1).is_multiple_of(each);
        if is_referred_to {
            coded.extend(self.flush()?);
        }
        Some(coded)
    }

    /// Gives what has not come out: the last of it waits for none.
    pub fn flush(&mut self) -> Option<Vec<Coded>> {
        if self.given == self.pictures.len() {
            return Some(Vec::new());
        }
        let mut software = Software::open(&self.wish)?;
        let mut all = Vec::new();
        for (index, picture) in (0..).zip(&self.pictures) {
            all.extend(software.push(picture, self.wish.width as usize, (index, index == 0))?);
        }
        all.extend(software.finish()?);
        if all.len() != self.pictures.len() {
            return None;
        }
        let fresh = all.split_off(self.given);
        self.given = self.pictures.len();
        let first = self.first;
        let coded = |(pts, bytes): (i64, Vec<u8>)| Coded { picture: first + pts as u64, bytes };
        Some(fresh.into_iter().map(coded).collect())
    }
}
