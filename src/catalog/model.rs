//! What is configured: plain values of a caster and all that it owns.
//!
//! Must not know how they came to be (rules) or where they are kept (store). Invariant: a value that exists is
//! within the limits of the API; what is refused never becomes one of these.

use crate::ids::{
    Bus, CasterId, ComponentId, EpisodeId, LayoutId, MaterialId, ResourceId, SceneId,
};

#[macro_use]
mod words;
mod config;
mod look;
mod presets;
mod rundown;

pub use config::*;
pub use look::*;
pub use presets::*;
pub use rundown::*;
pub use words::*;

/// A studio.
#[derive(Clone, Debug, PartialEq)]
pub struct Caster {
    /// Its identifier.
    pub id: CasterId,
    /// Grows by one with each accepted write.
    pub revision: u64,
    /// The token it was created with.
    pub client_token: String,
    /// When it was created, ms since 1970.
    pub created_unix_ms: u64,
    /// When it was last written, ms since 1970.
    pub modified_unix_ms: u64,
    /// Whether it is on air.
    pub status: Status,
    /// What it makes.
    pub config: CasterConfig,
    /// The resource group it is in; empty for none.
    pub resource_group: String,
    /// Labels, each key once.
    pub tags: Vec<Tag>,
    /// Whether PGM's sound follows its layout.
    pub audio_follows_video: bool,
    /// Sources, in the order they were added.
    pub resources: Vec<Resource>,
    /// Layouts, in the order they were added.
    pub layouts: Vec<Layout>,
    /// Components, in the order they were added.
    pub components: Vec<Component>,
    /// PVW and PGM; none before the first start.
    pub scenes: Option<Scenes>,
    /// Channels that were set, by location. They count when `config.channel_enable` says so.
    pub channels: Vec<Channel>,
    /// The rundown, in the order its episodes were added.
    pub episodes: Vec<Episode>,
    /// Starts and stops to come.
    pub timed_events: Vec<TimedEvent>,
    /// Whether a client had the show recorded (or not), or its receiver of callbacks; none: as `config.record` says.
    pub record_asked: Option<bool>,
    /// What the receiver has recorded instead of `config.record`.
    pub record_answered: Option<RecordConfig>,
}

impl Caster {
    /// What is recorded of it while it is on air.
    pub fn recorded(&self) -> Option<&RecordConfig> {
        let record = self.config.record.as_ref()?;
        let is_recorded = self.record_asked.unwrap_or(record.on_demand == RecordConfig::AUTOMATIC);
        is_recorded.then_some(self.record_answered.as_ref().unwrap_or(record))
    }

    /// Who is to be asked whether it is recorded, and has not answered.
    pub fn record_question(&self) -> Option<&str> {
        let record = self.config.record.as_ref()?;
        let is_open = self.is_on_air()
            && self.record_asked.is_none()
            && record.on_demand == RecordConfig::BY_CALLBACK;
        self.config.callback_url.as_deref().filter(|_| is_open)
    }

    /// Whether it is on air.
    pub fn is_on_air(&self) -> bool {
        self.status != Status::Idle
    }

    /// Whether a scene is on: PGM as long as the caster is on air, PVW unless it was stopped by itself.
    pub fn is_scene_on(&self, bus: Bus) -> bool {
        let stopped = self.scenes.as_ref().is_none_or(|scenes| bus == Bus::Pvw && scenes.pvw_off);
        self.is_on_air() && !stopped
    }

    /// A scene, once it was started.
    pub fn scene(&self, bus: Bus) -> Option<&Scene> {
        self.scenes.as_ref().map(|scenes| scenes.get(bus))
    }

    /// The source with this identifier.
    pub fn resource(&self, id: &ResourceId) -> Option<&Resource> {
        self.resources.iter().find(|r| r.id == *id)
    }

    /// The source at this location: with channels, the one that the channel of this name plays.
    pub fn resource_at(&self, location: LocationId) -> Option<&Resource> {
        if self.config.channel_enable {
            let bound = self.channel(location)?.resource.as_ref()?;
            return self.resource(bound);
        }
        self.resources.iter().find(|r| r.location == Some(location))
    }

    /// Where a source is found by layouts: with channels, where it is played.
    pub fn location_of(&self, resource: &Resource) -> Option<LocationId> {
        if !self.config.channel_enable {
            return resource.location;
        }
        let plays = |channel: &&Channel| channel.resource.as_ref() == Some(&resource.id);
        self.channels.iter().find(plays).map(|channel| channel.id)
    }

