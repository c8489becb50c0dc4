//! B-frames: pictures that come out in another order than they went in, behind the one that they waited for.
//!
//! Must not know buffers. Invariant: a picture that others refer to comes out as soon as it goes in, and with it those that waited for
//! it, as the header says.
//!
//! x264 gives a picture out only when others follow it. So the last one goes in a few times more, and what comes out of that, pictures
//! in which nothing changes, is left out of the stream, whose other pictures are numbered as if it had never been there. x265 writes
//! more than numbers into its slices: a group of pictures of HEVC is encoded from its beginning each time that one must come out, and
//! ends there; with a constant quantizer what came out before comes out again as it was.

use crate::numbers::Numbers;
use crate::software::{Codec, Kind, Software, Wish};

/// How often a picture goes in once more, at most: x264 holds as many as there are B-frames in a row.
const MOST_REPEATS: usize = 16;

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
    way: Way,
    /// Pictures that wait for the one that they refer to, NV12 without gaps.
    waiting: Vec<Vec<u8>>,
    /// Which the group's first one is.
    first: u64,
    /// So many of it came out.
    given: usize,
}

/// How they come out at once.
enum Way {
    Repeating(Repeating),
    /// With all pictures of the group that came out.
    Again(Vec<Vec<u8>>),
}

/// An x264 that is given pictures once more.
struct Repeating {
    x264: Software,
    numbers: Numbers,
    /// Pictures that went in, those that went in once more included.
    pushed: i64,
    /// Pictures of the group that others refer to.
    referred_to: usize,
}

impl Groups {
    /// `None` when there is no encoder for that.
    pub fn new(wish: &Wish) -> Option<Groups> {
        let way = match wish.codec {
            Codec::Avc => Way::Repeating(Repeating::open(wish)?),
            Codec::Hevc => Way::Again(Vec::new()),
            Codec::Av1 => return None,
        };
        Some(Groups { wish: wish.clone(), way, waiting: Vec::new(), first: 0, given: 0 })
    }

    /// Takes the next picture; gives what comes out, in order of decoding. `None` when the encoder fails.
    pub fn push(&mut self, nv12: Vec<u8>, is_idr: bool) -> Option<Vec<Coded>> {
        let mut coded = Vec::new();
        if is_idr {
            // What waits does so no longer: nothing refers across a keyframe.
            coded = self.flush()?;
            self.first += self.given as u64;
            self.given = 0;
            if let Way::Again(before) = &mut self.way {
                before.clear();
            }
        }
        let each = self.wish.b_frames as usize + 1;
        let is_referred_to = (self.given + self.waiting.len()).is_multiple_of(each);
        self.waiting.push(nv12);
        if is_referred_to {
            coded.extend(self.flush()?);
        }
        Some(coded)
    }

    /// Gives what has not come out: the last of it waits for none.
    pub fn flush(&mut self) -> Option<Vec<Coded>> {
        let pictures = std::mem::take(&mut self.waiting);
        if pictures.is_empty() {
            return Some(Vec::new());
        }
        let (given, count) = (self.given, pictures.len());
        self.given += count;
        let coded = match &mut self.way {
            Way::Repeating(repeating) => {
                repeating.encode(&pictures, (given, self.wish.width as usize))
            }
            Way::Again(group) => {
                group.extend(pictures);
                Some(again(&self.wish, group)?.split_off(given))
            }
        };
        let coded = coded.filter(|coded| coded.len() == count)?;
        let first = self.first;
        let named = |(place, bytes)| Coded { picture: first + place as u64, bytes };
        Some(coded.into_iter().map(named).collect())
    }
}

/// Encodes a group: each picture's place there and Annex B.
fn again(wish: &Wish, group: &[Vec<u8>]) -> Option<Vec<(i64, Vec<u8>)>> {
    let mut x265 = Software::open(wish)?;
    let mut all = Vec::new();
    for (place, picture) in (0..).zip(group) {
        let kind = if place == 0 { Kind::Idr } else { Kind::Any };
        all.extend(x265.push(picture, wish.width as usize, (place, kind))?);
    }
    all.extend(x265.finish()?);
    Some(all)
}

impl Repeating {
    fn open(wish: &Wish) -> Option<Repeating> {
        let x264 = Software::open(wish)?;
        let numbers = Numbers::of(&x264.sets())?;
        Some(Repeating { x264, numbers, pushed: 0, referred_to: 0 })
    }

    /// Encodes the next pictures, the first one in its place of the group, the last one for the others to refer to.
    fn encode(
        &mut self,
        pictures: &[Vec<u8>],
        (place, width): (usize, usize),
    ) -> Option<Vec<(i64, Vec<u8>)>> {
        let first = self.pushed;
        let last = pictures.last()?;
        let repeats = std::iter::repeat_n(last, MOST_REPEATS);
        let mut coded = Vec::new();
        for (index, picture) in pictures.iter().chain(repeats).enumerate() {
            let kind = match index + 1 {
                1 if place == 0 => Kind::Idr,
                nth if nth < pictures.len() => Kind::B,
                _ => Kind::P,
            };
            let out = self.x264.push(picture, width, (self.pushed, kind))?;
            self.pushed += 1;
            // Others are what went in once more.
            let is_new = |time: i64| (first..first + pictures.len() as i64).contains(&time);
            coded.extend(out.into_iter().filter(|(time, _)| is_new(*time)));
            if coded.len() == pictures.len() {
                break;
            }
        }
        // The first that comes out is what the others refer to.
        self.referred_to = if place == 0 { 0 } else { self.referred_to };
        let mut numbered = Vec::new();
        for (index, (time, bytes)) in coded.into_iter().enumerate() {
            let place = place as i64 + time - first;
            let numbers = (self.referred_to, 2 * place as usize);
            numbered.push((place, self.numbers.put(&bytes, numbers)));
            self.referred_to += usize::from(index == 0);
        }
        Some(numbered)
    }
}
