//! Random calls in random states: nothing panics, refusals change nothing, what is accepted keeps the invariants.

use proptest::prelude::*;

use super::*;
use crate::catalog::{
    AudioDraft, BackdropDraft, DescribeCasters, ImageDraft, LocationId, LookDraft, RelayDraft,
    TextBackgroundDraft, TransitionDraft, WayDraft,
};

/// A call with small random parameters; `pick` stands for an index into what there is.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    kind: u8,
    pick: [u8; 3],
    number: i32,
    fraction: f32,
    flag: bool,
}

pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let fraction = prop_oneof![0.0f32..1.2, Just(f32::NAN), Just(-1.0)];
    let step = (0u8..27, any::<[u8; 3]>(), -2i32..12, fraction, any::<bool>());
    let step = step.prop_map(|(kind, pick, number, fraction, flag)| Step {
        kind,
        pick: pick.map(|p| p % 8),
        number,
        fraction,
        flag,
    });
    prop::collection::vec(step, 1..count)
}

/// The call of a step in the present state: identifiers are mostly of things that exist.
pub(crate) fn call_of(world: &World, step: &Step) -> Call {
    let caster = world.the_caster();
    let caster_id = world.caster.clone();
    let [a, b, c] = step.pick;
    let nth = |list: Vec<String>, n: u8| list.get(usize::from(n)).cloned().unwrap_or_default();
    let resource_id = nth(caster.resources.iter().map(|r| r.id.to_string()).collect(), a);
    let layout_id = nth(caster.layouts.iter().map(|l| l.id.to_string()).collect(), a);
    let component_id = nth(caster.components.iter().map(|c| c.id.to_string()).collect(), b);
    let scene_id = world.scene_id(if step.flag { Bus::Pgm } else { Bus::Pvw });
    let when = WhenDraft { force: step.flag, wait_ms: Some(step.number) };
    let way = random_way(step);
    let scene = SceneDraft {
        caster_id: caster_id.clone(),
        scene_id: scene_id.clone(),
        layout_id: layout_id.clone(),
        component_ids: Some(component_id.clone()).filter(|id| !id.is_empty()).into_iter().collect(),
        when: when.clone(),
        way: way.clone(),
    };
    match step.kind {
        0 => Call::StartCaster { caster_id },
        1 => Call::StopCaster { caster_id },
        2 => Call::SetCasterConfig {
            caster_id,
            config: ConfigDraft {
                side_output_urls: (0..a).map(|n| format!("rtmp://a/{n}")).collect(),
                relays: step.flag.then(|| (0..a).map(random_relay).collect()),
                ..config()
            },
        },
        3 | 4 => Call::AddCasterVideoResource { caster_id, draft: random_resource(step) },
        5 => {
            Call::ModifyCasterVideoResource { caster_id, resource_id, draft: random_resource(step) }
        }
        6 => Call::DeleteCasterVideoResource { caster_id, resource_id },
        7 | 8 => Call::AddCasterLayout { caster_id, draft: random_layout(step) },
        9 => Call::ModifyCasterLayout { caster_id, layout_id, draft: random_layout(step) },
        10 => Call::DeleteCasterLayout { caster_id, layout_id },
        11 | 12 => Call::AddCasterComponent { caster_id, draft: random_component(step) },
        13 => {
            Call::ModifyCasterComponent { caster_id, component_id, draft: random_component(step) }
        }
        14 => Call::DeleteCasterComponent { caster_id, component_id },
        15 | 16 => Call::SetCasterSceneConfig(scene),
        17 => Call::UpdateCasterSceneConfig(scene),
        18 | 19 => take_call(world, when, way),
        20 => Call::UpdateCasterSceneAudio(AudioDraft {
            caster_id,
            scene_id,
            follow_enable: Some(step.number),
            audio_layers: vec![AudioLayerDraft::default()],
            mix_list: vec![format!("RV{c:02}")],
        }),
        21 => Call::DescribeCasterScenes { caster_id, scene_id },
        22 => Call::DescribeCasters(DescribeCasters {
            page_num: Some(step.number),
            page_size: Some(step.number),
            start_time_unix_ms: Some(step.number.into()),
            ..DescribeCasters::default()
        }),
        23 => Call::DescribeCasterSceneAudio { caster_id, scene_id },
        24 => Call::DescribeCasterStreamUrl { caster_id },
        25 => Call::FadeCasterToBlack { caster_id, on: step.flag, duration_frames: step.number },
        _ => Call::DescribeCasterLayouts { caster_id, layout_id },
    }
}

