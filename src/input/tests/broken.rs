//! Workers that panic and hang: what is live begins again by itself, a file is told to be broken, and nobody waits for a hung
//! one.

use std::time::Duration;

use super::support::{Played, TempDir, WHOLE, X264, clip, options};
use crate::fault;
use crate::frame::Size;
use crate::input::{Broken, InputOptions, Pacing, PatternSpec, SourceSpec, start};
use crate::source::InputState;
use crate::time::{Clock, FrameRate};

fn pattern(pacing: Pacing) -> SourceSpec {
    let spec = PatternSpec { size: Size::new(320, 180), rate: FrameRate::FPS_30 };
    SourceSpec::Pattern { spec, pacing }
}

#[test]
fn a_live_source_whose_worker_panics_connects_anew() {
    fault::arm("input-breaks:panic@20");
    let mut input = start(pattern(Pacing::Live), options("breaks")).unwrap();
    let played = Played::until(&mut input, |played| played.pictures.len() >= 50);
    let status = input.status();
    assert_eq!((status.restarts, status.broken), (1, None));
    assert_eq!(played.states, [InputState::Live, InputState::Failed, InputState::Live]);
    assert!(played.notices.iter().any(|notice| notice.contains("because of a bug")));
}

#[test]
fn a_file_whose_worker_panics_is_broken() {
    let dir = TempDir::new("breaks");
    let path = clip(&dir, "a.mp4", 60, &format!("{X264} -c:a aac"));
    fault::arm("input-torn:panic@20");
    let spec = SourceSpec::File { location: path.display().to_string(), excerpt: WHOLE };
    let mut input = start(spec, options("torn")).unwrap();
    let played = Played::until(&mut input, |played| played.has(InputState::Failed));
    let status = input.status();
    assert!(
        matches!(&status.broken, Some(Broken::Panicked(why)) if why.contains("a test asked")),
        "{status:?}"
    );
    assert_eq!(status.restarts, 0);
    assert!(played.numbers().len() <= 20);
}

#[test]
fn who_lets_go_of_an_input_that_hangs_does_not_wait_for_it() {
    fault::arm("input-hangs:hang@20");
    let (clock, options) = (Clock::real(), options("hangs"));
    let mut input =
        start(pattern(Pacing::Live), InputOptions { clock: clock.clone(), ..options }).unwrap();
    Played::until(&mut input, |played| played.has(InputState::Stale));
    let begun_ns = clock.now_ns();
    drop(input);
    let took = Duration::from_nanos(clock.now_ns() - begun_ns);
    assert!(took < Duration::from_secs(10), "{took:?}");
}
