//! Servers that the tests of live inputs pull from: ffmpeg processes and a small HTTP server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::worker::{self, StopToken, Worker};

/// A port that nobody listens on, for TCP and UDP.
pub(super) fn free_port() -> u16 {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = tcp.local_addr().unwrap().port();
    match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => port,
        Err(_) => free_port(),
    }
}

/// An ffmpeg process that serves a stream; killed when dropped.
pub(super) struct Ffmpeg(Child);

impl Ffmpeg {
    pub(super) fn start(args: &[String]) -> Ffmpeg {
        let child = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-nostdin"])
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need the ffmpeg command line");
        Ffmpeg(child)
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a path answers.
#[derive(Clone)]
pub(super) enum Reply {
    Bytes(Vec<u8>),
    Redirect(String),
    /// Takes the request and never answers.
    Silence,
}

/// Answers GET requests for a few paths.
pub(super) struct Server {
    pub(super) port: u16,
    _worker: Worker,
}

impl Server {
    pub(super) fn start(routes: BTreeMap<String, Reply>) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let worker = worker::spawn("test-http", StopToken::new(), move |stop| {
            let mut silent = vec![];
            while !stop.wait(Duration::from_millis(2)) {
                let Ok((mut client, _)) = listener.accept() else { continue };
                client.set_nonblocking(false).unwrap();
                client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                if answer(&mut client, &routes).is_none() {
                    silent.push(client);
                }
            }
        });
        Server { port, _worker: worker.unwrap() }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

fn answer(client: &mut TcpStream, routes: &BTreeMap<String, Reply>) -> Option<()> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).ok()? == 0 {
            return Some(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let reply = match routes.get(&path) {
        None => b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n".to_vec(),
        Some(Reply::Silence) => return None,
        Some(Reply::Redirect(to)) => {
            format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nConnection: close\r\n\r\n")
                .into_bytes()
        }
        Some(Reply::Bytes(bytes)) => {
            let length = bytes.len();
            let mut reply =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
                    .into_bytes();
            reply.extend(bytes);
            reply
        }
    };
    let _ = client.write_all(&reply);
    Some(())
}
