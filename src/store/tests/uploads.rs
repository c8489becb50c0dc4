//! What is known of uploads: it comes back, and goes when nobody needs it any more.

use super::*;
use crate::ids::{CasterId, RecordingId};
use crate::recording::{RecordFormat, RecordingState};

fn recording(state: RecordingState) -> Recording {
    Recording {
        id: RecordingId::random(),
        caster: CasterId::random(),
        stream: "pgm".into(),
        format: RecordFormat::Mp4,
        state,
        name: "a b/ü.mp4".into(),
        part: None,
        uri: Some("s3://shows/on air/a b/ü.mp4".into()),
        start_unix_ms: 1000,
        duration_ms: 2000,
        bytes: 3000,
    }
}

#[test]
fn what_has_arrived_is_known_until_all_of_it_has() {
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    let (one, other) = (recording(RecordingState::Uploading), recording(RecordingState::Uploading));
    let sent = |file, sent| Uploaded { file, sent };
    let all = vec![
        sent(0, Sent::Whole),
        sent(1, Sent::Begun("upload".into())),
        sent(1, Sent::Part(1, "\"tag\"".into())),
        sent(1, Sent::Part(10_000, "last".into())),
    ];
    for recording in [&one, &other] {
        store.write([&Entry::Recording(recording.clone())]).unwrap();
        for uploaded in &all {
            store.write([&Entry::Uploaded(recording.id.clone(), uploaded.clone())]).unwrap();
        }
    }
    drop(store);
    let mut store = Store::open(&dir.0).unwrap();
    assert_eq!(store.recording(&one.id).unwrap(), Some(one.clone()));
    assert_eq!(store.uploaded(&one.id).unwrap(), all);
    let stored = Recording { state: RecordingState::Stored, ..one.clone() };
    for (entry, left) in [
        (Entry::UploadLost(one.id.clone(), 1), &all[..1]),
        (Entry::Recording(stored), &[]),
        (Entry::RecordingGone(one.id.clone()), &[]),
    ] {
        store.write([&entry]).unwrap();
        assert_eq!(store.uploaded(&one.id).unwrap(), left, "{entry:?}");
        assert_eq!(store.uploaded(&other.id).unwrap(), all, "{entry:?}");
    }
    store.write([&Entry::RecordingGone(other.id.clone())]).unwrap();
    assert_eq!(store.uploaded(&other.id).unwrap(), []);
}

#[test]
fn all_that_is_kept_counts_wherever_it_is() {
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    for state in RecordingState::ALL {
        store.write([&Entry::Recording(recording(state))]).unwrap();
    }
    assert_eq!(store.recorded_bytes().unwrap(), 3 * 3000);
    let found = store.final_recordings(&Page::first(10)).unwrap();
    assert_eq!(found.len(), RecordingState::ALL.iter().filter(|state| state.is_final()).count());
    assert!(found.iter().all(|recording| recording.state.is_final()));
}

#[test]
fn what_is_left_to_do_is_found() {
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    let to =
        |uri: &str| Recording { uri: Some(uri.to_owned()), ..recording(RecordingState::Uploading) };
    let (one, other) = (to("s3://shows/a.mp4"), to("s3://shows 2/b.mp4"));
    let whole = Recording { uri: None, ..recording(RecordingState::Finished) };
    let as_written = Recording { part: Some("c.mp4".into()), ..whole.clone() };
    let as_written = Recording { id: RecordingId::random(), ..as_written };
    let bound = Recording { part: Some("d.mp4".into()), ..to("s3://elsewhere/d.mp4") };
    for recording in [&one, &other, &whole, &as_written] {
        store.write([&Entry::Recording(recording.clone())]).unwrap();
    }
    for (but_to, found) in
        [(vec![], 2), (vec!["shows"], 1), (vec!["shows 2", "shows"], 0), (vec!["show"], 2)]
    {
        let but_to: Vec<_> = but_to.into_iter().map(str::to_owned).collect();
        assert_eq!(store.uploading(&but_to, &Page::first(10)).unwrap().len(), found, "{but_to:?}");
    }
    assert_eq!(store.uploading(&["shows".into()], &Page::whole()).unwrap(), [other]);
    store.write([&Entry::Recording(bound.clone())]).unwrap();
    for (state, left) in
        [(RecordingState::Finished, vec![as_written]), (RecordingState::Uploading, vec![bound])]
    {
        assert_eq!(store.recordings_as_written(state).unwrap(), left);
    }
}

#[test]
fn pages_lead_past_what_stays_and_what_goes() {
    let dir = Dir::new();
    let mut store = Store::open(&dir.0).unwrap();
    // Some began at the same time.
    let mut all: Vec<_> = (0..10_u64)
        .map(|n| Recording { start_unix_ms: n / 3, ..recording(RecordingState::Finishing) })
        .collect();
    all.sort_by_key(|recording| (recording.start_unix_ms, recording.id.clone()));
    for recording in &all {
        store.write([&Entry::Recording(recording.clone())]).unwrap();
    }
    for most in [1, 3, 4, 5, 10, 11] {
        let (mut page, mut found) = (Some(Page::first(most)), Vec::new());
        while let Some(here) = page {
            let some = store.recordings_in(RecordingState::Finishing, &here).unwrap();
            assert!(some.len() <= most);
            page = here.next(&some);
            found.extend(some);
        }
        assert_eq!(found, all, "pages of {most}");
    }
    let first = Page::first(4);
    let some = store.recordings_in(RecordingState::Finishing, &first).unwrap();
    store.write([&Entry::RecordingGone(some[1].id.clone())]).unwrap();
    store.write([&Entry::RecordingGone(some[3].id.clone())]).unwrap();
    let next = first.next(&some).unwrap();
    let more = store.recordings_in(RecordingState::Finishing, &next).unwrap();
    assert_eq!(more, all[4..8]);
}
