//! How PGM gets to a scene, and black: what is accepted, and what the running caster is asked to do.

use super::*;
use crate::catalog::{Direction, Transition, TransitionDraft, TransitionKind, Way, When};
use ErrorCode::*;

const WAIT: When = When { force: false, wait_ms: 3000 };

fn transition(kind: &str, duration_frames: i32) -> TransitionDraft {
    TransitionDraft { kind: kind.into(), duration_frames, ..TransitionDraft::default() }
}

fn by(transition: TransitionDraft) -> WayDraft {
    WayDraft { transition: Some(transition), component_fade_frames: None }
}

fn fading(frames: i32) -> WayDraft {
    WayDraft { transition: None, component_fade_frames: Some(frames) }
}

fn take(world: &World, way: WayDraft) -> Call {
    Call::CopyCasterSceneConfig {
        caster_id: world.caster.clone(),
        from_scene_id: world.scene_id(Bus::Pvw),
        to_scene_id: world.scene_id(Bus::Pgm),
        when: WhenDraft::default(),
        way,
    }
}

#[test]
fn transitions_are_read_and_handed_on() {
    use TransitionKind as K;
    let plain = |kind, frames| {
        Way::Transition(Transition { kind, towards: Direction::Right, rgb: 0, frames })
    };
    let up = TransitionDraft { direction: "upLeft".into(), ..transition("wipe", 15) };
    let red = TransitionDraft { color: "0xff0000".into(), ..transition("dip", 30) };
    for (draft, way) in [
        (WayDraft::default(), Way::Cut),
        (fading(12), Way::FadeComponents { frames: 12 }),
        (by(transition("cut", 0)), plain(K::Cut, 0)),
        (by(transition("mix", 0)), plain(K::Mix, 0)),
        // 60 s at 30 frames a second.
        (by(transition("mix", 1800)), plain(K::Mix, 1800)),
        (by(transition("slide", 1)), plain(K::Slide, 1)),
        (by(transition("push", 1)), plain(K::Push, 1)),
        (
            by(up),
            Way::Transition(Transition {
                kind: K::Wipe,
                towards: Direction::UpLeft,
                rgb: 0,
                frames: 15,
            }),
        ),
        (
            by(red),
            Way::Transition(Transition {
                kind: K::Dip,
                towards: Direction::Right,
                rgb: 0xff_00_00,
                frames: 30,
            }),
        ),
    ] {
        let mut world = World::on_air();
        let call = take(&world, draft.clone());
        assert_eq!(world.ok(call).effects, [Effect::Take { when: WAIT, way }], "{draft:?}");
        for make in [Call::SetCasterSceneConfig, Call::UpdateCasterSceneConfig] {
            let scene = SceneDraft { way: draft.clone(), ..world.scene(Bus::Pgm, Some(0), &[0]) };
            let set = Effect::SceneSet { bus: Bus::Pgm, when: WAIT, way };
            assert_eq!(world.ok(make(scene)).effects, [set], "{draft:?}");
        }
    }
}

#[test]
fn transitions_that_make_no_sense_are_refused() {
    let mut world = World::on_air();
    let wrong = |direction: &str, color: &str| TransitionDraft {
        direction: direction.into(),
        color: color.into(),
        ..transition("wipe", 1)
    };
    let both = WayDraft { component_fade_frames: Some(1), ..by(transition("mix", 1)) };
    for (way, code) in [
        (by(transition("", 5)), MissingParameter),
        (by(transition("dissolve", 5)), ParameterMalformed),
        (by(transition("mix", -1)), ParameterMalformed),
        (by(transition("mix", 1801)), ParameterMalformed),
        (by(wrong("sideways", "")), ParameterMalformed),
        (by(wrong("", "red")), ParameterMalformed),
        (fading(-1), ParameterMalformed),
        (fading(1801), ParameterMalformed),
        (both, ParameterMalformed),
    ] {
        let call = take(&world, way.clone());
        world.refused(call, code);
        let scene = SceneDraft { way, ..world.scene(Bus::Pgm, Some(0), &[0]) };
        world.refused(Call::SetCasterSceneConfig(scene), code);
    }
    // PVW is cut to what it is set to, and components fade over a layout that stays.
    for way in [by(transition("mix", 5)), fading(5)] {
        let scene = SceneDraft { way, ..world.scene(Bus::Pvw, Some(0), &[0]) };
        world.refused(Call::UpdateCasterSceneConfig(scene), ParameterMalformed);
    }
    let other = SceneDraft { way: fading(5), ..world.scene(Bus::Pgm, Some(1), &[0]) };
    world.refused(Call::UpdateCasterSceneConfig(other), ParameterMalformed);
    world.ok(Call::SetCasterSceneConfig(world.scene(Bus::Pvw, Some(1), &[])));
    let call = take(&world, fading(5));
    world.refused(call, ParameterMalformed);
}

#[test]
fn black_stays_until_it_is_taken_back_or_the_show_ends() {
    let mut world = World::on_air();
    let caster_id = world.caster.clone();
    let fade = |on, duration_frames| Call::FadeCasterToBlack {
        caster_id: caster_id.clone(),
        on,
        duration_frames,
    };
    let is_black = |world: &World| world.the_caster().scenes.as_ref().unwrap().on_black;
    for (on, frames) in [(true, 25), (true, 0), (false, 1800), (true, 10)] {
        let effects = world.ok(fade(on, frames)).effects;
        assert_eq!(effects, [Effect::FadeToBlack { frames: frames.unsigned_abs() }]);
        assert_eq!(is_black(&world), on);
    }
    for frames in [-1, 1801] {
        world.refused(fade(false, frames), ParameterMalformed);
    }
    let call = take(&world, WayDraft::default());
    world.ok(call);
    world.ok(Call::RestartCaster { caster_id: caster_id.clone() });
    assert!(is_black(&world), "over takes and restarts");
    world.ok(Call::StopCaster { caster_id: caster_id.clone() });
    assert!(!is_black(&world));
    world.refused(fade(true, 0), CasterIdle);
}
