//! The life of a caster: which call is valid in which state, and what the running caster is asked to do.

use super::*;
use crate::catalog::{AudioDraft, LocationId, Place, Way, WayDraft, When};
use ErrorCode::*;

const WAIT: When = When { force: false, wait_ms: 3000 };
const NOW: When = When { force: true, wait_ms: 0 };
const LONG: When = When { force: false, wait_ms: 10_000 };

fn set(bus: Bus, when: When) -> Effect {
    Effect::SceneSet { bus, when, way: Way::Cut }
}

fn take(world: &World) -> Call {
    Call::CopyCasterSceneConfig {
        caster_id: world.caster.clone(),
        from_scene_id: world.scene_id(Bus::Pvw),
        to_scene_id: world.scene_id(Bus::Pgm),
        when: WhenDraft::default(),
        way: WayDraft::default(),
    }
}

fn mix_of(world: &World, bus: Bus) -> Vec<String> {
    world.the_caster().scene(bus).unwrap().mix.iter().map(|a| a.location.to_string()).collect()
}

#[test]
fn the_same_token_is_the_same_caster_until_it_is_deleted() {
    let mut world = World::bare();
    let caster_id = world.caster.clone();
    assert_eq!(world.create("token").unwrap(), caster_id);
    assert_eq!(world.catalog.casters().count(), 1);
    world.ok(Call::DeleteCaster { caster_id: caster_id.clone() });
    world.refused(Call::DeleteCaster { caster_id: caster_id.clone() }, CasterNotFound);
    assert_ne!(world.create("token").unwrap(), caster_id);
}

#[test]
fn limits_on_numbers() {
    let mut world = World::ready();
    for n in 1..crate::limits::MAX_CASTERS {
        world.create(&format!("t{n}")).unwrap();
    }
    assert_eq!(world.create("one-more").unwrap_err().code, CasterNumberExceed);
    for n in 4..=99 {
        world.add_resource(n);
    }
    let (caster_id, draft) = (world.caster.clone(), resource(1));
    world.refused(Call::AddCasterVideoResource { caster_id, draft }, ResourceNumberExceed);
}

#[test]
fn start_and_stop() {
    let mut world = World::bare();
    let id = || world.caster.clone();
    let (caster_id, start, stop) =
        (id(), Call::StartCaster { caster_id: id() }, Call::StopCaster { caster_id: id() });
    world.refused(stop.clone(), SceneNotFound);
    world.refused(start.clone(), DomainNameNotFound);
    let bare = ConfigDraft { caster_template: String::new(), ..config() };
    world.ok(Call::SetCasterConfig { caster_id: caster_id.clone(), config: bare });
    world.refused(start.clone(), ConfigurationNotFound);
    world.ok(Call::SetCasterConfig { caster_id: caster_id.clone(), config: config() });
    assert_eq!(world.ok(start.clone()).effects, [Effect::Start]);
    let scenes = world.the_caster().scenes.clone().unwrap();
    assert_ne!(scenes.pvw.stream_name, scenes.pgm.stream_name);
    assert_eq!(scenes.pgm.stream_name.len(), 32);
    world.refused(start.clone(), CasterInUse);
    world.refused(Call::DeleteCaster { caster_id: caster_id.clone() }, CasterInUse);
    assert_eq!(world.ok(stop.clone()).effects, [Effect::Stop]);
    world.refused(stop, SceneNotStarted);
    world.ok(start);
    assert_eq!(world.the_caster().scenes.as_ref(), Some(&scenes), "the same ids, empty");
}

#[test]
fn config_on_air() {
    let mut world = World::on_air();
    let set_config =
        |world: &World, config| Call::SetCasterConfig { caster_id: world.caster.clone(), config };
    // Another output is for the next start or restart; what is on air needs one, and a host.
    let other =
        ConfigDraft { caster_template: "lp_ud".into(), frame_rate: "50".into(), ..config() };
    assert_eq!(world.ok(set_config(&world, other)).effects, []);
    let none = ConfigDraft { caster_template: String::new(), ..config() };
    world.refused(set_config(&world, none), CasterInUse);
    let nowhere = ConfigDraft { domain_name: String::new(), ..config() };
    world.refused(set_config(&world, nowhere), CasterInUse);
    let channels = ConfigDraft { channel_enable: Some(1), ..config() };
    world.refused(set_config(&world, channels), CasterInUse);
    let name = ConfigDraft { caster_name: "evening".into(), ..config() };
    assert_eq!(world.ok(set_config(&world, name)).effects, []);
    let relays = ConfigDraft { side_output_urls: vec!["rtmp://a/b".into()], ..config() };
    assert_eq!(world.ok(set_config(&world, relays)).effects, [Effect::RelaysChanged]);
    assert_eq!(world.the_caster().config.name, "evening", "an absent name is kept");
    assert_eq!(world.ok(set_config(&world, config())).effects, [Effect::RelaysChanged]);
}