fn random_relay(n: u8) -> RelayDraft {
    let enabled = [None, Some(true), Some(false)][usize::from(n % 3)];
    RelayDraft {
        url: format!("srt://b:9/{n}"),
        name: format!("{n}"),
        enabled,
        ..Default::default()
    }
}

fn random_way(step: &Step) -> WayDraft {
    let [_, b, c] = step.pick;
    let kinds = ["mix", "dip", "wipe", "push", "dissolve", "cut", "", "slide"];
    WayDraft {
        transition: (c > 1).then(|| TransitionDraft {
            kind: kinds[usize::from(b)].into(),
            duration_frames: step.number,
            ..TransitionDraft::default()
        }),
        component_fade_frames: (c < 3).then_some(step.number),
    }
}

fn take_call(world: &World, when: WhenDraft, way: WayDraft) -> Call {
    Call::CopyCasterSceneConfig {
        caster_id: world.caster.clone(),
        from_scene_id: world.scene_id(Bus::Pvw),
        to_scene_id: world.scene_id(Bus::Pgm),
        when,
        way,
    }
}

fn random_resource(step: &Step) -> ResourceDraft {
    let mut draft = resource(step.pick[1]);
    if step.flag {
        draft.live_stream_url.clear();
        draft.vod_url = format!("http://a/{}.mp4", step.pick[2]);
        draft.repeat_num = Some(step.number);
        draft.begin_offset_ms = Some(step.number);
    }
    draft
}

fn random_layout(step: &Step) -> LayoutDraft {
    let mut draft = layout(&[step.pick[0], step.pick[1]], &[step.pick[2]]);
    draft.video_layers[1].placement.position_normalized = vec![step.fraction, 0.5];
    draft.audio_layers[0].volume_rate = Some(step.fraction);
    if step.flag {
        let opacity = Some(step.fraction);
        draft.video_layers[0].look = Some(LookDraft { opacity, ..LookDraft::default() });
        let image_url = format!("file:///{}.png", step.pick[2]);
        let image = Some(ImageDraft { image_url, ..ImageDraft::default() });
        draft.backdrop = Some(BackdropDraft { image, ..BackdropDraft::default() });
    }
    if step.number == 0 {
        draft.preset = "side_by_side".into();
        draft.video_layers.clear();
    }
    draft
}

fn random_component(step: &Step) -> ComponentDraft {
    let mut draft = if step.flag { text("x") } else { image("file:///b.png") };
    draft.location_id = format!("RC{:02}", step.pick[2]);
    if let Some(text) = &mut draft.text {
        text.size_normalized = Some(step.fraction);
        let (color, opacity) = ("0x102030".into(), Some(step.fraction));
        text.background = Some(TextBackgroundDraft { color, opacity, padding: 0.5 });
    }
    draft
}

fn check_invariants(caster: &Caster) {
    let locations: Vec<LocationId> = caster.resources.iter().filter_map(|r| r.location).collect();
    for (n, location) in locations.iter().enumerate() {
        assert!(!locations[..n].contains(location), "{location} twice");
    }
    for bus in [Bus::Pvw, Bus::Pgm] {
        let Some(scene) = caster.scene(bus) else { continue };
        if !caster.is_on_air() {
            assert!(scene.layout.is_none() && scene.components.is_empty() && scene.mix.is_empty());
            continue;
        }
        for id in &scene.components {
            assert!(caster.component(id).is_some(), "{bus:?} shows a component that is gone");
        }
        let layout = scene.layout.as_ref().map(|id| caster.layout(id).expect("it exists on air"));
        let shown = layout.iter().flat_map(|l| l.video.iter().map(|v| v.location));
        for location in shown.chain(scene.mix.iter().map(|a| a.location)) {
            assert!(
                caster.resource_at(location).is_some(),
                "{bus:?} uses {location}, which is empty"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn random_calls_keep_the_rules(steps in steps(60)) {
        let mut world = World::ready();
        for step in &steps {
            let call = call_of(&world, step);
            let before = world.catalog.clone();
            let revision = world.the_caster().revision;
            match world.call(call) {
                Err(refused) => {
                    prop_assert_eq!(&world.catalog, &before);
                    prop_assert_ne!(refused.code, ErrorCode::Internal, "{}", refused);
                }
                Ok(prepared) => {
                    prop_assert!(effects_fit(&prepared), "{:?}", prepared);
                    let grown = revision + u64::from(prepared.change.is_some());
                    prop_assert_eq!(world.the_caster().revision, grown);
                }
            }
            check_invariants(world.the_caster());
        }
    }
}
