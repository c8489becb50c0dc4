//! Rundowns, episode groups, timed events: what is refused, and what is on when.

use super::super::ErrorCode::*;
use super::super::*;
use super::*;

const START: i64 = 100_000;

fn episode(world: &World, (start_s, end_s): (i64, i64), switch: &str) -> EpisodeDraft {
    EpisodeDraft {
        episode_type: "Resource".into(),
        resource_id: world.the_caster().resources.last().unwrap().id.to_string(),
        start_time_unix_ms: Some(START + start_s * 1000),
        end_time_unix_ms: Some(START + end_s * 1000),
        switch_type: switch.into(),
        ..Default::default()
    }
}

fn with_file() -> World {
    let mut world = World::ready();
    let draft =
        ResourceDraft { live_stream_url: String::new(), material_id: "clip".into(), ..resource(9) };
    world.ok(Call::AddCasterVideoResource { caster_id: world.caster.clone(), draft });
    world
}

#[test]
fn episodes_are_whole() {
    let base = with_file();
    let good = episode(&base, (0, 60), "ContentFirst");
    let live = base.the_caster().resources[0].id.to_string();
    let component = EpisodeDraft {
        episode_type: "Component".into(),
        resource_id: String::new(),
        component_ids: vec![base.component_id(0)],
        switch_type: String::new(),
        ..good.clone()
    };
    let table = [
        (good.clone(), None),
        (component.clone(), None),
        (EpisodeDraft { episode_type: String::new(), ..good.clone() }, Some(MissingParameter)),
        (EpisodeDraft { episode_type: "Film".into(), ..good.clone() }, Some(ParameterMalformed)),
        (EpisodeDraft { resource_id: String::new(), ..good.clone() }, Some(MissingParameter)),
        (EpisodeDraft { resource_id: "nobody".into(), ..good.clone() }, Some(ResourceNotFound)),
        (EpisodeDraft { start_time_unix_ms: None, ..good.clone() }, Some(MissingParameter)),
        (EpisodeDraft { end_time_unix_ms: None, ..good.clone() }, Some(MissingParameter)),
        (episode(&base, (5, 5), "ContentFirst"), Some(EndTimeMalformed)),
        (episode(&base, (0, 61), "ContentFirst"), Some(EpisodeTooLong)),
        (EpisodeDraft { start_time_unix_ms: Some(-1), ..good.clone() }, Some(StartTimeMalformed)),
        (EpisodeDraft { switch_type: "First".into(), ..good.clone() }, Some(ParameterMalformed)),
        (EpisodeDraft { resource_id: live.clone(), ..good.clone() }, Some(ParameterMalformed)),
        (EpisodeDraft { resource_id: live, switch_type: String::new(), ..good.clone() }, None),
        (EpisodeDraft { component_ids: vec!["no".into()], ..good }, Some(ComponentNotFound)),
        (EpisodeDraft { component_ids: Vec::new(), ..component }, Some(MissingParameter)),
    ];
    for (row, (episode, code)) in table.into_iter().enumerate() {
        let mut world = with_file();
        let call = Call::AddCasterEpisode { caster_id: world.caster.clone(), episode };
        match code {
            Some(code) => world.refused(call, code),
            None => {
                world.call(call).unwrap_or_else(|refused| panic!("row {row}: {refused}"));
            }
        }
    }
}

#[test]
fn a_program_is_added_changed_and_removed_whole() {
    let mut world = with_file();
    let caster_id = world.caster.clone();
    let good = episode(&world, (0, 10), "ContentFirst");
    let bad = EpisodeDraft { resource_id: "nobody".into(), ..good.clone() };
    let add = |episodes: Vec<EpisodeDraft>| Call::AddCasterProgram {
        caster_id: caster_id.clone(),
        episodes,
    };
    world.refused(add(vec![good.clone(), bad]), ResourceNotFound);
    world.refused(add(Vec::new()), MissingParameter);
    let prepared = world.ok(add(vec![good.clone(), episode(&world, (10, 20), "TimeFirst")]));
    let Subject::Episodes(ids) = subject(&prepared).clone() else { panic!("{prepared:?}") };
    assert_eq!(ids.len(), 2);
    let change = |id: &str, end_s: i64| EpisodeDraft {
        episode_id: id.into(),
        end_time_unix_ms: Some(START + end_s * 1000),
        ..Default::default()
    };
    let modify = |episodes: Vec<EpisodeDraft>| Call::ModifyCasterProgram {
        caster_id: caster_id.clone(),
        episodes,
    };
    let first = ids[0].to_string();
    world.refused(modify(vec![change(&first, 5), change("nobody", 5)]), EpisodeNotFound);
    world.ok(modify(vec![change(&first, 5)]));
    assert_eq!(world.the_caster().episode(&ids[0]).unwrap().end_unix_ms, 105_000);
    let other_type = EpisodeDraft { episode_type: "Component".into(), ..change(&first, 5) };
    world.refused(
        Call::ModifyCasterEpisode { caster_id: caster_id.clone(), episode: other_type },
        ParameterMalformed,
    );
    // What an episode to come needs stays; what only one that is over needs may go, and takes it along.
    let file = world.the_caster().resources.last().unwrap().id.to_string();
    let delete =
        Call::DeleteCasterVideoResource { caster_id: caster_id.clone(), resource_id: file };
    world.refused(delete.clone(), SceneInUse);
    world.now_unix_ms = 1_000_000;
    world.ok(delete);
    assert_eq!(world.the_caster().episodes, []);
    world.refused(
        Call::DeleteCasterEpisode { caster_id: caster_id.clone(), episode_id: first },
        EpisodeNotFound,
    );
    world.ok(Call::DeleteCasterProgram { caster_id });
}

