//! The rules: which call is valid in which state, and what it changes.
//!
//! Must not know the edges. Invariant: a rule works on a copy; only a whole, valid copy leaves this module.

mod channels;
mod check;
mod components;
mod config;
mod groups;
mod implied;
mod layouts;
mod look;
mod resources;
mod rundown;
mod scenes;
mod studio;

use std::sync::Arc;

use super::code::{ErrorCode, Refused};
use super::model::{Caster, LayoutPreset};
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
        Call::DeleteCaster { caster_id } => {
            let caster = find(catalog, caster_id)?;
            is_as_expected(caster, ctx)?;
            studio::delete(caster)
        }
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
        Call::DescribeCasterProgram(filter) => {
            rundown::describe(find(catalog, &filter.caster_id)?, filter, ctx).map(read)
        }
        Call::DescribeLayoutPresets => Ok(read(Answer::LayoutPresets(LayoutPreset::ALL))),
        Call::AddCasterEpisodeGroup(draft) => groups::add(catalog, draft, ctx),
        Call::DeleteCasterEpisodeGroup { program_id } => groups::delete(catalog, program_id),
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
        Call::DescribeCasterConfig { caster_id }
        | Call::DescribeCasterChannels { caster_id }
        | Call::DescribeCasterSyncGroup { caster_id }
        | Call::DescribeCasterRtcInfo { caster_id } => {
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
    write(find(catalog, call.caster_id())?, ctx, |caster| {
        studio_edit(caster, call, ctx)
            .or_else(|| parts_edit(caster, call, ctx))
            .or_else(|| scene_edit(caster, call, ctx))
            // Reads and the calls that `prepare` handles itself do not come here.
            .unwrap_or_else(|| Err(ErrorCode::Internal.into()))
    })
}

/// Calls on the caster as such.
fn studio_edit(caster: &mut Caster, call: &Call, ctx: &Context<'_>) -> Option<Edit> {
    Some(match call {
        Call::SetCasterConfig { config, .. } => config::set(caster, config, ctx),
        Call::StopCaster { .. } => studio::stop(caster),
        Call::RestartCaster { .. } => studio::restart(caster),
        Call::StartCasterRecording { .. } => studio::record(caster, Some(true)),
        Call::StopCasterRecording { .. } => studio::record(caster, Some(false)),
        Call::AnswerCasterRecording { answer, .. } => studio::answer_record(caster, answer),
        Call::UpdateCasterResourceGroup { new_resource_group_id, .. } => {
            studio::move_to_group(caster, new_resource_group_id)
        }
        Call::SetCasterTimedEvent { event_name, start_time_unix_ms, .. } => {
            studio::set_timed_event(caster, (event_name, *start_time_unix_ms), ctx)
        }
        Call::SetCasterSyncGroup { sync_groups, .. } => {
            config::set_sync_groups(caster, sync_groups)
        }
        _ => return None,
    })
}

/// Calls on what a caster has: sources, channels, layouts, components, rundown.
fn parts_edit(caster: &mut Caster, call: &Call, ctx: &Context<'_>) -> Option<Edit> {
    Some(match call {
        Call::AddCasterVideoResource { draft, .. } => resources::add(caster, draft, ctx),
        Call::ModifyCasterVideoResource { resource_id, draft, .. } => {
            resources::modify(caster, resource_id, draft, ctx)
        }
        Call::DeleteCasterVideoResource { resource_id, .. } => {
            resources::delete(caster, resource_id, ctx)
        }
        Call::EffectCasterVideoResource { scene_id, resource_id, .. } => {
            resources::effect(caster, scene_id, resource_id)
        }
        Call::SetCasterChannel(draft) => channels::set(caster, draft),
        Call::AddCasterLayout { draft, .. } => layouts::add(caster, draft, ctx),
        Call::ModifyCasterLayout { layout_id, draft, .. } => {
            layouts::modify(caster, layout_id, draft, ctx)
        }
        Call::DeleteCasterLayout { layout_id, .. } => layouts::delete(caster, layout_id),
        Call::AddCasterComponent { draft, .. } => components::add(caster, draft, ctx),
        Call::ModifyCasterComponent { component_id, draft, .. } => {
            components::modify(caster, component_id, draft, ctx)
        }
        Call::DeleteCasterComponent { component_id, .. } => {
            components::delete(caster, component_id, ctx)
        }
        Call::AddCasterEpisode { episode, .. } => {
            rundown::add(caster, std::slice::from_ref(episode), ctx)
        }
        Call::ModifyCasterEpisode { episode, .. } => {
            rundown::modify(caster, std::slice::from_ref(episode), ctx)
        }
        Call::DeleteCasterEpisode { episode_id, .. } => rundown::delete(caster, episode_id),
        Call::AddCasterProgram { episodes, .. } => rundown::add(caster, episodes, ctx),
        Call::ModifyCasterProgram { episodes, .. } => rundown::modify(caster, episodes, ctx),
        Call::DeleteCasterProgram { .. } => rundown::delete_all(caster),
        _ => return None,
    })
}

/// Calls on a scene.
fn scene_edit(caster: &mut Caster, call: &Call, ctx: &Context<'_>) -> Option<Edit> {
    Some(match call {
        Call::SetCasterSceneConfig(draft) => scenes::set(caster, draft, ctx),
        Call::UpdateCasterSceneConfig(draft) => scenes::update(caster, draft, ctx),
        Call::CopyCasterSceneConfig { from_scene_id, to_scene_id, when, way, .. } => {
            scenes::take(caster, (from_scene_id, to_scene_id), (when, way), ctx)
        }
        Call::FadeCasterToBlack { on, duration_frames, .. } => {
            scenes::fade_to_black(caster, (*on, *duration_frames))
        }
        Call::DeleteCasterSceneConfig { scene_id, kind, .. } => {
            scenes::clear(caster, (scene_id, kind), ctx)
        }
        Call::StopCasterScene { scene_id, .. } => scenes::stop(caster, scene_id),
        Call::EffectCasterUrgent { scene_id, .. } => scenes::standby(caster, scene_id),
        Call::UpdateCasterSceneAudio(draft) => scenes::update_audio(caster, draft),
        _ => return None,
    })
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

/// Refuses who expects the caster to have another revision.
fn is_as_expected(caster: &Caster, ctx: &Context<'_>) -> Result<(), Refused> {
    match ctx.expected_revision {
        Some(expected) if expected != caster.revision => {
            let message = format!("The caster is at revision {} now.", caster.revision);
            Err(Refused::new(ErrorCode::RevisionMismatch, message))
        }
        _ => Ok(()),
    }
}

fn write(
    before: &Arc<Caster>,
    ctx: &Context<'_>,
    rule: impl Fn(&mut Caster) -> Edit,
) -> Result<Prepared, Refused> {
    is_as_expected(before, ctx)?;
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
