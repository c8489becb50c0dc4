//! What is configured: plain values of a caster and all that it owns.
//!
//! Must not know how they came to be (rules) or where they are kept (store). Invariant: a value that exists is
//! within the limits of the API; what is refused never becomes one of these.

use std::fmt;

use crate::ids::{Bus, CasterId, ComponentId, LayoutId, ResourceId, SceneId};
use crate::time::FrameRate;

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
}

impl Caster {
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

    /// The source at this location.
    pub fn resource_at(&self, location: LocationId) -> Option<&Resource> {
        self.resources.iter().find(|r| r.location == location)
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
    /// Destinations that PGM is pushed to.
    pub relays: Vec<String>,
    /// How PGM is encoded.
    pub encoder: EncoderConfig,
}

/// How PGM is encoded; what is absent is the encoder's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EncoderConfig {
    /// x264 preset.
    pub preset: Option<X264Preset>,
    /// Video bit rate, bit/s.
    pub video_bps: Option<u32>,
}

/// A closed set of words: the API's spelling of each and back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* #[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The API's word.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The one that the API calls `text`.
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }
    };
}

words! {
    /// Output size of a caster (`CasterTemplate`).
    Template {
        Ld "lp_ld",
        Sd "lp_sd",
        Hd "lp_hd",
        Ud "lp_ud",
        LdPortrait "lp_ld_v",
        SdPortrait "lp_sd_v",
        HdPortrait "lp_hd_v",
        UdPortrait "lp_ud_v",
    }
}

impl Template {
    /// Width and height of the output in pixels.
    pub fn size_px(self) -> (u32, u32) {
        match self {
            Template::Ld => (640, 360),
            Template::Sd => (854, 480),
            Template::Hd => (1280, 720),
            Template::Ud => (1920, 1080),
            Template::LdPortrait => (360, 640),
            Template::SdPortrait => (480, 854),
            Template::HdPortrait => (720, 1280),
            Template::UdPortrait => (1080, 1920),
        }
    }
}

words! {
    /// Speed of the x264 encoder.
    X264Preset {
        Ultrafast "ultrafast",
        Superfast "superfast",
        Veryfast "veryfast",
        Faster "faster",
        Fast "fast",
        Medium "medium",
        Slow "slow",
        Slower "slower",
        Veryslow "veryslow",
    }
}

words! {
    /// How a picture meets its box (`FillMode`).
    FillMode {
        None "none",
        Fit "fit",
    }
}

words! {
    /// The origin of a position (`PositionRefer`).
    PositionRefer {
        TopLeft "topLeft",
        TopRight "topRight",
        BottomLeft "bottomLeft",
        BottomRight "bottomRight",
        Center "center",
        TopCenter "topCenter",
        BottomCenter "bottomCenter",
        LeftCenter "leftCenter",
        RightCenter "rightCenter",
    }
}

words! {
    /// Channels of a source that are heard (`ValidChannel`).
    ValidChannel {
        All "all",
        Left "leftChannel",
        Right "rightChannel",
    }
}

words! {
    /// Whether a component stands over or under the sources (`LayerOrder`).
    LayerOrder {
        Cover "cover",
        Background "background",
    }
}

macro_rules! location {
    ($(#[$doc:meta])* $name:ident $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u8);

        impl $name {
            /// The location of this name: the prefix and two digits, 01 – 99.
            pub fn parse(text: &str) -> Option<$name> {
                let digits = text.strip_prefix($prefix)?;
                let is_number = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
                let number = digits.parse().ok().filter(|&n| is_number && n > 0)?;
                Some($name(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:02}"), self.0)
            }
        }
    };
}

location!(
    /// Where a source stands in a caster: `RV01` – `RV99`.
    LocationId "RV"
);
location!(
    /// Where a component stands in a caster: `RC01` – `RC99`.
    ComponentLocationId "RC"
);

/// A source.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    /// Its identifier.
    pub id: ResourceId,
    /// For people.
    pub name: String,
    /// Where it stands.
    pub location: LocationId,
    /// What it is.
    pub source: Source,
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
        /// http, https, file or `pattern:`.
        url: String,
        /// What of it is played.
        play: Play,
    },
    /// A still picture.
    Image {
        /// http, https or file.
        url: String,
    },
}

impl Source {
    /// Where it is.
    pub fn url(&self) -> &str {
        match self {
            Source::Live { url } | Source::Vod { url, .. } | Source::Image { url } => url,
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
        /// http, https or file.
        url: String,
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