/// Begin and end of each slot, s after [`START`]; none for an open end.
fn slots(episodes: &[((i64, i64), &str)]) -> Vec<(i64, Option<i64>)> {
    let mut world = with_file();
    for (times, switch) in episodes {
        let episode = episode(&world, *times, switch);
        world.ok(Call::AddCasterEpisode { caster_id: world.caster.clone(), episode });
    }
    let s = |unix_ms: u64| (i64::try_from(unix_ms).unwrap() - START) / 1000;
    timeline(&world.the_caster().episodes)
        .iter()
        .map(|slot| (s(slot.begin_unix_ms), slot.end_unix_ms.map(s)))
        .collect()
}

#[test]
fn content_keeps_its_times_and_time_fills_the_gaps() {
    let (content, time) = ("ContentFirst", "TimeFirst");
    // Alone: content ends, time goes on.
    assert_eq!(slots(&[((5, 9), content)]), [(5, Some(9))]);
    assert_eq!(slots(&[((5, 9), time)]), [(5, None)]);
    // A gap after content stays; time begins with it, or lasts until the next.
    assert_eq!(slots(&[((0, 5), content), ((8, 9), content)]), [(0, Some(5)), (8, Some(9))]);
    assert_eq!(slots(&[((0, 5), content), ((8, 9), time)]), [(0, Some(5)), (5, None)]);
    assert_eq!(slots(&[((0, 5), time), ((8, 9), content)]), [(0, Some(8)), (8, Some(9))]);
    assert_eq!(slots(&[((0, 5), time), ((8, 9), time)]), [(0, Some(8)), (8, None)]);
    // Where two claim a time the later has it, but time waits for content to end.
    assert_eq!(slots(&[((0, 5), content), ((3, 9), content)]), [(0, Some(3)), (3, Some(9))]);
    assert_eq!(slots(&[((0, 5), content), ((3, 9), time)]), [(0, Some(5)), (5, None)]);
    // By their times, not by the order in which they were added.
    assert_eq!(slots(&[((8, 9), content), ((0, 5), time)]), [(0, Some(8)), (8, Some(9))]);
}

