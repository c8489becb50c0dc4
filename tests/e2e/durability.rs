//! `kill -9` at random moments: what was acknowledged is there, what was not is there whole or not at all, and casters
//! that were on air come back as they were.
//!
//! The kill ends the process, not the machine: what the disk does at a power loss is SQLite's `synchronous=FULL`.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use onair::api::client::Client;
use onair::api::grpc::pb as v1;
use onair::frame::{Color, Picture, PixelFormat, Plane};
use onair::media::pattern::{Area, read_frame_number};
use onair::time::Clock;
use onair::worker::StopToken;

use crate::chance::Chance;
use crate::load::{Record, Write, choose_caster, read};
use crate::support::{CANVAS, From, Process, Server, Studio, ffmpeg, is_thorough, wait_for};

/// Kills of the ordinary run.
const KILLS: u64 = 40;
/// Kills of the thorough one.
const KILLS_THOROUGH: u64 = 200;
/// Connections that write at once.
const WRITERS: u64 = 4;
/// Latest moment of a kill after the load has begun, ms.
const KILLED_WITHIN_MS: i64 = 200;

/// One connection's load, and what it was told.
struct Writer {
    chance: Chance,
    casters: BTreeMap<String, Record>,
    /// What was sent, not answered: on which caster.
    in_flight: Option<(String, Write)>,
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    fn choose(&mut self) -> (String, Write) {
        let chance = &mut self.chance;
        let new = choose_caster(chance, self.casters.len());
        if let Some(write @ Write::Create { .. }) = new {
            return (String::new(), write);
        }
        let index = chance.within(0, self.casters.len() as i64) as usize;
        let (id, record) = self.casters.iter().nth(index).unwrap();
        (id.clone(), new.unwrap_or_else(|| record.choose(chance)))
    }

    /// Writes until the server is gone.
    async fn write(mut self, mut client: Client) -> Writer {
        loop {
            let (caster, write) = self.choose();
            self.in_flight = Some((caster.clone(), write.clone()));
            match write.clone().send(&mut client, &caster).await {
                Ok((ids, revision)) => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    self.done(&caster, &write, (&ids, revision));
                }
                Err(status) => {
                    // A refusal says why; a connection that breaks cannot.
                    assert!(status.details().is_empty(), "{write:?}: {status:?}");
                    return self;
                }
            }
        }
    }

    fn done(&mut self, caster: &str, write: &Write, (ids, revision): (&[String], u64)) {
        self.in_flight = None;
        match write {
            Write::Create { token, tags } => {
                self.casters.insert(ids[0].clone(), Record::created(token, tags, revision));
            }
            Write::Delete => drop(self.casters.remove(caster)),
            _ => self.casters.get_mut(caster).unwrap().apply(write, ids, revision),
        }
    }

    /// Compares everything with what the server has after its restart.
    async fn compare(mut self, mut client: Client) -> Writer {
        let in_flight = self.in_flight.take();
        if let Some((_, write @ Write::Create { token, .. })) = &in_flight {
            let request =
                v1::DescribeCastersRequest { caster_name: token.clone(), ..Default::default() };
            let found = client.describe_casters(request).await.unwrap().into_inner().casters;
            if let Some(caster) = found.first() {
                self.done("", write, (std::slice::from_ref(&caster.caster_id), caster.revision));
            }
        }
        for (id, mut expected) in std::mem::take(&mut self.casters) {
            let write = in_flight.as_ref().filter(|(on, _)| *on == id).map(|(_, write)| write);
            let Some(found) = read(&mut client, &id).await.unwrap() else {
                assert!(matches!(write, Some(Write::Delete)), "{id} is lost");
                continue;
            };
            if let Some(write) = write.filter(|_| found.revision() != expected.revision()) {
                let ids = match write.id() {
                    Some(id) => vec![id],
                    None => expected.unknown_in(&found),
                };
                expected.apply(write, &ids, expected.revision() + 1);
            }
            assert_eq!(found, expected, "in flight: {write:?}");
            self.casters.insert(id, found);
        }
        self
    }
}

/// What the world sees of a caster: scenes without addresses (which bear a port and a time), the mixes, whether it runs.
#[derive(Debug, PartialEq)]
struct Seen {
    scenes: Vec<(v1::Scene, String)>,
    mixes: Vec<v1::DescribeCasterSceneAudioResponse>,
    status: i32,
}

/// The path of a URL: which stream it is.
fn stream(url: &str) -> String {
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
    path.split('?').next().unwrap().to_owned()
}

