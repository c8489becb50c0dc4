//! What stands round a server and goes wrong when it is told to: ways to other servers, a camera, a disk, the names of hosts.
//!
//! Must not know what the server makes of it. Everything ends when it is dropped.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onair::time::Clock;
use onair::worker::{self, StopToken, Worker};
use socket2::{Domain, Socket, Type};

use crate::support::{Folder, run_ffmpeg};

const POLL: Duration = Duration::from_millis(10);

/// What a way does with what is sent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Open,
    /// Who comes is taken and turned away.
    Cut,
    /// Nobody listens.
    Refusing,
    /// Nothing is read any more, and nobody hangs up.
    Stuck,
    /// So many bytes a second are read.
    Narrow(u64),
}

struct Way {
    flow: Mutex<Flow>,
    sockets: Mutex<Vec<TcpStream>>,
    passed_bytes: AtomicU64,
    /// What had passed when it was last told what to do.
    passed_before: AtomicU64,
    /// Who came and was taken.
    taken: AtomicU64,
    clock: Clock,
}

impl Way {
    fn flow(&self) -> Flow {
        *self.flow.lock().unwrap()
    }

    fn hang_up(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Passes on what is sent, as the flow says.
    fn send(&self, mut from: TcpStream, mut to: TcpStream) {
        let (pause, mut some) = (StopToken::new(), [0; 4096]);
        loop {
            while self.flow() == Flow::Stuck {
                pause.wait(POLL);
            }
            let Ok(count @ 1..) = from.read(&mut some) else { break };
            if to.write_all(&some[..count]).is_err() {
                break;
            }
            self.passed_bytes.fetch_add(count as u64, Ordering::Relaxed);
            if let Flow::Narrow(bytes_per_s) = self.flow() {
                pause.wait(Duration::from_secs(1) * count as u32 / bytes_per_s.max(1) as u32);
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// A way to a server that can be cut, stopped up or narrowed. Its kernel holds little, so that what is not read is soon felt.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    way: Arc<Way>,
    _listener: Worker,
}

fn listen(address: SocketAddr) -> TcpListener {
    // As on a real network: on loopback a segment has 64 KiB, and a kernel that sends holds 20 of them at least.
    const SEGMENT_BYTES: u32 = 1400;
    const RECEIVED_BYTES: usize = 16 << 10;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_tcp_mss(SEGMENT_BYTES).unwrap();
    socket.set_recv_buffer_size(RECEIVED_BYTES).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(16).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

impl Gate {
    pub(crate) fn to(server: SocketAddr) -> Gate {
        let first = listen("127.0.0.1:0".parse().unwrap());
        let address = first.local_addr().unwrap();
        let way = Arc::new(Way {
            flow: Mutex::new(Flow::Open),
            sockets: Mutex::default(),
            passed_bytes: AtomicU64::new(0),
            passed_before: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            clock: Clock::real(),
        });
        let open = Arc::clone(&way);
        let listener = worker::spawn("gate", StopToken::new(), move |stop| {
            let mut listener = Some(first);
            while !stop.wait(POLL) {
                let flow = open.flow();
                if flow == Flow::Refusing {
                    listener = None;
                    continue;
                }
                let listening = listener.get_or_insert_with(|| listen(address));
                let Ok((client, _)) = listening.accept() else { continue };
                open.taken.fetch_add(1, Ordering::Relaxed);
                if flow != Flow::Cut {
                    join(&open, client, TcpStream::connect(server).unwrap());
                }
            }
        });
        Gate { address, way, _listener: listener.unwrap() }
    }

    /// From now on it does this; whoever it would leave without a sign is hung up on.
    pub(crate) fn set(&self, flow: Flow) {
        let before = std::mem::replace(&mut *self.way.flow.lock().unwrap(), flow);
        self.way.passed_before.store(self.passed_bytes(), Ordering::Relaxed);
        if matches!(flow, Flow::Cut | Flow::Refusing) || before == Flow::Stuck {
            self.way.hang_up();
        }
    }

    pub(crate) fn passed_bytes(&self) -> u64 {
        self.way.passed_bytes.load(Ordering::Relaxed)
    }

    /// The same since it was last told what to do.
    pub(crate) fn passed_since_bytes(&self) -> u64 {
        self.passed_bytes() - self.way.passed_before.load(Ordering::Relaxed)
    }

    /// How many came and were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.way.taken.load(Ordering::Relaxed)
    }

    /// What has passed in a second, on the whole.
    pub(crate) fn bytes_per_s(&self) -> u64 {
        self.passed_bytes() * 1000 / (self.way.clock.now_ns() / 1_000_000).max(1)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}?auth_key=s3cret", self.address)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.set(Flow::Cut);
    }
}

fn join(way: &Arc<Way>, client: TcpStream, server: TcpStream) {
    client.set_nonblocking(false).unwrap();
    let twin = |socket: &TcpStream| socket.try_clone().unwrap();
    way.sockets.lock().unwrap().extend([twin(&client), twin(&server)]);
    let (mut answers, mut back) = (twin(&server), twin(&client));
    let sends = Arc::clone(way);
    let thread = std::thread::Builder::new();
    thread.spawn(move || sends.send(client, server)).unwrap();
    let thread = std::thread::Builder::new();
    thread.spawn(move || std::io::copy(&mut answers, &mut back).map(drop)).unwrap();
}

/// What a camera is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Play,
    /// Hang up, and turn away who comes.
    Gone,
    /// Stay connected and send nothing; later all of it at once.
    Frozen,
    /// Send noise in the place of tags.
    Garbage,
    /// Once: go on in another size.
    Resize,
    /// Once: timestamps go on by so much more, ms.
    Jump(i64),
    /// Once: timestamps go on from here, ms, and from now on have so many bits.
    Stamp(i64, u32),
}

/// A second or so of a camera, as the tags of FLV.
struct Clip {
    /// What the decoders need first.
    heads: Vec<Vec<u8>>,
    /// With their times, ms.
    tags: Vec<(i64, Vec<u8>)>,
}

const CLIP_S: i64 = 4;
const FLV_HEADER_BYTES: usize = 13;

impl Clip {
    fn make(folder: &Path, size: &str) -> Clip {
        let file = folder.join(format!("{size}.flv"));
        run_ffmpeg(&format!(
            "-f lavfi -i testsrc2=size={size}:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 -t {CLIP_S} \
             -c:v libx264 -preset ultrafast -tune zerolatency -g 15 -pix_fmt yuv420p -c:a aac -f flv {}",
            file.display()
        ));
        let bytes = std::fs::read(file).unwrap();
        let mut rest = &bytes[FLV_HEADER_BYTES..];
        let (mut heads, mut tags) = (Vec::new(), Vec::new());
        while rest.len() >= 15 {
            let size = u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize;
            let (tag, tail) = rest.split_at(11 + size + 4);
            let ms = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
            // Of a picture or sound the second byte says whether it is a header, media or the end.
            match (tag[0], tag[12]) {
                (8 | 9, 0) => heads.push(tag.to_vec()),
                (8 | 9, 1) => tags.push((i64::from(ms), tag.to_vec())),
                _ => {}
            }
            rest = tail;
        }
        Clip { heads, tags }
    }
}

struct Script {
    order: Mutex<Order>,
    clips: [Clip; 2],
}

impl Script {
    /// What is to be done; what is done once is forgotten.
    fn next(&self) -> Order {
        let mut order = self.order.lock().unwrap();
        match *order {
            Order::Resize | Order::Jump(_) | Order::Stamp(..) => {
                std::mem::replace(&mut *order, Order::Play)
            }
            lasting => lasting,
        }
    }

    fn is(&self, order: Order) -> bool {
        *self.order.lock().unwrap() == order
    }
}

/// A camera that is fetched by HTTP and plays a clip for ever, in real time.
pub(crate) struct Camera {
    address: SocketAddr,
    script: Arc<Script>,
    _listener: Worker,
}

impl Camera {
    pub(crate) fn start(folder: &Path) -> Camera {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let clips = ["160x90", "320x180"].map(|size| Clip::make(folder, size));
        let script = Arc::new(Script { order: Mutex::new(Order::Play), clips });
        let plays = Arc::clone(&script);
        let listener = worker::spawn("camera", StopToken::new(), move |stop| {
            while !stop.wait(POLL) {
                let Ok((client, _)) = listener.accept() else { continue };
                let (script, stop) = (Arc::clone(&plays), stop.clone());
                let thread = std::thread::Builder::new();
                thread.spawn(move || play(&script, client, &stop)).unwrap();
            }
        });
        Camera { address, script, _listener: listener.unwrap() }
    }

    pub(crate) fn order(&self, order: Order) {
        *self.script.order.lock().unwrap() = order;
    }

    /// Whether it plays: what is done once is done.
    pub(crate) fn plays(&self) -> bool {
        self.script.is(Order::Play)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/camera.flv", self.address)
    }
}

fn noise(bytes: usize, seed: i64) -> Vec<u8> {
    let mut chance = crate::chance::Chance::new(seed.unsigned_abs());
    (0..bytes).map(|_| chance.next() as u8).collect()
}

/// The tag with this time, of which so many bits are told.
fn stamped(tag: &[u8], ms: i64, bits: u32) -> Vec<u8> {
    let (mut tag, mask) = (tag.to_vec(), u32::MAX >> (32 - bits));
    [tag[7], tag[4], tag[5], tag[6]] = (ms as u32 & mask).to_be_bytes();
    tag
}

/// Serves one who watches, until told to leave or until they do.
fn play(script: &Script, mut client: TcpStream, stop: &StopToken) -> std::io::Result<()> {
    client.set_nonblocking(false)?;
    let _ = client.read(&mut [0; 4096])?;
    client
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n")?;
    client.write_all(b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")?;
    let clock = Clock::real();
    // So that an hour back is not before the beginning.
    let (mut shift_ms, mut bits, mut clip, mut begun_ms) = (7_200_000, 32, 0, 0);
    loop {
        for head in &script.clips[clip].heads {
            client.write_all(&stamped(head, begun_ms + shift_ms, bits))?;
        }
        let mut ends_ms = begun_ms + CLIP_S * 1000;
        for (ms, tag) in &script.clips[clip].tags {
            let at_ms = begun_ms + ms;
            clock.wait_until(at_ms.unsigned_abs() * 1_000_000, stop);
            match script.next() {
                _ if stop.is_stopped() => return Ok(()),
                Order::Gone => return client.shutdown(Shutdown::Both),
                Order::Frozen => while script.is(Order::Frozen) && !stop.wait(POLL) {},
                Order::Jump(by_ms) => shift_ms += by_ms,
                Order::Stamp(from_ms, of_bits) => (shift_ms, bits) = (from_ms - at_ms, of_bits),
                Order::Garbage => {
                    client.write_all(&noise(tag.len(), at_ms))?;
                    continue;
                }
                Order::Resize => {
                    (clip, ends_ms) = (1 - clip, at_ms);
                    break;
                }
                Order::Play => {}
            }
            client.write_all(&stamped(tag, at_ms + shift_ms, bits))?;
        }
        begun_ms = ends_ms;
    }
}

/// A small file system of its own, unmounted when it is dropped.
pub(crate) struct Disk(Folder);

fn run(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

impl Disk {
    /// None where that is not allowed.
    pub(crate) fn new(mebibytes: u32) -> Option<Disk> {
        let folder = Folder::new();
        let path = folder.path("disk");
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={mebibytes}m");
        let is_mounted =
            run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", path.to_str().unwrap()]);
        is_mounted.then_some(Disk(folder))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path("disk")
    }

    /// Writes until there is no room.
    pub(crate) fn fill(&self) {
        let mut ballast = std::fs::File::create(self.path().join("ballast")).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
    }

    /// There is room again.
    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }

    /// Nothing can be made, renamed or removed there any more; what is open can be written to.
    pub(crate) fn lock(&self) {
        let path = self.path().display().to_string();
        assert!(run("mount", &["--bind", &path, &path]), "{path} is mounted on itself");
        assert!(run("mount", &["-o", "remount,bind,ro", &path]), "{path} is read only");
    }

    pub(crate) fn unlock(&self) {
        assert!(run("umount", &["-l", self.path().to_str().unwrap()]), "it is writable again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The second one where it is locked.
        while run("umount", &["-l", self.path().to_str().unwrap()]) {}
    }
}

/// Runs a program where this file is `/etc/hosts`; none where that is not allowed.
pub(crate) fn with_hosts(hosts: &Path, program: &str) -> Option<Command> {
    const SCRIPT: &str = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let begin = ["--mount", "sh", "-c", SCRIPT, hosts.to_str().unwrap()];
    let is_allowed = run("unshare", &[&begin[..], &["true"]].concat());
    let mut command = Command::new("unshare");
    command.args(begin).arg(program);
    is_allowed.then_some(command)
}
