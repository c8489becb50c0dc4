//! Rules of scenes and their sound.
//!
//! Must not know ticks. Invariant: what a scene on air names exists; PVW's mix is what a take would bring.

use std::sync::Arc;

use super::super::code::{ErrorCode, Refused};
use super::super::model::{Caster, Scene, Scenes};
use super::super::{
    Answer, AudioDraft, Context, Effect, SceneDraft, Subject, Way, WayDraft, When, WhenDraft,
};
use super::{Edit, Edited, check, components, layouts};
use crate::ids::{Bus, LayoutId};
use crate::limits;

/// Which scene has this identifier.
pub(super) fn find_bus(caster: &Caster, scene_id: &str) -> Result<Bus, Refused> {
    if scene_id.is_empty() || scene_id.len() > 64 {
        return Err(ErrorCode::SceneIdMalformed.into());
    }
    let is_it = |bus: &Bus| caster.scene(*bus).is_some_and(|s| s.id.as_str() == scene_id);
    [Bus::Pvw, Bus::Pgm].into_iter().find(is_it).ok_or_else(|| ErrorCode::SceneNotFound.into())
}

/// Which scene has this identifier, given that it is on.
pub(super) fn find_on(caster: &Caster, scene_id: &str) -> Result<Bus, Refused> {
    let bus = find_bus(caster, scene_id)?;
    if caster.is_scene_on(bus) { Ok(bus) } else { Err(ErrorCode::SceneNotStarted.into()) }
}

/// PVW by its identifier, given that the caster is on air.
fn find_pvw<'a>(caster: &'a mut Caster, scene_id: &str) -> Result<&'a mut Scenes, Refused> {
    if find_bus(caster, scene_id)? == Bus::Pgm {
        return Err(check::malformed(
            "SceneId must be PVW's: PGM starts and stops with the caster.",
        ));
    }
    if !caster.is_on_air() {
        return Err(ErrorCode::CasterIdle.into());
    }
    scenes(caster)
}

pub(super) fn start(caster: &mut Caster, scene_id: &str) -> Edit {
    let scenes = find_pvw(caster, scene_id)?;
    if !std::mem::take(&mut scenes.pvw_off) {
        return Err(Refused::new(ErrorCode::SceneInUse, "Scene is started already."));
    }
    Ok(Edited::of(Subject::Caster))
}

pub(super) fn stop(caster: &mut Caster, scene_id: &str) -> Edit {
    let scenes = find_pvw(caster, scene_id)?;
    if std::mem::replace(&mut scenes.pvw_off, true) {
        return Err(ErrorCode::SceneNotStarted.into());
    }
    Ok(Edited::of(Subject::Caster))
}

/// Clears a scene's layout, its components, or both.
pub(super) fn clear(
    caster: &mut Caster,
    (scene_id, kind): (&str, &str),
    ctx: &Context<'_>,
) -> Edit {
    let bus = find_on(caster, scene_id)?;
    let (layout, components) = match check::present("Type", kind)? {
        "Layout" => (true, false),
        "Component" => (false, true),
        "All" => (true, true),
        _ => return Err(check::malformed("Type must be Component, Layout or All.")),
    };
    let follows = bus == Bus::Pvw || caster.audio_follows_video;
    decide(caster, bus, ctx)?;
    let scene = scenes(caster)?.get_mut(bus);
    if layout {
        scene.layout = None;
        if follows {
            scene.mix.clear();
        }
    }
    if components {
        scene.components.clear();
    }
    let when = When { force: true, wait_ms: 0 };
    Ok(shown(bus, when, Way::Cut))
}

fn scenes(caster: &mut Caster) -> Result<&mut Scenes, Refused> {
    caster.scenes.as_mut().ok_or_else(|| ErrorCode::SceneNotFound.into())
}

pub(super) fn describe(caster: &Arc<Caster>, scene_id: &str) -> Result<Answer, Refused> {
    if caster.config.domain.is_none() {
        return Err(ErrorCode::DomainNameNotFound.into());
    }
    let buses = match (scene_id, &caster.scenes) {
        ("", None) => Vec::new(),
        ("", Some(_)) => vec![Bus::Pvw, Bus::Pgm],
        (id, _) => vec![find_bus(caster, id)?],
    };
    Ok(Answer::Scenes(caster.clone(), buses))
}

pub(super) fn describe_streams(caster: &Arc<Caster>) -> Result<Answer, Refused> {
    if caster.scenes.is_none() {
        return Err(ErrorCode::SceneNotFound.into());
    }
    describe(caster, "")
}

pub(super) fn set(caster: &mut Caster, draft: &SceneDraft, ctx: &Context<'_>) -> Edit {
    match draft.layout_id.is_empty() && draft.component_ids.is_empty() {
        true => apply(caster, draft, Overlays::Keep, ctx),
        false => apply(caster, draft, Overlays::Replace, ctx),
    }
}

pub(super) fn update(caster: &mut Caster, draft: &SceneDraft, ctx: &Context<'_>) -> Edit {
    match draft.component_ids.is_empty() {
        true => apply(caster, draft, Overlays::Keep, ctx),
        false => apply(caster, draft, Overlays::Replace, ctx),
    }
}

/// PGM's own content counts from now on, whatever standby or a rundown showed instead of it.
fn decide(caster: &mut Caster, bus: Bus, ctx: &Context<'_>) -> Result<(), Refused> {
    if bus == Bus::Pgm {
        let scenes = scenes(caster)?;
        (scenes.on_standby, scenes.pgm_set_unix_ms) = (false, ctx.now_unix_ms);
    }
    Ok(())
}

