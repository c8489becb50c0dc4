//! Live inputs pulled over the network: every protocol, dead and hostile servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::servers::{Ffmpeg, Reply, Server, free_port};
use super::support::{Played, TempDir, WHOLE, X264, clip, options, raw_pattern};
use crate::frame::Size;
use crate::input::{AllowList, Input, InputOptions, SourceSpec, start};
use crate::source::{InputKind, InputState};
use crate::time::Clock;

fn live(url: String, options: InputOptions) -> Input {
    start(SourceSpec::Live { url }, options).unwrap()
}

/// Pictures of a live source: readable, in order, what is missing is counted, with sound beside them.
fn check(name: &str, input: &mut Input, pictures: usize) -> Played {
    let played = Played::until(input, |played| played.pictures.len() >= pictures);
    let numbers: Vec<u64> = played.numbers().into_iter().flatten().collect();
    assert_eq!(numbers.len(), played.pictures.len(), "{name}: a picture without a number");
    assert!(numbers.is_sorted_by(|a, b| a < b), "{name}: {numbers:?}");
    let missing = numbers[numbers.len() - 1] - numbers[0] + 1 - numbers.len() as u64;
    assert!(missing <= input.status().dropped_frames, "{name}: {numbers:?}");
    assert!(!played.blocks.is_empty(), "{name}: no sound");
    // The first attempts may come before the server listens; that is what the supervisor is for.
    let life = [InputState::Connecting, InputState::Buffering, InputState::Live];
    assert_eq!(played.states[..3], life, "{name}");
    played
}

#[test]
fn http_flv_rtmp_and_srt_are_pulled() {
    let dir = TempDir::new("pull");
    let raw = raw_pattern(&dir, Size::new(320, 180), 150);
    let encode = format!("{X264} -tune zerolatency -c:a aac -flush_packets 1");
    // (server's output, client's URL)
    let table = [
        ("-f flv -listen 1 http://127.0.0.1:PORT/a.flv", "http://127.0.0.1:PORT/a.flv"),
        ("-f flv -listen 1 rtmp://127.0.0.1:PORT/live/key", "rtmp://127.0.0.1:PORT/live/key"),
        ("-f mpegts srt://127.0.0.1:PORT?mode=listener", "srt://127.0.0.1:PORT?latency=20000"),
    ];
    for (output, url) in table {
        let port = free_port().to_string();
        // Each input in real time.
        let mut args: Vec<String> = vec![];
        for arg in &raw {
            if arg == "-i" {
                args.push("-re".into());
            }
            args.push(arg.clone());
        }
        let rest = format!("{encode} {}", output.replace("PORT", &port));
        args.extend(rest.split(' ').map(str::to_owned));
        let _server = Ffmpeg::start(&args);
        let mut input = live(url.replace("PORT", &port), options("cam"));
        assert!(matches!(input.kind(), InputKind::Live { .. }));
        check(url, &mut input, 45);
    }
}

/// A playlist of three seconds in segments, as routes of a server.
fn hls(dir: &TempDir) -> BTreeMap<String, Reply> {
    let playlist = clip(
        dir,
        "live.m3u8",
        90,
        "-c:v libx264 -preset ultrafast -g 30 -sc_threshold 0 -c:a aac -f hls -hls_time 1 -hls_flags omit_endlist",
    );
    let folder = playlist.parent().unwrap();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let served = files.filter(|path| path.extension().is_some_and(|e| e == "ts" || e == "m3u8"));
    served
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, Reply::Bytes(std::fs::read(path).unwrap()))
        })
        .collect()
}

#[test]
fn hls_is_played_in_its_own_time_and_then_goes_stale() {
    let dir = TempDir::new("hls");
    let server = Server::start(hls(&dir));
    let mut input = live(server.url("live.m3u8"), options("hls"));
    let clock = Clock::real();
    let mut played = check("hls", &mut input, 60);
    let took_ns = clock.now_ns();
    // 2 s of pictures, less the lead it is given.
    assert!((1_500_000_000..6_000_000_000).contains(&took_ns), "{took_ns}");
    assert!(played.notices.is_empty(), "{:?}", played.notices);
    played.go_on(&mut input, |played| played.has(InputState::Stale));
}

