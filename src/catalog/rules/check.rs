//! From unchecked words and numbers to values within the API's limits.
//!
//! Must not know any caster's state. Invariant: every message names the parameter.

use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    AnsMode, AudioFilter, AudioLayer, Direction, LocationId, Place, Placement, PositionRefer,
    TransitionKind, ValidChannel,
};
use super::super::{
    AudioLayerDraft, Context, FilterDraft, ImageDraft, MediaFacts, PlacementDraft, Transition,
    TransitionDraft, Way, WayDraft, When, WhenDraft,
};
use crate::ids::{CasterId, MaterialId, ResourceId};
use crate::limits;
use crate::time::FrameRate;

/// How long a switch on PGM waits for its sources unless the call says otherwise, ms.
pub(super) const DEFAULT_WAIT_MS: u32 = 3000;

/// Schemes of a live stream's URL.
pub(super) const LIVE_SCHEMES: &[&str] = &["rtmp", "http", "https", "srt"];

/// Schemes of an image's URL.
pub(super) const IMAGE_SCHEMES: &[&str] = &["http", "https", "file"];

/// Schemes of a destination's URL.
pub(super) const RELAY_SCHEMES: &[&str] = &["rtmp", "rtmps", "srt"];

/// Schemes of a file's URL.
pub(super) const FILE_SCHEMES: &[&str] = &["http", "https", "file"];

pub(super) fn malformed(message: impl Into<String>) -> Refused {
    Refused::new(ErrorCode::ParameterMalformed, message)
}

pub(super) fn caster_id(text: &str) -> Result<CasterId, Refused> {
    CasterId::parse(text).ok_or_else(|| ErrorCode::CasterIdMalformed.into())
}

pub(super) fn resource_id(text: &str) -> Result<ResourceId, Refused> {
    ResourceId::parse(text).ok_or_else(|| ErrorCode::ResourceIdMalformed.into())
}

pub(super) fn present<'a>(field: &str, text: &'a str) -> Result<&'a str, Refused> {
    if text.is_empty() { Err(missing(field)) } else { Ok(text) }
}

/// A name for people: one line, at most [`limits::MAX_NAME_BYTES`].
pub(super) fn name(field: &str, text: &str) -> Result<String, Refused> {
    if text.len() > limits::MAX_NAME_BYTES || text.chars().any(char::is_control) {
        let max = limits::MAX_NAME_BYTES;
        return Err(malformed(format!("{field} must be one line of at most {max} bytes.")));
    }
    Ok(text.to_owned())
}

/// A URL of one of these schemes with a host (or, for `file`, a path).
pub(super) fn url(field: &str, text: &str, schemes: &[&str]) -> Result<String, Refused> {
    let refuse = |why: &str| Err(malformed(format!("{field} {why}")));
    if text.len() > limits::MAX_URL_BYTES {
        return refuse(&format!("is longer than {} bytes.", limits::MAX_URL_BYTES));
    }
    let Ok(parsed) = url::Url::parse(text) else { return refuse("is not a URL.") };
    if !schemes.contains(&parsed.scheme()) {
        return refuse(&format!("must be a URL of {}.", schemes.join(", ")));
    }
    let has_place = match parsed.scheme() {
        "file" => parsed.path().len() > 1,
        _ => parsed.has_host(),
    };
    if !has_place || text.chars().any(|c| c.is_control() || c == ' ') {
        return refuse("names no host or path, or holds blanks.");
    }
    Ok(text.to_owned())
}

/// A word of a closed set; absent means `default`.
pub(super) fn word<T: Copy>(
    field: &str,
    text: &str,
    parse: fn(&str) -> Option<T>,
    default: T,
) -> Result<T, Refused> {
    if text.is_empty() {
        return Ok(default);
    }
    parse(text).ok_or_else(|| malformed(format!("{field} {text:?} is not available.")))
}

/// A number from `min` to `max`, both included; not a NaN.
pub(super) fn number(field: &str, value: f32, (min, max): (f32, f32)) -> Result<f32, Refused> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(malformed(format!("{field} must be from {min} to {max}.")))
}

