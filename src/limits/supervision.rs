//! Limits of what breaks: when it counts as hung, how often it begins again, what is left behind.
//!
//! Must not hold anything that is not a number with a unit. Invariant: as for [`super`].

use std::time::Duration;

/// Breakdowns within [`RESTART_WINDOW`] after which what breaks rests before it begins again (issue: five in a minute).
pub const RESTARTS: usize = 5;
/// See [`RESTARTS`]; what has worked that long is as good as new.
pub const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// The first rest; each further one is twice as long.
pub const RESTART_REST: Duration = Duration::from_secs(10);
/// The longest rest: shorter than [`RESTART_WINDOW`], so that what never works is not taken for good as new.
pub const RESTART_REST_MAX: Duration = Duration::from_secs(50);
/// Wait until a show that could not go back on air is tried again, at least.
pub const RETRY_START: Duration = Duration::from_secs(1);
/// Time for one picture after which its encoder counts as hung: the slowest preset takes 0.3 s for 1080p on a loaded core.
pub const ENCODER_HUNG: Duration = Duration::from_secs(3);
/// Hung encoders of one rendition that are left behind; each holds a canvas ([`CANVAS_RING`](super::CANVAS_RING)), so after that the show begins
/// again with new ones.
pub const ENCODERS_LEFT_BEHIND: u32 = 3;
/// Attempts to encode a picture; then black is encoded in its place, since it may be the picture that breaks encoders.
pub const ENCODE_ATTEMPTS: u32 = 2;
/// Late ticks in a row that repeat the last picture; then one is drawn, so that a machine that stays late shows five pictures
/// a second instead of none.
pub const LATE_REPEATS: u32 = 5;
/// Time without a tick after which a frame thread counts as hung: 150 periods at 30 frames a second.
pub const FRAMES_HUNG: Duration = Duration::from_secs(5);
/// Time without a sign of life after which the thread of a rendition counts as hung, as a frame thread does.
pub const RENDITION_HUNG: Duration = FRAMES_HUNG;
/// The same of the programme's own encoder thread, which waits for [`ENCODER_HUNG`] and rests besides: the show begins again then.
pub const OUTPUT_HUNG: Duration = Duration::from_secs(10);
/// The same of a sink: longer than a look-up, a connection and a write may take together (10, 10 and 5 s).
pub const SINK_HUNG: Duration = Duration::from_secs(30);
/// The same of a source: longer than one that is delivered in segments may be ahead of its time, which is a minute.
pub const INPUT_HUNG: Duration = Duration::from_secs(90);
/// The same of the programme's own, which another one follows before the show counts as broken ([`OUTPUT_HUNG`]): its queue holds
/// the ticks of that time.
pub const PROGRAMME_HUNG: Duration = FRAMES_HUNG;
/// Hung threads of one rendition, or of one sink, that are left behind; after that it stays as it is.
pub const THREADS_LEFT_BEHIND: u32 = 3;
/// Time that a thread gets which was told to stop what it does, before it is left behind: FFmpeg looks ten times a second.
pub const CUT_TIMEOUT: Duration = Duration::from_secs(1);
