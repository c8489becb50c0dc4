//! What a configuration may say, and what follows from it; channels.

use super::super::ErrorCode::*;
use super::super::*;
use super::*;

fn set(world: &World, config: ConfigDraft) -> Call {
    Call::SetCasterConfig { caster_id: world.caster.clone(), config }
}

type Edit = fn(&mut ConfigDraft);

fn detector(fault: &str, after_s: f32) -> DetectorDraft {
    DetectorDraft { fault: fault.into(), after_s: Some(after_s), standby: None }
}

#[test]
fn a_configuration_is_whole_or_refused() {
    let record = |edit: fn(&mut RecordFormatDraft)| {
        let mut format = RecordFormatDraft { format: "flv".into(), ..Default::default() };
        edit(&mut format);
        Some(RecordDraft { formats: vec![format], ..Default::default() })
    };
    let records = [
        (record(|_| {}), None),
        (record(|f| f.format = "M3U8".into()), None),
        (record(|f| f.format = "avi".into()), Some(ParameterMalformed)),
        (record(|f| f.cycle_duration_s = Some(0)), Some(ParameterMalformed)),
        (record(|f| f.cycle_duration_s = Some(30_000)), Some(ParameterMalformed)),
        (record(|f| f.oss_object_prefix = "a/{StreamName}_{StartTime}".into()), None),
        (record(|f| f.oss_object_prefix = "../a".into()), Some(ParameterMalformed)),
        (record(|f| f.oss_object_prefix = "/a".into()), Some(ParameterMalformed)),
        (record(|f| f.oss_object_prefix = "{Nobody}".into()), Some(ParameterMalformed)),
        (Some(RecordDraft::default()), Some(ParameterMalformed)),
    ];
    for (record, code) in records {
        check(ConfigDraft { record, ..config() }, code);
    }
    let table: &[(Edit, Option<ErrorCode>)] = &[
        (|c| c.live_templates = vec!["lld".into(), "lhd".into()], None),
        (|c| c.live_templates = vec!["lud".into()], Some(ParameterMalformed)),
        (|c| c.live_templates = vec!["daobo-lud".into()], None),
        (|c| c.live_templates = vec!["x".into()], Some(ParameterMalformed)),
        (|c| c.custom_size_px = [Some(1280), Some(720)], None),
        (|c| c.custom_size_px = [Some(1280), Some(722)], Some(ParameterMalformed)),
        (|c| c.delay_s = Some(300.0), None),
        (|c| c.delay_s = Some(300.5), Some(ParameterMalformed)),
        (|c| c.delay_s = Some(f32::NAN), Some(ParameterMalformed)),
        (|c| c.urgent_image_url = "http://files.example.com/standby.png".into(), None),
        (|c| c.urgent_image_url = "rtmp://a/b".into(), Some(ParameterMalformed)),
        (|c| c.urgent_material_id = "clip".into(), None),
        (|c| c.urgent_material_id = "still".into(), Some(MaterialIdMalformed)),
        (|c| c.urgent_image_id = "nobody".into(), Some(MaterialIdMalformed)),
        (|c| c.auto_switch_after_s = Some(0.0), Some(ParameterMalformed)),
        (|c| c.auto_return_after_s = Some(600.0), None),
        (|c| c.auto_return_after_s = Some(0.05), Some(ParameterMalformed)),
        (|c| c.detectors = vec![detector("black", 0.1), detector("silent", 3600.0)], None),
        (|c| c.detectors = vec![detector("black", 0.0)], Some(ParameterMalformed)),
        (|c| c.detectors = vec![detector("blue", 1.0)], Some(ParameterMalformed)),
        (|c| c.detectors = vec![detector("black", 1.0); 2], Some(ParameterMalformed)),
        (|c| c.callback_url = "http://hook.example.com/cb".into(), None),
        (|c| c.callback_url = "file:///etc/passwd".into(), Some(ParameterMalformed)),
        (|c| c.side_output_url = "http://a/b".into(), Some(ParameterMalformed)),
        (|c| c.channel_enable = Some(2), Some(ParameterMalformed)),
        (|c| c.program_effect = Some(1), None),
    ];
    for (edit, code) in table {
        let mut draft = config();
        edit(&mut draft);
        check(draft, *code);
    }
}