#[test]
fn a_program_is_described_by_filter_and_page() {
    let mut world = with_file();
    for (times, switch) in
        [((0, 10), "ContentFirst"), ((10, 20), "ContentFirst"), ((20, 30), "TimeFirst")]
    {
        let episode = episode(&world, times, switch);
        world.ok(Call::AddCasterEpisode { caster_id: world.caster.clone(), episode });
    }
    world.now_unix_ms = u64::try_from(START).unwrap() + 15_000;
    let base = ProgramFilter { caster_id: world.caster.clone(), ..Default::default() };
    let found = |world: &mut World, filter: ProgramFilter| match world
        .ok(Call::DescribeCasterProgram(filter))
        .answer
    {
        Answer::Program { total, page, .. } => {
            (total, page.into_iter().map(|(_, status)| status as i32).collect::<Vec<_>>())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(found(&mut world, base.clone()), (3, vec![2, 1, 0]));
    let playing = ProgramFilter { status: Some(1), ..base.clone() };
    assert_eq!(found(&mut world, playing), (1, vec![1]));
    let later = ProgramFilter { start_time_unix_ms: Some(START + 5000), ..base.clone() };
    assert_eq!(found(&mut world, later), (2, vec![1, 0]));
    let page = ProgramFilter { page_num: Some(2), page_size: Some(2), ..base.clone() };
    assert_eq!(found(&mut world, page), (3, vec![0]));
    let bad = ProgramFilter { status: Some(3), ..base.clone() };
    world.refused(Call::DescribeCasterProgram(bad), ParameterMalformed);
    let bad = ProgramFilter { page_num: Some(0), ..base };
    world.refused(Call::DescribeCasterProgram(bad), PageNumMalformed);
}

#[test]
fn a_copy_refers_to_its_own_parts() {
    let mut world = with_file();
    let episode = EpisodeDraft {
        component_ids: vec![world.component_id(0)],
        ..episode(&world, (0, 10), "ContentFirst")
    };
    world.ok(Call::AddCasterEpisode { caster_id: world.caster.clone(), episode });
    let copy = Call::CopyCaster(CopyCaster {
        src_caster_id: world.caster.clone(),
        caster_name: "copy".into(),
        client_token: "copy".into(),
    });
    let Some(Change::Upsert(copy)) = world.ok(copy).change else { panic!("no copy") };
    let episode = &copy.episodes[0];
    assert!(copy.resource(episode.resource().unwrap()).is_some());
    assert!(copy.component(&episode.components[0]).is_some());
    assert!(world.the_caster().episode(&episode.id).is_none());
}

#[test]
fn episode_groups_are_made_once_and_deleted() {
    let mut world = World::bare();
    let good = GroupDraft {
        client_token: "group".into(),
        domain_name: "live.example.com".into(),
        start_time_unix_ms: Some(START),
        repeat_num: Some(1),
        side_output_url: "rtmp://relay.example.com/app/s1".into(),
        callback_url: "http://hook.example.com/cb".into(),
        items: vec![GroupItemDraft { item_name: "a".into(), vod_url: "http://f/a.mp4".into() }],
    };
    type EditGroup = fn(&mut GroupDraft);
    let table: &[(EditGroup, ErrorCode)] = &[
        (|g| g.client_token.clear(), MissingParameter),
        (|g| g.domain_name.clear(), MissingParameter),
        (|g| g.start_time_unix_ms = None, MissingParameter),
        (|g| g.repeat_num = Some(-2), ParameterMalformed),
        (|g| g.side_output_url = "http://a/b".into(), ParameterMalformed),
        (|g| g.items.clear(), MissingParameter),
        (|g| g.items[0].vod_url = "rtmp://a/b".into(), ParameterMalformed),
        (|g| g.items[0].vod_url.clear(), MissingParameter),
    ];
    for (edit, code) in table {
        let mut draft = good.clone();
        edit(&mut draft);
        world.refused(Call::AddCasterEpisodeGroup(draft), *code);
    }
    let Answer::Group(group) = world.ok(Call::AddCasterEpisodeGroup(good.clone())).answer else {
        panic!("no group")
    };
    let Answer::Group(again) = world.ok(Call::AddCasterEpisodeGroup(good)).answer else {
        panic!("no group")
    };
    assert_eq!(group, again, "the same token, the same group");
    let caster = group.as_caster();
    assert_eq!(caster.config.relays, [Relay::plain("rtmp://relay.example.com/app/s1".into())]);
    let delete = Call::DeleteCasterEpisodeGroup { program_id: group.id.to_string() };
    world.ok(delete.clone());
    world.refused(delete, ProgramNotFound);
}

#[test]
fn a_timed_event_is_due_once() {
    let mut world = World::ready();
    let event = |w: &World, name: &str, at: Option<i64>| Call::SetCasterTimedEvent {
        caster_id: w.caster.clone(),
        event_name: name.into(),
        start_time_unix_ms: at,
    };
    world.refused(event(&world, "", Some(START)), MissingParameter);
    world.refused(event(&world, "Dance", Some(START)), ParameterMalformed);
    world.refused(event(&world, "StartCaster", None), MissingParameter);
    world.refused(event(&world, "StartCaster", Some(1)), StartTimeMalformed);
    world.ok(event(&world, "StartCaster", Some(START + 5000)));
    world.ok(event(&world, "start", Some(START)));
    world.ok(event(&world, "StopCaster", Some(START + 9000)));
    let id = CasterId::parse(&world.caster).unwrap();
    let at = u64::try_from(START).unwrap();
    assert_eq!(world.catalog.take_due(&id, at - 1), None);
    let (due, change) = world.catalog.take_due(&id, at).unwrap();
    assert_eq!(due, [TimedEventKind::Start]);
    world.catalog.commit(change);
    assert_eq!(world.catalog.take_due(&id, at), None);
    assert_eq!(world.the_caster().timed_events.len(), 1);
}
