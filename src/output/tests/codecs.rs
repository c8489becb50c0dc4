//! Outputs of HEVC and AV1 by the simulated NVENC and by software: whatever breaks or changes, the stream goes on.

use super::super::testing::{Dir, GOP, media, probe, settings};
use super::super::{Overflow, Sink, start};
use super::LONG;
use super::nvenc::{TICKS, check_file, check_pictures};
use crate::media::encode::testing::await_true;
use crate::media::encode::{EncoderPolicy, Maker, VideoSettings};
use crate::media::nvenc::testing::Simulator;
use crate::media::packet::VideoCodec;

/// When the bit rate changes, and to what, bit/s.
const CHANGE_TICK: u64 = 40;
const CHANGED_BPS: u32 = 200_000;
/// What level 2 of HEVC and of AV1 allows, bit/s.
const MOST_BPS: u32 = 1_500_000;

/// What happens to an encoder, and what comes of it.
struct Row {
    policy: EncoderPolicy,
    faults: &'static str,
    lookahead_pictures: u32,
    bit_rate: BitRate,
    maker: Maker,
    restarts: u64,
    /// The keyframe that is not on the grid.
    between: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum BitRate {
    Stays,
    Changes,
}

impl Row {
    const fn auto(faults: &'static str, (maker, restarts): (Maker, u64)) -> Row {
        Row {
            policy: EncoderPolicy::Auto,
            faults,
            lookahead_pictures: 0,
            bit_rate: BitRate::Stays,
            maker,
            restarts,
            between: None,
        }
    }

    /// Every picture must be there, once.
    fn check(&self, codec: VideoCodec) {
        let what = format!("{codec:?} {:?} {}", self.policy, self.faults);
        let (dir, simulator) = (Dir::new(), Simulator::new(self.faults));
        let mut asked = settings("codecs");
        asked.video = VideoSettings {
            codec,
            policy: self.policy,
            lookahead_pictures: self.lookahead_pictures,
            nvenc: simulator.settings(),
            ..asked.video
        };
        let output = start(&asked).unwrap();
        let path = dir.0.join("main.mp4");
        output.add_sink(Sink::File { path: path.clone(), overflow: Overflow::Wait }).unwrap();
        if self.bit_rate == BitRate::Changes {
            // More is not to be had.
            output.set_bitrate(9_000_000);
            assert_eq!(output.video().bitrate_bps, MOST_BPS, "{what}");
            output.set_bitrate(asked.video.bitrate_bps);
        }
        for tick in 0..TICKS {
            if (self.bit_rate, tick) == (BitRate::Changes, CHANGE_TICK) {
                await_true("all so far is encoded", || output.stats().encoded == CHANGE_TICK);
                output.set_bitrate(CHANGED_BPS);
            }
            output.push_wait(media(tick)).unwrap();
        }
        output.finish(LONG);
        let stats = output.stats();
        let happened = (stats.maker, stats.restarts, stats.failure);
        assert_eq!(happened, (self.maker, self.restarts, None), "{what}");
        if self.bit_rate == BitRate::Changes {
            assert_eq!(stats.bitrate_bps, CHANGED_BPS, "{what}");
        }
        let (name, software) = match codec {
            VideoCodec::Av1 => ("av1", "libaom"),
            _ => ("hevc", "x265"),
        };
        let maker = if self.maker == Maker::Nvenc { "nvenc" } else { software };
        assert_eq!(stats.maker.name(stats.codec), maker, "{what}");
        let probe = probe(path.to_str().unwrap(), 60);
        assert_eq!(probe.stream("video")["codec_name"], name, "{what}");
        check_pictures(&dir);
        let mut keys = check_file(&dir, "main.mp4");
        let grid = |key: &u64| key.is_multiple_of(u64::from(GOP));
        assert_eq!(keys.iter().find(|key| !grid(key)), self.between.as_ref(), "{what}: {keys:?}");
        keys.retain(grid);
        assert_eq!(keys, [0, 30, 60, 90], "{what}");
        drop(output);
        simulator.check_empty();
    }
}

/// What befalls either codec, and what a card of its own does not encode.
fn rows(no_codec: &'static str) -> [Row; 7] {
    use BitRate::Changes;
    use EncoderPolicy::{Nvenc as Only, Software as Never};
    use Maker::{Nvenc, Software, StandIn};
    let lost = Row { between: Some(40), ..Row::auto("lost=180@40", (Nvenc, 1)) };
    let gone = Row { between: Some(40), ..Row::auto("gone=180@40", (StandIn, 1)) };
    let changed = Row { bit_rate: Changes, policy: Never, ..Row::auto("", (Software, 0)) };
    let reconfigured = Row { bit_rate: Changes, policy: Only, ..Row::auto("", (Nvenc, 0)) };
    // In vain, opened again, in vain again: software keeps it.
    let in_vain = Row::auto("no-reconfigure", (StandIn, 2));
    [
        Row::auto("", (Nvenc, 0)),
        lost,
        gone,
        Row::auto(no_codec, (Software, 0)),
        Row { between: Some(CHANGE_TICK), ..changed },
        reconfigured,
        Row { bit_rate: Changes, policy: Only, between: Some(CHANGE_TICK), ..in_vain },
    ]
}

#[test]
fn whatever_befalls_an_encoder_of_hevc_no_picture_is_missing() {
    rows("no-hevc").iter().for_each(|row| row.check(VideoCodec::Hevc));
    // What is held is given again, and x265 holds something too.
    let held = Row::auto("gone=180@40", (Maker::StandIn, 1));
    Row { lookahead_pictures: 5, between: Some(35), ..held }.check(VideoCodec::Hevc);
    let held = Row::auto("sessions=0", (Maker::Software, 0));
    Row { lookahead_pictures: 5, ..held }.check(VideoCodec::Hevc);
}

#[test]
fn whatever_befalls_an_encoder_of_av1_no_picture_is_missing() {
    rows("no-av1").iter().for_each(|row| row.check(VideoCodec::Av1));
    // NVENC looks ahead, and libaom, which does not, gets what it held.
    let held = Row::auto("gone=180@40", (Maker::StandIn, 1));
    Row { lookahead_pictures: 5, between: Some(35), ..held }.check(VideoCodec::Av1);
}
