//! Casters as such: copies, groups and tags; PVW by itself; sources that wait; restart.

use super::*;
use crate::catalog::{CopyCaster, DescribeCasters, TagDraft};

const NEW_URL: &str = "rtmp://in.example.com/app/new";

fn modify_first(world: &World) -> Call {
    Call::ModifyCasterVideoResource {
        caster_id: world.caster.clone(),
        resource_id: world.resource_id(0),
        draft: ResourceDraft { live_stream_url: NEW_URL.into(), ..ResourceDraft::default() },
    }
}

/// What the first source is, and what it was last changed to.
fn first(world: &World) -> (&str, &str) {
    let resource = &world.the_caster().resources[0];
    (resource.source.url(), resource.configured().url())
}

fn pvw(world: &World) -> (String, String) {
    (world.caster.clone(), world.scene_id(Bus::Pvw))
}

#[test]
fn a_source_on_air_waits_for_its_effect() {
    let old = World::on_air();
    let old = first(&old).0;
    for way in 0..3 {
        let mut world = World::on_air();
        world.ok(modify_first(&world));
        assert_eq!(first(&world), (old, NEW_URL));
        let caster_id = world.caster.clone();
        let call = match way {
            0 => world.effect_call(Bus::Pgm, 0),
            1 => Call::RestartCaster { caster_id },
            _ => Call::StopCaster { caster_id },
        };
        world.ok(call.clone());
        assert_eq!(first(&world), (NEW_URL, NEW_URL), "{call:?}");
    }
    // Changed back, there is nothing to wait for.
    let mut world = World::on_air();
    world.ok(modify_first(&world));
    let Call::ModifyCasterVideoResource { caster_id, resource_id, mut draft } =
        modify_first(&world)
    else {
        unreachable!()
    };
    draft.live_stream_url = old.into();
    world.ok(Call::ModifyCasterVideoResource { caster_id, resource_id, draft });
    assert_eq!(world.the_caster().resources[0].pending, None);
    // A source that no scene uses does not wait.
    world.add_resource(9);
    let (caster_id, resource_id) = (world.caster.clone(), world.resource_id(3));
    let draft = ResourceDraft { live_stream_url: NEW_URL.into(), ..ResourceDraft::default() };
    world.ok(Call::ModifyCasterVideoResource { caster_id, resource_id, draft });
    assert_eq!(world.the_caster().resources[3].source.url(), NEW_URL);
}

#[test]
fn an_effect_needs_a_scene_that_uses_the_source() {
    let mut world = World::on_air();
    world.add_resource(9);
    let last = world.the_caster().resources.len() - 1;
    let call = world.effect_call(Bus::Pgm, last);
    world.refused(call, ErrorCode::ResourceNotFound);
    let mut world = World::ready();
    let call = world.effect_call(Bus::Pgm, 0);
    world.refused(call, ErrorCode::SceneIdMalformed);
}

#[test]
fn pvw_is_stopped_and_started_by_itself() {
    let mut world = World::on_air();
    let (caster_id, scene_id) = pvw(&world);
    let start = Call::StartCasterScene { caster_id: caster_id.clone(), scene_id: scene_id.clone() };
    let stop = Call::StopCasterScene { caster_id: caster_id.clone(), scene_id };
    world.refused(start.clone(), ErrorCode::SceneInUse);
    world.ok(stop.clone());
    assert!(!world.the_caster().is_scene_on(Bus::Pvw) && world.the_caster().is_scene_on(Bus::Pgm));
    world.refused(stop.clone(), ErrorCode::SceneNotStarted);
    let set = Call::SetCasterSceneConfig(world.scene(Bus::Pvw, Some(0), &[]));
    world.refused(set.clone(), ErrorCode::SceneNotStarted);
    // Without PVW a change of a source goes on air at once.
    world.ok(modify_first(&world));
    assert_eq!(first(&world), (NEW_URL, NEW_URL));
    world.ok(start.clone());
    world.ok(set);
    // PGM is not stopped by itself, and a caster that is off air has no scene that is on.
    let scene_id = world.scene_id(Bus::Pgm);
    let pgm = Call::StopCasterScene { caster_id: caster_id.clone(), scene_id };
    world.refused(pgm, ErrorCode::ParameterMalformed);
    world.ok(stop);
    world.ok(Call::StopCaster { caster_id: caster_id.clone() });
    world.refused(start, ErrorCode::CasterIdle);
    world.ok(Call::StartCaster { caster_id });
    assert!(world.the_caster().is_scene_on(Bus::Pvw));
}

#[test]
fn a_scene_is_cleared_by_parts() {
    for (kind, layout, components) in [("Layout", 0, 1), ("Component", 1, 0), ("All", 0, 0)] {
        let mut world = World::on_air();
        let scene = world.scene(Bus::Pgm, Some(0), &[0]);
        world.ok(Call::SetCasterSceneConfig(scene));
        let (caster_id, scene_id) = (world.caster.clone(), world.scene_id(Bus::Pgm));
        let call = Call::DeleteCasterSceneConfig { caster_id, scene_id, kind: kind.to_owned() };
        assert!(matches!(world.ok(call).effects[..], [Effect::SceneSet { bus: Bus::Pgm, .. }]));
        let scene = world.the_caster().scene(Bus::Pgm).unwrap();
        assert_eq!(
            (usize::from(scene.layout.is_some()), scene.components.len()),
            (layout, components),
            "{kind}"
        );
        assert_eq!(scene.mix.is_empty(), layout == 0, "{kind}");
    }
    let mut world = World::on_air();
    for (kind, code) in
        [("", ErrorCode::MissingParameter), ("Scene", ErrorCode::ParameterMalformed)]
    {
        let (caster_id, scene_id) = pvw(&world);
        let call = Call::DeleteCasterSceneConfig { caster_id, scene_id, kind: kind.to_owned() };
        world.refused(call, code);
    }
}