/// A draft of a relay to this host.
fn relay(host: &str, rendition: &str, enabled: Option<bool>) -> RelayDraft {
    let (url, rendition) = (format!("srt://{host}:9?streamid=key"), rendition.into());
    RelayDraft { url, name: "CDN".into(), rendition, enabled }
}

#[test]
fn relays_say_more_than_urls_and_keep_it_on_the_wire_that_cannot() {
    let with = |relays: Vec<RelayDraft>, urls: &[&str]| ConfigDraft {
        live_templates: vec!["lld".into()],
        side_output_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        relays: Some(relays),
        ..config()
    };
    let twenty = (0..20).map(|n| relay(&format!("h{n}"), "", None)).collect::<Vec<_>>();
    for (draft, code) in [
        (with(vec![relay("a", "lld", None)], &["rtmps://b/c"]), None),
        (with(vec![relay("a", "lhd", None)], &[]), Some(ParameterMalformed)),
        (with(vec![relay("a", "", None), relay("a", "lld", None)], &[]), Some(ParameterMalformed)),
        (with(vec![relay("a", "", None)], &["srt://a:9?streamid=key"]), Some(ParameterMalformed)),
        (with(vec![RelayDraft::default()], &[]), Some(ParameterMalformed)),
        (with(twenty.clone(), &[]), None),
        (with(twenty, &["rtmp://b/c"]), Some(ParameterMalformed)),
    ] {
        check(draft, code);
    }
    let mut world = World::on_air();
    let off = with(vec![relay("a", "lld", Some(false))], &["rtmp://b/c"]);
    let effects = world.ok(set(&world, off)).effects;
    assert_eq!(effects, [Effect::OutputsChanged, Effect::RelaysChanged]);
    // The cloud API's wire repeats the URLs.
    let before = world.the_caster().config.relays.clone();
    let urls = before.iter().map(|relay| relay.url.clone()).collect::<Vec<_>>();
    let again = ConfigDraft { side_output_urls: urls, relays: None, ..with(vec![], &[]) };
    assert_eq!(world.ok(set(&world, again.clone())).effects, []);
    assert_eq!(world.the_caster().config.relays, before);
    // Without its rendition it would get PGM.
    let fewer = ConfigDraft { live_templates: vec![], ..again };
    world.ok(set(&world, fewer));
    let relay = world.the_caster().config.relays.iter().find(|relay| !relay.enabled).unwrap();
    assert_eq!((relay.rendition, &relay.name[..]), (None, "CDN"));
}

fn check(draft: ConfigDraft, code: Option<ErrorCode>) {
    let mut world = World::ready();
    let call = set(&world, draft);
    match code {
        Some(code) => world.refused(call, code),
        None => {
            world.ok(call);
        }
    }
}

#[test]
fn the_bit_rate_changes_on_air_and_the_rest_of_the_encoder_waits() {
    let mut world = World::on_air();
    for (edit, effects) in [
        ((|d| d.video_bps = Some(500_000)) as fn(&mut ConfigDraft), &[Effect::OutputsChanged][..]),
        (|d| d.x264_preset = "fast".into(), &[]),
        (|d| d.frame_rate = "25".into(), &[]),
    ] {
        let mut draft = config();
        draft.video_bps = world.the_caster().config.encoder.video_bps;
        edit(&mut draft);
        assert_eq!(world.ok(set(&world, draft)).effects, effects);
    }
}

#[test]
fn standby_is_what_moves_before_what_stands_still() {
    let all = Standby {
        live_url: Some("rtmp://a/b".into()),
        material: MaterialId::parse("clip"),
        image: MaterialId::parse("still"),
        image_url: Some("file:///a.png".into()),
    };
    assert!(matches!(all.source(), Some(Source::Live { .. })));
    let no_live = Standby { live_url: None, ..all };
    assert!(matches!(no_live.source(), Some(Source::Vod { play, .. }) if play.repeat_num == -1));
    let images = Standby { material: None, ..no_live };
    assert_eq!(images.source().map(|s| s.url().to_owned()), Some(String::new()));
    let url = Standby { image: None, ..images };
    assert_eq!(url.source().map(|s| s.url().to_owned()), Some("file:///a.png".to_owned()));
    assert_eq!(Standby::default().source(), None);
}

