//! The supervisor of a live source: connect, deliver, notice silence, try again.
//!
//! Must not know protocols. Invariant: it ends only when stopped (or when told not to retry); waits between
//! attempts grow to `limits::RETRY_MAX` and shrink back with the first picture.

use std::time::Duration;

use super::guard::{self, Admitted, UrlUse};
use super::play::{DecoderTold, Finish};
use super::{Context, OpenPushed};
use crate::limits;
use crate::media::open::{ByteSource, MediaError, OpenRequest, Probing, Target};
use crate::media::reader::{Next, Reader};
use crate::source::InputState;
use crate::time::Clock;
use crate::worker::StopToken;

/// Where a live source comes from.
pub(super) enum Origin {
    /// Pulled from a URL.
    Url(String),
    /// Pushed to this process.
    Pushed(OpenPushed),
}

/// Why a connection ended, and whether it had shown anything.
struct Session {
    error: MediaError,
    delivered: bool,
}

/// Keeps the source connected until stopped.
pub(super) fn run(origin: &Origin, context: &Context, stop: &StopToken) {
    let mailbox = &context.mailbox;
    let mut attempts = 0_u32;
    let mut delivered_before = false;
    while !stop.is_stopped() {
        if mailbox.state() != InputState::Failed {
            mailbox.set_state(InputState::Connecting);
        }
        let (admitted, opened) = match origin {
            Origin::Pushed(open) => match open(stop) {
                Some(source) => (None, open_bytes(source, context, stop)),
                None => {
                    stop.wait(limits::PUSHED_RETRY);
                    continue;
                }
            },
            Origin::Url(url) => open_url(url, context, stop),
        };
        if delivered_before && opened.is_ok() {
            mailbox.count_reconnect();
        }
        if opened.is_ok() {
            // Timestamps of a new connection begin anew; whoever follows them goes by this.
            mailbox.set_state(InputState::Connecting);
        }
        let mut session = match opened {
            Ok(reader) => deliver(reader, context, stop),
            Err(error) => Session { error, delivered: false },
        };
        if let Some(refusal) = admitted.and_then(Admitted::into_refusal) {
            session.error = MediaError::Refused(refusal);
        }
        if session.error == MediaError::Stopped || stop.is_stopped() {
            return;
        }
        context.fail(&session.error);
        delivered_before |= session.delivered;
        attempts = if session.delivered { 1 } else { attempts.saturating_add(1) };
        if !context.options.retry {
            mailbox.set_state(InputState::Failed);
            return;
        }
        if attempts >= limits::RETRY_FAILED_AFTER {
            mailbox.set_state(InputState::Failed);
        }
        stop.wait(match origin {
            Origin::Pushed(_) => limits::PUSHED_RETRY,
            Origin::Url(_) => back_off(attempts),
        });
    }
}

fn open_bytes(
    source: ByteSource,
    context: &Context,
    stop: &StopToken,
) -> Result<Reader, MediaError> {
    let target = Target::Bytes(source);
    let (probing, decoder) = (Probing::Live, context.options.decoder.clone());
    Reader::open(OpenRequest { target, protocols: "", probing, decoder }, stop, None)
}

/// Opens a URL past the guard; what the guard admitted must live as long as the reader.
fn open_url(
    url: &str,
    context: &Context,
    stop: &StopToken,
) -> (Option<Admitted>, Result<Reader, MediaError>) {
    let admitted = match guard::admit(url, UrlUse::Live, &context.options.allow, stop) {
        Ok(admitted) => admitted,
        Err(error) => return (None, Err(error)),
    };
    let target = Target::Url { url: admitted.url.clone(), options: admitted.options.clone() };
    let protocols = admitted.protocols;
    let (probing, decoder) = (Probing::Live, context.options.decoder.clone());
    let reader = Reader::open(OpenRequest { target, protocols, probing, decoder }, stop, None);
    (Some(admitted), reader)
}