    /// Whether it has an item of the media library among its sources, images or standby.
    pub fn uses_media(&self, id: &str) -> bool {
        let place = |place: &Place| place.material() == id;
        let source = |source: &Source| match source {
            Source::Live { .. } => false,
            Source::Vod { place: at, .. } | Source::Image { place: at } => place(at),
        };
        let standby = &self.config.standby;
        self.resources.iter().any(|r| source(&r.source) || r.pending.as_ref().is_some_and(source))
            || self.images().any(|(_, at)| place(at))
            || [&standby.material, &standby.image]
                .into_iter()
                .flatten()
                .any(|material| material.as_str() == id)
    }

    /// The channel of this name, once it was set.
    pub fn channel(&self, id: LocationId) -> Option<&Channel> {
        self.channels.iter().find(|c| c.id == id)
    }

    /// The episode with this identifier.
    pub fn episode(&self, id: &EpisodeId) -> Option<&Episode> {
        self.episodes.iter().find(|e| e.id == *id)
    }

    /// The layout with this identifier.
    pub fn layout(&self, id: &LayoutId) -> Option<&Layout> {
        self.layouts.iter().find(|l| l.id == *id)
    }

    /// The component with this identifier.
    pub fn component(&self, id: &ComponentId) -> Option<&Component> {
        self.components.iter().find(|c| c.id == *id)
    }
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Of what kind.
    pub key: String,
    /// Which one.
    pub value: String,
}

/// Whether a caster is on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Off air.
    Idle,
    /// On air.
    OnAir {
        /// Since when, ms since 1970.
        since_unix_ms: u64,
    },
}

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its identifier.
    pub id: ResourceId,
    /// For people.
    pub name: String,
    /// Where it stands; with channels it may stand nowhere.
    pub location: Option<LocationId>,
    /// What it is.
    pub source: Source,
    /// Constant delay of its picture and sound, ms (`FixedDelayDuration`).
    pub delay_ms: u32,
    /// Time between callbacks that tell how far a file is, ms; 0 = none (`PtsCallbackInterval`).
    pub pts_callback_ms: u32,
    /// What it will be from the next `EffectCasterVideoResource` on: the change of a source that is shown on air waits for
    /// it.
    pub pending: Option<Source>,
}

impl Resource {
    /// What was last asked for.
    pub fn configured(&self) -> &Source {
        self.pending.as_ref().unwrap_or(&self.source)
    }
}

/// What a source is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A live stream.
    Live {
        /// rtmp, rtmps, http, https or srt.
        url: String,
    },
    /// A recorded file or the test pattern.
    Vod {
        /// http, https, file, `pattern:`, or of the media library.
        place: Place,
        /// What of it is played.
        play: Play,
    },
    /// A still picture.
    Image {
        /// http, https, file, or of the media library.
        place: Place,
    },
}

impl Source {
    /// Its address, empty for what is in the media library.
    pub fn url(&self) -> &str {
        match self {
            Source::Live { url } => url,
            Source::Vod { place, .. } | Source::Image { place } => place.url(),
        }
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At this address.
    Url(String),
    /// In the media library.
    Material(MaterialId),
}

impl Place {
    /// The address, empty for what is in the media library.
    pub fn url(&self) -> &str {
        match self {
            Place::Url(url) => url,
            Place::Material(_) => "",
        }
    }

    /// The identifier in the media library, empty for what is elsewhere.
    pub fn material(&self) -> &str {
        match self {
            Place::Url(_) => "",
            Place::Material(id) => id.as_str(),
        }
    }
}

/// What of a file is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Play {
    /// Further plays after the first; -1 for ever.
    pub repeat_num: i32,
    /// Where it begins, ms from the first frame, ≥ 0.
    pub begin_offset_ms: i32,
    /// Where it ends: ms from the first frame, or if negative back from the last; 0 = at the end.
    pub end_offset_ms: i32,
}

impl Play {
    /// How long one play of a file of `duration_ms` is, ms.
    pub fn length_ms(self, duration_ms: u64) -> u64 {
        let begin = u64::try_from(self.begin_offset_ms).unwrap_or(0);
        let end = match self.end_offset_ms {
            0 => duration_ms,
            end if end > 0 => duration_ms.min(u64::from(end.unsigned_abs())),
            back => duration_ms.saturating_sub(u64::from(back.unsigned_abs())),
        };
        end.saturating_sub(begin)
    }
}

/// Where something stands on the canvas; fractions of its width and height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// 0–1, 0 = from the height or native.
    pub width: f32,
    /// 0–1, 0 = from the width or native.
    pub height: f32,
    /// Offset from the origin, -1 – 1.
    pub x: f32,
    /// Offset from the origin, -1 – 1.
    pub y: f32,
    /// The origin.
    pub refer: PositionRefer,
}

