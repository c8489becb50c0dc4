//! A server process, its client, and the ffmpeg processes around it. Everything ends when it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use onair::api::client::{self, Client};
use onair::api::grpc::pb as v1;
use onair::frame::{Color, Picture, PixelFormat, Plane, Size};

pub(crate) const KEY: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret-of-some-length";
/// Everything is small: size is not the point.
pub(crate) const CANVAS: Size = Size::new(640, 360);

/// Whether the tests that hammer run at their full length: `ONAIR_THOROUGH=1`.
#[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
pub(crate) fn is_thorough() -> bool {
    std::env::var("ONAIR_THOROUGH").is_ok_and(|text| text == "1")
}

/// A folder that goes away.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("onair-e2e-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process of ours, killed at the latest when it is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for its end; panics after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> std::process::ExitStatus {
        wait_for("the process to end", limit, || self.0.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until there is an answer; panics with `what` after `limit`.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let pause = onair::worker::StopToken::new();
    let clock = onair::time::Clock::real();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            Duration::from_nanos(clock.now_ns()) < limit,
            "waited {limit:?} in vain for {what}"
        );
        pause.wait(Duration::from_millis(20));
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The program that was built.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_onair");

/// `onair serve` as its user would run it.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) rtmp: SocketAddr,
    pub(crate) folder: Folder,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(&[])
    }

    pub(crate) fn start_with(flags: &[&str]) -> Server {
        Server::start_by(Command::new(PROGRAM), flags, &[])
    }

    /// A server that this command runs when it is given its arguments.
    pub(crate) fn start_by(command: Command, flags: &[&str], variables: &[(&str, &str)]) -> Server {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path("media")).unwrap();
        Server::run_by(command, folder, flags, variables)
    }

    /// Another process on the same data, after this one has ended.
    pub(crate) fn again(self) -> Server {
        Server::run_in(self.folder, &[], &[])
    }

    /// Another process on the same data, after this one was killed.
    pub(crate) fn killed(self) -> Server {
        let Server { process, folder, .. } = self;
        drop(process);
        Server::run_in(folder, &[], &[])
    }

    /// A server that meets these faults, see `src/fault.rs`; only debug builds do.
    pub(crate) fn start_with_faults(faults: &str) -> Server {
        Server::start_in(&[("ONAIR_FAULTS", faults)])
    }

    /// A server with these variables in its environment.
    pub(crate) fn start_in(variables: &[(&str, &str)]) -> Server {
        Server::start_by(Command::new(PROGRAM), &[], variables)
    }

    /// A server on this folder, with these flags in the place of the usual ones, if there are any.
    pub(crate) fn run_in(folder: Folder, flags: &[&str], variables: &[(&str, &str)]) -> Server {
        Server::run_by(Command::new(PROGRAM), folder, flags, variables)
    }

    /// A server on this folder that this command runs when it is given its arguments, as [`Server::run_in`].
    pub(crate) fn run_by(
        mut command: Command,
        folder: Folder,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Server {
        let mut settings = vec!["--playback-auth", "public", "--ingest-auth", "off"];
        if !flags.is_empty() {
            settings = flags.to_vec();
        }
        command
            .args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
            .args(["--rtmp", "127.0.0.1:0", "--preset", "ultrafast", "--gop-seconds", "1"])
            .args(["--allow-addresses", "127.0.0.0/8", "--data"])
            .arg(folder.path("data"))
            .arg("--media-dir")
            .arg(folder.path("media"))
            .args(settings)
            .env("ONAIR_ACCESS_KEY_ID", KEY)
            .env("ONAIR_ACCESS_KEY_SECRET", SECRET)
            // A debug build on a busy machine is no measure.
            .env("ONAIR_MAX_LOAD_PERCENT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped());
        let mut process = Process(command.spawn().unwrap());
        let mut lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let ready = lines.next().expect("the server says when it is ready").unwrap();
        let address = |name: &str| {
            let word = ready.split(' ').find_map(|word| word.strip_prefix(name)).expect(name);
            word.trim_start_matches('=').parse().expect(name)
        };
        let [http, grpc, rtmp] = ["http", "grpc", "rtmp"].map(address);
        Server { process, http, grpc, rtmp, folder }
    }

    pub(crate) async fn client(&self) -> Client {
        client::connect(self.grpc, KEY, SECRET).await.unwrap()
    }

    /// Puts a file into the media library; answers its id.
    pub(crate) fn upload(&self, file: &Path) -> String {
        let (status, told) = media(self.http, "PUT /media", &std::fs::read(file).unwrap());
        let id = ["MaterialId", "ImageId"].into_iter().find_map(|name| told[name].as_str());
        id.unwrap_or_else(|| panic!("{}: {status} {told}", file.display())).to_owned()
    }
}

/// A request to the media library, with the key: status and answer.
pub(crate) fn media(http: SocketAddr, what: &str, body: &[u8]) -> (u16, serde_json::Value) {
    let mut stream = TcpStream::connect(http).unwrap();
    let head = format!(
        "{what} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nContent-Length: {}\r\n\
         x-onair-access-key-id: {KEY}\r\nx-onair-access-key-secret: {SECRET}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let told = text.split_once("\r\n\r\n").and_then(|(_, told)| serde_json::from_str(told).ok());
    (status, told.unwrap_or_default())
}

/// A started caster with its scenes.
pub(crate) struct Studio {
    pub(crate) client: Client,
    pub(crate) caster: String,
    pub(crate) pvw: v1::Scene,
    pub(crate) pgm: v1::Scene,
}

/// What a source is.
pub(crate) enum From<'a> {
    Live(String),
    Vod(&'a str),
    Image(&'a str),
}

impl Studio {
    /// Makes a 640×360p30 caster with these sources at RV01, RV02, …, and starts it.
    pub(crate) async fn start(server: &Server, sources: &[From<'_>]) -> Studio {
        Studio::start_as(server, sources, |_| {}).await
    }

    /// The same with another configuration.
    pub(crate) async fn start_as(
        server: &Server,
        sources: &[From<'_>],
        change: impl FnOnce(&mut v1::CasterConfig),
    ) -> Studio {
        let mut client = server.client().await;
        let request = v1::CreateCasterRequest {
            caster_name: "test".into(),
            client_token: uuid::Uuid::new_v4().to_string(),
            norm_type: Some(1),
            charge_type: "PostPaid".into(),
            ..Default::default()
        };
        let caster = client.create_caster(request).await.unwrap().into_inner().caster_id;
        let mut config = v1::CasterConfig {
            caster_name: "test".into(),
            domain_name: "127.0.0.1".into(),
            transcode_config: Some(v1::TranscodeConfig {
                caster_template: "lp_ld".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        change(&mut config);
        let request =
            v1::SetCasterConfigRequest { caster_id: caster.clone(), config: Some(config) };
        client.set_caster_config(request).await.unwrap();
        for (index, from) in sources.iter().enumerate() {
            let location = format!("RV{:02}", index + 1);
            add_source(&mut client, &caster, &location, from).await;
        }
        let request = v1::StartCasterRequest { caster_id: caster.clone() };
        let started = client.start_caster(request).await.unwrap().into_inner();
        let (pvw, pgm) = (started.pvw_scene.unwrap(), started.pgm_scene.unwrap());
        Studio { client, caster, pvw, pgm }
    }

    /// A layout of these sources, each in its box (x, y, width, height); the first one is heard.
    pub(crate) async fn layout(&mut self, layers: &[(&str, [f32; 4])]) -> String {
        let video_layers = layers
            .iter()
            .map(|(_, [x, y, width, height])| v1::VideoLayer {
                fill_mode: "fit".into(),
                width_normalized: *width,
                height_normalized: *height,
                position_normalized: vec![*x, *y],
                position_refer: "topLeft".into(),
                ..Default::default()
            })
            .collect();
        let layout = v1::Layout {
            blend_list: layers.iter().map(|(name, _)| (*name).to_owned()).collect(),
            video_layers,
            mix_list: vec![layers[0].0.to_owned()],
            audio_layers: vec![v1::AudioLayer::default()],
            ..Default::default()
        };
        let request = v1::AddCasterLayoutRequest {
            caster_id: self.caster.clone(),
            layout: Some(layout),
            ..Default::default()
        };
        self.client.add_caster_layout(request).await.unwrap().into_inner().layout_id
    }

    /// A source that fills the canvas.
    pub(crate) async fn full(&mut self, location: &str) -> String {
        self.layout(&[(location, [0.0, 0.0, 1.0, 1.0])]).await
    }

    /// PVW gets the layout.
    pub(crate) async fn prepare(&mut self, layout_id: &str) {
        let request = v1::SetCasterSceneConfigRequest {
            caster_id: self.caster.clone(),
            scene_id: self.pvw.scene_id.clone(),
            layout_id: layout_id.to_owned(),
            ..Default::default()
        };
        self.client.set_caster_scene_config(request).await.unwrap();
    }

    /// PVW → PGM; answers the first frame with it, or the refusal.
    pub(crate) async fn try_take(&mut self, wait_ms: i32) -> Result<u64, String> {
        let request = v1::CopyCasterSceneConfigRequest {
            caster_id: self.caster.clone(),
            from_scene_id: self.pvw.scene_id.clone(),
            to_scene_id: self.pgm.scene_id.clone(),
            wait_ms: Some(wait_ms),
            ..Default::default()
        };
        match self.client.copy_caster_scene_config(request).await {
            Ok(taken) => Ok(taken.into_inner().applied.unwrap().tick),
            Err(status) => Err(status.message().to_owned()),
        }
    }

    /// The layout goes on air; answers the first frame with it.
    pub(crate) async fn take(&mut self, layout_id: &str) -> u64 {
        self.prepare(layout_id).await;
        self.try_take(10_000).await.unwrap()
    }

    pub(crate) async fn state(&mut self) -> v1::WatchCasterResponse {
        let request =
            v1::WatchCasterRequest { caster_id: self.caster.clone(), ..Default::default() };
        let mut states = self.client.watch_caster(request).await.unwrap().into_inner();
        states.message().await.unwrap().unwrap()
    }

    /// The state of a source, once `accept` does.
    pub(crate) async fn input_until(
        &mut self,
        location: &str,
        what: &str,
        accept: impl Fn(&v1::InputStatus) -> bool,
    ) -> v1::InputStatus {
        let limit = Instant::now_for_tests() + Duration::from_secs(20);
        loop {
            let state = self.state().await;
            let input = state.inputs.iter().find(|input| input.location_id == location);
            if let Some(input) = input.filter(|input| accept(input)) {
                return input.clone();
            }
            assert!(Instant::now_for_tests() < limit, "{location} is not {what}: {input:?}");
        }
    }

    pub(crate) fn flv(&self) -> String {
        let flv = self.pgm.stream_infos.iter().find(|info| info.video_format == "flv");
        flv.unwrap().output_stream_url.clone()
    }

    pub(crate) fn hls(&self) -> String {
        let hls = self.pgm.stream_infos.iter().find(|info| info.video_format == "m3u8");
        hls.unwrap().output_stream_url.clone()
    }
}

pub(crate) async fn add_source(client: &mut Client, caster: &str, location: &str, from: &From<'_>) {
    let mut resource = v1::VideoResource {
        resource_name: format!("source {location}"),
        location_id: location.to_owned(),
        ..Default::default()
    };
    match from {
        From::Live(url) => resource.live_stream_url.clone_from(url),
        From::Vod(url) => {
            resource.vod_url = (*url).to_owned();
            resource.repeat_num = Some(-1);
        }
        From::Image(url) => resource.image_url = (*url).to_owned(),
    }
    let request = v1::AddCasterVideoResourceRequest {
        caster_id: caster.to_owned(),
        video_resource: Some(resource),
    };
    client.add_caster_video_resource(request).await.unwrap();
}

/// Monotonic time for deadlines of async polls.
trait NowForTests {
    fn now_for_tests() -> Self;
}

impl NowForTests for Instant {
    #[expect(clippy::disallowed_methods, reason = "a test's own deadline")]
    fn now_for_tests() -> Instant {
        Instant::now()
    }
}

/// An ffmpeg command line, split at spaces; paths must not have any.
pub(crate) fn ffmpeg(line: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-hide_banner", "-loglevel", "error", "-nostats", "-y"])
        .args(line.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// Runs ffmpeg to its end.
pub(crate) fn run_ffmpeg(line: &str) {
    assert!(ffmpeg(line).status().unwrap().success(), "ffmpeg {line}");
}

/// Starts ffmpeg in the background.
pub(crate) fn spawn_ffmpeg(line: &str) -> Process {
    Process(ffmpeg(line).spawn().unwrap())
}

/// Records PGM's FLV as it is, until the guard is dropped or ended.
pub(crate) fn record(url: &str, to: &Path) -> Process {
    spawn_ffmpeg(&format!(
        "-rw_timeout 10000000 -analyzeduration 500000 -i {url} -c copy -flush_packets 1 -f flv {}",
        to.display()
    ))
}

/// What ffprobe says of a stream of `url`: the values of `entries`, in ffprobe's order.
pub(crate) fn probe(url: &str, stream: &str, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-rw_timeout", "10000000", "-select_streams", stream])
        .args(["-show_entries", &format!("stream={entries}"), "-of", "default=nw=1:nk=1", url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
    // A stream that is part of a programme is listed once more.
    let once = entries.split(',').count();
    String::from_utf8_lossy(&output.stdout).lines().take(once).map(str::to_owned).collect()
}

/// Presentation times of the frames of a recording in ticks of 30 fps.
pub(crate) fn ticks(recording: &Path) -> Vec<u64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time"])
        .args(["-of", "csv=p=0"])
        .arg(recording)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let times = text.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    times.map(|seconds| (seconds * 30.0).round() as u64).collect()
}

/// Decodes the pictures of a recording by ffmpeg, in order.
pub(crate) fn pictures(recording: &Path, mut each: impl FnMut(usize, &Picture)) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(recording);
    command.args([
        "-map",
        "0:v",
        "-vsync",
        "passthrough",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-",
    ]);
    let mut child = Process(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap());
    let mut stdout = child.0.stdout.take().unwrap();
    let side = |text: &String| text.parse().unwrap();
    let size = probe(recording.to_str().unwrap(), "v:0", "width,height");
    let size = Size::new(side(&size[0]), side(&size[1]));
    let (luma, chroma) = (size.width_px as usize * size.height_px as usize, size.chroma());
    let chroma_bytes = chroma.width_px as usize * chroma.height_px as usize;
    for index in 0.. {
        let mut read = |len: usize, stride: u32| {
            let mut data = vec![0; len];
            let plane = |data: Vec<u8>| Plane { data: data.into(), stride_bytes: stride as usize };
            stdout.read_exact(&mut data).ok().map(|()| plane(data))
        };
        let Some(y) = read(luma, size.width_px) else { return };
        let u = read(chroma_bytes, chroma.width_px).unwrap();
        let v = read(chroma_bytes, chroma.width_px).unwrap();
        let picture = Picture::new(PixelFormat::I420, size, Color::CANVAS, vec![y, u, v]).unwrap();
        each(index, &picture);
    }
}

/// Mono samples at 48 kHz of a recording, decoded by ffmpeg, and the time of the first one in s.
pub(crate) fn samples(recording: &Path) -> (Vec<f32>, f64) {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-i"]).arg(recording);
    command.args(["-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let samples = output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let start = probe(recording.to_str().unwrap(), "a:0", "start_time");
    (samples.collect(), start[0].parse().unwrap())
}
