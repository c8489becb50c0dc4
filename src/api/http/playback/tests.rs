//! Playback with real outputs and real players, all at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use super::sign_playlist;
use crate::api::rtmp::testing::Server;
use crate::media::flv::{FlvTag, TagKind};
use crate::output::testing::{Live, await_true, probe};
use crate::output::{HlsSegments, Sink};
use crate::worker::{self, StopToken};

fn programme(server: &Server, name: &str) -> Live {
    let hub = Sink::Hub { hub: server.hub.clone(), name: format!("caster/{name}") };
    let (dir, segments) = (server.hls_root.0.join(name), HlsSegments::Ts);
    Live::start(name, vec![hub, Sink::Hls { dir, segments }])
}

/// The status line, headers and body of a GET; of an endless body what comes in the first read.
fn get(server: &Server, path: &str) -> (String, String) {
    let mut socket = TcpStream::connect(server.http).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let mut body = Vec::new();
    if !head.contains("video/x-flv") {
        reader.read_to_end(&mut body).unwrap();
    }
    (head, String::from_utf8_lossy(&body).into_owned())
}

#[test]
fn one_programme_plays_by_flv_hls_and_rtmp_at_once() {
    let server = Server::start();
    let live = programme(&server, "locked_pgm");
    let urls = [
        server.http_url("caster/locked_pgm.flv?auth_key=open"),
        server.http_url("caster/locked_pgm.m3u8?auth_key=open"),
        server.rtmp_url("caster/locked_pgm?auth_key=open"),
    ];
    std::thread::scope(|scope| {
        for url in &urls {
            scope.spawn(move || probe(url, 2).check_programme(45));
        }
    });
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.repeated, stats.failure), (0, 0, None));
    assert!(live.output.sinks().iter().all(|sink| sink.attempts == 1));
}

#[test]
fn addresses_are_checked_and_answers_can_be_used_by_pages() {
    let server = Server::start();
    let _live = programme(&server, "locked");
    let playlist = get(&server, "/caster/locked.m3u8?auth_key=open");
    assert!(playlist.0.contains("application/vnd.apple.mpegurl"), "{}", playlist.0);
    let segment = playlist.1.lines().find(|line| line.contains(".ts")).unwrap().to_owned();
    assert!(segment.starts_with("locked/") && segment.ends_with(".ts?auth_key=open"), "{segment}");
    let unsigned = segment.split_once('?').unwrap().0;
    std::fs::write(server.hls_root.0.join("secret.ts"), "x").unwrap();
    for (path, status, kind) in [
        (format!("/caster/{segment}"), 200, "video/mp2t"),
        ("/caster/locked.flv?auth_key=open".into(), 200, "video/x-flv"),
        (format!("/caster/{unsigned}"), 403, "text/plain"),
        ("/caster/locked.m3u8".into(), 403, "text/plain"),
        ("/caster/locked.flv?auth_key=wrong".into(), 403, "text/plain"),
        ("/caster/locked.mp4?auth_key=open".into(), 404, "text/plain"),
        ("/caster/locked/..%2f..%2fsecret.ts?auth_key=open".into(), 404, "text/plain"),
        ("/caster/..%2fx.m3u8".into(), 404, "text/plain"),
        ("/caster/locked/index.m3u8?auth_key=open".into(), 200, "application/vnd.apple.mpegurl"),
        ("/caster/locked/index.m3u8".into(), 403, "text/plain"),
        ("/caster/locked/lld/index.m3u8?auth_key=open".into(), 404, "text/plain"),
        ("/caster/locked/lld/0.ts".into(), 403, "text/plain"),
        ("/caster/locked/..%2f..%2fx/index.m3u8?auth_key=open".into(), 404, "text/plain"),
        ("/caster/locked/rungs.txt?auth_key=open".into(), 404, "text/plain"),
        ("/caster/locked/0.ts?auth_key=open".into(), 404, "text/plain"),
        ("/caster/nobody.flv".into(), 404, "text/plain"),
    ] {
        let (head, _) = get(&server, &path);
        let head = head.to_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path}: {head}");
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        assert!(head.contains("access-control-allow-origin: *"), "{path}: {head}");
        assert!(head.contains("cache-control: no-cache"), "{path}: {head}");
    }
}

#[test]
fn a_wedged_player_hurts_nobody_and_a_gone_one_is_forgotten() {
    const TAGS: u32 = 500;
    const TAG_BYTES: usize = 100_000;
    let server = Server::start();
    let publisher = server.hub.publish("caster/big").unwrap();
    let connect = || {
        let mut socket = TcpStream::connect(server.http).unwrap();
        write!(socket, "GET /caster/big.flv HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        socket
    };
    let (wedged, mut reading) = (connect(), connect());
    await_true("two players", || server.hub.viewers("caster/big") == 2);
    let (sender, progress) = crossbeam_channel::bounded(TAGS as usize * 2);
    let reader = worker::spawn("plays", StopToken::new(), move |_| {
        let mut left = TAGS as usize * TAG_BYTES;
        let mut buffer = vec![0; TAG_BYTES];
        while left > 0 {
            let count = reading.read(&mut buffer).unwrap();
            assert_ne!(count, 0);
            left = left.saturating_sub(count);
            let _ = sender.try_send(());
        }
    })
    .unwrap();
    let body = Bytes::from([b"\x17\x01\0\0\0".to_vec(), vec![0; TAG_BYTES]].concat());
    for ms in 0..TAGS {
        publisher.send(FlvTag::new(TagKind::Video, ms, body.clone()));
        let _ = progress.recv_timeout(Duration::from_secs(10));
    }
    await_true("everything was read", || reader.is_finished());
    assert_eq!(reader.join(), worker::Outcome::Returned);
    assert!(server.hub.streams()[0].dropped > 0);
    drop(wedged);
    await_true("no player is left", || {
        publisher.send(FlvTag::new(TagKind::Video, TAGS, body.clone()));
        server.hub.viewers("caster/big") == 0
    });
}

#[test]
fn segments_carry_the_key_of_their_playlist() {
    let text = "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2.0,\n17.ts\n";
    for (key, query) in [(None, ""), (Some("a b"), "?auth_key=a+b")] {
        let map = format!("#EXT-X-MAP:URI=\"s/init.mp4{query}\"");
        let signed = sign_playlist(text, "s/", key);
        assert_eq!(signed, format!("#EXTM3U\n{map}\n#EXTINF:2.0,\ns/17.ts{query}\n"));
    }
}
