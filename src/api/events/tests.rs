//! The documented JSON, the feed, the keys, and server-sent events over a real listener.

mod https;

use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::api::control::{self, Control, Message};
use crate::api::http;
use crate::api::keys::AccessKeys;
use crate::catalog::Refused;
use crate::limits::FEED_EVENTS;
use crate::time;

fn event(seq: u64) -> Arc<Event> {
    Arc::new(Event {
        seq,
        unix_ms: 1000,
        caster: CasterId::parse("c1"),
        kind: EventType::RuntimeErrorCallback,
        about: About::default(),
        code: EventCode::StreamInterrupt,
        message: format!("Failed to open stream: {seq}"),
    })
}

#[test]
fn the_documented_json() {
    let about = About {
        request_id: Some("26A9".to_owned()),
        scene: SceneId::parse("3571"),
        component: ComponentId::parse("0619"),
        ..About::default()
    };
    let operated = Event {
        kind: EventType::OperateCallback,
        about,
        code: EventCode::ImageOpenFailed,
        message: "Fail to open image: http://h/x.jpg".to_owned(),
        ..Event::clone(&event(1))
    };
    let moved_on = Event {
        caster: None,
        kind: EventType::EpisodeGroupCallback,
        about: About {
            program: ProgramId::parse("p"),
            episode: EpisodeId::parse("e"),
            ..About::default()
        },
        code: EventCode::Refused(ErrorCode::SceneInUse),
        message: "a \"quoted\"\nline".to_owned(),
        ..operated.clone()
    };
    let passed = Event {
        kind: EventType::PtsCallback,
        about: About { resource: ResourceId::parse("r"), pts_ms: Some(3000), ..About::default() },
        code: EventCode::Success,
        message: "Success".to_owned(),
        ..operated.clone()
    };
    for (event, want) in [
        (
            passed,
            r#"{"CasterId":"c1","EventType":"PtsCallback","EventMessage":{"ResourceId":"r","Pts":"3000","Code":"Success","Message":"Success"}}"#,
        ),
        (
            operated,
            r#"{"CasterId":"c1","EventType":"OperateCallback","EventMessage":{"RequestId":"26A9","SceneId":"3571","ComponentId":"0619","Code":"ImageOpenFailed","Message":"Fail to open image: http://h/x.jpg"}}"#,
        ),
        (
            Event::clone(&event(7)),
            r#"{"CasterId":"c1","EventType":"RuntimeErrorCallback","EventMessage":{"Code":"StreamInterrupt","Message":"Failed to open stream: 7"}}"#,
        ),
        (
            moved_on,
            r#"{"EventType":"EpisodeGroupCallback","EventMessage":{"ProgramId":"p","EpisodeId":"e","Code":"IncorrectSceneStatus.Inuse","Message":"a \"quoted\"\nline"}}"#,
        ),
    ] {
        assert_eq!(event.to_json(), want);
    }
}

fn taken(follower: &mut Follower) -> (bool, Vec<u64>) {
    let batch = follower.take();
    (batch.missed, batch.events.iter().map(|event| event.seq).collect())
}

#[test]
fn a_follower_is_told_all_or_that_it_missed_some() {
    let feed = Feed::new(10);
    let mut present = feed.follow(None);
    let most = FEED_EVENTS as u64;
    feed.tell(&event(20));
    feed.tell(&event(30));
    for (after, want) in [
        (None, (false, vec![])),
        (Some(9), (true, vec![20, 30])),
        (Some(10), (false, vec![20, 30])),
        (Some(20), (false, vec![30])),
        (Some(25), (false, vec![30])),
        (Some(30), (false, vec![])),
        (Some(u64::MAX), (false, vec![])),
    ] {
        let mut follower = feed.follow(after);
        assert_eq!(taken(&mut follower), want, "after {after:?}");
        assert_eq!(taken(&mut follower), (false, vec![]), "after {after:?}, again");
    }
    (31..=29 + most).for_each(|seq| feed.tell(&event(seq)));
    // One more than is kept: 20 is gone.
    assert_eq!(taken(&mut present), (true, (30..=29 + most).collect()));
    feed.tell(&event(500));
    assert_eq!(taken(&mut present), (false, vec![500]));
}

