//! The script of an offline render: a TOML file → sources, scenes and a timed list of switches.
//!
//! Must not open or draw anything. Invariant: a parsed script refers only to sources, layouts and components that it
//! defines, and its switches are in order of time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::resolve;
use crate::catalog::{
    ComponentEffect, Direction, LayoutPreset, Template, Transition, TransitionKind, Way,
};
use crate::config::{Magnify, Preset, VideoCodec};
use crate::engine::AnsMode;
use crate::limits;
use crate::picture::{self, FillMode, Motion, Placement, PositionRefer, TextSpec};
use crate::time::FrameRate;

mod look;

use look::{Backdrop, Background, Look};

/// The file as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    /// `lp_ld` … `lp_ud_v`.
    pub(super) template: String,
    #[serde(default = "default_rate")]
    pub(super) frame_rate: String,
    /// Length of the programme.
    pub(super) seconds: f64,
    #[serde(default)]
    pub(super) scale_quality: Magnify,
    #[serde(default)]
    pub(super) encode: Encode,
    #[serde(default, rename = "source")]
    pub(super) sources: Vec<Source>,
    #[serde(default, rename = "layout")]
    pub(super) layouts: Vec<Layout>,
    #[serde(default, rename = "component")]
    pub(super) components: Vec<Component>,
    #[serde(default, rename = "command")]
    pub(super) commands: Vec<Switch>,
}

fn default_rate() -> String {
    FrameRate::FPS_30.to_string()
}

/// How the programme is encoded; what is absent follows from the size.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Encode {
    pub(super) codec: Option<VideoCodec>,
    pub(super) preset: Option<Preset>,
    pub(super) bitrate_bps: Option<u32>,
    pub(super) gop_seconds: Option<u32>,
    pub(super) b_frames: u32,
    pub(super) audio_bps: Option<u32>,
}

/// A source: exactly one of `file`, `image`, `pattern`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) location: String,
    pub(super) file: Option<PathBuf>,
    pub(super) image: Option<PathBuf>,
    pub(super) pattern: Option<String>,
    /// Extra plays of a file, −1 for ever.
    #[serde(default)]
    pub(super) repeat: i32,
    #[serde(default)]
    pub(super) begin_ms: u64,
    pub(super) end_ms: Option<i64>,
}

/// A layout by name. With a preset its layers say what they show, not where.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layout {
    pub(super) name: String,
    preset: Option<String>,
    #[serde(default)]
    pub(super) backdrop: Backdrop,
    #[serde(default, rename = "layer")]
    pub(super) layers: Vec<Layer>,
    #[serde(default, rename = "audio")]
    pub(super) mix: Vec<Heard>,
}

/// A source in a layout; fractions of the canvas.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub(super) source: String,
    place: Option<Place>,
    #[serde(default)]
    look: Look,
}

/// Position and size; fractions of the canvas.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Place {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
    fill: String,
    refer: String,
}

/// A source in a layout's mix.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heard {
    pub(super) source: String,
    #[serde(default = "unity")]
    pub(super) gain: f32,
    /// Automatic gain.
    #[serde(default)]
    pub(super) agc: bool,
    /// Noise suppression.
    pub(super) ans: Option<Ans>,
}

/// For what noise is suppressed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Ans {
    Speech,
    Music,
}

impl From<Ans> for AnsMode {
    fn from(ans: Ans) -> AnsMode {
        match ans {
            Ans::Speech => AnsMode::Speech,
            Ans::Music => AnsMode::Music,
        }
    }
}

fn unity() -> f32 {
    1.0
}

/// An overlay: exactly one of `text` and `image`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) text: Option<String>,
    pub(super) image: Option<PathBuf>,
    #[serde(default)]
    font: String,
    /// 0xRRGGBB.
    #[serde(default = "white")]
    color: u32,
    /// Font height / canvas height.
    #[serde(default = "default_text_size")]
    size: f32,
    #[serde(default)]
    border: f32,
    border_color: Option<u32>,
    background: Option<Background>,
    /// As the API's `Effect`.
    #[serde(default)]
    effect: String,
    #[serde(default)]
    pub(super) place: Place,
}

fn white() -> u32 {
    0x00ff_ffff
}

fn default_text_size() -> f32 {
    0.08
}

