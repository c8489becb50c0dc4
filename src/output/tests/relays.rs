//! Relays whose servers misbehave: real sockets, nothing is left behind.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::super::backoff::Backoff;
use super::super::sink::{self, Feed, Status};
use super::super::testing::{Dir, Live, RATE, await_true, probe, settings, tool};
use super::super::{Sink, SinkState, start};
use super::{LONG, anywhere};
use crate::api::rtmp::testing::Server;
use crate::api::tls::Tls;
use crate::input::{AllowList, admit_relay};
use crate::limits::RELAY_WRITE_TIMEOUT;
use crate::media::live_queue::{Begin, LiveQueue, Role};
use crate::media::mux::{Muxer, PushProtocol, PushTo, Target};
use crate::media::packet::{Packet, StreamHeader, Track};
use crate::metrics::resident_bytes;
use crate::round_trip::RoundTrip;
use crate::time::Clock;
use crate::worker::{self, StopToken, Worker};

/// A packet of a picture; the first of each second is a keyframe.
fn packet(tick: u64, bytes: usize) -> Packet {
    let key = tick.is_multiple_of(30);
    let pts_ns = RATE.tick_ns(tick) as i64;
    let mut data = vec![0; bytes];
    data[..5].copy_from_slice(&[0, 0, 0, (bytes - 4).min(255) as u8, 0x65]);
    Packet { track: Track::Video, pts_ns, dts_ns: pts_ns, duration_ns: 0, key, data: data.into() }
}

/// A way to a server for one connection: all that the server says comes back, what the client says passes as `pass` has it.
fn way_to(
    server: std::net::SocketAddr,
    pass: impl FnOnce(&mut TcpStream, &mut TcpStream) + Send + 'static,
) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::Builder::new()
        .spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut server = TcpStream::connect(server).unwrap();
            let (mut answers, mut back) =
                (server.try_clone().unwrap(), client.try_clone().unwrap());
            let _answers = std::thread::Builder::new()
                .spawn(move || std::io::copy(&mut answers, &mut back).map(drop));
            pass(&mut client, &mut server);
        })
        .unwrap();
    address
}

/// Lets `to_server` bytes of a connection through; then it takes nothing more, but stays.
fn wedged_after(server: std::net::SocketAddr, to_server: usize) -> std::net::SocketAddr {
    way_to(server, move |client, server| {
        let (mut passed, mut some) = (0, [0; 512]);
        while passed < to_server {
            let Ok(count @ 1..) = client.read(&mut some) else { return };
            server.write_all(&some[..count]).unwrap();
            passed += count;
        }
        // Kept open, and never read again, for longer than any deadline.
        StopToken::new().wait(LONG * 6);
    })
}

#[test]
fn a_server_that_accepts_and_never_reads_is_cut_at_the_deadline() {
    let server = Server::start();
    let output = start(&settings("wedged")).unwrap();
    let address = wedged_after(server.rtmp, 20_000);
    let to = PushTo {
        url: format!("rtmp://{address}/live/wedged"),
        protocol: PushProtocol::Rtmp,
        options: Vec::new(),
        keeps: None,
        round_trip: None,
    };
    let mut muxer = Muxer::open(Target::Push(&to), output.header(), StopToken::new()).unwrap();
    let (clock, mut began_ns, mut tick) = (Clock::real(), 0, 0);
    let error = loop {
        began_ns = clock.now_ns().max(began_ns);
        match muxer.write(&packet(30 * tick, 60_000)) {
            Ok(()) => tick += 1,
            Err(error) => break error,
        }
        // As much as the two sockets hold, not more.
        assert!(tick < 1000, "{tick} packets were swallowed");
    };
    let waited_ns = clock.now_ns() - began_ns;
    let limit_ns = RELAY_WRITE_TIMEOUT.as_nanos() as u64;
    assert!((limit_ns - 100_000_000..limit_ns * 2).contains(&waited_ns), "{waited_ns} ns");
    assert!(error.to_string().contains("no answer within the time limit"), "{error}");
    // Nor does it hold up the end.
    drop(muxer);
    assert!(clock.now_ns() - began_ns < 2 * limit_ns);
}

/// A sink's worker on a queue of its own that is fed a keyframe every 2 ms, with short waits between attempts.
struct Hasty {
    queue: Arc<LiveQueue<Packet>>,
    status: Arc<Status>,
    _sink: Worker,
    _feeder: Worker,
}