async fn see(client: &mut Client, caster: &str) -> Seen {
    let request =
        v1::DescribeCasterScenesRequest { caster_id: caster.into(), ..Default::default() };
    let mut found = client.describe_caster_scenes(request).await.unwrap().into_inner().scenes;
    let (mut scenes, mut mixes) = (Vec::new(), Vec::new());
    for scene in &mut found {
        let request = v1::DescribeCasterSceneAudioRequest {
            caster_id: caster.into(),
            scene_id: scene.scene_id.clone(),
        };
        let mut mix = client.describe_caster_scene_audio(request).await.unwrap().into_inner();
        mix.revision = 0;
        mixes.push(mix);
        let name = stream(&std::mem::take(&mut scene.stream_url));
        scene.stream_infos.clear();
        scenes.push((scene.clone(), name));
    }
    let request = v1::DescribeCasterConfigRequest { caster_id: caster.into() };
    let status = client.describe_caster_config(request).await.unwrap().into_inner().status;
    Seen { scenes, mixes, status }
}

/// Puts a caster on air with a text, a mix of its own and, by `turn`, with PVW off.
async fn on_air(server: &Server, turn: u64) -> Studio {
    let sources = [From::Vod("pattern:640x360@30"), From::Vod("pattern:640x360@30")];
    let mut studio = Studio::start(server, &sources).await;
    let layout =
        studio.layout(&[("RV01", [0.0, 0.0, 1.0, 1.0]), ("RV02", [0.5, 0.5, 0.5, 0.5])]).await;
    studio.take(&layout).await;
    let full = studio.full("RV02").await;
    studio.prepare(&full).await;
    let request = v1::UpdateCasterSceneAudioRequest {
        caster_id: studio.caster.clone(),
        scene_id: studio.pgm.scene_id.clone(),
        follow_enable: Some(0),
        mix_list: vec!["RV02".into()],
        audio_layers: vec![v1::AudioLayer { volume_rate: Some(0.5), ..Default::default() }],
    };
    studio.client.update_caster_scene_audio(request).await.unwrap();
    if turn % 2 == 1 {
        let (caster_id, scene_id) = (studio.caster.clone(), studio.pvw.scene_id.clone());
        let request = v1::StopCasterSceneRequest { caster_id, scene_id };
        studio.client.stop_caster_scene(request).await.unwrap();
    }
    studio
}

async fn stop(client: &mut Client, caster: &str) {
    let request = v1::StopCasterRequest { caster_id: caster.into() };
    client.stop_caster(request).await.unwrap();
}

fn kill(server: &mut Server) {
    server.process.0.kill().unwrap();
    server.process.wait(Duration::from_secs(10));
}

/// 40 kills, or all 200 with `ONAIR_THOROUGH=1`; every tenth with a caster on air, which its operator stops afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_outlive_a_kill_at_any_moment() {
    let kills = if is_thorough() { KILLS_THOROUGH } else { KILLS };
    let clock = Clock::real();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writer = |index| Writer {
        chance: Chance::new(0x5EED + index),
        casters: BTreeMap::new(),
        in_flight: None,
        acknowledged: acknowledged.clone(),
    };
    let mut writers: Vec<_> = (0..WRITERS).map(writer).collect();
    let mut moments = Chance::new(0xD1E);
    let mut server = Server::start();
    let (mut stopped, mut starting_ns) = (Vec::new(), 0);
    for round in 0..kills {
        let mut show = None;
        if round % 10 == 0 {
            let mut studio = on_air(&server, round / 10).await;
            show = Some((see(&mut studio.client, &studio.caster).await, studio.caster.clone()));
        }
        writers = load_until_kill(&mut server, writers, &mut moments).await;
        let before = clock.now_ns();
        server = server.again();
        starting_ns += clock.now_ns() - before;
        let mut client = server.client().await;
        writers = each(&server, writers, Writer::compare).await;
        if let Some((expected, caster)) = show {
            assert_eq!(see(&mut client, &caster).await, expected, "round {round}");
            comes_back(&mut client, &caster).await;
            stop(&mut client, &caster).await;
            stopped.push((see(&mut client, &caster).await, caster));
        }
        for (expected, caster) in &stopped {
            assert_eq!(see(&mut client, caster).await, *expected, "stopped is stopped");
        }
        let known: usize = writers.iter().map(|writer| writer.casters.len()).sum();
        let total = client.describe_casters(v1::DescribeCastersRequest::default()).await.unwrap();
        assert_eq!(total.into_inner().total as usize, known + stopped.len(), "round {round}");
    }
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    let seconds = clock.now_ns() as f64 / 1e9;
    let start_ms = starting_ns / kills / 1_000_000;
    println!("{kills} kills in {seconds:.1} s, {acknowledged} writes, a start {start_ms} ms");
    assert!(acknowledged > 20 * kills, "{acknowledged} writes are no load");
}

