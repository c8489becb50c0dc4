//! The delay: ticks are counted, times have no gaps, memory is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::super::delay::{Begins, DelayRing, Fillers};
use super::super::fan_out::Batch;
use super::super::spool::Spool;
use super::super::testing::{Dir, RATE, await_true, media, probe, settings};
use super::super::{HlsSegments, ProgrammeSettings, RenditionSettings, Sink, start};
use super::LONG;
use crate::limits::DELAY_SLOT_BYTES;
use crate::media::flv::TagClass;
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
        Harness::with(spool, Begins::WithTheOutput, None)
    }

    fn with(spool: Spool, begins: Begins, black: Option<Packet>) -> Harness {
        let lost = Arc::new(AtomicU64::new(0));
        let fillers = Fillers { silence: Some(Bytes::from_static(&[SILENT])), black };
        let ring = DelayRing::new(spool, RATE, (begins, fillers), Arc::clone(&lost));
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
fn black_is_seen_until_the_first_delay_is_over() {
    const BLACK: u8 = 254;
    let data = Bytes::from_static(&[BLACK]);
    let (track, key) = (Track::Video, true);
    let black = Some(Packet { track, pts_ns: 0, dts_ns: 0, duration_ns: 0, key, data });
    let mut harness =
        Harness::with(Spool::new("/nowhere".into()), Begins::WithTheOutput, black.clone());
    (0..60).for_each(|tick| harness.push(tick, 20, 100));
    let of_black = |at| (at, u64::from(BLACK));
    let expected: Vec<_> =
        [0, 15].map(of_black).into_iter().chain((20..60).map(|at| (at, at - 20))).collect();
    assert_eq!(harness.pictures(), expected);
    harness.check_times();
    // Nobody is shown black who need not wait.
    let mut harness = Harness::with(Spool::new("/nowhere".into()), Begins::WithTheOutput, black);
    (0..60).for_each(|tick| harness.push(tick, 0, 100));
    assert_eq!(harness.pictures(), (0..60).map(|at| (at, at)).collect::<Vec<_>>());
}

#[test]
fn a_delay_in_the_place_of_one_that_broke_begins_at_a_keyframe() {
    let mut harness = Harness::with(Spool::new("/nowhere".into()), Begins::AfterALoss, None);
    (33..80).for_each(|tick| harness.push(tick, 12, 100));
    let expected: Vec<_> = [(40, 40)].into_iter().chain((52..80).map(|at| (at, at - 12))).collect();
    assert_eq!(harness.pictures(), expected);
    harness.check_times();
    assert!(harness.lost.load(Ordering::Relaxed) > 0);
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
    // Black at 0, 15 and 30, and a second and a half of silence.
    await_true("black has left", || output.sinks()[0].packets >= 3 + 69);
    assert!(hub.is_live("caster/behind"));
    push(45..60);
    await_true("15 have left", || output.sinks()[0].packets >= 3 + 69 + 15 + 20);
    // At the keyframe of tick 60 the delay is over.
    output.set_delay(0);
    push(60..75);
    let player = hub.subscribe("caster/behind").unwrap();
    await_true("all have left", || output.sinks()[0].packets >= 3 + 69 + 30 + 40);
    assert_eq!(output.stats().delay_lost, 0);
    output.finish(LONG);
    let mut last_ms = 0;
    while let Received::Tag(tag) = player.recv(&StopToken::new(), LONG) {
        last_ms = last_ms.max(tag.timestamp_ms);
    }
    // What leaves bears the time of the tick at which it leaves.
    assert!((2460..2510).contains(&last_ms), "{last_ms}");
}

#[test]
fn a_show_that_begins_with_a_delay_plays_from_its_first_moment() {
    let dir = Dir::new();
    let size = crate::frame::Size::new(160, 90);
    let video = crate::media::encode::VideoSettings { size, ..settings("").video };
    let lld = RenditionSettings { name: "lld".into(), video };
    let delayed =
        ProgrammeSettings { delay_ticks: 45, renditions: vec![lld], ..settings("from-black") };
    let output = start(&delayed).unwrap();
    let hls = |name: &str| Sink::Hls { dir: dir.0.join(name), segments: HlsSegments::Ts };
    output.add_sink(hls("main")).unwrap();
    output.add_rendition_sink("lld", hls("lld")).unwrap();
    (0..150).for_each(|tick| output.push_wait(media(tick)).unwrap());
    // The end is a tick more for what waits.
    output.finish(LONG);
    for name in ["main", "lld"] {
        let playlist = dir.0.join(name).join(crate::media::hls::PLAYLIST);
        let playlist = playlist.to_str().unwrap();
        let pictures = probe(playlist, 10).packets("video");
        let ticks: Vec<u64> = pictures
            .iter()
            .map(|(time, _)| ((time - pictures[0].0) * 30.0).round() as u64)
            .collect();
        let expected: Vec<u64> = [0, 15, 30].into_iter().chain(45..151).collect();
        assert_eq!(ticks, expected, "{name}");
        let complaints = super::tool_output("ffmpeg", &["-i", playlist, "-f", "null", "-"]);
        assert!(complaints.is_empty(), "{name}");
    }
}

#[test]
fn a_rendition_that_joins_after_a_delay_was_changed_has_the_times_of_the_others() {
    let hub = Hub::new();
    let delayed = ProgrammeSettings { delay_ticks: 60, ..settings("joins") };
    let output = start(&delayed).unwrap();
    let publish = |name: &str| Sink::Hub { hub: hub.clone(), name: name.into() };
    output.add_sink(publish("main")).unwrap();
    let push = |ticks: std::ops::Range<u64>| {
        for tick in ticks {
            output.push_wait(media(tick)).unwrap();
            // One that comes late finds its picture gone.
            let is_there = || output.renditions().iter().all(|r| r.stats.queued == 0);
            await_true("the rung takes it", is_there);
        }
    };
    push(0..90);
    output.set_delay(30);
    push(90..150);
    let size = crate::frame::Size::new(160, 90);
    let video = crate::media::encode::VideoSettings { size, ..settings("").video };
    output.set_renditions(&[RenditionSettings { name: "lld".into(), video }]).unwrap();
    output.add_rendition_sink("lld", publish("lld")).unwrap();
    push(150..240);
    let players = ["main", "lld"].map(|name| {
        await_true("it is live", || hub.is_live(name));
        hub.subscribe(name).unwrap()
    });
    push(240..300);
    output.finish(LONG);
    // A player begins with a keyframe of the group that is on, and both groups begin at the same ticks; sound before it may follow.
    let [(main_from, main), (lld_from, lld)] = players.map(|player| {
        let (mut first_key, mut times) = (None, std::collections::BTreeSet::new());
        while let Received::Tag(tag) = player.recv(&StopToken::new(), LONG) {
            if tag.class == TagClass::Keyframe {
                first_key.get_or_insert(tag.timestamp_ms);
            }
            if matches!(tag.class, TagClass::Keyframe | TagClass::Inter | TagClass::Audio) {
                times.insert(tag.timestamp_ms);
            }
        }
        (first_key.unwrap(), times)
    });
    let (first, last) = (main_from.max(lld_from), *lld.last().unwrap());
    let within = |times: std::collections::BTreeSet<u32>| -> Vec<u32> {
        times.range(first..=last).copied().collect()
    };
    let (main, lld) = (within(main), within(lld));
    assert!(main.len() > 60, "{main:?}");
    assert_eq!(main, lld);
}
