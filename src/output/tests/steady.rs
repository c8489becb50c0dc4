//! Encoders that panic, fail and hang: the stream goes on without a frame missing.

use super::super::testing::{Dir, Live, await_true, probe};
use super::super::{Overflow, RenditionSettings, Sink};
use super::LONG;
use crate::fault;
use crate::frame::Size;
use crate::media::encode::VideoSettings;

/// An output with a rendition, fed live, whose encoders meet `faults`; both are recorded.
pub(super) fn live(name: &str, dir: &Dir, faults: &[&str]) -> Live {
    faults.iter().for_each(|fault| fault::arm(fault));
    let file = |name: &str| Sink::File { path: dir.0.join(name), overflow: Overflow::Drop };
    let live = Live::start(name, vec![file("main.mp4")]);
    let video = VideoSettings { size: Size::new(160, 90), ..super::settings("").video };
    let lld = RenditionSettings { name: "lld".into(), video };
    live.output.set_renditions(&[lld]).unwrap();
    live.output.add_rendition_sink("lld", file("lld.mp4")).unwrap();
    live
}

/// How many encoders of the programme and the rendition were replaced.
fn restarts(live: &Live) -> [u64; 2] {
    [live.output.stats().restarts, live.output.renditions()[0].stats.restarts]
}

/// Every tick is in the file once, and decodes; answers which are keyframes.
pub(super) fn check(dir: &Dir, name: &str) -> Vec<u64> {
    let path = dir.0.join(name);
    let path = path.to_str().unwrap();
    let pictures = probe(path, 60).packets("video");
    let ticks: Vec<u64> = pictures.iter().map(|(time, _)| (time * 30.0).round() as u64).collect();
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name}: {ticks:?}");
    let decoded = super::tool_output("ffmpeg", &["-i", path, "-f", "null", "-"]);
    assert!(decoded.is_empty());
    pictures.iter().zip(ticks).filter(|((_, key), _)| *key).map(|(_, tick)| tick).collect()
}

#[test]
fn an_encoder_that_breaks_is_replaced_within_the_stream() {
    for kind in ["panic", "fail", "hang"] {
        let (dir, name) = (Dir::new(), format!("breaks-{kind}"));
        let faults = [format!("encode-{name}:{kind}@40"), format!("encode-lld-{name}:{kind}@25")];
        let live = live(&name, &dir, &faults.each_ref().map(String::as_str));
        await_true("both encoders were replaced", || restarts(&live) == [1, 1]);
        let encoded = live.output.stats().encoded;
        await_true("it goes on", || live.output.stats().encoded > encoded + 40);
        let stats = live.output.stats();
        assert_eq!((stats.filled, stats.ticks_refused, &stats.failure), (0, 0, &None), "{kind}");
        assert!(stats.last_fault.is_some());
        live.output.finish(LONG);
        let keys = check(&dir, "main.mp4");
        assert!(keys.contains(&40), "{kind}: the new encoder begins with a keyframe: {keys:?}");
        check(&dir, "lld.mp4");
    }
}

#[test]
fn a_picture_that_breaks_encoders_is_not_tried_for_ever() {
    let dir = Dir::new();
    let live = live("poison", &dir, &["encode-poison:panic@30-31"]);
    await_true("both encoders were replaced", || live.output.stats().encoded > 60);
    assert_eq!(restarts(&live), [2, 0]);
    live.output.finish(LONG);
    check(&dir, "main.mp4");
    check(&dir, "lld.mp4");
}