impl Hasty {
    fn start(url: String) -> Hasty {
        let header = start(&settings("hasty")).unwrap().header().clone();
        let queue = Arc::new(LiveQueue::new(Vec::new(), Begin::AtStart));
        let status = Arc::new(Status::default());
        let (fed, told) = (Arc::clone(&queue), Arc::clone(&status));
        let read = Arc::clone(&queue);
        let sink = worker::spawn("hasty", StopToken::new(), move |stop| {
            let relay = Sink::Relay { url, admit: anywhere() };
            let feed = Feed { queue: &read, header: &header, status: &told, place: "relay-hasty" };
            let ms = std::time::Duration::from_millis;
            sink::run(&relay, &feed, Backoff::new(ms(1), ms(2)), &stop);
        });
        let feeder = worker::spawn("feeds", StopToken::new(), move |stop| {
            for tick in 0.. {
                fed.offer(packet(30 * tick, 2000), 2000, Role::Start, Vec::new);
                if stop.wait(std::time::Duration::from_millis(2)) {
                    return;
                }
            }
        });
        Hasty { queue, status, _sink: sink.unwrap(), _feeder: feeder.unwrap() }
    }
}

/// A server that takes half of what [`Hasty`] sends.
fn slow(server: std::net::SocketAddr) -> std::net::SocketAddr {
    way_to(server, |client, server| {
        let (clock, mut passed, mut some) = (Clock::real(), 0, vec![0; 4096]);
        while let Ok(count @ 1..) = client.read(&mut some) {
            server.write_all(&some[..count]).unwrap();
            passed += count as u64;
            clock.wait_until(passed * 1_000_000_000 / SLOW_BPS, &StopToken::new());
        }
    })
}

/// Bytes per second: [`Hasty`] sends a million at most.
const SLOW_BPS: u64 = 300_000;

#[test]
fn a_slow_server_stays_connected_and_loses_groups_of_pictures() {
    let server = Server::start();
    let relay = Hasty::start(format!("rtmp://{}/live/slow", slow(server.rtmp)));
    let clock = Clock::real();
    while relay.queue.dropped() < 500 {
        assert!(clock.now_ns() < 40_000_000_000, "nothing was dropped: {:?}", relay.status.get());
        StopToken::new().wait(std::time::Duration::from_millis(20));
    }
    let status = relay.status.get();
    assert_eq!((&status.state, status.attempts), (&SinkState::Live, 1), "{status:?}");
    assert_eq!((status.failures, &status.last_error[..]), (0, ""));
    await_true("it goes on", || relay.status.get().packets > status.packets + 10);
}

fn entries(dir: &str) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