#[test]
fn scenes_are_for_casters_on_air() {
    let mut world = World::on_air();
    let draft = world.scene(Bus::Pgm, Some(0), &[]);
    let bad_scene = SceneDraft { scene_id: "nobody".into(), ..draft.clone() };
    let no_scene = SceneDraft { scene_id: String::new(), ..draft.clone() };
    let bad_layout = SceneDraft { layout_id: "nobody".into(), ..draft.clone() };
    let bad_component = SceneDraft { component_ids: vec!["nobody".into()], ..draft.clone() };
    let twice = SceneDraft { component_ids: vec![world.component_id(0); 2], ..draft.clone() };
    let when = |wait_ms| WhenDraft { force: false, wait_ms: Some(wait_ms) };
    let long = SceneDraft { when: when(10_001), ..draft.clone() };
    let negative = SceneDraft { when: when(-1), ..draft.clone() };
    for (draft, code) in [
        (bad_scene, SceneNotFound),
        (no_scene, SceneIdMalformed),
        (bad_layout, LayoutNotFound),
        (bad_component, ComponentNotFound),
        (twice, ParameterMalformed),
        (long, ParameterMalformed),
        (negative, ParameterMalformed),
    ] {
        world.refused(Call::SetCasterSceneConfig(draft.clone()), code);
        world.refused(Call::UpdateCasterSceneConfig(draft), code);
    }
    let copy = take(&world);
    let caster_id = world.caster.clone();
    world.ok(Call::StopCaster { caster_id });
    world.refused(Call::SetCasterSceneConfig(draft.clone()), SceneNotStarted);
    world.refused(Call::UpdateCasterSceneConfig(draft.clone()), SceneNotStarted);
    world.refused(copy, SceneNotStarted);
    let audio = AudioDraft {
        caster_id: world.caster.clone(),
        scene_id: draft.scene_id,
        follow_enable: Some(0),
        ..AudioDraft::default()
    };
    world.refused(Call::UpdateCasterSceneAudio(audio), SceneNotStarted);
}

#[test]
fn set_replaces_and_update_keeps() {
    let mut world = World::on_air();
    let content = |world: &World| {
        let scene = world.the_caster().scene(Bus::Pvw).unwrap().clone();
        let caster = world.the_caster();
        let layout = caster.layouts.iter().position(|l| Some(&l.id) == scene.layout.as_ref());
        (layout, scene.components.len())
    };
    // update?, layout, components → layout, number of components
    for (update, layout, components, expected) in [
        (false, Some(1), &[0, 1][..], (Some(1), 2)),
        (true, None, &[], (Some(1), 2)),
        (true, Some(0), &[], (Some(0), 2)),
        (true, None, &[1], (Some(0), 1)),
        (false, None, &[], (Some(0), 1)),
        (false, None, &[0, 1], (Some(0), 2)),
        (false, Some(1), &[], (Some(1), 0)),
    ] {
        let draft = world.scene(Bus::Pvw, layout, components);
        let call = match update {
            true => Call::UpdateCasterSceneConfig(draft),
            false => Call::SetCasterSceneConfig(draft),
        };
        assert_eq!(world.ok(call).effects, [set(Bus::Pvw, WAIT)]);
        assert_eq!(content(&world), expected);
    }
}

#[test]
fn a_take_brings_picture_and_sound() {
    let mut world = World::on_air();
    let backwards = Call::CopyCasterSceneConfig {
        caster_id: world.caster.clone(),
        from_scene_id: world.scene_id(Bus::Pgm),
        to_scene_id: world.scene_id(Bus::Pvw),
        when: WhenDraft::default(),
        way: WayDraft::default(),
    };
    world.refused(backwards, ParameterMalformed);
    assert_eq!(mix_of(&world, Bus::Pgm), ["RV01"]);
    world.ok(Call::SetCasterSceneConfig(world.scene(Bus::Pvw, Some(1), &[1])));
    assert_eq!(mix_of(&world, Bus::Pgm), ["RV01"], "PVW never touches PGM");
    assert_eq!(world.ok(take(&world)).effects, [Effect::Take { when: WAIT, way: Way::Cut }]);
    assert_eq!(mix_of(&world, Bus::Pgm), ["RV02"]);
    let (pvw, pgm) = (Bus::Pvw, Bus::Pgm);
    let caster = world.the_caster();
    assert_eq!(caster.scene(pvw).unwrap().layout, caster.scene(pgm).unwrap().layout);
    // Without audio-follows-video only the picture changes.
    let follow = AudioDraft {
        caster_id: world.caster.clone(),
        scene_id: world.scene_id(pgm),
        follow_enable: Some(0),
        ..AudioDraft::default()
    };
    assert_eq!(world.ok(Call::UpdateCasterSceneAudio(follow)).effects, [Effect::FollowSet]);
    world.ok(Call::SetCasterSceneConfig(world.scene(pvw, Some(0), &[])));
    world.ok(take(&world));
    assert_eq!(mix_of(&world, pgm), ["RV02"]);
    world.ok(Call::SetCasterSceneConfig(world.scene(pgm, Some(0), &[])));
    assert_eq!(mix_of(&world, pgm), ["RV02"]);
}

