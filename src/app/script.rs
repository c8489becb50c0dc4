//! The script of an offline render: a TOML file → sources, scenes and a timed list of switches.
//!
//! Must not open or draw anything. Invariant: a parsed script refers only to sources, layouts and components that it
//! defines, and its switches are in order of time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::resolve;
use crate::catalog::{LayerLook, LayoutPreset, Mirror, Template};
use crate::config::Preset;
use crate::engine::AnsMode;
use crate::limits;
use crate::picture::{self, FillMode, Placement, PositionRefer, TextSpec};
use crate::time::FrameRate;

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
    pub(super) preset: Option<Preset>,
    pub(super) bitrate_bps: Option<u32>,
    pub(super) gop_seconds: Option<u32>,
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

/// What a layout is drawn on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Backdrop {
    /// 0xRRGGBB.
    pub(super) color: u32,
    /// Over the colour.
    pub(super) image: Option<PathBuf>,
}

/// How a layer looks, as the API's `LayerLook`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Look {
    /// Left, top, right, bottom.
    crop: [f32; 4],
    mirror: String,
    opacity: f32,
    corner_radius: f32,
    border_width: f32,
    /// 0xRRGGBB.
    border_color: u32,
}

impl Default for Look {
    fn default() -> Look {
        let LayerLook { crop, mirror, opacity, corner_radius, border_width, border_rgb } =
            LayerLook::default();
        let mirror = mirror.as_str().to_owned();
        Look { crop, mirror, opacity, corner_radius, border_width, border_color: border_rgb }
    }
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

impl Look {
    /// As the compositor understands it.
    fn look(&self) -> Result<picture::Look, String> {
        let [left, top, right, bottom] = self.crop;
        for (name, value, max) in [
            ("crop left", left, limits::MAX_CROP),
            ("crop top", top, limits::MAX_CROP),
            ("crop right", right, limits::MAX_CROP - left),
            ("crop bottom", bottom, limits::MAX_CROP - top),
            ("opacity", self.opacity, 1.0),
            ("corner_radius", self.corner_radius, limits::MAX_CORNER_RADIUS),
            ("border_width", self.border_width, limits::MAX_BORDER_WIDTH),
        ] {
            if !(0.0..=max).contains(&value) {
                return Err(format!("{name} is {value}, it can be 0 to {max}"));
            }
        }
        let mirror = Mirror::parse(&self.mirror).ok_or_else(|| {
            format!("mirror {:?} is not none, horizontal, vertical or both", self.mirror)
        })?;
        Ok(resolve::resolve_look(&LayerLook {
            crop: self.crop,
            mirror,
            opacity: self.opacity,
            corner_radius: self.corner_radius,
            border_width: self.border_width,
            border_rgb: self.border_color,
        }))
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
    /// The text of a text component.
    pub(super) fn text_spec(&self) -> Option<TextSpec> {
        self.text.as_ref().map(|text| TextSpec {
            text: text.chars().take(limits::MAX_TEXT_CHARS).collect(),
            font_name: self.font.clone(),
            color_rgb: self.color,
            size_normalized: self.size,
            border_width_normalized: self.border,
            border_rgb: self.border_color,
        })
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
            if component.text.is_some() == component.image.is_some() {
                return Err(format!("component {}: give one of text, image", component.name));
            }
        }
        for command in &self.commands {
            defined("layout", &layouts, &command.layout)?;
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
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../docs/render.md");

    fn example() -> String {
        let (_, rest) = EXAMPLE.split_once("```toml\n").unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    }

    fn parsed(text: &str) -> Result<Script, String> {
        let script: Script = toml::from_str(text).map_err(|error| error.to_string())?;
        script.check().map(|()| script)
    }

    #[test]
    fn the_example_of_the_documentation_is_a_script() {
        let script = parsed(&example()).unwrap();
        let [guest, pair] = &script.layouts[..] else { panic!() };
        assert_eq!(guest.backdrop.color, 0x10_20_30);
        assert_eq!(guest.backdrop.image.as_deref(), Some(Path::new("sky.jpg")));
        let placed = guest.placed().unwrap();
        assert_eq!(placed[0].2, picture::Look::default());
        let look = placed[1].2;
        assert_eq!((look.opacity, look.corner_radius), (0.9, 0.03));
        assert!(look.mirror.horizontal && !look.mirror.vertical);
        assert_eq!(look.border, Some(picture::Border { width: 0.005, rgb: 0xff_ffff }));
        let placed = pair.placed().unwrap();
        let boxes: Vec<_> = placed.iter().map(|(source, p, _)| (*source, p.x, p.width)).collect();
        assert_eq!(boxes, [("RV03", 0.0, 0.5), ("RV02", 0.5, 0.5)]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let example = example();
        for (right, wrong, names) in [
            ("opacity = 0.9", "opacity = 1.9", "opacity is 1.9, it can be 0 to 1"),
            ("opacity = 0.9", "opacity = nan", "opacity"),
            ("crop = [0.1, 0.0, 0.1, 0.0]", "crop = [0.9, 0.0, 0.1, 0.0]", "crop right is 0.1"),
            ("\"horizontal\"", "\"sideways\"", "mirror \"sideways\""),
            ("corner_radius = 0.03", "corner_radius = 1", "layout guest: corner_radius is 1"),
            ("border_width = 0.005", "border_width = -1", "border_width is -1"),
            ("border_width", "border", "unknown field `border`"),
            ("\"side_by_side\"", "\"quad\"", "layout pair: its preset shows 4 sources, it has 2"),
            ("\"side_by_side\"", "\"mosaic\"", "\"mosaic\" is not one of single, "),
            ("source = \"RV03\"\n", "source = \"RV03\"\nplace = {}\n", "its preset says where"),
        ] {
            assert!(example.contains(right), "{right}");
            let error = parsed(&example.replace(right, wrong)).expect_err(wrong);
            assert!(error.contains(names), "{wrong}: {error}");
        }
    }
}