#[test]
fn standby_goes_on_pgm_and_off_again() {
    let mut world = World::on_air();
    let urgent = |w: &World, bus| Call::EffectCasterUrgent {
        caster_id: w.caster.clone(),
        scene_id: w.scene_id(bus),
    };
    world.refused(urgent(&world, Bus::Pgm), UrgentMaterialNotFound);
    let with = ConfigDraft { urgent_image_url: "file:///standby.png".into(), ..config() };
    let effects = world.ok(set(&world, with.clone())).effects;
    assert_eq!(effects, [Effect::StandbyChanged]);
    world.refused(urgent(&world, Bus::Pvw), ParameterMalformed);
    world.ok(urgent(&world, Bus::Pgm));
    let on_standby = |w: &World| w.the_caster().scenes.as_ref().unwrap().on_standby;
    assert!(on_standby(&world));
    world.refused(set(&world, config()), SceneInUse);
    let other = ConfigDraft { urgent_image_url: "file:///other.png".into(), ..with };
    let effects = world.ok(set(&world, other)).effects;
    assert!(matches!(
        effects[..],
        [Effect::StandbyChanged, Effect::SceneSet { bus: Bus::Pgm, .. }]
    ));
    // Without a layout: what was there before.
    let before = world.the_caster().scene(Bus::Pgm).cloned();
    let draft = world.scene(Bus::Pgm, None, &[]);
    world.ok(Call::SetCasterSceneConfig(draft));
    assert!(!on_standby(&world));
    assert_eq!(world.the_caster().scene(Bus::Pgm).cloned(), before);
}

#[test]
fn channels_stay_once_they_are_enabled() {
    let mut world = World::ready();
    let on = ConfigDraft { channel_enable: Some(1), ..config() };
    assert!(!world.the_caster().layouts.is_empty());
    world.ok(set(&world, on.clone()));
    assert!(world.the_caster().layouts.is_empty(), "they named locations");
    world.refused(set(&world, config()), ChannelDisableUnsupported);
    world.ok(set(&world, on));
}

#[test]
fn a_channel_plays_one_source() {
    let mut world = World::ready();
    let caster_id = world.caster.clone();
    let channel = |id: &str, resource: &str| ChannelDraft {
        caster_id: caster_id.clone(),
        channel_id: id.into(),
        resource_id: resource.into(),
        ..Default::default()
    };
    let live = world.the_caster().resources[0].id.to_string();
    let set_channel = Call::SetCasterChannel;
    world.refused(set_channel(channel("RV01", &live)), ChannelDisabled);
    world.ok(set(&world, ConfigDraft { channel_enable: Some(1), ..config() }));
    let file = ResourceDraft {
        live_stream_url: String::new(),
        location_id: String::new(),
        material_id: "clip".into(),
        begin_offset_ms: Some(5000),
        ..resource(4)
    };
    world.ok(Call::AddCasterVideoResource { caster_id: caster_id.clone(), draft: file });
    let file = world.the_caster().resources[3].id.to_string();
    for (draft, code) in [
        (channel("", &live), MissingParameter),
        (channel("RV13", &live), ParameterMalformed),
        (channel("RV01", ""), MissingParameter),
        (channel("RV01", "nobody"), ResourceNotFound),
        (ChannelDraft { seek_offset_ms: Some(-1), ..channel("RV01", &file) }, ParameterMalformed),
        (ChannelDraft { seek_offset_ms: Some(1), ..channel("RV01", &live) }, ParameterMalformed),
        (ChannelDraft { play_status: Some(0), ..channel("RV01", &live) }, ParameterMalformed),
        (ChannelDraft { play_status: Some(2), ..channel("RV01", &file) }, ParameterMalformed),
        (ChannelDraft { face_beauty: "5".into(), ..channel("RV01", &live) }, ParameterMalformed),
    ] {
        world.refused(set_channel(draft), code);
    }
    world.ok(set_channel(channel("RV01", &live)));
    world.ok(set_channel(channel("RV02", &file)));
    world.refused(set_channel(channel("RV03", &live)), ResourceOfChannelExist);
    let at = |w: &World, id: &str| {
        w.the_caster().channel(LocationId::parse(id).unwrap()).cloned().unwrap()
    };
    assert_eq!(at(&world, "RV02").position_ms, 5000, "where the file begins");
    // On air: a seek replaces the input, shows it where it was shown, and runs it.
    world.add_layout(&[1, 2], &[1]);
    world.ok(Call::StartCaster { caster_id: caster_id.clone() });
    let draft = world.scene(Bus::Pgm, Some(0), &[]);
    world.ok(Call::SetCasterSceneConfig(draft));
    let seek = ChannelDraft { seek_offset_ms: Some(9000), ..channel("RV02", "") };
    let effects = world.ok(set_channel(seek)).effects;
    let resource = crate::ids::ResourceId::parse(&file).unwrap();
    assert_eq!(effects[0], Effect::Seek { resource: resource.clone(), position_ms: 9000 });
    assert!(matches!(effects[1], Effect::SceneSet { bus: Bus::Pgm, .. }), "{effects:?}");
    assert_eq!(effects[2..], [Effect::PlayingSet(resource.clone())]);
    let pause = ChannelDraft { play_status: Some(0), ..channel("RV02", "") };
    assert_eq!(world.ok(set_channel(pause)).effects, [Effect::PlayingSet(resource)]);
    assert!(!at(&world, "RV02").playing);
    // Another source in the channel of what is shown: the scene shows it.
    let third = world.the_caster().resources[2].id.to_string();
    let effects = world.ok(set_channel(channel("RV01", &third))).effects;
    assert!(matches!(effects[0], Effect::SceneSet { bus: Bus::Pgm, .. }), "{effects:?}");
    // What the app notes is no write of a client's.
    let id = CasterId::parse(&caster_id).unwrap();
    let revision = world.the_caster().revision;
    let positions = [(LocationId::parse("RV02").unwrap(), 12_000)];
    let change = world.catalog.with_positions(&id, &positions).unwrap();
    world.catalog.commit(change);
    assert_eq!((at(&world, "RV02").position_ms, world.the_caster().revision), (12_000, revision));
    assert_eq!(world.catalog.with_positions(&id, &positions), None, "nothing new");
}

