//! The worker of a playlist: files one after the other on one timeline.
//!
//! Must not know how a file is played. Invariants: each file begins exactly where the one before it ended; one that cannot
//! be played costs a notice and nothing else.

use super::live::back_off;
use super::play::{Stretch, deliver_file, with_player};
use super::redact::redact;
use super::{Context, Excerpt, Playlist, Plays};
use crate::media::file::Then;
use crate::media::open::MediaError;
use crate::source::InputState;
use crate::worker::StopToken;

/// Plays all of it as often as wanted, or until stopped.
pub(super) fn run(list: &Playlist, context: &Context, stop: &StopToken) {
    let mailbox = &context.mailbox;
    mailbox.set_state(InputState::Connecting);
    let mut stretch = Stretch::default();
    let (mut fruitless, mut has_played) = (0, false);
    for pass in 0.. {
        if matches!(list.plays, Plays::Times(n) if pass >= n) || list.locations.is_empty() {
            break;
        }
        stretch.pass = pass;
        let Ok(played) = play_pass(list, &mut stretch, context, stop) else { return };
        has_played |= played;
        // A first pass that begins late may well be empty.
        if played || (pass == 0 && list.first_item > 0) {
            fruitless = 0;
            continue;
        }
        // Nothing of it can be played now.
        mailbox.set_state(InputState::Failed);
        fruitless += 1;
        stop.wait(back_off(fruitless));
        if stop.is_stopped() {
            return;
        }
    }
    if has_played {
        return mailbox.set_end();
    }
    context.fail(&"nothing in it can be played");
    mailbox.set_state(InputState::Failed);
}

/// Stopped while playing.
struct Stopped;

/// Plays the items of one pass; false when none of them could be played.
fn play_pass(
    list: &Playlist,
    stretch: &mut Stretch,
    context: &Context,
    stop: &StopToken,
) -> Result<bool, Stopped> {
    let (pass, last) = (stretch.pass, list.locations.len() - 1);
    let is_last_pass = matches!(list.plays, Plays::Times(n) if pass + 1 >= n);
    let first_item = if pass == 0 { list.first_item } else { 0 };
    let mut played = false;
    for (index, location) in list.locations.iter().enumerate().skip(first_item) {
        let before_ns = stretch.at_ns;
        let then = if is_last_pass && index == last { Then::Nothing } else { Then::More };
        let seek_ms = list.seek_ms.filter(|_| pass == 0 && index == first_item);
        let excerpt = Excerpt { plays: Plays::Times(1), seek_ms, begin_ms: 0, end_ms: None };
        stretch.item = u32::try_from(index).unwrap_or(u32::MAX);
        let result = with_player(location, excerpt, (context, stop), &mut |mut player| {
            player.set_then(then);
            deliver_file(&mut player, stretch, context, stop)
        });
        match result {
            Ok(()) => played = true,
            Err(MediaError::Stopped) => return Err(Stopped),
            Err(error) => {
                context.fail(&format!("item {index} ({}): {error}", redact(location)));
            }
        }
        played |= stretch.at_ns > before_ns;
    }
    Ok(played)
}
