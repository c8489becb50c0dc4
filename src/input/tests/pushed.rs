//! Pushed streams: publishers that come, stall, go and return; time stamps that wrap; no key frames.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{Played, TempDir, X264, clip, options};
use crate::input::{InputOptions, SourceSpec, start};
use crate::limits::{INPUT_KEYFRAME_NOTICE, INPUT_STALE_AFTER};
use crate::media::open::ByteSource;
use crate::metrics::resident_bytes;
use crate::source::InputState;
use crate::time::Clock;
use crate::worker::StopToken;

const FLV_HEADER_BYTES: usize = 13;

/// An FLV file as its header and its tags.
#[derive(Clone)]
struct Flv {
    header: Vec<u8>,
    tags: Vec<Vec<u8>>,
}

impl Flv {
    fn of_pattern(dir: &TempDir, frames: u64) -> Flv {
        let args = format!("{X264} -tune zerolatency -c:a aac");
        let bytes = std::fs::read(clip(dir, "a.flv", frames, &args)).unwrap();
        let (header, mut rest) = bytes.split_at(FLV_HEADER_BYTES);
        let mut tags = vec![];
        while rest.len() >= 15 {
            let size =
                usize::from(rest[1]) << 16 | usize::from(rest[2]) << 8 | usize::from(rest[3]);
            let (tag, tail) = rest.split_at(11 + size + 4);
            tags.push(tag.to_vec());
            rest = tail;
        }
        Flv { header: header.to_vec(), tags }
    }

    /// All time stamps moved on, wrapping at 32 bits.
    fn shifted(mut self, ms: u32) -> Flv {
        for tag in &mut self.tags {
            let stamp = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]).wrapping_add(ms);
            [tag[7], tag[4], tag[5], tag[6]] = stamp.to_be_bytes();
        }
        self
    }

    /// Without the pictures that decoding can begin at; the codec's header stays.
    fn without_key_frames(mut self) -> Flv {
        self.tags.retain(|tag| !(tag[0] == 9 && tag[11] >> 4 == 1 && tag[12] == 1));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        bytes.extend(self.tags.iter().flatten());
        bytes
    }
}

/// What happens when the bytes are used up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    End,
    Stall,
    /// The same once more, slowly.
    Repeat,
}

fn source(bytes: Vec<u8>, after: After) -> ByteSource {
    let mut at = 0;
    ByteSource {
        read: Box::new(move |buf, stop| {
            // About as fast as a fast network: the reader is never given everything at once.
            if at == bytes.len() && after == After::Repeat {
                at = FLV_HEADER_BYTES;
                stop.wait(Duration::from_millis(20));
            }
            let count = buf.len().min(bytes.len() - at).min(4096);
            buf[..count].copy_from_slice(&bytes[at..at + count]);
            at += count;
            while count == 0 && after == After::Stall && !stop.wait(Duration::from_secs(1)) {}
            Ok(count)
        }),
        format: c"flv",
    }
}

/// Publishers one after the other; `None` in between: nobody publishes at the first asking.
fn publishers(queue: Vec<Option<ByteSource>>) -> (SourceSpec, Arc<AtomicUsize>) {
    let queue = Mutex::new(queue.into_iter());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let open = move |_: &StopToken| {
        count.fetch_add(1, Ordering::Relaxed);
        queue.lock().unwrap().next().flatten()
    };
    (SourceSpec::Pushed { name: "live/cam".into(), open: Arc::new(open) }, asked)
}

fn lossless(name: &str) -> InputOptions {
    InputOptions { lossless: true, ..options(name) }
}

#[test]
fn a_publisher_that_returns_is_picked_up() {
    let dir = TempDir::new("publish");
    let flv = Flv::of_pattern(&dir, 30);
    let one = || Some(source(flv.bytes(), After::End));
    let (spec, asked) = publishers(vec![None, one(), None, None, one()]);
    let mut input = start(spec, lossless("cam")).unwrap();
    let played = Played::until(&mut input, |played| played.pictures.len() >= 60);
    let numbers: Vec<Option<u64>> = (0..30).chain(0..30).map(Some).collect();
    assert_eq!(played.numbers(), numbers);
    assert!(asked.load(Ordering::Relaxed) >= 5);
    assert_eq!(input.status().reconnects, 1);
    assert!(!played.has(InputState::Failed));
}

#[test]
fn a_publisher_that_stalls_is_stale_and_can_be_dropped() {
    let dir = TempDir::new("stall");
    let flv = Flv::of_pattern(&dir, 30);
    let (spec, _) = publishers(vec![Some(source(flv.bytes(), After::Stall))]);
    let clock = Clock::manual();
    let mut input = start(spec, InputOptions { clock: clock.clone(), ..options("cam") }).unwrap();
    let mut played = Played::until(&mut input, |played| played.has(InputState::Live));
    clock.advance(2 * INPUT_STALE_AFTER.as_nanos() as u64);
    // A picture that was still on its way may make it live once more.
    played.go_on(&mut input, |played| {
        clock.advance(INPUT_STALE_AFTER.as_nanos() as u64);
        played.states.last() == Some(&InputState::Stale)
    });
    let real = Clock::real();
    drop(input);
    assert!(real.now_ns() < 500_000_000);
}