/// PGM shows standby until something else is set on it.
pub(super) fn standby(caster: &mut Caster, scene_id: &str) -> Edit {
    let bus = find_on(caster, scene_id)?;
    if bus != Bus::Pgm {
        return Err(check::malformed("SceneId must be PGM's: standby is shown on PGM only."));
    }
    if caster.config.standby.source().is_none() {
        return Err(ErrorCode::UrgentMaterialNotFound.into());
    }
    scenes(caster)?.on_standby = true;
    let when = When { force: false, wait_ms: check::DEFAULT_WAIT_MS };
    Ok(shown(bus, when, Way::Cut))
}

/// PGM goes to black or comes back; what it shows beneath stays as it is.
pub(super) fn fade_to_black(caster: &mut Caster, (on, duration_frames): (bool, i32)) -> Edit {
    let frames = check::frames("DurationFrames", duration_frames, caster.config.rate)?;
    if !caster.is_on_air() {
        return Err(ErrorCode::CasterIdle.into());
    }
    scenes(caster)?.on_black = on;
    Ok(Edited { subject: Subject::Caster, effects: vec![Effect::FadeToBlack { frames }] })
}

/// The scene is another.
fn shown(bus: Bus, when: When, way: Way) -> Edited {
    Edited { subject: Subject::Caster, effects: vec![Effect::SceneSet { bus, when, way }] }
}

/// What becomes of a scene's components.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Overlays {
    Keep,
    /// By those of the draft, that is by none if it names none.
    Replace,
}

fn apply(caster: &mut Caster, draft: &SceneDraft, overlays: Overlays, ctx: &Context<'_>) -> Edit {
    let bus = find_on(caster, &draft.scene_id)?;
    let (when, way) = (check::when(&draft.when)?, check::way(&draft.way, caster.config.rate)?);
    if bus == Bus::Pvw && way != Way::Cut {
        return Err(check::malformed("Transition and ComponentFadeFrames are for PGM only."));
    }
    let layout = match &draft.layout_id[..] {
        "" => None,
        id => Some(caster.layouts[layouts::find(caster, id)?].clone()),
    };
    if let Some(layout) = &layout {
        layouts::has_sources(caster, layout)?;
        keeps_layout(way, caster.scene(bus), Some(&layout.id))?;
    }
    let components = components::ids(caster, &draft.component_ids)?;
    let follows = bus == Bus::Pvw || caster.audio_follows_video;
    decide(caster, bus, ctx)?;
    let scene = scenes(caster)?.get_mut(bus);
    if let Some(layout) = layout {
        scene.layout = Some(layout.id);
        if follows {
            scene.mix = layout.audio;
        }
    }
    if overlays == Overlays::Replace {
        scene.components = components;
    }
    Ok(shown(bus, when, way))
}

/// Components fade over a layout that stays.
fn keeps_layout(way: Way, scene: Option<&Scene>, layout: Option<&LayoutId>) -> Result<(), Refused> {
    let before = scene.and_then(|scene| scene.layout.as_ref());
    match way {
        Way::FadeComponents { .. } if before != layout => {
            Err(check::malformed("ComponentFadeFrames is for changes that keep PGM's layout."))
        }
        _ => Ok(()),
    }
}

pub(super) fn take(
    caster: &mut Caster,
    (from, to): (&str, &str),
    (when, way): (&WhenDraft, &WayDraft),
    ctx: &Context<'_>,
) -> Edit {
    let from_bus = find_bus(caster, from).map_err(|r| match r.code {
        ErrorCode::SceneNotFound => Refused::new(r.code, "From scene is not found."),
        _ => r,
    })?;
    let to_bus = find_bus(caster, to)?;
    if (from_bus, to_bus) != (Bus::Pvw, Bus::Pgm) {
        return Err(check::malformed("FromSceneId must be PVW's and ToSceneId PGM's."));
    }
    if !caster.is_scene_on(from_bus) {
        return Err(Refused::new(ErrorCode::SceneNotStarted, "From scene is not started."));
    }
    let (when, way) = (check::when(when)?, check::way(way, caster.config.rate)?);
    let follows = caster.audio_follows_video;
    let Scenes { pvw, pgm, .. } = scenes(caster)?;
    if pvw.layout.is_none() {
        return Err(Refused::new(ErrorCode::LayoutNotFound, "PVW has no layout."));
    }
    keeps_layout(way, Some(pgm), pvw.layout.as_ref())?;
    copy(pvw, pgm);
    if follows {
        pgm.mix.clone_from(&pvw.mix);
    }
    decide(caster, Bus::Pgm, ctx)?;
    Ok(Edited { subject: Subject::Caster, effects: vec![Effect::Take { when, way }] })
}

fn copy(from: &Scene, to: &mut Scene) {
    to.layout.clone_from(&from.layout);
    to.components.clone_from(&from.components);
}

pub(super) fn update_audio(caster: &mut Caster, draft: &AudioDraft) -> Edit {
    let bus = find_on(caster, &draft.scene_id)?;
    let follow = check::flag("FollowEnable", draft.follow_enable)?;
    let mut effects = Vec::new();
    if !draft.mix_list.is_empty() || !draft.audio_layers.is_empty() {
        let mix = check::locations("MixList", &draft.mix_list, limits::MAX_MIX)?;
        layouts::has_sources_at(caster, mix.iter().copied())?;
        let mismatch = || ErrorCode::AudioLayersMismatch.into();
        scenes(caster)?.get_mut(bus).mix =
            layouts::parse_audio(&mix, &draft.audio_layers, mismatch)?;
        effects.push(Effect::MixSet { bus });
    }
    if let Some(follow) = follow {
        caster.audio_follows_video = follow;
        effects.push(Effect::FollowSet);
    }
    Ok(Edited { subject: Subject::Caster, effects })
}