#[test]
fn a_take_without_a_layout_is_refused() {
    let mut world = World::ready();
    let caster_id = world.caster.clone();
    world.ok(Call::StartCaster { caster_id });
    world.refused(take(&world), LayoutNotFound);
}

#[test]
fn the_mixer() {
    let mut world = World::on_air();
    let base = AudioDraft {
        caster_id: world.caster.clone(),
        scene_id: world.scene_id(Bus::Pgm),
        follow_enable: None,
        audio_layers: vec![AudioLayerDraft { volume_rate: Some(0.5), ..Default::default() }],
        mix_list: vec!["RV03".into()],
    };
    let effects = world.ok(Call::UpdateCasterSceneAudio(base.clone())).effects;
    assert_eq!(effects, [Effect::MixSet { bus: Bus::Pgm }]);
    assert_eq!(mix_of(&world, Bus::Pgm), ["RV03"], "PGM may hear what it does not show");
    for (draft, code) in [
        (AudioDraft { mix_list: Vec::new(), ..base.clone() }, AudioLayersMismatch),
        (AudioDraft { audio_layers: Vec::new(), ..base.clone() }, AudioLayersMismatch),
        (AudioDraft { mix_list: vec!["RV03".into(); 2], ..base.clone() }, ParameterMalformed),
        (AudioDraft { mix_list: vec!["RV50".into()], ..base.clone() }, ResourceNotFound),
        (AudioDraft { follow_enable: Some(2), ..base.clone() }, ParameterMalformed),
        (AudioDraft { scene_id: String::new(), ..base }, SceneIdMalformed),
    ] {
        world.refused(Call::UpdateCasterSceneAudio(draft), code);
    }
    let (caster_id, resource_id) = (world.caster.clone(), world.resource_id(2));
    world.refused(Call::DeleteCasterVideoResource { caster_id, resource_id }, SceneInUse);
}

#[test]
fn changes_of_what_is_on_air_take_effect_at_once() {
    let mut world = World::on_air();
    let caster_id = world.caster.clone();
    let both = |when| vec![set(Bus::Pgm, when), set(Bus::Pvw, when)];
    let (layout_id, component_id, resource_id) =
        (world.layout_id(0), world.component_id(0), world.resource_id(0));
    let image_shown = Effect::ImageShown(Place::Url("file:///b.png".into()));
    let input_changed = Effect::InputChanged(world.the_caster().resources[0].id.clone());
    let mut modify = |call: Call| world.ok(call).effects;
    let component = |draft| Call::ModifyCasterComponent {
        caster_id: caster_id.clone(),
        component_id: component_id.clone(),
        draft,
    };
    let rename = ComponentDraft { component_name: "t".into(), ..ComponentDraft::default() };
    assert_eq!(modify(component(rename)), []);
    assert_eq!(modify(component(text("news"))), both(NOW));
    let mut effects = vec![image_shown];
    effects.extend(both(NOW));
    assert_eq!(modify(component(image("file:///b.png"))), effects);
    let layout_call = |draft| Call::ModifyCasterLayout {
        caster_id: caster_id.clone(),
        layout_id: layout_id.clone(),
        draft,
    };
    let smaller = LayoutDraft { video_layers: vec![video_layer(0.5, &[])], ..Default::default() };
    assert_eq!(modify(layout_call(smaller)), both(NOW));
    let more = LayoutDraft { mix_list: vec![], audio_layers: vec![], ..layout(&[1, 2], &[]) };
    assert_eq!(modify(layout_call(more)), both(WAIT));
    let source = |url: &str| Call::ModifyCasterVideoResource {
        caster_id: caster_id.clone(),
        resource_id: resource_id.clone(),
        draft: ResourceDraft { live_stream_url: url.into(), ..ResourceDraft::default() },
    };
    // A source waits to be looked at first.
    assert_eq!(modify(source("rtmp://in.example.com/app/spare")), []);
    let mut effects = vec![input_changed];
    effects.extend(both(LONG));
    let effect = world.effect_call(Bus::Pvw, 0);
    assert_eq!(world.ok(effect.clone()).effects, effects);
    assert_eq!(world.ok(effect).effects, []);
}

