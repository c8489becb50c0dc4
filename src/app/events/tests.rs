//! Outages are found once; letters reach a real receiver in order and signed, also after a restart.

mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::api::control::{InputStatus, OutputStatus};
use crate::api::events::{CallbackKey, Poster, SIGNATURE_HEADER};
use crate::catalog::tests::World;
use crate::catalog::{Call, LocationId, Relay, Showing, Subject, Written};
use crate::engine::InputState;
use crate::input::AllowList;
use crate::store::Store;

/// A directory of its own, removed at the end.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn dir() -> Dir {
    Dir(std::env::temp_dir().join(format!("onair-outbox-{}", uuid::Uuid::new_v4())))
}

/// In these tests a caster's first relay says where its events go.
fn first_relay(caster: &Caster) -> Option<&str> {
    caster.config.relays.first().map(|relay| relay.url.as_str())
}

fn caster(url: &str) -> Arc<Caster> {
    let mut world = World::on_air();
    let mut caster = Caster::clone(world.the_caster());
    caster.config.relays = vec![Relay::plain(url.to_owned())];
    world.catalog.commit(Change::Upsert(Arc::new(caster)));
    Arc::new(world.the_caster().clone())
}

async fn open(dir: &Dir) -> Arc<Events> {
    let store = Keeper::start(Store::open(&dir.0).unwrap()).unwrap();
    Events::open(Arc::new(store), first_relay).await.unwrap()
}

fn courier(events: &Arc<Events>, dir: &Dir, allow: &str, give_up: Duration) -> Courier {
    let poster = Poster::new(CallbackKey::load_or_make(&dir.0).unwrap()).unwrap();
    let (first, most) = (Duration::from_millis(5), Duration::from_millis(20));
    let patience = Patience { first, most, give_up };
    let allow = Arc::new(AllowList::parse(allow).unwrap());
    Courier { events: Arc::clone(events), poster, allow, patience }
}

/// Has an operation on the caster happen.
async fn operate(events: &Events, caster: &Arc<Caster>, request_id: &str) {
    let call = Call::StopCaster { caster_id: caster.id.to_string() };
    let operation = Operation::new(&call, Some(request_id.to_owned()));
    let change = Change::Upsert(caster.clone());
    let answer = Answer::Written(Written {
        caster: caster.id.clone(),
        revision: 2,
        subject: Subject::Caster,
        applied: None,
    });
    let news = events.operated(&operation, &change, Some(caster), &answer);
    let entries = events.entries(change, Some(caster), news.as_ref());
    events.store.write(entries).await.unwrap();
    events.tell(news.unwrap());
}

/// A request as it arrived.
struct Arrived {
    head: String,
    body: String,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        let named = |line: &&str| line.to_lowercase().starts_with(&format!("{name}:"));
        let line = self.head.lines().find(named).unwrap_or_else(|| panic!("no {name}"));
        line.split_once(':').unwrap().1.trim()
    }
}

/// A receiver that answers with these statuses in turn, then 200 to all.
async fn receiver(statuses: &'static [u16]) -> (SocketAddr, mpsc::Receiver<Arrived>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, arrived) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut statuses = statuses.iter();
        while let Ok((socket, _)) = listener.accept().await {
            let mut socket = BufReader::new(socket);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                socket.read_line(&mut head).await.unwrap();
            }
            let mut request = Arrived { head, body: String::new() };
            let mut body = vec![0; request.header("content-length").parse().unwrap()];
            socket.read_exact(&mut body).await.unwrap();
            request.body = String::from_utf8(body).unwrap();
            let status = statuses.next().unwrap_or(&200);
            let answer =
                format!("HTTP/1.1 {status} Word\r\nLocation: /away\r\nContent-Length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
            sender.send(request).await.unwrap();
        }
    });
    (address, arrived)
}

