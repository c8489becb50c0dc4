//! Workers of sources that deliver on demand: files, images, the pattern.
//!
//! Must not know networks. Invariant: pictures and samples come in order, and nothing is left out unless the
//! pattern plays live.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use super::guard::{self, AllowList, UrlUse};
use super::live::back_off;
use super::mailbox::Mailbox;
use super::{Context, Excerpt, ImageSource, Pacing, PatternSpec};
use crate::fault;
use crate::frame::{AudioBlock, Picture, VideoFrame};
use crate::limits::{INPUT_CONNECT_TIMEOUT, MAX_IMAGE_BYTES};
use crate::media::fetch::{self, Fetch};
use crate::media::file::FilePlayer;
use crate::media::nvdec::DecodedBy;
use crate::media::open::MediaError;
use crate::media::pattern::Pattern;
use crate::media::reader::{Description, Next};
use crate::media::scale::Prescaler;
use crate::media::still;
use crate::source::{InputState, Part};
use crate::worker::StopToken;

/// Plays a file to its end, or until stopped.
pub(super) fn file(location: &str, excerpt: Excerpt, context: &Context, stop: &StopToken) {
    let mailbox = &context.mailbox;
    let is_remote = matches!(location.split_once("://"), Some(("http" | "https", _)));
    for attempt in 1.. {
        mailbox.set_state(InputState::Connecting);
        match play_file(location, excerpt, context, stop) {
            Ok(()) => return mailbox.set_end(),
            Err(MediaError::Stopped) => return,
            Err(error) => {
                context.fail(&error);
                let refused = matches!(error, MediaError::Refused(_));
                let begun = mailbox.status().media_age_ms.is_some();
                mailbox.set_state(InputState::Failed);
                // A file that broke off is not begun again: what was shown would be shown twice.
                if !is_remote || refused || begun || !context.options.retry {
                    return;
                }
            }
        }
        stop.wait(back_off(attempt));
    }
}

fn play_file(
    location: &str,
    excerpt: Excerpt,
    context: &Context,
    stop: &StopToken,
) -> Result<(), MediaError> {
    let mut stretch = Stretch::default();
    with_player(location, excerpt, (context, stop), &mut |mut player| {
        context.mailbox.set_state(InputState::Buffering);
        deliver_file(&mut player, &mut stretch, context, stop)
    })
}

/// Opens a file and has `play` play it.
///
/// # Errors
/// Why it cannot be opened, what `play` says, or the refusal of an address that it led to on the way.
pub(super) fn with_player(
    location: &str,
    excerpt: Excerpt,
    (context, stop): (&Context, &StopToken),
    play: &mut dyn FnMut(FilePlayer) -> Result<(), MediaError>,
) -> Result<(), MediaError> {
    let how = (excerpt, &context.options.decoder);
    let Some(("http" | "https", _)) = location.split_once("://") else {
        // The prefix keeps a name with a colon from being taken for a protocol.
        return play(FilePlayer::open(format!("file:{location}"), vec![], how, stop)?);
    };
    let admitted = guard::admit(location, UrlUse::File, &context.options.allow, stop)?;
    let result =
        FilePlayer::open(admitted.url.clone(), admitted.options.clone(), how, stop).and_then(play);
    match admitted.into_refusal() {
        Some(refusal) => Err(MediaError::Refused(refusal)),
        None => result,
    }
}

/// Where in a source a file is played: at the begin of a source of its own, or somewhere in a playlist.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stretch {
    pub(super) item: u32,
    /// Passes of the playlist before this one; passes of the file count on top.
    pub(super) pass: u32,
    /// Where it begins on the source's timeline; afterwards, where it ended.
    pub(super) at_ns: i64,
    /// What the decoders could not make sense of so far.
    pub(super) decode_errors: u64,
}

