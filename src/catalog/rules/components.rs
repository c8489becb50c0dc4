//! Rules of components.
//!
//! Must not know how text becomes pixels. Invariant: one component per location, with exactly the content of its type.

use std::sync::Arc;

use super::super::Context;
use super::super::code::{ErrorCode, Refused};
use super::super::model::{
    Caster, Component, ComponentContent, ComponentEffect, ComponentLocationId, LayerOrder,
    Placement, Text, TextBackground,
};
use super::super::{Answer, ComponentDraft, ComponentLayerDraft, Subject, TextDraft};
use super::{Edit, Edited, check, look, rundown, used_on_air};
use crate::ids::ComponentId;
use crate::limits;

/// Font height / output height of a text that does not say it.
const DEFAULT_SIZE_NORMALIZED: f32 = 0.05;
/// What the API means by "not set" in a size.
const UNSET_SIZE: f32 = -1.0;
const DEFAULT_COLOR_RGB: u32 = 0xff_00_00;
const DEFAULT_FONT: &str = "KaiTi";

pub(super) fn add(caster: &mut Caster, draft: &ComponentDraft, ctx: &Context<'_>) -> Edit {
    let name = check::name("ComponentName", &draft.component_name)?;
    let location = ComponentLocationId::parse(check::present("LocationId", &draft.location_id)?)
        .ok_or_else(|| check::malformed("LocationId must be RC01 to RC99."))?;
    let kind = check::present("ComponentType", &draft.component_type)?;
    let layer = draft.layer.as_ref().ok_or_else(|| check::missing("ComponentLayer"))?;
    let (placement, opacity) = parse_layer(layer)?;
    let content = parse_content(kind, draft, None, ctx)?;
    let order =
        check::word("LayerOrder", &draft.layer_order, LayerOrder::parse, LayerOrder::Cover)?;
    let effect =
        check::word("Effect", &draft.effect, ComponentEffect::parse, ComponentEffect::None)?;
    if caster.components.len() >= limits::MAX_COMPONENTS {
        let message = "Number of components exceeded";
        return Err(Refused::new(ErrorCode::ResourceNumberExceed, message));
    }
    if caster.components.iter().any(|c| c.location == location) {
        return Err(ErrorCode::DuplicateLocationId.into());
    }
    let id = ComponentId::parse(&(ctx.fresh)().to_string()).expect("a UUID is 36 bytes");
    let name = if name.is_empty() { id.to_string() } else { name };
    caster.components.push(Component {
        id: id.clone(),
        name,
        location,
        placement,
        opacity,
        order,
        effect,
        content,
    });
    Ok(Edited::of(Subject::Component(id)))
}

pub(super) fn modify(
    caster: &mut Caster,
    component_id: &str,
    draft: &ComponentDraft,
    ctx: &Context<'_>,
) -> Edit {
    let index = find(caster, component_id)?;
    let component = &mut caster.components[index];
    if !draft.location_id.is_empty() && draft.location_id != component.location.to_string() {
        return Err(check::malformed("LocationId of a component cannot change."));
    }
    if !draft.component_name.is_empty() {
        component.name = check::name("ComponentName", &draft.component_name)?;
    }
    component.effect =
        check::word("Effect", &draft.effect, ComponentEffect::parse, component.effect)?;
    if let Some(layer) = &draft.layer {
        (component.placement, component.opacity) = parse_layer(layer)?;
    }
    component.order =
        check::word("LayerOrder", &draft.layer_order, LayerOrder::parse, component.order)?;
    let present = component.content.type_name();
    let kind = if draft.component_type.is_empty() { present } else { &draft.component_type };
    if kind != present || draft.text.is_some() || draft.image.is_some() {
        let kept = match &component.content {
            ComponentContent::Text(text) => text.background,
            ComponentContent::Image { .. } => None,
        };
        component.content = parse_content(kind, draft, kept, ctx)?;
    }
    Ok(Edited::of(Subject::Component(component.id.clone())))
}

pub(super) fn delete(caster: &mut Caster, component_id: &str, ctx: &Context<'_>) -> Edit {
    let index = find(caster, component_id)?;
    let id = caster.components[index].id.clone();
    used_on_air(caster, |caster, bus| {
        caster.scene(bus).is_some_and(|scene| scene.components.contains(&id))
    })?;
    rundown::release(caster, |episode| episode.components.contains(&id), ctx)?;
    caster.components.remove(index);
    Ok(Edited::of(Subject::Component(id)))
}