#[test]
fn of_a_file_the_latest_position_is_kept() {
    let position = |seq: u64, resource: &str| {
        let about = About { resource: ResourceId::parse(resource), ..About::default() };
        Arc::new(Event { kind: EventType::PtsCallback, about, ..Event::clone(&event(seq)) })
    };
    let feed = Feed::new(10);
    let mut prompt = feed.follow(None);
    feed.tell(&event(11));
    for seq in 12..1000 {
        feed.tell(&position(seq, if seq % 2 == 0 { "a" } else { "b" }));
        if seq < 14 {
            let _ = prompt.take();
        }
    }
    assert_eq!(taken(&mut prompt), (false, vec![998, 999]));
    // What happens once is not pushed out.
    assert_eq!(taken(&mut feed.follow(Some(10))), (false, vec![11, 998, 999]));
}

#[tokio::test]
async fn a_follower_learns_of_the_end_after_the_last_event() {
    let feed = Feed::new(0);
    let mut follower = feed.follow(None);
    feed.tell(&event(1));
    feed.close();
    assert!(follower.changed().await);
    assert_eq!(taken(&mut follower), (false, vec![1]));
    assert!(!follower.changed().await);
    assert!(!feed.follow(None).changed().await);
}

/// A data directory of its own, removed at the end.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new() -> Dir {
        Dir(std::env::temp_dir().join(format!("onair-events-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_token_opens_one_caster_until_its_time() {
    let dir = Dir::new();
    let key = WatchKey::load_or_make(&dir.0).unwrap();
    let [c1, c2] = ["c1", "c2"].map(|id| CasterId::parse(id).unwrap());
    let good = key.watch_token(&c1, 1000);
    let later = good.replacen("1000", "2000", 1);
    for (token, caster, now, opens) in [
        (&good[..], &c1, 1000, true),
        (&good, &c1, 0, true),
        (&good, &c1, 1001, false),
        (&good, &c2, 1000, false),
        (&later, &c1, 1000, false),
        (&good[..good.len() - 1], &c1, 1000, false),
        (&format!("0{good}"), &c1, 1000, false),
        ("", &c1, 1000, false),
        ("1000", &c1, 1000, false),
        ("1000-", &c1, 1000, false),
    ] {
        assert_eq!(key.verify(token, caster, now), opens, "{token} {caster} {now}");
    }
    let again = WatchKey::load_or_make(&dir.0).unwrap();
    assert!(again.verify(&good, &c1, 1000), "the key is kept");
    let other = Dir::new();
    assert!(!WatchKey::load_or_make(&other.0).unwrap().verify(&good, &c1, 1000));
}

#[test]
fn keys_are_kept_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::new();
    let key = CallbackKey::load_or_make(&dir.0).unwrap();
    assert_eq!(CallbackKey::load_or_make(&dir.0).unwrap().secret(), key.secret());
    assert!(key.secret().len() >= 64 && !format!("{key:?}").contains(key.secret()));
    let path = dir.0.join("callback-key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(CallbackKey::load_or_make(&dir.0).is_err());
}

/// Answers for the app: there is one caster, `c1`.
async fn app(feed: Arc<Feed>, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.recv().await {
        let Message::Events(request) = message else { continue };
        let known = request.caster.as_str() == "c1";
        let refused = || Refused::from(ErrorCode::CasterNotFound);
        let _ = request.reply.send(known.then(|| Arc::clone(&feed)).ok_or_else(refused));
    }
}

struct Edge {
    address: std::net::SocketAddr,
    feed: Arc<Feed>,
    watch_key: WatchKey,
    _dir: Dir,
}

impl Edge {
    async fn start() -> Edge {
        let dir = Dir::new();
        let watch_key = WatchKey::load_or_make(&dir.0).unwrap();
        let keys = Arc::new(AccessKeys::new("tester", "s3cret").unwrap());
        let (control, messages): (Control, _) = control::channel(4);
        let feed = Feed::new(10);
        tokio::spawn(app(Arc::clone(&feed), messages));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = sse::router(control, keys, watch_key.clone());
        tokio::spawn(http::serve(listener, router, std::future::pending()));
        Edge { address, feed, watch_key, _dir: dir }
    }

    async fn get(&self, path: &str, headers: &str) -> BufReader<TcpStream> {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        BufReader::new(socket)
    }
}

/// The status of an answer.
async fn status(socket: &mut BufReader<TcpStream>) -> u16 {
    let mut line = String::new();
    socket.read_line(&mut line).await.unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The lines of a stream that begin with one of these, up to and with the first that ends like this.
async fn lines_until(socket: &mut BufReader<TcpStream>, end: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let mut line = String::new();
        assert!(socket.read_line(&mut line).await.unwrap() > 0, "ended after {seen:?}");
        let line = line.trim_end().to_owned();
        if ["id:", "event:", "data:", ":"].iter().any(|start| line.starts_with(start)) {
            seen.push(line);
        }
        if seen.last().is_some_and(|line| line.ends_with(end)) {
            return seen;
        }
    }
}

#[tokio::test]
async fn events_are_streamed_and_resumed() {
    let edge = Edge::start().await;
    let key = "Authorization: Bearer tester:s3cret\r\n";
    let mut live = edge.get("/casters/c1/events", key).await;
    assert_eq!(status(&mut live).await, 200);
    assert_eq!(lines_until(&mut live, "following").await, [": following"]);
    edge.feed.tell(&event(20));
    let data = |seq| format!("data: {}", event(seq).to_json());
    let told =
        |seq: u64| [format!("id: {seq}"), "event: RuntimeErrorCallback".to_owned(), data(seq)];
    assert_eq!(lines_until(&mut live, &data(20)).await, told(20));
    edge.feed.tell(&event(30));
    assert_eq!(lines_until(&mut live, &data(30)).await, told(30));

    let back = format!("{key}Last-Event-ID: 20\r\n");
    let mut back = edge.get("/casters/c1/events", &back).await;
    let seen = lines_until(&mut back, &data(30)).await;
    assert_eq!(seen[1..], told(30));
    let late = format!("{key}Last-Event-ID: 3\r\n");
    let mut late = edge.get("/casters/c1/events", &late).await;
    let seen = lines_until(&mut late, &data(20)).await;
    assert_eq!(seen[1], ": events were missed");
    assert_eq!(seen[2..], told(20));

    edge.feed.close();
    let mut rest = String::new();
    live.read_to_string(&mut rest).await.ok();
    assert!(!rest.contains("data:"), "{rest}");
}

#[tokio::test]
async fn nobody_follows_without_a_key_or_a_token() {
    let edge = Edge::start().await;
    let c1 = CasterId::parse("c1").unwrap();
    let now_s = time::unix_ms() / 1000;
    let token =
        |expires| format!("/casters/c1/events?token={}", edge.watch_key.watch_token(&c1, expires));
    let (good, expired) = (token(now_s + 60), token(now_s - 1));
    let of_another = good.replace("c1", "c2");
    let as_metadata = "x-onair-access-key-id: tester\r\nx-onair-access-key-secret: s3cret\r\n";
    for (path, headers, want) in [
        ("/casters/c1/events", "", 401),
        ("/casters/c1/events", "Authorization: Bearer tester:wrong\r\n", 401),
        ("/casters/c1/events", "Authorization: Bearer tester\r\n", 401),
        ("/casters/c1/events", "Authorization: Bearer tester:s3cret\r\n", 200),
        ("/casters/c1/events", as_metadata, 200),
        ("/casters/c1/events?token=x", "", 401),
        (&good, "", 200),
        (&good, "Authorization: Bearer tester:wrong\r\n", 401),
        (&expired, "", 401),
        (&of_another, "", 401),
        ("/casters/c9/events", as_metadata, 404),
    ] {
        let mut answer = edge.get(path, headers).await;
        assert_eq!(status(&mut answer).await, want, "{path} {headers}");
    }
}
