//! Packets of an encoder that makes B-frames: when they are given out, and when they are decoded.
//!
//! Must not know encoders. Invariants: packets stay in the order in which they came out, that of decoding; what has been given out
//! is at any time all pictures up to some tick, so that who goes on after this encoder goes on with the next one; the n-th packet of a
//! stream is decoded one picture before the n-th picture is shown, whichever encoders made them.
//!
//! One picture is enough where no B-frame is referred to: each comes right behind the picture that it waited for.

use std::collections::VecDeque;

use super::{Timing, VideoSettings};
use crate::media::packet::Packet;

#[derive(Debug)]
pub(super) struct Reorder {
    /// None: pictures come out as they go in.
    timing: Option<Timing>,
    /// Ticks that were handed in and not given out, in order.
    ticks: VecDeque<i64>,
    /// What came out and was not given out.
    ready: VecDeque<Packet>,
}

impl Reorder {
    pub(super) fn of(video: &VideoSettings) -> Reorder {
        let timing = (video.b_frames > 0).then(|| Timing::of(video));
        Reorder { timing, ticks: VecDeque::new(), ready: VecDeque::new() }
    }

    /// Notes that the picture of a tick was handed in, and what came out then; gives what can be given out.
    pub(super) fn taken(&mut self, tick: u64, packets: Vec<Packet>) -> Vec<Packet> {
        let Some(timing) = self.timing else { return packets };
        self.ticks.push_back(i64::try_from(tick).unwrap_or(i64::MAX));
        self.ready.extend(packets);
        let (mut latest_ns, mut whole) = (i64::MIN, 0);
        for (count, (packet, tick)) in (1..).zip(self.ready.iter().zip(&self.ticks)) {
            latest_ns = latest_ns.max(packet.pts_ns);
            // So many different ones, and none that is later.
            if latest_ns == timing.ns(*tick) {
                whole = count;
            }
        }
        self.give(whole)
    }

    /// Gives out all that is left, with what came out last.
    pub(super) fn finished(mut self, packets: Vec<Packet>) -> Vec<Packet> {
        if self.timing.is_none() {
            return packets;
        }
        self.ready.extend(packets);
        self.give(self.ready.len())
    }

    fn give(&mut self, count: usize) -> Vec<Packet> {
        let Some(timing) = self.timing else { return Vec::new() };
        let ticks = self.ticks.drain(..count.min(self.ticks.len()));
        let given = self.ready.drain(..count).zip(ticks);
        given
            .map(|(packet, tick)| Packet {
                dts_ns: timing.ns(tick - timing.picture_ticks),
                ..packet
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::encode::testing::{RATE, settings};
    use crate::media::packet::Track;

    fn packet(pts_ns: i64) -> Packet {
        let (track, data) = (Track::Video, Bytes::new());
        Packet { track, pts_ns, dts_ns: 7, duration_ns: 0, key: false, data }
    }

    /// Hands in a picture for each row, and takes the pictures of ticks out; what is given must be this.
    fn check(picture_ticks: u32, first: i64, rows: &[(&[i64], &[i64])], last: (&[i64], &[i64])) {
        let video = VideoSettings { b_frames: 2, picture_ticks, ..settings() };
        let step = i64::from(picture_ticks);
        let ns = |n: i64| RATE.tick_ns(n.unsigned_abs()) as i64 * n.signum();
        let packets =
            |of: &[i64]| Vec::from_iter(of.iter().map(|n| packet(ns((first + n) * step))));
        let mut reorder = Reorder::of(&video);
        let mut given = 0;
        let mut check = |packets: Vec<Packet>, wanted: &[i64]| {
            let got: Vec<_> = packets.iter().map(|packet| (packet.pts_ns, packet.dts_ns)).collect();
            let slots = (first + given..).map(|n| ns((n - 1) * step));
            let wanted: Vec<_> = wanted.iter().map(|n| ns((first + n) * step)).zip(slots).collect();
            given += wanted.len() as i64;
            assert_eq!(got, wanted);
        };
        for (n, (out, wanted)) in (0..).zip(rows) {
            let tick = ((first + n) * step) as u64;
            check(reorder.taken(tick, packets(out)), wanted);
        }
        check(reorder.finished(packets(last.0)), last.1);
    }

    #[test]
    fn what_is_given_out_is_all_up_to_some_tick() {
        for (picture_ticks, first) in [(1, 0), (1, 400), (3, 0), (2, 17)] {
            // As NVENC gives them: each picture with those that waited for it.
            let groups: [(&[i64], &[i64]); 7] = [
                (&[0], &[0]),
                (&[], &[]),
                (&[], &[]),
                (&[3, 1, 2], &[3, 1, 2]),
                (&[], &[]),
                // A keyframe in between.
                (&[4, 5], &[4, 5]),
                (&[], &[]),
            ];
            check(picture_ticks, first, &groups, (&[6], &[6]));
            // As x264 does: one for one.
            let single: [(&[i64], &[i64]); 7] = [
                (&[], &[]),
                (&[], &[]),
                (&[0], &[0]),
                (&[3], &[]),
                (&[1], &[]),
                (&[2], &[3, 1, 2]),
                (&[6], &[]),
            ];
            check(picture_ticks, first, &single, (&[4, 5], &[6, 4, 5]));
        }
    }
}
