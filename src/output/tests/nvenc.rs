//! Outputs by the simulated NVENC: whatever it does, no picture is missing and no other encoder is disturbed.

use super::super::testing::{Dir, GOP, media, probe, settings, tool};
use super::super::{Output, Overflow, RenditionSettings, Sink, StartError, start};
use super::LONG;
use crate::fault;
use crate::frame::Size;
use crate::media::encode::testing::{SIZE, b_frames};
use crate::media::encode::{EncodeError, EncoderPolicy, Maker, VideoSettings};
use crate::media::nvenc::testing::Simulator;

pub(super) const TICKS: u64 = 120;
const SMALL: Size = Size::new(160, 90);

/// An output of this name by NVENC with a rendition, both recorded; the rendition is left out when it is refused, which is told.
fn begin(
    name: &str,
    simulator: &Simulator,
    policy: EncoderPolicy,
    dir: &Dir,
) -> (Output, Result<(), StartError>) {
    begin_ahead(name, simulator, (policy, [0, 0]), dir)
}

/// The same, with encoders that look ahead by so many pictures and make so many B-frames.
fn begin_ahead(
    name: &str,
    simulator: &Simulator,
    (policy, [lookahead_pictures, b_frames]): (EncoderPolicy, [u32; 2]),
    dir: &Dir,
) -> (Output, Result<(), StartError>) {
    let file = |name: &str| Sink::File { path: dir.0.join(name), overflow: Overflow::Wait };
    let mut asked = settings(name);
    let nvenc = simulator.settings();
    asked.video = VideoSettings { policy, lookahead_pictures, b_frames, nvenc, ..asked.video };
    let output = start(&asked).unwrap();
    output.add_sink(file("main.mp4")).unwrap();
    let video = VideoSettings { size: SMALL, ..asked.video };
    let made = output.set_renditions(&[RenditionSettings { name: "lld".into(), video }]);
    if made.is_ok() {
        output.add_rendition_sink("lld", file("lld.mp4")).unwrap();
    }
    (output, made)
}

/// Every tick is in the file once and decodes without a word; answers the keyframes.
pub(super) fn check_file(dir: &Dir, name: &str) -> Vec<u64> {
    let path = dir.0.join(name);
    let path = path.to_str().unwrap();
    let pictures = probe(path, 60).packets("video");
    let ticks: Vec<u64> = pictures.iter().map(|(time, _)| (time * 30.0).round() as u64).collect();
    assert_eq!(ticks, Vec::from_iter(0..TICKS), "{name}");
    let decoded = tool("ffmpeg", &["-xerror", "-i", path, "-f", "null", "-"]).output().unwrap();
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && said.is_empty(), "{name}: {said}");
    pictures.iter().zip(ticks).filter(|((_, key), _)| *key).map(|(_, tick)| tick).collect()
}

