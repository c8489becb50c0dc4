//! Outputs of HEVC and AV1 by the simulated NVENC and by software: whatever breaks, the stream goes on.

use super::super::testing::{Dir, GOP, media, probe, settings};
use super::super::{Overflow, Sink, start};
use super::LONG;
use super::nvenc::{TICKS, check_file, check_pictures};
use crate::media::encode::testing::await_true;
use crate::media::encode::{EncoderPolicy, Maker, VideoSettings};
use crate::media::nvenc::testing::Simulator;
use crate::media::packet::VideoCodec;

/// Each with the name that FFmpeg knows it by, and what a card is like that does not encode it.
const CODECS: [(VideoCodec, &str, &str); 2] =
    [(VideoCodec::Hevc, "hevc", "no-hevc"), (VideoCodec::Av1, "av1", "no-av1")];

#[test]
fn whatever_makes_it_no_picture_is_missing() {
    CODECS.into_iter().for_each(check_makers);
}

fn check_makers((codec, codec_name, not_there): (VideoCodec, &str, &str)) {
    use Maker::{Nvenc, Software, StandIn};
    for (faults, lookahead_pictures, maker, restarts, between) in [
        ("", 0, Nvenc, 0, None),
        ("lost=180@40", 0, Nvenc, 1, Some(40)),
        ("gone=180@40", 0, StandIn, 1, Some(40)),
        // What it held is given again.
        ("gone=180@40", 5, StandIn, 1, Some(35)),
        (not_there, 0, Software, 0, None),
        ("sessions=0", 5, Software, 0, None),
    ] {
        let (dir, simulator) = (Dir::new(), Simulator::new(faults));
        let mut asked = settings(codec_name);
        asked.video = VideoSettings {
            codec,
            policy: EncoderPolicy::Auto,
            lookahead_pictures,
            nvenc: simulator.settings(),
            ..asked.video
        };
        let output = start(&asked).unwrap();
        let path = dir.0.join("main.mp4");
        output.add_sink(Sink::File { path: path.clone(), overflow: Overflow::Wait }).unwrap();
        for tick in 0..TICKS {
            output.push_wait(media(tick)).unwrap();
        }
        output.finish(LONG);
        let stats = output.stats();
        assert_eq!(
            (stats.maker, stats.restarts, stats.failure),
            (maker, restarts, None),
            "{faults}"
        );
        let name = if maker == Nvenc { "nvenc" } else { codec.software() };
        assert_eq!(stats.maker.name(stats.codec), name, "{faults}");
        let probe = probe(path.to_str().unwrap(), 60);
        assert_eq!(probe.stream("video")["codec_name"], codec_name, "{faults}");
        check_pictures(&dir);
        let mut keys = check_file(&dir, "main.mp4");
        let grid = |key: &u64| key.is_multiple_of(u64::from(GOP));
        assert_eq!(keys.iter().find(|key| !grid(key)), between.as_ref(), "{faults}: {keys:?}");
        keys.retain(grid);
        assert_eq!(keys, [0, 30, 60, 90], "{faults}");
        drop(output);
        simulator.check_empty();
    }
}

#[test]
fn a_bit_rate_that_changes_costs_no_picture() {
    CODECS.into_iter().for_each(check_bit_rate);
}

fn check_bit_rate((codec, codec_name, _): (VideoCodec, &str, &str)) {
    use Maker::{Nvenc, Software, StandIn};
    for (policy, faults, maker, restarts, between) in [
        (EncoderPolicy::Software, "", Software, 0, Some(40)),
        (EncoderPolicy::Nvenc, "", Nvenc, 0, None),
        // Reconfigured in vain, opened again, in vain again: software keeps it.
        (EncoderPolicy::Nvenc, "no-reconfigure", StandIn, 2, Some(40)),
    ] {
        let (dir, simulator) = (Dir::new(), Simulator::new(faults));
        let mut asked = settings(codec_name);
        let nvenc = simulator.settings();
        asked.video = VideoSettings { codec, policy, nvenc, ..asked.video };
        let output = start(&asked).unwrap();
        let path = dir.0.join("main.mp4");
        output.add_sink(Sink::File { path, overflow: Overflow::Wait }).unwrap();
        // Level 2 of both: more is not to be had.
        output.set_bitrate(9_000_000);
        assert_eq!(output.video().bitrate_bps, 1_500_000);
        output.set_bitrate(asked.video.bitrate_bps);
        for tick in 0..TICKS {
            if tick == 40 {
                await_true("all so far is encoded", || output.stats().encoded == 40);
                output.set_bitrate(200_000);
            }
            output.push_wait(media(tick)).unwrap();
        }
        output.finish(LONG);
        let stats = output.stats();
        assert_eq!(
            (stats.maker, stats.restarts, stats.failure),
            (maker, restarts, None),
            "{faults}"
        );
        assert_eq!(stats.bitrate_bps, 200_000);
        check_pictures(&dir);
        let keys = check_file(&dir, "main.mp4");
        let found = keys.iter().find(|key| !key.is_multiple_of(u64::from(GOP)));
        assert_eq!(found, between.as_ref(), "{policy:?} {faults}: {keys:?}");
        drop(output);
        simulator.check_empty();
    }
}