pub(super) fn describe(caster: &Arc<Caster>, component_id: &str) -> Result<Answer, Refused> {
    let components = match component_id {
        "" => caster.components.clone(),
        id => vec![caster.components[find(caster, id)?].clone()],
    };
    Ok(Answer::Components(caster.clone(), components))
}

/// Where the component with this identifier stands in the caster's list.
pub(super) fn find(caster: &Caster, component_id: &str) -> Result<usize, Refused> {
    check::present("ComponentId", component_id)?;
    caster
        .components
        .iter()
        .position(|c| c.id.as_str() == component_id)
        .ok_or_else(|| ErrorCode::ComponentNotFound.into())
}

/// Components by their identifiers, none twice, at most as many as a scene shows.
pub(super) fn ids(caster: &Caster, texts: &[String]) -> Result<Vec<ComponentId>, Refused> {
    if texts.len() > limits::MAX_SCENE_COMPONENTS {
        let max = limits::MAX_SCENE_COMPONENTS;
        return Err(check::malformed(format!("A scene shows at most {max} components.")));
    }
    let mut ids: Vec<ComponentId> = Vec::with_capacity(texts.len());
    for text in texts {
        let id = &caster.components[find(caster, text)?].id;
        if ids.contains(id) {
            return Err(check::malformed("ComponentId is named twice."));
        }
        ids.push(id.clone());
    }
    Ok(ids)
}

fn parse_layer(draft: &ComponentLayerDraft) -> Result<(Placement, u8), Refused> {
    let opacity = check::integer("Transparency", draft.transparency.unwrap_or(255), 255)?;
    Ok((check::placement(&draft.placement)?, u8::try_from(opacity).unwrap_or(u8::MAX)))
}

/// `kept` is the box of a text that does not say anything about it.
fn parse_content(
    kind: &str,
    draft: &ComponentDraft,
    kept: Option<TextBackground>,
    ctx: &Context<'_>,
) -> Result<ComponentContent, Refused> {
    match (kind, &draft.text, &draft.image) {
        ("text", Some(text), None) => parse_text(text, kept).map(ComponentContent::Text),
        ("image", None, Some(image)) => {
            let place = check::image("ImageLayerContent", image, ctx)?;
            Ok(ComponentContent::Image { place })
        }
        ("text", None, _) => Err(check::missing("TextLayerContent")),
        ("image", _, None) => Err(check::missing("ImageLayerContent")),
        ("text" | "image", Some(_), Some(_)) => {
            Err(check::malformed("Only the content of the ComponentType is allowed."))
        }
        ("caption" | "html", ..) => {
            Err(check::malformed(format!("ComponentType {kind} is not available yet.")))
        }
        _ => Err(check::malformed(format!("ComponentType {kind:?} is not text or image."))),
    }
}

fn parse_text(draft: &TextDraft, kept: Option<TextBackground>) -> Result<Text, Refused> {
    if draft.text.chars().count() > limits::MAX_TEXT_CHARS {
        let max = limits::MAX_TEXT_CHARS;
        return Err(check::malformed(format!("Text is longer than {max} characters.")));
    }
    let size = draft.size_normalized.filter(|&size| size != UNSET_SIZE);
    let size = size.unwrap_or(DEFAULT_SIZE_NORMALIZED);
    let font_name = check::name("FontName", &draft.font_name)?;
    Ok(Text {
        text: draft.text.clone(),
        color_rgb: look::color("Color", &draft.color)?.unwrap_or(DEFAULT_COLOR_RGB),
        font_name: if font_name.is_empty() { DEFAULT_FONT.to_owned() } else { font_name },
        size_normalized: check::number("SizeNormalized", size, (0.0, 1.0))?,
        border_width_normalized: check::number(
            "BorderWidthNormalized",
            draft.border_width_normalized,
            (0.0, 1.0),
        )?,
        border_rgb: look::color("BorderColor", &draft.border_color)?,
        background: match &draft.background {
            Some(background) => look::text_background(background)?,
            None => kept,
        },
    })
}
