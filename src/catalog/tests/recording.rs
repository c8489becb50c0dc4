//! Recordings by hand: what they do to what is recorded, and when they end.

use super::*;
use crate::catalog::{RecordDraft, RecordFormatDraft};
use ErrorCode::*;

fn start(world: &World) -> Call {
    Call::StartCasterRecording { caster_id: world.caster.clone() }
}

fn stop(world: &World) -> Call {
    Call::StopCasterRecording { caster_id: world.caster.clone() }
}

/// Has the caster record, as `OnDemand` says.
fn configure(world: &mut World, on_demand: i32) {
    let format = RecordFormatDraft { format: "flv".into(), ..RecordFormatDraft::default() };
    let record =
        RecordDraft { on_demand: Some(on_demand), formats: vec![format], ..RecordDraft::default() };
    let config = ConfigDraft { record: Some(record), ..config() };
    world.ok(Call::SetCasterConfig { caster_id: world.caster.clone(), config });
}

#[test]
fn a_show_is_recorded_as_configured_until_somebody_says_otherwise() {
    let effects = |effects: &[Effect]| effects == [Effect::OutputsChanged];
    for (on_demand, by_itself) in [(0, true), (7, false)] {
        let mut world = World::on_air();
        world.refused(start(&world), ConfigurationNotFound);
        configure(&mut world, on_demand);
        assert_eq!(world.the_caster().recorded().is_some(), by_itself, "{on_demand}");
        // The second of each asks for what there is.
        let calls = [(start(&world), true), (start(&world), true), (stop(&world), false)];
        let mut was = by_itself;
        for (call, is) in calls.into_iter().chain([(stop(&world), false), (start(&world), true)]) {
            let prepared = world.ok(call.clone());
            assert_eq!(world.the_caster().recorded().is_some(), is, "{on_demand} {call:?}");
            assert_eq!(effects(&prepared.effects), was != is, "{on_demand} {call:?}");
            was = is;
        }
        // It lasts as long as the show, over its restart too.
        world.ok(Call::RestartCaster { caster_id: world.caster.clone() });
        assert!(world.the_caster().recorded().is_some());
        world.ok(stop(&world));
        world.ok(Call::StopCaster { caster_id: world.caster.clone() });
        for call in [start(&world), stop(&world)] {
            world.refused(call, CasterIdle);
        }
        world.ok(Call::StartCaster { caster_id: world.caster.clone() });
        assert_eq!(world.the_caster().recorded().is_some(), by_itself, "{on_demand}");
    }
}
