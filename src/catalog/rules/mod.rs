//! The rules: which call is valid in which state, and what it changes.
//!
//! Must not know the edges. Invariant: a rule works on a copy; only a whole, valid copy leaves this module.

mod check;
mod components;
mod implied;
mod layouts;
mod resources;
mod scenes;
mod studio;

use std::sync::Arc;

use super::code::{ErrorCode, Refused};
use super::model::Caster;
use super::{Answer, Call, Change, Effect, Prepared, Subject, Written};
use super::{Catalog, Context};
use crate::ids::Bus;

/// What a rule made of a copy: what the answer names, and effects beyond those that follow from the difference.
struct Edited {
    subject: Subject,
    effects: Vec<Effect>,
}

impl Edited {
    fn of(subject: Subject) -> Edited {
        Edited { subject, effects: Vec::new() }
    }
}

type Edit = Result<Edited, Refused>;

pub(super) fn prepare(
    catalog: &Catalog,
    call: Call,
    ctx: &Context<'_>,
) -> Result<Prepared, Refused> {
    match &call {
        Call::CreateCaster(draft) => studio::create(catalog, draft, ctx),
        Call::CopyCaster(draft) => studio::copy(catalog, draft, ctx),
        Call::DeleteCaster { caster_id } => studio::delete(find(catalog, caster_id)?),
        Call::DescribeCasters(filter) => studio::describe_all(catalog, filter).map(read),
        Call::StartCaster { caster_id } => {
            let rule = |caster: &mut Caster| studio::start(caster, ctx);
            write(find(catalog, caster_id)?, ctx, rule).map(|p| answered(p, Answer::Caster))
        }
        Call::StartCasterScene { caster_id, scene_id } => {
            let rule = |caster: &mut Caster| scenes::start(caster, scene_id);
            let answer = |caster| Answer::Scenes(caster, vec![Bus::Pvw]);
            write(find(catalog, caster_id)?, ctx, rule).map(|p| answered(p, answer))
        }
        _ => match describe(catalog, &call) {
            Some(answer) => answer.map(read),
            None => edit(catalog, &call, ctx),
        },
    }
}

/// The answer to a call that reads one caster; none for other calls.
fn describe(catalog: &Catalog, call: &Call) -> Option<Result<Answer, Refused>> {
    let with = |caster_id: &str, rule: &dyn Fn(&Arc<Caster>) -> Result<Answer, Refused>| {
        Some(find(catalog, caster_id).and_then(rule))
    };
    match call {
        Call::DescribeCasterConfig { caster_id } => {
            with(caster_id, &|caster| Ok(Answer::Caster(caster.clone())))
        }
        Call::DescribeCasterStreamUrl { caster_id } => with(caster_id, &scenes::describe_streams),
        Call::DescribeCasterVideoResources { caster_id } => with(caster_id, &|caster| {
            Ok(Answer::Resources(caster.clone(), caster.resources.clone()))
        }),
        Call::DescribeCasterLayouts { caster_id, layout_id } => {
            with(caster_id, &|caster| layouts::describe(caster, layout_id))
        }
        Call::DescribeCasterComponents { caster_id, component_id } => {
            with(caster_id, &|caster| components::describe(caster, component_id))
        }
        Call::DescribeCasterScenes { caster_id, scene_id } => {
            with(caster_id, &|caster| scenes::describe(caster, scene_id))
        }
        Call::DescribeCasterSceneAudio { caster_id, scene_id } => with(caster_id, &|caster| {
            let bus = scenes::find_bus(caster, scene_id)?;
            Ok(Answer::Scenes(caster.clone(), vec![bus]))
        }),
        _ => None,
    }
}