/// An integer from 0 to `max`.
pub(super) fn integer(field: &str, value: i32, max: u32) -> Result<u32, Refused> {
    u32::try_from(value)
        .ok()
        .filter(|&v| v <= max)
        .ok_or_else(|| malformed(format!("{field} must be from 0 to {max}.")))
}

/// `0xRRGGBB`.
pub(super) fn color(field: &str, text: &str) -> Result<u32, Refused> {
    text.strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .ok_or_else(|| malformed(format!("{field} must be 0x000000 to 0xffffff.")))
}

/// A time that must be given and not before 1970.
pub(super) fn unix_ms(field: &str, ms: Option<i64>, code: ErrorCode) -> Result<u64, Refused> {
    let Some(ms) = ms else { return Err(missing(field)) };
    u64::try_from(ms).map_err(|_before_1970| Refused::new(code, format!("{field} is before 1970.")))
}

/// 0 or 1.
pub(super) fn flag(field: &str, value: Option<i32>) -> Result<Option<bool>, Refused> {
    match value {
        None => Ok(None),
        Some(0) => Ok(Some(false)),
        Some(1) => Ok(Some(true)),
        Some(_) => Err(malformed(format!("{field} can only be 0 or 1."))),
    }
}

/// What the media library has under this identifier, if it is of the kind that `is_kind` says yes to.
pub(super) fn material(
    field: &str,
    text: &str,
    is_kind: fn(&MediaFacts) -> bool,
    ctx: &Context<'_>,
) -> Result<MaterialId, Refused> {
    let refuse = |why: &str| {
        Refused::new(ErrorCode::MaterialIdMalformed, format!("{field} {text:?} is {why}."))
    };
    let id = MaterialId::parse(text).ok_or_else(|| refuse("not an identifier"))?;
    match (ctx.media)(&id) {
        None => Err(refuse("not found in the media library")),
        Some(facts) if is_kind(&facts) => Ok(id),
        Some(_) => Err(refuse("of another kind")),
    }
}

/// Where an image is that `field` names: in the media library or at a URL, one of the two.
pub(super) fn image(field: &str, draft: &ImageDraft, ctx: &Context<'_>) -> Result<Place, Refused> {
    match (&draft.material_id[..], &draft.image_url[..]) {
        ("", image_url) => {
            let image_url = present(&format!("{field}.MaterialId"), image_url)?;
            url("ImageUrl", image_url, IMAGE_SCHEMES).map(Place::Url)
        }
        // The API's own code and words for it.
        (id, "") => material("MaterialId", id, is_image, ctx)
            .map_err(|refused| malformed(format!("MaterialId is not found: {}", refused.message)))
            .map(Place::Material),
        _ => Err(malformed("Only one of MaterialId and ImageUrl is allowed.")),
    }
}

pub(super) fn is_video(facts: &MediaFacts) -> bool {
    matches!(facts, MediaFacts::Video { .. })
}

pub(super) fn is_image(facts: &MediaFacts) -> bool {
    matches!(facts, MediaFacts::Image)
}

pub(super) fn missing(field: &str) -> Refused {
    Refused::new(ErrorCode::MissingParameter, format!("{field} is mandatory for this action"))
}

pub(super) fn location(field: &str, text: &str) -> Result<LocationId, Refused> {
    LocationId::parse(present(field, text)?)
        .ok_or_else(|| malformed(format!("{field} {text:?} must be RV01 to RV99.")))
}

/// A list of locations, at most `max`, none twice.
pub(super) fn locations(
    field: &str,
    texts: &[String],
    max: usize,
) -> Result<Vec<LocationId>, Refused> {
    if texts.len() > max {
        return Err(malformed(format!("{field} has more than {max} elements.")));
    }
    let mut list = Vec::with_capacity(texts.len());
    for text in texts {
        let location = location(field, text)?;
        if list.contains(&location) {
            return Err(malformed(format!("The {field} has duplicate LocationId.")));
        }
        list.push(location);
    }
    Ok(list)
}