#[test]
fn a_file_plays_over_http() {
    let dir = TempDir::new("httpfile");
    let path = clip(&dir, "a.mp4", 30, &format!("{X264} -c:a aac -movflags +faststart"));
    let bytes = std::fs::read(path).unwrap();
    let server = Server::start(BTreeMap::from([
        ("a.mp4".to_owned(), Reply::Bytes(bytes)),
        ("moved".to_owned(), Reply::Redirect("/a.mp4".to_owned())),
    ]));
    for path in ["a.mp4", "moved"] {
        let spec = SourceSpec::File { location: server.url(path), excerpt: WHOLE };
        let mut input = start(spec, options("clip")).unwrap();
        let played = Played::until(&mut input, |p| p.eof || p.has(InputState::Failed));
        assert_eq!(played.numbers(), (0..30).map(Some).collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn a_playlist_leads_to_no_bare_socket() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut routes = hls(&TempDir::new("bare"));
    let master = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ntcp://127.0.0.1:{port}/x.m3u8\n");
    routes.insert("evil.m3u8".into(), Reply::Bytes(master.into()));
    let server = Server::start(routes);
    let options = InputOptions { retry: false, ..options("evil") };
    let mut input = live(server.url("evil.m3u8"), options);
    Played::until(&mut input, |played| played.has(InputState::Failed));
    let tried = listener.accept();
    assert!(tried.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

#[test]
fn what_leads_elsewhere_is_refused_by_name() {
    let dir = TempDir::new("hostile");
    let mut routes = hls(&dir);
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://169.254.169.254/a.ts\n";
    routes.insert("evil.m3u8".into(), Reply::Bytes(playlist.into()));
    routes.insert("r10".into(), Reply::Redirect("http://10.0.0.1/a.flv".into()));
    routes.insert("r0".into(), Reply::Redirect("http://0.0.0.0:1/a.flv".into()));
    routes.insert("tls".into(), Reply::Redirect("https://192.168.0.1/a.flv".into()));
    routes.insert("file".into(), Reply::Redirect("file:///etc/passwd".into()));
    let server = Server::start(routes);
    let table = [
        (server.url("r10"), "10.0.0.1"),
        (server.url("r0"), "0.0.0.0"),
        (server.url("tls"), "192.168.0.1"),
        (server.url("evil.m3u8"), "169.254.169.254"),
        (server.url("file"), "cannot be opened"),
        ("http://169.254.169.254/latest".to_owned(), "169.254.169.254"),
        ("gopher://127.0.0.1/x".to_owned(), "gopher"),
    ];
    for (url, part) in table {
        let options = InputOptions { retry: false, ..options("evil") };
        let mut input = live(url.clone(), options);
        let played = Played::until(&mut input, |played| played.has(InputState::Failed));
        assert_eq!(played.notices.len(), 1, "{url}: {:?}", played.notices);
        let text = &played.notices[0];
        assert!(text.contains(part) && text.contains("evil"), "{url}: {text}");
    }
    let nothing = Arc::new(AllowList::default());
    let options = InputOptions { retry: false, allow: nothing, ..options("evil") };
    let mut input = live(server.url("live.m3u8"), options);
    let played = Played::until(&mut input, |played| played.has(InputState::Failed));
    assert!(played.notices[0].contains("127.0.0.1"), "{:?}", played.notices);
}

#[test]
fn a_dead_server_is_reported_and_a_silent_one_holds_nobody_up() {
    let port = free_port();
    for scheme in ["http", "rtmp"] {
        let options = InputOptions { retry: false, ..options("dead") };
        let mut input = live(format!("{scheme}://127.0.0.1:{port}/live/key"), options);
        let played = Played::until(&mut input, |played| played.has(InputState::Failed));
        assert_eq!(played.notices.len(), 1, "{:?}", played.notices);
        assert!(!played.notices[0].contains("live/key") || scheme == "http");
    }
    let server = Server::start(BTreeMap::from([("a.flv".to_owned(), Reply::Silence)]));
    let urls = [
        server.url("a.flv"),
        format!("rtmp://127.0.0.1:{}/live/key", server.port),
        format!("srt://127.0.0.1:{port}"),
    ];
    for url in urls {
        let mut input = live(url.clone(), options("silent"));
        Played::until(&mut input, |played| played.has(InputState::Connecting));
        let clock = Clock::real();
        drop(input);
        let took_ms = clock.now_ns() / 1_000_000;
        assert!(took_ms < 500, "{url}: {took_ms} ms");
    }
}

#[test]
fn a_source_that_keeps_failing_is_failed_but_tried_again() {
    let port = free_port();
    let mut input = live(format!("http://127.0.0.1:{port}/a.flv"), options("late"));
    let played = Played::until(&mut input, |played| played.has(InputState::Failed));
    assert_eq!(played.notices.len(), 1, "told once: {:?}", played.notices);
    assert!(!input.worker.as_ref().unwrap().is_finished(), "it goes on trying");
}