/// Which sources are shown where, and which are heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Its identifier.
    pub id: LayoutId,
    /// Under everything.
    pub backdrop: Backdrop,
    /// Bottom to top (`BlendList` and `VideoLayer`).
    pub video: Vec<VideoLayer>,
    /// `MixList` and `AudioLayer`.
    pub audio: Vec<AudioLayer>,
}

/// A source that is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VideoLayer {
    /// Which.
    pub location: LocationId,
    /// Box or picture.
    pub fill: FillMode,
    /// Where.
    pub placement: Placement,
    /// Constant delay, ms, 0–5000.
    pub delay_ms: u32,
    /// How it looks there.
    pub look: LayerLook,
}

/// A source that is heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AudioLayer {
    /// Which.
    pub location: LocationId,
    /// Gain, 0–10.
    pub volume_rate: f32,
    /// Which of its channels.
    pub channel: ValidChannel,
    /// Constant delay, ms, 0–5000.
    pub delay_ms: u32,
    /// What is done to its sound.
    pub filter: AudioFilter,
}

/// What is done to a source's sound (`Filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AudioFilter {
    /// Automatic gain.
    pub agc: bool,
    /// Noise suppression.
    pub ans: Option<AnsMode>,
    /// Voice beautification: stored, nothing more.
    pub beautify: Option<u8>,
}

/// What noise suppression is to leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsMode {
    /// Speech (0).
    Speech,
    /// Music (1).
    Music,
}

/// An overlay.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Its identifier.
    pub id: ComponentId,
    /// For people.
    pub name: String,
    /// Where it stands in the caster.
    pub location: ComponentLocationId,
    /// Where it stands on the canvas.
    pub placement: Placement,
    /// 0 invisible – 255 opaque (`Transparency`).
    pub opacity: u8,
    /// Over or under the sources.
    pub order: LayerOrder,
    /// Whether it runs through its place.
    pub effect: ComponentEffect,
    /// What it shows.
    pub content: ComponentContent,
}

/// What an overlay shows.
#[derive(Clone, Debug, PartialEq)]
pub enum ComponentContent {
    /// A text.
    Text(Text),
    /// An image.
    Image {
        /// Where it is.
        place: Place,
    },
}

impl ComponentContent {
    /// The API's `ComponentType`.
    pub fn type_name(&self) -> &'static str {
        match self {
            ComponentContent::Text(_) => "text",
            ComponentContent::Image { .. } => "image",
        }
    }
}

/// A text and its style.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Line feeds begin lines.
    pub text: String,
    /// 0xRRGGBB.
    pub color_rgb: u32,
    /// The API's font name.
    pub font_name: String,
    /// Font height / output height, 0–1.
    pub size_normalized: f32,
    /// Border width / font height, 0–1.
    pub border_width_normalized: f32,
    /// 0xRRGGBB, or none.
    pub border_rgb: Option<u32>,
    /// The box behind it.
    pub background: Option<TextBackground>,
}

/// The two scenes of a caster.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenes {
    /// Preview.
    pub pvw: Scene,
    /// Programme.
    pub pgm: Scene,
    /// PVW was stopped by itself, and stays so until it or the caster is started.
    pub pvw_off: bool,
    /// PGM shows standby instead of its own content.
    pub on_standby: bool,
    /// PGM is faded to black, whatever it shows beneath.
    pub on_black: bool,
    /// When an operator last decided what PGM shows, ms since 1970: a rundown switches it at later times only.
    pub pgm_set_unix_ms: u64,
}

impl Scenes {
    /// The one of `bus`.
    pub fn get(&self, bus: Bus) -> &Scene {
        match bus {
            Bus::Pvw => &self.pvw,
            Bus::Pgm => &self.pgm,
        }
    }

    /// The one of `bus`, to change.
    pub(super) fn get_mut(&mut self, bus: Bus) -> &mut Scene {
        match bus {
            Bus::Pvw => &mut self.pvw,
            Bus::Pgm => &mut self.pgm,
        }
    }
}

/// A scene: empty when the caster starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Its identifier, the same over stop and start.
    pub id: SceneId,
    /// Its stream is `/caster/{stream_name}`: 32 hexadecimal digits, the same over stop and start.
    pub stream_name: String,
    /// What it shows of the sources.
    pub layout: Option<LayoutId>,
    /// Overlays, bottom to top.
    pub components: Vec<ComponentId>,
    /// What is heard. On PVW: what a take with audio-follows-video brings to PGM.
    pub mix: Vec<AudioLayer>,
}
