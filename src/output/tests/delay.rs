//! The delay: ticks are counted, times have no gaps, memory is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::super::delay::{Begins, DelayRing};
use super::super::fan_out::Batch;
use super::super::spool::Spool;
use super::super::testing::{Dir, RATE, await_true, media, settings};
use super::super::{ProgrammeSettings, Sink, start};
use super::LONG;
use crate::limits::DELAY_SLOT_BYTES;
use crate::media::hub::{Hub, Received};
use crate::media::packet::{Packet, Track};
use crate::worker::StopToken;

const GOP: u64 = 10;
const SOUND_NS: i64 = 21_333_333;
/// The byte of a packet of silence.
const SILENT: u8 = 255;

/// A picture of `bytes`, and the sound that ends within the tick.
fn batch(tick: u64, delay_ticks: u64, bytes: usize) -> Batch {
    let ns = |tick: u64| RATE.tick_ns(tick) as i64;
    let packet = |track, pts_ns, duration_ns, key| Packet {
        track,
        pts_ns,
        dts_ns: pts_ns,
        duration_ns,
        key,
        data: Bytes::from(vec![tick as u8; bytes]),
    };
    let picture = packet(Track::Video, ns(tick), ns(tick + 1) - ns(tick), tick.is_multiple_of(GOP));
    let sounds = (0..)
        .map(|n| n * SOUND_NS)
        .skip_while(|start| start + SOUND_NS <= ns(tick))
        .take_while(|start| start + SOUND_NS <= ns(tick + 1))
        .map(|start| packet(Track::Audio, start, SOUND_NS, true));
    Batch { tick, delay_ticks, packets: std::iter::once(picture).chain(sounds).collect() }
}

struct Harness {
    ring: DelayRing,
    lost: Arc<AtomicU64>,
    /// Tick it left at, tick it is of (by its bytes), packet.
    left: Vec<(u64, u64, Packet)>,
}

impl Harness {
    fn new(spool: Spool) -> Harness {
        let lost = Arc::new(AtomicU64::new(0));
        let begins = (Begins::WithTheOutput, Some(Bytes::from_static(&[SILENT])));
        let ring = DelayRing::new(spool, RATE, begins, Arc::clone(&lost));
        Harness { ring, lost, left: Vec::new() }
    }

    fn push(&mut self, tick: u64, delay_ticks: u64, bytes: usize) {
        let left = &mut self.left;
        self.ring.push(batch(tick, delay_ticks, bytes), |packet| {
            left.push((tick, u64::from(packet.data[0]), packet));
        });
    }

    /// Ticks at which the pictures of ticks left.
    fn pictures(&self) -> Vec<(u64, u64)> {
        let pictures = self.left.iter().filter(|(_, _, packet)| packet.track == Track::Video);
        pictures.map(|(at, of, _)| (*at, *of)).collect()
    }

    /// Pictures bear the time of the tick they left at, sound follows without an overlap and with less than one packet missing.
    fn check_times(&self) {
        let times = |track| {
            let packets = self.left.iter().filter(move |(_, _, packet)| packet.track == track);
            packets.map(|(_, _, packet)| packet.pts_ns).collect::<Vec<_>>()
        };
        for (at, _, packet) in &self.left {
            let off_ns = packet.pts_ns - RATE.tick_ns(*at) as i64;
            assert!(packet.track == Track::Audio || off_ns.abs() < 10, "{at} at {}", packet.pts_ns);
        }
        for pair in times(Track::Audio).windows(2) {
            let gap = pair[1] - pair[0] - SOUND_NS;
            assert!((-1_000_000..SOUND_NS).contains(&gap), "{pair:?}");
        }
    }
}

#[test]
fn a_packet_leaves_when_its_tick_is_so_many_ticks_ago() {
    for delay in [0, 1, 7, 30] {
        let mut harness = Harness::new(Spool::new("/nowhere".into()));
        (0..60).for_each(|tick| harness.push(tick, delay, 100));
        let expected: Vec<_> = (delay..60).map(|at| (at, at - delay)).collect();
        assert_eq!(harness.pictures(), expected, "{delay}");
        harness.check_times();
    }
}

