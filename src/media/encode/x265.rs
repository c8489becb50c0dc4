//! libx265 by way of FFmpeg.
//!
//! Must not know queues. Invariants: no B-frames but those that are asked for, no scene-cut keyframes, closed groups; the tier is
//! Main, and the level stays that of the beginning whatever the bit rate becomes.

use bytes::Bytes;
use ffmpeg_next::ffi;

use super::codec::Codec;
use super::planar::Opened;
use super::x264::{configure, live_threads};
use super::{EncodeError, Latency, Options, VideoSettings, X264Preset};

/// Pictures that x265 holds besides those that it looks at, once it looks ahead (measured with 3.5).
const AHEAD_BESIDES: u32 = 3;

/// Opens it; at this level, or at the lowest that will do.
pub(super) fn open(settings: &VideoSettings, level: Option<u8>) -> Result<Opened, EncodeError> {
    let is_live = settings.latency == Latency::Zero;
    let mut parameters = "annexb=1:repeat-headers=0:info=0:log-level=none:high-tier=0:\
                          b-adapt=0:b-pyramid=0:scenecut=0:open-gop=0"
        .to_owned();
    let mut add = |text: String| {
        parameters.push(':');
        parameters.push_str(&text);
    };
    match threads(settings) {
        Some(1) => add("pools=none:wpp=0".into()),
        Some(count) => add(format!("pools={count}")),
        None => {}
    }
    if is_live || settings.threads == 1 {
        // Of its threads each has rows of the same picture, so that that leaves at once.
        add("frame-threads=1".into());
    }
    let ahead = ahead(settings);
    if is_live && ahead > 0 {
        // Both are off by zerolatency: how far it looks, and what it makes of what it sees.
        add(format!("rc-lookahead={ahead}:cutree={}", u32::from(settings.lookahead_pictures > 0)));
    }
    if let Some(level) = level {
        add(format!("level-idc={}.{}", level / 30, level % 30 / 3));
    }
    let mut pairs = vec![
        (c"preset", settings.preset.name()),
        (c"profile", "main"),
        (c"forced-idr", "1"),
        (c"x265-params", parameters.as_str()),
    ];
    if is_live {
        pairs.push((c"tune", "zerolatency"));
    }
    let mut options = Options::new(&pairs);
    let codec = Codec::open(("libx265", c"libx265"), &mut options, |context| {
        configure(context, settings);
        context.pix_fmt = ffi::AVPixelFormat::AV_PIX_FMT_YUV420P;
    })?;
    let sets = Bytes::copy_from_slice(codec.extradata());
    Ok(Opened { codec, sets })
}

/// How far it looks ahead: further than there are B-frames, without which it does not open.
fn ahead(settings: &VideoSettings) -> u32 {
    let VideoSettings { lookahead_pictures, b_frames, .. } = *settings;
    let least = if b_frames > 0 { b_frames + 1 } else { 0 };
    lookahead_pictures.saturating_sub(AHEAD_BESIDES + b_frames).max(least)
}

/// Threads, where x265 does not choose.
fn threads(settings: &VideoSettings) -> Option<u32> {
    match settings.threads {
        0 => live_threads(settings, thread_rate(settings.preset)),
        count => Some(count),
    }
}

/// Pixels a second that one thread encodes of hard pictures, about half of what was measured (as for x264: 51, 32, 26, 26, 19 and
/// 18 million).
pub(super) fn thread_rate(preset: X264Preset) -> f64 {
    match preset {
        X264Preset::Ultrafast => 25e6,
        X264Preset::Superfast => 16e6,
        X264Preset::Veryfast | X264Preset::Faster => 13e6,
        X264Preset::Fast | X264Preset::Medium => 9e6,
    }
}