#[test]
fn time_stamps_that_wrap_go_on() {
    let dir = TempDir::new("wrap");
    let flv = Flv::of_pattern(&dir, 60);
    for at_ms in [1_u64 << 24, 1 << 31, 1 << 32] {
        let shift = (at_ms - 1000) as u32;
        let bytes = flv.clone().shifted(shift).bytes();
        let (spec, _) = publishers(vec![Some(source(bytes, After::End))]);
        let mut input = start(spec, lossless("cam")).unwrap();
        let played = Played::until(&mut input, |played| played.pictures.len() >= 60);
        assert_eq!(played.numbers(), (0..60).map(Some).collect::<Vec<_>>(), "{at_ms}");
        let step = |pair: &[(i64, Option<u64>, bool)]| pair[1].0 - pair[0].0;
        let steps: Vec<i64> = played.pictures.windows(2).map(step).collect();
        let even = steps.iter().all(|step| (30_000_000..37_000_000).contains(step));
        assert!(even, "{at_ms}: {steps:?}");
        assert!(played.worst_seam_ns() < 1_000_000, "{at_ms}: {}", played.worst_seam_ns());
    }
}

#[test]
fn a_stream_without_key_frames_shows_nothing_and_says_so() {
    let dir = TempDir::new("nokey");
    let flv = Flv::of_pattern(&dir, 60).without_key_frames();
    let (spec, _) = publishers(vec![Some(source(flv.bytes(), After::Repeat))]);
    let clock = Clock::manual();
    let options = InputOptions { clock: clock.clone(), ..options("cam") };
    let mut input = start(spec, options).unwrap();
    let mut played = Played::until(&mut input, |played| played.has(InputState::Buffering));
    clock.advance(2 * INPUT_KEYFRAME_NOTICE.as_nanos() as u64);
    played.go_on(&mut input, |played| !played.notices.is_empty());
    assert!(played.notices[0].contains("key frame") && played.notices[0].contains("cam"));
    assert!(played.pictures.is_empty());
}

#[test]
fn a_bug_in_a_publisher_stays_in_its_input() {
    let dir = TempDir::new("bug");
    let flv = Flv::of_pattern(&dir, 30);
    // In reading: the next publisher is taken.
    let broken = ByteSource { read: Box::new(|_, _| panic!("on purpose")), format: c"flv" };
    let (spec, _) = publishers(vec![Some(broken), Some(source(flv.bytes(), After::End))]);
    let mut input = start(spec, lossless("cam")).unwrap();
    let played = Played::until(&mut input, |played| played.pictures.len() >= 30);
    assert!(played.notices[0].contains("cam"), "{:?}", played.notices);
    // In asking: the input fails and says so.
    let open = Arc::new(|_: &StopToken| panic!("on purpose"));
    let spec = SourceSpec::Pushed { name: "live/bug".into(), open };
    let mut input = start(spec, options("bug")).unwrap();
    let played = Played::until(&mut input, |played| played.has(InputState::Failed));
    assert!(played.notices[0].contains("bug"), "{:?}", played.notices);
}

/// Descriptors and threads of this process.
fn held() -> [usize; 2] {
    ["fd", "task"].map(|what| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count())
}

#[test]
fn reconnects_leave_nothing_behind() {
    const FRAMES: u64 = 8;
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let is_thorough = std::env::var("ONAIR_THOROUGH").is_ok_and(|text| text == "1");
    let rounds = if is_thorough { 1000 } else { 40 };
    let dir = TempDir::new("reconnects");
    let bytes = Flv::of_pattern(&dir, FRAMES).bytes();
    let open = move |_: &StopToken| Some(source(bytes.clone(), After::End));
    let spec = SourceSpec::Pushed { name: "live/cam".into(), open: Arc::new(open) };
    let mut input = start(spec, lossless("cam")).unwrap();
    let mut settled = ([0; 2], 0);
    for round in 1..=rounds {
        let played = Played::until(&mut input, |played| played.pictures.len() as u64 >= FRAMES);
        assert_eq!(
            played.pictures[0].1,
            Some(0),
            "connection {round} begins with its first picture"
        );
        // Buffers have found their size by then.
        if round == rounds / 4 {
            settled = (held(), resident_bytes());
        }
    }
    let (now, grown) = (held(), resident_bytes().saturating_sub(settled.1));
    println!(
        "{rounds} connections: {:?} then {now:?} descriptors, threads; {grown} bytes",
        settled.0
    );
    assert!(input.status().reconnects >= rounds - 1, "{:?}", input.status());
    assert!(now.iter().zip(settled.0).all(|(now, then)| *now <= then + 1), "{settled:?} {now:?}");
    assert!(grown < 16 << 20, "{grown} bytes more");
}