/// A call that writes one caster.
fn edit(catalog: &Catalog, call: &Call, ctx: &Context<'_>) -> Result<Prepared, Refused> {
    let with = |caster_id: &str, rule: &dyn Fn(&mut Caster) -> Edit| {
        write(find(catalog, caster_id)?, ctx, rule)
    };
    match call {
        Call::SetCasterConfig { caster_id, config } => {
            with(caster_id, &|caster| studio::set_config(caster, config))
        }
        Call::StopCaster { caster_id } => with(caster_id, &studio::stop),
        Call::RestartCaster { caster_id } => with(caster_id, &studio::restart),
        Call::UpdateCasterResourceGroup { caster_id, new_resource_group_id } => {
            with(caster_id, &|caster| studio::move_to_group(caster, new_resource_group_id))
        }
        Call::AddCasterVideoResource { caster_id, draft } => {
            with(caster_id, &|caster| resources::add(caster, draft, ctx))
        }
        Call::ModifyCasterVideoResource { caster_id, resource_id, draft } => {
            with(caster_id, &|caster| resources::modify(caster, resource_id, draft))
        }
        Call::DeleteCasterVideoResource { caster_id, resource_id } => {
            with(caster_id, &|caster| resources::delete(caster, resource_id))
        }
        Call::EffectCasterVideoResource { caster_id, scene_id, resource_id } => {
            with(caster_id, &|caster| resources::effect(caster, scene_id, resource_id))
        }
        Call::AddCasterLayout { caster_id, draft } => {
            with(caster_id, &|caster| layouts::add(caster, draft, ctx))
        }
        Call::ModifyCasterLayout { caster_id, layout_id, draft } => {
            with(caster_id, &|caster| layouts::modify(caster, layout_id, draft))
        }
        Call::DeleteCasterLayout { caster_id, layout_id } => {
            with(caster_id, &|caster| layouts::delete(caster, layout_id))
        }
        Call::AddCasterComponent { caster_id, draft } => {
            with(caster_id, &|caster| components::add(caster, draft, ctx))
        }
        Call::ModifyCasterComponent { caster_id, component_id, draft } => {
            with(caster_id, &|caster| components::modify(caster, component_id, draft))
        }
        Call::DeleteCasterComponent { caster_id, component_id } => {
            with(caster_id, &|caster| components::delete(caster, component_id))
        }
        Call::SetCasterSceneConfig(draft) => {
            with(&draft.caster_id, &|caster| scenes::set(caster, draft))
        }
        Call::UpdateCasterSceneConfig(draft) => {
            with(&draft.caster_id, &|caster| scenes::update(caster, draft))
        }
        Call::CopyCasterSceneConfig { caster_id, from_scene_id, to_scene_id, when } => {
            with(caster_id, &|caster| scenes::take(caster, from_scene_id, to_scene_id, when))
        }
        Call::DeleteCasterSceneConfig { caster_id, scene_id, kind } => {
            with(caster_id, &|caster| scenes::clear(caster, scene_id, kind))
        }
        Call::StopCasterScene { caster_id, scene_id } => {
            with(caster_id, &|caster| scenes::stop(caster, scene_id))
        }
        Call::UpdateCasterSceneAudio(draft) => {
            with(&draft.caster_id, &|caster| scenes::update_audio(caster, draft))
        }
        // Reads and the calls that `prepare` handles itself do not come here.
        _ => Err(ErrorCode::Internal.into()),
    }
}

/// The write, answered with what it made of the caster.
fn answered(mut prepared: Prepared, answer: impl Fn(Arc<Caster>) -> Answer) -> Prepared {
    if let Some(Change::Upsert(caster)) = &prepared.change {
        prepared.answer = answer(caster.clone());
    }
    prepared
}

fn find<'a>(catalog: &'a Catalog, caster_id: &str) -> Result<&'a Arc<Caster>, Refused> {
    let id = check::caster_id(caster_id)?;
    catalog.caster(&id).ok_or_else(|| ErrorCode::CasterNotFound.into())
}

fn read(answer: Answer) -> Prepared {
    Prepared { change: None, answer, effects: Vec::new() }
}

fn write(
    before: &Arc<Caster>,
    ctx: &Context<'_>,
    rule: impl Fn(&mut Caster) -> Edit,
) -> Result<Prepared, Refused> {
    let mut after = Caster::clone(before);
    let Edited { subject, mut effects } = rule(&mut after)?;
    after.revision += 1;
    after.modified_unix_ms = ctx.now_unix_ms;
    if effects.is_empty() {
        effects = implied::effects(before, &after);
    }
    let answer = Answer::Written(Written {
        caster: after.id.clone(),
        revision: after.revision,
        subject,
        applied: None,
    });
    Ok(Prepared { change: Some(Change::Upsert(Arc::new(after))), answer, effects })
}

/// The scene on air, PGM before PVW, that `uses` says yes to.
fn used_on_air(caster: &Caster, uses: impl Fn(&Caster, Bus) -> bool) -> Result<(), Refused> {
    let bus = [Bus::Pgm, Bus::Pvw].into_iter().find(|&bus| caster.is_on_air() && uses(caster, bus));
    bus.map_or(Ok(()), |bus| {
        let scene = if bus == Bus::Pgm { "PGM" } else { "PVW" };
        Err(Refused::new(ErrorCode::SceneInUse, format!("{scene} is on air and uses it.")))
    })
}