#[test]
fn more_holds_and_less_jumps_to_a_keyframe() {
    let mut harness = Harness::new(Spool::new("/nowhere".into()));
    let delay_at = |tick: u64| match tick {
        0..25 => 0,
        25..60 => 12,
        60..90 => 4,
        90..130 => 30,
        _ => 0,
    };
    (0..160).for_each(|tick| harness.push(tick, delay_at(tick), 100));
    let expected: Vec<(u64, u64)> = (0..25)
        .map(|tick| (tick, tick))
        // Keyframe 30 stands until it is 12 ticks old; 60 is when 4 is asked for, and keyframe 60 is that old at 64.
        .chain((25..30).map(|at| (at, at)))
        .chain([(30, 30)])
        .chain((42..64).map(|at| (at, at - 12)))
        .chain((64..94).map(|at| (at, at - 4)))
        // 30 is asked for at 90, and the next keyframe to leave is 90 at 94; it is sent again after half a second.
        .chain([(94, 90), (109, 90)])
        .chain((120..130).map(|at| (at, at - 30)))
        .chain((130..160).map(|at| (at, at)))
        .collect();
    assert_eq!(harness.pictures(), expected);
    harness.check_times();
    assert_eq!(harness.lost.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_too_much_for_the_memory_waits_in_a_file_that_is_used_again() {
    let dir = Dir::new();
    let mut harness = Harness::new(Spool::with_memory(dir.0.clone(), 100_000));
    let bytes = DELAY_SLOT_BYTES / 100;
    (0..200).for_each(|tick| harness.push(tick, 30, bytes));
    let expected: Vec<_> = (30..200).map(|at| (at, at - 30)).collect();
    assert_eq!(harness.pictures(), expected);
    assert!(
        harness.left.iter().all(|(_, of, packet)| packet.data.iter().all(|b| u64::from(*b) == *of))
    );
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 0, "the file has no name");
    harness.check_times();
}

#[test]
fn a_file_that_cannot_be_written_loses_packets_up_to_a_keyframe() {
    let dir = Dir::new();
    std::fs::write(dir.0.join("file"), "").unwrap();
    // Room for a group of pictures at most.
    let mut harness = Harness::new(Spool::with_memory(dir.0.join("file"), 1000));
    (0..60).for_each(|tick| harness.push(tick, 5, 100));
    assert!(harness.lost.load(Ordering::Relaxed) > 0);
    let mut pictures = harness.pictures().into_iter().map(|(_, of)| of);
    let mut last = pictures.next().unwrap();
    for of in pictures {
        assert!(of == last + 1 || of.is_multiple_of(GOP), "{last} then {of}");
        last = of;
    }
}

#[test]
fn players_are_behind_and_recordings_are_not() {
    let hub = Hub::new();
    let dir = Dir::new();
    let delayed = ProgrammeSettings { delay_ticks: 45, ..settings("behind") };
    let output = start(&delayed).unwrap();
    output.add_sink(Sink::Hub { hub: hub.clone(), name: "caster/behind".into() }).unwrap();
    let path = dir.0.join("prompt.mp4");
    let overflow = super::super::Overflow::Wait;
    output.add_sink(Sink::File { path: path.clone(), overflow }).unwrap();
    let push = |ticks: std::ops::Range<u64>| {
        ticks.for_each(|tick| output.push_wait(media(tick)).unwrap());
    };
    push(0..45);
    await_true("45 ticks are encoded", || output.stats().encoded == 45);
    await_true("the file has them", || output.sinks()[1].packets >= 45);
    assert!(!hub.is_live("caster/behind"));
    push(45..60);
    await_true("the first has left", || hub.is_live("caster/behind"));
    await_true("15 have left", || output.sinks()[0].packets >= 15 + 20);
    // At the keyframe of tick 60 the delay is over.
    output.set_delay(0);
    push(60..75);
    let player = hub.subscribe("caster/behind").unwrap();
    await_true("all have left", || output.sinks()[0].packets >= 30 + 40);
    assert_eq!(output.stats().delay_lost, 0);
    output.finish(LONG);
    let mut last_ms = 0;
    while let Received::Tag(tag) = player.recv(&StopToken::new(), LONG) {
        last_ms = last_ms.max(tag.timestamp_ms);
    }
    // What leaves bears the time of the tick at which it leaves.
    assert!((2460..2510).contains(&last_ms), "{last_ms}");
}