/// Runs the same for every writer at once, each on a connection of its own.
async fn each<F>(
    server: &Server,
    writers: Vec<Writer>,
    run: impl Fn(Writer, Client) -> F,
) -> Vec<Writer>
where
    F: Future<Output = Writer> + Send + 'static,
{
    let mut running = Vec::new();
    for writer in writers {
        running.push(tokio::spawn(run(writer, server.client().await)));
    }
    let mut ended = Vec::new();
    for task in running {
        ended.push(task.await.unwrap());
    }
    ended
}

/// The load, until the process is killed at a random moment of it.
async fn load_until_kill(
    server: &mut Server,
    writers: Vec<Writer>,
    moments: &mut Chance,
) -> Vec<Writer> {
    let mut running = Vec::new();
    for writer in writers {
        running.push(tokio::spawn(writer.write(server.client().await)));
    }
    // The random moment is what is tested: nothing is waited for.
    let moment = Duration::from_micros(moments.within(0, KILLED_WITHIN_MS * 1000) as u64);
    tokio::task::block_in_place(|| StopToken::new().wait(moment));
    kill(server);
    let mut ended = Vec::new();
    for task in running {
        ended.push(task.await.unwrap());
    }
    ended
}

/// Waits until the programme shows what it showed.
async fn comes_back(client: &mut Client, caster: &str) {
    let request = v1::WatchCasterRequest { caster_id: caster.into(), ..Default::default() };
    let mut states = client.watch_caster(request).await.unwrap().into_inner();
    let back = async {
        loop {
            let state = states.message().await.unwrap().unwrap();
            let shown = state.tally.unwrap_or_default().pgm;
            if shown == ["RV01", "RV02"] && state.inputs.iter().all(|input| input.frames > 0) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.expect("the programme comes back");
}

/// The first picture of a stream, decoded by ffmpeg; none when there is no stream yet.
fn first_picture(url: &str) -> Option<Picture> {
    let line = format!(
        "-rw_timeout 5000000 -probesize 32768 -analyzeduration 100000 -fflags nobuffer -i {url} \
         -map 0:v -frames:v 1 -f rawvideo -pix_fmt yuv420p -"
    );
    let mut player =
        Process(ffmpeg(&line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut bytes = Vec::new();
    player.0.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    let chroma = CANVAS.chroma();
    let lengths = [CANVAS, chroma, chroma].map(|size| (size.width_px, size.height_px));
    let mut rest = &bytes[..];
    let mut planes = Vec::new();
    for (width, height) in lengths {
        let (data, after) = rest.split_at_checked((width * height) as usize)?;
        planes.push(Plane { data: data.to_vec().into(), stride_bytes: width as usize });
        rest = after;
    }
    Picture::new(PixelFormat::I420, CANVAS, Color::CANVAS, planes).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programme_plays_again_soon_after_a_kill() {
    let mut server = Server::start();
    let mut studio = Studio::start(&server, &[From::Vod("pattern:640x360@30")]).await;
    let full = studio.full("RV01").await;
    studio.take(&full).await;
    let path = stream(&studio.flv());
    let mut times = Vec::new();
    for _ in 0..5 {
        kill(&mut server);
        let clock = Clock::real();
        server = server.again();
        let ready = clock.now_ns();
        let url = format!("http://{}/{path}", server.http);
        let picture = wait_for("a picture", Duration::from_secs(20), || first_picture(&url));
        times.push(clock.now_ns());
        println!(
            "back after {} ms, a picture at the player after {} ms",
            ready / 1_000_000,
            clock.now_ns() / 1_000_000
        );
        // The very first frames after a start may still be without the source.
        let area = Area { x_px: 0, y_px: 0, size: CANVAS };
        let is_shown = |picture: &Picture| read_frame_number(picture, area).is_some();
        if !is_shown(&picture) {
            let limit = Duration::from_secs(10);
            wait_for("the source", limit, || first_picture(&url).filter(is_shown));
        }
        println!("the source at the player after {} ms", clock.now_ns() / 1_000_000);
    }
    let slowest = Duration::from_nanos(*times.iter().max().unwrap());
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}