/// Each picture of PGM is its tick's, whatever encoder made it.
pub(super) fn check_pictures(dir: &Dir) {
    let path = dir.0.join("main.mp4");
    let args = ["-i", path.to_str().unwrap(), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"];
    let raw = super::tool_output("ffmpeg", &args);
    let pixels = (SIZE.width_px * SIZE.height_px) as usize;
    assert_eq!(raw.len(), pixels * 3 / 2 * TICKS as usize);
    for (tick, picture) in (0_u32..).zip(raw.chunks(pixels * 3 / 2)) {
        let luma = picture[pixels / 2];
        let wanted = 40 + (tick % 64) as u8 * 2;
        assert!(luma.abs_diff(wanted) <= 4, "tick {tick}: {luma}, not {wanted}");
    }
}

#[test]
fn whatever_nvenc_does_no_picture_is_missing() {
    use Maker::{Nvenc, Software, StandIn};
    for (faults, makers, restarts, told) in [
        ("", [Nvenc, Nvenc], [0, 0], [None, None]),
        // Lost once: opened again.
        ("lost=180@40", [Nvenc, Nvenc], [1, 0], [None, None]),
        ("lost=90@25", [Nvenc, Nvenc], [0, 1], [None, None]),
        // Lost for good, or twice in a minute: x264 goes on.
        ("gone=180@40", [StandIn, Nvenc], [1, 0], [Some("NV_ENC_ERR_DEVICE_NOT_EXIST"), None]),
        ("gone=90@41", [Nvenc, StandIn], [0, 1], [None, Some("NV_ENC_ERR_DEVICE_NOT_EXIST")]),
        ("lost=180@10,lost=180@40", [StandIn, Nvenc], [2, 0], [Some("twice"), None]),
        // Also when the second one breaks at the picture that the first one broke at.
        ("lost=180@0,lost=180@0", [StandIn, Nvenc], [2, 0], [Some("twice"), None]),
        // Not to be had at the beginning.
        ("sessions=1", [Nvenc, Software], [0, 0], [None, Some("no session")]),
        ("unsupported", [Software, Software], [0, 0], [Some("has no NVENC"); 2]),
        ("no-memory", [Software, Software], [0, 0], [Some("OUT_OF_MEMORY"); 2]),
    ] {
        let (dir, simulator) = (Dir::new(), Simulator::new(faults));
        let (output, made) = begin("nvenc", &simulator, EncoderPolicy::Auto, &dir);
        made.unwrap();
        for tick in 0..TICKS {
            output.push_wait(media(tick)).unwrap();
        }
        output.finish(LONG);
        let (main, lld) = (output.stats(), output.renditions().remove(0).stats);
        assert_eq!([main.maker, lld.maker], makers, "{faults}");
        assert_eq!([main.restarts, lld.restarts], restarts, "{faults}");
        assert_eq!((main.failure, lld.failure), (None, None), "{faults}");
        for (why, told) in [main.passed_over, lld.passed_over].into_iter().zip(told) {
            let fits = told.map_or(why.is_none(), |told| why.iter().any(|why| why.contains(told)));
            assert!(fits, "{faults}: {why:?}, not {told:?}");
        }
        check_pictures(&dir);
        let keys = ["main.mp4", "lld.mp4"].map(|name| check_file(&dir, name));
        for keys in keys {
            let grid: Vec<u64> = keys.into_iter().filter(|key| key % u64::from(GOP) == 0).collect();
            assert_eq!(grid, [0, 30, 60, 90], "{faults}: one grid of keyframes");
        }
        drop(output);
        simulator.check_empty();
    }
}

#[test]
fn where_only_nvenc_will_do_a_rendition_without_a_session_is_refused() {
    let (dir, simulator) = (Dir::new(), Simulator::new("sessions=1"));
    let (output, made) = begin("nvenc", &simulator, EncoderPolicy::Nvenc, &dir);
    let error = made.unwrap_err();
    assert!(matches!(error, StartError::Encode(EncodeError::Nvenc(_))), "{error}");
    for tick in 0..TICKS {
        output.push_wait(media(tick)).unwrap();
    }
    output.finish(LONG);
    assert_eq!((output.stats().maker, output.stats().restarts), (Maker::Nvenc, 0));
    check_file(&dir, "main.mp4");
    drop(output);
    simulator.check_empty();
}

#[test]
fn what_an_encoder_held_when_it_broke_is_given_again() {
    use Maker::{Nvenc, Software, StandIn};
    let rows = [
        (EncoderPolicy::Software, "", Software, 0),
        (EncoderPolicy::Nvenc, "", Nvenc, 0),
        (EncoderPolicy::Nvenc, "lost=180@40", Nvenc, 1),
        // The second one breaks at what the first one held.
        (EncoderPolicy::Nvenc, "lost=180@3,lost=180@3", StandIn, 2),
        (EncoderPolicy::Nvenc, "gone=180@40", StandIn, 1),
        (EncoderPolicy::Nvenc, "gone=180@119", StandIn, 1),
        (EncoderPolicy::Nvenc, "gone=90@41", Nvenc, 0),
    ];
    let held = [[5, 0], [0, 2]];
    for (held, (policy, faults, maker, restarts)) in
        held.into_iter().flat_map(|held| rows.map(|row| (held, row)))
    {
        let (dir, simulator) = (Dir::new(), Simulator::new(faults));
        let (output, made) = begin_ahead("ahead", &simulator, (policy, held), &dir);
        made.unwrap();
        for tick in 0..TICKS {
            output.push_wait(media(tick)).unwrap();
        }
        output.finish(LONG);
        let (main, lld) = (output.stats(), output.renditions().remove(0).stats);
        assert_eq!((main.maker, main.restarts), (maker, restarts), "{faults} {held:?}");
        assert_eq!((main.failure, lld.failure), (None, None), "{faults} {held:?}");
        assert_eq!((main.filled, lld.filled), (0, 0), "{faults} {held:?}");
        check_pictures(&dir);
        for name in ["main.mp4", "lld.mp4"] {
            assert_eq!(b_frames(dir.0.join(name).to_str().unwrap()), held[1] as usize, "{faults}");
            let mut keys = check_file(&dir, name);
            keys.retain(|key| key % u64::from(GOP) == 0);
            assert_eq!(keys, [0, 30, 60, 90], "{faults} {held:?}: {name}");
            let sounds = probe(dir.0.join(name).to_str().unwrap(), 60).packets("audio");
            assert!(sounds.len() >= TICKS as usize, "{faults} {held:?}: {name}: {}", sounds.len());
            for pair in sounds.windows(2) {
                assert!((pair[1].0 - pair[0].0 - 1024.0 / 48_000.0).abs() < 0.002, "{pair:?}");
            }
        }
        drop(output);
        simulator.check_empty();
    }
}

#[test]
fn a_bit_rate_that_changes_costs_no_picture() {
    use Maker::{Nvenc, Software, StandIn};
    for (policy, faults, maker, restarts) in [
        (EncoderPolicy::Software, "", Software, 0),
        (EncoderPolicy::Nvenc, "", Nvenc, 0),
        // Whatever comes later has the rate that holds.
        (EncoderPolicy::Nvenc, "lost=180@100", Nvenc, 1),
        (EncoderPolicy::Nvenc, "gone=180@100", StandIn, 1),
        // Reconfigured in vain, opened again, in vain again: x264 keeps it.
        (EncoderPolicy::Nvenc, "no-reconfigure", StandIn, 2),
    ] {
        let (dir, simulator) = (Dir::new(), Simulator::new(faults));
        let (output, made) = begin("rates", &simulator, policy, &dir);
        made.unwrap();
        let mut lld = output.renditions().remove(0).settings;
        let before = output.video();
        for tick in 0..TICKS {
            if tick == 40 {
                output.set_bitrate(200_000);
                lld.video.bitrate_bps = 100_000;
                output.set_renditions(std::slice::from_ref(&lld)).unwrap();
            }
            output.push_wait(media(tick)).unwrap();
        }
        output.finish(LONG);
        assert_eq!(output.video(), VideoSettings { bitrate_bps: 200_000, ..before });
        let rung = output.renditions().remove(0);
        assert_eq!(rung.settings, lld, "{faults}");
        let main = output.stats();
        assert_eq!([main.bitrate_bps, rung.stats.bitrate_bps], [200_000, 100_000], "{faults}");
        assert_eq!((main.maker, main.restarts), (maker, restarts), "{faults}");
        assert_eq!((main.failure, rung.stats.failure), (None, None), "{faults}");
        // The rendition's sink is there still.
        check_pictures(&dir);
        for name in ["main.mp4", "lld.mp4"] {
            let keys = check_file(&dir, name);
            let grid: Vec<u64> =
                keys.iter().copied().filter(|key| key % u64::from(GOP) == 0).collect();
            assert_eq!(grid, [0, 30, 60, 90], "{faults}: {name}");
            assert!(restarts > 0 || keys == grid, "{policy:?}: {name}: {keys:?}");
        }
        drop(output);
        simulator.check_empty();
    }
}

#[test]
fn nvenc_that_hangs_is_not_asked_again() {
    let (dir, simulator) = (Dir::new(), Simulator::new(""));
    fault::arm("encode-stuck:hang@40");
    let (output, made) = begin("stuck", &simulator, EncoderPolicy::Auto, &dir);
    made.unwrap();
    for tick in 0..TICKS {
        output.push_wait(media(tick)).unwrap();
    }
    output.finish(LONG);
    let (main, lld) = (output.stats(), output.renditions().remove(0).stats);
    assert_eq!([main.maker, lld.maker], [Maker::StandIn, Maker::Nvenc]);
    assert_eq!(main.passed_over.as_deref(), Some("NVENC hangs"));
    check_pictures(&dir);
    for name in ["main.mp4", "lld.mp4"] {
        check_file(&dir, name);
    }
    drop(output);
    // What the thread that hangs holds cannot be given back.
    assert_eq!((simulator.held().sessions, simulator.held().violations), (1, 0));
}
