//! Rows of layouts, and of how what they show looks.
//!
//! Must not know SQL. Invariant: what an older row does not say is as the cloud API has it: plain, on black.

use serde::{Deserialize, Serialize};

use super::{
    AudioLayerRow, PlaceRow, PlacementRow, all, decode_audio, decode_place, decode_placement,
    encode_audio, encode_place, encode_placement, parse,
};
use crate::catalog::{
    Backdrop, FillMode, LayerLook, Layout, LocationId, Mirror, TextBackground, VideoLayer,
};
use crate::ids::LayoutId;

#[derive(Serialize, Deserialize)]
pub(super) struct LayoutRow {
    id: String,
    #[serde(default)]
    backdrop: BackdropRow,
    video: Vec<VideoLayerRow>,
    audio: Vec<AudioLayerRow>,
}

#[derive(Serialize, Deserialize, Default)]
struct BackdropRow {
    rgb: u32,
    image: Option<PlaceRow>,
}

#[derive(Serialize, Deserialize)]
struct VideoLayerRow {
    location: String,
    fill: String,
    placement: PlacementRow,
    #[serde(default)]
    delay_ms: u32,
    /// None: plain.
    #[serde(default)]
    look: Option<LookRow>,
}

#[derive(Serialize, Deserialize)]
struct LookRow {
    crop: [f32; 4],
    mirror: String,
    opacity: f32,
    corner_radius: f32,
    border_width: f32,
    border_rgb: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TextBackgroundRow {
    rgb: u32,
    opacity: f32,
    padding: f32,
}

pub(super) fn encode_layout(layout: &Layout) -> LayoutRow {
    let video_layer = |layer: &VideoLayer| VideoLayerRow {
        location: layer.location.to_string(),
        fill: layer.fill.as_str().to_owned(),
        placement: encode_placement(&layer.placement),
        delay_ms: layer.delay_ms,
        look: (layer.look != LayerLook::default()).then(|| encode_look(&layer.look)),
    };
    LayoutRow {
        id: layout.id.to_string(),
        backdrop: BackdropRow {
            rgb: layout.backdrop.rgb,
            image: layout.backdrop.image.as_ref().map(encode_place),
        },
        video: layout.video.iter().map(video_layer).collect(),
        audio: layout.audio.iter().map(encode_audio).collect(),
    }
}

fn encode_look(look: &LayerLook) -> LookRow {
    LookRow {
        crop: look.crop,
        mirror: look.mirror.as_str().to_owned(),
        opacity: look.opacity,
        corner_radius: look.corner_radius,
        border_width: look.border_width,
        border_rgb: look.border_rgb,
    }
}

pub(super) fn encode_background(background: TextBackground) -> TextBackgroundRow {
    let TextBackground { rgb, opacity, padding } = background;
    TextBackgroundRow { rgb, opacity, padding }
}

pub(super) fn decode_layout(row: LayoutRow) -> Result<Layout, String> {
    let video_layer = |row: VideoLayerRow| {
        Ok::<VideoLayer, String>(VideoLayer {
            location: parse("location", &row.location, LocationId::parse)?,
            fill: parse("fill mode", &row.fill, FillMode::parse)?,
            placement: decode_placement(row.placement)?,
            delay_ms: row.delay_ms,
            look: row.look.map(decode_look).transpose()?.unwrap_or_default(),
        })
    };
    Ok(Layout {
        id: parse("layout", &row.id, LayoutId::parse)?,
        backdrop: Backdrop {
            rgb: row.backdrop.rgb,
            image: row.backdrop.image.map(decode_place).transpose()?,
        },
        video: all(row.video, video_layer)?,
        audio: all(row.audio, decode_audio)?,
    })
}

fn decode_look(row: LookRow) -> Result<LayerLook, String> {
    Ok(LayerLook {
        crop: row.crop,
        mirror: parse("mirror", &row.mirror, Mirror::parse)?,
        opacity: row.opacity,
        corner_radius: row.corner_radius,
        border_width: row.border_width,
        border_rgb: row.border_rgb,
    })
}

pub(super) fn decode_background(row: TextBackgroundRow) -> TextBackground {
    let TextBackgroundRow { rgb, opacity, padding } = row;
    TextBackground { rgb, opacity, padding }
}
