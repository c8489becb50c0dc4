//! Scenes of a caster, resolved.

use super::*;
use crate::catalog::Call;
use crate::catalog::tests::World;

fn number(location: &LocationId) -> u32 {
    location.to_string()[2..].parse().unwrap()
}

#[test]
fn a_scene_resolves_to_what_is_there() {
    let mut world = World::on_air();
    let caster = world.the_caster().clone();
    let mut draft = crate::catalog::SceneDraft {
        caster_id: world.caster.clone(),
        scene_id: world.scene_id(Bus::Pvw),
        layout_id: caster.layouts[1].id.to_string(),
        component_ids: caster.components.iter().map(|c| c.id.to_string()).collect(),
        ..Default::default()
    };
    world.ok(Call::SetCasterSceneConfig(draft.clone()));
    let logo = Arc::new(picture::RgbaImage { size: Size::new(1, 1), pixels: vec![255; 4] });
    let check = |world: &World, bus, inputs: &dyn Fn(u32) -> bool, has_image: bool| {
        let spec = resolve_scene(
            world.the_caster(),
            bus,
            &|l| inputs(number(l)).then(|| InputKey(number(l))),
            &|_| has_image.then(|| logo.clone()),
        );
        let layers: Vec<u32> = spec.picture.layers.iter().map(|l| l.input.0).collect();
        let mix: Vec<u32> = spec.mix.iter().map(|m| m.input.0).collect();
        (layers, spec.picture.overlays.len(), mix)
    };
    assert_eq!(check(&world, Bus::Pvw, &|_| true, true), (vec![1, 2], 2, vec![2]));
    assert_eq!(check(&world, Bus::Pvw, &|_| true, false), (vec![1, 2], 1, vec![2]));
    assert_eq!(check(&world, Bus::Pvw, &|n| n != 2, true), (vec![1], 2, vec![]));
    assert_eq!(check(&world, Bus::Pgm, &|_| true, true), (vec![1], 1, vec![1]));
    draft.component_ids.clear();
    world.ok(Call::SetCasterSceneConfig(draft));
    assert_eq!(check(&world, Bus::Pvw, &|_| true, true), (vec![1, 2], 0, vec![2]));
    let ready = World::ready();
    assert_eq!(check(&ready, Bus::Pgm, &|_| true, true), (vec![], 0, vec![]));
}

#[test]
fn words_become_the_engines() {
    let world = World::on_air();
    let spec =
        resolve_scene(world.the_caster(), Bus::Pgm, &|l| Some(InputKey(number(l))), &|_| None);
    let placement = spec.picture.layers[0].placement;
    assert_eq!((placement.fill, placement.width), (picture::FillMode::Fit, 1.0));
    let overlay = &spec.picture.overlays[0];
    assert_eq!((overlay.opacity, overlay.background), (255, false));
    assert!(matches!(&*overlay.content, OverlayContent::Text(t) if t.text == "hello"));
    let refers = PositionRefer::ALL.iter().map(|&refer| {
        let placement = Placement { width: 0.0, height: 0.0, x: 0.0, y: 0.0, refer };
        let resolved = resolve_placement(&placement, picture::FillMode::None).refer;
        (refer, resolved)
    });
    for (ours, engines) in refers {
        assert_eq!(format!("{ours:?}"), format!("{engines:?}"));
    }
    assert_eq!(canvas_size(Template::Sd), Size::new(854, 480));
    let when = When { force: true, wait_ms: 1500 };
    assert_eq!(readiness(when), Readiness { force: true, wait: Duration::from_millis(1500) });
}