/// At this second PGM becomes this layout with these components.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    pub(super) at: f64,
    pub(super) layout: String,
    #[serde(default)]
    pub(super) components: Vec<String>,
    /// `mix`, `dip`, `wipe`, `slide` or `push`; a cut when absent.
    transition: Option<String>,
    /// Frames that the transition takes.
    #[serde(default)]
    frames: u32,
    /// Where a wipe, slide or push moves to: `left` … `downRight`.
    direction: Option<String>,
    /// Colour of a dip, 0xRRGGBB.
    #[serde(default)]
    color: u32,
    /// Frames that new components fade in and old ones fade out, over a cut.
    component_fade_frames: Option<u32>,
}

impl Switch {
    /// How PGM gets there.
    pub(super) fn way(&self) -> Result<Way, String> {
        let name = match (&self.transition, self.component_fade_frames) {
            (None, None) => return Ok(Way::Cut),
            (None, Some(frames)) => return Ok(Way::FadeComponents { frames }),
            (Some(name), None) => name,
            (Some(_), Some(_)) => {
                return Err("give one of transition and component_fade_frames".into());
            }
        };
        let unknown = |what: &str, name: &str| format!("{what} {name:?} is unknown");
        let kind = TransitionKind::parse(name).ok_or_else(|| unknown("transition", name))?;
        let towards = self.direction.as_deref().unwrap_or(Direction::Right.as_str());
        let towards = Direction::parse(towards).ok_or_else(|| unknown("direction", towards))?;
        Ok(Way::Transition(Transition { kind, towards, rgb: self.color, frames: self.frames }))
    }
}

impl Place {
    /// As the compositor understands it.
    pub(super) fn placement(&self) -> Result<Placement, String> {
        let fill = match self.fill.as_str() {
            "" | "none" => FillMode::None,
            "fit" => FillMode::Fit,
            other => return Err(format!("fill {other:?} is neither \"none\" nor \"fit\"")),
        };
        let refer = match self.refer.as_str() {
            "" | "topLeft" => PositionRefer::TopLeft,
            "topRight" => PositionRefer::TopRight,
            "bottomLeft" => PositionRefer::BottomLeft,
            "bottomRight" => PositionRefer::BottomRight,
            "center" => PositionRefer::Center,
            "topCenter" => PositionRefer::TopCenter,
            "bottomCenter" => PositionRefer::BottomCenter,
            "leftCenter" => PositionRefer::LeftCenter,
            "rightCenter" => PositionRefer::RightCenter,
            other => return Err(format!("refer {other:?} is not an origin such as \"topLeft\"")),
        };
        let Place { x, y, width, height, .. } = *self;
        if [x, y, width, height].iter().any(|v| !(0.0..=1.0).contains(v)) {
            return Err("x, y, width and height are fractions of the canvas, 0 to 1".into());
        }
        Ok(Placement { x, y, width, height, refer, fill })
    }
}

impl Layout {
    /// Its sources, bottom to top: where each stands, and how it looks there.
    pub(super) fn placed(&self) -> Result<Vec<(&str, Placement, picture::Look)>, String> {
        let slots = match &self.preset {
            None => Vec::new(),
            Some(name) => LayoutPreset::named(name)?
                .slots()
                .iter()
                .map(|slot| resolve::resolve_placement(slot, FillMode::Fit))
                .collect(),
        };
        if self.preset.is_some() && slots.len() != self.layers.len() {
            let (shown, layers) = (slots.len(), self.layers.len());
            return Err(format!("its preset shows {shown} sources, it has {layers}"));
        }
        self.layers.iter().enumerate().map(|(n, layer)| layer.placed(slots.get(n))).collect()
    }
}

impl Layer {
    /// Its source, where it stands (in the slot of a preset, if there is one), and how it looks there.
    fn placed(&self, slot: Option<&Placement>) -> Result<(&str, Placement, picture::Look), String> {
        let placement = match (&self.place, slot) {
            (Some(_), Some(_)) => return Err("its preset says where its layers are".into()),
            (None, Some(slot)) => *slot,
            (Some(place), None) => place.placement()?,
            (None, None) => Placement::default(),
        };
        Ok((&self.source, placement, self.look.look()?))
    }
}

impl Component {
    fn check(&self) -> Result<(), String> {
        if self.text.is_some() == self.image.is_some() {
            return Err("give one of text, image".into());
        }
        self.motion()?;
        self.text_spec().map(drop)
    }

