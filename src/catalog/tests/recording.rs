//! Recordings by hand: what they do to what is recorded, and when they end.

use super::*;
use crate::catalog::{RecordAnswer, RecordDraft, RecordFormatDraft, RecordKind};
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
    let callback_url = "https://h.example/cb".to_owned();
    let config = ConfigDraft { record: Some(record), callback_url, ..config() };
    world.ok(Call::SetCasterConfig { caster_id: world.caster.clone(), config });
}

#[test]
fn a_show_is_recorded_as_configured_until_somebody_says_otherwise() {
    let effects = |effects: &[Effect]| effects == [Effect::OutputsChanged];
    for (on_demand, by_itself) in [(0, true), (1, false), (7, false)] {
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

#[test]
fn who_is_called_back_is_asked_while_nobody_has_said_whether_to_record() {
    let answer = |world: &World, is_wanted, formats: &[RecordKind], cycles_s: &[_]| {
        let (formats, cycles_s) = (formats.to_vec(), cycles_s.to_vec());
        let answer = RecordAnswer { is_wanted, formats, cycles_s };
        Call::AnswerCasterRecording { caster_id: world.caster.clone(), answer }
    };
    let mut world = World::on_air();
    for on_demand in [0, 7, 1] {
        configure(&mut world, on_demand);
        let asks = world.the_caster().record_question();
        assert_eq!(asks, (on_demand == 1).then_some("https://h.example/cb"), "{on_demand}");
    }
    let both = [RecordKind::Flv, RecordKind::Mp4];
    world.ok(answer(&world, true, &both, &[(RecordKind::Flv, 60)]));
    let formats = |world: &World| {
        let record = world.the_caster().recorded().cloned();
        let formats = record.into_iter().flat_map(|record| record.formats);
        formats.map(|format| (format.kind, format.cycle_s)).collect::<Vec<_>>()
    };
    assert_eq!(formats(&world), [(RecordKind::Flv, 60), (RecordKind::Mp4, 900)]);
    assert_eq!(world.the_caster().record_question(), None, "it has been answered");
    world.ok(answer(&world, false, &[], &[]));
    assert_eq!(formats(&world).len(), 2, "nobody asked");
    world.ok(stop(&world));
    assert_eq!(formats(&world), []);
    // The next show is another question.
    world.ok(Call::StopCaster { caster_id: world.caster.clone() });
    assert_eq!(world.the_caster().record_question(), None, "it is not on air");
    world.ok(Call::StartCaster { caster_id: world.caster.clone() });
    world.ok(answer(&world, true, &[], &[]));
    assert_eq!(formats(&world), [(RecordKind::Flv, 900)]);
}

#[test]
fn whether_to_record_is_asked_of_somebody() {
    let format = RecordFormatDraft { format: "flv".into(), ..RecordFormatDraft::default() };
    let formats = vec![format];
    for (on_demand, callback_url, is_taken) in
        [(1, "https://h.example/cb", true), (1, "", false), (2, "https://h.example/cb", false)]
    {
        let mut world = World::on_air();
        let record = RecordDraft {
            on_demand: Some(on_demand),
            formats: formats.clone(),
            ..RecordDraft::default()
        };
        let callback_url = callback_url.to_owned();
        let config = ConfigDraft { record: Some(record), callback_url, ..config() };
        let call = Call::SetCasterConfig { caster_id: world.caster.clone(), config };
        if is_taken {
            world.ok(call);
        } else {
            world.refused(call, ParameterMalformed);
        }
    }
}