pub(super) fn placement(draft: &PlacementDraft) -> Result<Placement, Refused> {
    let (x, y) = match draft.position_normalized[..] {
        [] => (0.0, 0.0),
        [x, y] => (x, y),
        _ => return Err(ErrorCode::PositionMalformed.into()),
    };
    Ok(Placement {
        width: number("WidthNormalized", draft.width_normalized, (0.0, 1.0))?,
        height: number("HeightNormalized", draft.height_normalized, (0.0, 1.0))?,
        x: number("PositionNormalized", x, (-1.0, 1.0))?,
        y: number("PositionNormalized", y, (-1.0, 1.0))?,
        refer: word(
            "PositionRefer",
            &draft.position_refer,
            PositionRefer::parse,
            PositionRefer::TopLeft,
        )?,
    })
}

pub(super) fn audio_layer(
    location: LocationId,
    draft: &AudioLayerDraft,
) -> Result<AudioLayer, Refused> {
    let volume_rate = draft.volume_rate.unwrap_or(1.0);
    Ok(AudioLayer {
        location,
        volume_rate: number("VolumeRate", volume_rate, (0.0, limits::MAX_GAIN))?,
        channel: word(
            "ValidChannel",
            &draft.valid_channel,
            ValidChannel::parse,
            ValidChannel::All,
        )?,
        delay_ms: integer(
            "FixedDelayDuration",
            draft.fixed_delay_duration_ms,
            limits::MAX_FIXED_DELAY_MS,
        )?,
        filter: draft.filter.map(filter).transpose()?.unwrap_or_default(),
    })
}

fn filter(draft: FilterDraft) -> Result<AudioFilter, Refused> {
    Ok(AudioFilter {
        agc: flag("enableAgc", Some(draft.enable_agc))? == Some(true),
        ans: match (draft.enable_ans, draft.ans_mode) {
            (0, 0 | 1) => None,
            (1, 0) => Some(AnsMode::Speech),
            (1, 1) => Some(AnsMode::Music),
            _ => return Err(malformed("enableAns and ansMode can only be 0 or 1.")),
        },
        beautify: match (draft.enable_beautify, draft.voice_beautify_mode) {
            (0, 0 | 1) => None,
            (1, mode @ (0 | 1)) => u8::try_from(mode).ok(),
            _ => {
                return Err(malformed("enableBeautify and voiceBeautifyMode can only be 0 or 1."));
            }
        },
    })
}

pub(super) fn when(draft: &WhenDraft) -> Result<When, Refused> {
    let max_ms = u32::try_from(limits::TAKE_WAIT_MAX.as_millis()).unwrap_or(u32::MAX);
    let wait_ms = match draft.wait_ms {
        Some(wait_ms) => integer("WaitMs", wait_ms, max_ms)?,
        None => DEFAULT_WAIT_MS,
    };
    Ok(When { force: draft.force, wait_ms })
}

/// How PGM gets there; none of it on PVW.
pub(super) fn way(draft: &WayDraft, rate: FrameRate) -> Result<Way, Refused> {
    match (&draft.transition, draft.component_fade_frames) {
        (None, None) => Ok(Way::Cut),
        (None, Some(number)) => {
            Ok(Way::FadeComponents { frames: frames("ComponentFadeFrames", number, rate)? })
        }
        (Some(draft), None) => transition(draft, rate).map(Way::Transition),
        (Some(_), Some(_)) => {
            Err(malformed("Transition and ComponentFadeFrames cannot be given together."))
        }
    }
}

fn transition(draft: &TransitionDraft, rate: FrameRate) -> Result<Transition, Refused> {
    let kind = present("Transition.Kind", &draft.kind)?;
    Ok(Transition {
        kind: word("Transition.Kind", kind, TransitionKind::parse, TransitionKind::Cut)?,
        towards: word(
            "Transition.Direction",
            &draft.direction,
            Direction::parse,
            Direction::Right,
        )?,
        rgb: match &draft.color[..] {
            "" => 0,
            text => color("Transition.Color", text)?,
        },
        frames: frames("Transition.DurationFrames", draft.duration_frames, rate)?,
    })
}

/// Frames of a transition or fade.
pub(super) fn frames(field: &str, number: i32, rate: FrameRate) -> Result<u32, Refused> {
    let most = rate.tick_at(limits::TRANSITION_MAX.as_nanos() as u64);
    integer(field, number, u32::try_from(most).unwrap_or(u32::MAX))
}
