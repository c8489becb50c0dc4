//! The API's closed sets of words, and its locations.
//!
//! Must not know what they are words for. Invariant: each word is spelled as on the wire, once.

use std::fmt;

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

words! {
    /// What a transition looks like (`Kind`).
    TransitionKind {
        Cut "cut",
        Mix "mix",
        Dip "dip",
        Wipe "wipe",
        Slide "slide",
        Push "push",
    }
}

words! {
    /// Where something moves to on the canvas (`Direction`).
    Direction {
        Left "left",
        Right "right",
        Up "up",
        Down "down",
        UpLeft "upLeft",
        UpRight "upRight",
        DownLeft "downLeft",
        DownRight "downRight",
    }
}

words! {
    /// How a component moves (`Effect`).
    ComponentEffect {
        None "none",
        AnimateH "animateH",
        AnimateV "animateV",
    }
}

words! {
    /// A rendition of PGM (`LiveTemplate`). The `daobo-` ones keep the shape of the output.
    Rendition {
        Lld "lld",
        Lsd "lsd",
        Lhd "lhd",
        Lud "lud",
        AdaptiveLld "daobo-lld",
        AdaptiveLsd "daobo-lsd",
        AdaptiveLhd "daobo-lhd",
        AdaptiveLud "daobo-lud",
    }
}

impl Rendition {
    /// Short side of its picture in pixels; none if it goes by the output.
    pub fn fixed_short_side_px(self) -> Option<u32> {
        match self {
            Rendition::Lld => Some(360),
            Rendition::Lsd => Some(480),
            Rendition::Lhd => Some(720),
            Rendition::Lud => Some(1080),
            _ => None,
        }
    }
}

words! {
    /// What of a layer's picture changes places (`Mirror`).
    Mirror {
        None "none",
        Horizontal "horizontal",
        Vertical "vertical",
        Both "both",
    }
}

words! {
    /// Container of a recording (`Format`).
    RecordKind {
        Flv "flv",
        M3u8 "m3u8",
        Mp4 "mp4",
    }
}

words! {
    /// When an episode begins and ends (`SwitchType`), see [`super::timeline`].
    SwitchType {
        TimeFirst "TimeFirst",
        ContentFirst "ContentFirst",
    }
}

words! {
    /// What happens at a set time (`EventName` of `SetCasterTimedEvent`).
    TimedEventKind {
        Start "StartCaster",
        Stop "StopCaster",
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

            /// Its number, 1 – 99.
            pub fn number(self) -> u8 {
                self.0
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