/// A server that takes a stream for some bytes and hangs up, for ever.
fn hangs_up(server: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::Builder::new()
        .spawn(move || {
            for client in listener.incoming() {
                let (mut client, mut server) =
                    (client.unwrap(), TcpStream::connect(server).unwrap());
                let (mut answers, mut back) =
                    (server.try_clone().unwrap(), client.try_clone().unwrap());
                let answers = std::thread::Builder::new()
                    .spawn(move || std::io::copy(&mut answers, &mut back).map(drop));
                let (mut passed, mut some) = (0, [0; 4096]);
                while let Ok(count @ 1..) = client.read(&mut some) {
                    passed += count;
                    if server.write_all(&some[..count]).is_err() || passed > 12_000 {
                        break;
                    }
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
                let _ = server.shutdown(std::net::Shutdown::Both);
                let _ = answers.unwrap().join();
            }
        })
        .unwrap();
    address
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
fn reconnects_leave_nothing_behind() {
    let thorough = std::env::var("ONAIR_THOROUGH").is_ok_and(|text| text == "1");
    let (first, then) = if thorough { (100, 1000) } else { (20, 60) };
    let server = Server::start();
    let relay = Hasty::start(format!("rtmp://{}/live/hasty", hangs_up(server.rtmp)));
    let reconnects = |count: u64| {
        let from = relay.status.get().attempts;
        let done = || relay.status.get().attempts >= from + count;
        for _ in 0..if thorough { 60 } else { 6 } {
            let clock = Clock::real();
            while !done() && clock.now_ns() < LONG.as_nanos() as u64 {
                StopToken::new().wait(std::time::Duration::from_millis(10));
            }
        }
        assert!(done(), "{:?}", relay.status.get());
    };
    let used = || (entries("/proc/self/fd"), entries("/proc/self/task"), resident_bytes());
    reconnects(first);
    let before = used();
    reconnects(then);
    let after = used();
    println!("{then} reconnects: descriptors, threads, bytes {before:?} → {after:?}");
    // A connection that is being made or ended has a few.
    assert!(after.0 <= before.0 + 8 && after.1 <= before.1 + 4, "{before:?} {after:?}");
    assert!(after.2 <= before.2 + (8 << 20), "{before:?} {after:?}");
}

#[test]
fn a_relay_over_srt_is_taken_by_a_listener_and_comes_back() {
    let dir = Dir::new();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("srt://127.0.0.1:{port}");
    let live = Live::start("srt", vec![Sink::Relay { url: url.clone(), admit: anywhere() }]);
    live.await_sink(0, |state| matches!(state, SinkState::Failed(_)));
    for take in ["first.ts", "second.ts"] {
        let path = dir.0.join(take);
        let file = path.to_str().unwrap().to_owned();
        let listen = format!("{url}?mode=listener");
        let mut listener =
            tool("ffmpeg", &["-v", "error", "-i", &listen, "-t", "2", "-c", "copy", &file])
                .spawn()
                .unwrap();
        await_true("the relay is taken", || live.output.sinks()[0].state == SinkState::Live);
        assert!(listener.wait().unwrap().success());
        probe(&file, 10).check_programme(30);
    }
    let stats = live.output.stats();
    assert_eq!((stats.filled, stats.repeated, stats.failure), (0, 0, None));
}

/// An authority (`ca.pem`) and a certificate of it (`cert.pem`, `key.pem`) for `localhost`.
fn make_certificates(dir: &Dir) {
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(dir.0.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for line in [
        format!("req -x509 {new_key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"),
        format!("req {new_key} -keyout key.pem -out c.csr -subj /CN=server"),
        "x509 -req -in c.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 \
         -extfile names"
            .to_owned(),
    ] {
        let mut command = std::process::Command::new("openssl");
        let output = command.current_dir(&dir.0).args(line.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Pushes ten seconds as fast as it goes, sound between the pictures, so that nothing waits to be interleaved; every write,
/// and the end, take the time that they should.
fn push_for_a_while(to: &PushTo, header: &StreamHeader, is_there: impl Fn() -> bool) {
    let clock = Clock::real();
    let mut muxer = Muxer::open(Target::Push(to), header, StopToken::new()).unwrap();
    let mut sound_ns = 0;
    for tick in 0..300 {
        let picture = packet(tick, 2000);
        while sound_ns <= picture.pts_ns {
            let (track, data) = (Track::Audio, vec![0; 200].into());
            let sound = Packet { track, pts_ns: sound_ns, dts_ns: sound_ns, data, ..picture };
            muxer.write(&Packet { key: true, ..sound }).unwrap();
            sound_ns += 1024 * 1_000_000_000 / 48_000;
        }
        muxer.write(&picture).unwrap();
    }
    await_true("it arrives", is_there);
    muxer.finish().unwrap();
    assert!(clock.now_ns() < 4_000_000_000, "nothing waits for an answer that does not come");
}

#[test]
fn rtmps_asks_who_is_there() {
    let (dir, server) = (Dir::new(), Server::start());
    make_certificates(&dir);
    let file = |name: &str| dir.0.join(name);
    let acceptor = Tls::load(&file("cert.pem"), &file("key.pem"), None).unwrap().acceptor(b"rtmp");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let (port, rtmp) = (listener.local_addr().unwrap().port(), server.rtmp);
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut inside) = acceptor.accept(socket).await else { continue };
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(rtmp).await?;
                tokio::io::copy_bidirectional(&mut inside, &mut server).await
            });
        }
    });
    let header = start(&settings("tls")).unwrap().header().clone();
    let (local, ca) = (AllowList::parse("127.0.0.0/8,::1").unwrap(), file("ca.pem"));
    for (host, authorities, is_good) in [
        ("localhost", Some(ca.as_path()), true),
        ("localhost", None, false),
        ("127.0.0.1", Some(ca.as_path()), false),
    ] {
        let (url, stop) = (format!("rtmps://{host}:{port}/live/tls"), StopToken::new());
        let admitted = admit_relay(&url, (&local, authorities), &stop);
        assert_eq!(admitted.is_ok(), is_good, "{host}, {authorities:?}: {admitted:?}");
        match admitted {
            Ok(to) => {
                push_for_a_while(&to, &header, || server.hub.is_live("live/tls"));
                let away = to.round_trip.as_ref().and_then(RoundTrip::last);
                assert!(away.is_some_and(|away| away < LONG), "{away:?}");
            }
            Err(why) => assert!(why.starts_with("TLS: "), "{why}"),
        }
        await_true("it has left", || !server.hub.is_live("live/tls"));
    }
    assert!(admit_relay("rtmps://10.0.0.1/a/b", (&local, None), &StopToken::new()).is_err());
}