#[test]
fn a_replaced_source_is_heard_without_audio_follows_video() {
    let mut world = World::on_air();
    let follow = AudioDraft {
        caster_id: world.caster.clone(),
        scene_id: world.scene_id(Bus::Pgm),
        follow_enable: Some(0),
        ..AudioDraft::default()
    };
    world.ok(Call::UpdateCasterSceneAudio(follow));
    let call = Call::ModifyCasterVideoResource {
        caster_id: world.caster.clone(),
        resource_id: world.resource_id(0),
        draft: ResourceDraft { live_stream_url: "rtmp://a/b/c".into(), ..Default::default() },
    };
    let input_changed = Effect::InputChanged(world.the_caster().resources[0].id.clone());
    let (pgm, pvw) = (set(Bus::Pgm, LONG), set(Bus::Pvw, LONG));
    let effects = [input_changed, pgm, Effect::MixSet { bus: Bus::Pgm }, pvw];
    world.ok(call);
    let effect = world.effect_call(Bus::Pgm, 0);
    assert_eq!(world.ok(effect).effects, effects);
}

#[test]
fn what_is_on_air_cannot_be_deleted() {
    let mut world = World::on_air();
    // Worlds are made alike, so that the identifiers of one are those of the other.
    let twin = World::on_air();
    let caster_id = || twin.caster.clone();
    let layout =
        |n| Call::DeleteCasterLayout { caster_id: caster_id(), layout_id: twin.layout_id(n) };
    let component = |n| Call::DeleteCasterComponent {
        caster_id: caster_id(),
        component_id: twin.component_id(n),
    };
    let resource = |n| Call::DeleteCasterVideoResource {
        caster_id: caster_id(),
        resource_id: twin.resource_id(n),
    };
    for call in [layout(0), component(0), resource(0)] {
        world.refused(call, SceneInUse);
    }
    assert_eq!(world.ok(layout(1)).effects, []);
    assert_eq!(world.ok(component(1)).effects, []);
    let removed = world.ok(resource(1));
    let Subject::Resource(removed_id) = subject(&removed).clone() else { panic!("{removed:?}") };
    assert_eq!(removed.effects, [Effect::InputRemoved(removed_id)]);
    for (call, code) in [
        (layout(1), LayoutNotFound),
        (component(1), ComponentNotFound),
        (resource(1), ResourceNotFound),
    ] {
        world.refused(call, code);
    }
    world.ok(Call::StopCaster { caster_id: caster_id() });
    for call in [layout(0), component(0), resource(0)] {
        assert_eq!(world.ok(call).effects, []);
    }
}

#[test]
fn a_layout_with_an_empty_location_cannot_be_shown() {
    let mut world = World::on_air();
    let (caster_id, resource_id) = (world.caster.clone(), world.resource_id(1));
    world.ok(Call::DeleteCasterVideoResource { caster_id, resource_id });
    let draft = world.scene(Bus::Pvw, Some(1), &[]);
    world.refused(Call::SetCasterSceneConfig(draft.clone()), ResourceNotFound);
    world.add_resource(2);
    world.ok(Call::SetCasterSceneConfig(draft));
}

#[test]
fn modify_keeps_what_is_absent() {
    let mut world = World::ready();
    let before = world.the_caster().clone();
    let (caster_id, layout_id) = (world.caster.clone(), world.layout_id(1));
    let draft =
        LayoutDraft { blend_list: vec!["RV03".into(), "RV01".into()], ..Default::default() };
    world.ok(Call::ModifyCasterLayout {
        caster_id: caster_id.clone(),
        layout_id: layout_id.clone(),
        draft,
    });
    let (old, new) = (&before.layouts[1], &world.the_caster().layouts[1]);
    assert_eq!(new.audio, old.audio);
    assert_eq!(new.video[0].placement, old.video[0].placement);
    assert_eq!(new.video[0].location, LocationId::parse("RV03").unwrap());
    let shorter = LayoutDraft { blend_list: vec!["RV03".into()], ..Default::default() };
    let call = Call::ModifyCasterLayout { caster_id, layout_id, draft: shorter };
    world.refused(call, VideoLayersMismatch);
    let move_to =
        |location: &str| ResourceDraft { location_id: location.into(), ..Default::default() };
    for (draft, code) in [
        (move_to("RV01"), None),
        (move_to("RV09"), Some(ParameterMalformed)),
        (ResourceDraft { repeat_num: Some(1), ..Default::default() }, Some(ParameterMalformed)),
    ] {
        let (caster_id, resource_id) = (world.caster.clone(), world.resource_id(0));
        let call = Call::ModifyCasterVideoResource { caster_id, resource_id, draft };
        match code {
            Some(code) => world.refused(call, code),
            None => drop(world.ok(call)),
        }
    }
    assert_eq!(world.the_caster().resources, before.resources);
}