/// Waits until something of the events is so, for at most 10 s.
async fn until(events: &Events, what: &str, is_so: impl Fn(&EventCounts, &[String]) -> bool) {
    for _ in 0..1000 {
        let waiting = events.store.read(|store| store.receivers()).await.unwrap();
        if is_so(&events.counts(), &waiting) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: {:?}", events.counts());
}

#[tokio::test]
async fn letters_arrive_in_order_after_failures_and_a_restart() {
    let dir = dir();
    let (address, mut arrived) = receiver(&[503, 302]).await;
    let caster = caster(&format!("http://{address}/hook?a=b"));
    let events = open(&dir).await;
    operate(&events, &caster, "R1").await;
    let refused = Refused::from(ErrorCode::SceneInUse);
    let call = Call::StopCaster { caster_id: caster.id.to_string() };
    events.refused(&Operation::new(&call, None), &caster, &refused);
    // Nobody delivered; the process ends and another begins.
    drop(events);
    let events = open(&dir).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let courier = courier(&events, &dir, "127.0.0.0/8", Duration::from_secs(3600));
    let delivery = tokio::spawn(courier.run(async move { drop(stopped.await) }));
    operate(&events, &caster, "R3").await;

    let mut requests = Vec::new();
    for _ in 0..5 {
        requests.push(arrived.recv().await.unwrap());
    }
    let said = |n: usize, word: &str| requests[n].body.contains(word);
    assert!(said(0, "R1") && said(1, "R1") && said(2, "R1"), "{}", requests[0].body);
    assert!(said(3, "IncorrectSceneStatus.Inuse") && said(4, "R3"), "{}", requests[3].body);
    let ids: Vec<u64> =
        requests.iter().map(|one| one.header("x-onair-event-id").parse().unwrap()).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] < ids[3] && ids[3] < ids[4], "{ids:?}");
    let key = std::fs::read_to_string(dir.0.join("callback-key")).unwrap();
    for request in &requests {
        assert!(request.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("host"), address.to_string());
        let timestamp: u64 = request.header("x-onair-timestamp").parse().unwrap();
        assert!(time::unix_ms().abs_diff(timestamp * 1000) < 60_000, "{timestamp}");
        let mut mac = Hmac::<Sha256>::new_from_slice(key.trim().as_bytes()).unwrap();
        mac.update(format!("{timestamp}.{}", request.body).as_bytes());
        let digest = mac.finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(request.header(SIGNATURE_HEADER), format!("v1={hex}"));
    }
    let all = EventCounts { delivered: 3, attempts_failed: 2, dropped: 0 };
    until(&events, "delivered", |counts, waiting| *counts == all && waiting.is_empty()).await;
    drop(stop);
    delivery.await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_down_holds_up_no_other_and_is_given_up() {
    let dir = dir();
    let (address, mut arrived) = receiver(&[]).await;
    let events = open(&dir).await;
    // Loopback by this name's address is allowed, by the other it is not.
    let [down, up] = ["[::1]:9", &address.to_string()].map(|at| caster(&format!("http://{at}/")));
    operate(&events, &down, "D").await;
    let patient = courier(&events, &dir, "127.0.0.0/8", Duration::from_secs(3600));
    let delivery = tokio::spawn(patient.run(std::future::pending()));
    until(&events, "refused by the guard", |counts, _| counts.attempts_failed > 1).await;
    operate(&events, &up, "U").await;
    assert!(arrived.recv().await.unwrap().body.contains("\"U\""));
    delivery.abort();
    assert!(delivery.await.is_err());
    drop(events);

    let events = open(&dir).await;
    let hasty = courier(&events, &dir, "127.0.0.0/8", Duration::ZERO);
    let delivery = tokio::spawn(hasty.run(std::future::pending()));
    until(&events, "given up", |counts, waiting| counts.dropped == 1 && waiting.is_empty()).await;
    delivery.abort();
}

#[tokio::test]
async fn whoever_has_no_receiver_any_more_gets_nothing() {
    let dir = dir();
    let events = open(&dir).await;
    let (before, after) = (caster("http://192.0.2.1/a"), caster("http://192.0.2.1/b"));
    operate(&events, &before, "A").await;
    let entries = events.entries(Change::Upsert(after.clone()), Some(&before), None);
    events.store.write(entries).await.unwrap();
    assert_eq!(events.store.read(|s| s.receivers()).await.unwrap(), Vec::<String>::new());
    operate(&events, &after, "B").await;
    assert_eq!(events.store.read(|s| s.receivers()).await.unwrap(), ["http://192.0.2.1/b"]);
}

