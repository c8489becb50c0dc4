//! A card that is left, at the start, in the middle and at the end of a stream: what is shown, and what it costs.

use super::*;
use crate::media::encode::testing::{Dir, tool_output};
use crate::media::nvdec::testing::{nvdec, own_device, supply};
use crate::media::nvenc::testing::Simulator;
use crate::media::open::{Demuxer, OpenRequest, Probing, ReadOutcome, Target};
use crate::worker::StopToken;

/// Pictures, and from one key frame to the next.
const PICTURES: usize = 30;
const GROUP: usize = 10;

/// When the card fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fails {
    Never,
    /// After this many packets, none of which was shown.
    Given(usize),
    /// After this many pictures.
    Shown(usize),
    /// Having shown nothing at all.
    Silent,
}

/// Times of the pictures that a stream gives in all, and what it cost.
fn play(path: &std::path::Path, card: Option<CardStream>, fails: Fails) -> (Vec<i64>, Counters) {
    let target = Target::Url { url: format!("file:{}", path.display()), options: vec![] };
    let (probing, decoder) = (Probing::File, crate::media::nvdec::Decoder::Software);
    let request = OpenRequest { target, protocols: "file", probing, decoder };
    let mut demuxer = Demuxer::open(request, &StopToken::new()).unwrap();
    let stream = demuxer.best(ffi::AVMediaType::AVMEDIA_TYPE_VIDEO).unwrap();
    let mut feed = match card {
        Some(card) => Feed::open_on(card, &stream).unwrap(),
        None => Feed::open(&stream, None).unwrap(),
    };
    let (mut times, mut given, mut supply) = (Vec::new(), 0, Supply::More);
    let mut frame = frame::Video::empty();
    loop {
        while feed.pull(&mut frame, supply) {
            times.push(frame.timestamp().unwrap());
            if fails == Fails::Shown(times.len()) {
                assert!(feed.leave_card("pulled"));
            }
        }
        if feed.is_drained() {
            break;
        }
        if fails == Fails::Given(given) {
            assert!(times.is_empty() && feed.leave_card("pushed"), "{given}");
        }
        let mut packet = Packet::empty();
        match demuxer.read(&mut packet).unwrap() {
            ReadOutcome::Packet if fails == Fails::Silent => {
                // As if the card had swallowed it.
                let card = feed.card.as_mut().unwrap();
                card.given.push(packet);
            }
            ReadOutcome::Packet => feed.push(packet),
            _ => supply = Supply::Ended,
        }
        given += 1;
    }
    let fell = feed.take_fallen();
    assert_eq!(fell.is_some(), fails != Fails::Never, "{fails:?}: {fell:?}");
    assert!(feed.take_fallen().is_none(), "told once");
    (times, feed.counters())
}

#[test]
fn a_card_that_is_left_costs_what_comes_before_the_next_key_frame() {
    let dir = Dir::new();
    let path = dir.0.join("clip.mkv");
    let source = format!("testsrc2=s=160x90:r=25:d={}", PICTURES as f64 / 25.0);
    let args = format!("-y -f lavfi -i {source} -c:v libx264 -bf 2 -g {GROUP} -keyint_min {GROUP}");
    let path_text = path.display().to_string();
    let args: Vec<&str> = args.split_whitespace().chain([&path_text[..]]).collect();
    tool_output("ffmpeg", &args);
    let supply = supply();
    let simulator = Simulator::new(&own_device(&supply));
    let nvdec = nvdec(&simulator, &supply);
    let (whole, _) = play(&path, None, Fails::Never);
    assert_eq!(whole.len(), PICTURES);
    for (fails, from) in [
        (Fails::Never, 0),
        // What was not shown is decoded again.
        (Fails::Given(1), 0),
        (Fails::Given(2), 0),
        (Fails::Silent, 0),
        // Packets of four pictures more than were shown are with the decoder.
        (Fails::Shown(1), GROUP),
        (Fails::Shown(GROUP / 2), GROUP),
        (Fails::Shown(GROUP + 1), 2 * GROUP),
        // No key frame comes any more.
        (Fails::Shown(2 * GROUP + 2), PICTURES),
    ] {
        let (times, counters) = play(&path, Some(CardStream::unknown(&nvdec)), fails);
        let shown = if let Fails::Shown(shown) = fails { shown } else { 0 };
        let want: Vec<i64> = whole[..shown].iter().chain(&whole[from..]).copied().collect();
        assert_eq!(times, want, "{fails:?}");
        assert_eq!(counters.decode_errors, 0, "{fails:?}");
        let is_costly = matches!(fails, Fails::Shown(_));
        assert_eq!(counters.packets_dropped > 0, is_costly, "{fails:?} {counters:?}");
    }
    assert_eq!(nvdec.report().streams, 0);
    drop(nvdec);
    simulator.check_empty();
}
