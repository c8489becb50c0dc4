//! The RTMP server with real publishers and players.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use bytes::Bytes;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult,
};

use super::testing::Server;
use crate::limits::{SINK_QUEUE, SINK_QUEUE_BYTES};
use crate::media::flv::{FlvTag, TagClass, TagKind};
use crate::media::hub::Received;
use crate::output::testing::{await_true, probe};
use crate::worker::StopToken;

const LONG: Duration = Duration::from_secs(10);

/// A pusher that is killed when the test is over.
struct Pusher(Child);

impl Pusher {
    fn start(server: &Server, path: &str) -> Pusher {
        Pusher(server.pusher(path, 15).spawn().unwrap())
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        // `timeout` hands its own end on to ffmpeg.
        let _ = std::process::Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_push_is_played_joined_late_and_ends() {
    let server = Server::start();
    let pusher = Pusher::start(&server, "live/cam?auth_key=any");
    // A player that comes first waits.
    probe(&server.rtmp_url("live/cam"), 2).check_programme(50);
    await_true("a group", || server.hub.streams().first().is_some_and(|s| s.tags > 100));
    let late = server.hub.subscribe("live/cam").unwrap();
    let stop = StopToken::new();
    let mut classes = Vec::new();
    while classes.len() < 4 {
        let Received::Tag(tag) = late.recv(&stop, LONG) else { panic!("no tag") };
        classes.push(tag.class);
    }
    use TagClass::{AudioHeader, Keyframe, Metadata, VideoHeader};
    assert_eq!(classes, [Metadata, VideoHeader, AudioHeader, Keyframe]);
    drop(pusher);
    await_true("the end", || server.hub.streams().is_empty());
    while !matches!(late.recv(&stop, LONG), Received::Ended) {}
}

/// Pushes and gives what ffmpeg says when it is refused.
fn refusal(server: &Server, path: &str) -> String {
    let output = server.pusher(path, 3).stderr(Stdio::piped()).output().unwrap();
    assert!(!output.status.success(), "{path} was let in");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn who_may_not_push_is_told_so() {
    let server = Server::start();
    let _first = Pusher::start(&server, "live/cam");
    await_true("on air", || server.hub.is_live("live/cam"));
    for (path, why) in [
        ("live/cam", "already being published"),
        ("live/locked", "not allowed"),
        ("live/locked?auth_key=wrong", "not allowed"),
        ("caster/pgm", "not allowed"),
    ] {
        let said = refusal(&server, path);
        assert!(said.contains(why), "{path}: {said}");
    }
    let _second = Pusher::start(&server, "live/locked?auth_key=open");
    await_true("on air", || server.hub.is_live("live/locked"));
    assert!(server.hub.is_live("live/cam"));
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let server = Server::start();
    let _pusher = Pusher::start(&server, "live/cam");
    await_true("on air", || server.hub.is_live("live/cam"));
    let noise: Vec<u8> = (0..10_000_u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    let after_handshake = {
        let mut bytes = vec![3];
        bytes.extend(vec![0; 2 * 1536]);
        bytes.extend(&noise);
        bytes
    };
    for bytes in [&noise[..], b"GET / HTTP/1.1\r\n\r\n", &after_handshake] {
        let mut socket = TcpStream::connect(server.rtmp).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        let _ = socket.write_all(bytes);
        // The end, or a reset when bytes were left unread; a timeout would be neither.
        match socket.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
    assert!(server.hub.is_live("live/cam"));
    probe(&server.rtmp_url("live/cam"), 1).check_programme(20);
}

/// A player by hand, that has asked to play and will never read what it gets.
fn wedged_player(server: &Server, app: &str, name: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.rtmp).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut buffer = [0; 4096];
    let mut handshake = Handshake::new(PeerType::Client);
    socket.write_all(&handshake.generate_outbound_p0_and_p1().unwrap()).unwrap();
    let mut input = loop {
        let count = socket.read(&mut buffer).unwrap();
        match handshake.process_bytes(&buffer[..count]).unwrap() {
            HandshakeProcessResult::InProgress { response_bytes } => {
                socket.write_all(&response_bytes).unwrap();
            }
            HandshakeProcessResult::Completed { response_bytes, remaining_bytes } => {
                socket.write_all(&response_bytes).unwrap();
                break remaining_bytes;
            }
        }
    };
    let (mut session, greeting) = ClientSession::new(ClientSessionConfig::new()).unwrap();
    let mut results = greeting;
    results.push(session.request_connection(app.into()).unwrap());
    loop {
        results.extend(session.handle_input(&input).unwrap());
        for result in std::mem::take(&mut results) {
            match result {
                ClientSessionResult::OutboundResponse(packet) => {
                    socket.write_all(&packet.bytes).unwrap();
                }
                ClientSessionResult::RaisedEvent(event) => match event {
                    ClientSessionEvent::ConnectionRequestAccepted => {
                        results.push(session.request_playback(name.into()).unwrap());
                    }
                    ClientSessionEvent::PlaybackRequestAccepted => return socket,
                    _ => {}
                },
                ClientSessionResult::UnhandleableMessageReceived(_) => {}
            }
        }
        if results.is_empty() {
            let count = socket.read(&mut buffer).unwrap();
            assert_ne!(count, 0);
            input = buffer[..count].to_vec();
        } else {
            input.clear();
        }
    }
}

#[test]
fn a_wedged_player_hurts_nobody() {
    const TAG_BYTES: usize = 1 << 20;
    let server = Server::start();
    let publisher = server.hub.publish("live/big").unwrap();
    let reader = server.hub.subscribe("live/big").unwrap();
    let _wedged = wedged_player(&server, "live", "big");
    assert_eq!(server.hub.viewers("live/big"), 2);
    let body = Bytes::from([b"\x17\x01\0\0\0".to_vec(), vec![0; TAG_BYTES]].concat());
    // More than its socket and its queue can hold.
    let tags = 3 * SINK_QUEUE_BYTES / TAG_BYTES;
    assert!(tags < SINK_QUEUE);
    for ms in 0..tags as u32 {
        publisher.send(FlvTag::new(TagKind::Video, ms, body.clone()));
        let Received::Tag(tag) = reader.recv(&StopToken::new(), LONG) else { panic!("no tag") };
        assert_eq!(tag.timestamp_ms, ms);
    }
    assert_eq!(reader.dropped(), 0);
    let dropped = server.hub.streams()[0].dropped;
    assert!(dropped > 0 && dropped < 2 * tags as u64 / 3 + 1, "{dropped} of {tags}");
}