    /// The text of a text component.
    pub(super) fn text_spec(&self) -> Result<Option<TextSpec>, String> {
        let background = self.background.as_ref().map(Background::text_box).transpose()?;
        Ok(self.text.as_ref().map(|text| TextSpec {
            text: text.chars().take(limits::MAX_TEXT_CHARS).collect(),
            font_name: self.font.clone(),
            color_rgb: self.color,
            size_normalized: self.size,
            border_width_normalized: self.border,
            border_rgb: self.border_color,
            background,
        }))
    }

    /// How it moves.
    pub(super) fn motion(&self) -> Result<Motion, String> {
        if self.effect.is_empty() {
            return Ok(Motion::Still);
        }
        ComponentEffect::parse(&self.effect)
            .map(resolve::resolve_effect)
            .ok_or_else(|| format!("effect {:?} is not none, animateH or animateV", self.effect))
    }
}

impl Script {
    /// Reads and checks a script; relative paths in it are relative to it.
    ///
    /// # Errors
    /// One line that names the file and what is wrong in it.
    pub(super) fn read(path: &Path) -> Result<Script, String> {
        let named = |error: String| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        let mut script: Script = toml::from_str(&text).map_err(|error| named(error.to_string()))?;
        script.check().map_err(named)?;
        let base = path.parent().unwrap_or(Path::new("."));
        for source in &mut script.sources {
            for path in [&mut source.file, &mut source.image].into_iter().flatten() {
                *path = base.join(&*path);
            }
        }
        let components = script.components.iter_mut().map(|component| &mut component.image);
        let backdrops = script.layouts.iter_mut().map(|layout| &mut layout.backdrop.image);
        for path in components.chain(backdrops).flatten() {
            *path = base.join(&*path);
        }
        script.commands.sort_by(|a, b| a.at.total_cmp(&b.at));
        Ok(script)
    }

    fn check(&self) -> Result<(), String> {
        self.template()?;
        self.rate()?;
        if !(self.seconds > 0.0 && self.seconds <= 86_400.0) {
            return Err(format!("seconds is {}, it can be up to 86400", self.seconds));
        }
        let codec = self.encode.codec.unwrap_or_default();
        codec.check_b_frames("b_frames", self.encode.b_frames)?;
        let sources = unique("source", self.sources.iter().map(|s| s.location.as_str()))?;
        let layouts = unique("layout", self.layouts.iter().map(|l| l.name.as_str()))?;
        let components = unique("component", self.components.iter().map(|c| c.name.as_str()))?;
        for source in &self.sources {
            let given = [source.file.is_some(), source.image.is_some(), source.pattern.is_some()];
            if given.iter().filter(|given| **given).count() != 1 {
                return Err(format!(
                    "source {}: give one of file, image, pattern",
                    source.location
                ));
            }
        }
        for layout in &self.layouts {
            layout.placed().map_err(|error| format!("layout {}: {error}", layout.name))?;
            let layers = layout.layers.iter().map(|layer| &layer.source);
            for name in layers.chain(layout.mix.iter().map(|heard| &heard.source)) {
                defined("source", &sources, name)?;
            }
        }
        for component in &self.components {
            component.check().map_err(|error| format!("component {}: {error}", component.name))?;
        }
        for command in &self.commands {
            defined("layout", &layouts, &command.layout)?;
            command.way()?;
            for name in &command.components {
                defined("component", &components, name)?;
            }
        }
        Ok(())
    }

    /// The output size.
    pub(super) fn template(&self) -> Result<Template, String> {
        Template::parse(&self.template)
            .ok_or_else(|| format!("template {:?} is not one of lp_ld … lp_ud_v", self.template))
    }

    /// The frame rate.
    pub(super) fn rate(&self) -> Result<FrameRate, String> {
        self.frame_rate.parse()
    }
}

fn unique<'a>(
    what: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<BTreeSet<&'a str>, String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} {name} is there twice"));
        }
    }
    Ok(seen)
}

fn defined(what: &str, known: &BTreeSet<&str>, name: &str) -> Result<(), String> {
    if known.contains(name) { Ok(()) } else { Err(format!("{what} {name} is not defined")) }
}

#[cfg(test)]
#[path = "tests/script.rs"]
mod tests;
