//! The media library over a real listener, with real files and clients that behave and that do not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::router;
use crate::api::door::Door;
use crate::api::http;
use crate::api::keys::{AccessKeys, KeyFile, Role};
use crate::api::media::Media;
use crate::library::{Bounds, Library};
use crate::limits;
use crate::media::encode::testing::{Dir, await_true, tool_output};

const BOUNDS: Bounds = Bounds { upload_bytes: 12 << 20, reserve_bytes: 0 };
const X264: &str = "-c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p";
const CENC: &str = "-encryption_scheme cenc-aes-ctr -encryption_key \
    00112233445566778899aabbccddeeff -encryption_kid 112233445566778899aabbccddeeff00";

/// A server with a key per role, its secrets those of the file.
struct Server {
    dir: Dir,
    address: SocketAddr,
    secrets: Vec<(Role, String)>,
    _runtime: Runtime,
}

impl Server {
    /// Items whose name begins with `used` are in use.
    fn start() -> Server {
        let dir = Dir::new();
        let file = KeyFile::of(&dir.0);
        let make = |role: Role| {
            let made = file.make(role, Some(role.as_str())).unwrap();
            (role, made.secret().to_owned())
        };
        let secrets = Role::ALL.map(make).to_vec();
        let keys = Arc::new(AccessKeys::open(&dir.0, None).unwrap());
        let library = Arc::new(Library::open(dir.0.join("library"), BOUNDS).unwrap());
        let held = library.clone();
        let in_use = move |id: &str| {
            let path = held.path(id).unwrap();
            let text = fs::read_to_string(path.with_file_name("item.json")).unwrap();
            text.contains("\"used")
        };
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(Media::new(library, Arc::new(in_use)), keys);
        runtime.spawn(http::serve(Door::new(listener, 64), router, std::future::pending()));
        Server { dir, address, secrets, _runtime: runtime }
    }

    /// The key headers of a role, or none.
    fn keys(&self, role: Option<Role>) -> String {
        let Some(role) = role else { return String::new() };
        let (_, secret) = self.secrets.iter().find(|(known, _)| *known == role).unwrap();
        let id = role.as_str();
        format!("x-onair-access-key-id: {id}\r\nx-onair-access-key-secret: {secret}\r\n")
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }

    /// Status and body of a request, with these headers.
    fn ask(&self, request: &str, headers: &str, body: &[u8]) -> (u16, Value) {
        let mut socket = self.connect();
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}");
        let head = match head.contains("Transfer-Encoding") {
            true => format!("{head}\r\n"),
            false => format!("{head}Content-Length: {length}\r\n\r\n"),
        };
        socket.write_all(head.as_bytes()).unwrap();
        // A server that has answered may take no more.
        let _ = socket.write_all(body);
        answer(&mut socket)
    }

    fn upload(&self, name: &str, body: &[u8]) -> (u16, Value) {
        self.ask(&format!("POST /media?name={name}"), &self.keys(Some(Role::Admin)), body)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.ask(&format!("GET {path}"), &self.keys(Some(Role::Viewer)), b"")
    }

    fn incoming(&self) -> usize {
        fs::read_dir(self.dir.0.join("library/incoming")).unwrap().count()
    }

    fn items(&self) -> u64 {
        let (status, list) = self.get("/media");
        assert_eq!(status, 200, "{list}");
        list["Total"].as_u64().unwrap()
    }
}

