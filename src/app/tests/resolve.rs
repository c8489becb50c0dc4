//! Scenes of a caster, resolved.

use super::*;
use crate::catalog::tests::World;
use crate::catalog::{AudioDraft, AudioLayerDraft, Call, FilterDraft, Source};

fn number(location: &LocationId) -> u32 {
    location.to_string()[2..].parse().unwrap()
}

fn an_image() -> Arc<OverlayContent> {
    let image = picture::RgbaImage { size: Size::new(1, 1), pixels: vec![255; 4] };
    Arc::new(OverlayContent::Image(Arc::new(image)))
}

/// The scene at a time, where the input of a source has the number of its location if `is_there`, those of episodes
/// come from 100 on in their order, and standby's is 99.
fn resolve_at(
    caster: &Caster,
    (bus, unix_ms): (Bus, u64),
    is_there: &dyn Fn(u32) -> bool,
    image: Option<&Arc<OverlayContent>>,
) -> SceneSpec {
    let resource = |id: &ResourceId| {
        let location = number(&caster.location_of(caster.resource(id)?)?);
        is_there(location).then_some(InputKey(location))
    };
    let episode = |id: &EpisodeId| {
        let index = caster.episodes.iter().position(|e| e.id == *id)?;
        let is_file = matches!(
            caster.resource(caster.episodes[index].resource()?)?.source,
            Source::Vod { .. }
        );
        is_file.then(|| InputKey(100 + u32::try_from(index).unwrap()))
    };
    let found = Found {
        resource: &resource,
        episode: &episode,
        standby: Some(InputKey(99)),
        image: &|_| image.cloned(),
    };
    match bus {
        Bus::Pvw => resolve_pvw(caster, &found),
        Bus::Pgm => resolve_pgm(caster, unix_ms, &found),
    }
}

/// Inputs that PGM shows at a time, its overlays, and what it sounds.
fn pgm_at(world: &World, unix_ms: u64) -> (Vec<u32>, usize, Vec<u32>) {
    let spec = resolve_at(world.the_caster(), (Bus::Pgm, unix_ms), &|_| true, None);
    let layers = spec.picture.layers.iter().map(|l| l.input.0).collect();
    (layers, spec.picture.overlays.len(), spec.mix.iter().map(|m| m.input.0).collect())
}

/// A caster on air with a rundown: a file, a live source, the file again, a component; which location is live, and when
/// the first episode begins.
fn with_rundown() -> (World, u32, i64) {
    let mut world = World::on_air();
    let caster_id = world.caster.clone();
    let config = crate::catalog::ConfigDraft {
        domain_name: "live.example.com".into(),
        caster_template: "lp_ld".into(),
        program_effect: Some(1),
        urgent_image_url: "file:///standby.png".into(),
        ..Default::default()
    };
    world.ok(Call::SetCasterConfig { caster_id: caster_id.clone(), config });
    let file = crate::catalog::ResourceDraft {
        resource_name: "clip".into(),
        location_id: "RV09".into(),
        material_id: "clip".into(),
        ..Default::default()
    };
    world.ok(Call::AddCasterVideoResource { caster_id: caster_id.clone(), draft: file });
    let (live, file) = {
        let of = |is_file: bool| {
            let fits =
                |r: &&crate::catalog::Resource| matches!(r.source, Source::Vod { .. }) == is_file;
            world.the_caster().resources.iter().find(fits).unwrap().id.to_string()
        };
        (of(false), of(true))
    };
    let title = world.the_caster().components[0].id.to_string();
    let t0 = i64::try_from(world.now_unix_ms).unwrap() + 10_000;
    let episode =
        |kind: &str, resource: &str, (start, end): (i64, i64)| crate::catalog::EpisodeDraft {
            episode_type: kind.into(),
            resource_id: resource.into(),
            component_ids: if resource.is_empty() { vec![title.clone()] } else { Vec::new() },
            start_time_unix_ms: Some(t0 + start),
            end_time_unix_ms: Some(t0 + end),
            switch_type: if resource == file { "ContentFirst".into() } else { String::new() },
            ..Default::default()
        };
    let episodes = vec![
        episode("Resource", &file, (0, 1000)),
        episode("Resource", &live, (1000, 2000)),
        episode("Resource", &file, (3000, 4000)),
        episode("Component", "", (3500, 5000)),
    ];
    world.ok(Call::AddCasterProgram { caster_id: caster_id.clone(), episodes });
    let live_input = number(
        &world
            .the_caster()
            .resources
            .iter()
            .find(|r| r.id.as_str() == live)
            .unwrap()
            .location
            .unwrap(),
    );
    (world, live_input, t0)
}

