//! What a caster makes, and with what it helps itself out.
//!
//! Must not know sources, layouts or scenes. Invariant: what is not configured is absent.

use super::{Place, Play, RecordKind, Rendition, Source, Template, X264Preset};
use crate::ids::{MaterialId, ResourceId};
use crate::source::Detectors;
use crate::time::FrameRate;

/// What a caster makes.
#[derive(Clone, Debug, PartialEq)]
pub struct CasterConfig {
    /// For people.
    pub name: String,
    /// Host under which players reach it.
    pub domain: Option<String>,
    /// Output size.
    pub template: Option<Template>,
    /// Output frames per second.
    pub rate: FrameRate,
    /// Destinations that PGM is pushed to; no URL twice.
    pub relays: Vec<Relay>,
    /// How PGM is encoded.
    pub encoder: EncoderConfig,
    /// Smaller versions of PGM.
    pub renditions: Vec<Rendition>,
    /// What is recorded.
    pub record: Option<RecordConfig>,
    /// How much later than it is made PGM goes out, ms.
    pub delay_ms: u32,
    /// What PGM shows when its own content cannot be shown.
    pub standby: Standby,
    /// An interruption of PGM's sources after which standby is shown by itself, ms; none = by hand only.
    pub auto_standby_ms: Option<u32>,
    /// How long PGM's sources must have been good before a standby that came by itself goes, ms; none = it stays until PGM
    /// is set or taken.
    pub auto_return_ms: Option<u32>,
    /// When something is a fault of a live source.
    pub detectors: Detectors,
    /// Where events are posted.
    pub callback_url: Option<String>,
    /// One more destination that PGM is pushed to (`SideOutputUrl`).
    pub side_output: Option<String>,
    /// Layouts name channels, not locations. Never turned off again.
    pub channel_enable: bool,
    /// Name of the rundown.
    pub program_name: String,
    /// Whether the rundown switches PGM.
    pub program_effect: bool,
    /// Live sources that are held to one clock.
    pub sync_groups: Vec<SyncGroup>,
}

impl CasterConfig {
    /// Every destination that PGM is pushed to, in order.
    pub fn destinations(&self) -> impl Iterator<Item = Relay> {
        let known = |url: &String| self.relays.iter().any(|relay| relay.url == *url);
        let side = self.side_output.iter().filter(move |url| !known(url));
        self.relays.iter().cloned().chain(side.cloned().map(Relay::plain))
    }
}

/// A destination that PGM is pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// `rtmp`, `rtmps` or `srt`, key included.
    pub url: String,
    /// For people; may be empty.
    pub name: String,
    /// Which of the caster's renditions it gets; none: PGM itself.
    pub rendition: Option<Rendition>,
    /// Whether it is pushed to.
    pub enabled: bool,
}

impl Relay {
    /// PGM itself, without a name.
    pub fn plain(url: String) -> Relay {
        Relay { url, name: String::new(), rendition: None, enabled: true }
    }

    /// Whether its URL says all of it.
    pub fn is_plain(&self) -> bool {
        self.name.is_empty() && self.rendition.is_none() && self.enabled
    }
}

/// How PGM is encoded; what is absent is the encoder's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EncoderConfig {
    /// x264 preset.
    pub preset: Option<X264Preset>,
    /// Video bit rate, bit/s.
    pub video_bps: Option<u32>,
}

/// What is shown as standby. The API can name several at once; which one counts: [`Standby::source`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Standby {
    /// A live stream (`UrgentLiveStreamUrl`).
    pub live_url: Option<String>,
    /// A file of the media library (`UrgentMaterialId`).
    pub material: Option<MaterialId>,
    /// An image of the media library (`UrgentImageId`).
    pub image: Option<MaterialId>,
    /// An image (`UrgentImageUrl`).
    pub image_url: Option<String>,
}

impl Standby {
    /// The one that is shown: what moves before what stands still, what is here before what is fetched.
    pub fn source(&self) -> Option<Source> {
        let looped = Play { repeat_num: -1, ..Play::default() };
        let vod =
            |id: &MaterialId| Source::Vod { place: Place::Material(id.clone()), play: looped };
        let live = |url: &String| Source::Live { url: url.clone() };
        let image = |id: &MaterialId| Source::Image { place: Place::Material(id.clone()) };
        let image_url = |url: &String| Source::Image { place: Place::Url(url.clone()) };
        (self.live_url.as_ref().map(live))
            .or_else(|| self.material.as_ref().map(vod))
            .or_else(|| self.image.as_ref().map(image))
            .or_else(|| self.image_url.as_ref().map(image_url))
    }
}

/// What is recorded (`RecordConfig`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RecordConfig {
    /// `OssEndpoint`, as given.
    pub endpoint: String,
    /// `OssBucket`, as given.
    pub bucket: String,
    /// `OnDemand`: 0 from start to stop, 1 when `CallbackUrl` says so, 7 when it is asked for.
    pub on_demand: u8,
    /// At least one.
    pub formats: Vec<RecordFormat>,
}

impl RecordConfig {
    /// `OnDemand` of a recording that goes from start to stop.
    pub const AUTOMATIC: u8 = 0;
    /// `OnDemand` of a recording that the receiver of callbacks is asked about.
    pub const BY_CALLBACK: u8 = 1;
}

/// One container of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFormat {
    /// Which.
    pub kind: RecordKind,
    /// Length of a file, s.
    pub cycle_s: u32,
    /// Template of the file's name (`OssObjectPrefix`); empty for the usual one.
    pub prefix: String,
    /// Template of the segments' names (`SliceOssObjectPrefix`, m3u8 only); empty for the usual one.
    pub slice_prefix: String,
}

impl RecordFormat {
    /// Length of a file that is not configured, s.
    pub const CYCLE_S: u32 = 900;

    /// One of this kind of which nothing is configured.
    pub fn usual(kind: RecordKind) -> RecordFormat {
        let (prefix, slice_prefix) = (String::new(), String::new());
        RecordFormat { kind, cycle_s: RecordFormat::CYCLE_S, prefix, slice_prefix }
    }
}

/// Live sources on one clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Whose clock.
    pub mode: SyncMode,
    /// The members, the host among them.
    pub resources: Vec<ResourceId>,
}

/// Whose clock a sync group goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// The others follow this one (`mode` 0).
    Streamer {
        /// Which.
        host: ResourceId,
    },
    /// The one that is latest (`mode` 1).
    Conference,
}
