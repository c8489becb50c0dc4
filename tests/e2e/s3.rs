//! Object storage for tests: a real server that speaks S3 (moto), and a gate before it that sees, holds and refuses requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onair::worker::{self, StopToken, Worker};

use crate::support::{Process, free_port, wait_for};

pub(crate) const BUCKET: &str = "shows";
const STARTS: Duration = Duration::from_secs(90);
/// A signature of anybody's, without which nothing private is read.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=00";
const POLL: Duration = Duration::from_millis(20);

/// What the gate does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// They go through.
    Open,
    /// Nobody listens, and what was connected is cut.
    Closed,
    /// Parts of uploads after this one wait; they are cut when it is over.
    HoldAfter(u32),
}

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Any key is good.
    Any,
    /// None is.
    None,
}

#[derive(Debug)]
struct Shared {
    rule: Mutex<Rule>,
    /// Method and target of each request that went through.
    seen: Mutex<Vec<String>>,
}

/// The server and its gate.
pub(crate) struct Storage {
    _process: Process,
    /// Of the server itself.
    server: SocketAddr,
    /// Of the gate.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _gate: Worker,
}

/// Starts the server that speaks S3.
fn moto(flags: &[&str], keys: Keys) -> (Process, SocketAddr) {
    let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/s3/install");
    let output = Command::new(install).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let program = String::from_utf8(output.stdout).unwrap();
    let port = free_port();
    let mut command = Command::new(program.trim());
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).args(flags);
    if keys == Keys::None {
        // All but the first request, which makes the bucket.
        command.env("INITIAL_NO_AUTH_ACTION_COUNT", "1");
    }
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn().unwrap());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for("the S3 server", STARTS, || TcpStream::connect(address).ok());
    (process, address)
}

/// The server with TLS, without a gate; its bucket is made by `curl`.
pub(crate) fn with_tls((cert, key): (&str, &str), ca: &str) -> (Process, SocketAddr) {
    let flags = ["--ssl", "--ssl-cert", cert, "--ssl-key", key];
    let (process, address) = moto(&flags, Keys::Any);
    wait_for("the bucket", STARTS, || curl(&["-X", "PUT", "--cacert", ca], address, ""));
    (process, address)
}

/// What `curl` answers for a key over TLS, if it is well.
pub(crate) fn curl(flags: &[&str], address: SocketAddr, key: &str) -> Option<Vec<u8>> {
    let url = format!("https://{address}/{BUCKET}/{key}");
    let output = Command::new("curl")
        .args(["-s", "-f", "-H", SIGNED])
        .args(flags)
        .arg(url)
        .output()
        .unwrap();
    output.status.success().then_some(output.stdout)
}

impl Storage {
    pub(crate) fn start(keys: Keys) -> Storage {
        let (process, server) = moto(&[], keys);
        let shared =
            Arc::new(Shared { rule: Mutex::new(Rule::Open), seen: Mutex::new(Vec::new()) });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::clone(&shared);
        let gate = worker::spawn("gate", StopToken::new(), move |stop| {
            listen(listener, (address, server), &told, &stop);
        });
        let storage = Storage { _process: process, server, address, shared, _gate: gate.unwrap() };
        assert_eq!(storage.request("PUT", "", b"").0, 200);
        storage
    }

    pub(crate) fn set(&self, rule: Rule) {
        *self.shared.rule.lock().unwrap() = rule;
    }

    /// Requests that went through the gate and whose method and target have all of these in them.
    pub(crate) fn seen(&self, parts: &[&str]) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        let fits = |request: &&String| parts.iter().all(|part| request.contains(part));
        seen.iter().filter(fits).cloned().collect()
    }

    /// A request past the gate about a key of the bucket: status and body.
    pub(crate) fn request(&self, method: &str, key: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let key: String = key
            .bytes()
            .map(|b| match b {
                b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                    char::from(b).to_string()
                }
                other => format!("%{other:02X}"),
            })
            .collect();
        let mut stream = TcpStream::connect(self.server).unwrap();
        let head = format!(
            "{method} /{BUCKET}/{key} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{SIGNED}\r\n\
             Content-Length: {}\r\n\r\n",
            self.server,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), answer[end + 4..].to_vec())
    }

    /// The object of a key, which is there.
    pub(crate) fn object(&self, key: &str) -> Vec<u8> {
        let (status, content) = self.request("GET", key, b"");
        assert_eq!(status, 200, "{key}");
        content
    }
}

fn listen(
    listener: TcpListener,
    (own, server): (SocketAddr, SocketAddr),
    shared: &Arc<Shared>,
    stop: &StopToken,
) {
    let mut listener = Some(listener);
    let mut lines = Vec::new();
    while !stop.wait(POLL) {
        let rule = *shared.rule.lock().unwrap();
        match (rule, &listener) {
            (Rule::Closed, _) => listener = None,
            (_, None) => listener = TcpListener::bind(own).ok(),
            (_, Some(_)) => {}
        }
        let Some(listener) = &listener else { continue };
        listener.set_nonblocking(true).unwrap();
        while let Ok((client, _)) = listener.accept() {
            client.set_nonblocking(false).unwrap();
            let shared = Arc::clone(shared);
            let line = worker::spawn("line", StopToken::new(), move |stop| {
                // A peer that leaves ends it, and that is no fault.
                let _ = carry(client, server, &shared, &stop);
            });
            lines.push(line.unwrap());
        }
        lines.retain(|line: &Worker| !line.is_finished());
    }
}

/// One connection: one request.
fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    shared: &Arc<Shared>,
    stop: &StopToken,
) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let what = text.split(" HTTP/").next().unwrap_or_default().to_owned();
    let part = what.split("partNumber=").nth(1).and_then(|rest| {
        rest.split(['&', ' ']).next().and_then(|number| number.parse::<u32>().ok())
    });
    let is_held = || match *shared.rule.lock().unwrap() {
        Rule::HoldAfter(last) => part.is_some_and(|part| part > last),
        Rule::Open | Rule::Closed => false,
    };
    if is_held() {
        while is_held() && !stop.wait(POLL) {}
        return Ok(());
    }
    if *shared.rule.lock().unwrap() == Rule::Closed {
        return Ok(());
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(&head)?;
    shared.seen.lock().unwrap().push(what);
    let (from, to) = (client.try_clone()?, upstream.try_clone()?);
    let told = Arc::clone(shared);
    let up = worker::spawn("up", StopToken::new(), move |stop| {
        let _ = copy(from, to, &told, &stop);
    })?;
    let carried = copy(upstream, client.try_clone()?, shared, stop);
    let _ = client.shutdown(Shutdown::Both);
    drop(up);
    carried
}

/// Until either end is closed, or the gate is.
fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    shared: &Shared,
    stop: &StopToken,
) -> std::io::Result<()> {
    from.set_read_timeout(Some(POLL))?;
    let mut bytes = vec![0; 64 << 10];
    while !stop.is_stopped() && *shared.rule.lock().unwrap() != Rule::Closed {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => to.write_all(&bytes[..count])?,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