#[tokio::test]
async fn an_episode_group_has_its_own_receiver() {
    let dir = dir();
    let events = open(&dir).await;
    let mut group = EpisodeGroup {
        id: crate::ids::ProgramId::parse("p").unwrap(),
        client_token: String::new(),
        domain: String::new(),
        start_unix_ms: 0,
        repeat_num: 0,
        side_output: String::new(),
        callback_url: None,
        stream_name: String::new(),
        items: Vec::new(),
        progress: crate::catalog::GroupProgress::Waiting,
    };
    let episode = EpisodeId::parse("e").unwrap();
    events.episode(&group, &episode, (EventCode::Success, "nobody wants to know"));
    group.callback_url = Some("http://192.0.2.1/g".to_owned());
    events.episode(&group, &episode, (EventCode::Success, "next"));
    let letter = events.store.read(|s| s.next_letter("http://192.0.2.1/g")).await.unwrap().unwrap();
    assert_eq!(letter.owner, "p");
    assert!(letter.body.contains(r#""ProgramId":"p","EpisodeId":"e""#), "{}", letter.body);
    assert_eq!(events.store.read(|s| s.receivers()).await.unwrap(), ["http://192.0.2.1/g"]);
}

#[tokio::test]
async fn one_position_of_a_file_waits() {
    let dir = dir();
    let events = open(&dir).await;
    let caster = caster("http://192.0.2.1/hook");
    let [a, b] = ["a", "b"].map(|id| ResourceId::parse(id).unwrap());
    operate(&events, &caster, "R1").await;
    for position_ms in (1000..100_000).step_by(1000) {
        let resource = if position_ms > 5000 { a.clone() } else { b.clone() };
        let passed = Passed { resource, episode: None, position_ms };
        events.passed(&caster, &passed);
    }
    let mut waiting = Vec::new();
    let next = |store: &Store| store.next_letter("http://192.0.2.1/hook");
    while let Some(letter) = events.store.read(next).await.unwrap() {
        events.store.write(vec![Entry::Settled { seq: letter.seq }]).await.unwrap();
        waiting.push(letter.body);
    }
    let [operated, of_b, of_a] = &waiting[..] else { panic!("{waiting:#?}") };
    assert!(operated.contains("R1"), "{operated}");
    assert!(of_b.contains(r#""ResourceId":"b","Pts":"5000""#), "{of_b}");
    assert!(of_a.contains(r#""ResourceId":"a","Pts":"99000""#), "{of_a}");
}

#[tokio::test]
async fn followers_are_told_what_receivers_are() {
    let dir = dir();
    let events = open(&dir).await;
    let caster = Arc::new(World::on_air().the_caster().clone());
    let call = Call::DeleteCaster { caster_id: caster.id.to_string() };
    let operation = Operation::new(&call, None);
    let refused = Refused::new(ErrorCode::CasterInUse, "x".repeat(5000));
    events.refused(&operation, &caster, &refused);
    let mut follower = events.feed(&caster.id).unwrap().follow(None);
    events.refused(&operation, &caster, &refused);
    events.forget(&caster.id);
    assert!(follower.changed().await);
    let batch = follower.take();
    let [event] = &batch.events[..] else { panic!("{batch:?}") };
    assert_eq!(event.code, EventCode::Refused(ErrorCode::CasterInUse));
    assert_eq!(event.message.len(), limits::EVENT_MESSAGE_CHARS);
    assert!(!follower.changed().await);
}

#[test]
fn waits_double_up_to_the_longest() {
    let patience = Patience::default();
    for (failed, wait_s) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)] {
        assert_eq!(patience.wait(failed), Duration::from_secs(wait_s), "{failed}");
    }
}

/// A source as the snapshot has it.
fn input(resource: &ResourceId, state: InputState, refused: &str) -> InputStatus {
    InputStatus {
        faults: Vec::new(),
        location: LocationId::parse("RV01"),
        resource: resource.clone(),
        state,
        message: String::new(),
        frames: 0,
        frames_dropped: 0,
        reconnects: 0,
        luma: None,
        restarts: 0,
        decoder: "software",
        nvdec_refused: refused.to_owned(),
        jitter_ms: 0,
        media_age_ms: None,
        timeline: Default::default(),
    }
}

#[test]
fn an_outage_is_told_once() {
    use InputState::{Buffering, Connecting, Ended, Failed, Idle, Live, Stale};
    let caster = World::on_air().the_caster().clone();
    let resource = caster.resources[0].id.clone();
    for (states, told) in [
        (&[Connecting, Buffering, Live, Live, Ended][..], 0),
        (&[Idle, Connecting, Failed, Connecting, Failed], 1),
        (&[Live, Stale, Connecting, Failed, Buffering, Failed], 1),
        (&[Live, Connecting, Live, Stale, Live], 2),
        (&[Failed, Live, Ended, Buffering, Live, Failed], 2),
    ] {
        let mut outages = Outages::default();
        let mut troubles = Vec::new();
        for &state in states {
            let mut snapshot = Snapshot::idle(caster.id.clone(), 1);
            snapshot.inputs.push(input(&resource, state, ""));
            troubles.extend(outages.update(&caster, &snapshot, &[]));
        }
        assert_eq!(troubles.len(), told, "{states:?}");
        for trouble in troubles {
            assert_eq!(trouble.code, EventCode::StreamInterrupt);
            assert_eq!(trouble.about.resource.as_ref(), Some(&resource));
            assert!(trouble.message.starts_with("Failed to open stream: "), "{}", trouble.message);
        }
    }
}

#[test]
fn a_source_that_the_card_does_not_decode_is_told_once_a_reason() {
    let caster = World::on_air().the_caster().clone();
    let resource = caster.resources[0].id.clone();
    let mut outages = Outages::default();
    for (refused, told) in [
        ("", false),
        ("10 bit", true),
        ("10 bit", false),
        ("it failed", true),
        ("", false),
        ("it failed", true),
    ] {
        let mut snapshot = Snapshot::idle(caster.id.clone(), 1);
        snapshot.inputs.push(input(&resource, InputState::Live, refused));
        let troubles = outages.update(&caster, &snapshot, &[]);
        let codes: Vec<_> = troubles.iter().map(|trouble| trouble.code).collect();
        let want = if told { vec![EventCode::DecoderFellBack] } else { vec![] };
        assert_eq!(codes, want, "{refused}");
        assert!(troubles.iter().all(|trouble| trouble.message.ends_with(refused)));
    }
}

#[test]
fn a_relay_an_image_and_playback_are_told_once_too() {
    let caster = World::on_air().the_caster().clone();
    let missing = [Showing::Component(&caster.components[1]), Showing::Layout(&caster.layouts[0])];
    let mut outages = Outages::default();
    let mut seen = Vec::new();
    for (message, subscribers, playback_fault) in [
        ("", 0, ""),
        ("relay rtmp://h/a/…: refused", 0, ""),
        ("", 0, "hls /d: read only"),
        ("no", 0, "hls /d: full"),
        ("", 1, ""),
        ("no", 0, "hls /d: full"),
    ] {
        let mut snapshot = Snapshot::idle(caster.id.clone(), 1);
        for name in ["pgm", "relay-1"] {
            snapshot.outputs.push(OutputStatus {
                name: name.to_owned(),
                frames: 0,
                frames_late: 0,
                frames_dropped: 0,
                bytes: 0,
                subscribers,
                queued_packets: 0,
                message: message.to_owned(),
                encoder: None,
                thread_restarts: 0,
                last_fault: String::new(),
                playback_fault: if name == "pgm" { playback_fault } else { "" }.to_owned(),
                relay: None,
            });
        }
        let troubles = outages.update(&caster, &snapshot, &missing);
        seen.push(troubles.iter().map(|trouble| trouble.code).collect::<Vec<_>>());
        let layouts = troubles.iter().filter_map(|trouble| trouble.about.layout.as_ref());
        assert!(layouts.eq(seen[1..].is_empty().then_some(&caster.layouts[0].id)));
    }
    let relay = vec![EventCode::SideOutputUrlInvalid];
    let image = vec![EventCode::ImageOpenFailed; 2];
    let playback = vec![EventCode::PlaybackFailed];
    let both = [relay.clone(), playback.clone()].concat();
    assert_eq!(seen, [image, relay, playback, vec![], vec![], both]);
}