/// Plays a file and moves the stretch to where it ended, or broke off.
pub(super) fn deliver_file(
    player: &mut FilePlayer,
    stretch: &mut Stretch,
    context: &Context,
    stop: &StopToken,
) -> Result<(), MediaError> {
    context.mailbox.set_description(player.description());
    let begin = *stretch;
    let result = deliver(player, &begin, context, stop);
    let errors = player.counters().decode_errors;
    (stretch.at_ns, stretch.decode_errors) =
        (begin.at_ns + player.end_ns(), begin.decode_errors + errors);
    context.mailbox.set_decode_errors(stretch.decode_errors);
    result?;
    if errors > 0 {
        context.fail(&format!("is damaged: {errors} packets could not be decoded"));
    }
    Ok(())
}

fn deliver(
    player: &mut FilePlayer,
    begin: &Stretch,
    context: &Context,
    stop: &StopToken,
) -> Result<(), MediaError> {
    let mailbox = &context.mailbox;
    let mut finish = Finish::new(context);
    let mut told = DecoderTold::default();
    loop {
        if let Some(part) = player.take_begun() {
            let (pass, begin_ns) = (begin.pass + part.pass, begin.at_ns + part.begin_ns);
            mailbox.push_part(Part { item: begin.item, pass, begin_ns, ..part });
        }
        let room = mailbox.room();
        match player.next(room)? {
            Next::Video(mut frame, _) => {
                frame.pts_ns += begin.at_ns;
                finish.video(frame);
                told.follow(player.decoded_by(), context);
            }
            Next::Audio(mut block) => {
                block.pts_ns += begin.at_ns;
                mailbox.push_audio(block);
            }
            Next::BeforeKey => {}
            Next::Wait => {
                mailbox.set_decode_errors(begin.decode_errors + player.counters().decode_errors);
                if !mailbox.wait_room(room, stop) {
                    return Err(MediaError::Stopped);
                }
            }
            Next::End => return Ok(()),
        }
        if stop.is_stopped() {
            return Err(MediaError::Stopped);
        }
    }
}

/// What was told of what decodes a source.
#[derive(Default)]
pub(super) struct DecoderTold(DecodedBy);

impl DecoderTold {
    /// Tells what decodes it now, if that is something else, and why not the card.
    pub(super) fn follow(&mut self, now: DecodedBy, context: &Context) {
        if now.name.is_empty() || now == self.0 {
            return;
        }
        if let Some(why) = &now.refused {
            let text = format!("{}: software decodes it: {why}", context.name);
            tracing::warn!(input = %context.options.key, "{text}");
            context.mailbox.push_notice(text);
        }
        context.mailbox.set_decoded_by(now.clone());
        self.0 = now;
    }
}

/// Scales pictures as wanted and delivers them.
pub(super) struct Finish<'a> {
    mailbox: &'a Mailbox,
    prescaler: Option<Prescaler>,
    /// Its name where tests cause faults.
    place: String,
}