#[test]
fn a_rundown_is_on_pgm_between_what_operators_set() {
    let (mut world, live_input, t0) = with_rundown();
    let caster_id = world.caster.clone();
    let own = pgm_at(&world, 0);
    let at = |world: &World, ms: i64| pgm_at(world, u64::try_from(t0 + ms).unwrap());
    let table = [
        (-1, own.clone()),
        (0, (vec![100], 0, vec![100])),
        (999, (vec![100], 0, vec![100])),
        (1000, (vec![live_input], 0, vec![live_input])),
        // A live episode lasts until the next one begins.
        (2999, (vec![live_input], 0, vec![live_input])),
        (3000, (vec![102], 0, vec![102])),
        (3500, (vec![102], 1, vec![102])),
        // A file ends at its own time, and PGM's own content is back; the component stays.
        (4000, (own.0.clone(), own.1 + 1, own.2.clone())),
        (5000, own.clone()),
    ];
    for (ms, expected) in &table {
        assert_eq!(at(&world, *ms), *expected, "{ms}");
    }
    let times: Vec<i64> = rundown::switch_times(world.the_caster(), 0)
        .into_iter()
        .map(|ms| i64::try_from(ms).unwrap() - t0)
        .collect();
    assert_eq!(times, [0, 1000, 3000, 3500, 4000, 5000]);
    // Standby stands over all of it.
    world.ok(Call::EffectCasterUrgent {
        caster_id: caster_id.clone(),
        scene_id: world.scene_id(Bus::Pgm),
    });
    assert_eq!(at(&world, 500), (vec![99], 0, vec![99]));
    // A set by hand passes over the episode that is on, not over the next one.
    world.now_unix_ms = u64::try_from(t0 + 1500).unwrap();
    let draft = crate::catalog::SceneDraft {
        caster_id,
        scene_id: world.scene_id(Bus::Pgm),
        ..Default::default()
    };
    world.ok(Call::SetCasterSceneConfig(draft));
    assert_eq!(at(&world, 1600), own);
    assert_eq!(at(&world, 3000), (vec![102], 0, vec![102]));
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
    let logo = an_image();
    let check = |world: &World, bus, inputs: &dyn Fn(u32) -> bool, has_image: bool| {
        let caster = world.the_caster();
        let spec = resolve_at(caster, (bus, 0), inputs, has_image.then_some(&logo));
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
fn a_filter_reaches_the_mix() {
    use crate::engine::AnsMode::{Music, Speech};
    let mut world = World::on_air();
    let draft = |enable_agc, enable_ans, ans_mode| FilterDraft {
        enable_agc,
        enable_ans,
        ans_mode,
        enable_beautify: 1,
        ..FilterDraft::default()
    };
    for (filter, agc, ans) in [
        (Some(draft(1, 1, 0)), true, Some(Speech)),
        (Some(draft(0, 1, 1)), false, Some(Music)),
        (Some(draft(1, 0, 0)), true, None),
        (Some(draft(0, 0, 0)), false, None),
        (None, false, None),
    ] {
        for bus in [Bus::Pvw, Bus::Pgm] {
            let audio = AudioDraft {
                caster_id: world.caster.clone(),
                scene_id: world.scene_id(bus),
                audio_layers: vec![AudioLayerDraft { filter, ..Default::default() }],
                mix_list: vec!["RV01".into()],
                ..Default::default()
            };
            world.ok(Call::UpdateCasterSceneAudio(audio));
            let spec = resolve_at(world.the_caster(), (bus, 0), &|_| true, None);
            assert_eq!(spec.mix[0].filter, engine::AudioFilter { agc, ans }, "{bus:?} {filter:?}");
        }
    }
}

#[test]
fn words_become_the_engines() {
    let world = World::on_air();
    let spec = resolve_at(world.the_caster(), (Bus::Pgm, 0), &|_| true, None);
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
    let motions: Vec<Motion> = ComponentEffect::ALL.iter().map(|e| resolve_effect(*e)).collect();
    assert_eq!(motions, [Motion::Still, Motion::Horizontal, Motion::Vertical]);
    assert_eq!(canvas_size(Template::Sd), Size::new(854, 480));
    let when = When { force: true, wait_ms: 1500 };
    assert_eq!(readiness(when), Readiness { force: true, wait: Duration::from_millis(1500) });
}

/// PVW with a layout of the first sources, made by this draft, drawn on this caster's canvas. The sources are `native`
/// pixels large.
fn drawn(
    world: &mut World,
    draft: crate::catalog::LayoutDraft,
    native: Size,
    image: Option<&Arc<OverlayContent>>,
) -> picture::DrawList {
    let caster_id = world.caster.clone();
    world.ok(Call::AddCasterLayout { caster_id: caster_id.clone(), draft });
    let layout_id = world.the_caster().layouts.last().unwrap().id.to_string();
    let scene_id = world.scene_id(Bus::Pvw);
    let set = crate::catalog::SceneDraft { caster_id, scene_id, layout_id, ..Default::default() };
    world.ok(Call::SetCasterSceneConfig(set));
    let caster = world.the_caster();
    let spec = resolve_at(caster, (Bus::Pvw, 0), &|_| true, image);
    let canvas = canvas_size(caster.config.template.unwrap());
    let picture = ScenePicture { overlays: Vec::new(), ..spec.picture };
    picture::compose(&picture, &|_| Some(native), canvas, 0)
}

#[test]
fn looks_and_backdrops_are_drawn() {
    let mut world = World::on_air();
    let mut draft = crate::catalog::tests::layout(&[1, 2], &[]);
    draft.video_layers[1].look = Some(crate::catalog::LookDraft {
        crop_left: 0.25,
        crop_right: 0.25,
        mirror: "both".into(),
        opacity: Some(0.5),
        corner_radius: 0.1,
        border_width: 0.02,
        border_color: "0x00ff00".into(),
        ..Default::default()
    });
    draft.backdrop = Some(crate::catalog::BackdropDraft {
        color: "0x102030".into(),
        image: Some(crate::catalog::ImageDraft {
            material_id: "still".into(),
            ..Default::default()
        }),
    });
    let image = an_image();
    let native = Size::new(1280, 720);
    let list = drawn(&mut world, draft.clone(), native, Some(&image));
    assert_eq!(list.ground_rgb, 0x10_20_30);
    let look = Look {
        crop: Crop::new([0.25, 0.0, 0.25, 0.0]),
        mirror: Mirror { horizontal: true, vertical: true },
        opacity: 0.5,
        corner_radius: 0.1,
        border: Some(Border { width: 0.02, rgb: 0x00_ff_00 }),
    };
    let rect = |x_px, width_px| picture::Rect { x_px, y_px: 0, width_px, height_px: 720 };
    let layers = [
        picture::DrawOp::layer(InputKey(1), rect(0, 1280)),
        // Half of it is left, which fits into its box by its height.
        picture::DrawOp::Layer { input: InputKey(2), rect: rect(320, 640), look },
    ];
    let cover = picture::DrawOp::Cover(image);
    assert_eq!(list.ops, [&[cover][..], &layers[..]].concat());
    // An image that is not there yet leaves the colour.
    assert_eq!(drawn(&mut world, draft, native, None).ops, layers);
    let plain = drawn(&mut world, crate::catalog::tests::layout(&[1], &[]), native, None);
    assert_eq!(plain, picture::DrawList::of(native, vec![layers[0].clone()]));
}

#[test]
fn a_text_stands_on_its_box() {
    let mut world = World::on_air();
    let mut draft = crate::catalog::tests::text("boxed");
    draft.text.as_mut().unwrap().background = Some(crate::catalog::TextBackgroundDraft {
        color: "0x102030".into(),
        opacity: Some(0.5),
        padding: 0.25,
    });
    let caster_id = world.caster.clone();
    let component_id = world.the_caster().components[0].id.to_string();
    world.ok(Call::ModifyCasterComponent { caster_id, component_id, draft });
    let spec = resolve_at(world.the_caster(), (Bus::Pgm, 0), &|_| true, None);
    let OverlayContent::Text(text) = &*spec.picture.overlays[0].content else { panic!() };
    let expected = TextBox { rgb: 0x10_20_30, opacity: 0.5, padding: 0.25 };
    assert_eq!((&text.text[..], text.background.as_ref()), ("boxed", Some(&expected)));
}

#[test]
fn presets_are_sane_on_canvases_of_every_shape() {
    for &template in Template::ALL {
        let mut world = World::ready();
        for number in 4..=9 {
            world.add_resource(number);
        }
        let caster_id = world.caster.clone();
        let config = crate::catalog::ConfigDraft {
            caster_template: template.as_str().into(),
            ..crate::catalog::tests::config()
        };
        world.ok(Call::SetCasterConfig { caster_id: caster_id.clone(), config });
        world.ok(Call::StartCaster { caster_id });
        let canvas = canvas_size(template);
        for &preset in catalog::LayoutPreset::ALL {
            for native in
                [canvas, Size::new(1920, 1080), Size::new(1080, 1920), Size::new(720, 576)]
            {
                let blend_list = (1..=preset.slots().len()).map(|n| format!("RV{n:02}")).collect();
                let draft = crate::catalog::LayoutDraft {
                    preset: preset.as_str().into(),
                    blend_list,
                    ..Default::default()
                };
                let list = drawn(&mut world, draft, native, None);
                check_sane(&list, preset, native);
            }
        }
    }
}

/// All sources are there, whole, in their own shape, on the canvas; none hides another but for the large one of
/// picture-in-picture.
fn check_sane(list: &picture::DrawList, preset: catalog::LayoutPreset, native: Size) {
    let rect = |op: &picture::DrawOp| match op {
        picture::DrawOp::Layer { rect, .. } => *rect,
        other => panic!("{other:?}"),
    };
    let rects: Vec<picture::Rect> = list.ops.iter().map(rect).collect();
    let told = format!("{preset:?} of {native:?} on {:?}: {rects:?}", list.canvas);
    assert_eq!(rects.len(), preset.slots().len(), "{told}");
    let covers = usize::from(preset.as_str().starts_with("pip_"));
    for (n, a) in rects.iter().enumerate() {
        let right = |r: &picture::Rect| r.x_px + r.width_px.cast_signed();
        let bottom = |r: &picture::Rect| r.y_px + r.height_px.cast_signed();
        let canvas = (list.canvas.width_px.cast_signed(), list.canvas.height_px.cast_signed());
        assert!(a.x_px >= 0 && a.y_px >= 0, "{told}");
        assert!(right(a) <= canvas.0 && bottom(a) <= canvas.1, "{told}");
        let shape = f64::from(native.width_px) / f64::from(native.height_px);
        let wide = f64::from(a.height_px) * shape;
        // Sides are even numbers.
        assert!((wide - f64::from(a.width_px)).abs() <= 2.0 * shape.max(1.0), "{told}");
        for b in &rects[n + 1..] {
            let apart = a.x_px >= right(b)
                || b.x_px >= right(a)
                || a.y_px >= bottom(b)
                || b.y_px >= bottom(a);
            assert!(apart || n < covers, "{told}");
        }
    }
}