fn answer(socket: &mut TcpStream) -> (u16, Value) {
    let mut text = Vec::new();
    socket.read_to_end(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    assert!(head.contains("content-type: application/json"), "{text}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["RequestId"].as_str().unwrap().len(), 36, "{body}");
    (head[9..12].parse().unwrap(), body)
}

/// A file of so many seconds of a test picture and a tone, as ffmpeg makes it from `args`.
fn make(dir: &Path, name: &str, seconds: u32, args: &str) -> Vec<u8> {
    let path = dir.join(name).display().to_string();
    let inputs = format!(
        "-y -f lavfi -i testsrc2=size=320x180:rate=30:duration={seconds} \
         -f lavfi -i sine=frequency=440:sample_rate=48000:duration={seconds}"
    );
    let all: Vec<&str> = inputs.split_whitespace().chain(args.split_whitespace()).collect();
    tool_output("ffmpeg", &[&all[..], &[path.as_str()]].concat());
    fs::read(path).unwrap()
}

fn picture(dir: &Path, name: &str, size: &str) -> Vec<u8> {
    let path = dir.join(name).display().to_string();
    let (width, height) = size.split_once('x').unwrap();
    // The filter itself makes even sides only.
    let source = format!("color=red:size=64x64,format=rgb24,scale={width}:{height}");
    tool_output("ffmpeg", &["-f", "lavfi", "-i", &source, "-frames:v", "1", &path]);
    fs::read(path).unwrap()
}

#[test]
fn what_plays_is_taken_and_told_as_it_is() {
    let server = Server::start();
    let dir = Dir::new();
    let both = format!("{X264} -c:a aac");
    let silent = format!("{X264} -an");
    for (name, args, container, audio) in [
        ("a.mp4", &both, "mov,mp4,m4a,3gp,3g2,mj2", Some("aac")),
        ("b.flv", &both, "flv", Some("aac")),
        ("c.ts", &both, "mpegts", Some("aac")),
        ("d.mkv", &silent, "matroska,webm", None),
        ("e.avi", &silent, "avi", None),
    ] {
        let bytes = make(&dir.0, name, 4, args);
        let (status, body) = server.upload(name, &bytes);
        assert_eq!(status, 200, "{name}: {body}");
        let id = body["MaterialId"].as_str().unwrap().to_owned();
        let duration_ms = body["DurationMs"].as_u64().unwrap();
        assert!((3900..4100).contains(&duration_ms), "{name}: {body}");
        assert_eq!(body["Type"], "video", "{body}");
        assert_eq!((&body["Width"], &body["Height"]), (&320.into(), &180.into()), "{body}");
        assert_eq!((&body["Name"], &body["Bytes"]), (&name.into(), &bytes.len().into()), "{body}");
        let video = &body["Video"];
        assert_eq!((&video["Pictures"], &video["Keyframes"]), (&120.into(), &4.into()), "{body}");
        assert_eq!(video["Container"], container, "{body}");
        assert_eq!(
            (video["VideoCodec"].as_str(), video["AudioCodec"].as_str()),
            (Some("h264"), audio)
        );
        // Sent again it is the same, whatever it is called; and it can be looked up.
        let (status, again) = server.upload("other", &bytes);
        assert_eq!(
            (status, &again["MaterialId"], &again["Name"]),
            (200, &body["MaterialId"], &name.into())
        );
        assert_eq!(server.get(&format!("/media/{id}")).1["Sha256"], body["Sha256"]);
    }
    for (name, size, sides) in [("a.png", "1x1", [1, 1]), ("b.jpg", "64x48", [64, 48])] {
        let (status, body) = server.upload(name, &picture(&dir.0, name, size));
        assert_eq!((status, body["Type"].as_str()), (200, Some("image")), "{body}");
        assert_eq!(body["ImageId"].as_str().unwrap().len(), 32, "{body}");
        assert_eq!(serde_json::json!([body["Width"], body["Height"]]), serde_json::json!(sides));
        assert_eq!(body["DurationMs"], 0);
    }
    assert_eq!(server.items(), 7);
    await_true("nothing else is left", || server.incoming() == 0);
}

#[test]
fn what_people_bring_is_taken() {
    let server = Server::start();
    let dir = Dir::new();
    let x264 = format!("{X264} -bf 3 -c:a aac");
    let mut problems = Vec::new();
    let slides = "-c:v libx264 -preset ultrafast -r 1 -an";
    for (name, args, ms) in [
        ("fragments.mp4", format!("{x264} -movflags frag_keyframe+empty_moov"), 4000),
        ("timecode.mov", "-c:v mjpeg -c:a pcm_s16le -timecode 10:00:00:00".into(), 4000),
        ("live.flv", format!("{x264} -flvflags no_duration_filesize"), 4000),
        ("live.mkv", format!("{x264} -f matroska -live 1"), 4000),
        (
            "open.mp4",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=20".into(),
            4000,
        ),
        ("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus".into(), 4000),
        ("field.mpg", "-c:v mpeg2video -bf 2 -c:a mp2".into(), 4000),
        ("field.ts", "-c:v mpeg2video -flags +ilme+ildct -bf 2 -c:a mp2".into(), 4000),
        ("old.wmv", "-c:v wmv2 -c:a wmav2".into(), 4000),
        ("camera.mxf", "-c:v mpeg2video -r 25 -c:a pcm_s16le -ar 48000".into(), 4000),
        // Its clock turns over in the middle.
        ("wraps.ts", format!("{x264} -output_ts_offset 95441.7 -muxdelay 0"), 4000),
        ("late.ts", format!("{x264} -output_ts_offset 1000"), 4000),
        ("drops.mp4", format!("{x264} -vf select='not(mod(n,7))' -vsync vfr"), 4000),
        ("slides.mp4", slides.into(), 5500),
        ("slides.mkv", slides.into(), 5500),
        ("slides.ts", slides.into(), 5500),
        ("one.mp4", format!("{X264} -an -frames:v 1"), 33),
        ("sound.mp4", format!("{X264} -c:a aac -vf trim=0:2"), 4000),
        ("quiet.mp4", format!("{X264} -c:a aac -af atrim=0:1"), 4000),
        ("m2ts.m2ts", format!("{x264} -mpegts_m2ts_mode 1"), 4000),
    ] {
        let (status, body) = server.upload(name, &make(&dir.0, name, 4, &args));
        let duration_ms = body["DurationMs"].as_u64().unwrap_or_default();
        if status != 200 || duration_ms.abs_diff(ms) > ms / 8 {
            problems.push(format!("{name}: {body}"));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn what_would_not_play_is_refused_by_name_and_leaves_nothing() {
    let server = Server::start();
    let dir = Dir::new();
    let make = |name: &str, args: &str| make(&dir.0, name, 4, args);
    let both = format!("{X264} -c:a aac");
    let part = |bytes: &[u8], percent: usize| bytes[..bytes.len() * percent / 100].to_vec();
    let mp4 = make("a.mp4", &both);
    let fast = make("b.mp4", &format!("{both} -movflags +faststart"));
    let flv = make("c.flv", &both);
    let mkv = make("d.mkv", &both);
    // A transport stream whose first second is missing begins in the middle of a group of pictures.
    let ts = make("e.ts", &format!("{X264} -g 90 -an"));
    let late = ts[188 * (ts.len() / 188 / 8)..].to_vec();
    let tail = [&b"FLV\x01\x01\0\0\0\x09"[..], &[0; 4], &vec![7; 50_000]].concat();
    for (name, bytes, status, words) in [
        ("empty.mp4", vec![], 400, "is empty"),
        ("text.mp4", b"just some words\n".repeat(500), 415, "none of MP4"),
        ("list.mp4", b"#EXTM3U\n/etc/passwd\n".to_vec(), 415, "none of MP4"),
        ("sound.mp3", make("f.mp3", "-vn -c:a libmp3lame"), 415, "none of MP4"),
        ("sound.mp4", make("g.mp4", "-vn -c:a aac"), 422, "it has no video"),
        ("cut.mp4", part(&mp4, 60), 422, "cut off or damaged"),
        ("cut.fast.mp4", part(&fast, 70), 422, "cut off"),
        ("cut.flv", part(&flv, 70), 422, "cut off"),
        ("cut.mkv", part(&mkv, 70), 422, "cut off"),
        ("late.ts", late, 422, "does not begin with a key frame"),
        ("locked.mp4", make("h.mp4", &format!("{X264} -an {CENC}")), 422, "it is encrypted"),
        ("noise.flv", tail, 422, "refused"),
        ("huge.png", picture(&dir.0, "huge.png", "5000x4000"), 422, "5000x4000"),
        ("cut.png", part(&picture(&dir.0, "a.png", "640x480"), 50), 422, "not an image"),
    ] {
        let (got, body) = server.upload(name, &bytes);
        let message = body["Message"].as_str().unwrap_or_default();
        assert!(got == status && message.contains(words), "{name}: {got} {body}");
        assert!(!message.contains("/incoming/"), "{body}");
        assert!(body["Code"].is_string(), "{body}");
        assert_eq!(server.items(), 0, "{name}");
        // What was sent goes with the request, which may outlive its answer by a moment.
        await_true(&format!("nothing is left of {name}"), || server.incoming() == 0);
    }
}

#[test]
fn what_is_too_large_is_refused_as_soon_as_that_is_known() {
    let server = Server::start();
    let filled = |head: &[u8], bytes: usize| [head, &vec![0; bytes - head.len()]].concat();
    let video = filled(b"FLV\x01\x05\0\0\0\x09", BOUNDS.upload_bytes as usize + 1);
    let image = filled(b"\x89PNG\r\n\x1a\n", limits::MAX_IMAGE_BYTES as usize + 1);
    let keys = server.keys(Some(Role::Admin));
    for (name, bytes, most) in
        [("video", &video, BOUNDS.upload_bytes), ("image", &image, limits::MAX_IMAGE_BYTES)]
    {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n0\r\n\r\n"].concat();
        let chunked = format!("{keys}Transfer-Encoding: chunked\r\n");
        for (status, body) in
            [server.upload(name, bytes), server.ask("PUT /media", &chunked, &chunk)]
        {
            let message = body["Message"].as_str().unwrap();
            assert!(status == 413 && message.contains(&most.to_string()), "{name}: {body}");
        }
        await_true("it is gone", || server.incoming() == 0);
    }
    // Who asks first is told before anything is sent.
    let mut socket = server.connect();
    write!(
        socket,
        "POST /media HTTP/1.1\r\nHost: a\r\n{keys}Expect: 100-continue\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        BOUNDS.upload_bytes + 1
    )
    .unwrap();
    assert_eq!(answer(&mut socket).0, 413);
    assert_eq!(server.items(), 0);
}

#[test]
fn a_client_that_leaves_leaves_nothing_and_the_next_one_finds_room() {
    let server = Server::start();
    let head = format!(
        "POST /media HTTP/1.1\r\nHost: a\r\n{}Content-Length: 4000000\r\n\r\n",
        server.keys(Some(Role::Admin))
    );
    let half = [b"FLV\x01\x05\0\0\0\x09".to_vec(), vec![0; 2_000_000]].concat();
    let begin = || {
        let mut socket = server.connect();
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(&half).unwrap();
        socket
    };
    let under_way: Vec<TcpStream> = (0..limits::UPLOADS_AT_ONCE).map(|_| begin()).collect();
    await_true("all are under way", || server.incoming() == limits::UPLOADS_AT_ONCE);
    let (status, body) = server.upload("one-more", b"x");
    assert_eq!((status, body["Code"].as_str()), (429, Some("Throttling.Upload")), "{body}");
    drop(under_way);
    await_true("nothing is left", || server.incoming() == 0);
    assert_eq!(server.items(), 0);
    let dir = Dir::new();
    await_true("there is room again", || server.upload("a.png", b"x").0 == 415);
    assert_eq!(server.upload("a.png", &picture(&dir.0, "a.png", "2x2")).0, 200);
}

#[test]
fn each_role_may_what_it_is_for() {
    let server = Server::start();
    let dir = Dir::new();
    let bytes = picture(&dir.0, "a.png", "2x2");
    let (_, used) = server.upload("used.png", &picture(&dir.0, "used.png", "4x4"));
    let used = format!("/media/{}", used["ImageId"].as_str().unwrap());
    let (viewer, operator, admin) = (Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin));
    let upload = "POST /media?name=a.png";
    for (role, request, status) in [
        (None, upload.to_owned(), 401),
        (None, "GET /media".into(), 401),
        (None, format!("GET {used}"), 401),
        (None, format!("DELETE {used}"), 401),
        (viewer, upload.into(), 403),
        (viewer, format!("DELETE {used}"), 403),
        (viewer, "GET /media".into(), 200),
        (viewer, format!("GET {used}"), 200),
        (operator, upload.into(), 403),
        (operator, format!("DELETE {used}"), 403),
        (operator, "GET /media?PageNum=1&PageSize=100".into(), 200),
        (admin, "GET /media?PageSize=101".into(), 400),
        (admin, "GET /media?PageNum=-1".into(), 400),
        (admin, "GET /media/0123".into(), 404),
        (admin, "DELETE /media/0123".into(), 404),
        (admin, format!("DELETE {used}"), 409),
        (admin, "POST /media?name=a%0Ab".into(), 400),
        (admin, upload.into(), 200),
    ] {
        let body: &[u8] = if request.starts_with("POST") { &bytes } else { b"" };
        let (got, answer) = server.ask(&request, &server.keys(role), body);
        assert_eq!(got, status, "{role:?} {request}: {answer}");
        assert_eq!(answer["Code"].is_string(), got != 200, "{answer}");
    }
    let wrong = "x-onair-access-key-id: admin\r\nx-onair-access-key-secret: nope\r\n";
    assert_eq!(server.ask(upload, wrong, &bytes).0, 401);
    let (_, list) = server.get("/media?PageSize=1");
    assert_eq!((&list["Total"], list["Items"].as_array().unwrap().len()), (&2.into(), 1), "{list}");
    let id = list["Items"][0]["ImageId"].as_str().unwrap_or_default();
    let named = server.get("/media").1["Items"].clone();
    let free = named.as_array().unwrap().iter().find(|item| item["Name"] == "a.png").unwrap();
    let free = format!("/media/{}", free["ImageId"].as_str().unwrap());
    assert_eq!(id.len(), 32);
    assert_eq!(server.ask(&format!("DELETE {free}"), &server.keys(admin), b"").0, 200);
    assert_eq!((server.get(&free).0, server.items()), (404, 1));
}