#[test]
fn restart_is_for_casters_on_air() {
    let mut world = World::ready();
    let restart = Call::RestartCaster { caster_id: world.caster.clone() };
    world.refused(restart.clone(), ErrorCode::SceneNotFound);
    let mut world = World::on_air();
    let before = world.the_caster().scenes.clone();
    assert_eq!(world.ok(restart.clone()).effects, [Effect::Restart]);
    assert_eq!(world.the_caster().scenes, before);
    world.ok(Call::StopCaster { caster_id: world.caster.clone() });
    world.refused(restart, ErrorCode::CasterIdle);
}

#[test]
fn a_copy_is_idle_and_has_its_own_identifiers() {
    let mut world = World::on_air();
    world.ok(modify_first(&world));
    let copy = |name: &str, token: &str| {
        Call::CopyCaster(CopyCaster {
            src_caster_id: world.caster.clone(),
            caster_name: name.into(),
            client_token: token.into(),
        })
    };
    let (call, unnamed, tokenless) = (copy("copy", "t2"), copy("", "t3"), copy("copy", ""));
    let id_of = |prepared: &Prepared| match &prepared.answer {
        Answer::Written(written) => written.caster.clone(),
        other => panic!("{other:?}"),
    };
    let id = id_of(&world.ok(call.clone()));
    assert_eq!(id_of(&world.ok(call)), id, "the same token is the same copy");
    world.refused(unnamed, ErrorCode::MissingParameter);
    world.refused(tokenless, ErrorCode::MissingParameter);
    let (original, copy) = (world.the_caster(), world.catalog.caster(&id).unwrap());
    assert!(!copy.is_on_air() && copy.scenes.is_none());
    assert_eq!((copy.config.name.as_str(), copy.resources[0].source.url()), ("copy", NEW_URL));
    assert_eq!(copy.layouts.len(), original.layouts.len());
    assert_eq!(copy.layouts[0].video, original.layouts[0].video);
    for (a, b) in original.components.iter().zip(&copy.components) {
        assert!(a.id != b.id && a.content == b.content);
    }
    for (a, b) in original.resources.iter().zip(&copy.resources) {
        assert!(a.id != b.id && a.location == b.location);
    }
}

#[test]
fn casters_are_found_by_group_and_tag() {
    let mut world = World::bare();
    let tag = |key: &str, value: &str| TagDraft { key: key.into(), value: value.into() };
    let create = |tags: Vec<TagDraft>, token: &str| {
        Call::CreateCaster(CreateCaster {
            client_token: token.into(),
            norm_type: Some(1),
            charge_type: "PostPaid".into(),
            resource_group_id: "rg-1".into(),
            tags,
            ..CreateCaster::default()
        })
    };
    world.ok(create(vec![tag("team", "news"), tag("site", "a")], "tagged"));
    world.refused(create(vec![tag("a", ""), tag("a", "b")], "x"), ErrorCode::ParameterMalformed);
    world.refused(create(vec![tag("", "b")], "x"), ErrorCode::MissingParameter);
    let many = (0..21).map(|n| tag(&n.to_string(), "")).collect();
    world.refused(create(many, "x"), ErrorCode::ParameterMalformed);
    let mut count = |filter: DescribeCasters| match world.ok(Call::DescribeCasters(filter)).answer {
        Answer::Casters { total, .. } => total,
        other => panic!("{other:?}"),
    };
    let by_tags = |tags| DescribeCasters { tags, ..DescribeCasters::default() };
    let by_group =
        |id: &str| DescribeCasters { resource_group_id: id.into(), ..DescribeCasters::default() };
    assert_eq!(count(DescribeCasters::default()), 2);
    assert_eq!(count(by_tags(vec![tag("team", "news")])), 1);
    assert_eq!(count(by_tags(vec![tag("team", ""), tag("site", "b")])), 0);
    assert_eq!((count(by_group("rg-1")), count(by_group("rg-2"))), (1, 0));
    for (norm_type, charge_type, total) in
        [(Some(1), Some(1), 2), (Some(6), None, 0), (None, Some(0), 0)]
    {
        let filter = DescribeCasters { norm_type, charge_type, ..DescribeCasters::default() };
        assert_eq!(count(filter), total, "{norm_type:?} {charge_type:?}");
    }
    let caster_id = world.caster.clone();
    let group = |id: &str| Call::UpdateCasterResourceGroup {
        caster_id: caster_id.clone(),
        new_resource_group_id: id.into(),
    };
    world.ok(group("rg-2"));
    assert_eq!(world.the_caster().resource_group, "rg-2");
    world.refused(group(""), ErrorCode::MissingParameter);
}