/// Delivers until the connection ends.
fn deliver(mut reader: Reader, context: &Context, stop: &StopToken) -> Session {
    let mailbox = &context.mailbox;
    mailbox.set_description(reader.description());
    mailbox.set_state(InputState::Buffering);
    let errors_before = mailbox.status().decode_errors;
    let has_video = reader.has_video();
    let mut finish = Finish::new(context);
    let mut pace = Pace::new(&reader.description().container);
    let mut watch = KeyWatch::new(context.options.clock.clone());
    let mut told = DecoderTold::default();
    let mut delivered = false;
    let error = loop {
        let room = mailbox.room();
        match reader.next(room) {
            Ok(Next::Video(frame, _)) => {
                pace.wait(frame.pts_ns, &context.options.clock, stop);
                finish.video(frame);
                delivered = true;
            }
            Ok(Next::Audio(block)) => {
                mailbox.push_audio(block);
                delivered |= !has_video;
            }
            Ok(Next::BeforeKey) => {}
            Ok(Next::Wait) => {
                if !mailbox.wait_room(room, stop) {
                    break MediaError::Stopped;
                }
            }
            Ok(Next::End) => break MediaError::Read("the stream ended".into()),
            Err(error) => break error,
        }
        mailbox.set_decode_errors(errors_before + reader.counters().decode_errors);
        told.follow(reader.decoded_by(), context);
        if !delivered && watch.is_due() {
            context.fail(&"no key frame yet, so there is no picture to show");
        }
        if stop.is_stopped() {
            break MediaError::Stopped;
        }
    };
    Session { error, delivered }
}

/// Notices, once, that a connection has brought no picture for too long.
struct KeyWatch {
    clock: Clock,
    due_ns: Option<u64>,
}

impl KeyWatch {
    fn new(clock: Clock) -> KeyWatch {
        let wait_ns = limits::INPUT_KEYFRAME_NOTICE.as_nanos() as u64;
        KeyWatch { due_ns: Some(clock.now_ns() + wait_ns), clock }
    }

    fn is_due(&mut self) -> bool {
        self.due_ns.take_if(|due| self.clock.now_ns() >= *due).is_some()
    }
}

/// Holds a source that is delivered faster than it plays (HLS comes in segments) to its own time.
struct Pace {
    lead_ns: u64,
    /// Clock and source time of the picture that the others are measured from.
    anchor: Option<(u64, i64)>,
}

impl Pace {
    fn new(container: &str) -> Pace {
        let lead = if container == "hls" { limits::SEGMENTED_LEAD } else { limits::LIVE_LEAD };
        Pace { lead_ns: lead.as_nanos() as u64, anchor: None }
    }

    /// When the picture at `pts_ns` may go, on the clock.
    fn due_ns(&mut self, pts_ns: i64, now_ns: u64) -> u64 {
        let (clock_ns, source_ns) = *self.anchor.get_or_insert((now_ns, pts_ns));
        let ahead_ns = pts_ns.saturating_sub(source_ns);
        let at_ns = clock_ns.saturating_add_signed(ahead_ns);
        // Late, or jumped (further ahead than a segment can be): it becomes the new measure.
        let jumped = at_ns > now_ns.saturating_add(60 * 1_000_000_000);
        if at_ns < now_ns || jumped {
            self.anchor = Some((now_ns, pts_ns));
            return now_ns;
        }
        at_ns.saturating_sub(self.lead_ns)
    }

    fn wait(&mut self, pts_ns: i64, clock: &Clock, stop: &StopToken) {
        let due_ns = self.due_ns(pts_ns, clock.now_ns());
        clock.wait_until(due_ns, stop);
    }
}

/// The wait after the given number of attempts in a row.
pub(super) fn back_off(attempts: u32) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    back_off_with(attempts, random)
}

/// Doubling, with a jitter of ±25 % (`fraction` 0–1), so that many sources do not come back all at once.
fn back_off_with(attempts: u32, fraction: f64) -> Duration {
    let doubled = limits::RETRY_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    doubled.min(limits::RETRY_MAX).mul_f64(0.75 + 0.5 * fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit() {
        let ms = |attempts, fraction| back_off_with(attempts, fraction).as_millis();
        assert_eq!([1, 2, 3, 4].map(|n| ms(n, 0.5)), [250, 500, 1000, 2000]);
        assert_eq!([ms(1, 0.0), ms(1, 1.0)], [187, 312]);
        assert_eq!(ms(u32::MAX, 0.5), limits::RETRY_MAX.as_millis());
    }

    #[test]
    fn segments_are_held_to_their_time() {
        const MS: u64 = 1_000_000;
        let mut pace = Pace::new("hls");
        let lead = limits::SEGMENTED_LEAD.as_nanos() as u64;
        // (pts ms, now ms) → due ms
        let table = [(5000, 100, 100), (5040, 100, 100), (6000, 110, 1100 - lead / MS)];
        for (pts, now, due) in table {
            let got = pace.due_ns(pts * 1_000_000, now * MS);
            assert_eq!(got.max(now * MS), due * MS, "{pts}");
        }
        // After a pause of the source the next picture goes at once and is the new measure.
        assert_eq!(pace.due_ns(6040 * 1_000_000, 9000 * MS), 9000 * MS);
        assert_eq!(pace.due_ns(7040 * 1_000_000, 9000 * MS), 10_000 * MS - lead);
        assert_eq!(pace.due_ns(0, 9500 * MS), 9500 * MS);
    }
}