#[test]
fn a_sync_group_has_live_members_of_its_own() {
    let mut world = World::ready();
    let ids: Vec<String> = world.the_caster().resources.iter().map(|r| r.id.to_string()).collect();
    let group = |mode, host: &str, members: &[usize]| SyncGroupDraft {
        mode: Some(mode),
        host_resource_id: host.into(),
        resource_ids: members.iter().map(|&index| ids[index].clone()).collect(),
    };
    let call = |groups: &[SyncGroupDraft]| Call::SetCasterSyncGroup {
        caster_id: world.caster.clone(),
        sync_groups: groups.to_vec(),
    };
    let refused = [
        (vec![group(0, "", &[0, 1])], MissingParameter),
        (vec![group(1, &ids[0], &[1])], ParameterMalformed),
        (vec![group(2, "", &[0, 1])], ParameterMalformed),
        (vec![group(1, "", &[0])], ParameterMalformed),
        (vec![group(0, "nobody", &[1])], ResourceNotFound),
        (vec![group(1, "", &[0, 1]), group(1, "", &[1, 2])], ParameterMalformed),
    ];
    let calls: Vec<_> = refused.iter().map(|(groups, code)| (call(groups), *code)).collect();
    let good = call(&[group(0, &ids[0], &[1, 2])]);
    for (call, code) in calls {
        world.refused(call, code);
    }
    world.ok(good);
    assert_eq!(world.the_caster().config.sync_groups[0].resources.len(), 3);
    // A member that is deleted leaves; the host takes its group along.
    let delete = |world: &World, id: &str| Call::DeleteCasterVideoResource {
        caster_id: world.caster.clone(),
        resource_id: id.to_owned(),
    };
    world.ok(delete(&world, &ids[1]));
    assert_eq!(world.the_caster().config.sync_groups[0].resources.len(), 2);
    world.ok(delete(&world, &ids[0]));
    assert_eq!(world.the_caster().config.sync_groups, []);
}

#[test]
fn a_writer_who_missed_a_change_is_told() {
    let mut world = World::ready();
    let revision = world.the_caster().revision;
    let call = |w: &World| Call::UpdateCasterResourceGroup {
        caster_id: w.caster.clone(),
        new_resource_group_id: "rg".into(),
    };
    world.expected_revision = Some(revision);
    world.ok(call(&world));
    world.refused(call(&world), RevisionMismatch);
    world.expected_revision = Some(revision + 1);
    world.ok(call(&world));
}