impl<'a> Finish<'a> {
    pub(super) fn new(context: &'a Context) -> Finish<'a> {
        let prescaler = context.options.prescale.map(Prescaler::new);
        let place = format!("input-{}", context.options.name);
        Finish { mailbox: &context.mailbox, prescaler, place }
    }

    pub(super) fn video(&mut self, mut frame: VideoFrame) {
        fault::strikes(&self.place);
        if let Some(prescaler) = &mut self.prescaler {
            prescaler.fill(&mut frame, &self.mailbox.wanted());
        }
        self.mailbox.push_video(frame);
    }
}

/// Shows one picture for ever.
pub(super) fn image(source: &ImageSource, context: &Context, stop: &StopToken) {
    let Some(picture) = read_until_there(source, context, stop) else { return };
    let size = Some(picture.size());
    context.mailbox.set_description(&Description {
        container: "image".into(),
        video_codec: Some("image".into()),
        size,
        ..Description::default()
    });
    let frame = VideoFrame { pts_ns: 0, picture, scaled: vec![] };
    let mut finish = Finish::new(context);
    let mut wanted = context.mailbox.wanted();
    finish.video(frame.clone());
    // Whoever waits for more of it waits in vain.
    context.mailbox.set_over();
    if context.options.prescale.is_none() {
        return;
    }
    while let Some(now) = context.mailbox.wait_wanted(&wanted, stop) {
        wanted = now;
        finish.video(frame.clone());
    }
}

/// The picture; tried again for as long as it may come yet, which is while it is at a URL.
fn read_until_there(
    source: &ImageSource,
    context: &Context,
    stop: &StopToken,
) -> Option<Arc<Picture>> {
    for attempt in 1.. {
        context.mailbox.set_state(InputState::Connecting);
        match read_image(source, context, stop).and_then(|bytes| still::load_picture(&bytes)) {
            Ok(picture) => return Some(Arc::new(picture)),
            Err(MediaError::Stopped) => return None,
            Err(error) => {
                context.fail(&error);
                context.mailbox.set_state(InputState::Failed);
                if !matches!(source, ImageSource::Url(_)) || !context.options.retry {
                    return None;
                }
            }
        }
        stop.wait(back_off(attempt));
    }
    None
}

/// The bytes of an image at an `http` or `https` URL.
///
/// # Errors
/// When the guard refuses an address that it leads to, or it cannot be had, or is larger than an image may be.
pub fn fetch_image(url: &str, allow: &AllowList, stop: &StopToken) -> Result<Vec<u8>, MediaError> {
    fetch_small(url, (MAX_IMAGE_BYTES, INPUT_CONNECT_TIMEOUT), allow, stop)
}

/// All bytes of what is at an `http` or `https` URL, at most so many and within so long.
///
/// # Errors
/// As [`fetch_image`].
pub fn fetch_small(
    url: &str,
    (max_bytes, limit): (u64, Duration),
    allow: &AllowList,
    stop: &StopToken,
) -> Result<Vec<u8>, MediaError> {
    let admitted = guard::admit(url, UrlUse::File, allow, stop)?;
    let what = Fetch {
        url: admitted.url.clone(),
        options: admitted.options.clone(),
        protocols: admitted.protocols,
        max_bytes,
        limit,
    };
    let fetched = fetch::fetch(what, stop);
    match admitted.into_refusal() {
        Some(refusal) => Err(MediaError::Refused(refusal)),
        None => fetched,
    }
}

fn read_image(
    source: &ImageSource,
    context: &Context,
    stop: &StopToken,
) -> Result<bytes::Bytes, MediaError> {
    match source {
        ImageSource::Bytes(bytes) => Ok(bytes.clone()),
        ImageSource::Url(url) => {
            fetch_image(url, &context.options.allow, stop).map(bytes::Bytes::from)
        }
        ImageSource::Path(path) => {
            let mut bytes = vec![];
            // One byte more than allowed, so that the decoder's own check refuses the rest by name.
            File::open(path)
                .and_then(|file| file.take(MAX_IMAGE_BYTES + 1).read_to_end(&mut bytes))
                .map_err(|error| MediaError::Open(error.to_string()))?;
            Ok(bytes.into())
        }
    }
}

/// Draws the pattern until stopped.
pub(super) fn pattern(spec: PatternSpec, pacing: Pacing, context: &Context, stop: &StopToken) {
    let mailbox = &context.mailbox;
    mailbox.set_description(&Description {
        container: "pattern".into(),
        video_codec: Some("rawvideo".into()),
        size: Some(spec.size),
        frames_per_second: Some(f64::from(spec.rate.num()) / f64::from(spec.rate.den())),
        audio_codec: Some("pcm".into()),
        sample_rate_hz: Some(crate::time::SAMPLE_RATE),
        channels: Some(2),
    });
    let pattern = Pattern::new(spec);
    let mut finish = Finish::new(context);
    let clock = &context.options.clock;
    let begin_ns = clock.now_ns();
    for n in 0.. {
        let (frame, block): (VideoFrame, AudioBlock) = pattern.frame(n);
        if pacing == Pacing::Live && !clock.wait_until(begin_ns + spec.rate.tick_ns(n), stop) {
            return;
        }
        loop {
            let room = mailbox.room();
            if room.video && room.audio {
                break;
            }
            if !mailbox.wait_room(room, stop) {
                return;
            }
        }
        mailbox.push_audio(block);
        finish.video(frame);
        if stop.is_stopped() {
            return;
        }
    }
}
