//! Names of things: identifiers that the API hands out and the small keys that the engine works with.
//!
//! Must not know what the things are. Invariant: an identifier is never empty and never changes.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// A fresh random identifier (UUID version 4).
            pub fn random() -> Self {
                Self(uuid::Uuid::new_v4().to_string())
            }

            /// The identifier with this text, or `None` when it is empty or longer than 64 bytes.
            pub fn parse(text: &str) -> Option<Self> {
                (!text.is_empty() && text.len() <= 64).then(|| Self(text.to_owned()))
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A caster.
    CasterId
);
id!(
    /// A video resource (input source) of a caster.
    ResourceId
);
id!(
    /// A layout of a caster.
    LayoutId
);
id!(
    /// A component (overlay) of a caster.
    ComponentId
);
id!(
    /// A scene (PVW or PGM) of a caster.
    SceneId
);

id!(
    /// An episode of a rundown, or an item of an episode group.
    EpisodeId
);
id!(
    /// An episode group.
    ProgramId
);
id!(
    /// A file or an image of the media library (`MaterialId`, `ImageId`).
    MaterialId
);
id!(
    /// A recorded file.
    RecordingId
);

/// An input of a running caster, as the engine, the compositor and the workers know it. Unique within the
/// process and never reused, so that a late frame of a removed input can never be taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputKey(pub u32);

impl fmt::Display for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input#{}", self.0)
    }
}

/// The two scenes of a running caster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bus {
    /// Preview: what the operator prepares.
    Pvw,
    /// Programme: what is on air.
    Pgm,
}

impl Bus {
    /// The API's `OutputType`: 0 PVW, 1 PGM.
    pub fn output_type(self) -> i32 {
        match self {
            Bus::Pvw => 0,
            Bus::Pgm => 1,
        }
    }
}
